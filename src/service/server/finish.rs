//! Owns the wait for a thread that is to end: for how long, and what cuts it short.
//! It must not block: whatever the thread is stuck in, a second signal counts.

use std::io;

use super::turn::End;
use crate::limits::WRITER_END_TIME_MAX;
use crate::time::MonoUs;

/// Waits until `is_over`, and no longer than the limit: what is on disk stays there, whether the thread ends or not.
/// `is_told`: another signal has come. `rest` passes a little time; it gives the time after it.
pub(super) fn wait(
    now: MonoUs,
    mut is_over: impl FnMut() -> bool,
    mut is_told: impl FnMut() -> bool,
    mut rest: impl FnMut() -> io::Result<MonoUs>,
) -> io::Result<End> {
    let (mut now, until) = (now, now.plus(WRITER_END_TIME_MAX));
    while !is_over() {
        if is_told() {
            return Ok(End::Forced);
        }
        if now >= until {
            tracing::warn!("the writer does not end; everything is on disk, and the next start tidies up");
            break;
        }
        now = rest()?;
    }
    Ok(End::Clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wait in which the thread is over, and a signal comes, after so many rests of a second. With it, how many there
    /// were.
    fn waited(over: Option<u64>, told: Option<u64>) -> (End, u64) {
        let rests = std::cell::Cell::new(0);
        let has_come = |after: Option<u64>| after.is_some_and(|after| after <= rests.get());
        let rest = || {
            rests.set(rests.get() + 1);
            Ok(MonoUs(7 + rests.get() * 1_000_000))
        };
        let end = wait(MonoUs(7), || has_come(over), || has_come(told), rest);
        (end.expect("nothing fails"), rests.get())
    }

    #[test]
    fn a_thread_that_does_not_end_holds_up_no_stop() {
        let limit = WRITER_END_TIME_MAX.as_secs();
        assert_eq!(waited(Some(0), None), (End::Clean, 0));
        assert_eq!(waited(Some(2), None), (End::Clean, 2));
        assert_eq!(waited(None, None), (End::Clean, limit), "the disk may fail for ever");
        assert_eq!(waited(None, Some(0)), (End::Forced, 0));
        assert_eq!(waited(None, Some(3)), (End::Forced, 3), "a second signal stops at once");
        assert_eq!(waited(Some(3), Some(3)), (End::Clean, 3));
    }
}
