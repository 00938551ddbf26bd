//! One C function for one instruction: an operation, or a fused region.
//!
//! The method is *element at index*: the value of a result at an index is an expression ([`element`]). Elementwise
//! operations apply their entry of `templates/c/ops.toml` to the elements of their operands ([`scalar`]); views and reads
//! map the index and ask their operand ([`moves`]); reductions, products and windows open loops and give the name of
//! their accumulator ([`fold`], [`product`], [`window`]). So a fused region needs nothing of its own: its results are
//! asked for at each index, and what they are made of is asked in turn. The loops around are those over the results'
//! indices; where a product, a scan or a reduction is best computed for several indices at once, it says how ([`nest`]).
//!
//! A function is written more than once. The first time, each axis has a loop of its own and every index that is used is
//! noted; then axes that are taken apart have two loops, and those that are walked one behind the other are one ([`plan`]).
//!
//! ```text
//! %y = fused (%x: float32[B, 8], %b: float32[B, 8]) in %p, %q {        for (int64_t i = 0; i < B * 8; i++) {
//!   %s = add %x, %b : float32[B, 8]                               =>       y[i] = expf(x[i] + b[i]);
//!   %e = exp %s : float32[B, 8]                                        }
//! ```
//!
//! Products go through the tiles of `templates/c/kernels/` where there are some for their factors ([`tiles`]).
//!
//! Rules that hold for all kernels: operands come in the order of the instruction, those that are needed; then results, then
//! memory to work in, if any; then the sizes that only a run tells. Tensors of rank 0 are passed by value, as results by pointer. Nothing is undefined for any input: integers
//! wrap, indices are checked, and a kernel that can fail gives `{{NAME}}_OK` or the code of an error.

mod access;
mod convert;
mod element;
mod fold;
mod index;
mod maker;
mod moves;
mod nest;
mod order;
mod plan;
mod product;
mod quantise;
mod random;
mod requests;
mod scalar;
mod scatter;
mod select;
mod table;
#[cfg(test)]
mod tests;
mod tiles;
mod window;

use crate::ir::{Function, InstId, InstKind, ValueId};
use crate::quant::pack::Format;
use crate::targets::TargetError;
use crate::targets::table::Table;
use crate::types::{Dim, HostExpr, Symbol};
use maker::Maker;
use plan::Plan;
use std::collections::BTreeSet;

pub use table::is_written;
pub use tiles::Packing;

/// What the writer of a kernel asks around.
pub struct Context<'a> {
    /// `templates/c/ops.toml`.
    pub table: &'a Table,
    /// How each operand of the instruction is held.
    pub held: &'a dyn Fn(ValueId) -> Held,
    /// Whether an operand is a weight of the model, or a part of one, which `NAME_weights_init` can bring into another layout.
    pub is_weight: &'a dyn Fn(ValueId) -> bool,
    /// Whether blocks of products are shared among threads.
    pub has_threads: bool,
}

/// How a tensor lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Elements one behind the other.
    Plain,
    /// Codes in bytes, in the portable layout.
    Packed(Format),
    /// By value.
    Scalar,
}

/// A function of C.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// The name that it would like.
    pub wish: String,
    /// The text, with `{{name}}` where its name goes and `{{NAME}}` where the prefix of error codes does. Equal texts are
    /// one function.
    pub definition: String,
    /// Which operands are passed, by their positions; after them come the results.
    pub operands: Vec<usize>,
    /// Operands, by their positions, that are passed in a layout of their own.
    pub packs: Vec<(usize, Packing)>,
    /// Bytes of memory that is passed after the results, aligned to 64; none where it is 0.
    pub scratch: Dim,
    /// Sizes that are passed after that, in order.
    pub sizes: Vec<Symbol>,
    /// Floats of the host that only a run tells, which are passed after these as `double`.
    pub numbers: Vec<HostExpr>,
    /// Files of `templates/c/helpers/` that it needs, without `.h`.
    pub helpers: BTreeSet<&'static str>,
    /// Files of `templates/c/kernels/` that it needs, without `.h` and `_simd.h`.
    pub tiles: BTreeSet<&'static str>,
    /// Whether it returns a code, not nothing.
    pub can_fail: bool,
    /// A result and the operand whose memory it may take, by their positions.
    pub in_place: Vec<(usize, usize)>,
}

/// Writes the kernel of an instruction: an operation, or a fused region of them.
pub fn kernel(cx: &Context<'_>, function: &Function, inst: InstId) -> Result<Kernel, TargetError> {
    let mut written = Maker::write(cx, function, inst, (Plan::default(), false))?;
    let is_plain = written.is_missed();
    if is_plain {
        written = Maker::write(cx, function, inst, (Plan::default(), true))?;
    }
    let mut plan = written.plan();
    if plan.is_open() {
        written = Maker::write(cx, function, inst, (plan, is_plain))?;
        plan = written.plan();
    }
    if !plan.is_empty() {
        written = Maker::write(cx, function, inst, (plan, is_plain))?;
    }
    Ok(written.finish(wish(function, inst)))
}

/// After the source's name for a result, else after the operation.
fn wish(function: &Function, inst: InstId) -> String {
    let inst = &function[inst];
    if let Some(name) = inst.results.iter().find_map(|result| function[*result].name.clone()) {
        return name;
    }
    match &inst.kind {
        InstKind::Op { op, .. } => op.name().to_string(),
        InstKind::Fused { body } => {
            // The anchor says most, else the last of them.
            let op = |id: &InstId| match &function[*id].kind {
                InstKind::Op { op, .. } => Some(*op),
                _ => None,
            };
            let mut ops: Vec<_> = body.insts.iter().filter_map(op).collect();
            ops.sort_by_key(|op| op.role().is_anchor());
            ops.last().map_or("kernel", |op| op.name()).to_string()
        }
        _ => "kernel".to_string(),
    }
}
