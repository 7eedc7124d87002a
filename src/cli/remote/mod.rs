//! Owns the commands that talk to a server by its API, as any other client does.
//! It must not reach into the server's code or file: what it needs beyond the API is what the command line has.
//!
//! In reading order: `server` (which one, how one gets in, what its answers mean) with `contexts` (names for servers), `failure`
//! (how a command ends) and `typed` (what was typed, shown again); `shown` (how answers are printed) and `asking`
//! (questions, progress); `find` (the job that is meant); the commands: `jobs`, `creating`, `editing` with `members`, `executions`,
//! `tail`, `schedules`, `exporting`, `applying` with `files`, and `crontab` with `curl` and `shell`.

mod applying;
mod asking;
mod contexts;
mod creating;
mod crontab;
mod curl;
mod editing;
mod executions;
mod exporting;
mod failure;
mod files;
mod find;
mod jobs;
mod members;
mod schedules;
mod server;
mod shell;
mod shown;
mod tail;
mod typed;

use clap::Subcommand;

pub(super) use failure::{EXIT_CODES, Failure};

/// The commands that talk to a server.
#[derive(Subcommand, Debug)]
pub(super) enum RemoteCommand {
    /// Jobs: list, show, create, change, run, delete
    #[command(subcommand, visible_alias = "jobs")]
    Job(Box<jobs::JobCommand>),
    /// Executions: list, show, follow, replay
    #[command(subcommand, visible_alias = "executions")]
    Execution(Box<executions::ExecutionCommand>),
    /// What a schedule means
    #[command(subcommand)]
    Schedule(schedules::ScheduleCommand),
    /// Make the server's jobs what files say
    ///
    /// A job is found by its name, or by the jobId of an export. What differs is shown, then changed, in one commit; what is
    /// the same is left alone, so applying twice changes nothing. Secrets are written as ${VARIABLE} or file:PATH.
    Apply(applying::ApplyArguments),
    /// Write out all jobs and calendars
    Export(exporting::ExportArguments),
    /// Make jobs of what other programs have
    #[command(subcommand)]
    Import(crontab::ImportCommand),
    /// Names for servers, each with its URL and token
    #[command(subcommand)]
    Context(contexts::ContextCommand),
}

/// Does what was asked for.
pub(super) fn run(command: RemoteCommand) -> Result<(), Failure> {
    match command {
        RemoteCommand::Job(command) => jobs::run(*command),
        RemoteCommand::Execution(command) => executions::run(*command),
        RemoteCommand::Schedule(command) => schedules::run(command),
        RemoteCommand::Apply(typed) => applying::run(&typed),
        RemoteCommand::Export(typed) => exporting::run(&typed),
        RemoteCommand::Import(command) => crontab::run(command),
        RemoteCommand::Context(command) => contexts::run(command),
    }
}
