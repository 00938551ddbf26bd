//! Builds one function, instruction by instruction.

use crate::base::Loc;
use crate::ir::{Function, Inst, InstId, InstKind, Region, Value, ValueId};
use crate::types::TensorType;

/// Appends instructions to the innermost open region of a function.
pub struct Builder<'f> {
    pub function: &'f mut Function,
    open: Vec<Region>,
}

impl<'f> Builder<'f> {
    pub fn new(function: &'f mut Function) -> Self {
        let body = std::mem::take(&mut function.body);
        Builder { function, open: vec![body] }
    }

    /// A new value that nothing defines yet.
    pub fn value(&mut self, ty: TensorType, name: Option<String>) -> ValueId {
        self.function.values.push(Value { ty, name });
        ValueId(self.function.values.len() as u32 - 1)
    }

    /// A parameter of the function.
    pub fn param(&mut self, ty: TensorType, name: &str) -> ValueId {
        let value = self.value(ty, Some(name.to_string()));
        self.function.params.push(value);
        value
    }

    /// Appends an instruction; its results are new values of the given types.
    pub fn inst(&mut self, kind: InstKind, operands: Vec<ValueId>, types: &[TensorType], loc: Loc) -> Vec<ValueId> {
        let results: Vec<ValueId> = types.iter().map(|ty| self.value(ty.clone(), None)).collect();
        let id = InstId(self.function.insts.len() as u32);
        self.function.insts.push(Inst { kind, operands, results: results.clone(), loc });
        if let Some(region) = self.open.last_mut() {
            region.insts.push(id);
        }
        results
    }

    /// Opens a region with these parameters; instructions go into it until [`Builder::close`].
    pub fn open(&mut self, params: Vec<ValueId>) {
        self.open.push(Region { params, insts: vec![] });
    }

    /// Takes the innermost region off.
    pub fn close(&mut self) -> Region {
        self.open.pop().unwrap_or_default()
    }

    /// Puts the body in place.
    pub fn finish(mut self) {
        self.function.body = self.open.pop().unwrap_or_default();
    }
}
