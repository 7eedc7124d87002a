//! Owns shards: which one a job belongs to, sets of them, and who they are given to.
//! It must not know who owns which: the store says, and the scheduler is told.
//!
//! A node owns shards, and with each of them its jobs and their rows. A single node is one that owns them all.

use std::fmt;

use crate::job::{JobKey, JobSpec, Revision};

/// One of 256 parts of all jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u8);

impl Shard {
    /// The shard of a job. Jobs that share a concurrency key have the same, so that one node counts what is under way;
    /// that of others is the end of their key, so that a node can create jobs of its own.
    ///
    /// It stands in databases next to the job, and decides which node has it: it must never change.
    pub fn of(revision: &Revision) -> Shard {
        Shard::of_spec(&revision.spec, revision.id.key())
    }

    /// The shard that a job with this key is in if this is what it is to be.
    pub(super) fn of_spec(spec: &JobSpec, key: JobKey) -> Shard {
        spec.concurrency_key().map_or_else(|| Shard::of_key(key), |key| Shard::of_name(&key.name))
    }

    /// The shard of a job with this key that shares no concurrency key.
    pub fn of_key(key: JobKey) -> Shard {
        Shard((key.0 & 0xff).to_le_bytes()[0])
    }

    /// The shard of all jobs that share the concurrency key with this name: FNV-1a of 32 bits over its UTF-8, folded to
    /// eight bits by exclusive or, as its authors say (`http://www.isthe.com/chongo/tech/comp/fnv`).
    pub fn of_name(name: &str) -> Shard {
        let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Shard((hash ^ (hash >> 8)).to_le_bytes()[0])
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Shard> {
        (0..=u8::MAX).map(Shard)
    }

    fn place(self) -> (usize, u64) {
        (usize::from(self.0 >> 6), 1 << (self.0 & 63))
    }
}

/// A set of shards.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Shards([u64; 4]);

impl Shards {
    /// None of them.
    pub const NONE: Shards = Shards([0; 4]);
    /// Every one: what a single node has.
    pub const ALL: Shards = Shards([u64::MAX; 4]);

    /// Whether it is one of them.
    pub fn contains(&self, shard: Shard) -> bool {
        let (word, bit) = shard.place();
        self.0[word] & bit != 0
    }

    /// One more.
    pub fn insert(&mut self, shard: Shard) {
        let (word, bit) = shard.place();
        self.0[word] |= bit;
    }

    /// Those of both.
    #[must_use]
    pub fn union(&self, other: &Shards) -> Shards {
        self.join(other, |one, two| one | two)
    }

    /// Those that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Shards) -> Shards {
        self.join(other, |one, two| one & two)
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Shards) -> Shards {
        self.join(other, |one, two| one & !two)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Shards::NONE
    }

    /// Each, in order.
    pub fn iter(&self) -> impl Iterator<Item = Shard> + use<> {
        let all = *self;
        Shard::all().filter(move |&shard| all.contains(shard))
    }

    /// The first one at or after `from`, and if there is none, the first of all.
    pub(super) fn next_from(&self, from: Shard) -> Option<Shard> {
        self.iter().find(|&shard| shard >= from).or_else(|| self.iter().next())
    }

    fn join(&self, other: &Shards, with: impl Fn(u64, u64) -> u64) -> Shards {
        Shards(std::array::from_fn(|word| with(self.0[word], other.0[word])))
    }
}

impl FromIterator<Shard> for Shards {
    fn from_iter<I: IntoIterator<Item = Shard>>(shards: I) -> Shards {
        let mut all = Shards::NONE;
        shards.into_iter().for_each(|shard| all.insert(shard));
        all
    }
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Shards::ALL => f.write_str("all"),
            _ => f.debug_set().entries(self.iter().map(|shard| shard.0)).finish(),
        }
    }
}

/// A node, by the number of its incarnation: one that starts anew, or was taken for dead, is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_of_a_name_is_the_same_for_ever() {
        // The hashes before they are folded are 811c9dc5, e40c292c, bf9cf968, 417000dc and d7007f20; the first three are
        // in the list that the authors of FNV publish.
        let shards = ["", "a", "foobar", "billing", "Zürich"].map(|name| Shard::of_name(name).0);
        assert_eq!(shards, [88, 5, 145, 220, 95]);
    }

    #[test]
    fn names_are_spread_over_all_shards() {
        let mut jobs = [0_u32; 256];
        (0..25_600).for_each(|number| jobs[usize::from(Shard::of_name(&format!("tenant-{number}")).0)] += 1);
        assert!(jobs.iter().all(|jobs| (50..=160).contains(jobs)), "{jobs:?}");
    }

    #[test]
    fn the_shard_of_a_key_is_its_end() {
        let keys = [1, 255, 256, 0x1234_5678].map(|key| Shard::of_key(JobKey(key)).0);
        assert_eq!(keys, [1, 255, 0, 0x78]);
    }

    #[test]
    fn sets_hold_what_was_put_into_them() {
        let few: Shards = [3, 64, 255].map(Shard).into_iter().collect();
        assert_eq!((few.len(), few.is_empty(), Shards::ALL.len(), Shards::NONE.len()), (3, false, 256, 0));
        assert_eq!(few.iter().map(|shard| shard.0).collect::<Vec<_>>(), [3, 64, 255]);
        assert!(few.contains(Shard(64)) && !few.contains(Shard(65)));
        let others: Shards = [64, 65].map(Shard).into_iter().collect();
        assert_eq!(few.union(&others).len(), 4);
        assert_eq!(few.intersection(&others), [Shard(64)].into_iter().collect());
        assert_eq!(few.without(&others), [3, 255].map(Shard).into_iter().collect());
        assert_eq!(Shards::ALL.without(&few).union(&few), Shards::ALL);
        let next = [0, 3, 4, 255].map(|from| few.next_from(Shard(from)).map(|shard| shard.0));
        assert_eq!(next, [Some(3), Some(3), Some(64), Some(255)]);
        assert_eq!(Shards::NONE.next_from(Shard(0)), None);
        assert_eq!(format!("{:?} {few:?}", Shards::ALL), "all {3, 64, 255}");
    }
}
