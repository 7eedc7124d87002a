//! Owns what is written down of an execution: its row while it is under way, and the record that stays.
//! It must not decide what happens to it.

use super::details::{Details, Wait};
use super::key::{ExecutionId, ExecutionKey};
use crate::time::{Instant, WallUs};

/// The number of a row in the ledger. Rises with every execution armed, over restarts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// What became of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not finished: armed, in flight, or waiting for a retry.
    Pending,
    /// A target answered 2xx.
    Success,
    /// The last attempt failed.
    Failed,
    /// No POST was made; the row gives the reason.
    Skipped,
}

impl Status {
    /// The name clients know.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Success => "SUCCESS",
            Status::Failed => "FAILED",
            Status::Skipped => "SKIPPED",
        }
    }

    /// The number the store keeps. Success is 0, which costs SQLite no byte. Released numbers never change.
    pub fn code(self) -> u8 {
        match self {
            Status::Success => 0,
            Status::Pending => 1,
            Status::Failed => 2,
            Status::Skipped => 3,
        }
    }

    /// The status with this code.
    pub fn from_code(code: u8) -> Option<Status> {
        match code {
            0 => Some(Status::Success),
            1 => Some(Status::Pending),
            2 => Some(Status::Failed),
            3 => Some(Status::Skipped),
            _ => None,
        }
    }
}

/// On what footing an execution goes out. Only `OnTime` counts as drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Armed ahead of its instant and fired at it.
    OnTime,
    /// In doubt after a crash, and sent again.
    Recovered,
    /// Its instant passed while nobody could fire.
    CatchUp,
    /// A client asked for it.
    Manual,
    /// Another execution of its job, or its concurrency key, came first.
    Waited,
}

impl Class {
    /// The number the store keeps. Released numbers never change.
    pub fn code(self) -> u8 {
        match self {
            Class::OnTime => 0,
            Class::Recovered => 1,
            Class::CatchUp => 2,
            Class::Manual => 3,
            Class::Waited => 4,
        }
    }

    /// The class with this code.
    pub fn from_code(code: u8) -> Option<Class> {
        match code {
            0 => Some(Class::OnTime),
            1 => Some(Class::Recovered),
            2 => Some(Class::CatchUp),
            3 => Some(Class::Manual),
            4 => Some(Class::Waited),
            _ => None,
        }
    }
}

/// The instants one row stands for, where it is more than its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covers {
    /// The earliest instant covered; the row's own is the latest.
    pub from: Instant,
    /// How many.
    pub count: u32,
    /// Whether there are more than `count`.
    pub more: bool,
}

/// What became of an execution so far: one and the same in the ledger, in history, and in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How it stands or ended.
    pub status: Status,
    /// On what footing it goes out.
    pub class: Class,
    /// The number of the attempt that is next, in flight, or decided. 1 is the first.
    pub attempt: u32,
    /// How many of the attempts were made because of a crash; they do not use up retries.
    pub recoveries: u32,
    /// The first dispatch.
    pub executed: Option<WallUs>,
    /// The status of the last answer.
    pub http_status: Option<u16>,
    /// How long the last attempt took, in microseconds.
    pub duration_us: Option<u64>,
    /// Why the last attempt failed, or why no POST was made.
    pub error: Option<Box<str>>,
    /// The missed instants this stands for.
    pub covers: Option<Covers>,
    /// What few have to tell.
    pub details: Option<Box<Details>>,
}

impl Record {
    /// Of an execution that was not sent yet.
    pub fn pending(class: Class) -> Record {
        Record {
            status: Status::Pending,
            class,
            attempt: 1,
            recoveries: 0,
            executed: None,
            http_status: None,
            duration_us: None,
            error: None,
            covers: None,
            details: None,
        }
    }

    /// Somewhere to put what few have to tell.
    pub fn details_mut(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }

    /// Puts down what it waits for. While that is on disk, it is known not to be sent.
    pub(super) fn note_wait(&mut self, wait: Option<Wait>) {
        let details = self.details_mut();
        details.waits_for = wait;
        if *details == Details::default() {
            self.details = None;
        }
    }

    /// Attempts after the first.
    pub fn retry_count(&self) -> u32 {
        self.attempt.saturating_sub(1)
    }
}

/// One row of the ledger, whole: writing it again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Its number in the ledger.
    pub seq: Seq,
    /// Which execution.
    pub key: ExecutionKey,
    /// While pending: when the next attempt is due.
    pub due: WallUs,
    /// What became of it.
    pub record: Record,
}

impl LedgerRow {
    /// The first row of an execution that is due at its instant.
    pub fn pending(seq: Seq, key: ExecutionKey, class: Class) -> LedgerRow {
        LedgerRow { seq, key, due: WallUs::of(key.instant), record: Record::pending(class) }
    }
}

/// A failed execution that somebody must hear of.
#[derive(Clone, Debug)]
pub struct AlertRecord {
    /// The number of the failed execution's row, which also identifies the alert.
    pub seq: Seq,
    /// Which execution failed.
    pub execution: ExecutionId,
    /// The job's URL when it failed.
    pub api: Box<str>,
    /// The job's schedule when it failed.
    pub schedule: Box<str>,
    /// Why the last attempt failed.
    pub error: Box<str>,
    /// When the core decided.
    pub at: WallUs,
}
