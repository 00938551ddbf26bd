//! Quantisation as operations: codes and scales, back to floats, and packed bytes.
//! What they compute is in [`crate::quant::codes`] and [`crate::quant::pack`].

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::precision::Precision;
use crate::ops::traits::{Quantisation, Role, Traits, TypedBy};
use crate::ops::{Default, EvalCx, EvalError, Gradient, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::quant::{self, QuantError, Scheme, SchemeKind, pack::Format};
use crate::types::{DType, Dim, Elem, Shape, Tensor, TensorType, Verdict};

pub static OPS: &[Op] = &[
    Op {
        name: "quantize",
        params: &[
            Param::tensor("x"),
            Param::required("scheme", ParamKind::Scheme),
            Param { kind: ParamKind::OptionalTensor, default: Default::None, ..Param::seed() },
        ],
        rule: quantize_rule,
        eval: quantize_eval,
        gradient: Gradient::StraightThrough(gradient::quantize::quantize),
        traits: Traits { quantisation: Some(Quantisation::Quantise), precision: Precision::Any, ..Traits::CAUTIOUS },
        doc: "Codes, scale and, for asymmetric schemes, zero point of a float tensor.\n\nGives `(q, s)` or \
              `(q, s, z)`: codes of the operand's shape; scales of shape `[]`, `[n]` for `axis`, `[..., K / g]` \
              for `group=g`, `[...]` for dynamic activations. A group must divide the last dim; NaN and infinity \
              are errors. `seed`, an `int64` scalar, is for stochastic rounding.",
    },
    Op {
        name: "quantize_with",
        params: &[
            Param::tensor("x"),
            Param::tensor("s"),
            Param::with("z", ParamKind::OptionalTensor, Default::None),
            Param::required("scheme", ParamKind::Scheme),
        ],
        rule: quantize_with_rule,
        eval: quantize_with_eval,
        gradient: Gradient::StraightThrough(gradient::quantize::quantize_with),
        traits: Traits {
            role: Role::Elementwise,
            quantisation: Some(Quantisation::QuantiseWith),
            precision: Precision::Wide("rounds by scales of float32"),
            ..Traits::CAUTIOUS
        },
        doc: "Codes of a float tensor under scales that are given, as activations have them that were calibrated.\n\nThe \
              scheme is `int8` or `int4`; scales and zero points are as `quantize` makes them for it. A scale that is \
              not a positive number is an error.",
    },
    Op {
        name: "dequantize",
        params: &[
            Param::tensor("q"),
            Param::tensor("s"),
            Param::with("z", ParamKind::OptionalTensor, Default::None),
            Param::required("scheme", ParamKind::Scheme),
            Param::required("dtype", ParamKind::DType),
        ],
        rule: dequantize_rule,
        eval: dequantize_eval,
        gradient: Gradient::StraightThrough(gradient::quantize::dequantize),
        traits: Traits {
            role: Role::Conversion,
            quantisation: Some(Quantisation::Dequantise),
            precision: Precision::Unpacks,
            typed_by: TypedBy::Operand(1),
            ..Traits::CAUTIOUS
        },
        doc: "The values that codes stand for, `(q - z) * s`.\n\nGives `dtype` with the codes' shape. Codes, scales \
              and zero point must be as `quantize` makes them for the scheme.",
    },
    Op {
        name: "pack",
        params: &[Param::tensor("q"), Param::required("format", ParamKind::Str)],
        rule: pack_rule,
        eval: |cx| {
            let format = format_of(cx.str("format")?).map_err(EvalError)?;
            Ok(vec![quant::pack::pack(cx.operand(0), format).map_err(|error| failure(cx, &error))?])
        },
        gradient: gradient::INTEGERS,
        traits: Traits {
            quantisation: Some(Quantisation::Pack),
            cost: Cost::Nothing,
            precision: Precision::Any,
            ..Traits::CAUTIOUS
        },
        doc: "Codes packed along the last axis, each row starting on a byte.\n\nFrom `q[..., K]` gives \
              `uint8[..., ceil(K / n)]`. Formats: `ternary2` (n = 4) and `ternary5` (n = 5) of `trit`, `int4` \
              (n = 2) of `int4` or `uint8`, `int8` (n = 1) of `int8`.",
    },
    Op {
        name: "unpack",
        params: &[
            Param::tensor("p"),
            Param::required("format", ParamKind::Str),
            Param::required("size", ParamKind::Int),
            Param::required("dtype", ParamKind::DType),
        ],
        rule: unpack_rule,
        eval: unpack_eval,
        gradient: gradient::INTEGERS,
        traits: Traits {
            role: Role::Read,
            quantisation: Some(Quantisation::Unpack),
            cost: Cost::Nothing,
            precision: Precision::Any,
            typed_by: TypedBy::Format,
            ..Traits::CAUTIOUS
        },
        doc: "Codes from packed bytes, `size` of them a row.\n\nFrom `uint8[..., ceil(size / n)]` gives \
              `dtype[..., size]`; see `pack` for the formats. A byte that no packing gives is an error when it runs.",
    },
];

/// The shape of the scales (and zero points) of codes of this shape.
fn scale_shape(cx: &mut RuleCx<'_>, shape: &Shape, scheme: &Scheme) -> Result<Shape, Stop> {
    if let Some(axis) = scheme.axis {
        let index = cx.axis_of(axis, shape, 0)?;
        return Ok(Shape::new(vec![shape.dims[index].clone()]));
    }
    if let Some(group) = scheme.group {
        let last = cx.axis_of(-1, shape, 0)?;
        let (size, divisor) = (&shape.dims[last], Dim::constant(group));
        let (Some(rest), Some(groups)) = (size.modulo(&divisor), size.floor_div(&divisor)) else {
            return Err(OpError::new(code::E0501, format!("a group of {group} elements has no meaning")).into());
        };
        cx.require_equal(&rest, &Dim::zero(), || {
            let message = format!("a group of {group} does not divide the last dim {size}");
            let error = OpError::new(code::E0502, message).label(0, format!("[{shape}]"));
            if size.as_const().is_some() {
                error.note("choose a group that divides it, or `axis=0`")
            } else {
                error.note(format!("state it: `where {size} % {group} == 0`"))
            }
        })?;
        return Ok(shape.with_dim(last, groups));
    }
    if scheme.dynamic {
        let last = cx.axis_of(-1, shape, 0)?;
        return Ok(shape.without_dim(last));
    }
    Ok(Shape::scalar())
}

fn checked_scheme<'a>(cx: &RuleCx<'a>) -> Result<&'a Scheme, Stop> {
    let scheme = cx.scheme("scheme")?;
    match scheme.problem() {
        None => Ok(scheme),
        Some(problem) => Err(OpError::new(code::E0501, format!("`{scheme}`: {problem}")).into()),
    }
}

fn quantize_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_float(0)?;
    let scheme = checked_scheme(cx)?;
    match cx.optional() {
        None if scheme.is_stochastic() => {
            let error = OpError::new(code::E0205, "`quantize` with stochastic rounding needs a `seed`");
            return Err(error.note("give an int64 scalar, as in `seed=rng`").into());
        }
        Some((operand, seed)) if !seed.elem.is(DType::Int64) || seed.shape.rank().is_some_and(|rank| rank > 0) => {
            let message = format!("the seed of `quantize` must be an int64 scalar, not {seed}");
            return Err(OpError::new(code::E0201, message).label(operand, seed.to_string()).into());
        }
        _ => {}
    }
    let x = cx.operand(0);
    let results = |scales: Shape| {
        let mut results = vec![x.with_elem(scheme.code_dtype()), TensorType::new(scheme.scale_dtype, scales.clone())];
        results.extend(scheme.has_zero_point().then(|| TensorType::new(scheme.code_dtype(), scales)));
        results
    };
    cx.expect(results(Shape::unknown()));
    Ok(results(scale_shape(cx, &x.shape, scheme)?))
}

/// Refuses scales and zero points that are not as the scheme makes them for codes of this shape.
fn require_parts(cx: &mut RuleCx<'_>, codes: &Shape, scheme: &Scheme) -> Result<(), Stop> {
    require_exact(cx, 1, scheme.scale_dtype, "scales", scheme)?;
    let zero = cx.optional();
    if zero.is_some() != scheme.has_zero_point() {
        let message = if zero.is_some() { "has no zero point" } else { "needs a zero point" };
        return Err(OpError::new(code::E0203, format!("`{}` with `{scheme}` {message}", cx.op.name)).into());
    }
    let scales = scale_shape(cx, codes, scheme)?;
    require_shape(cx, 1, &scales)?;
    if let Some((operand, _)) = zero {
        require_exact(cx, operand, scheme.code_dtype(), "zero points", scheme)?;
        require_shape(cx, operand, &scales)?;
    }
    Ok(())
}

fn quantize_with_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_float(0)?;
    let scheme = checked_scheme(cx)?;
    if !matches!(scheme.kind, SchemeKind::Int { .. }) {
        let message = format!("`quantize_with` takes int8 and int4 schemes, not `{scheme}`");
        return Err(OpError::new(code::E0501, message).into());
    }
    let x = cx.operand(0);
    cx.expect(vec![x.with_elem(scheme.code_dtype())]);
    require_parts(cx, &x.shape, scheme)?;
    Ok(vec![x.with_elem(scheme.code_dtype())])
}

fn dequantize_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let scheme = checked_scheme(cx)?;
    let elem = cx.elem("dtype")?;
    if !elem.is_float() {
        let message = format!("`dequantize` gives floats, not {elem}");
        return Err(OpError::new(code::E0209, message).note("convert the result with `.to(...)`").into());
    }
    let codes = cx.operand(0);
    require_exact(cx, 0, scheme.code_dtype(), "codes", scheme)?;
    cx.expect(vec![codes.with_elem(elem.clone())]);
    require_parts(cx, &codes.shape, scheme)?;
    Ok(vec![codes.with_elem(elem)])
}

fn require_exact(cx: &RuleCx<'_>, operand: usize, dtype: DType, what: &str, scheme: &Scheme) -> Result<(), Stop> {
    let ty = cx.operand(operand);
    if ty.elem.is(dtype) {
        return Ok(());
    }
    let message = format!("`{}` with `{scheme}` takes {what} of {dtype}, not {}", cx.op.name, ty.elem);
    Err(OpError::new(code::E0209, message).label(operand, ty.to_string()).into())
}

fn require_shape(cx: &mut RuleCx<'_>, operand: usize, wanted: &Shape) -> Result<(), Stop> {
    let found = &cx.operand(operand).shape;
    let error = || {
        let message = format!("these codes need scales of shape [{wanted}], but this has [{found}]");
        OpError::new(code::E0303, message).label(operand, format!("[{found}]"))
    };
    match (found.known(), wanted.known()) {
        (Some(a), Some(b)) if a.len() == b.len() => {
            for (a, b) in a.iter().zip(b) {
                cx.require_equal(a, b, error)?;
            }
            Ok(())
        }
        _ if found.compare(wanted, cx.facts) == Verdict::Differ => Err(error().into()),
        _ => Ok(()),
    }
}

fn format_of(name: &str) -> Result<Format, String> {
    Format::parse(name).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.into_iter().map(Format::name).collect();
        format!("unknown packed format \"{name}\"; there are {}", names.join(", "))
    })
}

fn format_rule(cx: &RuleCx<'_>, elem: &Elem) -> Result<Format, Stop> {
    let format = format_of(cx.str("format")?).map_err(|message| OpError::new(code::E0501, message))?;
    if elem.known().is_some_and(|dtype| format.holds(dtype)) {
        return Ok(format);
    }
    let message = format!("the packed format {} does not hold {elem} codes", format.name());
    let takes: Vec<&str> = DType::ALL.into_iter().filter(|d| format.holds(*d)).map(DType::name).collect();
    Err(OpError::new(code::E0209, message).note(format!("it holds {}", takes.join(" or "))).into())
}

/// Bytes of a row of `size` codes.
fn row_bytes(size: &Dim, format: Format) -> Dim {
    let divisor = Dim::constant(format.codes_per_byte() as i64);
    size.ceil_div(&divisor).unwrap_or_else(|| size.clone())
}

fn pack_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let codes = cx.operand(0);
    cx.expect(vec![TensorType::new(DType::UInt8, Shape::unknown())]);
    let format = format_rule(cx, &codes.elem)?;
    let last = cx.axis_of(-1, &codes.shape, 0)?;
    let bytes = row_bytes(&codes.shape.dims[last], format);
    Ok(vec![TensorType::new(DType::UInt8, codes.shape.with_dim(last, bytes))])
}

fn unpack_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    cx.require_elem(0, |elem| elem.is(DType::UInt8), "packed bytes of type uint8")?;
    let bytes = cx.operand(0);
    let elem = cx.elem("dtype")?;
    cx.expect(vec![TensorType::new(elem.clone(), Shape::unknown())]);
    let format = format_rule(cx, &elem)?;
    let size = cx.dim("size")?;
    let last = cx.axis_of(-1, &bytes.shape, 0)?;
    let (found, wanted) = (&bytes.shape.dims[last], row_bytes(&size, format));
    cx.require_equal(found, &wanted, || {
        let message = format!("{size} codes in {} take {wanted} bytes a row, not {found}", format.name());
        OpError::new(code::E0303, message).label(0, format!("[{}]", bytes.shape))
    })?;
    Ok(vec![TensorType::new(elem, bytes.shape.with_dim(last, size))])
}

fn failure(cx: &EvalCx<'_>, error: &QuantError) -> EvalError {
    EvalError::new(format!("{}: {error}", cx.op.name))
}

fn quantize_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let seed = cx.optional().and_then(|seed| seed.as_i64()?.first().copied());
    let parts = quant::quantize(cx.operand(0), cx.scheme("scheme")?, seed).map_err(|error| failure(cx, &error))?;
    Ok([parts.codes, parts.scale].into_iter().chain(parts.zero_point).collect())
}

fn quantize_with_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let codes = quant::quantize_with(cx.operand(0), cx.operand(1), cx.optional(), cx.scheme("scheme")?);
    Ok(vec![codes.map_err(|error| failure(cx, &error))?])
}

fn dequantize_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let (scheme, dtype) = (cx.scheme("scheme")?, cx.dtype("dtype")?);
    let values = quant::dequantize(cx.operand(0), cx.operand(1), cx.optional(), scheme, dtype);
    Ok(vec![values.map_err(|error| failure(cx, &error))?])
}

fn unpack_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let format = format_of(cx.str("format")?).map_err(EvalError)?;
    let size = cx.int("size")?;
    let size = usize::try_from(size).map_err(|_| EvalError::new(format!("unpack: a size of {size} is negative")))?;
    let codes = quant::pack::unpack(cx.operand(0), format, size, cx.dtype("dtype")?);
    Ok(vec![codes.map_err(|error| failure(cx, &error))?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testkit::{eval, rule, rule_error, rule_under, tensor, try_eval, vector};
    use crate::ops::{Attr, Attrs};
    use crate::quant::TernaryRule;
    use crate::types::Facts;
    use DType::{Float32, Int8, Trit, UInt8};

    fn with(scheme: &Scheme) -> Attrs {
        Attrs::new().with("scheme", Attr::Scheme(scheme.clone()))
    }

    fn back(scheme: &Scheme) -> Attrs {
        with(scheme).with("dtype", Attr::DType(Float32.into()))
    }

    fn format(name: &str) -> Attrs {
        Attrs::new().with("format", Attr::Str(name.into()))
    }

    fn asymmetric() -> Scheme {
        Scheme { kind: SchemeKind::Int { bits: 4, symmetric: false }, ..Scheme::ternary() }
    }

    fn stochastic() -> Scheme {
        let kind = SchemeKind::Ternary { rule: TernaryRule::AbsMean, kept_scale: false, stochastic: true };
        Scheme { kind, ..Scheme::ternary() }
    }

    fn grouped() -> Scheme {
        Scheme { group: Some(64), ..Scheme::int(4) }
    }

    #[test]
    fn quantize_rules() {
        let by_axis = Scheme { axis: Some(-1), scale_dtype: DType::BFloat16, ..Scheme::int(8) };
        let dynamic = Scheme { dynamic: true, ..Scheme::int(8) };
        assert_eq!(rule("quantize", &["float32[n, k]"], with(&Scheme::ternary())), "trit[n, k], float32");
        assert_eq!(rule("quantize", &["float16[n, k]"], with(&by_axis)), "int8[n, k], bfloat16[k]");
        assert_eq!(rule("quantize", &["float32[...S, k]"], with(&dynamic)), "int8[...S, k], float32[...S]");
        assert_eq!(rule("quantize", &["float32[n, 128]"], with(&grouped())), "int4[n, 128], float32[n, 2]");
        assert_eq!(rule("quantize", &["float32[n]"], with(&asymmetric())), "uint8[n], float32, uint8");
        assert_eq!(rule("quantize", &["float32[n]", "int64"], with(&stochastic())), "trit[n], float32");
        assert_eq!(rule("quantize", &["float32[...]"], with(&grouped())), "~int4[...], float32[...]");
        let unproved = rule("quantize", &["float32[?]"], with(&grouped()));
        assert!(unproved.starts_with("int4[?], float32[? // 64] | "), "{unproved}");
    }

    #[test]
    fn groups_use_facts() {
        let k = Dim::symbol("k");
        let error = rule_error("quantize", &["float32[n, k]"], with(&grouped()));
        assert!(error.starts_with("E0502 a group of 64 does not divide the last dim k"), "{error}");
        assert!(error.ends_with("state it: `where k % 64 == 0`"), "{error}");
        let mut facts = Facts::default();
        facts.assume_modulo(&k, &Dim::constant(64), &Dim::zero());
        let (types, open) = rule_under(&facts, "quantize", &["float32[n, k]"], with(&grouped())).unwrap();
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        assert_eq!((types.join(", ").as_str(), open.len()), ("int4[n, k], float32[n, k // 64]", 0));
        assert!(rule_error("quantize", &["float32[n, 96]"], with(&grouped())).contains("choose a group"));
    }

    #[test]
    fn quantize_rule_errors() {
        assert!(rule_error("quantize", &["int8[n]"], with(&Scheme::ternary())).contains("takes float elements"));
        assert!(rule_error("quantize", &["float32[n]"], with(&stochastic())).contains("needs a `seed`"));
        assert!(rule_error("quantize", &["float32[n]", "int32"], with(&stochastic())).contains("int64 scalar"));
        let far = Scheme { axis: Some(2), ..Scheme::ternary() };
        assert!(rule_error("quantize", &["float32[n, k]"], with(&far)).starts_with("E0305 axis 2"));
        let both = Scheme { axis: Some(0), ..grouped() };
        assert!(rule_error("quantize", &["float32[n, k]"], with(&both)).starts_with("E0501 `int4(axis=0, group=64)`"));
        assert!(rule_error("quantize", &["float32"], with(&grouped())).starts_with("E0305"));
    }

    #[test]
    fn dequantize_rules() {
        let by_row = Scheme { axis: Some(0), ..Scheme::ternary() };
        assert_eq!(rule("dequantize", &["trit[n, k]", "float32[n]"], back(&by_row)), "float32[n, k]");
        assert_eq!(rule("dequantize", &["uint8[n]", "float32", "uint8"], back(&asymmetric())), "float32[n]");
        assert_eq!(rule("dequantize", &["trit[...]", "float32[n]"], back(&by_row)), "~float32[...]");
        let shape = rule_error("dequantize", &["trit[n, k]", "float32[k]"], back(&by_row));
        assert_eq!(shape, "E0303 these codes need scales of shape [n], but this has [k]");
        assert!(rule_error("dequantize", &["trit[n, k]", "float32"], back(&by_row)).starts_with("E0303"));
        assert!(rule_error("dequantize", &["int8[n]", "float32"], back(&Scheme::ternary())).contains("codes of trit"));
        assert!(rule_error("dequantize", &["uint8[n]", "float32"], back(&asymmetric())).contains("needs a zero point"));
        let extra = rule_error("dequantize", &["trit[n]", "float32", "trit"], back(&Scheme::ternary()));
        assert!(extra.contains("has no zero point"));
    }

    #[test]
    fn pack_rules() {
        let unpack = |name: &str, dtype: DType, size: Dim| {
            format(name).with("size", Attr::Int(size)).with("dtype", Attr::DType(dtype.into()))
        };
        assert_eq!(rule("pack", &["trit[n, 10]"], format("ternary2")), "uint8[n, 3]");
        assert_eq!(rule("pack", &["trit[...S, k]"], format("ternary5")), "uint8[...S, (k + 4) // 5]");
        assert_eq!(rule("pack", &["int8[k]"], format("int8")), "uint8[k]");
        let k = Dim::symbol("k");
        assert_eq!(rule("unpack", &["uint8[n, 3]"], unpack("ternary2", Trit, 10.into())), "trit[n, 10]");
        assert_eq!(rule("unpack", &["uint8[n, k]"], unpack("int8", Int8, k.clone())), "int8[n, k]");
        let wrong = rule_error("unpack", &["uint8[n, k]"], unpack("int4", UInt8, k.clone()));
        assert!(wrong.starts_with("E0303 k codes in int4 take"), "{wrong}");
        assert!(rule_error("pack", &["int8[n]"], format("ternary2")).contains("it holds trit"));
        assert!(rule_error("pack", &["trit[n]"], format("zip")).contains("there are ternary2, ternary5, int4, int8"));
        assert!(rule_error("unpack", &["int8[n]"], unpack("int8", Int8, k)).contains("packed bytes of type uint8"));
    }

    #[test]
    fn evaluation_calls_the_codes() {
        let w = tensor(Float32, &[2, 2], &[1.0, -2.0, 0.25, 0.75]);
        let scheme = Scheme { axis: Some(0), ..Scheme::ternary() };
        let parts = try_eval("quantize", &[w], with(&scheme)).unwrap();
        assert_eq!((parts[0].to_f64(), parts[1].to_f64()), (vec![1.0, -1.0, 0.0, 1.0], vec![1.5, 0.5]));
        assert_eq!(eval("dequantize", &parts, back(&scheme)).to_f64(), [1.5, -1.5, 0.0, 0.5]);
        let packed = eval("pack", &parts[..1], format("ternary2"));
        assert_eq!(packed.to_f64(), [f64::from(0b01_01_00_10), f64::from(0b01_01_10_01)]);
        let attrs = format("ternary2").with("size", Attr::int(2)).with("dtype", Attr::DType(Trit.into()));
        assert_eq!(eval("unpack", &[packed], attrs), parts[0]);
        let asymmetric_parts = try_eval("quantize", &[vector(Float32, &[0.0, 7.5])], with(&asymmetric())).unwrap();
        assert_eq!(asymmetric_parts.len(), 3);
        assert_eq!(eval("dequantize", &asymmetric_parts, back(&asymmetric())).to_f64(), [0.0, 7.5]);
        let random = try_eval("quantize", &[vector(Float32, &[1.0]), Tensor::scalar_i64(1)], with(&stochastic()));
        assert_eq!(random.unwrap()[0].to_f64(), [1.0]);
        let nan = try_eval("quantize", &[vector(Float32, &[0.0, f64::NAN])], with(&scheme)).unwrap_err();
        assert_eq!(nan.0, "quantize: element 1 is NaN, which has no code");
    }
}
