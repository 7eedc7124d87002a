//! Owns the sending of letters: it takes them, hands each to its mail server, and gives back exactly one report for every one.
//! It must not make the loop wait, nor let one mail server hold up another.
//!
//! A letter has a thread of its own for as long as it is under way, which is a bounded time. [`Office`] starts the
//! threads; one composes its `letter`, and speaks to the server in a `session` over a `wire`, hearing each `reply`.
//!
//! The client is our own as the few commands it takes are fewer than the settings of a library: it bounds a delivery as a
//! whole, however slowly a server talks, and connects to no address that requests may not go to.

mod letter;
mod reply;
mod session;
mod wire;

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::clock;
use crate::core::{MailAttempt, MailReport};
use crate::dispatch::{Allowlist, Notify, System, Trust, ask_system};
use crate::limits::{MAIL_THREADS_MAX, MAIL_TIMEOUT};
use session::deliver;
pub use session::hand_over;

/// How letters are sent.
#[derive(Clone)]
pub struct MailSettings {
    /// Where mail servers may be.
    pub targets: Allowlist,
    /// Whom they are trusted by.
    pub trust: Arc<Trust>,
    /// What looks their names up.
    pub system: System,
    /// How long a letter may take as a whole.
    pub timeout: std::time::Duration,
}

impl MailSettings {
    /// With the names that this machine knows, and the usual time limit.
    pub fn new(targets: Allowlist, trust: Arc<Trust>) -> MailSettings {
        MailSettings { targets, trust, system: Arc::new(ask_system), timeout: MAIL_TIMEOUT }
    }
}

impl fmt::Debug for MailSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailSettings").field("targets", &self.targets).finish_non_exhaustive()
    }
}

/// Where letters are handed in. Dropped, it leaves what is under way to its threads, which end by themselves.
pub struct Office {
    settings: Arc<MailSettings>,
    notify: Notify,
    report: Sender<MailReport>,
    reports: Receiver<MailReport>,
    /// Threads that have not reported.
    threads: usize,
    /// What waits until there are fewer.
    waiting: VecDeque<MailAttempt>,
    /// Letters for which there was no thread.
    refused: Vec<MailReport>,
}

impl Office {
    /// `notify` is called when a report waits.
    pub fn new(settings: MailSettings, notify: Notify) -> Office {
        let (report, reports) = bounded(MAIL_THREADS_MAX);
        let settings = Arc::new(settings);
        Office { settings, notify, report, reports, threads: 0, waiting: VecDeque::new(), refused: Vec::new() }
    }

    /// Hands a letter in. Never blocks: the caller sees to it that each channel has one under way at most.
    pub fn send(&mut self, attempt: MailAttempt) {
        self.waiting.push_back(attempt);
        self.start_some();
    }

    /// What became of letters since this was asked last.
    pub fn receive(&mut self) -> Vec<MailReport> {
        let mut reports = std::mem::take(&mut self.refused);
        for report in self.reports.try_iter() {
            self.threads -= 1;
            reports.push(report);
        }
        self.start_some();
        reports
    }

    fn start_some(&mut self) {
        while self.threads < MAIL_THREADS_MAX
            && let Some(attempt) = self.waiting.pop_front()
        {
            let id = attempt.id;
            match self.start(attempt) {
                Ok(()) => self.threads += 1,
                Err(error) => {
                    let taken = Err(format!("the system gives no thread to send it: {error}"));
                    self.refused.push(MailReport { id, taken, duration_us: 0 });
                    (self.notify)();
                }
            }
        }
    }

    fn start(&self, attempt: MailAttempt) -> std::io::Result<()> {
        let (settings, report, notify) = (Arc::clone(&self.settings), self.report.clone(), Arc::clone(&self.notify));
        let run = move || {
            let MailAttempt { id, mailbox, letter } = attempt;
            let began = clock::mono();
            let sent = || deliver(&mailbox, &letter, &settings, began.plus(settings.timeout));
            let taken = catch_unwind(AssertUnwindSafe(sent));
            let taken = taken.unwrap_or_else(|_| Err("the thread failed in the middle of the letter".to_owned()));
            let duration_us = clock::mono().0.saturating_sub(began.0);
            // If nobody receives any more, the process ends.
            if report.send(MailReport { id, taken, duration_us }).is_ok() {
                notify();
            }
        };
        thread::Builder::new().name("mail".to_owned()).stack_size(512 * 1024).spawn(run).map(drop)
    }
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (threads, waiting) = (self.threads, self.waiting.len());
        f.debug_struct("Office").field("threads", &threads).field("waiting", &waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod tests;
