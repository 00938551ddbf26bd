//! Words for what the grammar did not accept: what was expected, what was found, what to do.
//!
//! The generated parser says which terminals it could have taken. Most of such a list is noise to a
//! reader (every operator can follow an operand), so it is summed up in one or two ideas.

use crate::base::{Span, code, nearest};
use crate::syntax::error::SyntaxError;
use crate::syntax::layout::Lexed;
use crate::syntax::token::{TokenKind, shown};
use std::ops::Range;

/// A place at which the parser stopped.
pub struct Failure<'a> {
    pub text: &'a str,
    pub tokens: &'a [Lexed],
    /// The statement that will be replaced.
    pub statement: Range<usize>,
    /// The token that was not taken; may be the number of tokens.
    pub at: usize,
    /// Terminals of the grammar.
    pub expected: Vec<String>,
}

impl Failure<'_> {
    pub fn error(&self) -> SyntaxError {
        let expected = self.expectation();
        let mut message = format!("expected {expected}");
        if let Some(before) = self.before() {
            message.push_str(&format!(" after `{}`", shown(before)));
        }
        message.push_str(&format!(", found {}", self.found()));
        let error = SyntaxError::new(code::E0004, message, self.span()).label(format!("expected {expected}"));
        self.advise(error)
    }

    fn kind(&self) -> Option<TokenKind> {
        self.tokens.get(self.at).map(|token| token.1)
    }

    fn slice(&self, index: usize) -> &str {
        let range = self.tokens.get(index).map_or(0..0, |token| token.0 as usize..token.2 as usize);
        self.text.get(range).unwrap_or("")
    }

    fn span(&self) -> Span {
        match self.tokens.get(self.at) {
            Some(token) => Span::new(token.0, token.2),
            None => self.tokens.last().map_or(Span::default(), |token| Span::new(token.2, token.2)),
        }
    }

    fn can(&self, terminal: &str) -> bool {
        self.expected.iter().any(|name| name.trim_matches('"') == terminal)
    }

    /// The token before, where it belongs to the same statement and has a text.
    fn before(&self) -> Option<&str> {
        let index =
            (self.statement.start..self.at.min(self.tokens.len())).rev().find(|at| !self.slice(*at).is_empty())?;
        Some(self.slice(index))
    }

    fn found(&self) -> String {
        let text = self.slice(self.at);
        match self.kind() {
            None => "the end of the text".into(),
            Some(TokenKind::Terminator) if text.is_empty() => "the end of the line".into(),
            Some(_) if text.is_empty() => "something else".into(),
            Some(_) => format!("`{}`", shown(text)),
        }
    }

    /// What could stand here, in a few words.
    fn expectation(&self) -> String {
        if self.can("int") {
            return "an expression".into();
        }
        if self.can("name") && self.can("(") && self.can("[") && !self.can("=") && !self.can("end") {
            return "a type".into();
        }
        const WORDS: [(&str, &str); 18] = [
            ("end", "the end of the statement"),
            ("{", "`{`"),
            ("=", "`=`"),
            (":", "`:`"),
            ("in", "`in`"),
            ("name", "a name"),
            ("string", "a string"),
            ("use{", "`{`"),
            (",", "`,`"),
            (")", "`)`"),
            ("]", "`]`"),
            ("use}", "`}`"),
            ("angle>", "`>`"),
            ("(", "`(`"),
            ("}", "`}`"),
            ("attribute-end", "the end of the attribute"),
            ("fn", "a declaration"),
            ("let", "a statement"),
        ];
        // Behind an operand almost everything can follow; what ends it says the most.
        let operand = self.can("+");
        let skip = |terminal: &str| operand && matches!(terminal, "(" | "name" | "=" | ":");
        let words: Vec<&str> =
            WORDS.iter().filter(|(terminal, _)| self.can(terminal) && !skip(terminal)).map(|(_, word)| *word).collect();
        match words[..] {
            [] => "the end of the text".into(),
            [one] => one.into(),
            [first, second] => format!("{first} or {second}"),
            [first, second, ..] if first.starts_with("the end") => format!("{first} or {second}"),
            [first, second, third, ..] => format!("{first}, {second} or {third}"),
        }
    }

    fn first_kind(&self) -> Option<TokenKind> {
        self.tokens.get(self.statement.start).map(|token| token.1)
    }

    /// Adds a note, and a fix where the remedy is certain.
    fn advise(&self, error: SyntaxError) -> SyntaxError {
        let first = self.first_kind();
        let found = self.kind();
        if first == Some(TokenKind::Name) {
            let word = self.slice(self.statement.start);
            if let Some(note) = foreign_word(word) {
                let error = error.note(note);
                return match own_keyword(word) {
                    Some(own) => self.replace(error, self.statement.start, own),
                    None => error,
                };
            }
            if self.at == self.statement.start + 1
                && let Some(keyword) = misspelt_keyword(word)
            {
                let token = self.tokens[self.statement.start];
                let message = format!("`{word}` is no word that begins a statement");
                let error = SyntaxError::new(code::E0004, message, Span::new(token.0, token.2))
                    .label(format!("did you mean `{keyword}`?"));
                return self.replace(error, self.statement.start, keyword);
            }
        }
        // A word inside of a statement: `whree` after a signature.
        if found == Some(TokenKind::Name)
            && let Some(near) = nearest(self.slice(self.at), INNER_KEYWORDS.iter().copied())
            && near.certain
            && self.can(near.name)
        {
            return self.replace(error.note(format!("did you mean `{}`?", near.name)), self.at, near.name);
        }
        if self.slice(self.at) == "elif" {
            return self.replace(error.note("write `else if`"), self.at, "else if");
        }
        let head =
            matches!(first, Some(TokenKind::If | TokenKind::For | TokenKind::While | TokenKind::Fn | TokenKind::Layer));
        match found {
            _ if first == Some(TokenKind::AttributeAt) => error.note(
                "a line that begins with `@` opens an attribute; to continue a product, end the line above with `@`",
            ),
            Some(TokenKind::Comma) if matches!(first, Some(TokenKind::Let | TokenKind::For)) => {
                self.advise_tuple(error)
            }
            Some(TokenKind::Comma) if first == Some(TokenKind::Name) => self.advise_tuple(error),
            Some(TokenKind::Colon) if head => error.note("blocks stand in braces: `if condition { ... }`"),
            Some(TokenKind::Colon) if self.can("else") || self.before() == Some("else") => {
                error.note("blocks stand in braces: `else { ... }`")
            }
            Some(TokenKind::Assign) if matches!(first, Some(TokenKind::If | TokenKind::While)) => {
                error.note("to compare, write `==`").fix("compare with `==`", vec![(self.span(), "==".into())])
            }
            Some(TokenKind::If) if self.can("int") => error
                .note("an `if` that is part of a larger expression needs parentheses: `1 + (if c { a } else { b })`"),
            Some(TokenKind::Not) if self.can("int") => error.note("put the `not` in parentheses: `a == (not b)`"),
            Some(TokenKind::DotDot) => error.note("a range `a..b` stands only after `in`"),
            Some(TokenKind::Question) => error.note("`?` is a dim that is not known; it stands in types only"),
            Some(kind) if begins_operand(kind) && self.wants_between(":") => self.insert_before(error, ":"),
            Some(kind) if begins_operand(kind) && self.wants_between(",") => self.insert_before(error, ","),
            Some(TokenKind::Less) if matches!(first, Some(TokenKind::Fn | TokenKind::Layer)) => {
                error.note("type parameters stand in square brackets: `fn f[T](x: T)`")
            }
            Some(TokenKind::Name) if self.can("+") && self.can("end") => {
                error.note("put the next statement on a line of its own, or an operator between the two")
            }
            Some(kind) if self.can("name") && is_keyword(kind) && self.before().is_some() => {
                error.note(format!("`{}` is a keyword and cannot be a name here", self.slice(self.at)))
            }
            _ => error,
        }
    }

    /// Replaces a token.
    fn replace(&self, error: SyntaxError, index: usize, text: &str) -> SyntaxError {
        match self.tokens.get(index) {
            Some(token) => error.fix(format!("write `{text}`"), vec![(Span::new(token.0, token.2), text.into())]),
            None => error,
        }
    }

    /// Whether a mark between two operands of a bracketed list is what is missing: both on one line, and a `:`
    /// only after a name.
    fn wants_between(&self, mark: &str) -> bool {
        let Some(before) = self.at.checked_sub(1).and_then(|index| self.tokens.get(index)) else { return false };
        let gap = self.tokens.get(self.at).and_then(|token| self.text.get(before.2 as usize..token.0 as usize));
        let closes = self.can(")") || self.can("]") || self.can("use}") || self.can(":");
        let named = mark != ":" || before.1 == TokenKind::Name && !self.can("+");
        self.can(mark) && closes && named && gap.is_some_and(|gap| !gap.contains('\n'))
    }

    fn insert_before(&self, error: SyntaxError, mark: &str) -> SyntaxError {
        match self.at.checked_sub(1).and_then(|index| self.tokens.get(index)) {
            Some(before) => {
                let end = Span::new(before.2, before.2);
                error.fix(format!("write `{mark}` between the two"), vec![(end, mark.to_string())])
            }
            None => error,
        }
    }

    /// `let a, b = e` and `for i, x in xs`: the names want parentheses.
    fn advise_tuple(&self, error: SyntaxError) -> SyntaxError {
        let error = error.note(match self.first_kind() {
            Some(TokenKind::Let) => "several names stand in parentheses: `let (a, b) = ...`",
            Some(TokenKind::For) => "several names stand in parentheses: `for (a, b) in ...`",
            _ => "several targets stand in parentheses: `(a, b) = ...`",
        });
        let skip = usize::from(self.first_kind() != Some(TokenKind::Name));
        let begin = self.statement.start + skip;
        let is_list = |token: &Lexed| matches!(token.1, TokenKind::Name | TokenKind::Underscore | TokenKind::Comma);
        let length = self.tokens[begin..self.statement.end].iter().take_while(|token| is_list(token)).count();
        let follows = self.tokens.get(begin + length).map(|token| token.1);
        if length < 2 || !matches!(follows, Some(TokenKind::Assign | TokenKind::In)) {
            return error;
        }
        let (from, to) = (self.tokens[begin].0, self.tokens[begin + length - 1].2);
        let edits = vec![(Span::new(from, from), "(".into()), (Span::new(to, to), ")".into())];
        error.fix("put the names in parentheses", edits)
    }
}

fn is_keyword(kind: TokenKind) -> bool {
    use TokenKind::*;
    matches!(kind, Let | Return | For | While | Assert | Fn | If | Else | In | And | Or | Not | True | False | None)
}

fn begins_operand(kind: TokenKind) -> bool {
    use TokenKind::*;
    matches!(kind, Name | Int | Float | Str | LeftParen | LeftBracket | True | False | None)
}

/// Words that begin a statement, an item or a member.
const KEYWORDS: [&str; 16] = [
    "let", "return", "for", "while", "assert", "fn", "layer", "use", "const", "type", "test", "param", "buffer",
    "state", "if", "else",
];

/// Words that stand inside of a statement and are long enough to be misspelt.
const INNER_KEYWORDS: [&str; 5] = ["where", "else", "and", "not", "or"];

/// The keyword that a statement was to begin with, where its first word is nearly one.
pub fn misspelt_keyword(word: &str) -> Option<&'static str> {
    if word.len() < 3 {
        return None;
    }
    nearest(word, KEYWORDS.iter().copied()).filter(|near| near.certain).map(|near| near.name)
}

/// The keyword that stands for a word of other languages.
fn own_keyword(word: &str) -> Option<&'static str> {
    Some(match word {
        "def" | "func" | "function" | "fun" => "fn",
        "class" | "struct" => "layer",
        "var" | "mut" | "auto" | "val" => "let",
        _ => return None,
    })
}

/// What to write instead of a word that other languages use.
pub fn foreign_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "def" | "func" | "function" | "fun" => "functions are declared as `fn name(x: T) -> T { ... }`",
        "class" | "struct" => "layers are declared as `layer Name(size: int) { ... }`",
        "import" | "from" | "include" => "modules are brought in as `use nn.{Linear}`",
        "elif" => "write `else if`",
        "var" | "mut" | "auto" | "val" => "variables are declared as `let x = ...`",
        "lambda" => "there are no nameless functions; declare a `fn`, or write `f(_, k=2)`",
        "pass" => "an empty block is `{ }`",
        "break" | "continue" => "loops run to their end; use `while` with a condition, or an `if` in the body",
        "try" | "with" | "raise" | "del" | "yield" | "async" | "await" | "switch" | "match" | "do" => {
            "this word of other languages has no meaning in Tri"
        }
        _ => return None,
    })
}
