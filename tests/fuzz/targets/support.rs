//! Owns what several targets need: bytes cut in pieces, requests, what jobs are read with, a job as the core shows it.
//! It must not check anything.

use std::sync::{Arc, OnceLock};

use punctual::access::{Scope, Who};
use punctual::api::{ApiError, Routed, body_limit, route};
use punctual::core::{JobView, Tally};
use punctual::http::{Body, Decoded, Decoder, Headers, Limits, Method, Request, Response};
use punctual::job::{Context, JobId, JobKey, JobSpec, Revision};
use punctual::limits::{HEAD_LEN_MAX, HEADERS_MAX, JSON_DEPTH_MAX};
use punctual::mix::mix;
use punctual::schedule::{Calendars, Dates, Zones};
use punctual::time::{Instant, WallUs};

/// When everything takes place: 2026-01-01T01:10:31Z, and a bit.
pub const NOW: WallUs = WallUs(1_767_229_831_000_123);

/// Longer input shows nothing that shorter input does not, and takes time.
pub const LEN_MAX: usize = 4_096;

/// Numbers that look like chance and depend on the input alone.
pub struct Chance(u64);

impl Chance {
    pub fn of(data: &[u8]) -> Chance {
        Chance(data.iter().fold(data.len() as u64, |state, byte| mix(state ^ u64::from(*byte))))
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 = mix(self.0);
        (self.0 % end.max(1) as u64) as usize
    }

    /// The bytes in pieces of `len_max` at most.
    pub fn cut<'a>(&mut self, mut bytes: &'a [u8], len_max: usize) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at((1 + self.below(len_max)).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

/// What requests are read with: all zones, a calendar, and secrets can be sealed.
pub fn context() -> Context<'static> {
    static KNOWN: OnceLock<(Zones, Calendars)> = OnceLock::new();
    let (zones, calendars) = KNOWN.get_or_init(|| {
        let mut calendars = Calendars::default();
        let dates = ["2026-01-06", "2026-12-25", "2026-12-26", "2027-01-01"];
        let dates = Dates::parse(dates.into_iter(), 10).expect("they are dates");
        calendars.insert("de", Arc::new(dates)).expect("it is a name");
        (Zones::bundled(), calendars)
    });
    Context {
        anchor: NOW.floor(),
        seals: true,
        now: NOW,
        zones: Some(zones),
        zone: None,
        calendars: Some(calendars),
        seed: Some(7),
        json_depth_max: JSON_DEPTH_MAX,
        compiled: None,
    }
}

/// A request with a body, as the decoder hands it out.
pub fn request(method: Method, path: &str, query: &str, body: Vec<u8>) -> Request {
    Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        keep_alive: true,
        http_10: false,
        accepts: Default::default(),
        headers: Headers::default(),
        body,
    }
}

/// What a server's decoder goes by.
pub const LIMITS: Limits = Limits { head_len_max: HEAD_LEN_MAX, headers_max: HEADERS_MAX, body_len_max: body_limit };

/// The words of the first line, which say how a server is set up and who is connected; behind it the request.
pub fn asked(data: &[u8]) -> Option<(Vec<&str>, Request)> {
    let data = &data[..data.len().min(LEN_MAX)];
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let words = std::str::from_utf8(&data[..end]).ok()?.split(' ').collect();
    match Decoder::new(LIMITS).decode(&data[end + 1..]) {
        (_, Ok(Decoded::Request(request))) => Some((words, request)),
        (_, Ok(Decoded::NeedMore | Decoded::SendContinue) | Err(_)) => None,
    }
}

/// What somebody asks for who may do anything.
pub fn routed(request: &Request) -> Result<Routed<'_>, ApiError> {
    route(request, &context(), Who::without_token(Some(Scope::Admin)))
}

/// The one job that there is.
pub fn job_id() -> JobId {
    JobId::new(JobKey(42), [0xab; 10])
}

/// A job as the core shows it when it was just created; a drawn seed is kept.
pub fn view_of(spec: JobSpec) -> JobView {
    view(Revision::first(job_id(), spec, NOW))
}

/// A revision as the core shows it.
pub fn view(revision: Revision) -> JobView {
    let paused = revision.pause_at(NOW).is_some();
    let after: Instant = revision.since;
    let next = revision.spec.schedule.next_after(after).filter(|_| revision.spec.active);
    JobView { revision: Arc::new(revision), tally: Tally::default(), next, paused, held: false }
}

/// The body of an answer that is whole.
pub fn body(response: &Response) -> &[u8] {
    let Body::Whole(body) = &response.body else { panic!("it is whole") };
    body
}
