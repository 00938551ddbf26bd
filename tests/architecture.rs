//! Keeps ARCHITECTURE.md and the tree true to each other, and dependencies pointing downward.
//!
//! A *part* is a top-level folder of `src/`. A part may name only the parts that its row of [`MAY_NAME`]
//! lists; ARCHITECTURE.md shows the same table.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use support::op_names::comparisons;
use support::{files_below, root};

/// Each part, and the parts that it may name, lowest first.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("types", &["base"]),
    ("syntax", &["base"]),
    ("quant", &["base", "types"]),
    ("weights", &["base", "types"]),
    ("ops", &["base", "types", "quant"]),
    ("analysis", &["base", "types", "syntax", "quant", "ops"]),
    ("ir", &["base", "types", "quant", "ops"]),
    ("lower", &["base", "types", "syntax", "quant", "ops", "analysis", "ir"]),
    ("passes", &["base", "types", "quant", "ops", "ir"]),
    ("interp", &["base", "types", "quant", "ops", "ir"]),
    ("targets", &["base", "types", "quant", "ops", "ir", "passes"]),
    (
        "driver",
        &[
            "base", "types", "syntax", "quant", "weights", "ops", "analysis", "ir", "lower", "passes", "interp",
            "targets",
        ],
    ),
    ("cli", &["base", "types", "weights", "driver"]),
];

/// What only tests may name: passes and targets are tested by executing what they write.
const TESTS_MAY_NAME: &[(&str, &str)] = &[("passes", "interp"), ("targets", "interp")];

/// The parts that work on the database of the checker.
const NAMES_SALSA: &[&str] = &["analysis", "lower"];

/// Words that are compared and are no operations there: a file, the words, and what they are.
const OTHER_WORDS: &[(&str, &[&str], &str)] = &[
    ("src/analysis/check.rs", &["quantize"], "an attribute"),
    ("src/analysis/elaborate/layer.rs", &["quantize"], "an attribute"),
    (
        "src/analysis/elaborate/builtins.rs",
        &["zeros", "ones", "prod"],
        "initial values, and a function of host numbers",
    ),
    (
        "src/analysis/elaborate/host_functions.rs",
        &["prod", "minimum", "maximum", "sqrt", "log", "exp", "abs"],
        "functions of host numbers",
    ),
    ("src/analysis/elaborate/scheme.rs", &["max"], "a rule for the threshold of ternary codes"),
    ("src/ir/reader/expr.rs", &["max"], "a rule for the threshold of ternary codes"),
    ("src/ir/reader/layer.rs", &["quantize", "zeros", "ones"], "a line of the IR's text, and initial values"),
];

/// A file is split at this length; a test fails a little later, so that whoever crosses it need not stop at once.
const LONG_FILE: usize = 600;
const TOO_LONG_FILE: usize = 650;
const LONG_FUNCTION: usize = 80;

/// Functions that may be longer, with the reason. Tests may: a golden text in one is as long as it is.
const MAY_BE_LONG: &[(&str, &str)] = &[];

/// A source file below `src/`, without its comments and without what strings contain.
struct File {
    /// From the package's root, with `/`.
    path: String,
    part: String,
    code: String,
    lines: usize,
    /// Where test code begins.
    tests_at: usize,
}

fn files() -> Vec<File> {
    let paths = files_below(&root().join("src"), ".rs").unwrap();
    let files = paths.iter().map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        let part = path.split('/').nth(1).unwrap_or_default().trim_end_matches(".rs").to_string();
        let code = without_comments(&text);
        let is_test =
            path.split('/').any(|name| name == "tests" || name.contains("tests.rs") || name.contains("testkit"));
        let tests_at = if is_test { 0 } else { code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len()) };
        File { path, part, lines: text.lines().count(), code, tests_at }
    });
    files.collect()
}

/// The code with comments and the insides of plain strings blanked out. Good enough for looking up paths:
/// a raw string with a quote in it may leave a few words standing.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_string = false;
        let mut symbols = line.chars().peekable();
        while let Some(symbol) = symbols.next() {
            match symbol {
                '\\' if in_string => {
                    symbols.next();
                }
                // The character '"' opens nothing.
                '"' if !code.ends_with('\'') => in_string = !in_string,
                '/' if !in_string && symbols.peek() == Some(&'/') => break,
                _ if in_string => {}
                _ => code.push(symbol),
            }
        }
        code.push('\n');
    }
    code
}

/// The first names of all paths from the crate's root, with where they stand.
fn named_parts(code: &str) -> Vec<(usize, String)> {
    let mut found = vec![];
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(first_names(group).into_iter().map(|name| (at, name))),
            None => found.push((at, leading_name(rest))),
        }
    }
    found
}

fn leading_name(text: &str) -> String {
    text.chars().take_while(|symbol| symbol.is_alphanumeric() || *symbol == '_').collect()
}

/// The names at the top of a `{a::b, c::{d, e}}` group, from after its bracket.
fn first_names(group: &str) -> Vec<String> {
    let mut names = vec![];
    let (mut depth, mut begins) = (0, true);
    for (at, symbol) in group.char_indices() {
        match symbol {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && !symbol.is_whitespace() => {
                names.push(leading_name(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

fn parts() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap().path());
    let folders = entries.filter(|path| path.is_dir());
    folders.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

fn page() -> String {
    std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

fn assert_none(what: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{what}:\n  {}", problems.join("\n  "));
}

#[test]
fn dependencies_point_downward() {
    let table: BTreeMap<&str, &[&str]> = MAY_NAME.iter().copied().collect();
    let parts = parts();
    let mut problems = vec![];
    for file in files().iter().filter(|file| parts.contains(&file.part)) {
        let Some(allowed) = table.get(file.part.as_str()) else { continue };
        for (at, name) in named_parts(&file.code) {
            let test_edge = at >= file.tests_at && TESTS_MAY_NAME.contains(&(file.part.as_str(), name.as_str()));
            if parts.contains(&name) && name != file.part && !allowed.contains(&name.as_str()) && !test_edge {
                problems.push(format!("{} names `{name}`", file.path));
            }
        }
        // `super` must not lead around the table.
        let depth = file.path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count() - 1;
        let root = format!("{}{{", "super::".repeat(depth));
        let up = "super::".repeat(depth);
        for (at, _) in file.code.match_indices(&up) {
            let name = leading_name(&file.code[at + up.len()..]);
            if file.code[at..].starts_with(&root) || (parts.contains(&name) && name != file.part) {
                problems.push(format!("{} goes up to the crate's root by `super`", file.path));
            }
        }
    }
    assert_none("edges that go up", &problems);
}

#[test]
fn the_table_has_an_order() {
    let mut seen = BTreeSet::new();
    for (part, allowed) in MAY_NAME {
        for name in *allowed {
            assert!(seen.contains(name), "`{part}` names `{name}`, which does not stand before it");
        }
        seen.insert(*part);
    }
    let known: BTreeSet<String> = MAY_NAME.iter().map(|(part, _)| part.to_string()).collect();
    assert_eq!(parts(), known, "the folders of src/ and the rows of the table");
}

#[test]
fn salsa_stays_in_its_parts() {
    let files = files();
    let names_salsa = |file: &&File| file.code.contains("salsa::");
    let wrong: Vec<String> = files
        .iter()
        .filter(names_salsa)
        .filter(|file| !NAMES_SALSA.contains(&file.part.as_str()))
        .map(|file| file.path.clone())
        .collect();
    assert_none("salsa is named in", &wrong);
}

/// Whether a file is, or belongs to, a target's table by name: the target's own folder, and the special forms that
/// all Python targets share.
fn is_table(path: &str) -> bool {
    let target = path.strip_prefix("src/targets/").and_then(|rest| rest.split_once('/')).map(|(target, _)| target);
    path == "src/targets/pycode/special.rs"
        || target.is_some_and(|target| root().join("templates").join(target).join("ops.toml").exists())
}

/// Whoever knows of operations asks their entries; targets have tables by name.
#[test]
fn nobody_compares_with_names_of_operations() {
    let is_operation = |name: &str| tritonc::ops::find(name).is_some();
    let knows_operations = |part: &str| MAY_NAME.iter().any(|(own, allowed)| *own == part && allowed.contains(&"ops"));
    let mut problems = vec![];
    let mut excuses: BTreeSet<(String, String)> = BTreeSet::new();
    for file in files().iter().filter(|file| knows_operations(&file.part) && file.tests_at > 0 && !is_table(&file.path))
    {
        let text = std::fs::read_to_string(root().join(&file.path)).unwrap();
        for found in comparisons(&text, &is_operation) {
            let is_other =
                OTHER_WORDS.iter().any(|(path, words, _)| *path == file.path && words.contains(&found.name.as_str()));
            if is_other {
                excuses.insert((file.path.clone(), found.name));
            } else {
                let name = if found.name.is_empty() { "a name".into() } else { format!("`{}`", found.name) };
                problems.push(format!("{}:{} compares with {name}", file.path, found.line));
            }
        }
    }
    for (file, words, _) in OTHER_WORDS {
        let unused = words.iter().filter(|word| !excuses.contains(&(file.to_string(), word.to_string())));
        problems.extend(unused.map(|word| format!("{file} does not compare with `{word}` any more")));
    }
    assert_none("ask the registry's entry instead (src/ops/traits.rs)", &problems);
}

#[test]
fn the_page_shows_the_table() {
    let rows: BTreeMap<String, BTreeSet<String>> = page()
        .lines()
        .filter_map(|line| line.split_once(" <- "))
        .map(|(part, names)| {
            let names = names.split_whitespace().filter(|name| *name != "nothing").map(str::to_string);
            (part.trim().to_string(), names.collect())
        })
        .collect();
    let table: BTreeMap<String, BTreeSet<String>> = MAY_NAME
        .iter()
        .map(|(part, names)| (part.to_string(), names.iter().map(|name| name.to_string()).collect()))
        .collect();
    assert_eq!(rows, table, "the table in ARCHITECTURE.md and the one in this test");
}

#[test]
fn the_page_describes_the_house() {
    let page = page();
    let mut problems = vec![];
    for part in parts() {
        if !page.contains(&format!("  {part}/")) {
            problems.push(format!("src/{part}/ is not described"));
        }
    }
    // Paths are written in backquotes; `<name>` stands for something else, a bare file name for any such file.
    let quoted = page.split('`').skip(1).step_by(2).filter(|text| !text.contains('\n'));
    for text in quoted {
        let is_path = (text.contains('/') || text.ends_with(".md"))
            && !text.contains([' ', '<', '(', '*', '$', ':', '=', '{', '"', '@'])
            && !text.starts_with('/')
            && text.chars().any(char::is_alphabetic);
        if is_path && !root().join(text).exists() && !root().join("src").join(text).exists() {
            problems.push(format!("`{text}` is named and does not exist"));
        }
    }
    assert_none("ARCHITECTURE.md", &problems);
}

#[test]
fn files_stay_small_and_finished() {
    let files = files();
    let mut problems = vec![];
    for file in files.iter().filter(|file| file.lines > LONG_FILE) {
        let told = format!("{} has {} lines; split files at {LONG_FILE}", file.path, file.lines);
        if file.lines > TOO_LONG_FILE { problems.push(told) } else { println!("warning: {told}") }
    }
    for file in &files {
        for (name, lines) in functions(&file.code[..file.tests_at]) {
            if lines > LONG_FUNCTION && MAY_BE_LONG.iter().all(|(known, _)| *known != name) {
                problems.push(format!(
                    "{}: `{name}` has {lines} lines; split functions at {LONG_FUNCTION}, or give a reason in MAY_BE_LONG",
                    file.path
                ));
            }
        }
    }
    for file in &files {
        for word in ["todo!", "unimplemented!"] {
            if file.code.contains(word) {
                problems.push(format!("{} contains `{word}`", file.path));
            }
        }
    }
    assert_none("src/", &problems);
}

/// The functions of a formatted file, with their lines: from `fn` to the bracket that stands as far in.
fn functions(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = vec![];
    for (at, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        let indent = &line[..line.len() - text.len()];
        let Some(name) = text.split_whitespace().skip_while(|word| *word != "fn").nth(1) else { continue };
        let is_whole = text.ends_with(';') || text.ends_with('}');
        let end = |line: &&str| line.strip_prefix(indent).is_some_and(|rest| rest == "}");
        let length = lines[at..].iter().position(end).filter(|_| !is_whole);
        found.extend(length.map(|length| (leading_name(name), length + 1)));
    }
    found
}

#[test]
fn lines_of_functions_are_counted() {
    let code = "impl A {\n    fn one(&self) -> u8;\n    pub fn two<T>() {\n        if x {\n        }\n    }\n}\nfn three() {}\n\
                const fn four(\n    a: u8,\n) {\n}\n";
    let counted: Vec<(String, usize)> = functions(code);
    assert_eq!(counted, [("two".to_string(), 4), ("four".to_string(), 4)]);
}

#[test]
fn paths_are_found_in_code() {
    let code = without_comments(
        "use crate::base::{Span, Code};\nuse crate::{ir, ops::{Attr, OpId}, types};\n\
         // crate::cli is only told of\nlet text = \"crate::cli \\\" crate::cli\"; let quote = '\"';\n\
         let x = crate::syntax::split(text);\n",
    );
    let names: Vec<String> = named_parts(&code).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["base", "ir", "ops", "types", "syntax"]);
}

#[test]
fn comparisons_with_names_are_found() {
    let found = |source: &str| {
        let is_operation = |name: &str| ["add", "sub", "sum", "where"].contains(&name);
        let found = comparisons(source, &is_operation);
        found.into_iter().map(|found| format!("{} {}", found.line, found.name)).collect::<Vec<_>>()
    };
    for (source, wanted) in [
        // Patterns.
        ("match op.name() {\n    \"add\" | \"sub\" => 1,\n    _ => 2,\n}", &["2 add", "2 sub"][..]),
        (r#"match (op.name(), at) { ("sub", 0) => a("add"), _ => b }"#, &["1 sub"]),
        (
            r#"match name { Some("sum") if at == 0 => {} Some(Named { name: "add" }) => {} _ => {} }"#,
            &["1 add", "1 sum"],
        ),
        (r#"let is = matches!(op.name(), "add" | "other");"#, &["1 add"]),
        (r#"if let Some("add") = name { go() }"#, &["1 add"]),
        // Comparisons.
        (r#"if op.name() == "add" {}"#, &["1 ", "1 add"]),
        (r#"if "add" != name || name == Some("sum") {}"#, &["1 add", "1 sum"]),
        ("fn is(op: OpId, name: &str) -> bool { op.name() == name }", &["1 "]),
        ("if operation.name == other.name {}", &["1 "]),
        ("if other.name != op.name {}", &["1 "]),
        (r#"if *op == builtin("add") || ops::find("sum") == Some(op) {}"#, &["1 add", "1 sum"]),
        ("if op != crate::ops::builtin(name) {}", &["1 "]),
        ("use crate::ops::{Attr, find};\nlet wanted = find(\"add\");\nif Some(op) == wanted {}", &["3 "]),
        // Lists.
        (r#"["add", "other"].contains(&op.name())"#, &["1 add"]),
        (r#"[builtin("add"), builtin("sub")].contains(op)"#, &["1 add", "1 sub"]),
        (r#"names.contains("add") || op.name().starts_with("conv")"#, &["1 ", "1 add"]),
        ("const LINEAR: &[&str] = &[\n    \"add\",\n    \"sub\",\n];", &["2 add", "3 sub"]),
        (r#"const LINEAR: &[&str] = &["add sub"];"#, &["1 add sub"]),
    ] {
        assert_eq!(found(source), wanted, "{source}");
    }
    for source in [
        // Making an instruction.
        "let op = builtin(\"add\");\nlet sum = builder.op(\"sum\", &[x], attrs)?;",
        r#"match kind { Plus => builtin("add"), Minus => "sub" }"#,
        r#"let name = if least { "add" } else { "sub" };"#,
        // Other words, and other functions that find.
        r#"match word { "layer" => 1, other => report("add", other) }"#,
        "if text.find(\"add\") == None {}\nlet at = find(\"x\");\nif at == 3 {}",
        r#"const WORDS: &[&str] = &["sum", "of", "what"];"#,
        // Texts, characters, comments, tests.
        r#"let text = "match op { \"add\" => 1 }"; let quote = '"'; let end = '\\';"#,
        r##"let text = r#"op == "add" "#; fn a<'a>(x: &'a str) {} // op == "add""##,
        "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { op.name() == \"add\" }\n}",
    ] {
        assert_eq!(found(source), Vec::<String>::new(), "{source}");
    }
}

/// Work that an edit overtakes is ended by unwinding, so a build that aborts on panic could not cancel it.
#[test]
fn panics_unwind() {
    let manifest = std::fs::read_to_string("Cargo.toml").unwrap();
    assert!(!manifest.contains("panic = \"abort\""));
}
