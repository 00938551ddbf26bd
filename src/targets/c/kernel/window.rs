//! Windows that slide over the last axes: of convolutions and pooling; and enlarging them.

use super::access::count;
use super::maker::{Maker, Outcome, Use};
use super::moves::ints;
use crate::ops::Attr;
use crate::targets::c::text::{C, carrier, number};
use crate::types::{DType, Dim};

pub(super) struct Window {
    /// Sizes of the axes that it slides over.
    plane: Vec<Dim>,
    pub kernel: Vec<Dim>,
    stride: Vec<Dim>,
    padding: Vec<Dim>,
    dilation: Vec<Dim>,
    /// Whether windows may hang over the end of the padding.
    overhangs: bool,
}

/// What places along an axis are called.
const NAMES: [&str; 3] = ["column", "row", "layer"];

impl Window {
    pub fn of_convolution(maker: &Maker<'_>, using: Use<'_>) -> Outcome<Window> {
        let (image, weight) = (maker.shape_of(using.inst.operands[0])?, maker.shape_of(using.inst.operands[1])?);
        Window::of(maker, using, image[2..].to_vec(), weight[2..].to_vec())
    }

    fn of_pooling(maker: &Maker<'_>, using: Use<'_>) -> Outcome<Window> {
        let image = maker.shape_of(using.inst.operands[0])?;
        // The name ends in the number of axes.
        let axes = using.op.name().bytes().rev().nth(1).map_or(1, |digit| usize::from(digit.saturating_sub(b'0')));
        let kernel = ints(maker, using, "kernel_size", axes)?;
        Window::of(maker, using, image[image.len() - axes..].to_vec(), kernel)
    }

    fn of(maker: &Maker<'_>, using: Use<'_>, plane: Vec<Dim>, kernel: Vec<Dim>) -> Outcome<Window> {
        let axes = kernel.len();
        let stride = match using.attrs.get("stride") {
            None | Some(Attr::None) => kernel.clone(),
            _ => ints(maker, using, "stride", axes)?,
        };
        let dilation = match using.attrs.get("dilation") {
            None | Some(Attr::None) => vec![Dim::constant(1); axes],
            _ => ints(maker, using, "dilation", axes)?,
        };
        let padding = ints(maker, using, "padding", axes)?;
        let overhangs = using.attrs.bool("ceil_mode") == Some(true);
        Ok(Window { plane, kernel, stride, padding, dilation, overhangs })
    }

    /// The place in the plane of a place in a window.
    pub fn source(&self, axis: usize, window: &Dim, kernel: &Dim) -> Dim {
        window.mul(&self.stride[axis]).add(&kernel.mul(&self.dilation[axis])).sub(&self.padding[axis])
    }

    /// Whether all of each window lies in the plane.
    fn fits(&self, axis: usize) -> bool {
        self.padding[axis].is_const(0) && !self.overhangs
    }

    /// Opens a loop over the kernel along an axis that leaves out what is beyond the plane. Gives the places in the plane
    /// and in the kernel.
    pub fn open(&self, maker: &mut Maker<'_>, axis: usize, window: &Dim) -> Outcome<(Dim, Dim)> {
        let kernel = maker.separate_loops(std::slice::from_ref(&self.kernel[axis])).at[0].clone();
        let place = self.source(axis, window, &kernel);
        if self.fits(axis) {
            return Ok((place, kernel));
        }
        let text = maker.index(&place);
        let name = NAMES[(self.kernel.len() - 1 - axis).min(NAMES.len() - 1)];
        let place = maker.index_variable(name, text, &self.plane[axis]);
        let (own, size) = (maker.index(&place), maker.index(&self.plane[axis]));
        let before = match self.padding[axis].is_const(0) {
            true => C::truth(false),
            false => C::binary(own.clone(), "<", C::atom("0")),
        };
        let outside = C::or(before, C::binary(own, ">=", size));
        maker.skip_where(outside, &self.kernel[axis]);
        Ok((place, kernel))
    }

    /// Opens a loop over the windows along an axis for which a place of the kernel lies in the plane.
    pub fn open_line(&self, maker: &mut Maker<'_>, axis: usize, kernel: &Dim, windows: &Dim) -> Outcome<Dim> {
        if self.fits(axis) {
            return Ok(maker.separate_loops(std::slice::from_ref(windows)).at[0].clone());
        }
        let low = self.padding[axis].sub(&kernel.mul(&self.dilation[axis]));
        let high = low.add(&self.plane[axis]);
        let up = |maker: &mut Maker<'_>, value: &Dim| match self.stride[axis].is_const(1) {
            true => maker.index(value),
            false => {
                let raised = value.add(&self.stride[axis]).sub(&Dim::constant(1));
                let (raised, step) = (maker.index(&raised), maker.index(&self.stride[axis]));
                C::binary(raised, "/", step)
            }
        };
        let (first, last) = (up(maker, &low), up(maker, &high));
        let (low, high, bound) = (maker.index(&low), maker.index(&high), maker.index(windows));
        let zero = || C::atom("0");
        let first = C::conditional(C::binary(low, ">", zero()), first, zero());
        let C::Atom(first) = maker.constant("int64_t", "first", first) else { return Ok(Dim::zero()) };
        let capped = C::conditional(C::binary(last.clone(), "<", bound.clone()), last, bound);
        let last = match self.stride[axis].is_const(1) {
            true => capped,
            // The quotient of a negative number would be rounded up.
            false => C::conditional(C::binary(high, ">", zero()), capped, zero()),
        };
        let C::Atom(last) = maker.constant("int64_t", "last", last) else { return Ok(Dim::zero()) };
        let variable = maker.open_loop(windows);
        maker.take_head(format!("for (int64_t {variable} = {first}; {variable} < {last}; {variable}++)"));
        Ok(Dim::symbol(variable.as_str()))
    }

    /// By how many elements the sum of a window is divided.
    fn elements(&self, maker: &mut Maker<'_>, windows: &[Dim], includes_padding: bool) -> C {
        let all = count(&self.kernel);
        let axes = 0..self.kernel.len();
        let is_whole = axes.clone().all(|axis| self.fits(axis) || includes_padding && !self.overhangs);
        if is_whole && let Some(all) = all.as_const() {
            return number(DType::Float64, all as f64);
        }
        let mut product: Option<C> = None;
        for axis in axes {
            let begin = windows[axis].mul(&self.stride[axis]);
            let end = begin.add(&self.kernel[axis]);
            let (size, padding) = (&self.plane[axis], &self.padding[axis]);
            let elements = match includes_padding {
                true => end.minimum(&size.add(&padding.scale(2))).sub(&begin),
                false => end.minimum(&size.add(padding)).sub(&begin.maximum(padding)),
            };
            let elements = maker.index(&elements);
            product = Some(match product.take() {
                None => elements,
                Some(product) => C::binary(product, "*", elements),
            });
        }
        let elements = maker.constant("int64_t", "elements", product.unwrap_or(C::atom("1")));
        C::cast("double", elements)
    }
}

/// The place of a pool's axes in an index.
fn split<'d>(window: &Window, at: &'d [Dim]) -> (&'d [Dim], &'d [Dim]) {
    at.split_at(at.len() - window.kernel.len())
}

pub(super) fn maximum<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let dtype = maker.dtype(operand);
    let window = Window::of_pooling(maker, using)?;
    let (outer, windows) = split(&window, at);
    let lowest = crate::targets::pytext::Py::name("lowest");
    let lowest = maker.expand(&lowest, dtype, &|_| None)?;
    let best = maker.variable(carrier(dtype), "best", lowest);
    let open = maker.depth();
    let mut place = outer.to_vec();
    for (axis, own) in windows.iter().enumerate() {
        place.push(window.open(maker, axis, own)?.0);
    }
    let element = maker.element(operand, &place)?;
    let value = match dtype.is_float() {
        true => maker.call("maximum", dtype, vec![C::atom(&best), element])?,
        false => {
            let element = if element.is_place() { element } else { maker.constant(carrier(dtype), "t", element) };
            C::conditional(C::binary(element.clone(), ">", C::atom(&best)), element, C::atom(&best))
        }
    };
    maker.statement(format!("{best} = "), value);
    while maker.depth() > open {
        maker.close();
    }
    Ok(C::Atom(best))
}

pub(super) fn average<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let window = Window::of_pooling(maker, using)?;
    let (outer, windows) = split(&window, at);
    let sum = maker.variable("double", "sum", C::atom("0.0"));
    let open = maker.depth();
    let mut place = outer.to_vec();
    for (axis, own) in windows.iter().enumerate() {
        place.push(window.open(maker, axis, own)?.0);
    }
    let element = maker.element(operand, &place)?;
    maker.statement(format!("{sum} += "), element);
    while maker.depth() > open {
        maker.close();
    }
    let includes_padding = using.attrs.bool("count_include_pad") == Some(true);
    let elements = window.elements(maker, windows, includes_padding);
    let mean = C::binary(C::Atom(sum), "/", elements);
    maker.converted(mean, DType::Float64, maker.dtype(operand))
}

pub(super) fn upsample<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let shape = maker.shape_of(operand)?;
    let factors = ints(maker, using, "scale_factor", shape.len() - 2)?;
    let mut place = at.to_vec();
    if using.attrs.str("mode").unwrap_or("nearest") == "nearest" {
        for (axis, factor) in (2..).zip(&factors) {
            place[axis] = maker.ranges.divide(&at[axis], factor);
        }
        return maker.element(operand, &place);
    }
    // Along each axis the two neighbours, and how near the second one is.
    let mut neighbours = vec![];
    for (axis, factor) in (2..).zip(&factors) {
        let (index, factor, size) = (maker.index(&at[axis]), maker.index(factor), maker.index(&shape[axis]));
        maker.helper("interpolate");
        let middle = maker.constant("double", "middle", C::call("source_middle", vec![index, factor]));
        let low = maker.index_variable("low", C::cast("int64_t", middle.clone()), &shape[axis]);
        let low_text = maker.index(&low);
        let next = C::binary(low_text.clone(), "+", C::atom("1"));
        let high = C::conditional(C::binary(next.clone(), "<", size), next, low_text.clone());
        let high = maker.index_variable("high", high, &shape[axis]);
        let share = maker.constant("double", "share", C::binary(middle, "-", low_text));
        neighbours.push((low, high, share));
    }
    let value = between(maker, using, &mut place, &neighbours, neighbours.len())?;
    maker.converted(value, DType::Float64, maker.dtype(operand))
}

/// The mixture along the first so many axes, the last of them outermost, as they are interpolated one after another.
fn between<'a>(
    maker: &mut Maker<'a>,
    using: Use<'a>,
    place: &mut Vec<Dim>,
    neighbours: &[(Dim, Dim, C)],
    axes: usize,
) -> Outcome<C> {
    let Some((low, high, share)) = axes.checked_sub(1).map(|axis| neighbours[axis].clone()) else {
        return maker.element(using.inst.operands[0], place);
    };
    place[axes + 1] = low;
    let first = between(maker, using, place, neighbours, axes - 1)?;
    place[axes + 1] = high;
    let second = between(maker, using, place, neighbours, axes - 1)?;
    let rest = C::binary(C::atom("1.0"), "-", share.clone());
    Ok(C::binary(C::binary(first, "*", rest), "+", C::binary(second, "*", share)))
}
