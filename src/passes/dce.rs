//! Removes what nothing uses: instructions, then functions and layers that the entry does not reach.
//!
//! Needs: nothing. Keeps: every effect in its order (state, prints, asserts, the count of random sites
//! that occur more than once), signatures, hyperparameters and members, all exported methods, and those of the
//! entry's layer where none is exported. A module without entry keeps all functions and layers. What may fail but has
//! no effect, such as an index out of range, may go. Of a fused instruction, results that nothing uses go, and what
//! only they needed.
//!
//! ```text
//! %0 = exp %x : float32[n]                =>      return %x
//! return %x
//! ```

#[cfg(test)]
mod tests;

use crate::ir::{FuncId, Function, Init, InstId, InstKind, LayerId, MemberKind, Module, Region, Sub, ValueId};
use crate::passes::PassCx;
use crate::passes::copy::compact;
use crate::passes::effects::Effects;
use crate::types::Symbol;
use rustc_hash::FxHashSet;

pub(super) fn dce(module: &mut Module, cx: &mut PassCx) {
    let effects = Effects::of(module);
    for function in &mut module.functions {
        let removed = sweep(function, &effects);
        cx.count("instructions", removed);
        if removed > 0 {
            compact(function);
        }
    }
    cx.count("functions and layers", remove_unreached(module));
}

/// Removes the instructions of a function that nothing uses, and says how many there were.
pub(super) fn sweep(function: &mut Function, effects: &Effects) -> usize {
    let mut sweep = Sweep { effects, live: FxHashSet::default(), symbols: FxHashSet::default(), removed: 0 };
    function.change_body(|function, body| sweep.region(function, body));
    sweep.removed
}

/// One backward sweep: operands refer only to what stands before.
struct Sweep<'e> {
    effects: &'e Effects,
    live: FxHashSet<ValueId>,
    /// Symbols that something kept uses: what binds them stays.
    symbols: FxHashSet<Symbol>,
    removed: usize,
}

impl Sweep<'_> {
    fn region(&mut self, function: &mut Function, mut region: Region) -> Region {
        let mut kept = vec![];
        while let Some(id) = region.insts.pop() {
            let inst = &function[id];
            let used = inst.results.iter().any(|result| self.live.contains(result))
                || inst.kind.binds().iter().any(|symbol| self.symbols.contains(symbol));
            if !used && !self.effects.acts(function, &inst.kind) {
                self.removed += 1;
                continue;
            }
            kept.push(id);
            if matches!(inst.kind, InstKind::Fused { .. }) {
                self.fused(function, id);
            }
            self.live.extend(function[id].operands.iter().copied());
            self.symbols.extend(function[id].kind.symbols());
            let types = function[id].results.iter().map(|result| &function[*result].ty.shape);
            let mut note = |symbol: &Symbol| {
                self.symbols.insert(symbol.clone());
            };
            types.flat_map(|shape| &shape.dims).for_each(|dim| dim.visit_symbols(&mut note));
            function.change_regions(id, |function, nested| self.region(function, nested));
        }
        kept.reverse();
        Region { params: region.params, insts: kept }
    }
}

impl Sweep<'_> {
    /// Leaves out results of a fused instruction that nothing uses, and then what only they needed.
    fn fused(&mut self, function: &mut Function, id: InstId) {
        let InstKind::Fused { mut body } = std::mem::replace(&mut function[id].kind, InstKind::Yield) else { return };
        let Some(last) = body.insts.last().copied() else { return };
        let used: Vec<bool> = function[id].results.iter().map(|result| self.live.contains(result)).collect();
        keep(&mut function[last].operands, &used);
        keep(&mut function[id].results, &used);
        body = self.region(function, body);
        let used: Vec<bool> = body.params.iter().map(|param| self.live.contains(param)).collect();
        keep(&mut body.params, &used);
        keep(&mut function[id].operands, &used);
        function[id].kind = InstKind::Fused { body };
    }
}

/// Keeps the values at the places that are true.
fn keep(values: &mut Vec<ValueId>, places: &[bool]) {
    let mut places = places.iter().copied();
    values.retain(|_| places.next().unwrap_or(true));
}

/// Removes functions and layers that cannot run; returns how many.
pub(super) fn remove_unreached(module: &mut Module) -> usize {
    let Some(entry) = &module.entry else { return 0 };
    let mut reached = Reached { module, functions: FxHashSet::default(), layers: FxHashSet::default() };
    reached.layer(entry.layer);
    let methods = &module[entry.layer].methods;
    let any_exported = methods.iter().any(|method| module[*method].exported);
    for method in methods.iter().filter(|method| module[**method].exported || !any_exported) {
        reached.function(*method);
    }
    let (functions, layers) = (reached.functions, reached.layers);
    let removed = module.functions.len() - functions.len() + module.layers.len() - layers.len();
    if removed > 0 {
        keep_only(module, &functions, &layers);
    }
    removed
}

struct Reached<'m> {
    module: &'m Module,
    functions: FxHashSet<FuncId>,
    layers: FxHashSet<LayerId>,
}

impl Reached<'_> {
    fn layer(&mut self, id: LayerId) {
        if !self.layers.insert(id) {
            return;
        }
        let layer = &self.module[id];
        for member in &layer.members {
            match &member.kind {
                MemberKind::Storage(storage) => {
                    if let Init::Func(func) = storage.init {
                        self.function(func);
                    }
                }
                MemberKind::Constant { func, .. } => self.function(*func),
                MemberKind::Sub(sub) => self.sub(sub),
            }
        }
        for method in layer.methods.iter().filter(|method| self.module[**method].exported) {
            self.function(*method);
        }
    }

    fn sub(&mut self, sub: &Sub) {
        match sub {
            Sub::Instance { layer, .. } => self.layer(*layer),
            Sub::List(elements) => elements.iter().for_each(|element| self.sub(element)),
            Sub::Repeat { element, .. } => self.sub(element),
            Sub::Function { .. } => {}
        }
    }

    fn function(&mut self, id: FuncId) {
        if !self.functions.insert(id) {
            return;
        }
        if let Some(layer) = self.module[id].layer {
            self.layer(layer);
        }
        for inst in &self.module[id].insts {
            if let InstKind::Call { func, .. } = inst.kind {
                self.function(func);
            }
        }
    }
}

/// Drops all other functions and layers and gives the rest new ids, in the same order.
fn keep_only(module: &mut Module, functions: &FxHashSet<FuncId>, layers: &FxHashSet<LayerId>) {
    let function_ids = new_ids(module.functions.len(), |index| functions.contains(&FuncId(index)));
    let layer_ids = new_ids(module.layers.len(), |index| layers.contains(&LayerId(index)));
    let new_function = |id: FuncId| FuncId(function_ids.get(id.0 as usize).copied().flatten().unwrap_or(u32::MAX));
    let new_layer = |id: LayerId| LayerId(layer_ids.get(id.0 as usize).copied().flatten().unwrap_or(u32::MAX));
    let mut index = 0;
    module.functions.retain(|_| {
        index += 1;
        functions.contains(&FuncId(index - 1))
    });
    index = 0;
    module.layers.retain(|_| {
        index += 1;
        layers.contains(&LayerId(index - 1))
    });
    for function in &mut module.functions {
        function.layer = function.layer.map(new_layer);
        for inst in &mut function.insts {
            if let InstKind::Call { func, .. } = &mut inst.kind {
                *func = new_function(*func);
            }
        }
    }
    for layer in &mut module.layers {
        layer.methods.retain(|method| functions.contains(method));
        layer.methods.iter_mut().for_each(|method| *method = new_function(*method));
        for member in &mut layer.members {
            match &mut member.kind {
                MemberKind::Storage(storage) => {
                    if let Init::Func(func) = &mut storage.init {
                        *func = new_function(*func);
                    }
                }
                MemberKind::Constant { func, .. } => *func = new_function(*func),
                MemberKind::Sub(sub) => renumber_sub(sub, &new_layer),
            }
        }
    }
    if let Some(entry) = &mut module.entry {
        entry.layer = new_layer(entry.layer);
    }
}

/// The new id of each old one that is kept.
fn new_ids(count: usize, kept: impl Fn(u32) -> bool) -> Vec<Option<u32>> {
    let mut next = 0;
    (0..count as u32)
        .map(|index| {
            kept(index).then(|| {
                next += 1;
                next - 1
            })
        })
        .collect()
}

fn renumber_sub(sub: &mut Sub, new_layer: &impl Fn(LayerId) -> LayerId) {
    match sub {
        Sub::Instance { layer, .. } => *layer = new_layer(*layer),
        Sub::List(elements) => elements.iter_mut().for_each(|element| renumber_sub(element, new_layer)),
        Sub::Repeat { element, .. } => renumber_sub(element, new_layer),
        Sub::Function { .. } => {}
    }
}
