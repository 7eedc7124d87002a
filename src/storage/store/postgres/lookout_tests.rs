//! Owns the tests of what a node does about the others beside its batches, on a real PostgreSQL.
//! It must not test what follows from what it sees.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lookout::Lookout;
use super::open::{Store, connect, soon};
use super::requests::NOW;
use crate::clock;
use crate::core::{NodeId, RequestId, Shard};
use crate::limits::FORWARD_TIME_MAX;
use crate::postgres::support::Postgres;
use crate::postgres::{Connection, Url};
use crate::store::StoredAnswer;
use crate::store::sharing::{Ask, Owner, SharedEvent, Sharing, Unplaced};

/// How long what a server has been sent may take to be done.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that looks, and what it tells.
struct Node {
    url: Url,
    id: NodeId,
    lookout: Lookout,
    sharing: Sharing,
}

impl Node {
    fn new(url: &Url, name: &str) -> Node {
        let id = Store::open(url, name).expect("it can be opened").node();
        let (sharing, shared) = Sharing::new(id, Arc::new(|| {}));
        let lookout = Lookout::new(url.clone().with_application_name(name), None, shared.teller);
        Node { url: url.clone(), id, lookout, sharing }
    }

    fn ask(&mut self, ask: Ask) {
        self.lookout.do_one(self.id, &ask);
    }

    /// Asks whoever has the first shard for something.
    fn forward(&mut self, request: u64) {
        let (request, to) = (RequestId(request), Owner::Shard(Shard(0)));
        self.ask(Ask::Forward { request, asked: clock::mono(), to, text: b"{}".to_vec() });
    }

    /// What it was asked, and what others answered it, when it looks now.
    fn look(&mut self) -> (Vec<u64>, Vec<Told>) {
        self.ask(Ask::Look { asked: clock::mono() });
        self.told()
    }

    fn told(&self) -> (Vec<u64>, Vec<Told>) {
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        while let Some(event) = self.sharing.try_event() {
            match event {
                SharedEvent::Asked(requests) => asked.extend(requests.iter().map(|request| request.id)),
                SharedEvent::Answered(answers) => {
                    let told = answers.into_iter().map(|(request, answer)| (request.0, answer.map(|told| told.status)));
                    answered.extend(told);
                }
                _ => {}
            }
        }
        (asked, answered)
    }
}

/// The status of an answer, under the number of its request.
type Told = (u64, Result<u16, Unplaced>);

fn two_nodes() -> Option<(Connection, Node, Node)> {
    let url = Url::parse(&Postgres::database()?).expect("it is the URL of a database");
    let (one, two) = (Node::new(&url, "one"), Node::new(&url, "two"));
    let mut other = connect(&url).expect("it listens");
    run(&mut other, &format!("UPDATE shards SET owner = {}", two.id.0));
    Some((other, one, two))
}

fn run(connection: &mut Connection, text: &str) {
    connection.batch(text, soon()).expect("it can be carried out");
}

/// Ends the connections of a node. Other tests have nodes of that name on this server, in databases of their own.
fn disconnect(connection: &mut Connection, name: &str) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name = ";
    run(connection, &format!("{end}'{name}'"));
}

fn answer(id: u64) -> Ask {
    Ask::Answer { id, answer: Some(StoredAnswer { status: 204, headers: Vec::new(), body: Vec::new() }) }
}

#[test]
fn that_a_node_leaves_is_written() {
    let Some((mut other, mut one, _)) = two_nodes() else { return };
    one.ask(Ask::Leave(None));
    let found = other.query("SELECT name FROM nodes WHERE leaving", &[], soon()).expect("it can be read");
    assert_eq!(found.first().and_then(|row| row.text(0)).expect("one leaves"), "one");
}

#[test]
fn what_is_given_back_twice_stays_with_whoever_took_it_since() {
    let Some((mut other, mut one, mut two)) = two_nodes() else { return };
    one.forward(1);
    let (asked, _) = two.look();
    let give_back = |id: u64| Ask::Answer { id, answer: None };
    two.ask(give_back(asked[0]));
    run(&mut other, &format!("UPDATE shards SET owner = {}", one.id.0));
    assert_eq!(one.look().0, asked, "it is free");
    // The answer to the first was lost.
    two.ask(give_back(asked[0]));
    two.ask(answer(asked[0]));
    let taken = other.query("SELECT taken, status FROM requests", &[], soon()).expect("it can be read");
    let row = taken.first().expect("there is one");
    assert_eq!((row.opt_i64(0), row.opt_i32(1)), (Ok(Some(one.id.0.cast_signed())), Ok(None)));
}

#[test]
fn an_answer_for_which_the_time_is_never_enough_does_not_keep_a_node_from_looking() {
    let Some((mut other, mut one, mut two)) = two_nodes() else { return };
    one.forward(1);
    let (asked, _) = two.look();
    run(&mut other, "BEGIN; SELECT * FROM requests FOR UPDATE");
    two.ask(answer(asked[0]));
    let sees = |node: &mut Node| {
        node.ask(Ask::Look { asked: clock::mono() });
        std::iter::from_fn(|| node.sharing.try_event()).any(|event| matches!(event, SharedEvent::Seen(..)))
    };
    assert!((0..6).any(|_| sees(&mut two)), "it tries to answer for ever");
    run(&mut other, "ROLLBACK");
}

#[test]
fn who_is_taken_for_dead_has_its_session_ended() {
    let Some((mut other, mut one, two)) = two_nodes() else { return };
    // It is in the middle of something that will never be sent as a whole.
    let mut session = connect(&two.url).expect("it listens");
    run(&mut session, &format!("UPDATE nodes SET pid = pg_backend_pid() WHERE id = {}", two.id.0));
    run(&mut session, "BEGIN; UPDATE shards SET owner = NULL");
    one.ask(Ask::Revoke { node: two.id, beat: 0 });
    let deadline = Instant::now() + PATIENCE;
    while other.batch("SET lock_timeout TO '50ms'; UPDATE shards SET epoch = epoch", soon()).is_err() {
        assert!(Instant::now() < deadline, "its locks stay");
    }
    let dead = other.query("SELECT dead FROM nodes ORDER BY id", &[], soon()).expect("it can be read");
    assert_eq!(dead.iter().map(|row| row.bool(0)).collect::<Vec<_>>(), [Ok(false), Ok(true)]);
}

#[test]
fn that_what_every_node_must_know_could_not_be_read_is_told() {
    let Some((mut other, mut one, _)) = two_nodes() else { return };
    one.look();
    let mut configs = || {
        one.ask(Ask::Config);
        let told = std::iter::from_fn(|| one.sharing.try_event());
        let of_config = told.filter_map(|event| match event {
            SharedEvent::Config(_) => Some(true),
            SharedEvent::ConfigUnread => Some(false),
            _ => None,
        });
        of_config.collect::<Vec<bool>>()
    };
    disconnect(&mut other, "one");
    assert_eq!(configs(), [false], "the connection was lost");
    assert_eq!(configs(), [true], "asked for once more");
}

#[test]
fn who_waits_for_a_node_that_died_hears_that_nobody_knows() {
    let Some((mut other, mut one, mut two)) = two_nodes() else { return };
    one.forward(7);
    assert_eq!(two.look().0.len(), 1);
    assert_eq!(one.look().1, [], "it is being carried out");
    run(&mut other, &format!("UPDATE nodes SET dead = true WHERE id = {}", two.id.0));
    assert_eq!(one.look().1, [(7, Err(Unplaced::Failed))]);
    assert_eq!(one.look().1, [], "once");
}

#[test]
fn nothing_is_begun_of_which_somebody_was_told_that_nobody_knows() {
    let Some((mut other, mut one, mut two)) = two_nodes() else { return };
    one.forward(1);
    run(&mut other, &format!("UPDATE requests SET asked_at = asked_at - {}", FORWARD_TIME_MAX.as_micros()));
    assert_eq!(two.look().0, [0_u64; 0], "it waited too long");
    assert_eq!(one.look().1, [(1, Err(Unplaced::Late))], "nothing was done, and nothing will be");
    one.forward(2);
    run(&mut other, &format!("UPDATE nodes SET dead = true WHERE id = {}", one.id.0));
    assert_eq!(two.look().0, [0_u64; 0], "its client has lost whom it asked");
}

#[test]
fn a_request_is_as_old_as_its_client_says_however_long_its_way_is() {
    let Some((mut holder, mut one, _)) = two_nodes() else { return };
    let mut other = connect(&one.url).expect("it listens");
    one.look();
    let mut number = |find: &str| {
        let found = other.query(find, &[], soon()).expect("it can be read");
        found.first().and_then(|row| row.i64(0)).expect("it is a number")
    };
    let before = number(&format!("SELECT {NOW}"));
    // The statement waits for longer than who sent it does.
    run(&mut holder, "BEGIN; LOCK TABLE requests IN SHARE MODE");
    one.forward(7);
    assert_eq!(one.told().1, [], "it may arrive yet");
    run(&mut holder, "COMMIT");
    let until = Instant::now() + PATIENCE;
    while number("SELECT count(*) FROM requests") == 0 {
        assert!(Instant::now() < until, "it never arrives");
    }
    let late_us = number("SELECT asked_at FROM requests") - before;
    assert!(late_us < 500_000, "it waited for a second: {late_us}");
}

#[test]
fn an_answer_that_could_not_be_given_is_given_later() {
    let Some((mut other, mut one, mut two)) = two_nodes() else { return };
    one.forward(7);
    let asked = two.look().0;
    disconnect(&mut other, "two");
    two.ask(answer(asked[0]));
    assert_eq!(one.look().1, [], "the connection was lost");
    two.look();
    assert_eq!(one.look().1, [(7, Ok(204))]);
}
