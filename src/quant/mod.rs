//! Quantisation: schemes, codes and packed storage. The meaning of each scheme is in docs/numerics.md.

pub mod codes;
pub mod error;
pub mod pack;
pub mod scheme;
pub mod stream;

pub use codes::{Blocks, Encoder, Quantized, dequantize, quantize};
pub use error::QuantError;
pub use scheme::{Scheme, SchemeKind, Ste, TernaryRule};
