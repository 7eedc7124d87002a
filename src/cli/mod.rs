//! Owns the command line: which commands there are, and how each ends.
//! It must not hold logic of its own, and nobody below knows it.
//!
//! `serve` (with `listen`: where it listens) and its `settings`, from flags, environment and `file`, `doctor`, `bench` and
//! `secrets` and `token` are the flags of the commands, so are `backup` (which restores, too), `check` and `migrate`, which end and print
//! as `report` says; `flag` the values and errors of any; the package `punctual-client` has those that talk to a server, `pages`
//! makes completions and man pages of all, and
//! `help` is what those tell beside the flags.

mod backup;
mod bench;
mod check;
mod doctor;
mod file;
#[cfg(test)]
mod file_tests;
mod flag;
mod help;
mod listen;
mod migrate;
mod pages;
mod report;
mod secrets;
mod serve;
mod settings;
mod token;

use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use punctual_client::{self as client, Failure, RemoteCommand};

use crate::bench::{self as instrument, Options, Verdict};
use crate::server::{self, Reread, ServeError};
use backup::{BackupArguments, RestoreArguments};
use bench::BenchArguments;
use check::CheckArguments;
use doctor::DoctorArguments;
use migrate::MigrateArguments;
use pages::{CompletionsArguments, ManArguments};
use report::Undone;
use secrets::SecretsCommand;
use serve::ServeCommand;
use settings::{Settings, Typed};
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
    serve: ServeCommand,
}

/// The subcommands.
#[derive(Subcommand, Debug)]
enum Command {
    /// Run the server (the default)
    Serve(Box<ServeCommand>),
    /// Look at what the server depends on: clock, disk, limits, ports, names, certificates, permissions
    ///
    /// It takes the flags of serve, and its configuration file, to know what to look at. Run it as the user of the server.
    /// The exit code is 3 if something is wrong.
    Doctor(Box<DoctorArguments>),
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
    /// Move everything from a SQLite file to a PostgreSQL database, or back; both servers must be stopped
    ///
    /// Jobs, secrets, history, counters, incidents, tokens and all else is copied, then compared; what it is copied from stays.
    /// If it is broken off, the same command goes on. Until all is there no server starts on the new database. Secrets stay
    /// sealed as they are: the server needs the same --secrets-key there.
    Migrate(MigrateArguments),
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
/// It was measured or looked at, and the answer is no, or a promise is not kept.
const NO: u8 = 3;

/// All commands. What somebody reads of them only is made where somebody does.
fn commands() -> clap::Command {
    let is_read = std::env::args().any(|word| matches!(word.as_str(), "--help" | "help" | "man"));
    help::explained(Arguments::command(), is_read)
}

/// Does what the command line asks for; the exit code says how it went.
pub fn run() -> ExitCode {
    if let Some((typed, matches)) = flags_of_serve() {
        return serve(&typed, &matches);
    }
    let mut command = commands();
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let read = parsed.and_then(|matches| Ok((Arguments::from_arg_matches(&matches)?, matches)));
    let (arguments, matches) = match read {
        Ok(read) => read,
        Err(error) if !error.use_stderr() => {
            // Help or version was asked for; nothing can be done if the output is closed.
            drop(error.print());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let (typed, words) = help::typed_of(&command, std::env::args().skip(1));
            let is_unfinished = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
            if [ErrorKind::MissingSubcommand, is_unfinished].contains(&error.kind()) {
                // What there is says more than that something is missing.
                eprint!("{}", typed.clone().render_help());
                return ExitCode::from(USAGE);
            }
            eprintln!("punctual: {} (see {words} --help)", flag::first_line(&error));
            return ExitCode::from(USAGE);
        }
    };
    match arguments.command {
        Some(Command::Serve(typed)) => serve(&typed, &matches),
        None => serve(&arguments.serve, &matches),
        Some(Command::Doctor(typed)) => examine(&typed, &matches),
        Some(Command::Bench(typed)) => measure(*typed),
        Some(Command::Secrets(command)) => keep_secrets(&command),
        Some(Command::Token(command)) => about_tokens(command),
        Some(Command::Backup(typed)) => end(backup::back_up(&typed)),
        Some(Command::Restore(typed)) => end(backup::restore(&typed)),
        Some(Command::Check(typed)) => end(check::check(&typed)),
        Some(Command::Migrate(typed)) => end(migrate::migrate(&typed)),
        Some(Command::Remote(command)) => talk(*command),
        Some(Command::Completions(typed)) => print(pages::complete(&typed, &mut commands()), USAGE),
        Some(Command::Man(typed)) => print(pages::man(&typed, commands()), FAILURE),
    }
}

/// The flags of `serve` that were typed, with whatever command.
fn typed_of(matches: &ArgMatches) -> Typed {
    Typed::of(matches.subcommand().map_or(matches, |(_, matches)| matches))
}

fn examine(command: &DoctorArguments, matches: &ArgMatches) -> ExitCode {
    match doctor::run(command, &typed_of(matches)) {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(NO),
        Err(failure) => ended(&failure),
    }
}

/// What was typed, where nothing but `serve` can be meant. All other commands are not made then: on a small machine their
/// flags would stay in the memory of a server that never needs them. What is wrong is left to those that explain it.
fn flags_of_serve() -> Option<(ServeCommand, ArgMatches)> {
    let mut words = std::env::args_os().peekable();
    let program = words.next()?;
    match words.peek().and_then(|word| word.to_str()) {
        Some("serve") => drop(words.next()),
        Some(word) if !word.starts_with('-') => return None,
        Some(_) | None => {}
    }
    let command = ServeCommand::augment_args(clap::Command::new("punctual"));
    let matches = command.try_get_matches_from([program].into_iter().chain(words)).ok()?;
    Some((ServeCommand::from_arg_matches(&matches).ok()?, matches))
}

fn serve(command: &ServeCommand, matches: &ArgMatches) -> ExitCode {
    let typed = typed_of(matches);
    let settings = match typed.settle() {
        Ok(settings) => settings,
        Err(faults) => return wrong(&faults),
    };
    if command.check {
        return check_settings(&settings);
    }
    // Without a file to read again, a terminal that closes ends the server as ever.
    let has_files = settings.has_file() || settings.config.tls.is_some();
    let reread: Option<Reread> =
        has_files.then(|| Arc::new(move || typed.settle().map(|settings| settings.config)) as Reread);
    match server::run(&settings.config, reread) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("punctual: {error}");
            let is_said = matches!(error, ServeError::Open(_) | ServeError::Environment(_));
            ExitCode::from(if is_said { USAGE } else { FAILURE })
        }
    }
}

/// Says whether a server could be started with this, as far as can be known without starting one.
fn check_settings(settings: &Settings) -> ExitCode {
    let faults: Vec<String> = server::check(&settings.config).iter().map(ToString::to_string).collect();
    if !faults.is_empty() {
        return wrong(&faults);
    }
    let printed = client::print_lines(settings.lines()).map_err(|why| why.to_string());
    eprintln!("punctual: all is well; what counts is printed, with where it is from");
    print(printed, FAILURE)
}

fn wrong(faults: &[String]) -> ExitCode {
    for fault in faults {
        eprintln!("punctual: {fault}");
    }
    ExitCode::from(USAGE)
}

fn talk(command: RemoteCommand) -> ExitCode {
    client::run(command).map_or_else(|failure| ended(&failure), |()| ExitCode::SUCCESS)
}

fn ended(failure: &Failure) -> ExitCode {
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
