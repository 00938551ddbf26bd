//! One method of the entry that computes results and gradients.

use super::{AutodiffError, Derived, Differentiator, Joint, Result, StorageGradient};
use crate::base::Loc;
use crate::ir::substitute::symbol_expr;
use crate::ir::{Builder, FuncId, Function, InstKind, Region, ValueId, Verified};
use crate::ops::{Attr, builtin, gradient};
use crate::passes::copy::empty_like;
use crate::types::{Symbol, TensorType};

/// A module with a method for results and gradients.
#[derive(Clone, Debug)]
pub struct Differentiated {
    pub module: Verified,
    /// Takes the inputs of the original method, then the gradients of the results that were asked for. Gives the
    /// original results, then `gradients`.
    pub function: FuncId,
    pub gradients: Vec<Source>,
}

/// What a gradient is of.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// An input of the method, by its position.
    Input(usize),
    Storage(StorageGradient),
}

impl Source {
    /// What the gradient is called in the method: `grad_x`, `grad_fc1_weight`.
    fn name_in(&self, method: &Function) -> String {
        let of = match self {
            Source::Input(index) => method[method.params[*index]].name.clone().unwrap_or(format!("x{index}")),
            Source::Storage(storage) => storage.to_string(),
        };
        let word = |c: char| if c.is_alphanumeric() { c } else { '_' };
        format!("grad_{}", of.chars().map(word).collect::<String>())
    }
}

impl Differentiator {
    /// Adds the joint method of `method` to its layer; `computed` is what is differentiated, which does the same.
    pub(super) fn joint(&mut self, method: FuncId, computed: FuncId, given: &[usize]) -> Result<Joint> {
        let source = self.module[method].clone();
        let wanted: Vec<bool> = source.params.iter().map(|param| source.dtype(*param).is_float()).collect();
        let Some(derived) = self.derive(computed, &wanted)? else {
            let message = format!("no result of `{}` depends on a float input or parameter", source.source_name);
            return Err(AutodiffError::new(message).or_at(source.loc));
        };
        let gradients = sources(&derived);
        let function = self.write_joint(&source, &derived, given);
        Ok((self.add(function), gradients))
    }

    fn write_joint(&self, source: &Function, derived: &Derived, given: &[usize]) -> Function {
        let mut joint = empty_like(source);
        joint.name = self.free_name(&format!("{}_backward", source.name));
        joint.source_name = format!("{}_backward", source.source_name);
        (joint.std_path, joint.exported) = (None, true);
        joint.maps.clear();
        joint.body = Region::default();
        let (primal, adjoint) = (&self.module[derived.primal], &self.module[derived.adjoint]);
        joint.results = source.results.iter().chain(&adjoint.results).cloned().collect();
        let mut builder = Builder::new(&mut joint);
        let inputs: Vec<ValueId> = source
            .params
            .iter()
            .map(|param| builder.param(source[*param].ty.clone(), source[*param].name.as_deref().unwrap_or("x")))
            .collect();
        let given: Vec<(usize, ValueId)> = given
            .iter()
            .filter_map(|index| Some((*index, source.results.get(*index)?)))
            .map(|(index, ty)| (index, builder.param(ty.clone(), &format!("grad_{index}"))))
            .collect();
        let grads: Vec<ValueId> = derived
            .results
            .iter()
            .map(|index| match given.iter().find(|(own, _)| own == index) {
                Some((_, param)) => *param,
                None => ones(&mut builder, &source.results[*index], source.loc),
            })
            .collect();
        // Sizes that only the run of the primal tells have the same names here.
        let call = |func: FuncId, fresh: &[Symbol]| InstKind::Call {
            func,
            bindings: self.module[func]
                .symbols
                .iter()
                .map(|(name, kind)| (name.clone(), symbol_expr(name, *kind)))
                .collect(),
            path: source.layer.map(|_| vec![]),
            fresh: fresh.to_vec(),
        };
        let types: Vec<TensorType> = primal.results.clone();
        let computed = builder.inst(call(derived.primal, &primal.fresh), inputs.clone(), &types, source.loc);
        let taken = derived.inputs.iter().map(|index| inputs[*index]);
        let kept = derived.kept.iter().map(|index| computed[*index]);
        let operands = taken.chain(kept).chain(grads).collect();
        let found = builder.inst(call(derived.adjoint, &[]), operands, &adjoint.results, source.loc);
        let named: Vec<(ValueId, String)> =
            found.iter().copied().zip(sources(derived).iter().map(|of| of.name_in(source))).collect();
        let outputs = &computed[..source.results.len()];
        let ends = outputs.iter().chain(&found).copied().collect();
        builder.inst(InstKind::Return, ends, &[], source.loc);
        builder.finish();
        for (value, name) in named {
            joint[value].name = Some(name);
        }
        joint
    }
}

fn ones(builder: &mut Builder, ty: &TensorType, loc: Loc) -> ValueId {
    let attrs = gradient::shape_attr(ty.shape.dims.clone()).with("dtype", Attr::DType(ty.elem.clone()));
    builder.inst(InstKind::Op { op: builtin("ones"), attrs }, vec![], std::slice::from_ref(ty), loc)[0]
}

fn sources(derived: &Derived) -> Vec<Source> {
    let inputs = derived.params.iter().map(|index| Source::Input(*index));
    inputs.chain(derived.storages.iter().cloned().map(Source::Storage)).collect()
}
