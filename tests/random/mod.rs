//! Random programs: what makes them ([`generate`]), what compares ([`compare`]), what makes a failing one small
//! ([`shrink`]), and what puts these together ([`hunt`]).

pub mod calls;
pub mod compare;
pub mod draw;
pub mod generate;
pub mod hunt;
pub mod items;
pub mod library;
pub mod noise;
pub mod planted;
pub mod ranges;
pub mod scope;
pub mod shrink;
pub mod statements;
pub mod targets;
pub mod tidy;
pub mod tree;
pub mod write;
