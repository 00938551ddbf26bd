//! What can be named at a place of a program, and what is known there.

use super::draw::Draw;
use super::ranges::Range;
use super::tree::{Expr, Function, Member, Param, Statement};
use std::collections::BTreeMap;
use tritonc::ops::{Attrs, Obligation, ObligationKind, OpId, RuleCx};
use tritonc::types::{DType, Dim, Facts, Symbol, TensorType};

/// No tensor has more elements.
const MOST_ELEMENTS: i64 = 1500;
const MOST_AXES: usize = 5;

/// A tensor at hand.
#[derive(Clone, Debug)]
pub struct Var {
    pub expr: Expr,
    pub ty: TensorType,
    pub range: Range,
}

/// A body that is being written.
pub struct Scope {
    pub vars: Vec<Var>,
    pub body: Vec<Statement>,
    pub facts: Facts,
    /// A value of each symbol with which everything has been tried.
    pub sizes: BTreeMap<Symbol, i64>,
    /// Parameters that the body came to need; the caller gives them.
    pub wanted: Vec<(Param, TensorType, Range)>,
    /// In a method: the members of its layer.
    pub members: Option<Vec<Member>>,
    /// Methods beside the one that is written.
    pub methods: Vec<Function>,
    /// What the signature states of sizes that are not of the layer.
    pub stated: Vec<String>,
    /// Host numbers in Tri, each as a float, with their values.
    pub numbers: Vec<(String, f64)>,
    /// Host bools.
    pub flags: Vec<String>,
    /// Blocks around this place.
    pub depth: usize,
}

impl Scope {
    pub fn new(members: Option<Vec<Member>>) -> Scope {
        Scope {
            vars: vec![],
            body: vec![],
            facts: Facts::default(),
            sizes: BTreeMap::new(),
            wanted: vec![],
            members,
            methods: vec![],
            stated: vec![],
            numbers: vec![],
            flags: vec![],
            depth: 0,
        }
    }

    pub fn add_symbol(&mut self, name: &str, size: i64) -> Dim {
        let symbol = Symbol::new(name);
        self.facts.assume_positive(&symbol);
        self.sizes.insert(symbol, size);
        Dim::symbol(name)
    }

    /// The value of a dim where it is tried.
    pub fn size(&self, dim: &Dim) -> Option<i64> {
        dim.eval(&|symbol| self.sizes.get(symbol).copied())
    }

    pub fn elements(&self, ty: &TensorType) -> Option<i64> {
        ty.shape.known()?.iter().try_fold(1i64, |product, dim| product.checked_mul(self.size(dim)?))
    }

    /// Whether a type may be that of a value here.
    pub fn fits(&self, ty: &TensorType) -> bool {
        let sizes_are_fine = ty.shape.known().is_some_and(|dims| {
            dims.len() <= MOST_AXES && dims.iter().all(|dim| self.size(dim).is_some_and(|size| size >= 1))
        });
        sizes_are_fine && self.elements(ty).is_some_and(|count| count <= MOST_ELEMENTS)
    }

    /// The result types of an operation, if it may be applied here.
    pub fn apply(&self, op: OpId, operands: &[TensorType], attrs: &Attrs) -> Option<Vec<TensorType>> {
        let (op, mut next) = (op.get(), 0);
        let mut fresh = || {
            next += 1;
            Dim::unknown(next)
        };
        let attrs = op.with_defaults(attrs);
        let mut cx = RuleCx::new(op, operands, &attrs, &self.facts, &mut fresh);
        let results = (op.rule)(&mut cx).ok()?;
        let crossed = cx.crossed.is_some();
        let holds = cx.obligations.iter().all(|obligation| self.holds(obligation));
        let known = results.iter().all(|ty| ty.dtype().is_some() && !ty.shape.dims.iter().any(Dim::has_unknown));
        (holds && known && !crossed && results.iter().all(|ty| self.fits(ty))).then_some(results)
    }

    /// Of what is not proved here, the lower bounds may be left to whoever calls; equal sizes must be equal for all.
    fn holds(&self, obligation: &Obligation) -> bool {
        match &obligation.kind {
            ObligationKind::AtLeast(a, b) => self.size(a).zip(self.size(b)).is_some_and(|(a, b)| a >= b),
            ObligationKind::Equal(..) | ObligationKind::Broadcast(..) => false,
        }
    }

    /// A value of the scope that is as it is wanted; what is newer is likelier.
    pub fn find(&self, draw: &mut Draw, is_meant: impl Fn(&Var) -> bool) -> Option<Var> {
        let found: Vec<&Var> = self.vars.iter().filter(|var| is_meant(var)).collect();
        let last = found.len().checked_sub(1)?;
        let back = draw.below(found.len()).min(draw.below(found.len()));
        Some(found[last - back].clone())
    }

    pub fn find_dtype(&self, draw: &mut Draw, is_meant: impl Fn(DType) -> bool) -> Option<Var> {
        self.find(draw, |var| var.ty.dtype().is_some_and(&is_meant))
    }

    /// A parameter of this type.
    pub fn param(&self, name: &str, ty: &TensorType) -> Param {
        let size = |dim: &Dim| usize::try_from(self.size(dim)?).ok();
        let sizes: Option<Vec<usize>> = ty.shape.dims.iter().map(size).collect();
        Param { name: name.to_string(), ty: ty.to_string(), default: None, sample: ty.dtype().zip(sizes) }
    }

    /// Whether the body may have members of a layer.
    pub fn is_method(&self) -> bool {
        self.members.is_some()
    }
}
