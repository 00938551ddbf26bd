//! A pass of one's own: divisions by a power of two become multiplications.
//!
//! `x / 8` and `x * 0.125` are the same number to the last bit, and a multiplication is the cheaper of the
//! two nearly everywhere. The pass knows constants by the instruction that makes them, so it belongs after
//! `fold`; what it leaves unused is for `dce`.
//!
//! ```text
//! %0 = const float32 [8.0] : float32            %0 = const float32 [0.125] : float32
//! %1 = div %x, %0 : float32[n]           =>     %1 = mul %x, %0 : float32[n]
//! ```

use std::collections::HashMap;
use tritonc::ir::{Function, Inst, InstId, InstKind, Module, Region, Value, ValueId};
use tritonc::ops;
use tritonc::passes::{Pass, PassCx, PassError};
use tritonc::types::Tensor;

/// The pass. It has no settings; one that has would keep them as fields.
pub struct DivisionsByPowersOfTwo;

impl Pass for DivisionsByPowersOfTwo {
    fn name(&self) -> &str {
        "divisions-by-powers-of-two"
    }

    fn summary(&self) -> &str {
        "Multiply where a division has the same result."
    }

    fn run(&self, module: &mut Module, cx: &mut PassCx) -> Result<(), PassError> {
        for function in &mut module.functions {
            let mut known = HashMap::new();
            let mut body = std::mem::take(&mut function.body);
            let changed = region(function, &mut body, &mut known);
            function.body = body;
            cx.count("divisions", changed);
        }
        Ok(())
    }
}

/// Rewrites a region and those within it; returns the number of changes. `known` has the constants that
/// were seen: values are defined before their uses, so one walk in order is enough.
fn region(function: &mut Function, owner: &mut Region, known: &mut HashMap<ValueId, Tensor>) -> usize {
    let mut changed = 0;
    let mut insts = vec![];
    for id in std::mem::take(&mut owner.insts) {
        if let (InstKind::Const(tensor), [result]) = (&function[id].kind, function[id].results.as_slice()) {
            known.insert(*result, tensor.clone());
        }
        if let Some(inverse) = inverse_of_divisor(&function[id], known) {
            multiply(function, id, inverse, &mut insts);
            changed += 1;
        }
        // An instruction's regions are taken out while they change: they hold ids of the same function.
        let mut kind = std::mem::replace(&mut function[id].kind, InstKind::Yield);
        for nested in Function::regions_mut(&mut kind) {
            changed += region(function, nested, known);
        }
        function[id].kind = kind;
        insts.push(id);
    }
    owner.insts = insts;
    changed
}

/// What to multiply with instead, if the instruction divides by a power of two.
fn inverse_of_divisor(inst: &Inst, known: &HashMap<ValueId, Tensor>) -> Option<Tensor> {
    let InstKind::Op { op, .. } = &inst.kind else { return None };
    let divisor = known.get(inst.operands.get(1)?)?;
    if *op != ops::builtin("div") || !divisor.dtype().is_float() || !divisor.shape().is_empty() {
        return None;
    }
    let divisor_value = *divisor.to_f64().first()?;
    let inverse = 1.0 / divisor_value;
    // A power of two has no digits after the first; both it and its inverse must be ordinary numbers here.
    let is_power = |value: f64| value.is_normal() && value.to_bits() << 12 == 0 && value.abs().log2().abs() <= 14.0;
    is_power(divisor_value).then(|| Tensor::from_f64(divisor.dtype(), vec![], [inverse]))
}

/// Turns a division into a product with a new constant, which comes before it in `insts`.
fn multiply(function: &mut Function, division: InstId, inverse: Tensor, insts: &mut Vec<InstId>) {
    let (ty, loc) = (function[function[division].operands[1]].ty.clone(), function[division].loc);
    function.values.push(Value { ty, name: None });
    let factor = ValueId(function.values.len() as u32 - 1);
    function.insts.push(Inst { kind: InstKind::Const(inverse), operands: vec![], results: vec![factor], loc });
    insts.push(InstId(function.insts.len() as u32 - 1));
    let inst = &mut function[division];
    inst.operands[1] = factor;
    if let InstKind::Op { op, .. } = &mut inst.kind {
        *op = ops::builtin("mul");
    }
}
