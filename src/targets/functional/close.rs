//! Hyperparameters as arguments: after this, a method knows of its instance what it holds and nothing else.
//!
//! ```text
//! %1 = call @Norm.forward(%x) at self.norm {B = B}      =>      %1 = call @Norm.forward(%x) at self.norm {B = B, eps = 1e-6}
//! %0 = param "table"                 # a constant       =>      %0 = call @Rotary.table() at self {dim = dim}
//! ```
//!
//! The result is no module for the verifier (the symbols are those of the layer as well), and goes no further than the
//! writer of Python.

use crate::ir::substitute::symbol_expr;
use crate::ir::{FuncId, Init, InstKind, LayerId, MemberKind, Module, PathSegment, member_path};
use crate::types::{HostExpr, Symbol};

/// The module with hyperparameters among the symbols of methods, and without constant members.
pub fn closed(module: &Module) -> Module {
    let mut closed = module.clone();
    for (function, source) in closed.functions.iter_mut().zip(&module.functions) {
        let Some(layer) = source.layer else { continue };
        function.symbols.extend(module[layer].hypers.iter().map(|hyper| (hyper.name.clone(), hyper.kind)));
        for inst in &mut function.insts {
            close(module, layer, &mut inst.kind);
        }
    }
    for layer in &mut closed.layers {
        layer.members.retain(|member| !matches!(member.kind, MemberKind::Constant { .. }));
        for member in &mut layer.members {
            // Initial values come from outside.
            if let MemberKind::Storage(storage) = &mut member.kind
                && matches!(storage.init, Init::Func(_))
            {
                storage.init = Init::Default;
            }
        }
    }
    closed
}

fn close(module: &Module, layer: LayerId, kind: &mut InstKind) {
    match kind {
        InstKind::Call { path: Some(path), bindings, .. } => bindings.extend(hypers_at(module, layer, path)),
        InstKind::Param { name, .. } => {
            let (path, own) = member_path(name).unwrap_or((vec![], name.as_str()));
            if let Some(func) = constant(module, layer, &path, own) {
                let symbols = module[func].symbols.iter();
                let mut bindings: Vec<_> = symbols.map(|(s, kind)| (s.clone(), symbol_expr(s, *kind))).collect();
                bindings.extend(hypers_at(module, layer, &path));
                *kind = InstKind::Call { func, bindings, path: Some(path), fresh: vec![] };
            }
        }
        _ => {}
    }
}

/// The function that computes a constant member.
fn constant(module: &Module, layer: LayerId, path: &[PathSegment], own: &str) -> Option<FuncId> {
    let (layer, _) = module.instance_at(layer, path).ok()?;
    match module[layer].member(own)?.kind {
        MemberKind::Constant { func, .. } => Some(func),
        MemberKind::Storage(_) | MemberKind::Sub(_) => None,
    }
}

/// The hyperparameters of a part, over those of the instance that has it.
fn hypers_at(module: &Module, layer: LayerId, path: &[PathSegment]) -> Vec<(Symbol, HostExpr)> {
    // The verifier has followed every path.
    let Ok((part, values)) = module.instance_at(layer, path) else { return vec![] };
    let hypers = module[part].hypers.iter();
    hypers.filter_map(|hyper| Some((hyper.name.clone(), values.get(&hyper.name)?))).collect()
}
