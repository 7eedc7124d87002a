//! Where the API listens: free, ours, somebody else's.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use super::Machine;
use super::support::server::{Server, command};

/// A program that is no Punctual, until the process ends. Its address.
fn another_program() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 1024];
            if stream.read(&mut asked).is_ok() {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
            }
        }
    });
    address
}

#[test]
fn a_port_that_is_taken_is_told_and_by_whom() {
    let machine = Machine::new();
    let other = another_program();
    let findings = machine.findings(&["--listen", &format!("{other},127.0.0.1:0")]);
    assert_eq!(findings.wrong(), ["port"]);
    findings.has("FAIL", "port", &format!("http://{other} is taken by another program")).has(
        "OK",
        "port",
        "any free one",
    );
    // Documentation has this address, and no machine.
    machine.findings(&["--listen=192.0.2.1:3000"]).has(
        "FAIL",
        "port",
        "http://192.0.2.1:3000 is no address of this machine",
    );

    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    machine.write("home/cert.pem", &made.cert.pem());
    machine.write("home/key.pem", &made.signing_key.serialize_pem());
    let tls = ["--tls-cert=cert.pem", "--tls-key=key.pem"];
    let mut start = machine.set(command(&["--db=p.db", "--max-in-flight=16"]));
    start.args(tls).args(["--listen", "http://127.0.0.1:0,127.0.0.1:0"]);
    let server = Server::spawn(start);
    let (plain, secure) = (format!("http://{}", server.address("http://")), server.address("https://").to_owned());
    let ours = ["--listen", &plain, "--listen", &secure, tls[0], tls[1]];
    let findings = machine.findings(&[&["--db=p.db"], &ours[..]].concat());
    let found = findings.of("port");
    assert!(found.len() == 2 && found.iter().all(|(level, _)| level == "OK"), "{findings:?}");
    findings.has("OK", "port", &format!("{plain} is where the server with this database runs"));
    findings.has("OK", "port", &format!("https://{secure} is where")).has("OK", "database", "a server has it");
    // From the first token on whoever asks needs one.
    let made = machine.set(command(&["token", "create", "--scope=read", "--name=a", "--db=p.db"])).output();
    assert!(made.expect("it runs").status.success());
    machine.findings(&[&["--db=p.db"], &ours[..]].concat()).has("OK", "port", &format!("{plain} is where the server"));
    let findings = machine.findings(&[&["--db=other.db"], &ours[..]].concat());
    findings.has("FAIL", "port", &format!("{plain} is taken by a Punctual that has another database"));
    server.stop();
    machine.findings(&[&["--db=p.db"], &ours[..]].concat()).has("OK", "port", &format!("{plain} is free"));
}

#[test]
fn a_unix_socket_is_free_ours_left_over_or_in_the_way() {
    let machine = Machine::new();
    let at = |name: &str| format!("unix:{}", machine.path(name).display());
    let look = |name: &str| machine.findings(&["--db=p.db", "--listen", &at(name)]);
    look("home/p.sock").has("OK", "port", "p.sock is free");
    assert!(!machine.path("home/p.sock").exists());
    look("none/p.sock").has("FAIL", "port", "has no folder");
    machine.write("home/file", "mine");
    look("home/file").has("FAIL", "port", "no socket");
    let start = || {
        let mut start = machine.set(command(&["--db=p.db", "--max-in-flight=16", "--listen"]));
        start.arg(format!("{},http://127.0.0.1:0", at("home/p.sock")));
        Server::spawn(start)
    };
    let server = start();
    look("home/p.sock").has("OK", "port", "is where the server with this database runs");
    server.kill();
    look("home/p.sock").has("OK", "port", "left from before");
    fs::remove_file(machine.path("home/p.sock")).expect("it is there");
    let listener = UnixListener::bind(machine.path("home/p.sock")).expect("it is free");
    std::thread::spawn(move || listener.incoming().flatten().for_each(drop));
    look("home/p.sock").has("FAIL", "port", "is taken by another program");
}
