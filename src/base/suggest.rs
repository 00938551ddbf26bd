//! "Did you mean ...?": the known name that a misspelt one most likely stands for.
//!
//! The distance counts inserted, deleted, replaced and swapped neighbouring characters, ignoring case.
//! A candidate is offered only when it is near in proportion to the length of the name, so that short
//! names do not suggest unrelated ones.

/// Names longer than this are not compared: the table of distances would be quadratic in them.
const MAX_LENGTH: usize = 128;

/// The candidate nearest to `name`, if any is near enough. Of equally near ones, the first with the same digits.
pub fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    nearest(name, candidates).map(|near| near.name)
}

/// A name that is near to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near<'a> {
    pub name: &'a str,
    /// No other candidate is as near, and the difference is small for the length and no digit's: `w1` for `w2`
    /// is another name, not a slip.
    pub certain: bool,
}

/// The candidate nearest to `name`, and whether it is plainly the one.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<Near<'a>> {
    let wanted: Vec<char> = folded(name);
    if wanted.is_empty() || wanted.len() > MAX_LENGTH {
        return None;
    }
    let allowed = allowed_distance(wanted.len());
    let mut best: Option<((usize, bool), &'a str)> = None;
    let mut tied = false;
    for candidate in candidates {
        let have = folded(candidate);
        // A difference in length alone is at least as many edits; a name of other letters is no typo.
        if have.is_empty() || have.len().abs_diff(wanted.len()) > allowed || candidate == name {
            continue;
        }
        let found = distance(&wanted, &have);
        if found > allowed || found >= have.len() {
            continue;
        }
        let found = (found, digits(name) != digits(candidate));
        match best {
            Some((least, _)) if found > least => {}
            Some((least, known)) if found == least => tied |= known != candidate,
            _ => {
                best = Some((found, candidate));
                tied = false;
            }
        }
    }
    best.map(|((found, other_digits), candidate)| {
        let certain = !tied && found * 3 <= wanted.len() && !other_digits;
        Near { name: candidate, certain }
    })
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn folded(text: &str) -> Vec<char> {
    text.chars().flat_map(char::to_lowercase).collect()
}

fn allowed_distance(length: usize) -> usize {
    match length {
        0..=2 => 1,
        3..=5 => 2,
        _ => length / 3,
    }
}

/// Optimal string alignment: edits and swaps of neighbours, no character edited twice.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut row = vec![0; b.len() + 1];
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let substitution = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitution.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggest(name: &str, candidates: &[&'static str]) -> Option<&'static str> {
        closest(name, candidates.iter().copied())
    }

    #[test]
    fn typos_find_their_name() {
        assert_eq!(suggest("sofmtax", &["softmax", "softplus", "sum"]), Some("softmax"));
        assert_eq!(suggest("wieght", &["weight", "bias"]), Some("weight"));
        assert_eq!(suggest("LINEAR", &["Linear"]), Some("Linear"));
        assert_eq!(suggest("e301", &["E0301"]), Some("E0301"));
        assert_eq!(suggest("hiden", &["hidden", "dim"]), Some("hidden"));
    }

    #[test]
    fn the_nearest_wins_and_the_first_of_equals() {
        assert_eq!(suggest("conv2", &["conv1d", "conv2d"]), Some("conv2d"));
        assert_eq!(suggest("up.3", &["up.0", "up.1"]), Some("up.0"));
    }

    #[test]
    fn only_slips_are_certain() {
        let certain = |name: &str, candidates: &[&'static str]| {
            nearest(name, candidates.iter().copied()).map(|near| (near.name, near.certain))
        };
        assert_eq!(certain("sofmax", &["softmax", "softplus"]), Some(("softmax", true)));
        assert_eq!(certain("linear", &["Linear"]), Some(("Linear", true)));
        // Two are as near, the digit differs, the name is too short to tell.
        assert_eq!(certain("wx_proj", &["wq_proj", "wk_proj"]), Some(("wq_proj", false)));
        assert_eq!(certain("conv2", &["conv1"]), Some(("conv1", false)));
        assert_eq!(certain("ab", &["ac"]), Some(("ac", false)));
        assert_eq!(certain("reluu", &["relu6", "relu"]), Some(("relu", true)));
        // The same candidate from two lists is one.
        assert_eq!(certain("hiden", &["hidden", "hidden"]), Some(("hidden", true)));
    }

    #[test]
    fn unrelated_names_are_not_offered() {
        assert_eq!(suggest("x", &["y", "weight"]), None);
        assert_eq!(suggest("encoder", &["decoder_block", "mask"]), None);
        assert_eq!(suggest("", &["a"]), None);
        assert_eq!(suggest("softmax", &["softmax"]), None);
        assert_eq!(suggest(&"a".repeat(100_000), &["a"]), None);
    }

    #[test]
    fn swaps_count_once() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("ab"), &chars("ba")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
    }
}
