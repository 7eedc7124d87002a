//! Owns times as people type and read them: with an offset, local, or so long from now.
//! It must not know what a time is for.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{RoundMode, Span, Timestamp, TimestampRound, Unit, ZonedDateTime};

use super::failure::Failure;

/// A time as typed, as the API takes it: `2026-12-31T09:00:00Z` as it stands, without an offset in the zone that times are
/// shown in, `now`, or from now on as `+2h` and `-1d`.
///
/// # Errors
/// It is none of these.
pub(crate) fn read(flag: &str, typed: &str, zone: &TimeZone) -> Result<String, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "{flag}: expected a time such as 2026-12-31T09:00:00Z, '2026-12-31 09:00' (local), +2h, -1d or now, got {typed:?}"
        ))
    };
    let text = typed.trim();
    if text.parse::<Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    let at = if let Some(away) = text.strip_prefix(['+', '-']) {
        let span: Span = away.parse().map_err(|_| wrong())?;
        let now = ZonedDateTime::new(Timestamp::now(), zone.clone());
        let then = if text.starts_with('-') { now.checked_sub(span) } else { now.checked_add(span) };
        then.map_err(|_| wrong())?.timestamp()
    } else if text == "now" {
        Timestamp::now()
    } else {
        let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from));
        civil.and_then(|civil| zone.to_timestamp(civil)).map_err(|_| wrong())?
    };
    let whole = at.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor)).map_err(|_| wrong())?;
    Ok(whole.to_string())
}

/// A time of the API in a zone, so that it can be typed again.
pub(crate) fn show(text: &str, zone: &TimeZone) -> String {
    let Ok(at) = text.parse::<Timestamp>() else { return text.to_owned() };
    let shown = ZonedDateTime::new(at, zone.clone());
    let form = match (shown.offset().is_zero(), at.subsec_nanosecond() == 0) {
        (true, true) => "%Y-%m-%dT%H:%M:%SZ",
        (true, false) => "%Y-%m-%dT%H:%M:%S%.3fZ",
        (false, true) => "%Y-%m-%dT%H:%M:%S%:z",
        (false, false) => "%Y-%m-%dT%H:%M:%S%.3f%:z",
    };
    shown.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;

    use super::*;

    #[test]
    fn times_are_read_as_people_type_them() {
        let zone = TimeZone::fixed(Offset::constant(2));
        for (typed, expected) in [
            ("2026-12-31T09:00:00Z", "2026-12-31T09:00:00Z"),
            ("2026-12-31T09:00:00+05:45", "2026-12-31T09:00:00+05:45"),
            ("2026-12-31T09:00", "2026-12-31T07:00:00Z"),
            ("2026-12-31 09:00:05", "2026-12-31T07:00:05Z"),
            ("2026-12-31", "2026-12-30T22:00:00Z"),
        ] {
            assert_eq!(read("--at", typed, &zone).expect(typed), expected, "{typed}");
        }
        let away = |typed| {
            let at: Timestamp = read("--at", typed, &zone).expect(typed).parse().expect("it is a time");
            at.duration_since(Timestamp::now()).as_secs()
        };
        assert!((-2..=0).contains(&away("now")), "{}", away("now"));
        assert!((7190..=7200).contains(&away("+2h")) && (-90_010..=-90_000).contains(&away("-1d1h")));
        for wrong in ["", "9", "2h", "+", "+x", "tomorrow", "2026-13-01", "+99999999999y"] {
            assert!(read("--at", wrong, &zone).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_can_be_typed_again() {
        let zone = TimeZone::fixed(Offset::constant(2));
        assert_eq!(show("2026-12-31T07:00:00Z", &zone), "2026-12-31T09:00:00+02:00");
        assert_eq!(show("2026-12-31T07:00:00.25Z", &TimeZone::UTC), "2026-12-31T07:00:00.250Z");
        assert_eq!(show("never", &zone), "never");
    }
}
