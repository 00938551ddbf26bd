//! The forms for programs: JSON (one object a line) and SARIF 2.1.0 (one document).

use super::{place, severity_name};
use crate::base::{Applicability, Diagnostic, Edit, Fix, Label, Severity, Sources, Span};
use serde_json::{Map, Value, json};

/// One diagnostic as a line of JSON. Labels and edits in another file than the diagnostic's name theirs.
pub fn json(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let home = place(diagnostic).map(|label| label.file);
    let elsewhere = |object: &mut Value, file| {
        if Some(file) != home {
            object["file"] = json!(sources.get(file).name);
        }
    };
    let labels = diagnostic.labels.iter().map(|label| {
        let (line, column) = sources.get(label.file).line_column(label.span.start);
        let mut object = json!({
            "start": label.span.start,
            "end": label.span.end,
            "line": line,
            "column": column,
            "text": label.text,
            "primary": label.primary,
        });
        elsewhere(&mut object, label.file);
        object
    });
    let fixes = diagnostic.fixes.iter().map(|fix| {
        let edits = fix.edits.iter().map(|edit| {
            let mut object = json!({ "start": edit.span.start, "end": edit.span.end, "text": edit.text });
            elsewhere(&mut object, edit.file);
            object
        });
        let applicability = match fix.applicability {
            Applicability::Certain => "certain",
            Applicability::Maybe => "maybe",
        };
        json!({ "title": fix.title, "edits": edits.collect::<Vec<_>>(), "applicability": applicability })
    });
    json!({
        "code": diagnostic.code.as_str(),
        "severity": severity_name(diagnostic.severity),
        "message": diagnostic.message,
        "file": home.map(|file| &sources.get(file).name),
        "labels": labels.collect::<Vec<_>>(),
        "notes": diagnostic.notes,
        "fixes": fixes.collect::<Vec<_>>(),
    })
    .to_string()
}

/// All diagnostics as a SARIF log with one run.
pub fn sarif(diagnostics: &[&Diagnostic], sources: &Sources) -> String {
    let mut codes: Vec<_> = diagnostics.iter().map(|d| d.code).collect();
    codes.sort();
    codes.dedup();
    let rules = codes.iter().map(|code| {
        json!({
            "id": code.as_str(),
            "shortDescription": { "text": code.title() },
            "help": { "text": code.page(), "markdown": code.page() },
            "defaultConfiguration": { "level": if code.is_warning() { "warning" } else { "error" } },
        })
    });
    let results = diagnostics.iter().map(|d| result(d, codes.binary_search(&d.code).unwrap_or(0), sources));
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tritonc",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.collect::<Vec<_>>(),
            } },
            // Our columns count characters; SARIF's default is UTF-16 units.
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    });
    format!("{log:#}")
}

fn result(diagnostic: &Diagnostic, rule: usize, sources: &Sources) -> Value {
    let mut text = diagnostic.message.clone();
    for note in &diagnostic.notes {
        text.push('\n');
        text.push_str(note);
    }
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "note",
    };
    let mut object = json!({
        "ruleId": diagnostic.code.as_str(),
        "ruleIndex": rule,
        "level": level,
        "message": { "text": text },
    });
    let main = place(diagnostic);
    if let Some(label) = main {
        object["locations"] = json!([location(label, None, sources)]);
    }
    let others = diagnostic.labels.iter().filter(|label| main.is_some_and(|main| !std::ptr::eq(main, *label)));
    let related: Vec<Value> = others.enumerate().map(|(id, label)| location(label, Some(id), sources)).collect();
    if !related.is_empty() {
        object["relatedLocations"] = json!(related);
    }
    if !diagnostic.fixes.is_empty() {
        object["fixes"] = diagnostic.fixes.iter().map(|fix| fix_object(fix, sources)).collect();
    }
    object
}

fn location(label: &Label, id: Option<usize>, sources: &Sources) -> Value {
    let source = sources.get(label.file);
    let mut object = Map::new();
    if let Some(id) = id {
        object.insert("id".into(), json!(id));
    }
    object.insert(
        "physicalLocation".into(),
        json!({ "artifactLocation": { "uri": uri(&source.name) }, "region": region(label.file, label.span, sources) }),
    );
    if !label.text.is_empty() {
        object.insert("message".into(), json!({ "text": label.text }));
    }
    Value::Object(object)
}

fn region(file: crate::base::FileId, span: Span, sources: &Sources) -> Value {
    let source = sources.get(file);
    let (start_line, start_column) = source.line_column(span.start);
    let (end_line, end_column) = source.line_column(span.end);
    json!({
        "startLine": start_line,
        "startColumn": start_column,
        "endLine": end_line,
        "endColumn": end_column,
        "byteOffset": span.start,
        "byteLength": span.end.saturating_sub(span.start),
    })
}

fn fix_object(fix: &Fix, sources: &Sources) -> Value {
    let mut changes: Vec<(crate::base::FileId, Vec<&Edit>)> = vec![];
    for edit in &fix.edits {
        match changes.iter_mut().find(|(file, _)| *file == edit.file) {
            Some((_, edits)) => edits.push(edit),
            None => changes.push((edit.file, vec![edit])),
        }
    }
    let changes = changes.iter().map(|(file, edits)| {
        let replacements = edits.iter().map(|edit| {
            json!({
                "deletedRegion": region(*file, edit.span, sources),
                "insertedContent": { "text": edit.text },
            })
        });
        json!({
            "artifactLocation": { "uri": uri(&sources.get(*file).name) },
            "replacements": replacements.collect::<Vec<_>>(),
        })
    });
    json!({ "description": { "text": fix.title }, "artifactChanges": changes.collect::<Vec<_>>() })
}

/// A relative reference: what may not stand in one is percent-encoded.
fn uri(name: &str) -> String {
    let mut uri = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            b'\\' if cfg!(windows) => uri.push('/'),
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}
