//! Elementwise loops of the reference evaluation, over operands that broadcast.
//!
//! A kernel walks its result in *runs*: stretches of the innermost dim along which every operand either
//! advances by one or stays. Dims that lie behind one another in all operands are merged first, so equal
//! shapes and scalars are one run each and no index arithmetic happens per element.
//!
//! Float functions are given in double precision and rounded once to the element type. For `float32` and
//! the half types this gives the correctly rounded sum, difference, product, quotient and square root:
//! a double has more than twice their digits, so rounding twice does no harm.

use crate::ops::eval::EvalError;
use crate::types::tensor::{round_f64, strides, wrap};
use crate::types::{DType, Tensor, tensor::Data};

/// More elements than this are refused before memory is asked for.
const MAX_ELEMENTS: usize = 1 << 33;

/// The number of elements of a result, if it can reasonably be held.
pub fn element_count(op: &str, shape: &[usize]) -> Result<usize, EvalError> {
    if shape.contains(&0) {
        return Ok(0);
    }
    let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    count
        .filter(|count| *count <= MAX_ELEMENTS)
        .ok_or_else(|| EvalError::new(format!("{op}: a tensor of shape {shape:?} is too large")))
}

/// NumPy's broadcast of two shapes.
pub fn broadcast(op: &str, a: &[usize], b: &[usize]) -> Result<Vec<usize>, EvalError> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(EvalError::new(format!("{op}: shapes {a:?} and {b:?} do not broadcast"))),
        })
        .collect()
}

/// Walks `out` row by row in runs. `visit` gets the length of a run, each operand's first index and its
/// step (0 or 1). Each shape must broadcast to `out`.
pub fn runs<const N: usize>(
    out: &[usize],
    shapes: [&[usize]; N],
    mut visit: impl FnMut(usize, [usize; N], [usize; N]),
) {
    if out.contains(&0) {
        return;
    }
    let mut dims = merged_dims(out, shapes);
    let (run, steps) = dims.pop().unwrap_or((1, [0; N]));
    let mut index = vec![0; dims.len()];
    let mut offsets = [0; N];
    loop {
        visit(run, offsets, steps);
        let mut axis = dims.len();
        loop {
            let Some(next) = axis.checked_sub(1) else { return };
            axis = next;
            let (size, strides) = &dims[axis];
            index[axis] += 1;
            if index[axis] < *size {
                (0..N).for_each(|k| offsets[k] += strides[k]);
                break;
            }
            index[axis] = 0;
            (0..N).for_each(|k| offsets[k] -= strides[k] * (size - 1));
        }
    }
}

/// Sizes and operand strides of the result's dims, without those of size 1, neighbours merged.
fn merged_dims<const N: usize>(out: &[usize], shapes: [&[usize]; N]) -> Vec<(usize, [usize; N])> {
    let own_strides = shapes.map(strides);
    let mut dims: Vec<(usize, [usize; N])> = vec![];
    for (axis, &size) in out.iter().enumerate() {
        if size == 1 {
            continue;
        }
        let step: [usize; N] = std::array::from_fn(|k| {
            let own = (axis + shapes[k].len()).checked_sub(out.len());
            own.map_or(0, |i| if shapes[k][i] == 1 { 0 } else { own_strides[k][i] })
        });
        match dims.last_mut() {
            Some((outer, strides)) if (0..N).all(|k| strides[k] == step[k] * size) => {
                *outer *= size;
                *strides = step;
            }
            _ => dims.push((size, step)),
        }
    }
    dims
}

/// A tensor seen along one axis: element `j` of a lane is at `(outer * size + j) * inner + i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    pub outer: usize,
    pub size: usize,
    pub inner: usize,
}

impl Lanes {
    pub fn along(shape: &[usize], axis: usize) -> Lanes {
        let (outer, inner) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
        Lanes { outer, size: shape[axis], inner }
    }

    /// The index of each lane's first element, in row-major order; the next ones are `inner` apart.
    pub fn starts(self) -> impl Iterator<Item = usize> {
        (0..self.outer).flat_map(move |o| (0..self.inner).map(move |i| o * self.size * self.inner + i))
    }
}

/// `f` of each pair of elements of `a` and `b`, broadcast to `out`.
pub fn zip<A: Copy, B: Copy, R>(
    out: &[usize],
    (a, a_shape): (&[A], &[usize]),
    (b, b_shape): (&[B], &[usize]),
    f: impl Fn(A, B) -> R,
) -> Vec<R> {
    let mut result = Vec::with_capacity(out.iter().product());
    runs(out, [a_shape, b_shape], |len, [i, j], steps| match steps {
        [1, 1] => result.extend(a[i..i + len].iter().zip(&b[j..j + len]).map(|(&x, &y)| f(x, y))),
        [1, _] => result.extend(a[i..i + len].iter().map(|&x| f(x, b[j]))),
        [_, 1] => result.extend(b[j..j + len].iter().map(|&y| f(a[i], y))),
        _ => result.extend((0..len).map(|_| f(a[i], b[j]))),
    });
    result
}

/// Applies `float` or `int` to each element; the result is rounded or wrapped into the element type.
pub fn unary(x: &Tensor, float: impl Fn(f64) -> f64, int: impl Fn(i64) -> i64) -> Tensor {
    let dtype = x.dtype();
    let data = match x.data() {
        Data::F32(v) if dtype == DType::Float32 => Data::F32(v.iter().map(|&x| float(f64::from(x)) as f32).collect()),
        Data::F32(v) => Data::F32(v.iter().map(|&x| round_f64(dtype, float(f64::from(x)))).collect()),
        Data::F64(v) => Data::F64(v.iter().map(|&x| float(x)).collect()),
        Data::I64(v) => Data::I64(v.iter().map(|&x| wrap(dtype, int(x))).collect()),
    };
    Tensor::new(dtype, x.shape().to_vec(), data)
}

/// Applies `float` or `int` to each pair of elements of two tensors of one element type.
pub fn binary(
    op: &str,
    a: &Tensor,
    b: &Tensor,
    float: impl Fn(f64, f64) -> f64,
    int: impl Fn(i64, i64) -> i64,
) -> Result<Tensor, EvalError> {
    let dtype = a.dtype();
    let shape = broadcast(op, a.shape(), b.shape())?;
    element_count(op, &shape)?;
    let (left, right) = (a.shape(), b.shape());
    let data = match (a.data(), b.data()) {
        (Data::F32(x), Data::F32(y)) if dtype == DType::Float32 => {
            Data::F32(zip(&shape, (x, left), (y, right), |x, y| float(f64::from(x), f64::from(y)) as f32))
        }
        (Data::F32(x), Data::F32(y)) => {
            Data::F32(zip(&shape, (x, left), (y, right), |x, y| round_f64(dtype, float(f64::from(x), f64::from(y)))))
        }
        (Data::F64(x), Data::F64(y)) => Data::F64(zip(&shape, (x, left), (y, right), float)),
        (Data::I64(x), Data::I64(y)) => Data::I64(zip(&shape, (x, left), (y, right), |x, y| wrap(dtype, int(x, y)))),
        _ => return Err(mixed(op, a, b)),
    };
    Ok(Tensor::new(dtype, shape, data))
}

/// A `bool` for each pair of elements. Integers come as keys whose order is that of their values.
pub fn compare(
    op: &str,
    a: &Tensor,
    b: &Tensor,
    float: impl Fn(f64, f64) -> bool,
    int: impl Fn(i64, i64) -> bool,
) -> Result<Tensor, EvalError> {
    let shape = broadcast(op, a.shape(), b.shape())?;
    element_count(op, &shape)?;
    let (left, right) = (a.shape(), b.shape());
    let flip = order_key(a.dtype());
    let values = match (a.data(), b.data()) {
        (Data::F32(x), Data::F32(y)) => {
            zip(&shape, (x, left), (y, right), |x, y| i64::from(float(f64::from(x), f64::from(y))))
        }
        (Data::F64(x), Data::F64(y)) => zip(&shape, (x, left), (y, right), |x, y| i64::from(float(x, y))),
        (Data::I64(x), Data::I64(y)) => zip(&shape, (x, left), (y, right), |x, y| i64::from(int(x ^ flip, y ^ flip))),
        _ => return Err(mixed(op, a, b)),
    };
    Ok(Tensor::from_i64(DType::Bool, shape, values))
}

/// What to xor stored integers with so that they compare as their values do: `uint64` is kept by its bits.
pub fn order_key(dtype: DType) -> i64 {
    if dtype == DType::UInt64 { i64::MIN } else { 0 }
}

/// `where`: elements of `a` where `condition` holds, else of `b`.
pub fn select(op: &str, condition: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor, EvalError> {
    let shape = broadcast(op, condition.shape(), &broadcast(op, a.shape(), b.shape())?)?;
    element_count(op, &shape)?;
    let shapes = [condition.shape(), a.shape(), b.shape()];
    let Some(mask) = condition.as_i64() else {
        return Err(EvalError::new(format!("{op}: the condition must be bool, not {}", condition.dtype())));
    };
    let data = match (a.data(), b.data()) {
        (Data::F32(x), Data::F32(y)) => Data::F32(choose(&shape, shapes, mask, x, y)),
        (Data::F64(x), Data::F64(y)) => Data::F64(choose(&shape, shapes, mask, x, y)),
        (Data::I64(x), Data::I64(y)) => Data::I64(choose(&shape, shapes, mask, x, y)),
        _ => return Err(mixed(op, a, b)),
    };
    Ok(Tensor::new(a.dtype(), shape, data))
}

fn choose<T: Copy>(out: &[usize], shapes: [&[usize]; 3], mask: &[i64], a: &[T], b: &[T]) -> Vec<T> {
    let mut result = Vec::with_capacity(out.iter().product());
    runs(out, shapes, |len, [m, i, j], [m_step, i_step, j_step]| {
        result.extend((0..len).map(|k| if mask[m + k * m_step] != 0 { a[i + k * i_step] } else { b[j + k * j_step] }));
    });
    result
}

fn mixed(op: &str, a: &Tensor, b: &Tensor) -> EvalError {
    EvalError::new(format!("{op}: element types {} and {} differ", a.dtype(), b.dtype()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flat indices that an operand's elements are read from.
    fn reads(out: &[usize], shape: &[usize]) -> Vec<usize> {
        let mut read = vec![];
        runs(out, [shape], |len, [start], [step]| read.extend((0..len).map(|k| start + k * step)));
        read
    }

    #[test]
    fn runs_follow_broadcasting() {
        assert_eq!(reads(&[2, 3], &[2, 3]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(reads(&[2, 3], &[3]), [0, 1, 2, 0, 1, 2]);
        assert_eq!(reads(&[2, 3], &[2, 1]), [0, 0, 0, 1, 1, 1]);
        assert_eq!(reads(&[2, 2, 2], &[2, 1, 2]), [0, 1, 0, 1, 2, 3, 2, 3]);
        assert_eq!(reads(&[2, 2], &[]), [0, 0, 0, 0]);
        assert_eq!(reads(&[], &[]), [0]);
        assert_eq!(reads(&[0, 3], &[3]), Vec::<usize>::new());
    }

    #[test]
    fn equal_shapes_and_scalars_are_one_run() {
        for shape in [&[2usize, 3, 4][..], &[]] {
            let mut lengths = vec![];
            runs(&[2, 3, 4], [&[2, 3, 4], shape], |len, _, _| lengths.push(len));
            assert_eq!(lengths, [24]);
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert_eq!(broadcast("add", &[2, 1], &[3]), Ok(vec![2, 3]));
        assert_eq!(broadcast("add", &[1], &[0]), Ok(vec![0]));
        assert!(broadcast("add", &[2], &[3]).is_err());
        assert!(element_count("full", &[usize::MAX, 2]).is_err());
        assert_eq!(element_count("full", &[usize::MAX, 0]), Ok(0));
    }
}
