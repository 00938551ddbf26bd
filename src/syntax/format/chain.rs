//! Chains: operators of one precedence in a row, pipes, and method calls in a row.
//!
//! A chain that does not fit on its line breaks before each operator or `.`; method calls that the author
//! put on several lines stay so, and pipes on the lines they were given. Outside brackets a line that
//! begins with `-` or `@` would be a statement or an attribute of its own, so a chain with one of them then
//! stands in parentheses:
//!
//! ```text
//! let y = first_term      let y = (
//!     + second_term           first_term
//!     + third_term            - second_term
//!                         )
//! ```

use super::doc::Doc;
use super::expr::Place;
use super::parens::Position;
use super::printer::Printer;
use crate::syntax::ast::{BinaryOp, DimItem, ExprId, ExprKind, IndexItem};

/// Method calls from which on a chain breaks before each of them.
const METHODS: usize = 2;

/// Operators of one precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Pipe,
    Or,
    And,
    Comparison,
    Sum,
    Product,
}

fn level(op: BinaryOp) -> Option<Level> {
    use BinaryOp::*;
    match op {
        Or => Some(Level::Or),
        And => Some(Level::And),
        Eq | Ne | Lt | Le | Gt | Ge => Some(Level::Comparison),
        Add | Sub => Some(Level::Sum),
        Mul | Div | FloorDiv | Mod | MatMul => Some(Level::Product),
        Pow => None,
    }
}

/// A chain of operators, from left to right.
struct Links {
    level: Level,
    first: ExprId,
    rest: Vec<(&'static str, ExprId)>,
}

impl Links {
    /// Whether a line of the chain cannot stand outside brackets.
    fn need_parens(&self) -> bool {
        self.rest.iter().any(|(op, _)| matches!(*op, "-" | "@"))
    }
}

impl<'a> Printer<'_, 'a> {
    /// Whether an expression, without parentheses around it, may break before an operator.
    pub fn is_chain(&self, id: ExprId) -> bool {
        match &self.ast[id].kind {
            ExprKind::Pipe { .. } => true,
            ExprKind::Binary { op, .. } => level(*op).is_some(),
            ExprKind::Call { .. } | ExprKind::Index { .. } | ExprKind::Field { .. } => self.method_count(id) >= METHODS,
            _ => false,
        }
    }

    /// A chain at its place, with parentheses where it needs them to break.
    pub fn chain(&mut self, id: ExprId, place: Place) -> Doc {
        let Some(links) = self.links(id) else { return self.postfix(id, place) };
        if place == Place::Inside || !links.need_parens() {
            return self.operators(links, place, true);
        }
        let soft = self.docs.soft();
        let inner = self.operators(links, Place::Inside, false);
        // Comments before the `)` of the author's own.
        let end = self.end(self.ast[id].span);
        let close_at = if self.is_parenthesised(id) { end.saturating_sub(1) } else { end };
        let gap = self.comments.take(close_at, close_at);
        let after = self.ending(gap, false);
        let body = self.docs.concat(&[soft, inner, after]);
        self.enclose("(", body, ")", true)
    }

    /// Whether a chain takes parentheses to break outside brackets.
    pub fn takes_parens(&self, id: ExprId) -> bool {
        self.links(id).is_some_and(|links| links.need_parens())
    }

    /// A chain that stands alone in brackets: its lines begin where it begins.
    pub fn aligned_chain(&mut self, id: ExprId) -> Doc {
        match self.links(id) {
            Some(links) => self.operators(links, Place::Inside, false),
            None => self.postfix(id, Place::Inside),
        }
    }

    /// The operators of an expression's own level.
    fn links(&self, id: ExprId) -> Option<Links> {
        let level = match &self.ast[id].kind {
            ExprKind::Pipe { .. } => Level::Pipe,
            ExprKind::Binary { op, .. } => level(*op)?,
            _ => return None,
        };
        let mut rest = vec![];
        let mut first = id;
        while first == id || !self.is_parenthesised(first) {
            match &self.ast[first].kind {
                ExprKind::Pipe { value, function } if level == Level::Pipe => {
                    rest.push(("|>", *function));
                    first = *value;
                }
                ExprKind::Binary { op, lhs, rhs }
                    if self::level(*op) == Some(level) && (first == id || level != Level::Comparison) =>
                {
                    rest.push((spelling(*op), *rhs));
                    first = *lhs;
                }
                _ => break,
            }
        }
        rest.reverse();
        Some(Links { level, first, rest })
    }

    fn operators(&mut self, links: Links, place: Place, deeper: bool) -> Doc {
        let first = self.expr(links.first, Position::Operand, place);
        let mut end = self.end(self.ast[links.first].span);
        // Pipes that the author spread over lines stay on these lines.
        let spread = links.level == Level::Pipe && self.is_spread(&links);
        let mut parts = vec![self.docs.nothing()];
        for (op, operand) in links.rest {
            let start = self.start(self.ast[operand].span);
            let kept = spread && self.comments.break_between(end, start);
            let gap = self.comments.take(end, start);
            let line = if kept { self.docs.hard(false) } else { self.docs.line() };
            parts.push(self.between(gap, line, false));
            let operator = [self.docs.text(op), self.docs.text(" ")];
            let operator = self.docs.concat(&operator);
            let operand_doc = self.expr(operand, Position::Operand, place);
            parts.push(self.docs.concat(&[operator, operand_doc]));
            end = self.end(self.ast[operand].span);
        }
        let mut rest = if spread { self.docs.fill(&parts) } else { self.docs.concat(&parts) };
        if deeper {
            rest = self.docs.indent(rest);
        }
        let whole = self.docs.concat(&[first, rest]);
        self.docs.group(whole)
    }

    /// Whether a line break stands before or behind one of the operators.
    fn is_spread(&self, links: &Links) -> bool {
        let operands = std::iter::once(links.first).chain(links.rest.iter().map(|(_, operand)| *operand));
        let spans: Vec<_> = operands.map(|operand| self.ast[operand].span).collect();
        spans.windows(2).any(|pair| self.comments.break_between(self.end(pair[0]), self.start(pair[1])))
    }

    // ---- Calls, subscripts and names behind a value -----------------------------------------------

    /// The calls, subscripts and names behind a value, from left to right, and the value.
    fn steps(&self, id: ExprId) -> (ExprId, Vec<ExprId>) {
        let mut steps = vec![];
        let mut at = id;
        loop {
            let before = match &self.ast[at].kind {
                ExprKind::Call { callee, .. } => *callee,
                ExprKind::Index { base, .. } | ExprKind::Field { base, .. } => *base,
                _ => break,
            };
            steps.push(at);
            at = before;
            if self.has_parens(at, Position::Base) {
                break;
            }
        }
        steps.reverse();
        (at, steps)
    }

    /// How many of the names behind a value are called.
    fn method_count(&self, id: ExprId) -> usize {
        let (_, steps) = self.steps(id);
        steps.windows(2).filter(|pair| self.is_method(pair)).count()
    }

    /// Whether the first of two steps is the name of a method, and the second its call.
    fn is_method(&self, pair: &[ExprId]) -> bool {
        match pair {
            [name, call] => {
                matches!(self.ast[*name].kind, ExprKind::Field { .. })
                    && matches!(self.ast[*call].kind, ExprKind::Call { .. })
            }
            _ => false,
        }
    }

    pub fn postfix(&mut self, id: ExprId, place: Place) -> Doc {
        let (base, steps) = self.steps(id);
        let methods = steps.windows(2).filter(|pair| self.is_method(pair)).count();
        let first = match self.is_old_literal(base, &steps) {
            true => self.docs.text("trit"),
            false => self.expr(base, Position::Base, place),
        };
        let mut end = self.end(self.ast[base].span);
        let mut parts = vec![];
        let mut is_commented = false;
        for (index, step) in steps.iter().enumerate() {
            let breaks = methods >= METHODS && self.is_method(&steps[index..(index + 2).min(steps.len())]);
            // A comment stays before its name: further on, it could become the documentation of what follows.
            let commented = matches!(self.ast[*step].kind, ExprKind::Field { .. })
                && self.comments.any_in(end, self.step_end(*step));
            is_commented |= commented;
            parts.push(self.step(*step, end, breaks || commented));
            end = self.step_end(*step);
        }
        let rest = self.docs.concat(&parts);
        if methods < METHODS && !is_commented {
            return self.docs.concat(&[first, rest]);
        }
        let rest = self.docs.indent(rest);
        let whole = self.docs.concat(&[first, rest]);
        self.docs.group(whole)
    }

    /// Where a step ends, without the parentheses that may stand around all of them.
    fn step_end(&self, step: ExprId) -> u32 {
        match &self.ast[step].kind {
            ExprKind::Call { .. } => self.call_end(step) + 1,
            ExprKind::Field { name, .. } => self.end(name.span),
            ExprKind::Index { base, items } => self.index_end(*base, items, step) + 1,
            _ => self.end(self.ast[step].span),
        }
    }

    /// Where the `]` of a subscript stands.
    fn index_end(&self, base: ExprId, items: &[IndexItem], step: ExprId) -> u32 {
        let last = items.last().map_or(self.ast[base].span, |item| match item {
            IndexItem::Expr(id) => self.ast[*id].span,
            IndexItem::Slice { span, .. } => *span,
        });
        self.comments.find(self.end(last), self.end(self.ast[step].span), b']')
    }

    fn step(&mut self, step: ExprId, end: u32, breaks: bool) -> Doc {
        let ast = self.ast;
        match &ast[step].kind {
            ExprKind::Field { name, .. } => {
                let mut parts = vec![];
                if breaks {
                    let start = self.start(name.span);
                    if self.comments.break_between(end, start) {
                        parts.push(self.docs.force());
                    }
                    let gap = self.comments.take(end, start);
                    let soft = self.docs.soft();
                    parts.push(self.between(gap, soft, false));
                }
                parts.push(self.docs.text("."));
                parts.push(self.docs.text(&name.name));
                self.docs.concat(&parts)
            }
            ExprKind::Call { callee, args } => {
                let close_at = self.call_end(step);
                if self.hugged(*callee, args, close_at) {
                    let (open, close) = (self.docs.text("("), self.docs.text(")"));
                    let arg = self.arg(&args[0]);
                    return self.docs.concat(&[open, arg, close]);
                }
                self.args(args, end, close_at)
            }
            ExprKind::Index { base, items } => {
                let close_at = self.index_end(*base, items, step);
                self.subscripts(items, end, close_at)
            }
            _ => self.docs.nothing(),
        }
    }

    /// `TernaryTensor[2, 2](...)`
    fn is_old_literal(&self, base: ExprId, steps: &[ExprId]) -> bool {
        let [index, call, ..] = steps else { return false };
        matches!(&self.ast[base].kind, ExprKind::Name(name) if name == "TernaryTensor")
            && matches!(self.ast[*index].kind, ExprKind::Index { .. })
            && matches!(self.ast[*call].kind, ExprKind::Call { .. })
    }

    /// Whether a dim cannot be written in an expression.
    pub fn has_unknown(&self, dims: &[DimItem]) -> bool {
        dims.iter().any(|dim| matches!(dim, DimItem::Unknown(_)))
    }
}

fn spelling(op: BinaryOp) -> &'static str {
    use BinaryOp::*;
    match op {
        Add => "+",
        Sub => "-",
        Mul => "*",
        Div => "/",
        FloorDiv => "//",
        Mod => "%",
        Pow => "**",
        MatMul => "@",
        Eq => "==",
        Ne => "!=",
        Lt => "<",
        Le => "<=",
        Gt => ">",
        Ge => ">=",
        And => "and",
        Or => "or",
    }
}
