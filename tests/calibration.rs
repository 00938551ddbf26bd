//! Scales of activations: where they come from, and what is said where there are none.

#[path = "support/place.rs"]
mod place;

use place::{Place, float};
use tritonc::types::{DType, Tensor};

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
