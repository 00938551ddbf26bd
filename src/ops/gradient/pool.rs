//! Pooling, by way of convolutions that lay windows out: a kernel that is the identity puts each place of a
//! window into a channel of its own, and its transpose puts it back.

use super::conv::{Moves, convolve, spread};
use super::{GradientCx, GradientError, Grads, Var, product};
use crate::ops::{Attr, Attrs};
use crate::types::{Dim, Shape, TensorType};

type Cx<'a, 'b> = &'a mut GradientCx<'b>;

/// Windows over planes of shape `[P, 1, sizes]`. With `ceil_mode` the padding stands in the planes themselves.
struct Windows {
    moves: Moves,
    kernel: Vec<Dim>,
    planes: Dim,
    /// Sizes of the axes that windows slide over, as they are convolved.
    sizes: Vec<Dim>,
    /// Explicit padding, where there is any.
    pads: Option<Vec<(Dim, Dim)>>,
    grid: Vec<Dim>,
}

impl Windows {
    fn read(cx: &GradientCx, axes: usize) -> Result<Windows, GradientError> {
        let dims = &cx.operands[0].shape.dims;
        let first = dims.len() - axes;
        let kernel = cx.spatial("kernel_size", axes)?;
        let stride = match cx.attrs.get("stride") {
            None | Some(Attr::None) => kernel.clone(),
            _ => cx.spatial("stride", axes)?,
        };
        let dilated = cx.op.params.iter().any(|param| param.name == "dilation");
        let one = Dim::constant(1);
        let dilation = if dilated { cx.spatial("dilation", axes)? } else { vec![one.clone(); axes] };
        let padding = cx.spatial("padding", axes)?;
        let grid = cx.results[0].shape.dims[first..].to_vec();
        let mut windows = Windows {
            moves: Moves { stride, padding, dilation, groups: one.clone() },
            kernel,
            planes: product(&dims[..first]),
            sizes: dims[first..].to_vec(),
            pads: None,
            grid,
        };
        if cx.attrs.bool("ceil_mode") == Some(true) {
            windows.pad_in_full();
        }
        Ok(windows)
    }

    /// The last windows may reach beyond the padding: there is one stride more of it, of which what no window reads
    /// is cut off. So there are as many windows as the grid has, whatever the sizes are.
    fn pad_in_full(&mut self) {
        let one = Dim::constant(1);
        let mut pads = vec![];
        for axis in 0..self.sizes.len() {
            let (low, stride) = (self.moves.padding[axis].clone(), &self.moves.stride[axis]);
            let reach = self.kernel[axis].sub(&one).mul(&self.moves.dilation[axis]).add(&one);
            self.sizes[axis] = self.grid[axis].sub(&one).mul(stride).add(&reach);
            pads.push((low.clone(), low.add(stride)));
            self.moves.padding[axis] = Dim::zero();
        }
        self.pads = Some(pads);
    }

    fn with(&self, planes: Dim, channels: Dim, sizes: &[Dim]) -> Vec<Dim> {
        [planes, channels].into_iter().chain(sizes.iter().cloned()).collect()
    }

    /// Planes with the explicit padding, where there is any.
    fn padded(&self, cx: Cx, x: Var) -> Result<Var, GradientError> {
        let Some(pads) = &self.pads else { return Ok(x) };
        let around = pads.iter().flat_map(|(low, high)| [low.clone(), high.clone()]).collect();
        let padded = cx.with("pad", &[x], Attrs::new().with("pads", Attr::Ints(around)))?;
        self.cut(cx, padded)
    }

    /// Without what no window reads.
    fn cut(&self, cx: Cx, mut planes: Var) -> Result<Var, GradientError> {
        for (axis, size) in self.sizes.iter().enumerate() {
            planes = cx.first(planes, axis + 2, size)?;
        }
        Ok(planes)
    }

    /// Planes of the operand's own sizes, padded.
    fn planes_of(&self, cx: Cx, x: Var) -> Result<Var, GradientError> {
        let dims = cx.operands[0].shape.dims.clone();
        let own = &dims[dims.len() - self.sizes.len()..];
        let x = cx.reshape(x, self.with(self.planes.clone(), Dim::constant(1), own))?;
        self.padded(cx, x)
    }

    /// 1 where there is an element, 0 in the padding.
    fn inside(&self, cx: Cx) -> Result<Var, GradientError> {
        let x = cx.operands[0].clone();
        let dims = &x.shape.dims;
        let own = &dims[dims.len() - self.sizes.len()..];
        let one = Dim::constant(1);
        let ones = cx.ones(&x.with_shape(Shape::new(self.with(one.clone(), one, own))))?;
        self.padded(cx, ones)
    }

    /// The gradient of the operand from what belongs to each channel of the windows.
    fn put_back(&self, cx: Cx, columns: Var, kernel: Var) -> Grads {
        let mut grad = spread(cx, columns, kernel, &self.moves, &self.sizes)?;
        let dims = cx.operands[0].shape.dims.clone();
        let first = dims.len() - self.sizes.len();
        if let Some(pads) = &self.pads {
            let own = &dims[first..];
            let sizes = own.iter().zip(pads).zip(&self.sizes);
            let beyond = sizes.flat_map(|((own, (low, high)), size)| [Dim::zero(), own.add(low).add(high).sub(size)]);
            grad = cx.with("pad", &[grad], Attrs::new().with("pads", Attr::Ints(beyond.collect())))?;
            for (axis, (own, (low, _))) in own.iter().zip(pads).enumerate() {
                grad = cx.slice(grad, axis + 2, low.clone(), low.add(own))?;
            }
        }
        let grad = cx.reshape(grad, dims)?;
        cx.only(grad)
    }
}

pub fn max_pool<const N: usize>(cx: Cx) -> Grads {
    let windows = Windows::read(cx, N)?;
    let (places, one) = (product(&windows.kernel), Dim::constant(1));
    let elem = cx.operands[0].elem.clone();
    let eye = Attrs::new().with("n", Attr::Int(places.clone())).with("dtype", Attr::DType(elem));
    let eye = cx.with("eye", &[], eye)?;
    let eye = cx.reshape(eye, windows.with(places.clone(), one.clone(), &windows.kernel))?;
    let x = cx.operand(0)?;
    let x = windows.planes_of(cx, x)?;
    let laid_out = convolve(cx, x, eye, &windows.moves)?;
    let inside = windows.inside(cx)?;
    let inside = convolve(cx, inside, eye, &windows.moves)?;
    let half = cx.number(0.5, inside)?;
    let inside = cx.op("gt", &[inside, half])?;
    let lowest = cx.number(f64::NEG_INFINITY, x)?;
    let laid_out = cx.op("where", &[inside, laid_out, lowest])?;
    // The first of equal elements gets the gradient, as in PyTorch.
    let winner = cx.with("argmax", &[laid_out], super::axis_attr(1))?;
    let chosen = cx.with("one_hot", &[winner], Attrs::new().with("num_classes", Attr::Int(places)))?;
    let order: Vec<usize> = [0, N + 1].into_iter().chain(1..=N).collect();
    let chosen = cx.permute(chosen, &order)?;
    let ty = cx.operands[0].clone();
    let chosen = cx.cast_like(chosen, &ty)?;
    let grad = cx.grad()?;
    let grad = cx.reshape(grad, windows.with(windows.planes.clone(), one, &windows.grid))?;
    let columns = cx.mul(chosen, grad)?;
    windows.put_back(cx, columns, eye)
}

pub fn average_pool<const N: usize>(cx: Cx) -> Grads {
    let windows = Windows::read(cx, N)?;
    let one = Dim::constant(1);
    let elem = cx.operands[0].elem.clone();
    let kernel = Shape::new(windows.with(one.clone(), one.clone(), &windows.kernel));
    let kernel = cx.ones(&TensorType::new(elem, kernel))?;
    let grad = cx.grad()?;
    let grad = cx.reshape(grad, windows.with(windows.planes.clone(), one, &windows.grid))?;
    let count = if cx.attrs.bool("count_include_pad") == Some(false) {
        let inside = windows.inside(cx)?;
        convolve(cx, inside, kernel, &windows.moves)?
    } else if windows.pads.is_some() {
        let counted = counted_padding(cx, &windows)?;
        convolve(cx, counted, kernel, &windows.moves)?
    } else {
        cx.scalar(Attr::Int(product(&windows.kernel)), grad)?
    };
    let share = cx.div(grad, count)?;
    windows.put_back(cx, share, kernel)
}

/// 1 on elements and on the padding that was asked for, 0 beyond it.
fn counted_padding(cx: Cx, windows: &Windows) -> Result<Var, GradientError> {
    let dims = cx.operands[0].shape.dims.clone();
    let pads = windows.pads.iter().flatten();
    let own = &dims[dims.len() - windows.sizes.len()..];
    let counted: Vec<Dim> = own.iter().zip(pads.clone()).map(|(size, (low, _))| size.add(&low.scale(2))).collect();
    let beyond = pads.flat_map(|(low, high)| [Dim::zero(), high.sub(low)]).collect();
    let one = Dim::constant(1);
    let planes = Shape::new(windows.with(one.clone(), one, &counted));
    let ones = cx.ones(&TensorType::new(cx.operands[0].elem.clone(), planes))?;
    let padded = cx.with("pad", &[ones], Attrs::new().with("pads", Attr::Ints(beyond)))?;
    windows.cut(cx, padded)
}
