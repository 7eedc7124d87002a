//! Owns what the index notes of a row beside its instant, in eight bytes: whose it is, and how it stands.
//! It must not know which rows there are.

use crate::core::Status;
use crate::job::JobKey;
use crate::limits::FOLD_SLICE_ROWS;

/// The bits of a cell that are the job's key; those above are how the row stands.
const JOB_BITS: u32 = 48;
/// Lots of folded rows are numbered anew after so many.
pub(super) const LOTS: u16 = 1 << 12;
/// So many of them may come about in one fold: what is more belongs to the last, so that no number has two meanings.
pub(super) const LOTS_PER_FOLD: u16 = LOTS / 2 - 1;
/// Folded rows in a lot, but for the last few.
pub(super) const LOT_LEN: u32 = FOLD_SLICE_ROWS;

/// How a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// There is no row, or none any more.
    Absent,
    /// As its status says.
    Unfolded(Status),
    /// It was moved into history, with this lot; somebody may read from a state of the store in which it was not.
    Folded(u16),
    /// It cannot be moved.
    Stuck,
}

impl Stand {
    /// The cell of a row that stands so.
    pub(super) fn cell(self, job: JobKey) -> u64 {
        let code = match self {
            Stand::Absent => 0,
            Stand::Unfolded(status) => 1 + u64::from(status.code()),
            Stand::Folded(lot) => 14 | u64::from(lot % LOTS) << 4,
            Stand::Stuck => 15,
        };
        code << JOB_BITS | job.0
    }

    /// How the row of a cell stands.
    pub(super) fn of(cell: u64) -> Stand {
        let lot = u16::try_from(cell >> (JOB_BITS + 4)).expect("twelve bits are left");
        match (cell >> JOB_BITS) & 0xf {
            0 => Stand::Absent,
            14 => Stand::Folded(lot),
            15 => Stand::Stuck,
            code => {
                let status = u8::try_from(code - 1).ok().and_then(Status::from_code);
                Stand::Unfolded(status.expect("only codes of a stand are written"))
            }
        }
    }
}

/// Whose row it is that has this cell.
pub(super) fn owner_of(cell: u64) -> JobKey {
    JobKey(cell & ((1 << JOB_BITS) - 1))
}

/// Which lots of folded rows are not in the ledger of any state of the store that is read from now on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled(pub(super) u16);

impl Settled {
    pub(super) fn has(self, lot: u16) -> bool {
        (1..LOTS / 2).contains(&(self.0.wrapping_sub(lot) % LOTS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lots_keep_their_meaning_when_their_numbers_begin_anew() {
        for (settled, lot, is_settled) in
            [(0, 0, false), (1, 0, true), (0, LOTS - 1, true), (5, LOTS - 5, true), (LOTS - 5, 5, false), (7, 8, false)]
        {
            assert_eq!(Settled(settled).has(lot), is_settled, "{settled}, {lot}");
            assert_eq!(Stand::of(Stand::Folded(lot).cell(JobKey(77))), Stand::Folded(lot));
        }
    }
}
