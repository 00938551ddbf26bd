//! `tritonc quantize`: a checkpoint with packed weights.

use super::common::{Status, reported, say};
use super::output;
use super::table::table;
use crate::driver::calibrate::{GptqOptions, Method, ModelRequest};
use crate::driver::quantize::{QuantizeRequest, quantize};
use crate::driver::{EntryRequest, Failed, Session, options};
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
    ///
    /// With `--model`, patterns are about its weights, as those of `--quantize` are, and count more than its source.
    #[arg(long = "scheme", value_name = "PATTERN=SCHEME", required_unless_present = "model")]
    schemes: Vec<String>,
    /// Renames tensors ('model.layers.{n}.*=blocks.{n}.*'), or a .toml file with rules; may be repeated
    #[arg(long = "map", value_name = "FROM=TO|FILE.toml")]
    maps: Vec<String>,
    /// The model whose weights these are
    #[arg(long, value_name = "FILE.tri")]
    model: Option<String>,
    /// The model's instance, in Tri ('MLP(dim=256)'), or the name of a top-level `let`
    #[arg(long, value_name = "EXPR", requires = "model")]
    entry: Option<String>,
    /// Gives a hyperparameter of the entry a value, in Tri; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", requires = "model")]
    sets: Vec<String>,
    /// Data to run the model on: a .npz file with an array for each input, samples along the first axis
    #[arg(long, value_name = "DATA.npz", requires = "model")]
    calibrate: Option<PathBuf>,
    /// What finds the range of activations in the data: minmax, moving-average, percentile(P) or mse
    #[arg(long, value_name = "NAME", default_value = "minmax", requires = "calibrate", value_parser = observer)]
    observer: Method,
    /// How codes of int4 and int8 weights are chosen: the nearest ones, or those with which products come out closest
    #[arg(long, value_enum, default_value = "round", requires_if("gptq", "calibrate"))]
    method: MethodArg,
    /// For gptq: the share of the mean square of inputs that is added to all
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share)]
    damping: f64,
    /// For gptq: begin with the weights of the largest inputs
    #[arg(long)]
    act_order: bool,
    /// Samples that run at a time
    #[arg(long, value_name = "N", default_value_t = 32, requires = "calibrate",
          value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// The file to write
    #[arg(short, long, value_name = "OUT.safetensors")]
    output: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  tritonc quantize mlp.safetensors --scheme '*.weight=int4(group=64)' -o small.safetensors
  tritonc quantize llama/ --map llama.toml --scheme 'blocks.*.weight=ternary(axis=0)' \\
      --scheme '*.norm.*=none' -o llama-ternary.safetensors
  tritonc quantize mlp.safetensors --model mlp.tri --scheme '*=int8(axis=0), activations=int8()' \\
      --calibrate data.npz --observer 'percentile(99.9)' -o mlp-int8.safetensors";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        self.try_execute(session).into()
    }

    fn model_request(&self, session: &mut Session) -> Result<Option<ModelRequest>, Failed> {
        let Some(file) = &self.model else { return Ok(None) };
        let sets = reported(session, options::parse_sets(&self.sets))?;
        Ok(Some(ModelRequest {
            file: file.clone(),
            entry: EntryRequest { expr: self.entry.clone(), sets, ..EntryRequest::default() },
            data: self.calibrate.clone(),
            observer: self.observer,
            gptq: (self.method == MethodArg::Gptq)
                .then_some(GptqOptions { damping: self.damping, descending: self.act_order }),
            batch: self.batch as usize,
        }))
    }

    fn try_execute(&self, session: &mut Session) -> Result<(), Failed> {
        let request = QuantizeRequest {
            weights: self.weights.clone(),
            schemes: self.schemes.clone(),
            maps: self.maps.clone(),
            output: self.output.clone(),
            model: self.model_request(session)?,
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

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum MethodArg {
    /// The nearest codes
    Round,
    /// GPTQ (Frantar et al. 2022), with `--calibrate`
    Gptq,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| share.is_finite() && *share >= 0.0);
    share.ok_or_else(|| "a number of at least 0 is needed".to_string())
}

fn observer(text: &str) -> Result<Method, String> {
    Method::parse(text).ok_or_else(|| "there are minmax, moving-average, percentile(99.9) and mse".to_string())
}

/// Shown on a terminal only.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
    style.map_or_else(|_| ProgressBar::hidden(), |style| ProgressBar::new(0).with_style(style))
}
