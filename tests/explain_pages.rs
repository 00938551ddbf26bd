//! The explain pages are tested: what a page calls wrong gives its code, what it calls right is clean.
//!
//! A page holds programs in fenced `tri` blocks, each under a line `Wrong:` or `Right:`. A code that no
//! program text can trigger has a fenced `sh` block under `Command:` instead.

use tritonc::base::code::TABLE;
use tritonc::base::{Code, Diagnostic};
use tritonc::driver::{Session, SessionOptions};

/// The blocks of a page.
#[derive(Debug, Default, PartialEq)]
struct Page {
    wrong: Vec<String>,
    right: Vec<String>,
    commands: Vec<String>,
}

/// Collects the blocks of a page; a block without a heading or a heading without a block is an error.
fn read_page(text: &str) -> Result<Page, String> {
    let mut page = Page::default();
    let mut heading: Option<&str> = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let block = block.join("\n") + "\n";
            match (heading.take(), language) {
                (Some("Wrong:"), "tri") => page.wrong.push(block),
                (Some("Right:"), "tri") => page.right.push(block),
                (Some("Command:"), "sh") => page.commands.push(block),
                (heading, language) => return Err(format!("a `{language}` block under {heading:?}")),
            }
        } else if matches!(line, "Wrong:" | "Right:" | "Command:") {
            if let Some(heading) = heading {
                return Err(format!("`{heading}` without a block"));
            }
            heading = Some(line);
        } else if let Some(heading) = heading
            && !line.is_empty()
        {
            return Err(format!("text between `{heading}` and its block"));
        }
    }
    match heading {
        Some(heading) => Err(format!("`{heading}` without a block")),
        None => Ok(page),
    }
}

/// Everything wrong with a page.
fn examine(code: Code, text: &str, check: impl Fn(&str) -> Vec<Diagnostic>) -> Vec<String> {
    let page = match read_page(text) {
        Ok(page) => page,
        Err(problem) => return vec![format!("{code}: {problem}")],
    };
    let mut problems = vec![];
    if page.commands.is_empty() && (page.wrong.is_empty() || page.right.is_empty()) {
        problems.push(format!("{code}: needs a wrong and a right program, or a command"));
    }
    for program in &page.wrong {
        let found = check(program);
        if !found.iter().any(|diagnostic| diagnostic.code == code) {
            problems.push(format!("{code}: the wrong program gives {:?}:\n{program}", summary(&found)));
        }
    }
    for program in &page.right {
        let found = check(program);
        if !found.is_empty() {
            problems.push(format!("{code}: the right program gives {:?}:\n{program}", summary(&found)));
        }
    }
    problems
}

fn summary(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(|d| format!("{}: {}", d.code, d.message)).collect()
}

fn check(text: &str) -> Vec<Diagnostic> {
    let mut session = Session::new(SessionOptions::default());
    let mut found = session.check_text("page.tri", text);
    let page = session.project.sources().iter().find(|(_, source)| source.name == "page.tri").map(|(id, _)| id);
    found.extend(page.iter().flat_map(|page| session.project.hints(*page)));
    found
}

#[test]
fn every_page_keeps_its_word() {
    let problems: Vec<String> = TABLE.iter().flat_map(|entry| examine(entry.code, entry.page, check)).collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn pages_have_their_form() {
    for entry in TABLE {
        assert!(read_page(entry.page).is_ok(), "{}: {:?}", entry.code, read_page(entry.page));
    }
}

#[test]
fn a_page_that_breaks_its_word_is_found() {
    use tritonc::base::code::{E0001, E0101};
    let page = "# T\n\nWhy.\n\nWrong:\n```tri\nlet a = b\n```\n\nRight:\n\n```tri\nlet a = 1\n```\n";
    let blocks = read_page(page).unwrap();
    assert_eq!((blocks.wrong, blocks.right), (vec!["let a = b\n".to_string()], vec!["let a = 1\n".to_string()]));
    let checker = |text: &str| if text.contains('b') { vec![Diagnostic::new(E0101, "unknown")] } else { vec![] };
    assert_eq!(examine(E0101, page, checker), Vec::<String>::new());
    assert_eq!(examine(E0001, page, checker), ["E0001: the wrong program gives [\"E0101: unknown\"]:\nlet a = b\n"]);
    let swapped = page.replace("Wrong:", "X").replace("Right:", "Wrong:").replace('X', "Right:");
    assert_eq!(examine(E0101, &swapped, checker).len(), 2);
    assert_eq!(examine(E0101, "# T\n", checker), ["E0101: needs a wrong and a right program, or a command"]);
    assert!(read_page("Wrong:\n").is_err());
    assert!(read_page("```tri\n```\n").is_err());
    assert!(read_page("Wrong:\ntext\n```tri\n```\n").is_err());
}
