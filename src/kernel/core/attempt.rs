//! Owns what a worker is given and what it gives back: one POST, for an execution, for an alert or for messages of a
//! channel, and what it came to; and the same of a letter.
//! It must not decide what an outcome leads to.

use std::sync::Arc;

use super::details::Timings;
use super::io::RequestId;
use super::key::ExecutionId;
use super::record::{Class, Seq};
use crate::channel::Mailbox;
use crate::job::{Post, SharedPost};
use crate::time::WallUs;

/// Where an execution is kept in memory; valid for exactly one execution because `seq` is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle {
    /// The slot.
    pub slot: u32,
    /// Which execution must be there for the handle to be valid.
    pub seq: Seq,
}

/// What a POST is made for. The core knows the first kind only.
#[derive(Clone, Debug)]
pub enum Errand {
    /// An execution, for which the target is told which one it is.
    Execution(Attempt),
    /// An alert, which says all in its body.
    Alert(AlertAttempt),
    /// A job that is not saved, sent once. Its handle names nothing but this errand.
    Trial(Attempt),
    /// What a channel has to tell, which is signed like an execution.
    Message(MessageAttempt),
}

impl Errand {
    /// What to send.
    pub fn post(&self) -> &Post {
        match self {
            Errand::Execution(attempt) | Errand::Trial(attempt) => &attempt.post,
            Errand::Alert(attempt) => &attempt.post,
            Errand::Message(attempt) => &attempt.post,
        }
    }
}

impl From<Attempt> for Errand {
    fn from(attempt: Attempt) -> Errand {
        Errand::Execution(attempt)
    }
}

impl From<AlertAttempt> for Errand {
    fn from(attempt: AlertAttempt) -> Errand {
        Errand::Alert(attempt)
    }
}

impl From<MessageAttempt> for Errand {
    fn from(attempt: MessageAttempt) -> Errand {
        Errand::Message(attempt)
    }
}

/// One POST of an execution: all that a worker needs to know.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Comes back with the report.
    pub handle: Handle,
    /// 1 is the first.
    pub number: u32,
    /// Sent as `Idempotency-Key`.
    pub id: ExecutionId,
    /// On what footing it goes out.
    pub class: Class,
    /// How often a node was taken for dead that had its job: a target that has seen a higher one knows that this comes late.
    /// Where a node gives a job away nothing comes late, and so it stays.
    pub epoch: u32,
    /// What to send, as the revision in force now says.
    pub post: SharedPost,
}

impl Attempt {
    /// Whether the target should be told that this is not the instant's own time.
    pub fn is_late(&self) -> bool {
        match self.class {
            Class::OnTime | Class::Manual => false,
            Class::Recovered | Class::CatchUp | Class::Waited => true,
        }
    }
}

/// One POST of an alert to the webhook.
#[derive(Clone, Debug)]
pub struct AlertAttempt {
    /// Which alert.
    pub seq: Seq,
    /// 1 is the first.
    pub number: u32,
    /// What to send.
    pub post: Arc<Post>,
}

/// What is sent over a channel: comes back with its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParcelId {
    /// Messages that waited. Counts what this process sent.
    Queued(u64),
    /// A test, for which this client waits.
    Test(RequestId),
}

/// One POST over a channel.
#[derive(Clone, Debug)]
pub struct MessageAttempt {
    /// What it is.
    pub id: ParcelId,
    /// Sent as `Idempotency-Key`, and as `webhook-id` where it is signed: the same each time the same is sent.
    pub key: Box<str>,
    /// What to send.
    pub post: Arc<Post>,
}

/// One letter over a channel of e-mail.
#[derive(Clone, Debug)]
pub struct MailAttempt {
    /// What it is.
    pub id: ParcelId,
    /// By which server, from whom, to whom.
    pub mailbox: Arc<Mailbox>,
    /// What to send.
    pub letter: Letter,
}

/// A letter as it is said, before it is put into a form that servers understand. Its texts may hold anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Names it, the same each time it is sent: the left part of its `Message-ID`.
    pub key: Box<str>,
    /// The key of the letter that it follows.
    pub follows: Option<Box<str>>,
    /// What it is about, in a line.
    pub subject: String,
    /// What it says.
    pub text: String,
}

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered with this status.
    Answered(u16),
    /// No whole answer within the time limit.
    TimedOut(String),
    /// The connection failed before a whole answer came.
    ConnectionFailed(String),
    /// The worker could not carry out the attempt; not the target's fault.
    WorkerFailed(String),
    /// It was not begun: this node may not trust any more that the job is its own. Not a byte was written.
    Withheld,
}

/// A worker's report of an errand: one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrandReport {
    /// Of an execution's attempt.
    Execution(Report),
    /// Of an alert's attempt.
    Alert(AlertReport),
    /// Of a trial.
    Trial(Report),
    /// Of a POST over a channel.
    Message(MessageReport),
}

/// A worker's report of an execution's attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which execution.
    pub handle: Handle,
    /// Which attempt of it.
    pub attempt: u32,
    /// What it came to.
    pub outcome: Outcome,
    /// The worker's wall clock just before it wrote the first byte of the request, on a connection that was ready. If
    /// it wrote none, when it gave the attempt up: what is late because of a name or a connection shows here.
    pub dispatched: WallUs,
    /// From the start of the attempt to its outcome, in microseconds. It starts when it begins to connect, or to write
    /// where a connection rests, so that a slow connect is part of it.
    pub duration_us: u64,
    /// Whether a byte of the request was written, so that the target may have got it.
    pub was_sent: bool,
    /// What few attempts have to tell.
    pub answer: Option<Box<Answer>>,
}

/// What few attempts have to tell beside their outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Where the time went; None: all of it into waiting for the answer.
    pub timings: Option<Timings>,
    /// How long the target wants to be left alone (`Retry-After`, RFC 9110 section 10.2.3), in seconds from now.
    pub retry_after_s: Option<u32>,
    /// The beginning of the answer's body as text, if it was no success.
    pub response: Option<Box<str>>,
    /// All headers of the answer, of a trial.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

/// A worker's report of an alert's attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertReport {
    /// Which alert.
    pub seq: Seq,
    /// Which attempt of it.
    pub attempt: u32,
    /// What it came to.
    pub outcome: Outcome,
}

/// A worker's report of a POST over a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageReport {
    /// What was sent.
    pub id: ParcelId,
    /// What it came to.
    pub outcome: Outcome,
    /// The beginning of the answer's body as text, if it was no success.
    pub response: Option<Box<str>>,
    /// How long the channel wants to be left alone, in seconds from now.
    pub retry_after_s: Option<u32>,
    /// From the start of the attempt to its outcome, in microseconds.
    pub duration_us: u64,
}

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailReport {
    /// Which.
    pub id: ParcelId,
    /// Whether the mail server took it: for whom it did not, if for some; or why it did not.
    pub taken: Result<Option<String>, String>,
    /// How long that took, in microseconds.
    pub duration_us: u64,
}
