//! Owns what tests of the core stand on: a core, what it has said so far, and a disk that is quick unless a test wants it slow.
//! It must not look into the core: inputs and outputs only.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::channel::Channel;
use crate::job::{AlertPolicy, Context, Definition, JobId, JobKey, JobSpec, Misfire, RetryPolicy, Revision};
use crate::schedule::{Calendars, Dates};
use crate::time::{Instant, MonoUs, Now, WallUs};

/// A midnight.
pub(super) const START: i64 = 1_767_225_600;

/// The core, and what it has said so far.
pub(super) struct Stage {
    pub(super) core: Scheduler,
    pub(super) now: Now,
    /// The number of the last persist item.
    pub(super) asked: u64,
    pub(super) rows: Vec<LedgerRow>,
    pub(super) fired: Vec<Attempt>,
    /// Messages that left: of which cause, and what they say.
    pub(super) told: Vec<(Cause, Event)>,
    pub(super) changes: usize,
    /// Commands refused because there are too many of something.
    pub(super) refused: usize,
    /// Executions that were asked for and begun.
    pub(super) started: usize,
    /// How often the disk was asked to be quick.
    pub(super) hurries: usize,
    /// What is told to whoever reads the log.
    pub(super) notices: Vec<Notice>,
    /// What was given to other nodes.
    pub(super) released: Vec<(Shards, NodeId, Vec<Seq>)>,
    pub(super) handed_over: Vec<LedgerRow>,
    /// Other answers.
    pub(super) replies: Vec<Reply>,
}

impl Stage {
    /// Jobs as the store has them, at the start; each with what it says beside its URL.
    pub(super) fn of(jobs: &[&str], rows: Vec<LedgerRow>) -> Stage {
        Stage::at(START, jobs, rows)
    }

    pub(super) fn at(second: i64, jobs: &[&str], rows: Vec<LedgerRow>) -> Stage {
        Stage::bounded(Bounds::default(), second, jobs, rows)
    }

    pub(super) fn bounded(bounds: Bounds, second: i64, jobs: &[&str], rows: Vec<LedgerRow>) -> Stage {
        let rows = rows.into_iter().map(|row| (row, Known::Nothing)).collect();
        Stage::loading(bounds, None, second, jobs).acquiring(Shards::ALL, rows)
    }

    /// One that owns these shards.
    pub(super) fn of_node(
        second: i64,
        skew_us: Option<i64>,
        shards: Shards,
        jobs: &[&str],
        rows: Vec<(LedgerRow, Known)>,
    ) -> Stage {
        Stage::loading(Bounds::default(), skew_us, second, jobs).acquiring(shards, rows)
    }

    pub(super) fn acquiring(mut self, shards: Shards, rows: Vec<(LedgerRow, Known)>) -> Stage {
        let stage = &mut self;
        let next_seq = rows.iter().map(|(row, _)| row.seq.0 + 1).max().unwrap_or(1);
        for (row, known) in rows {
            stage.feed(Input::RestoreRow(Box::new(row), known));
        }
        stage.feed(Input::Acquired(Restored {
            shards,
            epochs: Vec::new(),
            next_seq,
            next_job: 1_000,
            next_incident: 1,
            newest: None,
        }));
        stage.feed(Input::Tick);
        self
    }

    /// A start that has come as far as the jobs.
    pub(super) fn loading(bounds: Bounds, skew_us: Option<i64>, second: i64, jobs: &[&str]) -> Stage {
        let retry = RetryPolicy::doubling(0, Duration::from_secs(1));
        let (misfire, lateness_max) = (Misfire::Once, Duration::from_secs(600));
        let core = Scheduler::new(Settings {
            in_flight_max: 100,
            retry,
            misfire,
            lateness_max,
            lead_us: crate::limits::ARM_LEAD_US,
            skew_us,
            noise: 1,
            bounds,
        });
        let now = Now { wall: WallUs::of(Instant::from_secs(second)).plus_us(1), mono: MonoUs(5_000_000) };
        let mut stage = Stage {
            core,
            now,
            asked: 0,
            rows: Vec::new(),
            fired: Vec::new(),
            told: Vec::new(),
            changes: 0,
            refused: 0,
            started: 0,
            hurries: 0,
            notices: Vec::new(),
            released: Vec::new(),
            handed_over: Vec::new(),
            replies: Vec::new(),
        };
        for (key, members) in (1..).zip(jobs) {
            stage.feed(Input::RestoreJob(Box::new(stored(key, members))));
        }
        stage
    }

    pub(super) fn feed(&mut self, input: Input) {
        self.core.handle_input(input, self.now);
        self.core.check();
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Persist(number, item) => {
                    self.asked = number;
                    match item {
                        Persist::Row(row, _) => self.rows.push(row),
                        Persist::Change(change) => {
                            self.changes += 1;
                            self.rows.retain(|row| !change.remove.contains(&row.seq));
                            self.rows.extend(change.rows);
                        }
                        Persist::Remove(seq) => self.rows.retain(|row| row.seq != seq),
                        Persist::Calendar(_) | Persist::Setting(_) | Persist::Incident(_) => {}
                        Persist::Runs(rows) => self.rows.extend(rows),
                        Persist::Release { shards, to, except } => self.released.push((shards, to, except)),
                        Persist::HandOver(row) => self.handed_over.push(row),
                    }
                }
                Output::Fire(attempt) => self.fired.push(attempt),
                Output::Reply(_, Reply::TooMany(_)) => self.refused += 1,
                Output::Reply(_, reply @ Reply::Refused(_)) => {
                    self.refused += 1;
                    self.replies.push(reply);
                }
                Output::Reply(_, Reply::Started(_)) => self.started += 1,
                Output::Reply(_, Reply::Invalid(_) | Reply::Conflict(_)) => panic!("{output:?}"),
                Output::Reply(_, reply) => self.replies.push(reply),
                Output::Hurry => self.hurries += 1,
                Output::Planned(..) | Output::Dispatched(..) => {}
                Output::Gathered(..) | Output::Together(..) => {}
                Output::Tell(message) => self.told.push((message.incident.cause, message.event)),
                Output::Notice(notice) => self.notices.push(notice),
                Output::Alert(_) => {}
            }
        }
    }

    /// Everything that was asked for is on disk, and what follows from that, too.
    pub(super) fn settle(&mut self) {
        let mut before = 0;
        while self.asked > before {
            before = self.asked;
            self.feed(Input::Committed { through: before, rejected: Vec::new() });
        }
    }

    /// Nobody looks at the clock for so many seconds.
    pub(super) fn sleep(&mut self, seconds: i64) {
        let us = seconds * 1_000_000;
        self.now = Now { wall: self.now.wall.plus_us(us), mono: self.now.mono.plus_us(us.unsigned_abs()) };
    }

    /// So many seconds pass, one after the other.
    pub(super) fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now = Now { wall: self.now.wall.plus_us(1_000_000), mono: self.now.mono.plus_us(1_000_000) };
            self.feed(Input::Tick);
            self.settle();
        }
    }

    /// What was fired since this was asked last: whose, and so many seconds after the start.
    pub(super) fn fired(&mut self) -> Vec<(u64, i64)> {
        let name = |attempt: Attempt| (attempt.id.job.key().0, attempt.id.instant.as_secs() - START);
        std::mem::take(&mut self.fired).into_iter().map(name).collect()
    }

    /// The answer to an attempt, and all that follows from it.
    pub(super) fn answer(&mut self, attempt: &Attempt, outcome: Outcome, was_sent: bool) {
        self.report(attempt, outcome, was_sent);
        self.settle();
    }

    /// The answer to an attempt; the disk is slow.
    pub(super) fn report(&mut self, attempt: &Attempt, outcome: Outcome, was_sent: bool) {
        self.report_all(attempt, outcome, was_sent, None);
    }

    /// The same, with what else the answer had to tell.
    pub(super) fn report_all(&mut self, attempt: &Attempt, outcome: Outcome, was_sent: bool, answer: Option<Answer>) {
        let (handle, number, dispatched) = (attempt.handle, attempt.number, self.now.wall);
        let (attempt, duration_us, answer) = (number, 1, answer.map(Box::new));
        let report = Report { handle, attempt, outcome, dispatched, duration_us, was_sent, answer };
        self.feed(Input::Report(report));
    }

    pub(super) fn ask(&mut self, action: Action) {
        self.begin(action);
        self.settle();
    }

    /// Somebody asks; the disk is slow.
    pub(super) fn begin(&mut self, action: Action) {
        self.feed(Input::Command(Box::new(Command {
            request: RequestId(1),
            action,
            plans: false,
            read_at: self.now.wall.floor(),
        })));
    }

    /// How often somebody who asks hears that it does not go together with what there is.
    pub(super) fn conflict(&mut self, action: Action) -> usize {
        let command = Command { request: RequestId(1), action, plans: false, read_at: self.now.wall.floor() };
        self.core.handle_input(Input::Command(Box::new(command)), self.now);
        let mut conflicts = 0;
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Persist(number, _) => self.asked = number,
                Output::Reply(_, Reply::Conflict(_) | Reply::NameTaken(_) | Reply::Invalid(_)) => conflicts += 1,
                _ => {}
            }
        }
        conflicts
    }

    /// The newest rows, one of each execution, of those that are not finished.
    pub(super) fn unfinished(&self) -> Vec<LedgerRow> {
        let newest = |row: &&LedgerRow| self.rows.iter().rfind(|other| other.seq == row.seq) == Some(*row);
        let pending = |row: &&LedgerRow| row.record.status == Status::Pending;
        let mut rows: Vec<LedgerRow> = self.rows.iter().filter(newest).filter(pending).cloned().collect();
        rows.sort_by_key(|row| row.seq);
        rows.dedup();
        rows
    }

    /// How the rows that are finished ended.
    pub(super) fn ended(&self) -> Vec<(i64, Status, Option<Box<str>>)> {
        let finished = self.rows.iter().filter(|row| row.record.status != Status::Pending);
        finished.map(|row| (row.key.instant.as_secs() - START, row.record.status, row.record.error.clone())).collect()
    }
}

pub(super) fn spec(members: &str, calendars: &Calendars) -> JobSpec {
    let api = if members.contains(r#""api""#) { "" } else { r#""api":"http://a/","# };
    let text = format!("{{{api}{members}}}");
    let definition: Definition = serde_json::from_str(&text).expect("a definition");
    let context = Context { calendars: Some(calendars), ..Context::at(Instant::from_secs(START - 10)) };
    JobSpec::compile(&definition, &context).expect("valid")
}

pub(super) fn id(key: u64) -> JobId {
    JobId::new(JobKey(key), [7; 10])
}

pub(super) fn stored(key: u64, members: &str) -> StoredJob {
    let mut calendars = Calendars::default();
    calendars.insert("closed", Default::default()).expect("a calendar");
    let since = WallUs::of(Instant::from_secs(START - 10));
    let revision = Revision::first(id(key), spec(members, &calendars), since);
    let finished_through = Some((0, Instant::from_secs(START)));
    StoredJob { revision, totals: Totals { finished_through, ..Totals::default() } }
}

pub(super) fn put(name: &str, dates: &[&str]) -> Action {
    let dates = Dates::parse(dates.iter().copied(), 10).expect("dates").into();
    Action::PutCalendar { name: name.into(), dates }
}

pub(super) fn run(of: RunOf, wait: Option<Duration>) -> Action {
    Action::Run(Box::new(Run { id: id(1), of, own_body: None, force: false, wait }))
}

/// The same of any job, and nobody waits.
pub(super) fn run_of(key: u64, of: RunOf) -> Action {
    Action::Run(Box::new(Run { id: id(key), of, own_body: None, force: false, wait: None }))
}

/// The policy of the server.
pub(super) fn set_policy(stage: &mut Stage, policy: &str) {
    let definition = serde_json::from_str(policy).expect("a definition");
    let policy = Arc::new(AlertPolicy::compile_of_server(&definition).expect("valid"));
    stage.ask(Action::Set(Setting::Policy(PolicyScope::Server, Some(policy))));
}

/// Somebody is told.
pub(super) fn listen(stage: &mut Stage) {
    let definition = serde_json::from_str(r#"{"kind":"webhook","url":"http://a/"}"#).expect("a definition");
    let channel = Arc::new(Channel::compile(&definition, None, true).expect("valid"));
    stage.ask(Action::Set(Setting::Channel("ops".into(), Some(channel))));
}
