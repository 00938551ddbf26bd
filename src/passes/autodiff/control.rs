//! Branches and loops, reversed.
//!
//! The adjoint of an `if` is an `if` on the same condition, whose results are the gradients of what its branches
//! used from around them. The adjoint of a `for` turns as often, in reverse: it carries the gradients of the carried
//! values and the sums of those of values from around the loop, and collects those of members that differ from
//! turn to turn. So does that of a `while`, whose turns have been counted by then.

use super::import::{mentions, terminator};
use super::regions::Place;
use super::reverse::{Reverse, Scope};
use super::storage::turn;
use super::{AutodiffError, Result, StorageGradient};
use crate::ir::{Inst, InstId, InstKind, Region, ValueId};
use crate::ops::{Attrs, gradient};
use crate::passes::copy::fresh_symbol;
use crate::types::{DType, Dim, HostExpr, Symbol, TensorType};
use std::collections::BTreeMap;

impl Reverse<'_> {
    /// Reverses a region in a scope of its own: gradients at its end in, what it found out.
    fn region(&mut self, scope: Scope, ends: &[(ValueId, ValueId)], region: &Region) -> Result<Scope> {
        self.scopes.push(scope);
        for (value, grad) in ends {
            self.accumulate(*value, *grad)?;
        }
        self.sweep(region)?;
        Ok(self.scopes.pop().unwrap_or_default())
    }

    pub fn branches(&mut self, id: InstId, inst: &Inst, grads: &[Option<ValueId>]) -> Result<()> {
        let InstKind::If { then, otherwise } = &inst.kind else { return Ok(()) };
        let condition = self.import(inst.operands[0])?;
        let mut found = vec![];
        for (index, region) in [then, otherwise].into_iter().enumerate() {
            let yielded = terminator(&self.primal, id, index).map(|end| self.primal[end].operands.clone());
            let ends: Vec<(ValueId, ValueId)> =
                yielded.unwrap_or_default().into_iter().zip(grads).filter_map(|(v, g)| Some((v, (*g)?))).collect();
            let scope = Scope { region: self.regions.below(id, index), ..Scope::default() };
            found.push(self.region(scope, &ends, region)?);
        }
        let mut values: BTreeMap<ValueId, TensorType> = BTreeMap::new();
        let mut storages: Vec<(StorageGradient, TensorType)> = vec![];
        for scope in &found {
            for (value, grad) in &scope.grads {
                values.entry(*value).or_insert_with(|| self.adjoint[*grad].ty.clone());
            }
            for (storage, grad) in &scope.storages {
                if storages.iter().all(|(other, _)| other != storage) {
                    storages.push((storage.clone(), self.adjoint[*grad].ty.clone()));
                }
            }
        }
        let mut regions = vec![];
        for scope in found {
            self.scopes.push(scope);
            let mut ends = vec![];
            for (value, ty) in &values {
                let known = self.scope().grads.get(value).copied();
                ends.push(known.map_or_else(|| self.zeros(ty), Ok)?);
            }
            for (storage, ty) in &storages {
                let known = self.scope().storages.iter().find(|(other, _)| other == storage).map(|(_, grad)| *grad);
                ends.push(known.map_or_else(|| self.zeros(ty), Ok)?);
            }
            self.emit(InstKind::Yield, ends, &[]);
            let scope = self.scopes.pop().unwrap_or_default();
            regions.push(Region { params: vec![], insts: scope.insts });
        }
        let types: Vec<TensorType> =
            values.values().cloned().chain(storages.iter().map(|(_, ty)| ty.clone())).collect();
        let otherwise = regions.pop().unwrap_or_default();
        let then = regions.pop().unwrap_or_default();
        let results = self.emit(InstKind::If { then, otherwise }, vec![condition], &types);
        let (own, rest) = results.split_at(values.len());
        for (value, grad) in values.keys().zip(own) {
            self.accumulate(*value, *grad)?;
        }
        for ((storage, _), grad) in storages.into_iter().zip(rest) {
            self.accumulate_storage(storage, *grad)?;
        }
        Ok(())
    }

    pub fn for_loop(&mut self, id: InstId, inst: &Inst, grads: &[Option<ValueId>]) -> Result<()> {
        let InstKind::For { index, body } = &inst.kind else { return Ok(()) };
        let (start, stop) = self.bounds(id)?;
        let (start, stop) = (self.substitution.dim(&start), self.substitution.dim(&stop));
        let turns = stop.sub(&start);
        let (initial, params) = (&inst.operands[2..], &body.params[1..]);
        self.reversed(id, &Turning { index, start, turns, initial, params, body, region: 0 }, grads)
    }

    pub fn while_loop(&mut self, id: InstId, inst: &Inst, grads: &[Option<ValueId>]) -> Result<()> {
        let InstKind::While { turns, body, .. } = &inst.kind else { return Ok(()) };
        let home = inst.results.first().map_or(0, |result| self.regions.home(*result));
        if self.regions.place(home) != Place::Function {
            let message = "no gradient through a `while` inside of another loop or a branch: move it into a function of \
                           its own, with what it needs as arguments";
            return Err(AutodiffError::new(message));
        }
        let count = match turns {
            Some(turns) => turns.clone(),
            None => fresh_symbol(&Symbol::new("turns"), &mut self.symbols),
        };
        if let InstKind::While { turns, .. } = &mut self.primal[id].kind {
            *turns = Some(count.clone());
        }
        let turns = Dim::symbol(count.as_str());
        let (initial, params) = (&inst.operands[..], &body.params[..]);
        let turning = Turning { index: &count, start: Dim::zero(), turns, initial, params, body, region: 1 };
        self.reversed(id, &turning, grads)
    }

    /// The loop over the turns in reverse, of a loop whose turns are known by now.
    fn reversed(&mut self, id: InstId, turning: &Turning<'_>, grads: &[Option<ValueId>]) -> Result<()> {
        let Turning { index, start, turns, initial, params, body, region } = turning;
        let result_of = |own: &Self, index: usize| own.primal[id].results[index];
        let backward_index = fresh_symbol(&Symbol::new(&format!("{}'", index.as_str())), &mut self.symbols);
        let counter = Dim::symbol(backward_index.as_str());
        let turn_here = turns.sub(&Dim::constant(1)).sub(&counter);
        let carried: Vec<usize> = (0..initial.len()).filter(|index| self.activity.is_active(params[*index])).collect();
        let level = self.scopes.len() - 1;
        let mut operands = vec![self.host(level, Dim::zero()), self.host(level, turns.clone())];
        for index in &carried {
            operands.push(match grads[*index] {
                Some(grad) => grad,
                None => {
                    let ty = self.ty_here(result_of(self, *index));
                    self.zeros(&ty)?
                }
            });
        }
        let before = self.substitution.clone();
        self.substitution.set((*index).clone(), HostExpr::Int(start.add(&turn_here)));
        let mut region_params = vec![self.new_value(TensorType::scalar(DType::Int64), None)];
        let home = self.regions.below(id, *region);
        let mut scope = Scope { region: home, turn: Some(turn_here.clone()), ..Scope::default() };
        let end = terminator(&self.primal, id, *region);
        let yielded = end.map(|end| self.primal[end].operands.clone()).unwrap_or_default();
        let mut ends = vec![];
        for index in &carried {
            let ty = self.ty_here(params[*index]);
            let param = self.new_value(ty, None);
            region_params.push(param);
            ends.push((yielded[*index], param));
        }
        self.scopes.push(std::mem::take(&mut scope));
        for index in initial.len()..grads.len() {
            let Some(stack) = grads[index] else { continue };
            let level = self.scopes.len() - 1;
            let position = self.position(level)?;
            let part = self.apply_one("take", &[stack, position], Attrs::new())?;
            ends.push((yielded[index], part));
        }
        let scope = self.scopes.pop().unwrap_or_default();
        let scope = self.region(scope, &ends, body)?;
        let turned = Turned { scope, region_params, operands, backward_index, turns: turns.clone() };
        let found = self.close_loop(turned, &carried, params)?;
        self.substitution = before;
        for (position, index) in carried.iter().enumerate() {
            self.accumulate(initial[*index], found.results[position])?;
        }
        for (value, grad) in found.captured {
            self.accumulate(value, grad)?;
        }
        for (storage, grad) in found.storages {
            self.accumulate_storage(storage, grad)?;
        }
        Ok(())
    }

    /// Ends the reversing loop: the gradients of carried values go to the turn before, those of values from
    /// around the loop are added up, those of members that differ from turn to turn are collected.
    fn close_loop(&mut self, turned: Turned, carried: &[usize], params: &[ValueId]) -> Result<Found> {
        let Turned { scope, mut region_params, mut operands, backward_index, turns } = turned;
        self.scopes.push(scope);
        let mut ends = vec![];
        for index in carried {
            ends.push(self.grad_or_zeros(params[*index])?);
        }
        let captured: Vec<(ValueId, ValueId)> = std::mem::take(&mut self.scope().grads).into_iter().collect();
        let storages = std::mem::take(&mut self.scope().storages);
        let (collected, summed): (Vec<_>, Vec<_>) =
            storages.into_iter().partition(|(storage, _)| storage.mentions(&backward_index));
        let grads = captured.iter().map(|(_, grad)| *grad).chain(summed.iter().map(|(_, grad)| *grad));
        for grad in grads.collect::<Vec<_>>() {
            let ty = self.fixed_type(grad, &backward_index)?;
            let total = self.new_value(ty, None);
            region_params.push(total);
            ends.push(self.apply_one("add", &[total, grad], Attrs::new())?);
        }
        for (_, grad) in &collected {
            self.fixed_type(*grad, &backward_index)?;
            ends.push(*grad);
        }
        let mut types: Vec<TensorType> = ends.iter().map(|end| self.adjoint[*end].ty.clone()).collect();
        self.emit(InstKind::Yield, ends, &[]);
        let scope = self.scopes.pop().unwrap_or_default();
        let first_collected = types.len() - collected.len();
        for ty in &types[carried.len()..first_collected].to_vec() {
            operands.push(self.zeros(ty)?);
        }
        for ty in &mut types[first_collected..] {
            *ty = ty.with_shape(ty.shape.insert_dim(0, turns.clone()));
        }
        let body = Region { params: region_params, insts: scope.insts };
        let results = self.emit(InstKind::For { index: backward_index.clone(), body }, operands, &types);
        let mut rest = results[carried.len()..].iter().copied();
        let captured: Vec<(ValueId, ValueId)> = captured.iter().map(|(value, _)| *value).zip(rest.by_ref()).collect();
        let mut storages: Vec<(StorageGradient, ValueId)> =
            summed.into_iter().map(|(storage, _)| storage).zip(rest.by_ref()).collect();
        // What was collected from the last turn on is put into order.
        let last = turns.sub(&Dim::constant(1));
        let in_order = last.sub(&Dim::symbol(turn(0).as_str()));
        for ((storage, _), stack) in collected.into_iter().zip(rest) {
            let axes = Attrs::new().with("axes", gradient::ints(&[0]));
            let stack = self.apply_one("flip", &[stack], axes)?;
            storages.push((storage.stacked(&backward_index, in_order.clone(), turns.clone()), stack));
        }
        Ok(Found { results: results[..carried.len()].to_vec(), captured, storages })
    }

    /// The type of a gradient, which must be the same in each turn.
    fn fixed_type(&self, grad: ValueId, index: &Symbol) -> Result<TensorType> {
        let ty = self.adjoint[grad].ty.clone();
        if mentions(&ty, index) {
            let message = "no gradient through this loop: the sizes of what it uses differ from turn to turn";
            return Err(AutodiffError::new(message));
        }
        Ok(ty)
    }
}

/// A loop of the primal.
struct Turning<'i> {
    /// What counts the turns in its body.
    index: &'i Symbol,
    start: Dim,
    turns: Dim,
    initial: &'i [ValueId],
    /// The carried values in its body, which is this region of the instruction.
    params: &'i [ValueId],
    body: &'i Region,
    region: usize,
}

/// A reversing loop that still has to end.
struct Turned {
    scope: Scope,
    region_params: Vec<ValueId>,
    operands: Vec<ValueId>,
    backward_index: Symbol,
    turns: Dim,
}

/// The gradients that a reversing loop gave.
struct Found {
    /// Of the carried values, before the first turn.
    results: Vec<ValueId>,
    captured: Vec<(ValueId, ValueId)>,
    storages: Vec<(StorageGradient, ValueId)>,
}
