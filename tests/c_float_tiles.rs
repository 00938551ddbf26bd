//! The float32 kernels of the target `c` (`templates/c/kernels/`) against loops in double: `tests/c/float.c`, by every
//! compiler for every instruction set.
//!
//! A compiler or emulator that is missing is ignored with the reason; an instruction set that the processor lacks, too.

mod support;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use support::c_compilers::{InstructionSet, Program, SANITIZERS};
use support::trials::finish;

const PLAIN: InstructionSet = InstructionSet { name: "plain", flags: &["-DSIMD_PLAIN"], features: &[] };
const AVX2: InstructionSet = InstructionSet { name: "avx2", flags: &["-mavx2", "-mfma"], features: &["avx2", "fma"] };
const AVX512: InstructionSet =
    InstructionSet { name: "avx512", flags: &["-mavx512f", "-mfma"], features: &["avx512f", "fma"] };

/// Unrolled and inlined, sanitized code takes minutes to compile.
const SANITIZED: &[&str] = &["-DF32_INLINE=static inline", "-DF32_UNROLL="];

const HERE: &[(&str, &InstructionSet, &[&str])] = &[
    ("gcc", &PLAIN, &["-O2"]),
    ("gcc", &AVX2, &["-O2"]),
    ("gcc", &AVX512, &["-O2"]),
    ("clang", &PLAIN, &["-O2"]),
    ("clang", &AVX2, &["-O1"]),
    ("clang", &AVX512, &["-O1"]),
    ("gcc", &PLAIN, SANITIZERS),
    ("gcc", &AVX512, SANITIZERS),
    ("clang", &AVX2, SANITIZERS),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![];
    for (compiler, set, flags) in HERE {
        let sanitized = *flags == SANITIZERS;
        let name = format!("{compiler}::{}{}", set.name, if sanitized { "::sanitized" } else { "" });
        let flags = if sanitized { [flags, SANITIZED].concat() } else { flags.to_vec() };
        trials.push(Trial::ignorable_test(name, move || finish(program(&["100", "9973"]).run(compiler, set, &flags))));
    }
    // An emulator is slow.
    let emulated = || finish(program(&["10", "1000003"]).run_on_aarch64(&["-O2"]));
    trials.push(Trial::ignorable_test("aarch64::neon", emulated));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// `arguments`: the number of random shapes, and the step through the bits of floats.
fn program(arguments: &'static [&'static str]) -> Program<'static> {
    Program { source: "tests/c/float.c", headers: "templates/c/kernels", arguments }
}
