//! Control flow as functions in functions, for libraries that trace what they are given: a branch, a loop's condition
//! and its turn are each a function of what is carried on, which a helper calls (`choose`, `while_loop`, `for_loop`).
//!
//! What the instance holds and the source of seeds go in as arguments where a part changes them. Other variables are
//! seen from inside; so a name that has a value outside is never given to another one inside.

use crate::ir::{InstId, InstKind, Region, ValueId};
use crate::targets::TargetError;
use crate::targets::pycode::function::Writer;
use crate::targets::pytext::{Lines, Py};
use crate::types::Symbol;

/// Writes an `if` or a loop in this way, where it depends on values and fills no lists.
pub fn write(writer: &mut Writer<'_, '_>, inst: InstId) -> Option<Result<(), TargetError>> {
    let function = writer.function;
    let data = &function[inst];
    match &data.kind {
        InstKind::If { then, otherwise } => {
            let condition = writer.number_or_tensor(data.operands[0]);
            let is_number = writer.numbers.contains(&data.operands[0]);
            (!is_number).then(|| writer.nested_if(inst, condition, [then, otherwise]))
        }
        InstKind::While { cond, body, .. } => {
            (data.results.len() == body.params.len()).then(|| writer.nested_while(inst, cond, body))
        }
        InstKind::For { index, body } => {
            let bounds = [writer.number_or_tensor(data.operands[0]), writer.number_or_tensor(data.operands[1])];
            let known = data.operands[..2].iter().all(|bound| writer.numbers.contains(bound));
            let fills = data.results.len() + 1 != body.params.len();
            (!known && !fills).then(|| writer.nested_for(inst, index, bounds, body))
        }
        _ => None,
    }
}

/// The body of a function and what it gives.
struct Part {
    name: String,
    parameters: Vec<String>,
    lines: Lines,
}

impl<'m> Writer<'_, 'm> {
    /// What these regions change besides variables: what the instance holds, the source of seeds.
    fn held_by(&self, regions: &[&Region]) -> Vec<String> {
        let (mut changes, mut draws) = (false, false);
        for region in regions {
            self.function.visit(region, &mut |inst| match &self.function[inst].kind {
                InstKind::SetState { .. } | InstKind::SetSlice { .. } => changes = true,
                InstKind::Rng { .. } => draws = true,
                InstKind::Call { func, .. } => {
                    changes |= self.program.has_effect(*func);
                    draws |= self.program.generator(*func).is_some();
                }
                _ => {}
            });
        }
        let dialect = self.program.dialect;
        let instance = changes.then(|| dialect.instance());
        let generator = dialect.generator().filter(|_| draws);
        instance.into_iter().chain(generator).map(String::from).collect()
    }

    /// Writes a region as a function; `give` says what it returns.
    fn part(
        &mut self,
        name: &str,
        parameters: Vec<String>,
        held: &[String],
        write: impl FnOnce(&mut Self) -> Result<Py, TargetError>,
    ) -> Result<Part, TargetError> {
        let (namer, holders) = (self.namer.clone(), self.holders.clone());
        let outside: Vec<String> = holders.keys().filter(|name| !parameters.contains(name)).cloned().collect();
        outside.iter().for_each(|name| self.namer.take(name));
        // Elements of lists are reached from the instance that is given.
        let is_given = held.iter().any(|name| name == self.program.dialect.instance());
        let elements = is_given.then(|| std::mem::take(&mut self.elements));
        let lines = self.inner(|writer| {
            let result = write(writer)?;
            writer.statement("return ", &result, "");
            Ok(())
        });
        (self.namer, self.holders) = (namer, holders);
        self.elements.extend(elements.into_iter().flatten());
        let name = self.free_name(name, usize::MAX);
        Ok(Part { name, parameters: parameters.into_iter().chain(held.iter().cloned()).collect(), lines: lines? })
    }

    /// `def then():` and its body, with the blank lines that functions have around them.
    fn define(&mut self, part: &Part) {
        self.lines.line("");
        let parameters: Vec<Py> = part.parameters.iter().map(Py::name).collect();
        self.lines.definition(&part.name, &parameters);
        self.lines.append(part.lines.clone());
    }

    fn gives(&mut self, region: &'m Region, wanted: &[bool]) -> Py {
        let yields = self.yields(region).iter().zip(wanted).filter(|(_, wanted)| **wanted);
        let values: Vec<ValueId> = yields.map(|(value, _)| *value).collect();
        Py::Tuple(values.into_iter().map(|value| self.tensor(value)).collect())
    }

    /// `y, z = choose(...)`
    fn give_to(&mut self, names: &[String], call: Py) {
        let prefix = match names {
            [] => String::new(),
            [only] => format!("({only},) = "),
            all => format!("{} = ", all.join(", ")),
        };
        self.lines.line("");
        self.statement(&prefix, &call, "");
    }

    fn nested_if(&mut self, inst: InstId, condition: Py, regions: [&'m Region; 2]) -> Result<(), TargetError> {
        let data = &self.function[inst];
        let wanted: Vec<bool> = data.results.iter().map(|result| self.flow.is_used(*result)).collect();
        let held = self.held_by(&regions);
        self.comment(data.loc);
        let chosen = self.free_name("chosen", self.flow.position(inst));
        self.statement(&format!("{chosen} = "), &condition, "");
        self.namer.take(&chosen);
        let mut parts = vec![];
        for (name, region, other) in [("then", regions[0], 1), ("otherwise", regions[1], 0)] {
            self.other_branches.push(self.flow.range(inst, other));
            let part = self.part(name, vec![], &held, |writer| {
                writer.region(region)?;
                Ok(writer.gives(region, &wanted))
            });
            self.other_branches.pop();
            parts.push(part?);
        }
        let end = *self.flow.range(inst, 1).end().max(self.flow.range(inst, 0).end());
        let mut names: Vec<String> = vec![];
        for (index, &result) in data.results.iter().enumerate().filter(|(index, _)| wanted[*index]) {
            let mut name = self.free_name(&self.wish_for_result(result, regions[0], index), end + 1);
            while names.contains(&name) || !self.is_free(&name, end + 1) {
                name.push('_');
            }
            self.holders.insert(name.clone(), result);
            self.expressions.insert(result, Py::name(&name));
            names.push(name);
        }
        parts.iter().for_each(|part| self.define(part));
        let arguments = [&chosen, &parts[0].name, &parts[1].name].into_iter().chain(&held);
        let call = Py::name("choose").call(arguments.map(Py::name).collect());
        self.program.note(&call);
        self.give_to(&names, call);
        self.new_block();
        Ok(())
    }

    fn nested_while(&mut self, inst: InstId, cond: &'m Region, body: &'m Region) -> Result<(), TargetError> {
        let data = &self.function[inst];
        let names = self.carry(inst, &data.operands, &cond.params, body);
        let held = self.held_by(&[cond, body]);
        let all = vec![true; names.len()];
        let test = self.part("condition", names.clone(), &held, |writer| {
            writer.region(cond)?;
            let value = writer.yields(cond).first().copied();
            Ok(value.map_or_else(Py::none, |value| writer.number_or_tensor(value)))
        })?;
        for (name, &value) in names.iter().zip(&body.params) {
            self.holders.insert(name.clone(), value);
            self.expressions.insert(value, Py::name(name));
        }
        let turn = self.part("turn", names.clone(), &held, |writer| {
            writer.region(body)?;
            Ok(writer.gives(body, &all))
        })?;
        let carried = self.carried(inst, &names);
        self.define(&test);
        self.define(&turn);
        let functions = [Py::name(&test.name), Py::name(&turn.name), carried];
        let call = Py::name("while_loop").call(functions.into_iter().chain(held.iter().map(Py::name)).collect());
        self.program.note(&call);
        self.give_to(&names, call);
        self.after_loop(inst, &names);
        Ok(())
    }

    fn nested_for(
        &mut self,
        inst: InstId,
        index: &Symbol,
        bounds: [Py; 2],
        body: &'m Region,
    ) -> Result<(), TargetError> {
        let data = &self.function[inst];
        let [counter, carried @ ..] = body.params.as_slice() else { return Ok(()) };
        let names = self.carry(inst, &data.operands[2..], carried, body);
        let held = self.held_by(&[body]);
        let variable = self.index_name(inst, index);
        self.loop_symbols.insert(index.clone(), variable.clone());
        self.expressions.insert(*counter, Py::name(&variable));
        let all = vec![true; names.len()];
        let parameters = std::iter::once(variable).chain(names.iter().cloned()).collect();
        let turn = self.part("turn", parameters, &held, |writer| {
            writer.region(body)?;
            Ok(writer.gives(body, &all))
        })?;
        let carried = self.carried(inst, &names);
        self.define(&turn);
        let [start, stop] = bounds;
        let arguments = [start, stop, Py::name(&turn.name), carried];
        let call = Py::name("for_loop").call(arguments.into_iter().chain(held.iter().map(Py::name)).collect());
        self.program.note(&call);
        self.give_to(&names, call);
        self.after_loop(inst, &names);
        Ok(())
    }

    /// What a loop begins with, as a variable of its own, so that a line stands before the functions.
    fn carried(&mut self, inst: InstId, names: &[String]) -> Py {
        self.comment(self.function[inst].loc);
        let name = self.free_name("carried", usize::MAX);
        let values = Py::Tuple(names.iter().map(Py::name).collect());
        self.statement(&format!("{name} = "), &values, "");
        Py::name(name)
    }
}
