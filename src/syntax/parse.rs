//! The text of one item to its tree.
//!
//! The generated parser stops at the first token that it cannot take. The statement around that token is
//! then replaced by one `Failed` token and the item is parsed again, so that later mistakes are found
//! too; the generator's own recovery reopens closed blocks and would report consequences as mistakes.
//! A failed statement in which the lexer or the layout layer already reported something stays silent.

use crate::base::{Span, code};
use crate::syntax::ast::{Ast, Item, ItemKind};
use crate::syntax::build::Builder;
use crate::syntax::error::SyntaxError;
use crate::syntax::layout::{Laid, Lexed, lay_out};
use crate::syntax::message::Failure;
use crate::syntax::token::TokenKind;
use crate::syntax::{checks, tri};
use lalrpop_util::ParseError;
use std::cell::Cell;
use std::ops::Range;

/// Bytes in one file past which it is refused.
pub const MAX_FILE: usize = 64 << 20;

/// Failed statements in one item past which the rest of it is given up.
const MAX_FAILURES: usize = 40;
/// Tokens read in all attempts at one item, past which the rest of it is given up.
const MAX_WORK: usize = 20_000_000;

/// A tree, and what was wrong with its text, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    pub ast: Ast,
    pub errors: Vec<SyntaxError>,
}

/// The error of a file that is too large, if it is.
pub fn check_size(length: usize) -> Option<SyntaxError> {
    let error = || {
        SyntaxError::new(code::E0009, "this file is too large", Span::new(0, 0))
            .label(format!("{length} bytes, the limit is {MAX_FILE}"))
            .note("split it into modules, and keep large tables in files of numbers")
    };
    (length > MAX_FILE).then(error)
}

/// Parses the text of one item, as [`crate::syntax::items::split`] cuts it.
pub fn parse_item(text: &str) -> Parsed {
    if let Some(error) = check_size(text.len()) {
        return Parsed { ast: error_tree(Span::new(0, 0)), errors: vec![error] };
    }
    parse_laid(text, lay_out(text))
}

/// Parses a single expression: the tree is that of `let _ = text`, with spans that count in `text`.
pub fn parse_expr(text: &str) -> Parsed {
    if let Some(error) = check_size(text.len()) {
        return Parsed { ast: error_tree(Span::new(0, 0)), errors: vec![error] };
    }
    let mut laid = lay_out(text);
    let head = [TokenKind::Let, TokenKind::Underscore, TokenKind::Assign];
    laid.tokens.splice(0..0, head.map(|kind| (0, kind, 0)));
    parse_laid(text, laid)
}

fn error_tree(span: Span) -> Ast {
    Ast { exprs: vec![], types: vec![], item: Item { attributes: vec![], doc: None, kind: ItemKind::Error, span } }
}

fn parse_laid(text: &str, laid: Laid) -> Parsed {
    let Laid { mut tokens, mut errors, marks, docs, complete } = laid;
    let whole = Span::new(tokens.first().map_or(0, |t| t.0), tokens.last().map_or(0, |t| t.2));
    let mut ast = error_tree(whole);
    if !complete || tokens.is_empty() {
        return Parsed { ast, errors };
    }
    let parser = tri::ItemParser::new();
    let mut work = 0;
    for _ in 0..MAX_FAILURES {
        let mut builder = Builder::new(text, &docs);
        let taken = Cell::new(0);
        let input = tokens.iter().inspect(|_| taken.set(taken.get() + 1)).copied();
        let (at, expected) = match parser.parse(&mut builder, input) {
            Ok(item) => {
                let (finished, mut found) = builder.finish(item);
                ast = finished;
                errors.append(&mut found);
                errors.append(&mut checks::check(&ast, text));
                break;
            }
            Err(error) => locate(error, taken.get(), tokens.len()),
        };
        work += tokens.len();
        let failed = failed_statement(&tokens, at);
        if !already_reported(&tokens, &failed, at, &marks) {
            errors.push(Failure { text, tokens: &tokens, statement: failed.clone(), at, expected }.error());
        }
        if failed == (0..tokens.len()) || work > MAX_WORK {
            break;
        }
        let (start, end) = (tokens[failed.start].0, tokens[failed.end - 1].2);
        tokens.splice(failed, [(start, TokenKind::Failed, end)]);
    }
    errors.sort_by_key(|error| (error.span.start, error.span.end));
    Parsed { ast, errors }
}

/// The index of the token that was not taken (the number of tokens at the end), and what could stand there.
fn locate(error: ParseError<u32, TokenKind, ()>, taken: usize, length: usize) -> (usize, Vec<String>) {
    match error {
        ParseError::UnrecognizedEof { expected, .. } => (length, expected),
        ParseError::UnrecognizedToken { expected, .. } => (taken.saturating_sub(1), expected),
        ParseError::ExtraToken { .. } | ParseError::InvalidToken { .. } | ParseError::User { .. } => {
            (taken.saturating_sub(1), vec![])
        }
    }
}

/// The tokens of the innermost statement around `at`, with its terminator.
fn failed_statement(tokens: &[Lexed], at: usize) -> Range<usize> {
    let mut at = at.min(tokens.len() - 1);
    loop {
        let start = statement_start(tokens, at);
        let end = statement_end(tokens, at);
        let nothing = start == end || (end - start == 1 && tokens[start].1 == TokenKind::Failed);
        if !nothing {
            return start..end;
        }
        // Nothing to replace here, so the statement that the block belongs to is at fault.
        match start {
            0 => return 0..tokens.len(),
            _ => at = start - 1,
        }
    }
}

fn statement_start(tokens: &[Lexed], at: usize) -> usize {
    let mut depth = 0;
    let mut start = at;
    while start > 0 {
        match tokens[start - 1].1 {
            TokenKind::RightBrace => depth += 1,
            TokenKind::LeftBrace if depth == 0 => break,
            TokenKind::LeftBrace => depth -= 1,
            TokenKind::Terminator | TokenKind::Failed if depth == 0 => break,
            _ => {}
        }
        start -= 1;
    }
    start
}

fn statement_end(tokens: &[Lexed], at: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.1 {
            TokenKind::LeftBrace => depth += 1,
            TokenKind::RightBrace if depth == 0 => return index,
            TokenKind::RightBrace => depth -= 1,
            TokenKind::Terminator | TokenKind::Failed if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Whether something before the failure in the same statement was reported: then this is a consequence.
fn already_reported(tokens: &[Lexed], failed: &Range<usize>, at: usize, marks: &[u32]) -> bool {
    let start = tokens[failed.start].0;
    let end = tokens.get(at).or(tokens.last()).map_or(start, |token| token.2);
    marks.iter().any(|mark| (start..=end).contains(mark))
}
