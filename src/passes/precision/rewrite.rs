//! Writes one version of a function: values that are low get that type, and casts stand where a value is wanted in
//! the other one.

use super::forms::{Callee, Form, Forms, Version, is_float32, wants_low};
use crate::ir::{FuncId, Function, Inst, InstId, InstKind, Region, Value, ValueId};
use crate::ops::precision::Precision;
use crate::ops::{Attr, Attrs, OpId, builtin};
use crate::passes::copy::compact;
use crate::types::{DType, Tensor};
use rustc_hash::FxHashMap;

/// What stands for each callee in the new module.
pub(super) type Targets = FxHashMap<Callee, FuncId>;

/// Rewrites the function into a version of it; gives the number of casts.
pub(super) fn rewrite(
    function: &mut Function,
    version: &Version,
    low: DType,
    forms: &mut Forms<'_>,
    targets: &Targets,
) -> usize {
    let makers = function.insts.iter().enumerate();
    let makers = makers.flat_map(|(at, inst)| inst.results.iter().map(move |result| (*result, InstId(at as u32))));
    let makers = makers.collect();
    for index in 0..function.values.len() {
        let value = ValueId(index as u32);
        if is_float32(function, value) && version.forms[index] == Form::Low {
            function[value].ty = function[value].ty.with_elem(low);
        }
    }
    for (result, form) in function.results.iter_mut().zip(&version.results) {
        if *form == Form::Low {
            *result = result.with_elem(low);
        }
    }
    let body = std::mem::take(&mut function.body);
    let results = function.results.iter().map(|ty| ty.dtype()).collect::<Vec<_>>();
    let mut pass = Rewrite { version, low, forms, targets, makers, casts: FxHashMap::default(), count: 0 };
    function.body = pass.region(function, body, &results);
    compact(function);
    pass.count
}

struct Rewrite<'r, 'm> {
    version: &'r Version,
    low: DType,
    forms: &'r mut Forms<'m>,
    targets: &'r Targets,
    makers: FxHashMap<ValueId, InstId>,
    /// Values in another type than their own, as far as they are seen from here.
    casts: FxHashMap<(ValueId, DType), ValueId>,
    count: usize,
}

impl Rewrite<'_, '_> {
    /// `ends`: the types of what it ends with; `None` for any.
    fn region(&mut self, function: &mut Function, region: Region, ends: &[Option<DType>]) -> Region {
        let outer = self.casts.clone();
        let mut insts = vec![];
        for id in region.insts {
            let wanted = match &function[id].kind {
                InstKind::Yield | InstKind::Return => ends.to_vec(),
                _ => self.wanted(function, id),
            };
            let operands = function[id].operands.clone();
            for (position, (operand, wanted)) in operands.into_iter().zip(wanted).enumerate() {
                if let Some(dtype) = wanted.filter(|dtype| *dtype != function.dtype(operand)) {
                    let cast = self.cast(function, operand, dtype, function[id].loc, &mut insts);
                    function[id].operands[position] = cast;
                }
            }
            self.nested(function, id);
            insts.push(id);
        }
        self.casts = outer;
        Region { params: region.params, insts }
    }

    /// The types that an instruction wants its operands in. Only those that were float32 are asked for.
    fn wanted(&mut self, function: &mut Function, id: InstId) -> Vec<Option<DType>> {
        let operands = function[id].operands.clone();
        let forms: Vec<Form> = operands.iter().map(|operand| self.version.forms[operand.0 as usize]).collect();
        let mut kind = std::mem::replace(&mut function[id].kind, InstKind::Yield);
        let wide = |value: &ValueId| self.was_float32(function, *value).then_some(DType::Float32);
        let wanted = match &mut kind {
            InstKind::Op { op, attrs } => self.wanted_by(function, id, *op, attrs, &forms),
            InstKind::Call { func, .. } => {
                let callee = self.forms.callee(*func, &forms);
                if let Some(target) = self.targets.get(&callee) {
                    *func = *target;
                }
                let lows = match callee {
                    Callee::Original(_) => vec![false; operands.len()],
                    Callee::Version((_, lows)) => lows,
                };
                let dtype = |low: bool| if low { self.low } else { DType::Float32 };
                let pairs = operands.iter().zip(lows);
                pairs.map(|(value, low)| self.was_float32(function, *value).then(|| dtype(low))).collect()
            }
            // The carried values begin in the types in which they go on.
            InstKind::For { body, .. } => {
                let carried = body.params.iter().skip(1).map(|param| Some(function.dtype(*param)));
                [None, None].into_iter().chain(carried).collect()
            }
            InstKind::While { body, .. } => body.params.iter().map(|param| Some(function.dtype(*param))).collect(),
            InstKind::SetState { .. }
            | InstKind::SetSlice { .. }
            | InstKind::Gradient { .. }
            | InstKind::Fused { .. } => operands.iter().map(wide).collect(),
            InstKind::Print { .. }
            | InstKind::If { .. }
            | InstKind::Assert { .. }
            | InstKind::Ensure(_)
            | InstKind::Param { .. }
            | InstKind::Const(_)
            | InstKind::Host(_)
            | InstKind::Rng { .. }
            | InstKind::Yield
            | InstKind::Return => vec![None; operands.len()],
        };
        function[id].kind = kind;
        wanted
    }

    fn wanted_by(
        &self,
        function: &Function,
        id: InstId,
        op: OpId,
        attrs: &mut Attrs,
        forms: &[Form],
    ) -> Vec<Option<DType>> {
        let inst = &function[id];
        let result = inst.results.first().map_or(Form::Wide, |result| self.version.forms[result.0 as usize]);
        let is_low = |value: &ValueId| self.was_float32(function, *value) && result == Form::Low;
        if op.precision() == Precision::Unpacks && inst.results.iter().any(is_low) {
            attrs.set("dtype", Attr::DType(self.low.into()));
        }
        let floats: Vec<bool> = inst.operands.iter().map(|operand| self.was_float32(function, *operand)).collect();
        let float_forms: Vec<Form> =
            forms.iter().zip(&floats).filter(|(_, float)| **float).map(|(form, _)| *form).collect();
        let wanted = wants_low(op, &float_forms, result);
        let dtype = wanted.map(|low| if low { self.low } else { DType::Float32 });
        floats.into_iter().map(|float| dtype.filter(|_| float)).collect()
    }

    /// Whether a value was float32 before: it is so now, or is low by its form.
    fn was_float32(&self, function: &Function, value: ValueId) -> bool {
        is_float32(function, value) || self.version.forms.get(value.0 as usize) == Some(&Form::Low)
    }

    /// Rewrites the regions of an instruction.
    fn nested(&mut self, function: &mut Function, id: InstId) {
        let mut kind = std::mem::replace(&mut function[id].kind, InstKind::Yield);
        let types = |function: &Function, values: &[ValueId]| -> Vec<Option<DType>> {
            values.iter().map(|value| Some(function.dtype(*value))).collect()
        };
        let results = types(function, &function[id].results);
        match &mut kind {
            InstKind::While { cond, body, .. } => {
                *cond = self.region(function, std::mem::take(cond), &[]);
                *body = self.region(function, std::mem::take(body), &results);
            }
            InstKind::Gradient { body } => {
                let value = results.into_iter().take(1).collect::<Vec<_>>();
                *body = self.region(function, std::mem::take(body), &value);
            }
            kind => {
                for region in Function::regions_mut(kind) {
                    *region = self.region(function, std::mem::take(region), &results);
                }
            }
        }
        function[id].kind = kind;
    }

    /// The value in another type: a literal is made in it, anything else is converted where it is first wanted so.
    fn cast(
        &mut self,
        function: &mut Function,
        value: ValueId,
        dtype: DType,
        loc: crate::base::Loc,
        insts: &mut Vec<InstId>,
    ) -> ValueId {
        if let Some(cast) = self.casts.get(&(value, dtype)) {
            return *cast;
        }
        let made = self.makers.get(&value).map(|maker| function[*maker].kind.clone());
        let (kind, operands) = match made {
            Some(InstKind::Host(expr)) => (InstKind::Host(expr), vec![]),
            Some(InstKind::Const(tensor)) => {
                let values = (0..tensor.len()).map(|index| tensor.get_f64(index));
                (InstKind::Const(Tensor::from_f64(dtype, tensor.shape().to_vec(), values)), vec![])
            }
            _ => {
                self.count += 1;
                let attrs = Attrs::new().with("dtype", Attr::DType(dtype.into()));
                (InstKind::Op { op: builtin("cast"), attrs }, vec![value])
            }
        };
        let ty = function[value].ty.with_elem(dtype);
        function.values.push(Value { ty, name: None });
        let cast = ValueId(function.values.len() as u32 - 1);
        function.insts.push(Inst { kind, operands, results: vec![cast], loc });
        insts.push(InstId(function.insts.len() as u32 - 1));
        self.casts.insert((value, dtype), cast);
        cast
    }
}
