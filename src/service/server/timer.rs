//! Owns the wake-up at a wall-clock time.
//! It must not fire early: the loop reads the clock again before it acts.
//!
//! On Linux an absolute `CLOCK_REALTIME` timerfd is an event source of the poll, because a poll timeout is rounded
//! up to a whole millisecond. Elsewhere the poll timeout has to do.

use std::io;

use mio::{Registry, Token};

use crate::time::WallUs;

#[cfg(target_os = "linux")]
mod fd {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };

    use crate::time::{US_PER_SECOND, WallUs};

    /// The timerfd.
    #[derive(Debug)]
    pub(crate) struct Timer {
        fd: OwnedFd,
        set: Option<WallUs>,
    }

    impl Timer {
        pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Timer> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let fd = timerfd_create(TimerfdClockId::Realtime, flags)?;
            registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Timer { fd, set: None })
        }

        pub(crate) fn set(&mut self, at: Option<WallUs>) -> io::Result<bool> {
            if self.set == at {
                return Ok(true);
            }
            // All zero disarms; the first microsecond of 1970 is as past as any other time.
            let at_us = at.map_or(0, |at| at.0.max(1));
            let value = Timespec { tv_sec: at_us / US_PER_SECOND, tv_nsec: at_us % US_PER_SECOND * 1000 };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            // With CANCEL_ON_SET a step of the clock makes the descriptor readable at once.
            let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
            match timerfd_settime(&self.fd, flags, &once) {
                // Setting it also acknowledges a step that was not read yet.
                Ok(_) | Err(rustix::io::Errno::CANCELED) => {}
                Err(why) => return Err(why.into()),
            }
            self.set = at;
            Ok(true)
        }

        pub(crate) fn clear(&mut self) {
            // Eight bytes, or an error that says the clock stepped; the loop compares its clocks each turn anyway.
            let mut expirations = [0; 8];
            rustix::io::read(&self.fd, &mut expirations).ok();
            self.set = None;
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod fd {

    /// No timer: the poll timeout has to do.
    #[derive(Debug)]
    pub(crate) struct Timer;

    impl Timer {
        pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Timer> {
            Ok(Timer)
        }

        pub(crate) fn set(&mut self, _: Option<WallUs>) -> io::Result<bool> {
            Ok(false)
        }

        pub(crate) fn clear(&mut self) {}
    }
}

/// Wakes the poll at a wall-clock time.
#[derive(Debug)]
pub(super) struct Timer(fd::Timer);

impl Timer {
    /// A timer that makes `token` ready.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Timer> {
        fd::Timer::new(registry, token).map(Timer)
    }

    /// Sets the time, or none. False if this platform has no such timer, and the poll timeout must do it.
    pub(super) fn set(&mut self, at: Option<WallUs>) -> io::Result<bool> {
        self.0.set(at)
    }

    /// Takes note that the token was ready.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
