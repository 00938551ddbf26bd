//! `tritonc inspect`: the tensors of a checkpoint or of a model.

use super::common::{EntryArgs, Status, reported};
use super::memory::{self, MemoryArgs};
use super::output;
use super::table::{json, table};
use crate::driver::memory::MethodMemory;
use crate::driver::options::PassRequest;
use crate::driver::{self, Failed, Reading, Session, inspect};
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
    /// Print how the memory of a source file's program is laid out by targets that allocate none: where each value is,
    /// from where to where it is needed, and how much all takes
    #[arg(long, conflicts_with_all = ["weights", "schemes", "maps"])]
    memory: bool,
    /// With `--memory`: the method whose memory it is [default: forward]
    #[arg(long, value_name = "NAME", requires = "memory")]
    method: Option<String>,
    #[command(flatten)]
    plan: MemoryArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  tritonc inspect mlp.safetensors
  tritonc inspect mlp.safetensors --scheme '*.weight=int4(group=64)'    what quantising would leave
  tritonc inspect mlp.tri --entry 'MLP(dim=256)' --weights mlp.safetensors
  tritonc inspect mlp.tri --memory --shape x=64,784                     how memory is laid out
  tritonc inspect llama/ --json";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        let path = Path::new(&self.file);
        let is_index = path.extension().is_some_and(|extension| extension == "json");
        let is_weights = FileFormat::of(path).is_some() || is_index || path.is_dir();
        let misplaced = if is_weights {
            let of_source = [
                (self.weights.is_some(), "`--weights` is for a source file"),
                (self.memory, "`--memory` is for a source file"),
            ];
            of_source.into_iter().find(|(given, _)| *given).map(|(_, problem)| problem)
        } else if !self.schemes.is_empty() {
            Some("`--scheme` is for weights: a source file says how its parameters are quantised")
        } else {
            let wrong = [
                (!self.maps.is_empty() && self.weights.is_none(), "`--map` needs `--weights`"),
                (!self.memory && self.plan.is_given(), "`--memory-plan` and `--max-memory` need `--memory`"),
            ];
            wrong.into_iter().find(|(given, _)| *given).map(|(_, problem)| problem)
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
            if self.memory {
                let passes = PassRequest { selection: settings.selection(), dump: None };
                let wanted = MethodMemory { method: self.method.as_deref(), memory: self.plan.request() };
                let layout = driver::memory::program(session, &self.file, &entry, &passes, wanted)?;
                let text = if self.json { memory::json(&layout) } else { memory::table(&layout) };
                return output::write(session, text.as_bytes());
            }
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
