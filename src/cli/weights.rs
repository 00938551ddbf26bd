//! Options on weights files.

use crate::driver::Reading;

/// How a weights file is read for a model.
#[derive(Debug, clap::Args)]
pub struct ReadingArgs {
    /// Renames tensors of the weights file ('model.layers.{n}.*=blocks.{n}.*'), or a .toml file with rules; may be
    /// repeated
    #[arg(long = "map", value_name = "FROM=TO|FILE.toml", requires = "weights")]
    maps: Vec<String>,
    /// Converts float tensors of the weights file to the declared float type
    #[arg(long, requires = "weights")]
    cast: bool,
}

impl ReadingArgs {
    pub fn reading(&self) -> Reading {
        Reading { maps: self.maps.clone(), cast: self.cast }
    }
}
