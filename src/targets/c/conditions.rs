//! C text without the parts that known conditions leave out.
//!
//! ```text
//! #if defined(SIMD_PLAIN)                       #define WIDTH 8
//! #define WIDTH 1
//! #elif defined(SIMD_AVX2)                =>                       SIMD_PLAIN is not defined, SIMD_AVX2 is
//! #define WIDTH 8
//! #endif
//! ```
//!
//! A condition of which too little is known stays as it is, and so do directives other than `#if`, `#elif`, `#else` and
//! `#endif`.

/// Which macros are defined; `None` where only the compiler knows.
pub type Known<'a> = &'a dyn Fn(&str) -> Option<bool>;

/// A chain from `#if` to `#endif`.
struct Chain {
    /// Whether what is around it is kept.
    around: bool,
    /// Whether a branch is certain, so that no later one counts.
    is_decided: bool,
    /// Whether an `#if` was written, which needs its `#endif`.
    is_written: bool,
    keeps: bool,
}

/// Leaves out what is not compiled with these macros.
pub fn resolved(text: &str, known: Known<'_>) -> String {
    let mut written = String::with_capacity(text.len());
    let mut chains: Vec<Chain> = vec![];
    for line in text.lines() {
        let keeps = chains.last().is_none_or(|chain| chain.keeps);
        let directive = line.trim_start();
        let mut write = |line: &str| {
            written.push_str(line);
            written.push('\n');
        };
        if directive.starts_with("#if") {
            let mut chain = Chain { around: keeps, is_decided: false, is_written: false, keeps: false };
            // `#ifdef` and `#ifndef` are not looked into.
            let value = directive.strip_prefix("#if ").and_then(|condition| evaluate(condition, known));
            if let Some(line) = chain.branch(value, line, line) {
                write(&line);
            }
            chains.push(chain);
        } else if let (Some(condition), Some(chain)) = (directive.strip_prefix("#elif "), chains.last_mut()) {
            let first = format!("#if {condition}");
            if let Some(line) = chain.branch(evaluate(condition, known), line, &first) {
                write(&line);
            }
        } else if let (true, Some(chain)) = (directive.starts_with("#else"), chains.last_mut()) {
            if let Some(line) = chain.branch(Some(true), line, line) {
                write(&line);
            }
        } else if directive.starts_with("#endif") {
            if chains.pop().is_some_and(|chain| chain.is_written) {
                write(line);
            }
        } else if keeps {
            write(line);
        }
    }
    written
}

impl Chain {
    /// Begins a branch under a condition; what is written for it: the line, or where no other was written, `first`.
    fn branch(&mut self, value: Option<bool>, line: &str, first: &str) -> Option<String> {
        self.keeps = self.around && !self.is_decided && value != Some(false);
        if !self.keeps {
            return None;
        }
        self.is_decided = value == Some(true);
        let begun = self.is_written;
        self.is_written |= value.is_none();
        match (value, begun) {
            (Some(_), true) => Some("#else".to_string()),
            (Some(_), false) => None,
            (None, true) => Some(line.to_string()),
            (None, false) => Some(first.to_string()),
        }
    }
}

/// Whether a condition of `defined(NAME)`, `!`, `&&`, `||` and brackets holds; `None` where that is not known.
fn evaluate(condition: &str, known: Known<'_>) -> Option<bool> {
    let mut reader = Reader { rest: condition.trim(), known };
    let value = reader.any()?;
    if reader.rest.is_empty() { value } else { None }
}

struct Reader<'a> {
    rest: &'a str,
    known: Known<'a>,
}

/// The outer `None` is for what is no such condition.
impl Reader<'_> {
    fn takes(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.map_or(self.rest, str::trim_start);
        rest.is_some()
    }

    fn any(&mut self) -> Option<Option<bool>> {
        let mut value = self.all()?;
        while self.takes("||") {
            value = match (value, self.all()?) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
        }
        Some(value)
    }

    fn all(&mut self) -> Option<Option<bool>> {
        let mut value = self.one()?;
        while self.takes("&&") {
            value = match (value, self.one()?) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
        }
        Some(value)
    }

    fn one(&mut self) -> Option<Option<bool>> {
        if self.takes("!") {
            return Some(self.one()?.map(|value| !value));
        }
        if self.takes("defined(") {
            let (name, rest) = self.rest.split_once(')')?;
            self.rest = rest.trim_start();
            return Some((self.known)(name.trim()));
        }
        let value = if self.takes("(") { self.any()? } else { return None };
        self.takes(")").then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With A defined and B not.
    fn known(name: &str) -> Option<bool> {
        match name {
            "A" => Some(true),
            "B" => Some(false),
            _ => None,
        }
    }

    #[test]
    fn conditions_are_evaluated_as_far_as_they_are_known() {
        for (condition, value) in [
            ("defined(A)", Some(true)),
            ("!defined(A)", Some(false)),
            ("defined(A) && defined(X)", None),
            ("defined(B) && defined(X)", Some(false)),
            ("defined(A) || defined(X)", Some(true)),
            ("!defined(B) && !(defined(B) && defined(X))", Some(true)),
            ("WIDTH == 4", None),
            ("defined(A) && WIDTH == 4", None),
            ("defined(B) || (defined(A) && !defined(B))", Some(true)),
        ] {
            assert_eq!(evaluate(condition, &known), value, "{condition}");
        }
    }

    fn lines(text: &str) -> String {
        resolved(&text.replace(' ', "\n").replace('_', " "), &known).trim_end().replace('\n', "; ")
    }

    #[test]
    fn branches_that_cannot_be_are_left_out() {
        assert_eq!(lines("#if_defined(A) a #else b #endif c"), "a; c");
        assert_eq!(lines("#if_defined(B) a #else b #endif c"), "b; c");
        assert_eq!(lines("#if_defined(X) a #elif_defined(A) b #else c #endif"), "#if defined(X); a; #else; b; #endif");
        assert_eq!(lines("#if_defined(B) a #elif_defined(X) b #else c #endif"), "#if defined(X); b; #else; c; #endif");
        assert_eq!(lines("#if_defined(B) #if_defined(X) a #else b #endif #endif c"), "c");
        assert_eq!(lines("#if_defined(X) a #elif_defined(B) b #elif_defined(Y) c #endif"), {
            "#if defined(X); a; #elif defined(Y); c; #endif"
        });
        assert_eq!(lines("#if_defined(A) a #elif_defined(X) b #endif"), "a");
        assert_eq!(lines("#ifdef_A a #endif"), "#ifdef A; a; #endif");
    }
}
