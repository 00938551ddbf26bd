//! Items kept up to date under edits are those of the edited text.

use super::{CORPUS, Random};
use crate::syntax::{RawItem, Split, split};
use std::path::{Path, PathBuf};

/// Every program of the tree, wrong ones among them.
fn programs() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> =
        ["stdlib", "examples", "tests", "benches", "fuzz"].iter().map(|folder| root.join(folder)).collect();
    let mut texts = vec![CORPUS.to_string()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "tri") {
                texts.extend(std::fs::read_to_string(path));
            }
        }
    }
    texts
}

/// What people and tools put into a text, and what is bad for a cutter.
const PIECES: &[&str] = &[
    "",
    "",
    "",
    " ",
    "\n",
    "\n\n",
    ";",
    "@",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "\"",
    "'",
    "#",
    "## doc\n",
    "x",
    "9",
    ".",
    "0.",
    "$",
    "é",
    "fn ",
    "fn",
    "layer L {",
    "let a = 1\n",
    "let b = 2;",
    "use m.{",
    "where ",
    "if c {\n",
    "else",
    "test \"t\" {",
    "\nfn f(x: int) -> int = x\n",
    "\n    return x\n",
    "+",
    "->",
    ":",
    ":\n    y",
    "@map(",
    "Tensor<",
    ">",
    ",",
    "@;",
    "\r\n",
    "\u{FEFF}",
];

/// Edits of each program; `TRITONC_MUTATIONS=1000` asks for more.
const ROUNDS: usize = 8;

/// Edits a text at random, mostly as one types, and compares after each edit. Returns how often less than all
/// was read.
fn edit_at_random(text: &str, rounds: usize, random: &mut Random) -> usize {
    let mut text = text.to_string();
    let mut split = Split::new(&text);
    let (mut near, mut at) = (0, 0);
    let boundary = |text: &str, mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let original = text.clone();
    for round in 0..rounds {
        if round % 12 == 0 {
            split.edit(&text, &original);
            text.clone_from(&original);
        }
        if random.below(3) == 0 {
            at = random.below(text.len() + 1);
        }
        let start = boundary(&text, at);
        let end = if random.below(3) == 0 { boundary(&text, start + random.below(40)) } else { start };
        let piece = match random.below(8) {
            0 => {
                let from = boundary(&text, random.below(text.len() + 1));
                let to = boundary(&text, from + random.below(200));
                text[from..to].to_string()
            }
            _ => PIECES[random.below(PIECES.len())].to_string(),
        };
        let edited = format!("{}{piece}{}", &text[..start], &text[end.max(start)..]);
        let before = split.items().to_vec();
        let replaced = split.edit(&text, &edited);
        assert_eq!(split, Split::new(&edited), "{text:?} became {edited:?}");
        let rest = before.len() - replaced.old.end;
        assert_eq!(split.items().len(), replaced.old.start + replaced.count + rest);
        let texts = |text: &str, items: &[RawItem]| -> Vec<String> {
            items.iter().map(|item| text[item.span.start as usize..item.span.end as usize].to_string()).collect()
        };
        assert_eq!(
            texts(&text, &before[replaced.old.end..]),
            texts(&edited, &split.items()[split.items().len() - rest..])
        );
        near += usize::from(replaced.old.len() < before.len());
        at = start + piece.len();
        text = edited;
    }
    near
}

#[test]
fn an_edited_text_is_cut_as_if_it_were_read_whole() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let programs = programs();
    assert!(programs.len() > 100, "the programs are there");
    let rounds = std::env::var("TRITONC_MUTATIONS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let near: usize = programs.iter().map(|text| edit_at_random(text, rounds, &mut random)).sum();
    assert!(near > programs.len() * rounds / 10, "{near} of {} edits were local", programs.len() * rounds);
}

/// The items that an edit makes anew.
fn replaced(old: &str, new: &str) -> (std::ops::Range<usize>, usize) {
    let mut split = Split::new(old);
    let replaced = split.edit(old, new);
    assert_eq!(split, Split::new(new));
    (replaced.old, replaced.count)
}

#[test]
fn what_is_read_again_stands_near_the_edit() {
    let part = "## Twice.\nfn double(x: int) -> int {\n    return x * 2\n}\n\n";
    let text = part.repeat(100);
    let at = text.len() / 2;
    let edited = |with: &str| format!("{}{with}{}", &text[..at], &text[at..]);
    let (old, count) = replaced(&text, &edited("\n"));
    assert!(old.len() < 8 && count == old.len(), "{old:?}");
    assert!(old.contains(&50), "{old:?}");
    // A new item between others.
    let begin = part.len() * 50;
    let more = format!("{}let more = 1\n{}", &text[..begin], &text[begin..]);
    let (old, count) = replaced(&text, &more);
    assert!(old.len() < 8 && count == old.len() + 1, "{old:?}");
    // Nothing but a move.
    let (old, count) = replaced(&text, &format!("# A remark.\n{text}"));
    assert_eq!((old, count), (0..1, 1));
    // A brace that is not closed reaches far.
    assert_eq!(replaced(&text, &edited("{")).0, 0..100);
}

#[test]
fn what_is_open_further_up_is_felt() {
    // `fn` without a head leaves the layer's signature open: `where` is a keyword further down.
    let broken = "layer L { fn }\ntest \"a\" { x where y }\n".to_string();
    let items = split(&format!("{broken}fn f() = 1\n"));
    assert_eq!(items.len(), 3);
    for text in
        [broken.as_str(), "@;\nlet a = 1\nlet b = 2\n", "use m.{a, b\nlet c = 1\n", "let a = '\nlet b = '\nlet c = 1\n"]
    {
        let text = text.repeat(6);
        for (at, _) in text.char_indices() {
            for piece in ["x", "\n", "}", "\"", "'", ";", "where "] {
                replaced(&text, &format!("{}{piece}{}", &text[..at], &text[at..]));
            }
            replaced(&text, &format!("{}{}", &text[..at], &text[at + 1..]));
        }
    }
}
