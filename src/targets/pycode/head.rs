//! What stands before a body: parameters, sizes bound from shapes, and the conditions on them.

use crate::base::Loc;
use crate::ir::{FuncId, Function, ValueId};
use crate::ops::{Obligation, ObligationKind};
use crate::targets::TargetError;
use crate::targets::names;
use crate::targets::pycode::function::{Parameter, Writer, Written};
use crate::targets::pycode::program::Callee;
use crate::targets::pytext::{Lines, Py};
use crate::types::dim::Atom;
use crate::types::{Dim, Facts, Pack, Symbol};
use std::collections::{HashMap, HashSet};

impl Writer<'_, '_> {
    /// Names what comes in.
    pub(super) fn bind_parameters(&mut self) {
        // Functions that differ in their optional inputs have the same names for those that they share.
        let all = self.program.widest(self.function);
        let mut own = self.function.params.iter().copied().peekable();
        for (name, parameter) in self.parameter_names(all).into_iter().zip(&all.params) {
            if let Some(value) = own.next_if(|value| self.function[*value].name == all[*parameter].name) {
                self.holders.insert(name.clone(), value);
                self.expressions.insert(value, Py::name(name));
            }
        }
        for (symbol, _) in &self.function.symbols {
            let mut wish = names::identifier(symbol.as_str());
            while self.holders.contains_key(&wish) {
                wish.push('_');
            }
            let name = self.namer.fresh(&wish);
            self.symbols.insert(symbol.clone(), name);
        }
        self.device = self.device_anchor();
    }

    fn parameter_names(&self, function: &Function) -> Vec<String> {
        let mut names: Vec<String> = vec![];
        for (index, &value) in function.params.iter().enumerate() {
            let wish = function[value].name.clone().unwrap_or_else(|| format!("x{index}"));
            let base = self.namer.safe(&wish);
            let is_free =
                |name: &String| !self.namer.is_taken(name) && !self.namer.is_reserved(name) && !names.contains(name);
            let numbered = (2..).map(|number| format!("{}_{number}", base.trim_end_matches('_')));
            names.push(std::iter::once(base.clone()).chain(numbered).find(is_free).unwrap_or(base));
        }
        names
    }

    pub(super) fn finish(mut self, id: FuncId, depth: usize) -> Result<Written, TargetError> {
        let body = std::mem::replace(&mut self.lines, Lines::new(depth));
        let mut conditions = Lines::new(depth);
        let mut stated: Vec<&ObligationKind> =
            self.layer.iter().flat_map(|layer| &layer.obligations).map(|o| &o.kind).collect();
        // What follows from sizes and from earlier lines needs no line.
        let mut known = Facts::default();
        let params = self.function.params.iter().flat_map(|value| &self.function[*value].ty.shape.dims);
        params.for_each(|size| known.assume_at_least(size, &Dim::zero()));
        self.layer.iter().flat_map(|layer| &layer.obligations).for_each(|o| o.assume(&mut known));
        for (obligation, _) in &self.function.obligations {
            // The constructor, an earlier line or the library itself says so already.
            if stated.contains(&&obligation.kind) || self.program.dialect.checks(&obligation.message) {
                continue;
            }
            if let ObligationKind::AtLeast(a, b) = &obligation.kind
                && known.at_least(a, b) == Some(true)
            {
                continue;
            }
            obligation.assume(&mut known);
            stated.push(&obligation.kind);
            self.lines = Lines::new(depth);
            self.obligation(obligation);
            conditions.append(std::mem::take(&mut self.lines));
        }
        self.lines = Lines::new(depth);
        let bound = self.bind_symbols();
        let dialect = self.program.dialect;
        let keeps_unused = self.function.exported && dialect.keeps_unused_numbers();
        let extra: Vec<Symbol> = self
            .function
            .symbols
            .iter()
            .map(|(symbol, _)| symbol.clone())
            .filter(|s| !bound.contains(s) && (keeps_unused || self.used_symbols.contains(s)))
            .filter(|s| !self.is_derivable(s))
            .collect();
        let required = |name: &str| Parameter { name: Py::name(name), optional: None };
        // Functions that belong to no class have a name for each set of optional inputs.
        let joins = dialect.attributes().is_some();
        let mut parameters: Vec<Parameter> = vec![];
        if self.program.takes_instance(id) {
            parameters.push(required(dialect.instance()));
        }
        let named: HashMap<ValueId, String> = self.names_of_parameters();
        for value in &self.function.params {
            let optional = self
                .function
                .given()
                .filter(|_| joins)
                .find(|name| self.function[*value].name.as_deref() == Some(name));
            let optional = optional.map(String::from);
            parameters.extend(named.get(value).map(|name| Parameter { optional, ..required(name) }));
        }
        parameters.extend(extra.iter().filter_map(|s| self.symbols.get(s)).map(|name| required(name)));
        parameters.extend(self.program.generator(id).map(required));
        let mut lines = std::mem::take(&mut self.lines);
        lines.append(conditions);
        lines.append(body);
        let docstring = self.function.doc.as_deref().and_then(names::python_docstring);
        if lines.is_empty() && docstring.is_none() {
            lines = Lines::new(depth);
            lines.line("pass");
        }
        let name = self.program.function_name(id);
        self.program.callees.insert(id, Callee { name, extra });
        Ok(Written { is_property: self.program.is_property(id), parameters, docstring, body: lines })
    }

    /// The names that the parameters came in by, whatever the body made of them since.
    fn names_of_parameters(&self) -> HashMap<ValueId, String> {
        let params = self.function.params.iter();
        params.filter_map(|v| Some((*v, self.expressions.get(v)?.as_atom()?.to_string()))).collect()
    }

    fn obligation(&mut self, obligation: &Obligation) {
        let condition = obligation_broken(obligation, &mut |dim| self.dim(dim));
        self.raise_if(condition, "ValueError", &obligation.message);
    }

    /// The same within the body, for what is known only there.
    pub(super) fn ensure(&mut self, obligation: &Obligation, loc: Loc) {
        if !self.program.dialect.checks(&obligation.message) {
            self.comment(loc);
            self.obligation(obligation);
        }
    }

    fn is_derivable(&self, symbol: &Symbol) -> bool {
        self.sources().iter().any(|(dim, _)| dim.as_symbol() == Some(symbol) || linear(dim, symbol).is_some())
    }

    /// Each dim of each parameter, and where it is to be read.
    fn sources(&self) -> Vec<(Dim, Py)> {
        let mut sources = vec![];
        for &value in &self.function.params {
            let Some(x) = self.expressions.get(&value) else { continue };
            let shape = &self.function[value].ty.shape;
            let size = |index: i64| x.clone().attr("shape").index(vec![Py::int(index)]);
            sources.extend(shape.head().iter().enumerate().map(|(i, d)| (d.clone(), size(i as i64))));
            if shape.pack.is_some() {
                let tail = shape.tail();
                sources.extend(tail.iter().enumerate().map(|(i, d)| (d.clone(), size(i as i64 - tail.len() as i64))));
            }
        }
        sources
    }

    /// Binds the used symbols that shapes give; those that it bound.
    fn bind_symbols(&mut self) -> HashSet<Symbol> {
        let mut bound = HashSet::new();
        let sources = self.sources();
        self.use_what_sizes_need(&sources);
        for &value in &self.function.params.clone() {
            self.bind_from(value, &mut bound);
        }
        for (symbol, _) in self.function.symbols.clone() {
            if bound.contains(&symbol) || !self.used_symbols.contains(&symbol) {
                continue;
            }
            if let Some((rest, coefficient, source)) = derivation(&sources, &symbol) {
                let value = match rest.as_const() {
                    Some(0) => source,
                    Some(negative @ ..0) => Py::binary(source, "+", Py::int(negative.saturating_neg())),
                    _ => Py::binary(source, "-", self.dim(&rest)),
                };
                let value = match coefficient {
                    1 => value,
                    _ => Py::binary(value, "//", Py::int(coefficient)),
                };
                let name = self.symbols.get(&symbol).cloned().unwrap_or_default();
                self.statement(&format!("{name} = "), &value, "");
                bound.insert(symbol);
            }
        }
        bound
    }

    /// A size that is computed from others needs these first.
    fn use_what_sizes_need(&mut self, sources: &[(Dim, Py)]) {
        let own = self.function.symbols.iter().map(|(symbol, _)| symbol);
        let mut waiting: Vec<Symbol> = own.filter(|symbol| self.used_symbols.contains(symbol)).cloned().collect();
        while let Some(symbol) = waiting.pop() {
            if sources.iter().any(|(dim, _)| dim.as_symbol() == Some(&symbol)) {
                continue;
            }
            let Some((rest, ..)) = derivation(sources, &symbol) else { continue };
            for other in rest.symbols() {
                if self.used_symbols.insert(other.clone()) {
                    waiting.push(other);
                }
            }
        }
    }

    /// `B, T = x.shape[:2]`: the symbols that are dims of this parameter.
    fn bind_from(&mut self, value: ValueId, bound: &mut HashSet<Symbol>) {
        let shape = self.function[value].ty.shape.clone();
        let Some(x) = self.expressions.get(&value).cloned() else { return };
        if let Some((at, Pack::Named(pack))) = &shape.pack
            && self.used_symbols.contains(pack)
            && bound.insert(pack.clone())
        {
            let stop = shape.tail().len() as i64;
            let slice = Py::slice((*at > 0).then(|| Py::int(*at as i64)), (stop > 0).then(|| Py::int(-stop)), None);
            let name = self.symbols.get(pack).cloned().unwrap_or_else(|| names::identifier(pack.as_str()));
            self.statement(&format!("{name} = "), &x.clone().attr("shape").index(vec![slice]), "");
        }
        let mut wanted: Vec<(i64, Symbol)> = vec![];
        let head = shape.head().iter().enumerate().map(|(i, d)| (i as i64, d));
        let tail_length = shape.tail().len() as i64;
        let tail = shape.tail().iter().enumerate().map(|(i, d)| (i as i64 - tail_length, d));
        let tail: Vec<(i64, &Dim)> = if shape.pack.is_some() { tail.collect() } else { vec![] };
        for (index, dim) in head.chain(tail) {
            if let Some(symbol) = dim.as_symbol()
                && self.symbols.contains_key(symbol)
                && self.used_symbols.contains(symbol)
                && bound.insert(symbol.clone())
            {
                wanted.push((index, symbol.clone()));
            }
        }
        if wanted.is_empty() {
            return;
        }
        let targets: Vec<String> = wanted.iter().filter_map(|(_, s)| self.symbols.get(s).cloned()).collect();
        let sizes = x.attr("shape");
        let prefix = wanted.iter().enumerate().all(|(i, (index, _))| i as i64 == *index);
        let value = match wanted.as_slice() {
            [(index, _)] => sizes.index(vec![Py::int(*index)]),
            all if prefix && shape.rank() == Some(all.len()) => sizes,
            all if prefix => sizes.index(vec![Py::slice(None, Some(Py::int(all.len() as i64)), None)]),
            all => {
                let each: Vec<String> =
                    all.iter().map(|(i, _)| sizes.clone().index(vec![Py::int(*i)]).text()).collect();
                Py::name(each.join(", "))
            }
        };
        self.statement(&format!("{} = ", targets.join(", ")), &value, "");
    }
}

/// `dim` as `coefficient * symbol + rest`, with the rest free of it.
fn linear(dim: &Dim, symbol: &Symbol) -> Option<(Dim, i64)> {
    let atom = Atom::Sym(symbol.clone());
    let coefficient = dim.terms().find(|(monomial, _)| monomial.as_slice() == [(atom.clone(), 1)]).map(|(_, c)| c)?;
    let rest = dim.sub(&Dim::atom(atom.clone()).scale(coefficient));
    (coefficient > 0 && !rest.mentions(&atom)).then_some((rest, coefficient))
}

/// A symbol's coefficient and what stands beside it in the size that tells it best: the smallest factor needs the least
/// arithmetic.
fn derivation(sources: &[(Dim, Py)], symbol: &Symbol) -> Option<(Dim, i64, Py)> {
    let candidates = sources.iter().filter_map(|(dim, source)| {
        let (rest, coefficient) = linear(dim, symbol)?;
        Some((rest, coefficient, source.clone()))
    });
    candidates.min_by_key(|(_, coefficient, _)| *coefficient)
}

/// The condition under which an obligation is broken.
pub fn obligation_broken(obligation: &Obligation, dim: &mut dyn FnMut(&Dim) -> Py) -> Py {
    match &obligation.kind {
        ObligationKind::Equal(a, b) => Py::binary(dim(a), "!=", dim(b)),
        ObligationKind::AtLeast(a, b) => Py::binary(dim(a), "<", dim(b)),
        ObligationKind::Broadcast(a, b) => {
            let sizes = Py::Tuple(vec![Py::int(1), dim(b)]);
            Py::binary(Py::binary(dim(a), "not in", sizes), "and", Py::binary(dim(b), "!=", Py::int(1)))
        }
    }
}
