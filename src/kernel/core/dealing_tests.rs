//! Owns tests of whose each of many changes is: who has its job, and that no name is given twice.
//! It must not carry any of them out.

use super::changes::CHANGING;
use super::stage_tests::{START, Stage, id, spec as spec_of};
use super::*;
use crate::job::JobSpec;
use crate::schedule::Calendars;

const ME: NodeId = NodeId(7);
const MINE: Shard = Shard(1);
const OTHERS: Shard = Shard(3);
const THIRD: Shard = Shard(4);
const ARRIVING: Shard = Shard(5);
const NOBODYS: Shard = Shard(6);

fn text(name: &str, shared: Option<Shard>) -> String {
    let name = if name.is_empty() { String::new() } else { format!(r#","name":"{name}""#) };
    let key = shared.map(|shard| {
        let mut keys = (0..).map(|number| format!("key-{number}"));
        let key = keys.find(|key| Shard::of_name(key) == shard).expect("there are many names");
        format!(r#","concurrencyKey":{{"name":"{key}","limit":1}}"#)
    });
    format!(r#""schedule":"@yearly","type":"ATLEAST_ONCE"{name}{}"#, key.unwrap_or_default())
}

fn spec(name: &str, shared: Option<Shard>) -> JobSpec {
    spec_of(&text(name, shared), &Calendars::default())
}

/// A node that has some shards, and jobs that are called like this, with keys from 1 on.
fn node(shards: &[Shard], names: &[&str]) -> Stage {
    let jobs: Vec<String> = names.iter().map(|name| text(name, None)).collect();
    let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    Stage::of_node(START, None, shards.iter().copied().collect(), &jobs, Vec::new())
}

fn placing() -> Placing {
    let owner = |shard| match shard {
        MINE | ARRIVING => Some(ME),
        OTHERS => Some(NodeId(8)),
        THIRD => Some(NodeId(9)),
        _ => None,
    };
    let at = |shard: Shard, number: u64| id(u64::from(shard.0) | number << 8);
    let job = |shard, number, name: Option<&str>| Placed { id: at(shard, number), name: name.map(Into::into), shard };
    Placing {
        jobs: vec![
            job(OTHERS, 1, Some("c")),
            job(THIRD, 1, Some("d")),
            job(THIRD, 2, None),
            job(ARRIVING, 1, Some("e")),
            job(NOBODYS, 1, Some("f")),
        ],
        owners: Shard::all().map(owner).collect(),
    }
}

const C: u64 = 0x103;
const D: u64 = 0x104;
const NAMELESS: u64 = 0x204;
const E: u64 = 0x105;
const F: u64 = 0x106;
const A: u64 = 1;

fn create(name: &str, shared: Option<Shard>) -> Action {
    Action::Create { spec: spec(name, shared), entropy: [0; 10], pause: None }
}

fn update(key: u64, name: &str) -> Action {
    Action::Update { id: id(key), spec: spec(name, None), keep_active: false, expected: None }
}

fn declare(key: Option<u64>, name: &str, shared: Option<Shard>) -> Action {
    let (id, spec, beside) = (key.map(id), spec(name, shared), Default::default());
    Action::Apply(Box::new(Apply { id, spec, keep_active: false, runs: 0, entropy: [0; 10], beside }))
}

fn delete(key: u64) -> Action {
    Action::Delete { id: id(key), expected: None }
}

/// Whom these changes are dealt to, one after the other: what is said of each in a word.
fn dealt(core: &Scheduler, actions: &[Action], beside: &Meant) -> Vec<String> {
    let mut dealing = Dealing::default();
    actions.iter().for_each(|action| dealing.note(core, action));
    assert!(dealing.lacking().is_some());
    dealing.learn(placing());
    let deal = |action| match dealing.deal(core, ME, action, beside) {
        Dealt::Here(None) => "here".to_owned(),
        Dealt::Here(Some(shard)) => format!("here {}", shard.0),
        Dealt::There(node, shard) => format!("{} {}", node.0, shard.0),
        Dealt::Refused(Reply::NameTaken(name)) => format!("{name} taken"),
        Dealt::Refused(Reply::Conflict(CHANGING)) => "changing".to_owned(),
        Dealt::Refused(Reply::Refused(Refusal::NotOwned)) => "nowhere".to_owned(),
        Dealt::Refused(other) => panic!("{other:?}"),
    };
    actions.iter().map(deal).collect()
}

#[test]
fn a_change_goes_to_whoever_has_its_job() {
    let core = node(&[MINE], &["a"]).core;
    for (action, to) in [
        (delete(A), "here 1"),
        (delete(C), "8 3"),
        (delete(NAMELESS), "9 4"),
        // The core says that there is no such job.
        (delete(0x901), "here"),
        (delete(E), "nowhere"),
        (delete(F), "nowhere"),
        (update(C, "c"), "8 3"),
        (update(C, "new"), "8 3"),
        (update(0x903, "new"), "here"),
        (declare(None, "a", None), "here 1"),
        (declare(None, "c", None), "8 3"),
        (declare(Some(A), "c", None), "8 3"),
        (declare(Some(C), "a", None), "here 1"),
        (declare(None, "new", None), "here"),
        (declare(Some(C), "new", None), "8 3"),
        (declare(Some(NAMELESS), "", None), "9 4"),
        (declare(Some(0x904), "", None), "here"),
        (declare(None, "e", None), "nowhere"),
        (create("", None), "here"),
        (create("new", Some(MINE)), "here 1"),
        (create("new", Some(OTHERS)), "8 3"),
        (create("new", Some(ARRIVING)), "nowhere"),
        (declare(None, "new", Some(THIRD)), "9 4"),
        // Whose the job is counts: that shares no key with others there, as is said there.
        (declare(None, "c", Some(THIRD)), "8 3"),
    ] {
        let text = format!("{action:?}");
        // That there is always something to be asked for.
        let dealt = dealt(&core, &[action, delete(0x902)], &Meant::default());
        assert_eq!(dealt, [to, "here"], "{text}");
    }
}

#[test]
fn a_name_is_given_once_whoever_has_it() {
    let core = node(&[MINE], &["a"]).core;
    for (actions, told) in [
        // Whoever has both sees for itself.
        (vec![update(C, "a"), update(C, "d"), update(D, "d")], vec!["a taken", "d taken", "9 4"]),
        (vec![create("c", None), create("a", None), create("c", Some(OTHERS))], vec!["c taken", "here", "8 3"]),
        (vec![update(A, "new"), update(C, "new"), update(A, "new")], vec!["here 1", "new taken", "here 1"]),
        (vec![create("new", Some(OTHERS)), create("new", None)], vec!["8 3", "new taken"]),
        (vec![declare(None, "new", Some(OTHERS)), declare(None, "new", None)], vec!["8 3", "changing"]),
        (vec![declare(None, "new", None), declare(None, "new", None)], vec!["here", "here"]),
        (vec![declare(None, "e", None), declare(None, "e", None)], vec!["nowhere", "nowhere"]),
        (vec![declare(None, "f", None), declare(None, "f", None)], vec!["nowhere", "nowhere"]),
    ] {
        let text = format!("{actions:?}");
        assert_eq!(dealt(&core, &actions, &Meant::default()), told, "{text}");
    }
}

#[test]
fn a_job_that_is_declared_beside_another_one_is_not_renamed() {
    let core = node(&[MINE], &["a"]).core;
    let beside = |names: &[&str], keys: &[u64]| Meant {
        names: names.iter().map(|name| Box::from(*name)).collect(),
        ids: keys.iter().copied().map(id).collect(),
    };
    let renamed = || [declare(Some(C), "new", None), declare(Some(A), "other", None)];
    assert_eq!(dealt(&core, &renamed(), &beside(&["new", "other"], &[])), ["8 3", "here 1"]);
    assert_eq!(dealt(&core, &renamed(), &beside(&["new", "other", "c", "a"], &[])), ["here", "here"]);
    assert_eq!(dealt(&core, &renamed(), &beside(&["new", "other"], &[C])), ["here", "here 1"]);
}

#[test]
fn who_has_no_shard_makes_no_job() {
    let core = node(&[], &[]).core;
    assert_eq!(dealt(&core, &[create("", None), create("c", None)], &Meant::default()), ["8 3", "8 3"]);
    let mut dealing = Dealing::default();
    dealing.note(&core, &create("", None));
    assert_eq!(dealing.lacking(), Some((Vec::new(), Vec::new())), "who makes it is");
    let owners = Shard::all().map(|shard| (shard == THIRD).then_some(NodeId(9))).collect();
    dealing.learn(Placing { jobs: Vec::new(), owners });
    let dealt = dealing.deal(&core, ME, &create("", None), &Meant::default());
    assert!(matches!(dealt, Dealt::There(NodeId(9), THIRD)), "{dealt:?}");
}

#[test]
fn what_this_node_knows_is_not_asked_for() {
    let core = node(&[MINE], &["a"]).core;
    let mut dealing = Dealing::default();
    let known = [delete(A), declare(None, "a", None), create("", None), create("", Some(MINE))];
    known.iter().for_each(|action| dealing.note(&core, action));
    assert_eq!(dealing.lacking(), None);
    [delete(C), declare(Some(A), "b", None)].iter().for_each(|action| dealing.note(&core, action));
    assert_eq!(dealing.lacking(), Some((vec!["b".into()], vec![id(C)])));
}

#[test]
fn whose_a_key_is_that_another_node_has_is_asked_for() {
    let core = node(&[MINE], &["a"]).core;
    let mut dealing = Dealing::default();
    dealing.note(&core, &create("", Some(OTHERS)));
    assert_eq!(dealing.lacking(), Some((Vec::new(), Vec::new())));
}

#[test]
fn a_node_owns_several_shards_if_it_owns_each() {
    let core = node(&[MINE, OTHERS], &[]).core;
    for (shards, owned) in [(&[][..], true), (&[MINE], true), (&[MINE, OTHERS], true), (&[MINE, THIRD], false)] {
        assert_eq!(core.owns_all(&shards.iter().copied().collect()), owned, "{shards:?}");
    }
}
