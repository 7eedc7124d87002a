//! Owns what is known of names: their addresses, their failures, how long each is believed, and who waits for news.
//! It must not look a name up, wait for one, or read a clock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::limits::{
    NAME_FAILED_TIME_MAX, NAME_FAILED_TIME_MIN, NAME_FRESH_TIME, NAME_SLOW_MIN, NAME_TIME_MAX, NAMES_MAX,
};
use crate::time::MonoUs;

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Its addresses; at least one.
    Known(Arc<[IpAddr]>),
    /// Why it has none that may be used.
    Failed(Arc<str>),
    /// It is being looked up. The worker that asked is woken afterwards.
    Wait,
}

/// Which lookups a lookup waits behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Those of names that were quick, or are new.
    Quick,
    /// Those of names that took long the last time.
    Slow,
}

/// All names that anybody asked for of late.
#[derive(Debug, Default)]
pub(super) struct Names {
    entries: HashMap<Box<str>, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// The addresses that were found last, and when.
    found: Option<(Arc<[IpAddr]>, MonoUs)>,
    /// The failures since then.
    failed: Option<Failed>,
    /// The address that connected where the first one did not.
    preferred: Option<IpAddr>,
    /// Those that connected and were of no use.
    useless: Vec<IpAddr>,
    is_slow: bool,
    /// Whether a lookup is under way.
    pending: bool,
    /// Workers to be woken after it.
    askers: Vec<usize>,
}

#[derive(Debug)]
struct Failed {
    why: Arc<str>,
    /// How often in a row.
    count: u32,
    /// Until when it is believed.
    until: MonoUs,
}

impl Names {
    /// What is known of `host`, and whether it is to be looked up now. If the answer is to wait, `worker` is among those
    /// that [`Names::note`] gives back.
    pub(super) fn ask(&mut self, host: &str, worker: usize, now: MonoUs) -> (Lookup, Option<Lane>) {
        if !self.entries.contains_key(host) {
            self.make_room(now);
            self.entries.insert(host.into(), Entry::default());
        }
        let entry = self.entries.get_mut(host).expect("it was inserted if it was not there");
        let due = match &entry.failed {
            Some(failed) => now >= failed.until,
            None => entry.found.as_ref().is_none_or(|&(_, at)| now >= at.plus(NAME_FRESH_TIME)),
        };
        let lane = (due && !entry.pending).then_some(if entry.is_slow { Lane::Slow } else { Lane::Quick });
        entry.pending |= due;
        let known = match (&entry.found, &entry.failed) {
            // What was found serves on while it is looked up anew, or cannot be.
            (Some((addresses, at)), _) if now < at.plus(NAME_TIME_MAX) => Lookup::Known(Arc::clone(addresses)),
            (_, Some(failed)) if now < failed.until => Lookup::Failed(Arc::clone(&failed.why)),
            (Some(_) | None, Some(_) | None) => Lookup::Wait,
        };
        if known == Lookup::Wait && !entry.askers.contains(&worker) {
            entry.askers.push(worker);
        }
        (known, lane)
    }

    /// The lookup that was asked for cannot be made.
    pub(super) fn note_refused(&mut self, host: &str, worker: usize) {
        if let Some(entry) = self.entries.get_mut(host) {
            entry.pending = false;
            entry.askers.retain(|&asker| asker != worker);
        }
    }

    /// What a lookup came to that began at `begun`. Who waits for it.
    pub(super) fn note(
        &mut self,
        host: &str,
        result: Result<Vec<IpAddr>, String>,
        begun: MonoUs,
        now: MonoUs,
    ) -> Vec<usize> {
        let Some(entry) = self.entries.get_mut(host) else { return Vec::new() };
        entry.pending = false;
        entry.is_slow = now >= begun.plus(NAME_SLOW_MIN);
        match result {
            Ok(addresses) => {
                entry.failed = None;
                entry.found = Some((entry.in_order(addresses), now));
            }
            Err(why) => {
                let count = entry.failed.as_ref().map_or(0, |failed| failed.count).saturating_add(1);
                let wait = NAME_FAILED_TIME_MIN.saturating_mul(1 << (count - 1).min(16)).min(NAME_FAILED_TIME_MAX);
                entry.failed = Some(Failed { why: why.into(), count, until: now.plus(wait) });
            }
        }
        std::mem::take(&mut entry.askers)
    }

    /// This address connected where the first one did not: from now on it comes first.
    pub(super) fn prefer(&mut self, host: &str, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(host) {
            entry.preferred = Some(address);
            entry.useless.retain(|&other| other != address);
            entry.order_anew();
        }
    }

    /// This address connected and was of no use: from now on it comes last, until all others were of none, too.
    pub(super) fn shun(&mut self, host: &str, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(host) {
            entry.preferred = entry.preferred.filter(|&preferred| preferred != address);
            entry.useless.retain(|&other| other != address);
            entry.useless.push(address);
            entry.order_anew();
        }
    }

    /// This address connected and was of use.
    pub(super) fn vouch(&mut self, host: &str, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(host).filter(|entry| entry.useless.contains(&address)) {
            entry.useless.retain(|&other| other != address);
            entry.order_anew();
        }
    }

    /// Forgets what nobody believes any more, and if that is nothing, all that nobody waits for.
    fn make_room(&mut self, now: MonoUs) {
        if self.entries.len() < NAMES_MAX {
            return;
        }
        self.entries.retain(|_, entry| {
            let believed = entry.found.as_ref().is_some_and(|&(_, at)| now < at.plus(NAME_TIME_MAX));
            entry.pending || believed || entry.failed.as_ref().is_some_and(|failed| now < failed.until)
        });
        if self.entries.len() >= NAMES_MAX {
            self.entries.retain(|_, entry| entry.pending);
        }
    }
}

impl Entry {
    fn order_anew(&mut self) {
        let found = self.found.take();
        self.found = found.map(|(addresses, at)| (self.in_order(addresses.to_vec()), at));
    }

    /// The same with the preferred one first, and those that were of no use last, of these the one that was so last.
    fn in_order(&mut self, mut addresses: Vec<IpAddr>) -> Arc<[IpAddr]> {
        self.useless.retain(|useless| addresses.contains(useless));
        if let Some(at) = addresses.iter().position(|&address| Some(address) == self.preferred) {
            addresses[..=at].rotate_right(1);
        }
        // Equal ones stay in their order.
        addresses
            .sort_by_key(|address| self.useless.iter().position(|useless| useless == address).map(|place| place + 1));
        addresses.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HOST: &str = "some.test";
    const QUICK: Option<Lane> = Some(Lane::Quick);

    fn addresses() -> Vec<IpAddr> {
        [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]].map(IpAddr::from).to_vec()
    }

    fn known() -> Lookup {
        Lookup::Known(addresses().into())
    }

    #[test]
    fn an_address_that_is_looked_up_anew_serves_on_for_a_bounded_time() {
        let mut names = Names::default();
        let start = MonoUs(1_000);
        assert_eq!(names.ask(HOST, 0, start), (Lookup::Wait, QUICK));
        assert_eq!(names.ask(HOST, 1, start), (Lookup::Wait, None), "it is being looked up");
        assert_eq!(names.note(HOST, Ok(addresses()), start, start), [0, 1]);
        assert_eq!(names.ask(HOST, 0, start), (known(), None));
        // Nobody is told of anything for long: it serves on, and nobody asks twice.
        assert_eq!(names.ask(HOST, 0, start.plus(NAME_FRESH_TIME)), (known(), QUICK));
        let last = start.plus(NAME_TIME_MAX - Duration::from_micros(1));
        assert_eq!(names.ask(HOST, 0, last), (known(), None));
        assert_eq!(names.ask(HOST, 0, start.plus(NAME_TIME_MAX)), (Lookup::Wait, None));
        // It cannot be looked up: what was found serves on as long.
        let mut names = Names::default();
        names.ask(HOST, 0, start);
        names.note(HOST, Ok(addresses()), start, start);
        let later = start.plus(NAME_FRESH_TIME);
        names.ask(HOST, 0, later);
        names.note(HOST, Err("down".to_owned()), later, later);
        assert_eq!(names.ask(HOST, 0, later), (known(), None));
        assert_eq!(names.ask(HOST, 0, last), (known(), QUICK));
    }

    #[test]
    fn failures_are_believed_for_longer_each_time_up_to_a_bound() {
        let mut names = Names::default();
        let (mut now, mut waits) = (MonoUs(0), Vec::new());
        for _ in 0..20 {
            assert_eq!(names.ask(HOST, 0, now), (Lookup::Wait, QUICK));
            assert_eq!(names.note(HOST, Err("down".to_owned()), now, now), [0]);
            let failed = now;
            while names.ask(HOST, 0, now) == (Lookup::Failed("down".into()), None) {
                now = now.plus(Duration::from_millis(500));
            }
            names.note_refused(HOST, 0);
            waits.push(Duration::from_micros(now.0 - failed.0));
        }
        assert_eq!(waits[..3], [1, 2, 4].map(|times| NAME_FAILED_TIME_MIN * times));
        assert_eq!(waits[19], NAME_FAILED_TIME_MAX);
        // Once it is found, all is forgotten.
        names.ask(HOST, 0, now);
        names.note(HOST, Ok(addresses()), now, now);
        let later = now.plus(NAME_TIME_MAX);
        names.ask(HOST, 0, later);
        names.note(HOST, Err("down".to_owned()), later, later);
        assert_eq!(names.ask(HOST, 0, later.plus(NAME_FAILED_TIME_MIN)), (Lookup::Wait, QUICK));
    }

    #[test]
    fn a_name_that_took_long_waits_behind_others_of_its_kind_until_it_is_quick_again() {
        let mut names = Names::default();
        let mut now = MonoUs(0);
        for (took, lane) in [(NAME_SLOW_MIN, Lane::Slow), (Duration::ZERO, Lane::Quick)] {
            assert!(names.ask(HOST, 0, now).1.is_some());
            let begun = now;
            now = now.plus(took);
            names.note(HOST, Ok(addresses()), begun, now);
            now = now.plus(NAME_TIME_MAX);
            assert_eq!(names.ask(HOST, 0, now), (Lookup::Wait, Some(lane)));
            names.note_refused(HOST, 0);
        }
    }

    #[test]
    fn an_address_that_connected_comes_first_from_then_on() {
        let mut names = Names::default();
        let [first, second, third] = addresses()[..] else { panic!("there are three") };
        names.ask(HOST, 0, MonoUs(0));
        names.note(HOST, Ok(addresses()), MonoUs(0), MonoUs(0));
        names.prefer(HOST, third);
        let expected = Lookup::Known([third, first, second].into());
        assert_eq!(names.ask(HOST, 0, MonoUs(1)).0, expected);
        names.note(HOST, Ok(addresses()), MonoUs(2), MonoUs(2));
        assert_eq!(names.ask(HOST, 0, MonoUs(3)).0, expected, "also after the next lookup");
        names.note(HOST, Ok(vec![first, second]), MonoUs(4), MonoUs(4));
        assert_eq!(names.ask(HOST, 0, MonoUs(5)).0, Lookup::Known([first, second].into()), "unless it is gone");
    }

    #[test]
    fn an_address_that_is_of_no_use_comes_last() {
        let mut names = Names::default();
        let [first, second, third] = addresses()[..] else { panic!("there are three") };
        names.ask(HOST, 0, MonoUs(0));
        names.note(HOST, Ok(addresses()), MonoUs(0), MonoUs(0));
        let order = |names: &mut Names| match names.ask(HOST, 0, MonoUs(1)).0 {
            Lookup::Known(addresses) => addresses.to_vec(),
            other => panic!("{other:?}"),
        };
        names.prefer(HOST, second);
        names.shun(HOST, second);
        assert_eq!(order(&mut names), [first, third, second], "it is not preferred any more");
        names.shun(HOST, first);
        assert_eq!(order(&mut names), [third, second, first]);
        names.note(HOST, Ok(addresses()), MonoUs(1), MonoUs(1));
        assert_eq!(order(&mut names), [third, second, first], "also after the next lookup");
        // Where all are of no use, each gets its turn.
        for expected in [[second, first, third], [first, third, second], [third, second, first]] {
            let begins = order(&mut names)[0];
            names.shun(HOST, begins);
            assert_eq!(order(&mut names), expected);
        }
        let last = order(&mut names)[2];
        names.vouch(HOST, last);
        assert_eq!(order(&mut names)[0], last, "it is of use, and the others are not");
        names.prefer(HOST, first);
        assert_eq!(order(&mut names)[0], first, "it is of use again");
        names.note(HOST, Ok(vec![second]), MonoUs(1), MonoUs(1));
        assert!(names.entries[HOST].useless.len() <= 1, "of one that is gone nothing is kept");
    }

    #[test]
    fn no_more_names_are_remembered_than_a_limit_allows() {
        let mut names = Names::default();
        for number in 0..NAMES_MAX + 10 {
            let host = format!("{number}.test");
            names.ask(&host, 0, MonoUs(0));
            names.note(&host, Ok(addresses()), MonoUs(0), MonoUs(0));
            assert!(names.entries.len() <= NAMES_MAX);
        }
    }
}
