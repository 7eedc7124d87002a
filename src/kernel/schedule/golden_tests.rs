//! Owns the golden tables: schedule texts with the instants they are due, and with the errors they give.
//! Must not compute what it expects; every line stands for itself.

use std::collections::HashSet;

use super::*;

fn instant(text: &str) -> Instant {
    let at = chrono::DateTime::parse_from_rfc3339(text).expect(text);
    Instant::from_secs(at.timestamp())
}

fn schedule(text: &str) -> Schedule {
    Schedule::parse(text, Zone::UTC, instant("2026-01-01T00:00:07Z")).expect(text)
}

fn error(text: &str) -> String {
    match Schedule::parse(text, Zone::UTC, Instant::FIRST) {
        Ok(_) => panic!("{text:?} is no error"),
        Err(error) => error.to_string(),
    }
}

/// Text, a moment, and the first three instants after it. 2026-01-01 is a Thursday.
#[rustfmt::skip] // One case, one line.
const DUE: &[(&str, &str, [&str; 3])] = &[
    // Six fields.
    ("* * * * * *", "2026-01-01T00:00:00Z", ["2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:03Z"]),
    ("*/20 * * * * *", "2026-12-31T23:59:30Z", ["2026-12-31T23:59:40Z", "2027-01-01T00:00:00Z", "2027-01-01T00:00:20Z"]),
    ("31 10 1 * * *", "2026-01-01T01:10:30Z", ["2026-01-01T01:10:31Z", "2026-01-02T01:10:31Z", "2026-01-03T01:10:31Z"]),
    ("31 10 1 * * *", "2026-01-01T01:10:31Z", ["2026-01-02T01:10:31Z", "2026-01-03T01:10:31Z", "2026-01-04T01:10:31Z"]),
    ("0 0 9 * * 1-5", "2026-01-01T12:00:00Z", ["2026-01-02T09:00:00Z", "2026-01-05T09:00:00Z", "2026-01-06T09:00:00Z"]),
    ("0 0 9 * * FRI-MON", "2026-01-01T12:00:00Z", ["2026-01-02T09:00:00Z", "2026-01-03T09:00:00Z", "2026-01-04T09:00:00Z"]),
    ("0 0 0 * * 0", "2026-01-01T00:00:00Z", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z", "2026-01-18T00:00:00Z"]),
    ("0 0 0 * * 7", "2026-01-01T00:00:00Z", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z", "2026-01-18T00:00:00Z"]),
    ("0 0 22-2/2 * * *", "2026-01-01T02:00:00Z", ["2026-01-01T22:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T02:00:00Z"]),
    ("0 0 0 1 NOV-FEB ?", "2026-01-01T00:00:00Z", ["2026-02-01T00:00:00Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"]),
    ("0 0 0 13 * fri", "2026-01-01T00:00:00Z", ["2026-02-13T00:00:00Z", "2026-03-13T00:00:00Z", "2026-11-13T00:00:00Z"]),
    ("0 0 0 31 * *", "2026-01-31T00:00:00Z", ["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z", "2026-07-31T00:00:00Z"]),
    ("0 0 0 29 2 *", "2026-01-01T00:00:00Z", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z", "2036-02-29T00:00:00Z"]),
    ("0 0 0 29 2 *", "1999-01-01T00:00:00Z", ["2000-02-29T00:00:00Z", "2004-02-29T00:00:00Z", "2008-02-29T00:00:00Z"]),
    ("5/25 0 0 1 1 ?", "2026-01-01T00:00:00Z", ["2026-01-01T00:00:05Z", "2026-01-01T00:00:30Z", "2026-01-01T00:00:55Z"]),
    ("0 0 0 */99 * *", "2026-01-01T00:00:00Z", ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"]),
    // Days told by their place in the month.
    ("0 0 9 LW * *", "2026-01-01T00:00:00Z", ["2026-01-30T09:00:00Z", "2026-02-27T09:00:00Z", "2026-03-31T09:00:00Z"]),
    ("0 0 9 L-3,1 * *", "2026-01-01T09:00:00Z", ["2026-01-28T09:00:00Z", "2026-02-01T09:00:00Z", "2026-02-25T09:00:00Z"]),
    ("0 0 9 15W 2,8,11 ?", "2026-01-01T00:00:00Z", ["2026-02-16T09:00:00Z", "2026-08-14T09:00:00Z", "2026-11-16T09:00:00Z"]),
    ("0 0 9 ? * MON#1,fril", "2026-01-01T00:00:00Z", ["2026-01-05T09:00:00Z", "2026-01-30T09:00:00Z", "2026-02-02T09:00:00Z"]),
    ("0 0 0 L * 7#5", "2026-01-01T00:00:00Z", ["2026-05-31T00:00:00Z", "2027-01-31T00:00:00Z", "2027-10-31T00:00:00Z"]),
    ("0 0 L * SUN#1", "2026-01-01T00:00:00Z", ["2026-01-04T00:00:00Z", "2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"]),
    // Seven fields.
    ("0 0 0 1 1 * 2030/10", "2026-01-01T00:00:00Z", ["2030-01-01T00:00:00Z", "2040-01-01T00:00:00Z", "2050-01-01T00:00:00Z"]),
    ("59 59 23 31 12 ? 2027,2029,2098-2099", "2028-01-01T00:00:00Z", ["2029-12-31T23:59:59Z", "2098-12-31T23:59:59Z", "2099-12-31T23:59:59Z"]),
    // Five fields: either day, unless one starts with a star.
    ("0 0 13 * 5", "2026-01-01T00:00:00Z", ["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"]),
    ("0 0 */10 * 5", "2026-01-01T00:00:00Z", ["2026-05-01T00:00:00Z", "2026-07-31T00:00:00Z", "2026-08-21T00:00:00Z"]),
    ("0 0 13 * ?", "2026-01-01T00:00:00Z", ["2026-01-13T00:00:00Z", "2026-02-13T00:00:00Z", "2026-03-13T00:00:00Z"]),
    ("0 0 30 2 1", "2026-01-01T00:00:00Z", ["2026-02-02T00:00:00Z", "2026-02-09T00:00:00Z", "2026-02-16T00:00:00Z"]),
    ("0 0 1-31 * 1", "2026-01-01T00:00:00Z", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"]),
    ("*/15 9-17 * * 1-5", "2026-01-02T17:30:00Z", ["2026-01-02T17:45:00Z", "2026-01-05T09:00:00Z", "2026-01-05T09:15:00Z"]),
    // Words.
    ("@hourly", "2026-01-01T00:00:00Z", ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"]),
    ("@daily", "2026-01-01T00:00:00Z", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"]),
    ("@Midnight", "2026-01-01T00:00:00Z", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"]),
    ("@weekly", "2026-01-01T00:00:00Z", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z", "2026-01-18T00:00:00Z"]),
    ("@monthly", "2026-01-01T00:00:00Z", ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"]),
    ("@yearly", "2026-01-01T00:00:00Z", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]),
    ("@annually", "2026-01-01T00:00:00Z", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]),
    ("@every 90s", "2026-01-01T00:00:07Z", ["2026-01-01T00:01:37Z", "2026-01-01T00:03:07Z", "2026-01-01T00:04:37Z"]),
    ("@every 1d12h", "2025-12-31T00:00:00Z", ["2026-01-01T00:00:07Z", "2026-01-02T12:00:07Z", "2026-01-04T00:00:07Z"]),
];

type ZonedCase = (&'static str, &'static str, Gap, Overlap, &'static str, [&'static str; 3]);

/// Text, zone, gap, overlap, a moment, and the first three instants after it. The clocks of Berlin go forward at
/// 2026-03-29T01:00:00Z, from 2 to 3, and back at 2026-10-25T01:00:00Z, from 3 to 2; those of Lord Howe half an hour, forward
/// at 2026-10-03T15:30:00Z and back at 2026-04-04T15:00:00Z; in Apia there was no 2011-12-30.
#[rustfmt::skip] // One case, one line.
const ZONED: &[ZonedCase] = &[
    ("0 30 2 * * *", "Europe/Berlin", Gap::RunAfter, Overlap::First, "2026-03-28T00:00:00Z", ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
    ("0 30 2 * * *", "Europe/Berlin", Gap::Skip, Overlap::First, "2026-03-28T00:00:00Z", ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]),
    ("0 0,30 2,3 * * *", "Europe/Berlin", Gap::RunAfter, Overlap::First, "2026-03-28T03:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:00:00Z"]),
    ("0 30 2 * * *", "Europe/Berlin", Gap::RunAfter, Overlap::First, "2026-10-24T12:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"]),
    ("0 30 2 * * *", "Europe/Berlin", Gap::RunAfter, Overlap::Last, "2026-10-24T12:00:00Z", ["2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"]),
    ("0 30 2 * * *", "Europe/Berlin", Gap::RunAfter, Overlap::Both, "2026-10-24T12:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"]),
    ("0 0 3 * * *", "Europe/Berlin", Gap::RunAfter, Overlap::First, "2026-10-24T12:00:00Z", ["2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z", "2026-10-27T02:00:00Z"]),
    ("0 */30 * * * *", "Europe/Berlin", Gap::RunAfter, Overlap::First, "2026-03-29T00:29:00Z", ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]),
    ("0 0 */2 * * *", "Europe/Berlin", Gap::RunAfter, Overlap::First, "2026-03-28T23:00:00Z", ["2026-03-29T02:00:00Z", "2026-03-29T04:00:00Z", "2026-03-29T06:00:00Z"]),
    ("0 30 * * * *", "Europe/Berlin", Gap::RunAfter, Overlap::First, "2026-10-25T00:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]),
    ("0 15 2 * * *", "Australia/Lord_Howe", Gap::RunAfter, Overlap::First, "2026-10-02T16:00:00Z", ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z", "2026-10-05T15:15:00Z"]),
    ("0 45 1 * * *", "Australia/Lord_Howe", Gap::RunAfter, Overlap::Both, "2026-04-03T15:00:00Z", ["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z", "2026-04-05T15:15:00Z"]),
    ("0 0 9 * * *", "Pacific/Apia", Gap::RunAfter, Overlap::First, "2011-12-29T12:00:00Z", ["2011-12-29T19:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"]),
    ("0 0 0 29 2 *", "Pacific/Apia", Gap::RunAfter, Overlap::First, "2026-01-01T00:00:00Z", ["2028-02-28T11:00:00Z", "2032-02-28T11:00:00Z", "2036-02-28T11:00:00Z"]),
    ("@daily", "Asia/Kolkata", Gap::Skip, Overlap::Last, "2026-01-01T00:00:00Z", ["2026-01-01T18:30:00Z", "2026-01-02T18:30:00Z", "2026-01-03T18:30:00Z"]),
    ("* * * * * *", "Europe/Berlin", Gap::Skip, Overlap::First, "2026-10-25T00:59:58Z", ["2026-10-25T00:59:59Z", "2026-10-25T01:00:00Z", "2026-10-25T01:00:01Z"]),
    ("0-59 0-59 0-23 * * *", "Europe/Berlin", Gap::Skip, Overlap::First, "2026-10-25T00:59:58Z", ["2026-10-25T00:59:59Z", "2026-10-25T02:00:00Z", "2026-10-25T02:00:01Z"]),
];

#[test]
fn due_in_zones() {
    let zones = Zones::bundled();
    for (text, zone, gap, overlap, after, expected) in ZONED {
        let (gap, overlap) = (*gap, *overlap);
        let zone = zones.get(zone).expect(zone);
        let terms = Terms { zone, dst: Dst { gap, overlap }, ..Terms::plain(Rule::Text((*text).into())) };
        let schedule = Schedule::compile(&terms, Instant::FIRST).expect(text);
        let mut from = instant(after);
        for next in expected {
            let found = schedule.next_after(from).expect(text);
            assert_eq!(found.to_string(), *next, "{text} after {from}, {gap:?} {overlap:?}");
            from = found;
        }
    }
}

#[test]
fn due() {
    for (text, after, expected) in DUE {
        let schedule = schedule(text);
        let mut from = instant(after);
        for next in expected {
            let found = schedule.next_after(from).expect(text);
            assert_eq!(found.to_string(), *next, "{text} after {from}");
            from = found;
        }
    }
}

/// Text and the error it gives, whole.
#[rustfmt::skip] // One case, one line.
const ERRORS: &[(&str, &str)] = &[
    ("", "schedule: expected 5, 6 or 7 fields, or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually or @every with a duration, got nothing"),
    ("* * *", "schedule: expected 5, 6 or 7 fields separated by spaces, got 3"),
    ("* * * * * * * *", "schedule: expected 5, 6 or 7 fields separated by spaces, got 8"),
    ("0 0 25 * * *", r#"hour: expected 0-23, got "25""#),
    ("60 0 0 * * *", r#"second: expected 0-59, got "60""#),
    ("0 5-60 0 * * *", r#"minute: expected 0-59, got "60" in "5-60""#),
    ("0 0 0 32 * *", r#"day: expected 1-31, got "32""#),
    ("0 0 0 0 * *", r#"day: expected 1-31, got "0""#),
    ("0 0 0 * FOO *", r#"month: expected 1-12 or JAN-DEC, got "FOO""#),
    ("0 0 0 * * 8", r#"weekday: expected 0-7 or SUN-SAT, got "8""#),
    ("0 0 0 * * MONDAY", r#"weekday: expected 0-7 or SUN-SAT, got "MONDAY""#),
    ("0 0 0 * * * 2100", r#"year: expected 1970-2099, got "2100""#),
    ("0 0 0 * * * 2030-2020", r#"year: expected a range from low to high, got "2030-2020""#),
    // Junk.
    ("000000 * * * * *", r#"second: expected 0-59, got "000000""#),
    ("0 1,,2 * * * *", r#"minute: expected 0-59, got "" in "1,,2""#),
    ("0 1, * * * *", r#"minute: expected 0-59, got "" in "1,""#),
    ("0 , * * * *", r#"minute: expected 0-59, got "" in ",""#),
    ("0 -5 * * * *", r#"minute: expected 0-59, got "" in "-5""#),
    ("0 +5 * * * *", r#"minute: expected 0-59, got "+5""#),
    ("0 5- * * * *", r#"minute: expected 0-59, got "" in "5-""#),
    ("0 1-2-3 * * * *", r#"minute: expected 0-59, got "2-3" in "1-2-3""#),
    ("0 *-5 * * * *", r#"minute: expected 0-59, got "*" in "*-5""#),
    ("0 ** * * * *", r#"minute: expected 0-59, got "**""#),
    ("0 99999999999999999999 * * * *", r#"minute: expected 0-59, got "99999999999999999999""#),
    ("0 */0 * * * *", r#"minute: expected a step of 1-9999, got "0" in "*/0""#),
    ("0 */ * * * *", r#"minute: expected a step of 1-9999, got "" in "*/""#),
    ("0 */5/5 * * * *", r#"minute: expected a step of 1-9999, got "5/5" in "*/5/5""#),
    ("0 */-5 * * * *", r#"minute: expected a step of 1-9999, got "-5" in "*/-5""#),
    ("0 */10000 * * * *", r#"minute: expected a step of 1-9999, got "10000" in "*/10000""#),
    ("0 /5 * * * *", r#"minute: expected 0-59, got "" in "/5""#),
    ("0 0 0 * * é", "schedule: expected printable ASCII, got 'é' at byte 10"),
    ("0 0 0 *\n* *", r"schedule: expected printable ASCII, got '\n' at byte 7"),
    // Other dialects.
    ("0 ? 0 * * *", r#"minute: expected 0-59, got "?" (? is allowed in day and weekday only)"#),
    ("0 0 0 L-31 * *", r#"day: expected L (the last day), L-1 to L-30, LW (the last working day) or 1W-31W (the working day nearest to one), got "L-31""#),
    ("0 0 0 1,32W * *", r#"day: expected L (the last day), L-1 to L-30, LW (the last working day) or 1W-31W (the working day nearest to one), got "32W""#),
    ("0 0 0 L/2 * *", r#"day: expected 1-31, got "L" in "L/2""#),
    ("0 0 0 HELLO * *", r#"day: expected 1-31, got "HELLO""#),
    ("0 0 0 * * MON#6", r#"weekday: expected a weekday with its place in the month, as in MON#1 (1-5) or FRIL (the last one), got "MON#6""#),
    ("0 0 0 * * MON-FRI#1", r#"weekday: expected a weekday with its place in the month, as in MON#1 (1-5) or FRIL (the last one), got "MON-FRI#1""#),
    ("0 0 0 * * L", r#"weekday: expected a weekday before L, as in SATL, the last Saturday, got "L""#),
    ("0 0 L * * *", r#"hour: expected 0-23, got "L""#),
    ("0 ~ 0 * * *", "minute: expected no ~, as there is no seed to choose a value by"),
    ("0 0 0 * * * ~", "year: expected no ~ (a value of every field but this one can be chosen with it)"),
    ("TZ=UTC 0 0 * * *", r#"zone: expected no zone within the schedule, got "TZ=UTC" (zones there are not supported)"#),
    ("CRON_TZ=Europe/Berlin 0 0 0 * * *", r#"zone: expected no zone within the schedule, got "CRON_TZ=Europe/Berlin" (zones there are not supported)"#),
    // Words.
    ("@reboot", r#"schedule: expected @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually or @every with a duration, got "@reboot""#),
    ("@hourly 5", r#"schedule: expected nothing after @hourly, got "5""#),
    ("@every", "schedule: expected one duration after @every, as in 1h30m, got 0"),
    ("@every 1h 30m", "schedule: expected one duration after @every, as in 1h30m, got 2"),
    ("@every 90", r#"schedule: expected whole numbers with d, h, m or s after @every, as in 1h30m, got "90""#),
    ("@every 1.5h", r#"schedule: expected whole numbers with d, h, m or s after @every, as in 1h30m, got "1.5h""#),
    ("@every 0s", r#"schedule: expected 1 second to 366 days after @every, got "0s""#),
    ("@every 367d", r#"schedule: expected 1 second to 366 days after @every, got "367d""#),
];

#[test]
fn errors() {
    for (text, expected) in ERRORS {
        assert_eq!(error(text), *expected, "{text:?}");
    }
    let long = "0,".repeat(crate::limits::SCHEDULE_LEN_MAX);
    assert_eq!(error(&long), "schedule: expected at most 1024 bytes, got 2048");
    let of_bytes = |count: usize| format!("*{}* * * *", " ".repeat(count - 8));
    assert_eq!(schedule(&of_bytes(1_024)).text().len(), 1_024);
    assert_eq!(error(&of_bytes(1_025)), "schedule: expected at most 1024 bytes, got 1025");
}

#[test]
fn never_due_and_exhausted() {
    for text in ["0 0 0 30 2 *", "0 0 30 2 *", "0 0 0 31 4,6,9,11 *", "0 0 0 29 2 * 2025-2027"] {
        assert_eq!(schedule(text).next_after(Instant::FIRST), None, "{text}");
    }
    let last = schedule("59 59 23 31 12 ? 2026");
    let due = instant("2026-12-31T23:59:59Z");
    assert_eq!(last.next_after(instant("2026-01-01T00:00:00Z")), Some(due));
    assert_eq!(last.next_after(due), None);
    assert_eq!(last.latest_in(due, Instant::LAST), None);
}

#[test]
fn every_moment_has_an_answer() {
    let first = Instant::FIRST;
    for text in ["* * * * * *", "* * * * *", "0 0 0 1 1 *", "0 0 1 1 5", "@every 1s"] {
        let schedule = Schedule::parse(text, Zone::UTC, Instant::from_secs(i64::MIN)).expect(text);
        let (early, late) = (Instant::from_secs(i64::MIN), Instant::from_secs(i64::MAX));
        assert_eq!(schedule.next_after(early), Some(first), "{text}");
        assert_eq!(schedule.next_after(Instant::LAST), None, "{text}");
        assert_eq!(schedule.next_after(late), None, "{text}");
        assert!(schedule.latest_in(early, late) > Some(first), "{text}");
        assert_eq!(schedule.latest_in(early, first), Some(first), "{text}");
        assert_eq!(schedule.latest_in(late, early), None, "{text}");
        assert_eq!(schedule.count_in(early, late, 7), Count::MoreThan(7), "{text}");
        assert_eq!(schedule.count_in(early, first, 1), Count::Exactly(1), "{text}");
        assert_eq!(schedule.count_in(early, first, 0), Count::MoreThan(0), "{text}");
        assert_eq!(schedule.count_in(late, early, 0), Count::Exactly(0), "{text}");
    }
}

#[test]
fn equal_when_text_zone_and_a_used_anchor_are() {
    let parse = |text, anchor| Schedule::parse(text, Zone::UTC, Instant::from_secs(anchor)).expect(text);
    let set = HashSet::from([
        parse("@hourly", 1),
        parse(" @hourly\t", 2),
        parse("* * * * * *", 1),
        parse("* * * * * *", 2),
        parse("@every 90s", 1),
        parse("@every 90s", 2),
        parse("@every  90s", 2),
    ]);
    assert_eq!(set.len(), 5);
    assert_eq!(parse(" @Hourly ", 1).text(), "@Hourly");
    assert_eq!(parse("@hourly", 1).zone(), Zone::UTC);
}
