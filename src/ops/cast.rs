//! Conversion between element types, and the identity that stops gradients.

use crate::ops::cost::Cost;
use crate::ops::elementwise::unary_op;
use crate::ops::precision::Precision;
use crate::ops::simplify;
use crate::ops::traits::{Movement, Role, Traits};
use crate::ops::{EvalError, Gradient, Op, Param, ParamKind, gradient};
use crate::types::tensor::{Data, round_f32, round_f64, saturate, wrap};
use crate::types::{DType, Tensor};

const CONVERSION: Traits =
    Traits { role: Role::Conversion, movement: Movement::Converts, cost: Cost::Nothing, ..Traits::CAUTIOUS };

pub static OPS: &[Op] = &[
    Op {
        name: "cast",
        params: &[Param::tensor("x"), Param::required("dtype", ParamKind::DType)],
        rule: |cx| {
            let elem = cx.elem("dtype")?;
            Ok(vec![cx.operand(0).with_elem(elem)])
        },
        eval: |cx| Ok(vec![convert(cx.operand(0), cx.dtype("dtype")?)?]),
        gradient: Gradient::Rule(gradient::elementwise::cast),
        traits: Traits {
            precision: Precision::Any,
            laws: &[simplify::cast_to_itself, simplify::cast_of_cast],
            ..CONVERSION
        },
        doc: "Converts each element to another type, `x.to(dtype)`.\n\nKeeps the shape. Floats round to nearest, \
              ties to even. Float to integer goes toward zero and saturates, NaN gives 0; integer to integer \
              wraps; anything but 0 is true. A value outside -1 to 1 is an error where `trit` is wanted.",
    },
    unary_op(
        "stop_gradient",
        |cx| Ok(vec![cx.operand(0).clone()]),
        |cx| Ok(vec![cx.operand(0).clone()]),
        Gradient::None("it is there to stop gradients"),
        Traits { precision: Precision::Moves, laws: &[simplify::repeated], ..CONVERSION },
        "The same values, through which no gradient flows.\n\nKeeps type and shape. PyTorch: `detach`.",
    ),
];

/// A tensor's values in another element type.
pub fn convert(x: &Tensor, dtype: DType) -> Result<Tensor, EvalError> {
    if x.dtype() == dtype {
        return Ok(x.clone());
    }
    if dtype == DType::Trit {
        check_trits(x)?;
    }
    let data = match x.data() {
        Data::F32(v) if dtype == DType::Float64 => Data::F64(v.iter().map(|&x| f64::from(x)).collect()),
        Data::F32(v) if dtype.is_float() => Data::F32(v.iter().map(|&x| round_f32(dtype, x)).collect()),
        Data::F64(v) if dtype.is_float() => Data::F32(v.iter().map(|&x| round_f64(dtype, x)).collect()),
        Data::F32(v) => Data::I64(v.iter().map(|&x| float_to_int(dtype, f64::from(x))).collect()),
        Data::F64(v) => Data::I64(v.iter().map(|&x| float_to_int(dtype, x)).collect()),
        Data::I64(v) if dtype.is_float() => return Ok(int_to_float(x, v, dtype)),
        Data::I64(v) => Data::I64(v.iter().map(|&x| wrap(dtype, x)).collect()),
    };
    Ok(Tensor::new(dtype, x.shape().to_vec(), data))
}

fn float_to_int(dtype: DType, value: f64) -> i64 {
    if dtype == DType::Bool { i64::from(value != 0.0) } else { saturate(dtype, value) }
}

/// Half types by way of `float32`, as everywhere; no detour over a double that would round twice.
fn int_to_float(x: &Tensor, values: &[i64], dtype: DType) -> Tensor {
    let unsigned = x.dtype() == DType::UInt64;
    let data = if dtype == DType::Float64 {
        Data::F64(values.iter().map(|&v| if unsigned { v as u64 as f64 } else { v as f64 }).collect())
    } else {
        let single = |v: i64| if unsigned { v as u64 as f32 } else { v as f32 };
        Data::F32(values.iter().map(|&v| round_f32(dtype, single(v))).collect())
    };
    Tensor::new(dtype, x.shape().to_vec(), data)
}

fn check_trits(x: &Tensor) -> Result<(), EvalError> {
    let outside = match x.data() {
        Data::F32(v) => v.iter().position(|v| v.abs() > 1.0),
        Data::F64(v) => v.iter().position(|v| v.abs() > 1.0),
        Data::I64(v) => {
            let least = if x.dtype() == DType::UInt64 { 0 } else { -1 };
            v.iter().position(|v| *v < least || *v > 1)
        }
    };
    match outside {
        None => Ok(()),
        Some(index) => {
            let value = x.get_f64(index);
            Err(EvalError::new(format!("cast: {value}, at element {index}, is no trit; clamp to -1 .. 1 or quantize")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testkit::{eval, rule, try_eval, vector};
    use crate::ops::{Attr, Attrs};
    use DType::{BFloat16, Bool, Float16, Float32, Float64, Int4, Int8, Int32, Int64, Trit, UInt8, UInt64};

    fn to(dtype: DType) -> Attrs {
        Attrs::new().with("dtype", Attr::DType(dtype.into()))
    }

    fn cast(from: DType, values: &[f64], dtype: DType) -> Vec<f64> {
        eval("cast", &[vector(from, values)], to(dtype)).to_f64()
    }

    #[test]
    fn rules() {
        assert_eq!(rule("cast", &["float32[...S, n]"], to(Int8)), "int8[...S, n]");
        assert_eq!(rule("cast", &["A[n]"], to(Float16)), "float16[n]");
        assert_eq!(rule("stop_gradient", &["trit[?, n]"], Attrs::new()), "trit[?, n]");
        assert_eq!(rule("cast", &["A[n]"], Attrs::new().with("dtype", Attr::Unknown)), "~");
    }

    #[test]
    fn floats_to_integers_saturate() {
        assert_eq!(
            cast(Float32, &[1.9, -1.9, 300.0, -300.0, f64::NAN, f64::INFINITY], Int8),
            [1.0, -1.0, 127.0, -128.0, 0.0, 127.0]
        );
        assert_eq!(cast(Float64, &[-1.0, 256.0], UInt8), [0.0, 255.0]);
        assert_eq!(cast(Float32, &[9.0, -9.0], Int4), [7.0, -8.0]);
        let huge = eval("cast", &[vector(Float64, &[1e30, -1.0])], to(UInt64));
        assert_eq!(huge.as_i64(), Some(&[-1, 0][..]));
    }

    #[test]
    fn integers_wrap_and_round() {
        assert_eq!(cast(Int32, &[200.0, -200.0], Int8), [-56.0, 56.0]);
        assert_eq!(cast(Int32, &[9.0, -1.0], Int4), [-7.0, -1.0]);
        assert_eq!(cast(Int8, &[-1.0], UInt8), [255.0]);
        assert_eq!(cast(Int64, &[16777217.0], Float32), [16777216.0]);
        assert_eq!(cast(Int32, &[2049.0, 70000.0], Float16), [2048.0, f64::INFINITY]);
        let top = Tensor::from_i64(UInt64, vec![1], vec![-1]);
        assert_eq!(eval("cast", &[top], to(Float64)).to_f64(), [18446744073709551616.0]);
    }

    #[test]
    fn bools_trits_and_halves() {
        assert_eq!(cast(Float32, &[0.0, -0.0, 0.5, f64::NAN], Bool), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(cast(Int32, &[256.0, 0.0], Bool), [1.0, 0.0]);
        assert_eq!(cast(Bool, &[1.0, 0.0], Float32), [1.0, 0.0]);
        assert_eq!(cast(Float32, &[-1.0, 0.5, 1.0, f64::NAN], Trit), [-1.0, 0.0, 1.0, 0.0]);
        assert_eq!(cast(Trit, &[-1.0, 0.0, 1.0], Int32), [-1.0, 0.0, 1.0]);
        assert_eq!(cast(Float32, &[1.0 + 1.0 / 256.0, 3.0 + 3.0 / 128.0], BFloat16), [1.0, 3.03125]);
        let error = try_eval("cast", &[vector(Int32, &[0.0, 2.0])], to(Trit)).unwrap_err();
        assert!(error.0.contains("2, at element 1, is no trit"), "{}", error.0);
        assert!(try_eval("cast", &[vector(Float32, &[-1.5])], to(Trit)).is_err());
    }
}
