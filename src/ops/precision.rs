//! What mixed precision makes of an operation: in which of two float types it computes, the low one
//! (float16 or bfloat16) or float32.
//!
//! The reasons are those of the number formats. float16 has a range of 6e-8 to 65504, so what makes large or small
//! numbers of ordinary ones leaves it; bfloat16 has 8 bits of precision, so what adds up many numbers, or
//! depends on a small difference of large ones, loses them. Products add up too, but in float32 whatever their
//! element type is, and round once.

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
    /// In float32, for this reason.
    Wide(&'static str),
    /// Takes one float operand of either type; a float32 result is one because the source says so.
    Any,
}

/// Of an operation that says nothing else.
pub const UNKNOWN: Precision = Precision::Wide("nobody has said that less would do");
pub const EXPONENTIAL: Precision = Precision::Wide("exponential: leaves the range of float16");
pub const STEEP: Precision = Precision::Wide("steep where operands are small");
pub const PERIODIC: Precision = Precision::Wide("an angle of many turns, such as a position, has lost its phase");
pub const ACCUMULATES: Precision = Precision::Wide("adds up or multiplies many elements");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::all;

    #[test]
    fn the_documentation_has_what_stays_float32() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/numerics.md")).unwrap();
        for op in all() {
            if let Precision::Wide(reason) = op.precision() {
                assert!(page.contains(&format!("`{}`", op.name())), "{}: {reason}", op.name());
                assert_ne!(op.precision(), UNKNOWN, "{} has no precision", op.name());
            }
        }
    }
}
