//! `tritonc quantize`: a checkpoint with packed weights.

use super::common::{Status, say};
use super::output;
use super::table::table;
use crate::driver::quantize::{QuantizeRequest, quantize};
use crate::driver::{Failed, Session};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;

/// Quantise and pack the weights of a checkpoint
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A .safetensors or .npz file, an index of shards, or a folder with one of them
    #[arg(value_name = "WEIGHTS")]
    weights: PathBuf,
    /// How the tensors that fit a pattern are quantised, in Tri; may be repeated, the last that fits counts
    #[arg(long = "scheme", value_name = "PATTERN=SCHEME", required = true)]
    schemes: Vec<String>,
    /// Renames tensors ('model.layers.{n}.*=blocks.{n}.*'), or a .toml file with rules; may be repeated
    #[arg(long = "map", value_name = "FROM=TO|FILE.toml")]
    maps: Vec<String>,
    /// The file to write
    #[arg(short, long, value_name = "OUT.safetensors")]
    output: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  tritonc quantize mlp.safetensors --scheme '*.weight=int4(group=64)' -o small.safetensors
  tritonc quantize llama/ --map llama.toml --scheme 'blocks.*.weight=ternary(axis=0)' \\
      --scheme '*.norm.*=none' -o llama-ternary.safetensors";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        self.try_execute(session).into()
    }

    fn try_execute(&self, session: &mut Session) -> Result<(), Failed> {
        let request = QuantizeRequest {
            weights: self.weights.clone(),
            schemes: self.schemes.clone(),
            maps: self.maps.clone(),
            output: self.output.clone(),
        };
        let bar = bar();
        let result = quantize(session, &request, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let mut inspection = result?;
        say(session, &format!("wrote {}", self.output.display()));
        let kept = inspection.rows.iter().filter(|row| row.scheme.is_none()).count();
        let (before, after) = (inspection.before(), inspection.after());
        inspection.rows.retain(|row| row.scheme.is_some());
        output::write(session, table(&inspection, &[(kept, before, after)]).as_bytes())
    }
}

/// Shown on a terminal only.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
    style.map_or_else(|_| ProgressBar::hidden(), |style| ProgressBar::new(0).with_style(style))
}
