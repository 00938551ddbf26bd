//! Indices: polynomials over loop variables and sizes, simplified by what is known of the variables' ranges, and as C.

use crate::targets::c::text::C;
use crate::types::dim::{Atom, Monomial};
use crate::types::{Dim, Symbol};
use std::collections::BTreeMap;

/// Loop variables, each from 0 up to its size, in the order of their loops.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    sizes: BTreeMap<Symbol, (usize, Dim)>,
    opened: usize,
}

/// How much an index grows with a variable; `None` where that is not always the same.
pub(super) fn linear(index: &Dim, variable: &Symbol) -> Option<Dim> {
    let mut step = Dim::zero();
    for (monomial, coefficient) in index.terms() {
        let own = Atom::Sym(variable.clone());
        let mut factor = Dim::constant(coefficient);
        let mut found = false;
        for (atom, exponent) in monomial {
            if *atom == own {
                if *exponent > 1 {
                    return None;
                }
                found = true;
                continue;
            }
            let alone = Dim::atom(atom.clone());
            if alone.symbols().contains(variable) {
                return None;
            }
            factor = (0..*exponent).fold(factor, |factor, _| factor.mul(&alone));
        }
        if found {
            step = step.add(&factor);
        }
    }
    Some(step)
}

fn monomial(monomial: &Monomial, coefficient: i64) -> Dim {
    monomial.iter().fold(Dim::constant(coefficient), |product, (atom, exponent)| {
        (0..*exponent).fold(product, |product, _| product.mul(&Dim::atom(atom.clone())))
    })
}

impl Ranges {
    pub fn open(&mut self, variable: &Symbol, size: Dim) {
        self.opened += 1;
        self.sizes.insert(variable.clone(), (self.opened, size));
    }

    pub fn close(&mut self, variable: &Symbol) {
        self.sizes.remove(variable);
    }

    pub fn size(&self, variable: &Symbol) -> Option<&Dim> {
        self.sizes.get(variable).map(|(_, size)| size)
    }

    /// The largest value of an index, if that is a known number; the smallest is 0 then, at least.
    fn largest(&self, index: &Dim) -> Option<i64> {
        let mut sum = 0i64;
        for (monomial, coefficient) in index.terms() {
            let mut most = coefficient;
            if coefficient < 0 {
                return None;
            }
            for (atom, exponent) in monomial {
                let value = match atom {
                    Atom::Sym(symbol) => self.size(symbol)?.as_const()?.checked_sub(1)?,
                    Atom::FloorDiv(value, divisor) => self.largest(value)? / divisor.as_const().filter(|n| *n > 0)?,
                    _ => return None,
                };
                most = most.checked_mul(value.max(0).checked_pow(*exponent)?)?;
            }
            sum = sum.checked_add(most)?;
        }
        Some(sum)
    }

    /// A size that an index is always below, where steps of each variable are what the others leave: `i * n + j` is below
    /// the product of the size of `i` and `n`, if `n` is the size of `j`.
    fn bound(&self, index: &Dim) -> Option<Dim> {
        if let Some(value) = index.as_const() {
            return Some(Dim::constant(value + 1));
        }
        let variables = index.symbols().into_iter().filter_map(|symbol| Some((self.size(&symbol)?.clone(), symbol)));
        variables.into_iter().find_map(|(size, variable)| {
            let step = linear(index, &variable)?;
            let rest = index.sub(&step.mul(&Dim::symbol(variable.as_str())));
            let fits = if rest.is_const(0) { step.is_const(1) } else { self.bound(&rest).as_ref() == Some(&step) };
            fits.then(|| step.mul(&size))
        })
    }

    /// Whether an index is less than a size, for all values of the variables.
    pub fn is_below(&self, index: &Dim, size: &Dim) -> bool {
        if size.as_const().is_none() && self.bound(index).as_ref() == Some(size) {
            return true;
        }
        match (self.largest(index), size.as_const()) {
            (Some(largest), Some(size)) => largest < size,
            _ => false,
        }
    }

    /// Whether an index is never below 0.
    pub fn is_natural(&self, index: &Dim) -> bool {
        index.terms().all(|(_, coefficient)| coefficient >= 0)
    }

    /// The quotient of an index, which is not negative, rounded down.
    pub fn divide(&self, index: &Dim, size: &Dim) -> Dim {
        if size.is_const(1) {
            return index.clone();
        }
        let (mut quotient, mut rest) = (Dim::zero(), Dim::zero());
        for (own, coefficient) in index.terms() {
            let term = monomial(own, coefficient);
            match exact(&term, size) {
                Some(part) => quotient = quotient.add(&part),
                None => rest = rest.add(&term),
            }
        }
        if self.is_natural(&rest) && self.is_below(&rest, size) {
            return quotient;
        }
        let divided = rest.floor_div(size).unwrap_or_else(|| Dim::atom(Atom::FloorDiv(rest.clone(), size.clone())));
        quotient.add(&divided)
    }

    /// What is left of it.
    pub fn remainder(&self, index: &Dim, size: &Dim) -> Dim {
        index.sub(&size.mul(&self.divide(index, size)))
    }

    /// How deep the innermost loop is whose variable is in a term.
    fn depth(&self, monomial: &Monomial) -> usize {
        let depth =
            |atom: &Atom| Dim::atom(atom.clone()).symbols().iter().filter_map(|s| Some(self.sizes.get(s)?.0)).max();
        monomial.iter().filter_map(|(atom, _)| depth(atom)).max().unwrap_or(0)
    }

    /// An index or size as an expression; `name` gives symbols their names.
    pub fn text(&self, index: &Dim, name: &dyn Fn(&Symbol) -> String) -> C {
        if let Some((value, divisor)) = index.as_modulo() {
            return C::binary(self.text(&value, name), "%", self.text(&divisor, name));
        }
        let mut terms: Vec<(&Monomial, i64)> = index.terms().collect();
        // The largest steps come first, constants last, and what is taken away after what is added.
        terms.sort_by_key(|(m, coefficient)| {
            let sizes = m.iter().map(|(_, exponent)| *exponent).sum::<u32>();
            let step = std::cmp::Reverse((sizes, coefficient.unsigned_abs()));
            (*coefficient < 0, m.is_empty(), step, self.depth(m))
        });
        let mut sum: Option<C> = None;
        for (monomial, coefficient) in terms {
            let (mut left, magnitude) = (sum.take(), coefficient.unsigned_abs());
            let term = self.term(monomial, magnitude, name);
            sum = Some(match left.take() {
                None if coefficient < 0 => match term {
                    C::Atom(_) => C::unary("-", term),
                    C::Binary(first, "*", second) => C::binary(C::unary("-", *first), "*", *second),
                    other => C::unary("-", other),
                },
                None => term,
                Some(left) => C::binary(left, if coefficient < 0 { "-" } else { "+" }, term),
            });
        }
        sum.unwrap_or_else(|| C::atom("0"))
    }

    fn term(&self, monomial: &Monomial, coefficient: u64, name: &dyn Fn(&Symbol) -> String) -> C {
        let mut atoms: Vec<&(Atom, u32)> = monomial.iter().collect();
        // The loop variable stands first, sizes after it.
        atoms.sort_by_key(|(atom, _)| self.depth(&[(atom.clone(), 1)].into_iter().collect::<Monomial>()) == 0);
        let mut product: Option<C> = None;
        for (atom, exponent) in atoms {
            for _ in 0..*exponent {
                let factor = self.atom(atom, name);
                product = Some(match product.take() {
                    None => factor,
                    Some(left) => C::binary(left, "*", factor),
                });
            }
        }
        let number = C::atom(coefficient.to_string());
        match product {
            None => number,
            Some(product) if coefficient == 1 => product,
            Some(product) => C::binary(product, "*", number),
        }
    }

    fn atom(&self, atom: &Atom, name: &dyn Fn(&Symbol) -> String) -> C {
        let least = |a: &Dim, b: &Dim, operator: &'static str| {
            let (a, b) = (self.text(a, name), self.text(b, name));
            C::conditional(C::binary(a.clone(), operator, b.clone()), a, b)
        };
        match atom {
            Atom::Sym(symbol) => C::atom(name(symbol)),
            Atom::FloorDiv(a, b) => C::binary(self.text(a, name), "/", self.text(b, name)),
            Atom::Min(a, b) => least(a, b, "<"),
            Atom::Max(a, b) => least(a, b, ">"),
            // Neither is left in a program whose hyperparameters are known.
            Atom::Pow(..) | Atom::Unknown(_) | Atom::Element(..) => C::atom("0"),
        }
    }
}

/// The quotient of a term where it divides.
fn exact(term: &Dim, size: &Dim) -> Option<Dim> {
    let quotient = term.floor_div(size)?;
    (quotient.mul(size) == *term).then_some(quotient)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges() -> Ranges {
        let mut ranges = Ranges::default();
        for (name, size) in [("i", Dim::symbol("N")), ("j", Dim::constant(4)), ("k", Dim::constant(64))] {
            ranges.open(&Symbol::new(name), size);
        }
        ranges
    }

    fn text(index: &Dim) -> String {
        ranges().text(index, &|symbol| symbol.to_string()).text()
    }

    #[test]
    fn indices_are_printed_from_the_outermost_loop_in() {
        let (i, j, k) = (Dim::symbol("i"), Dim::symbol("j"), Dim::symbol("k"));
        assert_eq!(text(&k.add(&j.scale(64)).add(&i.scale(256))), "i * 256 + j * 64 + k");
        assert_eq!(text(&i.mul(&Dim::symbol("N")).add(&j)), "i * N + j");
        assert_eq!(text(&Dim::constant(3).sub(&j)), "3 - j");
        assert_eq!(text(&j.add(&Dim::constant(-1))), "j - 1");
        assert_eq!(text(&Dim::zero()), "0");
    }

    #[test]
    fn quotients_know_the_ranges() {
        let (i, j, k) = (Dim::symbol("i"), Dim::symbol("j"), Dim::symbol("k"));
        let flat = j.scale(64).add(&k);
        let ranges = ranges();
        assert_eq!(ranges.divide(&flat, &Dim::constant(64)), j);
        assert_eq!(ranges.remainder(&flat, &Dim::constant(64)), k);
        let open = j.mul(&Dim::symbol("N")).add(&i);
        assert_eq!(ranges.divide(&open, &Dim::symbol("N")), j);
        let rows = j.mul(&Dim::symbol("N")).add(&i);
        assert!(ranges.is_below(&rows, &Dim::symbol("N").scale(4)) && !ranges.is_below(&rows, &Dim::symbol("N")));
        assert_eq!(text(&ranges.divide(&k, &Dim::constant(16))), "k / 16");
        assert_eq!(text(&ranges.remainder(&k, &Dim::constant(16))), "k % 16");
        // What was taken apart comes together again.
        let apart = ranges.divide(&k, &Dim::constant(16)).scale(16).add(&ranges.remainder(&k, &Dim::constant(16)));
        assert_eq!(apart, k);
    }

    #[test]
    fn steps_of_an_index() {
        let index = Dim::symbol("i").mul(&Dim::symbol("N")).add(&Dim::symbol("j"));
        assert_eq!(linear(&index, &Symbol::new("i")), Some(Dim::symbol("N")));
        assert_eq!(linear(&index, &Symbol::new("x")), Some(Dim::zero()));
        let quotient = Dim::symbol("i").floor_div(&Dim::constant(2)).unwrap();
        assert_eq!(linear(&quotient, &Symbol::new("i")), None);
    }
}
