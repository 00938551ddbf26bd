//! Sums of a dim over an index: `1 + 2 + ... + (n - 1)` is `n * (n - 1) // 2`.

use crate::types::dim::{Atom, Dim, Monomial, Symbol};

impl Dim {
    /// The sum of the dim for `index` from `from` up to, not including, `to`. `None` if it is no polynomial of
    /// degree 2 at most in the index.
    pub fn sum_over(&self, index: &Symbol, from: &Dim, to: &Dim) -> Option<Dim> {
        let own = Atom::Sym(index.clone());
        let mut sum = Dim::zero();
        for (monomial, coefficient) in &self.terms {
            let (powers, others): (Monomial, Monomial) = monomial.iter().cloned().partition(|(atom, _)| *atom == own);
            let factor = Dim::term(others, *coefficient);
            if factor.mentions(&own) {
                return None;
            }
            let degree = powers.first().map_or(0, |(_, exponent)| *exponent);
            let difference = sum_of_powers(to, degree)?.sub(&sum_of_powers(from, degree)?);
            sum = sum.add(&factor.mul(&difference));
        }
        Some(sum)
    }
}

/// `0 ** degree + 1 ** degree + ... + (n - 1) ** degree`.
fn sum_of_powers(n: &Dim, degree: u32) -> Option<Dim> {
    let square = n.mul(n);
    match degree {
        0 => Some(n.clone()),
        1 => square.sub(n).floor_div(&Dim::constant(2)),
        // n * (n - 1) * (2 * n - 1) // 6
        2 => square.mul(n).scale(2).sub(&square.scale(3)).add(n).floor_div(&Dim::constant(6)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_agree_with_adding_up() {
        let (i, n) = (Symbol::new("i"), Dim::symbol("n"));
        let index = Dim::symbol("i");
        let term = index.mul(&index).scale(5).sub(&index.scale(3)).add(&Dim::constant(2));
        let sum = term.sum_over(&i, &Dim::constant(2), &n).unwrap();
        for stop in 2..12 {
            let want: i64 = (2..stop).map(|i| 5 * i * i - 3 * i + 2).sum();
            assert_eq!(sum.eval(&|_| Some(stop)), Some(want), "up to {stop}");
        }
        // Each turn adds its own term, which is how a loop is proved.
        for degree in 0..=2 {
            let term = (0..degree).fold(Dim::symbol("k"), |product, _| product.mul(&index));
            let up_to = |end: &Dim| term.sum_over(&i, &Dim::zero(), end).unwrap();
            assert_eq!(up_to(&index.add(&Dim::constant(1))).sub(&up_to(&index)), term);
        }
        assert_eq!(index.floor_div(&n).unwrap().sum_over(&i, &Dim::zero(), &n), None);
    }
}
