//! Every program in `examples/` is checked, its tests are run, and it is run itself.

use std::path::{Path, PathBuf};
use tritonc::driver::{EntryRequest, Mode, Outcome, RunRequest, Session, SessionOptions};
use tritonc::types::Tensor;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn example(name: &str) -> String {
    root().join("examples").join(name).to_string_lossy().into_owned()
}

fn programs() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".tri"))
        .collect();
    names.sort();
    assert!(names.len() >= 8, "examples are missing: {names:?}");
    names
}

fn session() -> Session {
    Session::new(SessionOptions::default())
}

/// The modes that a program is for: quantised weights are trained in one of them.
fn modes(name: &str) -> &'static [Mode] {
    if name == "digits_train.tri" { &[Mode::Train] } else { &[Mode::Infer, Mode::Train] }
}

#[test]
fn examples_check_clean() {
    for name in programs() {
        let mut session = session();
        assert_eq!(session.check(&example(&name)), Outcome::Done, "{name}:\n{}", session.render());
        assert!(session.diagnostics().is_empty(), "{name}:\n{}", session.render());
    }
}

#[test]
fn tests_of_examples_pass() {
    for name in programs() {
        let mut session = session();
        let Ok(report) = session.test(&example(&name)) else { panic!("{name}:\n{}", session.render()) };
        let failed: Vec<_> = report.tests.iter().filter(|test| test.failure.is_some()).collect();
        assert!(failed.is_empty(), "{name}: {failed:?}");
    }
}

#[test]
fn examples_run() {
    // A model whose input may have any shape needs one to be given.
    let shapes = [("classic_functional.tri", ("x", vec![2, 128]))];
    for name in programs() {
        let mut session = session();
        let shapes = shapes.iter().filter(|(example, _)| *example == name);
        let shapes = shapes.map(|(_, (input, shape))| (input.to_string(), shape.clone())).collect();
        let mut printed: Vec<u8> = vec![];
        let mode = modes(&name)[0];
        let entry = EntryRequest { shapes, mode, ..EntryRequest::default() };
        let request = RunRequest { entry, ..RunRequest::default() };
        let Ok(result) = session.run(&example(&name), &request, &mut printed) else {
            panic!("{name}:\n{}", session.render())
        };
        assert!(!result.outputs.is_empty() || !printed.is_empty(), "{name} shows nothing");
        for output in &result.outputs {
            assert!(output.to_f64().iter().all(|x| x.is_finite()), "{name} gives values that are not finite");
        }
    }
}

#[test]
fn examples_have_at_least_one_entry_that_lowers_in_both_modes() {
    for name in programs() {
        for mode in modes(&name).iter().copied() {
            let mut session = session();
            let shapes = vec![("x".to_string(), vec![2, 128])];
            let entry = EntryRequest { mode, shapes, ..EntryRequest::default() };
            let is_script = name == "classic_tensors.tri" || name == "classic_matmul.tri";
            if !is_script && session.lower(&example(&name), &entry).is_err() {
                panic!("{name}:\n{}", session.render());
            }
        }
    }
}

fn read(name: &str) -> Tensor {
    let set = tritonc::weights::load(&root().join("examples").join(name)).unwrap();
    set.tensors.into_values().next().unwrap()
}

/// A training loop in Tri alone: the loss falls at each step.
#[test]
fn descent_learns_digits() {
    let mut session = session();
    let request = RunRequest {
        inputs: vec![
            ("x".into(), PathBuf::from(example("digits.npy"))),
            ("classes".into(), PathBuf::from(example("digits_labels.npy"))),
        ],
        ..RunRequest::default()
    };
    let Ok(result) = session.run(&example("digits_descent.tri"), &request, &mut std::io::sink()) else {
        panic!("{}", session.render());
    };
    let losses = result.outputs[0].to_f64();
    assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    assert!((2.0..3.0).contains(&losses[0]) && losses[losses.len() - 1] < 0.2, "{losses:?}");
    assert_eq!(result.outputs[1].to_f64(), [1.0]);
}

/// Adam over the instance itself, whose ternary weights are rounded where they are used.
#[test]
fn digits_are_trained_by_a_function() {
    let mut session = session();
    let request = RunRequest {
        inputs: vec![
            ("x".into(), PathBuf::from(example("digits.npy"))),
            ("classes".into(), PathBuf::from(example("digits_labels.npy"))),
        ],
        entry: EntryRequest { mode: Mode::Train, ..EntryRequest::default() },
        ..RunRequest::default()
    };
    let Ok(result) = session.run(&example("digits_train.tri"), &request, &mut std::io::sink()) else {
        panic!("{}", session.render());
    };
    let losses = result.outputs[0].to_f64();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert_eq!(losses.len(), 60);
    assert!((2.0..3.0).contains(&losses[0]), "{losses:?}");
    assert!(mean(&losses[50..]) < 0.2 * mean(&losses[..10]), "{losses:?}");
    assert!(result.outputs[1].to_f64()[0] >= 0.95, "{:?}", result.outputs[1]);
    // Packed weights have no float values to step from.
    let request = RunRequest { entry: EntryRequest::default(), ..request };
    assert!(session.run(&example("digits_train.tri"), &request, &mut std::io::sink()).is_err());
    assert!(session.render().contains("`fc1.weight` is packed"), "{}", session.render());
}

/// The newcomer's first command: real digits through trained ternary weights.
#[test]
fn digits_are_recognised() {
    let mut session = session();
    let request = RunRequest {
        inputs: vec![("x".into(), PathBuf::from(example("digits.npy")))],
        weights: Some(PathBuf::from(example("digits.safetensors"))),
        ..RunRequest::default()
    };
    let Ok(result) = session.run(&example("digits.tri"), &request, &mut std::io::sink()) else {
        panic!("{}", session.render())
    };
    let (found, labels) = (result.outputs[0].to_f64(), read("digits_labels.npy").to_f64());
    assert_eq!(found.len(), labels.len());
    let right = found.iter().zip(&labels).filter(|(a, b)| a == b).count();
    assert!(right * 100 >= labels.len() * 95, "{right} of {} digits are right", labels.len());
}
