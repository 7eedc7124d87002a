//! Owns tests of what becomes of answers and of gathered changes when jobs go to other nodes, all is lost, or the server stops;
//! and of what is told apart between nodes.
//! It must not look into the core: inputs and outputs only.

use super::stage_tests::{START, Stage, id, put};
use super::*;
use crate::time::Instant;

const EVERY_SECOND: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;
const OTHER: NodeId = NodeId(9);

fn gather(stage: &mut Stage, action: Action) {
    let read_at = stage.now.wall.floor();
    stage.feed(Input::Gather(Box::new(Command { request: RequestId(7), action, plans: false, read_at })));
}

fn delete(key: u64) -> Action {
    Action::Delete { id: id(key), expected: None }
}

fn pause(key: u64) -> Action {
    Action::Pause { id: id(key), until: None, note: None, expected: None }
}

fn refusals(stage: &Stage) -> Vec<Refusal> {
    let refusal = |reply: &Reply| match reply {
        Reply::Refused(refusal) => *refusal,
        other => panic!("{other:?}"),
    };
    stage.replies.iter().map(refusal).collect()
}

#[test]
fn what_was_gathered_is_given_up_once_and_that_is_told_though_all_is_lost() {
    for released in [false, true] {
        let mut stage = Stage::of_node(START, None, Shards::ALL, &[EVERY_SECOND], Vec::new());
        gather(&mut stage, delete(1));
        if released {
            stage.feed(Input::Release { shards: Shards::ALL, to: OTHER });
        }
        stage.feed(Input::Lost);
        stage.feed(Input::WriteGathered(RequestId(7)));
        assert_eq!((refusals(&stage), stage.changes), (vec![Refusal::NotOwned], 0), "released: {released}");
        stage.feed(Input::WriteGathered(RequestId(8)));
        assert_eq!(stage.replies.len(), 1, "what comes then is nothing");
    }
}

#[test]
fn who_stops_gives_up_what_was_gathered_and_what_waits_behind_it() {
    let mut stage = Stage::of(&[EVERY_SECOND], Vec::new());
    gather(&mut stage, delete(1));
    stage.begin(pause(1));
    stage.feed(Input::Drain);
    stage.feed(Input::WriteGathered(RequestId(7)));
    assert_eq!((refusals(&stage), stage.changes), (vec![Refusal::Draining], 0));
    stage.settle();
    assert!(stage.core.is_drained() && stage.core.job(id(1), stage.now.wall).is_some_and(|view| !view.paused));
}

#[test]
fn who_waits_for_a_calendar_or_a_setting_when_all_is_lost_hears_that_it_may_be_there() {
    let mut stage = Stage::of(&[], Vec::new());
    stage.begin(put("closed", &[]));
    stage.begin(put("open", &[]));
    stage.begin(Action::Silence(silence(&stage)));
    stage.feed(Input::Lost);
    assert_eq!(refusals(&stage), [Refusal::Unknown; 3]);
}

fn silence(stage: &Stage) -> Silence {
    let (of, ends_at) = (Silenced::Tag("t".into()), Instant::from_secs(START + 3_600));
    Silence { of, note: "".into(), ends_at, created_at: stage.now.wall, by: None }
}

#[test]
fn who_stops_has_stopped_once_all_is_lost() {
    let mut stage = Stage::of(&[EVERY_SECOND], Vec::new());
    stage.pass(1);
    stage.feed(Input::Drain);
    assert!(!stage.core.is_drained(), "an attempt is in flight");
    stage.feed(Input::Lost);
    assert!(stage.core.is_drained());
}

#[test]
fn only_what_is_in_flight_of_the_shards_that_go_stays_here() {
    let mut stage = Stage::of_node(START, None, Shards::ALL, &[EVERY_SECOND, EVERY_SECOND], Vec::new());
    stage.settle();
    stage.pass(2);
    let of_first = stage.fired.iter().filter(|attempt| attempt.id.job == id(1));
    let seqs: Vec<Seq> = of_first.map(|attempt| attempt.handle.seq).collect();
    assert_eq!((seqs.len(), stage.fired.len()), (2, 4));
    let shards = [Shard::of_key(id(1).key())].into_iter().collect();
    stage.feed(Input::Release { shards, to: OTHER });
    assert_eq!(stage.released, [(shards, OTHER, seqs)]);
}

#[test]
fn what_is_named_by_its_microsecond_is_so_alone_and_nearly_so_among_others() {
    for (next_seq, end) in [(1, None), (3 << 40 | 1, Some(3)), (0x1_0205 << 40 | 1, Some(5))] {
        let mut stage = Stage::of(&[], Vec::new());
        stage.feed(Input::Acquired(Restored {
            shards: Shards::NONE,
            epochs: Vec::new(),
            next_seq,
            next_job: 1,
            next_incident: 1,
            newest: None,
        }));
        stage.ask(Action::Silence(silence(&stage)));
        let [Reply::Set(Setting::Silence(SilenceId(number), Some(_)))] = stage.replies[..] else {
            panic!("{:?}", stage.replies)
        };
        let later = number - stage.now.wall.0.unsigned_abs();
        assert!(later < if end.is_some() { 256 } else { 1 }, "{later} us later");
        assert!(end.is_none_or(|end| number & 0xff == end), "{number}");
    }
}
