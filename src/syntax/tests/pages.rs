//! The explain pages of this part's codes: each wrong program gives its code once, each right one none.

use super::parse_file;
use crate::base::code::TABLE;

/// The `tri` blocks of a page that stand under the given line.
fn programs<'p>(page: &'p str, heading: &str) -> Vec<&'p str> {
    let sections = page.split(heading).skip(1);
    sections.filter_map(|section| section.split_once("```tri\n")?.1.split_once("\n```").map(|(code, _)| code)).collect()
}

#[test]
fn pages_hold_what_they_promise() {
    let mut seen = 0;
    for entry in TABLE.iter().filter(|entry| entry.code.as_str().starts_with("E00")) {
        let (wrong, right) = (programs(entry.page, "\nWrong:\n"), programs(entry.page, "\nRight:\n"));
        assert!(entry.page.len() > 150, "{}: no page", entry.code);
        for program in &wrong {
            let codes: Vec<_> = parse_file(program).1.iter().map(|error| error.code).collect();
            assert_eq!(codes, [entry.code], "{program}");
            seen += 1;
        }
        for program in &right {
            assert_eq!(parse_file(program).1, [], "{program}");
        }
        assert_eq!(wrong.len(), right.len(), "{}", entry.code);
        // A file that is too large, and one that is no text, make no good examples.
        assert_eq!(wrong.is_empty(), matches!(entry.code.as_str(), "E0009" | "E0010"), "{}", entry.code);
    }
    assert_eq!(seen, 10);
}
