//! Where each value of a procedure lives, as far as the planner of memory does not decide it.

use crate::base::Loc;
use crate::base::code::{E0602, E0609};
use crate::ir::{Function, InstId, InstKind, Part, Region, ValueId};
use crate::ops::traits::Movement;
use crate::passes::effects::Effects;
use crate::passes::plan_memory::{Lifetimes, Memory};
use crate::quant::pack::Format;
use crate::targets::TargetError;
use crate::targets::c::kernel::{Context, Held, Kernel, kernel};
use crate::targets::c::model::Kept;
use crate::targets::c::numbers::element_bytes;
use crate::targets::c::specialise::Procedure;
use crate::targets::c::unit::Unit;
use crate::types::Dim;
use std::collections::HashMap;

/// What a value is to its procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number in a variable.
    Scalar,
    /// Memory of somebody else, which nothing changes while the value is used.
    Given,
    /// The same, as packed codes.
    Packed(Format),
    /// The bytes of another value.
    Alias(ValueId),
    /// So many bytes in the arena, or where the caller wants a result.
    Own(usize),
}

pub struct Places {
    kinds: Vec<Kind>,
    /// The kernel of each instruction that is one.
    pub kernels: HashMap<InstId, Kernel>,
    scratch: HashMap<InstId, usize>,
    reuses: HashMap<InstId, Vec<(ValueId, ValueId)>>,
}

impl Places {
    /// Looks at every value, and writes the kernels.
    pub fn new(unit: &Unit<'_>, procedure: &Procedure) -> Result<Places, Vec<TargetError>> {
        let function = &procedure.function;
        let kinds = vec![Kind::Scalar; function.values.len()];
        let places = Places { kinds, kernels: HashMap::new(), scratch: HashMap::new(), reuses: HashMap::new() };
        let lifetimes = Lifetimes::of(function);
        let mut walk = Walk { unit, procedure, function, lifetimes, places, errors: vec![] };
        for param in &function.params {
            walk.set(*param, Kind::Given);
        }
        walk.region(&function.body);
        match walk.errors.is_empty() {
            true => Ok(walk.places),
            false => Err(walk.errors),
        }
    }

    pub fn kind(&self, value: ValueId) -> Kind {
        self.kinds.get(value.0 as usize).copied().unwrap_or(Kind::Scalar)
    }

    /// What a value's bytes are: those of what it is another look at.
    pub fn root(&self, value: ValueId) -> ValueId {
        match self.kind(value) {
            Kind::Alias(of) => self.root(of),
            _ => value,
        }
    }
}

impl Memory for Places {
    fn bytes(&self, value: ValueId) -> Option<usize> {
        match self.kind(value) {
            Kind::Own(bytes) => Some(bytes),
            Kind::Alias(of) => self.bytes(of),
            Kind::Scalar | Kind::Given | Kind::Packed(_) => None,
        }
    }

    fn alias(&self, value: ValueId) -> Option<ValueId> {
        match self.kind(value) {
            Kind::Alias(of) => Some(of),
            _ => None,
        }
    }

    fn reuses(&self, inst: InstId) -> Vec<(ValueId, ValueId)> {
        self.reuses.get(&inst).cloned().unwrap_or_default()
    }

    fn scratch(&self, inst: InstId) -> usize {
        self.scratch.get(&inst).copied().unwrap_or(0)
    }
}

struct Walk<'a, 'm> {
    unit: &'a Unit<'m>,
    procedure: &'a Procedure,
    function: &'a Function,
    lifetimes: Lifetimes,
    places: Places,
    errors: Vec<TargetError>,
}

impl Walk<'_, '_> {
    fn is_scalar(&self, value: ValueId) -> bool {
        self.function[value].ty.shape.dims.is_empty()
    }

    /// Scalars are variables, whatever else they could be.
    fn set(&mut self, value: ValueId, kind: Kind) {
        let kind = if self.is_scalar(value) { Kind::Scalar } else { kind };
        if let Some(slot) = self.places.kinds.get_mut(value.0 as usize) {
            *slot = kind;
        }
    }

    /// Memory for a value.
    fn own(&mut self, value: ValueId, loc: Loc) {
        if self.is_scalar(value) {
            return;
        }
        match bytes(self.procedure, value) {
            Ok(bytes) => self.set(value, Kind::Own(bytes)),
            Err(error) => {
                let error = error.at(loc);
                if !self.errors.iter().any(|known| known.message == error.message) {
                    self.errors.push(error);
                }
            }
        }
    }

    fn region(&mut self, region: &Region) {
        for id in &region.insts {
            self.inst(*id);
        }
    }

    fn inst(&mut self, id: InstId) {
        let function = self.function;
        let inst = &function[id];
        match &inst.kind {
            InstKind::Param { name, part } => self.member(id, name, *part),
            InstKind::Const(_) | InstKind::Host(_) | InstKind::Rng { .. } => {
                inst.results.iter().for_each(|result| self.set(*result, Kind::Given));
            }
            InstKind::Op { .. } if self.look(id).is_some() => {
                if let (Some(of), [result]) = (self.look(id), inst.results.as_slice()) {
                    self.set(*result, Kind::Alias(of));
                }
            }
            InstKind::Op { .. } | InstKind::Fused { .. } => {
                inst.results.iter().for_each(|result| self.own(*result, inst.loc));
                if !is_reshape(function, id) {
                    self.kernel(id);
                }
            }
            InstKind::Call { .. } => {
                inst.results.iter().for_each(|result| self.own(*result, inst.loc));
                let callee = self.procedure.calls.get(&id).and_then(|called| self.unit.written.get(called.procedure.0));
                if let Some(callee) = callee.filter(|callee| callee.frame_bytes > 0) {
                    self.places.scratch.insert(id, callee.frame_bytes);
                }
                self.refuse_packed(id);
            }
            InstKind::If { .. } | InstKind::For { .. } | InstKind::While { .. } => {
                inst.results.iter().for_each(|result| self.own(*result, inst.loc));
                for region in Function::regions(&inst.kind) {
                    region.params.iter().for_each(|param| self.own(*param, inst.loc));
                    self.region(region);
                }
                self.refuse_packed(id);
            }
            InstKind::SetState { .. }
            | InstKind::SetSlice { .. }
            | InstKind::Assert { .. }
            | InstKind::Ensure(_)
            | InstKind::Print { .. }
            | InstKind::Yield
            | InstKind::Return => self.refuse_packed(id),
            InstKind::Gradient { .. } => {
                let message = "internal error: autodiff has not run; please report it";
                self.errors.push(TargetError::new(E0602, message).at(inst.loc));
            }
        }
    }

    /// The operand that the result of a reshape shows, if it is one of tensors.
    fn look(&self, id: InstId) -> Option<ValueId> {
        let inst = &self.function[id];
        let (&[operand], &[result]) = (inst.operands.as_slice(), inst.results.as_slice()) else { return None };
        let plain = !matches!(self.places.kind(self.places.root(operand)), Kind::Packed(_) | Kind::Scalar);
        (is_reshape(self.function, id) && plain && !self.is_scalar(result)).then_some(operand)
    }

    fn kernel(&mut self, id: InstId) {
        let places = &self.places;
        let held = |value: ValueId| match places.kind(places.root(value)) {
            Kind::Scalar => Held::Scalar,
            Kind::Packed(format) => Held::Packed(format),
            Kind::Given | Kind::Own(_) | Kind::Alias(_) => Held::Plain,
        };
        let is_weight = |value: ValueId| self.is_weight(value);
        let cx =
            Context { table: self.unit.table, held: &held, is_weight: &is_weight, has_threads: self.unit.has_threads };
        match kernel(&cx, self.function, id) {
            Ok(kernel) => {
                if !kernel.scratch.is_const(0) {
                    self.work(id, &kernel.scratch);
                }
                let (operands, results) = (&self.function[id].operands, &self.function[id].results);
                let pairs = kernel.in_place.iter();
                let pairs =
                    pairs.filter_map(|(result, operand)| Some((*results.get(*result)?, *operands.get(*operand)?)));
                let fits = |(result, operand): &(ValueId, ValueId)| {
                    let bytes = self.places.bytes(*result);
                    bytes.is_some() && bytes == self.places.bytes(*operand)
                };
                let pairs: Vec<_> = pairs.filter(fits).collect();
                self.places.reuses.insert(id, pairs);
                self.places.kernels.insert(id, kernel);
            }
            Err(error) => {
                let loc = error.loc.unwrap_or(self.function[id].loc);
                self.errors.push(error.at(loc));
            }
        }
    }

    /// Memory for an instruction to work in.
    fn work(&mut self, id: InstId, bytes: &Dim) {
        match self.procedure.bounds_of(bytes).high.map(usize::try_from) {
            Some(Ok(bytes)) => drop(self.places.scratch.insert(id, bytes)),
            _ => {
                let error = unbounded(self.procedure, bytes).at(self.function[id].loc);
                if !self.errors.iter().any(|known| known.message == error.message) {
                    self.errors.push(error);
                }
            }
        }
    }

    /// Whether a value is a parameter of the model as the weights file has it, or a part of one.
    fn is_weight(&self, value: ValueId) -> bool {
        let maker = self.function.insts.iter().find(|inst| inst.results.contains(&value));
        let Some(InstKind::Param { name, .. }) = maker.map(|inst| &inst.kind) else { return false };
        matches!(self.unit.stored(self.function, name), Some((Kept::Quantised | Kept::Plain, _)))
    }

    fn member(&mut self, id: InstId, name: &str, part: Part) {
        let inst = &self.function[id];
        let [result] = inst.results.as_slice() else { return };
        let kind = match self.unit.stored(self.function, name) {
            Some((Kept::Quantised, Some(storage))) => match (part, &storage.scheme) {
                (Part::Codes, Some(scheme)) => match Format::of_scheme(scheme) {
                    Format::Int8 => Kind::Given,
                    format => Kind::Packed(format),
                },
                _ => Kind::Given,
            },
            Some((Kept::State | Kept::Transient, _)) if self.changes_while_used(*result, name) => {
                self.own(*result, inst.loc);
                return;
            }
            _ => Kind::Given,
        };
        self.set(*result, kind);
    }

    /// Whether a state is assigned before the last use of what was read of it.
    fn changes_while_used(&self, value: ValueId, name: &str) -> bool {
        let mut found = false;
        self.function.visit(&self.function.body, &mut |id| {
            let kind = &self.function[id].kind;
            if !matches!(kind, InstKind::SetState { .. } | InstKind::SetSlice { .. } | InstKind::Call { .. }) {
                return;
            }
            // What a callee reads through its operand must not change either.
            let reads = matches!(kind, InstKind::Call { .. }) && self.shows(&self.function[id].operands, value);
            let sets = self.unit.effects.sets(self.function, kind);
            found |= Effects::is_set(&sets, name) && (reads || self.is_used_after(value, id));
        });
        found
    }

    /// Whether a value, or another look at it, is used after an instruction.
    fn is_used_after(&self, value: ValueId, id: InstId) -> bool {
        let looks = self.looks(value);
        looks.iter().any(|look| self.lifetimes.is_used_after(*look, id))
    }

    fn shows(&self, operands: &[ValueId], value: ValueId) -> bool {
        let looks = self.looks(value);
        operands.iter().any(|operand| looks.contains(operand))
    }

    /// A value, and what reshapes make of it.
    fn looks(&self, value: ValueId) -> Vec<ValueId> {
        let mut looks = vec![value];
        self.function.visit(&self.function.body, &mut |id| {
            let inst = &self.function[id];
            if is_reshape(self.function, id) && inst.operands.iter().any(|operand| looks.contains(operand)) {
                looks.extend(&inst.results);
            }
        });
        looks
    }

    /// Codes are unpacked by kernels only.
    fn refuse_packed(&mut self, id: InstId) {
        let inst = &self.function[id];
        let is_packed = |value: &ValueId| matches!(self.places.kind(self.places.root(*value)), Kind::Packed(_));
        if inst.operands.iter().any(is_packed) {
            let message = "c cannot hand on packed codes as they are";
            let note = "restore the weight first, or build with `--opt-level 2`";
            self.errors.push(TargetError::new(E0602, message).at(inst.loc).note(note));
        }
    }
}

/// Whether an instruction only gives the same elements another shape.
pub fn is_reshape(function: &Function, id: InstId) -> bool {
    let inst = &function[id];
    let InstKind::Op { op, .. } = &inst.kind else { return false };
    let same_type = match (inst.operands.as_slice(), inst.results.as_slice()) {
        ([operand], [result]) => function.dtype(*operand) == function.dtype(*result),
        _ => false,
    };
    same_type && matches!(op.movement(), Movement::Regroups)
}

/// The bytes that a value takes at most.
fn bytes(procedure: &Procedure, value: ValueId) -> Result<usize, TargetError> {
    let ty = &procedure.function[value].ty;
    let mut count = element_bytes(procedure.function.dtype(value));
    for dim in &ty.shape.dims {
        let Some(high) = procedure.bounds_of(dim).high else { return Err(unbounded(procedure, dim)) };
        count = count
            .checked_mul(high.max(0))
            .ok_or_else(|| TargetError::new(E0602, format!("a tensor {ty} is larger than any memory")))?;
    }
    usize::try_from(count).map_err(|_| TargetError::new(E0602, format!("a tensor {ty} is larger than any memory")))
}

fn unbounded(procedure: &Procedure, dim: &Dim) -> TargetError {
    let symbols = dim.symbols();
    let open = symbols.iter().find(|symbol| procedure.bounds_of_symbol(symbol).high.is_none());
    let name = open.map_or_else(|| dim.to_string(), |symbol| symbol.spoken().to_string());
    TargetError::new(E0609, format!("the size `{name}` has no bound, so that no memory can be planned for it"))
        .note(format!("help: give the largest size with `--shape {name}=64`, or that of an input: `--shape x=64,784`"))
        .note(format!("help: or write the bound into the program: `where {name} <= 64`"))
}
