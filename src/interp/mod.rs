//! The reference interpreter: what a program means. Every target, pass and gradient is compared with it.
//!
//! An [`Instance`] holds the tensors of a layer and of its sublayers under concrete hyperparameters. A
//! [`Machine`] runs functions and methods of a verified module on it:
//!
//! ```text
//! let mut instance = Instance::entry(&module, seed)?;            // initial values under the seed
//! instance.set("blocks.0.weight", Part::Value, tensor)?;         // or those of a weights file
//! let mut machine = Machine::new(&module, RunOptions { seed, ..RunOptions::default() });
//! let results = machine.run(&mut instance, forward, &inputs)?;
//! ```
//!
//! Sizes are checked where they become known: conditions of a layer when an instance is made, those of a
//! function when it is called, shapes of inputs when a run begins. Everything else was proved before.

pub mod bind;
mod build;
mod gradients;
mod instance;
mod machine;
mod seed;
mod trace;
mod value;
pub mod watch;

pub use gradients::{Stacked, sum};
pub use instance::{Instance, ParameterRef, Slot};
pub use machine::{Machine, RunOptions};
pub use trace::{CallEvent, LayerCall, Trace};

use crate::base::{Code, Loc};
use crate::ops::{Obligation, ObligationKind};
use crate::types::{Dim, HostExpr, HostValue, Symbol};
use std::collections::BTreeMap;
use std::fmt;

/// Values of symbols: hyperparameters, dims, indices.
pub type Env = BTreeMap<Symbol, HostValue>;

/// Why a run stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    pub code: Code,
    pub message: String,
    /// Where in the source, if it has a place there.
    pub loc: Option<Loc>,
}

impl RunError {
    pub fn new(code: Code, message: impl Into<String>) -> RunError {
        RunError { code, message: message.into(), loc: None }
    }

    /// Says whose mistake it is.
    fn of(self, owner: &str) -> RunError {
        RunError { message: format!("{owner}: {}", self.message), ..self }
    }

    /// Names the place, unless an inner one is named already.
    pub fn or_at(mut self, loc: Loc) -> RunError {
        if self.loc.is_none() && loc.line > 0 {
            self.loc = Some(loc);
        }
        self
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

fn eval_dim(dim: &Dim, env: &Env) -> Option<i64> {
    dim.eval(&|symbol| env.get(symbol)?.as_int())
}

fn eval_expr(expr: &HostExpr, env: &Env) -> Option<HostValue> {
    expr.eval_value(&|symbol| env.get(symbol).cloned())
}

/// What is wrong if the condition does not hold, with the values that it depends on.
fn broken(obligation: &Obligation, env: &Env) -> Option<RunError> {
    let (a, b) = obligation.sides();
    let holds = match (eval_dim(a, env), eval_dim(b, env)) {
        (Some(x), Some(y)) => match obligation.kind {
            ObligationKind::Equal(..) => x == y,
            ObligationKind::Broadcast(..) => x == y || x == 1 || y == 1,
            ObligationKind::AtLeast(..) => x >= y,
        },
        // A division by zero, or a size beyond 64 bits.
        _ => false,
    };
    if holds {
        return None;
    }
    let symbols: Vec<Symbol> = a.symbols().union(&b.symbols()).cloned().collect();
    let values: Vec<String> =
        symbols.iter().filter_map(|symbol| Some(format!("{} = {}", symbol.spoken(), env.get(symbol)?))).collect();
    let with = if values.is_empty() { String::new() } else { format!(" (with {})", values.join(", ")) };
    Some(RunError::new(obligation.code, format!("{}{with}", obligation.message)))
}

#[cfg(test)]
mod tests;
