//! Cycles: modules that use each other, layers that hold themselves.

use crate::analysis::db::{Item, Place, Report, SourceFile, interface, items, parse_item};
use crate::analysis::elaborate::names::layer_ref;
use crate::analysis::elaborate::names::nested_layers;
use crate::analysis::modules::{self, Named};
use crate::analysis::value::LayerRef;
use crate::base::{Span, code};
use crate::syntax::ast::{Ast, ExprId, ExprKind, ItemKind, MemberKind, Use};
use crate::syntax::items::RawKind;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{HashMap, HashSet};

/// The project's files that a file uses.
#[salsa::tracked]
fn used_files(db: &dyn salsa::Database, file: SourceFile) -> Vec<SourceFile> {
    let uses = items(db, file).iter().filter(|item| item.kind(db) == RawKind::Use);
    let mut files: Vec<SourceFile> = uses.filter_map(|item| target_of(db, file, *item)).collect();
    files.retain(|file| !file.embedded(db));
    files
}

/// Whether uses lead from one file to another, or the two are one.
fn leads_to(db: &dyn salsa::Database, from: SourceFile, to: SourceFile) -> bool {
    let mut seen = HashSet::from([from]);
    let mut waiting = vec![from];
    while let Some(file) = waiting.pop() {
        if file == to {
            return true;
        }
        waiting.extend(used_files(db, file).iter().filter(|next| seen.insert(**next)));
    }
    false
}

/// The `use` items of a file that lead back to it.
#[salsa::tracked]
pub fn module_cycles<'db>(db: &'db dyn salsa::Database, file: SourceFile) -> Vec<Report<'db>> {
    let mut reports = vec![];
    for item in items(db, file).iter().filter(|item| item.kind(db) == RawKind::Use) {
        let Some(target) = target_of(db, file, *item) else { continue };
        if !leads_to(db, target, file) {
            continue;
        }
        let (from, to) = (file.module(db).replace('/', "."), target.module(db).replace('/', "."));
        let message = match target == file {
            true => format!("module `{from}` uses itself"),
            false => format!("modules `{from}` and `{to}` use each other"),
        };
        let span = parse_item(db, *item).ast.item.span;
        let report = Report::new(code::E0105, message)
            .at(Place { item: *item, span }, "this leads back here")
            .note("move what both need into a third module");
        reports.push(report);
    }
    reports
}

fn target_of<'db>(db: &'db dyn salsa::Database, from: SourceFile, item: Item<'db>) -> Option<SourceFile> {
    let ItemKind::Use(Use { path, .. }) = &interface(db, item).item.kind else { return None };
    modules::resolve_path(db, from, path)
        .or_else(|| modules::resolve_path(db, from, path.split_last().map(|(_, folder)| folder)?))
}

/// A layer by item and name: nested layers share their item.
type Key<'db> = (Item<'db>, String);

/// Layers of an item that always make themselves again.
pub fn layer_cycles<'db>(db: &'db dyn salsa::Database, item: Item<'db>, top: LayerRef<'db>) -> Vec<Report<'db>> {
    let mut graph: DiGraph<Key<'db>, Span> = DiGraph::new();
    let mut nodes: HashMap<Key<'db>, NodeIndex> = HashMap::new();
    let mut waiting = vec![];
    let id = |layer: &LayerRef<'db>| (layer.item, layer.decl.name.name.clone());
    for layer in std::iter::once(top).chain(nested_layers(top)) {
        nodes.insert(id(&layer), graph.add_node(id(&layer)));
        waiting.push((layer, top));
    }
    while let Some((layer, outer)) = waiting.pop() {
        let from = nodes[&id(&layer)];
        for (target, target_outer, span) in made_layers(db, layer, outer) {
            let key = id(&target);
            let to = *nodes.entry(key).or_insert_with(|| {
                waiting.push((target, target_outer));
                graph.add_node(id(&target))
            });
            graph.add_edge(from, to, span);
        }
    }
    let mut reports = vec![];
    for cycle in tarjan_scc(&graph) {
        for node in &cycle {
            let (owner, name) = &graph[*node];
            let inside = |edge: &NodeIndex| cycle.contains(edge);
            let edge = graph.edges(*node).find(|edge| inside(&petgraph::visit::EdgeRef::target(edge)));
            let (Some(edge), true) = (edge, *owner == item) else { continue };
            let message = format!("layer `{name}` holds itself without end");
            let report = Report::new(code::E0213, message)
                .at(Place { item, span: *edge.weight() }, format!("makes a `{name}` again each time"))
                .note("give the member a condition, as in `let child if depth > 0 = ...`");
            reports.push(report);
        }
    }
    reports
}

/// The layers that every instance makes, with the layer around them and where they are made.
fn made_layers<'db>(
    db: &'db dyn salsa::Database,
    layer: LayerRef<'db>,
    outer: LayerRef<'db>,
) -> Vec<(LayerRef<'db>, LayerRef<'db>, Span)> {
    let mut made = vec![];
    for member in &layer.decl.members {
        let MemberKind::Let(binding) = &member.kind else { continue };
        let (None, Some(init)) = (binding.cond, binding.init) else { continue };
        let mut callees = vec![];
        callees_of(layer.ast, init, &mut callees);
        for callee in callees {
            if let Some((target, target_outer)) = layer_named(db, layer, outer, callee) {
                made.push((target, target_outer, layer.ast[callee].span));
            }
        }
    }
    made
}

/// What an initial value always calls: not what stands under a condition or in a comprehension.
fn callees_of(ast: &Ast, expr: ExprId, callees: &mut Vec<ExprId>) {
    match &ast[expr].kind {
        ExprKind::Call { callee, args } => {
            callees.push(*callee);
            args.iter().for_each(|arg| callees_of(ast, arg.value, callees));
        }
        ExprKind::Tuple(items) | ExprKind::List(items) => items.iter().for_each(|e| callees_of(ast, *e, callees)),
        ExprKind::Binary { lhs, rhs, .. } => {
            callees_of(ast, *lhs, callees);
            callees_of(ast, *rhs, callees);
        }
        _ => {}
    }
}

fn layer_named<'db>(
    db: &'db dyn salsa::Database,
    layer: LayerRef<'db>,
    outer: LayerRef<'db>,
    callee: ExprId,
) -> Option<(LayerRef<'db>, LayerRef<'db>)> {
    let named = match &layer.ast[callee].kind {
        ExprKind::Index { base, .. } => return layer_named(db, layer, outer, *base),
        ExprKind::Name(name) => {
            let near = nested_layers(layer).chain(nested_layers(outer)).find(|l| l.decl.name.name == *name);
            if let Some(near) = near {
                return Some((near, outer));
            }
            if outer.decl.name.name == *name {
                return Some((outer, outer));
            }
            match modules::lookup(db, layer.item.file(db), name)? {
                Named::Item(item) => item,
                Named::Module(_) | Named::Missing => return None,
            }
        }
        ExprKind::Field { base, name } => {
            let ExprKind::Name(module) = &layer.ast[*base].kind else { return None };
            let Named::Module(file) = modules::lookup(db, layer.item.file(db), module)? else { return None };
            modules::export(db, file, &name.name)?
        }
        _ => return None,
    };
    let ast = interface(db, named);
    let ItemKind::Layer(decl) = &ast.item.kind else { return None };
    let target = layer_ref(named, ast, decl);
    Some((target, target))
}
