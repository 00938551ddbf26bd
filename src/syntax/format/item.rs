//! Items and members: declarations and what they hold.

use super::doc::Doc;
use super::expr::Place;
use super::parens::Position;
use super::printer::{Braces, Brackets, Printer};
use crate::base::Span;
use crate::syntax::ast::*;

/// What `fn` and `layer` have in common.
struct Signature<'a> {
    keyword: &'static str,
    name: &'a Ident,
    type_params: &'a [TypeParam],
    params: &'a [Param],
    result: Option<TypeId>,
    wheres: &'a [ExprId],
    /// Empty parentheses are left out.
    bare: bool,
}

impl<'a> Printer<'_, 'a> {
    pub fn item(&mut self) -> Doc {
        let item = &self.ast.item;
        let attributes = self.attributes(&item.attributes);
        let end = self.end(item.span);
        let kind = match &item.kind {
            ItemKind::Use(value) => self.use_item(value, end),
            ItemKind::Const { name, ty, value } => self.constant(name, *ty, *value),
            ItemKind::Let(value) => self.binding(value),
            ItemKind::TypeAlias { name, ty } => self.alias(name, *ty),
            ItemKind::Fn(decl) => self.function(decl, end),
            ItemKind::Layer(decl) => self.layer(decl, end),
            ItemKind::Test { name_span, body, .. } => {
                let (start, stop) = (self.start(*name_span), self.end(*name_span));
                let parts = [self.docs.text("test "), self.docs.text(self.slice(start, stop)), self.docs.text(" ")];
                let head = self.docs.concat(&parts);
                let short = self.is_short_block(body);
                let body = self.block(body, stop, short);
                let whole = self.docs.concat(&[head, body]);
                self.docs.group(whole)
            }
            ItemKind::Stmt(stmt) => self.stmt(stmt),
            ItemKind::Error => self.verbatim(item.span),
        };
        self.docs.concat(&[attributes, kind])
    }

    fn verbatim(&mut self, span: Span) -> Doc {
        let text = self.slice(self.start(span), self.end(span));
        self.docs.text(text)
    }

    fn use_item(&mut self, value: &'a Use, end: u32) -> Doc {
        let mut parts = vec![self.docs.text("use "), self.path(&value.path)];
        if let Some(names) = &value.names {
            parts.push(self.docs.text("."));
            let from = value.path.last().map_or(end, |name| self.end(name.span));
            let brackets = Brackets::new("{", "}", from, end.saturating_sub(1));
            parts.push(self.list(brackets, names, |_, name| name.span, |printer, name| printer.docs.text(&name.name)));
        }
        if let Some(alias) = &value.alias {
            parts.push(self.docs.text(" as "));
            parts.push(self.docs.text(&alias.name));
        }
        self.docs.concat(&parts)
    }

    fn constant(&mut self, name: &'a Ident, ty: Option<TypeId>, value: ExprId) -> Doc {
        let parts = [self.docs.text("const "), self.docs.text(&name.name), self.annotation(ty)];
        let head = self.docs.concat(&parts);
        let value = self.assigned(" =", value);
        self.docs.concat(&[head, value])
    }

    fn alias(&mut self, name: &'a Ident, ty: TypeId) -> Doc {
        let parts = [self.docs.text("type "), self.docs.text(&name.name), self.docs.text(" = "), self.ty(ty)];
        self.docs.concat(&parts)
    }

    /// `: type`
    pub fn annotation(&mut self, ty: Option<TypeId>) -> Doc {
        let Some(ty) = ty else { return self.docs.nothing() };
        let colon = self.docs.text(": ");
        let ty = self.ty(ty);
        self.docs.concat(&[colon, ty])
    }

    // ---- Functions and layers ---------------------------------------------------------------------

    fn function(&mut self, decl: &'a FnDecl, end: u32) -> Doc {
        let signature = Signature {
            keyword: "fn ",
            name: &decl.name,
            type_params: &decl.type_params,
            params: &decl.params,
            result: decl.result,
            wheres: &decl.wheres,
            bare: false,
        };
        match &decl.body {
            FnBody::Block(body) => {
                let (head, from) = self.signature(&signature, self.start(body.span), true);
                let short = self.is_short_block(body);
                let body = self.block(body, from, short);
                let body = self.docs.group(body);
                self.docs.concat(&[head, body])
            }
            FnBody::Expr(id) => {
                let (head, _) = self.signature(&signature, end, false);
                let body = self.assigned(" =", *id);
                self.docs.concat(&[head, body])
            }
        }
    }

    fn layer(&mut self, decl: &'a LayerDecl, end: u32) -> Doc {
        let signature = Signature {
            keyword: "layer ",
            name: &decl.name,
            type_params: &decl.type_params,
            params: &decl.params,
            result: decl.result,
            wheres: &decl.wheres,
            bare: true,
        };
        let (head, from) = self.signature(&signature, end, true);
        let open_at = self.comments.find(from, end, b'{');
        let close_at = end.saturating_sub(1);
        let starts: Vec<u32> = decl.members.iter().take(2).map(|member| self.start(member.span)).collect();
        let short = self.is_short(open_at + 1, close_at, &starts);
        let braces = Braces { from, close_at, short };
        let body = self.braces(braces, &decl.members, |member| member.span, members_apart, Self::member);
        let body = self.docs.group(body);
        self.docs.concat(&[head, body])
    }

    /// The head of a declaration up to its `{` or `=`, and where its text ends.
    fn signature(&mut self, signature: &Signature<'a>, limit: u32, braced: bool) -> (Doc, u32) {
        let mut parts = vec![self.docs.text(signature.keyword), self.docs.text(&signature.name.name)];
        let mut end = self.end(signature.name.span);
        parts.push(self.type_params(signature.type_params));
        if let Some(last) = signature.type_params.last() {
            let last = last.bound.as_ref().unwrap_or(&last.name);
            end = self.comments.find(self.end(last.span), limit, b']') + 1;
        }
        if !signature.params.is_empty() || !signature.bare {
            let last = signature.params.last().map_or(end, |param| self.end(self.param_span(param)));
            let close_at = self.comments.find(last, limit, b')');
            let brackets = Brackets::new("(", ")", end, close_at);
            let params = self.list(brackets, signature.params, |p, param| p.param_span(param), Self::param);
            parts.push(params);
            end = close_at + 1;
        }
        if let Some(result) = signature.result {
            parts.push(self.docs.text(" -> "));
            let ty = self.ty(result);
            parts.push(self.docs.tight(ty));
            end = self.end(self.ast[result].span);
        }
        if let Some(last) = signature.wheres.last() {
            let next = self.comments.find(self.end(self.ast[*last].span), limit, if braced { b'{' } else { b'=' });
            let wheres = self.wheres(signature.wheres, end, next);
            parts.push(wheres);
            end = self.end(self.ast[*last].span);
            if braced {
                parts.push(self.docs.line_if_broken(wheres));
            }
        } else if braced {
            parts.push(self.docs.text(" "));
        }
        (self.docs.concat(&parts), end)
    }

    fn type_params(&mut self, type_params: &'a [TypeParam]) -> Doc {
        if type_params.is_empty() {
            return self.docs.nothing();
        }
        let mut parts = vec![self.docs.text("[")];
        for (index, param) in type_params.iter().enumerate() {
            if index > 0 {
                parts.push(self.docs.text(", "));
            }
            parts.push(self.docs.text(&param.name.name));
            if let Some(bound) = &param.bound {
                parts.push(self.docs.text(": "));
                parts.push(self.docs.text(&bound.name));
            }
        }
        parts.push(self.docs.text("]"));
        self.docs.concat(&parts)
    }

    /// Where a parameter stands, with its attributes.
    fn param_span(&self, param: &Param) -> Span {
        let start = param.attributes.first().map_or(param.name.span.start, |attribute| attribute.span.start);
        let ty = param.ty.map_or(param.name.span.end, |ty| self.ast[ty].span.end);
        Span::new(start, param.default.map_or(ty, |id| self.ast[id].span.end))
    }

    fn param(&mut self, param: &'a Param) -> Doc {
        let mut parts = vec![];
        for attribute in &param.attributes {
            parts.push(self.attribute(attribute));
            parts.push(self.docs.text(" "));
        }
        parts.push(self.docs.text(&param.name.name));
        parts.push(self.annotation(param.ty));
        if let Some(default) = param.default {
            parts.push(self.docs.text(" = "));
            parts.push(self.value(default));
        }
        self.docs.concat(&parts)
    }

    /// ` where a, b`, which goes to a line of its own if need be; the text before it ends at `from`, and
    /// the `{` or `=` behind it stands at `next`.
    fn wheres(&mut self, wheres: &'a [ExprId], from: u32, next: u32) -> Doc {
        let gap = self.comments.take(from, self.start(self.ast[wheres[0]].span));
        let line = self.docs.line();
        let mut parts = vec![self.between(gap, line, false), self.docs.text("where ")];
        let mut facts = vec![];
        for (index, fact) in wheres.iter().enumerate() {
            if index > 0 {
                facts.push(self.docs.text(","));
                let before = wheres[index - 1];
                let gap = self.comments.take(self.end(self.ast[before].span), self.start(self.ast[*fact].span));
                let line = self.docs.line();
                facts.push(self.between(gap, line, false));
            }
            facts.push(self.expr(*fact, Position::Plain, Place::Open));
        }
        let gap = self.comments.take(next, next);
        facts.push(self.ending(gap, false));
        let facts = self.docs.concat(&facts);
        let facts = self.docs.indent(facts);
        parts.push(self.docs.group(facts));
        let whole = self.docs.concat(&parts);
        let whole = self.docs.indent(whole);
        self.docs.group(whole)
    }

    // ---- Members ----------------------------------------------------------------------------------

    fn member(&mut self, member: &'a Member) -> Doc {
        let attributes = self.attributes(&member.attributes);
        let end = self.end(member.span);
        let kind = match &member.kind {
            MemberKind::Storage(storage) => self.storage(storage),
            MemberKind::Let(value) => self.binding(value),
            MemberKind::Const { name, ty, value } => self.constant(name, *ty, *value),
            MemberKind::TypeAlias { name, ty } => self.alias(name, *ty),
            MemberKind::Fn(decl) => self.function(decl, end),
            MemberKind::Layer(decl) => self.layer(decl, end),
            MemberKind::Stmt(stmt) => self.stmt(stmt),
            MemberKind::Error => self.verbatim(member.span),
        };
        self.docs.concat(&[attributes, kind])
    }

    fn storage(&mut self, storage: &'a Storage) -> Doc {
        let keyword = self.docs.text(match storage.kind {
            StorageKind::Param => "param ",
            StorageKind::Buffer => "buffer ",
            StorageKind::State => "state ",
        });
        let name = self.docs.text(&storage.name.name);
        let ty = self.annotation(Some(storage.ty));
        let cond = self.condition(storage.cond);
        let init = self.optional(storage.init, |printer, id| printer.assigned(" =", id));
        self.docs.concat(&[keyword, name, ty, cond, init])
    }
}

/// Whether an empty line must stand between two members.
fn members_apart(above: &Member, below: &Member) -> bool {
    let large = |member: &Member| match &member.kind {
        MemberKind::Fn(decl) => matches!(decl.body, FnBody::Block(_)),
        MemberKind::Layer(_) => true,
        _ => false,
    };
    large(above) || large(below)
}

/// Whether an empty line must stand between two items.
pub fn items_apart(above: &ItemKind, below: &ItemKind) -> bool {
    let large = |kind: &ItemKind| match kind {
        ItemKind::Fn(decl) => matches!(decl.body, FnBody::Block(_)),
        ItemKind::Layer(_) | ItemKind::Test { .. } => true,
        _ => false,
    };
    let is_use = |kind: &ItemKind| matches!(kind, ItemKind::Use(_));
    large(above) || large(below) || is_use(above) != is_use(below)
}
