//! Owns what waits in front of one channel: what goes next, alone or as a digest, and when it is tried again.
//! It must not know what is said, or read a clock: it is told the time.
//!
//! A channel that was quiet gets message after message. Beyond [`DIGEST_AFTER`] of them within [`DIGEST_TIME`] the rest
//! gathers until that time is over, and goes as one digest; so does what comes within the same time after a digest. While
//! tries fail, all that comes gathers, and each further try takes all of it.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crate::core::Message;
use crate::job::RetryPolicy;
use crate::limits::{DIGEST_AFTER, DIGEST_MAX, DIGEST_TIME};
use crate::time::MonoUs;

/// The waits between tries of a channel that fails; what waits ends by age.
const BACKOFF: RetryPolicy = RetryPolicy::doubling(u32::MAX, Duration::from_secs(1));

/// A message that is not delivered over this channel.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) message: Arc<Message>,
    /// Tries so far.
    pub(super) attempts: u32,
}

/// What waits in front of one channel.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<Waiting>,
    under_way: Option<UnderWay>,
    /// The time within which messages are counted, if one has begun.
    window: Option<Window>,
    /// Tries in a row that failed.
    failures: u32,
    /// When the next try may be, after one that failed.
    retry_at: Option<MonoUs>,
}

#[derive(Debug)]
struct UnderWay {
    number: u64,
    messages: Vec<Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends: MonoUs,
    /// Messages that went alone. A digest is as many as there may be.
    sent: usize,
}

impl Line {
    /// A message comes.
    pub(super) fn push(&mut self, waiting: Waiting, now: MonoUs) {
        // What comes when the time is over and nothing gathered begins anew.
        if self.waiting.is_empty() {
            self.window.take_if(|window| window.ends <= now);
        }
        self.waiting.push_back(waiting);
    }

    /// Forgets messages that wait, but for those of which this is so.
    pub(super) fn retain(&mut self, stays: impl Fn(&Message) -> bool) {
        self.waiting.retain(|waiting| stays(&waiting.message));
    }

    /// When something is to be sent; None: nothing, before something else happens.
    pub(super) fn due(&self) -> Option<MonoUs> {
        if self.under_way.is_some() || self.waiting.is_empty() {
            return None;
        }
        match (self.retry_at, self.window) {
            (Some(at), _) => Some(at),
            (None, Some(window)) if window.sent >= DIGEST_AFTER => Some(window.ends),
            (None, Some(_) | None) => Some(MonoUs(0)),
        }
    }

    /// Takes what is to be sent now: one message, or those of a digest.
    pub(super) fn take(&mut self, now: MonoUs) -> Option<Vec<Waiting>> {
        if self.due()? > now {
            return None;
        }
        let is_over = self.window.is_some_and(|window| window.ends <= now);
        if self.failures > 0 || is_over {
            let count = self.waiting.len().min(DIGEST_MAX);
            let all: Vec<Waiting> = self.waiting.drain(..count).collect();
            let sent = if all.len() > 1 { DIGEST_AFTER } else { 1 };
            self.window = Some(Window { ends: now.plus(DIGEST_TIME), sent });
            return Some(all);
        }
        let window = self.window.get_or_insert(Window { ends: now.plus(DIGEST_TIME), sent: 0 });
        window.sent += 1;
        self.waiting.pop_front().map(|first| vec![first])
    }

    /// What was taken is under way, with this number.
    pub(super) fn begin(&mut self, number: u64, mut messages: Vec<Waiting>) {
        for message in &mut messages {
            message.attempts = message.attempts.saturating_add(1);
        }
        self.under_way = Some(UnderWay { number, messages });
    }

    /// What is under way with this number has ended.
    pub(super) fn end(&mut self, number: u64) -> Option<Vec<Waiting>> {
        self.under_way.take_if(|under_way| under_way.number == number).map(|under_way| under_way.messages)
    }

    /// It was delivered.
    pub(super) fn note_delivered(&mut self) {
        (self.failures, self.retry_at) = (0, None);
    }

    /// It was not: these of its messages go on waiting, before those that came meanwhile. `asked`: for how long the other
    /// side wants to be left alone.
    pub(super) fn note_failed(&mut self, again: Vec<Waiting>, asked: Duration, noise: u64, now: MonoUs) {
        for message in again.into_iter().rev() {
            self.waiting.push_front(message);
        }
        self.failures = self.failures.saturating_add(1);
        let wait = BACKOFF.wait(self.failures, noise ^ (u64::from(self.failures) << 48));
        self.retry_at = Some(now.plus(wait.max(asked.min(BACKOFF.delay_max))));
    }

    /// There is reason to believe that the next try succeeds: it is made at once.
    pub(super) fn hurry(&mut self, now: MonoUs) {
        if let Some(at) = &mut self.retry_at {
            *at = now.min(*at);
        }
        // Only the length of the next wait follows from it.
        self.failures = self.failures.min(1);
    }

    /// How many wait, those under way included.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.under_way.as_ref().map_or(0, |under_way| under_way.messages.len())
    }

    /// All that waits, as there is nobody to tell any more. What is under way stays.
    pub(super) fn abandon(&mut self) -> Vec<Waiting> {
        Vec::from(mem::take(&mut self.waiting))
    }
}
