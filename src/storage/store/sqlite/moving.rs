//! Owns a file out of which everything is moved, or into which: a side of a migration.
//! It must not serve anything, nor share the file with whoever does.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::checkpoint::{length_of, wal_of};
use super::fold::fold_all;
use super::{OpenError, Store, migrations};
use crate::limits::WAL_LEN_MAX;
use crate::store::migration::{Cell, Cells, HISTORY_BY_JOB, MARK, Side, Table, number};
use crate::store::sql::{Bad, Row, Sql, Value, values};
use crate::store::tables::rows::raise_mark;

/// Pages kept in memory meanwhile, in KiB.
const CACHE_KIB: i64 = 128 * 1_024;

/// A file, open for nobody else.
#[derive(Debug)]
pub(in crate::store) struct FileSide {
    store: Store,
}

impl FileSide {
    /// Opens a database that there is, and brings it up to date, as a server would.
    pub(in crate::store) fn source(path: &Path) -> Result<FileSide, OpenError> {
        FileSide::of(Store::open_existing(path)?)
    }

    /// Opens a database, or makes it; one into which something was moved in part is as good.
    pub(in crate::store) fn target(path: &Path) -> Result<FileSide, OpenError> {
        let side = FileSide::of(Store::open_in_part(path)?)?;
        // What a power cut takes away is at the end, and is moved again: the mark is on disk before all, and goes behind all.
        let quick = side.store.connection.pragma_update(None, "synchronous", "NORMAL");
        quick.map_err(|why| side.store.damaged(&why))?;
        Ok(side)
    }

    fn of(store: Store) -> Result<FileSide, OpenError> {
        let cache = store.connection.pragma_update(None, "cache_size", -CACHE_KIB);
        cache.map_err(|why| store.damaged(&why))?;
        Ok(FileSide { store })
    }

    fn told<T>(&self, done: rusqlite::Result<T>) -> Result<T, String> {
        done.map_err(|why| self.store.damaged(&why).to_string())
    }

    /// Carries out a piece of work as a transaction.
    fn transact(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
        let transaction = self.store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&transaction)?;
        transaction.commit()
    }

    /// Copies the log into the database, so that it does not grow.
    fn checkpoint(&self) -> rusqlite::Result<()> {
        self.store.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }
}

impl Side for FileSide {
    fn place(&self) -> String {
        self.store.path().display().to_string()
    }

    fn walk(
        &mut self,
        text: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<bool, Bad>,
    ) -> Result<(), String> {
        self.told(Sql::walk(&self.store.connection, text, values, take))
    }

    fn source_of(&mut self, table: &Table) -> Result<String, String> {
        let by_time = "job_executions INDEXED BY idx_job_executions_scheduled_time";
        Ok(match table.columns[0].0 {
            "scheduled_time" if table.is_history() => by_time,
            _ if table.is_history() => "job_executions",
            _ => table.name,
        }
        .to_owned())
    }

    fn history(&self) -> &'static Table {
        // As it lies: each row is put behind the one before.
        HISTORY_BY_JOB
    }

    fn settle(&mut self) -> Result<(), String> {
        let left = fold_all(&mut self.store);
        match self.told(left)? {
            0 => self.told(self.checkpoint()),
            left => Err(format!(
                "{left} finished executions of {} cannot be put into its history; `punctual check` says what is wrong",
                self.place()
            )),
        }
    }

    fn numbered_through(&mut self) -> Result<i64, String> {
        let find = "SELECT max(v) FROM (SELECT max(seq) v FROM ledger UNION ALL SELECT max(seq) FROM alerts \
                    UNION ALL SELECT value FROM marks WHERE name = 'seq')";
        Ok(number(self, find)?.unwrap_or(0))
    }

    fn begin(&mut self, mark: i64, _: i64) -> Result<(), String> {
        let begun = self.transact(|connection| {
            connection.run("INSERT INTO marks (name, value) VALUES (?1, ?2)", values![MARK, mark])?;
            // Sorted at the end: row by row they would be touched all over.
            indexes_of_history()?
                .iter()
                .try_for_each(|(name, _)| connection.execute_batch(&format!("DROP INDEX {name}")))
        });
        let begun = begun.and_then(|()| self.checkpoint());
        self.told(begun)
    }

    fn last(&mut self, table: &Table) -> Result<Option<Cells>, String> {
        let (source, key) = (self.source_of(table)?, table.key_list());
        let only = if table.only.is_empty() { String::new() } else { format!(" WHERE {}", table.only) };
        if table.name == "marks" {
            // It has some from the beginning. They are put once more.
            return Ok(None);
        }
        let backwards = key.replace(", ", " DESC, ");
        let find = format!("SELECT {key} FROM {source}{only} ORDER BY {backwards} DESC LIMIT 1");
        Cell::first(self, &find, table.key_len)
    }

    fn put(&mut self, table: &Table, rows: &[Cells]) -> Result<(), String> {
        let name = if table.is_history() { "job_executions" } else { table.name };
        let numbers: Vec<String> = (1..=table.columns.len()).map(|number| format!("?{number}")).collect();
        let once_more = if table.name == "marks" { " OR REPLACE" } else { "" };
        let insert = format!("INSERT{once_more} INTO {name} ({}) VALUES ({})", table.column_list(), numbers.join(", "));
        let put = self.transact(|connection| {
            rows.iter().try_for_each(|row| {
                let values: Vec<Value<'_>> = row.iter().map(Cell::value).collect();
                connection.run(&insert, &values)
            })
        });
        let is_long = length_of(&wal_of(self.store.path())) > WAL_LEN_MAX;
        let put = put.and_then(|()| if is_long { self.checkpoint() } else { Ok(()) });
        self.told(put)
    }

    fn finish(&mut self, numbered_through: i64) -> Result<(), String> {
        let finished = self.transact(|connection| {
            for (name, sql) in indexes_of_history()? {
                let find = "SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1";
                if connection.query_row(find, [name], |_| Ok(())).optional()?.is_none() {
                    connection.execute_batch(&sql)?;
                }
            }
            raise_mark(connection, "seq", numbered_through)
        });
        let finished = finished.and_then(|()| self.checkpoint());
        self.told(finished)
    }

    fn end(&mut self) -> Result<(), String> {
        let all_on_disk = self.store.connection.pragma_update(None, "synchronous", "FULL");
        let ended = all_on_disk.and_then(|()| {
            self.transact(|connection| connection.run("DELETE FROM marks WHERE name = ?1", values![MARK]))?;
            self.checkpoint()
        });
        self.told(ended)
    }
}

/// The indexes of history that a new database has, each with what makes it.
fn indexes_of_history() -> rusqlite::Result<Vec<(String, String)>> {
    let mut model = Connection::open_in_memory()?;
    let transaction = model.transaction()?;
    migrations::migrate(&transaction, 0)?;
    let find =
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'job_executions' AND sql IS NOT NULL";
    let mut statement = transaction.prepare(find)?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.collect()
}

/// Whether something was moved into a database in part.
pub(super) fn is_in_part(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .query_row("SELECT 1 FROM marks WHERE name = ?1", [MARK], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
}
