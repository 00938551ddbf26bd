//! Functions and constants of the language itself, on host values.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::elaborate::host::element_at;
use crate::analysis::value::{Cond, Function, InitValue, List, Value};
use crate::analysis::world::{Leaf, Piece, Walk};
use crate::base::{F64, Span, code};
use crate::ops;
use crate::quant::{Scheme, SchemeKind, Ste, TernaryRule};
use crate::types::host::{HostFn, HostOp};
use crate::types::{DType, Dim, Elem, HostExpr, TensorType};

/// Every built-in name.
pub const NAMES: &[&str] = &[
    "len",
    "zip",
    "enumerate",
    "reverse",
    "flatten",
    "contains",
    "prod",
    "int",
    "float",
    "ceil_div",
    "minimum",
    "maximum",
    "sqrt",
    "log",
    "exp",
    "abs",
    "range",
    "tensor",
    "print",
    "ternary",
    "int8",
    "int4",
    "zeros",
    "ones",
    "constant",
    "normal",
    "uniform",
    "kaiming_uniform",
    "xavier_uniform",
    "random_ternary",
    "ternary_matmul",
    "inf",
    "nan",
    "pi",
    "training",
    "rng",
];

/// Names that are a function here when their arguments are host values, and an operation otherwise.
const SHARED_WITH_OPERATIONS: &[&str] = &["prod", "minimum", "maximum", "sqrt", "log", "exp", "abs", "zeros", "ones"];

/// The value of a built-in name.
pub fn lookup<'db>(name: &str, training: Option<bool>) -> Option<Value<'db>> {
    match name {
        "inf" => return Some(Value::float(f64::INFINITY)),
        "nan" => return Some(Value::float(f64::NAN)),
        "pi" => return Some(Value::float(std::f64::consts::PI)),
        "training" => {
            return Some(Value::Bool(match training {
                Some(known) => Cond::Known(known),
                None => Cond::Opaque("training".into()),
            }));
        }
        "TernaryTensor" => return Some(Value::DType(Elem::Known(DType::Trit))),
        "none" => return Some(Value::None),
        _ => {}
    }
    if let Some(dtype) = DType::parse(name) {
        return Some(Value::DType(Elem::Known(dtype)));
    }
    NAMES
        .iter()
        .find(|known| **known == name && *known != &"rng")
        .map(|known| Value::Function(Function::Builtin(known)))
}

/// Named and positional arguments of a built-in, taken one by one.
pub struct Taken<'db> {
    callee: &'static str,
    args: Vec<CallArg<'db>>,
}

impl<'db> Taken<'db> {
    fn take(&mut self, name: &str) -> Option<CallArg<'db>> {
        let index = self
            .args
            .iter()
            .position(|arg| arg.name.as_deref() == Some(name))
            .or_else(|| self.args.iter().position(|arg| arg.name.is_none()))?;
        Some(self.args.remove(index))
    }

    fn take_named(&mut self, name: &str) -> Option<CallArg<'db>> {
        let index = self.args.iter().position(|arg| arg.name.as_deref() == Some(name))?;
        Some(self.args.remove(index))
    }
}

impl<'db> Elaborator<'_, 'db> {
    pub fn call_builtin(&mut self, name: &'static str, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        if args.iter().any(|arg| matches!(arg.value, Value::Error)) {
            return Ok(Value::Error);
        }
        if SHARED_WITH_OPERATIONS.contains(&name) && !self.takes_host(name, &args) {
            return self.call_op(ops::builtin(name), args, span);
        }
        let mut taken = Taken { callee: name, args };
        let value = match name {
            "print" => return self.print(taken.args, span),
            "ternary" | "int8" | "int4" => Value::Scheme(self.scheme(name, &mut taken, span)?),
            "zeros" => Value::Init(InitValue::Zeros),
            "ones" => Value::Init(InitValue::Ones),
            "kaiming_uniform" => Value::Init(InitValue::KaimingUniform),
            "constant" | "normal" | "uniform" | "xavier_uniform" | "random_ternary" => {
                return self.initialiser(name, taken, span);
            }
            "tensor" => {
                let arg = self.required(&mut taken, "data", span)?;
                let elem = match taken.take("dtype").map(|arg| arg.value) {
                    Some(Value::DType(elem)) => Some(elem),
                    _ => None,
                };
                Value::Tensor(self.to_tensor(arg.value, elem.as_ref(), arg.span)?)
            }
            "ternary_matmul" => {
                let x = self.required(&mut taken, "x", span)?;
                let w = self.required(&mut taken, "w", span)?;
                let w_span = w.span;
                let weight = self.to_tensor(w.value, None, w_span)?;
                let attrs = ops::Attrs::new().with("axes", ops::Attr::ints(&[1, 0]));
                let transposed = self.emit_one("permute", vec![weight], attrs, &[w_span], w_span)?;
                let args = vec![CallArg::positional(x.value, x.span), CallArg::positional(transposed, w_span)];
                return self.call_op(ops::builtin("matmul"), args, span);
            }
            _ => self.host_builtin(name, &mut taken, span)?,
        };
        self.all_taken(taken)?;
        Ok(value)
    }

    /// Whether the shared name means the host function here.
    fn takes_host(&self, name: &str, args: &[CallArg<'db>]) -> bool {
        match name {
            "zeros" | "ones" => args.is_empty(),
            "prod" => args.iter().all(|arg| !arg.value.has_tensor()),
            _ => args.iter().all(|arg| matches!(arg.value, Value::Number(_))),
        }
    }

    fn all_taken(&mut self, taken: Taken<'db>) -> Walk<()> {
        match taken.args.first() {
            None => Ok(()),
            Some(arg) => match &arg.name {
                Some(name) => {
                    let message = format!("`{}` has no parameter `{name}`", taken.callee);
                    Err(self.error(code::E0204, message, arg.span, "not known"))
                }
                None => {
                    let message = format!("too many arguments for `{}`", taken.callee);
                    Err(self.error(code::E0203, message, arg.span, "one too many"))
                }
            },
        }
    }

    fn required(&mut self, taken: &mut Taken<'db>, name: &str, span: Span) -> Walk<CallArg<'db>> {
        match taken.take(name) {
            Some(arg) => Ok(arg),
            None => Err(self.missing_argument(taken.callee, name, span)),
        }
    }

    fn number(&mut self, taken: &mut Taken<'db>, name: &str, default: Option<f64>, span: Span) -> Walk<HostExpr> {
        let Some(arg) = taken.take(name) else {
            return match default {
                Some(value) => Ok(HostExpr::float(value)),
                None => Err(self.missing_argument(taken.callee, name, span)),
            };
        };
        match arg.value {
            Value::Number(number) => Ok(number),
            other => {
                let message = format!("`{name}` of `{}` must be a number, not {}", taken.callee, other.describe());
                Err(self.error(code::E0201, message, arg.span, "not a number"))
            }
        }
    }

    fn host_builtin(&mut self, name: &'static str, taken: &mut Taken<'db>, span: Span) -> Walk<Value<'db>> {
        let first = self.required(taken, "x", span)?;
        let value = first.value;
        let wrong = |walk: &mut Self, value: &Value<'db>| {
            let message = format!("`{name}` is not defined for {}", value.describe());
            walk.error(code::E0201, message, first.span, "")
        };
        match name {
            "len" => match &value {
                Value::List(List::Repeat { count, .. }) => Ok(Value::dim(count.clone())),
                Value::Opaque(opaque) => Ok(Value::dim(Dim::symbol(&format!("len({})", opaque.name)))),
                Value::Range(start, stop) => Ok(Value::dim(stop.sub(start))),
                Value::Tensor(tensor) => match tensor.ty.shape.axis(0) {
                    Ok(axis) => Ok(Value::dim(tensor.ty.shape.dims[axis].clone())),
                    Err(_) => Ok(Value::dim(self.fresh_dim())),
                },
                other => match self.as_items(other) {
                    Some(items) => Ok(Value::int(items.len() as i64)),
                    None => Err(wrong(self, &value)),
                },
            },
            "range" => {
                let stop = taken.take("stop").map(|arg| arg.value);
                match (value, stop) {
                    (Value::Number(HostExpr::Int(n)), None) => Ok(Value::Range(Dim::zero(), n)),
                    (Value::Number(HostExpr::Int(a)), Some(Value::Number(HostExpr::Int(b)))) => Ok(Value::Range(a, b)),
                    (other, _) => Err(wrong(self, &other)),
                }
            }
            "enumerate" => self.enumerate(value, first.span),
            "reverse" => match &value {
                // Of a hyperparameter: some list.
                Value::Opaque(_) => Ok(value),
                Value::List(List::Repeat { index, count, element }) => {
                    let mirrored = count.sub(&Dim::constant(1)).sub(&Dim::symbol(index.as_str()));
                    let element = Box::new(element_at(index, element, &mirrored));
                    Ok(Value::List(List::Repeat { index: index.clone(), count: count.clone(), element }))
                }
                other => match self.as_items(other) {
                    Some(items) => Ok(Value::list(items.into_iter().rev().collect())),
                    None => Err(wrong(self, &value)),
                },
            },
            "flatten" => match self.elements(&value)? {
                Some(items) => {
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
                // Some list of a definition that is checked on its own.
                None if matches!(value, Value::List(_) | Value::Opaque(_)) => Ok(Value::Error),
                None => Err(wrong(self, &value)),
            },
            "zip" => {
                let second = self.required(taken, "other", span)?;
                let mut zipped = self.zip(value, second.value, span)?;
                while let Some(next) = taken.take("other") {
                    let pairs = self.zip(zipped, next.value, span)?;
                    zipped = flat_pairs(pairs);
                }
                Ok(zipped)
            }
            "contains" => {
                let item = self.required(taken, "item", span)?.value;
                if let Value::Opaque(opaque) = &value {
                    let text = self.item.text(self.db).get(span.start as usize..span.end as usize);
                    let text = text.map_or_else(|| format!("contains({})", opaque.name), String::from);
                    return Ok(Value::Bool(Cond::Opaque(text)));
                }
                let Some(items) = self.as_items(&value) else { return Err(wrong(self, &value)) };
                let mut found = Cond::Known(false);
                for candidate in items {
                    let equal = self.host_comparison(crate::analysis::value::Comparison::Eq, &candidate, &item);
                    found = match (found, equal) {
                        (Cond::Known(true), _) | (_, Some(Cond::Known(true))) => Cond::Known(true),
                        (found, None | Some(Cond::Known(false))) => found,
                        (Cond::Known(false), Some(cond)) => cond,
                        (found, Some(cond)) => Cond::Or(Box::new(found), Box::new(cond)),
                    };
                }
                Ok(Value::Bool(found))
            }
            "prod" => match self.as_shape(&value, first.span)? {
                Some(shape) => Ok(Value::dim(match shape.elements() {
                    Some(product) => product,
                    None => self.fresh_dim(),
                })),
                None => Err(wrong(self, &value)),
            },
            "int" => match &value {
                Value::Number(HostExpr::Int(dim)) => Ok(Value::dim(dim.clone())),
                Value::Number(number) => Ok(match self.known_number(&number.clone())? {
                    Some(x) => Value::int(x as i64),
                    None => Value::dim(self.fresh_dim()),
                }),
                _ => Err(wrong(self, &value)),
            },
            "float" => match value {
                Value::Number(number) => Ok(Value::Number(match number {
                    HostExpr::Int(dim) if dim.as_const().is_some() => {
                        HostExpr::float(dim.as_const().unwrap_or_default() as f64)
                    }
                    HostExpr::Int(dim) => HostExpr::binary(HostOp::Mul, HostExpr::Int(dim), HostExpr::Float(F64(1.0))),
                    other => other,
                })),
                other => Err(wrong(self, &other)),
            },
            "ceil_div" | "minimum" | "maximum" => {
                let second = self.required(taken, "y", span)?.value;
                match (&value, &second) {
                    (Value::Number(HostExpr::Int(a)), Value::Number(HostExpr::Int(b))) => match name {
                        "minimum" => Ok(Value::dim(a.minimum(b))),
                        "maximum" => Ok(Value::dim(a.maximum(b))),
                        _ => match a.ceil_div(b) {
                            Some(dim) => Ok(Value::dim(dim)),
                            None => Err(self.error(code::E0404, "the divisor must be positive", span, "")),
                        },
                    },
                    (Value::Number(a), Value::Number(b)) if name != "ceil_div" => {
                        let op = if name == "minimum" { HostOp::Min } else { HostOp::Max };
                        Ok(Value::Number(HostExpr::binary(op, a.clone(), b.clone())))
                    }
                    _ => Err(wrong(self, &value)),
                }
            }
            "sqrt" | "log" | "exp" | "abs" => match &value {
                Value::Number(number) => {
                    let function = match name {
                        "sqrt" => HostFn::Sqrt,
                        "log" => HostFn::Log,
                        "exp" => HostFn::Exp,
                        _ => HostFn::Abs,
                    };
                    if let (HostFn::Abs, Some(value)) = (function, number.as_dim().and_then(Dim::as_const)) {
                        return Ok(Value::int(value.saturating_abs()));
                    }
                    Ok(Value::Number(self.host_function(function, number)))
                }
                _ => Err(wrong(self, &value)),
            },
            _ => Err(wrong(self, &value)),
        }
    }

    /// The elements of a list; how many they are is asked for where it is not known.
    fn elements(&mut self, value: &Value<'db>) -> Walk<Option<Vec<Value<'db>>>> {
        if let Value::List(List::Repeat { count, .. }) = value {
            self.known_int(&count.clone())?;
        }
        Ok(self.as_items(value))
    }

    fn enumerate(&mut self, value: Value<'db>, span: Span) -> Walk<Value<'db>> {
        if let Value::List(List::Repeat { index, count, element }) = value {
            let position = Value::dim(Dim::symbol(index.as_str()));
            let element = Box::new(Value::Tuple(vec![position, *element]));
            return Ok(Value::List(List::Repeat { index, count, element }));
        }
        match self.as_items(&value) {
            Some(items) => {
                let pairs = items.into_iter().enumerate();
                Ok(Value::list(pairs.map(|(i, v)| Value::Tuple(vec![Value::int(i as i64), v])).collect()))
            }
            None => {
                let message = format!("`enumerate` is not defined for {}", value.describe());
                Err(self.error(code::E0201, message, span, ""))
            }
        }
    }

    fn zip(&mut self, left: Value<'db>, right: Value<'db>, span: Span) -> Walk<Value<'db>> {
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
            _ => Err(self.error(code::E0201, "`zip` needs two lists", span, "")),
        }
    }

    /// `normal(0.0, 0.02)` is an initialiser; with a shape it draws a tensor.
    fn initialiser(&mut self, name: &'static str, mut taken: Taken<'db>, span: Span) -> Walk<Value<'db>> {
        let shape = taken.args.iter().position(|arg| {
            arg.name.as_deref() == Some("shape")
                || arg.name.is_none() && matches!(arg.value, Value::List(_) | Value::Shape(_) | Value::Tuple(_))
        });
        if let Some(index) = shape {
            let shape = taken.args.remove(index);
            return self.draw(name, shape, taken, span);
        }
        let init = match name {
            "constant" => InitValue::Constant(self.number(&mut taken, "value", None, span)?),
            "normal" => InitValue::Normal {
                mean: self.number(&mut taken, "mean", Some(0.0), span)?,
                std: self.number(&mut taken, "std", Some(1.0), span)?,
            },
            "uniform" => InitValue::Uniform {
                low: self.number(&mut taken, "a", Some(0.0), span)?,
                high: self.number(&mut taken, "b", Some(1.0), span)?,
            },
            "xavier_uniform" => InitValue::XavierUniform { gain: self.number(&mut taken, "gain", Some(1.0), span)? },
            _ => InitValue::RandomTernary,
        };
        self.all_taken(taken)?;
        Ok(Value::Init(init))
    }

    fn draw(&mut self, name: &'static str, shape: CallArg<'db>, mut taken: Taken<'db>, span: Span) -> Walk<Value<'db>> {
        let named = |name: &str, value: Value<'db>, span: Span| CallArg {
            name: Some(name.to_string()),
            value,
            span,
            gathered: false,
        };
        let mut args = vec![named("shape", shape.value, shape.span)];
        if let Some(seed) = taken.take_named("seed") {
            args.push(seed);
        }
        let op = match name {
            "normal" | "uniform" => {
                args.extend(taken.args);
                if name == "normal" { "random_normal" } else { "random_uniform" }
            }
            "constant" => {
                let value = self.number(&mut taken, "value", None, span)?;
                args.push(named("value", Value::Number(value), span));
                "full"
            }
            "random_ternary" => {
                args.push(named("low", Value::int(-1), span));
                args.push(named("high", Value::int(2), span));
                args.push(named("dtype", Value::DType(Elem::Known(DType::Int64)), span));
                let drawn = self.call_op(ops::builtin("random_int"), args, span)?;
                let to = named("dtype", Value::DType(Elem::Known(DType::Trit)), span);
                return self.call_op(ops::builtin("cast"), vec![CallArg::positional(drawn, span), to], span);
            }
            _ => {
                let message = format!("`{name}` with a shape is not a value; use it as an initialiser, without one");
                return Err(self.error(code::E0201, message, span, ""));
            }
        };
        self.call_op(ops::builtin(op), args, span)
    }

    /// `ternary(...)`, `int8(...)`, `int4(...)`.
    fn scheme(&mut self, name: &'static str, taken: &mut Taken<'db>, span: Span) -> Walk<Scheme> {
        let mut scheme = match name {
            "ternary" => Scheme::ternary(),
            "int4" => Scheme::int(4),
            _ => Scheme::int(8),
        };
        while let Some(arg) = taken.args.first().cloned() {
            taken.args.remove(0);
            let Some(option) = &arg.name else {
                let message = format!("options of `{name}` are given by name");
                return Err(self.error(code::E0501, message, arg.span, "no name"));
            };
            if !self.scheme_option(&mut scheme, option, &arg)? {
                let message = match &arg.value {
                    Value::Str(text) => format!("`{name}` cannot take \"{text}\" for `{option}`"),
                    _ => format!("`{name}` has no option `{option}`, or not with this value"),
                };
                let report = crate::analysis::db::Report::new(code::E0501, message)
                    .at(self.place(arg.span), "")
                    .note(match name {
                        "ternary" => {
                            "options: axis, group, scale_dtype, rule (\"absmean\", \"max\", \"fixed\"), ratio, threshold, \
                             scale (\"kept\"), stochastic, ste"
                        }
                        _ => "options: axis, group, symmetric, scale_dtype, dynamic, ste",
                    });
                return Err(self.fail(report));
            }
        }
        if scheme.axis.is_some() && scheme.group.is_some() {
            return Err(self.error(code::E0501, "a scheme takes `axis` or `group`, not both", span, ""));
        }
        Ok(scheme)
    }

    fn scheme_option(&mut self, scheme: &mut Scheme, option: &str, arg: &CallArg<'db>) -> Walk<bool> {
        let number = match &arg.value {
            Value::Number(number) => self.known_number(&number.clone())?,
            _ => None,
        };
        let truth = match &arg.value {
            Value::Bool(cond) => Some(self.decide(&cond.clone())?),
            _ => None,
        };
        let text = match &arg.value {
            Value::Str(text) => Some(text.as_str()),
            _ => None,
        };
        let whole = number.filter(|n| n.fract() == 0.0).map(|n| n as i64);
        match (&mut scheme.kind, option) {
            (_, "axis") if whole.is_some() => scheme.axis = whole,
            (_, "group") if whole.is_some_and(|g| g > 0) => scheme.group = whole,
            (_, "scale_dtype") => match &arg.value {
                Value::DType(Elem::Known(dtype)) if dtype.is_float() => scheme.scale_dtype = *dtype,
                _ => return Ok(false),
            },
            (_, "ste") => match text {
                Some("identity") => scheme.ste = Ste::Identity,
                Some("clipped") => scheme.ste = Ste::Clipped,
                _ => return Ok(false),
            },
            (SchemeKind::Ternary { rule, .. }, "rule") => match text {
                Some("absmean") => *rule = TernaryRule::AbsMean,
                Some("max") => *rule = TernaryRule::Max { ratio: F64(0.3) },
                Some("fixed") => *rule = TernaryRule::Fixed { threshold: F64(0.33) },
                _ => return Ok(false),
            },
            (SchemeKind::Ternary { rule, .. }, "ratio") => match number {
                Some(ratio) => *rule = TernaryRule::Max { ratio: F64(ratio) },
                None => return Ok(false),
            },
            (SchemeKind::Ternary { rule, .. }, "threshold") => match number {
                Some(threshold) => *rule = TernaryRule::Fixed { threshold: F64(threshold) },
                None => return Ok(false),
            },
            (SchemeKind::Ternary { kept_scale, .. }, "scale") => *kept_scale = text == Some("kept"),
            (SchemeKind::Ternary { stochastic, .. }, "stochastic") if truth.is_some() => {
                *stochastic = truth == Some(true);
            }
            (SchemeKind::Int { symmetric, .. }, "symmetric") if truth.is_some() => *symmetric = truth == Some(true),
            (SchemeKind::Int { .. }, "dynamic") if truth.is_some() => scheme.dynamic = truth == Some(true),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn print(&mut self, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        let mut pieces = vec![];
        let mut operands = vec![];
        for arg in args {
            match self.print_text(&arg.value)? {
                Some(text) => pieces.push(Piece::Text(text)),
                None => {
                    let tensor = self.to_tensor(arg.value, None, arg.span)?;
                    operands.push(tensor.value);
                    pieces.push(Piece::Operand);
                }
            }
        }
        let place = self.place(span);
        self.world.leaf(Leaf::Print { pieces }, &operands, &[] as &[TensorType], place);
        Ok(Value::None)
    }

    /// How a host value prints.
    fn print_text(&mut self, value: &Value<'db>) -> Walk<Option<String>> {
        Ok(Some(match value {
            Value::Tensor(_) => return Ok(None),
            Value::Str(text) => text.clone(),
            Value::None => "None".into(),
            Value::Number(number) => match self.known_number(&number.clone())? {
                Some(x) if number.is_int() => format!("{}", x as i64),
                Some(x) => format!("{x:?}"),
                None => "?".into(),
            },
            Value::Bool(cond) => self.decide(&cond.clone())?.to_string(),
            Value::DType(elem) => elem.to_string(),
            Value::Scheme(scheme) => scheme.to_string(),
            Value::Shape(_) | Value::List(_) | Value::Tuple(_) => {
                let items = self.as_items(value).unwrap_or_default();
                if value.has_tensor() {
                    return Ok(None);
                }
                let mut texts = vec![];
                for item in &items {
                    texts.push(self.print_text(item)?.unwrap_or_default());
                }
                match value {
                    Value::Tuple(_) => format!("({})", texts.join(", ")),
                    _ => format!("[{}]", texts.join(", ")),
                }
            }
            other => format!("<{}>", other.describe()),
        }))
    }
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
