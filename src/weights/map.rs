//! Name maps: from the names of a checkpoint to those of a model, and from its tensors to the model's.
//!
//! A rule says which tensors it is for and what becomes of them: another name, a transposed tensor, one tensor of
//! several (stacked along a new axis, or concatenated), several of one, or none. Of the rules that a name fits the
//! last one counts, and a name that fits none stays. Nothing is read when a map is applied: each resulting tensor is
//! a recipe, carried out when its elements are wanted.
//!
//! `from = "layers.{n}.experts.{e}.w"`, `to = "blocks.{n}.experts.w"`, `stack = 0` stacks, for each `n`, what `{e}`
//! tells apart, in the order of the numbers. With several `from`, their order comes first.

use super::Checkpoint;
use super::view::{Derived, Join, Recipe, View};
use crate::base::pattern::{self, Captures, Pattern};
use std::collections::{BTreeMap, BTreeSet};

/// Rules in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NameMap {
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub from: Vec<Pattern>,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Drop,
    Move { to: Pattern, transpose: Option<Axes>, join: Option<Join> },
    Split { to: Vec<Pattern>, transpose: Option<Axes>, axis: i64, sizes: Option<Vec<usize>> },
}

/// How axes change places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axes {
    /// The last two.
    Swap,
    /// To this order.
    Order(Vec<usize>),
}

impl Rule {
    /// A rule whose parts go together, or why they do not.
    pub fn new(from: Vec<Pattern>, action: Action) -> Result<Rule, String> {
        if from.is_empty() {
            return Err("a rule needs at least one name in `from`".to_string());
        }
        let targets = match &action {
            Action::Drop => &[][..],
            Action::Move { to, .. } => std::slice::from_ref(to),
            Action::Split { to, sizes, .. } => {
                if to.len() < 2 {
                    return Err("`split` needs at least two names in `to`".to_string());
                }
                if sizes.as_ref().is_some_and(|sizes| sizes.len() != to.len()) {
                    return Err("`sizes` needs a size for each name in `to`".to_string());
                }
                to
            }
        };
        for (from, to) in from.iter().flat_map(|from| targets.iter().map(move |to| (from, to))) {
            if let Some(name) = to.names().find(|name| from.names().all(|own| own != *name)) {
                return Err(format!("`{to}` has `{{{name}}}`, which `{from}` does not capture"));
            }
            if from.anys() != to.anys() {
                return Err(format!("`{from}` and `{to}` differ in how many `*` they have"));
            }
        }
        Ok(Rule { from, action })
    }

    /// `FROM=TO`; with nothing after `=`, the tensors are dropped.
    pub fn parse(text: &str) -> Result<Rule, String> {
        let (from, to) = text.split_once('=').ok_or("there is no `=`")?;
        let pattern = |text: &str| Pattern::parse(text).map_err(|problem| format!("`{text}` {problem}"));
        let from = vec![pattern(from.trim())?];
        match to.trim() {
            "" => Rule::new(from, Action::Drop),
            to => Rule::new(from, Action::Move { to: pattern(to)?, transpose: None, join: None }),
        }
    }
}

/// One tensor on its way to a target.
struct Source<'a> {
    name: &'a str,
    /// Which `from` it fits.
    place: usize,
    /// Captures that the target does not name.
    left: Vec<(&'a str, Step)>,
}

/// Numbers sort as numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Number(u64),
    Text(String),
}

impl NameMap {
    /// The checkpoint as the map shows it, or everything that is wrong with it.
    pub fn apply(&self, checkpoint: Checkpoint) -> Result<View, Vec<String>> {
        let mut problems = vec![];
        let names: Vec<String> = checkpoint.tensors().map(|(name, _)| name.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let patterns: Vec<Pattern> = self.rules.iter().flat_map(|rule| rule.from.iter().cloned()).collect();
        let places = self.rules.iter().enumerate();
        let places: Vec<(usize, usize)> =
            places.flat_map(|(rule, own)| (0..own.from.len()).map(move |place| (rule, place))).collect();
        let assignment = pattern::assign(&patterns, &names);
        for index in &assignment.idle {
            problems.push(no_match(&patterns[*index], &names));
        }
        let mut derived = Derivation { checkpoint: &checkpoint, tensors: BTreeMap::new(), problems };
        let mut moved: BTreeMap<(usize, String), Vec<Source<'_>>> = BTreeMap::new();
        for (name, chosen) in names.iter().zip(&assignment.chosen) {
            let Some(chosen) = chosen else {
                derived.add(name.to_string(), vec![name], &None, None);
                continue;
            };
            let (rule, place) = places[*chosen];
            let captures = patterns[*chosen].captures(name).unwrap_or_default();
            match &self.rules[rule].action {
                Action::Drop => {}
                Action::Move { to, .. } => {
                    let target = to.fill(&captures).unwrap_or_default();
                    let left = left_over(&patterns[*chosen], to, &captures);
                    moved.entry((rule, target)).or_default().push(Source { name, place, left });
                }
                Action::Split { to, transpose, axis, sizes } => {
                    let targets = to.iter().filter_map(|to| to.fill(&captures)).collect();
                    derived.split(name, targets, transpose, *axis, sizes.as_deref());
                }
            }
        }
        for ((rule, target), sources) in moved {
            let Action::Move { transpose, join, .. } = &self.rules[rule].action else { continue };
            derived.gather(target, sources, transpose, *join);
        }
        let Derivation { tensors, problems, .. } = derived;
        if problems.is_empty() { Ok(View::new(checkpoint, tensors)) } else { Err(problems) }
    }
}

/// What a pattern that no name fits is told.
pub fn no_match(pattern: &Pattern, names: &[&str]) -> String {
    let near = crate::base::closest(pattern.text(), names.iter().copied()).filter(|_| pattern.is_name());
    match (near, names) {
        (Some(near), _) => format!("`{pattern}` matches no tensor; did you mean `{near}`?"),
        (None, []) => format!("`{pattern}` matches no tensor: there are none"),
        (None, names) => {
            let shown: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
            let more = if names.len() > 3 { ", ..." } else { "" };
            format!("`{pattern}` matches no tensor; they are called {}{more}", shown.join(", "))
        }
    }
}

fn left_over<'p>(from: &'p Pattern, to: &Pattern, captures: &Captures) -> Vec<(&'p str, Step)> {
    let own = from.names().filter(|name| to.names().all(|other| other != *name));
    let step = |name| {
        let text = captures.get(name).unwrap_or_default();
        text.parse().map_or_else(|_| Step::Text(text.to_string()), Step::Number)
    };
    own.map(|name| (name, step(name))).collect()
}

struct Derivation<'a> {
    checkpoint: &'a Checkpoint,
    tensors: BTreeMap<String, Derived>,
    problems: Vec<String>,
}

impl Derivation<'_> {
    /// One target of one source, or of several that are joined.
    fn gather(&mut self, target: String, mut sources: Vec<Source<'_>>, transpose: &Option<Axes>, join: Option<Join>) {
        if join.is_none() {
            if let [first, second, ..] = &sources[..] {
                let (first, second) = (first.name, second.name);
                self.problems.push(format!("`{first}` and `{second}` both become `{target}`"));
            }
            self.add(target, vec![sources[0].name], transpose, None);
            return;
        }
        sources.sort_by(|a, b| (a.place, &a.left).cmp(&(b.place, &b.left)));
        if let Some(missing) = missing_number(&sources) {
            self.problems.push(format!("`{target}` lacks a part: {missing}"));
        }
        self.add(target, sources.iter().map(|source| source.name).collect(), transpose, join);
    }

    fn add(&mut self, target: String, sources: Vec<&str>, transpose: &Option<Axes>, join: Option<Join>) {
        let sources: Vec<String> = sources.into_iter().map(str::to_string).collect();
        let derived = Derived::of(self.checkpoint, Recipe { sources, axes: None, join, part: None }, transpose);
        self.insert(target, derived);
    }

    fn split(
        &mut self,
        name: &str,
        targets: Vec<String>,
        transpose: &Option<Axes>,
        axis: i64,
        sizes: Option<&[usize]>,
    ) {
        let recipe = Recipe { sources: vec![name.to_string()], axes: None, join: None, part: None };
        let parts =
            Derived::of(self.checkpoint, recipe, transpose).and_then(|whole| whole.split(axis, targets.len(), sizes));
        match parts {
            Ok(parts) => targets.into_iter().zip(parts).for_each(|(target, part)| self.insert(target, Ok(part))),
            Err(problem) => self.problems.push(format!("`{name}`: {problem}")),
        }
    }

    fn insert(&mut self, target: String, derived: Result<Derived, String>) {
        match derived {
            Ok(derived) => {
                let sources = derived.recipe.sources.clone();
                if let Some(other) = self.tensors.insert(target.clone(), derived) {
                    let (first, second) = (&other.recipe.sources[0], &sources[0]);
                    self.problems.push(format!("`{first}` and `{second}` both become `{target}`"));
                }
            }
            Err(problem) => self.problems.push(format!("`{target}`: {problem}")),
        }
    }
}

/// Of parts that a single number tells apart, the first that is not there.
fn missing_number(sources: &[Source<'_>]) -> Option<String> {
    let numbers: Option<Vec<(usize, &str, u64)>> = sources
        .iter()
        .map(|source| match &source.left[..] {
            [(name, Step::Number(number))] => Some((source.place, *name, *number)),
            _ => None,
        })
        .collect();
    let numbers = numbers?;
    let there: BTreeSet<(usize, u64)> = numbers.iter().map(|(place, _, number)| (*place, *number)).collect();
    let last = numbers.iter().map(|(_, _, number)| *number).max()?;
    let wanted = numbers.iter().map(|(place, name, _)| (*place, *name)).collect::<BTreeSet<_>>();
    let mut wanted = wanted.into_iter().flat_map(|(place, name)| (0..=last).map(move |number| (place, name, number)));
    let (_, name, number) = wanted.find(|(place, _, number)| !there.contains(&(*place, *number)))?;
    Some(format!("there is no {{{name}}} = {number}, but {last}"))
}

#[cfg(test)]
mod tests;
