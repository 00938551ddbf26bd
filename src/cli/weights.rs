//! Options on weights files.

use crate::driver::Reading;
use crate::driver::project_file::Settings;
use std::path::{Path, PathBuf};

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
    /// Of the weights that are `given` on the command line, or those of the project file, which may have maps of its own.
    pub fn reading(&self, given: Option<&Path>, settings: &Settings) -> (Option<PathBuf>, Reading) {
        let Some(given) = given else {
            let maps = settings.maps.clone().unwrap_or_default();
            return (settings.weights.clone(), Reading { maps, cast: settings.cast.unwrap_or_default() });
        };
        (Some(given.to_path_buf()), Reading { maps: self.maps.clone(), cast: self.cast })
    }
}
