//! Python as text: an expression tree, a reader for the expressions that tables hold, and a printer whose
//! lines are broken as `ruff format` would. Every target that writes Python shares these.
//!
//! Example: the table's `{a} * {b}` reads as a product of two placeholders; with `{a}` replaced by `x + 1`
//! it prints as `(x + 1) * y`, so no table ever says where parentheses go.

pub mod expr;
pub mod parse;
pub mod print;

pub use expr::Py;
pub use parse::parse;
pub use print::{LINE_WIDTH, Lines};
