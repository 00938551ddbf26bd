//! What libraries share whose arrays are NumPy's, or behave like them: types and literals, and the special forms of
//! conversion, axes and padding.

use crate::ops::Attr;
use crate::targets::pycode::numbers;
use crate::targets::pycode::special::{Use, at_axis};
use crate::targets::pytext::Py;
use crate::types::{DType, Dim, Tensor};

/// The module that has NumPy's functions, by its name in files. Helpers of `templates/arrays/` are written for `np`.
#[derive(Clone, Copy)]
pub struct Module(pub &'static str);

impl Module {
    /// The element type as arrays hold it.
    pub fn dtype(self, value: DType) -> Py {
        let name = numbers::stored(value).name();
        Py::name(self.0).attr(if value == DType::Bool { "bool_" } else { name })
    }

    /// An array that a function of the module makes.
    pub fn made(self, function: &str, arguments: Vec<Py>, value: DType) -> Py {
        let of_type = Py::keyword("dtype", self.dtype(value));
        Py::name(self.0).method(function, arguments.into_iter().chain([of_type]).collect())
    }

    pub fn literal(self, tensor: &Tensor) -> Py {
        if tensor.is_empty() {
            let sizes = Py::Tuple(tensor.shape().iter().map(|n| Py::int(*n as i64)).collect());
            return self.made("zeros", vec![sizes], tensor.dtype());
        }
        self.made("array", vec![numbers::nested(tensor)], tensor.dtype())
    }

    pub fn stack(self, list: Py, axis: usize) -> Py {
        let along = (axis > 0).then(|| Py::keyword("axis", Py::int(axis as i64)));
        Py::name(self.0).method("stack", std::iter::once(list).chain(along).collect())
    }
}

/// Floats become integers by saturation, which libraries leave open.
pub fn cast(u: &mut Use) -> Result<Option<Py>, String> {
    let (from, to) = (u.operands[0].dtype(), u.result_dtype());
    let x = u.operands[0].value.clone();
    let saturated = |x: Py| Py::name("saturating_cast").call(vec![x, u.dialect.dtype(to)]);
    Ok(Some(match to {
        DType::Trit if from.is_float() => saturated(x).method("clip", vec![Py::int(-1), Py::int(1)]),
        DType::Int4 if from.is_float() => saturated(x).method("clip", vec![Py::int(-8), Py::int(7)]),
        // The low four bits, with their sign.
        DType::Int4 if from.is_int() => {
            let low = Py::binary(u.dialect.convert(x, to), "&", Py::int(15));
            Py::binary(Py::binary(low, "^", Py::int(8)), "-", Py::int(8))
        }
        _ if from.is_float() && to.is_int() => saturated(x),
        _ if numbers::stored(from) == numbers::stored(to) => x,
        _ => u.dialect.convert(x, to),
    }))
}

pub fn permute(u: &mut Use) -> Result<Option<Py>, String> {
    let x = u.operands[0].value.clone();
    let Some(axes) = u.attrs.const_ints("axes") else { return Ok(None) };
    let rank = axes.len() as i64;
    let axes: Vec<i64> = axes.iter().map(|a| if *a < 0 { a + rank } else { *a }).collect();
    let moved: Vec<i64> = (0..rank).filter(|&i| axes[i as usize] != i).collect();
    Ok(Some(match moved.as_slice() {
        [] => x,
        [0, 1] if rank == 2 => x.attr("T"),
        [i, j] if *j + 1 == rank && i + 1 == *j => x.attr("mT"),
        [i, j] => x.method("swapaxes", vec![Py::int(*i), Py::int(*j)]),
        _ => x.method("transpose", axes.iter().map(|a| Py::int(*a)).collect()),
    }))
}

pub fn transpose(u: &mut Use) -> Result<Option<Py>, String> {
    let (a, b) = (u.attrs.const_int("axis0"), u.attrs.const_int("axis1"));
    Ok((u.operands[0].rank() == Some(2) && a != b).then(|| u.operands[0].value.clone().attr("T")))
}

/// `x[index]`, `x[:, index]`
pub fn take(u: &mut Use) -> Result<Option<Py>, String> {
    let axis = u.attrs.const_int("axis").ok_or("its axis is not known")?;
    Ok(Some(at_axis(&u.operands[0], axis, u.operands[1].value.clone())))
}

/// `np.pad(x, [(0, 0), (1, 2)])` of the library that is called so.
pub fn pad(u: &mut Use, library: &str) -> Result<Option<Py>, String> {
    let Some(Attr::Ints(pads)) = u.attrs.get("pads") else { return Err("its widths are not known".into()) };
    let x = &u.operands[0];
    let pairs: Vec<(&Dim, &Dim)> = pads.chunks(2).filter_map(|p| Some((p.first()?, p.get(1)?))).collect();
    if pairs.iter().all(|(low, high)| low.is_const(0) && high.is_const(0)) {
        return Ok(Some(x.value.clone()));
    }
    let none = || Py::Tuple(vec![Py::int(0), Py::int(0)]);
    let mut widths: Vec<Py> = pairs.iter().map(|(a, b)| Py::Tuple(vec![(u.dim)(a), (u.dim)(b)])).collect();
    let widths = match x.rank() {
        Some(rank) => {
            widths.splice(0..0, (pairs.len()..rank).map(|_| none()));
            Py::List(widths)
        }
        None => {
            let others = Py::binary(x.value.clone().attr("ndim"), "-", Py::int(pairs.len() as i64));
            Py::binary(Py::binary(Py::List(vec![none()]), "*", others), "+", Py::List(widths))
        }
    };
    let mut arguments = vec![x.value.clone(), widths];
    match u.attrs.str("mode").unwrap_or("constant") {
        "constant" if u.attrs.const_float("value") == Some(0.0) => {}
        "constant" => {
            arguments.extend(u.attrs.get("value").map(|value| Py::keyword("constant_values", (u.attr)(value))));
        }
        mode => arguments.push(Py::keyword("mode", Py::string(mode))),
    }
    Ok(Some(Py::name(library).method("pad", arguments)))
}

/// A reduction or running total of floats that are added up, or multiplied, as ones of a wider type.
pub fn widened(u: &mut Use, function: &str, wide: DType) -> Py {
    let mut arguments = vec![];
    match (u.attrs.const_ints("axis").as_deref(), u.attrs.get("axis")) {
        (Some([axis]), _) => arguments.push(Py::keyword("axis", Py::int(*axis))),
        (_, None | Some(Attr::None)) => {}
        (_, Some(axes)) => arguments.push(Py::keyword("axis", (u.attr)(axes))),
    }
    if u.attrs.bool("keepdim") == Some(true) {
        arguments.push(Py::keyword("keepdims", Py::name("True")));
    }
    arguments.push(Py::keyword("dtype", u.dialect.dtype(wide)));
    let total = u.operands[0].value.clone().method(function, arguments);
    u.dialect.convert(total, u.result_dtype())
}

/// Whether a message is about the windows of convolution or pooling.
pub fn checks_windows(message: &str) -> bool {
    let operation = message.strip_prefix('`').and_then(|rest| rest.split_once("`: ")).map_or("", |(name, _)| name);
    let family = operation.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'd');
    matches!(family, "conv" | "conv_transpose" | "max_pool" | "avg_pool")
}

/// `x[:, None]`
pub fn unsqueeze(u: &mut Use) -> Result<Option<Py>, String> {
    let Some(axis) = u.attrs.const_int("axis") else { return Ok(None) };
    let items = match axis {
        0..=2 => (0..axis).map(|_| Py::full_slice()).chain([Py::none()]).collect(),
        -1 => vec![Py::name("..."), Py::none()],
        -2 => vec![Py::name("..."), Py::none(), Py::full_slice()],
        _ => return Ok(None),
    };
    Ok(Some(u.operands[0].value.clone().index(items)))
}
