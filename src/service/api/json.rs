//! Owns what the JSON of all answers has in common: how times and durations look, and the body of an answer.
//! It must not know any one resource.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::http::{self, Response};
use crate::time::{Instant, WallUs};

/// Milliseconds as a decimal with microseconds behind the point.
pub(super) struct Millis(f64);

impl Millis {
    pub(super) fn from_us(us: i64) -> Millis {
        Millis(us as f64 / 1000.0)
    }

    pub(super) fn from_ms(ms: f64) -> Millis {
        Millis((ms * 1000.0).round() / 1000.0)
    }
}

impl JsonSchema for Millis {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Milliseconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

/// A time in UTC, for the description.
pub(super) enum Moment {}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

pub(super) fn time_of(instant: Instant) -> String {
    WallUs::of(instant).to_string()
}

pub(super) fn ok(body: &impl Serialize) -> Response {
    json(http::Status::OK, body)
}

/// What most bodies have room in.
const BODY_LEN_USUAL: usize = 1_024;

pub(super) fn json(status: http::Status, body: &impl Serialize) -> Response {
    let mut bytes = Vec::with_capacity(BODY_LEN_USUAL);
    append(&mut bytes, body);
    Response::new(status, bytes)
}

/// Appends the text of a value.
pub(super) fn append(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("these types have only string keys and finite numbers");
}
