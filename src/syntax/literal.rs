//! Numbers and strings: where they end, what is wrong with them, and their values.
//!
//! The lexer's patterns find only how a literal begins; the rest is scanned by hand here, so that
//! everything up to the end of a malformed literal belongs to one token and makes one message.

use crate::base::{Span, code};
use crate::syntax::error::SyntaxError;
use crate::syntax::token::{Raw, TokenKind, shown};
use std::borrow::Cow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberForm {
    Int,
    Float,
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StringForm {
    Good,
    Unterminated,
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// How many bytes from `at` on satisfy `wanted`.
fn run(bytes: &[u8], at: usize, wanted: impl Fn(u8) -> bool) -> usize {
    bytes[at.min(bytes.len())..].iter().take_while(|byte| wanted(**byte)).count()
}

/// Scans on after the first digit (or a point and a digit).
pub(super) fn scan_number(lex: &mut logos::Lexer<'_, Raw>) -> NumberForm {
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

pub(super) fn scan_string(lex: &mut logos::Lexer<'_, Raw>) -> StringForm {
    let rest = lex.remainder().as_bytes();
    let mut at = 0;
    loop {
        match rest.get(at) {
            Some(b'"') => {
                lex.bump(at + 1);
                return StringForm::Good;
            }
            Some(b'\\') if !matches!(rest.get(at + 1), None | Some(b'\n')) => at += 2,
            None | Some(b'\n') => {
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

pub(super) fn scan_single_quoted(lex: &mut logos::Lexer<'_, Raw>) {
    let rest = lex.remainder().as_bytes();
    let inside = run(rest, 0, |byte| byte != b'\'' && byte != b'\n');
    if rest.get(inside) == Some(&b'\'') {
        lex.bump(inside + 1);
    }
}

pub(super) fn check_number(form: NumberForm, text: &str, span: Span) -> Result<TokenKind, Box<SyntaxError>> {
    let problem = match form {
        NumberForm::Malformed => format!("malformed number `{}`", shown(text)),
        NumberForm::Int if int_value(text).is_some() => return Ok(TokenKind::Int),
        NumberForm::Int => format!("the integer `{}` does not fit in 64 bits", shown(text)),
        NumberForm::Float if float_value(text).is_some() => return Ok(TokenKind::Float),
        NumberForm::Float => format!("the number `{}` does not fit in a float", shown(text)),
    };
    let error = SyntaxError::new(code::E0003, problem, span);
    Err(Box::new(match form {
        NumberForm::Malformed => error
            .label("neither a number nor a name")
            .note("numbers look like `12`, `1_000`, `0xff`, `1.5` or `2e-5`; names begin with a letter"),
        NumberForm::Int => error.label("too large").note("integers go up to 9223372036854775807"),
        NumberForm::Float => error.label("too large").note("write `inf` for infinity"),
    }))
}

/// The value of an integer token.
pub fn int_value(text: &str) -> Option<i64> {
    let clean = without_underscores(text);
    match clean.strip_prefix("0x").or_else(|| clean.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => clean.parse().ok(),
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

pub(super) fn bad_escape(start: u32, length: u32, why: String) -> SyntaxError {
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
    let value = if hexadecimal { u32::from_str_radix(digits, 16).ok() } else { None };
    match value.and_then(char::from_u32) {
        Some(character) => Ok((character, length)),
        None => Err((length, format!("`{}` is not a Unicode character", shown(digits)))),
    }
}
