//! Connections over real sockets, turn by turn: whose request and whose piece is made when, who is cut off, who makes room.
//! It must not wait for time: a turn is a call, and the clock is what the test says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use mio::{Events, Poll, Token};

use super::calls;
use super::connection::Given;
use super::connections::{Asked, Connections, FIRST_TOKEN};
use super::listeners::{Listener, Listeners};
use crate::access::{Scope, Who};
use crate::api::{self, Call, JobsPage, Piece, Stream};
use crate::core::RequestId;
use crate::http::{Response, Status};
use crate::job::Context;
use crate::limits::{
    ACCEPTS_PER_TURN_MAX, ANSWER_PACE_WINDOW, BEHIND_MIN, CONNECTIONS_MAX, LEFT_TIME_MAX, PIECES_PER_TURN_MAX,
    REPLY_TIME_MAX, REQUESTS_AT_ONCE_MAX, UNSENT_MAX,
};
use crate::time::{Instant as Second, MonoUs};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
/// What all connections may hold here: twice what one may.
const UNSENT_MAX_OF_ALL: usize = 2 * UNSENT_MAX;
const ASK: &[u8] = b"GET /api/jobs?limit=1000 HTTP/1.1\r\nHost: a\r\n\r\n";

pub(super) struct World {
    poll: Poll,
    pub(super) connections: Connections,
    pub(super) address: std::net::SocketAddr,
    pub(super) mono: MonoUs,
    /// Until when no pieces are made.
    rest_until: Option<MonoUs>,
}

impl World {
    pub(super) fn new() -> World {
        let poll = Poll::new().expect("there is a poll");
        let address = "127.0.0.1:0".parse().expect("it is an address");
        let listener = mio::net::TcpListener::bind(address).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let entrances =
            Listeners::new(vec![Listener::Tcp { listener, is_ours: true }], None, poll.registry(), Token(0));
        let connections = Connections::new(entrances.expect("it can be watched"), UNSENT_MAX_OF_ALL);
        World { poll, connections, address, mono: MonoUs(1), rest_until: None }
    }

    /// A client that has asked.
    fn client(&self) -> TcpStream {
        self.client_asking(ASK)
    }

    pub(super) fn client_asking(&self, request: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(self.address).expect("somebody listens");
        client.write_all(request).expect("there is room");
        client
    }

    /// A turn of the loop, in which pieces are made by `next`. Those it was asked for.
    pub(super) fn turn(&mut self, mut next: impl FnMut(Stream) -> Given) -> Vec<RequestId> {
        let mut asked_for = Vec::new();
        let anybody = Who::without_token(Some(Scope::Admin));
        self.serve(|request, asked| match asked {
            Asked::Request(asked) => {
                match api::route(&asked, &Context::at(Second::FIRST), anybody).expect("it is a route").call {
                    Call::Jobs(listing) => {
                        let stream = Stream::Jobs(Box::new(JobsPage::of_listing(listing)));
                        Given::Streamed(stream.head(), stream)
                    }
                    Call::Stream(stream) => Given::Streamed(stream.head(), stream),
                    other => panic!("{other:?} is no stream"),
                }
            }
            Asked::Crowded => unreachable!("no body is large"),
            Asked::Refused(refusal) => panic!("{refusal}"),
            Asked::Piece(stream) => {
                asked_for.push(request);
                next(stream)
            }
        });
        asked_for
    }

    /// A turn of the loop, in which everything is answered by `answer`.
    pub(super) fn serve(&mut self, mut answer: impl FnMut(RequestId, Asked) -> Given) {
        self.serve_while(|request, asked| (answer(request, asked), true));
    }

    /// The same, as long as `answer` says that there is time.
    fn serve_while(&mut self, mut answer: impl FnMut(RequestId, Asked) -> (Given, bool)) {
        let mut events = Events::with_capacity(64);
        // Events of a socket of the same machine are there at once; the time is for a machine that is busy.
        let wait = if self.connections.has_more() { 0 } else { 20 };
        self.poll.poll(&mut events, Some(Duration::from_millis(wait))).expect("it can be polled");
        self.connections.note_clients(0);
        for event in events.iter().filter(|event| event.token().0 >= FIRST_TOKEN) {
            self.connections.note(event, self.mono);
        }
        self.connections.accept(self.poll.registry(), self.mono, |_| false);
        self.connections.begin_turn(self.rest_until);
        let mut is_time = true;
        while is_time && let Some(slot) = self.connections.next() {
            self.connections.drive(slot, self.mono, DATE, |request, _, asked| {
                let (given, goes_on) = answer(request, asked);
                is_time = goes_on;
                (given, goes_on)
            });
        }
    }

    pub(super) fn expire(&mut self) {
        self.connections.expire(self.mono, DATE, |overdue| calls::late(overdue).response());
    }

    /// The next request, which is answered later.
    fn one_request(&mut self) -> RequestId {
        for _ in 0..100 {
            let mut asked_for = None;
            self.serve(|request, asked| {
                assert!(matches!(asked, Asked::Request(_)) && asked_for.replace(request).is_none(), "{asked:?}");
                Given::Later
            });
            if let Some(request) = asked_for {
                return request;
            }
        }
        panic!("many turns, and no request comes")
    }

    /// Turns until no piece is asked for any more. How many were.
    fn pieces_until_quiet(&mut self) -> usize {
        let (mut made, mut quiet) = (0, 0);
        while quiet < 20 {
            let asked_for = self.turn(|stream| piece(64 * 1024, Some(stream)));
            made += asked_for.len();
            quiet = if asked_for.is_empty() { quiet + 1 } else { 0 };
            assert!(made < 2_000, "it goes on although nobody reads");
        }
        made
    }

    pub(super) fn open(&self) -> usize {
        self.connections.clients().open
    }

    /// Turns until `is_done`.
    pub(super) fn until(&mut self, mut next: impl FnMut(Stream) -> Given, mut is_done: impl FnMut(&World) -> bool) {
        for _ in 0..2_000 {
            if is_done(self) {
                return;
            }
            self.turn(&mut next);
        }
        panic!("many turns, and it does not come about");
    }
}

/// An answer that is one write.
fn read_answer(client: &mut TcpStream) -> String {
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("it is a socket");
    let mut buffer = vec![0; 4096];
    let count = client.read(&mut buffer).expect("an answer comes");
    String::from_utf8(buffer[..count].to_vec()).expect("it is text")
}

fn piece(length: usize, rest: Option<Stream>) -> Given {
    Given::Piece(Piece { bytes: vec![b'x'; length], rest })
}

#[test]
fn a_turn_makes_one_piece_and_clients_take_turns() {
    let mut world = World::new();
    let clients = [world.client(), world.client(), world.client()];
    let mut order = Vec::new();
    while order.len() < 60 {
        let asked_for = world.turn(|stream| piece(10, Some(stream)));
        assert!(asked_for.len() <= PIECES_PER_TURN_MAX as usize, "{asked_for:?}");
        order.extend(asked_for);
    }
    for three in order[order.len() - 30..].chunks(3) {
        assert!(three[0] != three[1] && three[1] != three[2] && three[2] != three[0], "{order:?}");
    }
    drop(clients);
}

#[test]
fn pieces_rest_until_their_time_and_then_go_on_to_the_end() {
    let mut world = World::new();
    let mut client = world.client_asking(b"GET /api/jobs HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut left = 3;
    let mut next = |stream: Stream| {
        left -= 1;
        piece(100, (left > 0).then_some(stream))
    };
    while world.turn(&mut next).is_empty() {}
    let until = world.mono.plus(Duration::from_millis(5));
    world.rest_until = Some(until);
    for _ in 0..3 {
        assert!(world.turn(&mut next).is_empty(), "they rest");
    }
    assert!(!world.connections.has_more(), "the loop must not turn for them meanwhile");
    assert_eq!(world.connections.deadline(), Some(until), "but wake up when they go on");
    world.rest_until = None;
    let mut pieces = 1;
    while pieces < 3 {
        pieces += world.turn(&mut next).len();
    }
    let unsent = |world: &World| world.connections.clients().unsent > 0 || world.connections.has_more();
    world.until(&mut next, |world| !unsent(world));
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("it is a socket");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it is sent and closed");
    assert!(answer.ends_with("0\r\n\r\n"), "the answer is whole: {answer}");
}

#[test]
fn a_client_that_does_not_read_stops_the_pieces_and_is_cut_off_in_time() {
    let mut world = World::new();
    let _silent = world.client();
    // The system takes a few megabytes for it.
    assert!(world.pieces_until_quiet() > 1, "the first piece is asked for whatever the client does");
    assert!(world.connections.clients().unsent > 0);
    // What the system takes counts as read; but it does not go on taking.
    for _ in 0..4 {
        world.mono = world.mono.plus(ANSWER_PACE_WINDOW - Duration::from_secs(1));
        world.expire();
        world.pieces_until_quiet();
        assert_eq!(world.open(), usize::from(world.connections.clients().too_slow == 0));
        world.mono = world.mono.plus(Duration::from_secs(1));
        world.expire();
        world.pieces_until_quiet();
    }
    assert_eq!((world.open(), world.connections.clients().too_slow, world.connections.clients().unsent), (0, 1, 0));
}

#[test]
fn an_answer_that_comes_too_late_finds_nobody_and_the_next_request_its_own() {
    let mut world = World::new();
    let mut client = TcpStream::connect(world.address).expect("somebody listens");
    let change = "DELETE /api/jobs/x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let read = "GET /api/alerts HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut late = Vec::new();
    for (request, why) in [(change, "not on disk yet"), (read, "reading took too long"), (change, "GET tells")] {
        client.write_all(request.as_bytes()).expect("there is room");
        let asked = world.one_request();
        assert!(!late.contains(&asked), "a number names one request");
        world.mono = world.mono.plus(REPLY_TIME_MAX - Duration::from_secs(1));
        world.expire();
        world.serve(|_, _| panic!("nothing is asked"));
        world.mono = world.mono.plus(Duration::from_secs(1));
        world.expire();
        world.serve(|_, _| panic!("nothing is asked"));
        let answer = read_answer(&mut client);
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains(why), "{answer}");
        assert!(answer.contains("Retry-After: ") && !answer.contains("Connection: close"), "{answer}");
        late.push(asked);
    }
    client.write_all(read.as_bytes()).expect("there is room");
    let asked = world.one_request();
    for request in late {
        world.connections.give(request, Given::Answer(Response::new(Status::CREATED, Vec::new())), DATE, world.mono);
    }
    world.connections.give(asked, Given::Answer(Response::new(Status::OK, b"mine".to_vec())), DATE, world.mono);
    world.serve(|_, _| panic!("nothing is asked"));
    let answer = read_answer(&mut client);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("mine"), "{answer}");
}

#[test]
fn a_client_that_gave_up_frees_its_slot_while_its_answer_is_pending() {
    let mut world = World::new();
    let request = "DELETE /api/jobs/x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for shutdown in [None, Some(Shutdown::Write)] {
        let mut client = TcpStream::connect(world.address).expect("somebody listens");
        client.write_all(request.as_bytes()).expect("there is room");
        world.one_request();
        match shutdown {
            None => drop(client),
            Some(how) => client.shutdown(how).expect("it is connected"),
        }
        for _ in 0..3 {
            world.serve(|_, _| panic!("nothing is asked"));
        }
        assert_eq!(world.open(), 1, "it may still listen");
        world.mono = world.mono.plus(LEFT_TIME_MAX);
        world.expire();
        assert_eq!(world.open(), 0);
    }
}

#[test]
fn requests_of_many_are_answered_in_turn_and_none_is_left_out() {
    let mut world = World::new();
    let request = "GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let clients: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut client = TcpStream::connect(world.address).expect("somebody listens");
            client.write_all(request.repeat(4 * REQUESTS_AT_ONCE_MAX).as_bytes()).expect("there is room");
            client
        })
        .collect();
    // Each turn has time for five requests, wherever that is.
    let (mut slots, mut turns) = (Vec::new(), 0);
    while slots.len() < clients.len() * 4 * REQUESTS_AT_ONCE_MAX {
        let mut left = 5;
        world.serve_while(|request, _| {
            slots.push(request.0 & 0xffff);
            left -= 1;
            (Given::Answer(Response::new(Status::OK, Vec::new())), left > 0)
        });
        turns += 1;
        assert!(turns < 1_000, "{slots:?}");
    }
    // Whoever had its share comes again when all others had theirs.
    let shares: Vec<u64> = slots.chunk_by(|one, two| one == two).map(|share| share[0]).collect();
    // As long as all have something to ask.
    for window in shares[..2 * clients.len()].windows(clients.len()) {
        assert!((1..window.len()).all(|at| !window[..at].contains(&window[at])), "{shares:?}");
    }
}

#[test]
fn whoever_was_not_come_to_is_come_to_without_a_wait() {
    let mut world = World::new();
    let health = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let ok = || Given::Answer(Response::new(Status::OK, Vec::new()));
    // More than are let in at once.
    let mut clients: Vec<TcpStream> = (0..ACCEPTS_PER_TURN_MAX + 1).map(|_| world.client_asking(health)).collect();
    world.serve(|_, _| ok());
    assert_eq!(world.open(), ACCEPTS_PER_TURN_MAX);
    assert!(world.connections.has_more(), "one waits outside");
    while world.open() < clients.len() || world.connections.has_more() {
        world.serve(|_, _| ok());
    }
    clients.iter_mut().for_each(|client| client.write_all(health).expect("there is room"));
    let mut answered = 0;
    while answered < ACCEPTS_PER_TURN_MAX / 2 {
        // A turn has time for one of them.
        world.serve_while(|_, _| {
            answered += 1;
            (ok(), false)
        });
        assert!(world.connections.has_more(), "others have asked");
    }
    while world.connections.has_more() {
        world.serve(|_, _| ok());
    }
    assert_eq!(world.open(), clients.len(), "nobody asks any more");
}

#[test]
fn one_byte_connections_do_not_keep_the_house_full() {
    let mut world = World::new();
    let trickle = |world: &World| {
        let mut client = TcpStream::connect(world.address).expect("somebody listens");
        client.write_all(b"G").expect("there is room");
        client
    };
    let ok = |_, _| Given::Answer(Response::new(Status::OK, Vec::new()));
    // More than there is room for, and among them somebody with a question, again and again.
    let mut trickling = Vec::new();
    for round in 0..CONNECTIONS_MAX * 2 / 50 {
        trickling.extend((0..50).map(|_| trickle(&world)));
        let mut client = TcpStream::connect(world.address).expect("somebody listens");
        client.write_all(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("there is room");
        for _ in 0..4 {
            world.serve(ok);
        }
        let answer = read_answer(&mut client);
        assert!(answer.starts_with("HTTP/1.1 200 "), "round {round}: {answer}");
    }
    let clients = world.connections.clients();
    assert!(clients.open <= CONNECTIONS_MAX && clients.evicted >= CONNECTIONS_MAX as u64 / 2, "{clients:?}");
    // The oldest went.
    let is_open = |client: &TcpStream| {
        client.set_nonblocking(true).expect("it is a socket");
        let mut client = client;
        matches!(client.read(&mut [0]), Err(why) if why.kind() == std::io::ErrorKind::WouldBlock)
    };
    assert!(!is_open(&trickling[0]) && is_open(&trickling[trickling.len() - 1]));
}

#[test]
fn all_clients_together_hold_no_more_unsent_than_they_may() {
    let mut world = World::new();
    let request = "GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(world.address).expect("it listens")).collect();
    for client in &mut silent {
        client.write_all(request.repeat(500).as_bytes()).expect("there is room");
    }
    // The system takes megabytes for each of them; with what is left they reach what all may hold, but for one answer
    // each: one that has nothing unsent may begin.
    let answer = 64 * 1024;
    let mut quiet = 0;
    while quiet < 20 {
        let mut answered = 0;
        world.serve(|_, _| {
            answered += 1;
            Given::Answer(Response::new(Status::OK, vec![b'x'; answer]))
        });
        quiet = if answered == 0 { quiet + 1 } else { 0 };
        let held = world.connections.clients().unsent;
        assert!(held <= UNSENT_MAX_OF_ALL + (silent.len() + 1) * (answer + 300), "{held}");
    }
    let held = world.connections.clients().unsent;
    assert!(held > UNSENT_MAX_OF_ALL, "each alone could hold half of it: {held}");
    // Somebody who reads is served.
    let mut client = TcpStream::connect(world.address).expect("somebody listens");
    client.write_all(request.as_bytes()).expect("there is room");
    for _ in 0..4 {
        world.serve(|_, _| Given::Answer(Response::new(Status::OK, b"well".to_vec())));
    }
    assert!(read_answer(&mut client).ends_with("well"));
    drop(silent);
    world.until(|_| panic!("there is no stream"), |world| world.connections.clients().unsent == 0);
}

#[test]
fn who_is_behind_with_an_answer_for_long_makes_room_for_others() {
    let mut world = World::new();
    let request = "GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(500);
    let mut behind = Vec::new();
    for number in 0..2 {
        world.mono = MonoUs(1 + number * 1_000_000);
        let mut client = TcpStream::connect(world.address).expect("it listens");
        client.write_all(request.as_bytes()).expect("there is room");
        let mut quiet = 0;
        while quiet < 20 {
            let before = world.connections.clients().unsent;
            world.serve(|_, _| Given::Answer(Response::new(Status::OK, vec![b'x'; 64 * 1024])));
            quiet = if world.connections.clients().unsent == before { quiet + 1 } else { 0 };
        }
        behind.push(client);
    }
    assert_eq!(world.open(), 2);
    let first = MonoUs(1).plus(BEHIND_MIN);
    assert!(!world.connections.evict(MonoUs(first.0 - 1)), "nobody is for long");
    assert!(world.connections.evict(first) && world.open() == 1);
    assert!(!world.connections.evict(first), "the other one came later");
    assert!(world.connections.evict(first.plus(Duration::from_secs(1))) && world.open() == 0);
    drop(behind);
}

#[test]
fn a_client_that_leaves_ends_the_stream() {
    let mut world = World::new();
    let client = world.client();
    world.until(|stream| piece(1_000, Some(stream)), |world| world.open() == 1);
    for _ in 0..10 {
        world.turn(|stream| piece(1_000, Some(stream)));
    }
    client.shutdown(Shutdown::Both).expect("it is connected");
    drop(client);
    world.until(|stream| piece(1_000, Some(stream)), |world| world.open() == 0);
    assert!(!world.connections.has_more());
}

#[test]
fn a_piece_may_come_later() {
    let mut world = World::new();
    let mut client = world.client();
    let (mut waiting, mut streams) = (Vec::new(), Vec::new());
    while waiting.is_empty() {
        let streams = &mut streams;
        waiting = world.turn(|stream| {
            streams.push(stream);
            Given::Later
        });
    }
    // Until it is there, no other is asked for, and no time runs.
    assert_eq!(world.turn(|_| panic!("one is on its way")), []);
    world.mono = world.mono.plus(ANSWER_PACE_WINDOW * 10);
    world.expire();
    let (request, stream) = (waiting[0], streams[0].clone());
    world.connections.give(request, piece(3, Some(stream.clone())), DATE, world.mono);
    let again = loop {
        let asked_for = world.turn(|_| Given::Later);
        if !asked_for.is_empty() {
            break asked_for;
        }
    };
    assert_eq!(again, waiting);
    // Nothing is not the end.
    world.connections.give(request, piece(0, Some(stream)), DATE, world.mono);
    while world.turn(|_| Given::Later).is_empty() {}
    world.connections.give(request, piece(2, None), DATE, world.mono);
    world.turn(|_| panic!("that was the last"));
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(b"0\r\n\r\n") {
        let count = client.read(&mut buffer).expect("the connection holds");
        answer.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8(answer).expect("it is text");
    assert!(text.ends_with("\r\n\r\n3\r\nxxx\r\n2\r\nxx\r\n0\r\n\r\n"), "{text}");
    // One for a request that is over is for nobody.
    world.connections.give(request, piece(2, None), DATE, world.mono);
    world.connections.give(RequestId(u64::MAX), piece(2, None), DATE, world.mono);
    assert_eq!(world.turn(|_| panic!("there is no stream")), []);
}

#[test]
fn where_another_process_goes_on_whoever_has_come_is_awaited_and_answered_once() {
    let mut world = World::new();
    world.connections.hand_over();
    assert!(!world.connections.has_asking(), "nobody has come");
    let mut client = world.client();
    let request = world.one_request();
    let silent = TcpStream::connect(world.address).expect("somebody listens");
    let nothing = |_: RequestId, asked: Asked| panic!("{asked:?}");
    for turn in 0.. {
        if world.open() == 2 {
            break;
        }
        assert!(turn < 1_000, "it is not accepted");
        world.serve(nothing);
    }
    world.connections.give(request, Given::Answer(Response::new(Status::OK, Vec::new())), DATE, world.mono);
    world.serve(nothing);
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("the connection ends behind the answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(world.connections.has_asking(), "somebody has come and may ask");
    drop((client, silent));
    for turn in 0.. {
        if !world.connections.has_asking() {
            break;
        }
        assert!(turn < 1_000, "nobody is there any more");
        world.serve(nothing);
    }
}
