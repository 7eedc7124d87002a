//! Owns the readers' connections: read-only ones that answer queries within a time limit.
//! It must not hold a connection's snapshot beyond one query.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, ErrorCode};

use super::Store;
use super::history;
use super::index::Index;
use super::open::open_reader;
use crate::limits::READ_TIME_MAX;
use crate::schedule::Zones;
use crate::store::reading::{Answering, Readers};
use crate::store::{Answer, Query, ReadError};

/// How many SQLite steps pass between two looks at the clock.
const STEPS_PER_LOOK: i32 = 1_000;

impl<T: Send + 'static, R: Send + 'static> Readers<T, R> {
    /// Starts so many readers of a file, who know these zones. `make` turns an answer into what the caller wants, off the loop; `notify` is called
    /// after each.
    ///
    /// # Errors
    /// When a connection or a thread cannot be had.
    pub fn start(
        store: &Store,
        count: usize,
        zones: &Zones,
        make: impl Fn(&T, Result<Answer, ReadError>) -> R + Send + Sync + 'static,
        notify: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Readers<T, R>> {
        Readers::spawn(readers(store, count, zones)?, make, notify)
    }
}

fn readers(store: &Store, count: usize, zones: &Zones) -> io::Result<Vec<Answering>> {
    let reader = |_| {
        let mut connection = open_reader(store.path()).map_err(io::Error::other)?;
        let (index, lock, zones) = (Arc::clone(store.index.index()), Arc::clone(&store.lock), zones.clone());
        let answering: Answering = Box::new(move |query| {
            // Nobody else opens the database while somebody reads.
            let _held = &lock;
            answer(&mut connection, &index, &zones, query)
        });
        Ok(answering)
    };
    (0..count).map(reader).collect()
}

fn answer(connection: &mut Connection, index: &Index, zones: &Zones, query: &Query) -> Result<Answer, ReadError> {
    let deadline = Instant::now() + READ_TIME_MAX;
    let limited = connection.progress_handler(STEPS_PER_LOOK, Some(move || Instant::now() > deadline));
    let answer = limited.and_then(|()| history::answer(connection, index, Some(zones), query));
    answer.map_err(|why| match why.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => ReadError::TooLong,
        Some(_) | None => ReadError::Unreadable,
    })
}
