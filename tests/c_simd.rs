//! Whole models of the target `c` for every instruction set: compiled by hand and by their Makefile, by gcc and clang, run
//! here or under an emulator, and compared with the interpreter. Every run is made twice and gives the same bits.
//!
//! What is missing here, a compiler, an emulator or an instruction set, is ignored with the reason.

mod support;

use libtest_mimic::{Arguments, Trial};
use std::collections::BTreeSet;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use support::c_compilers::{InstructionSet, succeeds};
use support::c_models::{Build, Model};
use support::executors::Trouble;
use support::trials::finish;
use support::{root, with_deep_stack};
use tritonc::driver::options::Simd;
use tritonc::targets::Templates;
use tritonc::targets::c::simd::{self, Tiles};

const ANY: InstructionSet = InstructionSet { name: "plain", flags: &[], features: &[] };
const AVX2: InstructionSet =
    InstructionSet { name: "avx2", flags: &["-mavx2", "-mfma", "-mf16c"], features: &["avx2", "fma", "f16c"] };
const AVX_VNNI: InstructionSet = InstructionSet {
    name: "avxvnni",
    flags: &["-mavx2", "-mfma", "-mf16c", "-mavxvnni"],
    features: &["avx2", "fma", "f16c", "avxvnni"],
};
const AVX512: InstructionSet = InstructionSet {
    name: "avx512",
    flags: &["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni", "-mfma", "-mf16c"],
    features: &["avx512f", "avx512bw", "avx512vl", "avx512vnni"],
};

/// A path through the emitted code: its name, `--simd`, how it is built, and what starts the program.
type Way = (&'static str, Simd, Build<'static>, &'static [&'static str]);

const ARM: &str = "aarch64-linux-gnu-gcc";
const WARNINGS: &str = "-Wall -Wextra -Werror -pedantic";

/// Every model goes these ways.
const WAYS: &[Way] = &[
    ("none::gcc", Simd::None, Build::Whole("gcc", &ANY, &["-O2"]), &[]),
    ("none::clang", Simd::None, Build::Whole("clang", &ANY, &["-O1"]), &[]),
    ("auto::native", Simd::Auto, Build::Whole("gcc", &ANY, &["-O2", "-march=native"]), &[]),
    ("auto::base", Simd::Auto, Build::Whole("gcc", &ANY, &["-O2"]), &[]),
    ("avx2::gcc", Simd::Avx2, Build::Whole("gcc", &AVX2, &["-O2"]), &[]),
    ("avxvnni::clang", Simd::AvxVnni, Build::Whole("clang", &AVX_VNNI, &["-O1"]), &[]),
    ("avx512::gcc", Simd::Avx512, Build::Whole("gcc", &AVX512, &["-O2"]), &[]),
    ("avx512::clang", Simd::Avx512, Build::Whole("clang", &AVX512, &["-O1"]), &[]),
    ("neon", Simd::Neon, Build::Whole(ARM, &ANY, &["-O2", "-static"]), &["qemu-aarch64"]),
    (
        "dotprod",
        Simd::Neon,
        Build::Whole(ARM, &ANY, &["-O2", "-static", "-march=armv8.2-a+dotprod"]),
        &["qemu-aarch64"],
    ),
    ("make::gcc", Simd::Auto, Build::Make(&["CC=gcc"]), &[]),
];

/// One model goes these, too: they are about the Makefile and the dispatcher.
const BY_MAKE: &[Way] = &[
    ("make::clang", Simd::Auto, Build::Make(&["CC=clang", "CFLAGS=-O1"]), &[]),
    ("make::base", Simd::Auto, Build::Make(&["CC=gcc", "CFLAGS=-O1", "ISAS="]), &[]),
    ("make::none", Simd::None, Build::Make(&["CC=gcc"]), &[]),
    ("make::avx2", Simd::Avx2, Build::Make(&["CC=gcc"]), &[]),
    ("make::native", Simd::Auto, Build::Make(&["CC=gcc", "CFLAGS=-O2 -march=native"]), &[]),
];
const BY_MAKE_ON_ARM: &[(&str, &[&str])] = &[
    ("make::arm::with_dotprod", &["qemu-aarch64", "-cpu", "max"]),
    ("make::arm::without_dotprod", &["qemu-aarch64", "-cpu", "cortex-a53"]),
];

fn example(name: &str) -> String {
    std::fs::read_to_string(root().join("examples").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Layers of one kind whose sizes fit no vector: two products, and something between.
fn layers(kind: &str, [first, hidden, last]: [usize; 3]) -> String {
    format!(
        "use nn.{{{kind}}}\n\nlayer Model() {{\n    let up = {kind}({first}, {hidden})\n    let down = {kind}({hidden}, {last})\n\n    \
         fn forward(x: float32[B, {first}]) -> float32[B, {last}] = down(relu(up(x)))\n}}\n\nlet model = Model()\n"
    )
}

fn models() -> Vec<Model> {
    const ROWS: &[&[usize]] = &[&[11, 70], &[1, 70]];
    const GROUPED: &[&[usize]] = &[&[11, 64], &[1, 64]];
    vec![
        Model::new("mnist_mlp", example("mnist_mlp.tri"), &[], &[&[9, 784], &[1, 784]]),
        Model::new("lenet", example("lenet.tri"), &[], &[&[3, 1, 28, 28], &[1, 1, 28, 28]]),
        Model::new("transformer_block", example("transformer_block.tri"), &[], &[&[2, 9, 64], &[1, 1, 64]]),
        Model::new("bit_linear", layers("BitLinear", [70, 130, 33]), &[], ROWS),
        Model::new("int8", layers("Int8Linear", [70, 130, 33]), &[], ROWS),
        Model::new("int4", layers("Int4Linear", [64, 96, 33]), &[], GROUPED),
        Model::new("float", layers("Linear", [70, 130, 33]), &[], ROWS),
    ]
}

/// Models whose kernels share their work among threads.
fn threaded() -> Vec<Model> {
    vec![
        Model::new("threads::lenet", example("lenet.tri"), &[], &[&[3, 1, 28, 28]]).with_threads(3),
        Model::new("threads::attention", example("transformer_block.tri"), &[], &[&[2, 65, 64]]).with_threads(3),
        Model::new("threads::bit_linear", layers("BitLinear", [70, 130, 33]), &[], &[&[11, 70]]).with_threads(2),
    ]
}

/// How those are built.
const THREADED: &[Way] = &[
    ("openmp", Simd::Auto, Build::Whole("gcc", &ANY, &["-O2", "-march=native", "-fopenmp"]), &[]),
    ("without_openmp", Simd::Auto, Build::Whole("gcc", &ANY, &["-O2", "-march=native"]), &[]),
    ("make", Simd::Auto, Build::Make(&["CC=gcc"]), &[]),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![];
    for (name, simd, build, _) in WAYS {
        if let Build::Whole(compiler, set, flags) = build {
            let work = move || finish(tiles_need_nothing_else(*simd, compiler, &[set.flags, flags].concat()));
            trials.push(Trial::ignorable_test(format!("tiles::{name}"), work));
        }
    }
    let models: Vec<Arc<Model>> = models().into_iter().map(Arc::new).collect();
    let all = models.clone();
    let work = move || finish(with_deep_stack(|| tiles_are_written(&all)));
    trials.push(Trial::ignorable_test("tiles::are_written", work));
    let plain = models.into_iter().map(|model| (model, WAYS));
    for (model, ways) in plain.chain(threaded().into_iter().map(|model| (Arc::new(model), THREADED))) {
        let mut add = |name: &str, simd: Simd, build: Build<'static>, start: &'static [&'static str]| {
            let (name, model) = (format!("{}::{name}", model.name), model.clone());
            let work = move || finish(with_deep_stack(|| model.agrees(simd, build, start)));
            trials.push(Trial::ignorable_test(name, work));
        };
        ways.iter().for_each(|(name, simd, build, start)| add(name, *simd, *build, start));
        if model.name == "bit_linear" {
            BY_MAKE.iter().for_each(|(name, simd, build, start)| add(name, *simd, *build, start));
            for (name, start) in BY_MAKE_ON_ARM {
                const ARGUMENTS: &[&str] = &["CC=aarch64-linux-gnu-gcc", "CFLAGS=-O2 -static"];
                add(name, Simd::Auto, Build::Make(ARGUMENTS), start);
            }
            let choice = model.clone();
            let work = move || finish(with_deep_stack(|| the_best_build_is_chosen(&choice)));
            trials.push(Trial::ignorable_test("dispatch::the_best_build_is_chosen", work));
            let refused = model.clone();
            let work = move || finish(with_deep_stack(|| another_instruction_set_is_refused(&refused)));
            trials.push(Trial::ignorable_test("a_compiler_that_is_not_told_of_the_set_is_refused", work));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Products are made of tiles: of the instruction set that is meant, of all, or in plain C.
fn tiles_are_written(models: &[Arc<Model>]) -> Result<(), Trouble> {
    const X86: [&str; 2] = ["_mm256_", "_mm512_"];
    const ARM: &str = "vst1q_";
    for (name, tile) in [("bit_linear", "ternary2_tile("), ("int8", "int8_tile_f32("), ("float", "f32_tile(")] {
        let model = models.iter().find(|model| model.name == name);
        let model = model.ok_or_else(|| Trouble::Failed(format!("there is no {name}")))?;
        for (simd, has, lacks) in [
            (Simd::Auto, &["_mm256_", "_mm512_", ARM][..], &[][..]),
            (Simd::None, &[], &[X86[0], X86[1], ARM, "#if defined(SIMD", "__builtin"]),
            (Simd::Avx2, &X86[..1], &[X86[1], ARM]),
            (Simd::Avx512, &X86[1..], &[ARM]),
            (Simd::Neon, &[ARM], &X86),
        ] {
            let folder = tempfile::tempdir().map_err(|error| Trouble::Failed(error.to_string()))?;
            model.write(simd, folder.path())?;
            let text = |file: &str| std::fs::read_to_string(folder.path().join(file)).unwrap_or_default();
            let (source, kernels) = (text("model.c"), text("model_kernels.h"));
            let missing = has.iter().find(|word| !kernels.contains(**word));
            let left = lacks.iter().find(|word| kernels.contains(**word));
            if !source.contains(tile) || !kernels.contains(tile) || missing.is_some() || left.is_some() {
                return Err(Trouble::Failed(format!("{name}, {simd:?}: without {missing:?}, with {left:?}")));
            }
        }
    }
    Ok(())
}

/// Each family of tiles in a file that uses none of it, for a compiler and an instruction set.
fn tiles_need_nothing_else(simd: Simd, compiler: &str, flags: &[&str]) -> Result<(), Trouble> {
    let failed = |error: String| Trouble::Failed(error);
    let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    let tiles = Tiles::load(&Templates::builtin()).map_err(|error| failed(error.message))?;
    for family in simd::families() {
        let texts = simd::texts(&tiles, &BTreeSet::from([family]), simd).join("\n\n");
        let includes = ["math", "stdbool", "stdint", "string"].map(|name| format!("#include <{name}.h>\n")).concat();
        let header = folder.path().join("tiles.h");
        std::fs::write(header, includes + &texts + "\n").map_err(|error| failed(error.to_string()))?;
        let source = folder.path().join("tiles.c");
        std::fs::write(source, "#include \"tiles.h\"\n\nint nothing(void);\nint nothing(void) { return 0; }\n")
            .map_err(|error| failed(error.to_string()))?;
        let mut command = Command::new(compiler);
        command.current_dir(folder.path()).arg("-std=c11").args(WARNINGS.split(' ')).args(flags);
        succeeds(command.args(["-c", "tiles.c"]))?;
    }
    Ok(())
}

/// The dispatcher with builds that do nothing but say their names.
fn the_best_build_is_chosen(model: &Model) -> Result<(), Trouble> {
    let folder = tempfile::tempdir().map_err(|error| Trouble::Failed(error.to_string()))?;
    model.write(Simd::Auto, folder.path())?;
    let written = std::fs::read_to_string(folder.path().join("model_dispatch.c")).unwrap_or_default();
    let sets = [("avx512", &AVX512), ("avxvnni", &AVX_VNNI), ("avx2", &AVX2), ("base", &ANY)];
    let sets: Vec<_> = sets.into_iter().filter(|(name, _)| written.contains(&format!("MODEL_HAS_{name})"))).collect();
    if sets.len() < 3 {
        return Err(Trouble::Failed(format!("there are {} builds", sets.len())));
    }
    for left_out in 0..sets.len() {
        let sets = &sets[left_out..];
        let best = sets.iter().find(|(_, set)| set.is_here().is_ok()).map_or("none", |(name, _)| name);
        let mut text = String::from("#include \"model.h\"\n#include <stdio.h>\n#include <string.h>\n\n");
        for (name, _) in sets {
            text.push_str(&format!("STUB({name})\n"));
        }
        text.push_str(&format!("int main(void) {{ return strcmp(model_strerror(0), \"{best}\") == 0 ? 0 : 1; }}\n"));
        text = text.replacen("\n\n", &format!("\n\n{}\n", include_str!("c/dispatch_stub.h").trim_end()), 1);
        let path = folder.path().join("stubs.c");
        std::fs::write(&path, text).map_err(|error| Trouble::Failed(error.to_string()))?;
        for compiler in ["gcc", "clang"] {
            let mut command = Command::new(compiler);
            command.current_dir(folder.path()).args(["-std=c11"]).args(WARNINGS.split(' '));
            command.args(sets.iter().map(|(name, _)| format!("-DMODEL_HAS_{name}")));
            succeeds(command.args(["-o", "stubs", "stubs.c", "model_dispatch.c"]))?;
            succeeds(&mut Command::new(folder.path().join("stubs")))?;
        }
    }
    Ok(())
}

fn another_instruction_set_is_refused(model: &Model) -> Result<(), Trouble> {
    for (simd, said) in [
        (Simd::Avx512, "this file is for AVX-512 with VNNI: compile it with -mavx512f "),
        (Simd::AvxVnni, "compile it with -mavx2 -mfma -mf16c -mavxvnni"),
        (Simd::Avx2, "compile it with -mavx2 -mfma -mf16c"),
    ] {
        let build = Build::Whole("gcc", &ANY, &["-O1"]);
        match model.agrees(simd, build, &[]) {
            Err(Trouble::Failed(why)) if why.contains(said) => {}
            other => return Err(Trouble::Failed(format!("{simd:?}: {other:?}"))),
        }
    }
    Ok(())
}
