//! Which calls are made again for gradients instead of keeping what they computed.

use super::Differentiator;
use crate::ir::{FuncId, Function, InstKind, PathSegment, Role};

impl Differentiator {
    /// Whether the call of a function at this path is one that is computed again.
    pub(super) fn recomputes(&mut self, caller: &Function, path: Option<&[PathSegment]>, func: FuncId) -> bool {
        let asked = self.segments.contains(&func) || path.is_some_and(|path| self.is_checkpoint(caller, path));
        asked && self.is_repeatable(func)
    }

    /// Whether a member on the way is under `@checkpoint`.
    fn is_checkpoint(&self, caller: &Function, path: &[PathSegment]) -> bool {
        path.iter().enumerate().any(|(place, segment)| {
            let PathSegment::Field(name) = segment else { return false };
            let owner = caller.layer.and_then(|layer| self.module.instance_at(layer, &path[..place]).ok());
            owner.is_some_and(|(layer, _)| self.module[layer].member(name).is_some_and(|member| member.checkpoint))
        })
    }

    /// Whether a function has no effect and depends on nothing but its operands and members that never change.
    pub(super) fn is_repeatable(&mut self, func: FuncId) -> bool {
        if let Some(known) = self.repeatable.get(&func) {
            return *known;
        }
        let function = self.module[func].clone();
        let repeatable = function.insts.iter().all(|inst| match &inst.kind {
            InstKind::Param { name, .. } => {
                !matches!(self.module.role_of(&function, name), Some(Role::State | Role::Transient))
            }
            InstKind::Call { func, .. } => self.is_repeatable(*func),
            InstKind::Rng { .. } | InstKind::SetState { .. } | InstKind::SetSlice { .. } | InstKind::Print { .. } => {
                false
            }
            // What held once holds again.
            InstKind::Assert { .. }
            | InstKind::Ensure(_)
            | InstKind::Op { .. }
            | InstKind::Const(_)
            | InstKind::Host(_)
            | InstKind::If { .. }
            | InstKind::For { .. }
            | InstKind::While { .. }
            | InstKind::Gradient { .. }
            | InstKind::Fused { .. }
            | InstKind::Yield
            | InstKind::Return => true,
        });
        self.repeatable.insert(func, repeatable);
        repeatable
    }
}
