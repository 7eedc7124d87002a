//! Owns what the store's tests need of this backend beside its doors: the same steps as its threads take, one by one.
//! It must not add a way around them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ageing::Ageing;
use super::commit::commit;
use super::fold::Fold;
use super::reseal::Resealed;
use super::retention::Retention;
use super::{Store, history};
use crate::core::{LedgerRow, Persist, StoredJob};
use crate::store::{AlertUpdate, Answer, Batch, ChannelHealth, Delivery, Housekeeping, Keep, Loaded, Query};
use crate::vault::Vault;

/// A store under test.
#[derive(Debug)]
pub(in crate::store) struct Subject {
    path: PathBuf,
    store: Option<Store>,
}

impl Subject {
    /// In this folder; it is not open yet.
    pub(in crate::store) fn new(folder: &Path) -> Subject {
        Subject { path: folder.join("p.db"), store: None }
    }

    /// As a process that ended and another that starts, with this key.
    pub(in crate::store) fn try_reopen(&mut self, key: Option<[u8; 32]>) -> Result<(), String> {
        self.store = None;
        let store = Store::open(&self.path).map_err(|why| why.to_string())?;
        let store = self.store.insert(store.with_vault(key.as_ref().map(Vault::new)));
        store
            .load(&crate::job::Context::at(crate::time::Instant::FIRST), drop, drop)
            .map(drop)
            .map_err(|why| why.to_string())
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("it is open but while it is reopened")
    }

    /// Writes one batch.
    pub(in crate::store) fn write(&mut self, items: impl IntoIterator<Item = Persist>) {
        let items: Vec<_> = items.into_iter().enumerate().map(|(index, item)| (index as u64 + 1, item)).collect();
        items.iter().for_each(|(_, item)| self.store().index.expect(item));
        let store = self.store();
        let batch = Batch { items, ..Batch::default() };
        commit(&mut store.connection, store.vault.as_ref(), &batch).expect("it can be written");
    }

    /// Notes how messages and channels fared.
    pub(in crate::store) fn note(
        &mut self,
        deliveries: impl IntoIterator<Item = Delivery>,
        channels: impl IntoIterator<Item = (Arc<str>, ChannelHealth)>,
    ) {
        let (deliveries, channels) = (deliveries.into_iter().collect(), channels.into_iter().collect());
        let batch = Batch { deliveries, channels, ..Batch::default() };
        commit(&mut self.store().connection, None, &batch).expect("it can be written");
    }

    /// What a start finds.
    pub(in crate::store) fn load(&mut self) -> (Vec<StoredJob>, Vec<LedgerRow>, Loaded) {
        let (mut jobs, mut rows) = (Vec::new(), Vec::new());
        let loaded = self
            .store()
            .load(&crate::job::Context::at(crate::time::Instant::FIRST), |job| jobs.push(job), |row| rows.push(row))
            .expect("it can be read");
        (jobs, rows, loaded)
    }

    /// Changes the key, as the command does while no server runs.
    pub(in crate::store) fn reseal(&mut self, old: [u8; 32], new: [u8; 32]) -> Result<Resealed, String> {
        let store = self.store.take().expect("it is open");
        let done = store.reseal(&Vault::new(&old), &Vault::new(&new)).map_err(|why| why.to_string());
        self.store = Some(Store::open(&self.path).expect("it is as it was, or sealed anew"));
        done
    }

    /// As somebody who has the file and an SQLite shell.
    pub(in crate::store) fn meddle(&mut self, sql: &str) {
        self.store().connection.execute_batch(sql).expect("it can be done");
    }

    /// Asks a query.
    pub(in crate::store) fn try_ask(&mut self, query: &Query) -> Result<Answer, String> {
        let index = Arc::clone(self.store().index.index());
        history::answer(&mut self.store().connection, &index, None, query).map_err(|why| why.to_string())
    }

    /// Moves all that is finished into history. What was wrong with a rollup, if one could not be read.
    pub(in crate::store) fn fold(&mut self) -> Option<String> {
        let store = self.store();
        let mut fold = Fold::new(0, &Housekeeping::default());
        let mut later = fold.due();
        loop {
            fold.slice(&mut store.connection, &mut store.index, later).expect("it can be folded");
            if fold.is_done() {
                return fold.take_unread().map(|why| why.to_string());
            }
            later += Duration::from_secs(3600);
        }
    }

    /// Lets series age, for so many slices at most: as the writer does. How often it failed, and whether it came to rest.
    pub(in crate::store) fn age(&mut self, slices: usize) -> (usize, bool) {
        let store = self.store();
        let mut ageing = Ageing::new(&Housekeeping::default());
        let (mut due, mut failures) = (ageing.due(), 0);
        for _ in 0..slices {
            if ageing.slice(&mut store.connection, due).is_err() {
                failures += 1;
                ageing.skip(due);
            }
            // A slice rests for milliseconds, the end of a sweep for minutes.
            if ageing.due() > due + Duration::from_secs(5) {
                return (failures, true);
            }
            due = ageing.due().max(due);
        }
        (failures, false)
    }

    /// What a statement counts.
    pub(in crate::store) fn count(&mut self, sql: &str) -> i64 {
        self.store().connection.query_row(sql, [], |row| row.get(0)).expect("it can be counted")
    }

    /// Notes what became of alerts.
    pub(in crate::store) fn write_alerts(&mut self, alerts: impl Iterator<Item = AlertUpdate>) {
        let batch = Batch { alerts: alerts.collect(), ..Batch::default() };
        commit(&mut self.store().connection, None, &batch).expect("it can be written");
    }

    /// Lets retention come to the end of one sweep.
    pub(in crate::store) fn sweep_once(&mut self, keep: Keep) {
        let store = self.store();
        let mut retention = Retention::new(keep, Arc::clone(store.index.index()), Housekeeping::default());
        let mut due = retention.due();
        loop {
            retention.slice(&mut store.connection, due).expect("it can be swept");
            // A slice rests for milliseconds, the end of a sweep for seconds.
            if retention.due() > due + Duration::from_secs(5) {
                return;
            }
            due = retention.due();
        }
    }

    /// Lets retention work for as long as it finds something to do.
    pub(in crate::store) fn sweep(&mut self, keep: Keep) {
        let store = self.store();
        let mut retention = Retention::new(keep, Arc::clone(store.index.index()), Housekeeping::default());
        for hours in 1..200 {
            let later = Instant::now() + Duration::from_secs(3600 * hours);
            retention.slice(&mut store.connection, later).expect("it can be swept");
        }
    }

    /// Lets retention rest while this is kept, and then hear that so much is: how long it goes on resting.
    pub(in crate::store) fn sweep_from_now_on(&mut self, before: Keep, keep: Keep) -> Duration {
        let store = self.store();
        let mut retention = Retention::new(before, Arc::clone(store.index.index()), Housekeeping::default());
        let now = retention.due();
        while retention.due() <= now + Duration::from_secs(5) {
            let due = retention.due();
            retention.slice(&mut store.connection, due).expect("it can be swept");
        }
        let now = retention.due() - Duration::from_secs(4);
        retention.keep_from_now(keep, now);
        let rest = retention.due().saturating_duration_since(now);
        for hours in 1..200 {
            let later = Instant::now() + Duration::from_secs(3600 * hours);
            retention.slice(&mut store.connection, later).expect("it can be swept");
        }
        rest
    }

    /// What the content takes up.
    pub(in crate::store) fn bytes(&mut self) -> u64 {
        let connection = &self.store().connection;
        let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect("known");
        ((number("page_count") - number("freelist_count")) * number("page_size")).unsigned_abs()
    }
}
