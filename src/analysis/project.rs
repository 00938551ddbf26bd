//! A program under analysis: its database, its files, and how `use` finds more of them.

use crate::analysis::check::{check, check_script, duplicates, may_follow_from};
use crate::analysis::cycles::module_cycles;
use crate::analysis::db::{Database as Analysis, ModuleMap, SourceFile, interface, items, parse_item};
use crate::analysis::instantiate::check_instances;
use crate::analysis::modules;
use crate::analysis::unused::unused_imports;
use crate::base::{Diagnostic, FileId, Source, Sources};
use crate::syntax::ast::ItemKind;
use crate::syntax::items::RawKind;
use salsa::{Database, Durability, Setter};
use std::collections::BTreeMap;

/// Finds project modules; the standard library is built in.
pub trait Loader {
    /// The text of a module and the name to show for it; `None` if there is no such file, an error if there
    /// is one that cannot be used. Keys are paths from the project root without extension.
    fn load(&mut self, key: &str) -> Result<Option<Source>, Diagnostic>;
}

/// A loader that finds nothing.
pub struct NoFiles;

impl Loader for NoFiles {
    fn load(&mut self, _: &str) -> Result<Option<Source>, Diagnostic> {
        Ok(None)
    }
}

/// A set of files with a salsa database around it.
pub struct Project {
    db: Analysis,
    sources: Sources,
    files: BTreeMap<String, SourceFile>,
}

impl Default for Project {
    fn default() -> Self {
        Project::new()
    }
}

impl Project {
    /// A project that knows the standard library.
    pub fn new() -> Project {
        let mut project = Project { db: Analysis::default(), sources: Sources::default(), files: BTreeMap::new() };
        for (name, text) in modules::STDLIB {
            let source = Source::new(format!("<std>/{}.tri", name.replace('.', "/")), *text);
            project.add(&modules::std_key(name), source, true);
        }
        project.publish();
        project
    }

    fn add(&mut self, key: &str, source: Source, embedded: bool) -> SourceFile {
        let durability = if embedded { Durability::HIGH } else { Durability::LOW };
        let text = source.text.clone();
        let name = source.name.clone();
        let index = self.sources.add(source).0;
        let file =
            SourceFile::builder(name, key.to_string(), embedded, index, text).durability(durability).new(&self.db);
        self.files.insert(key.to_string(), file);
        file
    }

    fn publish(&mut self) {
        let files = self.files.clone();
        match ModuleMap::try_get(&self.db) {
            Some(map) => {
                map.set_files(&mut self.db).to(files);
            }
            None => {
                ModuleMap::new(&self.db, files);
            }
        }
    }

    /// Opens a file under a module key, and every module it uses. The diagnostics tell of modules that are
    /// there and cannot be used.
    pub fn open(&mut self, key: &str, source: Source, loader: &mut dyn Loader) -> (FileId, Vec<Diagnostic>) {
        let mut refused = vec![];
        let file = self.add(key, source, false);
        let mut waiting = vec![file];
        while let Some(file) = waiting.pop() {
            for candidates in self.used_keys(file) {
                for key in candidates {
                    if self.files.contains_key(&key) {
                        break;
                    }
                    match loader.load(&key) {
                        Ok(Some(source)) => {
                            waiting.push(self.add(&key, source, false));
                            break;
                        }
                        Ok(None) => {}
                        Err(diagnostic) => refused.push(diagnostic),
                    }
                }
            }
        }
        self.publish();
        (FileId(file.index(&self.db)), refused)
    }

    /// A text that only diagnostics point into.
    pub fn add_source(&mut self, source: Source) -> FileId {
        self.sources.add(source)
    }

    /// For each `use` of a file, the keys that may be meant.
    fn used_keys(&self, file: SourceFile) -> Vec<Vec<String>> {
        let db = &self.db;
        let mut all = vec![];
        for item in items(db, file).iter().filter(|item| item.kind(db) == RawKind::Use) {
            let ItemKind::Use(import) = &interface(db, *item).item.kind else { continue };
            let names: Vec<&str> = import.path.iter().map(|p| p.name.as_str()).collect();
            all.push(modules::candidate_keys(file.module(db), &names));
            if names.len() > 1 {
                all.push(modules::candidate_keys(file.module(db), &names[..names.len() - 1]));
            }
        }
        all
    }

    /// Replaces a file's text.
    pub fn edit(&mut self, id: FileId, text: String) {
        let Some(file) = self.file(id) else { return };
        let name = file.name(&self.db).clone();
        self.sources.replace(id, Source::new(name, text.clone()));
        file.set_text(&mut self.db).to(text);
    }

    pub fn database(&self) -> &Analysis {
        &self.db
    }

    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The file of a module key.
    pub fn module(&self, key: &str) -> Option<SourceFile> {
        self.files.get(key).copied()
    }

    pub fn file(&self, id: FileId) -> Option<SourceFile> {
        self.files.values().copied().find(|file| file.index(&self.db) == id.0)
    }

    /// Every diagnostic of one file.
    pub fn check(&self, id: FileId) -> Vec<Diagnostic> {
        let Some(file) = self.file(id) else { return vec![] };
        let db: &dyn Database = &self.db;
        let mut diagnostics: Vec<Diagnostic> = duplicates(db, file).iter().map(|r| r.resolve(db)).collect();
        for item in items(db, file) {
            diagnostics.extend(check(db, *item).reports.iter().map(|report| report.resolve(db)));
        }
        let whole_file =
            [check_script(db, file), module_cycles(db, file), check_instances(db, file), unused_imports(db, file)];
        diagnostics.extend(whole_file.into_iter().flatten().map(|report| report.resolve(db)));
        let broken = items(db, file).iter().filter(|item| !parse_item(db, **item).errors.is_empty());
        let broken: Vec<&str> = broken.map(|item| item.text(db).as_str()).collect();
        diagnostics.retain(|diagnostic| !may_follow_from(&broken, diagnostic.code, &diagnostic.message));
        let mut unique: Vec<Diagnostic> = vec![];
        for diagnostic in diagnostics {
            if !unique.contains(&diagnostic) {
                unique.push(diagnostic);
            }
        }
        // What is wrong whoever calls is told at its definition, not for each call as well.
        let told = unique.clone();
        unique.retain(|diagnostic| !told.iter().any(|other| is_less_of(other, diagnostic)));
        unique
    }

    /// Every diagnostic of the project's own files.
    pub fn check_all(&self) -> Vec<Diagnostic> {
        // An entry expression (its key is no name) is judged when it is lowered.
        let is_own = |file: &&SourceFile| !file.embedded(&self.db) && !file.module(&self.db).ends_with('\'');
        let own = self.files.values().filter(is_own);
        let mut ids: Vec<FileId> = own.map(|file| FileId(file.index(&self.db))).collect();
        ids.sort();
        ids.into_iter().flat_map(|id| self.check(id)).collect()
    }
}

/// Whether `less` tells the same mistake with fewer of the calls that lead there.
fn is_less_of(less: &Diagnostic, more: &Diagnostic) -> bool {
    (less.code, &less.message, &less.notes) == (more.code, &more.message, &more.notes)
        && less.labels.len() < more.labels.len()
        && less.labels.iter().any(|label| label.primary)
        && less.labels.iter().all(|label| more.labels.contains(label))
}
