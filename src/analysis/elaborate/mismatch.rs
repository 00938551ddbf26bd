//! Reports on shapes that do not fit: of operands, of arguments, of what is returned or declared.
//!
//! Each shows both shapes, names the dims that differ and labels where these were introduced. What the
//! search for remedies needs to know goes along as a [`Clash`].

use crate::analysis::db::{Clash, Report};
use crate::analysis::elaborate::Elaborator;
use crate::analysis::world::Abort;
use crate::base::{Span, code};
use crate::ops::{Hint, OpError};
use crate::syntax::ast::{ExprKind, IndexItem};
use crate::types::dim::Atom;
use crate::types::{Dim, Shape, TensorType, Verdict};
use std::collections::BTreeSet;

impl<'db> Elaborator<'_, 'db> {
    /// What the rule of an operation refuses.
    pub fn operation_error(
        &mut self,
        error: OpError,
        operands: &[TensorType],
        operand_spans: &[Span],
        span: Span,
    ) -> Abort {
        let mut report = Report::new(error.code, error.message);
        let place = self.place(span);
        report = report.at(place, "");
        for (operand, text) in &error.labels {
            if let Some(span) = operand_spans.get(*operand) {
                report = report.also(self.place(*span), text.clone());
            }
        }
        report = self.with_origins(report, &error.dims);
        report.notes.extend(error.notes);
        let pairs: Vec<_> = match error.dims.as_slice() {
            [a, b] => vec![(a, b)],
            _ => vec![],
        };
        let shapes: Vec<&Shape> = operands.iter().map(|operand| &operand.shape).collect();
        report.clash = self.clash(&pairs, &shapes);
        match error.hint {
            Some(Hint::Transpose(operand)) => report = self.with_suffix(report, operand_spans, operand, ".T"),
            Some(Hint::Cast(operand, dtype)) => {
                report = self.with_suffix(report, operand_spans, operand, &format!(".to({dtype})"));
            }
            None => {}
        }
        self.fail(report)
    }

    /// Two operands that broadcast to all pairs of one axis, which is legal and seldom meant. A subscript with
    /// `None` on the spot says that it is.
    pub(super) fn warn_of_crossing(&mut self, dim: &Dim, operands: &[TensorType], spans: &[Span], span: Span) {
        let is_explicit = spans.iter().any(|span| self.adds_axis(*span));
        if self.world.specialises() || self.depth > 0 || is_explicit {
            return;
        }
        let shapes: Vec<String> = operands.iter().map(|operand| format!("[{}]", operand.shape)).collect();
        let message = format!("{} broadcast to every pair along {dim}", shapes.join(" and "));
        let mut report =
            Report::new(code::W0301, message).at(self.place(span), format!("{dim} stands on two axes of this"));
        for (span, shape) in spans.iter().zip(shapes) {
            report = report.also(self.place(*span), shape);
        }
        report = report
            .note("if each is to meet its own partner, the shapes must be equal: drop the axis of size 1")
            .note("if all pairs are meant, say so with a subscript such as `[:, None]` where it happens");
        let shapes: Vec<&Shape> = operands.iter().map(|operand| &operand.shape).collect();
        report.clash = self.clash(&[], &shapes);
        self.reports.push(report);
    }

    /// Whether the expression at a place is a subscript that adds an axis.
    fn adds_axis(&self, span: Span) -> bool {
        self.ast.exprs.iter().filter(|expr| expr.span == span).any(|expr| match &expr.kind {
            ExprKind::Index { items, .. } => items.iter().any(|item| match item {
                IndexItem::Expr(expr) => matches!(self.ast[*expr].kind, ExprKind::None),
                IndexItem::Slice { .. } => false,
            }),
            _ => false,
        })
    }

    /// An argument whose shape is not that of its parameter.
    pub(super) fn argument_mismatch(
        &mut self,
        (callee, param): (&str, &str),
        found: &TensorType,
        wanted: &TensorType,
        shown: &TensorType,
        span: Span,
    ) -> Abort {
        let place = self.place(span);
        let message = match (found.shape.rank(), wanted.shape.rank()) {
            (Some(a), Some(b)) if a != b => {
                format!("`{param}` of `{callee}` must be {shown}, of rank {b}, but this is {found}, of rank {a}")
            }
            _ => format!("`{param}` of `{callee}` must be {shown}, but this is {found}"),
        };
        let code = match (found.shape.rank(), wanted.shape.rank()) {
            (Some(a), Some(b)) if a != b => code::E0304,
            _ => code::E0303,
        };
        let mut report = Report::new(code, message).at(place, format!("shape [{}]", found.shape));
        report.notes.extend(self.axis_too_few_or_many(&found.shape, &wanted.shape, &shown.shape));
        let clash = self.clashing(&found.shape, &wanted.shape);
        for (a, b) in &clash {
            report = report.note(format!("{a} is given where {b} is needed"));
        }
        report = self.with_clash(report, &clash, &[&found.shape, &wanted.shape]);
        self.fail(report)
    }

    /// A value whose shape is not the declared one.
    pub(super) fn shape_mismatch(&mut self, found: &TensorType, wanted: &TensorType, span: Span) -> Abort {
        let place = self.place(span);
        let mut report = Report::new(code::E0303, format!("expected {wanted}, found {found}"))
            .at(place, format!("this has shape [{}]", found.shape));
        if let (Some(a), Some(b)) = (found.shape.rank(), wanted.shape.rank())
            && a != b
        {
            report = report.note(format!("its rank is {a}, and {b} is expected"));
            report.notes.extend(self.axis_too_few_or_many(&found.shape, &wanted.shape, &wanted.shape));
        }
        let crossing = self.reports.iter().find(|other| {
            other.code == code::W0301 && other.labels.iter().any(|label| label.primary && label.place == place)
        });
        report.notes.extend(crossing.map(|other| other.message.clone()));
        let clash = self.clashing(&found.shape, &wanted.shape);
        let swapped = match clash.as_slice() {
            [(a, b), (c, d)] => self.facts.equal(a, d) && self.facts.equal(c, b),
            _ => false,
        };
        if swapped {
            report = report.note("the two axes are swapped: a transpose is missing");
        } else {
            let mut told = BTreeSet::new();
            for (a, b) in &clash {
                if told.insert((a, b)) {
                    report = report.note(self.difference(a, b));
                }
            }
            let same_count = found.shape.elements().is_some_and(|count| Some(count) == wanted.shape.elements());
            if same_count && found.shape.rank() == wanted.shape.rank() {
                report = report.note("there are as many elements, in another order: `permute` comes before `reshape`");
            }
        }
        report = self.with_clash(report, &clash, &[&found.shape, &wanted.shape]);
        self.fail(report)
    }

    /// The axis that one of two shapes lacks, where all others may agree.
    fn axis_too_few_or_many(&self, found: &Shape, wanted: &Shape, shown: &Shape) -> Option<String> {
        let (has, needs) = (found.known()?, wanted.known()?);
        let fits = |long: &[Dim], short: &[Dim], axis: usize| {
            let rest = long.iter().enumerate().filter(|(index, _)| *index != axis).map(|(_, dim)| dim);
            long.len() == short.len() + 1 && rest.zip(short).all(|(a, b)| self.facts.compare(a, b) != Verdict::Differ)
        };
        if let Some(axis) = (0..needs.len()).find(|axis| fits(needs, has, *axis)) {
            let dim = shown.dims.get(axis).filter(|_| shown.pack.is_none()).unwrap_or(&needs[axis]);
            return Some(format!("it lacks axis {axis}, {dim}"));
        }
        let axis = (0..has.len()).find(|axis| fits(has, needs, *axis))?;
        Some(format!("it has an axis too many: axis {axis}, {}", has[axis]))
    }

    /// How two dims differ, in words.
    fn difference(&self, found: &Dim, wanted: &Dim) -> String {
        match found.sub(wanted).as_const() {
            Some(more) if more > 0 => format!("{found} is {more} more than {wanted}"),
            Some(less) => format!("{found} is {} less than {wanted}", less.unsigned_abs()),
            None => format!("dims {found} and {wanted} are not provably equal"),
        }
    }

    /// Pairs of dims that are known not to agree: axis by axis, or from the end where a rank is open. Of
    /// shapes of different rank no axis belongs to another.
    fn clashing(&self, found: &Shape, wanted: &Shape) -> Vec<(Dim, Dim)> {
        let pairs: Vec<(&Dim, &Dim)> = match (found.known(), wanted.known()) {
            (Some(a), Some(b)) if a.len() == b.len() => a.iter().zip(b).collect(),
            (Some(_), Some(_)) => vec![],
            _ => found.tail().iter().rev().zip(wanted.tail().iter().rev()).collect(),
        };
        let differ = pairs.into_iter().filter(|(a, b)| self.facts.compare(a, b) == Verdict::Differ);
        differ.map(|(a, b)| (a.clone(), b.clone())).collect()
    }

    fn with_clash(&self, report: Report<'db>, pairs: &[(Dim, Dim)], shapes: &[&Shape]) -> Report<'db> {
        let dims: Vec<Dim> = pairs.iter().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        let mut report = self.with_origins(report, &dims);
        let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a, b)).collect();
        report.clash = self.clash(&pairs, shapes);
        report
    }

    /// Two dim variables that each call chooses on its own.
    fn independent(&self, a: &Dim, b: &Dim) -> Option<String> {
        let is_variable = |dim: &Dim| {
            let name = dim.as_symbol()?.as_str();
            (name.starts_with(char::is_uppercase) && self.origins.get(dim.as_symbol()?).is_some()).then_some(())
        };
        is_variable(a).and(is_variable(b))?;
        Some(format!("each call chooses {a} and {b} on its own: where they are always equal, give both one name"))
    }

    /// Labels that say where the symbols of these dims were introduced.
    pub fn with_origins(&self, mut report: Report<'db>, dims: &[Dim]) -> Report<'db> {
        let symbols: BTreeSet<_> = dims.iter().flat_map(Dim::symbols).collect();
        for symbol in symbols {
            if let Some(place) = self.origins.get(&symbol) {
                report = report.also(place, format!("`{symbol}` comes from here"));
            }
        }
        report
    }

    /// What the search for remedies needs to know.
    fn clash(&self, pairs: &[(&Dim, &Dim)], shapes: &[&Shape]) -> Clash {
        // By what is divided: halves of halves need the whole to be divisible by 4, which says all that 2 does.
        let mut divided: Vec<(&Dim, &Dim)> = vec![];
        let in_pairs = pairs.iter().flat_map(|(a, b)| [*a, *b]);
        let mut quotients = vec![];
        for dim in in_pairs.chain(shapes.iter().flat_map(|shape| &shape.dims)) {
            dim.visit_atoms(&mut |atom| {
                if let Atom::FloorDiv(a, n) = atom {
                    quotients.push((a.clone(), n.clone()));
                }
            });
        }
        for (a, n) in &quotients {
            match divided.iter_mut().find(|(other, m)| *other == a && (divides(m, n) || divides(n, m))) {
                Some((_, m)) if divides(m, n) => *m = n,
                Some(_) => {}
                None => divided.push((a, n)),
            }
        }
        let facts = divided.iter().filter_map(|(a, n)| Some(format!("{} == 0", a.modulo(n)?))).collect();
        Clash {
            dims: pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect(),
            shapes: shapes.iter().map(|shape| shape.dims.iter().map(Dim::to_string).collect()).collect(),
            facts,
            otherwise: match pairs {
                [(a, b)] => self.independent(a, b).into_iter().collect(),
                _ => vec![],
            },
        }
    }
}

/// Whether what the second divides without a remainder the first does too.
fn divides(a: &Dim, b: &Dim) -> bool {
    match (a.as_const(), b.as_const()) {
        (Some(a), Some(b)) => a != 0 && b % a == 0,
        _ => a == b,
    }
}
