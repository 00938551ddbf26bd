//! The programs in the language reference keep their word: each `tri` block of the pages below is a whole
//! program that checks clean, but for the diagnostics that its `#~` remarks announce; its tests pass, and where
//! it is a script, it runs.

mod support;

use std::fs;
use support::{announced, directives, root, with_deep_stack};
use tritonc::driver::{RunRequest, Session, SessionOptions};

/// The pages, with how many blocks they have at least.
const PAGES: &[(&str, usize)] = &[("docs/language.md", 20), ("docs/models.md", 1), ("docs/gradients.md", 1)];

/// The blocks of a page, with the line that each begins on.
fn programs(page: &str) -> Vec<(usize, String)> {
    let page = fs::read_to_string(root().join(page)).unwrap();
    let mut programs = vec![];
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line == "```tri" {
            let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            programs.push((number + 2, block.join("\n") + "\n"));
        }
    }
    programs
}

/// What is wrong with a program.
fn problems(text: &str) -> Vec<String> {
    // The reader of cases wants a stage; behind the text it moves no line.
    let announced = match directives::parse(&format!("{text}#@ test: check\n")) {
        Ok(directives) => directives.announced,
        Err(problem) => return vec![problem],
    };
    let mut session = Session::new(SessionOptions::default());
    let mut given = session.check_text("page.tri", text);
    let file = session.project.sources().iter().find(|(_, source)| source.name == "page.tri").map(|(id, _)| id);
    given.extend(file.iter().flat_map(|file| session.project.hints(*file)));
    let misfits = announced::misfits("page.tri", &announced, &given, session.project.sources());
    if !misfits.is_empty() || !announced.is_empty() {
        return misfits;
    }
    run(text)
}

/// Runs the tests of a program, or the program itself if it is a script.
fn run(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.tri");
    fs::write(&path, text).unwrap();
    let path = path.to_string_lossy().into_owned();
    let is_test = text.lines().any(|line| line.starts_with("test \""));
    let is_script = text.lines().any(|line| line.starts_with("print("));
    let mut session = Session::new(SessionOptions::default());
    let mut problems = vec![];
    if is_test {
        match session.test(&path) {
            Ok(report) => problems.extend(
                report.tests.iter().filter_map(|test| Some(format!("{}: {}", test.name, test.failure.as_ref()?))),
            ),
            Err(_) => problems.push(messages(&session)),
        }
    } else if is_script && session.run(&path, &RunRequest::default(), &mut std::io::sink()).is_err() {
        problems.push(messages(&session));
    }
    problems
}

fn messages(session: &Session) -> String {
    session.diagnostics().iter().map(|d| format!("{}: {}", d.code, d.message)).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_reference_keeps_its_word() {
    for (page, least) in PAGES {
        let programs = programs(page);
        assert!(programs.len() >= *least, "{page}: {} programs", programs.len());
        let found: Vec<String> = with_deep_stack(move || {
            let each = programs.iter().flat_map(|(line, text)| {
                problems(text).into_iter().map(move |problem| format!("{page}:{line}: {problem}"))
            });
            each.collect()
        });
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

#[test]
fn a_program_that_breaks_its_word_is_found() {
    assert_eq!(problems("fn f(x: float32[N]) -> float32[N] = x\n"), Vec::<String>::new());
    assert!(problems("fn f(x: float32[N]) -> float32[N] = y\n")[0].contains("E0101"));
    assert_eq!(problems("fn f(x: float32[N]) = y #~ E0101 \"y\"\n"), Vec::<String>::new());
    assert!(problems("fn f(x: float32[N]) = x #~ E0101 \"y\"\n")[0].contains("missing"));
    assert!(problems("test \"t\" { assert 1 == 2 }\n")[0].contains("1 == 2"));
}

#[test]
fn the_page_names_the_library() {
    let page = fs::read_to_string(root().join("docs/language.md")).unwrap();
    let (_, list) = page.split_once("## The standard library").unwrap();
    let (list, _) = list.split_once("\n## ").unwrap();
    let words: Vec<&str> = list.split(|symbol: char| !(symbol.is_alphanumeric() || symbol == '_')).collect();
    let functions = Session::default().project.library_functions();
    let missing: Vec<&String> =
        functions.iter().filter(|path| path.rsplit('.').next().is_none_or(|name| !words.contains(&name))).collect();
    assert!(functions.len() > 60 && missing.is_empty(), "docs/language.md does not name {missing:?}");
}
