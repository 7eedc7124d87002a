//! Owns the deadline heap: a min-heap of small ids by key, indexed so that any id can be moved or removed.
//! It must not know what the ids or the keys mean.

/// How many children a node has. Four makes the tree half as deep as two, and siblings share a cache line.
const ARITY: usize = 4;
/// The position of an id that is not in the heap.
const ABSENT: u32 = u32::MAX;

/// A min-heap of `(key, id)`. Ids are small and dense (slots of a slab); each is in the heap at most once.
/// `set` and `remove` are O(log n), `peek` is O(1). Among equal keys the smaller id comes first.
#[derive(Debug)]
pub struct DeadlineHeap<K> {
    entries: Vec<(K, u32)>,
    /// Where each id stands in `entries`, or `ABSENT`.
    positions: Vec<u32>,
}

impl<K> Default for DeadlineHeap<K> {
    fn default() -> Self {
        DeadlineHeap { entries: Vec::new(), positions: Vec::new() }
    }
}

impl<K: Copy + Ord> DeadlineHeap<K> {
    /// How many ids wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts `id` at `key`, or moves it there.
    pub fn set(&mut self, id: u32, key: K) {
        let index = id as usize;
        if index >= self.positions.len() {
            self.positions.resize(index + 1, ABSENT);
        }
        let position = self.positions[index];
        if position == ABSENT {
            self.entries.push((key, id));
            self.rise(self.entries.len() - 1);
        } else {
            let position = position as usize;
            let before = self.entries[position].0;
            self.entries[position].0 = key;
            if key < before {
                self.rise(position);
            } else {
                self.sink(position);
            }
        }
    }

    /// Takes `id` out; its key if it was there.
    pub fn remove(&mut self, id: u32) -> Option<K> {
        let position = self.position(id)?;
        let (key, _) = self.entries.swap_remove(position);
        self.positions[id as usize] = ABSENT;
        if position < self.entries.len() {
            // The entry that took the place may belong above or below it.
            self.rise(position);
            self.sink(self.position(self.entries[position].1).unwrap_or(position));
        }
        Some(key)
    }

    /// The key of `id`, if it waits.
    pub fn key(&self, id: u32) -> Option<K> {
        self.position(id).map(|position| self.entries[position].0)
    }

    /// The smallest entry.
    pub fn peek(&self) -> Option<(K, u32)> {
        self.entries.first().copied()
    }

    /// Takes the smallest entry if its key is not beyond `limit`.
    pub fn pop_due(&mut self, limit: K) -> Option<u32> {
        let (key, id) = self.peek()?;
        if key > limit {
            return None;
        }
        self.remove(id);
        Some(id)
    }

    /// Takes every entry out, in no particular order of keys but always the same for the same history.
    pub fn clear(&mut self) -> Vec<u32> {
        let ids: Vec<u32> = self.entries.drain(..).map(|(_, id)| id).collect();
        for id in &ids {
            self.positions[*id as usize] = ABSENT;
        }
        ids
    }

    /// The entries in ascending order, found lazily: the first k cost O(k log k) whatever the size.
    pub fn ascending(&self) -> Ascending<'_, K> {
        let mut frontier = DeadlineFrontier::new();
        if let Some((key, id)) = self.peek() {
            frontier.push(std::cmp::Reverse((key, id, 0)));
        }
        Ascending { heap: self, frontier }
    }

    fn position(&self, id: u32) -> Option<usize> {
        match self.positions.get(id as usize) {
            Some(&position) if position != ABSENT => Some(position as usize),
            Some(_) | None => None,
        }
    }

    fn rise(&mut self, mut position: usize) {
        let entry = self.entries[position];
        while position > 0 {
            let parent = (position - 1) / ARITY;
            if self.entries[parent] <= entry {
                break;
            }
            self.put(position, self.entries[parent]);
            position = parent;
        }
        self.put(position, entry);
    }

    fn sink(&mut self, mut position: usize) {
        let entry = self.entries[position];
        loop {
            let first = position * ARITY + 1;
            let last = (first + ARITY).min(self.entries.len());
            let Some(child) = (first..last).min_by_key(|&child| self.entries[child]) else { break };
            if entry <= self.entries[child] {
                break;
            }
            self.put(position, self.entries[child]);
            position = child;
        }
        self.put(position, entry);
    }

    fn put(&mut self, position: usize, entry: (K, u32)) {
        self.entries[position] = entry;
        self.positions[entry.1 as usize] =
            u32::try_from(position).expect("ids are u32, so there are at most that many entries");
    }

    /// Checks order and index; O(n).
    pub fn check(&self) {
        for (position, &(key, id)) in self.entries.iter().enumerate() {
            assert_eq!(self.position(id), Some(position), "the index points elsewhere");
            if position > 0 {
                assert!(self.entries[(position - 1) / ARITY].0 <= key, "a child is smaller than its parent");
            }
        }
        let indexed = self.positions.iter().filter(|&&position| position != ABSENT).count();
        assert_eq!(indexed, self.entries.len(), "an id is indexed that is not in the heap");
    }
}

type DeadlineFrontier<K> = std::collections::BinaryHeap<std::cmp::Reverse<(K, u32, usize)>>;

/// Walks a heap in ascending order without changing it.
#[derive(Debug)]
pub struct Ascending<'a, K> {
    heap: &'a DeadlineHeap<K>,
    frontier: DeadlineFrontier<K>,
}

impl<K: Copy + Ord> Iterator for Ascending<'_, K> {
    type Item = (K, u32);

    fn next(&mut self) -> Option<(K, u32)> {
        let std::cmp::Reverse((key, id, position)) = self.frontier.pop()?;
        let first = position * ARITY + 1;
        let last = (first + ARITY).min(self.heap.entries.len());
        for child in first..last {
            let (key, id) = self.heap.entries[child];
            self.frontier.push(std::cmp::Reverse((key, id, child)));
        }
        Some((key, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A small generator, so that the test repeats itself.
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        *state >> 33
    }

    #[test]
    fn agrees_with_a_sorted_map_over_random_operations() {
        let mut heap = DeadlineHeap::default();
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        let mut seed = 7;
        for step in 0..20_000 {
            let id = u32::try_from(next(&mut seed) % 200).unwrap();
            match next(&mut seed) % 4 {
                0 | 1 => {
                    let key = next(&mut seed) % 50;
                    heap.set(id, key);
                    model.insert(id, key);
                }
                2 => assert_eq!(heap.remove(id), model.remove(&id)),
                _ => {
                    let smallest = model.iter().map(|(&id, &key)| (key, id)).min();
                    assert_eq!(heap.peek(), smallest);
                    if let Some((key, id)) = smallest {
                        assert_eq!(heap.pop_due(key), Some(id));
                        model.remove(&id);
                    }
                }
            }
            if step % 100 == 0 {
                heap.check();
                let mut sorted: Vec<(u64, u32)> = model.iter().map(|(&id, &key)| (key, id)).collect();
                sorted.sort_unstable();
                assert_eq!(heap.ascending().collect::<Vec<_>>(), sorted);
            }
        }
        assert!(heap.len() > 10, "the walk must have kept something to check");
    }

    #[test]
    fn pops_nothing_beyond_the_limit() {
        let mut heap = DeadlineHeap::default();
        heap.set(3, 10);
        assert_eq!(heap.pop_due(9), None);
        assert_eq!(heap.pop_due(10), Some(3));
        assert_eq!(heap.key(3), None);
        assert!(heap.is_empty());
    }

    #[test]
    fn clear_forgets_every_position() {
        let mut heap = DeadlineHeap::default();
        heap.set(0, 1);
        heap.set(5, 2);
        let mut ids = heap.clear();
        ids.sort_unstable();
        assert_eq!(ids, [0, 5]);
        heap.check();
        heap.set(5, 7);
        assert_eq!(heap.peek(), Some((7, 5)));
    }
}
