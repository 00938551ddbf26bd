//! Every Tri text of the tree parses: the standard library, the examples, and the cases, whose syntax errors must
//! be those that they announce (`#~ CODE "text"`).

use std::fs;
use std::path::{Path, PathBuf};
use tritonc::syntax::{parse_item, split};

/// A syntax error: line (from 1), code, message.
type Found = (usize, String, String);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tri_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "tri") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "no .tri files in {}", folder.display());
    files
}

fn syntax_errors(text: &str) -> Vec<Found> {
    let mut found = vec![];
    for item in split(text) {
        let start = item.span.start as usize;
        let parsed = parse_item(&text[start..item.span.end as usize]);
        for error in parsed.errors {
            let line = text[..start + error.span.start as usize].matches('\n').count() + 1;
            found.push((line, error.code.to_string(), error.message));
        }
    }
    found.sort();
    found
}

/// The announced errors: line, code, and a part of the message.
fn announced(text: &str) -> Vec<Found> {
    let mut all = vec![];
    for (index, line) in text.lines().enumerate() {
        for note in line.split("#~ ").skip(1) {
            let (code, rest) = note.split_once(' ').expect("a code and a text");
            let part = rest.trim().trim_matches('"');
            all.push((index + 1, code.to_string(), part.to_string()));
        }
    }
    all
}

fn assert_clean(name: &str, text: &str) {
    let errors = syntax_errors(text);
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}

#[test]
fn the_standard_library_and_the_examples_parse() {
    for folder in ["stdlib", "examples"] {
        for file in tri_files(&root().join(folder)) {
            assert_clean(&file.display().to_string(), &fs::read_to_string(&file).unwrap());
        }
    }
}

#[test]
fn cases_have_the_syntax_errors_they_announce() {
    for file in tri_files(&root().join("tests/cases")) {
        let text = fs::read_to_string(&file).unwrap();
        let found = syntax_errors(&text);
        let expected: Vec<Found> =
            announced(&text).into_iter().filter(|(_, code, _)| code.starts_with("E00")).collect();
        let fits = found.len() == expected.len()
            && found.iter().zip(&expected).all(|(f, e)| f.0 == e.0 && f.1 == e.1 && f.2.contains(&e.2));
        assert!(fits, "{}: expected {expected:#?}, found {found:#?}", file.display());
    }
}

#[test]
fn announced_codes_exist() {
    for file in tri_files(&root().join("tests/cases")) {
        for (line, code, _) in announced(&fs::read_to_string(&file).unwrap()) {
            let known = tritonc::base::code::Code::parse(&code).is_some();
            assert!(known, "{}:{line}: unknown code {code}", file.display());
        }
    }
}

/// The standard library is documented, and each function and layer of it is used by a test or a case; parts of
/// whole models are used where another part of the model uses them.
#[test]
fn the_standard_library_is_documented_and_covered() {
    use tritonc::syntax::ast::ItemKind;
    let folder = root();
    let mut uses = String::new();
    let mut declared = vec![];
    for path in tri_files(&folder.join("stdlib")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for raw in split(&text) {
            let source = &text[raw.span.start as usize..raw.span.end as usize];
            let item = parse_item(source).ast.item;
            let name = match &item.kind {
                ItemKind::Fn(decl) => &decl.name.name,
                ItemKind::Layer(decl) => &decl.name.name,
                ItemKind::Test { .. } => {
                    uses.push_str(source);
                    continue;
                }
                _ => continue,
            };
            if path.parent().is_some_and(|folder| folder.ends_with("models")) {
                uses.push_str(&source.replacen(name.as_str(), "", 1));
            }
            declared.push((path.clone(), name.clone(), item.doc.is_some()));
        }
    }
    for path in tri_files(&folder.join("tests/cases")) {
        uses.push_str(&std::fs::read_to_string(path).unwrap());
    }
    assert!(declared.len() > 60, "{} declarations found", declared.len());
    let words: std::collections::BTreeSet<&str> = uses.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let bare: Vec<_> = declared.iter().filter(|(_, _, documented)| !documented).collect();
    assert!(bare.is_empty(), "without documentation: {bare:?}");
    let unused: Vec<_> = declared.iter().filter(|(_, name, _)| !words.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "neither in a test nor in a case: {unused:?}");
}
