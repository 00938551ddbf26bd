use crate::analysis::{Loader, Project};
use crate::base::{Diagnostic, Source};
use std::collections::BTreeMap;

struct Files(BTreeMap<&'static str, &'static str>);

impl Loader for Files {
    fn load(&mut self, key: &str) -> Result<Option<Source>, Diagnostic> {
        Ok(self.0.get(key).map(|text| Source::new(format!("{key}.tri"), *text)))
    }
}

/// Code and message of everything in the project's files.
fn check(main: &str, others: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
    let mut project = Project::new();
    let mut loader = Files(others.iter().copied().collect());
    project.open("main", Source::new("main.tri", main), &mut loader);
    project.check_all().iter().map(|d| (d.code.to_string(), d.message.clone())).collect()
}

const SCALE: &str = "fn double(x: float32[N]) -> float32[N] = x * 2.0\nlayer Scale(n: int) {\n    param w: float32[n]\n    fn \
                     forward(x: float32[B, n]) -> float32[B, n] = x * w\n}\n";

#[test]
fn items_and_modules_are_imported() {
    let main = "use models.scale\nuse models.scale.{double}\nuse models.scale as s\nlet a = scale.Scale(3)\ntest \"t\" {\n    assert \
                double(a(ones([2, 3]))[0]).shape == [3]\n    assert s.double(ones([2])).shape == [2]\n}\n";
    assert_eq!(check(main, &[("models/scale", SCALE)]), vec![]);
}

#[test]
fn the_standard_library_has_folders() {
    let program = |item: &str| format!("use models.gpt2{item}\ntest \"t\" {{\n    let _ = ones([2])\n}}\n");
    for item in [" as g", ".{GPT2}", ".GPT2"] {
        let codes: Vec<String> = check(&program(item), &[]).into_iter().map(|(code, _)| code).collect();
        assert_eq!(codes, ["W0101"], "{item}");
    }
    assert_eq!(check(&program(".{GTP2}"), &[])[0].1, "module `models.gpt2` has no `GTP2`");
    let model = "use models.gpt2 as g\nlet m = g.GPT2(vocab=5, dim=6, heads=2, depth=1)\ntest \"t\" {\n    assert m(zeros([2, \
                 3], dtype=int64)).shape == [2, 3, 5]\n}\n";
    assert_eq!(check(model, &[]), vec![]);
    // A project's own module of this name goes first.
    assert_eq!(check("use models.gpt2.{double}\nlet a = double(ones([2]))\n", &[("models/gpt2", SCALE)]), vec![]);
}

#[test]
fn what_is_missing_is_reported_once() {
    let found = check("use models.scale.{Skale}\nlet a = Skale(3)\n", &[("models/scale", SCALE)]);
    assert_eq!(found, [("E0104".to_string(), "module `models.scale` has no `Skale`".to_string())]);
    let found = check("use modles.scale\nlet a = scale.Scale(3)\n", &[("models/scale", SCALE)]);
    assert_eq!(found[0].0, "E0103");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn modules_do_not_use_each_other() {
    let a = "use b.{g}\nfn f(x: float32[N]) -> float32[N] = g(x)\n";
    let b = "use main.{f}\nfn g(x: float32[N]) -> float32[N] = f(x)\n";
    let found = check(a, &[("b", b)]);
    assert_eq!(found.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), ["E0105", "E0105"], "{found:?}");
}
