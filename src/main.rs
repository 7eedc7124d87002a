//! Owns the process: it has a command line, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    punctual::cli::run()
}
