//! Owns the sparse logarithmic histogram: how often values of about the same size occurred, in few bytes.
//! It must not know what its values mean, and its highest value is exact whatever else is given up.
//!
//! The finest buckets split each doubling into sixteen of equal width; those of level `n` are `2^n` of them together.
//! A percentile is the middle of the bucket that holds it, so it is off by at most
//!
//! | level | 0 | 1 | 2 | 3 | 4 |
//! |---|---|---|---|---|---|
//! | buckets to a doubling | 16 | 8 | 4 | 2 | 1 |
//! | off by, in per cent | 3.1 | 6.1 | 12 | 23 | 42 |
//!
//! or by `2^n` where that is more, which is below 16 microseconds only; from level 5 on the factor is squared with each.
//! It is exact where it is the highest value, as that of 99 % is of fewer than a hundred.

use super::varint::{self, Damaged};

/// Values beyond are counted as this one: 50 days in microseconds.
const VALUE_MAX: u64 = (1 << 42) - 1;
/// Counts beyond are this one.
pub(super) const COUNT_MAX: u64 = (1 << 56) - 1;
/// Finest buckets to a doubling, as a power of two.
const SPLIT_BITS: u32 = 4;
/// Behind the last bucket of level 0.
const BUCKETS_END: u32 = bucket_of(VALUE_MAX) + 1;
/// At this level there is one bucket.
pub(super) const LEVEL_MAX: u8 = 10;

const _: () = assert!((BUCKETS_END - 1) >> LEVEL_MAX == 0, "the last level has one bucket");

/// The histogram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sketch {
    /// How coarse the buckets are.
    level: u8,
    /// Which buckets hold how many values, in order; never none.
    buckets: Vec<(u32, u64)>,
    /// The highest value; it lies in the last bucket.
    max: u64,
}

impl Sketch {
    /// Counts a value.
    pub(super) fn add(&mut self, value: u64) {
        let value = value.min(VALUE_MAX);
        self.max = self.max.max(value);
        self.count(bucket_of(value) >> self.level, 1);
    }

    /// Counts all that the other one has; the result is as coarse as the coarser one.
    pub(super) fn merge(&mut self, other: &Sketch) {
        self.coarsen(other.level);
        self.max = self.max.max(other.max);
        for &(bucket, count) in &other.buckets {
            self.count(bucket >> (self.level - other.level), count);
        }
    }

    /// How coarse it is.
    pub(super) fn level(&self) -> u8 {
        self.level
    }

    /// How many buckets hold something.
    pub(super) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Joins neighbouring buckets until it is at least so coarse.
    pub(super) fn coarsen(&mut self, level: u8) {
        let more = level.min(LEVEL_MAX).saturating_sub(self.level);
        if more == 0 {
            return;
        }
        self.level += more;
        self.buckets.iter_mut().for_each(|(bucket, _)| *bucket >>= more);
        self.buckets.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.1 = plus(kept.1, next.1);
            }
            is_same
        });
    }

    /// How many values there are.
    pub(super) fn total(&self) -> u64 {
        self.buckets.iter().fold(0, |total, &(_, count)| plus(total, count))
    }

    /// The highest value; None if there is none at all.
    pub(super) fn max(&self) -> Option<u64> {
        (!self.buckets.is_empty()).then_some(self.max)
    }

    /// A value that so many per cent of all do not exceed (nearest rank); None if there is none at all.
    pub(super) fn percentile(&self, per_cent: u8) -> Option<u64> {
        let max = self.max()?;
        let total: u128 = self.buckets.iter().map(|&(_, count)| u128::from(count)).sum();
        let rank = (total * u128::from(per_cent)).div_ceil(100).max(1);
        if rank >= total {
            return Some(max);
        }
        let mut reached = 0;
        let bucket = self.buckets.iter().find(|&&(_, count)| {
            reached += u128::from(count);
            reached >= rank
        });
        let &(bucket, _) = bucket.expect("the buckets hold more than the rank");
        Some(middle(bucket << self.level, (bucket + 1) << self.level).min(max))
    }

    /// Appends the number of buckets, the highest value, and the counts from its bucket downwards. Each is twice the
    /// count, plus one if it is followed by how many empty buckets lie between it and the bucket before.
    /// Returns the length that has come of it.
    pub(super) fn encode(&self, into: &mut Vec<u8>) -> usize {
        varint::write(self.buckets.len() as u64, into);
        if self.buckets.is_empty() {
            return into.len();
        }
        varint::write(self.max, into);
        let mut above = self.last_bucket();
        for &(bucket, count) in self.buckets.iter().rev() {
            let empty = above.saturating_sub(bucket).saturating_sub(1);
            varint::write(count << 1 | u64::from(empty > 0), into);
            if empty > 0 {
                varint::write(empty.into(), into);
            }
            above = bucket;
        }
        into.len()
    }

    /// Reads what `encode` wrote at that level.
    pub(super) fn decode(level: u8, bytes: &mut &[u8]) -> Result<Sketch, Damaged> {
        let length = varint::read(bytes)?;
        if level > LEVEL_MAX || length > u64::from(BUCKETS_END) {
            return Err(Damaged);
        }
        let mut sketch = Sketch { level, ..Sketch::default() };
        if length == 0 {
            return Ok(sketch);
        }
        sketch.max = varint::read(bytes)?;
        if sketch.max > VALUE_MAX {
            return Err(Damaged);
        }
        // What is damaged may claim more than it has.
        sketch.buckets.reserve(bytes.len().min(length as usize) + 1);
        // One more than the bucket before which the next one lies.
        let mut end = u64::from(sketch.last_bucket()) + 1;
        for _ in 0..length {
            let token = varint::read(bytes)?;
            let empty = if token & 1 == 1 { varint::read(bytes)? } else { 0 };
            let bucket = end.checked_sub(1).and_then(|last| last.checked_sub(empty)).ok_or(Damaged)?;
            let count = token >> 1;
            if !(1..=COUNT_MAX).contains(&count) || (sketch.buckets.is_empty() && empty > 0) {
                return Err(Damaged);
            }
            sketch.buckets.push((u32::try_from(bucket).map_err(|_| Damaged)?, count));
            end = bucket;
        }
        sketch.buckets.reverse();
        Ok(sketch)
    }

    /// The bucket of the highest value.
    fn last_bucket(&self) -> u32 {
        bucket_of(self.max) >> self.level
    }

    fn count(&mut self, bucket: u32, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |&(bucket, _)| bucket) {
            Ok(at) => self.buckets[at].1 = plus(self.buckets[at].1, count),
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }
}

/// The sum of two counts.
pub(super) fn plus(left: u64, right: u64) -> u64 {
    left.saturating_add(right).min(COUNT_MAX)
}

/// The finest bucket of a value: below sixteen each has its own.
const fn bucket_of(value: u64) -> u32 {
    if value < 1 << SPLIT_BITS {
        return value as u32;
    }
    let doubling = value.ilog2();
    let part = (value >> (doubling - SPLIT_BITS)) as u32 & ((1 << SPLIT_BITS) - 1);
    ((doubling - SPLIT_BITS + 1) << SPLIT_BITS) + part
}

/// The lowest value of a finest bucket.
fn lowest_of(bucket: u32) -> u64 {
    let bucket = bucket.min(BUCKETS_END);
    let (doubling, part) = (bucket >> SPLIT_BITS, u64::from(bucket & ((1 << SPLIT_BITS) - 1)));
    if doubling == 0 { part } else { (part + (1 << SPLIT_BITS)) << (doubling - 1) }
}

/// The value that is as far from both ends of a range of finest buckets, as factors go.
fn middle(first: u32, end: u32) -> u64 {
    let (lowest, highest) = (lowest_of(first), lowest_of(end) - 1);
    let product = u128::from(lowest.max(1)) * u128::from(highest.max(1));
    u64::try_from(product.isqrt()).expect("it lies between the two").clamp(lowest, highest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::mix;

    /// Values of any size, most of them near each other.
    fn values(seed: u64, length: u64) -> Vec<u64> {
        let (base, width) = (mix(seed) % 24, mix(seed + 1) % 18 + 1);
        (0..length).map(|turn| (1 << base) + mix(seed ^ turn << 20) % (1 << (mix(turn) % width + 1))).collect()
    }

    fn sketch_of(values: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|&value| sketch.add(value));
        sketch
    }

    #[test]
    fn a_value_lies_in_its_bucket_and_the_buckets_leave_no_gap() {
        assert_eq!((lowest_of(0), lowest_of(BUCKETS_END)), (0, VALUE_MAX + 1));
        for bucket in 0..BUCKETS_END {
            let (lowest, next) = (lowest_of(bucket), lowest_of(bucket + 1));
            assert!(lowest < next);
            assert_eq!((bucket_of(lowest), bucket_of(next - 1)), (bucket, bucket));
        }
    }

    #[test]
    fn percentiles_are_as_near_to_exact_ones_as_the_table_says() {
        for (level, off) in [(0, 0.032), (1, 0.062), (2, 0.119), (3, 0.226), (4, 0.42)] {
            for seed in 0..300 {
                let mut exact = values(seed, mix(seed) % 900 + 1);
                let mut sketch = sketch_of(&exact);
                sketch.coarsen(level);
                exact.sort_unstable();
                for per_cent in [1, 50, 90, 99] {
                    let rank = (exact.len() * usize::from(per_cent)).div_ceil(100).max(1);
                    let (exact, told) = (exact[rank - 1] as f64, sketch.percentile(per_cent).expect("values") as f64);
                    let allowed = (exact * off).max(f64::from(1 << level));
                    assert!((told - exact).abs() <= allowed, "level {level}, seed {seed}: {told} for {exact}");
                }
                assert_eq!(sketch.max(), exact.last().copied());
            }
        }
    }

    #[test]
    fn percentiles_never_fall_and_never_exceed_the_highest_value() {
        for seed in 0..500 {
            let mut sketch = sketch_of(&values(seed, mix(seed) % 300 + 1));
            sketch.coarsen((seed % 11) as u8);
            let all: Vec<u64> = (0..=100).map(|per_cent| sketch.percentile(per_cent).expect("values")).collect();
            assert!(all.is_sorted(), "seed {seed}: {all:?}");
            assert_eq!(all.last().copied(), sketch.max(), "seed {seed}");
        }
        assert_eq!((Sketch::default().percentile(50), Sketch::default().max()), (None, None));
    }

    #[test]
    fn parts_that_are_merged_are_the_same_as_all_at_once_in_any_order_and_coarseness() {
        for seed in 0..300 {
            let all = values(seed, 200);
            let (left, right) = all.split_at(usize::try_from(mix(seed) % 200).expect("small"));
            let (mut one, mut two) = (sketch_of(left), sketch_of(right));
            let (mut other, level) = (two.clone(), (mix(seed + 9) % 11) as u8);
            other.merge(&one);
            one.coarsen(level);
            two.merge(&one);
            one.merge(&sketch_of(right));
            let mut whole = sketch_of(&all);
            assert_eq!(other, whole);
            whole.coarsen(level);
            assert_eq!((&one, &two), (&whole, &whole));
        }
    }

    #[test]
    fn what_is_encoded_reads_back_and_ends_where_it_ends() {
        for seed in 0..500 {
            let mut sketch = sketch_of(&values(seed, mix(seed) % 200));
            sketch.coarsen((seed % 11) as u8);
            let mut bytes = Vec::new();
            sketch.encode(&mut bytes);
            bytes.push(77);
            let mut rest = bytes.as_slice();
            assert_eq!(Sketch::decode(sketch.level(), &mut rest), Ok(sketch), "seed {seed}");
            assert_eq!(rest, [77]);
        }
    }
}
