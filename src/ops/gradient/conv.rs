//! Convolutions: the gradient of the input is the transposed convolution, that of the weight a convolution of
//! the input with the gradient, in which batch and channels change places, and stride and dilation, too.

use super::{GradientCx, GradientError, Grads, Var};
use crate::ops::{Attr, Attrs};
use crate::types::Dim;

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

/// How windows move, axis by axis.
#[derive(Clone)]
pub struct Moves {
    pub stride: Vec<Dim>,
    pub padding: Vec<Dim>,
    pub dilation: Vec<Dim>,
    pub groups: Dim,
}

impl Moves {
    fn read(cx: &GradientCx, axes: usize) -> Result<Moves, GradientError> {
        Ok(Moves {
            stride: cx.spatial("stride", axes)?,
            padding: cx.spatial("padding", axes)?,
            dilation: cx.spatial("dilation", axes)?,
            groups: cx.dim("groups")?,
        })
    }

    fn attrs(&self) -> Attrs {
        Attrs::new()
            .with("stride", Attr::Ints(self.stride.clone()))
            .with("padding", Attr::Ints(self.padding.clone()))
            .with("dilation", Attr::Ints(self.dilation.clone()))
            .with("groups", Attr::Int(self.groups.clone()))
    }
}

pub fn convolve(cx: Cx, x: Var, weight: Var, moves: &Moves) -> Result<Var, GradientError> {
    let name = format!("conv{}d", moves.stride.len());
    cx.with(&name, &[x, weight], moves.attrs())
}

/// Spreads the windows over axes of the given sizes: the transpose of [`convolve`].
pub fn spread(cx: Cx, grad: Var, weight: Var, moves: &Moves, sizes: &[Dim]) -> Result<Var, GradientError> {
    let kernel = cx.ty(weight).shape.dims;
    let grid = cx.ty(grad).shape.dims;
    let one = Dim::constant(1);
    let left_over = |axis: usize| {
        let reach = kernel[axis + 2].sub(&one).mul(&moves.dilation[axis]).add(&one);
        let covered = grid[axis + 2].sub(&one).mul(&moves.stride[axis]).add(&reach);
        sizes[axis].add(&moves.padding[axis].scale(2)).sub(&covered)
    };
    let extra = (0..sizes.len()).map(left_over).collect();
    let name = format!("conv_transpose{}d", sizes.len());
    cx.with(&name, &[grad, weight], moves.attrs().with("output_padding", Attr::Ints(extra)))
}

/// `x: [B, G * I, ...]` and `grad: [B, O, ...]` give `[O, I, ...]`, with a kernel of these sizes.
fn weight_gradient(cx: Cx, x: Var, grad: Var, moves: &Moves, weight: &[Dim]) -> Result<Var, GradientError> {
    let dims = cx.ty(x).shape.dims;
    let rank = dims.len();
    let exchanged: Vec<usize> = [1, 0].into_iter().chain(2..rank).collect();
    let image = if moves.groups.is_const(1) {
        cx.permute(x, &exchanged)?
    } else {
        let (groups, inputs) = (moves.groups.clone(), weight[1].clone());
        let sizes = || dims[2..].iter().cloned();
        let apart = [dims[0].clone(), groups.clone(), inputs.clone()].into_iter().chain(sizes()).collect();
        let apart = cx.reshape(x, apart)?;
        let order: Vec<usize> = [2, 1, 0].into_iter().chain(3..rank + 1).collect();
        let apart = cx.permute(apart, &order)?;
        cx.reshape(apart, [inputs, groups.mul(&dims[0])].into_iter().chain(sizes()).collect())?
    };
    let kernel = cx.permute(grad, &exchanged)?;
    let swapped = Moves { stride: moves.dilation.clone(), dilation: moves.stride.clone(), ..moves.clone() };
    let mut result = convolve(cx, image, kernel, &swapped)?;
    // A stride that leaves a rest makes the kernel look larger than it is.
    for (axis, size) in weight.iter().enumerate().skip(2) {
        result = cx.first(result, axis, size)?;
    }
    cx.permute(result, &exchanged)
}

fn bias_gradient(cx: Cx, grad: Var) -> Result<Var, GradientError> {
    let rank = cx.results[0].shape.dims.len();
    let axes: Vec<usize> = (0..rank).filter(|axis| *axis != 1).collect();
    cx.sum(grad, &axes, false)
}

pub fn conv(cx: Cx) -> Grads {
    let grad = cx.grad()?;
    let (image, kernel) = (cx.operands[0].shape.dims.clone(), cx.operands[1].shape.dims.clone());
    let moves = Moves::read(cx, image.len() - 2)?;
    let mut grads = vec![None; cx.operands.len()];
    if cx.wanted[0] {
        let weight = cx.operand(1)?;
        grads[0] = Some(spread(cx, grad, weight, &moves, &image[2..])?);
    }
    if cx.wanted[1] {
        let x = cx.operand(0)?;
        grads[1] = Some(weight_gradient(cx, x, grad, &moves, &kernel)?);
    }
    if cx.wanted.get(2) == Some(&true) {
        grads[2] = Some(bias_gradient(cx, grad)?);
    }
    Ok(grads)
}

pub fn transposed(cx: Cx) -> Grads {
    let grad = cx.grad()?;
    let (grid, kernel) = (cx.operands[0].shape.dims.clone(), cx.operands[1].shape.dims.clone());
    let moves = Moves::read(cx, grid.len() - 2)?;
    let mut grads = vec![None; cx.operands.len()];
    if cx.wanted[0] {
        let weight = cx.operand(1)?;
        let mut result = convolve(cx, grad, weight, &moves)?;
        for (axis, size) in grid.iter().enumerate().skip(2) {
            result = cx.first(result, axis, size)?;
        }
        grads[0] = Some(result);
    }
    if cx.wanted[1] {
        let x = cx.operand(0)?;
        grads[1] = Some(weight_gradient(cx, grad, x, &moves, &kernel)?);
    }
    if cx.wanted.get(2) == Some(&true) {
        grads[2] = Some(bias_gradient(cx, grad)?);
    }
    Ok(grads)
}
