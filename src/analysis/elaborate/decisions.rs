//! Conditions that nothing settles: a definition is walked once for each combination of answers.

/// The answers given to open conditions, in the order asked.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    script: Vec<bool>,
    taken: Vec<(String, bool)>,
    /// What is known without having been asked.
    pub(super) given: Vec<(String, bool)>,
}

impl Decisions {
    /// What is known of a condition, by its text.
    pub(super) fn recall(&self, key: &str) -> Option<bool> {
        self.taken.iter().chain(&self.given).find(|(k, _)| k == key).map(|(_, b)| *b)
    }

    /// Answers a condition that is open.
    pub(super) fn answer(&mut self, key: String) -> bool {
        let answer = self.script.get(self.taken.len()).copied().unwrap_or(true);
        self.taken.push((key, answer));
        answer
    }

    /// How many conditions were open so far.
    pub fn asked(&self) -> usize {
        self.taken.len()
    }

    /// The next combination, or `None` when all were walked.
    pub fn next(&self) -> Option<Decisions> {
        let mut script: Vec<bool> = self.taken.iter().map(|(_, b)| *b).collect();
        while let Some(last) = script.pop() {
            if last {
                script.push(false);
                return Some(Decisions { script, ..Decisions::default() });
            }
        }
        None
    }
}
