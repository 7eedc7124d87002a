//! Owns what a definition is read with, beside its own text.
//! It must not read anything itself.

use crate::time::Instant;

/// What a definition is read with.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The second in which the schedule was given: where `@every` counts from.
    pub anchor: Instant,
    /// Whether secrets can be sealed, and so be taken.
    pub seals: bool,
}

impl Context {
    /// One that knows no more than the time.
    pub fn at(anchor: Instant) -> Context {
        Context { anchor, seals: false }
    }

    /// The same, where secrets can be sealed.
    pub fn sealing(anchor: Instant) -> Context {
        Context { seals: true, ..Context::at(anchor) }
    }
}
