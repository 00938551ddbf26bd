//! Function bodies: each value becomes a variable or a part of the expression that uses it.

use crate::base::Loc;
use crate::ir::{FuncId, Function, InstId, InstKind, Layer, MemberKind, Part, PathSegment, ValueId, member_path};
use crate::ops::traits::Movement;
use crate::targets::TargetError;
use crate::targets::names::{self, Namer};
use crate::targets::pycode::classes::ClassNames;
use crate::targets::pycode::flow::{self, Flow};
use crate::targets::pycode::numbers;
use crate::targets::pycode::program::{self, Program};
use crate::targets::pycode::sizes::Source;
use crate::targets::pytext::{Lines, Py};
use crate::types::{DType, Dim, HostExpr, Symbol};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

/// Expressions with more operations than this are taken apart.
const MAX_OPERATIONS: usize = 6;
/// Room for an expression that is to become part of another.
const INLINE_WIDTH: usize = 56;

/// A parameter of a written function.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub name: Py,
    /// The optional input that it is, or is a part of.
    pub optional: Option<String>,
}

/// A written function.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Read like an attribute, not called.
    pub is_property: bool,
    pub parameters: Vec<Parameter>,
    pub docstring: Option<Vec<String>>,
    pub body: Lines,
}

impl Written {
    /// The whole definition, at this depth of indentation.
    pub fn text(&self, name: &str, depth: usize) -> String {
        let mut lines = Lines::new(depth);
        if self.is_property {
            lines.line("@property");
        }
        let required = self.parameters.iter().filter(|parameter| parameter.optional.is_none());
        let optional = self.parameters.iter().filter(|parameter| parameter.optional.is_some());
        let required = required.map(|parameter| parameter.name.clone());
        let optional = optional.map(|parameter| Py::keyword(&parameter.name.text(), Py::none()));
        lines.definition(name, &required.chain(optional).collect::<Vec<Py>>());
        lines.indent();
        for line in self.docstring.iter().flatten() {
            lines.line(line);
        }
        lines.append(self.body.clone());
        lines.text().trim_end().to_string()
    }
}

/// The elements of `self.field`, where a loop runs over them.
pub struct Element {
    pub field: String,
    pub index: Symbol,
    pub variable: String,
}

pub struct Writer<'p, 'm> {
    pub program: &'p mut Program<'m>,
    pub function: &'m Function,
    pub layer: Option<&'m Layer>,
    pub flow: Flow,
    pub expressions: FxHashMap<ValueId, Py>,
    /// Values that are plain Python numbers.
    pub numbers: FxHashSet<ValueId>,
    /// The value that each variable holds.
    pub holders: HashMap<String, ValueId>,
    pub namer: Namer,
    pub lines: Lines,
    pub loop_symbols: HashMap<Symbol, String>,
    pub elements: Vec<Element>,
    /// What the branches not taken cover.
    pub other_branches: Vec<RangeInclusive<usize>>,
    /// Names that values should get: those of the results they become.
    pub wishes: FxHashMap<ValueId, String>,
    pub definitions: FxHashMap<ValueId, InstId>,
    /// Stacks that are still lists of what a loop collected.
    pub lists: FxHashSet<ValueId>,
    /// Where sizes are read off that only a run tells.
    pub sizes: FxHashMap<Symbol, Source>,
    pub symbols: HashMap<Symbol, String>,
    pub used_symbols: HashSet<Symbol>,
    /// Where new tensors should be.
    pub device: Option<Py>,
    commented: Option<Loc>,
}

/// Writes a function; `depth` is the indentation of its body.
pub fn write(program: &mut Program, id: FuncId, depth: usize) -> Result<Written, TargetError> {
    let module = program.module;
    let function = &module[id];
    let mut writer = Writer::new(program, function, depth);
    // What comes with every call has a name of its own.
    let instance = writer.program.takes_instance(id).then(|| writer.program.dialect.instance());
    for name in instance.into_iter().chain(writer.program.generator(id)) {
        writer.namer.take(name);
    }
    writer.bind_parameters();
    // Nothing is anywhere yet while an instance is being built.
    if writer.program.is_maker(id) {
        writer.device = None;
    }
    let body = &function.body;
    writer.region(body)?;
    if let Some(&last) = body.insts.last()
        && function[last].kind == InstKind::Return
    {
        writer.write_return(last);
    }
    let loc = function.loc;
    let written = writer.finish(id, depth)?;
    if std::mem::take(&mut program.unknown_size) {
        let message = format!("`{}` needs a size that is not known", function.source_name);
        let note = "give the value a type with the size in it: `let y: float32[n, k] = ...`";
        return Err(program::unsupported(message, loc).note(note));
    }
    Ok(written)
}

impl<'p, 'm> Writer<'p, 'm> {
    fn new(program: &'p mut Program<'m>, function: &'m Function, depth: usize) -> Writer<'p, 'm> {
        let layer = function.layer.map(|id| &program.module[id]);
        let facts = flow::Facts {
            has_effect: &|inst| match &function[inst].kind {
                InstKind::SetState { .. } | InstKind::SetSlice { .. } => true,
                InstKind::Call { func, .. } => program.has_effect(*func),
                _ => false,
            },
            changes: &|inst, name| program.changes(&function[inst].kind, name),
            is_state: &|name| program::is_state(program.module, function.layer, name),
            is_view: &|inst| match &function[inst].kind {
                InstKind::Op { op, .. } => program.table.gives_views(op.name()),
                InstKind::Call { func, .. } => program.gives_views(*func),
                _ => false,
            },
        };
        let flow = Flow::of(function, &facts);
        let mut definitions = FxHashMap::default();
        function.visit(&function.body, &mut |inst| {
            definitions.extend(function[inst].results.iter().map(|value| (*value, inst)));
        });
        let namer = Namer::among(program.globals.clone());
        Writer {
            program,
            function,
            layer,
            flow,
            expressions: FxHashMap::default(),
            numbers: FxHashSet::default(),
            holders: HashMap::new(),
            namer,
            lines: Lines::new(depth),
            loop_symbols: HashMap::new(),
            elements: vec![],
            other_branches: vec![],
            wishes: FxHashMap::default(),
            definitions,
            lists: FxHashSet::default(),
            sizes: FxHashMap::default(),
            symbols: HashMap::new(),
            used_symbols: HashSet::new(),
            device: None,
            commented: None,
        }
    }

    /// A tensor that is where new ones should be.
    pub(super) fn device_anchor(&self) -> Option<Py> {
        if let Some(first) = self.function.params.first() {
            return self.expressions.get(first).and_then(|x| self.program.dialect.device_of(x.clone()));
        }
        let names = self.class_names()?;
        self.layer?.members.iter().find_map(|member| match &member.kind {
            MemberKind::Storage(storage) if storage.scheme.is_none() => {
                let dialect = self.program.dialect;
                dialect.device_of(dialect.field(Py::name(dialect.instance()), &names.member(&member.name)))
            }
            _ => None,
        })
    }

    pub fn class_names(&self) -> Option<&ClassNames> {
        self.program.classes.get(&self.function.layer?)
    }

    // ---- names

    /// A variable for a new value: none that `bound` or later still needs.
    pub fn free_name(&self, wish: &str, bound: usize) -> String {
        let base = self.namer.safe(wish);
        let numbered = |n: usize| format!("{}_{n}", base.trim_end_matches('_'));
        if self.is_free(&base, bound) {
            return base;
        }
        (2..).map(numbered).find(|name| self.is_free(name, bound)).unwrap_or(base)
    }

    /// Whether a name is nothing's that is still looked at from a position on.
    pub fn is_free(&self, name: &str, bound: usize) -> bool {
        !self.namer.is_taken(name)
            && !self.namer.is_reserved(name)
            && self.holders.get(name).is_none_or(|held| self.flow.is_dead(*held, bound, &self.other_branches))
    }

    fn wish(&self, value: ValueId) -> String {
        if let Some(wish) = self.wishes.get(&value) {
            return wish.clone();
        }
        if let Some(name) = &self.function[value].name {
            return name.clone();
        }
        match self.definitions.get(&value).map(|inst| &self.function[*inst].kind) {
            // Of a part's member, what it is there: `weight` says enough beside `self.conv.weight`.
            Some(InstKind::Param { name, .. }) => member_path(name).map_or(name.clone(), |(_, own)| own.to_string()),
            Some(InstKind::Rng { .. }) => "seed".into(),
            Some(InstKind::Op { .. }) => self.quantised_member(value).unwrap_or_else(|| "y".into()),
            _ => "y".into(),
        }
    }

    /// The member whose value this is, once quantised.
    fn quantised_member(&self, value: ValueId) -> Option<String> {
        let mut inst = *self.definitions.get(&value)?;
        inst = self.flow.fused(inst).unwrap_or(inst);
        let first = self.function[inst].operands.first()?;
        match &self.function[*self.definitions.get(first)?].kind {
            InstKind::Param { name, .. } if self.scheme_of(name) => Some(name.clone()),
            _ => None,
        }
    }

    /// Whether a member's values are quantised.
    pub fn scheme_of(&self, name: &str) -> bool {
        let stored = self.function.layer.and_then(|layer| self.program.module.stored(layer, name));
        stored.is_some_and(|storage| storage.scheme.is_some())
    }

    /// `self.weight`; by a dotted name, the member of a part.
    pub(super) fn member(&mut self, name: &str) -> Py {
        match member_path(name) {
            Some((mut path, own)) => {
                path.push(PathSegment::Field(own.to_string()));
                self.path(&path)
            }
            None => self.path(&[PathSegment::Field(name.to_string())]),
        }
    }

    /// A symbol as the body reaches it.
    pub fn symbol(&mut self, symbol: &Symbol) -> Py {
        if let Some(variable) = self.loop_symbols.get(symbol) {
            return Py::name(variable);
        }
        if let Some(size) = self.size(symbol) {
            return size;
        }
        let own = self.layer.is_some_and(|layer| layer.hypers.iter().any(|h| h.name == *symbol));
        if let (true, Some(id)) = (own && !self.symbols.contains_key(symbol), self.function.layer) {
            self.program.stored.entry(id).or_default().insert(symbol.clone());
            let name = self.program.classes.get(&id).map_or_else(String::new, |c| c.hyper(symbol));
            return Py::name(self.program.dialect.instance()).attr(&name);
        }
        self.used_symbols.insert(symbol.clone());
        let name = self.symbols.get(symbol).cloned().unwrap_or_else(|| names::identifier(symbol.as_str()));
        Py::name(name)
    }

    pub fn dim(&mut self, dim: &Dim) -> Py {
        numbers::dim(dim, &mut |s| self.symbol(s))
    }

    pub fn host(&mut self, value: &HostExpr) -> Py {
        numbers::host(value, &mut |s| self.symbol(s))
    }

    // ---- values

    /// A value as a tensor.
    pub fn tensor(&mut self, value: ValueId) -> Py {
        let expression = self.number_or_tensor(value);
        if !self.numbers.contains(&value) {
            return expression;
        }
        self.program.dialect.scalar(expression, self.function.dtype(value), self.device.clone())
    }

    /// A value, as a plain number where it is one.
    pub fn number_or_tensor(&mut self, value: ValueId) -> Py {
        self.expressions.get(&value).cloned().unwrap_or_else(Py::none)
    }

    /// Writes the line that the code comes from, where it changed.
    pub fn comment(&mut self, loc: Loc) {
        let same = self.commented.is_some_and(|last| last.line == loc.line && last.file == loc.file);
        if loc.line == 0 || same {
            return;
        }
        self.commented = Some(loc);
        let file = self.program.module.files.get(loc.file.0 as usize);
        let file = file.map_or(self.program.options.source_name.as_str(), String::as_str);
        self.lines.line(&names::python_comment(&format!("{file}:{}", loc.line)));
    }

    /// Forgets the last comment, where a block begins or ends.
    pub fn new_block(&mut self) {
        self.commented = None;
    }

    pub fn statement(&mut self, prefix: &str, value: &Py, suffix: &str) {
        self.program.note(value);
        self.lines.statement(prefix, value, suffix);
    }

    /// Gives a value a variable of its own; `bound` is the first position whose needs must be kept.
    pub fn assign(&mut self, value: ValueId, expression: &Py, bound: usize) {
        let name = self.free_name(&self.wish(value), bound);
        self.holders.insert(name.clone(), value);
        if expression.as_atom() != Some(&name) {
            self.statement(&format!("{name} = "), expression, "");
        }
        self.expressions.insert(value, Py::name(name));
        self.numbers.remove(&value);
    }

    /// Builds an instruction's expression, first giving names to parts until it is short enough.
    pub fn build_short(&mut self, inst: InstId, width: usize) -> Result<Py, TargetError> {
        let mut parts = self.function[inst].operands.clone();
        if let Some(quantize) = self.flow.fused(inst) {
            parts = self.function[quantize].operands.clone();
        }
        // A weight as a whole, whose codes and scale it does not name.
        if let InstKind::Op { op, .. } = &self.function[inst].kind
            && self.packed_weight(inst, op.get()).is_some()
        {
            parts.clear();
        }
        loop {
            let expression = self.build(inst)?;
            let fits = expression.text().chars().count() <= width && expression.operations() <= MAX_OPERATIONS;
            let weight = |value: &ValueId| {
                let known = self.expressions.get(value)?;
                let named = self.numbers.contains(value) || known.operations() == 0;
                (!named).then(|| (known.text().len(), *value))
            };
            // The first of the largest.
            let largest = parts.iter().rev().filter_map(weight).max_by_key(|(length, _)| *length);
            let Some((_, largest)) = largest.filter(|_| !fits) else {
                return Ok(expression);
            };
            let part = self.tensor(largest);
            self.wish_as_argument(inst, largest);
            self.comment(self.function[inst].loc);
            self.assign(largest, &part, self.flow.position(inst));
        }
    }

    /// An argument that needs a name gets its parameter's.
    fn wish_as_argument(&mut self, inst: InstId, value: ValueId) {
        let data = &self.function[inst];
        let InstKind::Call { func, .. } = &data.kind else { return };
        let callee = &self.program.module[*func];
        let at = data.operands.iter().position(|operand| *operand == value);
        let name = at.and_then(|at| callee[*callee.params.get(at)?].name.clone());
        // `x` says nothing: an `x` of its own is there most of the time.
        if let (Some(name), None) = (name.filter(|name| name != "x"), &self.function[value].name) {
            self.wishes.entry(value).or_insert(name);
        }
    }

    // ---- instructions

    pub fn instruction(&mut self, inst: InstId) -> Result<(), TargetError> {
        self.write_instruction(inst)?;
        self.note_sizes(inst);
        Ok(())
    }

    fn write_instruction(&mut self, inst: InstId) -> Result<(), TargetError> {
        let data = &self.function[inst];
        let dialect = self.program.dialect;
        if let Some(written) = dialect.control_flow(self, inst) {
            return written;
        }
        match &data.kind {
            InstKind::Yield | InstKind::Return => Ok(()),
            InstKind::If { then, otherwise } => self.write_if(inst, then, otherwise),
            InstKind::For { index, body } => self.write_for(inst, index, body),
            InstKind::While { turns, cond, body } => self.write_while(inst, turns.as_ref(), cond, body),
            InstKind::Gradient { .. } => Err(program::unsupported("a gradient that is not written out", data.loc)),
            InstKind::Fused { .. } => Err(program::unsupported("a fused instruction", data.loc)),
            InstKind::SetState { name } => {
                self.set_state(inst, name);
                Ok(())
            }
            InstKind::SetSlice { name, windows } => {
                self.set_slice(inst, name, windows);
                Ok(())
            }
            InstKind::Assert { message } => {
                let condition = self.number_or_tensor(data.operands[0]);
                self.comment(data.loc);
                match dialect.assertion(&condition, message) {
                    Some(call) => self.statement("", &call, ""),
                    None => self.raise_unless(condition, "RuntimeError", message),
                }
                Ok(())
            }
            InstKind::Ensure(obligation) => {
                self.ensure(obligation, data.loc);
                Ok(())
            }
            InstKind::Print { pieces } => {
                self.print(inst, pieces);
                Ok(())
            }
            InstKind::Host(_) => {
                let value = data.results[0];
                self.numbers.insert(value);
                let expression = self.build(inst)?;
                self.expressions.insert(value, expression);
                Ok(())
            }
            InstKind::Const(tensor) if tensor.rank() == 0 && tensor.dtype() != DType::Bool => {
                self.numbers.insert(data.results[0]);
                self.expressions.insert(data.results[0], numbers::element(tensor, 0));
                Ok(())
            }
            InstKind::Op { op, .. } if matches!(op.movement(), Movement::Converts) && self.stays_number(inst) => {
                let number = self.number_or_tensor(data.operands[0]);
                self.numbers.insert(data.results[0]);
                self.expressions.insert(data.results[0], number);
                Ok(())
            }
            InstKind::Op { op, attrs } if self.compares_numbers(inst, op.name()) => {
                let expression = self.build_op(inst, op.get(), attrs)?;
                self.numbers.insert(data.results[0]);
                self.expressions.insert(data.results[0], expression);
                Ok(())
            }
            InstKind::Op { .. }
            | InstKind::Param { .. }
            | InstKind::Const(_)
            | InstKind::Rng { .. }
            | InstKind::Call { .. } => self.value_instruction(inst),
        }
    }

    /// A plain int as a float is the same number to Python.
    fn stays_number(&self, inst: InstId) -> bool {
        let data = &self.function[inst];
        let float = |value: ValueId| self.function.dtype(value).is_float();
        self.numbers.contains(&data.operands[0]) && float(data.results[0]) && !float(data.operands[0])
    }

    /// A comparison of plain numbers, used once, is a plain bool.
    pub(super) fn compares_numbers(&self, inst: InstId, op: &str) -> bool {
        let data = &self.function[inst];
        let is_inlined = matches!(data.results.as_slice(), [only] if self.flow.is_inlined(*only));
        let is_number = |value: &ValueId| self.numbers.contains(value) && self.function.dtype(*value) != DType::Bool;
        is_inlined
            && self.function.dtype(data.results[0]) == DType::Bool
            && self.program.table.takes_numbers(op)
            && data.operands.iter().all(is_number)
    }

    fn value_instruction(&mut self, inst: InstId) -> Result<(), TargetError> {
        let data = &self.function[inst];
        let position = self.flow.position(inst);
        let effect = matches!(&data.kind, InstKind::Call { func, .. } if self.program.has_effect(*func));
        let used = data.results.iter().any(|v| self.flow.is_used(*v));
        if !used && !effect {
            return Ok(());
        }
        match data.results.as_slice() {
            // The `dequantize` that alone uses these will write both.
            results if results.len() > 1 && results.iter().all(|v| self.flow.is_inlined(*v)) => Ok(()),
            [value] if self.flow.is_inlined(*value) => {
                let width = match self.flow.is_returned(*value) {
                    true => self.lines.width().saturating_sub("return ".len()),
                    false => INLINE_WIDTH,
                };
                let expression = self.build_short(inst, width)?;
                self.expressions.insert(*value, expression);
                Ok(())
            }
            [value] if used => {
                let width = self.lines.width().saturating_sub(self.wish(*value).len() + 3);
                let expression = self.build_short(inst, width)?;
                let expression = match &data.kind {
                    // The state may change under the name.
                    InstKind::Param { part: Part::Value, .. } => self.copied(expression),
                    _ => expression,
                };
                self.comment(data.loc);
                self.assign(*value, &expression, position + 1);
                Ok(())
            }
            results => {
                let expression = self.build_short(inst, self.lines.width().saturating_sub(24))?;
                self.comment(data.loc);
                let mut targets = vec![];
                for &value in results.iter().filter(|_| used) {
                    if self.flow.is_used(value) {
                        let name = self.free_name(&self.wish(value), position + 1);
                        self.holders.insert(name.clone(), value);
                        self.expressions.insert(value, Py::name(&name));
                        targets.push(name);
                    } else {
                        targets.push("_".into());
                    }
                }
                let prefix = match targets.as_slice() {
                    [] => String::new(),
                    [only] => format!("({only},) = "),
                    _ => format!("{} = ", targets.join(", ")),
                };
                self.statement(&prefix, &expression, "");
                Ok(())
            }
        }
    }

    /// The expression of an instruction with results.
    fn build(&mut self, inst: InstId) -> Result<Py, TargetError> {
        let data = &self.function[inst];
        let dialect = self.program.dialect;
        match &data.kind {
            InstKind::Op { op, attrs } => self.build_op(inst, op.get(), attrs),
            InstKind::Param { name, part } => {
                let member = self.member(name);
                let is_master = self.program.evaluates;
                Ok(match (part, self.packed(name)) {
                    (Part::Value, _) | (_, None) => member,
                    (part, Some((scheme, size))) => {
                        dialect.part(member, *part, scheme, &mut || self.dim(&size), is_master)
                    }
                })
            }
            InstKind::Const(tensor) => Ok(dialect.literal(tensor, self.device.clone())),
            InstKind::Host(value) => Ok(self.host(value)),
            InstKind::Rng { .. } => {
                Ok(Py::name("new_seed").call(dialect.generator().map(Py::name).into_iter().collect()))
            }
            InstKind::Call { func, bindings, path, .. } => self.build_call(inst, *func, bindings, path.as_deref()),
            _ => Ok(Py::none()),
        }
    }
}
