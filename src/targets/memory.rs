//! What is said where a plan takes more memory than is allowed.

use crate::base::code::E0610;
use crate::base::{Loc, size};
use crate::ir::{Function, InstKind, ValueId};
use crate::passes::plan_memory::{Plan, Strategy};
use crate::targets::TargetError;

/// So many of the values are listed.
const MAX_LISTED: usize = 12;

/// Refuses a plan of more bytes than allowed: E0610, with what is live where most is.
pub fn check_maximum(
    files: &[String],
    function: &Function,
    plan: &Plan,
    strategy: Strategy,
    maximum: Option<u64>,
) -> Result<(), TargetError> {
    let total = plan.total as u64;
    let Some(maximum) = maximum.filter(|maximum| total > *maximum) else { return Ok(()) };
    let (needed, allowed) = (size::shown(total), size::shown(maximum));
    let message = format!("`{}` needs {needed} of memory, and {allowed} are allowed", function.source_name);
    let mut error = TargetError::new(E0610, message);
    let most = size::shown(plan.lower_bound as u64);
    match plan.peak.inst.map(|inst| &function[inst].loc).filter(|loc| loc.line > 0) {
        Some(loc) => error = error.at(*loc).note(format!("most is live at {}: {most}", place(files, *loc))),
        None => error = error.note(format!("most that is live at one time: {most}")),
    }
    let mut lines: Vec<String> =
        plan.peak.live.iter().take(MAX_LISTED).map(|(value, bytes)| line(files, function, *value, *bytes)).collect();
    if plan.peak.scratch > 0 {
        lines.push(format!("{} for what is called there", size::shown(plan.peak.scratch as u64)));
    }
    if let Some(rest) = plan.peak.live.get(MAX_LISTED..).filter(|rest| !rest.is_empty()) {
        let bytes = rest.iter().map(|(_, bytes)| *bytes as u64).sum();
        lines.push(format!("{} for {} more", size::shown(bytes), rest.len()));
    }
    if !lines.is_empty() {
        error = error.note(lines.join("\n"));
    }
    let help = if plan.lower_bound as u64 <= maximum && strategy != Strategy::Greedy {
        "help: `--memory-plan greedy` may fit"
    } else {
        "help: smaller inputs (`--shape`) or a smaller element type (`--precision float16`) need less"
    };
    Err(error.note(help))
}

fn line(files: &[String], function: &Function, value: ValueId, bytes: usize) -> String {
    let ty = &function[value].ty;
    let name = function[value].name.as_ref().map(|name| format!("`{name}`, ")).unwrap_or_default();
    let place = defined_at(function, value).map(|loc| format!(" ({})", self::place(files, *loc))).unwrap_or_default();
    format!("{} for {name}{ty}{place}", size::shown(bytes as u64))
}

/// `mlp.tri:7`.
fn place(files: &[String], loc: Loc) -> String {
    files.get(loc.file.0 as usize).map_or_else(|| format!("line {}", loc.line), |file| format!("{file}:{}", loc.line))
}

/// Where a value is made.
fn defined_at(function: &Function, value: ValueId) -> Option<&Loc> {
    let makes = |kind: &InstKind| {
        let params = Function::regions(kind).into_iter().flat_map(|region| &region.params);
        !matches!(kind, InstKind::Fused { .. }) && params.clone().any(|param| *param == value)
    };
    let inst = function.insts.iter().find(|inst| inst.results.contains(&value) || makes(&inst.kind))?;
    Some(&inst.loc).filter(|loc| loc.line > 0)
}
