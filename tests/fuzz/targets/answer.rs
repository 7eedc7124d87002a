//! Owns the properties of what a job's target answers: the outcome is that of its head, however it is cut.
//! It must not open a connection.

use punctual::core::Outcome;
use punctual::dispatch::{Heard, hear, hear_outcome};
use punctual::limits::{RESPONSE_LEN_MAX, RETRY_AFTER_MAX};

use super::support::{Chance, NOW};

/// Larger than what is read of a head, so that its limit can be met.
const LEN_MAX: usize = 48 * 1024;

pub fn check(data: &[u8]) {
    let data = &data[..data.len().min(LEN_MAX)];
    let whole = hear([data].into_iter(), NOW);
    let Heard { outcome, reusable, retry_after_s, response } = &whole;
    // Whoever only wants to know how it went reads it in another way.
    assert_eq!(hear_outcome([data].into_iter()), (outcome.clone(), *reusable), "{}", data.escape_ascii());

    // Pieces do not matter. But where a limit is met, how much is taken beyond it; and of what is no answer, in which words
    // that is said: a line is looked at when it begins and when it is whole.
    let mut chance = Chance::of(data);
    for len_max in [1, 7, 200, 3_000] {
        if data.len() / len_max > 600 {
            continue;
        }
        let cut = hear(chance.cut(data, len_max).into_iter(), NOW);
        assert_eq!(of(&cut.outcome), of(outcome), "in pieces of {len_max}: {}", data.escape_ascii());
        if of(outcome).is_none() || data.len() >= 4_000 {
            continue;
        }
        assert_eq!((cut.reusable, cut.retry_after_s), (*reusable, *retry_after_s), "{}", data.escape_ascii());
        // Of chunks that are malformed the protocol core gives nothing that came with the fault.
        let is_malformed = !reusable && data.to_ascii_lowercase().windows(7).any(|word| word == b"chunked");
        assert!(is_malformed || cut.response == *response, "{cut:?}: {}", data.escape_ascii());
    }

    match outcome {
        Outcome::Answered(status) => {
            assert!((100..1_000).contains(status), "{status}");
            assert_eq!(final_status(data), Some(*status), "{}", data.escape_ascii());
            // Once the head is whole nothing changes what it came to, and what is there that nobody asked for makes the
            // connection useless.
            for more in [&b"\r\n"[..], b"HTTP/1.1 500 No\r\n\r\n", b"\0"] {
                let more = hear([data, more].concat().chunks(5_000), NOW);
                assert_eq!((&more.outcome, more.retry_after_s), (outcome, *retry_after_s), "{}", data.escape_ascii());
                assert!(!(*reusable && more.reusable), "{}", data.escape_ascii());
            }
        }
        Outcome::ConnectionFailed(why) => {
            assert!(!reusable && retry_after_s.is_none() && response.is_none(), "{whole:?}");
            assert!(!why.is_empty() && why.len() < 300 && !why.contains(char::is_control), "{why:?}");
        }
        Outcome::TimedOut(_) | Outcome::WorkerFailed(_) | Outcome::Withheld => {
            panic!("no bytes lead there: {outcome:?}")
        }
    }
    assert!(retry_after_s.is_none_or(|wait| u64::from(wait) <= RETRY_AFTER_MAX.as_secs()));
    if let Some(response) = response {
        assert!((1..=RESPONSE_LEN_MAX).contains(&response.len()));
        assert!(!response.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{response:?}");
    }
}

/// The outcome without the words for it.
fn of(outcome: &Outcome) -> Option<u16> {
    match outcome {
        Outcome::Answered(status) => Some(*status),
        Outcome::ConnectionFailed(_) | Outcome::TimedOut(_) | Outcome::WorkerFailed(_) | Outcome::Withheld => None,
    }
}

/// The status of the first head that is no interim one, by another reader.
fn final_status(mut data: &[u8]) -> Option<u16> {
    loop {
        // Of a head that says to go on nothing is of interest but its end.
        let mut line = data;
        while let Some(rest) = line.strip_prefix(b"\n").or_else(|| line.strip_prefix(b"\r\n")) {
            line = rest;
        }
        let goes_on = [&b"HTTP/1.1 100"[..], b"HTTP/1.0 100"].iter().find_map(|start| line.strip_prefix(*start));
        if goes_on.is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_whitespace)) {
            let ends = |from: usize| {
                let end = [&b"\n\r\n"[..], b"\n\n"].into_iter().find(|end| line[from..].starts_with(end))?;
                Some(from + end.len())
            };
            data = &line[(0..line.len()).find_map(ends)?..];
            continue;
        }
        let mut headers = [httparse::EMPTY_HEADER; 1_000];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(len) = response.parse(data).ok()? else { return None };
        match response.code? {
            100..200 if response.code != Some(101) => data = &data[len..],
            status => return Some(status),
        }
    }
}
