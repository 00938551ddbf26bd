//! What a product does with the axes of its factors: which of them it sums over, and what becomes of the others.
//!
//! A number for each index of an axis that is kept, such as a scale, may be multiplied in after the product instead of
//! before: `(a * s) @ b` is `(a @ b) * s` for an `s` that does not change along the inner axis.

use crate::ops::matmul::TRANSPOSE;
use crate::ops::traits::Product;
use crate::ops::{Attrs, OpId};
use crate::types::{Dim, TensorType};

/// A use of a product, `matmul` or a convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Contraction {
    /// For each axis of both factors the axis of the result that it is, or `None` if it is summed over.
    pub axes: [Vec<Option<usize>>; 2],
    /// The rank of the result.
    pub rank: usize,
    /// How many products one element of the result adds up, at most.
    pub inner: Dim,
    /// The axis of the result along which a bias, the third operand, is added.
    pub bias: Option<usize>,
}

impl Contraction {
    /// `None` for operations that are no such products.
    pub fn of(op: OpId, attrs: &Attrs, operands: &[TensorType]) -> Option<Contraction> {
        let [left, right, ..] = operands else { return None };
        let (left, right) = (left.shape.known()?, right.shape.known()?);
        match op.product()? {
            Product::Matrix => matmul(left, right, TRANSPOSE.map(|flag| attrs.flag(flag))),
            Product::Convolution => convolution(left, right),
            Product::Routed | Product::TransposedConvolution => None,
        }
    }
}

fn matmul(left: &[Dim], right: &[Dim], transposed: [bool; 2]) -> Option<Contraction> {
    let has_row = usize::from(left.len() > 1);
    let has_column = usize::from(right.len() > 1);
    let batch = left.len().saturating_sub(2).max(right.len().saturating_sub(2));
    let rank = batch + has_row + has_column;
    // Leading axes align at their end.
    let axes = |dims: &[Dim], outer: usize, outer_first: bool| {
        let leading = dims.len().saturating_sub(2);
        let mut axes: Vec<Option<usize>> = (0..leading).map(|axis| Some(batch - leading + axis)).collect();
        match (dims.len(), outer_first) {
            (1, _) => axes.push(None),
            (_, true) => axes.extend([Some(outer), None]),
            (_, false) => axes.extend([None, Some(outer)]),
        }
        axes
    };
    let left_axes = axes(left, batch, !transposed[0]);
    let right_axes = axes(right, batch + has_row, transposed[1]);
    let inner = left_axes.iter().rposition(Option::is_none)?;
    Some(Contraction { inner: left[inner].clone(), axes: [left_axes, right_axes], rank, bias: None })
}

fn convolution(x: &[Dim], weight: &[Dim]) -> Option<Contraction> {
    let [_, summed @ ..] = weight else { return None };
    let inner = summed.iter().fold(Dim::constant(1), |product, dim| product.mul(dim));
    // Places of the image are not summed over, but each goes into several places of the result.
    let mut axes = [vec![None; x.len()], vec![None; weight.len()]];
    *axes[0].first_mut()? = Some(0);
    *axes[1].first_mut()? = Some(1);
    Some(Contraction { axes, rank: x.len(), inner, bias: Some(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::builtin;
    use crate::ops::testkit::ty;

    fn of(op: &str, operands: &[&str], flags: [bool; 2]) -> (Vec<Option<usize>>, Vec<Option<usize>>, usize, String) {
        let attrs = Attrs::new().with_flag("transpose_a", flags[0]).with_flag("transpose_b", flags[1]);
        let operands: Vec<TensorType> = operands.iter().map(|text| ty(text)).collect();
        let Contraction { axes: [a, b], rank, inner, .. } =
            Contraction::of(builtin(op), &attrs, &operands).unwrap_or_else(|| panic!("{op} is a product"));
        (a, b, rank, inner.to_string())
    }

    #[test]
    fn axes_of_products() {
        let none = [false, false];
        assert_eq!(
            of("matmul", &["int8[B, T, K]", "int8[N, K]"], [false, true]),
            (vec![Some(0), Some(1), None], vec![Some(2), None], 3, "K".into())
        );
        assert_eq!(
            of("matmul", &["int8[K, M]", "int8[B, K, N]"], [true, false]),
            (vec![None, Some(1)], vec![Some(0), None, Some(2)], 3, "K".into())
        );
        assert_eq!(of("matmul", &["int8[K]", "int8[K]"], none), (vec![None], vec![None], 0, "K".into()));
        assert_eq!(
            of("matmul", &["int8[K]", "int8[H, B, K, N]"], none),
            (vec![None], vec![Some(0), Some(1), None, Some(2)], 3, "K".into())
        );
        assert_eq!(
            of("matmul", &["int8[B, M, K]", "int8[K]"], none),
            (vec![Some(0), Some(1), None], vec![None], 2, "K".into())
        );
        assert_eq!(
            of("conv2d", &["int8[B, C, H, W]", "int8[O, C, 3, 3]"], none),
            (vec![Some(0), None, None, None], vec![Some(1), None, None, None], 4, "9 * C".into())
        );
        let operands = [ty("int8[N, K]"), ty("int8[E, M, K]"), ty("int64[N]")];
        assert_eq!(Contraction::of(builtin("routed_matmul"), &Attrs::new(), &operands), None);
    }
}
