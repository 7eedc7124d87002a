//! Owns the check that nothing is left behind: the list of what is moved against what both databases have.
//! It must not move anything: `tests/migrate.rs` does, with real servers.

use std::collections::BTreeSet;

use super::side::read;
use super::{HISTORY_BY_JOB, HISTORY_BY_TIME, Side, TABLES, Table};
use crate::postgres::Url;
use crate::postgres::support::Postgres;
use crate::store::{postgres, sqlite};

/// What only PostgreSQL has, as it works in another way: who writes, and where.
const OF_THE_SERVER: [&str; 5] = ["executions_model", "nodes", "partitions", "punctual_schema", "shards"];
/// What SQLite makes by itself.
const OF_THE_FILE: [&str; 1] = ["sqlite_sequence"];
/// Columns that follow from others there.
const FOLLOWING: [(&str, &str); 10] = [
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

#[test]
fn rows_are_read_in_the_order_of_their_keys_by_an_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = sqlite::FileSide::target(&folder.path().join("p.db")).expect("it can be made");
    for table in TABLES.iter().chain([HISTORY_BY_JOB, HISTORY_BY_TIME]) {
        assert!(read(&mut file, table, None).expect("it can be read").is_empty() || table.name == "marks");
        let (source, key) = (file.source_of(table).expect("known"), table.key_list());
        let marks: Vec<&str> = (0..table.key_len).map(|_| "1").collect();
        let explain = format!(
            "EXPLAIN QUERY PLAN SELECT {} FROM {source} WHERE ({key}) > ({}) ORDER BY {key} LIMIT 5000",
            table.column_list(),
            marks.join(", ")
        );
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
