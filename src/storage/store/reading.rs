//! Owns the door of the readers: queries go in, answers come out, and threads stand behind it.
//! It must not format answers: it is given the function that does; nor know how they are found: a backend does.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::messages::{Answer, Query, ReadError};
use crate::background;
use crate::limits::READS_PENDING_MAX;

/// What answers queries, on a thread of its own.
pub(super) type Answering = Box<dyn FnMut(&Query) -> Result<Answer, ReadError> + Send>;

/// The running readers. `T` says which query it was towards the caller, `R` is what an answer is made into on the thread.
#[derive(Debug)]
pub struct Readers<T, R> {
    queries: Sender<(T, Query)>,
    answers: Receiver<(T, R)>,
}

impl<T: Send + 'static, R: Send + 'static> Readers<T, R> {
    /// Starts a thread for each of these. `make` turns an answer into what the caller wants, off the loop.
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub(super) fn spawn(
        answering: Vec<Answering>,
        make: impl Fn(&T, Result<Answer, ReadError>) -> R + Send + Sync + 'static,
        notify: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Readers<T, R>> {
        let (queries, work) = bounded::<(T, Query)>(READS_PENDING_MAX);
        // Room for all that wait and all that are being answered: a reader never waits for the loop.
        let (say, answers) = bounded(READS_PENDING_MAX + answering.len());
        let make = Arc::new(make);
        for (number, mut answer) in answering.into_iter().enumerate() {
            let (work, say, make, notify) = (work.clone(), say.clone(), Arc::clone(&make), Arc::clone(&notify));
            std::thread::Builder::new().name(format!("reader-{number}")).spawn(move || {
                background::give_way();
                for (name, query) in work {
                    // What one query brings to a stop keeps nobody else from being answered.
                    let made = catch_unwind(AssertUnwindSafe(|| make(&name, answer(&query))));
                    let made = made.unwrap_or_else(|_| make(&name, Err(ReadError::Unreadable)));
                    if say.send((name, made)).is_err() {
                        break;
                    }
                    notify();
                }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::IncidentId;

    #[test]
    fn a_query_that_panics_is_unreadable_and_the_others_are_answered() {
        let answer = |query: &Query| match query {
            Query::Incident(IncidentId(0)) => panic!("for a test"),
            _ => Ok(Answer::Incident(None)),
        };
        let make = |_: &u8, found: Result<Answer, ReadError>| found.err();
        let readers = Readers::spawn(vec![Box::new(answer)], make, Arc::new(|| ())).expect("a thread");
        for (name, id) in [(1, 0), (2, 7), (3, 0), (4, 7)] {
            readers.ask(name, Query::Incident(IncidentId(id))).expect("there is room");
        }
        let answers: Vec<_> =
            (0..4).map(|_| readers.answers.recv_timeout(Duration::from_secs(60)).expect("it is answered")).collect();
        let unreadable = Some(ReadError::Unreadable);
        assert_eq!(answers, [(1, unreadable), (2, None), (3, unreadable), (4, None)]);
    }
}
