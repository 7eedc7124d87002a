//! Owns the reader threads: read-only connections that answer queries within a time limit.
//! It must not hold a connection's snapshot beyond one query, or format answers: it is given the function that does.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::{Connection, ErrorCode};

use super::Store;
use super::history;
use super::index::Index;
use super::open::open_reader;
use crate::background;
use crate::limits::{READ_TIME_MAX, READS_PENDING_MAX};
use crate::store::{Answer, Query, ReadError};

/// How many SQLite steps pass between two looks at the clock.
const STEPS_PER_LOOK: i32 = 1_000;

/// The running readers. `T` says which query it was towards the caller, `R` is what an answer is made into on the thread.
#[derive(Debug)]
pub struct Readers<T, R> {
    queries: Sender<(T, Query)>,
    answers: Receiver<(T, R)>,
}

impl<T: Send + 'static, R: Send + 'static> Readers<T, R> {
    /// Starts `threads` readers. `make` turns an answer into what the caller wants, off the loop.
    ///
    /// # Errors
    /// When a connection or a thread cannot be had.
    pub fn start(
        store: &Store,
        threads: usize,
        make: impl Fn(&T, Result<Answer, ReadError>) -> R + Send + Sync + 'static,
        notify: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Readers<T, R>> {
        let (queries, work) = bounded::<(T, Query)>(READS_PENDING_MAX);
        // Room for all that wait and all that are being answered: a reader never waits for the loop.
        let (say, answers) = bounded(READS_PENDING_MAX + threads);
        let make = Arc::new(make);
        for number in 0..threads {
            let mut connection = open_reader(store.path()).map_err(io::Error::other)?;
            let (index, lock) = (Arc::clone(store.index.index()), Arc::clone(&store.lock));
            let (work, say, make, notify) = (work.clone(), say.clone(), Arc::clone(&make), Arc::clone(&notify));
            std::thread::Builder::new().name(format!("reader-{number}")).spawn(move || {
                background::give_way();
                for (name, query) in work {
                    let answer = answer(&mut connection, &index, &query);
                    let made = make(&name, answer);
                    if say.send((name, made)).is_err() {
                        break;
                    }
                    notify();
                }
                drop(connection);
                drop(lock);
            })?;
        }
        Ok(Readers { queries, answers })
    }

    /// Asks; gives the name back if too many queries wait.
    ///
    /// # Errors
    /// When the queue is full.
    pub fn ask(&self, name: T, query: Query) -> Result<(), T> {
        self.queries.try_send((name, query)).map_err(|refused| refused.into_inner().0)
    }

    /// The next answer, if there is one.
    pub fn try_answer(&self) -> Option<(T, R)> {
        self.answers.try_recv().ok()
    }

    /// Queries that no reader has taken up yet.
    pub fn waiting(&self) -> usize {
        self.queries.len()
    }
}

fn answer(connection: &mut Connection, index: &Index, query: &Query) -> Result<Answer, ReadError> {
    let deadline = Instant::now() + READ_TIME_MAX;
    let limited = connection.progress_handler(STEPS_PER_LOOK, Some(move || Instant::now() > deadline));
    let answer = limited.and_then(|()| history::answer(connection, index, query));
    answer.map_err(|why| match why.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => ReadError::TooLong,
        Some(_) | None => ReadError::Unreadable,
    })
}
