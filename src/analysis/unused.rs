//! Names that are declared and never used: imports of a file, variables of a body.
//!
//! An import counts as used if its name stands anywhere in another item of the file, a variable if something
//! reads it (`locals`). Names that begin with `_` are never reported.

use crate::analysis::db::{Item, Place, Report, SourceFile, interface, items, parse_item};
use crate::analysis::locals::{self, Local};
use crate::analysis::{check, modules};
use crate::base::{Span, code, deep};
use crate::ops::{self, Content};
use crate::syntax::ast::*;
use crate::syntax::items::RawKind;
use std::collections::BTreeSet;

/// The names that a file's imports bring in. What each item uses of them is all that is kept of it.
#[salsa::tracked]
fn imported_names(db: &dyn salsa::Database, file: SourceFile) -> BTreeSet<String> {
    let uses = items(db, file).iter().filter(|item| item.kind(db) == RawKind::Use);
    let imports = uses.filter_map(|item| match &interface(db, *item).item.kind {
        ItemKind::Use(import) => Some(import),
        _ => None,
    });
    imports.flat_map(bound_names).map(|name| name.name.clone()).collect()
}

fn bound_names(import: &Use) -> Vec<&Ident> {
    match (&import.names, &import.alias) {
        (Some(names), _) => names.iter().collect(),
        (None, Some(alias)) => vec![alias],
        (None, None) => import.path.last().into_iter().collect(),
    }
}

/// The imported names that stand in an item's expressions and types.
#[salsa::tracked]
fn imports_used<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> BTreeSet<String> {
    let imported = imported_names(db, item.file(db));
    if imported.is_empty() {
        return BTreeSet::new();
    }
    names_in(&parse_item(db, item).ast).intersection(imported).cloned().collect()
}

fn names_in(ast: &Ast) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for expr in &ast.exprs {
        match &expr.kind {
            ExprKind::Name(name) => {
                names.insert(name.clone());
            }
            ExprKind::Pack(name) => {
                names.insert(name.name.clone());
            }
            // `x.softmax()` calls what may have been imported.
            ExprKind::Field { name, .. } => {
                names.insert(name.name.clone());
            }
            _ => {}
        }
    }
    for ty in &ast.types {
        match &ty.kind {
            TypeKind::Name(path) => names.extend(path.first().map(|name| name.name.clone())),
            TypeKind::Tensor { elem, dims, .. } => {
                names.insert(elem.name.clone());
                for dim in dims {
                    if let DimItem::Pack(name) = dim {
                        names.insert(name.name.clone());
                    }
                }
            }
            TypeKind::Tuple(_) | TypeKind::List(_) | TypeKind::Error => {}
        }
    }
    names
}

/// Imports that nothing in the file uses, as far as it parses.
#[salsa::tracked]
pub fn unused_imports<'db>(db: &'db dyn salsa::Database, file: SourceFile) -> Vec<Report<'db>> {
    let mut reports = vec![];
    let used: BTreeSet<&String> = items(db, file).iter().flat_map(|item| imports_used(db, *item)).collect();
    let uses = items(db, file).iter().filter(|item| item.kind(db) == RawKind::Use);
    for item in uses {
        // What cannot be found is reported as that.
        if !check::reports(db, *item).is_empty() {
            continue;
        }
        let ItemKind::Use(import) = &parse_item(db, *item).ast.item.kind else { continue };
        for name in bound_names(import) {
            if !used.contains(&name.name) && !name.name.starts_with('_') {
                let place = Place { item: *item, span: name.span };
                let message = format!("`{}` is imported and never used", name.name);
                let removed = Place { item: *item, span: removed_name(import, name, item.text(db)) };
                let report = Report::new(code::W0101, message).at(place, "not used in this file");
                reports.push(report.fix("remove it", vec![(removed, String::new())]));
            }
        }
    }
    reports
}

/// What to remove of a `use` for one of its names: its place in the list, or all of the statement.
fn removed_name(import: &Use, name: &Ident, text: &str) -> Span {
    let names = import.names.as_deref().unwrap_or_default();
    match names.iter().position(|other| std::ptr::eq(other, name)) {
        Some(index) if names.len() > 1 => match (names.get(index + 1), index) {
            (Some(next), _) => {
                let between = text.get(name.span.end as usize..next.span.start as usize).unwrap_or("");
                // Where the next name stands on a line of its own, the line break stays.
                let end = match (between.contains('\n'), between.find(',')) {
                    (true, Some(comma)) => name.span.end + comma as u32 + 1,
                    _ => next.span.start,
                };
                Span::new(name.span.start, end)
            }
            (None, 0) => name.span,
            (None, _) => Span::new(names[index - 1].span.end, name.span.end),
        },
        _ => Span::new(0, text.trim_end().len() as u32),
    }
}

/// Variables that a body declares and never reads.
pub fn unused_variables<'db>(db: &'db dyn salsa::Database, item: Item<'db>, ast: &'db Ast) -> Vec<Report<'db>> {
    let unread = locals::of(ast).into_iter().filter(|local| !local.is_read && !local.name.name.starts_with('_'));
    unread.map(|local| unused_variable(db, item, ast, &local)).collect()
}

/// The statement goes where its value has no effect; else the name says that nobody reads it.
fn unused_variable<'db>(
    db: &'db dyn salsa::Database,
    item: Item<'db>,
    ast: &'db Ast,
    local: &Local<'db>,
) -> Report<'db> {
    let name = &local.name.name;
    let place = |span| Place { item, span };
    let report = Report::new(code::W0101, format!("`{name}` is declared and never used"))
        .at(place(local.name.span), "not used after this")
        .note("remove it, or begin its name with `_`");
    let has_effect = local.binding.init.is_some_and(|value| has_effect(db, item, ast, value));
    if local.writes.is_empty() && local.binding.ty.is_none() && !has_effect {
        let text = item.text(db);
        let same_line = |next: &u32| {
            let between = text.get(local.span.end as usize..*next as usize);
            between.is_some_and(|between| !between.contains('\n'))
        };
        let end = local.next.filter(same_line).unwrap_or(local.span.end);
        return report.fix("remove it", vec![(place(Span::new(local.span.start, end)), String::new())]);
    }
    let spans = std::iter::once(local.name.span).chain(local.writes.iter().copied());
    report.fix(format!("write `_{name}`"), spans.map(|span| (place(span), format!("_{name}"))).collect())
}

/// Whether computing a value may do more than give it: calls of the user's functions and layers may print,
/// assert or change state, and a random draw moves those after it.
fn has_effect<'db>(db: &'db dyn salsa::Database, item: Item<'db>, ast: &'db Ast, expr: ExprId) -> bool {
    let effect = |expr: &ExprId| deep(|| has_effect(db, item, ast, *expr));
    let is_operation = |name: &str| {
        if modules::lookup(db, item.file(db), name).is_some() {
            return false;
        }
        match modules::implicit(db, name).map(|function| &interface(db, function).item.kind) {
            Some(ItemKind::Fn(decl)) => decl.params.iter().all(|param| param.name.name != "seed"),
            Some(_) => false,
            None => {
                ops::find(name).is_some_and(|op| op.get().params.iter().all(|param| param.content != Content::Seed))
            }
        }
    };
    match &ast[expr].kind {
        ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Str(_)
        | ExprKind::Bool(_)
        | ExprKind::None
        | ExprKind::Name(_)
        | ExprKind::Ellipsis
        | ExprKind::Pack(_) => false,
        ExprKind::Tuple(items) | ExprKind::List(items) => items.iter().any(effect),
        ExprKind::Unary { operand, .. } => effect(operand),
        ExprKind::Binary { lhs, rhs, .. } => effect(lhs) || effect(rhs),
        ExprKind::Field { base, .. } => effect(base),
        ExprKind::Index { base, items } => {
            effect(base)
                || items.iter().any(|item| match item {
                    IndexItem::Expr(expr) => effect(expr),
                    IndexItem::Slice { start, stop, step, .. } => [start, stop, step].into_iter().flatten().any(effect),
                })
        }
        ExprKind::Call { callee, args } => {
            let callee_has = match &ast[*callee].kind {
                ExprKind::Name(name) => !is_operation(name),
                ExprKind::Field { base, name } => !is_operation(&name.name) || effect(base),
                _ => true,
            };
            callee_has || args.iter().any(|arg| effect(&arg.value))
        }
        ExprKind::Error
        | ExprKind::Placeholder
        | ExprKind::Comprehension { .. }
        | ExprKind::Range { .. }
        | ExprKind::Pipe { .. }
        | ExprKind::If(_)
        | ExprKind::Type(_) => true,
    }
}
