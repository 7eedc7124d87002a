//! Owns the events that were told last, as text: for who is a little behind, and for who comes back.
//! It must not grow: what is too old goes, and who wanted it is told how much that was.

use std::collections::VecDeque;

use crate::api::{About, EventId, Listening, News, Since, gap_text, opening_text, silence_text};
use crate::limits::{EVENTS_KEPT_LEN_MAX, EVENTS_KEPT_MAX, PIECE_LEN_MAX};

/// Events, each made into text once for all who listen.
#[derive(Debug)]
pub(super) struct Ring {
    process: i64,
    kept: VecDeque<Kept>,
    /// Bytes of their texts.
    len: usize,
    /// The number of the next one.
    next: u64,
    /// From this one on it is known how many there were.
    counted_from: u64,
}

#[derive(Debug)]
struct Kept {
    about: About,
    text: Vec<u8>,
}

impl Ring {
    /// Without events, of a process that began at this microsecond.
    pub(super) fn new(process: i64) -> Ring {
        Ring { process, kept: VecDeque::new(), len: 0, next: 1, counted_from: 1 }
    }

    /// Tells one more.
    pub(super) fn push(&mut self, news: News) {
        let about = news.about();
        let text = news.text(self.id(self.next));
        self.next += 1;
        self.len += text.len();
        self.kept.push_back(Kept { about, text });
        while self.kept.len() > EVENTS_KEPT_MAX || self.len > EVENTS_KEPT_LEN_MAX {
            let oldest = self.kept.pop_front().expect("too much is something");
            self.len -= oldest.text.len();
        }
    }

    /// From here on nobody counts what happens, until somebody listens again.
    pub(super) fn forget(&mut self) {
        (self.kept, self.len) = (VecDeque::new(), 0);
        // What is not counted is one number, so that nobody goes on behind it as if nothing had been.
        self.next += 1;
        self.counted_from = self.next;
    }

    /// What a listener is to be sent now, and where it is then. Nothing: there is nothing for it.
    pub(super) fn piece(&self, listening: Listening) -> (Vec<u8>, Listening) {
        let mut out = Vec::new();
        let mut place = self.begin(&listening, &mut out);
        let first = self.first();
        if place < first {
            let missed = (place >= self.counted_from).then(|| first - place);
            out.extend_from_slice(&gap_text(self.id(first - 1), missed));
            place = first;
        }
        let behind = usize::try_from(place - first).expect("the ring is in memory");
        for kept in self.kept.range(behind.min(self.kept.len())..) {
            if out.len() >= PIECE_LEN_MAX {
                break;
            }
            if listening.wants(&kept.about) {
                out.extend_from_slice(&kept.text);
            }
            place += 1;
        }
        if out.is_empty() && listening.is_silent {
            out = silence_text(self.id(place - 1));
        }
        (out, listening.at(place))
    }

    /// Whether a listener has been told everything.
    pub(super) fn is_behind(&self, listening: &Listening) -> bool {
        match listening.since {
            Since::Now | Since::Behind(_) => true,
            Since::Place(place) => place < self.next,
        }
    }

    /// The place of a listener, after what is said first to one that has just come.
    fn begin(&self, listening: &Listening, out: &mut Vec<u8>) -> u64 {
        match listening.since {
            Since::Place(place) => place,
            Since::Now => {
                out.extend_from_slice(&opening_text(Some(self.id(self.next - 1))));
                self.next
            }
            Since::Behind(last) => {
                out.extend_from_slice(&opening_text(None));
                match last.filter(|last| last.process == self.process && last.number < self.next) {
                    Some(last) => last.number + 1,
                    // Before everything that is counted.
                    None => 0,
                }
            }
        }
    }

    fn first(&self) -> u64 {
        self.next - self.kept.len() as u64
    }

    fn id(&self, number: u64) -> EventId {
        EventId { process: self.process, number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: i64 = 1_767_225_600_000_000;

    fn news(number: u64) -> News {
        News::Overload { jobs: number, instants: 0 }
    }

    fn ring(count: u64) -> Ring {
        let mut ring = Ring::new(PROCESS);
        (1..=count).for_each(|number| ring.push(news(number)));
        ring
    }

    fn behind(number: u64) -> Listening {
        Listening::to_all(Since::Behind(Some(EventId { process: PROCESS, number })))
    }

    /// The ids that a piece has, with what each is of.
    fn told(bytes: &[u8]) -> Vec<String> {
        let text = std::str::from_utf8(bytes).expect("it is text");
        assert!(text.is_empty() || text.ends_with("\n\n"), "{text:?}");
        let blocks = text.split_terminator("\n\n").filter(|block| !block.starts_with("retry: "));
        blocks.map(|block| block.replace(&format!("{PROCESS}-"), "").replace('\n', "|")).collect()
    }

    fn overload(number: u64) -> String {
        format!("id: {number}|event: overload|data: {{\"event\":\"overload\",\"jobs\":{number},\"instants\":0}}")
    }

    fn gap(id: u64, missed: &str) -> String {
        format!("id: {id}|event: gap|data: {{\"event\":\"gap\",\"missed\":{missed}}}")
    }

    #[test]
    fn who_comes_is_told_what_follows_and_who_comes_back_what_it_missed() {
        let mut ring = ring(3);
        let (opening, listening) = ring.piece(Listening::to_all(Since::Now));
        assert_eq!(String::from_utf8(opening), Ok(format!("retry: 2000\nid: {PROCESS}-3\n\n")));
        assert!(ring.piece(listening).0.is_empty() && !ring.is_behind(&listening));
        ring.push(news(4));
        assert!(ring.is_behind(&listening));
        let (bytes, listening) = ring.piece(listening);
        assert_eq!(told(&bytes), [overload(4)]);
        assert!(!ring.is_behind(&listening));
        // Without loss and without repeat.
        for number in 0..=4 {
            let (bytes, _) = ring.piece(behind(number));
            assert!(bytes.starts_with(b"retry: 2000\n\n"));
            assert_eq!(told(&bytes), (number + 1..=4).map(overload).collect::<Vec<_>>(), "behind {number}");
        }
    }

    #[test]
    fn who_is_silent_hears_that_it_goes_on_and_how_far_it_has_come() {
        let mut ring = ring(3);
        let (bytes, listening) = ring.piece(behind(3).at(4).after_silence());
        assert_eq!(String::from_utf8(bytes), Ok(format!(": \nid: {PROCESS}-3\n\n")));
        assert!(ring.piece(listening).0.is_empty(), "once");
        ring.push(news(4));
        assert_eq!(told(&ring.piece(listening.after_silence()).0), [overload(4)], "an event is enough");
    }

    #[test]
    fn what_has_left_the_ring_is_counted_and_what_nobody_knows_is_not() {
        let mut ring = ring(EVENTS_KEPT_MAX as u64 + 10);
        let (bytes, _) = ring.piece(behind(4));
        assert_eq!(told(&bytes)[..2], [gap(10, "6"), overload(11)]);
        // Somebody who is connected and did not read.
        let (bytes, listening) = ring.piece(behind(0).at(8));
        assert_eq!(told(&bytes)[..2], [gap(10, "3"), overload(11)]);
        assert!(bytes.len() < PIECE_LEN_MAX + 1_000 && ring.is_behind(&listening), "the rest comes in other pieces");
        // Of another process, or of none, or not yet told.
        let other = EventId { process: PROCESS - 1, number: 9 };
        let future = EventId { process: PROCESS, number: 1 << 40 };
        for last in [Some(other), Some(future), None] {
            let (bytes, _) = ring.piece(Listening::to_all(Since::Behind(last)));
            assert_eq!(told(&bytes)[..2], [gap(10, "null"), overload(11)], "{last:?}");
        }
        // Nobody listened for a while.
        let last = EVENTS_KEPT_MAX as u64 + 10;
        ring.forget();
        let (bytes, listening) = ring.piece(behind(last));
        assert_eq!(told(&bytes), [gap(last + 1, "null")]);
        ring.push(news(last + 2));
        assert_eq!(told(&ring.piece(listening).0), [overload(last + 2)]);
        assert_eq!(told(&ring.piece(behind(last + 1)).0), [overload(last + 2)]);
    }

    #[test]
    fn long_events_leave_it_earlier() {
        let mut ring = Ring::new(PROCESS);
        let name = "x".repeat(EVENTS_KEPT_LEN_MAX / 10);
        for _ in 0..20 {
            ring.push(News::Target { name: name.clone(), failing: true, at: crate::time::WallUs(0) });
        }
        assert!(ring.len <= EVENTS_KEPT_LEN_MAX && ring.kept.len() == 9, "{}", ring.kept.len());
    }

    #[test]
    fn as_many_events_are_kept_as_may_be_and_as_long_ones() {
        let full = ring(EVENTS_KEPT_MAX as u64);
        assert_eq!(told(&full.piece(behind(0)).0)[0], overload(1), "there is room for all of them");
        let mut full = full;
        full.push(news(0));
        assert_eq!(told(&full.piece(behind(0)).0)[..2], [gap(1, "1"), overload(2)]);
        // The last one fills it to the last byte.
        let named = |len: usize| News::Target { name: "x".repeat(len), failing: true, at: crate::time::WallUs(0) };
        let mut long = Ring::new(PROCESS);
        (0..9).for_each(|_| long.push(named(EVENTS_KEPT_LEN_MAX / 10)));
        let beside = named(0).text(long.id(long.next)).len();
        long.push(named(EVENTS_KEPT_LEN_MAX - long.len - beside));
        assert_eq!((long.len, long.kept.len()), (EVENTS_KEPT_LEN_MAX, 10));
        long.push(news(0));
        assert_eq!(long.kept.len(), 10, "the oldest makes room");
    }
}
