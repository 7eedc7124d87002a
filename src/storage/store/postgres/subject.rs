//! Owns what the store's tests need of this backend beside its doors: the same steps as its threads take, one by one.
//! It must not add a way around them.

use std::sync::{Arc, Mutex};

use super::history;
use super::open::{Store, soon};
use super::session::Session;
use super::taking::Claim;
use super::writer::{Writing, lock};
use super::{ageing, keeper, load, partitions, retention};
use crate::clock;
use crate::core::{LedgerRow, Persist, Restored, Shards, StoredJob};
use crate::job::Context;
use crate::postgres::Url;
use crate::store::sql::Sql;
use crate::store::{AlertUpdate, Answer, Batch, ChannelHealth, Delivery, Keep, Loaded, Query, Taken};
use crate::time::{Instant, WallUs};
use crate::vault::Vault;

/// More slices than any test has work for.
const SLICES_MAX: usize = 10_000;

/// A store under test.
#[derive(Debug)]
pub(in crate::store) struct Subject {
    url: Url,
    writing: Option<Writing>,
    vault: Option<Vault>,
}

impl Subject {
    pub(in crate::store) fn new(url: Url) -> Subject {
        Subject { url, writing: None, vault: None }
    }

    /// As a process that ended and another that starts, which need not wait until the first one is known to be dead.
    pub(in crate::store) fn try_reopen(&mut self, key: Option<[u8; 32]>) -> Result<(), String> {
        if let Some(mut writing) = self.writing.take() {
            writing.store().leave().expect("it can say so");
        }
        let store = Store::open(&self.url, "subject").map_err(|why| why.to_string())?;
        let mut store = store.with_vault(key.as_ref().map(Vault::new));
        let loaded = store.load().map(drop).map_err(|why| why.to_string());
        let homes = Arc::new(Mutex::default());
        self.writing = Some(Writing::new(store, homes));
        loaded?;
        keeper::bury_nodes(&mut self.writing().store().connection).map_err(|why| why.to_string())?;
        let claim = self.writing().take(256, &Shards::NONE).map_err(|why| format!("{why:?}"))?;
        self.vault = key.as_ref().map(Vault::new);
        self.read(&claim, &mut drop)?;
        Ok(())
    }

    /// What was taken over, read as the loader does.
    fn read(&mut self, claim: &Claim, job: &mut dyn FnMut(StoredJob)) -> Result<Taken, String> {
        let vault = self.vault.take();
        let (writing, told) = (self.writing(), |why: crate::postgres::Error| why.to_string());
        let homes = Arc::clone(writing.homes());
        let node = writing.store().node;
        let session = self.session();
        session.run("BEGIN", &[]).map_err(told)?;
        let found = load::secrets_in(&session, &claim.new, vault.as_ref()).map_err(|why| format!("{why:?}"))?;
        let mut job = |stored: StoredJob| {
            lock(&homes).note(&stored.revision);
            job(stored);
        };
        let taken = load::taken(&session, node, claim, &found, &Context::at(Instant::FIRST), &mut job).map_err(told)?;
        session.run("COMMIT", &[]).and_then(|()| session.flush()).map_err(told)?;
        drop(session);
        self.vault = vault;
        Ok(taken)
    }

    fn writing(&mut self) -> &mut Writing {
        self.writing.as_mut().expect("it is open but while it is reopened")
    }

    fn session(&mut self) -> Session<'_> {
        Session::new(&mut self.writing().store().connection, soon())
    }

    fn write_batch(&mut self, batch: &Batch) {
        self.writing().write(batch).expect("it can be written");
    }

    pub(in crate::store) fn write(&mut self, items: impl IntoIterator<Item = Persist>) {
        self.write_batch(&Batch { items: (1..).zip(items).collect(), ..Batch::default() });
    }

    /// The fence knows the batch by its number.
    pub(in crate::store) fn write_again(&mut self, items: impl IntoIterator<Item = Persist>) {
        let batch = Batch { items: (1..).zip(items).collect(), ..Batch::default() };
        assert!(self.writing().is_refused_again(&batch), "it is there already");
    }

    pub(in crate::store) fn note(
        &mut self,
        deliveries: impl IntoIterator<Item = Delivery>,
        channels: impl IntoIterator<Item = (Arc<str>, ChannelHealth)>,
    ) {
        let (deliveries, channels) = (deliveries.into_iter().collect(), channels.into_iter().collect());
        self.write_batch(&Batch { deliveries, channels, ..Batch::default() });
    }

    pub(in crate::store) fn write_alerts(&mut self, alerts: impl Iterator<Item = AlertUpdate>) {
        self.write_batch(&Batch { alerts: alerts.collect(), ..Batch::default() });
    }

    pub(in crate::store) fn load(&mut self) -> (Vec<StoredJob>, Vec<LedgerRow>, Loaded) {
        let mut loaded = self.writing().store().load().expect("it can be read");
        // As if it had just got them all, and all rows with them.
        self.meddle("UPDATE ledger SET known = true; UPDATE incidents SET node = NULL");
        let claim = self.writing().take(0, &Shards::NONE).expect("they can be taken");
        let mut jobs = Vec::new();
        let taken = self.read(&claim, &mut |job| jobs.push(job)).expect("it can be read");
        let Taken { rows, restored, incidents, alerts, messages } = taken;
        let rows: Vec<LedgerRow> = rows.into_iter().map(|(row, _)| row).collect();
        let newest = restored.newest.max(rows.iter().filter_map(|row| row.record.executed).max());
        loaded = Loaded { restored: Restored { newest, ..restored }, incidents, alerts, messages, ..loaded };
        loaded.jobs = jobs.len();
        (jobs, rows, loaded)
    }

    pub(in crate::store) fn count(&mut self, text: &str) -> i64 {
        partitions::show(&mut self.writing().store().connection, soon()).expect("nobody looks at it");
        self.session().first(text, &[], |row| row.get(0)).expect("it can be counted").expect("a count is one row")
    }

    pub(in crate::store) fn meddle(&mut self, text: &str) {
        self.writing().store().connection.batch(text, soon()).expect("it can be done");
    }

    pub(in crate::store) fn try_ask(&mut self, query: &Query) -> Result<Answer, String> {
        let session = self.session();
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", &[]).expect("it waits");
        let answer = history::answer(&session, None, query).map_err(|why| why.to_string());
        session.end().expect("it can be ended");
        answer
    }

    /// Adds what ended to totals and series.
    pub(in crate::store) fn fold(&mut self) {
        let writing = self.writing();
        let Some((recent, batch)) = writing.take_recent() else { return };
        let node = writing.store().node;
        recent.flush(&self.session(), node, batch, clock::wall()).expect("it can be counted");
    }

    /// What time the keeper takes it to be.
    fn surely(&mut self) -> WallUs {
        retention::surely(&self.session(), &mut None).expect("it can be read")
    }

    /// How often it failed, and whether it came to rest.
    pub(in crate::store) fn age(&mut self, slices: usize) -> (usize, bool) {
        let surely = self.surely();
        let is_done = (0..slices).any(|_| !ageing::slice(&self.session(), surely).expect("it can be aged"));
        (0, is_done)
    }

    pub(in crate::store) fn sweep(&mut self, keep: Keep) {
        let surely = self.surely();
        let is_done = (0..SLICES_MAX).any(|_| {
            !retention::slice(&mut self.writing().store().connection, &keep, surely).expect("it can be swept")
        });
        assert!(is_done, "a sweep comes to its end");
    }

    pub(in crate::store) fn bytes(&mut self) -> u64 {
        let size = "SELECT CAST(sum(pg_total_relation_size(CAST('executions_' || number AS regclass))) AS BIGINT) FROM partitions";
        self.count(size).unsigned_abs()
    }
}
