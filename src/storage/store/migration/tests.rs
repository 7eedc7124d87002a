//! Owns the check that nothing is left behind: the list of what is moved against what both databases have.
//! It must not move anything: `tests/migrate.rs` does, with real servers.

use std::collections::BTreeSet;
use std::time::Duration;

use super::side::{read, statement};
use super::{HISTORY_BY_JOB, HISTORY_BY_TIME, Side, TABLES, Table};
use crate::clock;
use crate::postgres::support::Postgres;
use crate::postgres::{Connection, Url};
use crate::store::{postgres, sqlite};

/// What only PostgreSQL has, as it works in another way: who writes, and where.
const OF_THE_SERVER: [&str; 7] =
    ["config_version", "executions_model", "nodes", "partitions", "punctual_schema", "requests", "shards"];
/// What SQLite makes by itself.
const OF_THE_FILE: [&str; 1] = ["sqlite_sequence"];
/// Columns that follow from others there.
const FOLLOWING: [(&str, &str); 11] = [
    ("incidents", "node"),
    ("jobs", "shard"),
    ("jobs", "schedule"),
    ("jobs", "api"),
    ("jobs", "type"),
    ("jobs", "name"),
    ("jobs", "active"),
    ("ledger", "node"),
    ("ledger", "known"),
    ("ledger", "shard"),
    ("marks", ""),
];

/// Every table with its columns, as a side says it itself.
fn columns_of(side: &mut dyn Side, find: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let walked = side.walk(find, &[], &mut |row| {
        found.insert((row.text(0)?.to_owned(), row.text(1)?.to_owned()));
        Ok(true)
    });
    walked.expect("it can be read");
    found
}

fn moved() -> BTreeSet<(String, String)> {
    let of =
        |table: &'static Table| table.columns.iter().map(|(column, _)| (table.name.to_owned(), (*column).to_owned()));
    TABLES.iter().chain([HISTORY_BY_JOB]).flat_map(of).collect()
}

fn is_listed((table, column): &(String, String)) -> bool {
    !FOLLOWING.contains(&(table, column)) && ![&OF_THE_SERVER[..], &OF_THE_FILE].concat().contains(&table.as_str())
}

#[test]
fn every_column_of_both_databases_is_moved_or_follows_from_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = sqlite::FileSide::target(&folder.path().join("p.db")).expect("it can be made");
    let find = "SELECT replace(m.name, 'job_executions', 'executions'), c.name FROM sqlite_schema m, pragma_table_info(m.name) c \
                WHERE m.type = 'table'";
    let found: BTreeSet<_> = columns_of(&mut file, find).into_iter().filter(is_listed).collect();
    assert_eq!(found, moved(), "of the file");
    let (by_job, by_time): (BTreeSet<_>, BTreeSet<_>) = (
        HISTORY_BY_JOB.columns.iter().map(|column| column.0).collect(),
        HISTORY_BY_TIME.columns.iter().map(|column| column.0).collect(),
    );
    assert_eq!(by_job, by_time);
    let Some(url) = Postgres::database() else { return };
    let mut server = postgres::ServerSide::open(&Url::parse(&url).expect("a URL"), false).expect("nobody is there");
    let find = "SELECT replace(table_name::text, 'executions_model', 'executions'), column_name::text FROM information_schema.columns \
                JOIN information_schema.tables USING (table_schema, table_name) WHERE table_schema = 'public' \
                AND table_type = 'BASE TABLE'";
    let of_batches = ["written_at", "node", "batch"];
    let found: BTreeSet<_> = columns_of(&mut server, find)
        .into_iter()
        .filter(is_listed)
        .filter(|(table, column)| table != "executions" || !of_batches.contains(&column.as_str()))
        .collect();
    assert_eq!(found, moved(), "of the server");
}

/// Any values in place of those that come.
fn with_values(text: &str) -> String {
    (1..=4).fold(text.to_owned(), |text, number| text.replace(&format!("?{number}"), "'1'"))
}

#[test]
fn rows_are_read_in_the_order_of_their_keys_by_an_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = sqlite::FileSide::target(&folder.path().join("p.db")).expect("it can be made");
    for table in TABLES.iter().chain([HISTORY_BY_JOB, HISTORY_BY_TIME]) {
        assert!(read(&mut file, table, None).expect("it can be read").is_empty() || table.name == "marks");
        let text = statement(&mut file, table, true).expect("known");
        let explain = format!("EXPLAIN QUERY PLAN {}", with_values(&text));
        let mut plan = String::new();
        let walked = file.walk(&explain, &[], &mut |row| {
            plan += row.text(3)?;
            plan.push('\n');
            Ok(true)
        });
        walked.expect("it can be explained");
        assert!(plan.starts_with("SEARCH") && !plan.contains("TEMP B-TREE"), "{}: {plan}", table.name);
        assert!(plan.contains(table.columns[table.key_len - 1].0) || table.key_len == 1, "{}: {plan}", table.name);
    }
}

#[test]
fn rows_of_several_tables_of_history_are_read_in_one_order_without_sorting() {
    let Some(url) = Postgres::database() else { return };
    let url = Url::parse(&url).expect("a URL");
    let mut server = postgres::ServerSide::open(&url, false).expect("nobody is there");
    let soon = || clock::mono().plus(Duration::from_secs(30));
    let mut connection = Connection::connect(&url, soon()).expect("it listens");
    for number in 1..=3 {
        let like = format!(
            "CREATE TABLE executions_{number} (LIKE executions_model, PRIMARY KEY (job_id, scheduled_time, kind, number))"
        );
        connection.batch(&like, soon()).expect("it is the first");
        let note = format!("INSERT INTO partitions VALUES ({number}, 0, 0, 0)");
        connection.batch(&note, soon()).expect("it is the first");
    }
    // As the side has it.
    connection.batch("SET enable_sort TO off", soon()).expect("it can be set");
    let text = format!("EXPLAIN {}", with_values(&statement(&mut server, HISTORY_BY_JOB, true).expect("known")));
    let plan = connection.query(&text, &[], soon()).expect("it can be explained");
    let plan: Vec<&str> = plan.iter().map(|row| row.text(0).expect("a text")).collect();
    let has = |what: &str| plan.iter().any(|line| line.contains(what));
    assert!(has("Merge Append") && has("Index Cond") && !has("Seq Scan") && !has("->  Sort"), "{plan:#?}");
}
