//! Operations whose NumPy form depends on more than placeholders.

use crate::targets::pycode::arrays;
use crate::targets::pycode::special::{self, Special, Use};
use crate::targets::pytext::Py;
use crate::types::DType;

static SPECIAL: &[(&str, Special)] = &[
    ("cast", arrays::cast),
    ("cumprod", |u| running(u, "cumprod")),
    ("cumsum", |u| running(u, "cumsum")),
    ("pad", |u| arrays::pad(u, "np")),
    ("permute", arrays::permute),
    ("prod", |u| total(u, "prod")),
    ("sum", |u| total(u, "sum")),
    ("take", arrays::take),
    ("transpose", arrays::transpose),
    ("unsqueeze", arrays::unsqueeze),
];

/// The special form of an operation.
pub fn find(name: &str) -> Option<Special> {
    SPECIAL.iter().find(|(own, _)| *own == name).map(|(_, special)| *special).or_else(|| special::find(name))
}

/// NumPy adds half floats up as such, unless they lie side by side.
fn total(u: &mut Use, function: &str) -> Result<Option<Py>, String> {
    Ok((u.result_dtype() == DType::Float16).then(|| arrays::widened(u, function, DType::Float32)))
}

/// Errors of running totals add up.
fn running(u: &mut Use, function: &str) -> Result<Option<Py>, String> {
    let result = u.result_dtype();
    let narrow = result.is_float() && result != DType::Float64;
    Ok(narrow.then(|| arrays::widened(u, function, DType::Float64)))
}
