//! What is computed again after an edit.

use super::open;

const TEXT: &str = "fn double(x: float32[N]) -> float32[N] = x * 2.0\n\nfn quadruple(x: float32[N]) -> float32[N] {\n    return \
                    double(double(x))\n}\n\nlayer Scale(n: int) {\n    param w: float32[n]\n    fn forward(x: float32[B, n]) -> \
                    float32[B, n] = double(x.reshape([-1])).reshape([B, n]) * w\n}\n";

/// How often queries of this name ran.
fn count(log: &[String], query: &str) -> usize {
    log.iter().filter(|entry| entry.starts_with(&format!("{query}("))).count()
}

#[test]
fn a_second_look_runs_nothing() {
    let (project, file) = open(TEXT);
    assert_eq!(project.check(file), vec![]);
    assert!(count(&project.database().take_log(), "check") >= 3);
    project.check(file);
    assert_eq!(project.database().take_log(), Vec::<String>::new());
}

#[test]
fn an_edit_in_a_body_is_checked_there_alone() {
    let (mut project, file) = open(TEXT);
    project.check(file);
    project.database().take_log();
    project.edit(file, TEXT.replace("x * 2.0", "2.0 * x"));
    assert_eq!(project.check(file), vec![]);
    let log = project.database().take_log();
    assert_eq!((count(&log, "parse_item"), count(&log, "interface"), count(&log, "check")), (1, 1, 1), "{log:#?}");
}

#[test]
fn an_edit_of_a_signature_is_felt_by_its_callers() {
    let (mut project, file) = open(TEXT);
    project.check(file);
    project.database().take_log();
    project.edit(file, TEXT.replace("fn double(x: float32[N])", "fn double(x: float32[M, N])"));
    let found = project.check(file);
    assert!(found.iter().any(|d| d.code.as_str() == "E0304"), "{found:?}");
    let log = project.database().take_log();
    assert_eq!(count(&log, "parse_item"), 1, "{log:#?}");
    assert_eq!(count(&log, "check"), 3, "{log:#?}");
}

#[test]
fn a_line_above_moves_everything_and_parses_nothing() {
    let broken = TEXT.replace("2.0", "undefined");
    let (mut project, file) = open(&broken);
    let before = project.check(file);
    project.database().take_log();
    project.edit(file, format!("\n{broken}"));
    let after = project.check(file);
    let log = project.database().take_log();
    assert_eq!((count(&log, "parse_item"), count(&log, "check")), (0, 0), "{log:#?}");
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].labels[0].span.start, before[0].labels[0].span.start + 1);
}
