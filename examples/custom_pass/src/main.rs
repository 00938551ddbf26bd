//! `custom_pass FILE`: prints the IR of a program after the standard passes and one more.

use custom_pass::DivisionsByPowersOfTwo;
use std::process::ExitCode;
use tritonc::driver::{BuildRequest, Emit, Session};

fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("usage: custom_pass FILE");
        return ExitCode::from(2);
    };
    let mut session = Session::default();
    session.add_pass(DivisionsByPowersOfTwo);
    let built = session.build(&file, &BuildRequest { emit: Some(Emit::Ir), ..BuildRequest::default() });
    eprint!("{}", session.render());
    for report in session.pass_reports().iter().flat_map(|form| &form.passes) {
        eprintln!("{report}");
    }
    let Ok(artifacts) = built else { return ExitCode::FAILURE };
    artifacts.iter().for_each(|artifact| print!("{}", String::from_utf8_lossy(&artifact.bytes)));
    ExitCode::SUCCESS
}
