//! The helpers of the target `python` against torch, at the numbers where plain Python raises: `tests/python/helpers.py`.

use std::process::Command;

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn helpers_compute_what_torch_does() {
    let python = std::env::var("TRITONC_PYTHON").unwrap_or_else(|_| "python3".into());
    let root = env!("CARGO_MANIFEST_DIR");
    let script = format!("{root}/tests/python/helpers.py");
    let output = Command::new(&python).arg(script).arg(format!("{root}/templates/python/helpers")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "16368 results\n");
}
