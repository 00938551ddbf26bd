//! What loops collect.
//!
//! ```text
//! outs = []
//! for t in range(T):
//!     ...
//!     outs.append(y)
//! outs = torch.stack(outs)
//! ```

use crate::ir::{InstId, InstKind, Region, ValueId};
use crate::ops::traits::Movement;
use crate::targets::pycode::expression;
use crate::targets::pycode::function::Writer;
use crate::targets::pytext::Py;
use crate::types::dim::Atom;
use crate::types::{DType, Dim, Symbol};

/// A list that a loop fills.
pub(super) struct Collected {
    /// The stack of what is collected.
    result: ValueId,
    /// What each turn adds.
    yielded: ValueId,
    list: String,
}

impl Collected {
    /// The number of turns so far.
    pub(super) fn length(&self) -> String {
        format!("len({})", self.list)
    }
}

impl<'m> Writer<'_, 'm> {
    /// Begins a list for each result beyond those carried that something uses.
    pub(super) fn begin_lists(&mut self, inst: InstId, body: &'m Region, carried: usize) -> Vec<Collected> {
        let data = &self.function[inst];
        let mut lists = vec![];
        for (index, &result) in data.results.iter().enumerate().skip(carried) {
            let Some(&yielded) = self.yields(body).get(index).filter(|_| self.flow.is_used(result)) else { continue };
            let named = self.function[yielded].name.clone().map(|name| format!("{name}s"));
            let wish = self.function[result].name.clone().or(named).unwrap_or_else(|| "outputs".into());
            let list = self.free_name(&wish, self.flow.position(inst));
            self.holders.insert(list.clone(), result);
            self.comment(data.loc);
            self.lines.line(&format!("{list} = []"));
            lists.push(Collected { result, yielded, list });
        }
        lists
    }

    /// Adds what the turn gave.
    pub(super) fn append_to_lists(&mut self, lists: &[Collected]) {
        for Collected { yielded, list, .. } in lists {
            let value = self.lasting(*yielded);
            let call = Py::name(list).method("append", vec![value]);
            self.statement("", &call, "");
        }
    }

    /// Makes tensors of the lists.
    pub(super) fn end_lists(&mut self, inst: InstId, lists: Vec<Collected>) {
        for Collected { result, list, .. } in lists {
            self.expressions.insert(result, Py::name(&list));
            let turns = self.function[result].ty.shape.dims.first();
            if turns.is_some_and(|turns| self.is_positive(turns)) && self.moved_only(result) {
                self.lists.insert(result);
                continue;
            }
            let stack = self.stack_of(result, result, 0);
            self.comment(self.function[inst].loc);
            self.statement(&format!("{list} = "), &stack, "");
        }
    }

    /// Whether all that happens to a stack is that its first axis goes elsewhere: then it is made so at once.
    fn moved_only(&self, result: ValueId) -> bool {
        let mut users = vec![];
        self.function.visit(&self.function.body, &mut |inst| {
            if self.function[inst].operands.contains(&result) {
                users.push(inst);
            }
        });
        matches!(users.as_slice(), [user] if self.moved_to(*user).is_some())
    }

    /// Where a permutation puts the first axis, if all others keep their order.
    fn moved_to(&self, inst: InstId) -> Option<usize> {
        let data = &self.function[inst];
        let InstKind::Op { op, attrs } = &data.kind else { return None };
        let Movement::Permutes(axes) = op.movement() else { return None };
        let axes = axes(attrs, self.function[*data.operands.first()?].ty.shape.rank()?)?;
        let axis = axes.iter().position(|axis| *axis == 0)?;
        let rest = axes.iter().filter(|axis| **axis != 0);
        rest.zip(1..).all(|(axis, wanted)| *axis == wanted).then_some(axis)
    }

    /// `stack(outs, dim=1)` for a `permute` of what a loop collected.
    pub(super) fn moved_stack(&mut self, inst: InstId) -> Option<Py> {
        let data = &self.function[inst];
        let (list, result) = (*data.operands.first()?, *data.results.first()?);
        let axis = self.moved_to(inst).filter(|_| self.lists.contains(&list))?;
        Some(self.stack_of(list, result, axis))
    }

    /// `stack(outs)`; a loop that may not turn at all leaves nothing to stack.
    fn stack_of(&mut self, list_value: ValueId, result: ValueId, axis: usize) -> Py {
        let turns = self.function[list_value].ty.shape.dims.first();
        let is_positive = turns.is_some_and(|turns| self.is_positive(turns));
        let list = self.number_or_tensor(list_value);
        let ty = self.function[result].ty.clone();
        let stack = self.program.dialect.stack(list.clone(), axis);
        if is_positive {
            return stack;
        }
        // Of a loop whose turns only a run counts there were none.
        let counted = self.definitions.get(&list_value).map(|inst| self.function[*inst].kind.binds());
        let none = |symbol: &Symbol| counted.is_some_and(|own| own.contains(symbol)).then(Dim::zero);
        let shape = ty.shape.map_dims(|dim| dim.substitute_symbols(&none));
        let sizes = expression::shape(&shape, &mut |s| self.symbol(s));
        let dtype = ty.dtype().unwrap_or(DType::Float32);
        let none = self.program.dialect.zeros(sizes, dtype, self.device.clone());
        Py::Conditional { value: Box::new(stack), condition: Box::new(list), other: Box::new(none) }
    }

    /// Sums of sizes of inputs, which are at least 1, and of numbers.
    fn is_positive(&self, turns: &Dim) -> bool {
        let sizes: Vec<Dim> =
            self.function.params.iter().flat_map(|value| self.function[*value].ty.shape.dims.clone()).collect();
        let is_size = |atom: &Atom| sizes.contains(&Dim::atom(atom.clone()));
        let mut any = false;
        turns.terms().all(|(monomial, coefficient)| {
            any = true;
            coefficient > 0 && monomial.iter().all(|(atom, _)| is_size(atom))
        }) && any
    }
}
