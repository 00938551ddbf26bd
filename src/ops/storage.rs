//! Element-class independent access to tensor data, and copies of whole runs: what the evaluations that
//! move elements without computing are made of.

use crate::ops::EvalError;
use crate::types::tensor::{Data, strides};
use crate::types::{DType, Tensor};

/// What a storage class holds: `f32`, `f64` or `i64`.
pub trait Element: Copy + Default + PartialOrd {
    /// The data of this class; empty if it is of another one.
    fn slice(data: &Data) -> &[Self];
    fn wrap(values: Vec<Self>) -> Data;
    /// What no value of the class is below.
    fn lowest() -> Self;
}

macro_rules! element {
    ($type:ty, $class:ident, $lowest:expr) => {
        impl Element for $type {
            fn slice(data: &Data) -> &[Self] {
                match data {
                    Data::$class(values) => values,
                    _ => &[],
                }
            }

            fn wrap(values: Vec<Self>) -> Data {
                Data::$class(values)
            }

            fn lowest() -> Self {
                $lowest
            }
        }
    };
}

element!(f32, F32, f32::NEG_INFINITY);
element!(f64, F64, f64::NEG_INFINITY);
element!(i64, I64, i64::MIN);

/// Evaluates an expression with `$class` standing for the element class of the data.
macro_rules! by_class {
    ($data:expr, $class:ident => $body:expr) => {
        match $data {
            $crate::types::tensor::Data::F32(_) => {
                type $class = f32;
                $body
            }
            $crate::types::tensor::Data::F64(_) => {
                type $class = f64;
                $body
            }
            $crate::types::tensor::Data::I64(_) => {
                type $class = i64;
                $body
            }
        }
    };
}
pub(crate) use by_class;

/// A strided window on a tensor's data, in elements. A stride of 0 repeats, a negative one goes back.
#[derive(Clone, Debug)]
pub struct View {
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<isize>,
}

impl View {
    /// The whole tensor.
    pub fn of(tensor: &Tensor) -> View {
        let strides = tensor.strides().into_iter().map(|s| s as isize).collect();
        View { offset: 0, shape: tensor.shape().to_vec(), strides }
    }

    /// The tensor as it broadcasts to `shape`, or `None` if it does not.
    pub fn broadcast(tensor: &Tensor, shape: &[usize]) -> Option<View> {
        let missing = shape.len().checked_sub(tensor.rank())?;
        let own = tensor.strides();
        let mut strides = vec![0; shape.len()];
        for (axis, (&size, stride)) in tensor.shape().iter().zip(own).enumerate() {
            if size == shape[missing + axis] {
                strides[missing + axis] = stride as isize;
            } else if size != 1 {
                return None;
            }
        }
        Some(View { offset: 0, shape: shape.to_vec(), strides })
    }

    /// Indices `start, start + step, ...` of an axis, `count` of them.
    pub fn slice(mut self, axis: usize, start: usize, step: usize, count: usize) -> View {
        if count > 0 {
            self.offset = self.offset.saturating_add_signed(start as isize * self.strides[axis]);
        }
        self.strides[axis] = self.strides[axis].saturating_mul(step as isize);
        self.shape[axis] = count;
        self
    }

    /// The axis backwards.
    pub fn flip(mut self, axis: usize) -> View {
        let last = self.shape[axis].saturating_sub(1) as isize;
        self.offset = self.offset.saturating_add_signed(last * self.strides[axis]);
        self.strides[axis] = -self.strides[axis];
        self
    }

    pub fn permute(&self, axes: &[usize]) -> View {
        View {
            offset: self.offset,
            shape: axes.iter().map(|&a| self.shape[a]).collect(),
            strides: axes.iter().map(|&a| self.strides[a]).collect(),
        }
    }

    /// Copies what the view shows into a tensor of its own.
    pub fn copy(&self, source: &Tensor) -> Tensor {
        let data = by_class!(source.data(), T => T::wrap(self.collect(T::slice(source.data()))));
        Tensor::new(source.dtype(), self.shape.clone(), data)
    }

    fn collect<T: Copy>(&self, source: &[T]) -> Vec<T> {
        let count = self.shape.iter().product();
        let mut out = Vec::with_capacity(count);
        if count == 0 {
            return out;
        }
        // The axes at the end that lie in a row are copied as one run.
        let (mut outer, mut run, mut step) = (self.shape.len(), 1, 1);
        while outer > 0 && (self.shape[outer - 1] == 1 || self.strides[outer - 1] == run as isize) {
            outer -= 1;
            run *= self.shape[outer];
        }
        if run == 1 && outer > 0 {
            outer -= 1;
            (run, step) = (self.shape[outer], self.strides[outer]);
        }
        for_each_offset(&self.shape[..outer], &self.strides[..outer], self.offset, |start| {
            if step == 1 {
                out.extend_from_slice(&source[start..start + run]);
            } else {
                out.extend((0..run as isize).map(|i| source[start.saturating_add_signed(i * step)]));
            }
        });
        out
    }
}

/// Calls `visit` with the offset of every index of `shape`, in row-major order.
pub fn for_each_offset(shape: &[usize], strides: &[isize], base: usize, mut visit: impl FnMut(usize)) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0usize; shape.len()];
    let mut offset = base as isize;
    loop {
        visit(offset as usize);
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            offset += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            offset -= strides[axis] * shape[axis] as isize;
            index[axis] = 0;
        }
    }
}

/// A tensor put together from runs `(source, start, length)` of tensors of one element type.
pub fn from_runs(
    sources: &[&Tensor],
    dtype: DType,
    shape: Vec<usize>,
    runs: impl Iterator<Item = (usize, usize, usize)>,
) -> Result<Tensor, EvalError> {
    let Some(first) = sources.first() else { return Err(EvalError::new("no tensors to put together")) };
    let data = by_class!(first.data(), T => {
        let slices: Vec<&[T]> = sources.iter().map(|t| T::slice(t.data())).collect();
        let mut out = Vec::with_capacity(shape.iter().product());
        for (source, start, length) in runs {
            out.extend_from_slice(&slices[source][start..start + length]);
        }
        T::wrap(out)
    });
    Ok(Tensor::new(dtype, shape, data))
}

/// Elements before, along and after an axis: the product of the sizes to its left, its own size, and the
/// product of those to its right.
pub fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

/// An index of a tensor as a position: negative ones count from the end.
pub fn position(op: &str, index: i64, size: usize) -> Result<usize, EvalError> {
    let resolved = if index < 0 { index.saturating_add(size as i64) } else { index };
    usize::try_from(resolved)
        .ok()
        .filter(|i| *i < size)
        .ok_or_else(|| EvalError(format!("{op}: index {index} is out of range for an axis of size {size}")))
}

/// Row-major strides as signed numbers.
pub fn signed_strides(shape: &[usize]) -> Vec<isize> {
    strides(shape).into_iter().map(|s| s as isize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iota(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>() as i64;
        Tensor::from_i64(DType::Int64, shape.to_vec(), (0..count).collect())
    }

    #[test]
    fn views_copy_in_their_order() {
        let t = iota(&[2, 3]);
        let permuted = View::of(&t).permute(&[1, 0]).copy(&t);
        assert_eq!(permuted.shape(), [3, 2]);
        assert_eq!(permuted.as_i64(), Some(&[0, 3, 1, 4, 2, 5][..]));
        assert_eq!(View::of(&t).flip(1).copy(&t).as_i64(), Some(&[2, 1, 0, 5, 4, 3][..]));
        assert_eq!(View::of(&t).slice(1, 0, 2, 2).copy(&t).as_i64(), Some(&[0, 2, 3, 5][..]));
        assert_eq!(View::of(&t).slice(0, 2, 1, 0).copy(&t).shape(), [0, 3]);
    }

    #[test]
    fn broadcast_views_repeat() {
        let t = iota(&[2, 1]);
        let wide = View::broadcast(&t, &[2, 2, 3]).map(|view| view.copy(&t));
        assert_eq!(wide.as_ref().and_then(Tensor::as_i64), Some(&[0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1][..]));
        assert!(View::broadcast(&t, &[3, 3]).is_none());
    }

    #[test]
    fn positions_count_from_both_ends() {
        assert_eq!(position("take", -1, 4), Ok(3));
        let error = position("take", 4, 4).unwrap_err();
        assert_eq!(error.0, "take: index 4 is out of range for an axis of size 4");
        assert!(position("take", i64::MIN, 4).is_err());
    }
}
