//! Which axes share a loop.
//!
//! Loops come in groups, one for each list of axes that is walked. Two neighbours in a group become one loop if, in every
//! index that is used, a step of the outer one is as much as all steps of the inner one.

use super::index::linear;
use crate::types::{Dim, Symbol};

/// The loops of one group, as they were the first time.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// A variable for each axis, with its size; none for axes of one element.
    pub axes: Vec<Option<(Symbol, Dim)>>,
    /// A group that must stay as it is.
    pub fixed: bool,
}

/// For each group whether each axis is one with the axis of the next loop.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan(Vec<Vec<bool>>);

impl Plan {
    /// `used` are all indices that occur.
    pub fn of(groups: &[Group], used: &[Dim]) -> Plan {
        Plan(groups.iter().map(|group| joined(group, used)).collect())
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        !self.0.iter().flatten().any(|joins| *joins)
    }

    pub fn joins(&self, group: usize, axis: usize) -> bool {
        self.0.get(group).and_then(|axes| axes.get(axis)).copied().unwrap_or(false)
    }
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
