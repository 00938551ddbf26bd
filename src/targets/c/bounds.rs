//! Between which numbers a size lies that only a run tells.
//!
//! Memory is planned for the highest, so each symbol has to have one. It comes from `--shape`, from conditions
//! (`where B <= 64`), or from what the symbol counts; where a symbol gets its value the emitted code compares it with the
//! bound, so that nothing that comes later can be larger.

use crate::ops::{Obligation, ObligationKind};
use crate::types::dim::Atom;
use crate::types::{Dim, Symbol};

/// The lowest and the highest value, each where it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bounds {
    pub low: Option<i64>,
    pub high: Option<i64>,
}

impl Bounds {
    pub const UNKNOWN: Bounds = Bounds { low: None, high: None };
    /// A size that an input has.
    pub const POSITIVE: Bounds = Bounds { low: Some(1), high: None };

    pub fn exactly(value: i64) -> Bounds {
        Bounds { low: Some(value), high: Some(value) }
    }

    pub fn new(low: i64, high: i64) -> Bounds {
        Bounds { low: Some(low), high: Some(high) }
    }

    fn add(self, other: Bounds) -> Bounds {
        let add = |a: Option<i64>, b: Option<i64>| a?.checked_add(b?);
        Bounds { low: add(self.low, other.low), high: add(self.high, other.high) }
    }

    /// Of a product: of the four of the ends, where all are known or no factor is negative.
    fn multiply(self, other: Bounds) -> Bounds {
        let times = |a: Option<i64>, b: Option<i64>| a?.checked_mul(b?);
        if self.low >= Some(0) && other.low >= Some(0) {
            let zero = self.high == Some(0) || other.high == Some(0);
            let high = if zero { Some(0) } else { times(self.high, other.high) };
            return Bounds { low: times(self.low, other.low), high };
        }
        let ends = [
            times(self.low, other.low),
            times(self.low, other.high),
            times(self.high, other.low),
            times(self.high, other.high),
        ];
        match ends {
            [Some(a), Some(b), Some(c), Some(d)] => Bounds::new(a.min(b).min(c).min(d), a.max(b).max(c).max(d)),
            _ => Bounds::UNKNOWN,
        }
    }

    fn scale(self, factor: i64) -> Bounds {
        let times = |value: Option<i64>| value?.checked_mul(factor);
        match factor < 0 {
            true => Bounds { low: times(self.high), high: times(self.low) },
            false => Bounds { low: times(self.low), high: times(self.high) },
        }
    }

    /// What holds where both do.
    pub fn and(self, other: Bounds) -> Bounds {
        let high = match (self.high, other.high) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Bounds { low: self.low.max(other.low), high }
    }

    /// What holds where one of them does, as far as something is known of both; else the other.
    pub fn or(self, other: Bounds) -> Bounds {
        let low = self.low.zip(other.low).map(|(a, b)| a.min(b));
        let high = match (self.high, other.high) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        Bounds { low, high }
    }

    /// The only value that is left.
    pub fn value(self) -> Option<i64> {
        self.low.filter(|low| self.high == Some(*low))
    }
}

/// What is known of symbols.
pub type Known<'a> = &'a dyn Fn(&Symbol) -> Bounds;

pub fn of_dim(dim: &Dim, known: Known<'_>) -> Bounds {
    dim.terms().fold(Bounds::exactly(0), |sum, (monomial, coefficient)| {
        let atoms = monomial.iter().flat_map(|(atom, exponent)| std::iter::repeat_n(atom, *exponent as usize));
        let product = atoms.fold(Bounds::exactly(1), |product, atom| product.multiply(of_atom(atom, known)));
        sum.add(product.scale(coefficient))
    })
}

fn of_atom(atom: &Atom, known: Known<'_>) -> Bounds {
    match atom {
        Atom::Sym(symbol) => known(symbol),
        Atom::FloorDiv(a, b) => {
            let (a, b) = (of_dim(a, known), of_dim(b, known));
            match b.value().filter(|divisor| *divisor > 0) {
                Some(divisor) => {
                    let quotient = |value: Option<i64>| value.map(|value| value.div_euclid(divisor));
                    Bounds { low: quotient(a.low), high: quotient(a.high) }
                }
                // Divisors are positive.
                None if a.low >= Some(0) => Bounds { low: Some(0), high: a.high },
                None => Bounds::UNKNOWN,
            }
        }
        Atom::Pow(a, b) => {
            let (a, b) = (of_dim(a, known), of_dim(b, known));
            let power = |base: Option<i64>, exponent: Option<i64>| base?.checked_pow(u32::try_from(exponent?).ok()?);
            match a.low >= Some(1) && b.low >= Some(0) {
                true => Bounds { low: power(a.low, b.low), high: power(a.high, b.high) },
                false => Bounds::UNKNOWN,
            }
        }
        Atom::Min(a, b) => {
            let (a, b) = (of_dim(a, known), of_dim(b, known));
            let low = a.low.zip(b.low).map(|(a, b)| a.min(b));
            Bounds { low, high: a.and(b).high }
        }
        Atom::Max(a, b) => {
            let (a, b) = (of_dim(a, known), of_dim(b, known));
            Bounds { low: a.low.max(b.low), high: a.high.zip(b.high).map(|(a, b)| a.max(b)) }
        }
        Atom::Element(..) | Atom::Unknown(_) => Bounds::UNKNOWN,
    }
}

/// What a condition tells of a symbol: of `64 - 2 * B >= 0` that `B` is at most 32.
pub fn told_by(obligation: &Obligation, symbol: &Symbol, known: Known<'_>) -> Bounds {
    let wanted = Atom::Sym(symbol.clone());
    let from = |difference: &Dim| -> Bounds {
        let is_symbol = |atoms: &[(Atom, u32)]| matches!(atoms, [(atom, 1)] if *atom == wanted);
        let Some((_, coefficient)) = difference.terms().find(|(monomial, _)| is_symbol(monomial)) else {
            return Bounds::UNKNOWN;
        };
        let rest = difference.sub(&Dim::atom(wanted.clone()).scale(coefficient));
        if rest.mentions(&wanted) {
            return Bounds::UNKNOWN;
        }
        // coefficient * symbol + rest >= 0
        let Some(rest) = of_dim(&rest, known).high else { return Bounds::UNKNOWN };
        match coefficient {
            ..0 => Bounds { low: None, high: Some(rest.div_euclid(-coefficient)) },
            _ => Bounds { low: rest.checked_neg().map(|least| -((-least).div_euclid(coefficient))), high: None },
        }
    };
    match &obligation.kind {
        ObligationKind::AtLeast(a, b) => from(&a.sub(b)),
        ObligationKind::Equal(a, b) => from(&a.sub(b)).and(from(&b.sub(a))),
        ObligationKind::Broadcast(..) => Bounds::UNKNOWN,
    }
}

/// Whether a condition holds for all values within their bounds.
pub fn always_holds(obligation: &Obligation, known: Known<'_>) -> bool {
    match &obligation.kind {
        ObligationKind::AtLeast(a, b) => of_dim(&a.sub(b), known).low >= Some(0),
        ObligationKind::Equal(a, b) => a == b,
        ObligationKind::Broadcast(a, b) => a == b || a.is_const(1) || b.is_const(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::code::E0310;

    fn bounds(symbol: &Symbol) -> Bounds {
        match symbol.as_str() {
            "B" => Bounds::new(1, 64),
            "i" => Bounds::new(0, 3),
            _ => Bounds::POSITIVE,
        }
    }

    #[test]
    fn sizes_have_bounds() {
        let (b, i, n) = (Dim::symbol("B"), Dim::symbol("i"), Dim::symbol("N"));
        let of = |dim: &Dim| of_dim(dim, &bounds);
        assert_eq!(of(&b.scale(2).sub(&Dim::constant(1))), Bounds::new(1, 127));
        assert_eq!(of(&Dim::constant(10).sub(&i)), Bounds::new(7, 10));
        assert_eq!(of(&b.mul(&i)), Bounds::new(0, 192));
        assert_eq!(of(&Dim::constant(2).pow(&i).unwrap()), Bounds::new(1, 8));
        assert_eq!(of(&n.mul(&b)), Bounds { low: Some(1), high: None });
        assert_eq!(of(&n.minimum(&b)), Bounds::new(1, 64));
        assert_eq!(of(&b.floor_div(&Dim::constant(3)).unwrap()), Bounds::new(0, 21));
    }

    #[test]
    fn conditions_tell_bounds() {
        let (n, b) = (Dim::symbol("N"), Dim::symbol("B"));
        let told = |kind: ObligationKind| {
            let obligation = Obligation { kind, code: E0310, message: String::new() };
            told_by(&obligation, &Symbol::new("N"), &bounds)
        };
        let at_most = |high: i64| Bounds { low: None, high: Some(high) };
        assert_eq!(told(ObligationKind::AtLeast(Dim::constant(65), n.scale(2))), at_most(32));
        assert_eq!(told(ObligationKind::AtLeast(b.clone(), n.clone())), at_most(64));
        assert_eq!(told(ObligationKind::Equal(n.clone(), Dim::constant(8))).value(), Some(8));
        assert_eq!(told(ObligationKind::AtLeast(n, Dim::constant(3))).low, Some(3));
    }
}
