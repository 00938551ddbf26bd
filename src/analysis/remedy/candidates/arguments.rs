//! Arguments of calls: another axis, `keepdim`, another order, another function or name.

use super::{Candidate, after, replaced, rewrite, suffixed};
use crate::analysis::db::Clash;
use crate::analysis::remedy::sites::Sites;
use crate::base::Span;
use crate::ops;
use crate::syntax::ast::{ExprId, ExprKind, Let, MemberKind, Pattern};

/// Axes that are tried; real shapes seldom have more.
const AXES: i64 = 4;

fn calls(sites: &Sites<'_>) -> Vec<ExprId> {
    let near = sites.inside.iter().chain(sites.around.first());
    near.copied().filter(|id| matches!(sites.ast[*id].kind, ExprKind::Call { .. })).collect()
}

/// Another axis, or one where none is given.
pub fn axis(sites: &Sites<'_>) -> Vec<Candidate> {
    let mut found = vec![];
    for call in calls(sites) {
        let Some(callee) = sites.callee(call) else { continue };
        for param in callee.params.iter().filter(|param| param.starts_with("axis")) {
            match sites.argument(call, &callee, param) {
                Some(given) => {
                    for text in other_axes(sites, given) {
                        found.push(replaced(sites, call, given, text));
                    }
                    found.extend(without_argument(sites, call, given));
                }
                None if param == "axis" => {
                    let Some((at, comma)) = sites.after_arguments(call) else { continue };
                    for axis in 1..AXES {
                        found.push(rewrite(sites, call, vec![(Span::new(at, at), format!("{comma}axis={axis}"))]));
                    }
                }
                None => {}
            }
        }
    }
    found
}

fn other_axes(sites: &Sites<'_>, given: ExprId) -> Vec<String> {
    if let Some(now) = sites.number(given) {
        let range = if now < 0 { -AXES..0 } else { 0..AXES };
        return range.filter(|axis| *axis != now).map(|axis| axis.to_string()).collect();
    }
    let ExprKind::List(items) = &sites.ast[given].kind else { return vec![] };
    let now: Option<Vec<i64>> = items.iter().map(|item| sites.number(*item)).collect();
    let Some(now) = now.filter(|now| now.len() == 2) else { return vec![] };
    let pairs = (0..AXES).flat_map(|a| (a + 1..AXES).map(move |b| [a, b]));
    pairs.filter(|pair| pair[..] != now[..]).map(|[a, b]| format!("[{a}, {b}]")).collect()
}

/// `keepdim=true` added or taken away.
pub fn keepdim(sites: &Sites<'_>) -> Vec<Candidate> {
    let mut found = vec![];
    for call in calls(sites) {
        let Some(callee) = sites.callee(call).filter(|callee| callee.params.iter().any(|p| p == "keepdim")) else {
            continue;
        };
        match sites.argument(call, &callee, "keepdim") {
            None => {
                let Some((at, comma)) = sites.after_arguments(call) else { continue };
                found.push(rewrite(sites, call, vec![(Span::new(at, at), format!("{comma}keepdim=true"))]));
            }
            Some(given) => found.extend(without_argument(sites, call, given)),
        }
    }
    found
}

fn without_argument(sites: &Sites<'_>, call: ExprId, given: ExprId) -> Option<Candidate> {
    let ExprKind::Call { args, .. } = &sites.ast[call].kind else { return None };
    let index = args.iter().position(|arg| arg.value == given)?;
    let own = args[index].span;
    let removed = match index.checked_sub(1) {
        Some(before) => Span::new(args[before].span.end, own.end),
        None => args.get(1).map_or(own, |next| Span::new(own.start, next.span.start)),
    };
    Some(rewrite(sites, call, vec![(removed, String::new())]))
}

/// Two arguments of the call exchanged.
pub fn order(sites: &Sites<'_>) -> Vec<Candidate> {
    let mut found = vec![];
    for call in sites.focus.iter().chain(sites.around.first()) {
        let ExprKind::Call { args, .. } = &sites.ast[*call].kind else { continue };
        let plain: Vec<ExprId> = args.iter().filter(|arg| arg.name.is_none()).map(|arg| arg.value).collect();
        for (index, a) in plain.iter().enumerate() {
            for b in &plain[index + 1..] {
                let edits = vec![
                    (sites.ast[*a].span, sites.text_of(*b).to_string()),
                    (sites.ast[*b].span, sites.text_of(*a).to_string()),
                ];
                found.push(rewrite(sites, *call, edits));
            }
        }
    }
    found
}

/// Another operation that takes the same list of tensors.
pub fn joins(sites: &Sites<'_>) -> Vec<Candidate> {
    let mut found = vec![];
    for call in calls(sites) {
        let ExprKind::Call { callee, .. } = &sites.ast[call].kind else { continue };
        let ExprKind::Name(name) = &sites.ast[*callee].kind else { continue };
        let Some(op) = ops::find(name).filter(|op| op.traits().joining.is_some()) else { continue };
        for other in ops::all().filter(|other| *other != op && other.traits().joining.is_some()) {
            found.push(replaced(sites, call, *callee, other.name()));
        }
    }
    found
}

/// A parameter of the layer that nothing reads, in place of one that something reads twice.
pub fn names(sites: &Sites<'_>) -> Vec<Candidate> {
    let Some(layer) = sites.layer() else { return vec![] };
    let members: Vec<&str> = layer
        .members
        .iter()
        .filter_map(|member| match &member.kind {
            MemberKind::Storage(storage) => Some(storage.name.name.as_str()),
            MemberKind::Let(Let { pattern: Pattern::Name(name), .. }) => Some(name.name.as_str()),
            _ => None,
        })
        .collect();
    let is_read = |name: &str| sites.ast.exprs.iter().any(|expr| matches!(&expr.kind, ExprKind::Name(n) if n == name));
    let mut found = vec![];
    for id in &sites.inside {
        let ExprKind::Name(name) = &sites.ast[*id].kind else { continue };
        if !members.contains(&name.as_str()) {
            continue;
        }
        let shown = sites.focus.first().copied().unwrap_or(*id);
        for other in members.iter().filter(|other| !is_read(other)) {
            found.push(replaced(sites, shown, *id, *other));
        }
    }
    found
}

/// Positions of the largest, where rows were given for them.
pub fn positions(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let is_row_for_one = matches!(clash.shapes.as_slice(), [has, wants] if has.len() == wants.len() + 1);
    let is_argument =
        is_row_for_one && sites.around.first().is_some_and(|id| matches!(sites.ast[*id].kind, ExprKind::Call { .. }));
    let focus = sites.focus.iter().filter(|_| is_argument);
    focus.map(|id| suffixed(sites, *id, ".argmax(axis=-1)")).collect()
}

/// A further argument by name.
pub fn added(sites: &Sites<'_>, call: ExprId, text: &str) -> Option<Candidate> {
    let (at, comma) = sites.after_arguments(call)?;
    let at = after(Span::new(at, at));
    Some(rewrite(sites, call, vec![(at, format!("{comma}{text}"))]))
}
