//! The difference of two texts, line by line, in the unified form.

/// Lines around a change.
const CONTEXT: usize = 3;
/// Beyond so many pairs of lines, what differs is shown as replaced as a whole.
const MAX_TABLE: usize = 4 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Same,
    Removed,
    Added,
}

/// `--- name`, `+++ name` and hunks; nothing for equal texts.
pub fn unified(name: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (lines(old), lines(new));
    let script = script(&old, &new);
    let mut out = format!("--- {name}\n+++ {name}\n");
    let changes: Vec<usize> = (0..script.len()).filter(|index| script[*index].0 != Mark::Same).collect();
    let mut rest = changes.as_slice();
    while let Some(first) = rest.first() {
        // A hunk goes on while the gap to the next change is filled by the context of both.
        let gap = rest.windows(2).position(|pair| pair[1] - pair[0] > 2 * CONTEXT);
        let count = gap.map_or(rest.len(), |at| at + 1);
        let (start, end) = (first.saturating_sub(CONTEXT), (rest[count - 1] + CONTEXT + 1).min(script.len()));
        rest = &rest[count..];
        let before = |mark: Mark| script[..start].iter().filter(|(m, _)| *m == Mark::Same || *m == mark).count();
        let within = |mark: Mark| script[start..end].iter().filter(|(m, _)| *m == Mark::Same || *m == mark).count();
        let range = |mark: Mark| match within(mark) {
            0 => format!("{},0", before(mark)),
            count => format!("{},{count}", before(mark) + 1),
        };
        out += &format!("@@ -{} +{} @@\n", range(Mark::Removed), range(Mark::Added));
        for (mark, line) in &script[start..end] {
            out.push(match mark {
                Mark::Same => ' ',
                Mark::Removed => '-',
                Mark::Added => '+',
            });
            out += line;
            if !line.ends_with('\n') {
                out += "\n\\ No newline at end of file\n";
            }
        }
    }
    out
}

/// Lines with their newlines.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Every line of both texts in order, common ones once: a longest common subsequence of what is left between
/// the equal beginning and the equal end.
fn script<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Mark, &'a str)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut out: Vec<(Mark, &str)> = old[..head].iter().map(|line| (Mark::Same, *line)).collect();
    if a.len().saturating_mul(b.len()) > MAX_TABLE {
        out.extend(a.iter().map(|line| (Mark::Removed, *line)));
        out.extend(b.iter().map(|line| (Mark::Added, *line)));
    } else {
        let table = common_lengths(a, b);
        let (mut i, mut j) = (0, 0);
        while i < a.len() || j < b.len() {
            if i < a.len() && j < b.len() && a[i] == b[j] {
                out.push((Mark::Same, a[i]));
                (i, j) = (i + 1, j + 1);
            } else if j == b.len() || i < a.len() && table[i + 1][j] >= table[i][j + 1] {
                out.push((Mark::Removed, a[i]));
                i += 1;
            } else {
                out.push((Mark::Added, b[j]));
                j += 1;
            }
        }
    }
    out.extend(old[old.len() - tail..].iter().map(|line| (Mark::Same, *line)));
    out
}

/// How many lines the rests of both texts have in common, for each pair of rests.
fn common_lengths(a: &[&str], b: &[&str]) -> Vec<Vec<u32>> {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] = if a[i] == b[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_have_context_and_are_kept_apart() {
        let old: String = (1..=20).map(|i| format!("{i}\n")).collect();
        let new = old.replace("3\n4\n", "3\nfour\n").replace("18\n", "");
        let new = new.replace("1four", "four");
        let diff = unified("a.tri", &old, &new);
        assert!(diff.starts_with("--- a.tri\n+++ a.tri\n@@ -1,7 +1,7 @@\n 1\n 2\n 3\n-4\n+four\n 5\n"), "{diff}");
        assert!(diff.contains("@@ -15,6 +15,5 @@\n 15\n 16\n 17\n-18\n 19\n 20\n"), "{diff}");
    }

    #[test]
    fn beginnings_ends_and_missing_newlines() {
        assert_eq!(unified("a", "x\n", "x\n"), "");
        assert_eq!(unified("a", "", "x\n"), "--- a\n+++ a\n@@ -0,0 +1,1 @@\n+x\n");
        assert_eq!(unified("a", "x\n", ""), "--- a\n+++ a\n@@ -1,1 +0,0 @@\n-x\n");
        let expected = "--- a\n+++ a\n@@ -1,1 +1,1 @@\n-x\n+x\n\\ No newline at end of file\n";
        assert_eq!(unified("a", "x\n", "x"), expected);
    }

    /// Applying the script backwards and forwards gives the texts again.
    #[test]
    fn the_script_holds_both_texts() {
        let mut state = 7u64;
        for _ in 0..200 {
            let mut text = |count: u64| -> String {
                (0..count)
                    .map(|_| {
                        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        format!("{}\n", (state >> 33) % 4)
                    })
                    .collect()
            };
            let (old, new) = (text(12), text(9));
            let script = script(&lines(&old), &lines(&new));
            let side = |mark: Mark| -> String {
                script.iter().filter(|(m, _)| *m == Mark::Same || *m == mark).map(|(_, line)| *line).collect()
            };
            assert_eq!((side(Mark::Removed), side(Mark::Added)), (old, new));
        }
    }
}
