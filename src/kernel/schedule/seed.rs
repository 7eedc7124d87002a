//! Owns the numbers that a seed stands for: the same ones each time, and unlike those of another seed.
//! It must not draw seeds: whoever makes a schedule brings one.

use crate::mix::mix;

/// What a number is for, so that those of one seed do not go together.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The `~` at this place of this field's list.
    Field { field: u8, place: usize },
    /// How far the instants are moved.
    Spread,
}

/// The number below `bound` that the seed has for this purpose. `bound` is not 0.
pub(super) fn number_below(seed: u64, purpose: Purpose, bound: u32) -> u32 {
    let salt = match purpose {
        Purpose::Spread => 1,
        Purpose::Field { field, place } => {
            (u64::try_from(place).expect("of 64 bits at most") << 8) + 2 + u64::from(field)
        }
    };
    // A stored schedule depends on it: this must never change.
    let number = mix(mix(seed) ^ salt) % u64::from(bound);
    u32::try_from(number).expect("it is below a 32-bit bound")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_stands_for_the_same_numbers_for_ever() {
        let numbers = |seed| {
            let field = |field, place| number_below(seed, Purpose::Field { field, place }, 60);
            [field(0, 0), field(1, 0), field(1, 1), number_below(seed, Purpose::Spread, 86_400)]
        };
        let expected = [[37, 29, 2, 79_630], [27, 55, 25, 79_006], [42, 1, 43, 36_215]];
        // These stand in databases: no test of what is right, but of what was promised.
        assert_eq!([numbers(0), numbers(1), numbers((1 << 53) - 1)], expected);
    }

    #[test]
    fn seeds_in_a_row_spread_evenly() {
        let mut hits = [0_u32; 60];
        for seed in 0..60_000 {
            let place = number_below(seed, Purpose::Field { field: 1, place: 0 }, 60);
            hits[usize::try_from(place).expect("small")] += 1;
        }
        assert!(hits.iter().all(|hits| (850..1_150).contains(hits)), "{hits:?}");
    }
}
