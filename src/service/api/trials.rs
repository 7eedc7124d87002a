//! Owns trials: a job that is not saved is sent once, and all that came back is said.
//! It must not send anything.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};

use super::body;
use super::call::Call;
use super::errors::ApiError;
use super::executions::TimingsBody;
use super::json::{Millis, ok};
use super::matching::Matched;
use crate::core::{Outcome, Report};
use crate::http::Response;
use crate::job::{Definition, JobSpec, Post};
use crate::limits::RUN_WAIT_MAX;

/// A job that is to be sent once, for the description.
pub(super) struct TrialAsked;

impl JsonSchema for TrialAsked {
    fn schema_name() -> Cow<'static, str> {
        "Trial".into()
    }

    /// That of a job which needs no schedule, as when it would be due plays no part, and for which somebody waits.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Definition::json_schema(generator);
        if let Some(whens) = schema.pointer_mut("/allOf/0/oneOf").and_then(Value::as_array_mut) {
            let none = json!({ "type": "null" });
            whens.push(json!({ "properties": { "schedule": none, "runAt": none, "runAfterMs": none } }));
        }
        if let Some(timeout) = schema.pointer_mut("/properties/timeoutMs") {
            timeout["maximum"] = json!(RUN_WAIT_MAX.as_millis());
        }
        schema
    }
}

/// A job is sent once.
pub(super) fn ask(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let mut definition: Definition = body::read(matched.request, "a JSON object with api and type")?;
    let most_ms = u64::try_from(RUN_WAIT_MAX.as_millis()).expect("a minute is short");
    if definition.timeout_ms.is_some_and(|asked_ms| asked_ms > most_ms) {
        return Err(ApiError::member("timeoutMs", format!("expected at most {most_ms} where somebody waits for it")));
    }
    definition.timeout_ms.get_or_insert(most_ms / 2);
    if definition.schedule.is_none() && definition.run_at.is_none() && definition.run_after_ms.is_none() {
        // When it would be due plays no part.
        definition.schedule = Some("@yearly".to_owned());
    }
    let mut spec = JobSpec::compile(&definition, matched.context)?;
    // What is not saved has no secrets but those that are given.
    spec.inherit_secrets(None)?;
    Ok(Call::Try(Arc::new(spec.post)))
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Trial")]
pub(super) struct TrialBody {
    /// Whether an execution that ends like this ends SUCCESS.
    success: bool,
    method: String,
    url: String,
    http_status: Option<u16>,
    /// Why there is no answer, or none that says success.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    /// From the start to the end of what is shown of the answer: a second after its head at the latest.
    duration: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    timings: Option<TimingsBody>,
    /// The headers of the answer, in their order.
    headers: Vec<HeaderBody>,
    /// The beginning of its body, if that is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<str>>,
    /// How long the target wants to be left alone, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AnswerHeader")]
struct HeaderBody {
    name: Box<str>,
    value: Box<str>,
}

/// What came of a trial.
pub fn tried(post: &Arc<Post>, report: Report) -> Response {
    let Report { outcome, duration_us, answer, .. } = report;
    let answer = answer.map(|answer| *answer).unwrap_or_default();
    let (http_status, error_message) = match outcome {
        Outcome::Answered(status) if post.is_success(status) => (Some(status), None),
        Outcome::Answered(status) => (Some(status), Some(format!("the target answered {status}"))),
        Outcome::TimedOut(why) | Outcome::ConnectionFailed(why) | Outcome::WorkerFailed(why) => (None, Some(why)),
        Outcome::Withheld => (None, Some("it was not sent".to_owned())),
    };
    let headers = answer.headers.into_iter().map(|(name, value)| HeaderBody { name, value });
    ok(&TrialBody {
        success: error_message.is_none(),
        method: post.method().to_string(),
        url: post.url.to_string(),
        http_status,
        error_message,
        duration: Millis::from_us(i64::try_from(duration_us).unwrap_or(i64::MAX)),
        timings: answer.timings.map(TimingsBody::from),
        headers: headers.collect(),
        body: answer.response,
        retry_after: answer.retry_after_s,
    })
}
