//! A program under analysis: its database, its files, and how `use` finds more of them.
//!
//! One thread owns the [`Project`] and edits it. Others read it through a [`Snapshot`] each; an edit makes
//! their work end early, as [`Cancelled`], and waits until they have let go.

use crate::analysis::db::{Database as Analysis, Library, ModuleMap, SourceFile, items, parse_item};
use crate::analysis::pieces::{Cut, Pieces};
use crate::analysis::{gather, modules};
use crate::base::{Diagnostic, FileId, LIBRARY_FOLDER, Source, Sources, Span};
use crate::syntax::ast::ItemKind;
use crate::syntax::items::RawKind;
use salsa::{Durability, Setter};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Finds project modules; the standard library is built in.
pub trait Loader {
    /// The text of a module and the name to show for it; `None` if there is no such file, an error, which gets
    /// its place at the `use`, if there is one that cannot be used. Keys are paths from the project root without extension.
    fn load(&mut self, key: &str) -> Result<Option<Source>, Diagnostic>;
}

/// A loader that finds nothing.
pub struct NoFiles;

impl Loader for NoFiles {
    fn load(&mut self, _: &str) -> Result<Option<Source>, Diagnostic> {
        Ok(None)
    }
}

/// A module that a file uses: where its path stands, and the keys of project files that may be meant, in order.
struct Used {
    path: Span,
    keys: Vec<String>,
}

/// A set of files with a salsa database around it.
pub struct Project {
    db: Analysis,
    sources: Sources,
    /// What of the sources is under analysis, by [`FileId`].
    by_id: Vec<Option<SourceFile>>,
    /// The project's own files, by module key.
    files: BTreeMap<String, SourceFile>,
    /// Inputs of files that were closed, to be used again: salsa keeps inputs for ever.
    closed: BTreeMap<String, SourceFile>,
    /// The texts of the project's own files, cut into items.
    pieces: Pieces,
}

/// A project as it stands, for reading in another thread.
///
/// An edit waits until every snapshot is gone, so take one for each piece of work, when the work begins. A
/// thread that holds one must not edit.
pub struct Snapshot {
    project: Project,
}

/// The project was edited while a snapshot of it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl Snapshot {
    /// Does some reading, and lets go of the snapshot. An edit meanwhile ends it early.
    pub fn read<T>(self, work: impl FnOnce(&Project) -> T) -> Result<T, Cancelled> {
        // Queries leave no broken state behind when they are unwound, and the snapshot goes with them.
        salsa::Cancelled::catch(AssertUnwindSafe(|| work(&self.project))).map_err(|_| Cancelled)
    }
}

impl Default for Project {
    fn default() -> Self {
        Project::new()
    }
}

impl Project {
    /// A project that knows the standard library.
    pub fn new() -> Project {
        let db = Analysis::default();
        let (mut sources, mut by_id, mut library) = (Sources::default(), vec![], BTreeMap::new());
        for (name, text) in modules::STDLIB {
            let source = Source::new(format!("{LIBRARY_FOLDER}{}.tri", name.replace('.', "/")), *text);
            let (name, text, key) = (source.name.clone(), source.text.clone(), modules::std_key(name));
            let id = sources.add(source);
            let file = SourceFile::builder(name, key.clone(), true, id.0, text, Arc::default(), Arc::default());
            let file = file.durability(Durability::NEVER_CHANGE).new(&db);
            by_id.push(Some(file));
            library.insert(key, file);
        }
        let _ = Library::builder(library).durability(Durability::NEVER_CHANGE).new(&db);
        let _ = ModuleMap::builder(BTreeMap::new()).durability(Durability::MEDIUM).new(&db);
        let pieces = Pieces::default();
        Project { db, sources, by_id, files: BTreeMap::new(), closed: BTreeMap::new(), pieces }
    }

    /// The functions of the standard library that are no models' own, in its order: `activations.softmax`.
    pub fn library_functions(&self) -> Vec<String> {
        let (db, files) = (&self.db, self.by_id.iter().take(modules::STDLIB.len()).flatten());
        let functions = |(module, file): (&str, SourceFile)| {
            let items = items(db, file).iter().filter(|item| item.kind(db) == RawKind::Fn);
            let names: Vec<&str> = items.filter_map(|item| item.name(db).as_deref()).collect();
            names.iter().map(|name| format!("{module}.{name}")).collect::<Vec<_>>()
        };
        let modules = modules::STDLIB.iter().map(|(module, _)| *module).zip(files.copied());
        modules.filter(|(module, _)| !module.contains('.')).flat_map(functions).collect()
    }

    /// Forgets every file but those of the standard library, which need not be read again.
    pub fn clear(&mut self) {
        self.closed.append(&mut self.files);
        self.sources.truncate(modules::STDLIB.len());
        self.by_id.truncate(modules::STDLIB.len());
    }

    /// This project for another thread.
    pub fn snapshot(&self) -> Snapshot {
        let project = Project {
            db: self.db.clone(),
            sources: self.sources.clone(),
            by_id: self.by_id.clone(),
            files: self.files.clone(),
            closed: BTreeMap::new(),
            pieces: Pieces::default(),
        };
        Snapshot { project }
    }

    fn add(&mut self, key: &str, source: Source) -> SourceFile {
        let (name, text) = (source.name.clone(), source.text.clone());
        let id = self.add_source(source);
        if let Some(old) = self.files.remove(key) {
            self.by_id[old.index(&self.db) as usize] = None;
            self.closed.insert(key.to_string(), old);
        }
        let again = self.closed.remove(key).or_else(|| self.closed.pop_first().map(|(_, file)| file));
        let file = match again {
            Some(file) => self.reuse(file, name, key, id, text),
            None => self.create(name, key, id, text),
        };
        self.by_id[id.0 as usize] = Some(file);
        self.files.insert(key.to_string(), file);
        file
    }

    fn create(&mut self, name: String, key: &str, id: FileId, text: Arc<str>) -> SourceFile {
        let (split, Cut { outline, starts }) = self.pieces.cut(&mut self.db, &text);
        let file = SourceFile::builder(name, key.to_string(), false, id.0, text, outline, starts)
            .durability(Durability::MEDIUM)
            .text_durability(Durability::LOW)
            .starts_durability(Durability::LOW)
            .new(&self.db);
        self.pieces.keep(file, split);
        file
    }

    /// Makes the input of a closed file that of another. What stays the same is not written: each write begins
    /// a new revision.
    fn reuse(&mut self, file: SourceFile, name: String, key: &str, id: FileId, text: Arc<str>) -> SourceFile {
        let db = &mut self.db;
        if *file.name(db) != name {
            file.set_name(db).to(name);
        }
        if file.module(db) != key {
            file.set_module(db).to(key.to_string());
        }
        if file.index(db) != id.0 {
            file.set_index(db).to(id.0);
        }
        if *file.text(db) != text {
            self.pieces.replace(db, file, text);
        }
        file
    }

    /// Tells the queries which files there are.
    fn publish(&mut self) {
        // No `use` can name a key that is no name.
        let files = self.files.iter().filter(|(key, _)| !is_entry(key));
        let files: BTreeMap<String, SourceFile> = files.map(|(key, file)| (key.clone(), *file)).collect();
        let map = ModuleMap::get(&self.db);
        if *map.files(&self.db) != files {
            map.set_files(&mut self.db).to(files);
        }
    }

    /// Opens a file under a module key, and every module it uses. The diagnostics tell of modules that are
    /// there and cannot be used.
    pub fn open(&mut self, key: &str, source: Source, loader: &mut dyn Loader) -> (FileId, Vec<Diagnostic>) {
        let mut refused = vec![];
        if let Some(same) = self.files.get(key).map(|file| FileId(file.index(&self.db)))
            && *self.sources.get(same) == source
        {
            return (same, refused);
        }
        let file = self.add(key, source);
        let mut waiting = vec![file];
        let mut unusable = BTreeSet::new();
        while let Some(file) = waiting.pop() {
            for used in self.used_keys(file) {
                for key in used.keys {
                    if self.files.contains_key(&key) || unusable.contains(&key) {
                        break;
                    }
                    match loader.load(&key) {
                        Ok(Some(source)) => {
                            waiting.push(self.add(&key, source));
                            break;
                        }
                        Ok(None) => {}
                        Err(diagnostic) => {
                            let place = FileId(file.index(&self.db));
                            refused.push(diagnostic.primary(place, used.path, "used here"));
                            unusable.insert(key);
                            break;
                        }
                    }
                }
            }
        }
        self.publish();
        (FileId(file.index(&self.db)), refused)
    }

    /// A text that only diagnostics point into.
    pub fn add_source(&mut self, source: Source) -> FileId {
        self.by_id.push(None);
        self.sources.add(source)
    }

    /// For each `use` of a file, what may be meant: the whole path, or all but a name of the module.
    fn used_keys(&self, file: SourceFile) -> Vec<Used> {
        let db = &self.db;
        let mut all = vec![];
        for item in items(db, file).iter().filter(|item| item.kind(db) == RawKind::Use) {
            let ItemKind::Use(import) = &parse_item(db, *item).ast.item.kind else { continue };
            let (Some(first), Some(last)) = (import.path.first(), import.path.last()) else { continue };
            let path = first.span.to(last.span).offset_by(item.base(db));
            let names: Vec<&str> = import.path.iter().map(|part| part.name.as_str()).collect();
            for length in (1..=names.len()).rev().take(2) {
                let mut keys = modules::candidate_keys(file.module(db), &names[..length]);
                keys.retain(|key| !modules::is_std_key(key));
                all.push(Used { path, keys });
            }
        }
        all
    }

    /// Replaces a file's text. The standard library stays as it is.
    pub fn edit(&mut self, id: FileId, text: impl Into<Arc<str>>) {
        let Some(file) = self.file(id).filter(|file| !file.embedded(&self.db)) else { return };
        let source = Source::new(file.name(&self.db).clone(), text);
        self.pieces.edit(&mut self.db, file, source.text.clone());
        self.sources.replace(id, source);
    }

    pub fn database(&self) -> &Analysis {
        &self.db
    }

    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    pub fn file(&self, id: FileId) -> Option<SourceFile> {
        self.by_id.get(id.0 as usize).copied().flatten()
    }

    /// Every diagnostic of one file.
    pub fn check(&self, id: FileId) -> Vec<Diagnostic> {
        self.file(id).map(|file| gather::diagnostics(&self.db, file)).unwrap_or_default()
    }

    /// What could be written better in a file that is right: nothing that `check` speaks of.
    pub fn hints(&self, id: FileId) -> Vec<Diagnostic> {
        self.file(id).map(|file| gather::hints(&self.db, file)).unwrap_or_default()
    }

    /// Every diagnostic of the project's own files.
    pub fn check_all(&self) -> Vec<Diagnostic> {
        // An entry expression is judged when it is lowered.
        let own = self.files.iter().filter(|(key, _)| !is_entry(key));
        let mut ids: Vec<FileId> = own.map(|(_, file)| FileId(file.index(&self.db))).collect();
        ids.sort();
        ids.into_iter().flat_map(|id| self.check(id)).collect()
    }
}

/// Whether a key is that of an entry expression, which no module can have.
fn is_entry(key: &str) -> bool {
    key.ends_with('\'')
}
