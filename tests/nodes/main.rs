//! Owns the tests of several nodes on one PostgreSQL, for real: processes, sockets and databases go wrong while clients
//! change jobs, and then three ledgers are compared: what the API said, what the receiver got, what the history says.
//! It must not look into a node: all that counts comes through HTTP.
//!
//! `PUNCTUAL_FAULTS` says how many faults there are, `PUNCTUAL_FAULTS_SEED` draws those of an earlier run,
//! `PUNCTUAL_FAULTS_LOGS` names a folder for what the nodes log, `PUNCTUAL_ROLLING_JOBS` says how many jobs there are
//! while one node after the other is stopped.

mod clients;
mod cluster;
mod compare;
mod database;
mod faults;
mod ledgers;
mod proxy;
mod rolling;
mod stage;
#[path = "../support/mod.rs"]
mod support;

use std::sync::atomic::Ordering;
use std::time::Instant;

use clients::World;
use database::Database;
use faults::Bag;
use stage::Stage;
use support::random::Random;
use support::receiver::Receiver;
use support::wall_us;

/// Threads that create, change, run and delete jobs.
const CLIENTS: u64 = 4;
/// One of so many faults comes with another one.
const TWO: u64 = 4;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|why| panic!("{name}: {why}")))
}

#[test]
fn nothing_is_lost_whatever_goes_wrong() {
    let faults = number("PUNCTUAL_FAULTS").unwrap_or(6);
    let seed = number("PUNCTUAL_FAULTS_SEED").unwrap_or(wall_us().unsigned_abs());
    let Some(database) = Database::start() else { return };
    eprintln!("nodes: {faults} faults, PUNCTUAL_FAULTS_SEED={seed}");
    let receiver = Receiver::start();
    let mut stage = Stage::start(database, &receiver);
    let world = World::new(&stage.cluster.apis, &receiver);
    let mut bag = Bag::new(Random::new(seed));
    let mut jobs = stage.create_stable_jobs();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|client| {
                let random = Random::new(seed ^ client.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let world = &world;
                scope.spawn(move || clients::run(world, random))
            })
            .collect();
        // Whatever happens here, the clients must hear of the end, or the scope would wait for them for ever.
        let went = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            stage.until_well("the start");
            for number in 1..=faults {
                let first = bag.draw(stage.cluster.nodes.len());
                let second = (bag.below(TWO) == 0).then(|| bag.draw(stage.cluster.nodes.len()));
                let quiet_ms = bag.below(1_500);
                let lines = stage.go_wrong(first, second, quiet_ms);
                eprintln!("nodes: {number}/{faults} at {} s: {lines}", begin.elapsed().as_secs());
            }
        }));
        world.is_over.store(true, Ordering::SeqCst);
        for client in clients {
            jobs.extend(client.join().unwrap_or_else(|_| panic!("a client saw it; PUNCTUAL_FAULTS_SEED={seed}")));
        }
        if let Err(why) = went {
            eprintln!("PUNCTUAL_FAULTS_SEED={seed}");
            std::panic::resume_unwind(why);
        }
    });
    let (mut verdict, told) = (stage.compare(&jobs), world.told());
    world.odd().into_iter().for_each(|what| verdict.add("answers that should not be", what));
    println!("nodes: {faults} faults, seed {seed}, {} s", begin.elapsed().as_secs());
    println!("  clients were told:\n{told}");
    println!("{}", stage.figures(&verdict));
    println!("{verdict}");
    let left = stage.end();
    assert!(verdict.is_clean(), "something is lost or wrong; PUNCTUAL_FAULTS_SEED={seed}\n{verdict}");
    assert!(left.is_empty(), "what stopped nodes left: {left:?}; PUNCTUAL_FAULTS_SEED={seed}");
}
