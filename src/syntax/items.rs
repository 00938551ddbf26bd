//! Cuts a file into its top-level items.
//!
//! The layout layer already knows where statements end, so an item is what lies between two terminators
//! outside all brackets, from its documentation or first attribute to its last token. Each item's text is
//! parsed alone: text above it can change without touching its tree.
//!
//! Where braces do not balance, the text is cut once more in the layout layer's guided mode, in which an
//! item keyword in column 0 ends whatever was left open: one missing brace spoils one item.

use crate::base::Span;
use crate::syntax::layout::{Layout, Lexed, MAX_NESTING};
use crate::syntax::literal::unescape;
use crate::syntax::parse::MAX_FILE;
use crate::syntax::token::TokenKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RawKind {
    Use,
    Const,
    Let,
    Type,
    Fn,
    Layer,
    Test,
    /// A script statement, and anything that is no item.
    Stmt,
}

/// Where an item stands and what it looks like, before it is parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawItem {
    pub kind: RawKind,
    /// The declared name; a test's title; `None` for `use`, statements and patterns.
    pub name: Option<String>,
    pub name_span: Option<Span>,
    /// Absolute, with attributes and documentation. `&text[span]` is all that parsing needs.
    pub span: Span,
    /// Nothing before it is felt in it or after it: reading could as well begin here.
    pub(super) apart: bool,
}

/// Cuts `text` into items. Text past the size limit stays one item, which parsing then refuses.
pub fn split(text: &str) -> Vec<RawItem> {
    split_all(text).0
}

/// The items of a text, and whether each part of it was cut without regard to others far away.
pub(super) fn split_all(text: &str) -> (Vec<RawItem>, bool) {
    if text.len() > MAX_FILE {
        let span = Span::new(0, u32::try_from(text.len()).unwrap_or(u32::MAX));
        let whole = RawItem { kind: RawKind::Stmt, name: None, name_span: None, span, apart: false };
        return (vec![whole], false);
    }
    let Reading { mut items, trouble, is_local, .. } = read(text, false, |_| false);
    let from = match trouble {
        Trouble::None => return (items, is_local),
        Trouble::Stray => 0,
        Trouble::Unclosed(brace) => items.iter().find(|item| item.span.end > brace).map_or(0, |item| item.span.start),
    };
    items.retain(|item| item.span.end <= from);
    let rest = text.get(from as usize..).unwrap_or("");
    items.extend(read(rest, true, |_| false).items.into_iter().map(|item| item.offset_by(from)));
    (items, false)
}

impl RawItem {
    pub(super) fn offset_by(mut self, offset: u32) -> RawItem {
        self.span = self.span.offset_by(offset);
        self.name_span = self.name_span.map(|span| span.offset_by(offset));
        self
    }
}

pub(super) enum Trouble {
    None,
    Stray,
    Unclosed(u32),
}

/// What was found in a text.
pub(super) struct Reading {
    pub items: Vec<RawItem>,
    pub trouble: Trouble,
    /// No limit was met, and nothing far ahead was looked at.
    pub is_local: bool,
    /// The item with which reading was told to stop; it is not among the others.
    pub stopped_at: Option<RawItem>,
}

/// Cuts a text from its start to its end, or to an item at whose first token `stops` says so.
pub(super) fn read(text: &str, guided: bool, mut stops: impl FnMut(&RawItem) -> bool) -> Reading {
    let mut layout = Layout::new(text, guided);
    let mut splitter = Splitter { text, depth: 0, items: vec![], current: None };
    let mut out: Vec<Lexed> = vec![];
    let mut docs = 0;
    let mut is_local = true;
    let mut stopped_at = None;
    'reading: loop {
        let more = layout.step(&mut out);
        for token in out.drain(..) {
            let fresh = splitter.current.is_none();
            splitter.take(token);
            if fresh && let Some(current) = &mut splitter.current {
                // Documentation is listed by the token below it, in the order of the text.
                while layout.lexer.docs.get(docs).is_some_and(|doc| doc.token < token.0) {
                    docs += 1;
                }
                if let Some(doc) = layout.lexer.docs.get(docs).filter(|doc| doc.token == token.0) {
                    current.item.span.start = doc.start;
                }
                current.item.apart = layout.at_rest;
                if stops(&current.item) {
                    stopped_at = splitter.current.take().map(|current| current.item);
                    break 'reading;
                }
            }
        }
        if layout.nesting() > MAX_NESTING {
            // The parser refuses this item; what follows it cannot be told from it.
            if let Some(current) = &mut splitter.current {
                current.item.span.end = text.len() as u32;
            }
            is_local = false;
            break;
        }
        if !more {
            break;
        }
    }
    splitter.end();
    is_local &= !layout.has_searched();
    let trouble = match (layout.stray_brace, layout.first_unclosed) {
        _ if layout.nesting() > MAX_NESTING => Trouble::None,
        (true, _) => Trouble::Stray,
        (false, Some(brace)) => Trouble::Unclosed(brace),
        (false, None) => Trouble::None,
    };
    Reading { items: splitter.items, trouble, is_local, stopped_at }
}

/// An item that is being read.
struct Current {
    item: RawItem,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Attributes,
    InAttribute,
    /// Behind the keyword.
    Keyword,
    Rest,
}

struct Splitter<'t> {
    text: &'t str,
    depth: usize,
    items: Vec<RawItem>,
    current: Option<Current>,
}

impl Splitter<'_> {
    fn take(&mut self, (start, kind, end): Lexed) {
        use TokenKind::*;
        match kind {
            LeftParen | LeftBracket | LeftBrace | LeftAngle | UseOpen => self.depth += 1,
            RightParen | RightBracket | RightBrace | RightAngle | UseClose => {
                self.depth = self.depth.saturating_sub(1);
            }
            Terminator if self.depth == 0 => return self.end(),
            _ => {}
        }
        let current = self.current.get_or_insert_with(|| Current {
            item: RawItem {
                kind: RawKind::Stmt,
                name: Option::None,
                name_span: Option::None,
                span: Span::new(start, end),
                apart: false,
            },
            part: Part::Attributes,
        });
        current.item.span.end = current.item.span.end.max(end);
        match (current.part, kind) {
            (Part::Attributes, AttributeAt) => current.part = Part::InAttribute,
            (Part::InAttribute, AttributeEnd) => current.part = Part::Attributes,
            (Part::InAttribute, _) => {}
            (Part::Attributes, _) => {
                current.item.kind = raw_kind(kind);
                current.part = Part::Keyword;
            }
            (Part::Keyword, _) => {
                let text = self.text.get(start as usize..end as usize).unwrap_or("");
                current.part = Part::Rest;
                current.item.name = match (current.item.kind, kind) {
                    (RawKind::Use | RawKind::Stmt, _) => Option::None,
                    (RawKind::Test, Str) => unescape(text).ok(),
                    (_, Name) => Some(text.to_string()),
                    _ => Option::None,
                };
                current.item.name_span = current.item.name.as_ref().map(|_| Span::new(start, end));
            }
            (Part::Rest, _) => {}
        }
    }

    fn end(&mut self) {
        if let Some(current) = self.current.take() {
            self.items.push(current.item);
        }
    }
}

fn raw_kind(kind: TokenKind) -> RawKind {
    match kind {
        TokenKind::Use => RawKind::Use,
        TokenKind::Const => RawKind::Const,
        TokenKind::Let => RawKind::Let,
        TokenKind::Type => RawKind::Type,
        TokenKind::Fn => RawKind::Fn,
        TokenKind::Layer => RawKind::Layer,
        TokenKind::Test => RawKind::Test,
        _ => RawKind::Stmt,
    }
}
