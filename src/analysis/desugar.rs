//! The functional form of a layer, written out.
//!
//! `layer Dense(w: TernaryTensor[128, 256], x: Tensor) -> Tensor { return x @ w }` becomes a layer with
//! `param w: trit[128, 256]` and `fn forward(x: Tensor) -> Tensor { return x @ w }`: tensors of a quantised
//! element type are weights, other tensors inputs, everything else hyperparameters.

use crate::syntax::ast::*;
use crate::types::DType;

/// Rewrites functional layers, nested ones too.
pub fn functional_layers(ast: &mut Ast) {
    let Ast { types, item, .. } = ast;
    if let ItemKind::Layer(decl) = &mut item.kind {
        rewrite(types, decl);
    }
}

fn rewrite(types: &[Type], decl: &mut LayerDecl) {
    for member in &mut decl.members {
        if let MemberKind::Layer(inner) = &mut member.kind {
            rewrite(types, inner);
        }
    }
    // Older programs also write a result after the head of a layer with members; it says nothing new.
    let Some(result) = decl.result.filter(|_| is_functional(types, decl)) else { return };
    decl.result = None;
    let (mut hypers, mut weights, mut inputs) = (vec![], vec![], vec![]);
    for param in std::mem::take(&mut decl.params) {
        match param.ty.map(|ty| tensor_elem(types, ty)) {
            Some(Some(elem)) if is_quantised(elem) => weights.push(param),
            Some(Some(_)) => inputs.push(param),
            _ => hypers.push(param),
        }
    }
    let mut stmts = vec![];
    let mut members = vec![];
    for param in weights {
        let Some(ty) = param.ty else { continue };
        let span = param.name.span;
        let storage = Storage { kind: StorageKind::Param, name: param.name, ty, cond: None, init: param.default };
        let kind = MemberKind::Storage(storage);
        members.push(Member { attributes: param.attributes, doc: param.doc, kind, span });
    }
    for member in std::mem::take(&mut decl.members) {
        match member.kind {
            MemberKind::Stmt(stmt) => stmts.push(*stmt),
            MemberKind::Let(binding) => {
                stmts.push(Stmt { attributes: member.attributes, kind: StmtKind::Let(binding), span: member.span });
            }
            kind => members.push(Member { kind, ..member }),
        }
    }
    let span = match (stmts.first(), stmts.last()) {
        (Some(first), Some(last)) => first.span.to(last.span),
        _ => decl.name.span,
    };
    let forward = FnDecl {
        name: Ident { name: "forward".into(), span: decl.name.span },
        type_params: vec![],
        params: inputs,
        result: Some(result),
        wheres: vec![],
        body: FnBody::Block(Block { stmts, span }),
    };
    members.push(Member { attributes: vec![], doc: None, kind: MemberKind::Fn(Box::new(forward)), span });
    decl.params = hypers;
    decl.members = members;
}

/// Whether the layer is written like a function: it has inputs or weights for parameters, or statements for
/// a body, and no `forward` of its own.
fn is_functional(types: &[Type], decl: &LayerDecl) -> bool {
    let has_forward =
        decl.members.iter().any(|m| matches!(&m.kind, MemberKind::Fn(function) if function.name.name == "forward"));
    let takes_tensors = decl.params.iter().any(|p| p.ty.is_some_and(|ty| tensor_elem(types, ty).is_some()));
    let has_statements = decl.members.iter().any(|m| matches!(m.kind, MemberKind::Stmt(_)));
    !has_forward && (takes_tensors || has_statements)
}

/// The element type's name, if the type is a tensor's.
fn tensor_elem(types: &[Type], ty: TypeId) -> Option<&str> {
    match &types.get(ty.0 as usize)?.kind {
        TypeKind::Tensor { elem, .. } => Some(&elem.name),
        TypeKind::Name(path) => match path.as_slice() {
            [name] if name.name == "TernaryTensor" => Some("trit"),
            [name] if name.name == "Tensor" || name.name == "tensor" => Some("float32"),
            [name] if name.name != "bool" && DType::parse(&name.name).is_some() => Some(&name.name),
            _ => None,
        },
        TypeKind::Tuple(_) | TypeKind::List(_) | TypeKind::Error => None,
    }
}

fn is_quantised(elem: &str) -> bool {
    matches!(elem, "trit" | "int4" | "int8")
}
