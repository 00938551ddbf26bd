//! Passes: verified module in, verified module out. Each stands in one file and says what it needs, what it
//! keeps, and what it changes.
//!
//! [`run`] takes names, as a list of passes on the command line gives them. The verifier runs after each
//! pass in debug builds and tests, and after the last one always: only it makes a `Verified`.

pub mod autodiff;
pub mod copy;
pub mod cse;
pub mod dce;
pub mod decompose;
pub mod effects;
pub mod fold;

pub use decompose::decompose;

use crate::ir::{Function, Module, Region, Verified, verify};
use std::fmt;

/// One pass.
pub struct Pass {
    pub name: &'static str,
    pub summary: &'static str,
    /// Changes the module and says how many changes it made.
    run: fn(&mut Module) -> usize,
}

/// Every pass that has a name.
pub static PASSES: &[Pass] = &[
    Pass { name: "fold", summary: "Compute what depends on constants only.", run: fold::fold },
    Pass { name: "cse", summary: "Compute the same thing once.", run: cse::cse },
    Pass { name: "dce", summary: "Remove what nothing uses.", run: dce::dce },
    Pass {
        name: "decompose",
        summary: "Put the bodies of all free functions in the place of their calls.",
        run: |module| decompose::inline_calls(module, &|_| false),
    },
];

/// A pass that does not exist, or one that broke a rule of the IR: an error in the compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassError {
    pub pass: String,
    pub message: String,
}

impl fmt::Display for PassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pass `{}`: {}", self.pass, self.message)
    }
}

/// What a pass did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    pub pass: &'static str,
    pub changes: usize,
    /// Instructions of the whole module, before and after.
    pub before: usize,
    pub after: usize,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} changes, {} -> {} instructions", self.pass, self.changes, self.before, self.after)
    }
}

/// Runs the passes in order.
pub fn run(module: Verified, names: &[&str]) -> Result<Verified, PassError> {
    run_with_statistics(module, names).map(|(module, _)| module)
}

/// The same, with what each pass did.
pub fn run_with_statistics(module: Verified, names: &[&str]) -> Result<(Verified, Vec<Statistics>), PassError> {
    let mut module = module.into_inner();
    let mut statistics = vec![];
    for (position, name) in names.iter().enumerate() {
        let Some(pass) = PASSES.iter().find(|pass| pass.name == *name) else {
            let known: Vec<&str> = PASSES.iter().map(|pass| pass.name).collect();
            let message = format!("there is no such pass; there are {}", known.join(", "));
            return Err(PassError { pass: name.to_string(), message });
        };
        let before = instruction_count(&module);
        let changes = (pass.run)(&mut module);
        statistics.push(Statistics { pass: pass.name, changes, before, after: instruction_count(&module) });
        if cfg!(debug_assertions) && position + 1 < names.len() {
            module = verified(module, name)?.into_inner();
        }
    }
    Ok((verified(module, names.last().unwrap_or(&"none"))?, statistics))
}

/// What a pass made, if it broke no rule.
fn verified(module: Module, pass: &str) -> Result<Verified, PassError> {
    verify(module).map_err(|errors| {
        let message = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        PassError { pass: pass.to_string(), message }
    })
}

/// Instructions that stand in a region; the arenas may hold more.
pub fn instruction_count(module: &Module) -> usize {
    fn region_count(function: &Function, region: &Region) -> usize {
        let nested = |id: &crate::ir::InstId| -> usize {
            Function::regions(&function[*id].kind).into_iter().map(|region| region_count(function, region)).sum()
        };
        region.insts.len() + region.insts.iter().map(nested).sum::<usize>()
    }
    module.functions.iter().map(|function| region_count(function, &function.body)).sum()
}

#[cfg(test)]
mod tests;
