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
use punctual::store::{Housekeeping, Keep};
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

/// Starts one on a free port. Of each job so many executions are kept.
pub fn start(db: &Path, rows_per_job: u64) -> Server {
    Server::spawn(prepared(db, rows_per_job, 30 * DAY))
}

/// The command that starts one, which keeps what is younger than this.
pub fn prepared(db: &Path, rows_per_job: u64, age: Duration) -> Command {
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
    housed.env("PUNCTUAL_TEST_DB", db).env("PUNCTUAL_TEST_ROWS", rows_per_job.to_string());
    housed.env("PUNCTUAL_TEST_AGE_S", age.as_secs().to_string());
    housed
}

/// Is the server, if this process was started to be one.
pub fn serve_if_asked() {
    let Some(db) = std::env::var_os("PUNCTUAL_TEST_DB") else { return };
    let number = |name: &str| std::env::var(name).expect("it comes with it").parse::<u64>().expect("a number");
    let age = Duration::from_secs(number("PUNCTUAL_TEST_AGE_S"));
    let ended = server::run(&config(db.into(), number("PUNCTUAL_TEST_ROWS"), age), None);
    // Nobody reads any more what a test prints in the end.
    std::process::exit(i32::from(ended.is_err()));
}

/// As the flags of the crash test have it, but for the housekeeping, so that both kinds of servers may follow each other.
pub fn config(db: PathBuf, rows_per_job: u64, age: Duration) -> Config {
    let backups = BackupPlan { folder: db.with_extension("backups"), every: Duration::from_millis(1_100), keep: 2 };
    Config {
        listen: vec![Listen::Tcp { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), over_tls: false }],
        listen_mode: 0o600,
        tls: None,
        db,
        max_in_flight: 64,
        workers: None,
        timeout: Duration::from_secs(2),
        retries: 2,
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
