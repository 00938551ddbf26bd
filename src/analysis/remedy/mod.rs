//! Remedies: edits that make a shape error go away, found by trying.
//!
//! For an error on shapes there are a few dozen usual repairs: another axis, a transpose, `keepdim=true`,
//! a size in the call that makes a sublayer, a fact in the signature. Each that could apply is written into
//! a copy of the item, and the copy is checked like any other item. An edit is offered only if the copy lacks
//! the error and has no other in its place; so what is offered works, and fits the rest of the item as well.
//!
//! Candidates come in tiers, the likeliest first, and the search ends with the first tier that has one that
//! holds. If exactly one does, and it only sets right how things are put together, it is a certain fix; if several
//! do, the one that leaves least unproved is meant; where that is no answer, they stand side by side. A guess is
//! also an edit after which something declared is not used any more: it may be meant, and may be a way around
//! what is meant.
//!
//! What the operation's own rule has named comes before all that: if it holds, nothing else is sought.
//!
//! For `x @ weight` with `x: F[..., k]` and `weight: F[n, k]` the rule names `x @ weight.T`. `weight @ x` might
//! hold too, since `...` may end in anything, but nobody means it.

mod candidates;
mod origins;
mod sites;

use crate::analysis::check::{check, reports};
use crate::analysis::db::{Body, Item, Place, Report, ReportFix, parse_item};
use crate::analysis::elaborate::layer::member_name;
use crate::base::{Applicability, Span, code};
use crate::syntax::ast::{Ast, ExprKind, ItemKind, Member, MemberKind, Param};
use candidates::Candidate;
use sites::Sites;

/// Errors of one item that remedies are sought for; the rest is usually of the same kind.
const MAX_REPORTS: usize = 4;
/// Copies checked for one tier of candidates.
const MAX_TRIED: usize = 40;
/// Alternatives that a note names.
const MAX_TOLD: usize = 3;
/// Bytes of text checked as copies of one item, so that long items do not take long.
const MAX_COPIED: usize = 1 << 18;

/// What checking an item reports, with remedies for errors on shapes.
pub fn with_remedies<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> &'db [Report<'db>] {
    let found = reports(db, item);
    let is_searched = found.iter().any(about_shapes) && !item.file(db).embedded(db);
    if is_searched { advised(db, item) } else { found }
}

#[salsa::tracked]
fn advised<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Vec<Report<'db>> {
    let mut copies = Copies { left: MAX_COPIED };
    let mut reports: Vec<Report<'db>> = vec![];
    for (index, report) in self::reports(db, item).iter().enumerate() {
        if index >= MAX_REPORTS || !about_shapes(report) {
            reports.push(report.clone());
            continue;
        }
        let report = advise(db, item, report.clone(), &mut copies);
        // What one edit mends is one mistake.
        if report.fixes.is_empty() || !reports.iter().any(|other| other.fixes == report.fixes) {
            reports.push(report);
        }
    }
    reports
}

/// Copies of an item that may still be checked.
struct Copies {
    /// Bytes of their texts.
    left: usize,
}

fn about_shapes(report: &Report<'_>) -> bool {
    let on_shapes = report.code.as_str().starts_with("E03") && report.code != code::E0307;
    on_shapes || report.code == code::W0301 || (report.code == code::E0209 && report.fixes.is_empty())
}

fn advise<'db>(
    db: &'db dyn salsa::Database,
    item: Item<'db>,
    mut report: Report<'db>,
    copies: &mut Copies,
) -> Report<'db> {
    let Some(at) = report.labels.iter().find(|label| label.primary && label.place.item == item) else { return report };
    let at = at.place.span;
    let sites = Sites::new(db, item, &parse_item(db, item).ast, at);
    report = origins::of_numbers(report, item, &sites);
    let known = report.clone();
    let mut trial = Trial { db, item, report: &known, copies };
    let tiers = candidates::tiers(&sites, &report);
    report.fixes.retain(|fix| trial.outcome(&edits_of(fix)).holds());
    if let Some(named) = report.fixes.iter().find(|fix| fix.applicability == Applicability::Certain) {
        // The candidate that comes to the same shows more of the expression.
        let text = edited(item.text(db), &edits_of(named));
        let same = tiers.into_iter().flatten().find(|candidate| edited(item.text(db), &candidate.edits) == text);
        return match same {
            Some(same) => offered(report, item, at, vec![Candidate { certain: true, ..same }]),
            None => report,
        };
    }
    let mut wasteful: Vec<Candidate> = vec![];
    for tier in tiers {
        let mut found: Vec<(usize, Candidate)> = vec![];
        for candidate in tier.into_iter().take(MAX_TRIED) {
            // Of candidates that come to the same, the first is enough.
            if found.iter().any(|(_, other)| other.family.is_some() && other.family == candidate.family) {
                continue;
            }
            match trial.outcome(&candidate.edits) {
                Outcome::Holds { unproved } => found.push((unproved, candidate)),
                Outcome::LeavesUnused => wasteful.push(candidate),
                Outcome::Fails => {}
            }
        }
        if let Some(least) = found.iter().map(|(unproved, _)| *unproved).min() {
            found.retain(|(unproved, _)| *unproved == least);
            return offered(report, item, at, found.into_iter().map(|(_, candidate)| candidate).collect());
        }
    }
    if report.fixes.is_empty() {
        report.notes.extend(std::mem::take(&mut report.clash.otherwise));
        return with_alternatives(report, item, "perhaps ", wasteful);
    }
    report
}

fn edits_of(fix: &ReportFix<'_>) -> Vec<(Span, String)> {
    fix.edits.iter().map(|(place, text)| (place.span, text.clone())).collect()
}

/// The report with what was found: what there is no choice about, or the alternatives.
fn offered<'db>(mut report: Report<'db>, item: Item<'db>, at: Span, mut found: Vec<Candidate>) -> Report<'db> {
    report.fixes.clear();
    let several = found.len() > 1;
    let only = found.pop();
    match only {
        Some(only) if !several => {
            if let Some(shown) = only.shown.filter(|shown| shown.end < at.start || at.end < shown.start) {
                report = report.also(Place { item, span: shown }, "the fix goes here");
            }
            let applicability = if only.certain { Applicability::Certain } else { Applicability::Maybe };
            let edits = placed(item, &only);
            report.remedy(applicability, only.title, edits)
        }
        last => with_alternatives(report, item, "either ", found.into_iter().chain(last).collect()),
    }
}

fn with_alternatives<'db>(mut report: Report<'db>, item: Item<'db>, lead: &str, found: Vec<Candidate>) -> Report<'db> {
    for (index, candidate) in found.into_iter().take(MAX_TOLD).enumerate() {
        let edits = placed(item, &candidate);
        let lead = if index == 0 { lead } else { "or " };
        report = report.maybe(format!("{lead}{}", candidate.title), edits);
    }
    report
}

fn placed<'db>(item: Item<'db>, candidate: &Candidate) -> Vec<(Place<'db>, String)> {
    candidate.edits.iter().map(|(span, text)| (Place { item, span: *span }, text.clone())).collect()
}

/// Checks copies of an item.
struct Trial<'t, 'db> {
    db: &'db dyn salsa::Database,
    item: Item<'db>,
    report: &'t Report<'db>,
    copies: &'t mut Copies,
}

/// What comes of an edit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The error is gone, and there is no new one; so many conditions are left to calls and instances.
    Holds {
        unproved: usize,
    },
    /// So it is, but something that was declared is not used any more.
    LeavesUnused,
    Fails,
}

impl Outcome {
    fn holds(self) -> bool {
        matches!(self, Outcome::Holds { .. })
    }
}

impl Trial<'_, '_> {
    fn outcome(&mut self, edits: &[(Span, String)]) -> Outcome {
        let (db, item) = (self.db, self.item);
        let Some(text) = edited(item.text(db), edits) else { return Outcome::Fails };
        let Some(left) = self.copies.left.checked_sub(text.len()) else { return Outcome::Fails };
        self.copies.left = left;
        let copy = Item::new(db, item.file(db), item.kind(db), item.name(db).clone(), Body::Own(text));
        let checked = check(db, copy);
        let (before, after) = (reports(db, item), &checked.reports);
        let errors = |reports: &[Report<'_>]| reports.iter().filter(|report| report.code != code::W0101).count();
        // The same may be said of two places.
        let alike = |reports: &[Report<'_>]| reports.iter().filter(|report| is_same(report, self.report)).count();
        if errors(after) >= errors(before) || alike(after) >= alike(before) {
            return Outcome::Fails;
        }
        let (ast, copied) = (&parse_item(db, item).ast, &parse_item(db, copy).ast);
        let lost = declared(ast).any(|name| is_read(ast, name) && !is_read(copied, name));
        if lost { Outcome::LeavesUnused } else { Outcome::Holds { unproved: checked.unproved.len() } }
    }
}

fn is_read(ast: &Ast, name: &str) -> bool {
    ast.exprs.iter().any(|expr| matches!(&expr.kind, ExprKind::Name(own) if own == name))
}

/// Parameters, hyperparameters and members of an item.
fn declared(ast: &Ast) -> impl Iterator<Item = &str> {
    let (params, members): (&[Param], &[Member]) = match &ast.item.kind {
        ItemKind::Fn(decl) => (&decl.params, &[]),
        ItemKind::Layer(decl) => (&decl.params, &decl.members),
        _ => (&[], &[]),
    };
    let of_methods = members.iter().flat_map(|member| match &member.kind {
        MemberKind::Fn(decl) => decl.params.as_slice(),
        _ => &[],
    });
    let params = params.iter().chain(of_methods).map(|param| param.name.name.as_str());
    params.chain(members.iter().filter_map(member_name))
}

fn is_same(a: &Report<'_>, b: &Report<'_>) -> bool {
    a.code == b.code && a.message == b.message
}

/// The text with all edits applied; `None` if they overlap.
fn edited(text: &str, edits: &[(Span, String)]) -> Option<String> {
    let mut sorted: Vec<_> = edits.iter().collect();
    sorted.sort_by_key(|(span, _)| *span);
    let mut result = String::with_capacity(text.len() + 16);
    let mut at = 0;
    for (span, new) in sorted {
        result.push_str(text.get(at..span.start as usize)?);
        result.push_str(new);
        at = span.end as usize;
    }
    result.push_str(text.get(at..)?);
    Some(result)
}
