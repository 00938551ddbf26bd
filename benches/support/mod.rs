//! Programs to measure with: small ones, and files of any length.

#![allow(dead_code, reason = "each bench uses a part")]

use std::fmt::Write;
use std::time::{Duration, Instant};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One layer that most programs would have.
pub const SIMPLE_LAYER: &str = "\
layer Dense(inputs: int = 64, outputs: int = 32) {
    param weight: float32[outputs, inputs] = kaiming_uniform()
    param offset: float32[outputs] = zeros()

    fn forward(x: float32[B, inputs]) -> float32[B, outputs] {
        return relu(x @ weight.T + offset)
    }
}

let dense = Dense()
";

/// One layer with so many operations, one after the other.
pub fn layer_of_operations(count: usize) -> String {
    let steps = ["x * weight", "relu(x)", "x + offset", "tanh(x)", "x - 0.5"];
    let mut body = String::new();
    for step in (0..count).map(|index| steps[index % steps.len()]) {
        let _ = writeln!(body, "        x = {step}");
    }
    format!(
        "layer Chain(dim: int = 64) {{\n    param weight: float32[dim]\n    param offset: float32[dim] = zeros()\n\n    fn forward(x: float32[B, dim]) -> \
         float32[B, dim] {{\n{body}        return x\n    }}\n}}\n\nlet chain = Chain()\n"
    )
}

/// So many layers, and one that runs them in turn.
pub fn program_of_layers(count: usize) -> String {
    let mut text = String::new();
    for index in 1..count {
        let _ = write!(
            text,
            "layer Dense{index}(inputs: int, outputs: int) {{\n    param weight: float32[outputs, inputs]\n    param offset: float32[outputs] = \
             zeros()\n\n    fn forward(x: float32[B, inputs]) -> float32[B, outputs] = relu(x @ weight.T + offset)\n}}\n\n"
        );
    }
    text += "layer Net(dim: int = 64) {\n";
    for index in 1..count {
        let _ = writeln!(text, "    let dense{index} = Dense{index}(dim, dim)");
    }
    text += "\n    fn forward(x: float32[B, dim]) -> float32[B, dim] {\n";
    for index in 1..count {
        let _ = writeln!(text, "        x = dense{index}(x)");
    }
    text += "        return x\n    }\n}\n\nlet net = Net()\n";
    text
}

/// A file of at least `lines` lines, as people write them: functions, layers that use them, layers made of
/// layers, a constant and a test now and then.
pub fn file_of_lines(lines: usize) -> String {
    let mut text = String::from("use nn.{LayerNorm, Linear}\n\n");
    let mut written = 2;
    let mut index = 0;
    while written < lines {
        let part = PART.replace('$', &index.to_string());
        written += part.matches('\n').count();
        text += &part;
        index += 1;
    }
    text
}

/// `$` stands for the number of the part.
const PART: &str = "\
const WIDTH$ = 4 * 16

## The mean of squares is one along the last axis.
fn scaled$(x: float32[..., N], epsilon: float = 1e-6) -> float32[..., N] {
    let squares = (x * x).mean(axis=-1, keepdim=true)
    return x * rsqrt(squares + epsilon)
}

## Attention over all positions, with heads of equal size.
layer Attention$(dim: int, heads: int) where dim % heads == 0 {
    let query = Linear(dim, dim, bias=false)
    let key = Linear(dim, dim, bias=false)
    let value = Linear(dim, dim, bias=false)
    let out = Linear(dim, dim)

    fn forward(x: float32[B, T, dim]) -> float32[B, T, dim] {
        let q = by_head(query(x))
        let k = by_head(key(x))
        let v = by_head(value(x))
        let scores = q @ k.permute([0, 1, 3, 2])
        let y = softmax(scores * 0.125, axis=-1) @ v
        return out(y.permute([0, 2, 1, 3]).reshape([B, T, dim]))
    }

    ## `[B, T, dim]` gives `[B, heads, T, dim // heads]`.
    fn by_head(x: float32[B, T, dim]) -> float32[B, heads, T, dim // heads] {
        return x.reshape([B, T, heads, dim // heads]).permute([0, 2, 1, 3])
    }
}

## Gated feed-forward layer.
layer Feed$(dim: int, hidden: int = 4 * dim) {
    param up: float32[hidden, dim] = kaiming_uniform()
    param gate: float32[hidden, dim] = kaiming_uniform()
    param down: float32[dim, hidden] = kaiming_uniform()

    fn forward(x: float32[..., dim]) -> float32[..., dim] {
        let h = silu(x @ gate.T) * (x @ up.T)    # [..., hidden]
        return h @ down.T
    }
}

layer Block$(dim: int, heads: int = 4, depth: int = 2) where dim % heads == 0 {
    let norm = LayerNorm(dim)
    let attention = Attention$(dim, heads)
    let feeds = [Feed$(dim) for _ in 0..depth]

    fn forward(x: float32[B, T, dim]) -> float32[B, T, dim] {
        x += attention(norm(x))
        for feed in feeds {
            x += feed(scaled$(x))
        }
        return x
    }
}

let block$ = Block$(WIDTH$)

";

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
