//! Hostile texts: each ends in one error, soon, without a panic or an overflowing stack.

use super::parse_file;
use crate::syntax::layout::MAX_TOKENS;
use crate::syntax::{MAX_FILE, check_size, print};
use std::time::{Duration, Instant};

/// The time for which this thread had a processor, so that a busy machine does not count; where the system does
/// not tell, the time since the start.
fn time_spent(since: Instant) -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let running = statistics.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok());
    running.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

/// The codes of a text's errors, found within the time limit.
fn codes(text: &str) -> Vec<String> {
    let start = Instant::now();
    let before = time_spent(start);
    let (_, errors) = parse_file(text);
    let elapsed = time_spent(start).saturating_sub(before);
    assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
    errors.iter().map(|error| error.code.to_string()).collect()
}

#[test]
fn brackets_nest_to_the_limit_and_no_further() {
    for (open, close) in [("(", ")"), ("[", "]")] {
        let nested = |count: usize| format!("let x = {}1{}", open.repeat(count), close.repeat(count));
        assert_eq!(codes(&nested(256)), [""; 0]);
        assert_eq!(codes(&nested(257)), ["E0008"]);
        assert_eq!(codes(&nested(50_000)), ["E0008"]);
        assert_eq!(codes(&format!("let x = {}", open.repeat(50_000))), ["E0008"]);
        assert_eq!(codes(&close.repeat(50_000))[0], "E0004");
    }
    assert_eq!(codes(&"if a { ".repeat(50_000)), ["E0008"]);
    assert_eq!(codes(&format!("{}f(){}", "if a { ".repeat(255), " }".repeat(255))), [""; 0]);
    assert_eq!(codes(&format!("type T = {}int", "[".repeat(50_000))), ["E0008"]);
    assert_eq!(codes(&format!("type T = {}", "Tensor<".repeat(50_000))), ["E0008"]);
}

#[test]
fn chains_count_as_depth() {
    let chains: [(&str, String); 13] = [
        ("sum", format!("let x = a{}", " + a".repeat(100_000))),
        ("minus", format!("let x = {}a", "-".repeat(100_000))),
        ("not", format!("let x = {}a", "not ".repeat(100_000))),
        ("power", format!("let x = a{}", " ** a".repeat(100_000))),
        ("negative power", format!("let x = a ** {}a", "-".repeat(100_000))),
        ("field", format!("let x = a{}", ".b".repeat(100_000))),
        ("call", format!("let x = a{}", "()".repeat(100_000))),
        ("index", format!("let x = a{}", "[0]".repeat(100_000))),
        ("pipe", format!("let x = a{}", " |> f".repeat(100_000))),
        ("or", format!("let x = a{}", " or a".repeat(100_000))),
        ("else if", format!("if a {{ f() }}{}", " else if a { f() }".repeat(40_000))),
        ("else if in a block", format!("fn f() {{ if a {{ f() }}{} }}", " else if a { f() }".repeat(40_000))),
        ("else if as a value", format!("let x = if a {{ b }}{} else {{ c }}", " else if a { b }".repeat(40_000))),
    ];
    for (name, text) in chains {
        assert_eq!(codes(&text), ["E0008"], "{name}");
    }
    assert_eq!(codes(&format!("let x = a{}", " < a".repeat(100_000))), ["E0007"]);
    assert_eq!(codes(&format!("let x = a{}", " + a".repeat(990))), [""; 0]);
    assert_eq!(codes(&format!("fn f() {{ if a {{ f() }}{} }}", " else if a { f() }".repeat(900))), [""; 0]);
}

#[test]
fn long_tokens_are_quick() {
    let long = 10 << 20;
    assert_eq!(codes(&"a".repeat(long)), ["E0006"]);
    assert_eq!(codes(&format!("let x = {}", "1".repeat(long))), ["E0003"]);
    assert_eq!(codes(&format!("let x = 0.{}", "1".repeat(long))), [""; 0]);
    assert_eq!(codes(&format!("let x = \"{}", "a".repeat(long))), ["E0002"]);
    assert_eq!(codes(&format!("let x = \"{}\"", "\\q".repeat(long / 2))), ["E0011"]);
    assert_eq!(codes(&"$".repeat(long)), ["E0001"]);
    assert_eq!(codes(&"\0".repeat(long)), ["E0001"]);
    assert_eq!(codes(&"ö".repeat(long / 2)), ["E0001"]);
    assert_eq!(codes(&"#".repeat(long)), [""; 0]);
    assert_eq!(codes(&"\n".repeat(long)), [""; 0]);
}

#[test]
fn many_mistakes_are_quick() {
    let many = 300_000;
    let texts = [
        "(]".repeat(many),
        "let (\n".repeat(many) + &"]".repeat(many),
        format!("fn f() {{\n{}}}", "a\n".repeat(many)),
        format!("fn f() {{\n{}}}", "a $\n".repeat(many)),
        format!("fn f() {{\n{}}}", "let = 1\n".repeat(many)),
        format!("fn f() {{\n{}}}", "g(\nlet x = \"\n".repeat(many)),
        format!("layer A() {{\n{}}}", "## doc\nlet a = 1\n".repeat(many)),
        "}{".repeat(many),
        "@a\n".repeat(many),
    ];
    for text in texts {
        codes(&text);
    }
}

#[test]
fn too_many_tokens_and_bytes_are_refused() {
    assert_eq!(codes(&format!("let x = [{}]", "1,".repeat(MAX_TOKENS / 2 + 1))), ["E0009"]);
    assert_eq!(check_size(MAX_FILE), None);
    assert_eq!(check_size(MAX_FILE + 1).map(|error| error.code.to_string()), Some("E0009".into()));
}

#[test]
fn short_texts_of_any_characters_end() {
    let alphabet: Vec<String> =
        (0..128u8).map(|byte| (byte as char).to_string()).chain(["ö".into(), "\u{FEFF}".into()]).collect();
    for first in &alphabet {
        for second in &alphabet {
            for text in
                [format!("{first}{second}"), format!("let x = {first}{second}1"), format!("fn f({first}{second}")]
            {
                parse_file(&text);
                print::tokens(&text);
            }
        }
    }
}
