//! The `tritonc` program.

fn main() -> std::process::ExitCode {
    tritonc::cli::main()
}
