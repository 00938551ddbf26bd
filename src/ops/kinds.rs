//! Kinds of operations, for who must know what an operation does with its operands but not which one it is.

use crate::ops::OpId;

/// What an operation does with the elements of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Multiplies them with those of another operand and sums up: the operations that quantised weights are
    /// for.
    Product,
    /// Gives them on, in another place or type.
    Moves,
    Other,
}

/// By name; all others are [`Kind::Other`].
static KINDS: &[(Kind, &[&str])] = &[
    (
        Kind::Product,
        &[
            "matmul",
            "routed_matmul",
            "conv1d",
            "conv2d",
            "conv3d",
            "conv_transpose1d",
            "conv_transpose2d",
            "conv_transpose3d",
        ],
    ),
    (
        Kind::Moves,
        &[
            "reshape",
            "permute",
            "transpose",
            "squeeze",
            "unsqueeze",
            "broadcast_to",
            "slice",
            "dynamic_slice",
            "flip",
            "concat",
            "stack",
            "unbind",
            "split",
            "chunk",
            "cast",
            "stop_gradient",
        ],
    ),
];

/// Products over windows, whose operands have samples along their first axis.
static CONVOLUTIONS: &[&str] =
    &["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"];

impl OpId {
    pub fn is_convolution(self) -> bool {
        CONVOLUTIONS.contains(&self.name())
    }

    pub fn kind(self) -> Kind {
        let found = KINDS.iter().find(|(_, names)| names.contains(&self.name()));
        found.map_or(Kind::Other, |(kind, _)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::find;

    #[test]
    fn names_are_those_of_operations() {
        for name in KINDS.iter().flat_map(|(_, names)| *names) {
            assert!(find(name).is_some(), "{name}");
        }
        assert_eq!(find("conv2d").map(OpId::kind), Some(Kind::Product));
        assert_eq!(find("exp").map(OpId::kind), Some(Kind::Other));
    }
}
