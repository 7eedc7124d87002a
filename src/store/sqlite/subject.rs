//! Owns what the store's tests need of this backend beside its doors: the same steps as its threads take, one by one.
//! It must not add a way around them.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::fold::Fold;
use super::retention::Retention;
use super::tail::Tail;
use super::writer::commit;
use super::{Store, history};
use crate::core::{LedgerRow, Persist, StoredJob};
use crate::store::{Answer, Batch, Keep, Loaded, Query};

/// A store under test.
#[derive(Debug)]
pub(crate) struct Subject {
    path: PathBuf,
    store: Option<Store>,
}

impl Subject {
    pub(crate) fn open(folder: &Path) -> Subject {
        let mut subject = Subject { path: folder.join("p.db"), store: None };
        subject.reopen();
        subject
    }

    /// As a process that ended and another that starts.
    pub(crate) fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Store::open(&self.path).expect("it opens"));
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("it is open but while it is reopened")
    }

    /// Writes one batch.
    pub(crate) fn write(&mut self, items: impl IntoIterator<Item = Persist>) {
        let items = items.into_iter().enumerate().map(|(index, item)| (index as u64 + 1, item)).collect();
        commit(&mut self.store().connection, &Batch { items, alerts: Vec::new() }, false).expect("it can be written");
    }

    /// What a start finds.
    pub(crate) fn load(&mut self) -> (Vec<StoredJob>, Vec<LedgerRow>, Loaded) {
        let (mut jobs, mut rows) = (Vec::new(), Vec::new());
        let loaded = self.store().load(|job| jobs.push(job), |row| rows.push(row)).expect("it can be read");
        (jobs, rows, loaded)
    }

    pub(crate) fn ask(&mut self, query: &Query) -> Answer {
        let tail = Mutex::new(Tail::default());
        history::answer(&mut self.store().connection, &tail, query).expect("it can be read")
    }

    /// Moves all that is finished into history.
    pub(crate) fn fold(&mut self) {
        self.load();
        let store = self.store();
        let mut fold = Fold::new(std::mem::take(&mut store.unfolded));
        let begin = fold.due().unwrap_or_else(Instant::now);
        for hours in 0.. {
            if fold.due().is_none() {
                return;
            }
            let later = begin + Duration::from_secs(3600 * hours);
            fold.slice(&mut store.connection, later).expect("it can be folded");
        }
    }

    /// Lets retention work for as long as it finds something to do.
    pub(crate) fn sweep(&mut self, keep: Keep) {
        let mut retention = Retention::new(keep);
        for hours in 1..200 {
            let later = Instant::now() + Duration::from_secs(3600 * hours);
            retention.slice(&mut self.store().connection, later).expect("it can be swept");
        }
    }

    /// What the content takes up.
    pub(crate) fn bytes(&mut self) -> u64 {
        let connection = &self.store().connection;
        let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect("known");
        ((number("page_count") - number("freelist_count")) * number("page_size")).unsigned_abs()
    }
}
