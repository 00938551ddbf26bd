//! Procedures: functions of the program with numbers put in, as C has them.
//!
//! ```text
//! func @Linear.forward(%x: float32[d0, in_features])      called with in_features = 784, d0 = B, B at most 64
//!                                                     =>  procedure (%x: float32[B, 784]), B an argument
//! ```
//!
//! What is known of a number when the program is compiled is a constant in the procedure. A number that a run brings stays
//! a symbol, which is an argument, and is specialised by its bounds, so that every procedure knows how much memory its
//! values take. Procedures are made from those that the entry exports, callees before their callers.

use crate::base::code;
use crate::ir::substitute::Substitution;
use crate::ir::{FuncId, Function, HostKind, InstId, InstKind, LayerId, Module, Part, PathSegment, Region, ValueId};
use crate::passes::copy::{Copier, empty_like};
use crate::targets::TargetError;
use crate::targets::c::bounds::{self, Bounds};
use crate::types::{Dim, HostExpr, HostValue, Symbol};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcId(pub usize);

/// What is known of a number of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Number {
    Known(HostValue),
    /// An int that a run brings.
    Int(Bounds),
    /// A float that a run brings.
    Float,
}

/// The numbers of a call, for each symbol of the callee and of its layer.
pub type Numbers = BTreeMap<Symbol, Number>;

/// A function with numbers put in.
pub struct Procedure {
    pub function: Function,
    pub source: FuncId,
    /// What was put in.
    pub known: Substitution,
    /// Numbers that come with each call, in order.
    pub arguments: Vec<(Symbol, HostKind)>,
    /// What each call of the body calls, by instruction.
    pub calls: HashMap<InstId, Called>,
    /// Of every symbol: arguments, indices of loops, and what instructions bind.
    pub bounds: BTreeMap<Symbol, Bounds>,
}

/// A call of a procedure.
#[derive(Clone, Debug)]
pub struct Called {
    pub procedure: ProcId,
    /// Its arguments in order, over the caller's symbols.
    pub arguments: Vec<HostExpr>,
}

impl Procedure {
    pub fn bounds_of(&self, dim: &Dim) -> Bounds {
        bounds::of_dim(dim, &|symbol| self.bounds.get(symbol).copied().unwrap_or_default())
    }

    pub fn bounds_of_symbol(&self, symbol: &Symbol) -> Bounds {
        self.bounds.get(symbol).copied().unwrap_or_default()
    }
}

/// Makes procedures, each once.
pub struct Specialiser<'m> {
    pub module: &'m Module,
    pub procedures: Vec<Rc<Procedure>>,
    known: HashMap<(FuncId, Numbers), ProcId>,
    /// The highest value of sizes about which nothing else is known.
    bound: Option<i64>,
    /// Functions whose procedures are being made, for what calls itself.
    open: Vec<FuncId>,
}

impl<'m> Specialiser<'m> {
    pub fn new(module: &'m Module, bound: Option<usize>) -> Specialiser<'m> {
        let bound = bound.and_then(|bound| i64::try_from(bound).ok());
        Specialiser { module, procedures: vec![], known: HashMap::new(), bound, open: vec![] }
    }

    /// The procedure of a function, called with these numbers.
    pub fn procedure(&mut self, source: FuncId, mut numbers: Numbers) -> Result<ProcId, TargetError> {
        for number in numbers.values_mut() {
            if let Number::Int(bounds) = number
                && let Some(value) = bounds.value()
            {
                *number = Number::Known(HostValue::Int(value));
            }
        }
        let key = (source, numbers);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let original = &self.module[source];
        if self.open.contains(&source) {
            let message = format!("c cannot write `{}`, which calls itself: memory is planned ahead", original.name);
            return Err(TargetError::new(code::E0602, message).at(original.loc));
        }
        self.open.push(source);
        let procedure = self.specialise(source, &key.1);
        self.open.pop();
        let id = ProcId(self.procedures.len());
        self.procedures.push(Rc::new(procedure?));
        self.known.insert(key, id);
        Ok(id)
    }

    fn specialise(&mut self, source: FuncId, numbers: &Numbers) -> Result<Procedure, TargetError> {
        let original = &self.module[source];
        let known = numbers.iter().filter_map(|(symbol, number)| match number {
            Number::Known(HostValue::Float(value)) => Some((symbol.clone(), HostExpr::Float(*value))),
            Number::Known(value) => Some((symbol.clone(), HostExpr::int(value.as_int()?))),
            Number::Int(_) | Number::Float => None,
        });
        let mut copier = Copier::new(original, Substitution::new(known), None);
        let mut function = empty_like(original);
        function.params = original.params.iter().map(|param| copier.value(&mut function, *param)).collect();
        function.body = copier.region(&mut function, &original.body);
        let substitution = copier.substitution;
        function.results = original.results.iter().map(|ty| substitution.ty(ty)).collect();
        let obligations = original.obligations.iter();
        function.obligations =
            obligations.map(|(own, loc)| (own.map_dims(|dim| substitution.dim(dim)), *loc)).collect();
        let mut bounds = BTreeMap::new();
        let mut arguments = vec![];
        for (symbol, number) in numbers {
            let (kind, own) = match number {
                Number::Known(_) => continue,
                Number::Int(own) => (HostKind::Int, *own),
                Number::Float => (HostKind::Float, Bounds::UNKNOWN),
            };
            arguments.push((symbol.clone(), kind));
            bounds.insert(symbol.clone(), own);
        }
        name_values(&mut function);
        let mut procedure =
            Procedure { function, source, known: substitution, arguments, calls: HashMap::new(), bounds };
        tighten(&mut procedure);
        procedure.bounds.values_mut().for_each(|own| own.high = own.high.or(self.bound));
        let body = std::mem::take(&mut procedure.function.body);
        let walked = self.region(&mut procedure, &body);
        procedure.function.body = body;
        walked.map(|()| procedure)
    }

    /// Notes bounds of what is bound in a region, and makes the procedures that it calls.
    fn region(&mut self, caller: &mut Procedure, region: &Region) -> Result<(), TargetError> {
        for id in &region.insts {
            let inst = caller.function[*id].clone();
            match &inst.kind {
                InstKind::For { index, .. } => {
                    let [start, stop, ..] = inst.operands.as_slice() else { continue };
                    let (start, stop) = (host_int(&caller.function, *start), host_int(&caller.function, *stop));
                    let of = |number: Option<Dim>| number.map_or(Bounds::UNKNOWN, |dim| caller.bounds_of(&dim));
                    let high = of(stop).high.and_then(|high| high.checked_sub(1));
                    let bounds = Bounds { low: of(start).low, high };
                    caller.bounds.insert(index.clone(), bounds);
                }
                InstKind::While { turns: Some(turns), .. } => {
                    let mut bounds = told(caller, turns).and(Bounds { low: Some(0), high: None });
                    bounds.high = bounds.high.or(self.bound);
                    caller.bounds.insert(turns.clone(), bounds);
                }
                InstKind::Call { func, bindings, path, fresh } => {
                    let called = self.call(caller, *func, bindings, path.as_deref())?;
                    let callee = &self.procedures[called.procedure.0];
                    let own: Vec<Bounds> =
                        callee.function.fresh.iter().map(|own| callee.bounds_of_symbol(own)).collect();
                    for (symbol, bounds) in fresh.iter().zip(own) {
                        let bounds = told(caller, symbol).and(bounds);
                        caller.bounds.insert(symbol.clone(), bounds);
                    }
                    caller.calls.insert(*id, called);
                }
                _ => {}
            }
            for inner in Function::regions(&inst.kind) {
                self.region(caller, inner)?;
            }
        }
        Ok(())
    }

    fn call(
        &mut self,
        caller: &Procedure,
        func: FuncId,
        bindings: &[(Symbol, HostExpr)],
        path: Option<&[PathSegment]>,
    ) -> Result<Called, TargetError> {
        let hypers = match (caller.function.layer, path) {
            (Some(layer), Some(path)) => self.hypers_at(caller, layer, path),
            _ => vec![],
        };
        let callee = &self.module[func];
        let given: Vec<(Symbol, HostExpr)> = bindings.iter().cloned().chain(hypers).collect();
        let mut numbers = Numbers::new();
        for (symbol, value) in &given {
            let number = match value.eval_value(&|_| None) {
                Some(value) => Number::Known(value),
                None => match value.as_dim() {
                    Some(dim) => Number::Int(caller.bounds_of(dim)),
                    None => Number::Float,
                },
            };
            // An int where a float is wanted is one.
            let kind = callee.symbols.iter().find(|(own, _)| own == symbol).map(|(_, kind)| *kind);
            let number = match (kind, number) {
                (Some(HostKind::Float), Number::Int(_)) => Number::Float,
                (_, number) => number,
            };
            numbers.insert(symbol.clone(), number);
        }
        let procedure = self.procedure(func, numbers)?;
        let arguments = self.procedures[procedure.0].arguments.iter();
        let arguments = arguments.filter_map(|(symbol, _)| {
            given.iter().rev().find(|(own, _)| own == symbol).map(|(_, value)| value.clone())
        });
        Ok(Called { procedure, arguments: arguments.collect() })
    }

    /// The hyperparameters of a part, over the caller's symbols.
    fn hypers_at(&self, caller: &Procedure, layer: LayerId, path: &[PathSegment]) -> Vec<(Symbol, HostExpr)> {
        // The verifier has followed every path.
        let Ok((part, values)) = self.module.instance_at(layer, path) else { return vec![] };
        let own = &caller.known;
        let hypers = self.module[part].hypers.iter();
        hypers.filter_map(|hyper| Some((hyper.name.clone(), own.expr(&values.get(&hyper.name)?)))).collect()
    }
}

/// Names what kernels take after where it comes from: members by their own names, parameters of a fused region by the
/// values that they stand for.
fn name_values(function: &mut Function) {
    for index in 0..function.insts.len() {
        let inst = function.insts[index].clone();
        match &inst.kind {
            InstKind::Param { name, part } => {
                let own = name.rsplit('.').next().unwrap_or(name);
                let own = part
                    .word()
                    .filter(|_| *part != Part::Codes)
                    .map_or(own.to_string(), |word| format!("{own}_{word}"));
                if let [result] = inst.results.as_slice() {
                    function[*result].name.get_or_insert(own);
                }
            }
            InstKind::Fused { body } => {
                for (param, operand) in body.params.iter().zip(&inst.operands) {
                    let name = function[*operand].name.clone();
                    let own = &mut function[*param].name;
                    *own = own.take().or(name);
                }
            }
            _ => {}
        }
    }
}

/// Learns bounds from the conditions under which the function makes sense.
fn tighten(procedure: &mut Procedure) {
    let open: Vec<Symbol> = procedure.bounds.keys().cloned().collect();
    for symbol in open {
        let own = procedure.bounds_of_symbol(&symbol);
        let told = told(procedure, &symbol);
        procedure.bounds.insert(symbol, own.and(told));
    }
}

/// What the conditions of a function tell of a symbol. They are checked before the symbol is used for any size.
fn told(procedure: &Procedure, symbol: &Symbol) -> Bounds {
    let function = &procedure.function;
    let at_head = function.obligations.iter().map(|(obligation, _)| obligation);
    let within = function.insts.iter().filter_map(|inst| match &inst.kind {
        InstKind::Ensure(obligation) => Some(obligation),
        _ => None,
    });
    let known = |other: &Symbol| procedure.bounds_of_symbol(other);
    let each = at_head.chain(within).map(|obligation| bounds::told_by(obligation, symbol, &known));
    each.fold(Bounds::UNKNOWN, Bounds::and)
}

/// Of an int scalar, what it is over the symbols of the function, where it is no computed one.
pub fn host_int(function: &Function, value: ValueId) -> Option<Dim> {
    let inst = function.insts.iter().find(|inst| inst.results.contains(&value))?;
    match &inst.kind {
        InstKind::Host(expr) => expr.as_dim().cloned(),
        InstKind::Const(tensor) => tensor.as_i64()?.first().copied().map(Dim::constant),
        _ => None,
    }
}
