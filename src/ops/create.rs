//! Tensors made from host values.

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::kernel::element_count;
use crate::ops::precision::Precision;
use crate::ops::traits::{Role, Traits};
use crate::ops::{Attr, Default, EvalCx, EvalError, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::types::tensor::wrap;
use crate::types::{Dim, Elem, HostExpr, Shape, Tensor, TensorType};

const CREATION: Traits =
    Traits { role: Role::Free, cost: Cost::Nothing, precision: Precision::Any, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    Op {
        name: "zeros",
        params: &[Param::required("shape", ParamKind::Shape), DTYPE],
        rule: filled_rule,
        eval: |cx| filled(cx, 0.0),
        gradient: gradient::NO_OPERANDS,
        traits: CREATION,
        doc: "A tensor of zeros.\n\nGives `dtype[shape]`; the element type is the context's, else `float32`, if \
              left out.",
    },
    Op {
        name: "ones",
        params: &[Param::required("shape", ParamKind::Shape), DTYPE],
        rule: filled_rule,
        eval: |cx| filled(cx, 1.0),
        gradient: gradient::NO_OPERANDS,
        traits: CREATION,
        doc: "A tensor of ones.\n\nGives `dtype[shape]`; the element type is the context's, else `float32`, if \
              left out.",
    },
    Op {
        name: "full",
        params: &[Param::required("shape", ParamKind::Shape), Param::required("value", ParamKind::Float), DTYPE],
        rule: full_rule,
        eval: full_eval,
        gradient: gradient::NO_OPERANDS,
        traits: CREATION,
        doc: "A tensor filled with `value`.\n\nGives `dtype[shape]`; the element type is the context's, else \
              `float32`, if left out. A value that an integer type cannot hold is an error.",
    },
    Op {
        name: "eye",
        params: &[Param::required("n", ParamKind::Int), Param::with("m", ParamKind::Int, Default::None), DTYPE],
        rule: eye_rule,
        eval: eye_eval,
        gradient: gradient::NO_OPERANDS,
        traits: CREATION,
        doc: "The identity matrix: ones on the diagonal, zeros elsewhere.\n\nGives `dtype[n, m]`, square without \
              `m`.",
    },
    Op {
        name: "arange",
        params: &[
            Param::required("start", ParamKind::Int),
            Param::with("stop", ParamKind::Int, Default::None),
            Param::with("step", ParamKind::Int, Default::Int(1)),
            INT64,
        ],
        rule: arange_rule,
        eval: arange_eval,
        gradient: gradient::NO_OPERANDS,
        traits: CREATION,
        doc: "The numbers from `start` up to `stop`, which is left out, in steps of `step`.\n\nWith one number, \
              those from 0 up to it: `arange(3)` is 0, 1, 2; with another step than 1, both must be given. Gives `dtype[n]` with \
              `n = ceil((stop - start) / step)`; `int64` if the element type is left out. The step is not 0 and \
              leads from start to stop.",
    },
    Op {
        name: "linspace",
        params: &[
            Param::required("start", ParamKind::Float),
            Param::required("stop", ParamKind::Float),
            Param::required("num", ParamKind::Int),
            DTYPE,
        ],
        rule: linspace_rule,
        eval: linspace_eval,
        gradient: gradient::NO_OPERANDS,
        traits: CREATION,
        doc: "`num` numbers at equal distances from `start` to `stop`, both included.\n\nGives `dtype[num]`; floats \
              only.",
    },
];

/// The checker fills in the element type where it is left out.
pub(super) const DTYPE: Param = Param::with("dtype", ParamKind::DType, Default::None);

/// The same, an `int64` unless it is given.
pub(super) const INT64: Param = Param::with("dtype", ParamKind::DType, Default::Str("int64"));

/// The `dtype[shape]` that the attributes state; no dim may be negative.
pub(super) fn filled_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let elem = cx.elem("dtype")?;
    cx.expect(vec![TensorType::new(elem.clone(), Shape::unknown())]);
    let shape = cx.shape("shape")?;
    for dim in &shape.dims {
        require_size(cx, dim)?;
    }
    Ok(vec![TensorType::new(elem, shape)])
}

fn require_size(cx: &mut RuleCx<'_>, dim: &Dim) -> Result<(), Stop> {
    let name = cx.op.name;
    cx.require_at_least(dim, &Dim::zero(), || {
        OpError::new(code::E0310, format!("`{name}` takes sizes of at least 0, not {dim}"))
    })
}

/// Fails unless the element type is accepted.
fn require_dtype(cx: &RuleCx<'_>, elem: &Elem, accept: fn(&Elem) -> bool, what: &str) -> Result<(), Stop> {
    if accept(elem) {
        return Ok(());
    }
    let message = format!("`{}` makes {what}, not {elem}", cx.op.name);
    Err(OpError::new(code::E0209, message).note("give another `dtype`, or convert the result with `.to(...)`").into())
}

fn full_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let result = filled_rule(cx)?;
    let range = cx.elem("dtype")?.known().and_then(|dtype| Some((dtype, dtype.int_range()?)));
    if let (Some((dtype, (low, high))), Some(value)) = (range, cx.attrs.const_float("value"))
        && (value.fract() != 0.0 || value < low as f64 || value > high as f64)
    {
        let message = format!("`full` cannot fill {dtype} with {value}");
        return Err(OpError::new(code::E0212, message).note(format!("{dtype} holds {low} to {high}")).into());
    }
    Ok(result)
}

fn filled(cx: &EvalCx<'_>, value: f64) -> Result<Vec<Tensor>, EvalError> {
    let shape = cx.shape("shape")?;
    element_count(cx.op.name, &shape)?;
    Ok(vec![Tensor::filled(cx.dtype("dtype")?, shape, value)])
}

fn full_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let dtype = cx.dtype("dtype")?;
    let int = match cx.attrs.get("value") {
        Some(Attr::Bool(value)) => Some(i64::from(*value)),
        Some(Attr::Float(HostExpr::Int(dim))) => dim.as_const(),
        _ => cx.attrs.const_int("value"),
    };
    // An int does not pass through a double, which would round it beyond 2^53.
    let Some(value) = int.filter(|_| !dtype.is_float()) else {
        return filled(cx, int.map_or_else(|| cx.float("value"), |value| Ok(value as f64))?);
    };
    let shape = cx.shape("shape")?;
    let count = element_count(cx.op.name, &shape)?;
    if dtype.int_range().is_some_and(|(low, high)| i128::from(value) < low || i128::from(value) > high) {
        return Err(EvalError::new(format!("full: {dtype} cannot hold {value}")));
    }
    Ok(vec![Tensor::from_i64(dtype, shape, vec![wrap(dtype, value); count])])
}

fn eye_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let elem = cx.elem("dtype")?;
    cx.expect(vec![TensorType::new(elem.clone(), Shape::unknown())]);
    let n = cx.dim("n")?;
    let m = match cx.attrs.get("m") {
        None | Some(Attr::None) => n.clone(),
        _ => cx.dim("m")?,
    };
    require_size(cx, &n)?;
    require_size(cx, &m)?;
    Ok(vec![TensorType::new(elem, Shape::new(vec![n, m]))])
}

fn eye_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let size =
        |value: i64| usize::try_from(value).map_err(|_| EvalError::new(format!("eye: a size of {value} is negative")));
    let n = size(cx.int("n")?)?;
    let m = match cx.attrs.get("m") {
        None | Some(Attr::None) => n,
        _ => size(cx.int("m")?)?,
    };
    let mut values = vec![0.0; element_count("eye", &[n, m])?];
    (0..n.min(m)).for_each(|i| values[i * m + i] = 1.0);
    Ok(vec![Tensor::from_f64(cx.dtype("dtype")?, vec![n, m], values)])
}

fn arange_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let elem = cx.elem("dtype")?;
    require_dtype(cx, &elem, Elem::is_num, "numbers")?;
    let result = |size: Dim| vec![TensorType::new(elem.clone(), Shape::new(vec![size]))];
    let unknown = cx.fresh_dim();
    cx.expect(result(unknown));
    let step = cx.int("step")?;
    let (start, stop) = match cx.attrs.get("stop") {
        None | Some(Attr::None) if step != 1 => {
            let error = OpError::new(code::E0310, format!("`arange` with a step of {step} needs a start and a stop"));
            return Err(error.note("with one number, it counts from 0 up to that in steps of 1").into());
        }
        None | Some(Attr::None) => (Dim::zero(), cx.dim("start")?),
        Some(_) => (cx.dim("start")?, cx.dim("stop")?),
    };
    // A falling sequence is a rising one read backwards.
    let (low, high) = if step < 0 { (start, stop) } else { (stop, start) };
    let distance = low.sub(&high);
    let size = step.checked_abs().and_then(|step| distance.ceil_div(&Dim::constant(step)));
    let Some(size) = size else {
        return Err(OpError::new(code::E0310, format!("`arange` cannot count in steps of {step}")).into());
    };
    let way = if step < 0 { "down" } else { "up" };
    cx.require_at_least(&low, &high, || {
        let (from, to) = if step < 0 { (&low, &high) } else { (&high, &low) };
        OpError::new(code::E0310, format!("`arange` counts {way} from {from} in steps of {step}, away from {to}"))
    })?;
    Ok(result(size))
}

fn arange_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let step = cx.int("step")?;
    let (start, stop) = match cx.attrs.get("stop") {
        None | Some(Attr::None) => (0, cx.int("start")?),
        Some(_) => (cx.int("start")?, cx.int("stop")?),
    };
    let dtype = cx.dtype("dtype")?;
    let distance = (i128::from(stop) - i128::from(start)) * i128::from(step.signum());
    if step == 0 || distance < 0 {
        return Err(EvalError::new(format!("arange: no way from {start} to {stop} in steps of {step}")));
    }
    let size = (distance + i128::from(step.unsigned_abs()) - 1) / i128::from(step.unsigned_abs());
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    element_count("arange", &[size])?;
    let numbers = (0..size as i64).map(|i| start.wrapping_add(i.wrapping_mul(step)));
    Ok(vec![if dtype.is_float() {
        Tensor::from_f64(dtype, vec![size], numbers.map(|n| n as f64))
    } else {
        Tensor::from_i64(dtype, vec![size], numbers.map(|n| wrap(dtype, n)).collect())
    }])
}

fn linspace_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let elem = cx.elem("dtype")?;
    require_dtype(cx, &elem, Elem::is_float, "floats")?;
    let unknown = cx.fresh_dim();
    cx.expect(vec![TensorType::new(elem.clone(), Shape::new(vec![unknown]))]);
    let num = cx.dim("num")?;
    require_size(cx, &num)?;
    Ok(vec![TensorType::new(elem, Shape::new(vec![num]))])
}

/// Counted from the nearer end, so that both ends are exact.
fn linspace_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (start, stop, num) = (cx.float("start")?, cx.float("stop")?, cx.int("num")?);
    let num = usize::try_from(num).map_err(|_| EvalError::new(format!("linspace: {num} numbers are too few")))?;
    element_count("linspace", &[num])?;
    let last = num.saturating_sub(1);
    let step = if last == 0 { 0.0 } else { (stop - start) / last as f64 };
    let number = |i: usize| if i * 2 < num { start + step * i as f64 } else { stop - step * (last - i) as f64 };
    Ok(vec![Tensor::from_f64(cx.dtype("dtype")?, vec![num], (0..num).map(number))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Attrs;
    use crate::ops::testkit::{eval, rule, rule_error, shape, try_eval};
    use crate::types::DType::{self, BFloat16, Bool, Float32, Float64, Int8, Int64, Trit, UInt8};

    fn of(dtype: DType) -> Attrs {
        Attrs::new().with("dtype", Attr::DType(dtype.into()))
    }

    fn filled(dtype: DType, dims: &str) -> Attrs {
        of(dtype).with("shape", Attr::Shape(shape(dims)))
    }

    fn range(dtype: DType, start: i64, stop: i64, step: i64) -> Attrs {
        of(dtype).with("start", Attr::int(start)).with("stop", Attr::int(stop)).with("step", Attr::int(step))
    }

    fn float(value: f64) -> Attr {
        Attr::Float(HostExpr::float(value))
    }

    #[test]
    fn rules() {
        assert_eq!(rule("zeros", &[], filled(Trit, "n, 2")), "trit[n, 2]");
        assert_eq!(rule("ones", &[], filled(Float32, "B, ...S")), "float32[B, ...S]");
        assert_eq!(rule("full", &[], filled(Int8, "").with("value", Attr::int(-128))), "int8");
        assert_eq!(rule("full", &[], of(Int8).with("shape", Attr::Unknown)), "~int8[...]");
        let n = Attr::Int(Dim::symbol("n"));
        assert_eq!(rule("eye", &[], of(Float32).with("n", n.clone()).with("m", Attr::None)), "float32[n, n]");
        assert_eq!(rule("eye", &[], of(Float32).with("n", n.clone()).with("m", Attr::int(3))), "float32[n, 3]");
        let line = of(Float32).with("start", float(0.0)).with("stop", float(1.0)).with("num", n);
        assert_eq!(rule("linspace", &[], line), "float32[n]");
    }

    #[test]
    fn sizes_of_ranges() {
        let symbolic = |start: Dim, stop: Dim, step: i64| {
            range(Int64, 0, 0, step).with("start", Attr::Int(start)).with("stop", Attr::Int(stop))
        };
        let (n, t, s) = (Dim::symbol("n"), Dim::symbol("T"), Dim::symbol("S"));
        assert_eq!(rule("arange", &[], range(Int64, 0, 10, 3)), "int64[4]");
        assert_eq!(rule("arange", &[], range(Int64, 5, 0, -2)), "int64[3]");
        assert_eq!(rule("arange", &[], range(Int64, 2, 2, 1)), "int64[0]");
        assert_eq!(rule("arange", &[], symbolic(Dim::zero(), n.clone(), 1)), "int64[n]");
        assert_eq!(rule("arange", &[], symbolic(Dim::zero(), n.scale(2), 2)), "int64[n]");
        assert_eq!(rule("arange", &[], symbolic(n.clone(), Dim::zero(), -1)), "int64[n]");
        assert_eq!(rule("arange", &[], symbolic(t.clone(), s.clone(), 1)), "int64[S - T] | S >= T");
        let unknown_step = range(Int64, 0, 8, 1).with("step", Attr::Int(n));
        assert_eq!(rule("arange", &[], unknown_step), "~int64[?]");
        assert!(rule_error("arange", &[], range(Int64, 0, 4, 0)).contains("steps of 0"));
        let without_stop = Attrs::new().with("start", Attr::int(4)).with("step", Attr::int(2));
        assert!(rule_error("arange", &[], without_stop).contains("needs a start and a stop"));
        let away = rule_error("arange", &[], range(Int64, 4, 0, 1));
        assert_eq!(away, "E0310 `arange` counts up from 4 in steps of 1, away from 0");
    }

    #[test]
    fn rule_errors() {
        assert_eq!(rule_error("zeros", &[], filled(Int8, "-1")), "E0310 `zeros` takes sizes of at least 0, not -1");
        let big = rule_error("full", &[], filled(Int8, "2").with("value", Attr::int(200)));
        assert_eq!(big, "E0212 `full` cannot fill int8 with 200; int8 holds -128 to 127");
        assert!(rule_error("full", &[], filled(Int8, "2").with("value", float(0.5))).starts_with("E0212"));
        assert!(rule_error("full", &[], filled(Trit, "2").with("value", Attr::int(2))).starts_with("E0212"));
        assert!(rule_error("arange", &[], range(Trit, 0, 2, 1)).contains("makes numbers, not trit"));
        assert!(rule_error("linspace", &[], of(Int64)).contains("makes floats, not int64"));
    }

    #[test]
    fn filled_tensors() {
        assert_eq!(eval("ones", &[], filled(Trit, "2, 1")).to_f64(), [1.0, 1.0]);
        assert_eq!(eval("zeros", &[], filled(Float32, "0, 3")).shape(), [0, 3]);
        let exact = i64::MAX - 1;
        let full = |dtype, value| try_eval("full", &[], filled(dtype, "1").with("value", value));
        assert_eq!(full(Int64, Attr::int(exact)).unwrap()[0].as_i64(), Some(&[exact][..]));
        assert_eq!(full(Int64, Attr::Float(HostExpr::int(exact))).unwrap()[0].as_i64(), Some(&[exact][..]));
        assert_eq!(full(BFloat16, float(0.1)).unwrap()[0].to_f64(), [0.10009765625]);
        assert_eq!(full(Bool, Attr::Bool(true)).unwrap()[0].to_f64(), [1.0]);
        assert_eq!(full(Float32, float(f64::NEG_INFINITY)).unwrap()[0].to_f64(), [f64::NEG_INFINITY]);
        assert!(full(UInt8, Attr::int(256)).is_err());
        assert!(try_eval("zeros", &[], filled(Float32, "4000000000, 4000000000")).is_err());
    }

    #[test]
    fn identity_matrices() {
        let eye = |n, m| eval("eye", &[], of(Float32).with("n", Attr::int(n)).with("m", m));
        assert_eq!(eye(2, Attr::None).to_f64(), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(eye(2, Attr::int(3)).to_f64(), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(eye(2, Attr::int(1)).to_f64(), [1.0, 0.0]);
        assert_eq!(eye(0, Attr::None).shape(), [0, 0]);
    }

    #[test]
    fn ranges() {
        assert_eq!(eval("arange", &[], range(Int64, 2, 9, 3)).to_f64(), [2.0, 5.0, 8.0]);
        assert_eq!(eval("arange", &[], range(Int64, 2, -3, -2)).to_f64(), [2.0, 0.0, -2.0]);
        assert_eq!(eval("arange", &[], range(Float32, 0, 3, 1)).to_f64(), [0.0, 1.0, 2.0]);
        assert_eq!(eval("arange", &[], range(Int8, 126, 129, 1)).to_f64(), [126.0, 127.0, -128.0]);
        assert_eq!(eval("arange", &[], range(Int64, 3, 3, 1)).len(), 0);
        let one = of(Int64).with("start", Attr::int(3)).with("stop", Attr::None).with("step", Attr::int(1));
        assert_eq!(rule("arange", &[], one.clone()), "int64[3]");
        assert_eq!(eval("arange", &[], one).to_f64(), [0.0, 1.0, 2.0]);
        assert!(try_eval("arange", &[], range(Int64, 0, i64::MAX, 1)).is_err());
        assert!(try_eval("arange", &[], range(Int64, 3, 0, 1)).is_err());
    }

    #[test]
    fn evenly_spaced_numbers() {
        let line = |num| of(Float64).with("start", float(0.0)).with("stop", float(1.0)).with("num", Attr::int(num));
        assert_eq!(eval("linspace", &[], line(5)).to_f64(), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(eval("linspace", &[], line(1)).to_f64(), [0.0]);
        assert_eq!(eval("linspace", &[], line(0)).len(), 0);
        assert_eq!(eval("linspace", &[], line(4)).to_f64()[3], 1.0);
    }
}
