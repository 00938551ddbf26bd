//! The copies that a plan leaves to be made, in order.
//!
//! Where control flow joins, several values go to several places at once. Written one after another, a copy must not
//! destroy what a later one reads: those whose place nobody reads come first, and what is left then are cycles, which are
//! turned by exchanging.

use super::buffers::{Buffers, carried, carried_params, yielded};
use super::{Destination, Move};
use crate::ir::{Function, InstId, InstKind, Region, ValueId};
use std::collections::BTreeMap;

/// The moves of each instruction that has some.
pub(super) fn of(function: &Function, buffers: &Buffers<'_>) -> BTreeMap<InstId, Vec<Move>> {
    let mut moves = BTreeMap::new();
    let mut add = |inst: Option<&InstId>, found: Vec<Move>| {
        if let (Some(inst), false) = (inst, found.is_empty()) {
            moves.insert(*inst, found);
        }
    };
    function.visit(&function.body, &mut |id| {
        let inst = &function[id];
        let at_end = |region: &Region, to: &[ValueId]| {
            sequence(buffers, to.iter().copied().zip(yielded(function, region).iter().copied()))
        };
        match &inst.kind {
            InstKind::If { then, otherwise } => {
                add(then.insts.last(), at_end(then, &inst.results));
                add(otherwise.insts.last(), at_end(otherwise, &inst.results));
            }
            InstKind::For { body: region, .. } | InstKind::While { cond: region, .. } => {
                let params = carried_params(inst, region).iter().copied();
                add(Some(&id), sequence(buffers, params.zip(carried(inst).iter().copied())));
                let body = if let InstKind::While { body, .. } = &inst.kind { body } else { region };
                let count = carried(inst).len();
                let ends = yielded(function, body);
                let collected = inst.results.iter().zip(ends).skip(count);
                let copied = collected.filter(|(result, value)| !buffers.is_part_of(**value, **result));
                let mut found: Vec<Move> =
                    copied.map(|(result, value)| Move::Copy { from: *value, to: Destination::Part(*result) }).collect();
                // After those, since they overwrite what may be collected.
                found.extend(at_end(body, carried_params(inst, body)));
                add(body.insts.last(), found);
            }
            InstKind::Return => {
                let copied = inst.operands.iter().enumerate();
                let copied = copied.filter(|(position, value)| buffers.result(**value) != Some(*position));
                let copy = |(position, value): (usize, &ValueId)| Move::Copy {
                    from: *value,
                    to: Destination::Result(position),
                };
                add(Some(&id), copied.map(copy).collect());
            }
            _ => {}
        }
    });
    moves
}

/// Puts values into the places of others, all at once in meaning and one after another in fact.
fn sequence(buffers: &Buffers<'_>, pairs: impl Iterator<Item = (ValueId, ValueId)>) -> Vec<Move> {
    let away = |(to, from): &(ValueId, ValueId)| buffers.find(*to) != buffers.find(*from);
    let mut pending: Vec<(ValueId, ValueId)> = pairs.filter(away).collect();
    let mut moves = vec![];
    let is_read = |pending: &[(ValueId, ValueId)], to: ValueId| {
        pending.iter().any(|(_, from)| buffers.find(*from) == buffers.find(to))
    };
    while let Some(free) = pending.iter().position(|(to, _)| !is_read(&pending, *to)) {
        let (to, from) = pending.remove(free);
        moves.push(Move::Copy { from, to: Destination::Value(to) });
    }
    // Each place that is left is read once and written once. After an exchange the first has what it wants, and what it
    // had is where that was.
    while let Some((to, from)) = pending.pop() {
        moves.push(Move::Swap(to, from));
        let (first, second) = (buffers.find(to), buffers.find(from));
        for (_, wanted) in &mut pending {
            if buffers.find(*wanted) == first {
                *wanted = from;
            }
        }
        pending.retain(|(to, from)| !(buffers.find(*to) == second && buffers.find(*from) == second));
    }
    moves
}
