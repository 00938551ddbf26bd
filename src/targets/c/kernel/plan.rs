//! Which axes share a loop, and which need two.
//!
//! Loops come in groups, one for each list of axes that is walked. Two neighbours in a group become one loop if, in every
//! index that is used, a step of the outer one is as much as all steps of the inner one. An axis becomes two loops if
//! indices use its quotient by a number that divides its size, as they do where another shape takes it apart: then no
//! quotient is left.
//!
//! ```text
//! for i < 8:  y[i] = x[i / 4 * 9 + i % 4]   =>   for i < 2, j < 4:  y[i * 4 + j] = x[i * 9 + j]
//! for i < B, j < 8:  y[i * 8 + j] = ..      =>   for i < B * 8:     y[i] = ..
//! ```

use super::index::linear;
use crate::types::dim::Atom;
use crate::types::{Dim, Symbol};

/// The loops of one group, as they were.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// A variable for each axis, with its size; none for axes of one element.
    pub axes: Vec<Option<(Symbol, Dim)>>,
    /// A group whose axes stay apart.
    pub fixed: bool,
}

/// What is done about the axes of each group.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The size of the inner of two loops that an axis becomes.
    splits: Vec<Vec<Option<i64>>>,
    /// Whether an axis, after that, is one with the axis of the next loop.
    joins: Vec<Vec<bool>>,
    /// Whether splits were looked for.
    is_split: bool,
}

impl Plan {
    /// What follows from loops that were written by this plan, and from all indices that they used.
    pub fn next(&self, groups: &[Group], used: &[Dim]) -> Plan {
        if !self.is_split {
            let splits: Vec<Vec<Option<i64>>> = groups.iter().map(|group| splits(group, used)).collect();
            if splits.iter().flatten().any(Option::is_some) {
                return Plan { splits, joins: vec![], is_split: true };
            }
        }
        Plan { joins: groups.iter().map(|group| joined(group, used)).collect(), is_split: true, ..self.clone() }
    }

    /// Whether the loops are as they are without a plan.
    pub fn is_empty(&self) -> bool {
        !self.joins.iter().flatten().any(|joins| *joins) && !self.splits.iter().flatten().any(Option::is_some)
    }

    /// Whether axes are still to be joined.
    pub fn is_open(&self) -> bool {
        self.joins.is_empty()
    }

    pub fn joins(&self, group: usize, axis: usize) -> bool {
        self.joins.get(group).and_then(|axes| axes.get(axis)).copied().unwrap_or(false)
    }

    pub fn split(&self, group: usize, axis: usize) -> Option<i64> {
        self.splits.get(group).and_then(|axes| axes.get(axis)).copied().flatten()
    }
}

/// For each axis the largest divisor of its size by which it is divided.
fn splits(group: &Group, used: &[Dim]) -> Vec<Option<i64>> {
    let split = |(variable, size): &(Symbol, Dim)| {
        let size = size.as_const()?;
        let mut best = None;
        for index in used {
            index.visit_atoms(&mut |atom| {
                if let Atom::FloorDiv(value, divisor) = atom
                    && value.as_symbol() == Some(variable)
                    && let Some(divisor) = divisor.as_const()
                    && divisor > 1
                    && divisor < size
                    && size % divisor == 0
                {
                    best = best.max(Some(divisor));
                }
            });
        }
        best
    };
    group.axes.iter().map(|axis| axis.as_ref().and_then(split)).collect()
}

fn joined(group: &Group, used: &[Dim]) -> Vec<bool> {
    let mut joins = vec![false; group.axes.len()];
    if group.fixed {
        return joins;
    }
    let axes: Vec<(usize, &Symbol, &Dim)> =
        group.axes.iter().enumerate().filter_map(|(at, axis)| axis.as_ref().map(|(v, n)| (at, v, n))).collect();
    for pair in axes.windows(2) {
        let [(at, outer, _), (_, inner, size)] = pair else { continue };
        joins[*at] = used.iter().all(|index| match (linear(index, outer), linear(index, inner)) {
            (Some(step), Some(unit)) => step == unit.mul(size),
            _ => false,
        });
    }
    joins
}
