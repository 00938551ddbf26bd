//! Operations whose JAX form depends on more than placeholders.

use crate::targets::pycode::arrays;
use crate::targets::pycode::special::{self, Special, Use};
use crate::targets::pytext::Py;
use crate::types::DType;

static SPECIAL: &[(&str, Special)] = &[
    ("abs", absolute),
    ("cast", arrays::cast),
    ("cumprod", |u| running(u, "cumprod")),
    ("cumsum", |u| running(u, "cumsum")),
    ("pad", |u| arrays::pad(u, "jnp")),
    ("permute", arrays::permute),
    ("take", arrays::take),
    ("transpose", arrays::transpose),
    ("unsqueeze", arrays::unsqueeze),
];

/// The special form of an operation.
pub fn find(name: &str) -> Option<Special> {
    SPECIAL.iter().find(|(own, _)| *own == name).map(|(_, special)| *special).or_else(|| special::find(name))
}

/// JAX's own has the gradient 1 at 0.
fn absolute(u: &mut Use) -> Result<Option<Py>, String> {
    let x = u.operands[0].value.clone();
    Ok(u.result_dtype().is_float().then(|| Py::name("absolute").call(vec![x])))
}

/// Sums are kept in a wider type than half floats have, running totals are not.
fn running(u: &mut Use, function: &str) -> Result<Option<Py>, String> {
    let half = matches!(u.result_dtype(), DType::Float16 | DType::BFloat16);
    Ok(half.then(|| arrays::widened(u, function, DType::Float32)))
}
