//! Operations as expressions: table entries with their placeholders filled.

use crate::ops::{Attr, Attrs, Default, Op, Param, ParamKind};
use crate::targets::pycode::dialect::Dialect;
use crate::targets::pycode::{numbers, special};
use crate::targets::pytext::Py;
use crate::targets::pytext::expr::Hole;
use crate::types::{DType, Dim, Elem, Shape, Symbol};

/// What placeholders of one use of an operation stand for.
pub trait Holes {
    /// `None` for a name that means nothing here.
    fn value(&mut self, name: &str) -> Option<Filled>;
}

/// What a placeholder stands for.
#[derive(Clone, Debug)]
pub struct Filled {
    pub value: Py,
    /// Whether leaving the argument out means the same.
    pub is_default: bool,
}

impl Filled {
    pub fn of(value: Py) -> Filled {
        Filled { value, is_default: false }
    }

    pub fn omitted() -> Filled {
        Filled { value: Py::none(), is_default: true }
    }
}

/// The entry with its placeholders filled; the name of the first one that means nothing, otherwise.
pub fn fill(entry: &Py, holes: &mut dyn Holes) -> Result<Py, String> {
    let value = |hole: &Hole, holes: &mut dyn Holes| holes.value(&hole.name).ok_or_else(|| hole.name.clone());
    let boxed = |inner: &Py, holes: &mut dyn Holes| fill(inner, holes).map(Box::new);
    Ok(match entry {
        Py::Atom(_) => entry.clone(),
        Py::Hole(hole) => value(hole, holes)?.value,
        Py::Attribute(inner, name) => Py::Attribute(boxed(inner, holes)?, name.clone()),
        Py::Call(function, arguments) => Py::Call(boxed(function, holes)?, fill_items(arguments, holes)?),
        Py::Index(inner, items) => Py::Index(boxed(inner, holes)?, fill_items(items, holes)?),
        Py::Slice(parts) => {
            let mut filled = [None, None, None];
            for (part, slot) in parts.iter().zip(&mut filled) {
                *slot = part.as_ref().map(|part| boxed(part, holes)).transpose()?;
            }
            Py::Slice(filled)
        }
        Py::Unary(operator, inner) => Py::Unary(operator, boxed(inner, holes)?),
        Py::Binary(left, operator, right) => Py::Binary(boxed(left, holes)?, operator, boxed(right, holes)?),
        Py::Conditional { value, condition, other } => Py::Conditional {
            value: boxed(value, holes)?,
            condition: boxed(condition, holes)?,
            other: boxed(other, holes)?,
        },
        Py::Tuple(items) => Py::Tuple(fill_items(items, holes)?),
        Py::List(items) => Py::List(fill_items(items, holes)?),
        Py::Comprehension { element, variable, items } => Py::Comprehension {
            element: boxed(element, holes)?,
            variable: variable.clone(),
            items: boxed(items, holes)?,
        },
        Py::Star(inner) => Py::Star(boxed(inner, holes)?),
        Py::Keyword(name, inner) => Py::Keyword(name.clone(), boxed(inner, holes)?),
    })
}

fn fill_items(items: &[Py], holes: &mut dyn Holes) -> Result<Vec<Py>, String> {
    let mut filled = vec![];
    for item in items {
        let hole = match item {
            Py::Hole(hole) => Some(hole),
            Py::Keyword(_, inner) => match &**inner {
                Py::Hole(hole) => Some(hole),
                _ => None,
            },
            _ => None,
        };
        if let Some(hole) = hole {
            let known = holes.value(&hole.name).ok_or_else(|| hole.name.clone())?;
            if hole.optional && known.is_default {
                continue;
            }
            if hole.spread {
                match known.value {
                    Py::Tuple(items) | Py::List(items) if !items.is_empty() => filled.extend(items),
                    other => filled.push(other),
                }
                continue;
            }
        }
        filled.push(fill(item, holes)?);
    }
    Ok(filled)
}

/// An attribute as Python; `dtype` is that of the tensors it goes with.
pub fn attribute(
    dialect: &dyn Dialect,
    attr: &Attr,
    kind: Option<ParamKind>,
    dtype: DType,
    symbols: &mut dyn FnMut(&Symbol) -> Py,
) -> Py {
    match attr {
        Attr::None | Attr::Unknown => Py::none(),
        Attr::Int(dim) => numbers::dim(dim, symbols),
        // One axis needs no tuple.
        Attr::Ints(dims) if kind == Some(ParamKind::Axes) && dims.len() == 1 => numbers::dim(&dims[0], symbols),
        Attr::Ints(dims) => Py::Tuple(dims.iter().map(|d| numbers::dim(d, symbols)).collect()),
        Attr::Shape(shape) => self::shape(shape, symbols),
        // A float bound would turn integers into floats.
        Attr::Float(value) => match (value.as_const(), dtype.is_float()) {
            (Some(x), false) if x.fract() == 0.0 && x.abs() < 9e18 => Py::int(x as i64),
            _ => numbers::host(value, symbols),
        },
        Attr::Bool(value) => Py::name(if *value { "True" } else { "False" }),
        Attr::Str(text) => Py::string(text),
        Attr::DType(Elem::Known(dtype)) => dialect.dtype(*dtype),
        Attr::DType(_) => Py::none(),
        Attr::Scheme(scheme) => special::scheme(dialect, scheme),
    }
}

/// Sizes as a tuple; a named pack is a tuple of its own.
pub fn shape(shape: &Shape, symbols: &mut dyn FnMut(&Symbol) -> Py) -> Py {
    let mut items: Vec<Py> = shape.head().iter().map(|d| numbers::dim(d, symbols)).collect();
    if let Some((_, pack)) = &shape.pack {
        if let crate::types::Pack::Named(name) = pack {
            items.push(Py::Star(Box::new(symbols(name))));
        }
        items.extend(shape.tail().iter().map(|d| numbers::dim(d, symbols)));
    }
    Py::Tuple(items)
}

/// Whether the attribute may be left out: the op's default, which is the library's too wherever a table says so.
pub fn is_default(dialect: &dyn Dialect, op: &Op, param: &Param, attrs: &Attrs) -> bool {
    let attr = attrs.get(param.name);
    let same_as = |value: Dim| match attr {
        Some(Attr::Int(dim)) => *dim == value,
        Some(Attr::Ints(dims)) => !dims.is_empty() && dims.iter().all(|d| *d == value),
        _ => false,
    };
    match (attr, param.default) {
        (None | Some(Attr::None), _) => dialect.omits_none(op, param, attrs),
        (_, Default::Int(value)) => same_as(Dim::constant(value)),
        (Some(Attr::Float(e)), Default::Float(value)) => e.as_const() == Some(value),
        (Some(Attr::Bool(b)), Default::Bool(value)) => *b == value,
        (Some(Attr::Str(s)), Default::Str(value)) => s == value,
        _ => false,
    }
}
