//! Puts the bodies of methods and free functions in the place of their calls, so that what layers compute stands in one
//! function: what fuses operations, or joins those of several layers, comes after this.
//!
//! Needs: nothing. Keeps: every number, those drawn at random among them, effects and their order, signatures, layers
//! and their members. Calls of functions that the target writes in a form of its own stay ([`PassCx::keeps`]), and so do
//! calls of sublayers under `@checkpoint`, whose values are computed again for gradients; how the rest is done, and which
//! other calls stay, is told in `inliner.rs`. Functions that nothing calls any more go, if the module has an entry.
//!
//! ```text
//! func @Net.forward(%x: float32[B, dim]) {                func @Net.forward(%x: float32[B, dim]) {
//!   symbols B: int                                          symbols B: int
//!   %y = call @Scale.forward(%x)                       =>   %w = param "scale.weight" : float32[dim]
//!     at self.scale {B = B} : float32[B, dim]               %y = mul %x, %w : float32[B, dim]
//!   return %y                                               return %y
//! }                                                       }
//! ```

use crate::ir::{Module, PathSegment};
use crate::passes::PassCx;
use crate::passes::inliner::{Site, inline_calls};

pub(super) fn inline(module: &mut Module, cx: &mut PassCx) {
    let wanted = |site: &Site<'_>| !cx.keeps(site.callee) && !is_checkpointed(site);
    let count = inline_calls(module, &wanted);
    cx.count("calls", count);
}

/// Whether a member on the way to the callee's instance is computed again for gradients.
fn is_checkpointed(site: &Site<'_>) -> bool {
    let (Some(layer), Some(path)) = (site.caller.layer, site.path) else { return false };
    path.iter().enumerate().any(|(position, segment)| {
        let PathSegment::Field(name) = segment else { return false };
        let around = site.module.instance_at(layer, &path[..position]);
        around.is_ok_and(|(layer, _)| site.module[layer].member(name).is_some_and(|member| member.checkpoint))
    })
}

#[cfg(test)]
mod tests {
    use crate::passes::testkit::{check, execute, module, optimised};
    use crate::passes::{Pipeline, inliner, run};
    use expect_test::expect;
    use std::sync::Arc;

    /// Layers in a layer: state, random numbers, an own method, a list walked by a loop, a part that is computed again.
    const NET: &str = r#"entry net = Net(dim = 2)

layer Noise(width: int) {
  require width >= 1 : "too narrow"
  state count : float32 = zeros()
  state sums : float32[width] = zeros()
  param weight : float32[width] = normal(0.0, 1.0)
  method @Noise.forward
}

layer Pair(dim: int) {
  require dim % 2 == 0 : "dim must be even"
  let left = Noise(width = dim)
  let both = [Noise(width = dim), Noise(width = dim)]
  method @Pair.forward
  method @Pair.last
}

layer Net(dim: int) {
  let pair = Pair(dim = dim)
  let again = Noise(width = dim) checkpoint
  let blocks = repeat i < 2 : Noise(width = dim)
  method @Net.forward
}

func @Net.forward(%x: float32[B, dim]) -> (float32[B, dim], float32[dim], float32) {
  symbols B: int
  exported
  %before = param "pair.left.sums" : float32[dim]
  %a = call @Pair.forward(%x) at self.pair {B = B} : float32[B, dim]
  %b = call @Pair.forward(%a) at self.pair {B = B} : float32[B, dim]
  %c = call @Noise.forward(%b) at self.again {B = B} : float32[B, dim]
  %zero = const int64 [0] : int64
  %two = const int64 [2] : int64
  %d = for i (%i: int64, %acc: float32[B, dim]) in %zero, %two, %c {
    %e = call @Noise.forward(%acc) at self.blocks[i] {B = B} : float32[B, dim]
    yield %e
  } : float32[B, dim]
  %after = param "pair.left.sums" : float32[dim]
  %change = sub %after, %before : float32[dim]
  %count = param "pair.both.1.count" : float32
  return %d, %change, %count
}

func @Pair.forward(%x: float32[B, dim]) -> float32[B, dim] {
  symbols B: int
  %0 = call @Noise.forward(%x) at self.left {B = B} : float32[B, dim]
  %1 = call @Pair.last(%0) at self {n = B} : float32[B, dim]
  return %1
}

func @Pair.last(%x: float32[n, dim]) -> float32[n, dim] {
  symbols n: int
  %y = call @Noise.forward(%x) at self.both[1] {B = n} : float32[n, dim]
  return %y
}

func @Noise.forward(%x: float32[B, width]) -> float32[B, width] {
  symbols B: int
  %w = param "weight" : float32[width]
  %seed = call @draw() : int64
  %own = rng 4 : int64
  %n = random_normal %seed {shape = [B, width], mean = 0.0, std = 1.0, dtype = float32} : float32[B, width]
  %m = random_normal %own {shape = [B, width], mean = 0.0, std = 1.0, dtype = float32} : float32[B, width]
  %nm = add %n, %m : float32[B, width]
  %y0 = mul %x, %w : float32[B, width]
  %y = add %y0, %nm : float32[B, width]
  %old = param "count" : float32
  %one = const float32 [1.0] : float32
  %new = add %old, %one : float32
  set_state "count" %new
  %zero = const int64 [0] : int64
  %first = mean %y {axis = (0), keepdim = false} : float32[width]
  set_slice "sums" [0 : width] %first, %zero
  return %y
}

func @draw() -> int64 {
  %0 = rng 9 : int64
  return %0
}
"#;

    #[test]
    fn methods_stand_in_the_place_of_their_calls() {
        check(
            &["inline"],
            NET,
            expect![[r#"
            entry net = Net(dim = 2)

            layer Noise(width: int) {
              require width >= 1 : "too narrow"
              state count : float32 = zeros()
              state sums : float32[width] = zeros()
              param weight : float32[width] = normal(0.0, 1.0)
              method @Noise.forward
            }

            layer Pair(dim: int) {
              require dim % 2 == 0 : "dim must be even"
              let left = Noise(width = dim)
              let both = [Noise(width = dim), Noise(width = dim)]
            }

            layer Net(dim: int) {
              let pair = Pair(dim = dim)
              let again = Noise(width = dim) checkpoint
              let blocks = repeat i < 2 : Noise(width = dim)
              method @Net.forward
            }

            func @Net.forward(%x: float32[B, dim]) -> (float32[B, dim], float32[dim], float32) {
              symbols B: int
              exported
              require dim % 2 == 0 : "dim must be even"
              require dim >= 1 : "too narrow"
              %before = param "pair.left.sums" : float32[dim]
              %w = param "pair.left.weight" : float32[dim]
              %seed = rng 9 "pair.left" : int64
              %own = rng 4 "pair.left" : int64
              %n = random_normal %seed {shape = [B, dim], mean = 0.0, std = 1.0, dtype = float32} : float32[B, dim]
              %m = random_normal %own {shape = [B, dim], mean = 0.0, std = 1.0, dtype = float32} : float32[B, dim]
              %nm = add %n, %m : float32[B, dim]
              %y0 = mul %x, %w : float32[B, dim]
              %y = add %y0, %nm : float32[B, dim]
              %old = param "pair.left.count" : float32
              %one = const float32 [1.0] : float32
              %new = add %old, %one : float32
              set_state "pair.left.count" %new
              %zero = const int64 [0] : int64
              %first = mean %y {axis = (0), keepdim = false} : float32[dim]
              set_slice "pair.left.sums" [0 : dim] %first, %zero
              %w.1 = param "pair.both.1.weight" : float32[dim]
              %seed.1 = rng 9 "pair.both.1" : int64
              %own.1 = rng 4 "pair.both.1" : int64
              %n.1 = random_normal %seed.1 {shape = [B, dim], mean = 0.0, std = 1.0, dtype = float32} : float32[B, dim]
              %m.1 = random_normal %own.1 {shape = [B, dim], mean = 0.0, std = 1.0, dtype = float32} : float32[B, dim]
              %nm.1 = add %n.1, %m.1 : float32[B, dim]
              %y0.1 = mul %y, %w.1 : float32[B, dim]
              %a = add %y0.1, %nm.1 : float32[B, dim]
              %old.1 = param "pair.both.1.count" : float32
              %one.1 = const float32 [1.0] : float32
              %new.1 = add %old.1, %one.1 : float32
              set_state "pair.both.1.count" %new.1
              %zero.1 = const int64 [0] : int64
              %first.1 = mean %a {axis = (0), keepdim = false} : float32[dim]
              set_slice "pair.both.1.sums" [0 : dim] %first.1, %zero.1
              %w.2 = param "pair.left.weight" : float32[dim]
              %seed.2 = rng 9 "pair.left" : int64
              %own.2 = rng 4 "pair.left" : int64
              %n.2 = random_normal %seed.2 {shape = [B, dim], mean = 0.0, std = 1.0, dtype = float32} : float32[B, dim]
              %m.2 = random_normal %own.2 {shape = [B, dim], mean = 0.0, std = 1.0, dtype = float32} : float32[B, dim]
              %nm.2 = add %n.2, %m.2 : float32[B, dim]
              %y0.2 = mul %a, %w.2 : float32[B, dim]
              %y.1 = add %y0.2, %nm.2 : float32[B, dim]
              %old.2 = param "pair.left.count" : float32
              %one.2 = const float32 [1.0] : float32
              %new.2 = add %old.2, %one.2 : float32
              set_state "pair.left.count" %new.2
              %zero.2 = const int64 [0] : int64
              %first.2 = mean %y.1 {axis = (0), keepdim = false} : float32[dim]
              set_slice "pair.left.sums" [0 : dim] %first.2, %zero.2
              %w.3 = param "pair.both.1.weight" : float32[dim]
              %seed.3 = rng 9 "pair.both.1" : int64
              %own.3 = rng 4 "pair.both.1" : int64
              %n.3 = random_normal %seed.3 {shape = [B, dim], mean = 0.0, std = 1.0, dtype = float32} : float32[B, dim]
              %m.3 = random_normal %own.3 {shape = [B, dim], mean = 0.0, std = 1.0, dtype = float32} : float32[B, dim]
              %nm.3 = add %n.3, %m.3 : float32[B, dim]
              %y0.3 = mul %y.1, %w.3 : float32[B, dim]
              %b = add %y0.3, %nm.3 : float32[B, dim]
              %old.3 = param "pair.both.1.count" : float32
              %one.3 = const float32 [1.0] : float32
              %new.3 = add %old.3, %one.3 : float32
              set_state "pair.both.1.count" %new.3
              %zero.3 = const int64 [0] : int64
              %first.3 = mean %b {axis = (0), keepdim = false} : float32[dim]
              set_slice "pair.both.1.sums" [0 : dim] %first.3, %zero.3
              %c = call @Noise.forward(%b) at self.again {B = B} : float32[B, dim]
              %zero.4 = const int64 [0] : int64
              %two = const int64 [2] : int64
              %d = for i (%i: int64, %acc: float32[B, dim]) in %zero.4, %two, %c {
                %e = call @Noise.forward(%acc) at self.blocks[i] {B = B} : float32[B, dim]
                yield %e
              } : float32[B, dim]
              %after = param "pair.left.sums" : float32[dim]
              %change = sub %after, %before : float32[dim]
              %count = param "pair.both.1.count" : float32
              return %d, %change, %count
            }

            func @Noise.forward(%x: float32[B, width]) -> float32[B, width] {
              symbols B: int
              %w = param "weight" : float32[width]
              %seed = rng 9 : int64
              %own = rng 4 : int64
              %n = random_normal %seed {shape = [B, width], mean = 0.0, std = 1.0, dtype = float32} : float32[B, width]
              %m = random_normal %own {shape = [B, width], mean = 0.0, std = 1.0, dtype = float32} : float32[B, width]
              %nm = add %n, %m : float32[B, width]
              %y0 = mul %x, %w : float32[B, width]
              %y = add %y0, %nm : float32[B, width]
              %old = param "count" : float32
              %one = const float32 [1.0] : float32
              %new = add %old, %one : float32
              set_state "count" %new
              %zero = const int64 [0] : int64
              %first = mean %y {axis = (0), keepdim = false} : float32[width]
              set_slice "sums" [0 : width] %first, %zero
              return %y
            }
        "#]],
        );
    }

    #[test]
    fn what_is_shared_afterwards_is_read_once_unless_it_was_changed() {
        let before = module(NET);
        let after = optimised(&before, &["inline", "fold", "simplify", "cse", "dce"]);
        assert_eq!(execute(&before), execute(&after));
        let text = crate::ir::printer::print(&after);
        let reads = |name: &str| text.matches(&format!("param {name:?}")).count();
        assert_eq!([reads("pair.left.weight"), reads("pair.left.sums"), reads("pair.both.1.count")], [1, 2, 3]);
    }

    #[test]
    fn a_function_that_draws_and_stays_a_call_keeps_its_caller() {
        let before = module(NET);
        let pipeline = Pipeline::named(&["inline"]).unwrap().keeping(Arc::new(|function| function.name == "draw"));
        let (after, reports) = run(before.clone(), &pipeline, &mut |_| {}).unwrap();
        assert_eq!(execute(&before), execute(&after));
        assert_eq!(reports[0].to_string(), "inline: calls 3; 36 -> 33 instructions");
    }

    /// Each function calls the one before twice: 2^40 additions, were all of them to stand in one place.
    #[test]
    fn expansion_has_an_end() {
        let mut text = "func @f0(%x: float32) -> float32 {\n  %y = add %x, %x : float32\n  return %y\n}\n".to_string();
        for n in 1..=40 {
            let below = n - 1;
            text += &format!(
                "func @f{n}(%x: float32) -> float32 {{\n  %a = call @f{below}(%x) : float32\n  %b = call @f{below}(%a) : \
                 float32\n  return %b\n}}\n"
            );
        }
        let after = optimised(&module(&text), &["inline"]);
        let longest = after.functions.iter().map(|function| function.insts.len()).max().unwrap();
        assert!((1000..=inliner::MAX_INSTRUCTIONS).contains(&longest), "{longest}");
    }
}
