//! Owns items that are one transaction, from the loop's side: which they are, and the core hearing of them bit by bit.
//! It must not hear anything else than in order.

use crate::core::RequestId;
use crate::limits::SETTLED_AT_ONCE_MAX;

/// Changes that are written together.
#[derive(Debug)]
pub(super) struct Together {
    pub(super) request: RequestId,
    /// The first item of them that the core has not heard of.
    next: u64,
    last: u64,
    fate: Option<Fate>,
}

/// What became of them.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// They are on disk, as is all up to here.
    Written(u64),
    /// They never will be. What is on disk ends here.
    Rejected(u64),
}

/// What the core hears next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Items up to here are on disk.
    pub(super) through: u64,
    /// But not these, which never will be.
    pub(super) rejected: Vec<u64>,
    /// Whether it has heard of all of them now, and then whether they are on disk.
    pub(super) written: Option<bool>,
}

impl Together {
    pub(super) fn new(request: RequestId, first: u64, last: u64) -> Together {
        Together { request, next: first, last, fate: None }
    }

    /// Whether they are on disk; None: that is not known.
    pub(super) fn written(&self) -> Option<bool> {
        self.fate.map(|fate| matches!(fate, Fate::Written(_)))
    }

    /// The number of the last one.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// These items were rejected, and up to here all others are on disk. Whether that includes these, and then it is all
    /// of them: the core is to hear of it bit by bit, and they are taken out.
    pub(super) fn note_rejected(&mut self, through: u64, rejected: &mut Vec<u64>) -> bool {
        if rejected.binary_search(&self.next).is_err() {
            return false;
        }
        rejected.retain(|number| !(self.next..=self.last).contains(number));
        self.fate = Some(Fate::Rejected(through));
        true
    }

    /// Items up to here are on disk. Whether that includes these, so that the core is to hear of it bit by bit.
    pub(super) fn note_written(&mut self, through: u64) -> bool {
        if through >= self.last {
            self.fate.get_or_insert(Fate::Written(through));
        }
        self.fate.is_some()
    }

    /// What the core is to hear now, if it is known what became of them.
    pub(super) fn advance(&mut self) -> Option<Heard> {
        let fate = self.fate?;
        let first = self.next;
        self.next = (first + SETTLED_AT_ONCE_MAX).min(self.last + 1);
        let is_last = self.next > self.last;
        Some(match fate {
            Fate::Written(through) => {
                let through = if is_last { through } else { self.next - 1 };
                Heard { through, rejected: Vec::new(), written: is_last.then_some(true) }
            }
            Fate::Rejected(through) => {
                Heard { through, rejected: (first..self.next).collect(), written: is_last.then_some(false) }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_hears_of_all_of_them_in_order_and_of_the_rest_with_the_last() {
        let many = 3 * SETTLED_AT_ONCE_MAX + 1;
        let mut together = Together::new(RequestId(7), 11, 10 + many);
        assert_eq!((together.advance(), together.note_written(9 + many)), (None, false), "the last one is not there");
        assert_eq!(together.written(), None, "nobody knows");
        assert!(together.note_written(100 + many));
        assert_eq!(together.written(), Some(true));
        let heard: Vec<Heard> = std::iter::from_fn(|| together.advance()).take(4).collect();
        let some = |count: u64| 10 + count * SETTLED_AT_ONCE_MAX;
        let through: Vec<u64> = heard.iter().map(|heard| heard.through).collect();
        assert_eq!(through, [some(1), some(2), some(3), 100 + many]);
        let written: Vec<Option<bool>> = heard.iter().map(|heard| heard.written).collect();
        assert_eq!(written, [None, None, None, Some(true)]);
    }

    #[test]
    fn all_of_them_are_rejected_or_none_and_the_core_hears_of_it_bit_by_bit() {
        let many = SETTLED_AT_ONCE_MAX + 2;
        let mut together = Together::new(RequestId(7), 11, 10 + many);
        assert!(!together.note_rejected(2, &mut vec![3, 11 + many]) && !together.note_rejected(2, &mut Vec::new()));
        let mut rejected: Vec<u64> = [3].into_iter().chain(11..=11 + many).collect();
        assert!(together.note_rejected(5, &mut rejected));
        assert_eq!(together.written(), Some(false));
        assert_eq!(rejected, [3, 11 + many], "others are heard of at once");
        let heard: Vec<Heard> = std::iter::from_fn(|| together.advance()).take(2).collect();
        assert!(heard.iter().all(|heard| heard.through == 5));
        assert_eq!(
            heard.iter().flat_map(|heard| heard.rejected.clone()).collect::<Vec<_>>(),
            (11..11 + many).collect::<Vec<_>>()
        );
        assert_eq!((heard[0].written, heard[1].written), (None, Some(false)));
    }
}
