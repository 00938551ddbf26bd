//! What the target has for each operation: entries of `ops.toml`, and functions for what is more than an expression.

use super::maker::{Maker, Outcome, Use};
use super::{moves, order, product, quantise, random, scatter, select, window};
use crate::ops::OpId;
use crate::targets::c::text::C;
use crate::targets::pytext::Py;
use crate::targets::table::Table;
use crate::types::{DType, Dim};

/// How an operation is written.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    /// An expression over the elements at the same place.
    Entry(&'a Py),
    /// `fold(start, step, finish)`: along some axes.
    Fold(&'a [Py]),
    /// `scan(start, step)`: along one, each element having what was before it.
    Scan(&'a [Py]),
    /// The element of a result at an index.
    Element(Element),
    /// All of its results, in loops of its own.
    Whole(Whole),
}

pub(super) type Element = for<'m, 'a> fn(&'m mut Maker<'a>, Use<'a>, &'m [Dim], usize) -> Outcome<C>;
pub(super) type Whole = for<'m, 'a> fn(&'m mut Maker<'a>, Use<'a>) -> Outcome<()>;

/// Operations whose elements are more than an expression.
const ELEMENTS: &[(&str, Element)] = &[
    ("arange", moves::arange),
    ("argmax", select::argmax),
    ("argmin", select::argmin),
    ("avg_pool1d", window::average),
    ("avg_pool2d", window::average),
    ("avg_pool3d", window::average),
    ("broadcast_to", moves::broadcast_to),
    ("cast", moves::cast),
    ("categorical", random::categorical),
    ("chunk", moves::piece),
    ("clamp", select::clamp),
    ("concat", moves::concat),
    ("conv1d", product::convolution),
    ("conv2d", product::convolution),
    ("conv3d", product::convolution),
    ("conv_transpose1d", product::transposed),
    ("conv_transpose2d", product::transposed),
    ("conv_transpose3d", product::transposed),
    ("dequantize", quantise::dequantize),
    ("dynamic_slice", moves::dynamic_slice),
    ("dynamic_update", moves::dynamic_update),
    ("eye", moves::eye),
    ("flip", moves::flip),
    ("full", moves::full),
    ("gather", moves::gather),
    ("linspace", moves::linspace),
    ("matmul", product::matmul),
    ("max_pool1d", window::maximum),
    ("max_pool2d", window::maximum),
    ("max_pool3d", window::maximum),
    ("one_hot", moves::one_hot),
    ("ones", moves::full),
    ("pack", quantise::pack),
    ("pad", moves::pad),
    ("permute", moves::permute),
    ("quantize_with", quantise::quantize_with),
    ("random_int", random::integers),
    ("random_normal", random::normal),
    ("random_uniform", random::uniform),
    ("repeat", moves::repeat),
    ("repeat_interleave", moves::repeat_interleave),
    ("reshape", moves::regroup),
    ("roll", moves::roll),
    ("routed_matmul", product::routed),
    ("slice", moves::slice),
    ("split", moves::piece),
    ("squeeze", moves::regroup),
    ("stack", moves::stack),
    ("take", moves::take),
    ("transpose", moves::permute),
    ("tril", moves::triangle),
    ("triu", moves::triangle),
    ("unbind", moves::unbind),
    ("unpack", quantise::unpack),
    ("unsqueeze", moves::regroup),
    ("upsample", window::upsample),
    ("zeros", moves::full),
];

const WHOLES: &[(&str, Whole)] =
    &[("quantize", quantise::quantize), ("scatter", scatter::scatter), ("sort", order::sort), ("topk", order::topk)];

/// How an operation is written for operands of a type, if it is.
pub(super) fn form<'a>(table: &'a Table, op: OpId, dtype: DType) -> Option<Form<'a>> {
    let name = op.name();
    if let Some((_, element)) = ELEMENTS.iter().find(|(own, _)| *own == name) {
        return Some(Form::Element(*element));
    }
    if let Some((_, whole)) = WHOLES.iter().find(|(own, _)| *own == name) {
        return Some(Form::Whole(*whole));
    }
    let entry = table.integers(name).filter(|_| !dtype.is_float()).or_else(|| table.op(name))?;
    Some(match entry {
        Py::Call(function, parts) if function.as_atom() == Some("fold") => Form::Fold(parts),
        Py::Call(function, parts) if function.as_atom() == Some("scan") => Form::Scan(parts),
        other => Form::Entry(other),
    })
}

/// Whether the target writes an operation.
pub fn is_written(table: &Table, op: OpId) -> bool {
    form(table, op, DType::Float32).is_some()
}
