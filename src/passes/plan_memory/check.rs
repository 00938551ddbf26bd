//! An interpreter of plans: it goes through a function and keeps for each byte whose value it holds, so that it sees where
//! a value is read that is not there any more. It knows nothing of lifetimes and buffers, and so finds mistakes in these.
//!
//! Both sides of a branch are gone through, and loops until nothing changes; where ways join, memory holds what it holds
//! on all of them.

use super::buffers::{carried, carried_params, yielded};
use super::{ALIGNMENT, Destination, Memory, Move, Place, Plan};
use crate::ir::{Function, Inst, InstId, InstKind, Region, ValueId};
use std::collections::BTreeMap;

/// Goes through a plan and says what is wrong with it, if anything is.
pub fn verify_plan(function: &Function, memory: &dyn Memory, plan: &Plan) -> Result<(), String> {
    let check = Check { function, memory, plan };
    check.bounds()?;
    let mut state = State::default();
    for param in &function.params {
        check.write(&mut state, *param);
    }
    check.region(&function.body, &mut state)
}

/// Memory of one kind; bytes are counted from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Space {
    Arena,
    Result(usize),
    /// The part of the current turn.
    Part(ValueId),
    Own(ValueId),
}

type Range = (Space, usize, usize);

/// The value that each range holds, by space and first byte, with the byte after its last.
#[derive(Clone, Default, PartialEq)]
struct State(BTreeMap<(Space, usize), (usize, ValueId)>);

impl State {
    fn forget(&mut self, (space, first, last): Range) {
        let touched = self.0.range((space, 0)..(space, last)).filter(|(_, (end, _))| *end > first);
        let touched: Vec<usize> = touched.map(|((_, begin), _)| *begin).collect();
        for begin in touched {
            self.0.remove(&(space, begin));
        }
    }

    fn write(&mut self, range: Range, value: ValueId) {
        self.forget(range);
        if range.1 < range.2 {
            self.0.insert((range.0, range.1), (range.2, value));
        }
    }

    fn read(&self, (space, first, last): Range) -> Option<ValueId> {
        self.0.get(&(space, first)).filter(|(end, _)| *end == last).map(|(_, value)| *value)
    }

    /// What is there on both ways.
    fn join(&mut self, other: &State) {
        self.0.retain(|key, held| other.0.get(key) == Some(held));
    }
}

fn overlaps(a: Range, b: Range) -> bool {
    a.0 == b.0 && a.1 < b.2 && b.1 < a.2
}

struct Check<'a> {
    function: &'a Function,
    memory: &'a dyn Memory,
    plan: &'a Plan,
}

impl Check<'_> {
    /// The value whose bytes a value is.
    fn content(&self, value: ValueId) -> ValueId {
        self.memory.alias(value).map_or(value, |source| self.content(source))
    }

    fn bytes(&self, value: ValueId) -> usize {
        self.memory.bytes(self.content(value)).unwrap_or(1)
    }

    fn range(&self, value: ValueId) -> Range {
        let bytes = self.bytes(value);
        match self.plan.place(value) {
            Place::Arena(offset) => (Space::Arena, offset, offset + bytes),
            Place::Result(position) => (Space::Result(position), 0, bytes),
            Place::Part { of, .. } => (Space::Part(of), 0, bytes),
            Place::Own(own) => (Space::Own(own), 0, 1),
        }
    }

    fn name(&self, value: ValueId) -> String {
        match &self.function[value].name {
            Some(name) => format!("%{name} (value {})", value.0),
            None => format!("value {}", value.0),
        }
    }

    fn bounds(&self) -> Result<(), String> {
        for index in 0..self.function.values.len() as u32 {
            let value = ValueId(index);
            if let Place::Arena(offset) = self.plan.place(value)
                && (offset % ALIGNMENT > 0 || self.range(value).2 > self.plan.total)
            {
                return Err(format!("{} is at {offset} of {} bytes", self.name(value), self.plan.total));
            }
        }
        Ok(())
    }

    fn write(&self, state: &mut State, value: ValueId) {
        state.write(self.range(value), self.content(value));
    }

    fn expect(&self, state: &State, value: ValueId, inst: InstId) -> Result<(), String> {
        self.expect_at(state, self.range(value), value, inst)
    }

    fn expect_at(&self, state: &State, range: Range, value: ValueId, inst: InstId) -> Result<(), String> {
        let found = state.read(range);
        if found == Some(self.content(value)) || range.1 == range.2 {
            return Ok(());
        }
        let found = found.map_or_else(|| "nothing whole".to_string(), |value| self.name(value));
        let line = self.function[inst].loc.line;
        Err(format!("instruction {} (line {line}) finds {found} where {} is to be", inst.0, self.name(value)))
    }

    fn region(&self, region: &Region, state: &mut State) -> Result<(), String> {
        for id in &region.insts {
            let inst = &self.function[*id];
            match &inst.kind {
                InstKind::If { then, otherwise } => self.branch(*id, inst, (then, otherwise), state)?,
                InstKind::For { body, .. } => self.turns(*id, inst, None, body, state)?,
                InstKind::While { cond, body, .. } => self.turns(*id, inst, Some(cond), body, state)?,
                // What comes of it is the business of who owns the region.
                InstKind::Yield => inst.operands.iter().try_for_each(|value| self.expect(state, *value, *id))?,
                InstKind::Return => {
                    inst.operands.iter().try_for_each(|value| self.expect(state, *value, *id))?;
                    self.moves(*id, state);
                    for (position, value) in inst.operands.iter().enumerate() {
                        let size =
                            if self.memory.bytes(self.content(*value)).is_some() { self.bytes(*value) } else { 1 };
                        self.expect_at(state, (Space::Result(position), 0, size), *value, *id)?;
                    }
                }
                _ => self.whole(*id, inst, state)?,
            }
        }
        Ok(())
    }

    /// An instruction without control flow: it reads, and writes meanwhile.
    fn whole(&self, id: InstId, inst: &Inst, state: &mut State) -> Result<(), String> {
        let used = self.function.used_by(id);
        used.iter().try_for_each(|value| self.expect(state, *value, id))?;
        let reuses = self.memory.reuses(id);
        let scratch = self.plan.scratch(id).map(|offset| (Space::Arena, offset, offset + self.memory.scratch(id)));
        let fault = |a: ValueId, b: &str| Err(format!("instruction {} writes {} over {b}", id.0, self.name(a)));
        for (position, result) in inst.results.iter().enumerate() {
            if let Some(source) = self.memory.alias(*result) {
                self.expect(state, *result, id)
                    .map_err(|fault| format!("another look at {}: {fault}", self.name(source)))?;
                continue;
            }
            let range = self.range(*result);
            for operand in &used {
                let place = self.range(*operand);
                if overlaps(range, place) && !(range == place && reuses.contains(&(*result, *operand))) {
                    return fault(*result, &self.name(*operand));
                }
            }
            if let Some(other) = inst.results[..position].iter().find(|other| overlaps(range, self.range(**other))) {
                return fault(*result, &self.name(*other));
            }
            if scratch.is_some_and(|scratch| overlaps(range, scratch)) {
                return fault(*result, "its scratch");
            }
        }
        if self.memory.scratch(id) > 0 {
            let Some(scratch) = scratch.filter(|scratch| scratch.1 % ALIGNMENT == 0 && scratch.2 <= self.plan.total)
            else {
                return Err(format!("instruction {} has no scratch", id.0));
            };
            if let Some(operand) = used.iter().find(|operand| overlaps(self.range(**operand), scratch)) {
                return Err(format!("the scratch of instruction {} is over {}", id.0, self.name(*operand)));
            }
            state.forget(scratch);
        }
        let written = inst.results.iter().filter(|result| self.memory.alias(**result).is_none());
        written.for_each(|result| self.write(state, *result));
        Ok(())
    }

    /// What the moves of an instruction do, whatever is in the places by then.
    fn moves(&self, id: InstId, state: &mut State) {
        for step in self.plan.moves(id) {
            match *step {
                Move::Copy { from, to: Destination::Value(to) } => self.copy(state, self.range(from), self.range(to)),
                Move::Copy { from, to: Destination::Result(position) } => {
                    let range = self.range(from);
                    let size = if matches!(range.0, Space::Own(_)) && self.memory.bytes(from).is_none() {
                        1
                    } else {
                        range.2 - range.1
                    };
                    self.copy(state, range, (Space::Result(position), 0, size));
                }
                Move::Copy { to: Destination::Part(_), .. } => {}
                Move::Swap(a, b) => {
                    let (a, b) = (self.range(a), self.range(b));
                    let (held_a, held_b) = (state.read(a), state.read(b));
                    state.forget(a);
                    state.forget(b);
                    held_a.into_iter().for_each(|value| state.write(b, value));
                    held_b.into_iter().for_each(|value| state.write(a, value));
                }
            }
        }
    }

    fn copy(&self, state: &mut State, from: Range, to: Range) {
        let held = state.read(from);
        state.forget(to);
        held.into_iter().for_each(|value| state.write(to, value));
    }

    /// Values are where others were wanted, and have their names from here on.
    fn renamed(&self, state: &mut State, id: InstId, pairs: &[(ValueId, ValueId)]) -> Result<(), String> {
        for (to, from) in pairs {
            self.expect_at(state, self.range(*to), *from, id)?;
        }
        pairs.iter().for_each(|(to, _)| self.write(state, *to));
        Ok(())
    }

    fn branch(&self, id: InstId, inst: &Inst, sides: (&Region, &Region), state: &mut State) -> Result<(), String> {
        inst.operands.iter().try_for_each(|value| self.expect(state, *value, id))?;
        let mut after = vec![];
        for side in [sides.0, sides.1] {
            let mut state = state.clone();
            self.region(side, &mut state)?;
            let Some(last) = side.insts.last() else { continue };
            self.moves(*last, &mut state);
            let ends = yielded(self.function, side).iter().copied();
            self.renamed(&mut state, *last, &inst.results.iter().copied().zip(ends).collect::<Vec<_>>())?;
            after.push(state);
        }
        if let [then, otherwise] = after.as_slice() {
            state.clone_from(then);
            state.join(otherwise);
        }
        Ok(())
    }

    /// A loop: a condition, if it has one, and the body.
    fn turns(
        &self,
        id: InstId,
        inst: &Inst,
        cond: Option<&Region>,
        body: &Region,
        state: &mut State,
    ) -> Result<(), String> {
        inst.operands.iter().try_for_each(|value| self.expect(state, *value, id))?;
        self.moves(id, state);
        let pairs = |to: &[ValueId], from: &[ValueId]| -> Vec<(ValueId, ValueId)> {
            to.iter().copied().zip(from.iter().copied()).collect()
        };
        let first = carried_params(inst, cond.unwrap_or(body));
        let params = carried_params(inst, body);
        self.renamed(state, id, &pairs(first, carried(inst)))?;
        let index = body.params.iter().filter(|param| !params.contains(param));
        let collected = &inst.results[params.len().min(inst.results.len())..];
        collected.iter().for_each(|result| self.write(state, *result));
        let last = body.insts.last().copied().unwrap_or(id);
        loop {
            let mut turn = state.clone();
            let mut left = state.clone();
            if let Some(cond) = cond {
                self.region(cond, &mut turn)?;
                left.clone_from(&turn);
                self.renamed(&mut turn, id, &pairs(params, first))?;
            }
            index.clone().for_each(|index| self.write(&mut turn, *index));
            self.region(body, &mut turn)?;
            for (result, value) in collected.iter().zip(yielded(self.function, body).iter().skip(params.len())) {
                self.expect(&turn, *result, last)?;
                self.collected(last, *result, *value)?;
            }
            self.moves(last, &mut turn);
            self.renamed(&mut turn, last, &pairs(first, yielded(self.function, body)))?;
            turn.join(state);
            if turn == *state {
                *state = left;
                return self.renamed(state, id, &pairs(&inst.results, first));
            }
            *state = turn;
        }
    }

    /// What is collected is in its part, or copied there before anything is overwritten.
    fn collected(&self, last: InstId, result: ValueId, value: ValueId) -> Result<(), String> {
        if matches!(self.plan.place(value), Place::Part { of, .. } if of == result) {
            return Ok(());
        }
        let copy = Move::Copy { from: value, to: Destination::Part(result) };
        let mut before = self.plan.moves(last).iter();
        let mut before = before.by_ref().take_while(|step| matches!(step, Move::Copy { to: Destination::Part(_), .. }));
        if before.any(|step| *step == copy) {
            return Ok(());
        }
        Err(format!("{} is not collected in {}", self.name(value), self.name(result)))
    }
}
