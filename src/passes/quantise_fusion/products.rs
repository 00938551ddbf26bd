//! Integer products of codes in the place of products of what the codes stand for.

use super::QuantiseFusion;
use crate::base::Loc;
use crate::ir::{Function, Inst, InstId, InstKind, Value, ValueId};
use crate::ops::contraction::Contraction;
use crate::ops::traits::Quantisation;
use crate::ops::{Attr, Attrs, OpId, RuleCx, builtin};
use crate::passes::copy::push;
use crate::quant::Scheme;
use crate::types::{DType, Dim, Facts, Shape, TensorType};

/// A factor that was restored from codes with one scale for each slice, and no zero point.
struct Factor {
    codes: ValueId,
    scale: ValueId,
    /// The axes of the factor that its scale has.
    scale_axes: Vec<usize>,
    /// Whether the codes are a parameter's.
    is_stored: bool,
}

impl QuantiseFusion<'_> {
    /// Instructions that compute a product from codes, and the value that they end with.
    pub(super) fn integer_product(&self, function: &mut Function, id: InstId) -> Option<(Vec<InstId>, ValueId)> {
        let inst = function[id].clone();
        let InstKind::Op { op, attrs } = &inst.kind else { return None };
        let types: Vec<TensorType> = inst.operands.iter().map(|operand| function[*operand].ty.clone()).collect();
        let contraction = Contraction::of(*op, attrs, &types)?;
        let factors = [self.factor(function, inst.operands[0])?, self.factor(function, inst.operands[1])?];
        if !self.fits(function, &contraction, &factors) {
            return None;
        }
        let places = scale_places(&contraction, &factors)?;
        let result = function[*inst.results.first()?].ty.clone();
        let dtype = if result.dtype()? == DType::Float64 { DType::Float64 } else { DType::Float32 };
        let mut chain = Chain { function, facts: &self.facts, insts: vec![], loc: inst.loc };
        let product = chain.op(*op, &[factors[0].codes, factors[1].codes], attrs.clone())?;
        let mut value = chain.cast(product, dtype)?;
        for factor in in_order(&factors) {
            let scale = chain.cast(factors[factor].scale, dtype)?;
            let scale = chain.spread(scale, &places[factor], contraction.rank)?;
            value = chain.op(builtin("mul"), &[value, scale], Attrs::new())?;
        }
        if let (Some(bias), Some(axis)) = (inst.operands.get(2), contraction.bias) {
            let bias = chain.cast(*bias, dtype)?;
            let bias = chain.spread(bias, &[axis], contraction.rank)?;
            value = chain.op(builtin("add"), &[value, bias], Attrs::new())?;
        }
        let value = chain.cast(value, result.dtype()?)?;
        let insts = chain.insts;
        (function[value].ty == result).then_some((insts, value))
    }

    fn factor(&self, function: &Function, value: ValueId) -> Option<Factor> {
        let (id, attrs) = self.made_by(function, value, Quantisation::Dequantise)?;
        let [codes, scale] = function[id].operands[..] else { return None };
        let scale_axes = scale_axes(attrs.scheme("scheme")?, function[value].ty.shape.rank()?)?;
        let maker = self.seen.makers.get(&codes).map(|id| &function[*id].kind);
        Some(Factor { codes, scale, scale_axes, is_stored: matches!(maker, Some(InstKind::Param { .. })) })
    }

    /// Whether no sum of products of such codes leaves int32, in any instance of the layer.
    fn fits(&self, function: &Function, contraction: &Contraction, factors: &[Factor; 2]) -> bool {
        let most = |factor: &Factor| {
            let (low, high) = function.dtype(factor.codes).int_range()?;
            Some(low.unsigned_abs().max(high.unsigned_abs()))
        };
        let inner = self.environments.most(function.layer, &contraction.inner);
        let inner = inner.and_then(|inner| u128::try_from(inner).ok());
        let (Some(inner), Some(a), Some(b)) = (inner, most(&factors[0]), most(&factors[1])) else { return false };
        let sum = a.checked_mul(b).and_then(|product| product.checked_mul(inner));
        sum.is_some_and(|sum| sum <= i32::MAX as u128)
    }
}

/// The axes of a tensor that the scales of its codes have; `None` for groups.
fn scale_axes(scheme: &Scheme, rank: usize) -> Option<Vec<usize>> {
    match (scheme.axis, scheme.group) {
        (Some(axis), _) => Some(vec![usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok()?]),
        (None, Some(_)) => None,
        (None, None) if scheme.dynamic => Some((0..rank.checked_sub(1)?).collect()),
        (None, None) => Some(vec![]),
    }
}

/// The axes of the result that the scales have; `None` if the product sums over one of them.
fn scale_places(contraction: &Contraction, factors: &[Factor; 2]) -> Option<[Vec<usize>; 2]> {
    let places = |factor: usize| -> Option<Vec<usize>> {
        factors[factor].scale_axes.iter().map(|axis| *contraction.axes[factor].get(*axis)?).collect()
    };
    Some([places(0)?, places(1)?])
}

/// The weight's scale first: it is a moderate number, whatever the activations are, so that no intermediate value
/// leaves the range of floats where the result does not.
fn in_order(factors: &[Factor; 2]) -> [usize; 2] {
    if factors[0].is_stored && !factors[1].is_stored { [0, 1] } else { [1, 0] }
}

/// Instructions one after another.
struct Chain<'f> {
    function: &'f mut Function,
    facts: &'f Facts,
    insts: Vec<InstId>,
    loc: Loc,
}

impl Chain<'_> {
    /// An operation with one result, of the type that its rule gives.
    fn op(&mut self, op: OpId, operands: &[ValueId], attrs: Attrs) -> Option<ValueId> {
        let attrs = op.get().with_defaults(&attrs);
        let types: Vec<TensorType> = operands.iter().map(|operand| self.function[*operand].ty.clone()).collect();
        let mut unknowns = 0;
        let mut fresh = || {
            unknowns += 1;
            Dim::unknown(unknowns)
        };
        let mut cx = RuleCx::new(op.get(), &types, &attrs, self.facts, &mut fresh);
        let ty = (op.get().rule)(&mut cx).ok()?.into_iter().next()?;
        self.function.values.push(Value { ty, name: None });
        let result = ValueId(self.function.values.len() as u32 - 1);
        let kind = InstKind::Op { op, attrs };
        let inst = Inst { kind, operands: operands.to_vec(), results: vec![result], loc: self.loc };
        self.insts.push(push(self.function, inst));
        Some(result)
    }

    fn cast(&mut self, value: ValueId, dtype: DType) -> Option<ValueId> {
        if self.function.dtype(value) == dtype {
            return Some(value);
        }
        self.op(builtin("cast"), &[value], Attrs::new().with("dtype", Attr::DType(dtype.into())))
    }

    /// A value whose axes are these of a result of some rank, so that it broadcasts with it.
    fn spread(&mut self, value: ValueId, places: &[usize], rank: usize) -> Option<ValueId> {
        let Some(first) = places.first() else { return Some(value) };
        let own = self.function[value].ty.shape.known()?.to_vec();
        let mut dims = vec![Dim::constant(1); rank.checked_sub(*first)?];
        for (place, dim) in places.iter().zip(&own) {
            *dims.get_mut(*place - first)? = dim.clone();
        }
        let is_followed_by_one = dims.split_last().is_some_and(|(_, before)| before == own);
        match () {
            () if dims == own => Some(value),
            () if is_followed_by_one => {
                self.op(builtin("unsqueeze"), &[value], Attrs::new().with("axis", Attr::int(-1)))
            }
            () => self.op(builtin("reshape"), &[value], Attrs::new().with("shape", Attr::Shape(Shape::new(dims)))),
        }
    }
}
