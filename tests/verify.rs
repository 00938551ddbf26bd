//! `tritonc verify`: what agrees, what does not and where, and what is said when a tool is missing.
//!
//! What executes targets needs the Python that `TRITONC_PYTHON` names, else `python3`, with torch and whatever else they
//! need; so those tests are ignored unless they are asked for (`-- --ignored`, or `./test`).

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tritonc::targets;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

struct Run {
    status: i32,
    out: String,
    err: String,
}

/// `tritonc verify` in a folder, with a Python of one's own if one is given.
fn verify(folder: &Path, arguments: &[&str], python: Option<&str>) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tritonc"));
    command.arg("verify").args(arguments).current_dir(folder);
    if let Some(python) = python {
        command.env("TRITONC_PYTHON", python);
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

const NET: &str = "use nn.{Linear}

layer Feed(dim: int) {
    let up = Linear(dim, 2 * dim)
    let down = Linear(2 * dim, dim)

    fn forward(x: float32[..., dim]) -> float32[..., dim] = down(gelu(up(x)))
}

layer Net(dim: int = 4) {
    let first = Linear(dim, dim)
    let feed = [Feed(dim) for _ in 0..2]
    let last = Linear(dim, dim)

    fn forward(x: float32[B, dim], mask: bool[B] = None) -> (float32[B, dim], int64[B]) {
        let y = relu(first(x))
        for f in feed { y += f(y) }
        if mask != None { y = where(mask.unsqueeze(-1), y, 0.0) }
        let z = last(y)
        return z, argmax(z, axis=-1)
    }
}
";

/// A folder with a program, and a table laid over PyTorch's own.
fn folder(program: &str, table: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.tri"), program).unwrap();
    std::fs::create_dir_all(folder.path().join("wrong/pytorch")).unwrap();
    std::fs::write(folder.path().join("wrong/pytorch/ops.toml"), table).unwrap();
    folder
}

/// The rows of a table: target, method, status.
fn rows(out: &str) -> Vec<(String, String, String)> {
    let lines = out.lines().skip(1).take_while(|line| !line.is_empty());
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let statuses = ["ok", "DIFFERS", "skipped", "FAILED"];
        let status = words.iter().find(|word| statuses.contains(word)).copied().unwrap_or("?");
        (words[0].to_string(), words[1].to_string(), status.to_string())
    };
    lines.map(row).collect()
}

fn row(target: &str, method: &str, status: &str) -> (String, String, String) {
    (target.to_string(), method.to_string(), status.to_string())
}

fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(ROOT).join("examples")).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "tri"));
    found.sort();
    assert!(found.len() >= 9, "{found:?}");
    found
}

fn is_script(path: &Path) -> bool {
    ["classic_matmul", "classic_tensors"].iter().any(|name| path.file_stem().is_some_and(|stem| stem == *name))
}

/// What an example needs: one trains, for which a few steps are enough here.
fn own_arguments(path: &Path, mode: &str) -> Vec<String> {
    let trains = path.file_stem().is_some_and(|stem| stem == "digits_train");
    let own = if trains { vec!["--mode", "train", "--entry", "Training(steps=3)"] } else { vec!["--mode", mode] };
    own.into_iter().map(str::to_string).collect()
}

/// The targets that can be executed.
fn executed_targets() -> Vec<&'static str> {
    targets::all().filter(|target| target.runner().is_some()).map(|target| target.name()).collect()
}

/// Every example on the subject of this name.
fn verify_examples(mode: &str, subject: &str, arguments: &[&str]) {
    let arguments = &[&["--targets", subject, "--grad"], arguments].concat();
    for example in examples() {
        let path = example.to_string_lossy().into_owned();
        let own = own_arguments(&example, mode);
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let run = verify(Path::new(ROOT), &[&[path.as_str()], own.as_slice(), arguments.as_slice()].concat(), None);
        if is_script(&example) {
            assert_eq!(run.status, 1, "{path}: {}{}", run.out, run.err);
            assert!(run.err.starts_with("error[E0405]: the file is a script: there is no entry to be verified"));
            continue;
        }
        let joins_modes = targets::find(subject).is_some_and(|target| target.joins_modes());
        if own.contains(&"Training(steps=3)") && joins_modes {
            // Its evaluation would need float values that are packed then, so it has no module.
            let refused = run.out.contains(&format!("{subject}, forward failed: E0608: "));
            assert!(run.status == 3 && refused, "{}{}", run.out, run.err);
            continue;
        }
        assert_eq!(run.status, 0, "{path}: {}{}", run.out, run.err);
        let rows = rows(&run.out);
        assert!(!rows.is_empty() && rows.iter().all(|(_, _, status)| status == "ok"), "{path}: {}", run.out);
    }
}

#[test]
fn examples_agree_after_the_passes_of_every_level() {
    verify_examples("infer", "interp", &[]);
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn examples_agree_on_every_target() {
    for target in executed_targets() {
        verify_examples("infer", target, &[]);
        verify_examples("train", target, &["--seed", "3"]);
    }
}

#[test]
fn missing_tools_are_skipped_unless_they_are_asked_for() {
    let folder = folder(NET, "");
    let run = verify(folder.path(), &["net.tri"], Some("/no/such/python"));
    assert_eq!((run.status, run.err.as_str()), (0, ""), "{}", run.out);
    let levels = ["interp-1", "interp-2", "interp-3"];
    let mut expected: Vec<_> =
        levels.iter().flat_map(|level| ["forward", "forward(mask)"].map(|method| row(level, method, "ok"))).collect();
    for target in executed_targets() {
        // What is no Python runs without one.
        if matches!(targets::find(target).and_then(|target| target.runner()), Some(targets::Runner::C)) {
            expected.extend(["forward", "forward(mask)"].map(|method| row(target, method, "ok")));
            continue;
        }
        expected.extend(["forward", "forward(mask)"].map(|method| row(target, method, "skipped")));
        let why = format!(
            "\n{target} skipped: `/no/such/python` does not run: no such file or directory; TRITONC_PYTHON names the \
             Python to use\n"
        );
        assert!(run.out.contains(&why), "{}", run.out);
    }
    assert_eq!(rows(&run.out), expected);

    let run = verify(folder.path(), &["net.tri", "--targets", "interp-2,pytorch"], Some("/no/such/python"));
    assert_eq!(run.status, 3, "{}", run.out);
    assert_eq!(rows(&run.out)[2], row("pytorch", "forward", "FAILED"));

    let run = verify(folder.path(), &["net.tri", "--targets", "pytroch"], None);
    assert_eq!((run.status, run.out.as_str()), (1, ""));
    assert!(run.err.contains("E0601") && run.err.contains("did you mean `pytorch`?"), "{}", run.err);
}

#[test]
fn what_is_wrong_with_the_program_is_told_as_ever() {
    let folder = folder(NET, "");
    for (arguments, message) in [
        (&["net.tri", "--shape", "y=2,4"][..], "error[E0804]: the model has no input `y`"),
        (&["net.tri", "--method", "backward"], "error[E0407]: layer `Net` has no method `backward` that can be run"),
        (&["net.tri", "--weights", "none.safetensors"], "error[E0801]: `none.safetensors` cannot be read"),
        (&["net.tri", "--passes", "foldd"], "error[E0606]: unknown pass `foldd`"),
        (&["none.tri"], "error[E0801]: `none.tri` cannot be read"),
    ] {
        let run = verify(folder.path(), arguments, None);
        assert_eq!((run.status, run.out.as_str()), (1, ""), "{arguments:?}");
        assert!(run.err.starts_with(message), "{arguments:?}: {}", run.err);
    }
}

const METHODS: &str = "layer Counter {
    state count: int64 = zeros()
    @transient state seen: float32[3] = zeros()
    param weight: float32[5, 3]

    @export
    fn at(i: int64[N], pos: int) -> float32[N, 3] = take(weight, i, axis=0) * pos

    @export
    fn bump(x: float32[N, 3]) -> (float32[1], int64) {
        count += 1
        seen = exp(x.sum(axis=0))
        return seen[:1], count
    }

    fn forward(x: float32[N, 3]) -> float32[N, 3] = x * weight[0]
}
";

#[test]
fn every_exported_method_is_run() {
    let folder = folder(METHODS, "");
    let run = verify(folder.path(), &["net.tri", "--targets", "interp-2"], None);
    assert_eq!(run.status, 0, "{}{}", run.out, run.err);
    let expected = [row("interp-2", "forward", "ok"), row("interp-2", "bump", "ok"), row("all", "at", "skipped")];
    assert_eq!(rows(&run.out), expected, "{}", run.out);
    assert!(run.out.ends_with("all skipped: the number `pos` is missing: give it with `--input pos=NUMBER`\n"));
    let run = verify(folder.path(), &["net.tri", "--targets", "interp-2", "--input", "pos=2"], None);
    let expected = ["forward", "at", "bump"].map(|method| row("interp-2", method, "ok"));
    assert_eq!(rows(&run.out), expected, "{}{}", run.out, run.err);
    let run = verify(folder.path(), &["net.tri", "--method", "at"], None);
    assert!(run.status == 1 && run.err.contains("the number `pos` is missing"), "{}", run.err);
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn state_and_numbers_agree_on_every_target() {
    let folder = folder(METHODS, "");
    for target in executed_targets() {
        let run = verify(folder.path(), &["net.tri", "--targets", target, "--input", "pos=2", "--grad"], None);
        let mut expected = ["forward", "at", "bump"].map(|method| row(target, method, "ok")).to_vec();
        // Gradients do not pass through state.
        expected.push(row("all", "bump", "skipped"));
        assert_eq!((run.status, rows(&run.out)), (0, expected), "{}{}", run.out, run.err);
        assert!(run.out.contains("all skipped: no gradients: E0607: "), "{}", run.out);
    }

    // Results agree, what is kept does not.
    let table = "[ops]\nexp = \"{x}.exp() * torch.tensor([1.0, 1.0, 1.5])\"\n";
    std::fs::write(folder.path().join("wrong/pytorch/ops.toml"), table).unwrap();
    let arguments = ["net.tri", "--targets", "pytorch", "--method", "bump", "--templates", "wrong"];
    let run = verify(folder.path(), &arguments, None);
    assert_eq!(run.status, 3, "{}", run.out);
    assert!(run.out.contains("differs: the state `seen`: 1 of 3 values differ"), "{}", run.out);
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn the_first_layer_that_goes_wrong_is_named() {
    let folder = folder(NET, "[composites]\n\"activations.gelu\" = \"F.relu({x})\"\n");
    let arguments = ["net.tri", "--targets", "pytorch", "--templates", "wrong"];
    let run = verify(folder.path(), &arguments, None);
    assert_eq!(run.status, 3, "{}{}", run.out, run.err);
    assert_eq!(rows(&run.out)[0], row("pytorch", "forward", "DIFFERS"));
    // `up` is right; what `Feed` makes of it is not.
    let place = "  first in `feed.0` (Feed, net.tri:7): what it gives `feed.0.down` differs: input 0: ";
    assert!(run.out.contains(place), "{}", run.out);

    let run = verify(folder.path(), &[&arguments[..], &["--json", "--seed", "5"]].concat(), None);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    let first = &report["rows"][0];
    assert_eq!((run.status, &report["passed"], &report["seed"]), (3, &Value::Bool(false), &Value::from(5)));
    assert_eq!((&first["target"], &first["status"]), (&Value::from("pytorch"), &Value::from("differs")));
    assert_eq!(first["first_difference"]["path"], "feed.0");
    assert_eq!(first["first_difference"]["line"], 7);
    assert!(first["max_absolute_error"].as_f64().unwrap() > 1e-3 && first["wrong"].as_u64().unwrap() > 0);
}

#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn numbers_that_are_none_and_modules_that_raise_fail() {
    let folder = folder(NET, "[composites]\n\"activations.relu\" = \"torch.sqrt({x})\"\n");
    let arguments = ["net.tri", "--targets", "pytorch", "--templates", "wrong", "--method", "forward"];
    let run = verify(folder.path(), &arguments, None);
    assert_eq!(run.status, 3, "{}{}", run.out, run.err);
    let line = run.out.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(line[..3], ["pytorch", "forward", "NaN"], "{}", run.out);
    assert!(run.out.contains(": NaN, the interpreter gives "), "{}", run.out);
    assert!(run.out.contains("  first in `Net` itself, net.tri:15: what it gives `feed.0` differs: "), "{}", run.out);

    let table = folder.path().join("wrong/pytorch/ops.toml");
    std::fs::write(&table, "[composites]\n\"activations.relu\" = \"torch.rulu({x})\"\n").unwrap();
    let run = verify(folder.path(), &arguments, None);
    assert_eq!(run.status, 3, "{}{}", run.out, run.err);
    assert!(run.out.contains("in forward: y = torch.rulu(self.first(x))\n"), "{}", run.out);
    assert!(run.out.contains("AttributeError: module 'torch' has no attribute 'rulu'"), "{}", run.out);

    std::fs::write(&table, "[composites]\n\"activations.relu\" = \"__import__('time').sleep(60) or {x}\"\n").unwrap();
    let run = verify(folder.path(), &[&arguments[..], &["--timeout", "1"]].concat(), None);
    assert_eq!(run.status, 3, "{}{}", run.out, run.err);
    assert!(run.out.contains("pytorch, forward, forward(mask) failed: no answer within 1 s"), "{}", run.out);
}
