//! From text to syntax trees: tokens, layout, items, parser. No salsa here.

pub mod ast;
