//! Owns the command line of `bench`: what was typed becomes what is valid, in one place.
//! It must not open, start or print anything.

use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::flag::{self, InvalidFlag};
use super::serve;
use crate::bench::{ChildOptions, Mode, Options, OverloadOptions, SharedOptions, Spread, Subject};
use crate::limits::BATCH_ITEMS_MAX;
use crate::postgres::Url;
use crate::schedule::{Schedule, Zone};
use crate::time::Instant;

/// A run of jobs that begin together must end within the hour, as their schedule names minutes.
const TOGETHER_SECONDS_MAX: u32 = 1_800;
/// So many lines a batch may have.
const BATCH_MAX: u32 = BATCH_ITEMS_MAX as u32;
/// More nodes than that measure the machine, not the nodes.
const NODES_MAX: u32 = 16;

/// The flags of `bench`, as typed.
#[derive(Args, Debug, Clone)]
pub struct BenchArguments {
    /// How many jobs are measured, all on the same schedule (1-1000000)
    #[arg(long, value_name = "N", default_value = "1000")]
    jobs: String,
    /// Create so many jobs with one request (1-10000)
    #[arg(long, value_name = "N", default_value = "1")]
    batch: String,
    /// How many whole seconds the window has (1-86400)
    #[arg(long, value_name = "S", default_value = "10")]
    seconds: String,
    /// Whole seconds between the last creation and the window (1-600)
    #[arg(long, value_name = "S", default_value = "3")]
    warm_up: String,
    /// When the jobs are due, as the API takes it
    #[arg(long, value_name = "SCHEDULE", default_value = "* * * * * *")]
    schedule: String,
    /// Create the jobs to begin together, at the first full minute at least so many seconds after their creation
    /// began; 0: each begins when it is created (0-900)
    #[arg(long, value_name = "S", default_value = "0", conflicts_with_all = ["schedule", "burst", "soak"])]
    begin: String,
    /// Instead of every second: N jobs due together, once in every --burst-gap seconds
    #[arg(long, value_name = "N", conflicts_with_all = ["jobs", "seconds", "schedule", "soak"])]
    burst: Option<String>,
    /// How many bursts (1-1000)
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: String,
    /// Seconds from burst to burst (2-60)
    #[arg(long, value_name = "S", default_value = "10")]
    burst_gap: String,
    /// A window of so many minutes, with a line for each (1-1440)
    #[arg(long, value_name = "MINUTES", conflicts_with = "seconds")]
    soak: Option<String>,
    /// How many targets (ports) the jobs are spread over (1-256)
    #[arg(long, value_name = "N", default_value = "1")]
    targets: String,
    /// How many of the targets accept and never answer; they are counted apart (0-256)
    #[arg(long, value_name = "N", default_value = "0")]
    hang: String,
    /// How many of the jobs belong to targets that never answer; [default: their share of the targets]
    #[arg(long, value_name = "N")]
    hang_jobs: Option<String>,
    /// Receive over TLS, with a certificate made for the run that our own server is told to trust
    #[arg(long)]
    tls: bool,
    /// How many threads receive (1-64)
    #[arg(long, value_name = "N", default_value = "1")]
    receivers: String,
    /// How long the receiver waits before it answers, in milliseconds (0-60000)
    #[arg(long, value_name = "MS", default_value = "0")]
    delay_ms: String,
    /// The share of first attempts that is answered 500, in per cent (0-100)
    #[arg(long, value_name = "PERCENT", default_value = "0")]
    fail: String,
    /// The port of the first target, the others follow it; 0 takes any free ones
    #[arg(long, value_name = "PORT", default_value = "0")]
    port: String,
    /// Measure a server that runs already, instead of one of our own; its jobs are deleted afterwards
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// Put our own server's database on PostgreSQL: postgres://USER:PASSWORD@HOST/DATABASE. The database must be empty, and is
    /// again afterwards; nothing is written to one that holds anything. All is in its schema punctual_bench
    #[arg(long, value_name = "URL", conflicts_with_all = ["api", "history"])]
    store: Option<String>,
    /// How many nodes share that database, the jobs spread over them (1-16)
    #[arg(long, value_name = "N", default_value = "1", requires = "store")]
    nodes: String,
    /// Kill one of the nodes in the middle of the window, as a crash would: how long it takes until each of its jobs is
    /// POSTed again, and what comes twice
    #[arg(long, requires = "store", conflicts_with_all = ["burst", "schedule", "api_creates", "api_gets"])]
    kill: bool,
    /// no: jobs exist elsewhere and POST to http://127.0.0.1:PORT/job/N, N from 0; yes: create them
    #[arg(long, value_name = "YES|NO", default_value = "yes")]
    create: String,
    /// How long the first arrival of jobs that exist elsewhere is awaited, in seconds (1-3600)
    #[arg(long, value_name = "S", default_value = "60")]
    wait: String,
    /// An arrival without Punctual-Scheduled-Time belongs to the last second that begins at most so many milliseconds
    /// after it; 500 is the nearest second (0-999)
    #[arg(long, value_name = "MS", default_value = "500")]
    slack_ms: String,
    /// Processes whose CPU and memory are measured where the server is not our own, with commas
    #[arg(long, value_name = "PIDS", value_delimiter = ',')]
    pid: Vec<String>,
    /// Flags of `serve` for our own server, such as "--max-in-flight 512"
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    server_flags: String,
    /// The folder in which our own server gets its temporary files; [default: the system's]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,
    /// Leave the temporary database (of --store: its schema) and the server's log behind
    #[arg(long)]
    keep: bool,
    /// Finished executions that our own server's database holds beforehand (0-1000000000)
    #[arg(long, value_name = "ROWS", default_value = "0")]
    history: String,
    /// Jobs beside the measured ones, due tomorrow (0-1000000)
    #[arg(long, value_name = "N", default_value = "0")]
    idle_jobs: String,
    /// After --seconds, so many jobs more are due every second, for --overload-seconds; the window goes on half as long, at least
    /// --seconds, and says how long it took until all was as before (1-1000000)
    #[arg(long, value_name = "N", conflicts_with_all = ["schedule", "begin", "burst", "soak", "kill"])]
    overload: Option<String>,
    /// How long --overload lasts (1-600)
    #[arg(long, value_name = "S", default_value = "60", requires = "overload")]
    overload_seconds: String,
    /// Jobs created through the API in every second of the window (0-1000000)
    #[arg(long, value_name = "N", default_value = "0")]
    api_creates: String,
    /// Jobs read through the API in every second of the window (0-1000000)
    #[arg(long, value_name = "N", default_value = "0")]
    api_gets: String,
    /// How long each limit of the machine is measured, in seconds; 0 leaves it out (0-60)
    #[arg(long, value_name = "S", default_value = "2")]
    limit_seconds: String,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
    /// Draw the result as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<String>,
    /// Do not fail because instants were missed
    #[arg(long)]
    allow_missed: bool,
}

impl TryFrom<BenchArguments> for Options {
    type Error = InvalidFlag;

    fn try_from(typed: BenchArguments) -> Result<Options, InvalidFlag> {
        let (jobs, seconds, text, mode) = shape(&typed)?;
        let schedule = Schedule::parse(&text, Zone::default(), Instant::from_secs(0))
            .map_err(|why| invalid("--schedule", &text, &why.to_string()))?;
        let targets = number("--targets", &typed.targets, 1, 256)?;
        let hang = number("--hang", &typed.hang, 0, targets - 1)?;
        let share = u64::from(jobs) * u64::from(hang) / u64::from(targets);
        let share = u32::try_from(share).expect("a part of the jobs is not more than all");
        let hung_jobs = match &typed.hang_jobs {
            None => share,
            Some(text) if hang == 0 => number("--hang-jobs", text, 0, 0)?,
            Some(text) => number("--hang-jobs", text, 1, jobs.saturating_sub(1).max(1))?,
        };
        let port = number("--port", &typed.port, 0, 65_535)?;
        if port > 0 && port + targets > 65_536 {
            return Err(invalid("--port", &typed.port, "room for every target's port up to 65535"));
        }
        let subject = subject(&typed)?;
        if typed.tls && !matches!(subject, Subject::Child(_)) {
            return Err(invalid("--tls", "", "our own server: another one does not trust the receiver"));
        }
        let elsewhere = matches!(subject, Subject::Elsewhere { .. });
        let through_api = |flag, text: &str, most| match number(flag, text, 0, most)? {
            0 => Ok(0),
            _ if elsewhere => Err(invalid(flag, text, "0 with --create no: there is no API")),
            some => Ok(some),
        };
        let (seconds, overload) = overload(&typed, seconds, elsewhere)?;
        let warm_up = number("--warm-up", &typed.warm_up, 1, 600)?;
        if typed.begin != "0" && seconds > TOGETHER_SECONDS_MAX {
            return Err(invalid("--seconds", &typed.seconds, "at most 1800 with --begin"));
        }
        Ok(Options {
            jobs,
            batch: number("--batch", &typed.batch, 1, BATCH_MAX)?,
            seconds,
            warm_up,
            schedule,
            begin: through_api("--begin", &typed.begin, 900)?,
            mode,
            spread: Spread { targets, hang, hung_jobs },
            tls: typed.tls,
            receivers: number("--receivers", &typed.receivers, 1, 64)?,
            delay: Duration::from_millis(number("--delay-ms", &typed.delay_ms, 0, 60_000)?.into()),
            fail_per_cent: number("--fail", &typed.fail, 0, 100)?,
            port: u16::try_from(port).expect("it was held against the highest port"),
            wait: Duration::from_secs(number("--wait", &typed.wait, 1, 3_600)?.into()),
            slack_us: i64::from(number("--slack-ms", &typed.slack_ms, 0, 999)?) * 1_000,
            idle_jobs: through_api("--idle-jobs", &typed.idle_jobs, 1_000_000)?,
            overload,
            api_creates: through_api("--api-creates", &typed.api_creates, 1_000_000)?,
            api_gets: through_api("--api-gets", &typed.api_gets, 1_000_000)?,
            subject,
            limit_time: Duration::from_secs(number("--limit-seconds", &typed.limit_seconds, 0, 60)?.into()),
            json: typed.json.map(PathBuf::from),
            plot: typed.plot.map(PathBuf::from),
            allow_missed: typed.allow_missed,
        })
    }
}

/// Jobs, seconds, schedule text and mode.
fn shape(typed: &BenchArguments) -> Result<(u32, u32, String, Mode), InvalidFlag> {
    if let Some(burst) = &typed.burst {
        let jobs = number("--burst", burst, 1, 1_000_000)?;
        let gap = number("--burst-gap", &typed.burst_gap, 2, 60)?;
        if 60 % gap != 0 {
            return Err(invalid("--burst-gap", &typed.burst_gap, "a number that divides 60"));
        }
        let rounds = number("--rounds", &typed.rounds, 1, 1_000)?;
        let text = if gap == 60 { "0 * * * * *".to_owned() } else { format!("*/{gap} * * * * *") };
        return Ok((jobs, rounds * gap, text, Mode::Burst));
    }
    let jobs = number("--jobs", &typed.jobs, 1, 1_000_000)?;
    match &typed.soak {
        Some(minutes) => Ok((jobs, number("--soak", minutes, 1, 1_440)? * 60, typed.schedule.clone(), Mode::Soak)),
        None => Ok((jobs, number("--seconds", &typed.seconds, 1, 86_400)?, typed.schedule.clone(), Mode::Window)),
    }
}

/// The whole window, and what is due beside the jobs in the middle of it.
fn overload(
    typed: &BenchArguments,
    before: u32,
    elsewhere: bool,
) -> Result<(u32, Option<OverloadOptions>), InvalidFlag> {
    let Some(jobs) = &typed.overload else { return Ok((before, None)) };
    if elsewhere {
        return Err(invalid("--overload", jobs, "nothing with --create no: there is no API"));
    }
    let jobs = number("--overload", jobs, 1, 1_000_000)?;
    let seconds = number("--overload-seconds", &typed.overload_seconds, 1, 600)?;
    let window = before + seconds + before.max(seconds / 2);
    Ok((window, Some(OverloadOptions { jobs, seconds, before })))
}

fn subject(typed: &BenchArguments) -> Result<Subject, InvalidFlag> {
    let mut pids = Vec::new();
    for text in &typed.pid {
        pids.push(number("--pid", text, 1, u32::MAX)?);
    }
    let history = number("--history", &typed.history, 0, 1_000_000_000)?;
    let not_ours = |why: &str| {
        let given = [
            ("--history", typed.history.as_str(), history > 0),
            ("--store", "a URL", typed.store.is_some()),
            ("--server-flags", typed.server_flags.as_str(), !typed.server_flags.is_empty()),
        ];
        given.iter().find(|(_, _, is_given)| *is_given).map_or(Ok(()), |(flag, text, _)| {
            Err(invalid(flag, text, &format!("nothing with {why}: the server is not started here")))
        })
    };
    match (typed.create.as_str(), &typed.api) {
        ("yes", None) => {
            if let Some(text) = typed.pid.first() {
                return Err(invalid("--pid", text, "nothing without --api or --create no: our own server is known"));
            }
            let flags: Vec<String> = typed.server_flags.split_whitespace().map(str::to_owned).collect();
            let max_in_flight = check_flags(&flags, &typed.server_flags)?;
            let folder = typed.folder.as_ref().map_or_else(std::env::temp_dir, PathBuf::from);
            Ok(Subject::Child(ChildOptions {
                flags,
                shared: shared(typed)?,
                folder,
                keep: typed.keep,
                history,
                max_in_flight,
            }))
        }
        ("yes", Some(url)) => {
            not_ours("--api")?;
            let expected = || invalid("--api", url, "a URL such as http://127.0.0.1:3000");
            let host = url.strip_prefix("http://").ok_or_else(expected)?.trim_end_matches('/').to_owned();
            let found = host.to_socket_addrs().ok().and_then(|mut found| found.next());
            Ok(Subject::Api { address: found.ok_or_else(expected)?, host, pids })
        }
        ("no", None) => {
            not_ours("--create no")?;
            Ok(Subject::Elsewhere { pids })
        }
        ("no", Some(url)) => Err(invalid("--api", url, "nothing with --create no")),
        (other, _) => Err(invalid("--create", other, "yes or no")),
    }
}

/// The database that our own servers share, if they do.
fn shared(typed: &BenchArguments) -> Result<Option<SharedOptions>, InvalidFlag> {
    let Some(url) = &typed.store else { return Ok(None) };
    // The URL may hold a password: it is not repeated.
    Url::parse(url).map_err(|why| InvalidFlag::secret("--store", &why.to_string()))?;
    let nodes = number("--nodes", &typed.nodes, 1, NODES_MAX)?;
    if typed.kill && nodes == 1 {
        return Err(invalid("--nodes", &typed.nodes, "at least 2 with --kill: somebody has to take over"));
    }
    Ok(Some(SharedOptions { url: url.clone(), nodes, kill: typed.kill }))
}

/// The words of a command line as they may be kept: a URL of a database without its password.
pub(super) fn shown(words: impl Iterator<Item = String>, options: &Options) -> Vec<String> {
    let Some((url, Ok(shown))) = options.shared().map(|shared| (&shared.url, Url::parse(&shared.url))) else {
        return words.collect();
    };
    words.map(|word| word.replace(url.as_str(), &shown.to_string())).collect()
}

/// Holds the server's flags against what `serve` takes; gives how many POSTs may be in flight.
fn check_flags(flags: &[String], text: &str) -> Result<u32, InvalidFlag> {
    if let Some(flag) = flags.iter().find(|flag| ["--store", "--node"].iter().any(|ours| is_flag(flag, ours))) {
        return Err(invalid(
            "--server-flags",
            flag,
            "flags of serve that do not choose a database: --store of bench does",
        ));
    }
    let ours = ["--listen=http://127.0.0.1:0", "--db=bench.db"];
    let config = serve::parse(ours.into_iter().chain(flags.iter().map(String::as_str)));
    config
        .map(|config| config.max_in_flight)
        .map_err(|why| invalid("--server-flags", text, &format!("flags of serve ({why})")))
}

/// Whether a word is this flag, be it with a value.
fn is_flag(word: &str, flag: &str) -> bool {
    word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

fn number(flag: &'static str, text: &str, least: u32, most: u32) -> Result<u32, InvalidFlag> {
    flag::number(flag, text, least, most)
}

fn invalid(flag: &'static str, value: &str, expected: &str) -> InvalidFlag {
    InvalidFlag::new(flag, value, expected)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Arguments, Command};
    use super::*;

    fn options(flags: &[&str]) -> Result<Options, InvalidFlag> {
        let typed = ["punctual", "bench"].iter().chain(flags);
        match Arguments::try_parse_from(typed).expect("clap takes any text").command {
            Some(Command::Bench(bench)) => Options::try_from(*bench),
            other => panic!("{other:?} is not bench"),
        }
    }

    #[test]
    fn the_defaults_are_valid_and_a_burst_is_a_window_of_rounds() {
        let plain = options(&[]).expect("the defaults are valid");
        assert_eq!((plain.jobs, plain.seconds, plain.mode), (1_000, 10, Mode::Window));
        let burst = options(&["--burst=500", "--rounds=4", "--burst-gap=5"]).expect("valid");
        assert_eq!((burst.jobs, burst.seconds, burst.schedule.text()), (500, 20, "*/5 * * * * *"));
        let over = options(&["--overload=7", "--seconds=4", "--overload-seconds=20"]).expect("valid");
        assert_eq!((over.seconds, over.overload), (34, Some(OverloadOptions { jobs: 7, seconds: 20, before: 4 })));
        let flags = options(&["--server-flags=--max-in-flight 77"]).expect("valid");
        assert!(matches!(flags.subject, Subject::Child(ChildOptions { max_in_flight: 77, .. })));
    }

    #[test]
    fn a_wrong_value_names_flag_value_and_expectation() {
        for (flags, expected) in [
            (&["--jobs=0"][..], "--jobs: expected a number from 1 to 1000000, got \"0\""),
            (&["--schedule=* * 25 * * *"], "--schedule: expected"),
            (&["--hang=1"], "--hang: expected a number from 0 to 0"),
            (&["--burst=5", "--burst-gap=7"], "--burst-gap: expected a number that divides 60"),
            (&["--create=maybe"], "--create: expected yes or no"),
            (&["--create=no", "--api-gets=5"], "--api-gets: expected 0 with --create no"),
            (&["--create=no", "--overload=5"], "--overload: expected nothing with --create no"),
            (&["--create=no", "--history=5"], "--history: expected nothing with --create no"),
            (&["--begin=60", "--seconds=1801"], "--seconds: expected at most 1800 with --begin"),
            (&["--api=ftp://x"], "--api: expected a URL"),
            (&["--targets=2", "--hang=1", "--hang-jobs=1000"], "--hang-jobs: expected a number from 1 to 999"),
            (&["--tls", "--create=no"], "--tls: expected our own server"),
            (&["--pid=5"], "--pid: expected nothing without"),
            (&["--server-flags=--retries=many"], "--server-flags: expected flags of serve"),
            (&["--server-flags=--db=x"], "--server-flags: expected flags of serve"),
            (&["--server-flags=--store=x"], "--server-flags: expected flags of serve that do not choose a database"),
            (&["--store=x://planted@y"], "--store: expected"),
            (&["--store=postgres://a@b/c", "--nodes=17"], "--nodes: expected a number from 1 to 16"),
            (&["--store=postgres://a@b/c", "--kill"], "--nodes: expected at least 2 with --kill"),
            (&["--store=postgres://a@b/c", "--create=no"], "--store: expected nothing with --create no"),
        ] {
            let error = options(flags).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
            // A URL that may hold a password is not repeated, and no word stands for it.
            assert!(!expected.ends_with("--store: expected") || !error.contains("got "), "{error}");
        }
    }
}
