//! Element types, symbolic dimensions, shapes and what is known about them. Pure data and functions.
//!
//! A [`Dim`](dim::Dim) is an integer polynomial in normal form over symbols, with `//`, `%`, `**`, `min`
//! and `max` as atoms. [`Facts`](facts::Facts) decide whether two dims are provably equal.

pub mod dim;
pub mod display;
pub mod dtype;
pub mod facts;
pub mod host;
pub mod saved;
pub mod shape;
pub mod tensor;

pub use dim::{Dim, Symbol};
pub use dtype::{Bound, DType, Elem};
pub use facts::{Facts, Verdict};
pub use host::{HostExpr, HostFn, HostOp, HostValue};
pub use shape::{Pack, Shape, TensorType};
pub use tensor::Tensor;
