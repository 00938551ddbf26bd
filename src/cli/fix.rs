//! `tritonc fix`: applies the edits that diagnostics are certain of.

use super::common::{Status, say};
use super::output;
use crate::base::render::{Format, visible_line};
use crate::driver::fix::Repair;
use crate::driver::{Outcome, Session, diff};

/// Apply the fixes that diagnostics are certain of
///
/// Misspelt names, missing imports, `.T` and `.to(...)`, unused variables and imports, old type spellings and
/// slips of syntax. A fix is kept only if its diagnostic is gone and the file has no more errors than before;
/// guesses are left to editors. What remains is reported as `check` would.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Source files, or `-` to write standard input, fixed, to standard output
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Examples:
  tritonc fix mlp.tri
  tritonc fix --dry-run *.tri
  tritonc fix - < mlp.tri > fixed.tri

Exit status: 0 if no errors remain, 1 if some do.";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        let mut status = Status::Clean;
        for file in &self.files {
            say(session, &format!("fixing {file}"));
            let Ok((repair, outcome)) = session.fix(file, !self.dry_run) else {
                status = Status::Errors;
                continue;
            };
            let written = self.write(session, file, &repair);
            if outcome != Outcome::Done || written.is_err() {
                status = Status::Errors;
            }
        }
        status
    }

    /// Results go to standard output: the text for `-`, the difference for `--dry-run`, else what was fixed;
    /// where there is another result, people read what was fixed beside the diagnostics.
    fn write(&self, session: &mut Session, file: &str, repair: &Repair) -> Result<(), crate::driver::Failed> {
        let list = list(repair);
        let result = match (self.dry_run, file) {
            (true, _) => diff::unified(&repair.name, &repair.before, &repair.after),
            (false, "-") => repair.after.clone(),
            (false, _) => return output::write(session, list.as_bytes()),
        };
        if session.options.format == Format::Human {
            output::error_text(&list);
        }
        output::write(session, result.as_bytes())
    }
}

/// A line for each fix, at its place in the text as it was.
fn list(repair: &Repair) -> String {
    let name = visible_line(&repair.name);
    let line = |fix: &crate::driver::fix::Applied| {
        let what = format!("{}: {}", fix.message, fix.action);
        format!("{name}:{}:{}: fixed[{}]: {}\n", fix.line, fix.column, fix.code, visible_line(&what))
    };
    repair.applied.iter().map(line).collect()
}
