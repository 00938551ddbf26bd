//! Names that are declared and never used: imports of a file, variables of a body.
//!
//! A name counts as used if it stands anywhere in the item besides its declaration, so nothing is reported
//! wrongly where a name is declared twice. Names that begin with `_` are never reported.

use crate::analysis::check;
use crate::analysis::db::{Item, Place, Report, SourceFile, broken_items, interface, items, parse_item};
use crate::base::code;
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

/// Imports that nothing in the file uses.
#[salsa::tracked]
pub fn unused_imports<'db>(db: &'db dyn salsa::Database, file: SourceFile) -> Vec<Report<'db>> {
    let mut reports = vec![];
    // Where something does not parse, a use of the name may be lost.
    if !broken_items(db, file).is_empty() {
        return reports;
    }
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
                reports.push(Report::new(code::W0101, message).at(place, "not used in this file"));
            }
        }
    }
    reports
}

/// Variables that a body declares and never uses.
pub fn unused_variables<'db>(item: Item<'db>, ast: &Ast) -> Vec<Report<'db>> {
    let mut declared = vec![];
    match &ast.item.kind {
        ItemKind::Fn(decl) => in_function(decl, &mut declared),
        ItemKind::Layer(decl) => in_layer(decl, &mut declared),
        ItemKind::Test { body, .. } => in_block(body, &mut declared),
        _ => {}
    }
    if declared.is_empty() {
        return vec![];
    }
    let used = names_in(ast);
    let unused = declared.into_iter().filter(|name| !name.name.starts_with('_') && !used.contains(&name.name));
    unused
        .map(|name| {
            let place = Place { item, span: name.span };
            Report::new(code::W0101, format!("`{}` is declared and never used", name.name))
                .at(place, "not used after this")
                .note("remove it, or begin its name with `_`")
        })
        .collect()
}

fn in_layer<'a>(decl: &'a LayerDecl, declared: &mut Vec<&'a Ident>) {
    for member in &decl.members {
        match &member.kind {
            MemberKind::Fn(function) => in_function(function, declared),
            MemberKind::Layer(inner) => in_layer(inner, declared),
            _ => {}
        }
    }
}

fn in_function<'a>(decl: &'a FnDecl, declared: &mut Vec<&'a Ident>) {
    if let FnBody::Block(block) = &decl.body {
        in_block(block, declared);
    }
}

fn in_block<'a>(block: &'a Block, declared: &mut Vec<&'a Ident>) {
    for stmt in &block.stmts {
        match &stmt.kind {
            // Of a tuple some part is often not wanted.
            StmtKind::Let(Let { pattern: Pattern::Name(name), .. }) => declared.push(name),
            StmtKind::If(branches) => {
                let blocks = branches.branches.iter().map(|(_, block)| block).chain(&branches.otherwise);
                blocks.for_each(|block| in_block(block, declared));
            }
            StmtKind::For { body, .. } | StmtKind::While { body, .. } => in_block(body, declared),
            _ => {}
        }
    }
}
