//! Tokens of Tri text, before layout.
//!
//! The lexer never fails: text that is no token becomes one `Bad` token, and [`Lexer::errors`] says
//! once what is wrong with it. Comments are not tokens; they are kept in [`Lexer::comments`], and the
//! `##` lines directly above a token also in [`Lexer::docs`], by the offset of that token.
//!
//! `x = 12abc  # why` becomes `Name "x"`, `Assign`, `Bad "12abc"` with one E0003.

use crate::base::{Span, code};
use crate::syntax::error::SyntaxError;
use crate::syntax::literal::{
    NumberForm, StringForm, bad_escape, check_number, scan_number, scan_single_quoted, scan_string, unescape,
};
use logos::Logos;

/// Malformed tokens in one text past which no more are reported.
const MAX_ERRORS: usize = 1000;

/// What a token is. The second half appears only behind the layout layer, see [`crate::syntax::layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    Name,
    Int,
    Float,
    Str,
    /// Text that is no token; its error was reported.
    Bad,
    Let,
    Return,
    For,
    While,
    Assert,
    Fn,
    If,
    Else,
    In,
    And,
    Or,
    Not,
    True,
    False,
    None,
    Underscore,
    LeftParen,
    RightParen,
    LeftBracket,
    RightBracket,
    LeftBrace,
    RightBrace,
    Comma,
    Colon,
    Semicolon,
    Dot,
    DotDot,
    Ellipsis,
    Question,
    At,
    Arrow,
    Pipe,
    Assign,
    PlusAssign,
    MinusAssign,
    StarAssign,
    SlashAssign,
    SlashSlashAssign,
    PercentAssign,
    StarStarAssign,
    AtAssign,
    EqualEqual,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Plus,
    Minus,
    Star,
    Slash,
    SlashSlash,
    Percent,
    StarStar,

    // Contextual keywords.
    Param,
    Buffer,
    State,
    Const,
    Use,
    Type,
    Layer,
    Test,
    Where,
    As,
    /// The end of a statement; may be empty.
    Terminator,
    /// `@` that opens an attribute.
    AttributeAt,
    /// Closes an attribute, so that what follows cannot be taken for its arguments; empty.
    AttributeEnd,
    /// `<` after `Tensor`, `tensor` or `TernaryTensor`.
    LeftAngle,
    RightAngle,
    /// The braces of `use m.{a, b}`.
    UseOpen,
    UseClose,
    /// Stands for a statement that could not be parsed.
    Failed,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    pub start: u32,
    pub end: u32,
    /// A line break stands between this token and the one before.
    pub first_in_line: bool,
    /// Offset of the first byte of the token's line.
    pub line_start: u32,
}

impl Token {
    pub fn span(&self) -> Span {
        Span::new(self.start, self.end)
    }

    pub fn column(&self) -> u32 {
        self.start - self.line_start
    }
}

/// A comment with its marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comment {
    pub span: Span,
    /// `##` at the start of a line.
    pub doc: bool,
}

#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq)]
#[logos(skip r"[ \t\r\x0C\u{FEFF}]+")]
pub(super) enum Raw {
    #[token("\n")]
    Newline,
    #[regex(r"#[^\n]*", allow_greedy = true)]
    Comment,
    // Letters of other alphabets are taken in, so that `größe` is one mistake and not two.
    // U+FEFF, the byte order mark, is space.
    #[regex(r"[A-Za-z_\u{80}-\u{FEFE}\u{FF00}-\u{10FFFF}][A-Za-z0-9_\u{80}-\u{FEFE}\u{FF00}-\u{10FFFF}]*")]
    Word,
    #[regex(r"\.?[0-9]", scan_number)]
    Number(NumberForm),
    #[token("\"", scan_string)]
    Str(StringForm),
    #[token("'", scan_single_quoted)]
    SingleQuoted,
    #[regex(r"\(|\)|\[|\]|\{|\}|,|:|;|\.|\.\.|\.\.\.|\?|@|->|\|>|=|\+=|-=|\*=|/=|//=|%=|\*\*=|@=", |lex| punctuation(lex.slice()))]
    #[regex(r"==|!=|<|<=|>|>=|\+|-|\*|/|//|%|\*\*", |lex| punctuation(lex.slice()))]
    Punctuation(TokenKind),
}

fn punctuation(text: &str) -> Option<TokenKind> {
    use TokenKind::*;
    Some(match text {
        "(" => LeftParen,
        ")" => RightParen,
        "[" => LeftBracket,
        "]" => RightBracket,
        "{" => LeftBrace,
        "}" => RightBrace,
        "," => Comma,
        ":" => Colon,
        ";" => Semicolon,
        "." => Dot,
        ".." => DotDot,
        "..." => Ellipsis,
        "?" => Question,
        "@" => At,
        "->" => Arrow,
        "|>" => Pipe,
        "=" => Assign,
        "+=" => PlusAssign,
        "-=" => MinusAssign,
        "*=" => StarAssign,
        "/=" => SlashAssign,
        "//=" => SlashSlashAssign,
        "%=" => PercentAssign,
        "**=" => StarStarAssign,
        "@=" => AtAssign,
        "==" => EqualEqual,
        "!=" => NotEqual,
        "<" => Less,
        "<=" => LessEqual,
        ">" => Greater,
        ">=" => GreaterEqual,
        "+" => Plus,
        "-" => Minus,
        "*" => Star,
        "/" => Slash,
        "//" => SlashSlash,
        "%" => Percent,
        "**" => StarStar,
        _ => return Option::None,
    })
}

fn keyword(text: &str) -> TokenKind {
    use TokenKind::*;
    match text {
        "let" => Let,
        "return" => Return,
        "for" => For,
        "while" => While,
        "assert" => Assert,
        "fn" => Fn,
        "if" => If,
        "else" => Else,
        "in" => In,
        "and" => And,
        "or" => Or,
        "not" => Not,
        "true" => True,
        "false" => False,
        "None" => None,
        "_" => Underscore,
        _ => Name,
    }
}

/// Reads tokens one by one.
pub struct Lexer<'t> {
    text: &'t str,
    raw: logos::Lexer<'t, Raw>,
    /// A raw token that was read ahead.
    ahead: Option<(Result<Raw, ()>, Span)>,
    line_start: u32,
    pending_doc: Option<String>,
    pub errors: Vec<SyntaxError>,
    pub comments: Vec<Comment>,
    /// Documentation by the offset of the token below it, with the offset of its first `##`.
    pub docs: Vec<Doc>,
}

/// The `##` lines above a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doc {
    /// Where the token below stands.
    pub token: u32,
    /// Where the first `##` stands.
    pub start: u32,
    pub text: String,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Self {
        Lexer {
            text,
            raw: Raw::lexer(text),
            ahead: Option::None,
            line_start: 0,
            pending_doc: Option::None,
            errors: vec![],
            comments: vec![],
            docs: vec![],
        }
    }

    fn next_raw(&mut self) -> Option<(Result<Raw, ()>, Span)> {
        if let Some(ahead) = self.ahead.take() {
            return Some(ahead);
        }
        let raw = self.raw.next()?;
        let range = self.raw.span();
        Some((raw, Span::new(range.start as u32, range.end as u32)))
    }

    fn slice(&self, span: Span) -> &'t str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// The next token; `None` at the end of the text.
    pub fn next_token(&mut self) -> Option<Token> {
        let mut breaks = 0;
        let mut first_in_line = self.raw.span().end == 0;
        let mut doc_start = 0;
        loop {
            let (raw, span) = self.next_raw()?;
            match raw {
                Ok(Raw::Newline) => {
                    self.line_start = span.end;
                    first_in_line = true;
                    breaks += 1;
                    if breaks > 1 {
                        // A blank line: the comment above documents nothing.
                        self.pending_doc = Option::None;
                    }
                }
                Ok(Raw::Comment) => {
                    let line = self.slice(span);
                    let doc = first_in_line && line.starts_with("##") && !line.starts_with("###");
                    self.comments.push(Comment { span, doc });
                    if doc {
                        let line = line[2..].trim_end();
                        self.append_doc(line.strip_prefix(' ').unwrap_or(line), span.start, &mut doc_start);
                    }
                    breaks = 0;
                }
                other => {
                    let kind = self.classify(other, span);
                    let token = Token {
                        kind: kind.0,
                        start: span.start,
                        end: kind.1,
                        first_in_line,
                        line_start: self.line_start,
                    };
                    if let Some(text) = self.pending_doc.take() {
                        self.docs.push(Doc { token: token.start, start: doc_start, text });
                    }
                    return Some(token);
                }
            }
        }
    }

    fn append_doc(&mut self, line: &str, start: u32, doc_start: &mut u32) {
        match &mut self.pending_doc {
            Some(text) => {
                text.push('\n');
                text.push_str(line);
            }
            Option::None => {
                self.pending_doc = Some(line.to_string());
                *doc_start = start;
            }
        }
    }

    /// The token's kind and end; reports what is wrong with it.
    fn classify(&mut self, raw: Result<Raw, ()>, span: Span) -> (TokenKind, u32) {
        let text = self.slice(span);
        let kind = match raw {
            Ok(Raw::Punctuation(kind)) => kind,
            Ok(Raw::Word) if text.is_ascii() => keyword(text),
            Ok(Raw::Word) => self.bad(bad_word(text, span)),
            Ok(Raw::Number(form)) => match check_number(form, text, span) {
                Ok(kind) => kind,
                Err(error) => self.bad(*error),
            },
            Ok(Raw::Str(StringForm::Good)) => match unescape(text) {
                Ok(_) => TokenKind::Str,
                Err((at, length, why)) => self.bad(bad_escape(span.start + at as u32, length as u32, why)),
            },
            Ok(Raw::Str(StringForm::Unterminated)) => self.bad(
                SyntaxError::new(code::E0002, "this string has no closing quote", span)
                    .label("starts here and runs to the end of the line")
                    .fix("close the string", vec![(Span::new(span.end, span.end), "\"".into())]),
            ),
            Ok(Raw::SingleQuoted) => self.bad(single_quoted(text, span)),
            Ok(Raw::Newline | Raw::Comment) | Err(()) => return self.bad_characters(span),
        };
        (kind, span.end)
    }

    fn bad(&mut self, error: SyntaxError) -> TokenKind {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
        TokenKind::Bad
    }

    /// Joins neighbouring characters that are no tokens, so that they make one message.
    fn bad_characters(&mut self, mut span: Span) -> (TokenKind, u32) {
        loop {
            match self.next_raw() {
                Some((Err(()), next)) if next.start == span.end => span.end = next.end,
                other => {
                    self.ahead = other;
                    break;
                }
            }
        }
        let error = bad_characters(self.slice(span), span);
        (self.bad(error), span.end)
    }
}

/// The comments of a text, in order.
pub fn comments(text: &str) -> Vec<Comment> {
    let mut lexer = Lexer::new(text);
    while lexer.next_token().is_some() {}
    lexer.comments
}

/// Text for a message: not too long, and visible.
pub fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(24).flat_map(char::escape_debug).collect();
    if text.chars().nth(24).is_some() {
        out.push('…');
    }
    // `escape_debug` is meant for quotes of its own.
    out.replace("\\\"", "\"").replace("\\'", "'")
}

fn bad_characters(text: &str, span: Span) -> SyntaxError {
    let plural = if text.chars().nth(1).is_some() { "characters" } else { "character" };
    let error = SyntaxError::new(code::E0001, format!("unexpected {plural} `{}`", shown(text)), span)
        .label("not part of the language");
    match text {
        "&&" => error.note("write `and`").fix("write `and`", vec![(span, "and".into())]),
        "||" => error.note("write `or`").fix("write `or`", vec![(span, "or".into())]),
        "!" => error.note("write `not`").fix("write `not`", vec![(span, "not ".into())]),
        "&" => error.note("for bits, write `bit_and(a, b)`; for conditions, write `and`"),
        "|" => error.note("for bits, write `bit_or(a, b)`; for conditions, write `or`"),
        "^" => error.note("for bits, write `bit_xor(a, b)`; for powers, write `a ** b`"),
        "~" => error.note("for bits, write `bit_not(a)`; for conditions, write `not`"),
        _ => error,
    }
}

fn bad_word(text: &str, span: Span) -> SyntaxError {
    let offset = text.char_indices().find(|(_, c)| !c.is_ascii());
    let (at, character) = offset.unwrap_or((0, ' '));
    let start = span.start + at as u32;
    let place = Span::new(start, start + character.len_utf8() as u32);
    let error =
        SyntaxError::new(code::E0001, format!("unexpected character `{}`", shown(&character.to_string())), place)
            .label("not part of the language");
    match character {
        '“' | '”' | '„' | '‘' | '’' => error.note("strings stand in straight double quotes: `\"text\"`"),
        '−' | '–' | '—' => error.note("for minus, write `-`"),
        '×' | '·' => error.note("for a product, write `*` or `@`"),
        _ => error.note("names are made of the letters a to z and A to Z, digits and `_`"),
    }
}

fn single_quoted(text: &str, span: Span) -> SyntaxError {
    let error = SyntaxError::new(code::E0001, "unexpected character `'`", span);
    if text.len() < 2 || text.contains('"') || text.contains('\\') {
        return error.label("not part of the language").note("strings stand in double quotes: `\"text\"`");
    }
    let inner = &text[1..text.len() - 1];
    error.label("strings stand in double quotes").fix("use double quotes", vec![(span, format!("\"{inner}\""))])
}
