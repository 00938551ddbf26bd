//! The forms of diagnostics for programs, over all cases with errors: JSON as `--error-format json` promises it, SARIF
//! by the properties that its schema demands, and both pointing at the same text.

mod support;

use serde_json::Value;
use std::path::PathBuf;
use tritonc::base::render::{Format, render};
use tritonc::base::{Diagnostic, Sources};
use tritonc::driver::{Session, SessionOptions};

struct Reported {
    path: PathBuf,
    text: String,
    diagnostics: Vec<Diagnostic>,
    sources: Sources,
}

impl Reported {
    fn render(&self, format: Format) -> String {
        render(&self.diagnostics, &self.sources, format, false)
    }
}

/// What is said about each case that announces an error.
fn reported() -> Vec<Reported> {
    let files = support::files_below(&support::root().join("tests/cases"), ".tri").unwrap();
    let mut all = vec![];
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        if text.contains("#~") {
            let mut session = Session::new(SessionOptions::default());
            let diagnostics = session.check_text("case.tri", &text);
            let sources = session.project.sources().clone();
            all.push(Reported { path, text, diagnostics, sources });
        }
    }
    assert!(all.len() > 40, "{} cases with errors", all.len());
    all
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("a number: {value}")) as usize
}

fn text<'a>(value: &'a Value, what: &str) -> &'a str {
    value.as_str().unwrap_or_else(|| panic!("{what} is a text: {value}"))
}

fn list<'a>(value: &'a Value, what: &str) -> &'a [Value] {
    value.as_array().unwrap_or_else(|| panic!("{what} is a list: {value}"))
}

/// The text of a file that a diagnostic names.
fn source<'a>(reported: &'a Reported, name: &str) -> &'a str {
    let found = reported.sources.iter().find(|(_, source)| source.name == name);
    &found.unwrap_or_else(|| panic!("there is no {name}")).1.text
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("an object: {value}")).keys().map(String::as_str).collect()
}

/// 1-based line, and column in characters.
fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or("").chars().count() + 1)
}

#[test]
fn json_lines_have_their_form_and_point_at_the_text() {
    let mut fixes = 0;
    for reported in reported() {
        let lines: Vec<Value> =
            reported.render(Format::Json).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), reported.diagnostics.len(), "{}", reported.path.display());
        for line in &lines {
            assert_eq!(keys(line), ["code", "severity", "message", "file", "labels", "notes", "fixes"]);
            assert!(matches!(text(&line["severity"], "severity"), "error" | "warning"));
            let home = text(&line["file"], "file");
            for label in list(&line["labels"], "labels") {
                let file = source(&reported, label.get("file").map_or(home, |file| text(file, "file")));
                let (start, end) = (number(&label["start"]), number(&label["end"]));
                assert!(file.get(start..end).is_some(), "{line}");
                assert_eq!((number(&label["line"]), number(&label["column"])), line_column(file, start));
                text(&label["text"], "text");
                // A message about a name points at it.
                let quoted = text(&line["message"], "message").split('`').nth(1);
                if line["code"] == "E0101" && label["primary"] == true {
                    assert_eq!(Some(&file[start..end]), quoted, "{line}");
                }
            }
            assert!(list(&line["labels"], "labels").iter().any(|label| label["primary"] == true), "{line}");
            for fix in list(&line["fixes"], "fixes") {
                fixes += 1;
                assert_eq!(keys(fix), ["title", "edits", "applicability"]);
                for edit in list(&fix["edits"], "edits") {
                    let file = source(&reported, edit.get("file").map_or(home, |file| text(file, "file")));
                    assert!(file.get(number(&edit["start"])..number(&edit["end"])).is_some(), "{line}");
                    text(&edit["text"], "text");
                }
            }
        }
    }
    assert!(fixes > 60, "{fixes} fixes");
}

/// The part of a file that a SARIF region covers, by its bytes; lines and columns must say the same.
fn region<'a>(file: &'a str, region: &Value) -> &'a str {
    let start = number(&region["byteOffset"]);
    let end = start + number(&region["byteLength"]);
    assert_eq!((number(&region["startLine"]), number(&region["startColumn"])), line_column(file, start));
    assert_eq!((number(&region["endLine"]), number(&region["endColumn"])), line_column(file, end));
    &file[start..end]
}

fn location<'a>(reported: &'a Reported, location: &Value) -> &'a str {
    let physical = &location["physicalLocation"];
    let uri = text(&physical["artifactLocation"]["uri"], "uri").replace("%3C", "<").replace("%3E", ">");
    region(source(reported, &uri), &physical["region"])
}

/// What the schema of SARIF 2.1.0 requires of the parts that are used, and that they agree with each other.
#[test]
fn sarif_has_what_its_schema_requires() {
    let mut fixes = 0;
    for reported in reported() {
        let log: Value = serde_json::from_str(&reported.render(Format::Sarif)).unwrap();
        assert_eq!(log["version"], "2.1.0");
        let [run] = list(&log["runs"], "runs") else { panic!("one run") };
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        let driver = &run["tool"]["driver"];
        assert_eq!(driver["name"], "tritonc");
        let rules = list(&driver["rules"], "rules");
        for rule in rules {
            let page = text(&rule["help"]["markdown"], "help");
            assert!(page.starts_with(&format!("# {}: ", text(&rule["id"], "id"))));
            assert!(!text(&rule["shortDescription"]["text"], "title").is_empty());
            assert!(text(&rule["fullDescription"]["text"], "summary").ends_with('.'));
            assert!(matches!(text(&rule["defaultConfiguration"]["level"], "level"), "error" | "warning"));
        }
        let results = list(&run["results"], "results");
        assert_eq!(results.len(), reported.diagnostics.len());
        for result in results {
            assert_eq!(rules[number(&result["ruleIndex"])]["id"], result["ruleId"]);
            assert!(matches!(text(&result["level"], "level"), "error" | "warning" | "note"));
            assert!(!text(&result["message"]["text"], "message").is_empty());
            let [place] = list(&result["locations"], "locations") else { panic!("one place: {result}") };
            location(&reported, place);
            if let Some(related) = result.get("relatedLocations") {
                for (index, place) in list(related, "related").iter().enumerate() {
                    assert_eq!(number(&place["id"]), index);
                    location(&reported, place);
                }
            }
            for fix in result.get("fixes").map_or(&[][..], |fixes| list(fixes, "fixes")) {
                fixes += 1;
                assert!(!text(&fix["description"]["text"], "title").is_empty());
                let changes = list(&fix["artifactChanges"], "changes");
                assert!(!changes.is_empty());
                for change in changes {
                    let file = source(&reported, text(&change["artifactLocation"]["uri"], "uri"));
                    let replacements = list(&change["replacements"], "replacements");
                    assert!(!replacements.is_empty());
                    for replacement in replacements {
                        region(file, &replacement["deletedRegion"]);
                        text(&replacement["insertedContent"]["text"], "text");
                    }
                }
            }
        }
    }
    assert!(fixes > 60, "{fixes} fixes");
}

#[test]
fn short_lines_begin_with_the_place() {
    for reported in reported() {
        let shown = reported.render(Format::Short);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), reported.diagnostics.len());
        for line in lines {
            let (place, rest) = line.split_once(": ").unwrap();
            let mut parts = place.rsplitn(3, ':');
            let column: usize = parts.next().unwrap().parse().unwrap();
            let number: usize = parts.next().unwrap().parse().unwrap();
            if parts.next() == Some("case.tri") {
                let shown = reported.text.lines().nth(number - 1).unwrap_or("");
                assert!(column <= shown.chars().count() + 1, "{line}");
            }
            assert!(rest.starts_with("error[E") || rest.starts_with("warning[W"), "{line}");
        }
    }
}
