//! Why a rule stopped.

use crate::base::Code;
use crate::types::{DType, Dim, TensorType};

/// A remedy that the checker can turn into an edit, since it knows the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// Append `.T` to this operand.
    Transpose(usize),
    /// Append `.to(dtype)` to this operand.
    Cast(usize, DType),
}

/// What is wrong with a use of an operation. Operands are named by their index; the checker knows where
/// they stand and where their dims came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OpError {
    pub code: Code,
    pub message: String,
    /// A remark for an operand.
    pub labels: Vec<(usize, String)>,
    /// The dims that clash, so that their origins can be shown.
    pub dims: Vec<Dim>,
    pub notes: Vec<String>,
    pub hint: Option<Hint>,
}

impl OpError {
    pub fn new(code: Code, message: impl Into<String>) -> OpError {
        OpError { code, message: message.into(), labels: vec![], dims: vec![], notes: vec![], hint: None }
    }

    pub fn label(mut self, operand: usize, text: impl Into<String>) -> OpError {
        self.labels.push((operand, text.into()));
        self
    }

    pub fn dims(mut self, dims: &[&Dim]) -> OpError {
        self.dims.extend(dims.iter().map(|&d| d.clone()));
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> OpError {
        self.notes.push(note.into());
        self
    }

    pub fn hint(mut self, hint: Hint) -> OpError {
        self.hint = Some(hint);
        self
    }
}

/// How a rule ends without result types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    Error(Box<OpError>),
    /// An attribute or a rank is not known in this definition; these result types (their shapes unknown
    /// where need be) stand until instantiation.
    Unknown(Vec<TensorType>),
}

impl From<OpError> for Stop {
    fn from(error: OpError) -> Stop {
        Stop::Error(Box::new(error))
    }
}

/// A condition that could not be proved and must hold when sizes are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Obligation {
    pub kind: ObligationKind,
    /// What to say if it does not hold.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ObligationKind {
    Equal(Dim, Dim),
    /// Equal, or one of them is 1.
    Broadcast(Dim, Dim),
    /// The first is at least the second.
    AtLeast(Dim, Dim),
}
