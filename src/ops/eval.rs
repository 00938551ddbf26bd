//! What a reference evaluation sees, and how it fails.

use crate::ops::attr::Attrs;
use crate::ops::{Op, ParamKind};
use crate::quant::Scheme;
use crate::types::{DType, Tensor};

/// Operands and concrete attributes of one evaluation.
pub struct EvalCx<'a> {
    pub op: &'static Op,
    pub operands: &'a [Tensor],
    pub attrs: &'a Attrs,
}

/// A failure at run time: an index out of range, a size that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError(pub String);

impl EvalError {
    pub fn new(message: impl Into<String>) -> EvalError {
        EvalError(message.into())
    }
}

impl<'a> EvalCx<'a> {
    fn missing(&self, name: &str) -> EvalError {
        EvalError(format!("{}: attribute `{name}` is missing or not a number yet", self.op.name))
    }

    pub fn operand(&self, index: usize) -> &'a Tensor {
        &self.operands[index]
    }

    /// The operand of the op's optional tensor parameter.
    pub fn optional(&self) -> Option<&'a Tensor> {
        let required = self.op.params.iter().filter(|p| p.kind == ParamKind::Tensor).count();
        self.operands.get(required)
    }

    pub fn int(&self, name: &str) -> Result<i64, EvalError> {
        self.attrs.const_int(name).ok_or_else(|| self.missing(name))
    }

    /// An int or a list; `None` if the attribute is `none`.
    pub fn ints(&self, name: &str) -> Result<Vec<i64>, EvalError> {
        self.attrs.const_ints(name).ok_or_else(|| self.missing(name))
    }

    /// As many ints as asked for; one stands for all.
    pub fn spatial(&self, name: &str, count: usize) -> Result<Vec<usize>, EvalError> {
        let values = self.ints(name)?;
        let values = if values.len() == 1 { vec![values[0]; count] } else { values };
        let sizes: Option<Vec<usize>> = values.iter().map(|v| usize::try_from(*v).ok()).collect();
        sizes.filter(|s| s.len() == count).ok_or_else(|| {
            EvalError(format!("{}: `{name}` must be {count} sizes of at least 0, not {values:?}", self.op.name))
        })
    }

    /// A shape attribute as sizes.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>, EvalError> {
        let sizes: Option<Vec<usize>> = self.ints(name)?.into_iter().map(|v| usize::try_from(v).ok()).collect();
        sizes.ok_or_else(|| EvalError(format!("{}: a size in `{name}` is negative", self.op.name)))
    }

    pub fn float(&self, name: &str) -> Result<f64, EvalError> {
        self.attrs.const_float(name).ok_or_else(|| self.missing(name))
    }

    pub fn bool(&self, name: &str) -> Result<bool, EvalError> {
        self.attrs.bool(name).ok_or_else(|| self.missing(name))
    }

    pub fn str(&self, name: &str) -> Result<&'a str, EvalError> {
        self.attrs.str(name).ok_or_else(|| self.missing(name))
    }

    pub fn dtype(&self, name: &str) -> Result<DType, EvalError> {
        match self.attrs.get(name) {
            Some(crate::ops::Attr::DType(elem)) => elem.known().ok_or_else(|| self.missing(name)),
            _ => Err(self.missing(name)),
        }
    }

    pub fn scheme(&self, name: &str) -> Result<&'a Scheme, EvalError> {
        self.attrs.scheme(name).ok_or_else(|| self.missing(name))
    }

    /// An axis attribute as an index into a tensor of this rank.
    pub fn axis(&self, name: &str, rank: usize) -> Result<usize, EvalError> {
        resolve_axis(self.op.name, self.int(name)?, rank)
    }

    /// An axes attribute: all of them for `none`.
    pub fn axes(&self, name: &str, rank: usize) -> Result<Vec<usize>, EvalError> {
        match self.attrs.get(name) {
            None | Some(crate::ops::Attr::None) => Ok((0..rank).collect()),
            _ => self.ints(name)?.into_iter().map(|a| resolve_axis(self.op.name, a, rank)).collect(),
        }
    }
}

fn resolve_axis(op: &str, axis: i64, rank: usize) -> Result<usize, EvalError> {
    let resolved = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(resolved)
        .ok()
        .filter(|a| *a < rank)
        .ok_or_else(|| EvalError(format!("{op}: axis {axis} is out of range for rank {rank}")))
}
