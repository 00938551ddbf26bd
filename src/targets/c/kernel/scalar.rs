//! Entries of `ops.toml` as expressions over elements of one type.
//!
//! Integers wrap: sums and products are taken in an unsigned type and converted back. A function of C's `<math.h>` gets the
//! suffix of its type; any other name is a helper (`templates/c/helpers/NAME.h`), with a version for `float`, `double`,
//! `int64` and `uint64` where it needs one. What a comparison with 0 tells of unsigned numbers is known.

use super::maker::{Maker, Outcome};
use crate::targets::c::text::{C, carrier, number, wrapping};
use crate::targets::pytext::Py;
use crate::types::DType;

/// Functions of `<math.h>`: those that round, and those whose results have the operand's digits.
const MATH: &[&str] = &[
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "exp", "log", "pow", "sin", "sinh",
    "sqrt", "tan", "tanh",
];
/// Those of them that have a form for `float` which compilers turn into vectors (`templates/c/kernels/f32_math.h`).
const VECTORS: &[&str] = &["cos", "erf", "exp", "log", "sin", "tanh"];
const EXACT: &[&str] = &["ceil", "fabs", "floor", "rint"];
/// The same without a suffix.
const TESTS: &[&str] = &["isinf", "isnan"];
/// Helpers, the files that they are in, and whether their results may have more digits than the type.
const HELPERS: &[(&str, &str, bool)] = &[
    ("erfinv", "erfinv", true),
    ("floor_div", "division", true),
    ("maximum", "extremes", false),
    ("minimum", "extremes", false),
    ("mod", "division", true),
    ("power", "power", true),
];

/// What the holes of an entry stand for.
pub(super) type Holes<'h> = &'h dyn Fn(&str) -> Option<C>;

impl Maker<'_> {
    /// The value of an entry for elements of this type.
    pub fn expand(&mut self, entry: &Py, dtype: DType, holes: Holes<'_>) -> Outcome<C> {
        match entry {
            Py::Atom(text) => self.word(text, dtype),
            Py::Hole(hole) => holes(&hole.name).ok_or_else(|| self.refuse(&format!("has no `{}` here", hole.name))),
            Py::Unary(operator, operand) => {
                let operand = self.expand(operand, dtype, holes)?;
                Ok(match *operator {
                    "not" => negated(operand),
                    "~" if dtype == DType::Bool => negated(operand),
                    "~" if dtype.is_unsigned() && dtype.bits() < 32 => {
                        self.helper("complement");
                        C::call(
                            if dtype == DType::UInt8 { "complement_uint8" } else { "complement_uint16" },
                            vec![operand],
                        )
                    }
                    "~" => narrow(dtype, C::unary("~", operand)),
                    _ if dtype.is_float() || operand.is_number() => C::unary("-", operand),
                    _ => wrapped_negation(dtype, operand),
                })
            }
            Py::Binary(left, operator, right) => {
                let (left, right) = (self.expand(left, dtype, holes)?, self.expand(right, dtype, holes)?);
                self.binary(dtype, left, operator, right)
            }
            Py::Conditional { value, condition, other } => {
                let condition = self.expand(condition, dtype, holes)?;
                let (value, other) = (self.expand(value, dtype, holes)?, self.expand(other, dtype, holes)?);
                Ok(self.choice(dtype, condition, value, other))
            }
            Py::Call(function, arguments) => {
                let arguments = arguments.iter().map(|part| self.expand(part, dtype, holes)).collect::<Outcome<_>>()?;
                self.call(function.as_atom().unwrap_or_default(), dtype, arguments)
            }
            other => {
                Err(self.refuse(&format!("has an entry in ops.toml that is no expression of C: `{}`", other.text())))
            }
        }
    }

    fn word(&mut self, text: &str, dtype: DType) -> Outcome<C> {
        let range = dtype.int_range();
        Ok(match text {
            "lowest" => range.map_or(C::unary("-", C::atom("INFINITY")), |(low, _)| super::convert::bound(dtype, low)),
            "highest" => range.map_or(C::atom("INFINITY"), |(_, high)| super::convert::bound(dtype, high)),
            "bits" => C::atom(dtype.bits().to_string()),
            "True" | "true" => C::truth(true),
            "False" | "false" => C::truth(false),
            _ => match text.parse::<f64>() {
                Ok(value) => number(dtype, value),
                Err(_) => return Err(self.refuse(&format!("has an entry in ops.toml with the unknown word `{text}`"))),
            },
        })
    }

    fn binary(&mut self, dtype: DType, left: C, operator: &str, right: C) -> Outcome<C> {
        let is_zero = |c: &C| matches!(c, C::Atom(text) if text == "0");
        Ok(match operator {
            "and" => C::and(left, right),
            "or" => C::or(left, right),
            "<" if dtype.is_unsigned() && is_zero(&right) => C::truth(false),
            ">=" if dtype.is_unsigned() && is_zero(&right) => C::truth(true),
            "+" | "-" | "*" | "<<" if !dtype.is_float() => wrapped(dtype, left, operator, right),
            "/" | "%" | ">>" => C::binary(left, same(operator), right),
            "==" | "!=" | "<" | "<=" | ">" | ">=" | "&" | "|" | "^" | "+" | "-" | "*" => {
                C::binary(left, same(operator), right)
            }
            _ => return Err(self.refuse(&format!("has an entry in ops.toml with `{operator}`, which C has not"))),
        })
    }

    /// One of two elements. Where arithmetic chooses, a compiler would put that behind a branch, and the loop would be none of
    /// vectors; what is no arithmetic, as a sum in a loop of its own, is better left out where it is not chosen.
    fn choice(&mut self, dtype: DType, condition: C, value: C, other: C) -> C {
        let is_float = dtype.is_float() && dtype != DType::Float64;
        let is_known = condition.as_bool().is_some();
        let computes = !is_light(&value) || !is_light(&other);
        if is_known || !is_float || !computes || !is_arithmetic(&value) || !is_arithmetic(&other) {
            return C::conditional(condition, value, other);
        }
        self.family("f32_math");
        C::call("f32_select", vec![condition, value, other])
    }

    /// A call of a function of `<math.h>` or of a helper.
    pub fn call(&mut self, name: &str, dtype: DType, mut arguments: Vec<C>) -> Outcome<C> {
        if TESTS.contains(&name) {
            return Ok(C::call(name, arguments));
        }
        if VECTORS.contains(&name) && dtype != DType::Float64 {
            self.family("f32_math");
            return Ok(C::call(&format!("f32_{name}"), arguments));
        }
        if MATH.contains(&name) || EXACT.contains(&name) {
            let suffix = if dtype == DType::Float64 { "" } else { "f" };
            return Ok(C::call(&format!("{name}{suffix}"), arguments));
        }
        let Some((_, file, _)) = HELPERS.iter().find(|(own, _, _)| *own == name) else {
            return Err(self.refuse(&format!("has an entry in ops.toml with the unknown function `{name}`")));
        };
        if *file == "extremes"
            && let [a, b] = arguments.as_mut_slice()
        {
            // A number is no NaN, and the comparison does it.
            if a.is_atom() && is_literal(a) {
                std::mem::swap(a, b);
            }
            let is_plain = a.is_place() || a.is_atom();
            if is_literal(b) && is_plain && dtype.is_float() {
                let operator = if name == "maximum" { "<" } else { ">" };
                return Ok(C::conditional(C::binary(a.clone(), operator, b.clone()), b.clone(), a.clone()));
            }
        }
        self.helper(file);
        let (suffix, narrow) = match dtype {
            DType::Float64 => ("double", false),
            _ if dtype.is_float() => ("float", false),
            _ if dtype.is_unsigned() => ("uint64", dtype.bits() < 64),
            _ => ("int64", dtype.bits() < 64),
        };
        let call = C::call(&format!("{name}_{suffix}"), arguments);
        Ok(if narrow { C::cast(carrier(dtype), call) } else { call })
    }

    /// Whether an operand may stand in an expression twice though an entry names it once: an extreme, which is a comparison
    /// where one side is a number.
    pub fn may_repeat(entry: &Py) -> bool {
        let is_extreme = |name: &str| HELPERS.iter().any(|(own, file, _)| *own == name && *file == "extremes");
        matches!(entry, Py::Call(function, _) if is_extreme(function.as_atom().unwrap_or_default()))
    }

    /// Whether the value of an entry may have more digits than half floats have.
    pub fn is_inexact(entry: &Py) -> bool {
        match entry {
            Py::Binary(left, operator, right) => {
                ["+", "-", "*", "/", "**"].contains(operator) || Self::is_inexact(left) || Self::is_inexact(right)
            }
            Py::Unary(_, operand) => Self::is_inexact(operand),
            Py::Conditional { value, other, .. } => Self::is_inexact(value) || Self::is_inexact(other),
            Py::Call(function, arguments) => {
                let name = function.as_atom().unwrap_or_default();
                MATH.contains(&name)
                    || HELPERS.iter().any(|(own, _, rounds)| *own == name && *rounds)
                    || arguments.iter().any(Self::is_inexact)
            }
            _ => false,
        }
    }
}

/// Whether an expression only chooses among elements and numbers, and their negatives: compilers turn that into vectors.
fn is_light(c: &C) -> bool {
    match c {
        C::Unary("-", inner) => is_light(inner),
        C::Conditional(_, value, other) => is_light(value) && is_light(other),
        other => other.is_place() || other.is_number(),
    }
}

/// Whether an expression costs little more than to choose whether it is computed: operators, and functions that compilers
/// turn into instructions.
fn is_arithmetic(c: &C) -> bool {
    match c {
        C::Atom(_) | C::Index(..) => true,
        C::Unary(_, inner) | C::Cast(_, inner) => is_arithmetic(inner),
        C::Binary(left, _, right) => is_arithmetic(left) && is_arithmetic(right),
        C::Conditional(condition, value, other) => {
            [condition, value, other].into_iter().all(|part| is_arithmetic(part))
        }
        C::Call(name, parts) => {
            let is_vector = name.starts_with("f32_") || EXACT.iter().any(|own| name.strip_suffix('f') == Some(own));
            (is_vector || name == "sqrtf") && parts.iter().all(is_arithmetic)
        }
    }
}

fn is_literal(c: &C) -> bool {
    match c {
        C::Unary(operator, inner) => *operator == "-" && inner.is_number(),
        other => other.is_number(),
    }
}

/// The operators of entries that C spells in the same way.
fn same(operator: &str) -> &'static str {
    const OPERATORS: [&str; 15] = ["+", "-", "*", "/", "%", "<<", ">>", "==", "!=", "<=", ">=", "<", ">", "&", "|"];
    OPERATORS.into_iter().find(|own| *own == operator).unwrap_or("^")
}

fn negated(c: C) -> C {
    const OPPOSITES: [(&str, &str); 2] = [("==", "!="), ("!=", "==")];
    match c {
        C::Binary(left, operator, right) if OPPOSITES.iter().any(|(own, _)| *own == operator) => {
            let opposite = OPPOSITES.iter().find(|(own, _)| *own == operator).map_or(operator, |(_, other)| other);
            C::Binary(left, opposite, right)
        }
        C::Unary("!", inner) => *inner,
        other => match other.as_bool() {
            Some(value) => C::truth(!value),
            None => C::unary("!", other),
        },
    }
}

/// A result of integer operators in its own type again, where `int` or an unsigned type was wider.
fn narrow(dtype: DType, c: C) -> C {
    if dtype.bits() >= 32 && dtype.is_unsigned() { c } else { C::cast(carrier(dtype), c) }
}

/// A sum, product or shift of integers that wraps.
pub(super) fn wrapped(dtype: DType, left: C, operator: &str, right: C) -> C {
    let operator = same(operator);
    if dtype.bits() >= 32 && dtype.is_unsigned() {
        return C::binary(left, operator, right);
    }
    // `int` holds what two small numbers come to, but for products of 16 bits and shifts.
    let fits = dtype.bits() < 16 && operator != "<<" || dtype.bits() == 16 && matches!(operator, "+" | "-");
    let left = if fits { left } else { C::cast(wrapping(dtype), left) };
    C::cast(carrier(dtype), C::binary(left, operator, right))
}

fn wrapped_negation(dtype: DType, operand: C) -> C {
    match dtype {
        DType::Bool => operand,
        _ if dtype.bits() < 32 => C::cast(carrier(dtype), C::unary("-", operand)),
        // `-x` of an unsigned number is a warning of some compilers.
        _ => wrapped(dtype, C::atom("0"), "-", operand),
    }
}
