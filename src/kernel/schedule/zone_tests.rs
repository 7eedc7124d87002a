//! Owns the tests of what the clock of one zone shows, and of what changes of it skip or show twice.
//! Must not compute what it expects; every line stands for itself.

use super::*;

fn instant(text: &str) -> Instant {
    let at = chrono::DateTime::parse_from_rfc3339(text).expect(text);
    Instant::from_secs(at.timestamp())
}

fn zone(name: &str) -> Zone {
    Zones::bundled().get(name).expect(name)
}

fn terms(text: &str, zone: Zone) -> Terms {
    Terms { zone, ..Terms::plain(Rule::Text(text.into())) }
}

/// The zone whose clock is so many seconds ahead of UTC at first, and from each of these instants on as many as it says.
fn made(first: i32, changes: &[(&str, i32)]) -> Zone {
    let count = |count: usize| u32::try_from(count).expect("few").to_be_bytes();
    // Zone data (TZif): without leap seconds, and with types of local time that are all called `ABC`.
    let header = |changes: usize| {
        let counts = [0, 0, 0, changes, changes + 1, 4].map(count);
        [&b"TZif2"[..], &[0; 15], &counts.concat()].concat()
    };
    let kind = |offset: i32| [&offset.to_be_bytes()[..], &[0, 0]].concat();
    let old = [header(0), kind(0), b"ABC\0".to_vec()].concat();
    let mut new = header(changes.len());
    new.extend(changes.iter().flat_map(|(at, _)| instant(at).as_secs().to_be_bytes()));
    new.extend((1..).take(changes.len()));
    new.extend(kind(first));
    new.extend(changes.iter().flat_map(|(_, offset)| kind(*offset)));
    new.extend(b"ABC\0\n\n");
    Zone::read("Test/Made", &[old, new].concat()).expect("zone data")
}

#[test]
fn local_times_have_the_offset_that_counts() {
    for (name, at, local) in [
        ("UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"),
        ("Europe/London", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"),
        ("Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T02:00:00+02:00"),
        ("Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-01T05:30:00+05:30"),
        ("America/New_York", "2026-01-01T00:00:00Z", "2025-12-31T19:00:00-05:00"),
        ("America/St_Johns", "2026-01-01T00:00:00Z", "2025-12-31T20:30:00-03:30"),
        ("Africa/Monrovia", "1970-01-01T00:00:00Z", "1969-12-31T23:15:30-00:44:30"),
    ] {
        assert_eq!(zone(name).local(instant(at)), local, "{name}");
    }
    assert_eq!(zone("Europe/Berlin").local(Instant::from_secs(i64::MAX)), "@9223372036854775807");
}

#[test]
fn the_first_and_the_last_change_of_a_clock_count() {
    let zone = made(3_600, &[("1970-01-02T00:00:00Z", 0), ("2099-12-31T12:00:00Z", 7_200)]);
    for (at, local) in [
        ("1970-01-01T00:00:00Z", "1970-01-01T01:00:00+01:00"),
        ("1970-01-01T23:59:59Z", "1970-01-02T00:59:59+01:00"),
        ("1970-01-02T00:00:00Z", "1970-01-02T00:00:00+00:00"),
        ("2099-12-31T11:59:59Z", "2099-12-31T11:59:59+00:00"),
        ("2099-12-31T12:00:00Z", "2099-12-31T14:00:00+02:00"),
        ("2099-12-31T23:59:59Z", "2100-01-01T01:59:59+02:00"),
    ] {
        assert_eq!(zone.local(instant(at)), local);
    }
}

#[test]
fn a_clock_before_the_horizon_counts_for_what_is_moved_into_it() {
    // It goes back by half a day, and shows the morning of the first day again. All instants are moved by 22:07:10.
    let zone = made(43_200, &[("1969-12-31T18:00:00Z", 0)]);
    let terms = Terms { seed: Some(0), spread_s: 86_400, ..terms("0 0 3 * * *", zone) };
    let schedule = Schedule::compile(&terms, Instant::FIRST).expect("valid");
    let first = schedule.next_after(Instant::from_secs(-1)).expect("it is daily");
    let second = schedule.next_after(first).expect("it is daily");
    assert_eq!([first, second].map(|at| at.to_string()), ["1970-01-01T13:07:10Z", "1970-01-03T01:07:10Z"]);
}

#[test]
fn a_change_skips_the_times_from_its_first_second_to_before_its_last() {
    // The clock goes forward at 02:00, to 03:00.
    let day = [("0 59 1", "00:59:00"), ("0 0 2", "01:00:00"), ("1 0 2", "01:00:00"), ("59 59 2", "01:00:00")];
    for (time, due) in day.into_iter().chain([("0 0 3", "01:00:00"), ("1 0 3", "01:00:01")]) {
        let schedule = Schedule::compile(&terms(&format!("{time} * * *"), zone("Europe/Berlin")), Instant::FIRST);
        let next = schedule.expect(time).next_after(instant("2026-03-28T12:00:00Z")).expect("it is daily");
        assert_eq!(next.to_string(), format!("2026-03-29T{due}Z"), "{time}");
    }
}

#[test]
fn a_clock_that_goes_forward_and_soon_back_shows_what_lies_between_twice() {
    // It goes on from 02:00 to 03:00, and from 03:30 to 02:30.
    let zone = made(0, &[("2026-06-01T02:00:00Z", 3_600), ("2026-06-01T02:30:00Z", 0)]);
    for (time, overlap, due) in [
        ("0 0 3", Overlap::First, &["02:00:00"][..]),
        ("0 0 3", Overlap::Last, &["03:00:00"]),
        ("0 0 3", Overlap::Both, &["02:00:00", "03:00:00"]),
        ("0 15 2", Overlap::Last, &["02:00:00"]),
        ("0 45 2", Overlap::First, &["02:00:00"]),
    ] {
        let dst = Dst { overlap, ..Dst::default() };
        let terms = Terms { dst, ..terms(&format!("{time} * * *"), zone.clone()) };
        let schedule = Schedule::compile(&terms, Instant::FIRST).expect(time);
        let preview = schedule.preview(instant("2026-06-01T00:00:00Z"), instant("2026-06-01T12:00:00Z"), 9);
        let found: Vec<String> = preview.instants.iter().map(|next| next.instant.to_string()).collect();
        let due: Vec<String> = due.iter().map(|time| format!("2026-06-01T{time}Z")).collect();
        assert_eq!(found, due, "{time} {overlap:?}");
    }
}

#[test]
fn zones_of_one_name_are_one_zone() {
    assert_eq!(zone("Europe/Berlin"), zone("europe/berlin"), "whichever table they are from");
    assert_eq!(made(0, &[]), made(3_600, &[]));
    let all = [zone("Europe/Berlin"), zone("Europe/Paris"), Zone::UTC];
    for (place, one) in all.iter().enumerate() {
        for (other_place, other) in all.iter().enumerate() {
            assert_eq!(one == other, place == other_place, "{one:?} {other:?}");
        }
    }
}

#[test]
fn what_is_shown_for_debugging_is_what_was_said_and_no_tables() {
    assert_eq!(format!("{:?} {:?}", zone("Europe/Berlin"), Zone::UTC), "Europe/Berlin UTC");
    let schedule = Schedule::compile(&terms("0 0 9 * * *", zone("Europe/Berlin")), Instant::FIRST).expect("valid");
    let shown = format!("{schedule:?}");
    assert!(shown.contains("0 0 9 * * *") && shown.contains("Europe/Berlin") && shown.len() < 400, "{shown}");
}
