//! Owns when a job is due as clients write it: a schedule or one instant, in which zone, within which bounds, without
//! which dates, how spread.
//! It must not know what an instant of a schedule is: `schedule` does.

use std::sync::Arc;

use chrono::{DateTime, Timelike, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::shortened;
use super::shapes::{Choice, NameOf};
use super::{Context, FieldError, bounded};
use crate::limits::{JOB_CALENDARS_MAX, OWN_DATES_MAX, RUN_AFTER_MAX, SEED_END, SPREAD_MAX_S};
use crate::schedule::{Dates, Dst, Gap, NamedDates, Overlap, Rule, Schedule, Terms, Zone};
use crate::time::{Instant, WallUs};

/// The members that say when a job is due. Nothing of them is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// A cron expression or an `@` word. Exactly one of this, `run_at` and `run_after_ms` is said.
    pub schedule: Option<String>,
    /// One instant, a whole second, ISO 8601 with `Z` or an offset.
    pub run_at: Option<String>,
    /// The same as a time from the request on, rounded up to a second.
    pub run_after_ms: Option<u64>,
    /// An IANA name. Left out: what the server was told.
    pub time_zone: Option<String>,
    /// What becomes of fixed times when the clock is changed.
    pub dst: Option<DstDefinition>,
    /// All instants are moved by the same part of so many seconds. Left out: none is.
    pub spread_seconds: Option<u64>,
    /// What chooses that part, and the values of `~`. Left out: random.
    pub spread_seed: Option<u64>,
    /// No instant before this one.
    pub starts_at: Option<String>,
    /// No instant after this one.
    pub ends_at: Option<String>,
    /// Dates of the zone that are left out.
    pub exclude_dates: Option<Vec<String>>,
    /// Calendars whose dates are left out.
    pub exclude_calendars: Option<Vec<String>>,
}

/// What becomes of fixed times that a change of the clock skips or shows twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object with gap and overlap")]
#[schemars(rename = "Dst")]
pub struct DstDefinition {
    /// `run_after` (if left out) or `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NameOf<Gap>>")]
    gap: Option<String>,
    /// `first` (if left out), `last` or `both`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<NameOf<Overlap>>")]
    overlap: Option<String>,
}

/// The same as [`RUN_AFTER_MAX`].
pub(super) const RUN_AFTER_MAX_MS: u64 = RUN_AFTER_MAX.as_secs() * 1_000;

/// Whether the seed of a schedule was drawn for it, not said with it. It is no part of what a job is: no two jobs differ
/// by it alone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drawn(pub(super) bool);

impl PartialEq for Drawn {
    fn eq(&self, _: &Drawn) -> bool {
        true
    }
}

impl Eq for Drawn {}

impl Timing {
    /// What the members mean together.
    ///
    /// # Errors
    /// Names the member that is wrong, and what was expected.
    pub fn compile(&self, context: &Context<'_>) -> Result<Schedule, FieldError> {
        self.compile_and_tell(context).map(|(schedule, _)| Arc::unwrap_or_clone(schedule))
    }

    /// The same, and whether a seed was drawn for it.
    pub(super) fn compile_and_tell(&self, context: &Context<'_>) -> Result<(Arc<Schedule>, Drawn), FieldError> {
        let plain = Terms::plain(self.rule(context)?);
        let mut terms = Terms {
            zone: self.zone(context)?,
            dst: self.dst.as_ref().map_or(Ok(Dst::default()), DstDefinition::compile)?,
            seed: self.spread_seed.map(|seed| bounded("spreadSeed", seed, 0, SEED_END - 1)).transpose()?,
            spread_s: spread(self.spread_seconds)?,
            starts_at: self.starts_at.as_deref().map(|text| instant("startsAt", text)).transpose()?,
            ends_at: self.ends_at.as_deref().map(|text| instant("endsAt", text)).transpose()?,
            exclude: self.dates()?,
            calendars: self.calendars(context)?,
            ..plain
        };
        if terms.starts_at.is_some_and(|start| terms.ends_at.is_some_and(|end| end < start)) {
            return Err(FieldError::new("endsAt", "expected a time that is not before startsAt"));
        }
        let drawn = Drawn(terms.seed.is_none() && terms.need_seed());
        if drawn.0 {
            terms.seed = context.seed;
        }
        let schedule = match context.compiled {
            Some(compiled) => compiled.compile(&terms, context.anchor),
            None => Schedule::compile(&terms, context.anchor).map(Arc::new),
        };
        let schedule = schedule
            // What is wrong with the whole is told of the member, what is wrong with a field of it names that.
            .map_err(|why| FieldError::new("schedule", why.to_string().trim_start_matches("schedule: ")))?;
        Ok((schedule, drawn))
    }

    /// The members that a schedule is stored and answered with.
    pub fn define(schedule: &Schedule) -> Timing {
        let Terms { rule, zone, dst, seed, spread_s, starts_at, ends_at, exclude, calendars } = schedule.terms();
        let (schedule, run_at) = match rule {
            Rule::Text(text) => (Some(text.into()), None),
            Rule::At(instant) => (None, Some(instant.to_string())),
        };
        let texts = |texts: Vec<String>| (!texts.is_empty()).then_some(texts);
        Timing {
            schedule,
            run_at,
            run_after_ms: None,
            time_zone: (!zone.is_utc()).then(|| zone.name().to_owned()),
            dst: DstDefinition::define(dst),
            spread_seconds: (spread_s > 0).then_some(spread_s.into()),
            spread_seed: seed,
            starts_at: starts_at.map(|at| at.to_string()),
            ends_at: ends_at.map(|at| at.to_string()),
            exclude_dates: texts(exclude.iter().map(|date| date.to_string()).collect()),
            exclude_calendars: texts(calendars.iter().map(|calendar| calendar.name.to_string()).collect()),
        }
    }

    fn rule(&self, context: &Context<'_>) -> Result<Rule, FieldError> {
        match (&self.schedule, &self.run_at, self.run_after_ms) {
            (Some(text), None, None) => Ok(Rule::Text(text.trim_ascii().into())),
            (None, Some(text), None) => instant("runAt", text).map(Rule::At),
            (None, None, Some(after_ms)) => run_after(after_ms, context.now).map(Rule::At),
            (None, None, None) => {
                Err(FieldError::new("schedule", "expected a schedule, or runAt or runAfterMs in its place"))
            }
            _ => {
                Err(FieldError::new("schedule", "expected exactly one of schedule, runAt and runAfterMs, got several"))
            }
        }
    }

    fn zone(&self, context: &Context<'_>) -> Result<Zone, FieldError> {
        let Some(name) = &self.time_zone else { return Ok(context.zone.cloned().unwrap_or_default()) };
        match context.zones {
            Some(zones) => zones.get(name).map_err(|why| FieldError::new("timeZone", why.message())),
            None if name == "UTC" => Ok(Zone::UTC),
            None => Err(FieldError::unknown_name("timeZone", "\"UTC\"", name)),
        }
    }

    fn dates(&self) -> Result<Dates, FieldError> {
        let texts = self.exclude_dates.as_deref().unwrap_or_default();
        Dates::parse(texts.iter().map(String::as_str), OWN_DATES_MAX)
            .map_err(|why| FieldError::new("excludeDates", why))
    }

    fn calendars(&self, context: &Context<'_>) -> Result<Box<[NamedDates]>, FieldError> {
        let member = "excludeCalendars";
        let mut names = self.exclude_calendars.clone().unwrap_or_default();
        if names.len() > JOB_CALENDARS_MAX {
            return Err(FieldError::new(
                member,
                format_args!("expected at most {JOB_CALENDARS_MAX} names, got {}", names.len()),
            ));
        }
        names.sort_unstable();
        names.dedup();
        let find = |name: &String| match context.calendars {
            Some(calendars) => calendars.get(name).ok_or_else(|| {
                FieldError::new(
                    member,
                    format_args!("expected names of calendars, but there is none called {:?}", shortened(name)),
                )
            }),
            None => Ok(NamedDates { name: name.as_str().into(), dates: Arc::default() }),
        };
        names.iter().map(find).collect()
    }
}

impl Choice for Gap {
    fn names() -> Vec<&'static str> {
        Gap::ALL.map(Gap::name).into()
    }
}

impl Choice for Overlap {
    fn names() -> Vec<&'static str> {
        Overlap::ALL.map(Overlap::name).into()
    }
}

impl DstDefinition {
    fn compile(&self) -> Result<Dst, FieldError> {
        let gap = self.gap.as_deref().map(|name| {
            let found = Gap::ALL.into_iter().find(|gap| gap.name() == name);
            found.ok_or_else(|| FieldError::unknown_name("dst.gap", "\"run_after\" or \"skip\"", name))
        });
        let overlap = self.overlap.as_deref().map(|name| {
            let found = Overlap::ALL.into_iter().find(|overlap| overlap.name() == name);
            found.ok_or_else(|| FieldError::unknown_name("dst.overlap", "\"first\", \"last\" or \"both\"", name))
        });
        Ok(Dst { gap: gap.transpose()?.unwrap_or_default(), overlap: overlap.transpose()?.unwrap_or_default() })
    }

    fn define(dst: Dst) -> Option<DstDefinition> {
        let gap = (dst.gap != Gap::default()).then(|| dst.gap.name().to_owned());
        let overlap = (dst.overlap != Overlap::default()).then(|| dst.overlap.name().to_owned());
        (dst != Dst::default()).then_some(DstDefinition { gap, overlap })
    }
}

fn spread(seconds: Option<u64>) -> Result<u32, FieldError> {
    let Some(seconds) = seconds else { return Ok(0) };
    let seconds = bounded("spreadSeconds", seconds, 1, SPREAD_MAX_S.into())?;
    Ok(u32::try_from(seconds).expect("it is bounded"))
}

fn run_after(after_ms: u64, now: WallUs) -> Result<Instant, FieldError> {
    let after_ms = i64::try_from(bounded("runAfterMs", after_ms, 1, RUN_AFTER_MAX_MS)?).expect("it is bounded");
    let at_us = now.0.saturating_add(after_ms * 1_000);
    let second = at_us.div_euclid(1_000_000);
    Ok(Instant::from_secs(if at_us.rem_euclid(1_000_000) == 0 { second } else { second + 1 }))
}

/// Reads a whole second in ISO 8601, with `Z` or an offset.
///
/// # Errors
/// Names the member, and says what was expected.
pub fn instant(member: &'static str, text: &str) -> Result<Instant, FieldError> {
    let fits = |at: &DateTime<Utc>| {
        let second = Instant::from_secs(at.timestamp());
        at.nanosecond() == 0 && (Instant::FIRST..=Instant::LAST).contains(&second)
    };
    let at = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()).filter(fits);
    at.map(|at| Instant::from_secs(at.timestamp())).ok_or_else(|| {
        let expected = "a whole second with Z or an offset, as in 2026-12-31T09:00:00+01:00, of 1970-2099";
        FieldError::unknown_name(member, expected, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Calendars, Zones};

    const NOW: WallUs = WallUs(1_767_225_600_250_000);

    fn text(schedule: &str) -> Timing {
        Timing { schedule: Some(schedule.to_owned()), ..Timing::default() }
    }

    fn compile(timing: &Timing) -> Result<Schedule, FieldError> {
        let (zones, mut calendars) = (Zones::bundled(), Calendars::default());
        calendars.insert("de", Arc::default()).expect("a calendar");
        let context = Context::at(NOW.floor());
        timing.compile(&Context {
            now: NOW,
            zones: Some(&zones),
            calendars: Some(&calendars),
            seed: Some(7),
            ..context
        })
    }

    #[test]
    fn all_members_come_back_from_what_they_mean() {
        let full = Timing {
            time_zone: Some("Europe/Berlin".to_owned()),
            dst: DstDefinition::define(Dst { gap: Gap::Skip, overlap: Overlap::Both }),
            spread_seconds: Some(600),
            spread_seed: Some((1 << 53) - 1),
            starts_at: Some("2026-01-01T00:00:00Z".to_owned()),
            ends_at: Some("2026-12-31T00:00:00Z".to_owned()),
            exclude_dates: Some(vec!["2026-12-25".to_owned()]),
            exclude_calendars: Some(vec!["de".to_owned()]),
            ..text("0 ~ 9 * * *")
        };
        let at = Timing { run_at: Some("2026-01-01T00:00:00Z".to_owned()), ..Timing::default() };
        let second = full.starts_at.clone();
        let one_second = Timing { starts_at: second.clone(), ends_at: second, ..text("@daily") };
        for timing in [full, one_second, text("@every 90s"), at] {
            assert_eq!(Timing::define(&compile(&timing).expect("valid")), timing);
        }
    }

    #[test]
    fn times_are_told_in_one_form() {
        let timing = Timing {
            starts_at: Some("2026-01-01T01:00:00+01:00".to_owned()),
            time_zone: Some("us/eastern".to_owned()),
            ..text(" @daily ")
        };
        let told = Timing::define(&compile(&timing).expect("valid"));
        assert_eq!(told.starts_at.as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(told.time_zone.as_deref(), Some("US/Eastern"));
        assert_eq!(told.schedule.as_deref(), Some("@daily"));
    }

    #[test]
    fn a_time_from_now_on_is_rounded_up_to_a_second() {
        for (after_ms, at) in [(1, "01"), (749, "01"), (750, "01"), (751, "02"), (1_750, "02"), (60_000, "61")] {
            let timing = Timing { run_after_ms: Some(after_ms), ..Timing::default() };
            let told = Timing::define(&compile(&timing).expect("valid"));
            let expected =
                if at == "61" { "2026-01-01T00:01:01Z".to_owned() } else { format!("2026-01-01T00:00:{at}Z") };
            assert_eq!(told.run_at, Some(expected), "{after_ms} ms");
        }
    }

    #[test]
    fn only_so_many_calendars_are_left_out() {
        let of = |count: usize| Timing { exclude_calendars: Some(vec!["de".to_owned(); count]), ..text("@daily") };
        let told = Timing::define(&compile(&of(JOB_CALENDARS_MAX)).expect("so many there may be"));
        assert_eq!(told.exclude_calendars, Some(vec!["de".to_owned()]), "once");
        for more in [1, 2] {
            let why = compile(&of(JOB_CALENDARS_MAX + more)).expect_err("too many").to_string();
            assert_eq!(why, format!("excludeCalendars: expected at most 8 names, got {}", 8 + more));
        }
    }

    #[test]
    fn a_seed_is_drawn_only_where_one_is_needed() {
        let seed = |timing: &Timing| compile(timing).expect("valid").terms().seed;
        assert_eq!(seed(&text("@daily")), None);
        assert_eq!(seed(&text("0 ~ 9 * * *")), Some(7));
        assert_eq!(seed(&Timing { spread_seconds: Some(5), ..text("@daily") }), Some(7));
        assert_eq!(seed(&Timing { spread_seed: Some(9), ..text("0 ~ 9 * * *") }), Some(9));
    }

    #[test]
    fn the_zone_of_the_server_counts_unless_another_is_named() {
        let zones = Zones::bundled();
        let zone = zones.get("Asia/Tokyo").expect("a zone");
        let context = Context { zones: Some(&zones), zone: Some(&zone), ..Context::at(Instant::FIRST) };
        let told = |timing: Timing| Timing::define(&timing.compile(&context).expect("valid")).time_zone;
        assert_eq!(told(text("@daily")).as_deref(), Some("Asia/Tokyo"));
        assert_eq!(told(Timing { time_zone: Some("utc".to_owned()), ..text("@daily") }), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        let one = |text: &str| Some(text.to_owned());
        let daily = || text("@daily");
        for (timing, why) in [
            (Timing::default(), "schedule: expected a schedule, or runAt or runAfterMs in its place"),
            (Timing { run_after_ms: Some(5), ..daily() }, "schedule: expected exactly one of schedule, runAt and"),
            (Timing { run_at: one("2026-01-01"), ..Timing::default() }, "runAt: expected a whole second with Z or"),
            (Timing { run_at: one("2026-01-01T00:00:00.5Z"), ..Timing::default() }, "runAt: expected a whole second"),
            (Timing { run_at: one("2026-01-01T00:00:00"), ..Timing::default() }, "runAt: expected a whole second"),
            (Timing { run_at: one("2150-01-01T00:00:00Z"), ..Timing::default() }, "runAt: expected a whole second"),
            (
                Timing { run_after_ms: Some(0), ..Timing::default() },
                "runAfterMs: expected a number from 1 to 31622400000",
            ),
            (
                Timing { time_zone: one("Europe/Berln"), ..daily() },
                "timeZone: expected an IANA name such as Europe/Berlin, got",
            ),
            (Timing { spread_seconds: Some(0), ..daily() }, "spreadSeconds: expected a number from 1 to 86400, got 0"),
            (
                Timing { spread_seed: Some(1 << 53), ..daily() },
                "spreadSeed: expected a number from 0 to 9007199254740991",
            ),
            (Timing { starts_at: one("now"), ..daily() }, "startsAt: expected a whole second"),
            (
                Timing { starts_at: one("2026-01-02T00:00:00Z"), ends_at: one("2026-01-01T00:00:00Z"), ..daily() },
                "endsAt: expected a time that is not before startsAt",
            ),
            (
                Timing { exclude_dates: Some(vec!["25.12.2026".to_owned()]), ..daily() },
                "excludeDates: expected dates of",
            ),
            (
                Timing { exclude_calendars: Some(vec!["fr".to_owned()]), ..daily() },
                "excludeCalendars: expected names of calendars, but there is none called \"fr\"",
            ),
            (text("0 0 25 * * *"), "schedule: hour: expected 0-23"),
        ] {
            let error = compile(&timing).expect_err(why).to_string();
            assert!(error.starts_with(why), "{error}");
        }
        for (definition, why) in [
            (r#"{"gap":"never"}"#, r#"dst.gap: expected "run_after" or "skip", got "never""#),
            (r#"{"overlap":"none"}"#, r#"dst.overlap: expected "first", "last" or "both", got "none""#),
        ] {
            let dst = serde_json::from_str(definition).expect("a definition");
            assert_eq!(compile(&Timing { dst: Some(dst), ..daily() }).expect_err(why).to_string(), why);
        }
    }
}
