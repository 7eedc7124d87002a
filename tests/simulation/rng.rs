//! Owns chance: a small generator whose numbers follow from a seed alone.
//! It must not take entropy from anywhere else.

use std::ops::RangeInclusive;

/// SplitMix64 (Steele et al. 2014).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from the range, ends included.
    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    /// A number from the range, which may be negative, ends included.
    pub(crate) fn signed(&mut self, range: RangeInclusive<i64>) -> i64 {
        let length = u64::try_from(range.end() - range.start()).expect("a range");
        range.start() + i64::try_from(self.within(0..=length)).expect("within the range")
    }

    /// True in so many of a hundred cases.
    pub(crate) fn per_cent(&mut self, share: u64) -> bool {
        self.next() % 100 < share
    }

    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.within(0..=choices.len() as u64 - 1);
        &choices[usize::try_from(index).expect("an index into a slice")]
    }
}
