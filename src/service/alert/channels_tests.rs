//! Owns the tests of the queues in front of channels: order, digests, backoff, bounds, restart, channels that go.
//! It must not send anything or wait: the time is what the tests say it is.

use super::*;
use crate::channel::ChannelDefinition;
use crate::core::{Cause, Event, Incident, IncidentId, JobLabel, MessageAttempt, Subject};
use crate::job::{Content, JobId, JobKey};
use crate::limits::{DIGEST_AFTER, DIGEST_MAX, DIGEST_TIME};

/// A moment, in seconds since all of them began.
fn at(seconds: u64) -> Now {
    Now { wall: WallUs(1_767_229_831_000_000).plus_us(us(seconds).cast_signed()), mono: MonoUs(us(seconds)) }
}

fn us(seconds: u64) -> u64 {
    seconds * 1_000_000
}

fn incident(id: u64) -> Incident {
    let label = JobLabel { name: Some("nightly".into()), api: "http://a.test/".into(), schedule: "@daily".into() };
    Incident {
        id: IncidentId(id),
        cause: Cause::Failing,
        subject: Subject::Job(JobId::new(JobKey(7), [1; 10])),
        label: Some(Box::new(label)),
        summary: "3 executions in a row failed".into(),
        execution: None,
        opened_at: at(0).wall,
        closed: None,
        acknowledged: None,
        messages: 1,
        told: true,
        told_at: Some(at(0).wall),
    }
}

fn message(id: u64, channels: &[&str], made_at: Now) -> Message {
    let channels = channels.iter().map(|&name| name.into()).collect();
    Message { incident: Arc::new(incident(id)), number: 1, event: Event::Opened, at: made_at.wall, channels }
}

fn left(id: u64, channel: &str, made_at: Now, attempts: u32) -> UndeliveredMessage {
    UndeliveredMessage { message: message(id, &[channel], made_at), channel: channel.into(), attempts }
}

fn channel(text: &str) -> Arc<Channel> {
    let definition: ChannelDefinition = serde_json::from_str(text).expect(text);
    Arc::new(Channel::compile(&definition, None, true).expect(text))
}

/// All channels there are: webhooks, but for `mail`; none that is called `gone`.
fn find(name: &str) -> Option<Arc<Channel>> {
    match name {
        "gone" => None,
        "mail" => Some(channel(r#"{"kind":"email","url":"smtp://localhost","from":"a@b.test","to":["c@d.test"]}"#)),
        _ => Some(channel(r#"{"kind":"webhook","url":"http://a.test/hook"}"#)),
    }
}

/// What is to be sent now, all of it.
fn due(channels: &mut Channels, now: Now) -> Vec<MessageAttempt> {
    let mut attempts = Vec::new();
    while let Some(parcel) = channels.next_parcel(now.mono, find) {
        match parcel {
            Parcel::Post(attempt) => attempts.push(attempt),
            Parcel::Mail(attempt) => panic!("{attempt:?}"),
        }
    }
    assert!(channels.deadline().is_none_or(|by| by > now.mono), "the next deadline lies ahead");
    attempts
}

fn keys(attempts: &[MessageAttempt]) -> Vec<&str> {
    attempts.iter().map(|attempt| &*attempt.key).collect()
}

fn end(channels: &mut Channels, attempt: &MessageAttempt, outcome: Outcome, now: Now) {
    let (response, retry_after_s) = (None, None);
    channels.report(MessageReport { id: attempt.id, outcome, response, retry_after_s, duration_us: 5 }, now);
}

/// What is due now is delivered until nothing is; what it was called.
fn deliver_all(channels: &mut Channels, now: Now) -> Vec<String> {
    let mut sent = Vec::new();
    loop {
        let attempts = due(channels, now);
        if attempts.is_empty() {
            return sent;
        }
        for attempt in attempts {
            end(channels, &attempt, Outcome::Answered(200), now);
            sent.push(attempt.key.into());
        }
    }
}

fn states(channels: &mut Channels) -> Vec<(u64, AlertState, u32)> {
    channels.take_deliveries().iter().map(|of| (of.incident.0, of.state, of.attempts)).collect()
}

fn tell(channels: &mut Channels, ids: std::ops::Range<u64>, now: Now) {
    ids.for_each(|id| channels.tell(&message(id, &["ops"], now), now.mono));
}

fn body(attempt: &MessageAttempt) -> serde_json::Value {
    let Content::Fixed(body, "application/json") = attempt.post.content() else { panic!("{attempt:?}") };
    serde_json::from_slice(body).expect("JSON")
}

#[test]
fn messages_go_one_by_one_in_order_over_each_channel_by_itself() {
    let mut channels = Channels::default();
    assert_eq!(channels.deadline(), None);
    for id in [5, 3] {
        channels.tell(&message(id, &["ops", "team"], at(0)), at(0).mono);
    }
    assert_eq!((channels.waiting("ops"), channels.waiting("team"), channels.waiting("other")), (2, 2, 0));
    let first = due(&mut channels, at(0));
    assert_eq!(keys(&first), ["5.1.ops", "5.1.team"]);
    assert!(due(&mut channels, at(9)).is_empty(), "one at a time");
    // One of them hangs: the other goes on.
    end(&mut channels, &first[1], Outcome::Answered(204), at(1));
    let second = due(&mut channels, at(1));
    assert_eq!(keys(&second), ["3.1.team"]);
    end(&mut channels, &second[0], Outcome::Answered(200), at(2));
    assert_eq!(states(&mut channels), [(5, AlertState::Delivered, 1), (3, AlertState::Delivered, 1)]);
    assert_eq!((channels.waiting("ops"), channels.waiting("team")), (2, 0));
    assert_eq!(channels.health("team").delivered_at, Some(at(2).wall));
    assert_eq!(channels.counts("team"), MessageCounts { delivered: 2, failed: 0, retried: 0 });
    assert_eq!(channels.take_healths().len(), 2);
    end(&mut channels, &first[0], Outcome::Answered(200), at(9));
    assert_eq!(keys(&due(&mut channels, at(9))), ["3.1.ops"]);
}

#[test]
fn beyond_so_many_in_so_long_the_rest_gathers_and_goes_as_one() {
    let mut channels = Channels::default();
    tell(&mut channels, 0..3, at(0));
    assert_eq!(deliver_all(&mut channels, at(0)).len(), 3);
    tell(&mut channels, 3..10, at(10));
    assert_eq!(deliver_all(&mut channels, at(10)), ["3.1.ops", "4.1.ops"]);
    tell(&mut channels, 10..20, at(29));
    assert_eq!(deliver_all(&mut channels, at(29)), [""; 0]);
    assert_eq!(channels.deadline(), Some(at(DIGEST_TIME.as_secs()).mono));
    states(&mut channels);
    assert_eq!(deliver_all(&mut channels, at(30)), ["digest.5.1.ops.15"]);
    let delivered: Vec<_> = (5..20).map(|id| (id, AlertState::Delivered, 1)).collect();
    assert_eq!(states(&mut channels), delivered, "a digest delivers all that is in it");
    // Within the same time after it all gathers; one alone is no digest.
    tell(&mut channels, 20..22, at(31));
    assert_eq!(deliver_all(&mut channels, at(59)), [""; 0]);
    assert_eq!(deliver_all(&mut channels, at(60)), ["digest.20.1.ops.2"]);
    tell(&mut channels, 22..23, at(61));
    assert_eq!(deliver_all(&mut channels, at(90)), ["22.1.ops"]);
    // It was quiet since: what comes goes at once, though it comes together.
    tell(&mut channels, 23..26, at(500));
    assert_eq!(deliver_all(&mut channels, at(500)), ["23.1.ops", "24.1.ops", "25.1.ops"]);
}

#[test]
fn a_slow_channel_in_a_flood_gets_digests_too() {
    let mut channels = Channels::default();
    tell(&mut channels, 0..100, at(0));
    let mut now = 0;
    let mut sent = Vec::new();
    while channels.waiting("ops") > 0 {
        let attempt = due(&mut channels, at(now)).pop().unwrap_or_else(|| panic!("at {now}"));
        now += 9;
        end(&mut channels, &attempt, Outcome::Answered(200), at(now));
        sent.push(attempt.key);
    }
    assert_eq!(sent.last().map(|key| &**key), Some("digest.4.1.ops.96"), "{sent:?}");
}

#[test]
fn a_flood_of_ten_thousand_is_a_few_messages_and_a_digest_and_more_is_given_up_with_the_reason() {
    let mut channels = Channels::default();
    tell(&mut channels, 0..ALERTS_PENDING_MAX as u64, at(0));
    assert_eq!(states(&mut channels), []);
    channels.tell(&message(70_000, &["ops", "team"], at(0)), at(0).mono);
    let given_up = channels.take_deliveries().remove(0);
    assert_eq!((given_up.incident.0, given_up.state, &*given_up.channel), (70_000, AlertState::Failed, "ops"));
    assert_eq!(given_up.error.as_deref(), Some("given up: 10000 messages already wait"));
    assert_eq!(channels.counts("ops").failed, 1);
    let sent = deliver_all(&mut channels, at(0));
    assert_eq!(sent.len(), DIGEST_AFTER + 1, "the other channel has its one");
    let mut left = ALERTS_PENDING_MAX - DIGEST_AFTER;
    for number in 1_u64.. {
        let digest = due(&mut channels, at(30 * number)).remove(0);
        let count = left.min(DIGEST_MAX);
        let told = body(&digest);
        assert_eq!(
            (told["type"].as_str(), told["data"]["count"].as_u64()),
            (Some("incident.digest"), Some(count as u64))
        );
        assert_eq!(told["data"]["messageIds"].as_array().map(Vec::len), Some(count));
        assert_eq!(told["data"]["messages"].as_array().map(Vec::len), Some(50));
        assert!(number > 1 || *digest.key == *"digest.5.1.ops.1000", "{}", digest.key);
        end(&mut channels, &digest, Outcome::Answered(200), at(30 * number));
        left -= count;
        if left == 0 {
            break;
        }
    }
    assert_eq!(channels.take_deliveries().len(), ALERTS_PENDING_MAX + 1);
    assert_eq!((channels.waiting("ops"), channels.deadline()), (0, None));
}

#[test]
fn while_tries_fail_all_that_comes_gathers_and_each_wait_is_twice_the_last() {
    let mut channels = Channels::default();
    tell(&mut channels, 0..1, at(0));
    let mut now = at(0);
    for (number, outcome, why) in [
        (1, Outcome::Answered(500), "the channel answered 500"),
        (2, Outcome::Answered(404), "the channel answered 404"),
        (3, Outcome::TimedOut("no answer".to_owned()), "the channel could not be reached: no answer"),
        (4, Outcome::ConnectionFailed("refused".to_owned()), "the channel could not be reached: refused"),
        (5, Outcome::WorkerFailed("a fault".to_owned()), "the channel could not be reached: a fault"),
    ] {
        let attempt = due(&mut channels, now).remove(0);
        let count = u64::from(number);
        let key = if number == 1 { "0.1.ops".to_owned() } else { format!("digest.0.1.ops.{number}") };
        assert_eq!(*attempt.key, *key);
        end(&mut channels, &attempt, outcome, now);
        let pending = channels.take_deliveries();
        assert_eq!(pending.len(), number as usize);
        assert_eq!((pending[0].state, pending[0].attempts), (AlertState::Pending, number));
        assert_eq!(pending[0].error.as_deref(), Some(why));
        let health = channels.health("ops");
        assert_eq!((health.failed_at, health.error.as_deref(), health.delivered_at), (Some(now.wall), Some(why), None));
        // What comes meanwhile does not go before.
        channels.tell(&message(count, &["ops"], now), now.mono);
        let again = channels.deadline().expect("it is tried again");
        let (wait, plain) = (again.0 - now.mono.0, us(1) << (number - 1));
        assert!((plain * 9 / 10..=plain * 11 / 10).contains(&wait), "{wait}");
        assert!(due(&mut channels, Now { mono: MonoUs(again.0 - 1), ..now }).is_empty());
        now = Now { wall: now.wall.plus_us(wait.cast_signed()), mono: again };
    }
    assert_eq!(deliver_all(&mut channels, now), ["digest.0.1.ops.6"]);
    assert_eq!(channels.counts("ops"), MessageCounts { delivered: 6, failed: 0, retried: 15 });
    assert_eq!(channels.health("ops").error, None);
    assert_eq!(channels.deadline(), None);
}

#[test]
fn a_channel_that_asks_to_be_left_alone_is_and_says_why() {
    let mut channels = Channels::default();
    tell(&mut channels, 0..1, at(0));
    let attempt = due(&mut channels, at(0)).remove(0);
    let response = Some("slow\r\ndown".into());
    let outcome = Outcome::Answered(429);
    let report = MessageReport { id: attempt.id, outcome, response, retry_after_s: Some(60), duration_us: 5 };
    channels.report(report, at(0));
    assert_eq!(channels.deadline(), Some(at(60).mono));
    assert_eq!(channels.health("ops").error.as_deref(), Some("the channel answered 429: slow  down"));
}

#[test]
fn what_is_too_old_is_given_up_after_a_try_that_fails_and_the_rest_goes_on() {
    let day = ALERT_AGE_MAX.as_secs();
    let mut channels = Channels::default();
    tell(&mut channels, 0..1, at(0));
    let attempt = due(&mut channels, at(0)).remove(0);
    end(&mut channels, &attempt, Outcome::Answered(500), at(0));
    tell(&mut channels, 1..2, at(day));
    states(&mut channels);
    let attempt = due(&mut channels, at(day + 1)).remove(0);
    end(&mut channels, &attempt, Outcome::Answered(500), at(day + 1));
    assert_eq!(states(&mut channels), [(1, AlertState::Pending, 1), (0, AlertState::Failed, 2)]);
    assert_eq!(channels.counts("ops"), MessageCounts { delivered: 0, failed: 1, retried: 2 });
    assert_eq!(deliver_all(&mut channels, at(day + 9)), ["1.1.ops"]);
}

#[test]
fn what_an_earlier_process_left_goes_on_with_its_ids_unless_it_is_too_old() {
    let day = ALERT_AGE_MAX.as_secs();
    let mut channels = Channels::default();
    channels.resume(left(1, "ops", at(0), 7), at(day + 1));
    let told = channels.take_deliveries().remove(0);
    assert_eq!((told.state, told.attempts), (AlertState::Failed, 7));
    assert_eq!(told.error.as_deref(), Some("given up: it is too old"));
    channels.resume(left(2, "ops", at(9), 3), at(day + 1));
    assert_eq!(deliver_all(&mut channels, at(day + 1)), ["2.1.ops"]);
    assert_eq!(states(&mut channels), [(2, AlertState::Delivered, 4)], "its tries are counted on");
    let name: Arc<str> = "ops".into();
    let health = ChannelHealth { failed_at: Some(at(3).wall), error: Some("down".to_owned()), ..Default::default() };
    let mut channels = Channels::default();
    channels.restore_health(&name, health.clone());
    assert_eq!(channels.health("ops"), health);
}

#[test]
fn what_waits_for_a_channel_that_is_gone_is_given_up_with_the_reason() {
    let mut channels = Channels::default();
    channels.tell(&message(1, &["gone", "ops"], at(0)), at(0).mono);
    assert_eq!(deliver_all(&mut channels, at(0)), ["1.1.ops"]);
    let told = channels.take_deliveries();
    assert_eq!((&*told[0].channel, told[0].state, told[0].attempts), ("gone", AlertState::Failed, 0));
    assert_eq!(told[0].error.as_deref(), Some("given up: the channel is gone"));
    // One goes while something is under way: that comes to its end, and then nothing is left of it.
    tell(&mut channels, 2..4, at(40));
    let attempt = due(&mut channels, at(40)).remove(0);
    channels.note_changed("ops", false, at(40).mono);
    assert_eq!(states(&mut channels), [(3, AlertState::Failed, 0)]);
    end(&mut channels, &attempt, Outcome::Answered(200), at(41));
    assert_eq!(states(&mut channels), [(2, AlertState::Delivered, 1)]);
    assert_eq!((channels.lines.len(), channels.under_way.len()), (0, 0));
}

#[test]
fn a_channel_that_was_set_anew_or_passed_a_test_is_tried_at_once() {
    let find = find("ops").expect("there is one");
    for by_test in [false, true] {
        let mut channels = Channels::default();
        tell(&mut channels, 0..2, at(0));
        let mut now = at(0);
        for _ in 0..8 {
            let attempt = due(&mut channels, now).remove(0);
            end(&mut channels, &attempt, Outcome::Answered(500), now);
            now.mono = channels.deadline().expect("it is tried again");
        }
        let attempt = due(&mut channels, now).remove(0);
        end(&mut channels, &attempt, Outcome::Answered(500), now);
        assert!(channels.deadline().is_some_and(|by| by > now.mono.plus(Duration::from_secs(60))));
        if by_test {
            let parcel = channels.test(RequestId(9), "ops", &find, now.wall).expect("there is room");
            let Parcel::Post(attempt) = parcel else { panic!("{parcel:?}") };
            end(&mut channels, &attempt, Outcome::Answered(200), now);
        } else {
            channels.note_changed("ops", true, now.mono);
        }
        assert_eq!(deliver_all(&mut channels, now), ["digest.0.1.ops.2"]);
    }
}

#[test]
fn tests_are_sent_beside_what_waits_and_reported_to_whoever_asked() {
    let mut channels = Channels::default();
    let ops = find("ops").expect("there is one");
    tell(&mut channels, 0..1, at(0));
    let under_way = due(&mut channels, at(0)).remove(0);
    let mut attempts = Vec::new();
    for request in 0..CHANNEL_TESTS_MAX as u64 {
        let parcel = channels.test(RequestId(request), "ops", &ops, at(1).wall).expect("there is room");
        let Parcel::Post(attempt) = parcel else { panic!("{parcel:?}") };
        assert_eq!(body(&attempt)["type"], "channel.test");
        attempts.push(attempt);
    }
    let why = channels.test(RequestId(99), "ops", &ops, at(1).wall).expect_err("there is none");
    assert_eq!(why, "4 tests of channels are already under way");
    end(&mut channels, &attempts[1], Outcome::Answered(200), at(2));
    end(&mut channels, &attempts[0], Outcome::Answered(403), at(3));
    let refused = Err("the channel answered 403".to_owned());
    assert_eq!(channels.take_tests(), [(RequestId(1), Ok(Duration::from_micros(5))), (RequestId(0), refused)]);
    assert_eq!((channels.take_tests(), channels.take_deliveries()), (vec![], vec![]), "they are in no queue");
    let health = channels.health("ops");
    assert_eq!(
        (health.delivered_at, health.failed_at),
        (Some(at(2).wall), Some(at(3).wall)),
        "but they show how it fares"
    );
    assert_eq!(channels.waiting("ops"), 1);
    end(&mut channels, &under_way, Outcome::Answered(200), at(4));
    assert_eq!(states(&mut channels), [(0, AlertState::Delivered, 1)]);
}

#[test]
fn letters_are_handed_to_whoever_sends_them_and_may_be_taken_for_some_only() {
    let mut channels = Channels::default();
    channels.tell(&message(1, &["mail"], at(0)), at(0).mono);
    let parcel = channels.next_parcel(at(0).mono, find);
    let Some(Parcel::Mail(attempt)) = parcel else { panic!("{parcel:?}") };
    assert_eq!(&*attempt.letter.key, "1.1.mail");
    let taken = Ok(Some("delivered, but not to c@d.test: 550".to_owned()));
    channels.report_mail(MailReport { id: attempt.id, taken, duration_us: 1 }, at(1));
    let note = Some("delivered, but not to c@d.test: 550");
    let [delivery] = &channels.take_deliveries()[..] else { panic!("one is delivered") };
    assert_eq!((delivery.state, delivery.error.as_deref()), (AlertState::Delivered, note));
    let health = channels.health("mail");
    assert_eq!((health.delivered_at, health.error.as_deref()), (Some(at(1).wall), note));
}

#[test]
fn late_reports_change_nothing() {
    let mut channels = Channels::default();
    tell(&mut channels, 0..1, at(0));
    let first = due(&mut channels, at(0)).remove(0);
    end(&mut channels, &first, Outcome::Answered(500), at(0));
    channels.take_deliveries();
    end(&mut channels, &first, Outcome::Answered(200), at(0));
    assert_eq!((channels.take_deliveries(), channels.waiting("ops")), (vec![], 1));
    let second = due(&mut channels, at(2)).remove(0);
    end(&mut channels, &first, Outcome::Answered(200), at(2));
    assert_eq!(channels.take_deliveries(), []);
    end(&mut channels, &second, Outcome::Answered(200), at(2));
    assert_eq!(states(&mut channels), [(0, AlertState::Delivered, 2)]);
}

/// Whatever happens, each message is delivered or given up once, and nothing is sent twice at a time over one channel.
#[test]
fn in_any_order_of_events_no_message_is_lost() {
    use crate::mix::mix;
    for seed in 0..20 {
        let mut random = seed;
        let mut below = |end: u64| {
            random = mix(random);
            random % end
        };
        let (mut channels, mut now, mut told) = (Channels::default(), at(0), 0);
        let mut under_way: Vec<MessageAttempt> = Vec::new();
        let mut ended = std::collections::BTreeMap::new();
        let mut step = 0;
        while step < 400 || channels.waiting("ops") + channels.waiting("team") > 0 {
            step += 1;
            assert!(step < 5_000, "seed {seed}: it comes to an end");
            let passed = us(1) * below(20);
            now = Now { wall: now.wall.plus_us(passed.cast_signed()), mono: now.mono.plus_us(passed) };
            if step < 400 {
                for _ in 0..below(4) {
                    let names = [&["ops"][..], &["team"], &["ops", "team"]][below(3) as usize];
                    channels.tell(&message(told, names, now), now.mono);
                    ended.extend(names.iter().map(|name| ((told, (*name).to_owned()), None)));
                    told += 1;
                }
            }
            under_way.extend(due(&mut channels, now));
            assert!(under_way.len() <= 2, "seed {seed}");
            if !under_way.is_empty() && below(3) > 0 {
                let attempt = under_way.remove(below(under_way.len() as u64) as usize);
                let fails = step < 400 && below(3) == 0;
                let outcome = if fails { Outcome::Answered(500) } else { Outcome::Answered(200) };
                end(&mut channels, &attempt, outcome, now);
            }
            for delivery in channels.take_deliveries().into_iter().filter(|of| of.state != AlertState::Pending) {
                let key = (delivery.incident.0, delivery.channel.to_string());
                assert_eq!(ended.insert(key, Some(delivery.state)), Some(None), "seed {seed}: once");
            }
        }
        assert!(ended.values().all(|state| *state == Some(AlertState::Delivered)), "seed {seed}");
    }
}

#[test]
fn what_waits_of_jobs_that_another_node_has_is_forgotten() {
    let mut channels = Channels::default();
    let of_server = |mut message: Message| {
        message.incident = Arc::new(Incident { subject: Subject::Server, ..(*message.incident).clone() });
        message
    };
    channels.tell(&message(1, &["ops"], at(0)), at(0).mono);
    channels.tell(&of_server(message(2, &["ops"], at(0))), at(0).mono);
    channels.give_away(|job| job == JobKey(7));
    assert_eq!(deliver_all(&mut channels, at(0)), ["2.1.ops"], "what is no job's stays");
}
