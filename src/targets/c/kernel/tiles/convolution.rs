//! Convolutions by tiles.
