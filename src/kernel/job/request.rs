//! Owns what a job says about its request beside the URL: method, headers, body, time limit, and what counts as success.
//! It must not send it.

use std::time::Duration;

use http::Method;
use schemars::Schema;

use super::body::Body;
use super::post::Rare;
use super::shapes::{Choice, no_body_with};
use super::{FieldError, Json, Named, StatusDefinition, Statuses, bounded, headers};
use crate::limits::TARGET_TIME_MAX;

/// The members as clients write them.
#[derive(Debug, Default)]
pub(super) struct RequestDefinition {
    pub(super) method: Option<String>,
    pub(super) headers: Option<Named<String>>,
    pub(super) body: Option<String>,
    pub(super) json: Option<Json>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) success: Option<Vec<StatusDefinition>>,
}

static METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// The same as [`TARGET_TIME_MAX`].
pub(super) const TIMEOUT_MAX_MS: u64 = TARGET_TIME_MAX.as_secs() * 1_000;
/// Methods that say nothing behind their head.
const BODILESS: [Method; 2] = [Method::GET, Method::HEAD];

/// The name of a method, for the description.
pub(super) enum MethodName {}

impl Choice for MethodName {
    fn names() -> Vec<&'static str> {
        METHODS.iter().map(Method::as_str).collect()
    }
}

/// That some methods have no body, for the description.
pub(super) fn no_body_with_some() -> Schema {
    no_body_with(&BODILESS.each_ref().map(Method::as_str))
}

/// What they mean.
pub(super) fn compile(definition: RequestDefinition) -> Result<Rare, FieldError> {
    let RequestDefinition { method, headers, body, json, timeout_ms, success } = definition;
    let method = method.as_deref().map(compile_method).transpose()?;
    let headers = headers.as_ref().map(|named| headers::compile("headers", named)).transpose()?.unwrap_or_default();
    let body = Body::compile(body.as_deref(), json.as_ref())?;
    if let (Some(body), Some(method)) = (&body, &method) {
        check_body(body, method)?;
    }
    Ok(Rare {
        method,
        headers,
        body,
        timeout: timeout_ms.map(compile_timeout).transpose()?,
        success: success.as_deref().map(compile_success).transpose()?,
        secrets: None,
    })
}

/// The members that mean this.
pub(super) fn define(rare: &Rare) -> RequestDefinition {
    let Rare { method, headers, body, timeout, success, secrets: _ } = rare;
    let (body, json) = body.as_ref().map(Body::define).unwrap_or_default();
    RequestDefinition {
        method: method.as_ref().map(Method::to_string),
        headers: (!headers.is_empty()).then(|| headers::define(headers)),
        body,
        json,
        timeout_ms: timeout.map(|time| u64::try_from(time.as_millis()).expect("it was read from such a number")),
        success: success.as_ref().map(Statuses::define),
    }
}

fn compile_method(name: &str) -> Result<Method, FieldError> {
    let found = METHODS.iter().find(|method| method.as_str() == name).cloned();
    found.ok_or_else(|| {
        let names = METHODS.each_ref().map(Method::as_str).join(", ");
        FieldError::unknown_name("method", &format!("one of {names}"), name)
    })
}

/// Refuses a body that no method says.
pub(super) fn check_body(body: &Body, method: &Method) -> Result<(), FieldError> {
    if BODILESS.contains(method) {
        return Err(FieldError::new(body.member(), format_args!("expected none with the method {method}")));
    }
    Ok(())
}

fn compile_timeout(ms: u64) -> Result<Duration, FieldError> {
    bounded("timeoutMs", ms, 1, TIMEOUT_MAX_MS).map(Duration::from_millis)
}

fn compile_success(entries: &[StatusDefinition]) -> Result<Statuses, FieldError> {
    let statuses = Statuses::compile("success", entries)?;
    if statuses.is_empty() {
        return Err(FieldError::new("success", "expected at least one status, or nothing could succeed"));
    }
    Ok(statuses)
}

#[cfg(test)]
mod tests {
    use crate::job::{Context, Definition, FieldError, JobSpec};
    use crate::limits::TARGET_BODY_LEN_MAX;
    use crate::time::Instant;

    fn compile(members: &str) -> Result<JobSpec, FieldError> {
        let text =
            format!(r#"{{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE","active":true,{members}}}"#);
        let definition: Definition = serde_json::from_str(&text).expect("a definition");
        let spec = JobSpec::compile(&definition, &Context::at(Instant::from_secs(0)))?;
        let back = serde_json::to_string(&Definition::from(&spec)).expect("JSON");
        let again: Definition = serde_json::from_str(&back).expect("a definition");
        assert_eq!(JobSpec::compile(&again, &Context::at(Instant::from_secs(0))).as_ref(), Ok(&spec), "{back}");
        Ok(spec)
    }

    #[test]
    fn what_has_no_body_has_none_in_the_description() {
        assert_eq!(super::no_body_with_some(), super::no_body_with(&["GET", "HEAD"]));
    }

    #[test]
    fn members_come_back_as_they_were_written() {
        for members in [
            r#""method":"GET""#,
            r#""method":"PUT","headers":{"X-Trace":"a","Accept":"*/*"},"body":"a {{attempt}}","timeoutMs":1"#,
            r#""method":"DELETE","json":{"b":[1,2.50],"a":"{{executionId}}"},"timeoutMs":3600000"#,
            r#""json":null,"success":["2xx",304]"#,
        ] {
            let spec = compile(members).expect(members);
            let back = serde_json::to_string(&Definition::from(&spec)).expect("JSON");
            assert!(back.contains(members), "{back}");
        }
        let spec = compile(r#""json":[ 1, 2 ]"#).expect("valid");
        assert!(serde_json::to_string(&Definition::from(&spec)).expect("JSON").contains(r#""json":[1,2]"#));
    }

    #[test]
    fn success_is_what_the_job_says() {
        let usual = compile(r#""timeoutMs":5"#).expect("valid");
        assert!(usual.post.is_success(204) && !usual.post.is_success(304) && !usual.post.is_success(199));
        let own = compile(r#""success":["300-399"]"#).expect("valid");
        assert!(own.post.is_success(304) && !own.post.is_success(200));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        let long = format!(r#""body":"{}""#, "x".repeat(TARGET_BODY_LEN_MAX + 1));
        for (members, why) in [
            (
                r#""method":"TRACE""#,
                "method: expected one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, got \"TRACE\"",
            ),
            (r#""method":"get""#, "method: expected one of"),
            (r#""method":"GET\r\nHost: x""#, "method: expected one of"),
            (r#""body":"a","json":1"#, "json: expected body or json, got both"),
            (r#""method":"GET","body":"a""#, "body: expected none with the method GET"),
            (r#""method":"HEAD","json":{}"#, "json: expected none with the method HEAD"),
            (r#""body":"{{secret}}""#, "body: expected one of the placeholders"),
            (r#""json":["{{ attempt }}"]"#, "json: expected one of the placeholders"),
            (r#""timeoutMs":0"#, "timeoutMs: expected a number from 1 to 3600000, got 0"),
            (r#""timeoutMs":3600001"#, "timeoutMs: expected a number from 1"),
            (r#""success":[]"#, "success: expected at least one status"),
            (r#""success":["ok"]"#, "success: expected statuses such as"),
            (r#""headers":{"Host":"b"}"#, "headers: expected no \"Host\""),
            (&long, "body: expected at most"),
        ] {
            let error = compile(members).expect_err(members).to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
