//! What an instance of a layer holds: storage, sublayers, and tensors that are computed once.

use crate::base::Loc;
use crate::ir::{FuncId, LayerId};
use crate::ops::Obligation;
use crate::quant::{Quantization, Scheme};
use crate::types::saved::SavedName;
use crate::types::{Dim, HostExpr, Symbol, Tensor, TensorType};

/// A layer, specialised to its compile-time choices.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Unique in the module: the source name, with a suffix where choices differ (`Linear`, `Linear_2`).
    pub name: String,
    /// As in the source.
    pub source_name: String,
    pub doc: Option<String>,
    pub loc: Loc,
    /// `@quantize` before the layer: what its parameters are, unless something inside says else.
    pub quantize: Option<Option<Quantization>>,
    /// Hyperparameters that are still symbols, in source order: constructor arguments.
    pub hypers: Vec<Hyper>,
    /// The ones that were resolved, with the choice in Tri syntax (`bias = true`, `act = relu`).
    pub choices: Vec<(String, String)>,
    pub members: Vec<Member>,
    /// `forward` first, then the exported methods and those they call.
    pub methods: Vec<FuncId>,
    /// `where` facts and what else must hold of the hyperparameters.
    pub obligations: Vec<Obligation>,
}

impl Layer {
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.name == name)
    }
}

/// A hyperparameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyper {
    pub name: Symbol,
    pub kind: HostKind,
    /// May use hyperparameters before it.
    pub default: Option<HostExpr>,
    pub doc: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostKind {
    Int,
    Float,
}

/// A named part of an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub name: String,
    pub doc: Option<String>,
    pub loc: Loc,
    /// Its name in weights files, where that is another; an element's for a list.
    pub saved: Option<SavedName>,
    /// What its sublayers compute is computed again for gradients, not kept.
    pub checkpoint: bool,
    /// `@quantize` of what a member holds; of storage, where it turns off what would reach it. `Some(None)` is `none`.
    pub quantize: Option<Option<Quantization>>,
    pub kind: MemberKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MemberKind {
    Storage(Storage),
    Sub(Sub),
    /// A tensor computed once: the result of a function without parameters.
    Constant {
        ty: TensorType,
        func: FuncId,
        of: Origin,
    },
}

/// What a constant member is computed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Of the members before it, as they are at construction.
    Construction,
    /// Of parameters and buffers of the layer and of its parts, as they are once weights were loaded. It has no
    /// effects; passes make such members.
    Weights,
}

/// `param`, `buffer` or `state`.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    pub role: Role,
    /// The declared type; dims over hyperparameters only.
    pub ty: TensorType,
    /// How the values are quantised, where they are.
    pub scheme: Option<Scheme>,
    /// How the other factor of the products of a quantised weight is quantised. `passes::activations` has made
    /// instructions of it before anybody else looks.
    pub activations: Option<Scheme>,
    pub init: Init,
}

impl Storage {
    pub fn quantization(&self) -> Option<Quantization> {
        let weights = self.scheme.clone()?;
        Some(Quantization { weights, activations: self.activations.clone() })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Param,
    Buffer,
    State,
    /// Neither saved nor expected in a weights file.
    Transient,
}

/// Initial values. `fan_in` is the product of all dims but the first, as in PyTorch.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// No value given: zeros for buffers and state, `kaiming_uniform` for parameters of rank 2 or more,
    /// else zeros.
    Default,
    Zeros,
    Ones,
    Constant(HostExpr),
    Normal {
        mean: HostExpr,
        std: HostExpr,
    },
    Uniform {
        low: HostExpr,
        high: HostExpr,
    },
    /// Uniform in ± 1 / sqrt(fan_in): PyTorch's default for its linear layers.
    KaimingUniform,
    XavierUniform {
        gain: HostExpr,
    },
    /// -1, 0 or 1 with equal probability.
    RandomTernary,
    /// Literal values, of the storage's element type.
    Values(Tensor),
    /// The result of a function without parameters.
    Func(FuncId),
}

/// Sublayers, as their member holds them.
#[derive(Clone, Debug, PartialEq)]
pub enum Sub {
    Instance {
        layer: LayerId,
        /// A value for each of the layer's `hypers`, over the symbols of the enclosing layer (and the
        /// indices of the enclosing `Repeat`s).
        args: Vec<(Symbol, HostExpr)>,
    },
    /// Elements of different kinds; paths go on with the position.
    List(Vec<Sub>),
    /// `count` elements of one kind; `index` runs from 0 and may occur in `args` below.
    Repeat { index: Symbol, count: Dim, element: Box<Sub> },
    /// A function in a list of layers: nothing to hold.
    Function { name: String },
}
