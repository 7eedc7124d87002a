//! Owns the writer thread of a node: it takes a batch, commits it with its fence, and says so; and shows that the node lives.
//! It must not decide or reorder: a batch that fails is written again until it is in the database, but for the changes in
//! it, whose clients are told that they did not happen.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::batch::{self, Place};
use super::columns::WrittenAs;
use super::counts::Recent;
use super::open::{BEAT_EVERY, Store, connect, leave, soon};
use super::session::Session;
use super::{ageing, partitions, retention};
use crate::clock;
use crate::core::{LedgerRow, Persist};
use crate::limits::{COUNT_EVERY, COUNT_ROWS_MAX, PARTITION_ROWS_MAX};
use crate::postgres::Error;
use crate::store::writing::{Work, Writer};
use crate::store::{Batch, Housekeeping, Keep, WriterEvent};
use crate::time::Instant as Second;

/// What the fence says when it refuses a batch: see `migrations/postgres`.
const FENCED: &str = "PU001";
/// The rest between two slices of housekeeping.
const PACE: Duration = Duration::from_millis(20);

/// Starts the writer of a node; `notify` is called after each event.
///
/// # Errors
/// When a thread cannot be started.
pub(in crate::store) fn start(
    store: Store,
    keep: Keep,
    housekeeping: Housekeeping,
    notify: Arc<dyn Fn() + Send + Sync>,
) -> io::Result<Writer> {
    Writer::spawn(notify, move |work| {
        let now = Instant::now();
        let writing = Writing::new(store);
        let thread = Thread {
            writing,
            keep,
            retain_next: now + housekeeping.retain_look_every.min(housekeeping.retain_every / 10),
            age_next: now + housekeeping.series_look_every / 10,
            count_next: now + COUNT_EVERY,
            beaten: now,
            is_failing: false,
            kept_house: None,
            housekeeping,
            work,
        };
        thread.run();
    })
}

/// Why a batch is not known to be in the database.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// It is not. Nothing keeps it from being tried again.
    Refused(String),
    /// It may be.
    Unknown(String),
    /// It is not, and no other one will be: the node was declared dead.
    Fenced,
}

/// What a node writes with.
#[derive(Debug)]
pub(super) struct Writing {
    store: Store,
    /// The number of the last batch that is in the database.
    number: i64,
    /// Where finished executions go; None until that is known.
    partition: Option<Current>,
    /// What is history and not counted.
    recent: Recent,
}

/// The partition that executions are added to.
#[derive(Clone, Copy, Debug)]
struct Current {
    number: i64,
    span: Option<(Second, Second)>,
    rows: u64,
}

impl Writing {
    pub(super) fn new(store: Store) -> Writing {
        Writing { store, number: 0, partition: None, recent: Recent::default() }
    }

    pub(super) fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    fn reconnect(&mut self) -> Result<(), Error> {
        if self.store.connection.is_lost() {
            self.store.connection = connect(&self.store.url)?;
        }
        Ok(())
    }

    /// Writes a batch, if it is not there already.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), Unwritten> {
        let refused = |why: Error| Unwritten::Refused(why.to_string());
        self.reconnect().map_err(refused)?;
        let current = self.current().map_err(refused)?;
        let node = self.store.node;
        let written = WrittenAs { at: clock::wall().0, node, batch: self.number + 1 };
        let place = Place { written, partition: current.number, span: current.span };
        let session = Session::new(&mut self.store.connection, soon());
        match batch::write(&session, self.store.vault.as_ref(), batch, &place) {
            Ok(done) => {
                let (finished, span) = (done.finished, done.span);
                self.note(finished.into_iter(), span);
                Ok(())
            }
            Err(why) if why.sqlstate() == Some(FENCED) => self.look(batch),
            Err(why) if why.server().is_some() => Err(refused(why)),
            // Nobody knows how much of it came to the server.
            Err(why) => Err(Unwritten::Unknown(why.to_string())),
        }
    }

    /// The fence refused a batch: it was written before and nobody heard, or the node is dead.
    fn look(&mut self, batch: &Batch) -> Result<(), Unwritten> {
        let find = "SELECT batch FROM nodes WHERE id = $1 AND NOT dead";
        let found = self.store.connection.query(find, &[&self.store.node], soon());
        let found = found.map_err(|why| Unwritten::Unknown(why.to_string()))?;
        let last = found.get(0).map(|row| row.i64(0)).transpose();
        match last.map_err(|why| Unwritten::Unknown(why.to_string()))? {
            Some(last) if last == self.number + 1 => {
                let finished = batch::finished(batch);
                self.note(finished.into_iter(), None);
                Ok(())
            }
            Some(_) | None => Err(Unwritten::Fenced),
        }
    }

    /// The next batch is in the database.
    fn note<'b>(&mut self, finished: impl Iterator<Item = &'b LedgerRow>, span: Option<(Second, Second)>) {
        self.number += 1;
        let before = self.recent.rows;
        finished.for_each(|row| self.recent.add(row));
        if let Some(current) = &mut self.partition {
            current.span = span.or(current.span);
            current.rows += self.recent.rows - before;
        }
    }

    /// Where finished executions go.
    fn current(&mut self) -> Result<Current, Error> {
        let is_full = self.partition.is_some_and(|current| current.rows >= PARTITION_ROWS_MAX);
        if let Some(current) = self.partition.filter(|_| !is_full) {
            return Ok(current);
        }
        let connection = &mut self.store.connection;
        let newest = partitions::newest(connection, soon())?;
        let is_known = newest.is_some() && newest == self.partition.map(|current| current.number);
        let number = match newest {
            Some(newest) if !is_known => newest,
            Some(_) | None => partitions::begin(connection, newest, soon())?,
        };
        let known = "SELECT rows FROM partitions WHERE number = $1";
        let rows = connection.query(known, &[&number], soon())?.first()?.i64(0)?.unsigned_abs();
        let current = Current { number, span: None, rows };
        self.partition = Some(current);
        Ok(current)
    }

    /// Adds what finished executions came to.
    pub(super) fn count(&mut self) -> Result<(), Error> {
        if self.recent.is_empty() {
            return Ok(());
        }
        self.reconnect()?;
        let session = Session::new(&mut self.store.connection, soon());
        let counted = self.recent.flush(&session, self.store.node, self.number, clock::wall());
        if let Err(why) = counted {
            session.end().ok();
            return Err(why);
        }
        if let Some(current) = &self.partition {
            let rows = i64::try_from(self.recent.rows).unwrap_or(i64::MAX);
            let note = "UPDATE partitions SET rows = rows + $2 WHERE number = $1";
            session.query(note, &[&current.number, &rows])?;
        }
        self.recent = Recent::default();
        Ok(())
    }
}

struct Thread {
    writing: Writing,
    keep: Keep,
    housekeeping: Housekeeping,
    retain_next: Instant,
    age_next: Instant,
    count_next: Instant,
    /// When the node last showed that it lives.
    beaten: Instant,
    /// From when to when this thread last did anything else than write a batch.
    kept_house: Option<(Instant, Instant)>,
    /// Whether it was said that writing fails.
    is_failing: bool,
    work: Work,
}

impl Thread {
    fn run(mut self) {
        loop {
            let is_over = match self.work.batches.recv_timeout(self.rest()) {
                Ok((given, batch)) => self.write(given, batch).is_err(),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // A node that was declared dead writes no more: the thread's end says so.
            if is_over || self.housekeep().is_err() {
                return;
            }
        }
        // The next start need neither count nor wait; if this fails, it does.
        let counted = self.writing.count();
        let store = self.writing.store();
        drop(counted.and_then(|()| leave(&mut store.connection, store.node)));
    }

    /// Writes a batch, for as long as it takes.
    fn write(&mut self, given: Instant, mut batch: Batch) -> Result<(), ()> {
        let held_up =
            self.kept_house.map_or(Duration::ZERO, |(from, until)| until.saturating_duration_since(from.max(given)));
        let began = Instant::now();
        let through = batch.items.last().map(|&(number, _)| number);
        let mut is_unknown = false;
        loop {
            match self.writing.write(&batch) {
                Ok(()) => break,
                Err(Unwritten::Fenced) => {
                    let why = "this node was declared dead by another one, which has its jobs".to_owned();
                    self.work.tell(WriterEvent::Failing { why, rejected: Vec::new() });
                    return Err(());
                }
                Err(Unwritten::Refused(why)) => self.fail(why, &mut batch, is_unknown),
                Err(Unwritten::Unknown(why)) => {
                    is_unknown = true;
                    self.fail(why, &mut batch, is_unknown);
                }
            }
            std::thread::sleep(self.housekeeping.write_retry_wait);
        }
        self.beaten = Instant::now();
        if std::mem::take(&mut self.is_failing) {
            self.work.tell(WriterEvent::Working);
        }
        self.work.tell(WriterEvent::Committed { through, held_up, wrote: began.elapsed() });
        Ok(())
    }

    /// Says that writing fails. If nothing of the batch can be in the database, the changes in it are given up: their
    /// clients hear at once that nothing has changed. If it may be there, it is tried again as it is until that is known.
    fn fail(&mut self, why: String, batch: &mut Batch, is_unknown: bool) {
        let rejected = if is_unknown { Vec::new() } else { give_up_changes(batch) };
        if !std::mem::replace(&mut self.is_failing, true) || !rejected.is_empty() {
            self.work.tell(WriterEvent::Failing { why, rejected });
        }
    }

    /// How long to wait for a batch before there is something else to do.
    fn rest(&self) -> Duration {
        let due = self.retain_next.min(self.age_next).min(self.count_next).min(self.beaten + BEAT_EVERY);
        due.saturating_duration_since(Instant::now())
    }

    /// At most one slice of each kind, so that no batch waits long. What fails here is told, and tried again later.
    fn housekeep(&mut self) -> Result<(), ()> {
        let now = Instant::now();
        if let Ok(keep) = self.work.keeps.try_recv() {
            (self.keep, self.retain_next) = (keep, now);
        }
        if now >= self.beaten + BEAT_EVERY {
            match self.writing.write(&Batch::default()) {
                Ok(()) => self.beaten = Instant::now(),
                Err(Unwritten::Fenced) => return Err(()),
                // The next batch says what is wrong, if it still is.
                Err(Unwritten::Refused(_) | Unwritten::Unknown(_)) => self.beaten = now,
            }
        }
        if self.count_next <= now || self.writing.recent.rows >= COUNT_ROWS_MAX {
            let counted = self.writing.count();
            self.count_next = now + COUNT_EVERY;
            self.tell_failed(counted.err(), "the counts");
        }
        if self.retain_next <= now {
            let keep = self.keep;
            let done = self.writing.reconnect().and_then(|()| retention::slice(&mut self.writing.store.connection, &keep));
            let rest = if matches!(done, Ok(true)) { PACE } else { self.housekeeping.retain_look_every };
            self.retain_next = Instant::now() + rest;
            self.tell_failed(done.err(), "retention");
        }
        if self.age_next <= now {
            let done = self
                .writing
                .reconnect()
                .and_then(|()| ageing::slice(&Session::new(&mut self.writing.store.connection, soon())));
            let rest = if matches!(done, Ok(true)) { PACE } else { self.housekeeping.series_look_every };
            self.age_next = Instant::now() + rest;
            self.tell_failed(done.err(), "the series");
        }
        self.kept_house = Some((now, Instant::now()));
        Ok(())
    }

    fn tell_failed(&mut self, why: Option<Error>, chore: &'static str) {
        if let Some(why) = why {
            // What was begun is given up.
            Session::new(&mut self.writing.store.connection, soon()).end().ok();
            self.work.tell(WriterEvent::ChoreFailed { chore, why: format!("{why}; it is tried again later") });
        }
    }
}

/// Takes the changes out of a batch of which nothing is in the database: their numbers.
fn give_up_changes(batch: &mut Batch) -> Vec<u64> {
    let mut rejected = Vec::new();
    batch.items.retain(|(number, item)| {
        let stays = match item {
            Persist::Change(_) | Persist::Calendar(_) | Persist::Setting(_) | Persist::Runs(_) => false,
            Persist::Row(..) | Persist::Remove(_) | Persist::Incident(_) => true,
        };
        rejected.extend((!stays).then_some(*number));
        stays
    });
    batch.answers.retain(|(number, _)| rejected.binary_search(number).is_err());
    batch.audits.retain(|(number, _)| number.is_none_or(|number| rejected.binary_search(&number).is_err()));
    rejected
}
