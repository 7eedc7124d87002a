//! Owns the sockets that the process was started with: another one listens on them and stays, such as systemd, so that
//! nobody is refused while this one is not there.
//! It must not bind, nor remove the file of a socket: they are not ours.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use listenfd::ListenFd;

use super::supervisor::MalformedVariable;
use crate::limits::LISTENERS_MAX;

/// A socket that somebody else listens on.
#[derive(Debug)]
pub(super) enum Inherited {
    /// Over the network.
    Tcp(TcpListener, SocketAddr),
    /// Within this machine.
    Unix(UnixListener, PathBuf),
}

/// The sockets that `LISTEN_FDS` tells of (sd_listen_fds(3)), if they are meant for this process. To be called before there
/// is a second thread: it takes variables out of the environment.
///
/// # Errors
/// One of them is of no use, or they are too many; which, and what was expected.
pub(super) fn take() -> Result<Vec<Inherited>, MalformedVariable> {
    let mut given = ListenFd::from_env();
    if given.len() > LISTENERS_MAX {
        let expected = format!("at most {LISTENERS_MAX} sockets");
        return Err(MalformedVariable::new("LISTEN_FDS", &given.len().to_string(), &expected));
    }
    let each = (0..given.len()).map(|place| {
        one(&mut given, place).map_err(|why| {
            let what = format!("socket {} ({why})", place + 1);
            MalformedVariable::new("LISTEN_FDS", &what, "TCP sockets and unix sockets with a path that are listened on")
        })
    });
    each.collect()
}

fn one(given: &mut ListenFd, place: usize) -> io::Result<Inherited> {
    if let Ok(Some(socket)) = given.take_unix_listener(place) {
        check(&socket)?;
        socket.set_nonblocking(true)?;
        // Without a path there is no mode: anybody could connect.
        let path = socket.local_addr()?.as_pathname().map(PathBuf::from);
        let path = path.ok_or_else(|| io::Error::other("a unix socket without a path"))?;
        return Ok(Inherited::Unix(socket, path));
    }
    let socket = given.take_tcp_listener(place)?.ok_or_else(|| io::Error::other("it was taken"))?;
    check(&socket)?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    Ok(Inherited::Tcp(socket, address))
}

/// A connection is a socket, too, and a unit with `Accept=yes` hands over nothing else.
fn check(socket: impl AsFd) -> io::Result<()> {
    if rustix::net::sockopt::socket_acceptconn(socket)? {
        return Ok(());
    }
    Err(io::Error::other("a connection, as of Accept=yes"))
}
