//! Gradients of `param` members, by the path from the instance that a function runs on.

use crate::ir::substitute::Substitution;
use crate::ir::{Function, Module, PathSegment, Role, member_path};
use crate::types::{Dim, HostExpr, Symbol};
use std::fmt;

/// The member that a gradient belongs to. Where loops walk lists of layers, `counts` says how often each turns,
/// and the gradient has as many axes in front; the path then uses the symbols `turn'0`, `turn'1`, ... for their
/// indices, outermost first, from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageGradient {
    pub path: Vec<PathSegment>,
    pub name: String,
    pub counts: Vec<Dim>,
}

/// The index of the loop that made axis `axis` of a gradient.
pub fn turn(axis: usize) -> Symbol {
    Symbol::new(&format!("turn'{axis}"))
}

impl StorageGradient {
    /// The member that `param` reads by this name.
    pub(super) fn of(name: &str) -> StorageGradient {
        let (path, name) = member_path(name).unwrap_or((vec![], name));
        StorageGradient { path, name: name.to_string(), counts: vec![] }
    }

    /// As the caller sees it, who calls on the instance at `path`; `substitution` has the callee's symbols.
    pub(super) fn seen_from(&self, path: &[PathSegment], substitution: &Substitution) -> StorageGradient {
        let inner = substitution.path(&self.path);
        StorageGradient {
            path: path.iter().cloned().chain(inner).collect(),
            name: self.name.clone(),
            counts: self.counts.iter().map(|count| substitution.dim(count)).collect(),
        }
    }

    pub(super) fn mentions(&self, symbol: &Symbol) -> bool {
        self.path.iter().any(|segment| matches!(segment, PathSegment::Index(dim) if dim.symbols().contains(symbol)))
    }

    /// The stack of the gradients that a loop gave, in the order of `turn'0`: what was `index` in the loop is
    /// now `value`, an expression over `turn'0`.
    pub(super) fn stacked(&self, index: &Symbol, value: Dim, count: Dim) -> StorageGradient {
        let mut substitution = Substitution::default();
        for axis in 0..self.counts.len() {
            substitution.set(turn(axis), HostExpr::Int(Dim::symbol(turn(axis + 1).as_str())));
        }
        substitution.set(index.clone(), HostExpr::Int(value));
        StorageGradient {
            path: substitution.path(&self.path),
            name: self.name.clone(),
            counts: std::iter::once(count).chain(self.counts.iter().cloned()).collect(),
        }
    }
}

/// `blocks.turn'0.weight`
impl fmt::Display for StorageGradient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.path {
            match segment {
                PathSegment::Field(name) => write!(f, "{name}.")?,
                PathSegment::Index(dim) => write!(f, "{dim}.")?,
            }
        }
        f.write_str(&self.name)
    }
}

impl Module {
    /// The role of the storage that `param` reads by a name in a method; `None` for a constant.
    pub(super) fn role_of(&self, function: &Function, name: &str) -> Option<Role> {
        self.stored(function.layer?, name).map(|storage| storage.role)
    }
}
