//! The Python side: one process with torch for the whole run, as `tritonc verify` has it, and ruff.
//!
//! The interpreter is the one that `TRITONC_PYTHON` names (`./test` sets it), else `python3`. Where torch
//! or ruff is missing, [`Missing`](Trouble::Missing) tells why, and the trial is ignored; with
//! `TRITONC_REQUIRE_TOOLS=1`, as `./test` sets it, it fails instead.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tritonc::driver::verify::executor::{Broken, Executed, Job, Unavailable};
use tritonc::driver::verify::{Executor, PyTorch};

pub const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// Why something could not be examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A tool is not there.
    Missing(String),
    /// The tool says no.
    Failed(String),
}

/// Whether a missing tool is a failure.
pub fn tools_required() -> bool {
    std::env::var("TRITONC_REQUIRE_TOOLS").is_ok_and(|value| value == "1")
}

static PYTORCH: Mutex<Option<PyTorch>> = Mutex::new(None);

fn with_pytorch<T>(work: impl FnOnce(&mut PyTorch) -> T) -> T {
    let mut pytorch = PYTORCH.lock().unwrap_or_else(PoisonError::into_inner);
    work(pytorch.get_or_insert_with(|| PyTorch::new(None)))
}

/// PyTorch as all trials share it.
pub struct Shared;

impl Executor for Shared {
    fn target(&self) -> &'static str {
        "pytorch"
    }

    fn prepare(&mut self) -> Result<(), Unavailable> {
        with_pytorch(PyTorch::prepare)
    }

    fn execute(&mut self, job: &Job<'_>) -> Result<Executed, Broken> {
        with_pytorch(|pytorch| pytorch.execute(job))
    }
}

/// Ends the process. Its input closes with this one, but a module may hang in native code.
pub fn stop() {
    drop(PYTORCH.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// Whether there is a Python with torch.
pub fn torch() -> Result<(), Trouble> {
    with_pytorch(PyTorch::prepare).map_err(|Unavailable(why)| Trouble::Missing(why))
}

/// Compiles a module without running it.
pub fn compile(module: &Path) -> Result<(), Trouble> {
    torch()?;
    with_pytorch(|pytorch| pytorch.compile(module, ANSWER_LIMIT)).map_err(|Broken(why)| Trouble::Failed(why))
}

/// `ruff check` and `ruff format --check`, with ruff's own settings.
pub fn ruff(module: &Path) -> Result<(), Trouble> {
    let python = std::env::var_os("TRITONC_PYTHON").map_or("python3".into(), PathBuf::from);
    let beside = python.with_file_name("ruff");
    let ruff = if beside.is_file() { beside } else { "ruff".into() };
    for arguments in [&["check"][..], &["format", "--diff"]] {
        let output = Command::new(&ruff).args(arguments).args(["--isolated", "--no-cache"]).arg(module).output();
        let output = output.map_err(|error| Trouble::Missing(format!("{} does not run: {error}", ruff.display())))?;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            return Err(Trouble::Failed(format!("ruff {}:\n{text}", arguments.join(" "))));
        }
    }
    Ok(())
}
