//! Owns the writer thread: the only read-write connection. It takes a batch, commits it, and says so.
//! It must not decide or reorder: a batch that fails is written again until it is on disk, but for the changes in
//! it, whose clients are told that they did not happen.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::{Connection, TransactionBehavior, params};

use super::Store;
use super::alerts;
use super::checkpoint::{self, Checkpointer};
use super::fold::Fold;
use super::retention::Retention;
use super::rows;
use crate::background;
use crate::core::{JobChange, Persist};
use crate::limits::{BATCHES_PENDING_MAX, WAL_LEN_MAX, WRITE_RETRY_WAIT};
use crate::store::{Batch, Keep, WriterEvent};

/// The running writer.
#[derive(Debug)]
pub struct Writer {
    batches: Option<Sender<(Instant, Batch)>>,
    events: Receiver<WriterEvent>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; `notify` is called after each event.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(mut store: Store, keep: Keep, notify: Arc<dyn Fn() + Send + Sync>) -> io::Result<Writer> {
        let (batches, work) = bounded(BATCHES_PENDING_MAX);
        let (say, events) = bounded(4 * BATCHES_PENDING_MAX + 4);
        let fold = Fold::new(std::mem::take(&mut store.unfolded));
        let checkpointer = Checkpointer::start(store.path())?;
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
            background::give_way();
            let path = store.path().to_owned();
            let retention = Retention::new(keep);
            let wal = checkpoint::wal_of(&path);
            Thread { store, wal, fold, retention, checkpointer, kept_house: None, say, notify }.run(&work);
        })?;
        Ok(Writer { batches: Some(batches), events, thread: Some(thread) })
    }

    /// Hands a batch over. Never blocks: no more than `BATCHES_PENDING_MAX` may be unanswered.
    pub fn send(&self, batch: Batch) {
        let batches = self.batches.as_ref().expect("the writer runs until `stop`");
        batches.try_send((Instant::now(), batch)).expect("the channel holds every batch that may be unanswered");
    }

    /// The next event, if there is one.
    pub fn try_event(&self) -> Option<WriterEvent> {
        self.events.try_recv().ok()
    }

    /// Whether the thread has ended, which it only does after `stop` or a panic.
    pub fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Lets the thread end after what it was given, and does not wait for it: `is_dead` tells.
    pub fn finish(&mut self) {
        self.batches = None;
    }

    /// Ends the thread after what it was given, and waits for it.
    pub fn stop(&mut self) {
        self.finish();
        if let Some(thread) = self.thread.take() {
            // It panicked: that was printed, and everything acknowledged is on disk.
            drop(thread.join());
        }
    }
}

struct Thread {
    store: Store,
    wal: PathBuf,
    fold: Fold,
    retention: Retention,
    checkpointer: Checkpointer,
    /// From when to when this thread last did anything else than write a batch.
    kept_house: Option<(Instant, Instant)>,
    say: Sender<WriterEvent>,
    notify: Arc<dyn Fn() + Send + Sync>,
}

impl Thread {
    fn run(mut self, work: &Receiver<(Instant, Batch)>) {
        loop {
            match work.recv_timeout(self.rest()) {
                Ok((given, batch)) => self.write(given, batch),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.housekeep();
        }
        drop(self.checkpointer);
        // The next start is quicker without a log to replay; if this fails, it replays.
        drop(self.store.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
    }

    /// Writes a batch, for as long as it takes.
    fn write(&mut self, given: Instant, mut batch: Batch) {
        let held_up =
            self.kept_house.map_or(Duration::ZERO, |(from, until)| until.saturating_duration_since(from.max(given)));
        let began = Instant::now();
        let through = batch.items.last().map(|&(number, _)| number);
        loop {
            match commit(&mut self.store.connection, &batch, false) {
                Ok(()) => {
                    for (_, item) in &batch.items {
                        self.fold.note(item);
                    }
                    self.tell(WriterEvent::Committed { through, held_up, wrote: began.elapsed() });
                    return;
                }
                // Another connection holds the lock: the batch waits for it, as for a slow disk.
                Err(why) if is_busy(&why) => {}
                Err(why) => self.recover(&why, &mut batch),
            }
        }
    }

    /// Says that writing fails, and comes back when it works again.
    fn recover(&mut self, why: &rusqlite::Error, batch: &mut Batch) {
        let mut rejected = Vec::new();
        batch.items.retain(|(number, item)| match item {
            Persist::Change(_) => {
                rejected.push(*number);
                false
            }
            Persist::Row(..) | Persist::Remove(_) => true,
        });
        self.tell(WriterEvent::Failing { why: why.to_string(), rejected });
        loop {
            std::thread::sleep(WRITE_RETRY_WAIT);
            // All that is to be written, and a mark, so that there is something to write.
            if commit(&mut self.store.connection, batch, true).is_ok() {
                break;
            }
        }
        self.tell(WriterEvent::Working);
    }

    /// How long to wait for a batch before there is something else to do.
    fn rest(&self) -> Duration {
        let due = [self.fold.due(), Some(self.retention.due())].into_iter().flatten().min();
        due.map_or(REST, |due| due.saturating_duration_since(Instant::now()).min(REST))
    }

    /// At most one slice of each kind, so that no batch waits long.
    fn housekeep(&mut self) {
        let now = Instant::now();
        let connection = &mut self.store.connection;
        let done = self.fold.slice(connection, now).and_then(|()| self.retention.slice(connection, now));
        match done {
            Ok(()) => {}
            Err(why) if is_busy(&why) => {}
            Err(why) => self.recover(&why, &mut Batch::default()),
        }
        if checkpoint::length_of(&self.wal) > WAL_LEN_MAX {
            // The checkpointer did not keep up with a writer that never rests.
            // Busy while a reader reads: the next turn tries again.
            drop(self.store.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
        }
        self.kept_house = Some((now, Instant::now()));
    }

    fn tell(&self, event: WriterEvent) {
        // The loop is gone only when the process ends.
        drop(self.say.send(event));
        (self.notify)();
    }
}

/// One transaction, all or nothing. A probe writes a mark of its own, so that an empty batch proves something too.
pub(super) fn commit(connection: &mut Connection, batch: &Batch, probe: bool) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        if probe {
            transaction.execute(
                "INSERT INTO marks (name, value) VALUES ('probe', 1) \
                 ON CONFLICT (name) DO UPDATE SET value = value + 1",
                [],
            )?;
        }
        let mut put = transaction.prepare_cached(rows::PUT_LEDGER)?;
        let mut remove = transaction.prepare_cached("DELETE FROM ledger WHERE seq = ?1")?;
        for (_, item) in &batch.items {
            match item {
                Persist::Row(row, alert) => {
                    rows::write_ledger(&mut put, row)?;
                    if let Some(alert) = alert {
                        alerts::insert(&transaction, row.key.job, alert)?;
                    }
                }
                Persist::Remove(seq) => {
                    remove.execute([rows::integer(seq.0)])?;
                }
                Persist::Change(change) => {
                    write_job(&transaction, &change.job)?;
                    for seq in &change.remove {
                        remove.execute([rows::integer(seq.0)])?;
                    }
                    for row in &change.rows {
                        rows::write_ledger(&mut put, row)?;
                    }
                }
            }
        }
        for update in &batch.alerts {
            alerts::update(&transaction, update)?;
        }
    }
    transaction.commit()
}

fn write_job(connection: &Connection, change: &JobChange) -> rusqlite::Result<()> {
    match change {
        JobChange::Put(revision) => {
            let mut statement = connection.prepare_cached(rows::PUT_JOB)?;
            rows::write_job(&mut statement, revision)?
        }
        JobChange::Delete(key, at) => {
            let mut statement = connection.prepare_cached("UPDATE jobs SET deleted_at = ?2 WHERE id = ?1")?;
            statement.execute(params![rows::integer(key.0), at.0])?
        }
    };
    Ok(())
}

fn is_busy(why: &rusqlite::Error) -> bool {
    matches!(why.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
}

/// How long the writer rests when there is nothing to do.
const REST: Duration = Duration::from_millis(500);
