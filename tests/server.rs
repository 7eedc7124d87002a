//! The real binary through its API and its command line: contract, failures, hostile clients, start and stop.
//! It must not know the inside of the server: what a client or an operator sees is all there is.

mod support;

#[path = "server/access.rs"]
mod access;
#[path = "server/alert_policies.rs"]
mod alert_policies;
#[path = "server/applied.rs"]
mod applied;
#[path = "server/batches.rs"]
mod batches;
#[path = "server/calendars.rs"]
mod calendars;
#[path = "server/changes.rs"]
mod changes;
#[path = "server/channel_tests.rs"]
mod channel_tests;
#[path = "server/channels.rs"]
mod channels;
#[path = "server/chatty.rs"]
mod chatty;
#[path = "server/doors.rs"]
mod doors;
#[path = "server/drain.rs"]
mod drain;
#[path = "server/events.rs"]
mod events;
#[path = "server/failures.rs"]
mod failures;
#[path = "server/history.rs"]
mod history;
#[path = "server/hostile.rs"]
mod hostile;
#[path = "server/incidents.rs"]
mod incidents;
#[path = "server/inherited.rs"]
mod inherited;
#[path = "server/jobs.rs"]
mod jobs;
#[path = "server/keys.rs"]
mod keys;
#[path = "server/letters.rs"]
mod letters;
#[path = "server/listen.rs"]
mod listen;
#[path = "server/lists.rs"]
mod lists;
#[path = "server/overview.rs"]
mod overview;
#[path = "server/planted.rs"]
mod planted;
#[path = "server/policies.rs"]
mod policies;
#[path = "server/raw.rs"]
mod raw;
#[path = "server/reach.rs"]
mod reach;
#[path = "server/rotation.rs"]
mod rotation;
#[path = "server/runs.rs"]
mod runs;
#[path = "server/schedules.rs"]
mod schedules;
#[path = "server/schema.rs"]
mod schema;
#[path = "server/series.rs"]
mod series;
#[path = "server/silences.rs"]
mod silences;
#[path = "server/stalls.rs"]
mod stalls;
#[path = "server/start.rs"]
mod start;
#[path = "server/streams.rs"]
mod streams;
#[path = "server/supervised.rs"]
mod supervised;
#[path = "server/targets.rs"]
mod targets;
#[path = "server/tls.rs"]
mod tls;
#[path = "server/told.rs"]
mod told;
#[path = "server/trials.rs"]
mod trials;
#[path = "server/upgrade.rs"]
mod upgrade;
#[path = "server/why.rs"]
mod why;
#[path = "server/wire.rs"]
mod wire;

use std::path::PathBuf;

use serde_json::Value;
use support::api::Api;
use support::receiver::Receiver;
use support::server::Server;
use support::wall_us;
use tempfile::TempDir;

/// A server, a receiver and a folder of their own.
struct Setup {
    server: Server,
    receiver: Receiver,
    folder: TempDir,
}

impl Setup {
    fn new(flags: &[&str]) -> Setup {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(&folder.path().join("p.db"), &with_few_workers(flags));
        Setup { server, receiver: Receiver::start(), folder }
    }

    fn api(&self) -> &Api {
        &self.server.api
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("p.db")
    }

    /// The same after the server was killed and started again.
    fn killed_and_started(self) -> Setup {
        self.kill().start(&[])
    }

    /// The server dies; what it leaves.
    fn kill(self) -> Killed {
        let Setup { server, receiver, folder } = self;
        server.kill();
        Killed { receiver, folder }
    }

    /// The server goes on as if nothing had happened.
    fn is_well(&self) {
        assert_eq!(self.api().get("/api/health")["status"], "healthy");
    }
}

/// What a server leaves that was killed.
struct Killed {
    receiver: Receiver,
    folder: TempDir,
}

impl Killed {
    /// Another one goes on with it.
    fn start(self, flags: &[&str]) -> Setup {
        let Killed { receiver, folder } = self;
        let server = Server::start(&folder.path().join("p.db"), &with_few_workers(flags));
        Setup { server, receiver, folder }
    }
}

/// Many servers run at once here, and none has much to do.
fn with_few_workers<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    [&["--max-in-flight", "16"], flags].concat()
}

/// The member names of an object, sorted.
fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().expect("it is an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Whether it is a time such as `2026-01-01T01:10:31.050Z`, and nothing else.
fn is_time(value: &Value) -> bool {
    let form = "dddd-dd-ddTdd:dd:dd.dddZ";
    value.as_str().is_some_and(|text| {
        let fits = |(found, wanted): (char, char)| if wanted == 'd' { found.is_ascii_digit() } else { found == wanted };
        text.len() == form.len() && text.chars().zip(form.chars()).all(fits)
    })
}

/// The text of a problem (RFC 9457).
fn error_of(value: &Value) -> &str {
    let mut found = members(value);
    found.retain(|member| *member != "errors");
    assert_eq!(found, ["detail", "error", "status", "title", "type"]);
    assert_eq!(value["detail"], value["error"]);
    value["error"].as_str().expect("it is a text")
}

/// A schedule that fires once, at this Unix second.
fn once_at(second: i64) -> String {
    let time = chrono::DateTime::from_timestamp(second, 0).expect("it is a time");
    time.format("%-S %-M %-H %-d %-m * %Y").to_string()
}

/// A Unix second as clients write it.
fn time_at(second: i64) -> String {
    let time = chrono::DateTime::from_timestamp(second, 0).expect("it is a time");
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The present Unix second.
fn this_second() -> i64 {
    wall_us() / 1_000_000
}
