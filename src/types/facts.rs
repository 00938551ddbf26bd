//! What is known about dims, and what follows from it.
//!
//! A fact becomes a substitution wherever it can: `dim % heads == 0` lets `dim` be
//! `heads * (dim // heads)` with the quotient as a symbol of its own, so that everything built on `dim`
//! is a polynomial again. Dims keep the user's spelling; only questions are asked on the substituted form.

use crate::types::dim::{Atom, Dim, Monomial, Symbol};
use std::collections::BTreeSet;

/// At most so many known bounds are added up to prove another.
const MAX_COMBINED_BOUNDS: usize = 4;

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
    /// Sizes that only a run tells, such as the number of turns of a `while`: as little is known of them as of
    /// a `?`, but each has a name.
    open: BTreeSet<Symbol>,
    contradictory: bool,
}

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
        } else if difference.has_unknown() || self.is_open_dim(&difference) {
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
        let dim = self.without_positive_factor(dim);
        let known = self.nonnegative.iter().map(|known| self.without_positive_factor(&self.normal(known)));
        let known: Vec<Dim> = known.chain(quotient_bounds(&dim)).collect();
        self.follows_from(&dim, &known, MAX_COMBINED_BOUNDS)
    }

    /// `n * x` has the sign of `x` where n is at least 1.
    fn without_positive_factor(&self, dim: &Dim) -> Dim {
        dim.without_factor(&|atom| self.atom_lower_bound(atom).is_some_and(|bound| bound >= 1))
    }

    /// Whether the dim is at least a sum of known bounds: `limit - T` is, where `limit - T - start` and
    /// `start` are. A term that keeps the dim from being bounded must come from one of them.
    fn follows_from(&self, dim: &Dim, known: &[Dim], depth: usize) -> bool {
        if let Some(bound) = self.lower_bound(dim) {
            return bound >= 0 || (depth > 0 && known.iter().any(|k| self.lower_bound(&dim.sub(k)) >= Some(0)));
        }
        let Some((monomial, wanted)) = dim.terms().find(|(monomial, c)| self.term_lower_bound(monomial, *c).is_none())
        else {
            return false;
        };
        depth > 0
            && known.iter().any(|bound| {
                let given = bound.coefficient(monomial);
                let helps = given != 0 && wanted % given == 0 && wanted / given > 0;
                helps && self.follows_from(&dim.sub(&bound.scale(wanted / given)), known, depth - 1)
            })
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
        let mut atoms = solvable_atoms(&difference);
        // What is known least is told by the rest.
        atoms.sort_by_key(|atom| match atom {
            Atom::Unknown(_) => 0,
            Atom::Sym(symbol) if self.is_open(symbol) => 1,
            _ => 2,
        });
        for atom in atoms {
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
                    self.assume_quotient(a, r, &quotient);
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

    /// A size has a quotient that is a size; that of at least 1 without a remainder is at least 1 too.
    fn assume_quotient(&mut self, a: &Dim, r: &Dim, quotient: &Dim) {
        let Some(symbol) = quotient.as_symbol() else { return };
        if r.is_const(0) && self.at_least(a, &Dim::constant(1)) == Some(true) {
            self.positive.insert(symbol.clone());
        } else if self.at_least(a, &Dim::zero()) == Some(true) {
            self.nonnegative.push(quotient.clone());
        }
    }

    /// Learns `a >= b`.
    pub fn assume_at_least(&mut self, a: &Dim, b: &Dim) {
        let known = a.sub(b);
        // `n - 1 >= 0` has two terms.
        let positive = if known.terms().count() == 2 { known.add(&Dim::constant(1)) } else { Dim::zero() };
        match positive.as_symbol() {
            Some(symbol) => self.assume_positive(symbol),
            None if self.nonnegative.contains(&known) => {}
            None => self.nonnegative.push(known),
        }
    }

    /// Learns that only a run tells a size.
    pub fn assume_open(&mut self, symbol: &Symbol) {
        self.assume_at_least(&Dim::symbol(symbol.as_str()), &Dim::zero());
        self.open.insert(symbol.clone());
    }

    pub fn open_symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.open.iter()
    }

    pub fn is_open(&self, symbol: &Symbol) -> bool {
        self.open.contains(symbol)
    }

    /// Whether the dim depends on a size that only a run tells.
    pub fn is_open_dim(&self, dim: &Dim) -> bool {
        !self.open.is_empty() && dim.symbols().iter().any(|symbol| self.is_open(symbol))
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
        let mut terms = dim.terms();
        terms.try_fold(0i64, |bound, (monomial, c)| bound.checked_add(self.term_lower_bound(monomial, c)?))
    }

    fn term_lower_bound(&self, monomial: &Monomial, coefficient: i64) -> Option<i64> {
        if coefficient < 0 && !monomial.is_empty() {
            return None;
        }
        let mut atoms = monomial.iter();
        atoms.try_fold(coefficient, |product, (atom, exponent)| {
            let bound = self.atom_lower_bound(atom).or_else(|| exponent.is_multiple_of(2).then_some(0))?;
            product.checked_mul(bound.checked_pow(*exponent)?)
        })
    }

    /// As [`Facts::lower_bound`], for atoms that are never negative (products keep the order).
    fn atom_lower_bound(&self, atom: &Atom) -> Option<i64> {
        let bound = match atom {
            Atom::Sym(symbol) if self.positive.contains(symbol) => Some(1),
            Atom::Sym(symbol) => self.nonnegative.iter().any(|known| known.as_symbol() == Some(symbol)).then_some(0),
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

/// `0 <= a - n * (a // n) <= n - 1`, for the quotients in a dim.
fn quotient_bounds(dim: &Dim) -> Vec<Dim> {
    let quotients = dim.terms().flat_map(|(monomial, _)| monomial).filter_map(|(atom, _)| match atom {
        Atom::FloorDiv(a, n) => Some((a.sub(&n.mul(&Dim::atom(atom.clone()))), n)),
        _ => None,
    });
    quotients.flat_map(|(rest, n)| [n.sub(&Dim::constant(1)).sub(&rest), rest]).collect()
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

    #[test]
    fn bounds_add_up() {
        let mut facts = Facts::default();
        let (start, limit, size) = (s("start"), s("limit"), s("T"));
        facts.assume_at_least(&limit, &start.add(&size));
        assert_eq!(facts.at_least(&limit, &size), None);
        facts.assume_at_least(&start, &Dim::zero());
        assert_eq!(facts.at_least(&limit, &size), Some(true));
        assert_eq!(facts.at_least(&limit.scale(2), &size.scale(2)), Some(true));
        assert_eq!(facts.at_least(&size, &limit), None);
        assert_eq!(facts.at_least(&size, &limit.add(&Dim::constant(1))), Some(false));
    }

    #[test]
    fn squares_are_never_negative() {
        let facts = Facts::default();
        assert_eq!(facts.at_least(&s("x").mul(&s("x")), &Dim::zero()), Some(true));
        assert_eq!(facts.at_least(&s("x").mul(&s("x")).mul(&s("x")), &Dim::zero()), None);
    }

    #[test]
    fn factors_of_at_least_one_do_not_matter() {
        let mut facts = Facts::default();
        let (image, patch) = (s("image"), s("patch"));
        facts.assume_at_least(&image, &Dim::zero());
        facts.assume_modulo(&image, &patch, &Dim::zero());
        facts.assume_at_least(&image, &patch);
        let size = image.floor_div(&patch).unwrap();
        assert_eq!(facts.at_least(&size, &Dim::constant(1)), None);
        facts.assume_at_least(&patch, &Dim::constant(1));
        assert_eq!(facts.at_least(&size, &Dim::constant(1)), Some(true));
        assert_eq!(facts.at_least(&size, &Dim::constant(2)), None);
    }

    #[test]
    fn quotients_round_down_by_less_than_the_divisor() {
        let facts = Facts::default();
        let (size, window) = (s("size"), s("window"));
        let whole = |count: Dim| count.mul(&window);
        assert_eq!(facts.at_least(&whole(size.ceil_div(&window).unwrap()), &size), Some(true));
        assert_eq!(facts.at_least(&size, &whole(size.floor_div(&window).unwrap())), Some(true));
        assert_eq!(facts.at_least(&whole(size.floor_div(&window).unwrap()), &size), None);
    }

    #[test]
    fn quotients_of_sizes_are_sizes() {
        let quotient = |positive: bool, rest: i64| {
            let mut facts = Facts::default();
            if positive {
                facts.assume_positive(&Symbol::new("D"));
            }
            facts.assume_modulo(&s("D"), &Dim::constant(2), &Dim::constant(rest));
            let half = s("D").floor_div(&Dim::constant(2)).unwrap();
            [0, 1].map(|bound| facts.at_least(&half, &Dim::constant(bound)))
        };
        assert_eq!(quotient(true, 0), [Some(true), Some(true)]);
        assert_eq!(quotient(true, 1), [Some(true), None]);
        assert_eq!(quotient(false, 0), [None, None]);
    }
}
