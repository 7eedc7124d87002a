//! Owns the tests of lookups: made once, on threads that do not wait for each other, with a reason where they fail.
//! It must not wait for time to pass, or ask a real name server.

use super::*;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

fn resolver(system: System) -> (Resolver, Receiver<usize>) {
    let (woken, wakes) = unbounded();
    // The last lookups may end when nobody is left who waits for them.
    let wake: WakeWorker = Arc::new(move |worker| woken.send(worker).unwrap_or_default());
    (Resolver::start(system, Allowlist::default(), &wake, || ()).unwrap(), wakes)
}

/// A system whose lookups of `slow...` begin, as the second end tells, and go on until the first one is dropped.
fn stuck() -> (Sender<()>, Receiver<String>, System) {
    let (release, released) = bounded::<()>(0);
    let (begin, begun) = unbounded();
    let system: System = Arc::new(move |host| {
        begin.send(host.to_owned()).unwrap_or_default();
        if host.starts_with("slow") {
            // It ends with an error, once the other end is dropped.
            released.recv().unwrap_or_default();
        }
        Ok(vec![IpAddr::from([10, 0, 0, 1])])
    });
    (release, begun, system)
}

#[test]
fn equal_lookups_are_made_once_and_everybody_is_woken() {
    let (release, released) = bounded::<()>(0);
    let (resolver, wakes) = resolver(Arc::new(move |host| {
        assert_eq!(host, "some.test");
        released.recv().unwrap_or_default();
        Ok(vec![IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])])
    }));
    for worker in [0, 1, 1, 2] {
        assert_eq!(resolver.lookup("some.test", worker), Lookup::Wait);
    }
    drop(release);
    let mut woken: Vec<usize> = wakes.iter().take(3).collect();
    woken.sort_unstable();
    assert_eq!(woken, [0, 1, 2]);
    let both = Lookup::Known([IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])].into());
    assert_eq!(resolver.lookup("some.test", 0), both);
    assert_eq!(resolver.lookups(), 1);
}

#[test]
fn names_that_take_long_do_not_delay_others() {
    let (release, begun, system) = stuck();
    let (resolver, wakes) = resolver(system);
    for number in 0..14 {
        assert_eq!(resolver.lookup(&format!("slow{number}.test"), 0), Lookup::Wait);
    }
    assert_eq!(begun.iter().take(14).filter(|host| host.starts_with("slow")).count(), 14);
    // All of them are under way and none has ended.
    assert_eq!(resolver.lookup("well.test", 7), Lookup::Wait);
    assert_eq!(wakes.recv(), Ok(7));
    assert!(matches!(resolver.lookup("well.test", 7), Lookup::Known(_)));
    assert_eq!(resolver.lookups(), 1);
    drop(release);
    assert_eq!(wakes.iter().take(14).collect::<Vec<_>>(), [0; 14]);
}

#[test]
fn lookups_under_way_are_bounded_and_so_are_those_that_wait() {
    let (release, begun, system) = stuck();
    let (resolver, wakes) = resolver(system);
    let most = RESOLVER_THREADS_MAX + LOOKUPS_PENDING_MAX;
    for number in 0..RESOLVER_THREADS_MAX {
        assert_eq!(resolver.lookup(&format!("slow{number}.test"), 0), Lookup::Wait);
    }
    assert_eq!(begun.iter().take(RESOLVER_THREADS_MAX).count(), RESOLVER_THREADS_MAX);
    for number in RESOLVER_THREADS_MAX..most {
        assert_eq!(resolver.lookup(&format!("well{number}.test"), 0), Lookup::Wait);
    }
    let full = Lookup::Failed("too many names wait to be looked up".into());
    assert_eq!(resolver.lookup("one.more.test", 0), full);
    assert_eq!(begun.try_recv().ok(), None);
    drop(release);
    assert_eq!(wakes.iter().take(most).count(), most);
    assert_eq!(resolver.lookup("one.more.test", 0), Lookup::Wait, "it is asked for anew");
}

#[test]
fn what_has_no_address_fails_with_the_reason() {
    let (resolver, wakes) = resolver(Arc::new(|host| match host {
        "empty.test" => Ok(Vec::new()),
        "panic.test" => panic!("planted"),
        _ => Err(io::Error::other("no such host")),
    }));
    for (host, why) in [("empty.test", "no addresses"), ("panic.test", "failed"), ("x.test", "no such host")] {
        assert_eq!(resolver.lookup(host, 5), Lookup::Wait);
        assert_eq!(wakes.recv(), Ok(5));
        let Lookup::Failed(text) = resolver.lookup(host, 5) else { panic!("{host} must fail") };
        assert!(text.starts_with("name not found: ") && text.contains(why), "{text}");
    }
}

#[test]
fn of_refused_and_allowed_addresses_the_allowed_ones_are_used() {
    let refused = IpAddr::from([169, 254, 169, 254]);
    let (resolver, wakes) = resolver(Arc::new(move |host| match host {
        "mixed.test" => Ok(vec![refused, IpAddr::from([10, 0, 0, 1]), IpAddr::from([0, 0, 0, 0])]),
        _ => Ok(vec![refused]),
    }));
    assert_eq!(resolver.lookup("mixed.test", 0), Lookup::Wait);
    wakes.recv().unwrap();
    assert_eq!(resolver.lookup("mixed.test", 0), Lookup::Known([IpAddr::from([10, 0, 0, 1])].into()));
    assert_eq!(resolver.lookup("refused.test", 0), Lookup::Wait);
    wakes.recv().unwrap();
    let Lookup::Failed(why) = resolver.lookup("refused.test", 0) else { panic!("it must fail") };
    assert!(why.starts_with("refused.test leads nowhere: the address 169.254.169.254 is refused"), "{why}");
}

#[test]
fn what_a_name_leads_to_is_checked_each_time() {
    // It leads to an address that is allowed when it is asked first, and then to one that is not.
    let answers = Mutex::new([[8, 8, 8, 8], [127, 0, 0, 1]].map(IpAddr::from).into_iter());
    let system: System = Arc::new(move |_| Ok(answers.lock().unwrap().next().into_iter().collect()));
    let targets = "public".parse().unwrap();
    assert_eq!(resolve(&system, &targets, "rebound.test"), Ok(vec![IpAddr::from([8, 8, 8, 8])]));
    let why = "rebound.test leads nowhere: the address 127.0.0.1 is refused: --targets public does not allow it";
    assert_eq!(resolve(&system, &targets, "rebound.test"), Err(why.to_owned()));
    // Of several addresses only those are tried that are allowed.
    let system: System = Arc::new(|_| Ok([[127, 0, 0, 1], [8, 8, 8, 8], [10, 0, 0, 1]].map(IpAddr::from).into()));
    assert_eq!(resolve(&system, &targets, "mixed.test"), Ok(vec![IpAddr::from([8, 8, 8, 8])]));
}

#[test]
fn families_take_turns() {
    let all = ["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"].map(|address| address.parse::<IpAddr>().unwrap());
    let expected = [all[0], all[3], all[1], all[4], all[2]];
    assert_eq!(by_turns(&all), expected);
    assert_eq!(by_turns(&all[3..]), all[3..]);
    assert_eq!(by_turns(&[all[3], all[0]]), [all[3], all[0]]);
}

#[test]
fn only_addresses_written_as_such_are_literal() {
    let literal = |host: &str| literal(host, &"lan".parse().unwrap());
    assert_eq!(literal("127.0.0.1"), Some(Lookup::Known([IpAddr::from([127, 0, 0, 1])].into())));
    for address in ["169.254.169.254", "8.8.8.8"] {
        assert!(matches!(literal(address), Some(Lookup::Failed(why)) if why.contains("refused")));
    }
    assert!(literal("::1").is_some());
    for name in ["localhost", "127.1", "0x7f000001", "2130706433", ""] {
        assert_eq!(literal(name), None, "{name}");
    }
}
