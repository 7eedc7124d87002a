//! Owns a stretch of the index: what is known of the rows with some numbers in a row, of all of them or of the few that are left.
//! It must not know which rows are asked for: the index does.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::stand::{Stand, owner_of};
use crate::core::{Seq, Status};
use crate::job::JobKey;

/// Rows of one chunk.
pub(super) const CHUNK_LEN: u64 = 4_096;
/// One of which so many are left at most, or that many times fewer than it has room for, is made smaller.
const LEFT_MAX: usize = CHUNK_LEN as usize / 8;
const SHRINK_BY: usize = 2;

/// A chunk of the ledger. Rows wait for a retry for a day while millions come and go beside them: of what is older only the
/// few that are left are kept.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The places of the rows that are left, rising; None: each number has its own.
    places: Option<Box<[u16]>>,
    /// The job's key, and above it the code of how the row stands.
    cells: Box<[AtomicU64]>,
    /// Instants lie between 1970 and 2099.
    instants: Box<[AtomicU32]>,
    /// The earliest and the latest of them, of rows that are there or were.
    span: (AtomicU32, AtomicU32),
    /// How many rows are pending.
    pending: AtomicU32,
}

impl Chunk {
    pub(super) fn new() -> Chunk {
        Chunk::of(None, (0..CHUNK_LEN).map(|_| (0, 0)))
    }

    fn of(places: Option<Box<[u16]>>, rows: impl Iterator<Item = (u64, u32)>) -> Chunk {
        let (cells, instants): (Vec<AtomicU64>, Vec<AtomicU32>) =
            rows.map(|(cell, instant)| (AtomicU64::new(cell), AtomicU32::new(instant))).unzip();
        let chunk = Chunk {
            places,
            cells: cells.into(),
            instants: instants.into(),
            span: (AtomicU32::new(u32::MAX), AtomicU32::new(0)),
            pending: AtomicU32::new(0),
        };
        for (_, cell, instant) in chunk.rows().filter(|(_, cell, _)| *cell != 0) {
            chunk.widen(instant);
            chunk.pending.fetch_add(u32::from(is_pending(cell)), Ordering::Relaxed);
        }
        chunk
    }

    /// Which numbers there are, what is known of each, and its instant.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, u64, u32)> {
        let places = self.places.as_deref();
        let rows = self.cells.iter().zip(&self.instants).enumerate();
        rows.map(move |(at, (cell, instant))| {
            let offset = places.map_or(at as u64, |places| places[at].into());
            (offset, cell.load(Ordering::Acquire), instant.load(Ordering::Relaxed))
        })
    }

    /// Whether this row has a place here.
    pub(super) fn has(&self, seq: Seq) -> bool {
        self.at(seq).is_some()
    }

    fn at(&self, seq: Seq) -> Option<usize> {
        let offset = u16::try_from(seq.0 % CHUNK_LEN).expect("a chunk is small");
        match &self.places {
            Some(places) => places.binary_search(&offset).ok(),
            None => Some(offset.into()),
        }
    }

    /// Notes a row that has a place here.
    pub(super) fn set(&self, seq: Seq, job: JobKey, instant: u32, stand: Stand) {
        let at = self.at(seq).expect("it was made for it");
        self.instants[at].store(instant, Ordering::Relaxed);
        self.widen(instant);
        self.replace(at, stand.cell(job));
    }

    /// Changes how a row stands, if there is one.
    pub(super) fn turn(&self, seq: Seq, stand: Stand) {
        let Some(at) = self.at(seq) else { return };
        let job = owner_of(self.cells[at].load(Ordering::Acquire));
        self.replace(at, stand.cell(job));
    }

    /// Only the writer does this, so that nothing comes between.
    fn replace(&self, at: usize, new: u64) {
        // More before fewer: a reader must not take a chunk for one without pending rows.
        self.pending.fetch_add(u32::from(is_pending(new)), Ordering::Release);
        let old = self.cells[at].swap(new, Ordering::AcqRel);
        self.pending.fetch_sub(u32::from(is_pending(old)), Ordering::Release);
    }

    fn widen(&self, instant: u32) {
        self.span.0.fetch_min(instant, Ordering::Release);
        self.span.1.fetch_max(instant, Ordering::Release);
    }

    /// The earliest and the latest instant that may be here.
    pub(super) fn span(&self) -> (u32, u32) {
        (self.span.0.load(Ordering::Acquire), self.span.1.load(Ordering::Acquire))
    }

    pub(super) fn has_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire) > 0
    }

    /// Lets go of what was folded. How many rows are left.
    pub(super) fn clear_folded(&self) -> usize {
        let mut left = 0;
        for cell in &self.cells {
            match Stand::of(cell.load(Ordering::Acquire)) {
                Stand::Absent => {}
                Stand::Folded(_) => cell.store(0, Ordering::Release),
                Stand::Unfolded(_) | Stand::Stuck => left += 1,
            }
        }
        left
    }

    /// The same in less room, if it has much for so few.
    pub(super) fn smaller(&self, left: usize) -> Option<Chunk> {
        if left > LEFT_MAX || left > self.cells.len() / SHRINK_BY {
            return None;
        }
        let is_left = |cell: u64| !matches!(Stand::of(cell), Stand::Absent);
        let rows: Vec<(u64, u64, u32)> = self.rows().filter(|(_, cell, _)| is_left(*cell)).collect();
        let places = rows.iter().map(|(offset, ..)| u16::try_from(*offset).expect("a chunk is small")).collect();
        Some(Chunk::of(Some(places), rows.into_iter().map(|(_, cell, instant)| (cell, instant))))
    }

    /// The same with a place for each number.
    pub(super) fn whole(&self) -> Chunk {
        let mut all = vec![(0, 0); CHUNK_LEN as usize];
        for (offset, cell, instant) in self.rows() {
            all[usize::try_from(offset).expect("a chunk is small")] = (cell, instant);
        }
        Chunk::of(None, all.into_iter())
    }

    /// Bytes that it takes up, about.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let places = self.places.as_ref().map_or(0, |places| places.len() * 2);
        size_of::<Chunk>() + self.cells.len() * 12 + places
    }
}

fn is_pending(cell: u64) -> bool {
    Stand::of(cell) == Stand::Unfolded(Status::Pending)
}
