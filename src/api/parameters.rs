//! Owns the query parameters: each is known, given once, and of the right form, or the request is refused.
//! It must not guess.

use super::errors::ApiError;
use crate::core::{ExecutionKey, Kind, Status};
use crate::http::query;
use crate::job::JobKey;
use crate::limits::PAGE_MAX;
use crate::time::Instant;

/// How many items a page holds unless asked otherwise.
pub(super) const PAGE_DEFAULT: u32 = 100;

/// The parameters of one request.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// Reads a query string that may hold these parameters and no others.
    pub(super) fn read(text: &str, known: &[&str]) -> Result<Parameters, ApiError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query::pairs(text) {
            let (name, value) = pair.map_err(|why| ApiError::bad_request(format!("query: {why}")))?;
            if !known.contains(&&*name) {
                let expected = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(ApiError::bad_request(format!("query: unknown parameter {name:?}; expected: {expected}")));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(ApiError::bad_request(format!("query: {name} is given twice")));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Parameters { pairs })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// How many items are asked for.
    pub(super) fn limit(&self, default: u32) -> Result<usize, ApiError> {
        let Some(text) = self.get("limit") else { return Ok(default as usize) };
        let limit = text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
        let refusal = || ApiError::bad_request(format!("limit: expected a number from 1 to {PAGE_MAX}, got {text:?}"));
        limit.map(|limit| limit as usize).ok_or_else(refusal)
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
    pub(super) fn status(&self) -> Result<Option<Status>, ApiError> {
        let Some(text) = self.get("status") else { return Ok(None) };
        let all = [Status::Pending, Status::Success, Status::Failed, Status::Skipped];
        let found = all.into_iter().find(|status| status.name() == text);
        let refusal = || {
            let message = format!("status: expected PENDING, SUCCESS, FAILED or SKIPPED, got {text:?}");
            ApiError::bad_request(message)
        };
        found.map(Some).ok_or_else(refusal)
    }

    fn cursor<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, ApiError> {
        let Some(text) = self.get("cursor") else { return Ok(None) };
        let refusal = || ApiError::bad_request("cursor: expected the nextCursor of an earlier page");
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
        let parameters = Parameters::read(&text, &["cursor"]).unwrap();
        assert_eq!(parameters.execution_cursor(), Ok(Some(cursor)));
    }

    #[test]
    fn what_is_not_expected_is_refused_by_name() {
        for (text, why) in [
            ("limit=0", "limit: expected a number from 1 to 1000"),
            ("limit=1001", "limit: expected"),
            ("limit=-1", "limit: expected"),
            ("limit=", "limit: expected"),
            ("limit=5&limit=6", "limit is given twice"),
            ("lmit=5", "unknown parameter \"lmit\"; expected: limit, cursor"),
            ("limit=%zz", "query: a percent sign"),
            ("cursor=1.2", "cursor: expected"),
            ("cursor=1.2.9.4", "cursor: expected"),
            ("cursor=1.2.0.4.5", "cursor: expected"),
        ] {
            let check = || {
                let parameters = Parameters::read(text, &["limit", "cursor"])?;
                parameters.limit(5)?;
                parameters.execution_cursor()
            };
            let error = check().expect_err(text);
            assert!(error.message.contains(why), "{text}: {}", error.message);
            assert_eq!(error.status.code(), 400);
        }
    }
}
