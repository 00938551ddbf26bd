//! One function under construction.

use crate::base::Loc;
use crate::ir::{Function, Inst, InstId, InstKind, Region, Value, ValueId};
use crate::types::TensorType;

/// A function, its open regions and the closed ones that an instruction will own.
pub struct Frame {
    pub function: Function,
    open: Vec<Region>,
    closed: Vec<Region>,
    marks: Vec<Mark>,
}

/// A point to go back to.
struct Mark {
    values: usize,
    insts: usize,
    open: Vec<usize>,
    closed: usize,
}

impl Frame {
    pub fn new(function: Function) -> Frame {
        Frame { function, open: vec![Region::default()], closed: vec![], marks: vec![] }
    }

    pub fn value(&mut self, ty: TensorType, name: Option<String>) -> ValueId {
        self.function.values.push(Value { ty, name });
        ValueId(self.function.values.len() as u32 - 1)
    }

    pub fn inst(&mut self, kind: InstKind, operands: Vec<ValueId>, types: &[TensorType], loc: Loc) -> Vec<ValueId> {
        let results: Vec<ValueId> = types.iter().map(|ty| self.value(ty.clone(), None)).collect();
        let id = InstId(self.function.insts.len() as u32);
        self.function.insts.push(Inst { kind, operands, results: results.clone(), loc });
        if let Some(region) = self.open.last_mut() {
            region.insts.push(id);
        }
        results
    }

    pub fn open(&mut self, params: &[TensorType]) -> Vec<ValueId> {
        let params: Vec<ValueId> = params.iter().map(|ty| self.value(ty.clone(), None)).collect();
        self.open.push(Region { params: params.clone(), insts: vec![] });
        params
    }

    pub fn close(&mut self, yields: Vec<ValueId>, loc: Loc) {
        self.inst(InstKind::Yield, yields, &[], loc);
        self.closed.extend(self.open.pop());
    }

    /// The region closed last.
    pub fn take_closed(&mut self) -> Region {
        self.closed.pop().unwrap_or_default()
    }

    pub fn mark(&mut self) -> usize {
        self.marks.push(Mark {
            values: self.function.values.len(),
            insts: self.function.insts.len(),
            open: self.open.iter().map(|region| region.insts.len()).collect(),
            closed: self.closed.len(),
        });
        self.marks.len() - 1
    }

    pub fn rollback(&mut self, mark: usize) {
        let Some(Mark { values, insts, open, closed }) = self.marks.drain(mark..).next() else { return };
        self.function.values.truncate(values);
        self.function.insts.truncate(insts);
        self.open.truncate(open.len());
        for (region, len) in self.open.iter_mut().zip(open) {
            region.insts.truncate(len);
        }
        self.closed.truncate(closed);
    }

    /// Ends the function with what it returns.
    pub fn finish(mut self, returns: Vec<ValueId>, loc: Loc) -> Function {
        self.function.results = returns.iter().map(|value| self.function[*value].ty.clone()).collect();
        self.inst(InstKind::Return, returns, &[], loc);
        self.function.body = self.open.into_iter().next().unwrap_or_default();
        self.function
    }
}
