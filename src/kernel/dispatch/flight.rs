//! Owns one attempt under way: when it began and was dispatched, how long it may take, and the words for how it ended.
//! It must not move bytes.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::course::{Course, Phase};
use super::race::Race;
use super::told::{Telling, Told};
use crate::clock;
use crate::core::{AlertReport, Answer, Attempt, Errand, ErrandReport, MessageReport, Outcome, Report, Timings};
use crate::job::{Delivery, Post};
use crate::limits::CONNECT_TIME_MAX;
use crate::time::{MonoUs, Now, WallUs};

/// How long an attempt may take, counted from its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimits {
    /// As a whole.
    pub(super) whole: Duration,
    /// Until its connection can carry a request, TLS included.
    pub(super) connect: Duration,
}

impl TimeLimits {
    /// Those of this POST, where these are the usual ones.
    pub(super) fn of(self, post: &Post) -> TimeLimits {
        post.timeout().map_or(self, |whole| TimeLimits { whole, connect: whole.min(CONNECT_TIME_MAX) })
    }
}

/// An attempt that this worker holds.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) errand: Errand,
    /// Where it goes; None until that is known.
    pub(super) peer: Option<u32>,
    /// Its connection, if it has one that is connected.
    pub(super) link: Option<u32>,
    /// The connections that are being made for it.
    pub(super) race: Option<Box<Race>>,
    /// When it began to connect, or to write on a connection that rested; before that, when it was taken up.
    pub(super) start: MonoUs,
    /// Whether it has connected or written.
    pub(super) is_started: bool,
    /// Just before the first byte of its request was written; None: none was.
    dispatched: Option<WallUs>,
    /// How long the worker had waited for events in all when the request was written.
    pub(super) waited: MonoUs,
    /// Whether a kept-alive connection was lost under it, so that it must go on with a fresh one.
    pub(super) is_second_try: bool,
    /// Whether a byte of its request may have left, on any connection.
    was_sent: bool,
    /// Whether its answer counts already for how fast its target is.
    pub(super) is_counted: bool,
    /// Where its time goes, if not all of it into waiting for the answer.
    course: Option<Box<Course>>,
    /// What its answer told, if that is of interest.
    pub(super) told: Option<Box<Told>>,
}

impl Flight {
    pub(super) fn new(errand: Errand, now: Now) -> Flight {
        Flight {
            errand,
            peer: None,
            link: None,
            race: None,
            start: now.mono,
            is_started: false,
            dispatched: None,
            waited: MonoUs(0),
            is_second_try: false,
            was_sent: false,
            is_counted: false,
            course: None,
            told: None,
        }
    }

    /// It connects now; only the first time counts.
    pub(super) fn begin(&mut self, now: MonoUs) {
        if !self.is_started {
            (self.is_started, self.start) = (true, now);
        }
    }

    /// What it comes to if it may not be sent any more: it was not begun, or was before, on a connection that was lost.
    pub(super) fn withheld(&self) -> Outcome {
        match self.was_sent {
            false => Outcome::Withheld,
            true => {
                Outcome::ConnectionFailed("not sent again: the server must not trust its lease any more".to_owned())
            }
        }
    }

    /// Its request is about to be written; only the first time counts for its dispatch. Whether a byte may have left
    /// before.
    pub(super) fn dispatch(&mut self) -> bool {
        if self.dispatched.is_none() || self.course.is_some() {
            let now = clock::now();
            self.dispatched.get_or_insert(now.wall);
            self.begin(now.mono);
            if let Some(course) = &mut self.course {
                course.enter(Phase::FirstByte, now.mono);
            }
        }
        std::mem::replace(&mut self.was_sent, true)
    }

    /// Nothing of the request left after all: it is as it was before that.
    pub(super) fn take_back(&mut self, was_sent: bool) {
        self.was_sent = was_sent;
    }

    /// It waited so long for its target's name.
    pub(super) fn note_name(&mut self, us: u64) {
        if !self.is_started && us > 0 {
            let start = self.start;
            self.course.get_or_insert_with(|| Box::new(Course::new(Phase::Other, start))).note_name(us);
        }
    }

    /// What takes its time as of now, before its request is written.
    pub(super) fn enter(&mut self, phase: Phase, now: MonoUs) {
        self.course.get_or_insert_with(|| Box::new(Course::new(Phase::Other, now))).enter(phase, now);
    }

    /// The answer began, and is not whole.
    pub(super) fn hear(&mut self, now: MonoUs) {
        let start = self.start;
        self.course.get_or_insert_with(|| Box::new(Course::new(Phase::FirstByte, start))).hear(now);
    }

    /// Whether it must not go out on a connection that rested: one was lost under it, or would cost it its one chance.
    pub(super) fn needs_fresh(&self) -> bool {
        self.is_second_try || self.errand.post().delivery == Delivery::AtMostOnce
    }

    /// Whether the request may be sent again after a connection was lost that may have carried it.
    pub(super) fn may_repeat(&self) -> bool {
        match self.errand.post().delivery {
            Delivery::AtLeastOnce => !self.is_second_try,
            Delivery::AtMostOnce => !self.was_sent && !self.is_second_try,
        }
    }

    /// How much of an answer with this status is of interest.
    pub(super) fn interest(&self, status: u16) -> Telling {
        match &self.errand {
            Errand::Execution(attempt) if attempt.post.is_success(status) => Telling::Nothing,
            Errand::Execution(_) => Telling::Beginning,
            Errand::Alert(_) => Telling::Nothing,
            Errand::Trial(_) => Telling::All,
            Errand::Message(message) if message.post.is_success(status) => Telling::Nothing,
            Errand::Message(_) => Telling::Beginning,
        }
    }

    /// The report of it.
    pub(super) fn report(self, outcome: Outcome, now: MonoUs) -> ErrandReport {
        let outcome = if self.is_second_try { after_loss(outcome) } else { outcome };
        let answer = answer(self.course.map(|course| course.end(now)), self.told.as_deref(), self.errand.post());
        let (dispatched, was_sent) = (self.dispatched, self.was_sent);
        let duration_us = now.0.saturating_sub(self.start.0);
        let report = |handle, attempt, outcome, answer| Report {
            handle,
            attempt,
            outcome,
            dispatched: dispatched.unwrap_or_else(|| clock::now().wall),
            duration_us,
            was_sent,
            answer,
        };
        match &self.errand {
            Errand::Execution(Attempt { handle, number, .. }) => {
                ErrandReport::Execution(report(*handle, *number, outcome, answer))
            }
            Errand::Trial(Attempt { handle, number, .. }) => {
                ErrandReport::Trial(report(*handle, *number, outcome, answer))
            }
            Errand::Alert(attempt) => {
                ErrandReport::Alert(AlertReport { seq: attempt.seq, attempt: attempt.number, outcome })
            }
            Errand::Message(message) => {
                let Answer { timings: _, retry_after_s, response, headers: _ } =
                    answer.map_or_else(Answer::default, |answer| *answer);
                let response = response.map(|said| message.post.mask_path(said));
                ErrandReport::Message(MessageReport { id: message.id, outcome, response, retry_after_s, duration_us })
            }
        }
    }
}

/// What few attempts have to tell beside their outcome.
fn answer(timings: Option<Timings>, told: Option<&Told>, post: &Post) -> Option<Box<Answer>> {
    let retry_after_s = told.and_then(|told| told.retry_after_s(clock::now().wall));
    let response = told.and_then(Told::response).map(|said| post.mask(said));
    let headers = told.map(Told::headers).unwrap_or_default();
    let headers = headers.into_iter().map(|(name, value)| (name, post.mask(value))).collect();
    let answer = Answer { timings, retry_after_s, response, headers };
    (answer != Answer::default()).then(|| Box::new(answer))
}

/// A failure, where the request went out a second time.
fn after_loss(outcome: Outcome) -> Outcome {
    const LOSS: &str = "on a second connection, as a kept-alive one was lost";
    match outcome {
        Outcome::TimedOut(why) => Outcome::TimedOut(format!("{why} ({LOSS})")),
        Outcome::ConnectionFailed(why) => Outcome::ConnectionFailed(format!("{why} ({LOSS})")),
        Outcome::Answered(_) | Outcome::WorkerFailed(_) | Outcome::Withheld => outcome,
    }
}

/// The text for a time limit.
pub(super) fn within(limit: Duration) -> String {
    format!("within {} ms", limit.as_millis())
}

/// An error of the system in few words.
pub(super) fn describe(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "connection reset by the target".to_owned(),
        ErrorKind::TimedOut => "the system gave the connection up".to_owned(),
        ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        ErrorKind::AddrNotAvailable => "no local port is free, or the address is unusable".to_owned(),
        _ if is_out_of_files(error) => "too many open files".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether this machine, not the target, cannot carry another connection at the moment.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    is_out_of_files(error) || error.kind() == ErrorKind::AddrNotAvailable
}

/// Whether closing any connection would help.
pub(super) fn is_out_of_files(error: &io::Error) -> bool {
    // ENFILE and EMFILE have these numbers on Linux, macOS and the BSDs; std has no name for them.
    matches!(error.raw_os_error(), Some(23 | 24))
}
