//! Owns what nodes that share a database tell of themselves: how all jobs are shared out among them.
//! It must not start or end one.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::BenchError;
use super::child::Child;
use super::client::get;

/// How long it may take until each has its share.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(120);
/// How long they are left alone between two questions.
const REST: Duration = Duration::from_millis(100);

/// Waits until all nodes agree that each has its share; how many shards each has then, in the order of the nodes.
pub(super) fn settle(nodes: &[Child], stop: &AtomicBool) -> Result<Vec<u64>, BenchError> {
    let until = Instant::now() + SETTLE_TIME_MAX;
    loop {
        let mut told = nodes.iter().map(ask);
        let first = told.next().transpose()?.unwrap_or_default();
        let mut agree = is_fair(&first, nodes.len());
        for other in told {
            agree &= other? == first;
        }
        if agree {
            return Ok(nodes.iter().map(|node| first.get(node.name()).copied().unwrap_or(0)).collect());
        }
        if stop.load(Ordering::Relaxed) {
            return Err(BenchError::Interrupted);
        }
        if Instant::now() >= until {
            let shares = format!("{first:?}").replace('"', "");
            return Err(BenchError::Server(format!("failed to get each node its share within 120 s: {shares}")));
        }
        std::thread::sleep(REST);
    }
}

/// Shards by the name of the node that lives, as this one sees it; None if there are any without a node.
fn ask(node: &Child) -> Result<BTreeMap<String, u64>, BenchError> {
    let failed = |why| BenchError::Io("read /api/nodes", why);
    let (status, body) = get(node.address(), &node.address().to_string(), "/api/nodes").map_err(failed)?;
    let told: Value = serde_json::from_slice(&body).map_err(|why| failed(io::Error::other(why)))?;
    if status != 200 {
        return Err(failed(io::Error::other(format!("the API answered {status}"))));
    }
    Ok(shares(&told))
}

/// Shards by the name of the node, of those that live; none while some are nobody's.
fn shares(told: &Value) -> BTreeMap<String, u64> {
    let nodes = told["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let live = nodes.iter().filter(|node| node["state"] == "active" && told["unownedShards"] == 0);
    live.filter_map(|node| Some((node["name"].as_str()?.to_owned(), node["shards"].as_u64()?))).collect()
}

/// Whether so many nodes have all of it, and none more than its share.
fn is_fair(shares: &BTreeMap<String, u64>, nodes: usize) -> bool {
    let all: u64 = shares.values().sum();
    let share = all.div_ceil(nodes.max(1) as u64);
    all > 0 && shares.len() == nodes && shares.values().all(|shards| *shards <= share)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_fair_once_all_is_shared_out_and_nobody_has_too_much() {
        let node = |name: &str, state: &str, shards: u64| json!({ "name": name, "state": state, "shards": shards });
        for (nodes, unowned, expected) in [
            (vec![node("a", "active", 128), node("b", "active", 128), node("c", "dead", 0)], 0, true),
            (vec![node("a", "active", 86), node("b", "active", 85), node("c", "active", 85)], 0, true),
            (vec![node("a", "active", 136), node("b", "active", 120)], 0, false),
            (vec![node("a", "active", 128), node("b", "active", 120)], 8, false),
            (vec![], 0, false),
        ] {
            let live = nodes.iter().filter(|node| node["state"] == "active").count();
            let told = json!({ "nodes": nodes, "unownedShards": unowned });
            assert_eq!(is_fair(&shares(&told), live), expected, "{told}");
        }
    }
}
