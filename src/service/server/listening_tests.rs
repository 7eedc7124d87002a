//! Connections that listen to events, over real sockets, turn by turn: when they are woken, what breaks their silence, what
//! room they take, and what becomes of who does not read.
//! It must not wait for time: a turn is a call, and the clock is what the test says.

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::connection::Given;
use super::connections_tests::World;
use super::events::Events;
use crate::api::{Piece, Stream};
use crate::core::Notice;
use crate::http::{Response, Status};
use crate::limits::{
    ANSWER_PACE_WINDOW, CONNECTIONS_MAX, EVENT_CLIENTS_MAX, EVENT_SILENCE_MAX, EVENT_WAIT_MAX, EVENTS_KEPT_LEN_MAX,
    PIECE_LEN_MAX, PIECES_PER_TURN_MAX, STREAM_UNSENT_MAX,
};
use crate::time::{Now, WallUs};

const LISTEN: &[u8] = b"GET /api/events HTTP/1.1\r\nHost: a\r\n\r\n";

/// A comment for who was silent, and nothing for others.
fn comment(stream: Stream) -> Given {
    match stream {
        Stream::Events(listening) if listening.is_silent => {
            let rest = Some(Stream::Events(listening.at(1)));
            Given::Piece(Piece { bytes: b": \n\n".to_vec(), rest })
        }
        Stream::Events(_) => Given::Nothing(stream),
        Stream::Jobs(_) | Stream::Export(_) => panic!("nobody asked for jobs"),
    }
}

/// So many clients that listen and rest.
fn resting(world: &mut World, count: usize) -> Vec<TcpStream> {
    let clients = (0..count).map(|_| world.client_asking(LISTEN)).collect();
    world.until(Given::Nothing, |world| world.connections.clients().listeners == count);
    for _ in 0..3 {
        world.turn(Given::Nothing);
    }
    assert!(!world.connections.has_more(), "they cost nothing while they rest");
    clients
}

#[test]
fn who_listens_rests_until_it_is_woken_and_all_are_woken_in_one_turn() {
    let mut world = World::new();
    let clients = resting(&mut world, 10);
    for _ in 0..3 {
        assert_eq!(world.turn(|_| panic!("nothing has happened")), []);
        world.connections.wake_listeners();
        let woken = world.turn(Given::Nothing);
        assert!(woken.len() == clients.len() && woken.len() > PIECES_PER_TURN_MAX as usize, "{woken:?}");
    }
}

#[test]
fn a_comment_breaks_the_silence_and_no_time_limit_ends_it() {
    let mut world = World::new();
    let mut client = resting(&mut world, 1).pop().expect("there is one");
    for _ in 0..100 {
        world.mono = world.mono.plus(EVENT_SILENCE_MAX - Duration::from_secs(1));
        world.expire();
        assert_eq!(world.turn(|_| panic!("it is not long enough")), []);
        world.mono = world.mono.plus(Duration::from_secs(1));
        world.expire();
        // The comment, and that there is nothing behind it.
        assert_eq!(world.turn(comment).len(), 2);
    }
    assert_eq!(world.open(), 1);
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("it is a socket");
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while text.matches("4\r\n: \n\n\r\n").count() < 100 {
        let count = client.read(&mut buffer).expect("they have come");
        text.push_str(std::str::from_utf8(&buffer[..count]).expect("it is text"));
    }
}

#[test]
fn who_has_left_is_found_out_at_once_and_who_only_says_no_more_is_not() {
    let mut world = World::new();
    let mut clients = resting(&mut world, 2);
    clients[0].shutdown(Shutdown::Write).expect("it is connected");
    world.until(comment, |world| !world.connections.has_more());
    for _ in 0..5 {
        world.turn(comment);
    }
    assert_eq!(world.open(), 2, "it listens on");
    drop(clients.pop());
    world.until(comment, |world| world.open() == 1);
    assert_eq!(world.connections.clients().listeners, 1);
}

#[test]
fn who_listens_takes_no_room_from_others() {
    let mut world = World::new();
    let listeners = resting(&mut world, EVENT_CLIENTS_MAX);
    let request = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut others = Vec::new();
    let mut add = |world: &mut World, count| {
        others.extend((0..count).map(|_| world.client_asking(request)));
        for _ in 0..4 {
            world.serve(|_, _| Given::Answer(Response::new(Status::OK, Vec::new())));
        }
        world.connections.clients()
    };
    // Room is made as soon as the house is full, so that the next one finds some.
    for _ in 0..CONNECTIONS_MAX / 64 - 1 {
        add(&mut world, 64);
    }
    let clients = add(&mut world, 63);
    assert_eq!((clients.open, clients.evicted), (CONNECTIONS_MAX - 1 + EVENT_CLIENTS_MAX, 0));
    let clients = add(&mut world, 10);
    assert!(clients.open >= CONNECTIONS_MAX - 1 + EVENT_CLIENTS_MAX && clients.evicted >= 9, "{clients:?}");
    assert_eq!(clients.listeners, listeners.len(), "a full house is full for others only");
}

/// Tells so many long events, as the loop does.
fn tell(world: &mut World, events: &mut Events, count: usize) {
    let name = "x".repeat(4_000);
    for _ in 0..count {
        let now = Now { wall: WallUs(0), mono: world.mono };
        events.note_notice(&Notice::Target { name: name.clone(), failing: true }, now);
    }
    world.mono = world.mono.plus(EVENT_WAIT_MAX);
    while events.is_due(world.mono) {
        if events.tell() {
            world.connections.wake_listeners();
        }
    }
    let mono = world.mono;
    let mut quiet = 0;
    while quiet < 3 {
        let asked_for = world.turn(|stream| match stream {
            Stream::Events(listening) => events.piece(listening, mono),
            Stream::Jobs(_) | Stream::Export(_) => panic!("nobody asked for jobs"),
        });
        quiet = if asked_for.is_empty() { quiet + 1 } else { 0 };
    }
}

#[test]
fn who_does_not_read_holds_little_and_is_told_how_much_it_missed_or_cut_off() {
    let mut world = World::new();
    let mut events = Events::new(WallUs(7));
    let mut client = world.client_asking(LISTEN);
    let silent = world.client_asking(LISTEN);
    while world.connections.clients().listeners < 2 {
        tell(&mut world, &mut events, 0);
    }
    // Until the system takes no more, and then more than is kept.
    let mut behind = 0;
    while behind < 3 * EVENTS_KEPT_LEN_MAX {
        tell(&mut world, &mut events, 200);
        let unsent = world.connections.clients().unsent;
        assert!(unsent <= 2 * (STREAM_UNSENT_MAX + PIECE_LEN_MAX + 8_000), "{unsent}");
        behind += if unsent > 2 * STREAM_UNSENT_MAX { 200 * 4_000 } else { 0 };
        // Another second has its own budget.
        world.mono = world.mono.plus(Duration::from_secs(1));
    }
    // One begins to read, and is told of what it missed between two whole events.
    client.set_nonblocking(true).expect("it is a socket");
    let (mut text, mut buffer) = (String::new(), vec![0; 1 << 20]);
    while !text.contains("event: gap") {
        match client.read(&mut buffer) {
            Ok(count) => {
                text.push_str(std::str::from_utf8(&buffer[..count]).expect("it is text"));
                assert!(count > 0, "it goes on");
            }
            Err(_) => tell(&mut world, &mut events, 1),
        }
    }
    let ids: Vec<u64> = text.split("id: 7-").skip(1).map(number).collect();
    let skips = ids.windows(2).filter(|two| two[1] != two[0] + 1).count();
    let gap = text.split("\"missed\":").nth(1).expect("it says how many");
    let (missed, at) = (number(gap), ids.iter().zip(&ids[1..]).find(|(one, two)| **two != **one + 1));
    let (before, gap_id) = at.expect("there is a gap");
    assert_eq!((skips, *before + missed), (1, *gap_id), "exactly so many");
    // The other one does not.
    for _ in 0..4 {
        world.mono = world.mono.plus(ANSWER_PACE_WINDOW);
        world.expire();
        tell(&mut world, &mut events, 1);
    }
    assert!(world.connections.clients().too_slow >= 1);
    drop(silent);
}

/// The number that a text begins with.
fn number(text: &str) -> u64 {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().expect("it is a number")
}
