//! Why a rule stopped.

use crate::base::Code;
use crate::types::{DType, Dim, Facts, TensorType};

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

    /// The dims that clash, unless the error has named some that say more.
    pub fn between(self, a: &Dim, b: &Dim) -> OpError {
        if self.dims.is_empty() { self.dims(&[a, b]) } else { self }
    }

    pub fn note(mut self, note: impl Into<String>) -> OpError {
        self.notes.push(note.into());
        self
    }

    pub fn hint(mut self, hint: Hint) -> OpError {
        self.hint = Some(hint);
        self
    }

    /// The condition that is left to be checked where this error cannot be ruled out yet: broken, it is this error.
    pub fn unless(self, kind: ObligationKind) -> Obligation {
        Obligation { kind, code: self.code, message: self.message }
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
    /// What is wrong if it does not hold: the code of the error that was not ruled out, E0403 for a stated fact.
    pub code: Code,
    /// What to say then.
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

impl Obligation {
    /// Learns what follows from the condition; nothing from a broadcast, which has two ways to hold.
    pub fn assume(&self, facts: &mut Facts) {
        match &self.kind {
            ObligationKind::Equal(a, b) => match (a.as_modulo(), b.as_modulo()) {
                (Some((a, n)), _) => facts.assume_modulo(&a, &n, b),
                (None, Some((b, n))) => facts.assume_modulo(&b, &n, a),
                (None, None) => facts.assume_equal(a, b),
            },
            ObligationKind::AtLeast(a, b) => facts.assume_at_least(a, b),
            ObligationKind::Broadcast(..) => {}
        }
    }

    /// The same condition over other dims.
    pub fn map_dims(&self, map: impl Fn(&Dim) -> Dim) -> Obligation {
        let kind = match &self.kind {
            ObligationKind::Equal(a, b) => ObligationKind::Equal(map(a), map(b)),
            ObligationKind::Broadcast(a, b) => ObligationKind::Broadcast(map(a), map(b)),
            ObligationKind::AtLeast(a, b) => ObligationKind::AtLeast(map(a), map(b)),
        };
        Obligation { kind, code: self.code, message: self.message.clone() }
    }

    /// Both sides of the condition.
    pub fn sides(&self) -> (&Dim, &Dim) {
        match &self.kind {
            ObligationKind::Equal(a, b) | ObligationKind::Broadcast(a, b) | ObligationKind::AtLeast(a, b) => (a, b),
        }
    }
}
