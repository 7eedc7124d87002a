//! Owns the process: arguments become a configuration, the server runs, its end becomes an exit code.
//! It must not hold logic of its own.

use std::process::ExitCode;

use clap::Parser;
use punctual::bench::{self, BenchArguments, Options, Verdict};
use punctual::config::{Arguments, Command, Config};
use punctual::server;

/// What was typed is wrong.
const USAGE: u8 = 2;
/// It could not be done.
const FAILURE: u8 = 1;
/// It was measured, and a promise was not kept.
const BROKEN: u8 = 3;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if !error.use_stderr() => {
            // Help or version was asked for; nothing can be done if the output is closed.
            drop(error.print());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            eprintln!("punctual: {line} (see punctual --help)");
            return ExitCode::from(USAGE);
        }
    };
    let typed = match arguments.command {
        Some(Command::Serve(serve)) => *serve,
        Some(Command::Bench(typed)) => return measure(*typed),
        None => arguments.serve,
    };
    let config = match Config::try_from(typed) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("punctual: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match server::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("punctual: {error}");
            ExitCode::from(FAILURE)
        }
    }
}

fn measure(typed: BenchArguments) -> ExitCode {
    let options = match Options::try_from(typed) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("punctual: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let command_line: Vec<String> = std::env::args().collect();
    match bench::run(&options, &command_line) {
        Ok(Verdict::Kept) => ExitCode::SUCCESS,
        Ok(Verdict::Broken(how)) => {
            eprintln!("punctual: not on the second, once: {how}");
            ExitCode::from(BROKEN)
        }
        Err(error) => {
            eprintln!("punctual: {error}");
            ExitCode::from(FAILURE)
        }
    }
}
