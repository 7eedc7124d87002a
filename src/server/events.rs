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
        let Some((rank, job)) = News::announced(item) else { return };
        if !self.may_tell(rank, now.mono) {
            return;
        }
        if self.unwritten.len() >= EVENTS_UNWRITTEN_MAX {
            return self.leave_out();
        }
        let news = core.revision_of(job).and_then(|before| News::of_item(item, before, now.wall));
        self.unwritten.extend(news.map(|news| (number, news)));
    }

    /// Items up to this number are on disk, but for those that were rejected.
    pub(super) fn note_written(&mut self, through: u64, rejected: &[u64], mono: MonoUs) {
        if !rejected.is_empty() {
            self.unwritten.retain(|(number, _)| !rejected.contains(number));
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
