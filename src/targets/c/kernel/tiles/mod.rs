//! Products by the tiles of `templates/c/kernels/`: functions that compute a block of sums, of up to 64 columns and some rows,
//! with the vectors of the machine.
//!
//! The kernel has the loops around, and what follows a product for each of its sums, so that a tile knows nothing of what it
//! is fused with:
//!
//! ```c
//! for (int64_t block = 0; block < 4; block++) {
//!     for (int64_t first = 0; first < B; first += 8) {
//!         const int64_t rows = B - first < 8 ? B - first : 8;
//!         float sum[8][64];
//!         ternary2_tile_f32(weight, 256, 784, block * 64, x + first * 784, 784, rows, sum);
//!         for (int64_t i = 0; i < rows; i++) {
//!             for (int64_t j = 0; j < 64; j++) {
//!                 h[(first + i) * 256 + block * 64 + j] = relu(sum[i][j] * weight_scale[block * 64 + j]);
//! ```
//!
//! Which factors there are tiles for says [`factors`]; weights of the model come in a layout of the tiles' own ([`Packing`]),
//! which `NAME_weights_init` makes once.

mod convolution;
mod factors;
mod matrix;
mod packing;
mod places;

pub use packing::Packing;

/// Columns of a tile, of every kind.
pub(super) const COLUMNS: i64 = 64;
/// Rows of a tile of codes.
pub(super) const CODE_ROWS: i64 = 8;
/// Rows of a tile of floats.
pub(super) const FLOAT_ROWS: i64 = 48;
