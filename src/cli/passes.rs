//! Options about passes, and what is said about them.

use super::common::say;
use super::output;
use crate::driver::Session;
use crate::driver::optimise::PassReports;
use crate::driver::options::{OptLevel, PassRequest, Selection};
use crate::driver::project_file::Settings;
use clap::ValueEnum;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Passes")]
pub struct PassArgs {
    /// How much to optimise; docs/passes.md lists the passes of each level [default: 2]
    #[arg(long, value_enum, value_name = "LEVEL")]
    opt_level: Option<Level>,
    /// Run these passes, in this order, instead of the level's
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "opt_level")]
    passes: Option<Vec<String>>,
    /// Leave a pass out; may be repeated
    #[arg(long = "disable-pass", value_name = "NAME", value_delimiter = ',')]
    disabled: Vec<String>,
    /// Build the float model: values are not quantised and restored, and quantised weights are floats
    ///
    /// For a model that was trained with quantisation and goes to something that quantises by itself. Results change.
    #[arg(long)]
    fold_fake_quant: bool,
    /// Write the IR before the first pass and after each into this folder
    #[arg(long, value_name = "DIR")]
    dump_ir: Option<PathBuf>,
    /// Say on standard error how long each pass took and what it did
    #[arg(long)]
    time_passes: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    #[value(name = "0")]
    O0,
    #[value(name = "1")]
    O1,
    #[value(name = "2")]
    O2,
    #[value(name = "3")]
    O3,
}

impl PassArgs {
    pub fn request(&self, settings: &Settings) -> PassRequest {
        let level = self.opt_level.map(|level| match level {
            Level::O0 => OptLevel::O0,
            Level::O1 => OptLevel::O1,
            Level::O2 => OptLevel::O2,
            Level::O3 => OptLevel::O3,
        });
        // `--passes ''` is no passes at all.
        let only = self.passes.as_ref().map(|names| names.iter().filter(|name| !name.is_empty()).cloned().collect());
        let project = settings.selection();
        let disabled = [project.disabled.clone(), self.disabled.clone()].concat();
        let float_model = self.fold_fake_quant || project.float_model;
        let selection = match (level, only) {
            (None, None) => Selection { disabled, float_model, ..project },
            (level, only) => Selection { level: level.unwrap_or_default(), only, disabled, float_model },
        };
        PassRequest { selection, dump: self.dump_ir.clone() }
    }

    /// What `--time-passes` and `--verbose` say after a build.
    pub fn report(&self, session: &Session) {
        for form in session.pass_reports() {
            if self.time_passes {
                output::error_line(&times(form));
                continue;
            }
            for pass in &form.passes {
                say(session, &format!("{}{pass}", prefix(form)));
            }
        }
    }
}

fn prefix(form: &PassReports) -> String {
    if form.form.is_empty() { String::new() } else { format!("{}: ", form.form) }
}

/// A table: a line for each pass, and the sum.
fn times(form: &PassReports) -> String {
    let total: Duration = form.passes.iter().map(|pass| pass.time).sum();
    let width = form.passes.iter().map(|pass| pass.pass.len()).max().unwrap_or(0).max("total".len());
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let mut table = format!("{}passes\n", prefix(form));
    for pass in &form.passes {
        let (name, time, changes) = (&pass.pass, milliseconds(pass.time), pass.changes());
        let _ = writeln!(table, "  {name:width$}  {time:9.3} ms  {} -> {}  {changes}", pass.before, pass.after);
    }
    let _ = write!(table, "  {:width$}  {:9.3} ms", "total", milliseconds(total));
    table
}
