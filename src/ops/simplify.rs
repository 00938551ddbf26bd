//! Laws: what an operation may be replaced by, to the last bit.
//!
//! Each law looks at one operation and at those that made its operands. It may be applied anywhere, since
//! it never asks who else uses a value. Only exact laws stand here: `x + 0.0` is not `x` for `-0.0`, but
//! `x - 0.0` is.

use crate::ops::matmul::TRANSPOSE;
use crate::ops::traits::Movement;
use crate::ops::{Attr, Attrs, OpId, find};
use crate::types::{DType, Tensor, TensorType};

/// A value of the program, as whoever applies laws numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Operand(pub u32);

/// What laws may ask about a program.
pub trait Program {
    fn ty(&self, value: Operand) -> &TensorType;

    /// The operation whose only result the value is.
    fn made_by(&self, value: Operand) -> Option<Made<'_>>;

    /// The value, if it is a constant.
    fn constant(&self, value: Operand) -> Option<&Tensor>;
}

/// An operation in a program.
#[derive(Clone, Debug)]
pub struct Made<'a> {
    pub op: OpId,
    pub attrs: &'a Attrs,
    pub operands: Vec<Operand>,
}

/// What stands for an operation after a law.
#[derive(Clone, Debug, PartialEq)]
pub enum Simpler {
    /// A value that is there already.
    Value(Operand),
    /// Another operation, of the same type.
    Op { op: OpId, attrs: Attrs, operands: Vec<Operand> },
}

/// One law; `None` where it does not apply. Entries of the registry list theirs.
pub type Law = fn(&Site<'_>) -> Option<Simpler>;

/// Applies the first law that fits an operation with one result of type `ty`. A value in its place has
/// that very type.
pub fn simplify(program: &dyn Program, made: Made<'_>, ty: &TensorType) -> Option<Simpler> {
    let laws = made.op.traits().laws;
    let site = Site { program, made, ty };
    laws.iter().find_map(|law| {
        law(&site).filter(|simpler| match simpler {
            Simpler::Value(value) => program.ty(*value) == ty,
            Simpler::Op { .. } => true,
        })
    })
}

/// The operation that a law looks at.
pub struct Site<'a> {
    program: &'a dyn Program,
    made: Made<'a>,
    ty: &'a TensorType,
}

impl<'a> Site<'a> {
    fn operand(&self, index: usize) -> Option<Operand> {
        self.made.operands.get(index).copied()
    }

    /// The operation that made an operand.
    fn maker(&self, index: usize) -> Option<Made<'a>> {
        self.program.made_by(self.operand(index)?)
    }

    /// The same, if it has this name.
    fn maker_named(&self, index: usize, name: &str) -> Option<Made<'a>> {
        self.maker(index).filter(|maker| maker.op.name() == name)
    }

    /// Whether an operand is a constant with this value, and this sign, everywhere.
    fn is(&self, index: usize, value: f64) -> bool {
        let constant = self.operand(index).and_then(|operand| self.program.constant(operand));
        constant.is_some_and(|tensor| {
            !tensor.is_empty() && tensor.to_f64().iter().all(|found| found.to_bits() == value.to_bits())
        })
    }

    fn value(&self, index: usize) -> Option<Simpler> {
        self.operand(index).map(Simpler::Value)
    }

    /// The left operand, if the right one is this.
    fn right_is(&self, value: f64) -> Option<Simpler> {
        self.value(0).filter(|_| self.is(1, value))
    }

    fn is_float(&self) -> bool {
        self.ty.dtype().is_some_and(DType::is_float)
    }

    fn rank(&self, value: Operand) -> Option<usize> {
        self.program.ty(value).shape.rank()
    }
}

fn op(name: &str, attrs: Attrs, operands: &[Operand]) -> Option<Simpler> {
    Some(Simpler::Op { op: find(name)?, attrs, operands: operands.to_vec() })
}

/// `x + 0` of integers; of floats, `x + -0.0`.
pub(super) fn add_zero(site: &Site<'_>) -> Option<Simpler> {
    let zero = if site.is_float() { -0.0 } else { 0.0 };
    site.right_is(zero).or_else(|| site.value(1).filter(|_| site.is(0, zero)))
}

/// `x + -y` is `x - y`.
pub(super) fn add_negative(site: &Site<'_>) -> Option<Simpler> {
    if let Some(negative) = site.maker_named(1, "neg") {
        return op("sub", Attrs::new(), &[site.operand(0)?, *negative.operands.first()?]);
    }
    let negative = site.maker_named(0, "neg")?;
    op("sub", Attrs::new(), &[site.operand(1)?, *negative.operands.first()?])
}

pub(super) fn sub_zero(site: &Site<'_>) -> Option<Simpler> {
    site.right_is(0.0)
}

/// `x - -y` is `x + y`.
pub(super) fn sub_negative(site: &Site<'_>) -> Option<Simpler> {
    let negative = site.maker_named(1, "neg")?;
    op("add", Attrs::new(), &[site.operand(0)?, *negative.operands.first()?])
}

pub(super) fn mul_one(site: &Site<'_>) -> Option<Simpler> {
    site.right_is(1.0).or_else(|| site.value(1).filter(|_| site.is(0, 1.0)))
}

/// `-x * -y` is `x * y`.
pub(super) fn mul_negatives(site: &Site<'_>) -> Option<Simpler> {
    let (a, b) = (site.maker_named(0, "neg")?, site.maker_named(1, "neg")?);
    op("mul", Attrs::new(), &[*a.operands.first()?, *b.operands.first()?])
}

/// `x / 1`, or `x ** 1`.
pub(super) fn by_one(site: &Site<'_>) -> Option<Simpler> {
    site.right_is(1.0)
}

/// `x // 1`, which rounds floats.
pub(super) fn integers_by_one(site: &Site<'_>) -> Option<Simpler> {
    site.right_is(1.0).filter(|_| site.ty.dtype().is_some_and(DType::is_int))
}

pub(super) fn same_twice(site: &Site<'_>) -> Option<Simpler> {
    site.value(0).filter(|_| site.operand(0) == site.operand(1))
}

pub(super) fn where_same(site: &Site<'_>) -> Option<Simpler> {
    site.value(1).filter(|_| site.operand(1) == site.operand(2))
}

/// The same operation twice does nothing.
pub(super) fn undone(site: &Site<'_>) -> Option<Simpler> {
    let first = site.maker(0).filter(|first| first.op == site.made.op)?;
    first.operands.first().copied().map(Simpler::Value)
}

/// `not (a == b)` is `a != b`, for NaN too.
pub(super) fn not_equal(site: &Site<'_>) -> Option<Simpler> {
    let comparison = site.maker(0)?;
    match comparison.op.name() {
        "eq" => op("ne", Attrs::new(), &comparison.operands),
        "ne" => op("eq", Attrs::new(), &comparison.operands),
        _ => None,
    }
}

/// The same operation a second time does nothing more.
pub(super) fn repeated(site: &Site<'_>) -> Option<Simpler> {
    site.value(0).filter(|_| site.maker(0).is_some_and(|first| first.op == site.made.op))
}

pub(super) fn abs_negative(site: &Site<'_>) -> Option<Simpler> {
    op("abs", Attrs::new(), &[*site.maker_named(0, "neg")?.operands.first()?])
}

pub(super) fn flip_back(site: &Site<'_>) -> Option<Simpler> {
    let first = site.maker_named(0, "flip").filter(|first| first.attrs == site.made.attrs)?;
    first.operands.first().copied().map(Simpler::Value)
}

pub(super) fn unchanged(site: &Site<'_>) -> Option<Simpler> {
    site.value(0)
}

pub(super) fn cast_to_itself(site: &Site<'_>) -> Option<Simpler> {
    site.value(0)
}

/// A conversion by way of a type that holds every value of the first.
pub(super) fn cast_of_cast(site: &Site<'_>) -> Option<Simpler> {
    let first = site.maker_named(0, "cast")?;
    let source = *first.operands.first()?;
    let dtype = |value: Operand| site.program.ty(value).dtype();
    let (from, by, to) = (dtype(source)?, dtype(site.operand(0)?)?, site.ty.dtype()?);
    // Integers wrap where floats saturate, so a detour over floats may matter for a smaller integer type.
    let same_way = from.is_float() == by.is_float() || to.is_float() || to == from;
    if !holds_all(by, from) || !same_way {
        return None;
    }
    if to == from { Some(Simpler::Value(source)) } else { op("cast", site.made.attrs.clone(), &[source]) }
}

/// Whether `wide` has every value of `narrow`.
fn holds_all(wide: DType, narrow: DType) -> bool {
    // Digits of the mantissa; exponents of these types hold all integers that have so few digits.
    let digits = |dtype: DType| match dtype {
        DType::BFloat16 => Some(8),
        DType::Float16 => Some(11),
        DType::Float32 => Some(24),
        DType::Float64 => Some(53),
        _ => None,
    };
    match (digits(wide), digits(narrow)) {
        (Some(w), Some(n)) => wide == narrow || (w > n && w >= 24),
        (Some(w), None) => narrow.int_range().is_some_and(|(low, high)| high <= 1 << w && low >= -(1 << w)),
        (None, None) => match (wide.int_range(), narrow.int_range()) {
            (Some(w), Some(n)) => w.0 <= n.0 && n.1 <= w.1,
            _ => false,
        },
        (None, Some(_)) => false,
    }
}

/// Axes of an operation that only puts them in another order.
fn axes_of(made: &Made<'_>, rank: usize) -> Option<Vec<usize>> {
    match made.op.movement() {
        Movement::Permutes(axes) => axes(made.attrs, rank),
        _ => None,
    }
}

/// A permutation that moves nothing, or one after another.
pub(super) fn permutation(site: &Site<'_>) -> Option<Simpler> {
    let source = site.operand(0)?;
    let rank = site.rank(source)?;
    let outer = axes_of(&site.made, rank)?;
    let is_identity = |axes: &[usize]| axes.iter().enumerate().all(|(position, axis)| position == *axis);
    if is_identity(&outer) {
        return Some(Simpler::Value(source));
    }
    let first = site.maker(0)?;
    let inner = axes_of(&first, rank)?;
    let both: Vec<usize> = outer.iter().map(|axis| inner[*axis]).collect();
    let source = *first.operands.first()?;
    if is_identity(&both) {
        return Some(Simpler::Value(source));
    }
    let axes: Vec<i64> = both.iter().map(|axis| *axis as i64).collect();
    op("permute", Attrs::new().with("axes", Attr::ints(&axes)), &[source])
}

/// The operand, and what it was before each operation that only regroups elements, back to the first.
fn regrouped<'a>(site: &'a Site<'_>) -> impl Iterator<Item = Operand> + 'a {
    std::iter::successors(site.operand(0), |value| {
        let made = site.program.made_by(*value)?;
        matches!(made.op.movement(), Movement::Regroups).then(|| made.operands.first().copied())?
    })
}

/// Back to a shape that the elements had before.
pub(super) fn reshaped_back(site: &Site<'_>) -> Option<Simpler> {
    regrouped(site).find(|source| site.program.ty(*source) == site.ty).map(Simpler::Value)
}

pub(super) fn reshape_of_reshape(site: &Site<'_>) -> Option<Simpler> {
    op("reshape", site.made.attrs.clone(), &[regrouped(site).skip(1).last()?])
}

pub(super) fn broadcast_of_broadcast(site: &Site<'_>) -> Option<Simpler> {
    let first = site.maker_named(0, "broadcast_to")?;
    op("broadcast_to", site.made.attrs.clone(), &[*first.operands.first()?])
}

/// A list with one element, joined.
pub(super) fn only_one(site: &Site<'_>) -> Option<Simpler> {
    site.value(0).filter(|_| site.made.operands.len() == 1)
}

pub(super) fn unchanged_by_pad(site: &Site<'_>) -> Option<Simpler> {
    let pads = site.made.attrs.dims("pads")?;
    site.value(0).filter(|_| pads.iter().all(|pad| pad.as_const() == Some(0)))
}

/// An operand whose last two axes were exchanged: the flag says so instead.
pub(super) fn transposed_operand(site: &Site<'_>) -> Option<Simpler> {
    TRANSPOSE.into_iter().enumerate().find_map(|(index, flag)| {
        let operand = site.operand(index)?;
        let axes = axes_of(&site.maker(index)?, site.rank(operand)?)?;
        let [head @ .., before, last] = axes.as_slice() else { return None };
        let exchanged = (*before, *last) == (head.len() + 1, head.len());
        if !exchanged || head.iter().enumerate().any(|(position, axis)| position != *axis) {
            return None;
        }
        let mut operands = site.made.operands.clone();
        operands[index] = *site.maker(index)?.operands.first()?;
        op("matmul", site.made.attrs.clone().with_flag(flag, !site.made.attrs.flag(flag)), &operands)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_hold_others() {
        use DType::*;
        for (wide, narrow, holds) in [
            (Float32, Float16, true),
            (Float32, BFloat16, true),
            (Float16, BFloat16, false),
            (BFloat16, Float16, false),
            (Float16, Float16, true),
            (Float64, Int32, true),
            (Float32, Int32, false),
            (Float32, Int16, true),
            (Float16, Int8, true),
            (BFloat16, Int8, true),
            (BFloat16, Int16, false),
            (Int32, Int8, true),
            (Int8, UInt8, false),
            (Int16, UInt8, true),
            (Int64, Float32, false),
        ] {
            assert_eq!(holds_all(wide, narrow), holds, "{wide:?} {narrow:?}");
        }
    }
}
