//! Owns what systemd is to a service: sockets that are listened on before it starts, and a place where it says how it stands.
//! It must not start a process but by the server's own support.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::PATIENCE;

/// The same command, started with these sockets (sd_listen_fds(3)), one or two. With two, nothing is heard of its errors.
pub fn inheriting(command: &Command, sockets: Vec<OwnedFd>) -> Command {
    // A shell passes them on: it can put them in their places, and its process is the server's.
    let places = match sockets.len() {
        1 => "3<&0 </dev/null",
        2 => "3<&0 4<&2 </dev/null 2>/dev/null",
        count => panic!("{count} sockets have no place"),
    };
    let script = format!("exec {places}; export LISTEN_FDS={} LISTEN_PID=$$; exec \"$0\" \"$@\"", sockets.len());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mut sockets = sockets.into_iter();
    shell.stdin(Stdio::from(sockets.next().expect("there is one")));
    if let Some(second) = sockets.next() {
        shell.stderr(Stdio::from(second));
    }
    shell
}

/// Where a service says how it stands (sd_notify(3)).
pub struct Notified {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Notified {
    pub fn new(folder: &Path) -> Notified {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).expect("it is free");
        Notified { socket, path }
    }

    /// The value of `NOTIFY_SOCKET`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next message, whatever it is.
    pub fn next(&self) -> String {
        self.try_next(PATIENCE).expect("something is said in time")
    }

    /// The same, if it comes within this time.
    pub fn try_next(&self, time: Duration) -> Option<String> {
        let mut buffer = [0; 4096];
        self.socket.set_read_timeout(Some(time)).expect("it is a socket");
        let length = match self.socket.recv(&mut buffer) {
            Err(why) if why.kind() == ErrorKind::WouldBlock => return None,
            received => received.expect("it is bound"),
        };
        Some(String::from_utf8(buffer[..length].to_vec()).expect("it is text"))
    }

    /// The next message that has a line which begins like this; others before it are passed over.
    pub fn next_with(&self, beginning: &str) -> String {
        loop {
            let message = self.next();
            if message.lines().any(|line| line.starts_with(beginning)) {
                return message;
            }
        }
    }
}
