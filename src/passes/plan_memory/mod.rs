//! Where the values of a function lie in memory: a static plan, for targets that allocate nothing while they run.
//!
//! A target says what its values are ([`Memory`]): how many bytes, which ones are another look at the same bytes, which
//! results an instruction may write over an operand. The planner says where each lies ([`Place`]) and what is to be
//! copied where control flow joins ([`Move`]).
//!
//! ```text
//! func @f(%x: float32[256]) -> float32[256] {     bytes   place
//!   %a = exp %x                                    1024   result 0
//!   %b = matmul %a, %w : float32[512]              2048   arena 0
//!   %c = relu %b                                   2048   arena 0       in the place of %b
//!   %d = matmul %c, %v : float32[256]              1024   arena 2048
//!   %y = add %d, %a                                1024   result 0      in the place of %a
//!   return %y
//! }
//! ```
//!
//! The steps, a file each:
//! - `lifetimes`: the points of the function at which each value is needed.
//! - `buffers`: values that share their bytes: other looks, what a loop carries, results in the place of operands, what is
//!   yielded in the place where it is wanted.
//! - `allocate`: offsets for buffers, so that no two overlap that are needed at one point.
//! - `moves`: the copies that are left, in an order in which none destroys what another reads.
//! - `check`: an interpreter of plans, which finds where a value is gone that is read.
//!
//! Values outlive the turn of a loop in two ways only. What is carried has one buffer for all turns, from the operand to
//! the result. What is collected is written to its part of the result. What is defined around a loop and used in it is
//! needed throughout.

mod allocate;
mod buffers;
mod check;
mod lifetimes;
mod moves;
mod plain;
#[cfg(test)]
mod tests;

pub use check::verify_plan;
pub use lifetimes::Lifetimes;
pub use plain::{PlainMemory, Sizes, UnknownSize, elementwise_reuses};

use crate::ir::{Function, InstId, ValueId};
use allocate::{Allocation, Block};
use buffers::Buffers;
use std::collections::BTreeMap;

/// Every offset is a multiple of this: a cache line, and the widest vector.
pub const ALIGNMENT: usize = 64;

/// What the planner asks about a function: a target's own answers.
pub trait Memory {
    /// The bytes of a value that needs memory, at the bounds of sizes that a run brings. `None` for one that is
    /// elsewhere: an input, a weight, a constant, a scalar in a variable. Values that are returned have bytes like
    /// others. What a loop carries, and what it becomes in parameters of regions and results, has bytes in all of these
    /// or in none.
    fn bytes(&self, value: ValueId) -> Option<usize>;

    /// The value at whose bytes this one looks, which are all of them in the same order.
    fn alias(&self, value: ValueId) -> Option<ValueId>;

    /// Results that may be written where an operand is, if that is not needed any more.
    fn reuses(&self, inst: InstId) -> Vec<(ValueId, ValueId)>;

    /// Bytes that are needed while an instruction runs, beside operands and results: the frame of a callee.
    fn scratch(&self, inst: InstId) -> usize;
}

/// How much is done to save memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Each value has bytes of its own, for finding out whether the plan is what is wrong.
    None,
    /// In the order of the program, each on top of what is needed then.
    Linear,
    /// The largest first, each as low as it can lie, in several orders.
    #[default]
    Greedy,
}

impl Strategy {
    pub const ALL: [Strategy; 3] = [Strategy::None, Strategy::Linear, Strategy::Greedy];
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this offset of the function's frame.
    Arena(usize),
    /// In the memory that the caller gave for this result.
    Result(usize),
    /// In its part of what a loop collects in `of`: so many of its bytes from there as turns went before.
    Part { of: ValueId, turns: InstId },
    /// Not planned: where this value is. That is itself, or what it looks at (an input, a weight), or, of a scalar that a
    /// loop carries, the first parameter: one variable for all of the loop.
    Own(ValueId),
}

/// A copy that the writer makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Copy {
        from: ValueId,
        to: Destination,
    },
    /// What is in the places of these two changes sides, so that carried values that are exchanged need no third place.
    Swap(ValueId, ValueId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The place of a value.
    Value(ValueId),
    /// The part of this turn in what a loop collects: the result.
    Part(ValueId),
    /// The caller's memory for a result of the function.
    Result(usize),
}

/// The point with most live bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// The instruction; `None` where nothing needs memory.
    pub inst: Option<InstId>,
    /// What is live there, each buffer once, the largest first. A value that stands for it, and its bytes.
    pub live: Vec<(ValueId, usize)>,
    /// Bytes that the instruction itself needs besides.
    pub scratch: usize,
}

/// The plan of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    places: Vec<Place>,
    moves: BTreeMap<InstId, Vec<Move>>,
    scratch: BTreeMap<InstId, usize>,
    /// The bytes of the frame, a multiple of [`ALIGNMENT`].
    pub total: usize,
    /// The most bytes that are live at one instruction, whatever shares its bytes counted once: no plan with these
    /// buffers takes less.
    pub lower_bound: usize,
    pub peak: Peak,
}

impl Plan {
    pub fn place(&self, value: ValueId) -> Place {
        self.places[value.0 as usize]
    }

    /// What is to be copied, one after another: at a loop before its first turn, at the end of a region, at `return`.
    pub fn moves(&self, inst: InstId) -> &[Move] {
        self.moves.get(&inst).map_or(&[], Vec::as_slice)
    }

    /// Where the scratch of an instruction begins, if it has any.
    pub fn scratch(&self, inst: InstId) -> Option<usize> {
        self.scratch.get(&inst).copied()
    }
}

/// Bytes as they are laid out.
fn padded(bytes: usize) -> usize {
    bytes.checked_next_multiple_of(ALIGNMENT).unwrap_or(usize::MAX / ALIGNMENT * ALIGNMENT)
}

/// Plans one function.
pub fn plan(function: &Function, memory: &dyn Memory, strategy: Strategy) -> Plan {
    let lifetimes = Lifetimes::of(function);
    let buffers = Buffers::of(function, memory, &lifetimes, strategy);
    let mut blocks: Vec<Block> = buffers.in_arena().map(|buffer| buffers.block(buffer)).collect();
    let buffers_count = blocks.len();
    let scratched: Vec<InstId> = lifetimes.insts().filter(|inst| memory.scratch(*inst) > 0).collect();
    blocks.extend(
        scratched.iter().map(|inst| Block { bytes: padded(memory.scratch(*inst)), lifetime: lifetimes.span(*inst) }),
    );
    let Allocation { offsets, total } = allocate::allocate(&blocks, strategy);
    let (at, lower_bound) = allocate::peak(&blocks);
    let of_buffer: BTreeMap<u32, usize> = buffers.in_arena().zip(offsets.iter().copied()).collect();
    let plan = Plan {
        places: (0..function.values.len() as u32).map(|value| buffers.place(ValueId(value), &of_buffer)).collect(),
        moves: moves::of(function, &buffers),
        scratch: scratched.iter().copied().zip(offsets[buffers_count..].iter().copied()).collect(),
        total,
        lower_bound,
        peak: peak(&buffers, &lifetimes, memory, at),
    };
    debug_assert_eq!(verify_plan(function, memory, &plan), Ok(()));
    plan
}

/// What is live at the point with most bytes.
fn peak(buffers: &Buffers<'_>, lifetimes: &Lifetimes, memory: &dyn Memory, at: Option<u32>) -> Peak {
    let Some(at) = at else { return Peak::default() };
    let inst = lifetimes.inst_at(at);
    let mut live: Vec<(ValueId, usize)> = buffers.in_arena().filter_map(|buffer| buffers.live_at(buffer, at)).collect();
    live.sort_by_key(|(value, bytes)| (std::cmp::Reverse(*bytes), *value));
    Peak { inst, live, scratch: inst.map_or(0, |inst| memory.scratch(inst)) }
}
