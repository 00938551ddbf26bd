//! Ground floor: source positions, files and diagnostics. Nothing here knows Tri.

pub mod code;
pub mod diagnostic;
pub mod edit;
pub mod float;
pub mod memory;
pub mod pattern;
pub mod philox;
pub mod render;
pub mod size;
pub mod source;
pub mod span;
pub mod stack;
pub mod suggest;

pub use code::Code;
pub use diagnostic::{Applicability, Diagnostic, Edit, Fix, Label, Severity};
pub use float::F64;
pub use memory::without_spare;
pub use pattern::Pattern;
pub use source::{FileId, LIBRARY_FOLDER, LineIndex, Source, Sources};
pub use span::{Loc, Span};
pub use stack::deep;
pub use suggest::{Near, closest, nearest};
