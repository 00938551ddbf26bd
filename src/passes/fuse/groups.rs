//! Groups of instructions, and which of them depend on which.

use crate::ir::{InstId, ValueId};
use crate::ops::traits::Role;
use rustc_hash::FxHashMap;
use std::ops::{BitOr, Index};

/// So many groups are told apart in one segment; then another begins.
const MAX_GROUPS: usize = 256;

/// A set of groups, by their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set([u64; MAX_GROUPS / 64]);

impl Set {
    fn of(place: usize) -> Set {
        let mut set = Set::default();
        set.0[place / 64] |= 1 << (place % 64);
        set
    }

    fn has(&self, place: usize) -> bool {
        self.0[place / 64] & 1 << (place % 64) != 0
    }
}

impl BitOr for Set {
    type Output = Set;
    fn bitor(self, other: Set) -> Set {
        let mut both = self;
        both.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        both
    }
}

#[derive(Debug, Default)]
pub struct Group {
    /// In the order of the program.
    pub members: Vec<Member>,
    pub anchor: Option<InstId>,
    /// All groups that its operands are made from, directly or not.
    needs: Set,
}

#[derive(Clone, Copy, Debug)]
pub struct Member {
    pub id: InstId,
    pub value: ValueId,
    pub role: Role,
    /// Its place among all instructions that came.
    position: usize,
    /// It comes before the anchor.
    prologue: bool,
}

impl Group {
    pub fn last(&self) -> usize {
        self.members.last().map_or(0, |member| member.position)
    }

    pub fn moves_only(&self) -> bool {
        self.members.iter().all(|member| member.role.moves())
    }

    /// Whether doing it again costs little.
    pub fn is_light(&self) -> bool {
        self.members.iter().all(|member| member.role.moves() || member.role == Role::Conversion)
    }

    pub fn is_prologue_of_product(&self) -> bool {
        self.members.iter().all(|member| matches!(member.role, Role::View | Role::Conversion))
    }

    pub fn is_prologue(&self, value: ValueId) -> bool {
        self.members.iter().any(|member| member.value == value && member.prologue)
    }

    /// Whether nothing outside uses any value but this one.
    pub fn escapes_by(&self, value: ValueId, users: &FxHashMap<ValueId, Vec<InstId>>) -> bool {
        let is_member = |user: &InstId| self.members.iter().any(|member| member.id == *user);
        let others = self.members.iter().filter(|member| member.value != value);
        others.filter_map(|member| users.get(&member.value)).flatten().all(is_member)
    }
}

/// The groups of a segment. Those that were joined to others are empty.
#[derive(Default)]
pub struct Groups {
    groups: Vec<Group>,
    /// The group that makes a value.
    makers: FxHashMap<ValueId, usize>,
    /// The groups that other values of the segment are made from.
    others: FxHashMap<ValueId, Set>,
    count: usize,
}

impl Index<usize> for Groups {
    type Output = Group;
    fn index(&self, place: usize) -> &Group {
        &self.groups[place]
    }
}

impl Groups {
    pub fn is_full(&self) -> bool {
        self.groups.len() == MAX_GROUPS
    }

    pub fn of_value(&self, value: ValueId) -> Option<(usize, &Group)> {
        let place = *self.makers.get(&value)?;
        Some((place, &self.groups[place]))
    }

    pub fn into_groups(self) -> impl Iterator<Item = Group> {
        self.groups.into_iter().filter(|group| !group.members.is_empty())
    }

    /// The groups that these values are made from, directly or not.
    pub fn needs_of(&self, values: impl Iterator<Item = ValueId>) -> Set {
        values.fold(Set::default(), |set, value| set | self.needs(value))
    }

    fn needs(&self, value: ValueId) -> Set {
        match self.makers.get(&value) {
            Some(place) => Set::of(*place) | self.groups[*place].needs,
            None => self.others.get(&value).map_or_else(Set::default, |set| self.closed(*set)),
        }
    }

    /// With what the groups of a set have come to need since it was noted.
    fn closed(&self, set: Set) -> Set {
        let members = (0..self.groups.len()).filter(|place| set.has(*place));
        members.fold(set, |closed, place| closed | self.groups[place].needs)
    }

    /// Whether neither group is made from the other.
    pub fn are_apart(&self, a: usize, b: usize) -> bool {
        a != b && !self.groups[a].needs.has(b) && !self.groups[b].needs.has(a)
    }

    /// Whether an instruction with these operands may become one with groups: no other operand is made from them.
    pub fn may_join(&self, chosen: &[usize], operands: &[ValueId]) -> bool {
        let inside = |value: &ValueId| self.makers.get(value).is_some_and(|place| chosen.contains(place));
        let needs = self.needs_of(operands.iter().copied().filter(|value| !inside(value)));
        !chosen.iter().any(|place| needs.has(*place))
    }

    /// Puts an instruction into a group that all the chosen ones become, or into a new one. `needs` are those of its
    /// operands.
    pub fn put(&mut self, id: InstId, value: ValueId, role: Role, chosen: &[usize], needs: &Set) {
        let place = match chosen.split_first() {
            Some((first, others)) => {
                others.iter().for_each(|other| self.merge(*first, *other));
                *first
            }
            None => {
                self.groups.push(Group::default());
                self.groups.len() - 1
            }
        };
        self.count += 1;
        let group = &mut self.groups[place];
        if role.is_anchor() {
            group.members.iter_mut().for_each(|member| member.prologue = true);
            group.anchor = Some(id);
        }
        group.members.push(Member { id, value, role, position: self.count, prologue: false });
        self.makers.insert(value, place);
        self.note_needs(place, *needs);
    }

    /// Notes values of an instruction that is in no group.
    pub fn pass(&mut self, values: &[ValueId], needs: &Set) {
        if *needs != Set::default() {
            self.others.extend(values.iter().map(|value| (*value, *needs)));
        }
    }

    fn merge(&mut self, into: usize, from: usize) {
        let Group { mut members, anchor, needs } = std::mem::take(&mut self.groups[from]);
        self.makers.extend(members.iter().map(|member| (member.value, into)));
        // What comes along is before the anchor of the instruction that brings it, if that is one, or feeds the epilogue.
        let group = &mut self.groups[into];
        group.members.append(&mut members);
        group.members.sort_by_key(|member| member.position);
        group.anchor = group.anchor.or(anchor);
        self.note_needs(into, needs);
        // Who needed the one needs the other; the place itself stays empty.
        for place in 0..self.groups.len() {
            if self.groups[place].needs.has(from) {
                self.note_needs(place, Set::of(into));
            }
        }
        self.groups[from].needs = Set::of(into) | self.groups[into].needs;
    }

    /// A group needs more, and so do all that need it.
    fn note_needs(&mut self, place: usize, needs: Set) {
        let mut more = needs;
        more = more | self.closed(more);
        more.0[place / 64] &= !(1 << (place % 64));
        if self.groups[place].needs | more == self.groups[place].needs {
            return;
        }
        for other in 0..self.groups.len() {
            if other == place || self.groups[other].needs.has(place) {
                let group = &mut self.groups[other];
                group.needs = group.needs | more;
            }
        }
    }
}
