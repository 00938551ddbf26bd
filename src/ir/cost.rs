//! How many floating-point operations a function takes, as an expression of its dims, from what the registry says of each
//! operation ([`crate::ops::cost`]).
//!
//! A call takes what its callee does with the caller's sizes, a loop so many times what its body does, a branch on a
//! run-time condition what the dearer side does. A `while` runs as often as it does: what is in one is not known, and a
//! note says so.

use crate::ir::substitute::Substitution;
use crate::ir::{FuncId, Function, Inst, InstId, InstKind, Module, Region, ValueId};
use crate::ops::cost::flops;
use crate::types::{Dim, HostExpr, Symbol};
use std::collections::{BTreeMap, BTreeSet};

/// Loops whose turns differ in cost are added up to this many turns.
const MAX_TURNS: i64 = 4096;

/// What a function takes; `None` where it is not known, of which the notes tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Over the symbols of the function and the hyperparameters of its layer.
    pub flops: Option<Dim>,
    pub notes: BTreeSet<String>,
}

/// The costs of the functions of a module, each worked out once.
pub struct Costs<'m> {
    module: &'m Module,
    known: BTreeMap<FuncId, Cost>,
}

impl<'m> Costs<'m> {
    pub fn new(module: &'m Module) -> Costs<'m> {
        Costs { module, known: BTreeMap::new() }
    }

    pub fn of(&mut self, id: FuncId) -> Cost {
        if let Some(cost) = self.known.get(&id) {
            return cost.clone();
        }
        let module = self.module;
        let function = &module[id];
        let mut notes = BTreeSet::new();
        let flops = self.region(function, &function.body, &mut notes);
        // What only a run tells is a symbol that callers cannot give a value.
        let flops = flops.filter(|flops| {
            let hypers = function.layer.map_or(&[][..], |layer| &module[layer].hypers);
            let own: BTreeSet<&Symbol> =
                function.symbols.iter().map(|(symbol, _)| symbol).chain(hypers.iter().map(|h| &h.name)).collect();
            let open = flops.symbols().into_iter().find(|symbol| !own.contains(symbol));
            if let Some(symbol) = &open {
                notes.insert(format!("`{}`: its cost depends on `{symbol}`, which only a run tells", function.name));
            }
            open.is_none() && !flops.has_unknown()
        });
        let cost = Cost { flops, notes };
        self.known.insert(id, cost.clone());
        cost
    }

    fn region(&mut self, function: &Function, region: &Region, notes: &mut BTreeSet<String>) -> Option<Dim> {
        let mut total = Some(Dim::zero());
        for id in &region.insts {
            // All of it is looked at, so that every note is made.
            let own = self.inst(function, *id, notes);
            total = total.zip(own).map(|(total, own)| total.add(&own));
        }
        total
    }

    fn inst(&mut self, function: &Function, id: InstId, notes: &mut BTreeSet<String>) -> Option<Dim> {
        let inst = &function[id];
        match &inst.kind {
            InstKind::Op { op, attrs } => {
                let types = |values: &[ValueId]| values.iter().map(|value| &function[*value].ty).collect::<Vec<_>>();
                let found = flops(*op, &types(&inst.operands), attrs, &types(&inst.results));
                found.or_else(|| unknown(notes, function, inst, &format!("the sizes of `{}` are not known", op.name())))
            }
            InstKind::Call { func, bindings, path, .. } => {
                let callee = self.of(*func);
                notes.extend(callee.notes);
                let mut scope = Substitution::new(bindings.iter().cloned());
                if let (Some(path), Some(layer)) = (path, function.layer)
                    && let Ok((_, hypers)) = self.module.instance_at(layer, path)
                {
                    let layer = self.module[*func].layer.map(|layer| &self.module[layer].hypers);
                    let names = layer.into_iter().flatten().map(|hyper| hyper.name.clone());
                    scope.extend(names.filter_map(|name| Some((name.clone(), hypers.get(&name)?))));
                }
                callee.flops.map(|flops| scope.dim(&flops))
            }
            InstKind::If { then, otherwise } => {
                let then = self.region(function, then, notes);
                let otherwise = self.region(function, otherwise, notes);
                then.zip(otherwise).map(|(then, otherwise)| then.maximum(&otherwise))
            }
            InstKind::For { index, body } => {
                let turn = self.region(function, body, notes)?;
                let bounds = inst.operands.first().zip(inst.operands.get(1));
                let bounds = bounds.and_then(|(start, stop)| host(function, *start).zip(host(function, *stop)));
                let total = bounds.and_then(|(start, stop)| turns(index, &start, &stop, &turn));
                total.or_else(|| unknown(notes, function, inst, "the number of turns of a loop is not known"))
            }
            InstKind::While { cond, body, .. } => {
                let parts = (self.region(function, cond, notes), self.region(function, body, notes));
                if parts == (Some(Dim::zero()), Some(Dim::zero())) {
                    return Some(Dim::zero());
                }
                unknown(notes, function, inst, "a `while` runs as often as its condition says")
            }
            // Those that compute nothing by themselves, and those that are what their region is.
            kind => Function::regions(kind)
                .into_iter()
                .try_fold(Dim::zero(), |total, region| Some(total.add(&self.region(function, region, notes)?))),
        }
    }
}

/// Notes why nothing is known of an instruction.
fn unknown(notes: &mut BTreeSet<String>, function: &Function, inst: &Inst, why: &str) -> Option<Dim> {
    notes.insert(format!("`{}`, line {}: {why}", function.name, inst.loc.line));
    None
}

/// What all turns of a loop take.
fn turns(index: &Symbol, start: &Dim, stop: &Dim, turn: &Dim) -> Option<Dim> {
    let count = stop.sub(start);
    if !turn.symbols().contains(index) {
        // A loop that would run backwards does not run.
        let count = if count.as_const().is_some() { Dim::constant(count.as_const()?.max(0)) } else { count };
        return Some(turn.mul(&count));
    }
    let first = start.as_const()?;
    let count = count.as_const().filter(|count| *count <= MAX_TURNS)?;
    let at = |position: i64| turn.substitute_symbols(&|symbol| (symbol == index).then(|| Dim::constant(position)));
    Some((first..first + count.max(0)).fold(Dim::zero(), |total, position| total.add(&at(position))))
}

/// The number that an int64 scalar is, where it comes from the host.
fn host(function: &Function, value: ValueId) -> Option<Dim> {
    let made = function.insts.iter().find(|inst| inst.results.contains(&value))?;
    match &made.kind {
        InstKind::Const(tensor) => Some(Dim::constant(*tensor.as_i64()?.first()?)),
        InstKind::Host(HostExpr::Int(dim)) => Some(dim.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(text: &str, name: &str) -> (String, Vec<String>) {
        let module = crate::ir::verify(crate::ir::reader::read(text).unwrap()).unwrap();
        let cost = Costs::new(&module).of(module.function_named(name).unwrap());
        (cost.flops.map_or("unknown".into(), |flops| flops.to_string()), cost.notes.into_iter().collect())
    }

    const NET: &str = "files \"a.tri\"
entry net = Net(dim = 4)
layer Net(dim: int) {
  let parts = repeat i < 3 : Part(n = dim * (i + 1))
  method @Net.forward
}
layer Part(n: int) {
  param weight : float32[n, 2]
  method @Part.forward
}
func @Part.forward(%x: float32[B, n]) -> float32[B, 2] {
  symbols B: int
  %w = param \"weight\" : float32[n, 2]
  %0 = matmul %x, %w : float32[B, 2]
  return %0
}
func @Net.forward(%x: float32[B, dim], %y: float32[B, 3 * dim], %go: bool) -> float32[B, 2] {
  symbols B: int
  %0 = call @Part.forward(%x) at self.parts[0] {B = B} : float32[B, 2]
  %1 = call @Part.forward(%y) at self.parts[2] {B = B} : float32[B, 2]
  %a = const int64 [2] : int64
  %b = host dim : int64
  %2 = for k (%k: int64, %h: float32[B, 2]) in %a, %b, %0 {
    %3 = add %h, %1 : float32[B, 2]
    yield %3
  } : float32[B, 2]
  %4 = if %go {
    %5 = exp %2 : float32[B, 2]
    %6 = exp %5 : float32[B, 2]
    yield %6
  } else {
    yield %2
  } : float32[B, 2]
  return %4
}
";

    #[test]
    fn calls_loops_and_branches_are_counted() {
        assert_eq!(cost(NET, "Part.forward"), ("4 * B * n".into(), vec![]));
        let (flops, notes) = cost(NET, "Net.forward");
        // 4 * B * dim and 12 * B * dim; dim - 2 turns of 2 * B; the dearer side.
        let sum = Costs::new(&crate::ir::reader::read(NET).unwrap()).of(FuncId(1)).flops.unwrap();
        let value = |b: i64, dim: i64| sum.eval(&|symbol| Some(if symbol.as_str() == "B" { b } else { dim }));
        assert_eq!(value(5, 4), Some(5 * (16 * 4 + 2 * 2 + 4)), "{flops}");
        assert_eq!(value(1, 7), Some(16 * 7 + 2 * 5 + 4), "{flops}");
        assert!(notes.is_empty());
    }

    #[test]
    fn turns_that_differ_are_added_up() {
        let (i, four) = (Symbol::new("i"), Dim::constant(4));
        let turn = Dim::symbol("i").mul(&Dim::symbol("B"));
        assert_eq!(turns(&i, &Dim::constant(1), &four, &turn).unwrap().to_string(), "6 * B");
        assert_eq!(turns(&i, &Dim::zero(), &Dim::symbol("n"), &turn), None);
        assert_eq!(turns(&i, &four, &Dim::zero(), &Dim::symbol("B")).unwrap().to_string(), "0");
    }

    #[test]
    fn a_while_is_not_known() {
        let text = "files \"a.tri\"
func @f(%x: float32[n]) -> float32[n] {
  symbols n: int
  %last = while (%a: float32[n]) in %x {  # a.tri:7
    %s = sum %a {axis = none, keepdim = false} : float32
    %zero = const float32 [0.0] : float32
    %go = gt %s, %zero : bool
    yield %go
  } do (%b: float32[n]) {
    %c = neg %b : float32[n]
    yield %c
  } : float32[n]
  return %last
}
";
        let note = "`f`, line 7: a `while` runs as often as its condition says".to_string();
        assert_eq!(cost(text, "f"), ("unknown".into(), vec![note]));
    }
}
