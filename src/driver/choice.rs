//! What of a model is quantised how, as the command line says: `--quantize 'blocks.*.mlp.*=int4(group=64)'`.
//!
//! Patterns are over the names of weights files. A pattern with a placeholder chooses, of what it fits, the parameters
//! that quantised weights are for: factors of matrix products and convolutions. A name in full is taken at its word.

use crate::base::Diagnostic;
use crate::base::code::{E0409, E0502};
use crate::driver::inspect::refused;
use crate::driver::model::{self, Stored};
use crate::driver::schemes::SchemeRules;
use crate::driver::{Failed, Session};
use crate::ir::{Role, Verified};
use crate::passes::products::{Factors, factors};
use crate::passes::quantise::{AssignError, Assignments, assign};
use crate::quant::codes::Slices;
use crate::quant::{QuantError, Scheme};

/// The option that the rules come from.
const OPTION: &str = "--quantize";

/// The module with the schemes of the rules; those that no rule is about stay as the source has them.
pub fn apply(session: &mut Session, module: Verified, rules: &[String], training: bool) -> Result<Verified, Failed> {
    if rules.is_empty() {
        return Ok(module);
    }
    let rules = SchemeRules::parse(&mut session.project, OPTION, rules).map_err(|errors| session.fail(errors))?;
    let stored = model::stored(&module).map_err(|error| session.fail(vec![error]))?;
    let chosen = choose(&stored, &rules, &factors(&module)).map_err(|errors| session.fail(errors))?;
    assign(module, &chosen, training).map_err(|error| session.fail(vec![unassigned(error)]))
}

/// The scheme of each parameter that a rule is about, or everything that is wrong with the rules.
fn choose(stored: &[Stored], rules: &SchemeRules, factors: &Factors) -> Result<Assignments, Vec<Diagnostic>> {
    let names: Vec<&str> = stored.iter().map(|stored| stored.expected.name.as_str()).collect();
    let meant = |index: usize| {
        let stored = &stored[index];
        stored.role == Role::Param
            && stored.expected.dtype.is_float()
            && factors.contains(&(stored.layer, stored.member.clone()))
    };
    let chosen = rules.choose(&names, &meant)?;
    let (mut assignments, mut errors) = (Assignments::new(), vec![]);
    for (stored, scheme) in stored.iter().zip(chosen) {
        let Some(scheme) = scheme else { continue };
        errors.extend(scheme.and_then(|scheme| unfit(stored, scheme)));
        assignments.insert(stored.path.clone(), scheme.cloned());
    }
    if errors.is_empty() { Ok(assignments) } else { Err(errors) }
}

/// Why a parameter cannot have a scheme.
fn unfit(stored: &Stored, scheme: &Scheme) -> Option<Diagnostic> {
    let expected = &stored.expected;
    let error = if stored.role != Role::Param {
        let message = format!("`{}` cannot be {scheme}: it is no parameter", expected.name);
        return Some(Diagnostic::new(E0502, message).note("help: buffers and state are kept as they are"));
    } else if !expected.dtype.is_float() {
        QuantError::NotFloat(expected.dtype)
    } else if expected.shape.is_empty() {
        QuantError::Scalar
    } else {
        Slices::of(&expected.shape, scheme).err()?
    };
    Some(refused(&expected.name, &expected.shape, scheme, &error))
}

fn unassigned(error: AssignError) -> Diagnostic {
    if error.internal {
        return Diagnostic::new(E0409, format!("internal error: {}; please report it", error.message));
    }
    let place = if error.path.is_empty() { String::new() } else { format!("`{}`: ", error.path) };
    Diagnostic::new(E0502, format!("{place}{}", error.message))
        .note(format!("help: choose all elements with one pattern (`{OPTION} 'blocks.*=...'`)"))
}
