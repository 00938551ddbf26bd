//! The half of the layout layer that makes brackets balance.
//!
//! A closing bracket that is missing is put in where a statement keyword, an outer closing bracket, the
//! end of the text or (in guided mode) the indentation shows that its block is over. One that is surplus
//! becomes a `Bad` token. Each is one message.

use crate::base::code;
use crate::syntax::error::SyntaxError;
use crate::syntax::layout::{
    AttributeState, Bracket, Layout, Lexed, Open, can_end, is_hard_statement_keyword, is_item_keyword,
};
use crate::syntax::token::{Lexer, Token, TokenKind, shown};

impl Layout<'_> {
    /// Closes brackets that a statement keyword shows to be unclosed.
    pub(super) fn recover(&mut self, token: &Token, kind: TokenKind, out: &mut Vec<Lexed>) {
        if !self.in_block() && (is_hard_statement_keyword(kind) || (token.first_in_line && is_item_keyword(kind))) {
            let keep = self.stack.iter().rposition(|open| open.bracket == Bracket::Brace).map_or(0, |at| at + 1);
            self.close_down_to(keep, token, out);
        }
        while token.first_in_line
            && let Some(open) = self.stack.last()
            && open.indented
            && token.column() <= open.column
        {
            self.close_virtually(out);
        }
        if !self.guided || !token.first_in_line || !self.in_block() {
            return;
        }
        let starts = is_item_keyword(kind) || kind == TokenKind::At || (kind == TokenKind::Let && token.column() == 0);
        if starts {
            let keep = self.stack.iter().rposition(|open| open.column < token.column()).map_or(0, |at| at + 1);
            if keep < self.stack.len() {
                self.close_down_to(keep, token, out);
            }
        }
    }

    /// Puts in the closing brackets for all but `keep`; one message, about the innermost.
    fn close_down_to(&mut self, keep: usize, token: &Token, out: &mut Vec<Lexed>) {
        // A block that a `:` opened has no closer that could be missing.
        if let Some(innermost) = self.stack[keep..].iter().rfind(|open| !open.indented).copied() {
            self.report_unclosed(innermost, Some(token));
        }
        while self.stack.len() > keep {
            self.close_virtually(out);
        }
    }

    pub(super) fn close_virtually(&mut self, out: &mut Vec<Lexed>) {
        let Some(open) = self.stack.last().copied() else { return };
        if !open.indented {
            self.closed_early[open.bracket as usize] += 1;
        }
        if open.bracket == Bracket::Brace {
            if !open.indented {
                self.balanced = false;
                self.first_unclosed = Some(self.first_unclosed.map_or(open.span.start, |at| at.min(open.span.start)));
            }
            if self.previous.is_some_and(can_end) {
                self.terminate(None, out);
            }
        }
        self.stack.pop();
        // The statement goes on where it was opened.
        self.statement_column = open.column;
        self.emit_virtual(open.bracket.closer(), out);
        if open.attribute {
            self.end_attribute(out);
        }
    }

    pub(super) fn report_unclosed(&mut self, open: Open, found: Option<&Token>) {
        self.marks.extend([open.span.start, self.previous_span.end]);
        // A string that runs to the end of its line has swallowed the closing bracket.
        let mut inside = self.lexer.errors.iter().rev().take_while(|error| error.span.start > open.span.start);
        if inside.any(|error| error.code == code::E0002) {
            return;
        }
        let (opening, closing) = open.bracket.text();
        let mut error = SyntaxError::new(code::E0005, format!("this `{opening}` is never closed"), open.span)
            .label("opened here")
            .note(format!("put the `{closing}` that belongs to it"));
        if let Some(found) = found {
            let text = shown(self.slice(found.span()));
            let remark = match (open.bracket, found.kind) {
                (Bracket::Brace, TokenKind::RightBrace) => "by its indentation, this closes a block further out".into(),
                (Bracket::Brace, _) => format!("by its indentation, `{text}` stands outside it"),
                _ => format!("`{text}` cannot stand inside it"),
            };
            error = error.related(found.span(), remark);
        }
        self.report(error);
    }

    pub(super) fn close(&mut self, token: &Token, out: &mut Vec<Lexed>) {
        let brace = token.kind == TokenKind::RightBrace;
        let reach = match brace {
            true => 0,
            false => self.stack.iter().rposition(|open| open.bracket == Bracket::Brace).map_or(0, |at| at + 1),
        };
        let matches = |open: &Open| match open.bracket {
            Bracket::Brace | Bracket::Use => brace,
            other => other.closer() == token.kind,
        };
        let partner = self.stack[reach..].iter().rposition(matches).map(|at| at + reach);
        let inside = self.stack.last().copied().filter(|_| !self.in_block());
        let surplus = match inside {
            // `f(a } , b)`: the bracket is closed on this line, so this one is too many.
            Some(open) if !matches(&open) => self.closer_follows(open.bracket, token, brace),
            _ => false,
        };
        match partner {
            _ if surplus => self.report_stray(token, out),
            Some(at) if brace && self.guided => self.close_guided(at, token, out),
            Some(at) => self.close_partner(at, token, out),
            None => self.close_without_partner(token, out),
        }
    }

    /// Whether the closer of the innermost bracket follows `token`: on the same line only, or before the
    /// brackets around it close.
    fn closer_follows(&mut self, bracket: Bracket, token: &Token, same_line: bool) -> bool {
        // Enough for any line that people write, and it keeps hostile texts from costing squared time.
        const REACH: usize = 200;
        if self.searches_left == 0 {
            return false;
        }
        self.searches_left -= 1;
        let rest = self.text.get(token.end as usize..).unwrap_or("");
        let mut lexer = Lexer::new(rest);
        let mut depth = 0;
        for index in 0..REACH {
            let Some(next) = lexer.next_token() else { return false };
            if (same_line && next.first_in_line && index > 0) || is_hard_statement_keyword(next.kind) {
                return false;
            }
            match next.kind {
                TokenKind::LeftParen | TokenKind::LeftBracket | TokenKind::LeftBrace => depth += 1,
                kind if depth == 0 && kind == bracket.closer() => return true,
                TokenKind::RightParen | TokenKind::RightBracket | TokenKind::RightBrace if depth == 0 => return false,
                TokenKind::RightParen | TokenKind::RightBracket | TokenKind::RightBrace => depth -= 1,
                _ => {}
            }
        }
        false
    }

    fn close_partner(&mut self, at: usize, token: &Token, out: &mut Vec<Lexed>) {
        if self.stack.len() > at + 1 {
            self.close_down_to(at + 1, token, out);
        }
        let Some(open) = self.stack.last().copied() else { return };
        if open.bracket == Bracket::Brace {
            if self.previous.is_some_and(can_end) {
                self.terminate(None, out);
            }
            if self.attribute == AttributeState::Named {
                self.end_attribute(out);
            }
        }
        self.stack.pop();
        self.attribute = AttributeState::No;
        self.emit(open.bracket.closer(), token.span(), out);
        // The statement goes on where it was opened.
        self.statement_column = open.column;
        if open.attribute {
            self.end_attribute(out);
        }
    }

    /// Closes the brace whose statement stands in the column of this `}`; a `}` further right than the
    /// innermost one is surplus.
    fn close_guided(&mut self, at: usize, token: &Token, out: &mut Vec<Lexed>) {
        if !token.first_in_line {
            // In the middle of a line it can only close what this line opened.
            return match self.stack[at].span.start >= token.line_start {
                true => self.close_partner(at, token, out),
                false => self.report_stray(token, out),
            };
        }
        let column = token.column();
        let fits = |open: &Open| open.bracket == Bracket::Brace && open.column == column;
        let inner = self.stack[at].column;
        let better = if column < inner { self.stack[..at].iter().rposition(fits) } else { None };
        match better {
            Some(better) => self.close_partner(better, token, out),
            None if column > inner => self.report_stray(token, out),
            None => self.close_partner(at, token, out),
        }
    }

    fn close_without_partner(&mut self, token: &Token, out: &mut Vec<Lexed>) {
        if let Some(open) = self.stack.last().copied().filter(|_| !self.in_block()) {
            let span = token.span();
            let text = self.slice(span);
            self.marks.push(span.start);
            let (opening, closing) = open.bracket.text();
            self.report(
                SyntaxError::new(code::E0004, format!("`{text}` does not close `{opening}`"), span)
                    .label(format!("expected `{closing}`"))
                    .related(open.span, "opened here")
                    .fix(format!("write `{closing}`"), vec![(span, closing.to_string())]),
            );
            self.stack.pop();
            self.emit(open.bracket.closer(), span, out);
            if open.attribute {
                self.end_attribute(out);
            }
            return;
        }
        self.report_stray(token, out);
    }

    /// A closing bracket that was never opened; it goes on as a `Bad` token.
    fn report_stray(&mut self, token: &Token, out: &mut Vec<Lexed>) {
        let span = token.span();
        let text = self.slice(span);
        if token.kind == TokenKind::RightBrace {
            self.balanced = false;
            self.stray_brace = true;
        }
        self.marks.push(span.start);
        // Where its opening bracket was reported as unclosed, this is what was missing there.
        let bracket = match token.kind {
            TokenKind::RightParen => Bracket::Paren,
            TokenKind::RightBracket => Bracket::Square,
            _ => Bracket::Brace,
        };
        let early = &mut self.closed_early[bracket as usize];
        if *early > 0 {
            *early -= 1;
        } else {
            self.report(
                SyntaxError::new(code::E0004, format!("unexpected `{text}`"), span)
                    .label("closes a bracket that was never opened")
                    .fix("remove it", vec![(span, String::new())]),
            );
        }
        self.emit(TokenKind::Bad, span, out);
    }
}
