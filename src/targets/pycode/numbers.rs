//! Sizes, host numbers, element types and literal tensors as Python.

use crate::targets::pytext::Py;
use crate::types::dim::{Atom, Monomial};
use crate::types::host::{HostFn, HostOp};
use crate::types::{DType, Dim, HostExpr, HostValue, Symbol, Tensor};

/// Stands for a size that nothing is known of; who writes it reports it.
pub const UNKNOWN: &str = "?";

/// How a symbol is reached where the number is written.
pub type Symbols<'a> = &'a mut dyn FnMut(&Symbol) -> Py;

/// An integer expression, in the order in which people write one: constants last.
pub fn dim(value: &Dim, symbols: Symbols) -> Py {
    if let Some((a, n)) = value.as_modulo() {
        return Py::binary(dim(&a, symbols), "%", dim(&n, symbols));
    }
    let mut terms: Vec<(&Monomial, i64)> = value.terms().collect();
    terms.sort_by_key(|(monomial, coefficient)| (monomial.is_empty(), *coefficient < 0));
    let mut sum: Option<Py> = None;
    for (monomial, coefficient) in terms {
        sum = Some(match sum {
            None => term(monomial, coefficient, symbols),
            Some(sum) if coefficient < 0 => Py::binary(sum, "-", term(monomial, coefficient.saturating_neg(), symbols)),
            Some(sum) => Py::binary(sum, "+", term(monomial, coefficient, symbols)),
        });
    }
    sum.unwrap_or_else(|| Py::int(0))
}

fn term(monomial: &Monomial, coefficient: i64, symbols: Symbols) -> Py {
    let mut product = match coefficient {
        1 | -1 if !monomial.is_empty() => None,
        _ => Some(Py::int(coefficient)),
    };
    for (part, exponent) in monomial {
        let mut factor = atom(part, symbols);
        if *exponent > 1 {
            factor = Py::binary(factor, "**", Py::int(i64::from(*exponent)));
        }
        product = Some(match product {
            None => factor,
            Some(product) => Py::binary(product, "*", factor),
        });
    }
    let product = product.unwrap_or_else(|| Py::int(1));
    if coefficient == -1 && !monomial.is_empty() { Py::Unary("-", Box::new(product)) } else { product }
}

fn atom(part: &Atom, symbols: Symbols) -> Py {
    match part {
        Atom::Sym(symbol) => symbols(symbol),
        Atom::Unknown(_) => Py::name(UNKNOWN),
        Atom::FloorDiv(a, b) => Py::binary(dim(a, symbols), "//", dim(b, symbols)),
        Atom::Pow(a, b) => Py::binary(dim(a, symbols), "**", dim(b, symbols)),
        Atom::Min(a, b) => Py::name("min").call(vec![dim(a, symbols), dim(b, symbols)]),
        Atom::Max(a, b) => Py::name("max").call(vec![dim(a, symbols), dim(b, symbols)]),
        // Lists are resolved before there is IR.
        Atom::Element(..) => Py::name(UNKNOWN),
    }
}

/// A host number.
pub fn host(value: &HostExpr, symbols: Symbols) -> Py {
    match value {
        HostExpr::Int(d) => dim(d, symbols),
        HostExpr::Float(x) => float(x.0),
        HostExpr::FloatSymbol(symbol) => symbols(symbol),
        HostExpr::Unary(HostFn::Neg, x) => Py::Unary("-", Box::new(host(x, symbols))),
        HostExpr::Unary(HostFn::Abs, x) => Py::name("abs").call(vec![host(x, symbols)]),
        HostExpr::Unary(function, x) => Py::name("math").method(function.name(), vec![host(x, symbols)]),
        HostExpr::Binary(HostOp::Min, a, b) => Py::name("min").call(vec![host(a, symbols), host(b, symbols)]),
        HostExpr::Binary(HostOp::Max, a, b) => Py::name("max").call(vec![host(a, symbols), host(b, symbols)]),
        HostExpr::Binary(op, a, b) => Py::binary(host(a, symbols), op.symbol(), host(b, symbols)),
    }
}

/// A float literal; the shortest that reads back to the same value.
pub fn float(value: f64) -> Py {
    let magnitude = match value.abs() {
        x if x.is_nan() => return Py::name("math").attr("nan"),
        x if x.is_infinite() => Py::name("math").attr("inf"),
        x => Py::Atom(format!("{x:?}")),
    };
    if value.is_sign_negative() { Py::Unary("-", Box::new(magnitude)) } else { magnitude }
}

/// A value that is known.
pub fn host_value(value: &HostValue) -> Py {
    match value {
        HostValue::Int(value) => Py::int(*value),
        HostValue::Float(value) => float(value.0),
        HostValue::Bool(value) => Py::name(if *value { "True" } else { "False" }),
        HostValue::Str(text) => Py::string(text),
    }
}

/// The element type in which values lie: codes of `trit` and `int4` in bytes.
pub fn stored(value: DType) -> DType {
    match value {
        DType::Trit | DType::Int4 => DType::Int8,
        other => other,
    }
}

/// One element of a tensor.
pub fn element(tensor: &Tensor, index: usize) -> Py {
    match tensor.dtype() {
        DType::Bool => Py::name(if tensor.get_f64(index) != 0.0 { "True" } else { "False" }),
        DType::Float64 => float(tensor.get_f64(index)),
        // The shortest decimal of the single-precision value.
        other if other.is_float() => match tensor.as_f32() {
            Some(values) => short_float(values[index]),
            None => float(tensor.get_f64(index)),
        },
        _ => Py::int(tensor.as_i64().map_or(0, |values| values[index])),
    }
}

fn short_float(value: f32) -> Py {
    if !value.is_finite() {
        return float(f64::from(value));
    }
    let magnitude = Py::Atom(format!("{:?}", value.abs()));
    if value.is_sign_negative() { Py::Unary("-", Box::new(magnitude)) } else { magnitude }
}

/// The values as nested lists.
pub fn nested(tensor: &Tensor) -> Py {
    fn level(tensor: &Tensor, shape: &[usize], start: usize) -> Py {
        match shape.split_first() {
            None => element(tensor, start),
            Some((&n, rest)) => {
                let step: usize = rest.iter().product();
                Py::List((0..n).map(|i| level(tensor, rest, start + i * step)).collect())
            }
        }
    }
    level(tensor, tensor.shape(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Dim) -> String {
        dim(value, &mut |s| Py::name(s.as_str())).text()
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        let (n, h) = (Dim::symbol("n"), Dim::symbol("h"));
        let c = Dim::constant;
        assert_eq!(text(&n.scale(2).add(&c(1))), "2 * n + 1");
        assert_eq!(text(&c(1).sub(&n)), "-n + 1");
        assert_eq!(n.modulo(&h).map(|d| text(&d)), Some("n % h".into()));
        assert_eq!(n.floor_div(&c(4)).map(|d| text(&d.scale(3))), Some("3 * (n // 4)".into()));
        assert_eq!(text(&n.mul(&n).sub(&h)), "n**2 - h");
        assert_eq!(text(&Dim::zero()), "0");
    }

    #[test]
    fn floats_keep_their_value_and_are_short() {
        assert_eq!(float(-0.5).text(), "-0.5");
        assert_eq!(float(1e-5).text(), "1e-5");
        assert_eq!(float(f64::NEG_INFINITY).text(), "-math.inf");
        assert_eq!(nested(&Tensor::from_f32(vec![1, 2], vec![0.1, -2.0])).text(), "[[0.1, -2.0]]");
    }
}
