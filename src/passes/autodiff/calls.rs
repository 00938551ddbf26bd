//! Calls: of the callee's primal in the primal, of its adjoint in the adjoint.

use super::regions::Place;
use super::reverse::Reverse;
use super::{AutodiffError, Derived, Result};
use crate::ir::substitute::Substitution;
use crate::ir::{FuncId, Inst, InstId, InstKind, PathSegment, Value, ValueId};
use crate::passes::copy::{fresh_symbol, int_symbol};
use crate::types::{HostExpr, Symbol, TensorType};

/// Where a call goes and with which symbols, over those of one of the companions.
struct Callee {
    bindings: Vec<(Symbol, HostExpr)>,
    path: Option<Vec<PathSegment>>,
    /// The callee's symbols and its instance's hyperparameters.
    scope: Substitution,
    /// What the sizes that only the run of the callee's primal tells are called.
    sizes: Vec<(Symbol, Symbol)>,
}

impl Callee {
    fn primal(&self, func: FuncId) -> InstKind {
        let fresh = self.sizes.iter().map(|(_, name)| name.clone()).collect();
        InstKind::Call { func, bindings: self.bindings.clone(), path: self.path.clone(), fresh }
    }

    fn adjoint(&self, func: FuncId) -> InstKind {
        let sizes = self.sizes.iter().map(|(own, name)| (own.clone(), int_symbol(name)));
        let bindings = self.bindings.iter().cloned().chain(sizes).collect();
        InstKind::Call { func, bindings, path: self.path.clone(), fresh: vec![] }
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
        let sizes = self.sizes(inst, &derived);
        let moved = bindings.iter().map(|(name, value)| (name.clone(), self.substitution.expr(value))).collect();
        let here = self.callee(moved, path.map(|path| self.substitution.path(path)), sizes.clone())?;
        let kept = match self.runs_again(inst, func, path, &derived)? {
            true => self.compute_again(inst, &derived, &here)?,
            false => {
                let there = self.callee(bindings.to_vec(), path.map(<[PathSegment]>::to_vec), sizes)?;
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
        let results = self.emit(here.adjoint(derived.adjoint), operands, &given);
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

    /// Names for the sizes that only a run of the callee's primal tells: those of its results have theirs.
    fn sizes(&mut self, inst: &Inst, derived: &Derived) -> Vec<(Symbol, Symbol)> {
        let InstKind::Call { fresh, .. } = &inst.kind else { return vec![] };
        let own = self.differentiator.module[derived.primal].fresh.clone();
        let known = fresh.iter().cloned().map(Some).chain(std::iter::repeat(None));
        let named = own.into_iter().zip(known);
        named
            .map(|(own, known)| {
                let name = known.unwrap_or_else(|| fresh_symbol(&own, &mut self.symbols));
                (own, name)
            })
            .collect()
    }

    /// Whether the primal of a callee runs once more in the adjoint, instead of handing values over. Out of a branch or
    /// a turn of a loop nothing can be handed over whose size only a run tells.
    fn runs_again(
        &mut self,
        inst: &Inst,
        func: FuncId,
        path: Option<&[PathSegment]>,
        derived: &Derived,
    ) -> Result<bool> {
        let InstKind::Call { fresh, .. } = &inst.kind else { return Ok(false) };
        let home = inst.results.first().map_or(0, |result| self.regions.home(*result));
        let is_inside = self.regions.place(home) != Place::Function;
        if fresh.is_empty() && self.differentiator.recomputes(&self.primal, path, func) {
            return Ok(true);
        }
        if !is_inside || self.differentiator.module[derived.primal].fresh.is_empty() {
            return Ok(false);
        }
        if fresh.is_empty() && self.differentiator.is_repeatable(func) {
            return Ok(true);
        }
        let message = "no gradient through this call: a `while` in there would have to hand over its turns out of a loop or \
                       branch, and it draws random numbers, has effects, or gives a result of such a size";
        Err(AutodiffError::new(message))
    }

    fn callee(
        &self,
        bindings: Vec<(Symbol, HostExpr)>,
        path: Option<Vec<PathSegment>>,
        sizes: Vec<(Symbol, Symbol)>,
    ) -> Result<Callee> {
        let mut scope = match (self.primal.layer, &path) {
            (Some(layer), Some(path)) => {
                let found = self.differentiator.module.instance_at(layer, path);
                found.map_err(AutodiffError::internal)?.1
            }
            _ => Substitution::default(),
        };
        scope.extend(bindings.iter().cloned());
        scope.extend(sizes.iter().map(|(own, name)| (own.clone(), int_symbol(name))));
        Ok(Callee { bindings, path, scope, sizes })
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
        self.primal[id].kind = callee.primal(derived.primal);
        derived.kept.iter().map(|index| self.import(self.primal[id].results[*index])).collect()
    }

    /// The primal runs here, from the operands; the call stays as it is.
    fn compute_again(&mut self, inst: &Inst, derived: &Derived, callee: &Callee) -> Result<Vec<ValueId>> {
        let mut operands = vec![];
        for operand in &inst.operands {
            operands.push(self.import(*operand)?);
        }
        let types = self.result_types(derived.primal, callee);
        let results = self.emit(callee.primal(derived.primal), operands, &types);
        Ok(derived.kept.iter().map(|index| results[*index]).collect())
    }
}
