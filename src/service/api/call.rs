//! Owns what a request can ask for, once it is read: a change, something in memory, something on disk.
//! It must not carry a call out.

use std::sync::Arc;

use super::batch::Lines;
use super::exposition::Format;
use super::patch::Patch;
use super::schedules::PreviewCall;
use super::stream::Stream;
use crate::access::{Scope, TokenId, TokenText};
use crate::channel::ChannelDefinition;
use crate::core::{Action, ExecutionId, JobFilter, Listing, Ranking, Run, Silence};
use crate::http::Response;
use crate::job::{JobId, JobSpec, Post};
use crate::store::{Filter, JobSearch, Query};
use crate::time::{Instant, WallUs};

/// What a request asks for.
#[derive(Debug)]
pub enum Call {
    /// A new job, for the core; its id takes randomness, which is not drawn here.
    Create(JobSpec),
    /// A change of a job, for the core.
    Change(Action),
    /// A change of a few members of a job, made over what it is now.
    Patch(Box<Patch>),
    /// A channel, for the core; what it becomes depends on what it is.
    PutChannel(Arc<str>, Box<ChannelDefinition>),
    /// Something that is sent once over a channel.
    TestChannel(Arc<str>),
    /// Executions that are looked up, and all done again.
    ReplayAll {
        /// Which.
        query: Query,
        /// The same in words.
        filter: Filter,
        /// Only say which they are.
        dry_run: bool,
    },
    /// Changes of many jobs, of which the body has a line each; it is read bit by bit.
    Batch {
        /// What the lines are.
        lines: Lines,
        /// Only say what would become of each.
        dry_run: bool,
    },
    /// Something that is sent once, and not saved.
    Try(Arc<Post>),
    /// An execution that is looked up, and done again.
    Replay(ExecutionId, Box<Run>),
    /// Something the loop has in memory.
    Read(Read),
    /// Something a reader thread has to look up.
    Query(Query),
    /// What a schedule means, beside what the core knows of other jobs.
    Preview(Box<PreviewCall>),
    /// A page of jobs, for which memory is looked through.
    Jobs(Listing),
    /// The targets that matter most, for which memory is looked through.
    Targets(Ranking),
    /// What happened in the last hour and what is due in the next, for which memory is looked through.
    Timeline,
    /// A page of jobs that a reader has to find, of those that are like this.
    Search(JobSearch, JobFilter),
    /// Something that is made in pieces, as the client takes them.
    Stream(Stream),
    /// A node that is to give away all it has.
    DrainNode(Box<str>),
    /// Something about tokens.
    Token(TokenCall),
    /// Known without asking anybody.
    Ready(Response),
}

/// What is asked of tokens.
#[derive(Debug)]
pub enum TokenCall {
    /// All of them.
    List,
    /// A new one.
    Create {
        /// What people call it.
        name: String,
        /// What it lets somebody do.
        scope: Scope,
        /// From when on it does not count.
        expires_at: Option<WallUs>,
    },
    /// One's end.
    Revoke(TokenId),
    /// A browser shows a token, or what is none.
    SignIn(Option<TokenText>),
    /// A browser shows its session for the last time.
    SignOut,
    /// Whoever asks wants to know what he may do.
    WhoAmI,
}

impl Call {
    /// Whether its client waits for long: until an execution ends, or for what several nodes do.
    pub fn waits(&self) -> bool {
        match self {
            Call::Change(Action::Run(run)) | Call::Replay(_, run) => run.wait.is_some(),
            Call::Batch { .. } | Call::ReplayAll { .. } => true,
            _ => false,
        }
    }

    /// Whether it changes something, if all goes well.
    pub fn changes(&self) -> bool {
        match self {
            Call::Create(_)
            | Call::Change(_)
            | Call::Patch(_)
            | Call::PutChannel(..)
            | Call::Replay(..)
            | Call::ReplayAll { .. }
            | Call::Batch { dry_run: false, .. }
            | Call::Token(TokenCall::Create { .. } | TokenCall::Revoke(_)) => true,
            Call::Batch { dry_run: true, .. }
            | Call::Read(_)
            | Call::Query(_)
            | Call::Preview(_)
            | Call::Jobs(_)
            | Call::Targets(_)
            | Call::Timeline
            | Call::Search(..)
            | Call::Try(_)
            | Call::TestChannel(_)
            | Call::DrainNode(_)
            | Call::Stream(_)
            | Call::Token(TokenCall::List | TokenCall::SignIn(_) | TokenCall::SignOut | TokenCall::WhoAmI)
            | Call::Ready(_) => false,
        }
    }

    /// The same, saying by whom it is where that is kept with what it makes.
    #[must_use]
    pub fn by(self, name: impl FnOnce() -> Option<Box<str>>) -> Call {
        match self {
            Call::Change(Action::Silence(silence)) => Call::Change(Action::Silence(Silence { by: name(), ..silence })),
            Call::Change(Action::Acknowledge { id, note, .. }) => {
                Call::Change(Action::Acknowledge { id, by: name(), note })
            }
            other => other,
        }
    }
}

/// What the loop has in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// One job.
    Job(JobId),
    /// Metrics, with the next jobs to fire.
    Metrics {
        /// How many jobs.
        limit: usize,
    },
    /// Metrics as text.
    Exposition {
        /// Of which jobs beside all that concerns none.
        jobs: Box<[JobId]>,
        /// In which format.
        format: Format,
    },
    /// One calendar.
    Calendar(Arc<str>),
    /// All calendars.
    Calendars,
    /// All channels.
    Channels,
    /// One channel.
    Channel(Arc<str>),
    /// All silences.
    Silences,
    /// The policies of the server and of tags.
    Policies,
    /// The policy that counts for a job.
    Policy(JobId),
    /// The instants of the past that a job's schedule has between two seconds.
    Past {
        /// Which job.
        id: JobId,
        /// The first second.
        from: Instant,
        /// The last one.
        to: Instant,
    },
    /// The nodes that share the database.
    Nodes,
    /// Whether all is well.
    Health,
    /// Whether the loop turns.
    Live,
    /// Whether clients may come.
    Ready,
    /// Who is there.
    Info,
    /// The description of the API.
    OpenApi,
}

impl Read {
    /// The jobs that it is about.
    pub fn jobs(&self) -> &[JobId] {
        match self {
            Read::Job(id) | Read::Policy(id) | Read::Past { id, .. } => std::slice::from_ref(id),
            Read::Exposition { jobs, .. } => jobs,
            // What is due next at this node.
            Read::Metrics { .. } => &[],
            Read::Calendar(_) | Read::Calendars | Read::Channels | Read::Channel(_) | Read::Silences => &[],
            Read::Policies | Read::Nodes | Read::Health | Read::Live | Read::Ready | Read::Info | Read::OpenApi => &[],
        }
    }
}
