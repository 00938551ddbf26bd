//! Looking on while a program runs: calibration sees what products are computed of.

use crate::interp::{Env, RunError};
use crate::ir::{Function, InstId};
use crate::ops::{Attrs, OpId};
use crate::types::Tensor;

/// A product that is about to be computed.
pub struct Product<'a> {
    pub function: &'a Function,
    pub inst: InstId,
    /// Of the instance that runs, in the source.
    pub path: &'a str,
    pub op: OpId,
    /// With values in the place of symbols.
    pub attrs: &'a Attrs,
    pub operands: &'a [Tensor],
    /// Values of the symbols here.
    pub env: &'a Env,
}

impl Product<'_> {
    /// Attributes of another instruction that stands here, with values in the place of symbols.
    pub fn resolved(&self, attrs: &Attrs) -> Attrs {
        attrs.map(|attr| attr.resolve(&|symbol| self.env.get(symbol).cloned()))
    }
}

/// Sees every product; an error ends the run.
pub trait Watch: Send {
    fn product(&mut self, product: &Product<'_>) -> Result<(), RunError>;
}
