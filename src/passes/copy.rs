//! Copies regions from one function into another, or into a fresh arena of the same one.

use crate::base::Loc;
use crate::ir::substitute::Substitution;
use crate::ir::{Function, Inst, InstId, InstKind, Region, Value, ValueId, Window};
use crate::ops::Attr;
use crate::types::{Dim, HostExpr, Symbol};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// Gives values and instructions that still stand somewhere new ids in the order of the text, and forgets
/// the others.
pub fn compact(function: &mut Function) {
    let source = Function {
        params: std::mem::take(&mut function.params),
        values: std::mem::take(&mut function.values),
        insts: std::mem::take(&mut function.insts),
        body: std::mem::take(&mut function.body),
        ..function.clone()
    };
    let mut copier = Copier::new(&source, Substitution::default(), None);
    function.params = source.params.iter().map(|param| copier.value(function, *param)).collect();
    function.body = copier.region(function, &source.body);
}

/// The same function without a body.
pub fn empty_like(function: &Function) -> Function {
    Function { params: vec![], values: vec![], insts: vec![], body: Region::default(), ..function.clone() }
}

/// Copies from `source`, with its symbols replaced.
pub struct Copier<'s> {
    pub source: &'s Function,
    pub values: FxHashMap<ValueId, ValueId>,
    pub substitution: Substitution,
    /// The place that all copies get, instead of their own.
    pub loc: Option<Loc>,
}

impl<'s> Copier<'s> {
    pub fn new(source: &'s Function, substitution: Substitution, loc: Option<Loc>) -> Copier<'s> {
        Copier { source, values: FxHashMap::default(), substitution, loc }
    }

    /// The copy of a value; a new one if there is none yet.
    pub fn value(&mut self, target: &mut Function, value: ValueId) -> ValueId {
        if let Some(copy) = self.values.get(&value) {
            return *copy;
        }
        let source = &self.source[value];
        let copy = ValueId(target.values.len() as u32);
        target.values.push(Value { ty: self.substitution.ty(&source.ty), name: source.name.clone() });
        self.values.insert(value, copy);
        copy
    }

    pub fn region(&mut self, target: &mut Function, region: &Region) -> Region {
        let params = region.params.iter().map(|param| self.value(target, *param)).collect();
        let insts = region.insts.iter().map(|id| self.inst(target, *id)).collect();
        Region { params, insts }
    }

    pub fn inst(&mut self, target: &mut Function, id: InstId) -> InstId {
        let source = self.source;
        let inst = &source[id];
        let operands = inst.operands.iter().map(|operand| self.value(target, *operand)).collect();
        let mut kind = self.kind(&inst.kind);
        let results = inst.results.iter().map(|result| self.value(target, *result)).collect();
        for region in Function::regions_mut(&mut kind) {
            *region = self.region(target, &std::mem::take(region));
        }
        push(target, Inst { kind, operands, results, loc: self.loc.unwrap_or(inst.loc) })
    }

    /// The instruction's own data with symbols replaced; its regions stay as they are.
    pub fn kind(&self, kind: &InstKind) -> InstKind {
        let substitution = &self.substitution;
        match kind {
            InstKind::Op { op, attrs } => {
                let attrs = attrs.map(|attr: &Attr| attr.substitute(&|symbol| substitution.get(symbol)));
                InstKind::Op { op: *op, attrs }
            }
            InstKind::Host(expr) => InstKind::Host(substitution.expr(expr)),
            InstKind::SetSlice { name, windows } => InstKind::SetSlice {
                name: name.clone(),
                windows: windows
                    .iter()
                    .map(|window| Window {
                        size: window.size.as_ref().map(|size| substitution.dim(size)),
                        ..window.clone()
                    })
                    .collect(),
            },
            InstKind::Call { func, bindings, path, fresh } => InstKind::Call {
                func: *func,
                bindings: bindings.iter().map(|(name, value)| (name.clone(), substitution.expr(value))).collect(),
                path: path.as_ref().map(|path| substitution.path(path)),
                fresh: fresh.iter().map(|symbol| substitution.name(symbol)).collect(),
            },
            InstKind::While { turns, cond, body } => InstKind::While {
                turns: turns.as_ref().map(|turns| substitution.name(turns)),
                cond: cond.clone(),
                body: body.clone(),
            },
            InstKind::Ensure(obligation) => InstKind::Ensure(obligation.map_dims(|dim| substitution.dim(dim))),
            InstKind::Param { .. }
            | InstKind::Const(_)
            | InstKind::Rng { .. }
            | InstKind::If { .. }
            | InstKind::For { .. }
            | InstKind::Gradient { .. }
            | InstKind::Fused { .. }
            | InstKind::SetState { .. }
            | InstKind::Assert { .. }
            | InstKind::Print { .. }
            | InstKind::Yield
            | InstKind::Return => kind.clone(),
        }
    }

    pub fn loc_of(&self, inst: &Inst) -> Loc {
        self.loc.unwrap_or(inst.loc)
    }
}

pub fn push(target: &mut Function, inst: Inst) -> InstId {
    target.insts.push(inst);
    InstId(target.insts.len() as u32 - 1)
}

/// A name like `index` that is not used yet; it counts as used from then on.
pub fn fresh_symbol(index: &Symbol, used: &mut BTreeSet<Symbol>) -> Symbol {
    let base = index.as_str().split('\'').next().unwrap_or("");
    let names = std::iter::once(index.clone()).chain((1..).map(|n| Symbol::new(&format!("{base}'{n}"))));
    let free = names.into_iter().find(|name| !used.contains(name)).unwrap_or_else(|| index.clone());
    used.insert(free.clone());
    free
}

/// A symbol as an int expression.
pub fn int_symbol(symbol: &Symbol) -> HostExpr {
    HostExpr::Int(Dim::symbol(symbol.as_str()))
}
