//! Which values share their bytes.
//!
//! Some must: another look at a value is where that is, and what a loop carries has one place. Others may, if they are
//! never needed at one point: a result and an operand that it may be written over, what a region yields and where it is
//! wanted, what is returned and the caller's memory for it. Each such sharing saves memory or a copy.
//!
//! Two values are needed at one point also where an instruction reads one while it writes the other. Intervals do not
//! tell: an operand ends at the point where it is read, a result begins at the next. So such pairs are noted apart.

use super::allocate::Block;
use super::lifetimes::{Interval, Lifetimes, is_whole, overlap, tidy};
use super::{Memory, Place, Strategy, padded};
use crate::ir::{Function, Inst, InstId, InstKind, Region, ValueId};
use crate::types::{DType, Dim};
use std::collections::{BTreeMap, BTreeSet};

/// The buffers of a function, each named by the value that stands for it.
pub(super) struct Buffers<'a> {
    function: &'a Function,
    memory: &'a dyn Memory,
    lifetimes: &'a Lifetimes,
    /// For each value, one that is nearer to the one that stands for its buffer, or itself.
    nearer: Vec<u32>,
    /// By the value that stands for it.
    buffers: BTreeMap<u32, Buffer>,
}

struct Buffer {
    members: Vec<ValueId>,
    /// Where any member is needed.
    live: Vec<Interval>,
    /// Buffers of which one is read while another is written.
    conflicts: BTreeSet<u32>,
    /// `None` for values that are not planned.
    bytes: Option<usize>,
    /// The type of all members, whatever sizes a run brings; `None` if they differ.
    size: Option<(DType, Dim)>,
    /// The result of the function of which it is the memory.
    result: Option<usize>,
    part: Option<(ValueId, InstId)>,
}

impl<'a> Buffers<'a> {
    pub fn of(
        function: &'a Function,
        memory: &'a dyn Memory,
        lifetimes: &'a Lifetimes,
        strategy: Strategy,
    ) -> Buffers<'a> {
        let count = function.values.len() as u32;
        let mut buffers =
            Buffers { function, memory, lifetimes, nearer: (0..count).collect(), buffers: BTreeMap::new() };
        buffers.must_share();
        buffers.collect();
        let insts: Vec<InstId> = lifetimes.insts().collect();
        insts.iter().for_each(|inst| buffers.note_conflicts(*inst));
        buffers.results();
        if strategy != Strategy::None {
            insts.iter().for_each(|inst| buffers.join_yields(*inst));
            insts.iter().for_each(|inst| buffers.join_operands(*inst));
            insts.iter().for_each(|inst| buffers.join_reuses(*inst));
            insts.iter().for_each(|inst| buffers.join_parts(*inst));
        }
        buffers
    }

    /// The value that stands for the buffer of a value.
    pub fn find(&self, value: ValueId) -> u32 {
        let mut at = value.0;
        while self.nearer[at as usize] != at {
            at = self.nearer[at as usize];
        }
        at
    }

    /// The buffers that need bytes of the arena: not those of values within kernels, which are nowhere.
    pub fn in_arena(&self) -> impl Iterator<Item = u32> + '_ {
        let needs = |buffer: &Buffer| {
            buffer.bytes.is_some() && buffer.result.is_none() && buffer.part.is_none() && !buffer.live.is_empty()
        };
        self.buffers.iter().filter(move |(_, buffer)| needs(buffer)).map(|(id, _)| *id)
    }

    /// A buffer for the allocation: there, results are written while operands are read.
    pub fn block(&self, id: u32) -> Block {
        let buffer = &self.buffers[&id];
        let mut lifetime: Vec<Interval> = buffer.live.iter().map(|(first, last)| (first / 2 * 2, *last)).collect();
        tidy(&mut lifetime);
        Block { bytes: padded(buffer.bytes.unwrap_or(0)), lifetime }
    }

    /// What stands for a buffer that is live at a point, and its bytes.
    pub fn live_at(&self, id: u32, point: u32) -> Option<(ValueId, usize)> {
        let buffer = &self.buffers[&id];
        let at = |(first, last): &Interval| first / 2 * 2 <= point && point <= *last;
        let is_live = |value: &&ValueId| self.lifetimes.value(**value).iter().any(at);
        // The latest: it is what the point is about.
        let value = buffer.members.iter().filter(is_live).max()?;
        Some((*value, padded(buffer.bytes?)))
    }

    pub fn place(&self, value: ValueId, offsets: &BTreeMap<u32, usize>) -> Place {
        let id = self.find(value);
        let buffer = &self.buffers[&id];
        match (buffer.result, buffer.part, offsets.get(&id)) {
            (Some(position), _, _) => Place::Result(position),
            (None, Some((of, turns)), _) => Place::Part { of, turns },
            (None, None, Some(offset)) => Place::Arena(*offset),
            (None, None, None) => Place::Own(ValueId(id)),
        }
    }

    /// The result of the function whose memory a value is in.
    pub fn result(&self, value: ValueId) -> Option<usize> {
        self.buffers[&self.find(value)].result
    }

    /// Whether a value is in its part of what a loop collects in another.
    pub fn is_part_of(&self, value: ValueId, collected: ValueId) -> bool {
        self.buffers[&self.find(value)].part.is_some_and(|(of, _)| of == collected)
    }

    /// Other looks, and what loops carry.
    fn must_share(&mut self) {
        for index in 0..self.function.values.len() as u32 {
            if let Some(source) = self.memory.alias(ValueId(index)) {
                self.nearer[index as usize] = self.find(source);
            }
        }
        for inst in self.lifetimes.insts() {
            let inst = &self.function[inst];
            for (position, result) in inst.results.iter().take(carried(inst).len()).enumerate() {
                let params = regions(inst).into_iter().filter_map(|region| carried_params(inst, region).get(position));
                let same: Vec<u32> = params.chain([result]).map(|value| self.find(*value)).collect();
                same[1..].iter().for_each(|other| self.nearer[*other as usize] = same[0]);
            }
        }
    }

    fn collect(&mut self) {
        let mut members: BTreeMap<u32, Vec<ValueId>> = BTreeMap::new();
        for index in 0..self.function.values.len() as u32 {
            members.entry(self.find(ValueId(index))).or_default().push(ValueId(index));
        }
        let buffer = |members: Vec<ValueId>| {
            let own = members.iter().filter(|value| self.memory.alias(**value).is_none());
            let bytes: Option<Vec<usize>> = own.map(|value| self.memory.bytes(*value)).collect();
            let mut live = members.iter().flat_map(|value| self.lifetimes.value(*value)).copied().collect();
            tidy(&mut live);
            let sizes: Vec<_> = members.iter().map(|value| self.size(*value)).collect();
            let size =
                sizes.first().cloned().flatten().filter(|first| sizes.iter().flatten().all(|size| size == first));
            Buffer {
                bytes: bytes.and_then(|bytes| bytes.into_iter().max()),
                size: size.filter(|_| sizes.iter().all(Option::is_some)),
                members,
                live,
                conflicts: BTreeSet::new(),
                result: None,
                part: None,
            }
        };
        self.buffers = members.into_iter().map(|(id, members)| (id, buffer(members))).collect();
    }

    fn size(&self, value: ValueId) -> Option<(DType, Dim)> {
        let ty = &self.function[value].ty;
        Some((ty.dtype()?, ty.shape.elements()?))
    }

    /// Results and operands of which one is written while the other is read.
    fn note_conflicts(&mut self, id: InstId) {
        let inst = &self.function[id];
        if !is_whole(&inst.kind) || inst.results.is_empty() {
            return;
        }
        let reuses = self.memory.reuses(id);
        for operand in self.function.used_by(id) {
            for result in &inst.results {
                let (a, b) = (self.find(*result), self.find(operand));
                if a != b && !reuses.contains(&(*result, operand)) {
                    self.conflict(a, b);
                }
            }
        }
    }

    fn conflict(&mut self, a: u32, b: u32) {
        if self.buffers[&a].bytes.is_some() && self.buffers[&b].bytes.is_some() {
            for (one, other) in [(a, b), (b, a)] {
                self.buffers.entry(one).and_modify(|buffer| buffer.conflicts.extend([other]));
            }
        }
    }

    /// What is returned is computed in the caller's memory, each in the first result that it is.
    fn results(&mut self) {
        let Some(last) = self.function.body.insts.last() else { return };
        for (position, value) in self.function[*last].operands.iter().enumerate() {
            let id = self.find(*value);
            let is_same = self.function.results.get(position).is_some_and(|ty| {
                let size = ty.dtype().zip(ty.shape.elements());
                size.is_some() && self.buffers[&id].size == size
            });
            if let Some(buffer) = self.buffers.get_mut(&id)
                && is_same
                && buffer.bytes.is_some()
                && buffer.result.is_none()
            {
                buffer.result = Some(position);
            }
        }
    }

    /// Makes one buffer of two, if nothing is lost by it.
    fn join(&mut self, a: ValueId, b: ValueId) -> bool {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return true;
        }
        let (left, right) = (&self.buffers[&a], &self.buffers[&b]);
        let (Some(left_bytes), Some(right_bytes)) = (left.bytes, right.bytes) else { return false };
        let is_result = left.result.or(right.result).is_some();
        // A run may bring smaller sizes, and the caller's memory is of these.
        let fits_result = !is_result
            || left.result.is_none() != right.result.is_none() && left.size.is_some() && left.size == right.size;
        let shares = padded(left_bytes) == padded(right_bytes)
            && fits_result
            && !left.conflicts.contains(&b)
            && !overlap(&left.live, &right.live);
        if !shares {
            return false;
        }
        let Some(gone) = self.buffers.remove(&b) else { return false };
        self.nearer[b as usize] = a;
        for other in &gone.conflicts {
            if let Some(other) = self.buffers.get_mut(other) {
                other.conflicts.remove(&b);
                other.conflicts.insert(a);
            }
        }
        if let Some(kept) = self.buffers.get_mut(&a) {
            kept.size = kept.size.take().filter(|size| gone.size.as_ref() == Some(size));
            kept.members.extend(gone.members);
            kept.live.extend(gone.live);
            tidy(&mut kept.live);
            kept.conflicts.extend(gone.conflicts);
            kept.bytes = kept.bytes.max(gone.bytes);
            kept.result = kept.result.or(gone.result);
        }
        true
    }

    /// What regions yield is computed where it is wanted.
    fn join_yields(&mut self, id: InstId) {
        let inst = &self.function[id];
        let ending: Vec<&Region> = match &inst.kind {
            InstKind::If { then, otherwise } => vec![then, otherwise],
            InstKind::For { body, .. } | InstKind::While { body, .. } => vec![body],
            _ => return,
        };
        let count = if matches!(inst.kind, InstKind::If { .. }) { inst.results.len() } else { carried(inst).len() };
        for region in ending {
            for (result, value) in inst.results.iter().take(count).zip(yielded(self.function, region)) {
                self.join(*result, *value);
            }
        }
    }

    /// What a loop begins with, too.
    fn join_operands(&mut self, id: InstId) {
        let inst = &self.function[id];
        for (result, operand) in inst.results.iter().zip(carried(inst)) {
            self.join(*result, *operand);
        }
    }

    /// Results are written over operands, of several over the one that is needed for the shortest time: it leaves the
    /// most room for others.
    fn join_reuses(&mut self, id: InstId) {
        let inst = &self.function[id];
        if !is_whole(&inst.kind) {
            return;
        }
        let reuses = self.memory.reuses(id);
        for result in &inst.results {
            let operands = reuses.iter().filter(|(place, _)| place == result).map(|(_, operand)| *operand);
            let mut operands: Vec<ValueId> = operands.collect();
            operands.sort_by_key(|operand| length(&self.buffers[&self.find(*operand)].live));
            let _ = operands.into_iter().any(|operand| self.join(*result, operand));
        }
    }

    /// What a loop collects is computed in its part of that, where the parts are aligned and no run brings smaller ones.
    fn join_parts(&mut self, id: InstId) {
        let inst = &self.function[id];
        let (InstKind::For { body, .. } | InstKind::While { body, .. }) = &inst.kind else { return };
        let carried = carried(inst).len();
        let collected = inst.results.iter().zip(yielded(self.function, body)).skip(carried);
        for (result, value) in collected {
            let buffer = self.find(*value);
            let (Some(bytes), Some(_)) = (self.memory.bytes(*value), self.memory.bytes(*result)) else { continue };
            let Some(buffer) = self.buffers.get_mut(&buffer) else { continue };
            let is_fixed = buffer.size.as_ref().is_some_and(|(_, elements)| elements.as_const().is_some());
            let is_of_turn = buffer.members.iter().all(|member| self.lifetimes.is_of_turn(*member, id));
            let is_free = buffer.part.is_none() && buffer.result.is_none();
            if is_fixed && is_of_turn && is_free && padded(bytes) == bytes && buffer.bytes == Some(bytes) {
                buffer.part = Some((*result, id));
            }
        }
    }
}

fn length(intervals: &[Interval]) -> u32 {
    intervals.iter().map(|(first, last)| last - first + 1).sum()
}

/// The operands that a loop carries.
pub(super) fn carried(inst: &Inst) -> &[ValueId] {
    match inst.kind {
        InstKind::For { .. } => inst.operands.get(2..).unwrap_or_default(),
        InstKind::While { .. } => &inst.operands,
        _ => &[],
    }
}

/// The regions of a loop.
fn regions(inst: &Inst) -> Vec<&Region> {
    if is_whole(&inst.kind) { vec![] } else { Function::regions(&inst.kind) }
}

/// The parameters of a region of a loop in which it gets what is carried.
pub(super) fn carried_params<'r>(inst: &Inst, region: &'r Region) -> &'r [ValueId] {
    match inst.kind {
        InstKind::For { .. } => region.params.get(1..).unwrap_or_default(),
        _ => &region.params,
    }
}

/// What a region ends with.
pub(super) fn yielded<'f>(function: &'f Function, region: &Region) -> &'f [ValueId] {
    region.insts.last().map_or(&[], |last| &function[*last].operands)
}
