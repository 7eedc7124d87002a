//! Owns the sending of attempts: it takes them, POSTs each, and gives back a report for every one.
//! It must not know the scheduler's state: only how much may be in flight is agreed.

mod blocking;
mod request;
mod resolver;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::clock;
use crate::core::{Attempt, Outcome, Report};

/// How attempts are sent.
#[derive(Clone, Debug)]
pub struct DispatchSettings {
    /// How many threads send.
    pub workers: usize,
    /// How many attempts may be handed out and not reported.
    pub in_flight_max: u32,
    /// How long one attempt may take as a whole.
    pub timeout: Duration,
    /// The `User-Agent` of every POST.
    pub user_agent: String,
}

/// Called when reports wait and the receiver may be asleep.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// The worker pool.
#[derive(Debug)]
pub struct Pool {
    attempts: Sender<Attempt>,
    reports: Receiver<Report>,
    bell: Arc<Bell>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts the threads. `notify` is called from them.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(settings: DispatchSettings, notify: Notify) -> io::Result<Pool> {
        let room = settings.in_flight_max as usize;
        let (attempts, work) = bounded::<Attempt>(room);
        let (done, reports) = bounded::<Report>(room);
        let bell = Arc::new(Bell { notify: NotifyFn(notify), rung: AtomicBool::new(false) });
        let resolver = resolver::Resolver::default();
        let mut workers = Vec::new();
        for number in 0..settings.workers {
            let (work, done, bell) = (work.clone(), done.clone(), Arc::clone(&bell));
            let client = blocking::Client::new(&settings, resolver.clone());
            let name = format!("worker-{number}");
            workers.push(std::thread::Builder::new().name(name).stack_size(256 * 1024).spawn(move || {
                run(&work, &done, &bell, |attempt| client.post(attempt));
            })?);
        }
        Ok(Pool { attempts, reports, bell, workers })
    }

    /// Hands attempts over. Never blocks: no more than `in_flight_max` may be out, and the channel holds as many.
    pub fn send(&mut self, attempts: impl IntoIterator<Item = Attempt>) {
        for attempt in attempts {
            self.attempts.try_send(attempt).expect("the channel holds everything that may be in flight");
        }
    }

    /// Appends up to `max` reports.
    pub fn receive(&mut self, max: usize, into: &mut Vec<Report>) {
        self.bell.silence();
        into.extend(self.reports.try_iter().take(max));
        if into.len() >= max {
            self.bell.ring();
        }
    }

    /// Attempts that no worker has taken up yet.
    pub fn waiting(&self) -> usize {
        self.attempts.len()
    }

    /// How many threads send.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }
}

/// Takes attempts until the pool is gone. Each ends with a report, even if sending it panics.
fn run(work: &Receiver<Attempt>, done: &Sender<Report>, bell: &Bell, post: impl Fn(&Attempt) -> Report) {
    for attempt in work {
        let report = catch_unwind(AssertUnwindSafe(|| post(&attempt))).unwrap_or_else(|_| Report {
            handle: attempt.handle,
            attempt: attempt.number,
            outcome: Outcome::WorkerFailed("the worker failed in the middle of the attempt".to_owned()),
            dispatched: clock::wall(),
            duration_us: 0,
        });
        if done.send(report).is_err() {
            return;
        }
        bell.ring();
    }
}

/// Wakes the receiver once, until it has looked.
#[derive(Debug)]
struct Bell {
    notify: NotifyFn,
    rung: AtomicBool,
}

struct NotifyFn(Notify);

impl std::fmt::Debug for NotifyFn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NotifyFn")
    }
}

impl Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            (self.notify.0)();
        }
    }

    /// Before looking: whatever comes from now on rings again.
    fn silence(&self) {
        self.rung.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        Class, Delivery, Endpoint, ExecutionId, Handle, Instant, JobId, JobKey, JobSpec, Kind, Seq, WallUs,
    };
    use crate::schedule::{Schedule, Zone};

    fn attempt(seq: u64) -> Attempt {
        let id = JobId::new(JobKey(1), [1; 10]);
        let instant = Instant::from_secs(10);
        let spec = JobSpec {
            id,
            revision: 1,
            schedule: Arc::new(Schedule::parse("* * * * * *", Zone::Utc, instant).unwrap()),
            anchor: instant,
            endpoint: Endpoint::parse("http://127.0.0.1:1/").unwrap(),
            delivery: Delivery::AtLeastOnce,
            misfire: None,
            active: true,
            created_at: WallUs(0),
            updated_at: WallUs(0),
        };
        let handle = Handle { slot: 0, seq: Seq(seq) };
        let id = ExecutionId { job: id, instant, kind: Kind::Scheduled, number: 0 };
        Attempt { handle, number: 1, id, class: Class::OnTime, spec: Arc::new(spec) }
    }

    #[test]
    fn a_panic_while_sending_is_an_outcome_and_the_worker_goes_on() {
        let (attempts, work) = bounded(4);
        let (done, reports) = bounded(4);
        let bell = Bell { notify: NotifyFn(Arc::new(|| ())), rung: AtomicBool::new(false) };
        for seq in 1..=2 {
            attempts.send(attempt(seq)).unwrap();
        }
        drop(attempts);
        run(&work, &done, &bell, |attempt| {
            assert!(attempt.handle.seq != Seq(1), "planted: the first attempt panics");
            Report {
                handle: attempt.handle,
                attempt: attempt.number,
                outcome: Outcome::Answered(200),
                dispatched: clock::wall(),
                duration_us: 1,
            }
        });
        let outcomes: Vec<Outcome> = reports.try_iter().map(|report| report.outcome).collect();
        assert!(matches!(&outcomes[..], [Outcome::WorkerFailed(_), Outcome::Answered(200)]), "{outcomes:?}");
    }
}
