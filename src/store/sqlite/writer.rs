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
use super::ageing::Ageing;
use super::alerts;
use super::audit;
use super::calendars;
use super::checkpoint::{self, Checkpointer, Trust};
use super::chore::Chore;
use super::deliveries;
use super::fold::Fold;
use super::found;
use super::incidents;
use super::keys;
use super::retention::Retention;
use super::rows;
use super::secrets;
use super::settings;
use super::tokens;
use crate::background;
use crate::core::{IncidentChange, JobChange, Persist, RowNews};
use crate::limits::{BATCHES_PENDING_MAX, WAL_TRUNCATE_EVERY};
use crate::store::{Batch, Housekeeping, Keep, WriterEvent};
use crate::vault::Vault;

/// The running writer.
#[derive(Debug)]
pub struct Writer {
    batches: Option<Sender<(Instant, Batch)>>,
    /// How much is kept from now on, until the thread has seen it: the newest word counts.
    keeps: (Sender<Keep>, Receiver<Keep>),
    events: Receiver<WriterEvent>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; `notify` is called after each event.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        store: Store,
        keep: Keep,
        housekeeping: Housekeeping,
        notify: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Writer> {
        let (batches, work) = bounded(BATCHES_PENDING_MAX);
        let keeps = bounded(1);
        let theirs = keeps.1.clone();
        let (say, events) = bounded(4 * BATCHES_PENDING_MAX + 4);
        let trust = Trust::default();
        let checkpointer = Checkpointer::start(&store, housekeeping, trust.clone())?;
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
            background::give_way();
            let wal = checkpoint::wal_of(store.path());
            let fold = Fold::new(store.index.index().finished().len(), &housekeeping);
            let retention = Retention::new(keep, Arc::clone(store.index.index()), housekeeping);
            let [folding, retaining, ageing_chore] =
                ["the fold", "retention", "the series"].map(|name| Chore::new(name, housekeeping.chore_rest));
            let (kept_house, is_failing, told_lost) = (None, false, false);
            Thread {
                store,
                wal,
                fold,
                folding,
                retention,
                retaining,
                ageing: Ageing::new(&housekeeping),
                ageing_chore,
                checkpointer,
                trust,
                told_lost,
                housekeeping,
                truncated_next: Instant::now(),
                kept_house,
                is_failing,
                keeps: theirs,
                say,
                notify,
            }
            .run(&work);
        })?;
        Ok(Writer { batches: Some(batches), keeps, events, thread: Some(thread) })
    }

    /// Hands a batch over. Never blocks: no more than `BATCHES_PENDING_MAX` may be unanswered.
    pub fn send(&self, batch: Batch) {
        let batches = self.batches.as_ref().expect("the writer runs until `stop`");
        batches.try_send((Instant::now(), batch)).expect("the channel holds every batch that may be unanswered");
    }

    /// From now on so much is kept. Never blocks; what was said before and not seen yet counts no more.
    pub fn keep(&self, keep: Keep) {
        let (say, said) = &self.keeps;
        while say.try_send(keep).is_err() {
            // Whoever takes it, there is room then.
            said.try_recv().ok();
        }
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
    folding: Chore,
    retention: Retention,
    retaining: Chore,
    ageing: Ageing,
    ageing_chore: Chore,
    checkpointer: Checkpointer,
    trust: Trust,
    /// Whether it was said that the trust is lost.
    told_lost: bool,
    housekeeping: Housekeeping,
    /// When the log may be truncated again.
    truncated_next: Instant,
    /// From when to when this thread last did anything else than write a batch.
    kept_house: Option<(Instant, Instant)>,
    /// Whether it was said that writing fails.
    is_failing: bool,
    keeps: Receiver<Keep>,
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
        self.trust.copy(&self.store.connection, "TRUNCATE");
        self.trust.close(&self.store.connection);
    }

    /// Writes a batch, for as long as it takes.
    fn write(&mut self, given: Instant, mut batch: Batch) {
        let held_up =
            self.kept_house.map_or(Duration::ZERO, |(from, until)| until.saturating_duration_since(from.max(given)));
        let began = Instant::now();
        let through = batch.items.last().map(|&(number, _)| number);
        // Before it is committed: a reader that sees a row must find it in the index.
        batch.items.iter().for_each(|(_, item)| self.store.index.expect(item));
        let mut is_ambiguous = false;
        loop {
            match commit(&mut self.store.connection, self.store.vault.as_ref(), &batch) {
                Ok(()) => break,
                // Another connection holds the lock: the batch waits for it, as for a slow disk.
                Err(Uncommitted { why, .. }) if is_busy(&why) => {}
                Err(failure) => {
                    is_ambiguous |= failure.is_ambiguous;
                    self.fail(&failure.why, &mut batch, is_ambiguous);
                    std::thread::sleep(self.housekeeping.write_retry_wait);
                }
            }
        }
        if std::mem::take(&mut self.is_failing) {
            self.tell(WriterEvent::Working);
        }
        self.tell(WriterEvent::Committed { through, held_up, wrote: began.elapsed() });
    }

    /// Says that writing fails. If nothing of the batch can be on disk, the changes in it are given up: their clients
    /// hear at once that nothing has changed. If the failure came with the commit itself, they may be on disk or not,
    /// and a crash would tell: so they are tried again with the rest until they are, and nobody says that they did not
    /// happen.
    fn fail(&mut self, why: &rusqlite::Error, batch: &mut Batch, is_ambiguous: bool) {
        let mut rejected = Vec::new();
        if !is_ambiguous {
            batch.items.retain(|(number, item)| match item {
                Persist::Change(change) => {
                    rejected.push(*number);
                    self.store.index.reject(change);
                    false
                }
                Persist::Calendar(_) | Persist::Setting(_) => {
                    rejected.push(*number);
                    false
                }
                Persist::Runs(rows) => {
                    rejected.push(*number);
                    self.store.index.reject_rows(rows);
                    false
                }
                Persist::Row(..) | Persist::Remove(_) | Persist::Incident(_) => true,
            });
        }
        batch.answers.retain(|(number, _)| rejected.binary_search(number).is_err());
        batch.audits.retain(|(number, _)| number.is_none_or(|number| rejected.binary_search(&number).is_err()));
        if !std::mem::replace(&mut self.is_failing, true) || !rejected.is_empty() {
            self.tell(WriterEvent::Failing { why: why.to_string(), rejected });
        }
    }

    /// How long to wait for a batch before there is something else to do.
    fn rest(&self) -> Duration {
        let due = self.folding.due(self.fold.due()).min(self.retaining.due(self.retention.due()));
        let due = due.min(self.ageing_chore.due(self.ageing.due()));
        due.saturating_duration_since(Instant::now()).min(REST)
    }

    /// At most one slice of each kind, so that no batch waits long. What fails here is told, rests, and passes over what
    /// it cannot read; writing goes on beside it.
    fn housekeep(&mut self) {
        let now = Instant::now();
        if let Ok(keep) = self.keeps.try_recv() {
            self.retention.keep_from_now(keep, now);
        }
        if self.folding.due(self.fold.due()) <= now {
            let done = self.fold.slice(&mut self.store.connection, &mut self.store.index, now);
            if self.folding.note(&done, now) {
                self.fold.skip(&mut self.store.index);
            }
            self.tell_failed(done, self.folding.name);
            if let Some(why) = self.fold.take_unread() {
                self.tell_failed(Err(why), self.ageing_chore.name);
            }
        }
        if self.retaining.due(self.retention.due()) <= now {
            let done = self.retention.slice(&mut self.store.connection, now);
            if self.retaining.note(&done, now) {
                self.retention.skip(now);
            }
            self.tell_failed(done, self.retaining.name);
        }
        if self.ageing_chore.due(self.ageing.due()) <= now {
            let done = self.ageing.slice(&mut self.store.connection, now);
            if self.ageing_chore.note(&done, now) {
                self.ageing.skip(now);
            }
            self.tell_failed(done, self.ageing_chore.name);
        }
        if checkpoint::length_of(&self.wal) > self.housekeeping.wal_len_max && now >= self.truncated_next {
            // The checkpointer did not keep up with a writer that never rests, or cannot, as somebody reads for long. In
            // that case each try waits for the reader, and in vain.
            if !self.trust.copy(&self.store.connection, "TRUNCATE") {
                self.truncated_next = Instant::now() + WAL_TRUNCATE_EVERY;
            }
        }
        if !self.told_lost
            && let Some(why) = self.trust.lost()
        {
            let why = format!("{why}: the write-ahead log grows until the next start, which copies it as a whole");
            self.tell(WriterEvent::ChoreFailed { chore: "the checkpoint", why });
            self.told_lost = true;
        }
        self.kept_house = Some((now, Instant::now()));
    }

    fn tell_failed(&self, done: rusqlite::Result<()>, chore: &'static str) {
        match done {
            Err(why) if !is_busy(&why) => self.tell(WriterEvent::ChoreFailed { chore, why: why.to_string() }),
            Ok(()) | Err(_) => {}
        }
    }

    fn tell(&self, event: WriterEvent) {
        // The loop is gone only when the process ends.
        drop(self.say.send(event));
        (self.notify)();
    }
}

/// Why a batch is not known to be on disk.
#[derive(Debug)]
pub(super) struct Uncommitted {
    pub(super) why: rusqlite::Error,
    /// Whether it may be on disk all the same: then a crash would bring it to light.
    pub(super) is_ambiguous: bool,
}

impl From<rusqlite::Error> for Uncommitted {
    fn from(why: rusqlite::Error) -> Uncommitted {
        Uncommitted { why, is_ambiguous: false }
    }
}

/// One transaction, all or nothing.
pub(super) fn commit(connection: &mut Connection, vault: Option<&Vault>, batch: &Batch) -> Result<(), Uncommitted> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut put = transaction.prepare_cached(rows::PUT_LEDGER)?;
        let mut remove = transaction.prepare_cached("DELETE FROM ledger WHERE seq = ?1")?;
        for (_, item) in &batch.items {
            match item {
                Persist::Row(row, news) => {
                    rows::write_ledger(&mut put, row)?;
                    if let Some(news) = news {
                        let RowNews { alert, incidents } = &**news;
                        alert.as_ref().map_or(Ok(()), |alert| alerts::insert(&transaction, row.key.job, alert))?;
                        incidents.iter().try_for_each(|change| write_incident(&transaction, change))?;
                    }
                }
                Persist::Remove(seq) => {
                    remove.execute([rows::integer(seq.0)])?;
                }
                Persist::Calendar(change) => calendars::write(&transaction, change)?,
                Persist::Setting(setting) => settings::write(&transaction, vault, setting)?,
                Persist::Incident(change) => write_incident(&transaction, change)?,
                Persist::Runs(rows) => {
                    for row in rows {
                        rows::write_ledger(&mut put, row)?;
                    }
                }
                Persist::Change(change) => {
                    write_job(&transaction, vault, &change.job)?;
                    for seq in &change.remove {
                        remove.execute([rows::integer(seq.0)])?;
                    }
                    for row in &change.rows {
                        rows::write_ledger(&mut put, row)?;
                    }
                }
            }
        }
        for (_, answer) in &batch.answers {
            keys::put(&transaction, answer)?;
        }
        for update in &batch.alerts {
            alerts::update(&transaction, update)?;
        }
        for delivery in &batch.deliveries {
            deliveries::note(&transaction, delivery)?;
        }
        for (name, health) in &batch.channels {
            settings::note_health(&transaction, name, health)?;
        }
        for change in &batch.tokens {
            tokens::write(&transaction, change)?;
        }
        for (_, row) in &batch.audits {
            audit::insert(&transaction, row)?;
        }
    }
    transaction.commit().map_err(|why| {
        let is_ambiguous = !is_busy(&why) && !is_unwritten(&why);
        Uncommitted { why, is_ambiguous }
    })
}

/// Whether a commit ended before its last frame was in the log, which is what makes it count after a crash: SQLite
/// writes the frames in order (https://sqlite.org/walformat.html, section 4), and it is the last that could not be
/// written, or one before it. A sync that failed says nothing of the kind.
fn is_unwritten(why: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(error, _) = why else { return false };
    matches!(error.extended_code, rusqlite::ffi::SQLITE_FULL | rusqlite::ffi::SQLITE_IOERR_WRITE)
}

fn write_job(connection: &Connection, vault: Option<&Vault>, change: &JobChange) -> rusqlite::Result<()> {
    match change {
        JobChange::Put(revision) => {
            secrets::put(connection, vault, revision)?;
            let tags = revision.spec.labels().map_or(&[][..], |labels| &labels.tags);
            found::put_tags(connection, revision.id.key(), tags, revision.number > 1)?;
            let mut statement = connection.prepare_cached(rows::PUT_JOB)?;
            rows::write_job(&mut statement, revision)?
        }
        JobChange::Delete(key, at) => {
            secrets::delete(connection, *key)?;
            found::put_tags(connection, *key, &[], true)?;
            let mut statement = connection.prepare_cached("UPDATE jobs SET deleted_at = ?2 WHERE id = ?1")?;
            statement.execute(params![rows::integer(key.0), at.0])?
        }
    };
    Ok(())
}

/// An incident as it is now, and what is to be told of it.
fn write_incident(connection: &Connection, change: &IncidentChange) -> rusqlite::Result<()> {
    incidents::put(connection, &change.incident)?;
    change.message.as_ref().map_or(Ok(()), |message| deliveries::insert(connection, message))
}

pub(super) fn is_busy(why: &rusqlite::Error) -> bool {
    matches!(why.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
}

/// How long the writer rests when there is nothing to do.
const REST: Duration = Duration::from_millis(500);
