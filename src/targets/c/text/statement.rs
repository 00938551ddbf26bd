//! Statements and their layout: four columns a level, lines of at most 120 columns where an operator allows it.

use super::expr::C;
use std::collections::HashSet;

const INDENT: usize = 4;
const WIDTH: usize = 120;

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// One line.
    Line(String),
    /// `prefix`, an expression, `;`.
    Expression(String, C),
    /// `head {`, statements, `}`.
    Block(String, Vec<Statement>),
}

/// Takes constants away that nothing uses. What they were made of has no effects.
pub fn drop_unused(statements: &mut Vec<Statement>) {
    drop_before(statements, &HashSet::new());
}

/// The same from the end on, since a name means something up to the end of its block; `used` are names that are used
/// after these statements. Gives the names that they use.
fn drop_before(statements: &mut Vec<Statement>, used: &HashSet<String>) -> HashSet<String> {
    let mut used = used.clone();
    let mut kept = vec![];
    for mut statement in std::mem::take(statements).into_iter().rev() {
        let text = match &mut statement {
            Statement::Line(text) => text.clone(),
            Statement::Expression(prefix, value) => {
                let declared = prefix.strip_prefix("const ").and_then(|rest| rest.strip_suffix(" = "));
                let name = declared.and_then(|declared| declared.rsplit(' ').next());
                if name.is_some_and(|name| !used.contains(name)) {
                    continue;
                }
                // Before its declaration, another variable may be called so.
                name.map(|name| used.remove(name));
                let name = if name.is_some() { "" } else { prefix };
                format!("{name}{}", value.text())
            }
            Statement::Block(head, body) => {
                used.extend(drop_before(body, &used));
                head.clone()
            }
        };
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        used.extend(text.split(|c: char| !is_part(c)).map(str::to_string));
        kept.push(statement);
    }
    kept.reverse();
    *statements = kept;
    used
}

/// Lines with their indentation, each with its line break.
pub fn print(statements: &[Statement], depth: usize) -> String {
    let mut out = String::new();
    write(statements, depth, &mut out);
    out
}

/// Each statement and each head of a block as one line, in order.
pub fn lines(statements: &[Statement]) -> Vec<String> {
    let of = |statement: &Statement| match statement {
        Statement::Line(text) => vec![text.clone()],
        Statement::Expression(prefix, value) => vec![format!("{prefix}{}", value.text())],
        Statement::Block(head, body) => [vec![head.clone()], lines(body)].concat(),
    };
    statements.iter().flat_map(of).collect()
}

fn write(statements: &[Statement], depth: usize, out: &mut String) {
    let margin = " ".repeat(depth * INDENT);
    for (index, statement) in statements.iter().enumerate() {
        match statement {
            Statement::Line(text) => out.push_str(&format!("{margin}{text}\n")),
            Statement::Expression(prefix, value) => lay_out(&margin, prefix, value, out),
            Statement::Block(head, body) => {
                // `} else {` on one line.
                let joins = head.starts_with("else");
                if joins && index > 0 && out.ends_with("}\n") {
                    out.pop();
                    out.push_str(&format!(" {head} {{\n"));
                } else {
                    out.push_str(&format!("{margin}{head} {{\n"));
                }
                write(body, depth + 1, out);
                out.push_str(&format!("{margin}}}\n"));
            }
        }
    }
}

/// A statement that is too long is broken before the outermost operators.
fn lay_out(margin: &str, prefix: &str, value: &C, out: &mut String) {
    let flat = format!("{margin}{prefix}{};", value.text());
    if flat.len() <= WIDTH {
        out.push_str(&flat);
        out.push('\n');
        return;
    }
    let (first, rest) = parts(value);
    out.push_str(&format!("{margin}{prefix}{first}"));
    for part in rest {
        out.push_str(&format!("\n{margin}    {part}"));
    }
    out.push_str(";\n");
}

/// The operands of a chain of operators, each but the first with its operator in front; the cases of a conditional.
fn parts(value: &C) -> (String, Vec<String>) {
    match value {
        C::Conditional(condition, value, other) => {
            let condition = C::Conditional(condition.clone(), value.clone(), Box::new(C::atom("")));
            let (mut rest, mut last) = (vec![], &**other);
            while let C::Conditional(condition, value, other) = last {
                let shown = C::Conditional(condition.clone(), value.clone(), Box::new(C::atom("")));
                rest.push(format!(": {}", shown.text().trim_end_matches([' ', ':'])));
                last = other;
            }
            rest.push(format!(": {}", last.text()));
            (condition.text().trim_end_matches([' ', ':']).to_string(), rest)
        }
        C::Binary(left, operator, right) => {
            let whole = value.text();
            let shown = C::Binary(Box::new(C::atom("")), operator, right.clone()).text();
            let head = whole.strip_suffix(shown.as_str()).map(str::to_string);
            let unwrapped = head.as_deref() == Some(left.text().as_str());
            let (first, mut rest) = match (&**left, unwrapped) {
                (C::Binary(..), true) => parts(left),
                _ => (head.unwrap_or_else(|| left.text()), vec![]),
            };
            rest.push(shown.trim_start().to_string());
            (first, rest)
        }
        _ => (value.text(), vec![]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_indented() {
        let body = vec![Statement::Line("a = 1;".into())];
        let other = Statement::Block("else".into(), vec![Statement::Line("a = 2;".into())]);
        let text = print(&[Statement::Block("if (b)".into(), body), other], 1);
        assert_eq!(text, "    if (b) {\n        a = 1;\n    } else {\n        a = 2;\n    }\n");
    }

    #[test]
    fn constants_that_nothing_uses_go() {
        let named = |name: &str, value: &str| Statement::Expression(format!("const int {name} = "), C::atom(value));
        let last = Statement::Expression("y = ".into(), C::atom("c"));
        let mut body =
            vec![Statement::Block("if (x)".into(), vec![named("a", "1"), named("b", "a"), named("c", "x"), last])];
        drop_unused(&mut body);
        assert_eq!(print(&body, 0), "if (x) {\n    const int c = x;\n    y = c;\n}\n");
    }

    #[test]
    fn long_lines_are_broken_before_operators() {
        let long = || C::atom("a".repeat(50));
        let sum = C::binary(C::binary(long(), "+", long()), "-", long());
        let text = print(&[Statement::Expression("x = ".into(), sum)], 0);
        let a = "a".repeat(50);
        assert_eq!(text, format!("x = {a}\n    + {a}\n    - {a};\n"));
    }
}
