//! Which parentheses are printed.
//!
//! The tree holds none, but the span of an expression takes in those around it. Around an operation that is
//! part of another they are kept as written, needed or not: `(a * b) + c` says how its author reads it.
//! Elsewhere, around a name, an argument or a whole value, they say nothing and go.

use super::printer::Printer;
use crate::syntax::ast::{ExprId, ExprKind};
use crate::syntax::token::Lexer;

/// Where an expression stands, by what the grammar takes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Anything, as on the right of `=`.
    Value,
    /// Anything but an `if`, as in a condition.
    Plain,
    /// Part of an operation.
    Operand,
    /// Before `.`, `(` or `[`.
    Base,
}

impl<'a> Printer<'_, 'a> {
    pub fn has_parens(&self, id: ExprId, position: Position) -> bool {
        let operation = matches!(
            self.ast[id].kind,
            ExprKind::Binary { .. } | ExprKind::Unary { .. } | ExprKind::Pipe { .. } | ExprKind::Range { .. }
        );
        let kept = match (&self.ast[id].kind, position) {
            // Numbers that end in a point would swallow the one behind them.
            (ExprKind::Float(_) | ExprKind::Int(_), Position::Base) if self.literal(id).ends_with('.') => return true,
            // `tensor < x` would begin a type.
            (ExprKind::Name(name), _) => matches!(name.as_str(), "Tensor" | "tensor" | "TernaryTensor"),
            (ExprKind::If(_), Position::Plain | Position::Operand | Position::Base) => true,
            (_, Position::Operand | Position::Base) => operation,
            (_, Position::Value | Position::Plain) => false,
        };
        kept && self.is_parenthesised(id)
    }

    /// Whether parentheses of its own stand around an expression.
    pub fn is_parenthesised(&self, id: ExprId) -> bool {
        let expr = &self.ast[id];
        let leftmost = match &expr.kind {
            ExprKind::Binary { lhs: first, .. }
            | ExprKind::Pipe { value: first, .. }
            | ExprKind::Range { start: first, .. }
            | ExprKind::Call { callee: first, .. }
            | ExprKind::Index { base: first, .. }
            | ExprKind::Field { base: first, .. } => Some(*first),
            ExprKind::Tuple(items) => match items.first() {
                // Its own.
                Some(first) if self.ast[*first].span.start != expr.span.start => return false,
                first => first.copied(),
            },
            _ => None,
        };
        self.byte(self.start(expr.span)) == b'('
            && leftmost.is_none_or(|first| self.ast[first].span.start != expr.span.start)
    }

    /// The text of a number or string, without parentheses.
    pub fn literal(&self, id: ExprId) -> &'a str {
        let span = self.ast[id].span;
        let (mut at, end) = (self.start(span), self.end(span));
        if self.byte(at) != b'(' {
            return self.slice(at, end);
        }
        while self.byte(at) == b'(' {
            at = self.comments.skip(at + 1);
        }
        let rest = self.slice(at, end);
        let length = Lexer::new(rest).next_token().map_or(0, |token| token.end);
        self.slice(at, at + length)
    }
}
