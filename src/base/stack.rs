//! Deep recursion on any thread.
//!
//! Syntax trees may be a thousand levels deep, and a level costs a walk several kilobytes of stack. Whoever
//! recurses over such a tree goes through [`deep`], which takes more stack where the thread's own runs out,
//! so that the library can be called from threads of any size.

/// What must be left before a step: more than any step takes until the next one that comes through here.
const RESERVE: usize = 256 << 10;
/// What is taken at a time.
const SEGMENT: usize = 4 << 20;

/// Takes one step of a recursion.
pub fn deep<T>(step: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(RESERVE, SEGMENT, step)
}
