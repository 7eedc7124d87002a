//! Owns the result as JSON. Keys once released keep their meaning; `format` rises when one must change.
//! It must not round away what a comparison needs: times are milliseconds with microseconds behind the point.

use serde_json::{Value, json};

use super::Verdict;
use super::identity::print_instant;
use super::load::PaceResult;
use super::measured::{Creation, Measured, NodeFigures};
use super::options::{Mode, Options, Subject};
use super::overload::OverloadFigures;
use super::takeover::TakeoverFigures;
use super::tally::{Drift, SecondLine};
use crate::clock;

/// The version of the keys below.
const FORMAT: u32 = 1;
/// Windows longer than this are reported by minutes, not by seconds.
const SECONDS_MAX: usize = 3_600;

/// The whole report.
pub(super) fn json(options: &Options, found: &Measured, verdict: &Verdict, command_line: &[String]) -> String {
    let (kept, why) = match verdict {
        Verdict::Kept => (true, None),
        Verdict::Broken(why) => (false, Some(why)),
    };
    let report = json!({
        "format": FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "date": clock::wall().to_string(),
        "commandLine": command_line,
        "kept": kept,
        "broken": why,
        "machine": machine(found),
        "setup": setup(options),
        "window": { "from": print_instant(found.window.0), "until": print_instant(found.window.1) },
        "result": result(found),
        "overload": found.overload.as_ref().map(overload),
        "takeover": found.takeover.as_ref().map(takeover),
        "history": found.history.map(|history| json!({
            "sent": history.sent, "twice": history.twice, "unsent": history.unsent,
            "differs": found.history_differs(),
        })),
        "nodes": found.nodes.iter().map(|node| self::node(found, node)).collect::<Vec<Value>>(),
        "hung": (found.hung.due > 0).then(|| json!({
            "due": found.hung.due, "arrived": found.hung.arrived, "doubled": found.hung.doubled,
            "early": found.hung.early, "repeats": found.hung.repeats,
        })),
        "limits": limits(found),
        "ratios": ratios(found),
        "server": server(found),
        "receiver": receiver(found),
        "creation": found.creation.map(|Creation { time, batch }| json!({
            "jobs": options.jobs, "perSecond": per(options.jobs.into(), time.as_secs_f64()),
            "batch": options.batch, "perCommit": batch, "alonePerSecond": found.creations_alone,
        })),
        "apiLoad": found.api_load.map(|[creates, gets]| json!({
            "creates": pace(found, creates), "gets": pace(found, gets),
        })),
        "seconds": seconds(found),
        "minutes": found.minutes.iter().map(minute).collect::<Vec<Value>>(),
    });
    let mut text = serde_json::to_string_pretty(&report).expect("a JSON value can be printed");
    text.push('\n');
    text
}

fn machine(found: &Measured) -> Value {
    let machine = &found.machine;
    json!({
        "cores": machine.cores, "kernel": machine.kernel, "cpu": machine.cpu, "memoryKib": machine.memory_kib,
        "loadBefore": machine.load,
        "syncMs": found.sync.map(|sync| json!({ "p50": ms(sync.p50_us), "p99": ms(sync.p99_us) })),
    })
}

fn setup(options: &Options) -> Value {
    let mode = match options.mode {
        Mode::Window => "window",
        Mode::Burst => "burst",
        Mode::Soak => "soak",
    };
    let (subject, child) = match &options.subject {
        Subject::Child(child) => ("child", Some(child)),
        Subject::Api { .. } => ("api", None),
        Subject::Elsewhere { .. } => ("elsewhere", None),
    };
    json!({
        "mode": mode, "subject": subject, "jobs": options.jobs, "seconds": options.seconds,
        "warmUpSeconds": options.warm_up, "schedule": options.schedule.text(), "targets": options.spread.targets,
        "hang": options.spread.hang, "hungJobs": options.spread.hung_jobs, "tls": options.tls,
        "receivers": options.receivers, "delayMs": options.delay.as_millis() as u64,
        "failPerCent": options.fail_per_cent, "idleJobs": options.idle_jobs, "overloadJobs": options.overload.map(|overload| overload.jobs),
        "beginSeconds": options.begin,
        "apiCreatesPerSecond": options.api_creates, "apiGetsPerSecond": options.api_gets,
        "history": child.map(|child| child.history), "maxInFlight": child.map(|child| child.max_in_flight),
        "serverFlags": child.map(|child| &child.flags),
        "nodes": options.shared().map(|shared| shared.nodes), "kill": options.kills(),
    })
}

fn result(found: &Measured) -> Value {
    let counts = &found.counts;
    json!({
        "due": counts.due, "arrived": counts.arrived, "missed": counts.missed(), "doubled": counts.doubled,
        "early": counts.early, "repeats": counts.repeats, "notDue": counts.strays, "stale": counts.stale,
        "postsPerSecond": found.posts_per_second(),
        "drainPerSecond": found.drain_per_second(),
        "driftMs": drift(&found.drift),
    })
}

fn limits(found: &Measured) -> Option<Value> {
    let limits = found.limits?;
    Some(json!({
        "receiverPerSecond": limits.receiver.per_second, "receiverClientCpuUs": limits.receiver.cpu_us,
        "workersPerSecond": limits.workers.per_second, "workersCpuUs": limits.workers.cpu_us,
        "workersTlsPerSecond": limits.workers_tls.map(|limit| limit.per_second),
        "workersTlsCpuUs": limits.workers_tls.and_then(|limit| limit.cpu_us),
    }))
}

/// The result held against the limits; 1 is the limit.
fn ratios(found: &Measured) -> Option<Value> {
    let limits = found.limits?;
    let drain = found.drain_per_second();
    let cpu = cpu_us(found).zip(limits.workers.cpu_us).map(|(ours, workers)| ours / workers);
    Some(json!({
        "drainToReceiver": drain.map(|drain| drain / limits.receiver.per_second),
        "drainToWorkers": drain.map(|drain| drain / limits.workers.per_second),
        "cpuToWorkers": cpu,
    }))
}

/// The server's CPU time for one POST.
fn cpu_us(found: &Measured) -> Option<f64> {
    let (before, after) = found.usage?;
    found.per_post(after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6)
}

fn server(found: &Measured) -> Option<Value> {
    let usage = found.usage.map(|(before, after)| {
        let disk = after.disk_bytes.zip(before.disk_bytes).map(|(after, before)| after.saturating_sub(before));
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        json!({
            "cpuUsPerPost": cpu_us(found), "cpuShare": cpu / found.window_seconds(),
            "rssKib": after.rss_kib, "peakRssKib": after.peak_rss_kib,
            "diskBytesPerPost": disk.and_then(|bytes| found.per_post(bytes as f64)),
        })
    });
    if usage.is_none() && found.metrics.is_empty() {
        return None;
    }
    Some(json!({
        "usage": usage,
        "databaseBytes": found.files.map(|files| files.database), "walBytes": found.files.map(|files| files.wal),
        "stopMs": found.stopped.map(|stopped| stopped.took.as_secs_f64() * 1_000.0),
        "stoppedClean": found.stopped.map(|stopped| stopped.clean),
        "settledMs": found.settled.map(|settled| settled.as_secs_f64() * 1_000.0),
        "metrics": found.metrics.first(),
    }))
}

/// One node of several; `killed` ones are counted up to their end.
fn node(found: &Measured, node: &NodeFigures) -> Value {
    let cpu = node.usage.map(|(before, after)| after.cpu.saturating_sub(before.cpu).as_secs_f64());
    json!({
        "name": node.name, "shards": node.shards, "killed": node.is_killed,
        "cpuShare": cpu.map(|cpu| cpu / found.window_seconds()),
        "rssKib": node.usage.map(|(_, after)| after.rss_kib),
        "peakRssKib": node.usage.map(|(_, after)| after.peak_rss_kib),
    })
}

fn takeover(takeover: &TakeoverFigures) -> Value {
    let ms = |us: i64| us as f64 / 1_000.0;
    json!({
        "node": takeover.node, "killedAt": takeover.killed.to_string(), "jobs": takeover.jobs,
        "resumed": takeover.resumed, "repeats": takeover.repeats,
        "firstPostMs": { "p50": ms(takeover.p50_us), "p99": ms(takeover.p99_us), "max": ms(takeover.max_us) },
    })
}

fn overload(overload: &OverloadFigures) -> Value {
    let [before, during, after] = overload.p99_us.map(|us| f64::from(us) / 1_000.0);
    json!({
        "jobs": overload.jobs, "seconds": overload.seconds, "due": overload.due, "arrived": overload.arrived,
        "p99Ms": { "before": before, "during": during, "after": after },
        "drainedS": overload.drained.as_secs_f64(), "normalAfterS": overload.normal_after,
    })
}

fn receiver(found: &Measured) -> Value {
    let cpu = found.receiver_cpu.map(|cpu| cpu.as_secs_f64());
    json!({
        "cpuUsPerPost": cpu.and_then(|cpu| found.per_post(cpu * 1e6)),
        "cpuShare": cpu.map(|cpu| cpu / found.window_seconds()),
    })
}

fn pace(found: &Measured, result: PaceResult) -> Option<Value> {
    (result.asked_per_second > 0).then(|| {
        json!({
            "askedPerSecond": result.asked_per_second,
            "answeredPerSecond": per(result.answered, found.window_seconds()),
            "failed": result.failed, "p50Ms": ms(result.p50_us), "p99Ms": ms(result.p99_us), "maxMs": ms(result.max_us),
        })
    })
}

fn seconds(found: &Measured) -> Option<Vec<Value>> {
    (found.seconds.len() <= SECONDS_MAX).then(|| found.seconds.iter().map(second).collect())
}

fn second(line: &SecondLine) -> Value {
    let ms = |us: i32| f64::from(us) / 1_000.0;
    json!({
        "instant": print_instant(line.instant), "due": line.due, "arrived": line.arrived, "firstMs": ms(line.first_us),
        "p50Ms": ms(line.p50_us), "p99Ms": ms(line.p99_us), "lastMs": ms(line.last_us),
    })
}

fn minute(minute: &super::measured::Minute) -> Value {
    json!({
        "minute": minute.number, "arrived": minute.arrived, "missed": minute.missed, "driftMs": drift(&minute.drift),
        "rssKib": minute.usage.map(|usage| usage.rss_kib),
        "databaseBytes": minute.files.map(|files| files.database), "walBytes": minute.files.map(|files| files.wal),
        "commitP99Ms": minute.commit_p99_ms, "heldUpMaxMs": minute.held_up_max_ms,
    })
}

fn drift(drift: &Drift) -> Value {
    json!({
        "mean": drift.mean / 1_000.0, "p50": ms(drift.p50), "p90": ms(drift.p90), "p99": ms(drift.p99),
        "p999": ms(drift.p999), "max": ms(drift.max),
    })
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

fn per(count: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| count as f64 / seconds)
}
