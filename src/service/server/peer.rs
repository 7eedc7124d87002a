//! Owns who is at the other end of a connection, as the connection itself tells it.
//! It must not know what a request says of its client: that is for `proxies`.

use std::net::{IpAddr, Ipv4Addr};

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address. Whoever comes through a unix socket is on this machine, and has that of loopback.
    pub(super) address: IpAddr,
    /// Whether the connection is encrypted.
    pub(super) over_tls: bool,
    /// Whether it came through a unix socket.
    pub(super) is_local_socket: bool,
}

impl Peer {
    /// Over TCP, as it is.
    pub const fn tcp(address: IpAddr) -> Peer {
        Peer { address, over_tls: false, is_local_socket: false }
    }

    /// Over TCP and TLS.
    pub const fn tls(address: IpAddr) -> Peer {
        Peer { over_tls: true, ..Peer::tcp(address) }
    }

    /// Through a unix socket.
    pub const fn local() -> Peer {
        Peer { is_local_socket: true, ..Peer::tcp(IpAddr::V4(Ipv4Addr::LOCALHOST)) }
    }
}
