//! `tritonc fix` on slips put into every valid program of the tree: a name misspelt, `.T` or `.to(...)` left out, a
//! variable or import too many, `dim=` for `axis=`, an initialiser not called.
//!
//! Each kind has a rate of success, which may not fall below what was measured; what is missing has a reason:
//!
//! - A typo may hit another name (`x1` for `x2`), or two names may be as near to it: then nothing is applied.
//! - Without `.T` another remedy may be as good (for `x @ x`): then people choose.
//! - In a loop that changes a shape, what follows from the slip is reported in its place.
//! - Without `.T` or `.to(...)` a program may be wrong at another place than where that stood.
//!
//! Whatever happens, there are no more errors than before.

mod support;

use std::collections::BTreeMap;
use tritonc::analysis::Project;
use tritonc::analysis::project::NoFiles;
use tritonc::base::{FileId, Source};
use tritonc::driver::fix::repair;

/// Slips of each kind and program.
const PER_PROGRAM: usize = 4;

/// A kind of slip: every text that one slip makes of a program, and whether `fix` must restore the very text.
struct Kind {
    name: &'static str,
    slips: fn(&str) -> Vec<String>,
    restores: bool,
    /// Of 100 slips that are errors or warnings, so many are fixed at least.
    rate: usize,
}

const KINDS: &[Kind] = &[
    Kind { name: "misspelt name", slips: misspelt, restores: true, rate: 97 },
    Kind { name: "missing .T", slips: |text| without(text, ".T"), restores: false, rate: 90 },
    Kind { name: "missing .to(...)", slips: |text| without_call(text, ".to("), restores: false, rate: 75 },
    Kind { name: "unused variable", slips: unused_variable, restores: true, rate: 100 },
    Kind { name: "unused import", slips: unused_import, restores: true, rate: 95 },
    Kind { name: "dim for axis", slips: |text| replaced(text, "axis=", "dim="), restores: true, rate: 95 },
    Kind {
        name: "initialiser not called",
        slips: |text| replaced(text, "= zeros()", "= zeros"),
        restores: true,
        rate: 100,
    },
];

fn programs() -> Vec<(String, String)> {
    let root = support::root();
    let folders = ["examples", "stdlib", "tests/cases"];
    let files = folders.iter().flat_map(|folder| support::files_below(&root.join(folder), ".tri").unwrap());
    files.map(|file| (file.display().to_string(), std::fs::read_to_string(file).unwrap())).collect()
}

/// Every place at which a part of a program stands outside of comments.
fn places(text: &str, part: &str) -> Vec<usize> {
    let in_comment = |at: usize| text[..at].rsplit('\n').next().is_some_and(|line| line.contains('#'));
    text.match_indices(part).map(|(at, _)| at).filter(|at| !in_comment(*at)).collect()
}

/// A few of many, spread over them.
fn some<T>(all: Vec<T>) -> Vec<T> {
    let step = all.len().div_ceil(PER_PROGRAM).max(1);
    all.into_iter().step_by(step).collect()
}

fn replaced(text: &str, part: &str, by: &str) -> Vec<String> {
    let at = places(text, part).into_iter();
    some(at.map(|at| format!("{}{by}{}", &text[..at], &text[at + part.len()..])).collect())
}

fn without(text: &str, part: &str) -> Vec<String> {
    let ends = |at: &usize| !text[at + part.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let at = places(text, part).into_iter().filter(ends).filter(|at| !text[..*at].ends_with('.'));
    some(at.map(|at| format!("{}{}", &text[..at], &text[at + part.len()..])).collect())
}

/// Without `.to(dtype)`, up to the next bracket.
fn without_call(text: &str, part: &str) -> Vec<String> {
    let cut = |at: usize| {
        let close = text[at..].find(')')? + at;
        let simple = !text[at + part.len()..close].contains('(');
        simple.then(|| format!("{}{}", &text[..at], &text[close + 1..]))
    };
    some(places(text, part).into_iter().filter_map(cut).collect())
}

fn is_declaration(before: &str, after: &str) -> bool {
    const KEYWORDS: [&str; 11] =
        ["let", "fn", "layer", "param", "buffer", "state", "const", "type", "for", "test", "use"];
    let word = before.trim_end().rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
    let line = before.rsplit('\n').next().unwrap_or("").trim_start();
    let in_pattern = line.starts_with("let (") || line.starts_with("for (");
    after.trim_start().starts_with(':') || KEYWORDS.contains(&word) || in_pattern && !line.contains(')')
}

/// A letter swapped, left out or doubled in a name of at least five.
fn misspelt(text: &str) -> Vec<String> {
    let mut names = vec![];
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, c.is_alphanumeric() || c == '_') {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                names.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    let in_comment = |at: usize| text[..at].rsplit('\n').next().is_some_and(|line| line.contains(['#', '"']));
    names.retain(|name| name.len() >= 5 && text[name.clone()].is_ascii() && !in_comment(name.start));
    // Where a name is declared, its uses are as good a guess at what was meant.
    names.retain(|name| !is_declaration(&text[..name.start], &text[name.end..]));
    let slip = |(index, name): (usize, std::ops::Range<usize>)| {
        let mut letters: Vec<char> = text[name.clone()].chars().collect();
        let middle = letters.len() / 2;
        match index % 3 {
            0 => letters.swap(middle, middle + 1),
            1 => drop(letters.remove(middle)),
            _ => letters.insert(middle, letters[middle]),
        }
        format!("{}{}{}", &text[..name.start], letters.iter().collect::<String>(), &text[name.end..])
    };
    some(names).into_iter().enumerate().map(slip).filter(|slipped| slipped != text).collect()
}

fn unused_variable(text: &str) -> Vec<String> {
    let heads = text.match_indices(" {\n").filter(|(at, _)| {
        let line = text[..*at].rsplit('\n').next().unwrap_or("");
        line.trim_start().starts_with("fn ") && !line.contains('#')
    });
    some(heads.map(|(at, head)| format!("{}{head}    let spare_value = 1\n{}", &text[..at], &text[at + 3..])).collect())
}

fn unused_import(text: &str) -> Vec<String> {
    let lists =
        text.match_indices("use nn.{").map(|(at, list)| at + list.len()).filter(|_| !text.contains("GroupNorm"));
    let lists = lists.filter(|at| !text[*at..].starts_with('\n'));
    some(lists.map(|at| format!("{}GroupNorm, {}", &text[..at], &text[at..])).collect())
}

/// What became of the slips of one kind.
#[derive(Default)]
struct Tally {
    tried: usize,
    fixed: usize,
    missed: Vec<String>,
}

#[test]
fn slips_in_valid_programs_are_fixed() {
    let tallies = support::with_deep_stack(|| {
        let mut project = Project::new();
        let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
        for (name, text) in programs() {
            let (file, _) = project.open("slips", Source::new("slips.tri", text.as_str()), &mut NoFiles);
            // Programs with errors or hints of their own are no ground to judge on.
            if !project.check(file).is_empty() || !project.hints(file).is_empty() {
                continue;
            }
            for kind in KINDS {
                let tally = tallies.entry(kind.name).or_default();
                for slipped in (kind.slips)(&text) {
                    try_slip(&mut project, file, kind, (&name, &text, &slipped), tally);
                }
            }
        }
        tallies
    });
    for kind in KINDS {
        let tally = &tallies[kind.name];
        let missed = tally.missed.join("\n");
        println!("{}: {} of {}\n{missed}", kind.name, tally.fixed, tally.tried);
        assert!(tally.tried >= 5, "{}: only {} slips", kind.name, tally.tried);
        assert!(tally.fixed * 100 >= tally.tried * kind.rate, "{}: {} of {}", kind.name, tally.fixed, tally.tried);
    }
}

fn try_slip(project: &mut Project, file: FileId, kind: &Kind, texts: (&str, &str, &str), tally: &mut Tally) {
    let (name, text, slipped) = texts;
    project.edit(file, slipped.to_string());
    let before = project.check(file);
    // Some slips make another valid program.
    if before.is_empty() {
        return;
    }
    let errors = |found: &[tritonc::base::Diagnostic]| found.iter().filter(|d| d.is_error()).count();
    let fixed = repair(project, file);
    let after = project.check(file);
    assert!(errors(&after) <= errors(&before), "{name}: {} has more errors after the fix", kind.name);
    tally.tried += 1;
    if after.is_empty() && (!kind.restores || fixed.after == text) {
        tally.fixed += 1;
        return;
    }
    let changed = text.lines().zip(slipped.lines()).find(|(a, b)| a != b).map_or("", |(_, line)| line.trim());
    let rest = after.first().or(before.first()).map_or("", |d| d.message.as_str());
    tally.missed.push(format!("  {name}: {changed}\n    {rest}"));
}
