//! What the compiler says about a program: plain data, rendered elsewhere.

use crate::base::code::Code;
use crate::base::source::FileId;
use crate::base::span::Span;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
    /// Nothing is wrong, but it could be written better: for editors and `tritonc fix`, never printed by `check`.
    Hint,
}

/// A piece of source with a remark. Spans are absolute in `file`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    pub file: FileId,
    pub span: Span,
    pub text: String,
    pub primary: bool,
}

/// Replace `span` of `file` by `text`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Edit {
    pub file: FileId,
    pub span: Span,
    pub text: String,
}

/// Whether a fix may be applied unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Applicability {
    /// What was meant is plain: `tritonc fix` applies it.
    Certain,
    /// One of several remedies, or a guess: offered to people.
    Maybe,
}

/// A machine-applicable remedy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fix {
    pub title: String,
    pub edits: Vec<Edit>,
    pub applicability: Applicability,
}

/// One message: cause, place and, where there is one, the fix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    pub message: String,
    pub labels: Vec<Label>,
    pub notes: Vec<String>,
    pub fixes: Vec<Fix>,
}

impl Diagnostic {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let severity = if code.is_warning() { Severity::Warning } else { Severity::Error };
        Diagnostic { code, severity, message: message.into(), labels: vec![], notes: vec![], fixes: vec![] }
    }

    /// The place the message is about. An empty text leaves only the underline.
    pub fn primary(mut self, file: FileId, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { file, span, text: text.into(), primary: true });
        self
    }

    pub fn secondary(mut self, file: FileId, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { file, span, text: text.into(), primary: false });
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// A remedy that is certain.
    pub fn fix(mut self, title: impl Into<String>, edits: Vec<Edit>) -> Self {
        self.fixes.push(Fix { title: title.into(), edits, applicability: Applicability::Certain });
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
