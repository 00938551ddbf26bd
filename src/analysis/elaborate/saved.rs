//! `@saved("block{i + 1}")`: names in weights files that are not those of the source.

use crate::analysis::db::Report;
use crate::analysis::elaborate::layer::{MemberInfo, MemberInfoKind};
use crate::analysis::elaborate::{Binding, Elaborator};
use crate::analysis::value::{List, Value};
use crate::analysis::world::Walk;
use crate::base::{Span, code};
use crate::syntax::ast::{self, Ast, Attribute, BinaryOp, ExprId, ExprKind, ItemKind, UnaryOp};
use crate::syntax::parse_expr;
use crate::types::saved::{POSITION, SavedName, SavedPiece, text_fault};
use crate::types::{Dim, Facts, HostExpr};

impl<'db> Elaborator<'_, 'db> {
    /// The name that a member's attribute gives it, or its elements.
    pub fn saved_name(&mut self, member: &'db ast::Member, kind: &MemberInfoKind<'db>) -> Walk<Option<SavedName>> {
        let Some(attribute) = member.attributes.iter().find(|a| a.name.name == "saved") else { return Ok(None) };
        let (text, span) = self.saved_text(attribute)?;
        let name = SavedName { pieces: self.saved_pieces(&text, span)? };
        let many = match kind {
            MemberInfoKind::Absent => return Ok(None),
            MemberInfoKind::Storage { .. } => false,
            MemberInfoKind::Value(value @ (Value::List(_) | Value::Tuple(_))) if value.has_instance() => true,
            MemberInfoKind::Value(Value::Instance(_)) => false,
            // What a function of this definition makes of open hyperparameters is not known.
            MemberInfoKind::Value(Value::Error | Value::Opaque(_) | Value::List(List::Repeat { .. })) => {
                return Ok(Some(name));
            }
            MemberInfoKind::Value(_) | MemberInfoKind::Constant { .. } => {
                return Err(self.error(
                    code::E0109,
                    "nothing of this member is saved",
                    attribute.span,
                    "has no effect",
                ));
            }
        };
        match (many, name.has_position()) {
            (true, false) => {
                let place = self.place(span);
                let report = Report::new(code::E0109, "every element of this list would have the same name")
                    .at(place, "does not tell the elements apart")
                    .note(format!("`{{{POSITION}}}` is an element's position, from 0: `\"{text}{{{POSITION}}}\"`"));
                Err(self.fail(report))
            }
            (false, true) => {
                let message = format!("`{POSITION}` is a position in a list, and this is none");
                Err(self.error(code::E0109, message, span, "no list"))
            }
            _ => Ok(Some(name)),
        }
    }

    /// Refuses two members of one name in weights files.
    pub fn check_saved_names(&mut self, infos: &[MemberInfo<'db>]) -> Walk<()> {
        let taken = |info: &MemberInfo<'db>| match (&info.saved, &info.kind) {
            (Some(saved), _) => Some(saved.to_string()),
            (None, MemberInfoKind::Storage { .. } | MemberInfoKind::Value(Value::Instance(_))) => {
                Some(info.name.clone())
            }
            (None, _) => None,
        };
        for (index, info) in infos.iter().enumerate().filter(|(_, info)| info.saved.is_some()) {
            let name = taken(info);
            let clash = infos.iter().enumerate().find(|(other, with)| *other != index && taken(with) == name);
            if let (Some((other, with)), Some(name)) = (clash, name)
                && (other < index || with.saved.is_none())
            {
                let place = self.place(info.member.span);
                let report = Report::new(code::E0109, format!("two members of this layer are saved as `{name}`"))
                    .at(place, "saved so")
                    .also(self.place(with.member.span), "this too");
                return Err(self.fail(report));
            }
        }
        Ok(())
    }

    fn saved_text(&mut self, attribute: &'db Attribute) -> Walk<(String, Span)> {
        if let [arg] = attribute.args.as_slice()
            && let ExprKind::Str(text) = &self.ast[arg.value].kind
        {
            return Ok((text.clone(), arg.span));
        }
        let place = self.place(attribute.span);
        let report = Report::new(code::E0109, "`@saved` takes one string")
            .at(place, "not a name")
            .note("for example `@saved(\"block{i + 1}\")` before a list, `@saved(\"fc\")` before a member");
        Err(self.fail(report))
    }

    fn saved_pieces(&mut self, text: &str, span: Span) -> Walk<Vec<SavedPiece>> {
        let mut pieces = vec![];
        let mut fixed = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((inside, behind)) = after.split_once('}') else {
                return Err(self.error(code::E0109, "a `{` in a saved name is not closed", span, "needs a `}`"));
            };
            fixed += before;
            fixed.push('0');
            if !before.is_empty() {
                pieces.push(SavedPiece::Text(before.to_string()));
            }
            pieces.push(SavedPiece::Number(self.saved_number(inside, span)?));
            rest = behind;
        }
        fixed += rest;
        if !rest.is_empty() {
            pieces.push(SavedPiece::Text(rest.to_string()));
        }
        let fault = if fixed.is_empty() { Some("a name is needed") } else { text_fault(&fixed) };
        match fault {
            Some(fault) => Err(self.error(code::E0109, format!("`{text}` cannot be a saved name"), span, fault)),
            None => Ok(pieces),
        }
    }

    /// The number between braces: its text is an expression of Tri.
    fn saved_number(&mut self, text: &str, span: Span) -> Walk<Dim> {
        let parsed = parse_expr(text);
        let expr = match &parsed.ast.item.kind {
            ItemKind::Let(binding) if parsed.errors.is_empty() => binding.init,
            _ => None,
        };
        match expr.and_then(|expr| self.saved_dim(&parsed.ast, expr)) {
            Some(dim) => Ok(dim),
            None => {
                let place = self.place(span);
                let report = Report::new(code::E0109, format!("`{text}` is no number of a saved name"))
                    .at(place, "between these braces")
                    .note(format!("it is made of ints, hyperparameters and `{POSITION}`, the position in the list"));
                Err(self.fail(report))
            }
        }
    }

    fn saved_dim(&self, ast: &Ast, expr: ExprId) -> Option<Dim> {
        match &ast[expr].kind {
            ExprKind::Int(value) => Some(Dim::constant(*value)),
            ExprKind::Name(name) if name == POSITION => Some(Dim::symbol(POSITION)),
            ExprKind::Name(name) => match self.local(name)? {
                Binding::Value(Value::Number(HostExpr::Int(dim))) => Some(dim.clone()),
                _ => None,
            },
            ExprKind::Unary { op: UnaryOp::Neg, operand } => Some(self.saved_dim(ast, *operand)?.neg()),
            ExprKind::Binary { op, lhs, rhs } => {
                let (a, b) = (self.saved_dim(ast, *lhs)?, self.saved_dim(ast, *rhs)?);
                match op {
                    BinaryOp::Add => Some(a.add(&b)),
                    BinaryOp::Sub => Some(a.sub(&b)),
                    BinaryOp::Mul => Some(a.mul(&b)),
                    BinaryOp::FloorDiv => a.floor_div(&b),
                    BinaryOp::Mod => a.modulo(&b),
                    _ => None,
                }
            }
            _ => None,
        }
        .map(|dim| Facts::default().normal(&dim))
    }
}
