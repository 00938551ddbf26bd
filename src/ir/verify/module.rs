//! Ids, names, entry and cycles.

use super::Errors;
use crate::ir::{
    FuncId, Function, HostKind, Init, InstId, InstKind, Layer, LayerId, MemberKind, Module, Region, Sub, ValueId,
};
use crate::types::HostValue;
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::HashSet;

/// Every id is in range.
pub(super) fn check_ids(module: &Module, errors: &mut Errors) {
    let layer_in_range = |id: LayerId| (id.0 as usize) < module.layers.len();
    if module.entry.as_ref().is_some_and(|entry| !layer_in_range(entry.layer)) {
        errors.add("the entry's layer is out of range");
    }
    for layer in &module.layers {
        errors.place.clone_from(&layer.name);
        let mut functions = layer.methods.clone();
        for member in &layer.members {
            match &member.kind {
                MemberKind::Storage(storage) => match storage.init {
                    Init::Func(func) => functions.push(func),
                    Init::Default
                    | Init::Zeros
                    | Init::Ones
                    | Init::Constant(_)
                    | Init::Normal { .. }
                    | Init::Uniform { .. }
                    | Init::KaimingUniform
                    | Init::XavierUniform { .. }
                    | Init::RandomTernary
                    | Init::Values(_) => {}
                },
                MemberKind::Constant { func, .. } => functions.push(*func),
                MemberKind::Sub(sub) => {
                    if sublayers(sub).into_iter().any(|id| !layer_in_range(id)) {
                        errors.add(format!("the layer of `{}` is out of range", member.name));
                    }
                }
            }
        }
        if functions.into_iter().any(|id| id.0 as usize >= module.functions.len()) {
            errors.add("a function is out of range");
        }
    }
    for function in &module.functions {
        errors.place.clone_from(&function.name);
        if function.layer.is_some_and(|id| !layer_in_range(id)) {
            errors.add("the layer is out of range");
        }
        let value_in_range = |id: &ValueId| (id.0 as usize) < function.values.len();
        let inst_in_range = |id: &InstId| (id.0 as usize) < function.insts.len();
        let region_in_range =
            |region: &Region| region.params.iter().all(value_in_range) && region.insts.iter().all(inst_in_range);
        let inst_values_in_range = function.insts.iter().all(|inst| {
            inst.operands.iter().chain(&inst.results).all(value_in_range)
                && Function::regions(&inst.kind).into_iter().all(region_in_range)
        });
        if !(function.params.iter().all(value_in_range) && region_in_range(&function.body) && inst_values_in_range) {
            errors.add("a value or instruction is out of range");
        }
        if callees(function).any(|id| id.0 as usize >= module.functions.len()) {
            errors.add("a called function is out of range");
        }
    }
    errors.place.clear();
}

/// Names, the entry, and that nothing contains or calls itself.
pub(super) fn check(module: &Module, errors: &mut Errors) {
    errors.place.clear();
    let mut seen = HashSet::new();
    for name in module.layers.iter().map(|layer| &layer.name) {
        if !seen.insert(name) {
            errors.add(format!("two layers are called `{name}`"));
        }
    }
    seen.clear();
    for name in module.functions.iter().map(|function| &function.name) {
        if !seen.insert(name) {
            errors.add(format!("two functions are called `{name}`"));
        }
    }
    check_entry(module, errors);
    let layers = module.layers.iter().map(|layer| layer_parts(layer).into_iter().map(|id| id.0).collect());
    if let Some(index) = find_cycle(layers.collect()) {
        errors.add(format!("the layer `{}` contains itself", module.layers[index].name));
    }
    let calls = module.functions.iter().map(|function| callees(function).map(|id| id.0).collect());
    if let Some(index) = find_cycle(calls.collect()) {
        errors.add(format!("the function `{}` calls itself", module.functions[index].name));
    }
}

fn check_entry(module: &Module, errors: &mut Errors) {
    let Some(entry) = &module.entry else { return };
    let layer = &module[entry.layer];
    for (name, value) in &entry.args {
        match (layer.hypers.iter().find(|hyper| hyper.name == *name).map(|hyper| hyper.kind), value) {
            (None, _) => errors.add(format!("the entry's layer has no hyperparameter `{name}`")),
            (Some(HostKind::Int), HostValue::Int(_)) => {}
            (Some(HostKind::Float), HostValue::Int(_) | HostValue::Float(_)) => {}
            (Some(_), value) => errors.add(format!("the entry's `{name}` cannot be {value}")),
        }
    }
    for hyper in &layer.hypers {
        if entry.args.iter().filter(|(name, _)| *name == hyper.name).count() != 1 {
            errors.add(format!("the entry must give `{}` one value", hyper.name));
        }
    }
}

/// The layers of a sublayer and of its elements.
fn sublayers(sub: &Sub) -> Vec<LayerId> {
    match sub {
        Sub::Instance { layer, .. } => vec![*layer],
        Sub::List(elements) => elements.iter().flat_map(sublayers).collect(),
        Sub::Repeat { element, .. } => sublayers(element),
        Sub::Function { .. } => vec![],
    }
}

fn layer_parts(layer: &Layer) -> Vec<LayerId> {
    let parts = layer.members.iter().map(|member| match &member.kind {
        MemberKind::Sub(sub) => sublayers(sub),
        MemberKind::Storage(_) | MemberKind::Constant { .. } => vec![],
    });
    parts.flatten().collect()
}

fn callees(function: &Function) -> impl Iterator<Item = FuncId> {
    function.insts.iter().filter_map(|inst| match inst.kind {
        InstKind::Call { func, .. } => Some(func),
        _ => None,
    })
}

/// A node on a cycle of the graph given by its edges.
fn find_cycle(edges: Vec<Vec<u32>>) -> Option<usize> {
    let mut graph: DiGraph<(), ()> = DiGraph::new();
    edges.iter().for_each(|_| {
        graph.add_node(());
    });
    for (from, targets) in edges.iter().enumerate() {
        for to in targets {
            graph.add_edge(NodeIndex::new(from), NodeIndex::new(*to as usize), ());
        }
    }
    toposort(&graph, None).err().map(|cycle| cycle.node_id().index())
}
