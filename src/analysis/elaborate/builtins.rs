//! Functions and constants of the language itself: their names, and the way to each.
//!
//! Those on host values are in `host_functions.rs`, initialisers in `initialiser.rs`, quantisation schemes
//! in `scheme.rs`.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::value::{Cond, Function, InitValue, Value};
use crate::analysis::world::{Leaf, Piece, Walk};
use crate::base::{Span, code};
use crate::ops;
use crate::types::{DType, Elem, HostExpr, TensorType};

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
    "value_and_grad",
    "inf",
    "nan",
    "pi",
    "training",
    "rng",
];

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
    pub(super) callee: &'static str,
    pub(super) args: Vec<CallArg<'db>>,
}

impl<'db> Taken<'db> {
    pub(super) fn take(&mut self, name: &str) -> Option<CallArg<'db>> {
        let index = self
            .args
            .iter()
            .position(|arg| arg.name.as_deref() == Some(name))
            .or_else(|| self.args.iter().position(|arg| arg.name.is_none()))?;
        Some(self.args.remove(index))
    }

    pub(super) fn take_named(&mut self, name: &str) -> Option<CallArg<'db>> {
        let index = self.args.iter().position(|arg| arg.name.as_deref() == Some(name))?;
        Some(self.args.remove(index))
    }
}

impl<'db> Elaborator<'_, 'db> {
    pub fn call_builtin(&mut self, name: &'static str, args: Vec<CallArg<'db>>, span: Span) -> Walk<Value<'db>> {
        if args.iter().any(|arg| matches!(arg.value, Value::Error)) {
            return Ok(Value::Error);
        }
        // Some names are a function here when their arguments are host values, and an operation otherwise.
        if let Some(op) = ops::find(name)
            && !self.takes_host(name, &args)
        {
            return self.call_op(op, args, span);
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
            "value_and_grad" => {
                let function = self.required(&mut taken, "f", span)?;
                self.differentiable(&function)?;
                Value::Function(Function::Gradient(Box::new(function.value)))
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

    pub(super) fn all_taken(&mut self, taken: Taken<'db>) -> Walk<()> {
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

    pub(super) fn required(&mut self, taken: &mut Taken<'db>, name: &str, span: Span) -> Walk<CallArg<'db>> {
        match taken.take(name) {
            Some(arg) => Ok(arg),
            None => Err(self.missing_argument(taken.callee, name, span)),
        }
    }

    pub(super) fn number(
        &mut self,
        taken: &mut Taken<'db>,
        name: &str,
        default: Option<f64>,
        span: Span,
    ) -> Walk<HostExpr> {
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
            value if value.symbols().iter().any(|symbol| self.facts.is_open(symbol)) => return Ok(None),
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
