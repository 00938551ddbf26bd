//! The walk of passes that put other values in the place of those that instructions make.
//!
//! Instructions come in order; operands are replaced first, and regions are done before the instruction that owns them.

use crate::ir::{Function, InstId, Region, ValueId};
use rustc_hash::FxHashMap;

/// Which values stand for which.
#[derive(Default)]
pub struct Replaced(FxHashMap<ValueId, ValueId>);

impl Replaced {
    /// From here on `to` stands for `from`; where it has no name, it takes that one's.
    pub fn put(&mut self, function: &mut Function, from: ValueId, to: ValueId) {
        if function[to].name.is_none() {
            function[to].name = function[from].name.clone();
        }
        self.put_unnamed(from, to);
    }

    /// The same, for values that nobody gave their names for: parameters of what is put in place.
    pub fn put_unnamed(&mut self, from: ValueId, to: ValueId) {
        self.0.insert(from, to);
    }

    pub fn value(&self, value: ValueId) -> ValueId {
        self.0.get(&value).copied().unwrap_or(value)
    }

    /// Puts in place what stands for the operands of an instruction.
    pub fn rename(&self, function: &mut Function, id: InstId) {
        for operand in &mut function[id].operands {
            *operand = self.value(*operand);
        }
    }
}

/// What a walk has seen so far.
#[derive(Default)]
pub struct Seen {
    /// The instruction of each value. What stands before a use is all that there is to look at.
    pub makers: FxHashMap<ValueId, InstId>,
    pub replaced: Replaced,
}

/// A pass that goes through a function once, from front to back.
pub trait Rewrite {
    fn seen(&mut self) -> &mut Seen;

    /// Adds to `kept` what stands in the place of an instruction: itself, as it is or changed, others, or nothing.
    fn inst(&mut self, function: &mut Function, id: InstId, kept: &mut Vec<InstId>);

    fn function(&mut self, function: &mut Function) {
        function.change_body(|function, body| self.region(function, body));
    }

    fn region(&mut self, function: &mut Function, region: Region) -> Region {
        let mut kept = Vec::with_capacity(region.insts.len());
        for id in region.insts {
            self.seen().replaced.rename(function, id);
            function.change_regions(id, |function, nested| self.region(function, nested));
            self.seen().makers.extend(function[id].results.iter().map(|result| (*result, id)));
            self.inst(function, id, &mut kept);
        }
        Region { params: region.params, insts: kept }
    }
}
