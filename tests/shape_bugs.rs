//! The shape bugs of `benches/shapes/`: the clean forms have no errors, each edit applies, and tritonc reports as many of
//! the bugs, and at their places, as `docs/shapes.md` says. The comparison with pyrefly is `benches/shapes/run.py`.
//!
//! An error is at the place if it stands in the function or method that was edited, or, where a member or the head of a
//! layer was edited, in that layer.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use tritonc::base::Severity;
use tritonc::driver::{Session, SessionOptions};

const FAMILIES: [&str; 10] = ["mlp", "cnn", "resnet", "unet", "bert", "gpt", "llama", "vit", "moe", "gru"];

struct Bug {
    tri: (String, String),
    torch: (String, String),
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn form(family: &str, extension: &str) -> String {
    read(&format!("benches/shapes/families/{family}.{extension}"))
}

fn bugs(family: &str) -> Vec<Bug> {
    let table: toml::Table = form(family, "toml").parse().unwrap();
    let edit = |bug: &toml::Value, form: &str| match bug[form].as_array().map(Vec::as_slice) {
        Some([find, replace]) => (find.as_str().unwrap().to_string(), replace.as_str().unwrap().to_string()),
        other => panic!("{family}: an edit is [find, replace], not {other:?}"),
    };
    let bugs = table["bug"].as_array().unwrap().iter();
    bugs.map(|bug| {
        assert!(bug["kind"].is_str(), "{family}: a bug without a kind");
        Bug { tri: edit(bug, "tri"), torch: edit(bug, "torch") }
    })
    .collect()
}

/// The edited text and the line of the edit, from 1.
fn edited(text: &str, (find, replace): &(String, String)) -> (String, usize) {
    assert_eq!(text.matches(find.as_str()).count(), 1, "{find:?} must occur once");
    assert_ne!(find, replace);
    let at = text.find(find.as_str()).unwrap();
    (text.replace(find.as_str(), replace), text[..at].matches('\n').count() + 1)
}

/// The lines of the errors in a program.
fn error_lines(text: &str) -> Vec<usize> {
    let found = Session::new(SessionOptions::default()).check_text("model.tri", text);
    let errors = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let lines = errors.map(|error| {
        let label = error.labels.iter().find(|label| label.primary).expect("an error has a place");
        text[..label.span.start as usize].matches('\n').count() + 1
    });
    lines.collect()
}

/// Lines from a head to the line before the next head.
fn blocks(heads: &[usize], end: usize) -> Vec<RangeInclusive<usize>> {
    let ends = heads[1..].iter().copied().chain([end]);
    heads.iter().zip(ends).map(|(first, end)| *first..=end - 1).collect()
}

/// The definition around a line: a function, a method, or a layer.
fn definition(text: &str, line: usize) -> RangeInclusive<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |line: &str, words: &[&str]| words.iter().any(|word| line.starts_with(word));
    let heads = |range: RangeInclusive<usize>, words: &[&str]| -> Vec<usize> {
        range.filter(|number| begins(lines[number - 1], words)).collect()
    };
    let items = heads(1..=lines.len(), &["layer ", "fn ", "let ", "test ", "use ", "const ", "type ", "##"]);
    let items = blocks(&items, lines.len() + 1);
    let item = items.into_iter().find(|item| item.contains(&line)).expect("an item around the edit");
    if !lines[item.start() - 1].starts_with("layer ") {
        return item;
    }
    let members = ["    fn ", "    let ", "    param ", "    buffer ", "    state ", "    ##", "    @"];
    let members = heads(item.start() + 1..=*item.end(), &members);
    let methods = blocks(&members, item.end() + 1).into_iter();
    let mut methods = methods.filter(|member| lines[member.start() - 1].starts_with("    fn "));
    methods.find(|method| method.contains(&line)).unwrap_or(item)
}

#[test]
fn clean_forms_have_no_errors() {
    for family in FAMILIES {
        let text = form(family, "tri");
        let found = Session::new(SessionOptions::default()).check_text("model.tri", &text);
        assert!(found.is_empty(), "{family}: {found:?}");
    }
}

#[test]
fn each_family_has_twenty_bugs_that_apply_to_both_forms() {
    for family in FAMILIES {
        let (tri, torch) = (form(family, "tri"), form(family, "py"));
        let bugs = bugs(family);
        assert_eq!(bugs.len(), 20, "{family}");
        for bug in bugs {
            edited(&tri, &bug.tri);
            edited(&torch, &bug.torch);
        }
    }
}

/// The bugs caught and those caught at the place, from the page's row `| family | bugs | caught | at the place |`.
fn promised(page: &str, family: &str) -> (usize, usize) {
    let head = format!("| {family} | 20 | ");
    let row = page.lines().find_map(|line| line.strip_prefix(&head));
    let row = row.unwrap_or_else(|| panic!("docs/shapes.md has no row for {family}"));
    let mut counts = row.split(" | ").map(|count| count.parse().unwrap());
    (counts.next().unwrap(), counts.next().unwrap())
}

#[test]
fn as_many_bugs_are_caught_as_the_page_says() {
    let page = read("docs/shapes.md");
    for family in FAMILIES {
        let (mut caught, mut at_place) = (0, 0);
        let mut others = vec![];
        for (number, bug) in bugs(family).iter().enumerate() {
            let (text, line) = edited(&form(family, "tri"), &bug.tri);
            let lines = error_lines(&text);
            let place = definition(&text, line);
            caught += usize::from(!lines.is_empty());
            match lines.iter().any(|line| place.contains(line)) {
                true => at_place += 1,
                false => others.push(format!("{number}: {:?} -> {:?}", bug.tri.0, bug.tri.1)),
            }
        }
        let (all, there) = promised(&page, family);
        let message = format!("{family}: {caught} caught, {at_place} at the place; not there: {others:#?}");
        assert!(caught >= all && at_place >= there, "docs/shapes.md promises {all} and {there}. {message}");
    }
}
