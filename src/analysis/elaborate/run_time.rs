//! Sizes that only a run tells: the number of turns of a `while`, and what a callee makes of one.
//!
//! Such a size is an *open* symbol of the facts. It means something from the instruction that binds it to the end
//! of that one's region. To compare it with another size is neither right nor wrong: the program checks it when it
//! runs, and what follows relies on that.

use crate::analysis::db::Report;
use crate::analysis::elaborate::Elaborator;
use crate::analysis::value::{Cond, TensorValue, Value};
use crate::analysis::world::{Abort, Leaf, Walk};
use crate::base::{Span, code};
use crate::ops::{Attrs, Obligation, ObligationKind};
use crate::types::{DType, Dim, Facts, HostExpr, Symbol, TensorType, Verdict};

impl<'db> Elaborator<'_, 'db> {
    /// Brings a size into scope that only a run tells.
    pub(super) fn open(&mut self, symbol: &Symbol) {
        self.closed.remove(symbol);
        self.facts.assume_open(symbol);
        self.learnt += 1;
    }

    /// Ends a region, before which this was known.
    pub(super) fn leave(&mut self, outer: Facts) {
        let inner = std::mem::replace(&mut self.facts, outer);
        let gone = inner.open_symbols().filter(|symbol| !self.facts.is_open(symbol));
        self.closed.extend(gone.cloned());
    }

    /// Walks a region; what it learns of sizes that only a run tells is not known after it.
    pub(super) fn inside<T>(&mut self, walk: impl FnOnce(&mut Self) -> T) -> T {
        let (facts, learnt) = (self.facts.clone(), self.learnt);
        let result = walk(self);
        if self.learnt > learnt {
            self.leave(facts);
        }
        result
    }

    /// Whether a type mentions a size that means nothing here.
    pub(super) fn escapes(&self, ty: &TensorType) -> bool {
        ty.shape.dims.iter().any(|dim| dim.symbols().iter().any(|symbol| self.closed.contains(symbol)))
    }

    /// Whether only a run can tell if a condition holds.
    pub(super) fn depends_on_run(&self, obligation: &Obligation) -> bool {
        let (a, b) = obligation.sides();
        self.facts.is_open_dim(a) || self.facts.is_open_dim(b)
    }

    /// Checks a condition when the program runs, and relies on it from here on.
    pub(super) fn ensure(&mut self, obligation: Obligation, span: Span) {
        let kind = match obligation.kind {
            // A size that is 1 by chance does not broadcast: the result would be of another type.
            ObligationKind::Broadcast(a, b) => ObligationKind::Equal(a, b),
            kind => kind,
        };
        let obligation = Obligation { kind, code: obligation.code, message: self.readable(&obligation.message) };
        obligation.assume(&mut self.facts);
        self.learnt += 1;
        let place = self.place(span);
        self.world.leaf(Leaf::Ensure(obligation), &[], &[], place);
    }

    /// Compares a type with what is wanted; sizes that only a run tells are to be checked then.
    pub(super) fn agree(&mut self, found: &TensorType, wanted: &TensorType, span: Span) -> Walk<Verdict> {
        let verdict = found.shape.compare(&wanted.shape, &self.facts);
        let (Verdict::Unknown, Some(own), Some(declared)) = (verdict, found.shape.known(), wanted.shape.known()) else {
            return Ok(verdict);
        };
        let pairs: Vec<(Dim, Dim)> = own.iter().cloned().zip(declared.iter().cloned()).collect();
        for (own, declared) in pairs {
            let is_open = self.facts.is_open_dim(&own) || self.facts.is_open_dim(&declared);
            if !is_open || own.has_unknown() || declared.has_unknown() {
                continue;
            }
            let message = format!("a size that must be {declared} is another");
            let kind = ObligationKind::Equal(own, declared);
            self.require(Obligation { kind, code: code::E0303, message }, span)?;
        }
        Ok(verdict)
    }

    /// Whether a condition on host values is settled only when the program runs.
    pub(super) fn is_told_by_run(&self, cond: &Cond) -> bool {
        let is_open = |number: &HostExpr| number.symbols().iter().any(|symbol| self.facts.is_open(symbol));
        self.truth(cond).is_none()
            && match cond {
                Cond::Known(_) | Cond::Opaque(_) => false,
                Cond::Compare(_, a, b) => is_open(a) || is_open(b),
                Cond::Not(inner) => self.is_told_by_run(inner),
                Cond::And(a, b) | Cond::Or(a, b) => self.is_told_by_run(a) || self.is_told_by_run(b),
            }
    }

    /// Such a condition as a bool tensor.
    pub(super) fn run_time_condition(&mut self, cond: &Cond, span: Span) -> Walk<TensorValue> {
        let (op, operands) = match cond {
            cond if !self.is_told_by_run(cond) => return self.to_tensor(Value::Bool(cond.clone()), None, span),
            Cond::Known(_) | Cond::Opaque(_) => return self.to_tensor(Value::Bool(cond.clone()), None, span),
            Cond::Compare(comparison, a, b) => {
                let elem = if a.is_int() && b.is_int() { DType::Int64 } else { DType::Float32 };
                let number = |own: &mut Self, number: &HostExpr| {
                    own.to_tensor(Value::Number(number.clone()), Some(&elem.into()), span)
                };
                (comparison.operation(), vec![number(self, a)?, number(self, b)?])
            }
            Cond::Not(inner) => ("logical_not", vec![self.run_time_condition(inner, span)?]),
            Cond::And(a, b) => {
                ("logical_and", vec![self.run_time_condition(a, span)?, self.run_time_condition(b, span)?])
            }
            Cond::Or(a, b) => {
                ("logical_or", vec![self.run_time_condition(a, span)?, self.run_time_condition(b, span)?])
            }
        };
        let spans = vec![span; operands.len()];
        self.one(op, operands, Attrs::new(), &spans, span)
    }

    /// A size that only a run tells cannot be known at compile time, whoever asks for it.
    pub(super) fn refuse_open(&mut self, abort: Abort, span: Span) -> Abort {
        match &abort {
            Abort::Demand(symbols) if symbols.iter().any(|symbol| self.facts.is_open(symbol)) => {
                let message = "a size is needed at compile time that only a run tells";
                self.error(code::E0401, message, span, "it is the number of turns of a `while`")
            }
            _ => abort,
        }
    }

    /// What an instance holds has sizes that its hyperparameters tell.
    pub(super) fn refuse_open_member(&mut self, name: &str, value: &Value<'db>, span: Span) -> Walk<()> {
        if !value.symbols().iter().any(|symbol| self.facts.is_open(symbol)) {
            return Ok(());
        }
        let place = self.place(span);
        let message = format!("`{name}` has a size that only a run tells");
        let report = Report::new(code::E0401, message).at(place, "a `while` decides it");
        Err(self.fail(report.note(format!("claim what it is: `let {name}: float32[8, n] = ...`"))))
    }

    /// Symbols that the compiler made (`B'7`) read as the names they were made from, open ones as `?`.
    pub(super) fn readable(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('\'') {
            let (before, after) = rest.split_at(at);
            let digits = after[1..].bytes().take_while(u8::is_ascii_digit).count();
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let word = before.rfind(|c| !is_word(c)).map_or(before, |end| {
                let next = before[end..].chars().next().map_or(1, char::len_utf8);
                &before[end + next..]
            });
            let (symbol, follows) = after.split_at(1 + digits);
            let is_name = digits > 0 && (!word.is_empty() || before.ends_with('.'));
            let symbol = Symbol::new(&format!("{word}{symbol}"));
            if is_name && (self.facts.is_open(&symbol) || self.closed.contains(&symbol)) {
                out.push_str(&before[..before.len() - word.len()]);
                out.push('?');
            } else {
                out.push_str(before);
                if !is_name {
                    out.push_str(&after[..1 + digits]);
                }
            }
            rest = follows;
        }
        out.push_str(rest);
        out
    }
}
