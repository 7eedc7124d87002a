//! Owns what a policy of alerts says: when somebody is told of trouble, how often, and over which channels.
//! It must not know what happened: the core does.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::number::whole;
use super::shapes::{KnownChannel, Period};
use super::{FieldError, bounded};
use crate::limits::{CHANNEL_NAME_LEN_MAX, CHANNELS_MAX, FAILURES_MAX, PERIOD_MAX, REMIND_MIN};
use crate::schedule::{check_name, duration, duration_text};

/// A policy as clients write it: of a job, of a tag, or of the server. What is left out is as the next wider one says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "an object such as {\"after\":3}")]
#[schemars(rename = "AlertPolicy")]
pub struct AlertDefinition {
    /// How many failures in a row open an incident. Nobody says: 1.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = FAILURES_MAX))]
    pub after: Option<u64>,
    /// Whether it is told that an incident is over, if it was told that it began. Nobody says: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<bool>,
    /// How often an open incident is told again, such as `4h`, or `never`. Nobody says: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Period>")]
    pub remind_every: Option<String>,
    /// How long a job may be without a success, such as `26h`, whatever the reason; `never`: any time. Nobody says: any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Period>")]
    pub no_success_for: Option<String>,
    /// How late a scheduled execution may begin, such as `30s`; `never`: any time. Nobody says: any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Period>")]
    pub late_by: Option<String>,
    /// Whether it is told that a job was paused by its own policy. Nobody says: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_auto_pause: Option<bool>,
    /// Whether it is told that a target fails, the store fails, or the disk is nearly full. Only the server's policy has
    /// it. Nobody says: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_server_trouble: Option<bool>,
    /// Over which channels it is told. Nobody says: over all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<KnownChannel>>", length(max = CHANNELS_MAX), extend("uniqueItems" = true))]
    pub channels: Option<Vec<String>>,
}

/// That of a job or a tag, for the description.
#[derive(Clone, Copy, Debug)]
pub enum JobAlerts {}

impl JsonSchema for JobAlerts {
    fn schema_name() -> Cow<'static, str> {
        "JobAlerts".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = AlertDefinition::json_schema(generator);
        let properties = schema.get_mut("properties").and_then(|members| members.as_object_mut());
        properties.and_then(|members| members.remove("onServerTrouble")).expect("the server's has it");
        schema.insert(
            "description".to_owned(),
            "A policy of alerts. What is left out is as the next wider one says.".into(),
        );
        schema
    }
}

/// A period that a policy says; or that there is none, whatever a wider policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// There is none.
    Never,
    /// So long.
    After(Duration),
}

impl Term {
    /// The period, if there is one.
    pub fn time(self) -> Option<Duration> {
        match self {
            Term::Never => None,
            Term::After(time) => Some(time),
        }
    }

    fn text(self) -> String {
        self.time().map_or_else(|| NEVER.to_owned(), duration_text)
    }
}

/// How clients write that there is no period.
const NEVER: &str = "never";

/// The same, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertPolicy {
    /// How many failures in a row open an incident.
    pub after: Option<u32>,
    /// Whether it is told that an incident is over.
    pub recovery: Option<bool>,
    /// How often an open incident is told again.
    pub remind_every: Option<Term>,
    /// How long a job may be without a success.
    pub no_success_for: Option<Term>,
    /// How late a scheduled execution may begin.
    pub late_by: Option<Term>,
    /// Whether it is told that a job was paused by its own policy.
    pub on_auto_pause: Option<bool>,
    /// Whether the server's own trouble is told.
    pub on_server_trouble: Option<bool>,
    /// Over which channels it is told.
    pub channels: Option<Box<[Box<str>]>>,
}

impl AlertPolicy {
    /// What a definition means, of a job or a tag.
    ///
    /// # Errors
    /// Names the member that is wrong, and what was expected.
    pub fn compile(definition: &AlertDefinition) -> Result<AlertPolicy, FieldError> {
        let policy = AlertPolicy::compile_of_server(definition)?;
        if policy.on_server_trouble.is_some() {
            return Err(FieldError::new("alerts.onServerTrouble", "only the policy of the server has it"));
        }
        Ok(policy)
    }

    /// The same of the server.
    ///
    /// # Errors
    /// Names the member that is wrong, and what was expected.
    pub fn compile_of_server(definition: &AlertDefinition) -> Result<AlertPolicy, FieldError> {
        let AlertDefinition {
            after,
            recovery,
            remind_every,
            no_success_for,
            late_by,
            on_auto_pause,
            on_server_trouble,
            channels,
        } = definition;
        let after = after.map(|count| bounded("alerts.after", count, 1, FAILURES_MAX)).transpose()?;
        Ok(AlertPolicy {
            after: after.map(|count| u32::try_from(count).expect("it is bounded")),
            recovery: *recovery,
            remind_every: period("alerts.remindEvery", remind_every.as_deref(), REMIND_MIN)?,
            no_success_for: period("alerts.noSuccessFor", no_success_for.as_deref(), Duration::from_secs(1))?,
            late_by: period("alerts.lateBy", late_by.as_deref(), Duration::from_secs(1))?,
            on_auto_pause: *on_auto_pause,
            on_server_trouble: *on_server_trouble,
            channels: channels.as_deref().map(names).transpose()?,
        })
    }

    /// The definition that means this.
    pub fn define(&self) -> AlertDefinition {
        AlertDefinition {
            after: self.after.map(u64::from),
            recovery: self.recovery,
            remind_every: self.remind_every.map(Term::text),
            no_success_for: self.no_success_for.map(Term::text),
            late_by: self.late_by.map(Term::text),
            on_auto_pause: self.on_auto_pause,
            on_server_trouble: self.on_server_trouble,
            channels: self.channels.as_deref().map(|names| names.iter().map(|name| name.to_string()).collect()),
        }
    }

    /// This where it says something, else the wider one.
    #[must_use]
    pub fn over(&self, wider: &AlertPolicy) -> AlertPolicy {
        AlertPolicy {
            after: self.after.or(wider.after),
            recovery: self.recovery.or(wider.recovery),
            remind_every: self.remind_every.or(wider.remind_every),
            no_success_for: self.no_success_for.or(wider.no_success_for),
            late_by: self.late_by.or(wider.late_by),
            on_auto_pause: self.on_auto_pause.or(wider.on_auto_pause),
            on_server_trouble: self.on_server_trouble.or(wider.on_server_trouble),
            channels: self.channels.as_ref().or(wider.channels.as_ref()).cloned(),
        }
    }
}

fn period(member: &'static str, text: Option<&str>, least: Duration) -> Result<Option<Term>, FieldError> {
    let Some(text) = text else { return Ok(None) };
    if text == NEVER {
        return Ok(Some(Term::Never));
    }
    let found = duration(text).filter(|found| (least..=PERIOD_MAX).contains(found));
    let expected = |_| {
        let least = duration_text(least);
        FieldError::new(
            member,
            format_args!(
                "expected {least} to {}, whole numbers with d, h, m or s as in 1h30m, or never, got {:?}",
                duration_text(PERIOD_MAX),
                super::definition::shortened(text)
            ),
        )
    };
    found.map(|found| Some(Term::After(found))).ok_or(()).map_err(expected)
}

fn names(given: &[String]) -> Result<Box<[Box<str>]>, FieldError> {
    const MEMBER: &str = "alerts.channels";
    if given.len() > CHANNELS_MAX {
        return Err(FieldError::new(MEMBER, format_args!("expected at most {CHANNELS_MAX}, got {}", given.len())));
    }
    if let Some(twice) = given.iter().enumerate().find(|(place, name)| given[..*place].contains(name)) {
        return Err(FieldError::new(MEMBER, format_args!("{:?} is given twice", twice.1)));
    }
    given.iter().map(|name| channel_name(MEMBER, name)).collect()
}

/// The name of a channel, that is the value of this member.
///
/// # Errors
/// When it cannot be one.
pub fn channel_name(member: &'static str, name: &str) -> Result<Box<str>, FieldError> {
    check_name(name, CHANNEL_NAME_LEN_MAX).map_err(|why| FieldError::new(member, why))?;
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<AlertPolicy, FieldError> {
        AlertPolicy::compile(&serde_json::from_str(text).expect("JSON"))
    }

    #[test]
    fn a_policy_comes_back_from_what_it_means() {
        for text in [
            "{}",
            r#"{"after":3,"recovery":false,"remindEvery":"4h","noSuccessFor":"1d2h","lateBy":"1m30s","onAutoPause":true,"channels":["ops","mail-2"]}"#,
            r#"{"channels":[]}"#,
            r#"{"remindEvery":"never","lateBy":"never"}"#,
        ] {
            let policy = compile(text).expect(text);
            assert_eq!(serde_json::to_string(&policy.define()).expect("JSON"), text);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        for (text, why) in [
            (r#"{"after":0}"#, "alerts.after: expected a number from 1 to"),
            (r#"{"remindEvery":"59s"}"#, "alerts.remindEvery: expected 1m to 366d, whole numbers"),
            (r#"{"remindEvery":"often"}"#, "alerts.remindEvery: expected 1m to 366d"),
            (r#"{"noSuccessFor":""}"#, "alerts.noSuccessFor: expected 1s to 366d"),
            (r#"{"noSuccessFor":"367d"}"#, "alerts.noSuccessFor: expected 1s to 366d"),
            (r#"{"lateBy":"0s"}"#, "alerts.lateBy: expected 1s to"),
            (r#"{"lateBy":"1s1m"}"#, "alerts.lateBy: expected 1s to"),
            (r#"{"onServerTrouble":true}"#, "alerts.onServerTrouble: only the policy of the server has it"),
            (r#"{"channels":["a","a"]}"#, "alerts.channels: \"a\" is given twice"),
            (r#"{"channels":["A"]}"#, "alerts.channels: expected"),
        ] {
            let error = compile(text).expect_err(text).to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn a_policy_names_only_so_many_channels() {
        let of = |count: usize| AlertDefinition {
            channels: Some((0..count).map(|number| format!("c{number}")).collect()),
            ..AlertDefinition::default()
        };
        let most = AlertPolicy::compile(&of(CHANNELS_MAX)).expect("so many there may be");
        assert_eq!(most.define(), of(CHANNELS_MAX));
        let why = AlertPolicy::compile(&of(CHANNELS_MAX + 1)).expect_err("too many").to_string();
        assert_eq!(why, "alerts.channels: expected at most 32, got 33");
    }

    #[test]
    fn the_narrower_policy_counts_member_by_member() {
        let job = compile(r#"{"after":3}"#).expect("valid");
        let server = compile(r#"{"after":2,"lateBy":"5s","channels":["a"]}"#).expect("valid");
        let both = compile(r#"{"after":3,"lateBy":"5s","channels":["a"]}"#).expect("valid");
        assert_eq!(job.over(&server), both);
        let never = compile(r#"{"lateBy":"never"}"#).expect("valid").over(&server);
        assert_eq!(never.late_by.map(Term::time), Some(None), "a wider policy is left aside");
        let none = compile(r#"{"channels":[]}"#).expect("valid");
        assert_eq!(none.over(&server).channels.as_deref(), Some(&[][..]), "nobody is somebody else than everybody");
    }
}
