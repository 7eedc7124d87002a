//! Owns whether and when a failed attempt is followed by another one.
//! It must not count attempts or look at a clock: it is told.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number::whole;
use super::statuses::OutcomeShape;
use super::{FieldError, StatusDefinition, Statuses, bounded};
use crate::mix::mix;

/// No wait is longer than this unless a job says so, jitter aside.
const DELAY_MAX: Duration = Duration::from_secs(3600);
/// Each wait varies by up to this many per mille to either side, so that failures together do not return together.
const JITTER_PER_MILLE: u32 = 100;
/// The longest time that a job may ask for: 30 days.
const TIME_MAX_MS: u64 = 30 * 86_400_000;

/// How many attempts a job may ask for.
const ATTEMPTS_MAX: u64 = 1_000;
/// By how much a wait may be longer than the one before.
const MULTIPLIER_MAX: f64 = 100.0;

/// How failed attempts are repeated, as clients write it. What is left out is as the server was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object such as {\"maxAttempts\":5}")]
#[schemars(rename = "Retry")]
pub struct RetryDefinition {
    /// Attempts in all, the first included.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = ATTEMPTS_MAX))]
    max_attempts: Option<u64>,
    /// The wait before the second attempt.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = TIME_MAX_MS))]
    initial_delay_ms: Option<u64>,
    /// By how much each further wait is longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = MULTIPLIER_MAX))]
    multiplier: Option<f64>,
    /// No wait is longer.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = TIME_MAX_MS))]
    max_delay_ms: Option<u64>,
    /// By which part a wait may vary to either side: 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    jitter: Option<f64>,
    /// No attempt begins later than this after the first.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = TIME_MAX_MS))]
    max_elapsed_ms: Option<u64>,
    /// Which outcomes are followed by another attempt: `"timeout"`, `"connection"`, statuses. Left out: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<OutcomeShape>>")]
    on: Option<Vec<StatusDefinition>>,
    /// Whether retries end when the next instant of the job comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_next: Option<bool>,
}

impl Eq for RetryDefinition {}

/// What a job says of it. What it leaves open is as the server was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    attempts: Option<u32>,
    delay: Option<Duration>,
    factor_per_mille: Option<u32>,
    delay_max: Option<Duration>,
    jitter_per_mille: Option<u32>,
    elapsed_max: Option<Duration>,
    on: Option<RetryOn>,
    until_next: Option<bool>,
}

/// Outcomes that are followed by another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RetryOn {
    timeout: bool,
    connection: bool,
    statuses: Statuses,
}

/// What an attempt failed with, as far as policies tell outcomes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The target answered this status.
    Status(u16),
    /// There was no answer in time.
    Timeout,
    /// There was no connection, or it broke.
    Connection,
    /// The attempt could not be carried out here. It is repeated whatever a job says.
    Worker,
}

/// How often and how far apart a failed execution is tried again, nothing left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after the first. 0 means one attempt only.
    pub retries: u32,
    /// The wait before the first retry.
    pub delay: Duration,
    /// By how much each further wait is longer, in per mille.
    pub factor_per_mille: u32,
    /// No wait is longer, jitter and what the target asks for aside.
    pub delay_max: Duration,
    /// By how much a wait varies to either side, in per mille.
    pub jitter_per_mille: u32,
    /// No attempt begins later than this after the first.
    pub elapsed_max: Option<Duration>,
    /// Whether retries end when the next instant of the job comes.
    pub until_next: bool,
}

impl Retry {
    /// What a definition means.
    pub(super) fn compile(definition: &RetryDefinition) -> Result<Retry, FieldError> {
        let RetryDefinition {
            max_attempts,
            initial_delay_ms,
            multiplier,
            max_delay_ms,
            jitter,
            max_elapsed_ms,
            on,
            until_next,
        } = definition;
        let millis = |member, given: Option<u64>| {
            given.map(|ms| bounded(member, ms, 0, TIME_MAX_MS).map(Duration::from_millis)).transpose()
        };
        let attempts = max_attempts.map(|given| bounded("retry.maxAttempts", given, 1, ATTEMPTS_MAX)).transpose()?;
        Ok(Retry {
            attempts: attempts.map(|attempts| u32::try_from(attempts).expect("at most a thousand")),
            delay: millis("retry.initialDelayMs", *initial_delay_ms)?,
            factor_per_mille: multiplier
                .map(|given| per_mille("retry.multiplier", given, 1.0, MULTIPLIER_MAX))
                .transpose()?,
            delay_max: millis("retry.maxDelayMs", *max_delay_ms)?,
            jitter_per_mille: jitter.map(|given| per_mille("retry.jitter", given, 0.0, 1.0)).transpose()?,
            elapsed_max: millis("retry.maxElapsedMs", *max_elapsed_ms)?,
            on: on.as_deref().map(RetryOn::compile).transpose()?,
            until_next: *until_next,
        })
    }

    /// The definition that means this.
    pub(super) fn define(self) -> RetryDefinition {
        let millis = |time: Duration| u64::try_from(time.as_millis()).expect("it was read from as many");
        RetryDefinition {
            max_attempts: self.attempts.map(u64::from),
            initial_delay_ms: self.delay.map(millis),
            multiplier: self.factor_per_mille.map(|factor| f64::from(factor) / 1000.0),
            max_delay_ms: self.delay_max.map(millis),
            jitter: self.jitter_per_mille.map(|jitter| f64::from(jitter) / 1000.0),
            max_elapsed_ms: self.elapsed_max.map(millis),
            on: self.on.map(RetryOn::define),
            until_next: self.until_next,
        }
    }

    /// The same without what holds anyway, whatever the server was told; None: it says nothing else.
    pub(super) fn plain(&self) -> Option<Retry> {
        // What a server can be told is how often and after which wait.
        let usual = RetryPolicy::doubling(0, Duration::ZERO);
        let mut plain = self.clone();
        plain.factor_per_mille.take_if(|factor| *factor == usual.factor_per_mille);
        plain.delay_max.take_if(|time| *time == usual.delay_max);
        plain.jitter_per_mille.take_if(|jitter| *jitter == usual.jitter_per_mille);
        plain.until_next.take_if(|until_next| *until_next == usual.until_next);
        plain.on.take_if(|on| on.timeout && on.connection && on.statuses.is_all());
        (plain != Retry::default()).then_some(plain)
    }

    /// What holds where the server was told this.
    pub(super) fn over(&self, server: &RetryPolicy) -> RetryPolicy {
        RetryPolicy {
            retries: self.attempts.map_or(server.retries, |attempts| attempts - 1),
            delay: self.delay.unwrap_or(server.delay),
            factor_per_mille: self.factor_per_mille.unwrap_or(server.factor_per_mille),
            delay_max: self.delay_max.unwrap_or(server.delay_max),
            jitter_per_mille: self.jitter_per_mille.unwrap_or(server.jitter_per_mille),
            elapsed_max: self.elapsed_max.or(server.elapsed_max),
            until_next: self.until_next.unwrap_or(server.until_next),
        }
    }

    /// Whether this failure is followed by another attempt at all.
    pub(super) fn is_on(&self, failure: Failure) -> bool {
        let Some(on) = &self.on else { return true };
        match failure {
            Failure::Status(status) => on.statuses.contains(status),
            Failure::Timeout => on.timeout,
            Failure::Connection => on.connection,
            Failure::Worker => true,
        }
    }
}

impl RetryOn {
    fn compile(entries: &[StatusDefinition]) -> Result<RetryOn, FieldError> {
        let is = |name: &str| entries.iter().any(|entry| matches!(entry, StatusDefinition::Text(text) if text == name));
        let named = |entry: &&StatusDefinition| !matches!(entry, StatusDefinition::Text(text) if text == "timeout" || text == "connection");
        let statuses: Vec<StatusDefinition> = entries.iter().filter(named).cloned().collect();
        let statuses = Statuses::compile("retry.on", &statuses).map_err(|error| {
            let message = error.message.replacen("expected ", "expected \"timeout\", \"connection\", ", 1);
            FieldError::new("retry.on", message)
        })?;
        Ok(RetryOn { timeout: is("timeout"), connection: is("connection"), statuses })
    }

    fn define(self) -> Vec<StatusDefinition> {
        let names = [(self.timeout, "timeout"), (self.connection, "connection")];
        let names = names.into_iter().filter(|(is_on, _)| *is_on);
        names.map(|(_, name)| StatusDefinition::Text(name.to_owned())).chain(self.statuses.define()).collect()
    }
}

/// A factor in per mille.
fn per_mille(member: &'static str, given: f64, least: f64, most: f64) -> Result<u32, FieldError> {
    if !(least..=most).contains(&given) {
        // A number may have hundreds of digits.
        let shown = if given.abs() < 1e15 { given.to_string() } else { format!("{given:e}") };
        return Err(FieldError::new(member, format_args!("expected a number from {least} to {most}, got {shown}")));
    }
    // Within the bounds it is far below 2^32.
    Ok((given * 1000.0).round() as u32)
}

impl RetryPolicy {
    /// So many retries after such a wait, and twice as long each time, up to an hour.
    pub const fn doubling(retries: u32, delay: Duration) -> RetryPolicy {
        RetryPolicy {
            retries,
            delay,
            factor_per_mille: 2_000,
            delay_max: DELAY_MAX,
            jitter_per_mille: JITTER_PER_MILLE,
            elapsed_max: None,
            until_next: false,
        }
    }

    /// The wait before retry number `retry` (1 is the first): `delay * factor^(retry-1)`, bounded, plus or minus the
    /// jitter. `noise` is any number that differs from execution to execution; the same one gives the same wait.
    pub fn wait(&self, retry: u32, noise: u64) -> Duration {
        let max_us = micros(self.delay_max);
        let mut plain_us = micros(self.delay).min(max_us);
        for _ in 1..retry {
            let longer_us = scaled(plain_us, self.factor_per_mille).min(max_us);
            // Neither do the further ones differ.
            if longer_us == plain_us {
                break;
            }
            plain_us = longer_us;
        }
        let jitter = u64::from(self.jitter_per_mille);
        let per_mille = 1000 - jitter + mix(noise) % (2 * jitter + 1);
        Duration::from_micros(scaled(plain_us, u32::try_from(per_mille).expect("at most two thousand")))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A part of a time, or a multiple of it.
fn scaled(us: u64, per_mille: u32) -> u64 {
    u64::try_from(u128::from(us) * u128::from(per_mille) / 1000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<Retry, FieldError> {
        Retry::compile(&serde_json::from_str(text).expect(text))
    }

    #[test]
    fn waits_double_stay_within_ten_per_cent_and_end_at_an_hour() {
        let policy = RetryPolicy::doubling(3, Duration::from_secs(1));
        for (retry, seconds) in [(1, 1), (2, 2), (3, 4), (12, 2048), (13, 3600), (40, 3600), (u32::MAX, 3600)] {
            let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
            for noise in 0..1000 {
                let wait = policy.wait(retry, noise);
                least = least.min(wait);
                most = most.max(wait);
            }
            let plain = Duration::from_secs(seconds);
            assert!(least >= plain * 9 / 10 && least < plain * 92 / 100, "retry {retry}: {least:?}");
            assert!(most <= plain * 11 / 10 && most > plain * 108 / 100, "retry {retry}: {most:?}");
        }
    }

    #[test]
    fn a_zero_delay_stays_zero() {
        assert_eq!(RetryPolicy::doubling(1, Duration::ZERO).wait(5, 9), Duration::ZERO);
        assert_eq!(RetryPolicy::doubling(1, Duration::ZERO).wait(u32::MAX, 9), Duration::ZERO);
    }

    #[test]
    fn a_job_says_what_it_wants_and_the_server_the_rest() {
        let server = RetryPolicy::doubling(3, Duration::from_secs(1));
        let retry = compile(r#"{"maxAttempts":1,"multiplier":1,"jitter":0,"maxDelayMs":50}"#).expect("valid");
        let policy = retry.over(&server);
        assert_eq!((policy.retries, policy.delay), (0, Duration::from_secs(1)));
        assert_eq!(policy.wait(7, 3), Duration::from_millis(50));
        let retry = compile(r#"{"initialDelayMs":100,"multiplier":1.5,"jitter":0}"#).expect("valid");
        assert_eq!(retry.over(&server).wait(3, 3).as_millis(), 225);
        assert_eq!(retry.over(&server).retries, 3);
    }

    #[test]
    fn it_comes_back_as_it_was_written() {
        for text in [
            "{}",
            r#"{"maxAttempts":5,"initialDelayMs":250,"multiplier":1.5,"maxDelayMs":60000,"jitter":0.25,"maxElapsedMs":86400000,"on":["timeout","connection",429,"5xx"],"untilNext":true}"#,
            r#"{"on":[]}"#,
        ] {
            let retry = compile(text).expect(text);
            assert_eq!(serde_json::to_string(&retry.define()).expect("JSON"), text);
        }
    }

    #[test]
    fn what_is_retried_may_be_chosen() {
        let retry = compile(r#"{"on":["timeout","503"]}"#).expect("valid");
        assert!(retry.is_on(Failure::Timeout) && retry.is_on(Failure::Status(503)) && retry.is_on(Failure::Worker));
        assert!(!retry.is_on(Failure::Connection) && !retry.is_on(Failure::Status(500)));
        assert!(Retry::default().is_on(Failure::Connection));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            (r#"{"maxAttempts":0}"#, "retry.maxAttempts: expected a number from 1 to 1000, got 0"),
            (r#"{"multiplier":0.5}"#, "retry.multiplier: expected a number from 1 to 100, got 0.5"),
            (
                r#"{"multiplier":999999999999999}"#,
                "retry.multiplier: expected a number from 1 to 100, got 999999999999999",
            ),
            (r#"{"multiplier":1e15}"#, "retry.multiplier: expected a number from 1 to 100, got 1e15"),
            (r#"{"multiplier":1e308}"#, "retry.multiplier: expected a number from 1 to 100, got 1e308"),
            (r#"{"jitter":2}"#, "retry.jitter: expected a number from 0 to 1, got 2"),
            (r#"{"maxElapsedMs":99999999999}"#, "retry.maxElapsedMs: expected a number from 0 to 2592000000"),
            (r#"{"on":["never"]}"#, "retry.on: expected \"timeout\", \"connection\", statuses such as 410"),
        ] {
            let error = compile(text).expect_err(text).to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
