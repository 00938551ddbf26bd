//! Random tensors: functions of a seed, on the Philox generator.
//!
//! Element `i` of a result uses word `i` of the seed's stream (see [`crate::base::philox`]). Numbers are
//! computed in double precision and rounded once.

use crate::base::{code, philox};
use crate::ops::cost::Cost;
use crate::ops::create::{DTYPE, INT64, filled_rule};
use crate::ops::kernel::element_count;
use crate::ops::precision::Precision;
use crate::ops::traits::{Role, Traits};
use crate::ops::{Default, EvalCx, EvalError, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::types::tensor::wrap;
use crate::types::{DType, Elem, Shape, Tensor, TensorType};

/// The widest range of `random_int`: its product with a 32-bit word fits 63 bits on every target.
const MAX_RANGE: i64 = 1 << 31;

const RANDOM: Traits = Traits { role: Role::Elementwise, precision: Precision::Any, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    Op {
        name: "random_normal",
        params: &[
            Param::required("shape", ParamKind::Shape),
            Param::seed(),
            Param::with("mean", ParamKind::Float, Default::Float(0.0)),
            Param::with("std", ParamKind::Float, Default::Float(1.0)),
            DTYPE,
        ],
        rule: |cx| random_rule(cx, Elem::is_float, "floats"),
        eval: normal_eval,
        gradient: gradient::NO_OPERANDS,
        traits: RANDOM,
        doc: "Normally distributed numbers.\n\nGives `dtype[shape]`, floats only. `seed` is an `int64` scalar; the \
              same seed gives the same numbers. PyTorch: `randn`.",
    },
    Op {
        name: "random_uniform",
        params: &[
            Param::required("shape", ParamKind::Shape),
            Param::seed(),
            Param::with("low", ParamKind::Float, Default::Float(0.0)),
            Param::with("high", ParamKind::Float, Default::Float(1.0)),
            DTYPE,
        ],
        rule: |cx| random_rule(cx, Elem::is_float, "floats"),
        eval: uniform_eval,
        gradient: gradient::NO_OPERANDS,
        traits: RANDOM,
        doc: "Evenly distributed numbers from `low` up to `high`.\n\nGives `dtype[shape]`, floats only. `seed` is an \
              `int64` scalar; the same seed gives the same numbers. `high` itself occurs only by rounding. \
              PyTorch: `rand`.",
    },
    Op {
        name: "random_int",
        params: &[
            Param::required("shape", ParamKind::Shape),
            Param::required("low", ParamKind::Int),
            Param::required("high", ParamKind::Int),
            Param::seed(),
            INT64,
        ],
        rule: int_rule,
        eval: int_eval,
        gradient: gradient::NO_OPERANDS,
        traits: RANDOM,
        doc: "Evenly distributed integers from `low` up to `high`, which is left out.\n\nGives `dtype[shape]`, \
              integers only. `seed` is an `int64` scalar; the same seed gives the same numbers. There are 1 to \
              2**31 values to choose from. PyTorch: `randint`.",
    },
    Op {
        name: "categorical",
        params: &[Param::tensor("logits"), Param::seed()],
        rule: categorical_rule,
        eval: categorical_eval,
        gradient: gradient::INTEGERS,
        traits: Traits {
            role: Role::Alone,
            cost: Cost::Operands,
            precision: Precision::Wide("draws by probabilities"),
            ..RANDOM
        },
        doc: "Draws an index of the last axis with the probabilities `softmax(logits)`.\n\nFrom `logits[..., C]` \
              gives `int64[...]`. `seed` is an `int64` scalar; the same seed gives the same draws. A logit of \
              minus infinity is never drawn while another is finite. PyTorch: `multinomial`.",
    },
];

fn require_seed(cx: &RuleCx<'_>, operand: usize) -> Result<(), Stop> {
    let seed = cx.operand(operand);
    if seed.elem.is(DType::Int64) && seed.shape.rank().is_none_or(|rank| rank == 0) {
        return Ok(());
    }
    let message = format!("the seed of `{}` must be an int64 scalar, not {seed}", cx.op.name);
    Err(OpError::new(code::E0201, message).label(operand, seed.to_string()).into())
}

fn random_rule(cx: &mut RuleCx<'_>, accept: fn(&Elem) -> bool, what: &str) -> Result<Vec<TensorType>, Stop> {
    require_seed(cx, 0)?;
    let elem = cx.elem("dtype")?;
    if !accept(&elem) {
        let message = format!("`{}` makes {what}, not {elem}", cx.op.name);
        return Err(OpError::new(code::E0209, message).note("convert the result with `.to(...)`").into());
    }
    filled_rule(cx)
}

fn int_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let result = random_rule(cx, Elem::is_int, "integers")?;
    cx.expect(result.clone());
    let (Some(low), Some(high)) = (cx.attrs.const_int("low"), cx.attrs.const_int("high")) else {
        return Ok(result);
    };
    if let Err(error) = range(low, high) {
        return Err(OpError::new(code::E0310, error.0).into());
    }
    let holds = |(least, most): (i128, i128)| i128::from(low) >= least && i128::from(high) <= most + 1;
    match result[0].dtype() {
        Some(dtype) if !dtype.int_range().is_none_or(holds) => {
            let message = format!("{dtype} cannot hold every integer from {low} up to {high}");
            Err(OpError::new(code::E0212, message).note("give a wider `dtype`").into())
        }
        _ => Ok(result),
    }
}

/// The number of integers to choose from.
fn range(low: i64, high: i64) -> Result<i64, EvalError> {
    match high.checked_sub(low) {
        Some(range @ 1..=MAX_RANGE) => Ok(range),
        _ => {
            Err(EvalError::new(format!("`random_int` cannot draw from {low} up to {high}: it takes 1 to 2**31 values")))
        }
    }
}

fn categorical_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_float(0)?;
    require_seed(cx, 1)?;
    cx.expect(vec![TensorType::new(DType::Int64, Shape::unknown())]);
    let shape = &cx.operand(0).shape;
    let last = cx.axis_of(-1, shape, 0)?;
    if cx.facts.normal(&shape.dims[last]).is_const(0) {
        return Err(OpError::new(code::E0310, "`categorical` has nothing to draw from: the last dim is 0").into());
    }
    Ok(vec![TensorType::new(DType::Int64, shape.without_dim(last))])
}

fn seed_of(cx: &EvalCx<'_>, operand: usize) -> Result<i64, EvalError> {
    match cx.operand(operand).as_i64() {
        Some([seed]) => Ok(*seed),
        _ => Err(EvalError::new(format!("{}: the seed must be one int64", cx.op.name))),
    }
}

/// `count` numbers of the stated type and shape.
fn floats(cx: &EvalCx<'_>, numbers: impl Iterator<Item = f64>) -> Result<Vec<Tensor>, EvalError> {
    let shape = cx.shape("shape")?;
    let count = element_count(cx.op.name, &shape)?;
    Ok(vec![Tensor::from_f64(cx.dtype("dtype")?, shape, numbers.take(count))])
}

fn normal_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (mean, std) = (cx.float("mean")?, cx.float("std")?);
    floats(cx, philox::normals(seed_of(cx, 0)?).map(|x| mean + std * x))
}

fn uniform_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (low, high) = (cx.float("low")?, cx.float("high")?);
    floats(cx, philox::words(seed_of(cx, 0)?).map(|word| low + (high - low) * philox::uniform(word)))
}

/// `low + ((word * range) >> 32)`.
fn int_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (low, dtype, shape) = (cx.int("low")?, cx.dtype("dtype")?, cx.shape("shape")?);
    let range = range(low, cx.int("high")?)?;
    let count = element_count(cx.op.name, &shape)?;
    let number = |word: u32| wrap(dtype, low + ((i64::from(word) * range) >> 32));
    let numbers = philox::words(seed_of(cx, 0)?).take(count).map(number).collect();
    Ok(vec![Tensor::from_i64(dtype, shape, numbers)])
}

/// The largest of `logit - ln(-ln u)` in each row (the Gumbel trick), the first on a tie. `u` is the middle
/// of its step of 2^-24, so that neither logarithm sees 0.
fn categorical_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let logits = cx.operand(0);
    let Some((&classes, outer)) = logits.shape().split_last() else {
        return Err(EvalError::new("categorical: a scalar has no axis to draw from"));
    };
    let rows = outer.iter().product();
    if classes == 0 && rows > 0 {
        return Err(EvalError::new("categorical: the last dim is 0, so there is nothing to draw from"));
    }
    let mut words = philox::words(seed_of(cx, 1)?);
    let mut draw = |row: usize| {
        let mut best = (0, f64::NEG_INFINITY);
        for (class, word) in (0..classes).zip(&mut words) {
            let middle = philox::uniform(word) + 0.5 / f64::from(1 << 24);
            let score = logits.get_f64(row * classes + class) - (-middle.ln()).ln();
            if score > best.1 {
                best = (class as i64, score);
            }
        }
        best.0
    };
    let draws = (0..rows).map(&mut draw).collect();
    Ok(vec![Tensor::from_i64(DType::Int64, outer.to_vec(), draws)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testkit::{eval, rule, rule_error, shape, tensor, try_eval};
    use crate::ops::{Attr, Attrs};
    use crate::types::HostExpr;
    use DType::{BFloat16, Float32, Float64, Int8, Int64};

    fn attrs(dtype: DType, dims: &str, first: (&str, Attr), second: (&str, Attr)) -> Attrs {
        Attrs::new()
            .with("shape", Attr::Shape(shape(dims)))
            .with(first.0, first.1)
            .with(second.0, second.1)
            .with("dtype", Attr::DType(dtype.into()))
    }

    fn float(value: f64) -> Attr {
        Attr::Float(HostExpr::float(value))
    }

    fn uniform(dtype: DType, dims: &str, low: f64, high: f64) -> Attrs {
        attrs(dtype, dims, ("low", float(low)), ("high", float(high)))
    }

    fn integers(dtype: DType, dims: &str, low: i64, high: i64) -> Attrs {
        attrs(dtype, dims, ("low", Attr::int(low)), ("high", Attr::int(high)))
    }

    fn normal(dims: &str, mean: f64, std: f64) -> Attrs {
        attrs(Float64, dims, ("mean", float(mean)), ("std", float(std)))
    }

    #[test]
    fn rules() {
        assert_eq!(rule("random_uniform", &["int64"], uniform(BFloat16, "B, ...S", 0.0, 1.0)), "bfloat16[B, ...S]");
        assert_eq!(rule("random_normal", &["int64"], normal("n", 0.0, 1.0)), "float64[n]");
        assert_eq!(rule("random_int", &["int64"], integers(Int8, "n", -128, 128)), "int8[n]");
        assert_eq!(rule("categorical", &["float32[B, T, n]", "int64"], Attrs::new()), "int64[B, T]");
        assert_eq!(rule("categorical", &["float32[...S, n]", "int64"], Attrs::new()), "int64[...S]");
        assert_eq!(rule("categorical", &["float32[...S]", "int64"], Attrs::new()), "~int64[...]");
        assert!(rule_error("random_normal", &["int32"], normal("n", 0.0, 1.0)).contains("int64 scalar, not int32"));
        assert!(
            rule_error("random_normal", &["int64[2]"], normal("n", 0.0, 1.0)).contains("int64 scalar, not int64[2]")
        );
        assert!(
            rule_error("random_uniform", &["int64"], uniform(Int8, "n", 0.0, 1.0)).contains("makes floats, not int8")
        );
        assert!(rule_error("random_int", &["int64"], integers(Int8, "n", 0, 200)).contains("int8 cannot hold"));
        assert!(rule_error("random_int", &["int64"], integers(Int64, "n", 3, 3)).starts_with("E0310"));
        assert!(rule_error("categorical", &["int8[n]", "int64"], Attrs::new()).contains("takes float elements"));
        assert!(rule_error("categorical", &["float32", "int64"], Attrs::new()).starts_with("E0305"));
    }

    #[test]
    fn uniform_numbers_come_from_the_stream() {
        let seed = Tensor::scalar_i64(0);
        // Seed 0 starts with the published words 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
        let step = 1.0 / f64::from(1 << 24);
        let want = [0x6627e8, 0xe169c5, 0xbc57ac, 0x9b00db].map(|word: i32| f64::from(word) * step);
        assert_eq!(eval("random_uniform", [seed.clone()], uniform(Float32, "2, 2", 0.0, 1.0)).to_f64(), want);
        let wide = eval("random_uniform", &[seed], uniform(Float64, "4", -1.0, 3.0)).to_f64();
        assert_eq!(wide, want.map(|u| -1.0 + 4.0 * u));
    }

    #[test]
    fn normal_numbers() {
        let draw = |seed, attrs| eval("random_normal", &[Tensor::scalar_i64(seed)], attrs).to_f64();
        let u1 = f64::from(0x6627e9) / f64::from(1 << 24);
        let u2 = f64::from(0xe169c5) / f64::from(1 << 24);
        let radius = (-2.0 * u1.ln()).sqrt();
        let angle = std::f64::consts::TAU * u2;
        let got = draw(0, normal("3", 1.0, 2.0));
        assert!((got[0] - (1.0 + 2.0 * radius * angle.cos())).abs() < 1e-12);
        assert!((got[1] - (1.0 + 2.0 * radius * angle.sin())).abs() < 1e-12);
        assert_eq!(draw(5, normal("3", 0.0, 1.0)), draw(5, normal("7", 0.0, 1.0))[..3]);
        assert_ne!(draw(5, normal("3", 0.0, 1.0)), draw(6, normal("3", 0.0, 1.0)));
    }

    #[test]
    fn integers_cover_their_range() {
        let draw = |attrs| try_eval("random_int", &[Tensor::scalar_i64(1)], attrs);
        let numbers = draw(integers(Int8, "1000", -2, 2)).unwrap()[0].to_f64();
        for n in -2..2 {
            let count = numbers.iter().filter(|x| **x == f64::from(n)).count();
            assert!((180..320).contains(&count), "{n}: {count}");
        }
        assert!(numbers.iter().all(|x| (-2.0..2.0).contains(x)));
        assert!(draw(integers(Int64, "1", 0, 1 << 32)).is_err());
        assert!(draw(integers(Int64, "1", i64::MIN, i64::MAX)).is_err());
        assert!(draw(integers(Int64, "1", i64::MAX - 1, i64::MAX)).is_ok());
    }

    #[test]
    fn draws_follow_the_logits() {
        let sure = tensor(Float32, &[2, 3], &[0.0, 50.0, 0.0, f64::NEG_INFINITY, f64::NEG_INFINITY, -9.0]);
        let draw = |logits: Tensor, seed| eval("categorical", &[logits, Tensor::scalar_i64(seed)], Attrs::new());
        let got = draw(sure, 3);
        assert_eq!((got.shape(), got.to_f64()), (&[2][..], vec![1.0, 2.0]));
        let even = Tensor::filled(Float32, vec![3000, 2], 0.0);
        let ones: f64 = draw(even, 4).to_f64().iter().sum();
        assert!((1400.0..1600.0).contains(&ones), "{ones}");
        let skewed = Tensor::from_f64(Float32, vec![3000, 2], [0.0, 3f64.ln()].repeat(3000));
        let ones: f64 = draw(skewed, 4).to_f64().iter().sum();
        assert!((2150.0..2350.0).contains(&ones), "{ones}");
        assert!(
            try_eval("categorical", &[tensor(Float32, &[2, 0], &[]), Tensor::scalar_i64(0)], Attrs::new()).is_err()
        );
    }
}
