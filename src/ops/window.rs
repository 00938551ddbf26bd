//! Windows that slide over the last axes of a tensor: what convolution and pooling share.
//!
//! An axis of size `n`, padded by `p` on both sides, holds `(n + 2*p - reach) // stride + 1` windows, where
//! a kernel of `k` elements with dilation `d` reaches over `d*(k - 1) + 1` places.

use crate::base::code;
use crate::ops::storage::for_each_offset;
use crate::ops::{EvalCx, EvalError, OpError, RuleCx, Stop};
use crate::types::Dim;
use crate::types::tensor::strides;

/// The window of one axis, in a rule.
pub struct AxisWindow {
    pub kernel: Dim,
    pub stride: Dim,
    pub padding: Dim,
    pub dilation: Dim,
}

impl AxisWindow {
    /// How many places the kernel spans.
    pub fn reach(&self) -> Dim {
        self.kernel.sub(&Dim::constant(1)).mul(&self.dilation).add(&Dim::constant(1))
    }
}

/// Windows over `kernel.len()` axes with the op's `stride`, `padding` and (where it has one) `dilation`.
/// A stride of `None` is the kernel's size.
pub fn windows(cx: &mut RuleCx<'_>, kernel: &[Dim]) -> Result<Vec<AxisWindow>, Stop> {
    let count = kernel.len();
    let none = matches!(cx.attrs.get("stride"), Some(crate::ops::Attr::None));
    let stride = if none { kernel.to_vec() } else { cx.spatial("stride", count)? };
    let padding = cx.spatial("padding", count)?;
    let dilated = cx.op.params.iter().any(|p| p.name == "dilation");
    let dilation = if dilated { cx.spatial("dilation", count)? } else { vec![Dim::constant(1); count] };
    for axis in 0..count {
        require_size(cx, "the kernel's size", &kernel[axis], 1)?;
        require_size(cx, "`stride`", &stride[axis], 1)?;
        require_size(cx, "`padding`", &padding[axis], 0)?;
        require_size(cx, "`dilation`", &dilation[axis], 1)?;
    }
    let parts = kernel.iter().zip(stride).zip(padding.into_iter().zip(dilation));
    let window = |((kernel, stride), (padding, dilation)): ((&Dim, Dim), (Dim, Dim))| AxisWindow {
        kernel: kernel.clone(),
        stride,
        padding,
        dilation,
    };
    Ok(parts.map(window).collect())
}

/// Requires a number to be at least `least`, else E0310.
pub fn require_size(cx: &mut RuleCx<'_>, what: &str, value: &Dim, least: i64) -> Result<(), Stop> {
    let op = cx.op.name;
    cx.require_at_least(value, &Dim::constant(least), || {
        OpError::new(code::E0310, format!("`{op}`: {what} must be at least {least}, not {value}"))
    })
}

/// How many windows there are along an axis of operand 0.
pub fn window_count(cx: &mut RuleCx<'_>, size: &Dim, window: &AxisWindow, ceil_mode: bool) -> Result<Dim, Stop> {
    let reach = window.reach();
    let padded = size.add(&window.padding.scale(2));
    let (op, shape) = (cx.op.name, &cx.operand(0).shape);
    // With `ceil_mode` the last window may reach beyond the end, so that the first may, too.
    let beyond = if ceil_mode { window.stride.sub(&Dim::constant(1)) } else { Dim::zero() };
    cx.require_at_least(&padded.add(&beyond), &reach, || {
        let message =
            format!("`{op}`: a kernel that spans {reach} does not fit in an axis of {padded} with its padding");
        OpError::new(code::E0310, message).label(0, format!("[{shape}]"))
    })?;
    let (room, one) = (padded.sub(&reach), Dim::constant(1));
    let divided = |numerator: &Dim, ceil: bool| {
        let quotient = if ceil { numerator.ceil_div(&window.stride) } else { numerator.floor_div(&window.stride) };
        quotient.ok_or_else(|| cx.unknown())
    };
    if !ceil_mode {
        return Ok(divided(&room, false)?.add(&one));
    }
    let count = divided(&room, true)?.add(&one);
    // A last window that would begin in the padding on the right is left out. None does if the kernel
    // spans at least a stride and the padding.
    if cx.facts.at_least(&reach, &window.stride.add(&window.padding)) == Some(true) {
        return Ok(count);
    }
    Ok(count.minimum(&divided(&size.add(&window.padding), true)?))
}

/// No kernel, stride, padding or dilation of an evaluation is larger, so that their products fit a `usize`
/// and no loop over a window runs for ever.
const MAX_WINDOW: usize = 1 << 24;

/// Windows in an evaluation: sizes of the padded plane's axes and of the grid of windows over them.
pub struct Windows {
    /// Sizes of the axes that the windows slide over.
    pub plane: Vec<usize>,
    pub kernel: Vec<usize>,
    pub stride: Vec<usize>,
    pub padding: Vec<usize>,
    pub dilation: Vec<usize>,
    /// How many windows along each axis.
    pub grid: Vec<usize>,
}

impl Windows {
    /// Reads the op's attributes; the grid is empty until [`Windows::slide`] or the caller fills it.
    pub fn read(cx: &EvalCx<'_>, plane: &[usize], kernel: &[usize]) -> Result<Windows, EvalError> {
        let count = kernel.len();
        let stride = match cx.attrs.get("stride") {
            Some(crate::ops::Attr::None) => kernel.to_vec(),
            _ => cx.spatial("stride", count)?,
        };
        let dilated = cx.op.params.iter().any(|p| p.name == "dilation");
        let dilation = if dilated { cx.spatial("dilation", count)? } else { vec![1; count] };
        let padding = cx.spatial("padding", count)?;
        let huge = |sizes: &[usize]| sizes.iter().any(|size| *size > MAX_WINDOW);
        if [kernel, &stride, &padding, &dilation].into_iter().any(huge) {
            return Err(EvalError(format!("{}: a window of more than {MAX_WINDOW} elements", cx.op.name)));
        }
        if [kernel, &stride, &dilation].iter().any(|sizes| sizes.contains(&0)) {
            return Err(EvalError(format!("{}: kernel, stride and dilation must be at least 1", cx.op.name)));
        }
        let (plane, kernel) = (plane.to_vec(), kernel.to_vec());
        Ok(Windows { plane, kernel, stride, padding, dilation, grid: vec![] })
    }

    pub fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    /// Fills the grid with the windows that fit in the plane.
    pub fn slide(mut self, op: &str, ceil_mode: bool) -> Result<Windows, EvalError> {
        for axis in 0..self.plane.len() {
            let (size, padding, stride) = (self.plane[axis], self.padding[axis], self.stride[axis]);
            let reach = self.reach(axis);
            let beyond = if ceil_mode { stride - 1 } else { 0 };
            let room = (size + 2 * padding + beyond).checked_sub(reach).ok_or_else(|| {
                EvalError(format!(
                    "{op}: a kernel that spans {reach} does not fit in an axis of {size}, padding {padding}"
                ))
            })?;
            self.grid.push(match ceil_mode {
                false => room / stride + 1,
                true => (room / stride + 1).min((size + padding).div_ceil(stride)),
            });
        }
        Ok(self)
    }

    pub fn plane_size(&self) -> usize {
        self.plane.iter().product()
    }

    pub fn kernel_size(&self) -> usize {
        self.kernel.iter().product()
    }

    pub fn grid_size(&self) -> usize {
        self.grid.iter().product()
    }

    /// Along one axis, for one place in the kernel: the windows `low..high` for which that place lies
    /// inside the plane, and the place of the first of them.
    pub fn inside(&self, axis: usize, kernel_index: usize) -> (usize, usize, usize) {
        let (shift, padding, stride) = (kernel_index * self.dilation[axis], self.padding[axis], self.stride[axis]);
        let low = padding.saturating_sub(shift).div_ceil(stride);
        let limit = (self.plane[axis] + padding).saturating_sub(shift).div_ceil(stride);
        let high = limit.min(self.grid[axis]).max(low);
        (low, high, (low * stride + shift).saturating_sub(padding))
    }

    /// Walks the matrix with a row for each channel and place in the kernel, and a column for each window:
    /// `visit(start in the matrix, start in the planes, count)` for every run of neighbouring windows;
    /// from one window of a run to the next, the place in the plane moves by the last axis' stride.
    pub fn for_each_run(&self, channels: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let Some(last) = self.plane.len().checked_sub(1) else { return };
        let (plane_size, grid_size) = (self.plane_size(), self.grid_size());
        let (plane_strides, grid_strides) = (strides(&self.plane), strides(&self.grid));
        let mut kernel_index = vec![0; last + 1];
        for row in 0..channels * self.kernel_size() {
            let mut rest = row % self.kernel_size();
            for axis in (0..=last).rev() {
                kernel_index[axis] = rest % self.kernel[axis];
                rest /= self.kernel[axis];
            }
            // Runs along the last axis; the other axes' windows inside the plane are enumerated.
            let (low, high, place) = self.inside(last, kernel_index[last]);
            let mut counts = vec![];
            let mut steps = vec![];
            let mut matrix_start = row * grid_size + low;
            let mut plane_start = row / self.kernel_size() * plane_size + place;
            for axis in 0..last {
                let (low, high, place) = self.inside(axis, kernel_index[axis]);
                counts.push(high - low);
                steps.push((grid_strides[axis], plane_strides[axis] * self.stride[axis]));
                matrix_start += low * grid_strides[axis];
                plane_start += place * plane_strides[axis];
            }
            if low == high {
                continue;
            }
            let matrix_steps: Vec<isize> = steps.iter().map(|(matrix, _)| *matrix as isize).collect();
            let plane_steps: Vec<isize> = steps.iter().map(|(_, plane)| *plane as isize).collect();
            let mut starts = vec![];
            for_each_offset(&counts, &plane_steps, plane_start, |start| starts.push(start));
            let mut starts = starts.into_iter();
            for_each_offset(&counts, &matrix_steps, matrix_start, |start| {
                visit(start, starts.next().unwrap_or(plane_start), high - low);
            });
        }
    }
}
