//! Operations that give elements on: each maps an index of its result to one of an operand.

use super::access::{count, offset, unfold};
use super::element::literal;
use super::maker::{Maker, Outcome, Use};
use crate::ir::ValueId;
use crate::ops::Attr;
use crate::ops::traits::Movement;
use crate::targets::c::text::{C, carrier};
use crate::types::{DType, Dim, HostExpr, Tensor};

/// An axis attribute, counted from the start.
pub(super) fn axis(maker: &Maker<'_>, using: Use<'_>, name: &str, rank: usize) -> Outcome<usize> {
    let given = using.attrs.const_int(name);
    let counted = given.map(|axis| if axis < 0 { axis + rank as i64 } else { axis });
    let found = counted.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < rank);
    found.ok_or_else(|| maker.refuse(&format!("has no known `{name}`")))
}

/// A number attribute, which may be one that only a run tells.
pub(super) fn int(maker: &Maker<'_>, using: Use<'_>, name: &str) -> Outcome<Dim> {
    match using.attrs.get(name) {
        Some(Attr::Int(dim)) => Ok(dim.clone()),
        _ => Err(maker.refuse(&format!("has no known `{name}`"))),
    }
}

/// The numbers of an attribute; one stands for as many as are asked for.
pub(super) fn ints(maker: &Maker<'_>, using: Use<'_>, name: &str, wanted: usize) -> Outcome<Vec<Dim>> {
    let found = match using.attrs.get(name) {
        Some(Attr::Int(dim)) => vec![dim.clone(); wanted],
        Some(Attr::Ints(dims)) if dims.len() == 1 => vec![dims[0].clone(); wanted],
        Some(Attr::Ints(dims)) => dims.clone(),
        _ => vec![],
    };
    if found.len() == wanted { Ok(found) } else { Err(maker.refuse(&format!("has no known `{name}`"))) }
}

fn axes(maker: &Maker<'_>, using: Use<'_>, name: &str, rank: usize) -> Outcome<Vec<usize>> {
    if matches!(using.attrs.get(name), None | Some(Attr::None)) {
        return Ok((0..rank).collect());
    }
    let given = using.attrs.const_ints(name).ok_or_else(|| maker.refuse(&format!("has no known `{name}`")))?;
    let counted = |axis: i64| usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok();
    Ok(given.into_iter().filter_map(counted).filter(|axis| *axis < rank).collect())
}

fn with(at: &[Dim], axis: usize, index: Dim) -> Vec<Dim> {
    let mut place = at.to_vec();
    place[axis] = index;
    place
}

impl<'a> Maker<'a> {
    /// One of two values; what is computed for one only is computed where the condition says so.
    pub fn choose(
        &mut self,
        condition: C,
        dtype: DType,
        value: impl FnOnce(&mut Maker<'a>) -> Outcome<C>,
        other: impl FnOnce(&mut Maker<'a>) -> Outcome<C>,
    ) -> Outcome<C> {
        match condition.as_bool() {
            Some(true) => return value(self),
            Some(false) => return other(self),
            None => {}
        }
        // Taken now, so that nothing inside of the branches has it.
        let name = self.name("chosen");
        self.open("");
        let value = value(self)?;
        let first = self.take_block().map(|(_, statements)| statements).unwrap_or_default();
        self.open("");
        let other = other(self)?;
        let second = self.take_block().map(|(_, statements)| statements).unwrap_or_default();
        if first.is_empty() && second.is_empty() {
            self.give_back(&name);
            return Ok(C::conditional(condition, value, other));
        }
        self.line(format!("{} {name};", carrier(dtype)));
        for (head, statements, value) in
            [(format!("if ({})", condition.text()), first, value), ("else".into(), second, other)]
        {
            self.open(head);
            self.put(statements);
            self.statement(format!("{name} = "), value);
            self.close();
        }
        Ok(C::Atom(name))
    }

    /// Whether an index is below a size, as a condition.
    pub fn is_below(&mut self, index: &Dim, size: &Dim) -> C {
        if self.ranges.is_below(index, size) {
            return C::truth(true);
        }
        let (index, size) = (self.index(index), self.index(size));
        C::binary(index, "<", size)
    }

    pub fn is_at_least(&mut self, index: &Dim, least: &Dim) -> C {
        let difference = index.sub(least);
        if self.ranges.is_natural(&difference) {
            return C::truth(true);
        }
        let (index, least) = (self.index(index), self.index(least));
        C::binary(index, ">=", least)
    }

    /// An element of an index operand as a position on an axis; one out of range is an error.
    pub fn position(&mut self, index: ValueId, at: &[Dim], size: &Dim) -> Outcome<Dim> {
        // Once for all that is read there.
        let depth = self.depth_of(at);
        self.at_depth(depth, |maker| maker.position_here(index, at, size))
    }

    fn position_here(&mut self, index: ValueId, at: &[Dim], size: &Dim) -> Outcome<Dim> {
        let found = self.element(index, at)?;
        self.helper("position");
        let bound = self.index(size);
        let wish = self.function[index].name.clone().filter(|name| name.len() < 12).unwrap_or_else(|| "row".into());
        let wish = if self.operand(index).is_some() { "row".to_string() } else { wish };
        let row = self.index_variable(&wish, C::call("position", vec![found, bound]), size);
        let name = self.index(&row);
        self.fail_if(C::binary(name, "<", C::atom("0")), "INDEX");
        Ok(row)
    }
}

pub(super) fn regroup<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let (own, shape) = (maker.shape_of(operand)?, maker.shape_of(using.inst.results[0])?);
    let place = regrouped(maker, at, &shape, &own);
    maker.element(operand, &place)
}

/// The index under another shape of the same elements: axis by axis where they agree from the end, so that what is not
/// regrouped stays as it is.
pub(super) fn regrouped(maker: &Maker<'_>, at: &[Dim], shape: &[Dim], own: &[Dim]) -> Vec<Dim> {
    let (mut end, mut own_end) = (shape.len(), own.len());
    let mut place = vec![Dim::zero(); own.len()];
    while own_end > 0 {
        let (mut first, mut own_first) = (end, own_end - 1);
        while first > 0 && count(&shape[first..end]) != count(&own[own_first..own_end]) {
            let (left, right) = (count(&shape[first..end]), count(&own[own_first..own_end]));
            let smaller = match (left.as_const(), right.as_const()) {
                (Some(left), Some(right)) => left < right,
                // Constants come before what a run tells, and more axes before fewer.
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => first == end || own_first == 0,
            };
            if smaller || own_first == 0 { first -= 1 } else { own_first -= 1 }
        }
        if first == 0 {
            own_first = 0;
        }
        let flat = offset(&at[first..end], &shape[first..end]);
        let found = unfold(maker, &flat, &own[own_first..own_end]);
        place.splice(own_first..own_end, found);
        (end, own_end) = (first, own_first);
    }
    place
}

pub(super) fn permute<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let order = match using.op.movement() {
        Movement::Permutes(axes) => axes(using.attrs, at.len()),
        _ => None,
    };
    let order = order.ok_or_else(|| maker.refuse("permutes axes that are not known"))?;
    let mut place = at.to_vec();
    order.iter().zip(at).for_each(|(axis, index)| place[*axis] = index.clone());
    maker.element(using.inst.operands[0], &place)
}

pub(super) fn broadcast_to<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let shape = maker.shape_of(using.inst.results[0])?;
    let place = maker.broadcast(using.inst.operands[0], at, &shape)?;
    maker.element(using.inst.operands[0], &place)
}

pub(super) fn cast<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let element = maker.element(operand, at)?;
    maker.converted(element, maker.dtype(operand), maker.dtype(using.inst.results[0]))
}

pub(super) fn slice<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let axis = axis(maker, using, "axis", at.len())?;
    let (start, step) = (int(maker, using, "start")?, int(maker, using, "step")?);
    let place = with(at, axis, at[axis].mul(&step).add(&start));
    maker.element(using.inst.operands[0], &place)
}

/// Where a run of elements begins, worked out once for the whole kernel.
fn start<'a>(maker: &mut Maker<'a>, start: ValueId, size: &Dim, length: &Dim) -> Outcome<Dim> {
    if let Some(C::Atom(name)) = maker.known(start, &[]) {
        return Ok(Dim::symbol(&name));
    }
    maker.at_top(|maker| {
        let given = maker.element(start, &[])?;
        maker.helper("position");
        let (size, length_text) = (maker.index(size), maker.index(length));
        let bound = Dim::constant(i64::MAX);
        let first = maker.index_variable("first", C::call("run_start", vec![given, length_text, size]), &bound);
        let name = maker.index(&first);
        maker.fail_if(C::binary(name.clone(), "<", C::atom("0")), "INDEX");
        if maker.operand(start).is_none() {
            maker.note(start, &[], name);
        }
        Ok(first)
    })
}

pub(super) fn dynamic_slice<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let shape = maker.shape_of(operand)?;
    let axis = axis(maker, using, "axis", at.len())?;
    let length = int(maker, using, "size")?;
    let first = start(maker, using.inst.operands[1], &shape[axis], &length)?;
    let place = with(at, axis, first.add(&at[axis]));
    maker.element(operand, &place)
}

pub(super) fn dynamic_update<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let [x, updates, from] = using.inst.operands[..] else { return Err(maker.refuse("has not three operands")) };
    let axis = axis(maker, using, "axis", at.len())?;
    let (size, length) = (maker.shape_of(x)?[axis].clone(), maker.shape_of(updates)?[axis].clone());
    let first = start(maker, from, &size, &length)?;
    let inner = at[axis].sub(&first);
    if length.is_const(0) {
        return maker.element(x, at);
    }
    let (index, begin) = (maker.index(&at[axis]), maker.index(&first));
    let end = maker.index(&first.add(&length));
    let inside = C::and(C::binary(index.clone(), ">=", begin), C::binary(index, "<", end));
    let place = with(at, axis, inner);
    let dtype = maker.dtype(x);
    maker.choose(inside, dtype, |maker| maker.element(updates, &place), |maker| maker.element(x, at))
}

pub(super) fn flip<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let shape = maker.shape_of(using.inst.results[0])?;
    let mut place = at.to_vec();
    for axis in axes(maker, using, "axes", at.len())? {
        place[axis] = shape[axis].sub(&Dim::constant(1)).sub(&at[axis]);
    }
    maker.element(using.inst.operands[0], &place)
}

pub(super) fn roll<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let shape = maker.shape_of(operand)?;
    let flat = matches!(using.attrs.get("axes"), None | Some(Attr::None));
    if flat {
        let shifts = ints(maker, using, "shifts", 1)?;
        let index = rolled(maker, &offset(at, &shape), &shifts[0], &count(&shape));
        let place = unfold(maker, &index, &shape);
        return maker.element(operand, &place);
    }
    let axes = axes(maker, using, "axes", at.len())?;
    let shifts = ints(maker, using, "shifts", axes.len())?;
    let mut place = at.to_vec();
    for (axis, shift) in axes.into_iter().zip(shifts) {
        place[axis] = rolled(maker, &place[axis].clone(), &shift, &shape[axis]);
    }
    maker.element(operand, &place)
}

/// Where an element comes from that was moved along an axis.
fn rolled(maker: &mut Maker<'_>, index: &Dim, shift: &Dim, size: &Dim) -> Dim {
    if size.is_const(1) {
        return Dim::zero();
    }
    if let (Some(shift), Some(size)) = (shift.as_const(), size.as_const().filter(|size| *size > 0)) {
        let back = size - shift.rem_euclid(size);
        if back == size {
            return index.clone();
        }
        let moved = maker.index(&index.add(&Dim::constant(back)));
        return maker.index_variable("from", C::binary(moved, "%", C::atom(size.to_string())), &Dim::constant(size));
    }
    maker.helper("position");
    let (moved, bound) = (maker.index(&index.sub(shift)), maker.index(size));
    maker.index_variable("from", C::call("modulo", vec![moved, bound]), size)
}

pub(super) fn take<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let (operand, index) = (using.inst.operands[0], using.inst.operands[1]);
    let shape = maker.shape_of(operand)?;
    let axis = axis(maker, using, "axis", shape.len())?;
    let own = maker.shape_of(index)?.len();
    let row = maker.position(index, &at[axis..axis + own], &shape[axis])?;
    let mut place = at.to_vec();
    place.splice(axis..axis + own, [row]);
    maker.element(operand, &place)
}

pub(super) fn gather<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let (operand, index) = (using.inst.operands[0], using.inst.operands[1]);
    let shape = maker.shape_of(operand)?;
    let axis = axis(maker, using, "axis", shape.len())?;
    let row = maker.position(index, at, &shape[axis])?;
    let place = with(at, axis, row);
    maker.element(operand, &place)
}

pub(super) fn one_hot<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let classes = int(maker, using, "num_classes")?;
    let Some((last, outer)) = at.split_last() else { return Err(maker.refuse("has no axis")) };
    let class = maker.element(operand, outer)?;
    let class = match class.is_place() {
        true => class,
        false => maker.constant(maker.carrier_of(operand), "class", class),
    };
    let unsigned = maker.dtype(operand).is_unsigned();
    let below = if unsigned { C::truth(false) } else { C::binary(class.clone(), "<", C::atom("0")) };
    let bound = maker.index(&classes);
    let bound = if unsigned && !bound.is_number() { C::cast("uint64_t", bound) } else { bound };
    let beyond = maker.dtype(operand).int_range().zip(classes.as_const()).is_none_or(|((_, top), n)| top >= n.into());
    let above = if beyond { C::binary(class.clone(), ">=", bound) } else { C::truth(false) };
    maker.fail_if(C::or(below, above), "INDEX");
    let last = maker.index(last);
    let class = if unsigned { C::cast("int64_t", class) } else { class };
    Ok(C::conditional(C::binary(class, "==", last), C::atom("1"), C::atom("0")))
}

pub(super) fn pad<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let (own, shape) = (maker.shape_of(operand)?, maker.shape_of(using.inst.results[0])?);
    let Some(Attr::Ints(pads)) = using.attrs.get("pads") else { return Err(maker.refuse("has no known `pads`")) };
    let mode = using.attrs.str("mode").unwrap_or("constant");
    let (mut place, mut inside) = (at.to_vec(), C::truth(true));
    let first = own.len().saturating_sub(pads.len() / 2);
    for (axis, pair) in (first..).zip(pads.chunks_exact(2)) {
        let (size, low) = (&own[axis], &pair[0]);
        if *size == shape[axis] {
            continue;
        }
        let from = at[axis].sub(low);
        if mode == "constant" {
            let after = maker.is_at_least(&at[axis], low);
            let before = if pair[1].is_const(0) { C::truth(true) } else { maker.is_below(&from, size) };
            inside = C::and(inside, C::and(after, before));
            place[axis] = from;
            continue;
        }
        if size.is_const(1) {
            place[axis] = Dim::zero();
            continue;
        }
        maker.helper("position");
        let helper = match mode {
            "reflect" => "reflected",
            "edge" => "clamped",
            _ => "modulo",
        };
        let (from, bound) = (maker.index(&from), maker.index(size));
        place[axis] = maker.index_variable("from", C::call(helper, vec![from, bound]), size);
    }
    let dtype = maker.dtype(operand);
    if inside.as_bool() == Some(true) {
        return maker.element(operand, &place);
    }
    let fill = maker.attribute(using, "value", dtype)?;
    maker.choose(inside, dtype, |maker| maker.element(operand, &place), |_| Ok(fill))
}

pub(super) fn concat<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let axis = axis(maker, using, "axis", at.len())?;
    let mut pieces = vec![];
    let mut start = Dim::zero();
    for operand in &using.inst.operands {
        let size = maker.shape_of(*operand)?[axis].clone();
        if !size.is_const(0) {
            let place = with(at, axis, at[axis].sub(&start));
            start = start.add(&size);
            pieces.push((*operand, start.clone(), place));
        }
    }
    one_of(maker, &at[axis], &pieces)
}

pub(super) fn stack<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let axis = axis(maker, using, "axis", at.len())?;
    let mut place = at.to_vec();
    place.remove(axis);
    let ends = (1..).map(Dim::constant);
    let pieces: Vec<_> = using.inst.operands.iter().zip(ends).map(|(own, end)| (*own, end, place.clone())).collect();
    one_of(maker, &at[axis], &pieces)
}

/// The element of the piece in whose part an index lies.
fn one_of<'a>(maker: &mut Maker<'a>, index: &Dim, pieces: &[(ValueId, Dim, Vec<Dim>)]) -> Outcome<C> {
    let Some(((operand, end, place), rest)) = pieces.split_first() else {
        return Err(maker.refuse("joins no tensors"));
    };
    if rest.is_empty() {
        return maker.element(*operand, place);
    }
    let inside = maker.is_below(index, end);
    let dtype = maker.dtype(*operand);
    maker.choose(inside, dtype, |maker| maker.element(*operand, place), |maker| one_of(maker, index, rest))
}

pub(super) fn unbind<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], result: usize) -> Outcome<C> {
    let axis = axis(maker, using, "axis", at.len() + 1)?;
    let mut place = at.to_vec();
    place.insert(axis, Dim::constant(result as i64));
    maker.element(using.inst.operands[0], &place)
}

/// One of the pieces that an axis is cut into.
pub(super) fn piece<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], result: usize) -> Outcome<C> {
    let axis = axis(maker, using, "axis", at.len())?;
    let mut start = Dim::zero();
    for before in &using.inst.results[..result] {
        start = start.add(&maker.shape_of(*before)?[axis]);
    }
    let place = with(at, axis, at[axis].add(&start));
    maker.element(using.inst.operands[0], &place)
}

pub(super) fn repeat<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let own = maker.shape_of(operand)?;
    let shape = maker.shape_of(using.inst.results[0])?;
    let skipped = at.len() - own.len();
    let place: Vec<Dim> = (0..own.len())
        .map(|axis| match &own[axis] {
            size if size.is_const(1) => Dim::zero(),
            size if *size == shape[skipped + axis] => at[skipped + axis].clone(),
            size => maker.ranges.remainder(&at[skipped + axis], size),
        })
        .collect();
    maker.element(operand, &place)
}

pub(super) fn repeat_interleave<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let axis = axis(maker, using, "axis", at.len())?;
    let times = int(maker, using, "n")?;
    let place = with(at, axis, maker.ranges.divide(&at[axis], &times));
    maker.element(using.inst.operands[0], &place)
}

/// `tril` keeps what is on or below a diagonal, `triu` what is on or above it.
pub(super) fn triangle<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let operand = using.inst.operands[0];
    let dtype = maker.dtype(operand);
    let diagonal = int(maker, using, "diagonal")?;
    let [.., row, column] = at else { return Err(maker.refuse("has a rank below 2")) };
    // Sums of an index and any number stay in their range.
    let limit = 1 << 62;
    let diagonal = diagonal.as_const().map_or(diagonal, |d| Dim::constant(d.clamp(-limit, limit)));
    let (column, border) = (maker.index(column), maker.index(&row.add(&diagonal)));
    let keeps = C::binary(column, if using.op.name() == "tril" { "<=" } else { ">=" }, border);
    let zero = literal(&Tensor::filled(dtype, vec![], 0.0), 0);
    maker.choose(keeps, dtype, |maker| maker.element(operand, at), |_| Ok(zero))
}

/// `zeros`, `ones` and `full`.
pub(super) fn full<'a>(maker: &mut Maker<'a>, using: Use<'a>, _: &[Dim], _: usize) -> Outcome<C> {
    let dtype = maker.dtype(using.inst.results[0]);
    let value = match using.attrs.get("value") {
        None => HostExpr::int(i64::from(using.op.name() == "ones")),
        Some(Attr::Bool(value)) => HostExpr::int(i64::from(*value)),
        Some(Attr::Int(dim)) => HostExpr::Int(dim.clone()),
        Some(Attr::Float(expr)) => expr.clone(),
        Some(_) => return Err(maker.refuse("has no known `value`")),
    };
    match (&value, value.as_const()) {
        (HostExpr::Int(dim), Some(_)) if !dtype.is_float() => {
            let number = crate::types::tensor::wrap(dtype, dim.as_const().unwrap_or_default());
            Ok(literal(&Tensor::from_i64(dtype, vec![], vec![number]), 0))
        }
        (_, Some(number)) => Ok(literal(&Tensor::filled(dtype, vec![], number), 0)),
        (HostExpr::Int(dim), None) => {
            let number = maker.index(dim);
            maker.converted(number, DType::Int64, dtype)
        }
        (expr, None) => {
            let number = maker.argument(expr)?;
            maker.converted(number, DType::Float64, dtype)
        }
    }
}

pub(super) fn eye<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let dtype = maker.dtype(using.inst.results[0]);
    let (row, column) = (maker.index(&at[0]), maker.index(&at[1]));
    let number = |value: f64| literal(&Tensor::filled(dtype, vec![], value), 0);
    Ok(C::conditional(C::binary(row, "==", column), number(1.0), number(0.0)))
}

pub(super) fn arange<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let dtype = maker.dtype(using.inst.results[0]);
    let start = match using.attrs.get("stop") {
        None | Some(Attr::None) => Dim::zero(),
        Some(_) => int(maker, using, "start")?,
    };
    let number = maker.index(&start.add(&at[0].mul(&int(maker, using, "step")?)));
    match dtype.is_float() {
        // One rounding, as from a double.
        true => {
            let double = C::cast("double", number);
            maker.converted(double, DType::Float64, dtype)
        }
        false => maker.converted(number, DType::Int64, dtype),
    }
}

pub(super) fn linspace<'a>(maker: &mut Maker<'a>, using: Use<'a>, at: &[Dim], _: usize) -> Outcome<C> {
    let (start, stop) = (maker.real(using, "start")?, maker.real(using, "stop")?);
    let number = int(maker, using, "num")?;
    maker.helper("linspace");
    let (index, number) = (maker.index(&at[0]), maker.index(&number));
    let value = C::call("linspace", vec![start, stop, index, number]);
    maker.converted(value, DType::Float64, maker.dtype(using.inst.results[0]))
}
