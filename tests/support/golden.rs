//! Golden files: what a stage or target wrote when somebody last looked at it and found it good.
//!
//! Those of `area/name.tri` lie in `area/name.out/`. With `TRITONC_BLESS=1` they are rewritten, and those
//! that no directive asks for any more are removed; otherwise either difference is a failure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines before and after a difference that are shown.
const CONTEXT: usize = 3;

/// The folder of a case's golden files.
pub fn folder(case: &Path) -> PathBuf {
    case.with_extension("out")
}

/// Whether golden files are to be rewritten.
pub fn blessing() -> bool {
    std::env::var("TRITONC_BLESS").is_ok_and(|value| value == "1")
}

/// Compares a text with its golden file, or writes the file.
pub fn check(case: &Path, name: &str, text: &str, bless: bool) -> Result<(), String> {
    let path = folder(case).join(name);
    if bless {
        std::fs::create_dir_all(folder(case)).map_err(|error| format!("{}: {error}", path.display()))?;
        return std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()));
    }
    let golden = std::fs::read_to_string(&path)
        .map_err(|error| format!("{}: {error}; TRITONC_BLESS=1 writes it", path.display()))?;
    match first_difference(&golden, text) {
        None => Ok(()),
        Some(shown) => Err(format!("{} differs (TRITONC_BLESS=1 rewrites it):\n{shown}", path.display())),
    }
}

/// The first lines that differ, with what stands around them; `None` for equal texts.
pub fn first_difference(golden: &str, text: &str) -> Option<String> {
    if golden == text {
        return None;
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (golden.split('\n').collect(), text.split('\n').collect());
    let at = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let mut shown = format!("  from line {}\n", at.saturating_sub(CONTEXT) + 1);
    for line in &old[at.saturating_sub(CONTEXT)..at] {
        shown += &format!("    {line}\n");
    }
    for (mark, lines) in [('-', &old), ('+', &new)] {
        for line in lines.iter().skip(at).take(CONTEXT) {
            shown += &format!("  {mark} {line}\n");
        }
    }
    Some(shown)
}

/// The golden files that are there and not wanted. When blessing, they are removed.
pub fn orphans(cases: &Path, wanted: &BTreeSet<PathBuf>, bless: bool) -> Result<Vec<PathBuf>, String> {
    let mut orphans = super::files_below(cases, "")?;
    orphans.retain(|path| path.parent().is_some_and(|folder| folder.extension().is_some_and(|e| e == "out")));
    orphans.retain(|path| !wanted.contains(path));
    if !bless {
        return Ok(orphans);
    }
    for path in &orphans {
        std::fs::remove_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if let Some(folder) = path.parent() {
            // Fails while other golden files lie there.
            let _ = std::fs::remove_dir(folder);
        }
    }
    Ok(vec![])
}
