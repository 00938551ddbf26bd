//! `value_and_grad(f)(a, ...)`: a region that computes `f(a, ...)` from its own copy of `a`, and whose results are
//! that number and its gradient.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::value::{List, TensorValue, Value, ValueRef};
use crate::analysis::world::{Structured, Walk, renumber, visit_tensors};
use crate::base::{Span, code};
use crate::types::TensorType;

impl<'db> Elaborator<'_, 'db> {
    /// Fails unless the value is something that computes a tensor when it is called.
    pub fn differentiable(&mut self, function: &CallArg<'db>) -> Walk<()> {
        match &function.value {
            Value::Function(_) | Value::Instance(_) | Value::List(List::Items(_)) | Value::Error => Ok(()),
            other => {
                let message = format!("`value_and_grad` takes a function, not {}", other.describe());
                let place = self.place(function.span);
                let report = crate::analysis::db::Report::new(code::E0201, message)
                    .at(place, "not a function")
                    .note("help: write `value_and_grad(f)(x)`, not `value_and_grad(f(x))`");
                Err(self.fail(report))
            }
        }
    }

    pub fn value_and_grad(
        &mut self,
        function: Value<'db>,
        mut args: Vec<CallArg<'db>>,
        span: Span,
    ) -> Walk<Value<'db>> {
        if matches!(function, Value::Error) || args.iter().any(|arg| matches!(arg.value, Value::Error)) {
            return Ok(Value::Error);
        }
        let Some(first) = args.first_mut() else {
            let message = "the function that `value_and_grad` gives takes what the gradient is for";
            return Err(self.error(code::E0203, message, span, "no argument"));
        };
        let subject_span = first.span;
        let subject = self.with_parameters(first.value.clone(), subject_span)?;
        let tensors = self.float_tensors(&subject, subject_span)?;
        let types: Vec<TensorType> = tensors.iter().map(|tensor| tensor.ty.clone()).collect();
        let operands: Vec<ValueRef> = tensors.iter().map(|tensor| tensor.value).collect();
        let params = self.world.open(&types);
        first.value = renumber(subject.clone(), &mut params.into_iter());
        let value = self.call_value(function, args, span)?;
        let value = match value {
            Value::Error => return Ok(Value::Error),
            Value::Tensor(tensor) if tensor.ty.elem.is_float() && matches!(tensor.ty.shape.rank(), Some(0) | None) => {
                tensor
            }
            other => {
                let message = format!("only a number has a gradient, but the function gives {}", other.describe());
                let place = self.place(span);
                let report = crate::analysis::db::Report::new(code::E0201, message)
                    .at(place, "not a float scalar")
                    .note("help: reduce it, as in `sum(y)` or `mean(y)`");
                return Err(self.fail(report));
            }
        };
        let place = self.place(span);
        self.world.close(&[value.value], place);
        let results: Vec<TensorType> = std::iter::once(value.ty.clone()).chain(types).collect();
        let mut found = self.world.structured(Structured::Gradient, &operands, &results, place).into_iter();
        let first = found.next().unwrap_or(value.value);
        let number = Value::Tensor(TensorValue { ty: value.ty, value: first });
        Ok(Value::Tuple(vec![number, renumber(subject, &mut found)]))
    }

    /// The tensors of what the gradient is for, all of them floats.
    fn float_tensors(&mut self, subject: &Value<'db>, span: Span) -> Walk<Vec<TensorValue>> {
        let mut tensors = vec![];
        visit_tensors(subject, &mut |tensor| tensors.push(tensor.clone()));
        let wrong = match tensors.iter().find(|tensor| !tensor.ty.elem.is_float()) {
            Some(tensor) => Some(format!("a tensor {}", tensor.ty)),
            // A definition leaves open which parameters an instance has.
            None if !self.world.specialises() && subject.has_instance() && is_tensors(subject) => None,
            None if tensors.is_empty() || !is_tensors(subject) => Some(subject.describe()),
            None => None,
        };
        let Some(wrong) = wrong else { return Ok(tensors) };
        let message = format!(
            "the gradient is for a float tensor, an instance with parameters, or a tuple or list of these, not for {wrong}"
        );
        Err(self.error(code::E0201, message, span, "no float tensor"))
    }
}

/// A tensor, an instance, or a tuple or list of these.
fn is_tensors(value: &Value<'_>) -> bool {
    match value {
        Value::Tensor(_) | Value::Instance(_) => true,
        Value::Tuple(items) | Value::List(List::Items(items)) => items.iter().all(is_tensors),
        _ => false,
    }
}
