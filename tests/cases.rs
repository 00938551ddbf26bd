//! Runs the cases: `cargo test --test cases`, with a part of a name to run some of them.
//!
//! What a case is, and which trials it expands into, stands in `tests/support/`. `TRITONC_BLESS=1`
//! rewrites golden files.

mod support;

use libtest_mimic::{Arguments, Trial};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use support::trials::{self, Case};
use support::{executors, golden};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // Names of files in goldens and messages are relative to the package.
    if let Err(error) = std::env::set_current_dir(support::root()) {
        eprintln!("error: {}: {error}", support::root().display());
        return ExitCode::FAILURE;
    }
    let trials = match collect(Path::new("tests/cases")) {
        Ok(trials) => trials,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::FAILURE;
        }
    };
    let conclusion = libtest_mimic::run(&arguments, trials);
    executors::stop();
    if !arguments.list {
        println!("{} passed, {} failed", conclusion.num_passed, conclusion.num_failed);
    }
    conclusion.exit_code()
}

/// Of so many executed cases one is executed with sanitisers.
const SANITISED_EACH: usize = 5;

/// The trials of every case, and one on golden files that no case asks for. A case that cannot be read
/// becomes a trial that fails, so that the others still run.
fn collect(folder: &Path) -> Result<Vec<Trial>, String> {
    let mut trials = vec![];
    let mut goldens: BTreeSet<PathBuf> = BTreeSet::new();
    let mut files = support::files_below(folder, ".tri")?;
    // What the formatter makes of a case is no case.
    files.retain(|file| file.parent().and_then(Path::extension).is_none_or(|extension| extension != "out"));
    if files.is_empty() {
        return Err(format!("there are no cases in {}", folder.display()));
    }
    let mut executed = 0;
    for file in files {
        match Case::read(folder, &file) {
            Ok(mut case) => {
                if !case.directives.targets.is_empty() && case.directives.without.iter().all(|name| name != "c") {
                    case.is_sanitised = executed % SANITISED_EACH == 0;
                    executed += 1;
                }
                goldens.extend(case.goldens());
                trials.extend(trials::expand(case));
            }
            Err(problem) => trials.push(Trial::test(format!("{}::directives", file.display()), || Err(problem.into()))),
        }
    }
    let folder = folder.to_path_buf();
    trials.push(Trial::test("golden files are asked for", move || {
        let orphans = golden::orphans(&folder, &goldens, golden::blessing())?;
        let names: Vec<String> = orphans.iter().map(|path| path.display().to_string()).collect();
        if names.is_empty() { Ok(()) } else { Err(format!("no case asks for {}", names.join(", ")).into()) }
    }));
    Ok(trials)
}
