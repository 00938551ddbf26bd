//! The layout in which products read weights: the inner axis last, so that each sum runs along memory.

use super::Settled;
use crate::ir::{Function, Inst, InstId, InstKind, LayerId, Module, Part, Region, Value, ValueId};
use crate::ops::matmul::TRANSPOSE;
use crate::ops::traits::Product;
use crate::ops::{Attr, Attrs, OpId, builtin};
use crate::passes::copy::push;
use std::collections::{HashMap, HashSet};

/// Puts transpositions before products whose factors lie the other way and are settled; returns how many. They become
/// part of what is computed once.
pub fn choose(module: &Module, function: &mut Function, layer: LayerId) -> usize {
    let settled = Settled::of(module, function, layer);
    let mut wrong: HashSet<ValueId> = HashSet::new();
    let mut other: HashSet<ValueId> = HashSet::new();
    for inst in &function.insts {
        for (index, operand) in inst.operands.iter().enumerate() {
            if lies_wrong(function, inst, index) {
                wrong.insert(*operand)
            } else {
                other.insert(*operand)
            };
        }
    }
    let chosen: HashSet<ValueId> = wrong
        .into_iter()
        .filter(|value| settled.makers.contains_key(value) && !other.contains(value))
        .filter(|value| is_read_once(module, function, &function[settled.makers[value]].kind))
        .collect();
    if chosen.is_empty() {
        return 0;
    }
    let mut transposed = HashMap::new();
    function.change_body(|function, body| region(function, body, &chosen, &mut transposed));
    chosen.len()
}

/// Whether a product reads this operand along another axis than its last.
fn lies_wrong(function: &Function, inst: &Inst, operand: usize) -> bool {
    let InstKind::Op { op, attrs } = &inst.kind else { return false };
    if op.product() != Some(Product::Matrix) || function[inst.operands[operand]].ty.shape.dims.len() < 2 {
        return false;
    }
    // The inner axis is the last one of the left factor, and of a transposed right one.
    attrs.flag(TRANSPOSE[operand]) == (operand == 0)
}

/// Whether nothing but this instruction reads a member: a second layout would be a second copy.
fn is_read_once(module: &Module, function: &Function, kind: &InstKind) -> bool {
    let InstKind::Param { name, part: Part::Value } = kind else { return true };
    let Some(member) = module.member_of(function.layer, name) else { return false };
    let reads = module.functions.iter().flat_map(|other| {
        other.insts.iter().filter(|inst| match &inst.kind {
            InstKind::Param { name, .. } => module.member_of(other.layer, name).as_ref() == Some(&member),
            _ => false,
        })
    });
    reads.count() == 1
}

fn region(
    function: &mut Function,
    region: Region,
    chosen: &HashSet<ValueId>,
    transposed: &mut HashMap<ValueId, ValueId>,
) -> Region {
    let mut kept = vec![];
    for id in region.insts {
        function.change_regions(id, |function, nested| self::region(function, nested, chosen, transposed));
        let mut kind = std::mem::replace(&mut function[id].kind, InstKind::Yield);
        if let InstKind::Op { op, attrs } = &mut kind
            && op.product() == Some(Product::Matrix)
        {
            for (index, flag) in TRANSPOSE.into_iter().enumerate() {
                if let Some(value) = transposed.get(&function[id].operands[index]) {
                    function[id].operands[index] = *value;
                    *attrs = attrs.clone().with_flag(flag, index == 1);
                }
            }
        }
        function[id].kind = kind;
        kept.push(id);
        for result in function[id].results.clone() {
            if chosen.contains(&result) {
                let (inst, value) = transposition(function, id, result);
                transposed.insert(result, value);
                kept.push(inst);
            }
        }
    }
    Region { params: region.params, insts: kept }
}

/// An instruction that exchanges the last two axes of a value.
fn transposition(function: &mut Function, maker: InstId, value: ValueId) -> (InstId, ValueId) {
    let mut ty = function[value].ty.clone();
    let rank = ty.shape.dims.len();
    ty.shape.dims.swap(rank - 2, rank - 1);
    let axes: Vec<i64> = (0..rank as i64 - 2).chain([rank as i64 - 1, rank as i64 - 2]).collect();
    function.values.push(Value { ty, name: None });
    let result = ValueId(function.values.len() as u32 - 1);
    let op: OpId = builtin("permute");
    let kind = InstKind::Op { op, attrs: Attrs::new().with("axes", Attr::ints(&axes)) };
    let loc = function[maker].loc;
    (push(function, Inst { kind, operands: vec![value], results: vec![result], loc }), result)
}
