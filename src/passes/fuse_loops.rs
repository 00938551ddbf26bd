//! Makes one loop of two that follow each other and turn equally often, so that what a turn of the first computes is
//! still there in the same turn of the second.
//!
//! The second may use what the first collects, but only of the same turn: `ys[i]`. Between the two there may be what
//! needs nothing of the first.
//!
//! Needs: nothing; of inlined functions more can be seen. Keeps: results, to the last bit: each turn computes what it
//! did. Loops that assert, print, assign or draw from a random site that occurs elsewhere stay apart, for their effects
//! would come in another order; so do loops in which sizes are bound.
//!
//! ```text
//! %a, %as = for i (...) in %0, %n, %x {             %a, %b, %as, %bs = for i (...) in %0, %n, %x, %y {
//!   ...                                               ...
//!   yield %a2, %e                                     %s = unsqueeze %e {axis = 0} : float32[1, B]
//! } : float32[B], float32[n, B]                =>     ...
//! %b, %bs = for j (...) in %0, %n, %y {               yield %a2, %b2, %e, %f
//!   %s = slice %as {axis = 0, start = j, ...}       } : float32[B], float32[B], float32[n, B], float32[n, B]
//!   ...
//!   yield %b2, %f
//! } : float32[B], float32[n, B]
//! ```

use crate::ir::substitute::Substitution;
use crate::ir::{Function, Inst, InstId, InstKind, Module, Region, ValueId};
use crate::ops::{Attr, Attrs, builtin, slice};
use crate::passes::PassCx;
use crate::passes::copy::{Copier, compact, int_symbol, push};
use crate::passes::effects::Effects;
use crate::types::{Dim, Symbol};
use rustc_hash::{FxHashMap, FxHashSet};

/// So many instructions may stand between two loops.
const MAX_BETWEEN: usize = 64;

pub(super) fn fuse_loops(module: &mut Module, cx: &mut PassCx) {
    let effects = Effects::of(module);
    for function in &mut module.functions {
        let loops = function.insts.iter().filter(|inst| matches!(inst.kind, InstKind::For { .. })).count();
        if loops < 2 {
            continue;
        }
        let mut pass = FuseLoops { effects: &effects, bounds: FxHashMap::default(), merged: 0 };
        function.change_body(|function, body| pass.region(function, body));
        cx.count("loops", pass.merged);
        if pass.merged > 0 {
            compact(function);
        }
    }
}

struct FuseLoops<'e> {
    effects: &'e Effects,
    /// Values that are numbers of the host: what bounds are compared by.
    bounds: FxHashMap<ValueId, Dim>,
    merged: usize,
}

/// A loop, taken apart.
struct Loop {
    index: Symbol,
    body: Region,
    inst: Inst,
    /// What the last instruction of the body yields.
    yielded: Vec<ValueId>,
}

impl Loop {
    fn of(function: &Function, id: InstId) -> Option<Loop> {
        let inst = function[id].clone();
        let InstKind::For { index, body } = &inst.kind else { return None };
        let yielded = function[*body.insts.last()?].operands.clone();
        Some(Loop { index: index.clone(), body: body.clone(), yielded, inst })
    }

    /// How many values go from turn to turn.
    fn carried(&self) -> usize {
        self.inst.operands.len().saturating_sub(2)
    }

    /// What one turn adds to a result that collects.
    fn element_of(&self, stack: ValueId) -> Option<ValueId> {
        let place = self.inst.results.iter().position(|result| *result == stack)?;
        self.yielded.get(place).copied().filter(|_| place >= self.carried())
    }
}

impl FuseLoops<'_> {
    fn region(&mut self, function: &mut Function, region: Region) -> Region {
        let mut insts = vec![];
        for id in region.insts {
            function.change_regions(id, |function, nested| self.region(function, nested));
            self.note_bound(function, id);
            if matches!(function[id].kind, InstKind::For { .. }) {
                self.join_earlier(function, &mut insts, id);
            }
            insts.push(id);
        }
        Region { params: region.params, insts }
    }

    fn note_bound(&mut self, function: &Function, id: InstId) {
        let inst = &function[id];
        let dim = match &inst.kind {
            InstKind::Host(expr) => expr.as_dim().cloned(),
            InstKind::Const(tensor) if tensor.rank() == 0 => {
                tensor.as_i64().and_then(|values| values.first().copied()).map(Dim::constant)
            }
            _ => None,
        };
        if let (Some(dim), [result]) = (dim, inst.results.as_slice()) {
            self.bounds.insert(*result, dim);
        }
    }

    /// Takes the loops before this one into it, as far as they can be.
    fn join_earlier(&mut self, function: &mut Function, insts: &mut Vec<InstId>, second: InstId) {
        let mut between = 0;
        while between < insts.len().min(MAX_BETWEEN) {
            let place = insts.len() - 1 - between;
            let id = insts[place];
            if self.merge(function, id, second, &insts[place + 1..]) {
                insts.remove(place);
                self.merged += 1;
                continue;
            }
            let inst = &function[id];
            if self.effects.acts(function, &inst.kind) || !inst.kind.binds().is_empty() {
                return;
            }
            between += 1;
        }
    }

    /// Makes the second loop both, if that is possible: the first stands before it, with `between` in between.
    fn merge(&self, function: &mut Function, first: InstId, second: InstId, between: &[InstId]) -> bool {
        let (Some(a), Some(b)) = (Loop::of(function, first), Loop::of(function, second)) else { return false };
        if !self.same_turns(&a, &b) || !self.is_pure(function, first) || !self.is_pure(function, second) {
            return false;
        }
        let results: FxHashSet<ValueId> = a.inst.results.iter().copied().collect();
        let uses = |id: &InstId| function.used_by(*id).iter().any(|used| results.contains(used));
        if between.iter().any(uses) || b.inst.operands.iter().any(|operand| results.contains(operand)) {
            return false;
        }
        let Some(reads) = self.reads(function, &b.body, &a, &b) else { return false };
        let unsqueeze = builtin("unsqueeze");
        for (read, element) in reads {
            let attrs = Attrs::new().with("axis", Attr::int(0));
            function[read].kind = InstKind::Op { op: unsqueeze, attrs };
            function[read].operands = vec![element];
        }
        write(function, &a, &b, second);
        true
    }

    fn same_turns(&self, a: &Loop, b: &Loop) -> bool {
        let same = |a: &ValueId, b: &ValueId| {
            a == b || self.bounds.get(a).is_some_and(|bound| self.bounds.get(b) == Some(bound))
        };
        a.inst.operands.iter().zip(&b.inst.operands).take(2).all(|(a, b)| same(a, b))
    }

    fn is_pure(&self, function: &Function, id: InstId) -> bool {
        let kind = &function[id].kind;
        let mut binds = false;
        for region in Function::regions(kind) {
            function.visit(region, &mut |inner| {
                let kind = &function[inner].kind;
                binds |= !kind.binds().is_empty() || matches!(kind, InstKind::For { .. });
            });
        }
        !self.effects.acts(function, kind) && !binds
    }

    /// Where the body of `b` reads what `a` collected in the same turn, and the value that this is; `None` if it reads
    /// anything else of `a`.
    fn reads(&self, function: &Function, region: &Region, a: &Loop, b: &Loop) -> Option<Vec<(InstId, ValueId)>> {
        let start = self.bounds.get(&b.inst.operands[0])?;
        let turn = Dim::symbol(b.index.as_str()).sub(start);
        let mut found = vec![];
        for id in &region.insts {
            let inst = &function[*id];
            for nested in Function::regions(&inst.kind) {
                found.extend(self.reads(function, nested, a, b)?);
            }
            if !inst.operands.iter().any(|operand| a.inst.results.contains(operand)) {
                continue;
            }
            let (InstKind::Op { op, attrs }, [stack]) = (&inst.kind, inst.operands.as_slice()) else { return None };
            let (axis, at) = slice::single_position(*op, attrs)?;
            found.push((*id, a.element_of(*stack).filter(|_| axis == 0 && at == turn)?));
        }
        Some(found)
    }
}

/// Puts the body of `a` before that of `b`, in the place of `b`.
fn write(function: &mut Function, a: &Loop, b: &Loop, place: InstId) {
    let source = function.clone();
    let index = Substitution::new([(b.index.clone(), int_symbol(&a.index))]);
    let mut copier = Copier::new(&source, index, None);
    copier.values.extend(source.used_by(place).into_iter().map(|value| (value, value)));
    copier.values.insert(b.body.params[0], a.body.params[0]);
    let mut params = a.body.params.clone();
    params.extend(b.body.params[1..].iter().map(|param| copier.value(function, *param)));
    let without_end = |body: &Region| body.insts[..body.insts.len() - 1].to_vec();
    let mut insts = without_end(&a.body);
    for id in without_end(&b.body) {
        insts.push(copier.inst(function, id));
    }
    let yielded: Vec<ValueId> = b.yielded.iter().map(|value| copier.value(function, *value)).collect();
    let operands = both(&a.yielded, &yielded, a.carried(), b.carried());
    insts.push(push(function, Inst { kind: InstKind::Yield, operands, results: vec![], loc: b.inst.loc }));
    function[place] = Inst {
        kind: InstKind::For { index: a.index.clone(), body: Region { params, insts } },
        operands: [&a.inst.operands[..], &b.inst.operands[2..]].concat(),
        results: both(&a.inst.results, &b.inst.results, a.carried(), b.carried()),
        loc: a.inst.loc,
    };
}

/// What both carry, then what both collect.
fn both(a: &[ValueId], b: &[ValueId], carried_by_a: usize, carried_by_b: usize) -> Vec<ValueId> {
    [&a[..carried_by_a], &b[..carried_by_b], &a[carried_by_a..], &b[carried_by_b..]].concat()
}

#[cfg(test)]
mod tests {
    use crate::ir::printer::print;
    use crate::passes::testkit::{check, module, optimised};
    use expect_test::expect;

    const LOOPS: &str = "func @f(%x: float32[B, T], %w: float32[T]) -> (float32[T, B], float32[T, B], float32[B]) {
  symbols B: int, T: int
  %state = zeros {shape = [B], dtype = float32} : float32[B]
  %0 = const int64 [0] : int64
  %1 = host T : int64
  %state.1, %a = for i (%2: int64, %state.2: float32[B]) in %0, %1, %state {
    %3 = slice %x {axis = 1, start = i, stop = i + 1, step = 1} : float32[B, 1]
    %4 = squeeze %3 {axis = 1} : float32[B]
    %state.3 = add %state.2, %4 : float32[B]
    %8 = exp %state.3 : float32[B]
    yield %state.3, %8
  } : float32[B], float32[T, B]
  %acc = ones {shape = [B], dtype = float32} : float32[B]
  %zero = const int64 [0] : int64
  %acc.1, %b = for j (%9: int64, %acc.2: float32[B]) in %zero, %1, %acc {
    %10 = slice %a {axis = 0, start = j, stop = j + 1, step = 1} : float32[1, B]
    %11 = squeeze %10 {axis = 0} : float32[B]
    %acc.3 = mul %acc.2, %11 : float32[B]
    %k = host j : float32
    %14 = mul %acc.3, %k : float32[B]
    yield %acc.3, %14
  } : float32[B], float32[T, B]
  return %a, %b, %acc.1
}
";

    #[test]
    fn two_loops_become_one() {
        check(
            &["fuse-loops", "simplify", "dce"],
            LOOPS,
            expect![[r#"
            func @f(%x: float32[B, T], %w: float32[T]) -> (float32[T, B], float32[T, B], float32[B]) {
              symbols B: int, T: int
              %state = zeros {shape = [B], dtype = float32} : float32[B]
              %0 = const int64 [0] : int64
              %1 = host T : int64
              %acc = ones {shape = [B], dtype = float32} : float32[B]
              %state.1, %acc.1, %a, %b = for i (%2: int64, %state.2: float32[B], %acc.2: float32[B]) in %0, %1, %state, %acc {
                %3 = slice %x {axis = 1, start = i, stop = i + 1, step = 1} : float32[B, 1]
                %4 = squeeze %3 {axis = 1} : float32[B]
                %state.3 = add %state.2, %4 : float32[B]
                %5 = exp %state.3 : float32[B]
                %acc.3 = mul %acc.2, %5 : float32[B]
                %k = host i : float32
                %6 = mul %acc.3, %k : float32[B]
                yield %state.3, %acc.3, %5, %6
              } : float32[B], float32[B], float32[T, B], float32[T, B]
              return %a, %b, %acc.1
            }
        "#]],
        );
    }

    #[test]
    fn loops_that_are_not_alike_stay_apart() {
        let loops = |text: &str| print(&optimised(&module(text), &["fuse-loops"])).matches(" = for ").count();
        let stays = |from: &str, to: &str| {
            assert!(LOOPS.contains(from), "no {from:?}");
            assert_eq!(loops(&LOOPS.replacen(from, to, 1)), 2, "{from:?} -> {to:?}");
        };
        assert_eq!(loops(LOOPS), 1);
        // Another number of turns, another turn's value, the last state, an effect inside and in between.
        let bounds = ["%zero = const int64 [0] : int64", "in %zero, %1, %acc {"];
        let later = ["%one = const int64 [1] : int64\n  %last = host T + 1 : int64", "in %one, %last, %acc {"];
        let text = bounds.iter().zip(later).fold(LOOPS.to_string(), |text, (from, to)| text.replace(from, to));
        assert_eq!(loops(&text), 2);
        stays("start = j, stop = j + 1", "start = 0, stop = 1");
        stays("in %zero, %1, %acc {", "in %zero, %1, %state.1 {");
        stays("    %k = host j : float32", "    print \"turn\", %9\n    %k = host j : float32");
        stays("  %acc = ones", "  print \"then\", %x\n  %acc = ones");
        stays("  %acc = ones {shape = [B], dtype = float32}", "  %acc = exp %state.1");
    }
}
