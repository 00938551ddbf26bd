//! What of a model is quantised how, beyond the `@quantize` of single parameters: as one before a `let` or `layer` says,
//! and, above that, as the command line does: `--quantize 'blocks.*.mlp.*=int4(group=64)'`.
//!
//! Both choose, of what they reach, the parameters that quantised weights are for: factors of matrix products and
//! convolutions, of rank 2 or more. Patterns are over the names of weights files; one without a placeholder is a name in
//! full, and taken at its word.

use crate::base::Diagnostic;
use crate::base::code::{E0409, E0502, E0608};
use crate::driver::inspect::refused;
use crate::driver::model::{self, Stored};
use crate::driver::schemes::SchemeRules;
use crate::driver::{Failed, Session, pipeline};
use crate::ir::verify::VerifyError;
use crate::ir::{Function, InstKind, MemberKind, Module, Role, Verified, verify};
use crate::passes::activations::{inline_takers, insert};
use crate::passes::products::{Factors, factors};
use crate::passes::quantise::{AssignError, Assignments, assign};
use crate::quant::codes::Slices;
use crate::quant::{QuantError, Quantization, Scheme};

/// The option that the rules come from.
const OPTION: &str = "--quantize";

/// The module with the schemes that reach its parameters, those of the rules last.
pub fn apply(session: &mut Session, module: Verified, rules: &[String], training: bool) -> Result<Verified, Failed> {
    let members = || module.layers.iter().flat_map(|layer| &layer.members);
    let reaching = module.layers.iter().any(|layer| layer.quantize.is_some())
        || members().any(|member| member.quantize.is_some() && !matches!(member.kind, MemberKind::Storage(_)));
    if rules.is_empty() && !reaching {
        return insert(module).map_err(|error| session.fail(vec![unassigned(error)]));
    }
    let rules = SchemeRules::parse(&mut session.project, OPTION, rules).map_err(|errors| session.fail(errors))?;
    let stored = model::stored(&module).map_err(|error| session.fail(vec![error]))?;
    let chosen = choose(&stored, &rules, &factors(&module)).map_err(|errors| session.fail(errors))?;
    if let Some(error) = stored.iter().find_map(|stored| given_elsewhere(&module, stored, &chosen)) {
        return Err(session.fail(vec![error]));
    }
    let module = without_attributes(module).map_err(|errors| pipeline::internal(session, &errors))?;
    let module = assign(module, &chosen, training).and_then(insert);
    module.map_err(|error| session.fail(vec![unassigned(error)]))
}

/// A stored tensor of a model, with what is to become of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// In weights files.
    pub name: String,
    /// In Tri.
    pub path: String,
    pub quantization: Option<Quantization>,
}

impl Choice {
    pub fn weights(&self) -> Option<&Scheme> {
        self.quantization.as_ref().map(|own| &own.weights)
    }

    /// The scheme of activations that need a scale from calibration.
    pub fn static_activations(&self) -> Option<&Scheme> {
        self.quantization.as_ref()?.activations.as_ref().filter(|scheme| !scheme.dynamic)
    }
}

/// What source and rules say of each stored tensor of a module that nobody has quantised yet.
pub fn choices(session: &mut Session, module: &Verified, rules: &[String]) -> Result<Vec<Choice>, Failed> {
    let rules = SchemeRules::parse(&mut session.project, "--scheme", rules).map_err(|errors| session.fail(errors))?;
    let stored = model::stored(module).map_err(|error| session.fail(vec![error]))?;
    let chosen = choose(&stored, &rules, &factors(module)).map_err(|errors| session.fail(errors))?;
    let choice = |stored: Stored| {
        let quantization = chosen.get(&stored.path).cloned().unwrap_or(stored.own);
        Choice { name: stored.expected.name, path: stored.path, quantization }
    };
    Ok(stored.into_iter().map(choice).collect())
}

/// The module with float weights. Functions that are called with weights are put in the place of their calls, so that
/// each product is where its weight is read.
pub fn without_quantisation(session: &mut Session, module: Verified, choices: &[Choice]) -> Result<Verified, Failed> {
    let gradients =
        |function: &Function| function.insts.iter().any(|inst| matches!(inst.kind, InstKind::Gradient { .. }));
    if module.functions.iter().any(gradients) {
        // Their products are not those of the weights that they are gradients for.
        let message = "a model that takes gradients cannot run for calibration";
        return Err(session.fail(vec![Diagnostic::new(E0502, message)]));
    }
    let none: Assignments = choices.iter().map(|choice| (choice.path.clone(), None)).collect();
    let module = without_attributes(module).map_err(|errors| pipeline::internal(session, &errors))?;
    let module = assign(module, &none, false).map_err(|error| session.fail(vec![unassigned(error)]))?;
    let mut module = module.into_inner();
    inline_takers(&mut module, &|_, _, _| true);
    verify(module).map_err(|errors| pipeline::internal(session, &errors))
}

/// Schemes are resolved once: what is left of the IR says of each parameter how it is quantised.
fn without_attributes(module: Verified) -> Result<Verified, Vec<VerifyError>> {
    let mut module = module.into_inner();
    for layer in &mut module.layers {
        layer.quantize = None;
        layer.members.iter_mut().for_each(|member| member.quantize = None);
    }
    verify(module)
}

/// The scheme of each parameter that one reaches, or everything that is wrong with the rules.
fn choose(stored: &[Stored], rules: &SchemeRules, factors: &Factors) -> Result<Assignments, Vec<Diagnostic>> {
    let names: Vec<&str> = stored.iter().map(|stored| stored.expected.name.as_str()).collect();
    let meant = |index: usize| {
        let stored = &stored[index];
        stored.role == Role::Param
            && stored.expected.dtype.is_float()
            && stored.expected.shape.len() >= 2
            && factors.contains(&(stored.layer, stored.member.clone()))
    };
    let chosen = rules.choose(&names, &meant)?;
    let (mut assignments, mut errors) = (Assignments::new(), vec![]);
    for (index, (stored, rule)) in stored.iter().zip(chosen).enumerate() {
        let inherited = stored.inherited.as_ref().filter(|_| meant(index)).map(Option::as_ref);
        let Some(chosen) = rule.or(inherited) else { continue };
        errors.extend(chosen.and_then(|chosen| unfit(stored, &chosen.weights)));
        assignments.insert(stored.path.clone(), chosen.cloned());
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

/// Where methods take the parameters of their instance as values, only the layer itself says how these are quantised.
fn given_elsewhere(module: &Module, stored: &Stored, chosen: &Assignments) -> Option<Diagnostic> {
    let layer = &module[stored.layer];
    let MemberKind::Storage(storage) = &layer.member(&stored.member)?.kind else { return None };
    let scheme = chosen.get(&stored.path).filter(|scheme| **scheme != storage.quantization())?;
    layer.methods.iter().find(|method| module[**method].takes_parameters())?;
    let scheme = scheme.as_ref().map_or("none".to_string(), ToString::to_string);
    let message =
        format!("`{}` cannot be {scheme} from outside its layer: the program computes with it as a value", stored.path);
    Some(Diagnostic::new(E0608, message).note(format!(
        "help: write `@quantize({scheme})` before `param {}` of the layer `{}`",
        stored.member, layer.source_name
    )))
}

fn unassigned(error: AssignError) -> Diagnostic {
    if error.internal {
        return Diagnostic::new(E0409, format!("internal error: {}; please report it", error.message));
    }
    let place = if error.path.is_empty() { String::new() } else { format!("`{}`: ", error.path) };
    let diagnostic = Diagnostic::new(E0502, format!("{place}{}", error.message));
    match error.help {
        Some(help) => diagnostic.note(format!("help: {help}")),
        None => diagnostic,
    }
}
