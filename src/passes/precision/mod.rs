//! Mixed precision: products, convolutions and what goes with them element by element are computed in float16 or
//! bfloat16; what needs the range or the precision of float32 stays so.
//!
//! Needs: a module as it was lowered, with its calls. Keeps: types of the entry's inputs and results, of parameters,
//! buffers and state (weights are converted where they are used), integers, and float types that the source
//! names itself. Changes rounding, which is what it is for.
//!
//! Which operations and functions stay float32 is said by two tables, with reasons: `src/ops/precision.rs` for
//! operations, `kept.rs` for functions and layers of the library. Between the two:
//!
//! - an operation on elements is low as soon as one operand is, so that positions, time steps and tables, which come
//!   from no product, stay float32 until they meet a value that is low;
//! - a literal takes the type of what it meets, unless it is too large or too small for the low type: then what is
//!   computed with it stays float32 up to the next product;
//! - so does what is computed with state, in which small changes add up;
//! - a value that a loop carries has one type, low if it becomes so in any turn.
//!
//! A function is rewritten in each combination of types that calls have; methods get one version, since a layer has one
//! `forward`. In training the same holds: gradients flow through the conversions to float32 masters.
//!
//! ```text
//! %w = param "w" : float32[n, k]            %w = param "w" : float32[n, k]
//! %y = matmul %x, %w : float32[m, k]        %0 = cast %x {dtype = bfloat16} : bfloat16[m, n]
//! %z = add %y, %b : float32[m, k]           %1 = cast %w {dtype = bfloat16} : bfloat16[n, k]
//! return %z                           =>    %y = matmul %0, %1 : bfloat16[m, k]
//!                                           %2 = cast %b {dtype = bfloat16} : bfloat16[k]
//!                                           %z = add %y, %2 : bfloat16[m, k]
//!                                           %3 = cast %z {dtype = float32} : float32[m, k]
//!                                           return %3
//! ```

mod forms;
pub mod kept;
mod rewrite;

use crate::ir::{FuncId, InstKind, Module};
use crate::passes::dce::remove_unreached;
use crate::passes::{Pass, PassCx, PassError};
use crate::types::DType;
use forms::{Callee, Forms, Key, Version, callees};
use rewrite::{Targets, rewrite};
use std::collections::{BTreeMap, BTreeSet};

/// The pass, with the low type: float16 or bfloat16.
#[derive(Clone, Copy, Debug)]
pub struct MixedPrecision(pub DType);

impl Pass for MixedPrecision {
    fn name(&self) -> &str {
        "precision"
    }

    fn summary(&self) -> &str {
        "Compute products, and what goes with them, in a low float type."
    }

    fn run(&self, module: &mut Module, cx: &mut PassCx) -> Result<(), PassError> {
        lower_precision(module, self.0, cx);
        Ok(())
    }
}

fn lower_precision(module: &mut Module, low: DType, cx: &mut PassCx) {
    let source = module.clone();
    let mut forms = Forms::of(&source, low);
    let Reached { versions, originals } = Reached::from_roots(&mut forms);
    let mut targets = Targets::default();
    let mut in_place = BTreeSet::new();
    let mut copies: Vec<(FuncId, FuncId)> = vec![];
    for key in versions.keys() {
        let id = key.0;
        // A function that is needed as it is, or in another version, too, gets a copy.
        let target = if !originals.contains(&id) && in_place.insert(id) {
            id
        } else {
            let copy = FuncId((source.functions.len() + copies.len()) as u32);
            copies.push((id, copy));
            copy
        };
        targets.insert(Callee::Version(key.clone()), target);
    }
    for (of, _) in &copies {
        add_copy(module, *of);
    }
    for (key, version) in &versions {
        let Some(target) = targets.get(&Callee::Version(key.clone())) else { continue };
        let casts = rewrite(&mut module[*target], version, low, &mut forms, &targets);
        cx.count("casts", casts);
    }
    cx.count("functions", versions.len());
    remove_unreached(module);
}

/// What runs when the entry does.
#[derive(Default)]
struct Reached {
    versions: BTreeMap<Key, Version>,
    originals: BTreeSet<FuncId>,
}

impl Reached {
    fn from_roots(forms: &mut Forms<'_>) -> Reached {
        let mut reached = Reached::default();
        let makers: Vec<FuncId> = forms.makers.iter().copied().collect();
        makers.into_iter().for_each(|maker| reached.original(forms.module, maker));
        for root in forms.roots() {
            reached.version(forms, &root);
        }
        reached
    }

    fn version(&mut self, forms: &mut Forms<'_>, key: &Key) {
        if self.versions.contains_key(key) {
            return;
        }
        let version = forms.version(key);
        self.versions.insert(key.clone(), version.clone());
        let function = &forms.module[key.0];
        for inst in &function.insts {
            let InstKind::Call { func, .. } = &inst.kind else { continue };
            let operands: Vec<_> = inst.operands.iter().map(|operand| version.forms[operand.0 as usize]).collect();
            match forms.callee(*func, &operands) {
                Callee::Original(func) => self.original(forms.module, func),
                Callee::Version(key) => self.version(forms, &key),
            }
        }
    }

    fn original(&mut self, module: &Module, id: FuncId) {
        if self.originals.insert(id) {
            callees(&module[id]).for_each(|callee| self.original(module, callee));
        }
    }
}

/// Adds a copy of a function that is called from inside only.
fn add_copy(module: &mut Module, of: FuncId) {
    let mut function = module[of].clone();
    let names = (2..).map(|number| format!("{}_{number}", function.name));
    if let Some(name) = names.into_iter().find(|name| module.function_named(name).is_none()) {
        function.name = name;
    }
    (function.exported, function.optional) = (false, vec![]);
    let copy = FuncId(module.functions.len() as u32);
    if let Some(layer) = function.layer {
        module.layers[layer.0 as usize].methods.push(copy);
    }
    module.functions.push(function);
}

#[cfg(test)]
mod tests;
