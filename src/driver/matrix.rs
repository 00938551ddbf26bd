//! What each target supports, as a page: docs/targets.md, which `tritonc targets --matrix` prints.
//!
//! Everything on it is asked of the registry, the standard library and the targets.

use crate::analysis::Project;
use crate::driver::{Failed, Session, pipeline};
use crate::ops::{self, Gradient, OpId};
use crate::targets::{self, Style, Support, Target, Writer};
use crate::types::DType;
use std::sync::Arc;

const INTRODUCTION: &str = "\
# Targets

What `tritonc build --target NAME` can write. This page is made from the registry of operations, the standard library and the
targets' own tables; `tritonc targets --matrix` prints it.

- *native*: the target has a form of its own for it, an expression of its library or a helper beside the code.
- *decomposed*: it is written by what it is made of, as a function of the file or in place.
- *refused*: a program that needs it is an error with its place in the source.
";

/// A target with its table read.
type Column = (&'static dyn Target, Arc<dyn Writer>);

/// The page, with the built-in tables.
pub fn page(session: &mut Session) -> Result<String, Failed> {
    let column = |target: &'static dyn Target| Ok((target, pipeline::writer(session, target.name(), None)?));
    let columns: Vec<Column> = targets::all().map(column).collect::<Result<_, _>>()?;
    let mut page = INTRODUCTION.to_string();
    page += &properties(&columns);
    page += &element_types(&columns);
    page += &operations(&columns);
    page += &functions(&columns, &session.project);
    Ok(page)
}

/// The head of a table with a column for each target.
fn head(title: &str, first: &[&str], columns: &[Column]) -> String {
    let names = columns.iter().map(|(target, _)| format!("`{}`", target.name()));
    let cells: Vec<String> = first.iter().map(|text| text.to_string()).chain(names).collect();
    format!("\n## {title}\n{}| {} |\n", row(&cells), vec!["---"; cells.len()].join(" | "))
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn yes_or_no(holds: bool) -> String {
    if holds { "yes" } else { "no" }.to_string()
}

fn properties(columns: &[Column]) -> String {
    type Answer = fn(&'static dyn Target) -> String;
    let rows: &[(&str, Answer)] = &[
        ("files", |target| format!("`{}`", target.files())),
        ("packages that they need", |target| match target.packages() {
            [] => "none".to_string(),
            packages => packages.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        }),
        ("layers stay apart; else the program is inlined and fused", |target| {
            yes_or_no(target.capabilities().style == Style::Modules)
        }),
        ("`if`, `for` and `while` at run time", |target| yes_or_no(target.capabilities().control_flow)),
        ("sizes that come with each call", |target| yes_or_no(target.capabilities().dynamic_dims)),
        ("state that methods assign", |target| yes_or_no(target.capabilities().state)),
        ("gradients", |target| match target.capabilities().gradients {
            true => "of the library".to_string(),
            false => "with `--grad`".to_string(),
        }),
        ("executed by `tritonc verify`", |target| yes_or_no(target.runner().is_some())),
    ];
    let mut text = head("Programs", &["a program's"], columns);
    for (name, answer) in rows {
        let answers = columns.iter().map(|(target, _)| answer(*target));
        text += &row(&std::iter::once(name.to_string()).chain(answers).collect::<Vec<_>>());
    }
    text
}

fn element_types(columns: &[Column]) -> String {
    let mut text = head("Element types", &["type"], columns);
    for dtype in DType::ALL {
        let answers = columns.iter().map(|(target, _)| match target.capabilities().dtypes.contains(&dtype) {
            true => "native".to_string(),
            false => "refused".to_string(),
        });
        text += &row(&std::iter::once(format!("`{dtype}`")).chain(answers).collect::<Vec<_>>());
    }
    text
}

fn operations(columns: &[Column]) -> String {
    let mut text = head("Operations", &["operation", "gradient"], columns);
    for (family, ops) in ops::families() {
        text += &row(&[vec![format!("**{family}**")], vec![String::new(); columns.len() + 1]].concat());
        for op in ops.iter().filter_map(|op| ops::find(op.name)) {
            let forms = columns.iter().map(|(_, writer)| word(writer.operation(op)).to_string());
            let cells = [format!("`{}`", op.name()), gradient(op).to_string()];
            text += &row(&cells.into_iter().chain(forms).collect::<Vec<_>>());
        }
    }
    text
}

fn gradient(op: OpId) -> &'static str {
    match op.get().gradient {
        Gradient::Rule(_) => "yes",
        Gradient::StraightThrough(_) => "straight through",
        Gradient::None(_) => "none",
    }
}

fn functions(columns: &[Column], project: &Project) -> String {
    let mut text = head("Functions of the standard library", &["function"], columns);
    for path in project.library_functions() {
        let forms = columns.iter().map(|(_, writer)| word(writer.composite(&path)).to_string());
        text += &row(&std::iter::once(format!("`{path}`")).chain(forms).collect::<Vec<_>>());
    }
    text
}

fn word(support: Support) -> &'static str {
    match support {
        Support::Native => "native",
        Support::Decomposed => "decomposed",
        Support::Refused => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/targets.md");
        let page = page(&mut Session::default()).unwrap_or_default();
        if std::env::var_os("TRITONC_BLESS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page, "TRITONC_BLESS=1 writes the page");
    }

    /// The checker knows targets by their folders of templates.
    #[test]
    fn each_target_may_be_mapped_to() {
        for target in targets::all() {
            let text = format!("@map({}=\"f({{x}})\")\nfn f(x: float32[N]) -> float32[N] = exp(x)\n", target.name());
            assert_eq!(Session::default().check_text("main.tri", &text), [], "{}", target.name());
        }
    }

    /// Whatever the library is made of can be written for every target.
    #[test]
    fn no_target_refuses_an_operation() {
        let functions = Project::new().library_functions();
        assert!(functions.len() > 60 && functions.iter().any(|path| path == "activations.gelu"), "{functions:?}");
        for target in targets::all() {
            let writer = target.writer(&targets::Templates::builtin()).unwrap();
            let refused: Vec<&str> =
                ops::all().filter(|op| writer.operation(*op) == Support::Refused).map(|op| op.name()).collect();
            assert_eq!(refused, Vec::<&str>::new(), "{}", target.name());
            let refused: Vec<&String> =
                functions.iter().filter(|path| writer.composite(path) == Support::Refused).collect();
            assert_eq!(refused, Vec::<&String>::new(), "{}", target.name());
        }
    }
}
