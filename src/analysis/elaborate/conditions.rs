//! Conditions and sizes: what is known of them, what has to be decided, what must hold.

use super::Elaborator;
use crate::analysis::value::{Comparison, Cond};
use crate::analysis::world::{Abort, Walk};
use crate::base::Span;
use crate::ops::{Obligation, ObligationKind};
use crate::types::{Dim, HostExpr, Symbol, Verdict};

impl Elaborator<'_, '_> {
    /// A number that must be known now: when lowering it is demanded, in a definition it may stay open.
    pub fn known_number(&self, expr: &HostExpr) -> Walk<Option<f64>> {
        if let Some(value) = self.settle(expr).as_const() {
            return Ok(Some(value));
        }
        self.demand(expr.symbols().into_iter().collect())?;
        Ok(None)
    }

    /// As [`Elaborator::known_number`], for ints.
    pub fn known_int(&self, dim: &Dim) -> Walk<Option<i64>> {
        if let Some(value) = self.facts.normal(dim).as_const() {
            return Ok(Some(value));
        }
        if !dim.has_unknown() {
            self.demand(dim.symbols().into_iter().collect())?;
        }
        Ok(None)
    }

    /// Asks for symbols to be fixed: an index by expanding its loop, anything else by specialising.
    fn demand(&self, symbols: Vec<Symbol>) -> Walk<()> {
        if let Some(index) = symbols.iter().find(|symbol| self.expandable.contains(symbol)) {
            return Err(Abort::Demand(vec![index.clone()]));
        }
        match self.world.specialises() && !symbols.is_empty() {
            true => Err(Abort::Demand(symbols)),
            false => Ok(()),
        }
    }

    /// The expression with facts applied.
    pub fn settle(&self, expr: &HostExpr) -> HostExpr {
        match expr {
            HostExpr::Int(dim) => HostExpr::Int(self.facts.normal(dim)),
            other => other.substitute(&|symbol| Some(HostExpr::Int(self.facts.normal(&Dim::symbol(symbol.as_str()))))),
        }
    }

    /// What is known of a condition without deciding it.
    pub fn truth(&self, cond: &Cond) -> Option<bool> {
        match cond {
            Cond::Known(b) => Some(*b),
            Cond::Opaque(name) => self.decisions.recall(name),
            Cond::Not(c) => self.truth(c).map(|b| !b),
            Cond::And(a, b) => match (self.truth(a), self.truth(b)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Cond::Or(a, b) => match (self.truth(a), self.truth(b)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Cond::Compare(op, a, b) => {
                let (x, y) = (self.settle(a), self.settle(b));
                if let (Some(x), Some(y)) = (x.as_const(), y.as_const()) {
                    return Some(op.holds(x, y));
                }
                let known = match (x.as_dim(), y.as_dim()) {
                    (Some(x), Some(y)) => self.compare_dims(*op, x, y),
                    _ => None,
                };
                known.or_else(|| {
                    let negated = Cond::Compare(op.negated(), a.clone(), b.clone());
                    self.decisions
                        .recall(&cond.to_string())
                        .or_else(|| self.decisions.recall(&negated.to_string()).map(|b| !b))
                })
            }
        }
    }

    fn compare_dims(&self, op: Comparison, x: &Dim, y: &Dim) -> Option<bool> {
        let one = Dim::constant(1);
        match op {
            Comparison::Eq | Comparison::Ne => {
                let equal = match self.facts.compare(x, y) {
                    Verdict::Equal => Some(true),
                    _ if self.facts.at_least(x, &y.add(&one)) == Some(true) => Some(false),
                    _ if self.facts.at_least(y, &x.add(&one)) == Some(true) => Some(false),
                    _ => None,
                };
                equal.map(|e| e == (op == Comparison::Eq))
            }
            Comparison::Ge => self.facts.at_least(x, y),
            Comparison::Le => self.facts.at_least(y, x),
            Comparison::Gt => self.facts.at_least(x, &y.add(&one)),
            Comparison::Lt => self.facts.at_least(y, &x.add(&one)),
        }
    }

    /// Settles a condition: by facts, by demanding its symbols, or by walking this case first.
    pub fn decide(&mut self, cond: &Cond) -> Walk<bool> {
        if let Some(truth) = self.truth(cond) {
            return Ok(truth);
        }
        match cond {
            Cond::Known(b) => Ok(*b),
            Cond::Not(c) => Ok(!self.decide(c)?),
            Cond::And(a, b) => Ok(self.decide(a)? && self.decide(b)?),
            Cond::Or(a, b) => Ok(self.decide(a)? || self.decide(b)?),
            Cond::Opaque(name) => Ok(self.decisions.answer(name.clone())),
            Cond::Compare(_, a, b) => {
                self.demand(a.symbols().union(&b.symbols()).cloned().collect())?;
                let answer = self.decisions.answer(cond.to_string());
                self.assume(cond, answer);
                Ok(answer)
            }
        }
    }

    /// Learns that a condition holds (or does not).
    pub fn assume(&mut self, cond: &Cond, holds: bool) {
        match cond {
            Cond::Known(_) => {}
            Cond::Not(c) => self.assume(c, !holds),
            Cond::And(a, b) if holds => {
                self.assume(a, true);
                self.assume(b, true);
            }
            Cond::Or(a, b) if !holds => {
                self.assume(a, false);
                self.assume(b, false);
            }
            Cond::And(..) | Cond::Or(..) => {}
            Cond::Opaque(name) => {
                if self.decisions.recall(name).is_none() {
                    self.decisions.given.push((name.clone(), holds));
                }
            }
            Cond::Compare(op, a, b) => {
                let op = if holds { *op } else { op.negated() };
                let (Some(a), Some(b)) = (a.as_dim(), b.as_dim()) else { return };
                let one = Dim::constant(1);
                match op {
                    Comparison::Eq => self.assume_equal(a, b),
                    Comparison::Ne => {}
                    Comparison::Ge => self.facts.assume_at_least(a, b),
                    Comparison::Le => self.facts.assume_at_least(b, a),
                    Comparison::Gt => self.facts.assume_at_least(a, &b.add(&one)),
                    Comparison::Lt => self.facts.assume_at_least(b, &a.add(&one)),
                }
            }
        }
    }

    fn assume_equal(&mut self, a: &Dim, b: &Dim) {
        // `dim % heads == 0` is known by its quotient.
        match (a.as_modulo(), b.as_modulo()) {
            (Some((value, n)), _) => self.facts.assume_modulo(&value, &n, b),
            (None, Some((value, n))) => self.facts.assume_modulo(&value, &n, a),
            (None, None) => self.facts.assume_equal(a, b),
        }
    }

    /// Requires something of sizes: proved, refused, or left for when they are known.
    pub fn require(&mut self, obligation: Obligation, span: Span) -> Walk<()> {
        let settled = match &obligation.kind {
            ObligationKind::Equal(a, b) => match self.facts.compare(a, b) {
                Verdict::Equal => Some(true),
                Verdict::Differ => self.facts.normal(&a.sub(b)).as_const().map(|d| d == 0),
                Verdict::Unknown => None,
            },
            ObligationKind::Broadcast(a, b) => {
                let (x, y) = (self.facts.normal(a), self.facts.normal(b));
                if x == y || x.is_const(1) || y.is_const(1) {
                    Some(true)
                } else {
                    match (x.as_const(), y.as_const()) {
                        (Some(_), Some(_)) => Some(false),
                        _ => None,
                    }
                }
            }
            ObligationKind::AtLeast(a, b) => self.facts.at_least(a, b),
        };
        match settled {
            Some(true) => Ok(()),
            Some(false) => Err(self.error(obligation.code, obligation.message, span, "this cannot hold")),
            None if self.depends_on_run(&obligation) => {
                self.ensure(obligation, span);
                Ok(())
            }
            None => {
                let place = self.place(span);
                self.obligations.push((obligation, place));
                Ok(())
            }
        }
    }
}
