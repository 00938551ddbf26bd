//! Branches, loops, what is copied where they join, and state.

use crate::ir::{Inst, InstId, Region, ValueId, Window};
use crate::passes::plan_memory::{Destination, Move};
use crate::targets::TargetError;
use crate::targets::c::body::Body;
use crate::targets::c::numbers;
use crate::types::{Dim, Symbol, TensorType};

type Outcome = Result<(), Vec<TargetError>>;

impl<'u> Body<'u, '_> {
    /// What is copied here, in the order of the plan.
    pub(super) fn moves(&mut self, id: InstId) {
        for step in self.plan.moves(id).to_vec() {
            match step {
                Move::Copy { from, to } => self.copy(from, to),
                Move::Swap(a, b) => self.swap(a, b),
            }
        }
    }

    fn copy(&mut self, from: ValueId, to: Destination) {
        let text = self.value(from);
        if self.is_scalar(from) {
            let line = match to {
                Destination::Value(value) => format!("{} = {text};", self.value(value)),
                Destination::Result(index) => format!("*{} = {text};", self.results[index]),
                Destination::Part(of) => format!("{}[{}] = {text};", self.value(of), self.turn_of(of)),
            };
            self.lines.line(line);
            return;
        }
        let place = match to {
            Destination::Value(value) => self.value(value),
            Destination::Result(index) => self.results[index].clone(),
            Destination::Part(of) => {
                let ty = self.function[from].ty.clone();
                let count = self.count(&ty);
                format!("{} + {} * {count}", self.value(of), self.turn_of(of))
            }
        };
        if place == text {
            return;
        }
        let bytes = self.bytes(from);
        self.lines.line(format!("memcpy({place}, {text}, {bytes});"));
    }

    fn swap(&mut self, a: ValueId, b: ValueId) {
        let (first, second) = (self.value(a), self.value(b));
        if self.is_scalar(a) {
            let kept = self.fresh("kept");
            self.lines.line(format!("const {} {kept} = {first};", self.c_type(a)));
            self.lines.line(format!("{first} = {second};"));
            self.lines.line(format!("{second} = {kept};"));
            return;
        }
        self.unit.helpers.insert("exchange");
        let bytes = self.bytes(a);
        self.lines.line(format!("exchange({first}, {second}, {bytes});"));
    }

    /// The number of the turn that the loop is at whose result this is.
    fn turn_of(&self, result: ValueId) -> String {
        let found = self.function.insts.iter().position(|inst| inst.results.contains(&result));
        let turn = found.and_then(|index| self.turns.get(&InstId(index as u32)));
        turn.cloned().unwrap_or_else(|| "0".to_string())
    }

    pub(super) fn branch(&mut self, id: InstId, then: &'u Region, otherwise: &'u Region) -> Outcome {
        let inst = &self.function[id];
        for result in &inst.results {
            self.declare(*result, "y");
        }
        let [condition] = inst.operands.as_slice() else { return Ok(()) };
        let condition = self.value(*condition);
        self.lines.open(&format!("if ({condition})"));
        self.region(then)?;
        let does_more = otherwise.insts.len() > 1 || otherwise.insts.iter().any(|id| !self.plan.moves(*id).is_empty());
        if does_more {
            self.lines.otherwise();
            self.region(otherwise)?;
        }
        self.lines.close();
        Ok(())
    }

    /// Names the results of a loop, and what its regions call them.
    fn carry(&mut self, id: InstId, regions: &[(&Region, usize)]) {
        let inst = &self.function[id];
        for result in &inst.results {
            self.declare(*result, "carried");
        }
        for (region, skipped) in regions {
            for (param, result) in region.params.iter().skip(*skipped).zip(&inst.results) {
                if self.is_scalar(*param) {
                    self.declare(*param, "carried");
                } else {
                    let text = self.value(*result);
                    self.values.insert(*param, text);
                }
            }
        }
    }

    pub(super) fn for_loop(&mut self, id: InstId, index: &Symbol, body: &'u Region) -> Outcome {
        let inst = &self.function[id];
        let [start, stop, ..] = inst.operands.as_slice() else { return Ok(()) };
        let (start, stop) = (self.value(*start), self.value(*stop));
        self.carry(id, &[(body, 1)]);
        self.moves(id);
        let name = self.fresh(index.spoken());
        self.symbols.insert(index.clone(), name.clone());
        if let Some(counter) = body.params.first() {
            self.values.insert(*counter, name.clone());
        }
        let turn = if start == "0" { name.clone() } else { format!("({name} - {start})") };
        self.turns.insert(id, turn);
        self.lines.open(&format!("for (int64_t {name} = {start}; {name} < {stop}; {name}++)"));
        self.region(body)?;
        self.lines.close();
        Ok(())
    }

    pub(super) fn while_loop(
        &mut self,
        id: InstId,
        turns: Option<&Symbol>,
        cond: &'u Region,
        body: &'u Region,
    ) -> Outcome {
        self.carry(id, &[(cond, 0), (body, 0)]);
        self.moves(id);
        let inst = &self.function[id];
        let collects = inst.results.len() > inst.operands.len();
        if let Some(turns) = turns {
            let name = self.fresh(turns.spoken());
            self.lines.declaration(&name, format!("int64_t {name} = 0;"));
            self.symbols.insert(turns.clone(), name.clone());
            self.turns.insert(id, name);
        }
        self.lines.open("for (;;)");
        let (last, before) = match cond.insts.split_last() {
            Some((last, before)) => (*last, before),
            None => return Ok(()),
        };
        for id in before {
            self.inst(*id)?;
        }
        let goes_on = self.function[last].operands.first().map_or("false".to_string(), |value| self.value(*value));
        self.lines.open(&format!("if (!{goes_on})"));
        self.lines.line("break;");
        self.lines.close();
        if let (Some(turns), true) = (turns, collects)
            && let Some(high) = self.procedure.bounds_of_symbol(turns).high
        {
            let name = self.symbol(turns);
            let code = format!("{}_ERROR_SIZE", self.unit.upper());
            self.fail_with(&format!("{name} >= {}", numbers::integer(high)), &code);
        }
        self.region(body)?;
        if let Some(turns) = turns {
            let name = self.symbol(turns);
            if self.lines.mentions(&name) {
                self.lines.line(format!("{name}++;"));
            }
        }
        self.lines.close();
        Ok(())
    }

    pub(super) fn set_state(&mut self, inst: &Inst, name: &str) {
        let [value] = inst.operands.as_slice() else { return };
        let pointer = self.state_pointer(name, self.function.dtype(*value));
        let text = self.value(*value);
        if self.is_scalar(*value) {
            self.lines.line(format!("*{pointer} = {text};"));
            return;
        }
        let bytes = self.bytes(*value);
        // What is assigned may be the state itself, in another shape.
        self.lines.line(format!("memmove({pointer}, {text}, {bytes});"));
    }

    /// Assigns a block of a state, row by row; whole axes at the end are one row.
    pub(super) fn set_slice(&mut self, inst: &Inst, name: &str, windows: &[Window]) {
        let [value, starts @ ..] = inst.operands.as_slice() else { return };
        let Some((_, Some(storage))) = self.unit.stored(self.function, name) else { return };
        let shape = self.state_shape(name, storage.ty.shape.dims.clone());
        let value_ty: TensorType = self.function[*value].ty.clone();
        let mut sizes: Vec<Dim> = vec![];
        let mut inner = value_ty.shape.dims.iter();
        for axis in 0..shape.len() {
            let window = windows.iter().find(|window| window.axis == axis);
            let is_position = window.is_some_and(|window| window.size.is_none());
            sizes.push(if is_position { Dim::constant(1) } else { inner.next().cloned().unwrap_or(Dim::constant(1)) });
        }
        let mut begins = vec!["0".to_string(); shape.len()];
        for (window, start) in windows.iter().zip(starts) {
            let (Some(length), Some(size)) = (shape.get(window.axis).cloned(), sizes.get(window.axis).cloned()) else {
                continue;
            };
            let (start, length, size) = (self.value(*start), self.dim(&length), self.dim(&size));
            let first = self.fresh("first");
            // Counted from the end where it is negative.
            self.lines.line(format!("const int64_t {first} = {start} < 0 ? {start} + {length} : {start};"));
            let code = format!("{}_ERROR_INDEX", self.unit.upper());
            self.fail_with(&format!("{first} < 0 || {first} > {length} - {}", wrapped(&size)), &code);
            begins[window.axis] = first;
        }
        let pointer = self.state_pointer(name, self.function.dtype(*value));
        let to = self.fresh(name.rsplit('.').next().unwrap_or(name));
        self.lines.line(format!("{} *{to} = {pointer};", self.c_type(*value)));
        self.write_block(*value, &to, &shape, &sizes, &begins);
    }

    fn write_block(&mut self, value: ValueId, to: &str, shape: &[Dim], sizes: &[Dim], begins: &[String]) {
        let text = self.value(value);
        // From the last axis that is cut on, memory is one piece.
        let cut = (0..shape.len()).rev().find(|axis| shape[*axis] != sizes[*axis]);
        let outer = cut.unwrap_or(0);
        let mut target = String::from("0");
        let mut source = String::from("0");
        for axis in 0..outer {
            let (size, length) = (self.dim(&sizes[axis]), self.factor(&shape[axis]));
            let index = self.fresh("i");
            self.lines.open(&format!("for (int64_t {index} = 0; {index} < {size}; {index}++)"));
            let factor = self.factor(&sizes[axis]);
            target = join(&target, &length, &add(&begins[axis], &index));
            source = join(&source, &factor, &index);
        }
        let piece: Vec<Dim> = sizes[outer.min(sizes.len())..].to_vec();
        let count = self.count(&TensorType::new(self.function.dtype(value), crate::types::Shape::new(piece)));
        let rest: Vec<Dim> = shape.get(outer + 1..).unwrap_or_default().to_vec();
        let stride = self.count(&TensorType::new(self.function.dtype(value), crate::types::Shape::new(rest)));
        let begin = begins.get(outer).cloned().unwrap_or_else(|| "0".to_string());
        if let Some(length) = shape.get(outer) {
            let length = self.factor(length);
            target = join(&target, &length, &begin);
        }
        let to = format!("{to}{}", moved(&target, &stride));
        if self.is_scalar(value) {
            self.lines.line(format!("*{} = {text};", wrapped(&to)));
        } else {
            let ty = self.c_type(value);
            let from = format!("{text}{}", moved(&source, &count));
            self.lines.line(format!("memmove({to}, {from}, (size_t){} * sizeof({ty}));", wrapped(&count)));
        }
        for _ in 0..outer {
            self.lines.close();
        }
    }

    fn factor(&mut self, dim: &Dim) -> String {
        wrapped(&self.dim(dim))
    }

    /// The sizes of a state, over the symbols of this procedure.
    fn state_shape(&self, name: &str, dims: Vec<Dim>) -> Vec<Dim> {
        let (path, _) = crate::ir::member_path(name).unwrap_or((vec![], name));
        let values = self.function.layer.and_then(|layer| self.unit.module.instance_at(layer, &path).ok());
        let Some((_, values)) = values else { return dims };
        dims.iter().map(|dim| self.procedure.known.dim(&values.dim(dim))).collect()
    }
}

/// `begin + index`
fn add(begin: &str, index: &str) -> String {
    if begin == "0" { index.to_string() } else { format!("{begin} + {index}") }
}

/// The position one axis further in: `outer * size + index`.
fn join(outer: &str, size: &str, index: &str) -> String {
    if outer == "0" { index.to_string() } else { format!("{} * {size} + {index}", wrapped(outer)) }
}

/// What is added to a pointer: ` + count * size`.
fn moved(count: &str, size: &str) -> String {
    match (count, size) {
        ("0", _) => String::new(),
        (_, "1") => format!(" + {count}"),
        _ => format!(" + {} * {}", wrapped(count), wrapped(size)),
    }
}

/// An expression as an operand: in parentheses, if it is more than a name or a number.
fn wrapped(text: &str) -> String {
    let is_simple = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_simple { text.to_string() } else { format!("({text})") }
}
