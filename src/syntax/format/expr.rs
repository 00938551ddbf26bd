//! Expressions other than chains of operators and methods (see `chain`).

use super::doc::Doc;
use super::parens::Position;
use super::printer::{Brackets, Comma, Printer};
use crate::base::Span;
use crate::syntax::ast::{Arg, BinaryOp, ExprId, ExprKind, IndexItem, Pattern, TypeKind, UnaryOp};

/// Whether a line break ends a statement here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It does, unless the line below begins with what continues a statement.
    Open,
    /// It does not: the innermost bracket is `(` or `[`.
    Inside,
}

impl<'a> Printer<'_, 'a> {
    /// An expression inside brackets where the grammar takes any.
    pub fn value(&mut self, id: ExprId) -> Doc {
        self.expr(id, Position::Value, Place::Inside)
    }

    /// The same where the grammar takes no bare `if`.
    pub fn plain(&mut self, id: ExprId) -> Doc {
        self.expr(id, Position::Plain, Place::Inside)
    }

    /// ` = value`; a value that opens a bracket stays on the line, others may go to the next as a whole.
    pub fn assigned(&mut self, operator: &'a str, id: ExprId) -> Doc {
        let operator = self.docs.text(operator);
        // A comment behind the operator stays there.
        let aside = self.aside(self.first_token(id));
        let stays = match &self.ast[id].kind {
            ExprKind::List(_) | ExprKind::Comprehension { .. } | ExprKind::If(_) | ExprKind::Tuple(_) => true,
            ExprKind::Call { callee, args } => self.hugged(*callee, args, self.call_end(id)),
            _ => false,
        };
        let value = self.expr(id, Position::Value, Place::Open);
        if stays {
            let space = self.docs.text(" ");
            return self.docs.concat(&[operator, aside, space, value]);
        }
        let value = self.docs.follow(value);
        self.docs.concat(&[operator, aside, value])
    }

    pub fn optional(&mut self, id: Option<ExprId>, print: impl FnOnce(&mut Self, ExprId) -> Doc) -> Doc {
        match id {
            Some(id) => print(self, id),
            None => self.docs.nothing(),
        }
    }

    pub fn expr(&mut self, id: ExprId, position: Position, place: Place) -> Doc {
        let parens = self.has_parens(id, position);
        let until = if parens { self.start(self.ast[id].span) } else { self.first_token(id) };
        let aside = self.comments.any_before(until).then(|| self.aside(until));
        let expr = if parens {
            self.parenthesised(id)
        } else if self.is_chain(id) {
            self.chain(id, place)
        } else {
            self.bare(id, place)
        };
        match aside {
            Some(aside) => self.docs.concat(&[aside, expr]),
            None => expr,
        }
    }

    /// `(e)`, with the parentheses.
    fn parenthesised(&mut self, id: ExprId) -> Doc {
        let close_at = self.end(self.ast[id].span).saturating_sub(1);
        let gap = self.comments.take(self.start(self.ast[id].span) + 1, self.first_token(id));
        let soft = self.docs.soft();
        let before = self.between(gap, soft, true);
        let inner = if self.is_chain(id) { self.aligned_chain(id) } else { self.bare(id, Place::Inside) };
        let gap = self.comments.take(close_at, close_at);
        let after = self.ending(gap, false);
        let body = self.docs.concat(&[before, inner, after]);
        self.enclose("(", body, ")", false)
    }

    /// Where an expression begins behind its parentheses.
    fn first_token(&self, id: ExprId) -> u32 {
        let mut at = self.start(self.ast[id].span);
        while self.byte(at) == b'(' {
            at = self.comments.skip(at + 1);
        }
        at
    }

    /// An expression without parentheses around it that is no chain.
    fn bare(&mut self, id: ExprId, place: Place) -> Doc {
        let ast = self.ast;
        match &ast[id].kind {
            ExprKind::Error | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) => {
                let text = self.literal(id);
                self.docs.text(text)
            }
            ExprKind::Bool(value) => self.docs.text(if *value { "true" } else { "false" }),
            ExprKind::None => self.docs.text("None"),
            ExprKind::Name(name) => self.docs.text(name),
            ExprKind::Placeholder => self.docs.text("_"),
            ExprKind::Ellipsis => self.docs.text("..."),
            ExprKind::Pack(name) => {
                let parts = [self.docs.text("..."), self.docs.text(&name.name)];
                self.docs.concat(&parts)
            }
            ExprKind::Tuple(items) => self.tuple(id, items),
            ExprKind::List(items) => self.list_literal(id, items),
            ExprKind::Comprehension { elem, pattern, iter, cond } => {
                self.comprehension(id, *elem, pattern, *iter, *cond)
            }
            ExprKind::Unary { op, operand } => self.unary(*op, *operand, place),
            ExprKind::Binary { op: BinaryOp::Pow, lhs, rhs } => {
                let lhs = self.expr(*lhs, Position::Operand, place);
                let op = self.docs.text(" ** ");
                let rhs = self.expr(*rhs, Position::Operand, place);
                self.docs.concat(&[lhs, op, rhs])
            }
            ExprKind::Range { start, stop } => self.range(*start, *stop, place),
            ExprKind::If(value) => self.branches(value),
            ExprKind::Type(ty) => match &ast[*ty].kind {
                TypeKind::Tensor { elem, dims, .. } if !self.has_unknown(dims) => {
                    self.tensor(elem, dims, ast[*ty].span)
                }
                _ => {
                    let text = self.slice(self.start(ast[*ty].span), self.end(ast[*ty].span));
                    self.docs.text(text)
                }
            },
            ExprKind::Binary { .. } | ExprKind::Pipe { .. } => self.chain(id, place),
            ExprKind::Call { .. } | ExprKind::Index { .. } | ExprKind::Field { .. } => self.postfix(id, place),
        }
    }

    fn unary(&mut self, op: UnaryOp, operand: ExprId, place: Place) -> Doc {
        let op = self.docs.text(match op {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "not ",
        });
        let operand = self.expr(operand, Position::Operand, place);
        self.docs.concat(&[op, operand])
    }

    fn range(&mut self, start: ExprId, stop: ExprId, place: Place) -> Doc {
        // `1. .. .5` would run together.
        let first = self.end_of(self.ast[start].span) == b'.';
        let second = self.byte(self.start(self.ast[stop].span)) == b'.';
        let dots = match (first, second) {
            (false, false) => "..",
            (true, false) => " ..",
            (false, true) => ".. ",
            (true, true) => " .. ",
        };
        let start = self.expr(start, Position::Plain, place);
        let dots = self.docs.text(dots);
        let stop = self.expr(stop, Position::Plain, place);
        self.docs.concat(&[start, dots, stop])
    }

    fn end_of(&self, span: Span) -> u8 {
        self.byte(self.end(span).saturating_sub(1))
    }

    fn expr_span(&self, id: &ExprId) -> Span {
        self.ast[*id].span
    }

    /// With its own parentheses, or without, as in `return a, b`.
    fn tuple(&mut self, id: ExprId, items: &'a [ExprId]) -> Doc {
        let span = self.ast[id].span;
        let bare = items.first().is_some_and(|first| self.ast[*first].span.start == span.start);
        let (from, close_at) = if bare {
            (self.start(span), self.end(span))
        } else {
            let last = items.last().map_or(self.first_token(id), |last| self.end(self.ast[*last].span));
            (self.start(span), self.comments.find(last, self.end(span), b')'))
        };
        let mut brackets = Brackets::new("(", ")", from, close_at);
        brackets.stays_open = !bare;
        brackets.optional = bare && items.len() > 1;
        if items.len() == 1 {
            brackets.comma = Comma::Always;
        }
        self.list(brackets, items, Self::expr_span, |printer, id| printer.value(*id))
    }

    fn list_literal(&mut self, id: ExprId, items: &'a [ExprId]) -> Doc {
        let from = self.first_token(id);
        let last = items.last().map_or(from, |last| self.end(self.ast[*last].span));
        let close_at = self.comments.find(last, self.end(self.ast[id].span), b']');
        let numbers = items.len() > 1 && items.iter().all(|item| self.is_number(*item));
        if numbers && !self.comments.any_in(from, close_at) {
            return self.numbers(items);
        }
        let brackets = Brackets::new("[", "]", from, close_at);
        self.list(brackets, items, Self::expr_span, |printer, id| printer.value(*id))
    }

    fn is_number(&self, id: ExprId) -> bool {
        match &self.ast[id].kind {
            ExprKind::Int(_) | ExprKind::Float(_) => true,
            ExprKind::Unary { op: UnaryOp::Neg, operand } => {
                matches!(self.ast[*operand].kind, ExprKind::Int(_) | ExprKind::Float(_))
            }
            _ => false,
        }
    }

    /// As many numbers on a line as fit.
    fn numbers(&mut self, items: &'a [ExprId]) -> Doc {
        let mut parts = vec![];
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                parts.push(self.docs.line());
            }
            let number = self.value(*item);
            let last = index + 1 == items.len();
            let comma = if last { self.docs.if_break(",") } else { self.docs.text(",") };
            parts.push(self.docs.concat(&[number, comma]));
        }
        let soft = self.docs.soft();
        let fill = self.docs.fill(&parts);
        let body = self.docs.concat(&[soft, fill]);
        self.enclose("[", body, "]", false)
    }

    fn comprehension(
        &mut self,
        id: ExprId,
        elem: ExprId,
        pattern: &'a Pattern,
        iter: ExprId,
        cond: Option<ExprId>,
    ) -> Doc {
        let from = self.first_token(id) + 1;
        let elem_at = self.start(self.ast[elem].span);
        let last = self.end(self.ast[cond.unwrap_or(iter)].span);
        let close_at = self.comments.find(last, self.end(self.ast[id].span), b']');
        let mut parts = vec![];
        if self.is_spread_out(elem_at, close_at) {
            parts.push(self.docs.force());
        }
        let gap = self.comments.take(from, elem_at);
        let soft = self.docs.soft();
        parts.push(self.between(gap, soft, true));
        parts.push(self.value(elem));
        let gap = self.comments.take(self.end(self.ast[elem].span), self.start(pattern_span(pattern)));
        let line = self.docs.line();
        parts.push(self.between(gap, line, false));
        parts.push(self.docs.text("for "));
        parts.push(self.pattern(pattern));
        parts.push(self.docs.text(" in "));
        parts.push(self.plain(iter));
        if let Some(cond) = cond {
            let gap = self.comments.take(self.end(self.ast[iter].span), self.start(self.ast[cond].span));
            let line = self.docs.line();
            parts.push(self.between(gap, line, false));
            parts.push(self.docs.text("if "));
            parts.push(self.plain(cond));
        }
        let gap = self.comments.take(last, close_at);
        parts.push(self.ending(gap, false));
        let body = self.docs.concat(&parts);
        self.enclose("[", body, "]", false)
    }

    pub fn pattern(&mut self, pattern: &'a Pattern) -> Doc {
        match pattern {
            Pattern::Name(name) => self.docs.text(&name.name),
            Pattern::Ignore(_) => self.docs.text("_"),
            Pattern::Tuple(items, _) => {
                let mut parts = vec![self.docs.text("(")];
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        parts.push(self.docs.text(", "));
                    }
                    parts.push(self.pattern(item));
                }
                parts.push(self.docs.text(if items.len() == 1 { ",)" } else { ")" }));
                self.docs.concat(&parts)
            }
        }
    }

    // ---- Calls and subscripts ---------------------------------------------------------------------

    /// Where the `)` of a call stands, with the call behind any parentheses around it.
    pub fn call_end(&self, id: ExprId) -> u32 {
        let ExprKind::Call { callee, args } = &self.ast[id].kind else { return self.end(self.ast[id].span) };
        let last = args.last().map_or(self.end(self.ast[*callee].span), |arg| self.end(arg.span));
        self.comments.find(last, self.end(self.ast[id].span), b')')
    }

    /// Whether the brackets of a call hold a single list or choice, whose own lines suffice: `tensor([...])`.
    pub fn hugged(&self, callee: ExprId, args: &[Arg], close_at: u32) -> bool {
        let [arg] = args else { return false };
        let long = match &self.ast[arg.value].kind {
            ExprKind::List(items) => !items.is_empty(),
            ExprKind::Comprehension { .. } | ExprKind::If(_) => true,
            _ => false,
        };
        long && !self.comments.any_in(self.end(self.ast[callee].span), self.start(arg.span))
            && !self.comments.any_in(self.end(arg.span), close_at)
    }

    /// `(a, k=b)` behind what ends at `from`.
    pub fn args(&mut self, args: &'a [Arg], from: u32, close_at: u32) -> Doc {
        let brackets = Brackets::new("(", ")", from, close_at);
        self.list(brackets, args, |_, arg| arg.span, |printer, arg| printer.arg(arg))
    }

    pub fn arg(&mut self, arg: &'a Arg) -> Doc {
        let value = self.value(arg.value);
        match &arg.name {
            Some(name) => {
                let parts = [self.docs.text(&name.name), self.docs.text("="), value];
                self.docs.concat(&parts)
            }
            None => value,
        }
    }

    pub fn subscripts(&mut self, items: &'a [IndexItem], from: u32, close_at: u32) -> Doc {
        let mut brackets = Brackets::new("[", "]", from, close_at);
        brackets.stays_open = false;
        let span = |printer: &Self, item: &IndexItem| match item {
            IndexItem::Expr(id) => printer.ast[*id].span,
            IndexItem::Slice { span, .. } => *span,
        };
        self.list(brackets, items, span, |printer, item| match item {
            IndexItem::Expr(id) => printer.value(*id),
            IndexItem::Slice { start, stop, step, .. } => printer.subscript_range(*start, *stop, *step),
        })
    }

    /// `a:b`, with spaces where an end is an operation: `x[i * n : (i + 1) * n]`.
    fn subscript_range(&mut self, start: Option<ExprId>, stop: Option<ExprId>, step: Option<ExprId>) -> Doc {
        let wide = [start, stop, step].into_iter().flatten().any(|id| self.is_operation(id));
        let mut parts = vec![self.optional(start, Self::plain)];
        let mut before = start.is_some();
        for (index, part) in [stop, step].into_iter().enumerate() {
            if index == 1 && step.is_none() {
                break;
            }
            parts.push(self.docs.text(match (wide && before, wide && part.is_some()) {
                (true, true) => " : ",
                (true, false) => " :",
                (false, true) => ": ",
                (false, false) => ":",
            }));
            parts.push(self.optional(part, Self::plain));
            before = part.is_some();
        }
        self.docs.concat(&parts)
    }

    fn is_operation(&self, id: ExprId) -> bool {
        matches!(self.ast[id].kind, ExprKind::Binary { .. } | ExprKind::Pipe { .. })
    }
}

/// Where a pattern stands.
pub fn pattern_span(pattern: &Pattern) -> Span {
    match pattern {
        Pattern::Name(name) => name.span,
        Pattern::Ignore(span) | Pattern::Tuple(_, span) => *span,
    }
}
