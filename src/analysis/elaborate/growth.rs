//! Dims that a loop changes, solved as expressions in its index.
//!
//! In `for layer in layers { y = concat([y, layer(y)], axis=1) }` the second dim of `y` grows by the same
//! amount each turn. The body is walked once with `?` for the dims of what it carries, which shows the step;
//! from it follows `d + i * step` (or `d * factor ** i`; a step may depend on i), with which the body is walked again as a proof. A dim
//! that each turn sets anew to `g(i)` is `g(i - 1)` before it, if that is what it is before the first.

use crate::analysis::elaborate::loops::{Counted, Turn};
use crate::analysis::elaborate::{Binding, Elaborator};
use crate::analysis::value::{TensorValue, Value};
use crate::analysis::world::{Abort, Walk};
use crate::base::Span;
use crate::types::dim::Atom;
use crate::types::{Dim, TensorType, Verdict};

/// A dim before the turn with the loop's index.
enum Growth {
    Constant,
    /// Added each turn; over the index of that turn.
    Step(Dim),
    /// Multiplied each turn.
    Factor(Dim),
    /// Set by each turn, over the index of that turn: `dims[i + 1]`.
    Set(Dim),
    Unsolved,
}

impl<'w, 'db> Elaborator<'w, 'db> {
    /// Walks a loop whose carried tensors change their shape. `false` if nothing could be found out: then
    /// nothing was changed either.
    pub fn grown(
        &mut self,
        counted: &Counted<'db>,
        names: &[String],
        span: Span,
        walk: &mut Turn<'_, 'w, 'db>,
    ) -> Walk<bool> {
        let snapshot = self.snapshot();
        let before: Vec<TensorType> = self.carried(names, span)?.into_iter().map(|t| t.ty).collect();
        let open: Vec<TensorType> = before.iter().map(|ty| ty.with_shape(ty.shape.map_dims(|_| Dim::zero()))).collect();
        let open: Vec<TensorType> = open.into_iter().map(|ty| self.with_fresh_dims(ty)).collect();
        let after = self.turn(counted, names, &open, span, walk);
        self.restore(snapshot);
        let after = match after {
            Ok(after) => after,
            Err(Abort::Reported) => return Ok(false),
            Err(demand) => return Err(demand),
        };
        let same_form = |(a, b): (&TensorType, &TensorType)| {
            a.elem == b.elem && a.shape.dims.len() == b.shape.dims.len() && a.shape.pack == b.shape.pack
        };
        if !open.iter().zip(&after).all(same_form) {
            return Ok(false);
        }
        let mut growths: Vec<Vec<Growth>> = vec![];
        for (open, after) in open.iter().zip(&after) {
            let pairs = open.shape.dims.iter().zip(&after.shape.dims);
            growths.push(pairs.map(|(open, after)| self.growth(counted, open, after)).collect());
        }
        for (growth, dim) in growths.iter_mut().flatten().zip(before.iter().flat_map(|ty| &ty.shape.dims)) {
            if let Growth::Set(set) = growth
                && !self.facts.equal(&turn_before(counted, set, &counted.start), dim)
            {
                *growth = Growth::Unsolved;
            }
        }
        if growths.iter().flatten().all(|growth| matches!(growth, Growth::Constant)) {
            return Ok(false);
        }
        let index = Dim::symbol(counted.index.as_str());
        let now = self.types_at(&before, &growths, counted, &index);
        let next = self.types_at(&before, &growths, counted, &index.add(&Dim::constant(1)));
        let snapshot = self.snapshot();
        let after = self.turn(counted, names, &now, span, walk)?;
        let reports = self.reports.split_off(snapshot.reports);
        self.restore(snapshot);
        self.reports.extend(reports);
        let proved = after.iter().zip(&next).all(|(a, b)| a.shape.compare(&b.shape, &self.facts) != Verdict::Differ);
        if !proved {
            return Ok(false);
        }
        let last = self.types_at(&before, &growths, counted, &counted.stop);
        for (name, ty) in names.iter().zip(last) {
            self.retype(name, ty);
        }
        Ok(true)
    }

    /// One turn with these types before it; gives those after it.
    fn turn(
        &mut self,
        counted: &Counted<'db>,
        names: &[String],
        types: &[TensorType],
        span: Span,
        walk: &mut Turn<'_, 'w, 'db>,
    ) -> Walk<Vec<TensorType>> {
        for (name, ty) in names.iter().zip(types) {
            self.retype(name, ty.clone());
        }
        self.in_range((&counted.index, &counted.start, &counted.stop), false, |inner| walk(inner))?;
        Ok(self.carried(names, span)?.into_iter().map(|t| t.ty).collect())
    }

    fn retype(&mut self, name: &str, ty: TensorType) {
        let value = match self.local(name) {
            Some(Binding::Value(Value::Tensor(tensor))) => tensor.value,
            _ => crate::analysis::value::ValueRef(u32::MAX),
        };
        self.assign_local(name, Value::Tensor(TensorValue { ty, value }));
    }

    fn with_fresh_dims(&mut self, ty: TensorType) -> TensorType {
        let mut shape = ty.shape.clone();
        for dim in &mut shape.dims {
            *dim = self.fresh_dim();
        }
        ty.with_shape(shape)
    }

    fn growth(&self, counted: &Counted<'db>, open: &Dim, after: &Dim) -> Growth {
        let step = self.facts.normal(&after.sub(open));
        if step == Dim::zero() {
            return Growth::Constant;
        }
        let fixed = |dim: &Dim| !dim.has_unknown() && !dim.symbols().contains(&counted.index);
        if !step.has_unknown() && step.sum_over(&counted.index, &counted.start, &counted.stop).is_some() {
            return Growth::Step(step);
        }
        let at = |value: i64| {
            after.substitute(&|atom: &Atom| (Dim::atom(atom.clone()) == *open).then(|| Dim::constant(value)))
        };
        let factor = at(1);
        if at(0) == Dim::zero() && fixed(&factor) && factor.mul(open) == *after {
            return Growth::Factor(factor);
        }
        if !after.has_unknown() {
            return Growth::Set(after.clone());
        }
        Growth::Unsolved
    }

    fn types_at(
        &mut self,
        before: &[TensorType],
        growths: &[Vec<Growth>],
        counted: &Counted<'db>,
        index: &Dim,
    ) -> Vec<TensorType> {
        let turns = index.sub(&counted.start);
        let added = |step: &Dim| step.sum_over(&counted.index, &counted.start, index);
        let mut types = vec![];
        for (ty, growths) in before.iter().zip(growths) {
            let mut shape = ty.shape.clone();
            for (dim, growth) in shape.dims.iter_mut().zip(growths) {
                *dim = match growth {
                    Growth::Constant => dim.clone(),
                    Growth::Step(step) => match added(step) {
                        Some(sum) => dim.add(&sum),
                        None => self.fresh_dim(),
                    },
                    Growth::Factor(factor) => match factor.pow(&turns) {
                        Some(power) => dim.mul(&power),
                        None => self.fresh_dim(),
                    },
                    Growth::Set(set) => turn_before(counted, set, index),
                    Growth::Unsolved => self.fresh_dim(),
                };
            }
            types.push(ty.with_shape(shape));
        }
        types
    }
}

/// What the turn before the one with this index sets.
fn turn_before(counted: &Counted<'_>, set: &Dim, index: &Dim) -> Dim {
    let before = index.sub(&Dim::constant(1));
    set.substitute_symbols(&|symbol| (*symbol == counted.index).then(|| before.clone()))
}
