//! The points of a function at which its values are needed.
//!
//! Instructions are numbered in the order of the text. One with regions has a number where it begins and one where it
//! ends, with those of its regions between. At each number there are two points: operands are read at the even one,
//! results written at the odd one. A value is needed at a set of intervals of points rather than at one: of a branch, only
//! the side that uses it.

use crate::ir::{Function, Inst, InstId, InstKind, Region, ValueId};
use std::collections::HashMap;

/// First and last point, both included.
pub type Interval = (u32, u32);

/// When the values of a function are needed.
pub struct Lifetimes {
    /// Of each instruction, its first and last number.
    numbers: Vec<(u32, u32)>,
    /// The instruction of each number.
    insts: Vec<InstId>,
    regions: Vec<Place>,
    /// The region in which each value is defined, and the point from which it is there; `None` where nothing defines it.
    defined: Vec<Option<(RegionId, u32)>>,
    /// Of each value, its intervals in order.
    live: Vec<Vec<Interval>>,
}

type RegionId = u32;

/// Where a region stands.
struct Place {
    /// The instruction that owns it, and the region around that; `None` for the body.
    owner: Option<(InstId, RegionId)>,
    /// The numbers of its first instruction and of its terminator.
    first: u32,
    last: u32,
}

impl Lifetimes {
    pub fn of(function: &Function) -> Lifetimes {
        let mut walk = Walk {
            function,
            found: Lifetimes {
                numbers: vec![(0, 0); function.insts.len()],
                insts: vec![],
                regions: vec![],
                defined: vec![None; function.values.len()],
                live: vec![vec![]; function.values.len()],
            },
            last_uses: HashMap::new(),
            owned: HashMap::new(),
        };
        function.params.iter().for_each(|param| walk.found.defined[param.0 as usize] = Some((0, 0)));
        walk.region(&function.body, None);
        for index in 0..function.values.len() as u32 {
            walk.value(ValueId(index));
        }
        function.visit(&function.body, &mut |id| walk.joins(id, &function[id]));
        let mut found = walk.found;
        found.live.iter_mut().for_each(tidy);
        found
    }

    /// Every instruction that stands in the function, in order.
    pub fn insts(&self) -> impl Iterator<Item = InstId> + '_ {
        let begins = |(number, id): &(usize, &InstId)| self.numbers[id.0 as usize].0 == *number as u32;
        self.insts.iter().enumerate().filter(begins).map(|(_, id)| *id)
    }

    /// The instruction at a point.
    pub fn inst_at(&self, point: u32) -> Option<InstId> {
        self.insts.get(point as usize / 2).copied()
    }

    /// All points of an instruction.
    pub fn span(&self, inst: InstId) -> Vec<Interval> {
        let (first, last) = self.numbers[inst.0 as usize];
        vec![(2 * first, 2 * last + 1)]
    }

    /// The intervals at which a value is needed, in order.
    pub fn value(&self, value: ValueId) -> &[Interval] {
        &self.live[value.0 as usize]
    }

    /// Whether a value is read after an instruction.
    pub fn is_used_after(&self, value: ValueId, inst: InstId) -> bool {
        let (_, end) = self.numbers[inst.0 as usize];
        self.value(value).last().is_some_and(|(_, last)| *last > 2 * end + 1)
    }

    /// The first and the last instruction at which a value is needed.
    pub fn ends(&self, value: ValueId) -> Option<(InstId, InstId)> {
        let live = self.value(value);
        Some((self.inst_at(live.first()?.0)?, self.inst_at(live.last()?.1)?))
    }

    /// Whether a value is defined in a turn of a loop, so that it does not outlive it.
    pub(super) fn is_of_turn(&self, value: ValueId, owner: InstId) -> bool {
        let mut place = self.defined[value.0 as usize].map(|(region, _)| region);
        while let Some(region) = place {
            match self.regions[region as usize].owner {
                Some((inst, _)) if inst == owner => return true,
                outer => place = outer.map(|(_, region)| region),
            }
        }
        false
    }
}

/// Sorted, and neighbours joined.
pub(super) fn tidy(intervals: &mut Vec<Interval>) {
    intervals.sort_unstable();
    let mut tidied: Vec<Interval> = vec![];
    for (first, last) in intervals.drain(..) {
        match tidied.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => tidied.push((first, last)),
        }
    }
    *intervals = tidied;
}

/// Whether two sorted lists have a point in common.
pub(super) fn overlap(a: &[Interval], b: &[Interval]) -> bool {
    let (mut i, mut j) = (0, 0);
    while let (Some(left), Some(right)) = (a.get(i), b.get(j)) {
        if left.1 < right.0 {
            i += 1;
        } else if right.1 < left.0 {
            j += 1;
        } else {
            return true;
        }
    }
    false
}

struct Walk<'f> {
    function: &'f Function,
    found: Lifetimes,
    /// The last instruction of a region that uses a value, itself or in regions of its own.
    last_uses: HashMap<(ValueId, RegionId), InstId>,
    /// The regions of instructions.
    owned: HashMap<InstId, Vec<RegionId>>,
}

impl Walk<'_> {
    fn number(&mut self, id: InstId) -> u32 {
        self.found.insts.push(id);
        self.found.insts.len() as u32 - 1
    }

    fn region(&mut self, region: &Region, owner: Option<(InstId, RegionId)>) -> RegionId {
        let id = self.found.regions.len() as u32;
        let first = self.found.insts.len() as u32;
        // Parameters are written where the region is entered: the instruction before it.
        let entered = (2 * first).saturating_sub(1);
        region.params.iter().for_each(|param| self.found.defined[param.0 as usize] = Some((id, entered)));
        self.found.regions.push(Place { owner, first, last: first });
        for inst in &region.insts {
            self.inst(*inst, id);
        }
        self.found.regions[id as usize].last = (self.found.insts.len() as u32).saturating_sub(1);
        id
    }

    fn inst(&mut self, id: InstId, region: RegionId) {
        let function = self.function;
        let inst = &function[id];
        let first = self.number(id);
        let is_whole = is_whole(&inst.kind);
        let used = if is_whole { function.used_by(id) } else { inst.operands.clone() };
        used.into_iter().for_each(|value| self.used(value, id, region));
        let mut last = first;
        let regions = Function::regions(&inst.kind);
        if !is_whole && !regions.is_empty() {
            let owned = regions.into_iter().map(|inner| self.region(inner, Some((id, region)))).collect();
            self.owned.insert(id, owned);
            last = self.number(id);
        }
        self.found.numbers[id.0 as usize] = (first, last);
        for result in &inst.results {
            self.found.defined[result.0 as usize] = Some((region, 2 * last + 1));
        }
    }

    /// Notes a use in the region where it is, and in those around it up to the value's own.
    fn used(&mut self, value: ValueId, mut inst: InstId, mut region: RegionId) {
        let Some((home, _)) = self.found.defined[value.0 as usize] else { return };
        loop {
            self.last_uses.insert((value, region), inst);
            match self.found.regions[region as usize].owner {
                Some(owner) if region != home => (inst, region) = owner,
                _ => return,
            }
        }
    }

    fn value(&mut self, value: ValueId) {
        let Some((region, from)) = self.found.defined[value.0 as usize] else { return };
        let mut live = vec![];
        self.extend(value, region, from, &mut live);
        self.found.live[value.0 as usize] = live;
    }

    /// Adds where a value is needed in a region, from a point on.
    fn extend(&self, value: ValueId, region: RegionId, from: u32, live: &mut Vec<Interval>) {
        let Some(inst) = self.last_uses.get(&(value, region)) else {
            live.push((from, from));
            return;
        };
        let (begin, end) = self.found.numbers[inst.0 as usize];
        let inner = self.owned.get(inst).into_iter().flatten();
        let inner: Vec<RegionId> =
            inner.copied().filter(|inner| self.last_uses.contains_key(&(value, *inner))).collect();
        let is_loop = matches!(self.function[*inst].kind, InstKind::For { .. } | InstKind::While { .. });
        // The next turn wants it again.
        if is_loop && !inner.is_empty() {
            live.push((from, 2 * end));
            return;
        }
        live.push((from, 2 * begin));
        for inner in inner {
            self.extend(value, inner, 2 * self.found.regions[inner as usize].first, live);
        }
    }

    /// Results of loops and branches are written before these end.
    fn joins(&mut self, id: InstId, inst: &Inst) {
        let (begin, end) = self.found.numbers[id.0 as usize];
        let lasts: Vec<u32> =
            self.owned.get(&id).into_iter().flatten().map(|r| self.found.regions[*r as usize].last).collect();
        let end = 2 * end + 1;
        let carried = match inst.kind {
            InstKind::For { .. } => inst.operands.len().saturating_sub(2),
            _ => inst.operands.len(),
        };
        for (position, result) in inst.results.iter().enumerate() {
            let live = &mut self.found.live[result.0 as usize];
            match (&inst.kind, lasts.as_slice()) {
                (InstKind::If { .. }, [then, otherwise]) => {
                    live.extend([(2 * then + 1, 2 * then + 1), (2 * otherwise + 1, end)])
                }
                (InstKind::For { .. } | InstKind::While { .. }, [_] | [_, _]) if position >= carried => {
                    live.push((2 * begin + 1, end));
                }
                (InstKind::For { .. }, [body]) => live.extend([(2 * begin + 1, 2 * begin + 1), (2 * body + 1, end)]),
                // Whoever reads the condition's parameters, the result is there when it does not hold.
                (InstKind::While { .. }, [cond, body]) => {
                    live.extend([(2 * begin + 1, 2 * cond + 1), (2 * body + 1, end)])
                }
                _ => {}
            }
        }
    }
}

/// Whether an instruction is one for the plan, regions and all.
pub(super) fn is_whole(kind: &InstKind) -> bool {
    !matches!(kind, InstKind::If { .. } | InstKind::For { .. } | InstKind::While { .. })
}
