//! `tritonc explain`: what a diagnostic code means, with a wrong and a right program.

use super::common::Status;
use super::output;
use crate::base::code::TABLE;
use crate::base::render::visible_line;
use crate::base::{Code, closest};

/// Explain a diagnostic code
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A code such as E0301; without one, all codes are listed
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  tritonc explain E0301
  tritonc explain";

impl Args {
    pub fn execute(self) -> Status {
        let text = match &self.code {
            None => TABLE.iter().map(|entry| format!("{}  {}\n", entry.code, entry.title)).collect(),
            Some(code) => match Code::parse(code) {
                Some(code) => code.page().to_string(),
                None => return unknown(code),
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

fn unknown(code: &str) -> Status {
    let near = closest(code, TABLE.iter().map(|entry| entry.code.as_str()));
    let hint = near.map_or("`tritonc explain` lists them all".to_string(), |near| format!("did you mean `{near}`?"));
    output::error_line(&format!("error: there is no code `{}`; {hint}", visible_line(code)));
    Status::Usage
}
