//! Finds where a source compares with the name of an operation, instead of asking its entry in the registry.
//!
//! Many operations have ordinary words for names (`sum`, `pad`, `where`), and naming one to make an instruction is fine. So
//! this looks at the tokens around a name, for the forms in which names are compared:
//!
//! ```text
//! match op.name() { "add" | "sub" => ..        a pattern: of `match`, `matches!`, `let`
//! op.name() == "add"    op.name() == other     a comparison, also with a name that somebody hands in
//! *op == builtin("add") op.name().starts_with("conv")
//! ["add", "sub"].contains(&op.name())          a list of names
//! const LINEAR: &[&str] = &["add", "sub"];     the same, as a table
//! ```

use std::collections::BTreeSet;

/// A place that compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    pub line: usize,
    /// The name; empty where it is one that a variable has.
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// What a string contains.
    Text(String),
    Symbol(&'static str),
}

use Token::{Symbol, Text, Word};

const SYMBOLS: [&str; 29] = [
    "=>", "==", "!=", ">=", "<=", "->", "::", "..", "&&", "||", "(", ")", "[", "]", "{", "}", ",", ";", ".", "&", "|",
    "=", "!", "*", "#", ":", "<", ">", "?",
];

const OPENING: [&str; 3] = ["(", "[", "{"];
const CLOSING: [&str; 3] = [")", "]", "}"];

/// Functions that look an operation up. The second has a common name, and must be seen to be the registry's.
const BUILTIN: &str = "builtin";
const FIND: &str = "find";

/// What a variable is called that holds an operation.
const OPERATIONS: [&str; 2] = ["op", "operation"];

/// Where a source outside of its tests compares with a name, in order and each place once.
pub fn comparisons(source: &str, is_operation: &dyn Fn(&str) -> bool) -> Vec<Comparison> {
    let (tokens, lines) = tokens(source);
    // Several names may stand in one text, apart by spaces.
    let is_name = |text: &str| {
        let mut words = text.split(' ');
        !text.is_empty() && words.all(is_operation)
    };
    let mut scan =
        Scan { tokens: &tokens, imports_find: imports_find(&tokens), looked_up: BTreeSet::new(), is_name: &is_name };
    scan.looked_up = scan.bound();
    let mut found: BTreeSet<(usize, String)> = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let names = match token {
            Symbol("=>") => scan.names(scan.arm_begins(at)..at),
            Word(word) if word == "matches" && scan.is(at + 1, "!") => scan.names(scan.second_argument(at + 2)),
            Word(word) if word == "let" => scan.names(at..scan.next(at, "=")),
            Symbol("==" | "!=") => scan.compared(at),
            Word(word) if scan.is_method(at) && TESTS.contains(&word.as_str()) => scan.asked(at),
            Symbol("[") => scan.listed(at),
            _ => vec![],
        };
        found.extend(names.into_iter().map(|(at, name)| (lines[at], name)));
    }
    found.into_iter().map(|(line, name)| Comparison { line, name }).collect()
}

/// Methods that compare texts, or look for something in a list.
const TESTS: [&str; 3] = ["contains", "starts_with", "ends_with"];

type Names = Vec<(usize, String)>;

struct Scan<'a> {
    tokens: &'a [Token],
    imports_find: bool,
    /// Variables that hold an operation which was looked up.
    looked_up: BTreeSet<String>,
    is_name: &'a dyn Fn(&str) -> bool,
}

impl Scan<'_> {
    fn is(&self, at: usize, symbol: &str) -> bool {
        matches!(self.tokens.get(at), Some(Symbol(own)) if *own == symbol)
    }

    fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at) {
            Some(Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is_method(&self, at: usize) -> bool {
        at > 0 && self.is(at - 1, ".") && self.is(at + 1, "(")
    }

    /// Names in a pattern, up to its guard.
    fn names(&self, pattern: std::ops::Range<usize>) -> Names {
        let guard = pattern.clone().find(|at| self.word(*at) == Some("if")).unwrap_or(pattern.end);
        (pattern.start..guard).filter_map(|at| self.name(at)).collect()
    }

    fn name(&self, at: usize) -> Option<(usize, String)> {
        match self.tokens.get(at) {
            Some(Text(text)) if (self.is_name)(text) => Some((at, text.clone())),
            _ => None,
        }
    }

    /// Where the pattern before an arrow begins.
    fn arm_begins(&self, arrow: usize) -> usize {
        let mut depth = 0;
        for at in (0..arrow).rev() {
            match self.tokens[at] {
                Symbol(")" | "]") => depth += 1,
                // The end of a pattern with fields goes on; that of the arm before does not.
                Symbol("}") if depth > 0 || self.goes_on(at + 1) => depth += 1,
                Symbol("(" | "[" | "{") if depth > 0 => depth -= 1,
                Symbol("(" | "[" | "{" | "}") => return at + 1,
                Symbol("," | ";") if depth == 0 => return at + 1,
                _ => {}
            }
        }
        0
    }

    fn goes_on(&self, at: usize) -> bool {
        ["=>", "|", ")", "]", ","].iter().any(|symbol| self.is(at, symbol)) || self.word(at) == Some("if")
    }

    /// The place of the bracket that closes this one.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for at in open..self.tokens.len() {
            match self.tokens[at] {
                Symbol(symbol) if OPENING.contains(&symbol) => depth += 1,
                Symbol(symbol) if CLOSING.contains(&symbol) => {
                    depth -= 1;
                    if depth == 0 {
                        return at;
                    }
                }
                _ => {}
            }
        }
        self.tokens.len()
    }

    fn opening(&self, close: usize) -> usize {
        (0..close)
            .rev()
            .find(|at| {
                matches!(self.tokens[*at], Symbol(symbol) if OPENING.contains(&symbol)) && self.closing(*at) == close
            })
            .unwrap_or(0)
    }

    /// What stands after the first comma between brackets.
    fn second_argument(&self, open: usize) -> std::ops::Range<usize> {
        let close = self.closing(open);
        let mut at = open + 1;
        while at < close && !self.is(at, ",") {
            let opens = matches!(self.tokens[at], Symbol(symbol) if OPENING.contains(&symbol));
            at = if opens { self.closing(at) + 1 } else { at + 1 };
        }
        at..close
    }

    /// The next place of a symbol in a statement.
    fn next(&self, from: usize, symbol: &str) -> usize {
        let ends = |at: &usize| self.is(*at, symbol) || self.is(*at, ";") || self.is(*at, "{");
        (from..self.tokens.len()).find(ends).unwrap_or(self.tokens.len())
    }

    /// What an `==` compares with.
    fn compared(&self, at: usize) -> Names {
        let mut right = at + 1;
        while ["&", "*", "("].iter().any(|symbol| self.is(right, symbol)) || self.word(right) == Some("Some") {
            right += 1;
        }
        let mut found: Names = self.name(right).into_iter().collect();
        if self.looks_up(right).is_some() || self.is_looked_up(right) && !self.is(right + 1, ".") {
            found.push((at, self.given(right)));
        }
        if self.is(right + 1, ".") && self.names_operation(right + 2) {
            found.push((at, String::new()));
        }
        let Some(left) = at.checked_sub(1) else { return found };
        found.extend(self.name(left));
        let is_alone = left == 0 || !self.is(left - 1, ".");
        if self.is_looked_up(left) && is_alone || self.names_operation(left) {
            found.push((at, String::new()));
        }
        if self.is(left, ")") {
            let open = self.opening(left);
            let word = open.checked_sub(1).and_then(|before| self.word(before));
            match word {
                Some("Some") => found.extend(self.name(open + 1)),
                _ if open > 0 && self.is_look_up(open - 1) => found.push((at, self.given(open - 1))),
                _ => {}
            }
        }
        found
    }

    /// Whether a path to a function that looks an operation up begins here; gives its last word.
    fn looks_up(&self, mut at: usize) -> Option<usize> {
        while self.word(at).is_some() && self.is(at + 1, "::") {
            at += 2;
        }
        (self.is(at + 1, "(") && self.is_look_up(at)).then_some(at)
    }

    fn is_look_up(&self, at: usize) -> bool {
        let after = |symbol: &str| at > 0 && self.is(at - 1, symbol);
        let of_registry = || match at.checked_sub(2).filter(|_| after("::")) {
            Some(path) => self.word(path) == Some("ops"),
            None => self.imports_find && !after("."),
        };
        self.word(at) == Some(BUILTIN) || self.word(at) == Some(FIND) && of_registry()
    }

    /// Variables that are bound to what a look-up gives.
    fn bound(&self) -> BTreeSet<String> {
        let bound = (0..self.tokens.len()).filter_map(|at| {
            let name = self.word(at + 1).filter(|_| self.word(at) == Some("let"))?;
            let value = (at + 2..at + 8).find(|at| self.is(*at, "="))? + 1;
            self.looks_up(value).map(|_| name.to_string())
        });
        bound.collect()
    }

    fn is_looked_up(&self, at: usize) -> bool {
        self.word(at).is_some_and(|word| self.looked_up.contains(word))
    }

    /// The name that a function which begins here looks up; empty if it is not written there.
    fn given(&self, at: usize) -> String {
        let call = self.looks_up(at).unwrap_or(at);
        match self.tokens.get(call + 2) {
            Some(Text(name)) => name.clone(),
            _ => String::new(),
        }
    }

    /// Whether `op.name()` or `op.name` ends here.
    fn names_operation(&self, end: usize) -> bool {
        let end = if self.is(end, ")") && end >= 2 && self.is(end - 1, "(") { end - 2 } else { end };
        let receiver = end.checked_sub(2).and_then(|at| self.word(at));
        self.word(end) == Some("name") && receiver.is_some_and(|word| OPERATIONS.contains(&word))
    }

    /// What a method compares with: texts in the list before it, its argument, the name of an operation.
    fn asked(&self, method: usize) -> Names {
        let mut found = vec![];
        let receiver = method - 2;
        if self.is(receiver, "]") {
            let list = self.opening(receiver)..receiver;
            found.extend(list.clone().filter_map(|at| self.name(at)));
            found.extend(
                list.filter(|at| self.is(at + 1, "("))
                    .filter_map(|at| self.looks_up(at).map(|call| (call, self.given(call)))),
            );
        }
        if self.names_operation(receiver) {
            found.push((method, String::new()));
        }
        let argument = method + 2 + usize::from(self.is(method + 2, "&"));
        found.extend(self.name(argument));
        found
    }

    /// Names in a list that holds hardly anything else.
    fn listed(&self, open: usize) -> Names {
        let close = self.closing(open);
        let texts = (open..close).filter(|at| matches!(self.tokens[*at], Text(_))).count();
        let names: Names = (open..close).filter_map(|at| self.name(at)).collect();
        let several = names.len() > 1 || names.iter().any(|(_, text)| text.contains(' '));
        if several && 2 * names.len() > texts { names } else { vec![] }
    }
}

/// Whether `find` is the registry's here.
fn imports_find(tokens: &[Token]) -> bool {
    let begins = |at: &usize| tokens[*at..].starts_with(&[word("ops"), Symbol("::")]);
    (0..tokens.len()).filter(begins).any(|at| match tokens.get(at + 2) {
        Some(Symbol("{")) => {
            tokens[at..].iter().take_while(|token| **token != Symbol("}")).any(|token| *token == word(FIND))
        }
        Some(token) => *token == word(FIND) && tokens.get(at + 3) == Some(&Symbol(";")),
        None => false,
    })
}

/// The tokens of a source with the lines that they stand on, without comments and tests.
fn tokens(source: &str) -> (Vec<Token>, Vec<usize>) {
    let (mut tokens, mut lines) = (vec![], vec![]);
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let (token, length) = if let Some(comment) = rest.strip_prefix("//") {
            (None, 2 + comment.find('\n').unwrap_or(comment.len()))
        } else if let Some((text, length)) = string(rest) {
            (Some(Text(text)), length)
        } else if first == '\'' {
            (None, quoted(rest))
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|symbol: char| !symbol.is_alphanumeric() && symbol != '_').unwrap_or(rest.len());
            (Some(Word(rest[..length].to_string())), length)
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Some(Symbol(symbol)), symbol.len())
        } else {
            (None, first.len_utf8())
        };
        if let Some(token) = token {
            tokens.push(token);
            lines.push(line);
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    let tests =
        [Symbol("#"), Symbol("["), word("cfg"), Symbol("("), word("test"), Symbol(")"), Symbol("]"), word("mod")];
    let inline = |at: &usize| tokens[*at..].starts_with(&tests) && tokens.get(*at + 9) == Some(&Symbol("{"));
    let end = (0..tokens.len()).find(inline).unwrap_or(tokens.len());
    tokens.truncate(end);
    lines.truncate(end);
    (tokens, lines)
}

fn word(text: &str) -> Token {
    Word(text.to_string())
}

/// A string at the start of a text: what it contains, and its length.
fn string(text: &str) -> Option<(String, usize)> {
    if let Some(raw) = text.strip_prefix('r') {
        let marks = raw.len() - raw.trim_start_matches('#').len();
        let body = raw[marks..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(marks));
        let length = body.find(&end)?;
        return Some((body[..length].to_string(), 1 + marks + 1 + length + end.len()));
    }
    let body = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, symbol) in body.char_indices() {
        match symbol {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((body[..at].to_string(), at + 2)),
            _ => {}
        }
    }
    None
}

/// The length of a character or a lifetime.
fn quoted(text: &str) -> usize {
    let mut symbols = text.char_indices().skip(1);
    match symbols.next() {
        Some((_, '\\')) => symbols.skip(1).find(|(_, symbol)| *symbol == '\'').map_or(1, |(at, _)| at + 1),
        Some(_) => symbols.next().filter(|(_, symbol)| *symbol == '\'').map_or(1, |(at, _)| at + 1),
        None => 1,
    }
}
