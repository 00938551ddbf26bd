//! Statements as lines of at most 88 columns, broken as `ruff format` breaks them.
//!
//! A statement that does not fit is opened at its last bracket: first with all arguments on one line of
//! their own, then with one argument a line and a trailing comma; items of lists and tuples always stand one
//! a line then. Writers keep statements short enough
//! that this is all that happens to them; operators are broken only as a last resort.

use crate::targets::pytext::expr::{ATOM, Py, binary_operator, join};

pub const LINE_WIDTH: usize = 88;
const INDENT: usize = 4;

/// Lines of code with their indentation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    lines: Vec<String>,
    depth: usize,
}

impl Lines {
    pub fn new(depth: usize) -> Lines {
        Lines { lines: vec![], depth }
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// No lines yet, at the same depth.
    pub fn clone_empty(&self) -> Lines {
        Lines::new(self.depth)
    }

    /// Lines that are not comments.
    pub fn code_lines(&self) -> usize {
        self.lines.iter().filter(|line| !line.trim_start().starts_with('#')).count()
    }

    /// Columns left of the text width.
    pub fn width(&self) -> usize {
        LINE_WIDTH.saturating_sub(self.depth * INDENT)
    }

    pub fn indent(&mut self) {
        self.depth += 1;
    }

    pub fn dedent(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// A line as it is.
    pub fn line(&mut self, text: &str) {
        let columns = if text.is_empty() { 0 } else { self.depth * INDENT };
        self.lines.push(indented(columns, text));
    }

    /// `prefix` and an expression and `suffix`, over as many lines as it takes.
    pub fn statement(&mut self, prefix: &str, value: &Py, suffix: &str) {
        let base = self.depth * INDENT;
        let mut laid = lay_out(prefix, value, suffix, base);
        if let Some((targets, "")) = prefix.split_once(" = ")
            && targets.contains(", ")
            && laid.first().is_some_and(|(columns, text)| !fits(*columns, text))
        {
            let targets: Vec<String> = targets.split(", ").map(String::from).collect();
            laid = under_targets(&targets, value, base);
        }
        for (depth, text) in laid {
            self.lines.push(indented(depth, &text));
        }
    }

    /// `a, b = x, y`, which brackets hold where it does not fit: first the values, then the targets, too.
    pub fn parallel(&mut self, targets: &[String], values: &[Py]) {
        let indent = self.depth * INDENT;
        let (names, flat) = (targets.join(", "), join(values));
        let whole = format!("{names} = {flat}");
        let head = format!("{names} = (");
        let laid = if fits(indent, &whole) {
            vec![(indent, whole)]
        } else if fits(indent, &head) {
            one_a_line(&head, values, ")", indent)
        } else {
            let mut lines = targets_a_line(targets, indent);
            match format!(") = {flat}") {
                short if fits(indent, &short) => lines.push((indent, short)),
                _ => lines.extend(one_a_line(") = (", values, ")", indent)),
            }
            lines
        };
        for (columns, text) in laid {
            self.lines.push(indented(columns, &text));
        }
    }

    /// `prefix{key: value, ...}`, with one entry a line where it does not fit.
    pub fn dictionary(&mut self, prefix: &str, entries: &[(Py, Py)], suffix: &str) {
        let flat: Vec<String> =
            entries.iter().map(|(key, value)| format!("{}: {}", key.text(), value.text())).collect();
        let flat = format!("{prefix}{{{}}}{suffix}", flat.join(", "));
        if flat.chars().count() <= self.width() {
            return self.line(&flat);
        }
        self.line(&format!("{prefix}{{"));
        self.indent();
        for (key, value) in entries {
            self.statement(&format!("{}: ", key.text()), value, ",");
        }
        self.dedent();
        self.line(&format!("}}{suffix}"));
    }

    /// `def name(parameters):`
    pub fn definition(&mut self, name: &str, parameters: &[Py]) {
        self.statement("def ", &Py::Call(Box::new(Py::name(name)), parameters.to_vec()), ":");
    }

    /// The statements of the outermost level, each with the comments before it and its block.
    pub fn statements(&self) -> Vec<Lines> {
        let outer = " ".repeat(self.depth * INDENT);
        let mut statements: Vec<Lines> = vec![];
        let mut complete = true;
        for line in &self.lines {
            let rest = line.strip_prefix(&outer).unwrap_or(line);
            let continues = rest.starts_with([' ', ')', ']', '}']) || rest.is_empty();
            let continues = continues || rest.starts_with("else:") || rest.starts_with("elif ");
            match statements.last_mut() {
                Some(last) if continues || !complete => last.lines.push(line.clone()),
                _ => statements.push(Lines { lines: vec![line.clone()], depth: self.depth }),
            }
            complete = !rest.starts_with('#');
        }
        statements
    }

    /// Whether the text is the same but for how it is broken into lines.
    pub fn says_the_same(&self, other: &Lines) -> bool {
        let plain = |lines: &Lines| {
            let text: String = lines.lines.concat().chars().filter(|c| *c != ' ').collect();
            text.replace(",)", ")").replace(",]", "]")
        };
        plain(self) == plain(other)
    }

    /// Whether the last statement of the outermost level leaves the function.
    pub fn ends_with_return(&self) -> bool {
        let is_return = |line: &String| line.trim_start().starts_with("return");
        self.statements().last().is_some_and(|last| {
            last.lines.iter().find(|line| !line.trim_start().starts_with('#')).is_some_and(is_return)
        })
    }

    /// Whether this is one line that reads sizes: `B, T = x.shape[:2]`.
    pub fn reads_sizes(&self) -> bool {
        let [line] = self.lines.as_slice() else { return false };
        let is_word = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
        let Some((targets, value)) = line.trim_start().split_once(" = ") else { return false };
        let Some((tensor, sizes)) = value.split_once(".shape") else { return false };
        let is_index = sizes
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|index| index.strip_prefix([':', '-']).unwrap_or(index).chars().all(|c| c.is_ascii_digit()));
        targets.split(", ").all(is_word) && is_word(tensor) && (sizes.is_empty() || is_index)
    }

    /// The value of a lone statement `return value`.
    pub fn returned(&self) -> Option<&str> {
        let code = |line: &&String| !line.trim_start().starts_with('#');
        let mut lines = self.lines.iter().filter(code);
        let value = lines.next()?.trim_start().strip_prefix("return ")?;
        lines.next().is_none().then_some(value)
    }

    /// The variable that the other statement gives a value to, where this is a lone `return` of that value.
    pub fn returns_what_is_assigned(&self, other: &Lines) -> Option<String> {
        let value = self.returned()?;
        let (line, comments) = other.lines.split_last()?;
        let (name, assigned) = line.trim_start().split_once(" = ")?;
        let is_word = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let same = assigned == value && self.lines.starts_with(comments) && self.lines.len() == other.lines.len();
        (is_word && same).then(|| name.to_string())
    }

    /// A lone `return value` as `name = value`, if that fits and is no tuple.
    pub fn assigning(&self, name: &str) -> Option<Lines> {
        let value = self.returned()?;
        let mut open = 0i32;
        let is_tuple = value.chars().any(|c| {
            open += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
            open == 0 && c == ','
        });
        let mut lines = self.clone();
        let last = lines.lines.last_mut()?;
        *last = format!("{}{name} = {value}", " ".repeat(self.depth * INDENT));
        (!is_tuple && fits(0, last)).then_some(lines)
    }

    /// A lone `if` as it stands behind another one.
    pub fn as_elif(&self) -> Option<Lines> {
        let mut chained = self.clone();
        let first = chained.lines.first_mut()?;
        let head = first.trim_start().strip_prefix("if ")?;
        *first = format!("{}elif {head}", " ".repeat(self.depth * INDENT));
        (self.statements().len() == 1).then_some(chained)
    }

    /// Whether a name occurs in the code, or a word like it in a text.
    pub fn mentions(&self, name: &str) -> bool {
        let code = self.lines.iter().filter(|line| !line.trim_start().starts_with('#'));
        code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).any(|word| word == name)
    }

    pub fn append(&mut self, other: Lines) {
        self.lines.extend(other.lines);
    }

    /// The text, with a line break after each line.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.lines.iter().map(|line| line.len() + 1).sum());
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

fn indented(columns: usize, text: &str) -> String {
    let mut line = String::with_capacity(columns + text.len());
    line.extend(std::iter::repeat_n(' ', columns));
    line.push_str(text);
    line
}

/// Lines with their indentation in columns.
type Laid = Vec<(usize, String)>;

fn fits(indent: usize, text: &str) -> bool {
    indent + text.chars().count() <= LINE_WIDTH
}

fn lay_out(prefix: &str, value: &Py, suffix: &str, indent: usize) -> Laid {
    let flat = format!("{prefix}{}{suffix}", value.text());
    if fits(indent, &flat) {
        return vec![(indent, flat)];
    }
    match value {
        Py::Call(function, arguments) if !arguments.is_empty() => {
            let head = format!("{prefix}{}(", function.text());
            open(&head, arguments, &format!("){suffix}"), indent)
        }
        Py::Call(function, _) => match &**function {
            // `f(x).detach()` is opened at the brackets that hold something.
            Py::Attribute(inner, name) => {
                let suffix = format!(".{name}(){suffix}");
                let lay_out = if inner.level() < ATOM { parenthesised } else { lay_out };
                lay_out(prefix, inner, &suffix, indent)
            }
            _ => vec![(indent, flat)],
        },
        Py::Index(inner, items) => {
            let head = format!("{prefix}{}[", inner.text_at(ATOM));
            open(&head, items, &format!("]{suffix}"), indent)
        }
        Py::List(items) if !items.is_empty() => one_a_line(&format!("{prefix}["), items, &format!("]{suffix}"), indent),
        Py::Tuple(items) if !items.is_empty() => {
            one_a_line(&format!("{prefix}("), items, &format!("){suffix}"), indent)
        }
        Py::Keyword(name, inner) => lay_out(&format!("{prefix}{name}="), inner, suffix, indent),
        Py::Comprehension { element, variable, items } => {
            let mut lines = vec![(indent, format!("{prefix}["))];
            lines.extend(lay_out("", element, "", indent + INDENT));
            lines.extend(lay_out(&format!("for {variable} in "), items, "", indent + INDENT));
            lines.push((indent, format!("]{suffix}")));
            lines
        }
        Py::Binary(..) | Py::Conditional { .. } => parenthesised(prefix, value, suffix, indent),
        _ => vec![(indent, flat)],
    }
}

/// An assignment that is too long even where its value is opened: the value in brackets, or else the targets, too.
fn under_targets(targets: &[String], value: &Py, indent: usize) -> Laid {
    let head = format!("{} = (", targets.join(", "));
    if !fits(indent, &head) {
        let mut lines = targets_a_line(targets, indent);
        lines.extend(lay_out(") = ", value, "", indent));
        return lines;
    }
    let mut lines = vec![(indent, head)];
    lines.extend(lay_out("", value, "", indent + INDENT));
    lines.push((indent, ")".to_string()));
    lines
}

/// The targets of an assignment in brackets, without the last one.
fn targets_a_line(targets: &[String], indent: usize) -> Laid {
    let targets = targets.iter().map(|target| (indent + INDENT, format!("{target},")));
    std::iter::once((indent, "(".to_string())).chain(targets).collect()
}

/// `head`, the items, `tail`: on one line between them, else one item a line.
fn open(head: &str, items: &[Py], tail: &str, indent: usize) -> Laid {
    let one_line = join(items);
    if fits(indent + INDENT, &one_line) {
        return vec![(indent, head.to_string()), (indent + INDENT, one_line), (indent, tail.to_string())];
    }
    one_a_line(head, items, tail, indent)
}

/// `head`, one item a line, `tail`.
fn one_a_line(head: &str, items: &[Py], tail: &str, indent: usize) -> Laid {
    let inner = indent + INDENT;
    let mut lines = vec![(indent, head.to_string())];
    if let [only @ (Py::List(_) | Py::Comprehension { .. })] = items {
        // A lone list in brackets takes no comma after it.
        lines.extend(lay_out("", only, "", inner));
    } else {
        lines.extend(items.iter().flat_map(|item| lay_out("", item, ",", inner)));
    }
    lines.push((indent, tail.to_string()));
    lines
}

/// An operator expression in parentheses of its own, broken before its loosest operators.
fn parenthesised(prefix: &str, value: &Py, suffix: &str, indent: usize) -> Laid {
    let inner = indent + INDENT;
    let mut lines = vec![(indent, format!("{prefix}("))];
    let flat = value.text();
    if fits(inner, &flat) {
        lines.push((inner, flat));
    } else {
        lines.extend(operands(value).into_iter().map(|text| (inner, text)));
    }
    lines.push((indent, format!("){suffix}")));
    lines
}

/// The operands of a chain of operators of one level, each but the first with its operator in front; the
/// parts of a conditional.
fn operands(value: &Py) -> Vec<String> {
    if let Py::Conditional { value, condition, other } = value {
        return vec![value.text(), format!("if {}", condition.text()), format!("else {}", other.text())];
    }
    let Py::Binary(left, operator, right) = value else { return vec![value.text()] };
    let level = binary_operator(operator).map(|(level, _)| level);
    let chained = left.level() == value.level() && level != Some(5);
    // A comparison's long side is broken at its own operators.
    let long = level == Some(5) && matches!(**left, Py::Binary(..)) && left.text().chars().count() > LINE_WIDTH - 12;
    let mut parts = if chained || long { operands(left) } else { vec![left.text()] };
    parts.push(format!("{operator} {}", right.text_at(value.level() + 1)));
    parts
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use crate::targets::pytext::Py;

    #[test]
    fn what_binds_looser_keeps_its_parentheses_over_several_lines() {
        let long = || Py::binary(Py::name("a".repeat(40)), "//", Py::name("b".repeat(40)));
        let text = |value: Py| {
            let mut lines = Lines::new(0);
            lines.statement("x = ", &value, "");
            lines.text().replace(&"a".repeat(40), "a").replace(&"b".repeat(40), "b")
        };
        assert_eq!(text(long().method("detach", vec![])), "x = (\n    a // b\n).detach()\n");
        assert_eq!(text(long().index(vec![Py::name("i")])), "x = (a // b)[\n    i\n]\n");
    }
}
