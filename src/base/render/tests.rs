use super::*;
use crate::base::code::{E0002, E0101, E0301, E0801, W0101};
use crate::base::{Edit, Source, Span};
use expect_test::expect;

fn program(text: &str) -> (Sources, FileId) {
    let mut sources = Sources::default();
    let file = sources.add(Source::new("mlp.tri", text));
    (sources, file)
}

fn span_of(text: &str, part: &str) -> Span {
    let start = text.find(part).expect("part of the text") as u32;
    Span::new(start, start + part.len() as u32)
}

const PRODUCT: &str = "layer Up(k: int, n: int) {\n    param weight: float32[n, k]\n\n    fn forward(x: float32[B, k]) {\n        return x @ weight\n    }\n}\n";

fn product() -> (Sources, Diagnostic) {
    let (sources, file) = program(PRODUCT);
    let place = span_of(PRODUCT, "x @ weight");
    let diagnostic = Diagnostic::new(E0301, "cannot multiply: inner dimensions k and n differ")
        .primary(file, place, "float32[B, k] @ float32[n, k]")
        .secondary(file, span_of(PRODUCT, "[n, k]"), "n comes from here")
        .note("a product contracts the last dim with the second last")
        .fix("transpose it", vec![Edit { file, span: Span::new(place.end, place.end), text: ".T".into() }]);
    (sources, diagnostic)
}

#[test]
fn human_form() {
    let (sources, diagnostic) = product();
    expect![[r#"
        error[E0301]: cannot multiply: inner dimensions k and n differ
          ┌─ mlp.tri:5:16
          │
        2 │     param weight: float32[n, k]
          │                          ------ n comes from here
          ·
        5 │         return x @ weight
          │                ^^^^^^^^^^ float32[B, k] @ float32[n, k]
          │
          = note: a product contracts the last dim with the second last
          = help: transpose it: insert `.T`

    "#]]
    .assert_eq(&render(&[diagnostic], &sources, Format::Human, false));
}

#[test]
fn short_form() {
    let (sources, diagnostic) = product();
    let nowhere = Diagnostic::new(E0801, "cannot read `a.tri`:\nno such file");
    expect![[r#"
        mlp.tri:5:16: error[E0301]: cannot multiply: inner dimensions k and n differ
        error[E0801]: cannot read `a.tri`: no such file
    "#]]
    .assert_eq(&render(&[nowhere, diagnostic], &sources, Format::Short, false));
}

#[test]
fn json_form() {
    let (sources, diagnostic) = product();
    expect![[r#"
        {"code":"E0301","severity":"error","message":"cannot multiply: inner dimensions k and n differ","file":"mlp.tri","labels":[{"start":110,"end":120,"line":5,"column":16,"text":"float32[B, k] @ float32[n, k]","primary":true},{"start":52,"end":58,"line":2,"column":26,"text":"n comes from here","primary":false}],"notes":["a product contracts the last dim with the second last"],"fixes":[{"title":"transpose it","edits":[{"start":120,"end":120,"text":".T"}],"applicability":"certain"}]}
    "#]].assert_eq(&render(&[diagnostic], &sources, Format::Json, false));
    let nowhere = Diagnostic::new(E0801, "cannot read it");
    expect![[r#"
        {"code":"E0801","severity":"error","message":"cannot read it","file":null,"labels":[],"notes":[],"fixes":[]}
    "#]]
    .assert_eq(&render(&[nowhere], &sources, Format::Json, false));
}

#[test]
fn sarif_form() {
    let (sources, diagnostic) = product();
    let text = render(&[diagnostic], &sources, Format::Sarif, false);
    let mut log: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
    log["runs"][0]["tool"] = serde_json::Value::Null;
    expect![[r#"
        {
          "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
          "version": "2.1.0",
          "runs": [
            {
              "tool": null,
              "columnKind": "unicodeCodePoints",
              "results": [
                {
                  "ruleId": "E0301",
                  "ruleIndex": 0,
                  "level": "error",
                  "message": {
                    "text": "cannot multiply: inner dimensions k and n differ\na product contracts the last dim with the second last"
                  },
                  "locations": [
                    {
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "mlp.tri"
                        },
                        "region": {
                          "startLine": 5,
                          "startColumn": 16,
                          "endLine": 5,
                          "endColumn": 26,
                          "byteOffset": 110,
                          "byteLength": 10
                        }
                      },
                      "message": {
                        "text": "float32[B, k] @ float32[n, k]"
                      }
                    }
                  ],
                  "relatedLocations": [
                    {
                      "id": 0,
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "mlp.tri"
                        },
                        "region": {
                          "startLine": 2,
                          "startColumn": 26,
                          "endLine": 2,
                          "endColumn": 32,
                          "byteOffset": 52,
                          "byteLength": 6
                        }
                      },
                      "message": {
                        "text": "n comes from here"
                      }
                    }
                  ],
                  "fixes": [
                    {
                      "description": {
                        "text": "transpose it"
                      },
                      "artifactChanges": [
                        {
                          "artifactLocation": {
                            "uri": "mlp.tri"
                          },
                          "replacements": [
                            {
                              "deletedRegion": {
                                "startLine": 5,
                                "startColumn": 26,
                                "endLine": 5,
                                "endColumn": 26,
                                "byteOffset": 120,
                                "byteLength": 0
                              },
                              "insertedContent": {
                                "text": ".T"
                              }
                            }
                          ]
                        }
                      ]
                    }
                  ]
                }
              ]
            }
          ]
        }
    "#]].assert_eq(&format!("{log:#}\n"));
    let empty = render(&[], &sources, Format::Sarif, false);
    let empty: serde_json::Value = serde_json::from_str(&empty).expect("valid JSON");
    assert_eq!(empty["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn sorted_by_place_and_without_repetition() {
    let (_, file) = program("abcdef");
    let at = |start| Diagnostic::new(E0101, "unknown").primary(file, Span::new(start, start + 1), "");
    let other = Diagnostic::new(E0101, "unknown").primary(FileId(1), Span::new(0, 1), "");
    let nowhere = Diagnostic::new(E0801, "gone");
    let all = [other.clone(), nowhere.clone(), at(3), at(1), at(3)];
    assert_eq!(sorted(&all), [&at(1), &at(3), &other, &nowhere]);
}

#[test]
fn columns_count_characters() {
    let text = "let β = \"日本\" + y\n";
    let (sources, file) = program(text);
    let diagnostic = Diagnostic::new(E0101, "unknown name `y`").primary(file, span_of(text, "y"), "not defined");
    let line = render(std::slice::from_ref(&diagnostic), &sources, Format::Short, false);
    assert_eq!(line, "mlp.tri:1:16: error[E0101]: unknown name `y`\n");
    expect![[r#"
        error[E0101]: unknown name `y`
          ┌─ mlp.tri:1:16
          │
        1 │ let β = "日本" + y
          │                  ^ not defined

    "#]]
    .assert_eq(&render(&[diagnostic], &sources, Format::Human, false));
}

#[test]
fn control_characters_are_shown_not_sent() {
    let text = "let\ta = \"\x1b[31mred\0\u{202e}\x7f\"\r\nlet b = 1\r\n";
    let mut sources = Sources::default();
    let file = sources.add(Source::new("\x1b]0;evil\x07.tri", text));
    let diagnostic = Diagnostic::new(E0002, "unterminated \x1b[2J string")
        .primary(file, span_of(text, "red"), "he\x08re")
        .note("line one\nline two");
    for format in [Format::Human, Format::Short] {
        let shown = render(std::slice::from_ref(&diagnostic), &sources, format, false);
        assert!(!shown.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}')), "{shown:?}");
    }
    expect![[r#"
        error[E0002]: unterminated ␛[2J string
          ┌─ ␛]0;evil␇.tri:1:15
          │
        1 │ let a = "␛[31mred␀�␡"
          │               ^^^ he␈re
          │
          = note: line one
                  line two

    "#]]
    .assert_eq(&render(&[diagnostic], &sources, Format::Human, false));
}

#[test]
fn long_lines_and_long_labels_are_cut() {
    let text = format!("{} bad {}\n{}", "a ".repeat(1000), "b ".repeat(50_000), "c\n".repeat(1000));
    let (sources, file) = program(&text);
    let diagnostic = Diagnostic::new(E0101, "unknown name `bad`")
        .primary(file, span_of(&text, "bad"), "here")
        .secondary(file, Span::new(0, text.len() as u32), "all of it");
    let shown = render(std::slice::from_ref(&diagnostic), &sources, Format::Human, false);
    assert!(shown.len() < 2000, "{} bytes", shown.len());
    assert!(shown.contains("mlp.tri:1:2002"), "{shown}");
    let alone = Diagnostic { labels: diagnostic.labels[..1].to_vec(), ..diagnostic };
    let shown = render(&[alone], &sources, Format::Human, false);
    assert!(shown.contains("a  bad b"), "{shown}");
}

#[test]
fn spans_out_of_the_file_do_no_harm() {
    for text in ["", "é", "a\n", "\n\n"] {
        let (sources, file) = program(text);
        for span in [Span::new(0, 0), Span::new(1, 1), Span::new(7, 9), Span::new(2, 1)] {
            let diagnostic = Diagnostic::new(W0101, "unused").primary(file, span, "here");
            for format in [Format::Human, Format::Short, Format::Json, Format::Sarif] {
                assert!(render(std::slice::from_ref(&diagnostic), &sources, format, true).contains("unused"));
            }
        }
    }
}

#[test]
fn distant_labels_leave_a_gap() {
    let text: String = (1..=30).map(|i| format!("line{i}\n")).collect();
    let (sources, file) = program(&text);
    let diagnostic = Diagnostic::new(E0101, "two places")
        .primary(file, span_of(&text, "line2\n"), "")
        .secondary(file, span_of(&text, "line4"), "near")
        .secondary(file, span_of(&text, "line29"), "far");
    expect![[r#"
        error[E0101]: two places
           ┌─ mlp.tri:2:1
           │
         2 │ line2
           │ ^^^^^
         3 │ line3
         4 │ line4
           │ ----- near
           ·
        29 │ line29
           │ ------ far

    "#]]
    .assert_eq(&render(&[diagnostic], &sources, Format::Human, false));
}

#[test]
fn colours_only_on_demand() {
    let (sources, diagnostic) = product();
    assert!(render(std::slice::from_ref(&diagnostic), &sources, Format::Human, true).contains("\x1b["));
    assert!(!render(&[diagnostic], &sources, Format::Human, false).contains('\x1b'));
}

/// Whatever the text and wherever the labels: every form holds the message, and nothing reaches the
/// terminal unseen.
#[test]
fn arbitrary_text_and_labels_do_no_harm() {
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let alphabet = ['a', ' ', '\n', '\n', '\t', '\r', '\0', '\x1b', 'é', '日', '\u{301}', '\u{202e}', '😀', '\u{85}'];
    for _ in 0..2000 {
        let longest = if random(10) == 0 { 2000 } else { 60 };
        let length = random(longest);
        let text: String = (0..length).map(|_| alphabet[random(alphabet.len())]).collect();
        let (sources, file) = program(&text);
        let mut diagnostic = Diagnostic::new(E0101, "the message");
        for index in 0..1 + random(4) {
            let (a, b) = (random(text.len() + 4) as u32, random(text.len() + 4) as u32);
            diagnostic.labels.push(Label { file, span: Span::new(a, b), text: "l".into(), primary: index == 0 });
        }
        for format in [Format::Human, Format::Short, Format::Json, Format::Sarif] {
            let shown = render(std::slice::from_ref(&diagnostic), &sources, format, false);
            assert!(shown.contains("the message"), "{text:?} {diagnostic:?}");
            let hidden = |c: char| c != '\n' && shown_char(c).is_some();
            assert!(!matches!(format, Format::Human | Format::Short) || !shown.contains(hidden), "{shown:?}");
        }
    }
}
