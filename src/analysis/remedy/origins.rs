//! Where a number in a clash comes from: the place in the item where it is written.
//!
//! Symbols have their origins from the elaborator. A number has none, but it usually stands where a
//! sublayer is made or a shape is given, near the error.

use super::sites::{Sites, within};
use crate::analysis::db::{Item, Place, Report};
use crate::syntax::ast::{DimItem, ExprId, FnDecl, TypeKind};

/// Labels each number of a clash that is written in exactly one place nearby.
pub fn of_numbers<'db>(mut report: Report<'db>, item: Item<'db>, sites: &Sites<'db>) -> Report<'db> {
    let dims: Vec<String> = report.clash.dims.iter().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    let mut told: Vec<String> = vec![];
    for dim in dims {
        // 0 and 1 are everywhere.
        if !dim.parse::<i64>().is_ok_and(|size| size > 1) || told.contains(&dim) {
            continue;
        }
        let written = written(sites, &dim);
        let mut spans: Vec<_> = written.iter().map(|id| sites.ast[*id].span).collect();
        spans.sort();
        spans.dedup();
        if let [span] = spans.as_slice()
            && *span != sites.at
        {
            report = report.also(Place { item, span: *span }, format!("{dim} comes from here"));
            told.push(dim);
        }
    }
    report
}

/// The expressions near the error that are this number, those inside others left out.
fn written(sites: &Sites<'_>, dim: &str) -> Vec<ExprId> {
    let mut near: Vec<ExprId> = sites.inside.clone();
    near.extend(sites.makers().into_iter().flat_map(|(_, call)| within(sites.ast, call)));
    near.extend(sites.function().into_iter().flat_map(|decl| dims_of(sites, decl)));
    for (_, ty) in sites.declared_types() {
        near.extend(dims_of_type(sites, ty));
    }
    near.sort();
    near.dedup();
    near.retain(|id| sites.is_dim(*id, dim));
    near
}

fn dims_of(sites: &Sites<'_>, decl: &FnDecl) -> Vec<ExprId> {
    let types = decl.params.iter().filter_map(|param| param.ty).chain(decl.result);
    types.flat_map(|ty| dims_of_type(sites, ty)).collect()
}

fn dims_of_type(sites: &Sites<'_>, ty: crate::syntax::ast::TypeId) -> Vec<ExprId> {
    match &sites.ast[ty].kind {
        TypeKind::Tensor { dims, .. } => dims
            .iter()
            .filter_map(|dim| match dim {
                DimItem::Expr(expr) => Some(*expr),
                DimItem::Any(_) | DimItem::Pack(_) | DimItem::Unknown(_) => None,
            })
            .collect(),
        TypeKind::Tuple(items) => items.iter().flat_map(|item| dims_of_type(sites, *item)).collect(),
        TypeKind::List(item) => dims_of_type(sites, *item),
        TypeKind::Name(_) | TypeKind::Error => vec![],
    }
}
