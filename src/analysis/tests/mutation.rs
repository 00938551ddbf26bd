//! Damaged programs: whatever the text, checking ends, does not panic, and does not flood the reader.

use super::open;
use std::path::{Path, PathBuf};

/// Mutations a file; `TRITON_MUTATIONS` asks for more, `TRITON_MUTATION_FILE` keeps the last text.
const ROUNDS: usize = 4;

/// xorshift; the tests are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn corpus() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> =
        ["examples", "tests/cases", "stdlib"].iter().map(|f| Path::new(env!("CARGO_MANIFEST_DIR")).join(f)).collect();
    let mut files = vec![];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "tri") {
                files.push((path.clone(), std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// The words, blanks and signs of a text, which make it up when joined.
fn words(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 1,
        c if c.is_whitespace() => 2,
        _ => 0,
    };
    let mut words = vec![];
    let mut start = 0;
    let mut before = None;
    for (at, c) in text.char_indices() {
        if before.is_some_and(|b| b != kind(c) || b == 0) {
            words.push(&text[start..at]);
            start = at;
        }
        before = Some(kind(c));
    }
    words.push(&text[start..]);
    words
}

/// As the program does it: a deep text needs a deep stack.
const STACK: usize = 64 << 20;

#[test]
fn damaged_programs_end_in_a_handful_of_diagnostics() {
    let checked = std::thread::Builder::new().stack_size(STACK).spawn(damage_everything).unwrap().join();
    assert!(checked.is_ok());
}

fn damage_everything() {
    let rounds = std::env::var("TRITON_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let corpus = corpus();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (path, text) in corpus.iter().filter(|(_, text)| text.len() < 8_000) {
        let (mut project, file) = open(text);
        for _ in 0..rounds {
            let mut mutated = words(text);
            for _ in 0..=random.below(2) {
                let (from, to) = (random.below(mutated.len()), random.below(mutated.len()));
                match random.below(4) {
                    0 => drop(mutated.remove(from)),
                    1 => mutated.swap(from, to),
                    2 => mutated[to] = mutated[from],
                    _ => mutated.insert(to, mutated[from]),
                }
            }
            let mutated = mutated.concat();
            project.edit(file, mutated.clone());
            if std::env::var_os("TRITON_MUTATION_FILE").is_some_and(|to| std::fs::write(to, &mutated).is_err()) {
                eprintln!("the mutated text could not be written");
            }
            let start = std::time::Instant::now();
            let found = project.check(file);
            let seconds = start.elapsed().as_secs();
            assert!(seconds < 10, "{}: {seconds} seconds\n{mutated}", path.display());
            assert!(found.len() <= 12, "{}: {} diagnostics: {found:#?}\n{mutated}", path.display(), found.len());
        }
    }
}
