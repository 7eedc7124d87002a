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
    /// What is on disk beyond them, once they are.
    through: Option<u64>,
}

/// What the core hears next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Items up to here are on disk; there are more.
    Some(u64),
    /// The same, and these were all.
    All(u64),
}

impl Together {
    pub(super) fn new(request: RequestId, first: u64, last: u64) -> Together {
        Together { request, next: first, last, through: None }
    }

    /// The number of the last one.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether these include one that was rejected. Then all of them are.
    pub(super) fn is_rejected(&self, rejected: &[u64]) -> bool {
        rejected.binary_search(&self.next).is_ok()
    }

    /// Items up to here are on disk. Whether that includes these, so that the core is to hear of it bit by bit.
    pub(super) fn note_written(&mut self, through: u64) -> bool {
        if through >= self.last {
            self.through = Some(through);
        }
        self.through.is_some()
    }

    /// What the core is to hear now, if they are on disk.
    pub(super) fn advance(&mut self) -> Option<Heard> {
        let through = self.through?;
        self.next += SETTLED_AT_ONCE_MAX;
        Some(if self.next > self.last { Heard::All(through) } else { Heard::Some(self.next - 1) })
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
        assert!(together.note_written(100 + many));
        let heard: Vec<Heard> = std::iter::from_fn(|| together.advance()).take(4).collect();
        let some = |count: u64| Heard::Some(10 + count * SETTLED_AT_ONCE_MAX);
        assert_eq!(heard, [some(1), some(2), some(3), Heard::All(100 + many)]);
    }

    #[test]
    fn all_of_them_are_rejected_or_none() {
        let together = Together::new(RequestId(7), 11, 20);
        assert!(together.is_rejected(&[3, 11, 12]) && !together.is_rejected(&[3, 21]) && !together.is_rejected(&[]));
    }
}
