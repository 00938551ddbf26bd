//! Function bodies: values become variables or parts of expressions, symbols are bound from shapes.

use crate::base::{Loc, code};
use crate::ir::{FuncId, Function, InstId, InstKind, Layer, MemberKind, Part, PathSegment, PrintPiece, Sub, ValueId};
use crate::ops::{Attr, Attrs, Obligation, ObligationKind, Op, ParamKind};
use crate::targets::TargetError;
use crate::targets::names::{self, Namer};
use crate::targets::python::{Lines, Py};
use crate::targets::pytorch::expression::{self, Filled, Holes};
use crate::targets::pytorch::flow::Flow;
use crate::targets::pytorch::numbers;
use crate::targets::pytorch::program::{self, Callee, ClassNames, Program, unsupported};
use crate::targets::pytorch::special::{self, Operand, Use};
use crate::types::dim::Atom;
use crate::types::{DType, Dim, HostExpr, Pack, Symbol, TensorType};
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

/// Expressions with more operations than this are taken apart.
const MAX_OPERATIONS: usize = 6;
/// Room for an expression that is to become part of another.
const INLINE_WIDTH: usize = 56;

/// A written function.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub parameters: Vec<Py>,
    pub docstring: Option<Vec<String>>,
    pub body: Lines,
}

/// The elements of `self.field`, where a loop runs over them.
pub(super) struct Element {
    pub field: String,
    pub index: Symbol,
    pub variable: String,
}

pub(super) struct Writer<'p, 'm> {
    pub program: &'p mut Program<'m>,
    pub function: &'m Function,
    pub layer: Option<&'m Layer>,
    pub flow: Flow,
    pub expressions: HashMap<ValueId, Py>,
    /// Values that are plain Python numbers.
    pub numbers: HashSet<ValueId>,
    /// The value that each variable holds.
    pub holders: HashMap<String, ValueId>,
    pub namer: Namer,
    pub lines: Lines,
    pub loop_symbols: HashMap<Symbol, String>,
    pub elements: Vec<Element>,
    /// What the branches not taken cover.
    pub other_branches: Vec<RangeInclusive<usize>>,
    /// Names that values should get: those of the results they become.
    pub wishes: HashMap<ValueId, String>,
    pub definitions: HashMap<ValueId, InstId>,
    symbols: HashMap<Symbol, String>,
    used_symbols: HashSet<Symbol>,
    device: Option<Py>,
    commented: Option<Loc>,
}

/// Writes a function; `depth` is the indentation of its body.
pub fn write(program: &mut Program, id: FuncId, depth: usize) -> Result<Written, TargetError> {
    let module = program.module;
    let function = &module[id];
    let mut writer = Writer::new(program, function, depth);
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
    writer.finish(id, depth)
}

impl<'p, 'm> Writer<'p, 'm> {
    fn new(program: &'p mut Program<'m>, function: &'m Function, depth: usize) -> Writer<'p, 'm> {
        let layer = function.layer.map(|id| &program.module[id]);
        let effect = |inst: InstId| match &function[inst].kind {
            InstKind::SetState { .. } => true,
            InstKind::Call { func, .. } => program.has_effect(*func),
            _ => false,
        };
        let flow = Flow::of(function, &effect, &|name| program::is_state(layer, name));
        let mut definitions = HashMap::new();
        program::visit(function, &function.body, &mut |inst| {
            definitions.extend(function[inst].results.iter().map(|value| (*value, inst)));
        });
        let namer = Namer::python(program.globals.iter().cloned());
        Writer {
            program,
            function,
            layer,
            flow,
            expressions: HashMap::new(),
            numbers: HashSet::new(),
            holders: HashMap::new(),
            namer,
            lines: Lines::new(depth),
            loop_symbols: HashMap::new(),
            elements: vec![],
            other_branches: vec![],
            wishes: HashMap::new(),
            definitions,
            symbols: HashMap::new(),
            used_symbols: HashSet::new(),
            device: None,
            commented: None,
        }
    }

    fn bind_parameters(&mut self) {
        for (index, &value) in self.function.params.iter().enumerate() {
            let wish = self.function[value].name.clone().unwrap_or_else(|| format!("x{index}"));
            let name = self.free_name(&wish, 0);
            self.holders.insert(name.clone(), value);
            self.expressions.insert(value, Py::name(name));
        }
        for (symbol, _) in &self.function.symbols {
            let mut wish = names::identifier(symbol.as_str());
            while self.holders.contains_key(&wish) {
                wish.push('_');
            }
            let name = self.namer.fresh(&wish);
            self.symbols.insert(symbol.clone(), name);
        }
        self.device = self.device_anchor();
    }

    /// A tensor that is where new ones should be.
    fn device_anchor(&self) -> Option<Py> {
        if let Some(first) = self.function.params.first() {
            return self.expressions.get(first).map(|x| x.clone().attr("device"));
        }
        let names = self.class_names()?;
        self.layer?.members.iter().find_map(|member| match &member.kind {
            MemberKind::Storage(storage) if storage.scheme.is_none() => {
                Some(Py::name("self").attr(&names.member(&member.name)).attr("device"))
            }
            _ => None,
        })
    }

    fn class_names(&self) -> Option<&ClassNames> {
        self.program.classes.get(&self.function.layer?)
    }

    // ---- names

    /// A variable for a new value: none that `bound` or later still needs.
    pub fn free_name(&self, wish: &str, bound: usize) -> String {
        let base = self.namer.safe(wish);
        let free = |name: &str| {
            !self.namer.is_taken(name)
                && !self.namer.is_reserved(name)
                && self.holders.get(name).is_none_or(|held| self.flow.is_dead(*held, bound, &self.other_branches))
        };
        let numbered = |n: usize| format!("{}_{n}", base.trim_end_matches('_'));
        if free(&base) {
            return base;
        }
        (2..).map(numbered).find(|name| free(name)).unwrap_or(base)
    }

    fn wish(&self, value: ValueId) -> String {
        if let Some(wish) = self.wishes.get(&value) {
            return wish.clone();
        }
        if let Some(name) = &self.function[value].name {
            return name.clone();
        }
        match self.definitions.get(&value).map(|inst| &self.function[*inst].kind) {
            Some(InstKind::Param { name, .. }) => name.clone(),
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
    fn scheme_of(&self, name: &str) -> bool {
        let member = self.layer.and_then(|layer| layer.member(name));
        matches!(member.map(|m| &m.kind), Some(MemberKind::Storage(s)) if s.scheme.is_some())
    }

    /// A symbol as the body reaches it.
    pub fn symbol(&mut self, symbol: &Symbol) -> Py {
        if let Some(variable) = self.loop_symbols.get(symbol) {
            return Py::name(variable);
        }
        let own = self.layer.is_some_and(|layer| layer.hypers.iter().any(|h| h.name == *symbol));
        if let (true, Some(id)) = (own && !self.symbols.contains_key(symbol), self.function.layer) {
            self.program.stored.entry(id).or_default().insert(symbol.clone());
            let name = self.program.classes.get(&id).map_or_else(String::new, |c| c.hyper(symbol));
            return Py::name("self").attr(&name);
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
        let mut arguments = vec![expression, Py::keyword("dtype", numbers::dtype(self.function.dtype(value)))];
        arguments.extend(self.device.clone().map(|device| Py::keyword("device", device)));
        Py::name("torch").method("tensor", arguments)
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
        loop {
            let expression = self.build(inst)?;
            let fits = expression.text().chars().count() <= width && expression.operations() <= MAX_OPERATIONS;
            let weight = |value: &ValueId| {
                let known = self.expressions.get(value)?;
                let named = self.numbers.contains(value) || known.operations() == 0;
                (!named).then(|| (known.text().len(), *value))
            };
            let Some((_, largest)) = parts.iter().filter_map(weight).max().filter(|_| !fits) else {
                return Ok(expression);
            };
            let part = self.tensor(largest);
            self.comment(self.function[inst].loc);
            self.assign(largest, &part, self.flow.position(inst));
        }
    }

    // ---- instructions

    pub fn instruction(&mut self, inst: InstId) -> Result<(), TargetError> {
        let data = &self.function[inst];
        match &data.kind {
            InstKind::Yield | InstKind::Return => Ok(()),
            InstKind::If { then, otherwise } => self.write_if(inst, then, otherwise),
            InstKind::For { index, body } => self.write_for(inst, index, body),
            InstKind::While { cond, body } => self.write_while(inst, cond, body),
            InstKind::SetState { name } => {
                self.set_state(inst, name);
                Ok(())
            }
            InstKind::Assert { message } => {
                let condition = self.tensor(data.operands[0]);
                self.comment(data.loc);
                self.raise_unless(condition, "RuntimeError", message);
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
            InstKind::Op { op, .. } if op.name() == "cast" && self.stays_number(inst) => {
                let number = self.number_or_tensor(data.operands[0]);
                self.numbers.insert(data.results[0]);
                self.expressions.insert(data.results[0], number);
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
                let expression = self.build_short(inst, INLINE_WIDTH)?;
                self.expressions.insert(*value, expression);
                Ok(())
            }
            [value] if used => {
                let width = self.lines.width().saturating_sub(self.wish(*value).len() + 3);
                let expression = self.build_short(inst, width)?;
                let expression = match &data.kind {
                    // The state may change under the name.
                    InstKind::Param { part: Part::Value, .. } => expression.method("clone", vec![]),
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
        match &data.kind {
            InstKind::Op { op, attrs } => self.build_op(inst, op.get(), attrs),
            InstKind::Param { name, part } => {
                let member = Py::name("self").attr(&self.class_names().map_or_else(String::new, |c| c.member(name)));
                Ok(match part {
                    Part::Value => member,
                    Part::Codes => member.method("unpack", vec![]),
                    Part::Scale => member.attr("scale"),
                    Part::ZeroPoint => member.attr("zero_point"),
                })
            }
            InstKind::Const(tensor) => {
                let mut arguments = match tensor.is_empty() {
                    true => vec![Py::Tuple(tensor.shape().iter().map(|n| Py::int(*n as i64)).collect())],
                    false => vec![numbers::nested(tensor)],
                };
                if tensor.is_empty() || !matches!(tensor.dtype(), DType::Float32 | DType::Int64 | DType::Bool) {
                    arguments.push(Py::keyword("dtype", numbers::dtype(tensor.dtype())));
                }
                arguments.extend(self.device.clone().map(|device| Py::keyword("device", device)));
                Ok(Py::name("torch").method(if tensor.is_empty() { "zeros" } else { "tensor" }, arguments))
            }
            InstKind::Host(value) => Ok(self.host(value)),
            InstKind::Rng { .. } => Ok(Py::name("new_seed").call(vec![])),
            InstKind::Call { func, bindings, path } => self.build_call(inst, *func, bindings, path.as_deref()),
            _ => Ok(Py::none()),
        }
    }

    fn operand(&mut self, value: ValueId) -> Operand {
        let is_weight = self.definitions.get(&value).is_some_and(|inst| {
            matches!(&self.function[*inst].kind, InstKind::Param { name, part: Part::Value } if self.scheme_of(name))
        });
        Operand { value: self.tensor(value), ty: self.function[value].ty.clone(), is_weight }
    }

    fn build_op(&mut self, inst: InstId, op: &'static Op, attrs: &Attrs) -> Result<Py, TargetError> {
        let data = &self.function[inst];
        let failed =
            |message: String| unsupported(format!("pytorch cannot express `{}`: {message}", op.name), data.loc);
        self.check_dtypes(inst, op)?;
        if let Some(quantize) = self.flow.fused(inst) {
            let x = self.operand(self.function[quantize].operands[0]);
            let scheme = attrs.scheme("scheme").ok_or_else(|| failed("its scheme is not known".into()))?;
            return special::fake_quantize(&x, scheme).map_err(failed);
        }
        if let Some(weight) = self.packed_weight(inst, op) {
            return Ok(weight);
        }
        if let Some(special) = special::find(op.name) {
            let operands = data.operands.iter().map(|v| self.operand(*v)).collect();
            let results = data.results.iter().map(|v| self.function[*v].ty.clone()).collect();
            let dtype = data.operands.first().map_or(DType::Float32, |v| self.function.dtype(*v));
            // Both closures reach the writer's symbols, one at a time.
            let writer = std::cell::RefCell::new(&mut *self);
            let mut attr =
                |attr: &Attr| expression::attribute(attr, None, dtype, &mut |s| writer.borrow_mut().symbol(s));
            let mut dim = |dim: &Dim| numbers::dim(dim, &mut |s| writer.borrow_mut().symbol(s));
            let mut site = Use { operands, attrs, results, attr: &mut attr, dim: &mut dim };
            if let Some(expression) = special(&mut site).map_err(failed)? {
                return Ok(expression);
            }
        }
        let entry = self.program.table.op(op.name).cloned().ok_or_else(|| failed("it is not in the table".into()))?;
        let operands = self.table_operands(inst, op);
        let mut holes = OpHoles { writer: self, op, attrs, operands, inst };
        expression::fill(&entry, &mut holes).map_err(|hole| failed(format!("`{{{hole}}}` has no value")))
    }

    /// Operands for a table entry: plain numbers where the operation takes them.
    fn table_operands(&mut self, inst: InstId, op: &Op) -> Vec<Py> {
        let data = &self.function[inst];
        let takes_numbers = self.program.table.takes_numbers(op.name);
        // One operand at least must say that these are tensors; a condition does not say of what type.
        let all_numbers =
            data.operands.iter().all(|v| self.numbers.contains(v) || self.function.dtype(*v) == DType::Bool);
        let mut wrapped = !all_numbers;
        let mut operands = vec![];
        for &value in &data.operands {
            let number = takes_numbers && self.numbers.contains(&value) && wrapped;
            wrapped |= self.numbers.contains(&value);
            operands.push(if number { self.number_or_tensor(value) } else { self.tensor(value) });
        }
        operands
    }

    fn check_dtypes(&self, inst: InstId, op: &Op) -> Result<(), TargetError> {
        let data = &self.function[inst];
        let wide = |dtype: DType| matches!(dtype, DType::UInt16 | DType::UInt32 | DType::UInt64);
        match data.results.iter().map(|v| self.function.dtype(*v)).find(|d| wide(*d)) {
            Some(dtype) => {
                let message = format!("pytorch has no `{}` for {dtype}", op.name);
                Err(TargetError::new(code::E0603, message).at(data.loc).note("use int64, or uint8 for small values"))
            }
            None => Ok(()),
        }
    }

    /// `self.weight.dequantize()`, for the codes and scale of one member.
    fn packed_weight(&self, inst: InstId, op: &Op) -> Option<Py> {
        if op.name != "dequantize" {
            return None;
        }
        let mut members =
            self.function[inst].operands.iter().map(|value| match &self.function[*self.definitions.get(value)?].kind {
                InstKind::Param { name, part } if *part != Part::Value => Some(name),
                _ => None,
            });
        let first = members.next()??;
        let same = members.all(|member| member == Some(first));
        let attribute = self.class_names()?.member(first);
        same.then(|| Py::name("self").attr(&attribute).method("dequantize", vec![]))
    }

    // ---- calls

    fn build_call(
        &mut self,
        inst: InstId,
        func: FuncId,
        bindings: &[(Symbol, HostExpr)],
        path: Option<&[PathSegment]>,
    ) -> Result<Py, TargetError> {
        let data = &self.function[inst];
        let callee = &self.program.module[func];
        if path.is_none()
            && let Some(entry) = self.program.native(callee)
        {
            let operands = data.operands.iter().map(|v| self.tensor(*v)).collect();
            let attrs = program::bound_arguments(callee, bindings);
            let mut holes = CallHoles { writer: self, callee, attrs, operands };
            return expression::fill(&entry, &mut holes).map_err(|hole| {
                let message =
                    format!("the pytorch form of `{}` names `{{{hole}}}`, which it has not", callee.source_name);
                TargetError::new(code::E0604, message).at(data.loc)
            });
        }
        let Callee { name, extra } = match self.program.callees.get(&func) {
            Some(callee) => callee.clone(),
            None => Callee { name: self.program.function_name(func), extra: vec![] },
        };
        let mut arguments: Vec<Py> = data.operands.iter().map(|v| self.tensor(*v)).collect();
        for symbol in &extra {
            let bound = bindings.iter().find(|(s, _)| s == symbol).map(|(_, e)| e.clone());
            arguments.push(match bound {
                Some(value) => self.host(&value),
                None => self.symbol(symbol),
            });
        }
        let Some(path) = path else { return Ok(Py::name(name).call(arguments)) };
        let object = self.path(path);
        Ok(if name == "forward" { object.call(arguments) } else { object.method(&name, arguments) })
    }

    /// `self.blocks[i].norm`, or the element that the loop runs over.
    pub fn path(&mut self, path: &[PathSegment]) -> Py {
        let mut object = Py::name("self");
        let mut rest = path;
        let mut part = None;
        if let [PathSegment::Field(field), PathSegment::Index(index), tail @ ..] = path
            && let Some(symbol) = index.as_symbol()
            && let Some(element) = self.elements.iter().rev().find(|e| e.field == *field && e.index == *symbol)
        {
            object = Py::name(&element.variable);
            rest = tail;
            part = self.sub_at(&path[..2]);
        }
        let mut layer = self.function.layer;
        for segment in rest {
            match segment {
                PathSegment::Field(name) => {
                    if let Some(Sub::Instance { layer: inner, .. }) = part {
                        layer = Some(*inner);
                    }
                    let attribute = layer.and_then(|id| self.program.classes.get(&id)).map(|names| names.member(name));
                    object = object.attr(&attribute.unwrap_or_else(|| names::identifier(name)));
                    let member = layer.and_then(|id| self.program.module[id].member(name));
                    part = match member.map(|m| &m.kind) {
                        Some(MemberKind::Sub(sub)) => Some(sub),
                        _ => None,
                    };
                }
                PathSegment::Index(index) => {
                    object = object.index(vec![self.dim(index)]);
                    part = element_of(part, index);
                }
            }
        }
        object
    }

    fn sub_at(&self, path: &[PathSegment]) -> Option<&'m Sub> {
        let [PathSegment::Field(name), PathSegment::Index(index)] = path else { return None };
        match &self.layer?.member(name)?.kind {
            MemberKind::Sub(sub) => element_of(Some(sub), index),
            _ => None,
        }
    }

    // ---- statements

    fn set_state(&mut self, inst: InstId, name: &str) {
        let data = &self.function[inst];
        let value = data.operands[0];
        let attribute = self.class_names().map_or_else(String::new, |c| c.member(name));
        let member = Py::name("self").attr(&attribute);
        let call = match self.numbers.contains(&value) {
            true => member.method("fill_", vec![self.number_or_tensor(value)]),
            // State carries values from call to call, never gradients.
            false if self.function.dtype(value).is_float() => {
                member.method("copy_", vec![self.tensor(value).method("detach", vec![])])
            }
            false => member.method("copy_", vec![self.tensor(value)]),
        };
        self.comment(data.loc);
        self.statement("", &call, "");
    }

    pub fn raise_unless(&mut self, condition: Py, error: &str, message: &str) {
        let negated = match condition {
            Py::Unary("not" | "~", inner) => *inner,
            other => Py::Unary("not", Box::new(other)),
        };
        self.raise_if(negated, error, message);
    }

    pub fn raise_if(&mut self, condition: Py, error: &str, message: &str) {
        self.statement("if ", &condition, ":");
        self.lines.indent();
        self.statement("raise ", &Py::name(error).call(vec![Py::string(message)]), "");
        self.lines.dedent();
    }

    fn print(&mut self, inst: InstId, pieces: &[PrintPiece]) {
        let data = &self.function[inst];
        let mut operands = data.operands.iter();
        let mut arguments = vec![];
        for piece in pieces {
            match piece {
                PrintPiece::Text(text) => arguments.push(Py::string(text)),
                PrintPiece::Operand => {
                    if let Some(&value) = operands.next() {
                        let number = self.numbers.contains(&value);
                        let tensor = self.number_or_tensor(value);
                        let shown = |t: Py| t.method("detach", vec![]).method("cpu", vec![]).method("numpy", vec![]);
                        arguments.push(if number { tensor } else { shown(tensor) });
                    }
                }
            }
        }
        self.comment(data.loc);
        self.statement("", &Py::name("print").call(arguments), "");
    }

    fn write_return(&mut self, inst: InstId) {
        let data = &self.function[inst];
        let values: Vec<Py> = data.operands.iter().map(|v| self.tensor(*v)).collect();
        if !values.iter().all(|v| v.operations() == 0) {
            self.comment(data.loc);
        }
        match values.as_slice() {
            [] => {}
            [only] => self.statement("return ", only, ""),
            _ => {
                let tuple = Py::Tuple(values.clone());
                let flat = tuple.text();
                if flat.chars().count() + 5 <= self.lines.width() {
                    self.program.note(&tuple);
                    self.lines.line(&format!("return {}", &flat[1..flat.len() - 1]));
                } else {
                    self.statement("return ", &tuple, "");
                }
            }
        }
    }

    // ---- the head: parameters, bindings, conditions

    fn finish(mut self, id: FuncId, depth: usize) -> Result<Written, TargetError> {
        let body = std::mem::replace(&mut self.lines, Lines::new(depth));
        let mut conditions = Lines::new(depth);
        for (obligation, _) in &self.function.obligations {
            self.lines = Lines::new(depth);
            self.obligation(obligation);
            conditions.append(std::mem::take(&mut self.lines));
        }
        self.lines = Lines::new(depth);
        let bound = self.bind_symbols();
        let extra: Vec<Symbol> = self
            .function
            .symbols
            .iter()
            .map(|(symbol, _)| symbol.clone())
            .filter(|s| !bound.contains(s) && (self.function.exported || self.used_symbols.contains(s)))
            .filter(|s| !self.is_derivable(s))
            .collect();
        let mut parameters: Vec<Py> = vec![];
        if self.function.layer.is_some() {
            parameters.push(Py::name("self"));
        }
        let named: HashMap<ValueId, String> = self.parameter_names();
        parameters.extend(self.function.params.iter().filter_map(|v| named.get(v)).map(Py::name));
        parameters.extend(extra.iter().filter_map(|s| self.symbols.get(s)).map(Py::name));
        let mut lines = std::mem::take(&mut self.lines);
        lines.append(conditions);
        lines.append(body);
        let docstring = self.function.doc.as_deref().and_then(names::python_docstring);
        if lines.is_empty() && docstring.is_none() {
            lines = Lines::new(depth);
            lines.line("pass");
        }
        let name = self.program.function_name(id);
        self.program.callees.insert(id, Callee { name, extra });
        Ok(Written { parameters, docstring, body: lines })
    }

    /// The names that the parameters came in by, whatever the body made of them since.
    fn parameter_names(&self) -> HashMap<ValueId, String> {
        let params = self.function.params.iter();
        params.filter_map(|v| Some((*v, self.expressions.get(v)?.as_atom()?.to_string()))).collect()
    }

    fn obligation(&mut self, obligation: &Obligation) {
        let condition = obligation_broken(obligation, &mut |dim| self.dim(dim));
        self.raise_if(condition, "ValueError", &obligation.message);
    }

    fn is_derivable(&self, symbol: &Symbol) -> bool {
        self.sources().iter().any(|(dim, _)| dim.as_symbol() == Some(symbol) || linear(dim, symbol).is_some())
    }

    /// Each dim of each parameter, and where it is to be read.
    fn sources(&self) -> Vec<(Dim, Py)> {
        let mut sources = vec![];
        for &value in &self.function.params {
            let Some(x) = self.expressions.get(&value) else { continue };
            let shape = &self.function[value].ty.shape;
            let size = |index: i64| x.clone().attr("shape").index(vec![Py::int(index)]);
            sources.extend(shape.head().iter().enumerate().map(|(i, d)| (d.clone(), size(i as i64))));
            if shape.pack.is_some() {
                let tail = shape.tail();
                sources.extend(tail.iter().enumerate().map(|(i, d)| (d.clone(), size(i as i64 - tail.len() as i64))));
            }
        }
        sources
    }

    /// Binds the used symbols that shapes give; those that it bound.
    fn bind_symbols(&mut self) -> HashSet<Symbol> {
        let mut bound = HashSet::new();
        for &value in &self.function.params.clone() {
            self.bind_from(value, &mut bound);
        }
        let sources = self.sources();
        for (symbol, _) in self.function.symbols.clone() {
            if bound.contains(&symbol) || !self.used_symbols.contains(&symbol) {
                continue;
            }
            let found = sources.iter().find_map(|(dim, source)| Some((linear(dim, &symbol)?, source.clone())));
            if let Some(((rest, coefficient), source)) = found {
                let value = match rest.is_const(0) {
                    true => source,
                    false => Py::binary(source, "-", self.dim(&rest)),
                };
                let value = match coefficient {
                    1 => value,
                    _ => Py::binary(value, "//", Py::int(coefficient)),
                };
                let name = self.symbols.get(&symbol).cloned().unwrap_or_default();
                self.statement(&format!("{name} = "), &value, "");
                bound.insert(symbol);
            }
        }
        bound
    }

    /// `B, T = x.shape[:2]`: the symbols that are dims of this parameter.
    fn bind_from(&mut self, value: ValueId, bound: &mut HashSet<Symbol>) {
        let shape = self.function[value].ty.shape.clone();
        let Some(x) = self.expressions.get(&value).cloned() else { return };
        if let Some((at, Pack::Named(pack))) = &shape.pack
            && self.used_symbols.contains(pack)
            && bound.insert(pack.clone())
        {
            let stop = shape.tail().len() as i64;
            let slice = Py::slice((*at > 0).then(|| Py::int(*at as i64)), (stop > 0).then(|| Py::int(-stop)), None);
            let name = self.symbols.get(pack).cloned().unwrap_or_else(|| names::identifier(pack.as_str()));
            self.statement(&format!("{name} = "), &x.clone().attr("shape").index(vec![slice]), "");
        }
        let mut wanted: Vec<(i64, Symbol)> = vec![];
        let head = shape.head().iter().enumerate().map(|(i, d)| (i as i64, d));
        let tail_length = shape.tail().len() as i64;
        let tail = shape.tail().iter().enumerate().map(|(i, d)| (i as i64 - tail_length, d));
        let tail: Vec<(i64, &Dim)> = if shape.pack.is_some() { tail.collect() } else { vec![] };
        for (index, dim) in head.chain(tail) {
            if let Some(symbol) = dim.as_symbol()
                && self.symbols.contains_key(symbol)
                && self.used_symbols.contains(symbol)
                && bound.insert(symbol.clone())
            {
                wanted.push((index, symbol.clone()));
            }
        }
        if wanted.is_empty() {
            return;
        }
        let targets: Vec<String> = wanted.iter().filter_map(|(_, s)| self.symbols.get(s).cloned()).collect();
        let sizes = x.attr("shape");
        let prefix = wanted.iter().enumerate().all(|(i, (index, _))| i as i64 == *index);
        let value = match wanted.as_slice() {
            [(index, _)] => sizes.index(vec![Py::int(*index)]),
            all if prefix && shape.rank() == Some(all.len()) => sizes,
            all if prefix => sizes.index(vec![Py::slice(None, Some(Py::int(all.len() as i64)), None)]),
            all => {
                let each: Vec<String> =
                    all.iter().map(|(i, _)| sizes.clone().index(vec![Py::int(*i)]).text()).collect();
                Py::name(each.join(", "))
            }
        };
        self.statement(&format!("{} = ", targets.join(", ")), &value, "");
    }
}

/// `dim` as `coefficient * symbol + rest`, with the rest free of it.
fn linear(dim: &Dim, symbol: &Symbol) -> Option<(Dim, i64)> {
    let atom = Atom::Sym(symbol.clone());
    let wanted = vec![(atom.clone(), 1)];
    let coefficient = dim.terms().find(|(monomial, _)| **monomial == wanted).map(|(_, c)| c)?;
    let rest = dim.sub(&Dim::atom(atom.clone()).scale(coefficient));
    (coefficient > 0 && !rest.mentions(&atom)).then_some((rest, coefficient))
}

/// The condition under which an obligation is broken.
pub(super) fn obligation_broken(obligation: &Obligation, dim: &mut dyn FnMut(&Dim) -> Py) -> Py {
    match &obligation.kind {
        ObligationKind::Equal(a, b) => Py::binary(dim(a), "!=", dim(b)),
        ObligationKind::AtLeast(a, b) => Py::binary(dim(a), "<", dim(b)),
        ObligationKind::Broadcast(a, b) => {
            let sizes = Py::Tuple(vec![Py::int(1), dim(b)]);
            Py::binary(Py::binary(dim(a), "not in", sizes), "and", Py::binary(dim(b), "!=", Py::int(1)))
        }
    }
}

fn element_of<'m>(sub: Option<&'m Sub>, index: &Dim) -> Option<&'m Sub> {
    match sub? {
        Sub::List(elements) => elements.get(usize::try_from(index.as_const()?).ok()?),
        Sub::Repeat { element, .. } => Some(element),
        Sub::Instance { .. } | Sub::Function { .. } => None,
    }
}

/// Placeholders of a primitive operation.
struct OpHoles<'w, 'p, 'm> {
    writer: &'w mut Writer<'p, 'm>,
    op: &'static Op,
    attrs: &'w Attrs,
    operands: Vec<Py>,
    inst: InstId,
}

impl Holes for OpHoles<'_, '_, '_> {
    fn value(&mut self, name: &str) -> Option<Filled> {
        let data = &self.writer.function[self.inst];
        let result = data.results.first().map_or(DType::Float32, |v| self.writer.function.dtype(*v));
        if let Some(at) = self.op.params.iter().position(|p| p.name == name) {
            let param = &self.op.params[at];
            if !param.is_operand() {
                let attr = self.attrs.get(name).cloned().unwrap_or(Attr::None);
                let dtype = data.operands.first().map_or(result, |v| self.writer.function.dtype(*v));
                let writer = &mut *self.writer;
                let value = expression::attribute(&attr, Some(param.kind), dtype, &mut |s| writer.symbol(s));
                return Some(Filled { value, is_default: expression::is_default(self.op, param, self.attrs) });
            }
            let before = self.op.params[..at].iter().filter(|p| p.is_operand()).count();
            return Some(match param.kind {
                ParamKind::Tensors => Filled::of(Py::List(self.operands.clone())),
                _ => self.operands.get(before).cloned().map_or_else(Filled::omitted, Filled::of),
            });
        }
        match name {
            "device" => Some(self.writer.device.clone().map_or_else(Filled::omitted, Filled::of)),
            "dtype" => Some(Filled::of(numbers::dtype(result))),
            // PyTorch sums narrow integers in int64.
            "accumulate" if result.is_float() || result == DType::Int64 => Some(Filled::omitted()),
            "accumulate" => Some(Filled::of(numbers::dtype(result))),
            _ => None,
        }
    }
}

/// Placeholders of a function with a native form.
struct CallHoles<'w, 'p, 'm> {
    writer: &'w mut Writer<'p, 'm>,
    callee: &'m Function,
    attrs: Attrs,
    operands: Vec<Py>,
}

impl Holes for CallHoles<'_, '_, '_> {
    fn value(&mut self, name: &str) -> Option<Filled> {
        let operand = self.callee.params.iter().position(|v| self.callee[*v].name.as_deref() == Some(name));
        if let Some(at) = operand {
            return self.operands.get(at).cloned().map(Filled::of);
        }
        let result: Option<&TensorType> = self.callee.results.first();
        let dtype = result.and_then(TensorType::dtype).unwrap_or(DType::Float32);
        if let Some(attr) = self.attrs.get(name).cloned() {
            let writer = &mut *self.writer;
            let value = expression::attribute(&attr, None, DType::Float32, &mut |s| writer.symbol(s));
            return Some(Filled { is_default: attr == Attr::None, value });
        }
        match name {
            "device" => Some(self.writer.device.clone().map_or_else(Filled::omitted, Filled::of)),
            "dtype" => Some(Filled::of(numbers::dtype(dtype))),
            _ => None,
        }
    }
}
