//! C as text: expressions with C's precedences, literals that read back as the same number, types, identifiers, and
//! statements with their indentation.
//!
//! Example: a sum of `x[i]` and `-2.5` is `C::binary(C::index("x", i), "+", number)` and prints as `x[i] + -2.5f`; as a
//! factor it gets its parentheses by itself.

mod expr;
mod literal;
mod statement;
mod types;
mod words;

pub use expr::C;
pub use literal::{float, integer, number, string};
pub use statement::{Statement, drop_unused, lines, print};
pub use types::{carrier, memory, wrapping};
pub use words::{Words, identifier, is_reserved};
