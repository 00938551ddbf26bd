//! NumPy's answers: `np.` for types and literals, new arrays in the place of changed ones.

use crate::targets::functional::{self, Import, Library};
use crate::targets::numpy::special;
use crate::targets::pycode::arrays::{self, Module};
use crate::targets::pycode::dialect::{Assignment, Dialect, NewState, Positions, index_of};
use crate::targets::pycode::special::Special;
use crate::targets::pytext::Py;
use crate::types::{DType, Tensor};

/// All but `bfloat16`, which NumPy does not know.
pub const DTYPES: &[DType] = &[
    DType::Bool,
    DType::Trit,
    DType::Int4,
    DType::Int8,
    DType::Int16,
    DType::Int32,
    DType::Int64,
    DType::UInt8,
    DType::UInt16,
    DType::UInt32,
    DType::UInt64,
    DType::Float16,
    DType::Float32,
    DType::Float64,
];

const NP: Module = Module("np");

/// A plain number as an array, so that what is carried on has a type.
fn as_array(new: NewState) -> Py {
    if new.is_number { NP.dtype(new.dtype).call(vec![new.value]) } else { new.value }
}

pub struct NumPyArrays;

impl Dialect for NumPyArrays {
    fn target(&self) -> &'static str {
        "numpy"
    }

    fn dtypes(&self) -> &'static [DType] {
        DTYPES
    }

    fn imports(&self) -> &'static [&'static str] {
        &["math", "np"]
    }

    fn top_level(&self) -> &'static [&'static str] {
        functional::TOP_LEVEL
    }

    /// Windows that do not fit are refused where they are laid out.
    fn checks(&self, message: &str) -> bool {
        arrays::checks_windows(message)
    }

    fn arrays(&self) -> Option<Module> {
        Some(NP)
    }

    fn dtype(&self, value: DType) -> Py {
        NP.dtype(value)
    }

    fn scalar(&self, number: Py, value: DType, _device: Option<Py>) -> Py {
        NP.dtype(value).call(vec![number])
    }

    fn literal(&self, tensor: &Tensor, _device: Option<Py>) -> Py {
        NP.literal(tensor)
    }

    fn zeros(&self, shape: Py, value: DType, _device: Option<Py>) -> Py {
        NP.made("zeros", vec![shape], value)
    }

    fn stack(&self, list: Py, axis: usize) -> Py {
        NP.stack(list, axis)
    }

    fn special(&self, op: &str) -> Option<Special> {
        special::find(op)
    }

    fn set_state(&self, place: Py, new: NewState) -> Assignment {
        Assignment::to(&place, as_array(new))
    }

    fn set_slice(&self, place: Py, windows: Vec<Positions>, new: NewState) -> Assignment {
        let items = Py::name("np").attr("s_").index(index_of(&windows));
        let changed = Py::name("replaced").call(vec![place.clone(), items, new.value]);
        Assignment::to(&place, changed)
    }
}

impl Library for NumPyArrays {
    fn import_lines(&self) -> &'static [Import] {
        &[
            Import { word: "math", line: "import math", is_standard: true },
            Import { word: "np", line: "import numpy as np", is_standard: false },
        ]
    }

    fn full(&self, shape: Py, number: Py, value: DType) -> Py {
        NP.made("full", vec![shape, number], value)
    }
}
