//! Owns the limit on open files: each POST in flight may need one, and so does each connection that rests.
//! It must not fail: with fewer files there is less in flight, and a warning.

use crate::limits::{FILES_IN_FLIGHT_PER_CENT, FILES_OF_TLS, FILES_RESERVED, IDLE_CONNECTIONS_MAX};

/// How many connections to targets there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// POSTs in flight.
    pub(super) in_flight: u32,
    /// Connections that rest, on top of that.
    pub(super) idle: u32,
}

/// Raises the limit on open files as far as is allowed. How many POSTs may be in flight with what there is, `wanted` or
/// fewer, and how many connections may rest beside them, so that clients, database and lookups always find a file.
/// `has_tls`: clients may need several.
#[cfg(unix)]
pub(super) fn fit(wanted: u32, has_tls: bool) -> Room {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = maximum.unwrap_or(u64::from(wanted) + u64::from(IDLE_CONNECTIONS_MAX) + reserved(has_tls));
    if current.is_some_and(|current| current < raised) {
        // If it cannot be raised, what there is has to do.
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).ok();
    }
    let available = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = share_out(available.saturating_sub(reserved(has_tls)), wanted);
    if room.in_flight < wanted {
        let fits = room.in_flight;
        tracing::warn!(wanted, fits, open_files = available, "fewer POSTs in flight: the limit on open files is low");
    }
    room
}

/// Without such a limit there is nothing to fit into.
#[cfg(not(unix))]
pub(super) fn fit(wanted: u32, _: bool) -> Room {
    share_out(u64::MAX, wanted)
}

/// Files that are no connections to targets.
#[cfg(unix)]
fn reserved(has_tls: bool) -> u64 {
    FILES_RESERVED + if has_tls { FILES_OF_TLS } else { 0 }
}

/// Shares out what is not reserved.
fn share_out(room: u64, wanted: u32) -> Room {
    let in_flight = u32::try_from(room / 100 * FILES_IN_FLIGHT_PER_CENT).map_or(wanted, |most| most.min(wanted)).max(1);
    let left = u32::try_from(room.saturating_sub(u64::from(in_flight))).unwrap_or(IDLE_CONNECTIONS_MAX);
    Room { in_flight, idle: left.clamp(1, IDLE_CONNECTIONS_MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_take_what_is_reserved() {
        for room in [10, 600, 2_700, 20_000, 65_536, 1 << 20, u64::MAX] {
            let Room { in_flight, idle } = share_out(room, 12_000);
            let taken = u64::from(in_flight) + u64::from(idle);
            assert!(taken <= room, "{in_flight} and {idle} of {room}");
        }
        assert_eq!(share_out(20_000, 12_000).in_flight, 12_000);
        assert_eq!(share_out(1 << 20, 12_000), Room { in_flight: 12_000, idle: IDLE_CONNECTIONS_MAX });
    }

    #[test]
    fn with_few_files_there_is_less_of_both() {
        assert_eq!(share_out(1_000, 12_000), Room { in_flight: 750, idle: 250 });
        assert_eq!(share_out(1_000, 100), Room { in_flight: 100, idle: 900 });
        assert_eq!(share_out(0, 12_000), Room { in_flight: 1, idle: 1 });
    }

    #[cfg(unix)]
    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        use rustix::process::{Resource, getrlimit};
        fit(1, false);
        let limit = getrlimit(Resource::Nofile);
        assert!(limit.maximum.is_none() || limit.current == limit.maximum, "{limit:?}");
    }
}
