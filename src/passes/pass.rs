//! What a pass is.

use crate::ir::{Function, Module};
use std::fmt;
use std::sync::Arc;

/// A rewrite of a module that keeps what the program computes.
///
/// It is given a module that the verifier accepted and must leave one that it accepts. A pass has no state
/// of its own: the same module gives the same result.
pub trait Pass: Send + Sync {
    /// As `--passes` takes it: lower case, words joined by `-`.
    fn name(&self) -> &str;

    /// One sentence for listings.
    fn summary(&self) -> &str;

    /// Changes the module, and counts in `cx` what it changed.
    fn run(&self, module: &mut Module, cx: &mut PassCx) -> Result<(), PassError>;
}

/// What a pass is given beside the module.
#[derive(Default)]
pub struct PassCx {
    counters: Vec<(&'static str, usize)>,
    keep: Option<Keep>,
}

/// Whether a target writes a function in a form of its own.
pub type Keep = Arc<dyn Fn(&Function) -> bool + Send + Sync>;

impl PassCx {
    pub fn new(keep: Option<Keep>) -> PassCx {
        PassCx { counters: vec![], keep }
    }

    /// Whether calls of a function are to stay, since the target has a form of its own for it.
    pub fn keeps(&self, function: &Function) -> bool {
        self.keep.as_ref().is_some_and(|keep| keep(function))
    }

    /// Adds to one of the pass's counters: `folded 12`. A count of zero leaves no trace.
    pub fn count(&mut self, what: &'static str, number: usize) {
        if number == 0 {
            return;
        }
        match self.counters.iter_mut().find(|(name, _)| *name == what) {
            Some((_, total)) => *total += number,
            None => self.counters.push((what, number)),
        }
    }

    /// What was counted, in the order of first mention.
    pub fn into_counters(self) -> Vec<(&'static str, usize)> {
        self.counters
    }
}

/// A pass of the compiler's own: a function that counts its changes, and cannot fail.
pub struct BuiltIn {
    pub name: &'static str,
    pub summary: &'static str,
    pub run: fn(&mut Module, &mut PassCx),
}

impl Pass for &'static BuiltIn {
    fn name(&self) -> &str {
        self.name
    }

    fn summary(&self) -> &str {
        self.summary
    }

    fn run(&self, module: &mut Module, cx: &mut PassCx) -> Result<(), PassError> {
        (self.run)(module, cx);
        Ok(())
    }
}

/// A pass that gave up, or broke a rule of the IR: an error in the pass, not in the program.
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
