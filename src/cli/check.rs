//! `tritonc check`: reports what is wrong, and writes nothing.

use super::common::{Status, say};
use crate::driver::{Outcome, Session};

/// Check files without compiling them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Source files, or `-`
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  tritonc check mlp.tri
  tritonc check --error-format json *.tri
  tritonc check --error-format sarif src/*.tri 2> report.sarif";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        let mut status = Status::Clean;
        for file in &self.files {
            say(session, &format!("checking {file}"));
            if session.check(file) != Outcome::Done {
                status = Status::Errors;
            }
        }
        status
    }
}
