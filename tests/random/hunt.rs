//! Many programs, one after another: what fails is made small and told, with the command that repeats it.

use super::compare::{Added, Failure, check_passes, is_finite};
use super::generate::Generator;
use super::shrink::shrink;
use super::tree::Program;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;
use tritonc::driver::Session;

/// How long one program may be made smaller.
const PATIENCE: Duration = Duration::from_secs(300);
/// After so many failures a batch ends: they are likely to be one.
const ENOUGH: usize = 3;

/// Something that a program can be put to.
pub trait Examination {
    fn examine(&mut self, program: &Program) -> Result<(), Failure>;
}

/// The interpreter before and after passes.
#[derive(Default)]
pub struct Passes {
    pub session: Session,
    pub added: Added,
}

impl Examination for Passes {
    fn examine(&mut self, program: &Program) -> Result<(), Failure> {
        let result = check_passes(&mut self.session, program, &self.added);
        if result.as_ref().is_err_and(|failure| failure.kind == "panic") {
            // What it holds may be half done.
            self.session = Session::default();
        }
        self.session.begin();
        result
    }
}

/// A failure of a program that was made smaller.
pub struct Found {
    pub seed: u64,
    pub program: Program,
    pub failure: Failure,
}

impl Found {
    pub fn report(&self) -> String {
        let mut text = format!("seed {}: {}\n", self.seed, self.failure.kind);
        let _ = writeln!(text, "{}\n", self.failure.words.trim_end());
        for line in self.program.print().lines() {
            let _ = writeln!(text, "    {line}");
        }
        for (name, tensor) in &self.program.inputs {
            let values: Vec<String> = tensor.to_f64().iter().take(12).map(ToString::to_string).collect();
            let more = if tensor.len() > 12 { ", ..." } else { "" };
            let _ =
                writeln!(text, "    # {name}: {}{:?} [{}{more}]", tensor.dtype(), tensor.shape(), values.join(", "));
        }
        for (name, value) in &self.program.numbers {
            let _ = writeln!(text, "    # {name} = {value}");
        }
        let _ =
            write!(text, "\nagain: TRITONC_PROGRAMS=1 TRITONC_SEED={} cargo test --test random_programs", self.seed);
        text
    }
}

/// What goes wrong with the programs of these seeds.
pub fn hunt(seeds: Range<u64>, examination: &mut dyn Examination) -> Vec<Found> {
    let mut found = vec![];
    for seed in seeds {
        let program = Generator::new(seed).program().0;
        let Err(failure) = examination.examine(&program) else { continue };
        let kind = failure.kind.clone();
        let is_same = |result: &Result<(), Failure>| result.as_ref().is_err_and(|failure| failure.kind == kind);
        // Where numbers are no numbers any more, other things go wrong.
        let mut session = Session::default();
        let was_finite = is_finite(&mut session, &program);
        let small = shrink(&program, PATIENCE, &mut |candidate| {
            is_same(&examination.examine(candidate)) && (!was_finite || is_finite(&mut session, candidate))
        });
        let failure = examination.examine(&small).err().unwrap_or(failure);
        found.push(Found { seed, program: small, failure });
        if found.len() >= ENOUGH {
            break;
        }
    }
    found
}
