//! What the tests of the real binary share: a server as a child process, a real receiver, an API client, waiting.
//! It must not assert what a test is about, and never leaves a process behind.
#![allow(dead_code, reason = "each test program uses a part of this")]

pub mod aged;
pub mod api;
pub mod asked;
pub mod browser;
pub mod history;
pub mod housed;
pub mod postgres;
pub mod preloaded;
pub mod process;
pub mod random;
pub mod receiver;
pub mod server;
pub mod service;
pub mod webdriver;

use std::time::{Duration, Instant};

/// How long anything may take on a slow, noisy machine before a test says that it does not happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `probe` gives something; panics with `what` if it never does.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The wall clock in microseconds since 1970.
pub fn wall_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_micros()).expect("it is before the year 290,000")
}

/// The Unix second of an ISO 8601 time such as `2026-01-01T01:10:31.000Z`.
pub fn second_of(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).unwrap_or_else(|why| panic!("{text}: {why}")).timestamp()
}
