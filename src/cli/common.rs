//! What subcommands share.

use crate::base::Diagnostic;
use crate::driver::project_file::{self, Settings, over_by_name};
use crate::driver::{EntryRequest, Failed, Mode, Outcome, Session, options};
use crate::types::DType;
use clap::ValueEnum;

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    Clean = 0,
    Errors = 1,
    Usage = 2,
    TestsFailed = 3,
    /// A mistake of the compiler.
    Internal = 101,
}

impl From<Outcome> for Status {
    fn from(outcome: Outcome) -> Status {
        match outcome {
            Outcome::Done => Status::Clean,
            Outcome::Errors => Status::Errors,
            Outcome::TestsFailed => Status::TestsFailed,
        }
    }
}

impl From<Result<(), Failed>> for Status {
    fn from(result: Result<(), Failed>) -> Status {
        if result.is_ok() { Status::Clean } else { Status::Errors }
    }
}

/// Which instance of the file.
#[derive(Debug, clap::Args)]
pub struct EntryArgs {
    /// The instance, in Tri ('MLP(dim=256)'), or the name of a top-level `let`
    ///
    /// Left out: the only exported instance, else the only layer whose hyperparameters all have values.
    #[arg(long, value_name = "EXPR")]
    entry: Option<String>,
    /// Gives a hyperparameter of the entry a value, in Tri; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    sets: Vec<String>,
    /// Quantises parameters that fit a pattern ('blocks.*.mlp.*=int4(group=64)'), whatever the source says; may be
    /// repeated, the last that fits counts
    ///
    /// `*` stands for any characters, `none` for no quantisation. A pattern with `*` chooses the weights of matrix
    /// products and convolutions, a name in full any parameter.
    #[arg(long, value_name = "PATTERN=SCHEME")]
    quantize: Vec<String>,
    /// Whether `training` is true in Tri [default: infer]
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// Leave the project file aside: a `tritonc.toml` in the file's folder or above it gives options that are left out
    /// here (docs/project_file.md)
    #[arg(long)]
    no_project: bool,
}

/// Mixed precision.
#[derive(Debug, clap::Args)]
pub struct PrecisionArgs {
    /// Compute products, and what goes with them, in this type; weights, inputs and results keep theirs, and
    /// softmax, norms, losses and sums stay float32 (docs/numerics.md)
    #[arg(long, value_enum, value_name = "TYPE")]
    precision: Option<LowType>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LowType {
    Float16,
    #[value(name = "bfloat16")]
    BFloat16,
}

impl PrecisionArgs {
    pub fn low(&self, settings: &Settings) -> Option<DType> {
        let given = self.precision.map(|precision| match precision {
            LowType::Float16 => DType::Float16,
            LowType::BFloat16 => DType::BFloat16,
        });
        given.or(settings.precision)
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArg {
    /// Float weights, with fake quantisation where weights are quantised
    Train,
    /// Packed weights where weights are quantised
    Infer,
}

impl EntryArgs {
    /// What the project file says for a source file.
    pub fn settings(&self, session: &mut Session, file: &str) -> Result<Settings, Failed> {
        settings_of(session, file, self.no_project)
    }

    pub fn request(&self, shapes: &[String], settings: &Settings) -> Result<EntryRequest, Diagnostic> {
        let mode = self.mode.map(|mode| match mode {
            ModeArg::Train => Mode::Train,
            ModeArg::Infer => Mode::Infer,
        });
        // Hyperparameters of one entry say nothing of another.
        let others = if self.entry.is_some() { vec![] } else { settings.sets.clone() };
        Ok(EntryRequest {
            expr: self.entry.clone().or(settings.entry.clone()),
            sets: over_by_name(options::parse_sets(&self.sets)?, others),
            mode: mode.or(settings.mode).unwrap_or_default(),
            // The last rule that fits counts.
            quantize: [settings.quantize.clone(), self.quantize.clone()].concat(),
            shapes: over_by_name(options::parse_shapes(shapes)?, settings.shapes.clone()),
            ..EntryRequest::default()
        })
    }
}

/// What the project file says for a source file, unless it is left aside.
pub fn settings_of(session: &mut Session, file: &str, left_aside: bool) -> Result<Settings, Failed> {
    if left_aside {
        return Ok(Settings::default());
    }
    let settings = project_file::find(session, file)?;
    if let Some(source) = &settings.source {
        say(session, &format!("options of {}", source.display()));
    }
    Ok(settings)
}

/// Records a diagnostic about the command line.
pub fn reported<T>(session: &mut Session, result: Result<T, Diagnostic>) -> Result<T, Failed> {
    result.map_err(|diagnostic| {
        session.report(diagnostic);
        Failed
    })
}

/// What `--verbose` says.
pub fn say(session: &Session, text: &str) {
    if session.options.verbose {
        super::output::error_line(text);
    }
}
