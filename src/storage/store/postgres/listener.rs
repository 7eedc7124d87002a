//! Owns the thread that hears when another node has something for this one, so that it need not wait for its next look.
//! It must not be relied on: whoever hears nothing looks all the same.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::open::{connect, soon};
use crate::background;
use crate::clock;
use crate::postgres::{Connection, Error, Url};
use crate::store::sharing::{SharedEvent, SharedTeller};

/// The rest after the server could not be reached.
const RETRY_WAIT: Duration = Duration::from_millis(500);
/// How long it listens until it looks whether anybody wants to know.
const LISTEN_TIME: Duration = Duration::from_secs(1);

/// Starts it for whichever node this server is. It ends when nobody wants to hear of it any more.
///
/// # Errors
/// When a thread cannot be had.
pub(super) fn start(url: Url, me: Arc<AtomicU64>, teller: SharedTeller) -> io::Result<()> {
    std::thread::Builder::new().name("listener".to_owned()).spawn(move || {
        background::give_way();
        // What fails is no harm, and the lookout tells of it.
        while matches!(listen(&url, &me, &teller), Ok(true) | Err(_)) {
            std::thread::sleep(RETRY_WAIT);
        }
    })?;
    Ok(())
}

fn listen(url: &Url, me: &Arc<AtomicU64>, teller: &SharedTeller) -> Result<bool, Error> {
    let mut connection: Connection = connect(url)?;
    connection.batch("LISTEN punctual", soon())?;
    loop {
        let heard = connection.notifications(clock::mono().plus(LISTEN_TIME))?;
        let lost = connection.take_notifications_lost();
        let mine = me.load(Ordering::Relaxed).to_string();
        if (lost > 0 || heard.iter().any(|told| *told.payload == *mine)) && !teller.tell(SharedEvent::Rung) {
            return Ok(false);
        }
        // Whoever had the other end of the door keeps a copy of this.
        if Arc::strong_count(me) == 1 {
            return Ok(false);
        }
    }
}
