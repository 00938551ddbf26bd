//! Drives the real program: output, exit status, and what goes to which stream.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tritonc::base::code::TABLE;

/// What a command did.
struct Run {
    status: i32,
    out: String,
    err: String,
}

fn tritonc_in(folder: &Path, arguments: &[&str], input: &[u8]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tritonc"));
    command.args(arguments).current_dir(folder).env_remove("NO_COLOR");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that does not read its input closes it; that is its right.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn tritonc(arguments: &[&str]) -> Run {
    tritonc_in(&std::env::temp_dir(), arguments, b"")
}

#[test]
fn explain_prints_each_page() {
    for entry in TABLE {
        let run = tritonc(&["explain", entry.code.as_str()]);
        assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (0, entry.page, ""));
    }
    let list = tritonc(&["explain"]);
    assert_eq!(list.out.lines().filter(|line| line.starts_with("  ")).count(), TABLE.len());
    assert!(list.out.starts_with("E00: text and syntax\n  E0001  unexpected character\n"));
    let shapes = tritonc(&["explain", "e03"]);
    assert!(shapes.out.starts_with("E03: shapes\n  E0301  inner dimensions differ\n"), "{}", shapes.out);
    assert!(shapes.out.lines().skip(1).all(|line| line.starts_with("  E03")));
    assert!(list.out.contains(&shapes.out));
}

#[test]
fn unknown_codes_get_a_suggestion() {
    let run = tritonc(&["explain", "E031"]);
    assert_eq!((run.status, run.out.as_str()), (2, ""));
    assert_eq!(run.err, "error: there is no code `E031`; did you mean `E0301`?\n");
    let run = tritonc(&["explain", "\u{1b}[31mnonsense"]);
    assert_eq!(run.err, "error: there is no code `␛[31mnonsense`; `tritonc explain` lists them all\n");
}

#[test]
fn completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = tritonc(&["completions", shell]);
        assert_eq!((run.status, run.err.as_str()), (0, ""));
        assert!(run.out.contains("tritonc") && run.out.contains("explain"), "{shell}");
    }
    assert_eq!(tritonc(&["completions", "tcsh"]).status, 2);
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["frobnicate"][..],
        &["check"],
        &["build"],
        &["build", "a.tri", "--mode", "fast"],
        &["build", "a.tri", "--precision", "float8"],
        &["run", "a.tri", "--precision", "float32"],
        &["build", "a.tri", "--no-such-option"],
        &["run", "a.tri", "--seed", "-1"],
        &["check", "a.tri", "--error-format", "xml"],
        &[],
    ] {
        let run = tritonc(arguments);
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{arguments:?}");
        assert!(run.err.contains("Usage") || run.err.contains("--help"), "{arguments:?}: {}", run.err);
    }
}

#[test]
fn precision_is_one_of_two_types() {
    let run = tritonc(&["build", "a.tri", "--precision", "float8"]);
    assert!(run.err.contains("invalid value 'float8' for '--precision <TYPE>'"), "{}", run.err);
    assert!(run.err.contains("[possible values: float16, bfloat16]"), "{}", run.err);
    let square = b"layer Net() {\n    fn forward(x: float32[2, 2]) -> float32[2, 2] = x @ x\n}\n";
    let run = tritonc_in(&std::env::temp_dir(), &["build", "-", "--precision", "float16", "-v"], square);
    assert!(run.out.contains("y.to(torch.float32)") || run.out.contains(".to(torch.float16)"), "{}", run.out);
    assert!(run.err.starts_with("precision: casts 2, functions 1; 2 -> 4 instructions\n"), "{}", run.err);
    // A script has no entry to change.
    let folder = std::env::temp_dir();
    let run = tritonc_in(&folder, &["run", "-", "--precision", "float16"], b"print(1.0)\n");
    assert_eq!(
        (run.status, run.err.contains("`--precision`") || run.err.contains("--precision")),
        (1, true),
        "{}",
        run.err
    );
}

#[test]
fn help_and_version_go_to_standard_output() {
    let run = tritonc(&["--version"]);
    assert_eq!((run.status, run.out), (0, format!("tritonc {}\n", env!("CARGO_PKG_VERSION"))));
    for command in [
        "build",
        "check",
        "fix",
        "run",
        "test",
        "verify",
        "fmt",
        "quantize",
        "inspect",
        "explain",
        "targets",
        "completions",
    ] {
        let run = tritonc(&[command, "--help"]);
        assert_eq!((run.status, run.err.as_str()), (0, ""));
        assert!(run.out.contains("Examples:\n  tritonc "), "{command}");
        assert!(!run.out.contains('\u{1b}'), "{command}");
    }
}

#[test]
fn missing_files_are_named() {
    for command in ["check", "test", "run", "build"] {
        let mut arguments = vec![command, "no-such.tri"];
        if command == "build" {
            arguments.extend(["--emit", "ir"]);
        }
        let run = tritonc(&arguments);
        assert_eq!(run.status, 1, "{command}: {}", run.err);
        let expected = "error[E0801]: `no-such.tri` cannot be read: no such file or directory\n";
        assert!(run.err.starts_with(expected), "{command}: {}", run.err);
    }
    let run = tritonc(&["check", "--error-format", "short", "a-1.tri", "a-2.tri", "."]);
    let lines: Vec<&str> = run.err.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[1], "error[E0801]: `a-2.tri` cannot be read: no such file or directory");
    assert!(run.out.is_empty());
}

#[test]
fn a_misspelt_file_gets_a_suggestion() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("nets")).unwrap();
    std::fs::write(folder.path().join("nets/mlp.tri"), "").unwrap();
    let run = tritonc_in(folder.path(), &["check", "nets/mpl.tri"], b"");
    assert!(run.err.contains(" = help: did you mean `nets/mlp.tri`?\n"), "{}", run.err);
}

#[test]
fn text_that_is_not_utf8_is_located() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.tri"), b"let a = 1\nlet \xe9 = 2\n").unwrap();
    let run = tritonc_in(folder.path(), &["check", "bad.tri"], b"");
    assert_eq!(run.status, 1);
    expect_test::expect![[r#"
        error[E0010]: `bad.tri` is not UTF-8 text: byte 0xe9 at offset 14
          ┌─ bad.tri:2:5
          │
        2 │ let � = 2
          │     ^ not UTF-8
          │
          = help: save the file as UTF-8

    "#]]
    .assert_eq(&run.err);
    let run = tritonc_in(folder.path(), &["check", "-", "--error-format", "short"], b"\xff\xfea\0");
    assert_eq!(run.err, "<stdin>:1:1: error[E0010]: `<stdin>` is not UTF-8 text: byte 0xff at offset 0\n");
}

#[test]
fn large_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("big.tri"), vec![b'#'; (64 << 20) + 1]).unwrap();
    let run = tritonc_in(folder.path(), &["check", "big.tri", "--error-format", "short"], b"");
    assert_eq!((run.status, run.err.as_str()), (1, "error[E0009]: `big.tri` is larger than 64 MiB\n"));
}

#[test]
fn json_is_one_object_a_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.tri"), b"ab\n\xff").unwrap();
    let run = tritonc_in(folder.path(), &["check", "bad.tri", "gone.tri", "--error-format", "json"], b"");
    assert_eq!((run.status, run.out.as_str()), (1, ""));
    let lines: Vec<serde_json::Value> = run.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let keys: Vec<&String> = lines[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "severity", "message", "file", "labels", "notes", "fixes"]);
    assert_eq!((&lines[0]["code"], &lines[0]["file"]), (&"E0010".into(), &"bad.tri".into()));
    let label = &lines[0]["labels"][0];
    assert_eq!((&label["start"], &label["line"], &label["column"]), (&3.into(), &2.into(), &1.into()));
    assert_eq!((&lines[1]["code"], &lines[1]["file"]), (&"E0801".into(), &serde_json::Value::Null));
}

const SLIPS: &str = "use nn.{Linear}\n\nfn f(x: float32[N]) -> float32[N] = sofmax(x, dim=-1)\n";
const MENDED: &str = "fn f(x: float32[N]) -> float32[N] = softmax(x, axis=-1)\n";

#[test]
fn fix_writes_the_file_and_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slips.tri");
    std::fs::write(&path, SLIPS).unwrap();
    let dry = tritonc_in(folder.path(), &["fix", "--dry-run", "slips.tri"], b"");
    let diff = "--- slips.tri\n+++ slips.tri\n@@ -1,3 +1,1 @@\n-use nn.{Linear}\n-\n-fn f(x: float32[N]) -> \
                float32[N] = sofmax(x, dim=-1)\n+fn f(x: float32[N]) -> float32[N] = softmax(x, axis=-1)\n";
    assert_eq!((dry.status, dry.out.as_str()), (0, diff));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), SLIPS);
    let run = tritonc_in(folder.path(), &["fix", "slips.tri"], b"");
    let list = "slips.tri:1:9: fixed[W0101]: `Linear` is imported and never used: remove it\n\
                slips.tri:3:37: fixed[E0101]: unknown name `sofmax`: write `softmax`\n\
                slips.tri:3:47: fixed[E0204]: `softmax` has no parameter `dim`: write `axis`\n";
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (0, list, ""));
    assert_eq!(dry.err, list);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), MENDED);
    let again = tritonc_in(folder.path(), &["fix", "slips.tri"], b"");
    assert_eq!((again.status, again.out.as_str(), again.err.as_str()), (0, "", ""));
}

#[test]
fn fix_leaves_what_it_cannot_mend() {
    let run = tritonc_in(&std::env::temp_dir(), &["fix", "-", "--error-format=short"], SLIPS.as_bytes());
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (0, MENDED, ""));
    let text = "fn f(x: float32[N]) -> float32[2 * N] = sofmax(x)\n";
    let run = tritonc_in(&std::env::temp_dir(), &["fix", "-", "--error-format=short"], text.as_bytes());
    assert_eq!((run.status, run.out.as_str()), (1, text.replace("sofmax", "softmax").as_str()));
    assert!(run.err.starts_with("<stdin>:1:41: error[E0303]"), "{}", run.err);
    let run = tritonc_in(&std::env::temp_dir(), &["fix", "no-such.tri"], b"");
    assert_eq!((run.status, run.out.as_str()), (1, ""));
}

#[test]
fn sarif_is_one_document() {
    let run = tritonc(&["check", "gone.tri", "--error-format=sarif"]);
    let log: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!(log["version"], "2.1.0");
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "E0801");
    assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0]["id"], "E0801");
}

#[test]
fn colours_follow_the_option() {
    assert!(tritonc(&["check", "gone.tri", "--color", "always"]).err.contains("\u{1b}["));
    assert!(!tritonc(&["check", "gone.tri"]).err.contains('\u{1b}'));
    assert!(!tritonc(&["check", "gone.tri", "--color=never"]).err.contains('\u{1b}'));
}

#[test]
fn options_with_values_are_explained() {
    let short = |arguments: &[&str]| tritonc(&[arguments, &["--error-format", "short"]].concat());
    let run = short(&["run", "a.tri", "--shape", "x=1,a"]);
    assert_eq!((run.status, run.err.as_str()), (1, "error[E0804]: `--shape x=1,a`: `a` is not a size\n"));
    let run = short(&["build", "a.tri", "--set", "dim"]);
    assert_eq!((run.status, run.err.as_str()), (1, "error[E0407]: `--set dim`: there is no `=`\n"));
    let run = short(&["build", "a.tri", "--target", "pytroch"]);
    assert_eq!((run.status, run.err.as_str()), (1, "error[E0601]: unknown target `pytroch`\n"));
}

const DOUBLES: &str = "layer Net(n: int = 4) {
    fn forward(x: float32[B, n]) -> float32[B, n] {
        return exp(x) + exp(x)
    }
}
";

const QUANTISED: &str = "layer Net(n: int = 4) {
    @quantize(int8(axis=0))
    param weight: float32[n, n]

    fn forward(x: float32[B, n]) -> float32[B, n] {
        let (q, s) = quantize(x, int8(dynamic=true))
        return dequantize(q, s, scheme=int8(dynamic=true)) @ weight.T
    }
}
";

#[test]
fn passes_are_chosen_dumped_and_timed() {
    let folder = tempfile::tempdir().unwrap();
    let net = |options: &[&str]| {
        tritonc_in(folder.path(), &[&["build", "-", "--emit", "ir"], options].concat(), DOUBLES.as_bytes())
    };
    let exps = |run: &Run| {
        assert_eq!(run.status, 0, "{}", run.err);
        run.out.matches("= exp ").count()
    };
    assert_eq!(exps(&net(&[])), 1);
    assert_eq!(exps(&net(&["--opt-level", "0"])), 2);
    assert_eq!(exps(&net(&["--disable-pass", "cse"])), 2);
    assert_eq!(exps(&net(&["--passes", "fold,dce"])), 2);
    assert_eq!(exps(&net(&["--passes", ""])), 2);
    // The pass of a float model comes first, whatever else runs.
    for options in [&["--opt-level", "0"][..], &["--passes", "cse"], &[]] {
        let build = [&["build", "-", "--emit", "ir", "--fold-fake-quant", "-v"], options].concat();
        let run = tritonc_in(folder.path(), &build, QUANTISED.as_bytes());
        assert!(run.err.starts_with("fold-fake-quant: values 2, parameters 1; "), "{}", run.err);
        assert!(!run.out.contains("quantize"), "{}", run.out);
    }
    let run = net(&["--passes", "cse,dce", "--dump-ir", "stages/ir", "-v"]);
    assert_eq!(run.err, "cse: merged 1; 4 -> 3 instructions\ndce: nothing; 3 -> 3 instructions\n");
    let read = |name: &str| std::fs::read_to_string(folder.path().join("stages/ir").join(name)).unwrap();
    assert_eq!((read("00-lowered.ir"), read("02-dce.ir")), (net(&["--opt-level", "0"]).out, run.out));
    assert_eq!(std::fs::read_dir(folder.path().join("stages/ir")).unwrap().count(), 3);
    let lines: Vec<String> = net(&["--time-passes"]).err.lines().map(str::to_string).collect();
    assert_eq!(lines[0], "passes");
    assert!(lines.iter().any(|line| line.starts_with("  cse") && line.ends_with("4 -> 3  merged 1")), "{lines:?}");
    assert!(lines[lines.len() - 1].trim().starts_with("total") && lines[1..].iter().all(|line| line.contains(" ms")));
    // A form of its own where a program is for training.
    let train = ["build", "-", "--mode", "train", "--dump-ir", "train"];
    assert_eq!(tritonc_in(folder.path(), &train, DOUBLES.as_bytes()).status, 0);
    assert!(folder.path().join("train/evaluation/00-lowered.ir").is_file());
    std::fs::write(folder.path().join("file"), "").unwrap();
    let run = net(&["--dump-ir", "file/ir"]);
    assert_eq!((run.status, run.out.as_str()), (1, ""));
    assert!(run.err.starts_with("error[E0802]: `file/ir"), "{}", run.err);
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tritonc"));
    command.args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tritonc"));
    let output = command.args(["completions", "bash"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.starts_with("error[E0802]: standard output cannot be written: "), "{message}");
}

#[test]
fn fmt_rewrites_files_and_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir_all(folder.path().join("nets/.hidden")).unwrap();
    write("nets/a.tri", "let x=1 # one\n");
    write("nets/b.tri", "let x = 1\n");
    write("nets/.hidden/c.tri", "let x=1\n");
    write("nets/d.txt", "let x=1\n");
    let run = tritonc_in(folder.path(), &["fmt", "nets"], b"");
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (0, "nets/a.tri\n", ""));
    assert_eq!(read("nets/a.tri"), "let x = 1  # one\n");
    assert_eq!((read("nets/.hidden/c.tri"), read("nets/d.txt")), ("let x=1\n".into(), "let x=1\n".into()));
    let run = tritonc_in(folder.path(), &["fmt", "nets", "nets/a.tri"], b"");
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (0, "", ""));
    let run = tritonc_in(folder.path(), &["fmt", "nets/.hidden/../none"], b"");
    assert_eq!(run.status, 1);
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let run = tritonc_in(folder.path(), &["fmt", "empty"], b"");
    assert_eq!((run.status, run.err.as_str()), (1, "error[E0801]: there are no `.tri` files in `empty`\n\n"));
}

#[test]
fn fmt_check_shows_the_difference_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tri");
    let text = "let x = 1\nlet w: TernaryTensor<[2, 2]> = ones([2, 2])\n";
    std::fs::write(&path, text).unwrap();
    let run = tritonc_in(folder.path(), &["fmt", "--check", "a.tri"], b"");
    let shown = "--- a.tri\n+++ a.tri\n@@ -1,2 +1,2 @@\n let x = 1\n\
                 -let w: TernaryTensor<[2, 2]> = ones([2, 2])\n+let w: trit[2, 2] = ones([2, 2])\n";
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (1, shown, ""));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(tritonc_in(folder.path(), &["fmt", "a.tri"], b"").out, "a.tri\n");
    let run = tritonc_in(folder.path(), &["fmt", "--check", "a.tri"], b"");
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (0, "", ""));
}

#[test]
fn fmt_of_standard_input_goes_to_standard_output() {
    let folder = std::env::temp_dir();
    let run = tritonc_in(&folder, &["fmt", "-"], b"f( 1 )\r\n\r\n\r\n# end");
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (0, "f(1)\n\n# end\n", ""));
    let run = tritonc_in(&folder, &["fmt", "-"], b"");
    assert_eq!((run.status, run.out.as_str(), run.err.as_str()), (0, "", ""));
    let run = tritonc_in(&folder, &["fmt", "--check", "-"], b"f( 1 )\n");
    assert_eq!(run.status, 1);
    assert!(run.out.ends_with("-f( 1 )\n+f(1)\n"), "{}", run.out);
}

#[test]
fn fmt_leaves_files_with_syntax_errors_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a.tri", "let  x = 1"), ("b.tri", "let  x = = 1"), ("c.tri", "let  y = 1")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let arguments = ["fmt", "--error-format", "short", "a.tri", "b.tri", "c.tri"];
    let run = tritonc_in(folder.path(), &arguments, b"");
    assert_eq!((run.status, run.out.as_str()), (1, "a.tri\nc.tri\n"));
    assert!(run.err.starts_with("b.tri:1:10: error[E0004]: "), "{}", run.err);
    assert_eq!(std::fs::read_to_string(folder.path().join("b.tri")).unwrap(), "let  x = = 1");
}

const HALVES: &str = "layer Halves(n: int = 2) {
    param rate: float32[n] = ones()
    fn forward(x: float32[B, n]) -> (float32[B, n], float32) {
        let y = x
        for _ in 0..2 { while sum(abs(stop_gradient(y))) > 100.0 { y = y * 0.5 } }
        return rate * x, y.sum()
    }
}
";

#[test]
fn run_gives_gradients_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("halves.tri", HALVES);
    let run = tritonc_in(folder.path(), &["run", "halves.tri", "--shape", "x=1,2", "--grad"], b"");
    assert_eq!(run.status, 1);
    assert!(run.err.starts_with("error[E0607]: no gradient through a `while` inside"), "{}", run.err);
    assert!(run.err.contains("while sum(abs(stop_gradient(y))) > 100.0"), "{}", run.err);
    write("halves.tri", &HALVES.replace(", y.sum()", ", stop_gradient(y).sum()"));
    let arguments = ["run", "halves.tri", "--shape", "x=3,2", "--grad", "-o", "out.npz"];
    let run = tritonc_in(folder.path(), &arguments, b"");
    assert_eq!((run.status, run.err.as_str()), (0, ""));
    let found = tritonc::weights::load(&folder.path().join("out.npz")).unwrap().tensors;
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["grad.rate", "grad.x", "output.0", "output.1"]);
    assert_eq!(found["grad.x"].to_f64(), [1.0; 6]);
    let twice = tritonc::types::Tensor::filled(tritonc::types::DType::Float32, vec![3, 2], 2.0);
    std::fs::write(folder.path().join("g.npy"), tritonc::weights::npy::write(&twice)).unwrap();
    let run = tritonc_in(folder.path(), &[&arguments[..], &["--output-grad", "output=g.npy"]].concat(), b"");
    assert_eq!(run.status, 0, "{}", run.err);
    let found = tritonc::weights::load(&folder.path().join("out.npz")).unwrap().tensors;
    assert_eq!(found["grad.x"].to_f64(), [2.0; 6]);
    let run = tritonc_in(folder.path(), &[&arguments[..], &["--output-grad", "output.2=g.npy"]].concat(), b"");
    assert!(run.err.contains("error[E0804]: there is no result `output.2`"), "{}", run.err);
}

const TOWER: &str = "use nn.{Linear}
layer Tower(depth: int = 4) {
    let blocks = [Linear(2, 2) for _ in 0..depth]
    fn forward(x: float32[B, 2]) -> float32[B, 2] {
        for block in blocks { x += tanh(block(x)) }
        return x
    }
}
";

#[test]
fn build_shows_the_functions_that_compute_gradients() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tower.tri"), TOWER).unwrap();
    let build = |options: &[&str]| {
        let run = tritonc_in(folder.path(), &[&["build", "tower.tri", "--mode", "train"], options].concat(), b"");
        (run.status, run.out, run.err)
    };
    let (status, text, err) = build(&["--emit", "ir", "--grad"]);
    assert_eq!((status, err.as_str()), (0, ""));
    let module = tritonc::ir::verify(tritonc::ir::reader::read(&text).unwrap()).unwrap();
    let backward = &module[module.function_named("Tower.forward_backward").unwrap()];
    let names = |values: &[tritonc::ir::ValueId]| {
        values.iter().map(|value| backward[*value].name.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(names(&backward.params), ["x", "grad_0"]);
    let returned = backward.body.insts.last().map(|end| names(&backward[*end].operands)).unwrap();
    assert_eq!(returned[1..], ["grad_x", "grad_blocks_turn_0_offset", "grad_blocks_turn_0_weight"]);
    assert!(backward.exported);
    // PyTorch has gradients of its own.
    assert_eq!(build(&["--grad"]), build(&[]));
    // So has JAX, whose programs are functions: one asks for them.
    let (status, text, err) = build(&["--target", "jax", "--grad", "--entry", "Tower(1)"]);
    assert_eq!((status, err.as_str()), (0, ""));
    let (_, function) = text.split_once("def forward_backward(inputs, params, output_grads):\n").unwrap();
    let (_, body) = function.split_once("    \"\"\"\n").unwrap();
    assert!(
        body.starts_with(
            "    floats = {\"x\": jnp.float32}
    weights = {\"blocks.0.weight\": jnp.float32, \"blocks.0.bias\": jnp.float32}
    return differentiated(forward, (inputs, params), output_grads, floats, weights)
"
        ),
        "{body}"
    );
    assert!(!build(&["--target", "jax"]).1.contains("differentiated"));
    let (status, _, err) = build(&["--emit", "ast", "--grad"]);
    assert_eq!(status, 1);
    assert!(err.starts_with("error[E0407]: `--grad` adds functions"), "{err}");
}

/// A scheme from outside would be lost on the way: the program takes the weight as a value.
#[test]
fn parameters_that_are_values_are_quantised_in_their_layer() {
    let folder = tempfile::tempdir().unwrap();
    let text = "use nn.{Linear}
fn loss(net: Linear, x: float32[B, net.in_features]) -> float32 = sum(net(x))
layer Step {
    let net = Linear(2, 2)
    let other = Linear(2, 2)
    fn forward(x: float32[B, 2]) -> float32 {
        let (_, gradient) = value_and_grad(loss)(net, other(x))
        return loss(net - 0.1 * gradient, x)
    }
}
";
    std::fs::write(folder.path().join("step.tri"), text).unwrap();
    let run = |more: &[&str]| {
        let arguments = ["run", "step.tri", "--shape", "x=3,2", "--mode", "train"];
        let run = tritonc_in(folder.path(), &[&arguments[..], more].concat(), b"");
        (run.status, run.err)
    };
    assert_eq!(run(&[]), (0, String::new()));
    let (status, err) = run(&["--quantize", "net.*=int8()"]);
    assert_eq!(status, 1);
    assert!(err.starts_with("error[E0608]: `net.weight` cannot be int8() from outside its layer"), "{err}");
    assert!(err.contains("write `@quantize(int8())` before `param weight` of the layer `Linear`"), "{err}");
}

#[test]
fn segments_leave_gradients_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tower.tri"), TOWER).unwrap();
    let run = |more: &[&str]| {
        let arguments = ["run", "tower.tri", "--shape", "x=3,2", "--grad"];
        tritonc_in(folder.path(), &[&arguments[..], more].concat(), b"")
    };
    let (plain, divided) = (run(&[]), run(&["--checkpoint-segments", "2"]));
    assert_eq!((plain.status, divided.status), (0, 0), "{}{}", plain.err, divided.err);
    assert!(plain.out.contains("grad.blocks.3.weight: float32[2, 2]"), "{}", plain.out);
    assert_eq!(plain.out, divided.out);
    let uneven = run(&["--checkpoint-segments", "3"]);
    assert_eq!(uneven.status, 1);
    assert!(uneven.err.contains("does not divide into 3 equal segments"), "{}", uneven.err);
}
