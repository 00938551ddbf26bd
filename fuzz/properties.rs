//! What holds for any input. The fuzz targets look for inputs where it does not; `tests/fuzz.rs` asks it of the kept
//! ones. An input is bytes: what is not UTF-8 is refused before any of these stages, so it says nothing here.

use std::cell::RefCell;
use tritonc::analysis::Project;
use tritonc::analysis::project::NoFiles;
use tritonc::base::{Diagnostic, Source};
use tritonc::syntax::format::{Unformatted, format};
use tritonc::syntax::{parse_item, print, split};
use tritonc::{ir, lower};

/// Items cover a text in order, errors point into it, and its trees can be printed.
pub fn parse(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut end = 0;
    for item in split(text) {
        let range = item.span.start as usize..item.span.end as usize;
        assert!(end <= range.start && range.end <= text.len(), "items overlap at {}", range.start);
        end = range.end;
        let own = text.get(range).expect("an item begins and ends between characters");
        let parsed = parse_item(own);
        for error in &parsed.errors {
            let (start, end) = (error.span.start as usize, error.span.end as usize);
            assert!(own.get(start..end).is_some(), "{} points outside of its item", error.message);
        }
        print::ast(&parsed.ast);
    }
}

/// Diagnostics point into the text, and what has no errors becomes valid IR or is refused for a reason.
pub fn check(bytes: &[u8]) {
    thread_local! {
        static PROJECT: RefCell<Project> = RefCell::new(Project::new());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    PROJECT.with_borrow_mut(|project| {
        project.clear();
        let (file, _) = project.open("main", Source::new("main.tri", text), &mut NoFiles);
        let found = project.check(file);
        for label in found.iter().flat_map(|diagnostic| &diagnostic.labels).filter(|label| label.file == file) {
            let (start, end) = (label.span.start as usize, label.span.end as usize);
            assert!(text.get(start..end).is_some(), "`{}` points outside of the text", label.text);
        }
        if found.iter().any(Diagnostic::is_error) {
            return;
        }
        let lowered = if lower::entry::is_script(project, file) {
            lower::script(project, file)
        } else {
            lower::entry(project, file, &lower::EntryRequest::default())
        };
        match lowered {
            Ok(module) => assert!(ir::verify(module).is_ok(), "invalid IR"),
            Err(reasons) => assert!(!reasons.is_empty(), "refused without a reason"),
        }
    });
}

/// What parses is formatted to a text that says the same and that formatting leaves alone.
pub fn format_twice(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match format(text) {
        Ok(once) => assert_eq!(format(&once), Ok(once.clone()), "a second time changes something"),
        Err(Unformatted::Altered(difference)) => panic!("the formatter changed the program: {difference}"),
        Err(Unformatted::Syntax(errors)) => assert!(!errors.is_empty(), "refused without a reason"),
    }
}
