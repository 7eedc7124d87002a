//! Owns the concurrency keys: how many executions each has under way, when the next may begin, and who waits.
//! It must not know what an execution is beyond its handle.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use slab::Slab;

use super::attempt::Handle;
use super::slot;
use crate::job::ConcurrencyKey;
use crate::time::{DeadlineHeap, MonoUs};

/// A key that jobs name.
#[derive(Debug)]
struct KeyState {
    name: Arc<str>,
    /// What each of its jobs demands, and how many demand the same: the strictest counts.
    limits: BTreeMap<u32, u32>,
    spacings_us: BTreeMap<u64, u32>,
    jobs: usize,
    under_way: u32,
    /// No execution begins before this time.
    free_at: MonoUs,
    /// Those that wait, in the order they came; some may be gone.
    waiting: VecDeque<Handle>,
}

impl KeyState {
    fn limit(&self) -> u32 {
        self.limits.keys().next().copied().unwrap_or(u32::MAX)
    }

    fn spacing_us(&self) -> u64 {
        self.spacings_us.keys().next_back().copied().unwrap_or(0)
    }

    fn has_room(&self) -> bool {
        self.under_way < self.limit()
    }
}

/// All keys that a job names or an execution holds.
#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: Slab<KeyState>,
    by_name: BTreeMap<Arc<str>, u32>,
    /// Keys that have room and somebody who waits, by the time at which the next may begin.
    wake: DeadlineHeap<MonoUs>,
}

impl Keys {
    /// Notes that a job names this key; its slot, valid until the matching `leave`.
    pub(super) fn join(&mut self, key: &ConcurrencyKey) -> u32 {
        let found = self.by_name.get(&key.name).copied().unwrap_or_else(|| {
            let state = KeyState {
                name: Arc::clone(&key.name),
                limits: BTreeMap::new(),
                spacings_us: BTreeMap::new(),
                jobs: 0,
                under_way: 0,
                free_at: MonoUs(0),
                waiting: VecDeque::new(),
            };
            let new = slot(self.keys.insert(state));
            self.by_name.insert(Arc::clone(&key.name), new);
            new
        });
        let state = &mut self.keys[found as usize];
        state.jobs += 1;
        key.limit.into_iter().for_each(|limit| *state.limits.entry(limit).or_default() += 1);
        let spacing_us = key.rate.map(|rate| rate.spacing_us());
        spacing_us.into_iter().for_each(|spacing_us| *state.spacings_us.entry(spacing_us).or_default() += 1);
        // It may demand more than those before it: then whoever was about to begin waits on.
        self.look(found);
        found
    }

    /// Notes that a job no longer names this key. What it demanded counts no more.
    pub(super) fn leave(&mut self, slot: u32, key: &ConcurrencyKey) {
        let state = &mut self.keys[slot as usize];
        state.jobs -= 1;
        key.limit.into_iter().for_each(|limit| drop_one(&mut state.limits, limit));
        let spacing_us = key.rate.map(|rate| rate.spacing_us());
        spacing_us.into_iter().for_each(|spacing_us| drop_one(&mut state.spacings_us, spacing_us));
        self.look(slot);
    }

    /// Lets an execution begin, if it may begin now and nobody has waited for longer.
    #[must_use]
    pub(super) fn enter(&mut self, slot: u32, now: MonoUs) -> bool {
        let state = &mut self.keys[slot as usize];
        let may = state.has_room() && state.free_at <= now && state.waiting.is_empty();
        if may {
            begin(state, now);
        }
        may
    }

    /// An execution is under way already, whoever let it begin.
    pub(super) fn occupy(&mut self, slot: u32) {
        self.keys[slot as usize].under_way += 1;
        self.look(slot);
    }

    /// An execution waits for its turn.
    pub(super) fn wait(&mut self, slot: u32, handle: Handle) {
        self.keys[slot as usize].waiting.push_back(handle);
        self.look(slot);
    }

    /// An execution is under way no more.
    pub(super) fn end(&mut self, slot: u32) {
        self.keys[slot as usize].under_way -= 1;
        self.look(slot);
    }

    /// Takes who has waited longest for a key that has room now, with the key. If it is still there and wants to, it is
    /// to `begin`; else it is to be `passed_over`, and uses up nothing.
    pub(super) fn next(&mut self, now: MonoUs) -> Option<(u32, Handle)> {
        let slot = self.wake.pop_due(now)?;
        let state = &mut self.keys[slot as usize];
        let handle = state.waiting.pop_front().expect("a key wakes for somebody who waits");
        Some((slot, handle))
    }

    /// What `next` gave for this key begins.
    pub(super) fn begin(&mut self, slot: u32, now: MonoUs) {
        begin(&mut self.keys[slot as usize], now);
        self.look(slot);
    }

    /// What `next` gave for this key does not begin.
    pub(super) fn passed_over(&mut self, slot: u32) {
        self.look(slot);
    }

    /// When somebody who waits may begin.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        self.wake.peek().map(|(at, _)| at)
    }

    /// Sets when to wake for this key, or forgets it.
    fn look(&mut self, slot: u32) {
        let state = &self.keys[slot as usize];
        if state.has_room() && !state.waiting.is_empty() {
            self.wake.set(slot, state.free_at);
        } else {
            self.wake.remove(slot);
        }
        if state.jobs == 0 && state.under_way == 0 && state.waiting.is_empty() {
            let state = self.keys.remove(slot as usize);
            self.by_name.remove(&state.name);
        }
    }

    /// Checks sums; O(n). `holders` is how many executions are under way under any key.
    pub(super) fn check(&self, holders: u32) {
        self.wake.check();
        assert_eq!(self.keys.iter().map(|(_, state)| state.under_way).sum::<u32>(), holders, "keys are held by whom?");
        for (_, state) in &self.keys {
            assert!(state.limits.values().sum::<u32>() as usize <= state.jobs, "more limits than jobs");
            let wakes = self.wake.key(self.by_name[&state.name]).is_some();
            assert_eq!(wakes, state.has_room() && !state.waiting.is_empty(), "a key sleeps over somebody who waits");
        }
    }
}

fn begin(state: &mut KeyState, now: MonoUs) {
    state.under_way += 1;
    state.free_at = now.plus_us(state.spacing_us());
}

fn drop_one<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Seq;
    use super::*;

    fn key(text: &str) -> ConcurrencyKey {
        let definition =
            format!(r#"{{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE","concurrencyKey":{text}}}"#);
        let definition = serde_json::from_str(&definition).expect("a definition");
        let context = crate::job::Context::at(crate::time::Instant::FIRST);
        let spec = crate::job::JobSpec::compile(&definition, &context).expect("valid");
        spec.concurrency_key().expect("it has one").clone()
    }

    fn handle(seq: u64) -> Handle {
        Handle { slot: 0, seq: Seq(seq) }
    }

    /// Who begins next.
    fn next(keys: &mut Keys, now: u64) -> Option<Handle> {
        let (slot, handle) = keys.next(MonoUs(now))?;
        keys.begin(slot, MonoUs(now));
        Some(handle)
    }

    #[test]
    fn the_strictest_limit_counts_and_who_waited_longest_goes_first() {
        let mut keys = Keys::default();
        let (loose, strict) = (key(r#"{"name":"k","limit":5}"#), key(r#"{"name":"k","limit":1}"#));
        let slot = keys.join(&loose);
        assert_eq!(keys.join(&strict), slot);
        assert!(keys.enter(slot, MonoUs(0)) && !keys.enter(slot, MonoUs(0)));
        keys.wait(slot, handle(1));
        keys.wait(slot, handle(2));
        assert_eq!((keys.deadline(), keys.next(MonoUs(9))), (None, None));
        keys.end(slot);
        assert!(!keys.enter(slot, MonoUs(9)), "others have waited for longer");
        assert_eq!(next(&mut keys, 9), Some(handle(1)));
        assert_eq!(next(&mut keys, 9), None);
        // Without the strict one there is room for all.
        keys.leave(slot, &strict);
        assert_eq!(next(&mut keys, 9), Some(handle(2)));
        keys.check(2);
        keys.leave(slot, &loose);
        keys.end(slot);
        keys.end(slot);
        assert!(keys.by_name.is_empty(), "nobody needs it any more");
    }

    #[test]
    fn who_was_about_to_begin_waits_on_if_a_job_comes_that_demands_more() {
        let mut keys = Keys::default();
        let slot = keys.join(&key(r#"{"name":"k","limit":2,"rate":"10/s"}"#));
        assert!(keys.enter(slot, MonoUs(0)));
        keys.wait(slot, handle(1));
        assert_eq!(keys.deadline(), Some(MonoUs(100_000)));
        keys.join(&key(r#"{"name":"k","limit":1}"#));
        assert_eq!((keys.deadline(), next(&mut keys, 200_000)), (None, None));
        keys.check(1);
        keys.end(slot);
        assert_eq!(next(&mut keys, 200_000), Some(handle(1)));
    }

    #[test]
    fn a_rate_spreads_beginnings_evenly() {
        let mut keys = Keys::default();
        let slot = keys.join(&key(r#"{"name":"k","rate":"10/s"}"#));
        assert!(keys.enter(slot, MonoUs(5)) && !keys.enter(slot, MonoUs(6)));
        keys.wait(slot, handle(1));
        keys.wait(slot, handle(2));
        assert_eq!((keys.deadline(), next(&mut keys, 100_004)), (Some(MonoUs(100_005)), None));
        assert_eq!(next(&mut keys, 100_005), Some(handle(1)));
        assert_eq!(keys.deadline(), Some(MonoUs(200_005)));
        keys.check(2);
        // Who is gone uses up nothing.
        keys.wait(slot, handle(3));
        assert_eq!(keys.next(MonoUs(200_005)), Some((slot, handle(2))));
        keys.passed_over(slot);
        assert_eq!(next(&mut keys, 200_006), Some(handle(3)));
        assert_eq!(keys.deadline(), None);
        keys.check(3);
    }
}
