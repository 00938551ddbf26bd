//! What passes, the checker and targets ask of an operation without asking which one it is.
//!
//! An entry of the registry holds its [`Traits`]. Those that most operations of a family share are a constant in the
//! family's file, and an entry names what is different:
//!
//! ```text
//! traits: Traits { precision: precision::STEEP, ..FUNCTION }
//! ```
//!
//! [`Traits::CAUTIOUS`] is where families begin: it holds for any operation, and at worst a program is slower for it.
//! A question that no trait answers yet becomes a field here, with a cautious value.

use crate::ops::channels::Step;
use crate::ops::cost::Cost;
use crate::ops::precision::{self, Precision};
use crate::ops::simplify::Law;
use crate::ops::{Attrs, Content, OpId, ParamKind};

/// Facts about an operation beside its type, its value and its gradient.
#[derive(Clone, Copy)]
pub struct Traits {
    /// What it can be in a kernel.
    pub role: Role,
    /// What becomes of the elements of its operands, where they are not changed.
    pub movement: Movement,
    /// How it multiplies and sums, if it does: the operations that quantised weights are for. Their role is
    /// [`Role::Product`].
    pub product: Option<Product>,
    /// Whether it computes, from the numbers at one place of its operands, one number of their type. Layers combine by
    /// such operations, parameter by parameter.
    pub is_arithmetic: bool,
    /// How many floating-point operations it takes.
    pub cost: Cost,
    /// What mixed precision makes of it.
    pub precision: Precision,
    /// What it may be replaced by; the first that fits is taken.
    pub laws: &'static [Law],
    /// Where it is an affine step for the operand at a position, and the other one is a constant.
    pub steps: &'static [Step],
    pub quantisation: Option<Quantisation>,
    /// How it joins a list of tensors, if it does.
    pub joining: Option<Joining>,
    /// Whether its results are the elements of a list, however many there are: of one also.
    pub gives_list: bool,
    pub typed_by: TypedBy,
}

impl Traits {
    pub const CAUTIOUS: Traits = Traits {
        role: Role::Alone,
        movement: Movement::None,
        product: None,
        is_arithmetic: false,
        cost: Cost::Results,
        precision: precision::UNKNOWN,
        laws: &[],
        steps: &[],
        quantisation: None,
        joining: None,
        gives_list: false,
        typed_by: TypedBy::Operands,
    };
}

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

/// Where an operation gives on the elements of its operands, each at most converted: who looks for what a value comes
/// from goes through it. Operations that mix in other elements, or pick by what only a run tells, are `None`.
#[derive(Clone, Copy)]
pub enum Movement {
    None,
    /// At their places, perhaps in another element type.
    Converts,
    /// In their order, under another shape.
    Regroups,
    /// With the axes in another order, which is told from attributes and rank: axis i of the result is that axis of the
    /// operand.
    Permutes(fn(&Attrs, usize) -> Option<Vec<usize>>),
    /// Where they lie: some of them, or some several times.
    Shows,
    /// At other places.
    Rearranges,
}

impl Movement {
    /// Whether elements are given on.
    pub fn is_some(self) -> bool {
        !matches!(self, Movement::None)
    }

    /// Whether it costs nothing: no element is computed or moved.
    pub fn is_free(self) -> bool {
        matches!(self, Movement::Regroups | Movement::Shows)
    }
}

/// A way to multiply and sum up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Of the last two axes, each of which flags may exchange.
    Matrix,
    /// Of each row of the left factor with the matrix that an index names.
    Routed,
    /// Over windows. Samples lie along the first axis; a third operand is added to each channel.
    Convolution,
    /// The transpose of that.
    TransposedConvolution,
}

impl Product {
    pub fn is_convolution(self) -> bool {
        matches!(self, Product::Convolution | Product::TransposedConvolution)
    }
}

/// A way between floats, codes and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantisation {
    /// Floats to codes, and to the scales that fit them.
    Quantise,
    /// Floats to codes, by scales that are given.
    QuantiseWith,
    /// Codes and scales to the floats that they stand for.
    Dequantise,
    /// Codes to bytes.
    Pack,
    /// Bytes to codes.
    Unpack,
}

/// A way to join a list of tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// Along an axis that they have.
    OwnAxis,
    /// Along a new one.
    NewAxis,
}

/// Which element type host numbers among the operands take, and a `dtype` that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypedBy {
    /// That of the other operands.
    Operands,
    /// That of the operand at this position: codes do not say what they stand for.
    Operand(usize),
    /// That of the codes in a packed format, which is the second parameter.
    Format,
}

impl OpId {
    pub fn traits(self) -> &'static Traits {
        &self.get().traits
    }

    pub fn role(self) -> Role {
        self.traits().role
    }

    pub fn movement(self) -> Movement {
        self.traits().movement
    }

    pub fn product(self) -> Option<Product> {
        self.traits().product
    }

    pub fn precision(self) -> Precision {
        self.traits().precision
    }

    pub fn quantisation(self) -> Option<Quantisation> {
        self.traits().quantisation
    }

    pub fn is_product(self) -> bool {
        self.product().is_some()
    }

    pub fn is_convolution(self) -> bool {
        self.product().is_some_and(Product::is_convolution)
    }

    /// Whether a use of it gives other numbers each time: it takes a seed; where that is optional, it is random if it is
    /// given.
    pub fn is_random(self, operands: usize) -> bool {
        let mut position = 0;
        self.get().params.iter().any(|param| {
            let index = position;
            position += usize::from(param.is_operand());
            param.content == Content::Seed && index < operands
        })
    }

    /// Whether every use of it draws.
    pub fn draws(self) -> bool {
        self.get().params.iter().any(|param| param.content == Content::Seed && param.kind == ParamKind::Tensor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testkit::{eval, random};
    use crate::ops::{Attr, all, builtin};
    use crate::types::DType;

    #[test]
    fn traits_agree() {
        for op in all() {
            let name = op.name();
            assert_eq!(op.is_product(), op.role() == Role::Product, "{name}");
            assert!(!op.movement().is_some() || op.traits().cost == Cost::Nothing, "{name} moves, and costs something");
            let operands = op.get().params.iter().filter(|param| param.is_operand()).count();
            assert!(op.traits().steps.len() <= operands, "{name}");
            if let Movement::Permutes(_) = op.movement() {
                assert_eq!((op.role(), operands), (Role::View, 1), "{name}");
            }
            if let TypedBy::Operand(position) = op.traits().typed_by {
                assert!(op.get().params.get(position).is_some_and(|param| param.is_operand()), "{name}");
            }
        }
    }

    /// Each permutation moves the sizes of a shape as its evaluation does.
    #[test]
    fn permutations_are_those_of_evaluations() {
        let uses = [
            ("permute", Attrs::new().with("axes", Attr::ints(&[2, -3, 1]))),
            ("transpose", Attrs::new().with("axis0", Attr::int(0)).with("axis1", Attr::int(-1))),
        ];
        let permutes = |op: &OpId| matches!(op.movement(), Movement::Permutes(_));
        assert_eq!(all().filter(permutes).count(), uses.len());
        let sizes = [2, 3, 4];
        for (name, attrs) in uses {
            let Movement::Permutes(axes) = builtin(name).movement() else { panic!("{name} permutes nothing") };
            let moved: Vec<usize> = axes(&attrs, 3).unwrap().iter().map(|axis| sizes[*axis]).collect();
            assert_eq!(eval(name, &[random(1, DType::Float32, &sizes)], attrs).shape(), moved, "{name}");
        }
    }

    #[test]
    fn draws_are_told_by_seeds() {
        let random = |name: &str, operands| builtin(name).is_random(operands);
        assert!(random("random_normal", 1) && random("categorical", 2) && random("quantize", 2));
        assert!(!random("quantize", 1) && !random("exp", 1));
        assert!(builtin("random_int").draws() && !builtin("quantize").draws());
    }
}
