//! How many floating-point operations a use of an operation takes, as an expression of its sizes.
//!
//! What is counted is what the definition does: a product of `[M, K]` by `[K, N]` takes `2 * M * N * K`, an
//! elementwise operation one for each element of its result, a sum one for each element of its operand. `exp` counts as
//! one, as an addition does. Elements that are only moved, made or converted take none. Operations on integers count like
//! those on floats, so that quantised programs can be compared with others.

use crate::ops::matmul::TRANSPOSE;
use crate::ops::{Attr, Attrs, OpId};
use crate::types::{Dim, TensorType};

/// What an operation does how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// It moves or makes elements.
    Nothing,
    /// Once for each element of the first result.
    Results,
    /// Once for each element of the first operand.
    Operands,
    /// Two for each element of the result and each element of the axis that is summed up.
    Product,
    /// Two for each element of the result and each weight that it is computed from.
    Convolution,
    /// Two for each element of the operand and each weight that it goes into.
    Transposed,
    /// Once for each element of the result and each position of the window.
    Window,
}

/// The floating-point operations of one use; `None` where a shape is not known.
pub fn flops(op: OpId, operands: &[&TensorType], attrs: &Attrs, results: &[&TensorType]) -> Option<Dim> {
    let elements = |types: &[&TensorType], index: usize| types.get(index)?.shape.elements();
    // The bias, a third operand, is added to each element of the result.
    let bias = || if operands.len() > 2 { elements(results, 0) } else { Some(Dim::zero()) };
    match op.traits().cost {
        Cost::Nothing => Some(Dim::zero()),
        Cost::Results => elements(results, 0),
        Cost::Operands => elements(operands, 0),
        Cost::Product => {
            let left = operands.first()?.shape.known()?;
            let is_last = !attrs.flag(TRANSPOSE[0]) || left.len() < 2;
            let inner = left.get(left.len().checked_sub(if is_last { 1 } else { 2 })?)?;
            Some(elements(results, 0)?.mul(inner).scale(2))
        }
        Cost::Convolution => {
            let weights = product(operands.get(1)?.shape.known()?.get(1..)?);
            Some(elements(results, 0)?.mul(&weights).scale(2).add(&bias()?))
        }
        Cost::Transposed => {
            let weights = product(operands.get(1)?.shape.known()?.get(1..)?);
            Some(elements(operands, 0)?.mul(&weights).scale(2).add(&bias()?))
        }
        Cost::Window => {
            let rank = results.first()?.shape.rank()?.saturating_sub(2);
            let window = match attrs.get("kernel_size")? {
                Attr::Int(size) => product(&vec![size.clone(); rank]),
                Attr::Ints(sizes) if sizes.len() == 1 => product(&vec![sizes.first()?.clone(); rank]),
                Attr::Ints(sizes) => product(sizes),
                _ => return None,
            };
            Some(elements(results, 0)?.mul(&window))
        }
    }
}

fn product(dims: &[Dim]) -> Dim {
    dims.iter().fold(Dim::constant(1), |product, dim| product.mul(dim))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::builtin;
    use crate::types::{DType, Shape};

    fn float(dims: &[&str]) -> TensorType {
        let dim = |text: &&str| text.parse().map_or_else(|_| Dim::symbol(text), Dim::constant);
        TensorType::new(DType::Float32, Shape::new(dims.iter().map(dim).collect()))
    }

    fn cost(op: &str, operands: &[&[&str]], attrs: Attrs, result: &[&str]) -> String {
        let operands: Vec<TensorType> = operands.iter().map(|dims| float(dims)).collect();
        let operands: Vec<&TensorType> = operands.iter().collect();
        flops(builtin(op), &operands, &attrs, &[&float(result)]).map_or("unknown".into(), |flops| flops.to_string())
    }

    #[test]
    fn costs_are_those_worked_out_by_hand() {
        let none = Attrs::new;
        assert_eq!(cost("add", &[&["B", "8"], &["8"]], none(), &["B", "8"]), "8 * B");
        assert_eq!(cost("sum", &[&["B", "8"]], none(), &["B"]), "8 * B");
        assert_eq!(cost("permute", &[&["B", "8"]], none(), &["8", "B"]), "0");
        assert_eq!(cost("matmul", &[&["B", "8"], &["8", "4"]], none(), &["B", "4"]), "64 * B");
        let transposed = Attrs::new().with("transpose_a", Attr::Bool(true));
        assert_eq!(cost("matmul", &[&["8", "B"], &["8", "4"]], transposed, &["B", "4"]), "64 * B");
        assert_eq!(cost("matmul", &[&["8"], &["8"]], none(), &[]), "16");
        // 3 * 3 * 3 weights for each of 16 * 30 * 30 results, and the bias.
        let image = [&["B", "3", "32", "32"][..], &["16", "3", "3", "3"]];
        let results = 16 * 30 * 30;
        assert_eq!(cost("conv2d", &image, none(), &["1", "16", "30", "30"]), (results * 27 * 2).to_string());
        let with_bias = [image[0], image[1], &["16"]];
        assert_eq!(cost("conv2d", &with_bias, none(), &["1", "16", "30", "30"]), (results * (27 * 2 + 1)).to_string());
        // Each of 2 * 5 inputs goes into 4 * 3 results.
        let back = [&["1", "2", "5"][..], &["2", "4", "3"]];
        assert_eq!(cost("conv_transpose1d", &back, none(), &["1", "4", "7"]), (2 * 5 * 4 * 3 * 2).to_string());
        let window = Attrs::new().with("kernel_size", Attr::int(2));
        assert_eq!(cost("max_pool2d", &[&["1", "3", "8", "8"]], window, &["1", "3", "4", "4"]), (48 * 4).to_string());
    }
}
