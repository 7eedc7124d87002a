//! Owns reading the machine's own zone data, if it is newer than what this binary was built with.
//! It must not understand the rules of a zone, nor fail: without files the bundled data serves.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::schedule::Zones;

/// Where systems keep it.
const FOLDER: &str = "/usr/share/zoneinfo";
/// What a file of rules begins with.
const MAGIC: &[u8] = b"TZif";
/// No file of rules is larger.
const FILE_LEN_MAX: u64 = 1 << 20;
/// No line with an edition is longer.
const LINE_LEN_MAX: usize = 256;
/// No system has more names.
const FILES_MAX: usize = 4_000;
/// Folders that hold all names once more: by other rules, or for other programs.
const COPIES: [&str; 3] = ["posix", "right", "uclibc"];

/// The edition of the machine's own zones, if it says one, such as `2026f`.
pub fn system_zones() -> Option<String> {
    version_of(Path::new(FOLDER))
}

/// The newer of the machine's zones and the bundled ones.
pub(super) fn newest() -> Zones {
    let zones = newest_of(Path::new(FOLDER));
    tracing::debug!(version = zones.version(), source = zones.source().name(), "zone data");
    zones
}

fn newest_of(folder: &Path) -> Zones {
    match version_of(folder) {
        Some(version) if *version > *Zones::bundled_version() => {
            Zones::newer_of_bundled_and(&version, files_of(folder).into_iter())
        }
        Some(_) | None => Zones::bundled(),
    }
}

/// The edition, as the two files say it that systems have one of.
fn version_of(folder: &Path) -> Option<String> {
    let first_line = |name: &str| {
        let mut line = String::new();
        let file = fs::File::open(folder.join(name)).ok()?;
        BufReader::with_capacity(LINE_LEN_MAX, file).take(LINE_LEN_MAX as u64).read_line(&mut line).ok()?;
        Some(line.trim().to_owned())
    };
    let compact = first_line("tzdata.zi").and_then(|line| line.strip_prefix("# version ").map(str::to_owned));
    let version = compact.or_else(|| first_line("+VERSION"))?;
    // As 2026a; what looks different cannot be compared.
    let (year, release) = version.split_at_checked(4)?;
    let is_version =
        year.bytes().all(|byte| byte.is_ascii_digit()) && release.bytes().all(|byte| byte.is_ascii_lowercase());
    (is_version && !release.is_empty()).then_some(version)
}

/// Every name below a folder with its rules.
fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut files, mut folders) = (Vec::new(), vec![(folder.to_owned(), String::new())]);
    while let Some((path, prefix)) = folders.pop() {
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else { continue };
            // Follows links, which is how old names are kept.
            let Ok(kind) = fs::metadata(entry.path()) else { continue };
            let is_deep = prefix.matches('/').count() > 2;
            if kind.is_dir() && !is_deep && !COPIES.contains(&name.as_str()) {
                folders.push((entry.path(), format!("{name}/")));
            } else if kind.is_file() && kind.len() <= FILE_LEN_MAX && files.len() < FILES_MAX {
                let rules = fs::read(entry.path()).ok().filter(|rules| rules.starts_with(MAGIC));
                files.extend(rules.map(|rules| (name, rules)));
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::ZoneSource;

    /// A folder as systems have it, with one zone under three names.
    fn folder(version_file: &str, version: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        };
        // UTC, in 44 bytes of header and one type.
        let mut rules = b"TZif2".to_vec();
        rules.resize(20, 0);
        let header = rules.clone();
        let counts = |isut: u32, isstd, leap, time, kind: u32, chars: u32| {
            [isut, isstd, leap, time, kind, chars].map(u32::to_be_bytes).concat()
        };
        let body = [&[0; 6][..], b"UTC\0"].concat();
        let rules =
            [&header[..], &counts(0, 0, 0, 0, 1, 4), &body, &header, &counts(0, 0, 0, 0, 1, 4), &body, b"\nUTC0\n"]
                .concat();
        for name in ["Here/There", "Here/Far/Away", "posix/Here/There", "right/Here/There"] {
            write(name, &rules);
        }
        write("zone.tab", b"no rules");
        write(version_file, version.as_bytes());
        folder
    }

    #[test]
    fn newer_files_of_the_machine_are_read() {
        for (file, version) in [("tzdata.zi", "# version 2999a\nR x"), ("+VERSION", "2999a\n")] {
            let folder = folder(file, version);
            let zones = newest_of(folder.path());
            assert_eq!((zones.version(), zones.source()), ("2999a", ZoneSource::System), "{file}");
            assert_eq!(zones.get("here/far/away").expect("it is read").name(), "Here/Far/Away");
            assert!(zones.get("posix/Here/There").is_err() && zones.get("zone.tab").is_err());
        }
    }

    #[test]
    fn older_or_nameless_ones_are_left_alone() {
        for version in ["# version 2020a", "2020a", "# version unknown", ""] {
            let folder = folder("tzdata.zi", version);
            assert_eq!(newest_of(folder.path()).source(), ZoneSource::Bundled, "{version}");
        }
        assert_eq!(newest_of(Path::new("/nowhere")).source(), ZoneSource::Bundled);
    }

    #[test]
    fn this_machine_has_some_data() {
        let zones = newest();
        assert!(*zones.version() >= *Zones::bundled_version());
        assert!(zones.get("Europe/Berlin").is_ok());
    }
}
