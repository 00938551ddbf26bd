//! Which parameters are factors of products: matrix products and convolutions.
//!
//! [`factors`] follows a parameter from where it is read, through operations that only move elements and through
//! quantisation, into calls. What goes through control flow is not followed. [`uses`] tells the products themselves, in
//! the function that reads the parameter.

use crate::ir::{FuncId, Function, InstId, InstKind, LayerId, Module, Part, Region, ValueId};
use crate::ops::OpId;
use crate::ops::traits::Quantisation;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Storage members, each by its layer and name.
pub type Factors = BTreeSet<(LayerId, String)>;

/// Positions of parameters of functions.
pub type Positions = HashMap<FuncId, HashSet<usize>>;

/// The storage members of a module that are factors of products.
pub fn factors(module: &Module) -> Factors {
    survey(module).0
}

/// The same, and the parameters of each function that are.
pub fn survey(module: &Module) -> (Factors, Positions) {
    let mut params = Positions::new();
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
            return (found, params);
        }
    }
}

/// Positions of the parameters that are factors; members that are go into `found`.
fn function_factors(module: &Module, function: &Function, params: &Positions, found: &mut Factors) -> HashSet<usize> {
    let mut factors: HashSet<ValueId> = HashSet::new();
    mark(function, &function.body, params, &mut factors);
    for inst in &function.insts {
        let InstKind::Param { name, part: Part::Value | Part::Codes } = &inst.kind else { continue };
        if inst.results.iter().any(|result| factors.contains(result))
            && let Some(member) = module.member_of(function.layer, name)
        {
            found.insert(member);
        }
    }
    let positions = function.params.iter().enumerate().filter(|(_, param)| factors.contains(param));
    positions.map(|(position, _)| position).collect()
}

/// One backward sweep: operands refer only to what stands before.
fn mark(function: &Function, region: &Region, params: &Positions, factors: &mut HashSet<ValueId>) {
    for id in region.insts.iter().rev() {
        let inst = &function[*id];
        for nested in Function::regions(&inst.kind) {
            mark(function, nested, params, factors);
        }
        let goes_on = inst.results.iter().any(|result| factors.contains(result));
        match &inst.kind {
            InstKind::Op { op, .. } if op.is_product() => factors.extend(&inst.operands),
            InstKind::Op { op, .. } if goes_on && op.movement().is_some() => factors.extend(&inst.operands),
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
    matches!(op.quantisation(), Some(Quantisation::Quantise | Quantisation::Dequantise))
}

/// A product in a function, with a stored member that it multiplies with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    pub product: InstId,
    /// Which operand the member is.
    pub position: usize,
    /// As the function reads it.
    pub member: String,
    /// What moves its elements on the way: instructions, with the result that goes on.
    pub moves: Vec<(InstId, usize)>,
}

impl Use {
    /// The operand that the member is multiplied with.
    pub fn other(&self) -> usize {
        1 - self.position
    }
}

/// The products of a function with a member that it reads itself. Where both factors are members, there is none.
pub fn uses(function: &Function) -> Vec<Use> {
    let mut found = vec![];
    follow(function, &function.body, &mut Origins::new(), &mut |inst, origins| {
        let InstKind::Op { op, .. } = &function[inst].kind else { return };
        let factors = function[inst].operands.get(..2).filter(|_| op.is_product()).unwrap_or_default();
        let members: Vec<_> = factors.iter().map(|operand| origins.get(operand)).collect();
        let (position, origin) = match members[..] {
            [Some(origin), None] => (0, origin),
            [None, Some(origin)] => (1, origin),
            _ => return,
        };
        found.push(Use { product: inst, position, member: origin.member.clone(), moves: origin.moves.clone() });
    });
    found
}

/// Free functions that are called with a member as a factor of a product within; `wanted` says which members count.
pub fn takers(module: &Module, wanted: &dyn Fn(&Function, &str) -> bool) -> BTreeSet<FuncId> {
    let (_, params) = survey(module);
    let mut found = BTreeSet::new();
    for function in &module.functions {
        follow(function, &function.body, &mut Origins::new(), &mut |inst, origins| {
            let InstKind::Call { func, path: None, .. } = &function[inst].kind else { return };
            let operands = function[inst].operands.iter().enumerate();
            let taken = operands.filter(|(position, _)| params.get(func).is_some_and(|taken| taken.contains(position)));
            let mut members = taken.filter_map(|(_, operand)| origins.get(operand));
            if members.any(|origin| wanted(function, &origin.member)) {
                found.insert(*func);
            }
        });
    }
    found
}

/// A value that is a member, but for the places of its elements.
#[derive(Clone)]
struct Origin {
    member: String,
    moves: Vec<(InstId, usize)>,
}

type Origins = HashMap<ValueId, Origin>;

/// One forward sweep: gives each instruction with the members among the values before it.
fn follow(function: &Function, region: &Region, origins: &mut Origins, visit: &mut dyn FnMut(InstId, &Origins)) {
    for &id in &region.insts {
        let inst = &function[id];
        visit(id, origins);
        for nested in Function::regions(&inst.kind) {
            follow(function, nested, origins, visit);
        }
        match &inst.kind {
            InstKind::Param { name, part: Part::Value | Part::Codes } => {
                let origin = Origin { member: name.clone(), moves: vec![] };
                origins.extend(inst.results.iter().map(|result| (*result, origin.clone())));
            }
            InstKind::Op { op, .. } if op.movement().is_some() => {
                let Some(origin) = inst.operands.iter().find_map(|operand| origins.get(operand)).cloned() else {
                    continue;
                };
                for (index, result) in inst.results.iter().enumerate() {
                    let moves = origin.moves.iter().copied().chain([(id, index)]).collect();
                    origins.insert(*result, Origin { member: origin.member.clone(), moves });
                }
            }
            InstKind::Op { op, .. } if is_quantisation(*op) => {
                let origin = inst.operands.first().and_then(|operand| origins.get(operand)).cloned();
                origins.extend(inst.results.first().copied().zip(origin));
            }
            _ => {}
        }
    }
}
