//! Where the elaborator's instructions go.
//!
//! Checking a definition and lowering it are the same walk over the same tree: checking sends the
//! instructions nowhere ([`Discard`]) and leaves hyperparameters open, lowering sends them to an IR
//! builder and may ask for more hyperparameters to be fixed.

use crate::analysis::db::{Place, Report};
use crate::analysis::value::{FnRef, Instance, Step, Value, ValueRef};
use crate::ops::{Attrs, Obligation, OpId};
use crate::quant::Part;
use crate::types::{Dim, Elem, HostExpr, Shape, Symbol, Tensor, TensorType};

/// Why a walk cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Abort {
    /// A report says why.
    Reported,
    /// These symbols must be fixed first (lowering only).
    Demand(Vec<Symbol>),
}

pub type Walk<T> = Result<T, Abort>;

/// What a world could not do, with its reports.
pub type Failure<'db> = (Abort, Vec<Report<'db>>);

/// A piece of a printed line.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Text(String),
    Operand,
}

/// Instructions that are not operations of the registry.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    Param {
        name: String,
        part: Part,
    },
    Const(Tensor),
    Host(HostExpr),
    Rng,
    SetState {
        name: String,
    },
    /// Windows by axis; those without a size are one position.
    SetSlice {
        name: String,
        windows: Vec<(usize, Option<Dim>)>,
    },
    Assert {
        message: String,
    },
    /// Checks a condition on sizes of which only a run tells.
    Ensure(Obligation),
    Print {
        pieces: Vec<Piece>,
    },
}

/// Instructions that own regions, which were closed before, innermost last.
#[derive(Clone, Debug, PartialEq)]
pub enum Structured {
    If,
    For {
        index: Symbol,
    },
    /// With a name for the number of turns, where it collects.
    While {
        turns: Option<Symbol>,
    },
    /// The region computes a number from the operands; the results are that and its gradients.
    Gradient,
}

/// A call of a function with tensors, or of a method; everything over the caller's symbols.
#[derive(Clone)]
pub struct CallRequest<'db> {
    pub function: FnRef<'db>,
    /// The instance whose method it is.
    pub instance: Option<Instance<'db>>,
    /// Type arguments of the function itself.
    pub elems: Vec<(String, Elem)>,
    /// By parameter, in order; the tensors in them, in order, are the operands.
    pub arguments: Vec<(String, Value<'db>)>,
    /// What the dim variables and packs of the signature stand for, in the order it introduces them.
    pub declared: Vec<(Option<String>, Shape)>,
}

/// What a call gives, over the caller's symbols.
#[derive(Clone)]
pub struct Outcome<'db> {
    pub result: Value<'db>,
    pub obligations: Vec<(Obligation, Place<'db>)>,
    /// Symbols of the caller for sizes that only the callee's run tells.
    pub fresh: Vec<Symbol>,
}

/// The receiver of instructions.
pub trait World<'db> {
    /// Whether hyperparameters can be fixed on demand; otherwise both ways of an open condition are walked.
    fn specialises(&self) -> bool;
    /// Whether callees become functions of their own; otherwise they are walked where they are called.
    fn has_functions(&self) -> bool;
    /// The value of `training`.
    fn training(&self) -> Option<bool>;
    fn op(
        &mut self,
        op: OpId,
        attrs: Attrs,
        operands: &[ValueRef],
        results: &[TensorType],
        at: Place<'db>,
    ) -> Vec<ValueRef>;
    fn leaf(&mut self, leaf: Leaf, operands: &[ValueRef], results: &[TensorType], at: Place<'db>) -> Vec<ValueRef>;
    /// Opens a region; gives its parameters.
    fn open(&mut self, params: &[TensorType]) -> Vec<ValueRef>;
    /// Closes the innermost region with what it yields.
    fn close(&mut self, yields: &[ValueRef], at: Place<'db>);
    fn structured(
        &mut self,
        kind: Structured,
        operands: &[ValueRef],
        results: &[TensorType],
        at: Place<'db>,
    ) -> Vec<ValueRef>;
    fn name(&mut self, value: ValueRef, name: &str);
    /// A parameter of the function being walked.
    fn parameter(&mut self, ty: &TensorType, name: &str) -> ValueRef;
    /// A point to go back to.
    fn mark(&mut self) -> usize;
    /// Takes back every instruction and region since the mark.
    fn rollback(&mut self, mark: usize);
    /// Calls; the results are numbered as new values of this world, in the order of the outcome's tensors.
    /// `fresh` makes a symbol of the caller from one of the callee.
    fn call(
        &mut self,
        db: &'db dyn salsa::Database,
        request: &CallRequest<'db>,
        operands: &[ValueRef],
        fresh: &mut dyn FnMut(&Symbol) -> Symbol,
        at: Place<'db>,
    ) -> Result<(Outcome<'db>, Vec<ValueRef>), Failure<'db>>;
    /// Makes an instance that a test or script creates a part of what is run, and gives its path.
    fn adopt(&mut self, hint: &str, instance: &Value<'db>, at: Place<'db>) -> Result<Vec<Step>, Failure<'db>>;
}

/// The world of checking: values are only counted.
#[derive(Default)]
pub struct Discard {
    next: u32,
    adopted: u32,
    specialises: bool,
    training: Option<bool>,
}

impl Discard {
    /// Answers as another world does, and keeps nothing.
    pub fn like(specialises: bool, training: Option<bool>) -> Discard {
        Discard { specialises, training, ..Discard::default() }
    }

    fn fresh(&mut self, count: usize) -> Vec<ValueRef> {
        (0..count)
            .map(|_| {
                self.next += 1;
                ValueRef(self.next)
            })
            .collect()
    }
}

impl<'db> World<'db> for Discard {
    fn specialises(&self) -> bool {
        self.specialises
    }

    fn has_functions(&self) -> bool {
        false
    }

    fn training(&self) -> Option<bool> {
        self.training
    }

    fn op(&mut self, _: OpId, _: Attrs, _: &[ValueRef], results: &[TensorType], _: Place<'db>) -> Vec<ValueRef> {
        self.fresh(results.len())
    }

    fn leaf(&mut self, _: Leaf, _: &[ValueRef], results: &[TensorType], _: Place<'db>) -> Vec<ValueRef> {
        self.fresh(results.len())
    }

    fn open(&mut self, params: &[TensorType]) -> Vec<ValueRef> {
        self.fresh(params.len())
    }

    fn close(&mut self, _: &[ValueRef], _: Place<'db>) {}

    fn structured(&mut self, _: Structured, _: &[ValueRef], results: &[TensorType], _: Place<'db>) -> Vec<ValueRef> {
        self.fresh(results.len())
    }

    fn name(&mut self, _: ValueRef, _: &str) {}

    fn parameter(&mut self, _: &TensorType, _: &str) -> ValueRef {
        self.fresh(1)[0]
    }

    fn mark(&mut self) -> usize {
        0
    }

    fn rollback(&mut self, _: usize) {}

    fn call(
        &mut self,
        _: &'db dyn salsa::Database,
        _: &CallRequest<'db>,
        _: &[ValueRef],
        _: &mut dyn FnMut(&Symbol) -> Symbol,
        _: Place<'db>,
    ) -> Result<(Outcome<'db>, Vec<ValueRef>), Failure<'db>> {
        // Checking walks a callee in place where its signature does not tell the result.
        Err((Abort::Reported, vec![]))
    }

    fn adopt(&mut self, hint: &str, _: &Value<'db>, _: Place<'db>) -> Result<Vec<Step>, Failure<'db>> {
        self.adopted += 1;
        Ok(vec![Step::Field(format!("{hint}_{}", self.adopted))])
    }
}

/// The tensors in a value, in the order in which a call returns them.
pub fn count_tensors(value: &Value<'_>) -> usize {
    let mut count = 0;
    visit_tensors(value, &mut |_| count += 1);
    count
}

pub fn visit_tensors<'db>(value: &Value<'db>, visit: &mut dyn FnMut(&crate::analysis::value::TensorValue)) {
    use crate::analysis::value::List;
    match value {
        Value::Tensor(tensor) => visit(tensor),
        Value::Tuple(items) | Value::List(List::Items(items)) => items.iter().for_each(|v| visit_tensors(v, visit)),
        Value::Instance(instance) => instance.values.iter().flatten().for_each(|(_, tensor)| visit(tensor)),
        _ => {}
    }
}

/// Numbers the tensors of a call's result by the values that the world gave.
pub fn renumber<'db>(value: Value<'db>, values: &mut dyn Iterator<Item = ValueRef>) -> Value<'db> {
    use crate::analysis::value::{List, TensorValue};
    match value {
        Value::Tensor(t) => match values.next() {
            Some(value) => Value::Tensor(TensorValue { ty: t.ty, value }),
            None => Value::Error,
        },
        Value::Tuple(items) => Value::Tuple(items.into_iter().map(|v| renumber(v, values)).collect()),
        Value::List(List::Items(items)) => Value::list(items.into_iter().map(|v| renumber(v, values)).collect()),
        Value::Instance(mut instance) => {
            for (_, tensor) in instance.values.iter_mut().flatten() {
                if let Some(value) = values.next() {
                    tensor.value = value;
                }
            }
            Value::Instance(instance)
        }
        other => other,
    }
}
