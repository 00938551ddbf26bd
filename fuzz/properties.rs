//! What holds for any input. The fuzz targets look for inputs where it does not; `tests/fuzz.rs` asks it of the kept
//! ones. An input is bytes: what is not UTF-8 is refused before any of these stages, so it says nothing here.

// Each target includes this file, and asks one of them.
#![allow(dead_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use tritonc::analysis::Project;
use tritonc::analysis::project::NoFiles;
use tritonc::base::{Diagnostic, Pattern, Source};
use tritonc::syntax::format::{Unformatted, format};
use tritonc::syntax::{parse_item, print, split};
use tritonc::types::{DType, Tensor};
use tritonc::weights::{Checkpoint, FileFormat, Tensors, WeightSet, decode, encode, map_file, sharded};
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

/// Readers of weights, told apart by the first byte: a file of tensors, an index of shards, a map of names, a pattern.
pub fn weights(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind {
        b'y' => tensors(FileFormat::Npy, "w.npy", bytes),
        b'z' => tensors(FileFormat::Npz, "w.npz", bytes),
        b'i' => index(bytes),
        b'm' => map(bytes),
        b'p' => pattern(bytes),
        _ => tensors(FileFormat::Safetensors, "w.safetensors", bytes),
    }
}

/// What can be read is written to bytes that are read to the same.
fn tensors(format: FileFormat, name: &str, bytes: &[u8]) {
    let Ok(set) = decode(format, bytes) else { return };
    for tensor in set.tensors.values() {
        // Nothing is made of what is not there, unless it was compressed.
        assert!(format == FileFormat::Npz || tensor.len() <= bytes.len(), "{} elements", tensor.len());
    }
    let Ok(once) = encode(Path::new(name), &set) else { panic!("what was read cannot be written") };
    let again = decode(format, &once).expect("what was written can be read");
    assert!(encode(Path::new(name), &again).is_ok_and(|twice| twice == once), "a second time changes something");
}

/// Shards lie beside their index.
fn index(bytes: &[u8]) {
    let Ok(index) = sharded::parse(bytes) else { return };
    for file in index.files() {
        assert!(!file.starts_with('/') && file.split('/').all(|part| part != ".."), "{file} is elsewhere");
    }
}

/// A map gives tensors that can be read as what it says, or says why not.
fn map(bytes: &[u8]) {
    let Some(map) = std::str::from_utf8(bytes).ok().and_then(|text| map_file::parse(text).ok()) else { return };
    let shapes: [(&str, &[usize]); 7] =
        [("a", &[2, 3]), ("b", &[2, 3]), ("l.0.w", &[4]), ("l.1.w", &[4]), ("l.2.w", &[2]), ("e", &[3, 0]), ("s", &[])];
    let tensors: Tensors = shapes
        .iter()
        .map(|(name, shape)| (name.to_string(), Tensor::filled(DType::Int16, shape.to_vec(), 1.0)))
        .collect();
    let set = WeightSet { tensors, metadata: BTreeMap::new() };
    let checkpoint = Checkpoint::of(Path::new("w.safetensors"), FileFormat::Safetensors, set);
    match map.apply(checkpoint) {
        Ok(view) => {
            for (name, derived) in view.tensors() {
                let tensor = view.tensor(name).expect("a tensor in memory can be read");
                assert_eq!((tensor.dtype(), tensor.shape()), (derived.dtype, &derived.shape[..]), "{name}");
            }
        }
        Err(problems) => assert!(!problems.is_empty(), "refused without a reason"),
    }
}

/// A name is what a pattern makes of its own captures. The name stands on the second line.
fn pattern(bytes: &[u8]) {
    let Some((pattern, name)) = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once('\n')) else { return };
    let Ok(pattern) = Pattern::parse(pattern) else { return };
    if let Some(captures) = pattern.captures(name) {
        assert_eq!(pattern.fill(&captures).as_deref(), Some(name));
        assert!(captures.named.iter().all(|(_, value)| !value.is_empty() && !value.contains('.')));
    }
}
