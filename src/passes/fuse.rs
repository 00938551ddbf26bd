//! Puts operations together that one kernel can compute: elementwise chains with what they read and what they end in.
//!
//! What an operation can be in a kernel stands in `src/ops/kinds.rs` ([`Role`]). A *group* grows along the
//! instructions of a region, one after another, by these rules:
//! - **one anchor**: a group has at most one product, window, reduction or scan. What came before it is its prologue,
//!   what comes after its epilogue;
//! - **elementwise** operations and conversions go to the group of an operand of their own shape, in the epilogue if
//!   there is an anchor. Of several such groups the latest with an anchor takes the others that have none;
//!   One that only a reduction or scan uses stays before that, where the group's value is written for others anyway: its own
//!   need not be written;
//! - **views** (each element in another place) go to the group of their operand, if nothing else uses that;
//! - **reductions and scans** become the anchor of their operand's group, if it has none;
//! - **products and windows**, which read elements again and again, take only views and conversions before them
//!   (`dequantize` and a permutation of a weight), if nothing else uses these;
//! - **reads** (slices, lookups, concatenations) begin groups, which elementwise operations take if nothing else uses
//!   them; so do views whose operand is in no group;
//! - **free** values (small constants, host numbers, `broadcast_to`, `zeros`) are copied into each group that uses them;
//!   so are weights that are restored from codes, which each user then reads as codes.
//!
//! A value that others use, too, becomes one more result. No group extends over an effect, or over what gives a symbol
//! its value; none is made whose operands depend on its results. A group that is one operation, or that only moves
//! elements, stays as it was.
//!
//! Needs: calls inlined, or there is little to put together. Keeps: results, to the last bit; effects and their order.
//!
//! ```text
//! %1 = matmul %x, %w : float32[B, n]             %y = fused (%x: ..., %w: ..., %bias: float32[n]) in %x, %w, %bias {
//! %2 = add %1, %bias : float32[B, n]        =>     %1 = matmul %x, %w : float32[B, n]
//! %zero = const float32 [0.0] : float32            %2 = add %1, %bias : float32[B, n]
//! %y = maximum %2, %zero : float32[B, n]           %zero = const float32 [0.0] : float32
//!                                                  %3 = maximum %2, %zero : float32[B, n]
//!                                                  yield %3
//!                                                } : float32[B, n]
//! ```

mod groups;
#[cfg(test)]
mod tests;
mod write;

use crate::ir::{Function, InstId, InstKind, Module, Region, ValueId};
use crate::ops::traits::{Quantisation, Role};
use crate::passes::PassCx;
use crate::passes::copy::compact;
use crate::passes::dce::sweep;
use crate::passes::effects::Effects;
use groups::{Group, Groups};
use rustc_hash::FxHashMap;

/// Constants with more elements are read from memory like any other value.
const MAX_FREE_ELEMENTS: usize = 16;
/// A kernel of more operations is no longer one.
const MAX_MEMBERS: usize = 128;

pub(super) fn fuse(module: &mut Module, cx: &mut PassCx) {
    let effects = Effects::of(module);
    for function in &mut module.functions {
        let mut pass = Fuse::new(&effects, function);
        function.change_body(|function, body| pass.region(function, body));
        let (kernels, operations) = (pass.kernels, pass.operations);
        cx.count("kernels", kernels);
        cx.count("operations in them", operations);
        if kernels > 0 {
            // Free values that are in all who use them.
            sweep(function, &effects);
            compact(function);
        }
    }
}

struct Fuse<'e> {
    effects: &'e Effects,
    /// The instruction of each value.
    makers: FxHashMap<ValueId, InstId>,
    /// The instructions that use each value, each once; through free values, those that use these.
    users: FxHashMap<ValueId, Vec<InstId>>,
    kernels: usize,
    operations: usize,
}

impl<'e> Fuse<'e> {
    fn new(effects: &'e Effects, function: &Function) -> Fuse<'e> {
        let mut pass =
            Fuse { effects, makers: FxHashMap::default(), users: FxHashMap::default(), kernels: 0, operations: 0 };
        pass.survey(function, &function.body);
        pass
    }

    fn survey(&mut self, function: &Function, region: &Region) {
        for id in &region.insts {
            let inst = &function[*id];
            self.makers.extend(inst.results.iter().map(|result| (*result, *id)));
            if self.role(function, *id) != Some(Role::Free) {
                let mut used = vec![];
                inst.operands.iter().for_each(|operand| self.leaves(function, *operand, &mut used));
                used.into_iter().for_each(|leaf| self.users.entry(leaf).or_default().push(*id));
            }
            Function::regions(&inst.kind).into_iter().for_each(|nested| self.survey(function, nested));
        }
    }

    fn region(&mut self, function: &mut Function, region: Region) -> Region {
        let mut out = Vec::with_capacity(region.insts.len());
        let mut segment = Segment::default();
        for id in region.insts {
            if !matches!(function[id].kind, InstKind::Fused { .. }) {
                function.change_regions(id, |function, nested| self.region(function, nested));
            }
            if self.is_border(function, id) {
                self.finish(function, std::mem::take(&mut segment), &mut out);
                out.push(id);
                continue;
            }
            if segment.groups.is_full() {
                self.finish(function, std::mem::take(&mut segment), &mut out);
            }
            self.add(function, &mut segment, id);
        }
        self.finish(function, segment, &mut out);
        Region { params: region.params, insts: out }
    }

    /// Whether nothing moves from one side of an instruction to the other. Seeds only count their own turns.
    fn is_border(&self, function: &Function, id: InstId) -> bool {
        let kind = &function[id].kind;
        let acts = !matches!(kind, InstKind::Rng { .. }) && self.effects.acts(function, kind);
        acts || !kind.binds().is_empty()
    }

    /// What an instruction can be in a kernel; `None` for what stays as it is.
    fn role(&self, function: &Function, id: InstId) -> Option<Role> {
        let inst = &function[id];
        match &inst.kind {
            InstKind::Const(tensor) if tensor.len() <= MAX_FREE_ELEMENTS => Some(Role::Free),
            InstKind::Host(_) => Some(Role::Free),
            InstKind::Op { .. } if self.restores_weight(function, id) => Some(Role::Free),
            InstKind::Op { op, .. } if inst.results.len() == 1 => Some(op.role()).filter(|role| *role != Role::Alone),
            _ => None,
        }
    }

    /// Whether an instruction makes numbers of the codes of a weight.
    fn restores_weight(&self, function: &Function, id: InstId) -> bool {
        let inst = &function[id];
        let InstKind::Op { op, .. } = &inst.kind else { return false };
        let is_param = |value: &ValueId| {
            self.makers.get(value).is_some_and(|id| matches!(function[*id].kind, InstKind::Param { .. }))
        };
        op.quantisation() == Some(Quantisation::Dequantise) && inst.operands.iter().all(is_param)
    }

    /// What a value is made of once free values are copied: values of instructions that are not free.
    fn leaves(&self, function: &Function, value: ValueId, found: &mut Vec<ValueId>) {
        match self.makers.get(&value) {
            Some(id) if self.role(function, *id) == Some(Role::Free) => {
                function[*id].operands.iter().for_each(|operand| self.leaves(function, *operand, found));
            }
            _ if !found.contains(&value) => found.push(value),
            _ => {}
        }
    }

    fn is_only_use(&self, value: ValueId, user: InstId) -> bool {
        self.users.get(&value).is_some_and(|users| users.as_slice() == [user])
    }

    /// Puts the next instruction of a segment into a group, or beside them.
    fn add(&mut self, function: &Function, segment: &mut Segment, id: InstId) {
        segment.order.push(id);
        let mut used = vec![];
        match self.role(function, id) {
            Some(Role::Free) => {}
            Some(role) => {
                function[id].operands.iter().for_each(|operand| self.leaves(function, *operand, &mut used));
                let joined = self.choose(function, segment, id, role, &used);
                let needs = segment.groups.needs_of(used.iter().copied());
                segment.groups.put(id, function[id].results[0], role, &joined, &needs);
            }
            None => {
                function.used_by(id).into_iter().for_each(|operand| self.leaves(function, operand, &mut used));
                let needs = segment.groups.needs_of(used.iter().copied());
                segment.groups.pass(&function[id].results, &needs);
            }
        }
    }

    /// The groups that become one with the instruction in it, the one that leads first; none for a group of its own.
    fn choose(&self, function: &Function, segment: &Segment, id: InstId, role: Role, used: &[ValueId]) -> Vec<usize> {
        let groups = &segment.groups;
        let (mut whole, mut light) = (vec![], vec![]);
        for operand in used {
            let Some((place, group)) = groups.of_value(*operand) else { continue };
            match self.fit(function, group, *operand, id, role) {
                Some(Fit::Leads) => whole.push(place),
                Some(Fit::Follows) => light.push(place),
                None => {}
            }
        }
        // The latest anchor leads.
        whole.sort_by_key(|place| std::cmp::Reverse((groups[*place].anchor.is_some(), groups[*place].last())));
        let anchored = |place: &usize| groups[*place].anchor.is_some();
        let (leader, others) = match whole.split_first() {
            Some((leader, others)) => (Some(*leader), others.to_vec()),
            None => (None, vec![]),
        };
        let mut chosen: Vec<usize> = leader.into_iter().collect();
        for place in others.into_iter().filter(|place| !anchored(place)).chain(light) {
            if !chosen.contains(&place) && chosen.iter().all(|other| groups.are_apart(*other, place)) {
                chosen.push(place);
            }
        }
        let size: usize = chosen.iter().map(|place| groups[*place].members.len()).sum();
        if size < MAX_MEMBERS && groups.may_join(&chosen, used) {
            return chosen;
        }
        let alone: Vec<usize> = leader.into_iter().collect();
        let fits = leader.is_some_and(|place| groups[place].members.len() < MAX_MEMBERS);
        if fits && groups.may_join(&alone, used) { alone } else { vec![] }
    }

    /// Whether nothing but one reduction or scan uses what an instruction makes.
    fn feeds_fold(&self, function: &Function, id: InstId) -> bool {
        let users = function[id].results.first().and_then(|result| self.users.get(result));
        let is_fold = |user: &InstId| matches!(self.role(function, *user), Some(Role::Reduction | Role::Scan));
        matches!(users.map(Vec::as_slice), Some([user]) if is_fold(user))
    }

    /// How a group that makes an operand could take part in a kernel with the user.
    fn fit(&self, function: &Function, group: &Group, operand: ValueId, user: InstId, role: Role) -> Option<Fit> {
        let only_use = self.is_only_use(operand, user);
        let same_shape = || {
            let result = function[user].results.first()?;
            (function[*result].ty.shape == function[operand].ty.shape).then_some(())
        };
        let free_to_take = only_use && group.anchor.is_none() && group.escapes_by(operand, &self.users);
        match role {
            Role::Elementwise | Role::Conversion if group.moves_only() => free_to_take.then_some(Fit::Follows),
            Role::Elementwise | Role::Conversion => match same_shape() {
                Some(()) if group.anchor.is_some() && !only_use && self.feeds_fold(function, user) => None,
                Some(()) if !group.is_prologue(operand) => Some(Fit::Leads),
                _ => (free_to_take && group.is_light()).then_some(Fit::Follows),
            },
            Role::View => (only_use && !group.is_prologue(operand)).then_some(Fit::Leads),
            Role::Reduction | Role::Scan => {
                let first = function[user].operands.first() == Some(&operand);
                let taken = !group.moves_only() || free_to_take;
                (first && group.anchor.is_none() && taken).then_some(Fit::Leads)
            }
            Role::Product | Role::Window => (free_to_take && group.is_prologue_of_product()).then_some(Fit::Follows),
            Role::Read | Role::Free | Role::Alone => None,
        }
    }
}

/// How a group takes part.
enum Fit {
    /// The user becomes one more of it.
    Leads,
    /// It goes along where the user goes.
    Follows,
}

/// Instructions between two borders.
#[derive(Default)]
struct Segment {
    order: Vec<InstId>,
    groups: Groups,
}
