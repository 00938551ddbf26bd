//! The tile kernels of the target `c` (`templates/c/kernels/`) against scalar loops: `tests/c/tiles.c`, compiled by every
//! compiler for every instruction set, and run where this machine, or an emulator, has it.
//!
//! A compiler or emulator that is missing is ignored with the reason; an instruction set that the processor lacks, too.

mod support;

use libtest_mimic::{Arguments, Trial};
use std::path::Path;
use std::process::{Command, ExitCode};
use support::executors::Trouble;
use support::root;
use support::trials::finish;

const WARNINGS: &[&str] = &["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"];
const SANITIZERS: &[&str] = &[
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-g",
    // Unrolled and inlined, sanitized code takes minutes to compile.
    "-DSIMD_INLINE=static inline",
    "-DSIMD_UNROLL=",
];

/// An instruction set: its name, the flags, and the features of the processor that it needs.
struct Set(&'static str, &'static [&'static str], &'static [&'static str]);

const PLAIN: Set = Set("plain", &["-DSIMD_PLAIN"], &[]);
const AVX2: Set = Set("avx2", &["-mavx2", "-mfma", "-mf16c"], &["avx2", "fma", "f16c"]);
const AVX_VNNI: Set = Set("avxvnni", &["-mavx2", "-mfma", "-mf16c", "-mavxvnni"], &["avx2", "fma", "f16c", "avxvnni"]);
const AVX512: Set = Set(
    "avx512vnni",
    &["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni", "-mfma", "-mf16c"],
    &["avx512bw", "avx512vl", "avx512vnni"],
);
const AVX512_VBMI: Set = Set(
    "avx512vbmi",
    &["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni", "-mavx512vbmi", "-mfma", "-mf16c"],
    &["avx512bw", "avx512vl", "avx512vnni", "avx512vbmi"],
);

/// Compiler, instruction set, other flags, number of random shapes.
const HERE: &[(&str, &Set, &[&str], &str)] = &[
    ("gcc", &PLAIN, &["-O2"], "60"),
    ("gcc", &AVX2, &["-O2"], "60"),
    ("gcc", &AVX_VNNI, &["-O2"], "60"),
    ("gcc", &AVX512, &["-O2"], "60"),
    ("gcc", &AVX512_VBMI, &["-O2"], "60"),
    ("clang", &PLAIN, &["-O1"], "40"),
    ("clang", &AVX2, &["-O1"], "40"),
    ("clang", &AVX_VNNI, &["-O1"], "40"),
    ("clang", &AVX512_VBMI, &["-O1"], "40"),
    ("gcc", &PLAIN, SANITIZERS, "20"),
    ("gcc", &AVX512_VBMI, SANITIZERS, "20"),
    ("clang", &AVX2, SANITIZERS, "20"),
    ("clang", &AVX512, SANITIZERS, "20"),
];

/// Name, flags, number of random shapes: an emulator is slow.
const AARCH64: &[(&str, &str, &str)] = &[("neon", "-march=armv8-a", "3"), ("dotprod", "-march=armv8.2-a+dotprod", "3")];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![];
    for (compiler, set, flags, rounds) in HERE {
        let sanitized = if *flags == SANITIZERS { "::sanitized" } else { "" };
        let name = format!("{compiler}::{}{sanitized}", set.0);
        trials.push(Trial::ignorable_test(name, move || finish(here(compiler, set, flags, rounds))));
    }
    for (name, march, rounds) in AARCH64 {
        let name = format!("aarch64::{name}");
        trials.push(Trial::ignorable_test(name, move || finish(emulated(march, rounds))));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn here(compiler: &str, set: &Set, flags: &[&str], rounds: &str) -> Result<(), Trouble> {
    let Set(name, own_flags, features) = set;
    if let Some(missing) = features.iter().find(|feature| !processor_has(feature)) {
        return Err(Trouble::Refused(format!("this processor has no {missing}, which {name} needs")));
    }
    let folder = tempfile::tempdir().map_err(|error| Trouble::Failed(error.to_string()))?;
    let program = folder.path().join("tiles");
    compile(compiler, &[own_flags, flags].concat(), &program)?;
    succeeds(Command::new(&program).arg(rounds)).map(|_| ())
}

fn emulated(march: &str, rounds: &str) -> Result<(), Trouble> {
    let folder = tempfile::tempdir().map_err(|error| Trouble::Failed(error.to_string()))?;
    let program = folder.path().join("tiles");
    compile("aarch64-linux-gnu-gcc", &["-O2", "-static", march], &program)?;
    succeeds(Command::new("qemu-aarch64").arg(&program).arg(rounds)).map(|_| ())
}

fn compile(compiler: &str, flags: &[&str], program: &Path) -> Result<(), Trouble> {
    let mut command = Command::new(compiler);
    command.args(WARNINGS).args(flags).arg("-I").arg(root().join("templates/c/kernels"));
    command.arg(root().join("tests/c/tiles.c")).arg("-o").arg(program).arg("-lm");
    succeeds(&mut command).map(|_| ())
}

/// What a command prints that ends well. One that is not there is a tool that is missing.
fn succeeds(command: &mut Command) -> Result<String, Trouble> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Trouble::Missing(format!("{name} is missing: tests/setup installs it")),
        _ => Trouble::Failed(format!("{name}: {error}")),
    })?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(printed)
    } else {
        Err(Trouble::Failed(format!(
            "{command:?}: {}\n{printed}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )))
    }
}

#[cfg(target_arch = "x86_64")]
fn processor_has(feature: &str) -> bool {
    match feature {
        "avx2" => std::is_x86_feature_detected!("avx2"),
        "fma" => std::is_x86_feature_detected!("fma"),
        "f16c" => std::is_x86_feature_detected!("f16c"),
        "avxvnni" => std::is_x86_feature_detected!("avxvnni"),
        "avx512bw" => std::is_x86_feature_detected!("avx512bw"),
        "avx512vl" => std::is_x86_feature_detected!("avx512vl"),
        "avx512vnni" => std::is_x86_feature_detected!("avx512vnni"),
        "avx512vbmi" => std::is_x86_feature_detected!("avx512vbmi"),
        _ => false,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn processor_has(_: &str) -> bool {
    false
}
