//! Host numbers that stay symbolic: `sqrt(dim // heads)` in a layer whose `dim` is a hyperparameter.

use crate::base::F64;
use crate::types::dim::{Dim, Symbol};
use std::collections::BTreeSet;
use std::fmt;

/// A host value once it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostValue {
    Int(i64),
    Float(F64),
    Bool(bool),
    Str(String),
}

impl HostValue {
    pub fn as_int(&self) -> Option<i64> {
        match self {
            HostValue::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// An int counts as a float.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            HostValue::Int(value) => Some(*value as f64),
            HostValue::Float(value) => Some(value.0),
            _ => None,
        }
    }
}

/// Tri syntax.
impl fmt::Display for HostValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostValue::Int(value) => value.fmt(f),
            HostValue::Float(value) => value.fmt(f),
            HostValue::Bool(value) => value.fmt(f),
            HostValue::Str(value) => write!(f, "{value:?}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostFn {
    Neg,
    Sqrt,
    Log,
    Exp,
    Abs,
}

impl HostFn {
    pub fn name(self) -> &'static str {
        match self {
            HostFn::Neg => "-",
            HostFn::Sqrt => "sqrt",
            HostFn::Log => "log",
            HostFn::Exp => "exp",
            HostFn::Abs => "abs",
        }
    }

    pub fn apply(self, x: f64) -> f64 {
        match self {
            HostFn::Neg => -x,
            HostFn::Sqrt => x.sqrt(),
            HostFn::Log => x.ln(),
            HostFn::Exp => x.exp(),
            HostFn::Abs => x.abs(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostOp {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
}

impl HostOp {
    /// The operator, or the function's name for `minimum` and `maximum`.
    pub fn symbol(self) -> &'static str {
        match self {
            HostOp::Add => "+",
            HostOp::Sub => "-",
            HostOp::Mul => "*",
            HostOp::Div => "/",
            HostOp::Pow => "**",
            HostOp::Min => "minimum",
            HostOp::Max => "maximum",
        }
    }

    pub fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            HostOp::Add => a + b,
            HostOp::Sub => a - b,
            HostOp::Mul => a * b,
            HostOp::Div => a / b,
            HostOp::Pow => a.powf(b),
            HostOp::Min => a.min(b),
            HostOp::Max => a.max(b),
        }
    }
}

/// A host int or float over the symbols of a signature. Integer arithmetic is in [`Dim`]; the rest is
/// float arithmetic in double precision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostExpr {
    Int(Dim),
    Float(F64),
    /// A float hyperparameter or parameter.
    FloatSymbol(Symbol),
    Unary(HostFn, Box<HostExpr>),
    Binary(HostOp, Box<HostExpr>, Box<HostExpr>),
}

impl HostExpr {
    pub fn float(value: f64) -> HostExpr {
        HostExpr::Float(F64(value))
    }

    pub fn int(value: i64) -> HostExpr {
        HostExpr::Int(Dim::constant(value))
    }

    /// The same value as a float.
    pub fn into_float(self) -> HostExpr {
        match self {
            HostExpr::Int(dim) => match dim.as_const() {
                Some(value) => HostExpr::float(value as f64),
                None => HostExpr::binary(HostOp::Mul, HostExpr::Int(dim), HostExpr::float(1.0)),
            },
            other => other,
        }
    }

    /// Whether the value is an int.
    pub fn is_int(&self) -> bool {
        matches!(self, HostExpr::Int(_))
    }

    pub fn as_dim(&self) -> Option<&Dim> {
        match self {
            HostExpr::Int(dim) => Some(dim),
            _ => None,
        }
    }

    /// The number, if no symbol is involved.
    pub fn as_const(&self) -> Option<f64> {
        self.eval(&|_| None)
    }

    /// Float negation and functions; constants fold.
    pub fn unary(function: HostFn, operand: HostExpr) -> HostExpr {
        match (function, operand) {
            (HostFn::Neg, HostExpr::Int(dim)) => HostExpr::Int(dim.neg()),
            (function, operand) => match operand.as_const() {
                Some(x) => HostExpr::float(function.apply(x)),
                None => HostExpr::Unary(function, Box::new(operand)),
            },
        }
    }

    /// Float arithmetic (int arithmetic belongs to [`Dim`]); constants fold.
    pub fn binary(op: HostOp, a: HostExpr, b: HostExpr) -> HostExpr {
        match (a.as_const(), b.as_const()) {
            (Some(x), Some(y)) => HostExpr::float(op.apply(x, y)),
            _ => HostExpr::Binary(op, Box::new(a), Box::new(b)),
        }
    }

    /// The value, if every symbol has one.
    pub fn eval(&self, value: &dyn Fn(&Symbol) -> Option<HostValue>) -> Option<f64> {
        Some(match self {
            HostExpr::Int(dim) => dim.eval(&|symbol| value(symbol)?.as_int())? as f64,
            HostExpr::Float(x) => x.0,
            HostExpr::FloatSymbol(symbol) => value(symbol)?.as_float()?,
            HostExpr::Unary(function, x) => function.apply(x.eval(value)?),
            HostExpr::Binary(op, a, b) => op.apply(a.eval(value)?, b.eval(value)?),
        })
    }

    /// Like [`HostExpr::eval`], keeping ints ints.
    pub fn eval_value(&self, value: &dyn Fn(&Symbol) -> Option<HostValue>) -> Option<HostValue> {
        match self {
            HostExpr::Int(dim) => Some(HostValue::Int(dim.eval(&|symbol| value(symbol)?.as_int())?)),
            other => Some(HostValue::Float(F64(other.eval(value)?))),
        }
    }

    /// Replaces symbols; others stay.
    pub fn substitute(&self, replace: &dyn Fn(&Symbol) -> Option<HostExpr>) -> HostExpr {
        match self {
            HostExpr::Int(dim) => HostExpr::Int(dim.substitute_symbols(&|symbol| replace(symbol)?.as_dim().cloned())),
            HostExpr::Float(_) => self.clone(),
            HostExpr::FloatSymbol(symbol) => replace(symbol).unwrap_or_else(|| self.clone()),
            HostExpr::Unary(function, x) => HostExpr::unary(*function, x.substitute(replace)),
            HostExpr::Binary(op, a, b) => HostExpr::binary(*op, a.substitute(replace), b.substitute(replace)),
        }
    }

    pub fn symbols(&self) -> BTreeSet<Symbol> {
        match self {
            HostExpr::Int(dim) => dim.symbols(),
            HostExpr::Float(_) => BTreeSet::new(),
            HostExpr::FloatSymbol(symbol) => BTreeSet::from([symbol.clone()]),
            HostExpr::Unary(_, x) => x.symbols(),
            HostExpr::Binary(_, a, b) => a.symbols().union(&b.symbols()).cloned().collect(),
        }
    }
}

/// Tri syntax; every inner operation in parentheses.
impl fmt::Display for HostExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostExpr::Int(dim) => dim.fmt(f),
            HostExpr::Float(x) => x.fmt(f),
            HostExpr::FloatSymbol(symbol) => symbol.fmt(f),
            HostExpr::Unary(HostFn::Neg, x) => write!(f, "-({x})"),
            HostExpr::Unary(function, x) => write!(f, "{}({x})", function.name()),
            HostExpr::Binary(op @ (HostOp::Min | HostOp::Max), a, b) => write!(f, "{}({a}, {b})", op.symbol()),
            HostExpr::Binary(op, a, b) => write!(f, "({a}) {} ({b})", op.symbol()),
        }
    }
}
