//! Applies the laws of operations ([`crate::ops::simplify`]) until none fits.
//!
//! Needs: nothing; after `fold` there are more constants for laws to see. Keeps: results, to the last bit,
//! and effects. What a law leaves unused stays for `dce`: somebody else may use it.
//!
//! ```text
//! %0 = permute %x {axes = (1, 0)} : float32[m, n]
//! %1 = permute %0 {axes = (1, 0)} : float32[n, m]      =>      %2 = exp %x : float32[n, m]
//! %2 = exp %1 : float32[n, m]
//! ```

use crate::ir::{Function, InstId, InstKind, Module, ValueId};
use crate::ops::simplify::{Made, Operand, Program, Simpler, simplify as apply};
use crate::passes::PassCx;
use crate::passes::copy::compact;
use crate::passes::rewrite::{Rewrite, Seen};
use crate::types::{Tensor, TensorType};
use rustc_hash::FxHashMap;

/// No chain of laws is longer; they all make programs smaller, so this is never reached.
const MAX_STEPS: usize = 64;

pub(super) fn simplify(module: &mut Module, cx: &mut PassCx) {
    for function in &mut module.functions {
        let mut pass = Simplify::default();
        pass.function(function);
        cx.count("simplified", pass.applied);
        if pass.applied > 0 {
            compact(function);
        }
    }
}

#[derive(Default)]
struct Simplify {
    seen: Seen,
    applied: usize,
}

impl Rewrite for Simplify {
    fn seen(&mut self) -> &mut Seen {
        &mut self.seen
    }

    fn inst(&mut self, function: &mut Function, id: InstId, kept: &mut Vec<InstId>) {
        if !self.is_replaced(function, id) {
            kept.push(id);
        }
    }
}

impl Simplify {
    /// Rewrites the instruction as far as laws go; true if a value that is there already stands for it.
    fn is_replaced(&mut self, function: &mut Function, id: InstId) -> bool {
        for _ in 0..MAX_STEPS {
            let [result] = function[id].results[..] else { return false };
            let view = View { function, makers: &self.seen.makers };
            let Some(simpler) = view.made(id).and_then(|made| apply(&view, made, &function[result].ty)) else {
                return false;
            };
            self.applied += 1;
            match simpler {
                Simpler::Value(Operand(value)) => {
                    self.seen.replaced.put(function, result, ValueId(value));
                    return true;
                }
                Simpler::Op { op, attrs, operands } => {
                    let inst = &mut function[id];
                    inst.kind = InstKind::Op { op, attrs };
                    inst.operands = operands.into_iter().map(|Operand(value)| ValueId(value)).collect();
                }
            }
        }
        false
    }
}

/// A function, as laws see it.
struct View<'a> {
    function: &'a Function,
    makers: &'a FxHashMap<ValueId, InstId>,
}

impl<'a> View<'a> {
    fn made(&self, id: InstId) -> Option<Made<'a>> {
        let inst = &self.function[id];
        let InstKind::Op { op, attrs } = &inst.kind else { return None };
        Some(Made { op: *op, attrs, operands: inst.operands.iter().map(|operand| Operand(operand.0)).collect() })
    }

    fn maker(&self, value: Operand) -> Option<InstId> {
        let id = *self.makers.get(&ValueId(value.0))?;
        (self.function[id].results.len() == 1).then_some(id)
    }
}

impl Program for View<'_> {
    fn ty(&self, value: Operand) -> &TensorType {
        &self.function[ValueId(value.0)].ty
    }

    fn made_by(&self, value: Operand) -> Option<Made<'_>> {
        self.made(self.maker(value)?)
    }

    fn constant(&self, value: Operand) -> Option<&Tensor> {
        match &self.function[self.maker(value)?].kind {
            InstKind::Const(tensor) => Some(tensor),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::passes::testkit::check;
    use expect_test::expect;

    #[test]
    fn identities_of_arithmetic() {
        check(
            &["simplify", "dce"],
            "func @f(%x: float32[n, 2], %i: int32[n], %c: bool[n, 2]) -> (float32[n, 2], int32[n], float32[n, 2], float32[n, 2], bool[n, 2]) {
  symbols n: int
  %one = const float32 [1.0] : float32
  %zero = const float32 [0.0] : float32
  %none = const int32 [0] : int32
  %a = mul %x, %one : float32[n, 2]
  %b = div %a, %one : float32[n, 2]
  %c1 = sub %b, %zero : float32[n, 2]
  %j = add %none, %i : int32[n]
  %n1 = neg %x : float32[n, 2]
  %n2 = neg %n1 : float32[n, 2]
  %d = sub %c1, %n1 : float32[n, 2]
  %e = abs %n1 : float32[n, 2]
  %g = abs %e : float32[n, 2]
  %h = where %c, %g, %g : float32[n, 2]
  %k = add %d, %n1 : float32[n, 2]
  %eq = eq %x, %zero : bool[n, 2]
  %ne = bit_not %eq : bool[n, 2]
  %back = bit_not %ne : bool[n, 2]
  %m = mul %n1, %n1 : float32[n, 2]
  %o = maximum %n2, %n2 : float32[n, 2]
  %p = add %o, %m : float32[n, 2]
  return %k, %j, %h, %p, %ne
}
",
            expect![[r#"
                func @f(%x: float32[n, 2], %i: int32[n], %c: bool[n, 2]) -> (float32[n, 2], int32[n], float32[n, 2], float32[n, 2], bool[n, 2]) {
                  symbols n: int
                  %zero = const float32 [0.0] : float32
                  %d = add %x, %x : float32[n, 2]
                  %e = abs %x : float32[n, 2]
                  %k = sub %d, %x : float32[n, 2]
                  %ne = ne %x, %zero : bool[n, 2]
                  %m = mul %x, %x : float32[n, 2]
                  %p = add %x, %m : float32[n, 2]
                  return %k, %i, %e, %p, %ne
                }
            "#]],
        );
    }

    #[test]
    fn what_only_looks_like_an_identity_stays() {
        check(
            &["simplify", "dce"],
            "func @f(%x: float32[n], %b: float32, %i: int32[n], %k: int16[n]) -> (float32[n], float32[2, n], float32[n], int8[n], float32[n]) {
  symbols n: int
  %zero = const float32 [0.0] : float32
  %ones = const float32[2, 1] [1.0, 1.0] : float32[2, 1]
  %0 = add %x, %zero : float32[n]
  %1 = mul %x, %ones : float32[2, n]
  %2 = cast %i {dtype = float32} : float32[n]
  %w = cast %k {dtype = float32} : float32[n]
  %s = cast %w {dtype = int8} : int8[n]
  %3 = sub %zero, %x : float32[n]
  %4 = floor_div %x, %b : float32[n]
  %5 = add %3, %4 : float32[n]
  return %0, %1, %2, %s, %5
}
",
            expect![[r#"
                func @f(%x: float32[n], %b: float32, %i: int32[n], %k: int16[n]) -> (float32[n], float32[2, n], float32[n], int8[n], float32[n]) {
                  symbols n: int
                  %zero = const float32 [0.0] : float32
                  %ones = const float32[2, 1] splat 1.0 : float32[2, 1]
                  %0 = add %x, %zero : float32[n]
                  %1 = mul %x, %ones : float32[2, n]
                  %2 = cast %i {dtype = float32} : float32[n]
                  %w = cast %k {dtype = float32} : float32[n]
                  %s = cast %w {dtype = int8} : int8[n]
                  %3 = sub %zero, %x : float32[n]
                  %4 = floor_div %x, %b : float32[n]
                  %5 = add %3, %4 : float32[n]
                  return %0, %1, %2, %s, %5
                }
            "#]],
        );
    }

    #[test]
    fn chains_of_shapes_and_conversions() {
        check(
            &["simplify", "dce"],
            "func @f(%x: float32[n, m, 2], %h: float16[n], %i: int8[n]) -> (float32[n, m, 2], float32[2, m, n], float32[m * n, 2], float32[n, m, 2], float16[n], int64[n], float32[4, n, m, 2]) {
  symbols n: int, m: int
  %0 = permute %x {axes = (2, 0, 1)} : float32[2, n, m]
  %1 = permute %0 {axes = (1, 2, 0)} : float32[n, m, 2]
  %2 = transpose %x {axis0 = 0, axis1 = -1} : float32[2, m, n]
  %3 = transpose %2 {axis0 = 1, axis1 = 2} : float32[2, n, m]
  %4 = permute %3 {axes = (0, 2, 1)} : float32[2, m, n]
  %5 = reshape %x {shape = [n * m, 2]} : float32[m * n, 2]
  %6 = unsqueeze %5 {axis = 0} : float32[1, m * n, 2]
  %7 = squeeze %6 {axis = (0)} : float32[m * n, 2]
  %8 = reshape %7 {shape = [n * m * 2]} : float32[2 * m * n]
  %9 = reshape %8 {shape = [n, m, 2]} : float32[n, m, 2]
  %10 = exp %9 : float32[n, m, 2]
  %11 = cast %h {dtype = float32} : float32[n]
  %12 = cast %11 {dtype = float16} : float16[n]
  %13 = cast %i {dtype = int32} : int32[n]
  %14 = cast %13 {dtype = int64} : int64[n]
  %15 = broadcast_to %x {shape = [1, n, m, 2]} : float32[1, n, m, 2]
  %16 = broadcast_to %15 {shape = [4, n, m, 2]} : float32[4, n, m, 2]
  %17 = flip %10 {axes = (0)} : float32[n, m, 2]
  %18 = flip %17 {axes = (0)} : float32[n, m, 2]
  return %1, %4, %7, %18, %12, %14, %16
}
",
            expect![[r#"
                func @f(%x: float32[n, m, 2], %h: float16[n], %i: int8[n]) -> (float32[n, m, 2], float32[2, m, n], float32[m * n, 2], float32[n, m, 2], float16[n], int64[n], float32[4, n, m, 2]) {
                  symbols n: int, m: int
                  %0 = permute %x {axes = (2, 1, 0)} : float32[2, m, n]
                  %1 = reshape %x {shape = [m * n, 2]} : float32[m * n, 2]
                  %2 = exp %x : float32[n, m, 2]
                  %3 = cast %i {dtype = int64} : int64[n]
                  %4 = broadcast_to %x {shape = [4, n, m, 2]} : float32[4, n, m, 2]
                  return %x, %0, %1, %2, %h, %3, %4
                }
            "#]],
        );
    }

    #[test]
    fn products_take_transpositions_in() {
        check(
            &["simplify", "dce"],
            "func @f(%x: float32[4, n], %w: float32[m, n], %v: float32[2, 4, n], %r: float32[n]) -> (float32[4, m], float32[2, n, m], float32[n, m], float32[m], float32[4, m], float32[2, n, 2]) {
  symbols n: int, m: int
  %t = permute %w {axes = (1, 0)} : float32[n, m]
  %a = matmul %x, %t : float32[4, m]
  %vt = transpose %v {axis0 = -1, axis1 = 1} : float32[2, n, 4]
  %b = matmul %vt, %a : float32[2, n, m]
  %xt = permute %x {axes = (-1, 0)} : float32[n, 4]
  %at = permute %a {axes = (1, 0)} : float32[m, 4]
  %c = matmul %xt, %at {transpose_b = true} : float32[n, m]
  %d = matmul %r, %t : float32[m]
  %wt = permute %t {axes = (1, 0)} : float32[m, n]
  %e = matmul %x, %wt {transpose_b = true} : float32[4, m]
  %front = permute %v {axes = (1, 2, 0)} : float32[4, n, 2]
  %cut = slice %front {axis = 0, start = 0, stop = 2, step = 1} : float32[2, n, 2]
  %back = permute %cut {axes = (2, 0, 1)} : float32[2, 2, n]
  %last = permute %back {axes = (0, 2, 1)} : float32[2, n, 2]
  %g = matmul %vt, %vt {transpose_b = true} : float32[2, n, n]
  %h = matmul %g, %last : float32[2, n, 2]
  return %a, %b, %c, %d, %e, %h
}
",
            expect![[r#"
                func @f(%x: float32[4, n], %w: float32[m, n], %v: float32[2, 4, n], %r: float32[n]) -> (float32[4, m], float32[2, n, m], float32[n, m], float32[m], float32[4, m], float32[2, n, 2]) {
                  symbols n: int, m: int
                  %a = matmul %x, %w {transpose_b = true} : float32[4, m]
                  %b = matmul %v, %a {transpose_a = true} : float32[2, n, m]
                  %c = matmul %x, %a {transpose_a = true} : float32[n, m]
                  %d = matmul %r, %w {transpose_b = true} : float32[m]
                  %e = matmul %x, %w {transpose_b = true} : float32[4, m]
                  %front = permute %v {axes = (1, 2, 0)} : float32[4, n, 2]
                  %cut = slice %front {axis = 0, start = 0, stop = 2, step = 1} : float32[2, n, 2]
                  %last = permute %cut {axes = (2, 1, 0)} : float32[2, n, 2]
                  %g = matmul %v, %v {transpose_a = true} : float32[2, n, n]
                  %h = matmul %g, %last : float32[2, n, 2]
                  return %a, %b, %c, %d, %e, %h
                }
            "#]],
        );
    }

    #[test]
    fn laws_reach_into_regions() {
        check(
            &["simplify", "dce"],
            "func @f(%x: float32[n, 2], %c: bool) -> float32[2, n] {
  symbols n: int
  %one = const float32 [1.0] : float32
  %t = permute %x {axes = (1, 0)} : float32[2, n]
  %y = if %c {
    %a = permute %t {axes = (1, 0)} : float32[n, 2]
    %b = mul %a, %one : float32[n, 2]
    %e = permute %b {axes = (1, 0)} : float32[2, n]
    yield %e
  } else {
    yield %t
  } : float32[2, n]
  return %y
}
",
            expect![[r#"
                func @f(%x: float32[n, 2], %c: bool) -> float32[2, n] {
                  symbols n: int
                  %t = permute %x {axes = (1, 0)} : float32[2, n]
                  %y = if %c {
                    %e = permute %x {axes = (1, 0)} : float32[2, n]
                    yield %e
                  } else {
                    yield %t
                  } : float32[2, n]
                  return %y
                }
            "#]],
        );
    }
}
