//! Owns where the job of each key is: keys are given in order, so that those of a page lie together.
//! It must not know what a job is.

use std::collections::BTreeMap;

use super::link::Link;
use crate::job::JobKey;

/// Keys on a page.
const PAGE: usize = 64;

/// Slots by key, in the order of keys. A million keys that follow each other take five bytes each, a fifth of what a tree of
/// single ones takes.
#[derive(Debug, Default)]
pub(super) struct KeyIndex {
    pages: BTreeMap<u64, Box<Page>>,
    len: usize,
}

#[derive(Debug)]
struct Page {
    slots: [Link; PAGE],
    used: u32,
}

impl Page {
    const EMPTY: Page = Page { slots: [Link::NONE; PAGE], used: 0 };
}

/// The page of a key, and its place there.
fn place(key: JobKey) -> (u64, usize) {
    (key.0 / PAGE as u64, (key.0 % PAGE as u64) as usize)
}

impl KeyIndex {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, key: JobKey) -> Option<u32> {
        let (page, at) = place(key);
        self.pages.get(&page)?.slots[at].get()
    }

    /// Puts a key there that is not there.
    ///
    /// # Panics
    /// When it is.
    pub(super) fn insert(&mut self, key: JobKey, slot: u32) {
        let (page, at) = place(key);
        let page = self.pages.entry(page).or_insert_with(|| Box::new(Page::EMPTY));
        assert_eq!(page.slots[at], Link::NONE, "a key is used once");
        page.slots[at] = slot.into();
        page.used += 1;
        self.len += 1;
    }

    /// Takes a key out, if it is there.
    pub(super) fn remove(&mut self, key: JobKey) {
        let (number, at) = place(key);
        let Some(page) = self.pages.get_mut(&number) else { return };
        if std::mem::replace(&mut page.slots[at], Link::NONE) == Link::NONE {
            return;
        }
        page.used -= 1;
        self.len -= 1;
        if page.used == 0 {
            self.pages.remove(&number);
        }
    }

    /// Slots in the order of their keys, from the first behind `after`.
    pub(super) fn after(&self, after: Option<JobKey>) -> impl Iterator<Item = u32> {
        let from = after.map_or(Some(0), |key| key.0.checked_add(1)).map(|key| place(JobKey(key)));
        // Behind the last key there is none.
        let (first, at) = from.unwrap_or((u64::MAX, PAGE));
        let slots = self.pages.range(first..).flat_map(move |(&number, page)| {
            let from = if number == first { at } else { 0 };
            &page.slots[from..]
        });
        slots.filter_map(|slot| slot.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_map_over_random_operations() {
        let (mut index, mut map) = (KeyIndex::default(), BTreeMap::new());
        let mut seed = 7_u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        for slot in 0..20_000 {
            // Some lie close, some apart, some at the end of all numbers.
            let key = JobKey(match next(3) {
                0 => next(300),
                1 => next(300) << 40,
                _ => u64::MAX - next(100),
            });
            if map.remove(&key).is_some() {
                index.remove(key);
                index.remove(key);
            } else {
                index.insert(key, slot);
                map.insert(key, slot);
            }
            assert_eq!((index.get(key), index.len()), (map.get(&key).copied(), map.len()));
            if slot % 50 == 0 {
                let all: Vec<u32> = map.values().copied().collect();
                assert_eq!(index.after(None).collect::<Vec<_>>(), all);
                let from = JobKey(key.0.wrapping_sub(next(2)));
                let behind: Vec<u32> = map
                    .range((std::ops::Bound::Excluded(from), std::ops::Bound::Unbounded))
                    .map(|(_, &slot)| slot)
                    .collect();
                assert_eq!(index.after(Some(from)).collect::<Vec<_>>(), behind, "{from:?}");
            }
        }
        for key in map.into_keys() {
            index.remove(key);
        }
        assert!(index.pages.is_empty(), "nothing is left of what is gone");
    }

    #[test]
    #[should_panic(expected = "a key is used once")]
    fn a_key_is_not_given_twice() {
        let mut index = KeyIndex::default();
        index.insert(JobKey(1), 1);
        index.insert(JobKey(1), 2);
    }
}
