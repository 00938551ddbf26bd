//! Checking one item on its own.

use crate::analysis::db::{Item, Place, Report, parse_item};
use crate::analysis::elaborate::layer::{member_name, member_span};
use crate::analysis::elaborate::names::{fn_ref, layer_ref, methods, nested_layers};
use crate::analysis::elaborate::{Decisions, Elaborator, MAX_CASES};
use crate::analysis::value::{Instance, LayerRef};
use crate::analysis::world::{Discard, Walk};
use crate::analysis::{cycles, modules, recursion, unused};
use crate::base::{Span, code, suggest, without_spare};
use crate::ops::Obligation;
use crate::syntax::ast::{Ast, Attribute, ItemKind, LayerDecl, MemberKind, Use};
use crate::types::{Elem, TensorType};
use std::collections::BTreeMap;

/// What checking an item found.
#[derive(Clone, Default, PartialEq, Eq, salsa::SalsaValue)]
pub struct Checked<'db> {
    pub reports: Vec<Report<'db>>,
    /// Inferred types of names, for the editor.
    pub inferred: Vec<(Span, Option<TensorType>)>,
    /// Functions that the body calls whatever is known at compile time.
    pub calls: Vec<(Item<'db>, Place<'db>)>,
    /// What is not proved here but left to instances and calls, but for the `where` facts that say so.
    pub unproved: Vec<(Span, Obligation)>,
}

impl Checked<'_> {
    fn without_spare(self) -> Self {
        Checked {
            reports: without_spare(self.reports),
            inferred: without_spare(self.inferred),
            calls: without_spare(self.calls),
            unproved: without_spare(self.unproved),
        }
    }
}

/// Whether more than warnings are among the reports.
pub fn has_errors(reports: &[Report<'_>]) -> bool {
    reports.iter().any(|report| !report.code.is_warning())
}

/// Checks one item: its syntax errors, then every body for every case of its open conditions.
#[salsa::tracked]
pub fn check<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Checked<'db> {
    let parsed = parse_item(db, item);
    let mut checked = Checked::default();
    for error in &parsed.errors {
        let place = |span| Place { item, span };
        let mut report = Report::new(error.code, error.message.clone()).at(place(error.span), error.label.clone());
        if let Some((span, text)) = &error.related {
            report = report.also(place(*span), text.clone());
        }
        report.notes = error.notes.clone();
        if let Some((title, edits)) = &error.fix {
            let edits = edits.iter().map(|(span, text)| (place(*span), text.clone())).collect();
            report = report.fix(title.clone(), edits);
        }
        checked.reports.push(report);
    }
    // What a broken text means is a guess; what is wrong with the guess is no news.
    if !parsed.errors.is_empty() {
        return checked;
    }
    let ast = &parsed.ast;
    check_attributes(item, ast, &mut checked);
    match &ast.item.kind {
        ItemKind::Use(import) => check_use(db, item, import, &mut checked),
        ItemKind::Fn(decl) => {
            cases(db, item, ast, &mut checked, |walk| walk.definition(fn_ref(item, ast, decl)).map(|_| ()))
        }
        ItemKind::Layer(decl) => check_layer(db, item, ast, layer_ref(item, ast, decl), &mut checked),
        ItemKind::Const { name, ty, value } => cases(db, item, ast, &mut checked, |walk| {
            let spec = match ty {
                Some(ty) => walk.resolve_type(*ty)?,
                None => crate::analysis::elaborate::types::TypeSpec::Any,
            };
            let value = walk.expr_as(*value, &spec)?;
            refuse_cycle(walk, &name.name, name.span)?;
            if value.has_tensor() || value.has_instance() {
                let message = format!("`{}` must be a compile-time value", name.name);
                return Err(walk.error(code::E0401, message, name.span, "use `let` for it"));
            }
            Ok(())
        }),
        ItemKind::Let(binding) => cases(db, item, ast, &mut checked, |walk| {
            walk.makes_layers = true;
            walk.adopts = true;
            walk.let_stmt(binding)?;
            match &binding.pattern {
                crate::syntax::ast::Pattern::Name(name) => refuse_cycle(walk, &name.name, name.span),
                _ => Ok(()),
            }
        }),
        ItemKind::TypeAlias { ty, .. } => cases(db, item, ast, &mut checked, |walk| {
            use crate::analysis::elaborate::{DeclareAs, Declaring};
            walk.declaring = Some(Declaring::new(DeclareAs::Own));
            walk.resolve_type(*ty).map(|_| ())
        }),
        ItemKind::Test { body, .. } => cases(db, item, ast, &mut checked, |walk| {
            walk.makes_layers = true;
            walk.adopts = true;
            walk.block(body, None).map(|_| ())
        }),
        // Statements of a script share their names: they are checked together.
        ItemKind::Stmt(_) | ItemKind::Error => {}
    }
    // A shape that surprises may come of a mistake elsewhere.
    if has_errors(&checked.reports) {
        checked.reports.retain(|report| !report.code.is_warning());
    }
    // A name may be unused only because what uses it is not understood yet.
    if !has_errors(&checked.reports) {
        checked.reports.extend(unused::unused_variables(db, item, ast));
    }
    checked.without_spare()
}

/// What is wrong with an item. Unlike the types of its names, this mostly stays as it is while one types.
#[salsa::tracked]
pub fn reports<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Vec<Report<'db>> {
    let checked = check(db, item);
    let mut reports = checked.reports.clone();
    if reports.is_empty() && !checked.calls.is_empty() {
        reports.extend(recursion::endless(db, item));
    }
    reports
}

/// A cycle over several constants is met inside the others, where nothing is reported.
fn refuse_cycle(walk: &mut Elaborator<'_, '_>, name: &str, span: Span) -> Walk<()> {
    match walk.cyclic && walk.reports.is_empty() {
        true => {
            let message = format!("`{name}` is defined in terms of itself");
            Err(walk.error(code::E0404, message, span, "comes back to itself through others"))
        }
        false => Ok(()),
    }
}

/// Walks once for each combination of answers to open conditions.
pub fn cases<'db>(
    db: &'db dyn salsa::Database,
    item: Item<'db>,
    ast: &'db Ast,
    checked: &mut Checked<'db>,
    mut walk: impl FnMut(&mut Elaborator<'_, 'db>) -> Walk<()>,
) {
    let mut decisions = Some(Decisions::default());
    for _ in 0..MAX_CASES {
        let Some(current) = decisions else { break };
        let mut world = Discard::default();
        let mut elaborator = Elaborator::new(db, &mut world, item, ast);
        elaborator.decisions = current;
        // An abort was reported; demands do not arise without specialisation.
        let _ = walk(&mut elaborator);
        decisions = elaborator.decisions.next();
        if elaborator.facts.is_contradictory() {
            continue;
        }
        for report in elaborator.reports {
            if !checked.reports.contains(&report) {
                checked.reports.push(report);
            }
        }
        for call in elaborator.calls {
            if !checked.calls.contains(&call) {
                checked.calls.push(call);
            }
        }
        for entry in elaborator.inferred {
            if !checked.inferred.contains(&entry) {
                checked.inferred.push(entry);
            }
        }
        let own = elaborator.obligations.into_iter().filter(|(_, place)| place.item == item);
        for entry in own.map(|(obligation, place)| (place.span, obligation)) {
            if !checked.unproved.contains(&entry) {
                checked.unproved.push(entry);
            }
        }
    }
}

fn check_layer<'db>(
    db: &'db dyn salsa::Database,
    item: Item<'db>,
    ast: &'db Ast,
    layer: LayerRef<'db>,
    checked: &mut Checked<'db>,
) {
    check_duplicates(item, layer, checked);
    if std::ptr::eq(layer.decl, top_decl(ast).unwrap_or(layer.decl)) {
        checked.reports.extend(cycles::layer_cycles(db, item, layer));
    }
    let before = checked.reports.len();
    cases(db, item, ast, checked, |walk| {
        let members = open_layer(walk, layer)?;
        if let Some(result) = layer.decl.result {
            walk.resolve_type(result)?;
        }
        walk.quantize_attributes(layer)?;
        walk.initial_values(&members)
    });
    // With unknown members every method would repeat the same mistakes.
    if checked.reports.len() == before {
        for method in methods(layer) {
            cases(db, item, ast, checked, |walk| {
                open_layer(walk, layer)?;
                walk.definition(method).map(|_| ())
            });
        }
    }
    for inner in nested_layers(layer) {
        check_layer(db, item, ast, inner, checked);
    }
}

fn top_decl(ast: &Ast) -> Option<&LayerDecl> {
    match &ast.item.kind {
        ItemKind::Layer(decl) => Some(decl),
        _ => None,
    }
}

/// Enters a layer with its hyperparameters open.
fn open_layer<'db>(
    walk: &mut Elaborator<'_, 'db>,
    layer: LayerRef<'db>,
) -> Walk<Vec<crate::analysis::elaborate::layer::MemberInfo<'db>>> {
    walk.declare_type_params(&layer.decl.type_params)?;
    let elems: Vec<Elem> =
        layer.decl.type_params.iter().filter_map(|p| walk.elems.get(&p.name.name).cloned()).collect();
    let mut hypers = vec![];
    for param in &layer.decl.params {
        let value = walk.open_hyper(param)?;
        walk.bind(&param.name.name, value.clone());
        hypers.push((param.name.name.clone(), value));
    }
    walk.enter_layer(layer, Instance { layer, elems, hypers, path: Some(vec![]), values: None });
    walk.assume_wheres(&layer.decl.wheres)?;
    walk.members(layer, &[])
}

fn check_duplicates<'db>(item: Item<'db>, layer: LayerRef<'db>, checked: &mut Checked<'db>) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    let params = layer.decl.params.iter().map(|param| (param.name.name.as_str(), param.name.span));
    let members = layer.decl.members.iter().filter_map(|member| Some((member_name(member)?, member_span(member))));
    for (name, span) in params.chain(members) {
        if let Some(first) = seen.insert(name, span) {
            let report = Report::new(code::E0102, format!("`{name}` is defined twice in `{}`", layer.decl.name.name))
                .at(Place { item, span }, "defined again")
                .also(Place { item, span: first }, "first defined here");
            checked.reports.push(report);
        }
    }
}

fn check_use<'db>(db: &'db dyn salsa::Database, item: Item<'db>, import: &'db Use, checked: &mut Checked<'db>) {
    let file = item.file(db);
    let dotted =
        |path: &[crate::syntax::ast::Ident]| path.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(".");
    let span = match (import.path.first(), import.path.last()) {
        (Some(first), Some(last)) => first.span.to(last.span),
        _ => return,
    };
    if let Some(target) = modules::resolve_path(db, file, &import.path) {
        for name in import.names.iter().flatten() {
            if modules::export(db, target, &name.name).is_none() {
                let place = Place { item, span: name.span };
                let message = format!("module `{}` has no `{}`", dotted(&import.path), name.name);
                let mut report = Report::new(code::E0104, message).at(place, "not found");
                let exports = modules::exports(db, target).keys();
                if let Some(near) = suggest::nearest(&name.name, exports.map(String::as_str)) {
                    report = report.rename(place, near);
                }
                checked.reports.push(report);
            }
        }
        return;
    }
    if let Some((last, folder)) = import.path.split_last()
        && !folder.is_empty()
        && let Some(target) = modules::resolve_path(db, file, folder)
        && modules::export(db, target, &last.name).is_some()
    {
        return;
    }
    let mut report = Report::new(code::E0103, format!("unknown module `{}`", dotted(&import.path)))
        .at(Place { item, span }, "no such file, and not in the standard library");
    if let Some((last, folder)) = import.path.split_last()
        && !folder.is_empty()
        && let Some(target) = modules::resolve_path(db, file, folder)
    {
        let message = format!("module `{}` has no `{}`", dotted(folder), last.name);
        let place = Place { item, span: last.span };
        let mut report = Report::new(code::E0104, message).at(place, "neither a module nor a name in one");
        if let Some(near) = suggest::nearest(&last.name, modules::exports(db, target).keys().map(String::as_str)) {
            report = report.rename(place, near);
        }
        checked.reports.push(report);
        return;
    }
    if let Some(near) = suggest::nearest(&dotted(&import.path), modules::STDLIB.iter().map(|(name, _)| *name)) {
        report = report.rename(Place { item, span }, near);
    }
    checked.reports.push(report);
}

/// Attributes that exist: the table of attributes in `docs/language.md` explains each.
const ATTRIBUTES: &[&str] =
    &["quantize", "checkpoint", "device", "target", "shard", "export", "transient", "saved", "map"];

fn check_attributes<'db>(item: Item<'db>, ast: &'db Ast, checked: &mut Checked<'db>) {
    let mut all: Vec<&Attribute> = ast.item.attributes.iter().collect();
    if let ItemKind::Layer(decl) = &ast.item.kind {
        collect_attributes(decl, &mut all);
        refuse_in_members(item, decl, checked);
    } else {
        refuse_quantize(item, &ast.item.attributes, checked);
    }
    refuse_saved(item, &ast.item.attributes, checked);
    for attribute in all {
        let name = attribute.name.name.as_str();
        if name == "map" {
            check_map(item, attribute, checked);
        }
        if !ATTRIBUTES.contains(&name) {
            let place = Place { item, span: attribute.name.span };
            let mut report = Report::new(code::E0108, format!("unknown attribute `@{name}`")).at(place, "not known");
            report = match suggest::nearest(name, ATTRIBUTES.iter().copied()) {
                Some(near) => report.rename(place, near),
                None => report.note(format!("attributes are: {}", ATTRIBUTES.join(", "))),
            };
            checked.reports.push(report);
        }
    }
}

/// Targets for which `@map` may give a native form: those with a folder of templates, and names of the language for some
/// that are still to come. Checking knows no targets; each looks up its own name.
fn map_names() -> impl Iterator<Item = &'static str> {
    const THERE: &[&str] = include!(concat!(env!("OUT_DIR"), "/target_names.rs"));
    const TO_COME: &[&str] = &["triton", "c", "ttnn", "ggml", "onnx"];
    THERE.iter().chain(TO_COME.iter().filter(|name| !THERE.contains(name))).copied()
}

fn check_map<'db>(item: Item<'db>, attribute: &Attribute, checked: &mut Checked<'db>) {
    let names = attribute.args.iter().filter_map(|arg| arg.name.as_ref());
    for name in names.filter(|name| map_names().all(|known| known != name.name)) {
        let place = Place { item, span: name.span };
        let mut report =
            Report::new(code::E0605, format!("`@map` names the unknown target `{}`", name.name)).at(place, "not known");
        report = match suggest::nearest(&name.name, map_names()) {
            Some(near) => report.rename(place, near),
            None => report.note(format!("targets are: {}", map_names().collect::<Vec<_>>().join(", "))),
        };
        checked.reports.push(report);
    }
}

/// `@quantize` reaches what a layer holds; elsewhere it would do nothing.
fn refuse_quantize<'db>(item: Item<'db>, attributes: &'db [Attribute], checked: &mut Checked<'db>) {
    for attribute in attributes.iter().filter(|attribute| attribute.name.name == "quantize") {
        let report = Report::new(code::E0501, "nothing here is quantised")
            .at(Place { item, span: attribute.span }, "has no effect")
            .note("`@quantize` stands before a `param`, a `let` of a layer, or a `layer`");
        checked.reports.push(report);
    }
}

/// `@saved` names what a member holds; elsewhere it would do nothing.
fn refuse_saved<'db>(item: Item<'db>, attributes: &'db [Attribute], checked: &mut Checked<'db>) {
    for attribute in attributes.iter().filter(|attribute| attribute.name.name == "saved") {
        let report = Report::new(code::E0109, "nothing here is saved")
            .at(Place { item, span: attribute.span }, "has no effect")
            .note("`@saved` stands before a `param`, `buffer`, `state` or `let` of a layer");
        checked.reports.push(report);
    }
}

fn refuse_in_members<'db>(item: Item<'db>, decl: &'db crate::syntax::ast::LayerDecl, checked: &mut Checked<'db>) {
    for member in &decl.members {
        match &member.kind {
            MemberKind::Fn(_) | MemberKind::Const { .. } | MemberKind::TypeAlias { .. } => {
                refuse_saved(item, &member.attributes, checked);
                refuse_quantize(item, &member.attributes, checked);
            }
            MemberKind::Layer(inner) => {
                refuse_saved(item, &member.attributes, checked);
                refuse_in_members(item, inner, checked);
            }
            _ => {}
        }
    }
}

fn collect_attributes<'a>(decl: &'a crate::syntax::ast::LayerDecl, all: &mut Vec<&'a Attribute>) {
    for member in &decl.members {
        all.extend(&member.attributes);
        if let MemberKind::Layer(inner) = &member.kind {
            collect_attributes(inner, all);
        }
    }
}

/// Names that a file defines more than once.
#[salsa::tracked]
pub fn duplicates<'db>(db: &'db dyn salsa::Database, file: crate::analysis::db::SourceFile) -> Vec<Report<'db>> {
    use crate::syntax::items::RawKind;
    let mut reports = vec![];
    let mut first: BTreeMap<String, Item<'db>> = BTreeMap::new();
    for item in crate::analysis::db::items(db, file) {
        let declares = matches!(item.kind(db), RawKind::Const | RawKind::Type | RawKind::Fn | RawKind::Layer);
        let Some(name) = item.name(db).as_ref().filter(|_| declares) else { continue };
        match first.get(name) {
            None => {
                first.insert(name.clone(), *item);
            }
            Some(other) => {
                let report = Report::new(code::E0102, format!("`{name}` is defined twice"))
                    .at(Place { item: *item, span: name_span(db, *item) }, "defined again")
                    .also(Place { item: *other, span: name_span(db, *other) }, "first defined here");
                reports.push(report);
            }
        }
    }
    reports
}

fn name_span<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Span {
    match &parse_item(db, item).ast.item.kind {
        ItemKind::Fn(decl) => decl.name.span,
        ItemKind::Layer(decl) => decl.name.span,
        ItemKind::Const { name, .. } | ItemKind::TypeAlias { name, .. } => name.span,
        _ => parse_item(db, item).ast.item.span,
    }
}

/// Checks the top-level statements of a file as one script, with its `let`s among them.
#[salsa::tracked]
pub fn check_script<'db>(db: &'db dyn salsa::Database, file: crate::analysis::db::SourceFile) -> Vec<Report<'db>> {
    let Some(first) =
        crate::analysis::db::items(db, file).iter().find(|item| item.kind(db) == crate::syntax::items::RawKind::Stmt)
    else {
        return vec![];
    };
    let mut checked = Checked::default();
    cases(db, *first, &parse_item(db, *first).ast, &mut checked, |walk| walk.script(file).map(|_| ()));
    checked.reports
}
