//! Why a tensor could not be quantised, restored, packed or unpacked. The caller knows its name.

use crate::types::DType;
use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub enum QuantError {
    /// NaN or infinity at this flat index.
    NotFinite {
        index: usize,
        value: f64,
    },
    /// Only floats are quantised.
    NotFloat(DType),
    Axis {
        axis: i64,
        rank: usize,
    },
    /// The group does not divide the last dim.
    Group {
        group: i64,
        size: usize,
    },
    /// A scalar has no last axis.
    Scalar,
    /// A scheme whose options do not go together.
    Scheme(String),
    /// Stochastic rounding draws from an explicit seed.
    SeedMissing,
    /// The scale of this slice is beyond the scale's element type.
    ScaleOverflow {
        slice: usize,
        dtype: DType,
    },
    /// Codes, scale and zero point do not belong together.
    Mismatch(String),
    /// A scale that is given and is not a positive number; NaN stands where nothing was calibrated.
    Uncalibrated(f64),
    /// The packed format does not hold this element type.
    Format {
        format: &'static str,
        dtype: DType,
    },
    /// A code, at a flat index, that the format cannot hold.
    Code {
        index: usize,
        code: i64,
    },
    /// A byte, at a flat index, that no packing gives.
    Byte {
        index: usize,
        byte: i64,
        format: &'static str,
    },
    /// The last dim of packed bytes is not what `size` codes take.
    PackedSize {
        found: usize,
        wanted: usize,
        size: usize,
        format: &'static str,
    },
}

impl fmt::Display for QuantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuantError::NotFinite { index, value } => write!(f, "element {index} is {value}, which has no code"),
            QuantError::NotFloat(dtype) => write!(f, "only floats can be quantised, not {dtype}"),
            QuantError::Axis { axis, rank } => write!(f, "axis {axis} is out of range for rank {rank}"),
            QuantError::Group { group, size } => {
                write!(f, "a group of {group} does not divide the last dim of size {size}")
            }
            QuantError::Scalar => f.write_str("a scalar has no last axis to divide or pack"),
            QuantError::Scheme(problem) => f.write_str(problem),
            QuantError::SeedMissing => f.write_str("stochastic rounding needs a seed"),
            QuantError::ScaleOverflow { slice, dtype } => write!(f, "the scale of slice {slice} does not fit {dtype}"),
            QuantError::Mismatch(problem) => f.write_str(problem),
            QuantError::Uncalibrated(scale) if scale.is_nan() => {
                f.write_str("these activations have no scale; `tritonc quantize --calibrate` finds one")
            }
            QuantError::Uncalibrated(scale) => write!(f, "a scale must be a positive number, not {scale}"),
            QuantError::Format { format, dtype } => write!(f, "the format {format} does not hold {dtype} codes"),
            QuantError::Code { index, code } => write!(f, "code {code} at element {index} is out of range"),
            QuantError::Byte { index, byte, format } => write!(f, "byte {byte} at {index} is not valid {format}"),
            QuantError::PackedSize { found, wanted, size, format } => {
                write!(f, "{size} codes in {format} take {wanted} bytes a row, not {found}")
            }
        }
    }
}

impl std::error::Error for QuantError {}
