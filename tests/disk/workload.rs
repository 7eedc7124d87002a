//! Owns what the store is given: batches with everything that a batch may hold, chosen by a seed.
//! It must give the same whenever it is asked, so that two processes know what is in a batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use punctual::access::{Scope, Token, TokenChange, TokenId};
use punctual::channel::Channel;
use punctual::core::{
    Acknowledged, AlertRecord, CalendarChange, Cause, Change, Class, Closed, Event, ExecutionKey, Incident,
    IncidentChange, IncidentId, JobChange, Kind, LedgerRow, Message, Persist, PolicyScope, RowNews, Seq, Setting,
    Silence, SilenceId, Silenced, Status, Subject,
};
use punctual::job::{AlertPolicy, Context, Definition, JobId, JobKey, JobSpec, Revision};
use punctual::schedule::Dates;
use punctual::store::{
    AlertState, AlertUpdate, AuditRow, Batch, ChannelHealth, Delivery, Difference, KeyedAnswer, StoredAnswer,
};
use punctual::time::{Instant, WallUs};

use super::support::random::Random;

/// Jobs that there are at once, at most.
const JOBS_MAX: usize = 24;

/// A client and a core that decide by chance.
pub(crate) struct Workload {
    random: Random,
    /// The second that things happen at.
    second: i64,
    jobs: BTreeMap<u64, Arc<Revision>>,
    pending: Vec<LedgerRow>,
    undelivered: Vec<Seq>,
    open: BTreeMap<u64, Arc<Incident>>,
    untold: Vec<(IncidentId, u32)>,
    tokens: Vec<TokenId>,
    next_job: u64,
    next_seq: u64,
    next_incident: u64,
    next_item: u64,
    next_name: u64,
}

/// A job's public id.
pub(crate) fn job(key: u64) -> JobId {
    JobId::new(JobKey(key), [7; 10])
}

fn chosen<T: Clone>(from: &[T], random: &mut Random) -> Option<T> {
    let index = random.below(from.len().max(1) as u64) as usize;
    from.get(index).cloned()
}

impl Workload {
    /// Things that happen from this second on.
    pub(crate) fn new(seed: u64, second: i64) -> Workload {
        Workload {
            random: Random::new(seed),
            second,
            jobs: BTreeMap::new(),
            pending: Vec::new(),
            undelivered: Vec::new(),
            open: BTreeMap::new(),
            untold: Vec::new(),
            tokens: Vec::new(),
            next_job: 1,
            next_seq: 1,
            next_incident: 1,
            next_item: 1,
            next_name: 1,
        }
    }

    /// How many jobs there have been.
    pub(crate) fn jobs_made(&self) -> u64 {
        self.next_job - 1
    }

    /// The next batch.
    pub(crate) fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        self.second += 1;
        for _ in 0..1 + self.random.below(5) {
            self.act(&mut batch);
        }
        // What carries the load: executions that are armed, and those that end.
        self.arm(&mut batch);
        self.finish(&mut batch);
        batch
    }

    fn now(&self) -> WallUs {
        WallUs::of(Instant::from_secs(self.second))
    }

    fn name(&mut self) -> u64 {
        self.next_name += 1;
        self.next_name
    }

    fn push(&mut self, batch: &mut Batch, item: Persist) -> u64 {
        let number = self.next_item;
        self.next_item += 1;
        batch.items.push((number, item));
        number
    }

    fn seq(&mut self) -> Seq {
        self.next_seq += 1;
        Seq(self.next_seq - 1)
    }

    fn any_job(&mut self) -> Option<u64> {
        let keys: Vec<u64> = self.jobs.keys().copied().collect();
        chosen(&keys, &mut self.random)
    }

    fn act(&mut self, batch: &mut Batch) {
        match self.random.below(14) {
            0..=2 if self.jobs.len() < JOBS_MAX => self.create(batch),
            3 => self.update(batch),
            4 if self.jobs.len() > JOBS_MAX / 2 => self.delete(batch),
            5 => self.calendar(batch),
            6 => self.setting(batch),
            7 => self.incident(batch),
            8 => self.deliver(batch),
            9 => self.token(batch),
            10 => self.runs(batch),
            11 => self.take_back(batch),
            12 => {
                let (at, number) = (self.now(), self.name());
                let subject = Some(format!("subject {number}").into());
                let row = AuditRow {
                    at,
                    token: None,
                    client: "::1".into(),
                    operation: "updateJob",
                    subject,
                    difference: Difference::None,
                    status: 503,
                };
                batch.audits.push((None, row));
            }
            _ => self.create(batch),
        }
    }

    fn spec(&mut self) -> JobSpec {
        let number = self.name();
        let mut definition = Definition::plain("* * * * * *", &format!("http://localhost/{number}"));
        definition.name = Some(format!("job {number}"));
        definition.tags = Some(vec![format!("tag{}", number % 5)]);
        JobSpec::compile(&definition, &Context::at(Instant::from_secs(0))).expect("it is valid")
    }

    fn create(&mut self, batch: &mut Batch) {
        let (key, spec, at) = (self.next_job, self.spec(), self.now());
        self.next_job += 1;
        let revision = Arc::new(Revision::first(job(key), spec, at));
        self.jobs.insert(key, Arc::clone(&revision));
        let change = Change { job: JobChange::Put(Arc::clone(&revision)), remove: Vec::new(), rows: Vec::new() };
        let number = self.push(batch, Persist::Change(Box::new(change)));
        let answer = StoredAnswer { status: 201, headers: Vec::new(), body: format!("{{\"job\":{key}}}").into() };
        let keyed = KeyedAnswer { key: format!("key {key}").into(), digest: [7; 32], at, answer };
        batch.answers.push((number, keyed));
        let difference = Difference::Job(None, Some(revision));
        let row = AuditRow {
            at,
            token: None,
            client: "::1".into(),
            operation: "createJob",
            subject: Some(job(key).to_string().into()),
            difference,
            status: 201,
        };
        batch.audits.push((Some(number), row));
    }

    fn update(&mut self, batch: &mut Batch) {
        let Some(key) = self.any_job() else { return };
        let (spec, at) = (self.spec(), self.now());
        let revision = Arc::new(self.jobs[&key].next(spec, at));
        self.jobs.insert(key, Arc::clone(&revision));
        // What was armed goes, and is armed anew.
        let remove = self.unarm(key);
        let row = self.row(key, Kind::Scheduled);
        let change = Change { job: JobChange::Put(revision), remove, rows: vec![row] };
        self.push(batch, Persist::Change(Box::new(change)));
    }

    fn delete(&mut self, batch: &mut Batch) {
        let Some(key) = self.any_job() else { return };
        self.jobs.remove(&key);
        let change =
            Change { job: JobChange::Delete(JobKey(key), self.now()), remove: self.unarm(key), rows: Vec::new() };
        self.push(batch, Persist::Change(Box::new(change)));
    }

    /// Takes the pending rows of a job away.
    fn unarm(&mut self, key: u64) -> Vec<Seq> {
        let is_its = |row: &LedgerRow| row.key.job == JobKey(key);
        let gone = self.pending.iter().filter(|row| is_its(row)).map(|row| row.seq).collect();
        self.pending.retain(|row| !is_its(row));
        gone
    }

    fn row(&mut self, key: u64, kind: Kind) -> LedgerRow {
        let seq = self.seq();
        let number = if kind == Kind::Scheduled { 0 } else { seq.0 as u32 };
        let key = ExecutionKey { instant: Instant::from_secs(self.second), job: JobKey(key), kind, number };
        // Two of a job and a second differ in their number.
        let number = if kind == Kind::Scheduled {
            self.pending.iter().filter(|row| row.key == key).count() as u32
        } else {
            number
        };
        let row = LedgerRow::pending(
            seq,
            ExecutionKey { number, ..key },
            if kind == Kind::Scheduled { Class::OnTime } else { Class::Manual },
        );
        self.pending.push(row.clone());
        row
    }

    fn arm(&mut self, batch: &mut Batch) {
        let keys: Vec<u64> = self.jobs.keys().copied().collect();
        for key in keys {
            let armed = self
                .pending
                .iter()
                .any(|row| row.key.job == JobKey(key) && row.key.instant == Instant::from_secs(self.second));
            if !armed && self.random.below(3) > 0 {
                let row = self.row(key, Kind::Scheduled);
                self.push(batch, Persist::Row(row, None));
            }
        }
    }

    fn runs(&mut self, batch: &mut Batch) {
        let Some(key) = self.any_job() else { return };
        let rows = (0..1 + self.random.below(3)).map(|_| self.row(key, Kind::Manual)).collect();
        self.push(batch, Persist::Runs(rows));
    }

    fn take_back(&mut self, batch: &mut Batch) {
        if let Some(row) = chosen(&self.pending, &mut self.random) {
            self.pending.retain(|other| other.seq != row.seq);
            self.push(batch, Persist::Remove(row.seq));
        }
    }

    fn finish(&mut self, batch: &mut Batch) {
        let before: Vec<LedgerRow> = std::mem::take(&mut self.pending);
        // Executions of a job end in their order: how many failed in a row is counted in that of the ledger after a start.
        let mut held = BTreeSet::new();
        for mut row in before {
            let choice = self.random.below(10);
            let is_of_this_batch = row.key.instant == Instant::from_secs(self.second);
            if is_of_this_batch || choice < 2 || held.contains(&row.key.job) {
                held.insert(row.key.job);
                self.pending.push(row);
                continue;
            }
            let record = &mut row.record;
            record.executed = Some(WallUs::of(row.key.instant).plus_us(200 + choice as i64));
            if choice == 2 {
                // It failed, and is tried again.
                record.attempt += 1;
                row.due = self.now();
                held.insert(row.key.job);
                self.pending.push(row.clone());
                self.push(batch, Persist::Row(row, None));
                continue;
            }
            (record.duration_us, record.http_status) = (Some(1_000 + choice), Some(200));
            record.status = if choice == 3 { Status::Failed } else { Status::Success };
            let news = (choice == 3).then(|| self.failed(&mut row));
            self.push(batch, Persist::Row(row, news.map(Box::new)));
        }
    }

    fn failed(&mut self, row: &mut LedgerRow) -> RowNews {
        (row.record.http_status, row.record.error) = (Some(500), Some("the target answered 500".into()));
        let key = row.key.job.0;
        let alert = AlertRecord {
            seq: row.seq,
            execution: row.key.of(job(key)),
            api: "http://localhost/".into(),
            schedule: "* * * * * *".into(),
            error: "the target answered 500".into(),
            at: self.now(),
        };
        self.undelivered.push(row.seq);
        let incidents = if self.open.contains_key(&key) { Vec::new() } else { vec![self.opened(key)] };
        RowNews { alert: Some(alert), incidents }
    }

    fn opened(&mut self, key: u64) -> IncidentChange {
        let id = IncidentId(self.next_incident);
        self.next_incident += 1;
        let incident = Incident {
            id,
            cause: Cause::Failing,
            subject: Subject::Job(job(key)),
            label: None,
            summary: "it failed".into(),
            execution: None,
            opened_at: self.now(),
            closed: None,
            acknowledged: None,
            messages: 0,
            told: true,
            told_at: None,
        };
        self.change_of(key, incident, Event::Opened)
    }

    fn change_of(&mut self, key: u64, mut incident: Incident, event: Event) -> IncidentChange {
        incident.messages += 1;
        let (number, at) = (incident.messages, self.now());
        incident.told_at = Some(at);
        let incident = Arc::new(incident);
        if incident.closed.is_some() {
            self.open.remove(&key);
        } else {
            self.open.insert(key, Arc::clone(&incident));
        }
        self.untold.push((incident.id, number));
        let message =
            Message { incident: Arc::clone(&incident), number, event, at, channels: Box::new(["ops".into()]) };
        IncidentChange { incident, message: Some(message) }
    }

    fn incident(&mut self, batch: &mut Batch) {
        let open: Vec<u64> = self.open.keys().copied().collect();
        let Some(key) = chosen(&open, &mut self.random) else { return };
        let incident = Incident::clone(&self.open[&key]);
        let change = match self.random.below(3) {
            0 => {
                let closed = Some(Closed { at: self.now(), why: "an execution succeeded".into() });
                self.change_of(key, Incident { closed, ..incident }, Event::Closed)
            }
            1 => self.change_of(key, incident, Event::Reminded),
            _ => {
                let acknowledged = Some(Box::new(Acknowledged { at: self.now(), by: Some("ann".into()), note: None }));
                let incident = Arc::new(Incident { acknowledged, ..incident });
                self.open.insert(key, Arc::clone(&incident));
                IncidentChange { incident, message: None }
            }
        };
        self.push(batch, Persist::Incident(Box::new(change)));
    }

    /// Somebody heard of something, or could not be reached.
    fn deliver(&mut self, batch: &mut Batch) {
        let at = self.now();
        if let Some(seq) = self.undelivered.pop() {
            batch.alerts.push(AlertUpdate { seq, state: AlertState::Delivered, at, attempts: 1, error: None });
        }
        if let Some((incident, number)) = self.untold.pop() {
            let (channel, state) = ("ops".into(), AlertState::Delivered);
            batch.deliveries.push(Delivery {
                incident,
                number,
                channel,
                state,
                delivered_at: Some(at),
                attempts: 1,
                error: None,
            });
            let health = ChannelHealth { delivered_at: Some(at), ..ChannelHealth::default() };
            batch.channels.push(("ops".into(), health));
        }
    }

    fn calendar(&mut self, batch: &mut Batch) {
        let number = self.name();
        let dates =
            Dates::parse([format!("20{:02}-01-01", 30 + number % 60).as_str()].into_iter(), 10).expect("a date");
        let dates = (self.random.below(4) > 0).then(|| Arc::new(dates));
        let name = format!("calendar{}", number % 3).into();
        self.push(batch, Persist::Calendar(Box::new(CalendarChange { name, dates })));
    }

    fn setting(&mut self, batch: &mut Batch) {
        let (number, is_there) = (self.name(), self.random.below(4) > 0);
        let setting = match self.random.below(3) {
            0 => {
                let text = format!(r#"{{"kind":"webhook","url":"https://localhost/{number}"}}"#);
                let channel = Channel::compile(&serde_json::from_str(&text).expect("JSON"), None, true).expect("valid");
                // The one that messages are for stays.
                Setting::Channel(if is_there { "ops" } else { "other" }.into(), is_there.then(|| Arc::new(channel)))
            }
            1 => {
                let text = format!(r#"{{"after":{}}}"#, 1 + number % 9);
                let policy =
                    AlertPolicy::compile_of_server(&serde_json::from_str(&text).expect("JSON")).expect("valid");
                Setting::Policy(
                    PolicyScope::Tag(format!("tag{}", number % 3).into()),
                    is_there.then(|| Arc::new(policy)),
                )
            }
            _ => {
                let silence = Silence {
                    of: Silenced::Tag("tag1".into()),
                    note: "moving house".into(),
                    ends_at: Instant::from_secs(self.second + 1_000),
                    created_at: self.now(),
                    by: None,
                };
                Setting::Silence(SilenceId(1 + number % 4), is_there.then(|| Arc::new(silence)))
            }
        };
        self.push(batch, Persist::Setting(setting));
    }

    fn token(&mut self, batch: &mut Batch) {
        let at = self.now();
        let known = chosen(&self.tokens, &mut self.random);
        batch.tokens.push(match (self.random.below(3), known) {
            (0, Some(id)) => TokenChange::Use(id, at),
            (1, Some(id)) => TokenChange::Revoke(id, at),
            _ => {
                let number = self.name();
                let id = TokenId::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                self.tokens.push(id);
                let mut digest = [0; 32];
                digest[..8].copy_from_slice(&number.to_be_bytes());
                TokenChange::Create(Box::new(Token {
                    id,
                    digest,
                    scope: Scope::Read,
                    name: format!("token {number}"),
                    parent: None,
                    created_at: at,
                    expires_at: None,
                    last_used_at: None,
                    revoked_at: None,
                }))
            }
        });
    }
}
