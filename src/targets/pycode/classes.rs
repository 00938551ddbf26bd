//! The names of classes and of their attributes, for targets whose layers are classes.

use crate::ir::{Layer, Member, Module};
use crate::targets::names::{self, Namer, Reserved};
use crate::types::Symbol;
use std::collections::HashMap;
use std::sync::Arc;

/// The names of a class and of what it holds.
#[derive(Clone, Debug, Default)]
pub struct ClassNames {
    pub class: String,
    attributes: HashMap<String, String>,
    hypers: HashMap<Symbol, String>,
    namer: Namer,
}

/// Whether an attribute of a module can have the name of a member.
fn can_be_attribute(taken: &Arc<Reserved>, name: &str) -> bool {
    Namer::among(taken.clone()).safe(name) == name
}

/// The saved name of a member where it can be the attribute's as well: then nothing needs to be renamed.
fn saved_attribute(taken: &Arc<Reserved>, module: &Module, layer: &Layer, member: &Member) -> Option<String> {
    let name = member.saved.as_ref()?.as_text().filter(|name| can_be_attribute(taken, name))?;
    let is_other = layer.members.iter().any(|other| other.name == name && other.name != member.name)
        || layer.hypers.iter().any(|hyper| hyper.name.as_str() == name)
        || layer.methods.iter().any(|method| module[*method].source_name == name);
    (!is_other).then(|| name.to_string())
}

/// Whether the attribute of a member is not called as the member is saved.
pub fn is_renamed(taken: &Arc<Reserved>, module: &Module, layer: &Layer, member: &Member) -> bool {
    match member.saved {
        Some(_) => saved_attribute(taken, module, layer, member).is_none(),
        None => !can_be_attribute(taken, &member.name),
    }
}

impl ClassNames {
    /// `class` is its own name; `taken` are attributes that members must not replace, `imports` modules that the
    /// constructor needs.
    pub fn new(class: String, taken: &Arc<Reserved>, imports: &[&str], module: &Module, layer: &Layer) -> ClassNames {
        let mut namer = Namer::among(taken.clone());
        let mut attribute = |member: &Member| {
            let name = saved_attribute(taken, module, layer, member);
            (member.name.clone(), namer.fresh(name.as_ref().unwrap_or(&member.name)))
        };
        let attributes = layer.members.iter().map(&mut attribute).collect();
        // An argument of the constructor must not hide what the constructor calls.
        let argument = |name: &Symbol| match imports.contains(&name.as_str()) {
            true => format!("{name}_"),
            false => name.to_string(),
        };
        let hypers = layer.hypers.iter().map(|h| (h.name.clone(), namer.fresh(&argument(&h.name)))).collect();
        ClassNames { class, attributes, hypers, namer }
    }

    /// The attribute that holds a member.
    pub fn member(&self, name: &str) -> String {
        self.attributes.get(name).cloned().unwrap_or_else(|| names::identifier(name))
    }

    /// A new name for a function that is not called as the source says.
    pub fn fresh(&mut self, name: &str) -> String {
        self.namer.fresh(name)
    }

    /// A new name for a method; the first of its name that comes gets it as it is.
    pub fn method(&mut self, name: &str) -> String {
        if name != "forward" {
            return self.namer.fresh(name);
        }
        let numbered = (2..).map(|number| format!("forward_{number}"));
        let word = std::iter::once("forward".to_string()).chain(numbered).find(|word| !self.namer.is_taken(word));
        let word = word.unwrap_or_default();
        self.namer.take(&word);
        word
    }

    /// The attribute, and the constructor's argument, for a hyperparameter.
    pub fn hyper(&self, name: &Symbol) -> String {
        self.hypers.get(name).cloned().unwrap_or_else(|| names::identifier(name.as_str()))
    }
}
