//! `tritonc targets`: what `build` can write.

use super::common::Status;
use super::output;
use crate::driver::{Session, matrix, pipeline};

/// List the targets of `build`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print what each target supports: operations, library functions, element types (docs/targets.md)
    #[arg(long)]
    matrix: bool,
}

const EXAMPLES: &str = "\
Examples:
  tritonc targets
  tritonc targets --matrix > targets.md";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        let text = match self.matrix {
            true => matrix::page(session),
            false => Ok(listing()),
        };
        text.and_then(|text| output::write(session, text.as_bytes())).into()
    }
}

fn listing() -> String {
    let targets = pipeline::targets();
    let width = targets.iter().map(|target| target.name.len()).max().unwrap_or(0);
    targets.iter().map(|t| format!("{:width$}  {} ({})\n", t.name, t.summary, t.files)).collect()
}
