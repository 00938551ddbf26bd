//! Python expressions, and their text on one line.

/// An expression. Operators are kept as they are spelt; precedence lives in [`Py::level`].
#[derive(Clone, Debug, PartialEq)]
pub enum Py {
    /// A name, number, string or constant: text that never needs parentheses.
    Atom(String),
    /// `{name}` of a table entry.
    Hole(Hole),
    Attribute(Box<Py>, String),
    Call(Box<Py>, Vec<Py>),
    Index(Box<Py>, Vec<Py>),
    /// `start:stop:step` inside an index.
    Slice([Option<Box<Py>>; 3]),
    Unary(&'static str, Box<Py>),
    Binary(Box<Py>, &'static str, Box<Py>),
    /// `value if condition else other`.
    Conditional {
        value: Box<Py>,
        condition: Box<Py>,
        other: Box<Py>,
    },
    Tuple(Vec<Py>),
    List(Vec<Py>),
    /// `[element for variable in items]`.
    Comprehension {
        element: Box<Py>,
        variable: String,
        items: Box<Py>,
    },
    /// `*items` as an argument.
    Star(Box<Py>),
    /// `name=value` as an argument.
    Keyword(String, Box<Py>),
}

/// A place for an operand or an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    pub name: String,
    /// `{name?}`: the argument is left out when the attribute has its default.
    pub optional: bool,
    /// `{*name}`: each element of a list is an argument of its own.
    pub spread: bool,
}

/// Binding strength of an expression that never needs parentheses.
pub(super) const ATOM: u8 = 15;

/// Binary operators by binding strength, loosest first.
const BINARY: &[(u8, &[&str])] = &[
    (2, &["or"]),
    (3, &["and"]),
    (5, &["==", "!=", "<=", ">=", "<", ">", "is not", "is", "not in", "in"]),
    (6, &["|"]),
    (7, &["^"]),
    (8, &["&"]),
    (9, &["<<", ">>"]),
    (10, &["+", "-"]),
    (11, &["//", "*", "/", "%", "@"]),
    (13, &["**"]),
];
const COMPARISON: u8 = 5;
const UNARY: u8 = 12;
const POWER: u8 = 13;

/// The binding strength and the one spelling of a binary operator.
pub fn binary_operator(text: &str) -> Option<(u8, &'static str)> {
    BINARY.iter().find_map(|(level, operators)| Some((*level, *operators.iter().find(|o| **o == text)?)))
}

impl Py {
    pub fn name(text: impl Into<String>) -> Py {
        Py::Atom(text.into())
    }

    /// A negative number is a unary minus, as Python sees it.
    pub fn int(value: i64) -> Py {
        match value {
            0.. => Py::Atom(value.to_string()),
            _ => Py::Unary("-", Box::new(Py::Atom(value.unsigned_abs().to_string()))),
        }
    }

    pub fn none() -> Py {
        Py::name("None")
    }

    /// A string literal.
    pub fn string(text: &str) -> Py {
        Py::Atom(crate::targets::names::python_string(text))
    }

    pub fn attr(self, name: &str) -> Py {
        Py::Attribute(Box::new(self), name.to_string())
    }

    pub fn call(self, arguments: Vec<Py>) -> Py {
        Py::Call(Box::new(self), arguments)
    }

    /// `self.name(arguments)`.
    pub fn method(self, name: &str, arguments: Vec<Py>) -> Py {
        self.attr(name).call(arguments)
    }

    pub fn index(self, items: Vec<Py>) -> Py {
        Py::Index(Box::new(self), items)
    }

    pub fn keyword(name: &str, value: Py) -> Py {
        Py::Keyword(name.to_string(), Box::new(value))
    }

    /// # Panics
    /// If `operator` is no binary operator of Python: an error in the compiler.
    pub fn binary(left: Py, operator: &str, right: Py) -> Py {
        let (_, operator) = binary_operator(operator).unwrap_or_else(|| panic!("`{operator}` is no operator"));
        Py::Binary(Box::new(left), operator, Box::new(right))
    }

    pub fn slice(start: Option<Py>, stop: Option<Py>, step: Option<Py>) -> Py {
        Py::Slice([start, stop, step].map(|part| part.map(Box::new)))
    }

    /// `:`
    pub fn full_slice() -> Py {
        Py::slice(None, None, None)
    }

    /// A dotted path: `torch.float32`, `self.norm`.
    pub fn is_path(&self) -> bool {
        match self {
            Py::Atom(_) => true,
            Py::Attribute(inner, _) => inner.is_path(),
            _ => false,
        }
    }

    /// The text, if the expression is one atom.
    pub fn as_atom(&self) -> Option<&str> {
        match self {
            Py::Atom(text) => Some(text),
            _ => None,
        }
    }

    /// How many operations the expression does; paths and literals do none.
    pub fn operations(&self) -> usize {
        let own = matches!(
            self,
            Py::Call(..)
                | Py::Index(..)
                | Py::Unary(..)
                | Py::Binary(..)
                | Py::Conditional { .. }
                | Py::Comprehension { .. }
        );
        let mut count = usize::from(own);
        self.visit_parts(&mut |part| count += part.operations());
        count
    }

    /// Calls `visit` with each part, in reading order.
    fn visit_parts(&self, visit: &mut dyn FnMut(&Py)) {
        match self {
            Py::Atom(_) | Py::Hole(_) => {}
            Py::Attribute(inner, _) | Py::Unary(_, inner) | Py::Star(inner) | Py::Keyword(_, inner) => visit(inner),
            Py::Call(head, items) | Py::Index(head, items) => {
                visit(head);
                items.iter().for_each(visit);
            }
            Py::Slice(parts) => parts.iter().flatten().for_each(|part| visit(part)),
            Py::Binary(left, _, right) => {
                visit(left);
                visit(right);
            }
            Py::Conditional { value, condition, other } => [value, condition, other].into_iter().for_each(|p| visit(p)),
            Py::Tuple(items) | Py::List(items) => items.iter().for_each(visit),
            Py::Comprehension { element, items, .. } => {
                visit(element);
                visit(items);
            }
        }
    }

    /// Calls `visit` with each atom's text.
    pub fn visit_atoms(&self, visit: &mut dyn FnMut(&str)) {
        match self {
            Py::Atom(text) => visit(text),
            _ => self.visit_parts(&mut |part| part.visit_atoms(visit)),
        }
    }

    /// Calls `visit` with each placeholder.
    pub fn visit_holes(&self, visit: &mut dyn FnMut(&Hole)) {
        match self {
            Py::Hole(hole) => visit(hole),
            _ => self.visit_parts(&mut |part| part.visit_holes(visit)),
        }
    }

    /// Binding strength: a part that binds looser than its place needs parentheses.
    pub(super) fn level(&self) -> u8 {
        match self {
            Py::Conditional { .. } => 1,
            Py::Unary("not", _) => 4,
            Py::Unary(..) => UNARY,
            Py::Binary(_, operator, _) => binary_operator(operator).map_or(ATOM, |(level, _)| level),
            _ => ATOM,
        }
    }

    /// The text on one line, in parentheses where it binds looser than `least`.
    pub(super) fn text_at(&self, least: u8) -> String {
        let mut text = String::new();
        self.write_at(least, &mut text);
        text
    }

    /// The text on one line.
    pub fn text(&self) -> String {
        self.text_at(0)
    }

    fn write_at(&self, least: u8, out: &mut String) {
        if self.level() < least {
            out.push('(');
            self.write(out);
            out.push(')');
        } else {
            self.write(out);
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Py::Atom(text) => out.push_str(text),
            Py::Hole(hole) => push_all(out, &["{", &hole.name, "}"]),
            Py::Attribute(inner, name) => {
                // `1.real` would read as a malformed number.
                if inner.is_number() {
                    push_all(out, &["(", &inner.text(), ")"]);
                } else {
                    inner.write_at(ATOM, out);
                }
                push_all(out, &[".", name]);
            }
            Py::Call(function, arguments) => {
                function.write_at(ATOM, out);
                write_items("(", arguments, ")", out);
            }
            Py::Index(inner, items) => {
                inner.write_at(ATOM, out);
                write_items("[", items, "]", out);
            }
            Py::Slice(parts) => write_slice(parts, out),
            Py::Unary(operator, operand) => {
                out.push_str(operator);
                if *operator == "not" {
                    out.push(' ');
                }
                operand.write_at(self.level(), out);
            }
            Py::Binary(left, operator, right) => write_binary(left, operator, right, out),
            Py::Conditional { value, condition, other } => {
                value.write_at(2, out);
                out.push_str(" if ");
                condition.write_at(2, out);
                out.push_str(" else ");
                other.write_at(1, out);
            }
            Py::Tuple(items) => write_items("(", items, if items.len() == 1 { ",)" } else { ")" }, out),
            Py::List(items) => write_items("[", items, "]", out),
            Py::Comprehension { element, variable, items } => {
                out.push('[');
                element.write(out);
                push_all(out, &[" for ", variable, " in "]);
                items.write_at(2, out);
                out.push(']');
            }
            Py::Star(inner) => {
                out.push('*');
                inner.write_at(6, out);
            }
            Py::Keyword(name, value) => {
                push_all(out, &[name, "="]);
                value.write(out);
            }
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Py::Atom(text) if text.starts_with(|c: char| c.is_ascii_digit()))
    }

    /// What `**` hugs: `x**2`, `self.dim**-0.5`.
    fn is_simple_power_operand(&self) -> bool {
        match self {
            Py::Unary(operator, operand) => *operator == "-" && operand.is_number(),
            Py::Attribute(inner, _) => !inner.is_number() && inner.is_path(),
            other => matches!(other, Py::Atom(_)),
        }
    }

    /// What a slice's colon hugs.
    fn is_simple_bound(&self) -> bool {
        match self {
            Py::Unary(operator, operand) => *operator != "not" && operand.is_simple_bound(),
            other => matches!(other, Py::Atom(_)),
        }
    }
}

fn push_all(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
}

pub(super) fn join(items: &[Py]) -> String {
    let mut text = String::new();
    write_items("", items, "", &mut text);
    text
}

fn write_items(open: &str, items: &[Py], close: &str, out: &mut String) {
    out.push_str(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        item.write(out);
    }
    out.push_str(close);
}

fn write_binary(left: &Py, operator: &str, right: &Py, out: &mut String) {
    let level = binary_operator(operator).map_or(ATOM, |(level, _)| level);
    // Powers are right-associative, and the right side may be a negative number. A comparison inside a
    // comparison would be a chain.
    let (least_left, least_right) = match level {
        POWER => (POWER + 1, UNARY),
        COMPARISON => (COMPARISON + 1, COMPARISON + 1),
        _ => (level, level + 1),
    };
    let hugs = level == POWER && left.is_simple_power_operand() && right.is_simple_power_operand();
    let gap = if hugs { "" } else { " " };
    left.write_at(least_left, out);
    push_all(out, &[gap, operator, gap]);
    right.write_at(least_right, out);
}

fn write_slice(parts: &[Option<Box<Py>>; 3], out: &mut String) {
    let spaced = parts.iter().flatten().any(|part| !part.is_simple_bound());
    let begin = out.len();
    for (index, part) in parts.iter().enumerate() {
        // The second colon stands for a step only.
        if index == 2 && part.is_none() {
            break;
        }
        if index > 0 {
            if spaced && out.len() > begin && !out.ends_with(':') {
                out.push(' ');
            }
            out.push(':');
        }
        if let Some(part) = part {
            if spaced && index > 0 {
                out.push(' ');
            }
            part.write_at(2, out);
        }
    }
}
