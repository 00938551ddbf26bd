//! Every rule against central differences in `float64`, on a tape that computes at once.

use super::*;
use crate::base::philox;
use crate::ops::{self, EvalCx, RuleCx, math};
use crate::quant::{Scheme, SchemeKind};
use crate::types::{DType, Tensor};

/// Computes what a rule builds, and holds each operation to its type rule.
struct Eager {
    values: Vec<Tensor>,
    operands: Vec<Tensor>,
    results: Vec<Tensor>,
    facts: Facts,
}

impl Eager {
    fn push(&mut self, tensor: Tensor) -> Var {
        self.values.push(tensor);
        Var(self.values.len() as u32 - 1)
    }
}

fn type_of(tensor: &Tensor) -> TensorType {
    TensorType::new(tensor.dtype(), Shape::of(tensor.shape()))
}

impl Tape for Eager {
    fn operand(&mut self, index: usize) -> Made {
        let tensor = self.operands[index].clone();
        Ok(self.push(tensor))
    }

    fn result(&mut self, index: usize) -> Made {
        let tensor = self.results[index].clone();
        Ok(self.push(tensor))
    }

    fn apply(&mut self, op: OpId, operands: &[Var], attrs: Attrs) -> Result<Vec<Var>, GradientError> {
        let tensors: Vec<Tensor> = operands.iter().map(|var| self.values[var.0 as usize].clone()).collect();
        let types: Vec<TensorType> = tensors.iter().map(type_of).collect();
        let mut fresh = || Dim::unknown(0);
        let mut cx = RuleCx::new(op.get(), &types, &attrs, &self.facts, &mut fresh);
        let promised = (op.get().rule)(&mut cx);
        let promised = promised.unwrap_or_else(|stop| panic!("{}: {types:?} {attrs:?} {stop:?}", op.name()));
        let results = (op.get().eval)(&EvalCx { op: op.get(), operands: &tensors, attrs: &attrs });
        let results = results.unwrap_or_else(|error| panic!("{}: {}", op.name(), error.0));
        assert_eq!(results.iter().map(type_of).collect::<Vec<_>>(), promised, "{}", op.name());
        Ok(results.into_iter().map(|result| self.push(result)).collect())
    }

    fn ty(&self, var: Var) -> TensorType {
        type_of(&self.values[var.0 as usize])
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

fn evaluate(op: &'static Op, operands: &[Tensor], attrs: &Attrs) -> Vec<Tensor> {
    let results = (op.eval)(&EvalCx { op, operands, attrs });
    results.unwrap_or_else(|error| panic!("{}: {}", op.name, error.0))
}

/// The gradients of the wanted operands from those of the results.
fn gradients(op: &'static Op, operands: &[Tensor], attrs: &Attrs, grads: &[Option<Tensor>]) -> Vec<Option<Tensor>> {
    let (Gradient::Rule(rule) | Gradient::StraightThrough(rule)) = op.gradient else {
        panic!("{} has no rule", op.name)
    };
    let results = evaluate(op, operands, attrs);
    let mut tape =
        Eager { values: vec![], operands: operands.to_vec(), results: results.clone(), facts: Facts::default() };
    let types: Vec<TensorType> = operands.iter().map(type_of).collect();
    let result_types: Vec<TensorType> = results.iter().map(type_of).collect();
    let wanted: Vec<bool> = operands.iter().map(|operand| operand.dtype().is_float()).collect();
    let grads: Vec<Option<Var>> = grads.iter().map(|grad| grad.clone().map(|grad| tape.push(grad))).collect();
    let mut cx = GradientCx {
        op,
        attrs,
        operands: &types,
        results: &result_types,
        wanted: &wanted,
        grads: &grads,
        tape: &mut tape,
    };
    let built = rule(&mut cx).unwrap_or_else(|error| panic!("{}: {error}", op.name));
    built.into_iter().map(|var| var.map(|var| tape.values[var.0 as usize].clone())).collect()
}

/// Even numbers between two bounds.
fn uniform(seed: i64, shape: &[usize], low: f64, high: f64) -> Tensor {
    let count = shape.iter().product();
    let values = philox::words(seed).take(count).map(|word| low + (high - low) * philox::uniform(word));
    Tensor::from_f64(DType::Float64, shape.to_vec(), values)
}

/// `sum(weights * results)` over the float results.
fn weighted(results: &[Tensor], weights: &[Option<Tensor>]) -> f64 {
    let pairs = results.iter().zip(weights);
    let sum = |(result, weights): (&Tensor, &Option<Tensor>)| -> f64 {
        let Some(weights) = weights else { return 0.0 };
        (0..result.len()).map(|i| result.get_f64(i) * weights.get_f64(i)).sum()
    };
    pairs.map(sum).sum()
}

/// Compares the rule with differences in each element of each float operand.
fn compare(op: &'static Op, operands: &[Tensor], attrs: &Attrs) {
    let results = evaluate(op, operands, attrs);
    let weights: Vec<Option<Tensor>> = results
        .iter()
        .enumerate()
        .map(|(i, result)| result.dtype().is_float().then(|| uniform(900 + i as i64, result.shape(), -1.0, 1.0)))
        .collect();
    let found = gradients(op, operands, attrs, &weights);
    assert_eq!(found.len(), operands.len(), "{}", op.name);
    let step = 1e-5;
    for (index, operand) in operands.iter().enumerate().filter(|(_, operand)| operand.dtype().is_float()) {
        let found = found[index].as_ref().unwrap_or_else(|| panic!("{}: nothing for operand {index}", op.name));
        assert_eq!((found.shape(), found.dtype()), (operand.shape(), operand.dtype()), "{} {attrs:?}", op.name);
        for element in 0..operand.len() {
            let moved = |by: f64| {
                let mut values = operand.to_f64();
                values[element] += by;
                let mut operands = operands.to_vec();
                operands[index] = Tensor::from_f64(DType::Float64, operand.shape().to_vec(), values);
                weighted(&evaluate(op, &operands, attrs), &weights)
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * step);
            let difference = (found.get_f64(element) - slope).abs();
            assert!(
                difference <= 1e-6 * (1.0 + slope.abs()),
                "{} {attrs:?}: operand {index}, element {element}: {} instead of {slope}",
                op.name,
                found.get_f64(element)
            );
        }
    }
}

/// One use: shapes of float operands with their range, or integers.
struct Use {
    op: &'static str,
    operands: Vec<Tensor>,
    attrs: Attrs,
}

fn float(seed: i64, shape: &[usize]) -> Tensor {
    uniform(seed, shape, -2.0, 2.0)
}

fn ints_of(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_i64(DType::Int64, shape.to_vec(), values.to_vec())
}

fn of(op: &'static str, operands: Vec<Tensor>, attrs: Attrs) -> Use {
    Use { op, operands, attrs }
}

fn none() -> Attrs {
    Attrs::new()
}

fn list(values: &[i64]) -> Attr {
    Attr::ints(values)
}

fn at(axis: i64) -> Attrs {
    none().with("axis", Attr::int(axis))
}

fn elementwise_uses() -> Vec<Use> {
    let mut uses = vec![];
    for op in ["add", "sub", "mul", "maximum", "minimum"] {
        uses.push(of(op, vec![float(1, &[3, 1, 5]), float(2, &[7, 1])], none()));
        uses.push(of(op, vec![float(1, &[]), float(2, &[3])], none()));
    }
    let away = |seed, shape: &[usize]| uniform(seed, shape, 0.7, 1.9);
    uses.push(of("div", vec![float(1, &[3, 1]), away(2, &[5])], none()));
    uses.push(of("mod", vec![float(1, &[3, 1]), uniform(2, &[5], 0.7, 0.9)], none()));
    uses.push(of("pow", vec![away(1, &[3, 1]), float(2, &[5])], none()));
    uses.push(of("where", vec![uniform(1, &[3, 1], 0.0, 2.0), float(2, &[3, 5]), float(3, &[5])], none()));
    if let Some(last) = uses.last_mut() {
        last.operands[0] = Tensor::from_f64(DType::Bool, vec![3, 1], [1.0, 0.0, 1.0]);
    }
    for op in ["neg", "abs"] {
        uses.push(of(op, vec![uniform(4, &[3, 5], -1.2, 1.2)], none()));
    }
    for op in math::OPS.iter().filter(|op| matches!(op.gradient, Gradient::Rule(_))) {
        uses.push(of(op.name, vec![inside_domain(op)], none()));
    }
    uses.push(of("clamp", vec![float(1, &[9])], none().with("min", Attr::int(-1))));
    let both = none().with("min", Attr::int(-1)).with("max", Attr::Float(HostExpr::float(0.5)));
    uses.push(of("clamp", vec![float(1, &[3, 5])], both));
    uses.push(of("cast", vec![float(1, &[3])], none().with("dtype", Attr::DType(DType::Float64.into()))));
    uses
}

/// Numbers that a function has values for.
fn inside_domain(function: &'static Op) -> Tensor {
    let ranges = [(-1.5, 1.5), (0.7, 1.9), (-0.8, 0.8), (1.3, 3.0)];
    let mut tried = ranges.into_iter().map(|(low, high)| uniform(4, &[3, 5], low, high));
    let has_values =
        |x: &Tensor| evaluate(function, std::slice::from_ref(x), &none())[0].to_f64().iter().all(|y| y.is_finite());
    tried.find(has_values).unwrap_or_else(|| panic!("add a range in which `{}` has values", function.name))
}

fn reduction_uses() -> Vec<Use> {
    let mut uses = vec![];
    for op in ["sum", "mean", "max", "min", "prod"] {
        uses.push(of(op, vec![float(1, &[3, 5])], none()));
        uses.push(of(op, vec![float(2, &[3, 5, 2])], none().with("axis", list(&[-1, 0]))));
        uses.push(of(op, vec![float(3, &[3, 5])], at(1).with("keepdim", Attr::Bool(true))));
        uses.push(of(op, vec![float(4, &[])], none()));
    }
    let with_zeros = Tensor::from_f64(DType::Float64, vec![2, 3], [0.0, 2.0, 3.0, 0.0, 0.0, 5.0]);
    uses.push(of("prod", vec![with_zeros.clone()], at(1)));
    uses.push(of("cumprod", vec![with_zeros], at(-1)));
    for op in ["cumsum", "cumprod"] {
        uses.push(of(op, vec![float(1, &[3, 5, 2])], at(1)));
        uses.push(of(op, vec![float(1, &[5])], at(0)));
    }
    uses.push(of("sort", vec![float(1, &[3, 5])], at(0).with("descending", Attr::Bool(true))));
    uses.push(of("sort", vec![float(1, &[7])], none()));
    uses.push(of("topk", vec![float(1, &[3, 7])], none().with("k", Attr::int(3))));
    uses.push(of("topk", vec![float(1, &[5, 2])], at(0).with("k", Attr::int(2)).with("largest", Attr::Bool(false))));
    uses
}

fn product_uses() -> Vec<Use> {
    let shapes: [(&[usize], &[usize]); 7] = [
        (&[3, 5], &[5, 2]),
        (&[5], &[5]),
        (&[5], &[5, 2]),
        (&[3, 5], &[5]),
        (&[2, 1, 3, 5], &[4, 5, 2]),
        (&[4, 3, 5], &[5]),
        (&[5], &[4, 5, 2]),
    ];
    let mut uses: Vec<Use> = shapes.iter().map(|(a, b)| of("matmul", vec![float(1, a), float(2, b)], none())).collect();
    for (a, b, flags) in [
        (&[5usize, 3][..], &[5usize, 2][..], [true, false]),
        (&[3, 5], &[2, 5], [false, true]),
        (&[5, 3], &[2, 5], [true, true]),
        (&[2, 1, 5, 3], &[4, 2, 5], [true, true]),
        (&[4, 5, 3], &[5], [true, false]),
        (&[5], &[4, 2, 5], [false, true]),
    ] {
        let attrs = none().with_flag("transpose_a", flags[0]).with_flag("transpose_b", flags[1]);
        uses.push(of("matmul", vec![float(1, a), float(2, b)], attrs));
    }
    let route = ints_of(&[2, 3], &[0, 3, -1, 1, 1, 0]);
    uses.push(of("routed_matmul", vec![float(1, &[2, 3, 5]), float(2, &[4, 7, 5]), route], none()));
    for (groups, stride, padding, dilation) in [(1, 1, 0, 1), (2, 2, 1, 1), (1, 3, 2, 2), (2, 1, 1, 2)] {
        let attrs = |axes: usize| {
            none()
                .with("stride", list(&vec![stride; axes]))
                .with("padding", Attr::int(padding))
                .with("dilation", Attr::int(dilation))
                .with("groups", Attr::int(groups))
        };
        let g = groups as usize;
        uses.push(of("conv1d", vec![float(1, &[2, 2 * g, 9]), float(2, &[2 * g, 2, 3]), float(3, &[2 * g])], attrs(1)));
        uses.push(of("conv2d", vec![float(1, &[2, g, 7, 6]), float(2, &[g, 1, 2, 3])], attrs(2)));
        uses.push(of("conv_transpose1d", vec![float(1, &[2, 2 * g, 5]), float(2, &[2 * g, 1, 3])], attrs(1)));
        let bias = float(3, &[2 * g]);
        let with_rest = if stride > 1 { attrs(2).with("output_padding", Attr::int(1)) } else { attrs(2) };
        uses.push(of("conv_transpose2d", vec![float(1, &[2, g, 3, 4]), float(2, &[g, 2, 3, 4]), bias], with_rest));
    }
    let odd = none().with("stride", list(&[1, 2, 1])).with("padding", list(&[0, 1, 1]));
    uses.push(of("conv3d", vec![float(1, &[1, 2, 3, 4, 3]), float(2, &[1, 2, 2, 3, 2])], odd.clone()));
    uses.push(of("conv_transpose3d", vec![float(1, &[1, 2, 2, 3, 2]), float(2, &[2, 1, 2, 3, 2])], odd));
    uses
}

fn pool_uses() -> Vec<Use> {
    let kernel = |size: i64| none().with("kernel_size", Attr::int(size));
    let step = |attrs: Attrs, stride: i64| attrs.with("stride", Attr::int(stride));
    let ceil = |attrs: Attrs| attrs.with("ceil_mode", Attr::Bool(true));
    let padded = |attrs: Attrs| attrs.with("padding", Attr::int(1));
    let mut uses = vec![];
    for op in ["max_pool1d", "avg_pool1d"] {
        uses.push(of(op, vec![float(1, &[2, 3, 7])], kernel(2)));
        uses.push(of(op, vec![float(1, &[3, 8])], ceil(padded(step(kernel(3), 2)))));
        uses.push(of(op, vec![float(1, &[3, 8])], ceil(padded(step(kernel(2), 3)))));
    }
    for op in ["max_pool2d", "avg_pool2d"] {
        uses.push(of(op, vec![float(1, &[2, 1, 6, 5])], padded(step(kernel(3), 2))));
        uses.push(of(op, vec![float(1, &[2, 6, 5])], step(kernel(2), 1)));
    }
    uses.push(of(
        "avg_pool2d",
        vec![float(1, &[2, 6, 5])],
        padded(kernel(3)).with("count_include_pad", Attr::Bool(false)),
    ));
    let dilated = kernel(2).with("dilation", Attr::int(2));
    uses.push(of("max_pool2d", vec![float(1, &[1, 6, 5])], dilated));
    uses.push(of("max_pool3d", vec![float(1, &[1, 4, 3, 5])], step(kernel(2), 2)));
    uses.push(of("avg_pool3d", vec![float(1, &[1, 4, 3, 5])], ceil(step(kernel(2), 2))));
    uses
}

fn shape_uses() -> Vec<Use> {
    let sizes = |sizes: &[i64]| none().with("shape", list(sizes));
    let x = || vec![float(1, &[3, 5, 2])];
    let three = || vec![float(1, &[3, 2]), float(2, &[3, 1]), float(3, &[3, 4])];
    let pads = |mode: &str| none().with("pads", list(&[1, 2, 0, 1])).with("mode", Attr::Str(mode.into()));
    vec![
        of("reshape", x(), sizes(&[5, -1])),
        of("permute", x(), none().with("axes", list(&[2, 0, 1]))),
        of("transpose", x(), none().with("axis0", Attr::int(0)).with("axis1", Attr::int(-1))),
        of("squeeze", vec![float(1, &[1, 3, 1])], none()),
        of("unsqueeze", x(), at(-1)),
        of("broadcast_to", vec![float(1, &[3, 1])], sizes(&[2, 3, 4])),
        of("concat", three(), at(1)),
        of("stack", vec![float(1, &[3, 2]), float(2, &[3, 2])], at(-1)),
        of("unbind", x(), at(1)),
        of("split", x(), at(1).with("sizes", list(&[2, 3]))),
        of("chunk", x(), at(1).with("n", Attr::int(2))),
        of("slice", x(), at(1).with("start", Attr::int(1)).with("stop", Attr::int(4))),
        of("slice", x(), at(1).with("start", Attr::int(0)).with("stop", Attr::int(5)).with("step", Attr::int(2))),
        of("dynamic_slice", vec![float(1, &[3, 5]), ints_of(&[], &[-3])], at(1).with("size", Attr::int(2))),
        of("dynamic_update", vec![float(1, &[3, 5]), float(2, &[3, 2]), ints_of(&[], &[1])], at(1)),
        of("pad", x(), pads("constant").with("value", Attr::int(7))),
        of("pad", x(), pads("edge")),
        of("pad", vec![float(1, &[4, 5])], pads("reflect")),
        of("pad", x(), pads("wrap")),
        of("flip", x(), none().with("axes", list(&[0, 2]))),
        of("roll", x(), none().with("axes", list(&[0, 1])).with("shifts", list(&[1, -2]))),
        of("take", vec![float(1, &[3, 5]), ints_of(&[2, 2], &[1, -1, 1, 0])], at(1)),
        of("gather", vec![float(1, &[3, 5]), ints_of(&[2, 2], &[1, -1, 1, 0])], at(1)),
        of("repeat", vec![float(1, &[3, 2])], none().with("repeats", list(&[2, 1, 3]))),
        of("repeat_interleave", x(), at(1).with("n", Attr::int(3))),
        of("upsample", vec![float(1, &[1, 2, 3, 2])], none().with("scale_factor", list(&[2, 3]))),
        of(
            "upsample",
            vec![float(1, &[1, 2, 3, 2])],
            none().with("scale_factor", Attr::int(2)).with("mode", Attr::Str("bilinear".into())),
        ),
        of("tril", x(), none().with("diagonal", Attr::int(-1))),
        of("triu", vec![float(1, &[3, 4])], none()),
    ]
}

fn scatter_uses() -> Vec<Use> {
    let by = |reduce: Option<&str>| at(1).with("reduce", reduce.map_or(Attr::None, |r| Attr::Str(r.into())));
    let index = ints_of(&[2, 3], &[1, 4, -3, 0, 1, 0]);
    let unique = ints_of(&[2, 3], &[1, 4, -2, 0, 1, 2]);
    let operands = |index: &Tensor| vec![float(1, &[3, 5]), index.clone(), float(2, &[2, 3])];
    let mut uses: Vec<Use> =
        ["add", "max", "min"].into_iter().map(|reduce| of("scatter", operands(&index), by(Some(reduce)))).collect();
    // Which of several updates of one place wins is a kink of its own.
    uses.push(of("scatter", operands(&unique), by(None)));
    uses
}

fn uses() -> Vec<Use> {
    [elementwise_uses(), reduction_uses(), product_uses(), pool_uses(), shape_uses(), scatter_uses()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn rules_agree_with_differences() {
    for Use { op, operands, attrs } in uses() {
        let op = find(op).unwrap_or_else(|| panic!("no {op}")).get();
        compare(op, &operands, &op.with_defaults(&attrs));
    }
}

/// A new operation with a rule must be listed above, one without must say why.
#[test]
fn every_operation_says_what_its_gradient_is() {
    let tried: Vec<&str> = uses().iter().map(|used| used.op).collect();
    for op in ops::all() {
        match op.get().gradient {
            Gradient::Rule(_) => assert!(tried.contains(&op.name()), "{}: the rule is not tried out", op.name()),
            Gradient::StraightThrough(_) => {
                assert!(matches!(op.name(), "quantize" | "quantize_with" | "dequantize"), "{}", op.name())
            }
            Gradient::None(reason) => assert!(reason.split(' ').count() > 3, "{}: {reason}", op.name()),
        }
    }
}

/// The gradient of a sum of the results.
fn slopes(op: &str, operands: &[Tensor], attrs: Attrs) -> Vec<Vec<f64>> {
    let op = find(op).unwrap_or_else(|| panic!("no {op}")).get();
    let attrs = op.with_defaults(&attrs);
    let results = evaluate(op, operands, &attrs);
    let ones: Vec<Option<Tensor>> = results
        .iter()
        .map(|result| result.dtype().is_float().then(|| Tensor::filled(result.dtype(), result.shape().to_vec(), 1.0)))
        .collect();
    gradients(op, operands, &attrs, &ones).into_iter().flatten().map(|grad| grad.to_f64()).collect()
}

fn vector(values: &[f64]) -> Tensor {
    Tensor::from_f64(DType::Float64, vec![values.len()], values.iter().copied())
}

#[test]
fn kinks_are_those_of_pytorch() {
    assert_eq!(slopes("abs", &[vector(&[-2.0, 0.0, 3.0])], none()), [[-1.0, 0.0, 1.0]]);
    let (a, b) = (vector(&[1.0, 2.0, 3.0]), vector(&[1.0, 5.0, 0.0]));
    assert_eq!(slopes("maximum", &[a.clone(), b.clone()], none()), [[0.5, 0.0, 1.0], [0.5, 1.0, 0.0]]);
    assert_eq!(slopes("minimum", &[a, b], none()), [[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]);
    assert_eq!(slopes("max", &[vector(&[4.0, 1.0, 4.0, 4.0, 4.0])], none()), [[0.25, 0.0, 0.25, 0.25, 0.25]]);
    let bounds = none().with("min", Attr::int(0)).with("max", Attr::int(1));
    assert_eq!(slopes("clamp", &[vector(&[-1.0, 0.0, 0.5, 1.0, 2.0])], bounds), [[0.0, 0.0, 1.0, 0.0, 0.0]]);
    // relu'(0) is 0, as a comparison makes it; as the maximum with 0 it would be 0.5.
    assert_eq!(slopes("pow", &[vector(&[0.0, 0.0]), vector(&[0.0, 2.0])], none()), [[0.0, 0.0], [0.0, 0.0]]);
    let plane = Tensor::from_f64(DType::Float64, vec![1, 4], [3.0, 3.0, 3.0, 1.0]);
    let pool = none().with("kernel_size", Attr::int(2));
    assert_eq!(slopes("max_pool1d", &[plane], pool), [[1.0, 0.0, 1.0, 0.0]]);
}

#[test]
fn quantising_passes_straight_through() {
    let quantize = find("quantize").map(OpId::get).unwrap_or_else(|| panic!("no quantize"));
    let x = Tensor::from_f64(DType::Float32, vec![2, 4], [0.2, -0.4, 3.0, 0.1, 0.0, 0.0, -8.7, 1.0]);
    let pass = |scheme: Scheme| {
        let attrs = quantize.with_defaults(&none().with("scheme", Attr::Scheme(scheme)));
        let grad = Tensor::from_f64(DType::Float32, vec![2, 4], (1..9).map(f64::from));
        let mut grads = vec![Some(grad)];
        grads.resize(evaluate(quantize, std::slice::from_ref(&x), &attrs).len(), None);
        gradients(quantize, std::slice::from_ref(&x), &attrs, &grads)[0].clone().map(|grad| grad.to_f64())
    };
    let all: Vec<f64> = (1..9).map(f64::from).collect();
    assert_eq!(pass(Scheme::ternary()).as_ref(), Some(&all));
    // The mean of each row is the scale: 0.925 and 2.425; 3 and -8.7 are more than one and a half of it.
    let clipped = Scheme { ste: crate::quant::Ste::Clipped, axis: Some(0), ..Scheme::ternary() };
    assert_eq!(pass(clipped), Some(vec![1.0, 2.0, 0.0, 4.0, 5.0, 6.0, 0.0, 8.0]));
    let grouped = Scheme { ste: crate::quant::Ste::Clipped, group: Some(2), ..Scheme::int(8) };
    assert_eq!(pass(grouped).as_ref(), Some(&all));
    let affine = SchemeKind::Int { bits: 4, symmetric: false };
    let dynamic = Scheme { kind: affine, ste: crate::quant::Ste::Clipped, dynamic: true, ..Scheme::int(4) };
    assert_eq!(pass(dynamic).as_ref(), Some(&all));
}

#[test]
fn scales_have_gradients_of_their_own() {
    let dequantize = find("dequantize").map(OpId::get).unwrap_or_else(|| panic!("no dequantize"));
    let codes = |dtype, values: &[i64]| Tensor::from_i64(dtype, vec![2, 4], values.to_vec());
    let check = |scheme: Scheme, shape: &[usize], zero: bool| {
        let attrs = none().with("scheme", Attr::Scheme(scheme.clone()));
        let attrs = attrs.with("dtype", Attr::DType(DType::Float64.into()));
        let mut operands = vec![codes(scheme.code_dtype(), &[1, -1, 0, 1, 1, 1, -1, 0]), uniform(1, shape, 0.5, 2.0)];
        if zero {
            operands[0] = codes(scheme.code_dtype(), &[1, 3, 0, 15, 9, 1, 2, 0]);
            operands.push(Tensor::filled(scheme.code_dtype(), shape.to_vec(), 3.0));
        }
        let scheme64 = Scheme { scale_dtype: DType::Float64, ..scheme };
        let attrs = attrs.with("scheme", Attr::Scheme(scheme64));
        let op = dequantize;
        let weights = uniform(5, &[2, 4], -1.0, 1.0);
        let found = gradients(op, &operands, &attrs, &[Some(weights.clone())])[1].clone();
        let found = found.unwrap_or_else(|| panic!("nothing for the scale"));
        // The value is linear in the scale, so that it is the sum of slopes times scales.
        let value = weighted(&evaluate(op, &operands, &attrs), &[Some(weights)]);
        let sum: f64 = (0..found.len()).map(|i| found.get_f64(i) * operands[1].get_f64(i)).sum();
        assert_eq!(found.shape(), shape);
        assert!((sum - value).abs() < 1e-6, "{sum} {value}");
    };
    check(Scheme::ternary(), &[], false);
    check(Scheme { axis: Some(-1), ..Scheme::int(8) }, &[4], false);
    check(Scheme { group: Some(2), ..Scheme::int(4) }, &[2, 2], false);
    let affine = SchemeKind::Int { bits: 4, symmetric: false };
    check(Scheme { kind: affine, axis: Some(0), ..Scheme::int(4) }, &[2], true);
}
