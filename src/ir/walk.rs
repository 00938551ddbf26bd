//! Walks over regions: to look at instructions, and to change what stands in regions.

use crate::ir::{Function, InstId, InstKind, Region, ValueId};
use std::collections::HashSet;

impl Function {
    /// Calls `f` with each instruction of a region, each before those of its own regions.
    pub fn visit(&self, region: &Region, f: &mut dyn FnMut(InstId)) {
        for id in &region.insts {
            f(*id);
            Function::regions(&self[*id].kind).into_iter().for_each(|inner| self.visit(inner, f));
        }
    }

    /// What a region uses of what is defined around it, in the order of first uses.
    pub fn captured(&self, region: &Region) -> Vec<ValueId> {
        let mut uses = Uses { function: self, own: HashSet::new(), seen: HashSet::new(), found: vec![] };
        uses.region(region);
        uses.found
    }

    /// What an instruction uses of what is defined around it: its operands, then what its regions use.
    pub fn used_by(&self, id: InstId) -> Vec<ValueId> {
        let mut uses = Uses { function: self, own: HashSet::new(), seen: HashSet::new(), found: vec![] };
        uses.inst(id);
        uses.found
    }

    /// Puts what `change` makes of the body in its place.
    pub fn change_body(&mut self, change: impl FnOnce(&mut Function, Region) -> Region) {
        let body = std::mem::take(&mut self.body);
        self.body = change(self, body);
    }

    /// Puts what `change` makes of each region of an instruction in its place. Meanwhile the instruction has none.
    pub fn change_regions(&mut self, id: InstId, mut change: impl FnMut(&mut Function, Region) -> Region) {
        let unfailing = |function: &mut Function, region| Ok::<_, std::convert::Infallible>(change(function, region));
        match self.try_change_regions(id, unfailing) {
            Ok(()) => {}
        }
    }

    /// The same where the change may fail; the instruction is not whole then.
    pub fn try_change_regions<E>(
        &mut self,
        id: InstId,
        mut change: impl FnMut(&mut Function, Region) -> Result<Region, E>,
    ) -> Result<(), E> {
        let mut kind = std::mem::replace(&mut self[id].kind, InstKind::Yield);
        for region in Function::regions_mut(&mut kind) {
            *region = change(self, std::mem::take(region))?;
        }
        self[id].kind = kind;
        Ok(())
    }
}

struct Uses<'f> {
    function: &'f Function,
    /// Values that are defined on the way.
    own: HashSet<ValueId>,
    seen: HashSet<ValueId>,
    found: Vec<ValueId>,
}

impl Uses<'_> {
    fn region(&mut self, region: &Region) {
        self.own.extend(&region.params);
        region.insts.iter().for_each(|id| self.inst(*id));
    }

    fn inst(&mut self, id: InstId) {
        let inst = &self.function[id];
        for operand in &inst.operands {
            if !self.own.contains(operand) && self.seen.insert(*operand) {
                self.found.push(*operand);
            }
        }
        Function::regions(&inst.kind).into_iter().for_each(|inner| self.region(inner));
        self.own.extend(&inst.results);
    }
}
