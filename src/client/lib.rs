//! Owns the commands that talk to a server by its API, as any other client does.
//! It must not reach into the server's code or file: what it needs beyond the API is what the command line has.
//!
//! In reading order: `server` (which one, how one gets in, what its answers mean) with `contexts` (names for servers) and `lines` (long answers), `failure`
//! (how a command ends) and `typed` (what was typed, shown again); `shown` (how answers are printed, with `times`) and `asking`
//! (questions, progress); `find` (the job that is meant, names); the commands: `jobs` with `listing`, `creating`, `editing` with `members`, `executions`,
//! `tail`, `schedules`, `incidents`, `silences`, `channels` and `policies` with `defining`, `nodes`, `exporting`, `applying` with `files`, and `crontab` with `curl`,
//! `wget`, `request` and `shell`.

mod applying;
mod asking;
mod channels;
mod contexts;
mod creating;
mod crontab;
mod curl;
mod defining;
mod editing;
mod executions;
mod exporting;
mod failure;
mod files;
mod find;
mod incidents;
mod jobs;
mod lines;
mod listing;
mod members;
mod nodes;
mod policies;
mod request;
mod schedules;
mod server;
mod shell;
mod shown;
mod silences;
mod tail;
mod times;
mod typed;
mod wget;

use clap::{Args, Subcommand};

pub use applying::declared;
pub use crontab::Crontab;
pub use failure::Failure;
pub use shown::{clean, coloured, print_lines};

use applying::ApplyArguments;
use channels::ChannelCommand;
use contexts::ContextCommand;
use crontab::ImportCommand;
use executions::ExecutionCommand;
use exporting::ExportArguments;
use incidents::IncidentCommand;
use jobs::JobCommand;
use nodes::NodeCommand;
use policies::PolicyCommand;
use schedules::ScheduleCommand;
use server::{Ask, Server, ServerArguments};
use shown::{OutputArguments, Shown};
use silences::SilenceCommand;

/// The commands that talk to a server.
#[derive(Subcommand, Debug)]
pub enum RemoteCommand {
    /// Jobs: list, show, create, change, run, delete
    #[command(visible_alias = "jobs")]
    Job(Group<JobCommand>),
    /// Executions: list, show, follow, replay
    #[command(visible_alias = "executions")]
    Execution(Group<ExecutionCommand>),
    /// What a schedule means
    Schedule(Group<ScheduleCommand>),
    /// Incidents: list, show, acknowledge
    #[command(visible_alias = "incidents")]
    Incident(Group<IncidentCommand>),
    /// Silences: have nothing told for some time
    #[command(visible_alias = "silences")]
    Silence(Group<SilenceCommand>),
    /// Channels over which alerts are told: list, show, set, test, delete
    #[command(visible_alias = "channels")]
    Channel(Group<ChannelCommand>),
    /// Policies: when somebody is told of trouble, how often, over which channels
    #[command(visible_alias = "policies")]
    Policy(Group<PolicyCommand>),
    /// Nodes that share a database: list, drain
    #[command(visible_alias = "nodes")]
    Node(Group<NodeCommand>),
    /// Make the server's jobs what files say
    ///
    /// A job is found by its name, or by the jobId of an export. What differs is shown, then changed, in one commit; what is
    /// the same is left alone, so applying twice changes nothing. Secrets are written as ${VARIABLE} or file:PATH.
    Apply {
        /// What, and how.
        #[command(flatten)]
        typed: ApplyArguments,
        /// Where.
        #[command(flatten)]
        with: With,
    },
    /// Write out all jobs and calendars
    Export {
        /// What, and how.
        #[command(flatten)]
        typed: ExportArguments,
        /// From where.
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Make jobs of what other programs have
    Import(Group<ImportCommand>),
    /// Ask whether the server answers at all: exit code 0 if so, 1 if not within 5 seconds
    ///
    /// For containers and other watchers that restart what does not answer. It needs no token.
    Health {
        /// Of which.
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Names for servers, each with its URL and token
    Context {
        /// How they are printed.
        #[command(flatten)]
        output: OutputArguments,
        /// What is done with them.
        #[command(subcommand)]
        command: ContextCommand,
    },
}

/// Commands about one kind of thing. Which server and which form are said once for all of them.
#[derive(Args, Debug)]
pub struct Group<C: Subcommand> {
    #[command(flatten)]
    with: With,
    #[command(subcommand)]
    command: C,
}

/// Which server is asked, and how its answers are printed.
#[derive(Args, Debug)]
pub struct With {
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    server: ServerArguments,
}

impl With {
    fn found(&self) -> Result<(Server, Shown), Failure> {
        Ok((Server::find(&self.server)?, Shown::of(&self.output)?))
    }
}

/// The file with contexts, wherever that is.
pub fn contexts_file() -> Option<std::path::PathBuf> {
    contexts::path().ok()
}

/// Does what was asked for.
///
/// # Errors
/// It was not done, or the answer is no: with what to say, and the exit code.
pub fn run(command: RemoteCommand) -> Result<(), Failure> {
    match command {
        RemoteCommand::Job(Group { with, command }) => {
            let (server, shown) = with.found()?;
            jobs::run(command, &server, &shown)
        }
        RemoteCommand::Execution(Group { with, command }) => {
            let (server, shown) = with.found()?;
            executions::run(command, &server, &shown)
        }
        RemoteCommand::Schedule(Group { with, command }) => {
            let (server, shown) = with.found()?;
            schedules::run(&command, &server, &shown)
        }
        RemoteCommand::Incident(Group { with, command }) => {
            let (server, shown) = with.found()?;
            incidents::run(command, &server, &shown)
        }
        RemoteCommand::Silence(Group { with, command }) => {
            let (server, shown) = with.found()?;
            silences::run(&command, &server, &shown)
        }
        RemoteCommand::Channel(Group { with, command }) => {
            let (server, shown) = with.found()?;
            channels::run(&command, &server, &shown)
        }
        RemoteCommand::Policy(Group { with, command }) => {
            let (server, shown) = with.found()?;
            policies::run(&command, &server, &shown)
        }
        RemoteCommand::Node(Group { with, command }) => {
            let (server, shown) = with.found()?;
            nodes::run(&command, &server, &shown)
        }
        RemoteCommand::Apply { typed, with } => {
            let (server, shown) = with.found()?;
            applying::run(&typed, &server, &shown)
        }
        RemoteCommand::Export { typed, server } => exporting::run(&typed, &Server::find(&server)?),
        RemoteCommand::Import(Group { with, command }) => {
            let (server, shown) = with.found()?;
            crontab::run(&command, &server, &shown)
        }
        RemoteCommand::Health { server } => Server::find(&server)?.ask(Ask::health()).map(drop),
        RemoteCommand::Context { output, command } => contexts::run(command, &Shown::of(&output)?),
    }
}
