//! Owns the course of a test: nodes, database and receiver, what goes wrong with them, and until when.
//! It must not judge what was lost.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::cluster::Cluster;
use crate::compare::{Known, Verdict, Window};
use crate::database::{Database, rest_ms};
use crate::faults::Fault;
use crate::ledgers::{ALONE, ALONE_MS, Form, ONCE, Posts, Tracked};
use crate::support::api::Api;
use crate::support::history::instant_of;
use crate::support::receiver::{Receiver, Script};
use crate::support::{until, wall_us};

const NODES: usize = 3;
const FLAGS: [&str; 6] = ["--retries", "3", "--retry-delay-ms", "200", "--timeout-ms", "2000"];
/// Jobs that nobody changes.
const STABLE: usize = 24;
/// Jobs that are to be sent at most once, or one at a time.
const STRICT: usize = 9;
/// How long it may take until all is well after what was wrong is healed.
const WELL_PATIENCE: Duration = Duration::from_secs(60);
/// How long what follows from a fault may take after all is well: what was on its way arrives.
const AFTERMATH_US: i64 = 2_500_000;
/// From kill -9 to the first POST of an orphaned job.
const ORPHAN_MAX_US: i64 = 20_000_000;

/// What nodes that have stopped leave nothing of.
const LEFT: [(&str, &str); 3] = [
    ("jobs whose counters differ from their history", COUNTED),
    ("rows that are overdue", "SELECT * FROM ledger WHERE due_time < extract(epoch FROM now()) * 1000000 - 60000000"),
    ("nodes that are not dead", "SELECT id, name FROM nodes WHERE NOT dead"),
];
const COUNTED: &str = "SELECT t.job_id, t.success, h.success, t.failed, h.failed, t.skipped, h.skipped FROM job_totals t \
     JOIN jobs j ON j.id = t.job_id AND j.deleted_at IS NULL LEFT JOIN (SELECT job_id, \
     count(*) FILTER (WHERE status = 0) AS success, count(*) FILTER (WHERE status = 2) AS failed, \
     count(*) FILTER (WHERE status = 3) AS skipped FROM job_executions GROUP BY 1) h ON h.job_id = t.job_id \
     WHERE (t.success, t.failed, t.skipped) IS DISTINCT FROM (h.success, h.failed, h.skipped)";

pub struct Stage {
    pub cluster: Cluster,
    database: Database,
    receiver: Receiver,
    /// A target of its own, so that it does not hold back the other.
    slow: Receiver,
    posts: Posts,
    windows: Vec<Window>,
    /// Kills of nodes while all else was well: when, and what they had.
    kills: Vec<(i64, Vec<String>)>,
    stable: Vec<String>,
}

impl Stage {
    pub fn start(database: Database, receiver: &Receiver) -> Stage {
        let cluster = Cluster::start(&database, NODES, &FLAGS);
        let (posts, windows, kills, stable) = (Posts::default(), Vec::new(), Vec::new(), Vec::new());
        Stage { cluster, database, receiver: receiver.clone(), slow: Receiver::start(), posts, windows, kills, stable }
    }

    /// Jobs of every second that are never changed.
    pub fn create_stable_jobs(&mut self) -> Vec<Tracked> {
        let jobs = (0..STABLE + STRICT).map(|index| {
            let is_strict = index >= STABLE;
            let (path, kind, overlap) = match (is_strict, index % 3) {
                (false, _) => (format!("/stable/{index}"), "ATLEAST_ONCE", "allow"),
                (true, 0) => (format!("{ONCE}{index}"), "ATMOST_ONCE", "allow"),
                (true, 1) => (format!("{ALONE}{index}"), "ATLEAST_ONCE", "skip"),
                (true, _) => (format!("{ALONE}{index}"), "ATLEAST_ONCE", "queue_one"),
            };
            let (tag, receiver) = ("stable".to_owned(), if is_strict { &self.slow } else { &self.receiver });
            if is_strict {
                receiver.script(&path, Script::SlowMs(if kind == "ATMOST_ONCE" { 400 } else { ALONE_MS }));
            }
            let url = receiver.url(&path);
            let body = json!({
                "schedule": "* * * * * *", "api": url, "type": kind, "overlap": overlap, "tags": [tag],
                "misfire": {"policy": "all"},
            });
            let api = self.cluster.api(index % NODES);
            let answer = until("a job can be created", || {
                let answer = api.send("POST", "/api/jobs", Some(&body.to_string()));
                (answer.status == 201).then_some(answer)
            });
            if !is_strict {
                self.stable.push(path);
            }
            let id = answer.json()["jobId"].as_str().expect("it is a text").to_owned();
            Tracked { is_strict, ..Tracked::new(Some(id), Form { url, tag }) }
        });
        jobs.collect()
    }

    /// Waits until every node says that it is ready, and something was sent for each job that was due since this was asked.
    pub fn until_well(&mut self, after: &str) {
        let (begin, due) = (Instant::now(), wall_us() / 1_000_000 + 1);
        loop {
            self.take_posts();
            let late =
                self.stable.iter().filter(|path| self.posts.latest.get(*path).is_none_or(|second| *second < due));
            let late = late.count();
            let is_ready = |place| {
                let asked = self.cluster.api(place).try_send("GET", "/readyz", None);
                asked.is_ok_and(|answer| answer.status == 200)
            };
            let ready = (0..NODES).filter(|place| is_ready(*place)).count();
            if late == 0 && ready == NODES {
                return;
            }
            self.cluster.assert_alive();
            assert!(
                begin.elapsed() < WELL_PATIENCE,
                "all is not well so long after {after}: {late} jobs are late, {ready} nodes are ready\n{}",
                self.picture()
            );
            rest_ms(50);
        }
    }

    /// What nodes and the database say of themselves.
    fn picture(&self) -> String {
        let nodes = (0..NODES).map(|place| match self.cluster.api(place).try_send("GET", "/readyz", None) {
            Ok(answer) => format!("node-{place}: {} {}\n", answer.status, answer.text),
            Err(why) => format!("node-{place}: {why}\n"),
        });
        let mut picture: String = nodes.collect();
        for look in [
            "SELECT * FROM nodes WHERE NOT dead OR NOT settled ORDER BY id",
            "SELECT owner, count(*) FROM shards GROUP BY 1 ORDER BY 1",
            "SELECT pid, application_name, state, wait_event_type, wait_event, pg_blocking_pids(pid), now() - state_change, \
             left(query, 200) FROM pg_stat_activity WHERE datname = current_database() ORDER BY pid",
        ] {
            picture.push_str(&self.database.ask(look));
            picture.push('\n');
        }
        picture
    }

    fn take_posts(&mut self) {
        for receiver in [&self.receiver, &self.slow] {
            self.posts.take(receiver);
        }
    }

    /// Something goes wrong for so long, and is healed; it may be two things. What it was, and how long it took.
    pub fn go_wrong(&mut self, first: (Fault, u64), second: Option<(Fault, u64)>, quiet_ms: u64) -> String {
        // What needs the same node, or the database, does not mix.
        let second = second.filter(|(fault, _)| fault.node() != first.0.node());
        let faults: Vec<Fault> = [Some(first), second].into_iter().flatten().map(|(fault, _)| fault).collect();
        let lasts_ms = first.1.max(second.map_or(0, |(_, ms)| ms));
        let orphans = match faults[..] {
            [Fault::Kill(node)] => self.jobs_of(node),
            _ => Vec::new(),
        };
        let begin = Instant::now();
        let from_us = wall_us();
        for fault in &faults {
            fault.begin(&mut self.cluster, &mut self.database);
        }
        if !orphans.is_empty() {
            self.kills.push((wall_us(), orphans));
        }
        rest_ms(lasts_ms);
        let (cluster, database) = (&mut self.cluster, &mut self.database);
        faults.iter().for_each(|fault| fault.heal(cluster, database));
        faults.iter().for_each(|fault| fault.mend(cluster, database));
        let healed = begin.elapsed();
        let names: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let name = names.join(" and ");
        self.until_well(&name);
        self.windows.push(Window { from_us, to_us: wall_us() + AFTERMATH_US });
        let well_ms = (begin.elapsed() - healed).as_millis();
        rest_ms(quiet_ms);
        format!("{name} for {lasts_ms} ms, healed after {} ms, all is well {well_ms} ms later", healed.as_millis())
    }

    /// The paths of the jobs of a node that nobody changes.
    fn jobs_of(&self, node: usize) -> Vec<String> {
        let name = &self.cluster.nodes[node].name;
        let found = self.database.ask(&format!(
            "SELECT regexp_replace(j.api, '^http://[^/]*', '') FROM jobs j JOIN shards s ON s.shard = j.shard \
             JOIN nodes n ON n.id = s.owner WHERE n.name = '{name}' AND NOT n.dead AND j.deleted_at IS NULL \
             AND j.api LIKE '%/stable/%'"
        ));
        found.lines().map(str::to_owned).collect()
    }

    /// Compares the ledgers, once all has come to its end.
    pub fn compare(&mut self, jobs: &[Tracked]) -> Verdict {
        let settled = wall_us() / 1_000_000 + 2;
        let api = self.cluster.api(0);
        let mut fewest = usize::MAX;
        while fewest > 0 {
            fewest = until("an execution ends", || {
                let pending = api.pages("/api/executions?status=PENDING&limit=1000", "executions");
                let open = pending.iter().filter(|row| instant_of(row) <= settled).count();
                (wall_us() > (settled + 1) * 1_000_000 && open < fewest).then_some(open)
            });
        }
        self.take_posts();
        let apis: Vec<Api> = (0..NODES).map(|place| self.cluster.api(place)).collect();
        let known = Known { apis: &apis, jobs, posts: &self.posts, windows: &self.windows, settled };
        let mut verdict = known.compare();
        for late_us in self.orphaned().into_iter().filter(|late_us| *late_us > ORPHAN_MAX_US) {
            verdict.add("orphaned jobs that waited long", format!("{late_us} us"));
        }
        verdict
    }

    /// How long each orphaned job waited for its first POST, in microseconds, in order.
    fn orphaned(&self) -> Vec<i64> {
        let mut waited = Vec::new();
        for (at_us, paths) in &self.kills {
            for path in paths {
                let first = self.posts.times.get(path).into_iter().flatten().find(|came| *came > at_us);
                waited.push(first.map_or(i64::MAX, |came| came - at_us));
            }
        }
        waited.sort_unstable();
        waited
    }

    /// How long the slowest job waited after each kill, in milliseconds.
    fn slowest(&self) -> Vec<String> {
        let of = |(at_us, paths): &(i64, Vec<String>)| {
            let first = |path| self.posts.times.get(path).into_iter().flatten().find(|came| *came > at_us);
            let slowest = paths.iter().map(|path| first(path).map_or(i64::MAX, |came| came - at_us)).max();
            format!("{} of {}", slowest.unwrap_or_default() / 1_000, paths.len())
        };
        self.kills.iter().map(of).collect()
    }

    /// What was measured.
    pub fn figures(&self, verdict: &Verdict) -> String {
        let in_fault = |at_us: i64| self.windows.iter().any(|window| (window.from_us..=window.to_us).contains(&at_us));
        let (within, outside): (Vec<_>, Vec<_>) = self.posts.late.iter().partition(|(_, at_us)| in_fault(*at_us));
        let lates = |posts: Vec<(i64, i64)>| quantiles(posts.into_iter().map(|(late_us, _)| late_us).collect());
        let Verdict { rows, repeats, of_another_epoch, of_an_older_epoch, outdated, .. } = verdict;
        format!(
            "  {} POSTs, {rows} rows; {repeats} repeats, {of_another_epoch} of them of another epoch, \
             {of_an_older_epoch} of an older one; {outdated} outdated POSTs\n  \
             from kill -9 to the first POST of an orphaned job: {} ({} kills, bar 5,000 ms; the slowest of each: {})\n  \
             late: around faults {}, else {}",
            self.posts.count(),
            quantiles(self.orphaned()),
            self.kills.len(),
            self.slowest().join(", "),
            lates(within),
            lates(outside),
        )
    }

    /// Stops all nodes well. What they leave in the database that they should not.
    pub fn end(mut self) -> Vec<String> {
        // What nodes had not counted that were killed another one counts, once it keeps house again.
        until("what dead nodes had is counted", || {
            self.database.ask("SELECT id FROM nodes WHERE dead AND counted < batch").is_empty().then_some(())
        });
        for place in 0..NODES {
            self.cluster.signal(place, "TERM");
            self.cluster.wait(place);
        }
        let left = LEFT.map(|(what, sql)| (what, self.database.ask(sql)));
        let left = left.into_iter().filter(|(_, found)| !found.is_empty());
        left.map(|(what, found)| format!("{what}: {}", found.lines().take(5).collect::<Vec<_>>().join("; "))).collect()
    }
}

/// Of microseconds, as milliseconds.
pub fn quantiles(mut values: Vec<i64>) -> String {
    values.sort_unstable();
    let Some(last) = values.len().checked_sub(1) else { return "none".to_owned() };
    let at = |per_cent: usize| values[last * per_cent / 100] / 1_000;
    format!("p50 {}, p99 {}, max {} ms of {}", at(50), at(99), at(100), values.len())
}
