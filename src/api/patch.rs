//! Owns the change of a few members of a job: a merge patch (RFC 7396) over what the job is.
//! It must not touch a member that the patch does not name: its text stays as it is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::body;
use super::call::Call;
use super::errors::ApiError;
use super::routes::Matched;
use crate::core::{Action, JobView};
use crate::job::{Context, Definition, JobId, JobSpec, body_or_json};

/// What a client wants to be different about a job.
#[derive(Clone, Debug)]
pub struct Patch {
    id: JobId,
    members: BTreeMap<String, Box<RawValue>>,
    /// The revisions that it may be made over.
    expected: Option<Box<[u32]>>,
}

/// Members of a job that are to change, for the description.
pub(super) struct JobPatch;

impl JsonSchema for JobPatch {
    fn schema_name() -> Cow<'static, str> {
        "JobPatch".into()
    }

    /// That of a job, where nothing is needed. Everything may be null that a job can do without, as it may be in a job.
    /// What must be said with what depends on what the job is.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Definition::json_schema(generator);
        schema.remove("required");
        for (_, member) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
            loosen(member);
        }
        schema.insert("allOf".to_owned(), json!([body_or_json()]));
        schema.insert("description".to_owned(), "Members of a job that are to be different.".into());
        schema
    }
}

/// A member that is an object is changed in some of its members, too.
fn loosen(schema: &mut Value) {
    let Value::Object(schema) = schema else { return };
    let properties = schema.get("properties").and_then(Value::as_object);
    // Whose only meaning is in being there is there as a whole.
    if properties.is_some_and(|members| !members.values().any(|member| member.get("const").is_some())) {
        schema.remove("required");
        schema.remove("allOf");
    }
    for inner in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        loosen(inner.1);
    }
    for inner in schema.get_mut("anyOf").and_then(Value::as_array_mut).into_iter().flatten() {
        loosen(inner);
    }
}

/// Members that an answer shows as set, and that a change leaves as they are if it does not name them.
const SECRETS: [&str; 3] = ["auth", "secretHeaders", "signingSecret"];

/// Members in which clients choose names.
const FREE: [&str; 3] = ["headers", "secretHeaders", "json"];

/// A job changed in some members.
pub(super) fn change(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let id = matched.job_id()?;
    let members = body::read(matched.request, "a JSON object with the members that are to change")?;
    Ok(Call::Patch(Box::new(Patch { id, members, expected: matched.expected()? })))
}

impl Patch {
    /// The job that it is for.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Whether it is to be made again over another revision than that which it was made over.
    pub fn is_for_any_revision(&self) -> bool {
        self.expected.is_none()
    }

    /// The change of the job as it is now.
    ///
    /// # Errors
    /// When what comes out is no job.
    pub fn over(&self, job: &JobView, context: &Context<'_>) -> Result<Action, ApiError> {
        let revision = &job.revision;
        let text = serde_json::to_string(&Definition::from(&revision.spec)).expect("a definition has string keys only");
        let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).expect("it was just written");
        for secret in SECRETS {
            if !self.members.contains_key(secret) {
                members.remove(secret);
            }
        }
        // One that was drawn is kept all the same.
        if !self.members.contains_key("spreadSeed") {
            members.remove("spreadSeed");
        }
        for (name, patch) in &self.members {
            let is_free = FREE.contains(&name.as_str());
            match merged(members.get(name).map(Box::as_ref), patch, is_free) {
                Some(member) => drop(members.insert(name.clone(), member)),
                None if name == "json" => drop(members.remove(name)),
                // It is as if it were left out, but not if there is no such member.
                None => drop(members.insert(name.clone(), patch.clone())),
            }
        }
        let text = serde_json::to_vec(&members).expect("an object of JSON values");
        let definition: Definition = body::parse(&text)?;
        let spec = JobSpec::compile(&definition, context)?;
        if !spec.has_schedule_of(&revision.spec) {
            spec.check_future(context.now.floor())?;
        }
        let keep_active = !self.members.contains_key("active");
        // What it was made over must still be so when it is done.
        let expected = self.expected.clone().or_else(|| Some(Box::new([revision.number])));
        Ok(Action::Update { id: self.id, spec, keep_active, expected })
    }
}

/// A member with a patch over it; None: it goes. What is no object takes the place of what was there, as text.
fn merged(target: Option<&RawValue>, patch: &RawValue, is_free: bool) -> Option<Box<RawValue>> {
    let text = patch.get().trim_start();
    if text == "null" {
        return None;
    }
    if !text.starts_with('{') {
        return Some(patch.to_owned());
    }
    let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).unwrap_or(Value::Null);
    let mut merged = target.map_or(Value::Null, value);
    merge(&mut merged, value(patch), is_free);
    Some(serde_json::value::to_raw_value(&merged).expect("a JSON value"))
}

/// The algorithm of RFC 7396, section 2. What goes stays as null where names are not free: that is the same, if there is
/// such a member, and can be told if there is none.
fn merge(target: &mut Value, patch: Value, is_free: bool) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let members = target.as_object_mut().expect("it was made one");
    for (name, patch) in patch {
        if patch.is_null() && is_free {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), patch, is_free);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_can_do_without_may_be_null_in_a_patch() {
        let schema = JobPatch::json_schema(&mut SchemaGenerator::default());
        for (name, member) in schema.get("properties").and_then(Value::as_object).expect("it has some") {
            let is_null = |schema: &Value| {
                schema["type"] == "null"
                    || schema["type"].as_array().is_some_and(|types| types.contains(&"null".into()))
            };
            let may_be = is_null(member) || member["anyOf"].as_array().is_some_and(|any| any.iter().any(is_null));
            // Any JSON may stand in `json`.
            assert_eq!(may_be, !["api", "type", "json"].contains(&name.as_str()), "{name}: {member}");
        }
    }

    /// The table of RFC 7396, appendix A, as far as it is about members of an object.
    #[test]
    fn the_examples_of_the_rfc_come_out() {
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let mut value: Value = serde_json::from_str(target).expect(target);
            merge(&mut value, serde_json::from_str(patch).expect(patch), true);
            assert_eq!(value.to_string(), result, "{target} {patch}");
        }
    }
}
