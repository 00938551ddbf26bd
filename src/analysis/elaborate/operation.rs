//! Primitive operations: arguments to operands and attributes, the rule, the instruction.

use crate::analysis::db::Report;
use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::foreign;
use crate::analysis::value::{List, TensorValue, Value};
use crate::analysis::world::{Abort, Walk};
use crate::base::{Near, Span, code, suggest};
use crate::ops::traits::{Joining, TypedBy};
use crate::ops::{Attr, Attrs, Content, Default, OpId, Param, ParamKind, Repeat, RuleCx, Stop};
use crate::types::{DType, Dim, Elem, HostExpr, Symbol, TensorType};

/// An element of a list, or one for many: their index and number.
type Part<'db> = (Value<'db>, Option<(Symbol, Dim)>);

impl<'db> Elaborator<'_, 'db> {
    /// Runs the rule and hands the instruction to the world.
    pub fn emit(
        &mut self,
        op: OpId,
        operands: Vec<TensorValue>,
        attrs: Attrs,
        operand_spans: &[Span],
        span: Span,
    ) -> Walk<Vec<Value<'db>>> {
        self.emit_repeated(op, operands, &[], attrs, operand_spans, span)
    }

    /// As [`Elaborator::emit`], where operands may stand for several: only in a definition that is checked on its
    /// own, since lowering asks for the lengths of lists.
    fn emit_repeated(
        &mut self,
        op: OpId,
        operands: Vec<TensorValue>,
        repeats: &[Repeat],
        attrs: Attrs,
        operand_spans: &[Span],
        span: Span,
    ) -> Walk<Vec<Value<'db>>> {
        let types: Vec<TensorType> = operands.iter().map(|operand| operand.ty.clone()).collect();
        let results = self.rule_repeated(op, &types, repeats, &attrs, operand_spans, span)?;
        let values: Vec<_> = operands.iter().map(|operand| operand.value).collect();
        let place = self.place(span);
        let refs = self.world.op(op, attrs, &values, &results, place);
        Ok(results.into_iter().zip(refs).map(|(ty, value)| Value::Tensor(TensorValue { ty, value })).collect())
    }

    /// As [`Elaborator::emit`], for operations with one result.
    pub fn emit_one(
        &mut self,
        op: &str,
        operands: Vec<TensorValue>,
        attrs: Attrs,
        operand_spans: &[Span],
        span: Span,
    ) -> Walk<Value<'db>> {
        let values = self.emit(crate::ops::builtin(op), operands, attrs, operand_spans, span)?;
        Ok(values.into_iter().next().unwrap_or(Value::Error))
    }

    /// Result types by the registry's rule; its errors become reports.
    pub fn rule(
        &mut self,
        op: OpId,
        operands: &[TensorType],
        attrs: &Attrs,
        operand_spans: &[Span],
        span: Span,
    ) -> Walk<Vec<TensorType>> {
        self.rule_repeated(op, operands, &[], attrs, operand_spans, span)
    }

    fn rule_repeated(
        &mut self,
        op: OpId,
        operands: &[TensorType],
        repeats: &[Repeat],
        attrs: &Attrs,
        operand_spans: &[Span],
        span: Span,
    ) -> Walk<Vec<TensorType>> {
        let mut next = self.next_unknown;
        let mut fresh = || {
            next += 1;
            Dim::unknown(next)
        };
        let mut cx = RuleCx::new(op.get(), operands, attrs, &self.facts, &mut fresh).with_repeats(repeats);
        let result = (op.get().rule)(&mut cx);
        let obligations = std::mem::take(&mut cx.obligations);
        let needed = std::mem::take(&mut cx.needed);
        let crossed = cx.crossed.take();
        self.next_unknown = next;
        let types = match result {
            Ok(types) => types,
            // Lowering can have the numbers that decide; a definition goes on without.
            Err(Stop::Unknown(types)) => {
                for dim in attrs.iter().flat_map(|(_, attr)| attr.numbers()).chain(&needed) {
                    self.known_int(dim)?;
                }
                types
            }
            Err(Stop::Error(error)) => return Err(self.operation_error(*error, operands, operand_spans, span)),
        };
        for obligation in obligations {
            self.require(obligation, span)?;
        }
        if let Some(dim) = crossed {
            self.warn_of_crossing(&dim, operands, operand_spans, span);
        }
        Ok(types)
    }

    /// Calls an operation with evaluated arguments.
    pub fn call_op(&mut self, op: OpId, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        let entry = op.get();
        let mut bound = self.bind_op_args(op, args)?;
        if bound.iter().flatten().any(|arg| matches!(arg.value, Value::Instance(_))) {
            return self.combine(op, bound, span);
        }
        if bound.iter().flatten().any(|arg| matches!(arg.value, Value::Error)) {
            return self.judge_known(op, bound, span);
        }
        let hint = match entry.traits.typed_by {
            TypedBy::Operands => operand_elem(entry.params, &bound),
            TypedBy::Operand(index) => bound.get(index).and_then(Option::as_ref).and_then(|arg| first_elem(&arg.value)),
            TypedBy::Format => packed_elem(&bound),
        };
        let mut operands = vec![];
        let mut operand_spans = vec![];
        let mut repeats = vec![];
        let mut attrs = Attrs::new();
        let integer = bound.iter().flatten().find(|arg| is_integer_tensor(&arg.value)).map(|arg| arg.span);
        for (index, param) in entry.params.iter().enumerate() {
            let arg = bound.get_mut(index).and_then(Option::take);
            let after = bound.get(index + 1..).unwrap_or_default();
            if !param.is_operand() {
                let attr = self.attribute(op, param, arg, hint.as_ref(), span)?;
                if param.default != Default::Off || attr != Attr::Bool(false) {
                    attrs.set(param.name, attr);
                }
                continue;
            }
            let Some(arg) = arg else {
                if param.kind == ParamKind::Tensor && param.content == Content::Seed {
                    let Value::Tensor(seed) = self.rng(span) else { return Ok(Value::Error) };
                    operands.push(seed);
                    operand_spans.push(span);
                } else if param.kind != ParamKind::OptionalTensor {
                    return Err(self.missing_argument(entry.name, param.name, span));
                }
                continue;
            };
            if param.kind == ParamKind::OptionalTensor && arg.value == Value::None {
                continue;
            }
            let hint = if param.holds_indices() { Some(Elem::Known(DType::Int64)) } else { hint.clone() };
            if param.kind == ParamKind::Tensors
                && let Some(stack) = self.as_stack(&arg.value)
            {
                return self.call_on_stack(op, stack, after, span);
            }
            let values = match param.kind {
                ParamKind::Tensors => match self.list_parts(&arg.value)? {
                    Some(parts) => parts,
                    None => {
                        let message = format!("`{}` takes a list of tensors, not {}", entry.name, arg.value.describe());
                        return Err(self.error(code::E0201, message, arg.span, "not a list"));
                    }
                },
                _ => vec![(arg.value, None)],
            };
            for (value, several) in values {
                if value == Value::Error {
                    return Ok(Value::Error);
                }
                repeats.extend(several.map(|(index, count)| Repeat { operand: operands.len(), index, count }));
                let reports = self.reports.len();
                let tensor = self.to_tensor(value, hint.as_ref(), arg.span);
                operands.push(tensor.inspect_err(|_| self.convert_integers(reports, integer))?);
                operand_spans.push(arg.span);
            }
        }
        let mut values = self.emit_repeated(op, operands, &repeats, attrs, &operand_spans, span)?;
        Ok(match values.len() {
            // How many results there are depends on what is not known here.
            0 => Value::Error,
            1 => values.swap_remove(0),
            _ => Value::Tuple(values),
        })
    }

    /// `stack(list, axis)` and `concat(list, axis)` where a loop collected the list.
    fn call_on_stack(
        &mut self,
        op: OpId,
        stack: TensorValue,
        rest: &[Option<CallArg<'db>>],
        span: Span,
    ) -> Walk<Value<'db>> {
        let entry = op.get();
        let axis = match entry.params.iter().find(|param| param.kind == ParamKind::Axis) {
            Some(param) => self.attribute(op, param, rest.first().cloned().flatten(), None, span)?,
            None => Attr::None,
        };
        let axis = match axis {
            Attr::Int(dim) => dim.as_const(),
            _ => None,
        };
        let whole = match (entry.traits.joining, axis) {
            (Some(Joining::NewAxis), Some(axis)) => self.restacked(stack.clone(), axis, span)?,
            (Some(Joining::OwnAxis), Some(axis)) => self.reconcatenated(stack.clone(), axis, span)?,
            (None, _) | (_, None) => None,
        };
        if let Some(whole) = whole {
            return Ok(Value::Tensor(whole));
        }
        self.know_length(&Value::List(List::Stacked(Box::new(stack))))?;
        Ok(Value::Error)
    }

    /// A call with an argument of which nothing is known gives nothing known; the other arguments may be wrong.
    fn judge_known(&mut self, op: OpId, bound: Vec<Option<CallArg<'db>>>, span: Span) -> Walk<Value<'db>> {
        for (param, arg) in op.get().params.iter().zip(bound) {
            let Some(arg) = arg.filter(|arg| !matches!(arg.value, Value::Error)) else { continue };
            if !param.is_operand() {
                self.attribute(op, param, Some(arg), None, span)?;
            } else if matches!(arg.value, Value::Function(_) | Value::Layer(..) | Value::DType(_) | Value::Str(_)) {
                self.to_tensor(arg.value, None, arg.span)?;
            }
        }
        Ok(Value::Error)
    }

    /// The elements of a list; of one of open length one for all, with its index and their number.
    fn list_parts(&mut self, list: &Value<'db>) -> Walk<Option<Vec<Part<'db>>>> {
        if let Some(items) = self.as_items(list) {
            return Ok(Some(items.into_iter().map(|item| (item, None)).collect()));
        }
        Ok(match list {
            Value::List(List::Repeat { index, count, element }) => {
                self.known_int(count)?;
                Some(vec![((**element).clone(), Some((index.clone(), count.clone())))])
            }
            Value::List(List::Joined(lists)) => {
                let parts: Walk<Vec<_>> = lists.iter().map(|list| self.list_parts(list)).collect();
                parts?.into_iter().collect::<Option<Vec<_>>>().map(|parts| parts.concat())
            }
            _ => None,
        })
    }

    /// Arguments in the order of the parameters. Extra positional ints fill a last list (`x.reshape(a, b)`).
    fn bind_op_args(&mut self, op: OpId, args: Vec<CallArg<'db>>) -> Walk<Vec<Option<CallArg<'db>>>> {
        let entry = op.get();
        let mut bound: Vec<Option<CallArg<'db>>> = entry.params.iter().map(|_| None).collect();
        let mut position = 0;
        for arg in args {
            let Some(name) = &arg.name else {
                let list = position == entry.params.len()
                    && entry
                        .params
                        .last()
                        .is_some_and(|last| matches!(last.kind, ParamKind::Ints | ParamKind::Shape | ParamKind::Axes))
                    && matches!(arg.value, Value::Number(_) | Value::Shape(_));
                if list
                    && let Some(Some(last)) = bound.get_mut(position - 1)
                    && grows(&last.value)
                {
                    let items = match std::mem::replace(&mut last.value, Value::None) {
                        Value::List(List::Items(mut items)) if last.gathered => {
                            items.push(arg.value);
                            items
                        }
                        first => vec![first, arg.value],
                    };
                    last.value = Value::list(items);
                    last.gathered = true;
                    continue;
                }
                if position >= entry.params.len() {
                    let message = format!("`{}` takes at most {} arguments", entry.name, entry.params.len());
                    return Err(self.error(code::E0203, message, arg.span, "one too many"));
                }
                bound[position] = Some(arg);
                position += 1;
                continue;
            };
            let Some(index) = entry.params.iter().position(|param| param.name == name) else {
                let names: Vec<&str> = entry.params.iter().map(|p| p.name).collect();
                return Err(self.unknown_argument(entry.name, &name.clone(), &names, arg.span));
            };
            if bound[index].is_some() {
                let message = format!("`{name}` of `{}` is given twice", entry.name);
                return Err(self.error(code::E0206, message, arg.span, "given before"));
            }
            bound[index] = Some(arg);
        }
        Ok(bound)
    }

    pub fn unknown_argument(&mut self, callee: &str, name: &str, names: &[&str], span: Span) -> Abort {
        let place = self.place(span);
        let mut report = Report::new(code::E0204, format!("`{callee}` has no parameter `{name}`")).at(place, "");
        let near = foreign::argument(name, names).map(|name| Near { name, certain: true });
        if let Some(near) = near.or_else(|| suggest::nearest(name, names.iter().copied())) {
            // The argument begins with its name.
            let own = Span::new(span.start, span.start + name.len() as u32);
            report = self.rename(report, own, name, near);
        }
        report = report.note(format!("its parameters are: {}", names.join(", ")));
        self.fail(report)
    }

    pub fn missing_argument(&mut self, callee: &str, name: &str, span: Span) -> Abort {
        let message = format!("`{callee}` needs `{name}`");
        self.error(code::E0205, message, span, format!("`{name}` is missing"))
    }

    fn attribute(
        &mut self,
        op: OpId,
        param: &Param,
        arg: Option<CallArg<'db>>,
        hint: Option<&Elem>,
        span: Span,
    ) -> Walk<Attr> {
        let Some(arg) = arg else {
            return match (param.default, param.kind) {
                (Default::Required | Default::None, ParamKind::DType) => {
                    let context = self.context.clone();
                    let elem = context.or_else(|| hint.cloned()).unwrap_or(Elem::Known(DType::Float32));
                    Ok(Attr::DType(elem))
                }
                (Default::Str(name), ParamKind::DType) => {
                    let dtype = DType::parse(name).unwrap_or(DType::Float32);
                    Ok(Attr::DType(Elem::Known(dtype)))
                }
                (Default::Required, _) => Err(self.missing_argument(op.name(), param.name, span)),
                (Default::None, _) => Ok(Attr::None),
                (Default::Int(value), ParamKind::Float) => Ok(Attr::Float(HostExpr::float(value as f64))),
                (Default::Int(value), _) => Ok(Attr::int(value)),
                (Default::Float(value), _) => Ok(Attr::Float(HostExpr::float(value))),
                (Default::Bool(value), _) => Ok(Attr::Bool(value)),
                (Default::Off, _) => Ok(Attr::Bool(false)),
                (Default::Str(value), _) => Ok(Attr::Str(value.to_string())),
            };
        };
        if arg.value == Value::None && param.default == Default::None {
            return Ok(Attr::None);
        }
        if matches!(arg.value, Value::Opaque(_)) {
            return Ok(Attr::Unknown);
        }
        let attr = self.attribute_value(param.kind, &arg)?;
        match attr {
            Some(attr) => Ok(attr),
            None => {
                let wanted = match param.kind {
                    ParamKind::Int | ParamKind::Axis => "an int",
                    ParamKind::Ints | ParamKind::Axes => "an int or a list of ints",
                    ParamKind::Shape => "a list of ints",
                    ParamKind::Pads => "a list of (low, high) pairs",
                    ParamKind::Float => "a number",
                    ParamKind::Bool => "a bool",
                    ParamKind::Str => "a string",
                    ParamKind::DType => "an element type",
                    ParamKind::Scheme => "a quantisation scheme",
                    ParamKind::Tensor | ParamKind::OptionalTensor | ParamKind::Tensors => "a tensor",
                };
                let found = arg.value.describe();
                let message = format!("`{}` of `{}` must be {wanted}, not {found}", param.name, op.name());
                Err(self.error(code::E0201, message, arg.span, format!("this is {found}")))
            }
        }
    }

    fn attribute_value(&mut self, kind: ParamKind, arg: &CallArg<'db>) -> Walk<Option<Attr>> {
        Ok(match (kind, &arg.value) {
            (ParamKind::Int, Value::Number(HostExpr::Int(dim))) => Some(Attr::Int(dim.clone())),
            (ParamKind::Axis | ParamKind::Axes, Value::Number(HostExpr::Int(dim))) => {
                Some(self.known_int(dim)?.map_or(Attr::Unknown, Attr::int))
            }
            (ParamKind::Ints, Value::Number(HostExpr::Int(dim))) => Some(Attr::Int(dim.clone())),
            (ParamKind::Float, Value::Number(number)) => Some(Attr::Float(number.clone())),
            (ParamKind::Bool, Value::Bool(cond)) => Some(Attr::Bool(self.decide(&cond.clone())?)),
            (ParamKind::Str, Value::Str(text)) => Some(Attr::Str(text.clone())),
            (ParamKind::DType, Value::DType(elem)) => Some(Attr::DType(elem.clone())),
            (ParamKind::DType, Value::TensorType(ty)) if ty.shape.rank() == Some(0) => {
                Some(Attr::DType(ty.elem.clone()))
            }
            (ParamKind::Scheme, Value::Scheme(scheme)) => Some(Attr::Scheme(scheme.clone())),
            (ParamKind::Shape, value) => self.as_shape(&value.clone(), arg.span)?.map(Attr::Shape),
            (ParamKind::Ints, value) => self.as_shape(&value.clone(), arg.span)?.map(|shape| match shape.known() {
                Some(dims) => Attr::Ints(dims.to_vec()),
                None => Attr::Unknown,
            }),
            (ParamKind::Axes, value) => match self.as_shape(&value.clone(), arg.span)? {
                Some(shape) => {
                    let axes: Walk<Option<Vec<i64>>> = shape.dims.iter().map(|dim| self.known_int(dim)).collect();
                    Some(axes?.map_or(Attr::Unknown, |axes| Attr::ints(&axes)))
                }
                None => None,
            },
            (ParamKind::Pads, value) => match self.as_items(value) {
                Some(pairs) => {
                    let mut flat = vec![];
                    for pair in pairs {
                        match self.as_shape(&pair, arg.span)? {
                            Some(dims) => flat.extend(dims.dims),
                            None => return Ok(None),
                        }
                    }
                    Some(Attr::Ints(flat))
                }
                None => None,
            },
            _ => None,
        })
    }
}

/// A positional argument that more positional ints can join.
fn grows(value: &Value<'_>) -> bool {
    matches!(value, Value::Number(_) | Value::List(List::Items(_)) | Value::Shape(_))
}

fn is_integer_tensor(value: &Value<'_>) -> bool {
    value.as_tensor().is_some_and(|tensor| tensor.ty.elem.known().is_some_and(DType::is_int))
}

/// The element type that host numbers among the operands take.
fn operand_elem(params: &[Param], args: &[Option<CallArg<'_>>]) -> Option<Elem> {
    let mut found = None;
    for (param, arg) in params.iter().zip(args) {
        if !param.is_operand() || param.holds_indices() {
            continue;
        }
        let Some(elem) = arg.as_ref().and_then(|arg| first_elem(&arg.value)) else { continue };
        // A mask does not say what the numbers beside it are.
        if !elem.is(DType::Bool) {
            return Some(elem);
        }
        found.get_or_insert(elem);
    }
    found.filter(|_| params.iter().all(|param| param.content != Content::Mask))
}

/// The element type of the codes in a packed format, `format` being the second parameter.
fn packed_elem(args: &[Option<CallArg<'_>>]) -> Option<Elem> {
    let Value::Str(format) = &args.get(1)?.as_ref()?.value else { return None };
    let dtype = match format.as_str() {
        "int4" => DType::Int4,
        "int8" => DType::Int8,
        _ => DType::Trit,
    };
    Some(Elem::Known(dtype))
}

fn first_elem(value: &Value<'_>) -> Option<Elem> {
    match value {
        Value::Tensor(tensor) => Some(tensor.ty.elem.clone()),
        Value::List(List::Items(items) | List::Joined(items)) | Value::Tuple(items) => {
            items.iter().find_map(first_elem)
        }
        Value::List(List::Repeat { element, .. }) => first_elem(element),
        _ => None,
    }
}
