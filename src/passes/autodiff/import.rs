//! Values of the primal in the adjoint.
//!
//! A value that an adjoint needs is recomputed where that is as cheap as keeping it (members, constants, host
//! numbers, operations without operands). Else the primal hands it over: from the body by returning it, from a
//! branch as one more result of the `if`, from a turn of a `for` collected with those of the other turns.

use super::regions::Place;
use super::reverse::Reverse;
use super::{AutodiffError, Result};
use crate::ir::{Function, Inst, InstId, InstKind, Region, Role, ValueId};
use crate::ops::{Attr, Attrs, builtin};
use crate::types::{Dim, HostExpr, TensorType};

impl Reverse<'_> {
    /// The value in the adjoint, visible from the innermost open scope.
    pub(super) fn import(&mut self, value: ValueId) -> Result<ValueId> {
        let home = self.regions.home(value);
        let Some(level) = self.scopes.iter().position(|scope| scope.region == home) else {
            return Err(AutodiffError::internal("a value is needed where its region is not open"));
        };
        if let Some(known) = self.scopes[level].imported.get(&value) {
            return Ok(*known);
        }
        let imported = match self.recompute(value, level)? {
            Some(recomputed) => recomputed,
            None => match self.regions.place(home) {
                Place::Function => self.receive(value),
                Place::Branch(inst, which) => {
                    let handed = self.export_from_branch(value, home, inst, which);
                    self.import(handed)?
                }
                Place::For(inst) | Place::While(inst, 1) => self.import_turn(value, home, inst, level)?,
                Place::While(..) | Place::Closed => {
                    return Err(AutodiffError::internal("a value is needed from where nothing looks"));
                }
            },
        };
        self.scopes[level].imported.insert(value, imported);
        Ok(imported)
    }

    /// A parameter of the adjoint: one of the function, or what the primal saves.
    fn receive(&mut self, value: ValueId) -> ValueId {
        let original = self.primal[value].clone();
        let param = self.new_value(original.ty, original.name);
        match self.primal.params.iter().position(|own| *own == value) {
            Some(index) => self.inputs.push((index, param)),
            None => self.saved.push((value, param)),
        }
        param
    }

    fn recompute(&mut self, value: ValueId, level: usize) -> Result<Option<ValueId>> {
        let kind = match self.regions.maker(value).map(|id| &self.primal[id]) {
            None => match self.counter_of(value) {
                Some(index) => InstKind::Host(HostExpr::Int(index)),
                None => return Ok(None),
            },
            Some(inst) => match &inst.kind {
                InstKind::Param { name, part } => {
                    let role = self.differentiator.module.role_of(&self.primal, name);
                    if matches!(role, Some(Role::State | Role::Transient)) {
                        return Ok(None);
                    }
                    InstKind::Param { name: name.clone(), part: *part }
                }
                InstKind::Const(tensor) => InstKind::Const(tensor.clone()),
                InstKind::Host(expr) => InstKind::Host(expr.clone()),
                InstKind::Op { op, attrs } if inst.operands.is_empty() => {
                    InstKind::Op { op: *op, attrs: attrs.clone() }
                }
                _ => return Ok(None),
            },
        };
        let kind = match kind {
            InstKind::Host(expr) => InstKind::Host(self.substitution.expr(&expr)),
            InstKind::Op { op, attrs } => {
                let attrs = attrs.map(|attr| attr.substitute(&|symbol| self.substitution.get(symbol)));
                InstKind::Op { op, attrs }
            }
            other => other,
        };
        let ty = self.ty_here(value);
        let made = self.emit_at(level, kind, vec![], &[ty]);
        Ok(made.first().copied())
    }

    /// The index of the loop whose counter the value is.
    fn counter_of(&self, value: ValueId) -> Option<Dim> {
        let Place::For(inst) = self.regions.place(self.regions.home(value)) else { return None };
        let InstKind::For { index, body } = &self.primal[inst].kind else { return None };
        (body.params.first() == Some(&value)).then(|| Dim::symbol(index.as_str()))
    }

    /// Makes a value of a branch a result of the `if`.
    fn export_from_branch(&mut self, value: ValueId, home: usize, inst: InstId, which: usize) -> ValueId {
        let ty = self.primal[value].ty.clone();
        let result = self.new_primal_value(value);
        let parent = self.regions.parent(home);
        self.regions.note(result, parent, inst);
        self.primal[inst].results.push(result);
        let stand_in = self.new_primal_value(value);
        let attrs = Attrs::new().with("shape", Attr::Shape(ty.shape.clone())).with("dtype", Attr::DType(ty.elem));
        let zeros = InstKind::Op { op: builtin("zeros"), attrs };
        let loc = self.primal[inst].loc;
        self.primal.insts.push(Inst { kind: zeros, operands: vec![], results: vec![stand_in], loc });
        let zeros = InstId(self.primal.insts.len() as u32 - 1);
        for (index, yielded) in [(which, value), (1 - which, stand_in)] {
            let end = terminator(&self.primal, inst, index);
            if let Some(end) = end {
                self.primal[end].operands.push(yielded);
            }
        }
        let other = self.regions.below(inst, 1 - which);
        self.regions.note(stand_in, other, zeros);
        if let Some(region) = Function::regions_mut(&mut self.primal[inst].kind).into_iter().nth(1 - which) {
            let before_end = region.insts.len().saturating_sub(1);
            region.insts.insert(before_end, zeros);
        }
        result
    }

    /// A value of the turn that is being reversed, out of those of all turns.
    fn import_turn(&mut self, value: ValueId, home: usize, inst: InstId, level: usize) -> Result<ValueId> {
        let stack = self.export_from_loop(value, home, inst)?;
        let stack = self.import(stack)?;
        let position = self.position(level)?;
        let attrs = builtin("take").get().with_defaults(&Attrs::new());
        let ty = self.ty_here(value);
        let take = InstKind::Op { op: builtin("take"), attrs };
        let made = self.emit_at(level, take, vec![stack, position], &[ty]);
        made.first().copied().ok_or_else(|| AutodiffError::internal("`take` gives one result"))
    }

    /// Makes the loop collect a value.
    fn export_from_loop(&mut self, value: ValueId, home: usize, inst: InstId) -> Result<ValueId> {
        let operands = self.primal[inst].operands.len();
        let (index, carried, body) = match &self.primal[inst].kind {
            InstKind::For { index, .. } => (index.clone(), operands.saturating_sub(2), 0),
            InstKind::While { turns: Some(turns), .. } => (turns.clone(), operands, 1),
            _ => return Err(AutodiffError::internal("no loop")),
        };
        let Some(end) = terminator(&self.primal, inst, body) else {
            return Err(AutodiffError::internal("a loop without an end"));
        };
        // It may be collected already.
        let collected = self.primal[end].operands.iter().skip(carried).position(|yielded| *yielded == value);
        if let Some(place) = collected {
            return Ok(self.primal[inst].results[carried + place]);
        }
        let ty = self.primal[value].ty.clone();
        if mentions(&ty, &index) {
            let why = format!("a value of type {ty} is needed from each turn, and its size differs from turn to turn");
            return Err(
                AutodiffError::new(format!("no gradient through this loop: {why}")).or_at(self.primal[inst].loc)
            );
        }
        let turns = match &self.primal[inst].kind {
            InstKind::For { .. } => self.bounds(inst).map(|(start, stop)| stop.sub(&start))?,
            _ => Dim::symbol(index.as_str()),
        };
        let result = self.new_primal_value(value);
        self.primal[result].ty = ty.with_shape(ty.shape.insert_dim(0, turns));
        self.primal[result].name = None;
        let parent = self.regions.parent(home);
        self.regions.note(result, parent, inst);
        self.primal[inst].results.push(result);
        self.primal[end].operands.push(value);
        Ok(result)
    }

    /// The bounds of a `for` as host numbers of the primal.
    pub(super) fn bounds(&self, inst: InstId) -> Result<(Dim, Dim)> {
        let bound = |index: usize| {
            let value = self.primal[inst].operands.get(index)?;
            self.regions.host_int(&self.primal, *value)
        };
        match (bound(0), bound(1)) {
            (Some(start), Some(stop)) => Ok((start, stop)),
            _ => {
                let message = "no gradient through this loop: how often it turns is computed, and values of its \
                               turns must be kept";
                Err(AutodiffError::new(message).or_at(self.primal[inst].loc))
            }
        }
    }

    /// A new value of the primal like another.
    fn new_primal_value(&mut self, like: ValueId) -> ValueId {
        let value = self.primal[like].clone();
        self.primal.values.push(value);
        ValueId(self.primal.values.len() as u32 - 1)
    }
}

/// Whether a size of the type uses the symbol.
pub(super) fn mentions(ty: &TensorType, symbol: &crate::types::Symbol) -> bool {
    ty.shape.dims.iter().any(|dim| dim.symbols().contains(symbol))
}

/// The last instruction of a region of an instruction.
pub(super) fn terminator(function: &Function, inst: InstId, region: usize) -> Option<InstId> {
    let region: &Region = Function::regions(&function[inst].kind).into_iter().nth(region)?;
    region.insts.last().copied()
}
