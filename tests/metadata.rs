//! `build --metadata`: its keys, and figures that were worked out by hand.

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// The metadata of a build of a program.
fn metadata(program: &str, arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.tri"), program).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tritonc"))
        .args(["build", "net.tri", "--metadata", "out/net.json", "-o", "out"])
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read(&folder.path().join("out/net.json"))
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

const MLP: &str = "use nn.{Linear}

layer MLP(dim: int = 784, hidden: int = 128) {
    let up = Linear(dim, hidden)
    let down = Linear(hidden, 10)

    fn forward(x: float32[B, dim]) -> float32[B, 10] {
        let h = relu(up(x))
        return down(h)
    }
}
";

#[test]
fn it_has_the_documented_keys() {
    let told = metadata(MLP, &[]);
    let keys: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metadata.md")).unwrap();
    let first_cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let documented: Vec<&str> =
        first_cells.flat_map(|cell| cell.split("`, `")).map(|key| key.trim_end_matches('`')).collect();
    assert_eq!(keys, documented);
    // What other programs rely on.
    let promised = [
        "code",
        "ir",
        "optimizations_applied",
        "imports",
        "functions",
        "parameters",
        "shapes",
        "types",
        "flops",
        "bytes",
    ];
    assert!(promised.iter().all(|key| keys.contains(key)), "{keys:?}");
    assert!(told["code"]["mlp.py"].as_str().unwrap().contains("class MLP(nn.Module):"));
    assert!(told["ir"].as_str().unwrap().contains("func @MLP.forward("));
    assert_eq!(told["imports"], json!(["torch"]));
    assert_eq!(told["entry"], "MLP(dim=784, hidden=128)");
    let applied: Vec<&str> =
        told["optimizations_applied"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(applied.iter().any(|text| text.starts_with("fold: folded ")), "{applied:?}");
    let none = metadata(MLP, &["--opt-level", "0"]);
    assert_eq!(none["optimizations_applied"], json!([]));
}

#[test]
fn an_mlp_costs_what_its_products_do() {
    let told = metadata(MLP, &[]);
    // Two products with their biases, and a comparison and a choice for each hidden unit.
    let each = 2 * 784 * 128 + 128 + 2 * 128 + 2 * 128 * 10 + 10;
    assert_eq!(told["flops"], format!("{each} * B"));
    let floats = 784 * 128 + 128 + 128 * 10 + 10;
    assert_eq!(told["bytes"], format!("{} * B + {}", 4 * (784 + 10), 4 * floats));
    assert_eq!(told["shapes"], json!({ "x": ["B", 784], "h": ["B", 128], "output": ["B", 10] }));
    assert_eq!(told["types"]["h"], "float32[B, 128]");
    let forward = told["functions"].as_array().unwrap().iter().find(|f| f["name"] == "MLP.forward").unwrap();
    assert_eq!((&forward["exported"], &forward["flops"]), (&json!(true), &told["flops"]));

    // Sizes that are given, and codes of four bits with one scale.
    let told = metadata(MLP, &["--shape", "x=4,784", "--quantize", "*=int4()"]);
    let packed = 784 * 128 / 2 + 4 + 128 * 10 / 2 + 4 + 4 * (128 + 10);
    assert_eq!(told["bytes_by_part"], json!({ "parameters": packed, "inputs": 4 * 4 * 784, "outputs": 4 * 4 * 10 }));
    assert_eq!(told["bytes"], packed + 4 * 4 * (784 + 10));
    // One more for each weight, which is made of its code.
    assert_eq!(told["flops"], 4 * each + 784 * 128 + 128 * 10);
    let first = &told["parameters"][0];
    let expected = json!({
        "name": "up.weight", "role": "param", "shape": [128, 784], "dtype": "float32", "scheme": "int4()",
        "bytes": 784 * 128 / 2 + 4,
    });
    assert_eq!(*first, expected);
    let trained = metadata(MLP, &["--quantize", "*=int4()", "--mode", "train"]);
    assert_eq!(trained["bytes_by_part"]["parameters"], 4 * floats);
}

#[test]
fn convolutions_and_pools_cost_a_window_each() {
    let program = "use nn.{Conv2d}

layer Net {
    let conv = Conv2d(3, 16, 5, padding=2)
    fn forward(x: float32[B, 3, 32, 32]) -> float32[B, 16, 16, 16] = max_pool2d(conv(x), 2)
}
";
    let told = metadata(program, &["--shape", "B=2"]);
    let results = 2 * 16 * 32 * 32;
    assert_eq!(told["flops"], results * (2 * 3 * 5 * 5 + 1) + 2 * 16 * 16 * 16 * 4);
}

#[test]
fn attention_grows_with_the_square_of_the_length() {
    let program = "layer Attend(dim: int = 8) {
    fn forward(q: float32[T, dim], k: float32[S, dim]) -> float32[T, dim] {
        let scores = q @ k.T / 2.0
        return softmax(scores, axis=-1) @ k
    }
}
";
    let told = metadata(program, &[]);
    // Two products, a division, and of softmax: maximum, difference, exponential, sum, quotient.
    assert_eq!(told["flops"], format!("{} * S * T", 2 * 8 + 1 + 5 + 2 * 8));
    assert_eq!(told["shapes"]["scores"], json!(["T", "S"]));
    let told = metadata(program, &["--shape", "T=10", "--shape", "k=20,8"]);
    assert_eq!(told["flops"], 38 * 200);
    assert_eq!(told["bytes"], 4 * (10 * 8 + 20 * 8 + 10 * 8));
}

#[test]
fn what_is_not_known_is_null_and_has_a_note() {
    let program = "layer Halve {
    fn forward(x: float32[N]) -> float32[N] {
        let y = x
        while y.abs().max() > 1.0 { y = y * 0.5 }
        return y
    }
}
";
    let told = metadata(program, &[]);
    assert_eq!(told["flops"], Value::Null);
    let note = "`Halve.forward`, line 4: a `while` runs as often as its condition says";
    assert_eq!(told["notes"], json!([note]));
    assert_eq!(told["bytes"], "8 * N");
}
