//! The body of a procedure: a statement for each instruction.
//!
//! ```text
//! %1 = fused (...) : float32[B, 128]        /* mlp.tri:7 */
//! %y = call @head.forward(%1)          =>   float *h = (float *)(frame + 0);
//!                                           fc1(x, w->fc1.weight.codes, w->fc1.weight.scale, h, B);
//!                                           head_forward(&w->head, frame + 8192, h, y, B);
//! ```
//!
//! A procedure takes what it needs of its surroundings (`w`, `state`, `frame`, `draws` and `place`), its operands, where
//! its results go, and the numbers that a run brings. Tensors are pointers, scalars are numbers.

use crate::ir::{Function, Inst, InstId, InstKind, Part, PathSegment, Region, ValueId, member_path};
use crate::ops::{Obligation, ObligationKind};
use crate::passes::plan_memory::{Place, Plan, plan};
use crate::targets::TargetError;
use crate::targets::c::bounds;
use crate::targets::c::kernel::Packing;
use crate::targets::c::lines::Lines;
use crate::targets::c::model::Kept;
use crate::targets::c::numbers;
use crate::targets::c::places::{Kind, Places, is_reshape};
use crate::targets::c::specialise::{ProcId, Procedure};
use crate::targets::c::text::{self, Words};
use crate::targets::c::unit::{Takes, Unit, Written, element};
use crate::targets::memory::check_maximum;
use crate::types::{DType, Dim, HostExpr, Symbol, TensorType};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Words of every procedure.
pub(super) const OWN: &[&str] = &["w", "state", "frame", "draws", "place", "error", "value"];

pub(super) struct Body<'u, 'm> {
    pub unit: &'u mut Unit<'m>,
    pub procedure: &'u Procedure,
    pub function: &'u Function,
    pub places: Places,
    pub plan: Plan,
    pub lines: Lines,
    words: Words,
    /// Variables and parameters.
    names: HashSet<String>,
    /// Expressions: of a tensor the pointer to it, of a scalar the number.
    pub values: HashMap<ValueId, String>,
    /// Variables of scalars that are assigned, by the value whose variable it is.
    pub variables: HashMap<ValueId, String>,
    pub symbols: BTreeMap<Symbol, String>,
    /// Where the caller wants results.
    pub results: Vec<String>,
    /// The number of the turn that a loop is at.
    pub turns: HashMap<InstId, String>,
    pub can_fail: bool,
    line: u32,
}

/// A place in the own part of the arena.
pub(super) fn at_frame(offset: usize) -> String {
    if offset == 0 { "frame".to_string() } else { format!("frame + {offset}") }
}

/// Writes a procedure whose callees are written.
pub fn write(unit: &mut Unit<'_>, id: ProcId) -> Result<Written, Vec<TargetError>> {
    let procedure = unit.procedures[id.0].clone();
    write_procedure(unit, &procedure)
}

fn write_procedure(unit: &mut Unit<'_>, procedure: &Procedure) -> Result<Written, Vec<TargetError>> {
    let places = Places::new(unit, procedure)?;
    let function = &procedure.function;
    let plan = plan(function, &places, unit.strategy);
    check_maximum(&unit.module.files, function, &plan, unit.strategy, unit.max_memory).map_err(|error| vec![error])?;
    // Functions and constants are not hidden by variables.
    let mut words = Words::local();
    OWN.iter().for_each(|word| drop(words.take(word)));
    let mut body = Body {
        unit,
        procedure,
        function,
        places,
        plan,
        lines: Lines::new(1),
        words,
        names: HashSet::new(),
        values: HashMap::new(),
        variables: HashMap::new(),
        symbols: BTreeMap::new(),
        results: vec![],
        turns: HashMap::new(),
        can_fail: false,
        line: 0,
    };
    let parameters = body.parameters();
    for (obligation, _) in &function.obligations {
        body.check(obligation);
    }
    let region = &function.body;
    body.region(region)?;
    body.finish(parameters)
}

impl<'u> Body<'u, '_> {
    /// Names what comes in and where results go: the declarations, in order.
    fn parameters(&mut self) -> Vec<(String, String)> {
        let mut declarations = vec![];
        for (name, &value) in self.function.input_names().iter().zip(&self.function.params) {
            let name = self.fresh(&name.replace('.', "_"));
            let ty = text::memory(self.function.dtype(value));
            let text =
                if self.is_scalar(value) { format!("{ty} {name}") } else { format!("const {ty} *restrict {name}") };
            declarations.push((name.clone(), text));
            self.values.insert(value, name);
        }
        let returned = self.returned();
        for (index, ty) in self.function.results.iter().enumerate() {
            let own = returned.get(index).and_then(|value| self.function[*value].name.clone());
            let is_own = own
                .as_ref()
                .is_some_and(|_| returned.get(index).is_some_and(|value| !self.function.params.contains(value)));
            let wish = own.filter(|_| is_own).unwrap_or_else(|| "y".to_string());
            let name = self.fresh(&wish);
            let dtype = ty.dtype().unwrap_or(DType::Float32);
            declarations.push((name.clone(), format!("{} *restrict {name}", text::memory(dtype))));
            self.results.push(name);
        }
        for (symbol, kind) in &self.procedure.arguments {
            let name = self.fresh(symbol.spoken());
            let ty = match kind {
                crate::ir::HostKind::Int => "int64_t",
                crate::ir::HostKind::Float => "double",
            };
            declarations.push((name.clone(), format!("{ty} {name}")));
            self.symbols.insert(symbol.clone(), name);
        }
        for symbol in &self.function.fresh {
            let name = self.fresh(&format!("{}_out", symbol.spoken()));
            declarations.push((name.clone(), format!("int64_t *restrict {name}")));
        }
        declarations
    }

    fn returned(&self) -> Vec<ValueId> {
        let last = self.function.body.insts.last();
        last.map(|last| self.function[*last].operands.clone()).unwrap_or_default()
    }

    /// The whole definition. Parameters that nothing uses are `(void)`, so that all calls are alike.
    fn finish(mut self, parameters: Vec<(String, String)>) -> Result<Written, Vec<TargetError>> {
        if self.can_fail {
            self.lines.line("return 0;");
        }
        let lines = self.lines.finish();
        let takes = Takes {
            instance: lines.mentions("w"),
            state: lines.mentions("state"),
            frame: lines.mentions("frame"),
            draws: lines.mentions("draws"),
        };
        let mut declared: Vec<String> = vec![];
        if takes.instance {
            let layer = self.function.layer.and_then(|layer| self.unit.model.type_of(layer));
            declared.push(format!("const {} *w", layer.unwrap_or("void")));
        }
        if takes.state {
            declared.push("uint8_t *state".to_string());
        }
        if takes.frame {
            declared.push("uint8_t *frame".to_string());
        }
        if takes.draws {
            declared.push("draw_counts *draws".to_string());
            declared.push("uint64_t place".to_string());
        }
        declared.extend(parameters.iter().map(|(_, text)| text.clone()));
        let mut unused = String::new();
        let place = ("place".to_string(), String::new());
        for (name, _) in parameters.iter().chain(takes.draws.then_some(&place)) {
            if !lines.mentions(name) {
                unused.push_str(&format!("    (void){name};\n"));
            }
        }
        let wish = match self.function.layer {
            Some(layer) if !self.function.exported => {
                let layer = crate::targets::names::snake_case(&self.unit.module[layer].source_name);
                format!("{layer}_{}", self.function.source_name)
            }
            _ => self.function.source_name.clone(),
        };
        let name = self.unit.name(&wish, &self.names);
        let doc = self.function.doc.as_deref().map(super::model::comment).unwrap_or_default();
        let place = self.unit.place(self.function.loc).map(|place| format!("/* {place} */\n")).unwrap_or_default();
        let result = if self.can_fail { "int" } else { "void" };
        let declared = if declared.is_empty() { "void".to_string() } else { declared.join(", ") };
        let text = lines.text();
        self.unit.items.push(format!("{doc}{place}static {result} {name}({declared})\n{{\n{unused}{text}}}"));
        Ok(Written { name, takes, frame_bytes: self.plan.total, can_fail: self.can_fail })
    }

    /// A new name for a variable, which hides no function.
    pub fn fresh(&mut self, wish: &str) -> String {
        let mut name = self.words.take(wish);
        while self.unit.is_taken(&name) {
            name = self.words.take(wish);
        }
        self.names.insert(name.clone());
        name
    }

    pub fn is_scalar(&self, value: ValueId) -> bool {
        self.function[value].ty.shape.dims.is_empty()
    }

    pub fn c_type(&self, value: ValueId) -> &'static str {
        text::memory(self.function.dtype(value))
    }

    pub fn dim(&mut self, dim: &Dim) -> String {
        let text = numbers::dim(dim, &|symbol| self.symbol(symbol));
        self.note_helpers(&text);
        text
    }

    pub fn host(&mut self, expr: &HostExpr) -> String {
        let text = numbers::host(expr, &|symbol| self.symbol(symbol));
        self.note_helpers(&text);
        text
    }

    fn note_helpers(&mut self, text: &str) {
        if text.contains("size_") {
            self.unit.helpers.insert("size");
        }
    }

    pub fn symbol(&self, symbol: &Symbol) -> String {
        self.symbols.get(symbol).cloned().unwrap_or_else(|| text::identifier(symbol.spoken()))
    }

    /// Elements of a type, as an expression that can be a factor.
    pub fn count(&mut self, ty: &TensorType) -> String {
        let text = numbers::product(&ty.shape.dims, &|symbol| self.symbol(symbol));
        self.note_helpers(&text);
        text
    }

    /// The number of bytes of a value, for `memcpy`.
    pub fn bytes(&mut self, value: ValueId) -> String {
        let ty = self.function[value].ty.clone();
        let count = self.count(&ty);
        let count = if count.contains(' ') { format!("({count})") } else { count };
        format!("(size_t){count} * sizeof({})", self.c_type(value))
    }

    /// A value as an expression.
    pub fn value(&self, value: ValueId) -> String {
        let owner = self.owner(value);
        if let Some(variable) = self.variables.get(&owner) {
            return variable.clone();
        }
        self.values.get(&value).or_else(|| self.values.get(&owner)).cloned().unwrap_or_else(|| "0".to_string())
    }

    /// The value whose variable or memory it is.
    pub fn owner(&self, value: ValueId) -> ValueId {
        match self.plan.place(value) {
            Place::Own(owner) => owner,
            Place::Arena(_) | Place::Result(_) | Place::Part { .. } => value,
        }
    }

    /// Declares what an instruction gives, or a region takes, so that it can be written.
    pub fn declare(&mut self, value: ValueId, wish: &str) {
        let ty = self.c_type(value);
        let wish = self.function[value].name.clone().unwrap_or_else(|| wish.to_string());
        if self.is_scalar(value) {
            let owner = self.owner(value);
            if !self.variables.contains_key(&owner) {
                let name = self.fresh(&wish);
                self.lines.declaration(&name, format!("{ty} {name};"));
                self.variables.insert(owner, name);
            }
            return;
        }
        let place = match self.plan.place(value) {
            Place::Arena(offset) => match offset {
                0 => format!("({ty} *)frame"),
                offset => format!("({ty} *)(frame + {offset})"),
            },
            Place::Result(index) => {
                let result = self.results.get(index).cloned().unwrap_or_default();
                self.values.insert(value, result);
                return;
            }
            Place::Part { of, turns } => {
                let whole = self.value(of);
                let turn = self.turns.get(&turns).cloned().unwrap_or_else(|| "0".to_string());
                let own = self.function[value].ty.clone();
                let count = self.count(&own);
                format!("{whole} + {turn} * {count}")
            }
            Place::Own(owner) => {
                if owner != value {
                    let expression = self.value(owner);
                    self.values.insert(value, expression);
                }
                return;
            }
        };
        let name = self.fresh(&wish);
        self.lines.declaration(&name, format!("{ty} *{name} = {place};"));
        self.values.insert(value, name);
    }

    pub fn region(&mut self, region: &'u Region) -> Result<(), Vec<TargetError>> {
        for id in &region.insts {
            self.inst(*id)?;
        }
        Ok(())
    }

    fn comment(&mut self, inst: &Inst) {
        if inst.loc.line == self.line {
            return;
        }
        if let Some(place) = self.unit.place(inst.loc) {
            self.line = inst.loc.line;
            self.lines.line(format!("/* {place} */"));
        }
    }

    pub fn inst(&mut self, id: InstId) -> Result<(), Vec<TargetError>> {
        let function = self.function;
        let inst = &function[id];
        if !matches!(inst.kind, InstKind::Param { .. } | InstKind::Const(_) | InstKind::Yield | InstKind::Return) {
            self.comment(inst);
        }
        match &inst.kind {
            InstKind::Op { .. } if is_reshape(function, id) && !self.places.kernels.contains_key(&id) => {
                self.reshape(inst)
            }
            InstKind::Op { op, .. } => self.kernel(id, op.name()),
            InstKind::Fused { .. } => self.kernel(id, "y"),
            InstKind::Param { name, part } => self.member(inst, name, *part),
            InstKind::Const(tensor) => {
                let [result] = inst.results.as_slice() else { return Ok(()) };
                let text = match self.is_scalar(*result) {
                    true => element(tensor, 0),
                    false => {
                        let wish = function[*result].name.clone().unwrap_or_else(|| "constant".to_string());
                        self.unit.constant(&wish, tensor, &self.names)
                    }
                };
                self.values.insert(*result, text);
            }
            InstKind::Host(expr) => self.number(inst, expr),
            InstKind::Rng { site, part } => self.seed(inst, *site, part),
            InstKind::Call { path, fresh, .. } => self.call(id, path.as_deref(), fresh),
            InstKind::If { then, otherwise } => self.branch(id, then, otherwise)?,
            InstKind::For { index, body } => self.for_loop(id, index, body)?,
            InstKind::While { turns, cond, body } => self.while_loop(id, turns.as_ref(), cond, body)?,
            InstKind::SetState { name } => self.set_state(inst, name),
            InstKind::SetSlice { name, windows } => self.set_slice(inst, name, windows),
            InstKind::Assert { message } => {
                let [condition] = inst.operands.as_slice() else { return Ok(()) };
                let condition = self.value(*condition);
                self.fail_unless(&condition, message);
            }
            InstKind::Ensure(obligation) => self.check(obligation),
            InstKind::Print { pieces } => self.print(inst, pieces),
            InstKind::Yield => self.moves(id),
            InstKind::Return => {
                self.moves(id);
                self.give_sizes();
            }
            // Told of before.
            InstKind::Gradient { .. } => {}
        }
        Ok(())
    }

    /// `if (!(condition)) { return code; }`
    pub fn fail_unless(&mut self, condition: &str, message: &str) {
        let code = self.unit.failure(message);
        self.fail_with(&format!("!({condition})"), &code);
    }

    pub fn fail_with(&mut self, wrong: &str, code: &str) {
        self.can_fail = true;
        self.lines.open(&format!("if ({wrong})"));
        self.lines.line(format!("return {code};"));
        self.lines.close();
    }

    /// A condition on sizes, where it does not hold anyway.
    pub fn check(&mut self, obligation: &Obligation) {
        let procedure = self.procedure;
        if bounds::always_holds(obligation, &|symbol| procedure.bounds_of_symbol(symbol)) {
            return;
        }
        let (a, b) = obligation.sides();
        let (a, b) = (self.dim(a), self.dim(b));
        let condition = match &obligation.kind {
            ObligationKind::Equal(..) => format!("{a} == {b}"),
            ObligationKind::AtLeast(..) => format!("{a} >= {b}"),
            ObligationKind::Broadcast(..) => format!("{a} == {b} || {a} == 1 || {b} == 1"),
        };
        self.fail_unless(&condition, &obligation.message);
    }

    /// A size that a run brings is not larger than memory was planned for.
    pub fn check_bound(&mut self, symbol: &Symbol) {
        let name = self.symbol(symbol);
        if let Some(high) = self.procedure.bounds_of_symbol(symbol).high {
            let code = format!("{}_ERROR_SIZE", self.unit.upper());
            self.fail_with(&format!("{name} > {}", numbers::integer(high)), &code);
        }
    }

    /// Elements that get another shape: mostly nothing, but a number and a tensor are not the same.
    fn reshape(&mut self, inst: &Inst) {
        let (&[operand], &[result]) = (inst.operands.as_slice(), inst.results.as_slice()) else { return };
        let from = self.value(operand);
        match (self.is_scalar(operand), self.is_scalar(result)) {
            (false, true) => self.assign(result, &format!("{from}[0]"), "value"),
            (true, true) => self.assign(result, &from, "value"),
            (true, false) => {
                self.declare(result, "y");
                let to = self.value(result);
                self.lines.line(format!("{to}[0] = {from};"));
            }
            (false, false) => {
                self.values.insert(result, from);
            }
        }
    }

    /// Gives a scalar its value.
    pub fn assign(&mut self, value: ValueId, text: &str, wish: &str) {
        let owner = self.owner(value);
        if let Some(variable) = self.variables.get(&owner) {
            let line = format!("{variable} = {text};");
            self.lines.line(line);
            return;
        }
        let wish = self.function[value].name.clone().unwrap_or_else(|| wish.to_string());
        let name = self.fresh(&wish);
        self.lines.declaration(&name, format!("const {} {name} = {text};", self.c_type(value)));
        self.values.insert(value, name.clone());
        if owner != value {
            self.values.insert(owner, name);
        }
    }

    fn kernel(&mut self, id: InstId, wish: &str) {
        let inst = &self.function[id];
        let Some(mut kernel) = self.places.kernels.get(&id).cloned() else { return };
        // A result's name is that of the variable, which hides no function.
        let is_named = inst.results.iter().any(|result| self.function[*result].name.is_some());
        match self.part_of(inst) {
            Some(part) => kernel.wish = part,
            None if is_named => kernel.wish = format!("compute_{}", kernel.wish),
            None => {}
        }
        for result in &inst.results {
            self.declare(*result, wish);
        }
        let name = self.unit.kernel(&kernel, &self.names);
        let mut arguments: Vec<String> = vec![];
        for position in &kernel.operands {
            let operand = inst.operands[*position];
            let packing = kernel.packs.iter().find(|(own, _)| own == position).map(|(_, packing)| *packing);
            let packed = packing.and_then(|packing| self.packed(operand, packing));
            arguments.push(packed.unwrap_or_else(|| self.value(operand)));
        }
        arguments.extend(self.destinations(inst));
        arguments.extend(self.plan.scratch(id).map(at_frame));
        arguments.extend(kernel.sizes.iter().map(|symbol| self.symbol(symbol)));
        arguments.extend(kernel.numbers.iter().map(|expr| self.host(expr)));
        self.invoke(&name, &arguments, kernel.can_fail);
    }

    /// A weight in the layout that a kernel takes, which `weights_init` makes: `w->fc1.weight.packed`.
    fn packed(&mut self, value: ValueId, packing: Packing) -> Option<String> {
        let maker = self.function.insts.iter().find(|inst| inst.results.contains(&value))?;
        let InstKind::Param { name, .. } = &maker.kind else { return None };
        let (layer, own) = self.unit.module.member_of(self.function.layer, name)?;
        self.unit.model.packings.insert((layer, own, packing));
        Some(packing.field(&self.access(name)))
    }

    /// The name of the part of the model whose member an instruction takes first: `fc1` for `fc1.weight`.
    fn part_of(&self, inst: &Inst) -> Option<String> {
        let member = inst.operands.iter().find_map(|operand| {
            let maker = self.function.insts.iter().find(|inst| inst.results.contains(operand))?;
            match &maker.kind {
                InstKind::Param { name, .. } => name.rsplit_once('.').map(|(path, _)| path.to_string()),
                _ => None,
            }
        })?;
        let own = member.rsplit('.').find(|name| name.parse::<i64>().is_err());
        own.map(str::to_string)
    }

    /// Pointers to where results go.
    pub(super) fn destinations(&self, inst: &Inst) -> Vec<String> {
        let pointer = |result: &ValueId| match self.is_scalar(*result) {
            true => format!("&{}", self.value(*result)),
            false => self.value(*result),
        };
        inst.results.iter().map(pointer).collect()
    }

    /// `f(x, y);`, and the way out where it fails.
    pub(super) fn invoke(&mut self, name: &str, arguments: &[String], can_fail: bool) {
        let call = format!("{name}({})", arguments.join(", "));
        if !can_fail {
            self.lines.line(format!("{call};"));
            return;
        }
        self.can_fail = true;
        self.lines.open("");
        self.lines.line(format!("const int error = {call};"));
        self.lines.open("if (error != 0)");
        self.lines.line("return error;");
        self.lines.close();
        self.lines.close();
    }

    /// The way to a part of the own instance, and a member's own name.
    fn way(&self, name: &str) -> (Vec<PathSegment>, String) {
        let (path, own) = member_path(name).unwrap_or((vec![], name));
        (path, own.to_string())
    }

    /// `w->fc1.weight`
    fn access(&self, name: &str) -> String {
        let (path, own) = self.way(name);
        let found = self
            .function
            .layer
            .and_then(|layer| self.unit.model.access(layer, &path, &own, &|symbol| self.symbol(symbol)));
        found.unwrap_or_else(|| "w".to_string())
    }

    /// Where a state lies: `(float *)(state + w->count.offset)`.
    pub fn state_pointer(&self, name: &str, dtype: DType) -> String {
        format!("({} *)(state + {}.offset)", text::memory(dtype), self.access(name))
    }

    fn member(&mut self, inst: &Inst, name: &str, part: Part) {
        let [result] = inst.results.as_slice() else { return };
        let access = self.access(name);
        let pointer = match self.unit.stored(self.function, name) {
            Some((Kept::Quantised, _)) => format!("{access}.{}", part.word().unwrap_or("codes")),
            Some((Kept::State | Kept::Transient, _)) => {
                self.read_state(*result, name);
                return;
            }
            _ => access,
        };
        let expression = if self.is_scalar(*result) { format!("{pointer}[0]") } else { pointer };
        self.values.insert(*result, expression);
    }

    /// What a state is now: a number, its memory, or a copy where that changes while it is used.
    fn read_state(&mut self, result: ValueId, name: &str) {
        let dtype = self.function.dtype(result);
        let pointer = self.state_pointer(name, dtype);
        let own = name.rsplit('.').next().unwrap_or(name);
        if self.is_scalar(result) {
            self.assign(result, &format!("*{pointer}"), own);
            return;
        }
        if let Kind::Own(_) = self.places.kind(result) {
            self.declare(result, own);
            let (to, bytes) = (self.value(result), self.bytes(result));
            self.lines.line(format!("memcpy({to}, {pointer}, {bytes});"));
            return;
        }
        let wish = self.function[result].name.clone().unwrap_or_else(|| own.to_string());
        let variable = self.fresh(&wish);
        self.lines.declaration(&variable, format!("{} *{variable} = {pointer};", text::memory(dtype)));
        self.values.insert(result, variable);
    }

    fn number(&mut self, inst: &Inst, expr: &HostExpr) {
        let [result] = inst.results.as_slice() else { return };
        let dtype = self.function.dtype(*result);
        let text = match (expr.as_const(), expr) {
            (Some(_), HostExpr::Int(dim)) if !dtype.is_float() => {
                let value = dim.as_const().unwrap_or(0);
                let value = crate::types::tensor::wrap(dtype, value);
                element(&crate::types::Tensor::from_i64(dtype, vec![], vec![value]), 0)
            }
            (Some(value), _) => element(&crate::types::Tensor::from_f64(dtype, vec![], [value]), 0),
            (None, _) => {
                let text = self.host(expr);
                let converted = match dtype {
                    DType::Float16 => {
                        self.unit.helpers.insert("float16");
                        format!("double_to_float16({text})")
                    }
                    DType::BFloat16 => {
                        self.unit.helpers.insert("bfloat16");
                        format!("double_to_bfloat16({text})")
                    }
                    DType::Int64 if expr.is_int() => text,
                    DType::Float64 if !expr.is_int() => text,
                    _ => format!("({})({text})", text::memory(dtype)),
                };
                self.assign(*result, &converted, "n");
                return;
            }
        };
        // Carried scalars begin in a variable of their own.
        if self.variables.contains_key(&self.owner(*result)) {
            self.assign(*result, &text, "n");
        } else {
            self.values.insert(*result, text);
        }
    }
}
