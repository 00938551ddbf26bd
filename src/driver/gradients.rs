//! Gradients of a run by name: inputs as the method calls them, parameters as weights files do.

use crate::base::Diagnostic;
use crate::base::code::{E0409, E0607, E0804};
use crate::interp::{Instance, RunError, Stacked};
use crate::ir::{FuncId, Part, Role, Verified};
use crate::passes::autodiff::{self, AutodiffError, Differentiated, Source};
use crate::types::Tensor;
use crate::weights::Tensors;
use std::collections::BTreeMap;

/// The module with a method that gives the results of `method` and all gradients; it takes those of some results
/// after the inputs, the others' are ones.
pub fn derive(
    module: &Verified,
    method: FuncId,
    given: &[(usize, Tensor)],
    segments: Option<u32>,
) -> Result<Differentiated, Diagnostic> {
    let results = &module[method].results;
    for (position, gradient) in given {
        let Some(ty) = results.get(*position) else {
            let message =
                format!("there is no result `output.{position}` to have a gradient: there are {}", results.len());
            return Err(Diagnostic::new(E0804, message));
        };
        if ty.dtype() != Some(gradient.dtype()) || !gradient.dtype().is_float() {
            let message = format!("the gradient of `output.{position}` is {}, the result is {ty}", gradient.dtype());
            return Err(Diagnostic::new(E0804, message));
        }
    }
    let given: Vec<usize> = given.iter().map(|(position, _)| *position).collect();
    autodiff::differentiate(module.clone(), method, &given, segments).map_err(|error| refused(&error))
}

pub fn refused(error: &AutodiffError) -> Diagnostic {
    if error.internal {
        return Diagnostic::new(E0409, format!("internal error: autodiff: {error}; please report it"));
    }
    let diagnostic = Diagnostic::new(E0607, error.message.clone());
    match &error.loc {
        Some(loc) => diagnostic.primary(loc.file, loc.span, "the gradient would pass here"),
        None => diagnostic,
    }
}

/// Takes the gradients off the end of the results. A parameter that the results do not depend on has zeros.
pub fn take(derived: &Differentiated, instance: &mut Instance, results: &mut Vec<Tensor>) -> Result<Tensors, RunError> {
    let names = derived.module[derived.function].input_names();
    let first = results.len().saturating_sub(derived.gradients.len());
    let found = results.split_off(first);
    let mut named = parameters(instance)?;
    let (mut inputs, mut reached) = (vec![], vec![]);
    for (source, gradient) in derived.gradients.iter().zip(found) {
        match source {
            Source::Input(index) => inputs.extend(names.get(*index).map(|name| (name.clone(), gradient))),
            Source::Storage(storage) => {
                let stacked =
                    Stacked { path: &storage.path, name: &storage.name, counts: &storage.counts, turn: autodiff::turn };
                reached.extend(stacked.apart(instance, &gradient)?);
            }
        }
    }
    for (name, gradient) in reached {
        let sum = match named.get(&name) {
            Some(known) => crate::interp::sum(known, &gradient)?,
            None => gradient,
        };
        named.insert(name, sum);
    }
    for (name, gradient) in inputs {
        let name = if named.contains_key(&name) { format!("input.{name}") } else { name };
        named.insert(name, gradient);
    }
    Ok(named)
}

/// Zeros for each float parameter that has float values.
fn parameters(instance: &mut Instance) -> Result<BTreeMap<String, Tensor>, RunError> {
    let listed = instance.parameters().into_iter().filter(|parameter| {
        let is_float = parameter.storage.ty.dtype().is_some_and(|dtype| dtype.is_float());
        parameter.storage.role == Role::Param && is_float && parameter.slot.has_master()
    });
    let paths: Vec<String> = listed.map(|parameter| parameter.path).collect();
    let mut named = BTreeMap::new();
    for path in paths {
        let value = instance.get(&path, Part::Value)?;
        named.insert(path, Tensor::filled(value.dtype(), value.shape().to_vec(), 0.0));
    }
    Ok(named)
}
