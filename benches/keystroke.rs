//! A keystroke in an open file to all its diagnostics, by the length of the file.

#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Duration;
use support::{compute_time, is_timed, percentile, seconds};
use tritonc::analysis::Project;
use tritonc::analysis::project::NoFiles;
use tritonc::base::{FileId, Source};

/// What is typed: the text that is replaced (its middle occurrence), and what it becomes each time; `$` stands
/// for the number of the keystroke.
const EDITS: [(&str, &str, &str); 5] = [
    ("in a body", "rsqrt(squares + epsilon)", "rsqrt(squares + $.0 + epsilon)"),
    ("a mistake and its repair", "return h @ down.T", "return h @ down$"),
    ("a line above all", "use nn.{LayerNorm, Linear}\n", "use nn.{LayerNorm, Linear}\n# $\n"),
    ("in a signature", "epsilon: float = 1e-6", "epsilon: float = 1e-$"),
    ("an item comes and goes", "## Gated feed-forward layer.\n", "const MORE = $\n\n## Gated feed-forward layer.\n"),
];

fn main() {
    let (lengths, turns): (&[usize], usize) = if is_timed() { (&[1_000, 10_000, 100_000], 200) } else { (&[200], 2) };
    println!("{:>9} {:26} {:>10} {:>10} {:>10}", "lines", "keystroke", "median", "p99", "lexer");
    for lines in lengths {
        let text = support::file_of_lines(*lines);
        let mut project = Project::new();
        let (file, _) = project.open("main", Source::new("main.tri", text.as_str()), &mut NoFiles);
        assert!(project.check(file).is_empty(), "the file is clean");
        let lexer = lexer_time(&text, turns);
        for (name, from, to) in EDITS {
            let mut times = keystrokes(&mut project, file, &text, (from, to), turns);
            let (median, worst) = (percentile(&mut times, 50), percentile(&mut times, 99));
            println!("{lines:>9} {name:26} {:>10} {:>10} {:>10}", seconds(median), seconds(worst), seconds(lexer));
        }
    }
}

fn keystrokes(
    project: &mut Project,
    file: FileId,
    text: &str,
    (from, to): (&str, &str),
    turns: usize,
) -> Vec<Duration> {
    let places: Vec<usize> = text.match_indices(from).map(|(at, _)| at).collect();
    let at = places[places.len() / 2];
    let edited = |turn: usize| {
        format!("{}{}{}", &text[..at], to.replace('$', &(turn + 1).to_string()), &text[at + from.len()..])
    };
    let mut times = vec![];
    for turn in 0..turns {
        let edited = if turn % 2 == 0 { edited(turn) } else { text.to_string() };
        times.push(compute_time(|| {
            project.edit(file, edited);
            black_box(project.check(file))
        }));
    }
    project.edit(file, text);
    assert!(project.check(file).is_empty(), "the file is clean again");
    times
}

/// What reading the whole text as tokens takes.
fn lexer_time(text: &str, turns: usize) -> Duration {
    let mut times: Vec<Duration> =
        (0..turns).map(|_| compute_time(|| tritonc::syntax::split(black_box(text)))).collect();
    percentile(&mut times, 50)
}
