//! The text of one kernel while it is written: its parameters, the open blocks, names, and what it turned out to need.

mod finish;

use super::index::Ranges;
use super::plan::{Group, Plan};
use super::requests::SCRATCH;
use super::{Context, Held, Packing};
use crate::base::code;
use crate::ir::{Function, Inst, InstId, InstKind, Region, ValueId};
use crate::ops::{Attr, Attrs, OpId};
use crate::targets::TargetError;
use crate::targets::c::text::{C, Statement, Words, carrier};
use crate::types::{DType, Dim, HostExpr, Symbol};
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

pub(super) type Outcome<T> = Result<T, TargetError>;

/// A tensor that is handed in or out.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub value: ValueId,
    pub name: String,
    pub held: Held,
    pub dtype: DType,
    pub shape: Vec<Dim>,
    pub is_weight: bool,
    /// The layout in which it is wanted, if that is not its own.
    pub packing: Option<Packing>,
}

/// A use of an operation.
#[derive(Clone, Copy)]
pub(super) struct Use<'a> {
    pub op: OpId,
    pub attrs: &'a Attrs,
    pub inst: &'a Inst,
}

/// A block that is open.
#[derive(Debug, Default)]
struct Scope {
    head: String,
    statements: Vec<Statement>,
    /// Elements that have a name here.
    known: Vec<(ValueId, Vec<Dim>, C)>,
    variables: Vec<String>,
}

/// Loops that are open, and the index that they walk.
pub(super) struct Loops {
    pub at: Vec<Dim>,
    depth: usize,
}

pub(super) struct Maker<'a> {
    pub cx: &'a Context<'a>,
    pub function: &'a Function,
    pub inst: &'a Inst,
    /// The instruction of each value that is computed in here, and which of its results it is.
    pub makers: FxHashMap<ValueId, (&'a Inst, usize)>,
    pub operands: Vec<Parameter>,
    pub results: Vec<Parameter>,
    uses: FxHashMap<ValueId, usize>,
    words: Words,
    names: BTreeMap<Symbol, String>,
    /// Floats of the host that only a run tells, and what they are called.
    numbers: Vec<(HostExpr, String)>,
    sizes: BTreeSet<Symbol>,
    pub helpers: BTreeSet<&'static str>,
    pub tiles: BTreeSet<&'static str>,
    pub scratch: Dim,
    /// Whether an operand was read in its own layout that is wanted in another.
    pub is_torn: bool,
    can_fail: bool,
    scopes: Vec<Scope>,
    pub ranges: Ranges,
    plan: Plan,
    groups: Vec<Group>,
    used: Vec<Dim>,
    pub reads: Vec<(ValueId, Dim)>,
    pub writes: Vec<(ValueId, Dim)>,
    /// Nests of loops over results.
    pub nests: usize,
    /// What a nest computes for several results or indices at once, and whether anything asked for it.
    expected: Cell<Option<(ValueId, bool)>>,
    /// Whether each result is asked for element by element, whatever it is made of.
    pub is_plain: bool,
}

impl<'a> Maker<'a> {
    pub fn write(
        cx: &'a Context<'a>,
        function: &'a Function,
        id: InstId,
        (plan, is_plain): (Plan, bool),
    ) -> Outcome<Maker<'a>> {
        let inst = &function[id];
        let mut maker = Maker {
            cx,
            function,
            inst,
            makers: FxHashMap::default(),
            operands: vec![],
            results: vec![],
            uses: FxHashMap::default(),
            words: Words::local(),
            names: BTreeMap::new(),
            numbers: vec![],
            sizes: BTreeSet::new(),
            helpers: BTreeSet::new(),
            tiles: BTreeSet::new(),
            scratch: Dim::zero(),
            is_torn: false,
            can_fail: false,
            scopes: vec![Scope::default()],
            ranges: Ranges::default(),
            plan,
            groups: vec![],
            used: vec![],
            reads: vec![],
            writes: vec![],
            nests: 0,
            expected: Cell::new(None),
            is_plain,
        };
        maker.words.take(SCRATCH);
        maker.enter()?;
        maker.body()?;
        Ok(maker)
    }

    /// Names what is handed in and out.
    fn enter(&mut self) -> Outcome<()> {
        let (function, inst) = (self.function, self.inst);
        let (inside, yielded): (Vec<ValueId>, Vec<ValueId>) = match &inst.kind {
            InstKind::Fused { body } => {
                self.survey(body);
                let last = body.insts.last().map(|id| function[*id].operands.clone());
                (body.params.clone(), last.unwrap_or_default())
            }
            _ => {
                self.makers.extend(inst.results.iter().enumerate().map(|(index, value)| (*value, (inst, index))));
                (inst.operands.clone(), inst.results.clone())
            }
        };
        for (own, outer) in inside.iter().zip(&inst.operands) {
            let held = (self.cx.held)(*outer);
            let wish = self.operand_name(*own, *outer);
            let name = self.words.take(&wish);
            let shape = self.shape_of(*own)?;
            let held = if shape.is_empty() { Held::Scalar } else { held };
            let (dtype, is_weight) = (function.dtype(*own), (self.cx.is_weight)(*outer));
            self.operands.push(Parameter { value: *own, name, held, dtype, shape, is_weight, packing: None });
        }
        for (own, outer) in yielded.iter().zip(&inst.results) {
            let name = function[*outer].name.as_ref().or(function[*own].name.as_ref());
            let name = self.words.take(name.map_or("y", |name| name.as_str()));
            let shape = self.shape_of(*own)?;
            let (held, dtype) = (Held::Plain, function.dtype(*own));
            self.results.push(Parameter { value: *own, name, held, dtype, shape, is_weight: false, packing: None });
        }
        self.name_sizes();
        Ok(())
    }

    /// The source's name for an operand, or a parameter's, or that of what its first user takes it for.
    fn operand_name(&self, own: ValueId, outer: ValueId) -> String {
        let function = self.function;
        if let Some(name) = function[own].name.as_ref().or(function[outer].name.as_ref()) {
            return name.clone();
        }
        let maker = function.insts.iter().find(|inst| inst.results.contains(&outer)).map(|inst| &inst.kind);
        if let Some(InstKind::Param { name, part }) = maker {
            let last = name.rsplit('.').next().unwrap_or(name);
            return match part.word() {
                Some(part) => format!("{last}_{part}"),
                None => last.to_string(),
            };
        }
        let insts = match &self.inst.kind {
            InstKind::Fused { body } => body.insts.iter().map(|id| &function[*id]).collect(),
            _ => vec![self.inst],
        };
        let used = insts.into_iter().find_map(|inst| {
            let position = inst.operands.iter().position(|operand| *operand == own)?;
            let InstKind::Op { op, .. } = &inst.kind else { return None };
            op.get().params.iter().filter(|param| param.is_operand()).nth(position).map(|param| param.name)
        });
        used.filter(|name| name.len() > 1).unwrap_or("x").to_string()
    }

    fn survey(&mut self, region: &Region) {
        let function = self.function;
        for id in &region.insts {
            let inst = &function[*id];
            self.makers.extend(inst.results.iter().enumerate().map(|(index, value)| (*value, (inst, index))));
            inst.operands.iter().for_each(|operand| *self.uses.entry(*operand).or_default() += 1);
        }
    }

    /// Sizes that only a run tells keep their names.
    fn name_sizes(&mut self) {
        let mut symbols = BTreeSet::new();
        let mut insts = vec![self.inst];
        match &self.inst.kind {
            InstKind::Fused { body } => insts.extend(body.insts.iter().map(|id| &self.function[*id])),
            _ => insts.extend(self.makers.values().map(|(inst, _)| *inst)),
        }
        for expr in insts.iter().flat_map(|inst| floats(&inst.kind)) {
            if self.numbers.iter().all(|(known, _)| known != expr) {
                let wish = if let HostExpr::FloatSymbol(symbol) = expr { symbol.spoken() } else { "number" };
                let name = self.words.take(wish);
                self.numbers.push((expr.clone(), name));
            }
        }
        for inst in insts {
            symbols.extend(inst.kind.symbols());
            for value in inst.operands.iter().chain(&inst.results) {
                let dims = &self.function[*value].ty.shape.dims;
                dims.iter().for_each(|dim| symbols.extend(dim.symbols()));
            }
        }
        for symbol in symbols {
            let name = self.words.take(symbol.as_str());
            self.names.insert(symbol, name);
        }
    }

    /// A float of the host, which the caller works out.
    pub fn argument(&self, expr: &HostExpr) -> Outcome<C> {
        let known = self.numbers.iter().find(|(known, _)| known == expr);
        known.map(|(_, name)| C::atom(name.clone())).ok_or_else(|| self.refuse("uses a number that it does not take"))
    }

    /// The plan that this way of writing it leads to.
    pub fn plan(&self) -> Plan {
        self.plan.next(&self.groups, &self.used)
    }

    // What is known of values.

    pub fn shape_of(&self, value: ValueId) -> Outcome<Vec<Dim>> {
        let shape = self.function[value].ty.shape.known();
        shape.map(<[Dim]>::to_vec).ok_or_else(|| self.refuse("has a shape that is not known"))
    }

    pub fn dtype(&self, value: ValueId) -> DType {
        self.function.dtype(value)
    }

    pub fn operand(&self, value: ValueId) -> Option<&Parameter> {
        self.operands.iter().find(|operand| operand.value == value)
    }

    pub fn uses(&self, value: ValueId) -> usize {
        self.uses.get(&value).copied().unwrap_or(1)
    }

    /// An error about the instruction.
    pub fn refuse(&self, why: &str) -> TargetError {
        let what = match &self.inst.kind {
            InstKind::Op { op, .. } => format!("`{}`", op.name()),
            _ => "an operation".to_string(),
        };
        TargetError::new(code::E0602, format!("the target `c` cannot write {what}: it {why}")).at(self.inst.loc)
    }

    // Blocks.

    fn scope(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    pub fn line(&mut self, text: impl Into<String>) {
        self.scope().statements.push(Statement::Line(text.into()));
    }

    /// `prefix` and a value.
    pub fn statement(&mut self, prefix: impl Into<String>, value: C) {
        self.scope().statements.push(Statement::Expression(prefix.into(), value));
    }

    pub fn open(&mut self, head: impl Into<String>) {
        self.scopes.push(Scope { head: head.into(), ..Scope::default() });
    }

    /// Gives the innermost block another head.
    pub fn take_head(&mut self, head: String) {
        self.scope().head = head;
    }

    /// Closes the innermost block and puts it where it stands; an empty one goes.
    pub fn close(&mut self) {
        let Some((head, statements)) = self.take_block() else { return };
        self.scope().statements.push(Statement::Block(head, statements));
    }

    /// Closes the innermost block without putting it anywhere.
    pub fn take_block(&mut self) -> Option<(String, Vec<Statement>)> {
        let scope = self.scopes.pop()?;
        for variable in &scope.variables {
            self.ranges.close(&Symbol::new(variable));
            self.words.release(variable);
        }
        Some((scope.head, scope.statements))
    }

    pub fn put(&mut self, statements: Vec<Statement>) {
        self.scope().statements.extend(statements);
    }

    pub fn depth(&self) -> usize {
        self.scopes.len()
    }

    /// Writes something in the outermost block, before the loops that are open.
    pub fn at_top<T>(&mut self, write: impl FnOnce(&mut Maker<'a>) -> Outcome<T>) -> Outcome<T> {
        self.at_depth(1, write)
    }

    /// Writes something in the block at a depth, before the loops that are open inside of it.
    pub fn at_depth<T>(&mut self, depth: usize, write: impl FnOnce(&mut Maker<'a>) -> Outcome<T>) -> Outcome<T> {
        let inner = self.scopes.split_off(depth.clamp(1, self.scopes.len()));
        let result = write(self);
        self.scopes.extend(inner);
        result
    }

    /// How deep the outermost block is in which an index means something, such that only loops are open inside of it.
    pub fn depth_of(&self, at: &[Dim]) -> usize {
        let used: BTreeSet<Symbol> = at.iter().flat_map(Dim::symbols).collect();
        let holds = |scope: &Scope| {
            let is_loop = scope.head.starts_with("for");
            !is_loop || scope.variables.iter().any(|name| used.contains(&Symbol::new(name)))
        };
        self.scopes.iter().rposition(holds).map_or(1, |index| index + 1)
    }

    // Names.

    /// A name that is free until the innermost block closes.
    pub fn name(&mut self, wish: &str) -> String {
        let name = self.words.take(wish);
        self.scope().variables.push(name.clone());
        name
    }

    /// Gives a name back that was not needed.
    pub fn give_back(&mut self, name: &str) {
        self.words.release(name);
        self.scope().variables.retain(|own| own != name);
    }

    /// A constant that holds a value, as long as the innermost block is open.
    pub fn constant(&mut self, ty: &str, wish: &str, value: C) -> C {
        let wish = crate::targets::c::text::identifier(wish);
        let name = self.words.first(&[&wish, "t", "u", "v"]);
        self.scope().variables.push(name.clone());
        self.statement(format!("const {ty} {name} = "), value);
        C::Atom(name)
    }

    /// The same for an index that is less than a size.
    pub fn index_variable(&mut self, wish: &str, value: C, size: &Dim) -> Dim {
        let C::Atom(name) = self.constant("int64_t", wish, value) else { return Dim::zero() };
        let symbol = Symbol::new(&name);
        self.ranges.open(&symbol, size.clone());
        Dim::symbol(&name)
    }

    /// A variable that is changed later.
    pub fn variable(&mut self, ty: &str, wish: &str, start: C) -> String {
        let name = self.name(wish);
        self.statement(format!("{ty} {name} = "), start);
        name
    }

    pub fn known(&self, value: ValueId, at: &[Dim]) -> Option<C> {
        let known = self.scopes.iter().rev().flat_map(|scope| scope.known.iter().rev());
        let found = known.into_iter().find(|(own, index, _)| *own == value && index == at).map(|(_, _, c)| c.clone());
        if found.is_some() && self.expected.get().is_some_and(|(own, _)| own == value) {
            self.expected.set(Some((value, true)));
        }
        found
    }

    /// Says that a nest computes a value, which the results are made of.
    pub fn expect(&mut self, value: ValueId) {
        self.expected.set(Some((value, false)));
    }

    /// Whether a nest has computed what nobody asked for: the results ask for other elements of it than at their own index.
    pub fn is_missed(&self) -> bool {
        self.is_torn || self.expected.get().is_some_and(|(_, is_used)| !is_used)
    }

    pub fn note(&mut self, value: ValueId, at: &[Dim], c: C) {
        self.scope().known.push((value, at.to_vec(), c));
    }

    // Indices and loops.

    /// An index as an expression.
    pub fn index(&mut self, index: &Dim) -> C {
        self.used.push(index.clone());
        self.sizes.extend(index.symbols().into_iter().filter(|symbol| self.names.contains_key(symbol)));
        let names = &self.names;
        self.ranges.text(index, &|symbol| names.get(symbol).cloned().unwrap_or_else(|| symbol.to_string()))
    }

    /// Opens a loop for each axis; axes of one element need none. Neighbours that the plan joins are one loop.
    pub fn loops(&mut self, sizes: &[Dim]) -> Loops {
        self.group(sizes, false)
    }

    /// The same for axes that stay apart.
    pub fn separate_loops(&mut self, sizes: &[Dim]) -> Loops {
        self.group(sizes, true)
    }

    fn group(&mut self, axes: &[Dim], fixed: bool) -> Loops {
        let number = self.groups.len();
        let splits: Vec<Option<i64>> = (0..axes.len()).map(|axis| self.plan.split(number, axis)).collect();
        let parts = |(size, split): (&Dim, &Option<i64>)| match (size.as_const(), split) {
            (Some(size), Some(split)) => vec![Dim::constant(size / split), Dim::constant(*split)],
            _ => vec![size.clone()],
        };
        let sizes: Vec<Dim> = axes.iter().zip(&splits).flat_map(parts).collect();
        let loops = self.walk(&sizes, fixed);
        let mut found = loops.at.into_iter();
        let mut next = || found.next().unwrap_or_default();
        let at = splits.iter().map(|split| match split {
            Some(split) => next().scale(*split).add(&next()),
            None => next(),
        });
        Loops { at: at.collect(), depth: loops.depth }
    }

    /// Opens the loops over axes that are split as they are to be.
    fn walk(&mut self, sizes: &[Dim], fixed: bool) -> Loops {
        let depth = self.scopes.len();
        let number = self.groups.len();
        let mut group = Group { axes: vec![], fixed };
        let mut at = vec![Dim::zero(); sizes.len()];
        let mut joined: Vec<usize> = vec![];
        for (axis, size) in sizes.iter().enumerate() {
            if size.is_const(1) {
                group.axes.push(None);
                continue;
            }
            joined.push(axis);
            if self.plan.joins(number, axis) {
                group.axes.push(None);
                continue;
            }
            let total = joined.iter().fold(Dim::constant(1), |product, axis| product.mul(&sizes[*axis]));
            let variable = self.open_loop(&total);
            group.axes.push(Some((variable.clone(), total)));
            let mut rest = Dim::symbol(variable.as_str());
            let first = joined.first().copied();
            for axis in joined.drain(..).rev() {
                if Some(axis) == first {
                    at[axis] = rest.clone();
                    break;
                }
                let quotient = self.ranges.divide(&rest, &sizes[axis]);
                at[axis] = rest.sub(&sizes[axis].mul(&quotient));
                rest = quotient;
            }
        }
        self.groups.push(group);
        Loops { at, depth }
    }

    /// Opens a loop from 0 up to a size.
    pub fn open_loop(&mut self, size: &Dim) -> Symbol {
        let bound = self.index(size).text();
        let letter = size.as_symbol().map(|symbol| symbol.as_str().to_ascii_lowercase()).filter(|name| name.len() == 1);
        let mut wishes: Vec<&str> = letter.as_deref().into_iter().collect();
        wishes.extend(["i", "j", "k", "l", "m", "n", "p", "q", "r", "s"]);
        let name = self.words.first(&wishes);
        self.open(format!("for (int64_t {name} = 0; {name} < {bound}; {name}++)"));
        self.scope().variables.push(name.clone());
        let symbol = Symbol::new(&name);
        self.ranges.open(&symbol, size.clone());
        symbol
    }

    pub fn close_loops(&mut self, loops: Loops) {
        while self.scopes.len() > loops.depth {
            self.close();
        }
    }

    /// Leaves out what follows in a loop of so many turns where a condition holds. One turn is no loop, so there is none
    /// to continue.
    pub fn skip_where(&mut self, outside: C, turns: &Dim) {
        if turns.is_const(1) {
            self.open(format!("if ({})", C::unary("!", outside).text()));
        } else {
            self.line(format!("if ({}) continue;", outside.text()));
        }
    }

    // Failing.

    /// Stops with an error where a condition holds.
    pub fn fail_if(&mut self, condition: C, error: &str) {
        if condition.as_bool() == Some(false) {
            return;
        }
        self.can_fail = true;
        let text = condition.text();
        self.line(format!("if ({text}) return {{{{NAME}}}}_ERROR_{error};"));
    }

    /// The type that an element's value has.
    pub fn carrier_of(&self, value: ValueId) -> &'static str {
        carrier(self.dtype(value))
    }
}
/// Floats of the host that only a run tells.
fn floats(kind: &InstKind) -> Vec<&HostExpr> {
    let found: Vec<&HostExpr> = match kind {
        InstKind::Host(expr) => vec![expr],
        InstKind::Op { attrs, .. } => {
            let mut found = vec![];
            for (_, attr) in attrs.iter() {
                if let Attr::Float(expr) = attr {
                    found.push(expr);
                }
            }
            found
        }
        _ => vec![],
    };
    found.into_iter().filter(|expr| !expr.is_int() && expr.as_const().is_none()).collect()
}
