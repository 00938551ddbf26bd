//! The values that hyperparameters have in a program: every instance of every layer, from the entry down.
//!
//! A pass that needs a bound of a size asks here: what holds for all instances holds in the functions of their layer.

use crate::ir::{LayerId, MemberKind, Module, Sub};
use crate::types::{Dim, HostValue, Symbol};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Lists with more elements than this are not looked into; nothing is known of what stands in them.
const MAX_REPEAT: i64 = 1 << 16;

/// Values of the hyperparameters of one instance.
type Values = BTreeMap<Symbol, HostValue>;

/// The values of hyperparameters, by layer.
#[derive(Default)]
pub struct Environments {
    by_layer: HashMap<LayerId, BTreeSet<Values>>,
    /// Layers of which there are instances with values that are not known.
    open: BTreeSet<LayerId>,
}

impl Environments {
    pub fn of(module: &Module) -> Environments {
        let mut found = Environments::default();
        match &module.entry {
            Some(entry) => found.instance(module, entry.layer, entry.args.iter().cloned().collect()),
            // Anybody may make instances.
            None => found.open.extend((0..module.layers.len() as u32).map(LayerId)),
        }
        found
    }

    /// The largest value that a size has in functions of a layer; for `None`, in those of no layer.
    pub fn most(&self, layer: Option<LayerId>, dim: &Dim) -> Option<i64> {
        if let Some(value) = dim.as_const() {
            return Some(value);
        }
        let layer = layer.filter(|layer| !self.open.contains(layer))?;
        let value = |values: &Values| dim.eval(&|symbol| values.get(symbol)?.as_int());
        let all: Option<Vec<i64>> = self.by_layer.get(&layer)?.iter().map(value).collect();
        all?.into_iter().max()
    }

    fn instance(&mut self, module: &Module, layer: LayerId, values: Values) {
        if !self.by_layer.entry(layer).or_default().insert(values.clone()) {
            return;
        }
        for member in &module[layer].members {
            if let MemberKind::Sub(sub) = &member.kind {
                self.sub(module, sub, &values);
            }
        }
    }

    fn sub(&mut self, module: &Module, sub: &Sub, values: &Values) {
        match sub {
            Sub::Instance { layer, args } => {
                let value = |symbol: &Symbol| values.get(symbol).cloned();
                let given = args.iter().map(|(symbol, expr)| Some((symbol.clone(), expr.eval_value(&value)?)));
                match given.collect::<Option<Values>>() {
                    Some(given) => self.instance(module, *layer, given),
                    None => self.unknown(module, *layer),
                }
            }
            Sub::List(elements) => elements.iter().for_each(|element| self.sub(module, element, values)),
            Sub::Repeat { index, count, element } => {
                let count = count.eval(&|symbol| values.get(symbol)?.as_int());
                let Some(count) = count.filter(|count| *count <= MAX_REPEAT) else {
                    return self.unknown_sub(module, element);
                };
                let mut inner = values.clone();
                for position in 0..count {
                    inner.insert(index.clone(), HostValue::Int(position));
                    self.sub(module, element, &inner);
                }
            }
            Sub::Function { .. } => {}
        }
    }

    /// Notes that nothing is known of some instances of a layer, nor of what they hold.
    fn unknown(&mut self, module: &Module, layer: LayerId) {
        if !self.open.insert(layer) {
            return;
        }
        for member in &module[layer].members {
            if let MemberKind::Sub(sub) = &member.kind {
                self.unknown_sub(module, sub);
            }
        }
    }

    fn unknown_sub(&mut self, module: &Module, sub: &Sub) {
        match sub {
            Sub::Instance { layer, .. } => self.unknown(module, *layer),
            Sub::List(elements) => elements.iter().for_each(|element| self.unknown_sub(module, element)),
            Sub::Repeat { element, .. } => self.unknown_sub(module, element),
            Sub::Function { .. } => {}
        }
    }
}
