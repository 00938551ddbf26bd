//! Calls: of the callee's primal in the primal, of its adjoint in the adjoint.

use super::reverse::Reverse;
use super::{AutodiffError, Derived, Result};
use crate::ir::substitute::Substitution;
use crate::ir::{FuncId, Inst, InstId, InstKind, PathSegment, Value, ValueId};
use crate::types::{HostExpr, Symbol, TensorType};

/// Where a call goes and with which symbols, over those of one of the companions.
struct Callee {
    bindings: Vec<(Symbol, HostExpr)>,
    path: Option<Vec<PathSegment>>,
    /// The callee's symbols and its instance's hyperparameters.
    scope: Substitution,
}

impl Callee {
    fn call(&self, func: FuncId) -> InstKind {
        InstKind::Call { func, bindings: self.bindings.clone(), path: self.path.clone(), fresh: vec![] }
    }
}

impl Reverse<'_> {
    pub fn call(
        &mut self,
        id: InstId,
        inst: &Inst,
        func: FuncId,
        bindings: &[(Symbol, HostExpr)],
        path: Option<&[PathSegment]>,
        grads: &[Option<ValueId>],
    ) -> Result<()> {
        let wanted: Vec<bool> = inst.operands.iter().map(|operand| self.activity.is_active(*operand)).collect();
        let Some(derived) = self.differentiator.derive(func, &wanted)? else { return Ok(()) };
        let moved = bindings.iter().map(|(name, value)| (name.clone(), self.substitution.expr(value))).collect();
        let here = self.callee(moved, path.map(|path| self.substitution.path(path)))?;
        let kept = match self.differentiator.recomputes(&self.primal, path, func) {
            true => self.compute_again(inst, &derived, &here)?,
            false => {
                let there = self.callee(bindings.to_vec(), path.map(<[PathSegment]>::to_vec))?;
                self.keep_results(id, &derived, &there)?
            }
        };
        let mut operands = vec![];
        for index in &derived.inputs {
            operands.push(self.import(inst.operands[*index])?);
        }
        operands.extend(kept);
        for index in &derived.results {
            operands.push(match grads[*index] {
                Some(grad) => grad,
                None => {
                    let ty = self.ty_here(inst.results[*index]);
                    self.zeros(&ty)?
                }
            });
        }
        let given = self.result_types(derived.adjoint, &here);
        let results = self.emit(here.call(derived.adjoint), operands, &given);
        let (params, storages) = results.split_at(derived.params.len());
        for (index, grad) in derived.params.iter().zip(params) {
            self.accumulate(inst.operands[*index], *grad)?;
        }
        for (storage, grad) in derived.storages.iter().zip(storages) {
            let storage = storage.seen_from(here.path.as_deref().unwrap_or_default(), &here.scope);
            self.accumulate_storage(storage, *grad)?;
        }
        Ok(())
    }

    fn callee(&self, bindings: Vec<(Symbol, HostExpr)>, path: Option<Vec<PathSegment>>) -> Result<Callee> {
        let mut scope = match (self.primal.layer, &path) {
            (Some(layer), Some(path)) => {
                let found = self.differentiator.module.instance_at(layer, path);
                found.map_err(AutodiffError::internal)?.1
            }
            _ => Substitution::default(),
        };
        scope.extend(bindings.iter().cloned());
        Ok(Callee { bindings, path, scope })
    }

    fn result_types(&self, func: FuncId, callee: &Callee) -> Vec<TensorType> {
        self.differentiator.module[func].results.iter().map(|ty| callee.scope.ty(ty)).collect()
    }

    /// The primal takes the place of the call; what it returns for the adjoint is handed over.
    fn keep_results(&mut self, id: InstId, derived: &Derived, callee: &Callee) -> Result<Vec<ValueId>> {
        let types = self.result_types(derived.primal, callee);
        let region = self.primal[id].results.first().map_or(0, |result| self.regions.home(*result));
        let own = self.primal[id].results.len();
        for ty in types.into_iter().skip(own) {
            self.primal.values.push(Value { ty, name: None });
            let value = ValueId(self.primal.values.len() as u32 - 1);
            self.regions.note(value, region, id);
            self.primal[id].results.push(value);
        }
        self.primal[id].kind = callee.call(derived.primal);
        derived.kept.iter().map(|index| self.import(self.primal[id].results[*index])).collect()
    }

    /// The primal runs here, from the operands; the call stays as it is.
    fn compute_again(&mut self, inst: &Inst, derived: &Derived, callee: &Callee) -> Result<Vec<ValueId>> {
        let mut operands = vec![];
        for operand in &inst.operands {
            operands.push(self.import(*operand)?);
        }
        let types = self.result_types(derived.primal, callee);
        let results = self.emit(callee.call(derived.primal), operands, &types);
        Ok(derived.kept.iter().map(|index| results[*index]).collect())
    }
}
