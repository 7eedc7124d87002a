//! Owns what is to be told to those who listen: gathered for a moment, when it is on disk, and no more than so much.
//! It must not cost anything while nobody listens, nor make text where something due may wait for it.
//!
//! What happens is noted as a small value where the engine sees it. It becomes text later, some at a time, when clients
//! are served; then all who listen are woken together.

use std::collections::VecDeque;
use std::time::Duration;

use super::connection::Given;
use super::ring::Ring;
use crate::api::{Listening, News, Piece, Rank, Stream};
use crate::core::{Attempt, Notice, Persist, Scheduler};
use crate::limits::{
    EVENT_WAIT_MAX, EVENTS_AT_ONCE, EVENTS_KEPT_TIME, EVENTS_PER_SECOND_MAX, EVENTS_PER_SECOND_OF_EXECUTIONS,
    EVENTS_PER_SECOND_OF_FIRES, EVENTS_PER_SECOND_OF_SUCCESSES, EVENTS_UNWRITTEN_MAX,
};
use crate::time::{MonoUs, Now, WallUs};

const SECOND: Duration = Duration::from_secs(1);

/// Events on their way to those who listen.
#[derive(Debug)]
pub(super) struct Events {
    ring: Ring,
    /// When somebody last asked for events; None: nobody did for long, and nothing is noted.
    asked: Option<MonoUs>,
    /// What waits for an item to be on disk.
    unwritten: VecDeque<(u64, News)>,
    /// What is to be told.
    noted: VecDeque<News>,
    /// When that is due; None: there is nothing.
    due: Option<MonoUs>,
    budget: Budget,
    told: u64,
    left_out: u64,
    /// Nothing will follow what is noted.
    is_over: bool,
}

/// What may be told in the present second.
#[derive(Debug)]
struct Budget {
    ends: MonoUs,
    used: u32,
    left_out: u64,
}

impl Events {
    /// Of a process that began at this time.
    pub(super) fn new(began: WallUs) -> Events {
        Events {
            ring: Ring::new(began.0),
            asked: None,
            unwritten: VecDeque::new(),
            noted: VecDeque::new(),
            due: None,
            budget: Budget { ends: MonoUs(0), used: 0, left_out: 0 },
            told: 0,
            left_out: 0,
            is_over: false,
        }
    }

    /// An attempt is sent. Its row is on disk.
    pub(super) fn note_attempt(&mut self, attempt: &Attempt, mono: MonoUs) {
        if self.asked.is_some() && self.may_tell(Rank::Fire, mono) {
            self.note(News::of_attempt(attempt), mono);
        }
    }

    /// Something is told to an operator, which is on no disk.
    pub(super) fn note_notice(&mut self, notice: &Notice, now: Now) {
        if self.asked.is_none() {
            return;
        }
        let Some(news) = News::of_notice(notice, now.wall) else { return };
        if self.may_tell(Rank::Other, now.mono) {
            self.note(news, now.mono);
        }
    }

    /// Something is to be written, and told once it is.
    pub(super) fn note_item(&mut self, number: u64, item: &Persist, core: &Scheduler, now: Now) {
        if self.asked.is_none() {
            return;
        }
        if let Some((rank, job)) = News::announced(item)
            && self.may_note(rank, now.mono)
        {
            let news = core.revision_of(job).and_then(|before| News::of_item(item, before, now.wall));
            self.unwritten.extend(news.map(|news| (number, news)));
        }
        for change in News::incidents_of(item) {
            if let Some(news) = News::of_incident(change, core.silence_of(&change.incident))
                && self.may_note(Rank::Other, now.mono)
            {
                self.unwritten.push_back((number, news));
            }
        }
    }

    /// Whether there is room for something that is told once it is on disk.
    fn may_note(&mut self, rank: Rank, mono: MonoUs) -> bool {
        if !self.may_tell(rank, mono) {
            return false;
        }
        let has_room = self.unwritten.len() < EVENTS_UNWRITTEN_MAX;
        if !has_room {
            self.leave_out();
        }
        has_room
    }

    /// Nobody hears any more whether what was to be told is on disk.
    pub(super) fn forget_unwritten(&mut self) {
        self.unwritten.clear();
    }

    /// Items up to this number are on disk, but for those that were rejected.
    pub(super) fn note_written(&mut self, through: u64, rejected: &[u64], mono: MonoUs) {
        if !rejected.is_empty() {
            self.unwritten.retain(|(number, _)| rejected.binary_search(number).is_err());
        }
        while let Some((_, news)) = self.unwritten.pop_front_if(|(number, _)| *number <= through) {
            self.note(news, mono);
        }
    }

    fn note(&mut self, news: News, mono: MonoUs) {
        self.due.get_or_insert(mono.plus(EVENT_WAIT_MAX));
        self.noted.push_back(news);
    }

    /// Whether there is room for it in this second.
    fn may_tell(&mut self, rank: Rank, mono: MonoUs) -> bool {
        self.begin_second(mono);
        let most = match rank {
            Rank::Fire => EVENTS_PER_SECOND_OF_FIRES,
            Rank::Success => EVENTS_PER_SECOND_OF_SUCCESSES,
            Rank::Failure => EVENTS_PER_SECOND_OF_EXECUTIONS,
            Rank::Other => EVENTS_PER_SECOND_MAX,
        };
        let has_room = self.budget.used < most;
        if has_room {
            self.budget.used += 1;
        } else {
            self.leave_out();
        }
        has_room
    }

    fn leave_out(&mut self) {
        self.budget.left_out += 1;
        self.left_out += 1;
    }

    /// If the second is over, another one begins, and what was left out in it is told.
    fn begin_second(&mut self, mono: MonoUs) {
        if mono < self.budget.ends {
            return;
        }
        let left_out = self.budget.left_out;
        self.budget = Budget { ends: mono.plus(SECOND), used: 0, left_out: 0 };
        if left_out > 0 {
            self.note(News::Sampled { left_out }, mono);
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, mono: MonoUs) {
        if self.budget.left_out > 0 {
            self.begin_second(mono);
        }
        if self.asked.is_some_and(|asked| asked.plus(EVENTS_KEPT_TIME) <= mono) {
            self.asked = None;
            self.ring.forget();
            (self.unwritten, self.noted, self.due) = (VecDeque::new(), VecDeque::new(), None);
            self.budget.left_out = 0;
        }
    }

    /// When to call `tick` or `tell` at the latest.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        let second = (self.budget.left_out > 0).then_some(self.budget.ends);
        [self.due, second].into_iter().flatten().min()
    }

    /// Whether something is to be told now.
    pub(super) fn is_due(&self, mono: MonoUs) -> bool {
        self.due.is_some_and(|due| due <= mono)
    }

    /// Makes text of some of what is noted. Whether that was all, so that those who listen are to be woken.
    pub(super) fn tell(&mut self) -> bool {
        for news in self.noted.drain(..self.noted.len().min(EVENTS_AT_ONCE)) {
            self.told += 1;
            self.ring.push(news);
        }
        let is_all = self.noted.is_empty();
        if is_all {
            self.due = None;
        }
        is_all
    }

    /// Nothing more will happen: whoever listens is told the rest, and then its stream ends.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        while !self.tell() {}
    }

    /// What a client that listens is sent now.
    pub(super) fn piece(&mut self, listening: Listening, mono: MonoUs) -> Given {
        self.asked = Some(mono);
        let (bytes, listening) = self.ring.piece(listening);
        let stream = Stream::Events(listening);
        if self.is_over && !self.ring.is_behind(&listening) {
            return Given::Piece(Piece { bytes, rest: None });
        }
        if bytes.is_empty() && !self.ring.is_behind(&listening) {
            return Given::Nothing(stream);
        }
        Given::Piece(Piece { bytes, rest: Some(stream) })
    }

    /// How many were told since the start, and how many were left out.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.told, self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Since;

    const BEGIN: MonoUs = MonoUs(5_000_000);

    /// To which somebody listens, and where that one is.
    fn heard() -> (Events, Listening) {
        let mut events = Events::new(WallUs(7));
        let Given::Piece(Piece { rest: Some(Stream::Events(listening)), .. }) =
            events.piece(Listening::to_all(Since::Now), BEGIN)
        else {
            panic!("it is told how the stream begins")
        };
        (events, listening)
    }

    fn notice(events: &mut Events, mono: MonoUs) {
        events.note_notice(&Notice::Overload { jobs: 1, instants: 2 }, Now { wall: WallUs(0), mono });
    }

    /// How many of each rank may be told, asked for in this order.
    fn may_tell(events: &mut Events, mono: MonoUs, asked: &[(Rank, u32)]) -> Vec<u32> {
        let mut count = |rank| u32::from(events.may_tell(rank, mono));
        asked.iter().map(|&(rank, times)| (0..times).map(|_| count(rank)).sum()).collect()
    }

    /// The data of what a listener is told now; None: nothing.
    fn told(events: &mut Events, listening: &mut Listening, mono: MonoUs) -> Option<Vec<String>> {
        while events.is_due(mono) {
            events.tell();
        }
        match events.piece(*listening, mono) {
            Given::Piece(Piece { bytes, rest: Some(Stream::Events(next)) }) => {
                *listening = next;
                let text = String::from_utf8(bytes).expect("it is text");
                Some(text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect())
            }
            Given::Nothing(_) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_noted_while_nobody_listens() {
        let mut events = Events::new(WallUs(7));
        notice(&mut events, BEGIN);
        assert!(events.noted.is_empty() && events.deadline().is_none());
        let (mut events, mut listening) = heard();
        notice(&mut events, BEGIN);
        let due = BEGIN.plus(EVENT_WAIT_MAX);
        assert_eq!(events.deadline(), Some(due));
        assert!(!events.is_due(MonoUs(due.0 - 1)), "others may join it");
        let expected = r#"{"event":"overload","jobs":1,"instants":2}"#;
        assert_eq!(told(&mut events, &mut listening, due), Some(vec![expected.to_owned()]));
        assert_eq!(told(&mut events, &mut listening, due), None);
        // Whoever comes back in time finds what happened meanwhile; later it is only known that there was something.
        let left = listening;
        events.tick(MonoUs(due.plus(EVENTS_KEPT_TIME).0 - 1));
        notice(&mut events, due.plus_us(1));
        events.tick(due.plus(EVENTS_KEPT_TIME));
        notice(&mut events, due.plus(EVENTS_KEPT_TIME));
        assert!(events.noted.is_empty() && events.deadline().is_none());
        let later = due.plus(EVENTS_KEPT_TIME * 2);
        assert_eq!(told(&mut events, &mut { left }, later), Some(vec![r#"{"event":"gap","missed":null}"#.to_owned()]));
    }

    #[test]
    fn what_is_too_much_is_left_out_in_order_and_counted() {
        let (mut events, mut listening) = heard();
        let asked = [
            (Rank::Fire, 10_000),
            (Rank::Success, 10_000),
            (Rank::Failure, 10_000),
            (Rank::Success, 1),
            (Rank::Other, 10_000),
            (Rank::Failure, 1),
        ];
        assert_eq!(may_tell(&mut events, BEGIN, &asked), [350, 350, 200, 0, 100, 0]);
        let expected = u64::from(40_002 - EVENTS_PER_SECOND_MAX);
        assert_eq!(events.counts().1, expected);
        // When the second is over that is told, whether anything else happens or not.
        let end = events.deadline().expect("something is to be told");
        assert_eq!(end, BEGIN.plus(SECOND));
        events.tick(end);
        let due = events.deadline().expect("it is gathered like all else");
        let sampled = format!("{{\"event\":\"sampled\",\"leftOut\":{expected}}}");
        assert_eq!(told(&mut events, &mut listening, due), Some(vec![sampled]));
        // Failures have room where successes have used up theirs, in whatever order they come.
        assert_eq!(
            may_tell(&mut events, due, &[(Rank::Failure, 800), (Rank::Success, 9), (Rank::Failure, 200)]),
            [800, 0, 100]
        );
        let next = due.plus(SECOND);
        assert_eq!(may_tell(&mut events, next, &[(Rank::Fire, 400)]), [350], "another second, another budget");
    }

    #[test]
    fn what_is_written_is_told_once_it_is_on_disk_unless_it_was_rejected() {
        let (mut events, mut listening) = heard();
        let of = |jobs| News::Overload { jobs, instants: 0 };
        events.unwritten.extend((1..=4).map(|number| (number, of(number))));
        events.note_written(2, &[], BEGIN);
        events.note_written(2, &[3], BEGIN);
        events.note_written(4, &[], BEGIN);
        let told = told(&mut events, &mut listening, BEGIN.plus(EVENT_WAIT_MAX)).expect("something happened");
        let expected = [1, 2, 4].map(|jobs| format!("{{\"event\":\"overload\",\"jobs\":{jobs},\"instants\":0}}"));
        assert_eq!(told, expected);
    }

    #[test]
    fn a_stream_ends_behind_the_last_event() {
        let (mut events, listening) = heard();
        notice(&mut events, BEGIN);
        events.end();
        let Given::Piece(Piece { bytes, rest: None }) = events.piece(listening, BEGIN) else { panic!("it is over") };
        assert!(!bytes.is_empty());
    }
}
