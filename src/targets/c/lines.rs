//! Lines of a function body, of which declarations that nothing uses are left out.

use std::collections::HashMap;

#[derive(Debug, Default)]
pub struct Lines {
    lines: Vec<Line>,
    depth: usize,
}

#[derive(Debug)]
struct Line {
    depth: usize,
    text: String,
    /// The variable that it does nothing but declare.
    declares: Option<String>,
}

impl Lines {
    pub fn new(depth: usize) -> Lines {
        Lines { lines: vec![], depth }
    }

    pub fn line(&mut self, text: impl Into<String>) {
        self.lines.push(Line { depth: self.depth, text: text.into(), declares: None });
    }

    /// A line that may go if nothing mentions the variable.
    pub fn declaration(&mut self, name: &str, text: impl Into<String>) {
        self.lines.push(Line { depth: self.depth, text: text.into(), declares: Some(name.to_string()) });
    }

    /// `head {`
    pub fn open(&mut self, head: &str) {
        self.line(format!("{head} {{").trim_start());
        self.depth += 1;
    }

    pub fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.line("}");
    }

    /// `} else {`
    pub fn otherwise(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.open("} else");
    }

    /// Adds the lines of another list, as deep as this one is.
    pub fn append(&mut self, other: Lines) {
        let depth = self.depth;
        self.lines.extend(other.lines.into_iter().map(|line| Line { depth: line.depth + depth, ..line }));
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Removes what nothing uses, until all that is left is used.
    fn prune(&mut self) {
        loop {
            let mut counts: HashMap<&str, usize> = HashMap::new();
            self.lines.iter().flat_map(|line| words(&line.text)).for_each(|word| *counts.entry(word).or_default() += 1);
            let is_used = |line: &Line| {
                line.declares.as_ref().is_none_or(|name| counts.get(name.as_str()).copied().unwrap_or(0) > 1)
            };
            let kept: Vec<bool> = self.lines.iter().map(is_used).collect();
            if kept.iter().all(|kept| *kept) {
                return;
            }
            let mut kept = kept.into_iter();
            self.lines.retain(|_| kept.next().unwrap_or(true));
        }
    }

    /// Says of variables that are only assigned that this is meant: compilers warn of them.
    fn excuse(&mut self) {
        let is_read = |name: &str| {
            let uses = self.lines.iter().filter(|line| line.declares.as_deref() != Some(name));
            let is_assigned = |line: &Line| line.text.strip_prefix(name).is_some_and(|rest| rest.starts_with(" = "));
            let reads =
                |line: &Line| words(&line.text).filter(|word| *word == name).count() > usize::from(is_assigned(line));
            uses.into_iter().any(reads)
        };
        let declared = self.lines.iter().map(|line| line.declares.as_ref().filter(|name| !is_read(name)).cloned());
        let excused: Vec<Option<String>> = declared.collect();
        let lines = std::mem::take(&mut self.lines);
        for (line, name) in lines.into_iter().zip(excused) {
            let depth = line.depth;
            self.lines.push(line);
            if let Some(name) = name {
                self.lines.push(Line { depth, text: format!("(void){name};"), declares: None });
            }
        }
    }

    /// Whether a word occurs.
    pub fn mentions(&self, word: &str) -> bool {
        self.lines.iter().any(|line| words(&line.text).any(|own| own == word))
    }

    pub fn finish(mut self) -> Finished {
        self.prune();
        self.excuse();
        // A comment at the end of a block, or before another comment, is about nothing.
        let is_comment = |line: &Line| line.text.starts_with("/*") && line.text.ends_with("*/");
        let mut kept: Vec<Line> = vec![];
        for line in self.lines {
            let ends = line.text.starts_with('}');
            if (ends || is_comment(&line)) && kept.last().is_some_and(is_comment) {
                kept.pop();
            }
            kept.push(line);
        }
        while kept.last().is_some_and(is_comment) {
            kept.pop();
        }
        Finished(Lines { lines: kept, depth: 0 })
    }
}

/// Lines to which nothing is added any more.
pub struct Finished(Lines);

impl Finished {
    pub fn mentions(&self, word: &str) -> bool {
        self.0.mentions(word)
    }

    pub fn text(&self) -> String {
        let line = |line: &Line| match line.text.is_empty() {
            true => "\n".to_string(),
            false => format!("{}{}\n", "    ".repeat(line.depth), line.text),
        };
        self.0.lines.iter().map(line).collect()
    }
}

/// The identifiers of a line; those of comments do not count.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let text = if text.starts_with("/*") { "" } else { text };
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_uses_goes() {
        let mut lines = Lines::new(1);
        lines.declaration("a", "float *a = frame;");
        lines.declaration("b", "float *b = a;");
        lines.line("/* nothing */");
        lines.declaration("c", "float *c = frame + 64;");
        lines.line("f(c);");
        let finished = lines.finish();
        assert_eq!(finished.text(), "    /* nothing */\n    float *c = frame + 64;\n    f(c);\n");
        assert!(finished.mentions("frame") && !finished.mentions("a"));
    }

    #[test]
    fn what_is_only_assigned_is_meant_so() {
        let mut lines = Lines::new(0);
        lines.declaration("y", "float y;");
        lines.declaration("z", "float z;");
        lines.line("y = x;");
        lines.line("z = x;");
        lines.line("z = z + 1.0f;");
        assert_eq!(lines.finish().text(), "float y;\n(void)y;\nfloat z;\ny = x;\nz = x;\nz = z + 1.0f;\n");
    }
}
