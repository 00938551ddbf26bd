//! Shapes: dims, with at most one pack of unknown length among them.

use crate::types::dim::{Dim, Symbol};
use crate::types::dtype::{DType, Elem};
use crate::types::facts::{Facts, Verdict};
use std::fmt;

/// A run of dims whose number is not known here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pack {
    /// `...S`; an anonymous `...` of a parameter is one too, under a hidden name.
    Named(Symbol),
    /// Dims about which nothing is known (`float32[...]` as a result, rank-changing ops on packs).
    Unknown,
}

/// `[dims[..at], pack, dims[at..]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape {
    pub dims: Vec<Dim>,
    /// Where the pack stands among `dims`, and which one it is.
    pub pack: Option<(usize, Pack)>,
}

impl Shape {
    pub fn new(dims: Vec<Dim>) -> Shape {
        Shape { dims, pack: None }
    }

    pub fn scalar() -> Shape {
        Shape::default()
    }

    pub fn of(sizes: &[usize]) -> Shape {
        Shape::new(sizes.iter().map(|&n| Dim::constant(n as i64)).collect())
    }

    /// Any rank, any dims.
    pub fn unknown() -> Shape {
        Shape { dims: vec![], pack: Some((0, Pack::Unknown)) }
    }

    pub fn with_pack(head: Vec<Dim>, pack: Pack, tail: Vec<Dim>) -> Shape {
        let at = head.len();
        let mut dims = head;
        dims.extend(tail);
        Shape { dims, pack: Some((at, pack)) }
    }

    /// The number of dims; `None` with a pack.
    pub fn rank(&self) -> Option<usize> {
        self.pack.is_none().then_some(self.dims.len())
    }

    pub fn known(&self) -> Option<&[Dim]> {
        self.pack.is_none().then_some(self.dims.as_slice())
    }

    pub fn is_unknown(&self) -> bool {
        matches!(self.pack, Some((_, Pack::Unknown)))
    }

    /// Neither a pack of unknown dims nor a `?`.
    pub fn is_determined(&self) -> bool {
        !self.is_unknown() && !self.dims.iter().any(Dim::has_unknown)
    }

    /// Dims before the pack (all of them without one).
    pub fn head(&self) -> &[Dim] {
        &self.dims[..self.pack.as_ref().map_or(self.dims.len(), |(at, _)| *at)]
    }

    /// Dims after the pack (all of them without one).
    pub fn tail(&self) -> &[Dim] {
        &self.dims[self.pack.as_ref().map_or(0, |(at, _)| *at)..]
    }

    /// Index into `dims` of an axis, negative ones from the end. `Err(None)` if the pack hides it,
    /// `Err(Some(rank))` if it is out of range.
    pub fn axis(&self, axis: i64) -> Result<usize, Option<usize>> {
        let len = self.dims.len() as i64;
        match &self.pack {
            None if axis < -len || axis >= len => Err(Some(self.dims.len())),
            None => Ok(if axis < 0 { (axis + len) as usize } else { axis as usize }),
            Some((at, _)) => {
                let tail = len - *at as i64;
                if axis >= 0 && axis < *at as i64 {
                    Ok(axis as usize)
                } else if axis < 0 && -axis <= tail {
                    Ok((len + axis) as usize)
                } else {
                    Err(None)
                }
            }
        }
    }

    /// Replaces the dim at an index of `dims`.
    pub fn with_dim(&self, index: usize, dim: Dim) -> Shape {
        let mut shape = self.clone();
        shape.dims[index] = dim;
        shape
    }

    /// Removes the dim at an index of `dims`.
    pub fn without_dim(&self, index: usize) -> Shape {
        let mut shape = self.clone();
        shape.dims.remove(index);
        if let Some((at, _)) = &mut shape.pack
            && index < *at
        {
            *at -= 1;
        }
        shape
    }

    /// Inserts a dim before an index of `dims`; at the pack's place it goes before the pack.
    pub fn insert_dim(&self, index: usize, dim: Dim) -> Shape {
        let mut shape = self.clone();
        shape.dims.insert(index, dim);
        if let Some((at, _)) = &mut shape.pack
            && index <= *at
        {
            *at += 1;
        }
        shape
    }

    /// The product of all dims, if the rank is known.
    pub fn elements(&self) -> Option<Dim> {
        Some(self.known()?.iter().fold(Dim::constant(1), |product, dim| product.mul(dim)))
    }

    pub fn map_dims(&self, f: impl Fn(&Dim) -> Dim) -> Shape {
        Shape { dims: self.dims.iter().map(f).collect(), pack: self.pack.clone() }
    }

    /// Puts `dims` in the place of the named pack.
    pub fn expand_pack(&self, name: &Symbol, replacement: &Shape) -> Shape {
        match &self.pack {
            Some((at, Pack::Named(own))) if own == name => {
                let mut dims = self.dims[..*at].to_vec();
                dims.extend(replacement.dims.iter().cloned());
                dims.extend(self.dims[*at..].iter().cloned());
                let pack = replacement.pack.as_ref().map(|(inner, pack)| (at + inner, pack.clone()));
                Shape { dims, pack }
            }
            _ => self.clone(),
        }
    }

    /// Whether the two are the same shape.
    pub fn compare(&self, other: &Shape, facts: &Facts) -> Verdict {
        if self.is_unknown() || other.is_unknown() {
            let tails = self.tail().iter().rev().zip(other.tail().iter().rev());
            let heads = self.head().iter().zip(other.head());
            // A known shape's head and tail are all its dims: compare only what both must have.
            let enough = |known: &Shape, open: &Shape| known.pack.is_some() || known.dims.len() >= open.dims.len();
            if !enough(self, other) || !enough(other, self) {
                return Verdict::Differ;
            }
            let differ = tails.chain(heads).any(|(a, b)| facts.compare(a, b) == Verdict::Differ);
            return if differ { Verdict::Differ } else { Verdict::Unknown };
        }
        if self.dims.len() != other.dims.len() || self.pack != other.pack {
            return Verdict::Differ;
        }
        let mut verdict = Verdict::Equal;
        for (a, b) in self.dims.iter().zip(&other.dims) {
            match facts.compare(a, b) {
                Verdict::Equal => {}
                Verdict::Differ => return Verdict::Differ,
                Verdict::Unknown => verdict = Verdict::Unknown,
            }
        }
        verdict
    }
}

/// What came of broadcasting two shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broadcast {
    Shape(Shape),
    /// The result, where agreement of some dims (`?`) or of packs is left for instantiation.
    Unproved(Shape, Vec<(Dim, Dim)>),
    /// These two dims are neither equal nor 1, at this distance from the end (1 = last).
    Clash {
        left: Dim,
        right: Dim,
        from_end: usize,
    },
}

impl Shape {
    /// NumPy's broadcasting, on symbols.
    pub fn broadcast(&self, other: &Shape, facts: &Facts) -> Broadcast {
        let (left, right) = (self.tail(), other.tail());
        let same_pack = match (&self.pack, &other.pack) {
            (None, None) => true,
            (Some((_, a)), Some((_, b))) => a == b && *a != Pack::Unknown && left.len() == right.len(),
            _ => false,
        };
        let mut unproved = vec![];
        let tail = match broadcast_dims(left, right, facts, &mut unproved) {
            Ok(dims) => dims,
            Err(clash) => return clash,
        };
        if same_pack {
            let pack = self.pack.as_ref().map(|(_, pack)| pack.clone());
            let shape = match pack {
                None => Shape::new(tail),
                Some(pack) => match broadcast_dims(self.head(), other.head(), facts, &mut unproved) {
                    Ok(head) => Shape::with_pack(head, pack, tail),
                    Err(clash) => return clash,
                },
            };
            return finish(shape, unproved);
        }
        // One side without a pack that fits in the other's tail keeps the other's pack and head.
        for (packed, plain) in [(self, other), (other, self)] {
            if packed.pack.is_some() && plain.pack.is_none() && plain.dims.len() <= packed.tail().len() {
                let (_, pack) = packed.pack.clone().unwrap_or((0, Pack::Unknown));
                return finish(Shape::with_pack(packed.head().to_vec(), pack, tail), unproved);
            }
        }
        let common = left.len().min(right.len());
        let kept = tail[tail.len() - common..].to_vec();
        Broadcast::Unproved(Shape::with_pack(vec![], Pack::Unknown, kept), unproved)
    }
}

impl Shape {
    /// The dim that stands on two axes of what two shapes of different rank broadcast to, though neither has
    /// it twice: B for [B, 1] and [B], which give [B, B]. Seldom is such a table of all pairs meant.
    pub fn crossed(&self, other: &Shape, facts: &Facts) -> Option<Dim> {
        let (Some(a), Some(b)) = (self.known(), other.known()) else { return None };
        let (long, short) = if a.len() > b.len() { (a, b) } else { (b, a) };
        let ahead = long.len() - short.len();
        if ahead == 0 {
            return None;
        }
        let is = |dim: &Dim, wanted: &Dim| facts.equal(dim, wanted);
        let stretched = |axis: usize| facts.normal(&long[axis]).is_const(1);
        // An axis that only the longer has, and one on which only the shorter is wide.
        let alone = (0..ahead).map(|axis| &long[axis]).filter(|dim| dim.as_const().is_none());
        let crossed = alone.clone().find(|dim| {
            let across = (0..short.len()).any(|axis| is(&short[axis], dim) && stretched(ahead + axis));
            let once = |dims: &[Dim]| dims.iter().filter(|own| is(own, dim)).count() == 1;
            across && once(long) && once(short)
        });
        crossed.cloned()
    }
}

fn finish(shape: Shape, unproved: Vec<(Dim, Dim)>) -> Broadcast {
    if unproved.is_empty() { Broadcast::Shape(shape) } else { Broadcast::Unproved(shape, unproved) }
}

fn broadcast_dims(
    left: &[Dim],
    right: &[Dim],
    facts: &Facts,
    unproved: &mut Vec<(Dim, Dim)>,
) -> Result<Vec<Dim>, Broadcast> {
    let rank = left.len().max(right.len());
    let mut dims = Vec::with_capacity(rank);
    for from_end in (1..=rank).rev() {
        let a = left.len().checked_sub(from_end).map(|i| &left[i]);
        let b = right.len().checked_sub(from_end).map(|i| &right[i]);
        dims.push(match (a, b) {
            (Some(a), Some(b)) => match facts.compare(a, b) {
                Verdict::Equal => a.clone(),
                _ if facts.normal(a).is_const(1) => b.clone(),
                _ if facts.normal(b).is_const(1) => a.clone(),
                Verdict::Unknown => {
                    unproved.push((a.clone(), b.clone()));
                    let is_open = |dim: &Dim| dim.has_unknown() || facts.is_open_dim(dim);
                    if is_open(a) { b.clone() } else { a.clone() }
                }
                Verdict::Differ => {
                    return Err(Broadcast::Clash { left: a.clone(), right: b.clone(), from_end });
                }
            },
            (Some(dim), None) | (None, Some(dim)) => dim.clone(),
            (None, None) => continue,
        });
    }
    Ok(dims)
}

/// `B, T, dim`, the inside of the brackets.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.dims.iter().map(Dim::to_string).collect();
        if let Some((at, pack)) = &self.pack {
            let text = match pack {
                Pack::Named(name) if !name.as_str().contains('\'') => format!("...{name}"),
                Pack::Named(_) | Pack::Unknown => "...".to_string(),
            };
            parts.insert(*at, text);
        }
        f.write_str(&parts.join(", "))
    }
}

/// Element type and shape: the type of a tensor value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    pub elem: Elem,
    pub shape: Shape,
}

impl TensorType {
    pub fn new(elem: impl Into<Elem>, shape: Shape) -> TensorType {
        TensorType { elem: elem.into(), shape }
    }

    pub fn scalar(elem: impl Into<Elem>) -> TensorType {
        TensorType::new(elem, Shape::scalar())
    }

    pub fn dtype(&self) -> Option<DType> {
        self.elem.known()
    }

    pub fn with_shape(&self, shape: Shape) -> TensorType {
        TensorType { elem: self.elem.clone(), shape }
    }

    pub fn with_elem(&self, elem: impl Into<Elem>) -> TensorType {
        TensorType { elem: elem.into(), shape: self.shape.clone() }
    }
}

/// `float32[B, T]`; a scalar is its element type alone.
impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shape.rank() == Some(0) { self.elem.fmt(f) } else { write!(f, "{}[{}]", self.elem, self.shape) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(dims: &[&str]) -> Shape {
        Shape::new(dims.iter().map(|d| d.parse().map_or_else(|_| Dim::symbol(d), Dim::constant)).collect())
    }

    #[test]
    fn broadcasting_follows_numpy() {
        let facts = Facts::default();
        let got = shape(&["B", "1", "dim"]).broadcast(&shape(&["T", "dim"]), &facts);
        assert_eq!(got, Broadcast::Shape(shape(&["B", "T", "dim"])));
        let clash = shape(&["B", "T"]).broadcast(&shape(&["B"]), &facts);
        assert_eq!(clash, Broadcast::Clash { left: Dim::symbol("T"), right: Dim::symbol("B"), from_end: 1 });
    }

    #[test]
    fn packs_broadcast_with_themselves_and_with_what_fits_their_tail() {
        let facts = Facts::default();
        let pack = |tail: &[&str]| Shape::with_pack(vec![], Pack::Named(Symbol::new("S")), shape(tail).dims);
        assert_eq!(pack(&["n"]).broadcast(&pack(&["1"]), &facts), Broadcast::Shape(pack(&["n"])));
        assert_eq!(pack(&["n"]).broadcast(&shape(&["n"]), &facts), Broadcast::Shape(pack(&["n"])));
        assert_eq!(pack(&["n"]).broadcast(&Shape::scalar(), &facts), Broadcast::Shape(pack(&["n"])));
    }

    #[test]
    fn a_dim_from_two_sides_is_crossed() {
        let facts = Facts::default();
        let crossed = |a: &[&str], b: &[&str]| shape(a).crossed(&shape(b), &facts).map(|dim| dim.to_string());
        assert_eq!(crossed(&["B", "1"], &["B"]), Some("B".into()));
        assert_eq!(crossed(&["B"], &["B", "1"]), Some("B".into()));
        assert_eq!(crossed(&["N", "1"], &["M"]), None);
        assert_eq!(crossed(&["B", "1"], &["1", "B"]), None);
        assert_eq!(crossed(&["B", "B"], &["B"]), None);
        assert_eq!(crossed(&["3", "1"], &["3"]), None);
        assert_eq!(crossed(&["B", "T", "D"], &["D"]), None);
    }

    #[test]
    fn axes_count_from_both_ends() {
        let packed = Shape::with_pack(vec![Dim::symbol("B")], Pack::Named(Symbol::new("S")), shape(&["n"]).dims);
        assert_eq!(packed.axis(-1), Ok(1));
        assert_eq!(packed.axis(0), Ok(0));
        assert_eq!(packed.axis(1), Err(None));
        assert_eq!(shape(&["a"]).axis(1), Err(Some(1)));
    }
}
