//! Writes a segment with fused instructions in the place of its groups.

use super::groups::{Group, Member};
use super::{Fuse, Segment};
use crate::ir::{Function, Inst, InstId, InstKind, Region, Value, ValueId};
use crate::ops::traits::Role;
use crate::passes::copy::push;
use rustc_hash::{FxHashMap, FxHashSet};

impl Fuse<'_> {
    /// Puts the instructions of a segment to the end of `out`, each after what it uses, else in their order.
    pub(super) fn finish(&mut self, function: &mut Function, segment: Segment, out: &mut Vec<InstId>) {
        let Segment { order, groups } = segment;
        // What stands for each member of a group that is fused.
        let mut stands: FxHashMap<InstId, InstId> = FxHashMap::default();
        for group in groups.into_groups() {
            if !self.is_worth_it(function, &group) {
                continue;
            }
            let fused = self.write(function, &group);
            stands.extend(group.members.iter().map(|member| (member.id, fused)));
        }
        if stands.is_empty() {
            out.extend(order);
            return;
        }
        let rngs = order.iter().filter(|id| matches!(function[**id].kind, InstKind::Rng { .. })).copied().collect();
        let own: FxHashSet<InstId> = order.iter().copied().collect();
        let (seen, done) = (FxHashSet::default(), FxHashSet::default());
        let mut writer = Order { fuse: self, function, stands: &stands, own, rngs, seen, done, out };
        order.iter().for_each(|id| writer.emit(*id));
    }

    /// Whether a group saves anything: two operations, of which one computes. A lookup in a weight need not restore all of it.
    fn is_worth_it(&self, function: &Function, group: &Group) -> bool {
        let mut free = FxHashSet::default();
        for member in &group.members {
            function[member.id].operands.iter().for_each(|operand| self.free_operations(function, *operand, &mut free));
        }
        let restores = free.iter().any(|id| self.restores_weight(function, *id));
        group.members.len() + free.len() >= 2 && (restores || !group.moves_only())
    }

    /// Free operations that a value is made of; constants and host numbers are none.
    fn free_operations(&self, function: &Function, value: ValueId, found: &mut FxHashSet<InstId>) {
        let Some(id) = self.makers.get(&value) else { return };
        if self.role(function, *id) == Some(Role::Free) && matches!(function[*id].kind, InstKind::Op { .. }) {
            found.insert(*id);
            function[*id].operands.iter().for_each(|operand| self.free_operations(function, *operand, found));
        }
    }

    /// The fused instruction of a group. It defines the values that others use; inside stand copies.
    fn write(&mut self, function: &mut Function, group: &Group) -> InstId {
        let members: FxHashSet<InstId> = group.members.iter().map(|member| member.id).collect();
        let is_outside = |user: &InstId| !members.contains(user);
        let escaping =
            |member: &&Member| self.users.get(&member.value).is_some_and(|users| users.iter().any(is_outside));
        let results: Vec<ValueId> = group.members.iter().filter(escaping).map(|member| member.value).collect();
        let mut kernel = Kernel { operands: vec![], params: vec![], copies: FxHashMap::default(), insts: vec![] };
        for member in &group.members {
            self.copy(function, &mut kernel, member.id);
        }
        for result in &results {
            let inner = kernel.copies[result];
            function[inner].name = None;
        }
        let yielded = results.iter().map(|result| kernel.copies[result]).collect();
        let loc = function[group.anchor.unwrap_or(group.members[group.members.len() - 1].id)].loc;
        let end = Inst { kind: InstKind::Yield, operands: yielded, results: vec![], loc: Default::default() };
        kernel.insts.push(push(function, end));
        self.kernels += 1;
        self.operations += group.members.len();
        let body = Region { params: kernel.params, insts: kernel.insts };
        push(function, Inst { kind: InstKind::Fused { body }, operands: kernel.operands, results, loc })
    }

    /// Copies an instruction to the end of a kernel, after the free values that it uses.
    fn copy(&self, function: &mut Function, kernel: &mut Kernel, id: InstId) {
        let Inst { kind, operands, results, loc } = function[id].clone();
        let operands = operands.into_iter().map(|operand| self.copied(function, kernel, operand)).collect();
        let new: Vec<ValueId> = results.iter().map(|result| fresh_like(function, *result)).collect();
        kernel.copies.extend(results.into_iter().zip(new.iter().copied()));
        kernel.insts.push(push(function, Inst { kind, operands, results: new, loc }));
    }

    /// What an operand is called inside a kernel.
    fn copied(&self, function: &mut Function, kernel: &mut Kernel, value: ValueId) -> ValueId {
        if let Some(copy) = kernel.copies.get(&value) {
            return *copy;
        }
        if let Some(id) = self.makers.get(&value)
            && self.role(function, *id) == Some(Role::Free)
        {
            self.copy(function, kernel, *id);
            return kernel.copies[&value];
        }
        let param = fresh_like(function, value);
        kernel.operands.push(value);
        kernel.params.push(param);
        kernel.copies.insert(value, param);
        param
    }
}

/// A fused instruction that is being written.
struct Kernel {
    operands: Vec<ValueId>,
    params: Vec<ValueId>,
    /// Values of the function, as they are called inside.
    copies: FxHashMap<ValueId, ValueId>,
    insts: Vec<InstId>,
}

fn fresh_like(function: &mut Function, value: ValueId) -> ValueId {
    let Value { ty, name } = function[value].clone();
    function.values.push(Value { ty, name });
    ValueId(function.values.len() as u32 - 1)
}

/// Brings the instructions of a segment into an order.
struct Order<'a, 'e> {
    fuse: &'a Fuse<'e>,
    function: &'a Function,
    stands: &'a FxHashMap<InstId, InstId>,
    /// The instructions of the segment.
    own: FxHashSet<InstId>,
    /// Random sites, which keep their order.
    rngs: Vec<InstId>,
    seen: FxHashSet<InstId>,
    done: FxHashSet<InstId>,
    out: &'a mut Vec<InstId>,
}

impl Order<'_, '_> {
    /// Emits an instruction, or what stands for it, after what it uses. Groups do not need one another in circles, so
    /// this ends; the way is kept on a stack of its own, for it may be as long as the segment.
    fn emit(&mut self, id: InstId) {
        let mut open = vec![(self.stand(id), false)];
        while let Some((id, ready)) = open.pop() {
            if ready {
                self.done.insert(id);
                self.out.push(id);
                continue;
            }
            if !self.seen.insert(id) {
                continue;
            }
            open.push((id, true));
            let used = self.function.used_by(id);
            let mut needed: Vec<InstId> =
                used.iter().filter_map(|operand| self.fuse.makers.get(operand).copied()).collect();
            if matches!(self.function[id].kind, InstKind::Rng { .. }) {
                let before = self.rngs.iter().take_while(|rng| **rng != id);
                needed.extend(before.last().copied());
            }
            let needed = needed.into_iter().filter(|id| self.own.contains(id)).map(|id| self.stand(id));
            open.extend(needed.rev().filter(|id| !self.done.contains(id)).map(|id| (id, false)));
        }
    }

    fn stand(&self, id: InstId) -> InstId {
        self.stands.get(&id).copied().unwrap_or(id)
    }
}
