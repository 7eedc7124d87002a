//! Owns the change of a few members of a job: a merge patch (RFC 7396) over what the job is.
//! It must not touch a member that the patch does not name: its text stays as it is.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::body;
use super::call::Call;
use super::errors::ApiError;
use super::matching::Matched;
use crate::core::{Action, JobView};
use crate::job::{Context, Definition, JobId, JobSpec, body_or_json};
use crate::limits::PATCH_DEPTH_MAX;

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

    /// Whether it is to be made again over this revision, as that which it was made over is none any more.
    pub fn is_for(&self, number: u32) -> bool {
        self.expected.as_ref().is_none_or(|expected| expected.contains(&number))
    }

    /// The change of the job as it is now.
    ///
    /// # Errors
    /// When what comes out is no job.
    pub fn over(&self, job: &JobView, context: &Context<'_>) -> Result<Action, ApiError> {
        let revision = &job.revision;
        let definition = Definition::in_full(&revision.spec);
        let text = serde_json::to_string(&definition).expect("a definition has string keys only");
        let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).expect("it was just written");
        for secret in SECRETS {
            if !self.members.contains_key(secret) {
                members.remove(secret);
            }
        }
        // For another schedule one is drawn anew. One that was drawn for this is kept all the same.
        let of_schedule = ["schedule", "runAt", "runAfterMs", "spreadSeconds"];
        if !self.members.contains_key("spreadSeed") && of_schedule.iter().any(|of| self.members.contains_key(*of)) {
            members.remove("spreadSeed");
        }
        for (name, patch) in &self.members {
            let is_free = FREE.contains(&name.as_str());
            let merged = merged(members.get(name).map(Box::as_ref), patch, is_free, PATCH_DEPTH_MAX);
            match merged.map_err(|why| ApiError::member(name, why))? {
                Some(member) => drop(members.insert(name.clone(), member)),
                None if name == "json" => drop(members.remove(name)),
                // It is as if it were left out, but not if there is no such member.
                None => drop(members.insert(name.clone(), patch.clone())),
            }
        }
        let text = serde_json::to_vec(&members).expect("an object of JSON values");
        let definition: Definition = body::parse(&text)?;
        // What is not named may be as deep as it was.
        let depth = if self.members.contains_key("json") { context.json_depth_max } else { usize::MAX };
        let spec = JobSpec::compile(&definition, &Context { json_depth_max: depth, ..*context })?;
        if !spec.has_schedule_of(&revision.spec) {
            spec.check_future(context.now.floor())?;
        }
        let keep_active = definition.active.is_none() || !self.members.contains_key("active");
        // What it was made over must still be so when it is done, and be one of those that it may be made over.
        let is_meant = self.expected.as_ref().is_none_or(|expected| expected.contains(&revision.number));
        let expected: Option<Box<[u32]>> = Some(if is_meant { Box::new([revision.number]) } else { Box::default() });
        Ok(Action::Update { id: self.id, spec, keep_active, expected })
    }
}

/// A member with a patch over it, by the algorithm of RFC 7396, section 2; None: it goes. What the patch does not name
/// keeps its text and its place. What goes stays as null where names are not free: that is the same, if there is such a
/// member, and can be told if there is none.
fn merged(
    target: Option<&RawValue>,
    patch: &RawValue,
    is_free: bool,
    depth: usize,
) -> Result<Option<Box<RawValue>>, String> {
    let is_object = |text: &str| text.trim_start().starts_with('{');
    match patch.get().trim() {
        "null" if is_free => return Ok(None),
        text if !is_object(text) => return Ok(Some(patch.to_owned())),
        _ => {}
    }
    if depth == 0 {
        return Err(format!("expected a patch of at most {PATCH_DEPTH_MAX} levels"));
    }
    let read =
        |raw: &RawValue| serde_json::from_str::<Members>(raw.get()).map_err(|why| format!("cannot be merged: {why}"));
    let target = target.filter(|target| is_object(target.get())).map_or(Ok(Members::default()), read)?;
    let patch = read(patch)?;
    let patches: BTreeMap<&str, &RawValue> = patch.0.iter().map(|(name, patch)| (name.as_str(), &**patch)).collect();
    let mut members = Vec::with_capacity(target.0.len());
    let mut known = BTreeSet::new();
    for (name, member) in target.0 {
        let member = match patches.get_key_value(name.as_str()) {
            None => Some(member),
            Some((&name, patch)) => {
                known.insert(name);
                merged(Some(&member), patch, is_free, depth - 1)?
            }
        };
        members.extend(member.map(|member| (name, member)));
    }
    for (name, _) in &patch.0 {
        if known.insert(name) {
            let member = merged(None, patches[name.as_str()], is_free, depth - 1)?;
            members.extend(member.map(|member| (name.clone(), member)));
        }
    }
    Ok(Some(serde_json::value::to_raw_value(&Members(members)).expect("an object of JSON values")))
}

/// The members of an object in their order, each as its text.
#[derive(Default)]
struct Members(Vec<(String, Box<RawValue>)>);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, member)| (name, member)))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::Tally;
    use crate::job::{JobKey, Revision};
    use crate::time::{Instant, WallUs};

    fn merge(target: &str, patch: &str) -> Result<String, String> {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect(text);
        let merged = merged(Some(&raw(target)), &raw(patch), true, PATCH_DEPTH_MAX)?;
        Ok(merged.map_or_else(String::new, |merged| merged.get().to_owned()))
    }

    #[test]
    fn a_patch_is_of_the_revision_that_it_is_made_over_whichever_its_client_named() {
        let definition: Definition =
            serde_json::from_str(r#"{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE"}"#).expect("a job");
        let context = Context::at(Instant::FIRST);
        let spec = JobSpec::compile(&definition, &context).expect("valid");
        let id = JobId::new(JobKey(1), [7; 10]);
        let revision = Arc::new(Revision { number: 3, ..Revision::first(id, spec, WallUs(0)) });
        let job = JobView { revision, tally: Tally::default(), next: None, paused: false, held: false };
        let over = |expected: Option<&[u32]>| {
            let patch = Patch { id, members: BTreeMap::new(), expected: expected.map(Into::into) };
            match patch.over(&job, &context) {
                Ok(Action::Update { expected, .. }) => (expected.expect("some").to_vec(), patch.is_for(4)),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(over(None), (vec![3], true));
        // If another one is in force when its turn comes, it is made anew over that, if that was named.
        assert_eq!(over(Some(&[3, 4])), (vec![3], true));
        assert_eq!(over(Some(&[3])), (vec![3], false));
        assert_eq!(over(Some(&[4])), (vec![], true));
    }

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

    #[test]
    fn what_is_not_named_keeps_its_text_and_its_place() {
        let deep = |levels: usize, inner: &str| format!("{}{inner}{}", r#"{"d":"#.repeat(levels), "}".repeat(levels));
        let below = deep(200, "1e999");
        for (target, patch, result) in [
            (
                r#"{"z":12345678901234567890123.10,"a":1}"#,
                r#"{"x":1}"#,
                r#"{"z":12345678901234567890123.10,"a":1,"x":1}"#,
            ),
            (r#"{"keep":1e999,"a":{"c":1,"b":2}}"#, r#"{"a":{"c":3}}"#, r#"{"keep":1e999,"a":{"c":3,"b":2}}"#),
            (r#"{"b":1,"a":2,"b":3}"#, r#"{"b":4,"b":5}"#, r#"{"b":5,"a":2,"b":5}"#),
            (&format!(r#"{{"deep":{below}}}"#), r#"{"x":1}"#, &format!(r#"{{"deep":{below},"x":1}}"#)),
        ] {
            assert_eq!(merge(target, patch).as_deref(), Ok(result));
        }
        assert_eq!(merge("{}", &deep(PATCH_DEPTH_MAX, "1")), Ok(deep(PATCH_DEPTH_MAX, "1")));
        merge("{}", &deep(PATCH_DEPTH_MAX + 1, "1")).expect_err("it is too deep");
        merge(r#"{"\ud800":1}"#, r#"{"x":1}"#).expect_err("that is no name");
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
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            assert_eq!(merge(target, patch), Ok(result.to_owned()), "{target} {patch}");
        }
    }
}
