//! Where the API listens: several addresses beside each other, and unix sockets with the file that each of them is.
//! It must not test what the API answers.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::Setup;
use super::raw::{Raw, Reply, ask};
use super::start::refused;
use super::support::api::job;
use super::support::server::{Server, command};
use super::support::until;

/// What a client gets that speaks through a unix socket.
fn ask_through(path: &Path, request: &str) -> Reply {
    let stream = UnixStream::connect(path).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(25))).expect("it is a socket");
    let mut raw = Raw::over(stream);
    raw.send(request);
    raw.answer()
}

fn get(host: &str) -> String {
    format!("GET /api/jobs HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777
}

#[test]
fn several_addresses_serve_beside_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let sockets = [folder.path().join("a.sock"), folder.path().join("b.sock")];
    let listen = format!("127.0.0.1:0,unix:{},unix:{}", sockets[0].display(), sockets[1].display());
    let mut command = command(&["--max-in-flight", "1", "--log", "error"]);
    // As the flag would, the variable names several with commas.
    command.arg("--db").arg(folder.path().join("p.db")).env("PUNCTUAL_LISTEN", listen);
    let server = Server::spawn(command);
    for path in &sockets {
        assert!(server.greeting.contains(&format!("unix:{}", path.display())), "{}", server.greeting);
        assert_eq!(mode(path), 0o660);
    }
    server.api.create("@daily", "http://a/");
    let mut clients = Vec::new();
    for path in &sockets {
        let stream = UnixStream::connect(path).expect("the server listens");
        clients.push(Raw::over(stream));
    }
    // Kept alive and all at once.
    for _ in 0..3 {
        for client in &mut clients {
            client.send(get("localhost").repeat(2));
        }
        for client in &mut clients {
            for _ in 0..2 {
                assert_eq!(client.answer().json()["jobs"].as_array().expect("a list").len(), 1);
            }
        }
    }
    assert_eq!(ask(&server.api.address, get("localhost")).status, 200);
    server.stop();
    assert!(sockets.iter().all(|path| !path.exists()), "a clean stop leaves no socket behind");
}

#[test]
fn whoever_speaks_through_a_unix_socket_is_on_this_machine_and_still_names_a_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.sock");
    let at = format!("unix:{}", path.display());
    let test =
        Setup::new(&["--listen", &at, "--listen-mode", "600", "--trusted-proxy", "127.0.0.1", "--allowed-host", "own"]);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(ask_through(&path, &get("localhost")).status, 200);
    // There may be a proxy at the other end, which passes on what a browser says.
    assert_eq!(ask_through(&path, &get("evil.example")).status, 421);
    let body = job("@daily", "http://a/").to_string();
    let lines =
        "Origin: https://own\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: own\r\nX-Forwarded-For: 192.0.2.1\r\n";
    for (lines, status) in [("", 201), (lines, 201), ("Origin: http://evil.example\r\n", 403)] {
        let request = super::raw::post(&body, &format!("{lines}Content-Type: application/json\r\n"));
        assert_eq!(ask_through(&path, &request).status, status, "{lines}");
    }
    // Whoever sends and goes has sent all the same.
    let mut hasty = UnixStream::connect(&path).expect("it listens");
    hasty.write_all(super::raw::post(&body, "").as_bytes()).expect("there is room");
    drop(hasty);
    until("it is there", || (test.api().get("/api/jobs")["jobs"].as_array().map(Vec::len) == Some(3)).then_some(()));
    // Nobody on this machine can keep the others out.
    let many: Vec<UnixStream> = (0..300).map(|_| UnixStream::connect(&path).expect("it listens")).collect();
    assert_eq!(ask_through(&path, &get("localhost")).status, 200);
    drop(many);
    test.is_well();
}

#[test]
fn a_socket_that_nobody_listens_on_is_replaced_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.sock");
    let at = format!("unix:{}", path.display());
    let (db, other) = (folder.path().join("p.db"), folder.path().join("other.db"));
    let flags = ["--max-in-flight", "1", "--listen", &at];
    let start = || Server::start(&db, &flags);
    start().kill();
    assert!(fs::symlink_metadata(&path).expect("a crash leaves it").file_type().is_socket());
    let server = start();
    assert_eq!(ask_through(&path, &get("localhost")).status, 200);

    // A second server finds that somebody listens, and takes nothing away.
    let refused_at = |what: &str| {
        let text = other.to_str().expect("it is text");
        let line = refused(&["--listen", &at, "--db", text], 1);
        assert!(line.contains(&at) && line.contains(what), "{line}");
        assert!(!other.exists(), "nothing is made before the socket is ours");
    };
    refused_at("another process listens");
    assert_eq!(ask_through(&path, &get("localhost")).status, 200);
    server.stop();
    assert!(!path.exists());

    // What is no socket is left alone, also if it only leads to one.
    fs::write(&path, "mine").expect("it can be written");
    refused_at("no socket");
    assert_eq!(fs::read(&path).expect("it is still there"), b"mine");
    fs::remove_file(&path).expect("it is there");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &path).expect("it can be made");
    refused_at("no socket");
    fs::remove_file(&path).expect("it is still there");

    // A server removes its own file only.
    let server = start();
    fs::remove_file(&path).expect("it is there");
    fs::write(&path, "mine").expect("it can be written");
    server.stop();
    assert_eq!(fs::read(&path).expect("it is still there"), b"mine");
}

#[test]
fn what_cannot_be_listened_on_is_named_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.sock");
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let taken = other.local_addr().expect("it is bound").to_string();
    let line = refused(&["--listen", &format!("unix:{}", path.display()), "--listen", &taken], 1);
    assert!(line.contains(&taken) && !path.exists(), "{line}");
    let long = format!("unix:{}", folder.path().join("x".repeat(120)).display());
    assert!(refused(&["--listen", &long], 1).contains("too long"));
    assert!(
        refused(&["--listen", "unix:/nowhere/at/all.sock"], 1)
            .contains("unix:/nowhere/at/all.sock: there is no such folder")
    );
}
