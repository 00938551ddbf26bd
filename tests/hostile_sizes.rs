//! Files far beyond what anybody writes: each ends in a diagnostic, soon, and in less than a gigabyte.
//!
//! The command itself is run, since its peak memory is that of a process of its own.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

/// Far above what any of these takes, even in an unoptimised build on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);
/// In KiB, as the system counts.
const MEMORY: i64 = 1 << 20;

/// Checks a file of these bytes: its messages, after the limits on time and memory.
fn check(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.tri");
    std::fs::write(&path, bytes).unwrap();
    let start = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_tritonc"))
        .args(["check", "--error-format", "short"])
        .arg(&path)
        .output()
        .unwrap();
    let elapsed = start.elapsed();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let memory = peak_of_children();
    println!("{name}: {elapsed:.1?}, the largest so far took {} MiB", memory >> 10);
    assert_eq!(output.status.code(), Some(1), "{name}: {told}");
    assert!(elapsed < LIMIT, "{name}: {elapsed:?}");
    assert!(memory < MEMORY, "{name}: {memory} KiB");
    told
}

/// The peak memory of the largest process that was waited for, in KiB.
fn peak_of_children() -> i64 {
    // SAFETY: the call fills the whole structure, and all zeros is a value of it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage.ru_maxrss
    }
}

/// Functions and layers of the usual size, and in the last line a name that is missing.
fn a_million_lines() -> String {
    let mut text = String::new();
    for number in 0..100_000 {
        let _ = write!(
            text,
            "fn f{number}(x: float32[B, T]) -> float32[B, T] {{\n    let y = x * {number}.0\n    if B > 1 {{\n        y = y + \
             x\n    }}\n    let z = relu(y)\n    # A remark.\n    return z - y\n}}\n\n"
        );
    }
    text + "const last = missing\n"
}

#[test]
fn each_ends_in_a_diagnostic() {
    let nested = format!("let x = {}1{}", "(".repeat(50_000), ")".repeat(50_000));
    assert!(check("nested parentheses", nested.as_bytes()).contains("E0008"));
    let token = format!("let a = {}\n", "n".repeat(10 << 20));
    assert!(check("a long token", token.as_bytes()).contains("error[E"));
    assert!(check("a long string", format!("let a = \"{}", "s".repeat(10 << 20)).as_bytes()).contains("error[E"));
    assert!(check("not UTF-8", b"let a = \xff\xfe\n").contains("error[E"));
    assert!(check("NUL bytes", &[0; 100_000]).contains("error[E"));
    let lines = a_million_lines();
    assert!(lines.lines().count() > 1_000_000);
    let told = check("a million lines", lines.as_bytes());
    assert!(told.contains(":1000001:") && told.contains("E0101"), "{told}");
}
