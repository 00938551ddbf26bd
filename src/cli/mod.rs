//! The command line. Results go to standard output, diagnostics to standard error.
//!
//! Exit status: 0 done and clean, 1 errors in the input, 2 wrong usage, 3 verification or tests failed, 101 internal error.

mod build;
mod check;
mod common;
mod completions;
mod explain;
mod fix;
mod fmt;
mod inspect;
mod memory;
mod output;
mod passes;
mod quantize;
mod run;
mod table;
mod targets;
mod test;
mod verify;
mod weights;

use clap::{ColorChoice, CommandFactory, Parser, Subcommand, ValueEnum};
use common::Status;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use crate::base::render::Format;
use crate::driver::{Session, SessionOptions};

/// The compiler recurses over expressions, which may nest as deeply as the parser admits.
const STACK: usize = 256 << 20;

/// Compiles Tri, a small typed language for neural-network layers.
#[derive(Debug, Parser)]
#[command(name = "tritonc", version, max_term_width = 100, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tritonc check mlp.tri
  tritonc fix mlp.tri
  tritonc build mlp.tri --target pytorch --entry 'MLP(dim=256)' -o out
  tritonc run mlp.tri --input x=x.npy --weights mlp.safetensors -o y.npz
  tritonc verify mlp.tri --targets pytorch
  tritonc fmt mlp.tri
  tritonc quantize mlp.safetensors --scheme '*.weight=int4(group=64)' -o small.safetensors
  tritonc explain E0301

FILE may be `-` for standard input. Exit status: 0 done, 1 errors in the input, 2 wrong usage,
3 verification or tests failed, 101 internal error.";

const COMMON: &str = "Common options";

/// Options of every subcommand.
#[derive(Debug, clap::Args)]
struct Global {
    /// How diagnostics are written
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "human", help_heading = COMMON)]
    error_format: ErrorFormat,
    /// When diagnostics are coloured
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", help_heading = COMMON)]
    color: Color,
    /// Say what is being done, on standard error
    #[arg(short, long, global = true, help_heading = COMMON)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ErrorFormat {
    /// With source excerpts
    Human,
    /// One line each
    Short,
    /// One JSON object a line
    Json,
    /// One SARIF 2.1.0 document
    Sarif,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Args),
    Check(check::Args),
    Fix(fix::Args),
    Run(run::Args),
    Test(test::Args),
    Verify(verify::Args),
    Fmt(fmt::Args),
    Quantize(quantize::Args),
    Inspect(inspect::Args),
    Explain(explain::Args),
    Targets(targets::Args),
    Completions(completions::Args),
}

impl Global {
    fn session(&self) -> Session {
        let format = match self.error_format {
            ErrorFormat::Human => Format::Human,
            ErrorFormat::Short => Format::Short,
            ErrorFormat::Json => Format::Json,
            ErrorFormat::Sarif => Format::Sarif,
        };
        let color = match self.color {
            Color::Auto => terminal_has_color(),
            Color::Always => true,
            Color::Never => false,
        };
        Session::new(SessionOptions { format, color, verbose: self.verbose })
    }
}

fn terminal_has_color() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The whole program.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| output::error_line(&panic_line(info))));
    let spawned = std::thread::Builder::new().stack_size(STACK).spawn(|| execute(std::env::args_os()));
    match spawned.map(std::thread::JoinHandle::join) {
        Ok(Ok(status)) => ExitCode::from(status),
        Ok(Err(_)) => ExitCode::from(Status::Internal as u8),
        // Where memory is rationed, a program of ordinary depth still fits the stack there is.
        Err(_) => ExitCode::from(execute(std::env::args_os())),
    }
}

/// One line that asks for a report.
fn panic_line(info: &std::panic::PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    let message = owned.or(payload.downcast_ref::<&str>().copied()).unwrap_or("unknown cause");
    let place = info.location().map_or(String::new(), |place| format!(" ({}:{})", place.file(), place.line()));
    internal_error(message, &place)
}

fn internal_error(message: &str, place: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let message = crate::base::render::visible_line(message);
    format!("tritonc {version}: internal error: {message}{place}; please report it, with the command and the file")
}

/// Runs one command line; the result is the exit status.
fn execute(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::command().color(help_color(&arguments)).try_get_matches_from(arguments) {
        Ok(matches) => <Cli as clap::FromArgMatches>::from_arg_matches(&matches),
        Err(error) => Err(error),
    };
    let cli = match cli {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output with status 0, wrong usage to standard error with 2.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(Status::Usage as u8);
        }
    };
    let mut session = cli.global.session();
    let status = match cli.command {
        Command::Build(args) => args.execute(&mut session),
        Command::Check(args) => args.execute(&mut session),
        Command::Fix(args) => args.execute(&mut session),
        Command::Run(args) => args.execute(&mut session),
        Command::Test(args) => args.execute(&mut session),
        Command::Verify(args) => args.execute(&mut session),
        Command::Fmt(args) => args.execute(&mut session),
        Command::Quantize(args) => args.execute(&mut session),
        Command::Inspect(args) => args.execute(&mut session),
        Command::Explain(args) => args.execute(),
        Command::Targets(args) => args.execute(&mut session),
        Command::Completions(args) => args.execute(&mut session, Cli::command()),
    };
    output::error_text(&session.render());
    // An error that was recorded along the way counts, whatever the subcommand made of it.
    if status == Status::Clean && session.has_errors() { Status::Errors as u8 } else { status as u8 }
}

/// Usage errors come before `--color` is read, so it is looked up by hand.
fn help_color(arguments: &[OsString]) -> ColorChoice {
    let mut words = arguments.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        let value = if word == "--color" { words.next() } else { word.strip_prefix("--color=") };
        match value {
            Some("always") => return ColorChoice::Always,
            Some("never") => return ColorChoice::Never,
            _ => {}
        }
    }
    ColorChoice::Auto
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_shows_examples() {
        for command in Cli::command().get_subcommands() {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains("tritonc "), "{} has no example", command.get_name());
            assert!(command.get_about().is_some(), "{} has no description", command.get_name());
        }
    }
}
