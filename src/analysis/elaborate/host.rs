//! Arithmetic and comparison of host values.

use crate::analysis::db::Report;
use crate::analysis::elaborate::Elaborator;
use crate::analysis::value::{Comparison, Cond, List, Value};
use crate::analysis::world::Walk;
use crate::base::{Span, code};
use crate::syntax::ast::BinaryOp;
use crate::types::host::{HostFn, HostOp};
use crate::types::{Dim, HostExpr, Shape};

impl<'db> Elaborator<'_, 'db> {
    /// Arithmetic of two host numbers. Ints stay ints but under `/`.
    pub fn host_arithmetic(&mut self, op: BinaryOp, a: &HostExpr, b: &HostExpr, span: Span) -> Walk<HostExpr> {
        if let (HostExpr::Int(x), HostExpr::Int(y)) = (a, b) {
            if let (Some(x), Some(y)) = (x.as_const(), y.as_const()) {
                self.check_overflow(op, x, y, span)?;
            }
            let result = match op {
                BinaryOp::Add => Some(x.add(y)),
                BinaryOp::Sub => Some(x.sub(y)),
                BinaryOp::Mul => Some(x.mul(y)),
                BinaryOp::FloorDiv | BinaryOp::Mod => {
                    let divisor = self.facts.normal(y);
                    if divisor.is_const(0) {
                        return Err(self.error(code::E0404, "division by zero", span, "the divisor is 0"));
                    }
                    if let (Some(x), Some(y)) = (x.as_const(), y.as_const()) {
                        let floor =
                            x.checked_div_euclid(y).map(|q| if y < 0 && x.rem_euclid(y) != 0 { q - 1 } else { q });
                        let floor = floor.unwrap_or(i64::MAX);
                        let rest = x.wrapping_sub(y.wrapping_mul(floor));
                        return Ok(HostExpr::int(if op == BinaryOp::Mod { rest } else { floor }));
                    }
                    if op == BinaryOp::FloorDiv { x.floor_div(y) } else { x.modulo(y) }
                }
                BinaryOp::Pow => x.pow(y),
                _ => None,
            };
            if let Some(dim) = result {
                return Ok(HostExpr::Int(dim));
            }
        }
        let op = match op {
            BinaryOp::Add => HostOp::Add,
            BinaryOp::Sub => HostOp::Sub,
            BinaryOp::Mul => HostOp::Mul,
            BinaryOp::Div => HostOp::Div,
            BinaryOp::Pow => HostOp::Pow,
            BinaryOp::FloorDiv | BinaryOp::Mod => return self.float_division(op, a, b, span),
            _ => {
                let message = "this operator is not defined for numbers";
                return Err(self.error(code::E0201, message, span, "needs tensors"));
            }
        };
        Ok(HostExpr::binary(op, a.clone(), b.clone()))
    }

    /// Host ints are 64 bits wide; what does not fit is an error, never another number.
    fn check_overflow(&mut self, op: BinaryOp, x: i64, y: i64, span: Span) -> Walk<()> {
        let fits = match op {
            BinaryOp::Add => x.checked_add(y).is_some(),
            BinaryOp::Sub => x.checked_sub(y).is_some(),
            BinaryOp::Mul => x.checked_mul(y).is_some(),
            BinaryOp::Pow if y >= 0 => match u32::try_from(y) {
                Ok(y) => x.checked_pow(y).is_some(),
                Err(_) => (-1..=1).contains(&x),
            },
            _ => true,
        };
        match fits {
            true => Ok(()),
            false => Err(self.error(code::E0404, "this number does not fit 64 bits", span, "overflows")),
        }
    }

    fn float_division(&mut self, op: BinaryOp, a: &HostExpr, b: &HostExpr, span: Span) -> Walk<HostExpr> {
        match (a.as_const(), b.as_const()) {
            (Some(x), Some(y)) if y != 0.0 => {
                let floor = (x / y).floor();
                Ok(HostExpr::float(if op == BinaryOp::FloorDiv { floor } else { x - y * floor }))
            }
            (Some(_), Some(_)) => Err(self.error(code::E0404, "division by zero", span, "the divisor is 0")),
            _ => {
                let message = "`//` and `%` of floats need numbers that are known";
                Err(self.error(code::E0401, message, span, "not known here"))
            }
        }
    }

    pub fn host_function(&self, function: HostFn, x: &HostExpr) -> HostExpr {
        HostExpr::unary(function, x.clone())
    }

    /// `a < b` and the like on host values; `None` if these do not compare.
    pub fn host_comparison(&mut self, op: Comparison, a: &Value<'db>, b: &Value<'db>) -> Option<Cond> {
        match (a, b) {
            (Value::Number(x), Value::Number(y)) => Some(compare_numbers(op, x, y)),
            _ => {
                let equal = self.host_equal(a, b)?;
                match op {
                    Comparison::Eq => Some(equal),
                    Comparison::Ne => Some(equal.negated()),
                    _ => None,
                }
            }
        }
    }

    fn host_equal(&mut self, a: &Value<'db>, b: &Value<'db>) -> Option<Cond> {
        let known = |b: bool| Some(Cond::Known(b));
        match (a, b) {
            (Value::Number(x), Value::Number(y)) => Some(compare_numbers(Comparison::Eq, x, y)),
            (Value::None, Value::None) => known(true),
            (Value::None, other) | (other, Value::None) => match other {
                Value::Error => None,
                _ => known(false),
            },
            (Value::Str(x), Value::Str(y)) => known(x == y),
            (Value::DType(x), Value::DType(y)) => match (x.known(), y.known()) {
                (Some(x), Some(y)) => known(x == y),
                _ if x == y => known(true),
                _ => Some(Cond::Opaque(format!("{x} == {y}"))),
            },
            (Value::Bool(x), Value::Bool(y)) => match (x, y) {
                (Cond::Known(x), Cond::Known(y)) => known(x == y),
                (c, Cond::Known(true)) | (Cond::Known(true), c) => Some(c.clone()),
                (c, Cond::Known(false)) | (Cond::Known(false), c) => Some(c.clone().negated()),
                _ => None,
            },
            (Value::Opaque(o), other) | (other, Value::Opaque(o)) => {
                let text = match other {
                    Value::Str(s) => format!("{s:?}"),
                    Value::DType(d) => d.to_string(),
                    Value::Opaque(o) => o.name.clone(),
                    _ => return None,
                };
                Some(Cond::Opaque(format!("{} == {text}", o.name)))
            }
            (Value::Scheme(x), Value::Scheme(y)) => known(x == y),
            (Value::Function(_) | Value::Layer(..), Value::Function(_) | Value::Layer(..)) => known(a == b),
            _ => {
                let (x, y) = (self.as_items(a)?, self.as_items(b)?);
                if x.len() != y.len() {
                    return known(false);
                }
                x.iter().zip(&y).try_fold(Cond::Known(true), |all, (x, y)| {
                    let equal = self.host_equal(x, y)?;
                    Some(match (all, equal) {
                        (Cond::Known(true), c) | (c, Cond::Known(true)) => c,
                        (Cond::Known(false), _) | (_, Cond::Known(false)) => Cond::Known(false),
                        (a, b) => Cond::And(Box::new(a), Box::new(b)),
                    })
                })
            }
        }
    }

    /// The elements of a list, tuple or shape whose length is known.
    pub fn as_items(&self, value: &Value<'db>) -> Option<Vec<Value<'db>>> {
        match value {
            Value::Tuple(items) | Value::List(List::Items(items)) => Some(items.clone()),
            Value::Shape(shape) => Some(shape.known()?.iter().cloned().map(Value::dim).collect()),
            Value::List(List::Repeat { index, count, element }) => {
                let count = self.facts.normal(count).as_const().filter(|n| *n <= super::loops::MAX_EXPANDED)?;
                Some((0..count).map(|i| element_at(index, element, &Dim::constant(i))).collect())
            }
            Value::List(List::Joined(parts)) => {
                let parts: Option<Vec<_>> = parts.iter().map(|part| self.as_items(part)).collect();
                Some(parts?.concat())
            }
            Value::Range(start, stop) => {
                let (start, stop) = (self.facts.normal(start).as_const()?, self.facts.normal(stop).as_const()?);
                let few = stop.saturating_sub(start) <= super::loops::MAX_EXPANDED;
                few.then(|| (start..stop).map(Value::int).collect())
            }
            _ => None,
        }
    }

    /// Asks for the length of a list whose elements are not there one by one.
    pub fn know_length(&mut self, list: &Value<'db>) -> Walk<()> {
        super::names::list_length(list).map_or(Ok(()), |length| self.known_int(&length).map(|_| ()))
    }

    /// A list, shape or number as a shape list.
    pub fn as_shape(&mut self, value: &Value<'db>, span: Span) -> Walk<Option<Shape>> {
        if let Value::Shape(shape) = value {
            return Ok(Some(shape.clone()));
        }
        let items = match value {
            Value::Number(_) => vec![value.clone()],
            Value::List(List::Repeat { .. } | List::Stacked(_)) => {
                self.know_length(value)?;
                match self.as_items(value) {
                    Some(items) => items,
                    None => return Ok(None),
                }
            }
            _ => match self.as_items(value) {
                Some(items) => items,
                None => return Ok(None),
            },
        };
        let mut shape = Shape::default();
        for item in items {
            match item {
                Value::Number(HostExpr::Int(dim)) => shape.dims.push(dim),
                Value::Shape(inner) => {
                    if let Some((at, pack)) = inner.pack {
                        if shape.pack.is_some() {
                            let message = "a shape can have one run of unknown length only";
                            return Err(self.error(code::E0304, message, span, "two of them here"));
                        }
                        shape.pack = Some((shape.dims.len() + at, pack));
                    }
                    shape.dims.extend(inner.dims);
                }
                Value::Opaque(_) => {
                    let dim = self.fresh_dim();
                    shape.dims.push(dim);
                }
                Value::Error => return Err(crate::analysis::world::Abort::Reported),
                Value::Tensor(tensor) if tensor.ty.shape.rank() == Some(0) && tensor.ty.elem.is_int() => {
                    let source = self.item.text(self.db).get(span.start as usize..span.end as usize).unwrap_or("");
                    let message = format!("the sizes `{source}` are not known when the program is compiled");
                    let report = Report::new(code::E0401, message)
                        .at(self.place(span), format!("holds a tensor {}", tensor.ty))
                        .note(
                            "a size is made of hyperparameters, constants and dims; a parameter of type `int` is one",
                        );
                    return Err(self.fail(report));
                }
                other => {
                    let place = self.place(span);
                    let message = format!("a shape is a list of ints; {} is not one", other.describe());
                    return Err(self.fail(Report::new(code::E0201, message).at(place, "in this list")));
                }
            }
        }
        Ok(Some(shape))
    }
}

fn compare_numbers(op: Comparison, x: &HostExpr, y: &HostExpr) -> Cond {
    match (x.as_const(), y.as_const()) {
        (Some(a), Some(b)) => Cond::Known(op.holds(a, b)),
        _ if x == y => Cond::Known(matches!(op, Comparison::Eq | Comparison::Le | Comparison::Ge)),
        _ => Cond::Compare(op, x.clone(), y.clone()),
    }
}

/// An element of a repeated list.
pub fn element_at<'db>(index: &crate::types::Symbol, element: &Value<'db>, position: &Dim) -> Value<'db> {
    element.substitute(&|symbol| (symbol == index).then(|| HostExpr::Int(position.clone())))
}
