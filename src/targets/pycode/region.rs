//! Control flow: `if`, `for` and `while` with the variables that they carry.
//!
//! What a region yields is assigned at its end, all at once, to the variables of the results. A value that
//! is going to be yielded gets the result's variable from the start where that is free, so that most of
//! these assignments vanish.

use crate::ir::{InstId, InstKind, MemberKind, PathSegment, Region, Sub, ValueId};
use crate::targets::TargetError;
use crate::targets::pycode::function::{Element, Writer};
use crate::targets::pytext::{Lines, Py};
use crate::types::{Dim, HostExpr, Symbol};

impl<'m> Writer<'_, 'm> {
    /// The instructions of a region, but for what its terminator does.
    pub fn region(&mut self, region: &'m Region) -> Result<(), TargetError> {
        region.insts.iter().try_for_each(|&inst| self.instruction(inst))
    }

    pub(super) fn yields(&self, region: &Region) -> &'m [ValueId] {
        let function = self.function;
        let last = region.insts.last().map(|&inst| &function[inst]);
        last.filter(|inst| inst.kind == InstKind::Yield).map_or(&[], |inst| &inst.operands)
    }

    /// Assigns what a region yields.
    fn assign_yields(&mut self, region: &'m Region, names: &[Option<String>]) {
        let yields = self.yields(region);
        let mut targets = vec![];
        let mut values = vec![];
        for (name, &value) in names.iter().zip(yields) {
            let Some(name) = name else { continue };
            let expression = self.tensor(value);
            if expression.as_atom() != Some(name) {
                targets.push(name.clone());
                values.push(expression);
            }
        }
        if let Some(&last) = region.insts.last()
            && values.iter().any(|v| v.operations() > 0)
        {
            self.comment(self.function[last].loc);
        }
        match values.as_slice() {
            [] => {}
            [only] => self.statement(&format!("{} = ", targets[0]), only, ""),
            _ => {
                values.iter().for_each(|v| self.program.note(v));
                self.lines.parallel(&targets, &values);
            }
        }
    }

    pub(super) fn wish_for_result(&self, result: ValueId, region: &Region, index: usize) -> String {
        let named = |value: ValueId| self.function[value].name.clone();
        let yielded = self.yields(region).get(index).copied();
        named(result).or_else(|| yielded.and_then(named)).unwrap_or_else(|| "y".into())
    }

    pub fn write_if(&mut self, inst: InstId, then: &'m Region, otherwise: &'m Region) -> Result<(), TargetError> {
        let data = &self.function[inst];
        let condition = self.number_or_tensor(data.operands[0]);
        let end = *self.flow.range(inst, 1).end().max(self.flow.range(inst, 0).end());
        let mut names: Vec<Option<String>> = vec![];
        for (index, &result) in data.results.iter().enumerate() {
            if !self.flow.is_used(result) {
                names.push(None);
                continue;
            }
            let wish = self.wish_for_result(result, then, index);
            let mut name = self.free_name(&wish, end + 1);
            while names.contains(&Some(name.clone())) || !self.is_free(&name, end + 1) {
                name.push('_');
            }
            names.push(Some(name));
        }
        let outer = self.holders.clone();
        let then_lines = self.branch(then, &names, self.flow.range(inst, 1))?;
        self.holders = outer.clone();
        let else_lines = self.branch(otherwise, &names, self.flow.range(inst, 0))?;
        self.holders = outer;
        for (name, &result) in names.iter().zip(&data.results) {
            if let Some(name) = name {
                self.holders.insert(name.clone(), result);
                self.expressions.insert(result, Py::name(name));
            }
        }
        if then_lines.code_lines() == 0 && else_lines.code_lines() == 0 {
            return Ok(());
        }
        self.comment(data.loc);
        if then_lines.code_lines() == 0 {
            self.statement("if ", &Py::Unary("not", Box::new(condition)), ":");
            self.lines.append(else_lines);
        } else {
            self.statement("if ", &condition, ":");
            self.lines.append(then_lines);
            if else_lines.code_lines() > 0 {
                self.lines.line("else:");
                self.lines.append(else_lines);
            }
        }
        self.new_block();
        Ok(())
    }

    fn branch(
        &mut self,
        region: &'m Region,
        names: &[Option<String>],
        other: std::ops::RangeInclusive<usize>,
    ) -> Result<Lines, TargetError> {
        self.other_branches.push(other);
        let lines = self.inner(|writer| {
            writer.wish_for(region, names);
            writer.region(region)?;
            writer.assign_yields(region, names);
            Ok(())
        });
        self.other_branches.pop();
        lines
    }

    /// Values that a region defines and yields want the names that they get in the end.
    fn wish_for(&mut self, region: &'m Region, names: &[Option<String>]) {
        for (name, &value) in names.iter().zip(self.yields(region)) {
            if let Some(name) = name {
                self.wishes.entry(value).or_insert_with(|| name.clone());
            }
        }
    }

    /// Lines one level deeper.
    pub(super) fn inner(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), TargetError>,
    ) -> Result<Lines, TargetError> {
        let mut inner = self.lines.clone_empty();
        inner.indent();
        let outer = std::mem::replace(&mut self.lines, inner);
        self.new_block();
        let result = write(self);
        let lines = std::mem::replace(&mut self.lines, outer);
        result.map(|()| lines)
    }

    /// Puts the initial values into the variables that the loop carries; their names.
    pub(super) fn carry(
        &mut self,
        inst: InstId,
        initial: &[ValueId],
        carried: &[ValueId],
        body: &'m Region,
    ) -> Vec<String> {
        let position = self.flow.position(inst);
        let data = &self.function[inst];
        let mut names = vec![];
        for (index, (&start, &value)) in initial.iter().zip(carried).enumerate() {
            let expression = self.tensor(start);
            let reused = expression.as_atom().filter(|name| {
                // What a function sees from outside, it cannot assign.
                !self.namer.is_taken(name)
                    && self.holders.get(*name) == Some(&start)
                    && self.flow.is_dead(start, position + 1, &self.other_branches)
            });
            let name = match reused {
                Some(name) if !names.contains(&name.to_string()) => name.to_string(),
                _ => {
                    let named = self.function[value].name.clone();
                    let wish = named.unwrap_or_else(|| self.wish_for_result(data.results[index], body, index));
                    let name = self.free_name(&wish, position);
                    self.comment(data.loc);
                    self.statement(&format!("{name} = "), &expression, "");
                    name
                }
            };
            self.holders.insert(name.clone(), value);
            self.expressions.insert(value, Py::name(&name));
            names.push(name);
        }
        names
    }

    pub(super) fn after_loop(&mut self, inst: InstId, names: &[String]) {
        for (name, &result) in names.iter().zip(&self.function[inst].results) {
            self.holders.insert(name.clone(), result);
            self.expressions.insert(result, Py::name(name));
        }
        self.new_block();
    }

    pub fn write_for(&mut self, inst: InstId, index: &Symbol, body: &'m Region) -> Result<(), TargetError> {
        let data = &self.function[inst];
        let [start, stop, initial @ ..] = data.operands.as_slice() else { return Ok(()) };
        let [counter, carried @ ..] = body.params.as_slice() else { return Ok(()) };
        let bounds = (self.bound(*start), self.bound(*stop));
        let names = self.carry(inst, initial, carried, body);
        let lists = self.begin_lists(inst, body, carried.len());
        let over = self.elements_of(inst, index, *counter, body);
        let from_zero = bounds.0.as_atom() == Some("0");
        let variable = match &over {
            Some(over) if over.only => None,
            _ => Some(self.index_name(inst, index)),
        };
        let mut range = if from_zero { vec![] } else { vec![bounds.0] };
        range.push(bounds.1);
        let header = match (&over, &variable) {
            (Some(over), variable) => {
                let element = self.namer.fresh(&singular(&over.field));
                let items = self.path(&[PathSegment::Field(over.field.clone())]);
                self.elements.push(Element {
                    field: over.field.clone(),
                    index: index.clone(),
                    variable: element.clone(),
                });
                match variable {
                    None => (element, items),
                    Some(variable) => (format!("{variable}, {element}"), Py::name("enumerate").call(vec![items])),
                }
            }
            (None, Some(variable)) => (variable.clone(), Py::name("range").call(range)),
            (None, None) => return Ok(()),
        };
        if let Some(variable) = &variable {
            self.loop_symbols.insert(index.clone(), variable.clone());
            self.expressions.insert(*counter, Py::name(variable));
            self.numbers.insert(*counter);
        }
        let targets: Vec<Option<String>> = names.iter().cloned().map(Some).collect();
        let lines = self.inner(|writer| {
            writer.wish_for(body, &targets);
            writer.region(body)?;
            writer.append_to_lists(&lists);
            writer.assign_yields(body, &targets);
            if writer.lines.code_lines() == 0 {
                writer.lines.line("pass");
            }
            Ok(())
        })?;
        if over.is_some() {
            self.elements.pop();
        }
        self.comment(data.loc);
        self.statement(&format!("for {} in ", header.0), &header.1, ":");
        self.lines.append(lines);
        self.after_loop(inst, &names);
        self.end_lists(inst, lists);
        Ok(())
    }

    /// The loop's own name for its index, without the number that tells it from others.
    pub(super) fn index_name(&mut self, inst: InstId, index: &Symbol) -> String {
        let base = index.as_str().split('\'').next().unwrap_or("i");
        let name = self.free_name(base, self.flow.position(inst));
        self.namer.take(&name);
        name
    }

    /// A loop bound as a Python int.
    fn bound(&mut self, value: ValueId) -> Py {
        let expression = self.number_or_tensor(value);
        if self.numbers.contains(&value) { expression } else { Py::name("int").call(vec![expression]) }
    }

    /// The list that a loop runs over from end to end, if its index only picks elements.
    fn elements_of(&self, inst: InstId, index: &Symbol, counter: ValueId, body: &Region) -> Option<Over> {
        let data = &self.function[inst];
        let constant = |value: ValueId| match &self.function[*self.definitions.get(&value)?].kind {
            InstKind::Host(e) => e.as_dim().cloned(),
            InstKind::Const(tensor) => Some(Dim::constant(*tensor.as_i64()?.first()?)),
            _ => None,
        };
        let stop = constant(data.operands[1])?;
        if !constant(data.operands[0])?.is_const(0) {
            return None;
        }
        let mut fields: Vec<String> = vec![];
        let mut other_uses = false;
        self.function.visit(body, &mut |inner| {
            let inner = &self.function[inner];
            other_uses |= inner.operands.contains(&counter) || mentions(&inner.kind, index);
            if let InstKind::Call { func, path: Some(path), .. } = &inner.kind
                && self.program.takes_instance(*func)
                && let [PathSegment::Field(field), PathSegment::Index(at), ..] = path.as_slice()
                && at.as_symbol() == Some(index)
                && !fields.contains(field)
            {
                fields.push(field.clone());
            }
        });
        let [field] = fields.as_slice() else { return None };
        let MemberKind::Sub(Sub::Repeat { count, .. }) = &self.layer?.member(field)?.kind else { return None };
        (*count == stop).then(|| Over { field: field.clone(), only: !other_uses })
    }

    pub fn write_while(
        &mut self,
        inst: InstId,
        turns: Option<&Symbol>,
        cond: &'m Region,
        body: &'m Region,
    ) -> Result<(), TargetError> {
        let data = &self.function[inst];
        let names = self.carry(inst, &data.operands, &cond.params, body);
        let lists = self.begin_lists(inst, body, body.params.len());
        if let (Some(turns), Some(list)) = (turns, lists.first()) {
            self.loop_symbols.insert(turns.clone(), list.length());
        }
        let mut condition = Py::none();
        let test = self.inner(|writer| {
            writer.region(cond)?;
            if let Some(&value) = writer.yields(cond).first() {
                condition = writer.number_or_tensor(value);
            }
            Ok(())
        })?;
        for (name, &value) in names.iter().zip(&body.params) {
            self.holders.insert(name.clone(), value);
            self.expressions.insert(value, Py::name(name));
        }
        let targets: Vec<Option<String>> = names.iter().cloned().map(Some).collect();
        let lines = self.inner(|writer| {
            writer.wish_for(body, &targets);
            writer.region(body)?;
            writer.append_to_lists(&lists);
            writer.assign_yields(body, &targets);
            Ok(())
        })?;
        turns.and_then(|turns| self.loop_symbols.remove(turns));
        self.comment(data.loc);
        // A comment alone is no reason to leave the condition's own line.
        if test.code_lines() == 0 {
            self.statement("while ", &condition, ":");
        } else {
            self.lines.line("while True:");
            self.lines.append(test);
            self.lines.indent();
            self.statement("if ", &Py::Unary("not", Box::new(condition)), ":");
            self.lines.indent();
            self.lines.line("break");
            self.lines.dedent();
            self.lines.dedent();
        }
        if lines.code_lines() == 0 {
            self.lines.indent();
            self.lines.line("pass");
            self.lines.dedent();
        }
        self.lines.append(lines);
        self.after_loop(inst, &names);
        self.end_lists(inst, lists);
        Ok(())
    }
}

/// The list that a loop runs over.
struct Over {
    field: String,
    /// Whether the index is needed for nothing else.
    only: bool,
}

/// Whether an instruction uses the symbol other than to pick an element of its own instance.
fn mentions(kind: &InstKind, symbol: &Symbol) -> bool {
    let in_dim = |dim: &Dim| dim.symbols().contains(symbol);
    match kind {
        // Replaced by a number, the symbol leaves a trace wherever it stands.
        InstKind::Op { attrs, .. } => {
            attrs.iter().any(|(_, attr)| attr.substitute(&|s| (s == symbol).then(|| HostExpr::int(0))) != *attr)
        }
        InstKind::Host(value) => value.symbols().contains(symbol),
        InstKind::Call { bindings, path, .. } => {
            let rest = path.as_deref().map_or(&[][..], |p| p.get(2..).unwrap_or(&[]));
            bindings.iter().any(|(_, value)| value.symbols().contains(symbol))
                || rest.iter().any(|segment| matches!(segment, PathSegment::Index(dim) if in_dim(dim)))
        }
        _ => false,
    }
}

/// The name for one element: `blocks` gives `block`.
fn singular(name: &str) -> String {
    match name.strip_suffix('s') {
        Some(stem) if stem.len() > 2 && !stem.ends_with('s') => stem.to_string(),
        _ => format!("{name}_item"),
    }
}
