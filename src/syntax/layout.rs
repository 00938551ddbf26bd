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
//! - *Indented block*: lines below a `:` at the end of a head, as Python has them. The `:` is an error, and
//!   then stands for the `{`; the indentation puts in the `}`.
//! - *Guided* mode: braces do not balance, so indentation decides where the missing or surplus one is.
//!
//! `if c { a = 1 }` comes out as `If Name LeftBrace Name Assign Int Terminator RightBrace Terminator`.

use crate::base::{Span, code};
use crate::syntax::error::SyntaxError;
use crate::syntax::token::{Doc, Lexer, Token, TokenKind};

/// Bracket nesting past which a text is refused.
pub const MAX_NESTING: usize = 256;
/// Tokens in one item past which it is refused.
pub const MAX_TOKENS: usize = 4_000_000;

/// Errors about brackets in one item past which no more are reported.
const MAX_ERRORS: usize = 1000;
/// Searches for a closing bracket; past them mismatched brackets are taken as they come.
const MAX_SEARCHES: u32 = 1000;

/// A token as the parser takes it: start, kind, end.
pub type Lexed = (u32, TokenKind, u32);

/// Everything known about a text after layout.
#[derive(Debug, Default)]
pub struct Laid {
    pub tokens: Vec<Lexed>,
    pub errors: Vec<SyntaxError>,
    /// Offsets at which an error was reported, in order: a parse failure there is a consequence.
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
    layout.marks.sort_unstable();
    let laid = Laid { tokens, errors, marks: layout.marks, docs: layout.lexer.docs, complete };
    (laid, layout.balanced)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    Paren,
    Square,
    Brace,
    Angle,
    Use,
}

impl Bracket {
    pub(super) fn closer(self) -> TokenKind {
        match self {
            Bracket::Paren => TokenKind::RightParen,
            Bracket::Square => TokenKind::RightBracket,
            Bracket::Brace => TokenKind::RightBrace,
            Bracket::Angle => TokenKind::RightAngle,
            Bracket::Use => TokenKind::UseClose,
        }
    }

    pub(super) fn text(self) -> (&'static str, &'static str) {
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
pub(super) struct Open {
    pub(super) bracket: Bracket,
    pub(super) span: Span,
    /// Column of the statement that opened it.
    pub(super) column: u32,
    /// It holds an attribute's arguments.
    pub(super) attribute: bool,
    /// It stands for a `:` that opened a block as in Python; indentation closes it.
    pub(super) indented: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttributeState {
    No,
    /// Behind `@`.
    At,
    /// Behind the name.
    Named,
}

/// The state of the layer; `step` takes one token in and gives any number out.
pub struct Layout<'t> {
    pub(super) text: &'t str,
    pub lexer: Lexer<'t>,
    ahead: Option<Token>,
    pub(super) guided: bool,
    pub(super) stack: Vec<Open>,
    pub(super) previous: Option<TokenKind>,
    pub(super) previous_span: Span,
    /// Nothing of the current statement has been seen, except attributes.
    at_start: bool,
    pub(super) statement_column: u32,
    /// The first token of the current statement, behind its attributes.
    statement_kind: Option<TokenKind>,
    pub(super) attribute: AttributeState,
    /// Depth at which a `fn` or `layer` head stands.
    signature: Option<usize>,
    in_use: bool,
    pub errors: Vec<SyntaxError>,
    pub(super) marks: Vec<u32>,
    /// No brace was missing or too many.
    pub balanced: bool,
    /// First brace that was missing its partner, for the splitter.
    pub first_unclosed: Option<u32>,
    pub stray_brace: bool,
    /// At the last end of a statement, nothing of the text before it could still be felt.
    pub at_rest: bool,
    /// How many brackets of each kind were closed virtually, so that their own closers may still come.
    pub(super) closed_early: [u32; 5],
    /// How often the layer may still look ahead for a closing bracket.
    pub(super) searches_left: u32,
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
            statement_kind: None,
            attribute: AttributeState::No,
            signature: None,
            in_use: false,
            errors: vec![],
            marks: vec![],
            balanced: true,
            first_unclosed: None,
            stray_brace: false,
            at_rest: true,
            closed_early: [0; 5],
            searches_left: MAX_SEARCHES,
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
        if self.at_start {
            self.statement_kind = Some(kind);
            // What stands before may be why this is a keyword, or is none.
            self.at_rest &= self.resolve(&token) == kind;
        }
        if self.at_start && self.attribute == AttributeState::No && self.previous != Some(TokenKind::AttributeEnd) {
            self.statement_column = token.column();
        }
        self.take(&token, kind, out);
        true
    }

    pub(super) fn emit(&mut self, kind: TokenKind, span: Span, out: &mut Vec<Lexed>) {
        out.push((span.start, kind, span.end));
        self.previous = Some(kind);
        self.previous_span = span;
        self.at_start = false;
    }

    pub(super) fn emit_virtual(&mut self, kind: TokenKind, out: &mut Vec<Lexed>) {
        let end = self.previous_span.end;
        self.emit(kind, Span::new(end, end), out);
    }

    pub(super) fn end_attribute(&mut self, out: &mut Vec<Lexed>) {
        self.emit_virtual(TokenKind::AttributeEnd, out);
        self.attribute = AttributeState::No;
        self.at_start = true;
    }

    pub(super) fn terminate(&mut self, span: Option<Span>, out: &mut Vec<Lexed>) {
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
        self.at_rest = self.stack.is_empty() && self.signature.is_none() && self.attribute == AttributeState::No;
    }

    pub(super) fn report(&mut self, error: SyntaxError) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }

    /// How many brackets are open.
    pub fn nesting(&self) -> usize {
        self.stack.len()
    }

    /// Whether what stands further on was looked at, for a closing bracket.
    pub fn has_searched(&self) -> bool {
        self.searches_left < MAX_SEARCHES
    }

    pub(super) fn slice(&self, span: Span) -> &'t str {
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
    pub(super) fn in_block(&self) -> bool {
        matches!(self.innermost(), None | Some(Bracket::Brace))
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
        let indented = token.first_in_line && token.column() > self.statement_column;
        if ends && indented && kind != TokenKind::Assign && self.signature == Some(self.stack.len()) {
            self.open_virtually(out);
        } else if ends {
            self.terminate(None, out);
        }
    }

    /// A `fn` or `layer` head is followed by an indented line: only the brace is missing.
    fn open_virtually(&mut self, out: &mut Vec<Lexed>) {
        let end = self.previous_span.end;
        let span = Span::new(end, end);
        self.report(
            SyntaxError::new(code::E0004, "expected `{`, found the end of the line", span)
                .label("expected `{`")
                .note("the body of a `fn` or `layer` stands in braces")
                .fix("open the body", vec![(span, " {".into())]),
        );
        self.marks.push(end);
        self.signature = None;
        self.open(Bracket::Brace, false, TokenKind::LeftBrace, span, out);
        self.at_start = true;
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
            TokenKind::Colon if self.opens_indented_block() => self.open_indented_block(span, out),
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

    /// Whether a `:` at the end of a line is meant to open a block, as in Python.
    fn opens_indented_block(&self) -> bool {
        use TokenKind::{Else, Fn, For, If, Layer, While};
        let head = matches!(self.statement_kind, Some(Fn | Layer | If | For | While)) || self.previous == Some(Else);
        let deeper = |next: Token| next.first_in_line && next.column() > self.statement_column;
        head && self.in_block() && self.ahead.is_some_and(deeper)
    }

    /// Takes the indented lines for the block that they are meant to be: one mistake, one message.
    fn open_indented_block(&mut self, span: Span, out: &mut Vec<Lexed>) {
        self.report(
            SyntaxError::new(code::E0004, "expected `{`, found `:`", span)
                .label("expected `{`")
                .note("blocks stand in braces: `if condition { ... }`"),
        );
        self.marks.push(span.start);
        self.signature = None;
        self.open(Bracket::Brace, false, TokenKind::LeftBrace, span, out);
        if let Some(open) = self.stack.last_mut() {
            open.indented = true;
        }
        self.at_start = true;
    }

    fn after_legacy_type(&self) -> bool {
        self.previous == Some(TokenKind::Name)
            && matches!(self.slice(self.previous_span), "Tensor" | "tensor" | "TernaryTensor")
    }

    fn open(&mut self, bracket: Bracket, attribute: bool, kind: TokenKind, span: Span, out: &mut Vec<Lexed>) {
        self.attribute = AttributeState::No;
        self.stack.push(Open { bracket, span, column: self.statement_column, attribute, indented: false });
        self.emit(kind, span, out);
    }

    fn finish(&mut self, out: &mut Vec<Lexed>) {
        if self.attribute == AttributeState::Named {
            self.end_attribute(out);
        }
        if let Some(innermost) = self.stack.iter().rfind(|open| !open.indented).copied() {
            self.report_unclosed(innermost, None);
        }
        while !self.stack.is_empty() {
            self.close_virtually(out);
        }
        if self.previous.is_some_and(can_end) {
            self.terminate(None, out);
        }
    }
}

/// Whether a statement can end with this token.
pub(super) fn can_end(kind: TokenKind) -> bool {
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
pub(super) fn is_hard_statement_keyword(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Let | TokenKind::Return | TokenKind::While | TokenKind::Assert | TokenKind::Fn)
}

pub(super) fn is_item_keyword(kind: TokenKind) -> bool {
    use TokenKind::*;
    matches!(kind, Fn | Layer | Use | Const | Type | Test | Param | Buffer | State)
}
