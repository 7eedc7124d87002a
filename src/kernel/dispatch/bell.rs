//! Owns the wake-up of whoever receives reports: once, until it has looked.
//! It must not carry anything.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Called when reports wait and the receiver may be asleep.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// Rings once until it is silenced.
pub(super) struct Bell {
    notify: Notify,
    rung: AtomicBool,
}

impl Bell {
    pub(super) fn new(notify: Notify) -> Bell {
        Bell { notify, rung: AtomicBool::new(false) }
    }

    /// After something was put where the receiver looks.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            (self.notify)();
        }
    }

    /// Before looking: whatever comes from now on rings again.
    pub(super) fn silence(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").field("rung", &self.rung).finish_non_exhaustive()
    }
}
