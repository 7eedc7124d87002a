//! Owns the order of a measurement: limits, receiver, subject, jobs, warm-up, window, stragglers, end.
//! It must not judge a single arrival.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::BenchError;
use super::ceiling::{self, Limits};
use super::client::drive;
use super::load::{Paced, When};
use super::measured::{Creation, Measured, NodeFigures};
use super::options::{Options, Subject as Choice};
use super::overload::Overload;
use super::procfs::{self, Usage};
use super::progress::Progress;
use super::receiver::{Behaviour, Receiver};
use super::stream::Identity;
use super::subject::Subject;
use super::tally::Tally;
use super::watch::Watch;
use crate::clock;
use crate::schedule::{Schedule, Zone};
use crate::time::{Instant as Second, US_PER_SECOND};

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
    let disk = match &options.subject {
        Choice::Child(child) if child.shared.is_none() => Some(child.folder.as_path()),
        // The disk of the database may be elsewhere.
        Choice::Child(_) | Choice::Api { .. } | Choice::Elsewhere { .. } => None,
    };
    let sync = disk.and_then(ceiling::sync);
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
    let overload = options.overload.as_ref();
    let overload = overload.map(|overload| Overload::new(overload, options.warm_up)).transpose()?;
    if let Some(overload) = &overload {
        progress.say(&format!("creating {} jobs that are due later", overload.jobs));
        subject.create((overload.jobs, options.batch), &overload.when(), &|job| overload.url(job), stop)?;
    }
    let creation = prepare(options, &schedule, &receiver, &mut subject, progress, stop)?;
    let creation = creation.map(|(time, commits)| Creation::new(options.jobs, time, commits));
    let now = u32::try_from(clock::wall().floor().as_secs()).unwrap_or(0);
    if begin.is_some_and(|begin| now >= begin) {
        return Err(BenchError::Nothing("failed to create the jobs before they begin: raise --begin".to_owned()));
    }
    let from = match overload.as_ref().zip(options.overload) {
        None => begin.unwrap_or(now + 1) + options.warm_up,
        Some((overload, options)) => overload.between.0 - options.before,
    };
    if now + options.warm_up > from {
        return Err(BenchError::Nothing("failed to create the jobs before the window begins".to_owned()));
    }
    let window = (from, from + options.seconds);
    let due = due(&schedule, window)?;
    let tally = Tally::new(options.jobs, options.spread, window, due);
    receiver.record();
    let beside = beside(options, &subject, window, stop)?;
    let (minutes, minute, takeover) = (Vec::new(), (0, 0), None);
    let mut watch =
        Watch { options, receiver: &receiver, subject, tally, window, minutes, minute, takeover, overload, stop };

    progress.say(&format!("{} jobs, a window of {} s begins in {} s", options.jobs, options.seconds, from - now));
    watch.warm_up()?;
    let before = (watch.subject.usages(), procfs::cpu_of_all(&receiver.tasks()));
    let posts_before = watch.requests();
    watch.window(progress)?;
    let after = (watch.subject.usages(), procfs::cpu_of_all(&receiver.tasks()));
    let posts = watch.requests() - posts_before;
    watch.stragglers(progress)?;

    let api_load = match beside {
        None => None,
        Some(thread) => {
            let paced = thread.join().map_err(|_| BenchError::Api("failed to load the API beside".to_owned()))??;
            watch.subject.also_created(paced.created.clone());
            Some(paced.results())
        }
    };
    let Watch { mut subject, mut tally, minutes, takeover, overload, .. } = watch;
    let metrics = subject.metrics();
    let usages = used(&before.0, &after.0, &subject.usages());
    let nodes = nodes(&subject, &shards, &usages);
    let files = subject.files();
    let stopped = subject.stop();
    let history = subject.became(window)?;
    tally.close_before(u32::MAX);
    let overload = overload.map(|overload| overload.figures(&tally.seconds));
    // When nothing else runs any more.
    let batch = creation.as_ref().and_then(|creation| creation.batch).filter(|_| limits.is_some());
    let alone = disk.zip(batch).and_then(|(disk, batch)| ceiling::creations(disk, batch, options.limit_time));
    Ok(Measured {
        machine,
        limits,
        sync,
        creations_alone: alone,
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
        overload,
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

/// Creates the jobs, or waits for those of others. How long that took, and with how many commits.
fn prepare(
    options: &Options,
    schedule: &Schedule,
    receiver: &Receiver,
    subject: &mut Subject,
    progress: &mut Progress,
    stop: &AtomicBool,
) -> Result<Option<(Duration, Option<u64>)>, BenchError> {
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
        subject.create((options.idle_jobs, options.batch), &When::by(&tomorrow()), &nowhere, stop)?;
    }
    progress.say(&format!("creating {} jobs", options.jobs));
    let url = |job| receiver.url(job);
    let before = subject.commits();
    let time = subject.create((options.jobs, options.batch), &When::by(schedule.text()), &url, stop)?;
    let commits = subject.commits().zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok(Some((time, commits)))
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
    let mut paced = Paced::new(host, When::by(&tomorrow()), subject.created().to_vec(), rates, start);
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
