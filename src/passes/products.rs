//! Which parameters are factors of products: matrix products and convolutions.
//!
//! A parameter is followed from where it is read, through operations that only move elements and through
//! quantisation, into calls. What goes through control flow is not followed.

use crate::ir::{FuncId, Function, InstKind, LayerId, Module, Part, Region, ValueId, member_path};
use crate::ops::kinds::Kind;
use crate::ops::{OpId, builtin};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Storage members, each by its layer and name.
pub type Factors = BTreeSet<(LayerId, String)>;

/// The storage members of a module that are factors of products.
pub fn factors(module: &Module) -> Factors {
    let mut params: HashMap<FuncId, HashSet<usize>> = HashMap::new();
    let mut found = Factors::new();
    // A function is seen before those that call it, in as many rounds as calls are deep.
    loop {
        let before = (params.values().map(HashSet::len).sum::<usize>(), found.len());
        for index in 0..module.functions.len() {
            let id = FuncId(index as u32);
            let factors = function_factors(module, &module[id], &params, &mut found);
            params.insert(id, factors);
        }
        if before == (params.values().map(HashSet::len).sum::<usize>(), found.len()) {
            return found;
        }
    }
}

/// Positions of the parameters that are factors; members that are go into `found`.
fn function_factors(
    module: &Module,
    function: &Function,
    params: &HashMap<FuncId, HashSet<usize>>,
    found: &mut Factors,
) -> HashSet<usize> {
    let mut factors: HashSet<ValueId> = HashSet::new();
    mark(function, &function.body, params, &mut factors);
    for inst in &function.insts {
        let InstKind::Param { name, part: Part::Value | Part::Codes } = &inst.kind else { continue };
        if inst.results.iter().any(|result| factors.contains(result))
            && let Some(member) = member_of(module, function, name)
        {
            found.insert(member);
        }
    }
    let positions = function.params.iter().enumerate().filter(|(_, param)| factors.contains(param));
    positions.map(|(position, _)| position).collect()
}

/// One backward sweep: operands refer only to what stands before.
fn mark(
    function: &Function,
    region: &Region,
    params: &HashMap<FuncId, HashSet<usize>>,
    factors: &mut HashSet<ValueId>,
) {
    for id in region.insts.iter().rev() {
        let inst = &function[*id];
        for nested in Function::regions(&inst.kind) {
            mark(function, nested, params, factors);
        }
        let goes_on = inst.results.iter().any(|result| factors.contains(result));
        match &inst.kind {
            InstKind::Op { op, .. } if op.kind() == Kind::Product => factors.extend(&inst.operands),
            InstKind::Op { op, .. } if goes_on && op.kind() == Kind::Moves => factors.extend(&inst.operands),
            InstKind::Op { op, .. } if goes_on && is_quantisation(*op) => factors.extend(inst.operands.first()),
            InstKind::Call { func, .. } => {
                let positions = params.get(func).into_iter().flatten();
                factors.extend(positions.filter_map(|position| inst.operands.get(*position)));
            }
            _ => {}
        }
    }
}

fn is_quantisation(op: OpId) -> bool {
    op == builtin("quantize") || op == builtin("dequantize")
}

/// The layer and own name of a member that a function reads, possibly of a sublayer.
fn member_of(module: &Module, function: &Function, name: &str) -> Option<(LayerId, String)> {
    let layer = function.layer?;
    match member_path(name) {
        None => Some((layer, name.to_string())),
        Some((path, own)) => Some((module.instance_at(layer, &path).ok()?.0, own.to_string())),
    }
}
