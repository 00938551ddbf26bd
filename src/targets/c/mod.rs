//! The target `c`: C11 that needs nothing but libm, allocates nothing and keeps nothing of its own.
//!
//! | in the IR | in C |
//! | --- | --- |
//! | what the entry holds | nested structs of pointers, `weights->blocks[2].attn.q.weight` ([`model`]) |
//! | function, with numbers put in | a procedure, `static void block_forward(w, frame, x, y, B)` ([`specialise`], [`body`]) |
//! | operation or fused region | a function of its own, equal ones one ([`kernel`]) |
//! | tensor | a pointer to elements one behind the other, in the arena or where the caller wants it ([`places`]) |
//! | number | a variable |
//! | state | the beginning of the arena |
//! | exported method | `int NAME_METHOD(weights, inputs, outputs, arena)` ([`entry`], [`public`]) |
//! | products of vectors | tiles, plain C or intrinsics, and a program that chooses among builds of them ([`simd`]) |
//! | parameters | a file with a checked header, or an array ([`layout`]) |
//!
//! Sizes that a run brings have bounds ([`bounds`]), so that memory is planned when the program is compiled.

mod body;
pub mod bounds;
mod calls;
mod conditions;
pub mod entry;
mod example;
mod file;
mod flow;
pub mod kernel;
pub mod layout;
mod lines;
mod model;
mod numbers;
mod places;
mod public;
mod setup;
pub mod simd;
mod specialise;
pub mod text;
mod unit;
mod used;

use crate::ir::{Module, Verified};
use crate::ops::OpId;
use crate::targets::c::layout::Layout;
use crate::targets::c::simd::Tiles;
use crate::targets::table::Table;
use crate::targets::templates::Skeletons;
use crate::targets::{
    Artifact, Capabilities, EmitOptions, Mode, Runner, Style, Support, Target, TargetError, Templates, Writer, held,
};
use crate::types::{DType, Tensor};
use std::collections::BTreeMap;

pub struct C;

impl Target for C {
    fn name(&self) -> &'static str {
        "c"
    }

    fn description(&self) -> &'static str {
        "C11 without allocation, for any machine: a header, a source file, and the weights"
    }

    fn files(&self) -> &'static str {
        "NAME.h, NAME.c, NAME_kernels.h, NAME_dispatch.c, NAME_weights.c or NAME.weights, Makefile, example.c"
    }

    fn packages(&self) -> &'static [&'static str] {
        &[]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            style: Style::Kernels,
            dtypes: &DType::ALL,
            control_flow: true,
            dynamic_dims: true,
            gradients: false,
            state: true,
            fused: true,
        }
    }

    fn holds_weights(&self) -> bool {
        true
    }

    fn plans_memory(&self) -> bool {
        true
    }

    fn has_vectors(&self) -> bool {
        true
    }

    fn runner(&self) -> Option<Runner> {
        Some(Runner::C)
    }

    fn writer(&self, templates: &Templates) -> Result<Box<dyn Writer>, Vec<TargetError>> {
        let table = Table::load(templates, "c")?;
        // Tiles are C as it is, not skeletons.
        let skeletons =
            ["Makefile", "dispatch.c", "example.c", "helpers/", "kernels.h", "model."].map(|name| format!("c/{name}"));
        let skeletons = templates.skeletons(&skeletons.each_ref().map(String::as_str))?;
        let names = library_names(templates).map_err(|error| vec![error])?;
        let tiles = Tiles::load(templates).map_err(|error| vec![error])?;
        Ok(Box::new(CWriter { table, skeletons, tiles, names }))
    }
}

/// What helpers and tiles are called.
fn library_names(templates: &Templates) -> Result<Vec<String>, TargetError> {
    let mut names = vec![];
    for name in templates.names("c/helpers/") {
        names.extend(functions_of(&templates.get(name)?.text));
    }
    names.extend(Tiles::load(templates)?.names());
    Ok(names)
}

/// What all files are written with.
struct CWriter {
    table: Table,
    skeletons: Skeletons,
    tiles: Tiles,
    /// Names that helpers and tiles define.
    names: Vec<String>,
}

/// The functions that a helper file defines: `static inline float dot(const float *x, ...`.
fn functions_of(text: &str) -> impl Iterator<Item = String> {
    let heads =
        text.lines().filter_map(|line| line.strip_prefix("static inline ")?.split_once('(').map(|(head, _)| head));
    heads.filter_map(|head| Some(head.rsplit([' ', '*']).next()?.to_string()))
}

impl Writer for CWriter {
    fn write(&self, module: &Verified, options: &EmitOptions) -> Result<Vec<Artifact>, Vec<TargetError>> {
        file::write(module, options, self)
    }

    fn operation(&self, op: OpId) -> Support {
        if kernel::is_written(&self.table, op) { Support::Native } else { Support::Refused }
    }
}

/// The weights file of a program with these tensors, which are called and packed as in a weights file for inference.
pub fn weights_file(module: &Module, mode: Mode, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>, String> {
    let contents = held::held(module)?;
    Layout::new(&contents, mode).encode(tensors)
}
