//! Quantisation: schemes, codes and packed storage. The meaning of each scheme is in docs/numerics.md.

pub mod scheme;

pub use scheme::{Scheme, SchemeKind, Ste, TernaryRule};
