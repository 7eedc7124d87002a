//! Owns the query parameters: each is known, given once, and of the right form, or the request is refused.
//! It must not guess.

use super::errors::ApiError;
use super::jobs_page::{SORTS, STATES};
use super::news::Topic;
use super::series::STEPS;
use crate::access::TokenId;
use crate::core::{Cause, ExecutionKey, Kind, Status};
use crate::http::query;
use crate::job::{JobId, JobKey, instant};
use crate::limits::{LABEL_LEN_MAX, METRICS_JOBS_MAX, PAGE_MAX, STRIP_LEN_MAX, STRIPS_MAX};
use crate::time::Instant;

/// How many items a page holds unless asked otherwise.
pub(super) const PAGE_DEFAULT: u32 = 100;

/// A query parameter: what it is called, what it may be, and what it does.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) about: &'static str,
    pub(super) is_required: bool,
}

impl Parameter {
    const fn new(name: &'static str, form: Form, about: &'static str) -> Parameter {
        Parameter { name, form, about, is_required: false }
    }
}

/// What a parameter may be.
#[derive(Debug)]
pub(super) enum Form {
    /// A whole number between two others.
    Number { min: u32, max: u32 },
    /// One of some names.
    Name(&'static [&'static str]),
    /// Yes or no; no, if it is not given.
    Flag,
    /// Some of some names, with commas between them.
    Names(&'static [&'static str]),
    /// What an earlier page gave: its format, and its pattern.
    Cursor(&'static str, &'static str),
    /// A whole second.
    Time,
    /// The id of a job.
    JobId,
    /// The ids of some jobs, with commas between them.
    JobIds { count_max: usize },
    /// The id of a token.
    TokenId,
    /// Any text of so many characters.
    Text { len_max: usize },
}

pub(super) const LIMIT: Parameter =
    Parameter::new("limit", Form::Number { min: 1, max: PAGE_MAX }, "How many items the page holds at most.");
pub(super) const RUNS: Parameter =
    Parameter::new("limit", Form::Number { min: 1, max: STRIP_LEN_MAX }, "How many executions of each job at most.");
pub(super) const EXECUTIONS_CURSOR: Parameter =
    cursor("executions-cursor", "^[0-9]{1,18}\\.[0-9]{1,18}\\.[0-3]\\.[0-9]{1,9}$");
pub(super) const ALERTS_CURSOR: Parameter = cursor("alerts-cursor", "^[0-9]{1,19}$");
/// What it looks like depends on what the jobs are sorted by.
pub(super) const JOBS_CURSOR: Parameter = cursor("jobs-cursor", "^-?[0-9]{1,18}(\\.[A-Za-z0-9_-]*)?$");
const CURSOR: &str = "cursor";

const fn cursor(format: &'static str, pattern: &'static str) -> Parameter {
    Parameter::new(CURSOR, Form::Cursor(format, pattern), "The nextCursor of the page before.")
}

pub(super) const STATUS: Parameter =
    Parameter::new("status", Form::Name(&STATUSES), "Only executions that stand like this.");

pub(super) const KIND: Parameter =
    Parameter::new("kind", Form::Name(&KINDS), "Only executions that are there for this reason.");
pub(super) const JOB: Parameter = Parameter::new("jobId", Form::JobId, "Only executions of this job.");
pub(super) const JOBS: Parameter = Parameter {
    is_required: true,
    ..Parameter::new("jobId", Form::JobIds { count_max: STRIPS_MAX }, "The jobs, with commas between them.")
};
pub(super) const METRIC_JOBS: Parameter = Parameter::new(
    "jobId",
    Form::JobIds { count_max: METRICS_JOBS_MAX },
    "Jobs that have metrics of their own, with commas between them; one that there is not has none.",
);
pub(super) const FROM: Parameter =
    Parameter::new("from", Form::Time, "Only what belongs to this second or a later one.");
pub(super) const TO: Parameter =
    Parameter::new("to", Form::Time, "Only what belongs to this second or an earlier one.");
pub(super) const TAG: Parameter =
    Parameter::new("tag", Form::Text { len_max: LABEL_LEN_MAX }, "Only jobs with this tag.");
pub(super) const Q: Parameter =
    Parameter::new("q", Form::Text { len_max: 200 }, "Only jobs whose name, URL or owner contains this.");
pub(super) const STATE: Parameter = Parameter::new("state", Form::Name(&STATES), "Only jobs that stand like this.");
pub(super) const TARGET: Parameter = Parameter::new(
    "target",
    Form::Text { len_max: 300 },
    "Only jobs that POST to this host, or to this scheme, host and port.",
);
pub(super) const SORT: Parameter = Parameter::new("sort", Form::Name(&SORTS), "What they are sorted by.");
pub(super) const AUDIT_CURSOR: Parameter = cursor("audit-cursor", "^-?[0-9]{1,18}\\.[0-9]{1,19}$");
pub(super) const AUDIT_TOKEN: Parameter =
    Parameter::new("tokenId", Form::TokenId, "Only what was done with this token.");
pub(super) const SUBJECT: Parameter =
    Parameter::new("subject", Form::Text { len_max: 300 }, "Only what was done to this, such as the id of a job.");
pub(super) const STEP: Parameter = Parameter::new("step", Form::Name(&STEPS), "How long a step is.");
pub(super) const AT: Parameter =
    Parameter { is_required: true, ..Parameter::new("at", Form::Time, "The second that is asked about.") };

pub(super) const INCIDENTS_CURSOR: Parameter = cursor("incidents-cursor", "^[1-9][0-9]{0,17}$");
pub(super) const INCIDENT_STATE: Parameter = Parameter::new(
    "state",
    Form::Name(&INCIDENT_STATES),
    "Only incidents that are still open, or only those that are not.",
);
pub(super) const INCIDENT_JOB: Parameter = Parameter::new("job", Form::JobId, "Only incidents of this job.");
pub(super) const CAUSE: Parameter = Parameter::new("cause", Form::Name(&CAUSES), "Only incidents with this cause.");

pub(super) const DRY_RUN: Parameter =
    Parameter::new("dryRun", Form::Flag, "Only say what would become of each line: nothing is changed.");

pub(super) const TOPICS: Parameter =
    Parameter::new("type", Form::Names(&Topic::NAMES), "Only events of these types; a gap is told in any case.");
pub(super) const EVENT_JOB: Parameter =
    Parameter::new("jobId", Form::JobId, "Only events of this job and its executions.");
pub(super) const EVENT_STATUS: Parameter =
    Parameter::new("status", Form::Name(&STATUSES), "Only events of executions that stand like this.");

pub(super) const KINDS: [&str; 4] =
    [Kind::Scheduled.name(), Kind::Manual.name(), Kind::Replay.name(), Kind::Backfill.name()];
pub(super) const STATUSES: [&str; 4] =
    [Status::Pending.name(), Status::Success.name(), Status::Failed.name(), Status::Skipped.name()];

pub(super) const INCIDENT_STATES: [&str; 2] = ["open", "closed"];
pub(super) const CAUSES: [&str; 7] = names_of_causes();

const fn names_of_causes() -> [&'static str; 7] {
    let (mut names, mut at) = ([""; 7], 0);
    while at < names.len() {
        names[at] = Cause::ALL[at].name();
        at += 1;
    }
    names
}

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Parameters {
    known: &'static [&'static Parameter],
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// Reads a query string that may hold these parameters and no others.
    pub(super) fn read(text: &str, known: &'static [&'static Parameter]) -> Result<Parameters, ApiError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query::pairs(text) {
            let (name, value) = pair.map_err(|why| ApiError::bad_request(format!("query: {why}")))?;
            if !known.iter().any(|parameter| parameter.name == name) {
                let names: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
                let expected = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(ApiError::parameter(&name, format!("unknown parameter; expected: {expected}")));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(ApiError::parameter(&name, "it is given twice"));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        let is_given = |parameter: &Parameter| pairs.iter().any(|(name, _)| name == parameter.name);
        if let Some(missing) = known.iter().find(|parameter| parameter.is_required && !is_given(parameter)) {
            return Err(ApiError::parameter(missing.name, format!("it is missing: {}", missing.about)));
        }
        Ok(Parameters { known, pairs })
    }

    fn get(&self, parameter: &Parameter) -> Option<&str> {
        self.text_of(parameter.name)
    }

    fn text_of(&self, name: &str) -> Option<&str> {
        let is_known = self.known.iter().any(|known| known.name == name);
        debug_assert!(is_known, "a route reads {name}, which it does not declare");
        self.pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }

    /// How many items are asked for.
    pub(super) fn limit(&self, default: u32) -> Result<usize, ApiError> {
        Ok(self.number(&LIMIT)?.unwrap_or(default) as usize)
    }

    /// A number.
    pub(super) fn number(&self, parameter: &Parameter) -> Result<Option<u32>, ApiError> {
        let Form::Number { min, max } = parameter.form else { unreachable!("the parameter is declared as a number") };
        let Some(text) = self.get(parameter) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        let refusal = || format!("expected a number from {min} to {max}, got {text:?}");
        number.map(Some).ok_or_else(|| ApiError::parameter(parameter.name, refusal()))
    }

    /// Whether something is asked for.
    pub(super) fn flag(&self, parameter: &Parameter) -> Result<bool, ApiError> {
        debug_assert!(matches!(parameter.form, Form::Flag), "the parameter is declared as yes or no");
        match self.get(parameter) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => Err(ApiError::parameter(parameter.name, format!("expected true or false, got {text:?}"))),
        }
    }

    /// Which of its names a parameter has, by its place among them.
    pub(super) fn name(&self, parameter: &Parameter) -> Result<Option<usize>, ApiError> {
        let Form::Name(names) = parameter.form else { unreachable!("the parameter is declared as a name") };
        let Some(text) = self.get(parameter) else { return Ok(None) };
        let refusal = || {
            let (last, others) = names.split_last().expect("there is a choice");
            ApiError::parameter(parameter.name, format!("expected {} or {last}, got {text:?}", others.join(", ")))
        };
        names.iter().position(|name| *name == text).map(Some).ok_or_else(refusal)
    }

    /// Which of its names a parameter has, by their places among them; None: it is not given.
    pub(super) fn names(&self, parameter: &Parameter) -> Result<Option<Vec<usize>>, ApiError> {
        let Form::Names(names) = parameter.form else { unreachable!("the parameter is declared as names") };
        let Some(text) = self.get(parameter) else { return Ok(None) };
        let refusal = |part: &str| {
            let message = format!("expected some of {}, with commas between them, got {part:?}", names.join(", "));
            ApiError::parameter(parameter.name, message)
        };
        let place = |part: &str| names.iter().position(|name| *name == part).ok_or_else(|| refusal(part));
        text.split(',').map(place).collect::<Result<_, _>>().map(Some)
    }

    /// Where a page of executions goes on.
    pub(super) fn execution_cursor(&self) -> Result<Option<ExecutionKey>, ApiError> {
        self.cursor(|text| {
            let mut parts = text.split('.');
            let mut number = || parts.next()?.parse::<u64>().ok();
            let cursor = ExecutionKey {
                instant: Instant::from_secs(i64::try_from(number()?).ok()?),
                job: JobKey(number()?),
                kind: Kind::from_code(u8::try_from(number()?).ok()?)?,
                number: u32::try_from(number()?).ok()?,
            };
            parts.next().is_none().then_some(cursor)
        })
    }

    /// Where a page of anything that is numbered goes on.
    pub(super) fn number_cursor(&self) -> Result<Option<u64>, ApiError> {
        self.cursor(|text| text.parse().ok())
    }

    /// Which status is asked for.
    pub(super) fn status(&self, parameter: &Parameter) -> Result<Option<Status>, ApiError> {
        let all = [Status::Pending, Status::Success, Status::Failed, Status::Skipped];
        Ok(self.name(parameter)?.map(|place| all[place]))
    }

    /// Which kind is asked for.
    pub(super) fn kind(&self) -> Result<Option<Kind>, ApiError> {
        let all = [Kind::Scheduled, Kind::Manual, Kind::Replay, Kind::Backfill];
        Ok(self.name(&KIND)?.map(|place| all[place]))
    }

    /// Which cause is asked for.
    pub(super) fn cause(&self) -> Result<Option<Cause>, ApiError> {
        Ok(self.name(&CAUSE)?.map(|place| Cause::ALL[place]))
    }

    /// Of which job.
    pub(super) fn job(&self, parameter: &Parameter) -> Result<Option<JobId>, ApiError> {
        debug_assert!(matches!(parameter.form, Form::JobId), "the parameter is declared as the id of a job");
        let Some(text) = self.get(parameter) else { return Ok(None) };
        let refusal = || ApiError::parameter(parameter.name, format!("expected the id of a job, got {text:?}"));
        text.parse().map(Some).map_err(|_| refusal())
    }

    /// Of which jobs.
    pub(super) fn jobs(&self, parameter: &Parameter) -> Result<Option<Box<[JobId]>>, ApiError> {
        let Form::JobIds { count_max } = parameter.form else {
            unreachable!("the parameter is declared as ids of jobs")
        };
        let Some(text) = self.get(parameter) else { return Ok(None) };
        let refusal = |message| ApiError::parameter(parameter.name, message);
        if text.split(',').count() > count_max {
            return Err(refusal(format!("expected up to {count_max} ids of jobs")));
        }
        let job = |part: &str| {
            part.parse().map_err(|_| refusal(format!("expected ids of jobs, with commas between them, got {part:?}")))
        };
        text.split(',').map(job).collect::<Result<_, _>>().map(Some)
    }

    /// By which token.
    pub(super) fn token(&self, parameter: &Parameter) -> Result<Option<TokenId>, ApiError> {
        debug_assert!(matches!(parameter.form, Form::TokenId), "the parameter is declared as the id of a token");
        let Some(text) = self.get(parameter) else { return Ok(None) };
        let refusal = |()| ApiError::parameter(parameter.name, format!("expected the id of a token, got {text:?}"));
        text.parse().map(Some).map_err(refusal)
    }

    /// A text.
    pub(super) fn text(&self, parameter: &Parameter) -> Result<Option<String>, ApiError> {
        let Form::Text { len_max } = parameter.form else { unreachable!("the parameter is declared as a text") };
        let Some(text) = self.get(parameter) else { return Ok(None) };
        if (1..=len_max).contains(&text.chars().count()) {
            return Ok(Some(text.to_owned()));
        }
        Err(ApiError::parameter(parameter.name, format!("expected 1 to {len_max} characters")))
    }

    /// A second.
    pub(super) fn time(&self, parameter: &Parameter) -> Result<Option<Instant>, ApiError> {
        debug_assert!(matches!(parameter.form, Form::Time), "the parameter is declared as a time");
        let Some(text) = self.get(parameter) else { return Ok(None) };
        instant(parameter.name, text).map(Some).map_err(|error| ApiError::parameter(parameter.name, error.message))
    }

    /// Where a page goes on, as its list writes it.
    pub(super) fn cursor<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text_of(CURSOR) else { return Ok(None) };
        let refusal = || ApiError::parameter(CURSOR, "expected the nextCursor of an earlier page");
        parse(text).map(Some).ok_or_else(refusal)
    }
}

/// The text of an execution cursor, as `execution_cursor` reads it.
pub(super) fn print_cursor(cursor: &ExecutionKey) -> String {
    format!("{}.{}.{}.{}", cursor.instant.as_secs(), cursor.job.0, cursor.kind.code(), cursor.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back() {
        let cursor = ExecutionKey { instant: Instant::from_secs(7), job: JobKey(8), kind: Kind::Replay, number: 9 };
        let text = format!("cursor={}", print_cursor(&cursor));
        let parameters = Parameters::read(&text, &[&EXECUTIONS_CURSOR]).unwrap();
        assert_eq!(parameters.execution_cursor(), Ok(Some(cursor)));
    }

    #[test]
    fn what_is_not_expected_is_refused_by_name() {
        for (text, why) in [
            ("limit=0", "limit: expected a number from 1 to 1000"),
            ("limit=1001", "limit: expected"),
            ("limit=-1", "limit: expected"),
            ("limit=", "limit: expected"),
            ("limit=5&limit=6", "limit: it is given twice"),
            ("lmit=5", "lmit: unknown parameter; expected: limit, cursor"),
            ("limit=%zz", "query: a percent sign"),
            ("cursor=1.2", "cursor: expected"),
            ("cursor=1.2.9.4", "cursor: expected"),
            ("cursor=1.2.0.4.5", "cursor: expected"),
        ] {
            let check = || {
                let parameters = Parameters::read(text, &[&LIMIT, &EXECUTIONS_CURSOR])?;
                parameters.limit(5)?;
                parameters.execution_cursor()
            };
            let error = check().expect_err(text);
            assert!(error.message.contains(why), "{text}: {}", error.message);
            assert_eq!(error.status.code(), 400);
        }
    }
}
