//! Sockets that the server was started with: served in place of its own or as `--listen` names them, and never closed by
//! it, so that nobody is refused while one server follows another.
//! It must not test what the API answers.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::raw::{Raw, Reply};
use super::support::receiver::{Receiver, Script};
use super::support::server::{Server, command};
use super::support::service::{Notified, inheriting};
use super::support::{PATIENCE, until};
use super::tls::Files;
use super::{once_at, this_second, with_few_workers};

/// A socket that the test listens on, as systemd would.
fn listening() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    (listener, address)
}

fn copy(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().expect("it can be cloned").into()
}

/// A server with these flags, without any that says where it listens.
fn without_address(db: &Path, flags: &[&str]) -> Command {
    let mut command = command(&with_few_workers(flags));
    command.arg("--db").arg(db).args(["--log", "error"]);
    command
}

fn get(stream: TcpStream) -> std::io::Result<Option<Reply>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut raw = Raw::over(stream);
    raw.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    raw.try_answer(true)
}

#[test]
fn what_is_inherited_is_served_in_place_of_the_default_and_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let (listener, address) = listening();
    let path = folder.path().join("held.sock");
    let unix = UnixListener::bind(&path).expect("it is free");
    let file = || fs::symlink_metadata(&path).map(|found| (found.ino(), found.mode())).expect("it is there");
    let before = file();
    let db = folder.path().join("p.db");
    let sockets = vec![copy(&listener), unix.try_clone().expect("it can be cloned").into()];
    let server = Server::spawn_quietly(inheriting(&without_address(&db, &[]), sockets));
    let said = format!("listens on http://{address}\n  and on unix:{}\n", path.display());
    assert!(server.greeting.contains(&said), "nothing else is listened on: {}", server.greeting);
    server.api.create("@daily", "http://a/");
    let mut raw = Raw::over(std::os::unix::net::UnixStream::connect(&path).expect("it is listened on"));
    raw.send("GET /api/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.answer().json()["jobs"].as_array().map(Vec::len), Some(1));
    server.stop();
    assert_eq!(file(), before, "the file of a socket that is not ours is left alone");

    // Nobody accepts, and nobody is refused: the next server answers.
    let waiting = TcpStream::connect(&address).expect("it is listened on all the same");
    let again = Server::spawn(inheriting(&without_address(&db, &[]), vec![copy(&listener)]));
    assert_eq!(get(waiting).expect("it is answered").expect("with something").status, 200);
    again.stop();
}

#[test]
fn an_address_that_listen_names_is_what_it_says_there_and_others_join_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = Files::new();
    files.certify();
    let (cert, key) = (files.text("cert.pem"), files.text("key.pem"));
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let db = folder.path().join("p.db");
    let ((named, plain), (unnamed, secure)) = (listening(), listening());
    let listen = format!("http://{plain},https://127.0.0.1:0");
    let flags = [&tls[..], &["--listen", &listen]].concat();
    let command = inheriting(&without_address(&db, &flags), vec![copy(&named), copy(&unnamed)]);
    let server = Server::spawn_quietly(command);
    let addresses: Vec<&str> =
        server.greeting.lines().filter_map(|line| line.split_once(" on ")).map(|(_, at)| at).collect();
    // In the order of --listen, then what it does not name, over TLS as there is a certificate.
    let [first, own, last] = addresses[..] else { panic!("{}", server.greeting) };
    assert_eq!((first, last), (format!("http://{plain}").as_str(), format!("https://{secure}").as_str()));
    assert!(own.starts_with("https://127.0.0.1:") && own != last, "{own}");
    assert_eq!(get(TcpStream::connect(&plain).expect("it listens")).unwrap().expect("an answer").status, 200);
    // Over TLS whoever speaks plain is told so, which only who speaks TLS does.
    assert_eq!(get(TcpStream::connect(&secure).expect("it listens")).unwrap().expect("an answer").status, 400);
    server.stop();
}

#[test]
fn what_others_reach_takes_a_token_whoever_listens_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("there is a free port");
    let at: SocketAddr = listener.local_addr().expect("it is bound");
    let refused =
        Server::refused(inheriting(&without_address(&folder.path().join("p.db"), &[]), vec![copy(&listener)]));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains(&at.to_string()) && refused.stderr.contains("token"), "{}", refused.stderr);
}

#[test]
fn what_is_of_no_use_is_named_and_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let (listener, address) = listening();
    let connection = TcpStream::connect(&address).expect("it is listened on");
    let file = fs::File::create(folder.path().join("file")).expect("it can be made");
    let unbound = std::net::UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
    for (what, why) in
        [(OwnedFd::from(connection), "a connection"), (file.into(), "not a socket"), (unbound.into(), "tcp socket")]
    {
        let refused = Server::refused(inheriting(&without_address(&db, &[]), vec![what]));
        assert_eq!((refused.code, refused.stderr.lines().count()), (Some(2), 1), "{}", refused.stderr);
        let line = refused.stderr.as_str();
        assert!(line.starts_with("punctual: LISTEN_FDS: expected") && line.contains(why), "{line}");
    }
    let mut many = without_address(&db, &[]);
    many.env("LISTEN_FDS", "9");
    let refused = Server::refused(many);
    assert!(refused.code == Some(2) && refused.stderr.contains("at most 8 sockets"), "{}", refused.stderr);
    // A certificate that protects nothing.
    let files = Files::new();
    files.certify();
    let (cert, key) = (files.text("cert.pem"), files.text("key.pem"));
    let unix = UnixListener::bind(folder.path().join("held.sock")).expect("it is free");
    let flags = ["--tls-cert", cert.as_str(), "--tls-key", &key];
    let refused = Server::refused(inheriting(&without_address(&db, &flags), vec![unix.into()]));
    assert!(refused.code == Some(1) && refused.stderr.contains("--tls-cert: expected"), "{}", refused.stderr);
    assert!(!db.exists());
    drop(listener);
}

#[test]
fn sockets_that_are_meant_for_another_process_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = without_address(&folder.path().join("p.db"), &["--listen", "127.0.0.1:0"]);
    command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    let server = Server::spawn(command);
    assert_eq!(server.api.get("/api/health")["status"], "healthy");
    server.stop();
}

/// Clients that connect, ask and leave, one after the other, until told to stop. What each was answered, or the number of
/// those that were answered 200 by then.
struct Clients {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<Result<(), String>>>,
}

impl Clients {
    fn start(count: usize, address: &str) -> Clients {
        let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..count).map(|_| {
            let (is_over, answered, address) = (Arc::clone(&is_over), Arc::clone(&answered), address.to_owned());
            std::thread::spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let stream = TcpStream::connect(&address).map_err(|why| format!("refused: {why}"))?;
                    match get(stream) {
                        Ok(Some(reply)) if matches!(reply.status, 200 | 503) => answered.fetch_add(1, Ordering::SeqCst),
                        other => return Err(format!("not answered: {other:?}")),
                    };
                }
                Ok(())
            })
        });
        Clients { threads: threads.collect(), is_over, answered }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    fn finish(self) {
        self.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("it does not panic").expect("nobody is turned away");
        }
    }
}

#[test]
fn nobody_is_refused_or_cut_off_while_one_server_follows_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let (listener, address) = listening();
    let start = || Server::spawn(inheriting(&without_address(&db, &[]), vec![copy(&listener)]));
    let mut server = start();
    let clients = Clients::start(4, &address);
    for _ in 0..5 {
        let before = clients.answered();
        until("clients are answered", || (clients.answered() >= before + 50).then_some(()));
        server.stop();
        // They wait meanwhile.
        server = start();
    }
    let before = clients.answered();
    until("clients are answered", || (clients.answered() >= before + 50).then_some(()));
    clients.finish();
    server.stop();
}

#[test]
fn whoever_comes_while_a_server_stops_is_left_to_the_next_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    let notified = Notified::new(folder.path());
    let receiver = Receiver::start();
    receiver.script("/slow", Script::SlowMs(4_000));
    let (listener, address) = listening();
    let start = || {
        let mut command = without_address(&db, &[]);
        command.env("NOTIFY_SOCKET", notified.path());
        Server::spawn(inheriting(&command, vec![copy(&listener)]))
    };
    let server = start();
    let mut kept = Raw::connect(&address);
    kept.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_ne!(kept.answer().header("connection"), "close");
    server.api.create(&once_at(this_second() + 3), &receiver.url("/slow"));
    until("a POST", || receiver.posts_to("/slow").pop());
    server.signal("TERM");
    notified.next_with("STOPPING=1");
    // Who is connected is answered, and asks the next one after that.
    kept.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let last = kept.answer();
    assert_eq!((last.status, last.header("connection")), (503, "close"));
    let waiting = TcpStream::connect(&address).expect("it is listened on");
    assert!(server.wait().success());
    let server = start();
    assert_eq!(get(waiting).expect("it is answered").expect("with something").status, 200, "by one that does not stop");
    assert_eq!(receiver.posts_to("/slow").len(), 1, "what was in flight has finished");
    server.stop();
}

/// `systemd-socket-activate`, which listens, and starts the server at the first connection.
struct Activated(Child);

impl Drop for Activated {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn activating(folder: &Path, address: &str, path: &Path) -> Option<Activated> {
    let log = fs::File::create(folder.join("log")).expect("it can be made");
    let mut command = Command::new("systemd-socket-activate");
    command.arg("-l").arg(address).arg("-l").arg(path).arg(env!("CARGO_BIN_EXE_punctual"));
    command.args(["--log", "error", "--max-in-flight", "16", "--db"]).arg(folder.join("p.db"));
    match command.stdin(Stdio::null()).stdout(log).spawn() {
        Ok(child) => Some(Activated(child)),
        Err(why) => {
            let require = std::env::var_os("PUNCTUAL_REQUIRE_SYSTEMD").is_some();
            assert!(!require, "PUNCTUAL_REQUIRE_SYSTEMD is set, and systemd-socket-activate does not start: {why}");
            eprintln!("LEFT OUT: systemd-socket-activate does not start: {why}");
            None
        }
    }
}

#[test]
fn systemd_socket_activate_starts_it_at_the_first_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    // It takes no port 0: one that was free a moment ago.
    // There, as nobody else here listens on that address of this machine.
    let address = TcpListener::bind("127.77.0.1:0").and_then(|free| free.local_addr()).expect("all of 127/8 is ours");
    let address = address.to_string();
    let path: PathBuf = folder.path().join("activated.sock");
    let Some(_activated) = activating(folder.path(), &address, &path) else { return };
    let stream = until("it listens", || TcpStream::connect(&address).ok());
    assert_eq!(get(stream).expect("it is answered").expect("with something").status, 200);
    let greeting = fs::read_to_string(folder.path().join("log")).expect("it was made");
    assert!(greeting.contains(&format!("listens on http://{address}\n")), "{greeting}");
    assert!(greeting.contains(&format!("and on unix:{}\n", path.display())), "{greeting}");
    let stream = std::os::unix::net::UnixStream::connect(&path).expect("it is listened on");
    stream.set_read_timeout(Some(Duration::from_secs(25))).expect("it is a socket");
    let mut raw = Raw::over(stream);
    raw.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.answer().status, 200);
}
