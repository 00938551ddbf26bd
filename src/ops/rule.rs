//! What a type-and-shape rule sees, and the checks that rules share.

use crate::base::code;
use crate::ops::attr::{Attr, Attrs};
use crate::ops::error::{Hint, Obligation, ObligationKind, OpError, Stop};
use crate::ops::{Op, ParamKind};
use crate::quant::Scheme;
use crate::types::shape::Broadcast;
use crate::types::{Dim, Elem, Facts, Shape, Symbol, TensorType, Verdict};

/// An operand that stands for `count` of them: the elements of a list of open length, which differ in an index
/// that runs from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    pub operand: usize,
    pub index: Symbol,
    pub count: Dim,
}

/// Operand types and attributes of one use of an operation, and what is known about dims.
pub struct RuleCx<'a> {
    pub op: &'static Op,
    pub operands: &'a [TensorType],
    pub attrs: &'a Attrs,
    pub facts: &'a Facts,
    /// Operands that stand for several.
    repeats: &'a [Repeat],
    /// Result types in case the rule cannot go on; see [`RuleCx::expect`].
    fallback: Vec<TensorType>,
    /// What must hold at instantiation.
    pub obligations: Vec<Obligation>,
    /// Sizes that the rule cannot go on without; see [`RuleCx::unknown_size`].
    pub needed: Vec<Dim>,
    /// A dim that broadcasting has put on two axes, each from one operand of another rank; see
    /// [`Shape::crossed`].
    pub crossed: Option<Dim>,
    /// Makes fresh `?` dims.
    fresh: &'a mut dyn FnMut() -> Dim,
}

impl<'a> RuleCx<'a> {
    pub fn new(
        op: &'static Op,
        operands: &'a [TensorType],
        attrs: &'a Attrs,
        facts: &'a Facts,
        fresh: &'a mut dyn FnMut() -> Dim,
    ) -> Self {
        let (fallback, obligations, needed) = (vec![], vec![], vec![]);
        RuleCx { op, operands, attrs, facts, repeats: &[], fallback, obligations, needed, crossed: None, fresh }
    }

    pub fn with_repeats(self, repeats: &'a [Repeat]) -> Self {
        RuleCx { repeats, ..self }
    }

    pub fn repeat(&self, operand: usize) -> Option<&'a Repeat> {
        self.repeats.iter().find(|repeat| repeat.operand == operand)
    }

    /// States what the results are in case a rank or an attribute turns out not to be known. Call this
    /// as soon as the element types are clear, with shapes as far as they are.
    pub fn expect(&mut self, results: Vec<TensorType>) {
        self.fallback = results;
    }

    /// Stops with the expected results.
    pub fn unknown(&self) -> Stop {
        Stop::Unknown(self.fallback.clone())
    }

    /// The same, since a size is no number yet. Numbers among the attributes are asked for anyway.
    pub fn unknown_size(&mut self, size: &Dim) -> Stop {
        self.needed.push(size.clone());
        self.unknown()
    }

    pub fn fresh_dim(&mut self) -> Dim {
        (self.fresh)()
    }

    pub fn operand(&self, index: usize) -> &'a TensorType {
        &self.operands[index]
    }

    /// The operand of the op's optional tensor parameter, with its index.
    pub fn optional(&self) -> Option<(usize, &'a TensorType)> {
        let required = self.op.params.iter().filter(|p| p.kind == ParamKind::Tensor).count();
        self.operands.get(required).map(|ty| (required, ty))
    }

    /// A host int, symbolic or not.
    pub fn dim(&self, name: &str) -> Result<Dim, Stop> {
        match self.attrs.get(name) {
            Some(Attr::Int(dim)) => Ok(dim.clone()),
            _ => Err(self.unknown()),
        }
    }

    /// A host int that must be known now.
    pub fn int(&self, name: &str) -> Result<i64, Stop> {
        let dim = self.dim(name)?;
        dim.as_const().or_else(|| self.facts.normal(&dim).as_const()).ok_or_else(|| self.unknown())
    }

    /// `count` symbolic ints; one stands for all.
    pub fn spatial(&self, name: &str, count: usize) -> Result<Vec<Dim>, Stop> {
        let values = match self.attrs.get(name) {
            Some(Attr::Int(dim)) => vec![dim.clone(); count],
            Some(Attr::Ints(dims)) if dims.len() == 1 => vec![dims[0].clone(); count],
            Some(Attr::Ints(dims)) => dims.clone(),
            _ => return Err(self.unknown()),
        };
        if values.len() != count {
            let message = format!("`{}` takes {count} values for `{name}`, or one for all", self.op.name);
            return Err(OpError::new(code::E0304, message).into());
        }
        Ok(values)
    }

    pub fn bool(&self, name: &str) -> Result<bool, Stop> {
        self.attrs.bool(name).ok_or_else(|| self.unknown())
    }

    /// A flag, which is off where it is left out.
    pub fn flag(&self, name: &str) -> Result<bool, Stop> {
        if self.attrs.get(name).is_none() { Ok(false) } else { self.bool(name) }
    }

    pub fn str(&self, name: &str) -> Result<&'a str, Stop> {
        self.attrs.str(name).ok_or_else(|| self.unknown())
    }

    pub fn elem(&self, name: &str) -> Result<Elem, Stop> {
        match self.attrs.get(name) {
            Some(Attr::DType(elem)) => Ok(elem.clone()),
            _ => Err(self.unknown()),
        }
    }

    pub fn scheme(&self, name: &str) -> Result<&'a Scheme, Stop> {
        self.attrs.scheme(name).ok_or_else(|| self.unknown())
    }

    /// A shape attribute, packs allowed.
    pub fn shape(&self, name: &str) -> Result<Shape, Stop> {
        match self.attrs.get(name) {
            Some(Attr::Shape(shape)) => Ok(shape.clone()),
            Some(Attr::Ints(dims)) => Ok(Shape::new(dims.clone())),
            Some(Attr::Int(dim)) => Ok(Shape::new(vec![dim.clone()])),
            _ => Err(self.unknown()),
        }
    }

    /// Index of an axis among the dims of `shape`.
    pub fn axis_of(&self, axis: i64, shape: &Shape, operand: usize) -> Result<usize, Stop> {
        shape.axis(axis).map_err(|rank| match rank {
            None => self.unknown(),
            Some(rank) => {
                let range = match rank {
                    0 => "it is a scalar".to_string(),
                    _ => format!("use -{rank} to {}", rank - 1),
                };
                let message = format!("axis {axis} is out of range for shape [{shape}] of rank {rank}");
                OpError::new(code::E0305, message).label(operand, format!("[{shape}]")).note(range).into()
            }
        })
    }

    /// An axis attribute, resolved.
    pub fn axis(&self, name: &str, operand: usize) -> Result<usize, Stop> {
        let axis = self.int(name)?;
        self.axis_of(axis, &self.operands[operand].shape, operand)
    }

    /// An axes attribute, resolved and sorted; `None` when all axes are meant.
    pub fn axes(&self, name: &str, operand: usize) -> Result<Option<Vec<usize>>, Stop> {
        let values = match self.attrs.get(name) {
            None | Some(Attr::None) => return Ok(None),
            Some(Attr::Int(dim)) => vec![dim.clone()],
            Some(Attr::Ints(dims)) => dims.clone(),
            _ => return Err(self.unknown()),
        };
        let mut axes = vec![];
        for value in values {
            let value = self.facts.normal(&value).as_const().ok_or_else(|| self.unknown())?;
            let axis = self.axis_of(value, &self.operands[operand].shape, operand)?;
            if axes.contains(&axis) {
                return Err(OpError::new(code::E0305, format!("axis {value} is given twice")).into());
            }
            axes.push(axis);
        }
        axes.sort_unstable();
        Ok(Some(axes))
    }

    /// The rank of an operand, which must be known to go on.
    pub fn rank(&self, operand: usize) -> Result<usize, Stop> {
        self.operands[operand].shape.rank().ok_or_else(|| self.unknown())
    }

    /// Fails unless the operand has this rank.
    pub fn require_rank(&self, operand: usize, rank: usize, what: &str) -> Result<(), Stop> {
        let shape = &self.operands[operand].shape;
        match shape.rank() {
            None => Err(self.unknown()),
            Some(found) if found == rank => Ok(()),
            Some(found) => {
                let message = format!("`{}` takes {what}, but this has rank {found}", self.op.name);
                Err(OpError::new(code::E0304, message).label(operand, format!("shape [{shape}]")).into())
            }
        }
    }

    /// Requires two dims to agree; what cannot be decided yet becomes an obligation.
    pub fn require_equal(&mut self, a: &Dim, b: &Dim, error: impl FnOnce() -> OpError) -> Result<(), Stop> {
        match self.facts.compare(a, b) {
            Verdict::Equal => Ok(()),
            Verdict::Differ => Err(error().between(a, b).into()),
            Verdict::Unknown => {
                self.obligations.push(error().unless(ObligationKind::Equal(a.clone(), b.clone())));
                Ok(())
            }
        }
    }

    /// Requires `a >= b`: an error if it never holds, an obligation if that is not known.
    pub fn require_at_least(&mut self, a: &Dim, b: &Dim, error: impl FnOnce() -> OpError) -> Result<(), Stop> {
        match self.facts.at_least(a, b) {
            Some(true) => Ok(()),
            Some(false) => Err(error().dims(&[a, b]).into()),
            None => {
                self.obligations.push(error().unless(ObligationKind::AtLeast(a.clone(), b.clone())));
                Ok(())
            }
        }
    }

    /// Broadcasts two operands' shapes.
    pub fn broadcast(&mut self, left: usize, right: usize) -> Result<Shape, Stop> {
        let (a, b) = (&self.operands[left].shape, &self.operands[right].shape);
        self.broadcast_shapes(a, left, b, right)
    }

    /// Broadcasts two shapes that belong to these operands.
    pub fn broadcast_shapes(&mut self, a: &Shape, left: usize, b: &Shape, right: usize) -> Result<Shape, Stop> {
        match a.broadcast(b, self.facts) {
            Broadcast::Shape(shape) => {
                self.crossed = self.crossed.take().or_else(|| a.crossed(b, self.facts));
                Ok(shape)
            }
            Broadcast::Unproved(shape, pairs) => {
                for (x, y) in pairs {
                    let message = format!("shapes [{a}] and [{b}] do not broadcast");
                    self.obligations.push(OpError::new(code::E0302, message).unless(ObligationKind::Broadcast(x, y)));
                }
                Ok(shape)
            }
            Broadcast::Clash { left: x, right: y, from_end } => {
                let place = if from_end == 1 { String::new() } else { format!(" at axis -{from_end}") };
                let which = if from_end == 1 { "last dims" } else { "dims" };
                let message = format!("shapes [{a}] and [{b}] do not broadcast: {which} {x} and {y}{place} differ");
                let error = OpError::new(code::E0302, message)
                    .label(left, format!("[{a}]"))
                    .label(right, format!("[{b}]"))
                    .dims(&[&x, &y])
                    .note("dims broadcast when they are equal or one of them is 1");
                Err(error.into())
            }
        }
    }

    /// The common element type of operands `left` and `right`.
    pub fn same_elem(&self, left: usize, right: usize) -> Result<Elem, Stop> {
        let (a, b) = (&self.operands[left].elem, &self.operands[right].elem);
        if a == b {
            return Ok(a.clone());
        }
        let message = format!("`{}` needs one element type, but these are {a} and {b}", self.op.name);
        let mut error = OpError::new(code::E0202, message)
            .label(left, a.to_string())
            .label(right, b.to_string())
            .note("there is no silent promotion: convert one of them");
        // Converting the narrower float is what is usually meant.
        if let (Some(x), Some(y)) = (a.known(), b.known()) {
            let left_is_narrower = !x.is_float() && y.is_float() || x.is_float() == y.is_float() && x.bits() < y.bits();
            error = error.hint(if left_is_narrower { Hint::Cast(left, y) } else { Hint::Cast(right, x) });
        }
        Err(error.into())
    }

    /// Fails unless `accept` holds for the operand's element type; `what` names what is taken.
    pub fn require_elem(&self, operand: usize, accept: fn(&Elem) -> bool, what: &str) -> Result<(), Stop> {
        let elem = &self.operands[operand].elem;
        if accept(elem) {
            return Ok(());
        }
        let message = format!("`{}` takes {what}, not {elem}", self.op.name);
        Err(OpError::new(code::E0209, message).label(operand, self.operands[operand].to_string()).into())
    }
}
