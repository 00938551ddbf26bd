//! Lowering: the elaborator's walk, written down as IR.
//!
//! [`Lowering`] is the world that keeps instructions. A call of a function with tensors, or of a method,
//! becomes a function of its own, walked once for each combination of element types, ranks and
//! compile-time arguments; its types are over its own symbols, and each call gives their values.
//! Hyperparameters that are numbers stay symbols of their layer. Where the walk has to know one (a branch,
//! an unrolled loop), it *demands* it: the symbol is noted as fixed for that layer or function and lowering
//! starts again, until nothing more is demanded.
//!
//! Tests and scripts are methods of a root layer whose members are the instances they make.

mod body;
mod call;
mod candidates;
pub mod entry;
mod entry_method;
mod frame;
mod layer;
#[cfg(test)]
mod tests;
mod world;

pub use entry::{EntryRequest, Lowered, LoweredTest, entry, script, tests};

use crate::analysis::db::Place;
use crate::analysis::value::{LayerRef, Value};
use crate::analysis::world::Failure;
use crate::base::{FileId, Loc, Sources};
use crate::ir::{FuncId, LayerId, Module};
use crate::types::{Elem, Symbol};
use frame::Frame;
use std::collections::{BTreeMap, BTreeSet};

/// A layer already lowered for these choices.
struct LayerMemo<'db> {
    layer: LayerRef<'db>,
    elems: Vec<Elem>,
    /// Over the layer's own symbols; fixed ones by value.
    hypers: Vec<(String, Value<'db>)>,
    id: LayerId,
}

/// A function already lowered for these choices.
struct FunctionMemo<'db> {
    key: call::FunctionKey<'db>,
    id: FuncId,
    /// Over the function's own symbols, tensors numbered in order.
    result: Value<'db>,
    obligations: Vec<(crate::ops::Obligation, Place<'db>)>,
}

/// Numbers that must be known, by owner.
#[derive(Default)]
struct Fixed(BTreeMap<String, BTreeSet<Symbol>>);

impl Fixed {
    fn contains(&self, owner: &str, symbol: &Symbol) -> bool {
        self.0.get(owner).is_some_and(|symbols| symbols.contains(symbol))
    }

    /// Whether this is new.
    fn insert(&mut self, owner: &str, symbol: Symbol) -> bool {
        self.0.entry(owner.to_string()).or_default().insert(symbol)
    }
}

/// The world of lowering.
pub struct Lowering<'a, 'db> {
    db: &'db dyn salsa::Database,
    sources: &'a Sources,
    training: bool,
    fixed: Fixed,
    /// Something new was demanded of a layer: begin again.
    restart: bool,
    module: Module,
    layers: Vec<LayerMemo<'db>>,
    functions: Vec<FunctionMemo<'db>>,
    frames: Vec<Frame>,
    /// Instances that tests and scripts made: item, name and value, and the member they became.
    adopted: Vec<(crate::analysis::db::Item<'db>, String, Value<'db>, String)>,
    root: Option<LayerId>,
    sites: u32,
}

impl<'a, 'db> Lowering<'a, 'db> {
    fn new(db: &'db dyn salsa::Database, sources: &'a Sources, training: bool, fixed: Fixed) -> Self {
        let files = sources.iter().map(|(_, source)| source.name.clone()).collect();
        Lowering {
            db,
            sources,
            training,
            fixed,
            restart: false,
            module: Module { files, ..Module::default() },
            layers: vec![],
            functions: vec![],
            frames: vec![],
            adopted: vec![],
            root: None,
            sites: 0,
        }
    }

    fn loc(&self, place: Place<'db>) -> Loc {
        let file = FileId(place.item.file(self.db).index(self.db));
        let span = place.span.offset_by(place.item.base(self.db));
        let line = self.sources.get(file).lines().line(span.start) + 1;
        Loc { file, span, line }
    }

    /// A name that no function of the module has yet.
    fn unique_function(&self, name: &str) -> String {
        let in_progress = self.frames.iter().map(|frame| &frame.function);
        let functions = self.module.functions.iter().chain(in_progress);
        unique(name, |candidate| functions.clone().any(|function| function.name == candidate))
    }
}

/// `name`, `name_2`, `name_3`, ...
fn unique(name: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(name) {
        return name.to_string();
    }
    let mut number = 2u32;
    loop {
        let candidate = format!("{name}_{number}");
        if !taken(&candidate) {
            return candidate;
        }
        number += 1;
    }
}

/// A layer's identity, for what is fixed about it.
fn layer_owner(db: &dyn salsa::Database, layer: &LayerRef<'_>) -> String {
    format!("{}:{}", layer.item.file(db).module(db), layer.decl.name.name)
}
