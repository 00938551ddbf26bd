//! Types, in today's spelling: `tensor<float32, [4, 4]>` is `float32[4, 4]`.

use super::doc::Doc;
use super::printer::{Brackets, Comma, Printer};
use crate::base::Span;
use crate::syntax::ast::{DimItem, Ident, TypeId, TypeKind};

impl<'a> Printer<'_, 'a> {
    pub fn ty(&mut self, id: TypeId) -> Doc {
        let start = self.start(self.ast[id].span);
        let aside = self.comments.any_before(start).then(|| self.aside(start));
        let ty = self.bare_type(id);
        match aside {
            Some(aside) => self.docs.concat(&[aside, ty]),
            None => ty,
        }
    }

    fn bare_type(&mut self, id: TypeId) -> Doc {
        let ast = self.ast;
        let ty = &ast[id];
        let close_at = self.end(ty.span).saturating_sub(1);
        let from = self.start(ty.span);
        match &ty.kind {
            TypeKind::Name(path) => self.path(path),
            TypeKind::Tensor { elem, dims, .. } => self.tensor(elem, dims, ty.span),
            TypeKind::Tuple(items) => {
                let mut brackets = Brackets::new("(", ")", from, close_at);
                if items.len() == 1 {
                    brackets.comma = Comma::Always;
                }
                self.list(brackets, items, |printer, id| printer.ast[*id].span, |printer, id| printer.ty(*id))
            }
            TypeKind::List(item) => {
                let open = self.docs.text("[");
                let item = self.ty(*item);
                let close = self.docs.text("]");
                self.docs.concat(&[open, item, close])
            }
            TypeKind::Error => self.docs.text(self.slice(from, close_at + 1)),
        }
    }

    /// `float32[B, T]`
    pub fn tensor(&mut self, elem: &'a Ident, dims: &'a [DimItem], span: Span) -> Doc {
        let name = self.docs.text(&elem.name);
        let from = self.start(span);
        let mut brackets = Brackets::new("[", "]", from, self.end(span).saturating_sub(1));
        brackets.stays_open = false;
        let dims = self.list(brackets, dims, |printer, dim| printer.dim_span(dim), |printer, dim| printer.dim(dim));
        self.docs.concat(&[name, dims])
    }

    fn dim_span(&self, dim: &DimItem) -> Span {
        match dim {
            DimItem::Expr(id) => self.ast[*id].span,
            DimItem::Any(span) | DimItem::Unknown(span) => *span,
            DimItem::Pack(name) => name.span,
        }
    }

    fn dim(&mut self, dim: &'a DimItem) -> Doc {
        match dim {
            DimItem::Expr(id) => self.plain(*id),
            DimItem::Any(_) => self.docs.text("..."),
            DimItem::Pack(name) => {
                let parts = [self.docs.text("..."), self.docs.text(&name.name)];
                self.docs.concat(&parts)
            }
            DimItem::Unknown(_) => self.docs.text("?"),
        }
    }

    /// `models.llama`
    pub fn path(&mut self, path: &'a [Ident]) -> Doc {
        let mut parts = vec![];
        for (index, name) in path.iter().enumerate() {
            if index > 0 {
                parts.push(self.docs.text("."));
            }
            parts.push(self.docs.text(&name.name));
        }
        self.docs.concat(&parts)
    }
}
