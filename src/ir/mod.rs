//! The intermediate representation: functions in SSA form with structured regions, and the layers they
//! belong to. Ids index arenas; operands refer to earlier values of the same function only.
//!
//! A [`Layer`] says what an instance holds (parameters, sublayers) in terms of its hyperparameters; its
//! methods are [`Function`]s. Numbers stay symbols: a dim `in_features` in a function of `Linear` is the
//! instance's hyperparameter, a dim `B` is bound by the shapes of each call. Branches taken, callables
//! and dtypes are resolved, so one source layer can give several `Layer`s.
//!
//! ```text
//! layer Linear(in_features: int, out_features: int) {
//!   param weight : float32[out_features, in_features] = kaiming_uniform()
//! }
//! func @Linear.forward(%x: float32[d0, in_features]) -> float32[d0, out_features] {
//!   symbols d0: int
//!   %0 = param "weight" : float32[out_features, in_features]     # nn.tri:6
//!   %1 = permute %0 {axes = (1, 0)} : float32[in_features, out_features]
//!   %2 = matmul %x, %1 : float32[d0, out_features]
//!   return %2
//! }
//! ```

pub mod builder;
pub mod cost;
pub mod printer;
pub mod reader;
pub mod substitute;
pub mod verify;

pub use crate::types::saved::SavedName;
pub use builder::Builder;
pub use verify::{Verified, verify};

use crate::base::{LIBRARY_FOLDER, Loc};
use crate::ops::{Attr, Attrs, Obligation, OpId};
use crate::quant::{Quantization, Scheme};
use crate::types::{DType, Dim, HostExpr, HostValue, Symbol, Tensor, TensorType};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Index, IndexMut};

macro_rules! id {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);
    };
}
id!(LayerId, "A layer of a module.");
id!(FuncId, "A function of a module.");
id!(ValueId, "A value of a function.");
id!(InstId, "An instruction of a function.");

/// A compiled program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Module {
    /// Names of the source files that `Loc`s refer to, by `FileId`.
    pub files: Vec<String>,
    pub layers: Vec<Layer>,
    pub functions: Vec<Function>,
    pub entry: Option<Entry>,
}

impl Module {
    /// A function by its unique name.
    pub fn function_named(&self, name: &str) -> Option<FuncId> {
        self.functions.iter().position(|function| function.name == name).map(|index| FuncId(index as u32))
    }

    pub fn layer_named(&self, name: &str) -> Option<LayerId> {
        self.layers.iter().position(|layer| layer.name == name).map(|index| LayerId(index as u32))
    }

    /// Module path and name of a layer of the standard library (`nn.BatchNorm`).
    pub fn library_path(&self, layer: LayerId) -> Option<String> {
        let layer = &self[layer];
        let file = self.files.get(layer.loc.file.0 as usize)?;
        let module = file.strip_prefix(LIBRARY_FOLDER)?.strip_suffix(".tri")?.replace('/', ".");
        Some(format!("{module}.{}", layer.source_name))
    }

    /// A method by its name in the source, `forward`: the one that takes most of the optional inputs that are given, and
    /// no other. What is called from outside comes before what methods call.
    pub fn method(&self, layer: LayerId, source_name: &str, given: &dyn Fn(&str) -> bool) -> Option<FuncId> {
        let methods = self[layer].methods.iter().copied();
        let fitting =
            methods.filter(|method| self[*method].source_name == source_name && self[*method].given().all(given));
        // Of equals, the last one is taken.
        fitting.rev().max_by_key(|method| (self[*method].exported, self[*method].given().count()))
    }
}

impl Index<LayerId> for Module {
    type Output = Layer;
    fn index(&self, id: LayerId) -> &Layer {
        &self.layers[id.0 as usize]
    }
}
impl Index<FuncId> for Module {
    type Output = Function;
    fn index(&self, id: FuncId) -> &Function {
        &self.functions[id.0 as usize]
    }
}
impl IndexMut<FuncId> for Module {
    fn index_mut(&mut self, id: FuncId) -> &mut Function {
        &mut self.functions[id.0 as usize]
    }
}

/// What is built: an instance of a layer with concrete hyperparameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The name that files are named after, as in the source (`model`, `MLP`).
    pub name: String,
    pub layer: LayerId,
    /// A value for each symbol of the layer's hyperparameters.
    pub args: Vec<(Symbol, HostValue)>,
}

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

/// A function in SSA form. Symbols in its types are the hyperparameters of `layer`, its `symbols`, the loop
/// indices of its body, and what its instructions bind ([`InstKind::binds`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Unique in the module: `Linear.forward`, `softmax`, `softmax_2`.
    pub name: String,
    /// As in the source, without the layer: `forward`, `softmax`.
    pub source_name: String,
    pub doc: Option<String>,
    pub loc: Loc,
    pub layer: Option<LayerId>,
    /// Dim variables and symbolic host parameters. Each call gives their values.
    pub symbols: Vec<(Symbol, HostKind)>,
    /// Ints of which only the body tells how large they are, among them those that the results mention. Each
    /// call gives them names of the caller.
    pub fresh: Vec<Symbol>,
    /// Host arguments by name, as given or by default: what native forms of a composite (`softmax` with
    /// its `axis`) are written from. Over `symbols`.
    pub host_args: Attrs,
    pub params: Vec<ValueId>,
    pub results: Vec<TensorType>,
    pub values: Vec<Value>,
    pub insts: Vec<Inst>,
    pub body: Region,
    /// `@map(pytorch="...")`: native forms by target.
    pub maps: BTreeMap<String, String>,
    /// Module path and name of a function of the standard library (`nn.softmax`), for target tables.
    pub std_path: Option<String>,
    /// A method of the entry that is called from outside: `forward`, or one with `@export`.
    pub exported: bool,
    /// Such a method is there once for each set of its optional inputs (tensors with the default `None`). These are
    /// all of them, in source order, and whether this one takes them; its parameters have their names.
    pub optional: Vec<(String, bool)>,
    /// What must hold of the symbols for the function to make sense.
    pub obligations: Vec<(Obligation, Loc)>,
}

impl Index<ValueId> for Function {
    type Output = Value;
    fn index(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }
}
impl IndexMut<ValueId> for Function {
    fn index_mut(&mut self, id: ValueId) -> &mut Value {
        &mut self.values[id.0 as usize]
    }
}
impl Index<InstId> for Function {
    type Output = Inst;
    fn index(&self, id: InstId) -> &Inst {
        &self.insts[id.0 as usize]
    }
}
impl IndexMut<InstId> for Function {
    fn index_mut(&mut self, id: InstId) -> &mut Inst {
        &mut self.insts[id.0 as usize]
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub ty: TensorType,
    /// The source's name for it, where it has one.
    pub name: Option<String>,
}

/// Structured code: parameters, then instructions, the last of which is the only terminator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Region {
    pub params: Vec<ValueId>,
    pub insts: Vec<InstId>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Inst {
    pub kind: InstKind,
    pub operands: Vec<ValueId>,
    pub results: Vec<ValueId>,
    pub loc: Loc,
}

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

/// Which tensor of a storage member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The value itself (the float master, when it is quantised).
    Value,
    Codes,
    Scale,
    ZeroPoint,
}

/// A step from an instance to a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathSegment {
    Field(String),
    /// A position in a list, possibly over symbols and loop indices.
    Index(Dim),
}

/// The sublayer in `blocks.0.weight` and the member of it; `None` if the name is one of the own members.
pub fn member_path(name: &str) -> Option<(Vec<PathSegment>, &str)> {
    name.rsplit_once('.').map(|(path, own)| (part_path(path), own))
}

/// The way to the part `blocks.0` of an instance.
pub fn part_path(part: &str) -> Vec<PathSegment> {
    let segment = |segment: &str| match segment.parse::<i64>() {
        Ok(index) => PathSegment::Index(Dim::constant(index)),
        Err(_) => PathSegment::Field(segment.to_string()),
    };
    part.split('.').map(segment).collect()
}

/// The dotted name of the part at a path; `None` where only a run tells which one it is, or no name says it.
pub fn part_name(path: &[PathSegment]) -> Option<String> {
    let segment = |segment: &PathSegment| match segment {
        PathSegment::Field(name) if !name.contains('.') && name.parse::<i64>().is_err() => Some(name.clone()),
        PathSegment::Field(_) => None,
        PathSegment::Index(index) => index.as_const().map(|index| index.to_string()),
    };
    path.iter().map(segment).collect::<Option<Vec<String>>>().map(|segments| segments.join("."))
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

/// How the name of a method ends that takes the parameters of its instance instead of reading them.
pub const WITH_PARAMETERS: &str = "_with_parameters";

impl Function {
    /// The regions that an instruction owns.
    pub fn regions(kind: &InstKind) -> Vec<&Region> {
        match kind {
            InstKind::If { then, otherwise } => vec![then, otherwise],
            InstKind::For { body, .. } | InstKind::Gradient { body } | InstKind::Fused { body } => vec![body],
            InstKind::While { cond, body, .. } => vec![cond, body],
            InstKind::Op { .. }
            | InstKind::Param { .. }
            | InstKind::Const(_)
            | InstKind::Host(_)
            | InstKind::Rng { .. }
            | InstKind::Call { .. }
            | InstKind::SetState { .. }
            | InstKind::SetSlice { .. }
            | InstKind::Assert { .. }
            | InstKind::Ensure(_)
            | InstKind::Print { .. }
            | InstKind::Yield
            | InstKind::Return => vec![],
        }
    }

    /// The same, for changing them.
    pub fn regions_mut(kind: &mut InstKind) -> Vec<&mut Region> {
        match kind {
            InstKind::If { then, otherwise } => vec![then, otherwise],
            InstKind::For { body, .. } | InstKind::Gradient { body } | InstKind::Fused { body } => vec![body],
            InstKind::While { cond, body, .. } => vec![cond, body],
            _ => vec![],
        }
    }

    /// Forgets symbols that nothing in the function uses.
    pub fn drop_unused_symbols(&mut self) {
        let used = std::cell::RefCell::new(BTreeSet::new());
        let note = |symbol: &Symbol| {
            used.borrow_mut().insert(symbol.clone());
            None
        };
        self.host_args.iter().for_each(|(_, attr)| drop(attr.substitute(&note)));
        let mut used = used.into_inner();
        let mut note = |symbol: &Symbol| {
            if !used.contains(symbol) {
                used.insert(symbol.clone());
            }
        };
        let dims = self.values.iter().flat_map(|value| &value.ty.shape.dims);
        dims.for_each(|dim| dim.visit_symbols(&mut note));
        for (obligation, _) in &self.obligations {
            let (a, b) = obligation.sides();
            a.visit_symbols(&mut note);
            b.visit_symbols(&mut note);
        }
        self.insts.iter().for_each(|inst| used.extend(inst.kind.symbols()));
        self.symbols.retain(|(symbol, _)| used.contains(symbol));
    }

    /// Whether it is a method that takes the parameters of its instance, before its own.
    pub fn takes_parameters(&self) -> bool {
        self.layer.is_some() && self.source_name.ends_with(WITH_PARAMETERS)
    }

    /// The optional inputs that this one takes: by name, in source order.
    pub fn given(&self) -> impl Iterator<Item = &str> {
        self.optional.iter().filter(|(_, given)| *given).map(|(name, _)| name.as_str())
    }

    /// The element type of a value; IR holds known ones only.
    pub fn dtype(&self, value: ValueId) -> DType {
        self[value].ty.dtype().unwrap_or(DType::Float32)
    }

    pub fn host_arg(&self, name: &str) -> Option<&Attr> {
        self.host_args.get(name)
    }
}
