//! The helpers of a file: definitions of `templates/TARGET/helpers/`, of which only the used ones are written.

use crate::ir::{InstKind, MemberKind, Module};
use crate::ops::Attr;
use crate::ops::traits::Quantisation;
use crate::quant::{Scheme, SchemeKind, Ste};
use crate::targets::pycode::classes;
use crate::targets::pycode::dialect::Dialect;
use crate::targets::templates::Skeletons;
use crate::targets::{EmitOptions, Mode, TargetError, names};
use crate::types::DType;
use minijinja::context;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Helpers of libraries that are like NumPy, which they call `np`.
pub const SHARED: &str = "arrays/";

/// One top-level definition.
pub struct Helper {
    pub name: String,
    pub text: String,
    /// Other helpers and modules that its code names.
    words: BTreeSet<String>,
}

/// The helpers that a program may use, in the order of the files.
pub struct Helpers {
    pub list: Vec<Helper>,
    /// What the top level of every file holds that has these: their names, modules, what every file defines.
    pub names: Arc<HashSet<String>>,
}

/// What a program makes use of: helpers are written for that much.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Uses {
    training: bool,
    /// Codes of 8 bits are stored.
    bytes: bool,
    zero_point: bool,
    axis: bool,
    group: bool,
    dynamic: bool,
    clipped: bool,
    scale_dtype: bool,
    /// Scales are given, not computed.
    given: bool,
    /// Members are saved by other names than their attributes have.
    names: bool,
}

impl Uses {
    fn of(dialect: &dyn Dialect, module: &Module, options: &EmitOptions) -> Uses {
        let attributes = dialect.attributes();
        let mut uses = Uses { training: options.mode == Mode::Train, ..Uses::default() };
        let members = module.layers.iter().flat_map(|layer| layer.members.iter().map(move |member| (layer, member)));
        for (layer, member) in members {
            uses.names |= match &attributes {
                Some(taken) => classes::is_renamed(taken, module, layer, member),
                None => member.saved.is_some(),
            };
            if let MemberKind::Storage(storage) = &member.kind
                && let Some(scheme) = &storage.scheme
            {
                uses.bytes |= matches!(scheme.kind, SchemeKind::Int { bits: 8, .. });
                uses.add(scheme);
            }
        }
        for function in &module.functions {
            function.visit(&function.body, &mut |inst| {
                if let InstKind::Op { op, attrs } = &function[inst].kind {
                    match op.quantisation() {
                        // These take any format, by name.
                        Some(Quantisation::Pack | Quantisation::Unpack) => uses.bytes = true,
                        Some(Quantisation::QuantiseWith) => uses.given = true,
                        Some(Quantisation::Quantise | Quantisation::Dequantise) | None => {}
                    }
                    attrs.iter().for_each(|(_, attr)| uses.add_attr(attr));
                }
            });
            function.host_args.iter().for_each(|(_, attr)| uses.add_attr(attr));
        }
        uses
    }

    fn value(&self) -> minijinja::Value {
        context! {
            bytes => self.bytes,
            zero_point => self.zero_point,
            axis => self.axis,
            group => self.group,
            dynamic => self.dynamic,
            clipped => self.clipped,
            scale_dtype => self.scale_dtype,
            given => self.given,
            names => self.names,
        }
    }

    fn add_attr(&mut self, attr: &Attr) {
        if let Attr::Scheme(scheme) = attr {
            self.add(scheme);
        }
    }

    fn add(&mut self, scheme: &Scheme) {
        self.zero_point |= matches!(scheme.kind, SchemeKind::Int { symmetric: false, .. });
        self.axis |= scheme.axis.is_some();
        self.group |= scheme.group.is_some();
        self.dynamic |= scheme.dynamic;
        self.clipped |= scheme.ste == Ste::Clipped;
        self.scale_dtype |= scheme.scale_dtype != DType::Float32;
    }
}

/// Helpers that were rendered before, by what they were written for.
#[derive(Default)]
pub struct Library {
    rendered: Mutex<HashMap<Uses, Arc<Helpers>>>,
}

/// Most programs make use of one of a few combinations; past so many all are forgotten.
const MAX_RENDERED: usize = 16;

impl Library {
    /// The helpers for a program.
    pub fn of(
        &self,
        dialect: &dyn Dialect,
        templates: &Skeletons,
        module: &Module,
        options: &EmitOptions,
    ) -> Result<Arc<Helpers>, Vec<TargetError>> {
        let uses = Uses::of(dialect, module, options);
        // What a panic leaves behind is whole: entries are only added.
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(helpers) = rendered.get(&uses) {
            return Ok(helpers.clone());
        }
        let helpers = Arc::new(read(dialect, templates, uses)?);
        if rendered.len() >= MAX_RENDERED {
            rendered.clear();
        }
        rendered.insert(uses, helpers.clone());
        Ok(helpers)
    }
}

fn read(dialect: &dyn Dialect, templates: &Skeletons, uses: Uses) -> Result<Helpers, Vec<TargetError>> {
    let mut list = vec![];
    let mut errors = vec![];
    for name in templates.helpers() {
        let np = dialect.arrays().map(|module| module.0);
        let context = context! { uses => uses.value(), training => uses.training, np };
        let text = match templates.render(name, context) {
            Ok(text) => np.filter(|_| name.starts_with(SHARED)).map_or(text.clone(), |np| called(&text, np)),
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        for text in text.split("\n\n\n").map(str::trim_end).filter(|text| !text.is_empty()) {
            let text = text.trim_start_matches('\n');
            let head = text.trim_start_matches("class ").trim_start_matches("def ");
            let name = head.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            list.push(Helper { name: name.to_string(), text: text.to_string(), words: words(text) });
        }
    }
    // Of the words only those matter that are defined or imported.
    let mut names: HashSet<String> = list.iter().map(|helper| helper.name.clone()).collect();
    names.extend(dialect.imports().iter().map(|name| name.to_string()));
    for helper in &mut list {
        helper.words.retain(|word| names.contains(word));
    }
    names.extend(dialect.top_level().iter().map(|name| name.to_string()));
    if errors.is_empty() { Ok(Helpers { list, names: Arc::new(names) }) } else { Err(errors) }
}

/// A text that calls NumPy `np`, with another name for it.
fn called(text: &str, np: &str) -> String {
    let mut called = String::with_capacity(text.len() + text.len() / 16);
    for piece in text.split_inclusive("np.") {
        let before = piece.strip_suffix("np.");
        match before.filter(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')) {
            Some(before) => called.extend([before, np, "."]),
            None => called.push_str(piece),
        }
    }
    called
}

/// The words of a text, docstrings and comments left out.
fn words(text: &str) -> BTreeSet<String> {
    let code: String = text.split("\"\"\"").step_by(2).collect();
    let lines = code.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines
        // An attribute is no name of this file.
        .flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.')))
        .filter_map(|path| path.split('.').next())
        .filter(|word| !word.is_empty())
        .map(str::to_string)
        .collect()
}

/// Every name used, also by the helpers that are used.
pub fn close_over(helpers: &[Helper], mut used: BTreeSet<String>) -> BTreeSet<String> {
    let mut waiting: Vec<&Helper> = helpers.iter().filter(|helper| used.contains(&helper.name)).collect();
    while let Some(helper) = waiting.pop() {
        for word in &helper.words {
            if used.insert(word.clone()) {
                waiting.extend(helpers.iter().filter(|helper| helper.name == *word));
            }
        }
    }
    used
}

/// What a file begins with: where it comes from.
pub fn header(options: &EmitOptions) -> Vec<String> {
    let of = match options.entry_expr.is_empty() {
        true => options.source_name.clone(),
        false => format!("{} of {}", options.entry_expr, options.source_name),
    };
    vec![names::python_comment(&format!("{of}, compiled by tritonc {}", options.version))]
}
