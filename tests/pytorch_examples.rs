//! The PyTorch target on whole programs: examples and standard layers against the interpreter, user templates,
//! and what is said about broken ones.
//!
//! What is executed needs a Python with torch: the one that `TRITONC_PYTHON` names, else `python3`; so those
//! tests are ignored unless they are asked for (`-- --ignored`, or `./test`).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The Python to run what is emitted.
///
/// # Panics
/// If it lacks what the tests need.
fn python() -> PathBuf {
    let name = std::env::var("TRITONC_PYTHON").unwrap_or_else(|_| "python3".into());
    let wanted = "import numpy, safetensors, sklearn, torch";
    let found = Command::new(&name).args(["-c", wanted]).output().is_ok_and(|o| o.status.success());
    assert!(found, "{name} cannot `{wanted}`: set TRITONC_PYTHON");
    PathBuf::from(name)
}

/// Everything that a process printed.
fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn examples_and_layers_agree_with_the_interpreter() {
    let output = Command::new(python())
        .arg(Path::new(ROOT).join("tests/pytorch/parity.py"))
        .arg(env!("CARGO_BIN_EXE_tritonc"))
        .arg(Path::new(ROOT).join("examples"))
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", text(&output));
}

/// Models of the standard library, in the interpreter and emitted, against PyTorch code that is not ours.
#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn models_agree_with_independent_references() {
    let output = Command::new(python())
        .arg(Path::new(ROOT).join("tests/pytorch/references.py"))
        .arg(env!("CARGO_BIN_EXE_tritonc"))
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", text(&output));
}

/// Trains ternary weights on real digits with the emitted module, packs them, and has the packed module and
/// the interpreter agree on the whole test set.
#[test]
#[ignore = "needs a Python with torch and scikit-learn: ./test runs it"]
fn digits_are_trained_packed_and_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(python())
        .arg(Path::new(ROOT).join("examples/digits_train.py"))
        .args(["--tritonc", env!("CARGO_BIN_EXE_tritonc"), "-o"])
        .arg(folder.path())
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", text(&output));
    for file in ["digits.safetensors", "digits.npy", "digits_labels.npy"] {
        assert!(folder.path().join(file).is_file(), "{file} is missing:\n{}", text(&output));
    }
}

/// `tritonc build` of a program, with these template files laid over the built-in ones.
fn build(program: &str, templates: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("net.tri"), program).expect("written");
    std::fs::create_dir_all(folder.path().join("mine/pytorch")).expect("made");
    for (name, text) in templates {
        std::fs::write(folder.path().join("mine/pytorch").join(name), text).expect("written");
    }
    Command::new(env!("CARGO_BIN_EXE_tritonc"))
        .args(["build", "net.tri", "--target", "pytorch", "--templates", "mine", "--error-format", "short"])
        .current_dir(folder.path())
        .output()
        .expect("tritonc runs")
}

const NET: &str = "layer Net {\n    fn forward(x: float32[B]) -> float32[B] = relu(exp(x))\n}\n";

#[test]
fn templates_of_a_user_take_the_place_of_built_in_ones() {
    let table = "[ops]\nexp = \"torch.expm1({x}) + 1.0\"\n[composites]\n\"activations.relu\" = \"mine.relu({x})\"\n";
    let layer = "# A layer of mine.\nclass {{ layer.name }}(nn.Module):\n{% for method in layer.methods %}\n\
                 {{ method }}\n{% endfor %}\n";
    let output = build(NET, &[("ops.toml", table), ("layer.py.jinja", layer)]);
    let code = text(&output);
    assert!(output.status.success(), "{code}");
    assert!(code.contains("# A layer of mine.\nclass Net(nn.Module):\n"), "{code}");
    assert!(code.contains("return mine.relu(torch.expm1(x) + 1.0)"), "{code}");
}

#[test]
fn a_mapped_function_is_written_as_its_map_says() {
    let net = "@map(pytorch=\"torch.special.bessel_j0({x}) * {k}\")\nfn bessel(x: float32[B], k: float = 2.0) -> \
               float32[B] = x * k\nlayer Net {\n    fn forward(x: float32[B]) -> float32[B] = bessel(x + 1.0)\n}\n";
    let output = build(net, &[]);
    let code = text(&output);
    assert!(output.status.success() && code.contains("return torch.special.bessel_j0(x + 1.0) * 2.0"), "{code}");
    assert!(!code.contains("def bessel"), "{code}");
}

#[test]
fn broken_maps_and_templates_are_reported_where_they_are() {
    let fails = |net: &str, templates: &[(&str, &str)], want: &str| {
        let output = build(net, templates);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(want), "{want}\nis not in\n{said}");
    };
    let mapped = |map: &str| {
        format!("@map(pytorch=\"{map}\")\nfn f(x: float32[B]) -> float32[B] = x * 2.0\n{}", NET.replace("exp", "f"))
    };
    fails(&mapped("torch.foo({x}"), &[], "net.tri:2:4: error[E0604]: `@map` of `f` for pytorch: expected `)`");
    fails(&mapped("torch.foo({y})"), &[], "net.tri:2:4: error[E0604]: the pytorch form of `f` names `{y}`");
    fails(&mapped("import os"), &[], "net.tri:2:4: error[E0604]");
    fails(NET, &[("ops.toml", "[ops]\n\nexp = \"{y}\"\n")], "ops.toml:3: `exp`: the operation has no parameter `y`");
    let composite = "[composites]\n\"activations.relu\" = \"F.relu({z})\"\n";
    fails(NET, &[("ops.toml", composite)], "ops.toml:2: `activations.relu`: the function has no parameter `z`");
    fails(NET, &[("layer.py.jinja", "class\n{{ layer.name\n")], "E0604");
    fails(NET, &[("layer.py.jinja", "class\n{{ layer.nam }}\n")], "mine/pytorch/layer.py.jinja:2: ");
    fails(NET, &[("model.py.jinja", "{% if %}\n")], "mine/pytorch/model.py.jinja:1: ");
}
