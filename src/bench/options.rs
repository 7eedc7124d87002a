//! Owns what a run is to measure: every value valid, and so are their relations.
//! It must not parse anything: the command line does.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use super::spread::Spread;
use crate::schedule::Schedule;

/// What a run measures; every value is valid, and so are their relations.
#[derive(Clone, Debug)]
pub struct Options {
    /// Jobs that are measured.
    pub jobs: u32,
    /// Jobs that are created with one request.
    pub batch: u32,
    /// Whole seconds of the window.
    pub seconds: u32,
    /// Whole seconds between the last creation and the window.
    pub warm_up: u32,
    /// When the jobs are due.
    pub schedule: Schedule,
    /// Seconds kept for creating jobs that begin together; 0 if they do not.
    pub begin: u32,
    /// The shape of the load.
    pub mode: Mode,
    /// How jobs and targets belong together.
    pub spread: Spread,
    /// Whether the receiver speaks TLS.
    pub tls: bool,
    /// Threads that receive.
    pub receivers: u32,
    /// How long the receiver waits before it answers.
    pub delay: Duration,
    /// The share of first attempts that is answered 500.
    pub fail_per_cent: u32,
    /// The port of the first target; 0: any.
    pub port: u16,
    /// Who is measured.
    pub subject: Subject,
    /// How long the first arrival of jobs that exist elsewhere is awaited.
    pub wait: Duration,
    /// How long before its second an arrival without a header may come, in microseconds.
    pub slack_us: i64,
    /// Jobs beside the measured ones, due tomorrow.
    pub idle_jobs: u32,
    /// Jobs beside the measured ones, due every second in the middle of the window.
    pub overload: Option<OverloadOptions>,
    /// Jobs created in every second of the window.
    pub api_creates: u32,
    /// Jobs read in every second of the window.
    pub api_gets: u32,
    /// How long each limit of the machine is measured.
    pub limit_time: Duration,
    /// Where the result goes as JSON.
    pub json: Option<PathBuf>,
    /// Where the result goes as SVG.
    pub plot: Option<PathBuf>,
    /// Whether missed instants are no failure.
    pub allow_missed: bool,
}

impl Options {
    /// The database that our own servers share, if they do.
    pub fn shared(&self) -> Option<&SharedOptions> {
        match &self.subject {
            Subject::Child(child) => child.shared.as_ref(),
            Subject::Api { .. } | Subject::Elsewhere { .. } => None,
        }
    }

    /// Whether a node is killed in the middle of the window.
    pub(super) fn kills(&self) -> bool {
        self.shared().is_some_and(|shared| shared.kill)
    }
}

/// More than there is room for, perhaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverloadOptions {
    /// How many jobs are due every second.
    pub jobs: u32,
    /// For how many seconds.
    pub seconds: u32,
    /// How many seconds of the window come before it.
    pub before: u32,
}

/// The shape of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A window of seconds.
    Window,
    /// Everything on single seconds.
    Burst,
    /// A long window with a line a minute.
    Soak,
}

/// Who is measured.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A server of our own, or several that share a database.
    Child(ChildOptions),
    /// A server that runs already.
    Api {
        /// Where it listens.
        address: SocketAddr,
        /// What it is called in the `Host` header.
        host: String,
        /// Its processes.
        pids: Vec<u32>,
    },
    /// Anything that POSTs to the receiver.
    Elsewhere {
        /// Its processes.
        pids: Vec<u32>,
    },
}

/// How our own server is started.
#[derive(Clone, Debug)]
pub struct ChildOptions {
    /// Flags of `serve`.
    pub flags: Vec<String>,
    /// The database on a PostgreSQL server that they share. None: one server with a file of its own.
    pub shared: Option<SharedOptions>,
    /// Where its temporary files are made.
    pub folder: PathBuf,
    /// Whether database and log stay.
    pub keep: bool,
    /// Finished executions that its database holds beforehand.
    pub history: u32,
    /// How many POSTs may be in flight, as the flags say.
    pub max_in_flight: u32,
}

/// The database that our own servers share, and how many they are.
#[derive(Clone)]
pub struct SharedOptions {
    /// Where it is, with the password if there is one.
    pub url: String,
    /// How many nodes.
    pub nodes: u32,
    /// Whether one of them is killed in the middle of the window.
    pub kill: bool,
}

impl fmt::Debug for SharedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes on a shared database", self.nodes)
    }
}
