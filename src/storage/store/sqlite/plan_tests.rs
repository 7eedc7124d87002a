//! Owns that incidents and their messages are found by indexes: whatever is kept of them, a start, a page and a slice of
//! retention walk over what they are about.
//! It must not say what is found: the store's tests do.

use rusqlite::Connection;

use super::migrations::MIGRATIONS;
use crate::core::{Cause, IncidentId};
use crate::job::JobKey;
use crate::store::IncidentQuery;
use crate::store::tables::{deliveries, incidents};

fn database() -> Connection {
    let connection = Connection::open_in_memory().expect("it can be made");
    MIGRATIONS.iter().for_each(|sql| connection.execute_batch(sql).expect("it is the schema"));
    connection
}

/// What SQLite would do.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect(sql);
    // Values are not looked at, so that none are bound.
    let mut found = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = found.next().expect("it is a plan") {
        steps.push(row.get(3).expect("a text"));
    }
    steps
}

#[test]
fn pages_of_incidents_are_searched_newest_first_and_never_sorted() {
    let connection = database();
    let mut indexes = Vec::new();
    for kind in 0..12 {
        let query = IncidentQuery {
            limit: 10,
            before: Some(IncidentId(9)),
            open: [None, Some(true), Some(false)][kind % 3],
            job: [None, Some(JobKey(1))][kind / 3 % 2],
            cause: [None, Some(Cause::Late)][kind / 6],
        };
        let steps = plan(&connection, &incidents::page_sql(&connection, &query).0);
        assert!(steps.len() == 1 && steps[0].starts_with("SEARCH i USING "), "{query:?}: {steps:?}");
        let is_bounded = steps[0].contains("id<?") || steps[0].contains("rowid<?");
        assert!(is_bounded, "a page goes on where the one before ended: {query:?}: {steps:?}");
        indexes.push(steps[0].split(' ').find(|word| word.starts_with("idx_")).unwrap_or("rowid").to_owned());
    }
    indexes.sort_unstable();
    indexes.dedup();
    let all = [
        "idx_incidents_cause",
        "idx_incidents_closed",
        "idx_incidents_job",
        "idx_incidents_open",
        "idx_incidents_open_of_job",
        "rowid",
    ];
    assert_eq!(indexes, all, "each index is there for a page");
}

#[test]
fn a_start_and_retention_walk_over_what_they_are_about() {
    let connection = database();
    for (sql, expected) in [
        (incidents::open_sql(&connection), &["USING INDEX idx_incidents_open"][..]),
        (
            format!("SELECT * {}", deliveries::UNDELIVERED),
            &["USING INDEX idx_messages_undelivered", "SEARCH i USING INTEGER PRIMARY KEY (rowid=?)"],
        ),
        (format!("SELECT * {}", deliveries::OF_INCIDENT), &["SEARCH m USING PRIMARY KEY (incident=?)"]),
        (deliveries::FORGET_UNWRITTEN.to_owned(), &["idx_messages_unwritten"]),
        (
            deliveries::delete_before_sql(&connection),
            &[
                "SEARCH messages USING PRIMARY KEY (incident=? AND number=? AND channel=?)",
                "USING INDEX idx_messages_done (created_at<?)",
            ],
        ),
        (
            incidents::delete_before_sql(&connection),
            &["SEARCH incidents USING INTEGER PRIMARY KEY", "idx_incidents_closed_at (closed_at<?)", "(incident=?)"],
        ),
        (incidents::oldest_done_sql(&connection), &["COVERING INDEX idx_incidents_closed_at", "(incident=?)"]),
    ] {
        let steps = plan(&connection, &sql);
        for part in expected {
            assert!(steps.iter().any(|step| step.contains(part)), "{sql}: {part} in {steps:?}");
        }
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{sql}: {steps:?}");
        let walks_all =
            |step: &&String| step.starts_with("SCAN ") && !step.contains(" INDEX ") && !step.contains("subquery");
        assert_eq!(steps.iter().find(walks_all), None, "{sql}");
    }
}
