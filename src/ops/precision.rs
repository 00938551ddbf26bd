//! What mixed precision makes of an operation: in which of two float types it computes, the low one
//! (float16 or bfloat16) or float32.
//!
//! The reasons are those of the number formats. float16 has a range of 6e-8 to 65504, so what makes large or small
//! numbers of ordinary ones leaves it; bfloat16 has 8 bits of precision, so what adds up many numbers, or
//! depends on a small difference of large ones, loses them. Products add up too, but in float32 whatever their
//! element type is, and round once.

use crate::ops::OpId;

/// How an operation takes operands that were float32 in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// In the low type, whatever its operands are.
    Low,
    /// In the low type as soon as one operand is, else in float32.
    Follows,
    /// Gives elements on as they are; operands that differ are brought to the low type.
    Moves,
    /// In float32, unless all operands are low or literals: a result of its own is no float.
    Compares,
    /// Makes floats of codes: its result is of the low type, its scales stay.
    Unpacks,
    /// In float32: the reason stands beside it in the table.
    Wide,
    /// Takes one float operand of either type; a float32 result is one because the source says so.
    Any,
}

struct Row {
    precision: Precision,
    names: &'static [&'static str],
}

/// Every operation stands in one row.
static ROWS: &[Row] = &[
    // Sums are float32 whatever the operands are.
    Row {
        precision: Precision::Low,
        names: &[
            "matmul",
            "routed_matmul",
            "conv1d",
            "conv2d",
            "conv3d",
            "conv_transpose1d",
            "conv_transpose2d",
            "conv_transpose3d",
        ],
    },
    // One rounding of one element, or of a few.
    Row {
        precision: Precision::Follows,
        names: &[
            "add",
            "sub",
            "mul",
            "div",
            "floor_div",
            "mod",
            "minimum",
            "maximum",
            "neg",
            "abs",
            "sign",
            "clamp",
            "sqrt",
            "atan",
            "tanh",
            "erf",
            "floor",
            "ceil",
            "round",
            "where",
            "avg_pool1d",
            "avg_pool2d",
            "avg_pool3d",
            "upsample",
        ],
    },
    // No rounding.
    Row {
        precision: Precision::Moves,
        names: &[
            "stop_gradient",
            "max",
            "min",
            "sort",
            "topk",
            "max_pool1d",
            "max_pool2d",
            "max_pool3d",
            "reshape",
            "permute",
            "transpose",
            "squeeze",
            "unsqueeze",
            "broadcast_to",
            "concat",
            "stack",
            "unbind",
            "split",
            "chunk",
            "slice",
            "dynamic_slice",
            "dynamic_update",
            "pad",
            "flip",
            "roll",
            "take",
            "gather",
            "repeat",
            "repeat_interleave",
            "tril",
            "triu",
        ],
    },
    // Widening is exact.
    Row { precision: Precision::Compares, names: &["eq", "ne", "lt", "le", "gt", "ge"] },
    // Codes times a scale, rounded once.
    Row { precision: Precision::Unpacks, names: &["dequantize"] },
    // Exponential: leaves the range of float16.
    Row { precision: Precision::Wide, names: &["exp", "pow", "sinh", "cosh"] },
    // Logarithms and inverses: steep where operands are small.
    Row { precision: Precision::Wide, names: &["log", "rsqrt", "asin", "acos", "asinh", "acosh", "atanh"] },
    // An angle of many turns, such as a position, has lost its phase.
    Row { precision: Precision::Wide, names: &["sin", "cos", "tan"] },
    // Adds up or multiplies many elements.
    Row { precision: Precision::Wide, names: &["sum", "mean", "prod", "cumsum", "cumprod", "scatter"] },
    // Rounds by scales of float32.
    Row { precision: Precision::Wide, names: &["quantize_with"] },
    // Draws by probabilities.
    Row { precision: Precision::Wide, names: &["categorical"] },
    // No float result, or one of a type that the source names.
    Row {
        precision: Precision::Any,
        names: &[
            "cast",
            "quantize",
            "pack",
            "unpack",
            "isnan",
            "isinf",
            "argmax",
            "argmin",
            "any",
            "all",
            "one_hot",
            "logical_and",
            "logical_or",
            "logical_not",
            "bit_and",
            "bit_or",
            "bit_xor",
            "bit_not",
            "shift_left",
            "shift_right",
            "zeros",
            "ones",
            "full",
            "eye",
            "arange",
            "linspace",
            "random_normal",
            "random_uniform",
            "random_int",
        ],
    },
];

impl OpId {
    /// Operations that nobody has listed are computed in float32; a test finds them.
    pub fn precision(self) -> Precision {
        let row = ROWS.iter().find(|row| row.names.contains(&self.name()));
        row.map_or(Precision::Wide, |row| row.precision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{all, find};

    #[test]
    fn every_operation_stands_in_one_row() {
        for op in all() {
            let rows = ROWS.iter().filter(|row| row.names.contains(&op.name())).count();
            assert_eq!(rows, 1, "`{}`", op.name());
        }
        for row in ROWS {
            row.names.iter().for_each(|name| assert!(find(name).is_some(), "{name}"));
        }
    }

    #[test]
    fn the_documentation_has_what_stays_float32() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/numerics.md")).unwrap();
        for row in ROWS.iter().filter(|row| row.precision == Precision::Wide) {
            row.names.iter().for_each(|name| assert!(page.contains(&format!("`{name}`")), "{name}"));
        }
    }
}
