//! The elaborator's instructions as IR instructions.

use crate::analysis::db::Place;
use crate::analysis::value::{Step, Value, ValueRef};
use crate::analysis::world::{CallRequest, Failure, Leaf, Outcome, Piece, Structured, World};
use crate::ir::{self, InstKind, PathSegment, PrintPiece, ValueId};
use crate::lower::Lowering;
use crate::ops::{Attrs, OpId};
use crate::types::{Symbol, TensorType};

fn ids(values: &[ValueRef]) -> Vec<ValueId> {
    values.iter().map(|value| ValueId(value.0)).collect()
}

pub fn refs(values: &[ValueId]) -> Vec<ValueRef> {
    values.iter().map(|value| ValueRef(value.0)).collect()
}

pub fn path_segments(path: &[Step]) -> Vec<PathSegment> {
    path.iter()
        .map(|step| match step {
            Step::Field(name) => PathSegment::Field(name.clone()),
            Step::Index(dim) => PathSegment::Index(dim.clone()),
        })
        .collect()
}

impl<'db> Lowering<'_, 'db> {
    pub(super) fn emit(
        &mut self,
        kind: InstKind,
        operands: &[ValueRef],
        results: &[TensorType],
        at: Place<'db>,
    ) -> Vec<ValueRef> {
        let loc = self.loc(at);
        match self.frames.last_mut() {
            Some(frame) => refs(&frame.inst(kind, ids(operands), results, loc)),
            None => vec![ValueRef(u32::MAX); results.len()],
        }
    }
}

impl<'db> World<'db> for Lowering<'_, 'db> {
    fn specialises(&self) -> bool {
        true
    }

    fn has_functions(&self) -> bool {
        true
    }

    fn training(&self) -> Option<bool> {
        Some(self.training)
    }

    fn op(
        &mut self,
        op: OpId,
        attrs: Attrs,
        operands: &[ValueRef],
        results: &[TensorType],
        at: Place<'db>,
    ) -> Vec<ValueRef> {
        self.emit(InstKind::Op { op, attrs }, operands, results, at)
    }

    fn leaf(&mut self, leaf: Leaf, operands: &[ValueRef], results: &[TensorType], at: Place<'db>) -> Vec<ValueRef> {
        let kind = match leaf {
            Leaf::Param { name, part } => InstKind::Param { name, part },
            Leaf::Const(tensor) => InstKind::Const(tensor),
            Leaf::Host(expr) => InstKind::Host(expr),
            Leaf::Rng => {
                self.sites += 1;
                InstKind::Rng { site: self.sites - 1, part: String::new() }
            }
            Leaf::SetState { name } => InstKind::SetState { name },
            Leaf::SetSlice { name, windows } => InstKind::SetSlice {
                name,
                windows: windows.into_iter().map(|(axis, size)| ir::Window { axis, size }).collect(),
            },
            Leaf::Assert { message } => InstKind::Assert { message },
            Leaf::Ensure(obligation) => InstKind::Ensure(obligation),
            Leaf::Print { pieces } => InstKind::Print {
                pieces: pieces
                    .into_iter()
                    .map(|piece| match piece {
                        Piece::Text(text) => PrintPiece::Text(text),
                        Piece::Operand => PrintPiece::Operand,
                    })
                    .collect(),
            },
        };
        self.emit(kind, operands, results, at)
    }

    fn open(&mut self, params: &[TensorType]) -> Vec<ValueRef> {
        match self.frames.last_mut() {
            Some(frame) => refs(&frame.open(params)),
            None => vec![ValueRef(u32::MAX); params.len()],
        }
    }

    fn close(&mut self, yields: &[ValueRef], at: Place<'db>) {
        let loc = self.loc(at);
        if let Some(frame) = self.frames.last_mut() {
            frame.close(ids(yields), loc);
        }
    }

    fn structured(
        &mut self,
        kind: Structured,
        operands: &[ValueRef],
        results: &[TensorType],
        at: Place<'db>,
    ) -> Vec<ValueRef> {
        let Some(frame) = self.frames.last_mut() else { return vec![ValueRef(u32::MAX); results.len()] };
        // Closed regions come off in reverse.
        let last = frame.take_closed();
        let kind = match kind {
            Structured::If => InstKind::If { then: frame.take_closed(), otherwise: last },
            Structured::For { index } => InstKind::For { index, body: last },
            Structured::While { turns } => InstKind::While { turns, cond: frame.take_closed(), body: last },
            Structured::Gradient => InstKind::Gradient { body: last },
        };
        self.emit(kind, operands, results, at)
    }

    fn name(&mut self, value: ValueRef, name: &str) {
        if name.contains('\'') {
            return;
        }
        if let Some(frame) = self.frames.last_mut()
            && let Some(value) = frame.function.values.get_mut(value.0 as usize)
        {
            value.name.get_or_insert_with(|| name.to_string());
        }
    }

    fn parameter(&mut self, ty: &TensorType, name: &str) -> ValueRef {
        let Some(frame) = self.frames.last_mut() else { return ValueRef(u32::MAX) };
        let value = frame.value(ty.clone(), Some(name.to_string()));
        frame.function.params.push(value);
        ValueRef(value.0)
    }

    fn mark(&mut self) -> usize {
        self.frames.last_mut().map_or(0, |frame| frame.mark())
    }

    fn rollback(&mut self, mark: usize) {
        if let Some(frame) = self.frames.last_mut() {
            frame.rollback(mark);
        }
    }

    fn call(
        &mut self,
        _: &'db dyn salsa::Database,
        request: &CallRequest<'db>,
        operands: &[ValueRef],
        fresh: &mut dyn FnMut(&Symbol) -> Symbol,
        at: Place<'db>,
    ) -> Result<(Outcome<'db>, Vec<ValueRef>), Failure<'db>> {
        self.call_function(request, operands, fresh, at)
    }

    fn adopt(&mut self, hint: &str, value: &Value<'db>, at: Place<'db>) -> Result<Vec<Step>, Failure<'db>> {
        let member = self.adopt_member(hint, value, at)?;
        Ok(vec![Step::Field(member)])
    }
}
