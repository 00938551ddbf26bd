//! Abstract values: what an expression is known to be while its body is walked.
//!
//! Tensors are known by their type and by the instruction that makes them ([`ValueRef`]); everything else
//! (numbers, layers, functions, lists) is known at compile time, up to symbols.

use crate::analysis::db::Item;
use crate::base::F64;
use crate::ops::OpId;
use crate::quant::Scheme;
use crate::syntax::ast::{Ast, FnDecl, LayerDecl};
use crate::types::{Dim, Elem, HostExpr, Symbol, TensorType};
use std::collections::BTreeSet;

/// A run-time value, as the world that receives instructions numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueRef(pub u32);

#[derive(Clone, Debug, PartialEq)]
pub struct TensorValue {
    pub ty: TensorType,
    pub value: ValueRef,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value<'db> {
    Tensor(TensorValue),
    /// An int or float.
    Number(HostExpr),
    Bool(Cond),
    Str(String),
    None,
    DType(Elem),
    Scheme(Scheme),
    Init(InitValue),
    Tuple(Vec<Value<'db>>),
    List(List<'db>),
    /// Dims of a tensor (`x.shape`) or a shape list with packs.
    Shape(crate::types::Shape),
    Function(Function<'db>),
    Layer(LayerRef<'db>, Vec<Elem>),
    Instance(Box<Instance<'db>>),
    Module(crate::analysis::db::SourceFile),
    /// A tensor type in value position, for the legacy literal.
    TensorType(TensorType),
    /// `a..b` after `in`.
    Range(Dim, Dim),
    /// A host value of a definition that is checked on its own.
    Opaque(Opaque),
    /// Already reported, or not to be known here: silences what follows.
    Error,
}

/// A hyperparameter that is neither int nor float and has no value yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Opaque {
    pub name: String,
    pub kind: OpaqueKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpaqueKind {
    Str,
    DType,
    Scheme,
    Init,
    List,
    /// A list of ints: its elements are dims.
    Ints,
}

#[derive(Clone, Debug, PartialEq)]
pub enum List<'db> {
    Items(Vec<Value<'db>>),
    /// `count` elements that differ only in `index`, which runs from 0.
    Repeat {
        index: Symbol,
        count: Dim,
        element: Box<Value<'db>>,
    },
    /// One tensor for each turn of a loop, stacked along a new first axis. Such lists are used whole.
    Stacked(Box<TensorValue>),
    /// What the loop that is being walked adds to a list in one turn, and how many elements there are before
    /// it, where a run counts them.
    Growing {
        before: Option<Dim>,
        added: Vec<Value<'db>>,
    },
    /// Lists one after the other, at least one of them of open length: only in a definition that is checked
    /// on its own, since lowering asks for the lengths.
    Joined(Vec<Value<'db>>),
}

/// A host condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Cond {
    Known(bool),
    /// A bool that has no value yet, by name.
    Opaque(String),
    Compare(Comparison, HostExpr, HostExpr),
    Not(Box<Cond>),
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    pub fn symbol(self) -> &'static str {
        match self {
            Comparison::Eq => "==",
            Comparison::Ne => "!=",
            Comparison::Lt => "<",
            Comparison::Le => "<=",
            Comparison::Gt => ">",
            Comparison::Ge => ">=",
        }
    }

    /// The operation on tensors.
    pub fn operation(self) -> &'static str {
        match self {
            Comparison::Eq => "eq",
            Comparison::Ne => "ne",
            Comparison::Lt => "lt",
            Comparison::Le => "le",
            Comparison::Gt => "gt",
            Comparison::Ge => "ge",
        }
    }

    pub fn negated(self) -> Comparison {
        match self {
            Comparison::Eq => Comparison::Ne,
            Comparison::Ne => Comparison::Eq,
            Comparison::Lt => Comparison::Ge,
            Comparison::Le => Comparison::Gt,
            Comparison::Gt => Comparison::Le,
            Comparison::Ge => Comparison::Lt,
        }
    }

    pub fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Comparison::Eq => a == b,
            Comparison::Ne => a != b,
            Comparison::Lt => a < b,
            Comparison::Le => a <= b,
            Comparison::Gt => a > b,
            Comparison::Ge => a >= b,
        }
    }
}

impl std::fmt::Display for Cond {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cond::Known(b) => write!(f, "{b}"),
            Cond::Opaque(name) => write!(f, "{name}"),
            Cond::Compare(op, a, b) => write!(f, "{a} {} {b}", op.symbol()),
            Cond::Not(c) => write!(f, "not ({c})"),
            Cond::And(a, b) => write!(f, "({a}) and ({b})"),
            Cond::Or(a, b) => write!(f, "({a}) or ({b})"),
        }
    }
}

/// An initialiser as a value.
#[derive(Clone, Debug, PartialEq)]
pub enum InitValue {
    Zeros,
    Ones,
    Constant(HostExpr),
    Normal { mean: HostExpr, std: HostExpr },
    Uniform { low: HostExpr, high: HostExpr },
    KaimingUniform,
    XavierUniform { gain: HostExpr },
    RandomTernary,
}

/// Something that can be called on values.
#[derive(Clone, Debug, PartialEq)]
pub enum Function<'db> {
    Op(OpId),
    /// A function of the language itself, on host values (`len`, `enumerate`, `int8`, ...).
    Builtin(&'static str),
    User(FnRef<'db>),
    Method(Box<Instance<'db>>, FnRef<'db>),
    /// `value_and_grad(f)`
    Gradient(Box<Value<'db>>),
    /// `f(_, k=2)`: positional slots, `None` where `_` stands, and named ones.
    Partial {
        function: Box<Value<'db>>,
        args: Vec<(Option<String>, Option<Value<'db>>)>,
    },
}

/// A `fn` item, or a method.
#[derive(Clone, Copy)]
pub struct FnRef<'db> {
    pub item: Item<'db>,
    /// The full tree of the item.
    pub ast: &'db Ast,
    pub decl: &'db FnDecl,
    /// The layer it is a method of.
    pub layer: Option<LayerRef<'db>>,
    pub attributes: &'db [crate::syntax::ast::Attribute],
    pub doc: Option<&'db str>,
}

impl PartialEq for FnRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.item == other.item && self.layer == other.layer && self.decl.name.name == other.decl.name.name
    }
}
impl std::fmt::Debug for FnRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fn {}", self.decl.name.name)
    }
}

/// A `layer`.
#[derive(Clone, Copy)]
pub struct LayerRef<'db> {
    pub item: Item<'db>,
    pub ast: &'db Ast,
    pub decl: &'db LayerDecl,
    pub attributes: &'db [crate::syntax::ast::Attribute],
    pub doc: Option<&'db str>,
}

impl PartialEq for LayerRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.item == other.item && self.decl.name.name == other.decl.name.name
    }
}
impl std::fmt::Debug for LayerRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "layer {}", self.decl.name.name)
    }
}

/// A step from an instance to a part of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Field(String),
    Index(Dim),
}

/// An instance of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance<'db> {
    pub layer: LayerRef<'db>,
    /// By type parameter, in order.
    pub elems: Vec<Elem>,
    /// By hyperparameter, in order.
    pub hypers: Vec<(String, Value<'db>)>,
    /// From the instance whose method is being walked; `None` until a `let` owns it.
    pub path: Option<Vec<Step>>,
    /// Values in the place of its parameters, by their paths from it; `None` for those that it holds. What a definition
    /// leaves open has none, as nothing looks at them there.
    pub values: Option<Vec<(String, TensorValue)>>,
}

impl<'db> Value<'db> {
    pub fn int(value: i64) -> Value<'db> {
        Value::Number(HostExpr::int(value))
    }

    pub fn dim(dim: Dim) -> Value<'db> {
        Value::Number(HostExpr::Int(dim))
    }

    pub fn float(value: f64) -> Value<'db> {
        Value::Number(HostExpr::Float(F64(value)))
    }

    pub fn bool(value: bool) -> Value<'db> {
        Value::Bool(Cond::Known(value))
    }

    pub fn list(items: Vec<Value<'db>>) -> Value<'db> {
        Value::List(List::Items(items))
    }

    /// Lists one after the other, each with its elements or a repeated element.
    pub fn joined(lists: Vec<Value<'db>>) -> Value<'db> {
        let mut parts: Vec<Value<'db>> = vec![];
        for list in lists {
            let pieces = match list {
                Value::List(List::Joined(pieces)) => pieces,
                other => vec![other],
            };
            for piece in pieces {
                match (parts.last_mut(), piece) {
                    (Some(Value::List(List::Items(items))), Value::List(List::Items(more))) => items.extend(more),
                    (_, Value::List(List::Items(items))) if items.is_empty() => {}
                    (_, piece) => parts.push(piece),
                }
            }
        }
        match parts.len() {
            0 => Value::list(vec![]),
            1 => parts.remove(0),
            _ => Value::List(List::Joined(parts)),
        }
    }

    pub fn as_dim(&self) -> Option<&Dim> {
        match self {
            Value::Number(expr) => expr.as_dim(),
            _ => None,
        }
    }

    pub fn as_tensor(&self) -> Option<&TensorValue> {
        match self {
            Value::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// What kind of thing it is, for messages.
    pub fn describe(&self) -> String {
        match self {
            Value::Tensor(t) => format!("a tensor {}", t.ty),
            Value::Number(e) if e.is_int() => "an int".into(),
            Value::Number(_) => "a float".into(),
            Value::Bool(_) => "a bool".into(),
            Value::Str(_) => "a string".into(),
            Value::None => "None".into(),
            Value::DType(elem) => format!("the element type {elem}"),
            Value::Scheme(_) => "a quantisation scheme".into(),
            Value::Init(_) => "an initialiser".into(),
            Value::Tuple(items) => format!("a tuple of {}", items.len()),
            Value::List(List::Growing { .. }) => "a list that this loop fills".into(),
            Value::List(_) => "a list".into(),
            Value::Shape(shape) => format!("the shape [{shape}]"),
            Value::Function(_) => "a function".into(),
            Value::Layer(layer, _) => format!("the layer {}", layer.decl.name.name),
            Value::Instance(instance) => format!("an instance of {}", instance.layer.decl.name.name),
            Value::Module(_) => "a module".into(),
            Value::TensorType(ty) => format!("the type {ty}"),
            Value::Range(..) => "a range".into(),
            Value::Opaque(opaque) => format!("the hyperparameter {}", opaque.name),
            Value::Error => "an unknown value".into(),
        }
    }

    /// Whether a run-time tensor is in it.
    pub fn has_tensor(&self) -> bool {
        match self {
            Value::Tensor(_) => true,
            Value::Tuple(items) | Value::List(List::Items(items) | List::Joined(items)) => {
                items.iter().any(Value::has_tensor)
            }
            Value::List(List::Repeat { element, .. }) => element.has_tensor(),
            Value::List(List::Stacked(_)) => true,
            Value::Instance(instance) => instance.values.is_some(),
            _ => false,
        }
    }

    pub fn has_instance(&self) -> bool {
        match self {
            Value::Instance(_) => true,
            Value::Function(Function::Method(..)) => true,
            Value::Tuple(items) | Value::List(List::Items(items) | List::Joined(items)) => {
                items.iter().any(Value::has_instance)
            }
            Value::List(List::Repeat { element, .. }) => element.has_instance(),
            _ => false,
        }
    }

    /// Whether it is an instance of which only the layer is known, or holds one.
    pub fn is_open(&self) -> bool {
        match self {
            Value::Instance(instance) => instance.is_open(),
            Value::Tuple(items) | Value::List(List::Items(items) | List::Joined(items)) => {
                items.iter().any(Value::is_open)
            }
            Value::List(List::Repeat { element, .. }) => element.is_open(),
            _ => false,
        }
    }

    /// Replaces symbols by host expressions, everywhere (a loop index by its value, a callee's symbols by
    /// the caller's expressions).
    pub fn substitute(&self, replace: &dyn Fn(&Symbol) -> Option<HostExpr>) -> Value<'db> {
        let dim = |d: &Dim| d.substitute_symbols(&|s| replace(s)?.as_dim().cloned());
        match self {
            Value::Tensor(t) => {
                Value::Tensor(TensorValue { ty: t.ty.with_shape(t.ty.shape.map_dims(dim)), value: t.value })
            }
            Value::Number(e) => Value::Number(e.substitute(replace)),
            Value::Bool(c) => Value::Bool(c.substitute(replace)),
            Value::Init(init) => Value::Init(init.substitute(replace)),
            Value::Tuple(items) => Value::Tuple(items.iter().map(|v| v.substitute(replace)).collect()),
            Value::List(List::Items(items)) => Value::list(items.iter().map(|v| v.substitute(replace)).collect()),
            Value::List(List::Repeat { index, count, element }) => Value::List(List::Repeat {
                index: index.clone(),
                count: dim(count),
                element: Box::new(element.substitute(replace)),
            }),
            Value::List(List::Stacked(t)) => Value::List(List::Stacked(Box::new(TensorValue {
                ty: t.ty.with_shape(t.ty.shape.map_dims(dim)),
                value: t.value,
            }))),
            Value::List(List::Joined(parts)) => {
                Value::List(List::Joined(parts.iter().map(|part| part.substitute(replace)).collect()))
            }
            Value::Shape(shape) => Value::Shape(shape.map_dims(dim)),
            Value::TensorType(ty) => Value::TensorType(ty.with_shape(ty.shape.map_dims(dim))),
            Value::Range(a, b) => Value::Range(dim(a), dim(b)),
            Value::Instance(instance) => Value::Instance(Box::new(instance.substitute(replace))),
            Value::Function(Function::Method(instance, method)) => {
                Value::Function(Function::Method(Box::new(instance.substitute(replace)), *method))
            }
            Value::Function(Function::Gradient(function)) => {
                Value::Function(Function::Gradient(Box::new(function.substitute(replace))))
            }
            Value::Function(Function::Partial { function, args }) => Value::Function(Function::Partial {
                function: Box::new(function.substitute(replace)),
                args: args.iter().map(|(n, v)| (n.clone(), v.as_ref().map(|v| v.substitute(replace)))).collect(),
            }),
            other => other.clone(),
        }
    }

    /// Symbols that occur in it.
    pub fn symbols(&self) -> BTreeSet<Symbol> {
        let found = std::cell::RefCell::new(BTreeSet::new());
        self.substitute(&|symbol| {
            found.borrow_mut().insert(symbol.clone());
            None
        });
        found.into_inner()
    }
}

impl InitValue {
    fn substitute(&self, replace: &dyn Fn(&Symbol) -> Option<HostExpr>) -> InitValue {
        match self {
            InitValue::Constant(e) => InitValue::Constant(e.substitute(replace)),
            InitValue::Normal { mean, std } => {
                InitValue::Normal { mean: mean.substitute(replace), std: std.substitute(replace) }
            }
            InitValue::Uniform { low, high } => {
                InitValue::Uniform { low: low.substitute(replace), high: high.substitute(replace) }
            }
            InitValue::XavierUniform { gain } => InitValue::XavierUniform { gain: gain.substitute(replace) },
            InitValue::Zeros | InitValue::Ones | InitValue::KaimingUniform | InitValue::RandomTernary => self.clone(),
        }
    }
}

impl Cond {
    pub fn negated(self) -> Cond {
        match self {
            Cond::Known(b) => Cond::Known(!b),
            Cond::Compare(op, a, b) => Cond::Compare(op.negated(), a, b),
            Cond::Not(inner) => *inner,
            other => Cond::Not(Box::new(other)),
        }
    }

    fn substitute(&self, replace: &dyn Fn(&Symbol) -> Option<HostExpr>) -> Cond {
        match self {
            Cond::Known(_) | Cond::Opaque(_) => self.clone(),
            Cond::Compare(op, a, b) => Cond::Compare(*op, a.substitute(replace), b.substitute(replace)),
            Cond::Not(c) => Cond::Not(Box::new(c.substitute(replace))),
            Cond::And(a, b) => Cond::And(Box::new(a.substitute(replace)), Box::new(b.substitute(replace))),
            Cond::Or(a, b) => Cond::Or(Box::new(a.substitute(replace)), Box::new(b.substitute(replace))),
        }
    }
}

impl<'db> Instance<'db> {
    pub fn substitute(&self, replace: &dyn Fn(&Symbol) -> Option<HostExpr>) -> Instance<'db> {
        Instance {
            layer: self.layer,
            elems: self.elems.clone(),
            hypers: self.hypers.iter().map(|(n, v)| (n.clone(), v.substitute(replace))).collect(),
            path: self.path.as_ref().map(|path| {
                let step = |step: &Step| match step {
                    Step::Field(name) => Step::Field(name.clone()),
                    Step::Index(dim) => Step::Index(dim.substitute_symbols(&|s| replace(s)?.as_dim().cloned())),
                };
                path.iter().map(step).collect()
            }),
            values: self.values.as_ref().map(|values| {
                let dim = |d: &Dim| d.substitute_symbols(&|s| replace(s)?.as_dim().cloned());
                let moved =
                    |t: &TensorValue| TensorValue { ty: t.ty.with_shape(t.ty.shape.map_dims(dim)), ..t.clone() };
                values.iter().map(|(name, value)| (name.clone(), moved(value))).collect()
            }),
        }
    }

    /// The same instance with other values in the place of its parameters.
    pub fn with_values(&self, values: Vec<(String, TensorValue)>) -> Instance<'db> {
        Instance { values: Some(values), ..self.clone() }
    }

    /// Whether two have the same parameters, of the same types.
    pub fn has_same_parameters(&self, other: &Instance<'db>) -> bool {
        let types = |instance: &Instance<'db>| {
            let values = instance.values.clone().unwrap_or_default();
            values.into_iter().map(|(name, value)| (name, value.ty)).collect::<Vec<_>>()
        };
        self.layer == other.layer && types(self) == types(other)
    }

    /// Whether one can take the place of the other when a program runs.
    pub fn is_like(&self, other: &Instance<'db>) -> bool {
        self.path == other.path
            && self.elems == other.elems
            && self.hypers == other.hypers
            && self.has_same_parameters(other)
    }

    /// Whether its hyperparameters are not known: it comes from outside of the definition that is checked.
    pub fn is_open(&self) -> bool {
        self.hypers.iter().any(|(_, value)| *value == Value::Error)
    }

    pub fn hyper(&self, name: &str) -> Option<&Value<'db>> {
        self.hypers.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }
}
