//! Which values may share memory with another: views that operations give, and what control flow hands on.

use crate::ir::{Function, InstId, InstKind, Region, ValueId};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// For each value, those that may be the same memory under another name.
pub struct Views {
    next: FxHashMap<ValueId, Vec<ValueId>>,
}

impl Views {
    /// `is_view` tells instructions whose results may be views of their operands.
    pub fn of(function: &Function, is_view: &dyn Fn(InstId) -> bool) -> Views {
        let mut views = Views { next: FxHashMap::default() };
        views.region(function, &function.body, is_view);
        views
    }

    /// The value and all that may share its memory.
    pub fn of_value(&self, value: ValueId) -> BTreeSet<ValueId> {
        let mut found = BTreeSet::from([value]);
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            open.extend(self.next.get(&value).into_iter().flatten().copied().filter(|view| found.insert(*view)));
        }
        found
    }

    fn link(&mut self, from: &[ValueId], to: &[ValueId]) {
        from.iter().zip(to).for_each(|(from, to)| self.next.entry(*from).or_default().push(*to));
    }

    fn region(&mut self, function: &Function, region: &Region, is_view: &dyn Fn(InstId) -> bool) {
        for &id in &region.insts {
            let inst = &function[id];
            for inner in Function::regions(&inst.kind) {
                self.region(function, inner, is_view);
            }
            match &inst.kind {
                InstKind::If { then, otherwise } => {
                    for region in [then, otherwise] {
                        self.link(yields(function, region), &inst.results);
                    }
                }
                InstKind::For { body, .. } => {
                    let carried = inst.operands.get(2..).unwrap_or_default();
                    self.turns(function, carried, body, body.params.get(1..).unwrap_or_default(), &inst.results);
                }
                InstKind::While { cond, body, .. } => {
                    self.link(&inst.operands, &cond.params);
                    self.link(&cond.params, &body.params);
                    self.turns(function, &inst.operands, body, &body.params, &inst.results);
                }
                _ if is_view(id) => {
                    for &result in &inst.results {
                        inst.operands.iter().for_each(|&operand| self.link(&[operand], &[result]));
                    }
                }
                _ => {}
            }
        }
    }

    /// What a loop carries from turn to turn.
    fn turns(
        &mut self,
        function: &Function,
        initial: &[ValueId],
        body: &Region,
        params: &[ValueId],
        results: &[ValueId],
    ) {
        // Without a turn, the results are what came in; what is collected is stacked, a copy.
        self.link(initial, params);
        self.link(initial, results);
        let carried = yields(function, body).get(..params.len()).unwrap_or_default();
        self.link(carried, params);
        self.link(carried, results);
    }
}

fn yields<'f>(function: &'f Function, region: &Region) -> &'f [ValueId] {
    let last = region.insts.last().map(|&inst| &function[inst]);
    last.filter(|inst| inst.kind == InstKind::Yield).map_or(&[], |inst| &inst.operands)
}
