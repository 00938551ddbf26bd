//! Symbolic dimensions: integer polynomials in normal form.
//!
//! A `Dim` is a sum of `coefficient * monomial`; a monomial is a product of powers of atoms. `//`, `**`,
//! `min` and `max` that do not reduce are atoms themselves; `a % n` is always written as
//! `a - n * (a // n)`, so the law that ties `//` and `%` holds by construction. Equal polynomials have
//! equal representations. Divisors are positive. Coefficients saturate at the ends of `i64`; such a size
//! is refused long before it is used.
//!
//! Example: `(2*H + 6) // 2 - 3` is built as `H`.

mod division;
mod series;
mod terms;
mod text;

use smallvec::{SmallVec, smallvec};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use terms::Terms;

/// The name of a hyperparameter, dim variable or type variable inside one signature.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(Arc<str>);

impl Symbol {
    pub fn new(name: &str) -> Symbol {
        Symbol(Arc::from(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name for people: without the number that tells names of the compiler's making apart.
    pub fn spoken(&self) -> &str {
        self.0.split('\'').next().unwrap_or_default()
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a polynomial is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Atom {
    Sym(Symbol),
    /// A `?`: equal to itself only.
    Unknown(u32),
    FloorDiv(Dim, Dim),
    Pow(Dim, Dim),
    Min(Dim, Dim),
    Max(Dim, Dim),
    /// An element of a list of ints that has no value yet, at a position that counts from 0.
    Element(Symbol, Dim),
}

/// Atoms with their exponents, sorted; empty for the constant term.
/// Nearly all are one symbol, which needs no storage of its own.
pub type Monomial = SmallVec<[(Atom, u32); 1]>;

/// An integer polynomial over symbols, in normal form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dim {
    terms: Terms,
}

/// Exponents up to this are multiplied out; beyond it a power stays an atom.
const MAX_EXPANDED_POWER: i64 = 8;
impl Dim {
    pub fn zero() -> Dim {
        Dim::default()
    }

    pub fn constant(value: i64) -> Dim {
        Dim::term(Monomial::new(), value)
    }

    pub fn symbol(name: &str) -> Dim {
        Dim::atom(Atom::Sym(Symbol::new(name)))
    }

    pub fn unknown(id: u32) -> Dim {
        Dim::atom(Atom::Unknown(id))
    }

    pub fn atom(atom: Atom) -> Dim {
        Dim::term(smallvec![(atom, 1)], 1)
    }

    fn term(monomial: Monomial, coefficient: i64) -> Dim {
        Dim { terms: Terms::one(monomial, coefficient) }
    }

    /// The monomials and their coefficients, none of them zero.
    pub fn terms(&self) -> impl Iterator<Item = (&Monomial, i64)> {
        self.terms.iter().map(|(m, c)| (m, *c))
    }

    pub fn coefficient(&self, monomial: &Monomial) -> i64 {
        self.terms.get(monomial).copied().unwrap_or(0)
    }

    pub fn as_const(&self) -> Option<i64> {
        match self.terms.len() {
            0 => Some(0),
            1 => self.terms.get(&[]).copied(),
            _ => None,
        }
    }

    pub fn is_const(&self, value: i64) -> bool {
        self.as_const() == Some(value)
    }

    /// The symbol, if the dim is nothing else.
    pub fn as_symbol(&self) -> Option<&Symbol> {
        match self.as_atom()? {
            Atom::Sym(symbol) => Some(symbol),
            _ => None,
        }
    }

    fn as_atom(&self) -> Option<&Atom> {
        let (monomial, &1) = self.terms.iter().next()? else { return None };
        match (self.terms.len(), monomial.as_slice()) {
            (1, [(atom, 1)]) => Some(atom),
            _ => None,
        }
    }

    pub fn add(&self, other: &Dim) -> Dim {
        Dim { terms: self.terms.add_scaled(&other.terms, 1) }
    }

    pub fn neg(&self) -> Dim {
        self.scale(-1)
    }

    pub fn sub(&self, other: &Dim) -> Dim {
        Dim { terms: self.terms.add_scaled(&other.terms, -1) }
    }

    pub fn scale(&self, factor: i64) -> Dim {
        if factor == 0 {
            return Dim::zero();
        }
        Dim { terms: self.terms.scale(factor) }
    }

    pub fn mul(&self, other: &Dim) -> Dim {
        for (one, factor) in [(self, other.as_const()), (other, self.as_const())] {
            if let Some(factor) = factor {
                return if factor == 1 { one.clone() } else { one.scale(factor) };
            }
        }
        let mut sum = Dim::zero();
        for (left, a) in self.terms.iter() {
            for (right, b) in other.terms.iter() {
                sum = sum.add(&Dim::term(multiply(left, right), a.saturating_mul(*b)));
            }
        }
        sum
    }

    /// `None` for a constant negative exponent.
    pub fn pow(&self, exponent: &Dim) -> Option<Dim> {
        if let Some(e) = exponent.as_const() {
            if e < 0 {
                return None;
            }
            if let Some(base) = self.as_const() {
                return Some(Dim::constant(saturating_pow(base, e)));
            }
            if e <= MAX_EXPANDED_POWER {
                return Some((0..e).fold(Dim::constant(1), |product, _| product.mul(self)));
            }
            return Some(Dim::atom(Atom::Pow(self.clone(), exponent.clone())));
        }
        if self.is_const(1) {
            return Some(Dim::constant(1));
        }
        // 2 ** (i + 1) = 2 * 2 ** i; but 2 ** (3 - i) stays whole, since 2 ** -i is no integer
        let shift = exponent.terms.get(&[]).copied().unwrap_or(0);
        let rest = exponent.sub(&Dim::constant(shift));
        if shift > 0 && rest.terms.values().all(|coefficient| *coefficient > 0) {
            return Some(self.pow(&Dim::constant(shift))?.mul(&self.pow(&rest)?));
        }
        Some(Dim::atom(Atom::Pow(self.clone(), exponent.clone())))
    }

    pub fn minimum(&self, other: &Dim) -> Dim {
        self.extreme(other, true)
    }

    pub fn maximum(&self, other: &Dim) -> Dim {
        self.extreme(other, false)
    }

    fn extreme(&self, other: &Dim, least: bool) -> Dim {
        if let Some(difference) = self.sub(other).as_const() {
            return if (difference <= 0) == least { self.clone() } else { other.clone() };
        }
        let (a, b) = if self <= other { (self, other) } else { (other, self) };
        let (a, b) = (a.clone(), b.clone());
        Dim::atom(if least { Atom::Min(a, b) } else { Atom::Max(a, b) })
    }

    /// Rebuilds the dim with some atoms replaced; the replacement is simultaneous, not repeated.
    pub fn substitute(&self, replace: &dyn Fn(&Atom) -> Option<Dim>) -> Dim {
        if self.as_const().is_some() {
            return self.clone();
        }
        if let Some(atom) = self.as_atom() {
            return match atom {
                Atom::Sym(_) | Atom::Unknown(_) => replace(atom).unwrap_or_else(|| self.clone()),
                _ => substitute_atom(atom, replace),
            };
        }
        let mut sum = Dim::zero();
        for (monomial, coefficient) in self.terms.iter() {
            let mut product = Dim::constant(*coefficient);
            for (atom, exponent) in monomial {
                let value = substitute_atom(atom, replace);
                for _ in 0..*exponent {
                    product = product.mul(&value);
                }
            }
            sum = sum.add(&product);
        }
        sum
    }

    /// Replaces symbols; others stay.
    pub fn substitute_symbols(&self, replace: &dyn Fn(&Symbol) -> Option<Dim>) -> Dim {
        self.substitute(&|atom| match atom {
            Atom::Sym(symbol) => replace(symbol),
            _ => None,
        })
    }

    /// The value, if every symbol has one. `None` also for a division by zero and for a `?`.
    pub fn eval(&self, value: &dyn Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        let mut sum = 0i64;
        for (monomial, coefficient) in self.terms.iter() {
            let mut product = *coefficient;
            for (atom, exponent) in monomial {
                product = product.checked_mul(eval_atom(atom, value)?.checked_pow(*exponent)?)?;
            }
            sum = sum.checked_add(product)?;
        }
        Some(sum)
    }

    /// Visits every atom, those inside `//` and the like included.
    pub fn visit_atoms(&self, visit: &mut dyn FnMut(&Atom)) {
        for (atom, _) in self.terms.keys().flatten() {
            visit(atom);
            match atom {
                Atom::Sym(_) | Atom::Unknown(_) => {}
                Atom::FloorDiv(a, b) | Atom::Pow(a, b) | Atom::Min(a, b) | Atom::Max(a, b) => {
                    a.visit_atoms(visit);
                    b.visit_atoms(visit);
                }
                Atom::Element(_, position) => position.visit_atoms(visit),
            }
        }
    }

    /// Visits every symbol; one that occurs twice, twice.
    pub fn visit_symbols(&self, visit: &mut dyn FnMut(&Symbol)) {
        self.visit_atoms(&mut |atom| {
            if let Atom::Sym(symbol) = atom {
                visit(symbol);
            }
        });
    }

    pub fn symbols(&self) -> BTreeSet<Symbol> {
        let mut set = BTreeSet::new();
        self.visit_symbols(&mut |symbol| {
            set.insert(symbol.clone());
        });
        set
    }

    pub fn has_unknown(&self) -> bool {
        let mut found = false;
        self.visit_atoms(&mut |atom| found |= matches!(atom, Atom::Unknown(_)));
        found
    }

    pub fn mentions(&self, wanted: &Atom) -> bool {
        let mut found = false;
        self.visit_atoms(&mut |atom| found |= atom == wanted);
        found
    }

    /// Solves `self == target` for `atom`: possible when `self` is `±atom + rest` and `rest` is free of it.
    pub fn solve(&self, atom: &Atom, target: &Dim) -> Option<Dim> {
        let monomial: Monomial = smallvec![(atom.clone(), 1)];
        let coefficient = *self.terms.get(&monomial)?;
        let rest = self.sub(&Dim::term(monomial, coefficient));
        if rest.mentions(atom) {
            return None;
        }
        let numerator = target.sub(&rest);
        let (numerator, coefficient) =
            if coefficient < 0 { (numerator.neg(), coefficient.checked_neg()?) } else { (numerator, coefficient) };
        if coefficient == 1 {
            return Some(numerator);
        }
        // 2 * S - 1 == 7 binds S = 4; a remainder means that there is no solution.
        let n = Dim::constant(coefficient);
        let quotient = numerator.floor_div(&n)?;
        (quotient.mul(&n) == numerator).then_some(quotient)
    }
}

fn multiply(left: &Monomial, right: &Monomial) -> Monomial {
    if left.is_empty() || right.is_empty() {
        return if left.is_empty() { right.clone() } else { left.clone() };
    }
    let mut powers: BTreeMap<Atom, u32> = left.iter().cloned().collect();
    for (atom, exponent) in right {
        let power = powers.entry(atom.clone()).or_insert(0);
        *power = power.saturating_add(*exponent);
    }
    powers.into_iter().collect()
}

fn saturating_pow(base: i64, exponent: i64) -> i64 {
    u32::try_from(exponent).map_or(i64::MAX, |e| base.saturating_pow(e))
}

fn substitute_atom(atom: &Atom, replace: &dyn Fn(&Atom) -> Option<Dim>) -> Dim {
    if let Some(dim) = replace(atom) {
        return dim;
    }
    let rebuilt = match atom {
        Atom::Sym(_) | Atom::Unknown(_) => None,
        Atom::FloorDiv(a, b) => a.substitute(replace).floor_div(&b.substitute(replace)),
        Atom::Pow(a, b) => a.substitute(replace).pow(&b.substitute(replace)),
        Atom::Min(a, b) => Some(a.substitute(replace).minimum(&b.substitute(replace))),
        Atom::Max(a, b) => Some(a.substitute(replace).maximum(&b.substitute(replace))),
        Atom::Element(list, position) => Some(Dim::atom(Atom::Element(list.clone(), position.substitute(replace)))),
    };
    rebuilt.unwrap_or_else(|| Dim::atom(atom.clone()))
}

fn eval_atom(atom: &Atom, value: &dyn Fn(&Symbol) -> Option<i64>) -> Option<i64> {
    Some(match atom {
        Atom::Sym(symbol) => value(symbol)?,
        Atom::Unknown(_) | Atom::Element(..) => return None,
        Atom::FloorDiv(a, b) => {
            let (a, b) = (a.eval(value)?, b.eval(value)?);
            if b <= 0 {
                return None;
            }
            a.div_euclid(b)
        }
        Atom::Pow(a, b) => a.eval(value)?.checked_pow(u32::try_from(b.eval(value)?).ok()?)?,
        Atom::Min(a, b) => a.eval(value)?.min(b.eval(value)?),
        Atom::Max(a, b) => a.eval(value)?.max(b.eval(value)?),
    })
}

impl From<i64> for Dim {
    fn from(value: i64) -> Self {
        Dim::constant(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(name: &str) -> Dim {
        Dim::symbol(name)
    }
    fn c(value: i64) -> Dim {
        Dim::constant(value)
    }

    #[test]
    fn polynomials_are_canonical() {
        let a = s("a").add(&s("b")).mul(&s("a").sub(&s("b")));
        assert_eq!(a, s("a").mul(&s("a")).sub(&s("b").mul(&s("b"))));
        assert_eq!(s("a").sub(&s("a")), Dim::zero());
        assert_eq!(a.to_string(), "a ** 2 - b ** 2");
    }

    #[test]
    fn floor_division_laws() {
        let (a, k, m, n) = (s("a"), s("k"), s("m"), s("n"));
        // (a + k*n) // n = a // n + k
        assert_eq!(a.add(&k.mul(&n)).floor_div(&n), Some(a.floor_div(&n).unwrap().add(&k)));
        // (a // m) // n = a // (m * n)
        assert_eq!(a.floor_div(&m).unwrap().floor_div(&n), a.floor_div(&m.mul(&n)));
        // (a * m) // (n * m) = a // n
        assert_eq!(a.mul(&m).floor_div(&n.mul(&m)), a.floor_div(&n));
        // n * (a // n) + a % n = a
        assert_eq!(n.mul(&a.floor_div(&n).unwrap()).add(&a.modulo(&n).unwrap()), a);
        // two stride-2 convolutions are one of stride 4
        let half = s("H").sub(&c(1)).floor_div(&c(2)).unwrap().add(&c(1));
        let quarter = half.sub(&c(1)).floor_div(&c(2)).unwrap().add(&c(1));
        assert_eq!(quarter, s("H").sub(&c(1)).floor_div(&c(4)).unwrap().add(&c(1)));
        assert_eq!(s("H").scale(2).add(&c(6)).floor_div(&c(2)).unwrap(), s("H").add(&c(3)));
        assert_eq!(a.floor_div(&c(0)), None);
        // a divisor of several terms
        let sum = s("p").add(&s("q"));
        assert_eq!(sum.mul(&k).floor_div(&sum), Some(k));
    }

    #[test]
    fn powers_split_their_constant_exponent() {
        let next = c(2).pow(&s("i").add(&c(1))).unwrap();
        assert_eq!(next, c(2).pow(&s("i")).unwrap().scale(2));
        let falling = c(2).pow(&c(3).sub(&s("i"))).unwrap();
        assert_eq!(falling.substitute_symbols(&|_| Some(c(1))), c(4));
    }

    #[test]
    fn elements_of_open_lists_follow_their_position() {
        let element = |position: Dim| Dim::atom(Atom::Element(Symbol::new("dims"), position));
        let next = element(s("i").add(&c(1)));
        assert_eq!(next.to_string(), "dims[i + 1]");
        assert_eq!(next.substitute_symbols(&|_| Some(c(2))), element(c(3)));
        assert_eq!(element(c(0)).scale(6).floor_div(&element(c(0))), Some(c(6)));
        assert_eq!(next.symbols().len(), 1);
        assert_eq!(next.eval(&|_| Some(2)), None);
    }

    #[test]
    fn division_agrees_with_integers() {
        // Evaluating the normal form gives what the arithmetic gives.
        for x in -7..8 {
            for n in 1..5 {
                let value = |symbol: &Symbol| Some(if symbol.as_str() == "x" { x } else { n });
                for (p, q) in [(3, -5), (-2, 1), (1, 0), (4, 7)] {
                    let numerator = s("x").scale(p).add(&c(q)).add(&s("n").scale(2));
                    let want = (p * x + q + 2 * n).div_euclid(n);
                    assert_eq!(numerator.floor_div(&s("n")).unwrap().eval(&value), Some(want));
                    let want = (p * x + q + 2 * n).rem_euclid(3);
                    assert_eq!(numerator.modulo(&c(3)).unwrap().eval(&value), Some(want));
                }
            }
        }
    }

    #[test]
    fn prints_tri() {
        let dim = s("dim").floor_div(&s("heads")).unwrap().mul(&s("heads"));
        assert_eq!(dim.to_string(), "heads * (dim // heads)");
        assert_eq!(s("dim").modulo(&s("heads")).unwrap().to_string(), "dim % heads");
        let even = s("dim").floor_div(&s("heads")).unwrap().modulo(&c(2)).unwrap();
        assert_eq!(even.to_string(), "(dim // heads) % 2");
        assert_eq!(s("a").sub(&s("a").floor_div(&s("n")).unwrap()).to_string(), "a - a // n");
        assert_eq!(s("H").sub(&c(1)).to_string(), "H - 1");
        assert_eq!(s("H").sub(&c(1)).floor_div(&c(2)).unwrap().to_string(), "(H + 1) // 2 - 1");
    }

    #[test]
    fn solves_linear_equations() {
        let expr = s("S").scale(2).sub(&c(1));
        let atom = Atom::Sym(Symbol::new("S"));
        assert_eq!(expr.solve(&atom, &c(7)), Some(c(4)));
        assert_eq!(expr.solve(&atom, &c(8)), None);
        assert_eq!(expr.solve(&atom, &s("T").scale(4).add(&c(1))), Some(s("T").scale(2).add(&c(1))));
    }
}
