//! Passes: verified module in, verified module out. Each stands in one file and says what it needs, what it
//! keeps, and what it changes, with an example.
//!
//! A [`Pipeline`] is a list of passes: those of an [`OptLevel`], or those that somebody names; [`run`] runs
//! it, watched after each pass, and reports what each did. Passes may come from outside the compiler: they
//! implement [`Pass`] (`examples/custom_pass` is a program with one). To add one to the compiler, write its
//! file, a line in [`BUILT_IN`], and, if it belongs to a level, one in `pipeline.rs`.

pub mod activations;
pub mod autodiff;
pub mod copy;
pub mod cse;
pub mod dce;
pub mod decompose;
pub mod effects;
pub mod environments;
pub mod fold;
pub mod fold_batch_norm;
pub mod fold_fake_quant;
pub mod fuse;
pub mod fuse_loops;
pub mod hoist;
pub mod inline;
mod inliner;
mod manager;
mod pass;
mod pipeline;
pub mod plan_memory;
pub mod precision;
pub mod products;
pub mod quantise;
pub mod quantise_fusion;
mod rewrite;
pub mod simplify;
pub mod unfuse;

pub use decompose::decompose;
pub use manager::{PassReport, Stage, instruction_count, run};
pub use pass::{BuiltIn, Keep, Pass, PassCx, PassError};
pub use pipeline::{Form, Mode, OptLevel, Pipeline, Selection, Style, UnknownPass, reference, standard};
pub use unfuse::unfused;

/// The pass that a float model is asked for with.
const FOLD_FAKE_QUANT: &str = "fold-fake-quant";

/// Every pass of the compiler's own.
pub static BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "inline",
        summary: "Put the bodies of methods and functions in the place of their calls.",
        run: inline::inline,
    },
    BuiltIn { name: "fold", summary: "Compute what depends on constants only.", run: fold::fold },
    BuiltIn {
        name: "fold-batch-norm",
        summary: "Fold batch norms, and other scales and shifts of channels, into weights.",
        run: fold_batch_norm::fold_batch_norm,
    },
    BuiltIn { name: "simplify", summary: "Apply the laws of operations.", run: simplify::simplify },
    BuiltIn { name: "cse", summary: "Compute the same thing once.", run: cse::cse },
    BuiltIn { name: "dce", summary: "Remove what nothing uses.", run: dce::dce },
    BuiltIn {
        name: "quantise-fusion",
        summary: "Multiply codes instead of what they stand for; keep codes that would be found again.",
        run: quantise_fusion::quantise_fusion,
    },
    BuiltIn {
        name: FOLD_FAKE_QUANT,
        summary: "Leave out quantising and restoring: a float model. `--fold-fake-quant` runs it first.",
        run: fold_fake_quant::fold_fake_quant,
    },
    BuiltIn {
        name: "hoist",
        summary: "Compute once what depends on weights only, in the layout that products read.",
        run: hoist::hoist,
    },
    BuiltIn {
        name: "fuse-loops",
        summary: "Make one loop of two that turn equally often.",
        run: fuse_loops::fuse_loops,
    },
    BuiltIn { name: "fuse", summary: "Put operations together that one kernel can compute.", run: fuse::fuse },
    BuiltIn {
        name: "decompose",
        summary: "Put the bodies of all free functions in the place of their calls.",
        run: decompose::run,
    },
    BuiltIn {
        name: "unfuse",
        summary: "Put the parts of fused instructions in their place.",
        run: |module, cx| cx.count("expanded", unfuse::expand_fused(module)),
    },
];

/// Passes that may change how a result is rounded; all others keep every bit.
pub const ROUNDING: &[&str] = &["fold-batch-norm", "quantise-fusion"];

#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;
