//! What is lowered: an entry, a script, or the tests of a file.

use crate::analysis::Project;
use crate::analysis::db::{Item, Place, Report, SourceFile, items, parse_item};
use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::names::{full_layer, methods};
use crate::analysis::value::Value;
use crate::analysis::world::{Abort, Discard};
use crate::base::{Diagnostic, FileId, Source, Span, code};
use crate::ir::{self, Entry, FuncId, LayerId, Module};
use crate::lower::body::empty_function;
use crate::lower::candidates::entry_text;
use crate::lower::frame::Frame;
use crate::lower::{Failure, Fixed, Lowering};
use crate::syntax::ast::ItemKind;
use crate::syntax::items::RawKind;
use crate::types::Symbol;

/// Which instance, and how.
#[derive(Clone, Debug, Default)]
pub struct EntryRequest {
    /// An instance in Tri, or the name of a top-level `let`; else the only one there is.
    pub expr: Option<String>,
    /// Hyperparameters, values in Tri.
    pub sets: Vec<(String, String)>,
    pub training: bool,
    /// Known shapes of inputs: they say what a `...` of the entry's signature stands for.
    pub shapes: Vec<(String, Vec<usize>)>,
    /// Numbers that come with each call although their parameters have defaults; others have the default's value.
    pub given: Vec<String>,
}

/// What messages call the text of `--entry`.
pub const ENTRY_NAME: &str = "<entry>";
/// What stands before it, so that it is a declaration. Messages leave it out.
pub const ENTRY_PREFIX: &str = "let entry = ";

/// A lowered program.
pub type Lowered = Result<Module, Vec<Diagnostic>>;

/// One `test` block.
#[derive(Clone, Debug)]
pub struct LoweredTest {
    pub name: String,
    /// The method of the root layer, or why it could not be lowered (an assertion that fails at compile
    /// time, for one).
    pub function: Result<FuncId, Vec<Diagnostic>>,
}

/// Restarts are bounded by the number of hyperparameters in a program.
const MAX_RESTARTS: usize = 10_000;

fn source_end(text: &str) -> u32 {
    (ENTRY_PREFIX.len() + text.len()) as u32
}

/// Runs a lowering until nothing more is demanded.
fn converge<'db, T>(
    project: &'db Project,
    training: bool,
    lower: impl Fn(&mut Lowering<'_, 'db>) -> Result<T, Failure<'db>>,
) -> Result<(T, Module), Vec<Diagnostic>> {
    let db: &'db dyn salsa::Database = project.database();
    let mut fixed = Fixed::default();
    for _ in 0..MAX_RESTARTS {
        let mut lowering = Lowering::new(db, project.sources(), training, fixed);
        match lower(&mut lowering) {
            Ok(value) if !lowering.restart => return Ok((value, lowering.module)),
            Ok(_) => {}
            Err(_) if lowering.restart => {}
            Err((Abort::Demand(symbols), _)) => return Err(vec![open_demand(&symbols)]),
            Err((Abort::Reported, reports)) if reports.is_empty() => return Err(vec![unexplained()]),
            Err((Abort::Reported, reports)) => return Err(reports.iter().map(|r| r.resolve(db)).collect()),
        }
        fixed = lowering.fixed;
    }
    Err(vec![unexplained()])
}

fn open_demand(symbols: &[Symbol]) -> Diagnostic {
    Diagnostic::new(code::E0401, demand_message(symbols)).note(DEMAND_NOTE)
}

pub(super) fn demand_message(symbols: &[Symbol]) -> String {
    let names: Vec<String> = symbols.iter().map(|s| format!("`{s}`")).collect();
    format!("the program must know {} at compile time", names.join(", "))
}

pub(super) const DEMAND_NOTE: &str =
    "a branch, an unrolled loop or an axis depends on it, and it is the size of an input";

fn unexplained() -> Diagnostic {
    Diagnostic::new(code::E0404, "the program cannot be specialised").note("check it with `tritonc check` first")
}

/// Lowers an instance: its `forward` and its exported methods.
pub fn entry(project: &mut Project, file: FileId, request: &EntryRequest) -> Lowered {
    let (text, name) = entry_text(project, file, request).map_err(|d| vec![d])?;
    let source = Source::new(ENTRY_NAME, format!("{ENTRY_PREFIX}{text}"));
    let (entry_id, _) = project.open("entry'", source, &mut crate::analysis::project::NoFiles);
    let project = &*project;
    let db: &dyn salsa::Database = project.database();
    let (Some(entry_file), Some(own)) = (project.file(entry_id), project.file(file)) else {
        return Err(vec![unexplained()]);
    };
    let Some(item) = items(db, entry_file).first().copied() else { return Err(vec![unexplained()]) };
    let parsed = parse_item(db, item);
    if let Some(error) = parsed.errors.first() {
        let message = format!("the entry is not an expression: {}", error.message);
        return Err(vec![Diagnostic::new(code::E0407, message).primary(entry_id, error.span, "")]);
    }
    if let Some(next) = items(db, entry_file).get(1) {
        let start = next.base(db);
        let message = "the entry is more than one expression";
        let diagnostic = Diagnostic::new(code::E0407, message);
        return Err(vec![diagnostic.primary(entry_id, Span::new(start, source_end(&text)), "this is too much")]);
    }
    let (_, module) = converge(project, request.training, |lowering| lowering.entry(item, own, &text, &name, request))?;
    Ok(module)
}

impl<'db> Lowering<'_, 'db> {
    fn entry(
        &mut self,
        item: Item<'db>,
        file: SourceFile,
        text: &str,
        name: &str,
        request: &EntryRequest,
    ) -> Result<(), Failure<'db>> {
        let ast = &parse_item(self.db, item).ast;
        let ItemKind::Let(binding) = &ast.item.kind else { return Err((Abort::Reported, vec![])) };
        let Some(expr) = binding.init else { return Err((Abort::Reported, vec![])) };
        let mut discard = Discard::like(true, Some(self.training));
        let mut walk = Elaborator::new(self.db, &mut discard, item, ast);
        walk.file = file;
        walk.makes_layers = true;
        let value = walk.expr(expr).map_err(|abort| (abort, std::mem::take(&mut walk.reports)))?;
        let place = Place { item, span: ast[expr].span };
        let Value::Instance(mut instance) = value else {
            let message = format!("the entry is {}, not an instance of a layer", value.describe());
            let report = Report::new(code::E0407, message).at(place, "");
            let report = match value {
                Value::Layer(..) => report.note(format!("help: make an instance: `{text}(...)`")),
                _ => report,
            };
            return Err((Abort::Reported, vec![report]));
        };
        let unmet: Vec<_> = std::mem::take(&mut walk.obligations);
        if let Some((obligation, place)) = unmet.first() {
            let report = Report::new(obligation.code, obligation.message.clone()).at(*place, "cannot be settled");
            return Err((Abort::Reported, vec![report]));
        }
        instance.path = Some(vec![]);
        let layer = self.layer(&instance)?;
        let args = self.module[layer].hypers.iter().filter_map(|hyper| {
            let Some(Value::Number(number)) = instance.hyper(hyper.name.as_str()) else { return None };
            Some((hyper.name.clone(), number.eval_value(&|_| None)?))
        });
        self.module.entry = Some(Entry { name: name.to_string(), layer, args: args.collect() });
        let full = full_layer(self.db, instance.layer);
        let mut any = false;
        for method in methods(full) {
            let exported = method.attributes.iter().any(|a| a.name.name == "export");
            if method.decl.name.name == "forward" || exported {
                self.entry_methods(layer, &instance, method, request)?;
                any = true;
            }
        }
        if !any {
            let message = format!("layer `{}` has no `forward`", full.decl.name.name);
            let place = Place { item: full.item, span: full.decl.name.span };
            return Err((Abort::Reported, vec![Report::new(code::E0407, message).at(place, "nothing to run")]));
        }
        Ok(())
    }

    /// A layer to hold what tests and scripts make.
    fn root_layer(&mut self, name: &str) -> LayerId {
        let id = LayerId(self.module.layers.len() as u32);
        self.module.layers.push(ir::Layer {
            name: name.into(),
            source_name: name.into(),
            doc: None,
            loc: Default::default(),
            quantize: None,
            hypers: vec![],
            choices: vec![],
            members: vec![],
            methods: vec![],
            obligations: vec![],
        });
        self.root = Some(id);
        self.module.entry = Some(Entry { name: name.into(), layer: id, args: vec![] });
        id
    }

    /// A method of the root layer, walked by `walk`.
    fn root_method(
        &mut self,
        root: LayerId,
        name: &str,
        item: Item<'db>,
        walk: impl FnOnce(&mut Elaborator<'_, 'db>) -> Result<(), Abort>,
    ) -> Result<FuncId, Failure<'db>> {
        let place = Place { item, span: Default::default() };
        let full_name = format!("{}.{name}", self.module[root].name);
        let function = ir::Function {
            name: self.unique_function(&full_name),
            source_name: name.to_string(),
            loc: self.loc(place),
            exported: true,
            ..empty_function(Some(root))
        };
        self.frames.push(Frame::new(function));
        let db = self.db;
        let ast = &parse_item(db, item).ast;
        let mut elaborator = Elaborator::new(db, self, item, ast);
        elaborator.makes_layers = true;
        elaborator.adopts = true;
        let result = walk(&mut elaborator);
        let reports = std::mem::take(&mut elaborator.reports);
        let Some(frame) = self.frames.pop() else { return Err((Abort::Reported, reports)) };
        result.map_err(|abort| (abort, reports))?;
        let function = frame.finish(vec![], self.loc(place));
        let id = FuncId(self.module.functions.len() as u32);
        self.module.functions.push(function);
        self.module.layers[root.0 as usize].methods.push(id);
        Ok(id)
    }
}

/// Lowers the top-level statements of a file: the method `main` of a root layer.
pub fn script(project: &Project, file: FileId) -> Lowered {
    let Some(source) = project.file(file) else { return Err(vec![unexplained()]) };
    let db: &dyn salsa::Database = project.database();
    let Some(first) = items(db, source).first().copied() else { return Ok(Module::default()) };
    let (_, module) = converge(project, false, |lowering| {
        let root = lowering.root_layer("Script");
        lowering.root_method(root, "main", first, |walk| walk.script(source))
    })?;
    Ok(module)
}

/// Lowers the tests of a file: methods of a root layer.
pub fn tests(project: &Project, file: FileId) -> Result<(Vec<LoweredTest>, Module), Vec<Diagnostic>> {
    let Some(source) = project.file(file) else { return Err(vec![unexplained()]) };
    let db: &dyn salsa::Database = project.database();
    converge(project, false, |lowering| {
        let root = lowering.root_layer("Tests");
        let mut tests = vec![];
        for item in items(db, source).iter().filter(|item| item.kind(db) == RawKind::Test) {
            let ItemKind::Test { name, body, .. } = &parse_item(db, *item).ast.item.kind else { continue };
            let number = tests.len();
            let method = format!("test_{number}");
            let function = lowering.root_method(root, &method, *item, |walk| walk.block(body, None).map(|_| ()));
            let function = match function {
                Ok(id) => Ok(id),
                Err(failure) if lowering.restart => return Err(failure),
                Err((Abort::Demand(symbols), _)) => Err(vec![open_demand(&symbols)]),
                Err((Abort::Reported, reports)) if reports.is_empty() => Err(vec![unexplained()]),
                Err((Abort::Reported, reports)) => Err(reports.iter().map(|r| r.resolve(db)).collect()),
            };
            tests.push(LoweredTest { name: name.clone(), function });
        }
        Ok(tests)
    })
}

/// Whether a file is a script: it has statements, and no entry of its own.
pub fn is_script(project: &Project, file: FileId) -> bool {
    let db: &dyn salsa::Database = project.database();
    let Some(source) = project.file(file) else { return false };
    items(db, source).iter().any(|item| item.kind(db) == RawKind::Stmt)
}
