//! Classes: a layer's constructor, its parameters and their initial values, and its methods.

use crate::ir::{FuncId, HostKind, Hyper, Init, Layer, LayerId, Member, MemberKind, Origin, Role, Storage, Sub};
use crate::targets::pycode::head::obligation_broken;
use crate::targets::pycode::program::Program;
use crate::targets::pycode::{expression, numbers, special};
use crate::targets::pytext::{Lines, Py};
use crate::targets::pytorch::dialect::{self, Torch};
use crate::targets::{Mode, TargetError, names};
use crate::types::{DType, HostExpr, HostValue, Symbol, TensorType};
use std::collections::{BTreeSet, HashMap};

/// Arguments up to this many need no names.
const MAX_POSITIONAL: usize = 3;

/// The parts of a class, as the skeleton puts them together: text without a line break at the end.
#[derive(Debug)]
pub struct Class {
    pub name: String,
    pub docstring: String,
    pub constructor: String,
    pub methods: Vec<String>,
}

/// Writes a layer. `methods` are its functions, written before.
pub fn write(program: &mut Program, id: LayerId, methods: Vec<String>) -> Result<Class, TargetError> {
    let layer = &program.module[id];
    let mut methods = methods;
    let mut writer = Constructor { program, id, layer, indices: HashMap::new() };
    let reset = writer.reset_parameters()?;
    let has_reset = reset.is_some();
    methods.splice(0..0, reset);
    let constructor = writer.write(has_reset)?;
    let name = program.classes.get(&id).map_or_else(|| layer.name.clone(), |names| names.class.clone());
    Ok(Class { name, docstring: docstring(layer), constructor, methods })
}

fn docstring(layer: &Layer) -> String {
    let mut text = layer.doc.clone().unwrap_or_default().trim_end().to_string();
    let mut paragraph = |lines: Vec<String>| {
        if !lines.is_empty() {
            let gap = if text.is_empty() { "" } else { "\n\n" };
            text.push_str(&format!("{gap}{}", lines.join("\n")));
        }
    };
    let describe = |hyper: &Hyper| {
        let doc = hyper.doc.as_deref()?.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
        Some(format!("{}: {doc}", hyper.name))
    };
    paragraph(layer.hypers.iter().filter_map(describe).collect());
    let choices: Vec<String> = layer.choices.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    if !choices.is_empty() {
        paragraph(vec![format!("Compiled for {}.", choices.join(", "))]);
    }
    let mut lines = Lines::new(1);
    names::python_docstring(&text).unwrap_or_default().iter().for_each(|line| lines.line(line));
    lines.text().trim_end().to_string()
}

pub(super) struct Constructor<'p, 'm> {
    pub program: &'p mut Program<'m>,
    pub id: LayerId,
    pub layer: &'m Layer,
    /// Variables of the comprehensions around the sublayer being written.
    indices: HashMap<Symbol, String>,
}

impl Constructor<'_, '_> {
    /// A symbol inside the constructor: an argument of it.
    pub fn argument(&self, symbol: &Symbol) -> Py {
        if let Some(variable) = self.indices.get(symbol) {
            return Py::name(variable);
        }
        let names = self.program.classes.get(&self.id);
        Py::name(names.map_or_else(|| names::identifier(symbol.as_str()), |names| names.hyper(symbol)))
    }

    fn host(&self, value: &HostExpr) -> Py {
        numbers::host(value, &mut |s| self.argument(s))
    }

    /// A symbol in a method: kept on `self`.
    fn kept(&mut self, value: &HostExpr) -> Py {
        let id = self.id;
        let program = &mut *self.program;
        numbers::host(value, &mut |symbol| {
            program.stored.entry(id).or_default().insert(symbol.clone());
            let name = program.classes.get(&id).map_or_else(String::new, |names| names.hyper(symbol));
            Py::name("self").attr(&name)
        })
    }

    fn member(&self, member: &Member) -> Py {
        Py::name("self").attr(&self.attribute(&member.name))
    }

    pub fn attribute(&self, name: &str) -> String {
        self.program.classes.get(&self.id).map_or_else(String::new, |names| names.member(name))
    }

    fn statement(&mut self, lines: &mut Lines, prefix: &str, value: &Py, suffix: &str) {
        self.program.note(value);
        lines.statement(prefix, value, suffix);
    }

    /// `self.schemes = {"weight": Ternary(axis=0)}`: what to pack, and how.
    fn schemes(&mut self, lines: &mut Lines) -> Result<(), TargetError> {
        let mut entries = vec![];
        for member in &self.layer.members {
            if let MemberKind::Storage(Storage { scheme: Some(scheme), .. }) = &member.kind {
                let value = special::scheme(&Torch, scheme);
                self.program.note(&value);
                entries.push((Py::string(&self.attribute(&member.name)), value));
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        lines.dictionary("self.schemes = ", &entries, "");
        Ok(())
    }

    fn write(&mut self, has_reset: bool) -> Result<String, TargetError> {
        let mut lines = Lines::new(1);
        let entry = self.program.is_entry(self.id) && self.layer.name == "Model";
        let values = entry.then_some(self.program.module.entry.as_ref()).flatten();
        let parameters = self.parameters(values.map_or(&[], |e| &e.args));
        lines.definition("__init__", &parameters);
        lines.indent();
        lines.line("super().__init__()");
        self.defaults(&mut lines, values.is_some());
        for obligation in &self.layer.obligations {
            let condition = obligation_broken(obligation, &mut |dim| numbers::dim(dim, &mut |s| self.argument(s)));
            self.statement(&mut lines, "if ", &condition, ":");
            lines.indent();
            lines.statement("raise ", &Py::name("ValueError").call(vec![Py::string(&obligation.message)]), "");
            lines.dedent();
        }
        let stored: BTreeSet<Symbol> = self.program.stored.get(&self.id).cloned().unwrap_or_default();
        for hyper in self.layer.hypers.iter().filter(|h| stored.contains(&h.name)) {
            let name = self.argument(&hyper.name);
            lines.statement(&format!("self.{} = ", name.text()), &name, "");
        }
        self.keep_names(&mut lines);
        self.schemes(&mut lines)?;
        for member in &self.layer.members {
            for line in member.doc.iter().flat_map(|doc| doc.split('\n')) {
                lines.line(&names::python_comment(line));
            }
            self.hold(&mut lines, member)?;
        }
        if has_reset {
            lines.line("self.reset_parameters()");
        }
        // `def` and `super().__init__()` alone say nothing.
        if parameters.len() == 1 && lines.code_lines() == 2 {
            return Ok(String::new());
        }
        Ok(lines.text().trim_end().to_string())
    }

    fn parameters(&self, values: &[(Symbol, HostValue)]) -> Vec<Py> {
        let positional = positional_count(self.layer);
        let mut parameters = vec![Py::name("self")];
        for (index, hyper) in self.layer.hypers.iter().enumerate() {
            if index == positional {
                parameters.push(Py::name("*"));
            }
            let name = self.argument(&hyper.name);
            let given =
                values.iter().find(|(symbol, _)| *symbol == hyper.name).map(|(_, value)| numbers::host_value(value));
            let default = given.or_else(|| {
                let default = hyper.default.as_ref()?;
                Some(if default.symbols().is_empty() { self.host(&typed(default, hyper.kind)) } else { Py::none() })
            });
            parameters.push(match default {
                Some(default) => Py::keyword(&name.text(), default),
                None => name,
            });
        }
        parameters
    }

    /// Defaults that depend on earlier arguments.
    fn defaults(&mut self, lines: &mut Lines, all_given: bool) {
        for hyper in self.layer.hypers.iter().filter(|_| !all_given) {
            let Some(default) = hyper.default.as_ref().filter(|d| !d.symbols().is_empty()) else { continue };
            let name = self.argument(&hyper.name).text();
            lines.line(&format!("if {name} is None:"));
            lines.indent();
            let value = self.host(default);
            self.statement(lines, &format!("{name} = "), &value, "");
            lines.dedent();
        }
    }

    fn hold(&mut self, lines: &mut Lines, member: &Member) -> Result<(), TargetError> {
        let target = format!("{} = ", self.member(member).text());
        let name = Py::string(&self.attribute(&member.name));
        match &member.kind {
            MemberKind::Sub(sub) => {
                let value = self.sub(sub);
                self.statement(lines, &target, &value, "");
            }
            // A property computes it.
            MemberKind::Constant { of: Origin::Weights, .. } => {}
            MemberKind::Constant { func, of: Origin::Construction, .. } => {
                let value = self.call(*func);
                let call = register(name, value, false);
                self.statement(lines, "", &call, "");
            }
            MemberKind::Storage(storage) => {
                let value = match (&storage.scheme, storage.role) {
                    (Some(scheme), _) if self.program.options.mode == Mode::Infer => {
                        let scheme = special::scheme(&Torch, scheme);
                        Py::name("PackedWeight").call(vec![self.filled("zeros", &storage.ty), scheme])
                    }
                    (_, Role::Param) if is_float(&storage.ty) => {
                        Py::name("nn").method("Parameter", vec![self.filled("empty", &storage.ty)])
                    }
                    (_, Role::Param) => {
                        let zeros = self.filled("zeros", &storage.ty);
                        let frozen = Py::keyword("requires_grad", Py::name("False"));
                        Py::name("nn").method("Parameter", vec![zeros, frozen])
                    }
                    (_, role) => {
                        let value = self.simple_value(storage);
                        let call = register(name, value, role != Role::Transient);
                        self.statement(lines, "", &call, "");
                        return Ok(());
                    }
                };
                self.statement(lines, &target, &value, "");
            }
        }
        Ok(())
    }

    /// `torch.empty(out_features, in_features)`.
    fn filled(&self, function: &str, ty: &TensorType) -> Py {
        let sizes = expression::shape(&ty.shape, &mut |s| self.argument(s));
        let mut arguments = match sizes {
            Py::Tuple(items) if !items.is_empty() => items,
            scalar => vec![scalar],
        };
        arguments.extend(dtype_argument(ty));
        Py::name("torch").method(function, arguments)
    }

    /// A buffer's value at construction; `reset_parameters` fills in the rest.
    fn simple_value(&self, storage: &Storage) -> Py {
        match &storage.init {
            Init::Ones => self.filled("ones", &storage.ty),
            Init::Constant(value) => {
                let sizes = expression::shape(&storage.ty.shape, &mut |s| self.argument(s));
                let mut arguments = vec![sizes, self.host(value)];
                arguments.push(Py::keyword("dtype", dialect::dtype(storage.ty.dtype().unwrap_or(DType::Float32))));
                Py::name("torch").method("full", arguments)
            }
            _ => self.filled("zeros", &storage.ty),
        }
    }

    /// The list's own name for its index, where nothing else here has it.
    fn index_name(&self, index: &Symbol) -> String {
        let base = names::identifier(index.as_str().split('\'').next().unwrap_or("i"));
        let is_argument = self.layer.hypers.iter().any(|hyper| self.argument(&hyper.name).as_atom() == Some(&base));
        match is_argument || self.indices.values().any(|other| *other == base) {
            true => names::identifier(index.as_str()),
            false => base,
        }
    }

    fn sub(&mut self, sub: &Sub) -> Py {
        match sub {
            Sub::Instance { layer, args } => {
                let inner = &self.program.module[*layer];
                let class = self.program.classes.get(layer).map_or_else(|| inner.name.clone(), |n| n.class.clone());
                let given =
                    |symbol: &Symbol| args.iter().find(|(own, _)| own == symbol).map(|(_, value)| value.clone());
                let required = inner.hypers.iter().filter(|h| h.default.is_none()).count();
                let positional = required.max(usize::from(inner.hypers.len() == 1)).min(positional_count(inner));
                let arguments = inner.hypers.iter().enumerate().filter_map(|(index, hyper)| {
                    let value = given(&hyper.name)?;
                    let default = hyper.default.as_ref().map(|d| typed(&d.substitute(&given), hyper.kind));
                    if default == Some(typed(&value, hyper.kind)) {
                        return None;
                    }
                    let value = self.host(&typed(&value, hyper.kind));
                    let name = self.program.classes.get(layer).map(|n| n.hyper(&hyper.name)).unwrap_or_default();
                    Some(if index < positional { value } else { Py::keyword(&name, value) })
                });
                Py::name(class).call(arguments.collect())
            }
            Sub::List(elements) => {
                let elements = elements.iter().map(|element| self.sub(element)).collect();
                Py::name("nn").method("ModuleList", vec![Py::List(elements)])
            }
            Sub::Repeat { index, count, element } => {
                let variable = self.index_name(index);
                self.indices.insert(index.clone(), variable.clone());
                let element = self.sub(element);
                self.indices.remove(index);
                let mut used = false;
                element.visit_atoms(&mut |text| used |= text == variable);
                let variable = if used { variable } else { "_".to_string() };
                let items = Py::name("range").call(vec![self.host(&HostExpr::Int(count.clone()))]);
                let list = Py::Comprehension { element: element.into(), variable, items: items.into() };
                Py::name("nn").method("ModuleList", vec![list])
            }
            Sub::Function { name } => Py::name("Function").call(vec![Py::string(name)]),
        }
    }

    /// A call of a function without parameters, inside the constructor.
    fn call(&mut self, func: FuncId) -> Py {
        let callee = self.program.callees.get(&func).cloned();
        let name = callee.as_ref().map_or_else(|| self.program.function_name(func), |c| c.name.clone());
        let extra = callee.map_or(vec![], |c| c.extra);
        let arguments = extra.iter().map(|symbol| self.argument(symbol)).collect();
        match self.program.module[func].layer {
            Some(_) => Py::name("self").method(&name, arguments),
            None => Py::name(name).call(arguments),
        }
    }

    /// The method that gives parameters their initial values.
    fn reset_parameters(&mut self) -> Result<Option<String>, TargetError> {
        let mut lines = Lines::new(2);
        let mut copies = false;
        for member in &self.layer.members {
            if let MemberKind::Storage(storage) = &member.kind {
                copies |= self.reset(&mut lines, member, storage);
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let mut head = Lines::new(1);
        if copies {
            head.line("@torch.no_grad()");
        }
        head.line("def reset_parameters(self):");
        head.append(lines);
        Ok(Some(head.text().trim_end().to_string()))
    }

    /// Writes the initialisation of one member; whether it copies values in place.
    fn reset(&mut self, lines: &mut Lines, member: &Member, storage: &Storage) -> bool {
        let packed = storage.scheme.is_some() && self.program.options.mode == Mode::Infer;
        let own = self.member(member);
        let target = if packed { Py::name(names::identifier(&member.name)) } else { own.clone() };
        let Some((call, copies)) = self.initial(storage, &target) else { return false };
        if packed {
            let id = self.id;
            let program = &mut *self.program;
            let sizes = expression::shape(&storage.ty.shape, &mut |symbol| {
                program.stored.entry(id).or_default().insert(symbol.clone());
                Py::name("self").attr(&program.classes.get(&id).map_or_else(String::new, |n| n.hyper(symbol)))
            });
            let empty =
                Py::name("torch").method("empty", std::iter::once(sizes).chain(dtype_argument(&storage.ty)).collect());
            self.statement(lines, &format!("{} = ", target.text()), &empty, "");
        }
        self.statement(lines, "", &call, "");
        if packed {
            lines.statement("", &own.method("store", vec![target]), "");
        }
        copies || packed
    }

    fn initial(&mut self, storage: &Storage, target: &Py) -> Option<(Py, bool)> {
        let rank = storage.ty.shape.rank().unwrap_or(0);
        let is_param = storage.role == Role::Param;
        let init = |name: &str, arguments: Vec<Py>| {
            let arguments = std::iter::once(target.clone()).chain(arguments).collect();
            Some((Py::name("nn").attr("init").method(name, arguments), false))
        };
        let copy = |value: Py| Some((target.clone().method("copy_", vec![value]), true));
        let float = is_float(&storage.ty);
        match &storage.init {
            // Already so from the constructor.
            Init::Default | Init::Zeros | Init::Ones | Init::Constant(_) if !is_param => None,
            Init::Default | Init::KaimingUniform if rank >= 2 && float => {
                let a = Py::name("math").method("sqrt", vec![Py::int(5)]);
                init("kaiming_uniform_", vec![Py::keyword("a", a)])
            }
            Init::KaimingUniform if float => init("uniform_", vec![numbers::float(-1.0), numbers::float(1.0)]),
            Init::Default | Init::Zeros | Init::KaimingUniform => init("zeros_", vec![]),
            Init::Ones => init("ones_", vec![]),
            Init::Constant(value) => {
                let value = self.kept(value);
                init("constant_", vec![value])
            }
            Init::Normal { mean, std } => {
                let arguments = vec![
                    Py::keyword("mean", self.kept(&as_float(mean))),
                    Py::keyword("std", self.kept(&as_float(std))),
                ];
                init("normal_", arguments)
            }
            Init::Uniform { low, high } => {
                let arguments = vec![self.kept(&as_float(low)), self.kept(&as_float(high))];
                init("uniform_", arguments)
            }
            Init::XavierUniform { gain } => {
                let gain = self.kept(&as_float(gain));
                init("xavier_uniform_", vec![Py::keyword("gain", gain)])
            }
            Init::RandomTernary => {
                let shape = target.clone().attr("shape");
                copy(Py::name("torch").method("randint", vec![Py::int(-1), Py::int(2), shape]))
            }
            Init::Values(tensor) if tensor.is_empty() => None,
            Init::Values(tensor) => {
                let dtype = Py::keyword("dtype", dialect::dtype(tensor.dtype()));
                copy(Py::name("torch").method("tensor", vec![numbers::nested(tensor), dtype]))
            }
            Init::Func(func) => {
                let callee = self.program.callees.get(func).cloned();
                let extra = callee.map_or(vec![], |c| c.extra);
                let arguments: Vec<Py> =
                    extra.iter().map(|s| self.kept(&HostExpr::Int(crate::types::Dim::symbol(s.as_str())))).collect();
                let name = self.program.function_name(*func);
                copy(match self.program.module[*func].layer {
                    Some(_) => Py::name("self").method(&name, arguments),
                    None => Py::name(name).call(arguments),
                })
            }
        }
    }
}

fn register(name: Py, value: Py, saved: bool) -> Py {
    let mut arguments = vec![name, value];
    if !saved {
        arguments.push(Py::keyword("persistent", Py::name("False")));
    }
    Py::name("self").method("register_buffer", arguments)
}

fn is_float(ty: &TensorType) -> bool {
    ty.dtype().is_none_or(DType::is_float)
}

fn dtype_argument(ty: &TensorType) -> Option<Py> {
    let dtype = ty.dtype().filter(|d| *d != DType::Float32)?;
    Some(Py::keyword("dtype", dialect::dtype(dtype)))
}

/// An int constant where a float is meant.
fn as_float(value: &HostExpr) -> HostExpr {
    typed(value, HostKind::Float)
}

fn typed(value: &HostExpr, kind: HostKind) -> HostExpr {
    match (kind, value.as_const()) {
        (HostKind::Float, Some(x)) => HostExpr::float(x),
        _ => value.clone(),
    }
}

/// How many hyperparameters may be given by position: Python wants no required one after a default.
fn positional_count(layer: &Layer) -> usize {
    let first_default = layer.hypers.iter().position(|h| h.default.is_some());
    let last_required = layer.hypers.iter().rposition(|h| h.default.is_none());
    match (first_default, last_required) {
        (Some(first), Some(last)) if first < last => first,
        _ => layer.hypers.len(),
    }
}

/// The entry's class with the entry's values as defaults: parameters and the call of the base.
pub fn model_constructor(program: &Program, id: LayerId, args: &[(Symbol, HostValue)]) -> Option<String> {
    let layer = &program.module[id];
    if layer.hypers.is_empty() {
        return None;
    }
    let names = program.classes.get(&id)?;
    let name = |hyper: &Hyper| names.hyper(&hyper.name);
    let mut parameters = vec![Py::name("self")];
    for hyper in &layer.hypers {
        let value = args.iter().find(|(symbol, _)| *symbol == hyper.name).map(|(_, value)| numbers::host_value(value));
        parameters.push(Py::keyword(&name(hyper), value.unwrap_or_else(Py::none)));
    }
    let all_positional = layer.hypers.len() <= MAX_POSITIONAL && positional_count(layer) == layer.hypers.len();
    let pass = |hyper: &Hyper| match all_positional {
        true => Py::name(name(hyper)),
        false => Py::keyword(&name(hyper), Py::name(name(hyper))),
    };
    let mut lines = Lines::new(1);
    lines.definition("__init__", &parameters);
    lines.indent();
    let base = Py::name("super()").method("__init__", layer.hypers.iter().map(pass).collect());
    lines.statement("", &base, "");
    Some(lines.text().trim_end().to_string())
}
