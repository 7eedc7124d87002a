//! Owns which PostgreSQL is meant where several hosts are named, or one host is another server tomorrow: that which was
//! used first, as far as nobody has gone beyond it.
//! It must not ask a server: whoever connects tells what it says of itself.

use std::sync::{Arc, Mutex, PoisonError};

/// What a server is and how far it is. A cluster keeps its identifier on all of its standbys; its timeline rises with each
/// promotion (PostgreSQL manual, 26.3 and 52.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The system identifier.
    pub(super) system: i64,
    /// None: of a standby, which goes where its primary goes.
    pub(super) timeline: Option<i64>,
}

/// The server that was used last. All copies of a URL have the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin(Arc<Mutex<Option<Standing>>>);

/// It is not part of what a URL says.
impl PartialEq for Origin {
    fn eq(&self, _: &Origin) -> bool {
        true
    }
}

impl Eq for Origin {}

impl Origin {
    /// Takes a server for the one that is meant from here on, or says why it is not.
    pub(super) fn admit(&self, found: Standing) -> Result<(), String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.unwrap_or(found);
        if before.system != found.system {
            return Err(format!(
                "it is another PostgreSQL than the one used before: its system identifier is {}, not {}; only a restart \
                 goes on with it",
                found.system.cast_unsigned(),
                before.system.cast_unsigned()
            ));
        }
        if let (Some(newest), Some(timeline)) = (before.timeline, found.timeline)
            && timeline < newest
        {
            return Err(format!(
                "it was left behind by a failover: it is on timeline {timeline}, and {newest} was used before; only a \
                 restart goes on with it"
            ));
        }
        *known = Some(Standing { timeline: before.timeline.max(found.timeline), ..found });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_server_is_used_and_nothing_that_was_left_behind() {
        let (origin, at) = (Origin::default(), |system, timeline| Standing { system, timeline });
        assert_eq!(origin.admit(at(7, Some(1))), Ok(()));
        let copy = origin.clone();
        assert!(copy.admit(at(-8, Some(1))).is_err_and(|why| why.contains("is 18446744073709551608, not 7")));
        assert_eq!(copy.admit(at(7, None)), Ok(()), "a standby has none");
        assert_eq!(copy.admit(at(7, Some(3))), Ok(()));
        assert!(origin.admit(at(7, Some(1))).is_err_and(|why| why.contains("on timeline 1, and 3 was used")));
        assert_eq!(origin.admit(at(7, Some(3))), Ok(()));
    }
}
