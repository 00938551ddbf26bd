//! Broken programs: for each the codes, in order of place, and the exact spans.
//!
//! `⟦` and `⟧` mark the spans; nested ones close innermost first. What the messages say is blessed in
//! `errors.txt`, to be read there.

use super::parse_file;
use crate::syntax::error::SyntaxError;
use crate::syntax::parse_expr;
use expect_test::expect_file;
use std::fmt::Write;

const BROKEN: &[(&str, &str)] = &[
    // Characters.
    ("E0001", "let x = 1 ⟦$⟧ 2"),
    ("E0001", "let x = 1 ⟦$$⟧ 2"),
    ("E0001", "let gr⟦ö⟧ße = 1\nprint(1)"),
    ("E0001", "print(⟦“⟧hello”)"),
    ("E0001", "if a ⟦&&⟧ b { f() }"),
    ("E0001", "if ⟦!⟧a { f() }"),
    ("E0001", "let x = ⟦'text'⟧"),
    ("E0001", "let x = a ⟦\0\0⟧"),
    ("E0002", "let x = ⟦\"abc⟧\nlet y = 1"),
    ("E0002", "print(⟦\"abc)⟧\nlet y = 1"),
    ("E0003", "let x = ⟦12abc⟧ + ⟦1__0⟧"),
    ("E0003", "let x = [⟦0xg⟧, ⟦1.2.3⟧, ⟦1e400⟧, ⟦99999999999999999999⟧]"),
    ("E0011", "let x = \"a⟦\\q⟧b\\z\""),
    ("E0011", "let x = \"⟦\\u{110000}⟧\""),
    ("E0011", "let x = \"⟦\\u⟧41\""),
    // Tokens.
    ("E0004", "let x =⟦⟧"),
    ("E0004", "fn f() { let x = ⟦}⟧"),
    ("E0004", "let x = 3 ⟦y⟧ = 4"),
    ("E0004", "let ⟦in⟧ = 3"),
    ("E0004", "let a⟦,⟧ b = f(x)"),
    ("E0004", "fn f() { for i⟦,⟧ b in xs { g(b) } }"),
    ("E0004", "fn f(x) { a⟦,⟧ b = x }"),
    ("E0004", "if x ⟦=⟧ 3 { f() }"),
    ("E0004", "if x⟦:⟧\n    f()"),
    ("E0004 E0004", "fn f(x)⟦:⟧\n    if x⟦:⟧\n        return 1\n    let y = 2\n    return y\n\nlet z = 3"),
    (
        "E0004 E0004",
        "layer A() {\n    fn f(x) {\n        if x⟦:⟧\n            g()\n        else⟦:⟧\n            h()\n    }\n}",
    ),
    ("E0004", "fn f(x) -> T⟦⟧\n    let y = x\n    return y\n}"),
    ("E0004", "if c⟦:⟧ f()"),
    ("E0004", "def ⟦f⟧(x): return x"),
    ("E0004", "import ⟦torch⟧"),
    ("E0004", "fn f⟦<⟧T>(x) { return x }"),
    ("E0004", "let x = 1 + ⟦if⟧ c { 1 } else { 2 }"),
    ("E0004", "let x = a == ⟦not⟧ b"),
    ("E0004", "let x = 0⟦..⟧n"),
    ("E0004", "layer A(n: int) {\n    param w ⟦F⟧[n]\n    param v: F[n]\n}"),
    ("E0004", "layer A(n: int) {\n    param w: ⟦=⟧ 3\n}"),
    ("E0004", "let y = ⟦if c { a }⟧"),
    ("E0004", "use nn.{Linear ⟦Conv⟧}"),
    ("E0004", "let s = q\n    @ k⟦.⟧T"),
    ("E0004", "let x = f(a⟦;⟧ b)"),
    ("E0004", "let x = [1, 2⟦)⟧"),
    ("E0004", "let x = (1 + 2⟦]⟧\nlet y = 3"),
    ("E0004", "let x = 1⟦)⟧ + 2"),
    ("E0004", "fn f() { return 1 }\n⟦}⟧\nfn g() { return 2 }"),
    ("E0004", "layer A() {\n    fn f(x) {\n        return x\n    }\n    ⟦}⟧\n    param w: F[n]\n}"),
    // Brackets.
    ("E0005", "let x = f⟦(⟧a, b\nlet y = 2"),
    ("E0005", "let x = f⟦(⟧a +\nlet y = 2"),
    ("E0005", "fn f() {\n    g⟦(⟧a, [1, 2]\n    return 3\n}"),
    ("E0005", "fn f() {\n    g⟦(⟧a\n}\nfn g() { }"),
    ("E0005", "layer A() {\n    fn f(x) ⟦{⟧\n        return x\n\n    fn g(x) { return x }\n}\nlet a = A()"),
    ("E0005", "fn f(x) ⟦{⟧\n    return x\n\nfn g(x) {\n    return x\n}"),
    ("E0005", "fn f(x) {\n    if x ⟦{⟧\n        return x\n}\n\nfn g() { }"),
    ("E0005", "layer A() {\n    fn f() {\n        if x ⟦{⟧"),
    ("E0005", "let x: Tensor⟦<⟧float32, [4] = 3\nlet y = 2"),
    // No effect.
    ("E0006", "fn f(a, b) {\n    let x = a\n        ⟦- b⟧\n    return x\n}"),
    ("E0006", "⟦x + 1⟧"),
    ("E0006", "fn f(x) { ⟦x + 1⟧ }"),
    ("E0006", "⟦x == 3⟧"),
    ("E0006", "fn f(x) { for i in 0..3 { if x { ⟦break⟧ } } }"),
    ("E0006", "fn f() { ⟦\"about f\"⟧\n return 1 }"),
    ("E0006", "let x = if c { ⟦a⟧\n b } else { c }"),
    ("E0006", "if c { ⟦a⟧ } else { f() }"),
    // Comparisons.
    ("E0007", "let x = ⟦a < b < c⟧"),
    ("E0007", "let x = ⟦f<T>(x)⟧"),
    // Places.
    ("E0012", "⟦return⟧ 3"),
    ("E0012", "⟦param⟧ x: F[n]"),
    ("E0012", "fn f() { ⟦fn⟧ g() { } }"),
    ("E0012", "fn f() { ⟦const⟧ k = 3 }"),
    ("E0012", "layer A() { ⟦use⟧ nn }"),
    ("E0012", "fn f() { let x if ⟦c⟧ = 3 }"),
    ("E0012", "let x: ⟦nn.Linear[F]⟧ = y"),
    ("E0211", "fn f() { ⟦g(x)⟧ = 3 }"),
    ("E0211", "⟦const (A, B)⟧ = (1, 2)"),
    ("E0211", "(a, ⟦1⟧) = f(x)"),
    // Several at once.
    ("E0004 E0004 E0003", "fn f() {\n    let x = ⟦)⟧\n    let ⟦3⟧ = x\n    let y = ⟦3x⟧\n    return y\n}"),
    ("E0004 E0007", "layer A() {\n    let x = ⟦*⟧ 3\n    fn f() {\n        return ⟦a < b < c⟧\n    }\n}"),
];

/// Takes the markers out: the text, and the spans in order of their starts.
fn unmark(marked: &str) -> (String, Vec<(u32, u32)>) {
    let (mut text, mut spans, mut open) = (String::new(), vec![], vec![]);
    for character in marked.chars() {
        match character {
            '⟦' => {
                open.push(spans.len());
                spans.push((text.len() as u32, 0));
            }
            '⟧' => {
                let at = open.pop().expect("an opening marker");
                spans[at].1 = text.len() as u32;
            }
            other => text.push(other),
        }
    }
    (text, spans)
}

fn shown(error: &SyntaxError) -> String {
    let mut out = format!("{} {}..{}: {}\n", error.code, error.span.start, error.span.end, error.message);
    let _ = writeln!(out, "  label: {}", error.label);
    if let Some((span, text)) = &error.related {
        let _ = writeln!(out, "  {}..{}: {text}", span.start, span.end);
    }
    for note in &error.notes {
        let _ = writeln!(out, "  note: {note}");
    }
    if let Some((title, edits)) = &error.fix {
        let edits: Vec<String> =
            edits.iter().map(|(span, text)| format!("{}..{} {text:?}", span.start, span.end)).collect();
        let _ = writeln!(out, "  fix: {title}: {}", edits.join(", "));
    }
    out
}

#[test]
fn each_mistake_gives_its_code_once_at_its_place() {
    let mut report = String::new();
    let mut failures = vec![];
    for (codes, marked) in BROKEN {
        let (text, spans) = unmark(marked);
        let (_, errors) = parse_file(&text);
        let found: Vec<(String, (u32, u32))> =
            errors.iter().map(|error| (error.code.to_string(), (error.span.start, error.span.end))).collect();
        let mut codes: Vec<String> = codes.split(' ').map(str::to_string).collect();
        while codes.len() < spans.len() {
            codes.push(codes[codes.len() - 1].clone());
        }
        let wanted: Vec<(String, (u32, u32))> = codes.into_iter().zip(spans).collect();
        let _ = writeln!(report, "---- {marked:?}");
        errors.iter().for_each(|error| report.push_str(&shown(error)));
        if found != wanted {
            failures.push(format!("{marked}\n  wanted {wanted:?}\n  found {errors:#?}"));
        }
    }
    expect_file!["errors.txt"].assert_eq(&report);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn errors_become_diagnostics_with_absolute_spans() {
    use crate::base::{FileId, Span};
    let errors = super::parse_item("let x = [1)").errors;
    let diagnostic = errors[0].diagnostic(FileId(3), 100);
    let spans: Vec<(Span, bool)> = diagnostic.labels.iter().map(|label| (label.span, label.primary)).collect();
    assert_eq!(spans, [(Span::new(110, 111), true), (Span::new(108, 109), false)]);
    assert_eq!((diagnostic.fixes[0].edits[0].span, &*diagnostic.fixes[0].edits[0].text), (Span::new(110, 111), "]"));
}

#[test]
fn fixes_repair() {
    for (broken, fixed) in [
        (
            "fn f(a, b) {\n    let x = a\n        - b\n    return x\n}",
            "fn f(a, b) {\n    let x = a -\n        b\n    return x\n}",
        ),
        ("let a, b = f(x)", "let (a, b) = f(x)"),
        ("let x = a < b < c", "let x = a < b and b < c"),
        ("if x = 3 { f() }", "if x == 3 { f() }"),
        ("let x = 'a'", "let x = \"a\""),
        ("fn f(x) { x + 1 }", "fn f(x) { return x + 1 }"),
        ("let x = (1]", "let x = (1)"),
        ("let x = \"a", "let x = \"a\""),
    ] {
        let errors = super::parse_item(broken).errors;
        let mut text = broken.to_string();
        let (_, edits) = errors[0].fix.clone().expect("a fix");
        for (span, new) in edits.iter().rev() {
            text.replace_range(span.start as usize..span.end as usize, new);
        }
        assert_eq!(text, fixed);
        assert_eq!(super::parse_item(&text).errors, []);
    }
}

#[test]
fn expressions_alone() {
    let parsed = parse_expr("a + b");
    assert!(parsed.errors.is_empty());
    assert_eq!(crate::syntax::print::ast(&parsed.ast), "(let _ = (+ a b))\n");
    assert_eq!(parsed.ast.exprs[1].span, crate::base::Span::new(4, 5));
    for (text, start, end) in [("", 0, 0), ("a +", 3, 3), ("a; b", 3, 4), ("let x = 3", 0, 3), ("a b", 2, 3)] {
        let errors = parse_expr(text).errors;
        assert_eq!(errors.len(), 1, "{text}: {errors:#?}");
        assert_eq!((errors[0].span.start, errors[0].span.end), (start, end), "{text}: {errors:#?}");
    }
}
