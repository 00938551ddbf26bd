//! Which instance of a file is the entry, where the request leaves it open.

use crate::analysis::Project;
use crate::analysis::db::{Item, SourceFile, items, parse_item};
use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::names::with_path;
use crate::analysis::value::Value;
use crate::analysis::world::Discard;
use crate::base::{Diagnostic, FileId, closest, code};
use crate::lower::entry::EntryRequest;
use crate::syntax::ast::{ExprKind, ItemKind, Pattern};

/// The entry as an expression in Tri, and the name its files get.
pub(super) fn entry_text(
    project: &Project,
    file: FileId,
    request: &EntryRequest,
) -> Result<(String, String), Diagnostic> {
    let missing = || Diagnostic::new(code::E0405, "the file has no entry");
    let Some(source) = project.file(file) else { return Err(missing()) };
    let candidates = Candidates::of(project.database(), source, &request.sets);
    if let Some(expr) = &request.expr {
        return candidates.named(expr, &request.sets);
    }
    if request.sets.is_empty() {
        match candidates.lets.as_slice() {
            [name] => return Ok((name.clone(), name.clone())),
            [] => {}
            names => {
                let message = format!("the file has several entries: {}", quoted(names));
                return Err(Diagnostic::new(code::E0406, message)
                    .note(format!("choose one, for example `--entry {}`", names[0])));
            }
        }
    }
    let layers = candidates.layers_with_sets(&request.sets)?;
    let complete: Vec<String> = layers.iter().filter(|l| l.missing.is_empty()).map(|l| l.name.clone()).collect();
    match (complete.as_slice(), layers.as_slice()) {
        ([name], _) => Ok((with_sets(&format!("{name}()"), &request.sets), name.clone())),
        ([], []) => Err(missing().note("an entry is an instance of a layer: write `let model = MyLayer(...)`")),
        ([], [Candidate { name, missing, .. }]) => {
            let message = format!("the entry `{name}` needs {}", quoted(missing));
            Err(Diagnostic::new(code::E0402, message)
                .note(format!("give them, for example `--set {}=8`, or `--entry '{name}(...)'`", missing[0])))
        }
        ([], [first, ..]) => {
            let names: Vec<String> = layers.iter().map(|layer| layer.name.clone()).collect();
            let message = format!("no layer of the file has values for all its hyperparameters: {}", quoted(&names));
            Err(Diagnostic::new(code::E0405, message)
                .note(format!("choose one, for example `--entry '{}(...)'`", first.name)))
        }
        (names, _) => {
            let message = format!("the file has several layers that could be the entry: {}", quoted(names));
            Err(Diagnostic::new(code::E0406, message)
                .note(format!("choose one, for example `--entry '{}()'`", names[0])))
        }
    }
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// What of a file can be an entry.
struct Candidates {
    /// Names of top-level instances.
    lets: Vec<String>,
    layers: Vec<Candidate>,
}

/// A layer with its hyperparameters.
struct Candidate {
    name: String,
    params: Vec<String>,
    /// Those without a value.
    missing: Vec<String>,
}

impl Candidates {
    fn of(db: &dyn salsa::Database, source: SourceFile, sets: &[(String, String)]) -> Candidates {
        let mut found = Candidates { lets: vec![], layers: vec![] };
        for item in items(db, source) {
            match &parse_item(db, *item).ast.item.kind {
                ItemKind::Let(binding) => {
                    let Pattern::Name(name) = &binding.pattern else { continue };
                    if is_instance(db, *item) {
                        found.lets.push(name.name.clone());
                    }
                }
                ItemKind::Layer(decl) => {
                    let open = decl.params.iter().filter(|p| p.default.is_none());
                    let open = open.filter(|p| !sets.iter().any(|(set, _)| *set == p.name.name));
                    found.layers.push(Candidate {
                        name: decl.name.name.clone(),
                        params: decl.params.iter().map(|p| p.name.name.clone()).collect(),
                        missing: open.map(|p| p.name.name.clone()).collect(),
                    });
                }
                _ => {}
            }
        }
        found
    }

    /// What `--entry` says, with the values of `--set`. A layer's name alone is an instance of it.
    fn named(&self, expr: &str, sets: &[(String, String)]) -> Result<(String, String), Diagnostic> {
        let expr = expr.trim();
        if expr.is_empty() {
            return Err(Diagnostic::new(code::E0407, "the entry is empty")
                .note("help: give an instance, as in `--entry 'MLP(dim=256)'`"));
        }
        let name = expr.split(['(', '[']).next().unwrap_or("entry").trim().to_string();
        if let ([(set, _), ..], true) = (sets, self.lets.iter().any(|name| name == expr)) {
            let message = format!("`{expr}` has all its hyperparameters, so `--set {set}` changes nothing");
            return Err(Diagnostic::new(code::E0407, message)
                .note(format!("help: give an instance instead, as in `--entry 'MyLayer({set}=...)'`")));
        }
        let is_layer = self.layers.iter().any(|layer| layer.name == expr && layer.missing.is_empty());
        let text = if is_layer && sets.is_empty() { format!("{expr}()") } else { with_sets(expr, sets) };
        Ok((text, name))
    }

    /// The layers that have all hyperparameters which got a value.
    fn layers_with_sets(&self, sets: &[(String, String)]) -> Result<Vec<&Candidate>, Diagnostic> {
        let all = self.layers.iter().flat_map(|layer| layer.params.iter().map(String::as_str));
        if let Some((unknown, _)) = sets.iter().find(|(set, _)| all.clone().all(|param| param != set)) {
            let diagnostic =
                Diagnostic::new(code::E0407, format!("no layer of the file has a hyperparameter `{unknown}`"));
            return Err(match closest(unknown, all) {
                Some(near) => diagnostic.note(format!("help: did you mean `{near}`?")),
                None => diagnostic,
            });
        }
        let has_all = |layer: &&Candidate| sets.iter().all(|(set, _)| layer.params.contains(set));
        Ok(self.layers.iter().filter(has_all).collect())
    }
}

fn with_sets(expr: &str, sets: &[(String, String)]) -> String {
    if sets.is_empty() {
        return expr.to_string();
    }
    let args: Vec<String> = sets.iter().map(|(name, value)| format!("{name}={value}")).collect();
    match expr.trim_end().strip_suffix(')') {
        Some(open) if open.trim_end().ends_with('(') => format!("{open}{})", args.join(", ")),
        Some(open) => format!("{}, {})", open.trim_end().trim_end_matches(','), args.join(", ")),
        None => format!("{expr}({})", args.join(", ")),
    }
}

/// Whether a top-level `let` makes an instance.
fn is_instance<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> bool {
    let ast = &parse_item(db, item).ast;
    let ItemKind::Let(binding) = &ast.item.kind else { return false };
    let Some(init) = binding.init else { return false };
    if !matches!(ast[init].kind, ExprKind::Call { .. } | ExprKind::Name(_) | ExprKind::Pipe { .. }) {
        return false;
    }
    let mut discard = Discard::like(true, Some(false));
    let mut walk = Elaborator::new(db, &mut discard, item, ast);
    walk.makes_layers = true;
    matches!(walk.expr(init), Ok(value) if matches!(with_path(value.clone(), &[]), Value::Instance(_)))
}
