//! Owns tests of channels, policies and silences as clients set them: what is refused, what is in force when, and what is
//! left of them and of incidents at a node that lost everything.
//! It must not look into the core: inputs and outputs only.

use std::sync::Arc;

use super::stage_tests::{START, Stage, id, spec};
use super::*;
use crate::channel::Channel;
use crate::job::AlertPolicy;
use crate::schedule::Calendars;
use crate::time::Instant;

const OFTEN: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;

fn channel(name: &str) -> Setting {
    let definition = serde_json::from_str(r#"{"kind":"webhook","url":"http://a/"}"#).expect("a definition");
    Setting::Channel(name.into(), Some(Arc::new(Channel::compile(&definition, None, true).expect("valid"))))
}

fn policy(scope: PolicyScope, policy: &str) -> Setting {
    let definition = serde_json::from_str(policy).expect("a definition");
    Setting::Policy(scope, Some(Arc::new(AlertPolicy::compile(&definition).expect("valid"))))
}

fn tag(name: &str) -> PolicyScope {
    PolicyScope::Tag(name.into())
}

fn silence(stage: &Stage) -> Action {
    let (of, ends_at) = (Silenced::Tag("t".into()), Instant::from_secs(START + 3_600));
    Action::Silence(Silence { of, note: "".into(), ends_at, created_at: stage.now.wall, by: None })
}

/// The same, and there is to be none.
fn without(setting: &Setting) -> Setting {
    match setting.clone() {
        Setting::Channel(name, _) => Setting::Channel(name, None),
        Setting::Policy(scope, _) => Setting::Policy(scope, None),
        Setting::Silence(id, _) => Setting::Silence(id, None),
    }
}

/// What is answered at once; None: it is on its way to the disk.
fn answer(stage: &mut Stage, action: Action) -> Option<Reply> {
    let read_at = stage.now.wall.floor();
    let command = Command { request: RequestId(1), action, plans: false, read_at };
    stage.core.handle_input(Input::Command(Box::new(command)), stage.now);
    let mut answer = None;
    while let Some(output) = stage.core.poll_output() {
        match output {
            Output::Persist(number, _) => stage.asked = number,
            Output::Reply(_, reply) => answer = Some(reply),
            other => panic!("{other:?}"),
        }
    }
    answer
}

fn channels(stage: &Stage) -> Vec<String> {
    stage.core.settings().channels().map(|(name, _)| name.to_string()).collect()
}

/// It has all shards again, and nothing else.
fn acquire(stage: &mut Stage) {
    let (shards, epochs) = (Shards::ALL, Vec::new());
    stage.feed(Input::Acquired(Restored { shards, epochs, next_seq: 1, next_job: 1, next_incident: 1, newest: None }));
    stage.feed(Input::Tick);
}

#[test]
fn settings_are_told_as_they_were_set() {
    let mut stage = Stage::of(&[], Vec::new());
    let server = policy(PolicyScope::Server, r#"{"after":2}"#);
    for setting in [channel("ops"), server, policy(tag("t"), r#"{"after":3}"#)] {
        stage.ask(Action::Set(setting));
    }
    stage.ask(silence(&stage));
    let all: Vec<Setting> = stage.core.settings().all().collect();
    let [Setting::Channel(..), Setting::Policy(..), Setting::Policy(..), Setting::Silence(..)] = &all[..] else {
        panic!("{all:?}")
    };
    let of_tags: Vec<_> = stage.core.settings().tag_policies().map(|(tag, policy)| (tag, policy.after)).collect();
    assert_eq!(of_tags, [("t", Some(3))]);
    let none = AlertSettings::default();
    assert_eq!((none.all().count(), none.tag_policies().count()), (0, 0));
    for setting in &all {
        let gone = without(setting);
        assert!(stage.core.settings().has(setting) && !stage.core.settings().has(&gone), "{setting:?}");
        assert!(none.has(&gone) && !none.has(setting), "{setting:?}");
    }
}

#[test]
fn only_what_is_there_is_removed() {
    let mut stage = Stage::of(&[], Vec::new());
    let silence = Setting::Silence(SilenceId(1), None);
    for setting in [without(&channel("ops")), Setting::Policy(tag("t"), None), silence] {
        let reply = answer(&mut stage, Action::Set(setting));
        assert!(matches!(reply, Some(Reply::NoSuchSetting)), "{reply:?}");
    }
    let reply = answer(&mut stage, Action::Set(Setting::Policy(PolicyScope::Server, None)));
    assert!(reply.is_none(), "a server always has one: {reply:?}");
}

#[test]
fn nobody_comes_to_name_a_channel_that_is_not_there_or_is_leaving() {
    let mut stage = Stage::of(&[OFTEN], Vec::new());
    let names = |stage: &mut Stage| {
        let alerts = r#"{"channels":["ops"]}"#;
        let job = || spec(&format!(r#"{OFTEN},"alerts":{alerts}"#), &Calendars::default());
        let refused = [
            Action::Create { spec: job(), entropy: [0; 10], pause: None },
            Action::Update { id: id(1), spec: job(), keep_active: false, expected: None },
            Action::Set(policy(PolicyScope::Server, alerts)),
            Action::Set(policy(tag("t"), alerts)),
        ]
        .map(|action| answer(stage, action));
        assert!(refused.iter().all(|reply| matches!(reply, Some(Reply::Invalid(_)))), "{refused:?}");
    };
    names(&mut stage);
    stage.ask(Action::Set(channel("ops")));
    assert!(answer(&mut stage, Action::Set(without(&channel("ops")))).is_none());
    names(&mut stage);
    // It cannot be written, so that the channel stays.
    stage.feed(Input::Committed { through: stage.asked, rejected: vec![stage.asked] });
    assert_eq!(channels(&stage), ["ops"]);
    assert!(answer(&mut stage, Action::Set(policy(tag("t"), r#"{"channels":["ops"]}"#))).is_none());
}

#[test]
fn a_channel_that_a_change_on_its_way_may_name_is_not_removed() {
    for together in [false, true] {
        let mut stage = Stage::of(&[OFTEN], Vec::new());
        stage.ask(Action::Set(channel("ops")));
        let action = Action::Delete { id: id(1), expected: None };
        let command =
            Box::new(Command { request: RequestId(2), action, plans: false, read_at: stage.now.wall.floor() });
        stage.feed(if together { Input::Gather(command) } else { Input::Command(command) });
        let reply = answer(&mut stage, Action::Set(without(&channel("ops"))));
        assert!(matches!(reply, Some(Reply::Refused(Refusal::ChangesPending))), "together: {together}, {reply:?}");
    }
}

#[test]
fn so_many_tags_may_have_a_policy_those_on_their_way_included() {
    let bounds = Bounds { tag_policies_max: 2, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &[], Vec::new());
    let scopes = [tag("a"), tag("b"), tag("c"), tag("b"), PolicyScope::Server];
    for (scope, fits) in scopes.into_iter().zip([true, true, false, true, true]) {
        let reply = answer(&mut stage, Action::Set(policy(scope.clone(), "{}")));
        assert!(matches!((&reply, fits), (None, true) | (Some(Reply::TooMany(_)), false)), "{scope:?}: {reply:?}");
    }
    stage.settle();
    assert!(matches!(answer(&mut stage, Action::Set(policy(tag("c"), "{}"))), Some(Reply::TooMany(_))));
}

#[test]
fn of_settings_on_their_way_one_may_fail_and_the_others_come_into_force() {
    for (fails, left) in [(0, ["b", "c"]), (1, ["a", "c"]), (2, ["a", "b"])] {
        let mut stage = Stage::of(&[], Vec::new());
        let numbers = ["a", "b", "c"].map(|name| {
            stage.begin(Action::Set(channel(name)));
            stage.asked
        });
        stage.feed(Input::Committed { through: stage.asked, rejected: vec![numbers[fails]] });
        assert_eq!((channels(&stage), stage.refused), (left.map(String::from).to_vec(), 1));
    }
}

#[test]
fn jobs_are_watched_as_any_policy_asks_that_is_theirs() {
    let quiet = r#"{"noSuccessFor":"60s"}"#;
    for (scope, watched) in [(PolicyScope::Server, &[1, 2][..]), (tag("t"), &[2]), (tag("other"), &[])] {
        let yearly = r#""schedule":"@yearly","type":"ATLEAST_ONCE""#;
        let mut stage = Stage::of(&[yearly, &format!(r#"{yearly},"tags":["s","t"]"#)], Vec::new());
        stage.ask(Action::Set(policy(scope.clone(), quiet)));
        stage.pass(60);
        let is_open = |key: &u64| stage.core.open_one(&Subject::Job(id(*key)), Cause::NoSuccess).is_some();
        assert_eq!([1, 2].into_iter().filter(is_open).collect::<Vec<u64>>(), watched, "{scope:?}");
    }
}

#[test]
fn a_policy_that_another_node_was_told_is_followed_here() {
    let mut stage = Stage::of(&[OFTEN], Vec::new());
    stage.pass(1);
    let attempt = stage.fired.pop().expect("it is due");
    stage.answer(&attempt, Outcome::Answered(500), true);
    assert_eq!(stage.core.open_incidents(), 1);
    stage.feed(Input::RestoreSetting(policy(PolicyScope::Server, r#"{"after":2}"#)));
    stage.feed(Input::Tick);
    assert_eq!(stage.core.open_incidents(), 0, "one failure is allowed now");
}

#[test]
fn ids_of_what_was_lost_are_used_up_and_what_is_wrong_with_the_server_is_known() {
    let mut stage = Stage::of(&[], Vec::new());
    let ids = |stage: &mut Stage| {
        stage.replies.clear();
        stage.ask(silence(stage));
        let [Reply::Set(Setting::Silence(silence, Some(_)))] = stage.replies[..] else { panic!("{:?}", stage.replies) };
        // Whoever is told of another policy looks at what is wrong.
        stage.ask(Action::Set(policy(PolicyScope::Server, "{}")));
        let incident = stage.core.open_one(&Subject::Server, Cause::DiskNearlyFull).expect("it is known");
        (silence, incident.id)
    };
    let full = Trouble { cause: Cause::DiskNearlyFull, why: Some("a tenth is left".to_owned()) };
    stage.feed(Input::Trouble(full));
    let first = ids(&mut stage);
    assert!(stage.core.has_open_incident(first.1));
    stage.feed(Input::Lost);
    acquire(&mut stage);
    assert!(!stage.core.has_open_incident(first.1));
    let second = ids(&mut stage);
    assert!(second.0 > first.0 && second.1 > first.1, "{first:?}, {second:?}, at one moment");
}

#[test]
fn who_waits_for_a_setting_or_an_acknowledgement_hears_that_everything_is_lost() {
    let mut stage = Stage::of(&[], Vec::new());
    stage.feed(Input::Trouble(Trouble { cause: Cause::DiskNearlyFull, why: Some("a tenth is left".to_owned()) }));
    stage.settle();
    let id = stage.core.open_one(&Subject::Server, Cause::DiskNearlyFull).expect("it is open").id;
    stage.begin(Action::Set(channel("ops")));
    stage.begin(Action::Acknowledge { id, by: None, note: None });
    stage.feed(Input::Lost);
    let unknown = |reply: &Reply| matches!(reply, Reply::Refused(Refusal::Unknown));
    assert!(stage.replies.len() == 2 && stage.replies.iter().all(unknown), "{:?}", stage.replies);
}
