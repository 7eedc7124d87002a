//! Owns what every POST says: its header names, its body, and the values an attempt gives them.
//! It must not send anything.

use crate::core::Attempt;

/// The body of every POST.
pub(super) const BODY: &[u8] = b"{}";

/// The headers that tell a target what it is asked to do, and whether it has been asked before.
pub(super) fn headers(attempt: &Attempt) -> [(&'static str, String); 5] {
    [
        ("idempotency-key", attempt.id.to_string()),
        ("punctual-job-id", attempt.id.job.to_string()),
        ("punctual-scheduled-time", attempt.id.instant.to_string()),
        ("punctual-attempt", attempt.number.to_string()),
        ("punctual-late", attempt.is_late().to_string()),
    ]
}
