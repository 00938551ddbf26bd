//! Sizes: of sublayers, of parameters, of shapes that are asked for, and facts about them.

use super::{Candidate, arguments, operand, operands, replaced, rewrite, suffixed};
use crate::analysis::db::Clash;
use crate::analysis::remedy::sites::Sites;
use crate::base::Span;
use crate::syntax::ast::{DimItem, ExprId, ExprKind, FnBody, FnDecl, LayerDecl, TypeKind};

/// The clash both ways: what stands there, and what could stand instead.
fn exchanges(clash: &Clash) -> Vec<(&str, &str)> {
    clash.dims.iter().flat_map(|(a, b)| [(a.as_str(), b.as_str()), (b.as_str(), a.as_str())]).collect()
}

/// Other sizes where a sublayer is made, and other padding.
pub fn makers(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let mut found = vec![];
    for (member, call) in sites.makers() {
        let ExprKind::Call { args, .. } = &sites.ast[call].kind else { continue };
        let mut own = vec![];
        for (now, then) in exchanges(clash) {
            for arg in args.iter().filter(|arg| sites.is_dim(arg.value, now)) {
                own.push(replaced(sites, call, arg.value, then));
            }
        }
        own.extend(padding(sites, call));
        for mut candidate in own {
            candidate.title = format!("{} for `{member}`", candidate.title);
            found.push(candidate);
        }
    }
    for call in &sites.inside {
        found.extend(padding(sites, *call));
    }
    found
}

fn padding(sites: &Sites<'_>, call: ExprId) -> Vec<Candidate> {
    let Some(callee) = sites.callee(call).filter(|callee| callee.params.iter().any(|p| p == "padding")) else {
        return vec![];
    };
    if let Some(given) = sites.argument(call, &callee, "padding") {
        let now = sites.number(given);
        let others = (0..=3).filter(|other| now.is_some() && Some(*other) != now);
        return others.map(|other| replaced(sites, call, given, other.to_string())).collect();
    }
    let mut texts: Vec<String> = (1..=3).map(|size| format!("padding={size}")).collect();
    if callee.params.iter().any(|param| param == "output_padding") {
        texts.push("padding=1, output_padding=1".to_string());
        texts.push("output_padding=1".to_string());
    }
    texts.iter().filter_map(|text| arguments::added(sites, call, text)).collect()
}

/// Other sizes, or another order of them, where a parameter of the layer is declared.
pub fn declarations(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let mut found = vec![];
    for (name, ty) in sites.declared_types() {
        let TypeKind::Tensor { dims, .. } = &sites.ast[ty].kind else { continue };
        let dims: Vec<ExprId> = dims
            .iter()
            .filter_map(|dim| match dim {
                DimItem::Expr(expr) => Some(*expr),
                DimItem::Any(_) | DimItem::Pack(_) | DimItem::Unknown(_) => None,
            })
            .collect();
        for (now, then) in exchanges(clash) {
            for dim in dims.iter().filter(|dim| sites.is_dim(**dim, now)) {
                let edits = vec![(sites.ast[*dim].span, then.to_string())];
                let span = sites.ast[ty].span;
                let inner = edits.iter().map(|(edit, text): &(Span, String)| {
                    (Span::new(edit.start - span.start, edit.end - span.start), text.clone())
                });
                let text = crate::analysis::remedy::edited(sites.source(span), &inner.collect::<Vec<_>>());
                let title = format!("declare `{name}: {}`", text.unwrap_or_default());
                found.push(Candidate { title, edits, certain: false, shown: Some(sites.ast[*dim].span), family: None });
            }
        }
    }
    found
}

/// Other sizes in what the error points at: in lists of dims, subscripts and arguments.
pub fn literals(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let mut found = vec![];
    for id in &sites.inside {
        let shown = enclosing_call(sites, *id);
        let number = sites.number(*id);
        for (now, then) in exchanges(clash) {
            if sites.is_dim(*id, now) {
                found.push(replaced(sites, shown, *id, then));
            } else if let (Some(number), Ok(a), Ok(b)) = (number, now.parse::<i64>(), then.parse::<i64>())
                && number > 1
                && a > 0
                && b > a
                && b % a == 0
            {
                found.push(replaced(sites, shown, *id, (number * (b / a)).to_string()));
            }
        }
    }
    found
}

/// The smallest call around a part of what the error points at.
fn enclosing_call(sites: &Sites<'_>, id: ExprId) -> ExprId {
    let span = sites.ast[id].span;
    let around = sites.inside.iter().copied().filter(|other| {
        let outer = sites.ast[*other].span;
        outer.start <= span.start
            && span.end <= outer.end
            && matches!(sites.ast[*other].kind, ExprKind::Call { .. } | ExprKind::Index { .. })
    });
    around.min_by_key(|other| sites.ast[*other].span.end - sites.ast[*other].span.start).unwrap_or(id)
}

/// Facts on divisibility, stated where the sizes are introduced.
pub fn facts(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let mut sets: Vec<String> = clash.facts.clone();
    if sets.len() > 1 {
        sets.push(sets.join(", "));
    }
    let layer = sites.layer();
    let mut found = vec![];
    for fact in sets {
        let of_layer = layer.and_then(|layer| after_layer_head(sites, layer)).map(|place| ("head of the layer", place));
        let of_function = sites.function().and_then(|decl| after_signature(sites, decl));
        let of_function = of_function.map(|place| ("signature", place));
        for (head, (at, joint)) in [of_layer, of_function].into_iter().flatten() {
            let title = format!("add `where {fact}` to the {head}");
            let title = title.replace("`where ", if joint == ", " { "`" } else { "`where " });
            let edits = vec![(Span::new(at, at), format!("{joint}{fact}"))];
            found.push(Candidate { title, edits, certain: true, shown: None, family: Some("where".into()) });
        }
    }
    found
}

/// Where a fact is added behind a signature, and what goes before it.
fn after_signature(sites: &Sites<'_>, decl: &FnDecl) -> Option<(u32, &'static str)> {
    if let Some(last) = decl.wheres.last() {
        return Some((sites.ast[*last].span.end, ", "));
    }
    let end = match &decl.body {
        FnBody::Block(block) => block.span.start,
        FnBody::Expr(expr) => {
            let before = sites.source(Span::new(0, sites.ast[*expr].span.start));
            before.trim_end().strip_suffix('=')?.len() as u32
        }
    };
    Some((sites.source(Span::new(0, end)).trim_end().len() as u32, " where "))
}

fn after_layer_head(sites: &Sites<'_>, layer: &LayerDecl) -> Option<(u32, &'static str)> {
    if let Some(last) = layer.wheres.last() {
        return Some((sites.ast[*last].span.end, ", "));
    }
    let last = layer.params.last()?;
    let mut from = last.name.span.end;
    from = last.ty.map_or(from, |ty| sites.ast[ty].span.end);
    from = last.default.map_or(from, |default| sites.ast[default].span.end);
    let brace = sites.text.get(from as usize..)?.find('{')? + from as usize;
    Some((sites.text.get(..brace)?.trim_end().len() as u32, " where "))
}

/// Another list of sizes for a reshape: one of them left open, or the batch kept in front.
pub fn reshapes(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let mut found = vec![];
    for call in &sites.inside {
        let Some(callee) = sites.callee(*call).filter(|callee| callee.params.iter().any(|param| param == "shape"))
        else {
            continue;
        };
        let Some(list) = sites.argument(*call, &callee, "shape") else { continue };
        let ExprKind::List(items) = &sites.ast[list].kind else { continue };
        let first = clash.shapes.last().and_then(|shape| shape.first());
        if let ([only], Some(batch)) = (items.as_slice(), first) {
            let at = super::before(sites.ast[*only].span);
            found.push(rewrite(sites, *call, vec![(at, format!("{batch}, "))]));
        }
        // Where the whole is wrong, the number in it is what was miscounted.
        for item in items.iter().filter(|item| sites.number(**item).is_some_and(|size| size > 1)) {
            found.push(replaced(sites, *call, *item, "-1").of_family("open"));
        }
    }
    found
}

/// An operand repeated along an axis on which the other is a multiple.
pub fn repeats(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let mut found = vec![];
    for (few, many) in exchanges(clash) {
        let (Ok(few_count), Ok(many_count)) = (few.parse::<i64>(), many.parse::<i64>()) else { continue };
        if few_count < 2 || many_count <= few_count || many_count % few_count != 0 {
            continue;
        }
        for (id, shape) in operands(sites).into_iter().zip(&clash.shapes) {
            for axis in (0..shape.len()).filter(|axis| shape[*axis] == few) {
                let text = format!("repeat_interleave({}, {}, axis={axis})", sites.text_of(id), many_count / few_count);
                let mut candidate = replaced(sites, id, id, text);
                candidate.family = Some("repeat".into());
                found.push(candidate);
            }
        }
    }
    found
}

/// An operand cut to the length of the other: a table with a row for all that may come, or a sequence whose
/// last elements have no partner.
pub fn lengths(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let tables: Vec<&str> = sites.declared_types().into_iter().map(|(name, _)| name).collect();
    let mut found = vec![];
    for (now, then) in exchanges(clash) {
        if then.parse::<i64>().is_ok() {
            continue;
        }
        let is_shorter = then.strip_prefix(now).is_some_and(|rest| rest.starts_with(" - "));
        for id in operands(sites).into_iter().chain(sites.focus.clone()) {
            if !is_shorter && !tables.contains(&sites.text_of(id)) {
                continue;
            }
            for skipped in ["", ":, "] {
                found.push(suffixed(sites, id, &format!("[{skipped}:{then}]")).of_family(format!("cut {}", id.0)));
            }
        }
    }
    found
}

/// A tensor of a list stretched to the shape of another, but for one axis.
pub fn stretched(sites: &Sites<'_>, clash: &Clash) -> Vec<Candidate> {
    let mut found = vec![];
    let listed = sites.focus.iter().flat_map(|id| super::operands_of(sites, *id)).collect::<Vec<_>>();
    let [Some(a), Some(b)] = [clash.shapes.first(), clash.shapes.get(1)] else { return found };
    for (id, shape) in listed.into_iter().zip([b, a]) {
        for axis in 0..shape.len() {
            let mut dims: Vec<String> = shape.iter().map(|dim| operand(dim)).collect();
            dims[axis] = "1".to_string();
            let suffix = format!(".broadcast_to([{}])", dims.join(", "));
            found.push(suffixed(sites, id, &suffix).of_family("stretch"));
        }
    }
    found
}
