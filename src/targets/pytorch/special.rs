//! Operations whose PyTorch form depends on more than placeholders: indexing, casts, quantisation.
//!
//! A special form sees a use of the operation through [`Use`] and gives an expression, or `None` to leave
//! the operation to the table.

use crate::ops::matmul::TRANSPOSE;
use crate::ops::{Attr, Attrs};
use crate::quant::{Scheme, SchemeKind, Ste, TernaryRule};
use crate::targets::pytext::Py;
use crate::targets::pytorch::numbers;
use crate::types::{DType, Dim, TensorType};

/// One use of an operation.
pub struct Use<'a> {
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
    fn dtype(&self) -> DType {
        self.ty.dtype().unwrap_or(DType::Float32)
    }

    fn to(&self, dtype: DType) -> Py {
        self.converted(self.value.clone(), dtype)
    }

    /// A value of this operand's element type, as another.
    fn converted(&self, value: Py, dtype: DType) -> Py {
        if self.dtype() == dtype { value } else { value.method("to", vec![numbers::dtype(dtype)]) }
    }

    /// With its last two axes exchanged.
    fn transposed(&self) -> Py {
        self.value.clone().attr(if self.rank() == Some(2) { "T" } else { "mT" })
    }

    fn rank(&self) -> Option<usize> {
        self.ty.shape.rank()
    }
}

pub type Special = fn(&mut Use) -> Result<Option<Py>, String>;

static SPECIAL: &[(&str, Special)] = &[
    ("cast", cast),
    ("dequantize", dequantize),
    ("gather", gather),
    ("matmul", matmul),
    ("one_hot", one_hot),
    ("pad", pad),
    ("permute", permute),
    ("prod", prod),
    ("quantize", quantize),
    ("quantize_with", quantize_with),
    ("scatter", scatter),
    ("slice", slice),
    ("squeeze", squeeze),
    ("take", take),
    ("transpose", transpose),
];

/// The special form of an operation.
pub fn find(name: &str) -> Option<Special> {
    SPECIAL.iter().find(|(own, _)| *own == name).map(|(_, special)| *special)
}

fn result_dtype(u: &Use) -> DType {
    u.results.first().and_then(TensorType::dtype).unwrap_or(DType::Float32)
}

/// Floats become integers by saturation; PyTorch leaves values out of range open.
fn cast(u: &mut Use) -> Result<Option<Py>, String> {
    let (from, to) = (u.operands[0].dtype(), result_dtype(u));
    let x = u.operands[0].value.clone();
    let target = numbers::dtype(to);
    Ok(Some(match to {
        DType::Trit | DType::Int4 if from.is_float() => {
            let (low, high) = if to == DType::Trit { (-1, 1) } else { (-8, 7) };
            let cast = Py::name("saturating_cast").call(vec![x, target]);
            cast.method("clamp", vec![Py::int(low), Py::int(high)])
        }
        _ if from.is_float() && to.is_int() => Py::name("saturating_cast").call(vec![x, target]),
        _ => x.method("to", vec![target]),
    }))
}

fn matmul(u: &mut Use) -> Result<Option<Py>, String> {
    let result = result_dtype(u);
    let narrow = |o: &Operand| o.dtype().bits() <= 8 && !o.dtype().is_float();
    let operand = |index: usize| match u.attrs.flag(TRANSPOSE[index]) {
        true => u.operands[index].transposed(),
        false => u.operands[index].value.clone(),
    };
    let (a, b) = (operand(0), operand(1));
    if u.operands.iter().all(narrow) {
        return Ok(Some(Py::name("integer_matmul").call(vec![a, b])));
    }
    // Codes are multiplied as what they are: small numbers of the other side's type.
    Ok(Some(Py::binary(u.operands[0].converted(a, result), "@", u.operands[1].converted(b, result))))
}

fn permute(u: &mut Use) -> Result<Option<Py>, String> {
    let x = u.operands[0].value.clone();
    let Some(axes) = u.attrs.const_ints("axes") else { return Ok(None) };
    let rank = axes.len() as i64;
    let axes: Vec<i64> = axes.iter().map(|a| if *a < 0 { a + rank } else { *a }).collect();
    let moved: Vec<i64> = (0..rank).filter(|&i| axes[i as usize] != i).collect();
    Ok(Some(match moved.as_slice() {
        [] => x,
        [0, 1] if rank == 2 => x.attr("T"),
        [i, j] if *j + 1 == rank && i + 1 == *j => x.attr("mT"),
        [i, j] => x.method("transpose", vec![Py::int(*i), Py::int(*j)]),
        _ => x.method("permute", axes.iter().map(|a| Py::int(*a)).collect()),
    }))
}

fn transpose(u: &mut Use) -> Result<Option<Py>, String> {
    let x = &u.operands[0];
    let (Some(a), Some(b)) = (u.attrs.const_int("axis0"), u.attrs.const_int("axis1")) else {
        return Err("an axis is not known".into());
    };
    Ok(Some(match x.rank() {
        Some(2) if a != b => x.value.clone().attr("T"),
        _ => x.value.clone().method("transpose", vec![Py::int(a), Py::int(b)]),
    }))
}

/// `items` at an axis of `x`: `x[items]`, `x[:, items]`, `x[..., items]`.
fn at_axis(x: &Operand, axis: i64, item: Py) -> Py {
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

fn take(u: &mut Use) -> Result<Option<Py>, String> {
    let axis = u.attrs.const_int("axis").ok_or("its axis is not known")?;
    let index = &u.operands[1];
    // PyTorch reads bytes as a mask and knows no other small integers here.
    let item = if index.dtype() == DType::Int32 { index.value.clone() } else { index.to(DType::Int64) };
    Ok(Some(at_axis(&u.operands[0], axis, item)))
}

fn gather(u: &mut Use) -> Result<Option<Py>, String> {
    let axis = u.attrs.const_int("axis").ok_or("its axis is not known")?;
    let arguments = vec![Py::int(axis), u.operands[1].to(DType::Int64)];
    Ok(Some(u.operands[0].value.clone().method("gather", arguments)))
}

fn scatter(u: &mut Use) -> Result<Option<Py>, String> {
    let axis = u.attrs.const_int("axis").ok_or("its axis is not known")?;
    let mut arguments = vec![Py::int(axis), u.operands[1].to(DType::Int64), u.operands[2].value.clone()];
    let method = match u.attrs.str("reduce") {
        None => "scatter",
        Some("add") => "scatter_add",
        Some(reduce) => {
            let reduce = match reduce {
                "max" => "amax",
                "min" => "amin",
                "mul" => "prod",
                other => return Err(format!("there is no scatter with reduce=\"{other}\"")),
            };
            arguments.push(Py::string(reduce));
            "scatter_reduce"
        }
    };
    Ok(Some(u.operands[0].value.clone().method(method, arguments)))
}

fn one_hot(u: &mut Use) -> Result<Option<Py>, String> {
    let classes = u.attrs.get("num_classes").map(|a| (u.attr)(a)).ok_or("the number of classes is not known")?;
    let hot = Py::name("F").method("one_hot", vec![u.operands[0].to(DType::Int64), classes]);
    Ok(Some(match result_dtype(u) {
        DType::Int64 => hot,
        other => hot.method("to", vec![numbers::dtype(other)]),
    }))
}

/// PyTorch's product takes one axis at a time.
fn prod(u: &mut Use) -> Result<Option<Py>, String> {
    let x = &u.operands[0];
    let keepdim = u.attrs.bool("keepdim") == Some(true);
    let dtype = result_dtype(u);
    let mut options = vec![];
    if keepdim {
        options.push(Py::keyword("keepdim", Py::name("True")));
    }
    if !dtype.is_float() && dtype != DType::Int64 {
        options.push(Py::keyword("dtype", numbers::dtype(dtype)));
    }
    let mut axes = match (u.attrs.get("axis"), x.rank()) {
        (None | Some(Attr::None), _) if !keepdim => return Ok(Some(x.value.clone().method("prod", options))),
        (None | Some(Attr::None), Some(rank)) => (0..rank as i64).collect(),
        _ => u.attrs.const_ints("axis").ok_or("its axes are not known")?,
    };
    if let Some(rank) = x.rank() {
        axes.iter_mut().filter(|a| **a < 0).for_each(|a| *a += rank as i64);
    }
    // From the last, so that the places of the others stay.
    axes.sort_by(|a, b| b.cmp(a));
    Ok(Some(axes.into_iter().fold(x.value.clone(), |value, axis| {
        value.method("prod", std::iter::once(Py::int(axis)).chain(options.iter().cloned()).collect())
    })))
}

fn pad(u: &mut Use) -> Result<Option<Py>, String> {
    let Some(Attr::Ints(pads)) = u.attrs.get("pads") else { return Err("its widths are not known".into()) };
    let pairs: Vec<(&Dim, &Dim)> = pads.chunks(2).filter_map(|p| Some((p.first()?, p.get(1)?))).collect();
    let x = u.operands[0].value.clone();
    let mode = u.attrs.str("mode").unwrap_or("constant");
    if mode != "constant" {
        let widths = pairs.iter().map(|(a, b)| Py::Tuple(vec![(u.dim)(a), (u.dim)(b)])).collect();
        return Ok(Some(Py::name("pad_from").call(vec![x, Py::List(widths), Py::string(mode)])));
    }
    // PyTorch counts from the last axis; trailing pairs of zeros there are the first axes here.
    let untouched = pairs.iter().take_while(|(a, b)| a.is_const(0) && b.is_const(0)).count();
    let widths: Vec<Py> = pairs[untouched..].iter().rev().flat_map(|(a, b)| [(u.dim)(a), (u.dim)(b)]).collect();
    if widths.is_empty() {
        return Ok(Some(x));
    }
    let mut arguments = vec![x, Py::Tuple(widths)];
    if u.attrs.const_float("value") != Some(0.0)
        && let Some(value) = u.attrs.get("value")
    {
        arguments.push(Py::keyword("value", (u.attr)(value)));
    }
    Ok(Some(Py::name("F").method("pad", arguments)))
}

fn quantize(u: &mut Use) -> Result<Option<Py>, String> {
    let own = u.attrs.scheme("scheme").ok_or("its scheme is not known")?;
    let x = &u.operands[0];
    let scheme = drawn(own, u.operands.get(1).map(|seed| seed.value.clone()));
    Ok(Some(match x.is_weight {
        true => Py::name("quantized_codes").call(vec![x.value.clone(), scheme]),
        false => scheme.method("quantize", vec![x.value.clone()]),
    }))
}

fn dequantize(u: &mut Use) -> Result<Option<Py>, String> {
    let own = u.attrs.scheme("scheme").ok_or("its scheme is not known")?;
    let mut arguments: Vec<Py> = u.operands.iter().map(|o| o.value.clone()).collect();
    let dtype = result_dtype(u);
    if dtype != DType::Float32 {
        arguments.push(Py::keyword("dtype", numbers::dtype(dtype)));
    }
    Ok(Some(scheme(own).method("dequantize", arguments)))
}

fn quantize_with(u: &mut Use) -> Result<Option<Py>, String> {
    let own = u.attrs.scheme("scheme").ok_or("its scheme is not known")?;
    let arguments = u.operands.iter().map(|o| o.value.clone()).collect();
    Ok(Some(scheme(own).method("quantize_with", arguments)))
}

/// The value that `x` has once quantised; with a scale (and zero point) that are given, if there are any.
pub fn fake_quantize(x: &Operand, own: &Scheme, mut given: Vec<Py>) -> Py {
    let function = if x.is_weight { "quantized" } else { "fake_quantize" };
    let seed = if own.is_stochastic() { given.pop() } else { None };
    Py::name(function).call([x.value.clone(), drawn(own, seed)].into_iter().chain(given).collect())
}

/// A scheme that makes codes; with a seed, at random.
fn drawn(own: &Scheme, seed: Option<Py>) -> Py {
    match seed {
        Some(seed) if own.is_stochastic() => {
            Py::name("StochasticTernary").call(std::iter::once(seed).chain(options(own)).collect())
        }
        Some(_) | None => scheme(own),
    }
}

/// A scheme as an object of the emitted helpers. Rounding at random is for training alone, so it rounds to nearest.
pub fn scheme(own: &Scheme) -> Py {
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
    arguments.extend(options(own));
    Py::name(class).call(arguments)
}

/// What schemes of every class have.
fn options(own: &Scheme) -> Vec<Py> {
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
        arguments.push(Py::keyword("scale_dtype", numbers::dtype(own.scale_dtype)));
    }
    arguments
}
