//! Tokens of the IR text.

use crate::ir::reader::ReadError;
use crate::ir::words::{continues_identifier, starts_identifier};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Word(String),
    /// `%x`; `%x.1` is the second value that the source calls `x`.
    Value(String),
    /// `@Linear.forward`
    Function(String),
    Str(String),
    Int(u64),
    /// A number with a point or exponent, as written.
    Float(String),
    Punct(&'static str),
    End,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: u32,
    pub(super) column: u32,
    /// Nothing stands before it on its line.
    pub(super) leads: bool,
}

/// The text's tokens, ending in [`Kind::End`], and the comment of each line that has one.
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    pub(super) comments: Vec<(u32, String)>,
}

/// Longest first.
const PUNCTUATION: [&str; 26] = [
    "...", "->", "**", "//", "==", ">=", "(", ")", "[", "]", "{", "}", "<", ",", ":", "=", "+", "-", "*", "/", "%",
    "~", "?", ".", ";", "|",
];

pub(super) fn lex(text: &str) -> Result<Lexed, ReadError> {
    let mut lexer =
        Lexer { chars: text.chars().collect(), at: 0, line: 1, column: 1, tokens: vec![], comments: vec![] };
    lexer.run()?;
    Ok(Lexed { tokens: lexer.tokens, comments: lexer.comments })
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: u32,
    column: u32,
    tokens: Vec<Token>,
    comments: Vec<(u32, String)>,
}

impl Lexer {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn second(&self) -> Option<char> {
        self.chars.get(self.at + 1).copied()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.peek().filter(|c| accept(*c)) {
            text.push(c);
            self.bump();
        }
        text
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, ReadError> {
        Err(ReadError { line: self.line, column: self.column, message: message.into() })
    }

    fn run(&mut self) -> Result<(), ReadError> {
        let mut last_line = 0;
        loop {
            self.take_while(char::is_whitespace);
            if self.peek() == Some('#') {
                let line = self.line;
                let comment = self.take_while(|c| c != '\n');
                self.comments.push((line, comment[1..].trim().to_string()));
                continue;
            }
            let (line, column) = (self.line, self.column);
            let kind = self.token()?;
            let end = kind == Kind::End;
            self.tokens.push(Token { kind, line, column, leads: line != last_line });
            last_line = line;
            if end {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Kind, ReadError> {
        let Some(c) = self.peek() else { return Ok(Kind::End) };
        let second = self.second();
        match c {
            '"' => Ok(Kind::Str(self.string()?)),
            '%' if second.is_some_and(continues_identifier) => {
                self.bump();
                Ok(Kind::Value(self.dotted()))
            }
            '@' if second == Some('"') => {
                self.bump();
                Ok(Kind::Function(self.string()?))
            }
            '@' if second.is_some_and(starts_identifier) => {
                self.bump();
                Ok(Kind::Function(self.dotted()))
            }
            _ if c.is_ascii_digit() => self.number(),
            _ if starts_identifier(c) => Ok(Kind::Word(self.take_while(continues_identifier))),
            _ => self.punctuation(),
        }
    }

    /// Words joined by dots.
    fn dotted(&mut self) -> String {
        let mut text = self.take_while(continues_identifier);
        while self.peek() == Some('.') && self.second().is_some_and(continues_identifier) {
            self.bump();
            text.push('.');
            text += &self.take_while(continues_identifier);
        }
        text
    }

    fn punctuation(&mut self) -> Result<Kind, ReadError> {
        for punct in PUNCTUATION {
            if punct.chars().enumerate().all(|(i, c)| self.chars.get(self.at + i) == Some(&c)) {
                punct.chars().for_each(|_| {
                    self.bump();
                });
                return Ok(Kind::Punct(punct));
            }
        }
        self.error(format!("unexpected character {:?}", self.peek().unwrap_or(' ')))
    }

    fn number(&mut self) -> Result<Kind, ReadError> {
        let mut text = self.take_while(|c| c.is_ascii_digit());
        let mut float = false;
        if self.peek() == Some('.') && self.second().is_some_and(|c| c.is_ascii_digit()) {
            float = true;
            self.bump();
            text.push('.');
            text += &self.take_while(|c| c.is_ascii_digit());
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            float = true;
            self.bump();
            text.push('e');
            if let Some(sign @ ('-' | '+')) = self.peek() {
                self.bump();
                text.push(sign);
            }
            text += &self.take_while(|c| c.is_ascii_digit());
        }
        if float {
            return Ok(Kind::Float(text));
        }
        match text.parse() {
            Ok(value) => Ok(Kind::Int(value)),
            Err(_) => self.error("number too large"),
        }
    }

    /// A string as Rust's `{:?}` writes it.
    fn string(&mut self) -> Result<String, ReadError> {
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump() {
                None | Some('\n') => return self.error("unterminated string"),
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ReadError> {
        Ok(match self.bump() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('0') => '\0',
            Some(c @ ('\\' | '"' | '\'')) => c,
            Some('u') if self.peek() == Some('{') => {
                self.bump();
                let digits = self.take_while(|c| c.is_ascii_hexdigit());
                let c = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                match (c, self.bump()) {
                    (Some(c), Some('}')) => c,
                    _ => return self.error("malformed escape"),
                }
            }
            _ => return self.error("malformed escape"),
        })
    }
}
