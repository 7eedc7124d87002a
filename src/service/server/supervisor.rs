//! Owns what whoever started the server hears of it (sd_notify(3)): that it is ready, reads its files again or stops, how
//! it stands, and that the loop still turns.
//! It must not wait for anybody, and knows of life only from the turns of the loop.

use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::clock;
use crate::limits::{SUPERVISOR_RETRY_WAIT, SUPERVISOR_STATUS_EVERY};
use crate::time::MonoUs;

/// Whoever started the server and wants to hear of it, if so.
#[derive(Debug, Default)]
pub(super) struct Supervisor {
    listener: Option<(UnixDatagram, SocketAddr)>,
    /// What could not be sent yet, in this order.
    unsent: VecDeque<String>,
    /// How often it is to hear that the loop turns; None: it does not ask.
    alive_every: Option<Duration>,
    /// When it is told next that the loop turns, or how things stand.
    next: Option<MonoUs>,
    status: String,
    is_reloading: bool,
    /// It was logged that nobody listens.
    is_deaf: bool,
}

impl Supervisor {
    /// Whoever the environment names: `NOTIFY_SOCKET`, with `WATCHDOG_USEC` and `WATCHDOG_PID`.
    ///
    /// # Errors
    /// One of them is malformed; which, and what was expected.
    pub(super) fn of_environment() -> Result<Supervisor, MalformedVariable> {
        let given = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let Some(path) = given("NOTIFY_SOCKET") else { return Ok(Supervisor::default()) };
        let path = path.to_string_lossy();
        let malformed = |why: io::Error| {
            MalformedVariable::new(
                "NOTIFY_SOCKET",
                &path,
                &format!("the path of a unix socket, or @ and a name ({why})"),
            )
        };
        let address = address_of(&path).map_err(malformed)?;
        let socket = UnixDatagram::unbound().map_err(malformed)?;
        socket.set_nonblocking(true).map_err(malformed)?;
        let text = |name: &str| given(name).map(|value| value.to_string_lossy().into_owned());
        let watch = watchdog(text("WATCHDOG_USEC").as_deref(), text("WATCHDOG_PID").as_deref(), std::process::id())?;
        // Twice in the time after which it would believe that the loop is stuck.
        let alive_every = watch.map(|time| time / 2);
        Ok(Supervisor { listener: Some((socket, address)), alive_every, ..Supervisor::default() })
    }

    /// Whether somebody listens.
    pub(super) fn is_there(&self) -> bool {
        self.listener.is_some()
    }

    /// The server listens, all is loaded, and the loop is about to turn.
    pub(super) fn ready(&mut self, status: &str, mono: MonoUs) {
        self.next = Some(mono);
        self.tell(format!("READY=1\nSTATUS={status}"));
    }

    /// Files are to be read again.
    pub(super) fn reloading(&mut self) {
        // Whoever is told of one reload is told of the end of all.
        if !std::mem::replace(&mut self.is_reloading, true) {
            self.tell(format!("RELOADING=1\nMONOTONIC_USEC={}", clock::since_boot_us()));
        }
    }

    /// Whether it waits to hear that they were.
    pub(super) fn is_reloading(&self) -> bool {
        self.is_reloading
    }

    /// They were read.
    pub(super) fn reloaded(&mut self) {
        self.is_reloading = false;
        self.tell("READY=1".to_owned());
    }

    /// The server stops; nothing else is said of a reload.
    pub(super) fn stopping(&mut self, status: &str) {
        status.clone_into(&mut self.status);
        self.is_reloading = false;
        self.tell(format!("STOPPING=1\nSTATUS={status}"));
    }

    /// When it is to be told again that the loop turns.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        self.next.filter(|_| self.is_there() && (self.alive_every.is_some() || !self.unsent.is_empty()))
    }

    /// The loop has turned. `status` says how things stand; None: as before.
    pub(super) fn turned(&mut self, mono: MonoUs, status: impl FnOnce() -> Option<String>) {
        if !self.is_there() || self.next.is_some_and(|next| mono < next) {
            return;
        }
        self.send_unsent();
        if !self.unsent.is_empty() {
            self.next = Some(mono.plus(SUPERVISOR_RETRY_WAIT));
            return;
        }
        let mut message = String::new();
        if self.alive_every.is_some() {
            message.push_str("WATCHDOG=1\n");
        }
        if let Some(status) = status().filter(|status| *status != self.status) {
            message.push_str("STATUS=");
            message.push_str(&status);
            self.status = status;
        }
        let every = self.alive_every.unwrap_or(SUPERVISOR_STATUS_EVERY).min(SUPERVISOR_STATUS_EVERY);
        self.next = Some(mono.plus(every));
        if !message.is_empty() {
            self.tell(message);
        }
    }

    fn tell(&mut self, message: String) {
        if self.is_there() {
            self.unsent.push_back(message);
            self.send_unsent();
        }
    }

    /// Sends what its queue takes. The rest is sent in a later turn: it must not hold up the loop.
    fn send_unsent(&mut self) {
        let Some((socket, address)) = &self.listener else { return };
        while let Some(message) = self.unsent.front() {
            match socket.send_to_addr(message.as_bytes(), address) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                Ok(_) => self.is_deaf = false,
                // It may listen again, and is then told how things stand.
                Err(why) if !self.is_deaf => {
                    tracing::warn!(%why, "failed to tell NOTIFY_SOCKET how things stand");
                    self.is_deaf = true;
                }
                Err(_) => {}
            }
            self.unsent.pop_front();
        }
    }
}

/// The address in `NOTIFY_SOCKET`.
fn address_of(text: &str) -> io::Result<SocketAddr> {
    match text.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(text),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// After what time without a sign of life this process, `own`, is believed to be stuck; None: never.
fn watchdog(usec: Option<&str>, pid: Option<&str>, own: u32) -> Result<Option<Duration>, MalformedVariable> {
    let Some(usec) = usec else { return Ok(None) };
    let time = usec.parse().ok().filter(|&us: &u64| us > 0);
    let time = time.ok_or_else(|| MalformedVariable::new("WATCHDOG_USEC", usec, "a number of microseconds above 0"))?;
    // It may be meant for the process that started this one.
    let is_meant = match pid {
        None => true,
        Some(pid) => {
            pid.parse::<u32>().map_err(|_| MalformedVariable::new("WATCHDOG_PID", pid, "the number of a process"))?
                == own
        }
    };
    Ok(is_meant.then_some(Duration::from_micros(time)))
}

/// A variable of the environment says what it cannot mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedVariable(String);

impl MalformedVariable {
    pub(super) fn new(name: &str, value: &str, expected: &str) -> MalformedVariable {
        MalformedVariable(format!("{name}: expected {expected}, got {value:?}"))
    }
}

impl fmt::Display for MalformedVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MalformedVariable {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who listens, and who is told.
    fn listened(alive_every: Option<Duration>) -> (UnixDatagram, Supervisor, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).expect("it is free");
        listener.set_nonblocking(true).expect("it is a socket");
        let socket = UnixDatagram::unbound().expect("there are sockets");
        socket.set_nonblocking(true).expect("it is a socket");
        let address = SocketAddr::from_pathname(&path).expect("it is short");
        let supervisor = Supervisor { listener: Some((socket, address)), alive_every, ..Supervisor::default() };
        (listener, supervisor, folder)
    }

    fn heard(listener: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 512];
        let mut next =
            || listener.recv(&mut buffer).ok().map(|length| String::from_utf8_lossy(&buffer[..length]).into());
        std::iter::from_fn(&mut next).collect()
    }

    #[test]
    fn each_half_of_its_time_it_hears_that_the_loop_turned_and_at_changes_how_things_stand() {
        let (listener, mut supervisor, _folder) = listened(Some(Duration::from_secs(1)));
        supervisor.ready("1 job", MonoUs(0));
        assert_eq!(heard(&listener), ["READY=1\nSTATUS=1 job"]);
        supervisor.turned(MonoUs(5), || Some("2 jobs".to_owned()));
        assert_eq!(heard(&listener), ["WATCHDOG=1\nSTATUS=2 jobs"]);
        assert_eq!(supervisor.deadline(), Some(MonoUs(1_000_005)));
        supervisor.turned(MonoUs(1_000_004), || panic!("nobody asks before the time"));
        assert_eq!(heard(&listener), [""; 0]);
        supervisor.turned(MonoUs(1_000_005), || Some("2 jobs".to_owned()));
        assert_eq!(heard(&listener), ["WATCHDOG=1\n"]);
        supervisor.stopping("stopping");
        assert_eq!(heard(&listener), ["STOPPING=1\nSTATUS=stopping"]);
    }

    #[test]
    fn whoever_does_not_listen_just_now_hears_it_later_and_holds_up_nobody() {
        let (listener, mut supervisor, _folder) = listened(None);
        let most = 100_000;
        let full = (0..most).find(|_| {
            supervisor.tell("STATUS=x".to_owned());
            !supervisor.unsent.is_empty()
        });
        assert!(full.is_some(), "its queue has an end");
        supervisor.ready("1 job", MonoUs(0));
        assert_eq!(supervisor.deadline(), Some(MonoUs(0)), "it is tried again, though there is no watchdog");
        supervisor.turned(MonoUs(0), || panic!("what waits comes first"));
        let before = heard(&listener);
        assert!(!before.contains(&"READY=1\nSTATUS=1 job".to_owned()));
        supervisor.turned(MonoUs(0).plus(SUPERVISOR_RETRY_WAIT), || None);
        assert_eq!(heard(&listener), ["STATUS=x", "READY=1\nSTATUS=1 job"]);
        assert_eq!(supervisor.deadline(), None);
    }

    #[test]
    fn a_listener_that_is_gone_is_no_failure() {
        let (listener, mut supervisor, folder) = listened(Some(Duration::from_secs(1)));
        drop((listener, folder));
        supervisor.ready("1 job", MonoUs(0));
        supervisor.turned(MonoUs(1), || None);
        assert!(supervisor.is_deaf && supervisor.unsent.is_empty());
    }

    #[test]
    fn a_watchdog_is_for_the_process_that_it_names() {
        let second = Ok(Some(Duration::from_secs(1)));
        assert_eq!(watchdog(None, Some("7"), 7), Ok(None));
        assert_eq!(watchdog(Some("1000000"), None, 7), second);
        assert_eq!(watchdog(Some("1000000"), Some("7"), 7), second);
        assert_eq!(watchdog(Some("1000000"), Some("8"), 7), Ok(None));
        for (usec, pid) in [("0", None), ("-1", None), ("1s", None), ("1", Some("x"))] {
            let why = watchdog(Some(usec), pid, 7).unwrap_err().to_string();
            assert!(why.starts_with("WATCHDOG_") && why.contains("expected"), "{why}");
        }
        for text in ["", "vsock:2:1", "relative"] {
            assert!(address_of(text).is_err(), "{text}");
        }
    }
}
