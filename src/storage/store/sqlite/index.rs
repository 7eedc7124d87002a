//! Owns the index of the ledger in memory: which rows there are, whose, of which instant, and how they stand.
//! It must not be believed by readers: it says where a row may be, and the row itself is read from the store.
//!
//! The ledger itself has no index but its order, so that a new row touches the last page only. Here a row costs twelve
//! bytes, and a query a walk over them that holds nobody up: the writer and the readers share chunks of atomics. The
//! writer notes a row before it commits it, and lets go of a folded one only when the next fold begins; so whatever
//! state of the store a reader sees, its rows are listed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chunk::{CHUNK_LEN, Chunk};
use super::stand::{LOT_LEN, LOTS, LOTS_PER_FOLD, Settled, Stand, owner_of};
use crate::core::{Change, ExecutionKey, LedgerRow, Persist, Seq, Status};
use crate::job::JobKey;
use crate::time::{Instant, WallUs};

/// Whether a row may be in a chunk that belongs before `below`, and before `least` if that is known.
fn may_hold(chunk: &Chunk, wanted: Wanted, below: Entry, least: Option<Entry>) -> bool {
    let (first, last) = chunk.span();
    let has_status = wanted.status != Some(Status::Pending) || chunk.has_pending();
    first <= below.instant && least.is_none_or(|least| last >= least.instant) && has_status
}

/// A row that may be in the ledger; ordered as pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    instant: u32,
    job: JobKey,
    pub(super) seq: Seq,
}

impl Entry {
    /// Behind every row with this instant and job, and before all others that are as new.
    pub(super) fn behind(key: &ExecutionKey) -> Entry {
        Entry { instant: seconds(key.instant), job: key.job, seq: Seq(u64::MAX) }
    }

    pub(super) fn instant(&self) -> Instant {
        Instant::from_secs(self.instant.into())
    }

    /// Whether both are of one job and instant.
    pub(super) fn is_beside(&self, other: &Entry) -> bool {
        (self.instant, self.job) == (other.instant, other.job)
    }
}

fn seconds(instant: Instant) -> u32 {
    u32::try_from(instant.as_secs().max(0)).unwrap_or(u32::MAX)
}

/// Which rows are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Only of this job.
    pub(super) job: Option<JobKey>,
    /// Only with this status.
    pub(super) status: Option<Status>,
    /// Pending rows only up to here: armed ones that lie ahead are nobody's history yet.
    pub(super) now: WallUs,
}

/// The index. The writer changes it, through an [`IndexWriter`]; anybody may ask.
#[derive(Debug, Default)]
pub(super) struct Index {
    chunks: Mutex<BTreeMap<u64, Arc<Chunk>>>,
    /// The lot that is being folded: those before it are on disk.
    lot: AtomicU16,
}

impl Index {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Chunk>>> {
        // Whoever panicked meanwhile left a map of chunks behind that is as good as before.
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<(u64, Arc<Chunk>)> {
        self.lock().iter().map(|(&number, chunk)| (number, Arc::clone(chunk))).collect()
    }

    /// What is folded by now. To be asked before a state of the store is chosen, and of use to its reader only.
    pub(super) fn settled(&self) -> Settled {
        Settled(self.lot.load(Ordering::Acquire))
    }

    /// Up to `most` rows before `below`, newest first.
    pub(super) fn newest(&self, wanted: Wanted, below: Entry, most: usize) -> Vec<Entry> {
        let now = seconds(wanted.now.floor());
        let job = wanted.job.map(|job| job.0);
        let mut best: BinaryHeap<Reverse<Entry>> = BinaryHeap::new();
        // The newest rows are mostly the ones with the highest numbers: what comes after them is passed over.
        for (number, chunk) in self.all().into_iter().rev() {
            let least = best.peek().filter(|_| best.len() >= most).map(|Reverse(least)| *least);
            if !may_hold(&chunk, wanted, below, least) {
                continue;
            }
            for (offset, cell, instant) in chunk.rows() {
                let owner = owner_of(cell).0;
                if cell == owner || job.is_some_and(|job| job != owner) {
                    continue;
                }
                let entry = Entry { instant, job: JobKey(owner), seq: Seq(number * CHUNK_LEN + offset) };
                if entry >= below || (best.len() >= most && best.peek().is_some_and(|least| entry <= least.0)) {
                    continue;
                }
                let fits = match Stand::of(cell) {
                    Stand::Absent => false,
                    Stand::Unfolded(Status::Pending) => {
                        instant <= now && wanted.status.is_none_or(|wanted| wanted == Status::Pending)
                    }
                    Stand::Unfolded(status) => wanted.status.is_none_or(|wanted| wanted == status),
                    // What it is the row itself says.
                    Stand::Folded(_) | Stand::Stuck => wanted.status != Some(Status::Pending),
                };
                if fits {
                    best.push(Reverse(entry));
                    if best.len() > most {
                        best.pop();
                    }
                }
            }
        }
        best.into_sorted_vec().into_iter().map(|Reverse(entry)| entry).collect()
    }

    /// Of each of some jobs up to `most` rows that may be in the ledger, newest first, by one walk for all of them. What is
    /// folded and settled is not in it, nor what is armed and lies ahead.
    pub(super) fn newest_of(
        &self,
        jobs: &[JobKey],
        settled: Settled,
        now: WallUs,
        most: usize,
    ) -> Vec<(JobKey, Vec<Entry>)> {
        let now = seconds(now.floor());
        let mut best: Vec<(JobKey, BinaryHeap<Reverse<Entry>>)> =
            jobs.iter().map(|&job| (job, BinaryHeap::new())).collect();
        best.sort_unstable_by_key(|(job, _)| *job);
        best.dedup_by_key(|(job, _)| *job);
        for (number, chunk) in self.all().into_iter().rev() {
            for (offset, cell, instant) in chunk.rows() {
                let owner = owner_of(cell);
                let Ok(place) = best.binary_search_by_key(&owner, |(job, _)| *job) else { continue };
                let may_be_there = match Stand::of(cell) {
                    Stand::Absent => false,
                    Stand::Unfolded(Status::Pending) => instant <= now,
                    Stand::Folded(lot) => !settled.has(lot),
                    Stand::Unfolded(Status::Success | Status::Failed | Status::Skipped) | Stand::Stuck => true,
                };
                if !may_be_there {
                    continue;
                }
                let best = &mut best[place].1;
                let entry = Entry { instant, job: owner, seq: Seq(number * CHUNK_LEN + offset) };
                if best.len() < most {
                    best.push(Reverse(entry));
                } else if best.peek().is_some_and(|least| entry > least.0) {
                    best.pop();
                    best.push(Reverse(entry));
                }
            }
        }
        let in_order = |best: BinaryHeap<Reverse<Entry>>| best.into_sorted_vec().into_iter().map(|entry| entry.0);
        best.into_iter().map(|(job, best)| (job, in_order(best).collect())).collect()
    }

    /// Up to `most` rows that may be finished and in the ledger, with instants from the first until before the second,
    /// oldest first. What is folded and settled is not.
    pub(super) fn oldest_finished(
        &self,
        job: Option<JobKey>,
        range: (Instant, Instant),
        settled: Settled,
        most: usize,
    ) -> Vec<Entry> {
        let (from, to) = (seconds(range.0), seconds(range.1));
        let mut best: BinaryHeap<Entry> = BinaryHeap::new();
        for (number, chunk) in self.all() {
            let (first, last) = chunk.span();
            if first >= to || last < from {
                continue;
            }
            for (offset, cell, instant) in chunk.rows() {
                let owner = owner_of(cell);
                if !(from..to).contains(&instant) || job.is_some_and(|job| job != owner) {
                    continue;
                }
                match Stand::of(cell) {
                    Stand::Absent | Stand::Unfolded(Status::Pending) => continue,
                    Stand::Folded(lot) if settled.has(lot) => continue,
                    Stand::Unfolded(Status::Success | Status::Failed | Status::Skipped)
                    | Stand::Folded(_)
                    | Stand::Stuck => {}
                }
                let entry = Entry { instant, job: owner, seq: Seq(number * CHUNK_LEN + offset) };
                if best.len() < most {
                    best.push(entry);
                } else if best.peek().is_some_and(|newest| entry < *newest) {
                    best.pop();
                    best.push(entry);
                }
            }
        }
        best.into_sorted_vec()
    }

    /// Every finished row that is to be folded, in no order.
    pub(super) fn finished(&self) -> Vec<(JobKey, Seq)> {
        let mut found = Vec::new();
        self.each(|seq, job, stand| match stand {
            Stand::Unfolded(Status::Success | Status::Failed | Status::Skipped) => found.push((job, seq)),
            Stand::Absent | Stand::Unfolded(Status::Pending) | Stand::Folded(_) | Stand::Stuck => {}
        });
        found
    }

    /// Whose rows the ledger holds; a job may be named many times.
    pub(super) fn owners(&self) -> impl Iterator<Item = JobKey> {
        let mut owners = Vec::new();
        self.each(|_, job, stand| {
            if !matches!(stand, Stand::Absent | Stand::Folded(_)) && owners.last() != Some(&job) {
                owners.push(job);
            }
        });
        owners.into_iter()
    }

    fn each(&self, mut take: impl FnMut(Seq, JobKey, Stand)) {
        for (number, chunk) in self.all() {
            for (offset, cell, _) in chunk.rows() {
                if cell != 0 {
                    take(Seq(number * CHUNK_LEN + offset), owner_of(cell), Stand::of(cell));
                }
            }
        }
    }
}

/// What the writer changes the index by.
#[derive(Debug)]
pub(super) struct IndexWriter {
    index: Arc<Index>,
    /// The chunks used last: rows that are armed together end together.
    last: [Option<(u64, Arc<Chunk>)>; 2],
    /// How many rows are in the present lot, and how many lots are full in this fold.
    lot_len: u32,
    lots: u16,
    /// How many chunks there were when they were made smaller last, as they were loaded.
    loaded: usize,
}

/// How many chunks are loaded before they are made smaller.
const LOADED_AT_ONCE: usize = 256;

impl IndexWriter {
    pub(super) fn new(index: Arc<Index>) -> IndexWriter {
        IndexWriter { index, last: [None, None], lot_len: 0, lots: 0, loaded: 0 }
    }

    /// The index that it changes.
    pub(super) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// This is about to be written.
    pub(super) fn expect(&mut self, item: &Persist) {
        match item {
            Persist::Row(row, _) | Persist::HandOver(row) => self.note(row.seq, &row.key, row.record.status),
            Persist::Remove(seq) => self.forget(*seq),
            Persist::Calendar(_) | Persist::Setting(_) | Persist::Incident(_) => {}
            Persist::Release { .. } => {}
            Persist::Runs(rows) => rows.iter().for_each(|row| self.note(row.seq, &row.key, row.record.status)),
            Persist::Change(change) => {
                change.remove.iter().for_each(|&seq| self.forget(seq));
                change.rows.iter().for_each(|row| self.note(row.seq, &row.key, row.record.status));
            }
        }
    }

    /// This change will never be written: what it was to take back stays.
    pub(super) fn reject(&mut self, change: &Change) {
        self.reject_rows(&change.rows);
        for &seq in &change.remove {
            self.chunk(seq).turn(seq, Stand::Unfolded(Status::Pending));
        }
    }

    /// These rows will never be written.
    pub(super) fn reject_rows(&mut self, rows: &[LedgerRow]) {
        rows.iter().for_each(|row| self.forget(row.seq));
    }

    /// A row is about to be written, as new or once more.
    pub(super) fn note(&mut self, seq: Seq, key: &ExecutionKey, status: Status) {
        if !self.chunk(seq).has(seq) {
            // Rows that come get higher numbers than those of which few are left; what is written once more has its place.
            let whole = Arc::new(self.chunk(seq).whole());
            self.index.lock().insert(seq.0 / CHUNK_LEN, whole);
            self.last = [None, None];
        }
        self.chunk(seq).set(seq, key.job, seconds(key.instant), Stand::Unfolded(status));
    }

    fn forget(&mut self, seq: Seq) {
        self.chunk(seq).turn(seq, Stand::Absent);
    }

    /// Rows were moved into history, and that is on disk.
    pub(super) fn fold(&mut self, seqs: impl Iterator<Item = Seq>) {
        let lot = self.index.lot.load(Ordering::Relaxed);
        for seq in seqs {
            self.chunk(seq).turn(seq, Stand::Folded(lot));
            self.lot_len += 1;
        }
        if self.lot_len >= LOT_LEN && self.lots < LOTS_PER_FOLD {
            (self.lot_len, self.lots) = (0, self.lots + 1);
            self.index.lot.store((lot + 1) % LOTS, Ordering::Release);
        }
    }

    /// A row cannot be moved, and is not tried again.
    pub(super) fn give_up(&mut self, seq: Seq) {
        self.chunk(seq).turn(seq, Stand::Stuck);
    }

    /// Lets go of what was folded: nobody reads from so old a state of the store any more. Of what is old the few rows that
    /// are left keep no more room than they need; whoever reads has the chunk as it was.
    pub(super) fn clear_folded(&mut self) {
        (self.last, self.lots) = ([None, None], 0);
        let mut chunks = self.index.lock();
        let newest = chunks.last_key_value().map(|(&number, _)| number);
        chunks.retain(|&number, chunk| {
            let left = chunk.clear_folded();
            if Some(number) == newest {
                return true;
            }
            if left > 0
                && let Some(smaller) = chunk.smaller(left)
            {
                *chunk = Arc::new(smaller);
            }
            left > 0
        });
    }

    /// A row of the ledger was read at the start, in the order of their numbers. Of most there may be few in each chunk.
    pub(super) fn load(&mut self, seq: Seq, key: &ExecutionKey, status: Status) {
        self.note(seq, key, status);
        if self.index.lock().len() >= self.loaded + LOADED_AT_ONCE {
            self.clear_folded();
            self.loaded = self.index.lock().len();
        }
    }

    fn chunk(&mut self, seq: Seq) -> &Chunk {
        let number = seq.0 / CHUNK_LEN;
        let known = self.last.iter().position(|last| last.as_ref().is_some_and(|(known, _)| *known == number));
        let slot = known.unwrap_or_else(|| {
            let mut chunks = self.index.lock();
            let chunk = Arc::clone(chunks.entry(number).or_insert_with(|| Arc::new(Chunk::new())));
            self.last.swap(0, 1);
            self.last[0] = Some((number, chunk));
            0
        });
        &self.last[slot].as_ref().expect("it was just found or put there").1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallUs = WallUs(1_000_000_000);

    fn key(job: u64, second: i64) -> ExecutionKey {
        ExecutionKey::scheduled(JobKey(job), Instant::from_secs(second))
    }

    fn seqs(index: &Index, wanted: Wanted, below: Entry, most: usize) -> Vec<u64> {
        index.newest(wanted, below, most).into_iter().map(|entry| entry.seq.0).collect()
    }

    fn all() -> Wanted {
        Wanted { job: None, status: None, now: NOW }
    }

    #[test]
    fn rows_are_found_by_time_by_job_and_by_status_whatever_their_order() {
        let mut writer = IndexWriter::new(Arc::default());
        let index = Arc::clone(writer.index());
        // The last of them lies ahead, the first comes from another chunk.
        for (seq, job, second, status) in [
            (9_000, 1, 5, Status::Failed),
            (1, 1, 3, Status::Success),
            (2, 2, 7, Status::Pending),
            (3, 1, 7, Status::Skipped),
            (4, 2, 1_001, Status::Pending),
        ] {
            writer.note(Seq(seq), &key(job, second), status);
        }
        let end = Entry::behind(&key(u64::MAX, i64::MAX));
        assert_eq!(seqs(&index, all(), end, 10), [2, 3, 9_000, 1]);
        assert_eq!(seqs(&index, all(), end, 2), [2, 3]);
        assert_eq!(seqs(&index, all(), index.newest(all(), end, 2)[1], 2), [9_000, 1], "a page goes on");
        assert_eq!(seqs(&index, Wanted { job: Some(JobKey(1)), ..all() }, end, 10), [3, 9_000, 1]);
        assert_eq!(seqs(&index, Wanted { status: Some(Status::Pending), ..all() }, end, 10), [2]);
        assert_eq!(seqs(&index, Wanted { status: Some(Status::Failed), ..all() }, end, 10), [9_000]);
        writer.forget(Seq(3));
        writer.note(Seq(2), &key(2, 7), Status::Success);
        assert_eq!(seqs(&index, all(), end, 10), [2, 9_000, 1]);
        let oldest = |job: Option<u64>, range: (i64, i64), most| -> Vec<u64> {
            let range = (Instant::from_secs(range.0), Instant::from_secs(range.1));
            index
                .oldest_finished(job.map(JobKey), range, index.settled(), most)
                .into_iter()
                .map(|entry| entry.seq.0)
                .collect()
        };
        assert_eq!((oldest(None, (0, 8), 9), oldest(None, (0, 8), 2)), (vec![1, 9_000, 2], vec![1, 9_000]));
        assert_eq!((oldest(None, (4, 7), 9), oldest(Some(2), (i64::MIN, i64::MAX), 9)), (vec![9_000], vec![2]));
        let listed = index.newest_of(&[JobKey(2), JobKey(7), JobKey(1)], index.settled(), NOW, 2);
        let listed: Vec<(u64, Vec<u64>)> = listed
            .into_iter()
            .map(|(job, entries)| (job.0, entries.iter().map(|entry| entry.seq.0).collect()))
            .collect();
        assert_eq!(listed, [(1, vec![9_000, 1]), (2, vec![2]), (7, vec![])], "what lies ahead is not listed");
        let mut finished = index.finished();
        finished.sort_unstable();
        assert_eq!(finished, [(JobKey(1), Seq(1)), (JobKey(1), Seq(9_000)), (JobKey(2), Seq(2))]);
    }

    #[test]
    fn what_is_folded_is_listed_until_the_next_fold_and_then_gives_its_room_back() {
        let mut writer = IndexWriter::new(Arc::default());
        let index = Arc::clone(writer.index());
        let end = Entry::behind(&key(u64::MAX, i64::MAX));
        for seq in 0..3 * CHUNK_LEN {
            writer.note(Seq(seq), &key(7, 10), Status::Success);
        }
        let before = index.settled();
        writer.fold((0..CHUNK_LEN).map(Seq));
        let settled = index.settled();
        writer.fold((CHUNK_LEN..CHUNK_LEN + 5).map(Seq));
        let unfolded = |settled| {
            let range = (Instant::from_secs(0), Instant::from_secs(11));
            index.oldest_finished(None, range, settled, usize::MAX).len() as u64
        };
        assert_eq!(unfolded(before), 3 * CHUNK_LEN, "whoever began before may see all of them unfolded");
        assert_eq!(unfolded(settled), 2 * CHUNK_LEN, "whoever began then sees none of the first lot");
        assert_eq!(index.newest(all(), end, usize::MAX / 2).len() as u64, 3 * CHUNK_LEN, "a reader may need it still");
        assert_eq!(index.finished().len() as u64, 2 * CHUNK_LEN - 5, "but it is folded once");
        let listed = |settled| index.newest_of(&[JobKey(7)], settled, NOW, usize::MAX)[0].1.len() as u64;
        assert_eq!((listed(before), listed(settled)), (3 * CHUNK_LEN, 2 * CHUNK_LEN), "what is settled needs nobody");
        writer.clear_folded();
        assert_eq!(index.lock().len(), 2);
        assert_eq!(index.newest(all(), end, 100_000).len() as u64, 2 * CHUNK_LEN - 5);
        writer.give_up(Seq(CHUNK_LEN + 5));
        assert_eq!(index.finished().len() as u64, 2 * CHUNK_LEN - 6);
        assert_eq!(index.owners().collect::<Vec<_>>(), [JobKey(7)]);
    }

    #[test]
    fn a_row_that_waits_for_long_keeps_little_room_while_others_come_and_go() {
        let mut writer = IndexWriter::new(Arc::default());
        let index = Arc::clone(writer.index());
        let end = Entry::behind(&key(u64::MAX, i64::MAX));
        let chunks = 500;
        let waiting = |number: u64| number * CHUNK_LEN + number % CHUNK_LEN;
        for number in 0..chunks {
            for seq in number * CHUNK_LEN..(number + 1) * CHUNK_LEN {
                let status = if seq == waiting(number) { Status::Pending } else { Status::Success };
                writer.note(Seq(seq), &key(7, i64::try_from(number).expect("it is small")), status);
            }
            let ended = (number * CHUNK_LEN..(number + 1) * CHUNK_LEN).filter(|seq| *seq != waiting(number));
            writer.fold(ended.map(Seq));
            writer.clear_folded();
        }
        let room = |index: &Index| index.all().iter().map(|(_, chunk)| chunk.room()).sum::<usize>();
        assert!(room(&index) < 300 * chunks as usize + 50_000, "{} bytes for {chunks} rows", room(&index));
        let pending = Wanted { status: Some(Status::Pending), ..all() };
        assert_eq!(seqs(&index, pending, end, 3), [499, 498, 497].map(waiting));
        assert_eq!(index.newest(all(), end, usize::MAX / 2).len() as u64, chunks);
        // They are found as others are, end, and come back.
        writer.note(Seq(waiting(3)), &key(7, 3), Status::Failed);
        writer.forget(Seq(waiting(4)));
        assert_eq!(index.finished(), [(JobKey(7), Seq(waiting(3)))]);
        assert_eq!(index.newest(all(), end, usize::MAX / 2).len() as u64, chunks - 1);
        writer.note(Seq(5 * CHUNK_LEN + 4_000), &key(8, 5), Status::Pending);
        assert_eq!(seqs(&index, Wanted { job: Some(JobKey(8)), ..all() }, end, 9), [5 * CHUNK_LEN + 4_000]);
        assert_eq!(index.newest(all(), end, usize::MAX / 2).len() as u64, chunks);
        writer.fold([Seq(waiting(3))].into_iter());
        writer.clear_folded();
        assert_eq!(index.all().len() as u64, chunks - 2, "of two nothing is left");
        // The same from disk, as a start finds them.
        let mut loaded = IndexWriter::new(Arc::default());
        for number in 0..chunks * 4 {
            loaded.load(Seq(waiting(number)), &key(7, 1), Status::Pending);
        }
        let most = (LOADED_AT_ONCE + 1) * Chunk::new().room();
        assert!(room(loaded.index()) < most + 300 * 4 * chunks as usize, "{}", room(loaded.index()));
        assert_eq!(loaded.index().newest(pending, end, usize::MAX / 2).len() as u64, chunks * 4);
    }
}
