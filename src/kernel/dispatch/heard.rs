//! Owns what the bytes of an answer come to, by themselves: read as a worker reads them, without a connection or a clock.
//! It must not read them in a way of its own.

use http::Method;

use super::connection::take;
use super::exchange::{Asked, Exchange, Progress};
use super::told::{Telling, Told};
use crate::core::Outcome;
use crate::time::WallUs;

/// What a worker makes of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What the attempt came to.
    pub outcome: Outcome,
    /// Whether the connection can carry another request.
    pub reusable: bool,
    /// How long the target wants to be left alone.
    pub retry_after_s: Option<u32>,
    /// The beginning of the body, if it is text.
    pub response: Option<Box<str>>,
}

/// What an answer to a POST comes to that arrives in these pieces; behind the last one the target closes the connection. What
/// it says is listened to whatever its status.
pub fn hear<'a>(pieces: impl Iterator<Item = &'a [u8]>, now: WallUs) -> Heard {
    let (outcome, reusable, told) = read(pieces, Telling::Beginning);
    let retry_after_s = told.as_deref().and_then(|told| told.retry_after_s(now));
    Heard { outcome, reusable, retry_after_s, response: told.and_then(|told| told.response()) }
}

/// The same where nothing else is of interest, as with what succeeds: the outcome, and whether the connection can carry
/// another request.
pub fn hear_outcome<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Outcome, bool) {
    let (outcome, reusable, _) = read(pieces, Telling::Nothing);
    (outcome, reusable)
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, interest: Telling) -> (Outcome, bool, Option<Box<Told>>) {
    let mut exchange = Exchange::begin(Asked { method: Method::POST, closes: false });
    let (mut partial, mut scratch) = (Vec::new(), [0; 4 * 1024]);
    let mut end = None;
    let mut pieces = pieces.filter(|piece| !piece.is_empty());
    for piece in pieces.by_ref() {
        match take(&mut exchange, &mut partial, piece, &mut scratch, &|_| interest) {
            Progress::More(_) | Progress::Listening { .. } | Progress::Decided { .. } => {}
            progress @ (Progress::Whole { .. } | Progress::Unusable(_)) => {
                end = Some(progress);
                break;
            }
        }
    }
    let (outcome, reusable) = match end.unwrap_or_else(|| exchange.close()) {
        // A connection that says more than it was asked is not used again.
        Progress::Whole { status, reusable } => (Outcome::Answered(status), reusable && pieces.next().is_none()),
        Progress::Unusable(why) => (Outcome::ConnectionFailed(why), false),
        Progress::More(_) | Progress::Listening { .. } | Progress::Decided { .. } => {
            unreachable!("behind the last piece nothing is awaited")
        }
    };
    (outcome, reusable, exchange.take_told())
}
