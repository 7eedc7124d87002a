//! Owns the fake store: the writer's queue, what is on disk, and what may never be on it.
//! It must not decide when a batch ends well; faults do.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use punctual::core::{
    AlertRecord, CalendarChange, Change, Class, Counters, ExecutionId, ExecutionKey, Incident, IncidentChange,
    IncidentId, JobChange, Kind, LastOutcome, LedgerRow, Message, Persist, Restored, RowNews, Seq, Shards, Status,
    StoredJob, Tally, Totals,
};
use punctual::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use punctual::schedule::Dates;
use punctual::time::{Instant, WallUs};

use super::again;
use super::clients::ZONES;
use super::steering::Settings;

/// A job on disk.
pub(crate) struct DiskJob {
    pub(crate) revision: Arc<Revision>,
    /// Set once it is a tombstone.
    pub(crate) deleted: Option<WallUs>,
    /// What was in force from when on; the oracle reads it, the core never.
    pub(crate) history: Vec<Stretch>,
}

/// A stretch of a job's life.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    /// None: deleted.
    pub(crate) revision: Option<Arc<Revision>>,
    /// When it was accepted.
    pub(crate) since: WallUs,
    /// The highest wall time anybody had seen by then; above `since` only if the clock stepped back.
    pub(crate) peak: WallUs,
}

/// An item on its way to the disk.
pub(crate) struct Queued {
    pub(crate) number: u64,
    pub(crate) item: Persist,
    /// The highest wall time seen when it was asked for.
    pub(crate) peak: WallUs,
    /// The idempotency key whose answer is written with it.
    key: Option<u64>,
}

#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) jobs: BTreeMap<JobKey, DiskJob>,
    pub(crate) rows: BTreeMap<Seq, LedgerRow>,
    pub(crate) alerts: BTreeMap<Seq, AlertRecord>,
    pub(crate) calendars: BTreeMap<Arc<str>, Arc<Dates>>,
    /// Every change of a calendar that was ever committed.
    pub(crate) calendar_log: Vec<(Arc<str>, Option<Arc<Dates>>)>,
    /// When each of them was committed: the highest wall time seen by then.
    calendar_times: Vec<WallUs>,

    pub(crate) settings: Settings,
    /// Every change of a setting that was ever committed.
    pub(crate) log_of_settings: Vec<String>,
    pub(crate) incidents: BTreeMap<IncidentId, Arc<Incident>>,
    pub(crate) messages: BTreeMap<(IncidentId, u32), Message>,

    /// The idempotency keys whose answers are on disk.
    pub(crate) keys: BTreeSet<u64>,
    pub(crate) queue: VecDeque<Queued>,
    by_identity: HashMap<ExecutionKey, Seq>,
    /// Numbers of items that are one transaction.
    pub(crate) together: Vec<RangeInclusive<u64>>,
    /// How many items the batch under way has.
    pub(crate) batch_len: Option<usize>,
    /// Whether the batch under way may be on disk, although its commit failed.
    pub(crate) is_ambiguous: bool,
    /// Changes that will never be written, and the core has not been told so for sure.
    pub(crate) rejected: Vec<u64>,
    issued: u64,
    next_seq: u64,
    next_job: u64,
    /// The executions that were ever sent: their rows may not be taken back.
    pub(crate) sent: HashMap<Seq, ExecutionId>,
}

impl Disk {
    pub(crate) fn push(&mut self, number: u64, item: Persist, peak: WallUs) {
        self.issued += 1;
        assert_eq!(number, self.issued, "persist items are numbered without gaps");
        self.queue.push_back(Queued { number, item, peak, key: None });
    }

    /// What was asked last is what was asked under this key.
    pub(crate) fn note_key(&mut self, key: Option<u64>) {
        self.queue.back_mut().expect("something was asked").key = key;
    }

    /// Whether rows are on their way to the disk for the first time.
    pub(crate) fn has_unwritten_rows(&self) -> bool {
        self.queue
            .iter()
            .any(|queued| matches!(&queued.item, Persist::Row(row, _) if !self.rows.contains_key(&row.seq)))
    }

    /// The kinds of what is in the batch under way, as `again` counts them.
    pub(crate) fn kinds_under_way(&self) -> Vec<usize> {
        let batch = self.queue.iter().take(self.batch_len.unwrap_or(0));
        let kinds = batch.filter_map(|queued| match &queued.item {
            Persist::Row(..) => Some(0),
            Persist::Change(_) if self.together.iter().any(|numbers| numbers.contains(&queued.number)) => Some(2),
            Persist::Change(_) => Some(1),
            Persist::Calendar(_) => Some(3),
            Persist::Runs(_) => Some(4),
            Persist::Setting(_) => Some(5),
            Persist::Incident(_) => Some(6),
            Persist::Remove(_) | Persist::Release { .. } | Persist::HandOver(_) => None,
        });
        kinds.collect()
    }

    /// Every item up to this one is written, or will never be.
    pub(crate) fn through(&self) -> u64 {
        self.queue.front().map_or(self.issued, |queued| queued.number - 1)
    }

    /// The instants of rows that are written for the first time by the batch under way.
    pub(crate) fn armed_under_way(&self) -> impl Iterator<Item = Instant> {
        self.queue.iter().take(self.batch_len.unwrap_or(0)).filter_map(|queued| match &queued.item {
            Persist::Row(row, _) => Some(row)
                .filter(|row| {
                    row.record.class == Class::OnTime && row.record.attempt == 1 && row.record.executed.is_none()
                })
                .map(|row| row.key.instant),
            Persist::Remove(_) | Persist::Change(_) | Persist::Calendar(_) | Persist::Runs(_) => None,
            Persist::Setting(_) | Persist::Incident(_) => None,
            Persist::Release { .. } | Persist::HandOver(_) => None,
        })
    }

    /// So many items, or so many more that no part is left out of what is one transaction.
    pub(crate) fn whole(&self, len: usize) -> usize {
        let Some(last) = self.queue.get(len - 1).map(|queued| queued.number) else { return len };
        let divided = self.together.iter().find(|numbers| numbers.contains(&last));
        let end = divided.map_or(last, |numbers| *numbers.end());
        self.queue.iter().take_while(|queued| queued.number <= end).count()
    }

    /// Ends the batch under way well. It is on disk as a whole.
    pub(crate) fn commit(&mut self) {
        let len = self.batch_len.take().expect("a batch is under way");
        self.is_ambiguous = false;
        let batch: Vec<Queued> = self.queue.drain(..len).collect();
        for Queued { item, peak, key, .. } in batch {
            again::note_key(&mut self.keys, key);
            match item {
                Persist::Row(row, news) => {
                    let RowNews { alert, incidents } = news.map(|news| *news).unwrap_or_default();
                    incidents.into_iter().for_each(|change| self.put_incident(change));
                    if let Some(alert) = alert {
                        assert_eq!(alert.seq, row.seq, "an alert belongs to the row it comes with");
                        assert_eq!(row.record.status, Status::Failed, "only a failed row has an alert");
                        assert!(!self.alerts.contains_key(&row.seq), "a failure raises one alert");
                        self.alerts.insert(row.seq, alert);
                    }
                    self.put_row(row);
                }
                Persist::Remove(seq) => self.remove_row(seq),
                Persist::Calendar(change) => {
                    let CalendarChange { name, dates } = *change;
                    self.calendar_log.push((Arc::clone(&name), dates.clone()));
                    self.calendar_times.push(peak);
                    match dates {
                        Some(dates) => drop(self.calendars.insert(name, dates)),
                        None => drop(self.calendars.remove(&name)),
                    }
                }
                Persist::Change(change) => self.change(*change, peak),
                Persist::Setting(setting) => {
                    self.log_of_settings.push(format!("{setting:?}"));
                    self.settings.apply(setting);
                }
                Persist::Incident(change) => self.put_incident(*change),
                Persist::Runs(rows) => rows.into_iter().for_each(|row| self.put_row(row)),
                Persist::Release { .. } | Persist::HandOver(_) => panic!("there is no other node"),
            }
        }
    }

    /// Ends the batch under way badly, and surely: nothing of it is on disk. Its changes are rejected; the rest is tried again. How many of each.
    pub(crate) fn fail(&mut self) -> (usize, usize) {
        let len = self.batch_len.take().expect("a batch is under way");
        let batch: Vec<Queued> = self.queue.drain(..len).collect();
        let mut rows = Vec::new();
        for queued in batch {
            match &queued.item {
                Persist::Change(_) | Persist::Calendar(_) | Persist::Runs(_) | Persist::Setting(_) => {
                    self.rejected.push(queued.number)
                }
                Persist::Row(..) | Persist::Remove(_) | Persist::Incident(_) => rows.push(queued),
                Persist::Release { .. } | Persist::HandOver(_) => panic!("there is no other node"),
            }
        }
        let kept = rows.len();
        for queued in rows.into_iter().rev() {
            self.queue.push_front(queued);
        }
        (len - kept, kept)
    }

    /// The process died: what was not on disk is gone, and numbers begin anew.
    pub(crate) fn forget_queue(&mut self) {
        self.queue.clear();
        self.together.clear();
        self.batch_len = None;
        self.is_ambiguous = false;
        self.rejected.clear();
        self.issued = 0;
    }

    fn put_incident(&mut self, change: IncidentChange) {
        let IncidentChange { incident, message } = change;
        if let Some(before) = self.incidents.insert(incident.id, Arc::clone(&incident)) {
            assert!(before.closed.is_none(), "what is over stays over: {incident:?}");
            assert!(before.messages <= incident.messages && (!before.told || incident.told));
        }
        if let Some(message) = message {
            let other = self.messages.insert((incident.id, message.number), message);
            assert_eq!(other, None, "a message is written once");
        }
    }

    fn put_row(&mut self, row: LedgerRow) {
        self.next_seq = self.next_seq.max(row.seq.0 + 1);
        if let Some(&other) = self.by_identity.get(&row.key) {
            assert_eq!(other, row.seq, "one execution has two rows: {row:?}");
        }
        self.by_identity.insert(row.key, row.seq);
        let seq = row.seq;
        let next = row.clone();
        if let Some(before) = self.rows.insert(seq, row) {
            assert!(
                before.record.status == Status::Pending || before == next,
                "a finished row changed: {before:?} -> {next:?}"
            );
            assert!(
                before.record.attempt <= next.record.attempt || next.record.status == Status::Skipped,
                "an attempt number fell"
            );
            assert_eq!(
                (before.key.job, before.key.instant, before.record.covers),
                (next.key.job, next.key.instant, next.record.covers)
            );
        }
        let sent = self.sent.contains_key(&seq);
        assert!(next.record.status != Status::Skipped || !sent, "what was sent is not skipped: {next:?}");
    }

    fn remove_row(&mut self, seq: Seq) {
        if let Some(row) = self.rows.remove(&seq) {
            assert_eq!(row.record.status, Status::Pending, "only unfired rows are taken back: {row:?}");
            assert!(!self.sent.contains_key(&seq), "a fired execution was taken back: {row:?}");
            self.by_identity.remove(&row.key);
        }
    }

    fn change(&mut self, change: Change, peak: WallUs) {
        for seq in change.remove {
            self.remove_row(seq);
        }
        match change.job {
            JobChange::Put(revision) => {
                let key = revision.id.key();
                self.next_job = self.next_job.max(key.0 + 1);
                let stretch = Stretch { revision: Some(Arc::clone(&revision)), since: revision.updated_at, peak };
                let new = DiskJob { revision: Arc::clone(&revision), deleted: None, history: Vec::new() };
                let job = self.jobs.entry(key).or_insert(new);
                assert!(job.deleted.is_none() && job.revision.id == revision.id, "a key was used twice");
                assert!(job.history.is_empty() == (revision.number == 1), "a change raises the revision");
                job.revision = revision;
                job.history.push(stretch);
            }
            JobChange::Delete(key, at) => {
                let job = self.jobs.get_mut(&key).expect("a tombstone is put over a job");
                assert!(job.deleted.is_none(), "a job is deleted once");
                job.deleted = Some(at);
                job.history.push(Stretch { revision: None, since: at, peak });
            }
        }
        for row in change.rows {
            self.put_row(row);
        }
    }

    /// The dates that a calendar had at a second, or later: what was missed then is settled by those of later.
    pub(crate) fn calendar_versions(&self, name: &str, second: i64) -> Vec<Arc<Dates>> {
        // Clocks err, and what is near is armed already.
        const SLACK_S: i64 = 86_400;
        let of_name = self.calendar_log.iter().zip(&self.calendar_times).filter(|((other, _), _)| **other == *name);
        let all: Vec<_> = of_name.map(|((_, dates), at)| (dates.clone().unwrap_or_default(), at)).collect();
        let ended =
            |next: Option<&(Arc<Dates>, &WallUs)>| next.is_some_and(|(_, at)| at.floor().as_secs() + SLACK_S < second);
        let current = all.iter().enumerate().filter(|(place, _)| !ended(all.get(place + 1)));
        current.map(|(_, (dates, _))| Arc::clone(dates)).collect()
    }

    /// The row of an execution.
    pub(crate) fn row_of(&self, key: &ExecutionKey) -> Option<&LedgerRow> {
        self.rows.get(self.by_identity.get(key)?)
    }

    pub(crate) fn live(&self, id: JobId) -> Option<&DiskJob> {
        self.jobs.get(&id.key()).filter(|job| job.deleted.is_none() && job.revision.id == id)
    }

    /// What the jobs' rows add up to.
    pub(crate) fn counters(&self) -> BTreeMap<JobKey, Counters> {
        let mut all: BTreeMap<JobKey, Counters> = self.jobs.keys().map(|&key| (key, Counters::default())).collect();
        for row in self.rows.values() {
            let counters = all.get_mut(&row.key.job).expect("a row belongs to a job");
            match row.record.status {
                Status::Pending => continue,
                Status::Success => counters.success += 1,
                Status::Failed => counters.failed += 1,
                Status::Skipped => counters.skipped += 1,
            }
            counters.runs += u64::from(row.record.status != Status::Skipped && row.key.kind == Kind::Scheduled);
            if let (true, Some(duration_us)) = (row.record.status != Status::Skipped, row.record.duration_us) {
                counters.duration_us += duration_us;
                counters.timed += 1;
            }
        }
        all
    }

    /// How the finished rows with the highest instant of each job ended: one, and a second only where a release made
    /// another of the same instant.
    pub(crate) fn last(&self) -> BTreeMap<JobKey, Vec<LastOutcome>> {
        let mut finished: Vec<&LedgerRow> =
            self.rows.values().filter(|row| row.record.status != Status::Pending).collect();
        finished.sort_by_key(|row| row.key.instant);
        let outcome = |row: &LedgerRow| LastOutcome {
            instant: row.key.instant,
            status: row.record.status,
            http_status: row.record.http_status,
        };
        let mut last: BTreeMap<JobKey, Vec<LastOutcome>> = BTreeMap::new();
        for row in finished {
            let of_job = last.entry(row.key.job).or_default();
            of_job.retain(|other| other.instant == row.key.instant);
            of_job.push(outcome(row));
        }
        last
    }

    /// How many of each job failed in a row, in the order in which they were armed.
    pub(crate) fn failures(&self) -> HashMap<JobKey, u32> {
        let mut all: HashMap<JobKey, u32> = HashMap::new();
        for row in self.rows.values() {
            let failures = all.entry(row.key.job).or_default();
            match row.record.status {
                Status::Failed => *failures += 1,
                Status::Success => *failures = 0,
                Status::Skipped | Status::Pending => {}
            }
        }
        all
    }

    /// When each job's latest success was sent.
    fn last_success(&self) -> HashMap<JobKey, Instant> {
        let mut all = HashMap::new();
        for row in self.rows.values().filter(|row| row.record.status == Status::Success) {
            let sent = row.record.executed.map_or(row.key.instant, WallUs::floor);
            let last = all.entry(row.key.job).or_insert(sent);
            *last = sent.max(*last);
        }
        all
    }

    /// What a start reads: jobs, unfinished rows, and the rest. Schedules are read from their texts again.
    pub(crate) fn restore(&self) -> (Vec<StoredJob>, Vec<LedgerRow>, Restored) {
        let (counters, last) = (self.counters(), self.last());
        let mut finished: BTreeMap<JobKey, (u32, Instant)> = BTreeMap::new();
        let (failures, last_success) = (self.failures(), self.last_success());
        for row in
            self.rows.values().filter(|row| row.record.status != Status::Pending && row.key.kind == Kind::Scheduled)
        {
            let place = (row.key.number, row.key.instant);
            let through = finished.entry(row.key.job).or_insert(place);
            *through = place.max(*through);
        }
        let mut jobs = Vec::new();
        for (key, job) in self.jobs.iter().filter(|(_, job)| job.deleted.is_none()) {
            let mut revision = (*job.revision).clone();
            let definition = Definition::from(&revision.spec);
            let context = Context { zones: Some(&ZONES), ..Context::at(revision.anchor) };
            revision.spec = JobSpec::compile(&definition, &context).expect("it was read before");
            let finished_through = finished.get(key).copied();
            let failures_in_row = failures.get(key).copied().unwrap_or(0);
            let tally = Tally {
                counters: counters[key],
                last: last.get(key).and_then(|last| last.last().copied()),
                failures_in_row,
                last_success: last_success.get(key).copied(),
            };
            jobs.push(StoredJob { revision, totals: Totals { tally, finished_through } });
        }
        let rows: Vec<LedgerRow> = self.pending().cloned().collect();
        let executed = self.rows.values().filter_map(|row| row.record.executed);
        let changed = self.jobs.values().map(|job| job.deleted.unwrap_or(job.revision.updated_at));
        let newest = executed.chain(changed).max();
        let next_incident = self.incidents.keys().map(|id| id.0 + 1).max().unwrap_or(1);
        (
            jobs,
            rows,
            Restored {
                shards: Shards::ALL,
                epochs: Vec::new(),
                next_seq: self.next_seq,
                next_job: self.next_job,
                next_incident,
                newest,
            },
        )
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = &LedgerRow> {
        self.rows.values().filter(|row| row.record.status == Status::Pending)
    }
}
