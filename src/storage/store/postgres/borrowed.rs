//! Owns a database that is used for a while and given back as it was: it must hold nothing, and holds nothing afterwards.
//! It must not touch what others have: all that is made stands in a schema of its own, and the database is refused if there
//! is anything else in it.

use super::open::connect;
use super::partitions;
use super::session::Session;
use crate::clock;
use crate::job::JobKey;
use crate::limits::STORE_LOAD_TIME_MAX;
use crate::postgres::{Connection, Error, Url};
use crate::store::sql::{Sql, values};
use crate::time::{Instant, MonoUs};

/// What the schema is called.
const SCHEMA: &str = "punctual_bench";
/// Locks out others that would borrow it at the same time: the bytes of "borrowed".
const LOCK: i64 = 0x626f_7272_6f77_6564;

/// A database that is borrowed. Dropped, it is given back.
#[derive(Debug)]
pub struct Borrowed {
    connection: Connection,
    url: Url,
    /// What leads into the schema. It may hold a password.
    url_text: String,
    keep: bool,
}

/// What became of the executions of some seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Became {
    /// Those that were sent, each once.
    pub sent: u64,
    /// Rows of sent ones beyond the first.
    pub twice: u64,
    /// Rows of those that were not.
    pub unsent: u64,
}

impl Borrowed {
    /// Takes a database, and what an earlier run left in it away.
    ///
    /// # Errors
    /// When it cannot be reached, or is somebody else's: then nothing was changed.
    pub fn take(url_text: &str) -> Result<Borrowed, String> {
        let url = Url::parse(url_text).map_err(|why| format!("--store: {why}"))?;
        let failed = |why: Error| format!("--store: {url}: {why}");
        let mut connection = connect(&url).map_err(failed)?;
        let lock = "SELECT pg_try_advisory_lock($1)::int::int8";
        let locked = connection.query(lock, &[&LOCK], soon()).and_then(|rows| rows.first()?.i64(0)).map_err(failed)?;
        // Its servers may have outlived a run.
        let servers = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND pid <> pg_backend_pid() AND application_name ~ '^bench-[0-9]+$'";
        let servers = connection.query(servers, &[], soon()).and_then(|rows| rows.first()?.i64(0)).map_err(failed)?;
        if locked == 0 || servers > 0 {
            return Err(format!("--store: expected a database that nobody uses, but another benchmark does: {url}"));
        }
        if let Some(found) = something(&mut connection).map_err(failed)? {
            return Err(format!(
                "--store: expected an empty database, or one with nothing but the schema {SCHEMA} that a benchmark left; \
                 {url} holds {found}. Nothing was changed. `createdb NAME` makes an empty one"
            ));
        }
        let begin =
            format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}; SET search_path TO {SCHEMA}");
        connection.batch(&begin, soon()).map_err(failed)?;
        Ok(Borrowed { connection, url_text: within(url_text), url, keep: false })
    }

    /// Where servers find it, with the password if there is one.
    pub fn url(&self) -> &str {
        &self.url_text
    }

    /// Leaves what is in it.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// The jobs that a node has at the moment.
    ///
    /// # Errors
    /// What the server says.
    pub fn jobs_of(&mut self, node: &str) -> Result<Vec<JobKey>, String> {
        let jobs = "SELECT j.id FROM jobs j JOIN shards s ON s.shard = j.shard JOIN nodes n ON n.id = s.owner \
                    WHERE n.name = ?1 AND NOT n.dead AND j.deleted_at IS NULL";
        let found = Session::new(&mut self.connection, soon()).all(jobs, values![node], |row| Ok(JobKey(row.get(0)?)));
        found.map_err(|why| format!("failed to read the jobs of {node}: {why}"))
    }

    /// What became of the executions from a second until another.
    ///
    /// # Errors
    /// What the server says.
    pub fn became(&mut self, from: Instant, until: Instant) -> Result<Became, String> {
        let session = Session::new(&mut self.connection, soon());
        let found = became(&session, from, until);
        found.map_err(|why| format!("failed to read what became of the executions: {why}"))
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if self.keep {
            return eprintln!("what was measured is in the schema {SCHEMA} of {}", self.url);
        }
        let dropped = self.connection.batch(&format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"), soon());
        if let Err(why) = dropped {
            eprintln!("failed to take the schema {SCHEMA} away from {}: {why}; the next benchmark does", self.url);
        }
    }
}

/// Until when a call may take that begins now.
fn soon() -> MonoUs {
    clock::mono().plus(STORE_LOAD_TIME_MAX)
}

/// Something in the database that no borrower made, if there is anything: extensions do not count.
fn something(connection: &mut Connection) -> Result<Option<String>, Error> {
    let find = "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v', 'S') AND n.nspname NOT LIKE 'pg\\_%' \
                AND n.nspname NOT IN ('information_schema', $1) AND NOT EXISTS (SELECT 1 FROM pg_depend d \
                WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY c.oid LIMIT 1";
    let found = connection.query(find, &[&SCHEMA], soon())?;
    found.get(0).map(|row| row.text(0).map(|name| format!("{name:?}"))).transpose()
}

fn became(session: &Session<'_>, from: Instant, until: Instant) -> Result<Became, Error> {
    let columns = "job_id, scheduled_time, kind, number";
    let mut parts = vec![format!("SELECT {columns}, executed_time IS NOT NULL AS sent FROM ledger")];
    for partition in partitions::all(session)? {
        let number = partition.number;
        parts.push(format!("SELECT {columns}, executed_after IS NOT NULL FROM executions_{number}"));
    }
    let count = format!(
        "SELECT count(*) FILTER (WHERE sent > 0), coalesce(sum(greatest(sent - 1, 0)), 0)::int8, \
         coalesce(sum(rows - sent), 0)::int8 FROM (SELECT count(*) AS rows, count(*) FILTER (WHERE sent) AS sent \
         FROM ({}) AS executions WHERE scheduled_time >= ?1 AND scheduled_time < ?2 GROUP BY {columns}) AS each_one",
        parts.join(" UNION ALL ")
    );
    let count = session.first(&count, values![from.as_secs(), until.as_secs()], |row| {
        Ok(Became { sent: row.get(0)?, twice: row.get(1)?, unsent: row.get(2)? })
    })?;
    Ok(count.unwrap_or_default())
}

/// The URL with the schema as where tables are looked for and made.
fn within(url_text: &str) -> String {
    let setting = format!("-c%20search_path%3D{SCHEMA}");
    let Some((place, query)) = url_text.split_once('?') else { return format!("{url_text}?options={setting}") };
    let mut parameters: Vec<String> = query.split('&').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    match parameters.iter_mut().find(|part| part.starts_with("options=")) {
        // The last one counts.
        Some(options) => options.push_str(&format!("%20{setting}")),
        None => parameters.push(format!("options={setting}")),
    }
    format!("{place}?{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::support::Postgres;
    use crate::store::{Database, Location};

    #[test]
    fn the_schema_is_where_tables_are_looked_for_last_of_all_options() {
        let setting = "-c%20search_path%3Dpunctual_bench";
        for (url, expected) in [
            ("postgres://a@b/c", format!("postgres://a@b/c?options={setting}")),
            ("postgres://a@b/c?sslmode=disable", format!("postgres://a@b/c?sslmode=disable&options={setting}")),
            (
                "postgres://a@b/c?options=-c%20x%3Dy&port=1",
                format!("postgres://a@b/c?options=-c%20x%3Dy%20{setting}&port=1"),
            ),
        ] {
            assert_eq!(within(url), expected);
        }
    }

    #[test]
    fn a_database_is_taken_only_if_nothing_is_in_it_and_given_back_so() {
        let Some(url) = Postgres::database() else { return };
        let parsed = Url::parse(&url).expect("a URL");
        let mut beside = connect(&parsed).expect("it is there");
        let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'punctual_bench'";
        let mut schemas =
            || beside.query(schemas, &[], soon()).expect("SQL").first().expect("one").i64(0).expect("one");

        let mut borrowed = Borrowed::take(&url).expect("it is empty");
        assert!(Borrowed::take(&url).expect_err("it is in use").contains("another benchmark"));
        let within = Url::parse(borrowed.url()).expect("a URL");
        let location = Location::Server { url: Box::new(within), node: "first".to_owned() };
        drop(Database::open(&location, None).expect("it has its tables there"));
        assert_eq!(borrowed.jobs_of("first").expect("readable"), []);
        let (from, until) = (Instant::from_secs(0), Instant::from_secs(9));
        assert_eq!(borrowed.became(from, until).expect("readable"), Became::default());
        assert_eq!(schemas(), 1);
        borrowed.keep();
        drop(borrowed);
        assert_eq!(schemas(), 1, "it was to stay");
        drop(Borrowed::take(&url).expect("what was left goes"));
        assert_eq!(schemas(), 0);

        let location = Location::Server { url: Box::new(parsed), node: "somebody".to_owned() };
        drop(Database::open(&location, None).expect("it has its tables"));
        let why = Borrowed::take(&url).expect_err("it is somebody's");
        assert!(why.contains("expected an empty database") && !why.contains("planted"), "{why}");
        assert_eq!(schemas(), 0, "nothing was changed");
    }
}
