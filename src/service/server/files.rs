//! Owns the limit on open files: each POST in flight may need one, and so does each connection that rests.
//! It must not fail: with fewer files there is less in flight, and a warning.

use crate::config::Config;
use crate::limits::{
    FILES_IN_FLIGHT_PER_CENT, FILES_PER_TLS_CONNECTION, FILES_RESERVED, FILES_TLS_PER_CENT, IDLE_CONNECTIONS_MAX,
    TLS_CONNECTIONS_MAX,
};

/// How many connections there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// POSTs in flight.
    pub(super) in_flight: u32,
    /// Connections to targets that rest, on top of that.
    pub(super) idle: u32,
    /// Connections of clients over TLS.
    pub(super) tls: usize,
}

/// Raises the limit on open files as far as is allowed. How many POSTs may be in flight with what there is, `wanted` or
/// fewer, and how many connections may rest beside them, so that clients, database and lookups always find a file.
/// `has_tls`: clients need several.
#[cfg(unix)]
pub(super) fn fit(wanted: u32, has_tls: bool) -> Room {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let of_tls = if has_tls { FILES_OF_TLS } else { 0 };
    let raised = maximum.unwrap_or(u64::from(wanted) + u64::from(IDLE_CONNECTIONS_MAX) + FILES_RESERVED + of_tls);
    if current.is_some_and(|current| current < raised) {
        // If it cannot be raised, what there is has to do.
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).ok();
    }
    let available = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = share_out(available, wanted, has_tls);
    if room.in_flight < wanted {
        let fits = room.in_flight;
        tracing::warn!(wanted, fits, open_files = available, "fewer POSTs in flight: the limit on open files is low");
    }
    room
}

/// Without such a limit there is nothing to fit into.
#[cfg(not(unix))]
pub(super) fn fit(wanted: u32, has_tls: bool) -> Room {
    share_out(u64::MAX, wanted, has_tls)
}

/// Open files that this process may have, and how many POSTs may be in flight with them: what a start would find.
pub fn room_in_flight(config: &Config) -> (u64, u32) {
    let granted = hard_limit();
    (granted, share_out(granted, config.max_in_flight, config.tls.is_some()).in_flight)
}

/// Open files with which as many POSTs may be in flight as the configuration says.
pub fn files_needed(config: &Config) -> u64 {
    let of_tls = if config.tls.is_some() { FILES_OF_TLS } else { 0 };
    FILES_RESERVED + of_tls + (u64::from(config.max_in_flight) / FILES_IN_FLIGHT_PER_CENT + 1) * 100
}

#[cfg(unix)]
fn hard_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

#[cfg(not(unix))]
fn hard_limit() -> u64 {
    u64::MAX
}

const FILES_OF_TLS: u64 = TLS_CONNECTIONS_MAX as u64 * FILES_PER_TLS_CONNECTION;

fn share_out(available: u64, wanted: u32, has_tls: bool) -> Room {
    let room = available.saturating_sub(FILES_RESERVED);
    let of_tls =
        if has_tls { FILES_OF_TLS.min(room / 100 * FILES_TLS_PER_CENT).max(FILES_PER_TLS_CONNECTION) } else { 0 };
    let room = room.saturating_sub(of_tls);
    let in_flight = u32::try_from(room / 100 * FILES_IN_FLIGHT_PER_CENT).map_or(wanted, |most| most.min(wanted)).max(1);
    let left = u32::try_from(room.saturating_sub(u64::from(in_flight))).unwrap_or(IDLE_CONNECTIONS_MAX);
    let tls = usize::try_from(of_tls / FILES_PER_TLS_CONNECTION).unwrap_or(TLS_CONNECTIONS_MAX);
    Room { in_flight, idle: left.clamp(1, IDLE_CONNECTIONS_MAX), tls }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_take_what_is_reserved() {
        for available in [FILES_RESERVED + 10, 2_048, 4_096, 20_000, 65_536, 1 << 20, u64::MAX] {
            for has_tls in [false, true] {
                let Room { in_flight, idle, tls } = share_out(available, 12_000, has_tls);
                let of_tls = tls as u64 * FILES_PER_TLS_CONNECTION;
                let taken = u64::from(in_flight) + u64::from(idle) + of_tls + FILES_RESERVED;
                assert!(taken <= available, "{in_flight} and {idle} of {available}, {tls} with TLS");
            }
        }
        assert_eq!(share_out(20_000, 12_000, false).in_flight, 12_000);
        let most = Room { in_flight: 12_000, idle: IDLE_CONNECTIONS_MAX, tls: TLS_CONNECTIONS_MAX };
        assert_eq!(share_out(1 << 20, 12_000, true), most);
    }

    #[test]
    fn with_few_files_there_is_less_of_all() {
        assert_eq!(share_out(FILES_RESERVED + 1_000, 12_000, false), Room { in_flight: 750, idle: 250, tls: 0 });
        assert_eq!(share_out(FILES_RESERVED + 1_000, 100, false), Room { in_flight: 100, idle: 900, tls: 0 });
        assert_eq!(share_out(FILES_RESERVED + 2_000, 100, true), Room { in_flight: 100, idle: 1_400, tls: 250 });
        assert_eq!(share_out(64, 12_000, true), Room { in_flight: 1, idle: 1, tls: 1 });
    }

    #[test]
    fn what_is_needed_is_enough() {
        for wanted in [1, 74, 75, 12_000, 99_999, 100_000] {
            for has_tls in [false, true] {
                let of_tls = if has_tls { FILES_OF_TLS } else { 0 };
                let needed = FILES_RESERVED + of_tls + (u64::from(wanted) / FILES_IN_FLIGHT_PER_CENT + 1) * 100;
                assert_eq!(share_out(needed, wanted, has_tls).in_flight, wanted, "{has_tls}");
                assert!(share_out(needed / 2, wanted, has_tls).in_flight <= wanted);
            }
        }
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
