//! Owns what the system tells about processes and the machine.
//! It must not fail: what a system does not tell is `None`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `/proc` counts CPU time in: fixed at 100 a second on every architecture this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process used, at one moment. Summed over several where they serve together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    pub(super) rss_kib: u64,
    pub(super) peak_rss_kib: u64,
    /// Bytes sent to the disk; None where that is not told.
    pub(super) disk_bytes: Option<u64>,
}

impl Usage {
    /// Of both together.
    pub(super) fn plus(self, other: Usage) -> Usage {
        Usage {
            cpu: self.cpu + other.cpu,
            rss_kib: self.rss_kib + other.rss_kib,
            peak_rss_kib: self.peak_rss_kib + other.peak_rss_kib,
            disk_bytes: other.disk_bytes.map(|bytes| self.disk_bytes.unwrap_or(0) + bytes).or(self.disk_bytes),
        }
    }
}

/// What a process used so far; None if there is none, or no `/proc`.
pub(super) fn usage(pid: u32) -> Option<Usage> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let cpu = cpu(&folder)?;
    let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
    let io = fs::read_to_string(folder.join("io")).unwrap_or_default();
    Some(Usage {
        cpu,
        rss_kib: number_after(&status, "VmRSS:").unwrap_or(0),
        peak_rss_kib: number_after(&status, "VmHWM:").unwrap_or(0),
        disk_bytes: number_after(&io, "write_bytes:"),
    })
}

/// The CPU time that a process (`/proc/PID`) or thread (`/proc/PID/task/TID`) used so far. One file is coarse, the
/// other leaves out threads that have ended: neither tells too much, so the higher is right.
pub(super) fn cpu(folder: &Path) -> Option<Duration> {
    let coarse = ticks(folder)?;
    let tasks = fs::read_dir(folder.join("task"));
    let fine: Duration = match tasks {
        Ok(tasks) => tasks.filter_map(|task| on_cpu(&task.ok()?.path())).sum(),
        Err(_) => on_cpu(folder).unwrap_or_default(),
    };
    Some(coarse.max(fine))
}

fn ticks(folder: &Path) -> Option<Duration> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The name in parentheses may hold anything, so the fields are counted from its end (proc_pid_stat(5)).
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) as f64 / TICKS_PER_SECOND))
}

/// Of one thread, in nanoseconds, where the kernel counts them.
fn on_cpu(folder: &Path) -> Option<Duration> {
    let text = fs::read_to_string(folder.join("schedstat")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The CPU time of several threads.
pub(super) fn cpu_of_all(folders: &[PathBuf]) -> Option<Duration> {
    folders.iter().map(|folder| cpu(folder)).sum()
}

/// What figures depend on.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) kernel: Option<String>,
    pub(super) cpu: Option<String>,
    pub(super) memory_kib: Option<u64>,
    /// Processes that wanted to run in the last minute: what else was going on.
    pub(super) load: Option<f64>,
}

/// This machine, now.
pub(super) fn machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).ok();
    let cpus = read("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    Machine {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
        cpu: model.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim().to_owned()),
        memory_kib: read("/proc/meminfo").and_then(|text| number_after(&text, "MemTotal:")),
        load: read("/proc/loadavg").and_then(|text| text.split_ascii_whitespace().next()?.parse().ok()),
    }
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_the_start_of_their_line() {
        let text = "VmPeak:\t  9 kB\nVmHWM:\t   1234 kB\nVmRSS:\t 56 kB\n";
        assert_eq!(number_after(text, "VmHWM:"), Some(1_234));
        assert_eq!(number_after(text, "VmSwap:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory_and_a_missing_one_nothing() {
        assert!(usage(std::process::id()).is_some_and(|usage| usage.peak_rss_kib > 100));
        assert_eq!(usage(u32::MAX), None);
    }
}
