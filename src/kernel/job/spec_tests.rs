//! Owns the tests of what a job's spec says to those who ask it: whether it has policies, whether it is ever due, what it is in full.
//! Must not look into a spec: it asks.

use super::{Context, Definition, FieldError, JobSpec};
use crate::schedule::Zones;
use crate::time::Instant;

fn compile(text: &str) -> Result<JobSpec, FieldError> {
    let definition: Definition = serde_json::from_str(text).expect("a definition");
    JobSpec::compile(&definition, &Context::at(Instant::from_secs(0)))
}

#[test]
fn what_says_who_a_job_is_and_whom_to_tell_is_no_policy() {
    for (has_policies, all) in [
        (false, &["", r#","name":"n","tags":["t"],"owner":"o""#, r#","alerts":{"after":3}"#, r#","method":"PUT""#][..]),
        (
            true,
            &[
                r#","misfire":{"policy":"skip"}"#,
                r#","retry":{"maxAttempts":2}"#,
                r#","overlap":"queue_one""#,
                r#","concurrencyKey":{"name":"billing","limit":2}"#,
                r#","maxRuns":1"#,
                r#","autoPauseAfter":1"#,
                r#","pauseOn":[410]"#,
            ],
        ),
    ] {
        for members in all {
            let text = format!(r#"{{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE"{members}}}"#);
            assert_eq!(compile(&text).expect(&text).has_policies(), has_policies, "{text}");
        }
    }
}

#[test]
fn a_client_may_not_send_a_job_that_is_never_due_again() {
    let now = Instant::from_secs(1_767_225_600);
    for (member, text, why) in [
        ("schedule", "@daily", ""),
        (
            "schedule",
            "0 0 0 1 1 ? 2026",
            "schedule: expected at least one time in the future, but \"0 0 0 1 1 ? 2026\"",
        ),
        ("runAt", "2026-01-01T00:00:01Z", ""),
        ("runAt", "2026-01-01T00:00:00Z", "runAt: expected at least one time in the future, but \"2026-01-01T00"),
    ] {
        let spec = compile(&format!(r#"{{"{member}":"{text}","api":"http://a/","type":"ATLEAST_ONCE"}}"#));
        let told = spec.expect("it was right at its time").check_future(now).err().map(|why| why.to_string());
        assert_eq!(told.is_some(), !why.is_empty(), "{text}: {told:?}");
        assert!(told.unwrap_or_default().starts_with(why), "{text}");
    }
}

#[test]
fn a_job_in_full_names_its_zone() {
    let spec = compile(r#"{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE","active":true}"#);
    let spec = spec.expect("valid");
    let shown = serde_json::to_string(&Definition::in_full(&spec)).expect("JSON");
    let whole = r#"{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE","active":true,"timeZone":"UTC"}"#;
    assert_eq!(shown, whole);
    let zones = Zones::bundled();
    let context = Context { zones: Some(&zones), ..Context::at(Instant::from_secs(0)) };
    let elsewhere = whole.replace("UTC", "Europe/Berlin");
    let definition: Definition = serde_json::from_str(&elsewhere).expect("a definition");
    let spec = JobSpec::compile(&definition, &context).expect("valid");
    assert_eq!(serde_json::to_string(&Definition::in_full(&spec)).expect("JSON"), elsewhere);
}
