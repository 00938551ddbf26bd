//! `tritonc inspect`: the tensors of a checkpoint or of a model.

use super::common::{EntryArgs, Status, reported};
use super::output;
use super::table::{json, table};
use crate::driver::{Failed, Reading, Session, inspect};
use crate::weights::FileFormat;
use std::path::{Path, PathBuf};

/// List the tensors of a checkpoint or the parameters of a model: types, schemes, sizes, and what is lost
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A source file, or weights: a .safetensors or .npz file, an index of shards, or a folder with one of them
    #[arg(value_name = "FILE|WEIGHTS")]
    file: String,
    #[command(flatten)]
    entry: EntryArgs,
    /// The shape of an input, which says what a `...` in its type stands for; may be repeated
    #[arg(long = "shape", value_name = "NAME=SIZES")]
    shapes: Vec<String>,
    /// Weights for a model: what its schemes leave of them
    #[arg(long, value_name = "WEIGHTS")]
    weights: Option<PathBuf>,
    /// Renames tensors ('model.layers.{n}.*=blocks.{n}.*'), or a .toml file with rules; may be repeated
    #[arg(long = "map", value_name = "FROM=TO|FILE.toml")]
    maps: Vec<String>,
    /// With `--weights`: float tensors become the declared float type
    #[arg(long, requires = "weights")]
    cast: bool,
    /// For weights: shows how tensors that fit a pattern would be quantised; may be repeated
    #[arg(long = "scheme", value_name = "PATTERN=SCHEME")]
    schemes: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  tritonc inspect mlp.safetensors
  tritonc inspect mlp.safetensors --scheme '*.weight=int4(group=64)'    what quantising would leave
  tritonc inspect mlp.tri --entry 'MLP(dim=256)' --weights mlp.safetensors
  tritonc inspect llama/ --json";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        let path = Path::new(&self.file);
        let is_index = path.extension().is_some_and(|extension| extension == "json");
        let is_weights = FileFormat::of(path).is_some() || is_index || path.is_dir();
        let misplaced = if is_weights {
            self.weights.is_some().then_some("`--weights` is for a source file")
        } else if !self.schemes.is_empty() {
            Some("`--scheme` is for weights: a source file says how its parameters are quantised")
        } else {
            (!self.maps.is_empty() && self.weights.is_none()).then_some("`--map` needs `--weights`")
        };
        if let Some(problem) = misplaced {
            output::error_line(&format!("error: {problem}"));
            return Status::Usage;
        }
        self.try_execute(session, is_weights).into()
    }

    fn try_execute(&self, session: &mut Session, is_weights: bool) -> Result<(), Failed> {
        let inspection = if is_weights {
            inspect::weights(session, Path::new(&self.file), &self.maps, &self.schemes)?
        } else {
            let settings = self.entry.settings(session, &self.file)?;
            let entry = reported(session, self.entry.request(&self.shapes, &settings))?;
            let own = Reading { maps: self.maps.clone(), cast: self.cast };
            let maps = settings.maps.unwrap_or_default();
            let (weights, reading) = match &self.weights {
                Some(weights) => (Some(weights.clone()), own),
                None => (settings.weights, Reading { maps, cast: settings.cast.unwrap_or_default() }),
            };
            inspect::program(session, &self.file, &entry, weights.as_deref(), &reading)?
        };
        let text = if self.json { json(&inspection) } else { table(&inspection, &[]) };
        output::write(session, text.as_bytes())
    }
}
