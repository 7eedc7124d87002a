//! Owns the limit on open files: each POST in flight may need one.
//! It must not fail: with fewer files there is less in flight, and a warning.

use crate::limits::FILES_RESERVED;

/// Raises the limit on open files as far as is needed and allowed. How many POSTs may be in flight with what there
/// is: `wanted`, or fewer.
#[cfg(unix)]
pub(super) fn fit(wanted: u32) -> u32 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let needed = u64::from(wanted) + FILES_RESERVED;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < needed) {
        let raised = maximum.map_or(needed, |maximum| needed.min(maximum));
        // If it cannot be raised, what there is has to do.
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).ok();
    }
    let Some(available) = getrlimit(Resource::Nofile).current.filter(|&available| available < needed) else {
        return wanted;
    };
    let fits = u32::try_from(available.saturating_sub(FILES_RESERVED)).unwrap_or(wanted).max(1);
    tracing::warn!(wanted, fits, open_files = available, "fewer POSTs in flight: the limit on open files is low");
    fits
}

/// Without such a limit there is nothing to fit into.
#[cfg(not(unix))]
pub(super) fn fit(wanted: u32) -> u32 {
    wanted
}
