use super::*;
use crate::types::Tensor;
use crate::weights::{FileFormat, WeightSet, map_file};
use std::path::Path;

fn checkpoint(tensors: &[(&str, &[usize])]) -> Checkpoint {
    // Every element is its position plus a hundred for each tensor before.
    let tensor = |index: usize, shape: &[usize]| {
        let count: usize = shape.iter().product();
        Tensor::from_f32(shape.to_vec(), (0..count).map(|at| (100 * index + at) as f32).collect())
    };
    let tensors = tensors.iter().enumerate().map(|(index, (name, shape))| (name.to_string(), tensor(index, shape)));
    let set = WeightSet { tensors: tensors.collect(), metadata: BTreeMap::new() };
    Checkpoint::of(Path::new("w.safetensors"), FileFormat::Safetensors, set)
}

fn rename(rules: &[&str], names: &[&str]) -> Result<Vec<String>, Vec<String>> {
    let map = NameMap { rules: rules.iter().map(|rule| Rule::parse(rule).unwrap()).collect() };
    let tensors: Vec<(&str, &[usize])> = names.iter().map(|name| (*name, &[2usize][..])).collect();
    Ok(map.apply(checkpoint(&tensors))?.tensors().map(|(name, _)| name.to_string()).collect())
}

fn mapped(file: &str, tensors: &[(&str, &[usize])]) -> Result<View, Vec<String>> {
    map_file::parse(file).unwrap().apply(checkpoint(tensors))
}

fn values(view: &View, name: &str) -> (Vec<usize>, Vec<f64>) {
    let derived = view.get(name).unwrap_or_else(|| panic!("{name}"));
    let tensor = view.tensor(name).unwrap();
    assert_eq!((tensor.dtype(), tensor.shape()), (derived.dtype, &derived.shape[..]));
    (tensor.shape().to_vec(), tensor.to_f64())
}

#[test]
fn names_change_and_the_last_rule_counts() {
    let names = ["model.layers.0.q", "model.layers.10.q", "model.norm", "lm_head"];
    let renamed = rename(&["model.*=*", "model.layers.{n}.q=blocks.{n}.attn.q", "lm_head="], &names).unwrap();
    assert_eq!(renamed, ["blocks.0.attn.q", "blocks.10.attn.q", "norm"]);
    assert_eq!(rename(&[], &names).unwrap().len(), 4);
}

#[test]
fn what_cannot_be_renamed_is_told_all_at_once() {
    let problems = rename(&["modle.norm=norm", "a.{n}=same", "*.gone=x.*"], &["a.1", "a.2", "model.norm"]).unwrap_err();
    assert_eq!(
        problems,
        [
            "`modle.norm` matches no tensor; did you mean `model.norm`?",
            "`*.gone` matches no tensor; they are called `a.1`, `a.2`, `model.norm`",
            "`a.1` and `a.2` both become `same`",
        ]
    );
    assert_eq!(rename(&["a=b"], &["a", "b"]).unwrap_err(), ["`b` and `a` both become `b`"]);
}

#[test]
fn tensors_are_transposed_joined_and_split() {
    let file = r#"
        [[rule]]
        from = "t"
        to = "turned"
        transpose = true

        [[rule]]
        from = "e.{e}"
        to = "experts"
        stack = 0

        [[rule]]
        from = ["q", "k"]
        to = "qk"
        concat = -1
        transpose = [1, 0]

        [[rule]]
        from = "s"
        to = ["left", "right"]
        split = 1
        sizes = [1, 2]
    "#;
    let tensors: &[(&str, &[usize])] =
        &[("t", &[2, 3]), ("e.10", &[1]), ("e.9", &[1]), ("q", &[1, 2]), ("k", &[2, 2]), ("s", &[2, 3])];
    // Experts 0 to 8 are not there.
    assert_eq!(mapped(file, tensors).unwrap_err(), ["`experts` lacks a part: there is no {e} = 0, but 10"]);
    let tensors: &[(&str, &[usize])] =
        &[("t", &[2, 3]), ("e.1", &[2]), ("e.0", &[2]), ("q", &[1, 2]), ("k", &[2, 2]), ("s", &[2, 3])];
    let view = mapped(file, tensors).unwrap();
    assert_eq!(values(&view, "turned"), (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
    assert_eq!(values(&view, "experts"), (vec![2, 2], vec![200.0, 201.0, 100.0, 101.0]));
    assert_eq!(values(&view, "qk"), (vec![2, 3], vec![300.0, 400.0, 402.0, 301.0, 401.0, 403.0]));
    assert_eq!(values(&view, "left"), (vec![2, 1], vec![500.0, 503.0]));
    assert_eq!(values(&view, "right"), (vec![2, 2], vec![501.0, 502.0, 504.0, 505.0]));
    assert_eq!(view.tensors().count(), 5);
}

#[test]
fn shapes_that_do_not_go_together_are_told() {
    for (rule, tensors, problem) in [
        ("from = 'a'\nto = 'b'\ntranspose = true", &[("a", &[3usize][..])][..], "`b`: a tensor with 1 dims cannot"),
        ("from = 'a'\nto = 'b'\ntranspose = [0, 0]", &[("a", &[3, 3])], "`b`: the axes [0, 0] are not those"),
        ("from = ['a', 'c']\nto = 'b'\nstack = 0", &[("a", &[3]), ("c", &[2])], "they cannot be stacked"),
        ("from = ['a', 'c']\nto = 'b'\nconcat = 1", &[("a", &[3, 1]), ("c", &[2, 1])], "cannot be concatenated"),
        ("from = ['a', 'c']\nto = 'b'\nconcat = 0", &[("a", &[3, 1]), ("c", &[2])], "cannot be concatenated"),
        ("from = ['a', 'c']\nto = 'b'\nconcat = 2", &[("a", &[3]), ("c", &[2])], "there is no axis 2"),
        ("from = 'a'\nto = ['b', 'c']\nsplit = 0", &[("a", &[3])], "axis 0 of size 3 has no 2 equal parts"),
        ("from = 'a'\nto = ['b', 'c']\nsplit = 0\nsizes = [1, 1]", &[("a", &[3])], "do not add up to 3"),
    ] {
        let problems = mapped(&format!("[[rule]]\n{rule}"), tensors).unwrap_err();
        assert!(problems.iter().any(|found| found.contains(problem)), "{rule}: {problems:?}");
    }
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    for (rule, problem) in [
        ("a", "there is no `=`"),
        ("=a", "`` is empty"),
        ("a.{n}=b.{m}", "`b.{m}` has `{m}`, which `a.{n}` does not capture"),
        ("a.*=b", "differ in how many `*`"),
    ] {
        assert!(Rule::parse(rule).unwrap_err().contains(problem), "{rule}");
    }
    for (file, problem) in [
        ("[[rule]]\nfrom = 'a'", "rule 1: a rule has `from` and `to`, or `drop`"),
        ("[[rule]]\nfrom = 'a'\nto = 'b'\nstack = 0\nconcat = 0", "rule 1: `stack` and `concat` do not go together"),
        ("[[rule]]\ndrop = 'a'\nto = 'b'", "rule 1: `drop` stands alone"),
        ("[[rule]]\nfrom = 'a'\nto = ['b', 'c']", "rule 1: `to` is one name"),
        ("[[rule]]\nfrom = 'a'\nto = 'b'\nsplit = 0", "rule 1: `split` needs at least two names"),
        ("[[rule]]\nfrom = 'a'\nto = 'b'\nsizes = [1]", "rule 1: `sizes` goes with `split`"),
        ("[[rule]]\nfrom = 'a'\nto = 'b'\nflip = true", "line 4, column 1: unknown field `flip`"),
        ("[[rule]]\nfrom = []\nto = 'b'", "rule 1: a rule needs at least one name"),
        ("[names]\n'a' = 1", "`names`: the value of \"a\" is no text"),
        ("[names", "line 1, column 7"),
    ] {
        let error = map_file::parse(file).unwrap_err();
        assert!(error.contains(problem), "{file}: {error}");
    }
    let plain = map_file::parse("[names]\n'a' = 'b'\n'c' = ''").unwrap();
    assert_eq!(plain.rules, [Rule::parse("a=b").unwrap(), Rule::parse("c=").unwrap()]);
}
