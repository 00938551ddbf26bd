//! Axes exchanged, added, removed or kept.

use super::{Candidate, after, operands, replaced, rewrite, suffixed};
use crate::analysis::db::Clash;
use crate::analysis::remedy::sites::Sites;
use crate::base::Span;
use crate::syntax::ast::{BinaryOp, ExprId, ExprKind, IndexItem};

/// Operands of matrix products transposed or exchanged.
pub fn transposes(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let mut found = vec![];
    for id in products(sites) {
        let ExprKind::Binary { lhs, rhs, .. } = sites.ast[id].kind else { continue };
        for (index, side) in [lhs, rhs].into_iter().enumerate() {
            let family = format!("transpose {}", side.0);
            if let Some(base) = transposed(sites, side) {
                let span = Span::new(sites.ast[base].span.end, sites.ast[side].span.end);
                found.push(rewrite(sites, id, vec![(span, String::new())]).of_family(&family));
                continue;
            }
            let rank = clash.shapes.get(index).filter(|_| sites.focus.contains(&id)).map(Vec::len);
            if rank.is_none_or(|rank| rank > 1) {
                let edits = suffixed(sites, side, ".T").edits;
                found.push(rewrite(sites, id, edits).of_family(&family));
            }
        }
        let (left, right) = (sites.text_of(lhs), sites.text_of(rhs));
        let span = |id: ExprId| sites.ast[id].span;
        if let Some(base) = transposed(sites, rhs) {
            // (a @ b.T).T = b @ a.T
            let edits = vec![(span(lhs), sites.text_of(base).into()), (span(rhs), format!("{left}.T"))];
            found.push(rewrite(sites, id, edits).of_family("whole"));
        }
        found.push(rewrite(sites, id, vec![(span(lhs), right.into()), (span(rhs), left.into())]));
    }
    found
}

fn products<'s>(sites: &'s Sites<'_>) -> impl Iterator<Item = ExprId> + use<'s> {
    let is_product = |id: &ExprId| matches!(sites.ast[*id].kind, ExprKind::Binary { op: BinaryOp::MatMul, .. });
    sites.inside.iter().copied().filter(is_product)
}

/// What `.T` is taken of.
fn transposed(sites: &Sites<'_>, id: ExprId) -> Option<ExprId> {
    match &sites.ast[id].kind {
        ExprKind::Field { base, name } if name.name == "T" => Some(*base),
        _ => None,
    }
}

/// The axes of what the error points at, or of an argument beside it, in another order.
pub fn permutations(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let mut found = vec![];
    let [has, wants] = clash.shapes.as_slice() else { return found };
    let call = sites.around.first().copied().filter(|id| matches!(sites.ast[*id].kind, ExprKind::Call { .. }));
    for id in &sites.focus {
        for suffix in reorderings(has, wants) {
            found.push(suffixed(sites, *id, &suffix).of_family("whole"));
        }
        if let Some(call) = call {
            // A layer that works along the last axis, applied along another.
            for (there, back) in round_trips(has.len()) {
                let edits = vec![
                    (after(sites.ast[*id].span), there.to_string()),
                    (after(sites.ast[call].span), back.to_string()),
                ];
                found.push(rewrite(sites, call, edits).of_family("whole"));
            }
        }
    }
    if let Some(call) = call {
        for other in super::operands_of(sites, call).into_iter().filter(|id| !sites.focus.contains(id)) {
            found.push(suffixed(sites, other, ".transpose(1, 2)").of_family(format!("transpose {}", other.0)));
        }
    }
    found
}

/// Suffixes that put axes in another order: the one that gives the wanted shape, else the usual ones.
fn reorderings(has: &[String], wants: &[String]) -> Vec<String> {
    let rank = has.len();
    let mut sorted = (has.to_vec(), wants.to_vec());
    sorted.0.sort();
    sorted.1.sort();
    if rank >= 2 && sorted.0 == sorted.1 {
        let moved: Vec<usize> = (0..rank).filter(|axis| has[*axis] != wants[*axis]).collect();
        if let [a, b] = moved.as_slice() {
            return vec![if *a + 2 == rank { ".T".to_string() } else { format!(".transpose({a}, {b})") }];
        }
        let axes: Vec<String> =
            wants.iter().filter_map(|dim| has.iter().position(|own| own == dim)).map(|axis| axis.to_string()).collect();
        return vec![format!(".permute([{}])", axes.join(", "))];
    }
    let usual: &[&str] = match rank {
        2 => &[".T"],
        3 => &[".transpose(1, 2)"],
        4 => &[".permute([0, 3, 1, 2])", ".permute([0, 2, 3, 1])", ".transpose(1, 2)"],
        _ => &[],
    };
    usual.iter().map(|suffix| suffix.to_string()).collect()
}

fn round_trips(rank: usize) -> &'static [(&'static str, &'static str)] {
    match rank {
        3 => &[(".transpose(1, 2)", ".transpose(1, 2)")],
        4 => &[(".permute([0, 2, 3, 1])", ".permute([0, 3, 1, 2])")],
        _ => &[],
    }
}

/// Subscripts that keep an axis, drop one less, or add none.
pub fn subscripts(sites: &Sites<'_>) -> Vec<Candidate> {
    let mut found = vec![];
    for id in &sites.inside {
        let ExprKind::Index { base, items } = &sites.ast[*id].kind else { continue };
        for (position, item) in items.iter().enumerate() {
            match item {
                IndexItem::Expr(expr) => {
                    if let Some(at) = sites.number(*expr).filter(|at| *at >= 0) {
                        found.push(replaced(sites, *id, *expr, format!("{at}:{}", at + 1)));
                    }
                    if let ExprKind::None = sites.ast[*expr].kind {
                        found.push(without_item(sites, *id, *base, position, items.len()));
                    }
                }
                // Without either bound nothing would be cut.
                IndexItem::Slice { start: Some(start), stop: Some(stop), .. } => {
                    found.push(replaced(sites, *id, *start, ""));
                    found.push(replaced(sites, *id, *stop, ""));
                }
                IndexItem::Slice { .. } => {}
            }
        }
    }
    found
}

fn without_item(sites: &Sites<'_>, id: ExprId, base: ExprId, position: usize, count: usize) -> Candidate {
    let (base, whole) = (sites.ast[base].span, sites.ast[id].span);
    let all = |item: &IndexItem| matches!(item, IndexItem::Slice { start: None, stop: None, step: None, .. });
    let rest_is_all = match &sites.ast[id].kind {
        ExprKind::Index { items, .. } => items.iter().enumerate().all(|(index, item)| index == position || all(item)),
        _ => false,
    };
    if count == 1 || rest_is_all {
        return rewrite(sites, id, vec![(Span::new(base.end, whole.end), String::new())]);
    }
    let ExprKind::Index { items, .. } = &sites.ast[id].kind else { return rewrite(sites, id, vec![]) };
    let span = |item: &IndexItem| match item {
        IndexItem::Expr(expr) => sites.ast[*expr].span,
        IndexItem::Slice { span, .. } => *span,
    };
    let own = span(&items[position]);
    let removed = match items.get(position + 1) {
        Some(next) => Span::new(own.start, span(next).start),
        None => Span::new(span(&items[position - 1]).end, own.end),
    };
    rewrite(sites, id, vec![(removed, String::new())])
}

/// Further axes of size 1, with the rank that each takes.
const NEW_AXES: &[(usize, &str)] = &[
    (1, "[:, None]"),
    (1, "[:, None, None]"),
    (2, "[:, None, :]"),
    (2, "[:, :, None]"),
    (2, "[:, None, None, :]"),
    (2, "[:, :, None, None]"),
    (3, "[:, :, None, :]"),
    (3, "[:, None, :, :]"),
    (0, "[None]"),
];

/// An operand with a further axis.
pub fn insertions(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let ranks: Vec<usize> = clash.shapes.iter().map(Vec::len).collect();
    let same = ranks.iter().all(|rank| Some(rank) == ranks.first());
    let mut found = vec![];
    // Between shapes of one rank a new axis helps only the smaller operand of an outer product.
    if ranks.is_empty() || same && ranks.first() != Some(&1) {
        return found;
    }
    let longest = ranks.iter().max();
    let is_operator = |id: &ExprId| matches!(sites.ast[*id].kind, ExprKind::Binary { .. });
    let of_operator = sites.focus.iter().any(is_operator);
    for (index, operand) in operands(sites).into_iter().chain(sites.focus.clone()).enumerate() {
        // Of two operands the one of lower rank lacks an axis.
        if of_operator && ranks.get(index) == longest {
            continue;
        }
        let usable = NEW_AXES.iter().filter(|(rank, _)| *rank == 0 || ranks.contains(rank));
        for (_, subscript) in usable {
            found.push(suffixed(sites, operand, subscript).of_family(format!("insert {}", operand.0)));
        }
    }
    found
}

/// An operand, or the result, without an axis of size 1.
pub fn removals(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let mut axes: Vec<usize> = vec![];
    for shape in &clash.shapes {
        axes.extend((0..shape.len()).filter(|axis| shape[*axis] == "1"));
    }
    // A result of too high a rank may come of an operand that is not shown.
    if let [has, wants] = clash.shapes.as_slice()
        && has.len() > wants.len()
    {
        axes.extend(0..has.len());
    }
    axes.sort_unstable();
    axes.dedup();
    let mut found = vec![];
    let is_call = |id: &&ExprId| matches!(sites.ast[**id].kind, ExprKind::Call { .. });
    let family = |id: ExprId| match sites.around.first().filter(is_call) {
        // An argument without the axis, or another argument: that may be two things.
        Some(_) => format!("squeeze {}", id.0),
        None => "squeeze".to_string(),
    };
    for id in sites.focus.iter().copied().chain(operands(sites)) {
        for axis in &axes {
            found.push(suffixed(sites, id, &format!(".squeeze({axis})")).of_family(family(id)));
        }
    }
    found
}

/// All axes behind the batch as one.
pub fn flattened(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let Some([batch, _, _, ..]) = clash.shapes.first().map(Vec::as_slice) else { return vec![] };
    sites.focus.iter().map(|id| suffixed(sites, *id, &format!(".reshape([{batch}, -1])"))).collect()
}
