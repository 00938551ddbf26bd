//! Rules of convolutions, and evaluations against naive loops.

use super::*;
use crate::ops::testkit::{dim, error, eval, floats, open_rule, random, rule, rule_under};
use crate::ops::{Attr, Attrs};
use crate::types::{DType, Facts};

fn int(name: &str, value: i64) -> Attrs {
    Attrs::new().with(name, Attr::int(value))
}

#[test]
fn symbolic_sizes() {
    let stride = int("stride", 2).with("padding", Attr::int(1));
    let (text, obligations) = open_rule("conv2d", &["float32[B, C, H, W]", "float32[O, C, 3, 3]"], stride);
    assert_eq!(text, "float32[B, O, (H + 1) // 2, (W + 1) // 2]");
    assert_eq!(obligations, 0);
    let (text, obligations) = open_rule("conv1d", &["F[B, C, T]", "trit[O, C, k]"], Attrs::new());
    assert_eq!(text, "F[B, O, T - k + 1]");
    assert_eq!(obligations, 1);
    assert_eq!(
        rule("conv2d", &["float32[B, 3, 32, 32]", "float32[6, 3, 5, 5]", "float32[6]"], Attrs::new()),
        "float32[B, 6, 28, 28]"
    );
    assert_eq!(
        rule("conv_transpose2d", &["float32[B, C, H, W]", "float32[C, O, 4, 4]"], int("stride", 2)),
        "float32[B, O, 2 * H + 2, 2 * W + 2]"
    );
}

#[test]
fn groups_are_proved_or_left_open() {
    let depthwise = Attrs::new().with("groups", Attr::Int(dim("C")));
    assert_eq!(rule("conv1d", &["float32[B, C, 9]", "float32[C, 1, 3]"], depthwise), "float32[B, C, 7]");
    let groups = || Attrs::new().with("groups", Attr::Int(dim("g")));
    let weight = dim("in").floor_div(&dim("g"));
    let mut facts = Facts::default();
    facts.assume_modulo(&dim("in"), &dim("g"), &Dim::zero());
    dim("g").symbols().iter().for_each(|symbol| facts.assume_positive(symbol));
    let op = crate::ops::testkit::op("conv1d");
    let operands = [
        crate::ops::testkit::ty("float32[B, in, 9]"),
        TensorType::new(DType::Float32, Shape::new(vec![dim("out"), weight.unwrap_or_default(), dim("3")])),
    ];
    let attrs = crate::ops::testkit::with_defaults(op, &groups());
    let mut fresh = || Dim::unknown(0);
    let mut cx = RuleCx::new(op, &operands, &attrs, &facts, &mut fresh);
    let types = (op.rule)(&mut cx).unwrap_or_default();
    assert_eq!(types[0].to_string(), "float32[B, out, 7]");
    assert_eq!(cx.obligations.len(), 1, "that out divides into groups");
    let three = int("groups", 3);
    assert_eq!(error("conv1d", &["float32[B, 6, 9]", "float32[4, 2, 3]"], three).code, code::E0303);
}

#[test]
fn unknown_attributes_keep_what_is_clear() {
    let attrs = Attrs::new().with("stride", Attr::Unknown);
    match rule_under(&Facts::default(), "conv2d", &["float32[B, 3, H, W]", "float32[O, 3, 3, 3]"], attrs) {
        Err(Stop::Unknown(types)) => assert_eq!(types[0].to_string(), "float32[B, O, ?, ?]"),
        other => panic!("{other:?}"),
    }
    let (text, _) = open_rule("conv2d", &["float32[...S]", "float32[O, 3, 3, 3]"], Attrs::new());
    assert_eq!(text, "~float32[?, O, ?, ?]");
}

#[test]
fn errors() {
    let channels = error("conv2d", &["float32[B, C, H, W]", "float32[O, D, 3, 3]"], Attrs::new());
    assert_eq!(channels.code, code::E0303);
    assert_eq!(channels.message, "`conv2d`: the input has C channels, but the weight takes D");
    assert_eq!(channels.labels.len(), 2);
    let code_of = |op: &str, operands: &[&str], attrs| error(op, operands, attrs).code;
    assert_eq!(code_of("conv2d", &["float32[C, H, W]", "float32[O, C, 3, 3]"], Attrs::new()), code::E0304);
    assert_eq!(code_of("conv1d", &["float32[B, C, 2]", "float32[O, C, 3]"], Attrs::new()), code::E0310);
    assert_eq!(code_of("conv1d", &["float32[B, C, 9]", "float32[O, C, 3]"], int("stride", 0)), code::E0310);
    assert_eq!(code_of("conv1d", &["float32[B, C, 9]", "float16[O, C, 3]"], Attrs::new()), code::E0202);
    let operands = ["float32[B, C, 9]", "float32[O, C, 3]", "float32[P]"];
    assert_eq!(code_of("conv1d", &operands, Attrs::new()), code::E0303);
    let operands = ["int8[B, C, 9]", "int8[O, C, 3]", "float32[O]"];
    assert_eq!(code_of("conv1d", &operands, Attrs::new()), code::E0202);
    let operands = ["float32[B, C, 9]", "float32[C, O, 3]"];
    assert_eq!(code_of("conv_transpose1d", &operands, int("output_padding", 1)), code::E0310);
    assert_eq!(code_of("conv_transpose1d", &["float32[B, C, 1]", operands[1]], int("padding", 2)), code::E0310);
}

#[test]
fn by_hand() {
    let x = floats(&[1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
    let w = floats(&[1, 1, 2], &[1.0, 10.0]);
    let bias = floats(&[1], &[0.5]);
    assert_eq!(eval("conv1d", &[x.clone(), w.clone(), bias], Attrs::new()).to_f64(), [21.5, 32.5, 43.5]);
    assert_eq!(eval("conv_transpose1d", &[x, w], Attrs::new()).to_f64(), [1.0, 12.0, 23.0, 34.0, 40.0]);
}

/// One case of comparison with naive loops.
struct Case {
    x: &'static [usize],
    weight: &'static [usize],
    stride: &'static [i64],
    padding: &'static [i64],
    dilation: &'static [i64],
    groups: usize,
}

const CASES: [Case; 5] = [
    Case { x: &[2, 3, 11], weight: &[4, 3, 3], stride: &[2], padding: &[2], dilation: &[3], groups: 1 },
    Case { x: &[3, 4, 7, 9], weight: &[6, 2, 3, 2], stride: &[2, 3], padding: &[1, 0], dilation: &[1, 2], groups: 2 },
    Case { x: &[1, 3, 5, 5], weight: &[3, 1, 3, 3], stride: &[1, 1], padding: &[1, 1], dilation: &[1, 1], groups: 3 },
    Case {
        x: &[2, 2, 4, 5, 6],
        weight: &[3, 2, 2, 3, 1],
        stride: &[1, 2, 3],
        padding: &[0, 1, 2],
        dilation: &[2, 1, 1],
        groups: 1,
    },
    Case { x: &[1, 1, 3], weight: &[1, 1, 1], stride: &[4], padding: &[5], dilation: &[1], groups: 1 },
];

impl Case {
    fn attrs(&self) -> Attrs {
        Attrs::new()
            .with("stride", Attr::ints(self.stride))
            .with("padding", Attr::ints(self.padding))
            .with("dilation", Attr::ints(self.dilation))
            .with("groups", Attr::int(self.groups as i64))
    }

    /// Calls `visit(kernel place, window)` with the place in the plane for every pair inside it.
    fn for_each_place(&self, plane: &[usize], grid: &[usize], mut visit: impl FnMut(usize, usize, usize)) {
        let kernel = &self.weight[2..];
        for k in 0..kernel.iter().product() {
            for window in 0..grid.iter().product() {
                let (ks, ws) = (unravel(k, kernel), unravel(window, grid));
                let mut place = Some(0);
                for axis in 0..plane.len() {
                    let at = ws[axis] as i64 * self.stride[axis] + ks[axis] as i64 * self.dilation[axis]
                        - self.padding[axis];
                    let inside = usize::try_from(at).ok().filter(|at| *at < plane[axis]);
                    place = place.zip(inside).map(|(place, at)| place * plane[axis] + at);
                }
                if let Some(place) = place {
                    visit(k, window, place);
                }
            }
        }
    }
}

fn unravel(mut index: usize, sizes: &[usize]) -> Vec<usize> {
    let mut out = vec![0; sizes.len()];
    for axis in (0..sizes.len()).rev() {
        out[axis] = index % sizes[axis];
        index /= sizes[axis];
    }
    out
}

#[test]
fn convolution_agrees_with_naive_loops() {
    for (seed, case) in CASES.iter().enumerate() {
        for (left, right) in
            [(DType::Float32, DType::Float32), (DType::Float64, DType::Trit), (DType::Int8, DType::Int8)]
        {
            let x = random(seed as u64, left, case.x);
            let weight = random(seed as u64 + 9, right, case.weight);
            let out = eval(
                "conv1d conv2d conv3d".split(' ').nth(case.x.len() - 3).unwrap_or(""),
                &[x.clone(), weight.clone()],
                case.attrs(),
            );
            let (plane, grid) = (&case.x[2..], &out.shape()[2..]);
            let (plane_size, grid_size) = (plane.iter().product::<usize>(), grid.iter().product::<usize>());
            let kernel_size: usize = case.weight[2..].iter().product();
            let (outputs, inputs) = (case.weight[0], case.weight[1]);
            let mut want = vec![0.0; out.len()];
            for n in 0..case.x[0] {
                for (o, c) in (0..outputs).flat_map(|o| (0..inputs).map(move |c| (o, c))) {
                    let channel = o / (outputs / case.groups) * inputs + c;
                    case.for_each_place(plane, grid, |k, window, place| {
                        want[(n * outputs + o) * grid_size + window] += weight
                            .get_f64((o * inputs + c) * kernel_size + k)
                            * x.get_f64((n * case.x[1] + channel) * plane_size + place);
                    });
                }
            }
            assert_eq!(out.to_f64(), want, "case {seed}");
        }
    }
}

#[test]
fn transposed_convolution_agrees_with_naive_loops() {
    for (seed, case) in CASES.iter().enumerate().take(4) {
        // The weight's first two dims are [C, O // groups] here: take as many channels as it has.
        let mut sizes = case.x.to_vec();
        sizes[1] = case.weight[0];
        let x = random(seed as u64, DType::Float32, &sizes);
        let weight = random(seed as u64 + 9, DType::Float32, case.weight);
        let extra: Vec<i64> = case.stride.iter().map(|s| s - 1).collect();
        let attrs = case.attrs().with("output_padding", Attr::ints(&extra));
        let op = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"][case.x.len() - 3];
        let out = eval(op, &[x.clone(), weight.clone()], attrs);
        let (plane, grid) = (&out.shape()[2..], &sizes[2..]);
        let (plane_size, grid_size) = (plane.iter().product::<usize>(), grid.iter().product::<usize>());
        let kernel_size: usize = case.weight[2..].iter().product();
        let (inputs, outputs) = (case.weight[0], case.weight[1]);
        let mut want = vec![0.0; out.len()];
        for n in 0..sizes[0] {
            for (c, o) in (0..inputs).flat_map(|c| (0..outputs).map(move |o| (c, o))) {
                let channel = c / (inputs / case.groups) * outputs + o;
                case.for_each_place(plane, grid, |k, window, place| {
                    want[(n * outputs * case.groups + channel) * plane_size + place] += weight
                        .get_f64((c * outputs + o) * kernel_size + k)
                        * x.get_f64((n * inputs + c) * grid_size + window);
                });
            }
        }
        assert_eq!(out.to_f64(), want, "case {seed}");
    }
}

#[test]
fn integer_and_half_results() {
    let x = Tensor::from_i64(DType::Int8, vec![1, 1, 2], vec![-128, -128]);
    let w = Tensor::from_i64(DType::Int8, vec![1, 1, 2], vec![-128, 127]);
    let bias = Tensor::from_i64(DType::Int32, vec![1], vec![3]);
    let out = eval("conv1d", &[x, w, bias], Attrs::new());
    assert_eq!((out.dtype(), out.as_i64()), (DType::Int32, Some(&[131][..])));
    let x = Tensor::from_f64(DType::Float16, vec![1, 1, 3], [2048.0, 1.0, 1.0]);
    let w = Tensor::filled(DType::Trit, vec![1, 1, 3], 1.0);
    assert_eq!(eval("conv1d", &[x, w], Attrs::new()).to_f64(), [2050.0]);
}

#[test]
fn a_batch_of_images_is_quick() {
    let x = random(1, DType::Float32, &[32, 3, 32, 32]);
    let w = random(2, DType::Float32, &[6, 3, 5, 5]);
    let start = std::time::Instant::now();
    let out = eval("conv2d", &[x, w], Attrs::new());
    assert_eq!(out.shape(), [32, 6, 28, 28]);
    assert!(start.elapsed().as_millis() < 2000, "took {:?}", start.elapsed());
}
