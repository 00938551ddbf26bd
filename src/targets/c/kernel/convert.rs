//! Conversions between element types: floats to integers toward zero, saturating, NaN to 0; integers to integers wrap.

use super::maker::{Maker, Outcome};
use crate::targets::c::text::{C, carrier, integer};
use crate::types::DType;

/// An end of the range of an integer type.
pub(super) fn bound(dtype: DType, value: i128) -> C {
    if dtype == DType::Bool { C::truth(value != 0) } else { integer(dtype, value) }
}

impl Maker<'_> {
    /// A number of one type in another. A number that is no trit is an error where one is wanted.
    pub fn converted(&mut self, value: C, from: DType, to: DType) -> Outcome<C> {
        if from == to {
            return Ok(value);
        }
        if to == DType::Trit {
            return self.trit(value, from);
        }
        Ok(match (from.is_float(), to.is_float()) {
            _ if to == DType::Bool => {
                let zero = if from.is_float() { C::atom("0.0f") } else { C::atom("0") };
                C::binary(value, "!=", zero)
            }
            (true, true) => self.between_floats(value, from, to),
            (true, false) => self.saturated(value, from, to),
            (false, true) => {
                let single = C::cast(carrier(to), value);
                // Small integers have few enough digits.
                let is_exact = from.bits() <= 8 || from.bits() <= 11 && to != DType::BFloat16;
                if is_exact { single } else { self.rounded(to, single) }
            }
            (false, false) => wrapped(value, from, to),
        })
    }

    fn between_floats(&mut self, value: C, from: DType, to: DType) -> C {
        let is_half = |dtype| matches!(dtype, DType::Float16 | DType::BFloat16);
        match (from, to) {
            // A detour over `float` would round twice.
            (DType::Float64, DType::Float16) => {
                self.helper("float16");
                C::call("round_double_float16", vec![value])
            }
            (DType::Float64, DType::BFloat16) => {
                self.helper("bfloat16");
                C::call("round_double_bfloat16", vec![value])
            }
            (DType::Float64, _) => C::cast("float", value),
            (_, DType::Float64) => C::cast("double", value),
            (_, to) if is_half(to) => self.rounded(to, value),
            _ => value,
        }
    }

    fn saturated(&mut self, value: C, from: DType, to: DType) -> C {
        self.helper("saturate");
        let _ = from;
        match to {
            DType::UInt64 => C::call("saturate_uint64", vec![value]),
            DType::Int64 => C::call("saturate_int64", vec![value]),
            _ => {
                let (low, high) = to.int_range().unwrap_or((0, 0));
                let arguments = vec![value, integer(DType::Int64, low), integer(DType::Int64, high)];
                C::cast(carrier(to), C::call("saturate", arguments))
            }
        }
    }

    fn trit(&mut self, value: C, from: DType) -> Outcome<C> {
        let value = if value.is_place() { value } else { self.constant(carrier(from), "t", value) };
        if from.is_float() {
            let size = self.call("fabs", from, vec![value.clone()])?;
            self.fail_if(C::binary(size, ">", C::atom("1.0f")), "VALUE");
            return Ok(self.saturated(value, from, DType::Int8));
        }
        let above = C::binary(value.clone(), ">", C::atom("1"));
        let outside = match from {
            DType::Bool => C::truth(false),
            _ if from.is_unsigned() => above,
            _ => C::or(C::binary(value.clone(), "<", C::unary("-", C::atom("1"))), above),
        };
        self.fail_if(outside, "VALUE");
        Ok(C::cast("int8_t", value))
    }
}

/// The low bits; four of them are extended by their sign.
fn wrapped(value: C, from: DType, to: DType) -> C {
    let within = |(low, high): (i128, i128), (least, most): (i128, i128)| low >= least && high <= most;
    let fits = from.int_range().zip(to.int_range()).is_some_and(|(own, wanted)| within(own, wanted));
    match to {
        DType::Int4 if !fits => {
            let low = C::binary(C::binary(value, "&", C::atom("15")), "^", C::atom("8"));
            C::cast("int8_t", C::binary(low, "-", C::atom("8")))
        }
        _ if fits && from.bits() <= to.bits() && carrier(from) == carrier(to) => value,
        _ => C::cast(carrier(to), value),
    }
}
