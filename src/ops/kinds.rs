//! Kinds of operations, for who must know what an operation does with its operands but not which one it is.

use crate::ops::{self, OpId, ParamKind};
use std::sync::LazyLock;

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

/// What an operation can be in a kernel, by which elements of its operands an element of its result is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Those at the same place, of operands that are broadcast to the result's shape; or none, but a seed.
    Elementwise,
    /// The same, and so little work that it may be done again for each use: another element type.
    Conversion,
    /// One of its only operand, in another place; every element of that is one of the result.
    View,
    /// One of an operand, or a fixed number; elements may be used several times, or not at all.
    Read,
    /// A fixed number, or one of a smaller operand: less work than reading it from memory.
    Free,
    /// Sums of products, each element being used for many of the result.
    Product,
    /// A few, as `Product` uses them: pooling.
    Window,
    /// All along some axes.
    Reduction,
    /// All up to its place along an axis.
    Scan,
    /// None of these, or an operation with several results.
    Alone,
}

impl Role {
    /// What one kernel has one of.
    pub fn is_anchor(self) -> bool {
        matches!(self, Role::Product | Role::Window | Role::Reduction | Role::Scan)
    }

    /// Whether it gives elements of its operands as they are: on most machines, another way to look at memory.
    pub fn moves(self) -> bool {
        matches!(self, Role::View | Role::Read | Role::Free)
    }
}

/// By name.
static ROLES: &[(Role, &[&str])] = &[
    (
        Role::Elementwise,
        &[
            "add",
            "sub",
            "mul",
            "div",
            "floor_div",
            "mod",
            "pow",
            "minimum",
            "maximum",
            "bit_and",
            "bit_or",
            "bit_xor",
            "shift_left",
            "shift_right",
            "bit_not",
            "neg",
            "abs",
            "sign",
            "clamp",
            "exp",
            "log",
            "sqrt",
            "rsqrt",
            "sin",
            "cos",
            "tan",
            "asin",
            "acos",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "acosh",
            "atanh",
            "erf",
            "floor",
            "ceil",
            "round",
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
            "logical_and",
            "logical_or",
            "logical_not",
            "isnan",
            "isinf",
            "where",
            "tril",
            "triu",
            "random_normal",
            "random_uniform",
            "random_int",
        ],
    ),
    (Role::Conversion, &["cast", "stop_gradient", "dequantize"]),
    (Role::View, &["reshape", "permute", "transpose", "squeeze", "unsqueeze", "flip", "roll"]),
    (
        Role::Read,
        &[
            "slice",
            "dynamic_slice",
            "pad",
            "concat",
            "stack",
            "take",
            "gather",
            "one_hot",
            "repeat",
            "repeat_interleave",
            "unpack",
        ],
    ),
    (Role::Free, &["broadcast_to", "zeros", "ones", "full", "eye", "arange", "linspace"]),
    (
        Role::Product,
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
    (Role::Window, &["max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "upsample"]),
    (Role::Reduction, &["sum", "mean", "max", "min", "prod", "argmax", "argmin", "any", "all"]),
    (Role::Scan, &["cumsum", "cumprod"]),
    (
        Role::Alone,
        &[
            "sort",
            "topk",
            "categorical",
            "quantize",
            "quantize_with",
            "pack",
            "unbind",
            "split",
            "chunk",
            "dynamic_update",
            "scatter",
        ],
    ),
];

/// By the registry's index.
static ROLE_OF: LazyLock<Vec<Role>> = LazyLock::new(|| {
    let role = |op: OpId| ROLES.iter().find(|(_, names)| names.contains(&op.name())).map(|(role, _)| *role);
    ops::all().map(|op| role(op).unwrap_or(Role::Alone)).collect()
});

/// Operations that leave the elements where they are: they group them otherwise, repeat them, or show some of them.
static VIEWS: &[&str] = &["reshape", "squeeze", "unsqueeze", "broadcast_to", "slice"];

/// Whether a use of an operation gives other numbers each time: it takes a `seed`; where that is optional, it is random
/// if it is given.
pub fn is_random(op: OpId, operands: usize) -> bool {
    let mut position = 0;
    op.get().params.iter().any(|param| {
        let index = position;
        position += usize::from(param.is_operand());
        param.name == "seed" && param.kind != ParamKind::Int && index < operands
    })
}

impl OpId {
    /// Whether it costs nothing: no element is computed or moved.
    pub fn is_view(self) -> bool {
        VIEWS.contains(&self.name())
    }

    pub fn is_convolution(self) -> bool {
        CONVOLUTIONS.contains(&self.name())
    }

    pub fn kind(self) -> Kind {
        let found = KINDS.iter().find(|(_, names)| names.contains(&self.name()));
        found.map_or(Kind::Other, |(kind, _)| *kind)
    }

    pub fn role(self) -> Role {
        ROLE_OF.get(self.0 as usize).copied().unwrap_or(Role::Alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::find;

    #[test]
    fn names_are_those_of_operations() {
        for name in KINDS.iter().flat_map(|(_, names)| *names).chain(VIEWS) {
            assert!(find(name).is_some(), "{name}");
        }
        for name in ROLES.iter().flat_map(|(_, names)| *names) {
            assert!(find(name).is_some(), "{name}");
        }
        assert_eq!(find("conv2d").map(OpId::kind), Some(Kind::Product));
        assert_eq!(find("exp").map(OpId::kind), Some(Kind::Other));
    }

    #[test]
    fn every_operation_has_one_role() {
        for op in ops::all() {
            let roles = ROLES.iter().filter(|(_, names)| names.contains(&op.name())).count();
            assert_eq!(roles, 1, "{}", op.name());
        }
        let products = |name: &&str| find(name).map(OpId::kind) == Some(Kind::Product);
        let of_role = |role: Role| ROLES.iter().filter(move |(other, _)| *other == role).flat_map(|(_, names)| *names);
        assert!(of_role(Role::Product).all(products), "a product is one in both tables");
    }
}
