//! Old type spellings: `Tensor<float32, [M, K]>` for `float32[M, K]`.
//!
//! They are accepted everywhere and nothing is wrong with them, so these reports are hints: `check` does not
//! print them, editors may offer them, and `tritonc fix` rewrites them.

use crate::analysis::db::{Item, Place, Report, parse_item};
use crate::base::{Span, code};
use crate::syntax::ast::{Ast, DimItem, ExprKind, TypeId, TypeKind};
use std::collections::BTreeSet;

/// The old spellings of an item, each with the one of today.
#[salsa::tracked]
pub fn old_spellings<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Vec<Report<'db>> {
    let parsed = parse_item(db, item);
    if !parsed.errors.is_empty() {
        return vec![];
    }
    let (ast, text) = (&parsed.ast, item.text(db));
    let literals = literal_types(ast);
    let types = (0..ast.types.len() as u32).map(TypeId).filter(|id| !literals.contains(id));
    let mut reports = vec![];
    for id in types {
        let span = ast[id].span;
        let Some((old, new)) = slice(text, span).zip(current(ast, id, text)) else { continue };
        // A comment inside would be lost; a type that was not written has nothing to rewrite.
        if old.contains('#') || !old.starts_with(['T', 't']) {
            continue;
        }
        let place = Place { item, span };
        reports.push(
            Report::new(code::W0102, format!("`{old}` is the old spelling of `{new}`"))
                .at(place, format!("today `{new}`"))
                .fix(format!("write `{new}`"), vec![(place, new)]),
        );
    }
    reports
}

/// The types of literals such as `TernaryTensor[2, 2](1, 0, -1, 1)`, which have no other spelling.
fn literal_types(ast: &Ast) -> BTreeSet<TypeId> {
    let callees = ast.exprs.iter().filter_map(|expr| match &expr.kind {
        ExprKind::Call { callee, .. } => Some(*callee),
        _ => None,
    });
    let types = callees.filter_map(|callee| match ast[callee].kind {
        ExprKind::Type(id) => Some(id),
        _ => None,
    });
    types.collect()
}

/// Today's spelling of a type, if it has an old one.
fn current(ast: &Ast, id: TypeId, text: &str) -> Option<String> {
    let TypeKind::Tensor { elem, dims, legacy: true } = &ast[id].kind else { return None };
    let dims: Option<Vec<String>> = dims
        .iter()
        .map(|dim| match dim {
            DimItem::Expr(expr) => slice(text, ast[*expr].span).map(str::to_string),
            DimItem::Any(_) => Some("...".to_string()),
            DimItem::Pack(name) => Some(format!("...{}", name.name)),
            DimItem::Unknown(_) => Some("?".to_string()),
        })
        .collect();
    Some(format!("{}[{}]", elem.name, dims?.join(", ")))
}

fn slice(text: &str, span: Span) -> Option<&str> {
    text.get(span.start as usize..span.end as usize).filter(|part| !part.is_empty())
}
