//! Owns the preview of a schedule: what a client asks about one, and what it is shown, also when it creates or changes
//! a job.
//! It must not find instants: the schedule does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body;
use super::call::Call;
use super::errors::ApiError;
use super::json::{Moment, ok, time_of};
use super::matching::Matched;
use crate::core::Herd;
use crate::http::Response;
use crate::job::{
    Day, DstDefinition, KnownCalendar, ScheduleText, Second, Timing, ZoneName, instant, object, one_of, whole,
};
use crate::limits::{HERD_JOBS_MIN, JOB_CALENDARS_MAX, OWN_DATES_MAX, PREVIEW_INSTANTS_MAX, SEED_END, SPREAD_MAX_S};
use crate::schedule::{Explained, LeftOut, Schedule, Upcoming};
use crate::time::Instant;

/// What a body must be.
const EXPECTED: &str = "a JSON object with schedule or runAt";

/// How many instants are shown unless a client says.
const COUNT: u64 = 10;

/// A schedule without a job, and which of its instants are to be shown.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a JSON object with schedule or runAt")]
#[schemars(extend("allOf" = [one_of(&["schedule", "runAt"])]))]
pub(super) struct Asked {
    #[schemars(with = "Option<ScheduleText>")]
    schedule: Option<String>,
    #[schemars(with = "Option<Second>")]
    run_at: Option<String>,
    #[schemars(with = "Option<ZoneName>")]
    time_zone: Option<String>,
    #[serde(default, deserialize_with = "object")]
    dst: Option<DstDefinition>,
    #[schemars(range(min = 1, max = SPREAD_MAX_S))]
    #[serde(default, deserialize_with = "whole")]
    spread_seconds: Option<u64>,
    #[schemars(range(max = SEED_END - 1))]
    #[serde(default, deserialize_with = "whole")]
    spread_seed: Option<u64>,
    #[schemars(with = "Option<Second>")]
    starts_at: Option<String>,
    #[schemars(with = "Option<Second>")]
    ends_at: Option<String>,
    #[schemars(with = "Option<Vec<Day>>", length(max = OWN_DATES_MAX))]
    exclude_dates: Option<Vec<String>>,
    #[schemars(with = "Option<Vec<KnownCalendar>>", length(max = JOB_CALENDARS_MAX))]
    exclude_calendars: Option<Vec<String>>,
    /// The first second that counts. Left out: what follows now.
    #[schemars(with = "Option<Second>")]
    from: Option<String>,
    /// The last second that counts. Left out: there is none.
    #[schemars(with = "Option<Second>")]
    to: Option<String>,
    /// How many instants at most. Left out: 10, and with `to` as many as there may be.
    #[schemars(range(min = 1, max = PREVIEW_INSTANTS_MAX))]
    #[serde(default, deserialize_with = "whole")]
    count: Option<u64>,
}

/// A schedule whose instants a client wants to see.
#[derive(Debug)]
pub struct PreviewCall {
    schedule: Schedule,
    after: Instant,
    through: Instant,
    count: usize,
}

impl PreviewCall {
    /// The first instant that is shown.
    pub fn first(&self) -> Option<Instant> {
        self.schedule.next_in(self.after, self.through)
    }
}

/// What a schedule means, before there is a job.
pub(super) fn preview_call(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let Asked {
        schedule,
        run_at,
        time_zone,
        dst,
        spread_seconds,
        spread_seed,
        starts_at,
        ends_at,
        exclude_dates,
        exclude_calendars,
        from,
        to,
        count,
    } = body::read(matched.request, EXPECTED)?;
    let timing = Timing {
        schedule,
        run_at,
        run_after_ms: None,
        time_zone,
        dst,
        spread_seconds,
        spread_seed,
        starts_at,
        ends_at,
        exclude_dates,
        exclude_calendars,
    };
    let schedule = timing.compile(matched.context)?;
    let from = from.as_deref().map(|text| instant("from", text)).transpose()?;
    let to = to.as_deref().map(|text| instant("to", text)).transpose()?;
    let most = PREVIEW_INSTANTS_MAX as u64;
    let count = count.unwrap_or(if to.is_some() { most } else { COUNT });
    if !(1..=most).contains(&count) {
        return Err(ApiError::member("count", format!("expected a number from 1 to {most}, got {count}")));
    }
    let after = from.map_or(matched.context.now.floor(), |from| Instant::from_secs(from.as_secs() - 1));
    let (through, count) = (to.unwrap_or(Instant::LAST), usize::try_from(count).unwrap_or(PREVIEW_INSTANTS_MAX));
    Ok(Call::Preview(Box::new(PreviewCall { schedule, after, through, count })))
}

/// The answer to a preview.
pub fn preview(call: &PreviewCall, herd: Option<Herd>) -> Response {
    ok(&PreviewBody::of(&call.schedule, (call.after, call.through), call.count, herd))
}

/// What a client is shown of a schedule.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Preview")]
pub(super) struct PreviewBody {
    description: String,
    /// What was drawn or said, so that the same schedule can be asked for again.
    #[serde(skip_serializing_if = "Option::is_none")]
    spread_seed: Option<u64>,
    instants: Vec<InstantBody>,
    excluded: Vec<ExcludedBody>,
    warnings: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PreviewInstant")]
pub(super) struct InstantBody {
    #[schemars(with = "Moment")]
    time: String,
    local: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<RemarkBody>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Remark")]
pub(super) struct RemarkBody {
    #[schemars(extend("enum" = ["gap", "overlap"]))]
    kind: &'static str,
    message: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExcludedDate")]
pub(super) struct ExcludedBody {
    #[schemars(with = "Day")]
    date: String,
    /// `excludeDates`, and the names of calendars.
    by: Vec<String>,
}

impl PreviewBody {
    /// Up to `count` instants in a stretch, without its first second.
    pub(super) fn of(
        schedule: &Schedule,
        (after, through): (Instant, Instant),
        count: usize,
        herd: Option<Herd>,
    ) -> PreviewBody {
        let shown = schedule.preview(after, through, count);
        let Explained { description, mut warnings } = schedule.explain();
        if let (Some(herd), Some(first)) = (herd.filter(|herd| herd.jobs >= HERD_JOBS_MIN), shown.instants.first()) {
            let about = if herd.exact { "" } else { "about " };
            warnings.push(format!(
                "{about}{} other jobs are due at {}, too; spreadSeconds or a ~ in the schedule would set it apart",
                herd.jobs,
                time_of(first.instant)
            ));
        }
        PreviewBody {
            description,
            spread_seed: schedule.terms().seed,
            instants: shown.instants.into_iter().map(InstantBody::from).collect(),
            excluded: shown.left_out.into_iter().map(ExcludedBody::from).collect(),
            warnings,
        }
    }

    /// Its times, in order.
    pub(super) fn times(&self) -> impl Iterator<Item = &str> {
        self.instants.iter().map(|instant| &*instant.time)
    }
}

impl From<Upcoming> for InstantBody {
    fn from(upcoming: Upcoming) -> InstantBody {
        let Upcoming { instant, local, remark } = upcoming;
        let remark = remark.map(|remark| RemarkBody { kind: remark.name(), message: remark.to_string() });
        InstantBody { time: time_of(instant), local, remark }
    }
}

impl From<LeftOut> for ExcludedBody {
    fn from(left_out: LeftOut) -> ExcludedBody {
        let LeftOut { date, own, calendars } = left_out;
        let own = own.then(|| "excludeDates".to_owned());
        ExcludedBody { date: date.to_string(), by: own.into_iter().chain(calendars).collect() }
    }
}
