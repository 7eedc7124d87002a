//! Owns the look at where the API listens: free, ours already, or somebody else's.
//! It must not keep an address longer than it takes to see that it is free.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::Finding;
use crate::config::Listen;
use crate::limits::DOCTOR_WAIT_MAX;
use crate::server;

const PORT: &str = "port";
/// Whoever listens is asked whether he lives, which needs no token.
const WHO: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
/// More of an answer is not read: what tells stands at its beginning.
const ANSWER_LEN_MAX: u64 = 16 << 10;

/// Where a server listens that is told nothing; None: systemd hands it its sockets.
pub(super) fn by_default(over_tls: bool) -> Option<Listen> {
    std::env::var_os("LISTEN_FDS").is_none().then(|| Listen::by_default(over_tls))
}

/// Looks at one address. `is_in_use`: a server has the database.
pub(super) fn listen(listen: &Listen, is_in_use: bool) -> Finding {
    match listen {
        Listen::Tcp { address, .. } => match TcpListener::bind(address) {
            Ok(_) if address.port() == 0 => Finding::ok(PORT, format!("{listen} takes any free one")),
            Ok(_) => Finding::ok(PORT, format!("{listen} is free")),
            Err(why) => taken(listen, &why, is_in_use, ask(*address)),
        },
        Listen::Unix(path) => socket(listen, path, is_in_use),
    }
}

fn taken(listen: &Listen, why: &io::Error, is_in_use: bool, answer: io::Result<Vec<u8>>) -> Finding {
    let found = |what: &str| format!("{listen} {what}");
    match why.kind() {
        ErrorKind::AddrInUse if answer.is_ok_and(|answer| is_ours(&answer)) => {
            if is_in_use {
                return Finding::ok(PORT, found("is where the server with this database runs"));
            }
            let advice = "stop that one first, or name another address with --listen";
            Finding::fail(PORT, found("is taken by a Punctual that has another database"), advice)
        }
        ErrorKind::AddrInUse => {
            let advice = "`ss -ltnp` shows who that is: stop it, or name another address with --listen";
            Finding::fail(PORT, found("is taken by another program"), advice)
        }
        ErrorKind::PermissionDenied => {
            let advice = "ports below 1024 take AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or a higher port";
            Finding::fail(PORT, found("may not be listened on"), advice)
        }
        ErrorKind::AddrNotAvailable => {
            Finding::fail(PORT, found("is no address of this machine"), "`ip address` lists those that are")
        }
        _ => Finding::fail(PORT, found(&format!("cannot be listened on: {why}")), "name another address with --listen"),
    }
}

fn is_ours(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    text.contains(r#"{"status":"live"}"#) || server::speaks_tls(answer)
}

/// What whoever listens there says.
fn ask(address: SocketAddr) -> io::Result<Vec<u8>> {
    // One that stands for all of them is asked on this machine.
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let stream = TcpStream::connect_timeout(&SocketAddr::new(ip, address.port()), DOCTOR_WAIT_MAX)?;
    stream.set_read_timeout(Some(DOCTOR_WAIT_MAX))?;
    stream.set_write_timeout(Some(DOCTOR_WAIT_MAX))?;
    answer_of(stream)
}

fn answer_of(mut stream: impl Read + Write) -> io::Result<Vec<u8>> {
    stream.write_all(WHO)?;
    let mut answer = Vec::new();
    // What came before it broke off may be enough.
    stream
        .take(ANSWER_LEN_MAX)
        .read_to_end(&mut answer)
        .map_or_else(|why| if answer.is_empty() { Err(why) } else { Ok(()) }, |_| Ok(()))?;
    Ok(answer)
}

fn socket(listen: &Listen, path: &Path, is_in_use: bool) -> Finding {
    let found = |what: &str| format!("{listen} {what}");
    let folder = path.parent().unwrap_or(Path::new("/"));
    match fs::symlink_metadata(path) {
        Err(why) if why.kind() == ErrorKind::NotFound && folder.is_dir() => {
            let can_write = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
            match can_write {
                Ok(()) => Finding::ok(PORT, found("is free")),
                Err(why) => {
                    let what = format!("cannot be made in its folder: {}", io::Error::from(why));
                    Finding::fail(
                        PORT,
                        found(&what),
                        "RuntimeDirectory= in the unit makes a folder that the server may write",
                    )
                }
            }
        }
        Err(why) if why.kind() == ErrorKind::NotFound => Finding::fail(
            PORT,
            found("has no folder"),
            "make it, or let systemd do it with RuntimeDirectory= in the unit",
        ),
        Err(why) => Finding::fail(PORT, found(&format!("cannot be looked at: {why}")), "look as the server's user"),
        Ok(file) if !file.file_type().is_socket() => Finding::fail(
            PORT,
            found("is a file that is no socket, which the server leaves alone"),
            "name another path",
        ),
        Ok(_) => match UnixStream::connect(path) {
            Err(why) if why.kind() == ErrorKind::ConnectionRefused => {
                Finding::ok(PORT, found("is left from before; the server puts its own in that place"))
            }
            Err(why) => Finding::fail(PORT, found(&format!("cannot be asked: {why}")), "look as the server's user"),
            Ok(stream) => {
                let patience = |stream: &UnixStream, time: Duration| {
                    stream.set_read_timeout(Some(time)).and_then(|()| stream.set_write_timeout(Some(time)))
                };
                let answer = patience(&stream, DOCTOR_WAIT_MAX).and_then(|()| answer_of(stream));
                taken(listen, &ErrorKind::AddrInUse.into(), is_in_use, answer)
            }
        },
    }
}
