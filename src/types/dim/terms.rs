//! The terms of a dim, sorted by monomial and shared by all copies of it: dims are copied far more often than
//! they are computed.

use crate::types::dim::Monomial;
use std::cmp::Ordering;
use std::sync::Arc;

/// Monomials with their coefficients, none of them zero. `None` where there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Terms(Option<Arc<[(Monomial, i64)]>>);

impl Terms {
    pub fn one(monomial: Monomial, coefficient: i64) -> Terms {
        if coefficient == 0 { Terms::default() } else { Terms(Some(Arc::new([(monomial, coefficient)]))) }
    }

    /// Of sorted terms.
    fn of(sorted: Vec<(Monomial, i64)>) -> Terms {
        if sorted.is_empty() { Terms::default() } else { Terms(Some(sorted.into())) }
    }

    fn slice(&self) -> &[(Monomial, i64)] {
        self.0.as_deref().unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.slice().len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Monomial, &i64)> + Clone {
        self.slice().iter().map(|(monomial, coefficient)| (monomial, coefficient))
    }

    pub fn keys(&self) -> impl Iterator<Item = &Monomial> {
        self.slice().iter().map(|(monomial, _)| monomial)
    }

    pub fn values(&self) -> impl Iterator<Item = &i64> {
        self.slice().iter().map(|(_, coefficient)| coefficient)
    }

    pub fn get(&self, monomial: &[(super::Atom, u32)]) -> Option<&i64> {
        let slice = self.slice();
        let at = slice.binary_search_by(|(own, _)| own.as_slice().cmp(monomial)).ok()?;
        Some(&slice[at].1)
    }

    /// Both sums in one, `other` times a number that is not zero.
    pub fn add_scaled(&self, other: &Terms, factor: i64) -> Terms {
        if other.is_empty() {
            return self.clone();
        }
        if self.is_empty() {
            return other.scale(factor);
        }
        let scaled = |(monomial, coefficient): &(Monomial, i64)| (monomial.clone(), coefficient.saturating_mul(factor));
        let (mut left, mut right) = (self.slice(), other.slice());
        let mut sum = Vec::with_capacity(left.len() + right.len());
        while let ([a, left_rest @ ..], [b, right_rest @ ..]) = (left, right) {
            match a.0.cmp(&b.0) {
                Ordering::Less => {
                    sum.push(a.clone());
                    left = left_rest;
                }
                Ordering::Greater => {
                    sum.push(scaled(b));
                    right = right_rest;
                }
                Ordering::Equal => {
                    let coefficient = a.1.saturating_add(b.1.saturating_mul(factor));
                    if coefficient != 0 {
                        sum.push((a.0.clone(), coefficient));
                    }
                    (left, right) = (left_rest, right_rest);
                }
            }
        }
        sum.extend_from_slice(left);
        sum.extend(right.iter().map(scaled));
        Terms::of(sum)
    }

    /// Every coefficient times a number that is not zero.
    pub fn scale(&self, factor: i64) -> Terms {
        if factor == 1 {
            return self.clone();
        }
        Terms::of(self.iter().map(|(m, c)| (m.clone(), c.saturating_mul(factor))).collect())
    }
}
