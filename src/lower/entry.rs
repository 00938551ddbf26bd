//! What is lowered: an entry, a script, or the tests of a file.

use crate::analysis::Project;
use crate::analysis::db::{Item, Place, Report, SourceFile, items, parse_item};
use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::function::Callee;
use crate::analysis::elaborate::names::{full_layer, methods};
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::{DeclareAs, Declaring};
use crate::analysis::value::{FnRef, Instance, TensorValue, Value, ValueRef};
use crate::analysis::world::{Abort, Discard, visit_tensors};
use crate::base::{Diagnostic, FileId, Source, Span, code};
use crate::ir::{self, Entry, FuncId, HostKind, LayerId, Module};
use crate::lower::call::{empty_function, fresh_symbols};
use crate::lower::candidates::entry_text;
use crate::lower::frame::Frame;
use crate::lower::{Failure, Fixed, Lowering};
use crate::syntax::ast::{ExprKind, ItemKind, Param};
use crate::syntax::items::RawKind;
use crate::types::{Dim, HostExpr, Pack, Shape, Symbol};
use std::collections::BTreeMap;

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

/// A method of the entry is lowered for each set of its optional inputs, of which there may be this many.
const MAX_OPTIONAL_SETS: usize = 16;

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

fn demand_message(symbols: &[Symbol]) -> String {
    let names: Vec<String> = symbols.iter().map(|s| format!("`{s}`")).collect();
    format!("the program must know {} at compile time", names.join(", "))
}

const DEMAND_NOTE: &str = "a branch, an unrolled loop or an axis depends on it, and it is the size of an input";

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

    /// A method, once for each set of its optional inputs; the one without any comes first.
    fn entry_methods(
        &mut self,
        layer: LayerId,
        instance: &Instance<'db>,
        method: FnRef<'db>,
        request: &EntryRequest,
    ) -> Result<(), Failure<'db>> {
        let is_forward = method.decl.name.name == "forward";
        let mut sets = 1;
        let mut set = 0;
        while set < sets {
            let given = |position: usize| set >> position & 1 == 1;
            let (id, choices) = self.entry_method(layer, instance, method, request, &given)?;
            sets = 1usize.checked_shl(choices.len() as u32).unwrap_or(usize::MAX);
            if sets > MAX_OPTIONAL_SETS {
                return Err(too_many_optional(method, &choices));
            }
            let methods = &mut self.module.layers[layer.0 as usize].methods;
            if is_forward {
                methods.insert(set, id)
            } else {
                methods.push(id)
            }
            set += 1;
        }
        Ok(())
    }

    /// A method with its parameters open: dims are symbols of its own. `given` tells of each optional input that there
    /// is a choice about whether the method takes it; their names come back.
    fn entry_method(
        &mut self,
        layer: LayerId,
        instance: &Instance<'db>,
        method: FnRef<'db>,
        request: &EntryRequest,
        given: &dyn Fn(usize) -> bool,
    ) -> Result<(FuncId, Vec<String>), Failure<'db>> {
        // What the signature asks for, seen from outside.
        let own = self.own_view(instance)?;
        let mut discard = Discard::like(true, Some(self.training));
        let mut walk = Elaborator::new(self.db, &mut discard, method.item, method.ast);
        let full = full_layer(self.db, instance.layer);
        walk.enter_layer(full, own.clone());
        let members = walk.assume_wheres(&full.decl.wheres).and_then(|()| walk.members(full, &[]));
        members.map_err(|abort| (abort, std::mem::take(&mut walk.reports)))?;
        walk.declaring = Some(Declaring::new(DeclareAs::Own));
        for param in &method.decl.params {
            let open = Value::dim(Dim::symbol(&param.name.name));
            walk.bind_early(param, Some(&open));
        }
        let mut specs = vec![];
        for param in &method.decl.params {
            let spec = match param.ty {
                Some(ty) => walk.resolve_type(ty),
                None => Ok(TypeSpec::Any),
            };
            specs.push(spec.map_err(|abort| (abort, std::mem::take(&mut walk.reports)))?);
        }
        let signature: Vec<(&Param, &TypeSpec<'db>)> = method.decl.params.iter().zip(&specs).collect();
        let optional: Vec<&str> = optional_inputs(method, &signature);
        let choices: Vec<&str> =
            optional.iter().copied().filter(|name| has_rank(name, &signature, &optional, request)).collect();
        let is_given = |name: &str| choices.iter().position(|choice| *choice == name).is_some_and(given);
        let mut params: Vec<(String, TypeSpec<'db>, Value<'db>)> = vec![];
        for (param, spec) in &signature {
            let name = &param.name.name;
            let is_open = if optional.contains(&name.as_str()) { is_given(name) } else { request.given.contains(name) };
            let default = match param.default {
                Some(default) if !is_open => walk.expr(default).unwrap_or(Value::Error),
                _ => Value::Error,
            };
            params.push((name.clone(), (*spec).clone(), default));
        }
        let declared = walk.declaring.take().map(|d| d.declared).unwrap_or_default();
        let mut symbols = vec![];
        let mut shapes: BTreeMap<Symbol, Shape> = BTreeMap::new();
        let mut positive = vec![];
        for declared in &declared {
            let shape = match declared.is_pack {
                false => Shape::new(vec![Dim::symbol(declared.symbol.as_str())]),
                true => pack_shape(&declared.symbol, &params, request, &mut symbols),
            };
            if !declared.is_pack {
                symbols.push((declared.symbol.clone(), HostKind::Int));
            }
            shapes.insert(declared.symbol.clone(), shape);
        }
        positive.extend(symbols.iter().map(|(s, _): &(Symbol, HostKind)| s.clone()));
        let mut arguments = vec![];
        for (name, spec, default) in params {
            let value = self.open_argument(&name, &spec, default, &mut symbols, method)?;
            arguments.push((name, value));
        }
        let callee = Callee {
            function: method,
            instance: Some(own),
            elems: vec![],
            declared: declared
                .iter()
                .map(|d| (d.name.clone(), shapes.get(&d.symbol).cloned().unwrap_or_default()))
                .collect(),
            arguments,
            positive,
        };
        let mut function = self.blank(method, Some(layer));
        function.symbols = symbols;
        function.exported = true;
        let taken: Vec<&str> = optional.iter().copied().filter(|name| is_given(name)).collect();
        if !taken.is_empty() {
            let name = format!("{}.{}_with_{}", self.module[layer].name, function.source_name, taken.join("_and_"));
            function.name = self.unique_function(&name);
        }
        function.optional = optional.iter().map(|name| (name.to_string(), is_given(name))).collect();
        let choices = choices.into_iter().map(String::from).collect();
        Ok((self.walk_function(function, &callee, method, layer, instance)?, choices))
    }

    fn open_argument(
        &mut self,
        name: &str,
        spec: &TypeSpec<'db>,
        default: Value<'db>,
        symbols: &mut Vec<(Symbol, HostKind)>,
        method: FnRef<'db>,
    ) -> Result<Value<'db>, Failure<'db>> {
        let place = Place { item: method.item, span: method.decl.name.span };
        Ok(match spec {
            _ if default == Value::None => Value::None,
            TypeSpec::Tensor(ty) => Value::Tensor(TensorValue { ty: ty.clone(), value: ValueRef(0) }),
            TypeSpec::Tuple(items) => {
                let mut values = vec![];
                for item in items {
                    values.push(self.open_argument(name, item, Value::Error, symbols, method)?);
                }
                Value::Tuple(values)
            }
            _ if default != Value::Error => default,
            TypeSpec::Int => {
                symbols.push((Symbol::new(name), HostKind::Int));
                Value::dim(Dim::symbol(name))
            }
            TypeSpec::Float => {
                symbols.push((Symbol::new(name), HostKind::Float));
                Value::Number(HostExpr::FloatSymbol(Symbol::new(name)))
            }
            _ => {
                let message = format!("`{name}` of `{}` has no value", method.decl.name.name);
                let report = Report::new(code::E0407, message)
                    .at(place, format!("an entry's parameter must be a tensor or a number, not {}", spec.describe()));
                return Err((Abort::Reported, vec![report]));
            }
        })
    }

    fn walk_function(
        &mut self,
        function: ir::Function,
        callee: &Callee<'db>,
        method: FnRef<'db>,
        layer: LayerId,
        instance: &Instance<'db>,
    ) -> Result<FuncId, Failure<'db>> {
        self.frames.push(Frame::new(function));
        let db = self.db;
        let mut walk = Elaborator::new(db, self, method.item, method.ast);
        let result = walk.callee(callee).and_then(|value| walk.results(value, method.decl.name.span));
        let reports = std::mem::take(&mut walk.reports);
        let obligations = std::mem::take(&mut walk.obligations);
        let assumed = std::mem::take(&mut walk.assumed);
        let returned = walk.returned.unwrap_or(method.decl.name.span);
        let open = std::mem::take(&mut walk.facts);
        let Some(frame) = self.frames.pop() else { return Err((Abort::Reported, reports)) };
        let value = match result {
            Ok(value) => value,
            Err(Abort::Demand(symbols)) => {
                // The entry's own hyperparameters have values: fix those that are asked for.
                let owner = super::layer_owner(self.db, &instance.layer);
                let hypers: Vec<Symbol> = self.module[layer].hypers.iter().map(|h| h.name.clone()).collect();
                for symbol in symbols.iter().filter(|symbol| hypers.contains(symbol)) {
                    self.restart |= self.fixed.insert(&owner, symbol.clone());
                }
                if self.restart {
                    return Err((Abort::Demand(symbols), reports));
                }
                let place = Place { item: method.item, span: method.decl.name.span };
                let report = Report::new(code::E0401, demand_message(&symbols)).at(place, "needed in here");
                return Err((Abort::Reported, vec![report.note(DEMAND_NOTE)]));
            }
            Err(abort) => return Err(self.fix_whole(Some(instance), Some(layer), (abort, reports))),
        };
        let mut returns = vec![];
        visit_tensors(&value, &mut |tensor| returns.push(ir::ValueId(tensor.value.0)));
        let loc = self.loc(Place { item: method.item, span: returned });
        let mut function = frame.finish(returns, loc);
        let assumed = assumed.into_iter().map(|obligation| (obligation, loc));
        function.obligations = assumed.collect();
        function.obligations.extend(obligations.iter().map(|(o, place)| (o.clone(), self.loc(*place))));
        function.drop_unused_symbols();
        function.fresh = fresh_symbols(&value, &open);
        self.module.functions.push(function);
        Ok(FuncId(self.module.functions.len() as u32 - 1))
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

/// Tensor parameters with the default `None`.
fn optional_inputs<'db>(method: FnRef<'db>, signature: &[(&'db Param, &TypeSpec<'_>)]) -> Vec<&'db str> {
    let is_none =
        |param: &Param| param.default.is_some_and(|default| matches!(method.ast[default].kind, ExprKind::None));
    let optional = signature.iter().filter(|(param, spec)| is_none(param) && has_tensor(spec));
    optional.map(|(param, _)| param.name.name.as_str()).collect()
}

/// Whether the rank of an optional input is known: a `...` of its own may stand for anything, and the body of a method
/// fits few of its ranks.
fn has_rank(name: &str, signature: &[(&Param, &TypeSpec<'_>)], optional: &[&str], request: &EntryRequest) -> bool {
    let packs = |wanted: &dyn Fn(&str) -> bool| -> Vec<Symbol> {
        let chosen = signature.iter().filter(|(param, _)| wanted(&param.name.name));
        chosen.flat_map(|(_, spec)| packs_of(spec)).collect()
    };
    let known = packs(&|other| !optional.contains(&other) || request.shapes.iter().any(|(given, _)| given == other));
    packs(&|other| other == name).iter().all(|pack| known.contains(pack))
}

fn packs_of(spec: &TypeSpec<'_>) -> Vec<Symbol> {
    match spec {
        TypeSpec::Tensor(ty) => match &ty.shape.pack {
            Some((_, Pack::Named(symbol))) => vec![symbol.clone()],
            _ => vec![],
        },
        TypeSpec::Tuple(items) => items.iter().flat_map(packs_of).collect(),
        _ => vec![],
    }
}

/// Whether a parameter of this type is an input, not a number.
fn has_tensor(spec: &TypeSpec<'_>) -> bool {
    match spec {
        TypeSpec::Tensor(_) => true,
        TypeSpec::Tuple(items) => items.iter().any(has_tensor),
        _ => false,
    }
}

fn too_many_optional<'db>(method: FnRef<'db>, optional: &[String]) -> Failure<'db> {
    let name = &method.decl.name.name;
    let message = format!("`{name}` has {} optional inputs, more than an entry may have", optional.len());
    let names: Vec<String> = optional.iter().map(|name| format!("`{name}`")).collect();
    let report = Report::new(code::E0407, message)
        .at(Place { item: method.item, span: method.decl.name.span }, format!("these are {}", names.join(", ")))
        .note(format!("it is compiled for each set of them, and for {MAX_OPTIONAL_SETS} sets at most"))
        .note("help: make some of them required, or build a layer that calls this one with those it needs");
    (Abort::Reported, vec![report])
}

/// The dims of a pack in an entry's signature: from the shape given for the input, else one dim (two
/// where the pack is the whole shape).
fn pack_shape(
    pack: &Symbol,
    params: &[(String, TypeSpec<'_>, Value<'_>)],
    request: &EntryRequest,
    symbols: &mut Vec<(Symbol, HostKind)>,
) -> Shape {
    let mut length = 1;
    for (name, spec, _) in params {
        let TypeSpec::Tensor(ty) = spec else { continue };
        let own = matches!(&ty.shape.pack, Some((_, Pack::Named(symbol))) if symbol == pack);
        if !own {
            continue;
        }
        if let Some((_, sizes)) = request.shapes.iter().find(|(input, _)| input == name)
            && sizes.len() >= ty.shape.dims.len()
        {
            let at = ty.shape.head().len();
            let count = sizes.len() - ty.shape.dims.len();
            return Shape::of(&sizes[at..at + count]);
        }
        if ty.shape.dims.is_empty() {
            length = 2;
        }
    }
    let dims = (0..length).map(|_| {
        let symbol = Symbol::new(&format!("d{}", symbols.len()));
        symbols.push((symbol.clone(), HostKind::Int));
        Dim::symbol(symbol.as_str())
    });
    Shape::new(dims.collect())
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
