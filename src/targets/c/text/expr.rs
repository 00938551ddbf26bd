//! Expressions, and their text.

/// An expression. Parentheses come by themselves, also where a compiler would warn of their absence.
#[derive(Clone, Debug, PartialEq)]
pub enum C {
    /// A name, a literal: text that never needs parentheses.
    Atom(String),
    Call(String, Vec<C>),
    Index(Box<C>, Box<C>),
    Unary(&'static str, Box<C>),
    Binary(Box<C>, &'static str, Box<C>),
    Conditional(Box<C>, Box<C>, Box<C>),
    Cast(&'static str, Box<C>),
}

/// Binary operators by binding strength, loosest first.
const BINARY: &[(u8, &[&str])] = &[
    (2, &["||"]),
    (3, &["&&"]),
    (4, &["|"]),
    (5, &["^"]),
    (6, &["&"]),
    (7, &["==", "!="]),
    (8, &["<=", ">=", "<", ">"]),
    (9, &["<<", ">>"]),
    (10, &["+", "-"]),
    (11, &["*", "/", "%"]),
];
const CONDITIONAL: u8 = 1;
const BITS: std::ops::RangeInclusive<u8> = 4..=6;
const EQUALITY: u8 = 7;
const COMPARISON: u8 = 8;
const SHIFT: u8 = 9;
const UNARY: u8 = 12;
const POSTFIX: u8 = 14;
const ATOM: u8 = 15;

fn level_of(operator: &str) -> u8 {
    BINARY.iter().find(|(_, operators)| operators.contains(&operator)).map_or(ATOM, |(level, _)| *level)
}

impl C {
    pub fn atom(text: impl Into<String>) -> C {
        C::Atom(text.into())
    }

    pub fn call(name: &str, arguments: Vec<C>) -> C {
        C::Call(name.to_string(), arguments)
    }

    pub fn index(array: &str, index: C) -> C {
        C::Index(Box::new(C::atom(array)), Box::new(index))
    }

    pub fn unary(operator: &'static str, operand: C) -> C {
        C::Unary(operator, Box::new(operand))
    }

    pub fn binary(left: C, operator: &'static str, right: C) -> C {
        C::Binary(Box::new(left), operator, Box::new(right))
    }

    pub fn conditional(condition: C, value: C, other: C) -> C {
        match condition.as_bool() {
            Some(true) => value,
            Some(false) => other,
            None => C::Conditional(Box::new(condition), Box::new(value), Box::new(other)),
        }
    }

    /// The conversion of an expression to another type; one that only undoes a conversion to the same number of bits goes.
    pub fn cast(ty: &'static str, value: C) -> C {
        if let C::Cast(own, inner) = &value
            && (*own == ty || ty == format!("u{own}") && matches!(**inner, C::Binary(..)))
        {
            return if *own == ty { value } else { (**inner).clone() };
        }
        C::Cast(ty, Box::new(value))
    }

    pub fn truth(value: bool) -> C {
        C::atom(if value { "true" } else { "false" })
    }

    /// The value of the literals `true` and `false`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            C::Atom(text) if text == "true" => Some(true),
            C::Atom(text) if text == "false" => Some(false),
            _ => None,
        }
    }

    /// `left && right`, without what is known.
    pub fn and(left: C, right: C) -> C {
        match (left.as_bool(), right.as_bool()) {
            (Some(true), _) | (_, Some(false)) => right,
            (_, Some(true)) | (Some(false), _) => left,
            _ => C::binary(left, "&&", right),
        }
    }

    /// `left || right`, without what is known.
    pub fn or(left: C, right: C) -> C {
        match (left.as_bool(), right.as_bool()) {
            (Some(false), _) | (_, Some(true)) => right,
            (_, Some(false)) | (Some(true), _) => left,
            _ => C::binary(left, "||", right),
        }
    }

    /// Whether this is a name or a literal.
    pub fn is_atom(&self) -> bool {
        match self {
            C::Atom(_) => true,
            C::Unary(operator, operand) => *operator == "-" && operand.is_number(),
            _ => false,
        }
    }

    pub fn is_number(&self) -> bool {
        matches!(self, C::Atom(text) if text.starts_with(|c: char| c.is_ascii_digit()))
    }

    /// Whether nothing is computed but where something lies.
    pub fn is_place(&self) -> bool {
        match self {
            C::Index(array, _) => array.is_atom(),
            _ => self.is_atom(),
        }
    }

    /// Whether an element of an array is in it.
    pub fn reads_memory(&self) -> bool {
        match self {
            C::Atom(_) => false,
            C::Index(..) => true,
            C::Call(_, parts) => parts.iter().any(C::reads_memory),
            C::Unary(_, inner) | C::Cast(_, inner) => inner.reads_memory(),
            C::Binary(left, _, right) => left.reads_memory() || right.reads_memory(),
            C::Conditional(a, b, c) => a.reads_memory() || b.reads_memory() || c.reads_memory(),
        }
    }

    /// How many names, literals and operators it has.
    pub fn size(&self) -> usize {
        match self {
            C::Atom(_) => 1,
            C::Call(_, parts) => 1 + parts.iter().map(C::size).sum::<usize>(),
            C::Unary(_, inner) | C::Cast(_, inner) => 1 + inner.size(),
            C::Index(left, right) | C::Binary(left, _, right) => 1 + left.size() + right.size(),
            C::Conditional(a, b, c) => 1 + a.size() + b.size() + c.size(),
        }
    }

    fn level(&self) -> u8 {
        match self {
            C::Atom(_) => ATOM,
            C::Call(..) | C::Index(..) => POSTFIX,
            C::Unary(..) | C::Cast(..) => UNARY,
            C::Binary(_, operator, _) => level_of(operator),
            C::Conditional(..) => CONDITIONAL,
        }
    }

    /// The text on one line.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write_at(&self, parentheses: bool, out: &mut String) {
        if parentheses {
            out.push('(');
        }
        self.write(out);
        if parentheses {
            out.push(')');
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            C::Atom(text) => out.push_str(text),
            C::Call(name, arguments) => {
                out.push_str(name);
                out.push('(');
                for (index, argument) in arguments.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    argument.write(out);
                }
                out.push(')');
            }
            C::Index(array, index) => {
                array.write_at(array.level() < POSTFIX, out);
                out.push('[');
                index.write(out);
                out.push(']');
            }
            C::Unary(operator, operand) => {
                out.push_str(operator);
                // `- -x` would be a decrement.
                let same = matches!(&**operand, C::Unary(inner, _) if inner == operator);
                operand.write_at(operand.level() < UNARY || same, out);
            }
            C::Cast(ty, operand) => {
                out.push_str(&format!("({ty})"));
                operand.write_at(operand.level() < UNARY, out);
            }
            C::Binary(left, operator, right) => {
                let own = level_of(operator);
                left.write_at(left.level() < own || is_unclear(own, left), out);
                out.push(' ');
                out.push_str(operator);
                out.push(' ');
                right.write_at(right.level() <= own || is_unclear(own, right), out);
            }
            C::Conditional(condition, value, other) => {
                condition.write_at(condition.level() <= CONDITIONAL, out);
                out.push_str(" ? ");
                value.write_at(value.level() <= CONDITIONAL, out);
                out.push_str(" : ");
                other.write(out);
            }
        }
    }
}

/// Whether compilers ask for parentheses around an operand that binds tighter anyway.
fn is_unclear(own: u8, operand: &C) -> bool {
    let C::Binary(_, operator, _) = operand else { return false };
    let level = level_of(operator);
    match own {
        2 => level == 3,
        EQUALITY | COMPARISON => matches!(level, EQUALITY | COMPARISON),
        SHIFT => level > SHIFT,
        _ => BITS.contains(&own) && level != own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a() -> C {
        C::atom("a")
    }

    fn b() -> C {
        C::atom("b")
    }

    #[test]
    fn parentheses_stand_where_they_are_needed() {
        let sum = || C::binary(a(), "+", b());
        for (expression, text) in [
            (C::binary(sum(), "*", a()), "(a + b) * a"),
            (C::binary(sum(), "-", sum()), "a + b - (a + b)"),
            (C::unary("-", C::unary("-", a())), "-(-a)"),
            (C::cast("int32_t", sum()), "(int32_t)(a + b)"),
            (C::index("x", sum()), "x[a + b]"),
            (C::binary(C::binary(a(), "<", b()), "==", C::binary(b(), "<", a())), "(a < b) == (b < a)"),
            (C::or(C::and(a(), b()), a()), "(a && b) || a"),
            (C::binary(sum(), "<<", a()), "(a + b) << a"),
            (C::binary(C::binary(a(), "<<", b()), "&", a()), "(a << b) & a"),
            (C::conditional(a(), b(), C::conditional(b(), a(), b())), "a ? b : b ? a : b"),
            (C::call("f", vec![C::conditional(a(), b(), a()), b()]), "f(a ? b : a, b)"),
        ] {
            assert_eq!(expression.text(), text);
        }
    }

    #[test]
    fn conversions_that_undo_go() {
        let wrapped = C::cast("int32_t", C::binary(C::cast("uint32_t", a()), "+", b()));
        let twice = C::cast("int32_t", C::binary(C::cast("uint32_t", wrapped), "*", b()));
        assert_eq!(twice.text(), "(int32_t)(((uint32_t)a + b) * b)");
    }
}
