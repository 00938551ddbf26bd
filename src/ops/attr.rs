//! Attributes: the host arguments of an operation.

use crate::quant::Scheme;
use crate::types::{Dim, Elem, HostExpr, HostValue, Shape, Symbol};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attr {
    None,
    Int(Dim),
    Ints(Vec<Dim>),
    Shape(Shape),
    Float(HostExpr),
    Bool(bool),
    Str(String),
    DType(Elem),
    Scheme(Scheme),
    /// A host value that is not known in a definition that is checked on its own.
    Unknown,
}

impl Attr {
    pub fn int(value: i64) -> Attr {
        Attr::Int(Dim::constant(value))
    }

    pub fn ints(values: &[i64]) -> Attr {
        Attr::Ints(values.iter().map(|&v| Dim::constant(v)).collect())
    }

    /// The numbers that the operation is told, but for the sizes of a shape.
    pub fn numbers(&self) -> &[Dim] {
        match self {
            Attr::Int(dim) => std::slice::from_ref(dim),
            Attr::Ints(dims) => dims,
            _ => &[],
        }
    }

    /// Gives symbols their values.
    pub fn resolve(&self, value: &dyn Fn(&Symbol) -> Option<HostValue>) -> Attr {
        let dim = |d: &Dim| d.substitute_symbols(&|s| Some(Dim::constant(value(s)?.as_int()?)));
        match self {
            Attr::Int(d) => Attr::Int(dim(d)),
            Attr::Ints(ds) => Attr::Ints(ds.iter().map(dim).collect()),
            Attr::Shape(shape) => Attr::Shape(shape.map_dims(dim)),
            Attr::Float(e) => Attr::Float(e.eval(value).map_or_else(|| e.clone(), HostExpr::float)),
            other => other.clone(),
        }
    }

    /// Replaces symbols by expressions of another scope.
    pub fn substitute(&self, replace: &dyn Fn(&Symbol) -> Option<HostExpr>) -> Attr {
        let dim = |d: &Dim| d.substitute_symbols(&|s| replace(s)?.as_dim().cloned());
        match self {
            Attr::Int(d) => Attr::Int(dim(d)),
            Attr::Ints(ds) => Attr::Ints(ds.iter().map(dim).collect()),
            Attr::Shape(shape) => Attr::Shape(shape.map_dims(dim)),
            Attr::Float(e) => Attr::Float(e.substitute(replace)),
            other => other.clone(),
        }
    }
}

/// As the IR text writes it.
impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attr::None => f.write_str("none"),
            Attr::Int(dim) => dim.fmt(f),
            Attr::Ints(dims) => {
                let parts: Vec<String> = dims.iter().map(Dim::to_string).collect();
                write!(f, "({})", parts.join(", "))
            }
            Attr::Shape(shape) => write!(f, "[{shape}]"),
            Attr::Float(e) => e.fmt(f),
            Attr::Bool(b) => b.fmt(f),
            Attr::Str(s) => write!(f, "{s:?}"),
            Attr::DType(elem) => elem.fmt(f),
            Attr::Scheme(scheme) => scheme.fmt(f),
            Attr::Unknown => f.write_str("?"),
        }
    }
}

/// Attributes by name, in the order of the operation's parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attrs(Vec<(String, Attr)>);

impl Attrs {
    pub fn new() -> Attrs {
        Attrs::default()
    }

    /// Adds or replaces.
    pub fn set(&mut self, name: &str, value: Attr) {
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((name.to_string(), value)),
        }
    }

    pub fn with(mut self, name: &str, value: Attr) -> Attrs {
        self.set(name, value);
        self
    }

    pub fn get(&self, name: &str) -> Option<&Attr> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Attr)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Sets a flag, or leaves it out where it is off.
    pub fn with_flag(mut self, name: &str, on: bool) -> Attrs {
        self.0.retain(|(key, _)| key != name);
        if on { self.with(name, Attr::Bool(true)) } else { self }
    }

    /// Whether a flag is on.
    pub fn flag(&self, name: &str) -> bool {
        self.bool(name) == Some(true)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn map(&self, f: impl Fn(&Attr) -> Attr) -> Attrs {
        Attrs(self.0.iter().map(|(key, value)| (key.clone(), f(value))).collect())
    }

    /// The dims of a shape or list attribute without packs.
    pub fn dims(&self, name: &str) -> Option<&[Dim]> {
        match self.get(name)? {
            Attr::Ints(dims) => Some(dims),
            Attr::Shape(shape) => shape.known(),
            _ => None,
        }
    }

    pub fn const_int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Attr::Int(dim) => dim.as_const(),
            _ => None,
        }
    }

    pub fn const_ints(&self, name: &str) -> Option<Vec<i64>> {
        match self.get(name)? {
            Attr::Int(dim) => Some(vec![dim.as_const()?]),
            _ => self.dims(name)?.iter().map(Dim::as_const).collect(),
        }
    }

    pub fn const_float(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Attr::Float(e) => e.as_const(),
            Attr::Int(dim) => Some(dim.as_const()? as f64),
            _ => None,
        }
    }

    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Attr::Bool(b) => Some(*b),
            _ => None,
        }
    }

    pub fn str(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Attr::Str(s) => Some(s),
            _ => None,
        }
    }

    pub fn scheme(&self, name: &str) -> Option<&Scheme> {
        match self.get(name)? {
            Attr::Scheme(scheme) => Some(scheme),
            _ => None,
        }
    }
}
