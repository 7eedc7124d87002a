//! Owns a server whose store keeps house all the time: fold, retention, checkpoints and the deletion of tombstones are
//! always under way, so that a kill meets them.
//! It must not be another server: it is the product with other intervals, in a process that is the test itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use punctual::config::{BackupPlan, Config, Listen};
use punctual::job::Misfire;
use punctual::server;
use punctual::store::{Housekeeping, Keep, Location};
use punctual::telemetry::{LogFormat, LogLevel};

use super::server::{Server, command};

/// The name of the test that each program has which starts such servers: it calls [`serve_if_asked`].
const TEST: &str = "what_is_killed";

const DAY: Duration = Duration::from_secs(86_400);

/// Often enough that a process that lives for a second does each of them.
fn often() -> Housekeeping {
    Housekeeping {
        fold_every: Duration::from_millis(150),
        fold_slice_rows: 40,
        retain_every: Duration::from_millis(200),
        retain_look_every: Duration::from_millis(40),
        retain_slice_rows: 100,
        tombstones_every: Duration::from_millis(120),
        series_look_every: Duration::from_millis(200),
        checkpoint_every: Duration::from_millis(15),
        checkpoint_wal_min: 64 * 1024,
        wal_len_max: 512 * 1024,
        ..Housekeeping::default()
    }
}

/// What differs between the tests that have such servers.
#[derive(Clone, Copy, Debug)]
pub struct House {
    /// Of each job so many executions are kept, and no longer than this.
    pub rows_per_job: u64,
    pub age: Duration,
    /// How often a failed execution is tried again.
    pub retries: u32,
}

impl House {
    /// One in which age counts for nothing.
    pub fn keeping(rows_per_job: u64) -> House {
        House { rows_per_job, age: 30 * DAY, retries: 2 }
    }
}

/// Starts one on a free port.
pub fn start(db: &Path, house: House) -> Server {
    Server::spawn(prepared(db, house))
}

/// The command that starts one.
pub fn prepared(db: &Path, house: House) -> Command {
    // The environment of a server under test, with another program.
    let usual = command(&[]);
    let mut housed = Command::new(std::env::current_exe().expect("it is known"));
    for (name, value) in usual.get_envs() {
        match value {
            Some(value) => housed.env(name, value),
            None => housed.env_remove(name),
        };
    }
    housed.args(["--exact", TEST, "--nocapture", "--test-threads", "1"]).stdin(Stdio::null());
    let House { rows_per_job, age, retries } = house;
    housed
        .env("PUNCTUAL_TEST_DB", db)
        .env("PUNCTUAL_TEST_HOUSE", format!("{rows_per_job} {} {retries}", age.as_secs()));
    housed
}

/// Is the server, if this process was started to be one.
pub fn serve_if_asked() {
    let Some(db) = std::env::var_os("PUNCTUAL_TEST_DB") else { return };
    let text = std::env::var("PUNCTUAL_TEST_HOUSE").expect("it comes with it");
    let numbers: Vec<u64> = text.split(' ').map(|number| number.parse().expect("a number")).collect();
    let &[rows_per_job, age_s, retries] = &numbers[..] else { panic!("three numbers") };
    let retries = u32::try_from(retries).expect("it is small");
    let ended = server::run(&config(db.into(), House { rows_per_job, age: Duration::from_secs(age_s), retries }), None);
    // Nobody reads any more what a test prints in the end.
    std::process::exit(i32::from(ended.is_err()));
}

/// As the flags of the crash test have it, but for the housekeeping, so that both kinds of servers may follow each other.
pub fn config(db: PathBuf, house: House) -> Config {
    let House { rows_per_job, age, retries } = house;
    let backups = BackupPlan { folder: db.with_extension("backups"), every: Duration::from_millis(1_100), keep: 2 };
    Config {
        listen: vec![Listen::Tcp { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), over_tls: false }],
        listen_mode: 0o600,
        tls: None,
        store: Location::File(db),
        max_in_flight: 64,
        workers: None,
        timeout: Duration::from_secs(2),
        retries,
        retry_delay: Duration::from_millis(200),
        time_zone: "UTC".to_owned(),
        misfire: Misfire::Once,
        max_lateness: Duration::from_secs(600),
        drain: Duration::from_secs(10),
        keep: Keep { age, rows_per_job, bytes: 2 << 30, audit_age: 12 * age },
        housekeeping: often(),
        backups: Some(backups),
        alert_webhook: None,
        targets: "any".parse().expect("it is one"),
        ca_file: None,
        secrets_key: None,
        cors_origin: None,
        allowed_hosts: Vec::new(),
        allow_anonymous_read: false,
        bootstrap_token_file: None,
        trusted_proxies: Vec::new(),
        log: LogLevel::Error,
        log_format: LogFormat::Text,
    }
}
