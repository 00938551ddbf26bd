//! Loops over layers in segments: each is a function of its own, which is computed again for gradients. Between
//! segments only what the loop carries is kept, and within the one that is being reversed what each turn needs.
//!
//! ```text
//! %y = for i in 0 .. depth (..., %x) { ... }    =>    %y = for s in 0 .. 3 (..., %x) {
//!                                                       %0 = call @f.segment(...) {first = s * (depth // 3)}
//!                                                       yield %0
//!                                                     }
//! ```

use super::regions::Regions;
use super::{AutodiffError, Differentiator, Result};
use crate::base::code::E0403;
use crate::ir::substitute::{Substitution, symbol_expr};
use crate::ir::{FuncId, Function, HostKind, Inst, InstId, InstKind, Region, Value, ValueId};
use crate::ops::{Obligation, ObligationKind};
use crate::passes::copy::{Copier, empty_like, fresh_symbol, push};
use crate::types::{DType, Dim, HostExpr, Symbol, TensorType};
use std::collections::BTreeSet;

impl Differentiator {
    /// A copy of a method with its loops over layers in `count` segments each.
    pub(super) fn segmented(&mut self, method: FuncId, count: u32) -> Result<FuncId> {
        let mut function = self.module[method].clone();
        function.name = self.free_name(&format!("{}.segmented", function.name));
        function.exported = false;
        let regions = Regions::of(&function);
        let mut divided = 0;
        for position in 0..function.body.insts.len() {
            let id = function.body.insts[position];
            if !walks_layers(&function, id) {
                continue;
            }
            let bounds = [0, 1].map(|bound| {
                let operand = function[id].operands.get(bound).copied();
                operand.and_then(|operand| regions.host_int(&function, operand))
            });
            let [Some(start), Some(stop)] = bounds else { continue };
            let loc = function[id].loc;
            let size = segment_size(&mut function, &stop.sub(&start), count).map_err(|error| error.or_at(loc))?;
            self.divide(&mut function, position, &start, &size, count);
            divided += 1;
        }
        if divided == 0 {
            let message = format!("`{}` has no loop over layers to divide into segments", function.source_name);
            return Err(AutodiffError::new(message).or_at(function.loc));
        }
        Ok(self.add(function))
    }

    /// Puts a loop over segments in the place of the loop at a position of the body.
    fn divide(&mut self, function: &mut Function, position: usize, start: &Dim, size: &Dim, count: u32) {
        let id = function.body.insts[position];
        let inst = function[id].clone();
        let InstKind::For { index, body } = &inst.kind else { return };
        let mut names: BTreeSet<Symbol> = function.symbols.iter().map(|(symbol, _)| symbol.clone()).collect();
        names.insert(index.clone());
        let first = fresh_symbol(&Symbol::new("first"), &mut names);
        let segment_index = fresh_symbol(&Symbol::new("segment"), &mut names);
        let outer = function.captured(body);
        let segment = self.outline_segment(function, &inst, &outer, &first, size);
        let counter = value(function, &TensorType::scalar(DType::Int64));
        let types: Vec<TensorType> = inst.results.iter().map(|result| function[*result].ty.clone()).collect();
        let carried: Vec<ValueId> = types.iter().map(|ty| value(function, ty)).collect();
        let computed: Vec<ValueId> = types.iter().map(|ty| value(function, ty)).collect();
        let callee = &self.module[segment];
        let begin = Dim::symbol(segment_index.as_str()).mul(size).add(start);
        let binding = |(name, kind): &(Symbol, HostKind)| match *name == first {
            true => (name.clone(), HostExpr::Int(begin.clone())),
            false => (name.clone(), symbol_expr(name, *kind)),
        };
        let bindings = callee.symbols.iter().map(binding).collect();
        let call = InstKind::Call { func: segment, bindings, path: callee.layer.map(|_| vec![]), fresh: vec![] };
        let operands = carried.iter().chain(&outer).copied().collect();
        let loc = inst.loc;
        let call = push(function, Inst { kind: call, operands, results: computed.clone(), loc });
        let end = push(function, Inst { kind: InstKind::Yield, operands: computed, results: vec![], loc });
        let params = std::iter::once(counter).chain(carried).collect();
        let region = Region { params, insts: vec![call, end] };
        let bounds = [Dim::zero(), Dim::constant(i64::from(count))].map(|bound| host(function, bound, &inst));
        let operands = bounds.iter().map(|(_, bound)| *bound).chain(inst.operands[2..].iter().copied()).collect();
        function[id].kind = InstKind::For { index: segment_index, body: region };
        function[id].operands = operands;
        function.body.insts.splice(position..position, bounds.map(|(made, _)| made));
    }

    /// `size` turns of a loop from the symbol `first` on, as a function of what it carries and uses.
    fn outline_segment(
        &mut self,
        function: &Function,
        inst: &Inst,
        outer: &[ValueId],
        first: &Symbol,
        size: &Dim,
    ) -> FuncId {
        let mut target = empty_like(function);
        target.name = self.free_name(&format!("{}.segment", function.name));
        target.source_name = format!("{}_segment", function.source_name);
        (target.std_path, target.exported, target.host_args) = (None, false, Default::default());
        target.maps.clear();
        target.symbols.push((first.clone(), HostKind::Int));
        let mut copier = Copier::new(function, Substitution::default(), None);
        let types: Vec<TensorType> = inst.results.iter().map(|result| function[*result].ty.clone()).collect();
        let carried: Vec<ValueId> = types.iter().map(|ty| value(&mut target, ty)).collect();
        let outer: Vec<ValueId> = outer.iter().map(|used| copier.value(&mut target, *used)).collect();
        target.params = carried.iter().chain(&outer).copied().collect();
        let start = Dim::symbol(first.as_str());
        let bounds = [start.clone(), start.add(size)].map(|bound| host(&mut target, bound, inst));
        let mut kind = inst.kind.clone();
        for region in Function::regions_mut(&mut kind) {
            *region = copier.region(&mut target, &std::mem::take(region));
        }
        let results: Vec<ValueId> = types.iter().map(|ty| value(&mut target, ty)).collect();
        let operands = bounds.iter().map(|(_, bound)| *bound).chain(carried).collect();
        let turns = push(&mut target, Inst { kind, operands, results: results.clone(), loc: inst.loc });
        let end = push(&mut target, Inst { kind: InstKind::Return, operands: results, results: vec![], loc: inst.loc });
        target.body = Region { params: vec![], insts: vec![bounds[0].0, bounds[1].0, turns, end] };
        target.results = types;
        let segment = self.add(target);
        self.segments.insert(segment);
        segment
    }
}

/// Whether an instruction is a `for` that calls sublayers and collects nothing.
fn walks_layers(function: &Function, id: InstId) -> bool {
    let inst = &function[id];
    let InstKind::For { body, .. } = &inst.kind else { return false };
    let mut calls = false;
    function.visit(body, &mut |inner| {
        calls |= matches!(&function[inner].kind, InstKind::Call { path: Some(path), .. } if !path.is_empty());
    });
    calls && inst.operands.len() == inst.results.len() + 2
}

/// How many turns a segment has; what must hold for that becomes a condition of the function.
fn segment_size(function: &mut Function, turns: &Dim, count: u32) -> Result<Dim> {
    let divisor = Dim::constant(i64::from(count.max(1)));
    let message = format!("a loop of {turns} turns does not divide into {divisor} equal segments");
    let (Some(rest), Some(size)) = (turns.modulo(&divisor), turns.floor_div(&divisor)) else {
        return Err(AutodiffError::new(message));
    };
    match rest.as_const() {
        Some(0) => {}
        Some(_) => return Err(AutodiffError::new(message)),
        None => {
            let kind = ObligationKind::Equal(rest, Dim::zero());
            function.obligations.push((Obligation { kind, code: E0403, message }, function.loc));
        }
    }
    Ok(size)
}

fn value(function: &mut Function, ty: &TensorType) -> ValueId {
    function.values.push(Value { ty: ty.clone(), name: None });
    ValueId(function.values.len() as u32 - 1)
}

/// A host number as an `int64`, made where the instruction stands.
fn host(function: &mut Function, number: Dim, at: &Inst) -> (InstId, ValueId) {
    let result = value(function, &TensorType::scalar(DType::Int64));
    let kind = InstKind::Host(HostExpr::Int(number));
    (push(function, Inst { kind, operands: vec![], results: vec![result], loc: at.loc }), result)
}
