//! Owns the policies of the API: of the server and of tags, how they are set and look, and what counts for a job and why.
//! It must not decide by them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::body;
use super::call::{Call, Read};
use super::errors::ApiError;
use super::json::ok;
use super::matching::Matched;
use crate::core::{Action, AlertSettings, PolicyScope, Setting, Whose};
use crate::http::{Response, query};
use crate::job::{AlertDefinition, AlertPolicy, FieldError, JobAlerts, JobSpec, Label, Term, label};

const EXPECTED: &str = "a JSON object such as {\"after\":3}";

/// A policy of a tag, for the description.
pub(super) enum TagPolicyAsked {}

impl JsonSchema for TagPolicyAsked {
    fn schema_name() -> Cow<'static, str> {
        "TagPolicy".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        JobAlerts::json_schema(generator)
    }
}

/// All policies but those of jobs.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Policies))
}

/// What counts for a job.
pub(super) fn of_job(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Policy(matched.job_id()?)))
}

/// The policy of the server.
pub(super) fn put_of_server(matched: &Matched<'_>) -> Result<Call, ApiError> {
    put(matched, PolicyScope::Server, AlertPolicy::compile_of_server)
}

/// The policy of a tag.
pub(super) fn put_of_tag(matched: &Matched<'_>) -> Result<Call, ApiError> {
    put(matched, tag_in(matched)?, AlertPolicy::compile)
}

/// The server says nothing any more.
pub(super) fn delete_of_server(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Change(Action::Set(Setting::Policy(PolicyScope::Server, None))))
}

/// A tag says nothing any more.
pub(super) fn delete_of_tag(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Change(Action::Set(Setting::Policy(tag_in(matched)?, None))))
}

fn put(
    matched: &Matched<'_>,
    scope: PolicyScope,
    compile: fn(&AlertDefinition) -> Result<AlertPolicy, FieldError>,
) -> Result<Call, ApiError> {
    matched.parameters()?;
    let definition: AlertDefinition = body::read(matched.request, EXPECTED)?;
    let policy = compile(&definition).map_err(|error| by_itself(&error))?;
    Ok(Call::Change(Action::Set(Setting::Policy(scope, Some(policy.into())))))
}

/// The tag that the path names.
fn tag_in(matched: &Matched<'_>) -> Result<PolicyScope, ApiError> {
    let text = query::segment(matched.text()).map_err(|why| ApiError::bad_request(format!("tag: {why}")))?;
    // It stands in the path, not in a body to which one could point.
    label("tag", &text).map(PolicyScope::Tag).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// What the operations are called that set one: the core names members of jobs.
pub(super) const PUT_OF_SERVER: &str = "putServerPolicy";
pub(super) const PUT_OF_TAG: &str = "putTagPolicy";

/// Whether an operation sets a policy that is no member of a job.
pub fn is_of_policy(operation: &str) -> bool {
    [PUT_OF_SERVER, PUT_OF_TAG].contains(&operation)
}

/// What is wrong with a policy that is no member of a job: its own members are named.
pub(super) fn by_itself(error: &FieldError) -> ApiError {
    ApiError::member(error.member.strip_prefix("alerts.").unwrap_or(error.member), error.message.clone())
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Policies")]
pub(super) struct PoliciesBody<'a> {
    /// What counts where neither a job nor one of its tags says anything.
    server: AlertDefinition,
    /// What counts where a job says nothing; of several tags that whose name comes first.
    tags: Vec<OfTag<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyOfTag")]
struct OfTag<'a> {
    #[schemars(with = "Label")]
    tag: &'a str,
    policy: AlertDefinition,
}

/// All policies but those of jobs.
pub fn policies(settings: &AlertSettings) -> Response {
    let tags = settings.tag_policies().map(|(tag, policy)| OfTag { tag, policy: policy.define() }).collect();
    ok(&PoliciesBody { server: settings.server_policy().define(), tags })
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Policy")]
pub(super) struct PolicyBody {
    policy: AlertDefinition,
}

/// A policy that was set.
pub(super) fn changed(policy: &AlertPolicy) -> Response {
    ok(&PolicyBody { policy: policy.define() })
}

/// What counts for a job: each member, whoever said it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EffectivePolicy")]
struct Effective {
    after: u64,
    recovery: bool,
    /// Null: it is not told again.
    remind_every: Option<String>,
    /// Null: any time.
    no_success_for: Option<String>,
    /// Null: any time.
    late_by: Option<String>,
    on_auto_pause: bool,
    channels: Vec<String>,
}

/// Who said it: `job`, `tag:` and the name of a tag, `server`, or `default`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PolicyOrigins")]
struct Origins {
    after: String,
    recovery: String,
    remind_every: String,
    no_success_for: String,
    late_by: String,
    on_auto_pause: String,
    channels: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyOfJob")]
pub(super) struct OfJobBody {
    effective: Effective,
    /// Who said each of them.
    from: Origins,
}

/// What counts for a job, and who said it.
pub fn policy_of(job: &JobSpec, settings: &AlertSettings) -> Response {
    let channels = settings.channels().map(|(name, _)| name.to_string()).collect();
    ok(&effective(settings.policies_of(job), channels))
}

/// From policies, the narrowest first; `channels` are all there are.
fn effective<'a>(policies: impl Iterator<Item = (Whose<'a>, &'a AlertPolicy)>, channels: Vec<String>) -> OfJobBody {
    let all: Vec<(Whose<'_>, &AlertPolicy)> = policies.collect();
    let policy = all.iter().fold(AlertPolicy::default(), |narrower, (_, policy)| narrower.over(policy));
    let from = |says: fn(&AlertPolicy) -> bool| {
        let found = all.iter().find(|(_, policy)| says(policy));
        match found {
            Some((Whose::Job, _)) => "job".to_owned(),
            Some((Whose::Tag(tag), _)) => format!("tag:{tag}"),
            Some((Whose::Server, _)) => "server".to_owned(),
            None => "default".to_owned(),
        }
    };
    let AlertDefinition {
        after, recovery, remind_every, no_success_for, late_by, on_auto_pause, channels: some, ..
    } = policy.define();
    let said = |term: Option<Term>, text: Option<String>| term.and_then(Term::time).and(text);
    OfJobBody {
        effective: Effective {
            after: after.unwrap_or(1),
            recovery: recovery.unwrap_or(true),
            remind_every: said(policy.remind_every, remind_every),
            no_success_for: said(policy.no_success_for, no_success_for),
            late_by: said(policy.late_by, late_by),
            on_auto_pause: on_auto_pause.unwrap_or(true),
            channels: some.unwrap_or(channels),
        },
        from: Origins {
            after: from(|policy| policy.after.is_some()),
            recovery: from(|policy| policy.recovery.is_some()),
            remind_every: from(|policy| policy.remind_every.is_some()),
            no_success_for: from(|policy| policy.no_success_for.is_some()),
            late_by: from(|policy| policy.late_by.is_some()),
            on_auto_pause: from(|policy| policy.on_auto_pause.is_some()),
            channels: from(|policy| policy.channels.is_some()),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(text: &str) -> AlertPolicy {
        AlertPolicy::compile(&serde_json::from_str(text).expect("JSON")).expect("it is valid")
    }

    #[test]
    fn each_member_is_of_the_narrowest_that_says_it() {
        let own = policy(r#"{"after":3}"#);
        let (of_a, of_z) = (policy(r#"{"after":9,"lateBy":"5s"}"#), policy(r#"{"lateBy":"7s","recovery":false}"#));
        let server = policy(r#"{"recovery":true,"noSuccessFor":"26h"}"#);
        let all = [(Whose::Job, &own), (Whose::Tag("a"), &of_a), (Whose::Tag("z"), &of_z), (Whose::Server, &server)];
        let found = effective(all.into_iter(), vec!["mail".to_owned(), "ops".to_owned()]);
        let expected = json!({
            "effective": {
                "after": 3, "recovery": false, "remindEvery": null, "noSuccessFor": "1d2h", "lateBy": "5s",
                "onAutoPause": true, "channels": ["mail", "ops"],
            },
            "from": {
                "after": "job", "recovery": "tag:z", "remindEvery": "default", "noSuccessFor": "server",
                "lateBy": "tag:a", "onAutoPause": "default", "channels": "default",
            },
        });
        assert_eq!(serde_json::to_value(&found).expect("JSON"), expected);
    }

    #[test]
    fn nobody_is_told_where_that_is_said() {
        let nobody = policy(r#"{"channels":[]}"#);
        let found = effective([(Whose::Server, &nobody)].into_iter(), vec!["ops".to_owned()]);
        assert_eq!((found.effective.channels.len(), found.from.channels.as_str()), (0, "server"));
        assert_eq!((found.effective.after, found.from.after.as_str()), (1, "default"));
    }
}
