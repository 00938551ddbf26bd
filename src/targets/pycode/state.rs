//! State: what is assigned to it, as a whole or in part, and what was read of it before.

use crate::ir::{InstId, InstKind, ValueId, Window};
use crate::ops::traits::{Movement, Role};
use crate::targets::pycode::dialect::{Assignment, NewState, Positions};
use crate::targets::pycode::function::Writer;
use crate::targets::pytext::Py;
use crate::types::Dim;

impl Writer<'_, '_> {
    /// `self.count.copy_(n)`, `p["count"] = n`
    pub(super) fn set_state(&mut self, inst: InstId, name: &str) {
        let data = &self.function[inst];
        let mut new = self.new_state(data.operands[0]);
        if self.program.dialect.changes_in_place() {
            // Copying broadcasts and converts by itself.
            new = self.new_state(self.before_copy(data.operands[0]));
        } else if new.is_number {
            new = NewState { value: self.tensor(data.operands[0]), is_number: false, ..new };
        }
        let place = self.member(name);
        let assignment = self.program.dialect.set_state(place, new);
        self.comment(data.loc);
        self.assignment(&assignment);
    }

    fn assignment(&mut self, assignment: &Assignment) {
        self.statement(&assignment.prefix, &assignment.value, "");
    }

    /// `self.cache[:, pos:pos + T] = k`
    pub(super) fn set_slice(&mut self, inst: InstId, name: &str, windows: &[Window]) {
        let data = &self.function[inst];
        let [value, starts @ ..] = data.operands.as_slice() else { return };
        let mut positions = vec![];
        for (Window { axis, size }, &start) in windows.iter().zip(starts) {
            let from = self.number_or_tensor(start);
            let (size, item) = match size {
                None => (None, from.clone()),
                Some(size) => (Some(self.dim(size)), self.window(start, size)),
            };
            positions.push(Positions { axis: *axis, start: from, size, item });
        }
        let place = self.member(name);
        // Assignment broadcasts by itself.
        let value = self.before_copy(*value);
        let new = self.new_state(value);
        let assignment = self.program.dialect.set_slice(place, positions, new);
        self.comment(data.loc);
        self.assignment(&assignment);
    }

    fn new_state(&mut self, value: ValueId) -> NewState {
        let expression = self.number_or_tensor(value);
        NewState { value: expression, is_number: self.numbers.contains(&value), dtype: self.function.dtype(value) }
    }

    /// A value of its own, where state changes in place.
    pub(super) fn copied(&self, expression: Py) -> Py {
        let dialect = self.program.dialect;
        if dialect.changes_in_place() { dialect.copied(expression) } else { expression }
    }

    /// `start:start + size`
    fn window(&mut self, start: ValueId, size: &Dim) -> Py {
        let maker = self.definitions.get(&start).map(|inst| &self.function[*inst].kind);
        let first = match maker {
            Some(InstKind::Host(expr)) => expr.as_dim().cloned(),
            Some(InstKind::Const(tensor)) => {
                tensor.as_i64().and_then(|values| values.first().copied().map(Dim::constant))
            }
            _ => None,
        };
        let from = self.number_or_tensor(start);
        let to = match &first {
            Some(first) => self.dim(&first.add(size)),
            None => Py::binary(from.clone(), "+", self.dim(size)),
        };
        let leave_out = first.is_some_and(|first| first.is_const(0));
        Py::slice((!leave_out).then_some(from), Some(to), None)
    }

    /// What is assigned, before operations that copying does by itself: widening, and conversion of floats.
    fn before_copy(&self, value: ValueId) -> ValueId {
        let Some(inst) = self.definitions.get(&value).filter(|_| self.flow.is_inlined(value)) else { return value };
        let inst = &self.function[*inst];
        let (InstKind::Op { op, .. }, [source]) = (&inst.kind, inst.operands.as_slice()) else { return value };
        let is_float = |value: ValueId| self.function.dtype(value).is_float();
        let converts =
            || self.function.dtype(*source) != self.function.dtype(value) && is_float(*source) && is_float(value);
        match (op.role(), op.movement()) {
            (Role::Free, Movement::Shows) => self.before_copy(*source),
            (_, Movement::Converts) if converts() => *source,
            _ => value,
        }
    }

    /// A value that state must not change any more.
    pub(super) fn lasting(&mut self, value: ValueId) -> Py {
        let expression = self.tensor(value);
        match self.flow.is_state_view(value) {
            true => self.copied(expression),
            false => expression,
        }
    }
}
