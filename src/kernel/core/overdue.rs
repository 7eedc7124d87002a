//! Owns since when the oldest of those executions has been due that could be sent and are not.
//! It must not know which they are: it counts them by the second at which they became due.

use std::collections::BTreeMap;

use crate::time::{Instant, WallUs};

/// How many became due in which second. Usually that is one second, or none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Overdue(BTreeMap<Instant, u32>);

impl Overdue {
    /// One more has been due since then.
    pub(super) fn add(&mut self, due: WallUs) {
        *self.0.entry(due.floor()).or_insert(0) += 1;
    }

    /// One that has been due since then is sent, or is due no more.
    pub(super) fn remove(&mut self, due: WallUs) {
        let count = self.0.get_mut(&due.floor()).expect("what is removed was added");
        *count -= 1;
        if *count == 0 {
            self.0.remove(&due.floor());
        }
    }

    /// Since when the oldest has been due, to the second; None: there is none.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.0.first_key_value().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_the_one_that_has_been_due_for_longest() {
        let mut overdue = Overdue::default();
        assert_eq!(overdue.oldest(), None);
        let at = |second: i64| WallUs::of(Instant::from_secs(second));
        overdue.add(at(7));
        overdue.add(at(5).plus_us(999_999));
        overdue.add(at(5));
        assert_eq!(overdue.oldest(), Some(Instant::from_secs(5)));
        overdue.remove(at(5));
        assert_eq!(overdue.oldest(), Some(Instant::from_secs(5)), "there were two");
        overdue.remove(at(5));
        assert_eq!(overdue.oldest(), Some(Instant::from_secs(7)));
        overdue.remove(at(7));
        assert_eq!(overdue, Overdue::default());
    }
}
