//! The manager and the levels; each pass has tests of its own.

use super::testkit::module;
use super::*;
use crate::ir::Module;
use crate::ir::printer::print;
use std::sync::Arc;

#[test]
fn unknown_passes_are_refused() {
    let error = Pipeline::named(&["dcee"]).err().unwrap();
    assert_eq!((error.to_string().as_str(), error.near.as_deref()), ("unknown pass `dcee`", Some("dce")));
    assert_eq!(error.known, BUILT_IN.iter().map(|pass| pass.name).collect::<Vec<_>>());
    let selection = Selection { disabled: vec!["tidy".into()], ..Selection::default() };
    assert_eq!(Pipeline::select(&selection, Form::default(), &[]).err().unwrap().name, "tidy");
}

#[test]
fn levels_and_selections() {
    let names = |selection: &Selection| -> Vec<String> {
        Pipeline::select(selection, Form::default(), &[]).unwrap().names().map(str::to_string).collect()
    };
    assert!(names(&Selection { level: OptLevel::O0, ..Selection::default() }).is_empty());
    assert_eq!(names(&Selection { level: OptLevel::O1, ..Selection::default() }), ["fold", "cse", "dce"]);
    let without = Selection { disabled: vec!["cse".into()], level: OptLevel::O1, ..Selection::default() };
    assert_eq!(names(&without), ["fold", "dce"]);
    let only = Selection { only: Some(vec!["dce".into(), "decompose".into()]), ..without };
    assert_eq!(names(&only), ["dce", "decompose"]);
    let list = |style, mode, level| standard(Form { style, mode }, level).collect::<Vec<_>>();
    for mode in Mode::ALL {
        for style in Style::ALL {
            for pair in OptLevel::ALL.windows(2) {
                let [lower, higher] = [pair[0], pair[1]].map(|level| list(style, mode, level));
                assert!(lower.iter().all(|name| higher.contains(name)), "a level does all that the one below does");
            }
        }
        let [modules, kernels] = Style::ALL.map(|style| list(style, mode, OptLevel::O3));
        assert_eq!(modules, kernels, "what kernels are made from can be run through any target");
    }
}

const TWICE: &str = "func @f(%x: float32) -> float32 {
  %0 = exp %x : float32
  %1 = exp %x : float32
  return %1
}
";

#[test]
fn each_pass_is_reported_and_watched() {
    let pipeline = Pipeline::named(&["cse", "dce"]).unwrap();
    let mut stages = vec![];
    let mut watch = |stage: &Stage<'_>| stages.push((stage.number, stage.name.to_string(), print(stage.module)));
    let (after, reports) = run(module(TWICE), &pipeline, &mut watch).unwrap();
    let lines: Vec<String> = reports.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["cse: merged 1; 3 -> 2 instructions", "dce: nothing; 2 -> 2 instructions"]);
    let heads: Vec<(usize, &str)> = stages.iter().map(|(number, name, _)| (*number, name.as_str())).collect();
    assert_eq!(heads, [(0, "lowered"), (1, "cse"), (2, "dce")]);
    assert_eq!((stages[0].2.as_str(), &stages[2].2), (TWICE, &print(&after)));
}

/// Leaves a function without its terminator.
struct Broken;

impl Pass for Broken {
    fn name(&self) -> &str {
        "broken"
    }
    fn summary(&self) -> &str {
        "Break a rule."
    }
    fn run(&self, module: &mut Module, _cx: &mut PassCx) -> Result<(), PassError> {
        module.functions[0].body.insts.clear();
        Ok(())
    }
}

#[test]
fn a_pass_that_breaks_a_rule_is_named() {
    let added: [Arc<dyn Pass>; 1] = [Arc::new(Broken)];
    let pipeline = Pipeline::select(&Selection::default(), Form::default(), &added).unwrap();
    assert_eq!(pipeline.names().last(), Some("broken"), "added passes come last");
    let error = run(module(TWICE), &pipeline, &mut |_| {}).err().unwrap();
    assert_eq!(error.pass, "broken");
    assert!(error.message.contains("terminator") || error.message.contains("return"), "{error}");
}

#[test]
fn the_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/passes.md");
    let page = reference();
    if std::env::var_os("TRITONC_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page, "TRITONC_BLESS=1 writes the page");
}
