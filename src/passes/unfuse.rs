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

use crate::ir::{Function, InstId, InstKind, Module, Region, ValueId, Verified, verify};
use crate::passes::copy::compact;
use rustc_hash::FxHashMap;
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
        let mut pass = Unfuse { replaced: FxHashMap::default(), count: 0 };
        let body = std::mem::take(&mut function.body);
        function.body = pass.region(function, body);
        count += pass.count;
        compact(function);
    }
    count
}

fn has_fused(function: &Function) -> bool {
    function.insts.iter().any(|inst| matches!(inst.kind, InstKind::Fused { .. }))
}

struct Unfuse {
    /// Operands for parameters of expanded regions, and what these yield for the results.
    replaced: FxHashMap<ValueId, ValueId>,
    count: usize,
}

impl Unfuse {
    fn region(&mut self, function: &mut Function, region: Region) -> Region {
        let mut kept = vec![];
        for id in region.insts {
            self.rename_operands(function, id);
            let mut kind = std::mem::replace(&mut function[id].kind, InstKind::Yield);
            if let InstKind::Fused { body } = kind {
                self.splice(function, id, body, &mut kept);
                continue;
            }
            for nested in Function::regions_mut(&mut kind) {
                *nested = self.region(function, std::mem::take(nested));
            }
            function[id].kind = kind;
            kept.push(id);
        }
        Region { params: region.params, insts: kept }
    }

    fn splice(&mut self, function: &mut Function, id: InstId, mut body: Region, kept: &mut Vec<InstId>) {
        self.count += 1;
        self.replaced.extend(body.params.iter().copied().zip(function[id].operands.iter().copied()));
        let last = body.insts.pop();
        for inner in body.insts {
            self.rename_operands(function, inner);
            kept.push(inner);
        }
        let Some(last) = last else { return };
        self.rename_operands(function, last);
        for place in 0..function[id].results.len().min(function[last].operands.len()) {
            let (result, value) = (function[id].results[place], function[last].operands[place]);
            if function[value].name.is_none() {
                function[value].name = function[result].name.clone();
            }
            self.replaced.insert(result, value);
        }
    }

    fn rename_operands(&self, function: &mut Function, id: InstId) {
        for operand in &mut function[id].operands {
            *operand = self.replaced.get(operand).copied().unwrap_or(*operand);
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
