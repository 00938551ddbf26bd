//! Words of the text form, which printer and reader share.

use crate::ir::LayerId;

/// A name that needs no quotes, or the name in quotes.
pub(crate) fn quoted(name: &str) -> String {
    let plain = !name.is_empty() && name.split('.').all(is_identifier);
    if plain { name.to_string() } else { format!("{name:?}") }
}

/// What the reader takes as one word.
pub(crate) fn is_identifier(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(starts_identifier) && chars.all(continues_identifier)
}

/// Hidden symbols have a `'` in them.
pub(crate) fn starts_identifier(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '\''
}

pub(crate) fn continues_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '\''
}

/// The layer that a function belongs to by its name: the longest name before a dot.
pub(crate) fn implied_layer(name: &str, layer_named: impl Fn(&str) -> Option<LayerId>) -> Option<LayerId> {
    name.rmatch_indices('.').find_map(|(dot, _)| layer_named(&name[..dot]))
}

/// The source name that a function has unless it says otherwise.
pub(crate) fn implied_source_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
