//! The factors of a matrix product, as far as there are tiles for them.
//!
//! | left | right | tile |
//! | --- | --- | --- |
//! | int8 codes, perhaps restored with one scale a row | codes of a weight, perhaps restored | `ternary2_tile`, `int8_tile`, `int4_tile` |
//! | float32 | codes of a weight, restored | `ternary2_tile_f32`, ... |
//! | float32 | float32 weight `[n, k]` or `[k, n]` | `f32_tile` of packed weights |
//! | float32 | other float32 `[k, n]` | `f32_tile_direct` |
//! | float32 | other float32 `[n, k]` | `f32_dots` for few rows, else `f32_tile` of what is packed on the way |

use super::super::Held;
use super::super::maker::Maker;
use super::Packing;
use crate::ir::{Inst, InstKind, ValueId};
use crate::ops::traits::Quantisation;
use crate::quant::pack::Format;
use crate::quant::{Scheme, SchemeKind};
use crate::types::DType;

/// `dequantize codes, scale, zero`
#[derive(Clone, Copy)]
pub(super) struct Restored<'a> {
    pub inst: &'a Inst,
    pub scheme: &'a Scheme,
}

impl Restored<'_> {
    pub fn scale(&self) -> ValueId {
        self.inst.operands[1]
    }

    pub fn zero(&self) -> Option<ValueId> {
        self.inst.operands.get(2).copied()
    }

    /// How many numbers have one scale, if that is not a whole row.
    pub fn group(&self) -> Option<i64> {
        self.scheme.group
    }
}

#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    Floats(ValueId),
    Codes(ValueId, Option<Restored<'a>>),
}

impl Left<'_> {
    pub fn value(&self) -> ValueId {
        match self {
            Left::Floats(value) | Left::Codes(value, _) => *value,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Right<'a> {
    Codes(ValueId, Packing, Option<Restored<'a>>),
    Packed(ValueId, Packing),
    /// `w[n][k]`
    Rows(ValueId),
    /// `w[k][n]`
    Columns(ValueId),
}

/// Sums of 32 bits hold so many products: of ternary codes, and of codes of eight bits with a zero point.
const MAX_TERNARY_TERMS: i64 = 4_194_303;
const MAX_INT8_TERMS: i64 = 65_535;
const MAX_GROUP: i64 = 1_048_576;

impl<'a> Maker<'a> {
    /// What restores a value from codes, if nothing else is done with either.
    pub(super) fn restored(&self, value: ValueId) -> Option<Restored<'a>> {
        let (inst, _) = self.makers.get(&value).copied()?;
        let InstKind::Op { op, attrs } = &inst.kind else { return None };
        let is_alone = self.uses(value) == 1 && self.uses(*inst.operands.first()?) == 1;
        let restores = op.quantisation() == Some(Quantisation::Dequantise) && self.dtype(value) == DType::Float32;
        if !restores || !is_alone {
            return None;
        }
        Some(Restored { inst, scheme: attrs.scheme("scheme")? })
    }

    pub(super) fn left(&self, value: ValueId) -> Option<Left<'a>> {
        let codes = |value| self.operand(value).is_some_and(|own| own.held == Held::Plain && own.dtype == DType::Int8);
        if let Some(restored) = self.restored(value) {
            let Restored { inst, scheme } = restored;
            let is_row = scheme.axis.is_none() && scheme.group.is_none() && inst.operands.len() == 2;
            return (is_row && codes(inst.operands[0])).then_some(Left::Codes(inst.operands[0], Some(restored)));
        }
        match self.dtype(value) {
            DType::Int8 if codes(value) => Some(Left::Codes(value, None)),
            DType::Float32 => Some(Left::Floats(value)),
            _ => None,
        }
    }

    /// The right factor, whose shape is `[n, k]` or, if it is not `transposed`, `[k, n]`.
    pub(super) fn right(&self, value: ValueId, transposed: bool) -> Option<Right<'a>> {
        let restored = self.restored(value);
        let own = restored.map_or(value, |restored| restored.inst.operands[0]);
        if let Some(packing) = self.packed_codes(own, restored).filter(|_| transposed) {
            return Some(Right::Codes(own, packing, restored));
        }
        if restored.is_some() || self.dtype(value) != DType::Float32 {
            return None;
        }
        let operand = self.operand(value);
        if let Some(operand) = operand.filter(|operand| operand.is_weight && self.uses(value) == 1)
            && let [rows, columns] = operand.shape.as_slice()
            && let (Some(rows), Some(columns)) = (rows.as_const(), columns.as_const())
        {
            let packing = match transposed {
                true => Packing::Floats { n: rows, k: columns },
                false => Packing::FloatColumns { n: columns, k: rows },
            };
            return Some(Right::Packed(value, packing));
        }
        Some(if transposed { Right::Rows(value) } else { Right::Columns(value) })
    }

    /// The layout that tiles want of the codes of a weight `[n, k]`.
    fn packed_codes(&self, codes: ValueId, restored: Option<Restored<'a>>) -> Option<Packing> {
        let operand = self.operand(codes).filter(|operand| operand.is_weight)?;
        let [n, k] = operand.shape.as_slice() else { return None };
        let (n, k) = (n.as_const()?, k.as_const()?);
        let format = match operand.held {
            Held::Packed(format) => format,
            Held::Plain if operand.dtype == DType::Int8 => Format::Int8,
            Held::Plain | Held::Scalar => return None,
        };
        if format == Format::Int4 {
            return self.packed_int4(restored?, n, k);
        }
        let has_zero = restored.is_some_and(|restored| restored.zero().is_some());
        let by_row = restored.is_none_or(|restored| {
            restored.group().is_none()
                && matches!(restored.scheme.axis, None | Some(0 | -2))
                && !restored.scheme.dynamic
        });
        let most = if format == Format::Int8 { MAX_INT8_TERMS } else { MAX_TERNARY_TERMS };
        let fits = by_row && k <= most && (!has_zero || format == Format::Int8);
        Packing::of_format(format, n, k).filter(|_| fits)
    }

    fn packed_int4(&self, restored: Restored<'a>, n: i64, k: i64) -> Option<Packing> {
        let scheme = restored.scheme;
        let SchemeKind::Int { bits: 4, .. } = scheme.kind else { return None };
        let group = match (scheme.group, scheme.axis) {
            (Some(group), None) => group,
            (None, Some(0 | -2)) => k,
            _ => return None,
        };
        let scale_bytes = match self.dtype(restored.scale()) {
            DType::Float32 => 4,
            DType::Float16 => 2,
            _ => return None,
        };
        let is_weight = |value: ValueId| self.operand(value).is_some_and(|own| own.is_weight && self.uses(value) == 1);
        let parts_fit = is_weight(restored.scale()) && restored.zero().is_none_or(is_weight);
        let fits = group <= MAX_GROUP && (group == k || group % 32 == 0 && k % group == 0);
        let packing = Packing::Int4 { n, k, group, scale_bytes, zeros: restored.zero().is_some() };
        (parts_fit && fits).then_some(packing)
    }
}
