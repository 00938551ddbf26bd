//! Reads the text form of a module; its grammar stands in [`printer`](crate::ir::printer).
//!
//! Any text gives a module or an error, never a panic; nesting and the size of dims are bounded. What is
//! read is not yet verified. `print(read(print(m))) == print(m)`; of a `Loc` only file and line survive,
//! and ids are given anew in the order of the text.

mod expr;
mod function;
mod layer;
mod lexer;

use crate::base::{FileId, Loc};
use crate::ir::words::{is_identifier, starts_identifier};
use crate::ir::{FuncId, HostKind, LayerId, Module};
use crate::types::Symbol;
use lexer::{Kind, Token};
use std::collections::HashMap;
use std::fmt;

/// Where and why reading stopped; lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    pub line: u32,
    pub column: u32,
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// Nesting of expressions, regions and sublayers.
const MAX_DEPTH: u32 = 100;

/// Parses a module.
pub fn read(text: &str) -> Result<Module, ReadError> {
    let lexed = lexer::lex(text)?;
    let mut reader = Reader {
        tokens: lexed.tokens,
        at: 0,
        depth: 0,
        locs: HashMap::new(),
        layers: HashMap::new(),
        functions: HashMap::new(),
        kinds: HashMap::new(),
        unknowns: 0,
        module: Module::default(),
    };
    reader.files()?;
    reader.resolve_comments(&lexed.comments);
    let starts = reader.declare()?;
    // Layers first: expressions in functions need the kinds of their hyperparameters.
    for (position, item) in &starts {
        reader.at = *position;
        match item {
            Item::Entry => reader.entry()?,
            Item::Layer(_) => reader.layer()?,
            Item::Function(_) => {}
        }
    }
    for (position, item) in &starts {
        if let Item::Function(_) = item {
            reader.at = *position;
            reader.function()?;
        }
    }
    Ok(reader.module)
}

enum Item {
    Entry,
    Layer(String),
    Function(String),
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
    /// Places named in comments, by line of the text.
    locs: HashMap<u32, Loc>,
    layers: HashMap<String, LayerId>,
    functions: HashMap<String, FuncId>,
    /// Kinds of the symbols of the item being read that are known.
    kinds: HashMap<Symbol, HostKind>,
    /// How many `?` were read: each is its own.
    unknowns: u32,
    module: Module,
}

type Read<T> = Result<T, ReadError>;

impl Reader {
    fn token(&self) -> &Token {
        // The last token is `End`, and `next` never goes past it.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &Kind {
        &self.token().kind
    }

    fn peek_at(&self, ahead: usize) -> &Kind {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)].kind
    }

    fn next(&mut self) -> Kind {
        let kind = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        kind
    }

    fn error<T>(&self, message: impl Into<String>) -> Read<T> {
        let token = self.token();
        Err(ReadError { line: token.line, column: token.column, message: message.into() })
    }

    fn expected<T>(&self, what: &str) -> Read<T> {
        let found = match self.peek() {
            Kind::Word(word) => format!("`{word}`"),
            Kind::Value(name) => format!("`%{name}`"),
            Kind::Function(name) => format!("`@{name}`"),
            Kind::Str(text) => format!("{text:?}"),
            Kind::Int(value) => value.to_string(),
            Kind::Float(text) => text.clone(),
            Kind::Punct(punct) => format!("`{punct}`"),
            Kind::End => "the end of the text".into(),
        };
        self.error(format!("expected {what}, found {found}"))
    }

    fn is(&self, punct: &str) -> bool {
        matches!(self.peek(), Kind::Punct(p) if *p == punct)
    }

    fn eat(&mut self, punct: &str) -> bool {
        let found = self.is(punct);
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, punct: &str) -> Read<()> {
        if self.eat(punct) { Ok(()) } else { self.expected(&format!("`{punct}`")) }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Kind::Word(w) if w == word)
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next();
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Read<()> {
        if self.eat_word(word) { Ok(()) } else { self.expected(&format!("`{word}`")) }
    }

    fn string(&mut self) -> Read<String> {
        match self.next() {
            Kind::Str(text) => Ok(text),
            _ => {
                self.at = self.at.saturating_sub(1);
                self.expected("a string")
            }
        }
    }

    /// A name, in quotes where it is no word; words may be joined by dots.
    fn name(&mut self) -> Read<String> {
        match self.peek().clone() {
            Kind::Str(text) => {
                self.next();
                Ok(text)
            }
            Kind::Word(mut text) => {
                self.next();
                while self.is(".") {
                    let Kind::Word(part) = self.peek_at(1).clone() else { break };
                    self.next();
                    self.next();
                    text = format!("{text}.{part}");
                }
                Ok(text)
            }
            _ => self.expected("a name"),
        }
    }

    fn symbol(&mut self) -> Read<Symbol> {
        Ok(Symbol::new(&self.name()?))
    }

    /// Runs `read` one level deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth >= MAX_DEPTH {
            return self.error("nested too deeply");
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// `item, item, ...` up to `close`, which is taken; a trailing comma is allowed.
    fn list<T>(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let mut items = vec![];
        while !self.eat(close) {
            items.push(item(self)?);
            if !self.eat(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn loc_of_line(&self, line: u32) -> Loc {
        self.locs.get(&line).copied().unwrap_or_default()
    }

    /// The place that the comment of the current token's line names.
    fn loc_here(&self) -> Loc {
        self.loc_of_line(self.token().line)
    }

    fn files(&mut self) -> Read<()> {
        if self.eat_word("files") {
            loop {
                let file = self.string()?;
                self.module.files.push(file);
                if !self.eat(",") {
                    break;
                }
            }
        }
        Ok(())
    }

    fn resolve_comments(&mut self, comments: &[(u32, String)]) {
        for (line, comment) in comments {
            let Some((file, number)) = comment.rsplit_once(':') else { continue };
            let (file, number) = (self.module.files.iter().position(|f| f == file), number.parse());
            if let (Some(file), Ok(number)) = (file, number) {
                let loc = Loc { file: FileId(file as u32), line: number, ..Loc::default() };
                self.locs.insert(*line, loc);
            }
        }
    }

    /// Finds the items and gives layers and functions their ids, so that they may refer to later ones.
    fn declare(&mut self) -> Read<Vec<(usize, Item)>> {
        let mut items = vec![];
        loop {
            let position = self.at;
            let item = match (self.next(), self.peek().clone()) {
                (Kind::End, _) => break,
                (Kind::Word(word), _) if word == "entry" => Item::Entry,
                (Kind::Word(word), _) if word == "layer" => Item::Layer(self.name()?),
                (Kind::Word(word), Kind::Function(name)) if word == "func" => Item::Function(name),
                _ => {
                    self.at = position;
                    return self.expected("`entry`, `layer` or `func`");
                }
            };
            let previous = match &item {
                Item::Entry => None,
                Item::Layer(name) => {
                    let id = LayerId(self.layers.len() as u32);
                    self.layers.insert(name.clone(), id).map(|_| name)
                }
                Item::Function(name) => {
                    let id = FuncId(self.functions.len() as u32);
                    self.functions.insert(name.clone(), id).map(|_| name)
                }
            };
            if let Some(name) = previous {
                return self.error(format!("`{name}` is defined twice"));
            }
            items.push((position, item));
            self.skip_item();
        }
        Ok(items)
    }

    /// Goes on to the next item's keyword outside of all braces.
    fn skip_item(&mut self) {
        let mut braces = 0usize;
        loop {
            match self.peek() {
                Kind::End => return,
                Kind::Punct("{") => braces += 1,
                Kind::Punct("}") => braces = braces.saturating_sub(1),
                Kind::Word(word) if braces == 0 && self.token().leads => {
                    if matches!(word.as_str(), "entry" | "layer" | "func") {
                        return;
                    }
                }
                _ => {}
            }
            self.next();
        }
    }

    fn layer_id(&mut self) -> Read<LayerId> {
        let position = self.at;
        let name = self.name()?;
        match self.layers.get(&name) {
            Some(id) => Ok(*id),
            None => {
                self.at = position;
                self.error(format!("there is no layer `{name}`"))
            }
        }
    }

    fn function_id(&mut self) -> Read<FuncId> {
        let Kind::Function(name) = self.peek().clone() else { return self.expected("a function") };
        match self.functions.get(&name).copied() {
            Some(id) => {
                self.next();
                Ok(id)
            }
            None => self.error(format!("there is no function `@{name}`")),
        }
    }

    fn host_kind(&mut self) -> Read<HostKind> {
        if self.eat_word("int") {
            Ok(HostKind::Int)
        } else if self.eat_word("float") {
            Ok(HostKind::Float)
        } else {
            self.expected("`int` or `float`")
        }
    }
}

/// The source name inside a value's text name: `x` of `x.1`, nothing of a number.
fn value_name(text: &str) -> Option<String> {
    let base = text.split('.').next().unwrap_or(text);
    (base.chars().next().is_some_and(starts_identifier) && is_identifier(base)).then(|| base.to_string())
}

#[cfg(test)]
mod tests;
