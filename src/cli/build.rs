//! `tritonc build`: compiles an entry to the files of one or more targets.

use super::common::{EntryArgs, PrecisionArgs, Status, reported, say};
use super::memory::MemoryArgs;
use super::output;
use super::passes::PassArgs;
use super::weights::ReadingArgs;
use crate::driver::options::{Simd, WeightsForm};
use crate::driver::project_file::Settings;
use crate::driver::{Artifact, BuildRequest, Emit, EntryRequest, Failed, Session, artifact};
use clap::ValueEnum;
use std::path::PathBuf;

/// Compile a file to code for one or more targets
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The source file, or `-`
    #[arg(value_name = "FILE")]
    file: String,
    /// Targets, separated by commas; `tritonc targets` lists them [default: pytorch]
    #[arg(long, value_name = "T[,T]", value_delimiter = ',')]
    target: Vec<String>,
    /// Write files into this folder; without it, a single file is printed
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    entry: EntryArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    /// Weights that are checked against the model and written beside the code: a .safetensors or .npz file, an index
    /// of shards, or a folder with one of them
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    /// The shape of an input, which says what a `...` in its type stands for; may be repeated
    #[arg(long = "shape", value_name = "NAME=SIZES")]
    shapes: Vec<String>,
    /// Print a stage of the compiler instead of a target's code; `ir` is what the target would get
    #[arg(long, value_enum, value_name = "STAGE")]
    emit: Option<EmitArg>,
    /// With gradients of float inputs and parameters: a `forward_backward`, in IR and in what is written for targets
    /// whose programs are functions; for PyTorch it changes nothing
    #[arg(long)]
    grad: bool,
    /// A folder of templates and operator tables, laid over the built-in ones
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Write what there is to tell of the build as JSON into this file; docs/metadata.md describes it
    #[arg(long, value_name = "FILE", conflicts_with = "emit")]
    metadata: Option<PathBuf>,
    /// How targets that hold weights themselves (c) write them: compiled in, or as a file; by default compiled in up to
    /// 1 MiB
    #[arg(long, value_enum, value_name = "FORM")]
    weights_form: Option<WeightsFormArg>,
    /// The instruction sets whose vectors a target that writes them itself (c) uses [default: auto]
    #[arg(long, value_enum, value_name = "SET")]
    simd: Option<SimdArg>,
    /// How many threads each kernel of such a target may take, by OpenMP [default: 1, without OpenMP]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    passes: PassArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WeightsFormArg {
    Array,
    File,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SimdArg {
    /// All that there are; the program takes the best that its processor has
    Auto,
    /// Plain loops without intrinsics
    None,
    /// AVX2 with FMA and F16C
    Avx2,
    /// The same with AVX-VNNI
    Avxvnni,
    /// AVX-512 (F, BW, VL) with VNNI
    Avx512,
    /// NEON of 64-bit Arm, with dot products where the compiler is told that there are some
    Neon,
}

const EXAMPLES: &str = "\
Examples:
  tritonc build mlp.tri --target pytorch                       print the module
  tritonc build mlp.tri --entry 'MLP(dim=256)' -o out          write out/mlp.py
  tritonc build mlp.tri --set dim=256 --mode train -o out      the same, trainable
  tritonc build mlp.tri --emit ir                              print the intermediate representation
  tritonc build mlp.tri --shape x=1,784 --metadata mlp.json -o out    also shapes, parameters, flops
  tritonc build mlp.tri --emit ir --passes fold,cse            the same, after these passes only
  tritonc build mlp.tri --emit ir --grad                       with the functions that compute gradients";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EmitArg {
    Tokens,
    Ast,
    Ir,
}

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        self.try_execute(session).unwrap_or(Status::Errors)
    }

    fn try_execute(&self, session: &mut Session) -> Result<Status, Failed> {
        let settings = self.entry.settings(session, &self.file)?;
        let request = reported(session, self.request(&settings))?;
        let built = session.build(&self.file, &request);
        self.passes.report(session);
        let artifacts = built?;
        if let (Some(path), Some(text)) = (&self.metadata, session.metadata()) {
            let written = artifact::write_atomic(path, text.as_bytes());
            written.map_err(|error| session.report_file(&error))?;
            say(session, &format!("wrote {}", path.display()));
        }
        // A stage is for looking at.
        let of_project = settings.output.filter(|_| self.emit.is_none());
        let Some(folder) = self.output.clone().or(of_project) else { return self.print(session, &artifacts) };
        let paths = artifact::write_all(&folder, &artifacts).map_err(|error| session.report_file(&error))?;
        let listing: String = paths.iter().map(|path| format!("{}\n", path.display())).collect();
        output::write(session, listing.as_bytes())?;
        let files = if paths.len() == 1 { "file" } else { "files" };
        say(session, &format!("{} {files} written", paths.len()));
        Ok(Status::Clean)
    }

    fn print(&self, session: &mut Session, artifacts: &[Artifact]) -> Result<Status, Failed> {
        match artifacts {
            [] => Ok(Status::Clean),
            [artifact] => output::write(session, &artifact.bytes).map(|()| Status::Clean),
            _ => {
                let names: Vec<&str> = artifacts.iter().map(|artifact| artifact.path.as_str()).collect();
                output::error_line(&format!(
                    "error: several files are written ({}): give a folder with `-o DIR`",
                    names.join(", ")
                ));
                Ok(Status::Usage)
            }
        }
    }

    fn request(&self, settings: &Settings) -> Result<BuildRequest, crate::base::Diagnostic> {
        let mut targets: Vec<String> = vec![];
        let of_project = settings.target.clone().unwrap_or(vec!["pytorch".to_string()]);
        for target in if self.target.is_empty() { &of_project } else { &self.target } {
            if !targets.contains(target) {
                targets.push(target.clone());
            }
        }
        let (weights, reading) = self.reading.reading(self.weights.as_deref(), settings);
        Ok(BuildRequest {
            source_name: String::new(),
            entry: EntryRequest {
                precision: self.precision.low(settings),
                ..self.entry.request(&self.shapes, settings)?
            },
            targets,
            weights,
            reading,
            emit: self.emit.map(|stage| match stage {
                EmitArg::Tokens => Emit::Tokens,
                EmitArg::Ast => Emit::Ast,
                EmitArg::Ir => Emit::Ir,
            }),
            grad: self.grad,
            passes: self.passes.request(settings),
            templates: self.templates.clone().or(settings.templates.clone()),
            metadata: self.metadata.is_some(),
            bounds: vec![],
            bound: None,
            weights_form: self.weights_form.map(|form| match form {
                WeightsFormArg::Array => WeightsForm::Array,
                WeightsFormArg::File => WeightsForm::File,
            }),
            simd: self.simd.map(|simd| match simd {
                SimdArg::Auto => Simd::Auto,
                SimdArg::None => Simd::None,
                SimdArg::Avx2 => Simd::Avx2,
                SimdArg::Avxvnni => Simd::AvxVnni,
                SimdArg::Avx512 => Simd::Avx512,
                SimdArg::Neon => Simd::Neon,
            }),
            threads: self.threads.map(usize::from),
            memory: self.memory.request(),
        })
    }
}
