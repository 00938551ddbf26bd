//! From text to syntax trees: tokens, layout, items, parser. No salsa here.
//!
//! The way of a file: [`items::split`] cuts its text into top-level items; [`parse::parse_item`] makes a
//! tree of one item's text alone, with spans relative to it. Within that, [`token`] and [`literal`] find the tokens,
//! [`layout`] decides where statements end and makes brackets balance, the grammar (`grammar/tri.lalrpop`)
//! calls [`build`] for each node, [`message`] words what the grammar did not accept, and [`checks`] looks
//! over the finished tree. [`print`] shows tokens and trees as text, [`format`] writes a program in the one style.
//!
//! Nothing here fails: any text gives a tree, with [`ast::ItemKind::Error`] and its like where something
//! was wrong, and errors that say so. One mistake is meant to give one message.

pub mod ast;
mod brackets;
pub mod build;
mod checks;
pub mod error;
pub mod format;
pub mod items;
pub mod layout;
pub mod literal;
mod message;
pub mod parse;
pub mod print;
pub mod resplit;
pub mod token;

lalrpop_util::lalrpop_mod!(
    #[allow(clippy::all, unused, unreachable_pub)]
    tri
);

pub use error::{SyntaxError, SyntaxFix};
pub use items::{RawItem, RawKind, split};
pub use parse::{MAX_FILE, Parsed, check_size, parse_expr, parse_item};
pub use resplit::{Replaced, Split};

#[cfg(test)]
mod tests;
