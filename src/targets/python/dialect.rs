//! Plain Python's answers: element types are strings, and what NumPy writes as a method is a function.

use crate::ops::matmul::TRANSPOSE;
use crate::targets::functional::{Import, Library};
use crate::targets::pycode::dialect::{self, Assignment, Dialect, NewState, Positions};
use crate::targets::pycode::numbers;
use crate::targets::pycode::special::{self, Special, Use};
use crate::targets::pytext::Py;
use crate::types::{DType, Tensor};

const IMPORTS: &[&str] = &["itertools", "json", "math", "operator", "struct"];

pub struct PurePython;

/// The element type as an array holds it: codes of `trit` and `int4` lie in bytes.
fn name(dtype: DType) -> Py {
    Py::string(numbers::stored(dtype).name())
}

fn call(function: &str, arguments: Vec<Py>) -> Py {
    Py::name(function).call(arguments)
}

/// Types that arrays hold as another are named for the sake of their ends.
fn cast(u: &mut Use) -> Result<Option<Py>, String> {
    let to = u.result_dtype();
    let function = if to.is_storage() { "narrow" } else { "cast" };
    Ok(Some(call(function, vec![u.operands[0].value.clone(), Py::string(to.name())])))
}

/// Rows by rows or columns by columns as they lie: a transposed operand is not laid out anew.
fn matmul(u: &mut Use) -> Result<Option<Py>, String> {
    let operands = u.operands.iter().map(|operand| operand.value.clone());
    let flags = TRANSPOSE.into_iter().filter(|flag| u.attrs.flag(flag));
    let flags = flags.map(|flag| Py::keyword(flag, Py::name("True")));
    Ok(Some(call("matmul", operands.chain(flags).collect())))
}

impl Dialect for PurePython {
    fn target(&self) -> &'static str {
        "python"
    }

    fn dtypes(&self) -> &'static [DType] {
        &DType::ALL
    }

    fn imports(&self) -> &'static [&'static str] {
        IMPORTS
    }

    fn top_level(&self) -> &'static [&'static str] {
        &[]
    }

    fn dtype(&self, dtype: DType) -> Py {
        name(dtype)
    }

    fn scalar(&self, number: Py, dtype: DType, _device: Option<Py>) -> Py {
        call("array", vec![number, name(dtype)])
    }

    fn literal(&self, tensor: &Tensor, _device: Option<Py>) -> Py {
        if tensor.is_empty() {
            let sizes = Py::Tuple(tensor.shape().iter().map(|n| Py::int(*n as i64)).collect());
            return call("zeros", vec![sizes, name(tensor.dtype())]);
        }
        call("array", vec![numbers::nested(tensor), name(tensor.dtype())])
    }

    fn zeros(&self, shape: Py, dtype: DType, _device: Option<Py>) -> Py {
        call("zeros", vec![shape, name(dtype)])
    }

    fn stack(&self, list: Py, axis: usize) -> Py {
        let along = (axis > 0).then(|| Py::int(axis as i64));
        call("stack", std::iter::once(list).chain(along).collect())
    }

    fn convert(&self, x: Py, dtype: DType) -> Py {
        call("cast", vec![x, name(dtype)])
    }

    fn special(&self, op: &str) -> Option<Special> {
        match op {
            "cast" => Some(cast),
            "matmul" => Some(matmul),
            _ => special::find(op),
        }
    }

    fn set_state(&self, place: Py, new: NewState) -> Assignment {
        let value = if new.is_number { self.scalar(new.value, new.dtype, None) } else { new.value };
        Assignment::to(&place, value)
    }

    /// Arrays do not change: `p["cache"] = placed(p["cache"], (0, at), row)`.
    fn set_slice(&self, place: Py, windows: Vec<Positions>, new: NewState) -> Assignment {
        let item = |item: Py| match item {
            Py::Slice([start, stop, step]) => {
                let part = |part: Option<Box<Py>>| part.map_or_else(Py::none, |part| *part);
                let by = step.is_some();
                let parts = vec![part(start), part(stop), part(step)];
                call("slice", parts.into_iter().take(if by { 3 } else { 2 }).collect())
            }
            other => other,
        };
        let items = Py::Tuple(dialect::index_of(&windows).into_iter().map(item).collect());
        Assignment::to(&place, call("placed", vec![place.clone(), items, new.value]))
    }
}

impl Library for PurePython {
    fn import_lines(&self) -> &'static [Import] {
        &[
            Import { word: "itertools", line: "import itertools", is_standard: true },
            Import { word: "json", line: "import json", is_standard: true },
            Import { word: "math", line: "import math", is_standard: true },
            Import { word: "operator", line: "import operator", is_standard: true },
            Import { word: "struct", line: "import struct", is_standard: true },
        ]
    }

    /// There may be nothing else that reads weights.
    fn offered(&self) -> &'static [&'static str] {
        &["read_safetensors"]
    }

    fn full(&self, shape: Py, number: Py, dtype: DType) -> Py {
        call("full", vec![shape, number, name(dtype)])
    }
}
