//! Owns what only the server knows of its own state: whether the store takes what it is given, and whether the disk has
//! room. It tells the core when that changes.
//! It must not decide who hears of it.

use crate::core::{Cause, Trouble};
use crate::limits::{DISK_LOW, DISK_LOW_OVER, STORE_TROUBLE_MIN};
use crate::time::MonoUs;

/// How things stood when they were last looked at.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    store: State,
    disk: State,
    /// Since when the store has been in trouble without a break.
    store_since: Option<MonoUs>,
}

/// What the core was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    Well,
    Wrong,
}

impl State {
    /// What the core is to be told now, if it is something else.
    fn turn(&mut self, cause: Cause, why: Option<String>) -> Option<Trouble> {
        let state = if why.is_some() { State::Wrong } else { State::Well };
        let before = std::mem::replace(self, state);
        (before != state).then_some(Trouble { cause, why })
    }
}

impl Troubles {
    /// What the core is to be told of the store. A moment of trouble is none: somebody else may hold the file.
    pub(super) fn of_store(&mut self, why: Option<String>, mono: MonoUs) -> Option<Trouble> {
        let Some(why) = why else {
            self.store_since = None;
            return self.store.turn(Cause::StoreFailing, None);
        };
        let since = *self.store_since.get_or_insert(mono);
        if mono < since.plus(STORE_TROUBLE_MIN) {
            return None;
        }
        self.store.turn(Cause::StoreFailing, Some(why))
    }

    /// What the core is to be told of the disk, of which so many bytes are free; None: nobody knows.
    pub(super) fn of_disk(&mut self, free: Option<u64>) -> Option<Trouble> {
        let free = free?;
        // What is over is over for a while: the log grows and shrinks.
        let most = if self.disk == State::Wrong { DISK_LOW_OVER } else { DISK_LOW };
        let why = (free < most).then(|| format!("{} MiB are left on the disk of the database", free >> 20));
        self.disk.turn(Cause::DiskNearlyFull, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_wrong(trouble: Option<Trouble>) -> Option<bool> {
        trouble.map(|trouble| trouble.why.is_some())
    }

    #[test]
    fn the_store_is_in_trouble_if_that_lasts() {
        let mut troubles = Troubles::default();
        let mut look = |seconds: u64, wrong: bool| {
            is_wrong(troubles.of_store(wrong.then(|| "full".to_owned()), MonoUs(seconds * 1_000_000)))
        };
        assert_eq!(look(0, false), Some(false), "it is said once at the beginning");
        assert_eq!((look(1, false), look(2, true), look(3, true)), (None, None, None));
        assert_eq!((look(4, false), look(5, true)), (None, None), "that was a moment");
        let after = STORE_TROUBLE_MIN.as_secs();
        assert_eq!(look(5 + after, true), Some(true));
        assert_eq!((look(6 + after, true), look(7 + after, false)), (None, Some(false)));
    }

    #[test]
    fn the_disk_is_well_again_when_there_is_some_room() {
        let mut troubles = Troubles::default();
        let mut look = |free: u64| is_wrong(troubles.of_disk(Some(free)));
        assert_eq!((look(DISK_LOW), look(DISK_LOW - 1), look(DISK_LOW)), (Some(false), Some(true), None));
        assert_eq!((look(DISK_LOW_OVER), look(DISK_LOW)), (Some(false), None));
        assert_eq!(troubles.of_disk(None), None);
    }
}
