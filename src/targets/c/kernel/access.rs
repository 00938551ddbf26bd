//! Elements of tensors in memory, and their way into numbers and back.

use super::Held;
use super::maker::{Maker, Outcome};
use crate::ir::ValueId;
use crate::quant::pack::Format;
use crate::targets::c::text::C;
use crate::types::{DType, Dim};

/// Where an element lies.
pub(super) fn offset(at: &[Dim], shape: &[Dim]) -> Dim {
    at.iter().zip(shape).fold(Dim::zero(), |offset, (index, size)| offset.mul(size).add(index))
}

/// The index of the element that lies at an offset.
pub(super) fn unfold(maker: &Maker<'_>, offset: &Dim, shape: &[Dim]) -> Vec<Dim> {
    let mut at = vec![Dim::zero(); shape.len()];
    let mut rest = offset.clone();
    for axis in (0..shape.len()).rev() {
        if shape[axis].is_const(1) {
            continue;
        }
        let is_first = shape[..axis].iter().all(|size| size.is_const(1));
        if is_first {
            at[axis] = rest.clone();
            continue;
        }
        let quotient = maker.ranges.divide(&rest, &shape[axis]);
        at[axis] = rest.sub(&shape[axis].mul(&quotient));
        rest = quotient;
    }
    at
}

/// How many elements there are.
pub(super) fn count(shape: &[Dim]) -> Dim {
    shape.iter().fold(Dim::constant(1), |product, size| product.mul(size))
}

impl Maker<'_> {
    /// An element of an operand; `None` for other values.
    pub fn load(&mut self, value: ValueId, at: &[Dim]) -> Option<C> {
        let operand = self.operand(value)?.clone();
        self.note_read(&operand);
        let place = match operand.held {
            Held::Scalar => C::Atom(operand.name),
            Held::Plain => {
                let offset = offset(at, &operand.shape);
                self.reads.push((value, offset.clone()));
                let index = self.index(&offset);
                C::index(&operand.name, index)
            }
            Held::Packed(format) => {
                return Some(self.unpacked(&operand.name, format, operand.dtype, at, &operand.shape));
            }
        };
        Some(self.widened(operand.dtype, place))
    }

    /// A number of what is in memory.
    pub fn widened(&mut self, dtype: DType, place: C) -> C {
        match dtype {
            DType::Float16 => {
                self.helper("float16");
                C::call("float16_to_float", vec![place])
            }
            DType::BFloat16 => {
                self.helper("bfloat16");
                C::call("bfloat16_to_float", vec![place])
            }
            _ => place,
        }
    }

    /// What memory holds of a number.
    pub fn narrowed(&mut self, dtype: DType, value: C) -> C {
        let (name, rounding, back) = match dtype {
            DType::Float16 => ("float_to_float16", "round_float16", "float16_to_float"),
            DType::BFloat16 => ("float_to_bfloat16", "round_bfloat16", "bfloat16_to_float"),
            _ => return value,
        };
        self.helper(if dtype == DType::Float16 { "float16" } else { "bfloat16" });
        match value {
            C::Call(own, mut arguments) if own == rounding && arguments.len() == 1 => {
                C::call(name, vec![arguments.remove(0)])
            }
            // What was read as it is.
            C::Call(own, mut arguments) if own == back && arguments.len() == 1 => arguments.remove(0),
            value => C::call(name, vec![value]),
        }
    }

    /// A result of arithmetic, rounded to its type.
    pub fn rounded(&mut self, dtype: DType, value: C) -> C {
        match dtype {
            DType::Float16 => {
                self.helper("float16");
                C::call("round_float16", vec![value])
            }
            DType::BFloat16 => {
                self.helper("bfloat16");
                C::call("round_bfloat16", vec![value])
            }
            _ => value,
        }
    }

    /// A code of packed bytes; rows lie along the last axis.
    fn unpacked(&mut self, name: &str, format: Format, dtype: DType, at: &[Dim], shape: &[Dim]) -> C {
        let (Some((column, row)), Some((columns, rows))) = (at.split_last(), shape.split_last()) else {
            return C::atom(name);
        };
        let bytes = columns.ceil_div(&Dim::constant(format.codes_per_byte() as i64)).unwrap_or_else(|| columns.clone());
        let start = offset(row, rows).mul(&bytes);
        let reader = match format {
            Format::Ternary2 => "ternary2_code",
            Format::Ternary5 => "ternary5_code",
            Format::Int4 if dtype == DType::UInt8 => "uint4_code",
            Format::Int4 => "int4_code",
            Format::Int8 => {
                let place = self.index(&start.add(column));
                return C::cast("int8_t", C::index(name, place));
            }
        };
        self.helper("codes");
        let row = match start.is_const(0) {
            true => C::atom(name),
            false => C::Atom(format!("{name} + {}", self.index(&start).text())),
        };
        let column = self.index(column);
        C::call(reader, vec![row, column])
    }

    /// Writes an element of a result.
    pub fn store(&mut self, result: usize, at: &[Dim], value: C) {
        let parameter = self.results[result].clone();
        let value = self.narrowed(parameter.dtype, value);
        if parameter.shape.is_empty() {
            return self.statement(format!("*{} = ", parameter.name), value);
        }
        let offset = offset(at, &parameter.shape);
        self.writes.push((parameter.value, offset.clone()));
        let index = self.index(&offset).text();
        self.statement(format!("{}[{index}] = ", parameter.name), value);
    }

    /// The elements of an operand that take part in an element of the result.
    pub fn broadcast(&self, value: ValueId, at: &[Dim], shape: &[Dim]) -> Outcome<Vec<Dim>> {
        let own = self.shape_of(value)?;
        let skipped = at.len().saturating_sub(own.len());
        own.iter()
            .zip(at[skipped..].iter().zip(&shape[skipped..]))
            .map(|(own, (index, size))| match own {
                own if own.is_const(1) => Ok(Dim::zero()),
                own if own == size => Ok(index.clone()),
                _ => Err(self.refuse(&format!("broadcasts {own} to {size}, and only a run tells whether that is 1"))),
            })
            .collect()
    }
}
