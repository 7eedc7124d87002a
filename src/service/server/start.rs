//! Owns start and stop: from a configuration to a running loop, and from its end to a result.
//! It must not hold anything that happens in between.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use mio::{Interest, Poll, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::access::Access;
use super::audits::Audits;
use super::backups::Backups;
use super::batches::Batches;
use super::calls::Calls;
use super::connections::Connections;
use super::engine::Engine;
use super::events::Events;
use super::gate::Gate;
use super::keys::Keys;
use super::listeners::{self, Bound, Listeners};
use super::looks::Looks;
use super::reload::{Reload, Reread};
use super::replays::Replays;
use super::supervisor::{MalformedVariable, Supervisor};
use super::telling::Telling;
use super::timer::Timer;
use super::tls::{Identity, Notify, Tls};
use super::turn::{End, LISTENERS, Loop, SIGNALS, TIMER, WAKER};
use super::usage::UsageBoard;
use super::{bootstrap, check, files, inherited, zones};
use crate::alert::Alerts;
use crate::api::{self, Cors};
use crate::clock;
use crate::config::{Config, Listen};
use crate::core::{Bounds, Input, Known, Scheduler, Settings};
use crate::dispatch::{self, DispatchSettings, Pool};
use crate::job::{Compiled, Context, RetryPolicy};
use crate::limits::{
    ALERTS_IN_FLIGHT_MAX, ARM_LEAD_US, CHANNEL_PARCELS_MAX, CLUSTER_LEAD_US, CONNECT_TIME_MAX, OUTPUT_MAX, READERS,
    SKEW_MAX, TRIALS_MAX,
};
use crate::schedule::{Zone, Zones};
use crate::store::{Database, DatabaseError};
use crate::telemetry::Logs;
use crate::vault::{KeyFileError, Vault};

/// Every request the server makes says who it is.
const USER_AGENT: &str = concat!("Punctual/", env!("CARGO_PKG_VERSION"));

/// Runs the server until it is told to stop.
///
/// With `reread` SIGHUP reads the configuration again, and what can be changed in a server that runs is changed.
///
/// # Errors
/// Says what could not be done, in one line.
pub fn run(config: &Config, reread: Option<Reread>) -> Result<(), ServeError> {
    // Before there is a second thread.
    let inherited = inherited::take().map_err(ServeError::Environment)?;
    let supervisor = Supervisor::of_environment().map_err(ServeError::Environment)?;
    let logs = Logs::start(config.log, config.log_format);
    // The port first: it tells at once of a second server, before anything is touched.
    let bound = listeners::bind(&config.listen, config.listen_mode, inherited, config.tls.is_some());
    let bound = bound.map_err(ServeError::Listen)?;
    let addresses = bound.addresses.clone();
    if config.tls.is_some() && bound.tls.is_empty() {
        let why = "--tls-cert: expected a socket that speaks TLS among those of LISTEN_FDS, or a --listen that does";
        return Err(ServeError::TlsFile(why.to_owned()));
    }
    let identity = config.tls.as_ref().map(Identity::read).transpose().map_err(ServeError::TlsFile)?;
    let zones = zones::newest();
    let zone = zones.get(&config.time_zone).map_err(|why| ServeError::TimeZone(why.message().to_owned()))?;
    let vault = config.secrets_key.as_deref().map(Vault::open_file).transpose().map_err(ServeError::SecretsKey)?;
    let keys = Keys::new(vault.as_ref().map(Vault::blind));
    let store = Database::open(&config.store, vault).map_err(ServeError::Store)?;
    let greeted = config.clone();
    let (mut serving, jobs, is_open) =
        prepare((config, reread), logs, (zones, zone), (bound, identity), (store, keys), supervisor)?;
    // Nobody may be there to read it, or the disk that it goes to is full: that is no reason not to serve.
    serving.greet_with(Box::new(move || drop(greet(&mut io::stdout().lock(), &greeted, &addresses, jobs, is_open))));
    let mut end = serving.run().map_err(ServeError::Loop)?;
    if end == End::Clean {
        end = serving.await_writer().map_err(ServeError::Loop)?;
    }
    match end {
        End::Clean => {
            tracing::info!("stopped; everything is on disk");
            serving.unfit().map_or(Ok(()), |why| Err(ServeError::Unfit(why.to_owned())))
        }
        End::Forced => Err(ServeError::Forced),
        End::Unwritten => Err(ServeError::Unwritten),
        End::WriterDied => Err(ServeError::WriterDied),
        End::TlsDied => Err(ServeError::TlsDied),
    }
}

fn prepare(
    (config, reread): (&Config, Option<Reread>),
    logs: Logs,
    (zones, zone): (Zones, Zone),
    (bound, identity): (Bound, Option<Identity>),
    (mut store, keys): (Database, Keys),
    supervisor: Supervisor,
) -> Result<(Loop, usize, bool), ServeError> {
    // Before the jobs: once much was given back at a time, what a thread gives back at its end stays with the process.
    let description = aside("description", api::openapi).map_err(ServeError::Thread)?;
    let poll = Poll::new().map_err(ServeError::Loop)?;
    let registry = poll.registry();
    // Where there is nothing to read again, a terminal that closes ends the server as ever. Whoever started it as a service
    // may ask it to reload all the same.
    let hang_up = (reread.is_some() || supervisor.is_there()).then_some(SIGHUP);
    let mut signals = Signals::new([SIGTERM, SIGINT].into_iter().chain(hang_up)).map_err(ServeError::Loop)?;
    registry.register(&mut signals, SIGNALS, Interest::READABLE).map_err(ServeError::Loop)?;
    let timer = Timer::new(registry, TIMER).map_err(ServeError::Loop)?;
    let waker = Waker::new(registry, WAKER).map_err(ServeError::Loop)?;
    let notify: Notify = Arc::new(move || {
        // It fails only if the poll is gone, and then there is nobody to wake.
        drop(waker.wake());
    });

    let files::Room { in_flight: in_flight_max, idle: idle_max, tls: tls_max } =
        files::fit(config.max_in_flight, config.tls.is_some());
    let is_shared = store.is_shared();
    let mut core = Scheduler::new(Settings {
        in_flight_max,
        retry: RetryPolicy::doubling(config.retries, config.retry_delay),
        misfire: config.misfire,
        lateness_max: config.max_lateness,
        lead_us: if is_shared { CLUSTER_LEAD_US } else { ARM_LEAD_US },
        skew_us: is_shared.then(|| i64::try_from(SKEW_MAX.as_micros()).unwrap_or(i64::MAX)),
        noise: getrandom::u64().map_err(|why| ServeError::Loop(io::Error::other(why)))?,
        bounds: Bounds::default(),
    });
    let start = clock::now();
    let mut inputs = Vec::new();
    let mut loaded = store
        .load(
            &Context { zones: Some(&zones), ..Context::at(start.wall.floor()) },
            |job| core.handle_input(Input::RestoreJob(Box::new(job)), start),
            |row| inputs.push(Input::RestoreRow(Box::new(row), Known::Nothing)),
        )
        .map_err(ServeError::Store)?;
    if let Some(file) = &config.bootstrap_token_file {
        bootstrap::add(&mut store, file, &mut loaded.tokens.1, start.wall).map_err(ServeError::Bootstrap)?;
    }
    let reached = bound.addresses.iter().find(|listen| !listen.is_local());
    let access = Access::new(reached.is_none(), config.allow_anonymous_read, loaded.tokens);
    if let Some(reached) = reached.filter(|_| !access.may_serve()) {
        return Err(ServeError::Open(reached.clone()));
    }
    if access.is_shut(start.wall) {
        let how = "`punctual token create`, or a start with --bootstrap-token-file, makes one";
        tracing::error!("all tokens are over: jobs run, and nobody is let in until there is another; {how}");
    }
    let is_open = access.is_open();

    let tls = identity
        .map(|identity| Tls::start(bound.tls, identity, config.trusted_proxies.clone(), tls_max, Arc::clone(&notify)));
    let (tls, entrance) = tls.transpose().map_err(ServeError::Thread)?.unzip();
    let entrances = Listeners::new(bound.plain, entrance, registry, LISTENERS).map_err(ServeError::Loop)?;
    let workers = config.workers.map_or_else(dispatch::default_workers, |workers| workers as usize);
    let pool = Pool::start(
        DispatchSettings {
            workers,
            in_flight_max: in_flight_max + ALERTS_IN_FLIGHT_MAX + CHANNEL_PARCELS_MAX + TRIALS_MAX as u32,
            idle_max,
            timeout: config.timeout,
            connect_timeout: config.timeout.min(CONNECT_TIME_MAX),
            user_agent: USER_AGENT.to_owned(),
            targets: config.targets.clone(),
            extra_roots: check::extra_roots(config)?,
        },
        Arc::clone(&notify),
    )
    .map_err(ServeError::Thread)?;
    let alerts = Alerts::new(config.alert_webhook.clone());
    let telling = Telling::new(config.targets.clone(), pool.trust(), Arc::clone(&notify));
    let readers = store.readers(READERS, &zones, |_, answer| api::answer(answer), Arc::clone(&notify));
    let shared = store.is_shared();
    let reload = reread.map(|reread| Reload::new(reread, config.clone(), zones.clone(), Arc::clone(&notify)));
    let readers = readers.map_err(ServeError::Thread)?;
    let plan = config.backups.clone().zip(store.backup_source());
    if plan.is_none() && config.backups.is_some() {
        tracing::warn!(
            "--backup-dir: none are made of a database on PostgreSQL, which has its own means, such as pg_dump"
        );
    }
    let backups = plan.map(|(plan, source)| Backups::start(plan, source)).transpose();
    let backups = backups.map_err(ServeError::Thread)?;
    let (writer, sharing) =
        store.start(config.keep, config.housekeeping, &zones, notify).map_err(ServeError::Thread)?;

    let mut engine = Engine::new(core, writer, pool, (alerts, telling), Events::new(start.wall), start.wall);
    let now = clock::now();
    for input in inputs {
        engine.input(input, now);
    }
    for calendar in loaded.calendars {
        engine.input(Input::RestoreCalendar(calendar), now);
    }
    for setting in loaded.settings {
        engine.input(Input::RestoreSetting(setting), now);
    }
    for incident in loaded.incidents {
        engine.input(Input::RestoreIncident(Box::new(incident)), now);
    }
    match sharing {
        // Jobs come with the shards, once others have none of them any more.
        Some(sharing) => engine.share(sharing, now),
        None => engine.input(Input::Acquired(loaded.restored), now),
    }
    engine.resume_alerts(&loaded.alerts, now);
    engine.resume_telling(loaded.channels, loaded.messages, now);

    let calls = Calls {
        gate: Gate {
            allowed_hosts: config.allowed_hosts.clone(),
            cors_origin: config.cors_origin.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
        },
        cors: Cors { origin: config.cors_origin.clone() },
        seals: config.secrets_key.is_some(),
        readers,
        shared,
        logs,
        batches: Batches::default(),
        replays: Replays::default(),
        access,
        audits: Audits::default(),
        backups,
        description,
        usage: UsageBoard::start(config.store.file()).map_err(ServeError::Thread)?,
        zones,
        zone,
        in_flight_max,
        changes_pending: 0,
        then: BTreeMap::new(),
        compiled: Compiled::default(),
        trials: BTreeMap::new(),
        channel_tests: BTreeSet::new(),
        channels_changing: BTreeMap::new(),
        lists: BTreeMap::new(),
        looks: Looks::default(),
        patches: BTreeMap::new(),
        keys,
        changes_refused: 0,
        reads_refused: 0,
        strangers: 0,
        listeners_refused: 0,
    };
    let connections = Connections::new(entrances, OUTPUT_MAX);
    let serving =
        Loop::new(poll, timer, signals, connections, engine, calls, tls, reload, supervisor, config.drain, now);
    Ok((serving, loaded.jobs, is_open))
}

/// Makes something on a thread of its own. What takes many times the memory of what comes of it, such as the description
/// of the API or the compressed page, would leave pieces between those of the loop for good; the memory of a thread is
/// given back with it.
fn aside<T: Clone + Send + 'static>(name: &str, make: fn() -> T) -> io::Result<T> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(make)?;
    let made = thread.join().map_err(|_| io::Error::other(format!("the {name} could not be made")))?;
    // What the thread made would keep its memory.
    Ok(made.clone())
}

/// What the person at the terminal needs to know next.
fn greet(to: &mut impl Write, config: &Config, listen: &[Listen], jobs: usize, is_open: bool) -> io::Result<()> {
    let (first, others) = listen.split_first().expect("the command line gives one at least");
    writeln!(to, "Punctual {} listens on {first}", env!("CARGO_PKG_VERSION"))?;
    for other in others {
        writeln!(to, "  and on {other}")?;
    }
    writeln!(to, "Data: {} ({jobs} {} loaded)", config.store, if jobs == 1 { "job" } else { "jobs" })?;
    // Where it is plain there is no certificate that a client may not trust.
    let is_plain = |listen: &&Listen| matches!(listen, Listen::Tcp { over_tls: false, .. });
    let at = match listen.iter().find(is_plain).unwrap_or(first) {
        tcp @ Listen::Tcp { .. } => tcp.to_string(),
        Listen::Unix(path) => format!("--unix-socket {} http://localhost", path.display()),
    };
    match listen.iter().find(|listen| matches!(listen, Listen::Tcp { .. })) {
        Some(tcp) => writeln!(to, "Next: open {tcp} in a browser, or register a job that fires every 10 seconds")?,
        None => writeln!(to, "Next: register a job that fires every 10 seconds")?,
    }
    let shown = if is_open { "" } else { " -H 'Authorization: Bearer TOKEN'" };
    writeln!(
        to,
        "  curl -X POST {at}/api/jobs{shown} -H 'Content-Type: application/json' \\\n    \
         -d '{{\"schedule\":\"*/10 * * * * *\",\"api\":\"http://localhost:4444/foo\",\"type\":\"ATLEAST_ONCE\"}}'"
    )?;
    writeln!(to, "Stop with Ctrl-C; then nothing is lost.")
}

/// Why the server could not run, or not end well.
#[derive(Debug)]
pub enum ServeError {
    /// What whoever started the server says in the environment is malformed.
    Environment(MalformedVariable),
    /// The address cannot be listened on.
    Listen((Listen, io::Error)),
    /// Others than this machine reach the address, and nobody would be asked for a token.
    Open(Listen),
    /// The first token cannot be had.
    Bootstrap(String),
    /// The database cannot be opened or read.
    Store(DatabaseError),
    /// There is no such zone.
    TimeZone(String),
    /// The key that secrets are sealed with cannot be used.
    SecretsKey(KeyFileError),
    /// The file with root certificates cannot be read.
    CaFile(PathBuf, io::Error),
    /// The certificate or its key cannot be used; which, and why.
    TlsFile(String),
    /// A thread cannot be started, or its settings are malformed.
    Thread(io::Error),
    /// The loop's own machinery failed.
    Loop(io::Error),
    /// A second signal cut the stop short.
    Forced,
    /// The stop came before everything could be written.
    Unwritten,
    /// The writer thread panicked.
    WriterDied,
    /// The thread that speaks TLS ended.
    TlsDied,
    /// It stopped by itself, as it lacks what the other nodes have; what that is.
    Unfit(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Environment(why) => why.fmt(f),
            ServeError::Listen((address, why)) if why.kind() == io::ErrorKind::NotFound => {
                write!(f, "failed to listen on {address}: there is no such folder")
            }
            ServeError::Listen((address, why)) => write!(f, "failed to listen on {address}: {why}"),
            ServeError::Open(address) => write!(
                f,
                "--listen: others reach {address}, and there is no token: make one with `punctual token create --scope \
                 admin --name me` (on the same --db) or --bootstrap-token-file FILE, or start with \
                 --allow-anonymous-read"
            ),
            ServeError::Bootstrap(why) => write!(f, "--bootstrap-token-file: {why}"),
            ServeError::Store(why) => why.fmt(f),
            ServeError::TimeZone(why) => write!(f, "--time-zone: {why}"),
            ServeError::SecretsKey(why) => write!(f, "--secrets-key: {why}"),
            ServeError::CaFile(path, why) => write!(f, "--ca-file: failed to read {}: {why}", path.display()),
            ServeError::TlsFile(why) => f.write_str(why),
            ServeError::Thread(why) => write!(f, "failed to start a thread: {why}"),
            ServeError::Loop(why) => write!(f, "failed to run the event loop: {why}"),
            ServeError::Forced => f.write_str("stopped at once; what was in flight is sent again at the next start"),
            ServeError::Unwritten => f.write_str(
                "failed to write everything before the stop; what is missing is sent again at the next start",
            ),
            ServeError::TlsDied => f.write_str("failed to go on: the thread that speaks TLS died"),
            ServeError::Unfit(why) => f.write_str(why),
            ServeError::WriterDied => f.write_str("failed to go on: the writer thread died"),
        }
    }
}

impl std::error::Error for ServeError {}
