//! `let y: float32[N, d] = stack(outs)`: the type of a `let` gives a name to a size that is not known.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::value::Value;
use crate::analysis::world::Walk;
use crate::base::{Span, code};
use crate::ops::{Obligation, ObligationKind};
use crate::syntax::ast::{DimItem, ExprKind, TypeId, TypeKind};
use crate::types::{Dim, TensorType};

/// A new name in the type of a `let`, and the `?` that stands for it there.
pub(super) struct NamedSize {
    name: String,
    span: Span,
    unknown: Dim,
}

impl<'db> Elaborator<'_, 'db> {
    /// Declares the new capitalised names among the dims of a type.
    pub(super) fn new_sizes(&mut self, ty: TypeId) -> Vec<NamedSize> {
        let ast = self.ast;
        let TypeKind::Tensor { dims, .. } = &ast[ty].kind else { return vec![] };
        let mut named = vec![];
        for item in dims {
            let DimItem::Expr(expr) = item else { continue };
            let ExprKind::Name(name) = &ast[*expr].kind else { continue };
            if !name.starts_with(char::is_uppercase) || self.local(name).is_some() || self.is_global(name) {
                continue;
            }
            let unknown = self.fresh_dim();
            self.bind(name, Value::dim(unknown.clone()));
            named.push(NamedSize { name: name.clone(), span: ast[*expr].span, unknown });
        }
        named
    }

    /// Gives the names the sizes of the value. One that is known has its own name already, so that a new name
    /// for it is a slip.
    pub(super) fn name_sizes(&mut self, named: Vec<NamedSize>, spec: &TypeSpec<'db>, value: &Value<'db>) -> Walk<()> {
        let (TypeSpec::Tensor(declared), Value::Tensor(tensor)) = (spec, value) else { return Ok(()) };
        for NamedSize { name, span, unknown } in named {
            let mut sizes = sizes_of(&unknown, declared, &tensor.ty).into_iter();
            let Some(size) = sizes.next() else { continue };
            if !size.has_unknown() && !self.facts.is_open_dim(&size) {
                let known = self.readable(&format!("this size is {size}; a `let` gives a new name to a `?` only"));
                return Err(self.unknown_dim(&name, span, Some(known)));
            }
            for other in sizes {
                let message = format!("two sizes that are called `{name}` differ");
                let kind = ObligationKind::Equal(other, size.clone());
                self.require(Obligation { kind, code: code::E0303, message }, span)?;
            }
            self.bind(&name, Value::dim(size));
        }
        Ok(())
    }
}

/// The sizes of a tensor where its declared type has this dim.
fn sizes_of(unknown: &Dim, declared: &TensorType, found: &TensorType) -> Vec<Dim> {
    let (declared, found) = (&declared.shape, &found.shape);
    let heads = declared.head().iter().zip(found.head());
    let tails = declared.tail().iter().rev().zip(found.tail().iter().rev());
    let all: Vec<_> = if declared.pack.is_some() { heads.chain(tails).collect() } else { heads.collect() };
    all.into_iter().filter(|(own, _)| *own == unknown).map(|(_, size)| size.clone()).collect()
}
