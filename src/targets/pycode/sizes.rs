//! Sizes that only a run tells, read off a tensor that has them: `outs.shape[0]` after the loop that filled `outs`.

use crate::ir::{Function, InstId, InstKind, ValueId};
use crate::targets::pycode::function::Writer;
use crate::targets::pytext::Py;
use crate::types::dim::Atom;
use crate::types::{Dim, Symbol};

/// Where a symbol is read off: an axis of a value, whose size is `factor * symbol + rest`.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub value: ValueId,
    axis: usize,
    factor: Dim,
    rest: Dim,
}

/// The result of an instruction that says most plainly what a symbol is that it binds.
pub fn source(function: &Function, inst: InstId, symbol: &Symbol) -> Option<Source> {
    let results = function[inst].results.iter();
    let axes = results.flat_map(|value| {
        let dims = function[*value].ty.shape.known().unwrap_or_default();
        dims.iter().enumerate().map(move |(axis, dim)| (*value, axis, dim))
    });
    let sources = axes.filter_map(|(value, axis, dim)| {
        let (factor, rest) = linear(dim, symbol)?;
        Some(Source { value, axis, factor, rest })
    });
    sources.min_by_key(|source| (source.factor != Dim::constant(1), source.rest != Dim::zero()))
}

/// `dim` as `factor * symbol + rest`, both of these free of it.
fn linear(dim: &Dim, symbol: &Symbol) -> Option<(Dim, Dim)> {
    let atom = Atom::Sym(symbol.clone());
    let with = |value: i64| dim.substitute_symbols(&|own| (own == symbol).then(|| Dim::constant(value)));
    let rest = with(0);
    let factor = with(1).sub(&rest);
    let whole = factor.mul(&Dim::atom(atom)).add(&rest);
    (whole == *dim && factor != Dim::zero() && !factor.symbols().contains(symbol)).then_some((factor, rest))
}

/// Symbols that writing an instruction may need: those of its own, and of the stack that a loop leaves where it
/// had no turn.
pub fn symbols_of(function: &Function, inst: InstId) -> Vec<Symbol> {
    let data = &function[inst];
    let mut symbols: Vec<Symbol> = data.kind.symbols().into_iter().collect();
    if matches!(data.kind, InstKind::For { .. } | InstKind::While { .. }) {
        let dims = data.results.iter().flat_map(|value| &function[*value].ty.shape.dims);
        symbols.extend(dims.flat_map(Dim::symbols).filter(|symbol| !data.kind.binds().contains(symbol)));
    }
    symbols
}

impl Writer<'_, '_> {
    /// After an instruction: where the sizes are that it tells.
    pub(super) fn note_sizes(&mut self, inst: InstId) {
        for symbol in self.function[inst].kind.binds() {
            if let Some(source) = source(self.function, inst, symbol) {
                self.sizes.insert(symbol.clone(), source);
            }
        }
    }

    /// A size that only a run tells.
    pub(super) fn size(&mut self, symbol: &Symbol) -> Option<Py> {
        let Source { value, axis, factor, rest } = self.sizes.get(symbol)?.clone();
        let mut size = self.number_or_tensor(value).attr("shape").index(vec![Py::int(axis as i64)]);
        if rest != Dim::zero() {
            size = Py::binary(size, "-", self.dim(&rest));
        }
        if factor != Dim::constant(1) {
            size = Py::binary(size, "//", self.dim(&factor));
        }
        Some(size)
    }
}
