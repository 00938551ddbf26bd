//! Which values depend on what wants gradients, in a way that has a derivative.

use super::Differentiator;
use crate::ir::{FuncId, Function, Inst, InstKind, Part, Region, Role, ValueId};
use crate::ops::Gradient;
use std::collections::HashSet;
use std::rc::Rc;

/// The active values of one function.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity {
    pub values: HashSet<ValueId>,
    /// For each result, whether it is active.
    pub results: Vec<bool>,
}

impl Activity {
    pub fn is_active(&self, value: ValueId) -> bool {
        self.values.contains(&value)
    }
}

impl Differentiator {
    pub(super) fn activity(&mut self, func: FuncId, wanted: &[bool]) -> Rc<Activity> {
        let key = (func, wanted.to_vec());
        if let Some(known) = self.activities.get(&key) {
            return known.clone();
        }
        let function = self.module[func].clone();
        let mut walk = Walk { differentiator: self, function: &function, active: HashSet::new() };
        for (param, _) in function.params.iter().zip(wanted).filter(|(_, wanted)| **wanted) {
            walk.mark_float(*param);
        }
        let results = walk.region(&function.body);
        let activity = Rc::new(Activity { values: walk.active, results });
        self.activities.insert(key, activity.clone());
        activity
    }
}

struct Walk<'d, 'f> {
    differentiator: &'d mut Differentiator,
    function: &'f Function,
    active: HashSet<ValueId>,
}

impl Walk<'_, '_> {
    fn mark_float(&mut self, value: ValueId) -> bool {
        self.function.dtype(value).is_float() && self.active.insert(value)
    }

    fn is_active(&self, value: &ValueId) -> bool {
        self.active.contains(value)
    }

    /// Walks a region; gives for each value at its end whether it is an active float.
    fn region(&mut self, region: &Region) -> Vec<bool> {
        let function = self.function;
        for id in &region.insts {
            self.inst(&function[*id]);
        }
        let last = region.insts.last().map_or(&[][..], |id| &function[*id].operands);
        last.iter().map(|value| self.is_active(value) && function.dtype(*value).is_float()).collect()
    }

    fn inst(&mut self, inst: &Inst) {
        let operands: Vec<bool> = inst.operands.iter().map(|operand| self.is_active(operand)).collect();
        let active = match &inst.kind {
            InstKind::Op { op, .. } => match op.get().gradient {
                Gradient::Rule(_) => vec![operands.contains(&true); inst.results.len()],
                // The first result stands for the float, be it codes.
                Gradient::StraightThrough(_) => {
                    if let (true, Some(first)) = (operands.contains(&true), inst.results.first()) {
                        self.active.insert(*first);
                    }
                    return;
                }
                Gradient::None(_) => return,
            },
            InstKind::Param { name, part: Part::Value } => {
                let counts = self.differentiator.members;
                vec![counts && self.differentiator.module.role_of(self.function, name) == Some(Role::Param)]
            }
            InstKind::Call { func, .. } => self.differentiator.activity(*func, &operands).results.clone(),
            InstKind::If { then, otherwise } => {
                let (then, otherwise) = (self.region(then), self.region(otherwise));
                then.into_iter().zip(otherwise).map(|(a, b)| a || b).collect()
            }
            InstKind::For { body, .. } => self.repeated(operands.get(2..).unwrap_or_default(), body, 1, &[body]),
            InstKind::While { cond, body, .. } => self.repeated(&operands, body, 0, &[cond, body]),
            InstKind::Param { .. }
            | InstKind::Const(_)
            | InstKind::Host(_)
            | InstKind::Rng { .. }
            | InstKind::Gradient { .. }
            | InstKind::Fused { .. }
            | InstKind::SetState { .. }
            | InstKind::SetSlice { .. }
            | InstKind::Assert { .. }
            | InstKind::Ensure(_)
            | InstKind::Print { .. }
            | InstKind::Yield
            | InstKind::Return => return,
        };
        for (result, _) in inst.results.iter().zip(active).filter(|(_, active)| *active) {
            self.mark_float(*result);
        }
    }

    /// A loop whose carried values are the parameters of `body` from `first` on: what is active in one turn may
    /// make more so in the next.
    fn repeated(&mut self, initial: &[bool], body: &Region, first: usize, regions: &[&Region]) -> Vec<bool> {
        let params: Vec<ValueId> = body.params.iter().skip(first).copied().collect();
        for (param, _) in params.iter().zip(initial).filter(|(_, active)| **active) {
            self.mark_float(*param);
        }
        loop {
            let mut yielded = vec![];
            for region in regions {
                yielded = self.region(region);
            }
            let mut grown = false;
            for (param, _) in params.iter().zip(&yielded).filter(|(_, active)| **active) {
                grown |= self.mark_float(*param);
            }
            if !grown {
                let carried = params.iter().map(|param| self.is_active(param)).collect::<Vec<_>>();
                let collected = yielded.get(params.len()..).unwrap_or_default();
                return [carried.as_slice(), collected].concat();
            }
        }
    }
}
