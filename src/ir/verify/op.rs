//! Operations of the registry: operands, attributes, and the rule run again.

use super::body::{Check, Checker};
use crate::ir::Inst;
use crate::ops::{Attr, Attrs, Default, Op, OpId, Param, ParamKind, RuleCx, Stop};
use crate::types::{Dim, TensorType};

impl Checker<'_> {
    pub(super) fn op(&self, inst: &Inst, op: OpId, attrs: &Attrs) -> Check {
        let op = op.get();
        check_operand_count(op, inst.operands.len())?;
        self.check_attrs(op, attrs)?;
        let operands: Vec<TensorType> = inst.operands.iter().map(|operand| self.ty(*operand).clone()).collect();
        let mut unknowns = 0;
        let mut fresh = || {
            unknowns += 1;
            Dim::unknown(unknowns)
        };
        let mut cx = RuleCx::new(op, &operands, attrs, &self.facts, &mut fresh);
        match (op.rule)(&mut cx) {
            Ok(types) => self.values_have_types(&inst.results, &types),
            Err(Stop::Error(error)) => Err(error.message),
            Err(Stop::Unknown(_)) => Err("a rank or attribute is not known".into()),
        }
    }

    fn check_attrs(&self, op: &Op, attrs: &Attrs) -> Check {
        let params: Vec<&Param> = op.params.iter().filter(|param| !param.is_operand()).collect();
        if let Some((name, _)) = attrs.iter().find(|(name, _)| params.iter().all(|param| param.name != *name)) {
            return Err(format!("there is no attribute `{name}`"));
        }
        for param in params {
            let Some(attr) = attrs.get(param.name) else {
                if param.default == Default::Off {
                    continue;
                }
                return Err(format!("the attribute `{}` is missing", param.name));
            };
            if !fits(param, attr) {
                return Err(format!("the attribute `{}` cannot be {attr}", param.name));
            }
            if let Some(fault) = self.attr_scope_fault(attr) {
                return Err(format!("the attribute `{}`: {fault}", param.name));
            }
        }
        Ok(())
    }

    /// What is wrong with the symbols of an attribute.
    pub(super) fn attr_scope_fault(&self, attr: &Attr) -> Option<String> {
        match attr {
            Attr::Int(dim) => self.scope.dim_fault(dim),
            Attr::Ints(dims) => dims.iter().find_map(|dim| self.scope.dim_fault(dim)),
            Attr::Shape(shape) => match shape.known() {
                Some(dims) => dims.iter().find_map(|dim| self.scope.dim_fault(dim)),
                None => Some(format!("[{shape}] has a pack")),
            },
            Attr::Float(expr) => self.scope.expr_fault(expr),
            Attr::DType(elem) => elem.known().is_none().then(|| format!("`{elem}` is not known")),
            Attr::Unknown => Some("it is not known".into()),
            Attr::None | Attr::Bool(_) | Attr::Str(_) | Attr::Scheme(_) => None,
        }
    }
}

fn check_operand_count(op: &Op, found: usize) -> Check {
    let count = |kind| op.params.iter().filter(|param| param.kind == kind).count();
    let (required, optional) = (count(ParamKind::Tensor), count(ParamKind::OptionalTensor));
    let open = count(ParamKind::Tensors) > 0;
    let least = required + usize::from(open);
    if found < least || !open && found > least + optional {
        return Err(format!("takes {least} operands, not {found}"));
    }
    Ok(())
}

fn fits(param: &Param, attr: &Attr) -> bool {
    if *attr == Attr::None {
        return param.default == Default::None;
    }
    match param.kind {
        ParamKind::Tensor | ParamKind::OptionalTensor | ParamKind::Tensors => false,
        ParamKind::Int | ParamKind::Axis => matches!(attr, Attr::Int(_)),
        ParamKind::Ints | ParamKind::Axes => matches!(attr, Attr::Int(_) | Attr::Ints(_)),
        ParamKind::Shape => matches!(attr, Attr::Shape(_) | Attr::Ints(_)),
        ParamKind::Pads => matches!(attr, Attr::Ints(_)),
        ParamKind::Float => matches!(attr, Attr::Float(_) | Attr::Int(_)),
        ParamKind::Bool => matches!(attr, Attr::Bool(_)),
        ParamKind::Str => matches!(attr, Attr::Str(_)),
        ParamKind::DType => matches!(attr, Attr::DType(_)),
        ParamKind::Scheme => matches!(attr, Attr::Scheme(_)),
    }
}
