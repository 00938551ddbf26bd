//! Modules: which file a `use` path names, and what a file's names are.
//!
//! A project file's module key is its path from the project root without the extension (`models/llama`),
//! one of the standard library is `std:nn`. `use a.b` in `models/llama` looks for `models/a/b`, then
//! `a/b`, then `std:a.b`. Path segments are identifiers, so a path cannot climb out of its root.

use crate::analysis::db::{Item, Library, ModuleMap, SourceFile, Word, interface, items};
use crate::syntax::ast::{Ident, ItemKind, Use};
use crate::syntax::items::RawKind;
use std::collections::BTreeMap;

/// The embedded standard library: the name and the text of each module, from the files in `stdlib/`
/// (`build.rs` lists them).
pub const STDLIB: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/stdlib.rs"));

/// Modules whose names every file sees.
pub const IMPLICIT: &[&str] = &["prelude", "activations", "losses", "attention"];

/// Key of a module of the standard library.
pub fn std_key(name: &str) -> String {
    format!("std:{name}")
}

/// Whether a key is one of the standard library.
pub fn is_std_key(key: &str) -> bool {
    key.starts_with("std:")
}

/// What a name at the top of a file stands for.
#[derive(Clone, Copy, PartialEq, Eq, salsa::SalsaValue)]
pub enum Named<'db> {
    Item(Item<'db>),
    Module(SourceFile),
    /// Imported from where it is not; reported at the import.
    Missing,
}

/// Keys to try for a `use` path in a module, in order.
pub fn candidate_keys(from: &str, path: &[&str]) -> Vec<String> {
    let joined = path.join("/");
    let mut keys = vec![];
    if !is_std_key(from) {
        if let Some((folder, _)) = from.rsplit_once('/') {
            keys.push(format!("{folder}/{joined}"));
        }
        keys.push(joined);
    }
    keys.push(std_key(&path.join(".")));
    keys
}

/// The file that a `use` path names.
pub fn resolve_path(db: &dyn salsa::Database, from: SourceFile, path: &[Ident]) -> Option<SourceFile> {
    let names: Vec<&str> = path.iter().map(|p| p.name.as_str()).collect();
    candidate_keys(from.module(db), &names).iter().find_map(|key| file_of(db, key))
}

/// The file of a module key. The library is asked for its own keys alone, so that nothing in it depends on
/// the project.
fn file_of(db: &dyn salsa::Database, key: &str) -> Option<SourceFile> {
    match is_std_key(key) {
        true => Library::try_get(db)?.files(db).get(key).copied(),
        false => ModuleMap::try_get(db)?.files(db).get(key).copied(),
    }
}

/// The items a file declares, by name. The first of two equal names wins; the second is reported.
#[salsa::tracked]
pub fn exports<'db>(db: &'db dyn salsa::Database, file: SourceFile) -> BTreeMap<String, Item<'db>> {
    let mut names = BTreeMap::new();
    for item in items(db, file) {
        let declares = match item.kind(db) {
            RawKind::Const | RawKind::Let | RawKind::Type | RawKind::Fn | RawKind::Layer => true,
            RawKind::Use | RawKind::Test | RawKind::Stmt => false,
        };
        if let (true, Some(name)) = (declares, item.name(db)) {
            names.entry(name.clone()).or_insert(*item);
        }
    }
    names
}

/// Every name visible at the top of a file: its own, then those it uses.
#[salsa::tracked]
pub fn scope<'db>(db: &'db dyn salsa::Database, file: SourceFile) -> BTreeMap<String, Named<'db>> {
    let mut names: BTreeMap<String, Named<'db>> =
        exports(db, file).iter().map(|(name, item)| (name.clone(), Named::Item(*item))).collect();
    for item in items(db, file).iter().filter(|item| item.kind(db) == RawKind::Use) {
        let ItemKind::Use(import) = &interface(db, *item).item.kind else { continue };
        for (name, named) in imported(db, file, import) {
            names.entry(name).or_insert(named);
        }
    }
    names
}

/// What a name stands for at the top of a file. Who asks for one name is untouched by others that come and go.
pub fn lookup<'db>(db: &'db dyn salsa::Database, file: SourceFile, name: &str) -> Option<Named<'db>> {
    match file.embedded(db) {
        true => scope(db, file).get(name).copied(),
        false => *named(db, file, Word::new(db, name)),
    }
}

#[salsa::tracked]
fn named<'db>(db: &'db dyn salsa::Database, file: SourceFile, name: Word<'db>) -> Option<Named<'db>> {
    scope(db, file).get(name.text(db)).copied()
}

/// The item that a file declares under a name.
pub fn export<'db>(db: &'db dyn salsa::Database, file: SourceFile, name: &str) -> Option<Item<'db>> {
    match file.embedded(db) {
        true => exports(db, file).get(name).copied(),
        false => *exported(db, file, Word::new(db, name)),
    }
}

#[salsa::tracked]
fn exported<'db>(db: &'db dyn salsa::Database, file: SourceFile, name: Word<'db>) -> Option<Item<'db>> {
    exports(db, file).get(name.text(db)).copied()
}

/// What one `use` brings in; what cannot be found is kept as missing (and reported where it stands).
fn imported<'db>(db: &'db dyn salsa::Database, file: SourceFile, import: &Use) -> Vec<(String, Named<'db>)> {
    if let Some(target) = resolve_path(db, file, &import.path) {
        return match (&import.names, import.alias.as_ref().or(import.path.last())) {
            (Some(names), _) => names
                .iter()
                .map(|name| {
                    let item = exports(db, target).get(&name.name);
                    (name.name.clone(), item.map_or(Named::Missing, |item| Named::Item(*item)))
                })
                .collect(),
            (None, Some(name)) => vec![(name.name.clone(), Named::Module(target))],
            (None, None) => vec![],
        };
    }
    if let Some(names) = &import.names {
        return names.iter().map(|name| (name.name.clone(), Named::Missing)).collect();
    }
    // `use nn.Linear` names an item of a module.
    let Some((last, folder)) = import.path.split_last() else { return vec![] };
    let found = resolve_path(db, file, folder).and_then(|target| exports(db, target).get(&last.name));
    let name = import.alias.as_ref().unwrap_or(last);
    vec![(name.name.clone(), found.map_or(Named::Missing, |item| Named::Item(*item)))]
}

/// A name of the implicit modules.
pub fn implicit<'db>(db: &'db dyn salsa::Database, name: &str) -> Option<Item<'db>> {
    implicit_items(db, Library::try_get(db)?).get(name).copied()
}

/// The names of the implicit modules; the first module that has one gives it.
#[salsa::tracked]
fn implicit_items<'db>(db: &'db dyn salsa::Database, library: Library) -> BTreeMap<String, Item<'db>> {
    let mut names = BTreeMap::new();
    for file in IMPLICIT.iter().filter_map(|module| library.files(db).get(&std_key(module))) {
        for (name, item) in exports(db, *file) {
            names.entry(name.clone()).or_insert(*item);
        }
    }
    names
}

/// All names that the implicit modules give, for suggestions.
pub fn implicit_names(db: &dyn salsa::Database) -> Vec<&str> {
    let library = Library::try_get(db);
    library.into_iter().flat_map(|library| implicit_items(db, library).keys().map(String::as_str)).collect()
}

/// The module of the standard library that has an item of this name.
pub fn library_module_with(db: &dyn salsa::Database, name: &str) -> Option<&'static str> {
    let mut modules = STDLIB.iter().map(|(module, _)| *module);
    modules.find(|module| file_of(db, &std_key(module)).is_some_and(|file| exports(db, file).contains_key(name)))
}
