//! A product, and what is done to its channels until something else is.

use super::Users;
use super::constants::Constants;
use super::weight::Weight;
use crate::base::Loc;
use crate::ir::{Function, Inst, InstId, InstKind, Value, ValueId};
use crate::ops::channels::{self, Channels, Step};
use crate::ops::{Attr, Attrs, builtin};
use crate::types::{DType, Dim, Facts, Shape, Tensor, TensorType};

/// What is done to the result of a product.
enum Link {
    /// Channels stay, in another place or type.
    Move(InstId),
    /// One number for each channel, or one for all, is brought in.
    Affine { inst: InstId, step: Step, constant: Option<ValueId> },
}

impl Link {
    fn inst(&self) -> InstId {
        match self {
            Link::Move(inst) | Link::Affine { inst, .. } => *inst,
        }
    }
}

pub(super) struct Chain {
    product: InstId,
    channels: Channels,
    weight: Weight,
    links: Vec<Link>,
    /// Where the last of them stands in the region.
    end: usize,
    /// The number of channels, and the type that they are scaled in.
    count: Dim,
    dtype: DType,
}

impl Chain {
    /// The chain that begins with the instruction at a position of a region, if there is something to fold in it.
    pub fn from(
        function: &Function,
        insts: &[InstId],
        at: usize,
        users: &Users,
        constants: &Constants,
        facts: &Facts,
    ) -> Option<Chain> {
        let product = *insts.get(at)?;
        let inst = &function[product];
        let InstKind::Op { op, attrs } = &inst.kind else { return None };
        let types: Vec<TensorType> = inst.operands.iter().map(|operand| function[*operand].ty.clone()).collect();
        let [result] = inst.results[..] else { return None };
        let channels = channels::made_by(*op, attrs, &types, &function[result].ty)?;
        let fixed = inst.operands.get(channels.weight..)?;
        if !fixed.iter().all(|operand| constants.has(*operand)) {
            return None;
        }
        let weight = Weight::of(function, fixed[0], channels.weight_axis, facts)?;
        let (mut axis, mut value, mut position) = (channels.axis, result, at);
        let count = function[result].ty.shape.known()?.get(axis)?.clone();
        let mut links = vec![];
        let mut chain = Chain { product, channels, weight, links: vec![], end: at, count, dtype: DType::Float32 };
        let mut dtype = None;
        while let Some([user]) = users.get(&value).map(Vec::as_slice) {
            let Some(next) = insts.iter().skip(position + 1).position(|id| id == user) else { break };
            let Some((link, to)) = link(function, *user, value, axis, constants, facts) else { break };
            position += next + 1;
            if let Link::Affine { .. } = link {
                let own = function.dtype(value);
                if *dtype.get_or_insert(own) != own {
                    break;
                }
                chain.end = position;
                links.push(link);
                chain.links.append(&mut links);
            } else {
                links.push(link);
            }
            (axis, value) = (to, function[*user].results[0]);
        }
        chain.dtype = dtype?;
        chain.is_worth_it().then_some(chain)
    }

    /// An offset alone is only worth it where the product takes one.
    fn is_worth_it(&self) -> bool {
        let scales = |link: &Link| matches!(link, Link::Affine { step: Step::Scale | Step::Divide, .. });
        self.links.iter().any(scales) || self.channels.takes_offset
    }

    /// The instructions that go.
    pub fn insts(&self) -> Vec<InstId> {
        self.links.iter().map(Link::inst).chain([self.product]).collect()
    }

    /// Writes the folded product and the moves: what stands in the place of the last instruction, and where that is.
    pub fn fold(&self, function: &mut Function) -> Option<(usize, Vec<InstId>)> {
        let last = self.links.last()?.inst();
        let mut writer = Writer { loc: function[last].loc, function, insts: vec![] };
        let (scale, shift) = self.sums(&mut writer);
        let Inst { kind, operands, results, .. } = writer.function[self.product].clone();
        let InstKind::Op { op, attrs } = kind else { return None };
        let mut operands = operands;
        let mut shift = shift;
        if self.channels.takes_offset {
            let own = operands.get(self.channels.weight + 1).copied();
            operands.truncate(self.channels.weight + 1);
            operands.extend(self.offset(&mut writer, own, scale, shift.take()));
        }
        if let Some(scale) = scale {
            let (axis, dtype) = (self.channels.weight_axis, self.dtype);
            operands[self.channels.weight] = self.weight.scaled(&mut writer, scale, axis, dtype, &self.count);
        }
        let mut value = writer.push(InstKind::Op { op, attrs }, operands, writer.function[results[0]].ty.clone());
        if let Some(shift) = shift {
            let ty = writer.function[value].ty.clone();
            let shift = writer.cast(shift, writer.function.dtype(value));
            value = writer.op("add", Attrs::new(), vec![value, shift], ty);
        }
        for link in &self.links {
            let Link::Move(inst) = link else { continue };
            let Inst { kind, results, .. } = writer.function[*inst].clone();
            value = writer.push(kind, vec![value], writer.function[results[0]].ty.clone());
        }
        let Writer { insts, .. } = writer;
        // The others know the result by its name.
        let result = function[last].results[0];
        function[*insts.last()?].results = vec![result];
        Some((self.end, insts))
    }

    /// The scale and the shift that all steps come to.
    fn sums(&self, writer: &mut Writer<'_>) -> (Option<ValueId>, Option<ValueId>) {
        let (mut scale, mut shift) = (None, None);
        for link in &self.links {
            let Link::Affine { step, constant, .. } = link else { continue };
            let constant = constant.map(|constant| self.flat(writer, constant));
            (scale, shift) = match (step, constant) {
                (Step::Add, Some(constant)) => (scale, Some(writer.sum("add", shift, constant))),
                (Step::Subtract, Some(constant)) => {
                    let negated = writer.negated(constant);
                    (scale, Some(writer.sum("add", shift, negated)))
                }
                (Step::SubtractFrom, Some(constant)) => {
                    let negated = shift.map(|shift| writer.negated(shift));
                    (Some(self.opposite(writer, scale)), Some(writer.sum("add", negated, constant)))
                }
                (Step::Scale, Some(constant)) => {
                    let shift = shift.map(|shift| writer.pair("mul", shift, constant));
                    (Some(writer.sum("mul", scale, constant)), shift)
                }
                (Step::Divide, Some(constant)) => {
                    let shift = shift.map(|shift| writer.pair("div", shift, constant));
                    let scale = scale.unwrap_or_else(|| writer.number(1.0, self.dtype));
                    (Some(writer.pair("div", scale, constant)), shift)
                }
                // The only step without a constant.
                (Step::Negate, _) | (_, None) => {
                    (Some(self.opposite(writer, scale)), shift.map(|shift| writer.negated(shift)))
                }
            };
        }
        (scale, shift)
    }

    fn opposite(&self, writer: &mut Writer<'_>, scale: Option<ValueId>) -> ValueId {
        match scale {
            Some(scale) => writer.negated(scale),
            None => writer.number(-1.0, self.dtype),
        }
    }

    /// A constant as a vector of all channels, or as a scalar.
    fn flat(&self, writer: &mut Writer<'_>, constant: ValueId) -> ValueId {
        let shape = &writer.function[constant].ty.shape;
        let ones = shape.known().is_some_and(|dims| dims.iter().all(|dim| dim.is_const(1)));
        let wanted = if ones { vec![] } else { vec![self.count.clone()] };
        writer.reshaped(constant, wanted)
    }

    /// The offset of a convolution: what it had, scaled, and the shift.
    fn offset(
        &self,
        writer: &mut Writer<'_>,
        own: Option<ValueId>,
        scale: Option<ValueId>,
        shift: Option<ValueId>,
    ) -> Option<ValueId> {
        let low = own.map(|own| writer.function.dtype(own)).unwrap_or(writer.function.dtype(self.weight.value()));
        let own = own.map(|own| writer.cast(own, self.dtype)).map(|own| match scale {
            Some(scale) => writer.pair("mul", own, scale),
            None => own,
        });
        let both = match (own, shift) {
            (Some(own), Some(shift)) => Some(writer.pair("add", own, shift)),
            (own, shift) => own.or(shift),
        }?;
        let vector = writer.spread(both, &self.count);
        Some(writer.cast(vector, low))
    }
}

/// The next link, and the axis of the channels behind it.
fn link(
    function: &Function,
    id: InstId,
    value: ValueId,
    axis: usize,
    constants: &Constants,
    facts: &Facts,
) -> Option<(Link, usize)> {
    let inst = &function[id];
    let InstKind::Op { op, attrs } = &inst.kind else { return None };
    let [result] = inst.results[..] else { return None };
    let (from, to) = (&function[value].ty, &function[result].ty);
    if let [operand] = inst.operands[..]
        && operand == value
        && let Some(axis) = channels::moved(*op, attrs, from, to, axis, facts)
    {
        return Some((Link::Move(id), axis));
    }
    let position = inst.operands.iter().position(|operand| *operand == value)?;
    let step = channels::step(*op, position)?;
    let constant = inst.operands.iter().copied().find(|operand| *operand != value);
    match constant {
        Some(constant) => {
            let dims = function[constant].ty.shape.known()?;
            let fits = constants.has(constant) && channels::is_per_channel(dims, from.shape.known()?, axis, facts);
            fits.then_some((Link::Affine { inst: id, step, constant: Some(constant) }, axis))
        }
        // `v + v` has no other operand, and is no step.
        None => (step == Step::Negate).then_some((Link::Affine { inst: id, step, constant: None }, axis)),
    }
}

/// Appends instructions on constants.
pub(super) struct Writer<'f> {
    pub function: &'f mut Function,
    insts: Vec<InstId>,
    loc: Loc,
}

impl Writer<'_> {
    pub fn push(&mut self, kind: InstKind, operands: Vec<ValueId>, ty: TensorType) -> ValueId {
        self.function.values.push(Value { ty, name: None });
        let result = ValueId(self.function.values.len() as u32 - 1);
        self.function.insts.push(Inst { kind, operands, results: vec![result], loc: self.loc });
        self.insts.push(InstId(self.function.insts.len() as u32 - 1));
        result
    }

    pub fn op(&mut self, name: &str, attrs: Attrs, operands: Vec<ValueId>, ty: TensorType) -> ValueId {
        self.push(InstKind::Op { op: builtin(name), attrs }, operands, ty)
    }

    /// An operation on two values one of whose shapes is that of the result.
    pub fn pair(&mut self, name: &str, a: ValueId, b: ValueId) -> ValueId {
        let (left, right) = (&self.function[a].ty, &self.function[b].ty);
        let ty = if left.shape.rank() >= right.shape.rank() { left.clone() } else { right.clone() };
        self.op(name, Attrs::new(), vec![a, b], ty)
    }

    /// The same where the first value may be none: then it is the other one.
    fn sum(&mut self, name: &str, first: Option<ValueId>, other: ValueId) -> ValueId {
        first.map_or(other, |first| self.pair(name, first, other))
    }

    fn negated(&mut self, value: ValueId) -> ValueId {
        let ty = self.function[value].ty.clone();
        self.op("neg", Attrs::new(), vec![value], ty)
    }

    fn number(&mut self, value: f64, dtype: DType) -> ValueId {
        let tensor = Tensor::filled(dtype, vec![], value);
        self.push(InstKind::Const(tensor), vec![], TensorType::scalar(dtype))
    }

    pub fn cast(&mut self, value: ValueId, dtype: DType) -> ValueId {
        if self.function.dtype(value) == dtype {
            return value;
        }
        let ty = self.function[value].ty.with_elem(dtype);
        self.op("cast", Attrs::new().with("dtype", Attr::DType(dtype.into())), vec![value], ty)
    }

    pub fn reshaped(&mut self, value: ValueId, dims: Vec<Dim>) -> ValueId {
        if self.function[value].ty.shape.known() == Some(&dims[..]) {
            return value;
        }
        self.in_shape("reshape", value, dims)
    }

    /// A scalar as a vector.
    fn spread(&mut self, value: ValueId, count: &Dim) -> ValueId {
        match self.function[value].ty.shape.rank() {
            Some(0) => self.in_shape("broadcast_to", value, vec![count.clone()]),
            _ => value,
        }
    }

    fn in_shape(&mut self, name: &str, value: ValueId, dims: Vec<Dim>) -> ValueId {
        let shape = Shape::new(dims);
        let ty = self.function[value].ty.with_shape(shape.clone());
        self.op(name, Attrs::new().with("shape", Attr::Shape(shape)), vec![value], ty)
    }
}
