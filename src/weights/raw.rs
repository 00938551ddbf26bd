//! Elements as files hold them: little-endian bytes, row-major. They are moved about (transposed, joined, cut)
//! without being decoded, so that a tensor that was mapped from a file takes memory for what is made of it only.

use crate::types::tensor::{Data, strides};
use crate::types::{DType, Tensor};
use std::borrow::Cow;

/// A tensor that is not decoded yet. `bytes` holds as many whole elements as the shape says.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw<'a> {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Raw<'a> {
    /// # Panics
    /// If the bytes do not fill the shape: readers check that first.
    pub fn new(dtype: DType, shape: Vec<usize>, bytes: impl Into<Cow<'a, [u8]>>) -> Raw<'a> {
        let bytes = bytes.into();
        let count = element_count(&shape, stored_size(dtype));
        assert_eq!(count.map(|count| count * stored_size(dtype)), Some(bytes.len()), "bytes must fill their shape");
        Raw { dtype, shape, bytes }
    }

    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of one element.
    pub fn size(&self) -> usize {
        stored_size(self.dtype)
    }

    /// The number of elements.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.size()
    }

    /// The same, with bytes of its own.
    pub fn into_owned(self) -> Raw<'static> {
        Raw { bytes: Cow::Owned(self.bytes.into_owned()), ..self }
    }

    pub fn decode(&self) -> Tensor {
        Tensor::new(self.dtype, self.shape.clone(), elements(self.dtype, &self.bytes))
    }

    /// Elements `from .. to` of the flat order, as `float32`. Integers that it cannot hold are rounded.
    pub fn floats(&self, from: usize, to: usize) -> Vec<f32> {
        match elements(self.dtype, &self.bytes[from * self.size()..to * self.size()]) {
            Data::F32(values) => values,
            Data::F64(values) => values.into_iter().map(|value| value as f32).collect(),
            Data::I64(values) => values.into_iter().map(|value| value as f32).collect(),
        }
    }

    /// The axes in another order; `axes` is a permutation of them.
    pub fn transposed(&self, axes: &[usize]) -> Raw<'static> {
        let size = self.size();
        let steps = strides(&self.shape);
        let shape: Vec<usize> = axes.iter().map(|axis| self.shape[*axis]).collect();
        let steps: Vec<usize> = axes.iter().map(|axis| steps[*axis] * size).collect();
        let mut index = vec![0usize; shape.len()];
        let mut at = 0;
        let mut bytes = Vec::with_capacity(self.bytes.len());
        while bytes.len() < self.bytes.len() {
            bytes.extend_from_slice(&self.bytes[at..at + size]);
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                at += steps[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= steps[axis] * shape[axis];
                index[axis] = 0;
            }
        }
        Raw::new(self.dtype, shape, bytes)
    }

    /// Elements `from .. to` of an axis.
    pub fn part(&self, axis: usize, from: usize, to: usize) -> Raw<'static> {
        let run = self.shape[axis + 1..].iter().product::<usize>() * self.size();
        let whole = run * self.shape[axis];
        let mut shape = self.shape.clone();
        shape[axis] = to - from;
        let rows = self.bytes.chunks(whole.max(1)).map(|row| &row[run * from..run * to]);
        Raw::new(self.dtype, shape, rows.collect::<Vec<_>>().concat())
    }
}

/// A tensor that is put together from others along an axis, one at a time, so that none but the whole is kept.
pub struct Joining {
    dtype: DType,
    shape: Vec<usize>,
    axis: usize,
    bytes: Vec<u8>,
    /// How much of the axis is filled.
    filled: usize,
}

impl Joining {
    /// The whole will have this shape.
    pub fn new(dtype: DType, shape: &[usize], axis: usize) -> Joining {
        let count: usize = shape.iter().product();
        Joining { dtype, shape: shape.to_vec(), axis, bytes: vec![0; count * stored_size(dtype)], filled: 0 }
    }

    /// Adds a part: of the whole's element type, and of its shape but for the axis, of which it has `size` elements.
    pub fn add(&mut self, part: &Raw<'_>, size: usize) {
        let run = self.shape[self.axis + 1..].iter().product::<usize>() * stored_size(self.dtype);
        let (whole, own, at) = (run * self.shape[self.axis], run * size, run * self.filled);
        if own > 0 {
            for (row, part) in self.bytes.chunks_mut(whole).zip(part.bytes.chunks(own)) {
                row[at..at + own].copy_from_slice(part);
            }
        }
        self.filled += size;
    }

    pub fn finish(self) -> Raw<'static> {
        Raw::new(self.dtype, self.shape, self.bytes)
    }
}

impl From<&Tensor> for Raw<'static> {
    fn from(tensor: &Tensor) -> Raw<'static> {
        Raw::new(tensor.dtype(), tensor.shape().to_vec(), element_bytes(tensor))
    }
}

/// The number of elements, if it and the number of bytes can be counted at all.
pub(super) fn element_count(shape: &[usize], bytes_each: usize) -> Option<usize> {
    // A size of 0 must not hide that the others overflow: strides are computed from them.
    let nonzero = shape.iter().filter(|n| **n > 0).try_fold(1usize, |product, n| product.checked_mul(*n))?;
    nonzero.checked_mul(bytes_each)?;
    Some(if shape.contains(&0) { 0 } else { nonzero })
}

/// Elements of a little-endian buffer that holds whole ones.
fn elements(dtype: DType, bytes: &[u8]) -> Data {
    macro_rules! each {
        ($type:ty) => {
            bytes.as_chunks().0.iter().map(|chunk| <$type>::from_le_bytes(*chunk))
        };
    }
    match dtype {
        DType::Bool => Data::I64(bytes.iter().map(|b| i64::from(*b != 0)).collect()),
        DType::UInt8 => Data::I64(bytes.iter().map(|b| i64::from(*b)).collect()),
        DType::Int8 | DType::Trit | DType::Int4 => Data::I64(bytes.iter().map(|b| i64::from(*b as i8)).collect()),
        DType::Int16 => Data::I64(each!(i16).map(i64::from).collect()),
        DType::UInt16 => Data::I64(each!(u16).map(i64::from).collect()),
        DType::Int32 => Data::I64(each!(i32).map(i64::from).collect()),
        DType::UInt32 => Data::I64(each!(u32).map(i64::from).collect()),
        DType::Int64 => Data::I64(each!(i64).collect()),
        DType::UInt64 => Data::I64(each!(u64).map(|v| v as i64).collect()),
        DType::Float16 => Data::F32(each!(u16).map(|v| half::f16::from_bits(v).to_f32()).collect()),
        DType::BFloat16 => Data::F32(each!(u16).map(|v| half::bf16::from_bits(v).to_f32()).collect()),
        DType::Float32 => Data::F32(each!(f32).collect()),
        DType::Float64 => Data::F64(each!(f64).collect()),
    }
}

/// The little-endian bytes of a tensor's elements, `trit` and `int4` a byte each.
pub(super) fn element_bytes(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(tensor.len() * stored_size(tensor.dtype()));
    match (tensor.data(), tensor.dtype()) {
        (Data::F32(values), DType::Float16) => {
            values.iter().for_each(|v| bytes.extend(half::f16::from_f32(*v).to_le_bytes()));
        }
        (Data::F32(values), DType::BFloat16) => {
            values.iter().for_each(|v| bytes.extend(half::bf16::from_f32(*v).to_le_bytes()));
        }
        (Data::F32(values), _) => values.iter().for_each(|v| bytes.extend(v.to_le_bytes())),
        (Data::F64(values), _) => values.iter().for_each(|v| bytes.extend(v.to_le_bytes())),
        (Data::I64(values), dtype) => {
            let size = stored_size(dtype);
            values.iter().for_each(|v| bytes.extend(&v.to_le_bytes()[..size]));
        }
    }
    bytes
}

/// Bytes of one element in a file.
pub(super) fn stored_size(dtype: DType) -> usize {
    (dtype.bits() as usize).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(shape: &[usize]) -> Raw<'static> {
        let count: usize = shape.iter().product();
        Raw::from(&Tensor::from_i64(DType::Int16, shape.to_vec(), (0..count as i64).collect()))
    }

    fn values(raw: &Raw<'_>) -> Vec<i64> {
        raw.decode().as_i64().unwrap().to_vec()
    }

    #[test]
    fn axes_change_places() {
        let turned = counting(&[2, 3]).transposed(&[1, 0]);
        assert_eq!((turned.shape(), values(&turned)), (&[3, 2][..], vec![0, 3, 1, 4, 2, 5]));
        let turned = counting(&[2, 1, 3]).transposed(&[2, 0, 1]);
        assert_eq!((turned.shape(), values(&turned)), (&[3, 2, 1][..], vec![0, 3, 1, 4, 2, 5]));
        assert_eq!(counting(&[2, 0]).transposed(&[1, 0]).shape(), [0, 2]);
    }

    #[test]
    fn parts_and_joins_are_inverse() {
        let whole = counting(&[2, 5, 3]);
        for axis in 0..3 {
            let size = whole.shape()[axis];
            let parts = [whole.part(axis, 0, 1), whole.part(axis, 1, size)];
            let mut joining = Joining::new(whole.dtype(), whole.shape(), axis);
            parts.iter().for_each(|part| joining.add(part, part.shape()[axis]));
            assert_eq!(joining.finish(), whole, "{axis}");
        }
        assert_eq!(values(&counting(&[2, 3]).part(1, 1, 2)), [1, 4]);
        assert_eq!(counting(&[0, 4]).part(1, 1, 3).shape(), [0, 2]);
        let mut stacked = Joining::new(DType::Int16, &[2, 2, 3], 1);
        stacked.add(&counting(&[2, 3]), 1);
        stacked.add(&counting(&[2, 3]), 1);
        assert_eq!(values(&stacked.finish()), [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]);
    }

    #[test]
    fn floats_come_a_block_at_a_time() {
        let raw = Raw::from(&Tensor::from_f64(DType::BFloat16, vec![4], [1.0, -0.5, 3.0, 2.5]));
        assert_eq!(raw.floats(1, 3), [-0.5, 3.0]);
        assert_eq!((raw.count(), raw.size()), (4, 2));
        assert_eq!(Raw::from(&Tensor::from_f64(DType::Float64, vec![1], [1e300])).floats(0, 1), [f32::INFINITY]);
    }
}
