//! Random functions: nested branches and loops, values of many sizes, other looks, and results that may take the place of
//! operands. What the operations are does not matter here, so they are not what the registry says.

use super::*;
use crate::base::Loc;
use crate::base::philox::words;
use crate::ir::{Builder, FuncId, Inst, InstKind, Region};
use crate::ops::{Attrs, builtin};
use crate::types::{DType, Shape, Symbol, TensorType};
use std::collections::BTreeMap;

#[derive(Default)]
struct Made {
    aliases: BTreeMap<ValueId, ValueId>,
    reuses: BTreeMap<InstId, Vec<(ValueId, ValueId)>>,
    scratch: BTreeMap<InstId, usize>,
    /// Values that are not planned.
    outside: Vec<ValueId>,
}

struct MadeMemory<'f>(&'f Function, Made);

impl Memory for MadeMemory<'_> {
    fn bytes(&self, value: ValueId) -> Option<usize> {
        let ty = &self.0[value].ty;
        let elements = ty.shape.elements()?.as_const()? as usize;
        (ty.shape.rank() != Some(0) && !self.1.outside.contains(&value)).then_some(4 * elements)
    }

    fn alias(&self, value: ValueId) -> Option<ValueId> {
        self.1.aliases.get(&value).copied()
    }

    fn reuses(&self, inst: InstId) -> Vec<(ValueId, ValueId)> {
        self.1.reuses.get(&inst).cloned().unwrap_or_default()
    }

    fn scratch(&self, inst: InstId) -> usize {
        self.1.scratch.get(&inst).copied().unwrap_or(0)
    }
}

struct Maker<'f> {
    builder: Builder<'f>,
    made: Made,
    words: Box<dyn Iterator<Item = u32>>,
    scalar: ValueId,
}

/// Elements of a value: 0 is a scalar.
const SIZES: [usize; 6] = [0, 1, 16, 16, 48, 160];

fn ty(size: usize) -> TensorType {
    TensorType::new(DType::Float32, if size == 0 { Shape::scalar() } else { Shape::of(&[size]) })
}

impl Maker<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.words.next().unwrap_or(0) as usize % end.max(1)
    }

    fn any_size(&mut self) -> usize {
        SIZES[self.below(SIZES.len())]
    }

    fn last_inst(&self) -> InstId {
        InstId(self.builder.function.insts.len() as u32 - 1)
    }

    /// A value of a size, one that is there or a new one.
    fn value(&mut self, seen: &mut Vec<ValueId>, wanted: usize) -> ValueId {
        let fitting: Vec<ValueId> =
            seen.iter().copied().filter(|value| self.builder.function[*value].ty == ty(wanted)).collect();
        if !fitting.is_empty() && self.below(5) > 0 {
            return fitting[self.below(fitting.len())];
        }
        self.operation(seen, wanted)
    }

    fn inst(&mut self, kind: InstKind, operands: Vec<ValueId>, sizes: &[usize]) -> Vec<ValueId> {
        let types: Vec<TensorType> = sizes.iter().map(|size| ty(*size)).collect();
        self.builder.inst(kind, operands, &types, Loc::default())
    }

    fn operation(&mut self, seen: &mut Vec<ValueId>, wanted: usize) -> ValueId {
        let count = self.below(3) + 1;
        let mut operands = vec![];
        for _ in 0..count.min(seen.len()) {
            operands.push(seen[self.below(seen.len())]);
        }
        let kind = InstKind::Op { op: builtin("exp"), attrs: Attrs::new() };
        let more = if self.below(6) == 0 { vec![wanted, self.any_size()] } else { vec![wanted] };
        let results = self.inst(kind, operands.clone(), &more);
        let inst = self.last_inst();
        let function = &self.builder.function;
        let is_same = |operand: &ValueId| function[*operand].ty == function[results[0]].ty;
        let fitting: Vec<ValueId> = operands.into_iter().filter(is_same).collect();
        if wanted > 0 && more.len() == 1 && fitting.len() == 1 && self.below(4) == 0 {
            self.made.aliases.insert(results[0], fitting[0]);
        } else {
            let allowed: Vec<ValueId> = fitting.into_iter().filter(|_| self.below(3) > 0).collect();
            self.made.reuses.insert(inst, allowed.into_iter().map(|operand| (results[0], operand)).collect());
            if self.below(8) == 0 {
                let scratch = self.below(700);
                self.made.scratch.insert(inst, scratch);
            }
        }
        seen.extend(&results);
        results[0]
    }

    /// Some instructions, then a terminator with values of these sizes.
    fn region(&mut self, params: Vec<ValueId>, mut seen: Vec<ValueId>, ends: &[usize], depth: usize) -> Region {
        seen.extend(&params);
        self.builder.open(params);
        self.statements(&mut seen, depth);
        let ends: Vec<ValueId> = ends.iter().map(|size| self.value(&mut seen, *size)).collect();
        self.inst(InstKind::Yield, ends, &[]);
        self.builder.close()
    }

    fn statements(&mut self, seen: &mut Vec<ValueId>, depth: usize) {
        for _ in 0..self.below(6) {
            match self.below(if depth == 0 { 6 } else { 9 }) {
                6 => self.branch(seen, depth - 1),
                7 => self.turns(seen, depth - 1, false),
                8 => self.turns(seen, depth - 1, true),
                _ => {
                    let wanted = self.any_size();
                    self.operation(seen, wanted);
                }
            }
        }
    }

    fn sizes(&mut self) -> Vec<usize> {
        (0..self.below(4)).map(|_| self.any_size()).collect()
    }

    fn branch(&mut self, seen: &mut Vec<ValueId>, depth: usize) {
        let ends = self.sizes();
        let then = self.region(vec![], seen.clone(), &ends, depth);
        let otherwise = self.region(vec![], seen.clone(), &ends, depth);
        let results = self.inst(InstKind::If { then, otherwise }, vec![self.scalar], &ends);
        seen.extend(results);
    }

    fn turns(&mut self, seen: &mut Vec<ValueId>, depth: usize, is_while: bool) {
        let carried = self.sizes();
        let mut operands: Vec<ValueId> = carried.iter().map(|size| self.value(seen, *size)).collect();
        let collected: Vec<usize> = self.sizes().into_iter().filter(|size| *size > 0).collect();
        let params = |maker: &mut Self| -> Vec<ValueId> {
            carried.iter().map(|size| maker.builder.value(ty(*size), None)).collect()
        };
        let ends: Vec<usize> = carried.iter().chain(&collected).copied().collect();
        let kind = if is_while {
            let of_cond = params(self);
            let cond = self.region(of_cond, seen.clone(), &[0], depth);
            let of_body = params(self);
            let body = self.region(of_body, seen.clone(), &ends, depth);
            InstKind::While { turns: Some(Symbol::new("t")), cond, body }
        } else {
            operands.splice(0..0, [self.scalar, self.scalar]);
            let index = self.builder.value(ty(0), None);
            let mut of_body = vec![index];
            of_body.extend(params(self));
            let body = self.region(of_body, seen.clone(), &ends, depth);
            InstKind::For { index: Symbol::new("k"), body }
        };
        let all: Vec<TensorType> = carried
            .iter()
            .map(|size| ty(*size))
            .chain(collected.iter().map(|size| TensorType::new(DType::Float32, Shape::of(&[3, *size]))))
            .collect();
        let results = self.builder.inst(kind, operands, &all, Loc::default());
        seen.extend(results);
    }
}

fn random(seed: i64) -> (Function, Made) {
    let text = "func @f() -> float32 {\n  %0 = const float32 [1.0] : float32\n  return %0\n}\n";
    let mut function = crate::ir::reader::read(text).unwrap()[FuncId(0)].clone();
    (function.values, function.insts, function.body) = (vec![], vec![], Region::default());
    let mut builder = Builder::new(&mut function);
    let scalar = builder.param(ty(0), "c");
    let given = builder.param(ty(16), "x");
    let made = Made { outside: vec![given], ..Made::default() };
    let mut maker = Maker { builder, made, words: Box::new(words(seed)), scalar };
    let mut seen = vec![scalar, given];
    for _ in 0..3 {
        maker.statements(&mut seen, 3);
    }
    let results: Vec<usize> = maker.sizes();
    let ends: Vec<ValueId> = results.iter().map(|size| maker.value(&mut seen, *size)).collect();
    let Maker { mut builder, made, .. } = maker;
    builder.inst(InstKind::Return, ends, &[], Loc::default());
    builder.finish();
    function.results = results.into_iter().map(ty).collect();
    (function, made)
}

#[test]
fn plans_of_random_functions_hold() {
    let (mut regions, mut copies, mut swaps, mut parts, mut shared) = (0, 0, 0, 0, 0);
    for seed in 0..120 {
        let (function, made) = random(seed);
        let memory = MadeMemory(&function, made);
        let mut totals = vec![];
        for strategy in Strategy::ALL {
            let plan = plan(&function, &memory, strategy);
            assert_eq!(verify_plan(&function, &memory, &plan), Ok(()), "seed {seed}, {strategy:?}");
            assert!(plan.lower_bound <= plan.total, "seed {seed}, {strategy:?}");
            assert_eq!(plan.total % ALIGNMENT, 0);
            totals.push(plan.total);
            if strategy == Strategy::Greedy {
                let live: usize = plan.peak.live.iter().map(|(_, bytes)| bytes).sum();
                assert_eq!(live + padded(plan.peak.scratch), plan.lower_bound, "seed {seed}");
                let moves = plan.moves.values().flatten();
                let (all, swapped) = moves.fold((0, 0), |(all, swapped), step| {
                    (all + 1, swapped + usize::from(matches!(step, Move::Swap(..))))
                });
                (copies, swaps) = (copies + all, swaps + swapped);
                parts += plan.places.iter().filter(|place| matches!(place, Place::Part { .. })).count();
                shared += usize::from(plan.total < totals[0]);
            }
        }
        assert!(totals[2] <= totals[0] && totals[1] <= totals[0], "seed {seed}: {totals:?}");
        regions += function.insts.iter().filter(|inst: &&Inst| !Function::regions(&inst.kind).is_empty()).count();
    }
    eprintln!("{regions} {copies} {swaps} {parts} {shared}");
    // What is to be tested does occur.
    assert!(regions > 200 && copies > 200 && swaps > 3 && parts > 10 && shared > 60);
}

/// Of two values that are needed at one point, one is moved to where the other is.
#[test]
fn planted_mistakes_are_found() {
    let mut planted = 0;
    for seed in 0..200 {
        let (function, made) = random(seed);
        let memory = MadeMemory(&function, made);
        let lifetimes = Lifetimes::of(&function);
        let right = plan(&function, &memory, Strategy::Greedy);
        let made_there = |value: &ValueId| {
            matches!(right.place(*value), Place::Arena(_))
                && function
                    .insts
                    .iter()
                    .any(|inst| matches!(inst.kind, InstKind::Op { .. }) && inst.results.contains(value))
        };
        let values: Vec<ValueId> = (0..function.values.len() as u32).map(ValueId).filter(made_there).collect();
        let mut words = words(seed + 1);
        for _ in 0..20 {
            let mut any = || values.get(words.next().unwrap() as usize % values.len().max(1)).copied();
            let (Some(a), Some(b)) = (any(), any()) else { break };
            // Both are needed where an instruction begins and still where it has written.
            let together = |first: &(u32, u32)| {
                let shared = |second: &(u32, u32)| first.1.min(second.1) > first.0.max(second.0) + 1;
                lifetimes.value(b).iter().any(shared)
            };
            if right.place(a) == right.place(b) || !lifetimes.value(a).iter().any(together) {
                continue;
            }
            planted += 1;
            let mut wrong = right.clone();
            for place in wrong.places.iter_mut().filter(|place| **place == right.place(b)) {
                *place = right.place(a);
            }
            wrong.total += 4096;
            assert!(verify_plan(&function, &memory, &wrong).is_err(), "seed {seed}: {a:?} and {b:?}");
        }
    }
    assert!(planted > 100, "{planted}");
}
