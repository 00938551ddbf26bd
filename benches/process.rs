//! The whole program, started anew each time: `tritonc build` and `tritonc check` of small files.

#[path = "support/mod.rs"]
mod support;

use std::process::{Command, Stdio};
use std::time::Duration;
use support::{is_timed, percentile, seconds, time};

const TRITONC: &str = env!("CARGO_BIN_EXE_tritonc");

fn main() {
    let turns = if is_timed() { 200 } else { 2 };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dense.tri");
    std::fs::write(&file, support::SIMPLE_LAYER).expect("written");
    let file = file.to_str().expect("a path in Unicode").to_string();
    println!("{:36} {:>10} {:>10}", "process", "median", "p99");
    let commands = [
        ("tritonc --version", vec!["--version".to_string()]),
        ("tritonc check, a simple layer", vec!["check".into(), file.clone()]),
        ("tritonc build, a simple layer", vec!["build".into(), file]),
        ("tritonc build, a transformer block", vec!["build".into(), "examples/transformer_block.tri".into()]),
    ];
    for (name, arguments) in commands {
        let mut times: Vec<Duration> = (0..turns).map(|_| time(|| run(&arguments))).collect();
        let (median, worst) = (percentile(&mut times, 50), percentile(&mut times, 99));
        println!("{name:36} {:>10} {:>10}", seconds(median), seconds(worst));
    }
    println!("peak memory of the largest: {} KiB", largest_child());
}

fn run(arguments: &[String]) {
    let status = Command::new(TRITONC).args(arguments).stdout(Stdio::null()).status().expect("tritonc starts");
    assert!(status.success(), "tritonc {}", arguments.join(" "));
}

/// The peak memory of the largest process that was waited for, in KiB.
fn largest_child() -> i64 {
    // SAFETY: the call fills the whole structure, and all zeros is a value of it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage.ru_maxrss
    }
}
