//! Clients that ask without end: what is due does not wait for them, and neither does anybody else.
//! It must not measure: a second is what an execution has, and a turn of the loop that answers everybody takes longer.

use std::time::Instant;

use super::Setup;
use super::raw::{Raw, ask};
use super::support::until;

const CLIENTS: usize = 600;
const REQUESTS: usize = 32;

#[test]
fn what_is_due_and_who_asks_little_do_not_wait_for_who_asks_much() {
    let test = Setup::new(&[]);
    test.api().create("* * * * * *", &test.receiver.url("/due"));
    until("it fires", || (!test.receiver.posts_to("/due").is_empty()).then_some(()));
    let before = test.receiver.posts_to("/due").len();
    let begin = Instant::now();
    let flood = "GET /api/metrics?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(REQUESTS);
    let mut clients: Vec<Raw> = (0..CLIENTS).map(|_| Raw::connect(&test.api().address)).collect();
    let mut rounds = 0;
    // As often as it takes until it has been due several times.
    while test.receiver.posts_to("/due").len() < before + 3 {
        for client in &mut clients {
            client.send(&flood);
        }
        let asked = Instant::now();
        let health = ask(&test.api().address, "GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(health.status, 200);
        let waited = asked.elapsed();
        for client in &mut clients {
            for _ in 0..REQUESTS {
                assert_eq!(client.answer().status, 200, "everybody is answered in the end");
            }
        }
        assert!(waited <= asked.elapsed() / 2 + std::time::Duration::from_millis(200), "{waited:?}");
        rounds += 1;
    }
    println!("{rounds} rounds of {} answers in {:?}", CLIENTS * REQUESTS, begin.elapsed());
    let posts = test.receiver.posts_to("/due").split_off(before);
    let late: Vec<i64> = posts.iter().map(|post| post.at_us - post.second * 1_000_000).collect();
    assert!(late.iter().all(|late_us| (0..1_000_000).contains(late_us)), "{late:?}");
}
