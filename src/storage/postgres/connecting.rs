//! Owns the way to a server: host after host, encrypted or not, until there is one that takes what is to be done.
//! It must not wait longer than it was told to, nor try a host at the cost of those behind it.

use std::io::ErrorKind;
use std::sync::Arc;

use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::bounds::VERSION_MIN;
use super::cancel::Canceller;
use super::connection::Connection;
use super::error::{Error, Sent};
use super::origin::Standing;
use super::password::looked_up;
use super::socket::{Peer, Socket, Stream, left, peers};
use super::startup::{POOLER, Privacy, log_in};
use super::tls;
use super::url::{Host, Password, Place, Tls, Url};
use super::wire::Wire;
use crate::time::MonoUs;

/// Where a server is, and how to speak to it.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) peer: Peer,
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Connection {
    /// Connects to the first usable host before this moment. It may look up names and read files.
    ///
    /// # Errors
    /// [`Error::Connect`]: each host, and why it is not usable.
    pub fn connect(url: &Url, until: MonoUs) -> Result<Connection, Error> {
        let mut refused = Vec::new();
        let mut config = None;
        for (place, host) in url.hosts.iter().enumerate() {
            match connect_to(url, host, share(url, url.hosts.len() - place, until), &mut config) {
                Ok(connection) => return Ok(connection),
                Err(why) => refused.push((host.to_string(), why)),
            }
        }
        Err(Error::Connect(refused))
    }

    /// Logs in over a stream that is connected already.
    ///
    /// # Errors
    /// When the server is not usable, or does not let us in.
    pub fn over(stream: Box<dyn Stream>, url: &Url, privacy: &Privacy, until: MonoUs) -> Result<Connection, Error> {
        begin(Wire::new(stream), url, url.password.as_ref(), privacy, None, until)
    }
}

/// Until when one of so many hosts may take.
fn share(url: &Url, count: usize, until: MonoUs) -> MonoUs {
    let time = left(until).unwrap_or_default();
    until.min(crate::clock::mono().plus(url.connect_timeout.min(time / u32::try_from(count).unwrap_or(u32::MAX))))
}

fn connect_to(
    url: &Url,
    host: &Host,
    until: MonoUs,
    config: &mut Option<Arc<ClientConfig>>,
) -> Result<Connection, Error> {
    let own;
    let password = match (&url.password, &url.password_file) {
        (None, Some(file)) => {
            own = looked_up(file, host, &url.database, &url.user).map_err(Error::Unusable)?;
            own.as_ref()
        }
        (password, _) => password.as_ref(),
    };
    let tls = match (url.tls_of(host), &host.place) {
        (Tls::Disable, _) | (_, Place::Folder(_)) => None,
        (mode, Place::Network(name)) => {
            if config.is_none() {
                let made = tls::config(mode == Tls::VerifyFull, url.root_file.as_deref()).map_err(Error::Unusable)?;
                *config = Some(Arc::new(made));
            }
            let config = config.clone().expect("it was made if it was not there");
            let named = ServerName::try_from(name.clone());
            Some((config, named.map_err(|_| Error::Unusable("its name cannot be in a certificate".to_owned()))?))
        }
    };
    let peers = peers(host, until).map_err(|why| unreachable(&why))?;
    let mut last = Error::Unusable("its name leads nowhere".to_owned());
    let count = peers.len();
    for (place, peer) in peers.into_iter().enumerate() {
        let until = share(url, count - place, until);
        let way = Way { peer, tls: tls.clone() };
        match open(&way, until).and_then(|(wire, privacy)| begin(wire, url, password, &privacy, Some(way), until)) {
            Ok(connection) => return Ok(connection),
            Err(why) => last = why,
        }
    }
    Err(last)
}

/// Connects, and encrypts if that is wanted.
pub(super) fn open(way: &Way, until: MonoUs) -> Result<(Wire, Privacy), Error> {
    let socket = Socket::connect(&way.peer, until).map_err(|why| unreachable(&why))?;
    let mut wire = Wire::new(Box::new(socket));
    let Some((config, name)) = &way.tls else {
        let privacy = match way.peer {
            Peer::Network(_) => Privacy::Clear,
            Peer::File(_) => Privacy::Local,
        };
        return Ok((wire, privacy));
    };
    frontend::ssl_request(&mut wire.out);
    match wire.byte(until)? {
        b'S' => {}
        b'N' => {
            return Err(Error::Unusable("the server offers no TLS, and nothing is sent in clear (sslmode)".to_owned()));
        }
        _ => return Err(Error::protocol("no answer to whether it speaks TLS")),
    }
    let connection = ClientConnection::new(Arc::clone(config), name.clone());
    wire.encrypt(connection.map_err(|why| Error::Unusable(why.to_string()))?, until)?;
    let end_point = wire.certificate().and_then(tls::end_point);
    Ok((wire, Privacy::Encrypted { end_point }))
}

/// Logs in, and sees whether the server is usable.
fn begin(
    mut wire: Wire,
    url: &Url,
    password: Option<&Password>,
    privacy: &Privacy,
    way: Option<Way>,
    until: MonoUs,
) -> Result<Connection, Error> {
    let greeting = log_in(&mut wire, url, password, privacy, until)?;
    let version = greeting.version.split(|char: char| !char.is_ascii_digit()).next().unwrap_or_default();
    if !version.parse().is_ok_and(|version: u32| version >= VERSION_MIN) {
        let found = &greeting.version;
        return Err(Error::Unusable(format!("PostgreSQL {VERSION_MIN} or later is needed, this is {found:?}")));
    }
    if url.writes {
        if greeting.is_standby {
            return Err(Error::Unusable("it is a standby (target_session_attrs=read-write)".to_owned()));
        }
        if greeting.is_read_only {
            return Err(Error::Unusable("it is read-only (target_session_attrs=read-write)".to_owned()));
        }
    }
    let pid = greeting.pid;
    let canceller = Canceller::new(way, pid, greeting.key);
    let mut connection = Connection::new(wire, greeting, canceller);
    let rows = connection.query(WHO, &[], until)?;
    let row = rows.first()?;
    if row.i32(0)? != pid {
        return Err(Error::Unusable(POOLER.to_owned()));
    }
    if url.writes && (row.bool(1)? || row.text(2)? == "on") {
        return Err(Error::Unusable("it is a standby or read-only (target_session_attrs=read-write)".to_owned()));
    }
    match connection.query(WHENCE, &[], until) {
        Ok(rows) => {
            let row = rows.first()?;
            url.origin.admit(Standing { system: row.i64(0)?, timeline: row.opt_i64(1)? }).map_err(Error::Unusable)?;
        }
        // Who may not ask that, or whose server keeps no such thing, takes any.
        Err(Error::Server(_)) => {}
        Err(why) => return Err(why),
    }
    Ok(connection)
}

/// Which server that is, and how often it was promoted.
const WHENCE: &str = "SELECT system_identifier, CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE ('x' || \
                      left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))::bit(32)::int8 END \
                      FROM pg_catalog.pg_control_system()";

/// Who carries out what is said here. Before PostgreSQL 14 no server tells by itself whether it can write.
const WHO: &str = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery(), \
                   pg_catalog.current_setting('transaction_read_only')";

fn unreachable(why: &std::io::Error) -> Error {
    match why.kind() {
        ErrorKind::TimedOut if why.get_ref().is_none() => Error::Timeout { sent: Sent::Nothing },
        _ => Error::Unusable(why.to_string()),
    }
}
