//! Where the values of a function are made: its regions as a tree.

use crate::ir::{Function, InstId, InstKind, Region, ValueId};
use crate::types::Dim;
use std::collections::HashMap;

/// What a region is the body of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Function,
    /// A branch of an `if`: 0 or 1.
    Branch(InstId, usize),
    For(InstId),
    /// The condition or the body of a `while`: 0 or 1.
    While(InstId, usize),
    /// A region that nothing looks into.
    Closed,
}

/// The regions of a function, by number; 0 is its body.
#[derive(Debug, Default)]
pub(super) struct Regions {
    places: Vec<(Option<usize>, Place)>,
    home: HashMap<ValueId, usize>,
    maker: HashMap<ValueId, InstId>,
    /// The number of each region of an instruction.
    below: HashMap<(InstId, usize), usize>,
}

impl Regions {
    pub fn of(function: &Function) -> Regions {
        let mut regions = Regions::default();
        let root = regions.add(None, Place::Function);
        for param in &function.params {
            regions.home.insert(*param, root);
        }
        regions.walk(function, &function.body, root);
        regions
    }

    fn add(&mut self, parent: Option<usize>, place: Place) -> usize {
        self.places.push((parent, place));
        self.places.len() - 1
    }

    fn walk(&mut self, function: &Function, region: &Region, own: usize) {
        for param in &region.params {
            self.home.insert(*param, own);
        }
        for id in &region.insts {
            for result in &function[*id].results {
                self.note(*result, own, *id);
            }
            let kind = &function[*id].kind;
            for (index, inner) in Function::regions(kind).into_iter().enumerate() {
                let place = match kind {
                    InstKind::If { .. } => Place::Branch(*id, index),
                    InstKind::For { .. } => Place::For(*id),
                    InstKind::While { .. } => Place::While(*id, index),
                    _ => Place::Closed,
                };
                let number = self.add(Some(own), place);
                self.below.insert((*id, index), number);
                self.walk(function, inner, number);
            }
        }
    }

    /// A value is made by an instruction of a region.
    pub fn note(&mut self, value: ValueId, region: usize, inst: InstId) {
        self.home.insert(value, region);
        self.maker.insert(value, inst);
    }

    pub fn home(&self, value: ValueId) -> usize {
        self.home.get(&value).copied().unwrap_or(0)
    }

    pub fn maker(&self, value: ValueId) -> Option<InstId> {
        self.maker.get(&value).copied()
    }

    pub fn place(&self, region: usize) -> Place {
        self.places.get(region).map_or(Place::Function, |(_, place)| *place)
    }

    pub fn parent(&self, region: usize) -> usize {
        self.places.get(region).and_then(|(parent, _)| *parent).unwrap_or(0)
    }

    /// The number of an instruction's region.
    pub fn below(&self, inst: InstId, index: usize) -> usize {
        self.below.get(&(inst, index)).copied().unwrap_or(0)
    }

    /// The host int that a value is made of.
    pub fn host_int(&self, function: &Function, value: ValueId) -> Option<Dim> {
        match &function[self.maker(value)?].kind {
            InstKind::Host(expr) => expr.as_dim().cloned(),
            InstKind::Const(tensor) => Some(Dim::constant(*tensor.as_i64()?.first()?)),
            _ => None,
        }
    }
}
