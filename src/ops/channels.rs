//! What operations do to channels: which products make them, where they go, and what scales or shifts each of them.
//! A pass that folds a scale of channels into the weight that made them asks here.

use crate::ops::traits::{Movement, Product};
use crate::ops::{Attrs, OpId};
use crate::types::{Dim, Facts, TensorType};

/// A product each of whose output channels is made with one slice of its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// The axis of the result.
    pub axis: usize,
    /// The operand that is the weight, and its axis that has the channels.
    pub weight: usize,
    pub weight_axis: usize,
    /// Whether the product takes an offset for each channel, as the operand after the weight.
    pub takes_offset: bool,
}

/// The channels of a product's result; `None` if there is no slice of one operand for each.
pub fn made_by(op: OpId, attrs: &Attrs, operands: &[TensorType], result: &TensorType) -> Option<Channels> {
    let weight = operands.get(1)?.shape.rank()?;
    match op.product()? {
        Product::Convolution => Some(Channels { axis: 1, weight: 1, weight_axis: 0, takes_offset: true }),
        // With groups the weight has the channels of one group only.
        Product::TransposedConvolution if attrs.const_int("groups") == Some(1) => {
            Some(Channels { axis: 1, weight: 1, weight_axis: 1, takes_offset: true })
        }
        Product::Matrix if weight == 2 => {
            let axis = result.shape.rank()?.checked_sub(1)?;
            let weight_axis = usize::from(attrs.bool("transpose_b") != Some(true));
            Some(Channels { axis, weight: 1, weight_axis, takes_offset: false })
        }
        Product::Matrix | Product::Routed | Product::TransposedConvolution => None,
    }
}

/// An affine step: what becomes of a value `v` with another operand `c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `v + c`
    Add,
    /// `v - c`
    Subtract,
    /// `c - v`
    SubtractFrom,
    /// `v * c`
    Scale,
    /// `v / c`
    Divide,
    /// `-v`
    Negate,
}

/// The step that an operation is for its operand at `position`.
pub fn step(op: OpId, position: usize) -> Option<Step> {
    op.traits().steps.get(position).copied()
}

/// Where the channels of an operand are in the result, if the operation leaves each element in its channel and changes
/// none but by rounding.
pub fn moved(op: OpId, attrs: &Attrs, from: &TensorType, to: &TensorType, axis: usize, facts: &Facts) -> Option<usize> {
    match op.movement() {
        Movement::Converts => (from.elem.is_float() && to.elem.is_float()).then_some(axis),
        Movement::Regroups => regrouped(from.shape.known()?, to.shape.known()?, axis, facts),
        Movement::Permutes(axes) => axes(attrs, from.shape.rank()?)?.iter().position(|old| *old == axis),
        Movement::None | Movement::Shows | Movement::Rearranges => None,
    }
}

/// The axis that has as many elements before it, in it and after it.
fn regrouped(from: &[Dim], to: &[Dim], axis: usize, facts: &Facts) -> Option<usize> {
    let size = |dims: &[Dim]| dims.iter().fold(Dim::constant(1), |product, dim| product.mul(dim));
    let (before, after) = (size(&from[..axis]), size(&from[axis + 1..]));
    (0..to.len()).find(|at| {
        facts.equal(&to[*at], &from[axis])
            && facts.equal(&size(&to[..*at]), &before)
            && facts.equal(&size(&to[at + 1..]), &after)
    })
}

/// Whether a value that broadcasts to `shape` has one number for each index of `axis`, or one for all.
pub fn is_per_channel(value: &[Dim], shape: &[Dim], axis: usize, facts: &Facts) -> bool {
    let Some(missing) = shape.len().checked_sub(value.len()) else { return false };
    value
        .iter()
        .enumerate()
        .all(|(position, dim)| dim.is_const(1) || position + missing == axis && facts.equal(dim, &shape[axis]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testkit::ty;
    use crate::ops::{Attr, find};

    fn op(name: &str) -> OpId {
        find(name).unwrap()
    }

    #[test]
    fn channels_are_followed() {
        let facts = Facts::default();
        let at = |name: &str, attrs: Attrs, from: &str, to: &str, axis| {
            moved(op(name), &attrs, &ty(from), &ty(to), axis, &facts)
        };
        let none = Attrs::new;
        assert_eq!(at("reshape", none(), "float32[B, C, H, W]", "float32[B, C, H*W]", 1), Some(1));
        assert_eq!(at("reshape", none(), "float32[B, T, C]", "float32[B*T, C]", 2), Some(1));
        assert_eq!(at("reshape", none(), "float32[B, C, H]", "float32[B*C, H]", 1), None);
        // The other axis of the same size is not the same axis.
        assert_eq!(at("reshape", none(), "float32[n, n]", "float32[n, 1, n]", 0), Some(0));
        assert_eq!(at("reshape", none(), "float32[n, n]", "float32[n, 1, n]", 1), Some(2));
        assert_eq!(at("unsqueeze", none(), "float32[B, C]", "float32[B, C, 1]", 1), Some(1));
        let axes = none().with("axes", Attr::ints(&[2, -3, 1]));
        assert_eq!(at("permute", axes, "float32[a, b, c]", "float32[c, a, b]", 0), Some(1));
        let swapped = none().with("axis0", Attr::int(1)).with("axis1", Attr::int(-1));
        assert_eq!(at("transpose", swapped, "float32[a, b, c]", "float32[a, c, b]", 1), Some(2));
        assert_eq!(at("flip", none(), "float32[B, C]", "float32[B, C]", 1), None);
    }

    #[test]
    fn one_number_for_each_channel() {
        let facts = Facts::default();
        let fits = |value: &str, shape: &str, axis| {
            let (value, shape) = (ty(value), ty(shape));
            is_per_channel(value.shape.known().unwrap(), shape.shape.known().unwrap(), axis, &facts)
        };
        assert!(fits("float32[C, 1]", "float32[B, C, N]", 1));
        assert!(fits("float32[1, C, 1]", "float32[B, C, N]", 1));
        assert!(fits("float32", "float32[B, C]", 1) && fits("float32[C]", "float32[B, C]", 1));
        assert!(!fits("float32[C]", "float32[B, C, C]", 1));
        assert!(!fits("float32[B, C]", "float32[B, C]", 1));
        assert!(!fits("float32[1, C, 1]", "float32[C, 1]", 0));
    }

    #[test]
    fn weights_of_products() {
        let made = |name: &str, attrs: Attrs, x: &str, weight: &str, result: &str| {
            made_by(op(name), &attrs, &[ty(x), ty(weight)], &ty(result)).map(|made| (made.axis, made.weight_axis))
        };
        let none = Attrs::new;
        assert_eq!(made("matmul", none(), "float32[B, T, K]", "float32[K, N]", "float32[B, T, N]"), Some((2, 1)));
        let swapped = none().with("transpose_b", Attr::Bool(true));
        assert_eq!(made("matmul", swapped, "float32[B, K]", "float32[N, K]", "float32[B, N]"), Some((1, 0)));
        // A matrix for each element of a batch is no weight.
        assert_eq!(made("matmul", none(), "float32[B, T, K]", "float32[B, K, N]", "float32[B, T, N]"), None);
        let image = |name: &str, groups: i64| {
            let attrs = none().with("groups", Attr::int(groups));
            made(name, attrs, "float32[B, 4, H, W]", "float32[4, 4, 3, 3]", "float32[B, 4, H, W]")
        };
        assert_eq!((image("conv2d", 2), image("conv_transpose2d", 1)), (Some((1, 0)), Some((1, 1))));
        assert_eq!(image("conv_transpose2d", 2), None);
    }
}
