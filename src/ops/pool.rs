//! Pooling over one, two or three axes.
//!
//! Maximum and sum over a window are taken axis by axis: the maximum of a block is the maximum of its
//! rows' maxima. So one pass along one axis serves every number of axes.

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::precision::Precision;
use crate::ops::storage::{Element, around, by_class};
use crate::ops::traits::{Role, Traits};
use crate::ops::window::{AxisWindow, Windows, window_count, windows};
use crate::ops::{Default, EvalCx, EvalError, Gradient, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::types::{Elem, Shape, Tensor, TensorType};

const MAX_PARAMS: &[Param] = &[
    Param::tensor("x"),
    Param::required("kernel_size", ParamKind::Ints),
    Param::with("stride", ParamKind::Ints, Default::None),
    Param::with("padding", ParamKind::Ints, Default::Int(0)),
    Param::with("dilation", ParamKind::Ints, Default::Int(1)),
    Param::with("ceil_mode", ParamKind::Bool, Default::Bool(false)),
];

const AVERAGE_PARAMS: &[Param] = &[
    Param::tensor("x"),
    Param::required("kernel_size", ParamKind::Ints),
    Param::with("stride", ParamKind::Ints, Default::None),
    Param::with("padding", ParamKind::Ints, Default::Int(0)),
    Param::with("ceil_mode", ParamKind::Bool, Default::Bool(false)),
    Param::with("count_include_pad", ParamKind::Bool, Default::Bool(true)),
];

const POOL: Traits = Traits { role: Role::Window, cost: Cost::Window, ..Traits::CAUTIOUS };

macro_rules! max_pool {
    ($name:literal, $axes:literal, $last:literal) => {
        Op {
            name: $name,
            params: MAX_PARAMS,
            rule: max_rule::<$axes>,
            eval: max_eval::<$axes>,
            gradient: Gradient::Rule(gradient::pool::max_pool::<$axes>),
            traits: Traits { precision: Precision::Moves, ..POOL },
            doc: concat!(
                "The maximum of each window over ",
                $last,
                ".\n\nEach such axis of size n becomes \
                 `(n + 2*padding - dilation*(k - 1) - 1) // stride + 1`, rounded up with `ceil_mode` (without windows \
                 that would begin in the padding on the right). `stride` is the kernel's size when left out. Padding \
                 never wins; NaN does. `padding` may be at most half the kernel, and a kernel must fit (E0310)."
            ),
        }
    };
}

macro_rules! average_pool {
    ($name:literal, $axes:literal, $last:literal) => {
        Op {
            name: $name,
            params: AVERAGE_PARAMS,
            rule: average_rule::<$axes>,
            eval: average_eval::<$axes>,
            gradient: Gradient::Rule(gradient::pool::average_pool::<$axes>),
            traits: Traits { precision: Precision::Follows, ..POOL },
            doc: concat!(
                "The mean of each window over ",
                $last,
                ", for floats.\n\nEach such axis of size n becomes \
                 `(n + 2*padding - k) // stride + 1`, rounded up with `ceil_mode` (without windows that would begin in \
                 the padding on the right). `stride` is the kernel's size when left out. The padding counts as zeros \
                 unless `count_include_pad=false`. `padding` may be at most half the kernel, and a kernel must fit \
                 (E0310)."
            ),
        }
    };
}

pub static OPS: &[Op] = &[
    max_pool!("max_pool1d", 1, "the last axis"),
    max_pool!("max_pool2d", 2, "the last two axes"),
    max_pool!("max_pool3d", 3, "the last three axes"),
    average_pool!("avg_pool1d", 1, "the last axis"),
    average_pool!("avg_pool2d", 2, "the last two axes"),
    average_pool!("avg_pool3d", 3, "the last three axes"),
];

fn max_rule<const N: usize>(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_elem(0, Elem::is_num, "numbers")?;
    pool_rule::<N>(cx)
}

fn average_rule<const N: usize>(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_elem(0, Elem::is_float, "floats")?;
    pool_rule::<N>(cx)
}

fn pool_rule<const N: usize>(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    cx.expect(vec![x.with_shape(Shape::unknown())]);
    if let Some(rank) = x.shape.rank()
        && !(N + 1..=N + 2).contains(&rank)
    {
        let message = format!("`{}` takes rank {} or {}, but this has rank {rank}", cx.op.name, N + 1, N + 2);
        return Err(OpError::new(code::E0304, message).label(0, format!("[{}]", x.shape)).into());
    }
    if x.shape.tail().len() < N {
        return Err(cx.unknown());
    }
    let first = x.shape.dims.len() - N;
    let mut shape = x.shape.clone();
    for dim in &mut shape.dims[first..] {
        *dim = cx.fresh_dim();
    }
    cx.expect(vec![x.with_shape(shape.clone())]);
    let kernel = cx.spatial("kernel_size", N)?;
    let ceil_mode = cx.bool("ceil_mode")?;
    for (axis, window) in windows(cx, &kernel)?.iter().enumerate() {
        check_padding(cx, window)?;
        shape.dims[first + axis] = window_count(cx, &x.shape.dims[first + axis], window, ceil_mode)?;
    }
    Ok(vec![x.with_shape(shape)])
}

/// More padding than half the kernel would make windows of nothing but padding.
fn check_padding(cx: &mut RuleCx<'_>, window: &AxisWindow) -> Result<(), Stop> {
    let (op, reach, padding) = (cx.op.name, window.reach(), &window.padding);
    cx.require_at_least(&reach, &padding.scale(2), || {
        let message = format!("`{op}`: `padding` {padding} is more than half of the kernel, which spans {reach}");
        OpError::new(code::E0310, message)
    })
}

/// The windows of an evaluation and the first of their axes.
fn read<const N: usize>(cx: &EvalCx<'_>) -> Result<(Windows, usize), EvalError> {
    let x = cx.operand(0);
    let first = x.rank().checked_sub(N).ok_or_else(|| EvalError(format!("{}: rank too low", cx.op.name)))?;
    let kernel = cx.spatial("kernel_size", N)?;
    let windows = Windows::read(cx, &x.shape()[first..], &kernel)?.slide(cx.op.name, cx.bool("ceil_mode")?)?;
    Ok((windows, first))
}

/// Folds the windows along each axis in turn.
fn fold_axes<T: Element>(
    values: &[T],
    shape: &[usize],
    windows: &Windows,
    start: T,
    fold: impl Fn(T, T) -> T + Copy,
) -> (Vec<T>, Vec<usize>) {
    let (mut values, mut shape) = (values.to_vec(), shape.to_vec());
    let first = shape.len() - windows.grid.len();
    for axis in 0..windows.grid.len() {
        let (before, size, after) = around(&shape, first + axis);
        let count = windows.grid[axis];
        let mut out = vec![start; before * count * after];
        for kernel_index in 0..windows.kernel[axis] {
            let (low, high, place) = windows.inside(axis, kernel_index);
            for (outer, window) in (0..before).flat_map(|outer| (low..high).map(move |window| (outer, window))) {
                let from = (outer * size + place + (window - low) * windows.stride[axis]) * after;
                let to = (outer * count + window) * after;
                let source = &values[from..from + after];
                out[to..to + after].iter_mut().zip(source).for_each(|(sum, value)| *sum = fold(*sum, *value));
            }
        }
        shape[first + axis] = count;
        values = out;
    }
    (values, shape)
}

fn max_eval<const N: usize>(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (windows, _) = read::<N>(cx)?;
    let x = cx.operand(0);
    // `uint64` is kept by its bits: with the top bit flipped, signed order is unsigned order.
    let flip = if x.dtype() == crate::types::DType::UInt64 { i64::MIN } else { 0 };
    let (data, shape) = match x.data() {
        crate::types::tensor::Data::I64(values) => {
            let flipped: Vec<i64> = values.iter().map(|v| v ^ flip).collect();
            let lowest = x.dtype().int_range().map_or(i64::MIN, |(low, _)| low.max(i128::from(i64::MIN)) as i64);
            let (out, shape) = fold_axes(&flipped, x.shape(), &windows, lowest ^ flip, i64::max);
            (i64::wrap(out.into_iter().map(|v| v ^ flip).collect()), shape)
        }
        data => by_class!(data, T => {
            let lowest = T::lowest();
            let (out, shape) = fold_axes(T::slice(data), x.shape(), &windows, lowest, greater);
            (T::wrap(out), shape)
        }),
    };
    Ok(vec![Tensor::new(x.dtype(), shape, data)])
}

/// The greater one, NaN before all.
#[allow(clippy::eq_op, reason = "a value that differs from itself is NaN")]
fn greater<T: Element>(a: T, b: T) -> T {
    if a >= b || a != a { a } else { b }
}

fn average_eval<const N: usize>(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (windows, _) = read::<N>(cx)?;
    let include_padding = cx.bool("count_include_pad")?;
    let x = cx.operand(0);
    let (mut sums, shape) = fold_axes(&x.to_f64(), x.shape(), &windows, 0.0, |sum, value| sum + value);
    let mut counts = vec![1.0];
    for axis in 0..N {
        let own: Vec<f64> = (0..windows.grid[axis]).map(|w| elements(&windows, axis, w, include_padding)).collect();
        counts = counts.iter().flat_map(|count| own.iter().map(move |own| count * own)).collect();
    }
    sums.chunks_mut(counts.len().max(1)).for_each(|plane| {
        plane.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= count);
    });
    Ok(vec![Tensor::from_f64(x.dtype(), shape, sums)])
}

/// By how many elements the sum of a window is divided. A window that hangs over the padding's end
/// (`ceil_mode`) counts only up to there.
fn elements(windows: &Windows, axis: usize, window: usize, include_padding: bool) -> f64 {
    let (size, padding) = (windows.plane[axis], windows.padding[axis]);
    let start = window * windows.stride[axis];
    let end = (start + windows.kernel[axis]).min(size + 2 * padding);
    let count = match include_padding {
        true => end - start,
        false => end.min(size + padding).saturating_sub(start.max(padding)),
    };
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testkit::{error, eval_one, floats, open_rule, random, rule};
    use crate::ops::{Attr, Attrs};
    use crate::types::DType;

    fn kernel(size: i64) -> Attrs {
        Attrs::new().with("kernel_size", Attr::int(size))
    }

    #[test]
    fn symbolic_sizes() {
        assert_eq!(
            open_rule("max_pool2d", &["float32[B, C, H, W]"], kernel(2)),
            ("float32[B, C, H // 2, W // 2]".into(), 2)
        );
        let resnet = || kernel(3).with("stride", Attr::int(2)).with("padding", Attr::int(1));
        assert_eq!(rule("max_pool2d", &["float32[...S, 112, 112]"], resnet()), "float32[...S, 56, 56]");
        assert_eq!(rule("max_pool1d", &["int8[B, C, L]"], resnet()), "int8[B, C, (L + 1) // 2]");
        let ceil = resnet().with("ceil_mode", Attr::Bool(true));
        assert_eq!(rule("max_pool1d", &["float32[B, C, L]"], ceil), "float32[B, C, L // 2 + 1]");
        let unknown = Attrs::new().with("kernel_size", Attr::Unknown);
        assert_eq!(open_rule("avg_pool2d", &["float32[B, C, H, W]"], unknown).0, "~float32[B, C, ?, ?]");
        assert_eq!(open_rule("avg_pool2d", &["float32[...S, W]"], kernel(2)).0, "~float32[...]");
    }

    #[test]
    fn errors() {
        let code_of = |op: &str, x: &str, attrs| error(op, &[x], attrs).code;
        assert_eq!(code_of("max_pool1d", "float32[B, C, 2]", kernel(3)), code::E0310);
        assert_eq!(code_of("max_pool1d", "float32[B, C, 9]", kernel(3).with("padding", Attr::int(2))), code::E0310);
        assert_eq!(code_of("max_pool1d", "float32[B, C, 9]", kernel(0)), code::E0310);
        assert_eq!(code_of("max_pool2d", "float32[H, W]", kernel(2)), code::E0304);
        assert_eq!(code_of("avg_pool1d", "int32[B, C, 9]", kernel(2)), code::E0209);
        let three = Attrs::new().with("kernel_size", Attr::ints(&[1, 2, 3]));
        assert_eq!(code_of("max_pool2d", "float32[C, 9, 9]", three), code::E0304);
    }

    #[test]
    fn by_hand() {
        let x = floats(&[1, 1, 5], &[1.0, -2.0, 3.0, f32::NAN, -1.0]);
        let out = eval_one("max_pool1d", &x, kernel(2).with("stride", Attr::int(1))).to_f64();
        assert_eq!(out[..2], [1.0, 3.0]);
        assert!(out[2].is_nan() && out[3].is_nan());
        let x = floats(&[1, 1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
        let attrs = || kernel(2).with("padding", Attr::int(1)).with("ceil_mode", Attr::Bool(true));
        // Windows over 0 1 | 2 3 | 4 5 | 0: the last would begin in the padding.
        assert_eq!(eval_one("avg_pool1d", &x, attrs()).to_f64(), [0.5, 2.5, 4.5]);
        let excluded = attrs().with("count_include_pad", Attr::Bool(false));
        assert_eq!(eval_one("avg_pool1d", &x, excluded).to_f64(), [1.0, 2.5, 4.5]);
        let ceil = kernel(3).with("ceil_mode", Attr::Bool(true));
        assert_eq!(eval_one("avg_pool1d", &x, ceil).to_f64(), [2.0, 4.5]);
        let x = Tensor::from_i64(DType::UInt64, vec![1, 1, 2], vec![-1, 1]);
        assert_eq!(eval_one("max_pool1d", &x, kernel(2)).as_i64(), Some(&[-1][..]));
    }

    /// Maximum and mean (padding counted) of every window of a plane, one after another.
    fn naive(plane: &[f64], size: [i64; 2], out: [usize; 2], a: &Case) -> (Vec<f64>, Vec<f64>) {
        let (mut maxima, mut means) = (vec![], vec![]);
        for (y, x) in (0..out[0]).flat_map(|y| (0..out[1]).map(move |x| (y, x))) {
            let (mut max, mut sum) = (f64::NEG_INFINITY, 0.0);
            for (i, j) in (0..a.kernel[0]).flat_map(|i| (0..a.kernel[1]).map(move |j| (i, j))) {
                let row = y as i64 * a.stride[0] + i * a.dilation[0] - a.padding[0];
                let column = x as i64 * a.stride[1] + j * a.dilation[1] - a.padding[1];
                if (0..size[0]).contains(&row) && (0..size[1]).contains(&column) {
                    let value = plane[(row * size[1] + column) as usize];
                    max = f64::max(max, value);
                    sum += value;
                }
            }
            maxima.push(max);
            means.push(sum / (a.kernel[0] * a.kernel[1]) as f64);
        }
        (maxima, means)
    }

    struct Case {
        kernel: [i64; 2],
        stride: [i64; 2],
        padding: [i64; 2],
        dilation: [i64; 2],
    }

    #[test]
    fn agrees_with_naive_loops() {
        let cases = [
            Case { kernel: [3, 2], stride: [2, 3], padding: [1, 0], dilation: [1, 2] },
            Case { kernel: [2, 5], stride: [1, 1], padding: [1, 2], dilation: [3, 1] },
            Case { kernel: [1, 4], stride: [4, 2], padding: [0, 2], dilation: [1, 1] },
        ];
        for (seed, case) in cases.iter().enumerate() {
            let x = random(seed as u64, DType::Float64, &[2, 3, 9, 11]);
            let attrs = Attrs::new()
                .with("kernel_size", Attr::ints(&case.kernel))
                .with("stride", Attr::ints(&case.stride))
                .with("padding", Attr::ints(&case.padding));
            let dilated = attrs.clone().with("dilation", Attr::ints(&case.dilation));
            let max = eval_one("max_pool2d", &x, dilated);
            let mean = (case.dilation == [1, 1]).then(|| eval_one("avg_pool2d", &x, attrs));
            let size = max.shape()[2] * max.shape()[3];
            for plane in 0..6 {
                let values = &x.to_f64()[plane * 99..(plane + 1) * 99];
                let (maxima, means) = naive(values, [9, 11], [max.shape()[2], max.shape()[3]], case);
                assert_eq!(max.to_f64()[plane * size..(plane + 1) * size], maxima);
                if let Some(mean) = &mean {
                    assert_eq!(mean.to_f64()[plane * size..(plane + 1) * size], means);
                }
            }
        }
    }
}
