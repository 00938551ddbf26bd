//! What is computed again after an edit, shown by the database's events.

use super::open;
use crate::analysis::db::{Log, items};
use crate::analysis::project::{Loader, NoFiles};
use crate::analysis::{Cancelled, Project};
use crate::base::{Diagnostic, FileId, Source};
use salsa::plumbing::AsId;
use std::sync::mpsc;
use std::time::Duration;

const TEXT: &str = "fn double(x: float32[N]) -> float32[N] = x * 2.0\n\nfn quadruple(x: float32[N]) -> float32[N] {\n    return \
                    double(double(x))\n}\n\nlayer Scale(n: int) {\n    param w: float32[n]\n    fn forward(x: float32[B, n]) -> \
                    float32[B, n] = double(x.reshape([-1])).reshape([B, n]) * w\n}\n";

/// How often queries of this name ran.
fn count(log: &Log, query: &str) -> usize {
    log.executed.iter().filter(|entry| entry.starts_with(&format!("{query}("))).count()
}

/// Checks that the text is clean, edits it, checks it again: what the second check ran, and what it found.
#[track_caller]
fn after_edit(text: &str, from: &str, to: &str) -> (Log, Vec<Diagnostic>) {
    assert_eq!(text.matches(from).count(), 1, "`{from}` stands once");
    let (mut project, file) = open(text);
    assert_eq!(project.check(file), vec![]);
    project.database().take_log();
    project.edit(file, text.replace(from, to));
    let found = project.check(file);
    (project.database().take_log(), found)
}

/// How often items were parsed, how often their visible part was taken, how often bodies were checked.
#[track_caller]
fn assert_runs(log: &Log, parsed: usize, interfaces: usize, checked: usize) {
    let runs = (count(log, "parse_item"), count(log, "interface"), count(log, "check"));
    assert_eq!(runs, (parsed, interfaces, checked), "{log:#?}");
}

#[test]
fn a_second_look_runs_nothing() {
    let (project, file) = open(TEXT);
    assert_eq!(project.check(file), vec![]);
    assert!(count(&project.database().take_log(), "check") >= 3);
    project.check(file);
    assert_eq!(project.database().take_log().executed, Vec::<String>::new());
}

#[test]
fn an_edit_in_a_body_is_checked_there_alone() {
    let (log, found) = after_edit(TEXT, "x * 2.0", "2.0 * x");
    assert_eq!(found, vec![]);
    assert_runs(&log, 1, 1, 1);
}

#[test]
fn typing_on_in_a_body_looks_at_nothing_else() {
    let (mut project, file) = open(TEXT);
    project.check(file);
    project.edit(file, TEXT.replace("B, n]) * w", "B, n]) * w * 2.0"));
    project.check(file);
    project.database().take_log();
    project.edit(file, TEXT.replace("B, n]) * w", "B, n]) * w * 2.5"));
    assert_eq!(project.check(file), vec![]);
    let log = project.database().take_log();
    assert_runs(&log, 1, 0, 1);
    let typed_in = items(project.database(), project.file(file).unwrap())[2];
    let own = format!("{:?}", typed_in.as_id());
    // What the body names is looked up, no more.
    let looked_at = |entry: &&String| entry.starts_with("check(") || entry.starts_with("parse_item(");
    let others: Vec<_> = log.validated.iter().filter(looked_at).filter(|entry| !entry.contains(&own)).collect();
    assert_eq!(others, Vec::<&String>::new());
}

/// Types at random, and compares each time with a project that reads the text as a new one.
#[test]
fn what_is_found_while_one_types_is_what_is_there() {
    let base = format!(
        "use nn.{{Linear}}\n\nconst SIZE = 4\n\n{TEXT}\nfn halved(x: float32[2 * N]) {{\n    return x[0:N]\n}}\n\nfn first(x: float32[2 * N]) \
         -> float32[N] = halved(x)\n\nlayer Net(n: int = SIZE) {{\n    let scale = Scale(n)\n    let fc = Linear(n, n)\n    fn forward(x: \
         float32[B, n]) -> float32[B, n] = fc(scale(x))\n}}\n\nlet net = Net()\n\ntest \"runs\" {{\n    assert net(zeros([2, SIZE])).shape[0] == \
         2\n}}\n\nlet (a, b) = (1, 2)\n\nprint(a + b)\n"
    );
    let pieces = [
        "",
        "",
        "",
        "n",
        "N",
        "2",
        "\n",
        ";",
        " ",
        "{",
        "}",
        "(",
        "x",
        "double",
        "halved(x)",
        "float16",
        "SIZE",
        "fn f(x: int) -> int = x\n",
        "const SIZE = 5\n",
        "let net = Net(3)\n",
        "layer Scale {}\n",
        "use math\n",
        " + x",
        "net",
        "## Doc\n",
    ];
    let (mut typed, file) = open(&base);
    let mut other = Project::new();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % limit as u64) as usize
    };
    let (mut text, mut wrong) = (base.clone(), 0);
    for round in 0..150 {
        text = if round % 8 == 0 { base.clone() } else { text };
        let at = below(text.len());
        let end = if below(2) == 0 { at } else { (at + below(30)).min(text.len()) };
        text.replace_range(at..end, pieces[below(pieces.len())]);
        typed.edit(file, text.as_str());
        let found = typed.check(file);
        other.clear();
        let (again, _) = other.open("main", Source::new("main.tri", text.as_str()), &mut NoFiles);
        assert_eq!(found, other.check(again), "{text}");
        wrong += usize::from(!found.is_empty());
    }
    assert!(wrong > 50, "{wrong} texts were wrong");
}

#[test]
fn an_edit_in_a_method_is_not_felt_by_who_calls_the_layer() {
    let text = "layer Scale(n: int) {\n    param w: float32[n]\n    fn forward(x: float32[B, n]) -> float32[B, n] = x * w\n}\n\nlayer \
                Net(n: int) {\n    let scale = Scale(n)\n    fn forward(x: float32[B, n]) -> float32[B, n] {\n        let w = \
                scale.w\n        return scale(x) + w\n    }\n}\n";
    let (log, found) = after_edit(text, "x * w", "w * x");
    assert_eq!(found, vec![]);
    assert_runs(&log, 1, 1, 1);
}

#[test]
fn a_result_that_is_inferred_is_felt_by_who_calls() {
    let text = "fn halve(x: float32[2 * N]) {\n    return x[0:N]\n}\n\nfn first(x: float32[2 * N]) -> float32[N] = halve(x)\n\nfn \
                other(x: float32[N]) -> float32[N] = x\n";
    let (log, found) = after_edit(text, "x[0:N]", "x[N:2 * N]");
    assert_eq!(found, vec![]);
    assert_runs(&log, 1, 1, 2);
}

#[test]
fn an_edit_of_a_signature_is_felt_by_its_callers() {
    let (log, found) = after_edit(TEXT, "fn double(x: float32[N])", "fn double(x: float16[N])");
    assert!(found.iter().any(|d| d.code.as_str() == "E0202"), "{found:?}");
    assert_runs(&log, 1, 1, 3);
}

#[test]
fn an_edit_of_a_signature_is_not_felt_by_others() {
    let (log, found) = after_edit(TEXT, "layer Scale(n: int)", "layer Scale(n: int, unused: bool = false)");
    assert_eq!(found, vec![]);
    // Nobody asks what others see of it.
    assert_runs(&log, 1, 0, 1);
}

#[test]
fn a_line_above_moves_everything_and_parses_nothing() {
    let broken = TEXT.replace("2.0", "undefined");
    let (mut project, file) = open(&broken);
    let before = project.check(file);
    project.database().take_log();
    project.edit(file, format!("\n# A remark.\n{broken}"));
    let after = project.check(file);
    let log = project.database().take_log();
    assert_runs(&log, 0, 0, 0);
    assert_eq!(log.executed, Vec::<String>::new());
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].labels[0].span.start, before[0].labels[0].span.start + 13);
}

#[test]
fn remarks_and_documentation_concern_no_other_item() {
    let (log, _) = after_edit(TEXT, "fn double", "## Twice as much.\nfn double");
    assert_runs(&log, 1, 1, 1);
    let (log, _) = after_edit(TEXT, "x * 2.0\n", "x * 2.0    # a remark\n");
    assert_runs(&log, 0, 0, 0);
    let constant = "const SIZE = 4\n\nfn four() -> float32[SIZE] = zeros([SIZE])\n\nfn five() -> float32[SIZE + 1] = zeros([SIZE + 1])\n";
    let (log, _) = after_edit(constant, "const SIZE = 4", "## How many.\nconst SIZE =   4");
    assert_runs(&log, 1, 1, 1);
}

#[test]
fn items_that_come_and_go_concern_who_names_them() {
    let used = "fn identity(x: float32[N]) -> float32[N] = relu(x)\n\n";
    let text = format!("{used}{TEXT}");
    // One more item: nobody names it.
    let (log, found) = after_edit(&text, "layer Scale", "fn more(x: float32[N]) -> float32[N] = x\n\nlayer Scale");
    assert_eq!(found, vec![]);
    assert_runs(&log, 1, 0, 1);
    // One item less: who named it says so.
    let (log, found) = after_edit(&text, "fn double(x: float32[N]) -> float32[N] = x * 2.0\n", "");
    assert!(found.iter().all(|d| d.code.as_str() == "E0101" && d.message.contains("`double`")), "{found:#?}");
    assert_eq!(found.len(), 2);
    assert_runs(&log, 0, 0, 2);
    // An item that takes the place of a library function is felt by who meant that.
    let (log, found) = after_edit(&text, "layer Scale", "fn relu(x: float32[N]) -> float32[N] = x\n\nlayer Scale");
    assert_eq!(found, vec![]);
    assert_runs(&log, 1, 1, 2);
}

/// A folder with one module.
struct One(&'static str, &'static str);

impl Loader for One {
    fn load(&mut self, key: &str) -> Result<Option<Source>, Diagnostic> {
        Ok((key == self.0).then(|| Source::new(format!("{key}.tri"), self.1)))
    }
}

#[test]
fn a_module_is_felt_where_its_interface_is_used() {
    let module = "fn used(x: float32[N]) -> float32[N] = x * 2.0\n\nfn unused(x: float32[N]) -> float32[N] = x\n";
    let text = "use parts\nuse parts.{used}\n\nfn one(x: float32[N]) -> float32[N] = used(x)\n\nfn two(x: float32[N]) -> float32[N] = \
                parts.used(x)\n\nfn three(x: float32[N]) -> float32[N] = x\n";
    let mut project = Project::new();
    let (file, _) = project.open("main", Source::new("main.tri", text), &mut One("parts", module));
    assert_eq!(project.check_all(), vec![]);
    let parts = FileId(file.0 + 1);
    assert_eq!(project.sources().get(parts).name, "parts.tri");
    let mut edited = |from: &str, to: &str| {
        project.database().take_log();
        project.edit(parts, module.replace(from, to));
        let found = project.check(file);
        (project.database().take_log(), found)
    };
    let (log, _) = edited("x * 2.0", "2.0 * x");
    // Its tree was made when the text was written.
    assert_runs(&log, 0, 1, 0);
    let (log, _) = edited("fn unused(x: float32[N])", "fn other(x: float32[N])");
    assert_eq!(count(&log, "check"), 0, "{log:#?}");
    let (log, found) = edited("fn used(x: float32[N])", "fn used(x: float16[N])");
    assert_eq!((count(&log, "check"), found.len()), (2, 2), "{log:#?}");
}

#[test]
fn one_more_file_concerns_who_uses_it() {
    let (mut project, file) = open(TEXT);
    assert_eq!(project.check(file), vec![]);
    project.database().take_log();
    project.open("another", Source::new("another.tri", "fn f(x: float32[N]) -> float32[N] = x\n"), &mut NoFiles);
    assert_eq!(project.check(file), vec![]);
    assert_runs(&project.database().take_log(), 0, 0, 0);
}

#[test]
fn instances_are_walked_again_where_their_layers_changed() {
    let text = "layer A(n: int) {\n    param w: float32[n]\n    fn forward(x: float32[n]) -> float32[n] = x * w\n}\n\nlayer B(n: int) \
                {\n    param w: float32[n]\n    fn forward(x: float32[n]) -> float32[n] = x + w\n}\n\nlet a = A(3)\n\nlet b = B(4)\n";
    let (log, found) = after_edit(text, "x * w", "w * x");
    assert_eq!(found, vec![]);
    assert_runs(&log, 1, 1, 1);
    assert_eq!(count(&log, "check_instances"), 1, "{log:#?}");
}

#[test]
fn the_library_is_read_once_and_never_looked_at_again() {
    let text = "use nn.{Linear}\n\nlayer Net(n: int) {\n    let fc = Linear(n, n)\n    fn forward(x: float32[B, n]) -> float32[B, n] = \
                relu(fc(x))\n}\n\nfn plain(x: float32[N]) -> float32[N] = x\n";
    let (mut project, file) = open(text);
    assert_eq!(project.check(file), vec![]);
    let library_items = || -> Vec<String> {
        let log = project.database().take_log();
        log.executed.into_iter().filter(|entry| entry.starts_with("parse_item(")).collect()
    };
    assert!(library_items().len() > 3);
    // Another program in the same process.
    project.clear();
    let other = text.replace("Net", "Other").replace("relu(fc(x))", "relu(fc(fc(x)))");
    let (file, _) = project.open("other", Source::new("other.tri", other.as_str()), &mut NoFiles);
    assert_eq!(project.check(file), vec![]);
    let log = project.database().take_log();
    assert_runs(&log, 1, 0, 2);
    // An edit: nothing of the library is looked at, though a layer that uses it is found to hold still.
    let ids = |file: FileId| -> Vec<String> {
        let items = items(project.database(), project.file(file).unwrap());
        items.iter().map(|item| format!("{:?}", item.as_id())).collect()
    };
    let own = ids(file);
    project.edit(file, other.replace("float32[N] = x", "float32[N] = x + 1.0"));
    assert_eq!(project.check(file), vec![]);
    let log = project.database().take_log();
    assert_runs(&log, 1, 0, 1);
    let per_item = log.validated.iter().filter(|entry| entry.starts_with("parse_item(") || entry.starts_with("check("));
    let foreign: Vec<_> = per_item.filter(|entry| !own.iter().any(|id| entry.contains(id))).collect();
    assert_eq!(foreign, Vec::<&String>::new());
    assert!(log.validated.iter().any(|entry| entry.starts_with("check(")), "{log:#?}");
}

#[test]
fn a_closed_file_is_forgotten() {
    let (mut project, file) = open("let x = undefined\n");
    assert_eq!(project.check(file).len(), 1);
    project.clear();
    assert_eq!(project.check_all(), vec![]);
    assert_eq!(project.check(file), vec![]);
    let (again, _) = project.open("main", Source::new("main.tri", TEXT), &mut NoFiles);
    assert_eq!((project.check(again), project.sources().get(again).name.as_str()), (vec![], "main.tri"));
}

/// A text that takes long to check, nearly all of it in one walk: a constant that is counted up.
const SLOW: &str = "fn count(n: int) -> int {\n    let total = 0\n    for i in 0..n {\n        for j in 0..n {\n            total = total \
                    + i * j\n        }\n    }\n    return total\n}\n\nconst A = count(500)\n";

#[test]
fn an_edit_ends_what_others_read() {
    let (mut project, file) = open(SLOW);
    let snapshot = project.snapshot();
    let (started, start) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        snapshot.read(|project| {
            let _ = started.send(());
            project.check(file).len()
        })
    });
    start.recv_timeout(Duration::from_secs(60)).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    // Returns when the reader has let go, in the middle of its walk.
    project.edit(file, TEXT);
    assert_eq!(reader.join().unwrap(), Err(Cancelled));
    assert_eq!(project.check(file), vec![]);
}

#[test]
fn many_read_at_once() {
    let (mut project, file) = open(&TEXT.replace("2.0", "undefined"));
    for _ in 0..3 {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let snapshot = project.snapshot();
                std::thread::spawn(move || snapshot.read(|project| project.check(file)))
            })
            .collect();
        let found: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        assert!(found.iter().all(|one| one.as_ref().is_ok_and(|found| found.len() == 1)), "{found:#?}");
        project.edit(file, TEXT);
        assert_eq!(project.check(file), vec![]);
        project.edit(file, TEXT.replace("2.0", "undefined"));
    }
}
