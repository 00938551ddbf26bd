//! Statements and their blocks.

use super::doc::Doc;
use super::expr::{Place, pattern_span};
use super::parens::Position;
use super::printer::{Braces, Printer};
use crate::base::Span;
use crate::syntax::ast::{Attribute, BinaryOp, Block, ExprId, ExprKind, If, Let, Stmt, StmtKind};

impl<'a> Printer<'_, 'a> {
    pub fn stmt(&mut self, stmt: &'a Stmt) -> Doc {
        let attributes = self.attributes(&stmt.attributes);
        let kind = self.stmt_kind(stmt);
        self.docs.concat(&[attributes, kind])
    }

    fn stmt_kind(&mut self, stmt: &'a Stmt) -> Doc {
        match &stmt.kind {
            StmtKind::Let(value) => self.binding(value),
            StmtKind::Assign { target, op, value } => {
                let target = self.expr(*target, Position::Plain, Place::Open);
                let value = self.assigned(assignment(*op), *value);
                self.docs.concat(&[target, value])
            }
            StmtKind::Expr(id) => self.expr(*id, Position::Plain, Place::Open),
            StmtKind::Return(None) => self.docs.text("return"),
            StmtKind::Return(Some(id)) => {
                let keyword = self.docs.text("return ");
                let value = self.expr(*id, Position::Value, Place::Open);
                self.docs.concat(&[keyword, value])
            }
            StmtKind::If(value) => self.branches(value),
            StmtKind::For { pattern, iter, body } => {
                let parts = [self.docs.text("for "), self.pattern(pattern), self.docs.text(" in ")];
                let head = self.docs.concat(&parts);
                let from = self.end(pattern_span(pattern));
                self.loop_body(head, *iter, body, from)
            }
            StmtKind::While { cond, body } => {
                let head = self.docs.text("while ");
                let from = self.start(self.ast[*cond].span);
                self.loop_body(head, *cond, body, from)
            }
            StmtKind::Assert { cond, message } => self.assertion(*cond, *message),
            StmtKind::Error => {
                let text = self.slice(self.start(stmt.span), self.end(stmt.span));
                self.docs.text(text)
            }
        }
    }

    /// `let p: type if cond = value`
    pub fn binding(&mut self, value: &'a Let) -> Doc {
        let keyword = self.docs.text("let ");
        let pattern = self.pattern(&value.pattern);
        let ty = self.annotation(value.ty);
        let cond = self.condition(value.cond);
        let init = self.optional(value.init, |printer, id| printer.assigned(" =", id));
        self.docs.concat(&[keyword, pattern, ty, cond, init])
    }

    /// ` if cond` of a member.
    pub fn condition(&mut self, cond: Option<ExprId>) -> Doc {
        let Some(cond) = cond else { return self.docs.nothing() };
        let keyword = self.docs.text(" if ");
        let cond = self.expr(cond, Position::Plain, Place::Open);
        self.docs.concat(&[keyword, cond])
    }

    fn assertion(&mut self, cond: ExprId, message: Option<ExprId>) -> Doc {
        let keyword = self.docs.text("assert ");
        let end = self.end(self.ast[cond].span);
        let holds = self.expr(cond, Position::Plain, Place::Open);
        let Some(message) = message else { return self.docs.concat(&[keyword, holds]) };
        let comma = self.docs.text(",");
        let gap = self.comments.take(end, self.start(self.ast[message].span));
        let line = self.docs.line();
        let line = self.between(gap, line, false);
        let message = self.expr(message, Position::Value, Place::Open);
        let rest = self.docs.concat(&[line, message]);
        let rest = self.docs.indent(rest);
        let whole = self.docs.concat(&[keyword, holds, comma, rest]);
        self.docs.group(whole)
    }

    /// `@name(args)`, each on a line of its own.
    pub fn attributes(&mut self, attributes: &'a [Attribute]) -> Doc {
        let mut parts = vec![];
        for attribute in attributes {
            parts.push(self.attribute(attribute));
            let end = self.end(attribute.span);
            let gap = self.comments.take(end, self.comments.skip(end));
            let line = self.docs.hard(false);
            // An empty line below an attribute says nothing.
            let gap = super::comments::Gap { blank: gap.blank && !gap.own.is_empty(), ..gap };
            parts.push(self.between(gap, line, false));
        }
        self.docs.concat(&parts)
    }

    pub fn attribute(&mut self, attribute: &'a Attribute) -> Doc {
        let (at, name_at) = (self.start(attribute.span) + 1, self.start(attribute.name.span));
        // Further on, a comment could become the documentation of what has the attribute.
        let between = match self.comments.any_in(at, name_at) {
            true => {
                let gap = self.comments.take(at, name_at);
                let line = self.docs.hard(false);
                self.between(gap, line, false)
            }
            false => self.docs.nothing(),
        };
        let parts = [self.docs.text("@"), between, self.docs.text(&attribute.name.name)];
        let name = self.docs.concat(&parts);
        if attribute.args.is_empty() {
            return name;
        }
        let from = self.end(attribute.name.span);
        let args = self.args(&attribute.args, from, self.end(attribute.span).saturating_sub(1));
        self.docs.concat(&[name, args])
    }

    // ---- Blocks -----------------------------------------------------------------------------------

    /// `if c { a } else { b }`, on one line where the author wrote each block so and all fits.
    pub fn branches(&mut self, value: &'a If) -> Doc {
        let blocks = || value.branches.iter().map(|(_, body)| body).chain(&value.otherwise);
        let inside = |block: &Block| (self.end(block.span).min(self.start(block.span) + 1), self.end(block.span));
        let from = blocks().next().map_or(0, |block| inside(block).0);
        let close_at = blocks().last().map_or(0, |block| inside(block).1);
        let short = !self.comments.any_in(from, close_at) && blocks().all(|block| self.is_short_block(block));
        let mut parts = vec![];
        let mut end = None;
        for (cond, body) in &value.branches {
            let cond_at = self.start(self.ast[*cond].span);
            parts.push(self.otherwise(end, cond_at));
            parts.push(self.docs.text("if "));
            parts.push(self.head(*cond));
            parts.push(self.block(body, self.end(self.ast[*cond].span), short));
            end = Some(self.end(body.span));
        }
        if let Some(body) = &value.otherwise {
            let start = self.start(body.span);
            parts.push(self.otherwise(end, start));
            parts.push(self.block(body, start, short));
        }
        let whole = self.docs.concat(&parts);
        self.docs.group(whole)
    }

    /// What stands between a branch that ended at `end` and the next condition or block.
    fn otherwise(&mut self, end: Option<u32>, until: u32) -> Doc {
        let Some(end) = end else { return self.docs.nothing() };
        let gap = self.comments.take(end, until);
        let gap = super::comments::Gap { blank: false, ..gap };
        let line = if gap.has_comments() { self.docs.hard(false) } else { self.docs.text(" ") };
        let between = self.between(gap, line, false);
        let keyword = self.docs.text("else ");
        self.docs.concat(&[between, keyword])
    }

    /// The condition of a head, and what stands between it and its brace: where lines of the condition are
    /// not in brackets, the brace has a line of its own.
    fn head(&mut self, id: ExprId) -> Doc {
        let loose = !self.has_parens(id, Position::Plain) && self.breaks_loosely(id);
        let head = self.expr(id, Position::Plain, Place::Open);
        let head = self.docs.group(head);
        let brace = if loose { self.docs.line_if_broken(head) } else { self.docs.text(" ") };
        self.docs.concat(&[head, brace])
    }

    fn loop_body(&mut self, head: Doc, iter: ExprId, body: &'a Block, from: u32) -> Doc {
        let iter_end = self.end(self.ast[iter].span).max(from);
        let iter = self.head(iter);
        let short = self.is_short_block(body);
        let body = self.block(body, iter_end, short);
        let body = self.docs.group(body);
        self.docs.concat(&[head, iter, body])
    }

    pub fn is_short_block(&self, block: &Block) -> bool {
        let starts: Vec<u32> = block.stmts.iter().take(2).map(|stmt| self.start(stmt.span)).collect();
        self.is_short(self.start(block.span) + 1, self.end(block.span), &starts)
    }

    /// A block; `from` is where the text before it ends.
    pub fn block(&mut self, block: &'a Block, from: u32, short: bool) -> Doc {
        let braces = Braces { from, close_at: self.end(block.span).saturating_sub(1), short };
        self.braces(braces, &block.stmts, |stmt: &Stmt| -> Span { stmt.span }, |_, _| false, Self::stmt)
    }

    /// Whether an expression that breaks outside brackets leaves its last line open: a chain does, unless
    /// it takes parentheses for that.
    fn breaks_loosely(&self, id: ExprId) -> bool {
        match &self.ast[id].kind {
            ExprKind::Unary { operand, .. } => {
                !self.has_parens(*operand, Position::Operand) && self.breaks_loosely(*operand)
            }
            ExprKind::Range { start, stop } => self.breaks_loosely(*start) || self.breaks_loosely(*stop),
            _ => self.is_chain(id) && !self.takes_parens(id),
        }
    }
}

fn assignment(op: Option<BinaryOp>) -> &'static str {
    use BinaryOp::*;
    match op {
        Option::None => " =",
        Some(Add) => " +=",
        Some(Sub) => " -=",
        Some(Mul) => " *=",
        Some(Div) => " /=",
        Some(FloorDiv) => " //=",
        Some(Mod) => " %=",
        Some(Pow) => " **=",
        Some(MatMul) => " @=",
        // No token stands for an assignment with a comparison or a logical operator.
        Some(Eq | Ne | Lt | Le | Gt | Ge | And | Or) => " =",
    }
}
