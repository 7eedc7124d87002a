//! Owns the list of what a job is: each member with its name, its meaning and its default, as clients write it.
//! It must not check anything: `JobSpec::compile` does.
//!
//! The one definition is the body of a request, part of every answer, and the text that the store keeps. To add a
//! member, add it here, let the compiler lead through both conversions in `spec`, write its policy in a file of its
//! own, and let the core decide by it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerting::{AlertDefinition, JobAlerts};
use super::auth::AuthDefinition;
use super::concurrency::ConcurrencyDefinition;
use super::headers::HeadersOf;
use super::misfire::MisfireDefinition;
use super::number::whole;
use super::object::object;
use super::request::{MethodName, TIMEOUT_MAX_MS, no_body_with_some};
use super::retry::RetryDefinition;
use super::secret::SecretOf;
use super::shapes::{
    Day, HeaderText, KnownCalendar, Label, NameOf, PrintableSecret, ScheduleText, Second, SigningText, Url, ZoneName,
    body_or_json, one_of,
};
use super::spec::COUNT_MAX;
use super::timing::{DstDefinition, RUN_AFTER_MAX_MS};
use super::{Delivery, Given, Json, Named, Overlap, SecretDefinition, StatusDefinition};
use crate::limits::{JOB_CALENDARS_MAX, OWN_DATES_MAX, SEED_END, SPREAD_MAX_S, TAGS_MAX, TARGET_BODY_LEN_MAX};

/// A job as clients write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a JSON object with schedule, api and type")]
#[schemars(extend("allOf" = [one_of(&["schedule", "runAt", "runAfterMs"]), body_or_json(), no_body_with_some()]))]
pub struct Definition {
    /// When the job is due: a cron expression or an `@` word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ScheduleText>")]
    pub schedule: Option<String>,
    /// When the job is due, in place of a schedule: once, at a whole second, ISO 8601 with `Z` or an offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Second>")]
    pub run_at: Option<String>,
    /// The same from the request on, rounded up to a second. Answered as `runAt`.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = RUN_AFTER_MAX_MS))]
    pub run_after_ms: Option<u64>,
    /// The URL that is POSTed to.
    #[schemars(with = "Url")]
    pub api: String,
    /// How often an execution may reach its target: `ATLEAST_ONCE` or `ATMOST_ONCE`.
    #[serde(rename = "type")]
    #[schemars(with = "NameOf<Delivery>")]
    pub delivery: String,
    /// False: paused. Left out: as it is; a new job is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// What becomes of instants that passed while nobody could fire. Left out: what the server was told.
    #[serde(default, deserialize_with = "object", skip_serializing_if = "Option::is_none")]
    pub misfire: Option<MisfireDefinition>,
    /// Whether and when a failed attempt is repeated. Left out: as the server was told.
    #[serde(default, deserialize_with = "object", skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryDefinition>,
    /// What becomes of an execution that is due while another one runs: `allow` (if left out), `skip`, `queue_one`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NameOf<Overlap>>")]
    pub overlap: Option<String>,
    /// What jobs share that must not run too often or too much at once.
    #[serde(default, deserialize_with = "object", skip_serializing_if = "Option::is_none")]
    pub concurrency_key: Option<ConcurrencyDefinition>,
    /// How many scheduled executions are fired before the job is exhausted.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = COUNT_MAX))]
    pub max_runs: Option<u64>,
    /// How many failures in a row pause the job.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = COUNT_MAX))]
    pub auto_pause_after: Option<u64>,
    /// Statuses that pause the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_on: Option<Vec<StatusDefinition>>,
    /// When somebody is told of trouble with it. Left out: as the policies of its tags and of the server say.
    #[serde(default, deserialize_with = "object", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<JobAlerts>")]
    pub alerts: Option<AlertDefinition>,
    /// How the target is asked. Left out: `POST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NameOf<MethodName>>")]
    pub method: Option<String>,
    /// Headers beside those that every request has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<HeadersOf<HeaderText>>")]
    pub headers: Option<Named<String>>,
    /// Headers that nobody may read but the target. Left out: as they are.
    #[serde(default, skip_serializing_if = "Given::is_left_out")]
    #[schemars(with = "Given<HeadersOf<SecretOf<PrintableSecret>>>")]
    pub secret_headers: Given<Named<SecretDefinition>>,
    /// How the target knows who asks. Left out: as it is.
    #[serde(default, deserialize_with = "object", skip_serializing_if = "Given::is_left_out")]
    pub auth: Given<AuthDefinition>,
    /// What requests are signed with. Left out: as it is.
    #[serde(default, skip_serializing_if = "Given::is_left_out")]
    #[schemars(with = "Given<SecretOf<SigningText>>")]
    pub signing_secret: Given<SecretDefinition>,
    /// What is sent, as text with placeholders. Left out, and no `json` either: `{}`, or nothing where the method has
    /// no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TARGET_BODY_LEN_MAX))]
    pub body: Option<String>,
    /// What is sent, as any JSON value with placeholders in its texts.
    #[serde(default, deserialize_with = "Json::some", skip_serializing_if = "Option::is_none")]
    pub json: Option<Json>,
    /// How long an attempt may take. Left out: as long as the server was told.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = TIMEOUT_MAX_MS))]
    pub timeout_ms: Option<u64>,
    /// Statuses that say that all is well. Left out: 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub success: Option<Vec<StatusDefinition>>,
    /// The zone of the schedule, an IANA name. Left out: what the server was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ZoneName>")]
    pub time_zone: Option<String>,
    /// What becomes of fixed times when the clock is changed.
    #[serde(default, deserialize_with = "object", skip_serializing_if = "Option::is_none")]
    pub dst: Option<DstDefinition>,
    /// All instants are moved by the same part of so many seconds. Left out: none is.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = SPREAD_MAX_S))]
    pub spread_seconds: Option<u64>,
    /// What chooses that part, and the values of `~`. Left out: random, and kept.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = SEED_END - 1))]
    pub spread_seed: Option<u64>,
    /// No instant before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Second>")]
    pub starts_at: Option<String>,
    /// No instant after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Second>")]
    pub ends_at: Option<String>,
    /// Dates in the job's zone on which it is not due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Day>>", length(max = OWN_DATES_MAX))]
    pub exclude_dates: Option<Vec<String>>,
    /// Calendars of such dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<KnownCalendar>>", length(max = JOB_CALENDARS_MAX))]
    pub exclude_calendars: Option<Vec<String>>,
    /// What no other job is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Label>")]
    pub name: Option<String>,
    /// What it shares with others, to find them by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Label>>", length(max = TAGS_MAX), extend("uniqueItems" = true))]
    pub tags: Option<Vec<String>>,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Label>")]
    pub owner: Option<String>,
}

impl Definition {
    /// A job that says no more than it must.
    pub fn plain(schedule: &str, api: &str) -> Definition {
        Definition {
            schedule: Some(schedule.to_owned()),
            api: api.to_owned(),
            delivery: Delivery::AtLeastOnce.name().to_owned(),
            ..Definition::default()
        }
    }
}

/// Why a definition means no job: which member, and what was expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The member, with dots between the names of nested ones.
    pub member: &'static str,
    /// What was expected.
    pub message: String,
}

impl FieldError {
    /// The error of a member.
    pub fn new(member: &'static str, message: impl fmt::Display) -> FieldError {
        FieldError { member, message: message.to_string() }
    }

    /// The error of a member that has one of a few names, and was given another text.
    pub fn unknown_name(member: &'static str, names: &str, given: &str) -> FieldError {
        FieldError::new(member, format_args!("expected {names}, got {:?}", shortened(given)))
    }
}

/// What an error repeats of a client's text.
pub(super) fn shortened(given: &str) -> String {
    const SHOWN_MAX: usize = 200;
    let shown: String = given.chars().take(SHOWN_MAX).collect();
    let dots = if shown.len() < given.len() { "..." } else { "" };
    format!("{shown}{dots}")
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.member, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_repeats_the_beginning_of_a_long_text() {
        let shown = "\u{e9}".repeat(200);
        for (given, repeated) in [(shown.clone(), shown.clone()), (format!("{shown}x"), format!("{shown}..."))] {
            let error = FieldError::unknown_name("type", "a word", &given);
            assert_eq!(error.to_string(), format!("type: expected a word, got {repeated:?}"));
        }
    }
}
