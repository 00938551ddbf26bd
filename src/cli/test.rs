//! `tritonc test`: runs the `test` blocks of files.

use super::common::Status;
use super::output;
use crate::base::render::visible;
use crate::driver::{Outcome, Session};

/// Run the tests in files
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Source files, or `-`
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  tritonc test mlp.tri
  tritonc test layers/*.tri";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        let (mut passed, mut failed, mut errors) = (0, 0, false);
        for file in &self.files {
            let Ok(report) = session.test(file) else {
                errors = true;
                continue;
            };
            let mut lines = String::new();
            for test in &report.tests {
                match &test.failure {
                    None => {
                        passed += 1;
                        lines += &format!("ok      {file}: {}\n", visible(&test.name));
                    }
                    Some(why) => {
                        failed += 1;
                        lines += &format!("FAILED  {file}: {}: {}\n", visible(&test.name), visible(why));
                    }
                }
            }
            errors |= output::write(session, lines.as_bytes()).is_err();
        }
        errors |= output::write(session, format!("{passed} passed, {failed} failed\n").as_bytes()).is_err();
        Status::from(match (errors, failed) {
            (true, _) => Outcome::Errors,
            (false, 0) => Outcome::Done,
            (false, _) => Outcome::TestsFailed,
        })
    }
}
