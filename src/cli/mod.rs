//! Owns the command line: which commands there are, and how each ends.
//! It must not hold logic of its own, and nobody below knows it.
//!
//! `serve` (with `listen`: where it listens), `bench` and `secrets` and `token` are the flags of the commands, so are `backup` (which
//! restores, too) and `check`, which end and print as `report` says; `flag` the values and
//! errors of any; `remote/` has those that talk to a server, `pages` makes completions and man pages of all, and
//! `help` is what those tell beside the flags.

mod backup;
mod bench;
mod check;
mod flag;
mod help;
mod listen;
mod pages;
mod remote;
mod report;
mod secrets;
mod serve;
mod token;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::bench::{self as instrument, Options, Verdict};
use crate::config::Config;
use crate::server::{self, ServeError};
use backup::{BackupArguments, RestoreArguments};
use bench::BenchArguments;
use check::CheckArguments;
use pages::{CompletionsArguments, ManArguments};
use remote::RemoteCommand;
use report::Undone;
use secrets::SecretsCommand;
use serve::ServeArguments;
use token::{Failed, TokenCommand};

/// An HTTP cron: POSTs to your URLs on the second, at least once, and tells you when it failed.
#[derive(Parser, Debug)]
#[command(name = "punctual", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// What to do; without one, serve.
    #[command(subcommand)]
    command: Option<Command>,
    /// The flags of serve, so that they work without naming it.
    #[command(flatten)]
    serve: ServeArguments,
}

/// The subcommands.
#[derive(Subcommand, Debug)]
enum Command {
    /// Run the server (the default)
    Serve(Box<ServeArguments>),
    /// Measure a server: what arrives, what is missed, how late, at what cost
    Bench(Box<BenchArguments>),
    /// Make or change the key that secrets of jobs are sealed with
    #[command(subcommand, arg_required_else_help = false)]
    Secrets(SecretsCommand),
    /// Make, list and revoke tokens: who may do what
    #[command(subcommand, arg_required_else_help = false)]
    Token(TokenCommand),
    /// Make a backup of the database, whether the server runs or not
    ///
    /// It is one state of the database: all that was acknowledged before it began. The server goes on meanwhile, and what is due
    /// is not held up. The key of its secrets is not in it. The server can also make them by itself: serve --backup-dir.
    Backup(BackupArguments),
    /// Put a backup in place of the database; the server must be stopped
    ///
    /// The backup is copied beside the database, read as a whole, and looked at as `check` does. If anything is wrong, nothing is
    /// changed. What is replaced is kept beside it. What was sent since the backup was taken may be sent again.
    Restore(RestoreArguments),
    /// Look at a database or a backup: whether it is whole, and what a start would do
    ///
    /// Nothing is started or changed. Pages, indexes, and what must hold between tables are looked at; then it is worked out what
    /// a start would do now: what is sent again, what was missed. Exit code 3 if something is wrong.
    Check(CheckArguments),
    #[command(flatten)]
    Remote(Box<RemoteCommand>),
    /// Print completions for a shell
    Completions(CompletionsArguments),
    /// Print the man page
    Man(ManArguments),
}

/// What was typed is wrong.
const USAGE: u8 = 2;
/// It could not be done.
const FAILURE: u8 = 1;
/// It ran, and the answer is no.
const NO: u8 = 3;

/// All commands. What somebody reads of them only is made where somebody does.
fn commands() -> clap::Command {
    let is_read = std::env::args().any(|word| matches!(word.as_str(), "--help" | "help" | "man"));
    help::explained(Arguments::command(), is_read)
}

/// Does what the command line asks for; the exit code says how it went.
pub fn run() -> ExitCode {
    let mut command = commands();
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) if !error.use_stderr() => {
            // Help or version was asked for; nothing can be done if the output is closed.
            drop(error.print());
            return ExitCode::SUCCESS;
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            drop(error.print());
            return ExitCode::from(USAGE);
        }
        Err(error) => {
            let words = help::words_of(&command, std::env::args().skip(1));
            eprintln!("punctual: {} (see {words} --help)", flag::first_line(&error));
            return ExitCode::from(USAGE);
        }
    };
    let typed = match arguments.command {
        Some(Command::Serve(serve)) => *serve,
        Some(Command::Bench(typed)) => return measure(*typed),
        Some(Command::Secrets(command)) => return keep_secrets(&command),
        Some(Command::Token(command)) => return about_tokens(command),
        Some(Command::Backup(typed)) => return end(backup::back_up(&typed)),
        Some(Command::Restore(typed)) => return end(backup::restore(&typed)),
        Some(Command::Check(typed)) => return end(check::check(&typed)),
        Some(Command::Remote(command)) => return talk(*command),
        Some(Command::Completions(typed)) => return print(pages::complete(&typed, &mut commands()), USAGE),
        Some(Command::Man(typed)) => return print(pages::man(&typed, commands()), FAILURE),
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
            ExitCode::from(if matches!(error, ServeError::Open(_)) { USAGE } else { FAILURE })
        }
    }
}

fn talk(command: RemoteCommand) -> ExitCode {
    let Err(failure) = remote::run(command) else { return ExitCode::SUCCESS };
    if let Some(message) = failure.message() {
        eprintln!("punctual: {message}");
    }
    ExitCode::from(failure.code())
}

fn end(done: Result<(), Undone>) -> ExitCode {
    let (error, code) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Undone::Typed(error)) => (Some(error), USAGE),
        Err(Undone::Failed(error)) => (Some(error), FAILURE),
        Err(Undone::No(said)) => (said, NO),
    };
    if let Some(error) = error {
        eprintln!("punctual: {error}");
    }
    ExitCode::from(code)
}

fn print(printed: Result<(), String>, code: u8) -> ExitCode {
    let Err(error) = printed else { return ExitCode::SUCCESS };
    eprintln!("punctual: {error}");
    ExitCode::from(code)
}

fn about_tokens(command: TokenCommand) -> ExitCode {
    let (error, code) = match token::run(command) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failed::Typed(error)) => (error, USAGE),
        Err(Failed::Undone(error)) => (error, FAILURE),
    };
    eprintln!("punctual: {error}");
    ExitCode::from(code)
}

fn keep_secrets(command: &SecretsCommand) -> ExitCode {
    match secrets::run(command) {
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
    match instrument::run(&options, &command_line) {
        Ok(Verdict::Kept) => ExitCode::SUCCESS,
        Ok(Verdict::Broken(how)) => {
            eprintln!("punctual: not on the second, once: {how}");
            ExitCode::from(NO)
        }
        Err(error) => {
            eprintln!("punctual: {error}");
            ExitCode::from(FAILURE)
        }
    }
}
