//! Quantised codes against a computation with NumPy that knows nothing of this program: `tests/numpy/schemes.py`.

use std::process::Command;

/// Runs the script; what it has compared.
fn compare(what: &[&str]) -> String {
    let python = std::env::var("TRITONC_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/numpy/schemes.py");
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(&python)
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_tritonc"))
        .args(what)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs a Python with NumPy: ./test runs it"]
fn files_and_interpreter_have_the_codes_of_numpy() {
    assert_eq!(compare(&[]), "1179 tensors of files, 1227 of the interpreter\n");
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn pytorch_packs_the_codes_of_numpy() {
    assert_eq!(compare(&["torch"]), "594 tensors of PyTorch\n");
}
