//! Operations whose PyTorch form depends on more than placeholders: indexing, casts, quantisation.
//!
//! A special form sees a use of the operation through [`Use`] and gives an expression, or `None` to leave
//! the operation to the table.

use crate::ops::Attr;
use crate::targets::pycode::special::{self, Special, Use, at_axis};
use crate::targets::pytext::Py;
use crate::targets::pytorch::dialect;
use crate::types::{DType, Dim};

static SPECIAL: &[(&str, Special)] = &[
    ("cast", cast),
    ("floor_div", floor_div),
    ("gather", gather),
    ("one_hot", one_hot),
    ("pad", pad),
    ("permute", permute),
    ("prod", prod),
    ("quantize", quantize),
    ("scatter", scatter),
    ("take", take),
    ("transpose", transpose),
];

/// The special form of an operation.
pub fn find(name: &str) -> Option<Special> {
    SPECIAL.iter().find(|(own, _)| *own == name).map(|(_, special)| *special).or_else(|| special::find(name))
}

/// Floats become integers by saturation; PyTorch leaves values out of range open.
fn cast(u: &mut Use) -> Result<Option<Py>, String> {
    let (from, to) = (u.operands[0].dtype(), u.result_dtype());
    let x = u.operands[0].value.clone();
    let target = dialect::dtype(to);
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

/// The quotient of floats is cut off: where a gradient would have to pass, PyTorch has none for it and raises an error.
fn floor_div(u: &mut Use) -> Result<Option<Py>, String> {
    let [a, b] = [0, 1].map(|index| u.operands[index].value.clone());
    Ok(u.result_dtype().is_float().then(|| Py::binary(a, "//", b).method("detach", vec![])))
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

fn take(u: &mut Use) -> Result<Option<Py>, String> {
    let axis = u.attrs.const_int("axis").ok_or("its axis is not known")?;
    let index = &u.operands[1];
    // PyTorch reads bytes as a mask and knows no other small integers here.
    let item = if index.dtype() == DType::Int32 { index.value.clone() } else { u.converted(1, DType::Int64) };
    Ok(Some(at_axis(&u.operands[0], axis, item)))
}

fn gather(u: &mut Use) -> Result<Option<Py>, String> {
    let axis = u.attrs.const_int("axis").ok_or("its axis is not known")?;
    let arguments = vec![Py::int(axis), u.converted(1, DType::Int64)];
    Ok(Some(u.operands[0].value.clone().method("gather", arguments)))
}

fn scatter(u: &mut Use) -> Result<Option<Py>, String> {
    let axis = u.attrs.const_int("axis").ok_or("its axis is not known")?;
    let mut arguments = vec![Py::int(axis), u.converted(1, DType::Int64), u.operands[2].value.clone()];
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
    let hot = Py::name("F").method("one_hot", vec![u.converted(0, DType::Int64), classes]);
    Ok(Some(match u.result_dtype() {
        DType::Int64 => hot,
        other => hot.method("to", vec![dialect::dtype(other)]),
    }))
}

/// PyTorch's product takes one axis at a time.
fn prod(u: &mut Use) -> Result<Option<Py>, String> {
    let x = &u.operands[0];
    let keepdim = u.attrs.bool("keepdim") == Some(true);
    let dtype = u.result_dtype();
    let mut options = vec![];
    if keepdim {
        options.push(Py::keyword("keepdim", Py::name("True")));
    }
    if !dtype.is_float() && dtype != DType::Int64 {
        options.push(Py::keyword("dtype", dialect::dtype(dtype)));
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

/// The codes of a weight are those that it is packed with, where it is.
fn quantize(u: &mut Use) -> Result<Option<Py>, String> {
    let x = &u.operands[0];
    if !x.is_weight {
        return special::find("quantize").map_or(Ok(None), |quantize| quantize(u));
    }
    let scheme = special::drawn(u.dialect, u.scheme()?, u.operands.get(1).map(|seed| seed.value.clone()));
    Ok(Some(Py::name("quantized_codes").call(vec![x.value.clone(), scheme])))
}
