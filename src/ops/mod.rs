//! The registry of primitive operations: one file per family, one [`Op`] per operation.
//!
//! Everything that must know an operation reads its entry: the checker and the IR verifier run `rule`,
//! the interpreter runs `eval`, autodiff builds with `gradient`, passes ask its `traits`, hover and documentation print
//! `doc`. No other module compares with an operation's name (`tests/architecture.rs` looks for it). Adding one is one entry
//! in the file of its family and one line in each target's `ops.toml`.
//!
//! Operands come flattened in the order of the tensor parameters: a [`ParamKind::Tensor`] is one
//! operand, an [`ParamKind::OptionalTensor`] none or one (at most one such parameter, the last of the
//! tensors), a [`ParamKind::Tensors`] takes all there are. Everything else is an attribute, by name.

pub mod attr;
pub mod cast;
pub mod channels;
pub mod contraction;
pub mod cost;
pub mod create;
mod elem;
pub mod elementwise;
pub mod error;
pub mod eval;
pub mod factors;
pub mod gradient;
pub mod kernel;
pub mod logic;
pub mod math;
pub mod precision;
pub mod quantize;
pub mod random;
pub mod reduce;
pub mod rule;
pub mod scan;
pub mod simplify;
#[cfg(test)]
pub mod testkit;

mod conv;
pub mod gemm;
mod index;
mod join;
pub mod matmul;
mod pool;
#[cfg(test)]
mod properties;
mod repeat;
mod shape;
pub mod slice;
pub mod storage;
pub mod traits;
mod window;

pub use attr::{Attr, Attrs};
pub use error::{Hint, Obligation, ObligationKind, OpError, Stop};
pub use eval::{EvalCx, EvalError};
pub use gradient::{Gradient, GradientCx, GradientError, Tape, Var};
pub use rule::{Repeat, RuleCx};
pub use traits::Traits;

use crate::types::{DType, HostExpr, Tensor, TensorType};
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// Type and shape rule: operand types and attributes to result types.
pub type Rule = fn(&mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop>;
/// Reference evaluation. Attributes are concrete by then.
pub type Eval = fn(&EvalCx<'_>) -> Result<Vec<Tensor>, EvalError>;

/// One primitive operation.
pub struct Op {
    pub name: &'static str,
    pub params: &'static [Param],
    pub rule: Rule,
    pub eval: Eval,
    /// How gradients flow back through it, or why they do not.
    pub gradient: Gradient,
    /// What else passes, the checker and targets ask of it.
    pub traits: Traits,
    /// Markdown; the first line is a summary.
    pub doc: &'static str,
}

impl Op {
    /// Every attribute, in the order of the parameters: what is given, else the default. A flag that is off is
    /// left out.
    pub fn with_defaults(&self, given: &Attrs) -> Attrs {
        let mut attrs = Attrs::new();
        for param in self.params.iter().filter(|param| !param.is_operand()) {
            let value = given.get(param.name).cloned().or_else(|| param.default_attr());
            if let Some(value) = value {
                attrs.set(param.name, value);
            }
        }
        attrs
    }
}

/// A parameter of an operation.
pub struct Param {
    pub name: &'static str,
    pub kind: ParamKind,
    pub default: Default,
    pub content: Content,
}

/// What an operand's elements are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// They are computed with. So are attributes.
    Elements,
    /// They choose between elements of other operands, whose type says nothing of theirs.
    Mask,
    /// They are positions: integers, whatever the other operands are.
    Indices,
    /// They are a seed for random numbers.
    Seed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    Tensor,
    OptionalTensor,
    /// One or more, given as a list.
    Tensors,
    /// A host int, possibly symbolic.
    Int,
    /// An int, or a list of them; symbolic ones allowed.
    Ints,
    /// A host int that must be known: an axis, negative from the end.
    Axis,
    /// An axis, a list of them, or `None` for all.
    Axes,
    /// A list of sizes; packs and, where the op says so, one -1 allowed.
    Shape,
    /// A list of `(low, high)` pairs, flattened.
    Pads,
    /// A host float (or int), possibly symbolic.
    Float,
    Bool,
    Str,
    DType,
    Scheme,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    Required,
    None,
    Int(i64),
    Float(f64),
    Bool(bool),
    Str(&'static str),
    /// A bool that is false; attributes hold it only where it is true.
    Off,
}

impl Param {
    pub const fn tensor(name: &'static str) -> Param {
        Param::required(name, ParamKind::Tensor)
    }

    pub const fn mask(name: &'static str) -> Param {
        Param { content: Content::Mask, ..Param::tensor(name) }
    }

    pub const fn indices(name: &'static str) -> Param {
        Param { content: Content::Indices, ..Param::tensor(name) }
    }

    pub const fn seed() -> Param {
        Param { content: Content::Seed, ..Param::tensor("seed") }
    }

    pub const fn required(name: &'static str, kind: ParamKind) -> Param {
        Param::with(name, kind, Default::Required)
    }

    pub const fn with(name: &'static str, kind: ParamKind, default: Default) -> Param {
        Param { name, kind, default, content: Content::Elements }
    }

    /// A tensor of positions or a seed: integers whatever the other operands are.
    pub fn holds_indices(&self) -> bool {
        matches!(self.content, Content::Indices | Content::Seed)
    }

    /// The default as an attribute; `None` if a value must be given.
    fn default_attr(&self) -> Option<Attr> {
        match self.default {
            Default::Required | Default::Off => None,
            Default::None => Some(Attr::None),
            Default::Int(value) => Some(Attr::int(value)),
            Default::Float(value) => Some(Attr::Float(HostExpr::float(value))),
            Default::Bool(value) => Some(Attr::Bool(value)),
            Default::Str(value) if self.kind == ParamKind::DType => {
                DType::parse(value).map(|dtype| Attr::DType(dtype.into()))
            }
            Default::Str(value) => Some(Attr::Str(value.to_string())),
        }
    }

    pub fn is_operand(&self) -> bool {
        matches!(self.kind, ParamKind::Tensor | ParamKind::OptionalTensor | ParamKind::Tensors)
    }
}

/// Index of an operation in the registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(u16);

impl OpId {
    pub fn get(self) -> &'static Op {
        REGISTRY.ops[self.0 as usize]
    }

    pub fn name(self) -> &'static str {
        self.get().name
    }
}

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

struct Registry {
    ops: Vec<&'static Op>,
    by_name: HashMap<&'static str, OpId>,
}

/// The families, in the order of the documentation.
static FAMILIES: &[(&str, &[Op])] = &[
    ("Arithmetic", elementwise::OPS),
    ("Mathematical functions", math::OPS),
    ("Comparison and logic", logic::OPS),
    ("Conversion", cast::OPS),
    ("Reductions", reduce::OPS),
    ("Scans and sorting", scan::OPS),
    ("Creation", create::OPS),
    ("Random numbers", random::OPS),
    ("Quantisation", quantize::OPS),
    ("Matrix products", matmul::OPS),
    ("Convolution", conv::OPS),
    ("Pooling", pool::OPS),
    ("Shape", shape::OPS),
    ("Joining and splitting", join::OPS),
    ("Slices", slice::OPS),
    ("Indexing", index::OPS),
    ("Repetition", repeat::OPS),
];

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let ops: Vec<&'static Op> = FAMILIES.iter().flat_map(|(_, ops)| ops.iter()).collect();
    let by_name = ops.iter().enumerate().map(|(i, op)| (op.name, OpId(i as u16))).collect();
    Registry { ops, by_name }
});

/// Looks an operation up by name.
pub fn find(name: &str) -> Option<OpId> {
    REGISTRY.by_name.get(name).copied()
}

/// An operation that the compiler itself relies on.
///
/// # Panics
/// If the registry lacks it: an error in the compiler, found by any test that gets here.
pub fn builtin(name: &str) -> OpId {
    find(name).unwrap_or_else(|| panic!("the operation registry has no `{name}`"))
}

/// Every operation, family by family.
pub fn all() -> impl Iterator<Item = OpId> {
    (0..REGISTRY.ops.len()).map(|i| OpId(i as u16))
}

/// The families and their operations.
pub fn families() -> &'static [(&'static str, &'static [Op])] {
    FAMILIES
}
