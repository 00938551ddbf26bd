//! The table of diagnostic codes. Each code has a page, `docs/errors/<CODE>.md`, that `tritonc explain`
//! prints; a test compiles the page's programs and finds any code without one.

use std::fmt;

/// A stable diagnostic code such as `E0301`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(&'static str);

impl Code {
    pub fn as_str(self) -> &'static str {
        self.0
    }

    pub fn is_warning(self) -> bool {
        self.0.starts_with('W')
    }

    /// Looks a code up by its text, in any case.
    pub fn parse(text: &str) -> Option<Code> {
        let upper = text.to_ascii_uppercase();
        TABLE.iter().find(|entry| entry.code.0 == upper).map(|entry| entry.code)
    }

    pub fn title(self) -> &'static str {
        self.entry().title
    }

    /// The first sentence of the explain page.
    pub fn summary(self) -> String {
        self.entry().summary()
    }

    /// The explain page, as Markdown.
    pub fn page(self) -> &'static str {
        self.entry().page
    }

    fn entry(self) -> &'static Entry {
        let index = TABLE.binary_search_by_key(&self.0, |entry| entry.code.0);
        &TABLE[index.unwrap_or(0)]
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One row of the table.
pub struct Entry {
    pub code: Code,
    pub title: &'static str,
    pub page: &'static str,
}

impl Entry {
    /// The first sentence of the page.
    pub fn summary(&self) -> String {
        let paragraph = self.page.split("\n\n").nth(1).unwrap_or_default().replace('\n', " ");
        let end = |mark: &str| paragraph.find(&format!("{mark} ")).or_else(|| paragraph.rfind(mark));
        match [end("."), end(":")].into_iter().flatten().min() {
            Some(end) => format!("{}.", &paragraph[..end]),
            None => paragraph,
        }
    }
}

/// Codes that begin alike, and what they are about.
pub const FAMILIES: &[(&str, &str)] = &[
    ("E00", "text and syntax"),
    ("E01", "names and modules"),
    ("E02", "types"),
    ("E03", "shapes"),
    ("E04", "constants, hyperparameters and entries"),
    ("E05", "quantisation"),
    ("E06", "targets and passes"),
    ("E07", "weights"),
    ("E08", "files, inputs and outputs"),
    ("W", "warnings and hints"),
];

/// The rows of a family.
pub fn family(prefix: &str) -> impl Iterator<Item = &'static Entry> {
    TABLE.iter().filter(move |entry| entry.code.as_str().starts_with(prefix))
}

/// `docs/errors.md`: every code by family, with a link to its page.
pub fn index() -> String {
    let mut page = "# Diagnostic codes\n\nEach has a page with a wrong and a right program, which `tritonc explain CODE` \
                    prints. This list is made from the table in\n`src/base/code.rs`: `TRITONC_BLESS=1 cargo test --test \
                    explain_pages`.\n"
        .to_string();
    for (prefix, title) in FAMILIES {
        page += &format!("\n## {prefix}: {title}\n\n| code | title | what it means |\n| --- | --- | --- |\n");
        for entry in family(prefix) {
            let (code, summary) = (entry.code, entry.summary().replace('|', "\\|"));
            page += &format!("| [{code}](errors/{code}.md) | {} | {summary} |\n", entry.title);
        }
    }
    page
}

macro_rules! codes {
    ($($code:ident $title:literal)*) => {
        $(#[doc = $title] pub const $code: Code = Code(stringify!($code));)*
        /// Every code, sorted.
        pub static TABLE: &[Entry] = &[
            $(Entry {
                code: $code,
                title: $title,
                page: include_str!(concat!("../../docs/errors/", stringify!($code), ".md")),
            }),*
        ];
    };
}

// Keep sorted: look-up is a binary search (a test checks).
codes! {
    E0001 "unexpected character"
    E0002 "unterminated string"
    E0003 "malformed number"
    E0004 "unexpected token"
    E0005 "unclosed bracket"
    E0006 "statement without effect"
    E0007 "chained comparison"
    E0008 "nested too deeply"
    E0009 "file too large"
    E0010 "text is not UTF-8"
    E0011 "malformed string escape"
    E0012 "misplaced construct"
    E0101 "unknown name"
    E0102 "name defined twice"
    E0103 "unknown module"
    E0104 "name not found in module"
    E0105 "module cycle"
    E0106 "module path leaves its root"
    E0107 "unknown member"
    E0108 "unknown attribute"
    E0109 "a name for weights files cannot be used"
    E0201 "type mismatch"
    E0202 "element types differ"
    E0203 "wrong number of arguments"
    E0204 "unknown argument"
    E0205 "missing argument"
    E0206 "argument given twice"
    E0207 "cannot be called"
    E0208 "unknown type"
    E0209 "operation not defined for this element type"
    E0210 "result missing"
    E0211 "assignment to something that cannot be assigned"
    E0212 "literal out of range"
    E0213 "recursive layer"
    E0301 "inner dimensions differ"
    E0302 "shapes do not broadcast"
    E0303 "wrong shape"
    E0304 "wrong rank"
    E0305 "axis out of range"
    E0306 "element count differs"
    E0307 "unknown dimension name"
    E0308 "shape changes in a loop"
    E0309 "index out of range"
    E0310 "invalid size"
    E0401 "not a compile-time value"
    E0402 "missing hyperparameter"
    E0403 "unmet condition"
    E0404 "compile-time evaluation failed"
    E0405 "no entry"
    E0406 "entry is ambiguous"
    E0407 "invalid entry or setting"
    E0408 "assertion failed"
    E0409 "operation failed at run time"
    E0501 "invalid quantisation scheme"
    E0502 "value cannot be quantised"
    E0503 "invalid packed weights"
    E0504 "pattern matches nothing"
    E0505 "activations are not calibrated"
    E0601 "unknown target"
    E0602 "operation not supported by target"
    E0603 "element type not supported by target"
    E0604 "invalid template"
    E0605 "unknown mapping target"
    E0606 "unknown pass"
    E0607 "no gradient"
    E0608 "parameters cannot be values"
    E0609 "size without a bound"
    E0610 "more memory than allowed"
    E0701 "weights do not fit the model"
    E0702 "unreadable weights file"
    E0703 "shards do not agree with their index"
    E0704 "invalid name map"
    E0801 "file cannot be read"
    E0802 "file cannot be written"
    E0803 "unreadable array file"
    E0804 "input does not fit the model"
    E0805 "invalid project file"
    W0101 "unused name"
    W0102 "old spelling"
    W0301 "broadcast to all pairs"
    W0501 "ternary weights lose most of their signal"
    W0502 "codes without regard to data"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_sorted() {
        let codes: Vec<&str> = TABLE.iter().map(|entry| entry.code.as_str()).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    }

    #[test]
    fn codes_have_their_form() {
        for entry in TABLE {
            let (letter, digits) = entry.code.as_str().split_at(1);
            assert!(matches!(letter, "E" | "W") && digits.len() == 4, "{}", entry.code);
            assert!(digits.bytes().all(|b| b.is_ascii_digit()), "{}", entry.code);
            assert_eq!(entry.code.title(), entry.title);
        }
        assert!(W0101.is_warning() && !E0101.is_warning());
    }

    #[test]
    fn each_page_starts_with_its_title() {
        for entry in TABLE {
            let expected = format!("# {}: {}", entry.code, entry.title);
            assert_eq!(entry.page.lines().next(), Some(expected.as_str()));
            assert!(entry.page.ends_with('\n'), "{} lacks its last newline", entry.code);
        }
    }

    #[test]
    fn no_page_is_left_without_a_code() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let pages: BTreeSet<String> = files.collect();
        let codes: BTreeSet<String> = TABLE.iter().map(|entry| format!("{}.md", entry.code)).collect();
        assert_eq!(pages, codes);
    }

    #[test]
    fn each_code_has_a_family_and_a_sentence() {
        assert_eq!(FAMILIES.iter().map(|(prefix, _)| family(prefix).count()).sum::<usize>(), TABLE.len());
        for entry in TABLE {
            let summary = entry.summary();
            assert!(
                summary.len() > 20 && summary.ends_with('.') && !summary.contains('\n'),
                "{}: {summary}",
                entry.code
            );
        }
        assert_eq!(E0004.entry().summary(), "The text does not follow the grammar.");
        assert_eq!(E0301.entry().summary(), "The dims that a matrix product sums over differ.");
    }

    #[test]
    fn codes_are_found_in_any_case() {
        assert_eq!(Code::parse("e0301"), Some(E0301));
        assert_eq!(Code::parse("E9999"), None);
    }
}
