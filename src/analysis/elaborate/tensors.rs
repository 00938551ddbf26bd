//! Host values as tensors: numbers, and lists of them.

use crate::analysis::db::Report;
use crate::analysis::elaborate::Elaborator;
use crate::analysis::value::{List, TensorValue, Value};
use crate::analysis::world::{Abort, Leaf, Walk};
use crate::base::{Span, code};
use crate::ops::{Attr, Attrs};
use crate::types::{Bound, DType, Elem, HostExpr, Tensor, TensorType};

impl<'db> Elaborator<'_, 'db> {
    /// A value as a tensor: numbers and lists of them take the element type of their surroundings.
    pub fn to_tensor(&mut self, value: Value<'db>, hint: Option<&Elem>, span: Span) -> Walk<TensorValue> {
        match value {
            Value::Tensor(tensor) => Ok(tensor),
            Value::Number(number) => {
                let elem =
                    hint.cloned().or_else(|| self.context.clone()).unwrap_or(Elem::Known(match number.is_int() {
                        true => DType::Int64,
                        false => DType::Float32,
                    }));
                self.number_fits(&number, &elem, span)?;
                let ty = TensorType::scalar(elem);
                let place = self.place(span);
                let refs = self.world.leaf(Leaf::Host(number), &[], std::slice::from_ref(&ty), place);
                Ok(TensorValue { ty, value: refs[0] })
            }
            Value::Bool(cond) if self.is_told_by_run(&cond) => self.run_time_condition(&cond, span),
            Value::Bool(cond) => {
                let truth = self.decide(&cond)?;
                let constant = Tensor::from_i64(DType::Bool, vec![], vec![i64::from(truth)]);
                Ok(self.constant(constant, span))
            }
            Value::List(List::Stacked(stack)) => Ok(*stack),
            Value::List(_) | Value::Shape(_) => self.list_to_tensor(value, hint, span),
            Value::Error => Err(Abort::Reported),
            other => {
                let message = format!("a tensor is needed here, not {}", other.describe());
                Err(self.error(code::E0201, message, span, format!("this is {}", other.describe())))
            }
        }
    }

    /// A literal number must be representable.
    fn number_fits(&mut self, number: &HostExpr, elem: &Elem, span: Span) -> Walk<()> {
        let Some(dtype) = elem.known() else {
            // `num` and `any` may turn out to be a float type; where they do not, the call is refused.
            if !number.is_int() && matches!(elem, Elem::Var(_, Bound::Int)) {
                let message = format!("a float does not fit {elem}, which may be an integer type");
                return Err(self.error(code::E0202, message, span, "a float"));
            }
            return Ok(());
        };
        if dtype.is_float() {
            return Ok(());
        }
        if !number.is_int() {
            let place = self.place(span);
            let report = Report::new(code::E0202, format!("a float does not fit {dtype}"))
                .at(place, "a float")
                .note("there is no silent conversion: use an integer, or convert the tensor with `.to(float32)`");
            return Err(self.fail(report));
        }
        if let (Some(value), Some((low, high))) = (number.as_const(), dtype.int_range())
            && !(low as f64..=high as f64).contains(&value)
        {
            let message = format!("{value} is out of range for {dtype}");
            return Err(self.error(code::E0212, message, span, format!("{dtype} holds {low} to {high}")));
        }
        Ok(())
    }

    pub fn constant(&mut self, tensor: Tensor, span: Span) -> TensorValue {
        let ty = TensorType::new(tensor.dtype(), crate::types::Shape::of(tensor.shape()));
        let place = self.place(span);
        let refs = self.world.leaf(Leaf::Const(tensor), &[], std::slice::from_ref(&ty), place);
        TensorValue { ty, value: refs[0] }
    }

    /// Nested lists of numbers make a constant; lists of tensors are stacked.
    fn list_to_tensor(&mut self, value: Value<'db>, hint: Option<&Elem>, span: Span) -> Walk<TensorValue> {
        if value.has_tensor() {
            let items = self.as_items(&value).unwrap_or_default();
            let operands: Walk<Vec<_>> = items.into_iter().map(|item| self.to_tensor(item, hint, span)).collect();
            let operands = operands?;
            let spans = vec![span; operands.len()];
            let attrs = Attrs::new().with("axis", Attr::int(0));
            return match self.emit_one("stack", operands, attrs, &spans, span)? {
                Value::Tensor(tensor) => Ok(tensor),
                _ => Err(Abort::Reported),
            };
        }
        let mut numbers = vec![];
        let mut shape = vec![];
        let regular = self.flatten_numbers(&value, 0, &mut shape, &mut numbers, span)?;
        if !regular {
            let message = "the rows of this list have different lengths";
            return Err(self.error(code::E0303, message, span, "not a regular array"));
        }
        let all_ints = numbers.iter().all(HostExpr::is_int);
        let elem = hint.cloned().or_else(|| self.context.clone());
        let elem = match holds_bools(&value) {
            true => Elem::Known(DType::Bool),
            false => elem.unwrap_or(Elem::Known(if all_ints { DType::Int64 } else { DType::Float32 })),
        };
        let mut values = vec![];
        for number in &numbers {
            self.number_fits(number, &elem, span)?;
            match self.known_number(number)? {
                Some(value) => values.push(value),
                None => {
                    // Sizes that are still symbols: the shape is known, the values are not.
                    let ty = TensorType::new(elem, crate::types::Shape::of(&shape));
                    let zeros = Tensor::filled(ty.dtype().unwrap_or(DType::Float32), shape, 0.0);
                    let tensor = self.constant(zeros, span);
                    return Ok(TensorValue { ty, value: tensor.value });
                }
            }
        }
        let dtype = elem.known().unwrap_or(DType::Float32);
        let mut tensor = self.constant(Tensor::from_f64(dtype, shape, values), span);
        tensor.ty.elem = elem;
        Ok(tensor)
    }

    fn flatten_numbers(
        &mut self,
        value: &Value<'db>,
        depth: usize,
        shape: &mut Vec<usize>,
        numbers: &mut Vec<HostExpr>,
        span: Span,
    ) -> Walk<bool> {
        if let Value::Number(number) = value {
            numbers.push(number.clone());
            return Ok(shape.len() == depth);
        }
        if let Value::Bool(cond) = value {
            numbers.push(HostExpr::int(i64::from(self.decide(&cond.clone())?)));
            return Ok(shape.len() == depth);
        }
        let Some(items) = self.as_items(value) else {
            let message = format!("a list of numbers is needed here, but it holds {}", value.describe());
            return Err(self.error(code::E0201, message, span, "in this list"));
        };
        if shape.len() == depth {
            if !numbers.is_empty() {
                return Ok(false);
            }
            shape.push(items.len());
        }
        let mut regular = shape[depth] == items.len();
        for item in &items {
            regular &= self.flatten_numbers(item, depth + 1, shape, numbers, span)?;
        }
        Ok(regular)
    }
}

/// Whether the innermost elements of nested lists are bools.
fn holds_bools(value: &Value<'_>) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::List(List::Items(items)) | Value::Tuple(items) => items.first().is_some_and(holds_bools),
        Value::List(List::Repeat { element, .. }) => holds_bools(element),
        _ => false,
    }
}
