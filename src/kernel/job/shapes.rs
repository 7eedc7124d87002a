//! Owns how the texts and numbers of members look in the description of the API, and which members exclude each other.
//! It must not check anything: each shape says what the code it is named after accepts, with the same bounds.
//!
//! What a schema cannot say has a format of its own (`schedule`, `time-zone`), which whoever makes values up must know.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::limits::{
    CALENDAR_NAME_LEN_MAX, CHANNEL_NAME_LEN_MAX, LABEL_LEN_MAX, SCHEDULE_LEN_MAX, SECRET_LEN_MAX, URL_LEN_MAX,
};

/// Makes a type that stands for a shape wherever a member is a plain text.
macro_rules! shapes {
    ($($(#[$about:meta])* $name:ident = $schema:expr;)+) => {
        $($(#[$about])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })+
    };
}

/// Years that schedules have, as texts begin with them.
const YEARS: &str = "(19[7-9][0-9]|20[0-9]{2})";

shapes! {
    /// A whole second with `Z` or an offset.
    Second = json_schema!({
        "type": "string",
        "format": "date-time",
        "pattern": format!(
            "^{YEARS}-[0-9]{{2}}-[0-9]{{2}}[Tt][0-9]{{2}}:[0-9]{{2}}:[0-5][0-9](\\.0+)?([Zz]|[+-][0-9]{{2}}:[0-9]{{2}})$"
        ),
    });
    /// A date of the wall clock.
    Day = json_schema!({
        "type": "string",
        "format": "date",
        "pattern": format!("^{YEARS}-[0-9]{{2}}-[0-9]{{2}}$"),
    });
    /// A cron expression or an `@` word.
    ScheduleText = json_schema!({
        "type": "string",
        "format": "schedule",
        "minLength": 1,
        "maxLength": SCHEDULE_LEN_MAX,
        "pattern": "^[\\t -~]+$",
    });
    /// An IANA name, in any case.
    ZoneName = json_schema!({ "type": "string", "format": "time-zone", "pattern": "^[A-Za-z0-9/_+-]+$" });
    /// What can be asked over HTTP.
    Url = json_schema!({
        "type": "string",
        "format": "uri",
        "maxLength": URL_LEN_MAX,
        "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^#@\\s]+$",
    });
    /// The name of a calendar.
    CalendarName = json_schema!({
        "type": "string",
        "pattern": plain_name(CALENDAR_NAME_LEN_MAX),
    });
    /// The name of a calendar that there is.
    KnownCalendar = json_schema!({
        "type": "string",
        "format": "calendar",
        "pattern": plain_name(CALENDAR_NAME_LEN_MAX),
    });
    /// The name of a channel over which alerts are told.
    ChannelName = json_schema!({
        "type": "string",
        "pattern": plain_name(CHANNEL_NAME_LEN_MAX),
    });
    /// The name of a channel that there is.
    KnownChannel = json_schema!({
        "type": "string",
        "format": "channel",
        "pattern": plain_name(CHANNEL_NAME_LEN_MAX),
    });
    /// A duration, such as `1h30m`, or `never`.
    Period = json_schema!({ "type": "string", "format": "period", "pattern": "^(never|([0-9]+[Dd])?([0-9]+[Hh])?([0-9]+[Mm])?([0-9]+[Ss])?)$" });
    /// A short line.
    Label = json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": LABEL_LEN_MAX,
        "pattern": format!("^[^\\s{CONTROLS}]([^{CONTROLS}]*[^\\s{CONTROLS}])?$"),
    });
    /// What nobody may read; its limit is one of bytes.
    SecretText = json_schema!({ "type": "string", "minLength": 1, "maxLength": SECRET_LEN_MAX });
    /// The same in one line.
    LineSecret = json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": SECRET_LEN_MAX,
        "pattern": format!("^[^{CONTROLS}]+$"),
    });
    /// The same as a header can carry it.
    PrintableSecret = json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": SECRET_LEN_MAX,
        "pattern": "^[\\t -~]+$",
    });
    /// `whsec_` and 24 to 64 bytes in base64, or two of them.
    SigningText = json_schema!({
        "type": "string",
        "maxLength": SECRET_LEN_MAX,
        "pattern": format!("^{SIGNING}( {SIGNING})?$"),
    });
    /// A value of a header.
    HeaderText = json_schema!({ "type": "string", "pattern": "^[\\t -~]*$" });
}

/// A name that is part of URLs.
fn plain_name(len_max: usize) -> String {
    format!("^[a-z0-9][a-z0-9._-]{{0,{}}}$", len_max - 1)
}

/// One secret that signs. Of the last character of an incomplete group only some bits count, and the others are 0.
const SIGNING: &str = "whsec_(([A-Za-z0-9+/]{4}){8,20}([A-Za-z0-9+/][AQgw](==)?|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=?)?|\
                       ([A-Za-z0-9+/]{4}){21}([A-Za-z0-9+/][AQgw](==)?)?)";

/// Control characters, as they stand inside of brackets.
const CONTROLS: &str = "\\x00-\\x1f\\x7f-\\x9f";

/// What has a few values with names.
pub(super) trait Choice {
    /// The names.
    fn names() -> Vec<&'static str>;
}

/// The name of a `T`.
pub(super) struct NameOf<T>(PhantomData<T>);

impl<T: Choice> JsonSchema for NameOf<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::names().join("Or").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": T::names() })
    }
}

/// Objects in which a member is there and not null.
pub fn has(member: &str) -> Schema {
    json_schema!({ "required": [member], "properties": { (member): { "not": { "type": "null" } } } })
}

/// Objects in which one of these members is there and not null.
pub fn one_of(members: &[&str]) -> Schema {
    json_schema!({ "oneOf": members.iter().map(|member| has(member)).collect::<Vec<_>>() })
}

/// The same of one or more.
pub fn any_of(members: &[&str]) -> Schema {
    json_schema!({ "anyOf": members.iter().map(|member| has(member)).collect::<Vec<_>>() })
}

/// Objects without both a body as text and one as JSON, whose null is a value.
pub fn body_or_json() -> Schema {
    json_schema!({ "anyOf": [{ "properties": { "body": { "type": "null" } } }, { "not": { "required": ["json"] } }] })
}

/// Objects with one of these methods only if they have no body.
pub(super) fn no_body_with(methods: &[&str]) -> Schema {
    json_schema!({ "anyOf": [
        { "properties": { "method": { "not": { "enum": methods } } } },
        { "properties": { "body": { "type": "null" } }, "not": { "required": ["json"] } },
    ] })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shapes_say_which_members_there_are() {
        let is_there =
            |member: &str| json!({ "required": [member], "properties": { (member): { "not": { "type": "null" } } } });
        let both = [is_there("a"), is_there("b")];
        let no_body = json!({ "properties": { "body": { "type": "null" } }, "not": { "required": ["json"] } });
        let other_method = json!({ "properties": { "method": { "not": { "enum": ["GET"] } } } });
        for (schema, expected) in [
            (has("a"), is_there("a")),
            (one_of(&["a", "b"]), json!({ "oneOf": both })),
            (any_of(&["a", "b"]), json!({ "anyOf": both })),
            (no_body_with(&["GET"]), json!({ "anyOf": [other_method, no_body] })),
        ] {
            assert_eq!(schema.to_value(), expected);
        }
        assert_eq!(plain_name(64), "^[a-z0-9][a-z0-9._-]{0,63}$");
    }
}
