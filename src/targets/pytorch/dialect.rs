//! PyTorch's answers: classes with attributes, `torch.` for types and literals, state that changes in place.

use crate::ir::Part;
use crate::ops::{Attrs, Op, Param, ParamKind};
use crate::targets::names::Reserved;
use crate::targets::pycode::arrays;
use crate::targets::pycode::dialect::{Assignment, Dialect, NewState, Positions, Size, index_of};
use crate::targets::pycode::numbers;
use crate::targets::pycode::special::{Operand, Special};
use crate::targets::pytext::Py;
use crate::targets::pytorch::special;
use crate::types::{DType, Tensor};
use std::sync::{Arc, LazyLock};

/// Modules that locals must not hide.
const IMPORTS: &[&str] = &["F", "copy", "json", "math", "nn", "torch"];

/// Attributes of `nn.Module`, and those that emitted classes add, that a member must not replace.
const MODULE_ATTRIBUTES: &[&str] = &[
    "T_destination",
    "add_module",
    "apply",
    "bfloat16",
    "buffers",
    "call_super_init",
    "children",
    "compile",
    "cpu",
    "cuda",
    "double",
    "dump_patches",
    "eval",
    "extra_repr",
    "float",
    "forward",
    "get_buffer",
    "get_extra_state",
    "get_parameter",
    "get_submodule",
    "half",
    "ipu",
    "load",
    "load_state_dict",
    "modules",
    "mtia",
    "named_buffers",
    "named_children",
    "named_modules",
    "named_parameters",
    "pack",
    "parameters",
    "register_backward_hook",
    "register_buffer",
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook",
    "register_module",
    "register_parameter",
    "register_state_dict_post_hook",
    "register_state_dict_pre_hook",
    "requires_grad_",
    "reset_parameters",
    "saved_names",
    "schemes",
    "set_extra_state",
    "set_submodule",
    "share_memory",
    "state_dict",
    "to",
    "to_empty",
    "train",
    "training",
    "type",
    "xpu",
    "zero_grad",
];

static ATTRIBUTES: LazyLock<Arc<Reserved>> =
    LazyLock::new(|| Arc::new(Reserved::new(MODULE_ATTRIBUTES.iter().copied())));

/// Element types that PyTorch has arithmetic for; `uint16` and wider unsigned ones it can only hold.
pub const DTYPES: &[DType] = &[
    DType::Bool,
    DType::Trit,
    DType::Int4,
    DType::Int8,
    DType::Int16,
    DType::Int32,
    DType::Int64,
    DType::UInt8,
    DType::Float16,
    DType::BFloat16,
    DType::Float32,
    DType::Float64,
];

/// The element type as PyTorch holds it.
pub fn dtype(value: DType) -> Py {
    Py::name("torch").attr(numbers::stored(value).name())
}

/// A call of `torch` whose last argument is the device, where there is one.
fn made(function: &str, arguments: Vec<Py>, device: Option<Py>) -> Py {
    let device = device.map(|device| Py::keyword("device", device));
    Py::name("torch").method(function, arguments.into_iter().chain(device).collect())
}

/// State carries values from call to call, never gradients.
fn detached(new: NewState) -> Py {
    if !new.is_number && new.dtype.is_float() { new.value.method("detach", vec![]) } else { new.value }
}

pub struct Torch;

impl Dialect for Torch {
    fn target(&self) -> &'static str {
        "pytorch"
    }

    fn dtypes(&self) -> &'static [DType] {
        DTYPES
    }

    fn imports(&self) -> &'static [&'static str] {
        IMPORTS
    }

    fn top_level(&self) -> &'static [&'static str] {
        &["Model", "load"]
    }

    fn attributes(&self) -> Option<Arc<Reserved>> {
        Some(ATTRIBUTES.clone())
    }

    fn instance(&self) -> &'static str {
        "self"
    }

    fn field(&self, object: Py, name: &str) -> Py {
        object.attr(name)
    }

    fn call_method(&self, object: Py, name: &str, arguments: Vec<Py>) -> Py {
        if name == "forward" { object.call(arguments) } else { object.method(name, arguments) }
    }

    fn training(&self) -> Option<Py> {
        Some(Py::name("self").attr("training"))
    }

    fn keeps_unused_numbers(&self) -> bool {
        true
    }

    /// PyTorch has a generator of its own.
    fn generator(&self) -> Option<&'static str> {
        None
    }

    fn dtype(&self, value: DType) -> Py {
        dtype(value)
    }

    fn scalar(&self, number: Py, value: DType, device: Option<Py>) -> Py {
        made("tensor", vec![number, Py::keyword("dtype", dtype(value))], device)
    }

    fn literal(&self, tensor: &Tensor, device: Option<Py>) -> Py {
        let of_type = Py::keyword("dtype", dtype(tensor.dtype()));
        if tensor.is_empty() {
            let sizes = Py::Tuple(tensor.shape().iter().map(|n| Py::int(*n as i64)).collect());
            return made("zeros", vec![sizes, of_type], device);
        }
        let mut arguments = vec![numbers::nested(tensor)];
        if !matches!(tensor.dtype(), DType::Float32 | DType::Int64 | DType::Bool) {
            arguments.push(of_type);
        }
        made("tensor", arguments, device)
    }

    fn zeros(&self, shape: Py, value: DType, device: Option<Py>) -> Py {
        let of_type = (value != DType::Float32).then(|| Py::keyword("dtype", dtype(value)));
        made("zeros", std::iter::once(shape).chain(of_type).collect(), device)
    }

    fn stack(&self, list: Py, axis: usize) -> Py {
        let along = (axis > 0).then(|| Py::keyword("dim", Py::int(axis as i64)));
        Py::name("torch").method("stack", std::iter::once(list).chain(along).collect())
    }

    fn convert(&self, x: Py, value: DType) -> Py {
        x.method("to", vec![dtype(value)])
    }

    fn device_of(&self, tensor: Py) -> Option<Py> {
        Some(tensor.attr("device"))
    }

    fn special(&self, op: &str) -> Option<Special> {
        special::find(op)
    }

    /// `x.sum(keepdim=True)` is no call that PyTorch knows: the axis must be said.
    fn omits_none(&self, op: &Op, param: &Param, attrs: &Attrs) -> bool {
        let reduces = param.kind == ParamKind::Axes && op.params.iter().any(|p| p.name == "keepdim");
        !reduces || attrs.bool("keepdim") != Some(true)
    }

    /// Conditions of operations that PyTorch refuses by itself if they are broken.
    fn checks(&self, message: &str) -> bool {
        arrays::checks_windows(message) || message.starts_with("`repeat_interleave`: ")
    }

    fn shown(&self, tensor: Py) -> Py {
        tensor.method("detach", vec![]).method("cpu", vec![]).method("numpy", vec![])
    }

    fn fake_quantize(&self, x: &Operand, scheme: Py, given: Vec<Py>) -> Py {
        let function = if x.is_weight { "quantized" } else { "fake_quantize" };
        Py::name(function).call([x.value.clone(), scheme].into_iter().chain(given).collect())
    }

    fn restored(&self, weight: Py, scheme: Py, _size: Size, is_master: bool) -> Py {
        match is_master {
            true => Py::name("quantized").call(vec![weight, scheme]),
            false => weight.method("dequantize", vec![]),
        }
    }

    fn restored_dtype(&self, declared: DType) -> DType {
        declared
    }

    fn part(&self, weight: Py, part: Part, scheme: Py, _size: Size, is_master: bool) -> Py {
        let quantized = |position: i64| {
            Py::name("quantized_codes").call(vec![weight.clone(), scheme]).index(vec![Py::int(position)])
        };
        match part {
            Part::Value => weight,
            Part::Codes if is_master => quantized(0),
            Part::Scale if is_master => quantized(1),
            Part::ZeroPoint if is_master => quantized(2),
            Part::Codes => weight.method("unpack", vec![]),
            Part::Scale => weight.attr("scale"),
            Part::ZeroPoint => weight.attr("zero_point"),
        }
    }

    fn changes_in_place(&self) -> bool {
        true
    }

    fn copied(&self, tensor: Py) -> Py {
        tensor.method("clone", vec![])
    }

    fn set_state(&self, place: Py, new: NewState) -> Assignment {
        let method = if new.is_number { "fill_" } else { "copy_" };
        Assignment::by(place.method(method, vec![detached(new)]))
    }

    fn set_slice(&self, place: Py, windows: Vec<Positions>, new: NewState) -> Assignment {
        Assignment::to(&place.index(index_of(&windows)), detached(new))
    }
}
