//! Gradients of operations: what a registry entry says about its derivative.
//!
//! A rule builds the vector-Jacobian product of one use of an operation: from the gradients of its results,
//! those of its operands, out of other operations of the registry. It works on a [`Tape`], which a pass
//! implements, so that nothing here knows where instructions go. Values of the forward computation are asked
//! for one by one ([`GradientCx::operand`], [`GradientCx::result`]): what no rule asks for need not be kept.
//!
//! At kinks the choice is that of PyTorch: `abs` and `sign` have 0 at 0, equal elements share the gradient of
//! `maximum`, `max` and their kin, the bounds of `clamp` belong to the outside.
//!
//! ```text
//! %y = exp %x        gives, with %gy the gradient of %y,        %gx = mul %gy, %y
//! ```

pub mod conv;
pub mod elementwise;
pub mod index;
pub mod join;
pub mod matmul;
pub mod pool;
pub mod quantize;
pub mod reduce;
pub mod repeat;
pub mod scan;
pub mod shape;
pub mod slice;

use crate::ops::{Attr, Attrs, Op, OpId, find};
use crate::types::{Dim, Facts, HostExpr, Shape, TensorType};
use std::fmt;

/// What an entry of the registry says about its gradient.
#[derive(Clone, Copy)]
pub enum Gradient {
    /// Float results have a gradient, which the rule takes to the float operands.
    Rule(GradientRule),
    /// The same where codes stand for floats: the gradient of the value that they stand for passes through
    /// the first operand or result, though its elements are integers.
    StraightThrough(GradientRule),
    /// There is none, and why.
    None(&'static str),
}

/// Gradients of the operands, in order; `None` for one that is not wanted or has none.
pub type Grads = Result<Vec<Option<Var>>, GradientError>;
pub type GradientRule = fn(&mut GradientCx<'_>) -> Grads;

/// Why a use of an operation has no gradient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GradientError(pub String);

impl fmt::Display for GradientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value of the backward computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Var(pub u32);

type Made = Result<Var, GradientError>;

/// What a rule builds on.
pub trait Tape {
    /// An operand of the operation, as the forward computation had it.
    fn operand(&mut self, index: usize) -> Made;
    /// A result of the operation, as the forward computation had it.
    fn result(&mut self, index: usize) -> Made;
    /// Applies an operation with all its attributes.
    fn apply(&mut self, op: OpId, operands: &[Var], attrs: Attrs) -> Result<Vec<Var>, GradientError>;
    fn ty(&self, var: Var) -> TensorType;
    fn facts(&self) -> &Facts;
}

/// One use of an operation whose gradient is built.
pub struct GradientCx<'a> {
    pub op: &'static Op,
    pub attrs: &'a Attrs,
    /// Types of the operands.
    pub operands: &'a [TensorType],
    pub results: &'a [TensorType],
    /// Whether the gradient of an operand is asked for.
    pub wanted: &'a [bool],
    /// Gradients of the results; `None` stands for zeros.
    pub grads: &'a [Option<Var>],
    pub tape: &'a mut dyn Tape,
}

impl GradientCx<'_> {
    pub fn operand(&mut self, index: usize) -> Made {
        self.tape.operand(index)
    }

    pub fn result(&mut self, index: usize) -> Made {
        self.tape.result(index)
    }

    /// The gradient of the first result.
    pub fn grad(&mut self) -> Made {
        self.grad_of(0)
    }

    pub fn grad_of(&mut self, result: usize) -> Made {
        match self.grads.get(result).copied().flatten() {
            Some(grad) => Ok(grad),
            None => self.zeros(&self.results[result].clone()),
        }
    }

    pub fn ty(&self, var: Var) -> TensorType {
        self.tape.ty(var)
    }

    pub fn fail<T>(&self, why: impl fmt::Display) -> Result<T, GradientError> {
        Err(GradientError(format!("`{}` has no gradient here: {why}", self.op.name)))
    }

    /// An operation with default attributes.
    pub fn op(&mut self, name: &str, operands: &[Var]) -> Made {
        self.with(name, operands, Attrs::new())
    }

    /// An operation with one result; attributes left out have their defaults.
    pub fn with(&mut self, name: &str, operands: &[Var], attrs: Attrs) -> Made {
        let results = self.all(name, operands, attrs)?;
        results.into_iter().next().ok_or_else(|| GradientError(format!("`{name}` gave nothing")))
    }

    /// The same with all results.
    pub fn all(&mut self, name: &str, operands: &[Var], attrs: Attrs) -> Result<Vec<Var>, GradientError> {
        let Some(op) = find(name) else { return self.fail(format!("there is no `{name}`")) };
        self.tape.apply(op, operands, op.get().with_defaults(&attrs))
    }

    pub fn add(&mut self, a: Var, b: Var) -> Made {
        self.op("add", &[a, b])
    }

    pub fn sub(&mut self, a: Var, b: Var) -> Made {
        self.op("sub", &[a, b])
    }

    pub fn mul(&mut self, a: Var, b: Var) -> Made {
        self.op("mul", &[a, b])
    }

    pub fn div(&mut self, a: Var, b: Var) -> Made {
        self.op("div", &[a, b])
    }

    pub fn neg(&mut self, x: Var) -> Made {
        self.op("neg", &[x])
    }

    /// A scalar with the element type of `like`.
    pub fn number(&mut self, value: f64, like: Var) -> Made {
        self.scalar(Attr::Float(HostExpr::float(value)), like)
    }

    /// A host number as a scalar with the element type of `like`.
    pub fn scalar(&mut self, value: Attr, like: Var) -> Made {
        let elem = self.ty(like).elem;
        let attrs = shape_attr(vec![]).with("value", value).with("dtype", Attr::DType(elem));
        self.with("full", &[], attrs)
    }

    pub fn scale(&mut self, x: Var, factor: f64) -> Made {
        let factor = self.number(factor, x)?;
        self.mul(x, factor)
    }

    /// `a + x * b`
    pub fn affine(&mut self, a: f64, x: Var, b: f64) -> Made {
        let start = self.number(a, x)?;
        if b == -1.0 {
            return self.sub(start, x);
        }
        let scaled = if b == 1.0 { x } else { self.scale(x, b)? };
        self.add(start, scaled)
    }

    pub fn zeros(&mut self, ty: &TensorType) -> Made {
        let attrs = shape_attr(ty.shape.dims.clone()).with("dtype", Attr::DType(ty.elem.clone()));
        self.with("zeros", &[], attrs)
    }

    pub fn ones(&mut self, ty: &TensorType) -> Made {
        let attrs = shape_attr(ty.shape.dims.clone()).with("dtype", Attr::DType(ty.elem.clone()));
        self.with("ones", &[], attrs)
    }

    /// The value in the element type of `like`.
    pub fn cast_like(&mut self, x: Var, like: &TensorType) -> Made {
        if self.ty(x).elem == like.elem {
            return Ok(x);
        }
        self.with("cast", &[x], Attrs::new().with("dtype", Attr::DType(like.elem.clone())))
    }

    /// `x` where the condition holds, else 0.
    pub fn keep_where(&mut self, condition: Var, x: Var) -> Made {
        let zero = self.number(0.0, x)?;
        self.op("where", &[condition, x, zero])
    }

    /// The same elements under other sizes.
    pub fn reshape(&mut self, x: Var, dims: Vec<Dim>) -> Made {
        if self.ty(x).shape.dims == dims {
            return Ok(x);
        }
        self.with("reshape", &[x], shape_attr(dims))
    }

    pub fn broadcast_to(&mut self, x: Var, dims: Vec<Dim>) -> Made {
        if self.ty(x).shape.dims == dims {
            return Ok(x);
        }
        self.with("broadcast_to", &[x], shape_attr(dims))
    }

    pub fn permute(&mut self, x: Var, axes: &[usize]) -> Made {
        if axes.iter().enumerate().all(|(place, axis)| place == *axis) {
            return Ok(x);
        }
        self.with("permute", &[x], Attrs::new().with("axes", ints(axes)))
    }

    /// Exchanges the last two axes.
    pub fn transposed(&mut self, x: Var) -> Made {
        self.with("transpose", &[x], Attrs::new().with("axis0", Attr::int(-2)).with("axis1", Attr::int(-1)))
    }

    pub fn sum(&mut self, x: Var, axes: &[usize], keepdim: bool) -> Made {
        if axes.is_empty() {
            return Ok(x);
        }
        self.with("sum", &[x], Attrs::new().with("axis", ints(axes)).with("keepdim", Attr::Bool(keepdim)))
    }

    pub fn slice(&mut self, x: Var, axis: usize, start: Dim, stop: Dim) -> Made {
        let attrs = axis_attr(axis).with("start", Attr::Int(start)).with("stop", Attr::Int(stop));
        self.with("slice", &[x], attrs)
    }

    /// The first `size` elements of an axis; `x` itself if there are provably no more.
    pub fn first(&mut self, x: Var, axis: usize, size: &Dim) -> Made {
        if self.tape.facts().equal(&self.ty(x).shape.dims[axis], size) {
            return Ok(x);
        }
        self.slice(x, axis, Dim::zero(), size.clone())
    }

    pub fn flip(&mut self, x: Var, axis: usize) -> Made {
        self.with("flip", &[x], Attrs::new().with("axes", ints(&[axis])))
    }

    /// Adds up what broadcasting repeated, so that `x` gets the type's shape.
    pub fn sum_to(&mut self, x: Var, ty: &TensorType) -> Made {
        let found = self.ty(x).shape.dims;
        let wanted = &ty.shape.dims;
        let Some(extra) = found.len().checked_sub(wanted.len()) else {
            return self.fail(format!("[{}] does not come from [{}]", Shape::new(found), ty.shape));
        };
        let leading: Vec<usize> = (0..extra).collect();
        let x = self.sum(x, &leading, false)?;
        let mut repeated = vec![];
        for (axis, (found, wanted)) in found[extra..].iter().zip(wanted).enumerate() {
            if self.tape.facts().equal(found, wanted) {
                continue;
            }
            if !wanted.is_const(1) {
                return self.fail(format!("whether an axis of size {wanted} is broadcast to {found} is not known"));
            }
            repeated.push(axis);
        }
        self.sum(x, &repeated, true)
    }

    /// One gradient for each wanted operand, brought back to its shape and element type.
    pub fn each(&mut self, make: impl Fn(&mut Self, usize) -> Made) -> Grads {
        let mut grads = vec![None; self.operands.len()];
        for (index, slot) in grads.iter_mut().enumerate() {
            if self.wanted[index] {
                let grad = make(self, index)?;
                let ty = self.operands[index].clone();
                *slot = Some(self.sum_to(grad, &ty)?);
            }
        }
        Ok(grads)
    }

    /// The gradient of the only float operand, the first.
    pub fn only(&self, grad: Var) -> Grads {
        let mut grads = vec![None; self.operands.len()];
        if let Some(first) = grads.first_mut() {
            *first = Some(grad);
        }
        Ok(grads)
    }

    /// The result's gradient times the derivative, for a function of one operand.
    pub fn chain(&mut self, derivative: Var) -> Grads {
        let grad = self.grad()?;
        let product = self.mul(grad, derivative)?;
        self.only(product)
    }

    /// An int attribute, possibly symbolic.
    pub fn dim(&self, name: &str) -> Result<Dim, GradientError> {
        match self.attrs.get(name) {
            Some(Attr::Int(dim)) => Ok(dim.clone()),
            _ => self.fail(format!("`{name}` is not known")),
        }
    }

    /// As many ints as asked for; one stands for all.
    pub fn spatial(&self, name: &str, count: usize) -> Result<Vec<Dim>, GradientError> {
        match self.attrs.get(name) {
            Some(Attr::Int(dim)) => Ok(vec![dim.clone(); count]),
            Some(Attr::Ints(dims)) if dims.len() == 1 => Ok(vec![dims[0].clone(); count]),
            Some(Attr::Ints(dims)) if dims.len() == count => Ok(dims.clone()),
            _ => self.fail(format!("`{name}` is not known")),
        }
    }

    /// An axis attribute as an index of operand 0.
    pub fn axis(&self, name: &str) -> Result<usize, GradientError> {
        let value = self.attrs.const_int(name);
        let axis = value.and_then(|value| self.operands.first()?.shape.axis(value).ok());
        axis.map_or_else(|| self.fail(format!("`{name}` is not known")), Ok)
    }

    /// An axes attribute as sorted indices of operand 0; all for `none`.
    pub fn axes(&self, name: &str) -> Result<Vec<usize>, GradientError> {
        let shape = &self.operands[0].shape;
        if matches!(self.attrs.get(name), None | Some(Attr::None)) {
            return Ok((0..shape.dims.len()).collect());
        }
        let values = self.attrs.const_ints(name);
        let axes = values.and_then(|values| values.iter().map(|value| shape.axis(*value).ok()).collect());
        let Some(axes): Option<Vec<usize>> = axes else { return self.fail(format!("`{name}` is not known")) };
        Ok(axes)
    }
}

pub fn ints(values: &[usize]) -> Attr {
    Attr::Ints(values.iter().map(|value| Dim::constant(*value as i64)).collect())
}

pub fn shape_attr(dims: Vec<Dim>) -> Attrs {
    Attrs::new().with("shape", Attr::Shape(Shape::new(dims)))
}

pub fn axis_attr(axis: usize) -> Attrs {
    Attrs::new().with("axis", Attr::int(axis as i64))
}

pub fn product(dims: &[Dim]) -> Dim {
    dims.iter().fold(Dim::constant(1), |product, dim| product.mul(dim))
}

pub const INTEGERS: Gradient = Gradient::None("its result is integers or truth values");
pub const PIECEWISE: Gradient = Gradient::None("it is constant between its steps, so that the gradient is zero");
pub const NO_OPERANDS: Gradient = Gradient::None("it has no float operands");

#[cfg(test)]
mod tests;
