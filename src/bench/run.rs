//! Owns the order of a measurement: limits, receiver, subject, jobs, warm-up, window, stragglers, end.
//! It must not judge a single arrival, nor work at the full second: that is when the subject does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::BenchError;
use super::ceiling::{self, Limits};
use super::client::drive;
use super::load::Paced;
use super::measured::{Measured, Minute, NodeFigures, highest};
use super::options::{Mode, Options, Subject as Choice};
use super::procfs::{self, Usage};
use super::progress::Progress;
use super::receiver::{Behaviour, Receiver};
use super::stream::Identity;
use super::subject::Subject;
use super::takeover::Takeover;
use super::tally::{OPEN_SECONDS, Tally};
use crate::clock;
use crate::schedule::{Schedule, Zone};
use crate::time::{Instant as Second, US_PER_SECOND};

/// Executions of the window that are late are awaited so long after it.
const STRAGGLE: Duration = Duration::from_secs(5);
/// The same where a node was killed, whose jobs others have to take over.
const STRAGGLE_AFTER_KILL: Duration = Duration::from_secs(20);
/// A node is killed so long after a full second: while POSTs are under way.
const KILL_AFTER_SECOND_US: i64 = 2_000;
/// What comes twice may come a little later.
const SETTLE: Duration = Duration::from_millis(500);
/// How long before a full second everything of ours is done with.
const BEFORE_SECOND_US: i64 = 60_000;
/// Connections of the API load.
const API_CONNECTIONS: usize = 64;

/// Measures.
pub(super) fn measure(
    options: &Options,
    progress: &mut Progress,
    stop: &Arc<AtomicBool>,
) -> Result<Measured, BenchError> {
    let machine = procfs::machine();
    let identity = options.tls.then(Identity::make).transpose();
    let identity = identity.map_err(|why| BenchError::Io("make a certificate", why))?;
    let limits = limits(options, identity.as_ref(), progress, stop)?;
    let sync = match &options.subject {
        Choice::Child(child) if child.shared.is_none() => ceiling::sync(&child.folder),
        // The disk of the database may be elsewhere.
        Choice::Child(_) | Choice::Api { .. } | Choice::Elsewhere { .. } => None,
    };
    let behaviour = Behaviour {
        spread: options.spread,
        delay: options.delay,
        fail_per_cent: options.fail_per_cent,
        slack_us: options.slack_us,
    };
    let receiver = Receiver::start(behaviour, identity.clone(), options.port, options.receivers)
        .map_err(|why| BenchError::Io("start the receiver", why))?;
    let mut subject = Subject::begin(&options.subject, identity.as_ref(), progress)?;
    let settling = Instant::now();
    let shards = subject.settle(stop)?;
    let settled = (!shards.is_empty()).then(|| settling.elapsed());
    let (schedule, begin) = schedule(options)?;
    let creation = prepare(options, &schedule, &receiver, &mut subject, progress, stop)?;
    let now = u32::try_from(clock::wall().floor().as_secs()).unwrap_or(0);
    if begin.is_some_and(|begin| now >= begin) {
        return Err(BenchError::Nothing("failed to create the jobs before they begin: raise --begin".to_owned()));
    }
    let from = begin.unwrap_or(now + 1) + options.warm_up;
    let window = (from, from + options.seconds);
    let due = due(&schedule, window)?;
    let tally = Tally::new(options.jobs, options.spread, window, due);
    receiver.record();
    let beside = beside(options, &subject, window, stop)?;
    let (minutes, minute, takeover) = (Vec::new(), (0, 0), None);
    let mut watch = Watch { options, receiver: &receiver, subject, tally, window, minutes, minute, takeover, stop };

    progress.say(&format!("{} jobs, a window of {} s begins in {} s", options.jobs, options.seconds, from - now));
    watch.sleep_until(from, -BEFORE_SECOND_US)?;
    let before = (watch.subject.usages(), procfs::cpu_of_all(&receiver.tasks()));
    let posts_before = receiver.requests();
    watch.window(progress)?;
    let after = (watch.subject.usages(), procfs::cpu_of_all(&receiver.tasks()));
    let posts = receiver.requests() - posts_before;
    watch.stragglers(progress)?;

    let api_load = match beside {
        None => None,
        Some(thread) => {
            let paced = thread.join().map_err(|_| BenchError::Api("failed to load the API beside".to_owned()))??;
            watch.subject.also_created(paced.created.clone());
            Some(paced.results())
        }
    };
    let Watch { mut subject, mut tally, minutes, takeover, .. } = watch;
    let metrics = subject.metrics();
    let usages = used(&before.0, &after.0, &subject.usages());
    let nodes = nodes(&subject, &shards, &usages);
    let files = subject.files();
    let stopped = subject.stop();
    let history = subject.became(window)?;
    tally.close_before(u32::MAX);
    Ok(Measured {
        machine,
        limits,
        sync,
        window,
        counts: tally.counts,
        hung: tally.hung,
        drift: tally.drift(),
        shares: tally.shares(),
        seconds: tally.seconds,
        minutes,
        creation,
        api_load,
        posts,
        usage: usages.into_iter().flatten().reduce(|all, one| (all.0.plus(one.0), all.1.plus(one.1))),
        metrics,
        nodes,
        settled,
        takeover: takeover.map(|takeover| takeover.figures(tally.counts.repeats)),
        history,
        files,
        stopped,
        receiver_cpu: before.1.zip(after.1).map(|(first, last)| last.saturating_sub(first)),
    })
}

/// What each server used at the beginning and the end of the window. The highest memory may have been needed after it.
fn used(before: &[Option<Usage>], after: &[Option<Usage>], now: &[Option<Usage>]) -> Vec<Option<(Usage, Usage)>> {
    let each = before.iter().zip(after).zip(now);
    each.map(|((before, after), now)| {
        let (before, after) = ((*before)?, (*after)?);
        Some((before, Usage { peak_rss_kib: now.map_or(after.peak_rss_kib, |now| now.peak_rss_kib), ..after }))
    })
    .collect()
}

/// The nodes, if there is more than one server.
fn nodes(subject: &Subject, shards: &[u64], usages: &[Option<(Usage, Usage)>]) -> Vec<NodeFigures> {
    let each = subject.children().iter().zip(shards).zip(usages);
    each.map(|((child, shards), usage)| NodeFigures {
        name: child.name().to_owned(),
        shards: *shards,
        is_killed: child.is_killed(),
        usage: *usage,
    })
    .collect()
}

fn limits(
    options: &Options,
    identity: Option<&Identity>,
    progress: &mut Progress,
    stop: &AtomicBool,
) -> Result<Option<Limits>, BenchError> {
    if options.limit_time.is_zero() {
        return Ok(None);
    }
    let seconds = options.limit_time.as_secs();
    progress.say(&format!("measuring the machine: {seconds} s a bare client, {seconds} s the workers alone"));
    let max_in_flight = match &options.subject {
        Choice::Child(child) => child.max_in_flight,
        Choice::Api { .. } | Choice::Elsewhere { .. } => ceiling::MAX_IN_FLIGHT,
    };
    let limits = ceiling::measure(options.receivers, max_in_flight, options.limit_time, identity, stop);
    if stop.load(Ordering::Relaxed) {
        return Err(BenchError::Interrupted);
    }
    limits.map(Some).map_err(|why| BenchError::Io("measure the machine", why))
}

/// Creates the jobs, or waits for those of others.
fn prepare(
    options: &Options,
    schedule: &Schedule,
    receiver: &Receiver,
    subject: &mut Subject,
    progress: &mut Progress,
    stop: &AtomicBool,
) -> Result<Option<Duration>, BenchError> {
    if subject.api().is_none() {
        let ports = receiver.ports();
        let first = format!("http://127.0.0.1:{}/job/0", ports[0]);
        progress.say(&format!("waiting for POSTs of jobs 0 to {}, the first to {first}", options.jobs - 1));
        let until = Instant::now() + options.wait;
        while receiver.requests() == 0 {
            if stop.load(Ordering::Relaxed) {
                return Err(BenchError::Interrupted);
            }
            if Instant::now() >= until {
                return Err(BenchError::Nothing(format!("failed to measure: nothing came to {first}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        return Ok(None);
    }
    if options.idle_jobs > 0 {
        progress.say(&format!("creating {} idle jobs", options.idle_jobs));
        let nowhere = |_| "http://127.0.0.1:9/idle".to_owned();
        subject.create(options.idle_jobs, &tomorrow(), &nowhere, stop)?;
    }
    progress.say(&format!("creating {} jobs", options.jobs));
    let url = |job| receiver.url(job);
    subject.create(options.jobs, schedule.text(), &url, stop).map(Some)
}

/// Once, a day from now.
fn tomorrow() -> String {
    let at = clock::wall().floor().as_secs() + 86_400;
    let time = chrono::DateTime::from_timestamp(at, 0).unwrap_or_default();
    time.format("%-S %-M %-H %-d %-m * %Y").to_string()
}

/// The schedule of the jobs, and when they begin together, if they do: then it names only the minutes of the run.
fn schedule(options: &Options) -> Result<(Schedule, Option<u32>), BenchError> {
    if options.begin == 0 {
        return Ok((options.schedule.clone(), None));
    }
    let now = u32::try_from(clock::wall().floor().as_secs()).unwrap_or(0);
    let begin = (now + options.begin).next_multiple_of(60);
    let minutes = (options.warm_up + options.seconds).div_ceil(60);
    let text = format!("* {}-{} * * * *", begin / 60 % 60, (begin / 60 + minutes) % 60);
    let schedule = Schedule::parse(&text, Zone::default(), Second::from_secs(0));
    let schedule =
        schedule.map_err(|why| BenchError::Nothing(format!("failed to make the schedule {text:?}: {why}")))?;
    Ok((schedule, Some(begin)))
}

/// The instants in the window at which every job is due.
fn due(schedule: &Schedule, (from, until): (u32, u32)) -> Result<Vec<u32>, BenchError> {
    let before = Second::from_secs(i64::from(from) - 1);
    let instants = std::iter::successors(schedule.next_after(before), |&at| schedule.next_after(at));
    let due: Vec<u32> = instants.map_while(|at| u32::try_from(at.as_secs()).ok().filter(|at| *at < until)).collect();
    if due.is_empty() {
        return Err(BenchError::Nothing(format!("failed to measure: {:?} is not due in the window", schedule.text())));
    }
    Ok(due)
}

/// Starts the API load, which begins and ends with the window.
fn beside(
    options: &Options,
    subject: &Subject,
    (from, until): (u32, u32),
    stop: &Arc<AtomicBool>,
) -> Result<Option<JoinHandle<Result<Paced, BenchError>>>, BenchError> {
    let Some((addresses, host)) = subject.api().filter(|_| options.api_creates + options.api_gets > 0) else {
        return Ok(None);
    };
    let (start, end) = (moment(from), moment(until));
    let rates = (options.api_creates, options.api_gets);
    let mut paced = Paced::new(host, &tomorrow(), subject.created().to_vec(), rates, start);
    let (addresses, stop) = (addresses.to_vec(), Arc::clone(stop));
    let thread = std::thread::Builder::new().name("api-load".to_owned()).spawn(move || {
        drive(&addresses, API_CONNECTIONS, &mut paced, end, &stop)
            .map_err(|why| BenchError::Io("load the API beside", why))?;
        Ok(paced)
    });
    thread.map(Some).map_err(|why| BenchError::Io("start a thread", why))
}

/// A full second as the monotonic clock will have it.
fn moment(second: u32) -> Instant {
    let ahead_us = i64::from(second) * US_PER_SECOND - clock::wall().0;
    Instant::now() + Duration::from_micros(u64::try_from(ahead_us).unwrap_or(0))
}

/// What is at hand while the window runs.
struct Watch<'a> {
    options: &'a Options,
    receiver: &'a Receiver,
    subject: Subject,
    tally: Tally,
    window: (u32, u32),
    minutes: Vec<Minute>,
    /// Arrived and missed up to the last minute.
    minute: (u64, u64),
    /// Once a node was killed.
    takeover: Option<Takeover>,
    stop: &'a AtomicBool,
}

impl Watch<'_> {
    /// Follows the window, and shows it.
    fn window(&mut self, progress: &mut Progress) -> Result<(), BenchError> {
        let (from, until) = self.window;
        for second in from..until {
            if self.options.kills() && second == from + self.options.seconds / 2 {
                self.kill(second, progress)?;
            }
            // Everything of ours is done between the bursts.
            self.sleep_until(second + 1, -BEFORE_SECOND_US)?;
            self.take_in();
            self.tally.close_before(second.saturating_sub(OPEN_SECONDS));
            self.subject.check()?;
            let passed = second + 1 - from;
            if progress.is_terminal() || self.options.seconds <= 60 || passed.is_multiple_of(10) {
                let counts = &self.tally.counts;
                let max_ms = self.tally.drift().max as f64 / 1_000.0;
                let (arrived, total) = (counts.arrived, self.options.seconds);
                progress.pass(&format!("second {passed} of {total}: {arrived} arrived, latest {max_ms:.1} ms"));
            }
            if self.options.mode == Mode::Soak && passed.is_multiple_of(60) {
                self.close_minute(passed / 60, progress);
            }
        }
        Ok(())
    }

    /// Waits for what is late, as long as that makes sense.
    fn stragglers(&mut self, progress: &mut Progress) -> Result<(), BenchError> {
        self.sleep_until(self.window.1, i64::try_from(SETTLE.as_micros()).unwrap_or(0))?;
        self.take_in();
        let until = Instant::now() + if self.takeover.is_some() { STRAGGLE_AFTER_KILL } else { STRAGGLE };
        let mut said = false;
        while !self.is_complete() && Instant::now() < until {
            if !std::mem::replace(&mut said, true) {
                progress.say(&format!("waiting for {} that have not arrived", self.tally.counts.missed()));
            }
            self.nap(Duration::from_millis(50))?;
            self.take_in();
        }
        Ok(())
    }

    /// Whether all has arrived that was due, and every job of a node that was killed goes on.
    fn is_complete(&self) -> bool {
        self.tally.is_complete() && self.takeover.as_ref().is_none_or(Takeover::is_over)
    }

    /// Kills a node just after a second has begun.
    fn kill(&mut self, second: u32, progress: &mut Progress) -> Result<(), BenchError> {
        let (node, jobs) = self.subject.victim()?;
        progress.say(&format!("killing {node}, which has {} of the jobs", jobs.len()));
        self.sleep_until(second, KILL_AFTER_SECOND_US)?;
        self.takeover = Some(Takeover::new(node, jobs, self.subject.kill(), self.tally.counts.repeats));
        Ok(())
    }

    fn close_minute(&mut self, number: u32, progress: &mut Progress) {
        let drift = self.tally.take_recent();
        let metrics = self.subject.metrics();
        // What is due and not yet in is not missed yet: a minute is judged a second late.
        let (arrived, per_second) =
            (self.tally.counts.arrived, self.tally.counts.due / u64::from(self.options.seconds));
        let missed = (u64::from(number) * 60 * per_second).saturating_sub(arrived);
        let minute = Minute {
            number,
            arrived: arrived - self.minute.0,
            missed: missed.saturating_sub(self.minute.1),
            drift,
            usage: self.subject.usages().into_iter().flatten().reduce(Usage::plus),
            files: self.subject.files(),
            commit_p99_ms: highest(&metrics, "/store/commit/p99Ms"),
            held_up_max_ms: highest(&metrics, "/store/heldUp/maxMs"),
        };
        self.minute = (arrived, missed);
        progress.say(&super::table::minute(&minute));
        self.minutes.push(minute);
    }

    fn take_in(&mut self) {
        for arrivals in self.receiver.take() {
            self.tally.add(&arrivals);
            if let Some(takeover) = &mut self.takeover {
                takeover.add(&arrivals);
            }
        }
    }

    fn sleep_until(&self, second: u32, plus_us: i64) -> Result<(), BenchError> {
        let at_us = i64::from(second) * US_PER_SECOND + plus_us;
        loop {
            match u64::try_from(at_us - clock::wall().0) {
                Err(_) | Ok(0) => return Ok(()),
                Ok(left_us) => self.nap(Duration::from_micros(left_us.min(100_000)))?,
            }
        }
    }

    fn nap(&self, time: Duration) -> Result<(), BenchError> {
        std::thread::sleep(time);
        if self.stop.load(Ordering::Relaxed) { Err(BenchError::Interrupted) } else { Ok(()) }
    }
}
