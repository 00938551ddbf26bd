//! Reductions and scans: what is there so far, and what each element makes of it.
//!
//! Sums and products of floats are taken in `double` and rounded once, those of integers in an unsigned type, so that they
//! wrap. What runs along a long row of `float` has its total in parts, which become vectors.

use super::access::count;
use super::maker::{Loops, Maker, Outcome, Use};
use crate::ir::{Inst, InstKind, ValueId};
use crate::ops::Attr;
use crate::targets::c::text::{C, carrier};
use crate::targets::pytext::Py;
use crate::types::{DType, Dim, Symbol};
use std::collections::BTreeSet;

/// Totals of a row that are kept side by side.
const PARTS: i64 = 16;

/// Where an operation reduces, of an operand of this rank.
fn axes(using: Use<'_>, rank: usize) -> Vec<usize> {
    match using.attrs.get("axis") {
        None | Some(Attr::None) => (0..rank).collect(),
        _ => {
            let counted = |axis: i64| usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok();
            using.attrs.const_ints("axis").unwrap_or_default().into_iter().filter_map(counted).collect()
        }
    }
}

/// A reduction: which axes of its operand go, and the index of an element of the operand.
pub(super) struct Reduced {
    pub operand: ValueId,
    pub shape: Vec<Dim>,
    pub axes: Vec<usize>,
    keeps: bool,
}

impl Reduced {
    pub fn of(maker: &Maker<'_>, using: Use<'_>) -> Outcome<Reduced> {
        let operand = using.inst.operands[0];
        let shape = maker.shape_of(operand)?;
        let keeps = using.attrs.bool("keepdim") == Some(true);
        Ok(Reduced { operand, axes: axes(using, shape.len()), shape, keeps })
    }

    /// The sizes of the axes that go.
    pub fn sizes(&self) -> Vec<Dim> {
        let axes = (0..self.shape.len()).filter(|axis| self.axes.contains(axis));
        axes.map(|axis| self.shape[axis].clone()).collect()
    }

    /// Whether the last axis is among those that go.
    fn is_along_memory(&self) -> bool {
        self.shape.len().checked_sub(1).is_some_and(|last| self.axes.contains(&last))
    }

    /// The index in the operand of an index of the result and one along the axes that go.
    pub fn place(&self, at: &[Dim], inner: &[Dim]) -> Vec<Dim> {
        let (mut outer, mut inner) = (at.iter(), inner.iter());
        let axis = |axis: usize| {
            let goes = self.axes.contains(&axis);
            let kept = if !goes || self.keeps { outer.next() } else { None };
            let index = if goes { inner.next() } else { kept };
            index.cloned().unwrap_or_default()
        };
        (0..self.shape.len()).map(axis).collect()
    }
}

/// Whether the last of these axes is long enough for a total in parts.
fn is_long(sizes: &[Dim], dtype: DType) -> bool {
    let is_long = |size: &Dim| size.as_const().is_none_or(|size| size >= 2 * PARTS);
    dtype == DType::Float32 && sizes.last().is_some_and(is_long)
}

/// What a reduction begins with: the types of a total and of elements, the start, the sizes of the axes that go.
struct Totals<'p> {
    kept: DType,
    dtype: DType,
    start: C,
    sizes: Vec<Dim>,
    step: &'p Py,
}

/// The type in which a total is kept.
fn total_type(step: &Py, dtype: DType) -> DType {
    match Maker::is_inexact(step) {
        true if dtype.is_float() => DType::Float64,
        true if dtype.bits() == 64 => DType::UInt64,
        true => DType::UInt32,
        false => dtype,
    }
}

impl<'a> Maker<'a> {
    /// A reduction's element: loops over what it reduces, and the total.
    pub fn fold(&mut self, using: Use<'a>, parts: &[Py], at: &[Dim]) -> Outcome<C> {
        self.fold_storing(using, parts, at, &[])
    }

    /// The same, where elements on the way are results as well.
    fn fold_storing(&mut self, using: Use<'a>, parts: &[Py], at: &[Dim], also: &[usize]) -> Outcome<C> {
        let reduced = Reduced::of(self, using)?;
        let Totals { kept, dtype, start, sizes, step } = self.totals(&reduced, parts)?;
        let in_parts = reduced.is_along_memory() && is_long(&sizes, dtype);
        let name = using.op.name();
        let (total, loops, own) = match in_parts {
            true => self.total_in_parts(name, &sizes, carrier(kept), &start),
            false => {
                let total = self.variable(carrier(kept), name, start);
                (total.clone(), self.loops(&sizes), total)
            }
        };
        let place = reduced.place(at, &loops.at);
        let mut element = self.element(reduced.operand, &place)?;
        if !also.is_empty() {
            // What is written may take the memory of what is read.
            if element.reads_memory() {
                element = self.constant(carrier(dtype), "t", element);
            }
            self.store_all(also, &place)?;
        }
        self.accumulate(&own, step, element, kept, dtype)?;
        self.close_loops(loops);
        let total = match in_parts {
            true => self.joined_parts(&total, step, kept)?,
            false => C::Atom(total),
        };
        self.total_value(parts, total, (kept, dtype), &count(&sizes))
    }

    /// A total in [`PARTS`], and loops over these axes, the last of which is walked in steps of as many: compilers make vectors of
    /// the parts, while additions to one total must come one after another. Gives the array, the loops, and the part of an element.
    fn total_in_parts(&mut self, name: &str, sizes: &[Dim], ty: &str, start: &C) -> (String, Loops, String) {
        let total = self.array(ty, name, PARTS, start, &Dim::constant(PARTS));
        let (last, others) = sizes.split_last().map_or((Dim::constant(1), &[][..]), |(last, own)| (last.clone(), own));
        let mut loops = self.loops(others);
        let (first, width) = self.strip(&last);
        let part = self.separate_loops(std::slice::from_ref(&width));
        loops.at.push(first.add(&part.at[0]));
        let own = format!("{total}[{}]", self.index(&part.at[0]).text());
        (total, loops, own)
    }

    /// Opens a loop over an axis in steps of [`PARTS`]; gives where a step begins, and how many elements it has.
    fn strip(&mut self, size: &Dim) -> (Dim, Dim) {
        let bound = self.index(size).text();
        self.open("");
        let first = self.name("first");
        self.take_head(format!("for (int64_t {first} = 0; {first} < {bound}; {first} += {PARTS})"));
        self.ranges.open(&Symbol::new(&first), size.clone());
        let first = Dim::symbol(&first);
        if size.as_const().is_some_and(|size| size % PARTS == 0) {
            return (first, Dim::constant(PARTS));
        }
        let rest = self.index(&size.sub(&first));
        let full = C::atom(PARTS.to_string());
        let value = C::conditional(C::binary(rest.clone(), "<", full.clone()), rest, full);
        let width = self.index_variable("count", value, &Dim::constant(PARTS + 1));
        (first, width)
    }

    /// The total of the parts, in the first of them.
    fn joined_parts(&mut self, total: &str, step: &Py, kept: DType) -> Outcome<C> {
        self.open("");
        let part = self.name("part");
        self.take_head(format!("for (int64_t {part} = 1; {part} < {PARTS}; {part}++)"));
        let element = C::index(total, C::Atom(part));
        self.accumulate(&format!("{total}[0]"), step, element, kept, kept)?;
        self.close();
        Ok(C::index(total, C::atom("0")))
    }

    /// What a reduction begins with. An extreme of nothing is an error.
    fn totals<'p>(&mut self, reduced: &Reduced, parts: &'p [Py]) -> Outcome<Totals<'p>> {
        let [start, step, ..] = parts else { return Err(self.refuse("has an entry in ops.toml without a step")) };
        let dtype = self.dtype(reduced.operand);
        let kept = total_type(step, dtype);
        let sizes = reduced.sizes();
        let number = count(&sizes);
        if matches!(start.as_atom(), Some("lowest" | "highest")) && number.as_const().is_none() {
            let kept = (0..reduced.shape.len()).filter(|axis| !reduced.axes.contains(axis));
            let wanted = kept.fold(Dim::constant(1), |product, axis| product.mul(&reduced.shape[axis]));
            self.at_top(|maker| {
                let size = maker.index(&number);
                let mut is_missing = C::binary(size, "==", C::atom("0"));
                if wanted.as_const().is_none() {
                    let wanted = maker.index(&wanted);
                    is_missing = C::and(is_missing, C::binary(wanted, ">", C::atom("0")));
                }
                maker.fail_if(is_missing, "VALUE");
                Ok(())
            })?;
        }
        Ok(Totals { kept, dtype, start: self.expand(start, kept, &|_| None)?, sizes, step })
    }

    /// What becomes of a total in the end.
    fn total_value(&mut self, parts: &[Py], total: C, (kept, dtype): (DType, DType), number: &Dim) -> Outcome<C> {
        let value = match parts.get(2) {
            None => total,
            Some(finish) => {
                let number = self.index(number);
                let number = match number.is_number() {
                    true => C::atom(format!("{}.0", number.text())),
                    false => C::cast("double", number),
                };
                let holes = |name: &str| match name {
                    "total" => Some(total.clone()),
                    "count" => Some(number.clone()),
                    _ => None,
                };
                self.expand(finish, kept, &holes)?
            }
        };
        Ok(self.finished(value, kept, dtype))
    }

    /// A reduction of all but the last axis, which lies along memory: several totals at once.
    fn fold_columns(&mut self, using: Use<'a>, parts: &[Py], reduced: &Reduced, results: &[usize]) -> Outcome<bool> {
        let shape = self.shape_of(using.inst.results[0])?;
        let (Some((size, rows)), Some(last)) = (shape.split_last(), reduced.shape.len().checked_sub(1)) else {
            return Ok(false);
        };
        if reduced.axes.contains(&last) || size.is_const(1) || !self.runs_along(reduced.operand, last) {
            return Ok(false);
        }
        let Totals { kept, dtype, start, sizes, step } = self.totals(reduced, parts)?;
        let loops = self.loops(rows);
        let (first, width, bound) = self.tile(size);
        let totals = self.array(carrier(kept), using.op.name(), bound, &start, &width);
        let inner = self.loops(&sizes);
        let column = self.separate_loops(std::slice::from_ref(&width));
        let mut at = loops.at.clone();
        at.push(first.add(&column.at[0]));
        let place = reduced.place(&at, &inner.at);
        let element = self.element(reduced.operand, &place)?;
        let index = self.index(&column.at[0]).text();
        self.accumulate(&format!("{totals}[{index}]"), step, element, kept, dtype)?;
        self.close_loops(inner);
        let column = self.separate_loops(std::slice::from_ref(&width));
        at[rows.len()] = first.add(&column.at[0]);
        let index = self.index(&column.at[0]);
        let value = self.total_value(parts, C::index(&totals, index), (kept, dtype), &count(&sizes))?;
        self.expect(using.inst.results[0]);
        self.note(using.inst.results[0], &at, value);
        self.store_all(results, &at)?;
        self.close_loops(loops);
        self.nests += 1;
        Ok(true)
    }

    /// `total = step`, as an assignment with an operator where it is one.
    fn accumulate(&mut self, total: &str, step: &Py, element: C, kept: DType, dtype: DType) -> Outcome<()> {
        let mut times = 0;
        step.visit_holes(&mut |hole| times += usize::from(hole.name == "x"));
        let element = match element.is_place() || times < 2 {
            true => element,
            false => self.constant(carrier(dtype), "t", element),
        };
        // Small products would be taken as `int`.
        let element = match !kept.is_float() && kept != dtype && dtype.bits() < 32 {
            true => C::cast(carrier(kept), element),
            false => element,
        };
        let holes = |name: &str| match name {
            "total" => Some(C::atom(total)),
            "x" => Some(element.clone()),
            _ => None,
        };
        match self.expand(step, kept, &holes)? {
            C::Binary(left, operator, right)
                if *left == C::atom(total) && matches!(operator, "+" | "-" | "*" | "&" | "|") =>
            {
                self.statement(format!("{total} {operator}= "), *right);
            }
            value => self.statement(format!("{total} = "), value),
        }
        Ok(())
    }

    /// A total in the type of the elements.
    fn finished(&mut self, value: C, kept: DType, dtype: DType) -> C {
        match (kept, dtype) {
            _ if kept == dtype => value,
            (DType::Float64, DType::Float16) => {
                self.helper("float16");
                C::call("round_double_float16", vec![value])
            }
            (DType::Float64, DType::BFloat16) => {
                self.helper("bfloat16");
                C::call("round_double_bfloat16", vec![value])
            }
            _ => C::cast(carrier(dtype), value),
        }
    }

    /// Loops over what a reduction leaves. What its operand is made of may be results, too.
    pub fn fold_nest(&mut self, inst: &'a Inst, parts: &[Py], results: Vec<usize>) -> Outcome<Vec<usize>> {
        let InstKind::Op { op, attrs } = &inst.kind else { return Ok(results) };
        let using = Use { op: *op, attrs, inst };
        let reduced = Reduced::of(self, using)?;
        let shape = self.shape_of(inst.results[0])?;
        let depends: Vec<bool> = results.iter().map(|r| self.depends(self.results[*r].value, inst)).collect();
        let chosen = |maker: &Maker<'_>, wanted: bool, shape: &[Dim]| -> Vec<usize> {
            let fits =
                |(index, depends): &(&usize, &bool)| **depends == wanted && maker.results[**index].shape == shape;
            results.iter().zip(&depends).filter(fits).map(|(index, _)| *index).collect()
        };
        let (outer, inner) = (chosen(self, true, &shape), chosen(self, false, &reduced.shape));
        if outer.is_empty() {
            return Ok(results);
        }
        if outer.len() == results.len() && self.fold_columns(using, parts, &reduced, &outer)? {
            return Ok(vec![]);
        }
        let loops = self.loops(&shape);
        let value = self.fold_storing(using, parts, &loops.at, &inner)?;
        let value = match value.is_atom() {
            true => value,
            false => {
                let wish = self.function[inst.results[0]].name.clone().unwrap_or_else(|| "t".to_string());
                let used = self.uses(inst.results[0]);
                let ty = self.carrier_of(inst.results[0]);
                if used > 1 { self.constant(ty, &wish, value) } else { value }
            }
        };
        self.expect(inst.results[0]);
        self.note(inst.results[0], &loops.at, value);
        self.store_all(&outer, &loops.at)?;
        self.close_loops(loops);
        self.nests += 1;
        Ok(results.into_iter().filter(|index| !outer.contains(index) && !inner.contains(index)).collect())
    }

    /// Whether a value is made of an instruction's results.
    pub fn depends(&self, value: ValueId, wanted: &Inst) -> bool {
        let (mut left, mut seen) = (vec![value], BTreeSet::from([value]));
        while let Some(value) = left.pop() {
            if wanted.results.contains(&value) {
                return true;
            }
            let operands = self.makers.get(&value).map_or(&[][..], |(inst, _)| inst.operands.as_slice());
            left.extend(operands.iter().filter(|operand| seen.insert(**operand)));
        }
        false
    }

    /// Loops along a scan: the total runs, and is rounded for each element.
    pub fn scan_nest(&mut self, inst: &'a Inst, parts: &[Py], results: Vec<usize>) -> Outcome<Vec<usize>> {
        let InstKind::Op { op, attrs } = &inst.kind else { return Ok(results) };
        let using = Use { op: *op, attrs, inst };
        let shape = self.shape_of(inst.results[0])?;
        let (own, others): (Vec<usize>, Vec<usize>) =
            results.into_iter().partition(|index| self.results[*index].shape == shape);
        if own.is_empty() {
            return Ok(others);
        }
        let [axis] = axes(using, shape.len())[..] else { return Err(self.refuse("has no axis")) };
        let mut sizes = shape.clone();
        let along = std::mem::replace(&mut sizes[axis], Dim::constant(1));
        let loops = self.loops(&sizes);
        let mut at = loops.at.clone();
        let total = self.begin_scan(using, parts)?;
        let inner = self.separate_loops(std::slice::from_ref(&along));
        at[axis] = inner.at[0].clone();
        let value = self.scan_step(using, parts, &total, &at)?;
        self.expect(inst.results[0]);
        self.note(inst.results[0], &at, value);
        self.store_all(&own, &at)?;
        self.close_loops(inner);
        self.close_loops(loops);
        self.nests += 1;
        Ok(others)
    }

    fn begin_scan(&mut self, using: Use<'a>, parts: &[Py]) -> Outcome<String> {
        let [start, step] = parts else { return Err(self.refuse("has an entry in ops.toml without a step")) };
        let kept = total_type(step, self.dtype(using.inst.operands[0]));
        let start = self.expand(start, kept, &|_| None)?;
        Ok(self.variable(carrier(kept), "total", start))
    }

    fn scan_step(&mut self, using: Use<'a>, parts: &[Py], total: &str, at: &[Dim]) -> Outcome<C> {
        let operand = using.inst.operands[0];
        let dtype = self.dtype(operand);
        let step = &parts[1];
        let kept = total_type(step, dtype);
        let element = self.element(operand, at)?;
        self.accumulate(total, step, element, kept, dtype)?;
        Ok(self.finished(C::atom(total), kept, dtype))
    }

    /// An element of a scan by itself.
    pub fn scan_at(&mut self, using: Use<'a>, parts: &[Py], at: &[Dim]) -> Outcome<C> {
        let shape = self.shape_of(using.inst.results[0])?;
        let [axis] = axes(using, shape.len())[..] else { return Err(self.refuse("has no axis")) };
        let total = self.begin_scan(using, parts)?;
        let size = at[axis].add(&Dim::constant(1));
        let variable = self.open_loop(&size);
        let mut place = at.to_vec();
        place[axis] = Dim::symbol(variable.as_str());
        let value = self.scan_step(using, parts, &total, &place)?;
        self.close();
        Ok(value)
    }
}
