//! Owns the channels of the API: how one is set, tested and removed, and how it looks with what became of it last.
//! It must not show a secret, nor to whoever only reads the path of a URL: that of a chat is one in practice.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::body;
use super::call::{Call, Read};
use super::errors::ApiError;
use super::json::{Millis, Moment, ok};
use super::matching::Matched;
use crate::channel::{Channel, ChannelDefinition};
use crate::core::{Action, AlertSettings, Setting};
use crate::http::Response;
use crate::job::{ChannelName, channel_name};
use crate::store::ChannelHealth;

/// A channel registered or replaced. What it becomes depends on what it is: secrets that are left out are kept.
pub(super) fn put(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let name = named(matched)?;
    let definition: ChannelDefinition = body::read(matched.request, "a JSON object with kind and url")?;
    Ok(Call::PutChannel(name, Box::new(definition)))
}

/// A channel over the one that has its name, if there is one. `seals`: whether secrets can be kept.
///
/// # Errors
/// Names the member that is wrong, and what was expected.
pub fn over(definition: &ChannelDefinition, before: Option<&Channel>, seals: bool) -> Result<Arc<Channel>, ApiError> {
    Ok(Arc::new(Channel::compile(definition, before, seals)?))
}

/// A channel's end.
pub(super) fn delete(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Change(Action::Set(Setting::Channel(named(matched)?, None))))
}

/// One channel.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Channel(named(matched)?)))
}

/// All channels.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Channels))
}

/// Something is sent over a channel, to see whether it arrives.
pub(super) fn test(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::TestChannel(named(matched)?))
}

fn named(matched: &Matched<'_>) -> Result<Arc<str>, ApiError> {
    // It stands in the path, not in a body to which one could point.
    let name = channel_name("channel", matched.text()).map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(name.into())
}

/// What became of messages over a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelFigures {
    /// How it fared last, also before the start.
    pub health: ChannelHealth,
    /// Messages that wait for it.
    pub waiting: usize,
    /// Messages delivered since the start.
    pub delivered: u64,
    /// Messages given up since the start.
    pub failed: u64,
    /// Tries since the start that failed and are followed by another one.
    pub retries: u64,
}

/// How a channel fared last.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Fared {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    last_delivered_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    last_failed_at: Option<String>,
    /// Why it failed last; left out: it delivered since.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

impl From<ChannelHealth> for Fared {
    fn from(health: ChannelHealth) -> Fared {
        let ChannelHealth { delivered_at, failed_at, error } = health;
        Fared {
            last_delivered_at: delivered_at.map(|at| at.to_string()),
            last_failed_at: failed_at.map(|at| at.to_string()),
            last_error: error,
        }
    }
}

/// A channel without what only few may read.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChannelSummary")]
struct SummaryBody<'a> {
    #[schemars(with = "ChannelName")]
    name: &'a str,
    kind: &'static str,
    /// Scheme, host and port.
    target: String,
    #[serde(flatten)]
    fared: Fared,
    /// Messages that wait for it.
    waiting: usize,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Channels")]
pub(super) struct ChannelsBody<'a> {
    channels: Vec<SummaryBody<'a>>,
}

/// All channels, in the order of their names.
pub fn channels(settings: &AlertSettings, figures_of: impl Fn(&str) -> ChannelFigures) -> Response {
    let summaries = settings.channels().map(|(name, channel)| {
        let ChannelFigures { health, waiting, .. } = figures_of(name);
        SummaryBody { name, kind: channel.kind(), target: channel.target(), fared: health.into(), waiting }
    });
    ok(&ChannelsBody { channels: summaries.collect() })
}

/// A channel as whoever set it sees it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Channel")]
pub(super) struct ChannelBody<'a> {
    #[schemars(with = "ChannelName")]
    name: &'a str,
    #[serde(flatten)]
    definition: ChannelDefinition,
    #[serde(flatten)]
    fared: Fared,
    /// Messages that wait for it. Left out where it was just changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<usize>,
}

/// One channel, if there is one.
pub fn channel(settings: &AlertSettings, name: &str, figures_of: impl Fn(&str) -> ChannelFigures) -> Response {
    let Some(channel) = settings.channel(name) else { return ApiError::no_such_channel().response() };
    let ChannelFigures { health, waiting, .. } = figures_of(name);
    ok(&ChannelBody { name, definition: channel.define(), fared: health.into(), waiting: Some(waiting) })
}

/// A channel that was set.
pub(super) fn changed(name: &str, channel: &Channel) -> Response {
    let fared = ChannelHealth::default().into();
    ok(&ChannelBody { name, definition: channel.define(), fared, waiting: None })
}

/// What came of a test.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ChannelTest")]
pub(super) struct TestBody {
    /// Whether it arrived, as far as the other side says.
    delivered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<Millis>,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What came of a test: how long it took, or why nothing arrived.
pub fn channel_tested(result: Result<Duration, String>) -> Response {
    let took = |took: Duration| Millis::from_us(i64::try_from(took.as_micros()).unwrap_or(i64::MAX));
    ok(&match result {
        Ok(duration) => TestBody { delivered: true, duration_ms: Some(took(duration)), error: None },
        Err(why) => TestBody { delivered: false, duration_ms: None, error: Some(why) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_says_how_long_it_took_or_why_nothing_arrived() {
        let text = |result| {
            let crate::http::Body::Whole(body) = channel_tested(result).body else { panic!("it is no stream") };
            String::from_utf8(body).expect("it is text")
        };
        assert_eq!(text(Ok(Duration::from_micros(12_345))), r#"{"delivered":true,"durationMs":12.345}"#);
        assert_eq!(text(Err("refused".to_owned())), r#"{"delivered":false,"error":"refused"}"#);
    }
}
