//! Functions: scope of values and symbols, regions, and the instructions that the IR itself defines.

use super::layer::Scope;
use super::{Errors, same_type};
use crate::ir::{
    Function, HostKind, Inst, InstId, InstKind, MemberKind, Module, Part, PathSegment, PrintPiece, Region, Role,
    Storage, ValueId, Window, member_path, part_path,
};
use crate::types::{DType, Dim, Facts, Shape, Symbol, TensorType};

pub(super) struct Checker<'m> {
    pub(super) module: &'m Module,
    pub(super) function: &'m Function,
    pub(super) facts: Facts,
    pub(super) scope: Scope,
    /// Values that may be used here.
    visible: Vec<bool>,
    /// Values that something defines, also where they are no longer visible.
    defined: Vec<bool>,
    placed: Vec<bool>,
}

/// The first fault of an instruction ends its check.
pub(super) type Check = Result<(), String>;

pub(super) fn check(module: &Module, function: &Function, errors: &mut Errors) {
    errors.place.clone_from(&function.name);
    let mut checker = Checker {
        module,
        function,
        facts: module.facts(function),
        scope: Scope::default(),
        visible: vec![false; function.values.len()],
        defined: vec![false; function.values.len()],
        placed: vec![false; function.insts.len()],
    };
    checker.declare_symbols(errors);
    checker.check_signature(errors);
    let defined: Vec<ValueId> = function.params.clone();
    defined.iter().for_each(|param| checker.define(*param, errors));
    if !function.body.params.is_empty() {
        errors.add("the body has parameters of its own");
    }
    checker.region(&function.body, true, &function.results, errors);
}

/// The symbols that instructions of a region bind.
fn bound_in<'f>(function: &'f Function, region: &'f Region) -> impl Iterator<Item = &'f Symbol> {
    region.insts.iter().flat_map(|id| function[*id].kind.binds())
}

impl Checker<'_> {
    fn declare_symbols(&mut self, errors: &mut Errors) {
        let layer = self.function.layer.map(|id| &self.module[id]);
        let hypers = layer.map_or(vec![], |layer| layer.hyper_kinds());
        for (symbol, kind) in hypers.iter().chain(&self.function.symbols) {
            if !self.scope.declare(symbol, *kind) {
                errors.add(format!("the symbol `{symbol}` is declared twice"));
            }
        }
    }

    fn check_signature(&self, errors: &mut Errors) {
        let mut outside = self.scope.clone();
        for symbol in &self.function.fresh {
            if !outside.declare(symbol, HostKind::Int) {
                errors.add(format!("the symbol `{symbol}` is declared twice"));
            }
            if !bound_in(self.function, &self.function.body).any(|bound| bound == symbol) {
                errors.add(format!("nothing in the body binds `{symbol}`"));
            }
        }
        for ty in &self.function.results {
            if let Some(fault) = outside.type_fault(ty) {
                errors.add(format!("the result {ty}: {fault}"));
            }
        }
        for (obligation, _) in &self.function.obligations {
            let (a, b) = obligation.sides();
            if let Some(fault) = self.scope.dim_fault(a).or_else(|| self.scope.dim_fault(b)) {
                errors.add(format!("a condition: {fault}"));
            }
        }
        for (name, value) in self.function.host_args.iter() {
            if let Some(fault) = self.attr_scope_fault(value) {
                errors.add(format!("the argument `{name}`: {fault}"));
            }
        }
    }

    pub(super) fn ty(&self, value: ValueId) -> &TensorType {
        &self.function[value].ty
    }

    fn value_name(&self, value: ValueId) -> String {
        self.function[value].name.as_ref().map_or_else(|| format!("value {}", value.0), |name| format!("%{name}"))
    }

    /// The value exists from here on, with a type that makes sense here.
    fn define(&mut self, value: ValueId, errors: &mut Errors) {
        let index = value.0 as usize;
        if self.defined[index] {
            errors.add(format!("{} is defined twice", self.value_name(value)));
        }
        if let Some(fault) = self.scope.type_fault(self.ty(value)) {
            errors.add(format!("{}: {fault}", self.value_name(value)));
        }
        self.defined[index] = true;
        self.visible[index] = true;
    }

    /// Checks a region that ends with values of these types.
    fn region(&mut self, region: &Region, is_body: bool, ends: &[TensorType], errors: &mut Errors) {
        let mut own = region.params.clone();
        let facts = self.facts.clone();
        region.params.iter().for_each(|param| self.define(*param, errors));
        for (position, id) in region.insts.iter().enumerate() {
            let inst = &self.function[*id];
            let terminator = matches!(inst.kind, InstKind::Yield | InstKind::Return);
            if terminator != (position + 1 == region.insts.len()) {
                errors.add("a region must end in its only terminator");
            }
            self.inst(*id, inst, errors);
            own.extend(&inst.results);
        }
        match region.insts.last().map(|id| &self.function[*id]) {
            None => errors.add("a region has no terminator"),
            Some(last) => {
                let fits = matches!(last.kind, InstKind::Return) == is_body;
                if !fits {
                    errors.add("`return` ends functions, `yield` regions");
                }
                if let Err(fault) = self.values_have_types(&last.operands, ends) {
                    errors.add(format!("the end of a region: {fault}"));
                }
            }
        }
        own.iter().for_each(|value| self.visible[value.0 as usize] = false);
        bound_in(self.function, region).for_each(|symbol| self.scope.remove(symbol));
        self.facts = facts;
    }

    /// A symbol has a value from here on, which is never negative.
    fn bind(&mut self, symbol: &Symbol) -> Check {
        if !self.scope.declare(symbol, HostKind::Int) {
            return Err(format!("`{symbol}` hides another symbol"));
        }
        self.facts.assume_at_least(&Dim::symbol(symbol.as_str()), &Dim::zero());
        Ok(())
    }

    fn inst(&mut self, id: InstId, inst: &Inst, errors: &mut Errors) {
        if std::mem::replace(&mut self.placed[id.0 as usize], true) {
            errors.add(format!("{} stands in two places", self.describe(inst)));
            return;
        }
        let invisible = inst.operands.iter().find(|operand| !self.visible[operand.0 as usize]);
        if let Some(operand) = invisible {
            errors.add(format!(
                "{} uses {}, which is not defined there",
                self.describe(inst),
                self.value_name(*operand)
            ));
        } else {
            let checked = self.regions(inst, errors).and_then(|()| self.kind(inst));
            if let Err(fault) = checked {
                errors.add(format!("{}: {fault}", self.describe(inst)));
            }
        }
        inst.results.iter().for_each(|result| self.define(*result, errors));
    }

    /// The instruction's keyword and its place in the source.
    fn describe(&self, inst: &Inst) -> String {
        let word = match &inst.kind {
            InstKind::Op { op, .. } => op.name().to_string(),
            InstKind::Param { name, .. } => format!("param {name:?}"),
            InstKind::Const(_) => "const".into(),
            InstKind::Host(expr) => format!("host {expr}"),
            InstKind::Rng { .. } => "rng".into(),
            InstKind::Call { func, .. } => format!("call @{}", self.module[*func].name),
            InstKind::If { .. } => "if".into(),
            InstKind::For { .. } => "for".into(),
            InstKind::While { .. } => "while".into(),
            InstKind::Gradient { .. } => "gradient".into(),
            InstKind::Fused { .. } => "fused".into(),
            InstKind::SetState { name } => format!("set_state {name:?}"),
            InstKind::SetSlice { name, .. } => format!("set_slice {name:?}"),
            InstKind::Assert { .. } => "assert".into(),
            InstKind::Ensure(obligation) => format!("ensure {:?}", obligation.message),
            InstKind::Print { .. } => "print".into(),
            InstKind::Yield => "yield".into(),
            InstKind::Return => "return".into(),
        };
        match self.module.files.get(inst.loc.file.0 as usize).filter(|_| inst.loc.line > 0) {
            Some(file) => format!("`{word}` ({file}:{})", inst.loc.line),
            None => format!("`{word}`"),
        }
    }

    fn types(&self, values: &[ValueId]) -> Vec<TensorType> {
        values.iter().map(|value| self.ty(*value).clone()).collect()
    }

    pub(super) fn values_have_types(&self, values: &[ValueId], wanted: &[TensorType]) -> Check {
        self.have_types(values, wanted, &self.facts)
    }

    /// As many values as types, and each of its type.
    pub(super) fn have_types(&self, values: &[ValueId], wanted: &[TensorType], facts: &Facts) -> Check {
        if values.len() != wanted.len() {
            return Err(format!("there are {} values where {} are wanted", values.len(), wanted.len()));
        }
        for (value, wanted) in values.iter().zip(wanted) {
            let found = self.ty(*value);
            if !same_type(found, wanted, facts) {
                return Err(format!("{} is {found}, not {wanted}", self.value_name(*value)));
            }
        }
        Ok(())
    }

    /// The regions of `if`, `for` and `while`, in which the operands are in scope already.
    fn regions(&mut self, inst: &Inst, errors: &mut Errors) -> Check {
        match &inst.kind {
            InstKind::If { then, otherwise } => {
                let results = self.types(&inst.results);
                for region in [then, otherwise] {
                    if !region.params.is_empty() {
                        return Err("a branch has parameters".into());
                    }
                    self.region(region, false, &results, errors);
                }
                self.values_have_types(&inst.operands, &[TensorType::scalar(DType::Bool)])
            }
            InstKind::For { index, body } => {
                let results = self.types(&inst.results);
                let carried = inst.operands.len().saturating_sub(2).min(results.len());
                let (carried, stacked) = (results[..carried].to_vec(), &results[carried..]);
                let counter = TensorType::scalar(DType::Int64);
                let collected = self.collected(inst, stacked)?;
                let bounds = [vec![counter.clone(); 2], carried.clone()].concat();
                self.values_have_types(&inst.operands, &bounds)?;
                self.values_have_types(&body.params, &[vec![counter], carried.clone()].concat())?;
                self.for_body(index, body, &[carried, collected].concat(), errors)
            }
            InstKind::While { turns, cond, body } => {
                let results = self.types(&inst.results);
                let (carried, stacked) = results.split_at(inst.operands.len().min(results.len()));
                for values in [&inst.operands, &cond.params, &body.params] {
                    self.values_have_types(values, carried)?;
                }
                let collected = turned(turns.as_ref(), stacked)?;
                turns.iter().try_for_each(|turns| self.bind(turns))?;
                self.region(cond, false, &[TensorType::scalar(DType::Bool)], errors);
                self.region(body, false, &[carried.to_vec(), collected].concat(), errors);
                Ok(())
            }
            InstKind::Gradient { body } => {
                let results = self.types(&inst.results);
                let Some((value, gradients)) = results.split_first() else { return Err("has no results".into()) };
                if let Some(ty) = results.iter().find(|ty| !ty.elem.is_float()) {
                    return Err(format!("{ty} is no float"));
                }
                for values in [&inst.operands, &body.params] {
                    self.values_have_types(values, gradients)?;
                }
                if value.shape.rank() != Some(0) {
                    return Err(format!("the value {value} is no scalar"));
                }
                self.region(body, false, std::slice::from_ref(value), errors);
                Ok(())
            }
            InstKind::Fused { body } => self.fused(inst, body, errors),
            _ => Ok(()),
        }
    }

    /// A region that sees its parameters only, and does nothing but compute.
    fn fused(&mut self, inst: &Inst, body: &Region, errors: &mut Errors) -> Check {
        let outside = body.insts.iter().map(|id| &self.function[*id]).find(|inner| {
            !matches!(inner.kind, InstKind::Op { .. } | InstKind::Const(_) | InstKind::Host(_) | InstKind::Yield)
        });
        if let Some(inner) = outside {
            return Err(format!("{} cannot be a part of it", self.describe(inner)));
        }
        self.values_have_types(&body.params, &self.types(&inst.operands))?;
        let around = std::mem::replace(&mut self.visible, vec![false; self.function.values.len()]);
        self.region(body, false, &self.types(&inst.results), errors);
        self.visible = around;
        Ok(())
    }

    /// The types of what a loop collects, from those of the stacks it gives.
    fn collected(&self, inst: &Inst, stacked: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if stacked.is_empty() {
            return Ok(vec![]);
        }
        let bound = |index: usize| inst.operands.get(index).and_then(|value| self.host_int(*value));
        let (Some(start), Some(stop)) = (bound(0), bound(1)) else {
            return Err("a loop that collects needs bounds that are host numbers".into());
        };
        let turns = stop.sub(&start);
        let element = |ty: &TensorType| match ty.shape.dims.first() {
            Some(first) if self.facts.equal(first, &turns) => Ok(ty.with_shape(ty.shape.without_dim(0))),
            _ => Err(format!("{turns} turns do not give {ty}")),
        };
        stacked.iter().map(element).collect()
    }

    /// The int that a value is made of.
    fn host_int(&self, value: ValueId) -> Option<Dim> {
        let maker = self.function.insts.iter().find(|inst| inst.results.contains(&value))?;
        match &maker.kind {
            InstKind::Host(expr) => expr.as_dim().cloned(),
            InstKind::Const(tensor) => Some(Dim::constant(*tensor.as_i64()?.first()?)),
            _ => None,
        }
    }

    /// New values for windows of a state, and where each begins.
    fn slice_assignment(&self, inst: &Inst, ty: &TensorType, windows: &[Window]) -> Check {
        let mut shape = ty.shape.clone();
        for (index, window) in windows.iter().enumerate() {
            if window.axis >= shape.dims.len() || windows[..index].iter().any(|other| other.axis >= window.axis) {
                return Err(format!("axis {} is out of place", window.axis));
            }
            if let Some(size) = &window.size {
                if let Some(fault) = self.scope.dim_fault(size) {
                    return Err(fault);
                }
                shape = shape.with_dim(window.axis, size.clone());
            }
        }
        let positions = windows.iter().rev().filter(|window| window.size.is_none());
        let shape = positions.fold(shape, |shape, window| shape.without_dim(window.axis));
        let starts = vec![TensorType::scalar(DType::Int64); windows.len()];
        self.values_have_types(&inst.operands, &[vec![ty.with_shape(shape)], starts].concat())
    }

    fn for_body(&mut self, index: &Symbol, body: &Region, carried: &[TensorType], errors: &mut Errors) -> Check {
        if !self.scope.declare(index, HostKind::Int) {
            return Err(format!("the index `{index}` hides another symbol"));
        }
        self.region(body, false, carried, errors);
        self.scope.remove(index);
        Ok(())
    }

    fn kind(&mut self, inst: &Inst) -> Check {
        let scalar = |dtype| [TensorType::scalar(dtype)];
        match &inst.kind {
            InstKind::Op { op, attrs } => self.op(inst, *op, attrs),
            InstKind::Call { .. } => {
                self.call(inst)?;
                inst.kind.binds().iter().try_for_each(|symbol| self.bind(symbol))
            }
            InstKind::Param { name, part } => {
                self.no_operands(inst)?;
                let ty = self.member_type(name, *part)?;
                self.values_have_types(&inst.results, &[ty])
            }
            InstKind::Const(tensor) => {
                self.no_operands(inst)?;
                let ty = TensorType::new(tensor.dtype(), Shape::of(tensor.shape()));
                self.values_have_types(&inst.results, &[ty])
            }
            InstKind::Host(expr) => {
                self.no_operands(inst)?;
                if let Some(fault) = self.scope.expr_fault(expr) {
                    return Err(fault);
                }
                let dtype = inst.results.first().map_or(DType::Float32, |result| self.function.dtype(*result));
                if dtype.is_storage() || dtype == DType::Bool || !dtype.is_float() && !expr.is_int() {
                    return Err(format!("`{expr}` cannot be {dtype}"));
                }
                self.values_have_types(&inst.results, &scalar(dtype))
            }
            InstKind::Rng { part, .. } => {
                self.no_operands(inst)?;
                if !part.is_empty() {
                    let layer = self.function.layer.ok_or("only methods have parts")?;
                    self.module.instance_at(layer, &part_path(part))?;
                }
                self.values_have_types(&inst.results, &scalar(DType::Int64))
            }
            InstKind::SetState { name } => {
                let ty = self.state_type(name)?;
                self.no_results(inst)?;
                self.values_have_types(&inst.operands, &[ty])
            }
            InstKind::SetSlice { name, windows } => {
                let ty = self.state_type(name)?;
                self.no_results(inst)?;
                self.slice_assignment(inst, &ty, windows)
            }
            InstKind::Assert { .. } => {
                self.no_results(inst)?;
                self.values_have_types(&inst.operands, &scalar(DType::Bool))
            }
            InstKind::Ensure(obligation) => {
                self.no_operands(inst)?;
                self.no_results(inst)?;
                let (a, b) = obligation.sides();
                if let Some(fault) = self.scope.dim_fault(a).or_else(|| self.scope.dim_fault(b)) {
                    return Err(fault);
                }
                obligation.assume(&mut self.facts);
                Ok(())
            }
            InstKind::Print { pieces } => {
                self.no_results(inst)?;
                let places = pieces.iter().filter(|piece| **piece == PrintPiece::Operand).count();
                if places == inst.operands.len() { Ok(()) } else { Err("operands and places differ in number".into()) }
            }
            InstKind::Yield | InstKind::Return => self.no_results(inst),
            InstKind::If { .. }
            | InstKind::For { .. }
            | InstKind::While { .. }
            | InstKind::Gradient { .. }
            | InstKind::Fused { .. } => Ok(()),
        }
    }

    fn no_operands(&self, inst: &Inst) -> Check {
        if inst.operands.is_empty() { Ok(()) } else { Err("takes no operands".into()) }
    }

    fn no_results(&self, inst: &Inst) -> Check {
        if inst.results.is_empty() { Ok(()) } else { Err("has no results".into()) }
    }

    /// The type of `weight` in the sublayer at a path, over this layer's symbols.
    fn part_of_sublayer(&self, path: &[PathSegment], name: &str, part: Part) -> Result<TensorType, String> {
        let layer = self.function.layer.ok_or("only methods have members to read")?;
        let (inner, scope) = self.module.instance_at(layer, path)?;
        match self.module[inner].member(name).map(|member| &member.kind) {
            Some(MemberKind::Storage(storage)) => {
                let moved = Storage { ty: scope.ty(&storage.ty), ..storage.clone() };
                moved.part_type(part, &self.facts).map_err(|fault| format!("`{name}` {fault}"))
            }
            Some(MemberKind::Constant { ty, .. }) if part == Part::Value => Ok(scope.ty(ty)),
            Some(MemberKind::Constant { .. }) => Err(format!("`{name}` is not quantised")),
            Some(MemberKind::Sub(_)) => Err(format!("`{name}` is no tensor")),
            None => Err(format!("`{}` has no member `{name}`", self.module[inner].name)),
        }
    }

    fn member(&self, name: &str) -> Result<&MemberKind, String> {
        let layer = self.function.layer.ok_or("only methods have members to read")?;
        let member = self.module[layer].member(name);
        member.map(|member| &member.kind).ok_or_else(|| format!("there is no member `{name}`"))
    }

    fn member_type(&self, name: &str, part: Part) -> Result<TensorType, String> {
        if let Some((path, own)) = member_path(name) {
            return self.part_of_sublayer(&path, own, part);
        }
        match (self.member(name)?, part) {
            (MemberKind::Storage(storage), part) => {
                storage.part_type(part, &self.facts).map_err(|fault| format!("`{name}` {fault}"))
            }
            (MemberKind::Constant { ty, .. }, Part::Value) => Ok(ty.clone()),
            (MemberKind::Constant { .. }, _) => Err(format!("`{name}` is not quantised")),
            (MemberKind::Sub(_), _) => Err(format!("`{name}` is no tensor")),
        }
    }

    fn state_type(&self, name: &str) -> Result<TensorType, String> {
        let layer = self.function.layer.ok_or("only methods have members")?;
        match self.module.stored(layer, name) {
            Some(storage) if matches!(storage.role, Role::State | Role::Transient) => {
                self.member_type(name, Part::Value)
            }
            _ => Err(format!("`{name}` is no state")),
        }
    }
}

/// The types of what a `while` collects, from those of the stacks it gives: as many as there are turns, of a
/// type that no turn changes.
fn turned(turns: Option<&Symbol>, stacked: &[TensorType]) -> Result<Vec<TensorType>, String> {
    let element = |ty: &TensorType| {
        let turns = turns.ok_or("a `while` that collects needs a name for the number of its turns")?;
        let element = ty.with_shape(ty.shape.without_dim(0));
        let is_count = ty.shape.dims.first().and_then(Dim::as_symbol) == Some(turns);
        match is_count && !element.shape.dims.iter().any(|dim| dim.symbols().contains(turns)) {
            true => Ok(element),
            false => Err(format!("{turns} turns do not give {ty}")),
        }
    };
    stacked.iter().map(element).collect()
}
