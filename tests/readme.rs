//! README.md keeps its word: its program is right, and gives the message shown when `.T` is forgotten.

mod support;

use tritonc::driver::{Session, SessionOptions};

/// The first fenced block of a language.
fn block<'a>(page: &'a str, language: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect("the page has such a block");
    rest.split("```").next().unwrap_or_default()
}

fn check(text: &str) -> String {
    let mut session = Session::new(SessionOptions::default());
    session.check_text("up.tri", text);
    session.render().lines().map(|line| line.trim_end().to_string() + "\n").collect()
}

#[test]
fn the_program_and_its_message() {
    let page = std::fs::read_to_string(support::root().join("README.md")).unwrap();
    let program = block(&page, "tri");
    assert_eq!(check(program), "");
    assert!(program.contains("weight.T"));
    assert_eq!(check(&program.replace("weight.T", "weight")).trim_end(), block(&page, "text").trim_end());
}
