//! The standard library: every module checks clean and its tests pass, whole models among them.

use std::path::{Path, PathBuf};
use tritonc::driver::{EntryRequest, Outcome, Session, SessionOptions, model};

/// The files of the library, those of subfolders among them.
fn modules() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
    let mut folders = vec![root];
    let mut modules = vec![];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "tri") {
                modules.push(path);
            }
        }
    }
    modules.sort();
    assert!(modules.len() > 5, "modules are missing: {modules:?}");
    modules
}

#[test]
fn modules_check_clean() {
    for path in modules() {
        let mut session = Session::new(SessionOptions::default());
        let outcome = session.check(&path.to_string_lossy());
        assert_eq!(outcome, Outcome::Done, "{}", session.render());
        assert!(session.diagnostics().is_empty(), "{}", session.render());
    }
}

#[test]
fn tests_of_modules_pass() {
    let mut count = 0;
    for path in modules() {
        let mut session = Session::new(SessionOptions::default());
        let Ok(report) = session.test(&path.to_string_lossy()) else { panic!("{}", session.render()) };
        let failed: Vec<_> = report.tests.iter().filter(|test| test.failure.is_some()).collect();
        assert!(failed.is_empty(), "{}: {failed:?}", path.display());
        count += report.tests.len();
    }
    assert!(count > 30, "only {count} tests were found");
}

/// What is published of a model: the number of its parameters, and the names of some tensors.
const PUBLISHED: &[(&str, &str, usize, &[&str])] = &[
    (
        "bert",
        "Bert()",
        109_482_240,
        &["encoder.layer.11.attention.self.query.weight", "encoder.layer.0.output.LayerNorm.bias"],
    ),
    ("gpt2", "GPT2()", 124_439_808, &["wte.weight", "h.11.attn.c_attn.bias", "ln_f.weight"]),
    (
        "llama",
        "Llama()",
        8_030_261_248,
        &["model.layers.31.self_attn.k_proj.weight", "model.layers.0.mlp.gate_proj.weight", "lm_head.weight"],
    ),
    ("mixtral", "Mixtral()", 46_702_792_704, &["model.layers.31.block_sparse_moe.gate.weight"]),
    ("sam", "ImageEncoder()", 89_670_912, &["blocks.11.attn.rel_pos_h", "neck.3.bias"]),
    ("t5", "T5Encoder()", 109_628_544, &["encoder.block.11.layer.1.DenseReluDense.wo.weight"]),
    ("vit", "VisionTransformer()", 86_567_656, &["blocks.11.mlp.fc2.weight", "cls_token"]),
];

#[test]
fn models_have_the_published_parameters() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib/models");
    for (name, entry, parameters, tensors) in PUBLISHED {
        let mut session = Session::new(SessionOptions::default());
        let request = EntryRequest { expr: Some(entry.to_string()), ..EntryRequest::default() };
        let Ok(module) = session.lower(&models.join(format!("{name}.tri")).to_string_lossy(), &request) else {
            panic!("{name}: {}", session.render());
        };
        let stored = model::storage(&module).unwrap_or_else(|diagnostic| panic!("{name}: {}", diagnostic.message));
        let count: usize = stored.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
        assert_eq!(count, *parameters, "{name}");
        for tensor in *tensors {
            assert!(stored.iter().any(|stored| stored.name == *tensor), "{name} has no {tensor}");
        }
    }
}
