//! Tokens of Tri text, before layout.
//!
//! The lexer never fails: text that is no token becomes one `Bad` token, and [`Lexer::errors`] says
//! once what is wrong with it. Comments are not tokens; they are kept in [`Lexer::comments`], and the
//! `##` lines directly above a token also in [`Lexer::docs`], by the offset of that token.
//!
//! `x = 12abc  # why` becomes `Name "x"`, `Assign`, `Bad "12abc"` with one E0003.

use crate::base::{Span, code};
use crate::syntax::error::SyntaxError;
use logos::Logos;
use std::borrow::Cow;

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
enum Raw {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberForm {
    Int,
    Float,
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StringForm {
    Good,
    Unterminated,
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

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// How many bytes from `at` on satisfy `wanted`.
fn run(bytes: &[u8], at: usize, wanted: impl Fn(u8) -> bool) -> usize {
    bytes[at.min(bytes.len())..].iter().take_while(|byte| wanted(**byte)).count()
}

/// Scans on after the first digit (or a point and a digit).
fn scan_number(lex: &mut logos::Lexer<'_, Raw>) -> NumberForm {
    let text = lex.remainder().as_bytes();
    let first = lex.slice();
    let (length, form) = number_length(first, text);
    lex.bump(length);
    form
}

fn number_length(first: &str, rest: &[u8]) -> (usize, NumberForm) {
    let digit = |byte: u8| byte.is_ascii_digit() || byte == b'_';
    if first == "0" && matches!(rest.first(), Some(b'x' | b'X')) {
        let word = run(rest, 1, is_word_byte);
        let good = word > 0 && rest[1..1 + word].iter().all(|b| b.is_ascii_hexdigit() || *b == b'_');
        let form = if good && good_underscores(&rest[1..1 + word]) { NumberForm::Int } else { NumberForm::Malformed };
        return (1 + word, form);
    }
    let mut at = run(rest, 0, digit);
    let mut good = good_underscores(&rest[..at]) || (at > 0 && rest[0] == b'_' && good_underscores(&rest[1..at]));
    good |= at == 0;
    let mut float = first.starts_with('.');
    if !float && rest.get(at) == Some(&b'.') {
        // `0..n` is a range and `1.to(...)` a method; `1.` alone is a number, as in Python.
        let next = rest.get(at + 1).copied().unwrap_or(b' ');
        if next != b'.' && (next.is_ascii_digit() || !is_word_byte(next)) {
            let fraction = run(rest, at + 1, digit);
            good &= fraction == 0 || good_underscores(&rest[at + 1..at + 1 + fraction]);
            at += 1 + fraction;
            float = true;
        }
    }
    if matches!(rest.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(at + 1), Some(b'+' | b'-')));
        let exponent = run(rest, at + 1 + sign, |byte| byte.is_ascii_digit());
        if exponent > 0 {
            at += 1 + sign + exponent;
            float = true;
        }
    }
    let mut tail = run(rest, at, is_word_byte);
    while float && rest.get(at + tail) == Some(&b'.') && rest.get(at + tail + 1).is_some_and(u8::is_ascii_digit) {
        tail += 1 + run(rest, at + tail + 1, is_word_byte);
    }
    let form = match (good && tail == 0, float) {
        (false, _) => NumberForm::Malformed,
        (true, true) => NumberForm::Float,
        (true, false) => NumberForm::Int,
    };
    (at + tail, form)
}

/// Single underscores between digits only.
fn good_underscores(digits: &[u8]) -> bool {
    let edge = |byte: Option<&u8>| byte.is_none_or(|b| *b != b'_');
    !digits.is_empty() && edge(digits.first()) && edge(digits.last()) && !digits.windows(2).any(|pair| pair == b"__")
}

fn scan_string(lex: &mut logos::Lexer<'_, Raw>) -> StringForm {
    let rest = lex.remainder().as_bytes();
    let mut at = 0;
    loop {
        match rest.get(at) {
            Some(b'"') => {
                lex.bump(at + 1);
                return StringForm::Good;
            }
            Some(b'\\') if !matches!(rest.get(at + 1), Option::None | Some(b'\n')) => at += 2,
            Option::None | Some(b'\n') => {
                // A carriage return belongs to the line break.
                let end = if at > 0 && rest[at - 1] == b'\r' { at - 1 } else { at };
                lex.bump(end);
                return StringForm::Unterminated;
            }
            Some(_) => at += 1,
        }
        // An escaped character of several bytes: go on to its end.
        while rest.get(at).is_some_and(|byte| byte & 0xC0 == 0x80) {
            at += 1;
        }
    }
}

fn scan_single_quoted(lex: &mut logos::Lexer<'_, Raw>) {
    let rest = lex.remainder().as_bytes();
    let inside = run(rest, 0, |byte| byte != b'\'' && byte != b'\n');
    if rest.get(inside) == Some(&b'\'') {
        lex.bump(inside + 1);
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
                Err(error) => self.bad(error),
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
        self.errors.push(error);
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
    let error = SyntaxError::new(code::E0001, format!("unexpected character `{}`", shown(&character.to_string())), place)
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

fn check_number(form: NumberForm, text: &str, span: Span) -> Result<TokenKind, SyntaxError> {
    let problem = match form {
        NumberForm::Malformed => format!("malformed number `{}`", shown(text)),
        NumberForm::Int if int_value(text).is_some() => return Ok(TokenKind::Int),
        NumberForm::Int => format!("the integer `{}` does not fit in 64 bits", shown(text)),
        NumberForm::Float if float_value(text).is_some() => return Ok(TokenKind::Float),
        NumberForm::Float => format!("the number `{}` does not fit in a float", shown(text)),
    };
    let error = SyntaxError::new(code::E0003, problem, span);
    Err(match form {
        NumberForm::Malformed => error
            .label("neither a number nor a name")
            .note("numbers look like `12`, `1_000`, `0xff`, `1.5` or `2e-5`; names begin with a letter"),
        NumberForm::Int => error.label("too large").note("integers go up to 9223372036854775807"),
        NumberForm::Float => error.label("too large").note("write `inf` for infinity"),
    })
}

/// The value of an integer token.
pub fn int_value(text: &str) -> Option<i64> {
    let clean = without_underscores(text);
    match clean.strip_prefix("0x").or_else(|| clean.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        Option::None => clean.parse().ok(),
    }
}

/// The value of a float token.
pub fn float_value(text: &str) -> Option<f64> {
    let value: f64 = without_underscores(text).parse().ok()?;
    value.is_finite().then_some(value)
}

fn without_underscores(text: &str) -> Cow<'_, str> {
    if text.contains('_') { text.replace('_', "").into() } else { text.into() }
}

fn bad_escape(start: u32, length: u32, why: String) -> SyntaxError {
    SyntaxError::new(code::E0011, why, Span::new(start, start + length))
        .label("malformed escape")
        .note("known escapes are `\\n`, `\\t`, `\\\"`, `\\\\` and `\\u{20AC}`")
}

/// The value of a string token with its quotes, or the place, length and text of the first mistake.
pub fn unescape(text: &str) -> Result<String, (usize, usize, String)> {
    let end = text.len().saturating_sub(1).max(1);
    let inner = text.get(1..end).unwrap_or("");
    if !inner.contains('\\') {
        return Ok(inner.to_string());
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        let offset = text.len() - 1 - escape.len();
        let (character, length) = read_escape(escape).map_err(|(length, why)| (offset, length, why))?;
        out.push(character);
        rest = &escape[length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Reads the escape at the start of `text`: its character and length.
fn read_escape(text: &str) -> Result<(char, usize), (usize, String)> {
    let letter = text[1..].chars().next().unwrap_or('\\');
    let simple = match letter {
        'n' => '\n',
        't' => '\t',
        '"' => '"',
        '\\' => '\\',
        'u' => return read_unicode_escape(text),
        other => {
            let length = (1 + other.len_utf8()).min(text.len());
            return Err((length, format!("unknown escape `\\{}` in a string", shown(&other.to_string()))));
        }
    };
    Ok((simple, 2))
}

fn read_unicode_escape(text: &str) -> Result<(char, usize), (usize, String)> {
    let digits = text[2..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(digits, _)| digits);
    let Some(digits) = digits else {
        return Err((2, "the escape `\\u` needs a number in braces, as in `\\u{20AC}`".into()));
    };
    let length = digits.len() + 4;
    let hexadecimal = !digits.is_empty() && digits.len() <= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let value = if hexadecimal { u32::from_str_radix(digits, 16).ok() } else { Option::None };
    match value.and_then(char::from_u32) {
        Some(character) => Ok((character, length)),
        Option::None => Err((length, format!("`{}` is not a Unicode character", shown(digits)))),
    }
}
