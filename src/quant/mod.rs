//! Quantisation: schemes, codes and packed storage. The meaning of each scheme is in docs/numerics.md.

pub mod codes;
pub mod error;
pub mod gptq;
pub mod observe;
pub mod pack;
pub mod scheme;
pub mod stored;
pub mod stream;

pub use codes::{Blocks, Encoder, Quantized, dequantize, quantize, quantize_with};
pub use error::QuantError;
pub use scheme::{Quantization, Scheme, SchemeKind, Ste, TernaryRule};
pub use stored::{Part, StoredPart, stored_parts};
