//! Calls: of whatever stands before the brackets. Those of declared functions are in `function_call.rs`.

use crate::analysis::db::Report;
use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::arguments::{Arguments, CallArg};
use crate::analysis::modules;
use crate::analysis::value::{Function, Instance, List, Value};
use crate::analysis::world::Walk;
use crate::base::{Span, code};
use crate::ops;
use crate::syntax::ast::{Arg, ExprId, ExprKind};
use crate::types::{Elem, TensorType};
use std::collections::BTreeMap;

impl<'db> Elaborator<'_, 'db> {
    pub fn call_expr(&mut self, callee: ExprId, args: &'db [Arg], span: Span) -> Walk<Value<'db>> {
        let ast = self.ast;
        let mut receiver = None;
        let function = match &ast[callee].kind {
            ExprKind::Field { base, name } => {
                // What is converted keeps its own type.
                let context = if name.name == "to" { self.context.take() } else { self.context.clone() };
                let base_value = self.expr(*base);
                self.context = context;
                let base_value = base_value?;
                let base_span = ast[*base].span;
                match base_value {
                    Value::Error => Value::Error,
                    value @ (Value::Module(_) | Value::Instance(_) | Value::Layer(..)) => {
                        self.field(value, name, ast[callee].span)?
                    }
                    value => {
                        // `x.relu()` is `relu(x)`; `x.to(float16)` is a cast.
                        let function = match name.name.as_str() {
                            "to" => Value::Function(Function::Op(ops::builtin("cast"))),
                            other => self.function_name(other, &value, name.span)?,
                        };
                        receiver = Some(CallArg::positional(value, base_span));
                        function
                    }
                }
            }
            _ => self.expr(callee)?,
        };
        let arguments = self.arguments(args)?;
        if matches!(function, Value::Error) {
            return Ok(Value::Error);
        }
        if arguments.has_placeholder() {
            return Ok(partial(function, receiver, arguments));
        }
        let passes = arguments.passes_hypers;
        let mut list: Vec<_> = receiver.into_iter().collect();
        list.extend(arguments.into_args());
        match function {
            Value::Layer(layer, elems) => self.make_instance(layer, elems, list, passes, span),
            function => self.call_value(function, list, span),
        }
    }

    /// The function that `value.name(...)` calls: not a local or member of that name.
    fn function_name(&mut self, name: &str, value: &Value<'db>, span: Span) -> Walk<Value<'db>> {
        let db = self.db;
        let known = modules::lookup(db, self.file, name).is_some()
            || modules::implicit(db, name).is_some()
            || super::builtins::NAMES.contains(&name)
            || ops::find(name).is_some();
        if known {
            let scopes = std::mem::take(&mut self.scopes);
            let function = self.name(name, span);
            self.scopes = scopes;
            return function;
        }
        if self.local(name).is_some() {
            return self.name(name, span);
        }
        let mut candidates: Vec<String> = ops::all().map(|op| op.name().to_string()).collect();
        candidates.extend(modules::implicit_names(db).into_iter().map(String::from));
        candidates.extend(modules::scope(db, self.file).keys().cloned());
        let near = crate::base::nearest(name, candidates.iter().map(String::as_str));
        let what = value.describe();
        Err(self.unknown_member(&what, name, near, span))
    }

    pub fn call_value(&mut self, function: Value<'db>, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        match function {
            Value::Error => Ok(Value::Error),
            Value::Function(Function::Op(op)) => self.call_op(op, args, span),
            Value::Function(Function::Builtin(name)) => self.call_builtin(name, args, span),
            Value::Function(Function::User(function)) => self.call_function(function, None, args, span),
            Value::Function(Function::Method(instance, method)) => {
                self.call_function(method, Some(*instance), args, span)
            }
            Value::Function(Function::Gradient(function)) => self.value_and_grad(*function, args, span),
            Value::Function(Function::Partial { function, args: slots }) => {
                let mut given = args.into_iter();
                let mut all = vec![];
                for (name, value) in slots {
                    match value {
                        Some(value) => all.push(CallArg { name, value, span, gathered: false }),
                        None => all.extend(given.next().map(|arg| CallArg { name, ..arg })),
                    }
                }
                all.extend(given);
                self.call_value(*function, all, span)
            }
            Value::Layer(layer, elems) => self.make_instance(layer, elems, args, false, span),
            Value::Instance(instance) => self.call_instance(*instance, args, span),
            Value::List(list) => self.call_list(list, args, span),
            Value::TensorType(ty) => self.tensor_literal(ty, args, span),
            Value::DType(Elem::Known(dtype)) => match dtype {
                crate::types::DType::Int8 => self.call_builtin("int8", args, span),
                crate::types::DType::Int4 => self.call_builtin("int4", args, span),
                _ => {
                    let message = format!("the element type {dtype} cannot be called");
                    let place = self.place(span);
                    let report = Report::new(code::E0207, message)
                        .at(place, "")
                        .note(format!("to convert a tensor write `x.to({dtype})`"));
                    Err(self.fail(report))
                }
            },
            other => {
                let message = format!("{} cannot be called", other.describe());
                Err(self.error(code::E0207, message, span, ""))
            }
        }
    }

    fn call_instance(&mut self, instance: Instance<'db>, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        let layer = self.seen_layer(instance.layer);
        match super::names::methods(layer).find(|m| m.decl.name.name == "forward") {
            Some(forward) => self.call_function(forward, Some(instance), args, span),
            None => {
                let message = format!("layer `{}` has no `forward`, so it cannot be called", layer.decl.name.name);
                Err(self.error(code::E0207, message, span, ""))
            }
        }
    }

    /// `[a, b, c](x)` is `c(b(a(x)))`.
    fn call_list(&mut self, list: List<'db>, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        let [arg] = args.as_slice() else {
            return Err(self.error(code::E0203, "a list of layers takes one argument", span, ""));
        };
        let (mut value, arg_span) = (arg.value.clone(), arg.span);
        let items = match list {
            List::Items(items) | List::Joined(items) => items,
            List::Repeat { element, .. } if element.is_open() => {
                self.aside(|walk| walk.call_value(*element, args, span).map(|_| ()));
                return Ok(Value::Error);
            }
            repeat @ List::Repeat { .. } => {
                let repeat = Value::List(repeat);
                let Some(counted) = self.counted(&repeat, "i") else { return Ok(Value::Error) };
                const CARRIED: &str = "x'";
                self.scopes.push(BTreeMap::from([(CARRIED.to_string(), super::Binding::Value(value.clone()))]));
                let item = counted.item.clone();
                let done = self.rolled(&counted, &[CARRIED.to_string()], None, span, &mut |walk| {
                    let Some(super::Binding::Value(x)) = walk.local(CARRIED).cloned() else { return Ok(()) };
                    let next = walk.call_value(item.clone(), vec![CallArg::positional(x, arg_span)], span)?;
                    walk.assign_local(CARRIED, next);
                    Ok(())
                });
                let result = self.local(CARRIED).cloned();
                self.scopes.pop();
                if done? && let Some(super::Binding::Value(value)) = result {
                    return Ok(value);
                }
                match self.iterate(&repeat, span)? {
                    Some(items) => items,
                    None => return Ok(Value::Error),
                }
            }
            List::Stacked(_) | List::Growing { .. } => {
                return Err(self.error(code::E0207, "a list of tensors cannot be called", span, ""));
            }
        };
        for item in items {
            value = self.call_value(item, vec![CallArg::positional(value, arg_span)], span)?;
        }
        Ok(value)
    }

    /// `TernaryTensor[2, 2](1, 0, -1, 1)`
    fn tensor_literal(&mut self, ty: TensorType, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        let flat = Value::list(args.into_iter().map(|arg| arg.value).collect());
        let flat = self.to_tensor(flat, Some(&ty.elem), span)?;
        let attrs = ops::Attrs::new().with("shape", ops::Attr::Shape(ty.shape.clone()));
        self.emit_one("reshape", vec![flat], attrs, &[span], span)
    }
}

/// `f(_, k=2)`
fn partial<'db>(function: Value<'db>, receiver: Option<CallArg<'db>>, arguments: Arguments<'db>) -> Value<'db> {
    let mut args: Vec<_> = receiver.into_iter().map(|arg| (arg.name, Some(arg.value))).collect();
    args.extend(arguments.args.into_iter().map(|(arg, placeholder)| (arg.name, (!placeholder).then_some(arg.value))));
    Value::Function(Function::Partial { function: Box::new(function), args })
}
