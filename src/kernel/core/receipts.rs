//! Owns the numbering of persist items, and what each of them was for until it is on disk.
//! It must not act on them: it says what was acknowledged, in order.

use std::collections::VecDeque;

use super::attempt::Handle;

/// What a persist item was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    /// A row of this execution.
    Row(Handle),
    /// A change of the job in this slot.
    Change(u32),
    /// The same of one that is written together with others.
    Gathered(u32),
    /// A change of a calendar, by its number.
    Calendar(u64),
    /// A change of a setting, by its number.
    Setting(u64),
    /// An incident, the oldest that is not on disk.
    Incident,
    /// Executions that a client asked for, by the number of the request.
    Runs(u64),
    /// Nobody waits for it.
    Nothing,
}

impl Receipt {
    /// Whether a client waits for it, who may be told that it was not written.
    fn is_change(self) -> bool {
        self.is_counted() || self.is_gathered()
    }

    fn is_gathered(self) -> bool {
        matches!(self, Receipt::Gathered(_))
    }

    /// Whether it counts among the changes of which there may be so many.
    fn is_counted(self) -> bool {
        match self {
            Receipt::Change(_) | Receipt::Calendar(_) | Receipt::Setting(_) | Receipt::Runs(_) => true,
            // They are bounded together.
            Receipt::Gathered(_) => false,
            Receipt::Row(_) | Receipt::Incident | Receipt::Nothing => false,
        }
    }
}

/// Persist items that were asked for and are not known to be on disk.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    open: VecDeque<Receipt>,
    /// Items up to this number are on disk. Numbers begin at 1.
    through: u64,
    changes: usize,
    gathered: usize,
}

impl Receipts {
    /// The number that the next item will have.
    pub(super) fn next(&self) -> u64 {
        self.through + self.open.len() as u64 + 1
    }

    /// Numbers a new item.
    pub(super) fn issue(&mut self, receipt: Receipt) -> u64 {
        self.changes += usize::from(receipt.is_counted());
        self.gathered += usize::from(receipt.is_gathered());
        self.open.push_back(receipt);
        self.through + self.open.len() as u64
    }

    /// Notes that a change will not be written: which it was. None for a number that is stale or no change.
    pub(super) fn reject(&mut self, number: u64) -> Option<Receipt> {
        let index = usize::try_from(number.checked_sub(self.through + 1)?).ok()?;
        let receipt = self.open.get_mut(index)?;
        if !receipt.is_change() {
            return None;
        }
        self.changes -= usize::from(receipt.is_counted());
        self.gathered -= usize::from(receipt.is_gathered());
        Some(std::mem::replace(receipt, Receipt::Nothing))
    }

    /// Takes the oldest receipt up to `number`. None for an acknowledgement that came before, or for a number never
    /// issued.
    pub(super) fn take(&mut self, number: u64) -> Option<Receipt> {
        if self.through >= number {
            return None;
        }
        let receipt = self.open.pop_front()?;
        self.through += 1;
        self.changes -= usize::from(receipt.is_counted());
        self.gathered -= usize::from(receipt.is_gathered());
        Some(receipt)
    }

    /// Nobody will hear of what is open. Its numbers are used up.
    pub(super) fn abandon(&mut self) {
        self.through += self.open.len() as u64;
        self.open.clear();
        (self.changes, self.gathered) = (0, 0);
    }

    /// Whether the item with this number is on disk.
    pub(super) fn is_written(&self, number: u64) -> bool {
        number <= self.through
    }

    /// Items not known to be on disk.
    pub(super) fn unwritten(&self) -> usize {
        self.open.len()
    }

    /// Changes among them of which there may be so many.
    pub(super) fn unwritten_changes(&self) -> usize {
        self.changes
    }

    /// Whether there are changes among them.
    pub(super) fn has_changes(&self) -> bool {
        self.changes + self.gathered > 0
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
        assert_eq!(receipts.reject(2), Some(Receipt::Change(7)));
        assert_eq!(receipts.reject(2), None, "rejected twice is rejected once");
        assert_eq!((receipts.reject(1), receipts.reject(99), receipts.reject(0)), (None, None, None));
        assert_eq!(receipts.unwritten_changes(), 1);
        assert_eq!(receipts.take(2), Some(Receipt::Nothing));
        assert_eq!(receipts.take(2), Some(Receipt::Nothing), "nobody waits for a rejected change");
        assert_eq!(receipts.take(2), None);
        assert_eq!(receipts.take(1), None, "an old acknowledgement says nothing new");
        assert!(receipts.is_written(2) && !receipts.is_written(3));
        assert_eq!(receipts.take(1000), Some(Receipt::Change(8)));
        assert_eq!(receipts.take(1000), None);
        assert_eq!((receipts.unwritten(), receipts.unwritten_changes()), (0, 0));
        assert_eq!(receipts.issue(Receipt::Nothing), 4);
    }

    #[test]
    fn what_is_gathered_is_a_change_until_it_is_written_or_refused() {
        for refused in [false, true] {
            let mut receipts = Receipts::default();
            let number = receipts.issue(Receipt::Gathered(7));
            assert_eq!((receipts.has_changes(), receipts.unwritten_changes()), (true, 0));
            let receipt = if refused { receipts.reject(number) } else { receipts.take(number) };
            assert_eq!((receipt, receipts.has_changes()), (Some(Receipt::Gathered(7)), false));
        }
    }
}
