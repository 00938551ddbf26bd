//! What is known about dims, and what follows from it.
//!
//! A fact becomes a substitution wherever it can: `dim % heads == 0` lets `dim` be
//! `heads * (dim // heads)` with the quotient as a symbol of its own, so that everything built on `dim`
//! is a polynomial again. Dims keep the user's spelling; only questions are asked on the substituted form.

use crate::types::dim::{Atom, Dim, Symbol};
use std::collections::BTreeSet;

/// The answer to "are these dims equal?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// For every value of the symbols.
    Equal,
    /// Not provably equal: an error where dims must agree.
    Differ,
    /// A `?` is involved: checked at instantiation.
    Unknown,
}

/// Known equalities and bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Applied in order.
    substitutions: Vec<(Atom, Dim)>,
    /// Polynomials known to be zero that could not be solved for an atom.
    zeros: Vec<Dim>,
    /// Polynomials known to be at least zero.
    nonnegative: Vec<Dim>,
    /// Symbols that are at least 1: dim variables, and sizes declared by a tensor type.
    positive: BTreeSet<Symbol>,
    contradictory: bool,
}

/// Sums of two facts are tried among so many.
const MAX_PAIRED: usize = 24;

impl Facts {
    /// The dim with every substitution applied.
    pub fn normal(&self, dim: &Dim) -> Dim {
        self.substitutions
            .iter()
            .fold(dim.clone(), |dim, (from, to)| dim.substitute(&|atom| (atom == from).then(|| to.clone())))
    }

    pub fn compare(&self, a: &Dim, b: &Dim) -> Verdict {
        if a == b {
            return Verdict::Equal;
        }
        let difference = self.normal(&a.sub(b));
        if difference == Dim::zero() || self.is_known_zero(&difference) {
            Verdict::Equal
        } else if difference.has_unknown() {
            Verdict::Unknown
        } else {
            Verdict::Differ
        }
    }

    pub fn equal(&self, a: &Dim, b: &Dim) -> bool {
        self.compare(a, b) == Verdict::Equal
    }

    fn is_known_zero(&self, dim: &Dim) -> bool {
        self.zeros.iter().any(|zero| {
            let zero = self.normal(zero);
            zero == *dim || zero == dim.neg()
        })
    }

    /// Whether `a >= b`: always, never, or not known.
    pub fn at_least(&self, a: &Dim, b: &Dim) -> Option<bool> {
        let difference = self.normal(&a.sub(b));
        if self.proves_nonnegative(&difference) {
            return Some(true);
        }
        if self.proves_nonnegative(&difference.neg().sub(&Dim::constant(1))) {
            return Some(false);
        }
        None
    }

    fn proves_nonnegative(&self, dim: &Dim) -> bool {
        if self.lower_bound(dim).is_some_and(|bound| bound >= 0) {
            return true;
        }
        let holds = |rest: &Dim| self.lower_bound(rest).is_some_and(|bound| bound >= 0);
        // One of the facts, or the sum of two.
        let rests: Vec<Dim> = self.nonnegative.iter().map(|known| dim.sub(&self.normal(known))).collect();
        let mut pairs = self.nonnegative.iter().take(MAX_PAIRED).map(|known| self.normal(known));
        rests.iter().any(holds) || pairs.any(|known| rests.iter().take(MAX_PAIRED).any(|rest| holds(&rest.sub(&known))))
    }

    /// Learns `a == b`.
    pub fn assume_equal(&mut self, a: &Dim, b: &Dim) {
        let difference = self.normal(&a.sub(b));
        if difference == Dim::zero() {
            return;
        }
        if difference.as_const().is_some() {
            self.contradictory = true;
            return;
        }
        for atom in solvable_atoms(&difference) {
            if let Some(value) = difference.solve(&atom, &Dim::zero()) {
                self.substitutions.push((atom, value));
                return;
            }
        }
        self.zeros.push(difference);
    }

    /// Learns the value of a symbol. It is put in before other facts are asked, which may be on what it gives:
    /// `i == 1` makes `widths[i - 1]` the `widths[0]` that a fact is about.
    pub fn assume_value(&mut self, symbol: &Symbol, value: &Dim) {
        for (_, to) in &mut self.substitutions {
            *to = to.substitute_symbols(&|own| (own == symbol).then(|| value.clone()));
        }
        self.substitutions.insert(0, (Atom::Sym(symbol.clone()), value.clone()));
    }

    /// Learns `a % n == r`: `a` becomes `n * q + r` with a new symbol q that prints as `a // n`.
    pub fn assume_modulo(&mut self, a: &Dim, n: &Dim, r: &Dim) {
        let dim = self.normal(a);
        let n_normal = self.normal(n);
        let quotient = Dim::symbol(&format!("({a} // {n})"));
        let target = n_normal.mul(&quotient).add(&self.normal(r));
        if dim.as_const().is_none() {
            for atom in solvable_atoms(&dim) {
                if n_normal.mentions(&atom) {
                    continue;
                }
                if let Some(value) = dim.solve(&atom, &target) {
                    self.substitutions.push((atom, value));
                    return;
                }
            }
        }
        if let Some(rest) = dim.modulo(&n_normal) {
            let zero = rest.sub(&self.normal(r));
            if zero != Dim::zero() {
                self.zeros.push(zero);
            }
        }
    }

    /// Learns `a >= b`.
    pub fn assume_at_least(&mut self, a: &Dim, b: &Dim) {
        self.nonnegative.push(a.sub(b));
    }

    /// Learns that a symbol is at least 1.
    pub fn assume_positive(&mut self, symbol: &Symbol) {
        self.positive.insert(symbol.clone());
    }

    /// The facts cannot hold together, so the code under them never runs.
    pub fn is_contradictory(&self) -> bool {
        self.contradictory
    }

    /// A constant that the dim is never below.
    fn lower_bound(&self, dim: &Dim) -> Option<i64> {
        let mut bound = 0i64;
        for (monomial, coefficient) in dim.terms() {
            if monomial.is_empty() {
                bound = bound.checked_add(coefficient)?;
                continue;
            }
            if coefficient < 0 {
                return None;
            }
            let mut product = coefficient;
            for (atom, exponent) in monomial {
                product = product.checked_mul(self.atom_lower_bound(atom)?.checked_pow(*exponent)?)?;
            }
            bound = bound.checked_add(product)?;
        }
        Some(bound)
    }

    /// As [`Facts::lower_bound`], for atoms that are never negative (products keep the order).
    fn atom_lower_bound(&self, atom: &Atom) -> Option<i64> {
        let bound = match atom {
            Atom::Sym(symbol) => self.positive.contains(symbol).then_some(1),
            // Sizes, in a program that runs.
            Atom::Unknown(_) => Some(0),
            Atom::Element(..) => None,
            Atom::FloorDiv(a, n) => {
                let a = self.lower_bound(a)?;
                match n.as_const() {
                    Some(n) if n > 0 => Some(a.div_euclid(n)),
                    _ => (a >= 0).then_some(0),
                }
            }
            Atom::Pow(a, _) => self.lower_bound(a).filter(|a| *a >= 1),
            Atom::Min(a, b) => Some(self.lower_bound(a)?.min(self.lower_bound(b)?)),
            Atom::Max(a, b) => match (self.lower_bound(a), self.lower_bound(b)) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            },
        };
        bound.filter(|b| *b >= 0)
    }
}

/// Atoms that stand alone with a coefficient of one, symbols first, the last name first
/// (a hyperparameter declared later is usually the derived one).
fn solvable_atoms(dim: &Dim) -> Vec<Atom> {
    let mut atoms: Vec<Atom> = dim
        .terms()
        .filter(|(_, coefficient)| coefficient.abs() == 1)
        .filter_map(|(monomial, _)| match monomial.as_slice() {
            [(atom @ (Atom::Sym(_) | Atom::FloorDiv(..) | Atom::Unknown(_) | Atom::Element(..)), 1)] => {
                Some(atom.clone())
            }
            _ => None,
        })
        .collect();
    atoms.sort_by_key(|atom| match atom {
        Atom::Unknown(_) => 0,
        Atom::Sym(_) => 1,
        _ => 2,
    });
    atoms
}

/// A symbol that no source text can spell, for names the compiler makes.
pub fn hidden_symbol(hint: &str, id: usize) -> Symbol {
    Symbol::new(&format!("{hint}'{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(name: &str) -> Dim {
        Dim::symbol(name)
    }

    #[test]
    fn two_bounds_add_up() {
        let (t, pos, max) = (Dim::symbol("t"), Dim::symbol("pos"), Dim::symbol("max"));
        let mut facts = Facts::default();
        facts.assume_at_least(&t, &Dim::zero());
        facts.assume_at_least(&pos, &Dim::constant(2));
        facts.assume_at_least(&max, &t.add(&pos));
        assert_eq!(facts.at_least(&t.add(&pos), &Dim::constant(2)), Some(true));
        assert_eq!(facts.at_least(&t.add(&pos), &Dim::constant(3)), None);
        assert_eq!(facts.at_least(&max, &t), Some(true));
        assert_eq!(facts.at_least(&Dim::constant(-1), &t.add(&pos)), Some(false));
    }

    #[test]
    fn divisibility_makes_quotients_polynomial() {
        let (dim, heads) = (s("dim"), s("heads"));
        let split = heads.mul(&dim.floor_div(&heads).unwrap());
        let mut facts = Facts::default();
        assert_eq!(facts.compare(&split, &dim), Verdict::Differ);
        facts.assume_modulo(&dim, &heads, &Dim::zero());
        assert_eq!(facts.compare(&split, &dim), Verdict::Equal);
        let head = dim.floor_div(&heads).unwrap();
        facts.assume_modulo(&head, &Dim::constant(2), &Dim::zero());
        let halves = head.floor_div(&Dim::constant(2)).unwrap().scale(2);
        assert_eq!(facts.compare(&halves, &head), Verdict::Equal);
    }

    #[test]
    fn equalities_substitute() {
        let mut facts = Facts::default();
        facts.assume_equal(&s("a"), &s("b").mul(&s("c")));
        assert!(facts.equal(&s("a").scale(2), &s("b").mul(&s("c")).scale(2)));
        assert_eq!(facts.compare(&s("a"), &s("b")), Verdict::Differ);
        assert_eq!(facts.compare(&s("a"), &Dim::unknown(0)), Verdict::Unknown);
    }

    #[test]
    fn bounds() {
        let mut facts = Facts::default();
        assert_eq!(facts.at_least(&s("padding"), &Dim::constant(1)), None);
        facts.assume_positive(&Symbol::new("T"));
        facts.assume_positive(&Symbol::new("S"));
        assert_eq!(facts.at_least(&s("T"), &Dim::constant(1)), Some(true));
        assert_eq!(facts.at_least(&s("T"), &s("S")), None);
        assert_eq!(facts.at_least(&Dim::zero(), &s("S")), Some(false));
        facts.assume_at_least(&s("T"), &s("S"));
        assert_eq!(facts.at_least(&s("T").add(&Dim::constant(1)), &s("S")), Some(true));
    }
}
