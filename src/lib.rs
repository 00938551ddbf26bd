//! `tritonc` compiles Tri, a small typed language for neural-network layers, to code for many targets.
//!
//! The way of the data is one line; every module is one stop on it. See ARCHITECTURE.md.

pub mod analysis;
pub mod base;
pub mod cli;
pub mod driver;
pub mod interp;
pub mod ir;
pub mod lower;
pub mod ops;
pub mod passes;
pub mod quant;
pub mod syntax;
pub mod targets;
pub mod types;
pub mod weights;
