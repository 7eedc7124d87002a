//! Streamed answers over real sockets, turn by turn: whose piece is made when, and how a stream ends.
//! It must not wait for time: a turn is a call, and the clock is what the test says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::connection::Given;
use super::connections::{Asked, Connections, FIRST_TOKEN};
use crate::api::{self, Call, Piece, Stream};
use crate::core::RequestId;
use crate::limits::{ANSWER_TIME_MAX, PIECES_PER_TURN_MAX};
use crate::time::{MonoUs, WallUs};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const ASK: &[u8] = b"GET /api/jobs?limit=1000 HTTP/1.1\r\nHost: a\r\n\r\n";

struct World {
    poll: Poll,
    connections: Connections,
    address: std::net::SocketAddr,
    mono: MonoUs,
}

impl World {
    fn new() -> World {
        let poll = Poll::new().expect("there is a poll");
        let address = "127.0.0.1:0".parse().expect("it is an address");
        let mut listener = mio::net::TcpListener::bind(address).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        poll.registry().register(&mut listener, Token(0), Interest::READABLE).expect("it can be watched");
        World { poll, connections: Connections::new(listener), address, mono: MonoUs(1) }
    }

    /// A client that has asked.
    fn client(&self) -> TcpStream {
        let mut client = TcpStream::connect(self.address).expect("somebody listens");
        client.write_all(ASK).expect("there is room");
        client
    }

    /// A turn of the loop, in which pieces are made by `next`. Those it was asked for.
    fn turn(&mut self, mut next: impl FnMut(Stream) -> Given) -> Vec<RequestId> {
        let mut events = Events::with_capacity(64);
        // Events of a socket of the same machine are there at once; the time is for a machine that is busy.
        let wait = if self.connections.has_more() { 0 } else { 20 };
        self.poll.poll(&mut events, Some(Duration::from_millis(wait))).expect("it can be polled");
        self.connections.accept(self.poll.registry(), self.mono);
        let ready = events.iter().filter(|event| event.token().0 >= FIRST_TOKEN);
        let mut slots: Vec<(u32, bool)> =
            ready.filter_map(|event| self.connections.slot_of(event.token()).map(|slot| (slot, true))).collect();
        slots.extend(self.connections.take_again().into_iter().map(|slot| (slot, false)));
        let mut asked_for = Vec::new();
        for (slot, readable) in slots {
            self.connections.drive(slot, readable, self.mono, DATE, |request, asked| match asked {
                Asked::Request(asked) => match api::route(&asked, WallUs(0)).expect("it is a route") {
                    Call::Stream(stream) => Given::Streamed(stream.head(), stream),
                    other => panic!("{other:?} is no stream"),
                },
                Asked::Refused(refusal) => panic!("{refusal}"),
                Asked::Piece(stream) => {
                    asked_for.push(request);
                    next(stream)
                }
            });
        }
        asked_for
    }

    /// Turns until `is_done`.
    fn until(&mut self, mut next: impl FnMut(Stream) -> Given, mut is_done: impl FnMut(&World) -> bool) {
        for _ in 0..2_000 {
            if is_done(self) {
                return;
            }
            self.turn(&mut next);
        }
        panic!("many turns, and it does not come about");
    }
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
fn a_client_that_does_not_read_stops_the_pieces_and_is_cut_off_in_time() {
    let mut world = World::new();
    let _silent = world.client();
    let mut made = 0_usize;
    let mut quiet = 0;
    // The system takes a few megabytes for it.
    while quiet < 20 {
        let asked_for = world.turn(|stream| piece(64 * 1024, Some(stream)));
        made += asked_for.len();
        quiet = if asked_for.is_empty() { quiet + 1 } else { 0 };
        assert!(made < 2_000, "it goes on although nobody reads");
    }
    assert!(made > 1, "the first piece is asked for whatever the client does");
    let timeout = super::calls::timed_out();
    world.mono = world.mono.plus(ANSWER_TIME_MAX - Duration::from_secs(1));
    world.connections.expire(world.mono, DATE, &timeout);
    assert_eq!(world.connections.len(), 1);
    world.mono = world.mono.plus(Duration::from_secs(2));
    world.connections.expire(world.mono, DATE, &timeout);
    assert_eq!(world.connections.len(), 0);
}

#[test]
fn a_client_that_leaves_ends_the_stream() {
    let mut world = World::new();
    let client = world.client();
    world.until(|stream| piece(1_000, Some(stream)), |world| world.connections.len() == 1);
    for _ in 0..10 {
        world.turn(|stream| piece(1_000, Some(stream)));
    }
    client.shutdown(Shutdown::Both).expect("it is connected");
    drop(client);
    world.until(|stream| piece(1_000, Some(stream)), |world| world.connections.len() == 0);
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
    world.mono = world.mono.plus(ANSWER_TIME_MAX * 10);
    world.connections.expire(world.mono, DATE, &super::calls::timed_out());
    let (request, stream) = (waiting[0], streams[0]);
    world.connections.give(request, piece(3, Some(stream)), DATE, world.mono);
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
