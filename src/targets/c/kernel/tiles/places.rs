//! Where a value's elements lie, and which elements of results are made of one: indices, followed through views in both
//! directions.

use super::super::access::{offset, unfold};
use super::super::maker::Maker;
use super::super::moves::regrouped;
use crate::ir::{InstKind, ValueId};
use crate::ops::traits::{Movement, Role};
use crate::types::Dim;

impl Maker<'_> {
    /// The operand that an element of a value is read from as it is, and how far from its beginning.
    pub(super) fn address(&self, value: ValueId, at: &[Dim]) -> Option<(ValueId, Dim)> {
        if let Some(operand) = self.operand(value) {
            return Some((value, offset(at, &operand.shape)));
        }
        let (inst, _) = self.makers.get(&value)?;
        let InstKind::Op { op, attrs } = &inst.kind else { return None };
        let of = *inst.operands.first()?;
        if self.dtype(of) != self.dtype(value) {
            return None;
        }
        match op.movement() {
            Movement::Permutes(axes) => {
                let mut place = at.to_vec();
                axes(attrs, at.len())?.iter().zip(at).for_each(|(axis, index)| place[*axis] = index.clone());
                self.address(of, &place)
            }
            Movement::Regroups => {
                let (own, shape) = (self.shape_of(of).ok()?, self.shape_of(value).ok()?);
                self.address(of, &regrouped(self, at, &shape, &own))
            }
            _ => None,
        }
    }

    /// The index of a result's element that is made of another value's element at an index; `None` where that is not one
    /// element, or not known.
    pub(super) fn place_of(&self, result: ValueId, of: ValueId, at: &[Dim]) -> Option<Vec<Dim>> {
        if result == of {
            return Some(at.to_vec());
        }
        let (inst, _) = self.makers.get(&result)?;
        let InstKind::Op { op, attrs } = &inst.kind else { return None };
        let shape = self.shape_of(result).ok()?;
        match (op.movement(), op.role()) {
            (Movement::Permutes(axes), _) => {
                let inner = self.place_of(inst.operands[0], of, at)?;
                Some(axes(attrs, shape.len())?.iter().map(|axis| inner[*axis].clone()).collect())
            }
            (Movement::Regroups, _) => {
                let inner = self.place_of(inst.operands[0], of, at)?;
                let own = self.shape_of(inst.operands[0]).ok()?;
                Some(unfold(self, &offset(&inner, &own), &shape))
            }
            (_, Role::Elementwise | Role::Conversion) => {
                let alike =
                    inst.operands.iter().filter(|operand| self.shape_of(**operand).is_ok_and(|own| own == shape));
                alike.into_iter().find_map(|operand| self.place_of(*operand, of, at))
            }
            _ => None,
        }
    }
}
