//! Which passes run, and in which order.
//!
//! The standard pipeline of a level is a fixed list ([`standard`]); a user may leave passes out of it, give
//! a list of their own, and add passes of their own, which come last unless the list names them.

use super::BUILT_IN;
use super::pass::Pass;
use crate::base::closest;
use std::fmt;
use std::sync::Arc;

/// How much is done to a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OptLevel {
    /// Nothing: what lowering wrote.
    O0,
    /// What makes a program smaller and leaves its structure.
    O1,
    #[default]
    O2,
    /// Also what makes the text longer or leaves less of the source's structure.
    O3,
}

impl OptLevel {
    pub const ALL: [OptLevel; 4] = [OptLevel::O0, OptLevel::O1, OptLevel::O2, OptLevel::O3];
}

impl fmt::Display for OptLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u8)
    }
}

/// The standard passes in order, each with the lowest level that runs it.
const STANDARD: &[(&str, OptLevel)] =
    &[("fold", OptLevel::O1), ("simplify", OptLevel::O2), ("cse", OptLevel::O1), ("dce", OptLevel::O1)];

/// Names of the passes of a level, in order.
pub fn standard(level: OptLevel) -> impl Iterator<Item = &'static str> {
    STANDARD.iter().filter(move |(_, from)| level >= *from).map(|(name, _)| *name)
}

/// What a user may say about passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub level: OptLevel,
    /// These, in this order, instead of the level's.
    pub only: Option<Vec<String>>,
    /// None of these.
    pub disabled: Vec<String>,
}

/// Passes in the order in which they run.
#[derive(Clone, Default)]
pub struct Pipeline {
    pub(super) passes: Vec<Arc<dyn Pass>>,
}

/// A name that no pass has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPass {
    pub name: String,
    /// The nearest name that there is.
    pub near: Option<String>,
    /// Every name that there is.
    pub known: Vec<String>,
}

impl fmt::Display for UnknownPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown pass `{}`", self.name)
    }
}

impl Pipeline {
    /// The passes selected, among the compiler's own and `added` ones.
    pub fn select(selection: &Selection, added: &[Arc<dyn Pass>]) -> Result<Pipeline, UnknownPass> {
        for name in &selection.disabled {
            find(name, added)?;
        }
        let names: Vec<String> = match &selection.only {
            Some(names) => names.clone(),
            None => standard(selection.level)
                .map(str::to_string)
                .chain(added.iter().map(|pass| pass.name().to_string()))
                .collect(),
        };
        let enabled = names.iter().filter(|name| !selection.disabled.contains(name));
        Ok(Pipeline { passes: enabled.map(|name| find(name, added)).collect::<Result<_, _>>()? })
    }

    /// These passes.
    pub fn of(passes: Vec<Arc<dyn Pass>>) -> Pipeline {
        Pipeline { passes }
    }

    /// The passes with these names.
    pub fn named(names: &[&str]) -> Result<Pipeline, UnknownPass> {
        let only = Some(names.iter().map(|name| name.to_string()).collect());
        Pipeline::select(&Selection { only, ..Selection::default() }, &[])
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.passes.iter().map(|pass| pass.name())
    }

    pub fn is_empty(&self) -> bool {
        self.passes.is_empty()
    }
}

/// An added pass hides a built-in one of its name.
fn find(name: &str, added: &[Arc<dyn Pass>]) -> Result<Arc<dyn Pass>, UnknownPass> {
    if let Some(pass) = added.iter().find(|pass| pass.name() == name) {
        return Ok(pass.clone());
    }
    if let Some(pass) = BUILT_IN.iter().find(|pass| pass.name == name) {
        return Ok(Arc::new(pass));
    }
    let known = BUILT_IN.iter().map(|pass| pass.name).chain(added.iter().map(|pass| pass.name()));
    let known: Vec<String> = known.map(str::to_string).collect();
    let near = closest(name, known.iter().map(String::as_str)).map(str::to_string);
    Err(UnknownPass { name: name.to_string(), near, known })
}

/// `docs/passes.md`: the passes, and the pipeline of each level.
pub fn reference() -> String {
    let mut page = "# Passes\n\nThis page is made from the tables in `src/passes/`: `TRITONC_BLESS=1 cargo test --lib \
                    passes`.\n\nPasses rewrite a verified module into another that computes the same. `--opt-level` \
                    takes a fixed list of them,\n`--disable-pass NAME` leaves some out, `--passes LIST` gives another \
                    list; `--dump-ir DIR` writes the module after\neach, `--time-passes` and `-v` say what each did. \
                    Each is a file in `src/passes/`, whose first comment has an example.\n\n\
                    | pass | what it does | levels |\n| --- | --- | --- |\n"
        .to_string();
    for pass in BUILT_IN {
        let levels: Vec<String> = OptLevel::ALL
            .iter()
            .filter(|level| standard(**level).any(|name| name == pass.name))
            .map(ToString::to_string)
            .collect();
        let levels = if levels.is_empty() { "by name only".to_string() } else { levels.join(", ") };
        page += &format!("| `{}` | {} | {levels} |\n", pass.name, pass.summary);
    }
    page += "\n| level | passes, in order |\n| --- | --- |\n";
    for level in OptLevel::ALL {
        let names: Vec<String> = standard(level).map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "none".to_string() } else { names.join(", ") };
        let default = if level == OptLevel::default() { " (default)" } else { "" };
        page += &format!("| {level}{default} | {names} |\n");
    }
    page
}
