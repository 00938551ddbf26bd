//! The intermediate representation: functions in SSA form with structured regions, and the layers they
//! belong to. Ids index arenas; operands refer to earlier values of the same function only.
//!
//! A [`Layer`] says what an instance holds (parameters, sublayers) in terms of its hyperparameters; its
//! methods are [`Function`]s. Numbers stay symbols: a dim `in_features` in a function of `Linear` is the
//! instance's hyperparameter, a dim `B` is bound by the shapes of each call. Branches taken, callables
//! and dtypes are resolved, so one source layer can give several `Layer`s.
//!
//! ```text
//! layer Linear(in_features: int, out_features: int) {
//!   param weight : float32[out_features, in_features] = kaiming_uniform()
//! }
//! func @Linear.forward(%x: float32[d0, in_features]) -> float32[d0, out_features] {
//!   symbols d0: int
//!   %0 = param "weight" : float32[out_features, in_features]     # nn.tri:6
//!   %1 = permute %0 {axes = (1, 0)} : float32[in_features, out_features]
//!   %2 = matmul %x, %1 : float32[d0, out_features]
//!   return %2
//! }
//! ```

pub mod builder;
pub mod cost;
mod function;
mod inst;
mod layer;
mod path;
pub mod printer;
pub mod reader;
pub mod substitute;
pub mod verify;
mod walk;
mod words;

pub use crate::quant::Part;
pub use crate::types::saved::SavedName;
pub use builder::Builder;
pub use function::{Function, Inst, Region, Value, WITH_PARAMETERS};
pub use inst::{InstKind, PrintPiece, Window};
pub use layer::{HostKind, Hyper, Init, Layer, Member, MemberKind, Origin, Role, Storage, Sub};
pub use path::{PathSegment, member_path, part_name, part_path};
pub use verify::{Verified, verify};

use crate::base::LIBRARY_FOLDER;
use crate::types::{HostValue, Symbol};
use std::ops::{Index, IndexMut};

macro_rules! id {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);
    };
}
id!(LayerId, "A layer of a module.");
id!(FuncId, "A function of a module.");
id!(ValueId, "A value of a function.");
id!(InstId, "An instruction of a function.");

/// A compiled program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Module {
    /// Names of the source files that `Loc`s refer to, by `FileId`.
    pub files: Vec<String>,
    pub layers: Vec<Layer>,
    pub functions: Vec<Function>,
    pub entry: Option<Entry>,
}

impl Module {
    /// A function by its unique name.
    pub fn function_named(&self, name: &str) -> Option<FuncId> {
        self.functions.iter().position(|function| function.name == name).map(|index| FuncId(index as u32))
    }

    pub fn layer_named(&self, name: &str) -> Option<LayerId> {
        self.layers.iter().position(|layer| layer.name == name).map(|index| LayerId(index as u32))
    }

    /// Module path and name of a layer of the standard library (`nn.BatchNorm`).
    pub fn library_path(&self, layer: LayerId) -> Option<String> {
        let layer = &self[layer];
        let file = self.files.get(layer.loc.file.0 as usize)?;
        let module = file.strip_prefix(LIBRARY_FOLDER)?.strip_suffix(".tri")?.replace('/', ".");
        Some(format!("{module}.{}", layer.source_name))
    }

    /// A method by its name in the source, `forward`: the one that takes most of the optional inputs that are given, and
    /// no other. What is called from outside comes before what methods call.
    pub fn method(&self, layer: LayerId, source_name: &str, given: &dyn Fn(&str) -> bool) -> Option<FuncId> {
        let methods = self[layer].methods.iter().copied();
        let fitting =
            methods.filter(|method| self[*method].source_name == source_name && self[*method].given().all(given));
        // Of equals, the last one is taken.
        fitting.rev().max_by_key(|method| (self[*method].exported, self[*method].given().count()))
    }
}

impl Index<LayerId> for Module {
    type Output = Layer;
    fn index(&self, id: LayerId) -> &Layer {
        &self.layers[id.0 as usize]
    }
}
impl Index<FuncId> for Module {
    type Output = Function;
    fn index(&self, id: FuncId) -> &Function {
        &self.functions[id.0 as usize]
    }
}
impl IndexMut<FuncId> for Module {
    fn index_mut(&mut self, id: FuncId) -> &mut Function {
        &mut self.functions[id.0 as usize]
    }
}

/// What is built: an instance of a layer with concrete hyperparameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The name that files are named after, as in the source (`model`, `MLP`).
    pub name: String,
    pub layer: LayerId,
    /// A value for each symbol of the layer's hyperparameters.
    pub args: Vec<(Symbol, HostValue)>,
}
