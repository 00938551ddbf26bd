//! `tritonc targets`: what `build` can write.

use super::common::Status;
use super::output;
use crate::driver::{Session, pipeline};

/// List the targets of `build`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

const EXAMPLES: &str = "\
Examples:
  tritonc targets";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        let targets = pipeline::targets();
        let width = targets.iter().map(|target| target.name.len()).max().unwrap_or(0);
        let lines = targets.iter().map(|t| format!("{:width$}  {} ({})\n", t.name, t.summary, t.files));
        output::write(session, lines.collect::<String>().as_bytes()).into()
    }
}
