//! Bad input of every kind through the real program: one clear diagnostic with a code, at the right
//! place where there is one, exit status 1 or 2, and nothing written, not even half.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tritonc::types::{DType, Tensor};
use tritonc::weights::{WeightSet, encode};

/// No mistake takes the program longer to find. Debug builds on busy machines are slow.
const PATIENCE: Duration = Duration::from_secs(60);

const NET: &str = "\
layer Net(n: int = 4) {
    @quantize(ternary(axis=0))
    param weight: float32[3, n]
    param offset: float32[3] = zeros()

    fn forward(x: float32[B, n], y: float32[B, 3]) -> float32[B, 3] {
        return x @ weight.T + offset + y
    }
}

let net = Net()
";

/// A folder with the model `net.tri` and what a test puts beside it.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        place.put("net.tri", NET);
        place
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn save(&self, name: &str, tensors: &[(&str, Tensor)]) {
        self.put(name, file(name, tensors));
    }

    /// Runs a command line, words apart by spaces, that must fail; gives its standard error.
    fn fails(&self, command: &str, status: i32, input: &str) -> String {
        let before = listing(self.0.path());
        let mut program = Command::new(env!("CARGO_BIN_EXE_tritonc"));
        program.args(command.split(' ')).current_dir(self.0.path()).stdin(Stdio::piped());
        let start = Instant::now();
        let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("{command} does not end");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{command}\n{text}");
        assert!(!text.contains("internal error") && !text.contains("panicked"), "{command}\n{text}");
        assert_eq!(listing(self.0.path()), before, "{command} wrote something\n{text}");
        text
    }

    /// The command fails with exactly one error, of this code, which says all of this.
    fn error(&self, command: &str, code: &str, says: &[&str]) {
        let text = self.fails(command, 1, "");
        assert_eq!(text.matches("error[").count(), 1, "{command}\n{text}");
        assert!(text.starts_with(&format!("error[{code}]: ")), "{command}: expected {code}\n{text}");
        for part in says {
            assert!(text.contains(part), "{command}: `{part}` is not in\n{text}");
        }
    }

    /// A source text on which `run` fails in this way.
    fn source(&self, text: &str, code: &str, says: &[&str]) {
        self.put("source.tri", text);
        self.error("run source.tri", code, says);
    }
}

/// Every path below a folder.
fn listing(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(listing(&path));
        }
        found.push(path.display().to_string());
    }
    found.sort();
    found
}

fn file(name: &str, tensors: &[(&str, Tensor)]) -> Vec<u8> {
    let tensors = tensors.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
    encode(Path::new(name), &WeightSet { tensors, metadata: BTreeMap::new() }).unwrap()
}

fn zeros(dtype: DType, shape: &[usize]) -> Tensor {
    Tensor::filled(dtype, shape.to_vec(), 0.0)
}

fn float(shape: &[usize]) -> Tensor {
    zeros(DType::Float32, shape)
}

/// A safetensors file with any header.
fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// A version 1.0 .npy file with any header.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn arrays_that_are_not() {
    let place = Place::new();
    let whole = file("x.npy", &[("x", float(&[2, 4]))]);
    let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }";
    let overflow = "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999, 4), }";
    let situations: &[(&[u8], &[&str])] = &[
        (b"", &["`x.npy` is not a .npy file"]),
        (b"hello", &["is not a .npy file"]),
        (&whole[..9], &["truncated"]),
        (&whole[..40], &["truncated"]),
        (&whole[..whole.len() - 1], &["is truncated", "needs 32 bytes, found 31"]),
        (&[&whole[..], b"x"].concat(), &["bytes left over"]),
        (&npy(huge, b""), &["too large"]),
        (&npy(overflow, b""), &[]),
        (&npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"x"), &["Python objects"]),
        (&npy("{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }", b"x"), &["<c16"]),
        (&npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", b"x"), &[]),
        (&npy("__import__('os')", b""), &[]),
        (&npy(&"(".repeat(5000), b""), &[]),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", &["header"]),
    ];
    for (bytes, says) in situations {
        place.put("x.npy", bytes);
        place.error("run net.tri --input x=x.npy", "E0803", says);
    }
}

#[test]
fn archives_that_are_not() {
    let place = Place::new();
    let whole = file("x.npz", &[("a", float(&[2, 4])), ("b", float(&[2]))]);
    for bytes in [&b""[..], b"PK\x03\x04", &whole[..whole.len() / 2], &whole[..whole.len() - 1]] {
        place.put("x.npz", bytes);
        place.error("run net.tri --input x=x.npz", "E0803", &["x.npz"]);
    }
    place.put("x.npz", &whole);
    place.error("run net.tri --input x=x.npz", "E0804", &["holds no array `x`", "it holds a, b"]);
}

#[test]
fn weights_files_that_are_not() {
    let place = Place::new();
    let entry = |shape: &str, start: u64, end: u64| {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let overlap = format!(r#"{{"weight":{},"offset":{}}}"#, entry("[3,4]", 0, 48), entry("[3]", 36, 48));
    let beyond = format!(r#"{{"weight":{}}}"#, entry("[3,4]", 0, u64::MAX));
    let backward = format!(r#"{{"weight":{}}}"#, entry("[3,4]", 48, 0));
    let short = format!(r#"{{"weight":{}}}"#, entry("[3,4]", 0, 8));
    let huge = format!(r#"{{"weight":{}}}"#, entry("[4294967296,4294967296,4]", 0, 48));
    let hole = format!(r#"{{"weight":{}}}"#, entry("[3,4]", 16, 64));
    let deep = "[".repeat(100_000);
    let data = [0; 48];
    let situations: &[Vec<u8>] = &[
        vec![],
        b"short".to_vec(),
        (u64::MAX).to_le_bytes().to_vec(),
        [&(1u64 << 40).to_le_bytes()[..], b"{}"].concat(),
        safetensors("not json", &data),
        safetensors("[]", &data),
        safetensors(&deep, &data),
        safetensors(&overlap, &data),
        safetensors(&beyond, &data),
        safetensors(&backward, &data),
        safetensors(&short, &data),
        safetensors(&huge, &data),
        safetensors(&hole, &[0; 64]),
        safetensors(r#"{"weight":{"dtype":"F99","shape":[1],"data_offsets":[0,48]}}"#, &data),
        safetensors(r#"{"weight":{"dtype":"C64","shape":[6],"data_offsets":[0,48]}}"#, &data),
        safetensors(r#"{"weight":7}"#, &data),
    ];
    for (index, bytes) in situations.iter().enumerate() {
        place.put("w.safetensors", bytes);
        let text = place.fails("run net.tri --weights w.safetensors", 1, "");
        assert!(text.starts_with("error[E0702]: `w.safetensors` "), "{index}\n{text}");
        let text = place.fails("build net.tri --weights w.safetensors -o out", 1, "");
        assert!(text.starts_with("error[E0702]: `w.safetensors` "), "{index}\n{text}");
    }
}

#[test]
fn weights_of_another_model() {
    let place = Place::new();
    let run = "run net.tri --weights w.safetensors";
    place.save("w.safetensors", &[("weigth", float(&[3, 4])), ("scale", float(&[1])), ("offset", float(&[2]))]);
    let says = ["1 missing, 2 not expected, 1 of the wrong type", "`weight`: float32[3, 4]", "`weigth`", "`scale`"];
    place.error(run, "E0701", &says);
    place.error(run, "E0701", &["did you mean", "`offset`: expected float32[3], found float32[2]"]);
    place.save("w.safetensors", &[("weight", zeros(DType::Float64, &[3, 4])), ("offset", float(&[3]))]);
    place.error(run, "E0701", &["`weight`", "float64"]);
    place.save("w.safetensors", &[("model.weight", float(&[3, 4])), ("model.offset", float(&[3]))]);
    place.error(run, "E0701", &["the file's names all begin with `model.`"]);
    place.save("w.safetensors", &[]);
    place.error("build net.tri --weights w.safetensors -o out", "E0701", &["2 missing"]);
    place.error("run net.tri --weights gone.safetensors", "E0801", &["`gone.safetensors`", "no such file"]);
    place.error("run net.tri --weights net.tri", "E0803", &["must end in .npy, .npz or .safetensors"]);
}

#[test]
fn packed_weights() {
    let place = Place::new();
    let packed = |codes: Tensor, scale: Tensor| {
        [("weight.codes", codes), ("weight.scale", scale), ("offset", float(&[3]))].to_vec()
    };
    let run = "run net.tri --weights w.safetensors";
    // Two bits a code: 0, 1 and 2 stand for -1, 0 and 1, and 3 for nothing.
    let invalid = Tensor::from_i64(DType::UInt8, vec![3, 1], vec![0b01_01_01_01, 0b11_01_01_01, 0]);
    place.save("w.safetensors", &packed(invalid, float(&[3])));
    place.error(run, "E0503", &["`weight`"]);
    place.error("build net.tri -o out --weights w.safetensors", "E0503", &["`weight`"]);
    place.save("w.safetensors", &packed(zeros(DType::UInt8, &[3, 1]), float(&[3])));
    place.error("run net.tri --mode train --weights w.safetensors", "E0701", &["packed", "help: "]);
    place.save("w.safetensors", &packed(zeros(DType::UInt8, &[3, 4]), float(&[3])));
    place.error(run, "E0701", &["`weight.codes`: expected uint8[3, 1], found uint8[3, 4]"]);
    place.save("w.safetensors", &packed(zeros(DType::UInt8, &[3, 1]), float(&[])));
    place.error(run, "E0701", &["`weight.scale`: expected float32[3], found float32"]);
    place.save("w.safetensors", &[("weight.codes", zeros(DType::UInt8, &[3, 1])), ("offset", float(&[3]))]);
    place.error(run, "E0701", &["`weight.scale`: float32[3]"]);
}

#[test]
fn inputs_that_do_not_fit() {
    let place = Place::new();
    place.save("rank.npy", &[("x", float(&[4]))]);
    place.error("run net.tri --input x=rank.npy", "E0804", &["`x`", "[4] with 1 dims, expected [B, n] with 2"]);
    place.save("wide.npy", &[("x", float(&[2, 5]))]);
    place.error("run net.tri --input x=wide.npy", "E0804", &["dim 1 (`n`) is 5, not 4"]);
    place.save("double.npy", &[("x", zeros(DType::Float64, &[2, 4]))]);
    place.error("run net.tri --input x=double.npy", "E0804", &["`x`", "float64", "help: nothing is cast"]);
    place.save("x.npy", &[("x", float(&[2, 4]))]);
    place.save("y.npy", &[("y", float(&[5, 3]))]);
    place.error("run net.tri --input x=x.npy --input y=y.npy", "E0804", &["`B`", "2", "5"]);
    place.error("run net.tri --input z=x.npy", "E0804", &["no input `z`", "its inputs are x, y"]);
    place.error("run net.tri --input x=gone.npy", "E0801", &["`gone.npy`", "no such file"]);
    std::fs::create_dir(place.0.path().join("folder.npy")).unwrap();
    place.error("run net.tri --input x=folder.npy", "E0801", &["`folder.npy`"]);
    place.error("run net.tri --input x=net.tri", "E0803", &["must end in .npy"]);
    place.error("run net.tri --input x", "E0804", &["there is no `=`"]);
    place.error("run net.tri --input x=x.npy --input x=x.npy", "E0804", &["given twice"]);
    place.error("run net.tri --input x=x.npy --shape x=3,4", "E0804", &["--shape says [3, 4]"]);
    place.error("run net.tri --shape B=3,4", "E0804", &["`B` is a dim"]);
    place.error("run net.tri --shape x=1000000000,4", "E0804", &["too large to be drawn"]);
    place.save("none.npy", &[("x", float(&[0, 4]))]);
    place.error("run net.tri --input x=none.npy", "E0804", &["`B`", "at least 1"]);
    place.error("run net.tri --method forwrad", "E0407", &["help: did you mean `forward`?"]);
}

#[test]
fn optional_inputs_that_do_not_fit() {
    let place = Place::new();
    place.put(
        "open.tri",
        "layer Net {\n    fn forward(x: float32[B, 4], mask: bool[B, 4] = None, n: int = 2) -> float32[B, 4] {\n        \
         if mask != None { x = where(mask, x, 0.0) }\n        return x * n\n    }\n}\n",
    );
    place.save("m.npy", &[("m", zeros(DType::Bool, &[2, 4]))]);
    place.error("run open.tri --input maks=m.npy", "E0804", &["no input `maks`", "did you mean `mask`?"]);
    place.error("run open.tri --input z=m.npy", "E0804", &["its inputs are x", "it may also be given mask"]);
    place.error("run open.tri --input mask=m.npy --shape x=3,4", "E0804", &["`B`", "2", "3"]);
    place.error("run open.tri --input mask=1", "E0804", &["`mask` is a tensor, not a number"]);
    place.error("build open.tri -o out --shape maks=2,4", "E0804", &["no input `maks`", "did you mean `mask`?"]);
    place.error("build open.tri -o out --shape mask=2,5", "E0804", &["dim 1 is 5, not 4"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let place = Place::new();
    place.put("file", "");
    std::fs::create_dir(place.0.path().join("folder.npz")).unwrap();
    place.error("build net.tri -o file", "E0802", &["`file/net.py`", "cannot be written"]);
    place.error("build net.tri -o file/below", "E0802", &["cannot be written"]);
    place.error("run net.tri -o file/y.npz", "E0802", &["`file/y.npz` cannot be written"]);
    place.error("run net.tri -o folder.npz", "E0802", &["it is a folder"]);
    place.error("run net.tri -o y.txt", "E0802", &["must end in .npy, .npz or .safetensors"]);
    place.error("run net.tri --save-weights w.npy", "E0802", &["would hold 2 tensors, but .npy has one"]);
    place.error("run net.tri --save-weights file/w.safetensors", "E0802", &["cannot be written"]);
    place.put(
        "named.tri",
        NET.replace("return x @ weight.T + offset + y", "let sum = x @ weight.T + y\n        return sum + offset"),
    );
    place.error("run named.tri --save-intermediates file", "E0802", &["cannot be written"]);
}

#[test]
fn entries_and_targets() {
    let place = Place::new();
    let build = |options: &str| format!("build net.tri -o out {options}");
    let rule = |rule: &str| build(&format!("--quantize {rule}"));
    place.error(&rule("wieght=int8"), "E0504", &["`wieght` matches no tensor", "`weight`"]);
    place.error(
        &rule("off*=int8"),
        "E0504",
        &["`off*` matches no weights of a matrix product", "write a name in full"],
    );
    place.error(&rule("weight=int5()"), "E0101", &["unknown name `int5`"]);
    place.error(&rule("weight=int4(group=3)"), "E0501", &["`weight` cannot be int4(group=3)", "does not divide"]);
    place.error(&build("--passes fold,cze"), "E0606", &["unknown pass `cze`", "did you mean `cse`?"]);
    place.error(
        &build("--disable-pass dead"),
        "E0606",
        &["unknown pass `dead`", "passes are inline, fold, fold-batch-norm, simplify"],
    );
    place.error(&build("--target pytroch"), "E0601", &["unknown target `pytroch`", "did you mean `pytorch`?"]);
    place.error(&build("--entry Nett()"), "E0101", &["unknown name `Nett`", "<entry>:1:1", "1 │ Nett()"]);
    place.error(&build("--entry Net(m=4)"), "E0204", &["`Net` has no parameter `m`", "<entry>:1:5"]);
    place.error(&build("--entry Net(n="), "E0407", &["not an expression", "<entry>:1:"]);
    place.error(&build("--entry Net();Net()"), "E0407", &["more than one expression", "<entry>:1:7"]);
    place.error(&build("--entry 7"), "E0407", &["an int, not an instance of a layer"]);
    place.error(&build("--entry net --set n=5"), "E0407", &["`net` has all its hyperparameters", "help: "]);
    place.error(&build("--set k=5"), "E0407", &["no layer of the file has a hyperparameter `k`"]);
    place.error(&build("--set n=\"four\""), "E0201", &["<entry>:1:"]);
    place.error(&build("--set n"), "E0407", &["there is no `=`"]);
    place.error(&build("--shape z=1"), "E0804", &["no input `z`"]);
    place.put("two.tri", format!("{NET}let other = Net(5)\n"));
    place.error("run two.tri", "E0406", &["several entries: `net`, `other`", "--entry net"]);
    place.put("none.tri", "fn f(x: float32[B]) -> float32[B] = x\n");
    place.error("run none.tri", "E0405", &["has no entry"]);
    place.put("open.tri", NET.replace("n: int = 4", "n: int").replace("let net = Net()", ""));
    place.error("run open.tri", "E0402", &["`Net` needs `n`", "--set n=8"]);
    place.put("script.tri", "print(1)\n");
    place.error("run script.tri --input x=x.npy", "E0405", &["as a script", "--input"]);
    place.error("build net.tri --target torch --emit ir", "E0601", &["unknown target `torch`"]);
    let text = place.fails("check - --error-format short", 1, "let x = $");
    assert!(text.starts_with("<stdin>:1:9: error[E0001]"), "{text}");
}

#[test]
fn templates_with_mistakes() {
    let place = Place::new();
    place.error("build net.tri -o out --templates gone", "E0801", &["`gone` is not a folder of templates"]);
    std::fs::create_dir_all(place.0.path().join("mine/pytorch")).unwrap();
    place.put("mine/pytorch/ops.toml", "[ops]\nadd = \n");
    let text = place.fails("build net.tri -o out --templates mine", 1, "");
    assert!(text.starts_with("error[E06") && text.contains("ops.toml"), "{text}");
    place.put("mine/pytorch/ops.toml", "[ops]\nadd = \"{nonsense} + {b}\"\n");
    let text = place.fails("build net.tri -o out --templates mine", 1, "");
    assert!(text.starts_with("error[E06") && text.contains("nonsense"), "{text}");
}

#[test]
fn runs_that_fail() {
    let place = Place::new();
    let taken = "let x = arange(3)\nlet i = arange(4).sum().to(int64)\nprint(take(x, i[None]))\n";
    place.source(taken, "E0409", &["index 6 is out of range for an axis of size 3", "source.tri:3:"]);
    place.source("let x = arange(3)\nassert x.sum() == 4, \"no\"\n", "E0408", &["no", "source.tri:2:1"]);
    let divided = "let x = arange(3)\nprint(x // (x - x))\n";
    place.source(divided, "E0409", &["source.tri:2:"]);
}

#[test]
fn what_was_printed_before_a_failure_is_shown() {
    let place = Place::new();
    place.put("source.tri", "let x = arange(3)\nprint(\"first\", x)\nassert x.sum() == 4\nprint(\"never\")\n");
    let mut program = Command::new(env!("CARGO_BIN_EXE_tritonc"));
    let output = program.args(["run", "source.tri"]).current_dir(place.0.path()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "first [0 1 2]\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn sizes_beyond_reason() {
    let place = Place::new();
    place.error("run net.tri --set n=1000000000000 --shape B=1", "E0804", &["too large to be drawn"]);
    let wide = "layer Wide(n: int) {\n    param w: float32[n]\n    fn forward(x: float32[B]) -> float32[B] { return x + w.sum() }\n}\n";
    place.put("wide.tri", wide);
    place.error("run wide.tri --set n=1000000000000", "E0310", &["too large", "wide.tri:2:"]);
    place.source("print(zeros([1000000, 1000000, 1000000]).sum())\n", "E0310", &["too large", "source.tri:1:"]);
    let wide = "let x = ones([1000000, 1])\nprint((x + x.T.broadcast_to([1000000, 1000000])).sum())\n";
    place.source(wide, "E0310", &["too large", "source.tri:2:"]);
    let deep = "layer Deep(n: int) {\n    param w: float32[2]\n    let parts = [Part() for _ in 0..n]\n    fn forward(x: float32[2]) -> float32[2] { return x + w }\n}\nlayer Part { param v: float32[1]\n fn forward(x: float32[1]) -> float32[1] = x + v }\n";
    place.put("deep.tri", deep);
    let text = place.fails("run deep.tri --entry Deep(1000000000000)", 1, "");
    assert!(text.starts_with("error[E0"), "{text}");
}

#[test]
fn recursion_without_end() {
    let place = Place::new();
    place.put("source.tri", "fn f(x: float32[2]) -> float32[2] = f(x + 1.0)\nprint(f(ones([2])))\n");
    place.error("run source.tri", "E0213", &["source.tri:"]);
    place.put("source.tri", "fn f(n: int) -> int = f(n + 1)\nlet a = f(0)\nprint(a)\n");
    let text = place.fails("run source.tri", 1, "");
    assert!(text.starts_with("error[E0") && text.lines().count() < 40, "{text}");
}

#[cfg(unix)]
#[test]
fn modules_outside_of_the_project() {
    let place = Place::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.tri"), "const k = 1\n").unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.tri"), place.0.path().join("secret.tri")).unwrap();
    place.put("source.tri", "use nn\nuse secret\nuse secret.{k}\nprint(secret.k)\n");
    let text = place.fails("run source.tri", 1, "");
    assert!(text.contains("error[E0106]: module `secret` leads out of the project's folder"), "{text}");
    // Told once, at the first `use`.
    assert!(text.contains("source.tri:2:5") && text.matches("E0106").count() == 1, "{text}");
}

#[test]
fn modules_that_cannot_be_read() {
    let place = Place::new();
    std::fs::write(place.0.path().join("latin.tri"), b"const k = 1 # \xe9\n").unwrap();
    place.put("source.tri", "use nn\nuse latin.k\nprint(k)\n");
    let text = place.fails("run source.tri", 1, "");
    assert!(text.contains("error[E0010]: `latin.tri` is not UTF-8 text: byte 0xe9 at offset 14"), "{text}");
    assert!(text.contains("source.tri:2:5") && !text.contains("<std>"), "{text}");
}
