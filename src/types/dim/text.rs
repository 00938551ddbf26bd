//! Dims as text, in the syntax of Tri.

use crate::types::dim::{Atom, Dim, Monomial};
use std::fmt;

/// Prints Tri syntax; what is printed reads back as an equal dim.
impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((a, n)) = self.as_modulo() {
            return write!(f, "{} % {}", Operand(&a), Operand(&n));
        }
        if self.terms.is_empty() {
            return f.write_str("0");
        }
        // Positive terms first, constants last: `H - 1`, not `-1 + H`.
        let mut terms: Vec<_> = self.terms.iter().collect();
        terms.sort_by_key(|(m, c)| (m.is_empty(), **c < 0));
        for (index, (monomial, coefficient)) in terms.into_iter().enumerate() {
            let sign = match (index, *coefficient < 0) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            f.write_str(sign)?;
            write_term(f, monomial, coefficient.unsigned_abs())?;
        }
        Ok(())
    }
}

/// Prints in parentheses whatever is more than a name or number.
struct Operand<'a>(&'a Dim);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_simple() { self.0.fmt(f) } else { write!(f, "({})", self.0) }
    }
}

impl Dim {
    fn is_simple(&self) -> bool {
        self.as_const().is_some_and(|c| c >= 0)
            || matches!(self.as_atom(), Some(Atom::Sym(_) | Atom::Unknown(_) | Atom::Element(..)))
    }
}

fn write_term(f: &mut fmt::Formatter<'_>, monomial: &Monomial, coefficient: u64) -> fmt::Result {
    if monomial.is_empty() {
        return write!(f, "{coefficient}");
    }
    let alone = coefficient == 1 && monomial.len() == 1 && monomial[0].1 == 1;
    if coefficient != 1 {
        write!(f, "{coefficient} * ")?;
    }
    for (index, (atom, exponent)) in monomial.iter().enumerate() {
        if index > 0 {
            f.write_str(" * ")?;
        }
        match atom {
            Atom::Sym(symbol) => write!(f, "{symbol}")?,
            Atom::Unknown(_) => f.write_str("?")?,
            Atom::FloorDiv(a, b) if alone => write!(f, "{} // {}", Operand(a), Operand(b))?,
            Atom::FloorDiv(a, b) => write!(f, "({} // {})", Operand(a), Operand(b))?,
            Atom::Pow(a, b) if *exponent == 1 => write!(f, "{} ** {}", Operand(a), Operand(b))?,
            Atom::Pow(a, b) => write!(f, "({} ** {})", Operand(a), Operand(b))?,
            Atom::Min(a, b) => write!(f, "minimum({a}, {b})")?,
            Atom::Max(a, b) => write!(f, "maximum({a}, {b})")?,
            Atom::Element(list, position) => write!(f, "{list}[{position}]")?,
        }
        if *exponent != 1 {
            write!(f, " ** {exponent}")?;
        }
    }
    Ok(())
}
