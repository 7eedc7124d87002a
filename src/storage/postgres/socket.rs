//! Owns the sockets to servers: names to addresses, connecting, and waiting, each until a moment after which there is no more.
//! It must not know what is said over them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::bounds::{ADDRESSES_MAX, CONNECT_REST, KEEPALIVE_EVERY, KEEPALIVE_IDLE, KEEPALIVE_PROBES, UNHEARD_MAX};
use super::url::{Host, Place};
use crate::clock;
use crate::time::MonoUs;

/// Bytes to and from a server. Reading and writing never wait ([`ErrorKind::WouldBlock`]).
pub trait Stream: Read + Write + Send {
    /// Waits until there is something to read or, if it `writes`, room to write.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when that moment has come before.
    fn wait(&mut self, writes: bool, until: MonoUs) -> io::Result<()>;
}

/// Where a server was found.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    Network(SocketAddr),
    /// The file of its socket.
    File(PathBuf),
}

/// How long there is time until this moment.
pub(super) fn left(until: MonoUs) -> io::Result<Duration> {
    let us = until.0.saturating_sub(clock::mono().0);
    if us == 0 { Err(ErrorKind::TimedOut.into()) } else { Ok(Duration::from_micros(us)) }
}

/// Where a host can be found.
pub(super) fn peers(host: &Host, until: MonoUs) -> io::Result<Vec<Peer>> {
    let name = match &host.place {
        Place::Folder(folder) => return Ok(vec![Peer::File(folder.join(format!(".s.PGSQL.{}", host.port)))]),
        Place::Network(name) => name.clone(),
    };
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![Peer::Network(SocketAddr::new(address, host.port))]);
    }
    // The system's lookup takes as long as it likes: a thread waits for it, whose answer may come too late.
    let (tell, told) = mpsc::channel();
    let port = host.port;
    let look_up = move || {
        let found = (name.as_str(), port).to_socket_addrs().map(|found| found.take(ADDRESSES_MAX).collect());
        tell.send(found).unwrap_or_default();
    };
    thread::Builder::new().name("name".to_owned()).spawn(look_up)?;
    let found: Vec<SocketAddr> = match told.recv_timeout(left(until)?) {
        Ok(found) => found?,
        Err(_) => return Err(io::Error::new(ErrorKind::TimedOut, "its name could not be looked up in time")),
    };
    if found.is_empty() {
        return Err(io::Error::new(ErrorKind::NotFound, "its name leads nowhere"));
    }
    Ok(found.into_iter().map(Peer::Network).collect())
}

/// A connected socket.
#[derive(Debug)]
pub(super) enum Socket {
    Network(TcpStream),
    File(UnixStream),
}

impl Socket {
    /// Connects before this moment.
    pub(super) fn connect(peer: &Peer, until: MonoUs) -> io::Result<Socket> {
        match peer {
            Peer::Network(address) => {
                let socket = TcpStream::connect_timeout(address, left(until)?)?;
                socket.set_nodelay(true)?;
                notice_silence(&socket)?;
                socket.set_nonblocking(true)?;
                Ok(Socket::Network(socket))
            }
            Peer::File(path) => {
                let address = SocketAddrUnix::new(path)?;
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                // A queue that is full is no reason to wait for that the kernel tells when it is over.
                while let Err(why) = rustix::net::connect(&socket, &address) {
                    match why {
                        Errno::AGAIN => thread::sleep(left(until)?.min(CONNECT_REST)),
                        Errno::INTR => {}
                        other => return Err(other.into()),
                    }
                }
                Ok(Socket::File(socket.into()))
            }
        }
    }
}

/// A peer that is gone without a word is noticed, whether something is under way to it or not.
fn notice_silence(socket: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(socket, UNHEARD_MAX.as_millis() as u32)?;
    Ok(())
}

impl Stream for Socket {
    fn wait(&mut self, writes: bool, until: MonoUs) -> io::Result<()> {
        let flags = if writes { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        loop {
            let time = Timespec::try_from(left(until)?).map_err(|_| ErrorKind::InvalidInput)?;
            let fd = match self {
                Socket::Network(socket) => PollFd::new(socket, flags),
                Socket::File(socket) => PollFd::new(socket, flags),
            };
            match poll(&mut [fd], Some(&time)) {
                // The time is looked at above.
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(why) => return Err(why.into()),
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Network(socket) => socket.read(buffer),
            Socket::File(socket) => socket.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Network(socket) => socket.write(bytes),
            Socket::File(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
