//! Random well-typed programs mean the same to everything that computes them.
//!
//! Each program is made from a seed (`tests/random/`), must check without a remark, and is run on the interpreter as it is
//! lowered: that is its meaning. With it are compared the interpreter after each pass alone and after all passes of each
//! level and style, and every target whose code can be executed; in both modes, and in training with gradients. What
//! fails is made smaller before it is told.
//!
//! Every run has the same few hundred programs. Others, and as many as one likes:
//!
//! ```sh
//! TRITONC_PROGRAMS=5000 TRITONC_SEED=1000 cargo test --release --test random_programs
//! TRITONC_PROGRAMS=5000 TRITONC_SEED=1000 TRITONC_TARGETS=jax cargo test --release --test random_programs targets
//! ```

mod random;
#[path = "support/stack.rs"]
mod stack;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use random::generate::Generator;
use random::hunt::{Found, Passes, hunt};
use random::planted::MaximumIsMinimum;
use random::targets::{Tally, Targets};
use random::{library, ranges};
use stack::with_deep_stack;
use std::collections::BTreeSet;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;

/// Programs of an ordinary run.
const PROGRAMS: u64 = 300;
/// Of these, so many on targets, which take longer.
const ON_TARGETS: u64 = 150;
/// A trial has so many of them, so that several run side by side.
const BATCH: u64 = 25;
/// Programs that have every operation between them.
const COVERING: u64 = 400;

fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = (number("TRITONC_SEED").unwrap_or(0), number("TRITONC_PROGRAMS").unwrap_or(PROGRAMS));
    let mut trials = vec![
        Trial::test("equal seeds give equal programs", equal_seeds),
        Trial::test("every operation occurs", every_operation),
        Trial::test("functions of the library are there", library_functions),
        Trial::test("ranges hold what operations give", ranges_hold),
        Trial::test("a wrong pass is found and shown in a few lines", wrong_pass),
    ];
    for batch in batches(first..first + count) {
        let name = format!("passes::{}_{}", batch.start, batch.end - 1);
        trials.push(Trial::test(name, move || told(&with_deep_stack(|| hunt(batch, &mut Passes::default())))));
    }
    let on_targets = number("TRITONC_PROGRAMS").unwrap_or(ON_TARGETS);
    for (part, seeds) in halves(first..first + on_targets).into_iter().enumerate() {
        trials.push(Trial::ignorable_test(format!("targets::{}", part + 1), move || {
            with_deep_stack(|| targets_agree(seeds))
        }));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn batches(seeds: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = seeds.end;
    seeds.step_by(BATCH as usize).map(move |start| start..end.min(start + BATCH))
}

/// Each half has its own processes.
fn halves(seeds: Range<u64>) -> Vec<Range<u64>> {
    let middle = seeds.start + (seeds.end - seeds.start).div_ceil(2);
    [seeds.start..middle, middle..seeds.end].into_iter().filter(|half| !half.is_empty()).collect()
}

fn targets_agree(seeds: Range<u64>) -> Result<Completion, Failed> {
    let mut targets = Targets::default();
    if let Some(why) = targets.missing() {
        let required = std::env::var("TRITONC_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
        return if required { Err(why.into()) } else { Ok(Completion::ignored_with(why)) };
    }
    let found = hunt(seeds, &mut targets);
    told(&found)?;
    let Tally { agree, undecided, .. } = targets.tally;
    // Otherwise what is compared says little.
    ensure(undecided * 20 <= agree, || format!("{:?}", targets.tally)).map(|()| Completion::Completed)
}

fn told(found: &[Found]) -> Result<(), Failed> {
    let reports: Vec<String> = found.iter().map(Found::report).collect();
    if reports.is_empty() { Ok(()) } else { Err(reports.join("\n\n").into()) }
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(message().into()) }
}

fn equal_seeds() -> Result<(), Failed> {
    let program = |seed| Generator::new(seed).program().0;
    for seed in 0..20 {
        let (once, twice) = (program(seed), program(seed));
        ensure(once.print() == twice.print() && once.inputs == twice.inputs, || format!("seed {seed} differs"))?;
    }
    let all: BTreeSet<String> = (0..100).map(|seed| program(seed).print()).collect();
    ensure(all.len() > 95, || format!("of 100 programs {} differ", all.len()))
}

fn every_operation() -> Result<(), Failed> {
    let used: BTreeSet<&str> = (0..COVERING).flat_map(|seed| Generator::new(seed).program().1).collect();
    let missing: Vec<&str> = tritonc::ops::all().map(|op| op.name()).filter(|name| !used.contains(name)).collect();
    ensure(missing.is_empty(), || format!("{COVERING} programs have no {}", missing.join(", ")))
}

/// The table of functions keeps up with the library: what it lacks is named here, with the reason.
fn library_functions() -> Result<(), Failed> {
    const WITHOUT: &[(&str, &str)] = &[
        ("linear", "`nn.Linear` calls it"),
        ("ternary_matmul", "stored trits are no inputs"),
        ("outer", "two vectors seldom meet"),
        ("masked_fill", "`where` says the same"),
        ("split_heads", "`attention` follows it in `nn.MultiHeadAttention`"),
        ("join_heads", "as above"),
        ("rotary", "its angles are large, so rounding decides much"),
        ("weighted", "a part of `attention`"),
    ];
    let known: BTreeSet<&str> = library::functions().chain(WITHOUT.iter().map(|(name, _)| *name)).collect();
    let mut missing = vec![];
    for file in ["prelude", "activations", "losses", "attention"] {
        let path = format!("{}/stdlib/{file}.tri", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let names = text.lines().filter_map(|line| line.strip_prefix("fn ")?.split(['[', '(']).next());
        missing.extend(names.filter(|name| !known.contains(name)).map(ToString::to_string));
    }
    ensure(missing.is_empty(), || format!("`tests/random/library.rs` does not know {}", missing.join(", ")))
}

fn ranges_hold() -> Result<(), Failed> {
    let range = ranges::range;
    let product = ranges::result("mul", &[range(-2.0, 3.0), range(-1.0, 4.0)], 1.0);
    ensure(product == range(-8.0, 12.0), || format!("{product:?}"))?;
    let sum = ranges::result("sum", &[range(-1.0, 2.0)], 5.0);
    ensure(sum == range(-5.0, 10.0), || format!("{sum:?}"))?;
    ensure(!ranges::result("unheard of", &[range(0.0, 1.0)], 1.0).is_tame(), || "an unknown operation is tame".into())
}

/// Hunts with a pass that is wrong on purpose.
fn wrong_pass() -> Result<(), Failed> {
    let mut examination = Passes { added: vec![Arc::new(MaximumIsMinimum)], ..Passes::default() };
    let found = with_deep_stack(move || {
        (0..COVERING).step_by(50).flat_map(|first| hunt(first..first + 50, &mut examination)).next()
    });
    let found = found.ok_or("nothing was found")?;
    let report = found.report();
    ensure(found.failure.kind.starts_with("pass maximum-is-minimum"), || report.clone())?;
    // The maximum may be one of the library's: `normalize` has one.
    ensure(found.program.print().lines().count() <= 14, || report)
}
