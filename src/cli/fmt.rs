//! `tritonc fmt`: rewrites files in the one style, or says which ones are not in it.

use super::common::{Status, say};
use super::output;
use crate::base::render::{visible, visible_line};
use crate::driver::format::{FormatError, Formatted};
use crate::driver::{Failed, Session, diff};

/// Rewrite files in the one style
///
/// Files are changed in place, and those that changed are listed. Comments stay, types get their
/// canonical spelling, and the program stays the same. A file with syntax errors is left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Source files, folders (all `.tri` files below, but hidden ones), or `-` (from standard input to standard output)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Write nothing; show what would change, and end with status 1 if something would
    #[arg(long)]
    check: bool,
}

const EXAMPLES: &str = "\
Examples:
  tritonc fmt mlp.tri
  tritonc fmt --check models
  tritonc fmt - < mlp.tri";

impl Args {
    pub fn execute(self, session: &mut Session) -> Status {
        let mut worst = Status::Clean;
        for path in &self.files {
            let Ok(files) = session.files_to_format(path) else {
                worst = worse(worst, Status::Errors);
                continue;
            };
            for file in files {
                worst = worse(worst, self.file(session, &file));
            }
        }
        worst
    }

    fn file(&self, session: &mut Session, path: &str) -> Status {
        say(session, &format!("formatting {path}"));
        let formatted = match session.format(path) {
            Ok(formatted) => formatted,
            Err(FormatError::Failed) => return Status::Errors,
            Err(FormatError::Internal(what)) => {
                output::error_line(&super::internal_error(&what, ""));
                return Status::Internal;
            }
        };
        let done = if self.check {
            check(session, &formatted)
        } else if path == "-" {
            output::write(session, formatted.after.as_bytes()).map(|()| Status::Clean)
        } else {
            rewrite(session, path, &formatted)
        };
        done.unwrap_or(Status::Errors)
    }
}

/// An internal error outweighs errors in the input.
fn worse(one: Status, other: Status) -> Status {
    if one as u8 >= other as u8 { one } else { other }
}

fn rewrite(session: &mut Session, path: &str, formatted: &Formatted) -> Result<Status, Failed> {
    if formatted.is_changed() {
        session.replace(path, formatted)?;
        output::write(session, format!("{}\n", visible_line(&formatted.name)).as_bytes())?;
    }
    Ok(Status::Clean)
}

fn check(session: &mut Session, formatted: &Formatted) -> Result<Status, Failed> {
    if !formatted.is_changed() {
        return Ok(Status::Clean);
    }
    let shown = diff::unified(&visible_line(&formatted.name), &formatted.before, &formatted.after);
    output::write(session, visible(&shown).as_bytes())?;
    Ok(Status::Errors)
}
