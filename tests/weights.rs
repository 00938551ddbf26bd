//! Checkpoints through the real program: read under other names, quantised, inspected, and run.

#[path = "support/place.rs"]
mod place;

use place::{Place, float, normal};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use tritonc::types::{DType, Tensor};
use tritonc::weights::{WeightSet, encode, load};

const SCHEMES: &[&str] = &[
    "ternary()",
    "ternary(axis=0)",
    "ternary(rule=\"max\", ratio=0.4, scale=\"kept\", axis=-1)",
    "ternary(rule=\"fixed\", threshold=0.5)",
    "int8(axis=0)",
    "int8(symmetric=false)",
    "int4(group=4)",
    "int4(symmetric=false, group=4, scale_dtype=float16)",
];

/// A model with one quantised parameter and one that is not.
fn model(scheme: &str) -> String {
    format!(
        "layer Net(n: int = 12) where n % 4 == 0 {{\n    @quantize({scheme})\n    param weight: float32[5, n]\n    param bias: \
         float32[5] = zeros()\n\n    fn forward(x: float32[B, n]) -> float32[B, 5] = x @ weight.T + bias\n}}\n"
    )
}

/// The codes are those that building makes, the file is one that running takes, and the results are the same.
#[test]
fn quantising_a_file_is_what_building_does() {
    let place = Place::new();
    place.save("w.safetensors", &[("weight", float(1, &[5, 12])), ("bias", float(2, &[5]))]);
    place.save("x.npy", &[("x", float(3, &[2, 12]))]);
    for scheme in SCHEMES {
        place.put("net.tri", &model(scheme));
        let rule = format!("weight={scheme}");
        let report = place.done(&["quantize", "w.safetensors", "--scheme", &rule, "-o", "q.safetensors"]);
        assert!(report.contains("weight") && report.contains("1 tensor, 1 more as before"), "{report}");
        place.done(&["build", "net.tri", "--weights", "w.safetensors", "-o", "out"]);
        let (own, built) = (place.load("q.safetensors"), place.load("out/net.safetensors"));
        assert_eq!(own, built, "{scheme}");
        assert!(own.contains_key("weight.codes") && !own.contains_key("weight"), "{scheme}");
        let run = |weights: &str| {
            place.done(&["run", "net.tri", "--mode", "infer", "--weights", weights, "--input", "x=x.npy"])
        };
        assert_eq!(run("q.safetensors"), run("w.safetensors"), "{scheme}");
    }
    let folder = place.run(&["quantize", "w.safetensors", "--scheme", "*=int8", "-o", "q.safetensors"]);
    assert_eq!((folder.status, folder.err.as_str()), (0, ""));
    assert_eq!(place.listing(), ["net.tri", "out", "q.safetensors", "w.safetensors", "x.npy"]);
}

#[test]
fn another_scheme_than_the_models_is_named() {
    let place = Place::new();
    place.save("w.safetensors", &[("weight", float(1, &[5, 12])), ("bias", float(2, &[5]))]);
    place.done(&["quantize", "w.safetensors", "--scheme", "weight=int8(axis=0)", "-o", "q.safetensors"]);
    for (scheme, own) in [("ternary(axis=0)", "ternary(axis=0)"), ("none", "no scheme")] {
        place.put("net.tri", &model(scheme));
        let says = format!("`weight` was packed as int8(axis=0); the model has {own}");
        place.error(&["run", "net.tri", "--weights", "q.safetensors"], "E0701", &[&says]);
    }
}

#[test]
fn half_precision_sources_are_quantised_from_their_values() {
    let place = Place::new();
    for dtype in [DType::BFloat16, DType::Float16, DType::Float64] {
        let half = normal(4, dtype, &[3, 8]);
        let single = Tensor::from_f64(DType::Float32, vec![3, 8], half.to_f64());
        place.save("half.safetensors", &[("w", half), ("kept", normal(5, dtype, &[2]))]);
        place.save("single.npz", &[("w", single), ("kept", normal(5, dtype, &[2]))]);
        for (source, output) in [("half.safetensors", "a.safetensors"), ("single.npz", "b.safetensors")] {
            place.done(&["quantize", source, "--scheme", "w=int4(group=4)", "-o", output]);
        }
        let (a, b) = (place.load("a.safetensors"), place.load("b.safetensors"));
        assert_eq!((&a["w.codes"], &a["w.scale"]), (&b["w.codes"], &b["w.scale"]), "{dtype}");
        assert_eq!(a["kept"].dtype(), dtype);
    }
}

#[test]
fn what_cannot_be_quantised_is_named_and_nothing_is_written() {
    let place = Place::new();
    let mut bad = vec![0.5; 24];
    bad[2 * 8 + 5] = f32::NAN;
    let tensors = [
        ("fc.weight", float(1, &[4, 100])),
        ("bad", Tensor::from_f32(vec![3, 8], bad)),
        ("big", Tensor::from_f32(vec![2], vec![1.0, f32::NEG_INFINITY])),
        ("count", Tensor::from_i64(DType::Int64, vec![2], vec![1, 2])),
        ("scalar", float(1, &[])),
        ("empty", float(1, &[1 << 60, 0])),
        ("packed.codes", Tensor::filled(DType::UInt8, vec![2, 1], 0.0)),
        ("packed.scale", float(1, &[2])),
    ];
    place.save("w.safetensors", &tensors);
    let error = |scheme: &str, code: &str, says: &[&str]| {
        place.error(&["quantize", "w.safetensors", "--scheme", scheme, "-o", "q.safetensors"], code, says);
    };
    error("bad=int8", "E0502", &["`bad` cannot be int8(): element [2, 5] is NaN, which has no code"]);
    error("big=ternary", "E0502", &["`big` cannot be ternary(): element [1] is -inf"]);
    error("fc.*=int4(group=64)", "E0501", &["`fc.weight`", "a group of 64 does not divide the last dim of size 100"]);
    error("fc.*=int4(axis=2)", "E0501", &["axis 2 is out of range for rank 2"]);
    error("count=int4", "E0502", &["`count` cannot be int4(): only floats can be quantised, not int64", "count=none"]);
    error("empty=int4(axis=0)", "E0501", &["`empty`", "there is nothing to take scales of"]);
    error("scalar=int4", "E0501", &["`scalar`", "a scalar has no last axis"]);
    error(
        "packed.*=int8",
        "E0502",
        &["`packed.codes`", "`packed.scale` cannot be int8(): it is part of packed weights"],
    );
    error("fc.wieght=int8", "E0504", &["`fc.wieght` matches no tensor; did you mean `fc.weight`?"]);
    error("fc.weight=int3", "E0101", &["unknown name `int3`", "<scheme>:1:1"]);
    error("fc.weight=int8(axs=0)", "E0501", &["has no option `axs`"]);
    error("fc.weight", "E0501", &["there is no `=`"]);
    let arguments = ["quantize", "w.safetensors", "--scheme", "fc.*=int8", "-o"];
    let to = |output: &str, code: &str, says: &[&str]| place.error(&[&arguments[..], &[output]].concat(), code, says);
    to("q.npz", "E0802", &["must end in .safetensors"]);
    to("w.safetensors/q.safetensors", "E0802", &["cannot be written"]);
    place.error(&["quantize", "gone", "--scheme", "a=int8", "-o", "q.safetensors"], "E0803", &["`gone`"]);
    place.save("x.npy", &[("", float(1, &[4, 4]))]);
    let nameless = ["quantize", "x.npy", "--scheme", "*=int8", "-o", "q.safetensors"];
    place.error(&nameless, "E0803", &["`x.npy` holds an array without a name", ".npz"]);
    // A file that was there stays as it was.
    place.put("q.safetensors", "mine");
    error("bad=int8", "E0502", &[]);
    assert_eq!(std::fs::read_to_string(place.path("q.safetensors")).unwrap(), "mine");
    // The last rule that fits counts.
    let except = ["--scheme", "*=int4(group=4)", "--scheme", "b*=none", "--scheme", "[cp]*=none"];
    place.error(&[&["quantize", "w.safetensors"], &except[..], &["-o", "q.safetensors"]].concat(), "E0504", &["[cp]*"]);
    let except = ["*=int4(group=4)", "b*=none", "c*=none", "scalar=none", "packed.*=none", "empty=none"];
    let except: Vec<&str> = except.iter().flat_map(|rule| ["--scheme", rule]).collect();
    place.done(&[&["quantize", "w.safetensors"], &except[..], &["-o", "q.safetensors"]].concat());
    let names: Vec<String> = place.load("q.safetensors").into_keys().collect();
    let expected = [
        "bad",
        "big",
        "count",
        "empty",
        "fc.weight.codes",
        "fc.weight.scale",
        "packed.codes",
        "packed.scale",
        "scalar",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_checkpoint_is_quantised_into_its_own_place_and_bit_by_bit() {
    let place = Place::new();
    place.save("w.safetensors", &[("v", float(2, &[4, 8])), ("w", float(1, &[4, 8]))]);
    place.done(&["quantize", "w.safetensors", "--scheme", "w=int8", "-o", "w.safetensors"]);
    assert_eq!(place.load("w.safetensors").into_keys().collect::<Vec<_>>(), ["v", "w.codes", "w.scale"]);
    assert_eq!(place.listing(), ["w.safetensors"]);
    // What was packed before is still known.
    place.done(&["quantize", "w.safetensors", "--scheme", "v=int4", "-o", "w.safetensors"]);
    let table = place.done(&["inspect", "w.safetensors"]);
    assert!(
        table.contains("v       float32  [4, 8]  int4()") && table.contains("w       float32  [4, 8]  int8()"),
        "{table}"
    );
    let set = load(&place.path("w.safetensors")).unwrap();
    assert_eq!(set.metadata.keys().collect::<Vec<_>>(), ["format", "tritonc.packed"]);
}

const BLOCKS: &str = "\
layer Block(n: int) {
    param up: float32[n, n]
    param down: float32[n, n]

    fn forward(x: float32[B, n]) -> float32[B, n] = relu(x @ up.T) @ down.T
}

layer Net(n: int = 4, depth: int = 2) {
    let blocks = [Block(n) for i in 0..depth]

    fn forward(x: float32[B, n]) -> float32[B, n] {
        for block in blocks {
            x = block(x)
        }
        return x
    }
}
";

/// The weights of the model, and the same in two shards under other names, joined and transposed.
fn other_names(place: &Place) {
    let own = |i: i64| [(format!("blocks.{i}.up"), 2 * i), (format!("blocks.{i}.down"), 2 * i + 1)];
    let own: Vec<(String, Tensor)> = (0..2).flat_map(own).map(|(name, seed)| (name, float(seed, &[4, 4]))).collect();
    let own: Vec<(&str, Tensor)> = own.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    place.save("own.safetensors", &own);
    let mut map = serde_json::Map::new();
    for layer in 0..2 {
        let (up, down) = (own[2 * layer].1.to_f64(), own[2 * layer + 1].1.to_f64());
        let turned = (0..16).map(|i| up[i % 4 * 4 + i / 4]).chain((0..16).map(|i| down[i % 4 * 4 + i / 4]));
        // [2, 4, 4]: both, each transposed.
        let both = Tensor::from_f64(DType::BFloat16, vec![2, 4, 4], turned);
        let name = format!("model.layers.{layer}.mlp");
        let freq = format!("model.layers.{layer}.inv_freq");
        let shard = format!("model-{layer}.safetensors");
        place.save(&shard, &[(&name, both), (&freq, float(9, &[2]))]);
        map.insert(name, shard.clone().into());
        map.insert(freq, shard.into());
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map });
    place.put("model.safetensors.index.json", &index.to_string());
    place.put(
        "map.toml",
        "[[rule]]\nfrom = \"model.layers.{n}.mlp\"\nto = [\"blocks.{n}.up\", \"blocks.{n}.down\"]\nsplit = 0\n\
         transpose = [0, 2, 1]\n\n[[rule]]\ndrop = \"*.inv_freq\"\n",
    );
}

#[test]
fn a_checkpoint_with_other_names_is_loaded_through_a_map() {
    let place = Place::new();
    place.put(
        "net.tri",
        &BLOCKS
            .replace("param up: float32[n, n]", "param up: float32[1, n, n]")
            .replace("param down: float32[n, n]", "param down: float32[1, n, n]")
            .replace("x @ up.T", "x @ up[0].T")
            .replace("@ down.T", "@ down[0].T"),
    );
    other_names(&place);
    let index = "model.safetensors.index.json";
    let run = |weights: &str, more: &[&str]| {
        place.run(&[&["run", "net.tri", "--weights", weights, "--seed", "1"], more].concat())
    };
    let plain = run(index, &[]);
    assert!(plain.err.starts_with("error[E0701]") && plain.err.contains("4 missing, 4 not expected"), "{}", plain.err);
    let uncast = run(index, &["--map", "map.toml"]);
    assert!(uncast.err.contains("element type is bfloat16, expected float32"), "{}", uncast.err);
    assert!(uncast.err.contains("help: `--cast` converts float tensors"), "{}", uncast.err);
    let mapped = run(index, &["--map", "map.toml", "--cast"]);
    assert_eq!(mapped.status, 0, "{}", mapped.err);
    // The same from the folder, and from the plain file rounded to the same type.
    let folder = run(".", &["--map", "map.toml", "--cast"]);
    assert_eq!((folder.status, &folder.out), (0, &mapped.out), "{}", folder.err);
    let own = place.load("own.safetensors");
    let rounded = own.iter().map(|(name, tensor)| {
        let half = Tensor::from_f64(DType::BFloat16, vec![1, 4, 4], tensor.to_f64());
        (name.as_str(), Tensor::from_f64(DType::Float32, vec![1, 4, 4], half.to_f64()))
    });
    place.save("rounded.safetensors", &rounded.collect::<Vec<_>>());
    assert_eq!(run("rounded.safetensors", &[]).out, mapped.out);
    // Building writes what was loaded under the names of the model.
    place.done(&["build", "net.tri", "--weights", ".", "--map", "map.toml", "--cast", "-o", "out"]);
    assert_eq!(place.load("out/net.safetensors"), place.load("rounded.safetensors"));
    // So does quantising.
    let arguments = ["--map", "map.toml", "--scheme", "blocks.*=int8(axis=1)", "-o", "q.safetensors"];
    place.done(&[&["quantize", "."], &arguments[..]].concat());
    let names: Vec<String> = place.load("q.safetensors").into_keys().collect();
    assert_eq!(names.len(), 8);
    assert!(names.contains(&"blocks.1.down.codes".to_string()), "{names:?}");
    for (map, says) in [
        ("model.layer.{n}.mlp=blocks.{n}.up", "`model.layer.{n}.mlp` matches no tensor"),
        ("model.layers.{n}.mlp=blocks.up", "both become `blocks.up`"),
        ("model.layers.{n}.mlp", "there is no `=`"),
        ("model.layers.{m}.mlp=blocks.{n}", "which `model.layers.{m}.mlp` does not capture"),
    ] {
        place.error(&["run", "net.tri", "--weights", index, "--map", map], "E0704", &[says]);
    }
    place.error(&["run", "net.tri", "--weights", index, "--map", "gone.toml"], "E0801", &["`gone.toml`"]);
    place.put("bad.toml", "[[rule]]\nform = \"a\"\n");
    place.error(&["run", "net.tri", "--weights", index, "--map", "bad.toml"], "E0704", &["line 2", "`form`"]);
    assert_eq!(place.run(&["run", "net.tri", "--map", "map.toml"]).status, 2);
    std::fs::remove_file(place.path("model-1.safetensors")).unwrap();
    place.error(&["inspect", "."], "E0703", &["the shard `model-1.safetensors` is missing"]);
}

#[test]
fn a_prefix_is_taken_off_as_the_error_says() {
    let place = Place::new();
    place.put("net.tri", &model("ternary(axis=0)"));
    place.save("w.safetensors", &[("model.weight", float(1, &[5, 12])), ("model.bias", float(2, &[5]))]);
    let run = ["run", "net.tri", "--weights", "w.safetensors"];
    place.error(&run, "E0701", &["help: the file's names all begin with `model.`", "`--map 'model.*=*'`"]);
    place.done(&[&run[..], &["--map", "model.*=*"]].concat());
}

#[test]
fn inspecting_lists_what_there_is() {
    let place = Place::new();
    let tensors = [
        ("blocks.0.weight", float(1, &[64, 128])),
        ("blocks.0.bias", Tensor::from_f32(vec![4], vec![0.0, 1.0, 0.0, 2.0])),
        ("steps", Tensor::from_i64(DType::Int64, vec![], vec![3])),
    ];
    place.save("w.safetensors", &tensors);
    expect_test::expect![[r#"
        tensor           type     shape      scheme   bits    before     after  SNR dB   zeros
        blocks.0.bias    float32  [4]        -       32.00      16 B      16 B       -  50.0 %
        blocks.0.weight  float32  [64, 128]  -       32.00  32.0 KiB  32.0 KiB       -   0.0 %
        steps            int64    []         -       64.00       8 B       8 B       -   0.0 %
        3 tensors: 32.0 KiB before, 32.0 KiB after
    "#]]
    .assert_eq(&place.done(&["inspect", "w.safetensors"]));
    let table = place.done(&["inspect", "w.safetensors", "--scheme", "*.weight=int4(group=64)"]);
    expect_test::expect![[r#"
        tensor           type     shape      scheme           bits    before    after  SNR dB   zeros
        blocks.0.bias    float32  [4]        -               32.00      16 B     16 B       -  50.0 %
        blocks.0.weight  float32  [64, 128]  int4(group=64)   4.50  32.0 KiB  4.5 KiB    19.4  14.8 %
        steps            int64    []         -               64.00       8 B      8 B       -   0.0 %
        3 tensors: 32.0 KiB before, 4.5 KiB after
    "#]]
    .assert_eq(&table);
    // A packed file says of itself what the preview said.
    place.done(&["quantize", "w.safetensors", "--scheme", "*.weight=int4(group=64)", "-o", "q.safetensors"]);
    assert_eq!(place.done(&["inspect", "q.safetensors"]), table);
    let json: Value = serde_json::from_str(&place.done(&["inspect", "q.safetensors", "--json"])).unwrap();
    let weight = &json["tensors"][1];
    assert_eq!((&weight["name"], &weight["scheme"]), (&"blocks.0.weight".into(), &"int4(group=64)".into()));
    assert_eq!((&weight["bits_per_weight"], &weight["bytes_after"]), (&4.5.into(), &4608.into()));
    assert!((weight["snr_db"].as_f64().unwrap() - 19.4).abs() < 0.1 && weight["zeros"].as_f64().unwrap() > 0.1);
    assert_eq!(
        json["totals"],
        serde_json::json!({
            "tensors": 3, "elements": 64 * 128 + 5, "bytes_before": 32792, "bytes_after": 4632,
        })
    );
    assert_eq!(place.run(&["inspect", "w.safetensors", "--weights", "w.safetensors"]).status, 2);
    place.error(&["inspect", "w.safetensors", "--scheme", "x=int8"], "E0504", &["`x` matches no tensor"]);
}

#[test]
fn inspecting_a_model_shows_its_schemes() {
    let place = Place::new();
    place.put("net.tri", &model("int4(group=4)"));
    expect_test::expect![[r#"
        tensor  type     shape    scheme          bits  before  after  SNR dB  zeros
        weight  float32  [5, 12]  int4(group=4)  12.00   240 B   90 B       -      -
        bias    float32  [5]      -              32.00    20 B   20 B       -      -
        2 tensors: 260 B before, 110 B after
    "#]]
    .assert_eq(&place.done(&["inspect", "net.tri"]));
    place.save("w.safetensors", &[("weight", float(1, &[5, 12])), ("bias", float(2, &[5]))]);
    let with = place.done(&["inspect", "net.tri", "--weights", "w.safetensors"]);
    place.done(&["quantize", "w.safetensors", "--scheme", "weight=int4(group=4)", "-o", "q.safetensors"]);
    assert_eq!(place.done(&["inspect", "net.tri", "--weights", "q.safetensors"]), with);
    assert!(with.contains("int4(group=4)  12.00   240 B   90 B    "), "{with}");
    // What building packs can be inspected too.
    place.done(&["build", "net.tri", "--weights", "w.safetensors", "-o", "out"]);
    let built = place.done(&["inspect", "out/net.safetensors"]);
    assert!(built.contains("weight  float32  [5, 12]  int4(group=4)"), "{built}");
    place.error(&["inspect", "net.tri", "--weights", "x.safetensors"], "E0801", &["`x.safetensors`"]);
    assert_eq!(place.run(&["inspect", "net.tri", "--scheme", "weight=int8"]).status, 2);
}

#[test]
fn ternary_rounding_of_float_weights_is_warned_of() {
    let place = Place::new();
    let ternary = Tensor::from_f64(DType::Float32, vec![4, 8], (0..32).map(|i| f64::from(i % 3 - 1) * 0.25));
    place.save("w.safetensors", &[("float", float(1, &[32, 32])), ("trained", ternary)]);
    let run = place.run(&["quantize", "w.safetensors", "--scheme", "*=ternary(axis=0)", "-o", "q.safetensors"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(run.err.starts_with("warning[W0501]: ternary weights keep little of a float tensor\n"), "{}", run.err);
    assert!(
        run.err.contains("`float`: 6.0 dB")
            && run.err.contains("unless they were trained with this rounding")
            && !run.err.contains("`trained`")
    );
    let preview = place.run(&["inspect", "w.safetensors", "--scheme", "*=ternary(axis=0)"]);
    assert_eq!(preview.err, run.err);
    assert_eq!(place.run(&["inspect", "q.safetensors"]).err, "");
    let quiet = place.run(&["quantize", "w.safetensors", "--scheme", "*=int4(group=8)", "-o", "q.safetensors"]);
    assert_eq!(quiet.err, "");
}

#[test]
fn damaged_notes_are_an_error() {
    let place = Place::new();
    let set = |note: &str| {
        let tensors = [("w.codes".to_string(), Tensor::filled(DType::UInt8, vec![2, 2], 0.0))].into();
        let set = WeightSet { tensors, metadata: [("tritonc.packed".to_string(), note.to_string())].into() };
        std::fs::write(place.path("w.safetensors"), encode(Path::new("w.safetensors"), &set).unwrap()).unwrap();
    };
    for (note, says) in [
        ("nonsense", "notes on packed weights are damaged"),
        (r#"{"w": {"scheme": "int9", "dtype": "float32", "shape": [2, 4]}}"#, "has the scheme \"int9\""),
        (r#"{"w": {"scheme": "int4()", "dtype": "int8", "shape": [2, 4]}}"#, "has the type \"int8\""),
        (r#"{"w": {"scheme": "int4()", "dtype": "float32", "shape": [2, 4]}}"#, "`w.scale` is missing"),
        (r#"{"w": {"scheme": "int4()", "dtype": "float32", "shape": [2, 9]}}"#, "`w.codes` is uint8 of shape [2, 2]"),
        (
            r#"{"w": {"scheme": "int4()", "dtype": "float32", "shape": [9223372036854775807, 9223372036854775807]}}"#,
            "`w` is not the int4()",
        ),
        (
            r#"{"w": {"scheme": "int4(axis=0)", "dtype": "float32", "shape": [0, 9223372036854775807, 4]}}"#,
            "`w` is not the int4(axis=0)",
        ),
        (r#"{"w": {"scheme": "int4(group=3)", "dtype": "float32", "shape": [2, 4]}}"#, "a group of 3 does not divide"),
    ] {
        set(note);
        place.error(&["inspect", "w.safetensors"], "E0503", &[says]);
    }
}

/// The module that was trained packs itself to the same codes and scales, and loads the file.
#[test]
#[ignore = "needs a Python with torch: ./test runs it"]
fn pytorch_packs_the_same() {
    let python = std::env::var("TRITONC_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = "
import numpy as np, torch, net
weights = {name: torch.from_numpy(value) for name, value in np.load('w.npz').items()}
model = net.Model()
model.load_state_dict(weights)
packed = model.pack()
np.savez('packed.npz', **{name: value.numpy() for name, value in packed.state_dict().items()})
x = torch.from_numpy(np.load('x.npy'))
assert torch.equal(net.load('q.safetensors').pack()(x) if hasattr(net.load('q.safetensors'), 'pack') else net.load('q.safetensors')(x), packed(x))
";
    for scheme in SCHEMES {
        let place = Place::new();
        place.save("w.npz", &[("weight", float(1, &[5, 12])), ("bias", float(2, &[5]))]);
        place.save("x.npy", &[("x", float(3, &[2, 12]))]);
        place.put("net.tri", &model(scheme));
        let rule = format!("weight={scheme}");
        place.done(&["quantize", "w.npz", "--scheme", &rule, "-o", "q.safetensors"]);
        place.done(&["build", "net.tri", "--mode", "train", "-o", "."]);
        let output = Command::new(&python).args(["-c", script]).current_dir(place.0.path()).output().unwrap();
        assert!(output.status.success(), "{scheme}\n{}", String::from_utf8_lossy(&output.stderr));
        let (own, theirs) = (place.load("q.safetensors"), place.load("packed.npz"));
        assert_eq!(own.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{scheme}");
        for (name, tensor) in &own {
            // PyTorch keeps bytes of codes as it likes, signed or not.
            let bits = |tensor: &Tensor| tensor.to_f64().iter().map(|v| (v + 256.0) % 256.0).collect::<Vec<f64>>();
            let same =
                if tensor.dtype().is_float() { tensor == &theirs[name] } else { bits(tensor) == bits(&theirs[name]) };
            assert!(same && tensor.shape() == theirs[name].shape(), "{scheme}: {name}");
        }
    }
}
