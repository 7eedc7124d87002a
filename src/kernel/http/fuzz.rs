//! Owns the seeded random test of the decoder: mutated requests, cut anywhere, read the same and within bounds.
//! It must not depend on time or on a source of chance outside the seed, so that a failure is the same on every run.

use super::golden::{ACCEPTED, REFUSED, read_pieces};

/// How many seeds are tried; enough for about two seconds in a debug build.
const SEEDS: u64 = 250_000;

#[test]
fn mutated_requests_keep_the_promises() {
    let mut accepted = 0usize;
    let mut refused = 0usize;
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let bytes = mutated(&mut random);
        let whole = read_pieces([&bytes[..]]);
        let pieces = cut(&bytes, &mut random);
        assert_eq!(read_pieces(pieces), whole, "seed {seed}: {}", bytes.escape_ascii());
        accepted += whole.iter().filter(|outcome| outcome.is_ok()).count();
        refused += whole.iter().filter(|outcome| outcome.is_err()).count();
    }
    // Mutations that only ever break requests, or never do, would test one side alone.
    assert!(accepted > SEEDS as usize / 4, "{accepted} accepted");
    assert!(refused > SEEDS as usize / 4, "{refused} refused");
}

/// One to three requests from the tables with up to four mutations.
fn mutated(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(3) {
        bytes.extend_from_slice(any_request(random));
    }
    for _ in 0..random.below(5) {
        mutate(&mut bytes, random);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let tokens: [&[u8]; 14] = [
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b":",
        b" ",
        b"\0",
        b"\xff",
        b"0",
        b"ffffffffffffffff",
        b",",
        b";",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
    ];
    let at = random.below(bytes.len() + 1);
    match random.below(5) {
        0 => bytes.truncate(at),
        1 => {
            let end = (at + random.below(8)).min(bytes.len());
            bytes.drain(at..end);
        }
        2 => {
            let token = tokens[random.below(tokens.len())];
            bytes.splice(at..at, token.iter().copied());
        }
        3 => {
            let end = (at + random.below(40)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.below(256) as u8;
            }
        }
    }
}

/// A request from the tables; mostly a sound one, since a refusal ends the connection.
fn any_request(random: &mut Random) -> &'static [u8] {
    if random.below(8) > 0 {
        ACCEPTED[random.below(ACCEPTED.len())].0.as_bytes()
    } else {
        REFUSED[random.below(REFUSED.len())].0.as_bytes()
    }
}

/// Cuts the bytes into pieces, many of them small.
fn cut<'a>(mut bytes: &'a [u8], random: &mut Random) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let most = if random.below(2) == 0 { 4 } else { 64 };
        let (piece, rest) = bytes.split_at((1 + random.below(most)).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// A small generator (splitmix64): every seed gives another sequence, and neighbours have nothing
/// in common.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number from 0 to `bound - 1`.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed % bound as u64) as usize
    }
}
