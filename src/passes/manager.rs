//! Runs passes one after another, and tells what each did.

use super::pass::{PassCx, PassError};
use super::pipeline::Pipeline;
use crate::ir::{Module, Verified, verify};
use std::fmt;
use std::time::{Duration, Instant};

/// What one pass did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassReport {
    pub pass: String,
    /// Kinds of changes, with how many there were: `folded 12`.
    pub counters: Vec<(&'static str, usize)>,
    /// Instructions of the whole module, before and after.
    pub before: usize,
    pub after: usize,
    /// The pass alone, without the verifier.
    pub time: Duration,
}

impl PassReport {
    /// `folded 12, branches 1`; `nothing` if there were no changes.
    pub fn changes(&self) -> String {
        let counters: Vec<String> = self.counters.iter().map(|(what, number)| format!("{what} {number}")).collect();
        if counters.is_empty() { "nothing".to_string() } else { counters.join(", ") }
    }
}

/// Without the time, so that equal programs give equal lines.
impl fmt::Display for PassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {} -> {} instructions", self.pass, self.changes(), self.before, self.after)
    }
}

/// The module at one point of the pipeline, for who watches it.
pub struct Stage<'a> {
    /// 0 before the first pass.
    pub number: usize,
    /// The pass that ran; `lowered` before the first.
    pub name: &'a str,
    pub module: &'a Module,
}

/// Runs the passes in order. The verifier is the last word; where `debug_assertions` are on, it speaks
/// after each pass, so that the one that broke a rule is named. `watch` sees the module before the first
/// pass and after each.
pub fn run(
    module: Verified,
    pipeline: &Pipeline,
    watch: &mut dyn FnMut(&Stage<'_>),
) -> Result<(Verified, Vec<PassReport>), PassError> {
    let mut reports = vec![];
    watch(&Stage { number: 0, name: "lowered", module: &module });
    if pipeline.is_empty() {
        return Ok((module, reports));
    }
    let count = pipeline.passes.len();
    let mut open = module.into_inner();
    for (position, pass) in pipeline.passes.iter().enumerate() {
        let (mut cx, before, start) = (PassCx::new(pipeline.keep.clone()), instruction_count(&open), Instant::now());
        pass.run(&mut open, &mut cx)?;
        let time = start.elapsed();
        let (counters, after) = (cx.into_counters(), instruction_count(&open));
        reports.push(PassReport { pass: pass.name().to_string(), counters, before, after, time });
        watch(&Stage { number: position + 1, name: pass.name(), module: &open });
        if cfg!(debug_assertions) && position + 1 < count {
            open = verified(open, pass.name())?.into_inner();
        }
    }
    Ok((verified(open, pipeline.names().last().unwrap_or("none"))?, reports))
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
    let mut count = 0;
    module.functions.iter().for_each(|function| function.visit(&function.body, &mut |_| count += 1));
    count
}
