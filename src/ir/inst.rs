//! The kinds of instructions.

use crate::ir::{FuncId, PathSegment, Region};
use crate::ops::{Attrs, Obligation, OpId};
use crate::quant::Part;
use crate::types::{Dim, HostExpr, Symbol, Tensor};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq)]
pub enum InstKind {
    /// A primitive of the registry.
    Op { op: OpId, attrs: Attrs },
    /// Reads a storage or constant member of the own instance. Quantised storage is read in parts when
    /// the program is compiled for inference.
    Param { name: String, part: Part },
    /// A literal tensor.
    Const(Tensor),
    /// A host number as a scalar tensor of the result's element type.
    Host(HostExpr),
    /// The seed of this call site: differs per site, instance and turn, derives from the entry's seed. `part` is the
    /// dotted name of the part of the own instance that draws, `blocks.0.drop`; empty for the instance itself.
    Rng { site: u32, part: String },
    /// Calls a function, or a method of the own instance or of a sublayer.
    Call {
        func: FuncId,
        /// A value for each of the callee's `symbols`, over the caller's.
        bindings: Vec<(Symbol, HostExpr)>,
        /// From the own instance to the callee's; `None` for a free function.
        path: Option<Vec<PathSegment>>,
        /// What each of the callee's `fresh` symbols is called here.
        fresh: Vec<Symbol>,
    },
    /// `if %cond`: two regions without parameters, each ending in a yield of the results.
    If { then: Region, otherwise: Region },
    /// `for`: operands are start, stop (int64 scalars), then the carried values. The region's parameters
    /// are the index and the carried values; it yields the next carried values.
    /// `index` names the loop's index in paths and dims of the body.
    /// What it yields beyond the carried values is collected: the result has those of all turns, stacked
    /// along a new first axis. The bounds are host numbers then, so that its size is known.
    For { index: Symbol, body: Region },
    /// `while`: operands are the carried values. `cond` yields one bool, `body` the next carried values;
    /// both have the carried values as parameters.
    /// What `body` yields beyond them is collected, as by `For`. `turns` is the number of turns so far within
    /// the regions, and of all turns after the loop, where it is the size of what was collected.
    While { turns: Option<Symbol>, cond: Region, body: Region },
    /// `gradient`: operands are float tensors, and so are the region's parameters. It yields one float scalar;
    /// the results are that, and its gradients. Only lowering makes this, and autodiff puts calls in its place
    /// before anything runs.
    Gradient { body: Region },
    /// `fused`: one kernel. Operands are the region's parameters, results what it yields, and it means what its
    /// instructions mean one after another: operations, constants and host numbers only, which see nothing from
    /// outside but symbols. A target without kernels of its own has it expanded in place (`passes::unfuse`).
    Fused { body: Region },
    /// Assigns to a state member of the own instance or, by a dotted name, of a part of it.
    SetState { name: String },
    /// Assigns to a part of such a member, in place. Operands are the new values, then the start of each
    /// window (int64 scalars); whole axes have no window. Ends are counted from the start, never clamped.
    SetSlice { name: String, windows: Vec<Window> },
    /// Fails with the message unless the operand (a bool scalar) holds.
    Assert { message: String },
    /// Fails unless a condition on sizes holds, on which the rest of the region then relies. What is known when
    /// the function is entered is in its `obligations` instead.
    Ensure(Obligation),
    /// Writes a line as NumPy would: pieces joined by spaces, operands taken in order.
    Print { pieces: Vec<PrintPiece> },
    /// Ends a region of `if`, `for` or `while`.
    Yield,
    /// Ends a function.
    Return,
}

/// What is assigned along one axis of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub axis: usize,
    /// How much of the axis; `None` for one position, which is no axis of the new values.
    pub size: Option<Dim>,
}

/// A part of a printed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrintPiece {
    Text(String),
    /// The next operand.
    Operand,
}

impl InstKind {
    /// Symbols that have a value from this instruction on, to the end of its region.
    pub fn binds(&self) -> &[Symbol] {
        match self {
            InstKind::While { turns, .. } => turns.as_slice(),
            InstKind::Call { fresh, .. } => fresh,
            _ => &[],
        }
    }

    /// Symbols that the instruction itself uses, not counting its types, regions, and what it binds.
    pub fn symbols(&self) -> BTreeSet<Symbol> {
        match self {
            InstKind::Op { attrs, .. } => {
                let used = std::cell::RefCell::new(BTreeSet::new());
                let note = |symbol: &Symbol| {
                    used.borrow_mut().insert(symbol.clone());
                    None
                };
                attrs.iter().for_each(|(_, attr)| drop(attr.substitute(&note)));
                used.into_inner()
            }
            InstKind::Host(expr) => expr.symbols(),
            InstKind::SetSlice { windows, .. } => {
                windows.iter().filter_map(|window| window.size.as_ref()).flat_map(Dim::symbols).collect()
            }
            InstKind::Ensure(obligation) => {
                let (a, b) = obligation.sides();
                a.symbols().into_iter().chain(b.symbols()).collect()
            }
            InstKind::Call { bindings, path, .. } => {
                let position = |segment: &PathSegment| match segment {
                    PathSegment::Index(dim) => dim.symbols(),
                    PathSegment::Field(_) => BTreeSet::new(),
                };
                let given = bindings.iter().flat_map(|(_, expr)| expr.symbols());
                given.chain(path.iter().flatten().flat_map(position)).collect()
            }
            _ => BTreeSet::new(),
        }
    }
}
