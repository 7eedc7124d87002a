//! Clients that mean no good, or do not know what they do: after each of them the server goes on.
//! It must not test what well-behaved clients rely on.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::raw::{Raw, ask, post};
use super::support::process::rss_kib;
use super::support::until;
use super::{Setup, error_of};

const HUGE: usize = 10 * 1024 * 1024;

#[test]
fn a_huge_body_is_413_and_the_client_gets_to_read_that() {
    let test = Setup::new(&[]);
    let head =
        |more: &str| format!("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\n{more}Content-Length: {HUGE}\r\n\r\n");
    // A client that asks first need not send it.
    let mut raw = Raw::connect(&test.api().address);
    raw.send(head("Expect: 100-continue\r\n"));
    let reply = raw.answer();
    assert_eq!((reply.status, error_of(&reply.json())), (413, "the request body is too large"));
    raw.ends();
    // One that does not ask sends it all, and reads only then.
    let mut raw = Raw::connect(&test.api().address);
    raw.send(head(""));
    let mut sender = raw.sender();
    for _ in 0..HUGE / 65_536 {
        sender.write_all(&[b'x'; 65_536]).expect("the server takes it and throws it away");
    }
    assert_eq!(raw.answer().status, 413);
    raw.ends();
    // The same in chunks: too large only in the middle.
    let mut raw = Raw::connect(&test.api().address);
    raw.send("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..64 {
        raw.send(format!("4000\r\n{}\r\n", "x".repeat(0x4000)));
    }
    assert_eq!(raw.answer().status, 413);
    test.is_well();
}

#[test]
fn a_huge_head_is_refused() {
    let test = Setup::new(&[]);
    let reply =
        ask(&test.api().address, format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(10_000)));
    assert_eq!((reply.status, error_of(&reply.json())), (431, "the request head is too large"));
    // A line that never ends.
    let mut raw = Raw::connect(&test.api().address);
    raw.send("GET /".to_owned() + &"x".repeat(100_000));
    assert_eq!(raw.answer().status, 414);
    // A chunk whose framing is larger than all it holds.
    let mut raw = Raw::connect(&test.api().address);
    raw.send("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    raw.send(format!("1;{}", "x".repeat(200_000)));
    let reply = raw.answer();
    assert!(matches!(reply.status, 400 | 413), "{reply:?}");
    test.is_well();
}

#[test]
fn what_is_not_http_is_refused() {
    let test = Setup::new(&[]);
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec();
    let mut noise = Vec::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise.extend_from_slice(&state.to_le_bytes());
    }
    let gibberish: [&[u8]; 7] = [
        &hello,
        &noise,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"GET\r\n\r\n",
        b"{\"schedule\":\"@daily\"}\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    for bytes in gibberish {
        let mut raw = Raw::connect(&test.api().address);
        raw.send(bytes);
        let reply = raw.answer();
        assert!(matches!(reply.status, 400 | 414 | 501 | 505), "{:?}: {reply:?}", String::from_utf8_lossy(bytes));
        error_of(&reply.json());
        raw.ends();
        test.is_well();
    }
}

#[test]
fn what_a_client_sent_does_not_come_back_as_a_header_or_markup() {
    let test = Setup::new(&[]);
    let reply = ask(&test.api().address, "GET /api/jobs?%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((reply.status, reply.header("x-evil")), (400, ""));
    let reply = ask(&test.api().address, post(r#"{"schedule":"@daily","api":"http://a/","type":"<b>\r\n\r\n"}"#, ""));
    assert_eq!((reply.status, reply.header("content-type")), (400, "application/problem+json"));
    error_of(&reply.json());
    test.is_well();
}

/// The one slow test: the time limit of a request is 10 s.
#[test]
fn half_a_request_and_silence_ends() {
    let test = Setup::new(&[]);
    let begin = Instant::now();
    let start = |bytes: &str| {
        let mut raw = Raw::connect(&test.api().address);
        raw.send(bytes);
        raw
    };
    let mut told = [
        start("GET /api/in"),
        start("GET /api/info HTTP/1.1\r\nHost: localhost\r\n"),
        start("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"),
        start("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
    ];
    let mut silent = start("");
    // Something now and then is no better than nothing: the limit holds for the whole request.
    let mut dripping = start("GET /");
    let mut sender = dripping.sender();
    std::thread::spawn(move || {
        while sender.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    for raw in &mut told {
        let reply = raw.answer();
        assert_eq!((reply.status, error_of(&reply.json())), (408, "the request did not arrive in time"));
        raw.ends();
    }
    silent.ends();
    assert_eq!(dripping.answer().status, 408);
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    test.is_well();
}

#[test]
fn clients_that_leave_at_any_point_cost_nothing() {
    let test = Setup::new(&[]);
    let whole = post(&super::support::api::job("@daily", "http://a/").to_string(), "");
    for length in (0..whole.len()).step_by(7) {
        let mut stream = TcpStream::connect(&test.api().address).expect("the server listens");
        stream.write_all(&whole.as_bytes()[..length]).expect("the server reads");
    }
    // Asked, and gone before the answer; the change happens all the same, or not at all.
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&test.api().address).expect("the server listens");
        stream.write_all(whole.as_bytes()).expect("the server reads");
        stream.shutdown(Shutdown::Both).expect("it is connected");
    }
    // A client that has sent all it wants, and says so, still gets its answer.
    let mut raw = Raw::connect(&test.api().address);
    raw.send(&whole);
    raw.sender().shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(raw.answer().status, 201);
    until("every connection but ours is closed", || {
        (test.api().get("/api/metrics")["connections"].as_u64() <= Some(1)).then_some(())
    });
    test.is_well();
}

#[test]
fn more_idle_connections_than_the_server_holds_do_not_shut_others_out() {
    let test = Setup::new(&[]);
    let request = "GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut resting = Vec::new();
    for _ in 0..1_100 {
        let mut raw = Raw::connect(&test.api().address);
        raw.send(request);
        assert_eq!(raw.answer().status, 200);
        resting.push(raw);
    }
    test.is_well();
    let open = test.api().get("/api/metrics")["connections"].as_u64();
    assert!(open <= Some(1_024), "{open:?}");
    // The newest are still good.
    let newest = resting.last_mut().expect("there are many");
    newest.send(request);
    assert_eq!(newest.answer().status, 200);
}

#[test]
fn more_silent_connections_than_the_server_holds_do_not_shut_others_out() {
    let test = Setup::new(&[]);
    let begin = Instant::now();
    let silent: Vec<TcpStream> =
        (0..1_100).map(|_| TcpStream::connect(&test.api().address).expect("the server listens")).collect();
    test.is_well();
    // Well before the silent ones reach their time limit of 10 s.
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    drop(silent);
    test.is_well();
}

#[test]
fn a_request_is_not_smuggled_past_the_first_one() {
    let test = Setup::new(&[]);
    let smuggled = post(&super::support::api::job("@daily", "http://a/").to_string(), "");
    for lines in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 5",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
    ] {
        let mut raw = Raw::connect(&test.api().address);
        raw.send(format!("GET /api/info HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n0\r\n\r\n{smuggled}"));
        let reply = raw.answer();
        assert!(matches!(reply.status, 400 | 501), "{lines}: {reply:?}");
        // There is one answer, and the end.
        raw.ends();
    }
    assert_eq!(test.api().get("/api/jobs")["jobs"].as_array().map(Vec::len), Some(0));
}

#[test]
fn connections_that_send_one_byte_do_not_shut_others_out() {
    let test = Setup::new(&[]);
    let health = "GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut kept = Raw::connect(&test.api().address);
    kept.send(health);
    assert_eq!(kept.answer().status, 200);
    // Twice as many as there is room for, faster than their time limit frees them.
    let mut trickling = Vec::new();
    for number in 0..2_000 {
        let mut stream = TcpStream::connect(&test.api().address).expect("the server listens");
        stream.write_all(b"G").expect("the server reads");
        trickling.push(stream);
        if number % 20 == 0 {
            assert_eq!(ask(&test.api().address, health).status, 200, "after {number}");
        }
        // Whoever is at rest between two requests is not who makes room.
        if number % 200 == 0 {
            kept.send(health);
            assert_eq!(kept.answer().status, 200, "after {number}");
        }
    }
    let metrics = test.api().get("/api/metrics");
    assert!(metrics["connections"].as_u64() <= Some(1_024), "{metrics}");
    assert!(metrics["refused"]["connectionsEvicted"].as_u64() >= Some(900), "{metrics}");
    drop(trickling);
    test.is_well();
}

#[test]
fn a_client_that_is_always_behind_does_not_fill_the_memory() {
    let test = Setup::new(&[]);
    let memory = || rss_kib(test.server.id());
    for _ in 0..50 {
        test.api().create("@yearly", &format!("http://a/{}", "x".repeat(2_000)));
    }
    let request = "GET /api/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut raw = Raw::connect_with_little_room(&test.api().address);
    // More than the server makes before it is read, and the system takes.
    raw.send(request.repeat(60));
    let Some(before) = memory() else {
        println!("skipped: it needs /proc");
        return;
    };
    let mut read = 0;
    while read < 40 * 1024 * 1024 {
        raw.send(request);
        read += raw.answer().body.len();
        // Meanwhile the server has turned, and has filled up what was read.
        test.is_well();
        test.is_well();
    }
    let after = memory().expect("it was there");
    assert!(after < before + 8 * 1024, "{before} KiB before, {after} after {read} bytes");
    test.is_well();
}
