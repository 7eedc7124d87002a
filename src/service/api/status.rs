//! Owns how the server speaks of itself: health and info.
//! It must not judge: it is told what is wrong.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::{Call, Read};
use super::errors::ApiError;
use super::json::{Moment, json, ok};
use super::matching::{self, Matched};
use crate::http::{self, Response};
use crate::schedule::Zones;
use crate::time::WallUs;

/// Whether all is well.
pub(super) fn read_health(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Health))
}

/// Whether the loop turns, for whoever would start the server anew if it does not.
pub(super) fn read_live(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Live))
}

/// Whether clients may come, for whoever sends them elsewhere if not.
pub(super) fn read_ready(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Ready))
}

/// Who is there.
pub(super) fn read_info(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Info))
}

/// Whether all is well.
#[derive(Clone, Debug)]
pub struct Health {
    /// Why it is not.
    pub trouble: Option<String>,
    /// Jobs held by a clock that stepped back.
    pub held_jobs: usize,
    /// Now.
    pub now: WallUs,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Health")]
pub(super) struct HealthBody<'a> {
    #[schemars(extend("enum" = ["healthy", "unhealthy"]))]
    status: &'static str,
    #[schemars(with = "Moment")]
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    held_jobs: usize,
}

/// 200 or 503.
pub fn health(health: &Health) -> Response {
    let reason = health.trouble.as_deref();
    let (code, status) =
        if reason.is_none() { (http::Status::OK, "healthy") } else { (http::Status::SERVICE_UNAVAILABLE, "unhealthy") };
    json(code, &HealthBody { status, timestamp: health.now.to_string(), reason, held_jobs: health.held_jobs })
}

/// A probe's answer: no more than it needs, as anybody may ask.
#[derive(Serialize)]
struct ProbeBody {
    status: &'static str,
}

/// 200: whoever answers is alive.
pub fn live() -> Response {
    ok(&ProbeBody { status: "live" })
}

/// 200 or 503.
pub fn ready(is_ready: bool) -> Response {
    if is_ready {
        return ok(&ProbeBody { status: "ready" });
    }
    json(http::Status::SERVICE_UNAVAILABLE, &ProbeBody { status: "not ready" })
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Info")]
pub(super) struct InfoBody<'a> {
    name: &'static str,
    version: &'static str,
    description: &'static str,
    zone_data: ZoneData<'a>,
    endpoints: Vec<String>,
}

/// By which edition of the rules zones go.
#[derive(Serialize, JsonSchema)]
pub(super) struct ZoneData<'a> {
    version: &'a str,
    #[schemars(extend("enum" = ["bundled", "system"]))]
    source: &'static str,
}

/// Who is there.
pub fn info(zones: &Zones) -> Response {
    ok(&InfoBody {
        name: "punctual",
        version: env!("CARGO_PKG_VERSION"),
        description: env!("CARGO_PKG_DESCRIPTION"),
        zone_data: ZoneData { version: zones.version(), source: zones.source().name() },
        endpoints: matching::endpoints().collect(),
    })
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}
