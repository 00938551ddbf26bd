//! Moving dims, types and attributes from a callee's scope into its caller's.

use crate::ir::{
    HostKind, InstKind, LayerId, MemberKind, Module, Origin, PathSegment, Role, Storage, Sub, member_path,
};
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

impl Module {
    /// A stored member of a layer or, by a dotted name, of a sublayer; `None` for what is not stored.
    pub fn stored(&self, layer: LayerId, name: &str) -> Option<&Storage> {
        let (path, own) = member_path(name).unwrap_or((vec![], name));
        let (layer, _) = self.instance_at(layer, &path).ok()?;
        match &self[layer].member(own)?.kind {
            MemberKind::Storage(storage) => Some(storage),
            MemberKind::Sub(_) | MemberKind::Constant { .. } => None,
        }
    }

    /// The layer that a member belongs to, possibly that of a sublayer, and the member's own name.
    pub fn member_of(&self, layer: LayerId, name: &str) -> Option<(LayerId, String)> {
        let (path, own) = member_path(name).unwrap_or((vec![], name));
        let (layer, _) = self.instance_at(layer, &path).ok()?;
        Some((layer, own.to_string()))
    }

    /// Whether a member, possibly one of a sublayer, is a tensor that stays as it is once weights were loaded: no
    /// function of the module assigns it. What is computed of weights itself does not count.
    pub fn is_settled(&self, layer: LayerId, name: &str) -> bool {
        let (path, own) = member_path(name).unwrap_or((vec![], name));
        let Ok((layer, _)) = self.instance_at(layer, &path) else { return false };
        match self[layer].member(own).map(|member| &member.kind) {
            Some(MemberKind::Storage(storage)) => match storage.role {
                Role::Param | Role::Buffer => true,
                Role::State => !self.assigns(layer, own),
                Role::Transient => false,
            },
            Some(MemberKind::Constant { of, .. }) => *of == Origin::Construction,
            Some(MemberKind::Sub(_)) | None => false,
        }
    }

    /// Whether a function assigns a state of a layer.
    fn assigns(&self, layer: LayerId, state: &str) -> bool {
        self.functions.iter().any(|function| {
            function.insts.iter().any(|inst| match &inst.kind {
                InstKind::SetState { name } | InstKind::SetSlice { name, .. } => {
                    let (path, own) = member_path(name).unwrap_or((vec![], name));
                    let holder = function.layer.and_then(|from| self.instance_at(from, &path).ok());
                    own == state && holder.is_none_or(|(holder, _)| holder == layer)
                }
                _ => false,
            })
        })
    }

    /// The layer of the instance at `path` from an instance of `layer`, and its hyperparameters as
    /// expressions over those of `layer` and the symbols in the path.
    pub fn instance_at(&self, layer: LayerId, path: &[PathSegment]) -> Result<(LayerId, Substitution), String> {
        let hypers = self[layer].hypers.iter();
        let mut scope = Substitution::new(hypers.map(|h| (h.name.clone(), symbol_expr(&h.name, h.kind))));
        let mut layer = layer;
        let mut segments = path.iter().peekable();
        while let Some(segment) = segments.next() {
            let PathSegment::Field(name) = segment else {
                return Err(format!("an instance of `{}` is no list", self[layer].name));
            };
            let Some(MemberKind::Sub(mut sub)) = self[layer].member(name).map(|member| member.kind.clone()) else {
                return Err(format!("`{}` has no sublayer `{name}`", self[layer].name));
            };
            while let Some(PathSegment::Index(index)) = segments.peek() {
                segments.next();
                sub = element_of(sub, index, &mut scope)?;
            }
            match sub {
                Sub::Instance { layer: next, args } => {
                    scope = Substitution::new(args.into_iter().map(|(name, value)| (name, scope.expr(&value))));
                    layer = next;
                }
                Sub::List(_) | Sub::Repeat { .. } => return Err(format!("`{name}` is a list, not an instance")),
                Sub::Function { name } => return Err(format!("`{name}` is a function, not an instance")),
            }
        }
        Ok((layer, scope))
    }
}

fn element_of(sub: Sub, at: &Dim, scope: &mut Substitution) -> Result<Sub, String> {
    match sub {
        Sub::List(mut elements) => {
            let position = at.as_const().and_then(|index| usize::try_from(index).ok());
            match position.filter(|position| *position < elements.len()) {
                Some(position) => Ok(elements.swap_remove(position)),
                None => Err(format!("`{at}` is no position in a list of {}", elements.len())),
            }
        }
        Sub::Repeat { index, count, element } => {
            if let (Some(at), Some(count)) = (at.as_const(), scope.dim(&count).as_const())
                && !(0..count).contains(&at)
            {
                return Err(format!("`{at}` is no position in a list of {count}"));
            }
            scope.set(index, HostExpr::Int(at.clone()));
            Ok(*element)
        }
        Sub::Instance { .. } | Sub::Function { .. } => Err(format!("`[{at}]` of something that is no list")),
    }
}
