//! Patterns over dotted names: `blocks.*.mlp.*`, `model.layers.{n}.weight`.
//!
//! `*` stands for any characters, none and dots among them. `{n}` stands for one or more characters of a single
//! step of the path, and a name built from another pattern may say `{n}` again. Everything else stands for itself.
//! Where a name fits in several ways, the earlier placeholder takes as little as it can.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<char>),
    Any,
    Capture(String),
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

/// What the placeholders of a pattern stood for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures {
    /// `{n}`, by name.
    pub named: Vec<(String, String)>,
    /// `*`, in order.
    pub any: Vec<String>,
}

impl Captures {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl Pattern {
    /// The error continues the pattern: "`a.{` has a `{` that is not closed".
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let mut parts: Vec<Part> = vec![];
        let mut symbols = text.chars();
        while let Some(symbol) = symbols.next() {
            match symbol {
                '*' if parts.last() == Some(&Part::Any) => {}
                '*' => parts.push(Part::Any),
                '{' => parts.push(Part::Capture(capture(&mut symbols, &parts)?)),
                '}' => return Err("has a `}` without a `{`".to_string()),
                other => match parts.last_mut() {
                    Some(Part::Text(own)) => own.push(other),
                    Some(Part::Any | Part::Capture(_)) | None => parts.push(Part::Text(vec![other])),
                },
            }
        }
        if parts.is_empty() { Err("is empty".to_string()) } else { Ok(Pattern { text: text.to_string(), parts }) }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it stands for a single name.
    pub fn is_name(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The names of its `{n}`, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Capture(name) => Some(name.as_str()),
            Part::Text(_) | Part::Any => None,
        })
    }

    /// How many `*` it has.
    pub fn anys(&self) -> usize {
        self.parts.iter().filter(|part| **part == Part::Any).count()
    }

    pub fn matches(&self, name: &str) -> bool {
        self.captures(name).is_some()
    }

    /// What the placeholders stand for in `name`, if it fits.
    pub fn captures(&self, name: &str) -> Option<Captures> {
        let name: Vec<char> = name.chars().collect();
        // Whether the parts from `p` on fit the characters from `i` on, for each pair: time is linear in both.
        let width = name.len() + 1;
        let mut fits = vec![false; (self.parts.len() + 1) * width];
        let at = |p: usize, i: usize| p * width + i;
        fits[at(self.parts.len(), name.len())] = true;
        for (p, part) in self.parts.iter().enumerate().rev() {
            for i in (0..width).rev() {
                fits[at(p, i)] = match part {
                    Part::Text(text) => name[i..].starts_with(text) && fits[at(p + 1, i + text.len())],
                    Part::Any => fits[at(p + 1, i)] || i < name.len() && fits[at(p, i + 1)],
                    Part::Capture(_) => {
                        name.get(i).is_some_and(|c| *c != '.') && (fits[at(p + 1, i + 1)] || fits[at(p, i + 1)])
                    }
                };
            }
        }
        if !fits[0] {
            return None;
        }
        let mut captures = Captures::default();
        let mut i = 0;
        for (p, part) in self.parts.iter().enumerate() {
            let start = i;
            match part {
                Part::Text(text) => i += text.len(),
                Part::Any => {
                    i += (i..width).position(|i| fits[at(p + 1, i)])?;
                    captures.any.push(name[start..i].iter().collect());
                }
                Part::Capture(own) => {
                    i += 1 + (i + 1..width).position(|i| fits[at(p + 1, i)])?;
                    captures.named.push((own.clone(), name[start..i].iter().collect()));
                }
            }
        }
        Some(captures)
    }

    /// The name that this pattern makes of what another one captured; `None` if that lacks a placeholder.
    pub fn fill(&self, captures: &Captures) -> Option<String> {
        let mut any = captures.any.iter();
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.extend(text),
                Part::Any => name.push_str(any.next()?),
                Part::Capture(own) => name.push_str(captures.get(own)?),
            }
        }
        Some(name)
    }
}

/// The name of a capture, after its `{`.
fn capture(symbols: &mut std::str::Chars<'_>, before: &[Part]) -> Result<String, String> {
    let mut name = String::new();
    loop {
        match symbols.next() {
            Some('}') => break,
            Some(symbol) if symbol.is_alphanumeric() || symbol == '_' => name.push(symbol),
            Some(symbol) => return Err(format!("has `{symbol}` between `{{` and `}}`, where a name stands")),
            None => return Err("has a `{` that is not closed".to_string()),
        }
    }
    if name.is_empty() {
        return Err("has `{}`, which lacks a name: write `{n}`".to_string());
    }
    if before.contains(&Part::Capture(name.clone())) {
        return Err(format!("has `{{{name}}}` twice"));
    }
    Ok(name)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Which pattern decides on each name, and which are idle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// For each name the index of the last pattern that it fits.
    pub chosen: Vec<Option<usize>>,
    /// Indices of patterns that no name fits.
    pub idle: Vec<usize>,
}

/// Gives each name to the last pattern that it fits: what is said later makes exceptions.
pub fn assign(patterns: &[Pattern], names: &[&str]) -> Assignment {
    let mut assignment = Assignment { chosen: vec![None; names.len()], idle: vec![] };
    for (index, pattern) in patterns.iter().enumerate() {
        let mut fits = false;
        for (chosen, name) in assignment.chosen.iter_mut().zip(names) {
            if pattern.matches(name) {
                *chosen = Some(index);
                fits = true;
            }
        }
        if !fits {
            assignment.idle.push(index);
        }
    }
    assignment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn stars_take_any_characters() {
        let mlp = pattern("blocks.*.mlp.*");
        assert!(mlp.matches("blocks.0.mlp.up.weight") && mlp.matches("blocks.1.2.mlp."));
        assert!(!mlp.matches("blocks.0.attn.q.weight") && !mlp.matches("x.blocks.0.mlp.up"));
        assert!(pattern("*").matches("") && pattern("**").matches("a.b"));
        assert!(!pattern("weight").matches("weights") && pattern("weight").is_name() && !mlp.is_name());
        assert!(pattern("*é").matches("caféé"));
    }

    #[test]
    fn captures_are_one_step() {
        let from = pattern("model.layers.{n}.{part}.weight");
        let captures = from.captures("model.layers.12.q.weight").unwrap();
        assert_eq!((captures.get("n"), captures.get("part"), captures.get("x")), (Some("12"), Some("q"), None));
        assert_eq!(pattern("blocks.{n}.attn.{part}.weight").fill(&captures).unwrap(), "blocks.12.attn.q.weight");
        assert_eq!(pattern("{missing}").fill(&captures), None);
        assert!(!from.matches("model.layers.1.2.q.weight") && !from.matches("model.layers..q.weight"));
        let captures = pattern("{a}{b}*.{c}").captures("éxyz.w").unwrap();
        assert_eq!(captures.named, [("a", "é"), ("b", "x"), ("c", "w")].map(|(n, v)| (n.into(), v.into())));
        assert_eq!(captures.any, ["yz"]);
        assert_eq!(pattern("model.*").captures("model.a.b").and_then(|c| pattern("*").fill(&c)).unwrap(), "a.b");
    }

    #[test]
    fn long_names_take_no_time() {
        let stars = pattern(&"*a".repeat(50));
        assert!(!stars.matches(&"a".repeat(49)));
        assert!(!stars.matches(&format!("{}b", "a".repeat(5000))));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, problem) in [
            ("", "is empty"),
            ("a.{n", "not closed"),
            ("a.n}", "`}` without a `{`"),
            ("{}", "lacks a name"),
            ("{n}.{n}", "`{n}` twice"),
            ("{a.b}", "has `.` between"),
        ] {
            let error = Pattern::parse(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn the_last_pattern_wins_and_idle_ones_are_told() {
        let patterns = ["*", "*.bias", "nothing.*", "head.bias"].map(pattern);
        let assignment = assign(&patterns, &["a.weight", "a.bias", "head.bias"]);
        assert_eq!(assignment.chosen, [Some(0), Some(1), Some(3)]);
        assert_eq!(assignment.idle, [2]);
    }
}
