//! Numbers of the host as C: sizes and indices in `int64_t`, everything else in `double`.

use crate::types::dim::{Atom, Monomial};
use crate::types::host::{HostFn, HostOp};
use crate::types::{DType, Dim, HostExpr, Symbol};

/// How symbols are called where an expression stands.
pub type SymbolNames<'a> = &'a dyn Fn(&Symbol) -> String;

/// How tightly an expression holds together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Sum,
    Product,
    Primary,
}

/// `2 * B + 1`
pub fn dim(dim: &Dim, names: SymbolNames<'_>) -> String {
    sum(dim, names).0
}

/// The same as a factor: in parentheses where it needs some.
pub fn factor(dim: &Dim, names: SymbolNames<'_>) -> String {
    at_least(sum(dim, names), Binding::Product)
}

/// The product of sizes; `1` of none.
pub fn product(dims: &[Dim], names: SymbolNames<'_>) -> String {
    let all = dims.iter().fold(Dim::constant(1), |all, dim| all.mul(dim));
    // Multiplied out, a product of sums is longer than its factors.
    if all.terms().count() <= 1 {
        return factor(&all, names);
    }
    dims.iter().filter(|dim| !dim.is_const(1)).map(|dim| factor(dim, names)).collect::<Vec<_>>().join(" * ")
}

fn at_least((text, binding): (String, Binding), wanted: Binding) -> String {
    if binding >= wanted { text } else { format!("({text})") }
}

fn sum(dim: &Dim, names: SymbolNames<'_>) -> (String, Binding) {
    // What is added comes first, so that no sum begins with a sign that it need not have.
    let mut terms: Vec<(&Monomial, i64)> = dim.terms().collect();
    terms.sort_by_key(|(monomial, coefficient)| (*coefficient < 0, monomial.is_empty()));
    let mut text = String::new();
    let count = terms.len();
    let mut binding = Binding::Primary;
    for (monomial, coefficient) in terms {
        let (term, own) = term(monomial, coefficient.unsigned_abs(), names);
        match (text.is_empty(), coefficient < 0) {
            (true, false) => text = term,
            (true, true) => text = format!("-{}", at_least((term, own), Binding::Primary)),
            (false, false) => text.push_str(&format!(" + {term}")),
            (false, true) => text.push_str(&format!(" - {term}")),
        }
        binding = if count > 1 || coefficient < 0 { Binding::Sum } else { own };
    }
    if text.is_empty() { ("0".to_string(), Binding::Primary) } else { (text, binding) }
}

fn term(monomial: &Monomial, coefficient: u64, names: SymbolNames<'_>) -> (String, Binding) {
    let mut factors: Vec<String> = vec![];
    if coefficient != 1 || monomial.is_empty() {
        factors.push(unsigned(coefficient));
    }
    for (atom, exponent) in monomial {
        let text = self::atom(atom, names);
        factors.extend(std::iter::repeat_n(text, *exponent as usize));
    }
    let binding = if factors.len() > 1 { Binding::Product } else { Binding::Primary };
    (factors.join(" * "), binding)
}

fn atom(atom: &Atom, names: SymbolNames<'_>) -> String {
    let call = |function: &str, a: &Dim, b: &Dim| format!("{function}({}, {})", dim(a, names), dim(b, names));
    match atom {
        Atom::Sym(symbol) => names(symbol),
        Atom::FloorDiv(a, b) => call("size_floor_divide", a, b),
        Atom::Pow(a, b) => call("size_power", a, b),
        Atom::Min(a, b) => call("size_minimum", a, b),
        Atom::Max(a, b) => call("size_maximum", a, b),
        // Lists of ints have been resolved, and no `?` is left in a program.
        Atom::Element(..) | Atom::Unknown(_) => "0".to_string(),
    }
}

fn unsigned(value: u64) -> String {
    if value <= i32::MAX as u64 { value.to_string() } else { format!("INT64_C({value})") }
}

/// A whole number of any sign.
pub fn integer(value: i64) -> String {
    match value {
        i64::MIN => "INT64_MIN".to_string(),
        value if value < 0 => format!("-{}", unsigned(value.unsigned_abs())),
        value => unsigned(value as u64),
    }
}

/// A `double`.
pub fn double(value: f64) -> String {
    if value.is_nan() {
        "NAN".to_string()
    } else if value.is_infinite() {
        if value > 0.0 { "INFINITY".to_string() } else { "-INFINITY".to_string() }
    } else {
        format!("{value:?}")
    }
}

/// A number of the host, in double precision or whole.
pub fn host(expr: &HostExpr, names: SymbolNames<'_>) -> String {
    let call = |function: &str, operands: &[&HostExpr]| {
        let operands: Vec<String> = operands.iter().map(|operand| real(operand, names)).collect();
        format!("{function}({})", operands.join(", "))
    };
    match expr {
        HostExpr::Int(size) => dim(size, names),
        HostExpr::Float(value) => double(value.0),
        HostExpr::FloatSymbol(symbol) => names(symbol),
        HostExpr::Unary(HostFn::Neg, x) => format!("-({})", real(x, names)),
        HostExpr::Unary(HostFn::Sqrt, x) => call("sqrt", &[x]),
        HostExpr::Unary(HostFn::Log, x) => call("log", &[x]),
        HostExpr::Unary(HostFn::Exp, x) => call("exp", &[x]),
        HostExpr::Unary(HostFn::Abs, x) => call("fabs", &[x]),
        HostExpr::Binary(HostOp::Pow, a, b) => call("pow", &[a, b]),
        HostExpr::Binary(HostOp::Min, a, b) => call("fmin", &[a, b]),
        HostExpr::Binary(HostOp::Max, a, b) => call("fmax", &[a, b]),
        HostExpr::Binary(op @ (HostOp::Add | HostOp::Sub | HostOp::Mul | HostOp::Div), a, b) => {
            format!("({} {} {})", real(a, names), op.symbol(), real(b, names))
        }
    }
}

fn real(expr: &HostExpr, names: SymbolNames<'_>) -> String {
    match expr {
        HostExpr::Int(size) => match size.as_const() {
            Some(value) => double(value as f64),
            None => format!("(double)({})", dim(size, names)),
        },
        other => host(other, names),
    }
}

/// Bytes of an element in memory.
pub fn element_bytes(dtype: DType) -> i64 {
    match dtype {
        DType::Bool | DType::Trit | DType::Int4 | DType::Int8 | DType::UInt8 => 1,
        DType::Int16 | DType::UInt16 | DType::Float16 | DType::BFloat16 => 2,
        DType::Int32 | DType::UInt32 | DType::Float32 => 4,
        DType::Int64 | DType::UInt64 | DType::Float64 => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn b() -> Dim {
        Dim::symbol("B")
    }

    #[test]
    fn sizes_are_read_as_they_are_meant() {
        let names = |symbol: &Symbol| symbol.to_string();
        let text = |size: &Dim| dim(size, &names);
        assert_eq!(text(&b().scale(2).add(&Dim::constant(-1))), "2 * B - 1");
        assert_eq!(text(&Dim::constant(3).sub(&b())), "3 - B");
        assert_eq!(text(&b().neg()), "-B");
        assert_eq!(text(&Dim::constant(1 << 40)), "INT64_C(1099511627776)");
        let half = Dim::atom(Atom::FloorDiv(b(), Dim::constant(2)));
        assert_eq!(text(&half.add(&Dim::constant(1))), "size_floor_divide(B, 2) + 1");
        assert_eq!(factor(&b().add(&Dim::constant(1)), &names), "(B + 1)");
        assert_eq!(product(&[b().add(&Dim::constant(1)), Dim::constant(3)], &names), "(B + 1) * 3");
        assert_eq!(product(&[], &names), "1");
    }
}
