//! Calls in the place of `gradient`: its region becomes a function of the operands and of what it uses from around
//! it; then its primal gives the value, and its adjoint the gradients.

use super::{Derived, Differentiator, Result};
use crate::ir::substitute::{Substitution, symbol_expr};
use crate::ir::{FuncId, Function, HostKind, Inst, InstId, InstKind, Region, Value, ValueId, Verified};
use crate::ops::{Attr, builtin, gradient};
use crate::passes::copy::{Copier, empty_like, fresh_symbol, int_symbol, push};
use crate::types::{Symbol, TensorType};
use std::collections::HashSet;

/// Puts calls in the place of every `gradient`.
pub fn expand(module: Verified) -> Result<Verified> {
    let has_some =
        |function: &Function| function.insts.iter().any(|inst| matches!(inst.kind, InstKind::Gradient { .. }));
    let wanted: Vec<FuncId> =
        (0..module.functions.len() as u32).map(FuncId).filter(|id| has_some(&module[*id])).collect();
    if wanted.is_empty() {
        return Ok(module);
    }
    let mut differentiator = Differentiator::new(module.into_inner(), false);
    // Those that others call come first: what is differentiated has no `gradient` in it.
    for func in differentiator.callees_first(&wanted) {
        let function = differentiator.module[func].clone();
        let body = function.body.clone();
        let mut expansion = Expansion { differentiator: &mut differentiator, function, indices: vec![] };
        let body = expansion.region(body)?;
        let mut function = expansion.function;
        function.body = body;
        differentiator.module[func] = function;
    }
    differentiator.finish()
}

impl Differentiator {
    /// The functions, each after those it calls, directly or not.
    fn callees_first(&self, wanted: &[FuncId]) -> Vec<FuncId> {
        let (mut seen, mut order) = (HashSet::new(), vec![]);
        wanted.iter().for_each(|func| self.visit(*func, &mut seen, &mut order));
        order.retain(|func| wanted.contains(func));
        order
    }

    fn visit(&self, func: FuncId, seen: &mut HashSet<FuncId>, order: &mut Vec<FuncId>) {
        if !seen.insert(func) {
            return;
        }
        for inst in &self.module[func].insts {
            if let InstKind::Call { func, .. } = inst.kind {
                self.visit(func, seen, order);
            }
        }
        order.push(func);
    }
}

struct Expansion<'d> {
    differentiator: &'d mut Differentiator,
    function: Function,
    /// Indices of the loops that are open.
    indices: Vec<Symbol>,
}

impl Expansion<'_> {
    fn region(&mut self, region: Region) -> Result<Region> {
        let mut insts = vec![];
        for id in region.insts {
            let mut kind = std::mem::replace(&mut self.function[id].kind, InstKind::Yield);
            if let InstKind::For { index, .. } = &kind {
                self.indices.push(index.clone());
            }
            for inner in Function::regions_mut(&mut kind) {
                *inner = self.region(std::mem::take(inner))?;
            }
            if let InstKind::For { .. } = &kind {
                self.indices.pop();
            }
            match kind {
                InstKind::Gradient { body } => {
                    let loc = self.function[id].loc;
                    insts.extend(self.gradient(id, &body).map_err(|error| error.or_at(loc))?);
                }
                kind => {
                    self.function[id].kind = kind;
                    insts.push(id);
                }
            }
        }
        Ok(Region { params: region.params, insts })
    }

    /// The instructions in the place of one `gradient`.
    fn gradient(&mut self, id: InstId, body: &Region) -> Result<Vec<InstId>> {
        let (operands, results) = (self.function[id].operands.clone(), self.function[id].results.clone());
        let captured = self.function.captured(body);
        let func = self.outline(body, &captured);
        let wanted: Vec<bool> = operands.iter().map(|_| true).chain(captured.iter().map(|_| false)).collect();
        let given: Vec<ValueId> = operands.iter().chain(&captured).copied().collect();
        let Some((value, gradients)) = results.split_first() else { return Ok(vec![]) };
        let loc = self.function[id].loc;
        let mut insts = vec![];
        let mut emit = |function: &mut Function, kind: InstKind, operands: Vec<ValueId>, results: Vec<ValueId>| {
            insts.push(push(function, Inst { kind, operands, results, loc }));
        };
        let Some(derived) = self.differentiator.derive(func, &wanted)? else {
            // The number does not depend on the operands.
            let call = self.call(func);
            emit(&mut self.function, call, given, vec![*value]);
            for gradient in gradients {
                let zeros = filled("zeros", &self.function[*gradient].ty);
                emit(&mut self.function, zeros, vec![], vec![*gradient]);
            }
            return Ok(insts);
        };
        let Derived { primal, adjoint, inputs, kept, params, .. } = &*derived;
        let sizes = self.fresh_sizes(*primal);
        let added = self.differentiator.module[*primal].results[1..].to_vec();
        let named = Substitution::new(sizes.iter().map(|(own, name)| (own.clone(), int_symbol(name))));
        let computed: Vec<ValueId> =
            std::iter::once(*value).chain(added.iter().map(|ty| self.value(named.ty(ty)))).collect();
        let mut call = self.call(*primal);
        if let InstKind::Call { fresh, .. } = &mut call {
            fresh.extend(sizes.iter().map(|(_, name)| name.clone()));
        }
        emit(&mut self.function, call, given.clone(), computed.clone());
        let seed = self.value(self.function[*value].ty.clone());
        let ones = filled("ones", &self.function[seed].ty);
        emit(&mut self.function, ones, vec![], vec![seed]);
        let taken = inputs.iter().map(|index| given[*index]).chain(kept.iter().map(|index| computed[*index]));
        let mut call = self.call(*adjoint);
        if let InstKind::Call { bindings, .. } = &mut call {
            for (own, name) in &sizes {
                bindings
                    .iter_mut()
                    .filter(|(symbol, _)| symbol == own)
                    .for_each(|(_, value)| *value = int_symbol(name));
            }
        }
        let found = params.iter().map(|index| gradients[*index]).collect();
        emit(&mut self.function, call, taken.chain([seed]).collect(), found);
        for (index, gradient) in gradients.iter().enumerate().filter(|(index, _)| !params.contains(index)) {
            debug_assert!(index < operands.len());
            let zeros = filled("zeros", &self.function[*gradient].ty);
            emit(&mut self.function, zeros, vec![], vec![*gradient]);
        }
        Ok(insts)
    }

    /// The region as a function beside the one it stands in.
    fn outline(&mut self, body: &Region, captured: &[ValueId]) -> FuncId {
        let mut target = empty_like(&self.function);
        target.name = self.differentiator.free_name(&format!("{}.value", self.function.name));
        target.source_name = format!("{}_value", self.function.source_name);
        (target.std_path, target.exported, target.host_args) = (None, false, Default::default());
        target.maps.clear();
        target.optional.clear();
        target.fresh.clear();
        target.symbols.extend(self.indices.iter().map(|index| (index.clone(), HostKind::Int)));
        let mut copier = Copier::new(&self.function, Substitution::default(), None);
        let params = body.params.iter().chain(captured).copied();
        target.params = params.map(|param| copier.value(&mut target, param)).collect();
        let mut region = copier.region(&mut target, body);
        region.params.clear();
        if let Some(last) = region.insts.last().copied() {
            target[last].kind = InstKind::Return;
            target.results = target[last].operands.iter().map(|value| target[*value].ty.clone()).collect();
        }
        target.body = region;
        self.differentiator.add(target)
    }

    /// A call on the own instance, with the same symbols.
    fn call(&self, func: FuncId) -> InstKind {
        let callee = &self.differentiator.module[func];
        let bindings = callee.symbols.iter().map(|(name, kind)| (name.clone(), symbol_expr(name, *kind))).collect();
        InstKind::Call { func, bindings, path: callee.layer.map(|_| vec![]), fresh: vec![] }
    }

    /// Names in this function for the sizes that only a run of the callee tells.
    fn fresh_sizes(&self, func: FuncId) -> Vec<(Symbol, Symbol)> {
        let mut used = self.differentiator.symbols_in(&self.function);
        let callee = &self.differentiator.module[func];
        callee.fresh.iter().map(|own| (own.clone(), fresh_symbol(own, &mut used))).collect()
    }

    fn value(&mut self, ty: TensorType) -> ValueId {
        self.function.values.push(Value { ty, name: None });
        ValueId(self.function.values.len() as u32 - 1)
    }
}

fn filled(name: &str, ty: &TensorType) -> InstKind {
    let attrs = gradient::shape_attr(ty.shape.dims.clone()).with("dtype", Attr::DType(ty.elem.clone()));
    InstKind::Op { op: builtin(name), attrs }
}
