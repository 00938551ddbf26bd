//! Identifiers.

use crate::targets::Templates;
use crate::targets::c::library_names;
use std::collections::HashSet;
use std::sync::OnceLock;

/// Keywords of C and C++, and names of the headers that emitted files include, by first letters or whole. Sorted.
const RESERVED: &[&str] = &[
    "NULL",
    "abs",
    "acos",
    "acosh",
    "alignas",
    "alignof",
    "and",
    "asin",
    "asinh",
    "asm",
    "atan",
    "atan2",
    "atanh",
    "auto",
    "bool",
    "break",
    "case",
    "catch",
    "cbrt",
    "ceil",
    "char",
    "class",
    "const",
    "continue",
    "copysign",
    "cos",
    "cosh",
    "default",
    "delete",
    "div",
    "do",
    "double",
    "else",
    "enum",
    "erf",
    "erfc",
    "errno",
    "exit",
    "exp",
    "exp2",
    "expm1",
    "extern",
    "fabs",
    "false",
    "fdim",
    "float",
    "floor",
    "fma",
    "fmax",
    "fmin",
    "fmod",
    "for",
    "free",
    "frexp",
    "friend",
    "gamma",
    "goto",
    "hypot",
    "if",
    "index",
    "inline",
    "int",
    "isfinite",
    "isinf",
    "isnan",
    "j0",
    "j1",
    "jn",
    "labs",
    "ldexp",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "logb",
    "long",
    "lrint",
    "main",
    "malloc",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "modf",
    "mutable",
    "namespace",
    "nan",
    "nearbyint",
    "new",
    "nextafter",
    "noexcept",
    "not",
    "nullptr",
    "operator",
    "or",
    "pow",
    "private",
    "protected",
    "public",
    "rand",
    "random",
    "register",
    "remainder",
    "restrict",
    "return",
    "rint",
    "round",
    "short",
    "signbit",
    "signed",
    "sin",
    "sinh",
    "sizeof",
    "sqrt",
    "static",
    "struct",
    "switch",
    "tan",
    "tanh",
    "template",
    "tgamma",
    "this",
    "throw",
    "true",
    "trunc",
    "try",
    "typedef",
    "typename",
    "union",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "while",
    "xor",
    "y0",
    "y1",
    "yn",
];

/// Whether a name means something already.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.binary_search(&name).is_ok()
        || name.starts_with('_')
        || ["INT", "UINT"].iter().any(|prefix| name.starts_with(prefix))
        || ["NAN", "INFINITY"].contains(&name)
}

/// A name of the source as one of C.
pub fn identifier(text: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let mut name: String = text.chars().map(kept).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit() || c == '_') {
        name.insert(0, 'v');
    }
    if is_reserved(&name) {
        name.push('_');
    }
    name
}

/// Whether a helper or a tile is called so.
fn is_of_library(name: &str) -> bool {
    static NAMES: OnceLock<HashSet<String>> = OnceLock::new();
    NAMES.get_or_init(|| library_names(&Templates::builtin()).unwrap_or_default().into_iter().collect()).contains(name)
}

/// The names of one scope.
#[derive(Clone, Debug, Default)]
pub struct Words {
    taken: HashSet<String>,
    /// Whether they are of variables, which must not hide what helpers and tiles are called.
    is_local: bool,
}

impl Words {
    /// Those of a function's body.
    pub fn local() -> Words {
        Words { is_local: true, ..Words::default() }
    }

    fn is_free(&self, name: &str) -> bool {
        !(self.taken.contains(name) || self.is_local && is_of_library(name))
    }

    /// The name as it is, or with a number.
    pub fn take(&mut self, wish: &str) -> String {
        let wish = identifier(wish);
        let mut name = wish.clone();
        let mut number = 2;
        while !self.is_free(&name) {
            name = format!("{wish}_{number}");
            number += 1;
        }
        self.taken.insert(name.clone());
        name
    }

    /// The first of some names that is free.
    pub fn first(&mut self, wishes: &[&str]) -> String {
        match wishes.iter().find(|wish| self.is_free(wish)) {
            Some(wish) => self.take(wish),
            None => self.take(wishes.last().unwrap_or(&"v")),
        }
    }

    pub fn release(&mut self, name: &str) {
        self.taken.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_apart() {
        assert!(RESERVED.is_sorted());
        let mut words = Words::default();
        let taken: Vec<String> = ["x", "x", "int", "j1", "a.b", "0", "\u{e4}"].map(|wish| words.take(wish)).into();
        assert_eq!(taken, ["x", "x_2", "int_", "j1_", "a_b", "v0", "v_"]);
        let mut words = Words::local();
        assert_eq!(["position", "x"].map(|wish| words.take(wish)), ["position_2", "x"]);
    }
}
