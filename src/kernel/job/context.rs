//! Owns what a definition is read with, beside its own text.
//! It must not read anything itself.

use super::Compiled;
use crate::schedule::{Calendars, Zone, Zones};
use crate::time::{Instant, WallUs};

/// What a definition is read with.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The second in which the schedule was given: where `@every` counts from.
    pub anchor: Instant,
    /// Whether secrets can be sealed, and so be taken.
    pub seals: bool,
    /// When the request came: where `runAfterMs` counts from.
    pub now: WallUs,
    /// The zones that a job may name; None: only UTC.
    pub zones: Option<&'a Zones>,
    /// The zone of a job that names none; None: UTC, which is what a stored job means that names none.
    pub zone: Option<&'a Zone>,
    /// The calendars that a job may name; None: any, each without dates until the schedule is resolved with calendars.
    pub calendars: Option<&'a Calendars>,
    /// What chooses the values that a schedule leaves open, if the job itself brings no seed; below
    /// [`SEED_END`](crate::limits::SEED_END).
    pub seed: Option<u64>,
    /// How deep a JSON body may nest: what is kept may be as deep as it is.
    pub json_depth_max: usize,
    /// Schedules that were compiled before; None: none is looked for, or kept.
    pub compiled: Option<&'a Compiled>,
}

impl Context<'static> {
    /// One that knows no more than the time.
    pub fn at(anchor: Instant) -> Context<'static> {
        let now = WallUs::of(anchor);
        Context {
            anchor,
            seals: false,
            now,
            zones: None,
            zone: None,
            calendars: None,
            seed: None,
            json_depth_max: usize::MAX,
            compiled: None,
        }
    }

    /// The same, where secrets can be sealed.
    pub fn sealing(anchor: Instant) -> Context<'static> {
        Context { seals: true, ..Context::at(anchor) }
    }
}
