//! Quantisation schemes as values: `ternary(axis=0)`, `int8(group=64)`.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::elaborate::builtins::Taken;
use crate::analysis::foreign;
use crate::analysis::value::{Function, Value};
use crate::analysis::world::Walk;
use crate::base::{F64, Near, Span, code, nearest};
use crate::quant::{Scheme, SchemeKind, Ste, TernaryRule};
use crate::types::{DType, Elem};

const TERNARY_OPTIONS: &[&str] =
    &["axis", "group", "scale_dtype", "rule", "ratio", "threshold", "scale", "stochastic", "ste"];
const INT_OPTIONS: &[&str] = &["axis", "group", "symmetric", "scale_dtype", "dynamic", "ste"];

impl<'db> Elaborator<'_, 'db> {
    /// The scheme that a value stands for: `ternary` and `int8` alone are theirs, `None` is none.
    pub fn scheme_of(&mut self, value: Value<'db>, span: Span) -> Walk<Option<Scheme>> {
        match value {
            Value::Scheme(scheme) => Ok(Some(scheme)),
            Value::None => Ok(None),
            Value::DType(Elem::Known(DType::Int8)) => Ok(Some(Scheme::int(8))),
            Value::DType(Elem::Known(DType::Int4)) => Ok(Some(Scheme::int(4))),
            Value::Function(Function::Builtin("ternary")) => Ok(Some(Scheme::ternary())),
            Value::Opaque(_) | Value::Error => Ok(None),
            other => {
                let message = format!("a quantisation scheme is needed here, not {}", other.describe());
                Err(self.error(code::E0501, message, span, "not a scheme"))
            }
        }
    }

    /// `ternary(...)`, `int8(...)`, `int4(...)`.
    pub(super) fn scheme(&mut self, name: &'static str, taken: &mut Taken<'db>, span: Span) -> Walk<Scheme> {
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
                let (options, note) = match name {
                    "ternary" => (
                        TERNARY_OPTIONS,
                        "options: axis, group, scale_dtype, rule (\"absmean\", \"max\", \"fixed\"), ratio, threshold, \
                         scale (\"kept\"), stochastic, ste",
                    ),
                    _ => (INT_OPTIONS, "options: axis, group, symmetric, scale_dtype, dynamic, ste"),
                };
                let mut report =
                    crate::analysis::db::Report::new(code::E0501, message).at(self.place(arg.span), "").note(note);
                let near = foreign::argument(option, options).map(|name| Near { name, certain: true });
                if let Some(near) = near.or_else(|| nearest(option, options.iter().copied())) {
                    // The argument begins with its name.
                    let own = Span::new(arg.span.start, arg.span.start + option.len() as u32);
                    report = self.rename(report, own, option, near);
                }
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
}
