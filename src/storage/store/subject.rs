//! Owns the store under test: one of the backends, which is asked for the same of all.
//! It must not know more of one than that it takes the steps of its threads one by one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::sqlite::Resealed;
use super::{AlertUpdate, Answer, ChannelHealth, Delivery, Keep, Loaded, Query, postgres, sqlite};
use crate::core::{LedgerRow, Persist, StoredJob};
use crate::postgres::Url;
use crate::postgres::support::Postgres;

thread_local! {
    /// The databases that this thread's test has in place of files in folders, if it has.
    static SERVER: RefCell<Option<HashMap<PathBuf, Url>>> = const { RefCell::new(None) };
}

/// Runs a test over PostgreSQL that otherwise has a file. Without PostgreSQL it says that it was left out.
pub(crate) fn on_postgres(test: fn()) {
    if Postgres::shared().is_some() {
        SERVER.with_borrow_mut(|server| *server = Some(HashMap::new()));
        test();
    }
}

/// How often a test does something that it does so often with files: a database on a server takes longer to make.
pub(crate) fn turns(with_files: u64) -> u64 {
    if SERVER.with_borrow(Option::is_some) { with_files.div_ceil(4) } else { with_files }
}

/// The same tests, over PostgreSQL.
macro_rules! also_on_postgres {
    ($($test:ident),* $(,)?) => {
        mod on_postgres {
            $(
                #[test]
                fn $test() {
                    crate::store::subject::on_postgres(super::$test);
                }
            )*
        }
    };
}
pub(in crate::store) use also_on_postgres;

/// A store under test.
#[derive(Debug)]
pub(crate) struct Subject {
    backend: Backend,
    /// What secrets are sealed with.
    pub(crate) key: Option<[u8; 32]>,
}

#[derive(Debug)]
enum Backend {
    File(Box<sqlite::Subject>),
    Server(Box<postgres::Subject>),
}

/// Asks whichever it is.
macro_rules! whichever {
    ($subject:expr, $backend:ident => $asked:expr) => {
        match &mut $subject.backend {
            Backend::File($backend) => $asked,
            Backend::Server($backend) => $asked,
        }
    };
}

impl Subject {
    /// In this folder, if it is a file.
    pub(crate) fn open(folder: &Path) -> Subject {
        let made = || Url::parse(&Postgres::database().expect("there is a server")).expect("it is the URL of one");
        let url = SERVER.with_borrow_mut(|server| {
            server.as_mut().map(|known| known.entry(folder.to_owned()).or_insert_with(made).clone())
        });
        let backend = match url {
            Some(url) => Backend::Server(Box::new(postgres::Subject::new(url))),
            None => Backend::File(Box::new(sqlite::Subject::new(folder))),
        };
        let mut subject = Subject { backend, key: None };
        subject.reopen();
        subject
    }

    /// As a process that ended and another that starts.
    pub(crate) fn reopen(&mut self) {
        self.try_reopen().expect("it can be read");
    }

    /// The same, where the start may be refused.
    pub(crate) fn try_reopen(&mut self) -> Result<(), String> {
        let key = self.key;
        whichever!(self, backend => backend.try_reopen(key))
    }

    /// Writes one batch.
    pub(crate) fn write(&mut self, items: impl IntoIterator<Item = Persist>) {
        whichever!(self, backend => backend.write(items));
    }

    /// Writes the last batch once more, as a writer does that does not know whether it was written.
    pub(crate) fn write_again(&mut self, items: impl IntoIterator<Item = Persist>) {
        match &mut self.backend {
            Backend::File(backend) => backend.write(items),
            Backend::Server(backend) => backend.write_again(items),
        }
    }

    /// Notes how messages and channels fared.
    pub(crate) fn note(
        &mut self,
        deliveries: impl IntoIterator<Item = Delivery>,
        channels: impl IntoIterator<Item = (Arc<str>, ChannelHealth)>,
    ) {
        whichever!(self, backend => backend.note(deliveries, channels));
    }

    /// Notes what became of alerts.
    pub(crate) fn write_alerts(&mut self, alerts: impl Iterator<Item = AlertUpdate>) {
        whichever!(self, backend => backend.write_alerts(alerts));
    }

    /// What a start finds.
    pub(crate) fn load(&mut self) -> (Vec<StoredJob>, Vec<LedgerRow>, Loaded) {
        whichever!(self, backend => backend.load())
    }

    pub(crate) fn ask(&mut self, query: &Query) -> Answer {
        self.try_ask(query).expect("it can be read")
    }

    /// The same, where it may not be readable.
    pub(crate) fn try_ask(&mut self, query: &Query) -> Result<Answer, String> {
        whichever!(self, backend => backend.try_ask(query))
    }

    /// What a statement counts.
    pub(crate) fn count(&mut self, sql: &str) -> i64 {
        whichever!(self, backend => backend.count(sql))
    }

    /// As somebody who has the database and a shell for it.
    pub(crate) fn meddle(&mut self, sql: &str) {
        whichever!(self, backend => backend.meddle(sql));
    }

    /// How many secrets are kept, of all jobs and channels.
    pub(crate) fn secrets_kept(&mut self) -> i64 {
        self.count("SELECT (SELECT count(*) FROM secrets) + (SELECT count(*) FROM channel_secrets)")
    }

    /// Lets all that is finished be history, and be counted. What was wrong with a rollup, if one could not be read.
    pub(crate) fn fold(&mut self) -> Option<String> {
        match &mut self.backend {
            Backend::File(backend) => backend.fold(),
            Backend::Server(backend) => {
                backend.fold();
                None
            }
        }
    }

    /// Lets series age, for so many slices at most. How often it failed, and whether it came to rest.
    pub(crate) fn age(&mut self, slices: usize) -> (usize, bool) {
        whichever!(self, backend => backend.age(slices))
    }

    /// Lets retention come to the end of one sweep.
    pub(crate) fn sweep_once(&mut self, keep: Keep) {
        match &mut self.backend {
            Backend::File(backend) => backend.sweep_once(keep),
            Backend::Server(backend) => backend.sweep(keep),
        }
    }

    /// Lets retention work for as long as it finds something to do.
    pub(crate) fn sweep(&mut self, keep: Keep) {
        whichever!(self, backend => backend.sweep(keep));
    }

    /// What the content takes up.
    pub(crate) fn bytes(&mut self) -> u64 {
        whichever!(self, backend => backend.bytes())
    }

    fn file(&mut self) -> &mut sqlite::Subject {
        match &mut self.backend {
            Backend::File(backend) => backend,
            Backend::Server(_) => panic!("only a file can do this"),
        }
    }

    /// Changes the key, as the command does while no server runs.
    pub(crate) fn reseal(&mut self, old: [u8; 32], new: [u8; 32]) -> Result<Resealed, String> {
        self.file().reseal(old, new)
    }

    /// Lets retention rest while this is kept, and then hear that so much is: how long it goes on resting.
    pub(crate) fn sweep_from_now_on(&mut self, before: Keep, keep: Keep) -> Duration {
        self.file().sweep_from_now_on(before, keep)
    }
}
