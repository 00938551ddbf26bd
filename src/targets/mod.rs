//! What the compiler writes: one [`Target`] per language or library.
//!
//! A target takes a verified module only, and answers with files or with reasons why not. It sees neither
//! syntax nor checker. What it writes comes from `templates/<target>/`: skeletons of files, helpers, and
//! `ops.toml`, the table from operations to expressions, all of which a user's own directory may overlay.

pub mod c;
pub mod functional;
pub mod held;
pub mod jax;
pub mod memory;
pub mod names;
pub mod numpy;
pub mod pycode;
pub mod pytext;
pub mod python;
pub mod pytorch;
pub mod table;
pub mod templates;

pub use templates::Templates;

use crate::base::{Code, Loc};
use crate::ir::{Function, Verified};
use crate::ops::OpId;
pub use crate::passes::autodiff::Backward;
pub use crate::passes::plan_memory::Strategy as MemoryStrategy;
pub use crate::passes::{Mode, Style};
use crate::types::{DType, Tensor};
use std::collections::BTreeMap;

/// A file that a target wrote, to be put under the output directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Relative, with `/` between the parts.
    pub path: String,
    pub contents: Contents,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    Text(String),
    Bytes(Vec<u8>),
}

impl Contents {
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Contents::Text(text) => text.as_bytes(),
            Contents::Bytes(bytes) => bytes,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Contents::Text(text) => Some(text),
            Contents::Bytes(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct EmitOptions {
    pub mode: Mode,
    /// The main source file, as the header of each file names it: never absolute.
    pub source_name: String,
    /// The entry, as the user wrote it: `MLP(dim=256)`.
    pub entry_expr: String,
    /// The compiler's version.
    pub version: String,
    /// With [`Mode::Train`]: the same entry with `training` false, for a target that [joins](Target::joins_modes) both.
    pub evaluation: Option<Verified>,
    /// With `--grad`, for targets without [`Capabilities::gradients`]: the methods of the module that also give
    /// gradients, one beside each form of `forward`.
    pub backward: Vec<Backward>,
    /// The largest shapes of inputs, and sizes by name, for targets that plan memory.
    pub bounds: Vec<(String, Vec<usize>)>,
    /// Of sizes that nothing else bounds.
    pub bound: Option<usize>,
    /// For a target that [holds weights](Target::holds_weights): every tensor by its name in weights files, packed where it
    /// is quantised and compiled for inference.
    pub weights: Option<BTreeMap<String, Tensor>>,
    /// How such a target writes them; `None` for what fits their size.
    pub weights_form: Option<WeightsForm>,
    /// For a target that [has vectors](Target::has_vectors): of which instruction sets.
    pub simd: Simd,
    /// How many threads a kernel of such a target may take; with 1, no word is written of threads.
    pub threads: usize,
    /// How targets without allocation lay out memory, and how many bytes that may take at most.
    pub memory_plan: MemoryStrategy,
    pub max_memory: Option<u64>,
    /// With `--grad`, for targets with [`Capabilities::gradients`]: functions that give gradients, by the target's own
    /// framework, where callers would otherwise have to ask it.
    pub grad: bool,
}

/// How a target writes the weights that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightsForm {
    /// In a source file.
    Array,
    /// In a file of their own.
    File,
}

/// The instruction sets that emitted code has vectors of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Simd {
    /// All that there are; the program looks for the best when it runs.
    #[default]
    Auto,
    /// None: plain loops, which a compiler may make vectors of.
    None,
    Avx2,
    AvxVnni,
    Avx512,
    Neon,
}

impl Default for EmitOptions {
    fn default() -> Self {
        EmitOptions {
            mode: Mode::Train,
            source_name: "model.tri".into(),
            entry_expr: String::new(),
            version: env!("CARGO_PKG_VERSION").into(),
            evaluation: None,
            backward: vec![],
            bounds: vec![],
            bound: None,
            weights: None,
            weights_form: None,
            simd: Simd::Auto,
            threads: 1,
            memory_plan: MemoryStrategy::default(),
            max_memory: None,
            grad: false,
        }
    }
}

/// What a target can express. Passes rewrite a program toward it.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// Which passes a program goes through on its way here.
    pub style: Style,
    /// Element types that values may have.
    pub dtypes: &'static [DType],
    /// `if`, `for` and `while` on run-time values.
    pub control_flow: bool,
    /// Sizes that come with each call.
    pub dynamic_dims: bool,
    /// Gradients come with the target's own framework.
    pub gradients: bool,
    /// State that methods assign.
    pub state: bool,
    /// Fused instructions, each a kernel; others have them expanded (`passes::unfused`).
    pub fused: bool,
}

/// How a target writes an operation of the registry, or calls of a function of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// In a form of its own.
    Native,
    /// By what it is made of.
    Decomposed,
    /// Not at all: a program with it is refused.
    Refused,
}

/// Why a target cannot write a program, or how a template is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetError {
    /// E0602, E0603, E0604 or E0610.
    pub code: Code,
    pub message: String,
    /// Where in the Tri source; `None` for a template, whose file and line are in the message.
    pub loc: Option<Loc>,
    pub notes: Vec<String>,
}

impl TargetError {
    pub fn new(code: Code, message: impl Into<String>) -> TargetError {
        TargetError { code, message: message.into(), loc: None, notes: vec![] }
    }

    pub fn at(mut self, loc: Loc) -> TargetError {
        self.loc = Some(loc);
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> TargetError {
        self.notes.push(note.into());
        self
    }
}

/// How what a target writes is executed, by `tritonc verify` and the tests.
#[derive(Clone, Copy, Debug)]
pub enum Runner {
    /// By a Python process that serves many jobs (`src/driver/verify/python.rs`).
    Python(PythonRunner),
    /// By a C compiler, and then by itself (`src/driver/verify/c.rs`).
    C,
}

/// A script that speaks the protocol of `src/driver/verify/protocol.py`, which lies beside it as the module `protocol`.
#[derive(Clone, Copy, Debug)]
pub struct PythonRunner {
    pub script: &'static str,
    /// Other modules that it imports, each by name, with their texts.
    pub modules: &'static [(&'static str, &'static str)],
}

pub trait Target: Sync {
    /// As `--target` takes it.
    fn name(&self) -> &'static str;

    /// One line for `tritonc targets`.
    fn description(&self) -> &'static str;

    /// Names of the files it writes, `NAME` for the entry's.
    fn files(&self) -> &'static str;

    /// Packages beyond the standard library of its language that what it writes needs.
    fn packages(&self) -> &'static [&'static str];

    fn capabilities(&self) -> Capabilities;

    /// Whether what it writes for training serves evaluation as well, so that it wants both forms of a program.
    fn joins_modes(&self) -> bool {
        false
    }

    /// Whether weights go into its own files, so that none is written beside them.
    fn holds_weights(&self) -> bool {
        false
    }

    /// Whether it lays out the memory of a program ([`EmitOptions::memory_plan`]), so that a maximum means something.
    fn plans_memory(&self) -> bool {
        false
    }

    /// Whether it writes vector instructions and threads itself ([`EmitOptions::simd`], [`EmitOptions::threads`]).
    fn has_vectors(&self) -> bool {
        false
    }

    /// How what it writes is executed; `None` if it cannot be here.
    fn runner(&self) -> Option<Runner> {
        None
    }

    /// Reads the target's table and templates, to write any number of modules with them.
    fn writer(&self, templates: &Templates) -> Result<Box<dyn Writer>, Vec<TargetError>>;

    /// Writes one module's files.
    fn emit(
        &self,
        module: &Verified,
        options: &EmitOptions,
        templates: &Templates,
    ) -> Result<Vec<Artifact>, Vec<TargetError>> {
        self.writer(templates)?.write(module, options)
    }
}

/// A target with its table and templates read.
pub trait Writer: Send + Sync {
    /// Writes the module's files. An error is the program's or a template's, never a broken module's.
    fn write(&self, module: &Verified, options: &EmitOptions) -> Result<Vec<Artifact>, Vec<TargetError>>;

    /// How an operation is written. The table of what targets support is made from this (docs/targets.md).
    fn operation(&self, op: OpId) -> Support;

    /// How calls of a function of the library are written, of which the module and name are given:
    /// `activations.softmax`.
    fn composite(&self, _path: &str) -> Support {
        Support::Decomposed
    }

    /// Whether the target has a form of its own for calls of a function, so that passes leave them.
    fn has_form(&self, function: &Function) -> bool {
        function.std_path.as_deref().is_some_and(|path| self.composite(path) == Support::Native)
    }
}

static TARGETS: &[&dyn Target] = &[&pytorch::PyTorch, &numpy::NumPy, &python::Python, &jax::Jax, &c::C];

/// Every target, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static dyn Target> {
    TARGETS.iter().copied()
}

pub fn find(name: &str) -> Option<&'static dyn Target> {
    all().find(|target| target.name() == name)
}
