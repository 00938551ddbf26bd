//! Requirements on element types that many families share, with the remedy in the message.

use crate::base::code;
use crate::ops::error::{Hint, OpError, Stop};
use crate::ops::rule::RuleCx;
use crate::types::{DType, Elem};

impl RuleCx<'_> {
    /// Floats only.
    pub fn require_float(&self, operand: usize) -> Result<(), Stop> {
        self.require(operand, Elem::is_float, "float elements")
    }

    /// Floats and integers, so neither `bool` nor the storage types.
    pub fn require_num(&self, operand: usize) -> Result<(), Stop> {
        self.require(operand, Elem::is_num, "numbers")
    }

    pub fn require_int(&self, operand: usize) -> Result<(), Stop> {
        self.require(operand, Elem::is_int, "integers")
    }

    pub fn require_bool(&self, operand: usize) -> Result<(), Stop> {
        self.require(operand, |elem| elem.is(DType::Bool), "bool elements")
    }

    /// Integers and `bool`.
    pub fn require_bits(&self, operand: usize) -> Result<(), Stop> {
        self.require(operand, |elem| elem.is_int() || elem.is(DType::Bool), "integers or bool")
    }

    /// The error of an element type that the operation does not take, for more notes.
    pub fn elem_error(&self, operand: usize, what: &str) -> OpError {
        let ty = &self.operands[operand];
        let message = format!("`{}` takes {what}, not {}", self.op.name, ty.elem);
        OpError::new(code::E0209, message).label(operand, ty.to_string())
    }

    fn require(&self, operand: usize, accept: fn(&Elem) -> bool, what: &str) -> Result<(), Stop> {
        let elem = &self.operands[operand].elem;
        if accept(elem) {
            return Ok(());
        }
        let error = self.elem_error(operand, what);
        let wants_bool = accept(&Elem::Known(DType::Bool)) && !accept(&Elem::Known(DType::Int64));
        Err(match elem {
            Elem::Var(name, bound) => {
                let wanted = if accept(&Elem::Known(DType::Int64)) { "num` or `int" } else { "float" };
                error.note(format!("{name} may be any type of bound `{bound}`: declare it as `{wanted}`"))
            }
            Elem::Known(_) if wants_bool => error.note("compare first, as in `x != 0`"),
            Elem::Known(dtype) if dtype.is_storage() => {
                let to = if accept(&Elem::Known(DType::Float32)) { DType::Float32 } else { DType::Int32 };
                error
                    .note(format!("{dtype} is a storage type without arithmetic: convert it with `.to({to})`"))
                    .hint(Hint::Cast(operand, to))
            }
            Elem::Known(DType::Bool) => error.note("convert it with `.to(...)`, or use `and`, `or`, `not`"),
            Elem::Known(_) if accept(&Elem::Known(DType::Float32)) => {
                error.note("convert it with `.to(float32)`").hint(Hint::Cast(operand, DType::Float32))
            }
            Elem::Known(_) => error.note("convert it with `.to(int32)`").hint(Hint::Cast(operand, DType::Int32)),
        }
        .into())
    }
}
