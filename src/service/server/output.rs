//! Owns the bytes that a client is still to get, and how fast it takes them.
//! It must not keep what is sent, nor know what the bytes mean.

use std::io::{self, Write};
use std::time::Duration;

use crate::limits::{ANSWER_PACE_MIN, ANSWER_PACE_WINDOW};
use crate::time::{MonoUs, US_PER_SECOND};

/// Buffers that grew beyond this are given back once they are empty.
pub(super) const BUFFER_KEPT_MAX: usize = 16 * 1024;

/// What a connection has to send.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// None while nothing is unsent.
    pace: Option<Pace>,
    /// Since when something has been unsent without a break, and how much the client took since.
    behind: Option<(MonoUs, u64)>,
}

/// What the client took in the present window.
#[derive(Clone, Copy, Debug)]
struct Pace {
    since: MonoUs,
    taken: usize,
}

impl Output {
    /// Where further bytes are appended.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How many bytes are unsent.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Sends what the socket takes, and forgets it. A client that is always a little behind must not make the buffer hold
    /// all that was ever sent.
    pub(super) fn flush(&mut self, to: &mut impl Write, mono: MonoUs) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let mut sent = 0;
        let result = loop {
            match to.write(&self.bytes[sent..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => break Err(why),
            }
            if sent == self.bytes.len() {
                break Ok(());
            }
        };
        self.drop_sent(sent);
        if self.bytes.is_empty() {
            (self.pace, self.behind) = (None, None);
        } else {
            // As below: the first says nothing.
            self.behind = Some(self.behind.map_or((mono, 0), |(since, taken)| (since, taken + sent as u64)));
            match &mut self.pace {
                Some(pace) => pace.taken += sent,
                // What the system takes before it is full says nothing of the client.
                None => self.pace = Some(Pace { since: mono, taken: 0 }),
            }
        }
        result
    }

    fn drop_sent(&mut self, sent: usize) {
        if sent == self.bytes.len() {
            self.bytes.clear();
            if self.bytes.capacity() > BUFFER_KEPT_MAX {
                self.bytes = Vec::new();
            }
        } else if sent > 0 {
            self.bytes.drain(..sent);
            if self.bytes.capacity() / 4 > self.bytes.len().max(BUFFER_KEPT_MAX) {
                self.bytes.shrink_to(self.bytes.len() * 2);
            }
        }
    }

    /// How many bytes a second the client has taken since it is behind, if it is for as long as that.
    pub(super) fn pace_behind(&self, mono: MonoUs, least: Duration) -> Option<u64> {
        let (since, taken) = self.behind.filter(|(since, _)| mono >= since.plus(least))?;
        Some(taken.saturating_mul(US_PER_SECOND.unsigned_abs()) / mono.0.saturating_sub(since.0).max(1))
    }

    /// When the client is to be judged.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        self.pace.map(|pace| pace.since.plus(ANSWER_PACE_WINDOW))
    }

    /// Whether the client took too little in a window that is over; if not, the next one begins. To be asked right after
    /// a flush, as a socket with room does not always say so.
    pub(super) fn is_too_slow(&mut self, mono: MonoUs) -> bool {
        let Some(pace) = self.pace.filter(|pace| pace.since.plus(ANSWER_PACE_WINDOW) <= mono) else { return false };
        self.pace = Some(Pace { since: mono, taken: 0 });
        pace.taken < ANSWER_PACE_MIN * ANSWER_PACE_WINDOW.as_secs() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket with room for so many bytes.
    struct Socket {
        room: usize,
    }

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            self.room -= count;
            if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_sent_is_not_kept() {
        let mut output = Output::default();
        // A client that is always one answer behind.
        for _ in 0..1_000 {
            output.bytes().extend_from_slice(&[b'x'; 50_000]);
            let room = output.len().saturating_sub(50_000);
            output.flush(&mut Socket { room }, MonoUs(0)).expect("it is only full");
            assert!(output.len() == 50_000 && output.bytes.capacity() <= 300_000, "{}", output.bytes.capacity());
        }
        // What was once much is given back although some of it stays.
        output.bytes().resize(5_000_000, b'x');
        output.flush(&mut Socket { room: 4_999_000 }, MonoUs(0)).expect("it is only full");
        assert!(output.len() == 1_000 && output.bytes.capacity() <= BUFFER_KEPT_MAX, "{}", output.bytes.capacity());
        output.flush(&mut Socket { room: 1_000 }, MonoUs(0)).expect("there is room");
        assert_eq!((output.len(), output.deadline()), (0, None));
    }

    #[test]
    fn how_fast_a_client_is_that_is_behind_is_known_after_a_while() {
        let (second, least) = (1_000_000, Duration::from_secs(5));
        let mut output = Output::default();
        output.bytes().resize(1_000_000, b'x');
        assert_eq!(output.pace_behind(MonoUs(9 * second), least), None);
        // What the system takes at first says nothing.
        output.flush(&mut Socket { room: 500_000 }, MonoUs(second)).expect("it is only full");
        for at in 2..=6 {
            output.flush(&mut Socket { room: 10_000 }, MonoUs(at * second)).expect("it is only full");
        }
        assert_eq!(output.pace_behind(MonoUs(6 * second - 1), least), None, "that is not long");
        assert_eq!(output.pace_behind(MonoUs(6 * second), least), Some(10_000));
        assert_eq!(output.pace_behind(MonoUs(11 * second), least), Some(5_000), "it rests");
        output.flush(&mut Socket { room: 1_000_000 }, MonoUs(12 * second)).expect("there is room");
        assert_eq!(output.pace_behind(MonoUs(99 * second), least), None, "it has all");
    }

    #[test]
    fn a_client_is_judged_by_its_pace_and_not_by_its_last_byte() {
        let window = ANSWER_PACE_WINDOW;
        let enough = ANSWER_PACE_MIN * window.as_secs() as usize;
        let mut output = Output::default();
        output.bytes().resize(enough * 4, b'x');
        output.flush(&mut Socket { room: 5 }, MonoUs(7)).expect("it is only full");
        assert_eq!(output.deadline(), Some(MonoUs(7).plus(window)));
        // Enough within the window: another one begins.
        output.flush(&mut Socket { room: enough }, MonoUs(8)).expect("it is only full");
        assert!(!output.is_too_slow(MonoUs(9)), "it is not over");
        let next = MonoUs(7).plus(window);
        assert!(!output.is_too_slow(next));
        assert_eq!(output.deadline(), Some(next.plus(window)));
        // A byte now and then is not enough.
        for _ in 0..100 {
            output.flush(&mut Socket { room: 1 }, next).expect("it is only full");
        }
        assert!(output.is_too_slow(next.plus(window)));
    }
}
