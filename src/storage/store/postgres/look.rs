//! Owns the look at a PostgreSQL server before anybody relies on it: what it is, how it is set, how fast it answers.
//! It must not leave anything behind, nor judge.

use std::time::Duration;

use super::lookout::skew_us;
use super::open::{connect, soon};
use super::requests::NOW;
use super::schema::{self, Schema};
use crate::clock;
use crate::postgres::{Connection, Error, Url};
use crate::time::MonoUs;

/// How often a question is asked to know how long one takes.
const ROUNDS: usize = 9;

/// What was found out about a server.
#[derive(Clone, Debug)]
pub struct ServerLook {
    /// Its version, as it says it.
    pub version: String,
    /// How long a question takes (the median of some).
    pub round_trip: Duration,
    /// How long a durable commit takes (the median of some). None: we may not try.
    pub commit: Option<Duration>,
    /// How far its clock is from this machine's, at least, in microseconds.
    pub skew_us: i64,
    /// In which encoding it keeps texts.
    pub encoding: String,
    /// Whether this build can work with what is there, and whether anything is. None: nothing of Punctual's.
    pub schema: Option<Usable>,
    /// Whether tables may be made.
    pub may_create: bool,
    /// Settings by name, those that a promise depends on.
    pub settings: Vec<(String, String)>,
    /// How many more sessions it takes of those who are no superusers.
    pub sessions_left: i64,
    /// How many hosts the URL names.
    pub hosts: usize,
    /// Nodes that share it just now.
    pub nodes: i64,
}

/// Whether a build can work with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usable {
    /// It is of this version, or of a newer one that left what is needed.
    AsItIs,
    /// It is older, and brought up to date at a start.
    OnceMigrated,
    /// It is too new.
    No,
}

impl ServerLook {
    /// What a setting is; empty if the server does not have it.
    pub fn setting(&self, name: &str) -> &str {
        self.settings.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// Connects, and looks. It takes as long as the server lets it, up to some seconds.
///
/// # Errors
/// Why it cannot be used at all: not reached, not let in, too old, a pooler, read-only.
pub fn look_at(url: &Url) -> Result<ServerLook, String> {
    let url = url.clone().with_application_name("punctual doctor");
    look(&url).map_err(|why| why.to_string())
}

fn look(url: &Url) -> Result<ServerLook, Error> {
    let mut connection = connect(url)?;
    let round_trip = median(&mut connection, |connection, until| connection.query("SELECT 1", &[], until).map(drop))?;
    // It writes a record that nobody reads into the log, and nothing else.
    let commit = "SELECT pg_catalog.pg_logical_emit_message(true, 'punctual', '')";
    let commit = median(&mut connection, |connection, until| connection.query(commit, &[], until).map(drop));
    let asked = clock::now();
    let theirs = connection.query(&format!("SELECT {NOW}, {FIGURES}"), &[], soon())?;
    let took_us = i64::try_from(clock::mono().0.saturating_sub(asked.mono.0)).unwrap_or(0);
    let row = theirs.first()?;
    let theirs_us = row.i64(0)?;
    let skew_us = skew_us(asked.wall, took_us, theirs_us);
    let (encoding, may_create, sessions_left) = (row.text(1)?.to_owned(), row.bool(2)?, row.i64(3)?);
    let (is_ours, version) = (row.bool(4)?, row.text(5)?.to_owned());
    let settings = connection.query(SETTINGS, &[], soon())?;
    let setting = |row: crate::postgres::Row<'_>| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()));
    let settings = settings.iter().map(setting).collect::<Result<_, Error>>()?;
    let (mut usable, mut nodes) = (None, 0);
    if is_ours {
        usable = Some(usable_of(schema::read(&mut connection, soon())?));
        nodes = connection.query("SELECT count(*) FROM nodes WHERE NOT dead", &[], soon())?.first()?.i64(0)?;
    }
    Ok(ServerLook {
        version,
        round_trip,
        commit: commit.ok(),
        skew_us,
        encoding,
        schema: usable,
        may_create,
        settings,
        sessions_left,
        hosts: url.hosts(),
        nodes,
    })
}

fn usable_of(schema: Schema) -> Usable {
    match schema {
        schema if !schema.is_usable() => Usable::No,
        Schema { version, .. } if version < schema::current_version() => Usable::OnceMigrated,
        _ => Usable::AsItIs,
    }
}

/// How long something takes, the median of some tries.
fn median(
    connection: &mut Connection,
    mut ask: impl FnMut(&mut Connection, MonoUs) -> Result<(), Error>,
) -> Result<Duration, Error> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = std::time::Instant::now();
        ask(connection, soon())?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times[ROUNDS / 2])
}

/// What it is, behind its time.
const FIGURES: &str = "current_setting('server_encoding'), \
     has_schema_privilege(current_schema(), 'CREATE'), \
     current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8 \
     - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
     to_regclass('punctual_schema') IS NOT NULL, current_setting('server_version')";

/// Those that a promise depends on, as far as this version has them.
const SETTINGS: &str = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', \
     'synchronous_standby_names', 'statement_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout', \
     'transaction_timeout')";
