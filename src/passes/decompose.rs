//! Puts the bodies of free functions in the place of their calls.
//!
//! Composite operations such as `softmax` are calls of Tri functions until a target declines them.
//!
//! Needs: nothing. Keeps: functions that the predicate accepts, methods, and their signatures. The values
//! of a call's symbols go into the dims, attributes and types of the body; conditions of the callee become
//! conditions of the caller, or stand before the copies where their symbols exist only there; the copies stand
//! at the place of the call; symbols that a copied instruction binds get another name where theirs is taken;
//! random sites keep their numbers, so the seeds stay the same. Functions that nothing calls any more go, if the module has an entry.
//!
//! ```text
//! func @f(%x: float32[B]) {                          func @f(%x: float32[B]) {
//!   %y = call @twice(%x) {n = B} : float32[B]   =>     %y = add %x, %x : float32[B]
//!   return %y                                          return %y
//! }                                                  }
//! ```

use crate::ir::substitute::Substitution;
use crate::ir::{FuncId, Function, Inst, InstId, InstKind, Module, Region, ValueId, Verified, verify};
use crate::passes::copy::{Copier, empty_like, fresh_symbol, int_symbol, push};
use crate::passes::dce::remove_unreached;
use crate::types::Symbol;
use std::collections::BTreeSet;

/// Inlines the calls of all free functions that `keep` rejects.
pub fn decompose(module: Verified, keep: &dyn Fn(&Function) -> bool) -> Verified {
    let mut changed = module.clone().into_inner();
    if inline_calls(&mut changed, keep) == 0 {
        return module;
    }
    let verified = verify(changed);
    debug_assert!(verified.is_ok(), "decompose broke the module: {:#?}", verified.as_ref().err());
    // A release build goes on with the calls in place, which means the same.
    verified.unwrap_or(module)
}

/// The same on a module that is verified later; returns the number of calls inlined.
pub(super) fn inline_calls(module: &mut Module, keep: &dyn Fn(&Function) -> bool) -> usize {
    let inlined: BTreeSet<FuncId> = (0..module.functions.len() as u32)
        .map(FuncId)
        .filter(|id| module[*id].layer.is_none() && !keep(&module[*id]))
        .collect();
    let mut count = 0;
    let functions: Vec<Function> = module
        .functions
        .iter()
        .map(|function| {
            let calls = function.insts.iter().any(|inst| is_inlined(&inst.kind, &inlined));
            if calls { Inliner::new(module, &inlined, &mut count).function(function) } else { function.clone() }
        })
        .collect();
    module.functions = functions;
    if count > 0 {
        remove_unreached(module);
    }
    count
}

fn is_inlined(kind: &InstKind, inlined: &BTreeSet<FuncId>) -> bool {
    matches!(kind, InstKind::Call { func, .. } if inlined.contains(func))
}

/// Rebuilds one function.
struct Inliner<'m, 'c> {
    module: &'m Module,
    inlined: &'m BTreeSet<FuncId>,
    /// Symbols of the function, indices of the loops that are open, and all that instructions have bound.
    used: BTreeSet<Symbol>,
    /// Symbols that mean something at the function's head.
    head: BTreeSet<Symbol>,
    count: &'c mut usize,
}

impl<'m, 'c> Inliner<'m, 'c> {
    fn new(module: &'m Module, inlined: &'m BTreeSet<FuncId>, count: &'c mut usize) -> Self {
        Inliner { module, inlined, used: BTreeSet::new(), head: BTreeSet::new(), count }
    }

    fn function(mut self, source: &Function) -> Function {
        let hypers = source.layer.iter().flat_map(|layer| &self.module[*layer].hypers).map(|hyper| &hyper.name);
        self.head = hypers.chain(source.symbols.iter().map(|(symbol, _)| symbol)).cloned().collect();
        self.used.clone_from(&self.head);
        let mut target = empty_like(source);
        let mut copier = Copier::new(source, Substitution::default(), None);
        target.params = source.params.iter().map(|param| copier.value(&mut target, *param)).collect();
        target.body = self.region(&mut copier, &mut target, &source.body);
        target.fresh = source.fresh.iter().map(|symbol| copier.substitution.name(symbol)).collect();
        target.results = source.results.iter().map(|ty| copier.substitution.ty(ty)).collect();
        target
    }

    fn region(&mut self, copier: &mut Copier<'_>, target: &mut Function, region: &Region) -> Region {
        let params = region.params.iter().map(|param| copier.value(target, *param)).collect();
        let mut insts = vec![];
        for id in &region.insts {
            self.inst(copier, target, *id, &mut insts);
        }
        Region { params, insts }
    }

    fn inst(&mut self, copier: &mut Copier<'_>, target: &mut Function, id: InstId, out: &mut Vec<InstId>) {
        let source = copier.source;
        let inst = &source[id];
        match &inst.kind {
            InstKind::Call { func, .. } if self.inlined.contains(func) => {
                self.call(copier, target, inst, *func, out);
            }
            InstKind::If { .. }
            | InstKind::For { .. }
            | InstKind::While { .. }
            | InstKind::Gradient { .. }
            | InstKind::Fused { .. } => {
                self.rename_bound(copier, &inst.kind);
                let operands = inst.operands.iter().map(|operand| copier.value(target, *operand)).collect();
                let results = inst.results.iter().map(|result| copier.value(target, *result)).collect();
                let kind = self.nested(copier, target, &inst.kind);
                out.push(push(target, Inst { kind, operands, results, loc: copier.loc_of(inst) }));
            }
            kind => {
                self.rename_bound(copier, kind);
                out.push(copier.inst(target, id));
            }
        }
    }

    /// What an instruction binds stays bound to the end of its region, so that each has a name of its own.
    fn rename_bound(&mut self, copier: &mut Copier<'_>, kind: &InstKind) {
        for symbol in kind.binds() {
            let fresh = fresh_symbol(symbol, &mut self.used);
            copier.substitution.set(symbol.clone(), int_symbol(&fresh));
        }
    }

    fn nested(&mut self, copier: &mut Copier<'_>, target: &mut Function, kind: &InstKind) -> InstKind {
        match kind {
            InstKind::If { then, otherwise } => InstKind::If {
                then: self.region(copier, target, then),
                otherwise: self.region(copier, target, otherwise),
            },
            InstKind::While { turns, cond, body } => InstKind::While {
                turns: turns.as_ref().map(|turns| copier.substitution.name(turns)),
                cond: self.region(copier, target, cond),
                body: self.region(copier, target, body),
            },
            InstKind::Gradient { body } => InstKind::Gradient { body: self.region(copier, target, body) },
            InstKind::Fused { body } => InstKind::Fused { body: self.region(copier, target, body) },
            InstKind::For { index, body } => {
                let fresh = fresh_symbol(index, &mut self.used);
                copier.substitution.set(index.clone(), int_symbol(&fresh));
                let body = self.region(copier, target, body);
                // Only loops within one another need different names.
                self.used.remove(&fresh);
                InstKind::For { index: fresh, body }
            }
            other => other.clone(),
        }
    }

    /// The callee's instructions, then its results in the place of the call's.
    fn call(
        &mut self,
        copier: &mut Copier<'_>,
        target: &mut Function,
        inst: &Inst,
        func: FuncId,
        out: &mut Vec<InstId>,
    ) {
        let InstKind::Call { bindings, fresh, .. } = &inst.kind else { return };
        *self.count += 1;
        let module = self.module;
        let callee = &module[func];
        let bindings = bindings.iter().map(|(name, value)| (name.clone(), copier.substitution.expr(value)));
        let loc = copier.loc_of(inst);
        let mut inner = Copier::new(callee, Substitution::new(bindings), Some(loc));
        for (param, operand) in callee.params.iter().zip(&inst.operands) {
            inner.values.insert(*param, copier.value(target, *operand));
        }
        self.adopt_conditions(callee, &inner.substitution, target, out);
        let given: Vec<ValueId> = inner.values.values().copied().collect();
        let (last, insts) = match callee.body.insts.split_last() {
            Some((last, insts)) => (&callee[*last], insts),
            None => return,
        };
        for id in insts {
            self.inst(&mut inner, target, *id, out);
        }
        for (own, name) in callee.fresh.iter().zip(fresh) {
            copier.substitution.set(name.clone(), int_symbol(&inner.substitution.name(own)));
        }
        for (result, returned) in inst.results.iter().zip(&last.operands) {
            let value = inner.value(target, *returned);
            // What the caller calls the result says more than a name inside the callee.
            let name = &copier.source[*result].name;
            if name.is_some() && !given.contains(&value) {
                target[value].name.clone_from(name);
            }
            copier.values.insert(*result, value);
        }
    }

    fn adopt_conditions(
        &self,
        callee: &Function,
        substitution: &Substitution,
        target: &mut Function,
        out: &mut Vec<InstId>,
    ) {
        for (obligation, loc) in &callee.obligations {
            let adopted = obligation.map_dims(|dim| substitution.dim(dim));
            let (a, b) = adopted.sides();
            let mut symbols = a.symbols();
            symbols.extend(b.symbols());
            let trivial = symbols.is_empty() && a == b;
            let known = target.obligations.iter().any(|(other, _)| other.kind == adopted.kind);
            if !symbols.is_subset(&self.head) {
                let kind = InstKind::Ensure(adopted);
                out.push(push(target, Inst { kind, operands: vec![], results: vec![], loc: *loc }));
            } else if !trivial && !known {
                target.obligations.push((adopted, *loc));
            }
        }
    }
}
