//! Built-in functions on host values: lists, ranges and numbers.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::builtins::Taken;
use crate::analysis::elaborate::host::element_at;
use crate::analysis::elaborate::loops::length_of;
use crate::analysis::elaborate::names::list_length;
use crate::analysis::value::{Comparison, Cond, List, Value};
use crate::analysis::world::Walk;
use crate::base::{Span, code};
use crate::types::host::{HostFn, HostOp};
use crate::types::{Dim, HostExpr};

/// A call of one of them.
struct HostCall<'a, 'db> {
    name: &'static str,
    /// The first argument, which all of them take.
    value: Value<'db>,
    value_span: Span,
    rest: &'a mut Taken<'db>,
    span: Span,
}

impl<'w, 'db> Elaborator<'w, 'db> {
    pub(super) fn host_builtin(&mut self, name: &'static str, rest: &mut Taken<'db>, span: Span) -> Walk<Value<'db>> {
        let first = self.required(rest, "x", span)?;
        let call = HostCall { name, value: first.value, value_span: first.span, rest, span };
        let function: fn(&mut Elaborator<'w, 'db>, HostCall<'_, 'db>) -> Walk<Value<'db>> = match name {
            "len" => Self::len,
            "range" => Self::range,
            "enumerate" => Self::enumerate,
            "reverse" => Self::reverse,
            "flatten" => Self::flatten,
            "zip" => Self::zip,
            "contains" => Self::contains,
            "prod" => Self::product,
            "int" => Self::int_of,
            "float" => Self::float_of,
            "ceil_div" => Self::ceil_div,
            "minimum" | "maximum" => Self::extreme,
            "sqrt" | "log" | "exp" => Self::real_function,
            "abs" => Self::magnitude,
            _ => Self::not_defined,
        };
        function(self, call)
    }

    /// Refuses a call whose arguments the function is not defined for.
    fn not_defined(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        let message = format!("`{}` is not defined for {}", call.name, call.value.describe());
        Err(self.error(code::E0201, message, call.value_span, ""))
    }

    fn len(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        match &call.value {
            Value::List(List::Growing { before: Some(before), added }) => {
                let length = Value::dim(before.add(&Dim::constant(added.len() as i64)));
                self.as_runtime(length, call.span)
            }
            Value::List(_) => Ok(list_length(&call.value).map_or(Value::Error, Value::dim)),
            Value::Opaque(opaque) => Ok(Value::dim(length_of(&opaque.name))),
            Value::Range(start, stop) => Ok(Value::dim(stop.sub(start))),
            Value::Tensor(tensor) => match tensor.ty.shape.axis(0) {
                Ok(axis) => Ok(Value::dim(tensor.ty.shape.dims[axis].clone())),
                Err(_) => Ok(Value::dim(self.fresh_dim())),
            },
            other => match self.as_items(other) {
                Some(items) => Ok(Value::int(items.len() as i64)),
                None => self.not_defined(call),
            },
        }
    }

    fn range(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        let stop = call.rest.take("stop").map(|arg| arg.value);
        match (&call.value, stop) {
            (Value::Number(HostExpr::Int(n)), None) => Ok(Value::Range(Dim::zero(), n.clone())),
            (Value::Number(HostExpr::Int(a)), Some(Value::Number(HostExpr::Int(b)))) => Ok(Value::Range(a.clone(), b)),
            _ => self.not_defined(call),
        }
    }

    fn reverse(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        let list = self.opened(call.value.clone());
        // Of a hyperparameter: some list.
        if let Value::Opaque(_) = &list {
            return Ok(list);
        }
        if let Value::List(List::Repeat { index, count, element }) = &list {
            let mirrored = count.sub(&Dim::constant(1)).sub(&Dim::symbol(index.as_str()));
            let element = Box::new(element_at(index, element, &mirrored));
            return Ok(Value::List(List::Repeat { index: index.clone(), count: count.clone(), element }));
        }
        if let Value::List(List::Stacked(_)) = &call.value {
            self.know_length(&call.value)?;
        }
        match self.as_items(&call.value) {
            Some(items) => Ok(Value::list(items.into_iter().rev().collect())),
            // Some list of a definition that is checked on its own.
            None if matches!(list, Value::List(_)) => Ok(Value::Error),
            None => self.not_defined(call),
        }
    }

    fn flatten(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        let Some(items) = self.elements(&call.value)? else {
            // Some list of a definition that is checked on its own.
            return match call.value {
                Value::List(_) | Value::Opaque(_) => Ok(Value::Error),
                _ => self.not_defined(call),
            };
        };
        let mut flat = vec![];
        for item in items {
            match (self.elements(&item)?, &item) {
                (Some(inner), _) => flat.extend(inner),
                (None, Value::List(_) | Value::Opaque(_)) => return Ok(Value::Error),
                (None, _) => flat.push(item),
            }
        }
        Ok(Value::list(flat))
    }

    /// The elements of a list; how many they are is asked for where it is not known.
    fn elements(&mut self, value: &Value<'db>) -> Walk<Option<Vec<Value<'db>>>> {
        self.know_length(value)?;
        Ok(self.as_items(value))
    }

    fn enumerate(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        if let Value::List(List::Stacked(_)) = &call.value {
            self.know_length(&call.value)?;
        }
        let list = self.opened(call.value.clone());
        if let Value::List(List::Joined(parts)) = &list {
            let mut offset = Dim::zero();
            let mut numbered = vec![];
            for part in parts {
                numbered.extend(self.numbered(part, &offset));
                offset = offset.add(&list_length(part).unwrap_or_default());
            }
            return Ok(Value::joined(numbered));
        }
        match self.numbered(&list, &Dim::zero()) {
            Some(pairs) => Ok(pairs),
            // Of a hyperparameter: some list.
            None if matches!(list, Value::Opaque(_)) => Ok(Value::Error),
            None => self.not_defined(call),
        }
    }

    /// Pairs of position and element, the first of them at `offset`.
    fn numbered(&self, list: &Value<'db>, offset: &Dim) -> Option<Value<'db>> {
        let pair = |position: Dim, element: Value<'db>| Value::Tuple(vec![Value::dim(offset.add(&position)), element]);
        if let Value::List(List::Repeat { index, count, element }) = list {
            let element = Box::new(pair(Dim::symbol(index.as_str()), (**element).clone()));
            return Some(Value::List(List::Repeat { index: index.clone(), count: count.clone(), element }));
        }
        let items = self.as_items(list)?.into_iter().enumerate();
        Some(Value::list(items.map(|(i, item)| pair(Dim::constant(i as i64), item)).collect()))
    }

    fn zip(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        let second = self.required(call.rest, "other", call.span)?.value;
        // The elements of a stack are not known one by one.
        for list in [&call.value, &second] {
            if matches!(list, Value::List(List::Stacked(_))) {
                self.know_length(list)?;
            }
        }
        let mut zipped = self.zip_two(call.value, second, call.span)?;
        while let Some(next) = call.rest.take("other") {
            zipped = flat_pairs(self.zip_two(zipped, next.value, call.span)?);
        }
        Ok(zipped)
    }

    fn zip_two(&mut self, left: Value<'db>, right: Value<'db>, span: Span) -> Walk<Value<'db>> {
        let (left, right) = (self.opened(left), self.opened(right));
        if let (
            Value::List(List::Repeat { index, count, element }),
            Value::List(List::Repeat { index: other, count: other_count, element: other_element }),
        ) = (&left, &right)
            && self.facts.equal(count, other_count)
        {
            let second = element_at(other, other_element, &Dim::symbol(index.as_str()));
            let element = Box::new(Value::Tuple(vec![(**element).clone(), second]));
            return Ok(Value::List(List::Repeat { index: index.clone(), count: count.clone(), element }));
        }
        match (self.as_items(&left), self.as_items(&right)) {
            (Some(a), Some(b)) if a.len() == b.len() => {
                Ok(Value::list(a.into_iter().zip(b).map(|(x, y)| Value::Tuple(vec![x, y])).collect()))
            }
            (Some(a), Some(b)) => {
                let message = format!("`zip` needs lists of one length, but these have {} and {}", a.len(), b.len());
                Err(self.error(code::E0303, message, span, ""))
            }
            _ if is_list(&left) && is_list(&right) => Ok(Value::Error),
            _ => Err(self.error(code::E0201, "`zip` needs two lists", span, "")),
        }
    }

    fn contains(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        let item = self.required(call.rest, "item", call.span)?.value;
        if let Value::Opaque(opaque) = &call.value {
            let text = self.item.text(self.db).get(call.span.start as usize..call.span.end as usize);
            let text = text.map_or_else(|| format!("contains({})", opaque.name), String::from);
            return Ok(Value::Bool(Cond::Opaque(text)));
        }
        let Some(items) = self.as_items(&call.value) else { return self.not_defined(call) };
        let mut found = Cond::Known(false);
        for candidate in items {
            let equal = self.host_comparison(Comparison::Eq, &candidate, &item);
            found = match (found, equal) {
                (Cond::Known(true), _) | (_, Some(Cond::Known(true))) => Cond::Known(true),
                (found, None | Some(Cond::Known(false))) => found,
                (Cond::Known(false), Some(cond)) => cond,
                (found, Some(cond)) => Cond::Or(Box::new(found), Box::new(cond)),
            };
        }
        Ok(Value::Bool(found))
    }

    fn product(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        match self.as_shape(&call.value, call.value_span)? {
            Some(shape) => Ok(Value::dim(match shape.elements() {
                Some(product) => product,
                None => self.fresh_dim(),
            })),
            None => self.not_defined(call),
        }
    }

    fn int_of(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        match &call.value {
            Value::Number(HostExpr::Int(dim)) => Ok(Value::dim(dim.clone())),
            Value::Number(number) => Ok(match self.known_number(number)? {
                Some(x) => Value::int(x as i64),
                None => Value::dim(self.fresh_dim()),
            }),
            _ => self.not_defined(call),
        }
    }

    fn float_of(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        let Value::Number(number) = call.value else { return self.not_defined(call) };
        Ok(Value::Number(number.into_float()))
    }

    fn ceil_div(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        let divisor = self.required(call.rest, "y", call.span)?.value;
        match (&call.value, &divisor) {
            (Value::Number(HostExpr::Int(a)), Value::Number(HostExpr::Int(b))) => match a.ceil_div(b) {
                Some(dim) => Ok(Value::dim(dim)),
                None => Err(self.error(code::E0404, "the divisor must be positive", call.span, "")),
            },
            _ => self.not_defined(call),
        }
    }

    fn extreme(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        let other = self.required(call.rest, "y", call.span)?.value;
        let least = call.name == "minimum";
        match (&call.value, &other) {
            (Value::Number(HostExpr::Int(a)), Value::Number(HostExpr::Int(b))) => {
                Ok(Value::dim(if least { a.minimum(b) } else { a.maximum(b) }))
            }
            (Value::Number(a), Value::Number(b)) => {
                let op = if least { HostOp::Min } else { HostOp::Max };
                Ok(Value::Number(HostExpr::binary(op, a.clone(), b.clone())))
            }
            _ => self.not_defined(call),
        }
    }

    fn real_function(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        let function = match call.name {
            "sqrt" => HostFn::Sqrt,
            "log" => HostFn::Log,
            _ => HostFn::Exp,
        };
        match &call.value {
            Value::Number(number) => Ok(Value::Number(self.host_function(function, number))),
            _ => self.not_defined(call),
        }
    }

    fn magnitude(&mut self, call: HostCall<'_, 'db>) -> Walk<Value<'db>> {
        let Value::Number(number) = &call.value else { return self.not_defined(call) };
        match number.as_dim().and_then(Dim::as_const) {
            Some(value) => Ok(Value::int(value.saturating_abs())),
            None => Ok(Value::Number(self.host_function(HostFn::Abs, number))),
        }
    }
}

fn is_list(value: &Value<'_>) -> bool {
    matches!(value, Value::List(_) | Value::Opaque(_) | Value::Range(..) | Value::Shape(_) | Value::Tuple(_))
}

/// `((a, b), c)` of each turn as `(a, b, c)`.
fn flat_pairs<'db>(pairs: Value<'db>) -> Value<'db> {
    let flat = |pair: Value<'db>| match pair {
        Value::Tuple(mut sides) if sides.len() == 2 => match (sides.pop(), sides.pop()) {
            (Some(last), Some(Value::Tuple(mut first))) => {
                first.push(last);
                Value::Tuple(first)
            }
            (_, _) => Value::Error,
        },
        other => other,
    };
    match pairs {
        Value::List(List::Repeat { index, count, element }) => {
            Value::List(List::Repeat { index, count, element: Box::new(flat(*element)) })
        }
        Value::List(List::Items(items)) => Value::list(items.into_iter().map(flat).collect()),
        other => other,
    }
}
