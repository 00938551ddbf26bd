//! Sizes, and operations of the registry that the interpreter itself uses.

use crate::base::code::{E0310, E0409};
use crate::interp::{Env, RunError, eval_dim};
use crate::ops::{self, Attr, Attrs, EvalCx};
use crate::types::{DType, HostValue, Tensor, TensorType, tensor};

/// No tensor may have more elements: such a size is a mistake, and memory would not hold it.
const MAX_ELEMENTS: usize = 1 << 32;

/// The sizes of a type whose symbols have values.
pub(super) fn concrete_shape(ty: &TensorType, env: &Env) -> Result<Vec<usize>, RunError> {
    let dims = ty.shape.known().unwrap_or_default();
    let mut sizes = vec![];
    let mut count = 1usize;
    for dim in dims {
        let size = eval_dim(dim, env).ok_or_else(|| RunError::new(E0310, format!("the size `{dim}` has no value")))?;
        let Ok(size) = usize::try_from(size) else {
            return Err(RunError::new(E0310, format!("the size `{dim}` is {size}")));
        };
        count = count.saturating_mul(size);
        sizes.push(size);
    }
    if count > MAX_ELEMENTS {
        return Err(RunError::new(E0310, format!("a tensor {ty} of {sizes:?} is too large")));
    }
    Ok(sizes)
}

/// Fails where a type is known to be absurdly large; operations trust their sizes.
pub(super) fn check_size(ty: &TensorType, env: &Env) -> Result<(), RunError> {
    let sizes: Option<Vec<i64>> = ty.shape.known().unwrap_or_default().iter().map(|dim| eval_dim(dim, env)).collect();
    let Some(sizes) = sizes else { return Ok(()) };
    let count = sizes.iter().try_fold(1usize, |count, size| count.checked_mul(usize::try_from(*size).ok()?));
    match count {
        Some(count) if count <= MAX_ELEMENTS => Ok(()),
        _ if sizes.contains(&0) => Ok(()),
        _ => Err(RunError::new(E0310, format!("a tensor {ty} of {sizes:?} is too large"))),
    }
}

/// A host number as a scalar tensor.
pub(super) fn scalar(dtype: DType, value: &HostValue) -> Tensor {
    match value {
        HostValue::Int(value) if !dtype.is_float() => {
            Tensor::from_i64(dtype, vec![], vec![tensor::wrap(dtype, *value)])
        }
        value => Tensor::from_f64(dtype, vec![], [value.as_float().unwrap_or(f64::NAN)]),
    }
}

/// What the turns of a loop gave, along a new first axis.
pub(super) fn stacked(turns: &[Tensor], ty: &TensorType, env: &Env) -> Result<Tensor, RunError> {
    if turns.is_empty() {
        let dtype = ty.dtype().unwrap_or(DType::Float32);
        return Ok(Tensor::filled(dtype, concrete_shape(ty, env)?, 0.0));
    }
    apply_one("stack", turns, &Attrs::new().with("axis", Attr::int(0)))
}

/// Runs an operation of the registry.
pub(super) fn apply(name: &str, operands: &[Tensor], attrs: &Attrs) -> Result<Vec<Tensor>, RunError> {
    let op = ops::find(name).ok_or_else(|| RunError::new(E0409, format!("there is no operation `{name}`")))?.get();
    let cx = EvalCx { op, operands, attrs };
    (op.eval)(&cx).map_err(|error| RunError::new(E0409, error.0))
}

/// The first result of an operation.
pub(super) fn apply_one(name: &str, operands: &[Tensor], attrs: &Attrs) -> Result<Tensor, RunError> {
    let first = apply(name, operands, attrs)?.into_iter().next();
    first.ok_or_else(|| RunError::new(E0409, format!("`{name}` gave nothing")))
}

pub(super) fn shape_attr(sizes: &[usize]) -> Attr {
    Attr::Ints(sizes.iter().map(|size| crate::types::Dim::constant(*size as i64)).collect())
}
