//! Expressions.

use crate::analysis::db::Report;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::elaborate::instance::opaque_fits;
use crate::analysis::elaborate::layer::member_name;
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::{Elaborator, names};
use crate::analysis::foreign;
use crate::analysis::modules;
use crate::analysis::value::{Comparison, Cond, Function, List, TensorValue, Value};
use crate::analysis::world::{Abort, Walk};
use crate::base::{Near, Span, code, deep, suggest};
use crate::ops::{self, Attr, Attrs};
use crate::syntax::ast::{BinaryOp, ExprId, ExprKind, Ident, Pattern, UnaryOp};
use crate::types::{DType, Dim, HostExpr, Shape};

impl<'db> Elaborator<'_, 'db> {
    /// Evaluates where a type is expected: numbers, lists and creations take its element type.
    pub fn expr_as(&mut self, expr: ExprId, spec: &TypeSpec<'db>) -> Walk<Value<'db>> {
        let context = match spec {
            TypeSpec::Tensor(ty) => Some(ty.elem.clone()),
            _ => None,
        };
        let outer = std::mem::replace(&mut self.context, context);
        let value = self.expr(expr);
        self.context = outer;
        let span = self.span(expr);
        self.conform(value?, spec, span)
    }

    pub fn expr(&mut self, expr: ExprId) -> Walk<Value<'db>> {
        deep(|| self.expr_step(expr))
    }

    fn expr_step(&mut self, expr: ExprId) -> Walk<Value<'db>> {
        let ast = self.ast;
        let span = ast[expr].span;
        match &ast[expr].kind {
            ExprKind::Error => Err(Abort::Reported),
            ExprKind::Int(value) => Ok(Value::int(*value)),
            ExprKind::Float(value) => Ok(Value::float(value.0)),
            ExprKind::Str(text) => Ok(Value::Str(text.clone())),
            ExprKind::Bool(value) => Ok(Value::bool(*value)),
            ExprKind::None => Ok(Value::None),
            ExprKind::Name(name) => self.name(name, span),
            ExprKind::Placeholder => Err(self.error(code::E0012, "`_` stands for an argument of a call", span, "")),
            ExprKind::Ellipsis => Err(self.error(code::E0012, "`...` has no meaning here", span, "")),
            ExprKind::Pack(name) => self.pack(name),
            ExprKind::Tuple(items) => Ok(Value::Tuple(self.exprs(items)?)),
            ExprKind::List(items) => self.list(items, span),
            ExprKind::Comprehension { elem, pattern, iter, cond } => self.comprehension(*elem, pattern, *iter, *cond),
            ExprKind::Unary { op, operand } => self.unary(*op, *operand, span),
            ExprKind::Binary { op, lhs, rhs } => self.binary(*op, *lhs, *rhs, span),
            ExprKind::Range { start, stop } => {
                let (start, stop) = (self.int_expr(*start)?, self.int_expr(*stop)?);
                Ok(Value::Range(start, stop))
            }
            ExprKind::Call { callee, args } => self.call_expr(*callee, args, span),
            ExprKind::Index { base, items } => self.index_expr(*base, items, span),
            ExprKind::Field { base, name } => {
                let base = self.expr(*base)?;
                self.field(base, name, span)
            }
            ExprKind::Pipe { value, function } => {
                let argument = self.expr(*value)?;
                let value_span = self.span(*value);
                let function = self.expr(*function)?;
                self.call_value(function, vec![CallArg::positional(argument, value_span)], span)
            }
            ExprKind::If(branches) => self.if_expr(branches, span),
            ExprKind::Type(ty) => match self.resolve_type(*ty)? {
                TypeSpec::Tensor(ty) if ty.shape.rank() == Some(0) => Ok(Value::DType(ty.elem)),
                TypeSpec::Tensor(ty) => Ok(Value::TensorType(ty)),
                _ => Err(self.error(code::E0201, "a type is not a value", span, "used as a value")),
            },
        }
    }

    pub fn exprs(&mut self, exprs: &[ExprId]) -> Walk<Vec<Value<'db>>> {
        exprs.iter().map(|expr| self.expr(*expr)).collect()
    }

    /// An int known up to symbols.
    pub fn int_expr(&mut self, expr: ExprId) -> Walk<Dim> {
        let span = self.span(expr);
        match self.expr(expr)? {
            Value::Number(HostExpr::Int(dim)) => Ok(dim),
            Value::Error => Err(Abort::Reported),
            Value::Opaque(_) => Ok(self.fresh_dim()),
            other => {
                let message = format!("an int is needed here, not {}", other.describe());
                Err(self.error(code::E0201, message, span, "not an int"))
            }
        }
    }

    fn pack(&mut self, name: &Ident) -> Walk<Value<'db>> {
        match self.name(&name.name, name.span)? {
            value @ (Value::Shape(_) | Value::List(_) | Value::Tuple(_)) => {
                let shape = self.as_shape(&value, name.span)?;
                Ok(Value::Shape(shape.unwrap_or_else(Shape::unknown)))
            }
            other => {
                let message = format!("`...{}` needs a run of dims, not {}", name.name, other.describe());
                Err(self.error(code::E0201, message, name.span, "not a run of dims"))
            }
        }
    }

    fn list(&mut self, items: &[ExprId], span: Span) -> Walk<Value<'db>> {
        let ast = self.ast;
        let has_pack = items.iter().any(|item| matches!(ast[*item].kind, ExprKind::Pack(_)));
        let values = self.exprs(items)?;
        if has_pack {
            let shape = self.as_shape(&Value::list(values), span)?;
            return Ok(shape.map_or(Value::Error, Value::Shape));
        }
        Ok(Value::list(values))
    }

    fn comprehension(
        &mut self,
        elem: ExprId,
        pattern: &'db Pattern,
        iter: ExprId,
        cond: Option<ExprId>,
    ) -> Walk<Value<'db>> {
        let iterable = self.expr(iter)?;
        let iter_span = self.span(iter);
        let Value::List(List::Joined(parts)) = iterable else {
            return self.comprehension_over(elem, pattern, iterable, iter_span, cond);
        };
        let mut lists = vec![];
        for part in parts {
            lists.push(match self.comprehension_over(elem, pattern, part, iter_span, cond)? {
                list @ Value::List(_) => list,
                _ => return Ok(Value::Error),
            });
        }
        Ok(Value::joined(lists))
    }

    fn comprehension_over(
        &mut self,
        elem: ExprId,
        pattern: &'db Pattern,
        iterable: Value<'db>,
        iter_span: Span,
        cond: Option<ExprId>,
    ) -> Walk<Value<'db>> {
        // First as a repeated element; expanded only if the element needs its index.
        if cond.is_none()
            && let Some((index, count, item)) = self.repeated(&iterable)
        {
            let snapshot = self.snapshot();
            match self.in_range((&index, &Dim::zero(), &count), count.as_const().is_some(), |walk| {
                walk.scoped(|walk| {
                    walk.bind_pattern(pattern, item)?;
                    walk.expr(elem)
                })
            }) {
                Err(Abort::Demand(symbols)) if symbols.contains(&index) => self.restore(snapshot),
                Err(abort) => return Err(abort),
                // Tensors are computed one by one: no instruction may stand for all of them.
                Ok(element) if element.has_tensor() && self.world.specialises() => {
                    self.restore(snapshot);
                    if element.as_tensor().is_some()
                        && self.facts.normal(&count).as_const().is_none()
                        && let Some((index, count, item)) = self.repeated(&iterable)
                        && let Some(list) = self.collected((index, count, item), pattern, elem)?
                    {
                        return Ok(list);
                    }
                }
                Ok(element) => {
                    let element = Box::new(element);
                    return Ok(Value::List(List::Repeat { index, count, element }));
                }
            }
        }
        let Some(items) = self.iterate(&iterable, iter_span)? else { return Ok(Value::Error) };
        let mut values = vec![];
        for item in items {
            let value = self.scoped(|walk| {
                walk.bind_pattern(pattern, item)?;
                let keep = match cond {
                    Some(cond) => walk.static_condition(cond)?,
                    None => true,
                };
                match keep {
                    true => Ok(Some(walk.expr(elem)?)),
                    false => Ok(None),
                }
            })?;
            values.extend(value);
        }
        Ok(Value::list(values))
    }

    fn unary(&mut self, op: UnaryOp, operand: ExprId, span: Span) -> Walk<Value<'db>> {
        let value = self.expr(operand)?;
        let operand_span = self.span(operand);
        match (op, value) {
            (_, Value::Error) => Ok(Value::Error),
            (UnaryOp::Neg, Value::Number(number)) => {
                Ok(Value::Number(HostExpr::unary(crate::types::HostFn::Neg, number)))
            }
            (UnaryOp::Not, Value::Bool(cond)) => Ok(Value::Bool(cond.negated())),
            (UnaryOp::Not, Value::Opaque(opaque)) => Ok(Value::Bool(Cond::Opaque(opaque.name).negated())),
            (UnaryOp::Neg, Value::Tensor(x)) => self.emit_one("neg", vec![x], Attrs::new(), &[operand_span], span),
            (UnaryOp::Neg, value @ Value::Instance(_)) => {
                self.call_op(ops::builtin("neg"), vec![CallArg::positional(value, operand_span)], span)
            }
            (UnaryOp::Not, Value::Tensor(x)) => {
                self.emit_one("logical_not", vec![x], Attrs::new(), &[operand_span], span)
            }
            (op, other) => {
                let sign = if op == UnaryOp::Neg { "-" } else { "not" };
                let message = format!("`{sign}` is not defined for {}", other.describe());
                Err(self.error(code::E0201, message, span, ""))
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, lhs: ExprId, rhs: ExprId, span: Span) -> Walk<Value<'db>> {
        let left = self.expr(lhs)?;
        let left_span = self.span(lhs);
        // `a and b` must not look at b where a settles it.
        if let (BinaryOp::And | BinaryOp::Or, Value::Bool(cond)) = (op, &left)
            && let Some(truth) = self.truth(cond)
            && truth == (op == BinaryOp::Or)
        {
            return Ok(Value::bool(truth));
        }
        let right = self.expr(rhs)?;
        let right_span = self.span(rhs);
        self.binary_values(op, (left, left_span), (right, right_span), span)
    }

    /// An operator on two values.
    pub fn binary_values(
        &mut self,
        op: BinaryOp,
        (left, left_span): (Value<'db>, Span),
        (right, right_span): (Value<'db>, Span),
        span: Span,
    ) -> Walk<Value<'db>> {
        if matches!(left, Value::Error) || matches!(right, Value::Error) {
            return Ok(Value::Error);
        }
        let none = left == Value::None || right == Value::None;
        let runs = |value: &Value<'db>| matches!(value, Value::Tensor(_) | Value::Instance(_));
        if !none && (runs(&left) || runs(&right)) {
            let args = vec![CallArg::positional(left, left_span), CallArg::positional(right, right_span)];
            return self.call_op(ops::builtin(operation(op)), args, span);
        }
        let (left, right) = (self.opened(left), self.opened(right));
        match (op, &left, &right) {
            (BinaryOp::And, Value::Bool(a), Value::Bool(b)) => Ok(Value::Bool(both(a.clone(), b.clone()))),
            (BinaryOp::Or, Value::Bool(a), Value::Bool(b)) => {
                Ok(Value::Bool(both(a.clone().negated(), b.clone().negated()).negated()))
            }
            (BinaryOp::Add, Value::Str(a), Value::Str(b)) => Ok(Value::Str(format!("{a}{b}"))),
            (BinaryOp::Add, Value::List(_) | Value::Shape(_), Value::List(_) | Value::Shape(_)) => {
                self.join_lists(&left, &right, span)
            }
            (BinaryOp::Mul, Value::List(_), Value::Number(HostExpr::Int(count))) => {
                let count = self.known_int(&count.clone())?;
                match (self.as_items(&left), count) {
                    (Some(items), Some(count)) => {
                        let times = usize::try_from(count).unwrap_or(0);
                        Ok(Value::list(items.iter().cloned().cycle().take(items.len() * times).collect()))
                    }
                    _ => Ok(Value::Error),
                }
            }
            _ => match comparison(op) {
                Some(comparison) => match self.host_comparison(comparison, &left, &right) {
                    Some(cond) => Ok(Value::Bool(cond)),
                    None => Err(self.undefined(op, &left, &right, span)),
                },
                None => match (&left, &right) {
                    (Value::Number(a), Value::Number(b)) => Ok(Value::Number(self.host_arithmetic(op, a, b, span)?)),
                    _ => Err(self.undefined(op, &left, &right, span)),
                },
            },
        }
    }

    fn undefined(&mut self, op: BinaryOp, left: &Value<'db>, right: &Value<'db>, span: Span) -> Abort {
        let message = format!("`{}` is not defined for {} and {}", symbol(op), left.describe(), right.describe());
        let mut report = Report::new(code::E0201, message).at(self.place(span), "");
        if *left == Value::None || *right == Value::None {
            report = report
                .note("a parameter with the default `None` may be left out: use it inside `if x != None { ... }`");
        }
        self.fail(report)
    }

    fn join_lists(&mut self, left: &Value<'db>, right: &Value<'db>, span: Span) -> Walk<Value<'db>> {
        if let (Some(mut items), Some(more)) = (self.as_items(left), self.as_items(right)) {
            items.extend(more);
            return Ok(Value::list(items));
        }
        if let (Value::List(List::Growing { before, added }), Some(more)) = (left, self.as_items(right)) {
            let added = added.iter().cloned().chain(more).collect();
            return Ok(Value::List(List::Growing { before: before.clone(), added }));
        }
        if let (Value::Shape(_), _) | (_, Value::Shape(_)) = (left, right) {
            let both = Value::list(vec![left.clone(), right.clone()]);
            if let Some(shape) = self.as_shape(&both, span)? {
                return Ok(Value::Shape(shape));
            }
        }
        for side in [left, right] {
            self.know_length(side)?;
        }
        match (left, right) {
            (Value::List(_), Value::List(_)) => Ok(Value::joined(vec![left.clone(), right.clone()])),
            _ => Ok(Value::Error),
        }
    }

    /// `value.name`
    pub fn field(&mut self, value: Value<'db>, name: &Ident, span: Span) -> Walk<Value<'db>> {
        match value {
            Value::Error => Ok(Value::Error),
            Value::Tensor(tensor) => self.tensor_field(tensor, name, span),
            Value::Module(file) => match modules::export(self.db, file, &name.name) {
                Some(item) => self.item_value(item, &name.name, name.span),
                None => {
                    let names = modules::exports(self.db, file).keys().map(String::as_str);
                    let near = suggest::nearest(&name.name, names);
                    let key = file.module(self.db);
                    let what = format!("module `{}`", key.strip_prefix("std:").unwrap_or(key).replace('/', "."));
                    Err(self.unknown_member(&what, &name.name, near, name.span))
                }
            },
            Value::Instance(instance) => self.instance_field(*instance, name, span),
            Value::Layer(layer, _) => Err(self.refuse_layer_field(layer, name)),
            other => {
                let what = other.describe();
                Err(self.unknown_member(&what, &name.name, None, name.span))
            }
        }
    }

    pub fn unknown_member(&mut self, of: &str, name: &str, near: Option<Near<'_>>, span: Span) -> Abort {
        let place = self.place(span);
        let mut report = Report::new(code::E0107, format!("{of} has no `{name}`")).at(place, "not found");
        let foreign = foreign::name(name).map(|name| Near { name, certain: true });
        if let Some(near) = foreign.or(near) {
            report = self.rename(report, span, name, near);
        }
        self.fail(report)
    }

    fn tensor_field(&mut self, tensor: TensorValue, name: &Ident, span: Span) -> Walk<Value<'db>> {
        match name.name.as_str() {
            "shape" => Ok(Value::Shape(tensor.ty.shape)),
            "dtype" => Ok(Value::DType(tensor.ty.elem)),
            "ndim" => match tensor.ty.shape.rank() {
                Some(rank) => Ok(Value::int(rank as i64)),
                None => Ok(Value::dim(self.fresh_dim())),
            },
            "T" => self.transpose(tensor, span),
            other => {
                let known = ["shape", "dtype", "ndim", "T"];
                let mut near = suggest::nearest(other, known.into_iter());
                let call = format!("{other}()");
                if self.local(other).is_some()
                    || ops::find(other).is_some()
                    || modules::implicit(self.db, other).is_some()
                {
                    near = Some(Near { name: &call, certain: true });
                }
                let what = format!("a tensor {}", tensor.ty);
                Err(self.unknown_member(&what, other, near, name.span))
            }
        }
    }

    /// The last two axes swapped.
    fn transpose(&mut self, tensor: TensorValue, span: Span) -> Walk<Value<'db>> {
        let Some(rank) = tensor.ty.shape.rank() else {
            let message = "`.T` needs a tensor of known rank";
            return Err(self.error(code::E0304, message, span, format!("this is {}", tensor.ty)));
        };
        let mut axes: Vec<i64> = (0..rank as i64).collect();
        if rank >= 2 {
            axes.swap(rank - 1, rank - 2);
        }
        self.emit_one("permute", vec![tensor], Attrs::new().with("axes", Attr::ints(&axes)), &[span], span)
    }

    fn instance_field(
        &mut self,
        instance: crate::analysis::value::Instance<'db>,
        name: &Ident,
        span: Span,
    ) -> Walk<Value<'db>> {
        if let Some(value) = instance.hyper(&name.name) {
            return Ok(value.clone());
        }
        let layer = self.seen_layer(instance.layer);
        if let Some(method) = names::methods(layer).find(|m| m.decl.name.name == name.name) {
            return Ok(Value::Function(Function::Method(Box::new(instance), method)));
        }
        if let Some(binding) = self.member_of(&instance, &name.name, span)? {
            self.refuse_unheld(Some(&instance), span)?;
            return match binding {
                super::Binding::Value(value) => Ok(value),
                super::Binding::Storage(member) => self.read_storage(&member, span),
                super::Binding::Absent(member) => {
                    let condition = member.condition(self.db);
                    let message = format!("this instance has `{}` only if {condition}", name.name);
                    Err(self.error(code::E0403, message, name.span, ""))
                }
            };
        }
        // It is there, but with what is known of the instance not to be evaluated.
        if instance.is_open() && layer.decl.members.iter().any(|own| member_name(own) == Some(&name.name)) {
            return Ok(Value::Error);
        }
        let candidates: Vec<String> = layer
            .decl
            .members
            .iter()
            .filter_map(member_name)
            .chain(instance.hypers.iter().map(|(n, _)| n.as_str()))
            .map(String::from)
            .collect();
        let near = suggest::nearest(&name.name, candidates.iter().map(String::as_str));
        let what = format!("layer `{}`", layer.decl.name.name);
        Err(self.unknown_member(&what, &name.name, near, name.span))
    }

    /// Checks a value against a declared type and converts host values to it.
    pub fn conform(&mut self, value: Value<'db>, spec: &TypeSpec<'db>, span: Span) -> Walk<Value<'db>> {
        match (spec, value) {
            (_, Value::Error) => Ok(Value::Error),
            (TypeSpec::Any, value) => Ok(value),
            (TypeSpec::Tensor(ty), value) => self.conform_tensor(value, ty, span),
            (TypeSpec::Int, value @ Value::Number(HostExpr::Int(_)))
            | (TypeSpec::Bool, value @ Value::Bool(_))
            | (TypeSpec::Str, value @ Value::Str(_))
            | (TypeSpec::DType, value @ Value::DType(_))
            | (TypeSpec::Scheme, value @ Value::Scheme(_))
            | (TypeSpec::Init, value @ Value::Init(_)) => Ok(value),
            (spec, Value::Opaque(opaque)) if opaque_fits(spec, opaque.kind) => Ok(Value::Opaque(opaque)),
            (TypeSpec::Float, Value::Number(number)) => Ok(Value::Number(number.into_float())),
            (TypeSpec::Init, Value::Number(number)) => {
                Ok(Value::Init(crate::analysis::value::InitValue::Constant(number)))
            }
            // The result of an element type and a run-time bool share the name.
            (TypeSpec::Bool, Value::Tensor(tensor)) if tensor.ty.elem.is(DType::Bool) => Ok(Value::Tensor(tensor)),
            (TypeSpec::Int, Value::Tensor(tensor)) if tensor.ty.shape.rank() == Some(0) && tensor.ty.elem.is_int() => {
                Ok(Value::Tensor(tensor))
            }
            (TypeSpec::Float, Value::Tensor(tensor))
                if tensor.ty.shape.rank() == Some(0) && tensor.ty.elem.is_float() =>
            {
                Ok(Value::Tensor(tensor))
            }
            (TypeSpec::Tuple(specs), value) => match self.as_items(&value) {
                Some(items) if items.len() == specs.len() => {
                    let items: Walk<Vec<_>> =
                        items.into_iter().zip(specs).map(|(item, spec)| self.conform(item, spec, span)).collect();
                    Ok(Value::Tuple(items?))
                }
                _ => Err(self.mismatch(&value, spec, span)),
            },
            (TypeSpec::List(inner), Value::List(List::Items(items))) => {
                let items: Walk<Vec<_>> = items.into_iter().map(|item| self.conform(item, inner, span)).collect();
                Ok(Value::list(items?))
            }
            (TypeSpec::List(_), value @ (Value::List(_) | Value::Shape(_))) => Ok(value),
            (TypeSpec::Layer(layer), Value::Instance(instance)) if instance.layer == *layer => {
                Ok(Value::Instance(instance))
            }
            (spec, value) => Err(self.mismatch(&value, spec, span)),
        }
    }

    fn mismatch(&mut self, value: &Value<'db>, spec: &TypeSpec<'db>, span: Span) -> Abort {
        let message = format!("expected {}, found {}", spec.describe(), value.describe());
        let mut report =
            Report::new(code::E0201, message).at(self.place(span), format!("this is {}", value.describe()));
        if let (TypeSpec::Int, Value::Number(_)) = (spec, value) {
            report = report.note("`/` gives a float and `//` an int; `int(...)` cuts off what follows the point");
        }
        self.fail(report)
    }
}

fn both(a: Cond, b: Cond) -> Cond {
    match (a, b) {
        (Cond::Known(true), c) | (c, Cond::Known(true)) => c,
        (Cond::Known(false), _) | (_, Cond::Known(false)) => Cond::Known(false),
        (a, b) => Cond::And(Box::new(a), Box::new(b)),
    }
}

fn comparison(op: BinaryOp) -> Option<Comparison> {
    Some(match op {
        BinaryOp::Eq => Comparison::Eq,
        BinaryOp::Ne => Comparison::Ne,
        BinaryOp::Lt => Comparison::Lt,
        BinaryOp::Le => Comparison::Le,
        BinaryOp::Gt => Comparison::Gt,
        BinaryOp::Ge => Comparison::Ge,
        _ => return None,
    })
}

/// The operator in Tri.
pub fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::FloorDiv => "//",
        BinaryOp::Mod => "%",
        BinaryOp::Pow => "**",
        BinaryOp::MatMul => "@",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
    }
}

/// The operation that an operator on tensors means.
fn operation(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "add",
        BinaryOp::Sub => "sub",
        BinaryOp::Mul => "mul",
        BinaryOp::Div => "div",
        BinaryOp::FloorDiv => "floor_div",
        BinaryOp::Mod => "mod",
        BinaryOp::Pow => "pow",
        BinaryOp::MatMul => "matmul",
        BinaryOp::Eq => "eq",
        BinaryOp::Ne => "ne",
        BinaryOp::Lt => "lt",
        BinaryOp::Le => "le",
        BinaryOp::Gt => "gt",
        BinaryOp::Ge => "ge",
        BinaryOp::And => "logical_and",
        BinaryOp::Or => "logical_or",
    }
}
