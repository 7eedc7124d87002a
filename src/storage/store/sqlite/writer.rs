//! Owns the writer thread: the only read-write connection. It takes a batch, commits it, and says so.
//! It must not decide or reorder: a batch that fails is written again until it is on disk, but for the changes in
//! it, whose clients are told that they did not happen.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::Store;
use super::ageing::Ageing;
use super::checkpoint::{self, Checkpointer, Trust};
use super::chore::Chore;
use super::commit::{Uncommitted, commit, is_busy};
use super::fold::Fold;
use super::retention::Retention;
use crate::clock;
use crate::core::{JobChange, Persist};
use crate::limits::WAL_TRUNCATE_EVERY;
use crate::store::writing::{Work, Writer};
use crate::store::{Batch, Housekeeping, Keep, WriterEvent};

/// How long the writer rests when there is nothing to do.
const REST: Duration = Duration::from_millis(500);

impl Writer {
    /// Starts the writer of a file; `notify` is called after each event.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        store: Store,
        keep: Keep,
        housekeeping: Housekeeping,
        notify: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Writer> {
        let trust = Trust::default();
        let checkpointer = Checkpointer::start(&store, housekeeping, trust.clone())?;
        Writer::spawn(notify, move |work| {
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
                work,
            }
            .run();
        })
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
    work: Work,
}

impl Thread {
    fn run(mut self) {
        loop {
            match self.work.batches.recv_timeout(self.rest()) {
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
        for (_, item) in &batch.items {
            if let Persist::Change(change) = item
                && let JobChange::Delete(job, _) = change.job
            {
                self.retention.note_deleted(job);
            }
        }
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
            self.work.tell(WriterEvent::Working);
        }
        let (wrote, sent) = (began.elapsed(), clock::mono());
        self.work.tell(WriterEvent::Committed { through, held_up, wrote, sent });
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
                Persist::Release { .. } | Persist::HandOver(_) => true,
            });
        }
        batch.answers.retain(|(number, _)| rejected.binary_search(number).is_err());
        batch.audits.retain(|(number, _)| number.is_none_or(|number| rejected.binary_search(&number).is_err()));
        if !std::mem::replace(&mut self.is_failing, true) || !rejected.is_empty() {
            self.work.tell(WriterEvent::Failing { why: why.to_string(), rejected });
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
        if let Ok(keep) = self.work.keeps.try_recv() {
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
            self.work.tell(WriterEvent::ChoreFailed { chore: "the checkpoint", why });
            self.told_lost = true;
        }
        self.kept_house = Some((now, Instant::now()));
    }

    fn tell_failed(&self, done: rusqlite::Result<()>, chore: &'static str) {
        match done {
            Err(why) if !is_busy(&why) => {
                self.work.tell(WriterEvent::ChoreFailed { chore, why: format!("{why}; it is tried again later") });
            }
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;
    use rusqlite::Connection;

    use super::*;
    use crate::core::{Change, Class, ExecutionKey, LedgerRow, Seq, Status};
    use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
    use crate::time::{Instant as Second, WallUs};

    const KEEP: Keep = Keep {
        age: Duration::from_secs(u32::MAX as u64),
        rows_per_job: u64::MAX,
        bytes: u64::MAX,
        audit_age: Duration::from_secs(u32::MAX as u64),
    };

    fn change(job: JobChange) -> Persist {
        Persist::Change(Box::new(Change { job, remove: Vec::new(), rows: Vec::new() }))
    }

    fn put(key: u64) -> Persist {
        let definition = Definition::plain("* * * * * *", "http://localhost/");
        let spec = JobSpec::compile(&definition, &Context::at(Second::from_secs(0))).expect("it is valid");
        change(JobChange::Put(Arc::new(Revision::first(JobId::new(JobKey(key), [7; 10]), spec, WallUs(1)))))
    }

    fn delete(key: u64, at: i64) -> Persist {
        change(JobChange::Delete(JobKey(key), WallUs(at)))
    }

    #[test]
    fn a_job_that_is_deleted_while_tombstones_are_swept_stays_until_its_row_is_history() {
        const MANY: u64 = 300;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.db");
        let mut store = Store::open(&path).expect("it opens");
        store.load(&Context::at(Second::FIRST), drop, drop).expect("it is empty");
        let never = Duration::from_secs(3_600);
        // Tombstones go one by one, so that the sweep takes its time.
        let housekeeping = Housekeeping {
            fold_every: never,
            retain_every: Duration::from_millis(10),
            retain_look_every: Duration::from_millis(10),
            retain_slice_rows: 1,
            tombstones_every: Duration::from_millis(50),
            ..Housekeeping::default()
        };
        let (woken, wake) = bounded(1_000);
        let notify = Arc::new(move || woken.send(()).unwrap_or(()));
        let mut writer = Writer::start(store, KEEP, housekeeping, notify).expect("threads can be had");
        let write = |writer: &Writer, items: Vec<Persist>| {
            writer.send(Batch { items: (1..).zip(items).collect(), ..Batch::default() });
            loop {
                wake.recv().expect("the writer runs");
                if let Some(WriterEvent::Committed { .. }) = writer.try_event() {
                    break;
                }
            }
        };
        let jobs = || {
            let connection = Connection::open(&path).expect("it is there");
            let mut keys = connection.prepare("SELECT id FROM jobs ORDER BY id").expect("it is ours");
            let keys = keys.query_map([], |row| row.get::<_, i64>(0).map(i64::cast_unsigned)).expect("it can be read");
            keys.collect::<rusqlite::Result<Vec<u64>>>().expect("it can be read")
        };
        let deleted = (1..=MANY).flat_map(|key| [put(key), delete(key, 9)]);
        write(&writer, deleted.chain([put(MANY + 1)]).collect());
        while jobs().len() as u64 > MANY {
            std::thread::yield_now();
        }
        // Of a job that had no row when the sweep began, and of one that was not there.
        let row = |seq: u64, key: u64| {
            let mut row =
                LedgerRow::pending(Seq(seq), ExecutionKey::scheduled(JobKey(key), Second::from_secs(5)), Class::OnTime);
            row.record.status = Status::Skipped;
            Persist::Row(row, None)
        };
        write(&writer, vec![row(1, MANY + 1), put(MANY + 2), row(2, MANY + 2)]);
        // One without a row is behind them, and gone with the next sweep.
        let last = [delete(MANY + 1, 10), delete(MANY + 2, 11), put(MANY + 3), delete(MANY + 3, 12)];
        write(&writer, last.into());
        assert!(jobs().len() > 3, "the sweep was under way");
        while jobs().contains(&(MANY + 3)) {
            std::thread::yield_now();
        }
        writer.stop();
        assert_eq!(jobs(), [MANY + 1, MANY + 2]);
    }
}
