//! Owns the look at what the system grants a process: open files and memory.
//! It must not raise a limit.

use std::fs;
use std::path::Path;

use super::Finding;
use crate::config::Config;
use crate::limits::{MEMORY_AT_REST, MEMORY_PER_IN_FLIGHT};
use crate::server;

const FILES: &str = "open files";
const MEMORY: &str = "memory";
/// A limit above this is none (cgroups(7), version 1).
const NO_LIMIT: u64 = 1 << 60;

/// Whether there are as many open files as the configuration needs.
pub(super) fn open_files(config: &Config) -> Finding {
    let (granted, fits) = server::room_in_flight(config);
    let wanted = config.max_in_flight;
    let granted_text = if granted == u64::MAX { "no limit".to_owned() } else { format!("{granted} open files") };
    let found = format!("room for {fits} of {wanted} POSTs in flight ({granted_text})");
    let needed = server::files_needed(config);
    let advice = || {
        format!("raise the hard limit: LimitNOFILE={needed} in the unit, or limits.conf(5); or lower --max-in-flight")
    };
    let finding = if fits >= wanted {
        Finding::ok(FILES, found)
    } else if fits < wanted / 10 {
        Finding::fail(FILES, found, advice())
    } else {
        Finding::warn(FILES, found, advice())
    };
    finding.with(&[("openFiles", lossy(granted)), ("inFlight", f64::from(fits))])
}

/// Whether there is as much memory as the configuration may need, in this control group or the machine.
pub(super) fn memory(config: &Config) -> Finding {
    let wanted = MEMORY_AT_REST + u64::from(config.max_in_flight) * MEMORY_PER_IN_FLIGHT;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = limit_of(Path::new("/sys/fs/cgroup"), &groups);
    let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available_of(&text));
    judge_memory(wanted, limit, available)
}

fn judge_memory(wanted: u64, limit: Option<u64>, available: Option<u64>) -> Finding {
    let (source, bytes) = match (limit, available) {
        (Some(limit), available) if available.is_none_or(|available| limit <= available) => {
            ("its control group has a limit of", limit)
        }
        (_, Some(available)) => ("this machine has", available),
        (_, None) => {
            return Finding::warn(MEMORY, "not known: the system does not say", "see to it that there is enough");
        }
    };
    let found = format!("{source} {} MiB; up to {} MiB are used, and 0.6 KB for each job", bytes >> 20, wanted >> 20);
    let advice = "raise MemoryMax of the unit or the container's limit, or lower --max-in-flight";
    let finding = if bytes < MEMORY_AT_REST {
        Finding::fail(MEMORY, found, advice)
    } else if bytes < wanted {
        Finding::warn(MEMORY, found, advice)
    } else {
        Finding::ok(MEMORY, found)
    };
    finding.with(&[("bytes", lossy(bytes)), ("wantedBytes", lossy(wanted))])
}

/// The lowest limit of this process's control group and those around it: version 2, or 1 (cgroups(7)). A container sees its
/// own group as the root.
fn limit_of(root: &Path, groups: &str) -> Option<u64> {
    let read = |path: &Path| {
        let text = fs::read_to_string(path).ok()?;
        text.trim().parse().ok().filter(|&limit: &u64| limit < NO_LIMIT)
    };
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            all if all.split(',').any(|one| one == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        let place = root.join(group.trim_start_matches('/'));
        found.extend(
            place.ancestors().take_while(|place| place.starts_with(&root)).filter_map(|place| read(&place.join(name))),
        );
    }
    found.into_iter().min()
}

/// proc_meminfo(5): what can be had without swapping, in KiB.
fn available_of(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib << 10)
}

/// Large numbers lose digits that nobody reads.
#[expect(clippy::cast_precision_loss, reason = "figures are for reading")]
fn lossy(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn the_lowest_limit_around_counts_in_both_versions() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it is made");
            fs::write(path, text).expect("it is written");
        };
        write("a/memory.max", "104857600\n");
        write("a/b/memory.max", "max\n");
        write("memory/c/memory.limit_in_bytes", "52428800\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        let limit = |groups: &str| limit_of(folder.path(), groups);
        assert_eq!(limit("0::/a/b\n"), Some(100 << 20));
        assert_eq!(limit("9:cpu,memory:/c\n0::/\n"), Some(50 << 20));
        assert_eq!(limit("4:memory:/d\n0::/\n"), None);
        assert_eq!(limit("0::/../..\n"), None);
        assert_eq!(limit(""), None);
    }

    #[test]
    fn memory_is_held_against_what_may_be_used() {
        let mib = 1 << 20;
        let level = |limit: Option<u64>, available: Option<u64>| judge_memory(70 * mib, limit, available).level;
        assert_eq!(level(None, Some(4_000 * mib)), Level::Ok);
        assert_eq!(level(Some(64 * mib), Some(4_000 * mib)), Level::Warn);
        assert_eq!(level(Some(8_000 * mib), Some(60 * mib)), Level::Warn, "the machine has less than the limit");
        assert_eq!(level(Some(8 * mib), None), Level::Fail);
        assert_eq!(level(None, None), Level::Warn);
        assert_eq!(available_of("MemTotal: 5 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
    }
}
