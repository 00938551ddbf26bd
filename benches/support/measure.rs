//! Time and memory.

#![allow(dead_code, reason = "each bench uses a part")]

use std::time::{Duration, Instant};

/// Whether this is `cargo bench`, not a test that the bench runs.
pub fn is_timed() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The time that work takes on the wall.
pub fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = work();
    let taken = start.elapsed();
    drop(result);
    taken
}

/// The time that this thread computes for work; what else the machine does is left out.
pub fn compute_time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = thread_time();
    let result = work();
    let taken = thread_time() - start;
    drop(result);
    taken
}

fn thread_time() -> Duration {
    // SAFETY: the call fills the whole structure, and all zeros is a value of it.
    let now = unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now);
        now
    };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[((times.len() * percent).div_ceil(100)).clamp(1, times.len()) - 1]
}

/// A time to three digits.
pub fn seconds(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    match nanos {
        _ if nanos < 1e3 => format!("{nanos:.0} ns"),
        _ if nanos < 1e6 => format!("{:.1} us", nanos / 1e3),
        _ if nanos < 1e9 => format!("{:.1} ms", nanos / 1e6),
        _ => format!("{:.1} s", nanos / 1e9),
    }
}

/// The most memory that this process had, in KiB; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
