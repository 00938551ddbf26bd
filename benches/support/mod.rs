//! Programs to measure with, and how.

#![allow(unused_imports, reason = "each bench uses a part")]

mod measure;
mod programs;

pub use measure::*;
pub use programs::*;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
