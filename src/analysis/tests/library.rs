//! What is proved of the standard library.

use crate::analysis::Project;
use crate::analysis::check::{Checked, check};
use crate::analysis::db::items;
use crate::analysis::modules::STDLIB;
use crate::analysis::project::NoFiles;
use crate::base::{Source, Span};
use crate::ops::ObligationKind;
use crate::types::TensorType;

/// Of each item of a module what `collect` finds there: the place in its source, and what was found.
fn found(module: &str, collect: impl Fn(&Checked<'_>) -> Vec<(Span, String)>) -> Vec<(String, String)> {
    let mut project = Project::new();
    let text = STDLIB.iter().find(|(name, _)| *name == module).map_or("", |(_, text)| text);
    let (file, _) = project.open("main", Source::new("main.tri", text), &mut NoFiles);
    let db = project.database();
    let file = project.file(file).expect("it was opened");
    let mut all = vec![];
    for item in items(db, file) {
        let (name, text) = (item.name(db).as_deref().unwrap_or("test"), item.text(db));
        for (span, entry) in collect(check(db, *item)) {
            let line = text[span.start as usize..].lines().next().unwrap_or_default();
            all.push((format!("{name} at `{line}`"), entry));
        }
    }
    all
}

fn models() -> impl Iterator<Item = &'static str> {
    STDLIB.iter().map(|(module, _)| *module).filter(|module| module.starts_with("models."))
}

/// Models whose bounds are proved too.
const PROVED_BOUNDS: &[&str] =
    &["models.bert", "models.dlrm", "models.gpt2", "models.llama", "models.mixtral", "models.sam", "models.vit"];

/// Every size of every variable and result of a model is an expression over its sizes.
#[test]
fn models_have_no_unknown_sizes() {
    let mut types = 0;
    for module in models() {
        let inferred = found(module, |checked| {
            let shown = |ty: &Option<TensorType>| ty.as_ref().map_or("?".to_string(), TensorType::to_string);
            checked.inferred.iter().map(|(span, ty)| (*span, shown(ty))).collect()
        });
        types += inferred.len();
        // `[..., n]` has lost what stands before; a named pack (`...S`) has not.
        let lost = |ty: &str| ty.contains('?') || ty.contains("...,") || ty.contains("...]");
        let unknown: Vec<_> = inferred.iter().filter(|(_, ty)| lost(ty)).collect();
        assert!(unknown.is_empty(), "{module}: {unknown:#?}");
    }
    assert!(types > 30, "only {types} types were inferred");
}

/// No equality of sizes waits for the numbers of an instance. Bounds may where a model has windows: whether
/// they fit in an image depends on its size.
#[test]
fn models_are_proved_for_all_sizes() {
    for module in models() {
        let with_windows = !PROVED_BOUNDS.contains(&module);
        let unproved = found(module, |checked| {
            let open = checked.unproved.iter();
            let open = open.filter(|(_, o)| !with_windows || !matches!(o.kind, ObligationKind::AtLeast(..)));
            open.map(|(span, obligation)| (*span, obligation.message.clone())).collect()
        });
        assert!(unproved.is_empty(), "{module}: {unproved:#?}");
    }
}
