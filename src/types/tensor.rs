//! Tensor values, as the interpreter and the weight readers hold them.
//!
//! Three storage classes are enough for a reference: `float16` and `bfloat16` values are kept as `f32`
//! that the element type can represent, and every integer, `bool`, `trit` and `int4` as `i64`
//! (`uint64` by its bits). Row-major, always contiguous.

use crate::types::dtype::DType;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
}

impl Data {
    pub fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::F64(v) => v.len(),
            Data::I64(v) => v.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An n-dimensional array. Cloning shares the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    data: Arc<Data>,
}

impl Tensor {
    /// Wraps data whose length is the product of `shape` and whose class fits `dtype`. Values are taken
    /// to be representable in `dtype`; see [`Tensor::from_f64`] for rounding.
    ///
    /// # Panics
    /// If the length or the class does not fit: an error in the caller.
    pub fn new(dtype: DType, shape: Vec<usize>, data: Data) -> Tensor {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "tensor data must fill its shape");
        let fits = match &data {
            Data::F32(_) => dtype.is_float() && dtype != DType::Float64,
            Data::F64(_) => dtype == DType::Float64,
            Data::I64(_) => !dtype.is_float(),
        };
        assert!(fits, "tensor data must be of its element type's storage class");
        Tensor { dtype, shape, data: Arc::new(data) }
    }

    pub fn from_f32(shape: Vec<usize>, values: Vec<f32>) -> Tensor {
        Tensor::new(DType::Float32, shape, Data::F32(values))
    }

    pub fn from_i64(dtype: DType, shape: Vec<usize>, values: Vec<i64>) -> Tensor {
        Tensor::new(dtype, shape, Data::I64(values))
    }

    /// Converts each value to `dtype` as a cast does: floats round to nearest even, integers saturate
    /// and NaN becomes 0.
    pub fn from_f64(dtype: DType, shape: Vec<usize>, values: impl IntoIterator<Item = f64>) -> Tensor {
        let data = match dtype {
            DType::Float64 => Data::F64(values.into_iter().collect()),
            _ if dtype.is_float() => Data::F32(values.into_iter().map(|v| round_f64(dtype, v)).collect()),
            DType::Bool => Data::I64(values.into_iter().map(|v| i64::from(v != 0.0)).collect()),
            _ => Data::I64(values.into_iter().map(|v| saturate(dtype, v)).collect()),
        };
        Tensor::new(dtype, shape, data)
    }

    pub fn scalar_i64(value: i64) -> Tensor {
        Tensor::from_i64(DType::Int64, vec![], vec![value])
    }

    pub fn filled(dtype: DType, shape: Vec<usize>, value: f64) -> Tensor {
        let count = shape.iter().product();
        Tensor::from_f64(dtype, shape, std::iter::repeat_n(value, count))
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    pub fn len(&self) -> usize {
        self.data.len()
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The data for writing, copied first if it is shared.
    pub fn data_mut(&mut self) -> &mut Data {
        Arc::make_mut(&mut self.data)
    }

    /// Overwrites the block that begins at `first` and has these sizes, with as many values of the same type.
    pub fn write_block(&mut self, first: &[usize], sizes: &[usize], values: &Tensor) {
        debug_assert_eq!(self.dtype, values.dtype, "a block has the type of its tensor");
        let strides = self.strides();
        // Runs of the last axis lie side by side.
        let run = sizes.last().copied().unwrap_or(1);
        let outer = sizes.split_last().map_or(&[][..], |(_, outer)| outer);
        let mut index = vec![0; outer.len()];
        let data = Arc::make_mut(&mut self.data);
        for source in (0..values.len()).step_by(run.max(1)) {
            let offsets = index.iter().zip(first).zip(&strides).map(|((i, f), stride)| (i + f) * stride);
            let target = offsets.sum::<usize>() + first.last().copied().unwrap_or(0);
            match (&mut *data, &*values.data) {
                (Data::F32(to), Data::F32(from)) => {
                    to[target..target + run].copy_from_slice(&from[source..source + run])
                }
                (Data::F64(to), Data::F64(from)) => {
                    to[target..target + run].copy_from_slice(&from[source..source + run])
                }
                (Data::I64(to), Data::I64(from)) => {
                    to[target..target + run].copy_from_slice(&from[source..source + run])
                }
                _ => return,
            }
            for axis in (0..outer.len()).rev() {
                index[axis] += 1;
                if index[axis] < outer[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    }

    /// The same data under another shape of as many elements.
    pub fn reshaped(&self, shape: Vec<usize>) -> Tensor {
        assert_eq!(shape.iter().product::<usize>(), self.len(), "reshape must keep the number of elements");
        Tensor { dtype: self.dtype, shape, data: self.data.clone() }
    }

    /// One element as a double (exact but for 64-bit integers beyond 2^53).
    pub fn get_f64(&self, index: usize) -> f64 {
        match &*self.data {
            Data::F32(v) => f64::from(v[index]),
            Data::F64(v) => v[index],
            Data::I64(v) if self.dtype == DType::UInt64 => v[index] as u64 as f64,
            Data::I64(v) => v[index] as f64,
        }
    }

    /// All elements as doubles.
    pub fn to_f64(&self) -> Vec<f64> {
        (0..self.len()).map(|i| self.get_f64(i)).collect()
    }

    pub fn as_i64(&self) -> Option<&[i64]> {
        match &*self.data {
            Data::I64(v) => Some(v),
            _ => None,
        }
    }

    pub fn as_f32(&self) -> Option<&[f32]> {
        match &*self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> Vec<usize> {
        strides(&self.shape)
    }
}

/// Row-major strides of a shape, in elements.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Rounds to a float type other than `float64`, ties to even.
pub fn round_f64(dtype: DType, value: f64) -> f32 {
    match dtype {
        DType::Float16 => half::f16::from_f64(value).to_f32(),
        DType::BFloat16 => half::bf16::from_f64(value).to_f32(),
        _ => value as f32,
    }
}

/// Rounds an `f32` result to its element type.
pub fn round_f32(dtype: DType, value: f32) -> f32 {
    match dtype {
        DType::Float16 => half::f16::from_f32(value).to_f32(),
        DType::BFloat16 => half::bf16::from_f32(value).to_f32(),
        _ => value,
    }
}

/// Float to integer as `.to(...)` does: toward zero, saturating, NaN to 0.
pub fn saturate(dtype: DType, value: f64) -> i64 {
    if dtype == DType::UInt64 {
        return value as u64 as i64;
    }
    let (low, high) = dtype.int_range().unwrap_or((i128::from(i64::MIN), i128::from(i64::MAX)));
    (value as i128).clamp(low, high) as i64
}

/// Wraps an integer result into its element type's range.
pub fn wrap(dtype: DType, value: i64) -> i64 {
    match dtype {
        DType::Bool => i64::from(value != 0),
        DType::Int64 | DType::UInt64 => value,
        _ => {
            let bits = dtype.bits().min(63);
            let low = value & ((1i64 << bits) - 1);
            let negative = !dtype.is_unsigned() && low >> (bits - 1) & 1 == 1;
            if negative { low - (1i64 << bits) } else { low }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_and_casts_saturate() {
        assert_eq!(wrap(DType::Int8, 200), -56);
        assert_eq!(wrap(DType::UInt8, -1), 255);
        assert_eq!(wrap(DType::Int32, 1 << 31), -(1 << 31));
        assert_eq!(saturate(DType::Int8, 1e9), 127);
        assert_eq!(saturate(DType::UInt8, f64::NAN), 0);
        assert_eq!(saturate(DType::Int32, -2.9), -2);
    }

    #[test]
    fn blocks_are_overwritten() {
        let mut x = Tensor::filled(DType::Int64, vec![2, 3, 4], 0.0);
        let shared = x.clone();
        let block = Tensor::from_i64(DType::Int64, vec![2, 1, 2], vec![1, 2, 3, 4]);
        x.write_block(&[0, 1, 2], &[2, 1, 2], &block);
        let written: Vec<usize> = (0..24).filter(|i| x.get_f64(*i) != 0.0).collect();
        assert_eq!(written, [6, 7, 18, 19]);
        assert_eq!(x.as_i64().unwrap()[18], 3);
        assert!(shared.as_i64().unwrap().iter().all(|v| *v == 0), "a shared tensor keeps its values");
        let mut scalar = Tensor::scalar_i64(1);
        scalar.write_block(&[], &[], &Tensor::scalar_i64(5));
        assert_eq!(scalar.as_i64(), Some(&[5][..]));
    }

    #[test]
    fn half_types_round_to_even() {
        assert_eq!(round_f64(DType::BFloat16, 1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(round_f64(DType::Float16, 2049.0), 2048.0);
    }
}
