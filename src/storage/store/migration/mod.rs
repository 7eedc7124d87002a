//! Owns moving everything from one database to the other kind: in which order, how it goes on after it was broken off, and
//! whether all of it arrived.
//! It must not know how either database keeps anything: they are `side`s.
//!
//! In reading order: `tables` (what is moved), `cells` (values on their way, and what they come to), `side` (what either
//! database must be able to do), `verified` (what is there compared with what was there).
//!
//! Rows are moved in the order of their keys, a slice in a transaction. So what is there says how far it is, and nothing
//! else has to: whoever goes on looks up the last key. A mark keeps servers off what is there in part; it is made of all
//! that was to be moved when it began, but for history and series, which do not change without the rest. So it is noticed
//! if the old database was used between two tries.

mod cells;
mod side;
mod tables;
#[cfg(test)]
mod tests;
mod verified;

use std::fmt;

pub(in crate::store) use cells::{Cell, Cells};
pub(in crate::store) use side::{Side, number};
pub(in crate::store) use tables::{HISTORY_BY_JOB, HISTORY_BY_TIME, IN_PART, Kind, MARK, TABLES, Table};
pub use verified::Compared;

use super::database::Location;
use super::{postgres, sqlite};
use cells::Digest;
use side::read;
use verified::{compare, history_rows};

/// How far a migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving {
    /// What is being done.
    pub stage: &'static str,
    /// With what: a table.
    pub what: &'static str,
    /// Rows that are done.
    pub done: u64,
    /// Of so many; 0: nobody knows.
    pub of: u64,
}

/// Whoever watches a migration is told how far it is.
pub type MovingWatch<'a> = &'a mut dyn FnMut(Moving);

/// What was moved.
#[derive(Clone, Debug)]
pub struct Migrated {
    /// What was compared in the end, and found to be the same.
    pub compared: Vec<Compared>,
    /// How many rows were moved now; others were there from a try before.
    pub moved: u64,
    /// Whether a try before had been broken off.
    pub is_resumed: bool,
    /// How many secrets there are: they stay sealed with the key they have.
    pub secrets: u64,
}

/// Why not everything is moved.
#[derive(Debug)]
pub enum MigrationError {
    /// Nothing was begun, or gone on with.
    Refused(String),
    /// It was broken off; the same again goes on with it.
    Failed(String),
    /// What is there is not what was to be moved.
    Differs(Vec<Compared>),
}

impl fmt::Display for MigrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MigrationError::Refused(why) => f.write_str(why),
            MigrationError::Failed(why) => write!(f, "{why}; the same command goes on from here"),
            MigrationError::Differs(compared) => {
                let differing: Vec<String> = compared
                    .iter()
                    .filter(|compared| !compared.is_same())
                    .map(|Compared { what, from, to, .. }| match from == to {
                        true => format!("{what} ({from} each, with other content)"),
                        false => format!("{what} ({to} instead of {from})"),
                    })
                    .collect();
                write!(f, "not everything arrived as it was: {}; no server starts on the copy", differing.join(", "))
            }
        }
    }
}

/// Moves everything from one database to an empty one of the other kind, or goes on with that.
///
/// # Errors
/// When a server uses one of them, the new one is not empty, either fails, or not everything arrived.
pub fn migrate(from: &Location, to: &Location, watch: MovingWatch<'_>) -> Result<Migrated, MigrationError> {
    let refused = MigrationError::Refused;
    let mut from = open(from, true).map_err(refused)?;
    let (mut to, mark) = open_marked(to)?;
    Move { from: &mut *from, to: &mut *to, watch, moved: 0 }.run(mark)
}

/// Opens one side. What it is moved out of must be a database, and none that is there in part.
fn open(location: &Location, is_source: bool) -> Result<Box<dyn Side>, String> {
    Ok(match location {
        Location::File(path) if is_source => Box::new(sqlite::FileSide::source(path).map_err(|why| why.to_string())?),
        Location::File(path) => Box::new(sqlite::FileSide::target(path).map_err(|why| why.to_string())?),
        Location::Server { url, .. } => Box::new(postgres::ServerSide::open(url, is_source)?),
    })
}

/// Opens what it is moved into, with the mark that is there.
fn open_marked(location: &Location) -> Result<(Box<dyn Side>, Option<i64>), MigrationError> {
    let mut to = open(location, false).map_err(MigrationError::Refused)?;
    let find = format!("SELECT value FROM marks WHERE name = '{MARK}'");
    let mark = number(&mut *to, &find).map_err(MigrationError::Refused)?;
    Ok((to, mark))
}

/// A migration under way.
struct Move<'a> {
    from: &'a mut dyn Side,
    to: &'a mut dyn Side,
    watch: MovingWatch<'a>,
    moved: u64,
}

impl Move<'_> {
    fn run(mut self, mark: Option<i64>) -> Result<Migrated, MigrationError> {
        if mark.is_none() {
            self.expect_empty().map_err(MigrationError::Refused)?;
        }
        self.tell("counting what ended in", "executions", (0, 0));
        self.from.settle().map_err(MigrationError::Failed)?;
        let state = self.state().map_err(MigrationError::Failed)?;
        let numbered_through = self.from.numbered_through().map_err(MigrationError::Failed)?;
        match mark {
            None => self.to.begin(state, numbered_through).map_err(MigrationError::Failed)?,
            Some(mark) if mark == state => {}
            Some(_) => {
                return Err(MigrationError::Refused(format!(
                    "a migration into {} was begun from another database, or from this one before it was used again; \
                     drop {0} and begin anew",
                    self.to.place()
                )));
            }
        }
        self.copy_all().map_err(MigrationError::Failed)?;
        self.tell("completing", "indexes", (0, 0));
        self.to.finish(numbered_through).map_err(MigrationError::Failed)?;
        let compared = compare(self.from, self.to, self.watch).map_err(MigrationError::Failed)?;
        if compared.iter().any(|compared| !compared.is_same()) {
            return Err(MigrationError::Differs(compared));
        }
        self.to.end().map_err(MigrationError::Failed)?;
        let secrets =
            compared.iter().filter(|compared| matches!(compared.what.as_str(), "secrets" | "channel_secrets"));
        let secrets = secrets.map(|compared| compared.to).sum();
        Ok(Migrated { compared, moved: self.moved, is_resumed: mark.is_some(), secrets })
    }

    fn tell(&mut self, stage: &'static str, what: &'static str, (done, of): (u64, u64)) {
        (self.watch)(Moving { stage, what, done, of });
    }

    /// Nothing may be lost in a database that is in use, nor anything be added to what somebody else has there.
    fn expect_empty(&mut self) -> Result<(), String> {
        let history = self.to.history();
        for table in TABLES.iter().chain([history]) {
            let source = self.to.source_of(table)?;
            // A new database has a mark that says that there were no changes of tokens.
            let only = if table.name == "marks" { " WHERE name <> 'tokens' OR value <> 0" } else { "" };
            let find = format!("SELECT CAST(count(*) AS BIGINT) FROM (SELECT 1 FROM {source}{only} LIMIT 1) AS f");
            if number(self.to, &find)? != Some(0) {
                return Err(format!(
                    "expected {} to be new, and there are rows in its table {}",
                    self.to.place(),
                    table.name
                ));
            }
        }
        Ok(())
    }

    /// What all that is to be moved comes to, but for history and series.
    fn state(&mut self) -> Result<i64, String> {
        let mut digest = Digest::NONE;
        for table in TABLES.iter().filter(|table| !table.name.starts_with("series_")) {
            let (mut behind, mut done) = (None, 0);
            loop {
                let rows = read(self.from, table, behind.as_deref())?;
                let Some(last) = rows.last() else { break };
                rows.iter().for_each(|row| digest.add(row));
                behind = Some(last[..table.key_len].to_vec());
                done += rows.len() as u64;
                self.tell("reading", table.name, (done, 0));
            }
        }
        Ok(digest.as_mark())
    }

    fn copy_all(&mut self) -> Result<(), String> {
        let history = self.to.history();
        let all = history_rows(self.from)?;
        TABLES.iter().try_for_each(|table| self.copy(table, 0))?;
        self.copy(history, all)
    }

    /// Copies what is not there yet.
    fn copy(&mut self, table: &'static Table, of: u64) -> Result<(), String> {
        let mut behind = self.to.last(table)?;
        let mut done = match &behind {
            // From a try before.
            Some(_) if of > 0 => {
                let count = format!("SELECT CAST(count(*) AS BIGINT) FROM {}", self.to.source_of(table)?);
                number(self.to, &count)?.unwrap_or(0).unsigned_abs()
            }
            Some(_) | None => 0,
        };
        loop {
            let rows = read(self.from, table, behind.as_deref())?;
            let Some(last) = rows.last() else { return Ok(()) };
            let put = self.to.put(table, &rows);
            put.map_err(|why| format!("failed to write the table {} of {}: {why}", table.name, self.to.place()))?;
            behind = Some(last[..table.key_len].to_vec());
            done += rows.len() as u64;
            self.moved += rows.len() as u64;
            self.tell("copying", table.name, (done, of));
        }
    }
}
