//! Initialisers, which fill parameters, and the draws of the same names.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::elaborate::builtins::Taken;
use crate::analysis::value::{InitValue, Value};
use crate::analysis::world::Walk;
use crate::base::{Span, code};
use crate::ops;
use crate::types::{DType, Elem};

impl<'db> Elaborator<'_, 'db> {
    /// `normal(0.0, 0.02)` is an initialiser; with a shape it draws a tensor.
    pub(super) fn initialiser(&mut self, name: &'static str, mut taken: Taken<'db>, span: Span) -> Walk<Value<'db>> {
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
}
