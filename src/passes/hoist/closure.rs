//! Everything that a value is computed of, as a function of its own.

use crate::ir::substitute::Substitution;
use crate::ir::{Function, Inst, InstId, InstKind, LayerId, Region, ValueId};
use crate::ops::Attrs;
use crate::passes::copy::{Copier, compact, push};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Instructions in an order in which they can run.
pub struct Closure {
    insts: Vec<InstId>,
}

impl Closure {
    /// What `root` is computed of; every value of it has a maker. The order depends on that alone, so that equal
    /// computations are found to be equal wherever they stand.
    pub fn of(function: &Function, makers: &HashMap<ValueId, InstId>, root: ValueId) -> Closure {
        let (mut insts, mut begun) = (vec![], BTreeSet::new());
        // An instruction comes a second time once its operands are there.
        let mut open: Vec<(InstId, bool)> = makers.get(&root).map(|id| (*id, false)).into_iter().collect();
        while let Some((id, is_ready)) = open.pop() {
            if is_ready {
                insts.push(id);
            } else if begun.insert(id) {
                open.push((id, true));
                let operands = function[id].operands.iter().rev();
                open.extend(operands.filter_map(|operand| makers.get(operand)).map(|maker| (*maker, false)));
            }
        }
        Closure { insts }
    }

    /// The parameters and other members that are read.
    pub fn params(&self, function: &Function) -> impl Iterator<Item = ValueId> {
        let reads =
            self.insts.iter().map(|id| &function[*id]).filter(|inst| matches!(inst.kind, InstKind::Param { .. }));
        reads.flat_map(|inst| inst.results.clone()).collect::<Vec<_>>().into_iter()
    }

    pub fn values(&self, function: &Function) -> impl Iterator<Item = ValueId> {
        self.insts.iter().flat_map(|id| function[*id].results.clone()).collect::<Vec<_>>().into_iter()
    }

    /// A name for it: its own, or after the member of most axes that is read.
    pub fn name(&self, function: &Function, root: ValueId) -> String {
        if let Some(name) = &function[root].name {
            return name.clone();
        }
        let reads = self.insts.iter().filter_map(|id| match &function[*id].kind {
            InstKind::Param { name, .. } => Some((function[function[*id].results[0]].ty.shape.dims.len(), name)),
            _ => None,
        });
        // Of equals, the first one.
        match reads.rev().max_by_key(|(rank, _)| *rank) {
            Some((_, name)) => format!("{}_prepared", name.replace('.', "_")),
            None => "prepared".to_string(),
        }
    }

    /// A method of the layer that computes `root`.
    pub fn function(&self, source: &Function, layer: LayerId, root: ValueId) -> Function {
        let loc = self.insts.last().map_or(source.loc, |id| source[*id].loc);
        let mut target = Function {
            name: String::new(),
            source_name: String::new(),
            doc: None,
            loc,
            layer: Some(layer),
            symbols: vec![],
            fresh: vec![],
            host_args: Attrs::new(),
            params: vec![],
            results: vec![source[root].ty.clone()],
            values: vec![],
            insts: vec![],
            body: Region::default(),
            maps: BTreeMap::new(),
            std_path: None,
            exported: false,
            optional: vec![],
            obligations: vec![],
        };
        let mut copier = Copier::new(source, Substitution::default(), None);
        let mut insts: Vec<InstId> = self.insts.iter().map(|id| copier.inst(&mut target, *id)).collect();
        let operands = vec![copier.value(&mut target, root)];
        insts.push(push(&mut target, Inst { kind: InstKind::Return, operands, results: vec![], loc }));
        target.body = Region { params: vec![], insts };
        compact(&mut target);
        target
    }
}

/// Whether two such functions compute the same, whatever their names and places.
pub fn same(a: &Function, b: &Function) -> bool {
    let plain = |function: &Function| {
        let kinds: Vec<_> = function.insts.iter().map(|inst| (inst.kind.clone(), inst.operands.clone())).collect();
        let types: Vec<_> = function.values.iter().map(|value| value.ty.clone()).collect();
        (function.layer, kinds, types)
    };
    plain(a) == plain(b)
}
