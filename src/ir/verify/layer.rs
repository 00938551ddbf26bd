//! Layers: hyperparameters, members, sublayers, methods.

use super::{Errors, same_type};
use crate::ir::{Function, HostKind, Init, InstKind, Layer, LayerId, Member, MemberKind, Module, Origin, Storage, Sub};
use crate::types::dim::Atom;
use crate::types::saved::POSITION;
use crate::types::{Dim, Facts, HostExpr, Symbol, TensorType};
use std::collections::{BTreeMap, HashSet};

/// The symbols that may be used in a place, with their kinds.
#[derive(Clone, Default)]
pub(super) struct Scope(BTreeMap<Symbol, HostKind>);

impl Scope {
    /// `false` if the symbol is declared already.
    pub(super) fn declare(&mut self, symbol: &Symbol, kind: HostKind) -> bool {
        self.0.insert(symbol.clone(), kind).is_none()
    }

    pub(super) fn remove(&mut self, symbol: &Symbol) {
        self.0.remove(symbol);
    }

    /// What is wrong with a dim here.
    pub(super) fn dim_fault(&self, dim: &Dim) -> Option<String> {
        let mut fault = None;
        dim.visit_atoms(&mut |atom| match atom {
            Atom::Unknown(_) => fault = Some(format!("`{dim}` is not known")),
            Atom::Sym(symbol) => match self.0.get(symbol) {
                None => fault = Some(format!("`{symbol}` is not declared")),
                Some(HostKind::Float) => fault = Some(format!("`{symbol}` is a float")),
                Some(HostKind::Int) => {}
            },
            Atom::FloorDiv(..) | Atom::Pow(..) | Atom::Min(..) | Atom::Max(..) | Atom::Element(..) => {}
        });
        fault
    }

    pub(super) fn expr_fault(&self, expr: &HostExpr) -> Option<String> {
        match expr {
            HostExpr::Int(dim) => self.dim_fault(dim),
            HostExpr::Float(_) => None,
            HostExpr::FloatSymbol(symbol) => match self.0.get(symbol) {
                None => Some(format!("`{symbol}` is not declared")),
                Some(HostKind::Int) => Some(format!("`{symbol}` is an int")),
                Some(HostKind::Float) => None,
            },
            HostExpr::Unary(_, x) => self.expr_fault(x),
            HostExpr::Binary(_, a, b) => self.expr_fault(a).or_else(|| self.expr_fault(b)),
        }
    }

    /// What is wrong with a type here.
    pub(super) fn type_fault(&self, ty: &TensorType) -> Option<String> {
        let Some(dims) = ty.shape.known() else { return Some(format!("`{ty}` has a pack")) };
        if ty.dtype().is_none() {
            return Some(format!("the element type of `{ty}` is not known"));
        }
        dims.iter().find_map(|dim| self.dim_fault(dim))
    }

    /// What is wrong with a list that should give each of `wanted` one value.
    pub(super) fn bindings_fault(&self, wanted: &[(Symbol, HostKind)], given: &[(Symbol, HostExpr)]) -> Option<String> {
        for (name, value) in given {
            let Some((_, kind)) = wanted.iter().find(|(symbol, _)| symbol == name) else {
                return Some(format!("there is no `{name}` to give a value"));
            };
            if *kind == HostKind::Int && !value.is_int() {
                return Some(format!("`{name}` is an int, but `{value}` is not"));
            }
            if let Some(fault) = self.expr_fault(value) {
                return Some(fault);
            }
        }
        let missing = wanted.iter().find(|(symbol, _)| given.iter().filter(|(name, _)| name == symbol).count() != 1);
        missing.map(|(symbol, _)| format!("`{symbol}` must be given one value"))
    }
}

impl Layer {
    /// The hyperparameters with their kinds.
    pub(super) fn hyper_kinds(&self) -> Vec<(Symbol, HostKind)> {
        self.hypers.iter().map(|hyper| (hyper.name.clone(), hyper.kind)).collect()
    }
}

pub(super) fn check(module: &Module, layer: &Layer, errors: &mut Errors) {
    errors.place.clone_from(&layer.name);
    let mut scope = Scope::default();
    for hyper in &layer.hypers {
        let default = hyper.default.as_ref();
        if let Some(fault) = default.and_then(|default| scope.expr_fault(default)) {
            errors.add(format!("the default of `{}`: {fault}", hyper.name));
        }
        if hyper.kind == HostKind::Int && default.is_some_and(|default| !default.is_int()) {
            errors.add(format!("the default of `{}` is no int", hyper.name));
        }
        if !scope.declare(&hyper.name, hyper.kind) {
            errors.add(format!("two hyperparameters are called `{}`", hyper.name));
        }
    }
    for obligation in &layer.obligations {
        let (a, b) = obligation.sides();
        if let Some(fault) = scope.dim_fault(a).or_else(|| scope.dim_fault(b)) {
            errors.add(format!("a condition: {fault}"));
        }
    }
    let mut facts = Facts::default();
    layer.obligations.iter().for_each(|obligation| obligation.assume(&mut facts));
    let id = module.layers.iter().position(|other| std::ptr::eq(other, layer)).map(|index| LayerId(index as u32));
    let mut seen = HashSet::new();
    for member in &layer.members {
        if !seen.insert(&member.name) {
            errors.add(format!("two members are called `{}`", member.name));
        }
        let fault = member_fault(module, id, member, &scope, &facts).or_else(|| saved_fault(member, &scope));
        if let Some(fault) = fault {
            errors.add(format!("`{}`: {fault}", member.name));
        }
    }
    for method in &layer.methods {
        if module[*method].layer != id {
            errors.add(format!("`{}` is no method of this layer", module[*method].name));
        }
    }
    check_optional(module, layer, errors);
}

/// The methods that are there once for each set of their optional inputs.
fn check_optional(module: &Module, layer: &Layer, errors: &mut Errors) {
    let methods: Vec<&Function> = layer.methods.iter().map(|method| &module[*method]).collect();
    let with_optional = methods.iter().enumerate().filter(|(_, method)| !method.optional.is_empty());
    for (index, method) in with_optional {
        if !method.exported {
            errors.add(format!("`{}` has optional inputs, but is not exported", method.name));
        }
        for (name, given) in &method.optional {
            let is_parameter = method.params.iter().any(|value| method[*value].name.as_ref() == Some(name));
            if is_parameter != *given {
                let not = if *given { "no" } else { "a" };
                errors.add(format!("`{name}` is {not} parameter of `{}`", method.name));
            }
        }
        let names = |function: &Function| function.optional.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        for other in methods[..index].iter().filter(|other| other.exported && other.source_name == method.source_name) {
            if names(other) != names(method) {
                errors.add(format!("`{}` and `{}` have other optional inputs", other.name, method.name));
            } else if other.optional == method.optional {
                errors.add(format!("`{}` and `{}` take the same optional inputs", other.name, method.name));
            }
        }
    }
}

/// What is wrong with a member's name in weights files.
fn saved_fault(member: &Member, scope: &Scope) -> Option<String> {
    let saved = member.saved.as_ref()?;
    let is_list = matches!(member.kind, MemberKind::Sub(Sub::List(_) | Sub::Repeat { .. }));
    if matches!(member.kind, MemberKind::Constant { .. }) {
        return Some("a constant is not saved".into());
    }
    if saved.pieces.is_empty() || is_list != saved.has_position() {
        return Some(format!("the saved name {saved:?} does not tell elements apart, or has none to tell apart"));
    }
    let mut scope = scope.clone();
    scope.declare(&Symbol::new(POSITION), HostKind::Int);
    saved.numbers().find_map(|dim| scope.dim_fault(dim))
}

fn member_fault(
    module: &Module,
    own: Option<LayerId>,
    member: &Member,
    scope: &Scope,
    facts: &Facts,
) -> Option<String> {
    match &member.kind {
        MemberKind::Storage(storage) => {
            scope.type_fault(&storage.ty).or_else(|| init_fault(module, own, storage, scope, facts))
        }
        MemberKind::Constant { ty, func, of } => {
            let fault = scope.type_fault(ty).or_else(|| maker_fault(module, own, *func, ty, facts));
            fault.or_else(|| derived_fault(module, *func).filter(|_| *of == Origin::Weights))
        }
        MemberKind::Sub(sub) => sub_fault(module, sub, &mut scope.clone()),
    }
}

fn init_fault(
    module: &Module,
    own: Option<LayerId>,
    storage: &Storage,
    scope: &Scope,
    facts: &Facts,
) -> Option<String> {
    match &storage.init {
        Init::Default | Init::Zeros | Init::Ones | Init::KaimingUniform | Init::RandomTernary => None,
        Init::Constant(value) | Init::XavierUniform { gain: value } => scope.expr_fault(value),
        Init::Normal { mean: a, std: b } | Init::Uniform { low: a, high: b } => {
            scope.expr_fault(a).or_else(|| scope.expr_fault(b))
        }
        Init::Values(tensor) => {
            let literal = TensorType::new(tensor.dtype(), crate::types::Shape::of(tensor.shape()));
            (!same_type(&literal, &storage.ty, facts)).then(|| format!("the values are {literal}, not {}", storage.ty))
        }
        Init::Func(func) => maker_fault(module, own, *func, &storage.ty, facts),
    }
}

/// What is wrong with a function that computes a member at construction. Its symbols are bound to the
/// hyperparameters of the same names.
fn maker_fault(
    module: &Module,
    own: Option<LayerId>,
    func: crate::ir::FuncId,
    ty: &TensorType,
    facts: &Facts,
) -> Option<String> {
    let function = &module[func];
    if !function.params.is_empty() {
        return Some(format!("`{}` has parameters", function.name));
    }
    if function.layer.is_some() && function.layer != own {
        return Some(format!("`{}` belongs to another layer", function.name));
    }
    let hypers = own.map_or(vec![], |own| module[own].hyper_kinds());
    if let Some((symbol, _)) = function.symbols.iter().find(|symbol| !hypers.contains(symbol)) {
        return Some(format!("`{symbol}` of `{}` has no value", function.name));
    }
    match function.results.as_slice() {
        [result] if same_type(result, ty, facts) => None,
        _ => Some(format!("`{}` does not give one {ty}", function.name)),
    }
}

/// What is wrong with a function that computes a member of the weights. It may run at any time after they were loaded,
/// so it reads nothing that methods change, and does nothing but compute.
fn derived_fault(module: &Module, func: crate::ir::FuncId) -> Option<String> {
    let function = &module[func];
    function.insts.iter().find_map(|inst| match &inst.kind {
        InstKind::Op { .. } | InstKind::Const(_) | InstKind::Host(_) | InstKind::Return => None,
        InstKind::Param { name, .. } => match function.layer.map(|layer| module.is_settled(layer, name)) {
            Some(true) => None,
            _ => Some(format!("`{}` reads `{name}`, which is no weight, or changes", function.name)),
        },
        _ => Some(format!("`{}` does more than compute", function.name)),
    })
}

fn sub_fault(module: &Module, sub: &Sub, scope: &mut Scope) -> Option<String> {
    match sub {
        Sub::Instance { layer, args } => scope.bindings_fault(&module[*layer].hyper_kinds(), args),
        Sub::List(elements) => elements.iter().find_map(|element| sub_fault(module, element, scope)),
        Sub::Repeat { index, count, element } => {
            if let Some(fault) = scope.dim_fault(count) {
                return Some(fault);
            }
            if !scope.declare(index, HostKind::Int) {
                return Some(format!("`{index}` hides another symbol"));
            }
            let fault = sub_fault(module, element, scope);
            scope.remove(index);
            fault
        }
        Sub::Function { .. } => None,
    }
}
