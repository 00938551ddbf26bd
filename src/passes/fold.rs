//! Computes what depends on constants only.
//!
//! An operation on constants becomes a constant; a host expression without symbols too; an `if` on a
//! constant becomes the branch that runs. Constant members of layers are constants where they are read: a `quantize` of
//! one becomes codes and scales, and these stay: what they stand for is restored when it runs.
//!
//! Needs: nothing. Keeps: effects, random operations, results of more than 64 Ki elements that no operand has, and operations
//! without operands (`zeros`, `arange`), which say more than their values. An operation that fails stays,
//! to fail when it runs.
//!
//! ```text
//! %0 = const float32 [2.0] : float32
//! %1 = const float32 [3.0] : float32      =>      %2 = const float32 [6.0] : float32
//! %2 = mul %0, %1 : float32
//! ```

#[cfg(test)]
mod tests;

use crate::ir::{FuncId, Function, Inst, InstId, InstKind, LayerId, MemberKind, Module, Origin, Part, Region, ValueId};
use crate::ops::traits::Quantisation;
use crate::ops::{Attr, Attrs, EvalCx, OpId};
use crate::passes::PassCx;
use crate::passes::copy::compact;
use crate::passes::rewrite::Replaced;
use crate::types::{HostValue, Tensor, tensor};
use rustc_hash::FxHashMap;

/// Results with more elements than this, and than any operand, are left to the program.
const MAX_ELEMENTS: usize = 64 * 1024;

pub(super) fn fold(module: &mut Module, cx: &mut PassCx) {
    let makers: Vec<FuncId> = constant_members(module).map(|(_, _, func)| func).collect();
    for func in &makers {
        fold_function(&mut module[*func], FxHashMap::default(), cx);
    }
    let members: FxHashMap<(LayerId, String), Tensor> = constant_members(module)
        .filter_map(|(layer, name, func)| Some(((layer, name.to_string()), only_constant(&module[func])?.clone())))
        .collect();
    for index in (0..module.functions.len()).filter(|index| !makers.contains(&FuncId(*index as u32))) {
        let function = &module.functions[index];
        let constants = if members.is_empty() { FxHashMap::default() } else { read(module, function, &members) };
        fold_function(&mut module.functions[index], constants, cx);
    }
}

/// Folds in a function, with values that are known to be constants.
fn fold_function(function: &mut Function, known: FxHashMap<ValueId, Tensor>, cx: &mut PassCx) {
    let mut pass = Fold { known, replaced: Replaced::default(), folded: 0, branches: 0 };
    function.change_body(|function, body| pass.region(function, body));
    cx.count("folded", pass.folded);
    cx.count("branches", pass.branches);
    if pass.folded + pass.branches > 0 {
        compact(function);
    }
}

/// Constant members, with the function that computes each at construction.
fn constant_members(module: &Module) -> impl Iterator<Item = (LayerId, &str, FuncId)> {
    module.layers.iter().enumerate().flat_map(|(index, layer)| {
        layer.members.iter().filter_map(move |member| match &member.kind {
            MemberKind::Constant { func, of: Origin::Construction, .. } => {
                Some((LayerId(index as u32), member.name.as_str(), *func))
            }
            _ => None,
        })
    })
}

/// What a function gives, if that is a constant.
fn only_constant(function: &Function) -> Option<&Tensor> {
    let given = *function[*function.body.insts.last()?].operands.first()?;
    function.insts.iter().find_map(|inst| match &inst.kind {
        InstKind::Const(tensor) if inst.results == [given] => Some(tensor),
        _ => None,
    })
}

/// The constant members that a function reads: the reads stay, what is computed of them is folded.
fn read(
    module: &Module,
    function: &Function,
    members: &FxHashMap<(LayerId, String), Tensor>,
) -> FxHashMap<ValueId, Tensor> {
    let reads = function.insts.iter().filter_map(|inst| match &inst.kind {
        InstKind::Param { name, part: Part::Value } => {
            let tensor = members.get(&module.member_of(function.layer, name)?)?;
            Some((*inst.results.first()?, tensor.clone()))
        }
        _ => None,
    });
    reads.collect()
}

struct Fold {
    /// Values that are constants.
    known: FxHashMap<ValueId, Tensor>,
    /// Results of an `if` that is gone.
    replaced: Replaced,
    /// Instructions that became constants.
    folded: usize,
    /// `if`s that became the branch that runs.
    branches: usize,
}

impl Fold {
    fn region(&mut self, function: &mut Function, region: Region) -> Region {
        let mut kept = vec![];
        self.insts(function, region.insts, &mut kept);
        Region { params: region.params, insts: kept }
    }

    fn insts(&mut self, function: &mut Function, insts: Vec<InstId>, kept: &mut Vec<InstId>) {
        for id in insts {
            self.replaced.rename(function, id);
            if let Some(branch) = self.branch_taken(&function[id]) {
                self.splice(function, id, branch, kept);
                continue;
            }
            if let Some(tensors) = self.evaluate(function, &function[id]) {
                self.replace(function, id, tensors, kept);
                continue;
            }
            function.change_regions(id, |function, nested| self.region(function, nested));
            if let (InstKind::Const(tensor), [result]) = (&function[id].kind, function[id].results.as_slice()) {
                self.known.insert(*result, tensor.clone());
            }
            kept.push(id);
        }
    }

    fn branch_taken(&self, inst: &Inst) -> Option<Region> {
        let InstKind::If { then, otherwise } = &inst.kind else { return None };
        let condition = self.known.get(inst.operands.first()?)?;
        let holds = *condition.as_i64()?.first()? != 0;
        Some(if holds { then.clone() } else { otherwise.clone() })
    }

    /// Puts the branch in the place of the `if`, its yielded values in the place of the results.
    fn splice(&mut self, function: &mut Function, id: InstId, mut branch: Region, kept: &mut Vec<InstId>) {
        let last = branch.insts.pop();
        self.insts(function, branch.insts, kept);
        let yielded = last.map_or(vec![], |last| function[last].operands.clone());
        let results = function[id].results.clone();
        for (result, value) in results.into_iter().zip(yielded) {
            self.replaced.put_unnamed(result, self.replaced.value(value));
        }
        self.branches += 1;
    }

    /// One constant for each result.
    fn replace(&mut self, function: &mut Function, id: InstId, tensors: Vec<Tensor>, kept: &mut Vec<InstId>) {
        let (results, loc) = (function[id].results.clone(), function[id].loc);
        for (result, tensor) in results.into_iter().zip(tensors) {
            self.known.insert(result, tensor.clone());
            let inst = Inst { kind: InstKind::Const(tensor), operands: vec![], results: vec![result], loc };
            function.insts.push(inst);
            kept.push(InstId(function.insts.len() as u32 - 1));
        }
        self.folded += 1;
    }

    fn evaluate(&self, function: &Function, inst: &Inst) -> Option<Vec<Tensor>> {
        match &inst.kind {
            InstKind::Host(expr) => {
                let value = expr.eval_value(&|_| None)?;
                let dtype = function.dtype(*inst.results.first()?);
                Some(vec![match value {
                    HostValue::Int(value) if !dtype.is_float() => {
                        Tensor::from_i64(dtype, vec![], vec![tensor::wrap(dtype, value)])
                    }
                    value => Tensor::from_f64(dtype, vec![], [value.as_float()?]),
                }])
            }
            InstKind::Op { op, attrs } if !inst.operands.is_empty() => self.evaluate_op(function, inst, *op, attrs),
            _ => None,
        }
    }

    fn evaluate_op(&self, function: &Function, inst: &Inst, op: OpId, attrs: &Attrs) -> Option<Vec<Tensor>> {
        // Restoring them would undo what codes are for.
        let restores = op.quantisation() == Some(Quantisation::Dequantise);
        if restores || op.is_random(inst.operands.len()) || !attrs.iter().all(|(_, attr)| is_concrete(attr)) {
            return None;
        }
        let size = |value: &ValueId| function[*value].ty.shape.elements().and_then(|size| size.as_const());
        let largest = inst.operands.iter().filter_map(size).max().unwrap_or(0);
        let small = |value: &ValueId| size(value).is_some_and(|size| size <= largest.max(MAX_ELEMENTS as i64));
        if !inst.results.iter().all(small) {
            return None;
        }
        let operands: Vec<Tensor> =
            inst.operands.iter().map(|operand| self.known.get(operand).cloned()).collect::<Option<_>>()?;
        let attrs = attrs.map(|attr| attr.resolve(&|_| None));
        let op = op.get();
        let results = (op.eval)(&EvalCx { op, operands: &operands, attrs: &attrs }).ok()?;
        (results.len() == inst.results.len()).then_some(results)
    }
}

fn is_concrete(attr: &Attr) -> bool {
    match attr {
        Attr::Int(dim) => dim.as_const().is_some(),
        Attr::Ints(dims) => dims.iter().all(|dim| dim.as_const().is_some()),
        Attr::Shape(shape) => shape.known().is_some_and(|dims| dims.iter().all(|dim| dim.as_const().is_some())),
        Attr::Float(expr) => expr.as_const().is_some(),
        Attr::None | Attr::Bool(_) | Attr::Str(_) | Attr::DType(_) | Attr::Scheme(_) => true,
        Attr::Unknown => false,
    }
}
