//! Moving dims, types and attributes from a callee's scope into its caller's.

use crate::ir::{HostKind, PathSegment};
use crate::types::{Dim, HostExpr, Symbol, TensorType};
use std::collections::BTreeMap;

/// What the symbols of one scope are, as expressions of another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Substitution(BTreeMap<Symbol, HostExpr>);

impl Substitution {
    pub fn new(pairs: impl IntoIterator<Item = (Symbol, HostExpr)>) -> Substitution {
        Substitution(pairs.into_iter().collect())
    }

    pub fn set(&mut self, symbol: Symbol, value: HostExpr) {
        self.0.insert(symbol, value);
    }

    pub fn extend(&mut self, pairs: impl IntoIterator<Item = (Symbol, HostExpr)>) {
        self.0.extend(pairs);
    }

    pub fn get(&self, symbol: &Symbol) -> Option<HostExpr> {
        self.0.get(symbol).cloned()
    }

    pub fn dim(&self, dim: &Dim) -> Dim {
        if self.0.is_empty() {
            return dim.clone();
        }
        dim.substitute_symbols(&|symbol| self.0.get(symbol)?.as_dim().cloned())
    }

    /// A symbol that an instruction binds, which another symbol stands for.
    pub fn name(&self, symbol: &Symbol) -> Symbol {
        self.get(symbol).and_then(|value| value.as_dim()?.as_symbol().cloned()).unwrap_or_else(|| symbol.clone())
    }

    pub fn expr(&self, expr: &HostExpr) -> HostExpr {
        expr.substitute(&|symbol| self.get(symbol))
    }

    pub fn ty(&self, ty: &TensorType) -> TensorType {
        ty.with_shape(ty.shape.map_dims(|dim| self.dim(dim)))
    }

    pub fn path(&self, path: &[PathSegment]) -> Vec<PathSegment> {
        path.iter()
            .map(|segment| match segment {
                PathSegment::Field(name) => PathSegment::Field(name.clone()),
                PathSegment::Index(dim) => PathSegment::Index(self.dim(dim)),
            })
            .collect()
    }
}

/// A symbol as an expression.
pub fn symbol_expr(symbol: &Symbol, kind: HostKind) -> HostExpr {
    match kind {
        HostKind::Int => HostExpr::Int(Dim::symbol(symbol.as_str())),
        HostKind::Float => HostExpr::FloatSymbol(symbol.clone()),
    }
}
