//! The salsa database: files, items, syntax trees.
//!
//! `SourceFile` is the only input besides the maps of modules. An edit makes new `Item`s; those whose text
//! stayed equal keep their identity, so nothing that hangs on them is computed again. `base` is a tracked
//! field of its own and read only when spans leave the queries: inserting a line above moves it and
//! invalidates nothing.
//!
//! The standard library never changes ([`salsa::Durability::NEVER_CHANGE`]): what was computed from it alone
//! is not even looked at after an edit, and nothing keeps a dependency on it.

use crate::analysis::desugar;
use crate::analysis::interface as visible;
use crate::base::{Applicability, Code, Near, Span};
use crate::syntax::ast::Ast;
use crate::syntax::items::{self as splitter, RawKind};
use crate::syntax::{SyntaxError, parse};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The database. In tests it logs which queries run.
#[salsa::db]
#[derive(Clone)]
pub struct Database {
    storage: salsa::Storage<Self>,
    #[cfg(test)]
    log: std::sync::Arc<std::sync::Mutex<Log>>,
}

/// What the database did.
#[cfg(test)]
#[derive(Debug, Default)]
pub struct Log {
    /// Queries that ran, as `check(Id(..))`.
    pub executed: Vec<String>,
    /// Results from before that were found to hold still.
    pub validated: Vec<String>,
}

#[salsa::db]
impl salsa::Database for Database {}

#[cfg(not(test))]
impl Default for Database {
    fn default() -> Self {
        Database { storage: salsa::Storage::new(None) }
    }
}

#[cfg(test)]
impl Default for Database {
    fn default() -> Self {
        use salsa::EventKind::{DidValidateMemoizedValue, WillExecute};
        let log = std::sync::Arc::<std::sync::Mutex<Log>>::default();
        let sink = log.clone();
        let callback = move |event: salsa::Event| {
            let Ok(mut log) = sink.lock() else { return };
            match event.kind {
                WillExecute { database_key } => log.executed.push(format!("{database_key:?}")),
                DidValidateMemoizedValue { database_key } => log.validated.push(format!("{database_key:?}")),
                _ => {}
            }
        };
        Database { storage: salsa::Storage::new(Some(Box::new(callback))), log }
    }
}

#[cfg(test)]
impl Database {
    /// What happened since the last call.
    pub fn take_log(&self) -> Log {
        self.log.lock().map(|mut log| std::mem::take(&mut *log)).unwrap_or_default()
    }
}

/// A source file. `name` is what messages show, `module` its dotted module path.
#[salsa::input(debug)]
pub struct SourceFile {
    #[returns(ref)]
    pub name: String,
    #[returns(ref)]
    pub module: String,
    /// Part of the standard library.
    #[returns(copy)]
    pub embedded: bool,
    /// Index among the files that diagnostics and emitted comments refer to.
    #[returns(copy)]
    pub index: u32,
    #[returns(ref)]
    pub text: Arc<str>,
}

/// Which module path is which file, among the project's own.
#[salsa::input(singleton)]
pub struct ModuleMap {
    #[returns(ref)]
    pub files: BTreeMap<String, SourceFile>,
}

/// The same for the standard library.
#[salsa::input(singleton)]
pub struct Library {
    #[returns(ref)]
    pub files: BTreeMap<String, SourceFile>,
}

/// A name that is looked up.
#[salsa::interned]
pub struct Word<'db> {
    #[returns(ref)]
    pub text: String,
}

/// A top-level item: identity is file, kind, name and the count of equal ones before it.
#[salsa::tracked]
pub struct Item<'db> {
    #[returns(copy)]
    pub file: SourceFile,
    #[returns(copy)]
    pub kind: RawKind,
    #[returns(ref)]
    pub name: Option<String>,
    #[returns(copy)]
    pub nth: u32,
    #[tracked]
    #[returns(ref)]
    pub text: String,
    /// Offset of the item's first byte in its file.
    #[tracked]
    #[returns(copy)]
    pub base: u32,
}

/// An item's tree and its syntax errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    pub ast: Ast,
    pub errors: Vec<SyntaxError>,
}

/// The items of a file, in order.
#[salsa::tracked]
pub fn items<'db>(db: &'db dyn salsa::Database, file: SourceFile) -> Vec<Item<'db>> {
    let text = file.text(db);
    let mut seen: BTreeMap<(RawKind, Option<String>), u32> = BTreeMap::new();
    splitter::split(text)
        .into_iter()
        .map(|raw| {
            let nth = seen.entry((raw.kind, raw.name.clone())).or_insert(0);
            let index = *nth;
            *nth += 1;
            let slice = text.get(raw.span.start as usize..raw.span.end as usize).unwrap_or("");
            Item::new(db, file, raw.kind, raw.name, index, slice.to_string(), raw.span.start)
        })
        .collect()
}

/// Parses one item; spans count from its first byte.
#[salsa::tracked]
pub fn parse_item<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Parsed {
    let mut parsed = parse::parse_item(item.text(db));
    desugar::functional_layers(&mut parsed.ast);
    // A copy has no room to spare, and trees are most of what a large file costs.
    Parsed { ast: parsed.ast.clone(), errors: parsed.errors }
}

/// The item's tree without function bodies and with all spans zero: what other items depend on.
/// Its equality is the firewall: an edit inside a body, or one that only moves text, ends here.
#[salsa::tracked]
pub fn interface<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Ast {
    visible::of(&parse_item(db, item).ast)
}

/// The items of a file that do not parse.
#[salsa::tracked]
pub fn broken_items<'db>(db: &'db dyn salsa::Database, file: SourceFile) -> Vec<Item<'db>> {
    items(db, file).iter().copied().filter(|item| !parse_item(db, *item).errors.is_empty()).collect()
}

/// A place inside an item.
#[derive(Clone, Copy, PartialEq, Eq, Hash, salsa::SalsaValue)]
pub struct Place<'db> {
    pub item: Item<'db>,
    pub span: Span,
}

/// A diagnostic whose places are relative to items, so that it stays equal when text moves.
#[derive(Clone, PartialEq, Eq, salsa::SalsaValue)]
pub struct Report<'db> {
    pub code: Code,
    pub message: String,
    pub labels: Vec<ReportLabel<'db>>,
    pub notes: Vec<String>,
    pub fixes: Vec<ReportFix<'db>>,
    pub clash: Clash,
}

/// Shapes that do not fit, in the syntax of Tri: what the search for remedies
/// (`src/analysis/remedy/mod.rs`) starts from.
#[derive(Clone, Default, PartialEq, Eq, salsa::SalsaValue)]
pub struct Clash {
    /// Dims that should be equal.
    pub dims: Vec<(String, String)>,
    /// The shapes involved, dim by dim: of the operands, or what is found and what is needed.
    pub shapes: Vec<Vec<String>>,
    /// Facts on divisibility that would let the quotients in the shapes be multiplied back.
    pub facts: Vec<String>,
    /// What to say where no remedy is found.
    pub otherwise: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, salsa::SalsaValue)]
pub struct ReportLabel<'db> {
    pub place: Place<'db>,
    pub text: String,
    pub primary: bool,
}

#[derive(Clone, PartialEq, Eq, salsa::SalsaValue)]
pub struct ReportFix<'db> {
    pub title: String,
    pub edits: Vec<(Place<'db>, String)>,
    pub applicability: Applicability,
}

impl<'db> Report<'db> {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Report { code, message: message.into(), labels: vec![], notes: vec![], fixes: vec![], clash: Clash::default() }
    }

    pub fn at(mut self, place: Place<'db>, text: impl Into<String>) -> Self {
        self.labels.push(ReportLabel { place, text: text.into(), primary: true });
        self
    }

    pub fn also(mut self, place: Place<'db>, text: impl Into<String>) -> Self {
        self.labels.push(ReportLabel { place, text: text.into(), primary: false });
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// A remedy that is certain: `tritonc fix` applies it.
    pub fn fix(self, title: impl Into<String>, edits: Vec<(Place<'db>, String)>) -> Self {
        self.remedy(Applicability::Certain, title, edits)
    }

    /// A remedy that is a guess: editors offer it.
    pub fn maybe(self, title: impl Into<String>, edits: Vec<(Place<'db>, String)>) -> Self {
        self.remedy(Applicability::Maybe, title, edits)
    }

    pub fn remedy(
        mut self,
        applicability: Applicability,
        title: impl Into<String>,
        edits: Vec<(Place<'db>, String)>,
    ) -> Self {
        self.fixes.push(ReportFix { title: title.into(), edits, applicability });
        self
    }

    /// Suggests another name for the misspelt one that stands at `place`.
    pub fn rename(self, place: Place<'db>, near: Near<'_>) -> Self {
        let applicability = if near.certain { Applicability::Certain } else { Applicability::Maybe };
        self.remedy(applicability, format!("did you mean `{}`?", near.name), vec![(place, near.name.to_string())])
    }

    /// Absolute places. Reads item offsets, so it is called outside the queries.
    pub fn resolve(&self, db: &'db dyn salsa::Database) -> crate::base::Diagnostic {
        use crate::base::{Diagnostic, Edit, FileId, Fix};
        let absolute =
            |place: &Place<'db>| (FileId(place.item.file(db).index(db)), place.span.offset_by(place.item.base(db)));
        let mut diagnostic = Diagnostic::new(self.code, self.message.clone());
        for label in &self.labels {
            let (file, span) = absolute(&label.place);
            diagnostic = match label.primary {
                true => diagnostic.primary(file, span, label.text.clone()),
                false => diagnostic.secondary(file, span, label.text.clone()),
            };
        }
        diagnostic.notes = self.notes.clone();
        for fix in &self.fixes {
            let edits = fix.edits.iter().map(|(place, text)| {
                let (file, span) = absolute(place);
                Edit { file, span, text: text.clone() }
            });
            let edits = edits.collect();
            diagnostic.fixes.push(Fix { title: fix.title.clone(), edits, applicability: fix.applicability });
        }
        diagnostic
    }
}
