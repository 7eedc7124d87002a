//! Owns how a call of another thread is ended early: over a connection of its own, as the first one is waiting.
//! It must not say that something was cancelled: the server may have been done already.

use postgres_protocol::message::frontend;

use super::connecting::{Way, open};
use super::error::{Error, Sent};
use crate::time::MonoUs;

/// What cancels what a connection is doing.
#[derive(Clone, Debug)]
pub struct Canceller {
    /// None: the connection was made elsewhere.
    way: Option<Way>,
    pid: i32,
    key: i32,
}

impl Canceller {
    pub(super) fn new(way: Option<Way>, pid: i32, key: i32) -> Canceller {
        Canceller { way, pid, key }
    }

    /// Asks the server to end what it is doing for the connection, and waits until it has heard that. What it was doing ends
    /// with SQLSTATE 57014, if it comes in time.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn cancel(&self, until: MonoUs) -> Result<(), Error> {
        let way = self.way.as_ref().ok_or_else(|| Error::Unusable("it is not known where the server is".to_owned()))?;
        let (mut wire, _) = open(way, until)?;
        frontend::cancel_request(self.pid, self.key, &mut wire.out);
        wire.flush(until)?;
        if wire.sent() != Sent::Whole {
            return Err(Error::Lost { sent: wire.sent(), why: "the server closed it".to_owned(), last: None });
        }
        wire.end(until)
    }
}
