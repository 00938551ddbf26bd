//! JAX's answers: `jnp.` for types and literals, new arrays in the place of changed ones.

use crate::ir::InstId;
use crate::targets::TargetError;
use crate::targets::functional::{self, Import, Library};
use crate::targets::jax::special;
use crate::targets::pycode::arrays::{self, Module};
use crate::targets::pycode::dialect::{Assignment, Dialect, NewState, Positions, index_of};
use crate::targets::pycode::function::Writer;
use crate::targets::pycode::nested;
use crate::targets::pycode::special::Special;
use crate::targets::pytext::Py;
use crate::types::{DType, Tensor};

/// All that there are.
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
    DType::BFloat16,
    DType::Float32,
    DType::Float64,
];

const JNP: Module = Module("jnp");

/// State carries values from call to call, never gradients; a plain number becomes an array, which has a type.
fn stopped(new: NewState) -> Py {
    match new.dtype.is_float() {
        _ if new.is_number => JNP.dtype(new.dtype).call(vec![new.value]),
        true => Py::name("lax").method("stop_gradient", vec![new.value]),
        false => new.value,
    }
}

pub struct JaxArrays;

impl Dialect for JaxArrays {
    fn target(&self) -> &'static str {
        "jax"
    }

    fn dtypes(&self) -> &'static [DType] {
        DTYPES
    }

    fn imports(&self) -> &'static [&'static str] {
        &["jax", "jnp", "lax", "math"]
    }

    fn top_level(&self) -> &'static [&'static str] {
        functional::TOP_LEVEL
    }

    /// Windows that do not fit are refused where they are laid out.
    fn checks(&self, message: &str) -> bool {
        arrays::checks_windows(message)
    }

    fn arrays(&self) -> Option<Module> {
        Some(JNP)
    }

    fn dtype(&self, value: DType) -> Py {
        JNP.dtype(value)
    }

    fn scalar(&self, number: Py, value: DType, _device: Option<Py>) -> Py {
        JNP.dtype(value).call(vec![number])
    }

    fn literal(&self, tensor: &Tensor, _device: Option<Py>) -> Py {
        JNP.literal(tensor)
    }

    fn zeros(&self, shape: Py, value: DType, _device: Option<Py>) -> Py {
        JNP.made("zeros", vec![shape], value)
    }

    fn stack(&self, list: Py, axis: usize) -> Py {
        JNP.stack(list, axis)
    }

    fn special(&self, op: &str) -> Option<Special> {
        special::find(op)
    }

    /// A condition that is being traced is not known; then nothing is checked.
    fn assertion(&self, condition: &Py, message: &str) -> Option<Py> {
        Some(Py::name("check").call(vec![condition.clone(), Py::string(message)]))
    }

    fn control_flow(&self, writer: &mut Writer<'_, '_>, inst: InstId) -> Option<Result<(), TargetError>> {
        nested::write(writer, inst)
    }

    fn set_state(&self, place: Py, new: NewState) -> Assignment {
        Assignment::to(&place, stopped(new))
    }

    fn set_slice(&self, place: Py, windows: Vec<Positions>, new: NewState) -> Assignment {
        let part = place.clone().attr("at").index(index_of(&windows));
        Assignment::to(&place, part.method("set", vec![stopped(new)]))
    }
}

impl Library for JaxArrays {
    fn import_lines(&self) -> &'static [Import] {
        &[
            Import { word: "math", line: "import math", is_standard: true },
            Import { word: "jax", line: "import jax", is_standard: false },
            Import { word: "jnp", line: "import jax.numpy as jnp", is_standard: false },
            Import { word: "lax", line: "from jax import lax", is_standard: false },
        ]
    }

    /// Types of 64 bits are others unless they are asked for.
    fn preamble(&self, text: &str, types: &[DType]) -> Option<(&'static str, &'static str)> {
        let wide = ["jnp.int64", "jnp.uint64", "jnp.float64"].iter().any(|name| text.contains(name))
            || types.iter().any(|dtype| dtype.bits() == 64);
        wide.then_some(("jax.config.update(\"jax_enable_x64\", True)", "jax"))
    }

    fn full(&self, shape: Py, number: Py, value: DType) -> Py {
        JNP.made("full", vec![shape, number], value)
    }
}
