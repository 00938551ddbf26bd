//! `tritonc completions`: scripts that complete the command line in a shell.

use super::common::Status;
use super::output;
use crate::driver::Session;
use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  tritonc completions bash > /etc/bash_completion.d/tritonc
  tritonc completions zsh > ~/.zfunc/_tritonc
  tritonc completions fish > ~/.config/fish/completions/tritonc.fish";

impl Args {
    pub fn execute(self, session: &mut Session, mut command: clap::Command) -> Status {
        let mut script = vec![];
        clap_complete::generate(self.shell, &mut command, "tritonc", &mut script);
        output::write(session, &script).into()
    }
}
