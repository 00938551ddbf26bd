//! Tests of the way from text to tree. `corpus.tri` is a program that uses most of the language.

mod errors;
mod limits;
mod mutation;
mod pages;
mod resplit;
mod trees;

use super::{parse_item, print, split};
use crate::syntax::error::SyntaxError;

/// The language page's example, and a program that uses the rest of the language.
pub const CORPUS: &str = include_str!("corpus.tri");

/// Splits and parses a whole file: the printed trees, and errors with absolute spans.
pub fn parse_file(text: &str) -> (String, Vec<SyntaxError>) {
    let mut trees = String::new();
    let mut errors = vec![];
    for item in split(text) {
        let parsed = parse_item(&text[item.span.start as usize..item.span.end as usize]);
        trees.push_str(&print::ast(&parsed.ast));
        errors.extend(parsed.errors.into_iter().map(|mut error| {
            error.span = error.span.offset_by(item.span.start);
            error
        }));
    }
    (trees, errors)
}

/// The printed trees of a file without mistakes.
pub fn trees(text: &str) -> String {
    let (trees, errors) = parse_file(text);
    assert!(errors.is_empty(), "{errors:#?}");
    trees
}

/// A generator of numbers that gives the same ones each time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}
