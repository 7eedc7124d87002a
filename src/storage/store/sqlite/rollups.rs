//! Owns the tables of rollups: how one is found, read and written, and what a slice of the fold adds to them.
//! It must not let a rollup that cannot be read keep an execution from history: it is a figure, the row is the record.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use super::chore::is_of_row;
use super::rows;
use crate::core::LedgerRow;
use crate::job::JobKey;
use crate::store::rollup::{Rollup, Room};
use crate::store::sql::{bad, integer};
use crate::store::steps::Edge;
use crate::store::tables::rows::raise_mark;
use crate::store::varint::Damaged;
use crate::time::Instant;

/// In the place of a job: the sum over all of them. No job has this key.
pub(super) const ALL: JobKey = JobKey(0);

/// The mark that says where the edge is.
const EDGE: &str = "series_days_before";

/// The beginning of a stretch of time, and whose executions of it.
pub(super) type Place = (Instant, JobKey);

/// What lies before it is in days, or is on the way there.
pub(super) fn edge(connection: &Connection) -> rusqlite::Result<Edge> {
    let mut mark = connection.prepare_cached("SELECT value FROM marks WHERE name = ?1")?;
    let found: Option<i64> = mark.query_row([EDGE], |row| row.get(0)).optional()?;
    Ok(found.map_or(Edge::NONE, |second| Edge::at(Instant::from_secs(second))))
}

/// Moves the edge, if that is forward.
pub(super) fn raise_edge(connection: &Connection, edge: Edge) -> rusqlite::Result<()> {
    raise_mark(connection, EDGE, edge.start().as_secs())
}

/// A rollup that is to be written there; None if what is there cannot be read.
type Part = (Place, Option<Rollup>);

/// So many rows that are not wanted are passed over before the next one that is wanted is looked for.
const PASSED_MAX: u32 = 4;

/// Where rollups are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Hours,
    Days,
}

impl Table {
    /// The one that this stretch is added to.
    pub(super) fn of(start: Instant, edge: Edge) -> Table {
        if edge.is_behind(start) { Table::Days } else { Table::Hours }
    }

    pub(super) fn read(self, connection: &Connection, place: Place) -> rusqlite::Result<Option<Rollup>> {
        let sql = match self {
            Table::Hours => "SELECT rollup FROM series_hours WHERE start = ?1 AND job_id = ?2",
            Table::Days => "SELECT rollup FROM series_days WHERE start = ?1 AND job_id = ?2",
        };
        let key = params![place.0.as_secs(), integer(place.1.0)];
        connection.prepare_cached(sql)?.query_row(key, |row| rollup_in(row, 0)).optional()
    }

    pub(super) fn write(self, connection: &Connection, place: Place, rollup: Rollup) -> rusqlite::Result<()> {
        put_one(&mut *connection.prepare_cached(self.put())?, place, rollup)
    }

    fn put(self) -> &'static str {
        match self {
            Table::Hours => "INSERT OR REPLACE INTO series_hours (start, job_id, rollup) VALUES (?1, ?2, ?3)",
            Table::Days => "INSERT OR REPLACE INTO series_days (start, job_id, rollup) VALUES (?1, ?2, ?3)",
        }
    }

    /// Adds what there is to these parts of one stretch of time, which are in order. Most lie beside each other: going from
    /// one row to the next takes a fraction of finding each.
    fn merge_into(
        self,
        connection: &Connection,
        parts: &mut [Part],
        unread: &mut Option<rusqlite::Error>,
    ) -> rusqlite::Result<()> {
        let sql = match self {
            Table::Hours => "SELECT job_id, rollup FROM series_hours WHERE start = ?1 AND job_id >= ?2 ORDER BY job_id",
            Table::Days => "SELECT job_id, rollup FROM series_days WHERE start = ?1 AND job_id >= ?2 ORDER BY job_id",
        };
        let mut find = connection.prepare_cached(sql)?;
        let mut at = 0;
        while let Some(&((start, first), _)) = parts.get(at) {
            let mut found = find.query(params![start.as_secs(), integer(first.0)])?;
            let mut passed = 0;
            while passed < PASSED_MAX && at < parts.len() {
                let Some(row) = found.next()? else { return Ok(()) };
                let job = JobKey(rows::unsigned(row, 0)?);
                // Those before it are not there yet.
                at += parts[at..].iter().take_while(|(place, _)| place.1 < job).count();
                match parts.get_mut(at) {
                    Some((place, recent)) if place.1 == job => {
                        (at, passed) = (at + 1, 0);
                        match rollup_in(row, 1) {
                            Ok(mut rollup) => {
                                rollup.merge(recent.as_ref().expect("each is looked for once"));
                                *recent = Some(rollup);
                            }
                            Err(why) if is_of_row(&why) => (*recent, *unread) = (None, Some(why)),
                            Err(why) => return Err(why),
                        }
                    }
                    Some(_) | None => passed += 1,
                }
            }
        }
        Ok(())
    }
}

/// A column that holds the bytes of a rollup.
pub(super) fn rollup_in(row: &Row<'_>, index: usize) -> rusqlite::Result<Rollup> {
    let bytes = row.get_ref(index)?.as_blob().map_err(|why| rusqlite::Error::from(bad(index, &why.to_string())))?;
    Rollup::decode(bytes).map_err(|Damaged| bad(index, "these are not the bytes of a rollup").into())
}

/// What a slice of the fold adds to rollups.
#[derive(Debug)]
pub(super) struct Recent {
    edge: Edge,
    rollups: BTreeMap<Place, Rollup>,
}

impl Recent {
    /// Nothing yet.
    pub(super) fn new(edge: Edge) -> Recent {
        Recent { edge, rollups: BTreeMap::new() }
    }

    /// Counts a row that is being moved.
    pub(super) fn add(&mut self, row: &LedgerRow) {
        let place = (self.edge.stretch_of(row.key.instant), row.key.job);
        self.rollups.entry(place).or_default().add(&row.key, &row.record);
    }

    /// Adds it all to what is there, in the order of the tables. Returns what was wrong with a rollup whose bytes make no
    /// sense: that one is left as it is.
    pub(super) fn write(mut self, connection: &Connection) -> rusqlite::Result<Option<rusqlite::Error>> {
        let mut sums: BTreeMap<Place, Rollup> = BTreeMap::new();
        for (&(start, _), rollup) in &self.rollups {
            sums.entry((start, ALL)).or_default().merge(rollup);
        }
        self.rollups.append(&mut sums);
        let mut parts: Vec<Part> = self.rollups.into_iter().map(|(place, recent)| (place, Some(recent))).collect();
        let mut unread = None;
        for stretch in parts.chunk_by_mut(|left, right| left.0.0 == right.0.0) {
            let table = Table::of(stretch[0].0.0, self.edge);
            table.merge_into(connection, stretch, &mut unread)?;
            let mut put = connection.prepare_cached(table.put())?;
            for (place, rollup) in stretch {
                // None: it could not be read.
                if let Some(rollup) = rollup.take() {
                    put_one(&mut put, *place, rollup)?;
                }
            }
        }
        Ok(unread)
    }
}

fn put_one(put: &mut Statement<'_>, place: Place, rollup: Rollup) -> rusqlite::Result<()> {
    let bytes = rollup.encode(if place.1 == ALL { Room::All } else { Room::Job });
    put.execute(params![place.0.as_secs(), integer(place.1.0), bytes]).map(drop)
}
