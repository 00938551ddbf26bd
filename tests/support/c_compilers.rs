//! C programs of the tests: compiled by each compiler for each instruction set, and run where this machine, or an
//! emulator, has it.

use super::executors::Trouble;
use super::root;
use std::process::Command;

pub const WARNINGS: &[&str] = &["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"];
pub const SANITIZERS: &[&str] = &["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// An instruction set: its name, the compiler's flags, and the features of the processor that it needs.
pub struct InstructionSet {
    pub name: &'static str,
    pub flags: &'static [&'static str],
    pub features: &'static [&'static str],
}

impl InstructionSet {
    /// Refuses where the processor lacks it.
    pub fn is_here(&self) -> Result<(), Trouble> {
        match self.features.iter().find(|feature| !processor_has(feature)) {
            Some(missing) => {
                Err(Trouble::Refused(format!("this processor has no {missing}, which {} needs", self.name)))
            }
            None => Ok(()),
        }
    }
}

/// A program of one source file.
pub struct Program<'a> {
    /// From the package's root.
    pub source: &'a str,
    /// Where its headers are, from the package's root.
    pub headers: &'a str,
    pub arguments: &'a [&'a str],
}

impl Program<'_> {
    /// Compiles and runs on this machine.
    pub fn run(&self, compiler: &str, set: &InstructionSet, flags: &[&str]) -> Result<(), Trouble> {
        set.is_here()?;
        self.built(compiler, &[set.flags, flags].concat(), |program| Command::new(program))
    }

    /// Compiles for aarch64 and runs in an emulator.
    pub fn run_on_aarch64(&self, flags: &[&str]) -> Result<(), Trouble> {
        self.built("aarch64-linux-gnu-gcc", &[&["-static"], flags].concat(), |program| {
            let mut command = Command::new("qemu-aarch64");
            command.arg(program);
            command
        })
    }

    fn built(
        &self,
        compiler: &str,
        flags: &[&str],
        start: impl Fn(&std::path::Path) -> Command,
    ) -> Result<(), Trouble> {
        let folder = tempfile::tempdir().map_err(|error| Trouble::Failed(error.to_string()))?;
        let program = folder.path().join("program");
        let mut command = Command::new(compiler);
        command.args(WARNINGS).args(flags).arg("-I").arg(root().join(self.headers));
        command.arg(root().join(self.source)).arg("-o").arg(&program).arg("-lm");
        succeeds(&mut command)?;
        succeeds(start(&program).args(self.arguments))
    }
}

/// Runs a command, which must end well. One that is not there is a tool that is missing.
pub fn succeeds(command: &mut Command) -> Result<(), Trouble> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Trouble::Missing(format!("{name} is missing: tests/setup installs it")),
        _ => Trouble::Failed(format!("{name}: {error}")),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(Trouble::Failed(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&printed))))
}

#[cfg(target_arch = "x86_64")]
fn processor_has(feature: &str) -> bool {
    match feature {
        "avx2" => std::is_x86_feature_detected!("avx2"),
        "fma" => std::is_x86_feature_detected!("fma"),
        "f16c" => std::is_x86_feature_detected!("f16c"),
        "avxvnni" => std::is_x86_feature_detected!("avxvnni"),
        "avx512f" => std::is_x86_feature_detected!("avx512f"),
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
