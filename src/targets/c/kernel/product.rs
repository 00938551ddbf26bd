//! Products: of matrices, of rows with matrices that an index picks, convolutions and their transposes.
//!
//! An element of a product is a loop over what is summed up. Two forms compute several elements at once, so that the inner
//! loop runs along memory and a compiler can use vectors: *columns* of a matrix product whose right factor lies row by row,
//! and *lines* of a convolution. Both keep the sums in a small array, and a loop over that does what follows the product
//! ([`Maker::product_nest`]): whoever computes the sums in another way, such as a kernel for tiles, needs only to fill it.
//!
//! Floats are summed in their own type (half floats as `float`), integers in an unsigned one where they could overflow.

use super::Held;
use super::access::{count, offset};
use super::maker::{Maker, Outcome, Use};
use super::moves::{int, ints};
use super::window::Window;
use crate::ir::{Inst, InstKind, ValueId};
use crate::ops::matmul::TRANSPOSE;
use crate::ops::traits::{Movement, Product, Role};
use crate::targets::c::text::{C, carrier, number};
use crate::types::{DType, Dim};

/// Sums that are kept at a time, where the number of columns is larger or not known.
const COLUMNS: i64 = 64;
/// As many columns are one array.
const MAX_COLUMNS: i64 = 512;
/// No sum of so many products of 8-bit numbers leaves 32 bits: `131071 * 128 * 128 < 2^31`.
const MAX_INNER: i64 = 131_071;

/// Indices of both factors for an index of the result and one of the axis that is summed over.
pub(super) struct Matrices {
    pub left: Vec<Dim>,
    pub right: Vec<Dim>,
    inner: Dim,
    left_inner: usize,
    right_inner: usize,
    /// The axis of the right factor that is the last of the result, if there is one.
    column: Option<usize>,
}

impl Matrices {
    pub fn of(maker: &Maker<'_>, using: Use<'_>, at: &[Dim]) -> Outcome<Matrices> {
        let [a, b] = using.inst.operands[..] else { return Err(maker.refuse("has not two operands")) };
        let (left_shape, right_shape) = (maker.shape_of(a)?, maker.shape_of(b)?);
        let transposed = TRANSPOSE.map(|flag| using.attrs.flag(flag));
        let (rows, columns) = (usize::from(left_shape.len() > 1), usize::from(right_shape.len() > 1));
        let batch = at.len() - rows - columns;
        let result_batch = &at[..batch];
        // The last two axes of a factor: the one that is kept and the one that is summed over.
        let place = |shape: &[Dim], kept: Option<&Dim>, inner_last: bool| {
            let leading = shape.len().saturating_sub(2);
            let mut index: Vec<Dim> =
                (0..leading)
                    .map(|axis| {
                        if shape[axis].is_const(1) { Dim::zero() } else { result_batch[batch - leading + axis].clone() }
                    })
                    .collect();
            let inner = match kept {
                None => leading,
                Some(_) if inner_last => leading + 1,
                Some(_) => leading,
            };
            index.extend(kept.cloned());
            index.insert(inner, Dim::zero());
            (index, inner)
        };
        let row = (rows == 1).then(|| &at[batch]);
        let column = (columns == 1).then(|| &at[batch + rows]);
        let (left, left_inner) = place(&left_shape, row, !transposed[0]);
        let (right, right_inner) = place(&right_shape, column, transposed[1]);
        let column =
            column.map(|_| if right_inner + 1 == right_shape.len() { right_inner - 1 } else { right_inner + 1 });
        Ok(Matrices { left, right, inner: left_shape[left_inner].clone(), left_inner, right_inner, column })
    }

    pub fn at(&mut self, inner: &Dim) {
        self.left[self.left_inner] = inner.clone();
        self.right[self.right_inner] = inner.clone();
    }
}

/// In which type products are summed up, and whether factors must be converted to it.
fn sum_type(maker: &Maker<'_>, using: Use<'_>, terms: &Dim) -> (DType, bool) {
    let dtype = maker.dtype(using.inst.results[0]);
    let is_small = using.inst.operands[..2].iter().all(|operand| maker.dtype(*operand).bits() <= 8);
    match dtype {
        DType::Float64 => (DType::Float64, false),
        _ if dtype.is_float() => (DType::Float32, false),
        DType::Int32 if is_small && terms.as_const().is_some_and(|terms| terms <= MAX_INNER) => (DType::Int32, false),
        _ if dtype.bits() == 64 => (DType::UInt64, dtype != DType::UInt64),
        _ => (DType::UInt32, dtype != DType::UInt32),
    }
}

impl<'a> Maker<'a> {
    /// One more product on a sum.
    fn add_product(&mut self, sum: &str, left: C, right: C, (kept, converts): (DType, bool)) {
        let convert = |c: C| if converts { C::cast(carrier(kept), c) } else { c };
        self.statement(format!("{sum} += "), C::binary(convert(left), "*", convert(right)));
    }

    /// A sum as an element of the result.
    fn product_of(&mut self, using: Use<'_>, sum: C, kept: DType) -> C {
        let dtype = self.dtype(using.inst.results[0]);
        match dtype {
            _ if dtype == kept => sum,
            _ if dtype.is_float() => self.rounded(dtype, sum),
            _ => C::cast(carrier(dtype), sum),
        }
    }

    /// Whether steps along an axis of a value are steps in memory.
    pub fn runs_along(&self, value: ValueId, axis: usize) -> bool {
        let rank = self.function[value].ty.shape.dims.len();
        if self.operand(value).is_some() {
            return axis + 1 == rank;
        }
        let Some((inst, _)) = self.makers.get(&value) else { return false };
        let InstKind::Op { op, attrs } = &inst.kind else { return false };
        match (op.movement(), op.role()) {
            (Movement::Permutes(axes), _) => axes(attrs, rank)
                .and_then(|axes| axes.get(axis).copied())
                .is_some_and(|own| self.runs_along(inst.operands[0], own)),
            (_, Role::Elementwise | Role::Conversion) => self.runs_along(inst.operands[0], axis),
            _ => false,
        }
    }

    /// A pointer to an element of an operand that lies in memory as it is.
    fn pointer(&mut self, value: ValueId, at: &[Dim]) -> Option<C> {
        let operand = self.operand(value)?.clone();
        self.note_read(&operand);
        if operand.held != Held::Plain || operand.dtype != DType::Float32 {
            return None;
        }
        let offset = offset(at, &operand.shape);
        // What follows it is read, too, so the place must not be taken.
        self.reads.push((value, Dim::constant(-1)));
        Some(match offset.is_const(0) {
            true => C::Atom(operand.name),
            // An argument, for which no parentheses are needed.
            false => C::Atom(format!("{} + {}", operand.name, self.index(&offset).text())),
        })
    }

    /// The product of two rows of floats in memory.
    fn dot(&mut self, using: Use<'a>, matrices: &Matrices) -> Option<C> {
        let [a, b] = using.inst.operands[..] else { return None };
        let runs = self.runs_along(a, matrices.left_inner) && self.runs_along(b, matrices.right_inner);
        if !runs || matrices.inner.as_const().is_some_and(|inner| inner < 8) {
            return None;
        }
        let plain = |maker: &Self, value| {
            maker.operand(value).is_some_and(|own| own.held == Held::Plain && own.dtype == DType::Float32)
        };
        if !plain(self, a) || !plain(self, b) {
            return None;
        }
        let (left, right) = (self.pointer(a, &matrices.left)?, self.pointer(b, &matrices.right)?);
        self.helper("dot");
        let inner = self.index(&matrices.inner);
        Some(C::call("dot_float", vec![left, right, inner]))
    }

    /// Loops that compute several elements of a product at once, where there is a form for that. Gives the results that are
    /// left.
    pub fn product_nest(&mut self, inst: &'a Inst, results: Vec<usize>) -> Outcome<Vec<usize>> {
        let InstKind::Op { op, attrs } = &inst.kind else { return Ok(results) };
        let using = Use { op: *op, attrs, inst };
        let shape = self.shape_of(inst.results[0])?;
        let is_tiled = match op.product() {
            Some(Product::Matrix) => self.matrix_tiles(using, &shape, &results)?,
            Some(Product::Convolution) => self.convolution_tiles(using, &shape, &results)?,
            _ => false,
        };
        if is_tiled {
            return Ok(vec![]);
        }
        if !results.iter().all(|result| self.results[*result].shape == shape) {
            return Ok(results);
        }
        let done = match op.product() {
            Some(Product::Matrix) => self.columns(using, &shape, &results)?,
            Some(Product::Convolution) => self.lines(using, &shape, &results)?,
            _ => false,
        };
        Ok(if done { vec![] } else { results })
    }

    /// A matrix product whose right factor lies row by row: each number on the left is multiplied with a row.
    fn columns(&mut self, using: Use<'a>, shape: &[Dim], results: &[usize]) -> Outcome<bool> {
        let probe = Matrices::of(self, using, &vec![Dim::zero(); shape.len()])?;
        let [a, b] = using.inst.operands[..] else { return Ok(false) };
        let Some((size, rows)) = shape.split_last() else { return Ok(false) };
        let runs = probe.column.is_some_and(|column| self.runs_along(b, column));
        if !runs || size.is_const(1) {
            return Ok(false);
        }
        self.nests += 1;
        let kept = sum_type(self, using, &probe.inner);
        let loops = self.loops(rows);
        let (first, width, bound) = self.tile(size);
        let sums = self.sums(kept.0, bound);
        let inner = self.separate_loops(std::slice::from_ref(&probe.inner));
        let mut at = loops.at.clone();
        at.push(first.clone());
        let mut matrices = Matrices::of(self, using, &at)?;
        matrices.at(&inner.at[0]);
        let left = self.element(a, &matrices.left.clone())?;
        let left = if left.is_atom() { left } else { self.constant(self.carrier_of(a), "factor", left) };
        let column = self.separate_loops(std::slice::from_ref(&width));
        at[rows.len()] = first.add(&column.at[0]);
        let mut matrices = Matrices::of(self, using, &at)?;
        matrices.at(&inner.at[0]);
        let right = self.element(b, &matrices.right.clone())?;
        let place = self.index(&column.at[0]).text();
        self.add_product(&format!("{sums}[{place}]"), left, right, kept);
        self.close_loops(inner);
        self.finish_sums(using, &sums, (&loops.at, &first), &width, kept.0, results)?;
        self.close_loops(loops);
        Ok(true)
    }

    /// Where a tile of columns begins, how many it has, and how many at most.
    pub fn tile(&mut self, size: &Dim) -> (Dim, Dim, i64) {
        if let Some(size) = size.as_const().filter(|size| *size <= MAX_COLUMNS) {
            return (Dim::zero(), Dim::constant(size), size);
        }
        let bound = self.index(size).text();
        self.open("");
        let first = self.name("first");
        self.take_head(format!("for (int64_t {first} = 0; {first} < {bound}; {first} += {COLUMNS})"));
        let symbol = crate::types::Symbol::new(&first);
        self.ranges.open(&symbol, size.clone());
        let first = Dim::symbol(&first);
        if size.as_const().is_some_and(|size| size % COLUMNS == 0) {
            return (first, Dim::constant(COLUMNS), COLUMNS);
        }
        let rest = self.index(&size.sub(&first));
        let full = C::atom(COLUMNS.to_string());
        let value = C::conditional(C::binary(rest.clone(), "<", full.clone()), rest, full);
        let width = self.index_variable("columns", value, &Dim::constant(COLUMNS + 1));
        (first, width, COLUMNS)
    }

    /// An array of sums.
    fn sums(&mut self, kept: DType, bound: i64) -> String {
        self.array(carrier(kept), "sum", bound, &number(kept, 0.0), &Dim::constant(bound))
    }

    /// An array whose elements, as many as are used, begin with a number.
    pub fn array(&mut self, ty: &str, wish: &str, bound: i64, start: &C, used: &Dim) -> String {
        let name = self.name(wish);
        if start.text().starts_with("0") {
            self.line(format!("{ty} {name}[{bound}] = {{{}}};", start.text()));
            return name;
        }
        self.line(format!("{ty} {name}[{bound}];"));
        let loops = self.separate_loops(std::slice::from_ref(used));
        let index = self.index(&loops.at[0]).text();
        self.statement(format!("{name}[{index}] = "), start.clone());
        self.close_loops(loops);
        name
    }

    /// What follows a product, for each of its sums.
    fn finish_sums(
        &mut self,
        using: Use<'a>,
        sums: &str,
        (outer, first): (&[Dim], &Dim),
        width: &Dim,
        kept: DType,
        results: &[usize],
    ) -> Outcome<()> {
        let last = self.separate_loops(std::slice::from_ref(width));
        let mut at = outer.to_vec();
        at.push(first.add(&last.at[0]));
        let place = self.index(&last.at[0]);
        let mut value = C::index(sums, place);
        if let (true, Some(bias)) = (using.op.is_convolution(), using.inst.operands.get(2)) {
            value = C::binary(value, "+", self.element(*bias, &at[1..2])?);
        }
        let value = self.product_of(using, value, kept);
        self.expect(using.inst.results[0]);
        self.note(using.inst.results[0], &at, value);
        self.store_all(results, &at)?;
        self.close_loops(last);
        Ok(())
    }

    /// A convolution, all places along the last axis at once.
    fn lines(&mut self, using: Use<'a>, shape: &[Dim], results: &[usize]) -> Outcome<bool> {
        let Some((size, outer)) = shape.split_last() else { return Ok(false) };
        let Some(length) = size.as_const().filter(|size| (4..=MAX_COLUMNS).contains(size)) else { return Ok(false) };
        let window = Window::of_convolution(self, using)?;
        if !self.runs_along(using.inst.operands[0], shape.len() - 1) {
            return Ok(false);
        }
        self.nests += 1;
        let terms = convolution_terms(self, using)?;
        let kept = sum_type(self, using, &terms);
        let loops = self.loops(outer);
        let sums = self.sums(kept.0, length);
        let open = self.depth();
        let mut factors = self.open_channels(using, &loops.at)?;
        let axes = window.kernel.len();
        for axis in 0..axes - 1 {
            let inside = window.open(self, axis, &loops.at[axis + 2])?;
            factors.place(inside);
        }
        let kernel = self.separate_loops(std::slice::from_ref(&window.kernel[axes - 1]));
        let kernel = kernel.at[0].clone();
        factors.right.push(kernel.clone());
        let right = self.element(using.inst.operands[1], &factors.right)?;
        let right = if right.is_atom() {
            right
        } else {
            self.constant(self.carrier_of(using.inst.operands[1]), "factor", right)
        };
        let place = window.open_line(self, axes - 1, &kernel, size)?;
        let from = window.source(axes - 1, &place, &kernel);
        factors.left.push(from);
        let left = self.element(using.inst.operands[0], &factors.left)?;
        let index = self.index(&place).text();
        self.add_product(&format!("{sums}[{index}]"), left, right, kept);
        while self.depth() > open {
            self.close();
        }
        self.finish_sums(using, &sums, (&loops.at, &Dim::zero()), size, kept.0, results)?;
        self.close_loops(loops);
        Ok(true)
    }

    /// The loop over the channels of a group.
    fn open_channels(&mut self, using: Use<'a>, at: &[Dim]) -> Outcome<Factors> {
        let weight = self.shape_of(using.inst.operands[1])?;
        let groups = int(self, using, "groups")?;
        let outputs = weight[0].floor_div(&groups).ok_or_else(|| self.refuse("has no known `groups`"))?;
        let group = if groups.is_const(1) { Dim::zero() } else { self.ranges.divide(&at[1], &outputs) };
        let channel = self.separate_loops(std::slice::from_ref(&weight[1]));
        let channel = channel.at[0].clone();
        let left = vec![at[0].clone(), group.mul(&weight[1]).add(&channel)];
        Ok(Factors { left, right: vec![at[1].clone(), channel] })
    }
}

/// Indices of the factors of a convolution, as far as they are known.
struct Factors {
    left: Vec<Dim>,
    right: Vec<Dim>,
}

impl Factors {
    fn place(&mut self, (from, kernel): (Dim, Dim)) {
        self.left.push(from);
        self.right.push(kernel);
    }
}

fn convolution_terms(maker: &Maker<'_>, using: Use<'_>) -> Outcome<Dim> {
    let weight = maker.shape_of(using.inst.operands[1])?;
    Ok(count(&weight[1..]))
}

pub(super) fn matmul<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let mut matrices = Matrices::of(maker, using, at)?;
    if let Some(dot) = maker.dot(using, &matrices) {
        return Ok(dot);
    }
    let kept = sum_type(maker, using, &matrices.inner);
    let sum = maker.variable(carrier(kept.0), "sum", number(kept.0, 0.0));
    let loops = maker.separate_loops(std::slice::from_ref(&matrices.inner));
    matrices.at(&loops.at[0]);
    let left = maker.element(using.inst.operands[0], &matrices.left)?;
    let right = maker.element(using.inst.operands[1], &matrices.right)?;
    maker.add_product(&sum, left, right, kept);
    maker.close_loops(loops);
    Ok(maker.product_of(using, C::Atom(sum), kept.0))
}

pub(super) fn routed<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let [x, w, index] = using.inst.operands[..] else { return Err(maker.refuse("has not three operands")) };
    let Some((column, rows)) = at.split_last() else { return Err(maker.refuse("has no axis")) };
    let shape = maker.shape_of(w)?;
    let expert = maker.position(index, rows, &shape[0])?;
    let kept = sum_type(maker, using, &shape[2]);
    let sum = maker.variable(carrier(kept.0), "sum", number(kept.0, 0.0));
    let loops = maker.separate_loops(&shape[2..]);
    let inner = &loops.at[0];
    let left: Vec<Dim> = rows.iter().chain([inner]).cloned().collect();
    let left = maker.element(x, &left)?;
    let right = maker.element(w, &[expert, column.clone(), inner.clone()])?;
    maker.add_product(&sum, left, right, kept);
    maker.close_loops(loops);
    Ok(maker.product_of(using, C::Atom(sum), kept.0))
}

pub(super) fn convolution<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let window = Window::of_convolution(maker, using)?;
    let kept = sum_type(maker, using, &convolution_terms(maker, using)?);
    let sum = maker.variable(carrier(kept.0), "sum", number(kept.0, 0.0));
    let open = maker.depth();
    let mut factors = maker.open_channels(using, at)?;
    for axis in 0..window.kernel.len() {
        let inside = window.open(maker, axis, &at[axis + 2])?;
        factors.place(inside);
    }
    finish_convolution(maker, using, &factors, &sum, (kept, open), at)
}

fn finish_convolution<'a>(
    maker: &mut Maker<'a>,
    using: Use<'a>,
    factors: &Factors,
    sum: &str,
    (kept, open): ((DType, bool), usize),
    at: &[Dim],
) -> Outcome<C> {
    let left = maker.element(using.inst.operands[0], &factors.left)?;
    let right = maker.element(using.inst.operands[1], &factors.right)?;
    maker.add_product(sum, left, right, kept);
    while maker.depth() > open {
        maker.close();
    }
    let mut value = C::atom(sum);
    if let Some(bias) = using.inst.operands.get(2) {
        let bias = maker.element(*bias, &at[1..2])?;
        value = C::binary(value, "+", if kept.1 { C::cast(carrier(kept.0), bias) } else { bias });
    }
    Ok(maker.product_of(using, value, kept.0))
}

/// The elements of the image that were spread over a place, and the places of the kernel that did it.
pub(super) fn transposed<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let weight = maker.shape_of(using.inst.operands[1])?;
    let image = maker.shape_of(using.inst.operands[0])?;
    let spatial = at.len() - 2;
    let [stride, padding, dilation] = ["stride", "padding", "dilation"].map(|name| ints(maker, using, name, spatial));
    let (stride, padding, dilation) = (stride?, padding?, dilation?);
    let groups = int(maker, using, "groups")?;
    let inputs = weight[0].floor_div(&groups).ok_or_else(|| maker.refuse("has no known `groups`"))?;
    let kept = sum_type(maker, using, &inputs.mul(&count(&weight[2..])));
    let sum = maker.variable(carrier(kept.0), "sum", number(kept.0, 0.0));
    let open = maker.depth();
    let group = if groups.is_const(1) { Dim::zero() } else { maker.ranges.divide(&at[1], &weight[1]) };
    let channel = maker.separate_loops(std::slice::from_ref(&inputs)).at[0].add(&group.mul(&inputs));
    let output = at[1].sub(&group.mul(&weight[1]));
    let mut factors = Factors { left: vec![at[0].clone(), channel.clone()], right: vec![channel, output] };
    for axis in 0..spatial {
        let kernel = maker.separate_loops(std::slice::from_ref(&weight[axis + 2])).at[0].clone();
        let spread = at[axis + 2].add(&padding[axis]).sub(&kernel.mul(&dilation[axis]));
        let (spread, step, size) = (maker.index(&spread), maker.index(&stride[axis]), maker.index(&image[axis + 2]));
        let spread = maker.constant("int64_t", "spread", spread);
        let mut outside = C::binary(spread.clone(), "<", C::atom("0"));
        let mut from = spread.clone();
        if !stride[axis].is_const(1) {
            outside = C::or(outside, C::binary(C::binary(spread.clone(), "%", step.clone()), "!=", C::atom("0")));
            from = C::binary(spread, "/", step);
        }
        let outside = C::or(outside, C::binary(from.clone(), ">=", size));
        maker.skip_where(outside, &weight[axis + 2]);
        let from = maker.index_variable("from", from, &image[axis + 2]);
        factors.place((from, kernel));
    }
    finish_convolution(maker, using, &factors, &sum, (kept, open), at)
}
