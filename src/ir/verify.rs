//! The only door to passes, interpreter and targets.
//!
//! Rules of a module:
//! - every id is in range; names of layers and of functions are unique;
//! - the entry gives each hyperparameter of its layer one value of its kind;
//! - no function calls itself, directly or not, and no layer contains itself.
//!
//! Rules of a layer:
//! - hyperparameters and members have unique names; a default uses only hyperparameters before it;
//! - types of members have known element types, no packs, no `?`, and only hyperparameters as symbols;
//! - literal initial values have the type's element type; an initialising function has no parameters, one
//!   result of the member's type, and belongs to this layer or to none;
//! - arguments of a sublayer give each of its hyperparameters one value of its kind, over the enclosing
//!   hyperparameters and the indices of enclosing repetitions;
//! - methods belong to the layer; of those with optional inputs, all of one source name have the same ones in the
//!   same order, no two take the same of them, and each is exported and has parameters for those it takes only.
//!
//! Rules of a function:
//! - symbols in types, attributes and expressions are declared: the layer's hyperparameters, the
//!   function's symbols, indices of enclosing `for`s, or what an instruction before binds (`while` the number
//!   of its turns, a call what its callee leaves open) in the same region or one around it; none of them hides
//!   another; `fresh` names symbols that an instruction of the body's own region binds;
//! - every value is defined once, before its uses, in the region of each use or one around it;
//! - every instruction stands in one place; each region ends in its only terminator: `return` in a
//!   function's body, with the types of its results, `yield` elsewhere;
//! - an operation has as many operands as its parameters take, and exactly the attributes of its
//!   parameters, each of the parameter's kind; its rule, run on the operand types under the `where` facts
//!   of function and layer, gives the recorded result types;
//! - `param` names a storage or constant member of the own layer and has its type, or the type of a part
//!   of its quantised form; `set_state` names a state member and takes a value of its type;
//! - constants and host numbers have the recorded types; `rng` gives an int64 scalar;
//! - a call gives each symbol of the callee one value of its kind; with these, operands and results have
//!   the callee's types; its path leads from the own instance to one of the callee's layer, and a free
//!   function has no path;
//! - `if` takes a bool scalar, `for` two int64 scalars before the carried values; regions have the
//!   parameters, and yield the values, that the carried values and results say; what a `while` collects is as
//!   long as it has turns, in no other axis;
//! - a condition on sizes (`ensure`) is a fact to the end of its region;
//! - `gradient` takes float tensors, its region parameters of their types, and yields a float scalar, whose type
//!   and those of the operands are those of the results;
//! - `fused` has region parameters of its operands' types; inside are operations, constants and host numbers, which
//!   use these parameters and one another only, and the yield has the types of the results;
//! - `assert` takes a bool scalar; `print` has an operand for each place of one; neither has results.

mod body;
mod call;
mod layer;
mod module;
mod op;

use crate::ir::{Function, Module, Part, Storage};
use crate::ops::{Attr, Attrs, RuleCx, builtin};
use crate::types::{DType, Dim, Facts, TensorType, Verdict};
use std::fmt;
use std::ops::Deref;

/// A module that [`verify`] accepted. Nothing else makes one.
#[derive(Clone, Debug)]
pub struct Verified(Module);

impl Deref for Verified {
    type Target = Module;
    fn deref(&self) -> &Module {
        &self.0
    }
}

impl Verified {
    /// Gives the module up for changing; it must pass [`verify`] again.
    pub fn into_inner(self) -> Module {
        self.0
    }
}

/// One broken rule: where, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError {
    /// The function, or the layer, or nothing for the module as a whole.
    pub function: String,
    pub message: String,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.function.as_str() {
            "" => f.write_str(&self.message),
            function => write!(f, "{function}: {}", self.message),
        }
    }
}

/// Checks every rule of the IR.
pub fn verify(module: Module) -> Result<Verified, Vec<VerifyError>> {
    let mut errors = Errors::default();
    // The other checks follow ids without looking.
    module::check_ids(&module, &mut errors);
    if errors.list.is_empty() {
        module::check(&module, &mut errors);
        for layer in &module.layers {
            layer::check(&module, layer, &mut errors);
        }
        for function in &module.functions {
            body::check(&module, function, &mut errors);
        }
    }
    if errors.list.is_empty() { Ok(Verified(module)) } else { Err(errors.list) }
}

/// Whether the body of a function keeps every rule, in a module that does so otherwise.
pub fn is_sound(module: &Module, function: &Function) -> bool {
    let mut errors = Errors::default();
    body::check(module, function, &mut errors);
    errors.list.is_empty()
}

/// What was found, and where we are.
#[derive(Default)]
struct Errors {
    list: Vec<VerifyError>,
    place: String,
}

impl Errors {
    fn add(&mut self, message: impl Into<String>) {
        self.list.push(VerifyError { function: self.place.clone(), message: message.into() });
    }
}

impl Module {
    /// What the conditions of a function and of its layer say about dims.
    pub fn facts(&self, function: &Function) -> Facts {
        let mut facts = Facts::default();
        let layer = function.layer.and_then(|id| self.layers.get(id.0 as usize));
        layer.iter().flat_map(|layer| &layer.obligations).for_each(|obligation| obligation.assume(&mut facts));
        function.obligations.iter().for_each(|(obligation, _)| obligation.assume(&mut facts));
        facts
    }
}

/// Equal element types, and provably equal shapes.
fn same_type(a: &TensorType, b: &TensorType, facts: &Facts) -> bool {
    a.elem == b.elem && a.shape.compare(&b.shape, facts) == Verdict::Equal
}

impl Storage {
    /// The type of a part of the storage.
    pub fn part_type(&self, part: Part, facts: &Facts) -> Result<TensorType, String> {
        if part == Part::Value {
            return Ok(self.ty.clone());
        }
        let Some(scheme) = &self.scheme else { return Err("is not quantised".into()) };
        let op = builtin("quantize");
        let attrs = Attrs::new().with("scheme", Attr::Scheme(scheme.clone()));
        // Stochastic rounding draws when it runs.
        let seed = scheme.is_stochastic().then(|| TensorType::scalar(DType::Int64));
        let operands: Vec<TensorType> = std::iter::once(self.ty.clone()).chain(seed).collect();
        let mut unknowns = 0;
        let mut fresh = || {
            unknowns += 1;
            Dim::unknown(unknowns)
        };
        let mut cx = RuleCx::new(op.get(), &operands, &attrs, facts, &mut fresh);
        let types = (op.get().rule)(&mut cx).map_err(|_| format!("cannot be quantised as {scheme}"))?;
        let mut parts = types.into_iter().zip(Part::QUANTISED);
        parts.find(|(_, own)| *own == part).map(|(ty, _)| ty).ok_or_else(|| "has no such part".to_string())
    }
}

#[cfg(test)]
mod tests;
