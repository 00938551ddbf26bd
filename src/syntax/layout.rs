//! The layer between lexer and parser: line breaks become terminators, names become contextual keywords.
//!
//! It also guarantees that the brackets of its output balance, whatever the input, so that one missing
//! bracket is one message here and never confuses the grammar.
//!
//! - *Terminator*: the end of a statement. A line break makes one where the innermost bracket is no `(`
//!   or `[`, the token before can end a statement and the line does not begin with a token that
//!   continues; `;`, a closing `}` and a statement keyword on the same line make one too. Never two in a
//!   row, and none after `{`.
//! - *Virtual bracket*: an empty closing bracket, put in where one is missing.
//! - *Guided* mode: braces do not balance, so indentation decides where the missing or surplus one is.
//!
//! `if c { a = 1 }` comes out as `If Name LeftBrace Name Assign Int Terminator RightBrace Terminator`.

use crate::base::{Span, code};
use crate::syntax::error::SyntaxError;
use crate::syntax::token::{Doc, Lexer, Token, TokenKind, shown};

/// Bracket nesting past which a text is refused.
pub const MAX_NESTING: usize = 256;
/// Tokens in one item past which it is refused.
pub const MAX_TOKENS: usize = 4_000_000;

/// A token as the parser takes it: start, kind, end.
pub type Lexed = (u32, TokenKind, u32);

/// Everything known about a text after layout.
#[derive(Debug, Default)]
pub struct Laid {
    pub tokens: Vec<Lexed>,
    pub errors: Vec<SyntaxError>,
    /// Offsets at which an error was reported: a parse failure there is a consequence.
    pub marks: Vec<u32>,
    pub docs: Vec<Doc>,
    /// False when a limit was hit; then `errors` says so and parsing makes no sense.
    pub complete: bool,
}

/// Lays out one item's text.
pub fn lay_out(text: &str) -> Laid {
    let laid = run(text, false);
    match laid {
        (laid, true) => laid,
        (_, false) => run(text, true).0,
    }
}

fn run(text: &str, guided: bool) -> (Laid, bool) {
    let mut layout = Layout::new(text, guided);
    let mut tokens = vec![];
    let mut complete = true;
    while layout.step(&mut tokens) {
        let problem = if layout.stack.len() > MAX_NESTING {
            Some("brackets are nested too deeply")
        } else if tokens.len() > MAX_TOKENS {
            Some("too many tokens in one item")
        } else {
            None
        };
        if let Some(problem) = problem {
            let at = tokens.last().map_or(0, |token| token.0);
            let error = match problem.starts_with("brackets") {
                true => SyntaxError::new(code::E0008, problem, Span::new(at, at + 1))
                    .label(format!("more than {MAX_NESTING} brackets are open here")),
                false => SyntaxError::new(code::E0009, problem, Span::new(at, at + 1)),
            };
            layout.lexer.errors = vec![error];
            layout.errors.clear();
            complete = false;
            layout.balanced = true;
            break;
        }
    }
    let mut errors = std::mem::take(&mut layout.lexer.errors);
    errors.append(&mut layout.errors);
    let laid = Laid { tokens, errors, marks: layout.marks, docs: layout.lexer.docs, complete };
    (laid, layout.balanced)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bracket {
    Paren,
    Square,
    Brace,
    Angle,
    Use,
}

impl Bracket {
    fn closer(self) -> TokenKind {
        match self {
            Bracket::Paren => TokenKind::RightParen,
            Bracket::Square => TokenKind::RightBracket,
            Bracket::Brace => TokenKind::RightBrace,
            Bracket::Angle => TokenKind::RightAngle,
            Bracket::Use => TokenKind::UseClose,
        }
    }

    fn text(self) -> (&'static str, &'static str) {
        match self {
            Bracket::Paren => ("(", ")"),
            Bracket::Square => ("[", "]"),
            Bracket::Brace | Bracket::Use => ("{", "}"),
            Bracket::Angle => ("<", ">"),
        }
    }
}

/// A bracket that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    bracket: Bracket,
    span: Span,
    /// Column of the statement that opened it.
    column: u32,
    /// It holds an attribute's arguments.
    attribute: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AttributeState {
    No,
    /// Behind `@`.
    At,
    /// Behind the name.
    Named,
}

/// The state of the layer; `step` takes one token in and gives any number out.
pub struct Layout<'t> {
    text: &'t str,
    pub lexer: Lexer<'t>,
    ahead: Option<Token>,
    guided: bool,
    stack: Vec<Open>,
    previous: Option<TokenKind>,
    previous_span: Span,
    /// Nothing of the current statement has been seen, except attributes.
    at_start: bool,
    statement_column: u32,
    attribute: AttributeState,
    /// Depth at which a `fn` or `layer` head stands.
    signature: Option<usize>,
    in_use: bool,
    pub errors: Vec<SyntaxError>,
    marks: Vec<u32>,
    /// No brace was missing or too many.
    pub balanced: bool,
    /// First brace that was missing its partner, for the splitter.
    pub first_unclosed: Option<u32>,
    pub stray_brace: bool,
}

impl<'t> Layout<'t> {
    pub fn new(text: &'t str, guided: bool) -> Self {
        let mut lexer = Lexer::new(text);
        let ahead = lexer.next_token();
        Layout {
            text,
            lexer,
            ahead,
            guided,
            stack: vec![],
            previous: None,
            previous_span: Span::default(),
            at_start: true,
            statement_column: 0,
            attribute: AttributeState::No,
            signature: None,
            in_use: false,
            errors: vec![],
            marks: vec![],
            balanced: true,
            first_unclosed: None,
            stray_brace: false,
        }
    }

    /// Takes one token; false at the end of the text.
    pub fn step(&mut self, out: &mut Vec<Lexed>) -> bool {
        let Some(token) = self.ahead.take() else {
            self.finish(out);
            return false;
        };
        self.ahead = self.lexer.next_token();
        if self.attribute == AttributeState::Named && (token.kind != TokenKind::LeftParen || token.first_in_line) {
            self.end_attribute(out);
        }
        let kind = self.resolve(&token);
        self.recover(&token, kind, out);
        self.separate(&token, kind, out);
        if self.at_start && self.attribute == AttributeState::No && self.previous != Some(TokenKind::AttributeEnd) {
            self.statement_column = token.column();
        }
        self.take(&token, kind, out);
        true
    }

    fn emit(&mut self, kind: TokenKind, span: Span, out: &mut Vec<Lexed>) {
        out.push((span.start, kind, span.end));
        self.previous = Some(kind);
        self.previous_span = span;
        self.at_start = false;
    }

    fn emit_virtual(&mut self, kind: TokenKind, out: &mut Vec<Lexed>) {
        let end = self.previous_span.end;
        self.emit(kind, Span::new(end, end), out);
    }

    fn end_attribute(&mut self, out: &mut Vec<Lexed>) {
        self.emit_virtual(TokenKind::AttributeEnd, out);
        self.attribute = AttributeState::No;
        self.at_start = true;
    }

    fn terminate(&mut self, span: Option<Span>, out: &mut Vec<Lexed>) {
        if self.at_start {
            return;
        }
        let end = self.previous_span.end;
        let span = span.unwrap_or(Span::new(end, end));
        self.emit(TokenKind::Terminator, span, out);
        self.at_start = true;
        self.in_use = false;
        if self.signature == Some(self.stack.len()) {
            self.signature = None;
        }
    }

    fn slice(&self, span: Span) -> &'t str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Tells contextual keywords from names.
    fn resolve(&self, token: &Token) -> TokenKind {
        if token.kind != TokenKind::Name
            || self.previous == Some(TokenKind::Dot)
            || self.attribute == AttributeState::At
            || self.previous == Some(TokenKind::Fn)
        {
            return token.kind;
        }
        let text = self.slice(token.span());
        let next = self.ahead.filter(|next| !next.first_in_line).map(|next| next.kind);
        let before_name = matches!(next, Some(TokenKind::Name | TokenKind::Bad));
        match text {
            "param" if before_name => TokenKind::Param,
            "buffer" if before_name => TokenKind::Buffer,
            "state" if before_name => TokenKind::State,
            "const" if before_name => TokenKind::Const,
            "use" if before_name => TokenKind::Use,
            "type" if before_name => TokenKind::Type,
            "layer" if before_name => TokenKind::Layer,
            "test" if next == Some(TokenKind::Str) => TokenKind::Test,
            "where" if self.previous != Some(TokenKind::Layer) && self.signature == Some(self.stack.len()) => {
                TokenKind::Where
            }
            "as" if self.in_use && self.previous == Some(TokenKind::Name) => TokenKind::As,
            _ => TokenKind::Name,
        }
    }

    fn innermost(&self) -> Option<Bracket> {
        self.stack.last().map(|open| open.bracket)
    }

    /// Whether line breaks count here.
    fn in_block(&self) -> bool {
        matches!(self.innermost(), None | Some(Bracket::Brace))
    }

    /// Closes brackets that a statement keyword shows to be unclosed.
    fn recover(&mut self, token: &Token, kind: TokenKind, out: &mut Vec<Lexed>) {
        if !self.in_block() && (is_hard_statement_keyword(kind) || (token.first_in_line && is_item_keyword(kind))) {
            let keep = self.stack.iter().rposition(|open| open.bracket == Bracket::Brace).map_or(0, |at| at + 1);
            self.close_down_to(keep, token, out);
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
        let Some(innermost) = self.stack.last().copied() else { return };
        let mark = self.previous_span.end;
        self.report_unclosed(innermost, Some(token));
        while self.stack.len() > keep {
            self.close_virtually(out);
        }
        self.marks.push(mark);
    }

    fn close_virtually(&mut self, out: &mut Vec<Lexed>) {
        let Some(open) = self.stack.last().copied() else { return };
        if open.bracket == Bracket::Brace {
            self.balanced = false;
            self.first_unclosed = Some(self.first_unclosed.map_or(open.span.start, |at| at.min(open.span.start)));
            if self.previous.is_some_and(can_end) {
                self.terminate(None, out);
            }
        }
        self.stack.pop();
        self.emit_virtual(open.bracket.closer(), out);
        if open.attribute {
            self.end_attribute(out);
        }
    }

    fn report_unclosed(&mut self, open: Open, found: Option<&Token>) {
        let (opening, closing) = open.bracket.text();
        let mut error = SyntaxError::new(code::E0005, format!("this `{opening}` is never closed"), open.span)
            .label("opened here")
            .note(format!("put the `{closing}` that belongs to it"));
        if let Some(found) = found {
            let text = shown(self.slice(found.span()));
            error = error.related(found.span(), format!("`{text}` cannot stand inside it"));
        }
        self.errors.push(error);
    }

    /// Emits the terminator that stands before `token`, if any.
    fn separate(&mut self, token: &Token, kind: TokenKind, out: &mut Vec<Lexed>) {
        if self.at_start || !self.in_block() || self.attribute != AttributeState::No {
            return;
        }
        let Some(previous) = self.previous.filter(|previous| can_end(*previous)) else { return };
        let ends = if token.first_in_line {
            !continues(kind)
        } else {
            is_hard_statement_keyword(kind)
                || is_item_keyword(kind)
                || kind == TokenKind::For
                || (kind == TokenKind::If && previous == TokenKind::RightBrace)
        };
        if ends {
            self.terminate(None, out);
        }
    }

    /// Passes the token on, keeping track of brackets.
    fn take(&mut self, token: &Token, kind: TokenKind, out: &mut Vec<Lexed>) {
        let span = token.span();
        match kind {
            TokenKind::LeftParen => {
                let attribute = self.attribute == AttributeState::Named;
                self.attribute = AttributeState::No;
                self.open(Bracket::Paren, attribute, kind, span, out);
            }
            TokenKind::LeftBracket => self.open(Bracket::Square, false, kind, span, out),
            TokenKind::LeftBrace if self.previous == Some(TokenKind::Dot) => {
                self.open(Bracket::Use, false, TokenKind::UseOpen, span, out);
            }
            TokenKind::LeftBrace => {
                if self.signature == Some(self.stack.len()) {
                    self.signature = None;
                }
                self.open(Bracket::Brace, false, kind, span, out);
                self.at_start = true;
            }
            TokenKind::RightParen | TokenKind::RightBracket | TokenKind::RightBrace => self.close(token, out),
            TokenKind::Less if self.after_legacy_type() => {
                self.open(Bracket::Angle, false, TokenKind::LeftAngle, span, out);
            }
            TokenKind::Greater if self.innermost() == Some(Bracket::Angle) => {
                self.stack.pop();
                self.emit(TokenKind::RightAngle, span, out);
            }
            TokenKind::GreaterEqual if self.innermost() == Some(Bracket::Angle) => {
                self.stack.pop();
                self.emit(TokenKind::RightAngle, Span::new(span.start, span.start + 1), out);
                self.emit(TokenKind::Assign, Span::new(span.start + 1, span.end), out);
            }
            TokenKind::Semicolon if self.in_block() => self.terminate(Some(span), out),
            TokenKind::At if self.at_start && self.in_block() => {
                self.emit(TokenKind::AttributeAt, span, out);
                self.attribute = AttributeState::At;
            }
            _ => self.pass(kind, span, out),
        }
    }

    fn pass(&mut self, kind: TokenKind, span: Span, out: &mut Vec<Lexed>) {
        match kind {
            TokenKind::Bad => self.marks.push(span.start),
            TokenKind::Fn | TokenKind::Layer => self.signature = Some(self.stack.len()),
            TokenKind::Assign | TokenKind::Where if self.signature == Some(self.stack.len()) => self.signature = None,
            TokenKind::Use => self.in_use = true,
            _ => {}
        }
        let named = self.attribute == AttributeState::At && kind == TokenKind::Name;
        self.attribute = if named { AttributeState::Named } else { AttributeState::No };
        self.emit(kind, span, out);
    }

    fn after_legacy_type(&self) -> bool {
        self.previous == Some(TokenKind::Name)
            && matches!(self.slice(self.previous_span), "Tensor" | "tensor" | "TernaryTensor")
    }

    fn open(&mut self, bracket: Bracket, attribute: bool, kind: TokenKind, span: Span, out: &mut Vec<Lexed>) {
        self.attribute = AttributeState::No;
        self.stack.push(Open { bracket, span, column: self.statement_column, attribute });
        self.emit(kind, span, out);
    }

    fn close(&mut self, token: &Token, out: &mut Vec<Lexed>) {
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
        match partner {
            Some(at) if brace && self.guided && token.first_in_line => self.close_guided(at, token, out),
            Some(at) => self.close_partner(at, token, out),
            None => self.close_without_partner(token, out),
        }
    }

    fn close_partner(&mut self, at: usize, token: &Token, out: &mut Vec<Lexed>) {
        if self.stack.len() > at + 1 {
            self.close_down_to(at + 1, token, out);
        }
        let Some(open) = self.stack.last().copied() else { return };
        if open.bracket == Bracket::Brace {
            // A brace taken back by `terminate` needs the statement's end before it.
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
        let column = token.column();
        let fits = |open: &Open| open.bracket == Bracket::Brace && open.column == column;
        let inner = self.stack[at].column;
        let better = if column < inner { self.stack[..at].iter().rposition(fits) } else { None };
        match better {
            Some(better) => self.close_partner(better, token, out),
            None if column > inner => self.close_without_partner(token, out),
            None => self.close_partner(at, token, out),
        }
    }

    fn close_without_partner(&mut self, token: &Token, out: &mut Vec<Lexed>) {
        let span = token.span();
        let text = self.slice(span);
        self.marks.push(span.start);
        if let Some(open) = self.stack.last().copied().filter(|_| !self.in_block()) {
            let (opening, closing) = open.bracket.text();
            self.errors.push(
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
        if token.kind == TokenKind::RightBrace {
            self.balanced = false;
            self.stray_brace = true;
        }
        self.errors.push(
            SyntaxError::new(code::E0004, format!("unexpected `{text}`"), span)
                .label("closes a bracket that was never opened")
                .fix("remove it", vec![(span, String::new())]),
        );
        self.emit(TokenKind::Bad, span, out);
    }

    fn finish(&mut self, out: &mut Vec<Lexed>) {
        if self.attribute == AttributeState::Named {
            self.end_attribute(out);
        }
        if let Some(innermost) = self.stack.last().copied() {
            self.report_unclosed(innermost, None);
            self.marks.push(self.previous_span.end);
            while !self.stack.is_empty() {
                self.close_virtually(out);
            }
        }
        if self.previous.is_some_and(can_end) {
            self.terminate(None, out);
        }
    }
}

/// Whether a statement can end with this token.
fn can_end(kind: TokenKind) -> bool {
    use TokenKind::*;
    matches!(
        kind,
        Name | Int
            | Float
            | Str
            | Bad
            | True
            | False
            | None
            | Underscore
            | Ellipsis
            | Return
            | RightParen
            | RightBracket
            | RightBrace
            | RightAngle
            | UseClose
    )
}

/// Whether a line that begins with this token continues the one before.
fn continues(kind: TokenKind) -> bool {
    use TokenKind::*;
    matches!(
        kind,
        Dot | Pipe
            | And
            | Or
            | Else
            | Arrow
            | LeftBrace
            | Plus
            | Star
            | Slash
            | SlashSlash
            | Percent
            | StarStar
            | EqualEqual
            | NotEqual
            | Less
            | LessEqual
            | Greater
            | GreaterEqual
            | Where
    )
}

/// Keywords that can stand at the start of a statement only. `for` and `if` also stand in brackets.
fn is_hard_statement_keyword(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Let | TokenKind::Return | TokenKind::While | TokenKind::Assert | TokenKind::Fn)
}

fn is_item_keyword(kind: TokenKind) -> bool {
    use TokenKind::*;
    matches!(kind, Fn | Layer | Use | Const | Type | Test | Param | Buffer | State)
}
