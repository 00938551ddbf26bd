//! Programs as functions over dictionaries: what the targets have in common whose layers are no classes.
//!
//! | in the IR | in Python |
//! | --- | --- |
//! | method of a layer | `block_forward(p, x)`: `p` is what the instance holds, nested dicts and lists |
//! | hyperparameter | an argument, unless a shape gives it |
//! | storage | `p["attn"]["weight"]`; with a scheme and `--mode infer` a dict of `codes`, `scale` and `zero_point` |
//! | constant or derived member | a call of the function that computes it |
//! | assignment to state | `p["count"] = ...`, in a dict that is the call's own |
//! | exported method | `forward(inputs, params)`, a dict of results |
//!
//! The way: [`close`] makes arguments of hyperparameters, `pycode` writes the functions, [`held`] lists what the entry's
//! instance holds, and [`file`] puts what is called from outside ([`entry`], [`backward`]) below.

mod backward;
mod close;
mod entry;
mod file;
mod held;

use crate::ir::{Function, Verified};
use crate::ops::OpId;
use crate::passes;
use crate::targets::pycode::Dialect;
use crate::targets::pycode::helpers::{Library as Renderings, SHARED};
use crate::targets::pytext::Py;
use crate::targets::table::Table;
use crate::targets::templates::Skeletons;
use crate::targets::{Artifact, EmitOptions, Support, TargetError, Templates, Writer};
use crate::types::DType;

/// A line that imports a module, and the word that needs it.
pub struct Import {
    pub word: &'static str,
    pub line: &'static str,
    /// Of Python's own library: such lines come first.
    pub is_standard: bool,
}

/// What a file has at its top level, besides functions of the source.
pub const TOP_LEVEL: &[&str] = &["PARAMETERS", "forward", "forward_backward", "initial_state", "pack"];

/// A library whose programs are functions over dictionaries.
pub trait Library: Dialect {
    /// The modules among [`Dialect::imports`].
    fn import_lines(&self) -> &'static [Import];

    /// An input or parameter as a tensor of this type; `name` is for the message if it is none.
    fn received(&self, name: &str, value: Py, dtype: DType) -> Py {
        Py::name("received").call(vec![Py::string(name), value, self.dtype(dtype)])
    }

    /// A tensor with the same number everywhere.
    fn full(&self, shape: Py, number: Py, dtype: DType) -> Py;

    /// Helpers for those who call: every file has them whose model holds something.
    fn offered(&self) -> &'static [&'static str] {
        &[]
    }

    /// A line below the imports that this text asks for, or operations that give these types, where the library must be
    /// told how to compute; and the import that the line needs.
    fn preamble(&self, _text: &str, _types: &[DType]) -> Option<(&'static str, &'static str)> {
        None
    }
}

/// Reads the table and templates of a target that is one of these.
pub fn writer(library: &'static dyn Library, templates: &Templates) -> Result<Box<dyn Writer>, Vec<TargetError>> {
    let table = Table::load(templates, library.target())?;
    let own = format!("{}/", library.target());
    let shared = library.arrays().map(|_| SHARED);
    let folders: Vec<&str> = ["functional/", &own].into_iter().chain(shared).collect();
    let skeletons = templates.skeletons(&folders)?;
    Ok(Box::new(FunctionalWriter { library, table, skeletons, helpers: Renderings::default() }))
}

struct FunctionalWriter {
    library: &'static dyn Library,
    table: Table,
    skeletons: Skeletons,
    helpers: Renderings,
}

impl Writer for FunctionalWriter {
    fn write(&self, module: &Verified, options: &EmitOptions) -> Result<Vec<Artifact>, Vec<TargetError>> {
        let module = &*passes::unfused(module);
        let helpers = self.helpers.of(self.library, &self.skeletons, module, options)?;
        file::write(self.library, module, options, &self.skeletons, &self.table, &helpers).map(|file| vec![file])
    }

    fn operation(&self, op: OpId) -> Support {
        self.table.support(op, self.library.special(op.name()).is_some())
    }

    fn composite(&self, path: &str) -> Support {
        self.table.support_of_composite(path)
    }

    fn has_form(&self, function: &Function) -> bool {
        let in_table = function.std_path.as_deref().is_some_and(|path| self.composite(path) == Support::Native);
        in_table || function.maps.contains_key(self.library.target())
    }
}
