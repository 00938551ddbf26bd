//! The formatter on every Tri text of the tree, and on these texts with other line breaks and more comments.

mod support;

use support::golden::first_difference;
use support::{files_below, root, with_deep_stack};
use tritonc::syntax::format::{WIDTH, format};
use tritonc::syntax::token::{Lexer, comments};
use tritonc::syntax::{parse_item, print, split};

/// Every program of the tree that parses, with its name.
fn programs() -> Vec<(String, String)> {
    let mut programs = vec![];
    for folder in ["stdlib", "examples", "tests", "src"] {
        for file in files_below(&root().join(folder), ".tri").unwrap() {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            programs.push((name, std::fs::read_to_string(&file).unwrap()));
        }
    }
    for page in files_below(&root().join("docs"), ".md").unwrap() {
        let name = page.strip_prefix(root()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&page).unwrap();
        for (index, block) in text.split("```tri\n").skip(1).enumerate() {
            programs.push((format!("{name}, {}", index + 1), block.split("```").next().unwrap_or("").to_string()));
        }
    }
    programs.retain(|(_, text)| meaning(text).is_some());
    assert!(programs.len() > 150, "{}", programs.len());
    programs
}

/// The trees of a text without spans; `None` for one that does not parse.
fn meaning(text: &str) -> Option<String> {
    let mut trees = String::new();
    for item in split(text) {
        let parsed = parse_item(&text[item.span.start as usize..item.span.end as usize]);
        if !parsed.errors.is_empty() {
            return None;
        }
        trees += &print::meaning(&parsed.ast);
    }
    Some(trees)
}

fn remarks(text: &str) -> Vec<&str> {
    comments(text).iter().map(|c| text[c.span.start as usize..c.span.end as usize].trim_end()).collect()
}

/// Formats a text; says what is wrong if that loses something, or if a second time changes something.
fn checked(name: &str, text: &str) -> Result<String, String> {
    let once = format(text).map_err(|problem| format!("{name}: {problem:?}\n{text}"))?;
    if meaning(&once) != meaning(text) {
        return Err(format!("{name}: another program\n{text}\n---\n{once}"));
    }
    if remarks(&once) != remarks(text) {
        return Err(format!("{name}: other comments\n{text}\n---\n{once}"));
    }
    let twice = format(&once).map_err(|problem| format!("{name}, a second time: {problem:?}\n{once}"))?;
    match first_difference(&once, &twice) {
        None => Ok(once),
        Some(difference) => Err(format!("{name}: a second time it differs\n{difference}\n{text}\n---\n{once}")),
    }
}

#[test]
fn programs_stay_what_they_are() {
    with_deep_stack(|| {
        for (name, text) in programs() {
            let formatted = checked(&name, &text).unwrap_or_else(|problem| panic!("{problem}"));
            assert!(formatted.ends_with('\n') && !formatted.ends_with("\n\n"), "{name}: its end");
            for line in formatted.lines() {
                assert_eq!(line.trim_end(), line, "{name}: space at the end of a line");
                let code = line.split('#').next().unwrap_or("");
                // What cannot be broken are texts.
                let broken = code.chars().count() <= WIDTH as usize || line.contains('"');
                assert!(broken, "{name}: a long line: {line}");
            }
        }
    });
}

/// A generator of numbers that gives the same ones each time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// How often each program is shaken; more of it is `TRITONC_FORMAT_ROUNDS=60 cargo test --test format`.
const ROUNDS: usize = 4;

/// The text with something else in some of the gaps between tokens.
fn shaken(text: &str, random: &mut Random, comment: bool) -> String {
    let mut lexer = Lexer::new(text);
    let ends: Vec<usize> = std::iter::from_fn(|| lexer.next_token()).map(|token| token.end as usize).collect();
    let mut out = String::new();
    let mut at = 0;
    let changes: Vec<usize> = (0..3).map(|_| random.below(ends.len())).collect();
    for (index, end) in ends.iter().enumerate() {
        out += &text[at..*end];
        at = *end;
        if changes.contains(&index) {
            match random.below(if comment { 6 } else { 3 }) {
                0 => out += "   ",
                1 => out += "\n",
                2 => out += "\n\n\n",
                3 => out += " # added\n",
                4 => out += "\n# added\n",
                _ => out += "\n\n## added\n\n# too\n",
            }
        }
    }
    out + &text[at..]
}

#[test]
fn line_breaks_and_comments_in_odd_places() {
    let rounds = std::env::var("TRITONC_FORMAT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    with_deep_stack(|| {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let (mut tried, mut problems) = (0, vec![]);
        for (name, text) in programs() {
            let original = meaning(&text);
            for round in 0..rounds {
                let text = shaken(&text, &mut random, round % 2 == 0);
                if meaning(&text) == original {
                    tried += 1;
                    problems.extend(checked(&name, &text).err());
                }
            }
        }
        assert!(tried > 100, "{tried}");
        problems.sort_by_key(String::len);
        assert!(
            problems.is_empty(),
            "{} of {tried}:\n{}",
            problems.len(),
            problems[..problems.len().min(6)].join("\n=====\n")
        );
    });
}
