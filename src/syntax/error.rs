//! What is wrong with a text, as plain data with item-relative spans.

use crate::base::{Code, Diagnostic, Edit, FileId, Span};

/// Replacements that together are one remedy.
pub type SyntaxFix = (String, Vec<(Span, String)>);

/// One message about one mistake. Spans count from the item's first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub code: Code,
    pub message: String,
    pub span: Span,
    /// The remark at `span`; may be empty.
    pub label: String,
    /// Another place that explains the mistake, with its remark.
    pub related: Option<(Span, String)>,
    pub notes: Vec<String>,
    pub fix: Option<SyntaxFix>,
}

impl SyntaxError {
    pub fn new(code: Code, message: impl Into<String>, span: Span) -> Self {
        SyntaxError {
            code,
            message: message.into(),
            span,
            label: String::new(),
            related: None,
            notes: vec![],
            fix: None,
        }
    }

    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related = Some((span, text.into()));
        self
    }

    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    pub fn fix(mut self, title: impl Into<String>, edits: Vec<(Span, String)>) -> Self {
        self.fix = Some((title.into(), edits));
        self
    }

    /// The error with spans that count from further above.
    pub fn offset_by(mut self, base: u32) -> Self {
        self.span = self.span.offset_by(base);
        if let Some((span, _)) = &mut self.related {
            *span = span.offset_by(base);
        }
        for (span, _) in self.fix.iter_mut().flat_map(|fix| &mut fix.1) {
            *span = span.offset_by(base);
        }
        self
    }

    /// The error as a message about a file, for an item that begins at `base`.
    pub fn diagnostic(&self, file: FileId, base: u32) -> Diagnostic {
        let mut diagnostic =
            Diagnostic::new(self.code, &self.message).primary(file, self.span.offset_by(base), &self.label);
        if let Some((span, text)) = &self.related {
            diagnostic = diagnostic.secondary(file, span.offset_by(base), text);
        }
        for note in &self.notes {
            diagnostic = diagnostic.note(note);
        }
        if let Some((title, edits)) = &self.fix {
            let edit = |(span, text): &(Span, String)| Edit { file, span: span.offset_by(base), text: text.clone() };
            diagnostic = diagnostic.fix(title, edits.iter().map(edit).collect());
        }
        diagnostic
    }
}
