//! Where the errors of the cases stand, to the byte: each program named `error_*` with its codes and the text
//! that each primary span covers. `TRITONC_BLESS=1` rewrites the list.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use tritonc::driver::{Session, SessionOptions};

const LIST: &str = "tests/cases/spans.txt";

fn error_cases(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for area in fs::read_dir(folder).unwrap() {
        let area = area.unwrap().path();
        if !area.is_dir() {
            continue;
        }
        for file in fs::read_dir(&area).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("error_") && name.ends_with(".tri") {
                found.push(file);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn errors_stand_on_the_text_that_they_are_about() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/cases");
    let mut list = String::new();
    let cases = error_cases(&folder);
    assert!(cases.len() >= 25, "{} programs with errors", cases.len());
    for path in cases {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let found = Session::new(SessionOptions::default()).check_text("case.tri", &text);
        assert!(!found.is_empty(), "{name} has no error");
        for diagnostic in found {
            let label = diagnostic.labels.iter().find(|label| label.primary);
            let label = label.unwrap_or_else(|| panic!("{name}: {} has no place", diagnostic.code));
            let (start, end) = (label.span.start as usize, label.span.end as usize);
            let line = text[..start].matches('\n').count() + 1;
            writeln!(list, "{name}:{line} {} {:?}", diagnostic.code, &text[start..end]).unwrap();
        }
    }
    let golden = root.join(LIST);
    if std::env::var("TRITONC_BLESS").is_ok_and(|value| value == "1") {
        fs::write(&golden, &list).unwrap();
    }
    let wanted = fs::read_to_string(&golden).unwrap_or_default();
    assert!(list == wanted, "{LIST} differs (TRITONC_BLESS=1 rewrites it):\n{list}");
}
