//! The formatter: one text for each program, without options.
//!
//! `format` cuts a file into items, makes a [`doc::Doc`] of each tree and the comments around it, and renders
//! that to lines of at most [`doc::WIDTH`] columns. What the author decides is where empty lines stand (one at
//! a time), which blocks, lists, signatures, pipes and method chains are spread over lines, and which
//! parentheses group operations; all else follows from the tree.
//!
//! - [`doc`], [`render`], [`page`]: documents, where they break, and lines with their comments.
//! - [`comments`]: taking comments in the order of the text.
//! - [`printer`], [`item`], [`stmt`], [`expr`], [`chain`], [`parens`], [`types`]: trees to documents.
//! - [`same`]: whether the result still says what the original did. Nothing else leaves this module.

mod chain;
mod comments;
mod doc;
mod expr;
mod item;
mod page;
mod parens;
mod printer;
mod render;
mod same;
mod stmt;
mod types;

use crate::syntax::SyntaxError;
use crate::syntax::ast::{Ast, Item, ItemKind};
use crate::syntax::items::split;
use crate::syntax::parse::{check_size, parse_item};
use comments::Comments;
use doc::Docs;
use page::Page;
use printer::Printer;

pub use doc::WIDTH;

/// Why a text was not formatted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unformatted {
    /// It cannot be parsed.
    Syntax(Vec<SyntaxError>),
    /// The result would have said something else: a mistake of the formatter. What differs, in words.
    Altered(String),
}

/// The text in the one style.
pub fn format(text: &str) -> Result<String, Unformatted> {
    if let Some(error) = check_size(text.len()) {
        return Err(Unformatted::Syntax(vec![error]));
    }
    let formatted = print(text).map_err(Unformatted::Syntax)?;
    match same::difference(text, &formatted) {
        None => Ok(formatted),
        Some(difference) => Err(Unformatted::Altered(difference)),
    }
}

fn print(text: &str) -> Result<String, Vec<SyntaxError>> {
    let comments = Comments::of(text);
    let mut page = Page::default();
    let mut errors = vec![];
    // The item above and where it ends.
    let mut above: Option<Item> = None;
    let mut end = 0;
    for raw in split(text) {
        let parsed = parse_item(text.get(raw.span.start as usize..raw.span.end as usize).unwrap_or(""));
        errors.extend(parsed.errors.into_iter().map(|error| error.offset_by(raw.span.start)));
        if !errors.is_empty() {
            continue;
        }
        print_item(text, raw.span.start, &parsed.ast, &comments, above.as_ref().map(|item| &item.kind), end, &mut page);
        end = raw.span.start + parsed.ast.item.span.end;
        above = Some(parsed.ast.item);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    print_rest(text, &comments, end, &mut page);
    Ok(page.finish())
}

/// Prints an item with the comments above it, behind the item that ended at `end`.
fn print_item(
    text: &str,
    base: u32,
    ast: &Ast,
    comments: &Comments<'_>,
    above: Option<&ItemKind>,
    end: u32,
    page: &mut Page,
) {
    let mut printer = Printer { docs: Docs::default(), ast, text, base, comments };
    let mut gap = comments.take(end, base + ast.item.span.start);
    if above.is_some_and(|above| item::items_apart(above, &ast.item.kind)) {
        gap.separate();
    }
    let line = printer.docs.hard(gap.blank);
    let before = printer.between(gap, line, page.is_empty());
    let item = printer.item();
    let whole = printer.docs.concat(&[before, item]);
    render::render(&printer.docs, whole, page);
}

/// Prints the comments below the last item.
fn print_rest(text: &str, comments: &Comments<'_>, end: u32, page: &mut Page) {
    let gap = comments.take(end, u32::try_from(text.len()).unwrap_or(u32::MAX));
    let item = Item { attributes: vec![], doc: None, kind: ItemKind::Error, span: Default::default() };
    let ast = Ast { exprs: vec![], types: vec![], item };
    let mut printer = Printer { docs: Docs::default(), ast: &ast, text, base: 0, comments };
    let rest = printer.ending(gap, page.is_empty());
    render::render(&printer.docs, rest, page);
}
