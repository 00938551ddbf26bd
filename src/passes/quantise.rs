//! Gives parameters of single instances the quantisation schemes that a user asks for.
//!
//! Schemes belong to layers, and the instances of one layer share its functions. So a layer some of whose
//! instances are to be quantised in another way gets a copy with functions of its own, and so do the layers
//! around it, up to the entry. Elements of a list that come to differ are listed one by one.
//!
//! Needs: an entry; schemes that fit the shapes of their parameters. Keeps: names of parameters, signatures,
//! and what every instance computes that is not asked for. Refuses: a list whose elements one loop runs, if
//! they come to differ, since the loop has one function for them all.
//!
//! ```text
//! layer Net { let up = Linear(..)  let down = Linear(..) }        down.weight = int8()
//!
//! layer Net { let up = Linear(..)  let down = Linear_2(..) }
//! %w = param "weight"        =>     %0 = param "weight" codes    %1 = param "weight" scale
//!                                   %w = dequantize %0, %1 {scheme = int8(), ..}
//! ```

use crate::base::Loc;
use crate::base::code::E0502;
use crate::ir::substitute::Substitution;
use crate::ir::{
    FuncId, Function, Init, Inst, InstId, InstKind, LayerId, Member, MemberKind, Module, Part, PathSegment, Region,
    Storage, Sub, Value, ValueId, Verified, verify, verify::VerifyError,
};
use crate::ops::traits::Quantisation;
use crate::ops::{Attr, Attrs, Obligation, ObligationKind, builtin};
use crate::passes::copy::compact;
use crate::passes::dce::remove_unreached;
use crate::quant::{Quantization, Scheme};
use crate::types::{DType, Dim, Facts, HostExpr, HostValue, Symbol, TensorType};
use std::collections::{BTreeMap, HashMap};

/// Schemes by the path of a parameter in Tri (`blocks.0.up.weight`); `None` for none.
pub type Assignments = BTreeMap<String, Option<Quantization>>;

/// What was asked for and cannot be: the path, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignError {
    pub path: String,
    pub message: String,
    pub help: Option<&'static str>,
    /// An error in the compiler.
    pub internal: bool,
}

impl AssignError {
    pub fn new(path: &str, message: impl Into<String>) -> AssignError {
        AssignError { path: path.to_string(), message: message.into(), help: None, internal: false }
    }

    /// The pass made a module that breaks a rule.
    pub fn broken(errors: &[VerifyError]) -> AssignError {
        let message = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        AssignError { internal: true, ..AssignError::new("", message) }
    }
}

/// The module with these schemes instead of those of the source. `training` says in which form quantised
/// parameters are read: the float master, or codes and scales.
pub fn assign(module: Verified, schemes: &Assignments, training: bool) -> Result<Verified, AssignError> {
    let Some(entry) = module.entry.clone() else { return Ok(module) };
    let values: Values = entry.args.iter().cloned().collect();
    let next_site = module.functions.iter().flat_map(|function| &function.insts).filter_map(site_of).max();
    let next_site = next_site.map_or(0, |site| site + 1);
    let mut pass = Assign { module: module.into_inner(), schemes, training, copies: vec![], next_site };
    let layer = pass.layer(entry.layer, "", &values)?;
    if let Some(entry) = &mut pass.module.entry {
        entry.layer = layer;
    }
    remove_unreached(&mut pass.module);
    shorten_names(&mut pass.module);
    verify(pass.module).map_err(|errors| AssignError::broken(&errors))
}

type Values = BTreeMap<Symbol, HostValue>;

/// A layer of which some instances are quantised in another way, and its copy for one of these ways.
struct Copy {
    from: LayerId,
    schemes: BTreeMap<String, Option<Quantization>>,
    subs: BTreeMap<String, Sub>,
    to: LayerId,
    functions: HashMap<FuncId, FuncId>,
}

struct Assign<'a> {
    module: Module,
    schemes: &'a Assignments,
    training: bool,
    copies: Vec<Copy>,
    /// Of random instructions that are added.
    next_site: u32,
}

impl Assign<'_> {
    /// The layer that the instance at `path` is of.
    fn layer(&mut self, id: LayerId, path: &str, values: &Values) -> Result<LayerId, AssignError> {
        let (mut schemes, mut subs) = (BTreeMap::new(), BTreeMap::new());
        for member in self.module[id].members.clone() {
            let path = join(path, &member.name);
            match &member.kind {
                MemberKind::Storage(storage) => {
                    if let Some(scheme) = self.schemes.get(&path).filter(|scheme| **scheme != storage.quantization()) {
                        schemes.insert(member.name, scheme.clone());
                    }
                }
                MemberKind::Sub(sub) => {
                    let changed = self.sub(sub, &path, values)?;
                    if changed != *sub {
                        subs.insert(member.name, changed);
                    }
                }
                MemberKind::Constant { .. } => {}
            }
        }
        if schemes.is_empty() && subs.is_empty() {
            return Ok(id);
        }
        let same = |copy: &&Copy| copy.from == id && copy.schemes == schemes && copy.subs == subs;
        match self.copies.iter().find(same) {
            Some(copy) => Ok(copy.to),
            None => self.copy(id, path, schemes, subs),
        }
    }

    fn sub(&mut self, sub: &Sub, path: &str, values: &Values) -> Result<Sub, AssignError> {
        let unknown = |what: &dyn std::fmt::Display| AssignError::new(path, format!("`{what}` is not known"));
        match sub {
            Sub::Instance { layer, args } => {
                let mut inner = Values::new();
                for (symbol, expr) in args {
                    let value = expr.eval_value(&|symbol| values.get(symbol).cloned());
                    inner.insert(symbol.clone(), value.ok_or_else(|| unknown(expr))?);
                }
                Ok(Sub::Instance { layer: self.layer(*layer, path, &inner)?, args: args.clone() })
            }
            Sub::List(elements) => {
                let elements = elements.iter().enumerate();
                let changed = elements.map(|(index, element)| self.sub(element, &format!("{path}.{index}"), values));
                Ok(Sub::List(changed.collect::<Result<_, _>>()?))
            }
            Sub::Repeat { index, count, element } => {
                let length = count.eval(&|symbol| values.get(symbol)?.as_int()).ok_or_else(|| unknown(count))?;
                let mut inner = values.clone();
                let mut elements = vec![];
                for position in 0..length {
                    inner.insert(index.clone(), HostValue::Int(position));
                    elements.push(self.sub(element, &format!("{path}.{position}"), &inner)?);
                }
                if elements.windows(2).any(|pair| pair[0] != pair[1]) {
                    return Ok(Sub::List(
                        elements.iter().zip(0..).map(|(element, position)| at(element, index, position)).collect(),
                    ));
                }
                let element = elements.into_iter().next().map_or_else(|| element.clone(), Box::new);
                Ok(Sub::Repeat { index: index.clone(), count: count.clone(), element })
            }
            Sub::Function { .. } => Ok(sub.clone()),
        }
    }

    /// A copy of the layer and of its functions, for instances that are quantised like this.
    fn copy(
        &mut self,
        from: LayerId,
        path: &str,
        schemes: BTreeMap<String, Option<Quantization>>,
        subs: BTreeMap<String, Sub>,
    ) -> Result<LayerId, AssignError> {
        let to = LayerId(self.module.layers.len() as u32);
        let mut layer = self.module[from].clone();
        layer.name = unique(&layer.source_name, |name| self.module.layer_named(name).is_some());
        let first = self.module.functions.len() as u32;
        let own = (0..first).map(FuncId).filter(|id| self.module[*id].layer == Some(from));
        let functions: HashMap<FuncId, FuncId> = own.zip((first..).map(FuncId)).collect();
        let moved = |id: &mut FuncId| {
            if let Some(new) = functions.get(id) {
                *id = *new;
            }
        };
        layer.methods.iter_mut().for_each(moved);
        for Member { name, kind, .. } in &mut layer.members {
            match kind {
                MemberKind::Storage(storage) => {
                    if let Init::Func(func) = &mut storage.init {
                        moved(func);
                    }
                    if let Some(quantization) = schemes.get(name) {
                        storage.scheme = quantization.as_ref().map(|quantization| quantization.weights.clone());
                        storage.activations = quantization.as_ref().and_then(|own| own.activations.clone());
                        layer.obligations.extend(whole_groups(name, &storage.ty, storage.scheme.as_ref()));
                    }
                }
                MemberKind::Constant { func, .. } => moved(func),
                MemberKind::Sub(sub) => {
                    if let Some(changed) = subs.get(name) {
                        sub.clone_from(changed);
                    }
                }
            }
        }
        let name = layer.name.clone();
        self.module.layers.push(layer);
        let mut pairs: Vec<(FuncId, FuncId)> = functions.iter().map(|(old, new)| (*old, *new)).collect();
        pairs.sort_by_key(|(_, new)| *new);
        for (old, _) in &pairs {
            let mut function = self.module[*old].clone();
            function.layer = Some(to);
            function.name =
                unique(&format!("{name}.{}", function.source_name), |name| self.module.function_named(name).is_some());
            self.module.functions.push(function);
        }
        self.copies.push(Copy { from, schemes, subs, to, functions });
        for (_, new) in pairs {
            let mut function = self.module[new].clone();
            let rewritten = self.rewrite(&mut function, from, to);
            let help = Some("choose all elements with one pattern (`--quantize 'blocks.*=...'`)");
            rewritten.map_err(|message| AssignError { help, ..AssignError::new(path, message) })?;
            compact(&mut function);
            self.module.functions[new.0 as usize] = function;
        }
        Ok(to)
    }

    /// Makes a function of layer `from` one of its copy `to`: other callees, other reads of parameters.
    fn rewrite(&mut self, function: &mut Function, from: LayerId, to: LayerId) -> Result<(), String> {
        for inst in &mut function.insts {
            if let InstKind::Call { func, path: Some(path), .. } = &mut inst.kind {
                *func = self.callee(*func, to, path)?;
            }
        }
        let mut changes: HashMap<String, Change> = HashMap::new();
        let facts = self.module.facts(function);
        for inst in &function.insts {
            let InstKind::Param { name, .. } = &inst.kind else { continue };
            let (Some(old), Some(new)) = (self.module.stored(from, name), self.module.stored(to, name)) else {
                continue;
            };
            if old.scheme != new.scheme {
                changes.insert(name.clone(), Change { before: old.scheme.clone(), scheme: new.scheme.clone() });
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let next_site = self.next_site;
        let mut reads = Reads { changes, training: self.training, facts, reads: HashMap::new(), next_site };
        let body = std::mem::take(&mut function.body);
        function.body = reads.region(function, body)?;
        self.next_site = reads.next_site;
        Ok(())
    }

    /// The function that stands for `func` in instances of layer `to`, called at `path` from there.
    fn callee(&self, func: FuncId, to: LayerId, path: &[PathSegment]) -> Result<FuncId, String> {
        let found = self.module.instance_at(to, path).map_err(|error| {
            let open = path.iter().any(|step| matches!(step, PathSegment::Index(at) if at.as_const().is_none()));
            let list = path.iter().find_map(|step| match step {
                PathSegment::Field(name) => Some(name.as_str()),
                PathSegment::Index(_) => None,
            });
            match list.filter(|_| open) {
                Some(list) => format!("one loop runs all elements of `{list}`, so they must be quantised alike"),
                None => error,
            }
        })?;
        let (layer, _) = found;
        let copy = self.copies.iter().find(|copy| copy.to == layer);
        Ok(copy.and_then(|copy| copy.functions.get(&func)).copied().unwrap_or(func))
    }
}

fn site_of(inst: &Inst) -> Option<u32> {
    match inst.kind {
        InstKind::Rng { site, .. } => Some(site),
        _ => None,
    }
}

/// An element of a list whose index has a value.
fn at(element: &Sub, index: &Symbol, position: i64) -> Sub {
    let value = Substitution::new([(index.clone(), HostExpr::Int(Dim::constant(position)))]);
    match element {
        Sub::Instance { layer, args } => Sub::Instance {
            layer: *layer,
            args: args.iter().map(|(symbol, expr)| (symbol.clone(), value.expr(expr))).collect(),
        },
        Sub::List(elements) => Sub::List(elements.iter().map(|element| at(element, index, position)).collect()),
        Sub::Repeat { index: inner, count, element } => Sub::Repeat {
            index: inner.clone(),
            count: value.dim(count),
            element: Box::new(at(element, index, position)),
        },
        Sub::Function { .. } => element.clone(),
    }
}

/// What must hold of open sizes for a scheme with groups.
fn whole_groups(name: &str, ty: &TensorType, scheme: Option<&Scheme>) -> Option<Obligation> {
    let (group, last) = (scheme?.group?, ty.shape.known()?.last()?);
    let rest = last.modulo(&Dim::constant(group)).filter(|rest| rest.as_const().is_none())?;
    let message = format!("`{name}` is quantised in groups of {group}, which do not divide {last}");
    Some(Obligation { kind: ObligationKind::Equal(rest, Dim::zero()), code: E0502, message })
}

fn unique(base: &str, taken: impl Fn(&str) -> bool) -> String {
    let names = std::iter::once(base.to_string()).chain((2..).map(|number| format!("{base}_{number}")));
    names.into_iter().find(|name| !taken(name)).unwrap_or_else(|| base.to_string())
}

/// Gives layers the names of those that are gone: the only `Net` is `Net`, not `Net_2`.
fn shorten_names(module: &mut Module) {
    for index in 0..module.layers.len() {
        let (id, old) = (LayerId(index as u32), module.layers[index].name.clone());
        let others = |name: &str| module.layers.iter().any(|layer| layer.name == name && layer.name != old);
        let new = unique(&module.layers[index].source_name, others);
        if new == old {
            continue;
        }
        for position in 0..module.functions.len() {
            if module.functions[position].layer == Some(id) {
                let base = format!("{new}.{}", module.functions[position].source_name);
                module.functions[position].name = unique(&base, |name| module.function_named(name).is_some());
            }
        }
        module.layers[index].name = new;
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

/// How a parameter was quantised, and how it is from now on.
struct Change {
    before: Option<Scheme>,
    scheme: Option<Scheme>,
}

/// Rewrites the reads of parameters whose scheme changes. First each is a read of the float value again,
/// then that is quantised as it should be.
struct Reads {
    changes: HashMap<String, Change>,
    training: bool,
    facts: Facts,
    /// Results of reads and of `quantize` that go, with the parameter that they are of.
    reads: HashMap<ValueId, String>,
    next_site: u32,
}

impl Reads {
    fn region(&mut self, function: &mut Function, region: Region) -> Result<Region, String> {
        let mut insts = vec![];
        for id in region.insts {
            function.try_change_regions(id, |function, nested| self.region(function, nested))?;
            self.inst(function, id, &mut insts)?;
        }
        Ok(Region { params: region.params, insts })
    }

    fn inst(&mut self, function: &mut Function, id: InstId, insts: &mut Vec<InstId>) -> Result<(), String> {
        let inst = function[id].clone();
        let source = inst.operands.first().and_then(|operand| self.reads.get(operand)).cloned();
        match (&inst.kind, source) {
            // Parts: only `dequantize` takes them, and it reads the value itself now.
            (InstKind::Param { name, part }, _) if *part != Part::Value && self.changes.contains_key(name) => {
                self.reads.extend(inst.results.iter().map(|result| (*result, name.clone())));
            }
            // What was quantised is so by the next instruction, until now.
            (InstKind::Param { name, part: Part::Value }, _) if self.changes.contains_key(name) => {
                if self.changes[name].before.is_some() {
                    self.reads.extend(inst.results.iter().map(|result| (*result, name.clone())));
                } else {
                    self.read(function, name, inst.results[0], inst.loc, insts)?;
                }
            }
            (InstKind::Op { op, .. }, Some(name)) if op.quantisation() == Some(Quantisation::Quantise) => {
                self.reads.extend(inst.results.iter().map(|result| (*result, name.clone())));
            }
            (InstKind::Op { op, .. }, Some(name)) if op.quantisation() == Some(Quantisation::Dequantise) => {
                self.read(function, &name, inst.results[0], inst.loc, insts)?;
            }
            _ => insts.push(id),
        }
        Ok(())
    }

    /// Reads a parameter as it is quantised from now on, into `result`.
    fn read(
        &mut self,
        function: &mut Function,
        name: &str,
        result: ValueId,
        loc: Loc,
        insts: &mut Vec<InstId>,
    ) -> Result<(), String> {
        let mut push = |function: &mut Function, kind, operands, results| {
            function.insts.push(Inst { kind, operands, results, loc });
            insts.push(InstId(function.insts.len() as u32 - 1));
        };
        let value = |part| InstKind::Param { name: name.to_string(), part };
        let Some(scheme) = self.changes.get(name).and_then(|change| change.scheme.clone()) else {
            push(function, value(Part::Value), vec![], vec![result]);
            return Ok(());
        };
        let ty = function[result].ty.clone();
        let storage = Storage {
            role: crate::ir::Role::Param,
            ty: ty.clone(),
            scheme: Some(scheme.clone()),
            activations: None,
            init: Init::Default,
        };
        let fresh = |function: &mut Function, ty: TensorType| {
            function.values.push(Value { ty, name: None });
            ValueId(function.values.len() as u32 - 1)
        };
        let mut parts = vec![];
        for part in Part::of_scheme(&scheme) {
            let ty = storage.part_type(part, &self.facts).map_err(|fault| format!("`{name}` {fault}"))?;
            parts.push((part, fresh(function, ty)));
        }
        let codes: Vec<ValueId> = parts.iter().map(|(_, value)| *value).collect();
        let stochastic = scheme.is_stochastic();
        let attrs = Attrs::new().with("scheme", Attr::Scheme(scheme));
        if self.training {
            let master = fresh(function, ty.clone());
            push(function, value(Part::Value), vec![], vec![master]);
            let mut operands = vec![master];
            if stochastic {
                let seed = fresh(function, TensorType::scalar(DType::Int64));
                push(function, InstKind::Rng { site: self.next_site, part: String::new() }, vec![], vec![seed]);
                self.next_site += 1;
                operands.push(seed);
            }
            let kind = InstKind::Op { op: builtin("quantize"), attrs: attrs.clone() };
            push(function, kind, operands, codes.clone());
        } else {
            for (part, code) in parts {
                push(function, value(part), vec![], vec![code]);
            }
        }
        let attrs = attrs.with("dtype", Attr::DType(ty.elem));
        push(function, InstKind::Op { op: builtin("dequantize"), attrs }, codes, vec![result]);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
