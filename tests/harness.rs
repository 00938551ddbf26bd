//! Tests of the case runner's own parts.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use support::directives::{Announced, Stage, parse};
use support::{announced, generate, golden};
use tritonc::base::code::{E0301, W0101};
use tritonc::base::{Diagnostic, Source, Sources, Span};
use tritonc::driver::Mode;
use tritonc::types::DType;

#[test]
fn directives_are_read() {
    let text = "# A case.\n#@ test: check, ir\n#@ target: pytorch\n#@ mode: infer\n\
                #@ run: Net(f(2), s=[1, 2])(x=normal(seed=7, [2, 8]), y=ints(low=1, high=3, [4])) ~= interp\n\
                let y = a @ b     #~ E0301 \"inner dimensions\"\n";
    let found = parse(text).unwrap();
    assert_eq!(found.tests, [Stage::Check, Stage::Ir]);
    assert_eq!((found.targets, found.modes), (vec!["pytorch".to_string()], vec![Mode::Infer]));
    assert_eq!(found.runs[0].entry, "Net(f(2), s=[1, 2])");
    let names: Vec<&str> = found.runs[0].inputs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x", "y"]);
    let announced = Announced { line: 6, code: "E0301".into(), part: "inner dimensions".into() };
    assert_eq!(found.announced, [announced]);
    assert_eq!(parse("#@ test: run\n#@ passes: cse, dce\n").unwrap().passes, ["cse", "dce"]);
    let run = parse("#@ test: check\n#@ run: net() ~= interp\n").unwrap().runs.remove(0);
    assert_eq!((run.entry.as_str(), run.inputs), ("net", vec![]));
    let run = parse("#@ test: check\n#@ run: Net(0.5).step(at=2) ~= interp\n").unwrap().runs.remove(0);
    assert_eq!((run.entry.as_str(), run.method.as_deref(), run.numbers.len()), ("Net(0.5)", Some("step"), 1));
    let low = parse("#@ test: check\n#@ precision: bfloat16\n#@ run: net() ~= interp\n").unwrap().precision;
    assert_eq!(low, Some(DType::BFloat16));
}

#[test]
fn what_is_no_directive_is_an_error() {
    let error = |text: &str| parse(text).unwrap_err();
    assert_eq!(error("\n#@ tset: check\n"), "line 2: there is no directive `tset`");
    assert_eq!(error("#@ test: chekc\n"), "line 1: there is no stage `chekc`");
    assert_eq!(error("#@ test: check\n#@ precision: float8\n"), "line 2: the low type is float16 or bfloat16");
    assert_eq!(error("#@ test check\n"), "line 1: a directive has the form `#@ NAME: ...`");
    assert_eq!(error("#@ target: fortran\n"), "line 1: there is no target `fortran`");
    assert_eq!(error("let a = 1\n"), "a case needs a line `#@ test: ...`");
    assert_eq!(error("#@ test: check\n#@ target: pytorch\n"), "a case with a target needs a line `#@ run: ...`");
    assert!(error("#@ test: check\n#@ mode: infer\n").contains("beside `target`"));
    assert_eq!(error("#@ without: pytorch\n"), "line 1: a target is left out by `#@ without: NAME  # why`");
    assert_eq!(error("#@ without: pytorch #\n"), "line 1: a target is left out by `#@ without: NAME  # why`");
    assert!(error("#@ test: check\n#@ without: pytorch  # why\n").contains("beside `target`"));
    let both = "#@ test: check\n#@ target: pytorch\n#@ without: pytorch  # why\n#@ run: net() ~= interp\n";
    assert_eq!(error(both), "`pytorch` is asked for and left out");
    assert_eq!(error("#@ test: check\nx #~ E9999 \"a\"\n"), "line 2: there is no code `E9999`");
    for remark in ["E0301", "E0301 inner", "E0301 \"inner"] {
        assert!(error(&format!("#@ test: check\nx #~ {remark}\n")).contains("a remark has the form"), "{remark}");
    }
    for run in ["Net", "Net()", "Net() ~= torch", "() ~= interp", "Net)( ~= interp", "Net(x) ~= interp"] {
        assert!(error(&format!("#@ test: check\n#@ run: {run}\n")).contains("a run has the form"), "{run}");
    }
}

#[test]
fn generators_draw_what_they_say() {
    let draw = |text: &str, dtype| generate::parse(text).unwrap().tensor(dtype);
    let normal = draw("normal(seed=7, [2, 500])", DType::Float32);
    assert_eq!((normal.shape(), normal.dtype()), (&[2, 500][..], DType::Float32));
    let values = normal.to_f64();
    let mean = values.iter().sum::<f64>() / 1000.0;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1000.0;
    assert!(mean.abs() < 0.1 && (variance - 1.0).abs() < 0.15, "{mean} {variance}");
    assert_eq!(normal, draw("normal(seed=7, [2, 500])", DType::Float32));
    assert_ne!(normal, draw("normal(seed=8, [2, 500])", DType::Float32));
    let ints: BTreeSet<i64> =
        draw("ints(low=-1, high=2, [100])", DType::Int64).as_i64().unwrap().iter().copied().collect();
    assert_eq!(ints, BTreeSet::from([-1, 0, 1]));
    let uniform = draw("uniform(seed=1, low=2.5, high=3, [100])", DType::Float64).to_f64();
    assert!(uniform.iter().all(|v| (2.5..3.0).contains(v)));
    assert_eq!(draw("normal(seed=1, [])", DType::Float32).shape(), [0usize; 0]);
    for wrong in ["normal", "normal()", "gauss([1])", "normal([a])", "normal(low=1, [2])", "ints(low=3, high=3, [2])"] {
        assert!(generate::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn diagnostics_must_be_the_announced_ones() {
    let mut sources = Sources::default();
    let file = sources.add(Source::new("a.tri", "first\nsecond\nthird\n"));
    let other = sources.add(Source::new("b.tri", "first\nsecond\n"));
    let at = |file, span| Diagnostic::new(E0301, "inner dimensions differ").primary(file, span, "4 here");
    let second = Span::new(6, 12);
    let announced = |line, part: &str| Announced { line, code: "E0301".into(), part: part.into() };
    let misfits = |wanted: &[Announced], given: &[Diagnostic]| announced::misfits("a.tri", wanted, given, &sources);
    assert_eq!(misfits(&[], &[]), [""; 0]);
    assert_eq!(misfits(&[announced(2, "dimensions")], &[at(file, second)]), [""; 0]);
    assert_eq!(misfits(&[announced(2, "4 here")], &[at(file, second)]), [""; 0]);
    assert_eq!(misfits(&[announced(1, "dimensions")], &[at(file, second)]).len(), 2);
    assert_eq!(misfits(&[announced(2, "shapes")], &[at(file, second)]).len(), 2);
    assert_eq!(misfits(&[announced(2, "dimensions")], &[at(other, second)]).len(), 2);
    assert_eq!(misfits(&[announced(2, "dim"), announced(2, "dim")], &[at(file, second)]).len(), 1);
    assert_eq!(misfits(&[announced(2, "dim")], &[at(file, second), at(file, second)]).len(), 1);
    let warning = Diagnostic::new(W0101, "unused");
    assert_eq!(misfits(&[], &[warning]), ["unexpected, at no line of this file: W0101: unused"]);
}

#[test]
fn golden_files_are_compared_and_kept_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join("area/name.tri");
    std::fs::create_dir(folder.path().join("area")).unwrap();
    assert!(golden::check(&case, "ir", "one\n", false).unwrap_err().contains("TRITONC_BLESS=1"));
    golden::check(&case, "ir", "one\ntwo\n", true).unwrap();
    assert_eq!(golden::check(&case, "ir", "one\ntwo\n", false), Ok(()));
    let error = golden::check(&case, "ir", "one\n2\n", false).unwrap_err();
    assert!(error.contains("    one\n  - two\n") && error.contains("  + 2\n"), "{error}");
    // A difference in the last newline alone is one too.
    assert!(golden::check(&case, "ir", "one\ntwo", false).is_err());
    let wanted = BTreeSet::from([golden::folder(&case).join("ir")]);
    golden::check(&case, "pytorch.py", "x", true).unwrap();
    let orphan = golden::folder(&case).join("pytorch.py");
    assert_eq!(golden::orphans(folder.path(), &wanted, false).unwrap(), std::slice::from_ref(&orphan));
    assert_eq!(golden::orphans(folder.path(), &wanted, true).unwrap(), [""; 0].map(std::path::PathBuf::from));
    assert!(!orphan.exists() && golden::folder(&case).join("ir").exists());
    golden::orphans(folder.path(), &BTreeSet::new(), true).unwrap();
    assert!(!Path::new(&golden::folder(&case)).exists());
}
