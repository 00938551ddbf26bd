//! Convolutions over one, two or three axes, and their transposes.
//!
//! One implementation serves every number of axes: the windows of an image are laid out as a matrix with
//! a row for each channel and place in the kernel ([`Windows::for_each_run`]), and the convolution is a
//! matrix product with the weight. The transpose goes the other way: product first, then the windows are
//! added into the image.

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::gemm::{Matrix, Number, Pair, finish, product_dtype};
use crate::ops::matmul::PRODUCT;
use crate::ops::matmul::require_product;
use crate::ops::traits::{Product, Traits};
use crate::ops::window::{AxisWindow, Windows, require_size, window_count, windows};
use crate::ops::{Default, EvalCx, EvalError, Gradient, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::types::tensor::Data;
use crate::types::{Dim, Shape, Tensor, TensorType};

const CONV_PARAMS: &[Param] = &[
    Param::tensor("x"),
    Param::tensor("weight"),
    Param::with("bias", ParamKind::OptionalTensor, Default::None),
    Param::with("stride", ParamKind::Ints, Default::Int(1)),
    Param::with("padding", ParamKind::Ints, Default::Int(0)),
    Param::with("dilation", ParamKind::Ints, Default::Int(1)),
    Param::with("groups", ParamKind::Int, Default::Int(1)),
];

const TRANSPOSED_PARAMS: &[Param] = &[
    Param::tensor("x"),
    Param::tensor("weight"),
    Param::with("bias", ParamKind::OptionalTensor, Default::None),
    Param::with("stride", ParamKind::Ints, Default::Int(1)),
    Param::with("padding", ParamKind::Ints, Default::Int(0)),
    Param::with("output_padding", ParamKind::Ints, Default::Int(0)),
    Param::with("dilation", ParamKind::Ints, Default::Int(1)),
    Param::with("groups", ParamKind::Int, Default::Int(1)),
];

macro_rules! conv {
    ($name:literal, $axes:literal, $x:literal, $weight:literal) => {
        Op {
            name: $name,
            params: CONV_PARAMS,
            rule: conv_rule::<$axes>,
            eval: conv_eval::<$axes>,
            gradient: Gradient::Rule(gradient::conv::conv),
            traits: Traits { product: Some(Product::Convolution), cost: Cost::Convolution, ..PRODUCT },
            doc: concat!(
                "Slides the weight over the last axes of `x` and adds up the products.\n\n`x: ",
                $x,
                "` and `weight: ",
                $weight,
                "` give `[B, O, ...]` with `(n + 2*padding - dilation*(k - 1) - 1) // stride + 1` for each axis; \
                 `bias: [O]` is added. One number for `stride`, `padding` or `dilation` stands for all axes. \
                 `C` must be provably `groups` times the weight's second dim (E0303); the padded input must be \
                 at least as large as the kernel (E0310). Element types as for `matmul`."
            ),
        }
    };
}

macro_rules! transposed {
    ($name:literal, $axes:literal, $x:literal, $weight:literal) => {
        Op {
            name: $name,
            params: TRANSPOSED_PARAMS,
            rule: transposed_rule::<$axes>,
            eval: transposed_eval::<$axes>,
            gradient: Gradient::Rule(gradient::conv::transposed),
            traits: Traits { product: Some(Product::TransposedConvolution), cost: Cost::Transposed, ..PRODUCT },
            doc: concat!(
                "The transpose of a convolution: spreads each element of `x` over a window of the result.\n\n`x: ",
                $x,
                "` and `weight: ",
                $weight,
                "` give `[B, O, ...]` with \
                 `(n - 1)*stride - 2*padding + dilation*(k - 1) + output_padding + 1` for each axis; `bias: [O]` is \
                 added. The channels must agree (E0303); `output_padding` must be less than `stride` or \
                 `dilation` (E0310). Element types as for `matmul`."
            ),
        }
    };
}

pub static OPS: &[Op] = &[
    conv!("conv1d", 1, "[B, C, L]", "[O, C // groups, k]"),
    conv!("conv2d", 2, "[B, C, H, W]", "[O, C // groups, k, k]"),
    conv!("conv3d", 3, "[B, C, D, H, W]", "[O, C // groups, k, k, k]"),
    transposed!("conv_transpose1d", 1, "[B, C, L]", "[C, O // groups, k]"),
    transposed!("conv_transpose2d", 2, "[B, C, H, W]", "[C, O // groups, k, k]"),
    transposed!("conv_transpose3d", 3, "[B, C, D, H, W]", "[C, O // groups, k, k, k]"),
];

/// What both rules check before they look at sizes: element types, ranks, channels. Gives the windows'
/// axes; the results are expected with fresh dims wherever an attribute might not be known.
fn begin<const N: usize>(cx: &mut RuleCx<'_>, transposed: bool) -> Result<(TensorType, Dim), Stop> {
    let elem = require_product(cx, 0, 1)?;
    cx.expect(vec![TensorType::new(elem.clone(), Shape::unknown())]);
    cx.require_rank(1, N + 2, &format!("a weight of rank {}", N + 2))?;
    let weight = &cx.operand(1).shape.dims;
    let free: Vec<Dim> = (0..N + 2).map(|_| cx.fresh_dim()).collect();
    let mut open = Shape::new(free);
    if !transposed {
        open.dims[1] = weight[0].clone();
    }
    cx.expect(vec![TensorType::new(elem.clone(), open.clone())]);
    cx.require_rank(0, N + 2, &format!("an input of rank {} (batch, channels, {N} axes)", N + 2))?;
    let groups = cx.dim("groups")?;
    require_size(cx, "`groups`", &groups, 1)?;
    let outputs = if transposed { weight[1].mul(&groups) } else { weight[0].clone() };
    let batch = cx.operand(0).shape.dims[0].clone();
    let result = TensorType::new(elem, open.with_dim(0, batch).with_dim(1, outputs.clone()));
    cx.expect(vec![result.clone()]);
    check_channels(cx, &groups, transposed)?;
    check_bias(cx, &result, &outputs)?;
    Ok((result, groups))
}

fn check_channels(cx: &mut RuleCx<'_>, groups: &Dim, transposed: bool) -> Result<(), Stop> {
    let (x, weight) = (&cx.operand(0).shape, &cx.operand(1).shape);
    let op = cx.op.name;
    let channels = &x.dims[1];
    let taken = if transposed { weight.dims[0].clone() } else { weight.dims[1].mul(groups) };
    cx.require_equal(channels, &taken, || {
        let message = format!("`{op}`: the input has {channels} channels, but the weight takes {taken}");
        let error = OpError::new(code::E0303, message)
            .label(0, format!("[{x}], its channels are {channels}"))
            .label(1, format!("[{weight}] with groups {groups}"));
        match groups.is_const(1) || transposed {
            true => error,
            false => error.note(format!("axis 1 of the weight is the channels of one group: {channels} // {groups}")),
        }
    })?;
    // In the other operand the channels divide by construction.
    let (divided, operand) = (&weight.dims[0], 1);
    let Some(rest) = divided.modulo(groups) else { return Err(cx.unknown()) };
    let error = || {
        let message = format!("`{op}`: {divided} channels do not divide into {groups} groups");
        OpError::new(code::E0303, message).label(operand, format!("[{weight}]"))
    };
    if rest.as_const().is_some_and(|rest| rest != 0) {
        return Err(error().dims(&[divided, groups]).into());
    }
    // What the facts do not say about the number of groups is left to instantiation.
    cx.require_at_least(&Dim::zero(), &cx.facts.normal(&rest), error)
}

fn check_bias(cx: &mut RuleCx<'_>, result: &TensorType, outputs: &Dim) -> Result<(), Stop> {
    let Some((operand, bias)) = cx.optional() else { return Ok(()) };
    if bias.elem != result.elem {
        let message = format!("`{}` gives {}, but its bias is {}", cx.op.name, result.elem, bias.elem);
        return Err(OpError::new(code::E0202, message).label(operand, bias.to_string()).into());
    }
    cx.require_rank(operand, 1, "a bias of rank 1")?;
    let (op, size) = (cx.op.name, &bias.shape.dims[0]);
    cx.require_equal(size, outputs, || {
        let message = format!("`{op}`: the bias has {size} elements for {outputs} output channels");
        OpError::new(code::E0303, message).label(operand, format!("[{}]", bias.shape))
    })
}

fn conv_rule<const N: usize>(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let (mut result, _) = begin::<N>(cx, false)?;
    let (x, kernel) = (&cx.operand(0).shape.dims, &cx.operand(1).shape.dims[2..]);
    for (axis, window) in windows(cx, kernel)?.iter().enumerate() {
        result.shape.dims[axis + 2] = window_count(cx, &x[axis + 2], window, false)?;
    }
    Ok(vec![result])
}

fn transposed_rule<const N: usize>(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let (mut result, _) = begin::<N>(cx, true)?;
    let (x, kernel) = (&cx.operand(0).shape.dims, &cx.operand(1).shape.dims[2..]);
    let extra = cx.spatial("output_padding", N)?;
    for (axis, window) in windows(cx, kernel)?.iter().enumerate() {
        result.shape.dims[axis + 2] = transposed_size(cx, &x[axis + 2], window, &extra[axis])?;
    }
    Ok(vec![result])
}

fn transposed_size(cx: &mut RuleCx<'_>, size: &Dim, window: &AxisWindow, extra: &Dim) -> Result<Dim, Stop> {
    let op = cx.op.name;
    require_size(cx, "`output_padding`", extra, 0)?;
    let step = window.stride.maximum(&window.dilation);
    cx.require_at_least(&step, &extra.add(&Dim::constant(1)), || {
        let message = format!("`{op}`: `output_padding` {extra} must be less than `stride` or `dilation`");
        OpError::new(code::E0310, message)
    })?;
    let spread = size.sub(&Dim::constant(1)).mul(&window.stride).add(&window.reach()).add(extra);
    let result = spread.sub(&window.padding.scale(2));
    let shape = &cx.operand(0).shape;
    cx.require_at_least(&result, &Dim::constant(1), || {
        let message = format!("`{op}`: the result would have size {result}: `padding` is too large");
        OpError::new(code::E0310, message).label(0, format!("[{shape}]"))
    })?;
    Ok(result)
}

/// How channels and groups divide the work of one evaluation.
struct Split {
    batch: usize,
    groups: usize,
    /// Channels of a group.
    inputs: usize,
    outputs: usize,
}

/// Checks what the verified rule has promised, so that no slice can be taken wrongly.
fn split(cx: &EvalCx<'_>, axes: usize, transposed: bool) -> Result<Split, EvalError> {
    let (x, weight) = (cx.operand(0).shape(), cx.operand(1).shape());
    let groups = usize::try_from(cx.int("groups")?).ok().filter(|g| *g > 0);
    let wrong = || EvalError(format!("{}: sizes {x:?} and {weight:?} do not fit", cx.op.name));
    let groups = groups.ok_or_else(wrong)?;
    if x.len() != axes + 2 || weight.len() != axes + 2 {
        return Err(wrong());
    }
    let (inputs, outputs) = match transposed {
        false => (weight[1], weight[0] / groups),
        true => (weight[0] / groups, weight[1]),
    };
    if x[1] != inputs * groups || weight[0] % groups != 0 {
        return Err(wrong());
    }
    if cx.optional().is_some_and(|bias| bias.shape() != [outputs * groups]) {
        return Err(EvalError(format!("{}: the bias does not fit {} channels", cx.op.name, outputs * groups)));
    }
    Ok(Split { batch: x[0], groups, inputs, outputs })
}

fn conv_eval<const N: usize>(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let split = split(cx, N, false)?;
    let windows = Windows::read(cx, &cx.operand(0).shape()[2..], &cx.operand(1).shape()[2..])?;
    let windows = windows.slide(cx.op.name, false)?;
    run(cx, &split, &windows, &windows.grid, false)
}

fn transposed_eval<const N: usize>(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let split = split(cx, N, true)?;
    // The windows slide over the result; the input is their grid.
    let grid = &cx.operand(0).shape()[2..];
    let mut windows = Windows::read(cx, grid, &cx.operand(1).shape()[2..])?;
    let extra = cx.spatial("output_padding", N)?;
    if grid.contains(&0) {
        return Err(EvalError(format!("{}: an axis of `x` is empty", cx.op.name)));
    }
    for axis in 0..N {
        let spread = (grid[axis] - 1) * windows.stride[axis] + windows.reach(axis) + extra[axis];
        windows.plane[axis] = spread
            .checked_sub(2 * windows.padding[axis])
            .filter(|size| *size > 0)
            .ok_or_else(|| EvalError(format!("{}: `padding` is too large", cx.op.name)))?;
    }
    windows.grid = grid.to_vec();
    run(cx, &split, &windows, &windows.plane, true)
}

/// Computes in the class of the result's element type.
fn run(
    cx: &EvalCx<'_>,
    split: &Split,
    windows: &Windows,
    sizes: &[usize],
    transposed: bool,
) -> Result<Vec<Tensor>, EvalError> {
    let (x, weight) = (cx.operand(0), cx.operand(1));
    let dtype = product_dtype(x.dtype(), weight.dtype())
        .ok_or_else(|| EvalError(format!("{}: cannot multiply {} by {}", cx.op.name, x.dtype(), weight.dtype())))?;
    if cx.optional().is_some_and(|bias| bias.dtype() != dtype) {
        return Err(EvalError(format!("{}: the bias must be {dtype}", cx.op.name)));
    }
    let mut shape = vec![split.batch, split.groups * split.outputs];
    shape.extend(sizes);
    let bias = cx.optional().map(Tensor::data);
    let data = match Pair::of(x, weight, dtype) {
        Pair::F32(x, w) => Data::F32(compute(split, windows, &x, &w, bias, transposed)),
        Pair::F64(x, w) => Data::F64(compute(split, windows, &x, &w, bias, transposed)),
        Pair::I64(x, w) => Data::I64(compute(split, windows, x, w, bias, transposed)),
    };
    Ok(vec![finish(dtype, shape, data)])
}

fn compute<T: Number>(
    split: &Split,
    windows: &Windows,
    x: &[T],
    weight: &[T],
    bias: Option<&Data>,
    transposed: bool,
) -> Vec<T> {
    let (plane, grid, kernel) = (windows.plane_size(), windows.grid_size(), windows.kernel_size());
    let (from, to) = if transposed { (grid, plane) } else { (plane, grid) };
    let (source, target) = (split.inputs * from, split.outputs * to);
    let count = split.batch * split.groups;
    let mut out = vec![T::default(); count * target];
    let size = split.inputs * split.outputs * kernel;
    let rows = kernel * if transposed { split.outputs } else { split.inputs };
    let mut columns = vec![T::default(); rows * grid];
    for (part, out) in out.chunks_mut(target.max(1)).enumerate() {
        let x = &x[part * source..(part + 1) * source];
        let group = part % split.groups;
        let weight = &weight[group * size..(group + 1) * size];
        if transposed {
            let weight = Matrix::new(weight, split.inputs, rows).transposed();
            T::multiply(weight, Matrix::new(x, split.inputs, grid), &mut columns);
            add_windows(windows, split.outputs, &columns, out);
        } else {
            lay_out(windows, split.inputs, x, &mut columns);
            T::multiply(Matrix::new(weight, split.outputs, rows), Matrix::new(&columns, rows, grid), out);
        }
        let Some(bias) = bias else { continue };
        let bias = &T::slice(bias)[group * split.outputs..];
        for (channel, &bias) in out.chunks_mut(to.max(1)).zip(bias) {
            channel.iter_mut().for_each(|value| *value = value.plus(bias));
        }
    }
    out
}

/// Copies the windows of an image into the columns of a matrix; the padding stays zero.
fn lay_out<T: Number>(windows: &Windows, channels: usize, image: &[T], columns: &mut [T]) {
    let step = windows.stride.last().copied().unwrap_or(1);
    windows.for_each_run(channels, |to, from, count| {
        if step == 1 {
            columns[to..to + count].copy_from_slice(&image[from..from + count]);
        } else {
            let source = image[from..].iter().step_by(step);
            columns[to..to + count].iter_mut().zip(source).for_each(|(to, from)| *to = *from);
        }
    });
}

/// Adds the columns of a matrix into the places of an image that they are windows of.
fn add_windows<T: Number>(windows: &Windows, channels: usize, columns: &[T], image: &mut [T]) {
    let step = windows.stride.last().copied().unwrap_or(1);
    windows.for_each_run(channels, |from, to, count| {
        let target = image[to..].iter_mut().step_by(step);
        target.zip(&columns[from..from + count]).for_each(|(to, from)| *to = to.plus(*from));
    });
}

#[cfg(test)]
mod tests;
