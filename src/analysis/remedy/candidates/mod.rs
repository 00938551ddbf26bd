//! The repairs that are tried, in tiers: first what keeps the program as it is but for one detail, then
//! other sizes and further axes, then what is rarer.
//!
//! Candidates are made from the text alone and may be wrong in any way: each is checked before anyone sees
//! it. What matters is that few are made and that each reads like something a person would write.

mod arguments;
mod axes;
mod sizes;

use crate::analysis::db::Report;
use crate::analysis::remedy::sites::Sites;
use crate::base::Span;
use crate::syntax::ast::{ExprId, ExprKind};

/// Titles show at most so much of the program.
const MAX_SHOWN: usize = 96;

/// An edit that may be a remedy.
pub struct Candidate {
    pub title: String,
    pub edits: Vec<(Span, String)>,
    /// Whether nothing else can be meant if it holds.
    pub certain: bool,
    /// The expression that changes.
    pub shown: Option<Span>,
    /// Candidates of one family come to the same: the first that holds stands for all.
    pub family: Option<String>,
}

impl Candidate {
    pub fn of_family(mut self, family: impl Into<String>) -> Candidate {
        self.family = Some(family.into());
        self
    }
}

/// All candidates, the likeliest tier first.
pub fn tiers(sites: &Sites<'_>, report: &Report<'_>) -> Vec<Vec<Candidate>> {
    let clash = &report.clash;
    let mut kept = arguments::keepdim(sites);
    let mut first = axes::transposes(sites, clash);
    first.extend(axes::permutations(sites, clash));
    first.extend(arguments::axis(sites));
    first.extend(arguments::order(sites));
    first.extend(arguments::joins(sites));
    first.extend(sizes::facts(sites, clash));
    first.extend(sizes::reshapes(sites, clash));
    first.extend(axes::subscripts(sites));
    let mut second = sizes::makers(sites, clash);
    second.extend(sizes::declarations(sites, clash));
    second.extend(sizes::literals(sites, clash));
    second.extend(axes::insertions(sites, clash));
    second.extend(axes::removals(sites, clash));
    second.extend(axes::flattened(sites, clash));
    let mut third = arguments::names(sites);
    third.extend(sizes::repeats(sites, clash));
    third.extend(sizes::lengths(sites, clash));
    third.extend(sizes::stretched(sites, clash));
    for candidate in kept.iter_mut().chain(&mut first) {
        candidate.certain = true;
    }
    vec![kept, first, arguments::positions(sites, clash), second, third]
}

/// `write ...`, showing an expression with the edits applied.
fn rewrite(sites: &Sites<'_>, shown: ExprId, edits: Vec<(Span, String)>) -> Candidate {
    let span = sites.ast[shown].span;
    let inner: Vec<(Span, String)> = edits
        .iter()
        .filter(|(edit, _)| span.start <= edit.start && edit.end <= span.end)
        .map(|(edit, text)| (Span::new(edit.start - span.start, edit.end - span.start), text.clone()))
        .collect();
    let text = super::edited(sites.source(span), &inner).unwrap_or_default();
    let title = format!("write `{}`", elided(&text));
    // What is only taken away is told better by what remains.
    let edits = match edits.iter().all(|(_, new)| new.is_empty()) {
        true => vec![(span, text)],
        false => edits,
    };
    Candidate { title, edits, certain: false, shown: Some(span), family: None }
}

/// On one line, and no longer than a title may be.
fn elided(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

fn before(span: Span) -> Span {
    Span::new(span.start, span.start)
}

fn after(span: Span) -> Span {
    Span::new(span.end, span.end)
}

/// The expression with a method call or subscript behind it.
fn suffixed(sites: &Sites<'_>, id: ExprId, suffix: &str) -> Candidate {
    let span = sites.ast[id].span;
    let edits = match is_tight(sites, id) {
        true => vec![(after(span), suffix.to_string())],
        false => vec![(before(span), "(".to_string()), (after(span), format!("){suffix}"))],
    };
    let mut candidate = rewrite(sites, id, edits);
    if candidate.title.ends_with("...`") {
        let start = sites.source(span).chars().take(MAX_SHOWN / 3).collect::<String>();
        candidate.title = format!("append `{suffix}` to `{}...`", elided(&start));
    }
    candidate
}

/// Whether a suffix binds to the whole of it.
fn is_tight(sites: &Sites<'_>, id: ExprId) -> bool {
    if is_parenthesised(sites.text_of(id)) {
        return true;
    }
    !matches!(
        sites.ast[id].kind,
        ExprKind::Unary { .. } | ExprKind::Binary { .. } | ExprKind::Pipe { .. } | ExprKind::If(_) | ExprKind::Int(_)
    )
}

/// Whether one pair of parentheses is around all of it.
fn is_parenthesised(text: &str) -> bool {
    let mut depth = 0usize;
    let closes = text.char_indices().find(|(_, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    text.starts_with('(') && closes.is_some_and(|(at, _)| at + 1 == text.len())
}

fn replaced(sites: &Sites<'_>, shown: ExprId, id: ExprId, text: impl Into<String>) -> Candidate {
    rewrite(sites, shown, vec![(sites.ast[id].span, text.into())])
}

/// The text of a dim where it stands beside an operator.
fn operand(dim: &str) -> String {
    let simple = dim.chars().all(|c| c.is_alphanumeric() || c == '_');
    if simple { dim.to_string() } else { format!("({dim})") }
}

/// The tensors that the error is between: operands of what it points at, or the arguments beside it.
fn operands(sites: &Sites<'_>) -> Vec<ExprId> {
    let mut found = vec![];
    for id in sites.focus.iter().chain(sites.around.first()) {
        found.extend(operands_of(sites, *id));
    }
    found.dedup();
    found
}

fn operands_of(sites: &Sites<'_>, id: ExprId) -> Vec<ExprId> {
    let ast = sites.ast;
    match &ast[id].kind {
        ExprKind::Binary { lhs, rhs, .. } => vec![*lhs, *rhs],
        ExprKind::Call { callee, args } => {
            let receiver = match &ast[*callee].kind {
                ExprKind::Field { base, .. } => Some(*base),
                _ => None,
            };
            let listed = args.iter().flat_map(|arg| match &ast[arg.value].kind {
                ExprKind::List(items) => items.clone(),
                _ => vec![arg.value],
            });
            let tensors = receiver.into_iter().chain(listed);
            tensors.filter(|id| sites.number(*id).is_none()).collect()
        }
        ExprKind::Pipe { value, .. } => vec![*value],
        _ => vec![],
    }
}
