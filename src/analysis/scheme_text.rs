//! A quantisation scheme that stands on the command line: read and checked as the argument of `@quantize` is.

use crate::analysis::Project;
use crate::analysis::db::{Report, items, parse_item};
use crate::analysis::elaborate::Elaborator;
use crate::analysis::project::NoFiles;
use crate::analysis::world::{Abort, Discard};
use crate::base::{Diagnostic, Source, Span, code};
use crate::quant::{Quantization, Scheme};
use crate::syntax::ast::ItemKind;

/// What messages call the text.
pub const SCHEME_NAME: &str = "<scheme>";
/// What stands before it, so that it is a declaration. Messages leave it out.
pub const SCHEME_PREFIX: &str = "let scheme = ";

/// The scheme of a text such as `int4(group=64)`; `None` for `none`.
pub fn parse(project: &mut Project, text: &str) -> Result<Option<Scheme>, Vec<Diagnostic>> {
    let source = Source::new(SCHEME_NAME, format!("{SCHEME_PREFIX}{text}"));
    let (id, _) = project.open("scheme'", source, &mut NoFiles);
    let db: &dyn salsa::Database = project.database();
    let whole = Span::new(SCHEME_PREFIX.len() as u32, (SCHEME_PREFIX.len() + text.len()) as u32);
    let refuse = |message: &str, span| vec![Diagnostic::new(code::E0501, message).primary(id, span, "not a scheme")];
    let items = project.file(id).map(|file| items(db, file).as_slice()).unwrap_or_default();
    let &[item] = items else { return Err(refuse("a quantisation scheme is one expression", whole)) };
    let parsed = parse_item(db, item);
    if let Some(error) = parsed.errors.first() {
        return Err(refuse(&format!("the scheme is not an expression: {}", error.message), error.span));
    }
    let (ItemKind::Let(binding), ast) = (&parsed.ast.item.kind, &parsed.ast) else {
        return Err(refuse("a quantisation scheme is needed here", whole));
    };
    let Some(expr) = binding.init else { return Err(refuse("the scheme is missing", whole)) };
    let mut discard = Discard::like(true, Some(false));
    let mut walk = Elaborator::new(db, &mut discard, item, ast);
    let value = walk.expr(expr).and_then(|value| walk.scheme_of(value, ast[expr].span));
    let reports: Vec<Report<'_>> = std::mem::take(&mut walk.reports);
    if !reports.is_empty() {
        return Err(reports.iter().map(|report| report.resolve(db)).collect());
    }
    match value {
        Ok(Some(scheme)) => match scheme.problem() {
            Some(problem) => Err(refuse(&problem, whole)),
            None => Ok(Some(scheme)),
        },
        Ok(None) => Ok(None),
        Err(Abort::Demand(_) | Abort::Reported) => Err(refuse("the scheme is not known at compile time", whole)),
    }
}

/// The arguments of `@quantize` as a text: `int8(axis=0), activations=int8(dynamic=true)`, `none`.
pub fn parse_quantization(project: &mut Project, text: &str) -> Result<Option<Quantization>, Vec<Diagnostic>> {
    let (mut weights, mut activations) = (None, None);
    for argument in arguments(text) {
        let (place, scheme) = match argument.split_once('=').map(|(name, scheme)| (name.trim(), scheme.trim())) {
            Some(("weights", scheme)) => (&mut weights, scheme),
            Some(("activations", scheme)) => (&mut activations, scheme),
            Some(_) | None => (&mut weights, argument.trim()),
        };
        if place.is_some() {
            let message = format!("two schemes for the same: `{}`", text.trim());
            return Err(vec![Diagnostic::new(code::E0501, message)]);
        }
        *place = Some(parse(project, scheme)?);
    }
    let refuse = |message: String| Err(vec![Diagnostic::new(code::E0501, message)]);
    let activations = activations.flatten();
    if let Some(problem) = activations.as_ref().and_then(Scheme::problem_for_activations) {
        return refuse(problem);
    }
    match weights {
        Some(weights) => Ok(weights.map(|weights| Quantization { weights, activations })),
        None => refuse("activations go with quantised weights: `int8(axis=0), activations=int8(dynamic=true)`".into()),
    }
}

/// The parts between commas that stand in no bracket.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0usize, 0, vec![]);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantizations_are_the_arguments_of_the_attribute() {
        let mut project = Project::new();
        let mut read = |text: &str| match parse_quantization(&mut project, text) {
            Ok(found) => found.map_or("none".to_string(), |found| found.to_string()),
            Err(errors) => format!("{}: {}", errors[0].code, errors[0].message),
        };
        let both = "int4(axis=0), activations=int8(dynamic=true)";
        assert_eq!(read("int4(axis=0),activations = int8(dynamic=true)"), both);
        assert_eq!(read("activations=int8(dynamic=true), weights=int4(axis=0)"), both);
        assert_eq!(read("ternary(rule=\"max\", ratio=0.5)"), "ternary(rule=\"max\", ratio=0.5)");
        assert_eq!(read("int8, activations=none"), "int8()");
        assert_eq!(read("none"), "none");
        assert!(read("int8, int4").starts_with("E0501: two schemes"));
        assert!(read("activations=int8()").starts_with("E0501: activations go with"));
        assert!(read("int8, activations=ternary()").starts_with("E0501: activations are quantised as"));
        assert!(read("int8, activations=int8(group=4)").starts_with("E0501: a scheme of activations has no"));
    }

    fn read(text: &str) -> Result<String, String> {
        let found = parse(&mut Project::new(), text);
        let shown = |scheme: Option<Scheme>| scheme.map_or("none".to_string(), |scheme| scheme.to_string());
        found.map(shown).map_err(|errors| {
            let [error] = &errors[..] else { panic!("{errors:?}") };
            format!("{}: {}", error.code, error.message)
        })
    }

    #[test]
    fn schemes_are_those_of_the_language() {
        let mut project = Project::new();
        for (text, scheme) in [
            ("int4(group=64)", "int4(group=64)"),
            ("ternary( axis = 0 )", "ternary(axis=0)"),
            ("ternary", "ternary()"),
            ("int8", "int8()"),
            (
                "int4(symmetric=false, group=2 * 16, scale_dtype=float16)",
                "int4(symmetric=false, group=32, scale_dtype=float16)",
            ),
            ("ternary(rule=\"max\", ratio=0.5, scale=\"kept\")", "ternary(rule=\"max\", ratio=0.5, scale=\"kept\")"),
        ] {
            assert_eq!(parse(&mut project, text).unwrap().unwrap().to_string(), scheme);
        }
        assert_eq!(parse(&mut project, "none"), Ok(None));
    }

    #[test]
    fn mistakes_are_those_of_the_language() {
        for (text, error) in [
            ("int4(grop=64)", "E0501: `int4` has no option `grop`, or not with this value"),
            ("int5()", "E0101: unknown name `int5`"),
            ("3", "E0501: a quantisation scheme is needed here, not an int"),
            ("", "E0501: "),
            ("int4(", "E0501: the scheme is not an expression"),
            ("int4(); int8()", "E0501: a quantisation scheme is one expression"),
            ("int4(axis=0, group=2)", "E0501: a scheme takes `axis` or `group`, not both"),
            ("ternary(scale=\"kept\")", "E0501: `scale=\"kept\"` goes with"),
            ("zeros([2])", "E0501: a quantisation scheme is needed here"),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.starts_with(error), "{text}: {found}");
        }
    }
}
