//! Owns everything that can be said about when a job is due, before it means anything.
//! It must not compute: compiling it does.

use super::dates::{Dates, NamedDates};
use super::dst::Dst;
use super::zone::Zone;
use crate::time::Instant;

/// All that a schedule is made from. Without what has a default it is a text in UTC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// When.
    pub rule: Rule,
    /// On whose wall clock.
    pub zone: Zone,
    /// What becomes of fixed times when that clock is changed.
    pub dst: Dst,
    /// What chooses the values that are left open; below [`SEED_END`](crate::limits::SEED_END). Those who have the same
    /// one are due at the same time.
    pub seed: Option<u64>,
    /// All instants are moved by the same number of seconds below this, which the seed chooses; 0 moves none.
    pub spread_s: u32,
    /// No instant before this one.
    pub starts_at: Option<Instant>,
    /// No instant after this one.
    pub ends_at: Option<Instant>,
    /// Dates of the zone on which it is not due.
    pub exclude: Dates,
    /// Calendars of such dates.
    pub calendars: Box<[NamedDates]>,
}

/// When a schedule is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// As a text says, in one of the forms of [`Schedule::parse`](super::Schedule::parse).
    Text(Box<str>),
    /// Once.
    At(Instant),
}

impl Terms {
    /// Terms that say no more than they must.
    pub fn plain(rule: Rule) -> Terms {
        Terms {
            rule,
            zone: Zone::UTC,
            dst: Dst::default(),
            seed: None,
            spread_s: 0,
            starts_at: None,
            ends_at: None,
            exclude: Dates::default(),
            calendars: Box::default(),
        }
    }

    /// Whether they leave something open that a seed must choose.
    pub fn need_seed(&self) -> bool {
        let drawn = match &self.rule {
            Rule::Text(text) => text.contains('~'),
            Rule::At(_) => false,
        };
        drawn || self.spread_s > 0
    }
}
