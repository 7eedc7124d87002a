//! Owns the way of attempts from the pool to one worker: each gets there once, in a bounded number of batches.
//! It must not make the pool wait, however long the worker takes nothing.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::limits::ATTEMPT_BATCHES_PENDING_MAX;

/// The pool's end.
#[derive(Debug)]
pub(super) struct Feed<T> {
    batches: Sender<Vec<T>>,
    /// The worker's end once more: what the worker has not taken can be taken back.
    untaken: Receiver<Vec<T>>,
}

/// Both ends.
pub(super) fn feed<T>() -> (Feed<T>, Receiver<Vec<T>>) {
    let (batches, untaken) = bounded(ATTEMPT_BATCHES_PENDING_MAX);
    (Feed { batches, untaken: untaken.clone() }, untaken)
}

impl<T> Feed<T> {
    /// Puts a batch behind the others. If there are too many, they become one: what is in all of them together is
    /// bounded by what may be in flight. Should the worker take batches at that very moment, it gets those first.
    pub(super) fn put(&self, batch: Vec<T>) {
        let last = match self.batches.try_send(batch) {
            Ok(()) => return,
            Err(TrySendError::Full(batch)) => batch,
            Err(TrySendError::Disconnected(_)) => unreachable!("this holds both ends"),
        };
        let mut all = self.untaken.try_iter().flatten().collect::<Vec<T>>();
        all.extend(last);
        // Nobody else puts batches, and there is none left.
        self.batches.try_send(all).unwrap_or_else(|_| unreachable!("a channel that was just emptied has room"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_takes_nothing_finds_everything_in_order_in_few_batches() {
        let (feed, work) = feed();
        let numbers = 0..ATTEMPT_BATCHES_PENDING_MAX * 10 + 3;
        for number in numbers.clone() {
            feed.put(vec![number]);
            assert!(work.len() <= ATTEMPT_BATCHES_PENDING_MAX);
        }
        assert_eq!(work.try_iter().flatten().collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
    }

    #[test]
    fn a_worker_that_takes_meanwhile_misses_nothing_and_gets_nothing_twice() {
        let (feed, work) = feed();
        let numbers = 0..50_000;
        let worker = std::thread::spawn(move || {
            let mut taken = Vec::new();
            while taken.len() < 50_000 {
                taken.extend(work.recv().unwrap());
            }
            taken
        });
        numbers.clone().for_each(|number| feed.put(vec![number]));
        let mut taken = worker.join().unwrap();
        taken.sort_unstable();
        assert_eq!(taken, numbers.collect::<Vec<_>>());
    }
}
