//! Emitted C and what is wrong with what it is given: error codes, never anything undefined.

use std::path::{Path, PathBuf};
use std::process::Command;
use tritonc::driver::options::{Simd, WeightsForm};
use tritonc::driver::{BuildRequest, EntryRequest, RunRequest, Session, SessionOptions, artifact};
use tritonc::weights::{WeightSet, encode};

const PROGRAM: &str = "\
layer Linear(in_features: int, out_features: int) {
    @quantize(ternary(axis=0))
    param weight: float32[out_features, in_features]
    param bias: float32[out_features] = zeros()

    fn forward(x: float32[B, in_features]) -> float32[B, out_features] = x @ weight.T + bias
}

layer Net(hidden: int = 6) {
    let fc1 = Linear(5, hidden)
    let fc2 = Linear(hidden, 3)
    state calls: int32 = 0

    fn forward(x: float32[B, 5], scale: float32 = None) -> float32[B, 3] {
        calls = calls + 1
        let y = fc2(relu(fc1(x)))
        if scale == None { return y }
        return y * scale
    }

    @export
    fn pick(x: float32[N], at: int64) -> float32 {
        assert at != 7, \"seven is no position\"
        return x[at]
    }
}
";

fn compiler() -> String {
    std::env::var("CC").unwrap_or_else(|_| "cc".to_string())
}

/// The files of the program in a folder.
fn build(folder: &Path, expr: &str, form: WeightsForm) -> Vec<PathBuf> {
    let source = folder.join("net.tri");
    std::fs::write(&source, PROGRAM).unwrap();
    let source = source.to_string_lossy().into_owned();
    let entry = EntryRequest { expr: Some(expr.to_string()), ..EntryRequest::default() };
    let mut session = Session::new(SessionOptions::default());
    let run = RunRequest { entry: entry.clone(), keep_weights: true, seed: 3, ..RunRequest::default() };
    let ran = session.run(&source, &run, &mut std::io::sink());
    let tensors = ran.unwrap_or_else(|_| panic!("{}", session.render())).weights;
    let weights = folder.join("weights.safetensors");
    std::fs::write(&weights, encode(&weights, &WeightSet { tensors, ..WeightSet::default() }).unwrap()).unwrap();
    let request = BuildRequest {
        entry,
        targets: vec!["c".to_string()],
        weights: Some(weights),
        weights_form: Some(form),
        bounds: vec![("B".to_string(), vec![4]), ("N".to_string(), vec![8])],
        ..BuildRequest::default()
    };
    let built = session.build(&source, &request);
    let built = built.unwrap_or_else(|_| panic!("{}", session.render()));
    artifact::write_all(folder, &built).unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn what_is_wrong_has_a_code() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    build(folder.path(), "Net()", WeightsForm::Array);
    build(other.path(), "Net(hidden=8)", WeightsForm::File);
    let harness = folder.path().join("errors.c");
    std::fs::write(&harness, include_str!("c/errors.c")).unwrap();
    let program = folder.path().join("errors");
    let sources = ["errors.c", "net.c", "net_weights.c"].map(|name| folder.path().join(name));
    let flags = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];
    let sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    run(Command::new(compiler()).args(flags).args(sanitizers).arg("-o").arg(&program).args(&sources).arg("-lm"));
    let said = run(Command::new(&program).arg(other.path().join("net.weights")));
    assert_eq!(said, "done\n");
}

#[test]
fn a_size_without_a_bound_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("net.tri");
    std::fs::write(&source, PROGRAM).unwrap();
    let mut session = Session::new(SessionOptions::default());
    let entry = EntryRequest { expr: Some("Net()".to_string()), ..EntryRequest::default() };
    let request = BuildRequest { entry, targets: vec!["c".to_string()], ..BuildRequest::default() };
    assert!(session.build(&source.to_string_lossy(), &request).is_err());
    let said = session.render();
    assert!(
        said.contains("error[E0609]: the size `B` has no bound, so that no memory can be planned for it"),
        "{said}"
    );
    assert!(said.contains("`--shape B=64`") && said.contains("`where B <= 64`"), "{said}");
}

#[test]
fn instruction_sets_are_for_targets_with_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("net.tri");
    std::fs::write(&source, PROGRAM).unwrap();
    let mut session = Session::new(SessionOptions::default());
    let targets = vec!["numpy".to_string()];
    let request = BuildRequest { targets, simd: Some(Simd::None), ..BuildRequest::default() };
    assert!(session.build(&source.to_string_lossy(), &request).is_err());
    let said = session.render();
    let wanted = "error[E0407]: `--simd` is for targets that write vectors and threads themselves: numpy does not";
    assert!(said.contains(wanted) && said.contains("help: `--target c` does"), "{said}");
    let targets = vec!["numpy".to_string()];
    let request = BuildRequest { targets, threads: Some(4), ..BuildRequest::default() };
    let mut session = Session::new(SessionOptions::default());
    assert!(session.build(&source.to_string_lossy(), &request).is_err());
    assert!(session.render().contains("`--threads` is for targets"));
}
