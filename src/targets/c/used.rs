//! C text without the functions, types and macros that nothing uses.
//!
//! ```text
//! #define WIDTH 8
//! #define HEIGHT 4
//!
//! /* Twice x. */                                                      #define WIDTH 8
//! static inline int twice(int x) { return 2 * x; }         =>
//!                                                                     static inline int area(void) { return WIDTH; }
//! static inline int area(void) { return WIDTH; }
//! ```
//!
//! where `area` is used from outside. A definition has the name that it is used by; where conditions of the preprocessor have
//! several with one name, they stay or go together. Everything else stays, but conditions around nothing.

use std::collections::{BTreeSet, HashSet};

/// What the words that stand at the beginning of a function or a table are.
const STARTS: [&str; 3] = ["static ", "SIMD_INLINE ", "F32_INLINE "];

/// A part of a file.
struct Item<'a> {
    lines: Vec<&'a str>,
    /// What it defines; what defines nothing stays.
    name: Option<&'a str>,
}

/// The name that a line defines for the whole file: a function, a table, a type or a macro.
pub fn defined(line: &str) -> Option<&str> {
    let last = |head: &'_ str| head.trim_end().rsplit([' ', '*']).next().map(str::len);
    let of_head = |head| {
        let head = str::trim_end(head);
        Some(&head[head.len() - last(head)?..])
    };
    let name = if let Some(rest) = line.trim_start().strip_prefix("#define ") {
        rest.split([' ', '(']).next()
    } else if let Some(rest) = line.strip_prefix("} ") {
        rest.strip_suffix(';')
    } else if let Some(rest) = line.strip_prefix("typedef ").filter(|rest| !rest.ends_with('{')) {
        of_head(rest.split(';').next()?)
    } else if STARTS.iter().any(|start| line.starts_with(start)) {
        of_head(line.split(['(', '[', '=']).next()?)
    } else {
        None
    };
    name.filter(|name| !name.is_empty() && name.chars().all(is_of_word))
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Leaves out of a header what neither the file that includes it nor what stays of it names.
pub fn used(header: &str, user: &str) -> String {
    let items = items(header);
    let mut names: HashSet<&str> = words(user).collect();
    let mut stays: Vec<bool> = vec![false; items.len()];
    loop {
        let before = stays.iter().filter(|stays| **stays).count();
        for (item, stays) in items.iter().zip(&mut stays) {
            if !*stays && item.name.is_none_or(|name| names.contains(name)) {
                *stays = true;
                item.lines.iter().for_each(|line| names.extend(words(line)));
            }
        }
        if stays.iter().filter(|stays| **stays).count() == before {
            break;
        }
    }
    let lines = items.iter().zip(stays).filter(|(_, stays)| *stays).flat_map(|(item, _)| item.lines.iter().copied());
    without_empty_conditions(lines.collect()).join("\n")
}

/// The identifiers of a text outside of comments. A comment that has several lines begins each with ` *`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with(" *")).flat_map(|line| {
        let code = line.split("/*").next().unwrap_or_default();
        // What follows a comment in a line.
        let rest = line.split_once("*/").map_or("", |(_, rest)| rest);
        [code, rest].into_iter().flat_map(|code| code.split(|c| !is_of_word(c)))
    })
}

/// Cuts a file. A comment belongs to the definition right after it, but a long one to the whole file where a macro follows.
fn items(header: &str) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> = vec![];
    let mut lines = header.lines().peekable();
    let mut comment: Vec<&str> = vec![];
    while let Some(line) = lines.next() {
        if line.starts_with("/*") {
            items.extend((!comment.is_empty()).then(|| Item { lines: std::mem::take(&mut comment), name: None }));
            comment.push(line);
            while !comment.last().is_some_and(|line| line.contains("*/")) {
                let Some(line) = lines.next() else { break };
                comment.push(line);
            }
            continue;
        }
        let is_definition = line.starts_with("typedef ") || STARTS.iter().any(|start| line.starts_with(start));
        let mut own = vec![line];
        let mut name = defined(line);
        let is_macro = !is_definition && name.is_some();
        if is_definition {
            while !is_closed(&own) {
                let Some(line) = lines.next() else { break };
                own.push(line);
            }
            name = name.or_else(|| own.last().and_then(|line| defined(line)));
        } else if is_macro {
            while own.last().is_some_and(|line| line.ends_with('\\')) {
                own.extend(lines.next());
            }
        }
        if name.is_none() || (is_macro && comment.len() > 1) {
            items.extend((!comment.is_empty()).then(|| Item { lines: std::mem::take(&mut comment), name: None }));
        }
        let lines = std::mem::take(&mut comment).into_iter().chain(own).collect();
        items.push(Item { lines, name });
    }
    items.extend((!comment.is_empty()).then_some(Item { lines: comment, name: None }));
    items
}

/// Whether a definition has come to its end.
fn is_closed(lines: &[&str]) -> bool {
    let count = |bracket: char| lines.iter().map(|line| line.matches(bracket).count()).sum::<usize>();
    let code = |line: &&str| line.split("/*").next().unwrap_or_default().trim_end().ends_with([';', '}']);
    let ends = lines.last().is_some_and(code);
    ends && count('{') == count('}')
}

/// Takes `#if`s away that have nothing in any branch.
fn without_empty_conditions(mut lines: Vec<&str>) -> Vec<&str> {
    loop {
        let mut begin: Option<usize> = None;
        let mut empty: BTreeSet<usize> = BTreeSet::new();
        for (index, line) in lines.iter().enumerate() {
            if line.starts_with("#if") {
                begin = Some(index);
            } else if line.starts_with("#endif") {
                empty.extend(begin.take().into_iter().flat_map(|begin| begin..=index));
            } else if !line.trim().is_empty() && !line.starts_with("#el") {
                begin = None;
            }
        }
        if empty.is_empty() {
            return lines;
        }
        let mut index = 0;
        lines.retain(|_| {
            index += 1;
            !empty.contains(&(index - 1))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\
/*
 * About the file.
 */
#define WIDTH 8
#define HEIGHT 4

/* Twice x: twice. */
static inline int twice(int x) { return 2 * x; }

#if defined(FAST)
typedef struct {
    int even, odd;
} pair;
/* The area. */
static inline int area(int x)
{
    return WIDTH * x;
}
#else
static inline int area(int x)
{
    return WIDTH * twice(x);
}
#endif

#if defined(FAST)
#define HEIGHT_2 HEIGHT
#endif

static const int table[2] = {
    1, 2,
};
";

    fn names(users: &str) -> Vec<String> {
        let left = used(HEADER, users);
        let items = items(&left).into_iter().filter_map(|item| item.name.map(str::to_string)).collect();
        assert!(left.starts_with("/*\n * About the file."), "{left}");
        items
    }

    #[test]
    fn what_nothing_uses_is_left_out() {
        assert_eq!(names("area(3)"), ["WIDTH", "twice", "area", "area"]);
        assert_eq!(names("x = table[1] + HEIGHT_2; /* area */"), ["HEIGHT", "HEIGHT_2", "table"]);
        assert_eq!(names("pair p;"), ["pair"]);
    }

    #[test]
    fn conditions_around_nothing_go() {
        assert_eq!(used(HEADER, "twice").matches("#if").count(), 0);
        assert_eq!(used(HEADER, "area").matches("#if").count(), 1);
        assert_eq!(used("#if A\n#if B\n#endif\n\n#else\n#endif\nx", ""), "x");
    }
}
