//! Time and memory to check a file, from a thousand lines to a million. Each length has a process of its own.

#[path = "support/mod.rs"]
mod support;

use std::process::Command;
use support::{compute_time, is_timed, peak_memory, seconds};
use tritonc::analysis::Project;
use tritonc::analysis::project::NoFiles;
use tritonc::base::Source;

/// Tells a process the length that it checks.
const LENGTH: &str = "TRITONC_BENCH_LINES";

fn main() {
    if let Some(lines) = std::env::var(LENGTH).ok().and_then(|lines| lines.parse().ok()) {
        return measure(lines);
    }
    println!("{:>9} {:>12} {:>10} {:>14} {:>12}", "lines", "time", "per line", "peak memory", "per line");
    let lengths: &[usize] = if is_timed() { &[100, 1_000, 10_000, 100_000, 1_000_000] } else { &[200] };
    for lines in lengths {
        let own = std::env::current_exe().expect("this program has a path");
        let status = Command::new(own).env(LENGTH, lines.to_string()).status().expect("this program runs again");
        assert!(status.success(), "{lines} lines could not be checked");
    }
}

fn measure(lines: usize) {
    let text = support::file_of_lines(lines);
    let lines = text.matches('\n').count();
    let mut project = Project::new();
    let taken = compute_time(|| {
        let (file, _) = project.open("main", Source::new("main.tri", text), &mut NoFiles);
        assert!(project.check(file).is_empty(), "the file is clean");
    });
    let per_line = taken / lines as u32;
    let memory = peak_memory();
    let share = memory * 1024 / lines as u64;
    println!("{lines:>9} {:>12} {:>10} {memory:>10} KiB {share:>10} B", seconds(taken), seconds(per_line));
}
