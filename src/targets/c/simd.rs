//! Vectors: which files of `templates/c/kernels/` a model needs, and for which instruction sets it is compiled.
//!
//! A *tile* is a kernel that computes a block of a result, once in plain C (`ternary2.h`) and once with intrinsics
//! (`ternary2_simd.h`), which choose an instruction set by what the compiler says that it may use. So `cc -march=native
//! NAME.c` needs nothing else. For a program that runs on any processor of a family, the Makefile compiles NAME.c once for
//! each [`InstructionSet`], with `-DNAME_ISA=avx2` and so on, which renames the public functions, and `NAME_dispatch.c`,
//! whose functions call the build that is best where the program runs. Weights are packed by the build that reads them.

use crate::targets::c::conditions::resolved;
use crate::targets::c::used::defined;
use crate::targets::templates::Templates;
use crate::targets::{Simd, TargetError};
use minijinja::{Value, context};
use std::collections::{BTreeMap, BTreeSet};

const FOLDER: &str = "c/kernels/";

/// Families of tiles, each with those that its file is written with.
const FAMILIES: &[(&str, &[&str])] = &[
    ("activations", &[]),
    ("ternary2", &["activations"]),
    ("ternary5", &["ternary2"]),
    ("int4", &["activations"]),
    ("int8", &["activations"]),
    ("restore", &[]),
    ("f32", &[]),
    ("conv", &["f32"]),
    ("depthwise", &["f32"]),
    ("f32_math", &[]),
    ("f32_rows", &["f32_math"]),
];
/// Those over codes of few bits, whose intrinsics are those of `simd.h`.
const LOW_BIT: &[&str] = &["ternary2", "ternary5", "int4", "int8"];
/// Those whose intrinsics are those of `f32_vectors.h`.
const FLOAT: &[&str] = &["f32", "conv", "depthwise"];

/// Something that processors have or lack.
struct InstructionSet {
    /// As `NAME_ISA` has it.
    name: &'static str,
    /// What a compiler must be told.
    flags: &'static str,
    /// What it says then, in C.
    macros: &'static [&'static str],
    /// What tiles define then.
    has: &'static [&'static str],
    spoken: &'static str,
    /// Builds for it need these families: without them another build is the same.
    families: &'static [&'static str],
}

const AVX512_VBMI: InstructionSet = InstructionSet {
    name: "avx512vbmi",
    flags: "-mavx512f -mavx512bw -mavx512vl -mavx512vnni -mavx512vbmi -mfma -mf16c",
    families: &["ternary5"],
    ..AVX512
};
const AVX512: InstructionSet = InstructionSet {
    name: "avx512",
    flags: "-mavx512f -mavx512bw -mavx512vl -mavx512vnni -mfma -mf16c",
    macros: &["__AVX512F__", "__AVX512BW__", "__AVX512VL__", "__AVX512VNNI__", "__AVX2__", "__FMA__", "__F16C__"],
    has: &["SIMD_AVX512", "F32_AVX512", "F32_PARTIAL", "F32_COMPRESS"],
    spoken: "AVX-512 with VNNI",
    families: &[],
};
const AVX_VNNI: InstructionSet = InstructionSet {
    name: "avxvnni",
    flags: "-mavx2 -mfma -mf16c -mavxvnni",
    macros: &["__AVX2__", "__FMA__", "__F16C__", "__AVXVNNI__"],
    has: &["SIMD_AVX2", "SIMD_VNNI", "F32_AVX2", "F32_PARTIAL"],
    spoken: "AVX2 with FMA, F16C and AVX-VNNI",
    families: LOW_BIT,
};
const AVX2: InstructionSet = InstructionSet {
    name: "avx2",
    flags: "-mavx2 -mfma -mf16c",
    macros: &["__AVX2__", "__FMA__", "__F16C__"],
    has: &["SIMD_AVX2", "F32_AVX2", "F32_PARTIAL"],
    spoken: "AVX2 with FMA and F16C",
    families: &[],
};
const NEON: InstructionSet = InstructionSet {
    name: "neon",
    flags: "",
    macros: &["__ARM_NEON", "__aarch64__"],
    has: &["SIMD_NEON", "F32_NEON"],
    spoken: "NEON of 64-bit Arm",
    families: &[],
};
const DOT_PRODUCT: InstructionSet = InstructionSet {
    name: "dotprod",
    flags: "-march=armv8.2-a+dotprod",
    macros: &["__ARM_FEATURE_DOTPROD"],
    has: &[],
    spoken: "NEON of 64-bit Arm with dot products",
    families: LOW_BIT,
};

const BASE: InstructionSet = InstructionSet {
    name: "base",
    flags: "",
    macros: &[],
    has: &[],
    spoken: "Any processor of the family",
    families: &[],
};

/// The builds of one program beside [`BASE`], by the first word of what `cc -dumpmachine` says;
/// the best first.
const MACHINES: &[(&[&str], &[InstructionSet])] =
    &[(&["x86_64", "amd64"], &[AVX512_VBMI, AVX512, AVX_VNNI, AVX2]), (&["aarch64", "arm64"], &[DOT_PRODUCT])];

/// Names of all families.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(family, _)| *family)
}

fn has_any(tiles: &BTreeSet<&str>, families: &[&str]) -> bool {
    families.iter().any(|family| tiles.contains(family))
}

/// The families that are asked for and what they need.
fn closed(tiles: &BTreeSet<&'static str>) -> BTreeSet<&'static str> {
    let mut found = tiles.clone();
    // What a family needs stands before it.
    for (family, needs) in FAMILIES.iter().rev() {
        if found.contains(family) {
            found.extend(*needs);
        }
    }
    found
}

/// The files of these families, each after what it needs, without `.h`.
fn files(tiles: &BTreeSet<&'static str>, simd: Simd) -> Vec<String> {
    let tiles = closed(tiles);
    let mut files: Vec<String> = vec![];
    let mut add = |name: &str| files.push(name.to_string());
    if simd != Simd::None && has_any(&tiles, LOW_BIT) {
        add("simd");
    }
    for (family, _) in FAMILIES.iter().filter(|(family, _)| tiles.contains(family)) {
        if simd != Simd::None && *family == "f32" {
            add("f32_vectors");
        }
        add(family);
        let has_intrinsics = LOW_BIT.contains(family) || (FLOAT.contains(family) && *family != "conv");
        if simd != Simd::None && has_intrinsics {
            add(&format!("{family}_simd"));
        }
    }
    files
}

/// The files of `templates/c/kernels/`, by name without `.h`.
pub struct Tiles {
    texts: BTreeMap<String, String>,
}

impl Tiles {
    pub fn load(templates: &Templates) -> Result<Tiles, TargetError> {
        let mut texts = BTreeMap::new();
        for path in templates.names(FOLDER) {
            let name = path.trim_start_matches(FOLDER).trim_end_matches(".h");
            texts.insert(name.to_string(), templates.get(path)?.text.trim_end().to_string());
        }
        Ok(Tiles { texts })
    }

    /// What they define: functions, types, tables and macros.
    pub fn names(&self) -> Vec<String> {
        let defined = self.texts.values().flat_map(|text| text.lines()).filter_map(defined);
        let names: BTreeSet<&str> = defined.collect();
        names.into_iter().map(str::to_string).collect()
    }
}

/// The set that is meant, if it is one.
fn only(simd: Simd) -> Option<&'static InstructionSet> {
    match simd {
        Simd::Auto | Simd::None => None,
        Simd::Avx2 => Some(&AVX2),
        Simd::AvxVnni => Some(&AVX_VNNI),
        Simd::Avx512 => Some(&AVX512),
        Simd::Neon => Some(&NEON),
    }
}

/// Whether a macro is defined, where that is certain: of those by which tiles choose among instruction sets.
fn is_defined(name: &str, simd: Simd) -> Option<bool> {
    const OF_TILES: &[&str] = &["SIMD_PLAIN", "F32_PLAIN"];
    let of_compilers = || [AVX512, AVX_VNNI, NEON].iter().any(|set| set.macros.contains(&name));
    let of_sets = || [AVX512, AVX_VNNI, NEON].iter().any(|set| set.has.contains(&name));
    let has = match (simd, only(simd)) {
        (Simd::None, _) => OF_TILES,
        (_, Some(set)) if of_compilers() => return Some(set.macros.contains(&name)),
        (_, Some(set)) => set.has,
        (_, None) => return None,
    };
    (of_sets() || OF_TILES.contains(&name)).then(|| has.contains(&name))
}

/// What `NAME_kernels.h` has of tiles, in order. What is for other instruction sets than the one that is meant is left out.
pub fn texts(tiles: &Tiles, wanted: &BTreeSet<&'static str>, simd: Simd) -> Vec<String> {
    let texts = files(wanted, simd);
    let texts = texts.iter().filter_map(|file| tiles.texts.get(file));
    let known = |name: &str| is_defined(name, simd);
    texts.map(|text| resolved(text, &known).trim_end().to_string()).collect()
}

/// For which instruction sets a model is compiled.
pub struct Builds {
    machines: Vec<(&'static [&'static str], Vec<&'static InstructionSet>)>,
    only: Option<(&'static InstructionSet, &'static str)>,
}

impl Builds {
    pub fn new(simd: Simd, tiles: &BTreeSet<&'static str>) -> Builds {
        let flags = |set: &'static InstructionSet| match set.name {
            "avx512" if has_any(tiles, AVX512_VBMI.families) => AVX512_VBMI.flags,
            _ => set.flags,
        };
        let wanted = |set: &&InstructionSet| set.families.is_empty() || has_any(tiles, set.families);
        let machine = |(names, sets): &'static (&'static [&'static str], &'static [InstructionSet])| {
            (*names, sets.iter().filter(wanted).collect::<Vec<_>>())
        };
        let machines = if simd == Simd::Auto { MACHINES.iter().map(machine).collect() } else { vec![] };
        Builds { machines, only: only(simd).map(|set| (set, flags(set))) }
    }

    /// Whether a program has several.
    pub fn are_many(&self) -> bool {
        !self.machines.is_empty()
    }

    /// The best first, at last the one that runs everywhere.
    pub fn list(&self) -> Vec<Value> {
        let sets = self.machines.iter().flat_map(|(_, sets)| sets.iter().copied()).chain([&BASE]);
        sets.map(|set| context! { name => set.name, flags => set.flags, spoken => set.spoken }).collect()
    }

    /// Their names, by machine.
    pub fn machines(&self) -> Vec<Value> {
        let with_names = self.machines.iter().flat_map(|(names, sets)| names.iter().map(move |name| (name, sets)));
        with_names
            .map(|(name, sets)| context! { name => *name, builds => sets.iter().map(|set| set.name).collect::<Vec<_>>() })
            .collect()
    }

    /// The one set that is meant.
    pub fn only(&self) -> Option<Value> {
        self.only.map(|(set, flags)| {
            let said: Vec<String> = set.macros.iter().map(|name| format!("defined({name})")).collect();
            let how = if flags.is_empty() { "a compiler for it".to_string() } else { flags.to_string() };
            // In lines of no more than a hundred characters.
            let condition: Vec<String> = said.chunks(4).map(|part| part.join(" && ")).collect();
            context! { spoken => set.spoken, flags, how, condition => condition.join(" && \\\n      ") }
        })
    }
}

/// A public function by its head, `int mlp_forward(const mlp_weights *weights, void *arena)`, as `NAME_dispatch.c` calls it.
pub fn dispatched(prefix: &str, head: &str) -> Option<Value> {
    let (start, parameters) = head.strip_suffix(')')?.split_once('(')?;
    let (result, name) = start.split_once(&format!("{prefix}_"))?;
    let arguments: Vec<&str> = parameters.split(", ").filter_map(|part| part.rsplit([' ', '*']).next()).collect();
    Some(context! { result, name, parameters, arguments => arguments.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(families: &[&'static str]) -> BTreeSet<&'static str> {
        families.iter().copied().collect()
    }

    #[test]
    fn files_come_after_what_they_need() {
        let of = |families: &[&'static str], simd| files(&set(families), simd).join(" ");
        assert_eq!(of(&["ternary5"], Simd::Auto), "simd activations ternary2 ternary2_simd ternary5 ternary5_simd");
        assert_eq!(of(&["ternary5"], Simd::None), "activations ternary2 ternary5");
        assert_eq!(of(&["conv", "f32_rows"], Simd::Avx2), "f32_vectors f32 f32_simd conv f32_math f32_rows");
        assert_eq!(of(&["depthwise"], Simd::Neon), "f32_vectors f32 f32_simd depthwise depthwise_simd");
        assert_eq!(of(&["depthwise", "f32_math"], Simd::None), "f32 depthwise f32_math");
        assert_eq!(of(&["activations"], Simd::Auto), "activations");
        assert_eq!(of(&[], Simd::Auto), "");
    }

    #[test]
    fn every_file_belongs_to_a_family() {
        let all: Vec<&'static str> = FAMILIES.iter().map(|(family, _)| *family).collect();
        let mut used = files(&set(&all), Simd::Auto);
        used.sort();
        let tiles = Tiles::load(&Templates::builtin()).unwrap();
        assert_eq!(used, tiles.texts.keys().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn plain_tiles_have_no_conditions_and_no_intrinsics() {
        let all: Vec<&'static str> = FAMILIES.iter().map(|(family, _)| *family).collect();
        let tiles = Tiles::load(&Templates::builtin()).unwrap();
        let plain = texts(&tiles, &set(&all), Simd::None).join("\n");
        let left: Vec<&str> =
            plain.lines().filter(|line| line.starts_with("#if") && !line.contains("__FMA__")).collect();
        assert_eq!(left, ["#if defined(F32_MATH_FMA)"; 2]);
        for word in ["SIMD_", "F32_LANES", "_mm", "__builtin", "__attribute__"] {
            assert!(!plain.contains(word), "{word}");
        }
        let avx2 = texts(&tiles, &set(&all), Simd::Avx2).join("\n");
        assert!(avx2.contains("_mm256_maddubs_epi16") && !avx2.contains("_mm512") && !avx2.contains("vld1q"));
        assert!(!avx2.contains("_dpbusd_") && !avx2.contains("defined(__AVX"), "another instruction set is left");
        let auto = texts(&tiles, &set(&all), Simd::Auto).join("\n");
        assert!(["_mm256_dpbusd_avx_epi32", "_mm512_dpbusd_epi32", "vdotq_s32"].iter().all(|name| auto.contains(name)));
    }

    #[test]
    fn names_of_tiles_are_found() {
        let names = Tiles::load(&Templates::builtin()).unwrap().names();
        for name in ["f32_tile", "conv2d", "f32_vector", "simd_shift", "SIMD_INLINE", "ternary5_digits", "f32_exp"] {
            assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
        }
        assert!(names.iter().all(|name| name != "static" && name != "inline"), "{names:?}");
    }

    #[test]
    fn tiles_and_helpers_define_different_names() {
        let templates = Templates::builtin();
        let helpers = templates.names("c/helpers/").map(|name| templates.get(name).unwrap().text.clone());
        let helpers: Vec<String> = helpers.collect();
        let names = Tiles::load(&templates).unwrap().names();
        for name in helpers.iter().flat_map(|text| text.lines()).filter_map(defined) {
            assert!(names.iter().all(|known| known != name), "{name}");
        }
    }

    #[test]
    fn a_set_is_built_for_where_it_differs() {
        let names = |families: &[&'static str]| {
            let machines = Builds::new(Simd::Auto, &set(families)).machines;
            machines.iter().map(|(_, sets)| sets.iter().map(|set| set.name).collect::<Vec<_>>().join(" ")).collect()
        };
        let none: Vec<String> = names(&[]);
        assert_eq!(none, ["avx512 avx2", ""]);
        assert_eq!(names(&["int8"]), ["avx512 avxvnni avx2", "dotprod"]);
        assert_eq!(names(&["ternary5"]), ["avx512vbmi avx512 avxvnni avx2", "dotprod"]);
        assert!(!Builds::new(Simd::None, &set(&["int8"])).are_many());
    }

    #[test]
    fn heads_are_taken_apart() {
        let found = dispatched("m", "int m_go(const m_weights *weights, size_t count, void *pack)").unwrap();
        assert_eq!(found.get_attr("name").unwrap().to_string(), "go");
        assert_eq!(found.get_attr("arguments").unwrap().to_string(), "weights, count, pack");
        let found = dispatched("m", "const char *m_strerror(int code)").unwrap();
        assert_eq!(found.get_attr("result").unwrap().to_string(), "const char *");
    }
}
