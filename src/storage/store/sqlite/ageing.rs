//! Owns the ageing of series: hours become days, and days that are too old go, in small slices.
//! It must not lose or double what it moves: an hour is added to its day and deleted in one transaction, and what is
//! left of a slice that fails is found again by the next sweep.

use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, params};

use super::chore::{is_of_page, is_of_row};
use super::rollups::{self, Place, Table};
use super::rows;
use crate::clock;
use crate::job::JobKey;
use crate::limits::{SERIES_DAYS_KEPT, SERIES_HOURS_KEPT, SERIES_PACE, SERIES_SLICE_ROWS, SERIES_SLICE_TIME};
use crate::store::Housekeeping;
use crate::store::rollup::Rollup;
use crate::store::sql::integer;
use crate::store::steps::{DAY_S, Edge, HOUR_S};
use crate::time::{Instant as Second, Steady, WallUs};

/// Before everything.
const START: Place = (Second::from_secs(i64::MIN), JobKey(0));

/// An hour that is to become part of a day, as far as it could be read.
type Hour = (Place, rusqlite::Result<Rollup>);

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Rest,
    /// Hours before the edge become days: those behind this one.
    Hours(Place),
    /// Days that are too old are deleted.
    Days,
}

/// The sweep, in slices.
#[derive(Debug)]
pub(super) struct Ageing {
    /// How often it is looked whether there is something to do.
    every: Duration,
    phase: Phase,
    edge: Edge,
    /// Days before this are too old.
    oldest_day: Edge,
    /// What age counts from.
    steady: Option<Steady>,
    /// When the next slice is due.
    next: Instant,
    /// How many rows a slice may have: fewer after one failed, until that row is found.
    slice_max: u32,
    /// The last row that was looked at.
    looking_at: Option<Place>,
    /// Whether nothing of the last slice was done.
    has_failed: bool,
}

impl Ageing {
    pub(super) fn new(housekeeping: &Housekeeping) -> Ageing {
        let every = housekeeping.series_look_every;
        Ageing {
            every,
            phase: Phase::Rest,
            edge: Edge::NONE,
            oldest_day: Edge::NONE,
            steady: None,
            // Not at once: a start has better things to do.
            next: Instant::now() + every / 10,
            slice_max: SERIES_SLICE_ROWS,
            looking_at: None,
            has_failed: false,
        }
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// Takes a slice, if one is due. It may be done and all the same return an error: of a row that could not be read, and
    /// stays.
    pub(super) fn slice(&mut self, connection: &mut Connection, now: Instant) -> rusqlite::Result<()> {
        if self.next > now {
            return Ok(());
        }
        (self.looking_at, self.has_failed) = (None, true);
        let mut unread = None;
        // Before the transaction, which could not be committed once it met a damaged page. Nobody else writes.
        let (hours, is_end) = match self.phase {
            Phase::Hours(after) => self.hours_behind(connection, after, &mut unread)?,
            Phase::Rest | Phase::Days => (Vec::new(), false),
        };
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let until = now.max(Instant::now()) + SERIES_SLICE_TIME;
        let phase = match self.phase {
            Phase::Rest => self.begin(&transaction)?,
            Phase::Hours(_) => {
                let count = hours.len();
                match self.age(&transaction, hours, until, &mut unread)? {
                    (moved, _) if moved == count && is_end => Phase::Days,
                    (_, reached) => Phase::Hours(reached),
                }
            }
            Phase::Days => {
                let gone = delete_days(&transaction, self.oldest_day, self.slice_max)?;
                if gone < self.slice_max as usize { Phase::Rest } else { Phase::Days }
            }
        };
        transaction.commit()?;
        self.phase = phase;
        self.slice_max = (self.slice_max * 2).min(SERIES_SLICE_ROWS);
        let rest = if self.phase == Phase::Rest { self.every } else { SERIES_PACE };
        self.next = now.max(Instant::now()) + rest;
        self.has_failed = false;
        unread.map_or(Ok(()), Err)
    }

    /// A slice met damage. What a slice that was done could not read, it has passed over. Of one that was not: smaller
    /// ones, until the row is found that cannot be moved; and where no row can be read at all, the next hour.
    pub(super) fn skip(&mut self, now: Instant) {
        if !self.has_failed {
            return;
        }
        self.phase = match (self.phase, self.looking_at) {
            (Phase::Hours(after), Some(_)) if self.slice_max > 1 => {
                self.slice_max = 1;
                Phase::Hours(after)
            }
            (Phase::Hours(_), Some(bad)) => Phase::Hours(bad),
            (Phase::Hours((start, _)), None) => {
                // What was not moved before lies in the day before the edge.
                let hour = (start.as_secs().saturating_add(1)).max(self.edge.start().as_secs() - DAY_S);
                let end = hour.div_euclid(HOUR_S) * HOUR_S + HOUR_S - 1;
                Phase::Hours((Second::from_secs(end), JobKey(u64::MAX)))
            }
            (Phase::Rest | Phase::Days, _) => {
                self.next = now + self.every;
                Phase::Rest
            }
        };
    }

    /// Sees how far the edge has to move: a clock set to another year must not make days of everything.
    fn begin(&mut self, transaction: &Connection) -> rusqlite::Result<Phase> {
        let newest = |sql: &str| transaction.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        let hour = newest("SELECT max(start) FROM series_hours")?.map(|start| start.saturating_add(HOUR_S));
        let day = newest("SELECT max(start) FROM series_days")?.map(|start| start.saturating_add(DAY_S));
        let Some(newest) = hour.max(day) else { return Ok(Phase::Rest) };
        let (now, newest) = (clock::now(), Second::from_secs(newest));
        let steady = self.steady.get_or_insert_with(|| Steady::new(Some(WallUs::of(newest)), now));
        let newest = steady.now(now).floor().as_secs();
        let before = |age: u64| Edge::at(Second::from_secs(newest.saturating_sub_unsigned(age)));
        let edge = before(SERIES_HOURS_KEPT.as_secs());
        rollups::raise_edge(transaction, edge)?;
        // A clock that was ahead has left it where it was.
        self.edge = rollups::edge(transaction)?;
        self.oldest_day = before(SERIES_DAYS_KEPT.as_secs());
        Ok(Phase::Hours(START))
    }

    /// Moves hours until the time is up. How many it looked at, and the last of them.
    fn age(
        &mut self,
        transaction: &Connection,
        hours: Vec<Hour>,
        until: Instant,
        unread: &mut Option<rusqlite::Error>,
    ) -> rusqlite::Result<(usize, Place)> {
        let mut delete = transaction.prepare_cached("DELETE FROM series_hours WHERE start = ?1 AND job_id = ?2")?;
        let (mut looked, mut reached) = (0, START);
        for (place, hour) in hours {
            (looked, reached) = (looked + 1, place);
            self.looking_at = Some(place);
            let day = (self.edge.stretch_of(place.0), place.1);
            let merged = hour.and_then(|hour| {
                let mut rollup = Table::Days.read(transaction, day)?.unwrap_or_default();
                rollup.merge(&hour);
                Ok(rollup)
            });
            match merged {
                Ok(rollup) => {
                    Table::Days.write(transaction, day, rollup)?;
                    delete.execute(params![place.0.as_secs(), integer(place.1.0)])?;
                }
                Err(why) if is_of_row(&why) => *unread = Some(why),
                Err(why) => return Err(why),
            }
            if Instant::now() >= until {
                break;
            }
        }
        Ok((looked, reached))
    }

    /// The next hours to be moved, and whether they are the last. What lies in front of a damaged page is moved first.
    fn hours_behind(
        &self,
        connection: &Connection,
        (start, job): Place,
        unread: &mut Option<rusqlite::Error>,
    ) -> rusqlite::Result<(Vec<Hour>, bool)> {
        let mut find = connection.prepare_cached(
            "SELECT start, job_id, rollup FROM series_hours WHERE (start, job_id) > (?1, ?2) AND start < ?3 \
             ORDER BY start, job_id LIMIT ?4",
        )?;
        let edge = self.edge.start().as_secs();
        let mut found = find.query(params![start.as_secs(), integer(job.0), edge, self.slice_max])?;
        let mut hours = Vec::new();
        loop {
            match found.next() {
                Ok(Some(row)) => {
                    let place = (Second::from_secs(row.get(0)?), JobKey(rows::unsigned(row, 1)?));
                    hours.push((place, rollups::rollup_in(row, 2)));
                }
                Ok(None) => {
                    let is_end = hours.len() < self.slice_max as usize;
                    return Ok((hours, is_end));
                }
                Err(why) if is_of_page(&why) && !hours.is_empty() => {
                    *unread = Some(why);
                    return Ok((hours, false));
                }
                Err(why) => return Err(why),
            }
        }
    }
}

/// Deletes days that are too old; how many.
fn delete_days(transaction: &Connection, oldest: Edge, most: u32) -> rusqlite::Result<usize> {
    let mut delete = transaction.prepare_cached(
        "DELETE FROM series_days WHERE (start, job_id) IN \
         (SELECT start, job_id FROM series_days WHERE start < ?1 ORDER BY start, job_id LIMIT ?2)",
    )?;
    delete.execute(params![oldest.start().as_secs(), most])
}
