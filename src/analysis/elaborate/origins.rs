//! Where symbols were introduced, for messages.

use crate::analysis::db::Place;
use crate::types::Symbol;

/// Symbols with their places, later ones first where a symbol has several. An inner walk takes the list along
/// and leaves it as it was, so that nothing is copied on the way.
#[derive(Clone, Default)]
pub struct Origins<'db>(Vec<(Symbol, Place<'db>)>);

impl<'db> Origins<'db> {
    pub fn get(&self, symbol: &Symbol) -> Option<Place<'db>> {
        self.0.iter().rev().find(|(own, _)| own == symbol).map(|(_, place)| *place)
    }

    /// Notes a place if the symbol has none.
    pub fn add(&mut self, symbol: Symbol, place: Place<'db>) {
        if self.get(&symbol).is_none() {
            self.set(symbol, place);
        }
    }

    pub fn set(&mut self, symbol: Symbol, place: Place<'db>) {
        self.0.push((symbol, place));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets what came after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}
