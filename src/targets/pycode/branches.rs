//! Two bodies of one method as one: what they have in common, with a branch where they differ.
//!
//! ```text
//! y = x * self.scale         y = x * self.scale                        y = x * self.scale
//! return y                   y = torch.where(mask, y, 0.0)     =>      if mask is not None:
//!                            return y                                      y = torch.where(mask, y, 0.0)
//!                                                                      return y
//! ```
//!
//! Statements are compared by their text. That is sound: where a condition chooses between two lists of statements, those
//! that both begin or end with can stand before and behind the choice, as long as the first leave the condition alone.

use crate::targets::pytext::{Lines, Py};

/// What chooses between two bodies.
#[derive(Clone, Debug)]
pub struct Condition {
    pub holds: Py,
    pub fails: Py,
    /// The variable that it looks at: where that is mentioned, the choice has been made.
    pub variable: Option<String>,
}

impl Condition {
    /// `self.training`
    pub fn training() -> Condition {
        let training = Py::name("self").attr("training");
        Condition { fails: Py::Unary("not", Box::new(training.clone())), holds: training, variable: None }
    }

    /// `x is None`
    pub fn is_absent(variable: &str) -> Condition {
        let compare = |operator| Py::binary(Py::name(variable), operator, Py::none());
        Condition { holds: compare("is"), fails: compare("is not"), variable: Some(variable.to_string()) }
    }
}

/// A body as it is written at a depth, and one level deeper, for a branch.
#[derive(Clone, Debug)]
pub struct Body {
    pub flat: Lines,
    pub deep: Lines,
}

impl Body {
    /// Whether both say the same, statement by statement.
    fn is_steady(&self) -> bool {
        let (flat, deep) = (self.flat.statements(), self.deep.statements());
        flat.len() == deep.len() && flat.iter().zip(&deep).all(|(a, b)| a.says_the_same(b))
    }

    fn first(&self, count: usize) -> Vec<Lines> {
        self.flat.statements().into_iter().take(count).collect()
    }

    /// The statements between the first and the last so many.
    fn between(&self, first: usize, last: usize) -> Body {
        let part = |lines: &Lines| {
            let statements = lines.statements();
            let count = statements.len().saturating_sub(first + last);
            let mut part = lines.clone_empty();
            statements.into_iter().skip(first).take(count).for_each(|statement| part.append(statement));
            part
        };
        Body { flat: part(&self.flat), deep: part(&self.deep) }
    }
}

/// The one body where the condition holds, the other where it does not.
pub fn choice(condition: &Condition, body: &Body, other: &Body) -> Lines {
    if body.flat == other.flat {
        return body.flat.clone();
    }
    let (mut lines, body, other) = read_sizes_first(condition, body, other);
    let (body, other) = returning_alike(&body, &other);
    let (statements, others) = (body.flat.statements(), other.flat.statements());
    let decided = |statement: &Lines| condition.variable.as_ref().is_some_and(|name| statement.mentions(name));
    let common = |(a, b): &(&Lines, &Lines)| a == b && !decided(a);
    let mut first = statements.iter().zip(&others).take_while(common).count();
    let mut last = 0;
    if body.is_steady() && other.is_steady() {
        let room = statements.len().min(others.len()) - first;
        let backwards = statements.iter().rev().zip(others.iter().rev());
        last = backwards.take(room).take_while(|(a, b)| a == b).count();
    } else {
        let same =
            |deep: &Lines| deep.statements().iter().zip(&statements).take(first).all(|(a, b)| a.says_the_same(b));
        if !same(&body.deep) || !same(&other.deep) {
            first = 0;
        }
    }
    statements.iter().take(first).for_each(|statement| lines.append(statement.clone()));
    branch(&mut lines, condition, &body.between(first, last), &other.between(first, last), last == 0);
    statements.iter().skip(statements.len() - last).for_each(|statement| lines.append(statement.clone()));
    lines
}

/// The sizes that either body begins by reading, and the rest of both. Reading one more does no harm, and then both may
/// go on alike.
fn read_sizes_first(condition: &Condition, body: &Body, other: &Body) -> (Lines, Body, Body) {
    let count = |body: &Body| {
        let (flat, deep) = (body.flat.statements(), body.deep.statements());
        let is_open = |(flat, deep): &(&Lines, &Lines)| {
            let decided = condition.variable.as_ref().is_some_and(|name| flat.mentions(name));
            flat.reads_sizes() && !decided && flat.says_the_same(deep)
        };
        flat.iter().zip(&deep).take_while(is_open).count()
    };
    let (many, few) = (body.first(count(body)), other.first(count(other)));
    let is_within = |few: &[Lines], many: &[Lines]| few.iter().all(|statement| many.contains(statement));
    let sizes = match (is_within(&few, &many), is_within(&many, &few)) {
        (true, _) => &many,
        (_, true) => &few,
        _ => &vec![],
    };
    let mut lines = body.flat.clone_empty();
    sizes.iter().for_each(|statement| lines.append(statement.clone()));
    if sizes.is_empty() {
        return (lines, body.clone(), other.clone());
    }
    (lines, body.between(many.len(), 0), other.between(few.len(), 0))
}

/// Where one body returns what the other goes on with under a name, it gets the name as well: both go on alike then.
///
/// ```text
/// return x * 2               y = x * 2                       y = x * 2         y = x * 2
///                            return where(mask, y, 0)   =>   return y          y = where(mask, y, 0)
///                                                                              return y
/// ```
fn returning_alike(body: &Body, other: &Body) -> (Body, Body) {
    if let Some((short, long)) = named(body, other) {
        return (short, long);
    }
    named(other, body).map_or_else(|| (body.clone(), other.clone()), |(short, long)| (long, short))
}

fn named(short: &Body, long: &Body) -> Option<(Body, Body)> {
    let statements = short.flat.statements();
    let (last, before) = statements.split_last()?;
    let others = long.flat.statements();
    let name = last.returns_what_is_assigned(others.get(before.len())?)?;
    let alike = short.flat.statements()[..before.len()] == others[..before.len()];
    if !alike || !short.is_steady() || !long.is_steady() {
        return None;
    }
    let with_name = |lines: &Lines| -> Option<Lines> {
        let statements = lines.statements();
        let (last, before) = statements.split_last()?;
        let mut named = lines.clone_empty();
        before.iter().for_each(|statement| named.append(statement.clone()));
        named.append(last.assigning(&name)?);
        named.line(&format!("return {name}"));
        Some(named)
    };
    let short = Body { flat: with_name(&short.flat)?, deep: with_name(&short.deep)? };
    let other = others.last().filter(|last| last.returned().is_some_and(|value| value != name));
    let long = match other.and_then(|_| Some(Body { flat: with_name(&long.flat)?, deep: with_name(&long.deep)? })) {
        Some(long) => long,
        None => long.clone(),
    };
    Some((short, long))
}

/// `if condition: body else: other`. `ends` tells that nothing follows.
fn branch(lines: &mut Lines, condition: &Condition, body: &Body, other: &Body, ends: bool) {
    if body.flat.code_lines() == 0 && other.flat.code_lines() == 0 {
        return;
    }
    if body.flat.code_lines() == 0 {
        lines.statement("if ", &condition.fails, ":");
        lines.append(other.deep.clone());
        return;
    }
    lines.statement("if ", &condition.holds, ":");
    lines.append(body.deep.clone());
    if other.flat.code_lines() == 0 {
        return;
    }
    if ends && body.flat.ends_with_return() {
        lines.append(other.flat.clone());
    } else if let Some(chained) = other.flat.as_elif() {
        lines.append(chained);
    } else {
        lines.line("else:");
        lines.append(other.deep.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a body, which stand two levels deep; a tab is one more.
    fn lines(depth: usize, text: &str) -> Lines {
        let mut lines = Lines::new(depth);
        for line in text.split('\n').filter(|line| !line.is_empty()) {
            lines.line(&line.replace('\t', "    "));
        }
        lines
    }

    fn body(text: &str) -> Body {
        Body { flat: lines(0, text), deep: lines(1, text) }
    }

    #[track_caller]
    fn becomes(absent: &str, given: &str, wanted: &str) {
        let joined = choice(&Condition::is_absent("m"), &body(absent), &body(given));
        assert_eq!(joined.text(), lines(0, wanted).text());
    }

    #[test]
    fn what_both_have_stands_outside() {
        becomes("a = f(x)\nreturn a", "a = f(x)\nreturn a", "a = f(x)\nreturn a");
        becomes(
            "a = f(x)\nb = a\nreturn b",
            "a = f(x)\nb = g(m)\nreturn b",
            "a = f(x)\nif m is None:\n\tb = a\nelse:\n\tb = g(m)\nreturn b",
        );
        becomes(
            "a = f(x)\nreturn a",
            "a = f(x)\na = a + m\nreturn a",
            "a = f(x)\nif m is not None:\n\ta = a + m\nreturn a",
        );
        becomes("m = f(x)\nreturn g(m)", "return g(m)", "if m is None:\n\tm = f(x)\nreturn g(m)");
        becomes("return f(x)", "y = g(m)\nreturn y", "if m is None:\n\treturn f(x)\ny = g(m)\nreturn y");
    }

    /// A branch that is asked after its variable has a new value would go the wrong way.
    #[test]
    fn the_variable_is_asked_before_it_changes() {
        becomes(
            "m = f(x)\na = m\nreturn a",
            "m = f(x)\na = m * 2\nreturn a",
            "if m is None:\n\tm = f(x)\n\ta = m\nelse:\n\tm = f(x)\n\ta = m * 2\nreturn a",
        );
    }

    #[test]
    fn sizes_are_read_first() {
        becomes(
            "B = x.shape[0]\nm = f(B)\nreturn g(m)",
            "return g(m)",
            "B = x.shape[0]\nif m is None:\n\tm = f(B)\nreturn g(m)",
        );
        becomes(
            "return f(x)",
            "K = m.shape[0]\nreturn g(m, K)",
            "if m is None:\n\treturn f(x)\nK = m.shape[0]\nreturn g(m, K)",
        );
    }

    #[test]
    fn what_is_returned_gets_the_name_that_the_other_gives_it() {
        becomes("return f(x)", "y = f(x)\nreturn g(y, m)", "y = f(x)\nif m is not None:\n\ty = g(y, m)\nreturn y");
        becomes(
            "return f(x)",
            "y = f(x)\nz = g(y, m)\nreturn z, y",
            "y = f(x)\nif m is None:\n\treturn y\nz = g(y, m)\nreturn z, y",
        );
        becomes(
            "# a.tri:2\nreturn f(x)",
            "y = f(x)\nreturn g(y, m)",
            "if m is None:\n\t# a.tri:2\n\treturn f(x)\ny = f(x)\nreturn g(y, m)",
        );
    }

    #[test]
    fn branches_are_chained() {
        becomes(
            "if c is None:\n\tc = 1\nreturn f(c)",
            "if c is None:\n\tc = m\nreturn f(c)",
            "if m is None:\n\tif c is None:\n\t\tc = 1\nelif c is None:\n\tc = m\nreturn f(c)",
        );
    }
}
