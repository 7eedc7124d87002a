//! Owns the order in which jobs are armed whose time has come: one of each target in turn. While the disk takes less than is
//! due, a target with too much to do leaves the others theirs.
//! It must not know why a job is to be armed, nor whether it still is to be.

use std::collections::VecDeque;

use crate::job::JobKey;

/// What an empty line may keep room for.
const KEPT: usize = 64;

/// Jobs in turn.
#[derive(Debug, Default)]
pub(super) struct ArmQueue {
    /// The lines, by target: where a job is, and which. Who has waited longest comes first.
    lines: Vec<VecDeque<(u32, JobKey)>>,
    /// Targets that have somebody in line.
    ring: VecDeque<u32>,
    len: usize,
}

impl ArmQueue {
    pub(super) fn push(&mut self, target: u32, slot: u32, key: JobKey) {
        let place = target as usize;
        if self.lines.len() <= place {
            self.lines.resize_with(place + 1, VecDeque::new);
        }
        if self.lines[place].is_empty() {
            self.ring.push_back(target);
        }
        self.lines[place].push_back((slot, key));
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<(u32, JobKey)> {
        let target = self.ring.pop_front()?;
        let line = &mut self.lines[target as usize];
        let next = line.pop_front();
        self.len -= usize::from(next.is_some());
        if !line.is_empty() {
            self.ring.push_back(target);
        } else if line.capacity() > KEPT {
            *line = VecDeque::new();
        }
        next
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn clear(&mut self) {
        *self = ArmQueue::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_take_turns_and_each_keeps_its_order() {
        let mut queue = ArmQueue::default();
        for (target, slot) in [(7, 1), (7, 2), (7, 3), (0, 4), (2, 5), (2, 6)] {
            queue.push(target, slot, JobKey(u64::from(slot)));
        }
        assert_eq!(queue.len(), 6);
        let mut pop =
            |count: usize| -> Vec<u32> { (0..count).filter_map(|_| queue.pop()).map(|(slot, _)| slot).collect() };
        assert_eq!(pop(4), [1, 4, 5, 2]);
        queue.push(0, 8, JobKey(8));
        let rest: Vec<u32> = std::iter::from_fn(|| queue.pop()).map(|(slot, _)| slot).collect();
        assert_eq!((rest, queue.len()), (vec![6, 3, 8], 0));
        queue.push(1, 9, JobKey(9));
        queue.clear();
        assert_eq!((queue.pop(), queue.len()), (None, 0));
    }

    #[test]
    fn an_empty_line_keeps_room_for_so_many_and_no_more() {
        for (jobs, is_kept) in [(1, true), (KEPT, true), (KEPT + 1, false), (10 * KEPT, false)] {
            let mut queue = ArmQueue::default();
            (0..jobs).for_each(|slot| queue.push(0, 0, JobKey(slot as u64)));
            (0..jobs).for_each(|_| assert!(queue.pop().is_some()));
            assert_eq!(queue.lines[0].capacity() > 0, is_kept, "{jobs} were in line");
        }
    }
}
