//! Owns what either database must be able to do so that everything can be moved out of it, or into it.
//! It must not know how one does it.

use super::cells::{Cell, Cells};
use super::tables::Table;
use crate::limits::{MIGRATION_SLICE_LEN, MIGRATION_SLICE_ROWS};
use crate::store::sql::{Bad, Row, Value};

/// A database that nobody else uses meanwhile. What goes wrong is told in words.
pub(in crate::store) trait Side {
    /// Where it is, for people.
    fn place(&self) -> String;

    /// Takes row after row of a statement that reads, until `take` wants no more.
    fn walk(
        &mut self,
        text: &str,
        values: &[Value<'_>],
        take: &mut dyn FnMut(&Row<'_>) -> Result<bool, Bad>,
    ) -> Result<(), String>;

    /// What stands behind FROM for a table.
    fn source_of(&mut self, table: &Table) -> Result<String, String>;

    /// History, in the order in which this database takes it.
    fn history(&self) -> &'static Table;

    /// Counts what has ended and is not counted, as the next server would: then its tables say all there is to say.
    fn settle(&mut self) -> Result<(), String>;

    /// The highest number that may have been given to a row of the ledger.
    fn numbered_through(&mut self) -> Result<i64, String>;

    /// Says in the database that something is being moved into it: from then on no server starts on it. Numbers through
    /// this are taken.
    fn begin(&mut self, mark: i64, numbered_through: i64) -> Result<(), String>;

    /// The key of the last row of a table, in its order: up to there it has been moved.
    fn last(&mut self, table: &Table) -> Result<Option<Cells>, String>;

    /// Puts rows behind those that are there, as one transaction.
    fn put(&mut self, table: &Table, rows: &[Cells]) -> Result<(), String>;

    /// Everything is there: makes what follows from it. Numbers through this are taken.
    fn finish(&mut self, numbered_through: i64) -> Result<(), String>;

    /// Takes the mark away, durably.
    fn end(&mut self) -> Result<(), String>;
}

/// The next rows of a table behind a key, in its order; none: there are no more.
pub(super) fn read(side: &mut dyn Side, table: &Table, behind: Option<&[Cell]>) -> Result<Vec<Cells>, String> {
    let find = statement(side, table, behind.is_some())?;
    let values: Vec<Value<'_>> = behind.unwrap_or_default().iter().map(Cell::value).collect();
    let (mut rows, mut bytes) = (Vec::new(), 0);
    side.walk(&find, &values, &mut |row| {
        let cells = Cell::all_of(row, table.columns.len())?;
        bytes += cells.iter().map(Cell::len).sum::<usize>();
        rows.push(cells);
        Ok(bytes < MIGRATION_SLICE_LEN)
    })
    .map_err(|why| format!("failed to read the table {} of {}: {why}", table.name, side.place()))?;
    Ok(rows)
}

/// What reads the first rows of a table, or those behind a key.
pub(super) fn statement(side: &mut dyn Side, table: &Table, is_behind: bool) -> Result<String, String> {
    let key = table.key_list();
    let mut conditions: Vec<String> = Vec::new();
    if is_behind {
        let numbers: Vec<String> = (1..=table.key_len).map(|number| format!("?{number}")).collect();
        conditions.push(format!("({key}) > ({})", numbers.join(", ")));
    }
    if !table.only.is_empty() {
        conditions.push(table.only.to_owned());
    }
    let only = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let (columns, source) = (table.column_list(), side.source_of(table)?);
    Ok(format!("SELECT {columns} FROM {source}{only} ORDER BY {key} LIMIT {MIGRATION_SLICE_ROWS}"))
}

/// Rows of whole numbers.
pub(super) fn numbers(side: &mut dyn Side, text: &str, width: usize) -> Result<Vec<Vec<i64>>, String> {
    let mut found = Vec::new();
    side.walk(text, &[], &mut |row| {
        let numbers: Result<Vec<i64>, Bad> = (0..width).map(|column| row.get(column)).collect();
        found.push(numbers?);
        Ok(true)
    })?;
    Ok(found)
}

/// One whole number, which may be missing.
pub(in crate::store) fn number(side: &mut dyn Side, text: &str) -> Result<Option<i64>, String> {
    let mut found = None;
    side.walk(text, &[], &mut |row| {
        found = row.get(0)?;
        Ok(false)
    })?;
    Ok(found)
}
