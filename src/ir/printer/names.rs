//! Names of values in the text: those of the source, made unique, else numbers in order of definition.

use crate::ir::words::{continues_identifier, starts_identifier};
use crate::ir::{Function, Region, ValueId};
use std::collections::HashMap;

/// The name of each value of one function, without the `%`.
pub(super) struct ValueNames {
    names: HashMap<ValueId, String>,
}

impl ValueNames {
    pub(super) fn new(function: &Function) -> ValueNames {
        let mut namer = Namer { function, names: HashMap::new(), used: HashMap::new(), numbered: 0 };
        for param in &function.params {
            namer.define(*param);
        }
        namer.region(&function.body);
        ValueNames { names: namer.names }
    }

    pub(super) fn into_map(self) -> HashMap<ValueId, String> {
        self.names
    }

    /// `%x, %0`; a value that nothing defines shows its id.
    pub(super) fn list(&self, values: &[ValueId]) -> String {
        let parts: Vec<String> = values
            .iter()
            .map(|value| match self.names.get(value) {
                Some(name) => format!("%{name}"),
                None => format!("%undefined.{}", value.0),
            })
            .collect();
        parts.join(", ")
    }
}

struct Namer<'f> {
    function: &'f Function,
    names: HashMap<ValueId, String>,
    /// How often each source name has been given.
    used: HashMap<String, u32>,
    numbered: u32,
}

impl Namer<'_> {
    fn define(&mut self, value: ValueId) {
        if self.names.contains_key(&value) {
            return;
        }
        let source = self.function.values.get(value.0 as usize).and_then(|v| v.name.as_deref());
        let name = match source.map(as_word).filter(|name| !name.is_empty()) {
            // `x`, then `x.1`: no source name has a dot, so these are free.
            Some(name) => {
                let count = self.used.entry(name.clone()).or_insert(0);
                *count += 1;
                if *count == 1 { name } else { format!("{name}.{}", *count - 1) }
            }
            None => {
                self.numbered += 1;
                (self.numbered - 1).to_string()
            }
        };
        self.names.insert(value, name);
    }

    fn region(&mut self, region: &Region) {
        for param in &region.params {
            self.define(*param);
        }
        for id in &region.insts {
            let Some(inst) = self.function.insts.get(id.0 as usize) else { continue };
            for result in &inst.results {
                self.define(*result);
            }
            for region in Function::regions(&inst.kind) {
                self.region(region);
            }
        }
    }
}

/// The name as one word of the text form.
fn as_word(name: &str) -> String {
    let mut word: String = name.chars().map(|c| if continues_identifier(c) { c } else { '_' }).collect();
    if word.chars().next().is_some_and(|c| !starts_identifier(c)) {
        word.insert(0, '_');
    }
    word
}
