//! Operations whose form depends on more than placeholders, where it is the same for several libraries: NumPy's
//! indexing, quantisation.
//!
//! A special form sees a use of the operation through [`Use`] and gives an expression, or `None` to leave
//! the operation to the table.

use crate::ops::matmul::TRANSPOSE;
use crate::ops::{Attr, Attrs};
use crate::quant::{Scheme, SchemeKind, Ste, TernaryRule};
use crate::targets::pycode::dialect::Dialect;
use crate::targets::pycode::numbers;
use crate::targets::pytext::Py;
use crate::types::{DType, Dim, TensorType};

/// One use of an operation.
pub struct Use<'a> {
    pub dialect: &'a dyn Dialect,
    pub operands: Vec<Operand>,
    pub attrs: &'a Attrs,
    pub results: Vec<TensorType>,
    /// Attributes as Python.
    pub attr: &'a mut dyn FnMut(&Attr) -> Py,
    /// Sizes as Python.
    pub dim: &'a mut dyn FnMut(&Dim) -> Py,
}

pub struct Operand {
    pub value: Py,
    pub ty: TensorType,
    /// Whether it is storage of the own instance whose values are quantised.
    pub is_weight: bool,
}

impl Operand {
    pub fn dtype(&self) -> DType {
        self.ty.dtype().unwrap_or(DType::Float32)
    }

    pub fn rank(&self) -> Option<usize> {
        self.ty.shape.rank()
    }
}

impl Use<'_> {
    /// An operand in another element type.
    pub fn converted(&self, index: usize, dtype: DType) -> Py {
        self.as_dtype(index, self.operands[index].value.clone(), dtype)
    }

    /// A value of an operand's element type, as another.
    pub fn as_dtype(&self, index: usize, value: Py, dtype: DType) -> Py {
        if self.operands[index].dtype() == dtype { value } else { self.dialect.convert(value, dtype) }
    }

    pub fn result_dtype(&self) -> DType {
        self.results.first().and_then(TensorType::dtype).unwrap_or(DType::Float32)
    }

    pub fn scheme(&self) -> Result<&Scheme, String> {
        self.attrs.scheme("scheme").ok_or_else(|| "its scheme is not known".to_string())
    }
}

pub type Special = fn(&mut Use) -> Result<Option<Py>, String>;

/// What most libraries share.
static SPECIAL: &[(&str, Special)] = &[
    ("dequantize", dequantize),
    ("matmul", matmul),
    ("quantize", quantize),
    ("quantize_with", quantize_with),
    ("slice", slice),
    ("squeeze", squeeze),
];

/// The special form that an operation has unless a library has its own.
pub fn find(name: &str) -> Option<Special> {
    SPECIAL.iter().find(|(own, _)| *own == name).map(|(_, special)| *special)
}

fn matmul(u: &mut Use) -> Result<Option<Py>, String> {
    let result = u.result_dtype();
    let operand = |index: usize| match u.attrs.flag(TRANSPOSE[index]) {
        true => transposed(&u.operands[index]),
        false => u.operands[index].value.clone(),
    };
    let (a, b) = (operand(0), operand(1));
    if result == DType::Int32 && u.operands.iter().all(|o| o.dtype() != result) {
        return Ok(Some(Py::name("integer_matmul").call(vec![a, b])));
    }
    // Codes are multiplied as what they are: small numbers of the other side's type.
    Ok(Some(Py::binary(u.as_dtype(0, a, result), "@", u.as_dtype(1, b, result))))
}

/// With its last two axes exchanged.
fn transposed(x: &Operand) -> Py {
    x.value.clone().attr(if x.rank() == Some(2) { "T" } else { "mT" })
}

/// `items` at an axis of `x`: `x[items]`, `x[:, items]`, `x[..., items]`.
pub fn at_axis(x: &Operand, axis: i64, item: Py) -> Py {
    let rank = x.rank().map(|r| r as i64);
    let from_start = if axis < 0 { rank.map(|r| r + axis) } else { Some(axis) };
    let is_last = axis == -1 || rank.is_some_and(|r| axis == r - 1);
    let items = match from_start {
        Some(n @ 0..=1) => (0..n).map(|_| Py::full_slice()).chain([item]).collect(),
        _ if is_last => vec![Py::name("..."), item],
        Some(n) => (0..n).map(|_| Py::full_slice()).chain([item]).collect(),
        None => {
            let after = (axis..-1).map(|_| Py::full_slice());
            [Py::name("..."), item].into_iter().chain(after).collect()
        }
    };
    x.value.clone().index(items)
}

fn slice(u: &mut Use) -> Result<Option<Py>, String> {
    let axis = u.attrs.const_int("axis").ok_or("its axis is not known")?;
    let x = &u.operands[0];
    let size = match x.ty.shape.axis(axis) {
        Ok(index) => x.ty.shape.dims.get(index).cloned(),
        Err(_) => None,
    };
    let bound = |name: &str| match u.attrs.get(name) {
        Some(Attr::Int(dim)) => Some(dim.clone()),
        _ => None,
    };
    let (start, stop, step) = (bound("start"), bound("stop"), bound("step"));
    let mut write = |dim: Option<Dim>, leave_out: bool| dim.filter(|_| !leave_out).map(|d| (u.dim)(&d));
    let from_zero = start.as_ref().is_some_and(|d| d.is_const(0));
    let to_end = stop.is_some() && stop == size;
    let by_one = step.as_ref().is_some_and(|d| d.is_const(1));
    let item = Py::slice(write(start, from_zero), write(stop, to_end), write(step, by_one));
    Ok(Some(at_axis(x, axis, item)))
}

/// `x[:, t:t + 1].squeeze(1)` is `x[:, t]`.
fn squeeze(u: &mut Use) -> Result<Option<Py>, String> {
    let x = &u.operands[0];
    let (Some(axis), Some(rank)) = (u.attrs.const_int("axis"), x.rank()) else { return Ok(None) };
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    let Py::Index(base, items) = &x.value else { return Ok(None) };
    let Some((Py::Slice([start, _, None]), before)) = items.split_last() else { return Ok(None) };
    // The slice's own axis: full slices stand before it, or `...` if it is the last.
    let whole = before.iter().all(|item| *item == Py::full_slice()) && before.len() as i64 == axis;
    let last = before == [Py::name("...")] && axis + 1 == rank as i64;
    let position = start.as_deref().cloned().unwrap_or_else(|| Py::int(0));
    let items = before.iter().cloned().chain([position]).collect();
    Ok((whole || last).then(|| base.as_ref().clone().index(items)))
}

fn quantize(u: &mut Use) -> Result<Option<Py>, String> {
    let scheme = drawn(u.dialect, u.scheme()?, u.operands.get(1).map(|seed| seed.value.clone()));
    Ok(Some(scheme.method("quantize", vec![u.operands[0].value.clone()])))
}

fn dequantize(u: &mut Use) -> Result<Option<Py>, String> {
    let mut arguments: Vec<Py> = u.operands.iter().map(|o| o.value.clone()).collect();
    let dtype = u.result_dtype();
    if dtype != DType::Float32 {
        arguments.push(Py::keyword("dtype", u.dialect.dtype(dtype)));
    }
    Ok(Some(scheme(u.dialect, u.scheme()?).method("dequantize", arguments)))
}

fn quantize_with(u: &mut Use) -> Result<Option<Py>, String> {
    let arguments = u.operands.iter().map(|o| o.value.clone()).collect();
    Ok(Some(scheme(u.dialect, u.scheme()?).method("quantize_with", arguments)))
}

/// A scheme that makes codes; with a seed, at random.
pub fn drawn(dialect: &dyn Dialect, own: &Scheme, seed: Option<Py>) -> Py {
    match seed {
        Some(seed) if own.is_stochastic() => {
            Py::name("StochasticTernary").call(std::iter::once(seed).chain(options(dialect, own)).collect())
        }
        Some(_) | None => scheme(dialect, own),
    }
}

/// A scheme as an object of the emitted helpers. Rounding at random is for training alone, so it rounds to nearest.
pub fn scheme(dialect: &dyn Dialect, own: &Scheme) -> Py {
    let mut arguments = vec![];
    let class = match own.kind {
        SchemeKind::Ternary { rule: TernaryRule::AbsMean, .. } => "Ternary",
        SchemeKind::Ternary { rule, kept_scale, .. } => {
            match rule {
                TernaryRule::Max { ratio } => arguments.push(Py::keyword("ratio", numbers::float(ratio.0))),
                TernaryRule::Fixed { threshold } => {
                    arguments.push(Py::keyword("threshold", numbers::float(threshold.0)));
                }
                TernaryRule::AbsMean => {}
            }
            if kept_scale {
                arguments.push(Py::keyword("kept_scale", Py::name("True")));
            }
            "TernaryThreshold"
        }
        SchemeKind::Int { bits, symmetric } => {
            arguments.push(Py::int(i64::from(bits)));
            if symmetric { "Int" } else { "AffineInt" }
        }
    };
    arguments.extend(options(dialect, own));
    Py::name(class).call(arguments)
}

/// What schemes of every class have.
fn options(dialect: &dyn Dialect, own: &Scheme) -> Vec<Py> {
    let mut arguments = vec![];
    arguments.extend(own.axis.map(|axis| Py::keyword("axis", Py::int(axis))));
    arguments.extend(own.group.map(|group| Py::keyword("group", Py::int(group))));
    if own.dynamic {
        arguments.push(Py::keyword("dynamic", Py::name("True")));
    }
    if own.ste == Ste::Clipped {
        arguments.push(Py::keyword("clipped", Py::name("True")));
    }
    if own.scale_dtype != DType::Float32 {
        arguments.push(Py::keyword("scale_dtype", dialect.dtype(own.scale_dtype)));
    }
    arguments
}
