//! Types of C for element types.

use crate::types::DType;

/// How elements lie in memory. Half floats are their bits.
pub fn memory(dtype: DType) -> &'static str {
    match dtype {
        DType::Float16 | DType::BFloat16 => "uint16_t",
        _ => carrier(dtype),
    }
}

/// The type that values are computed in. Half floats are computed as `float` and rounded after each operation.
pub fn carrier(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::Trit | DType::Int4 | DType::Int8 => "int8_t",
        DType::Int16 => "int16_t",
        DType::Int32 => "int32_t",
        DType::Int64 => "int64_t",
        DType::UInt8 => "uint8_t",
        DType::UInt16 => "uint16_t",
        DType::UInt32 => "uint32_t",
        DType::UInt64 => "uint64_t",
        DType::Float16 | DType::BFloat16 | DType::Float32 => "float",
        DType::Float64 => "double",
    }
}

/// The unsigned type in which sums and products of an integer type are taken, so that they wrap.
pub fn wrapping(dtype: DType) -> &'static str {
    if dtype.bits() == 64 { "uint64_t" } else { "uint32_t" }
}
