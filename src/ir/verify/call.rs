//! Calls: the callee's signature, seen from the caller.

use super::body::{Check, Checker};
use crate::ir::substitute::Substitution;
use crate::ir::{FuncId, Inst, InstKind, PathSegment};
use crate::types::{Dim, HostExpr, TensorType};

impl Checker<'_> {
    pub(super) fn call(&self, inst: &Inst) -> Check {
        let InstKind::Call { func, bindings, path, fresh } = &inst.kind else { return Ok(()) };
        let callee = &self.module[*func];
        if let Some(fault) = self.scope.bindings_fault(&callee.symbols, bindings) {
            return Err(fault);
        }
        if fresh.len() != callee.fresh.len() {
            return Err(format!("binds {} symbols, not {}", callee.fresh.len(), fresh.len()));
        }
        let mut substitution = self.callee_instance(*func, path.as_deref())?;
        substitution.extend(bindings.iter().cloned());
        let named = callee.fresh.iter().zip(fresh);
        substitution.extend(named.map(|(own, name)| (own.clone(), HostExpr::Int(Dim::symbol(name.as_str())))));
        // What the callee relies on is checked when an instance is made or a call entered, so it holds here.
        let mut facts = self.facts.clone();
        let layer = callee.layer.map(|id| &self.module[id]);
        let conditions = callee.obligations.iter().map(|(obligation, _)| obligation);
        for obligation in layer.iter().flat_map(|layer| &layer.obligations).chain(conditions) {
            obligation.map_dims(|dim| substitution.dim(dim)).assume(&mut facts);
        }
        let params: Vec<TensorType> = callee.params.iter().map(|param| substitution.ty(&callee[*param].ty)).collect();
        let results: Vec<TensorType> = callee.results.iter().map(|ty| substitution.ty(ty)).collect();
        self.have_types(&inst.operands, &params, &facts)?;
        self.have_types(&inst.results, &results, &facts)
    }

    /// The hyperparameters of the callee's instance as expressions of this function.
    fn callee_instance(&self, func: FuncId, path: Option<&[PathSegment]>) -> Result<Substitution, String> {
        let callee = &self.module[func];
        let (Some(callee_layer), Some(path)) = (callee.layer, path) else {
            return match (callee.layer, path) {
                (None, None) => Ok(Substitution::default()),
                (None, Some(_)) => Err("a free function is called on an instance".into()),
                (Some(_), _) => Err("a method is called without an instance".into()),
            };
        };
        let own = self.function.layer.ok_or("a free function has no instances")?;
        for segment in path {
            if let PathSegment::Index(dim) = segment
                && let Some(fault) = self.scope.dim_fault(dim)
            {
                return Err(fault);
            }
        }
        let (found, substitution) = self.module.instance_at(own, path)?;
        if found != callee_layer {
            let name = &self.module[found].name;
            return Err(format!("the path leads to an instance of `{name}`"));
        }
        Ok(substitution)
    }
}
