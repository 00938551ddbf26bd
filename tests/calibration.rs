//! Scales of activations: where they come from, and what is said where there are none.

#[path = "support/place.rs"]
mod place;

use place::{Place, float};
use tritonc::types::{DType, Tensor};
use tritonc::weights::Tensors;

const NET: &str = "\
use nn.Linear

@quantize(weights=int8(axis=0), activations=int8())
layer Net(dim: int = 8) {
    let up = Linear(dim, 2 * dim)
    @quantize(weights=int8(axis=0), activations=int8(symmetric=false))
    let down = Linear(2 * dim, dim, bias=false)

    fn forward(x: float32[B, dim]) -> float32[B, dim] = down(relu(up(x)))
}
";

fn weights() -> Vec<(&'static str, Tensor)> {
    vec![("up.weight", float(1, &[16, 8])), ("up.bias", float(2, &[16])), ("down.weight", float(3, &[8, 16]))]
}

#[test]
fn a_model_without_scales_is_an_error() {
    let place = Place::new();
    place.put("net.tri", NET);
    place.save("w.safetensors", &weights());
    place.save("x.npy", &[("x", float(4, &[3, 8]))]);
    let says = ["no `up.weight_activation_scale`, `down.weight_activation_scale`", "--calibrate", "dynamic=true"];
    place.error(&["run", "net.tri", "--mode", "infer", "--input", "x=x.npy"], "E0505", &says);
    let run = ["run", "net.tri", "--mode", "infer", "--weights", "w.safetensors", "--input", "x=x.npy"];
    place.error(&run, "E0505", &says);
    place.error(&["build", "net.tri", "--weights", "w.safetensors", "-o", "out"], "E0505", &["up.weight_act"]);
    // With something else wrong, everything is listed in one error.
    place.save("w.safetensors", &weights()[1..]);
    place.error(&run, "E0701", &["`up.weight`", "`up.weight_activation_scale`", "--calibrate"]);
}

/// The scales are plain tensors of a file, so that any program can write them.
#[test]
fn scales_of_a_file_are_taken() {
    let place = Place::new();
    place.put("net.tri", NET);
    let scalar = |dtype: DType, value: f64| Tensor::from_f64(dtype, vec![], [value]);
    let scales = [
        ("up.weight_activation_scale", scalar(DType::Float32, 0.03)),
        ("down.weight_activation_scale", scalar(DType::Float32, 0.05)),
        ("down.weight_activation_zero_point", scalar(DType::Int8, -128.0)),
    ];
    place.save("w.safetensors", &[weights(), scales.to_vec()].concat());
    place.save("x.npy", &[("x", float(4, &[3, 8]))]);
    let run = |model: &str, mode: &str, output: &str| {
        let arguments =
            ["run", model, "--mode", mode, "--weights", "w.safetensors", "--input", "x=x.npy", "-o", output];
        place.done(&arguments);
        place.load(output)["output"].to_f64()
    };
    let (infer, train) = (run("net.tri", "infer", "a.npz"), run("net.tri", "train", "b.npz"));
    assert_eq!(infer, train);
    place.save("w.safetensors", &weights());
    place.put("float.tri", &NET.replace(", activations=int8()", "").replace(", activations=int8(symmetric=false)", ""));
    let float = run("float.tri", "infer", "c.npz");
    let (mut error, mut signal) = (0.0, 0.0);
    for (own, wanted) in infer.iter().zip(&float) {
        error += (own - wanted).powi(2);
        signal += wanted.powi(2);
    }
    // Rounding by scales of 0.03 and 0.05 is seen, and is small.
    assert!(error > 0.0 && error < 1e-3 * signal, "{error} of {signal}");
}

fn parts(place: &Place, name: &str) -> Vec<f64> {
    let scales = ["up.weight_activation_scale", "down.weight_activation_scale", "down.weight_activation_zero_point"];
    let tensors = place.load(name);
    scales.iter().map(|name| tensors[*name].to_f64()[0]).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs()
}

/// What goes into `up` is the data; what goes into `down` is computed by a model that ends there.
#[test]
fn scales_are_those_of_the_activations() {
    let place = Place::new();
    place.put("net.tri", NET);
    place.save("w.safetensors", &weights());
    let x = float(4, &[50, 8]);
    place.save("data.npz", &[("x", x.clone())]);
    place.put("head.tri", &NET.replace("down(relu(up(x)))", "relu(up(x))").replace(", activations=int8()", "").replace("B, dim] =", "B, 2 * dim] =").replace("    @quantize(weights=int8(axis=0), activations=int8(symmetric=false))\n    let down = Linear(2 * dim, dim, bias=false)\n", ""));
    place.save("head.safetensors", &weights()[..2]);
    place.done(&["run", "head.tri", "--weights", "head.safetensors", "--input", "x=data.npz", "-o", "h.npz"]);
    let hidden = place.load("h.npz")["output"].to_f64();
    let most = |values: &[f64]| values.iter().fold(0f64, |most, value| most.max(value.abs()));
    let quantize = |more: &[&str], output: &str| {
        let own = ["quantize", "w.safetensors", "--model", "net.tri", "--calibrate", "data.npz", "-o", output];
        place.done(&[&own[..], more].concat())
    };
    let report = quantize(&[], "q.safetensors");
    assert!(report.contains("up.weight") && report.contains("2 tensors"), "{report}");
    let found = parts(&place, "q.safetensors");
    assert!(close(found[0], most(&x.to_f64()) / 127.0), "{found:?}");
    assert!(close(found[1], most(&hidden) / 255.0) && found[2] == -128.0, "{found:?}");
    // Nothing depends on how many samples run at a time, but moving averages.
    quantize(&["--batch", "7"], "q7.safetensors");
    assert_eq!(place.load("q7.safetensors"), place.load("q.safetensors"));
    quantize(&["--observer", "percentile(90)"], "p.safetensors");
    let mut sizes: Vec<f64> = x.to_f64().iter().map(|value| value.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    // 0.9 * 399 = 359.1
    let limit = sizes[359] + 0.1 * (sizes[360] - sizes[359]);
    assert!(close(parts(&place, "p.safetensors")[0], limit / 127.0), "{limit}");
    for observer in ["mse", "moving-average"] {
        quantize(&["--observer", observer, "--batch", "10"], "o.safetensors");
        let own = parts(&place, "o.safetensors");
        assert!(own[0] > 0.2 * found[0] && own[0] <= found[0] * 1.000_001, "{observer}: {own:?}");
    }
    // The file runs, and gives what the float model gives, nearly.
    let run = |model: &str, weights: &str, output: &str| {
        place.done(&["run", model, "--weights", weights, "--input", "x=data.npz", "-o", output]);
        place.load(output)["output"].to_f64()
    };
    place.put(
        "float.tri",
        &NET.replace("@quantize(weights=int8(axis=0), activations=int8())\n", "")
            .replace("    @quantize(weights=int8(axis=0), activations=int8(symmetric=false))\n", ""),
    );
    let (own, wanted) = (run("net.tri", "q.safetensors", "a.npz"), run("float.tri", "w.safetensors", "b.npz"));
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let noise = square(&mut own.iter().zip(&wanted).map(|(a, b)| a - b)) / square(&mut wanted.iter().copied());
    assert!(noise > 0.0 && noise < 1e-3, "{noise}");
}

/// Rules for a model that says nothing itself; samples for a model that takes one at a time.
#[test]
fn rules_choose_for_the_model() {
    let place = Place::new();
    place.put(
        "net.tri",
        "layer Net {\n    param weight: float32[4, 3]\n\n    fn forward(x: float32[3]) -> float32[4] = weight @ x\n}\n",
    );
    place.save("w.npz", &[("weight", float(1, &[4, 3]))]);
    place.save("data.npz", &[("x", float(2, &[6, 3]))]);
    let own = ["quantize", "w.npz", "--model", "net.tri", "-o", "q.safetensors", "--scheme"];
    let data = ["--calibrate", "data.npz"];
    place.done(&[&own[..], &["*=int4(axis=0), activations=int8(scale_dtype=float16)"], &data].concat());
    let found = place.load("q.safetensors");
    assert_eq!(found["weight_activation_scale"].dtype(), DType::Float16);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["weight.codes", "weight.scale", "weight_activation_scale"]);
    // The file is one for a model with the same rules.
    let rule = "--quantize=*=int4(axis=0), activations=int8(scale_dtype=float16)";
    place.done(&["run", "net.tri", rule, "--weights", "q.safetensors"]);
    place.error(
        &[&own[..], &["*=int4(axis=0), activations=int8()"]].concat(),
        "E0505",
        &["`weight` need a scale", "--calibrate"],
    );
    place.error(&[&own[..], &["wieght=int8"]].concat(), "E0504", &["did you mean `weight`"]);
    let plain = ["quantize", "w.npz", "-o", "q.safetensors", "--scheme", "*=int8, activations=int8()"];
    place.error(&plain, "E0501", &["a file of weights has no activations", "--model"]);
}

#[test]
fn bad_data_are_errors_and_leave_no_file() {
    let place = Place::new();
    place.put("net.tri", NET);
    place.save("w.safetensors", &weights());
    let own = ["quantize", "w.safetensors", "--model", "net.tri", "--calibrate", "data.npz", "-o", "q.safetensors"];
    let refused = |data: &[(&str, Tensor)], code: &str, says: &[&str]| {
        place.save("data.npz", data);
        place.error(&own, code, says);
    };
    let mut values = float(4, &[5, 8]).to_f64();
    values[17] = f64::NAN;
    let holed = Tensor::from_f64(DType::Float32, vec![5, 8], values);
    refused(&[("x", holed)], "E0804", &["element 17 of `x` in the calibration data is NaN"]);
    refused(&[("y", float(4, &[5, 8]))], "E0804", &["hold no `x`", "no input `y`"]);
    refused(&[("x", float(4, &[5, 2, 2, 8]))], "E0804", &["has shape [5, 2, 2, 8]", "float32[B, dim]"]);
    refused(&[("x", float(4, &[5, 9]))], "E0804", &["float32[5, 9]", "dim = 8"]);
    refused(&[("x", float(4, &[0, 8]))], "E0804", &["no samples"]);
    let whole = Tensor::from_f64(DType::Int64, vec![5, 8], (0..40).map(f64::from));
    refused(&[("x", whole)], "E0804", &["`x`", "int64"]);
    std::fs::write(place.path("data.npz"), b"PK\x03\x04nonsense").unwrap();
    place.error(&own, "E0803", &["data.npz"]);
    std::fs::remove_file(place.path("data.npz")).unwrap();
    place.error(&own, "E0801", &["data.npz"]);
    // Beyond what a float holds on the way.
    let huge = Tensor::from_f64(DType::Float32, vec![16, 8], (0..128).map(|_| 3e38));
    place.save("w.safetensors", &[&[("up.weight", huge)], &weights()[1..]].concat());
    refused(
        &[("x", Tensor::from_f64(DType::Float32, vec![1, 8], (0..8).map(|_| 10.0)))],
        "E0804",
        &["`down.weight` is multiplied with inf"],
    );
    place.put(
        "grad.tri",
        "layer Net {\n    param weight: float32[4, 3]\n\n    fn forward(x: float32[B, 3]) -> float32[B, 3] {\n        let (_, g) \
         = value_and_grad(loss)(x)\n        return g\n    }\n\n    fn loss(x: float32[B, 3]) -> float32 = (x @ \
         weight.T).sum()\n}\n",
    );
    place.save("g.npz", &[("weight", float(1, &[4, 3]))]);
    place.save("data.npz", &[("x", float(2, &[6, 3]))]);
    let own = ["quantize", "g.npz", "--model", "grad.tri", "--calibrate", "data.npz", "-o", "q.safetensors"];
    place.error(&[&own[..], &["--scheme", "*=int8, activations=int8()"]].concat(), "E0502", &["takes gradients"]);
    let without =
        ["quantize", "w.safetensors", "--scheme", "*.weight=int8", "--calibrate", "data.npz", "-o", "q.safetensors"];
    let run = place.run(&without);
    assert_eq!(run.status, 2);
    assert!(run.err.contains("--model <FILE.tri>"), "{}", run.err);
}

/// PyTorch computes the same from the same file, packed and in training.
#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn pytorch_takes_calibrated_files() {
    let place = Place::new();
    place.put("net.tri", NET);
    place.save("w.safetensors", &weights());
    place.save("data.npz", &[("x", float(4, &[20, 8]))]);
    place.done(&["quantize", "w.safetensors", "--model", "net.tri", "--calibrate", "data.npz", "-o", "q.safetensors"]);
    place.done(&["run", "net.tri", "--weights", "q.safetensors", "--input", "x=data.npz", "-o", "y.npz"]);
    place.done(&["build", "net.tri", "--mode", "infer", "-o", "infer"]);
    place.done(&["build", "net.tri", "--mode", "train", "-o", "train"]);
    place.save("master.npz", &weights());
    place.put(
        "check.py",
        "
import importlib.util, numpy as np, torch
def module(name):
    spec = importlib.util.spec_from_file_location(name, f'{name}/net.py')
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
x, wanted = torch.from_numpy(np.load('data.npz')['x']), np.load('y.npz')['output']
infer = module('infer').load('q.safetensors')
np.testing.assert_allclose(infer(x).detach().numpy(), wanted, rtol=1e-4, atol=1e-5)
train = module('train').Model()
state = {name: torch.from_numpy(value) for name, value in np.load('master.npz').items()}
state |= {name: value for name, value in infer.state_dict().items() if '_activation_' in name}
train.load_state_dict(state)
y = train(x)
np.testing.assert_allclose(y.detach().numpy(), wanted, rtol=1e-4, atol=1e-5)
y.sum().backward()
# Straight through: as if the output were linear in the rounded weights.
hidden = torch.relu(train.up(x)).detach()
step = train.down.weight_activation_scale
codes = (hidden / step).round().clamp(0, 255) * step
np.testing.assert_allclose(train.down.weight.grad.numpy(), codes.sum(0).expand(8, -1).numpy(), rtol=1e-4, atol=1e-3)
packed = train.pack()
assert torch.equal(packed(x), infer(x))
for name, value in infer.state_dict().items():
    assert torch.equal(value, packed.state_dict()[name]), name
",
    );
    let python = std::env::var("TRITONC_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = std::process::Command::new(python).arg("check.py").current_dir(place.0.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A transformer block with float projections, to be quantised by rules.
const BLOCK: &str = "\
use nn.{Linear, RMSNorm}
use attention.{attention}

layer Block(dim: int = 32, heads: int = 4, hidden: int = 96) where dim % heads == 0 {
    let norm1 = RMSNorm(dim)
    let qkv = Linear(dim, 3 * dim, bias=false)
    let out = Linear(dim, dim, bias=false)
    let norm2 = RMSNorm(dim)
    let gate = Linear(dim, hidden, bias=false)
    let up = Linear(dim, hidden, bias=false)
    let down = Linear(hidden, dim, bias=false)

    fn forward(x: float32[B, T, dim]) -> (float32[B, T, dim], float32[B, T, 3 * dim], float32[B, T, dim]) {
        let mixed = qkv(norm1(x))
        let (q, k, v) = chunk(mixed, 3, axis=-1)
        let y = out(attention(by_head(q), by_head(k), by_head(v), causal=true).permute([0, 2, 1, 3]).reshape([B, T, dim]))
        x += y
        let z = norm2(x)
        let deep = down(silu(gate(z)) * up(z))
        return x + deep, mixed, deep
    }

    fn by_head(x: float32[B, T, dim]) -> float32[B, heads, T, dim // heads] {
        return x.reshape([B, T, heads, dim // heads]).permute([0, 2, 1, 3])
    }
}
";

/// Sequences whose channels depend on each other, as those of language models do.
fn sequences(seed: i64, count: usize, length: usize, dim: usize) -> Tensor {
    let hidden = dim / 4;
    let (mixing, own) = (float(77, &[hidden, dim]).to_f64(), float(seed, &[count * length, hidden]).to_f64());
    let noise = float(seed + 1, &[count * length, dim]).to_f64();
    let value = |row: usize, k: usize| {
        let sum: f64 = (0..hidden).map(|h| own[row * hidden + h] * mixing[h * dim + k]).sum();
        sum / (hidden as f64).sqrt() + 0.2 * noise[row * dim + k]
    };
    let values = (0..count * length * dim).map(|at| value(at / dim, at % dim));
    Tensor::from_f64(DType::Float32, vec![count, length, dim], values)
}

/// The mean square of what quantising changes in each result, over that of the result.
fn noise(own: &Tensors, wanted: &Tensors) -> Vec<f64> {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let ratio = |(name, tensor): (&String, &Tensor)| {
        let (own, wanted) = (own[name].to_f64(), tensor.to_f64());
        square(&mut own.iter().zip(&wanted).map(|(a, b)| a - b)) / square(&mut wanted.iter().copied())
    };
    wanted.iter().map(ratio).collect()
}

#[test]
fn gptq_beats_rounding_in_a_transformer_block() {
    let place = Place::new();
    place.put("block.tri", BLOCK);
    place.save("data.npz", &[("x", sequences(10, 24, 8, 32))]);
    place.save("x.npz", &[("x", sequences(20, 8, 8, 32))]);
    place.done(&["run", "block.tri", "--input", "x=x.npz", "--save-weights", "w.safetensors", "-o", "float.npz"]);
    let wanted = place.load("float.npz");
    for scheme in ["int4(axis=0)", "int4(group=16)", "int4(symmetric=false, group=16)"] {
        let rule = format!("*={scheme}");
        let run = |more: &[&str]| {
            let own = ["quantize", "w.safetensors", "--model", "block.tri", "--scheme", &rule, "-o", "q.safetensors"];
            place.done(&[&own[..], more].concat());
            place.done(&[
                "run",
                "block.tri",
                "--quantize",
                &rule,
                "--weights",
                "q.safetensors",
                "--input",
                "x=x.npz",
                "-o",
                "q.npz",
            ]);
            noise(&place.load("q.npz"), &wanted)
        };
        let rounded = run(&[]);
        let gptq = run(&["--method", "gptq", "--calibrate", "data.npz"]);
        let ordered = run(&["--method", "gptq", "--calibrate", "data.npz", "--act-order"]);
        println!("{scheme}: rounding {rounded:.5?}, gptq {gptq:.5?}, by largest inputs {ordered:.5?}");
        for (own, nearest) in gptq.iter().chain(&ordered).zip(rounded.iter().cycle()) {
            assert!(*own < 0.8 * nearest, "{scheme}: {gptq:?}, {ordered:?}, by rounding {rounded:?}");
        }
    }
}

/// `tests/pytorch/gptq.py` trains the digits model, and compares.
#[test]
#[ignore = "needs a Python with torch and scikit-learn: ./test runs it"]
fn gptq_beats_rounding_on_digits() {
    let folder = tempfile::tempdir().unwrap();
    let python = std::env::var("TRITONC_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pytorch/gptq.py");
    let output = std::process::Command::new(python)
        .args([script, env!("CARGO_BIN_EXE_tritonc")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

/// A convolution, a weight that a function moves and multiplies with, and others that GPTQ does not know.
#[test]
fn gptq_knows_what_it_knows() {
    let place = Place::new();
    place.put(
        "net.tri",
        "use nn.Conv2d\n\nfn project(x: float32[B, N], w: float32[K, N]) -> float32[B, K] = x @ w.T\n\nlayer Net {\n    let \
         conv = Conv2d(4, 8, 3, padding=1, groups=2)\n    param weight: float32[6, 2, 16] = kaiming_uniform()\n    param \
         half: float32[6, 8] = kaiming_uniform()\n    param last: float32[4, 6] = kaiming_uniform()\n\n    fn forward(x: \
         float32[B, 4, 4, 4]) -> float32[B, 4] {\n        let y = conv(x).reshape([B, 8, 16])[:, 0:2].reshape([B, 32])\n        \
         let z = project(y, weight.reshape([6, 32]))\n        let h = relu(z) @ half[:, 0:6]\n        return h @ last.T\n    \
         }\n}\n",
    );
    // Images whose pixels are mostly the brightness of the whole.
    let images = |seed: i64, count: usize| {
        let (brightness, noise) = (float(seed, &[count]).to_f64(), float(seed + 1, &[count * 64]).to_f64());
        let values = noise.iter().enumerate().map(|(at, noise)| brightness[at / 64] + 0.3 * noise);
        Tensor::from_f64(DType::Float32, vec![count, 4, 4, 4], values)
    };
    place.save("data.npz", &[("x", images(30, 200))]);
    place.save("x.npz", &[("x", images(40, 50))]);
    place.done(&["run", "net.tri", "--input", "x=x.npz", "--save-weights", "w.safetensors", "-o", "float.npz"]);
    let wanted = place.load("float.npz");
    let run = |method: &str, others: [&str; 2]| {
        let rules = ["*=int4(axis=0)", others[0], others[1]];
        let given = |option: &'static str| rules.iter().flat_map(move |rule| [option, rule]).collect::<Vec<_>>();
        let own = ["quantize", "w.safetensors", "--model", "net.tri", "-o", "q.safetensors", "--calibrate", "data.npz"];
        let ran = place.run(&[&own[..], &given("--scheme"), &["--method", method]].concat());
        assert_eq!(ran.status, 0, "{}", ran.err);
        let run = ["run", "net.tri", "--weights", "q.safetensors", "--input", "x=x.npz", "-o", "q.npz"];
        place.done(&[&run[..], &given("--quantize")].concat());
        (place.load("q.safetensors"), noise(&place.load("q.npz"), &wanted)[0], ran.err)
    };
    let (rounded, ..) = run("round", ["last=ternary(axis=0)", "half=int4(axis=0)"]);
    let (found, _, said) = run("gptq", ["last=ternary(axis=0)", "half=int4(axis=0)"]);
    assert!(said.contains("warning[W0502]: 2 weights have the nearest codes"), "{said}");
    assert!(said.contains("`last`: GPTQ has no codes for ternary(axis=0)"), "{said}");
    assert!(said.contains("`half`: only a part of it goes into its product"), "{said}");
    for (name, same) in [("conv.weight", false), ("weight", false), ("half", true), ("last", true)] {
        let codes = format!("{name}.codes");
        assert_eq!(found[&codes] == rounded[&codes], same, "{name}");
    }
    let (_, nearest, _) = run("round", ["last=none", "half=none"]);
    let (_, closest, said) = run("gptq", ["last=none", "half=none"]);
    assert!(closest < 0.6 * nearest && said.is_empty(), "{closest}, by rounding {nearest}: {said}");
    let refused = |more: &[&str], says: &str| {
        let own = ["quantize", "w.safetensors", "--model", "net.tri", "--scheme", "*=int4", "-o", "q2.safetensors"];
        let ran = place.run(&[&own[..], more].concat());
        assert_eq!(ran.status, 2, "{}", ran.err);
        assert!(ran.err.contains(says), "{}", ran.err);
    };
    refused(&["--method", "gptq"], "`--calibrate DATA.npz`");
    refused(&["--method", "gptq", "--calibrate", "data.npz", "--damping", "nan"], "a number of at least 0");
    refused(&["--observer", "median", "--calibrate", "data.npz"], "minmax, moving-average, percentile(99.9) and mse");
    let own = ["quantize", "w.safetensors", "--model", "net.tri", "-o", "q2.safetensors", "--calibrate", "data.npz"];
    let grouped = ["--method", "gptq", "--scheme", "conv.weight=int4(group=2)"];
    place.error(&[&own[..], &grouped].concat(), "E0501", &["`conv.weight`", "a group of 2 does not divide"]);
}
