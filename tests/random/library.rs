//! Functions and layers of the standard library: what they are given and what comes of it.

use super::generate::Generator;
use super::ranges::{Range, WILD, range};
use super::scope::{Scope, Var};
use super::tree::Argument;
use tritonc::types::{DType, Dim, Shape, TensorType};

/// What comes after the first tensor of a function.
#[derive(Clone, Copy)]
enum More {
    Nothing,
    /// A tensor of the same type.
    Same,
    /// One with values between these.
    SameWithin(f64, f64),
    /// A scalar tensor.
    Scalar,
    /// A float parameter with this name, between these.
    Float(&'static str, f64, f64),
    /// `axis`, and `keepdim` perhaps.
    Axis {
        keeps: bool,
    },
    /// A whole argument.
    Text(&'static str),
    /// Classes: an int64 for each row, below the last size.
    Classes,
}

/// The shape of the result.
#[derive(Clone, Copy, PartialEq)]
enum Gives {
    Same,
    Scalar,
    /// Half of the last axis.
    Half,
    /// Without the axis, or with 1 there.
    Reduced,
}

/// A function: its name, what its first tensor should be like, what follows, and the result.
struct Row(&'static str, Range, More, Gives, Range);

const ANY: Range = range(-8.0, 8.0);

const FUNCTIONS: &[Row] = &[
    Row("relu", ANY, More::Nothing, Gives::Same, range(0.0, 8.0)),
    Row("relu6", ANY, More::Nothing, Gives::Same, range(0.0, 6.0)),
    Row("leaky_relu", ANY, More::Float("negative_slope", 0.0, 0.5), Gives::Same, ANY),
    Row("prelu", ANY, More::Scalar, Gives::Same, range(-24.0, 8.0)),
    Row("gelu", ANY, More::Nothing, Gives::Same, ANY),
    Row("gelu", ANY, More::Text("approximate=\"tanh\""), Gives::Same, ANY),
    Row("sigmoid", ANY, More::Nothing, Gives::Same, range(0.0, 1.0)),
    Row("logsigmoid", ANY, More::Nothing, Gives::Same, ANY),
    Row("silu", ANY, More::Nothing, Gives::Same, ANY),
    Row("softplus", ANY, More::Float("beta", 0.5, 2.0), Gives::Same, range(0.0, 10.0)),
    Row("elu", ANY, More::Float("alpha", 0.5, 2.0), Gives::Same, ANY),
    Row("selu", ANY, More::Nothing, Gives::Same, range(-2.0, 9.0)),
    Row("celu", ANY, More::Float("alpha", 0.5, 2.0), Gives::Same, ANY),
    Row("mish", ANY, More::Nothing, Gives::Same, ANY),
    Row("hardsigmoid", ANY, More::Nothing, Gives::Same, range(0.0, 1.0)),
    Row("hardswish", ANY, More::Nothing, Gives::Same, ANY),
    Row("hardtanh", ANY, More::Nothing, Gives::Same, range(-1.0, 1.0)),
    Row("softsign", ANY, More::Nothing, Gives::Same, range(-1.0, 1.0)),
    Row("tanhshrink", ANY, More::Nothing, Gives::Same, ANY),
    Row("hardshrink", ANY, More::Float("lambd", 0.25, 1.0), Gives::Same, ANY),
    Row("softshrink", ANY, More::Float("lambd", 0.25, 1.0), Gives::Same, ANY),
    Row("softmax", ANY, More::Axis { keeps: false }, Gives::Same, range(0.0, 1.0)),
    Row("log_softmax", ANY, More::Axis { keeps: false }, Gives::Same, range(-24.0, 0.0)),
    Row("softmin", ANY, More::Axis { keeps: false }, Gives::Same, range(0.0, 1.0)),
    Row("glu", ANY, More::Nothing, Gives::Half, ANY),
    Row("geglu", ANY, More::Nothing, Gives::Half, WILD),
    Row("swiglu", ANY, More::Nothing, Gives::Half, WILD),
    Row("mse_loss", ANY, More::Same, Gives::Scalar, WILD),
    Row("l1_loss", ANY, More::Same, Gives::Scalar, range(0.0, 16.0)),
    Row("huber_loss", ANY, More::Same, Gives::Scalar, range(0.0, 16.0)),
    Row("smooth_l1_loss", ANY, More::Same, Gives::Scalar, range(0.0, 16.0)),
    Row("hinge_loss", ANY, More::Same, Gives::Scalar, WILD),
    Row("quantile_loss", ANY, More::Same, Gives::Scalar, range(0.0, 16.0)),
    Row("cross_entropy", ANY, More::Classes, Gives::Scalar, range(0.0, 20.0)),
    Row("nll_loss", ANY, More::Classes, Gives::Scalar, ANY),
    Row("binary_cross_entropy", range(0.0625, 0.9375), More::SameWithin(0.0, 1.0), Gives::Scalar, range(0.0, 4.0)),
    Row("binary_cross_entropy_with_logits", ANY, More::SameWithin(0.0, 1.0), Gives::Scalar, range(0.0, 20.0)),
    Row("kl_div", ANY, More::SameWithin(0.0, 1.0), Gives::Scalar, ANY),
    Row("softcap", ANY, More::Float("cap", 1.0, 4.0), Gives::Same, range(-4.0, 4.0)),
    Row("var", ANY, More::Axis { keeps: true }, Gives::Reduced, WILD),
    Row("std", ANY, More::Axis { keeps: true }, Gives::Reduced, range(0.0, 16.0)),
    Row("l2_norm", ANY, More::Axis { keeps: true }, Gives::Reduced, range(0.0, 60.0)),
    Row("normalize", ANY, More::Axis { keeps: false }, Gives::Same, range(-1.0, 1.0)),
    Row("cosine_similarity", ANY, More::Same, Gives::Reduced, range(-1.0, 1.0)),
    Row("logsumexp", ANY, More::Axis { keeps: true }, Gives::Reduced, range(-8.0, 16.0)),
    Row("layer_norm", ANY, More::Nothing, Gives::Same, range(-8.0, 8.0)),
    Row("rms_norm", ANY, More::Nothing, Gives::Same, range(-8.0, 8.0)),
    Row("allclose", ANY, More::Same, Gives::Scalar, range(0.0, 1.0)),
    Row("dropout", ANY, More::Float("p", 0.0, 0.75), Gives::Same, range(-32.0, 32.0)),
    Row("masked_softmax", ANY, More::Nothing, Gives::Same, range(0.0, 1.0)),
    Row("fake_quantize", ANY, More::Text("int8(dynamic=true)"), Gives::Same, ANY),
    Row("fake_quantize", ANY, More::Text("int8(symmetric=false)"), Gives::Same, ANY),
    Row("fake_quantize", ANY, More::Text("int4(axis=0)"), Gives::Same, ANY),
    Row("fake_quantize", ANY, More::Text("ternary()"), Gives::Same, ANY),
];

impl Generator {
    pub fn library_function(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        if self.draw.percent(12) {
            return self.attention(scope);
        }
        let Row(name, wanted, more, gives, results) = &FUNCTIONS[self.draw.below(FUNCTIONS.len())];
        let x = self.float(scope)?;
        let x = self.tamed(x, *wanted);
        let (rank, dims) = (x.ty.shape.rank()?, x.ty.shape.known()?.to_vec());
        let last = dims.last().cloned();
        let mut arguments = vec![Argument::of(x.expr.clone())];
        let (mut axis, mut keeps) = (rank.saturating_sub(1), false);
        let needs_axis = *gives != Gives::Same && *gives != Gives::Scalar || matches!(more, More::Axis { .. });
        let needs_axis = needs_axis || matches!(*name, "layer_norm" | "rms_norm" | "masked_softmax");
        if needs_axis && rank == 0 {
            return None;
        }
        match more {
            More::Nothing => {}
            More::Same => {
                let other = self.like(scope, &x.ty)?;
                arguments.push(Argument::of(self.tamed(other, *wanted).expr));
            }
            More::SameWithin(low, high) => {
                let other = self.like(scope, &x.ty)?;
                arguments.push(Argument::of(self.tamed(other, range(*low, *high)).expr));
            }
            More::Scalar => {
                let scalar = self.weight(scope, &TensorType::scalar(x.ty.elem.clone()))?;
                arguments.push(Argument::of(self.tamed(scalar, range(-3.0, 3.0)).expr));
            }
            More::Float(parameter, low, high) => {
                if self.draw.percent(60) || *parameter == "cap" {
                    arguments.push(Argument::named(parameter, self.number(*low, *high)));
                }
            }
            More::Axis { keeps: may_keep } => {
                axis = self.draw.below(rank);
                let shown = if self.draw.percent(50) { axis as i64 } else { axis as i64 - rank as i64 };
                arguments.push(Argument::named("axis", shown.to_string()));
                if *may_keep && self.draw.percent(50) {
                    keeps = true;
                    arguments.push(Argument::named("keepdim", "true"));
                }
                // The variance of one number.
                if matches!(*name, "var" | "std") {
                    if scope.size(&dims[axis])? < 2 {
                        return None;
                    }
                    arguments.push(Argument::named("correction", self.draw.below(2).to_string()));
                }
            }
            More::Text(text) => arguments.push(Argument::text(*text)),
            More::Classes => {
                let rows = x.ty.shape.without_dim(rank.checked_sub(1)?);
                let index = self.index(scope, &rows, &last.clone()?)?;
                if index.ty.dtype() != Some(DType::Int64) {
                    return None;
                }
                arguments.push(Argument::of(index.expr));
            }
        }
        if name == &"fake_quantize" && x.ty.dtype() != Some(DType::Float32) {
            return None;
        }
        if *name == "fake_quantize" && rank == 0 {
            return None;
        }
        let shape = match gives {
            Gives::Same => x.ty.shape.clone(),
            Gives::Scalar => Shape::scalar(),
            Gives::Half => {
                let last = last?.as_const().filter(|last| last % 2 == 0)?;
                x.ty.shape.with_dim(rank - 1, Dim::constant(last / 2))
            }
            Gives::Reduced if keeps => x.ty.shape.with_dim(axis, Dim::constant(1)),
            Gives::Reduced => x.ty.shape.without_dim(axis),
        };
        let ty = x.ty.with_shape(shape);
        let ty = if *name == "allclose" { ty.with_elem(DType::Bool) } else { ty };
        self.called(scope, name, arguments, &[(ty, *results)])
    }

    fn attention(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        let x = scope.find(&mut self.draw, |var| {
            var.ty.shape.rank() >= Some(2) && var.ty.dtype().is_some_and(DType::is_float)
        })?;
        let q = match x.ty.shape.rank()? {
            2 => self.with_rank(scope, x, 3)?,
            _ => x,
        };
        let q = self.tamed(q, range(-4.0, 4.0));
        let keys = self.like(scope, &q.ty)?;
        let values = self.like(scope, &q.ty)?;
        let mut arguments: Vec<Argument> = [q.clone(), keys, values.clone()].map(|var| Argument::of(var.expr)).into();
        if self.draw.percent(30) {
            let rank = q.ty.shape.rank()?;
            let rows = q.ty.shape.dims[rank - 2].clone();
            let mask = self.like(scope, &TensorType::new(DType::Bool, Shape::new(vec![rows.clone(), rows])))?;
            arguments.push(Argument { name: Some("mask".into()), value: super::tree::Value::One(mask.expr) });
        }
        if self.draw.percent(40) {
            arguments.push(Argument::named("causal", "true"));
        }
        self.called(scope, "attention", arguments, &[(q.ty, values.range.union(range(0.0, 0.0)))])
    }

    /// Calls an instance of a layer of the library.
    pub fn library_layer(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        let x = scope
            .find(&mut self.draw, |var| var.ty.shape.rank() > Some(0) && var.ty.dtype().is_some_and(DType::is_float))?;
        let x = self.tamed(x, range(-8.0, 8.0));
        let float = x.ty.elem.clone();
        // A layer's type is float32 unless it is given.
        let of_type = if float.is(DType::Float32) { String::new() } else { format!("[{float}]") };
        let fixed = |dim: &Dim| !dim.symbols().iter().any(|symbol| symbol.as_str().starts_with(char::is_uppercase));
        let which = self.draw.below(19);
        let rank = match which {
            0..=7 => x.ty.shape.rank()?,
            8 => self.draw.pick(&[2, 3, 4]),
            9 | 17 | 18 => 3,
            10..=13 => 4,
            14 => 5,
            _ => 3,
        };
        let x = if which == 16 { x } else { self.with_rank(scope, x, rank)? };
        let dims = x.ty.shape.known()?.to_vec();
        let last = dims.last()?.clone();
        if !fixed(&last) && matches!(which, 0..=7 | 15 | 17 | 18) || matches!(which, 8..=14) && !fixed(&dims[1]) {
            return None;
        }
        let outputs = self.draw.between(1, 6);
        let with_last = |size: i64| x.ty.with_shape(x.ty.shape.with_dim(rank - 1, Dim::constant(size)));
        let bias = if self.draw.percent(30) { ", bias=false" } else { "" };
        let affine = if self.draw.percent(30) { ", affine=false" } else { "" };
        let (constructor, ty, span) = match which {
            0 | 1 => (format!("nn.Linear{of_type}({last}, {outputs}{bias})"), with_last(outputs), WILD),
            2 => (format!("nn.TernaryLinear{of_type}({last}, {outputs}{bias})"), with_last(outputs), WILD),
            3 => (format!("nn.Int8Linear{of_type}({last}, {outputs}{bias})"), with_last(outputs), WILD),
            4 => (format!("nn.LayerNorm{of_type}({last}{affine})"), x.ty.clone(), range(-8.0, 8.0)),
            5 => (format!("nn.RMSNorm{of_type}({last}{affine})"), x.ty.clone(), range(-8.0, 8.0)),
            6 => {
                let act = self.draw.pick(&["", ", act=silu", ", act=relu"]);
                (format!("nn.MLP{of_type}({last}, {outputs}{act}{bias})"), x.ty.clone(), WILD)
            }
            7 => match self.draw.percent(50) {
                true => (format!("nn.SwiGLU{of_type}({last}, {outputs})"), x.ty.clone(), WILD),
                false => (format!("nn.BitLinear{of_type}({last}, {outputs}{bias})"), with_last(outputs), WILD),
            },
            8 => (format!("nn.BatchNorm{of_type}({}{affine})", dims[1]), x.ty.clone(), WILD),
            9 | 10 | 14 => self.convolution_layer(scope, &x, &of_type)?,
            11 => {
                let channels = dims[1].as_const()?;
                let groups = (1..=channels).rev().find(|n| channels % n == 0 && *n < 4)?;
                (format!("nn.GroupNorm{of_type}({groups}, {channels}{affine})"), x.ty.clone(), range(-12.0, 12.0))
            }
            12 | 13 => {
                let (kernel, layer) = (self.draw.between(1, 2), self.draw.pick(&["MaxPool2d", "AvgPool2d"]));
                let mut pooled = dims.clone();
                for dim in &mut pooled[2..] {
                    let size = dim.as_const().filter(|size| *size >= kernel)?;
                    *dim = Dim::constant((size - kernel) / kernel + 1);
                }
                (format!("nn.{layer}{of_type}({kernel})"), x.ty.with_shape(Shape::new(pooled)), x.range)
            }
            15 => {
                let size = last.as_const()?;
                let heads = (1..=size).rev().find(|n| size % n == 0 && *n < 4)?;
                let causal = self.draw.pick(&["", ", causal=true"]);
                let layer = self.draw.pick(&["MultiHeadAttention", "TransformerBlock"]);
                (format!("nn.{layer}{of_type}({size}, {heads}{causal})"), x.ty.clone(), WILD)
            }
            16 => return self.embedding(scope, &of_type, &float),
            17 => {
                let kind = self.draw.pick(&["RNN", "GRU"]);
                return self.recurrent(scope, kind, &x, &of_type, outputs);
            }
            _ => (format!("nn.Dropout{of_type}(0.25)"), x.ty.clone(), range(-12.0, 12.0)),
        };
        let instance = self.member(scope, &constructor);
        self.called(scope, &instance, vec![Argument::of(x.expr)], &[(ty, span)])
    }

    fn convolution_layer(&mut self, scope: &Scope, x: &Var, of_type: &str) -> Option<(String, TensorType, Range)> {
        let dims = x.ty.shape.known()?.to_vec();
        let axes = dims.len() - 2;
        let channels = dims[1].clone();
        let groups =
            channels.as_const().and_then(|n| [2, 3].into_iter().find(|g| n % g == 0)).filter(|_| self.draw.percent(40));
        let groups = groups.unwrap_or(1);
        let outputs = groups * self.draw.between(1, 3);
        let (kernel, stride, padding) = (self.draw.between(1, 3), self.draw.between(1, 2), self.draw.between(0, 1));
        let mut result = vec![dims[0].clone(), Dim::constant(outputs)];
        for dim in &dims[2..] {
            let size = dim.as_const()?;
            let free = size + 2 * padding - kernel;
            if free < 0 {
                return None;
            }
            result.push(Dim::constant(free / stride + 1));
        }
        let layer = match axes {
            1 => "Conv1d",
            2 => self.draw.pick(&["Conv2d", "Conv2d", "TernaryConv2d"]),
            _ => "Conv3d",
        };
        let groups = if groups > 1 { format!(", groups={groups}") } else { String::new() };
        let options = format!(", stride={stride}, padding={padding}{groups}");
        let ty = x.ty.with_shape(Shape::new(result));
        scope.fits(&ty).then(|| (format!("nn.{layer}{of_type}({channels}, {outputs}, {kernel}{options})"), ty, WILD))
    }

    fn embedding(&mut self, scope: &mut Scope, of_type: &str, float: &tritonc::types::Elem) -> Option<Vec<Var>> {
        let (words, size) = (self.draw.between(2, 7), self.draw.between(1, 5));
        let rows = self.shape(scope);
        let index = self.index(scope, &rows, &Dim::constant(words))?;
        if index.ty.dtype() != Some(DType::Int64) {
            return None;
        }
        let dims = rows.dims.iter().cloned().chain([Dim::constant(size)]).collect();
        let ty = TensorType::new(float.clone(), Shape::new(dims));
        let instance = self.member(scope, &format!("nn.Embedding{of_type}({words}, {size})"));
        self.called(scope, &instance, vec![Argument::of(index.expr)], &[(ty, range(-4.0, 4.0))])
    }

    fn recurrent(&mut self, scope: &mut Scope, kind: &str, x: &Var, of_type: &str, hidden: i64) -> Option<Vec<Var>> {
        let dims = x.ty.shape.known()?.to_vec();
        let outputs = x.ty.with_shape(Shape::new(vec![dims[0].clone(), dims[1].clone(), Dim::constant(hidden)]));
        let state = x.ty.with_shape(Shape::new(vec![Dim::constant(1), dims[0].clone(), Dim::constant(hidden)]));
        let instance = self.member(scope, &format!("recurrent.{kind}{of_type}({}, {hidden})", dims[2]));
        let span = range(-1.0, 1.0);
        self.called(scope, &instance, vec![Argument::of(x.expr.clone())], &[(outputs, span), (state, span)])
    }
}

/// Names of the functions that programs may call.
pub fn functions() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|Row(name, ..)| *name).chain(["attention"])
}
