//! A checkpoint under other names: what a [`NameMap`](super::map::NameMap) makes of it, or the checkpoint itself.

use super::map::Axes;
use super::raw::{Joining, element_count, stored_size};
use super::{Checkpoint, FileError, Raw};
use crate::types::{DType, Tensor};
use std::collections::BTreeMap;

/// How several tensors become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Along a new axis, which gets this position.
    Stack(i64),
    /// Along this axis.
    Concat(i64),
}

/// How a tensor comes out of those of a checkpoint: the sources are transposed, then joined, or the one is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    pub sources: Vec<String>,
    pub axes: Option<Vec<usize>>,
    pub join: Option<Join>,
    /// An axis of the transposed source, and the elements of it that are taken.
    pub part: Option<(usize, usize, usize)>,
}

/// A tensor that is there to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub(super) recipe: Recipe,
}

/// Tensors by name, each with its way out of a checkpoint.
#[derive(Clone, Debug)]
pub struct View {
    pub checkpoint: Checkpoint,
    tensors: BTreeMap<String, Derived>,
}

impl From<Checkpoint> for View {
    fn from(checkpoint: Checkpoint) -> View {
        let own = |name: &str| Recipe { sources: vec![name.to_string()], axes: None, join: None, part: None };
        let derived = |(name, stored): (&str, &super::checkpoint::Stored)| {
            let derived = Derived { dtype: stored.dtype, shape: stored.shape.clone(), recipe: own(name) };
            (name.to_string(), derived)
        };
        let tensors = checkpoint.tensors().map(derived).collect();
        View { checkpoint, tensors }
    }
}

impl View {
    pub(super) fn new(checkpoint: Checkpoint, tensors: BTreeMap<String, Derived>) -> View {
        View { checkpoint, tensors }
    }

    /// Every tensor, by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Derived)> {
        self.tensors.iter().map(|(name, derived)| (name.as_str(), derived))
    }

    pub fn get(&self, name: &str) -> Option<&Derived> {
        self.tensors.get(name)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The elements of a tensor; where it is one of the file as it is, as they lie there.
    pub fn raw(&self, name: &str) -> Result<Raw<'_>, FileError> {
        let absent = || self.checkpoint.error(self.checkpoint.format.code(), format!("holds no tensor {name:?}"));
        let derived = self.tensors.get(name).ok_or_else(absent)?;
        let Recipe { sources, axes, join, part } = &derived.recipe;
        let Some(join) = join else {
            let raw = self.checkpoint.raw(sources.first().ok_or_else(absent)?)?;
            // A part is cut out before its axes change places: that is less to move.
            let raw = match part {
                Some((axis, from, to)) => raw.part(axes.as_ref().map_or(*axis, |axes| axes[*axis]), *from, *to),
                None => raw,
            };
            return Ok(match axes {
                Some(axes) => raw.transposed(axes),
                None => raw,
            });
        };
        let (stacks, axis) = match join {
            Join::Stack(axis) => (true, *axis),
            Join::Concat(axis) => (false, *axis),
        };
        let axis = position(axis, derived.shape.len()).ok_or_else(absent)?;
        let mut joining = Joining::new(derived.dtype, &derived.shape, axis);
        for source in sources {
            let raw = self.checkpoint.raw(source)?;
            let raw = match axes {
                Some(axes) => raw.transposed(axes),
                None => raw,
            };
            joining.add(&raw, if stacks { 1 } else { raw.shape()[axis] });
            self.checkpoint.release(source);
        }
        Ok(joining.finish())
    }

    /// Reads one tensor.
    pub fn tensor(&self, name: &str) -> Result<Tensor, FileError> {
        match self.tensors.get(name).map(|derived| &derived.recipe) {
            Some(Recipe { sources, axes: None, join: None, part: None }) => self.checkpoint.tensor(&sources[0]),
            _ => self.raw(name).map(|raw| raw.decode()),
        }
    }

    /// Says that the elements of a tensor are not needed for a while.
    pub fn release(&self, name: &str) {
        let sources = self.tensors.get(name).map(|derived| &derived.recipe.sources[..]).unwrap_or_default();
        sources.iter().for_each(|source| self.checkpoint.release(source));
    }
}

impl Derived {
    /// The type and shape that a recipe gives, or why it cannot be carried out.
    pub(super) fn of(checkpoint: &Checkpoint, mut recipe: Recipe, transpose: &Option<Axes>) -> Result<Derived, String> {
        let stored = recipe.sources.iter().filter_map(|source| Some((source, checkpoint.get(source)?)));
        let stored: Vec<_> = stored.collect();
        let Some((first, of_first)) = stored.first() else { return Err("has no source".to_string()) };
        for (name, other) in &stored {
            if other.dtype != of_first.dtype {
                let (a, b) = (of_first.dtype, other.dtype);
                return Err(format!("`{first}` is {a} and `{name}` {b}: they cannot be joined"));
            }
        }
        let dtype = of_first.dtype;
        let turn = |shape: &[usize]| transpose.as_ref().map(|transpose| transpose.order(shape.len())).transpose();
        recipe.axes = turn(&of_first.shape)?;
        let turned = |shape: &[usize]| match &recipe.axes {
            Some(axes) if axes.len() == shape.len() => axes.iter().map(|axis| shape[*axis]).collect(),
            _ => shape.to_vec(),
        };
        let mut shape: Vec<usize> = turned(&of_first.shape);
        match recipe.join {
            None => {}
            Some(Join::Stack(axis)) => {
                let axis = position(axis, shape.len() + 1).ok_or_else(|| no_axis(axis, &shape))?;
                if let Some((name, other)) = stored.iter().find(|(_, other)| other.shape != of_first.shape) {
                    let (a, b) = (&of_first.shape, &other.shape);
                    return Err(format!("`{first}` has shape {a:?} and `{name}` {b:?}: they cannot be stacked"));
                }
                shape.insert(axis, stored.len());
            }
            Some(Join::Concat(axis)) => {
                let axis = position(axis, shape.len()).ok_or_else(|| no_axis(axis, &shape))?;
                for (name, other) in &stored[1..] {
                    let mut same = turned(&other.shape);
                    let size = same.get(axis).copied().unwrap_or(0);
                    if let Some(own) = same.get_mut(axis) {
                        *own = shape[axis];
                    }
                    if same != shape {
                        let (a, b) = (&of_first.shape, &other.shape);
                        return Err(format!(
                            "`{first}` has shape {a:?} and `{name}` {b:?}: they cannot be concatenated"
                        ));
                    }
                    shape[axis] = shape[axis].checked_add(size).ok_or("is too large")?;
                }
            }
        }
        // A size of 0 may hide that the others are too large to be counted.
        element_count(&shape, stored_size(dtype)).ok_or_else(|| format!("a shape of {shape:?} is too large"))?;
        Ok(Derived { dtype, shape, recipe })
    }

    /// The parts along an axis: of these sizes, or `count` equal ones.
    pub(super) fn split(&self, axis: i64, count: usize, sizes: Option<&[usize]>) -> Result<Vec<Derived>, String> {
        let axis = position(axis, self.shape.len()).ok_or_else(|| no_axis(axis, &self.shape))?;
        let whole = self.shape[axis];
        let sizes = match sizes {
            Some(sizes) => sizes.to_vec(),
            None if whole.is_multiple_of(count) => vec![whole / count; count],
            None => return Err(format!("axis {axis} of size {whole} has no {count} equal parts")),
        };
        let sum = sizes.iter().try_fold(0usize, |sum, size| sum.checked_add(*size));
        if sum != Some(whole) {
            return Err(format!("the sizes {sizes:?} do not add up to {whole}, the size of axis {axis}"));
        }
        let mut from = 0;
        let part = |size: &usize| {
            let mut shape = self.shape.clone();
            shape[axis] = *size;
            let part = Some((axis, from, from + size));
            from += size;
            Derived { dtype: self.dtype, shape, recipe: Recipe { part, ..self.recipe.clone() } }
        };
        Ok(sizes.iter().map(part).collect())
    }
}

impl Axes {
    /// The permutation for a tensor of this rank.
    fn order(&self, rank: usize) -> Result<Vec<usize>, String> {
        match self {
            Axes::Swap if rank < 2 => Err(format!("a tensor with {rank} dims cannot be transposed")),
            Axes::Swap => Ok((0..rank - 2).chain([rank - 1, rank - 2]).collect()),
            Axes::Order(order) => {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if sorted.into_iter().eq(0..rank) {
                    return Ok(order.clone());
                }
                Err(format!("the axes {order:?} are not those of a tensor with {rank} dims"))
            }
        }
    }
}

fn position(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(rank as i64)? } else { axis };
    usize::try_from(axis).ok().filter(|axis| *axis < rank)
}

fn no_axis(axis: i64, shape: &[usize]) -> String {
    format!("there is no axis {axis} in a tensor of shape {shape:?}")
}
