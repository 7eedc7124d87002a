//! Owns the numbering of persist items, and what each of them was for until it is on disk.
//! It must not act on them: it says what was acknowledged, in order.

use std::collections::VecDeque;

use super::execution::Handle;

/// What a persist item was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    /// A row of this execution.
    Row(Handle),
    /// A change of the job in this slot.
    Change(u32),
    /// Nobody waits for it.
    Nothing,
}

/// Persist items that were asked for and are not known to be on disk.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    open: VecDeque<(Receipt, bool)>,
    /// Items up to this number are on disk. Numbers begin at 1.
    through: u64,
    changes: usize,
}

impl Receipts {
    /// Numbers a new item.
    pub(super) fn issue(&mut self, receipt: Receipt) -> u64 {
        self.changes += usize::from(matches!(receipt, Receipt::Change(_)));
        self.open.push_back((receipt, true));
        self.through + self.open.len() as u64
    }

    /// Notes that a change will not be written. Unknown numbers are stale and ignored.
    pub(super) fn reject(&mut self, number: u64) {
        let Some(index) = number.checked_sub(self.through + 1).and_then(|index| usize::try_from(index).ok()) else {
            return;
        };
        if let Some((Receipt::Change(_), written)) = self.open.get_mut(index) {
            *written = false;
        }
    }

    /// Takes the oldest receipt up to `number`, and whether it was written. Nothing for an acknowledgement that
    /// came before, or for a number never issued.
    pub(super) fn take(&mut self, number: u64) -> Option<(Receipt, bool)> {
        if self.through >= number {
            return None;
        }
        let (receipt, written) = self.open.pop_front()?;
        self.through += 1;
        self.changes -= usize::from(matches!(receipt, Receipt::Change(_)));
        Some((receipt, written))
    }

    /// Whether the item with this number is on disk.
    pub(super) fn is_written(&self, number: u64) -> bool {
        number <= self.through
    }

    /// Items not known to be on disk.
    pub(super) fn unwritten(&self) -> usize {
        self.open.len()
    }

    /// Changes among them.
    pub(super) fn unwritten_changes(&self) -> usize {
        self.changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_may_come_late_twice_or_not_at_all() {
        let mut receipts = Receipts::default();
        assert_eq!(receipts.issue(Receipt::Nothing), 1);
        assert_eq!(receipts.issue(Receipt::Change(7)), 2);
        assert_eq!(receipts.issue(Receipt::Change(8)), 3);
        receipts.reject(2);
        receipts.reject(1);
        receipts.reject(99);
        assert_eq!(receipts.unwritten_changes(), 2);
        assert_eq!(receipts.take(2), Some((Receipt::Nothing, true)));
        assert_eq!(receipts.take(2), Some((Receipt::Change(7), false)));
        assert_eq!(receipts.take(2), None);
        assert_eq!(receipts.take(1), None, "an old acknowledgement says nothing new");
        assert!(receipts.is_written(2) && !receipts.is_written(3));
        assert_eq!(receipts.take(1000), Some((Receipt::Change(8), true)));
        assert_eq!(receipts.take(1000), None);
        assert_eq!((receipts.unwritten(), receipts.unwritten_changes()), (0, 0));
        assert_eq!(receipts.issue(Receipt::Nothing), 4);
    }
}
