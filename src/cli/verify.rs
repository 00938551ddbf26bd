//! `tritonc verify`: whether targets compute what the interpreter does.

use super::common::{EntryArgs, PrecisionArgs, Status, reported, say};
use super::output;
use super::passes::PassArgs;
use super::weights::ReadingArgs;
use crate::base::render::{visible, visible_line};
use crate::driver::project_file::Settings;
use crate::driver::verify::{self, Culprit, Difference, Report, Row, VerifyRequest};
use crate::driver::{EntryRequest, Failed, RunRequest, Session, options};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

/// Compare what targets compute with the interpreter
///
/// Everything that can execute the program here gets the same inputs and weights, drawn from the seed or read from files:
/// the interpreter after the passes of each level (`interp-1`, `interp-2`, `interp-3`), and the targets. Each exported
/// method is run; one with optional inputs without any, and with all of them. Results, state and, with `--grad`,
/// gradients have to agree with the unoptimised program on the interpreter within the tolerances of docs/numerics.md.
///
/// A target whose tools are missing is skipped and says why; one that `--targets` names must run.
/// Targets that write Python need one with their library: the one that the environment variable TRITONC_PYTHON names, else
/// `python3`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The source file, or `-`
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    entry: EntryArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    /// What is compared with the interpreter, separated by commas: `interp-1`, `interp-2`, `interp-3`, or `interp` for
    /// these three; targets; or `all` [default: all]
    #[arg(long, value_name = "all|LIST", value_delimiter = ',')]
    targets: Vec<String>,
    /// Determines all random values [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Also compare the gradients of float inputs and parameters
    #[arg(long)]
    grad: bool,
    /// The only method to run
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Reads an input from a .npy, .npz or .safetensors file, or gives a number; may be repeated. Other tensors
    /// are drawn at random
    #[arg(long = "input", value_name = "NAME=FILE")]
    inputs: Vec<String>,
    /// The shape of an input to draw, or the size of a dim (`B=4`); may be repeated
    #[arg(long = "shape", value_name = "NAME=SIZES")]
    shapes: Vec<String>,
    /// Weights: a .safetensors or .npz file, an index of shards, or a folder with one of them; without them, the
    /// model's initial values are drawn
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    /// A folder of templates and operator tables, laid over the built-in ones
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// How long a target may take for one method, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    passes: PassArgs,
}

const EXAMPLES: &str = "\
Examples:
  tritonc verify mlp.tri
  tritonc verify mlp.tri --entry 'MLP(dim=256)' --mode train --grad
  tritonc verify mlp.tri --targets pytorch --weights mlp.safetensors    fails where there is no torch
  tritonc verify mlp.tri --quantize '*=int4(group=64)' --json

Exit status: 0 if nothing differs, 1 if the program has errors, 3 if a target differs or fails.";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        match self.try_execute(session) {
            Ok(true) => Status::Clean,
            Ok(false) => Status::TestsFailed,
            Err(Failed) => Status::Errors,
        }
    }

    fn try_execute(&self, session: &mut Session) -> Result<bool, Failed> {
        let settings = self.entry.settings(session, &self.file)?;
        let request = reported(session, self.request(&settings))?;
        let bar = bar();
        let mut executors = verify::executors(None);
        let report = session.verify(&self.file, &request, &mut executors, &mut |done, total, next| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.set_message(next.to_string());
        });
        bar.finish_and_clear();
        let report = report?;
        say(session, &format!("{} comparisons", report.rows.len()));
        let text = if self.json {
            json(&self.file, request.run.seed, &report)
        } else {
            format!("{}{}", table(&report), remarks(&report))
        };
        output::write(session, text.as_bytes())?;
        Ok(report.passed())
    }

    fn request(&self, settings: &Settings) -> Result<VerifyRequest, crate::base::Diagnostic> {
        let (inputs, numbers) = options::parse_inputs(&self.inputs)?;
        let (weights, reading) = self.reading.reading(self.weights.as_deref(), settings);
        let run = RunRequest {
            entry: EntryRequest {
                precision: self.precision.low(settings),
                ..self.entry.request(&self.shapes, settings)?
            },
            method: self.method.clone(),
            inputs,
            numbers,
            weights,
            reading,
            seed: self.seed.or(settings.seed).unwrap_or_default(),
            grad: self.grad || settings.grad.unwrap_or_default(),
            ..RunRequest::default()
        };
        let of_project = settings.targets.clone().unwrap_or_default();
        let targets = if self.targets.is_empty() { of_project } else { self.targets.clone() };
        let all = targets.is_empty() || targets.iter().any(|name| name == "all");
        Ok(VerifyRequest {
            run,
            targets: (!all).then_some(targets),
            passes: self.passes.request(settings),
            templates: self.templates.clone().or(settings.templates.clone()),
            limit: Duration::from_secs(self.timeout),
        })
    }
}

/// `{"file": ..., "passed": ..., "rows": [...]}`; what there is not, and what is no number, is null.
fn json(file: &str, seed: u64, report: &Report) -> String {
    let rows: Vec<Value> = report.rows.iter().map(json_row).collect();
    let whole = json!({ "file": file, "seed": seed, "passed": report.passed(), "rows": rows });
    format!("{whole:#}\n")
}

/// Shown on a terminal only.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:20} {pos} of {len}, {msg} ({elapsed})");
    style.map_or_else(|_| ProgressBar::hidden(), |style| ProgressBar::new(0).with_style(style))
}

fn status(row: &Row) -> &'static str {
    match row.status {
        verify::Status::Agrees => "ok",
        verify::Status::Differs => "DIFFERS",
        verify::Status::Skipped => "skipped",
        verify::Status::Failed => "FAILED",
    }
}

const HEADS: [&str; 7] = ["target", "method", "max error", "relative", "correlation", "status", "time"];
/// Names stand to the left, numbers to the right.
const IS_NUMBER: [bool; 7] = [false, false, true, true, true, false, true];

/// A line for each row.
fn table(report: &Report) -> String {
    let mut lines: Vec<[String; 7]> = vec![HEADS.map(str::to_string)];
    lines.extend(report.rows.iter().map(cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).zip(IS_NUMBER).map(|((cell, width), is_number)| {
            let space = " ".repeat(width - cell.chars().count());
            if is_number { format!("{space}{cell}") } else { format!("{cell}{space}") }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn cells(row: &Row) -> [String; 7] {
    let unknown = || "-".to_string();
    let number = |get: fn(&Difference) -> f64| row.difference.as_ref().map_or_else(unknown, |d| short(get(d)));
    let correlation = row.difference.as_ref().and_then(|difference| difference.correlation);
    let time = row.time.map_or_else(unknown, |time| format!("{:.1} ms", time.as_secs_f64() * 1e3));
    [
        row.target.clone(),
        row.method.clone(),
        number(|difference| difference.absolute),
        number(|difference| difference.relative),
        correlation.map_or_else(unknown, |correlation| format!("{correlation:.6}")),
        status(row).to_string(),
        time,
    ]
}

fn short(error: f64) -> String {
    match error {
        0.0 => "0".to_string(),
        error if error.is_nan() => "NaN".to_string(),
        error if (1e-3..1e5).contains(&error) => format!("{error:.3}"),
        error => format!("{error:.1e}"),
    }
}

/// Why rows are not as they should be. A reason that several share is told once.
fn remarks(report: &Report) -> String {
    let mut told: Vec<(&str, String, &Row)> = vec![];
    for row in report.rows.iter().filter(|row| !row.reason.is_empty()) {
        match told.iter_mut().find(|(target, _, first)| *target == row.target && first.reason == row.reason) {
            Some((_, methods, _)) => *methods += &format!(", {}", row.method),
            None => told.push((&row.target, row.method.clone(), row)),
        }
    }
    let remark = |(target, methods, row): &(&str, String, &Row)| {
        let who =
            if row.status == verify::Status::Skipped { target.to_string() } else { format!("{target}, {methods}") };
        let culprit = row.culprit.as_ref().map_or(String::new(), |culprit| format!("  {}\n", told_culprit(culprit)));
        format!("\n{who} {}: {}\n{culprit}", status(row).to_lowercase(), visible(&row.reason))
    };
    told.iter().map(remark).collect()
}

fn told_culprit(culprit: &Culprit) -> String {
    let Culprit { path, layer, file, line, what } = culprit;
    let place = if *line > 0 { format!(", {file}:{line}") } else { String::new() };
    let who = if path.is_empty() { format!("`{layer}` itself{place}") } else { format!("`{path}` ({layer}{place})") };
    let what = if what.is_empty() { "what its layers are given and give back agrees" } else { what };
    visible_line(&format!("first in {who}: {what}"))
}

fn json_row(row: &Row) -> Value {
    let finite = |value: f64| value.is_finite().then_some(value);
    let difference = row.difference.as_ref();
    json!({
        "target": row.target,
        "method": row.method,
        "status": status(row).to_lowercase(),
        "max_absolute_error": difference.and_then(|difference| finite(difference.absolute)),
        "max_relative_error": difference.and_then(|difference| finite(difference.relative)),
        "correlation": difference.and_then(|difference| difference.correlation),
        "elements": difference.map(|difference| difference.elements),
        "wrong": difference.map(|difference| difference.wrong),
        "reason": Some(&row.reason).filter(|reason| !reason.is_empty()),
        "first_difference": row.culprit.as_ref().map(|culprit| json!({
            "path": culprit.path, "layer": culprit.layer, "file": culprit.file, "line": culprit.line,
            "what": culprit.what,
        })),
        "seconds": row.time.map(|time| time.as_secs_f64()),
    })
}
