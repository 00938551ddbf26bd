//! Puts the bodies of free functions in the place of their calls.
//!
//! Composite operations such as `softmax` are calls of Tri functions until a target declines them.
//!
//! Needs: nothing. Keeps: functions that the predicate accepts, methods, and their signatures; how the rest is done, and
//! which calls stay, is told in `inliner.rs`. Functions that nothing calls any more go, if the module has an entry.
//!
//! ```text
//! func @f(%x: float32[B]) {                          func @f(%x: float32[B]) {
//!   %y = call @twice(%x) {n = B} : float32[B]   =>     %y = add %x, %x : float32[B]
//!   return %y                                          return %y
//! }                                                  }
//! ```

#[cfg(test)]
mod tests;

use crate::ir::{Function, Module, Verified, verify};
use crate::passes::PassCx;
use crate::passes::inliner::inline_calls;

/// Inlines the calls of all free functions that `keep` rejects.
pub fn decompose(module: Verified, keep: &dyn Fn(&Function) -> bool) -> Verified {
    let mut changed = module.clone().into_inner();
    if inline_free(&mut changed, keep) == 0 {
        return module;
    }
    let verified = verify(changed);
    debug_assert!(verified.is_ok(), "decompose broke the module: {:#?}", verified.as_ref().err());
    // A release build goes on with the calls in place, which means the same.
    verified.unwrap_or(module)
}

pub(super) fn run(module: &mut Module, cx: &mut PassCx) {
    let count = inline_free(module, &|_| false);
    cx.count("inlined", count);
}

fn inline_free(module: &mut Module, keep: &dyn Fn(&Function) -> bool) -> usize {
    inline_calls(module, &|site| site.path.is_none() && !keep(site.callee))
}
