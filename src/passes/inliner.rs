//! Puts the bodies of functions in the place of their calls: what `decompose` and `inline` share.
//!
//! The values of a call's symbols, and the hyperparameters of the instance that it is made on, go into the dims,
//! attributes and types of the body. Members of that instance get dotted names: `param "conv.weight"`. What a callee
//! relies on becomes a condition of the caller, or stands before the copies where it holds only there. Symbols that a
//! copied instruction binds get another name where theirs is taken. Random sites keep their numbers and say which part
//! draws, so seeds stay the same.
//!
//! A call stays where only a run tells which instance it is made on (a loop over a list of layers), where a free
//! function that stays a call would draw its seeds in another instance's name, and where the caller would grow beyond
//! [`MAX_INSTRUCTIONS`]: calls form a graph, whose expansion may be of any size.
//! A function stays as it is where the types of its copies cannot be proved anew: that a size fits may be known in the
//! callee only, from the form that it has there.

use crate::ir::substitute::Substitution;
use crate::ir::verify::is_sound;
use crate::ir::{FuncId, Function, Inst, InstId, InstKind, Module, PathSegment, Region, ValueId, part_name, part_path};
use crate::ops::{Obligation, ObligationKind};
use crate::passes::copy::{Copier, empty_like, fresh_symbol, int_symbol, push};
use crate::passes::dce::remove_unreached;
use crate::types::{Dim, Facts, Symbol};
use std::collections::BTreeSet;

/// No function grows beyond this by what is put into it.
pub(super) const MAX_INSTRUCTIONS: usize = 1 << 14;

/// A call that might be replaced: of which function, by which, on which of its parts.
pub(super) struct Site<'a> {
    pub module: &'a Module,
    pub caller: &'a Function,
    pub callee: &'a Function,
    /// From the caller's own instance; `None` for a free function.
    pub path: Option<&'a [PathSegment]>,
}

/// Replaces the calls that `wanted` accepts, as far as that can be done, and removes functions that nothing calls any
/// more, if the module has an entry. Returns the number of calls that are gone from what is left.
pub(super) fn inline_calls(module: &mut Module, wanted: &dyn Fn(&Site<'_>) -> bool) -> usize {
    let order = callees_first(module);
    let mut draws = vec![false; module.functions.len()];
    let mut count = 0;
    for index in order {
        let program = Program { module, draws: &draws, wanted };
        let rebuilt = Inliner::new(&program, &module.functions[index]).run();
        if let Some((function, replaced)) = rebuilt.filter(|(function, _)| is_sound(module, function)) {
            count += replaced;
            module.functions[index] = function;
        }
        draws[index] = module.functions[index].insts.iter().any(|inst| match &inst.kind {
            InstKind::Rng { .. } => true,
            InstKind::Call { func, path: None, .. } => draws[func.0 as usize],
            _ => false,
        });
    }
    if count > 0 {
        remove_unreached(module);
    }
    count
}

/// The functions' positions, each after those of the functions that it calls.
fn callees_first(module: &Module) -> Vec<usize> {
    let mut seen = vec![false; module.functions.len()];
    let mut order = vec![];
    for root in 0..module.functions.len() {
        // What is open, and whether its callees are done.
        let mut open = vec![(root, false)];
        while let Some((index, done)) = open.pop() {
            if done {
                order.push(index);
            } else if !std::mem::replace(&mut seen[index], true) {
                open.push((index, true));
                let callees = module.functions[index].insts.iter().filter_map(|inst| match inst.kind {
                    InstKind::Call { func, .. } => Some(func.0 as usize),
                    _ => None,
                });
                open.extend(callees.map(|callee| (callee, false)));
            }
        }
    }
    order
}

/// What all functions see: the module, in which the functions that they call are done.
struct Program<'a> {
    module: &'a Module,
    /// Functions that draw seeds in the name of the instance that runs, themselves or through free functions.
    draws: &'a [bool],
    wanted: &'a dyn Fn(&Site<'_>) -> bool,
}

/// A function that is being copied, and the part of the target's instance that it runs on.
struct Frame<'s> {
    copier: Copier<'s>,
    part: Vec<PathSegment>,
}

/// Rebuilds one function.
struct Inliner<'a> {
    program: &'a Program<'a>,
    source: &'a Function,
    /// Symbols of the function, indices of the loops that are open, and all that instructions have bound.
    used: BTreeSet<Symbol>,
    /// Symbols that mean something at the function's head.
    head: BTreeSet<Symbol>,
    /// What the conditions of the function say.
    facts: Facts,
    /// Regions that are open around what is being copied.
    depth: usize,
    count: usize,
}

impl<'a> Inliner<'a> {
    fn new(program: &'a Program<'a>, source: &'a Function) -> Inliner<'a> {
        let hypers = source.layer.iter().flat_map(|layer| &program.module[*layer].hypers).map(|hyper| &hyper.name);
        let head: BTreeSet<Symbol> = hypers.chain(source.symbols.iter().map(|(symbol, _)| symbol)).cloned().collect();
        let facts = program.module.facts(source);
        Inliner { program, source, used: head.clone(), head, facts, depth: 0, count: 0 }
    }

    /// The function with bodies in the place of calls, and how many; `None` if there is nothing to replace.
    fn run(mut self) -> Option<(Function, usize)> {
        let source = self.source;
        let mut calls = source.insts.iter().filter_map(|inst| match &inst.kind {
            InstKind::Call { func, path, .. } => Some((*func, path.as_deref())),
            _ => None,
        });
        if !calls.any(|(func, path)| self.is_wanted(func, path)) {
            return None;
        }
        let mut target = empty_like(source);
        let mut frame = Frame { copier: Copier::new(source, Substitution::default(), None), part: vec![] };
        target.params = source.params.iter().map(|param| frame.copier.value(&mut target, *param)).collect();
        target.body = self.region(&mut frame, &mut target, &source.body);
        target.fresh = source.fresh.iter().map(|symbol| frame.copier.substitution.name(symbol)).collect();
        target.results = source.results.iter().map(|ty| frame.copier.substitution.ty(ty)).collect();
        Some((target, self.count))
    }

    /// Whether a call on a part of the target's instance is to go, and can.
    fn is_wanted(&self, func: FuncId, path: Option<&[PathSegment]>) -> bool {
        let program = self.program;
        let callee = &program.module[func];
        let site = Site { module: program.module, caller: self.source, callee, path };
        let moves = path.is_some_and(|path| !path.is_empty());
        let can_move = || {
            let draws_here = |inst: &Inst| matches!(inst.kind, InstKind::Call { func, path: None, .. } if program.draws[func.0 as usize]);
            path.is_some_and(|path| part_name(path).is_some()) && !callee.insts.iter().any(draws_here)
        };
        (program.wanted)(&site) && (!moves || can_move())
    }

    fn region(&mut self, frame: &mut Frame<'_>, target: &mut Function, region: &Region) -> Region {
        let params = region.params.iter().map(|param| frame.copier.value(target, *param)).collect();
        let mut insts = vec![];
        for id in &region.insts {
            self.inst(frame, target, *id, &mut insts);
        }
        Region { params, insts }
    }

    fn inst(&mut self, frame: &mut Frame<'_>, target: &mut Function, id: InstId, out: &mut Vec<InstId>) {
        let source = frame.copier.source;
        let inst = &source[id];
        match &inst.kind {
            InstKind::Call { func, path, .. } if self.is_replaced(frame, target, *func, path.as_deref()) => {
                self.call(frame, target, inst, out);
            }
            InstKind::If { .. }
            | InstKind::For { .. }
            | InstKind::While { .. }
            | InstKind::Gradient { .. }
            | InstKind::Fused { .. } => {
                self.rename_bound(&mut frame.copier, &inst.kind);
                let operands = inst.operands.iter().map(|operand| frame.copier.value(target, *operand)).collect();
                let results = inst.results.iter().map(|result| frame.copier.value(target, *result)).collect();
                self.depth += 1;
                let kind = self.nested(frame, target, &inst.kind);
                self.depth -= 1;
                out.push(push(target, Inst { kind, operands, results, loc: frame.copier.loc_of(inst) }));
            }
            kind => {
                self.rename_bound(&mut frame.copier, kind);
                let copy = frame.copier.inst(target, id);
                relocate(&mut target[copy].kind, &frame.part);
                out.push(copy);
            }
        }
    }

    fn is_replaced(&self, frame: &Frame<'_>, target: &Function, func: FuncId, path: Option<&[PathSegment]>) -> bool {
        let path = path.map(|path| frame.path(path));
        let size = self.program.module[func].insts.len();
        target.insts.len() + size <= MAX_INSTRUCTIONS && self.is_wanted(func, path.as_deref())
    }

    /// What an instruction binds stays bound to the end of its region, so that each has a name of its own.
    fn rename_bound(&mut self, copier: &mut Copier<'_>, kind: &InstKind) {
        for symbol in kind.binds() {
            let fresh = fresh_symbol(symbol, &mut self.used);
            copier.substitution.set(symbol.clone(), int_symbol(&fresh));
        }
    }

    fn nested(&mut self, frame: &mut Frame<'_>, target: &mut Function, kind: &InstKind) -> InstKind {
        match kind {
            InstKind::If { then, otherwise } => InstKind::If {
                then: self.region(frame, target, then),
                otherwise: self.region(frame, target, otherwise),
            },
            InstKind::While { turns, cond, body } => InstKind::While {
                turns: turns.as_ref().map(|turns| frame.copier.substitution.name(turns)),
                cond: self.region(frame, target, cond),
                body: self.region(frame, target, body),
            },
            InstKind::Gradient { body } => InstKind::Gradient { body: self.region(frame, target, body) },
            InstKind::Fused { body } => InstKind::Fused { body: self.region(frame, target, body) },
            InstKind::For { index, body } => {
                let fresh = fresh_symbol(index, &mut self.used);
                frame.copier.substitution.set(index.clone(), int_symbol(&fresh));
                let body = self.region(frame, target, body);
                // Only loops within one another need different names.
                self.used.remove(&fresh);
                InstKind::For { index: fresh, body }
            }
            other => other.clone(),
        }
    }

    /// The callee's instructions, then its results in the place of the call's.
    fn call(&mut self, frame: &mut Frame<'_>, target: &mut Function, inst: &Inst, out: &mut Vec<InstId>) {
        let InstKind::Call { func, bindings, path, fresh } = &inst.kind else { return };
        let callee = &self.program.module[*func];
        let Some((last, insts)) = callee.body.insts.split_last() else { return };
        self.count += 1;
        let mut inner = self.callee_frame(frame, callee, path.as_deref(), inst);
        let substitution = &frame.copier.substitution;
        let bindings = bindings.iter().map(|(name, value)| (name.clone(), substitution.expr(value)));
        inner.copier.substitution.extend(bindings.collect::<Vec<_>>());
        for (param, operand) in callee.params.iter().zip(&inst.operands) {
            inner.copier.values.insert(*param, frame.copier.value(target, *operand));
        }
        self.adopt_conditions(callee, &inner, target, out);
        let given: Vec<ValueId> = inner.copier.values.values().copied().collect();
        for id in insts {
            self.inst(&mut inner, target, *id, out);
        }
        for (own, name) in callee.fresh.iter().zip(fresh) {
            frame.copier.substitution.set(name.clone(), int_symbol(&inner.copier.substitution.name(own)));
        }
        for (result, returned) in inst.results.iter().zip(&callee[*last].operands) {
            let value = inner.copier.value(target, *returned);
            // What the caller calls the result says more than a name inside the callee.
            let name = &frame.copier.source[*result].name;
            if name.is_some() && !given.contains(&value) {
                target[value].name.clone_from(name);
            }
            frame.copier.values.insert(*result, value);
        }
    }

    /// Where the callee's instructions come from, with the hyperparameters of its instance replaced. Those of a
    /// method keep their places in the source; those of a free function stand for the call.
    fn callee_frame<'s>(
        &self,
        frame: &Frame<'_>,
        callee: &'s Function,
        path: Option<&[PathSegment]>,
        inst: &Inst,
    ) -> Frame<'s> {
        let Some(path) = path else {
            let copier = Copier::new(callee, Substitution::default(), Some(frame.copier.loc_of(inst)));
            return Frame { copier, part: frame.part.clone() };
        };
        let part = frame.path(path);
        let instance = self.source.layer.and_then(|layer| self.program.module.instance_at(layer, &part).ok());
        let hypers = instance.map_or_else(Substitution::default, |(_, hypers)| hypers);
        Frame { copier: Copier::new(callee, hypers, frame.copier.loc), part }
    }

    /// What the callee relies on: its own conditions and, of a part, those of its layer, which are checked when the
    /// instance is made and so hold everywhere.
    fn adopt_conditions(&mut self, callee: &Function, inner: &Frame<'_>, target: &mut Function, out: &mut Vec<InstId>) {
        let layer = callee.layer.filter(|_| !inner.part.is_empty()).map(|layer| &self.program.module[layer]);
        let of_layer = layer.iter().flat_map(|layer| layer.obligations.iter().map(|own| (own, layer.loc, true)));
        let own = callee.obligations.iter().map(|(own, loc)| (own, *loc, self.depth == 0));
        let conditions: Vec<_> = of_layer.chain(own).collect();
        for (obligation, loc, holds_at_head) in conditions {
            let adopted = obligation.map_dims(|dim| inner.copier.substitution.dim(dim));
            if is_implied(&adopted, &self.facts) {
                continue;
            }
            let (a, b) = adopted.sides();
            let symbols: BTreeSet<Symbol> = a.symbols().into_iter().chain(b.symbols()).collect();
            if holds_at_head && symbols.is_subset(&self.head) {
                adopted.assume(&mut self.facts);
                let known = target.obligations.iter().any(|(other, _)| other.kind == adopted.kind);
                if !known {
                    target.obligations.push((adopted, loc));
                }
            } else {
                let kind = InstKind::Ensure(adopted);
                out.push(push(target, Inst { kind, operands: vec![], results: vec![], loc }));
            }
        }
    }
}

impl Frame<'_> {
    /// A path from the instance that the copied function runs on, as one from the target's.
    fn path(&self, path: &[PathSegment]) -> Vec<PathSegment> {
        [self.part.clone(), self.copier.substitution.path(path)].concat()
    }
}

/// Moves what an instruction does with its own instance to the part of another.
fn relocate(kind: &mut InstKind, part: &[PathSegment]) {
    let Some(name) = part_name(part).filter(|name| !name.is_empty()) else { return };
    match kind {
        InstKind::Param { name: own, .. } | InstKind::SetState { name: own } | InstKind::SetSlice { name: own, .. } => {
            *own = format!("{name}.{own}");
        }
        InstKind::Rng { part: own, .. } if own.is_empty() => *own = name,
        InstKind::Rng { part: own, .. } => *own = format!("{name}.{own}"),
        InstKind::Call { path: Some(path), .. } => *path = [part_path(&name), std::mem::take(path)].concat(),
        _ => {}
    }
}

/// Whether a condition follows from what is known.
fn is_implied(obligation: &Obligation, facts: &Facts) -> bool {
    match &obligation.kind {
        ObligationKind::Equal(a, b) => facts.equal(a, b),
        ObligationKind::AtLeast(a, b) => facts.at_least(a, b) == Some(true),
        ObligationKind::Broadcast(a, b) => facts.equal(a, b) || [a, b].contains(&&Dim::constant(1)),
    }
}
