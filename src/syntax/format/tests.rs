//! What cases do not show: the net under the formatter, the alignment of comments, and where errors stand.

use super::page::Page;
use super::{Unformatted, format, same};

#[test]
fn what_would_alter_a_program_is_noticed() {
    let before = "# one\nlet x = f(1, a)  # two\n\n## doc\nfn f(x: int) = x\n";
    let altered = [
        ("f(1, a)", "f(2, a)", "the item in line 2 would mean something else"),
        ("f(1, a)", "f((1, a))", "the item in line 2 would mean something else"),
        ("f(1, a)", "f(1 a)", "the item in line 2 would no longer parse"),
        ("f(1, a)", "f(1); a()", "the item in line 2 would mean something else"),
        ("## doc\n", "## doc\n\n", "the item in line 4 would mean something else"),
        ("= x\n", "= x\nf(1)\n", "items would be lost or joined"),
        ("# one\n", "", "the comment in line 1 would move or change"),
        ("# two", "# tow", "the comment in line 2 would move or change"),
        ("= x\n", "= x\n# three\n", "comments would be lost or joined"),
    ];
    for (old, new, expected) in altered {
        let after = before.replace(old, new);
        assert_ne!(after, before);
        assert_eq!(same::difference(before, &after).as_deref(), Some(expected), "{after}");
    }
    let spaced = before.replace("f(1, a)", "(\n    f( 1,((a)), ))").replace("# one", "# one  ");
    assert_eq!(same::difference(before, &spaced), None);
}

#[test]
fn older_spellings_are_the_same_program() {
    let pairs = [
        ("let x: Tensor = a\n", "let x: float32[...] = a\n"),
        ("let x: tensor<F, [M, 2]> = a\n", "let x: F[M, 2] = a\n"),
        ("let x = TernaryTensor[2, 1](1, 0)\n", "let x = trit[2, 1](1, 0)\n"),
        ("let x = TernaryTensor<[2, 1]>(1, 0)\n", "let x = trit[2, 1](1, 0)\n"),
    ];
    for (old, new) in pairs {
        assert_eq!(format(old).as_deref(), Ok(new));
        assert_eq!(format(new).as_deref(), Ok(new));
    }
    assert!(same::difference("let x: Tensor = a\n", "let x: float16[...] = a\n").is_some());
    assert!(same::difference("let x = Tensor\n", "let x = float32\n").is_some());
}

#[test]
fn tokens_that_would_run_together_stay_apart() {
    let kept =
        ["f((1.).to(int8))", "for i in 1. ..n { g(i) }", "f((tensor) < x)", "f(- -x)", "f(2 ** -1)", "f(1.to(int8))"];
    for text in kept {
        let text = format!("{text}\n");
        let once = format(&text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
        assert_eq!(once, text.replace("- -x", "--x"));
    }
}

#[test]
fn errors_stand_where_they_are_in_the_file() {
    let text = "let a = 1\n\nlet b = = 2\nlet c = ]\n";
    let Err(Unformatted::Syntax(errors)) = format(text) else { panic!("an error was expected") };
    let places: Vec<u32> = errors.iter().map(|error| error.span.start).collect();
    assert_eq!(places, [text.find("= 2").unwrap() as u32, text.find(']').unwrap() as u32]);
}

/// A page with these lines, each with its indentation, code and comment.
fn page(lines: &[(u32, &str, &str)]) -> String {
    let mut page = Page::default();
    for (indent, code, comment) in lines {
        page.new_line(*indent, false);
        page.text(code);
        if !comment.is_empty() {
            page.suffix(comment);
        }
    }
    page.finish()
}

#[test]
fn comments_of_neighbours_are_aligned() {
    assert_eq!(page(&[(0, "a", "# 1"), (0, "long", "# 2")]), "a     # 1\nlong  # 2\n");
    // Not across a line without a comment, another indentation, or a bracket.
    assert_eq!(page(&[(0, "a", "# 1"), (0, "b", ""), (0, "long", "# 2")]), "a  # 1\nb\nlong  # 2\n");
    assert_eq!(page(&[(0, "a", "# 1"), (4, "long", "# 2")]), "a  # 1\n    long  # 2\n");
    assert_eq!(page(&[(0, "a", "# 1"), (0, "long(", "# 2")]), "a  # 1\nlong(  # 2\n");
    // Nor where it would make a line too long.
    let long = "x".repeat(100);
    let comment = format!("# {}", "y".repeat(30));
    assert_eq!(page(&[(0, "a", &comment), (0, &long, "# 2")]), format!("a  {comment}\n{long}  # 2\n"));
}

#[test]
fn comments_without_room_get_lines_of_their_own() {
    let mut page = Page::default();
    page.text("a");
    for comment in ["# 1", "## 2", "# 3"] {
        page.suffix(comment);
    }
    page.new_line(8, false);
    page.text("+ b");
    page.spill(4);
    page.new_line(4, false);
    page.text("c");
    // An empty line, lest `## 2` document what follows.
    assert_eq!(page.finish(), "a  # 1\n        + b\n    ## 2\n    # 3\n\n    c\n");
}

#[test]
fn time_and_text_grow_together() {
    let line = "    let y = x.relu() + g(1, [x, x], k=-1) @ x  # remark\n";
    let time = |count: usize| {
        let text = format!("fn f(x) {{\n{}}}\n", line.repeat(count));
        let turns = (0..3).map(|_| {
            let start = std::time::Instant::now();
            assert_eq!(format(&text).map(|formatted| formatted.len()), Ok(text.len()));
            start.elapsed()
        });
        turns.min().unwrap_or_default()
    };
    // Squared growth would make it 64 times as long.
    let (short, long) = (time(250), time(2000));
    assert!(long < short * 40, "{short:?} for 250 lines, {long:?} for 2000");
}

/// Were it moved behind the name, it would become the documentation of `a`.
#[test]
fn comments_within_an_attribute_stay_there() {
    let text = "layer L(d: int) {\n    @\n\n## doc\n\n# too\nquantize(int8())\n    param a: float32[d]\n}\n";
    let once =
        "layer L(d: int) {\n    @\n\n    ## doc\n\n    # too\n    quantize(int8())\n    param a: float32[d]\n}\n";
    assert_eq!(format(text).as_deref(), Ok(once));
    assert_eq!(format(once).as_deref(), Ok(once));
}

/// Were it moved behind the statement, it would become the documentation of `forward`.
#[test]
fn comments_within_a_chain_stay_there() {
    let text = "layer L(d: int) {\n    let a = f(d)\n    ## doc\n    .b  fn forward(x: float32[d]) = x\n}\n";
    let once =
        "layer L(d: int) {\n    let a = f(d)\n        ## doc\n        .b\n    fn forward(x: float32[d]) = x\n}\n";
    assert_eq!(format(text).as_deref(), Ok(once));
    assert_eq!(format(once).as_deref(), Ok(once));
}
