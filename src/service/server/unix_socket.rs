//! Owns the file of a unix socket: made with its mode, put in the place of one that nobody listens on, removed at the end.
//! The file of one that was inherited is left alone.
//! It must not remove anything that is no socket, or that is somebody else's.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};

use mio::net::{UnixListener, UnixStream};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use crate::limits::CLIENTS_QUEUED_MAX;

/// A unix socket that is listened on. Dropped, its file goes, if it is ours.
#[derive(Debug)]
pub(super) struct UnixSocket {
    pub(super) listener: UnixListener,
    file: Option<OwnFile>,
}

/// The file of a socket that this process made.
#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    /// Device and number of the file: another one may be in its place some day.
    id: (u64, u64),
}

impl UnixSocket {
    /// Listens at this path. Nobody can connect before the file has its mode.
    pub(super) fn bind(path: &Path, mode: u32) -> io::Result<UnixSocket> {
        let address = SocketAddrUnix::new(path).map_err(|why| match why {
            Errno::NAMETOOLONG => io::Error::new(ErrorKind::InvalidInput, "the path is too long for a unix socket"),
            other => other.into(),
        })?;
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        if let Err(why) = rustix::net::bind(&socket, &address) {
            if why != Errno::ADDRINUSE {
                return Err(why.into());
            }
            make_room(path, &address)?;
            rustix::net::bind(&socket, &address)?;
        }
        let made = fs::symlink_metadata(path)?;
        let listener = StdListener::from(socket);
        listener.set_nonblocking(true)?;
        // From here on the file is removed if anything goes wrong.
        let file = OwnFile { path: path.to_owned(), id: (made.dev(), made.ino()) };
        let socket = UnixSocket { listener: UnixListener::from_std(listener), file: Some(file) };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        rustix::net::listen(&socket.listener, CLIENTS_QUEUED_MAX)?;
        Ok(socket)
    }

    /// One that another process listens on as well, which does not block.
    pub(super) fn inherit(listener: StdListener) -> UnixSocket {
        UnixSocket { listener: UnixListener::from_std(listener), file: None }
    }

    /// Whether this process made it.
    pub(super) fn is_ours(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().map(|(stream, _)| stream)
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        let is_ours = |found: fs::Metadata| (found.dev(), found.ino()) == self.id;
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            // If it cannot be removed, the next start does it.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Removes a socket that nobody listens on, as a process leaves it that was killed.
fn make_room(path: &Path, address: &SocketAddrUnix) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file that is no socket; it was left alone"));
    }
    let probe = StdStream::from(rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?);
    probe.set_nonblocking(true)?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path),
        Err(Errno::NOENT) => Ok(()),
        Ok(()) | Err(Errno::AGAIN) => {
            Err(io::Error::new(ErrorKind::AddrInUse, "another process listens on this socket"))
        }
        Err(why) => Err(why.into()),
    }
}
