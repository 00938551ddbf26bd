//! Computes the same thing once.
//!
//! An instruction goes if one of the same kind, operands and types stands before it in the same region or
//! in one around it; its uses get that one's results. Host numbers, constants, members, operations and
//! calls of free functions without effects take part.
//!
//! Needs: nothing. Keeps: effects and their order; a read of a state member is not the same as one before
//! an assignment to it, nor, in a loop that assigns it, as one before the loop. `rng` never takes part.
//!
//! ```text
//! %0 = exp %x : float32[n]                       %0 = exp %x : float32[n]
//! %1 = exp %x : float32[n]                =>     %2 = add %0, %0 : float32[n]
//! %2 = add %0, %1 : float32[n]
//! ```

#[cfg(test)]
mod tests;

use crate::base::F64;
use crate::ir::{FuncId, Function, InstId, InstKind, Module, Part, Region, ValueId};
use crate::ops::{Attrs, OpId};
use crate::passes::PassCx;
use crate::passes::copy::compact;
use crate::passes::effects::Effects;
use crate::passes::rewrite::Replaced;
use crate::types::{DType, HostExpr, Symbol, TensorType};
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};

/// Larger constants are not compared.
const MAX_COMPARED: usize = 1024;

pub(super) fn cse(module: &mut Module, cx: &mut PassCx) {
    let effects = Effects::of(module);
    for function in &mut module.functions {
        let mut pass = Cse { effects: &effects, scopes: vec![], replaced: Replaced::default(), removed: 0 };
        function.change_body(|function, body| pass.region(function, body));
        cx.count("merged", pass.removed);
        if pass.removed > 0 {
            compact(function);
        }
    }
}

/// What makes two instructions the same.
#[derive(PartialEq, Eq)]
struct Key {
    what: What,
    operands: Vec<ValueId>,
    types: Vec<TensorType>,
}

/// Few instructions have all of this in common and differ in the rest, which takes far longer to hash.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.operands.hash(state);
        match &self.what {
            What::Op(op, _) => op.hash(state),
            What::Host(expr) => expr.hash(state),
            What::Const(_, values) => values.hash(state),
            What::Ints(_, values) => values.hash(state),
            What::Param(name, part) => (name, part).hash(state),
            What::Call(func, _) => func.hash(state),
        }
    }
}

#[derive(PartialEq, Eq)]
enum What {
    Op(OpId, Attrs),
    Host(HostExpr),
    /// By bits, so that 0.0 and -0.0 differ.
    Const(DType, Vec<F64>),
    Ints(DType, Vec<i64>),
    Param(String, Part),
    Call(FuncId, Vec<(Symbol, HostExpr)>),
}

struct Cse<'e> {
    effects: &'e Effects,
    /// What is computed already, innermost region last.
    scopes: Vec<HashMap<Key, InstId>>,
    replaced: Replaced,
    removed: usize,
}

impl Cse<'_> {
    fn region(&mut self, function: &mut Function, region: Region) -> Region {
        self.scopes.push(HashMap::with_capacity(region.insts.len()));
        let mut kept = vec![];
        for id in region.insts {
            self.replaced.rename(function, id);
            if self.replaces(function, id) {
                self.removed += 1;
                continue;
            }
            let sets = self.effects.sets(function, &function[id].kind);
            // A loop's body also runs after itself.
            self.forget(&sets);
            // A fused region sees nothing from outside.
            let is_fused = matches!(function[id].kind, InstKind::Fused { .. });
            let outside = is_fused.then(|| std::mem::take(&mut self.scopes));
            function.change_regions(id, |function, nested| self.region(function, nested));
            if let Some(outside) = outside {
                self.scopes = outside;
            }
            self.forget(&sets);
            kept.push(id);
        }
        self.scopes.pop();
        Region { params: region.params, insts: kept }
    }

    /// Replaces the instruction's results by those of an earlier one, or remembers it.
    fn replaces(&mut self, function: &mut Function, id: InstId) -> bool {
        let Some(key) = self.key(function, id) else { return false };
        let Some(earlier) = self.scopes.iter().rev().find_map(|scope| scope.get(&key)).copied() else {
            if let Some(scope) = self.scopes.last_mut() {
                scope.insert(key, id);
            }
            return false;
        };
        let pairs: Vec<(ValueId, ValueId)> =
            function[id].results.iter().copied().zip(function[earlier].results.iter().copied()).collect();
        for (from, to) in pairs {
            self.replaced.put(function, from, to);
        }
        true
    }

    fn key(&self, function: &Function, id: InstId) -> Option<Key> {
        let inst = &function[id];
        let what = match &inst.kind {
            InstKind::Op { op, attrs } => What::Op(*op, attrs.clone()),
            InstKind::Host(expr) => What::Host(expr.clone()),
            InstKind::Const(tensor) if tensor.len() <= MAX_COMPARED => match tensor.as_i64() {
                Some(values) => What::Ints(tensor.dtype(), values.to_vec()),
                None => What::Const(tensor.dtype(), tensor.to_f64().into_iter().map(F64).collect()),
            },
            InstKind::Param { name, part } => What::Param(name.clone(), *part),
            InstKind::Call { func, bindings, path: None, fresh }
                if fresh.is_empty() && !self.effects.acts(function, &inst.kind) =>
            {
                What::Call(*func, bindings.clone())
            }
            InstKind::Const(_)
            | InstKind::Call { .. }
            | InstKind::Rng { .. }
            | InstKind::If { .. }
            | InstKind::For { .. }
            | InstKind::While { .. }
            | InstKind::Gradient { .. }
            | InstKind::Fused { .. }
            | InstKind::SetState { .. }
            | InstKind::SetSlice { .. }
            | InstKind::Assert { .. }
            | InstKind::Ensure(_)
            | InstKind::Print { .. }
            | InstKind::Yield
            | InstKind::Return => return None,
        };
        let types = inst.results.iter().map(|result| function[*result].ty.clone()).collect();
        Some(Key { what, operands: inst.operands.clone(), types })
    }

    fn forget(&mut self, sets: &BTreeSet<String>) {
        if sets.is_empty() {
            return;
        }
        let stays = |key: &Key| !matches!(&key.what, What::Param(name, _) if Effects::is_set(sets, name));
        self.scopes.iter_mut().for_each(|scope| scope.retain(|key, _| stays(key)));
    }
}
