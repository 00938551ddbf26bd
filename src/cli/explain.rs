//! `tritonc explain`: what a diagnostic code means, with a wrong and a right program; or lists of codes.

use super::common::Status;
use super::output;
use crate::base::code::{FAMILIES, TABLE, family};
use crate::base::render::visible_line;
use crate::base::{Code, closest};

/// Explain a diagnostic code
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A code such as E0301, or the beginning of several such as E03; without one, all codes are listed
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  tritonc explain E0301
  tritonc explain E03
  tritonc explain";

impl Args {
    pub fn execute(self) -> Status {
        let text = match &self.code {
            None => list(""),
            Some(code) => match (Code::parse(code), list(code)) {
                (Some(code), _) => code.page().to_string(),
                (None, list) if !list.is_empty() => list,
                (None, _) => return unknown(code),
            },
        };
        match output::try_write(text.as_bytes()) {
            Ok(()) => Status::Clean,
            Err(error) => {
                output::error_line(&format!(
                    "error: standard output cannot be written: {}",
                    crate::weights::reason(&error)
                ));
                Status::Errors
            }
        }
    }
}

/// The codes that begin like this, by family.
fn list(prefix: &str) -> String {
    let prefix = prefix.to_ascii_uppercase();
    let mut parts = vec![];
    // Longer ones are codes that lack a digit.
    if prefix.len() > FAMILIES[0].0.len() {
        return String::new();
    }
    for (name, title) in FAMILIES {
        let codes = family(name).filter(|entry| entry.code.as_str().starts_with(&prefix));
        let rows: String = codes.map(|entry| format!("  {}  {}\n", entry.code, entry.title)).collect();
        if !rows.is_empty() {
            parts.push(format!("{name}: {title}\n{rows}"));
        }
    }
    parts.join("\n")
}

fn unknown(code: &str) -> Status {
    let near = closest(code, TABLE.iter().map(|entry| entry.code.as_str()));
    let hint = near.map_or("`tritonc explain` lists them all".to_string(), |near| format!("did you mean `{near}`?"));
    output::error_line(&format!("error: there is no code `{}`; {hint}", visible_line(code)));
    Status::Usage
}
