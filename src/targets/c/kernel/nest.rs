//! The loops around: over the indices of the results.

use super::maker::{Maker, Outcome, Use};
use super::table::{Form, form};
use crate::ir::{Inst, InstKind, ValueId};
use crate::types::Dim;

impl<'a> Maker<'a> {
    /// Everything between the braces of the function.
    pub fn body(&mut self) -> Outcome<()> {
        if let InstKind::Op { op, attrs } = &self.inst.kind {
            let using = Use { op: *op, attrs, inst: self.inst };
            let dtype =
                self.dtype(self.inst.operands.first().or(self.inst.results.first()).copied().unwrap_or(ValueId(0)));
            if let Some(Form::Whole(write)) = form(self.cx.table, *op, dtype) {
                self.nests = 2;
                return write(self, using);
            }
        }
        let anchor = self.anchor();
        let mut left: Vec<usize> = (0..self.results.len()).collect();
        left.retain(|index| !self.results[*index].shape.iter().any(|size| size.is_const(0)));
        if let Some((inst, Form::Scan(parts))) = anchor {
            left = self.scan_nest(inst, parts, left)?;
        } else if let Some((inst, Form::Fold(parts))) = anchor {
            left = self.fold_nest(inst, parts, left)?;
        } else if let Some((inst, _)) = anchor {
            left = self.product_nest(inst, left)?;
        }
        // Results of one shape share their loops.
        while let Some(first) = left.first().copied() {
            let shape = self.results[first].shape.clone();
            let (own, others): (Vec<usize>, Vec<usize>) =
                left.into_iter().partition(|index| self.results[*index].shape == shape);
            left = others;
            self.nest(&own, &shape)?;
        }
        Ok(())
    }

    /// Loops over a shape that compute an element of some results at each index.
    fn nest(&mut self, results: &[usize], shape: &[Dim]) -> Outcome<()> {
        self.nests += 1;
        let loops = self.loops(shape);
        self.store_all(results, &loops.at)?;
        self.close_loops(loops);
        Ok(())
    }

    /// Computes elements of some results and writes them. What reads memory is read before the first is written, since that
    /// may take the memory of an operand.
    pub fn store_all(&mut self, results: &[usize], at: &[Dim]) -> Outcome<()> {
        let mut values = vec![];
        for (position, result) in results.iter().enumerate() {
            let value = self.results[*result].value;
            let mut element = self.element(value, at)?;
            if position > 0 && element.reads_memory() {
                let wish = self.function[value].name.clone().unwrap_or_else(|| "t".to_string());
                let ty = self.carrier_of(value);
                element = self.constant(ty, &wish, element);
                self.note(value, at, element.clone());
            }
            values.push(element);
        }
        for (result, element) in results.iter().zip(values) {
            self.store(*result, at, element);
        }
        Ok(())
    }

    /// The instruction that decides the loops.
    fn anchor(&self) -> Option<(&'a Inst, Form<'a>)> {
        let mut insts: Vec<&'a Inst> = self.makers.values().map(|(inst, _)| *inst).collect();
        insts.sort_by_key(|inst| inst.results.first().copied());
        insts.into_iter().find_map(|inst| {
            let InstKind::Op { op, .. } = &inst.kind else { return None };
            let first = inst.operands.first().or(inst.results.first())?;
            let form = form(self.cx.table, *op, self.dtype(*first))?;
            (op.role().is_anchor() && self.is_whole(inst)).then_some((inst, form))
        })
    }

    /// Whether an instruction computes anything: no axis of its operands or results is empty.
    fn is_whole(&self, inst: &Inst) -> bool {
        let values = inst.operands.iter().chain(&inst.results);
        values.into_iter().all(|value| !self.function[*value].ty.shape.dims.iter().any(|size| size.is_const(0)))
    }
}
