//! Names and literals that are safe in emitted code.
//!
//! A [`Namer`] hands out identifiers of one scope: a word that the language has taken gets an underscore
//! (`lambda` becomes `lambda_`), a word that the scope has taken gets a number (`x_2`). The order of the
//! requests alone decides, so the same program always gets the same names.
//!
//! Text that comes from the source (documentation, messages, file names) goes through one of the escaping
//! functions below; what they return is a single token or comment of Python, whatever the text was.

use std::collections::HashSet;
use std::sync::Arc;

/// Sorted.
const PYTHON_KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// Built-in functions and types; emitted code calls some of them, and readers know the others. Sorted.
const PYTHON_BUILTINS: &[&str] = &[
    "Exception",
    "RuntimeError",
    "ValueError",
    "abs",
    "all",
    "any",
    "ascii",
    "bin",
    "bool",
    "bytearray",
    "bytes",
    "callable",
    "chr",
    "classmethod",
    "compile",
    "complex",
    "delattr",
    "dict",
    "dir",
    "divmod",
    "enumerate",
    "eval",
    "exec",
    "filter",
    "float",
    "format",
    "frozenset",
    "getattr",
    "globals",
    "hasattr",
    "hash",
    "help",
    "hex",
    "id",
    "input",
    "int",
    "isinstance",
    "issubclass",
    "iter",
    "len",
    "list",
    "locals",
    "map",
    "max",
    "memoryview",
    "min",
    "next",
    "object",
    "oct",
    "open",
    "ord",
    "pow",
    "print",
    "property",
    "range",
    "repr",
    "reversed",
    "round",
    "self",
    "set",
    "setattr",
    "slice",
    "sorted",
    "staticmethod",
    "str",
    "sum",
    "super",
    "tuple",
    "type",
    "vars",
    "zip",
];

pub fn is_python_keyword(name: &str) -> bool {
    PYTHON_KEYWORDS.binary_search(&name).is_ok()
}

pub fn is_python_builtin(name: &str) -> bool {
    PYTHON_BUILTINS.binary_search(&name).is_ok()
}

/// Words that mean something in a scope already.
#[derive(Clone, Debug, Default)]
pub struct Reserved {
    /// The same in many files.
    pub common: Arc<HashSet<String>>,
    /// In this one.
    pub own: HashSet<String>,
}

impl Reserved {
    pub fn new<'a>(common: impl IntoIterator<Item = &'a str>) -> Reserved {
        Reserved { common: Arc::new(common.into_iter().map(String::from).collect()), own: HashSet::new() }
    }

    pub fn contains(&self, word: &str) -> bool {
        self.own.contains(word) || self.common.contains(word)
    }
}

/// The identifiers of one scope of Python code.
#[derive(Clone, Debug, Default)]
pub struct Namer {
    reserved: Arc<Reserved>,
    taken: HashSet<String>,
}

impl Namer {
    pub fn among(reserved: Arc<Reserved>) -> Namer {
        Namer { reserved, taken: HashSet::new() }
    }

    /// Whether the word itself cannot be used, whoever asks.
    pub fn is_reserved(&self, word: &str) -> bool {
        is_python_keyword(word) || is_python_builtin(word) || self.reserved.contains(word)
    }

    /// The identifier for a source name, taken or not.
    pub fn safe(&self, name: &str) -> String {
        let mut word = identifier(name);
        while self.is_reserved(&word) {
            word.push('_');
        }
        word
    }

    /// A new identifier, as near to the source name as can be.
    pub fn fresh(&mut self, name: &str) -> String {
        let base = self.safe(name);
        let mut word = base.clone();
        let mut number = 2;
        while self.taken.contains(&word) || self.is_reserved(&word) {
            word = format!("{}_{number}", base.trim_end_matches('_'));
            number += 1;
        }
        self.taken.insert(word.clone());
        word
    }

    /// Takes an identifier out of use.
    pub fn take(&mut self, word: &str) {
        self.taken.insert(word.to_string());
    }

    pub fn is_taken(&self, word: &str) -> bool {
        self.taken.contains(word)
    }
}

/// The function that gives the gradients of an exported method, too.
pub fn backward(method: &str) -> String {
    format!("{}_backward", identifier(method))
}

/// The name with everything that no identifier may hold replaced by `_`.
pub fn identifier(name: &str) -> String {
    let mut word: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if word.trim_matches('_').is_empty() {
        word = "value".to_string();
    }
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        word.insert(0, '_');
    }
    // Two leading underscores would be mangled in a class.
    match word.strip_prefix("__") {
        Some(rest) => format!("_{}", rest.trim_start_matches('_')),
        None => word,
    }
}

/// `MyModel` as `my_model`, `LSTMCell` as `lstm_cell`: what files are named after.
pub fn snake_case(name: &str) -> String {
    let characters: Vec<char> = identifier(name).chars().collect();
    let mut out = String::new();
    for (at, &c) in characters.iter().enumerate() {
        let before = at.checked_sub(1).map(|i| characters[i]);
        let after = characters.get(at + 1);
        let starts_word = c.is_ascii_uppercase()
            && before.is_some_and(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || (b.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase))
            });
        if starts_word {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// One string literal of Python with double quotes.
pub fn python_string(text: &str) -> String {
    // The quote that needs fewer escapes, as formatters choose it.
    let quote = if text.matches('"').count() > text.matches('\'').count() { '\'' } else { '"' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c => push_visible(&mut out, c),
        }
    }
    out.push(quote);
    out
}

/// Characters that could hide or break a line are written as escapes.
fn push_visible(out: &mut String, c: char) {
    let invisible = c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    match c as u32 {
        _ if !invisible => out.push(c),
        code @ 0..=0xff => out.push_str(&format!("\\x{code:02x}")),
        code => out.push_str(&format!("\\u{code:04x}")),
    }
}

/// The lines of a docstring, quotes included, to be indented alike. `None` where there is nothing to say.
pub fn python_docstring(text: &str) -> Option<Vec<String>> {
    let mut lines: Vec<String> = text.split('\n').map(docstring_line).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let blank = lines.iter().take_while(|line| line.is_empty()).count();
    lines.drain(..blank);
    let first = lines.first_mut()?;
    *first = first.trim_start().to_string();
    let indent = |line: &String| line.len() - line.trim_start().len();
    let common = lines[1..].iter().filter(|line| !line.is_empty()).map(indent).min().unwrap_or(0);
    for line in lines[1..].iter_mut().filter(|line| !line.is_empty()) {
        line.drain(..common);
    }
    lines[0].insert_str(0, "\"\"\"");
    match lines.as_mut_slice() {
        [only] => only.push_str("\"\"\""),
        _ => lines.push("\"\"\"".to_string()),
    }
    Some(lines)
}

fn docstring_line(line: &str) -> String {
    let characters: Vec<char> = line.trim_end().replace('\t', "    ").chars().collect();
    let mut out = String::new();
    for (at, &c) in characters.iter().enumerate() {
        let is_quote = |index: Option<usize>| index.and_then(|i| characters.get(i)) == Some(&'"');
        match c {
            '\\' => out.push_str("\\\\"),
            // A lone quote is harmless inside a line; next to another, or to the delimiter, it is not.
            '"' if at == 0
                || at + 1 == characters.len()
                || is_quote(at.checked_sub(1))
                || is_quote(Some(at + 1))
                || characters[..at].iter().all(|c| *c == ' ') =>
            {
                out.push_str("\\\"");
            }
            c => push_visible(&mut out, c),
        }
    }
    out
}

/// One comment: a single line, whatever the text.
pub fn python_comment(text: &str) -> String {
    let text = text.trim();
    // Nearly all comments are names of files and numbers of lines.
    if !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return format!("# {text}");
    }
    let mut out = String::from("# ");
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            c => push_visible(&mut out, c),
        }
    }
    out.trim_end().to_string()
}

/// Text as a comment of C, one line or several, which nothing in it can end. `None` where there is nothing to say.
pub fn c_comment(text: &str) -> Option<Vec<String>> {
    let mut lines: Vec<String> = text.trim().split('\n').map(|line| c_text(line.trim_end())).collect();
    match lines.as_mut_slice() {
        [only] if only.is_empty() => return None,
        [only] => *only = format!("/* {only} */"),
        [first, rest @ ..] => {
            *first = format!("/* {first}");
            rest.iter_mut().filter(|line| !line.is_empty()).for_each(|line| line.insert_str(0, "   "));
            lines.last_mut().into_iter().for_each(|line| line.push_str(" */"));
        }
        [] => return None,
    }
    Some(lines)
}

/// Text within a comment of C.
pub fn c_text(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        push_visible(&mut out, c);
    }
    // Neither an end nor another beginning, nor a line that goes on.
    out.replace("*/", "* /").replace("/*", "/ *").replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_words_are_changed_the_same_way_each_time() {
        let mut namer = Namer::among(Arc::new(Reserved::new(["torch"])));
        let names: Vec<String> = ["x", "lambda", "x", "torch", "max", "lambda", "2d", "a-b", "x_2", "__init", "é"]
            .map(|n| namer.fresh(n))
            .into();
        let want = ["x", "lambda_", "x_2", "torch_", "max_", "lambda_2", "_2d", "a_b", "x_2_2", "_init", "value"];
        assert_eq!(names, want);
    }

    #[test]
    fn tables_are_sorted() {
        assert!(PYTHON_KEYWORDS.is_sorted());
        assert!(PYTHON_BUILTINS.is_sorted());
    }

    #[test]
    fn files_are_named_in_snake_case() {
        let cases =
            [("MLP", "mlp"), ("TernaryLinear", "ternary_linear"), ("LSTMCell", "lstm_cell"), ("model", "model")];
        for (name, want) in cases {
            assert_eq!(snake_case(name), want);
        }
    }

    #[test]
    fn text_never_leaves_its_literal() {
        assert_eq!(python_string("a\"b\\c\nd\u{0}\u{2028}"), "'a\"b\\\\c\\nd\\x00\\u2028'");
        assert_eq!(python_comment("a\nimport os\r"), "# a\\nimport os");
        let lines = python_docstring("\"\"\"x\n    \\\n").unwrap();
        assert_eq!(lines, ["\"\"\"\\\"\\\"\\\"x", "\\\\", "\"\"\""]);
        assert_eq!(python_docstring("\n \n"), None);
        assert_eq!(python_docstring("one \"word\" here"), Some(vec!["\"\"\"one \"word\" here\"\"\"".to_string()]));
    }
}
