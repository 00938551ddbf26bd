//! The backward sweep over one function, which makes its companions.

use super::activity::Activity;
use super::import::{mentions, terminator};
use super::regions::Regions;
use super::{AutodiffError, Derived, Differentiator, Result, StorageGradient};
use crate::base::Loc;
use crate::ir::substitute::Substitution;
use crate::ir::{FuncId, Function, HostKind, Inst, InstId, InstKind, Region, Value, ValueId};
use crate::ops::{Attr, Attrs, Gradient, GradientCx, GradientError, OpId, RuleCx, Stop, Tape, Var, builtin, gradient};
use crate::passes::copy::{empty_like, int_symbol, push};
use crate::types::{DType, Dim, Facts, HostExpr, Symbol, TensorType};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// A region of the adjoint that is being written, and the region of the primal that it reverses.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub region: usize,
    pub insts: Vec<InstId>,
    /// Values of the primal's region.
    pub imported: HashMap<ValueId, ValueId>,
    /// Gradients of values of the primal that were found here, also of values from around it.
    pub grads: BTreeMap<ValueId, ValueId>,
    pub storages: Vec<(StorageGradient, ValueId)>,
    /// Where the turn stands among all: an expression over the reversing loop's index.
    pub turn: Option<Dim>,
    pub position: Option<ValueId>,
}

pub(super) struct Reverse<'d> {
    pub differentiator: &'d mut Differentiator,
    /// The function, with what it hands over added as the sweep goes on.
    pub primal: Function,
    pub regions: Regions,
    pub activity: Rc<Activity>,
    facts: Facts,
    pub adjoint: Function,
    pub scopes: Vec<Scope>,
    /// The primal's loop indices in terms of the adjoint's.
    pub substitution: Substitution,
    pub symbols: BTreeSet<Symbol>,
    /// Parameters of the function that the adjoint takes.
    pub inputs: Vec<(usize, ValueId)>,
    /// Values that the primal saves, and the adjoint's parameters for them.
    pub saved: Vec<(ValueId, ValueId)>,
    loc: Loc,
}

impl<'d> Reverse<'d> {
    pub fn new(differentiator: &'d mut Differentiator, func: FuncId, activity: Rc<Activity>) -> Reverse<'d> {
        let source = &differentiator.module[func];
        let mut adjoint = empty_like(source);
        let companion = |function: &mut Function, word: &str| {
            function.name = differentiator.free_name(&format!("{}.{word}", source.name));
            (function.std_path, function.exported) = (None, false);
            function.maps.clear();
            function.optional.clear();
        };
        // The primal keeps its name in the source: it is what runs in the place of the function.
        let mut primal = source.clone();
        companion(&mut primal, "primal");
        companion(&mut adjoint, "adjoint");
        adjoint.source_name = format!("{}_adjoint", source.source_name);
        adjoint.results.clear();
        adjoint.fresh.clear();
        let facts = differentiator.module.facts(source);
        let symbols = differentiator.symbols_in(source);
        Reverse {
            regions: Regions::of(&primal),
            loc: source.loc,
            primal,
            activity,
            facts,
            adjoint,
            scopes: vec![Scope::default()],
            substitution: Substitution::default(),
            symbols,
            inputs: vec![],
            saved: vec![],
            differentiator,
        }
    }

    /// Makes both companions.
    pub fn run(mut self, wanted: &[bool]) -> Result<Derived> {
        let results: Vec<usize> =
            (0..self.primal.results.len()).filter(|index| self.activity.results[*index]).collect();
        let body = self.primal.body.clone();
        let returned = body.insts.last().map(|id| self.primal[*id].operands.clone()).unwrap_or_default();
        let mut given = vec![];
        for index in &results {
            let name = if results.len() == 1 { "grad".to_string() } else { format!("grad_{index}") };
            let param = self.new_value(self.primal.results[*index].clone(), Some(name));
            given.push(param);
            self.accumulate(returned[*index], param)?;
        }
        self.sweep(&body)?;
        let params: Vec<usize> = (0..self.primal.params.len())
            .filter(|index| wanted[*index] && self.activity.is_active(self.primal.params[*index]))
            .collect();
        let mut ends = vec![];
        for index in &params {
            ends.push(self.grad_or_zeros(self.primal.params[*index])?);
        }
        let storages = std::mem::take(&mut self.scope().storages);
        ends.extend(storages.iter().map(|(_, grad)| *grad));
        Ok(self.finish(results, params, given, ends, storages.into_iter().map(|(storage, _)| storage).collect()))
    }

    fn finish(
        mut self,
        results: Vec<usize>,
        params: Vec<usize>,
        given: Vec<ValueId>,
        ends: Vec<ValueId>,
        storages: Vec<StorageGradient>,
    ) -> Derived {
        self.adjoint.results = ends.iter().map(|end| self.adjoint[*end].ty.clone()).collect();
        self.emit(InstKind::Return, ends, &[]);
        let scope = self.scopes.pop().unwrap_or_default();
        self.adjoint.body = Region { params: vec![], insts: scope.insts };
        self.tell_sizes();
        let taken = self.inputs.iter().map(|(_, param)| *param).chain(self.saved.iter().map(|(_, param)| *param));
        self.adjoint.params = taken.chain(given).collect();
        let kept = self.keep();
        Derived {
            primal: self.differentiator.add(self.primal),
            adjoint: self.differentiator.add(self.adjoint),
            inputs: self.inputs.into_iter().map(|(index, _)| index).collect(),
            kept,
            results,
            params,
            storages,
        }
    }

    /// Sizes that only the primal's run tells, and that the adjoint uses, are symbols of the adjoint. The primal hands
    /// over a value of each such size, so that any caller can read it off.
    fn tell_sizes(&mut self) {
        let used = self.used_in_adjoint();
        let binders: Vec<InstId> = self.primal.body.insts.clone();
        for id in binders {
            for symbol in self.primal[id].kind.binds().to_vec() {
                if !used.contains(&symbol) {
                    continue;
                }
                if !self.primal.fresh.contains(&symbol) {
                    self.primal.fresh.push(symbol.clone());
                }
                let is_told = |own: &Self, value: ValueId| mentions(&own.primal[value].ty, &symbol);
                if !self.saved.iter().any(|(value, _)| is_told(self, *value)) {
                    let teller = self.primal[id].results.iter().copied().find(|value| is_told(self, *value));
                    let teller = teller.unwrap_or_else(|| self.count_turns(id, &symbol));
                    let param = self.new_value(self.primal[teller].ty.clone(), None);
                    self.saved.push((teller, param));
                }
            }
        }
        self.adjoint.symbols.extend(self.primal.fresh.iter().map(|symbol| (symbol.clone(), HostKind::Int)));
    }

    /// Symbols that the adjoint mentions and nothing in it binds.
    fn used_in_adjoint(&self) -> BTreeSet<Symbol> {
        let types = self.adjoint.values.iter().flat_map(|value| value.ty.shape.dims.iter().flat_map(Dim::symbols));
        let mut used: BTreeSet<Symbol> = types.collect();
        self.adjoint.insts.iter().for_each(|inst| used.extend(inst.kind.symbols()));
        for bound in self.adjoint.insts.iter().flat_map(|inst| inst.kind.binds()) {
            used.remove(bound);
        }
        used
    }

    /// Makes a `while` collect the numbers of its turns.
    fn count_turns(&mut self, id: InstId, turns: &Symbol) -> ValueId {
        let loc = self.primal[id].loc;
        let mut value = |ty: TensorType| {
            self.primal.values.push(Value { ty, name: None });
            ValueId(self.primal.values.len() as u32 - 1)
        };
        let count = TensorType::scalar(DType::Int64);
        let number = value(count.clone());
        let stack = value(count.with_shape(count.shape.insert_dim(0, Dim::symbol(turns.as_str()))));
        let host = Inst { kind: InstKind::Host(int_symbol(turns)), operands: vec![], results: vec![number], loc };
        let host = push(&mut self.primal, host);
        if let Some(end) = terminator(&self.primal, id, 1) {
            self.primal[end].operands.push(number);
        }
        if let Some(body) = Function::regions_mut(&mut self.primal[id].kind).into_iter().nth(1) {
            body.insts.insert(0, host);
        }
        self.primal[id].results.push(stack);
        stack
    }

    /// Makes the primal return what the adjoint takes; gives the positions of that among its results.
    fn keep(&mut self) -> Vec<usize> {
        let Some(last) = self.primal.body.insts.last().copied() else { return vec![] };
        let mut kept = vec![];
        for (value, _) in &self.saved {
            let known = self.primal[last].operands.iter().position(|returned| returned == value);
            kept.push(known.unwrap_or_else(|| {
                let ty = self.primal[*value].ty.clone();
                self.primal.results.push(ty);
                self.primal[last].operands.push(*value);
                self.primal.results.len() - 1
            }));
        }
        kept
    }

    pub fn scope(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    pub fn new_value(&mut self, ty: TensorType, name: Option<String>) -> ValueId {
        self.adjoint.values.push(Value { ty, name });
        ValueId(self.adjoint.values.len() as u32 - 1)
    }

    /// The type of a value of the primal, in the scope of the adjoint.
    pub fn ty_here(&self, value: ValueId) -> TensorType {
        self.substitution.ty(&self.primal[value].ty)
    }

    /// Appends an instruction to an open scope.
    pub fn emit_at(
        &mut self,
        level: usize,
        kind: InstKind,
        operands: Vec<ValueId>,
        types: &[TensorType],
    ) -> Vec<ValueId> {
        let results: Vec<ValueId> = types.iter().map(|ty| self.new_value(ty.clone(), None)).collect();
        self.adjoint.insts.push(Inst { kind, operands, results: results.clone(), loc: self.loc });
        let id = InstId(self.adjoint.insts.len() as u32 - 1);
        self.scopes[level].insts.push(id);
        results
    }

    pub fn emit(&mut self, kind: InstKind, operands: Vec<ValueId>, types: &[TensorType]) -> Vec<ValueId> {
        let level = self.scopes.len() - 1;
        self.emit_at(level, kind, operands, types)
    }

    /// Applies an operation in the innermost scope; its rule gives the types.
    fn apply(&mut self, op: OpId, operands: &[ValueId], attrs: Attrs) -> Result<Vec<ValueId>> {
        let types: Vec<TensorType> = operands.iter().map(|operand| self.adjoint[*operand].ty.clone()).collect();
        let mut unknowns = 0;
        let mut fresh = || {
            unknowns += 1;
            Dim::unknown(unknowns)
        };
        let mut cx = RuleCx::new(op.get(), &types, &attrs, &self.facts, &mut fresh);
        let results = match (op.get().rule)(&mut cx) {
            Ok(results) => results,
            Err(Stop::Error(error)) => {
                return Err(AutodiffError::new(format!("no gradient here: {}", error.message)));
            }
            Err(Stop::Unknown(_)) => {
                let message = format!("no gradient here: the sizes that `{}` needs are not known", op.name());
                return Err(AutodiffError::new(message));
            }
        };
        Ok(self.emit(InstKind::Op { op, attrs }, operands.to_vec(), &results))
    }

    pub fn apply_one(&mut self, name: &str, operands: &[ValueId], attrs: Attrs) -> Result<ValueId> {
        let op = builtin(name);
        let results = self.apply(op, operands, op.get().with_defaults(&attrs))?;
        results.first().copied().ok_or_else(|| AutodiffError::internal(format!("`{name}` gives a result")))
    }

    pub fn zeros(&mut self, ty: &TensorType) -> Result<ValueId> {
        let attrs = gradient::shape_attr(ty.shape.dims.clone()).with("dtype", Attr::DType(ty.elem.clone()));
        self.apply_one("zeros", &[], attrs)
    }

    pub fn host(&mut self, level: usize, value: Dim) -> ValueId {
        let kind = InstKind::Host(HostExpr::Int(value));
        self.emit_at(level, kind, vec![], &[TensorType::scalar(DType::Int64)])[0]
    }

    /// Where the turn that is reversed stands in what the primal's loop has collected.
    pub fn position(&mut self, level: usize) -> Result<ValueId> {
        if let Some(known) = self.scopes[level].position {
            return Ok(known);
        }
        let turn = self.scopes[level].turn.clone().ok_or_else(|| AutodiffError::internal("no turn is reversed"))?;
        let position = self.host(level, turn);
        self.scopes[level].position = Some(position);
        Ok(position)
    }

    /// Adds to the gradient of a value of the primal.
    pub fn accumulate(&mut self, value: ValueId, grad: ValueId) -> Result<()> {
        if !self.activity.is_active(value) {
            return Ok(());
        }
        let sum = match self.scope().grads.get(&value).copied() {
            Some(known) => self.apply_one("add", &[known, grad], Attrs::new())?,
            None => grad,
        };
        self.scope().grads.insert(value, sum);
        Ok(())
    }

    pub fn accumulate_storage(&mut self, storage: StorageGradient, grad: ValueId) -> Result<()> {
        let known = self.scope().storages.iter().position(|(other, _)| *other == storage);
        match known {
            Some(place) => {
                let before = self.scope().storages[place].1;
                let sum = self.apply_one("add", &[before, grad], Attrs::new())?;
                self.scope().storages[place].1 = sum;
            }
            None => self.scope().storages.push((storage, grad)),
        }
        Ok(())
    }

    pub fn grad_or_zeros(&mut self, value: ValueId) -> Result<ValueId> {
        match self.scope().grads.remove(&value) {
            Some(grad) => Ok(grad),
            None => {
                let ty = self.ty_here(value);
                self.zeros(&ty)
            }
        }
    }

    pub fn sweep(&mut self, region: &Region) -> Result<()> {
        for id in region.insts.iter().rev() {
            let results = self.primal[*id].results.clone();
            let grads: Vec<Option<ValueId>> = results.iter().map(|result| self.scope().grads.remove(result)).collect();
            if grads.iter().any(Option::is_some) {
                let loc = self.primal[*id].loc;
                self.loc = loc;
                self.inst(*id, &grads).map_err(|error| error.or_at(loc))?;
            }
        }
        Ok(())
    }

    fn inst(&mut self, id: InstId, grads: &[Option<ValueId>]) -> Result<()> {
        let inst = self.primal[id].clone();
        match &inst.kind {
            InstKind::Op { op, attrs } => self.op(id, &inst, *op, attrs, grads),
            InstKind::Param { name, .. } => match grads {
                [Some(grad)] => self.accumulate_storage(StorageGradient::of(name), *grad),
                _ => Ok(()),
            },
            InstKind::Call { func, bindings, path, .. } => {
                self.call(id, &inst, *func, bindings, path.as_deref(), grads)
            }
            InstKind::If { .. } => self.branches(id, &inst, grads),
            InstKind::For { .. } => self.for_loop(id, &inst, grads),
            InstKind::While { .. } => self.while_loop(id, &inst, grads),
            InstKind::Const(_)
            | InstKind::Host(_)
            | InstKind::Rng { .. }
            // Calls stand in the place of the one by then, and the parts of the other.
            | InstKind::Gradient { .. }
            | InstKind::Fused { .. }
            | InstKind::SetState { .. }
            | InstKind::SetSlice { .. }
            | InstKind::Assert { .. }
            | InstKind::Ensure(_)
            | InstKind::Print { .. }
            | InstKind::Yield
            | InstKind::Return => Ok(()),
        }
    }

    fn op(&mut self, id: InstId, inst: &Inst, op: OpId, attrs: &Attrs, grads: &[Option<ValueId>]) -> Result<()> {
        let (Gradient::Rule(rule) | Gradient::StraightThrough(rule)) = op.get().gradient else { return Ok(()) };
        let attrs = attrs.map(|attr| attr.substitute(&|symbol| self.substitution.get(symbol)));
        let operands: Vec<TensorType> = inst.operands.iter().map(|operand| self.ty_here(*operand)).collect();
        let results: Vec<TensorType> = inst.results.iter().map(|result| self.ty_here(*result)).collect();
        let wanted: Vec<bool> = inst.operands.iter().map(|operand| self.activity.is_active(*operand)).collect();
        let grads: Vec<Option<Var>> = grads.iter().map(|grad| grad.map(|grad| Var(grad.0))).collect();
        let mut tape = OpTape { reverse: self, inst: id };
        let mut cx = GradientCx {
            op: op.get(),
            attrs: &attrs,
            operands: &operands,
            results: &results,
            wanted: &wanted,
            grads: &grads,
            tape: &mut tape,
        };
        let built = rule(&mut cx)?;
        for (operand, grad) in inst.operands.iter().zip(built) {
            if let Some(grad) = grad {
                self.accumulate(*operand, ValueId(grad.0))?;
            }
        }
        Ok(())
    }
}

/// What a gradient rule builds on: the adjoint, and one instruction of the primal.
struct OpTape<'r, 'd> {
    reverse: &'r mut Reverse<'d>,
    inst: InstId,
}

impl OpTape<'_, '_> {
    fn import(&mut self, value: Option<ValueId>) -> std::result::Result<Var, GradientError> {
        let value = value.ok_or_else(|| GradientError("an operand is missing".into()))?;
        let imported = self.reverse.import(value).map_err(|error| GradientError(error.message))?;
        Ok(Var(imported.0))
    }
}

impl Tape for OpTape<'_, '_> {
    fn operand(&mut self, index: usize) -> std::result::Result<Var, GradientError> {
        let value = self.reverse.primal[self.inst].operands.get(index).copied();
        self.import(value)
    }

    fn result(&mut self, index: usize) -> std::result::Result<Var, GradientError> {
        let value = self.reverse.primal[self.inst].results.get(index).copied();
        self.import(value)
    }

    fn apply(&mut self, op: OpId, operands: &[Var], attrs: Attrs) -> std::result::Result<Vec<Var>, GradientError> {
        let operands: Vec<ValueId> = operands.iter().map(|var| ValueId(var.0)).collect();
        let results = self.reverse.apply(op, &operands, attrs).map_err(|error| GradientError(error.message))?;
        Ok(results.into_iter().map(|result| Var(result.0)).collect())
    }

    fn ty(&self, var: Var) -> TensorType {
        self.reverse.adjoint[ValueId(var.0)].ty.clone()
    }

    fn facts(&self) -> &Facts {
        &self.reverse.facts
    }
}
