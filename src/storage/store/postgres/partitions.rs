//! Owns history's tables, each a stretch of when executions ended: which there are, and how one begins and goes.
//! It must not read executions.

use crate::postgres::{Connection, Error};
use crate::store::sql::{Sql, values};
use crate::time::{Instant, MonoUs};

/// Locks out others that make or drop one; rows of `partitions` stay free for batches.
const LOCK: i64 = 0x7061_7274_6974_696f;
/// How long whoever changes what people look at waits for those that look at it.
const PATIENCE_MS: u32 = 300;

/// One table of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) number: i64,
    /// No instant in it is before this, or behind that.
    pub(super) earliest: Instant,
    pub(super) latest: Instant,
    /// About how many rows it has.
    pub(super) rows: u64,
}

impl Partition {
    /// Whether executions of this instant may be in it.
    pub(super) fn may_hold(&self, instant: Instant) -> bool {
        self.earliest <= instant && instant <= self.latest
    }
}

/// All of them, the one with the latest instants first.
pub(super) fn all<S: Sql>(sql: &S) -> Result<Vec<Partition>, S::Error> {
    let find = "SELECT number, earliest, latest, rows FROM partitions ORDER BY latest DESC, number DESC";
    sql.all(find, &[], |row| {
        Ok(Partition {
            number: row.get(0)?,
            earliest: Instant::from_secs(row.get(1)?),
            latest: Instant::from_secs(row.get(2)?),
            rows: row.get(3)?,
        })
    })
}

/// The one that executions are added to.
pub(super) fn newest(connection: &mut Connection, until: MonoUs) -> Result<Option<i64>, Error> {
    let found = connection.query("SELECT max(number) FROM partitions", &[], until)?;
    found.first()?.opt_i64(0)
}

/// Makes the next one, if `newest` is the last there is.
pub(super) fn begin(connection: &mut Connection, newest: Option<i64>, until: MonoUs) -> Result<i64, Error> {
    let number = newest.map_or(1, |newest| newest + 1);
    // Whoever comes second finds it there.
    let make = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); \
         CREATE TABLE IF NOT EXISTS executions_{number} (LIKE executions_model, \
         PRIMARY KEY (job_id, scheduled_time, kind, number)); \
         CREATE INDEX IF NOT EXISTS idx_executions_{number}_time ON executions_{number} USING brin (scheduled_time) \
         WITH (pages_per_range = 16, autosummarize = on); \
         CREATE INDEX IF NOT EXISTS idx_executions_{number}_written ON executions_{number} USING brin (written_at) \
         WITH (pages_per_range = 16, autosummarize = on); \
         CREATE INDEX IF NOT EXISTS idx_executions_{number}_not_success ON executions_{number} \
         (scheduled_time, job_id, kind, number) WHERE status <> 0; \
         INSERT INTO partitions VALUES ({number}, {}, {}, 0) ON CONFLICT DO NOTHING; COMMIT",
        i64::MAX,
        i64::MIN
    );
    connection.batch(&make, until)?;
    Ok(number)
}

/// Drops one that is too old, unless somebody reads for long, as a dump does: that is an error, and nothing waits for it.
pub(super) fn drop_one(connection: &mut Connection, number: i64, until: MonoUs) -> Result<(), Error> {
    let forget = format!(
        "BEGIN; SET LOCAL lock_timeout TO '{PATIENCE_MS}ms'; SELECT pg_advisory_xact_lock({LOCK}); \
         LOCK TABLE executions_{number} IN ACCESS EXCLUSIVE MODE; \
         UPDATE job_totals t SET kept = greatest(kept - gone.rows, 0) FROM (SELECT job_id, count(*) AS rows \
         FROM executions_{number} GROUP BY job_id) AS gone WHERE gone.job_id = t.job_id; \
         DELETE FROM partitions WHERE number = {number}"
    );
    connection.batch(&forget, until)?;
    let view = view(connection, until)?;
    connection.batch(&format!("{view}; DROP TABLE executions_{number}; COMMIT"), until)
}

/// Lets the view for people show what there is, as [`drop_one`] does it.
pub(super) fn show(connection: &mut Connection, until: MonoUs) -> Result<(), Error> {
    let view = view(connection, until)?;
    connection.batch(&format!("BEGIN; SET LOCAL lock_timeout TO '{PATIENCE_MS}ms'; {view}; COMMIT"), until)
}

/// The view of all that there are.
fn view(connection: &mut Connection, until: MonoUs) -> Result<String, Error> {
    let found = connection.query("SELECT number FROM partitions ORDER BY number", &[], until)?;
    let numbers: Vec<i64> = found.iter().map(|row| row.i64(0)).collect::<Result<_, _>>()?;
    let select = |table: String| {
        format!(
            "SELECT job_id, scheduled_time, kind, number, status, scheduled_time * 1000000 + executed_after AS executed_time, \
             http_status, duration, error_message, attempt FROM {table}"
        )
    };
    let mut parts = vec![select("executions_model".to_owned())];
    parts.extend(numbers.iter().map(|number| select(format!("executions_{number}"))));
    Ok(format!("CREATE OR REPLACE VIEW job_executions AS {}", parts.join(" UNION ALL ")))
}

/// Notes that a partition has instants between these.
pub(super) fn widen<S: Sql>(sql: &S, number: i64, (earliest, latest): (Instant, Instant)) -> Result<(), S::Error> {
    let widen = "UPDATE partitions SET earliest = least(earliest, ?2), latest = greatest(latest, ?3) WHERE number = ?1";
    sql.run(widen, values![number, earliest.as_secs(), latest.as_secs()])
}
