//! Owns the metrics of the API: the list of figures as nested JSON, and what fires next.
//! It must not measure, or know any one figure.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::call::{Call, Read};
use super::channels::ChannelFigures;
use super::errors::ApiError;
use super::json::{Millis, Moment, ok, time_of};
use super::matching::Matched;
use super::parameters::PAGE_DEFAULT;
use crate::core::JobView;
use crate::http::{Method, Response, Status};
use crate::job::{ChannelName, JobId};
use crate::telemetry::{Figure, Figures, Percentiles, Value};

/// Metrics, with the next jobs to fire.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let limit = matched.parameters()?.limit(PAGE_DEFAULT)?;
    if matched.request.method == Method::Head {
        return Ok(Call::Ready(Response::unmade(Status::OK)));
    }
    Ok(Call::Read(Read::Metrics { limit }))
}

#[derive(Serialize)]
struct MetricsBody<'a> {
    #[serde(flatten)]
    figures: Group<'a>,
    channels: Vec<ChannelBody<'a>>,
    jobs: Vec<NextBody<'a>>,
}

/// What became of messages over a channel since the start.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChannelFigures")]
struct ChannelBody<'a> {
    #[schemars(with = "ChannelName")]
    name: &'a str,
    delivered: u64,
    /// Given up.
    failed: u64,
    /// Tries that failed and are followed by another one.
    retries: u64,
    /// Messages that wait.
    waiting: usize,
    /// Whether the last try failed.
    failing: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NextToFire")]
struct NextBody<'a> {
    #[schemars(with = "JobId")]
    job_id: String,
    name: Option<&'a str>,
    api: String,
    schedule: &'a str,
    #[schemars(with = "Option<Moment>")]
    next_execution: Option<String>,
}

/// Metrics as they are now, with those of channels and the next jobs to fire.
pub fn metrics(figures: &Figures, channels: &[(Arc<str>, ChannelFigures)], next: &[JobView]) -> Response {
    let channels = channels.iter().map(|(name, figures)| ChannelBody {
        name,
        delivered: figures.delivered,
        failed: figures.failed,
        retries: figures.retries,
        waiting: figures.waiting,
        failing: figures.health.error.is_some(),
    });
    let jobs = next.iter().map(|view| NextBody {
        job_id: view.revision.id.to_string(),
        name: view.revision.spec.name(),
        api: view.revision.spec.post.url.to_string(),
        schedule: view.revision.spec.schedule.text(),
        next_execution: view.next.map(time_of),
    });
    let figures = figures.list();
    let figures = Group { figures: &figures, named_len: 0 };
    ok(&MetricsBody { figures, channels: channels.collect(), jobs: jobs.collect() })
}

/// Figures whose paths begin alike, as one object. The first `named_len` bytes of each path name the objects around it.
struct Group<'a> {
    figures: &'a [Figure],
    named_len: usize,
}

impl Serialize for Group<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        let mut rest = self.figures;
        while let Some((first, others)) = rest.split_first() {
            let name = &first.path[self.named_len..];
            if let Some((name, _)) = name.split_once('.') {
                let named_len = self.named_len + name.len() + 1;
                let named = &first.path[..named_len];
                let length = rest.iter().take_while(|figure| figure.path.starts_with(named)).count();
                let (figures, behind) = rest.split_at(length);
                members.serialize_entry(name, &Group { figures, named_len })?;
                rest = behind;
            } else {
                members.serialize_entry(name, &ValueBody(first.value))?;
                rest = others;
            }
        }
        members.end()
    }
}

/// The shape of the whole, for the description: as the list of figures has it.
pub(super) struct MetricsShape;

impl JsonSchema for MetricsShape {
    fn schema_name() -> Cow<'static, str> {
        "Metrics".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({ "type": "object", "properties": {} });
        for figure in Figures::default().list() {
            let value = match figure.value {
                Value::Whole(_) => json_schema!({ "type": "integer" }),
                Value::Known(_) => json_schema!({ "type": ["integer", "null"] }),
                Value::Decimal(_) => json_schema!({ "type": ["number", "null"] }),
                Value::Flag(_) => json_schema!({ "type": "boolean" }),
                Value::Distribution(_) => generator.subschema_for::<PercentilesBody>(),
            };
            let mut object = schema.as_object_mut().expect("it is an object");
            let mut names = figure.path.split('.').peekable();
            while let Some(name) = names.next() {
                let properties = object.get_mut("properties").and_then(serde_json::Value::as_object_mut);
                let properties = properties.expect("objects have them");
                if names.peek().is_none() {
                    properties.insert(name.to_owned(), value.clone().into());
                    break;
                }
                let inner = properties.entry(name).or_insert_with(|| json!({ "type": "object", "properties": {} }));
                object = inner.as_object_mut().expect("a group is an object");
            }
        }
        let properties = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut);
        let channels = generator.subschema_for::<Vec<ChannelBody<'static>>>();
        let jobs = generator.subschema_for::<Vec<NextBody<'static>>>();
        let properties = properties.expect("it has some");
        properties.insert("channels".to_owned(), channels.into());
        properties.insert("jobs".to_owned(), jobs.into());
        schema
    }
}

struct ValueBody(Value);

impl Serialize for ValueBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Whole(count) => count.serialize(serializer),
            Value::Known(count) => count.serialize(serializer),
            Value::Decimal(decimal) => decimal.serialize(serializer),
            Value::Flag(flag) => flag.serialize(serializer),
            Value::Distribution(found) => PercentilesBody::from(found).serialize(serializer),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Percentiles")]
struct PercentilesBody {
    count: u64,
    negative: u64,
    mean_ms: Option<Millis>,
    p50_ms: Millis,
    p90_ms: Millis,
    p99_ms: Millis,
    p999_ms: Millis,
    max_ms: Millis,
}

impl From<&Percentiles> for PercentilesBody {
    fn from(found: &Percentiles) -> PercentilesBody {
        let ms = |us: u64| Millis::from_us(i64::try_from(us).unwrap_or(i64::MAX));
        PercentilesBody {
            count: found.count,
            negative: found.negative,
            mean_ms: found.mean.map(|us| Millis::from_ms(us / 1000.0)),
            p50_ms: ms(found.p50),
            p90_ms: ms(found.p90),
            p99_ms: ms(found.p99),
            p999_ms: ms(found.p999),
            max_ms: ms(found.max),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::http::Body;

    fn text(figures: &Figures) -> String {
        let Body::Whole(bytes) = metrics(figures, &[], &[]).body else { panic!("metrics are no stream") };
        String::from_utf8(bytes).expect("JSON is text")
    }

    /// How many members that are no object an object has, at any depth.
    fn leaves(json: &Json) -> usize {
        json.as_object().map_or(1, |members| members.values().map(leaves).sum())
    }

    #[test]
    fn every_figure_is_at_its_path_and_nothing_else_is() {
        let figures = Figures::default();
        let json: Json = serde_json::from_str(&text(&figures)).expect("it is JSON");
        for figure in figures.list() {
            let found = figure.path.split('.').fold(&json, |object, name| &object[name]);
            let expected = serde_json::to_value(ValueBody(figure.value)).expect("it is JSON");
            assert_eq!(*found, expected, "{}", figure.path);
            assert!(json.pointer(&format!("/{}", figure.path.replace('.', "/"))).is_some(), "{}", figure.path);
        }
        let values = figures.list().into_iter().map(|figure| serde_json::to_value(ValueBody(figure.value)));
        let expected: usize = values.map(|value| leaves(&value.expect("it is JSON"))).sum();
        assert_eq!(leaves(&json), expected + 2, "and the channels and the next jobs");
    }

    #[test]
    fn members_keep_their_order_and_numbers_their_form() {
        let drift =
            Percentiles { count: 2, negative: 1, mean: Some(1234.5678), p50: 1000, p90: 1, ..Percentiles::default() };
        let text = text(&Figures {
            scheduler_is_running: true,
            scheduler_average_drift: Some(1.5),
            drift,
            workers_utilization: Some(0.0),
            connections: 7,
            ..Figures::default()
        });
        assert!(
            text.starts_with("{\"scheduler\":{\"isRunning\":true,\"activeJobs\":0,\"activeExecutions\":0,"),
            "{text}"
        );
        assert!(text.contains(",\"averageDrift\":1.5,\"totalJobs\":0,"), "{text}");
        assert!(
            text.contains("},\"drift\":{\"count\":2,\"negative\":1,\"meanMs\":1.235,\"p50Ms\":1.0,\"p90Ms\":0.001,"),
            "{text}"
        );
        assert!(text.contains("\"late\":{\"count\":0,\"negative\":0,\"meanMs\":null,\"p50Ms\":0.0,"), "{text}");
        assert!(text.contains("\"utilization\":0.0,"), "{text}");
        assert!(text.ends_with(",\"uptimeSeconds\":0,\"connections\":7,\"channels\":[],\"jobs\":[]}"), "{text}");
    }
}
