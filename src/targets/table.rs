//! `ops.toml`: from operations to expressions of the target's language.
//!
//! ```toml
//! numbers = ["add"]                     # ops whose operands may be plain numbers
//! views = ["reshape"]                   # ops whose result may share memory with an operand
//!
//! [ops]
//! add = "{a} + {b}"
//! sum = "{x}.sum(dim={axis?}, keepdim={keepdim?})"
//!
//! [composites]                          # functions of the standard library, by path
//! "activations.softmax" = "torch.softmax({x}, dim={axis})"
//! ```
//!
//! A target whose language has no operators for all types alike may have two more sections: `[integers]`, what an
//! operation is for operands that are no floats, and `[checks]`, what must hold of integers, else it is an error.
//!
//! Placeholders name operands and attributes of the registry entry (parameters and host arguments, for a
//! composite). An argument that holds `{name?}` is left out where the attribute has its default or is
//! `None`; `{*name}` makes an argument of each element. Entries are read as expressions, so parentheses
//! come by themselves.

use crate::base::code;
use crate::ops::{self, OpId};
use crate::targets::pytext::{self, Py};
use crate::targets::templates::{TemplateFile, Templates};
use crate::targets::{Support, TargetError};
use std::collections::{BTreeMap, HashMap, HashSet};
use toml::Spanned;

#[derive(Clone, Debug, Default)]
pub struct Table {
    ops: HashMap<String, Py>,
    composites: HashMap<String, Py>,
    integers: HashMap<String, Py>,
    checks: HashMap<String, Py>,
    /// File and line of those that a user wrote.
    places: HashMap<String, String>,
    numbers: HashSet<String>,
    views: HashSet<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    numbers: Vec<Spanned<String>>,
    #[serde(default)]
    views: Vec<Spanned<String>>,
    #[serde(default)]
    ops: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    integers: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    checks: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    composites: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// Words that every entry may use besides operands and attributes; the last two are for folds.
const COMMON: &[&str] = &["device", "accumulate", "dtype", "total", "count"];

impl Table {
    /// Reads a target's table: the built-in file, then the user's over it.
    pub fn load(templates: &Templates, target: &str) -> Result<Table, Vec<TargetError>> {
        let mut table = Table::default();
        let mut errors = vec![];
        for (index, file) in templates.versions(&format!("{target}/ops.toml")).iter().enumerate() {
            // A test checks the built-in table against the registry.
            table.read(file, index > 0, &mut errors);
        }
        if errors.is_empty() { Ok(table) } else { Err(errors) }
    }

    /// The expression of a primitive operation.
    pub fn op(&self, name: &str) -> Option<&Py> {
        self.ops.get(name)
    }

    /// The expression of a primitive operation for operands that are no floats, where it is another one.
    pub fn integers(&self, name: &str) -> Option<&Py> {
        self.integers.get(name)
    }

    /// What must hold of the operands, if they are integers.
    pub fn check(&self, name: &str) -> Option<&Py> {
        self.checks.get(name)
    }

    /// The expression of a function of the standard library.
    pub fn composite(&self, path: &str) -> Option<&Py> {
        self.composites.get(path)
    }

    /// How an operation is written that may also have a form in code, of which `is_special` knows.
    pub fn support(&self, op: OpId, is_special: bool) -> Support {
        if is_special || self.op(op.name()).is_some() { Support::Native } else { Support::Refused }
    }

    /// How calls of a function of the standard library are written.
    pub fn support_of_composite(&self, path: &str) -> Support {
        if self.composite(path).is_some() { Support::Native } else { Support::Decomposed }
    }

    /// File and line of a composite's entry, if a user wrote it.
    pub fn place(&self, path: &str) -> Option<&str> {
        self.places.get(path).map(String::as_str)
    }

    /// Whether the op's result may share memory with an operand.
    pub fn gives_views(&self, name: &str) -> bool {
        self.views.contains(name)
    }

    /// Whether the op takes plain numbers for some of its operands.
    pub fn takes_numbers(&self, name: &str) -> bool {
        self.numbers.contains(name)
    }

    fn read(&mut self, file: &TemplateFile, check: bool, errors: &mut Vec<TargetError>) {
        let broken = |at: Option<usize>, message: &str| {
            let line = file.text[..at.unwrap_or(0).min(file.text.len())].matches('\n').count() + 1;
            TargetError::new(code::E0604, format!("{}:{line}: {message}", file.shown))
        };
        let read: File = match toml::from_str(&file.text) {
            Ok(read) => read,
            Err(error) => return errors.push(broken(error.span().map(|s| s.start), error.message())),
        };
        for name in read.numbers {
            if check && ops::find(name.as_ref()).is_none() {
                errors.push(broken(Some(name.span().start), &format!("there is no operation `{}`", name.as_ref())));
            }
            self.numbers.insert(name.into_inner());
        }
        for name in read.views {
            if check && ops::find(name.as_ref()).is_none() {
                errors.push(broken(Some(name.span().start), &format!("there is no operation `{}`", name.as_ref())));
            }
            self.views.insert(name.into_inner());
        }
        let sections =
            [(read.ops, &mut self.ops), (read.integers, &mut self.integers), (read.checks, &mut self.checks)];
        for (entries, section) in sections {
            for (name, text) in entries {
                let at = Some(text.span().start);
                let checked =
                    |entry: Py| if check { check_holes(name.as_ref(), &entry).map(|()| entry) } else { Ok(entry) };
                match pytext::parse(text.as_ref()).and_then(checked) {
                    Ok(entry) => drop(section.insert(name.into_inner(), entry)),
                    Err(message) => errors.push(broken(at, &format!("`{}`: {message}", name.as_ref()))),
                }
            }
        }
        for (name, text) in read.composites {
            let at = Some(text.span().start);
            if check {
                self.places.insert(name.as_ref().clone(), broken(at, "").message.trim_end_matches(": ").to_string());
            }
            match pytext::parse(text.as_ref()) {
                Ok(entry) => drop(self.composites.insert(name.into_inner(), entry)),
                Err(message) => errors.push(broken(at, &format!("`{}`: {message}", name.as_ref()))),
            }
        }
    }
}

/// Placeholders must name parameters of the operation.
fn check_holes(name: &str, entry: &Py) -> Result<(), String> {
    let op = ops::find(name).ok_or("there is no such operation")?.get();
    let mut unknown = None;
    entry.visit_holes(&mut |hole| {
        let known = op.params.iter().any(|p| p.name == hole.name) || COMMON.contains(&hole.name.as_str());
        if !known {
            unknown = Some(hole.name.clone());
        }
    });
    unknown.map_or(Ok(()), |hole| Err(format!("the operation has no parameter `{hole}`")))
}
