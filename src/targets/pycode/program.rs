//! What all parts of one emitted file share: the names of classes, functions and members, the table of
//! operations, and what the code written so far needs.

use crate::base::{Loc, code};
use crate::ir::{
    FuncId, Function, Init, InstId, InstKind, LayerId, MemberKind, Module, Origin, PathSegment, Role, Sub, ValueId,
};
use crate::ops::{Attr, Attrs};
use crate::targets::names::{self, Namer, Reserved};
use crate::targets::pycode::classes::ClassNames;
use crate::targets::pycode::dialect::Dialect;
use crate::targets::pycode::helpers::Helpers;
use crate::targets::pycode::numbers;
use crate::targets::pycode::views::Views;
use crate::targets::pytext::{self, Py};
use crate::targets::table::Table;
use crate::targets::{EmitOptions, TargetError};
use crate::types::Symbol;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// How emitted code calls a function.
#[derive(Clone, Debug)]
pub struct Callee {
    pub name: String,
    /// Symbols that no argument's shape gives: passed after the tensors.
    pub extra: Vec<Symbol>,
}

pub struct Program<'m> {
    pub dialect: &'m dyn Dialect,
    pub module: &'m Module,
    pub options: &'m EmitOptions,
    pub table: &'m Table,
    pub classes: FxHashMap<LayerId, ClassNames>,
    pub callees: FxHashMap<FuncId, Callee>,
    /// Names of the file's top level.
    pub globals: Arc<Reserved>,
    function_names: FxHashMap<FuncId, String>,
    /// Functions that make constants and initial values, and the members that they are for.
    makers: FxHashMap<FuncId, String>,
    /// Functions that compute a member of the weights as they are: properties with its name.
    properties: FxHashMap<FuncId, String>,
    /// The state that functions assign, themselves or through calls: own members by name, and `part.` for
    /// what belongs to a sublayer.
    effects: FxHashMap<FuncId, BTreeSet<String>>,
    /// Methods that look at what their instance holds, themselves or through calls.
    looking: FxHashSet<FuncId>,
    /// Functions that take seeds, themselves or through calls.
    draws: FxHashSet<FuncId>,
    /// Functions whose results may share memory with their parameters.
    views: FxHashSet<FuncId>,
    /// Hyperparameters that methods read, so that the constructor keeps them.
    pub stored: FxHashMap<LayerId, BTreeSet<Symbol>>,
    /// Every name that code so far used: imports and helpers are found among them.
    pub used: BTreeSet<String>,
    pub errors: Vec<TargetError>,
    /// Layers and functions that the entry reaches, each after what it uses.
    pub layers: Vec<LayerId>,
    pub functions: Vec<FuncId>,
    /// Whether this is the program with `training` false, in a file for training.
    pub evaluates: bool,
    /// A size that nothing is known of was written.
    pub unknown_size: bool,
}

/// Where methods are functions of the file, the names under which the exported ones are called from outside.
fn called_from_outside(dialect: &dyn Dialect, module: &Module, options: &EmitOptions) -> HashSet<String> {
    let methods = module.entry.iter().flat_map(|entry| &module[entry.layer].methods);
    let exported = methods.map(|method| &module[*method]).filter(|method| method.exported);
    let sources = exported.filter(|_| dialect.attributes().is_none()).map(|method| &method.source_name);
    let gradients = sources.clone().filter(|_| options.grad).map(|source| names::backward(source));
    sources.map(|source| names::identifier(source)).chain(gradients).collect()
}

impl<'m> Program<'m> {
    pub fn new(
        dialect: &'m dyn Dialect,
        module: &'m Module,
        options: &'m EmitOptions,
        table: &'m Table,
        helpers: &Helpers,
    ) -> Program<'m> {
        let mut program = Program {
            dialect,
            module,
            options,
            table,
            classes: FxHashMap::default(),
            callees: FxHashMap::default(),
            globals: Arc::new(Reserved {
                common: helpers.names.clone(),
                own: called_from_outside(dialect, module, options),
            }),
            function_names: FxHashMap::default(),
            makers: FxHashMap::default(),
            properties: FxHashMap::default(),
            effects: FxHashMap::default(),
            looking: FxHashSet::default(),
            draws: FxHashSet::default(),
            views: view_functions(module, table),
            stored: FxHashMap::default(),
            used: BTreeSet::new(),
            errors: vec![],
            layers: vec![],
            functions: vec![],
            evaluates: false,
            unknown_size: false,
        };
        program.reach();
        program.name_everything();
        program
    }

    /// A complaint is made once, at its first place.
    pub fn error(&mut self, error: TargetError) {
        if !self.errors.iter().any(|known| known.code == error.code && known.message == error.message) {
            self.errors.push(error);
        }
    }

    pub fn is_entry(&self, layer: LayerId) -> bool {
        self.module.entry.as_ref().is_some_and(|entry| entry.layer == layer)
    }

    pub fn has_effect(&self, function: FuncId) -> bool {
        self.effects.contains_key(&function)
    }

    /// Whether an instruction may change the state with this name.
    pub fn changes(&self, kind: &InstKind, name: &str) -> bool {
        let covers = |changed: &String| changed == name || changed.ends_with('.') && name.starts_with(changed.as_str());
        self.changed_by(kind).iter().any(covers)
    }

    fn changed_by(&self, kind: &InstKind) -> BTreeSet<String> {
        match kind {
            InstKind::SetState { name } | InstKind::SetSlice { name, .. } => BTreeSet::from([name.clone()]),
            InstKind::Call { func, path, .. } => match (self.effects.get(func), path.as_deref()) {
                (Some(_), Some([PathSegment::Field(part), ..])) => BTreeSet::from([format!("{part}.")]),
                (Some(own), _) => own.clone(),
                (None, _) => BTreeSet::new(),
            },
            _ => BTreeSet::new(),
        }
    }

    pub fn gives_views(&self, function: FuncId) -> bool {
        self.views.contains(&function)
    }

    /// The native form of a call: the source's `@map`, or the table's. `draws`: the caller leaves the seed open.
    pub fn native(&mut self, function: &Function, draws: bool) -> Option<Py> {
        if let Some(text) = function.maps.get(self.dialect.target()) {
            match pytext::parse(text) {
                Ok(entry) => return Some(entry),
                Err(message) => {
                    let target = self.dialect.target();
                    let message = format!("`@map` of `{}` for {target}: {message}", function.source_name);
                    self.error(TargetError::new(code::E0604, message).at(function.loc));
                    return Some(Py::none());
                }
            }
        }
        self.table_form(function, draws).cloned()
    }

    /// The table's form of a function, where the call has all that it names.
    fn table_form(&self, function: &Function, draws: bool) -> Option<&'m Py> {
        let entry = self.table.composite(function.std_path.as_deref()?)?;
        let has_param = |name: &str| function.params.iter().any(|v| function[*v].name.as_deref() == Some(name));
        let mut complete = true;
        let mut names_seed = false;
        entry.visit_holes(&mut |hole| {
            names_seed |= hole.name == "seed";
            let common = matches!(hole.name.as_str(), "device" | "dtype" | "training");
            complete &= has_param(&hole.name) || common || function.host_args.get(&hole.name).is_some();
        });
        // The library's own generator is no answer to a seed that the source gives.
        (complete && (names_seed || draws || !has_param("seed"))).then_some(entry)
    }

    /// A user's table entry that names what its function has not is wrong; a built-in one is for other uses.
    pub fn check_form(&self, function: &Function) -> Result<(), String> {
        let Some((path, place)) = function.std_path.as_deref().and_then(|p| Some((p, self.table.place(p)?))) else {
            return Ok(());
        };
        let mut unknown = None;
        if let Some(entry) = self.table.composite(path) {
            entry.visit_holes(&mut |hole| {
                let named = |v: &crate::ir::ValueId| function[*v].name.as_ref() == Some(&hole.name);
                let common = matches!(hole.name.as_str(), "device" | "dtype" | "training");
                if !common && !function.params.iter().any(named) && function.host_args.get(&hole.name).is_none() {
                    unknown = Some(hole.name.clone());
                }
            });
        }
        unknown.map_or(Ok(()), |hole| Err(format!("{place}: `{path}`: the function has no parameter `{hole}`")))
    }

    /// What a call becomes instead of a call of an emitted function: a native form, or an argument as it is.
    fn is_replaced(&self, function: &Function, draws: bool) -> bool {
        function.maps.contains_key(self.dialect.target())
            || self.table_form(function, draws).is_some()
            || identity(function).is_some()
    }

    fn reach(&mut self) {
        let module = self.module;
        match &module.entry {
            Some(entry) => self.reach_layer(entry.layer),
            None => (0..module.layers.len()).for_each(|i| self.reach_layer(LayerId(i as u32))),
        }
    }

    fn reach_layer(&mut self, id: LayerId) {
        if self.layers.contains(&id) {
            return;
        }
        let module = self.module;
        let layer = &module[id];
        for member in &layer.members {
            match &member.kind {
                MemberKind::Sub(sub) => self.reach_sub(sub),
                MemberKind::Constant { func, of: Origin::Construction, .. } => self.reach_maker(*func, &member.name),
                MemberKind::Constant { func, of: Origin::Weights, .. } => {
                    self.properties.insert(*func, member.name.clone());
                    self.reach_function(*func);
                }
                MemberKind::Storage(storage) => {
                    if let Init::Func(func) = &storage.init {
                        self.reach_maker(*func, &member.name);
                    }
                }
            }
        }
        // What is called from outside has the first choice of names.
        let (outer, inner): (Vec<FuncId>, Vec<FuncId>) =
            layer.methods.iter().partition(|method| module[**method].exported);
        for method in outer.into_iter().chain(inner) {
            self.reach_function(method);
        }
        if !self.layers.contains(&id) {
            self.layers.push(id);
        }
    }

    fn reach_maker(&mut self, func: FuncId, member: &str) {
        self.makers.insert(func, member.to_string());
        self.reach_function(func);
    }

    /// Whether the function runs while its instance is being built.
    pub fn is_maker(&self, func: FuncId) -> bool {
        self.makers.contains_key(&func)
    }

    /// Whether the function is a member to those who read it.
    pub fn is_property(&self, func: FuncId) -> bool {
        self.properties.contains_key(&func)
    }

    fn reach_sub(&mut self, sub: &Sub) {
        match sub {
            Sub::Instance { layer, .. } => self.reach_layer(*layer),
            Sub::List(elements) => elements.iter().for_each(|element| self.reach_sub(element)),
            Sub::Repeat { element, .. } => self.reach_sub(element),
            Sub::Function { .. } => {}
        }
    }

    fn reach_function(&mut self, id: FuncId) {
        if self.functions.contains(&id) {
            return;
        }
        let module = self.module;
        let function = &module[id];
        let mut callees = vec![];
        function.visit(&function.body, &mut |inst| {
            if let InstKind::Call { func, .. } = &function[inst].kind {
                callees.push((*func, draws_seed(function, inst, &module[*func])));
            }
        });
        for (callee, draws) in callees {
            let target = &module[callee];
            if target.layer.is_some() || !self.is_replaced(target, draws) {
                self.reach_function(callee);
            }
        }
        let mut changed = BTreeSet::new();
        let (mut draws, mut looks) = (false, false);
        function.visit(&function.body, &mut |inst| {
            changed.extend(self.changed_by(&function[inst].kind));
            draws |= match &function[inst].kind {
                InstKind::Rng { .. } => true,
                InstKind::Call { func, .. } => self.draws.contains(func),
                _ => false,
            };
            looks |= match &function[inst].kind {
                InstKind::Param { .. } | InstKind::SetState { .. } | InstKind::SetSlice { .. } => true,
                InstKind::Call { func, path: Some(_), .. } => self.looking.contains(func),
                _ => false,
            };
        });
        if draws {
            self.draws.insert(id);
        }
        if looks {
            self.looking.insert(id);
        }
        if !changed.is_empty() {
            self.effects.insert(id, changed);
        }
        if !self.functions.contains(&id) {
            self.functions.push(id);
        }
    }

    /// Classes first, then functions: a class keeps its name from the source wherever it can.
    fn name_everything(&mut self) {
        let module = self.module;
        let mut namer = Namer::among(self.globals.clone());
        let attributes = self.dialect.attributes();
        for &id in &self.layers {
            let Some(taken) = &attributes else { break };
            let layer = &module[id];
            // The entry's own class may be called `Model`: then it needs no second one.
            let is_model = self.is_entry(id) && layer.name == "Model";
            let class = if is_model { "Model".to_string() } else { namer.fresh(&layer.name) };
            self.classes.insert(id, ClassNames::new(class, taken, self.dialect.imports(), module, layer));
        }
        let mut firsts: HashMap<(Option<LayerId>, &str), FuncId> = HashMap::new();
        for &id in &self.functions {
            let function = &module[id];
            let first = *firsts.entry((function.layer, &function.source_name)).or_insert(id);
            // The entry's methods are joined into one.
            let in_class = attributes.is_some() && function.layer.is_some();
            let is_joined =
                in_class && first != id && !function.optional.is_empty() && !module[first].optional.is_empty();
            if let Some(name) = self.function_names.get(&first).filter(|_| is_joined) {
                self.function_names.insert(id, name.clone());
                continue;
            }
            let wanted = name_beside(&module[first], function);
            let name = match function.layer.and_then(|layer| self.classes.get_mut(&layer)) {
                Some(class) => match (self.makers.get(&id), self.properties.get(&id)) {
                    (Some(member), _) => class.fresh(&format!("make_{member}")),
                    (None, Some(member)) => class.member(member),
                    (None, None) => class.method(&wanted),
                },
                None => namer.fresh(&self.free_name(id, &wanted)),
            };
            self.function_names.insert(id, name);
        }
        drop(namer);
        let in_classes = self.dialect.attributes().is_some();
        let free = self.functions.iter().filter(|id| !in_classes || module[**id].layer.is_none());
        let free: Vec<String> = free.filter_map(|id| self.function_names.get(id).cloned()).collect();
        let globals = &mut Arc::make_mut(&mut self.globals).own;
        globals.extend(self.classes.values().map(|c| c.class.clone()));
        globals.extend(free);
    }

    /// What a function is called that belongs to no class: a method after its layer.
    fn free_name(&self, id: FuncId, wanted: &str) -> String {
        let Some(layer) = self.module[id].layer else { return wanted.to_string() };
        let layer = names::snake_case(&self.module[layer].name);
        match self.makers.get(&id).or_else(|| self.properties.get(&id)) {
            Some(member) => format!("{layer}_{member}"),
            None => format!("{layer}_{wanted}"),
        }
    }

    /// Whether a function takes the instance that it works on: a class's method does, others if they look at it.
    pub fn takes_instance(&self, id: FuncId) -> bool {
        let in_class = self.module[id].layer.is_some() && self.dialect.attributes().is_some();
        in_class || self.looking.contains(&id)
    }

    /// The parameter through which a function gets its seeds, if it needs one.
    pub fn generator(&self, id: FuncId) -> Option<&'static str> {
        self.dialect.generator().filter(|_| self.draws.contains(&id))
    }

    pub fn function_name(&self, id: FuncId) -> String {
        self.function_names.get(&id).cloned().unwrap_or_else(|| names::identifier(&self.module[id].source_name))
    }

    /// Of the functions that are this one with some of its optional inputs, the one with all of them.
    pub fn widest(&self, function: &'m Function) -> &'m Function {
        let Some(layer) = function.layer.filter(|_| !function.optional.is_empty()) else { return function };
        let module = self.module;
        let methods = module[layer].methods.iter().map(|method| &module[*method]);
        let variants = methods.filter(|f| !f.optional.is_empty() && f.source_name == function.source_name);
        variants.max_by_key(|variant| variant.given().count()).unwrap_or(function)
    }

    pub fn rename_function(&mut self, id: FuncId, name: String) {
        self.function_names.insert(id, name);
    }

    /// Notes the names that an expression uses.
    pub fn note(&mut self, value: &Py) {
        value.visit_atoms(&mut |text| {
            self.unknown_size |= text == numbers::UNKNOWN;
            let starts = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
            if starts && !self.used.contains(text) {
                self.used.insert(text.to_string());
            }
        });
    }
}

/// What to call a function beside the first one that was made of the same declaration: after the optional parameters that
/// only one of them takes.
fn name_beside(first: &Function, function: &Function) -> String {
    let takes =
        |function: &Function, name: &str| function.params.iter().any(|v| function[*v].name.as_deref() == Some(name));
    let taken_by_one = |without: &Function, with: &Function| -> Vec<String> {
        let arguments = without.host_args.iter().filter(|(_, value)| **value == Attr::None).map(|(name, _)| name);
        let inputs = without.optional.iter().map(|(name, _)| name.as_str());
        let names: BTreeSet<&str> = arguments.chain(inputs).collect();
        names.into_iter().filter(|name| takes(with, name) && !takes(without, name)).map(String::from).collect()
    };
    let mut name = function.source_name.clone();
    if first.loc == function.loc {
        for (word, names) in [("with", taken_by_one(first, function)), ("without", taken_by_one(function, first))] {
            if !names.is_empty() {
                name.push_str(&format!("_{word}_{}", names.join("_and_")));
            }
        }
    }
    name
}

/// The parameter that a function gives back as it came, where that is all it does.
pub fn identity(function: &Function) -> Option<usize> {
    let [last] = function.body.insts.as_slice() else { return None };
    let [result] = function[*last].operands.as_slice() else { return None };
    let returns = function[*last].kind == InstKind::Return && function.obligations.is_empty();
    function.params.iter().position(|param| param == result).filter(|_| returns && function.layer.is_none())
}

/// Whether a call leaves the seed of its callee to `rng`.
pub fn draws_seed(function: &Function, call: InstId, callee: &Function) -> bool {
    let Some(at) = callee.params.iter().position(|v| callee[*v].name.as_deref() == Some("seed")) else { return false };
    let seed = function[call].operands.get(at);
    let mut draws = false;
    function.visit(&function.body, &mut |inst| {
        let data = &function[inst];
        draws |= matches!(data.kind, InstKind::Rng { .. }) && data.results.first() == seed;
    });
    draws
}

/// Functions that may give back a parameter or a view of one.
fn view_functions(module: &Module, table: &Table) -> FxHashSet<FuncId> {
    let mut found = FxHashSet::default();
    // Calls do not recur, so this ends; few rounds are needed.
    loop {
        let before = found.len();
        for (index, function) in module.functions.iter().enumerate() {
            let is_view = |inst: InstId| match &function[inst].kind {
                InstKind::Op { op, .. } => table.gives_views(op.name()),
                InstKind::Call { func, .. } => found.contains(func),
                _ => false,
            };
            let views = Views::of(function, &is_view);
            let last = function.body.insts.last().map(|&inst| &function[inst]);
            let returned = last.filter(|inst| inst.kind == InstKind::Return).map_or(&[][..], |inst| &inst.operands);
            let shares = |param: &ValueId| views.of_value(*param).iter().any(|view| returned.contains(view));
            if function.params.iter().any(shares) {
                found.insert(FuncId(index as u32));
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Whether the member may change while a method runs.
pub fn is_state(module: &Module, layer: Option<LayerId>, name: &str) -> bool {
    let stored = layer.and_then(|layer| module.stored(layer, name));
    stored.is_some_and(|storage| matches!(storage.role, Role::State | Role::Transient))
}

/// Host arguments of a function over the symbols of one call of it.
pub fn bound_arguments(function: &Function, bindings: &[(Symbol, crate::types::HostExpr)]) -> Attrs {
    function
        .host_args
        .map(|attr| attr.substitute(&|symbol| bindings.iter().find(|(s, _)| s == symbol).map(|(_, e)| e.clone())))
}

/// An error at a place of the source.
pub fn unsupported(message: impl Into<String>, loc: Loc) -> TargetError {
    TargetError::new(code::E0602, message).at(loc)
}
