//! Checking, as salsa queries per item.
//!
//! ```text
//! SourceFile ─items─▶ Item ─parse_item─▶ tree ─interface─▶ what others see
//!                                         └────check────▶ reports, inferred types
//!                                                └──advised──▶ reports with remedies
//! ```
//! `check(item)` walks the item's own bodies with the [`elaborate`] module; of other items it reads the
//! interface, so an edit inside a body is felt in that item alone (and by those who call a function whose
//! result type is left to inference). Reports hold places relative to items; [`Project`] makes them absolute.

pub mod check;
pub mod cycles;
pub mod db;
pub mod desugar;
pub mod elaborate;
pub mod foreign;
pub mod gather;
pub mod instantiate;
pub mod interface;
pub mod locals;
pub mod modules;
pub mod pieces;
pub mod project;
pub mod recursion;
pub mod remedy;
pub mod scheme_text;
pub mod spelling;
pub mod unused;
pub mod value;
pub mod world;

#[cfg(test)]
mod tests;

pub use project::{Cancelled, Loader, Project, Snapshot};
