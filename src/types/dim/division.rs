//! Floor division of dims: taking out what divides, and the laws for the rest.
//!
//! `(2 * H + 6) // 2` takes out `H + 3` and leaves nothing; `(2 * H + 1) // 2` leaves `1 // 2`, which is 0.

use super::{Atom, Dim, Monomial};
use std::collections::BTreeMap;

/// Bound on the steps of a polynomial division; the result is correct wherever it stops.
const MAX_DIVISION_STEPS: usize = 64;

impl Dim {
    /// Floor division; `n` is taken to be positive. `None` if it is a constant that is not.
    pub fn floor_div(&self, n: &Dim) -> Option<Dim> {
        if n.as_const().is_some_and(|n| n <= 0) {
            return None;
        }
        let (quotient, rest) = self.divide(n);
        Some(quotient.add(&floor_div_rest(&rest, n)))
    }

    /// Remainder of floor division, in `0..n`.
    pub fn modulo(&self, n: &Dim) -> Option<Dim> {
        Some(self.sub(&n.mul(&self.floor_div(n)?)))
    }

    /// Recognises `a - n * (a // n)`: the `a` and `n` of `a % n`.
    pub fn as_modulo(&self) -> Option<(Dim, Dim)> {
        if self.terms.len() < 2 {
            return None;
        }
        self.terms.iter().find_map(|(monomial, coefficient)| {
            let (Atom::FloorDiv(a, n), 1) = monomial.iter().find(|(atom, _)| matches!(atom, Atom::FloorDiv(..)))?
            else {
                return None;
            };
            if a.modulo(n).as_ref() == Some(self) {
                return Some((a.clone(), n.clone()));
            }
            // A quotient's own remainder: `(a // m) % n` was written with `a // (m * n)`.
            let others = monomial.iter().filter(|(atom, _)| !matches!(atom, Atom::FloorDiv(..))).cloned().collect();
            let n = Dim::term(others, coefficient.checked_neg()?);
            let a = self.add(&Dim::term(monomial.clone(), coefficient.checked_neg()?));
            (a.modulo(&n).as_ref() == Some(self)).then_some((a, n))
        })
    }

    /// `ceil(self / n)`.
    pub fn ceil_div(&self, n: &Dim) -> Option<Dim> {
        self.add(n).sub(&Dim::constant(1)).floor_div(n)
    }

    /// `self = quotient * n + rest`, with integer coefficients, taking out as much as divides.
    fn divide(&self, n: &Dim) -> (Dim, Dim) {
        let mut quotient = Dim::zero();
        let mut rest = self.clone();
        let Some((lead, lead_coefficient)) = n.leading() else { return (quotient, rest) };
        for _ in 0..MAX_DIVISION_STEPS {
            let step = rest.terms.iter().rev().find_map(|(monomial, coefficient)| {
                let factor = divide_monomial(monomial, &lead)?;
                let q = if lead_coefficient > 0 {
                    coefficient.div_euclid(lead_coefficient)
                } else {
                    coefficient.checked_div(lead_coefficient).filter(|_| coefficient % lead_coefficient == 0)?
                };
                // A divisor of several terms is taken out only where it divides exactly.
                if n.terms.len() > 1 && coefficient % lead_coefficient != 0 {
                    return None;
                }
                (q != 0).then(|| Dim::term(factor, q))
            });
            let Some(step) = step else { break };
            let next = rest.sub(&step.mul(n));
            if n.terms.len() > 1 && next.terms.len() > rest.terms.len() {
                break;
            }
            rest = next;
            quotient = quotient.add(&step);
        }
        (quotient, rest)
    }

    /// The term of highest degree.
    fn leading(&self) -> Option<(Monomial, i64)> {
        self.terms.iter().max_by_key(|(m, _)| (degree(m), *m)).map(|(m, c)| (m.clone(), *c))
    }

    /// Without the atoms that stand in every term and are wanted gone.
    pub fn without_factor(&self, unwanted: &dyn Fn(&Atom) -> bool) -> Dim {
        let common = common_factor(self, self).terms.keys().next().cloned().unwrap_or_default();
        let factor: Monomial = common.into_iter().filter(|(atom, _)| unwanted(atom)).collect();
        if factor.is_empty() { self.clone() } else { self.divide(&Dim::term(factor, 1)).0 }
    }
}

fn degree(monomial: &Monomial) -> u32 {
    monomial.iter().map(|(_, e)| e).sum()
}

fn divide_monomial(monomial: &Monomial, divisor: &Monomial) -> Option<Monomial> {
    let mut powers: BTreeMap<Atom, u32> = monomial.iter().cloned().collect();
    for (atom, exponent) in divisor {
        let power = powers.get_mut(atom)?;
        *power = power.checked_sub(*exponent)?;
    }
    Some(powers.into_iter().filter(|(_, e)| *e > 0).collect())
}

/// `rest // n` where nothing more can be taken out.
fn floor_div_rest(rest: &Dim, n: &Dim) -> Dim {
    if rest.terms.is_empty() {
        return Dim::zero();
    }
    if let (Some(a), Some(n)) = (rest.as_const(), n.as_const()) {
        return Dim::constant(a.div_euclid(n));
    }
    // (a // m + b) // n = (a + b * m) // (m * n)
    let inner = rest.terms.iter().find_map(|(monomial, coefficient)| match (monomial.as_slice(), coefficient) {
        ([(Atom::FloorDiv(a, m), 1)], 1) => Some((a.clone(), m.clone(), Dim::term(monomial.clone(), 1))),
        _ => None,
    });
    if let Some((a, m, atom)) = inner {
        let numerator = a.add(&rest.sub(&atom).mul(&m));
        if let Some(result) = numerator.floor_div(&m.mul(n)) {
            return result;
        }
    }
    // (a * m) // (n * m) = a // n
    let common = common_factor(rest, n);
    if !common.is_const(1) {
        let (a, n) = (rest.divide(&common).0, n.divide(&common).0);
        if let Some(result) = a.floor_div(&n) {
            return result;
        }
    }
    Dim::atom(Atom::FloorDiv(rest.clone(), n.clone()))
}

/// The largest single term that divides every term of both.
fn common_factor(a: &Dim, b: &Dim) -> Dim {
    let mut terms = a.terms.iter().chain(b.terms.iter());
    let Some((first, coefficient)) = terms.next() else { return Dim::constant(1) };
    let mut common: BTreeMap<Atom, u32> = first.iter().cloned().collect();
    let mut content = coefficient.unsigned_abs();
    for (monomial, coefficient) in terms {
        content = gcd(content, coefficient.unsigned_abs());
        let powers: BTreeMap<&Atom, u32> = monomial.iter().map(|(a, e)| (a, *e)).collect();
        common.retain(|atom, exponent| {
            *exponent = (*exponent).min(powers.get(atom).copied().unwrap_or(0));
            *exponent > 0
        });
    }
    Dim::term(common.into_iter().collect(), i64::try_from(content).unwrap_or(1).max(1))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
