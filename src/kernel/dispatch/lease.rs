//! Owns until when executions may be sent: what the loop trusts, as a worker sees it right before the first byte.
//! It must not decide how long that is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock;
use crate::time::MonoUs;

/// Until when executions may be sent; shared by the loop and all workers. At first that is for ever.
///
/// Between the core's own look and the first byte lies a queue, a name, a connection, a handshake: the lease may have ended
/// since. Nothing else hangs on the moment at which a worker sees a new one, so no order is asked for.
#[derive(Clone, Debug)]
pub struct Lease(Arc<AtomicU64>);

impl Default for Lease {
    fn default() -> Lease {
        Lease(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl Lease {
    /// Executions may be sent until then, exclusively.
    pub fn set(&self, until: MonoUs) {
        self.0.store(until.0, Ordering::Relaxed);
    }

    /// Whether no execution may be sent any more. Where it lasts for ever no clock is read.
    pub(super) fn has_ended(&self) -> bool {
        let until = self.0.load(Ordering::Relaxed);
        until != u64::MAX && clock::mono().0 >= until
    }
}
