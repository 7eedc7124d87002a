//! Owns the calendars of the API: dates with a name that schedules of several jobs leave out.
//! It must not know who follows them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body;
use super::call::{Call, Read};
use super::errors::ApiError;
use super::json::ok;
use super::matching::Matched;
use crate::core::Action;
use crate::http::Response;
use crate::job::{CalendarName, Day};
use crate::limits::CALENDAR_DATES_MAX;
use crate::schedule::{Calendars, Date, Dates, check_calendar_name};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object with dates")]
pub(super) struct Body {
    /// Dates in the zone of whichever job follows it.
    #[schemars(with = "Vec<Day>", length(max = CALENDAR_DATES_MAX))]
    dates: Vec<String>,
}

/// A calendar registered or replaced.
pub(super) fn put(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    let name = named(matched)?;
    let Body { dates } = body::read(matched.request, "a JSON object with dates")?;
    Ok(Call::Change(Action::PutCalendar { name, dates: dates_of(&dates)? }))
}

/// The dates that a client wrote.
pub(super) fn dates_of(dates: &[String]) -> Result<Arc<Dates>, ApiError> {
    let dates = Dates::parse(dates.iter().map(String::as_str), CALENDAR_DATES_MAX);
    dates.map(Arc::new).map_err(|why| ApiError::member("dates", why.to_string()))
}

/// A calendar's end.
pub(super) fn delete(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Change(Action::DeleteCalendar { name: named(matched)? }))
}

/// One calendar.
pub(super) fn read(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Calendar(named(matched)?)))
}

/// All calendars.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    matched.parameters()?;
    Ok(Call::Read(Read::Calendars))
}

fn named(matched: &Matched<'_>) -> Result<Arc<str>, ApiError> {
    called(matched.text())
}

/// The name of a calendar.
pub(super) fn called(name: &str) -> Result<Arc<str>, ApiError> {
    check_calendar_name(name).map_err(|why| ApiError::bad_request(format!("calendar: {why}")))?;
    Ok(name.into())
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Calendar")]
pub(super) struct CalendarBody<'a> {
    #[schemars(with = "CalendarName")]
    name: &'a str,
    #[schemars(with = "Vec<Day>")]
    dates: Vec<String>,
    /// How many jobs follow it, where it was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<usize>,
}

impl<'a> CalendarBody<'a> {
    /// A calendar as it is.
    pub(super) fn of(name: &'a str, dates: &Dates) -> CalendarBody<'a> {
        shown(name, dates, None)
    }
}

fn shown<'a>(name: &'a str, dates: &Dates, jobs: Option<usize>) -> CalendarBody<'a> {
    CalendarBody { name, dates: dates.iter().map(|date| date.to_string()).collect(), jobs }
}

/// A calendar that was changed, with how many jobs follow it.
pub(super) fn changed(name: &str, dates: &Dates, jobs: usize) -> Response {
    ok(&shown(name, dates, Some(jobs)))
}

/// One calendar.
pub fn calendar(calendars: &Calendars, name: &str) -> Response {
    match calendars.get(name) {
        Some(found) => ok(&shown(name, &found.dates, None)),
        None => ApiError::no_such_calendar().response(),
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Calendars")]
pub(super) struct CalendarsBody<'a> {
    calendars: Vec<Summary<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CalendarSummary")]
pub(super) struct Summary<'a> {
    #[schemars(with = "CalendarName")]
    name: &'a str,
    /// How many there are.
    dates: usize,
    #[schemars(with = "Option<Day>")]
    first: Option<String>,
    #[schemars(with = "Option<Day>")]
    last: Option<String>,
}

/// Every calendar, in the order of their names, without its dates: those may be many.
pub fn calendars(calendars: &Calendars) -> Response {
    let text = |date: Option<Date>| date.map(|date| date.to_string());
    let summaries = calendars.iter().map(|(name, dates)| Summary {
        name,
        dates: dates.len(),
        first: text(dates.iter().next()),
        last: text(dates.iter().last()),
    });
    ok(&CalendarsBody { calendars: summaries.collect() })
}
