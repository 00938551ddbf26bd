//! `tritonc quantize`: a checkpoint with packed weights.

use super::common::{Status, reported, say, settings_of};
use super::output;
use super::table::table;
use crate::driver::calibrate::{GptqOptions, Method, ModelRequest};
use crate::driver::project_file::{Settings, over_by_name};
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
    /// [default: minmax]
    #[arg(long, value_name = "NAME", requires = "model", value_parser = observer)]
    observer: Option<Method>,
    /// How codes of int4 and int8 weights are chosen: the nearest ones, or those with which products come out closest
    /// [default: round]
    #[arg(long, value_enum, requires = "model")]
    method: Option<MethodArg>,
    /// For gptq: the share of the mean square of inputs that is added to all [default: 0.01]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    damping: Option<f64>,
    /// For gptq: begin with the weights of the largest inputs
    #[arg(long)]
    act_order: bool,
    /// Samples that run at a time [default: 32]
    #[arg(long, value_name = "N", requires = "model", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Leave the project file of the model aside: it gives options that are left out here (docs/project_file.md)
    #[arg(long)]
    no_project: bool,
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
        self.try_execute(session).unwrap_or(Status::Errors)
    }

    /// What the project file of the model says.
    fn settings(&self, session: &mut Session) -> Result<Settings, Failed> {
        match &self.model {
            Some(file) => settings_of(session, file, self.no_project),
            None => Ok(Settings::default()),
        }
    }

    fn model_request(&self, session: &mut Session, settings: &Settings) -> Result<Option<ModelRequest>, Failed> {
        let Some(file) = &self.model else { return Ok(None) };
        let sets = reported(session, options::parse_sets(&self.sets))?;
        // Hyperparameters of one entry say nothing of another.
        let others = if self.entry.is_some() { vec![] } else { settings.sets.clone() };
        let method = self.method.map(|method| method == MethodArg::Gptq).or(settings.gptq).unwrap_or_default();
        let damping = self.damping.or(settings.damping).unwrap_or(0.01);
        let descending = self.act_order || settings.act_order.unwrap_or_default();
        Ok(Some(ModelRequest {
            file: file.clone(),
            entry: EntryRequest {
                expr: self.entry.clone().or(settings.entry.clone()),
                sets: over_by_name(sets, others),
                ..EntryRequest::default()
            },
            data: self.calibrate.clone().or(settings.calibrate.clone()),
            observer: self.observer.or(settings.observer).unwrap_or_default(),
            gptq: method.then_some(GptqOptions { damping, descending }),
            batch: self.batch.map(|batch| batch as usize).or(settings.batch).unwrap_or(32),
        }))
    }

    /// The option that is of no use without data.
    fn needs_data(&self, model: &ModelRequest) -> Option<&str> {
        let given = [
            (model.gptq.is_some(), "--method gptq"),
            (self.observer.is_some(), "--observer"),
            (self.batch.is_some(), "--batch"),
        ];
        given.into_iter().find(|(given, _)| *given && model.data.is_none()).map(|(_, option)| option)
    }

    fn try_execute(&self, session: &mut Session) -> Result<Status, Failed> {
        let settings = self.settings(session)?;
        let model = self.model_request(session, &settings)?;
        if let Some(option) = model.as_ref().and_then(|model| self.needs_data(model)) {
            output::error_line(&format!(
                "error: `{option}` needs data to run the model on: give `--calibrate DATA.npz`"
            ));
            return Ok(Status::Usage);
        }
        let request = QuantizeRequest {
            weights: self.weights.clone(),
            // The last rule that fits counts.
            schemes: [settings.quantize, self.schemes.clone()].concat(),
            maps: self.maps.clone(),
            output: self.output.clone(),
            model,
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
        output::write(session, table(&inspection, &[(kept, before, after)]).as_bytes())?;
        Ok(Status::Clean)
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
    options::parse_share(text).ok_or_else(|| "a number of at least 0 is needed".to_string())
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
