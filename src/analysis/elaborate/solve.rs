//! Solving the dim variables and packs of a signature from the shapes of arguments.
//!
//! For a parameter `F[B, 2 * n]` and an argument `F[4, 6]` the equations are `B = 4` and `2 * n = 6`.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::signature::Applied;
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::value::Value;
use crate::analysis::world::Walk;
use crate::types::dim::Atom;
use crate::types::{Dim, Pack, Shape, Symbol};
use std::collections::{BTreeMap, BTreeSet};

/// The unknowns of a signature, solved.
#[derive(Default)]
pub(super) struct Solution {
    pub(super) dims: BTreeMap<Symbol, Dim>,
    pub(super) packs: BTreeMap<Symbol, Shape>,
}

impl Solution {
    pub(super) fn dim(&self, dim: &Dim) -> Dim {
        dim.substitute_symbols(&|symbol| self.dims.get(symbol).cloned())
    }

    pub(super) fn shape(&self, shape: &Shape) -> Shape {
        let shape = shape.map_dims(|dim| self.dim(dim));
        match &shape.pack {
            Some((_, Pack::Named(name))) => match self.packs.get(name) {
                Some(dims) => shape.expand_pack(&name.clone(), dims),
                None => shape,
            },
            _ => shape,
        }
    }

    /// The shape as a message shows it: what other arguments have settled is put in, what this one would
    /// choose keeps its name.
    pub(super) fn shape_known(&self, shape: &Shape, settled: &BTreeSet<Symbol>) -> Shape {
        let part = Solution {
            dims: self
                .dims
                .iter()
                .filter(|(name, _)| settled.contains(*name))
                .map(|(n, d)| (n.clone(), d.clone()))
                .collect(),
            packs: self
                .packs
                .iter()
                .filter(|(name, _)| settled.contains(*name))
                .map(|(n, s)| (n.clone(), s.clone()))
                .collect(),
        };
        part.shape(shape)
    }

    pub(super) fn spec<'db>(&self, spec: &TypeSpec<'db>) -> TypeSpec<'db> {
        match spec {
            TypeSpec::Tensor(ty) => TypeSpec::Tensor(ty.with_shape(self.shape(&ty.shape))),
            TypeSpec::Tuple(items) => TypeSpec::Tuple(items.iter().map(|item| self.spec(item)).collect()),
            TypeSpec::List(item) => TypeSpec::List(Box::new(self.spec(item))),
            other => other.clone(),
        }
    }
}

impl<'db> Elaborator<'_, 'db> {
    /// Solves dim variables and packs from the arguments' shapes.
    pub(super) fn solve(&mut self, applied: &Applied<'db>) -> Walk<Solution> {
        let mut solution = Solution::default();
        let mut equations = vec![];
        for (spec, value, _) in &applied.params {
            self.equations(spec, value, &mut solution, &mut equations);
        }
        let unknown = |symbol: &Symbol| applied.declared.iter().any(|d| d.symbol == *symbol);
        loop {
            let mut progress = false;
            equations.retain(|(formal, actual): &(Dim, Dim)| {
                let formal = solution.dim(formal);
                let open: Vec<Symbol> =
                    formal.symbols().into_iter().filter(|s| unknown(s) && !solution.dims.contains_key(s)).collect();
                let [symbol] = open.as_slice() else { return !open.is_empty() };
                match formal.solve(&Atom::Sym(symbol.clone()), actual) {
                    Some(value) => {
                        solution.dims.insert(symbol.clone(), value);
                        progress = true;
                        false
                    }
                    None => true,
                }
            });
            if !progress {
                break;
            }
        }
        for declared in &applied.declared {
            if !declared.is_pack && !solution.dims.contains_key(&declared.symbol) {
                let dim = self.fresh_dim();
                solution.dims.insert(declared.symbol.clone(), dim);
            }
        }
        Ok(solution)
    }

    /// The shape of a tensor that is written as a list: of numbers, of lists, of tensors.
    fn literal_shape(&self, value: &Value<'db>) -> Option<Shape> {
        match value {
            Value::Tensor(tensor) => Some(tensor.ty.shape.clone()),
            Value::Number(_) | Value::Bool(_) => Some(Shape::scalar()),
            Value::List(_) => {
                let items = self.as_items(value)?;
                let inner = self.literal_shape(items.first()?)?;
                let count = Dim::constant(items.len() as i64);
                let pack = inner.pack.map(|(at, pack)| (at + 1, pack));
                Some(Shape { dims: std::iter::once(count).chain(inner.dims).collect(), pack })
            }
            _ => None,
        }
    }

    /// Pairs of formal and actual dims.
    fn equations(
        &mut self,
        spec: &TypeSpec<'db>,
        value: &Value<'db>,
        solution: &mut Solution,
        equations: &mut Vec<(Dim, Dim)>,
    ) {
        match (spec, value) {
            (TypeSpec::Tensor(ty), Value::Tensor(tensor)) => {
                match_shapes(&ty.shape, &tensor.ty.shape, solution, equations);
            }
            (TypeSpec::Tensor(ty), Value::List(_)) => {
                if let Some(shape) = self.literal_shape(value) {
                    match_shapes(&ty.shape, &shape, solution, equations);
                }
            }
            (TypeSpec::Tensor(ty), Value::Number(_) | Value::Bool(_) | Value::None) => {
                // An optional parameter that is not given, or a number: its packs have no dims to say.
                if let Some((_, Pack::Named(name))) = &ty.shape.pack {
                    solution.packs.entry(name.clone()).or_insert_with(Shape::scalar);
                }
            }
            (TypeSpec::Tuple(specs), value) => {
                if let Some(items) = self.as_items(value) {
                    for (spec, item) in specs.iter().zip(&items) {
                        self.equations(spec, item, solution, equations);
                    }
                }
            }
            (TypeSpec::List(inner), value) => {
                for item in self.as_items(value).unwrap_or_default() {
                    self.equations(inner, &item, solution, equations);
                }
            }
            _ => {}
        }
    }
}

fn match_shapes(formal: &Shape, actual: &Shape, solution: &mut Solution, equations: &mut Vec<(Dim, Dim)>) {
    let Some((_, pack)) = &formal.pack else {
        if actual.pack.is_none() && actual.dims.len() == formal.dims.len() {
            equations.extend(formal.dims.iter().cloned().zip(actual.dims.iter().cloned()));
        }
        return;
    };
    let (head, tail) = (formal.head().len(), formal.tail().len());
    let fits = match &actual.pack {
        None => head + tail <= actual.dims.len(),
        Some(_) => head <= actual.head().len() && tail <= actual.tail().len(),
    };
    if !fits {
        return;
    }
    let end = actual.dims.len() - tail;
    equations.extend(formal.head().iter().cloned().zip(actual.dims[..head].iter().cloned()));
    equations.extend(formal.tail().iter().cloned().zip(actual.dims[end..].iter().cloned()));
    let inside = Shape {
        dims: actual.dims[head..end].to_vec(),
        pack: actual.pack.as_ref().map(|(at, pack)| (at - head, pack.clone())),
    };
    if let Pack::Named(name) = pack {
        solution.packs.entry(name.clone()).or_insert(inside);
    }
}
