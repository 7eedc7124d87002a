//! Owns what the server runs with: one type of valid values.
//! It must not know where they come from: the command line is one place.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::dispatch::Allowlist;
use crate::job::{Misfire, TargetUrl};
use crate::store::{Housekeeping, Keep, Location};
use crate::telemetry::{LogFormat, LogLevel};

/// What the server runs with; every value is valid, and so are their relations.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the API listens, beside the sockets that the process was started with. Without either it listens on this
    /// machine, port [`PORT_DEFAULT`].
    pub listen: Vec<Listen>,
    /// The mode of unix sockets.
    pub listen_mode: u32,
    /// What is spoken with where TLS is.
    pub tls: Option<TlsFiles>,
    /// Where the database is.
    pub store: Location,
    /// POSTs in flight at once.
    pub max_in_flight: u32,
    /// Threads that send; None: as many as suit the machine.
    pub workers: Option<u32>,
    /// How long one POST may take.
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// The wait before the first retry.
    pub retry_delay: Duration,
    /// The zone of jobs that name none: an IANA name, known to be one once there is zone data.
    pub time_zone: String,
    /// What becomes of missed instants.
    pub misfire: Misfire,
    /// How late a POST that was never sent may go out.
    pub max_lateness: Duration,
    /// How long a stop waits for POSTs in flight.
    pub drain: Duration,
    /// How much history is kept.
    pub keep: Keep,
    /// How often the store keeps house. There is no flag for it: what is the default suits every machine.
    pub housekeeping: Housekeeping,
    /// The backups that are made by the server; None: it makes none.
    pub backups: Option<BackupPlan>,
    /// Where failures are POSTed to.
    pub alert_webhook: Option<TargetUrl>,
    /// Where requests may go.
    pub targets: Allowlist,
    /// Root certificates beside those of the machine.
    pub ca_file: Option<PathBuf>,
    /// The key that secrets of jobs are sealed with; None: none are taken.
    pub secrets_key: Option<PathBuf>,
    /// The origin CORS allows.
    pub cors_origin: Option<String>,
    /// Names the server is called by, beside addresses and `localhost`.
    pub allowed_hosts: Vec<String>,
    /// Whether whoever has no token may read.
    pub allow_anonymous_read: bool,
    /// The file with the first token, or for it.
    pub bootstrap_token_file: Option<PathBuf>,
    /// Whose word on a client counts.
    pub trusted_proxies: Vec<IpNet>,
    /// The least severe level logged.
    pub log: LogLevel,
    /// The form of log lines.
    pub log_format: LogFormat,
}

/// The port that is listened on if nothing else is named.
pub const PORT_DEFAULT: u16 = 3000;

/// One place where the API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port.
    Tcp {
        /// Both.
        address: SocketAddr,
        /// Whether TLS is spoken there.
        over_tls: bool,
    },
    /// A unix socket, by its path.
    Unix(PathBuf),
}

impl Listen {
    /// Where a server listens that is told nothing, and was handed no socket.
    pub fn by_default(over_tls: bool) -> Listen {
        Listen::Tcp { address: SocketAddr::from((Ipv4Addr::LOCALHOST, PORT_DEFAULT)), over_tls }
    }

    /// Whether both are the same place, whatever is spoken there.
    pub fn is_at(&self, other: &Listen) -> bool {
        match (self, other) {
            (Listen::Tcp { address, .. }, Listen::Tcp { address: other, .. }) => address == other,
            (Listen::Unix(path), Listen::Unix(other)) => path == other,
            (Listen::Tcp { .. }, Listen::Unix(_)) | (Listen::Unix(_), Listen::Tcp { .. }) => false,
        }
    }

    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Listen::Tcp { address, .. } => address.ip().to_canonical().is_loopback(),
            Listen::Unix(_) => true,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp { address, over_tls: false } => write!(f, "http://{address}"),
            Listen::Tcp { address, over_tls: true } => write!(f, "https://{address}"),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The certificate that clients see, and its key: files in PEM format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that lead to a root.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The backups that the server makes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPlan {
    /// The folder they are in.
    pub folder: PathBuf,
    /// How long after one the next is made.
    pub every: Duration,
    /// How many of them are kept.
    pub keep: u32,
}
