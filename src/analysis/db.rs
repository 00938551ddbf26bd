//! The salsa database: files, items, syntax trees.
//!
//! Inputs are files, and of the project's own files the pieces of text that are their items
//! (`src/analysis/pieces.rs` keeps them). An item rests on its piece, so that one whose text stayed equal keeps
//! its identity, and nothing that hangs on it is computed again. Where items begin in their file is read only
//! when spans leave the queries: inserting a line above moves them and invalidates nothing.
//!
//! The standard library never changes ([`salsa::Durability::NEVER_CHANGE`]): what was computed from it alone
//! is not even looked at after an edit, and nothing keeps a dependency on it. Its items have their texts with
//! them.

use crate::analysis::desugar;
use crate::analysis::interface as visible;
use crate::base::{Applicability, Code, Near, Span};
use crate::syntax::ast::Ast;
use crate::syntax::items::{self as splitter, RawKind};
use crate::syntax::{SyntaxError, parse as parser};
use std::collections::{BTreeMap, HashMap};
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
    /// The items, in order; none for the standard library, which is cut when it is read.
    #[returns(ref)]
    pub outline: Arc<[Placed]>,
    /// Where each item of the outline begins.
    #[returns(ref)]
    pub starts: Arc<[u32]>,
}

/// An item in the outline of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub kind: RawKind,
    pub name: Option<String>,
    pub piece: Piece,
}

/// The text of an item.
#[salsa::input(debug)]
pub struct Piece {
    #[returns(ref)]
    pub content: Content,
    /// What others see of an item that is typed in; else it is computed from the text.
    #[returns(ref)]
    pub seen: Option<Arc<Ast>>,
}

/// A text, and its tree if it was parsed when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub text: Arc<str>,
    pub parsed: Option<Arc<Parsed>>,
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

/// A top-level item: identity is file, kind, name and where its text is.
#[salsa::tracked]
pub struct Item<'db> {
    #[returns(copy)]
    pub file: SourceFile,
    #[returns(copy)]
    pub kind: RawKind,
    #[returns(ref)]
    pub name: Option<String>,
    #[returns(ref)]
    pub body: Body,
}

/// Where the text of an item is.
#[derive(Clone, PartialEq, Eq, Hash, salsa::SalsaValue)]
pub enum Body {
    Piece(Piece),
    /// Of the standard library, and of copies that are tried out.
    Own(String),
}

impl<'db> Item<'db> {
    pub fn text(self, db: &'db dyn salsa::Database) -> &'db str {
        match self.body(db) {
            Body::Piece(piece) => &piece.content(db).text,
            Body::Own(text) => text,
        }
    }

    /// Offset of the first byte in its file; no query reads it.
    pub fn base(self, db: &'db dyn salsa::Database) -> u32 {
        let file = self.file(db);
        let starts = if file.embedded(db) { library_starts(db, file) } else { file.starts(db) };
        positions(db, file).get(&self).and_then(|at| starts.get(*at as usize)).copied().unwrap_or(0)
    }
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
    if !file.embedded(db) {
        let placed = file.outline(db).iter();
        return placed
            .map(|placed| Item::new(db, file, placed.kind, placed.name.clone(), Body::Piece(placed.piece)))
            .collect();
    }
    let text = file.text(db);
    let cut = splitter::split(text).into_iter();
    cut.map(|raw| {
        let own = text.get(raw.span.start as usize..raw.span.end as usize).unwrap_or("");
        Item::new(db, file, raw.kind, raw.name, Body::Own(own.to_string()))
    })
    .collect()
}

/// The place of each item among those of its file.
#[salsa::tracked]
fn positions<'db>(db: &'db dyn salsa::Database, file: SourceFile) -> HashMap<Item<'db>, u32> {
    items(db, file).iter().zip(0..).map(|(item, at)| (*item, at)).collect()
}

#[salsa::tracked]
fn library_starts(db: &dyn salsa::Database, file: SourceFile) -> Arc<[u32]> {
    splitter::split(file.text(db)).iter().map(|raw| raw.span.start).collect()
}

/// Parses the text of one item; spans count from its first byte.
pub fn parse(text: &str) -> Parsed {
    let mut parsed = parser::parse_item(text);
    desugar::functional_layers(&mut parsed.ast);
    // A copy has no room to spare, and trees are most of what a large file costs.
    Parsed { ast: parsed.ast.clone(), errors: parsed.errors }
}

/// The tree of an item.
#[salsa::tracked(returns(deref))]
pub fn parse_item<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Arc<Parsed> {
    let parsed = match item.body(db) {
        Body::Piece(piece) => piece.content(db).parsed.clone(),
        Body::Own(_) => None,
    };
    parsed.unwrap_or_else(|| Arc::new(parse(item.text(db))))
}

/// The item's tree without function bodies and with all spans zero: what other items depend on.
/// Its equality is the firewall: an edit inside a body, or one that only moves text, ends here.
#[salsa::tracked(returns(deref))]
pub fn interface<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Arc<Ast> {
    let seen = match item.body(db) {
        Body::Piece(piece) => piece.seen(db).clone(),
        Body::Own(_) => None,
    };
    seen.unwrap_or_else(|| Arc::new(visible::of(&parse_item(db, item).ast)))
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
