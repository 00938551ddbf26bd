//! How a weight takes a scale for each channel.

use super::chain::Writer;
use crate::ir::{Function, Inst, InstId, InstKind, ValueId};
use crate::ops::channels;
use crate::ops::traits::{Movement, Quantisation};
use crate::quant::Scheme;
use crate::types::{DType, Dim, Facts};

/// What the scale is multiplied with.
pub(super) enum Weight {
    /// Its numbers.
    Float(ValueId),
    /// The scales of its codes; then the codes are dequantised again, and moved as before.
    Codes { value: ValueId, dequantize: InstId, moves: Vec<InstId> },
}

impl Weight {
    /// A weight that takes a scale for each index of `axis`; `None` if its codes have no scale for each.
    pub fn of(function: &Function, value: ValueId, axis: usize, facts: &Facts) -> Option<Weight> {
        let (mut moves, mut from, mut axis) = (vec![], value, axis);
        while let Some(id) = maker(function, from) {
            let inst = &function[id];
            let InstKind::Op { op, attrs } = &inst.kind else { break };
            if op.quantisation() == Some(Quantisation::Dequantise) {
                moves.reverse();
                let rank = function[from].ty.shape.rank()?;
                let fits = has_scales_for(attrs.scheme("scheme")?, axis, rank);
                return fits.then_some(Weight::Codes { value, dequantize: id, moves });
            }
            let [operand] = inst.operands[..] else { break };
            let (source, result) = (&function[operand].ty, &function[from].ty);
            let moved = |axis| channels::moved(*op, attrs, source, result, axis, facts);
            let Some(before) = (0..source.shape.rank()?).find(|old| moved(*old) == Some(axis)) else { break };
            moves.push(id);
            (from, axis) = (operand, before);
        }
        Some(Weight::Float(value))
    }

    pub fn value(&self) -> ValueId {
        match self {
            Weight::Float(value) | Weight::Codes { value, .. } => *value,
        }
    }

    /// The weight with each index of `axis` scaled, in the type that it had. `dtype` is that of the scale.
    pub fn scaled(&self, writer: &mut Writer<'_>, scale: ValueId, axis: usize, dtype: DType, count: &Dim) -> ValueId {
        match self {
            Weight::Float(value) => {
                let own = writer.function.dtype(*value);
                let rank = writer.function[*value].ty.shape.rank().unwrap_or(0);
                let one_for_all = writer.function[scale].ty.shape.rank() == Some(0);
                let mut dims = vec![Dim::constant(1); rank];
                dims[axis] = count.clone();
                let scale = if one_for_all { scale } else { writer.reshaped(scale, dims) };
                let wide = writer.cast(before_cast(writer.function, *value, dtype), dtype);
                let product = writer.pair("mul", wide, scale);
                writer.cast(product, own)
            }
            Weight::Codes { dequantize, moves, .. } => {
                let Inst { kind, mut operands, results, .. } = writer.function[*dequantize].clone();
                let scale = writer.cast(scale, writer.function.dtype(operands[1]));
                operands[1] = writer.pair("mul", operands[1], scale);
                let mut value = writer.push(kind, operands, writer.function[results[0]].ty.clone());
                for id in moves {
                    let Inst { kind, results, .. } = writer.function[*id].clone();
                    value = writer.push(kind, vec![value], writer.function[results[0]].ty.clone());
                }
                value
            }
        }
    }
}

/// The instruction that a value is a result of.
fn maker(function: &Function, value: ValueId) -> Option<InstId> {
    let at = function.insts.iter().position(|inst| inst.results.contains(&value))?;
    Some(InstId(at as u32))
}

/// Whether codes of this rank have one scale, and nothing else, for each index of the axis.
fn has_scales_for(scheme: &Scheme, axis: usize, rank: usize) -> bool {
    let own = scheme.axis.map(|own| if own < 0 { own + rank as i64 } else { own });
    own == Some(axis as i64) && !scheme.has_zero_point()
}

/// What was converted to make a value, if it is of this type.
fn before_cast(function: &Function, value: ValueId, dtype: DType) -> ValueId {
    let source =
        maker(function, value).map(|id| &function[id]).and_then(|inst| match (&inst.kind, &inst.operands[..]) {
            (InstKind::Op { op, .. }, [source]) if matches!(op.movement(), Movement::Converts) => Some(*source),
            _ => None,
        });
    source.filter(|source| function.dtype(*source) == dtype).unwrap_or(value)
}
