//! Owns what Linux says of a process: its memory and its open files.
//! It must not guess where there is no such system: nothing is known then.

use std::fs;

/// Resident memory in KiB.
pub fn rss_kib(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().split(' ').next()?.parse().ok()
}

/// Open files.
pub fn descriptors(id: u32) -> Option<u64> {
    Some(fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as u64)
}
