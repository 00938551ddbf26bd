//! What executes the files of targets: one executor for each target in the whole run, as `tritonc verify` has them; and
//! the formatters of their languages.
//!
//! Python is the one that `TRITONC_PYTHON` names (`./test` sets it), else `python3`. Where a tool is missing,
//! [`Missing`](Trouble::Missing) tells why, and the trial is ignored; with `TRITONC_REQUIRE_TOOLS=1`, as `./test` sets
//! it, it fails instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tritonc::driver::verify::executor::{Broken, Executed, Job, Unavailable};
use tritonc::driver::verify::{C, Executor, executor};
use tritonc::targets::{self, Runner};

pub const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// Why something could not be examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A tool is not there.
    Missing(String),
    /// A target has no form for the program.
    Refused(String),
    /// The tool says no.
    Failed(String),
}

/// Whether a missing tool is a failure.
pub fn tools_required() -> bool {
    std::env::var("TRITONC_REQUIRE_TOOLS").is_ok_and(|value| value == "1")
}

type Running = Arc<Mutex<Box<dyn Executor>>>;

static EXECUTORS: Mutex<BTreeMap<&'static str, Running>> = Mutex::new(BTreeMap::new());

/// The names of targets that can be executed.
pub fn executed_targets() -> Vec<&'static str> {
    targets::all().filter(|target| target.runner().is_some()).map(|target| target.name()).collect()
}

/// The executor of a target as all trials share it.
pub struct Shared {
    target: &'static str,
    running: Running,
}

impl Shared {
    /// Of a target by its name, once its tools are there.
    pub fn of(name: &str) -> Result<Shared, Trouble> {
        let failed = || Trouble::Failed(format!("there is no target `{name}` that can be executed"));
        let target = targets::find(name).ok_or_else(failed)?;
        if let Some(Runner::C) = target.runner() {
            // Compilers and programs run beside each other.
            let running = Arc::new(Mutex::new(executor(target, None).ok_or_else(failed)?));
            return Shared { target: target.name(), running }.prepared();
        }
        let mut executors = EXECUTORS.lock().unwrap_or_else(PoisonError::into_inner);
        let running = match executors.get(target.name()) {
            Some(running) => running.clone(),
            None => Arc::new(Mutex::new(executor(target, None).ok_or_else(failed)?)),
        };
        executors.insert(target.name(), running.clone());
        drop(executors);
        Shared { target: target.name(), running }.prepared()
    }

    /// Of C, with sanitisers that end a program which does something undefined.
    pub fn sanitised() -> Result<Shared, Trouble> {
        let executor: Box<dyn Executor> = Box::new(C::with_flags("c", super::c_compilers::SANITIZERS));
        Shared { target: "c", running: Arc::new(Mutex::new(executor)) }.prepared()
    }

    fn prepared(mut self) -> Result<Shared, Trouble> {
        self.prepare().map_err(|Unavailable(why)| Trouble::Missing(why))?;
        Ok(self)
    }

    fn with<T>(&self, work: impl FnOnce(&mut dyn Executor) -> T) -> T {
        let mut executor = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        work(executor.as_mut())
    }
}

impl Executor for Shared {
    fn target(&self) -> &'static str {
        self.target
    }

    fn prepare(&mut self) -> Result<(), Unavailable> {
        self.with(|executor| executor.prepare())
    }

    fn compile(&mut self, files: &[PathBuf], limit: Duration) -> Result<(), Broken> {
        self.with(|executor| executor.compile(files, limit))
    }

    fn execute(&mut self, job: &Job<'_>) -> Result<Executed, Broken> {
        self.with(|executor| executor.execute(job))
    }
}

/// Ends the processes. Their inputs close with this one, but a module may hang in native code.
pub fn stop() {
    EXECUTORS.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// What says whether an emitted file is valid: the language's own compiler and formatter. The highest level writes code
/// to run, not to read, so there the formatter is not asked.
pub fn check_valid(target: &str, files: &[PathBuf], is_for_people: bool) -> Result<(), Trouble> {
    let compiled = Shared::of(target)?.compile(files, ANSWER_LIMIT);
    compiled.map_err(|Broken(why)| Trouble::Failed(why))?;
    if let Some(Runner::C) = targets::find(target).and_then(|target| target.runner()) {
        return check_c(files);
    }
    let is_python = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "py");
    files.iter().filter(is_python).filter(|_| is_for_people).try_for_each(|file| ruff(file))
}

/// Every compiler takes the code without a warning, and C++ the header.
fn check_c(files: &[PathBuf]) -> Result<(), Trouble> {
    const WARNINGS: &[&str] = &["-O1", "-Wall", "-Wextra", "-Werror", "-pedantic"];
    let with = |extension: &str| {
        let has = |file: &&PathBuf| file.extension().is_some_and(|own| own == extension);
        files.iter().filter(has).cloned().collect::<Vec<_>>()
    };
    let compile = |compiler: &str, flags: &[&str], file: &Path| {
        let object = file.with_extension("o");
        let mut command = Command::new(compiler);
        command.args(WARNINGS).args(flags).arg("-c").arg(file).arg("-o").arg(object);
        super::c_compilers::succeeds(&mut command)
    };
    for compiler in ["gcc", "clang"] {
        with("c").iter().try_for_each(|file| compile(compiler, &["-std=c11"], file))?;
    }
    with("h").iter().filter(|file| !file.to_string_lossy().ends_with("_kernels.h")).try_for_each(|header| {
        let user = header.with_extension("cc");
        let text = format!("#include \"{}\"\n", header.display());
        std::fs::write(&user, text).map_err(|error| Trouble::Failed(error.to_string()))?;
        compile("g++", &["-std=c++11"], &user)
    })
}

/// `ruff check` and `ruff format --check`, with ruff's own settings.
fn ruff(module: &Path) -> Result<(), Trouble> {
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
