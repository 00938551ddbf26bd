//! What happens to each value of a function: where it is used, and whether it needs a name.
//!
//! Every instruction has a position, in the order of the text. A value that is used once, in the region that
//! defines it, has no name in the source and meets no effect on the way is *inlined*: it becomes part of the
//! expression that uses it. Its own operands then live until that expression is written. A use inside a
//! loop keeps a value from outside alive to the loop's end.
//!
//! State changes in place. What is read of it, or is a view of that, must not be looked at after such a change:
//! a read that would be is copied, and so is a view that leaves the function or is kept from turn to turn.

use crate::ir::{Function, InstId, InstKind, Part, Region, ValueId};
use crate::ops::traits::Quantisation;
use crate::quant::Scheme;
use crate::targets::pycode::sizes;
use crate::targets::pycode::views::Views;
use crate::types::Symbol;
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::RangeInclusive;

pub struct Flow {
    /// Of instructions that are in the body.
    position: FxHashMap<InstId, usize>,
    /// The positions of a region of an instruction, by its index among them.
    ranges: FxHashMap<(InstId, usize), RangeInclusive<usize>>,
    /// Where each value is needed last, once for each use.
    uses: Vec<Vec<usize>>,
    counts: Vec<usize>,
    inlined: FxHashSet<ValueId>,
    /// Those that a `return` gives back, alone.
    returned: FxHashSet<ValueId>,
    /// `dequantize` of what one `quantize` gave: a fake quantisation.
    fused: FxHashMap<InstId, InstId>,
    /// Those that may look at memory of a state.
    state_views: FxHashSet<ValueId>,
}

/// What the writer knows of instructions.
pub struct Facts<'f> {
    /// Calls and assignments that change state.
    pub has_effect: &'f dyn Fn(InstId) -> bool,
    /// Whether an instruction changes the member of this name.
    pub changes: &'f dyn Fn(InstId, &str) -> bool,
    /// Members that may change.
    pub is_state: &'f dyn Fn(&str) -> bool,
    /// Results that may share memory with an operand.
    pub is_view: &'f dyn Fn(InstId) -> bool,
}

/// Where an instruction stands.
struct Place {
    region: usize,
    /// First and last position of each enclosing loop.
    loops: Vec<(usize, usize)>,
}

struct Survey<'f> {
    function: &'f Function,
    order: Vec<InstId>,
    places: FxHashMap<InstId, Place>,
    users: Vec<Vec<InstId>>,
    definition: FxHashMap<ValueId, InstId>,
    /// A position inside the region that defines the value; none for the function's parameters.
    scope: FxHashMap<ValueId, usize>,
    ranges: FxHashMap<(InstId, usize), RangeInclusive<usize>>,
    /// The values that symbols are read off which instructions bind.
    sources: FxHashMap<Symbol, ValueId>,
    /// What each instruction needs besides its operands: the sources of its symbols.
    needs: FxHashMap<InstId, Vec<ValueId>>,
    regions: usize,
}

impl Survey<'_> {
    /// The values that writing an instruction takes.
    fn inputs(&self, inst: InstId) -> impl Iterator<Item = &ValueId> {
        self.function[inst].operands.iter().chain(self.needs.get(&inst).into_iter().flatten())
    }

    fn region(&mut self, region: &Region) {
        self.regions += 1;
        let id = self.regions;
        for &inst in &region.insts {
            let at = self.order.len();
            self.order.push(inst);
            self.places.insert(inst, Place { region: id, loops: vec![] });
            let data = &self.function[inst];
            let symbols = sizes::symbols_of(self.function, inst);
            let needs = symbols.iter().filter_map(|symbol| self.sources.get(symbol).copied()).collect();
            self.needs.insert(inst, needs);
            for input in self.inputs(inst).copied().collect::<Vec<_>>() {
                self.users[input.0 as usize].push(inst);
            }
            for symbol in data.kind.binds() {
                let source = sizes::source(self.function, inst, symbol).map(|source| source.value);
                self.sources.extend(source.map(|value| (symbol.clone(), value)));
            }
            for result in &data.results {
                self.definition.insert(*result, inst);
                self.scope.insert(*result, at);
            }
            for (index, region) in Function::regions(&data.kind).into_iter().enumerate() {
                let start = self.order.len();
                for parameter in &region.params {
                    self.scope.insert(*parameter, start);
                }
                self.region(region);
                self.ranges.insert((inst, index), start..=self.order.len().saturating_sub(1).max(start));
            }
        }
    }

    /// Fills in the loops around each instruction, whose ends are known by now.
    fn enclose(&mut self, position: &FxHashMap<InstId, usize>) {
        // The regions of a `while` take turns: they are one loop.
        let mut loops: FxHashMap<InstId, (usize, usize)> = FxHashMap::default();
        for ((inst, _), range) in &self.ranges {
            if matches!(self.function[*inst].kind, InstKind::For { .. } | InstKind::While { .. }) {
                let (start, end) = loops.entry(*inst).or_insert((*range.start(), *range.end()));
                (*start, *end) = ((*start).min(*range.start()), (*end).max(*range.end()));
            }
        }
        let loops: Vec<(usize, usize)> = loops.into_values().collect();
        for (inst, place) in &mut self.places {
            let at = position[inst];
            place.loops = loops.iter().copied().filter(|(start, end)| (*start..=*end).contains(&at)).collect();
        }
    }
}

impl Flow {
    pub fn of(function: &Function, facts: &Facts) -> Flow {
        let mut survey = Survey {
            function,
            order: vec![],
            places: FxHashMap::default(),
            users: vec![vec![]; function.values.len()],
            definition: FxHashMap::default(),
            scope: FxHashMap::default(),
            ranges: FxHashMap::default(),
            sources: FxHashMap::default(),
            needs: FxHashMap::default(),
            regions: 0,
        };
        survey.region(&function.body);
        let position: FxHashMap<InstId, usize> = survey.order.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        survey.enclose(&position);
        let effects: Vec<usize> =
            survey.order.iter().filter(|i| (facts.has_effect)(**i)).filter_map(|i| position.get(i).copied()).collect();
        let mut flow = Flow {
            position,
            ranges: FxHashMap::default(),
            uses: vec![vec![]; function.values.len()],
            counts: survey.users.iter().map(Vec::len).collect(),
            inlined: FxHashSet::default(),
            returned: FxHashSet::default(),
            fused: FxHashMap::default(),
            state_views: FxHashSet::default(),
        };
        flow.fuse_quantisation(&survey);
        flow.choose_inlined(&survey, &effects, facts);
        flow.find_uses(&survey);
        flow.ranges = survey.ranges;
        flow
    }

    fn fuse_quantisation(&mut self, survey: &Survey) {
        for &inst in &survey.order {
            let data = &survey.function[inst];
            let Some(scheme) = scheme_of(&data.kind, Quantisation::Dequantise) else { continue };
            let Some(&source) = data.operands.first().and_then(|v| survey.definition.get(v)) else { continue };
            let quantize = &survey.function[source];
            let whole = quantize.results == data.operands
                && scheme_of(&quantize.kind, Quantisation::Quantise) == Some(scheme)
                || quantize.operands.get(1..) == data.operands.get(1..)
                    && scheme_of(&quantize.kind, Quantisation::QuantiseWith) == Some(scheme);
            let alone = quantize.results.iter().all(|v| survey.users[v.0 as usize] == [inst]);
            if whole && alone && survey.places[&source].region == survey.places[&inst].region {
                self.fused.insert(inst, source);
                self.inlined.extend(&quantize.results);
            }
        }
    }

    fn choose_inlined(&mut self, survey: &Survey, effects: &[usize], facts: &Facts) {
        let views = Views::of(survey.function, facts.is_view);
        let sources: FxHashSet<ValueId> = survey.needs.values().flatten().copied().collect();
        for &inst in &survey.order {
            let data = &survey.function[inst];
            let [result] = data.results.as_slice() else { continue };
            // A size is read off a variable.
            if sources.contains(result) {
                continue;
            }
            let at = self.position[&inst];
            let users = &survey.users[result.0 as usize];
            let no_effect_before = |last: usize| !effects.iter().any(|e| (at + 1..last).contains(e));
            let free = match &data.kind {
                InstKind::Param { name, part: Part::Value } if (facts.is_state)(name) => {
                    let shared = views.of_value(*result);
                    let read = shared.iter().flat_map(|view| &survey.users[view.0 as usize]);
                    let changing = survey.order.iter().filter(|inst| (facts.changes)(**inst, name));
                    let effects: Vec<usize> = changing.map(|inst| self.position[inst]).collect();
                    let unchanged = read.into_iter().all(|user| !self.crosses(survey, &effects, at, *user));
                    if unchanged {
                        self.state_views.extend(&shared);
                    }
                    unchanged
                }
                InstKind::Param { part: Part::Value, .. } => true,
                // Unpacking codes is work: it is done once.
                InstKind::Param { part, .. } => *part != Part::Codes || users.len() == 1,
                InstKind::Host(_) => true,
                InstKind::Const(tensor) => tensor.rank() == 0,
                _ => false,
            };
            let [user] = users.as_slice() else {
                if free {
                    self.inlined.insert(*result);
                }
                continue;
            };
            let returned_next = survey.function[*user].kind == InstKind::Return
                && self.position[user] == at + 1
                && !data.operands.is_empty();
            let is_read = matches!(data.kind, InstKind::Param { .. });
            let near = !is_read
                && survey.places[user].region == survey.places[&inst].region
                && (survey.function[*result].name.is_none() || returned_next)
                && Function::regions(&data.kind).is_empty()
                && if effects.contains(&at) {
                    self.position[user] == at + 1
                } else {
                    no_effect_before(self.position[user])
                };
            if free || near {
                self.inlined.insert(*result);
                if survey.function[*user].kind == InstKind::Return && survey.function[*user].operands.len() == 1 {
                    self.returned.insert(*result);
                }
            }
        }
    }

    /// Whether state may change between `at` and a read by `user`: before it, in the rest of a loop that the
    /// user stands in and `at` does not, or anywhere in a loop that hands the value to its next turn.
    fn crosses(&self, survey: &Survey, effects: &[usize], at: usize, user: InstId) -> bool {
        let own = self.position[&user];
        let loops = &survey.places[&user].loops;
        let outer = loops.iter().filter(|(start, end)| !(*start..=*end).contains(&at)).map(|(_, end)| end + 1);
        let until = outer.max().unwrap_or(own);
        let hands_on = survey.function[user].kind == InstKind::Yield;
        let handing = loops.iter().filter(|(_, end)| hands_on && *end == own);
        effects.iter().any(|e| (at + 1..until).contains(e))
            || handing.into_iter().any(|(start, end)| effects.iter().any(|e| (*start..=*end).contains(e)))
    }

    /// Whether the value may look at memory of a state.
    pub fn is_state_view(&self, value: ValueId) -> bool {
        self.state_views.contains(&value)
    }

    fn find_uses(&mut self, survey: &Survey) {
        for index in (0..survey.order.len()).rev() {
            let inst = survey.order[index];
            let data = &survey.function[inst];
            let all_inlined = !data.results.is_empty() && data.results.iter().all(|v| self.inlined.contains(v));
            let own: Vec<usize> = match all_inlined {
                true => data.results.iter().flat_map(|v| self.uses[v.0 as usize].clone()).collect(),
                false => vec![index],
            };
            let loops = &survey.places[&inst].loops;
            for operand in survey.inputs(inst) {
                let scope = survey.scope.get(operand);
                let inside = |start: usize, end: usize| scope.is_some_and(|at| (start..=end).contains(at));
                let mut uses = own.clone();
                uses.extend(loops.iter().filter(|(start, end)| !inside(*start, *end)).map(|(_, end)| *end));
                self.uses[operand.0 as usize].extend(uses);
            }
        }
    }

    pub fn position(&self, inst: InstId) -> usize {
        self.position.get(&inst).copied().unwrap_or(0)
    }

    /// The positions that the region of an instruction covers.
    pub fn range(&self, inst: InstId, region: usize) -> RangeInclusive<usize> {
        self.ranges.get(&(inst, region)).cloned().unwrap_or(0..=0)
    }

    pub fn is_inlined(&self, value: ValueId) -> bool {
        self.inlined.contains(&value)
    }

    /// Whether the value becomes a whole `return` line.
    pub fn is_returned(&self, value: ValueId) -> bool {
        self.returned.contains(&value)
    }

    pub fn is_used(&self, value: ValueId) -> bool {
        self.counts[value.0 as usize] > 0
    }

    /// The `quantize` whose results only this `dequantize` uses.
    pub fn fused(&self, inst: InstId) -> Option<InstId> {
        self.fused.get(&inst).copied()
    }

    /// Whether nothing at `bound` or later needs the value, leaving out what happens in another branch.
    pub fn is_dead(&self, value: ValueId, bound: usize, other_branches: &[RangeInclusive<usize>]) -> bool {
        let elsewhere = |at: &usize| other_branches.iter().any(|range| range.contains(at));
        self.uses[value.0 as usize].iter().all(|at| *at < bound || elsewhere(at))
    }
}

/// The scheme of an instruction that quantises or restores in this way.
fn scheme_of(kind: &InstKind, way: Quantisation) -> Option<&Scheme> {
    match kind {
        InstKind::Op { op, attrs } if op.quantisation() == Some(way) => attrs.scheme("scheme"),
        _ => None,
    }
}
