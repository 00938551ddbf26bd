//! A module with gradients in it, for targets whose frameworks have none: beside each form of `forward` stands a
//! `forward_backward`, and [`Backward`] says what its results are.

use super::{Result, Source, differentiate_each};
use crate::ir::{FuncId, Verified};

/// A form of `forward`, and the method beside it that also gives gradients, by their unique names.
#[derive(Clone, Debug, PartialEq)]
pub struct Backward {
    pub forward: String,
    /// Takes the inputs, then the gradient of each float result, in their order. Gives the results, then a gradient for
    /// each of `gradients`.
    pub function: String,
    /// Float inputs and float members on which results may depend; the gradients of all others are zeros.
    pub gradients: Vec<Source>,
}

/// The module with a `forward_backward` beside each form of the entry's `forward`.
pub fn beside(module: Verified) -> Result<(Verified, Vec<Backward>)> {
    let Some(entry) = &module.entry else { return Ok((module, vec![])) };
    let is_forward = |method: &FuncId| module[*method].exported && module[*method].source_name == "forward";
    let methods: Vec<FuncId> = module[entry.layer].methods.iter().copied().filter(is_forward).collect();
    let (module, found) = differentiate_each(module, &methods)?;
    let named = methods.iter().zip(found).map(|(method, (function, gradients))| Backward {
        forward: module[*method].name.clone(),
        function: module[function].name.clone(),
        gradients,
    });
    let named = named.collect();
    Ok((module, named))
}
