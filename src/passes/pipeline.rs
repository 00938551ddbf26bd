//! Which passes run, and in which order.
//!
//! The standard pipeline of a level is a fixed list ([`standard`]); a user may leave passes out of it, give
//! a list of their own, and add passes of their own, which come last unless the list names them.

use super::pass::{Keep, Pass};
use super::{BUILT_IN, FOLD_FAKE_QUANT};
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

/// What a target makes of a program, and so what a program has to be like on its way there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Style {
    /// Text for people, which keeps layers and composite calls.
    #[default]
    Modules,
    /// Code for machines: the program inlined, its operations put together to kernels.
    Kernels,
}

impl Style {
    pub const ALL: [Style; 2] = [Style::Modules, Style::Kernels];
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Style::Modules => "modules",
            Style::Kernels => "kernels",
        })
    }
}

/// What code is generated for. `training` is true in Tri when compiling for `Train`, and quantised weights are floats
/// then; else they are packed codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    Train,
    #[default]
    Infer,
}

impl Mode {
    pub const ALL: [Mode; 2] = [Mode::Train, Mode::Infer];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Train => "train",
            Mode::Infer => "infer",
        })
    }
}

/// What a pipeline is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub style: Style,
    pub mode: Mode,
}

/// A pass of the standard pipelines: the lowest level that runs it, for each style, and the only mode in which it does,
/// where there is one.
///
/// The highest level is the same for both styles, so that what kernels are made from can be run through any target.
struct Row {
    pass: &'static str,
    modules: OptLevel,
    kernels: OptLevel,
    mode: Option<Mode>,
}

/// A pass that runs from a level on, whatever the style and mode.
const fn from(pass: &'static str, level: OptLevel) -> Row {
    Row { pass, modules: level, kernels: level, mode: None }
}

/// A pass for kernels, from a level on; for modules, whose structure it takes apart, at the highest level only.
const fn kernels(pass: &'static str, level: OptLevel) -> Row {
    Row { pass, modules: OptLevel::O3, kernels: level, mode: None }
}

/// The same for a pass that gradients do not go through: when compiling for inference only.
const fn inference(pass: &'static str, level: OptLevel) -> Row {
    Row { mode: Some(Mode::Infer), ..kernels(pass, level) }
}

/// The standard passes in order. A pass may stand there more than once.
const STANDARD: &[Row] = &[
    kernels("inline", OptLevel::O2),
    from("fold", OptLevel::O1),
    from("simplify", OptLevel::O2),
    inference("fold-batch-norm", OptLevel::O2),
    // Of what shapes are left where a norm was.
    inference("simplify", OptLevel::O2),
    from("cse", OptLevel::O1),
    inference("quantise-fusion", OptLevel::O2),
    inference("hoist", OptLevel::O2),
    from("dce", OptLevel::O1),
    kernels("fuse", OptLevel::O2),
];

/// Names of the passes of a level, in order.
pub fn standard(form: Form, level: OptLevel) -> impl Iterator<Item = &'static str> {
    let runs = move |row: &&Row| {
        let lowest = match form.style {
            Style::Modules => row.modules,
            Style::Kernels => row.kernels,
        };
        level >= lowest && row.mode.is_none_or(|mode| mode == form.mode)
    };
    STANDARD.iter().filter(runs).map(|row| row.pass)
}

/// What a user may say about passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub level: OptLevel,
    /// These, in this order, instead of the level's.
    pub only: Option<Vec<String>>,
    /// None of these.
    pub disabled: Vec<String>,
    /// Before all others, the pass that leaves a float model.
    pub float_model: bool,
}

/// Passes in the order in which they run.
#[derive(Clone, Default)]
pub struct Pipeline {
    pub(super) passes: Vec<Arc<dyn Pass>>,
    pub(super) keep: Option<Keep>,
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
    /// The passes selected for a form of the program, among the compiler's own and `added` ones.
    pub fn select(selection: &Selection, form: Form, added: &[Arc<dyn Pass>]) -> Result<Pipeline, UnknownPass> {
        for name in &selection.disabled {
            find(name, added)?;
        }
        let names: Vec<String> = match &selection.only {
            Some(names) => names.clone(),
            None => standard(form, selection.level)
                .map(str::to_string)
                .chain(added.iter().map(|pass| pass.name().to_string()))
                .collect(),
        };
        let first = selection.float_model.then(|| FOLD_FAKE_QUANT.to_string());
        let names: Vec<String> = first.into_iter().chain(names).collect();
        let enabled = names.iter().filter(|name| !selection.disabled.contains(name));
        Ok(Pipeline { passes: enabled.map(|name| find(name, added)).collect::<Result<_, _>>()?, keep: None })
    }

    /// The same for a target that writes some functions in forms of its own: their calls stay.
    pub fn keeping(self, keep: Keep) -> Pipeline {
        Pipeline { keep: Some(keep), ..self }
    }

    /// These passes.
    pub fn of(passes: Vec<Arc<dyn Pass>>) -> Pipeline {
        Pipeline { passes, ..Pipeline::default() }
    }

    /// The passes with these names.
    pub fn named(names: &[&str]) -> Result<Pipeline, UnknownPass> {
        let only = Some(names.iter().map(|name| name.to_string()).collect());
        Pipeline::select(&Selection { only, ..Selection::default() }, Form::default(), &[])
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

/// The levels that run a pass in a style: `2, 3`, or `3 (train)` where it is for one mode.
fn levels_of(pass: &str, style: Style) -> String {
    let runs = |level: OptLevel, mode: Mode| standard(Form { style, mode }, level).any(|name| name == pass);
    let levels = OptLevel::ALL.into_iter().filter_map(|level| match Mode::ALL.map(|mode| runs(level, mode)) {
        [true, true] => Some(level.to_string()),
        [true, false] => Some(format!("{level} (train)")),
        [false, true] => Some(format!("{level} (infer)")),
        [false, false] => None,
    });
    let levels: Vec<String> = levels.collect();
    if levels.is_empty() { "by name".to_string() } else { levels.join(", ") }
}

/// The passes of a level in order, `train` and `infer` apart where they differ.
fn listed(style: Style, level: OptLevel) -> String {
    let names = |mode: Mode| -> String {
        let names: Vec<String> = standard(Form { style, mode }, level).map(|name| format!("`{name}`")).collect();
        if names.is_empty() { "none".to_string() } else { names.join(", ") }
    };
    let [train, infer] = Mode::ALL.map(names);
    if train == infer { train } else { format!("train: {train}; infer: {infer}") }
}

const INTRODUCTION: &str = "\
# Passes

This page is made from the tables in `src/passes/`: `TRITONC_BLESS=1 cargo test --lib passes`.

Passes rewrite a verified module into another that computes the same. `--opt-level` takes a fixed list of them,
`--disable-pass NAME` leaves some out, `--passes LIST` gives another list; `--dump-ir DIR` writes the module after
each, `--time-passes` and `-v` say what each did. Each is a file in `src/passes/`, whose first comment has an example.

Which passes a level has depends on the style of the target, and for some passes on the mode (`--mode`). *Modules* are
text for people, which keeps layers and composite calls: `pytorch` is of this style. *Kernels* are code for machines:
the program inlined, its operations put together. Level 3 is the same list for both; a target that takes no fused
instructions has them expanded in place, so its text then shows less of the source's structure.

`--precision` has one more pass, `precision`, which runs before all of these ([numerics.md](numerics.md)).
";

/// `docs/passes.md`: the passes, and the pipeline of each style, mode and level.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_string();
    page += "\n| pass | what it does | levels, modules | levels, kernels |\n| --- | --- | --- | --- |\n";
    for pass in BUILT_IN {
        let [modules, kernels] = Style::ALL.map(|style| levels_of(pass.name, style));
        page += &format!("| `{}` | {} | {modules} | {kernels} |\n", pass.name, pass.summary);
    }
    page += "\n| style | level | passes, in order |\n| --- | --- | --- |\n";
    for style in Style::ALL {
        for level in OptLevel::ALL {
            let default = if level == OptLevel::default() { " (default)" } else { "" };
            page += &format!("| {style} | {level}{default} | {} |\n", listed(style, level));
        }
    }
    page
}
