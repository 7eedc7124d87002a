//! Owns the flags of `serve`: what was typed becomes what is valid, in one place.
//! It must not open, start or print anything.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::flag::{self, FILE_DEFAULT, InvalidFlag};
use super::listen;
use super::settings::Typed;
use crate::config::{BackupPlan, Config};
use crate::dispatch::{Allowlist, MalformedAllowlist};
use crate::job::{Misfire, TargetUrl};
use crate::limits::NODE_NAME_LEN_MAX;
use crate::postgres::Url;
use crate::store::{Housekeeping, Keep, Location};
use crate::telemetry::{LogFormat, LogLevel};
use crate::vault;

/// How many minutes lie between two backups, unless it is said.
const BACKUP_EVERY_MINUTES: u32 = 1_440;
/// How many are kept, unless it is said.
const BACKUP_KEEP: u32 = 7;

/// The command, as typed.
#[derive(Args, Debug, Clone)]
pub struct ServeCommand {
    #[command(flatten)]
    settings: ServeArguments,
    /// Start nothing: read the flags, the environment, the file of --config and all files they name, and say what is wrong
    #[arg(long)]
    pub check: bool,
}

/// The flags of `serve`, as typed. They are the only list of what can be set: the environment's variables and the keys of
/// the configuration file are made of it.
#[derive(Args, Debug, Clone)]
pub struct ServeArguments {
    /// A file with settings (TOML): its keys are these flags without dashes. A flag counts before the environment, that
    /// before the file. SIGHUP reads it again
    #[arg(long, env = "PUNCTUAL_CONFIG", value_name = "FILE")]
    pub config: Option<String>,
    /// Where the API listens: ADDRESS:PORT (port 0 takes any free one) or unix:/path/to.sock; several with commas or
    /// flags. With --tls-cert an address speaks TLS; http://ADDRESS:PORT is plain all the same. Unless given, the sockets
    /// that systemd hands over (LISTEN_FDS), or else 127.0.0.1:3000
    #[arg(long, env = "PUNCTUAL_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    pub listen: Vec<String>,
    /// The mode of unix sockets, in octal: who may use the API through them
    #[arg(long, env = "PUNCTUAL_LISTEN_MODE", value_name = "MODE", default_value = "0660")]
    pub listen_mode: String,
    /// The certificate that clients of the API see (PEM), with those that lead to a root; SIGHUP reads it again
    #[arg(long, env = "PUNCTUAL_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// The key of that certificate (PEM)
    #[arg(long, env = "PUNCTUAL_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<String>,
    /// The SQLite file; it and its folder are created if missing
    #[arg(long, env = "PUNCTUAL_DB", value_name = "FILE", default_value = FILE_DEFAULT)]
    pub db: String,
    /// A PostgreSQL database in place of the file: postgres://USER:PASSWORD@HOST/DATABASE; its tables are made there. The
    /// password may also come from PGPASSWORD or PGPASSFILE
    #[arg(long, env = "PUNCTUAL_STORE", value_name = "URL")]
    pub store: Option<String>,
    /// What this server is called in that database; unless given, as the machine is
    #[arg(long, env = "PUNCTUAL_NODE", value_name = "NAME")]
    pub node: Option<String>,
    /// How many POSTs may be in flight at once (1-100000); fewer if the system does not give as many open files
    #[arg(long, env = "PUNCTUAL_MAX_IN_FLIGHT", value_name = "N", default_value = "12000")]
    pub max_in_flight: String,
    /// How many threads send (1-64); unless given, one for every two cores, at most 4
    #[arg(long, env = "PUNCTUAL_WORKERS", value_name = "N")]
    pub workers: Option<String>,
    /// How long one POST may take, in milliseconds (1-3600000)
    #[arg(long, env = "PUNCTUAL_TIMEOUT_MS", value_name = "MS", default_value = "30000")]
    pub timeout_ms: String,
    /// How often a failed POST is repeated (0-100)
    #[arg(long, env = "PUNCTUAL_RETRIES", value_name = "N", default_value = "3")]
    pub retries: String,
    /// The wait before the first retry, in milliseconds; it doubles each time, up to an hour (0-3600000)
    #[arg(long, env = "PUNCTUAL_RETRY_DELAY_MS", value_name = "MS", default_value = "1000")]
    pub retry_delay_ms: String,
    /// The zone of jobs that name none, as an IANA name such as Europe/Berlin; jobs that exist keep theirs
    #[arg(long, env = "PUNCTUAL_TIME_ZONE", value_name = "ZONE", default_value = "UTC")]
    pub time_zone: String,
    /// What becomes of times that passed while the server was down: once (one run for the latest), all (up to 100
    /// runs), skip (only a record)
    #[arg(long, env = "PUNCTUAL_MISFIRE", value_name = "POLICY", default_value = "once")]
    pub misfire: String,
    /// How late a POST that was never sent may still go out, in milliseconds; beyond, it is recorded as missed
    #[arg(long, env = "PUNCTUAL_MAX_LATENESS_MS", value_name = "MS", default_value = "600000")]
    pub max_lateness_ms: String,
    /// How long a stop waits for POSTs in flight, in milliseconds (0-3600000)
    #[arg(long, env = "PUNCTUAL_DRAIN_MS", value_name = "MS", default_value = "10000")]
    pub drain_ms: String,
    /// How many days finished executions and alerts are kept (1-3650)
    #[arg(long, env = "PUNCTUAL_KEEP_DAYS", value_name = "DAYS", default_value = "30")]
    pub keep_days: String,
    /// How many finished executions of each job are kept (1-100000000)
    #[arg(long, env = "PUNCTUAL_KEEP_PER_JOB", value_name = "N", default_value = "100000")]
    pub keep_per_job: String,
    /// How large the database may grow before the oldest history goes, in MiB (16-1000000)
    #[arg(long, env = "PUNCTUAL_KEEP_MIB", value_name = "MIB", default_value = "2048")]
    pub keep_mib: String,
    /// How many days it is kept who did what (1-3650)
    #[arg(long, env = "PUNCTUAL_KEEP_AUDIT_DAYS", value_name = "DAYS", default_value = "365")]
    pub keep_audit_days: String,
    /// A folder in which the server keeps backups of the database that it makes while it runs; none are made unless given
    #[arg(long, env = "PUNCTUAL_BACKUP_DIR", value_name = "FOLDER")]
    pub backup_dir: Option<String>,
    /// How many minutes after a backup the next one is made (1-525600); unless given, 1440, which is a day
    #[arg(long, env = "PUNCTUAL_BACKUP_EVERY_MINUTES", value_name = "MINUTES")]
    pub backup_every_minutes: Option<String>,
    /// How many of these backups are kept (1-1000); unless given, 7
    #[arg(long, env = "PUNCTUAL_BACKUP_KEEP", value_name = "N")]
    pub backup_keep: Option<String>,
    /// Where failures are POSTed to; without one they are only logged and listed
    #[arg(long, env = "PUNCTUAL_ALERT_WEBHOOK", value_name = "URL")]
    pub alert_webhook: Option<String>,
    /// Where requests of jobs, trials and alerts may go: any; public (addresses of the Internet); lan (private networks,
    /// 100.64.0.0/10 and this machine, and nowhere else); networks such as 10.0.0.0/8. Several with commas: what one of
    /// them allows is allowed. A name is judged by the addresses that it leads to
    #[arg(long, env = "PUNCTUAL_TARGETS", value_name = "LIST", default_value = "any")]
    pub targets: String,
    /// A file with root certificates (PEM) that targets and the alert webhook are trusted by, beside those of this machine
    #[arg(long, env = "PUNCTUAL_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<String>,
    /// The file with the key that secrets of jobs are sealed with; `punctual secrets init FILE` makes one. Unless given,
    /// the systemd credential punctual.secrets-key, if there is one
    #[arg(long, env = "PUNCTUAL_SECRETS_KEY", value_name = "FILE")]
    pub secrets_key: Option<String>,
    /// The origin whose web pages may use the API (CORS), or * for any, which may only read
    #[arg(long, env = "PUNCTUAL_CORS_ORIGIN", value_name = "ORIGIN")]
    pub cors_origin: Option<String>,
    /// A name that clients call the server by, beside IP addresses and localhost; several with commas or flags
    #[arg(long, env = "PUNCTUAL_ALLOWED_HOST", value_name = "NAME", value_delimiter = ',')]
    pub allowed_host: Vec<String>,
    /// Let whoever has no token read everything but tokens and the audit log
    #[arg(long, env = "PUNCTUAL_ALLOW_ANONYMOUS_READ")]
    pub allow_anonymous_read: bool,
    /// A file with a token that may administer, or for one: if it is not there, a token is made and written to it. Only as
    /// long as there is no other token
    #[arg(long, env = "PUNCTUAL_BOOTSTRAP_TOKEN_FILE", value_name = "FILE")]
    pub bootstrap_token_file: Option<String>,
    /// The addresses (CIDR) of proxies whose Forwarded and X-Forwarded-* are believed; several with commas or flags
    #[arg(long, env = "PUNCTUAL_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxy: Vec<String>,
    /// The least severe log level: error, warn, info or debug
    #[arg(long, env = "PUNCTUAL_LOG", value_name = "LEVEL", default_value = "info")]
    pub log: String,
    /// The form of the log on standard error: text or json
    #[arg(long, env = "PUNCTUAL_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: String,
}

impl TryFrom<ServeArguments> for Config {
    type Error = InvalidFlag;

    fn try_from(typed: ServeArguments) -> Result<Config, InvalidFlag> {
        let tls = listen::tls_files(typed.tls_cert, typed.tls_key)?;
        if typed.db.is_empty() || typed.db.ends_with('/') {
            return Err(invalid("--db", &typed.db, "the path of a file"));
        }
        let alert_webhook = match &typed.alert_webhook {
            None => None,
            Some(url) => Some(TargetUrl::parse(url).map_err(|why| {
                let why = why.to_string();
                invalid("--alert-webhook", url, why.trim_start_matches("expected "))
            })?),
        };
        if let Some(origin) = &typed.cors_origin {
            check_origin(origin)?;
        }
        Ok(Config {
            listen: listen::addresses(&typed.listen, tls.as_ref())?,
            listen_mode: listen::mode(&typed.listen_mode)?,
            tls,
            store: location(typed.db, typed.store.as_deref(), typed.node)?,
            max_in_flight: number("--max-in-flight", &typed.max_in_flight, 1, 100_000)?,
            workers: typed.workers.as_deref().map(|text| number("--workers", text, 1, 64)).transpose()?,
            timeout: millis("--timeout-ms", &typed.timeout_ms, 1, 3_600_000)?,
            retries: number("--retries", &typed.retries, 0, 100)?,
            retry_delay: millis("--retry-delay-ms", &typed.retry_delay_ms, 0, 3_600_000)?,
            time_zone: typed.time_zone,
            misfire: Misfire::from_name(&typed.misfire)
                .ok_or_else(|| invalid("--misfire", &typed.misfire, "once, all or skip"))?,
            max_lateness: millis("--max-lateness-ms", &typed.max_lateness_ms, 1_000, 604_800_000)?,
            drain: millis("--drain-ms", &typed.drain_ms, 0, 3_600_000)?,
            keep: Keep {
                age: days("--keep-days", &typed.keep_days)?,
                rows_per_job: number("--keep-per-job", &typed.keep_per_job, 1, 100_000_000)?.into(),
                audit_age: days("--keep-audit-days", &typed.keep_audit_days)?,
                bytes: u64::from(number("--keep-mib", &typed.keep_mib, 16, 1_000_000)?) << 20,
            },
            housekeeping: Housekeeping::default(),
            backups: backups(typed.backup_dir, typed.backup_every_minutes.as_deref(), typed.backup_keep.as_deref())?,
            alert_webhook,
            targets: targets(&typed.targets)?,
            ca_file: typed.ca_file.map(PathBuf::from),
            secrets_key: typed.secrets_key.map(PathBuf::from).or_else(vault::credential),
            cors_origin: typed.cors_origin,
            allowed_hosts: typed.allowed_host.iter().map(|name| host_name(name)).collect::<Result<_, _>>()?,
            allow_anonymous_read: typed.allow_anonymous_read,
            bootstrap_token_file: typed.bootstrap_token_file.map(PathBuf::from),
            trusted_proxies: typed.trusted_proxy.iter().map(|text| network(text)).collect::<Result<_, _>>()?,
            log: choice("--log", &typed.log, &LogLevel::NAMES)?,
            log_format: choice("--log-format", &typed.log_format, &LogFormat::NAMES)?,
        })
    }
}

/// Where the database is.
fn location(db: String, store: Option<&str>, node: Option<String>) -> Result<Location, InvalidFlag> {
    let Some(store) = store else {
        return match node {
            Some(node) => Err(invalid("--node", &node, "--store beside it")),
            None => Ok(Location::File(db.into())),
        };
    };
    // The URL may hold a password: it is not repeated.
    let url = Url::parse(store).map_err(|why| InvalidFlag::secret("--store", &why.to_string()).with_environment())?;
    let node = node.unwrap_or_else(machine_name);
    if node.is_empty() || node.len() > NODE_NAME_LEN_MAX || node.chars().any(char::is_control) {
        return Err(invalid("--node", &node, "a name of up to 63 bytes"));
    }
    Ok(Location::Server { url: Box::new(url), node })
}

/// What this machine is called.
fn machine_name() -> String {
    // Not from /proc, which a service may not see.
    let machine = rustix::system::uname();
    let name = machine.nodename().to_string_lossy();
    let name = name.trim();
    if name.is_empty() { "punctual".to_owned() } else { name.chars().take(NODE_NAME_LEN_MAX / 4).collect() }
}

/// What the server backs up by itself.
fn backups(folder: Option<String>, every: Option<&str>, keep: Option<&str>) -> Result<Option<BackupPlan>, InvalidFlag> {
    let minutes = |text| number("--backup-every-minutes", text, 1, 525_600);
    let (minutes, keep) = (every.map(minutes).transpose()?, keep.map(|text| number("--backup-keep", text, 1, 1_000)));
    let keep = keep.transpose()?;
    match folder {
        Some(folder) if folder.is_empty() => Err(invalid("--backup-dir", &folder, "the path of a folder")),
        Some(folder) => Ok(Some(BackupPlan {
            folder: folder.into(),
            every: Duration::from_secs(60 * u64::from(minutes.unwrap_or(BACKUP_EVERY_MINUTES))),
            keep: keep.unwrap_or(BACKUP_KEEP),
        })),
        None => match (minutes, keep) {
            (Some(minutes), _) => Err(lone("--backup-every-minutes", minutes)),
            (None, Some(keep)) => Err(lone("--backup-keep", keep)),
            (None, None) => Ok(None),
        },
    }
}

/// A flag that says how, without the one that says that.
fn lone(flag: &'static str, value: u32) -> InvalidFlag {
    invalid(flag, &value.to_string(), "--backup-dir beside it")
}

/// `*`, or a scheme and an authority: what browsers send as `Origin` (RFC 6454 section 6.2).
fn check_origin(origin: &str) -> Result<(), InvalidFlag> {
    let is_origin = || {
        let (scheme, rest) = origin.split_once("://")?;
        let plain = !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ']) && rest.is_ascii();
        (matches!(scheme, "http" | "https") && plain && !rest.chars().any(char::is_control)).then_some(())
    };
    if origin == "*" || is_origin().is_some() {
        return Ok(());
    }
    Err(invalid("--cors-origin", origin, "an origin such as https://example.com (no path), or *"))
}

/// A name without scheme, port or path: what stands in `Host`, the port left out.
fn host_name(name: &str) -> Result<String, InvalidFlag> {
    let is_name = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.strip_suffix('.').unwrap_or(name).split('.').all(is_name) {
        return Ok(name.to_owned());
    }
    Err(invalid("--allowed-host", name, "a host name such as cron.example.com (no scheme, no port)"))
}

/// Where requests may go.
fn targets(text: &str) -> Result<Allowlist, InvalidFlag> {
    text.parse().map_err(|why: MalformedAllowlist| invalid("--targets", text, &why.to_string()))
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, InvalidFlag> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| address())
        .map_err(|_| invalid("--trusted-proxy", text, "an address or a network such as 10.0.0.0/8 or fd00::/8"))
}

fn number(flag: &'static str, text: &str, least: u32, most: u32) -> Result<u32, InvalidFlag> {
    flag::number(flag, text, least, most).map_err(InvalidFlag::with_environment)
}

fn days(flag: &'static str, text: &str) -> Result<Duration, InvalidFlag> {
    number(flag, text, 1, 3_650).map(|days| Duration::from_secs(86_400 * u64::from(days)))
}

fn millis(flag: &'static str, text: &str, least: u32, most: u32) -> Result<Duration, InvalidFlag> {
    number(flag, text, least, most).map(|ms| Duration::from_millis(ms.into()))
}

fn choice<T: Copy>(flag: &'static str, text: &str, names: &[(&str, T)]) -> Result<T, InvalidFlag> {
    let found = names.iter().find(|(name, _)| *name == text).map(|&(_, value)| value);
    let expected = || names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| invalid(flag, text, &format!("one of {}", expected())))
}

fn invalid(flag: &'static str, value: &str, expected: &str) -> InvalidFlag {
    InvalidFlag::new(flag, value, expected).with_environment()
}

/// Reads flags of `serve` that stand somewhere else than on our own command line.
pub(super) fn parse<'a>(flags: impl Iterator<Item = &'a str>) -> Result<Config, String> {
    let settings = Typed::of_words(flags).settle();
    settings.map(|settings| settings.config).map_err(|faults| faults.join("; "))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::super::Arguments;
    use super::super::flag::environment_of;
    use super::*;

    fn config(flags: &[&str]) -> Result<Config, InvalidFlag> {
        let typed = ["punctual"].iter().chain(flags);
        Config::try_from(Arguments::try_parse_from(typed).expect("clap takes any text").serve.settings)
    }

    #[test]
    fn the_defaults_are_valid_and_every_flag_has_its_environment_variable() {
        let config = config(&[]).expect("the defaults are valid");
        assert!(config.listen.is_empty(), "the server knows whether it was handed sockets");
        assert_eq!(config.max_in_flight, 12_000);
        for argument in Arguments::command().get_arguments().filter(|argument| argument.get_long().is_some()) {
            let flag = argument.get_long().expect("filtered");
            if !["help", "version", "check"].contains(&flag) {
                let environment = argument.get_env().and_then(|name| name.to_str());
                assert_eq!(environment, Some(environment_of(flag).as_str()));
                assert!(argument.get_help().is_some(), "--{flag} has no help");
            }
        }
    }

    #[test]
    fn backups_are_made_every_day_for_a_week_unless_it_is_said() {
        assert_eq!(config(&[]).expect("valid").backups, None);
        let plan = |flags: &[&str]| config(flags).expect("valid").backups.map(|plan| (plan.every.as_secs(), plan.keep));
        assert_eq!(plan(&["--backup-dir=b"]), Some((86_400, 7)));
        assert_eq!(plan(&["--backup-dir=b", "--backup-every-minutes=5", "--backup-keep=2"]), Some((300, 2)));
    }

    #[test]
    fn names_and_networks_may_be_several() {
        let config = config(&["--allowed-host=a.example,b", "--allowed-host=c", "--trusted-proxy=10.0.0.0/8,::1"]);
        let config = config.expect("all are valid");
        assert_eq!(config.allowed_hosts, ["a.example", "b", "c"]);
        let proxies: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
    }

    #[test]
    fn a_wrong_value_names_flag_value_and_expectation() {
        for (flag, value, expected) in [
            ("--listen", "localhost", "an address and a port"),
            ("--listen", "3000", "an address and a port"),
            ("--listen-mode", "rw", "an octal mode"),
            ("--tls-cert", "c.pem", "--tls-key beside it"),
            ("--tls-key", "k.pem", "--tls-cert beside it"),
            ("--db", "", "the path of a file"),
            ("--max-in-flight", "0", "a number from 1 to 100000"),
            ("--max-in-flight", "many", "a number from 1 to 100000"),
            ("--workers", "0", "a number from 1 to 64"),
            ("--timeout-ms", "1s", "a number from 1 to 3600000"),
            ("--retries", "101", "a number from 0 to 100"),
            ("--misfire", "never", "once, all or skip"),
            ("--backup-dir", "", "the path of a folder"),
            ("--backup-every-minutes", "5", "--backup-dir beside it"),
            ("--backup-every-minutes", "0", "a number from 1 to 525600"),
            ("--backup-keep", "3", "--backup-dir beside it"),
            ("--backup-keep", "all", "a number from 1 to 1000"),
            ("--alert-webhook", "example.com", "an absolute"),
            ("--targets", "public,example.com", "any, public, lan or networks"),
            ("--cors-origin", "https://example.com/", "no path"),
            ("--allowed-host", "http://a/", "no scheme"),
            ("--allowed-host", "a:80", "no port"),
            ("--allowed-host", "", "a host name"),
            ("--trusted-proxy", "10.0.0.0/33", "an address or a network"),
            ("--trusted-proxy", "proxy", "an address or a network"),
            ("--log", "loud", "one of error, warn, info, debug"),
            ("--log-format", "xml", "one of text, json"),
        ] {
            let error = config(&[&format!("{flag}={value}")]).expect_err(flag).to_string();
            assert!(error.starts_with(flag) && error.contains(expected), "{error}");
            assert!(error.contains(&format!("{value:?}")) && !error.contains('\n'), "{error}");
        }
    }
}
