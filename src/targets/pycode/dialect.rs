//! What tells one target that writes Python from another. Everything else about bodies is the same for all.
//!
//! Most questions have a default answer, which is NumPy's way. A target gives its own where its library differs.

use crate::ir::{InstId, Part};
use crate::ops::{Attrs, Op, Param};
use crate::targets::TargetError;
use crate::targets::names::Reserved;
use crate::targets::pycode::arrays::Module;
use crate::targets::pycode::function::Writer;
use crate::targets::pycode::special::{Operand, Special};
use crate::targets::pytext::Py;
use crate::types::{DType, Tensor};
use std::sync::Arc;

/// A line that assigns a value to a place.
pub struct Assignment {
    /// What stands before the value, ` = ` included; nothing, where the value is a call that assigns.
    pub prefix: String,
    pub value: Py,
}

impl Assignment {
    pub fn to(place: &Py, value: Py) -> Assignment {
        Assignment { prefix: format!("{} = ", place.text()), value }
    }

    /// A call that assigns.
    pub fn by(call: Py) -> Assignment {
        Assignment { prefix: String::new(), value: call }
    }
}

/// Positions along an axis.
pub struct Positions {
    pub axis: usize,
    pub start: Py,
    /// How many there are; `None` for one position, which is no axis of the new values.
    pub size: Option<Py>,
    /// As Python's indexing has it: `start`, or `start:start + size`.
    pub item: Py,
}

/// The index of some positions: `:, start:start + size`.
pub fn index_of(windows: &[Positions]) -> Vec<Py> {
    let last = windows.iter().map(|window| window.axis).max().unwrap_or(0);
    let item = |axis: usize| windows.iter().find(|window| window.axis == axis).map(|window| window.item.clone());
    (0..=last).map(|axis| item(axis).unwrap_or_else(Py::full_slice)).collect()
}

/// Writes a size; what it is made of counts as used then.
pub type Size<'a> = &'a mut dyn FnMut() -> Py;

/// What is assigned to a state.
pub struct NewState {
    pub value: Py,
    /// A plain number, not a tensor.
    pub is_number: bool,
    pub dtype: DType,
}

/// How a library wants things written. A device is where new tensors should be, for libraries that ask.
pub trait Dialect: Sync {
    /// As `--target` takes it.
    fn target(&self) -> &'static str;

    /// Element types that operations may give.
    fn dtypes(&self) -> &'static [DType];

    /// Modules that a file imports where it uses them; locals must not hide these.
    fn imports(&self) -> &'static [&'static str];

    /// What else every file has at its top level.
    fn top_level(&self) -> &'static [&'static str];

    // ---- layers

    /// Where layers are classes, the names that their attributes must not have; `None` where methods are functions of
    /// the file, whose first argument is what the instance holds.
    fn attributes(&self) -> Option<Arc<Reserved>> {
        None
    }

    /// The instance that a method works on.
    fn instance(&self) -> &'static str {
        "p"
    }

    /// A member of an instance; `name` is its attribute in a class, else its name in the source.
    fn field(&self, object: Py, name: &str) -> Py {
        object.index(vec![Py::string(name)])
    }

    fn call_method(&self, object: Py, name: &str, arguments: Vec<Py>) -> Py {
        Py::name(name).call(std::iter::once(object).chain(arguments).collect())
    }

    /// Whether `training` is asked for at run time, by methods of layers.
    fn training(&self) -> Option<Py> {
        None
    }

    /// Whether methods that are called from outside take numbers that they do not use.
    fn keeps_unused_numbers(&self) -> bool {
        false
    }

    /// What gives a seed; `None` if functions need nothing for it, else they have a parameter of this name.
    fn generator(&self) -> Option<&'static str> {
        Some("rng")
    }

    // ---- values

    /// The module that has NumPy's functions, of a library that is like NumPy.
    fn arrays(&self) -> Option<Module> {
        None
    }

    fn dtype(&self, dtype: DType) -> Py;

    /// A tensor of one number.
    fn scalar(&self, number: Py, dtype: DType, device: Option<Py>) -> Py;

    /// A tensor that is written out.
    fn literal(&self, tensor: &Tensor, device: Option<Py>) -> Py;

    fn zeros(&self, shape: Py, dtype: DType, device: Option<Py>) -> Py;

    /// A list of tensors as one, along a new axis.
    fn stack(&self, list: Py, axis: usize) -> Py;

    /// A tensor in another element type, without saturation.
    fn convert(&self, x: Py, dtype: DType) -> Py {
        x.method("astype", vec![self.dtype(dtype)])
    }

    /// Where new tensors should be, read off another; `None` for libraries that do not ask.
    fn device_of(&self, _tensor: Py) -> Option<Py> {
        None
    }

    /// The form of an operation that depends on more than the placeholders of its table entry.
    fn special(&self, op: &str) -> Option<Special>;

    /// Whether an argument that is `None` may be left out.
    fn omits_none(&self, _op: &Op, _param: &Param, _attrs: &Attrs) -> bool {
        true
    }

    /// Whether the library itself refuses what breaks a condition with this message.
    fn checks(&self, _message: &str) -> bool {
        false
    }

    /// What is given to `print` for a tensor.
    fn shown(&self, tensor: Py) -> Py {
        tensor
    }

    // ---- quantisation

    /// `x` as its codes give it; with a scale (and zero point) that are given, if there are any.
    fn fake_quantize(&self, x: &Operand, scheme: Py, given: Vec<Py>) -> Py {
        Py::name("fake_quantize").call([x.value.clone(), scheme].into_iter().chain(given).collect())
    }

    /// A weight of which codes and scale are stored, as floats. `size` is that of its last axis; `is_master`: the file
    /// holds floats until it is packed.
    fn restored(&self, weight: Py, scheme: Py, size: Size, _is_master: bool) -> Py {
        scheme.method("restore", vec![weight, size()])
    }

    /// The element type of that, for a weight declared with this one.
    fn restored_dtype(&self, _declared: DType) -> DType {
        DType::Float32
    }

    /// One of the tensors in which such a weight is stored.
    fn part(&self, weight: Py, part: Part, scheme: Py, size: Size, _is_master: bool) -> Py {
        match part {
            Part::Value => weight,
            Part::Codes => scheme.method("unpack", vec![weight, size()]),
            Part::Scale => weight.index(vec![Py::string("scale")]),
            Part::ZeroPoint => weight.index(vec![Py::string("zero_point")]),
        }
    }

    // ---- state

    /// Whether state changes in place, so that what was read of it must be copied to outlive a change.
    fn changes_in_place(&self) -> bool {
        false
    }

    /// A copy of what may be changed in place.
    fn copied(&self, tensor: Py) -> Py {
        tensor.method("copy", vec![])
    }

    fn set_state(&self, place: Py, new: NewState) -> Assignment;

    /// Assigns to a part of a state: of each axis in `windows`, some positions; of others, all.
    fn set_slice(&self, place: Py, windows: Vec<Positions>, new: NewState) -> Assignment;

    // ---- statements

    /// What fails with the message unless the condition holds, if that is no `if` with a `raise`.
    fn assertion(&self, _condition: &Py, _message: &str) -> Option<Py> {
        None
    }

    /// Writes an `if`, `for` or `while` in another way than as a statement.
    fn control_flow(&self, _writer: &mut Writer<'_, '_>, _inst: InstId) -> Option<Result<(), TargetError>> {
        None
    }
}
