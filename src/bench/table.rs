//! Owns the result as people read it: aligned lines with units.
//! It must not leave out what speaks against the subject.

use super::measured::{Creation, Measured, Minute};
use super::options::{Mode, Options};

/// The result.
pub(super) fn print(options: &Options, found: &Measured) -> String {
    let mut table = Table::default();
    let counts = &found.counts;
    table.row("jobs", options.jobs, options.schedule.text());
    table.row("window", options.seconds, "s");
    table.row("due", counts.due, "executions");
    table.row("arrived", counts.arrived, "");
    table.row("missed", counts.missed(), "");
    table.row("doubled", counts.doubled, "");
    table.row("early", counts.early, "");
    for (name, count) in [("repeats", counts.repeats), ("not due", counts.strays), ("stale", counts.stale)] {
        if count > 0 {
            table.row(name, count, "");
        }
    }
    if let Some(history) = &found.history {
        let differs = found.history_differs();
        table.row("in the database", history.sent, &format!("sent, {differs} other than received"));
    }
    if found.hung.due > 0 {
        table.row("hanging targets", found.hung.arrived, &format!("arrived of {} due", found.hung.due));
    }
    table.gap();
    let drift = &found.drift;
    for (name, us) in
        [("p50", drift.p50), ("p90", drift.p90), ("p99", drift.p99), ("p99.9", drift.p999), ("max", drift.max)]
    {
        table.figure(&format!("drift {name}"), us as f64 / 1_000.0, 3, "ms at the receiver");
    }
    dispatch_drift(found, &mut table);
    takeover(found, &mut table);
    overload(found, &mut table);
    table.gap();
    rates(options, found, &mut table);
    server(found, &mut table);
    api(found, &mut table);
    if options.mode == Mode::Burst {
        bursts(found, &mut table);
    }
    table.text
}

fn dispatch_drift(found: &Measured, table: &mut Table) {
    for name in ["p50Ms", "p99Ms", "maxMs"] {
        if let Some(ms) = found.told(&format!("/drift/{name}")) {
            let name = name.trim_end_matches("Ms");
            table.figure(&format!("dispatch {name}"), ms, 3, "ms by the server, since its start");
        }
    }
}

/// What a killed node's jobs went through.
fn takeover(found: &Measured, table: &mut Table) {
    let Some(takeover) = &found.takeover else { return };
    table.gap();
    table.row("killed", &takeover.node, &format!("at {}, with {} jobs", takeover.killed, takeover.jobs));
    table.row("resumed", takeover.resumed, "of these jobs");
    for (name, us) in [("p50", takeover.p50_us), ("p99", takeover.p99_us), ("max", takeover.max_us)] {
        table.figure(&format!("resumed {name}"), us as f64 / 1_000.0, 1, "ms from the kill to the first POST of a job");
    }
    table.row("resumed repeats", takeover.repeats, "since the kill, each with the key of the first POST");
}

/// What more was due than there was room for, and how it went on.
fn overload(found: &Measured, table: &mut Table) {
    let Some(overload) = &found.overload else { return };
    table.gap();
    table.row("overload", overload.jobs, &format!("jobs more, every second for {} s", overload.seconds));
    table.row("its POSTs", overload.arrived, &format!("arrived of {} due", overload.due));
    for (when, us) in ["before", "during", "after"].iter().zip(overload.p99_us) {
        let unit = "ms of the measured jobs (median of the seconds)";
        table.figure(&format!("p99 {when} it"), f64::from(us) / 1_000.0, 3, unit);
    }
    table.figure("the last of them", overload.drained.as_secs_f64(), 0, "s after its end");
    match overload.normal_after {
        Some(seconds) => table.row("as before", seconds, "s after its end"),
        None => table.row("as before", "never", "in the window"),
    }
}

/// Each of several servers.
fn nodes(found: &Measured, table: &mut Table) {
    for node in &found.nodes {
        let Some((before, after)) = &node.usage else { continue };
        let share = after.cpu.saturating_sub(before.cpu).as_secs_f64() / found.window_seconds() * 100.0;
        let until = if node.is_killed { ", until it was killed" } else { "" };
        let shards = node.shards;
        let unit = format!("MiB at most, {share:.1} % of a core, {shards} of 256 shards{until}");
        table.figure(&format!("memory {}", node.name), after.peak_rss_kib as f64 / 1_024.0, 1, &unit);
    }
}

fn rates(options: &Options, found: &Measured, table: &mut Table) {
    table.figure("POSTs", found.posts_per_second(), 1, "/s received in the window");
    let drain = found.drain_per_second();
    if let Some(drain) = drain {
        table.figure("drain", drain, 0, "/s while executions of one second go out (median)");
    }
    if let Some(limits) = &found.limits {
        let ratio =
            |limit: f64| drain.map_or(String::new(), |drain| format!(", drain is {:.0} %", drain / limit * 100.0));
        let (receiver, workers) = (limits.receiver.per_second, limits.workers.per_second);
        table.figure("limit: receiver", receiver, 0, &format!("/s from a bare client{}", ratio(receiver)));
        table.figure("limit: workers", workers, 0, &format!("/s without scheduler and store{}", ratio(workers)));
        if let Some(tls) = &limits.workers_tls {
            let share = tls.per_second / workers * 100.0;
            table.figure("limit: over TLS", tls.per_second, 0, &format!("/s by the workers, {share:.0} % of plain"));
        }
        if let Some(cpu_us) = limits.workers.cpu_us {
            table.figure("limit: workers", cpu_us, 1, "us CPU an execution");
        }
    }
    if let Some(sync) = &found.sync {
        table.figure("limit: disk", sync.p50_us as f64 / 1_000.0, 3, "ms for a durable 4 KiB (p50)");
    }
    let Some(Creation { time, batch }) = found.creation.filter(|creation| !creation.time.is_zero()) else { return };
    let per_second = f64::from(options.jobs) / time.as_secs_f64();
    table.figure("creation", per_second, 0, "jobs/s");
    if let Some((alone, batch)) = found.creations_alone.zip(batch) {
        let share = per_second / alone * 100.0;
        let about = format!("jobs/s by SQLite alone with as many in a commit ({batch}), creation is {share:.0} %");
        table.figure("limit: creation", alone, 0, &about);
    }
}

fn server(found: &Measured, table: &mut Table) {
    let share = |cpu: f64| format!("({:.1} % of a core)", cpu / found.window_seconds() * 100.0);
    if let Some((before, after)) = &found.usage {
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        if let Some(us) = found.per_post(cpu * 1e6) {
            table.figure("server CPU", us, 1, &format!("us a POST {}", share(cpu)));
        }
        table.figure("server memory", after.peak_rss_kib as f64 / 1_024.0, 1, "MiB at most");
        nodes(found, table);
        let written = after.disk_bytes.zip(before.disk_bytes).map(|(after, before)| after.saturating_sub(before));
        if let Some(bytes) = written.and_then(|written| found.per_post(written as f64)) {
            table.figure("disk", bytes, 0, "bytes written a POST");
        }
    }
    if let Some(cpu) = found.receiver_cpu.map(|cpu| cpu.as_secs_f64())
        && let Some(us) = found.per_post(cpu * 1e6)
    {
        table.figure("receiver CPU", us, 1, &format!("us a POST {}", share(cpu)));
    }
    for (name, from, of) in [
        ("commit", "/store/commit", "from handed over to on disk"),
        ("commit: write", "/store/write", "of it in the transaction"),
        ("commit: held up", "/store/heldUp", "of it behind fold, retention or checkpoint"),
    ] {
        let figure = |name: &str| found.told(&format!("{from}/{name}"));
        if let (Some(p99), Some(max)) = (figure("p99Ms"), figure("maxMs")) {
            table.figure(name, p99, 2, &format!("ms at p99, {max:.1} at most, {of}"));
        }
    }
    if let Some(settled) = &found.settled {
        table.figure("shares", settled.as_secs_f64() * 1_000.0, 0, "ms until each node had its own");
    }
    if let Some(stopped) = &found.stopped {
        let how = if stopped.clean { "ms, clean" } else { "ms, NOT clean" };
        table.figure("stop", stopped.took.as_secs_f64() * 1_000.0, 0, how);
    }
}

fn api(found: &Measured, table: &mut Table) {
    let Some(results) = &found.api_load else { return };
    for (name, result) in ["creates", "gets"].iter().zip(results) {
        if result.asked_per_second == 0 {
            continue;
        }
        let rate = result.answered as f64 / found.window_seconds();
        table.figure(&format!("API {name}"), rate, 0, &format!("/s of {} asked", result.asked_per_second));
        if result.failed > 0 {
            table.row(&format!("API {name}"), result.failed, "failed");
        }
        table.figure(&format!("API {name} p50"), result.p50_us as f64 / 1_000.0, 3, "ms");
        table.figure(&format!("API {name} p99"), result.p99_us as f64 / 1_000.0, 3, "ms");
    }
}

fn bursts(found: &Measured, table: &mut Table) {
    table.gap();
    for (number, burst) in found.seconds.iter().enumerate() {
        let ms = |us: i32| f64::from(us) / 1_000.0;
        let spread = format!(
            "ms until the last of {} (first {:.1}, p50 {:.1}, p99 {:.1})",
            burst.arrived,
            ms(burst.first_us),
            ms(burst.p50_us),
            ms(burst.p99_us)
        );
        table.figure(&format!("burst {}", number + 1), ms(burst.last_us), 1, &spread);
    }
}

/// One line of a soak.
pub(super) fn minute(minute: &Minute) -> String {
    let ms = |us: u64| us as f64 / 1_000.0;
    let mib = |kib: f64| kib / 1_024.0;
    let mut line = format!(
        "minute {:>4}: {} arrived, {} missed, drift p50 {:.2} p99 {:.2} max {:.2} ms",
        minute.number,
        minute.arrived,
        minute.missed,
        ms(minute.drift.p50),
        ms(minute.drift.p99),
        ms(minute.drift.max)
    );
    if let Some(usage) = &minute.usage {
        line.push_str(&format!(", RSS {:.1} MiB", mib(usage.rss_kib as f64)));
    }
    if let Some(files) = &minute.files {
        let (database, wal) = (files.database as f64 / 1_024.0, files.wal as f64 / 1_024.0);
        line.push_str(&format!(", database {:.1} MiB, WAL {:.1} MiB", mib(database), mib(wal)));
    }
    if let Some(ms) = minute.commit_p99_ms {
        line.push_str(&format!(", commit p99 {ms:.2} ms"));
    }
    if let Some(ms) = minute.held_up_max_ms {
        line.push_str(&format!(", held up at most {ms:.2} ms"));
    }
    line
}

#[derive(Default)]
struct Table {
    text: String,
}

impl Table {
    fn row(&mut self, name: &str, value: impl std::fmt::Display, unit: &str) {
        let line = format!("{name:<18}{value:>14}  {unit}");
        // No blanks at the end of a line.
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn figure(&mut self, name: &str, value: f64, digits: usize, unit: &str) {
        self.row(name, format!("{value:.digits$}"), unit);
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }
}
