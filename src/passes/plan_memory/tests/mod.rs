//! Plans of small functions, and of many random ones.

mod random;

use super::*;
use crate::ir::Module;
use crate::passes::testkit::module;
use expect_test::{Expect, expect};
use std::fmt::Write;

/// Symbols are 16: a vector of so many floats is one line of 64 bytes.
fn sizes(function: &Function) -> Sizes {
    function.symbols.iter().map(|(symbol, _)| (symbol.clone(), 16)).collect()
}

/// The places of values and the moves, in the order of the text.
fn shown(module: &Module, strategy: Strategy) -> String {
    let function = &module.functions[0];
    let memory = PlainMemory::of(module, function, &sizes(function), strategy).unwrap();
    let plan = plan(function, &memory, strategy);
    assert_eq!(verify_plan(function, &memory, &plan), Ok(()));
    let mut text = format!("{} of {} bytes\n", plan.total, plan.lower_bound);
    let name = |value: ValueId| function[value].name.clone().unwrap_or(format!("{}", value.0));
    for index in 0..function.values.len() as u32 {
        let value = ValueId(index);
        match plan.place(value) {
            Place::Own(own) if own == value => {}
            Place::Own(own) => writeln!(text, "{}: {}", name(value), name(own)).unwrap(),
            Place::Part { of, .. } => writeln!(text, "{}: part of {}", name(value), name(of)).unwrap(),
            place => writeln!(text, "{}: {place:?}", name(value)).unwrap(),
        }
    }
    for (inst, moves) in &plan.moves {
        for step in moves {
            let step = match step {
                Move::Copy { from, to: Destination::Value(to) } => format!("{} = {}", name(*to), name(*from)),
                Move::Copy { from, to: Destination::Part(of) } => format!("{}[turn] = {}", name(*of), name(*from)),
                Move::Copy { from, to: Destination::Result(position) } => {
                    format!("result {position} = {}", name(*from))
                }
                Move::Swap(a, b) => format!("{} <-> {}", name(*a), name(*b)),
            };
            writeln!(text, "{}: {step}", inst.0).unwrap();
        }
    }
    text
}

fn check(text: &str, wanted: Expect) {
    wanted.assert_eq(&shown(&module(text), Strategy::Greedy));
}

const CHAIN: &str = "func @f(%x: float32[16], %w: float32[16, 32], %v: float32[32, 16]) -> float32[16] {
  %a = exp %x : float32[16]
  %b = matmul %a, %w : float32[32]
  %c = neg %b : float32[32]
  %d = matmul %c, %v : float32[16]
  %y = add %d, %a : float32[16]
  return %y
}
";

#[test]
fn results_take_the_place_of_operands() {
    check(
        CHAIN,
        expect![[r#"
        192 of 192 bytes
        a: Arena(128)
        b: Arena(0)
        c: Arena(0)
        d: Result(0)
        y: Result(0)
    "#]],
    );
}

#[test]
fn strategies_differ() {
    let totals = Strategy::ALL.map(|strategy| shown(&module(CHAIN), strategy).lines().next().unwrap().to_string());
    assert_eq!(totals, ["384 of 320 bytes", "192 of 192 bytes", "192 of 192 bytes"]);
}

#[test]
fn carried_values_have_one_place() {
    check(
        "func @f(%x: float32[n], %count: int64) -> float32[n] {
  symbols n: int
  %zero = const int64 [0] : int64
  %a = exp %x : float32[n]
  %b = sin %x : float32[n]
  %last, %other, %n = for k (%k: int64, %p: float32[n], %q: float32[n], %s: int64) in %zero, %count, %a, %b, %zero {
    %t = add %s, %k : int64
    %u = mul %p, %q : float32[n]
    yield %q, %u, %t
  } : float32[n], float32[n], int64
  %y = add %last, %other : float32[n]
  return %y
}
",
        expect![[r#"
            64 of 64 bytes
            a: Arena(0)
            b: Result(0)
            p: Arena(0)
            q: Result(0)
            u: Arena(0)
            last: Arena(0)
            other: Result(0)
            n: s
            y: Result(0)
            5: s = t
            5: q <-> u
            6: s = zero
        "#]],
    );
}

#[test]
fn exchanged_values_change_sides() {
    check(
        "func @f(%x: float32[n], %count: int64) -> (float32[n], float32[n]) {
  symbols n: int
  %zero = const int64 [0] : int64
  %a = exp %x : float32[n]
  %b = sin %x : float32[n]
  %last, %other, %m, %n = for k (%k: int64, %p: float32[n], %q: float32[n], %s: int64, %t: int64) in %zero, %count, %a, %b, %zero, %count {
    yield %q, %p, %t, %s
  } : float32[n], float32[n], int64, int64
  return %last, %other
}
",
        expect![[r#"
            0 of 0 bytes
            a: Result(0)
            b: Result(1)
            p: Result(0)
            q: Result(1)
            last: Result(0)
            other: Result(1)
            m: s
            n: t
            3: t <-> s
            3: q <-> p
            4: s = zero
            4: t = count
        "#]],
    );
}

#[test]
fn what_is_collected_is_computed_in_its_part() {
    check(
        "func @f(%x: float32[16]) -> float32[4, 16] {
  %zero = const int64 [0] : int64
  %four = const int64 [4] : int64
  %last, %all, %before = for k (%k: int64, %p: float32[16]) in %zero, %four, %x {
    %u = exp %p : float32[16]
    %v = sin %u : float32[16]
    yield %u, %v, %p
  } : float32[16], float32[4, 16], float32[4, 16]
  %y = add %all, %before : float32[4, 16]
  return %y
}
",
        expect![[r#"
            384 of 384 bytes
            p: Arena(256)
            u: Arena(320)
            v: part of all
            last: Arena(256)
            all: Result(0)
            before: Arena(0)
            y: Result(0)
            4: before[turn] = p
            4: p = u
            5: p = x
        "#]],
    );
}

#[test]
fn branches_write_where_the_result_is() {
    check(
        "func @f(%x: float32[16], %c: bool) -> float32[16] {
  %a = exp %x : float32[16]
  %r = if %c {
    %b = matmul %a, %a : float32
    %t = mul %a, %b : float32[16]
    yield %t
  } else {
    yield %x
  } : float32[16]
  %y = matmul %r, %r : float32
  %z = mul %r, %y : float32[16]
  %w = add %z, %r : float32[16]
  return %w
}
",
        expect![[r#"
            64 of 64 bytes
            a: Arena(0)
            t: Arena(0)
            r: Arena(0)
            z: Result(0)
            w: Result(0)
            4: r = x
        "#]],
    );
}

#[test]
fn conditions_of_while_see_what_is_carried() {
    check(
        "func @f(%x: float32[n]) -> float32[n] {
  symbols n: int
  %last = while (%a: float32[n]) in %x {
    %m = exp %a : float32[n]
    %s = sum %m {axis = none, keepdim = false} : float32
    %zero = const float32 [0.0] : float32
    %go = gt %s, %zero : bool
    yield %go
  } do (%b: float32[n]) {
    %c = neg %b : float32[n]
    %d = cumsum %c {axis = 0} : float32[n]
    yield %d
  } : float32[n]
  %y = exp %last : float32[n]
  return %y
}
",
        expect![[r#"
            64 of 64 bytes
            a: Result(0)
            m: Arena(0)
            b: Result(0)
            c: Arena(0)
            d: Result(0)
            last: Result(0)
            y: Result(0)
            8: a = x
        "#]],
    );
}

#[test]
fn other_looks_live_as_long_as_what_they_look_at() {
    check(
        "func @f(%x: float32[4, 16]) -> (float32[16, 4], float32[64]) {
  %a = exp %x : float32[4, 16]
  %b = reshape %a {shape = (16, 4)} : float32[16, 4]
  %c = sin %a : float32[4, 16]
  %d = reshape %c {shape = (64,)} : float32[64]
  %e = exp %b : float32[16, 4]
  return %e, %d
}
",
        expect![[r#"
            0 of 0 bytes
            a: Result(0)
            b: Result(0)
            c: Result(1)
            d: Result(1)
            e: Result(0)
        "#]],
    );
}

/// Lets the result of a product take the place of its first factor, whose size is the same only at its bound.
struct Bounded(PlainMemory);

impl Memory for Bounded {
    fn bytes(&self, value: ValueId) -> Option<usize> {
        self.0.bytes(value)
    }

    fn alias(&self, value: ValueId) -> Option<ValueId> {
        self.0.alias(value)
    }

    fn reuses(&self, inst: InstId) -> Vec<(ValueId, ValueId)> {
        if inst == InstId(1) { vec![(ValueId(3), ValueId(2))] } else { self.0.reuses(inst) }
    }

    fn scratch(&self, inst: InstId) -> usize {
        self.0.scratch(inst)
    }
}

#[test]
fn what_a_run_makes_smaller_is_not_computed_in_the_callers_memory() {
    let module = module(
        "func @f(%x: float32[16], %w: float32[16, n]) -> float32[n] {
  symbols n: int
  %a = exp %x : float32[16]
  %b = matmul %a, %w : float32[n]
  return %b
}
",
    );
    let function = &module.functions[0];
    let memory = Bounded(PlainMemory::of(&module, function, &sizes(function), Strategy::Greedy).unwrap());
    assert_eq!(memory.reuses(InstId(1)), [(ValueId(3), ValueId(2))]);
    let plan = plan(function, &memory, Strategy::Greedy);
    assert_eq!((plan.place(ValueId(2)), plan.place(ValueId(3))), (Place::Arena(0), Place::Result(0)));
}

#[test]
fn kernels_write_over_what_they_read_at_its_place_only() {
    let text = "func @f(%x: float32[16], %w: float32[16, 16]) -> float32 {
  %a = exp %x : float32[16]
  %b = sin %x : float32[16]
  %c = fused (%p: float32[16], %q: float32[16, 16], %r: float32[16]) in %a, %w, %b {
    %0 = matmul %p, %q : float32[16]
    %1 = add %0, %r : float32[16]
    yield %1
  } : float32[16]
  %s = sum %c {axis = none, keepdim = false} : float32
  return %s
}
";
    check(
        text,
        expect![[r#"
            128 of 128 bytes
            a: Arena(0)
            b: Arena(64)
            c: Arena(64)
            7: result 0 = s
        "#]],
    );
}

#[test]
fn a_call_needs_the_frame_of_its_callee() {
    check(
        "func @g(%x: float32[n]) -> float32[n] {
  symbols n: int
  %a = exp %x : float32[n]
  %b = cumsum %a {axis = 0} : float32[n]
  %c = call @f(%b) {m = n} : float32[n]
  return %c
}
func @f(%x: float32[m]) -> float32[m] {
  symbols m: int
  %a = exp %x : float32[m]
  %b = cumsum %a {axis = 0} : float32[m]
  return %b
}
",
        expect![[r#"
            128 of 128 bytes
            a: Arena(0)
            b: Arena(64)
            c: Result(0)
        "#]],
    );
}

#[test]
fn unknown_sizes_are_told() {
    let module = module(
        "func @f(%x: float32[n]) -> float32[n] {\n  symbols n: int\n  %y = exp %x : float32[n]\n  return %y\n}\n",
    );
    let unknown = PlainMemory::of(&module, &module.functions[0], &Sizes::new(), Strategy::Greedy).err().unwrap();
    assert_eq!((unknown.function.as_str(), unknown.ty.as_str()), ("f", "float32[n]"));
}

#[test]
fn wrong_plans_are_found() {
    let module = module(CHAIN);
    let function = &module.functions[0];
    let memory = PlainMemory::of(&module, function, &Sizes::new(), Strategy::Greedy).unwrap();
    let plan = plan(function, &memory, Strategy::Greedy);
    let place = |name: &str| function.values.iter().position(|value| value.name.as_deref() == Some(name)).unwrap();
    let fault = |wrong: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        wrong(&mut plan);
        verify_plan(function, &memory, &plan).unwrap_err()
    };
    let put = |name: &str, to: Place| {
        let at = place(name);
        fault(&|plan| plan.places[at] = to)
    };
    assert_eq!(put("a", Place::Arena(64)), "instruction 1 writes %b (value 4) over %a (value 3)");
    assert_eq!(put("a", Place::Arena(8)), "%a (value 3) is at 8 of 192 bytes");
    assert_eq!(put("a", Place::Arena(192)), "%a (value 3) is at 192 of 192 bytes");
    assert_eq!(put("c", Place::Arena(64)), "instruction 2 writes %c (value 5) over %b (value 4)");
    assert_eq!(put("d", Place::Arena(128)), "instruction 4 (line 0) finds %d (value 6) where %a (value 3) is to be");
    assert_eq!(put("y", Place::Arena(64)), "instruction 5 (line 0) finds %d (value 6) where %y (value 7) is to be");
}
