//! Puts the parts of fused instructions in their place: for targets without kernels of their own, for gradients, and
//! for who wants to read the program without them.
//!
//! Needs: nothing. Keeps: results, to the last bit, since a fused instruction means what its parts mean one after
//! another.
//!
//! ```text
//! %y = fused (%a: float32[n]) in %x {             %0 = exp %x : float32[n]
//!   %0 = exp %a : float32[n]                 =>   %y = neg %0 : float32[n]
//!   %1 = neg %0 : float32[n]
//!   yield %1
//! } : float32[n]
//! ```

use crate::ir::{Function, InstId, InstKind, Module, Verified, verify};
use crate::passes::copy::compact;
use crate::passes::rewrite::{Rewrite, Seen};
use std::borrow::Cow;

/// The module without fused instructions; itself, where it has none.
pub fn unfused(module: &Verified) -> Cow<'_, Verified> {
    if !module.functions.iter().any(has_fused) {
        return Cow::Borrowed(module);
    }
    let mut changed = module.clone().into_inner();
    expand_fused(&mut changed);
    let verified = verify(changed);
    debug_assert!(verified.is_ok(), "unfuse broke the module: {:#?}", verified.as_ref().err());
    // A release build goes on with the instructions as they are, which a target refuses.
    verified.map_or(Cow::Borrowed(module), Cow::Owned)
}

/// Expands every fused instruction of a module that is verified later; returns how many there were.
pub(super) fn expand_fused(module: &mut Module) -> usize {
    let mut count = 0;
    for function in module.functions.iter_mut().filter(|function| has_fused(function)) {
        let mut pass = Unfuse::default();
        pass.function(function);
        count += pass.count;
        compact(function);
    }
    count
}

fn has_fused(function: &Function) -> bool {
    function.insts.iter().any(|inst| matches!(inst.kind, InstKind::Fused { .. }))
}

#[derive(Default)]
struct Unfuse {
    seen: Seen,
    count: usize,
}

impl Rewrite for Unfuse {
    fn seen(&mut self) -> &mut Seen {
        &mut self.seen
    }

    /// Operands stand for parameters of an expanded region, and what it yields for the results.
    fn inst(&mut self, function: &mut Function, id: InstId, kept: &mut Vec<InstId>) {
        let InstKind::Fused { body } = &function[id].kind else {
            kept.push(id);
            return;
        };
        let mut body = body.clone();
        self.count += 1;
        let replaced = &mut self.seen.replaced;
        for (param, operand) in body.params.into_iter().zip(function[id].operands.clone()) {
            replaced.put_unnamed(param, operand);
        }
        body.insts.iter().for_each(|inner| replaced.rename(function, *inner));
        let Some(last) = body.insts.pop() else { return };
        kept.extend(body.insts);
        let yielded = function[last].operands.clone();
        for (result, value) in function[id].results.clone().into_iter().zip(yielded) {
            replaced.put(function, result, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::passes::testkit::check;
    use expect_test::expect;

    #[test]
    fn parts_stand_in_the_place_of_the_whole() {
        check(
            &["unfuse"],
            "func @f(%x: float32[n], %c: bool) -> (float32[n], float32[n]) {
  symbols n: int
  %y = if %c {
    %a, %b = fused (%p: float32[n]) in %x {
      %0 = exp %p : float32[n]
      %1 = neg %0 : float32[n]
      yield %1, %0
    } : float32[n], float32[n]
    %d = fused (%p1: float32[n], %p2: float32[n]) in %a, %b {
      %k = host n : float32
      %s = add %p1, %p2 : float32[n]
      %2 = mul %s, %k : float32[n]
      yield %2
    } : float32[n]
    yield %d
  } else {
    yield %x
  } : float32[n]
  %one = fused () in {
    %k1 = const float32 [1.0] : float32
    yield %k1
  } : float32
  %z = fused (%p3: float32, %p4: float32[n]) in %one, %y {
    %3 = mul %p4, %p3 : float32[n]
    yield %3
  } : float32[n]
  return %y, %z
}
",
            expect![[r#"
                func @f(%x: float32[n], %c: bool) -> (float32[n], float32[n]) {
                  symbols n: int
                  %y = if %c {
                    %b = exp %x : float32[n]
                    %a = neg %b : float32[n]
                    %k = host n : float32
                    %s = add %a, %b : float32[n]
                    %d = mul %s, %k : float32[n]
                    yield %d
                  } else {
                    yield %x
                  } : float32[n]
                  %k1 = const float32 [1.0] : float32
                  %z = mul %y, %k1 : float32[n]
                  return %y, %z
                }
            "#]],
        );
    }

    /// Passes see into fused regions, and nothing of the outside comes in.
    #[test]
    fn fused_regions_stay_closed_and_shrink() {
        check(
            &["fold", "simplify", "cse", "dce"],
            "func @f(%x: float32[n], %w: float32[n]) -> (float32[n], float32) {
  symbols n: int
  %one = const float32 [1.0] : float32
  %e = exp %x : float32[n]
  %y, %z, %u = fused (%a: float32[n], %b: float32[n], %c: float32[n]) in %x, %w, %e {
    %two = const float32 [2.0] : float32
    %three = const float32 [3.0] : float32
    %0 = mul %two, %three : float32
    %one.1 = const float32 [1.0] : float32
    %1 = mul %a, %one.1 : float32[n]
    %2 = exp %1 : float32[n]
    %3 = exp %1 : float32[n]
    %4 = add %2, %3 : float32[n]
    %5 = mul %4, %0 : float32[n]
    %6 = neg %c : float32[n]
    %7 = sin %b : float32[n]
    yield %5, %7, %6
  } : float32[n], float32[n], float32[n]
  return %y, %one
}
",
            expect![[r#"
                func @f(%x: float32[n], %w: float32[n]) -> (float32[n], float32) {
                  symbols n: int
                  %one = const float32 [1.0] : float32
                  %y = fused (%a: float32[n]) in %x {
                    %0 = const float32 [6.0] : float32
                    %1 = exp %a : float32[n]
                    %2 = add %1, %1 : float32[n]
                    %3 = mul %2, %0 : float32[n]
                    yield %3
                  } : float32[n]
                  return %y, %one
                }
            "#]],
        );
    }
}
