//! What a function needs by the IR alone: every tensor that an instruction makes has bytes, but for what is read from
//! weights and constants; regrouped tensors look at others, and elementwise results may take the place of operands.

use super::{Lifetimes, Memory, Strategy, plan};
use crate::ir::substitute::Substitution;
use crate::ir::{Function, Inst, InstId, InstKind, Module, ValueId};
use crate::ops::traits::{Movement, Role};
use crate::types::{DType, Dim, HostExpr, Symbol, TensorType};
use std::collections::{BTreeMap, BTreeSet};

/// The memory of a function with sizes that are known.
pub struct PlainMemory {
    bytes: Vec<Option<usize>>,
    aliases: BTreeMap<ValueId, ValueId>,
    reuses: BTreeMap<InstId, Vec<(ValueId, ValueId)>>,
    scratch: BTreeMap<InstId, usize>,
    /// The least that callees can do with.
    least: BTreeMap<InstId, usize>,
}

impl Memory for PlainMemory {
    fn bytes(&self, value: ValueId) -> Option<usize> {
        self.bytes[value.0 as usize]
    }

    fn alias(&self, value: ValueId) -> Option<ValueId> {
        self.aliases.get(&value).copied()
    }

    fn reuses(&self, inst: InstId) -> Vec<(ValueId, ValueId)> {
        self.reuses.get(&inst).cloned().unwrap_or_default()
    }

    fn scratch(&self, inst: InstId) -> usize {
        self.scratch.get(&inst).copied().unwrap_or(0)
    }
}

/// The same with frames of callees as small as they can be.
struct Least<'m>(&'m PlainMemory);

impl Memory for Least<'_> {
    fn bytes(&self, value: ValueId) -> Option<usize> {
        self.0.bytes(value)
    }

    fn alias(&self, value: ValueId) -> Option<ValueId> {
        self.0.alias(value)
    }

    fn reuses(&self, inst: InstId) -> Vec<(ValueId, ValueId)> {
        self.0.reuses(inst)
    }

    fn scratch(&self, inst: InstId) -> usize {
        self.0.least.get(&inst).copied().unwrap_or(0)
    }
}

/// A value whose size is not known, with the function in which it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSize {
    pub function: String,
    pub value: ValueId,
    /// Its type, as text.
    pub ty: String,
    /// The first symbol in its type that has no value.
    pub symbol: Option<Symbol>,
}

/// What symbols are.
pub type Sizes = BTreeMap<Symbol, i64>;

impl PlainMemory {
    /// The memory of a function for these sizes. A call needs the memory of its callee, planned in the same way.
    pub fn of(
        module: &Module,
        function: &Function,
        sizes: &Sizes,
        strategy: Strategy,
    ) -> Result<PlainMemory, UnknownSize> {
        let mut memory = PlainMemory {
            bytes: vec![None; function.values.len()],
            aliases: BTreeMap::new(),
            reuses: BTreeMap::new(),
            scratch: BTreeMap::new(),
            least: BTreeMap::new(),
        };
        // Not what is in kernels.
        for id in Lifetimes::of(function).insts() {
            memory.inst(module, function, id, sizes, strategy)?;
        }
        Ok(memory)
    }

    /// The least memory that a plan with these buffers can take, in the function itself and in what it calls.
    pub fn lower_bound(&self, function: &Function, strategy: Strategy) -> usize {
        plan(function, &Least(self), strategy).lower_bound
    }

    fn inst(
        &mut self,
        module: &Module,
        function: &Function,
        id: InstId,
        sizes: &Sizes,
        strategy: Strategy,
    ) -> Result<(), UnknownSize> {
        let inst = &function[id];
        match &inst.kind {
            InstKind::Param { .. } | InstKind::Const(_) | InstKind::Host(_) | InstKind::Rng { .. } => return Ok(()),
            // The region of a kernel has no memory.
            InstKind::Fused { .. } => {}
            kind => {
                let params = Function::regions(kind).into_iter().flat_map(|region| &region.params);
                for param in params {
                    self.bytes[param.0 as usize] = bytes(function, *param, sizes)?;
                }
            }
        }
        for result in &inst.results {
            self.bytes[result.0 as usize] = bytes(function, *result, sizes)?;
        }
        if let (Some(source), [result]) = (regrouped(function, inst), inst.results.as_slice()) {
            self.aliases.insert(*result, source);
        }
        self.reuses.insert(id, elementwise_reuses(function, id));
        if let InstKind::Call { func, bindings, path, .. } = &inst.kind {
            let callee = &module[*func];
            let mut scope = Substitution::new(bindings.iter().cloned());
            if let (Some(path), Some(layer)) = (path, function.layer)
                && let Ok((_, hypers)) = module.instance_at(layer, path)
            {
                let names = callee.layer.into_iter().flat_map(|layer| &module[layer].hypers).map(|hyper| &hyper.name);
                scope.extend(names.filter_map(|name| Some((name.clone(), hypers.get(name)?))));
            }
            let own = callee.symbols.iter().map(|(symbol, _)| symbol);
            let hypers = callee.layer.into_iter().flat_map(|layer| &module[layer].hypers).map(|hyper| &hyper.name);
            let value = |symbol: &Symbol| match scope.get(symbol)? {
                HostExpr::Int(dim) => Some((symbol.clone(), dim.eval(&|symbol| sizes.get(symbol).copied())?)),
                _ => None,
            };
            let sizes: Sizes = own.chain(hypers).filter_map(value).collect();
            let memory = PlainMemory::of(module, callee, &sizes, strategy)?;
            self.scratch.insert(id, plan(callee, &memory, strategy).total);
            self.least.insert(id, memory.lower_bound(callee, strategy));
        }
        Ok(())
    }
}

/// The bytes of a tensor; scalars have none, being variables. Elements of fewer than eight bits take a byte each.
fn bytes(function: &Function, value: ValueId, sizes: &Sizes) -> Result<Option<usize>, UnknownSize> {
    let ty = &function[value].ty;
    if ty.shape.rank() == Some(0) {
        return Ok(None);
    }
    let unknown = || UnknownSize {
        function: function.name.clone(),
        value,
        ty: ty.to_string(),
        symbol: ty.shape.dims.iter().flat_map(Dim::symbols).find(|symbol| !sizes.contains_key(symbol)),
    };
    let elements = ty.shape.elements().and_then(|dim| dim.eval(&|symbol| sizes.get(symbol).copied()));
    let elements = elements.and_then(|elements| usize::try_from(elements).ok()).ok_or_else(unknown)?;
    let each = ty.dtype().unwrap_or(DType::Float32).bits().div_ceil(8) as usize;
    elements.checked_mul(each).map(Some).ok_or_else(unknown)
}

/// What an instruction shows under another shape.
fn regrouped(function: &Function, inst: &Inst) -> Option<ValueId> {
    let InstKind::Op { op, .. } = &inst.kind else { return None };
    let (Movement::Regroups, [source]) = (op.movement(), inst.operands.as_slice()) else { return None };
    let is_tensor = |value: ValueId| function[value].ty.shape.rank() != Some(0);
    // A scalar is a variable, and a tensor of one element is not.
    (is_tensor(*source) && inst.results.iter().all(|result| is_tensor(*result))).then_some(*source)
}

/// The results of an instruction that may take the place of an operand: where an element is written, nothing but the
/// operand's element of the same place has been read of it, or will be. So it is for elementwise operations, and for
/// operands of a fused one that only such operations read, which come after whatever else is in the kernel.
pub fn elementwise_reuses(function: &Function, id: InstId) -> Vec<(ValueId, ValueId)> {
    let inst = &function[id];
    let [result] = inst.results.as_slice() else { return vec![] };
    let fits = |operand: &&ValueId| same_size(&function[**operand].ty, &function[*result].ty);
    let operands = inst.operands.iter();
    match &inst.kind {
        InstKind::Op { .. } if is_elementwise(inst) => {
            operands.filter(fits).map(|operand| (*result, *operand)).collect()
        }
        InstKind::Fused { body } => {
            let read = at_its_place(function, body);
            let pairs = operands.zip(&body.params);
            // Given twice, it is read in both ways.
            let once = |operand: &ValueId| inst.operands.iter().filter(|other| *other == operand).count() == 1;
            let fitting = pairs.filter(|(operand, param)| read.contains(param) && once(operand) && fits(operand));
            fitting.map(|(operand, _)| (*result, *operand)).collect()
        }
        _ => vec![],
    }
}

fn is_elementwise(inst: &Inst) -> bool {
    matches!(&inst.kind, InstKind::Op { op, .. } if matches!(op.role(), Role::Elementwise | Role::Conversion))
}

/// The values of a kernel that are read nowhere but at the place at which its only result is written.
fn at_its_place(function: &Function, body: &crate::ir::Region) -> BTreeSet<ValueId> {
    let Some((last, rest)) = body.insts.split_last() else { return BTreeSet::new() };
    let [result] = function[*last].operands.as_slice() else { return BTreeSet::new() };
    let shape = &function[*result].ty.shape;
    let mut here = BTreeSet::from([*result]);
    let mut elsewhere = BTreeSet::new();
    for id in rest.iter().rev() {
        let inst = &function[*id];
        let is_here = is_elementwise(inst)
            && inst.results.iter().all(|result| here.contains(result) && !elsewhere.contains(result));
        for operand in &inst.operands {
            if is_here && function[*operand].ty.shape == *shape {
                here.insert(*operand);
            } else {
                elsewhere.insert(*operand);
            }
        }
    }
    here.retain(|value| !elsewhere.contains(value));
    here
}

fn same_size(a: &TensorType, b: &TensorType) -> bool {
    let bits = |ty: &TensorType| ty.dtype().map(|dtype| dtype.bits().div_ceil(8));
    a.shape == b.shape && bits(a) == bits(b)
}
