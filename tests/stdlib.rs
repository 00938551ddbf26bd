//! The standard library: every module checks clean and its tests pass, whole models among them.

use std::path::{Path, PathBuf};
use tritonc::driver::{Outcome, Session, SessionOptions};

/// The files of the library, those of subfolders among them.
fn modules() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
    let mut folders = vec![root];
    let mut modules = vec![];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "tri") {
                modules.push(path);
            }
        }
    }
    modules.sort();
    assert!(modules.len() > 5, "modules are missing: {modules:?}");
    modules
}

#[test]
fn modules_check_clean() {
    for path in modules() {
        let mut session = Session::new(SessionOptions::default());
        let outcome = session.check(&path.to_string_lossy());
        assert_eq!(outcome, Outcome::Done, "{}", session.render());
        assert!(session.diagnostics().is_empty(), "{}", session.render());
    }
}

#[test]
fn tests_of_modules_pass() {
    let mut count = 0;
    for path in modules() {
        let mut session = Session::new(SessionOptions::default());
        let Ok(report) = session.test(&path.to_string_lossy()) else { panic!("{}", session.render()) };
        let failed: Vec<_> = report.tests.iter().filter(|test| test.failure.is_some()).collect();
        assert!(failed.is_empty(), "{}: {failed:?}", path.display());
        count += report.tests.len();
    }
    assert!(count > 30, "only {count} tests were found");
}
