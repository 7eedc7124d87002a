//! Owns the history of a database that is to be measured: finished executions, as years of use would leave them.
//! It must not know how the store keeps them.

use std::path::Path;

use super::BenchError;
use crate::clock;
use crate::core::{Class, Counters, ExecutionKey, LastOutcome, Record, Status, Tally, Totals};
use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use crate::store;
use crate::time::{Instant, WallUs};

/// The jobs that the rows belong to; paused, so that they add nothing but their history.
const OWNERS: u32 = 1_000;
/// How long each execution took, in microseconds.
const DURATION_US: u64 = 900;

/// Makes the database and puts so many rows into its history, the newest a minute ago, one a second for each owner.
pub(super) fn fill(path: &Path, rows: u32) -> Result<(), BenchError> {
    let per_owner = rows.div_ceil(OWNERS);
    let first = clock::wall().floor().as_secs() - 60 - i64::from(per_owner);
    let spec = paused(Instant::from_secs(first))?;
    let owners = (1..=rows.div_ceil(per_owner)).map(|owner| {
        // The last one may have fewer.
        let own = per_owner.min(rows - (owner - 1) * per_owner);
        let id = JobId::new(JobKey(owner.into()), [7; 10]);
        let revision = Revision::first(id, spec.clone(), WallUs::of(Instant::from_secs(first)));
        (revision, totals(own, Instant::from_secs(first + i64::from(own) - 1)))
    });
    let executions = (0..rows).map(|number| {
        let instant = Instant::from_secs(first + i64::from(number % per_owner));
        let key = ExecutionKey::scheduled(JobKey((number / per_owner + 1).into()), instant);
        (key, record(instant))
    });
    store::fill(path, owners, executions).map_err(|why| BenchError::Server(why.to_string()))
}

fn paused(anchor: Instant) -> Result<JobSpec, BenchError> {
    let plain = Definition::plain("* * * * * *", "http://127.0.0.1:9/history");
    let definition = Definition { active: Some(false), ..plain };
    JobSpec::compile(&definition, &Context::at(anchor)).map_err(|why| BenchError::Server(why.to_string()))
}

fn totals(rows: u32, last: Instant) -> Totals {
    let (success, timed) = (u64::from(rows), u64::from(rows));
    let counters = Counters { success, timed, duration_us: timed * DURATION_US, ..Counters::default() };
    let last_outcome = LastOutcome { instant: last, status: Status::Success, http_status: Some(200) };
    let tally = Tally { counters, last: Some(last_outcome), failures_in_row: 0, last_success: Some(last) };
    Totals { tally, finished_through: Some((0, last)) }
}

fn record(instant: Instant) -> Record {
    let executed = Some(WallUs::of(instant).plus_us(350));
    let (http_status, duration_us) = (Some(200), Some(DURATION_US));
    Record { status: Status::Success, executed, http_status, duration_us, ..Record::pending(Class::OnTime) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_server_can_read_what_was_filled_in() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("filled.db");
        fill(&path, 2_500).expect("filled");
        let mut store = Store::open(&path).expect("ours");
        let mut executions = 0;
        let loaded = store
            .load(
                &Context::at(crate::time::Instant::FIRST),
                |job| executions += job.totals.tally.counters.total(),
                |_| (),
            )
            .expect("readable");
        assert_eq!((loaded.jobs, executions), (834, 2_500));
        drop(store);
        let connection = rusqlite::Connection::open(&path).expect("SQLite");
        let rows: u32 = connection.query_row("SELECT count(*) FROM job_executions", [], |row| row.get(0)).expect("SQL");
        assert_eq!(rows, 2_500);
    }
}
