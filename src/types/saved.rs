//! Names in weights files where they are not those of the source.
//!
//! `@saved("denselayer{i + 1}")` before a list says what stands for the list's name and an element's position
//! in the paths of its tensors: `layers.0.weight` is saved as `denselayer1.weight`. `i` is the position;
//! hyperparameters may stand there too. A member that is no list has a name without `i`.

use crate::types::{Dim, Symbol};
use std::fmt;

/// The symbol of an element's position.
pub const POSITION: &str = "i";

/// A name with numbers in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedName {
    pub pieces: Vec<SavedPiece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedPiece {
    Text(String),
    /// Over [`POSITION`] and the hyperparameters of the layer.
    Number(Dim),
}

impl SavedName {
    pub fn text(name: &str) -> SavedName {
        SavedName { pieces: vec![SavedPiece::Text(name.into())] }
    }

    /// The whole name, where no number stands in it.
    pub fn as_text(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [SavedPiece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The name of the element at a position; `None` if a number has no value.
    pub fn at(&self, position: Option<i64>, value: &dyn Fn(&Symbol) -> Option<i64>) -> Option<String> {
        let value = |symbol: &Symbol| match symbol.as_str() {
            POSITION if position.is_some() => position,
            _ => value(symbol),
        };
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                SavedPiece::Text(text) => name.push_str(text),
                SavedPiece::Number(dim) => name.push_str(&dim.eval(&value)?.to_string()),
            }
        }
        Some(name)
    }

    pub fn numbers(&self) -> impl Iterator<Item = &Dim> {
        self.pieces.iter().filter_map(|piece| match piece {
            SavedPiece::Text(_) => None,
            SavedPiece::Number(dim) => Some(dim),
        })
    }

    /// Whether each element of a list gets a name of its own.
    pub fn has_position(&self) -> bool {
        self.numbers().any(|dim| dim.symbols().iter().any(|symbol| symbol.as_str() == POSITION))
    }
}

/// As the attribute writes it.
impl fmt::Display for SavedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            SavedPiece::Text(text) => f.write_str(text),
            SavedPiece::Number(dim) => write!(f, "{{{dim}}}"),
        })
    }
}

/// What is wrong with the fixed parts of a name: letters, digits, `_` and single dots make paths.
pub fn text_fault(text: &str) -> Option<&'static str> {
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
        return Some("only letters, digits, `_` and `.` stand in names of weights files");
    }
    (text.starts_with('.') || text.ends_with('.') || text.contains("..")).then_some("a part between dots is empty")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_position() {
        let number = Dim::symbol(POSITION).add(&Dim::symbol("first"));
        let pieces = vec![SavedPiece::Text("layer".into()), SavedPiece::Number(number)];
        let name = SavedName { pieces };
        assert!(name.has_position());
        assert_eq!(name.to_string(), "layer{first + i}");
        assert_eq!(name.at(Some(2), &|_| Some(1)), Some("layer3".into()));
        assert_eq!(name.at(Some(2), &|_| None), None);
        assert!(!SavedName::text("features.conv0").has_position());
    }

    #[test]
    fn paths_have_no_empty_parts() {
        assert_eq!(text_fault("features.conv0"), None);
        assert!(text_fault("a..b").is_some() && text_fault(".a").is_some() && text_fault("a b").is_some());
    }
}
