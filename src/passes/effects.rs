//! What running a function may do besides computing its results.

use crate::ir::{Function, InstKind, Module, PathSegment, Region};
use std::collections::{BTreeSet, HashMap};

/// Effects of each function of a module, and how often each random site occurs.
pub struct Effects {
    functions: Vec<FunctionEffects>,
    sites: HashMap<u32, usize>,
}

#[derive(Clone, Debug, Default)]
struct FunctionEffects {
    /// Assigns state, prints, asserts or draws a seed, itself or through a call.
    acts: bool,
    /// State members that it may assign, by name; `part.` stands for all that belong to a sublayer.
    sets: BTreeSet<String>,
}

impl Effects {
    pub fn of(module: &Module) -> Effects {
        let mut effects = Effects { functions: vec![], sites: HashMap::new() };
        for function in &module.functions {
            for inst in &function.insts {
                if let InstKind::Rng { site, .. } = inst.kind {
                    *effects.sites.entry(site).or_insert(0) += 1;
                }
            }
        }
        effects.functions = vec![FunctionEffects::default(); module.functions.len()];
        // Calls do not recur, so as many rounds as functions settle everything; few are needed.
        loop {
            let mut changed = false;
            for (index, function) in module.functions.iter().enumerate() {
                let own = FunctionEffects {
                    acts: effects.region_acts(function, &function.body, false),
                    sets: effects.region_sets(function, &function.body),
                };
                let known = &mut effects.functions[index];
                if known.acts != own.acts || known.sets != own.sets {
                    *known = own;
                    changed = true;
                }
            }
            if !changed {
                return effects;
            }
        }
    }

    /// Whether leaving the instruction out, results unused, could be noticed.
    pub fn acts(&self, function: &Function, kind: &InstKind) -> bool {
        self.kind_acts(function, kind, true)
    }

    fn kind_acts(&self, function: &Function, kind: &InstKind, single_sites_are_free: bool) -> bool {
        match kind {
            InstKind::Op { .. } | InstKind::Param { .. } | InstKind::Const(_) | InstKind::Host(_) => false,
            // The turns of a site are counted, so only a site that occurs nowhere else may go.
            InstKind::Rng { site, .. } => !single_sites_are_free || self.sites.get(site).is_none_or(|count| *count > 1),
            InstKind::Call { func, .. } => self.functions.get(func.0 as usize).is_none_or(|callee| callee.acts),
            InstKind::SetState { .. }
            | InstKind::SetSlice { .. }
            | InstKind::Assert { .. }
            | InstKind::Ensure(_)
            | InstKind::Print { .. }
            | InstKind::Yield
            | InstKind::Return => true,
            InstKind::If { .. }
            | InstKind::For { .. }
            | InstKind::While { .. }
            | InstKind::Gradient { .. }
            | InstKind::Fused { .. } => Function::regions(kind)
                .into_iter()
                .any(|region| self.region_acts(function, region, single_sites_are_free)),
        }
    }

    fn region_acts(&self, function: &Function, region: &Region, single_sites_are_free: bool) -> bool {
        region.insts.iter().any(|id| {
            let kind = &function[*id].kind;
            !matches!(kind, InstKind::Yield | InstKind::Return) && self.kind_acts(function, kind, single_sites_are_free)
        })
    }

    /// State members that an instruction may assign, by name; `part.` stands for all that belong to a sublayer.
    pub fn sets(&self, function: &Function, kind: &InstKind) -> BTreeSet<String> {
        match kind {
            InstKind::SetState { name } | InstKind::SetSlice { name, .. } => BTreeSet::from([name.clone()]),
            InstKind::Call { func, path: Some(path), .. } => {
                let sets = self.functions.get(func.0 as usize).map_or_else(BTreeSet::new, |callee| callee.sets.clone());
                match path.first() {
                    Some(PathSegment::Field(part)) if !sets.is_empty() => BTreeSet::from([format!("{part}.")]),
                    _ => sets,
                }
            }
            _ => Function::regions(kind).into_iter().flat_map(|region| self.region_sets(function, region)).collect(),
        }
    }

    /// Whether a member is among those that [`Effects::sets`] gives.
    pub fn is_set(sets: &BTreeSet<String>, name: &str) -> bool {
        sets.iter().any(|set| set == name || set.ends_with('.') && name.starts_with(set.as_str()))
    }

    fn region_sets(&self, function: &Function, region: &Region) -> BTreeSet<String> {
        region.insts.iter().flat_map(|id| self.sets(function, &function[*id].kind)).collect()
    }
}
