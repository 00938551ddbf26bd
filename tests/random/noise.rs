//! Whether rounding decides a difference: the same program, with a little noise on all that is rounded.
//!
//! Two right implementations of `exp` or of a sum differ in the last digits. Mostly that stays so small as the tolerances
//! have it; a comparison near a tie, a `floor` near an integer or a code near the middle makes more of it. So where a target
//! differs, the interpreter runs once more, with each float result of an operation, and each float input, multiplied by random
//! numbers that differ from 1 by a few units in the last place. If it then differs from itself by more than the tolerances,
//! the program says nothing about the target.
//!
//! ```text
//! %0 = exp %x : float32[n]      =>      %1 = exp %x : float32[n]
//!                                       %2 = const int64 7 : int64
//!                                       %3 = random_uniform %2 {shape = [n], low = 0.9999998, high = 1.0000002} : float32[n]
//!                                       %0 = mul %1, %3 : float32[n]
//! ```

use tritonc::base::Loc;
use tritonc::ir::{Function, Inst, InstId, InstKind, Module, Region, Value, ValueId};
use tritonc::ops::{Attr, Attrs, OpId, builtin};
use tritonc::passes::{Pass, PassCx, PassError};
use tritonc::types::{DType, HostExpr, Tensor, TensorType};

/// So many units in the last place are between the operations of two libraries.
const UNITS: f64 = 3.0;

/// Noise that is drawn from a seed.
pub struct Noise(pub i64);

impl Pass for Noise {
    fn name(&self) -> &str {
        "noise"
    }

    fn summary(&self) -> &str {
        "Round everything a little otherwise."
    }

    fn run(&self, module: &mut Module, cx: &mut PassCx) -> Result<(), PassError> {
        let mut seed = self.0 * 1_000_000;
        for function in &mut module.functions {
            let mut body = std::mem::take(&mut function.body);
            let mut work = Work { function, seed };
            let inputs = work.inputs();
            work.region(&mut body);
            body.insts.splice(0..0, inputs);
            cx.count("noisy", (work.seed - seed) as usize);
            seed = work.seed;
            function.body = body;
        }
        Ok(())
    }
}

struct Work<'f> {
    function: &'f mut Function,
    seed: i64,
}

impl Work<'_> {
    /// Noise on the inputs of the function: what is read of them is the product.
    fn inputs(&mut self) -> Vec<InstId> {
        let mut made = vec![];
        for at in 0..self.function.params.len() {
            let param = self.function.params[at];
            let ty = self.function[param].ty.clone();
            if !is_noisy(&ty) {
                continue;
            }
            let fresh = self.value(&ty);
            self.function[fresh].name = self.function[param].name.clone();
            // The old name is that of the product, so nothing else has to change.
            self.function.params[at] = fresh;
            made.extend(self.product(fresh, param, &ty, Loc::default()));
        }
        made
    }

    fn region(&mut self, region: &mut Region) {
        let mut insts = vec![];
        for id in std::mem::take(&mut region.insts) {
            let mut kind = std::mem::replace(&mut self.function[id].kind, InstKind::Yield);
            // What is fused or differentiated means what its region means.
            for nested in Function::regions_mut(&mut kind) {
                self.region(nested);
            }
            let rounds = matches!(&kind, InstKind::Op { op, .. } if rounds(*op));
            self.function[id].kind = kind;
            insts.push(id);
            if !rounds {
                continue;
            }
            for position in 0..self.function[id].results.len() {
                let (result, loc) = (self.function[id].results[position], self.function[id].loc);
                let ty = self.function[result].ty.clone();
                if is_noisy(&ty) {
                    let exact = self.value(&ty);
                    self.function[id].results[position] = exact;
                    insts.extend(self.product(exact, result, &ty, loc));
                }
            }
        }
        region.insts = insts;
    }

    fn value(&mut self, ty: &TensorType) -> ValueId {
        self.function.values.push(Value { ty: ty.clone(), name: None });
        ValueId(self.function.values.len() as u32 - 1)
    }

    fn inst(&mut self, kind: InstKind, operands: Vec<ValueId>, result: ValueId, loc: Loc) -> InstId {
        self.function.insts.push(Inst { kind, operands, results: vec![result], loc });
        InstId(self.function.insts.len() as u32 - 1)
    }

    /// `result = exact * noise`
    fn product(&mut self, exact: ValueId, result: ValueId, ty: &TensorType, loc: Loc) -> [InstId; 3] {
        self.seed += 1;
        let (number, noise) = (self.value(&TensorType::scalar(DType::Int64)), self.value(ty));
        let units = UNITS * unit(ty.dtype().unwrap_or(DType::Float32));
        let attrs = Attrs::new()
            .with("shape", Attr::Shape(ty.shape.clone()))
            .with("low", Attr::Float(HostExpr::float(1.0 - units)))
            .with("high", Attr::Float(HostExpr::float(1.0 + units)))
            .with("dtype", Attr::DType(ty.elem.clone()));
        let draw = InstKind::Op { op: builtin("random_uniform"), attrs };
        let mul = InstKind::Op { op: builtin("mul"), attrs: Attrs::new() };
        [
            self.inst(InstKind::Const(Tensor::scalar_i64(self.seed)), vec![], number, loc),
            self.inst(draw, vec![number], noise, loc),
            self.inst(mul, vec![exact, noise], result, loc),
        ]
    }
}

fn is_noisy(ty: &TensorType) -> bool {
    ty.dtype().is_some_and(DType::is_float)
}

/// Codes and scales of weights agree to the last bit, and so does what they stand for.
fn rounds(op: OpId) -> bool {
    !["quantize", "quantize_with", "dequantize"].contains(&op.name())
}

/// The distance of 1 to the next number.
fn unit(dtype: DType) -> f64 {
    match dtype {
        DType::Float16 => 2f64.powi(-10),
        DType::BFloat16 => 2f64.powi(-7),
        DType::Float64 => 2f64.powi(-52),
        _ => 2f64.powi(-23),
    }
}
