//! Matrix products for the reference evaluations: floats through the `matrixmultiply` crate, integers by
//! a plain loop that wraps.
//!
//! Operands of different element types are first brought to one storage class ([`Pair::of`]); a result is
//! rounded or wrapped to its element type once, at the end ([`finish`]).

use crate::ops::storage::Element;
use crate::types::tensor::{Data, round_f32, wrap};
use crate::types::{DType, Elem, Tensor};
use std::borrow::Cow;

/// A strided matrix in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Row-major, at the beginning of `data`.
    ///
    /// # Panics
    /// If the slice is too short: an error in the caller.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        Matrix::strided(data, rows, columns, columns, 1)
    }

    /// Of these sizes, from data in which rows and columns may be exchanged.
    ///
    /// # Panics
    /// If the slice is too short: an error in the caller.
    pub fn lying(data: &'a [T], rows: usize, columns: usize, transposed: bool) -> Self {
        if transposed { Matrix::new(data, columns, rows).transposed() } else { Matrix::new(data, rows, columns) }
    }

    /// With strides in elements.
    ///
    /// # Panics
    /// If the slice is too short: an error in the caller.
    pub fn strided(data: &'a [T], rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> Self {
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * row_stride + (columns - 1) * column_stride;
            assert!(last < data.len(), "a matrix must lie inside its slice");
        }
        Matrix { data, rows, columns, row_stride, column_stride }
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Numbers that matrices are made of.
pub trait Number: Element {
    /// Sum; integers wrap.
    fn plus(self, other: Self) -> Self;

    /// `out = a @ b`, row-major.
    ///
    /// # Panics
    /// If the inner sizes differ or `out` has another size: an error in the caller.
    fn multiply(a: Matrix<'_, Self>, b: Matrix<'_, Self>, out: &mut [Self]);
}

fn check_sizes<T>(a: &Matrix<'_, T>, b: &Matrix<'_, T>, out: &[T]) {
    assert_eq!(a.columns, b.rows, "inner sizes of a matrix product must agree");
    assert_eq!(a.rows * b.columns, out.len(), "the result of a matrix product must fill its slice");
}

macro_rules! float_number {
    ($type:ty, $gemm:path) => {
        impl Number for $type {
            fn plus(self, other: Self) -> Self {
                self + other
            }

            fn multiply(a: Matrix<'_, Self>, b: Matrix<'_, Self>, out: &mut [Self]) {
                check_sizes(&a, &b, out);
                // SAFETY: `Matrix::strided` has checked that every element lies inside its slice,
                // `check_sizes` that `out` holds rows * columns elements; `out` is borrowed mutably, so
                // it overlaps neither operand. With beta = 0 the old contents of `out` are not read.
                unsafe {
                    $gemm(
                        a.rows,
                        a.columns,
                        b.columns,
                        1.0,
                        a.data.as_ptr(),
                        a.row_stride as isize,
                        a.column_stride as isize,
                        b.data.as_ptr(),
                        b.row_stride as isize,
                        b.column_stride as isize,
                        0.0,
                        out.as_mut_ptr(),
                        b.columns as isize,
                        1,
                    );
                }
            }
        }
    };
}

float_number!(f32, matrixmultiply::sgemm);
float_number!(f64, matrixmultiply::dgemm);

impl Number for i64 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn multiply(a: Matrix<'_, Self>, b: Matrix<'_, Self>, out: &mut [Self]) {
        check_sizes(&a, &b, out);
        out.fill(0);
        if b.columns == 0 {
            return;
        }
        for (row, sums) in out.chunks_mut(b.columns).enumerate() {
            for inner in 0..a.columns {
                let factor = a.data[row * a.row_stride + inner * a.column_stride];
                let start = inner * b.row_stride;
                if b.column_stride == 1 {
                    for (sum, &value) in sums.iter_mut().zip(&b.data[start..start + b.columns]) {
                        *sum = sum.wrapping_add(factor.wrapping_mul(value));
                    }
                } else {
                    for (column, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.wrapping_add(factor.wrapping_mul(b.data[start + column * b.column_stride]));
                    }
                }
            }
        }
    }
}

/// The element type of a product of these two, where there is one: floats among themselves and with the
/// quantised types give the float; quantised types among themselves give `int32`; other integers
/// multiply with their own type only.
pub fn product_elem(a: &Elem, b: &Elem) -> Option<Elem> {
    let quantised = |elem: &Elem| matches!(elem.known(), Some(DType::Trit | DType::Int4 | DType::Int8));
    if quantised(a) && quantised(b) {
        return Some(DType::Int32.into());
    }
    if a.is_float() && quantised(b) || a == b && a.is_num() {
        return Some(a.clone());
    }
    (b.is_float() && quantised(a)).then(|| b.clone())
}

/// [`product_elem`] for known types.
pub fn product_dtype(a: DType, b: DType) -> Option<DType> {
    product_elem(&a.into(), &b.into())?.known()
}

/// Two operands in one storage class.
pub enum Pair<'a> {
    F32(Cow<'a, [f32]>, Cow<'a, [f32]>),
    F64(Cow<'a, [f64]>, Cow<'a, [f64]>),
    I64(&'a [i64], &'a [i64]),
}

impl<'a> Pair<'a> {
    /// Brings both to the class in which a product of type `result` is computed.
    pub fn of(a: &'a Tensor, b: &'a Tensor, result: DType) -> Pair<'a> {
        match result {
            DType::Float64 => Pair::F64(doubles(a), doubles(b)),
            _ if result.is_float() => Pair::F32(singles(a), singles(b)),
            _ => Pair::I64(i64::slice(a.data()), i64::slice(b.data())),
        }
    }
}

/// The values as `f32`; quantised codes are small integers, so this is exact for them.
pub fn singles(tensor: &Tensor) -> Cow<'_, [f32]> {
    match tensor.data() {
        Data::F32(values) => Cow::Borrowed(values),
        Data::F64(values) => values.iter().map(|&v| v as f32).collect(),
        Data::I64(values) => values.iter().map(|&v| v as f32).collect(),
    }
}

fn doubles(tensor: &Tensor) -> Cow<'_, [f64]> {
    match tensor.data() {
        Data::F64(values) => Cow::Borrowed(values),
        _ => Cow::Owned(tensor.to_f64()),
    }
}

/// Rounds or wraps computed values to their element type, once.
pub fn finish(dtype: DType, shape: Vec<usize>, mut data: Data) -> Tensor {
    match &mut data {
        Data::F32(values) if dtype != DType::Float32 => {
            values.iter_mut().for_each(|v| *v = round_f32(dtype, *v));
        }
        Data::I64(values) => values.iter_mut().for_each(|v| *v = wrap(dtype, *v)),
        Data::F32(_) | Data::F64(_) => {}
    }
    Tensor::new(dtype, shape, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_each_class() {
        let (a, b) = ([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0f32, 0.0, 2.0, 1.0, 0.0, 3.0]);
        let mut out = [0.0; 4];
        f32::multiply(Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), &mut out);
        assert_eq!(out, [5.0, 11.0, 14.0, 23.0]);
        // The same through a transposed view, as integers.
        let (a, b) = ([1, 2, 3, 4, 5, 6], [1, 2, 0, 0, 1, 3]);
        let mut out = [7; 4];
        i64::multiply(Matrix::new(&a, 2, 3), Matrix::new(&b, 2, 3).transposed(), &mut out);
        assert_eq!(out, [5, 11, 14, 23]);
    }

    #[test]
    fn empty_inner_size_gives_zeros() {
        let mut out = [9.0f64; 2];
        f64::multiply(Matrix::new(&[], 1, 0), Matrix::new(&[], 0, 2), &mut out);
        assert_eq!(out, [0.0, 0.0]);
    }

    #[test]
    fn product_types() {
        use DType::*;
        assert_eq!(product_dtype(Float16, Trit), Some(Float16));
        assert_eq!(product_dtype(Int8, Float32), Some(Float32));
        assert_eq!(product_dtype(Int8, Trit), Some(Int32));
        assert_eq!(product_dtype(Int8, Int8), Some(Int32));
        assert_eq!(product_dtype(Int16, Int16), Some(Int16));
        assert_eq!(product_dtype(Float16, Float32), None);
        assert_eq!(product_dtype(Int32, Int8), None);
        assert_eq!(product_dtype(Bool, Bool), None);
    }
}
