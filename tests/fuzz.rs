//! The kept inputs of the fuzz targets (`fuzz/corpus`), asked for the same properties as fuzzing asks, and the
//! targets themselves for a short while.

mod support;

#[path = "../fuzz/properties.rs"]
mod properties;

use std::path::PathBuf;
use std::process::Command;
use support::{root, with_deep_stack};

fn kept(target: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("fuzz/corpus").join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 50, "{} inputs of {target}", files.len());
    files
}

/// Asks a property of each kept input; a panic names the input.
fn ask(target: &str, property: fn(&[u8])) {
    for file in kept(target) {
        let bytes = std::fs::read(&file).unwrap();
        let asked = std::panic::catch_unwind(|| with_deep_stack(|| property(&bytes)));
        assert!(asked.is_ok(), "{}", file.display());
    }
}

#[test]
fn kept_inputs_parse_or_are_refused() {
    ask("parse", properties::parse);
}

#[test]
fn kept_inputs_are_checked() {
    ask("check", properties::check);
}

#[test]
fn kept_inputs_are_formatted_or_refused() {
    ask("format", properties::format_twice);
}

#[test]
fn kept_weights_are_read_or_refused() {
    ask("weights", properties::weights);
}

#[test]
#[ignore = "builds the compiler once more, for fuzzing: `cargo test --test fuzz -- --ignored`, or `fuzz/run`"]
fn fuzzing_for_a_while_finds_nothing() {
    let output = Command::new(root().join("fuzz/run")).arg("same").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    assert_eq!(told.matches(": Done ").count(), 4, "{told}");
}
