//! Which values of a function are the same in every run.

use crate::ir::{Function, InstKind, LayerId, Module, Region, ValueId};
use crate::types::Symbol;
use std::collections::{BTreeSet, HashSet};

/// State members that something assigns, each by its layer and name.
pub(super) type Assigned = BTreeSet<(LayerId, String)>;

pub(super) fn assigned(module: &Module) -> Assigned {
    let members = module.functions.iter().flat_map(|function| {
        function.insts.iter().filter_map(|inst| match &inst.kind {
            InstKind::SetState { name } | InstKind::SetSlice { name, .. } => module.member_of(function.layer, name),
            _ => None,
        })
    });
    members.collect()
}

/// Values that come of weights, hyperparameters and literals only.
pub(super) struct Constants {
    values: HashSet<ValueId>,
    hypers: BTreeSet<Symbol>,
}

fn hypers(module: &Module, function: &Function) -> BTreeSet<Symbol> {
    function.layer.iter().flat_map(|layer| &module[*layer].hypers).map(|hyper| hyper.name.clone()).collect()
}

impl Constants {
    pub fn of(module: &Module, function: &Function, assigned: &Assigned) -> Constants {
        let mut constants = Constants { values: HashSet::new(), hypers: hypers(module, function) };
        constants.region(module, function, &function.body, assigned);
        constants
    }

    fn region(&mut self, module: &Module, function: &Function, region: &Region, assigned: &Assigned) {
        for id in &region.insts {
            let inst = &function[*id];
            for nested in Function::regions(&inst.kind) {
                self.region(module, function, nested, assigned);
            }
            let constant = match &inst.kind {
                InstKind::Const(_) => true,
                InstKind::Host(expr) => expr.symbols().is_subset(&self.hypers),
                InstKind::Param { name, .. } => {
                    module.member_of(function.layer, name).is_some_and(|member| !assigned.contains(&member))
                }
                InstKind::Op { .. } => {
                    let sizes = inst.kind.symbols();
                    inst.operands.iter().all(|operand| self.has(*operand)) && sizes.is_subset(&self.hypers)
                }
                _ => false,
            };
            if constant {
                self.values.extend(&inst.results);
            }
        }
    }

    pub fn has(&self, value: ValueId) -> bool {
        self.values.contains(&value)
    }
}
