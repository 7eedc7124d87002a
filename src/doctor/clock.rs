//! Owns the look at the clock: whether somebody keeps it right, and the age of the rules by which zones read it.
//! It must not guess: what nobody says is not known.

use std::fs;

use super::Finding;
use super::asking;
use crate::clock;
use crate::limits::CLOCK_OFFSET_MAX;
use crate::schedule::Zones;
use crate::server;

/// What systemd-timesyncd touches whenever it has set the clock.
const TIMESYNC: &str = "/run/systemd/timesync/synchronized";

const CLOCK: &str = "clock";
const ZONES: &str = "zone data";
const SYNCHRONISE: &str = "everything fires by it: run chrony or systemd-timesyncd (timedatectl set-ntp true)";

/// Whether the clock is kept right, by whoever knows: chrony, systemd (which asks the kernel), or what timesyncd left.
pub(super) fn synchronised() -> Finding {
    let chrony = || asking::program("chronyc", &["-c", "tracking"]).and_then(|text| of_chrony(&text));
    let systemd = || asking::program("timedatectl", &["show", "--property=NTPSynchronized", "--value"]);
    let systemd = || systemd().and_then(|text| of_systemd(text.trim()));
    let timesyncd =
        || fs::exists(TIMESYNC).unwrap_or(false).then(|| Finding::ok(CLOCK, "systemd-timesyncd has set it"));
    chrony().or_else(systemd).or_else(timesyncd).unwrap_or_else(|| {
        Finding::warn(
            CLOCK,
            "not known: neither chrony nor systemd answers here",
            "in a container look at its host; elsewhere run chrony or systemd-timesyncd",
        )
    })
}

/// chronyc(1), "tracking": a line with commas, of which the fifth is the offset in seconds and the last how it stands.
fn of_chrony(text: &str) -> Option<Finding> {
    let fields: Vec<&str> = text.trim().split(',').collect();
    let offset: f64 = fields.get(4)?.parse().ok()?;
    let (state, offset_ms) = (*fields.last()?, offset.abs() * 1_000.0);
    let found = format!("{offset_ms:.3} ms off, says chrony");
    let finding = if state == "Not synchronised" {
        Finding::fail(CLOCK, "not synchronised, says chrony", "chronyc sources -v shows why no server serves")
    } else if offset.abs() > CLOCK_OFFSET_MAX.as_secs_f64() {
        Finding::fail(CLOCK, found, "chronyc makestep sets it at once; jobs wait or catch up as after any step")
    } else {
        Finding::ok(CLOCK, format!("synchronised, {found}"))
    };
    Some(finding.with(&[("offsetMs", offset_ms)]))
}

fn of_systemd(answer: &str) -> Option<Finding> {
    match answer {
        "yes" => Some(Finding::ok(CLOCK, "synchronised, says timedatectl")),
        "no" => Some(Finding::fail(CLOCK, "not synchronised, says timedatectl", SYNCHRONISE)),
        _ => None,
    }
}

/// Which edition of the rules serves, and how old it is. A year has several, so one from before last year is old.
pub(super) fn zone_data() -> Finding {
    let (bundled, system) = (Zones::bundled_version(), server::system_zones());
    let year = clock::wall().to_string().get(..4).and_then(|year| year.parse().ok()).unwrap_or(0);
    judge_zones(bundled, system.as_deref(), year)
}

fn judge_zones(bundled: &str, system: Option<&str>, year: i32) -> Finding {
    let newest = system.filter(|system| *system > bundled).unwrap_or(bundled);
    let of_system = system
        .map_or_else(|| "this machine has none that says".to_owned(), |system| format!("this machine has {system}"));
    let found = format!("{newest} serves: built in is {bundled}, {of_system}");
    let is_old = newest.get(..4).and_then(|text| text.parse::<i32>().ok()).is_none_or(|edition| edition < year - 1);
    if is_old {
        let advice =
            "zones may have changed since: update the machine's zone data (package tzdata) or Punctual, and start anew";
        return Finding::warn(ZONES, found, advice);
    }
    Finding::ok(ZONES, found)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn what_chrony_and_systemd_say_is_understood() {
        let line = |offset: &str, state: &str| {
            format!("C0A80001,time.example,3,1764410000.123,{offset},0.0,0.0,1.2,0.0,0.1,0.02,0.001,64.2,{state}\n")
        };
        for (offset, state, level) in [
            ("-0.000012345", "Normal", Level::Ok),
            ("0.049", "Insert second", Level::Ok),
            ("-0.7", "Normal", Level::Fail),
            ("0.000000000", "Not synchronised", Level::Fail),
        ] {
            let finding = of_chrony(&line(offset, state)).expect("it is understood");
            assert_eq!(finding.level, level, "{finding:?}");
        }
        assert_eq!(of_chrony("506 Cannot talk to daemon"), None);
        assert_eq!(of_systemd("yes").map(|finding| finding.level), Some(Level::Ok));
        assert_eq!(of_systemd("no").map(|finding| finding.level), Some(Level::Fail));
        assert_eq!(of_systemd(""), None);
    }

    #[test]
    fn rules_are_old_after_a_year_whoever_has_them() {
        for (bundled, system, newest, level) in [
            ("2026a", Some("2026b"), "2026b serves", Level::Ok),
            ("2026b", Some("2025a"), "2026b serves", Level::Ok),
            ("2025b", None, "2025b serves", Level::Ok),
            ("2024b", None, "2024b serves", Level::Warn),
            ("2024a", Some("2024b"), "2024b serves", Level::Warn),
        ] {
            let finding = judge_zones(bundled, system, 2026);
            assert!(finding.level == level && finding.found.starts_with(newest), "{finding:?}");
        }
    }
}
